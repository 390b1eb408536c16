/* Base64 with padding (RFC 4648). `text` needs room for 4 characters for each 3 bytes begun, and a zero. */
#include "firmware.h"

size_t base64(const uint8_t *data, size_t size, char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = text;
    for (; size > 0; size -= size > 3 ? 3 : size, data += 3) {
        uint32_t bits = (uint32_t)data[0] << 16 | (size > 1 ? (uint32_t)data[1] << 8 : 0) | (size > 2 ? data[2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = size > 1 ? digits[bits >> 6 & 63] : '=';
        *at++ = size > 2 ? digits[bits & 63] : '=';
    }
    *at = 0;
    return (size_t)(at - text);
}
