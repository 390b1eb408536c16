/* The sine of an angle of 65,536 parts of a turn, with 15 binary places, from a quarter wave of 17 points. */
#include "firmware.h"

int16_t sine(uint16_t angle) {
    static const uint16_t quarter[] = {
        0,     3212,  6393,  9512,  12539, 15446, 18204, 20787, 23170, 25329, 27245, 28898, 30273, 31356, 32137, 32609, 32767,
    };
    uint16_t place = angle & 0x3fff;
    if (angle & 0x4000) place = 0x4000 - place;
    uint8_t step = (uint8_t)(place >> 10), part = (uint8_t)((place & 1023) >> 2);
    uint16_t value = quarter[step];
    if (part) value += (uint16_t)((uint32_t)(quarter[step + 1] - value) * part >> 8);
    return (int16_t)(angle & 0x8000 ? -(int16_t)value : (int16_t)value);
}
