/* XTEA (Needham and Wheeler, 1997): 64-bit blocks, a 128-bit key, 32 rounds. */
#include "firmware.h"

static const uint32_t delta = 0x9e3779b9;

void xtea_encrypt(uint32_t block[2], const uint32_t key[4]) {
    uint32_t sum = 0;
    for (uint8_t round = 0; round < 32; round++) {
        block[0] += ((block[1] << 4 ^ block[1] >> 5) + block[1]) ^ (sum + key[sum & 3]);
        sum += delta;
        block[1] += ((block[0] << 4 ^ block[0] >> 5) + block[0]) ^ (sum + key[sum >> 11 & 3]);
    }
}

void xtea_decrypt(uint32_t block[2], const uint32_t key[4]) {
    uint32_t sum = delta * 32;
    for (uint8_t round = 0; round < 32; round++) {
        block[1] -= ((block[0] << 4 ^ block[0] >> 5) + block[0]) ^ (sum + key[sum >> 11 & 3]);
        sum -= delta;
        block[0] -= ((block[1] << 4 ^ block[1] >> 5) + block[1]) ^ (sum + key[sum & 3]);
    }
}
