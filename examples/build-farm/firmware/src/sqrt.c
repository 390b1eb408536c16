/* The square root of an integer, rounded down, one bit at a time. */
#include "firmware.h"

uint16_t square_root(uint32_t value) {
    uint32_t root = 0;
    for (uint32_t bit = 1UL << 30; bit; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint16_t)root;
}
