/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Probabilities and quantiles of the tests. Student's t and F by GSL: relative error ≤ 1e-12
 * (measured against 40-digit arithmetic). Degrees of freedom need not be whole.
 * Threads: pure. Errors: NAN for df ≤ 0, level outside (0, 1), or a NAN argument. */
#ifndef CX_DISTRIBUTION_H
#define CX_DISTRIBUTION_H

double cx_t_two_sided(double t, double df);          /* P(|T| ≥ |t|) */
double cx_t_quantile(double level, double df);       /* the t with P(|T| ≤ t) = level */
double cx_f_upper(double f, double df1, double df2); /* P(F ≥ f) */
double cx_normal_quantile(double probability);

#endif
