/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/importance.h"

#include <math.h>

#include "analytics/solve_eigen.h"

#define EIGENVALUE_MIN 1e-12

size_t cx_johnson_work(int p)
{
    return (size_t)p * (size_t)p * 2 + (size_t)p * 6;
}

bool cx_johnson(int p, const double *r, double *weight, double *work)
{
    double *a = work, *vector = a + p * p, *value = vector + p * p, *b = value + p, *rest = b + p;
    int size = p + 1;
    for (int i = 0; i < p; i++) {
        weight[i] = 0;
        b[i] = 0;
        if (!isfinite(r[i * size + p]))
            return false;
        for (int j = 0; j < p; j++)
            a[i * p + j] = r[i * size + j];
    }
    if (!cx_eigen(p, a, value, vector, rest))
        return false;
    for (int k = 0; k < p; k++) { /* b = QL^-½Q'r */
        value[k] = sqrt(fmax(value[k], EIGENVALUE_MIN));
        double along = 0;
        for (int i = 0; i < p; i++)
            along += vector[i * p + k] * r[i * size + p];
        for (int i = 0; i < p; i++)
            b[i] += vector[i * p + k] * along / value[k];
    }
    for (int j = 0; j < p; j++)
        for (int k = 0; k < p; k++) {
            double lambda = 0;
            for (int m = 0; m < p; m++)
                lambda += vector[j * p + m] * value[m] * vector[k * p + m];
            weight[j] += lambda * lambda * b[k] * b[k];
        }
    return true;
}

unsigned cx_importance_flags(const struct cx_importance_check *c)
{
    unsigned flags = 0;
    bool sure = c->coef_p < 0.05 && fabs(c->r) > 1.96 / sqrt(c->n);
    if (sure && (c->coef > 0) != (c->r > 0))
        flags |= CX_FLAG_SIGN_CONFLICT;
    if (c->range > 0 && c->sd < 0.05 * c->range)
        flags |= CX_FLAG_LOW_VARIANCE;
    if (c->n < 104 + c->drivers || c->n < 10 * c->drivers)
        flags |= CX_FLAG_THIN_N;
    if (c->vif > 10 || c->high - c->low > c->weight)
        flags |= CX_FLAG_UNSTABLE;
    return flags;
}
