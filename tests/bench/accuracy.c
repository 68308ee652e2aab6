/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Digits in common with NIST's certified values (StRD, linear regression), least over coefficients
 * / standard errors / R²: the solver on exact integers, on doubles in 8 shards, and GSL's
 * gsl_multifit_linear on the same doubles beside it.
 *
 *   accuracy FOLDER            (FOLDER has Longley.dat, Norris.dat, …)
 *
 * accuracy.py prints statsmodels and recursive least squares in the same form. */
#include "tests/bench/accuracy_nist.h"

#include <gsl/gsl_multifit.h>
#include <gsl/gsl_statistics_double.h>

static void multifit(const struct nist_set *set, struct nist_digits *digits)
{
    size_t n = (size_t)set->rows, p = (size_t)set->powers + set->intercept;
    gsl_matrix *x = gsl_matrix_alloc(n, p), *cov = gsl_matrix_alloc(p, p);
    gsl_vector *y = gsl_vector_alloc(n), *c = gsl_vector_alloc(p);
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(n, p);
    double chisq, coef[12] = {0}, se[12] = {0}, total = 0;
    for (size_t r = 0; r < n; r++) {
        gsl_vector_set(y, r, nist_value(set, (int)r, set->columns - 1));
        for (size_t k = 0; k < p; k++) {
            int column = (int)k - set->intercept;
            gsl_matrix_set(x, r, k, column < 0 ? 1 : nist_value(set, (int)r, column));
        }
    }
    gsl_multifit_linear(x, y, c, cov, &chisq, work);
    for (size_t k = 0; k < p; k++) {
        coef[k + !set->intercept] = gsl_vector_get(c, k);
        se[k + !set->intercept] = sqrt(gsl_matrix_get(cov, k, k));
    }
    total = set->intercept ? gsl_stats_tss(y->data, 1, n) : gsl_stats_tss_m(y->data, 1, n, 0);
    nist_compare(set, coef, se, 1 - chisq / total, digits);
    gsl_multifit_linear_free(work);
    gsl_matrix_free(x);
    gsl_matrix_free(cov);
    gsl_vector_free(y);
    gsl_vector_free(c);
}

static void show(bool fits, const struct nist_digits *digits)
{
    if (fits)
        printf("  %5.1f %5.1f %5.1f ", digits->coef, digits->se, digits->r2);
    else
        printf("  %18s ", "does not fit int64");
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"Longley",  "Norris",   "NoInt1",   "NoInt2",
                                        "Wampler1", "Wampler2", "Wampler3", "Wampler4",
                                        "Wampler5", "Pontius",  "Filip"};
    static struct nist_set set;
    if (argc != 2) {
        fprintf(stderr, "usage: accuracy FOLDER (with NIST's StRD files: Longley.dat, …)\n");
        return 2;
    }
    printf("%-9s  %-19s  %-19s  %s\n", "", "exact integers", "doubles, 8 shards",
           "gsl_multifit_linear");
    printf("%-9s", "");
    for (int i = 0; i < 3; i++)
        printf("  %5s %5s %5s ", "coef", "SE", "R2");
    printf("\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct nist_digits digits;
        if (!nist_read(&set, argv[1], names[i])) {
            fprintf(stderr, "accuracy: %s/%s.dat cannot be read\n", argv[1], names[i]);
            return 1;
        }
        printf("%-9s", names[i]);
        bool fits = nist_exact(&set, &digits);
        show(fits, &digits);
        nist_doubles(&set, 8, &digits);
        show(true, &digits);
        multifit(&set, &digits);
        show(true, &digits);
        printf("\n");
    }
    return 0;
}
