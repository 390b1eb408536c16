/* One tile of the Mandelbrot set, as rows of RGB bytes on stdout.
 *
 * stdin:     "COLUMN ROW", the tile's place in the picture
 * arguments: CENTRE_X CENTRE_Y WIDTH LIMIT, the view (WIDTH of the whole picture) and the most iterations per sample
 *
 * Only +, -, *, / and comparisons of IEEE doubles: every machine, and check.py, computes the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TILES = 32, SIDE = 32, SAMPLES = 2, STOPS = 5, STOP_UNITS = 1024 };

static const double ESCAPE = 65536.0; /* |z|^2: large, so that colours run without steps */
static const int palette[STOPS][3] = {{0, 7, 100}, {32, 107, 203}, {237, 255, 255}, {255, 170, 0}, {90, 12, 20}};

/* The logarithm to base 2 of a positive double: its exponent, and the series of atanh for its mantissa. */
static double log2_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
    memcpy(&value, &bits, sizeof bits);
    double ratio = (value - 1.0) / (value + 1.0), square = ratio * ratio, sum = 0.0;
    for (int odd = 15; odd > 0; odd -= 2) sum = sum * square + 1.0 / odd;
    return exponent + 2.0 * ratio * sum * 1.4426950408889634;
}

/* Adds the colour of one point to `sum`; a point that never escapes is black. */
static void add_sample(double x, double y, int limit, int sum[3]) {
    double real = 0.0, imaginary = 0.0, real2 = 0.0, imaginary2 = 0.0;
    int count = 0;
    while (count < limit && real2 + imaginary2 <= ESCAPE) {
        imaginary = 2.0 * real * imaginary + y;
        real = real2 - imaginary2 + x;
        real2 = real * real;
        imaginary2 = imaginary * imaginary;
        count++;
    }
    if (count == limit) return;
    double smooth = count + 5.0 - log2_of(log2_of(real2 + imaginary2));
    int position = (int)(log2_of(smooth) * 1536.0) % (STOPS * STOP_UNITS);
    int stop = position / STOP_UNITS, part = position % STOP_UNITS;
    const int *from = palette[stop], *to = palette[(stop + 1) % STOPS];
    for (int channel = 0; channel < 3; channel++)
        sum[channel] += (from[channel] * (STOP_UNITS - part) + to[channel] * part) / STOP_UNITS;
}

int main(int argc, char **argv) {
    char input[32] = {0}, *rest;
    static unsigned char pixels[SIDE * SIDE * 3];
    if (argc != 5 || read(0, input, sizeof input - 1) <= 0) return 2;
    int left = (int)strtol(input, &rest, 10) * SIDE, top = (int)strtol(rest, 0, 10) * SIDE;
    double width = atof(argv[3]), step = width / (TILES * SIDE * SAMPLES);
    double x0 = atof(argv[1]) - width / 2, y0 = atof(argv[2]) - width / 2;
    for (int pixel = 0; pixel < SIDE * SIDE; pixel++) {
        int x = (left + pixel % SIDE) * SAMPLES, y = (top + pixel / SIDE) * SAMPLES, sum[3] = {0, 0, 0};
        for (int sample = 0; sample < SAMPLES * SAMPLES; sample++)
            add_sample(x0 + (x + sample % SAMPLES) * step, y0 + (y + sample / SAMPLES) * step, atoi(argv[4]), sum);
        for (int channel = 0; channel < 3; channel++)
            pixels[pixel * 3 + channel] = (unsigned char)(sum[channel] / (SAMPLES * SAMPLES));
    }
    return write(1, pixels, sizeof pixels) == sizeof pixels ? 0 : 1;
}
