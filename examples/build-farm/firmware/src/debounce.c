/* Eight buttons at once: a button's state changes when four samples in a row differ from it. Two bits of counter per
 * button stand in two bytes, so that all are counted by the same instructions. */
#include "firmware.h"

uint8_t debounce(struct debouncer *state, uint8_t sample) {
    uint8_t changed = sample ^ state->stable;
    state->high = (uint8_t)((state->high ^ state->low) & changed);
    state->low = (uint8_t)(~state->low & changed);
    uint8_t settled = (uint8_t)(changed & ~(state->high | state->low));
    state->stable ^= settled;
    return settled & state->stable;
}
