/* Marsaglia's xorshift with 32 bits: every state but zero comes once in 2^32 - 1 steps. */
#include "firmware.h"

uint32_t xorshift32(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

uint16_t random_below(uint32_t *state, uint16_t bound) {
    return (uint16_t)((uint64_t)xorshift32(state) * bound >> 32);
}
