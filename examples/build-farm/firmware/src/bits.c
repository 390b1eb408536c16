/* Questions about the bits of a word. */
#include "firmware.h"

uint8_t ones(uint32_t word) {
    uint8_t count = 0;
    for (; word; word &= word - 1) count++;
    return count;
}

uint8_t reversed(uint8_t byte) {
    byte = (uint8_t)(byte >> 4 | byte << 4);
    byte = (uint8_t)((byte & 0xcc) >> 2 | (byte & 0x33) << 2);
    return (uint8_t)((byte & 0xaa) >> 1 | (byte & 0x55) << 1);
}

uint8_t highest(uint32_t word) {
    uint8_t place = 0;
    while (word >>= 1) place++;
    return place;
}
