/* The next code point of UTF-8 text; U+FFFD for a byte that begins none. Moves `text` on. */
#include "firmware.h"

uint32_t next_code_point(const char **text) {
    uint8_t lead = (uint8_t)*(*text)++;
    uint8_t more = lead < 0x80 ? 0 : lead < 0xc2 || lead > 0xf4 ? 4 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (more == 4) return 0xfffd;
    uint32_t point = more ? lead & (0x3f >> more) : lead;
    for (; more; more--) {
        if (((uint8_t)**text & 0xc0) != 0x80) return 0xfffd;
        point = point << 6 | ((uint8_t)*(*text)++ & 0x3f);
    }
    return point;
}
