/* CRC-16 of XMODEM: polynomial x^16 + x^12 + x^5 + 1, highest bit first. */
#include "firmware.h"

uint16_t crc16(const uint8_t *data, size_t size) {
    uint16_t crc = 0;
    while (size--) {
        crc ^= (uint16_t)*data++ << 8;
        for (uint8_t bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}
