/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The NIST StRD linear regression files: reading them, and the digits a fit has in common with the
 * certified values. Shared by the unit test and the accuracy program, both plain programs. */
#ifndef TESTS_ACCURACY_NIST_H
#define TESTS_ACCURACY_NIST_H

#include "analytics/fixed.h"
#include "analytics/solve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NIST_ROWS = 100, NIST_COLUMNS = 11, NIST_TEXT = 32 };

struct nist_set {
    int rows, raw, powers,
        columns; /* raw drivers in the file; powers of the one; drivers + outcome */
    bool intercept;
    char text[NIST_ROWS][8][NIST_TEXT]; /* as written: outcome, then raw drivers */
    double coef[12], se[12], r2;        /* certified; [0] is the intercept, if any */
};

struct nist_digits {
    double coef, se, r2;
};

static inline double nist_lre(double got, double want)
{
    double error = want == 0 ? fabs(got) : fabs(got - want) / fabs(want);
    if (isnan(error))
        return 0;
    return error == 0 ? 15 : fmax(0, fmin(15, -log10(error)));
}

static inline void nist_line(struct nist_set *set, char *line, bool data)
{
    char *save, *word = strtok_r(line, " \t\r\n", &save);
    if (data) {
        int field = 0;
        for (; word && field < 8; word = strtok_r(NULL, " \t\r\n", &save), field++)
            snprintf(set->text[set->rows][field], NIST_TEXT, "%s", word);
        set->raw = field > 0 ? field - 1 : set->raw;
        set->rows += field > 1 && set->rows + 1 < NIST_ROWS;
    } else if (word && word[0] == 'B' && word[1] >= '0' && word[1] <= '9') {
        int at = atoi(word + 1);
        char *estimate = strtok_r(NULL, " \t\r\n", &save),
             *spread = strtok_r(NULL, " \t\r\n", &save);
        if (!estimate || !spread || at > 10)
            return;
        set->coef[at] = strtod(estimate, NULL);
        set->se[at] = strtod(spread, NULL);
        set->powers = at;
        set->intercept = set->intercept || at == 0;
    } else if (word && strncmp(word, "R-Squared", 9) == 0) {
        word = strtok_r(NULL, " \t\r\n", &save);
        set->r2 = word ? strtod(word, NULL) : 0;
    }
}

