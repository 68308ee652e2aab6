/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quantiles from counts per bin, in the way of DDSketch (Masson, Rim & Lee 2019): bins of constant
 * relative width, so counts add in any order and a quantile is within 1 % of an observed value.
 *
 * Bins are found by integer arithmetic only, so every machine puts a value in the same bin. Values
 * are fixed point. Bin 0 holds 0; bins 1 … 63 one value each (exact); above, 38 bins per doubling.
 * Negative values have the bins of their absolute value, negated. Bins rise with the values.
 * Threads: pure. */
#ifndef CX_SKETCH_H
#define CX_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#define CX_SKETCH_BIN_MAX 2230 /* of 2^63, the magnitude of INT64_MIN; fits int16 */

int cx_sketch_bin(int64_t value);
/* The value that stands for a bin: at most 1 % from every value in it. NAN outside ±BIN_MAX. */
double cx_sketch_value(int bin);

struct cx_sketch_count {
    int bin;
    int64_t count; /* ≥ 0 */
};

/* The q-quantile of the n counted values is the value of rank ⌈q·n⌉ in rising order (rank 1 for
 * q = 0), the inverse of the empirical distribution function; q·n is taken as whole when it is
 * within 1e-9 of a whole number. `counts` in rising order of bin. NAN when n = 0 or q is not in
 * 0 … 1. */
double cx_sketch_quantile(const struct cx_sketch_count *counts, size_t size, double q);

/* Confidence limits of that quantile are the values of two ranks: of n draws the number at or below
 * the true quantile is binomial (n, q); by its normal approximation, rounded outwards,
 * low = ⌊nq − z·s⌋ and high = ⌈nq + z·s⌉ + 1 with s = √(nq(1−q)). A rank below 1 or above n means
 * that the data set no limit on that side: the value is then −INFINITY or INFINITY. */
struct cx_sketch_limits {
    double low, high;
};
struct cx_sketch_limits cx_sketch_interval(const struct cx_sketch_count *counts, size_t size,
                                           double q, double level);

#endif
