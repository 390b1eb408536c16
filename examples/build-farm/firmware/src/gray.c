/* Gray code, of which one bit changes at a time: what a rotary encoder's disc shows. */
#include "firmware.h"

uint16_t to_gray(uint16_t value) {
    return value ^ value >> 1;
}

uint16_t from_gray(uint16_t code) {
    for (uint8_t shift = 8; shift; shift >>= 1) code ^= code >> shift;
    return code;
}
