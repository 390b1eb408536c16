/* What the sources of this folder offer to a program on a small processor. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIFO_SIZE = 64 };

struct debouncer {
    uint8_t stable, high, low;
};

struct fifo {
    volatile uint8_t written, read;
    uint8_t bytes[FIFO_SIZE];
};

struct pid {
    int16_t proportional, integrating, derivative, bound, integral, last_error;
};

uint32_t adler32(const uint8_t *data, size_t size);
size_t base64(const uint8_t *data, size_t size, char *text);
uint8_t to_bcd(uint8_t value);
uint8_t from_bcd(uint8_t digits);
uint8_t ones(uint32_t word);
uint8_t reversed(uint8_t byte);
uint8_t highest(uint32_t word);
size_t lower_bound(const int16_t *numbers, size_t count, int16_t wanted);
int32_t day_number(int16_t year, uint8_t month, uint8_t day);
uint8_t weekday(int16_t year, uint8_t month, uint8_t day);
size_t cobs(const uint8_t *data, size_t size, uint8_t *frame);
uint16_t crc16(const uint8_t *data, size_t size);
uint32_t crc32(const uint8_t *data, size_t size);
uint8_t crc8(const uint8_t *data, size_t size);
uint8_t debounce(struct debouncer *state, uint8_t sample);
bool fifo_put(struct fifo *queue, uint8_t byte);
bool fifo_get(struct fifo *queue, uint8_t *byte);
int16_t fir(const int16_t *samples, const int16_t *coefficients, uint8_t taps);
uint16_t fletcher16(const uint8_t *data, size_t size);
uint32_t fnv1a(const char *text);
char *format_decimal(int32_t value, char *text);
char *format_hex(uint32_t value, char *text);
uint16_t gcd(uint16_t a, uint16_t b);
uint16_t to_gray(uint16_t value);
uint16_t from_gray(uint16_t code);
uint8_t hamming_encode(uint8_t nibble);
uint8_t hamming_decode(uint8_t code);
void heap_push(uint16_t *heap, uint8_t count, uint16_t deadline);
uint16_t heap_pop(uint16_t *heap, uint8_t count);
void life(const uint8_t before[8], uint8_t after[8]);
uint16_t manchester(uint8_t byte);
int16_t median5(int16_t a, int16_t b, int16_t c, int16_t d, int16_t e);
uint8_t morse(char letter);
int16_t pid(struct pid *state, int16_t wanted, int16_t measured);
uint32_t xorshift32(uint32_t *state);
uint16_t random_below(uint32_t *state, uint16_t bound);
size_t packbits(const uint8_t *data, size_t size, uint8_t *packed);
int16_t sine(uint16_t angle);
void sort(int16_t *numbers, size_t count);
uint16_t square_root(uint32_t value);
uint32_t next_code_point(const char **text);
void xtea_encrypt(uint32_t block[2], const uint32_t key[4]);
void xtea_decrypt(uint32_t block[2], const uint32_t key[4]);

#endif
