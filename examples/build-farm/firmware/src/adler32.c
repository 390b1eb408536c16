/* Adler-32, the checksum of zlib (RFC 1950). */
#include "firmware.h"

uint32_t adler32(const uint8_t *data, size_t size) {
    uint32_t low = 1, high = 0;
    for (size_t at = 0; at < size; at++) {
        low = (low + data[at]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}
