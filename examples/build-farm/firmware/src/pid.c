/* A controller with proportional, integral and derivative parts, in numbers of 8 binary places; the integral stays bounded. */
#include "firmware.h"

int16_t pid(struct pid *state, int16_t wanted, int16_t measured) {
    int16_t error = (int16_t)(wanted - measured), slope = (int16_t)(error - state->last_error);
    int32_t sum = (int32_t)state->integral + error;
    state->integral = (int16_t)(sum > state->bound ? state->bound : sum < -state->bound ? -state->bound : sum);
    state->last_error = error;
    int32_t output = (int32_t)state->proportional * error + (int32_t)state->integrating * state->integral;
    return (int16_t)((output + (int32_t)state->derivative * slope) >> 8);
}
