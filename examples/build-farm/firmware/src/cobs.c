/* Consistent overhead byte stuffing: a frame without zero bytes, at most one byte in 254 longer, and one. */
#include "firmware.h"

size_t cobs(const uint8_t *data, size_t size, uint8_t *frame) {
    uint8_t *at = frame + 1, *code = frame;
    *code = 1;
    for (size_t read = 0; read < size; read++) {
        if (data[read]) {
            *at++ = data[read];
            ++*code;
        }
        if (!data[read] || *code == 255) {
            code = at++;
            *code = 1;
        }
    }
    return (size_t)(at - frame);
}
