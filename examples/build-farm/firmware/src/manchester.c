/* Manchester code (IEEE 802.3): a bit is a change of level, 0 falls and 1 rises, so the receiver finds the clock in it. */
#include "firmware.h"

uint16_t manchester(uint8_t byte) {
    uint16_t levels = 0;
    for (uint8_t bit = 0; bit < 8; bit++, byte <<= 1) levels = (uint16_t)(levels << 2 | (byte & 0x80 ? 1 : 2));
    return levels;
}
