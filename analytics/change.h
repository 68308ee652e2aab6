/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When did a driver begin to matter more, or less? Compares the coefficients before and after each
 * boundary between blocks of days: z = (b₂ − b₁)/√(se₁² + se₂²), one driver at a time in the full
 * model; the boundary of the largest |z| is the change point. p is that of its |z|, by Student's t
 * with Welch's degrees of freedom, times the boundaries tried (Bonferroni), then Benjamini–Hochberg
 * over the drivers.
 * Every block has an intercept of its own, so only what happens within blocks counts: drivers and
 * outcome may rise and fall together from block to block, for whatever reason, without looking like
 * a change of a coefficient. Errors are the model's: rows of a block count as independent.
 * In simulations of 12 unequal blocks and 4 drivers, 4 % of worlds without a change have one called
 * at q < 0.05, whatever the levels do.
 * Memory: the caller's. Threads: pure. */
#ifndef CX_CHANGE_H
#define CX_CHANGE_H

#include "analytics/moments.h"

struct cx_change_question {
    const cx_wide *const
        *cell;           /* per block, in order of time: complete rows, drivers then outcome */
    int blocks, columns; /* columns 2 … CX_COLUMNS_MAX */
    const int *decimals; /* per column; NULL = 0 */
};

struct cx_change { /* of one driver; numbers NAN when it cannot be told */
    int block;     /* first block of the new coefficient; −1 = cannot be told */
    double before, after, se_before, se_after;
    double z, p, q; /* p over the boundaries, q over the drivers too */
};

size_t cx_changes_work(int columns, int blocks); /* bytes, 16-byte aligned */
/* change: one per driver (columns − 1). Boundaries with fewer than max(30, 5p) (effective) rows on
 * either side are not tried, nor is a driver that either side cannot estimate (constant within its
 * blocks, aliased, residual 0). False: none could be tried. */
bool cx_changes(struct cx_change *change, const struct cx_change_question *question, void *work);

#endif
