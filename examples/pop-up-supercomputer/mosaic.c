/* Lays the 1,024 tiles that arrive on stdin, row by row of tiles, side by side and writes them as one PNG.
 *
 * argument: the file to write
 *
 * PNG is ISO/IEC 15948, its compression RFC 1950 and 1951: here filter Sub, matches found by a hash of three bytes, and
 * the fixed Huffman code, which needs no tables in the file. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TILES = 32, SIDE = 32, EDGE = TILES * SIDE, ROW = 1 + EDGE * 3, RAW = EDGE * ROW };
enum { WINDOW = 32768, SHORTEST = 3, LONGEST = 258, HASHES = 1 << 16, MODULUS = 65521, ENOUGH = RAW + RAW / 8 + 64 };

static unsigned char tiles[EDGE * EDGE * 3], raw[RAW], packed[ENOUGH];
static uint32_t bits;
static int bit_count, packed_size;

/* Appends the lowest `count` bits of `value`, lowest first. */
static void put(uint32_t value, int count) {
    bits |= value << bit_count;
    for (bit_count += count; bit_count >= 8; bit_count -= 8, bits >>= 8) packed[packed_size++] = (unsigned char)bits;
}

/* Huffman codes alone stand highest bit first (RFC 1951, 3.1.1). */
static void put_code(uint32_t code, int count) {
    while (count-- > 0) put(code >> count & 1, 1);
}

/* A literal byte, 256 for the end, or a length's symbol (RFC 1951, 3.2.6). */
static void put_symbol(int symbol) {
    if (symbol < 144) put_code(0x30 + symbol, 8);
    else if (symbol < 256) put_code(0x190 + symbol - 144, 9);
    else if (symbol < 280) put_code(symbol - 256, 7);
    else put_code(0xc0 + symbol - 280, 8);
}

/* Lengths and distances stand in groups, each power of two cut into `1 << cut` groups (RFC 1951, 3.2.5): sets the group
 * of `value`, counted from 0, and the number of extra bits, which are the lowest of `value`. */
static int group_of(int value, int cut, int *extra) {
    int power = 31 - __builtin_clz(value | 1);
    *extra = power > cut ? power - cut : 0;
    return (*extra << cut) + (value >> *extra);
}

static void put_match(int length, int distance) {
    int extra, group = group_of(length - SHORTEST, 2, &extra);
    put_symbol(length == LONGEST ? 285 : 257 + group);
    if (length < LONGEST) put((length - SHORTEST) & ((1 << extra) - 1), extra);
    put_code(group_of(distance - 1, 1, &extra), 5);
    put((distance - 1) & ((1 << extra) - 1), extra);
}

static int match_length(int here, int there) {
    int length = 0;
    while (length < LONGEST && here + length < RAW && raw[here + length] == raw[there + length]) length++;
    return length;
}

static void deflate(void) {
    static int last[HASHES]; /* position + 1 of the three bytes of that hash */
    put(3, 3); /* the last block, of the fixed code */
    for (int here = 0, length; here < RAW; here += length) {
        length = 1;
        if (here + SHORTEST <= RAW) {
            uint32_t three = raw[here] | raw[here + 1] << 8 | raw[here + 2] << 16;
            int *slot = &last[(three * 2654435761U) >> 16], there = *slot - 1;
            *slot = here + 1;
            int found = there >= 0 && here - there <= WINDOW ? match_length(here, there) : 0;
            if (found >= SHORTEST) put_match(length = found, here - there);
        }
        if (length == 1) put_symbol(raw[here]);
    }
    put_symbol(256);
    put(0, 7); /* to the next whole byte */
}

static void put_word(uint32_t word) {
    for (int shift = 24; shift >= 0; shift -= 8) packed[packed_size++] = (unsigned char)(word >> shift);
}

static void compress(void) {
    uint32_t low = 1, high = 0;
    packed[packed_size++] = 0x78, packed[packed_size++] = 0x01;
    deflate();
    for (int at = 0; at < RAW; at++) low = (low + raw[at]) % MODULUS, high = (high + low) % MODULUS;
    put_word(high << 16 | low);
}

static void filter(void) {
    for (int y = 0; y < EDGE; y++) {
        unsigned char *row = raw + y * ROW;
        *row = 1; /* Sub: the difference to the pixel on the left */
        for (int x = 0; x < EDGE; x++) {
            int tile = y / SIDE * TILES + x / SIDE;
            memcpy(row + 1 + x * 3, tiles + ((tile * SIDE + y % SIDE) * SIDE + x % SIDE) * 3, 3);
        }
        for (int at = EDGE * 3; at > 3; at--) row[at] -= row[at - 3];
    }
}

/* A chunk of the file: length, type, data, and the CRC of type and data. */
static int write_chunk(FILE *file, const char *type, const unsigned char *data, uint32_t size) {
    uint32_t crc = 0xffffffff;
    for (uint32_t at = 0; at < size + 4; at++) {
        crc ^= at < 4 ? (unsigned char)type[at] : data[at - 4];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    uint32_t words[2] = {__builtin_bswap32(size), __builtin_bswap32(~crc)};
    return fwrite(words, 4, 1, file) + fwrite(type, 4, 1, file) + fwrite(data, 1, size, file) + fwrite(words + 1, 4, 1, file) == size + 3;
}

int main(int argc, char **argv) {
    static const unsigned char header[] = {0, 0, EDGE >> 8, EDGE & 255, 0, 0, EDGE >> 8, EDGE & 255, 8, 2, 0, 0, 0};
    FILE *file = argc == 2 && fread(tiles, sizeof tiles, 1, stdin) == 1 ? fopen(argv[1], "wb") : 0;
    if (!file) return 2;
    filter();
    compress();
    fwrite("\x89PNG\r\n\x1a\n", 8, 1, file);
    int whole = write_chunk(file, "IHDR", header, sizeof header) && write_chunk(file, "IDAT", packed, packed_size) &&
                write_chunk(file, "IEND", header, 0);
    return whole && fclose(file) == 0 ? 0 : 1;
}
