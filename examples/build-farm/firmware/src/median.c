/* The median of five samples, with seven comparisons: what one outlier cannot move. */
#include "firmware.h"

static void order(int16_t *low, int16_t *high) {
    if (*low > *high) {
        int16_t kept = *low;
        *low = *high;
        *high = kept;
    }
}

int16_t median5(int16_t a, int16_t b, int16_t c, int16_t d, int16_t e) {
    order(&a, &b);
    order(&d, &e);
    order(&a, &d);
    order(&b, &e);
    order(&b, &c);
    order(&c, &d);
    order(&b, &c);
    return c;
}
