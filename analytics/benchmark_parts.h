/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the benchmark share. Threads: pure. */
#ifndef CX_BENCHMARK_PARTS_H
#define CX_BENCHMARK_PARTS_H

#include "analytics/benchmark.h"

struct cx_benchmark_state {
    const struct cx_benchmark_question *question;
    int units, draws;
    double *y, *v, *df; /* per unit: value, its variance, degrees of freedom of that */
    double *x;          /* per unit: scratch */
    double *order;      /* per unit: scratch */
    double *rank;       /* per unit: `draws` ranks */
    struct cx_between between;
};

/* rank_low … tier of every unit. shrink: by the posterior; else from N(y, v). */
void cx_benchmark_ranks(struct cx_benchmark_state *s, bool shrink, int third,
                        struct cx_benchmark *out);

#endif
