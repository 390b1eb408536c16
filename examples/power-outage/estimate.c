/* The mean distance of two random points in a cube, by Monte Carlo, as a module that is run step by step.
 *
 * stdin:  "SEED STEPS SAMPLES", SAMPLES pairs of points in each of STEPS steps
 * stdout: a line for each tenth of the way, then "mean MEAN error STANDARD_ERROR median MEDIAN samples COUNT"
 *
 * `step` is called until it returns 0. Nothing here knows of snapshots: all of its state is in memory and in globals, and
 * whoever calls it may save them between two calls and go on from there elsewhere. The distances are counted in a
 * histogram of 8 MiB, so that there is something to save. Only +, *, / and sqrt of IEEE doubles, whose results are the
 * same on every machine. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BINS = 1 << 20, TENTHS = 10 };

static uint64_t state;
static uint64_t *histogram;
static unsigned long done, steps, samples;
static double sum, square_sum;

/* SplitMix64 (Steele, Lea and Flood 2014): a number in [0, 1) with 53 random bits. */
static double next(void) {
    uint64_t mixed = state += 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return (double)((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53;
}

static double distance(void) {
    double total = 0.0;
    for (int axis = 0; axis < 3; axis++) {
        double from = next(), to = next();
        total += (from - to) * (from - to);
    }
    return sqrt(total);
}

static double median(double count) {
    double below = 0.0;
    for (int bin = 0; bin < BINS; bin++) {
        below += (double)histogram[bin];
        if (2.0 * below >= count) return (bin + 0.5) * (2.0 / BINS);
    }
    return 0.0;
}

static int begin(void) {
    if (scanf("%llu %lu %lu", (unsigned long long *)&state, &steps, &samples) != 3 || !steps || !samples) return 0;
    histogram = calloc(BINS, sizeof *histogram);
    if (!histogram) abort();
    return 1;
}

static void tell(void) {
    double count = (double)done * (double)samples, mean = sum / count;
    if (done == steps) {
        double error = sqrt((square_sum / count - mean * mean) / count);
        printf("mean %.17g error %.3g median %.17g samples %.0f\n", mean, error, median(count), count);
    } else {
        printf("%lu0 %%: %.17g\n", done * TENTHS / steps, mean);
    }
    fflush(stdout); /* a reactor has no end at which this would be done for it */
}

__attribute__((export_name("step"))) int step(void) {
    if (!histogram && !begin()) {
        fputs("stdin must be: SEED STEPS SAMPLES\n", stderr);
        return 2;
    }
    for (unsigned long sample = 0; sample < samples; sample++) {
        double found = distance();
        sum += found;
        square_sum += found * found;
        histogram[(int)(found * (BINS / 2.0))]++;
    }
    done++;
    if (done * TENTHS / steps != (done - 1) * TENTHS / steps) tell();
    return done < steps;
}
