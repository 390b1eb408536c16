/* The greatest common divisor, without division: most small processors have none. */
#include "firmware.h"

uint16_t gcd(uint16_t a, uint16_t b) {
    uint8_t twos = 0;
    if (!a || !b) return a | b;
    for (; !((a | b) & 1); a >>= 1, b >>= 1) twos++;
    while (a != b) {
        if (!(a & 1)) a >>= 1;
        else if (!(b & 1)) b >>= 1;
        else if (a > b) a = (uint16_t)(a - b) >> 1;
        else b = (uint16_t)(b - a) >> 1;
    }
    return (uint16_t)(a << twos);
}
