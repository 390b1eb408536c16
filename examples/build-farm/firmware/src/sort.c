/* Shell's sort with the gaps of Ciura: short, in place, and without recursion. */
#include "firmware.h"

void sort(int16_t *numbers, size_t count) {
    static const uint8_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (uint8_t pass = 0; pass < sizeof gaps; pass++) {
        for (size_t next = gaps[pass]; next < count; next++) {
            int16_t number = numbers[next];
            size_t at = next;
            for (; at >= gaps[pass] && numbers[at - gaps[pass]] > number; at -= gaps[pass]) numbers[at] = numbers[at - gaps[pass]];
            numbers[at] = number;
        }
    }
}
