/* PackBits: a byte n below 128 stands before n + 1 bytes as they are, 257 - n before one byte that comes n times. */
#include "firmware.h"

size_t packbits(const uint8_t *data, size_t size, uint8_t *packed) {
    uint8_t *at = packed;
    for (size_t read = 0; read < size;) {
        size_t run = 1;
        while (run < 128 && read + run < size && data[read + run] == data[read]) run++;
        if (run > 1) {
            *at++ = (uint8_t)(257 - run);
            *at++ = data[read];
        } else {
            while (run < 128 && read + run < size && data[read + run] != data[read + run - 1]) run++;
            if (run > 1 && read + run < size) run--; /* the last one begins a run */
            *at++ = (uint8_t)(run - 1);
            for (size_t copied = 0; copied < run; copied++) *at++ = data[read + copied];
        }
        read += run;
    }
    return (size_t)(at - packed);
}
