/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Does a driver model predict what it has not seen? Prequential (Dawid 1984): coefficients from the
 * blocks before t, squared errors on block t, from cross-products alone:
 *   SSE_t = q'G_t q with q = (1, −b₀, −b), G_t the block's cross-products over (y, 1, x);
 *   Q² = 1 − Σ SSE_t / Σ SST_t, SST_t around the mean of the blocks before t.
 * Calibration: regression of y on its prediction over the same blocks; slope 1 and intercept 0 are
 * perfect, a slope below 1 says that predictions are too bold.
 * A block is predicted when those before it hold at least max(30, 3p) (effective) rows and keep at
 * least one driver; drivers that are constant or aliased there take no part in that prediction.
 * Limits: jackknife over the predicted blocks (importance_interval.h), plain scale; it leaves a
 * block's errors out, it does not fit again; in simulations (12 unequal blocks of 20 … 200 rows,
 * with and without an effect of the block) 95 % limits of Q² cover .93 … .95, of the slope .91 …
 * .93. Relative error ≤ 1e-10 of a computation by rows, also where means are a million times the
 * spread. Memory: the caller's. Threads: pure. */
#ifndef CX_FITNESS_H
#define CX_FITNESS_H

#include "analytics/interval.h"
#include "analytics/moments.h"

#define CX_FITNESS_BLOCKS_MAX 64
#define CX_FITNESS_LIMITS_MIN 4 /* predicted blocks, for limits */

struct cx_fitness_question {
    const cx_wide *const
        *cell;           /* per block, in order of time: complete rows, drivers then outcome */
    int blocks, columns; /* blocks ≤ CX_FITNESS_BLOCKS_MAX; columns 2 … CX_COLUMNS_MAX */
    const int *decimals; /* per column; NULL = 0 */
    double level;        /* 0 = 0.95 */
};

struct cx_fitness {
    struct cx_interval q2;        /* limits NAN under CX_FITNESS_LIMITS_MIN blocks */
    double slope, intercept;      /* of y on its prediction; NAN when predictions do not vary */
    double slope_low, slope_high; /* NAN as with q2 */
    double mean_error;            /* observed − predicted, in the outcome's unit */
    int blocks;                   /* predicted */
    double n;                     /* Σw of the rows predicted */
};

size_t cx_fitness_work(int columns, int blocks); /* bytes, 16-byte aligned */
/* False: nothing can be predicted (too few rows before every block, no driver or outcome that
 * varies, sums beyond 128 bits, sizes out of range); all NAN then. */
bool cx_fitness(struct cx_fitness *fitness, const struct cx_fitness_question *question, void *work);

#endif
