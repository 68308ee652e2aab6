/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two halves of solve_drivers.h share. */
#ifndef CX_SOLVE_DRIVERS_PARTS_H
#define CX_SOLVE_DRIVERS_PARTS_H

#include "analytics/solve_drivers.h"

struct cx_drivers_memory {
    struct cx_fit_work solver;
    struct cx_cross cross; /* of the last estimate */
    struct cx_fit fit;     /* of the last estimate, over its columns */
    struct cx_em em, warm;
    struct cx_em_errors errors;
    struct cx_set rest, folded;
    struct cx_rank rank;
    struct cx_pattern *patterns; /* 2 × capacity */
    cx_wide *cells;              /* 2 × capacity blocks */
    cx_wide *block;              /* 2 blocks */
    double *r, *numbers;         /* correlations; room for every method */
    double *without;             /* groups × statistics */
    int capacity;
};

/* Estimates over `columns` (drivers and outcome) of the total without group g (−1: of all) into
 * m->cross and m->fit. */
enum cx_fit_status cx_drivers_estimate(struct cx_drivers_memory *m,
                                       const struct cx_drivers_question *question, uint64_t columns,
                                       enum cx_method method, int g);

/* Shares, intervals, ranks and flags of the kept drivers, after an estimate of all. */
void cx_drivers_share(struct cx_drivers *result, const struct cx_drivers_question *question,
                      struct cx_drivers_memory *m, uint64_t columns);

#endif
