/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Eigenvalues and vectors of a small symmetric matrix, by GSL, in the caller's memory.
 * Threads: pure. Errors: false when the matrix is not finite. */
#ifndef CX_SOLVE_EIGEN_H
#define CX_SOLVE_EIGEN_H

#include <stdbool.h>

/* a: n² by rows, overwritten; value[k] with vector[i·n + k], in no order; work: 4n doubles. */
bool cx_eigen(int n, double *a, double *value, double *vector, double *work);

#endif
