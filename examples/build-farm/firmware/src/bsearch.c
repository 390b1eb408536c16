/* Binary search in ascending numbers: the place of the first that is not smaller. */
#include "firmware.h"

size_t lower_bound(const int16_t *numbers, size_t count, int16_t wanted) {
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (numbers[low + half] < wanted) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}
