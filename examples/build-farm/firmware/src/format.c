/* Numbers as text, without printf. `text` needs room for 11 characters and a zero. */
#include "firmware.h"

char *format_decimal(int32_t value, char *text) {
    char digits[10], *at = digits;
    uint32_t rest = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
    do *at++ = (char)('0' + rest % 10);
    while (rest /= 10);
    char *end = text;
    if (value < 0) *end++ = '-';
    while (at > digits) *end++ = *--at;
    *end = 0;
    return text;
}

char *format_hex(uint32_t value, char *text) {
    for (uint8_t digit = 0; digit < 8; digit++, value <<= 4) text[digit] = "0123456789abcdef"[value >> 28];
    text[8] = 0;
    return text;
}
