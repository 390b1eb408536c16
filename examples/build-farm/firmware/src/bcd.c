/* Packed decimal digits, as clock chips keep them. */
#include "firmware.h"

uint8_t to_bcd(uint8_t value) {
    return (uint8_t)(value / 10 << 4 | value % 10);
}

uint8_t from_bcd(uint8_t digits) {
    return (uint8_t)((digits >> 4) * 10 + (digits & 15));
}
