/* CRC-8 of 1-Wire devices: polynomial x^8 + x^5 + x^4 + 1, lowest bit first. */
#include "firmware.h"

uint8_t crc8(const uint8_t *data, size_t size) {
    uint8_t crc = 0;
    while (size--) {
        crc ^= *data++;
        for (uint8_t bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x8c : crc >> 1;
    }
    return crc;
}
