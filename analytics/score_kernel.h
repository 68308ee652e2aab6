/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scoring kernel, compiled once for each instruction set by the tiny files that include it.
 *
 *   CX_SCORE_KERNEL  name of the function it defines (a cx_score_kernel)
 *   CX_SCORE_BLOCK   rows handled at a time: a divisor of CX_SCORE_ROWS
 *
 * Plain C that compilers vectorise: every inner loop runs over the rows of a block, its length a
 * constant. A block's sums fill eight registers, so that the chains of additions (one a row, over
 * the measures) are enough to keep the units busy, and are neither stored nor loaded meanwhile.
 * Block size and vector width choose which rows stand side by side, never what is done to a row, so
 * each path gives the same bits as long as nobody contracts (-ffp-contract=off) or reorders.
 *
 * A comparison `a > b ? a : b` gives b if a is not a number; so the limits below also hold for
 * sums that overflowed (inf − inf), and no conversion to an integer is undefined. */
#ifndef CX_SCORE_KERNEL_H
#define CX_SCORE_KERNEL_H

#include "analytics/score_normal.h"
#include "analytics/score_parts.h"

#include <string.h>

struct cx_score_terms { /* of a model, the same for each row */
    const float *coef;
    int measures;
    float low, high;
    float edge;  /* cut + ½ */
    float gap;   /* edge − centre */
    float slope; /* 1 / sigma */
    float nudge; /* added to z: 0, or without residual what makes y = edge certain too */
};

static inline struct cx_score_terms cx_score_terms(const struct cx_score_model *model)
{
    bool spread = model->sigma > 0x1p-100f;
    return (struct cx_score_terms){
        .coef = model->coef,
        .measures = model->measures,
        .low = model->low,
        .high = model->high,
        .edge = model->cut + 0.5f,
        .gap = model->cut + 0.5f - model->centre,
        .slope = spread ? 1.0f / model->sigma : 0x1p100f,
        .nudge = spread ? 0.0f : 8.0f,
    };
}

/* One block; column j begins at x + j·stride. What is summed is the distance from y up to the edge,
 * a small number, so that little is lost to rounding; it is what the probability needs. */
static inline void cx_score_block(int32_t *restrict predicted, int32_t *restrict detractor,
                                  const struct cx_score_terms *terms, const float *restrict x,
                                  size_t stride)
{
    const struct cx_score_terms t = *terms;
    float gap[CX_SCORE_BLOCK];
    for (int r = 0; r < CX_SCORE_BLOCK; r++)
        gap[r] = t.gap;
    for (int j = 0; j < t.measures; j++) {
        const float coef = t.coef[j];
        const float *restrict column = x + (size_t)j * stride;
        for (int r = 0; r < CX_SCORE_BLOCK; r++)
            gap[r] = gap[r] - coef * column[r];
    }
    for (int r = 0; r < CX_SCORE_BLOCK; r++) {
        float y = t.edge - gap[r];
        y = y > t.low ? y : t.low;
        y = y < t.high ? y : t.high;
        predicted[r] = cx_score_round(y * (float)CX_SCORE_UNIT);
        float share = cx_score_normal(gap[r] * t.slope + t.nudge);
        detractor[r] = cx_score_round(share * (float)CX_SCORE_PROBABILITY);
    }
}

cx_score_kernel CX_SCORE_KERNEL;

/* The rows after the last full block, copied and filled up with zeros: what follows them in
 * `rows` may never have been written. */
static void cx_score_tail(struct cx_score_result *result, const struct cx_score_terms *terms,
                          const struct cx_score_rows *rows, size_t from)
{
    _Alignas(64) float x[CX_SCORE_MEASURES_MAX][CX_SCORE_BLOCK];
    _Alignas(64) int32_t predicted[CX_SCORE_BLOCK], detractor[CX_SCORE_BLOCK];
    size_t left = rows->rows - from;
    for (int j = 0; j < terms->measures; j++) {
        memcpy(x[j], &rows->x[j][from], left * sizeof(float));
        memset(x[j] + left, 0, (CX_SCORE_BLOCK - left) * sizeof(float));
    }
    cx_score_block(predicted, detractor, terms, x[0], CX_SCORE_BLOCK);
    memcpy(result->predicted + from, predicted, left * sizeof(int32_t));
    memcpy(result->detractor + from, detractor, left * sizeof(int32_t));
}

void CX_SCORE_KERNEL(struct cx_score_result *result, const struct cx_score_model *model,
                     const struct cx_score_rows *rows)
{
    const struct cx_score_terms terms = cx_score_terms(model);
    size_t row = 0;
    for (; row + CX_SCORE_BLOCK <= rows->rows; row += CX_SCORE_BLOCK)
        cx_score_block(result->predicted + row, result->detractor + row, &terms, &rows->x[0][row],
                       CX_SCORE_ROWS);
    if (row < rows->rows)
        cx_score_tail(result, &terms, rows, row);
}

#endif