static inline bool nist_read(struct nist_set *set, const char *folder, const char *name)
{
    char path[1024], line[512];
    snprintf(path, sizeof path, "%s/%s.dat", folder, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    memset(set, 0, sizeof *set);
    int first = 0, last = 0, number = 0;
    while (fgets(line, sizeof line, file)) {
        const char *range = strstr(line, "Data");
        number++;
        if (first == 0 && range && sscanf(range, "Data (lines %d to %d)", &first, &last) == 2)
            continue;
        if (first == 0 || number <= last)
            nist_line(set, line, first > 0 && number >= first);
    }
    fclose(file);
    set->columns = set->powers + 1;
    return set->rows > 0 && set->powers >= set->raw;
}

/* Column c of row r as a double: a raw driver, a power of the only one, or the outcome. */
static inline double nist_value(const struct nist_set *set, int row, int c)
{
    if (c == set->columns - 1)
        return strtod(set->text[row][0], NULL);
    if (set->raw > 1)
        return strtod(set->text[row][c + 1], NULL);
    double x = strtod(set->text[row][1], NULL), power = x;
    for (int i = 0; i < c; i++)
        power *= x;
    return power;
}

static inline int nist_decimals(const struct nist_set *set, int field)
{
    int most = 0;
    for (int r = 0; r < set->rows; r++) {
        const char *point = strchr(set->text[r][field], '.');
        int here = point ? (int)strspn(point + 1, "0123456789") : 0;
        most = here > most ? here : most;
    }
    return most;
}

static inline bool nist_integer(const char *text, int decimals, int64_t *value)
{
    char full[NIST_TEXT + 1];
    bool minus = *text == '-';
    text += minus;
    snprintf(full, sizeof full, "%s%s%s", minus ? "-" : "", *text == '.' ? "0" : "", text);
    size_t len = strlen(full);
    if (full[len - 1] == '.')
        full[--len] = '\0';
    return cx_fixed_parse(full, (uint32_t)len, decimals, value) == CX_FIXED_OK;
}

static inline void nist_compare(const struct nist_set *set, const double *coef, const double *se,
                                double r2, struct nist_digits *digits)
{
    *digits = (struct nist_digits){15, 15, nist_lre(r2, set->r2)};
    for (int k = set->intercept ? 0 : 1; k <= set->powers; k++) {
        digits->coef = fmin(digits->coef, nist_lre(coef[k], set->coef[k]));
        digits->se = fmin(digits->se, nist_lre(se[k], set->se[k]));
    }
}

static inline bool nist_solve(const struct nist_set *set, const struct cx_cross *cross,
                              struct nist_digits *digits)
{
    struct cx_fit *fit = malloc(sizeof *fit);
    struct cx_fit_work *work = malloc(sizeof *work);
    const struct cx_solve_options options = {.collinear_min = 1e-30};
    enum cx_fit_status status = cx_solve(fit, cross, &options, work);
    bool solved = (status == CX_FIT_OK || status == CX_FIT_PERFECT) && fit->kept == set->powers;
    nist_compare(set, fit->coef, fit->se, fit->r2, digits);
    free(fit);
    free(work);
    return solved;
}

/* By exact integers, a half of the rows each in two blocks that are merged. */
static inline bool nist_exact(const struct nist_set *set, struct nist_digits *digits)
{
    int q = set->columns, decimals[NIST_COLUMNS];
    cx_wide *half[2] = {calloc(cx_moments_cells(q), sizeof(cx_wide)),
                        calloc(cx_moments_cells(q), sizeof(cx_wide))};
    struct cx_cross *cross = malloc(sizeof *cross);
    bool fine = true;
    for (int r = 0; r < set->rows && fine; r++) {
        int64_t z[NIST_COLUMNS];
        for (int c = 0; c < q && fine; c++) {
            int field = c == q - 1 ? 0 : set->raw > 1 ? c + 1 : 1;
            int power = c == q - 1 || set->raw > 1 ? 1 : c + 1, each = nist_decimals(set, field);
            int64_t x;
            fine = nist_integer(set->text[r][field], each, &x);
            decimals[c] = power * each;
            z[c] = 1;
            for (int i = 0; i < power && fine; i++)
                fine = !__builtin_mul_overflow(z[c], x, &z[c]);
        }
        fine = fine && cx_moments_add(half[r % 2], q, z, 1, 1);
    }
    fine = fine && cx_moments_merge(half[0], half[1], q, 1);
    if (fine) {
        cx_cross_from_moments(cross, half[0], q, decimals, set->intercept);
        fine = nist_solve(set, cross, digits);
    }
    free(half[0]);
    free(half[1]);
    free(cross);
    return fine;
}

/* By double-double sums of the data rounded to doubles, in as many shards, merged. */
static inline bool nist_doubles(const struct nist_set *set, int shards, struct nist_digits *digits)
{
    int q = set->columns;
    size_t cells = cx_moments_cells(q);
    struct cx_dd *sum = calloc(cells * (size_t)shards, sizeof *sum);
    struct cx_cross *cross = malloc(sizeof *cross);
    for (int r = 0; r < set->rows; r++) {
        double z[NIST_COLUMNS];
        for (int c = 0; c < q; c++)
            z[c] = nist_value(set, r, c);
        cx_sums_add(sum + cells * (size_t)(r % shards), q, z, 1);
    }
    for (int s = 1; s < shards; s++)
        cx_sums_merge(sum, sum + cells * (size_t)s, q);
    cx_cross_from_sums(cross, sum, q, set->intercept);
    bool fine = nist_solve(set, cross, digits);
    free(sum);
    free(cross);
    return fine;
}

#endif
