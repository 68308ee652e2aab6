/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bin of v ≥ 64: with 2^e ≤ v < 2^(e+1) and m = v/2^e − 1, the concave (4m − m²)/3 stands in
 * for log2(1 + m): its slope per relative change of v is never below 4/3 of a doubling (a straight
 * line would need 50 bins per doubling for 1 %, this needs 38, the logarithm itself 35). A bin's
 * edges are then 1 + m = 3 − √(4 − 3j/38), and the widest bin's edges differ by the factor
 * 1.0199 < 1.01/0.99. m is held in 32 bits, rounded down; the tests walk every edge. */
#include "analytics/sketch.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

#define EXACT_BITS 6 /* values below 2^6 have a bin each */
#define EXACT (1 << EXACT_BITS)
#define PER_DOUBLING 38

static int magnitude_bin(uint64_t value)
{
    if (value < EXACT)
        return (int)value;
    int e = 63 - __builtin_clzll(value);
    uint64_t fraction = (value << (63 - e)) << 1; /* m·2^64 */
    uint64_t m = fraction >> 32;
    /* (4m − m²)/3 · 38, m in units of 2^−32: below 2^70, so in 128 bits */
    unsigned __int128 wide = m, scaled = ((wide << 34) - wide * wide) * PER_DOUBLING;
    return EXACT + (e - EXACT_BITS) * PER_DOUBLING + (int)((scaled / 3) >> 64);
}

int cx_sketch_bin(int64_t value)
{
    return value < 0 ? -magnitude_bin(0 - (uint64_t)value) : magnitude_bin((uint64_t)value);
}

double cx_sketch_value(int bin)
{
    if (bin < 0)
        return -cx_sketch_value(-bin);
    if (bin > CX_SKETCH_BIN_MAX)
        return NAN;
    if (bin < EXACT)
        return bin;
    int e = EXACT_BITS + (bin - EXACT) / PER_DOUBLING, j = (bin - EXACT) % PER_DOUBLING;
    double low = 3 - sqrt(4 - 3.0 * j / PER_DOUBLING);
    double high = 3 - sqrt(4 - 3.0 * (j + 1) / PER_DOUBLING);
    return ldexp(2 * low * high / (low + high), e); /* equally far from both, relatively */
}

static int64_t total(const struct cx_sketch_count *counts, size_t size)
{
    int64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += counts[i].count;
    return n;
}

/* rank 1 … n */
static double value_at(const struct cx_sketch_count *counts, size_t size, double rank)
{
    int64_t seen = 0;
    for (size_t i = 0; i < size; i++) {
        seen += counts[i].count;
        if ((double)seen >= rank)
            return cx_sketch_value(counts[i].bin);
    }
    return NAN;
}

double cx_sketch_quantile(const struct cx_sketch_count *counts, size_t size, double q)
{
    if (!(q >= 0 && q <= 1) || total(counts, size) <= 0)
        return NAN;
    return value_at(counts, size, fmax(1, ceil(q * (double)total(counts, size) - 1e-9)));
}

struct cx_sketch_limits cx_sketch_interval(const struct cx_sketch_count *counts, size_t size,
                                           double q, double level)
{
    double n = (double)total(counts, size);
    if (!(q >= 0 && q <= 1) || n <= 0 || !(level > 0 && level < 1))
        return (struct cx_sketch_limits){NAN, NAN};
    double half = gsl_cdf_ugaussian_Qinv((1 - level) / 2) * sqrt(n * q * (1 - q));
    double low = floor(n * q - half), high = ceil(n * q + half) + 1;
    return (struct cx_sketch_limits){
        .low = low < 1 ? -INFINITY : value_at(counts, size, low),
        .high = high > n ? INFINITY : value_at(counts, size, high),
    };
}
