/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/solve_eigen.h"

#include <math.h>
#include <stddef.h>

#include <gsl/gsl_eigen.h>

bool cx_eigen(int n, double *a, double *value, double *vector, double *work)
{
    size_t size = (size_t)n;
    for (size_t i = 0; i < size * size; i++)
        if (!isfinite(a[i])) /* the QL iteration would not end */
            return false;
    /* what gsl_eigen_symmv_alloc would have allocated */
    gsl_eigen_symmv_workspace space = {size, work, work + n, work + 2 * n, work + 3 * n};
    gsl_matrix_view matrix = gsl_matrix_view_array(a, size, size);
    gsl_matrix_view vectors = gsl_matrix_view_array(vector, size, size);
    gsl_vector_view values = gsl_vector_view_array(value, size);
    return gsl_eigen_symmv(&matrix.matrix, &values.vector, &vectors.matrix, &space) == 0;
}
