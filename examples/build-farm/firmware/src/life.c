/* One generation of the Game of Life on a torus of 8 by 8 cells, a byte per row. */
#include "firmware.h"

static uint8_t turned(uint8_t row, uint8_t left) {
    return (uint8_t)(left ? row << 1 | row >> 7 : row >> 1 | row << 7);
}

void life(const uint8_t before[8], uint8_t after[8]) {
    for (uint8_t y = 0; y < 8; y++) {
        uint8_t sum[4] = {0, 0, 0, 0}; /* bit planes of the number of neighbours */
        for (uint8_t step = 0; step < 8; step++) {
            uint8_t row = before[(y + (step < 3 ? 7 : step < 5 ? 0 : 1)) % 8];
            uint8_t carry = step == 1 || step == 6 ? row : turned(row, step == 0 || step == 3 || step == 5);
            for (uint8_t plane = 0; plane < 4; plane++) {
                uint8_t next = sum[plane] & carry;
                sum[plane] ^= carry;
                carry = next;
            }
        }
        after[y] = (uint8_t)(sum[1] & ~sum[2] & ~sum[3] & (sum[0] | before[y]));
    }
}
