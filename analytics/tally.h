/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The additive state behind every KPI value: integers only, so that adding is exact in any order.
 * All zero = empty. Errors: cx_tally_add and _merge return false when an int64 would overflow (the
 * tally is then unchanged). Threads: none; caller serialises. */
#ifndef CX_TALLY_H
#define CX_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define CX_TALLY_BINS 11

struct cx_tally {
    int64_t n;                  /* observations of weight > 0 */
    int64_t weight;             /* Σw */
    int64_t weight_square;      /* Σw² ; effective n = (Σw)² / Σw² (Kish) */
    int64_t sum;                /* Σw·y, y in scale points or fixed point */
    int64_t sum_square;         /* Σw·y² */
    int64_t bin[CX_TALLY_BINS]; /* Σw of each answer, by value − scale minimum; unused = 0 */
};

/* What a tally of pairs (x, y), y ≥ 0, holds for the ratio Σw·x ÷ Σw·y: n, weight and weight_square
 * count pairs, sum and sum_square are of x; of y and of both: */
enum cx_tally_pair {
    CX_TALLY_Y,        /* bin of Σw·y */
    CX_TALLY_Y_SQUARE, /* Σw·y² */
    CX_TALLY_XY        /* Σw·x·y */
};

/* sign +1 adds, −1 takes away what was added before. bin −1: no histogram. weight ≥ 0; 0 is a
 * no-op. */
bool cx_tally_add(struct cx_tally *tally, int64_t y, int bin, int64_t weight, int sign);
/* The same of a pair. */
bool cx_tally_add_pair(struct cx_tally *tally, int64_t x, int64_t y, int64_t weight, int sign);
/* Adds `sign` to the sum alone: an answer to something that n counts on its own. */
bool cx_tally_add_numerator(struct cx_tally *tally, int sign);
bool cx_tally_merge(struct cx_tally *into, const struct cx_tally *from);

#endif
