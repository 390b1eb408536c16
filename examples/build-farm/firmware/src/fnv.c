/* FNV-1a with 32 bits: a hash for names. */
#include "firmware.h"

uint32_t fnv1a(const char *text) {
    uint32_t hash = 2166136261UL;
    while (*text) hash = (hash ^ (uint8_t)*text++) * 16777619UL;
    return hash;
}
