/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Predicted outcomes of many touchpoint events at once: the hot loop.
 *
 *   y = centre + Σ coef_j · (x_j − mean_j), clamped to the outcome's scale;
 *   P(detractor) = Φ((cut + ½ − y_unclamped) / sigma)
 * in 32-bit floats over columns (structure of arrays). One source is compiled for each instruction
 * set and chosen at run time; every operation is done for each row in the same order and without
 * contraction, so each path gives the same integers to the bit. No branch a row, no allocation.
 *
 * Accuracy: Φ within 1e-6 (score_normal.h). With sums of ordinary size (up to ten scale points,
 * sigma ≥ ½) a prediction is the rounded one or, at a tie, its neighbour; a probability within 3
 * millionths. Rounding is to nearest, ties to even. Any amount and any coefficient that is a number
 * gives values inside the scale and 0 … CX_SCORE_PROBABILITY, also where sums overflow.
 *
 * Threads: pure; the choice of path is made from the processor, not kept in a variable. */
#ifndef CX_SCORE_H
#define CX_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CX_SCORE_MEASURES_MAX 32
#define CX_SCORE_ROWS 256            /* a micro-batch: 12 columns stay in the first-level cache */
#define CX_SCORE_UNIT 1000           /* predictions in thousandths of a scale point */
#define CX_SCORE_PROBABILITY 1000000 /* probabilities in millionths */

struct cx_score_model {
    int measures;
    double mean[CX_SCORE_MEASURES_MAX];  /* in the measure's own unit */
    double scale[CX_SCORE_MEASURES_MAX]; /* 10^−decimals: fixed point → the unit */
    float coef[CX_SCORE_MEASURES_MAX];
    float centre, low, high; /* mean outcome; limits of its scale, within ±4000 */
    float cut;               /* P(detractor) = P(outcome ≤ cut) */
    float sigma;             /* residual SD; 0: every probability is 0 or 1 (y = cut + ½: 1) */
};

struct cx_score_rows { /* a micro-batch; aligned to 64 bytes */
    _Alignas(64) float x[CX_SCORE_MEASURES_MAX][CX_SCORE_ROWS]; /* centred; missing = 0 */
    size_t rows; /* set to 0 to begin anew; what follows the last row is never read */
};

struct cx_score_result {
    _Alignas(64) int32_t predicted[CX_SCORE_ROWS]; /* CX_SCORE_UNIT */
    _Alignas(64) int32_t detractor[CX_SCORE_ROWS]; /* CX_SCORE_PROBABILITY */
};

/* Appends a row: amount[j] in fixed point, present bit j = given. A missing measure is its mean,
 * whatever number its amount is. The caller keeps rows < CX_SCORE_ROWS. */
void cx_score_put(struct cx_score_rows *rows, const struct cx_score_model *model,
                  const int64_t *amount, uint32_t present);

/* The baseline is what every processor of the architecture has: SSE2 on x86-64; on aarch64 NEON by
 * definition, and named so. The others exist on x86-64 only. */
enum cx_score_path { CX_SCORE_BASELINE, CX_SCORE_AVX2, CX_SCORE_AVX512, CX_SCORE_PATHS };
bool cx_score_has(enum cx_score_path path); /* built in, and this processor can */
enum cx_score_path cx_score_best(void);
const char *cx_score_path_name(enum cx_score_path path);

/* result of the rows; beyond them it is left as it was. A path this processor lacks is computed by
 * the baseline: the same integers. */
void cx_score(struct cx_score_result *result, const struct cx_score_model *model,
              const struct cx_score_rows *rows, enum cx_score_path path);

#endif
