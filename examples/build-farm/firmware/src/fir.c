/* A filter of finite response: sums of products of the last samples with coefficients of 15 binary places. */
#include "firmware.h"

int16_t fir(const int16_t *samples, const int16_t *coefficients, uint8_t taps) {
    int32_t sum = 1L << 14; /* a half, to round */
    while (taps--) sum += (int32_t)*samples++ * *coefficients++;
    sum >>= 15;
    return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}
