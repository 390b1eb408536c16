/* Fletcher-16, which also notices bytes that changed places. */
#include "firmware.h"

uint16_t fletcher16(const uint8_t *data, size_t size) {
    uint16_t low = 0, high = 0;
    while (size--) {
        low = (low + *data++) % 255;
        high = (high + low) % 255;
    }
    return (uint16_t)(high << 8 | low);
}
