/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/fdr.h"

#include <math.h>

#include <gsl/gsl_sort_double.h>

void cx_fdr(const double *p, size_t m, double *q, size_t *order)
{
    size_t tested = 0;
    for (size_t i = 0; i < m; i++) {
        q[i] = isnan(p[i]) ? INFINITY : p[i]; /* so that sorting sees an order */
        tested += !isnan(p[i]);
    }
    gsl_sort_index(order, q, 1, m);
    double least = 1;
    for (size_t rank = m; rank-- > 0;) {
        size_t at = order[rank];
        if (rank >= tested) {
            q[at] = NAN;
            continue;
        }
        least = fmin(least, p[at] * (double)tested / (double)(rank + 1));
        q[at] = least;
    }
}
