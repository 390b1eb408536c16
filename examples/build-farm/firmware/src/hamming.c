/* Hamming(7,4): four bits of data in seven, of which any one may flip. Bits are counted from 1, those of parity are 1, 2 and 4. */
#include "firmware.h"

static uint8_t parity(uint8_t bits) {
    bits ^= bits >> 4;
    bits ^= bits >> 2;
    return (bits ^ bits >> 1) & 1;
}

uint8_t hamming_encode(uint8_t nibble) {
    uint8_t data = (uint8_t)((nibble & 1) << 2 | (nibble & 14) << 3);
    return (uint8_t)(data | parity(data & 0x55) | parity(data & 0x66) << 1 | parity(data & 0x78) << 3);
}

uint8_t hamming_decode(uint8_t code) {
    uint8_t place = (uint8_t)(parity(code & 0x55) | parity(code & 0x66) << 1 | parity(code & 0x78) << 2);
    if (place) code ^= (uint8_t)(1 << (place - 1));
    return (uint8_t)((code >> 2 & 1) | (code >> 3 & 14));
}
