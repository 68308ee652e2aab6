/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cells of one table as `verify` makes them: contributions are appended, sorted and summed.
 *
 * The daemon adds into a hash table; here nothing is looked up, so that the two have no code and no
 * idea in common. Memory: the cells and a buffer of contributions of about their size.
 * Threads: none; caller serialises. Out of memory ends the process. */
#ifndef FP_VERIFY_SUM_H
#define FP_VERIFY_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FP_SUM_KEYS 5
/* Columns of a tally: n, weight, weight², sum, sum², then eleven bins. */
#define FP_SUM_TALLY 16
#define FP_SUM_TALLY_BINS 5 /* the column of bin 0 */

/* Tallies: {series, bucket, unit, channel, 0}; sketch: {series, bucket, unit, channel, bin};
 * coverage: {touchpoint, bucket, 0, 0, 0}. */
struct fp_sum_entry {
    int32_t key[FP_SUM_KEYS];
    int32_t at;        /* of a tally: the bin, or as below; else the column that counts */
    int64_t y, weight; /* of a tally; a count adds `weight` */
    int64_t per;       /* of a pair: what y is divided by */
};
#define FP_SUM_NO_BIN (-1)
#define FP_SUM_NUMERATOR (-2) /* 1 to the sum, whatever the weight; nothing else */
#define FP_SUM_PAIR (-3)      /* bins 0 … 2 take Σw·per, Σw·per² and Σw·y·per */

struct fp_sum {
    int width; /* columns; FP_SUM_TALLY makes it a tally */
    struct fp_sum_entry *pending;
    size_t pending_count, pending_capacity;
    int32_t (*keys)[FP_SUM_KEYS]; /* in rising order */
    int64_t *values;              /* width each */
    size_t count;
    bool overflow; /* a sum does not fit int64 */
};

void fp_sum_init(struct fp_sum *sum, int width);
void fp_sum_free(struct fp_sum *sum);
void fp_sum_add(struct fp_sum *sum, const struct fp_sum_entry *entry);
/* Sums up what is pending; then keys and values hold, and cells of nothing but zeros are gone. */
void fp_sum_finish(struct fp_sum *sum);
int fp_sum_compare(const int32_t a[FP_SUM_KEYS], const int32_t b[FP_SUM_KEYS]);

#endif
