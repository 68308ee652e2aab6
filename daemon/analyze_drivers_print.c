/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `flightpath analyze drivers` prints: JSON, or a table, and with --explain how each number
 * came about.
 *
 * Names come from the command line and reach a terminal: control characters are replaced. A number
 * that is not defined is null in JSON and "-" in the table, and a warning says why. */
#include "daemon/analyze_drivers.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>

static const char *const methods[] = {"none", "em", "listwise", "pairwise"};

static const char *status_name(enum cx_fit_status status)
{
    static const char *const names[] = {"ok",         "perfect_fit", "no_rows", "outcome_constant",
                                        "no_drivers", "insufficient"};
    return names[status];
}

static const char *name_of(const struct fp_drivers *d, int column)
{
    return d->table.column[column].name;
}

static void reason(const struct fp_drivers *d, int driver, char *text, size_t size)
{
    static const char *const why[] = {
        [CX_KEPT] = "",
        [CX_DROP_EMPTY] = "empty: nobody answered it",
        [CX_DROP_CONSTANT] = "constant: everybody gave the same answer",
        [CX_DROP_ALIASED] = "aliased: an exact linear combination of the drivers before it",
        [CX_DROP_COLLINEAR] = "collinear: the drivers before it tell all but 1e-10 of it",
        [CX_DROP_NO_VALUE] = "does_not_apply: no row has an answer that counts"};
    int other = d->result.fit.alias_of[driver];
    snprintf(text, size, "%s", why[d->result.fit.dropped[driver]]);
    if (d->result.fit.dropped[driver] == CX_DROP_ALIASED && other >= 0)
        snprintf(text, size, "aliased: says the same as %.60s", name_of(d, other));
}

static int64_t rows_used(const struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    int64_t with_outcome = r->counts.answered[d->columns - 1];
    return r->method == CX_METHOD_LISTWISE ? r->n_complete : with_outcome;
}

/* ---- warnings -------------------------------------------------------------------------------- */

static void warn_of_status(struct fp_drivers *d)
{
    const char *outcome = name_of(d, d->columns - 1);
    switch (d->result.fit.status) {
    case CX_FIT_OK:
        break;
    case CX_FIT_PERFECT:
        fp_note(&d->warnings, "the drivers tell the outcome exactly: there is no residual to test "
                              "against; is it computed from them?");
        break;
    case CX_FIT_NO_ROWS:
        fp_note(&d->warnings, "no row has an answer in %.60s%s", outcome,
                d->result.method == CX_METHOD_LISTWISE ? " and in every driver" : "");
        break;
    case CX_FIT_OUTCOME_CONSTANT:
        fp_note(&d->warnings, "%.60s is the same in every row: there is nothing to explain",
                outcome);
        break;
    case CX_FIT_NO_DRIVERS:
        fp_note(&d->warnings, "no driver is left to estimate");
        break;
    case CX_FIT_INSUFFICIENT:
        fp_note(&d->warnings, "too few rows, or too few that answer the same questions, for so "
                              "many drivers: no coefficients");
        break;
    }
}

static void warn_of_method(struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    bool solved = r->fit.status == CX_FIT_OK;
    if (!r->converged)
        fp_note(&d->warnings, "EM has not converged: the estimates are near, not final");
    if (r->fold.values_dropped > 0 || r->fold.rows_dropped > 0)
        fp_note(&d->warnings,
                "of the patterns of missing answers the %d most frequent were kept: %" PRId64
                " answers and %" PRId64 " rows were not used",
                r->fold.patterns, r->fold.values_dropped, r->fold.rows_dropped);
    if (r->method == CX_METHOD_PAIRWISE)
        fp_note(&d->warnings, "pairwise is a diagnostic: se, t, p and q count on complete rows "
                              "that are not there; robust_se does not");
    if (solved && d->table.cluster >= 0 && !d->clustered)
        fp_note(&d->warnings, "too few clusters (or too few rows beside them) to leave groups out: "
                              "errors and tests take rows as independent");
    if (d->clustered)
        fp_note(&d->warnings,
                "errors and tests are those of leaving %d groups of clusters out; "
                "that of the intercept is not given",
                r->groups);
    if (solved && r->model_based)
        fp_note(&d->warnings,
                "too few %s to leave groups out: intervals of the Johnson weights are those of "
                "normal theory, LMG has none",
                d->table.day >= 0 ? "rows or days" : "rows");
    if (solved && r->fit.few_df && !d->clustered)
        fp_note(&d->warnings, "fewer than 10 degrees of freedom: do not rely on p and q");
    if (r->lmg_se_sampled > 0)
        fp_note(&d->warnings, "more than %d drivers: LMG is sampled, standard error %.2g of R2",
                CX_LMG_EXACT_MAX, r->lmg_se_sampled);
}

static void warn_of_drivers(struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    for (int j = 0; j < d->columns - 1; j++) {
        unsigned flags = r->flags[j];
        const char *name = name_of(d, j);
        if (flags & CX_FLAG_SIGN_CONFLICT)
            fp_note(&d->warnings,
                    "%.60s: coefficient and correlation point apart; it corrects other drivers",
                    name);
        if (r->fit.vif[j] > 10)
            fp_note(&d->warnings,
                    "%.60s: VIF %.0f, the other drivers nearly tell it; its coefficient is "
                    "unstable",
                    name, r->fit.vif[j]);
        if (fabs(r->mar[j]) > 2)
            fp_note(&d->warnings,
                    "%.60s: EM and complete rows differ by %.1f standard errors; what is missing "
                    "is not missing by chance",
                    name, r->mar[j]);
    }
    if (r->fit.status == CX_FIT_OK && r->fit.n_effective < 104 + r->fit.kept)
        fp_note(&d->warnings, "few rows: with %d drivers at least %d are advised", r->fit.kept,
                104 + r->fit.kept);
}

/* ---- how it came about ----------------------------------------------------------------------- */

static void explain_rows(struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    struct fp_notes *e = &d->explained;
    fp_note(e,
            "rows: %" PRId64 " in the file, %" PRId64 " with weight 0 left out, %" PRId64
            " with the outcome, %" PRId64 " complete in outcome and kept drivers",
            d->table.rows, d->weightless, r->counts.answered[d->columns - 1], r->n_complete);
    for (int c = 0; c < d->columns; c++)
        fp_note(e,
                "%.60s: %" PRId64 " answered, %" PRId64 " empty, %" PRId64
                " do not apply (--na), read with %d decimals",
                name_of(d, c), r->counts.answered[c], r->counts.skipped[c],
                r->counts.does_not_apply[c], d->table.column[c].decimals);
    for (int j = 0; j < d->columns - 1; j++) {
        char why[200];
        reason(d, j, why, sizeof why);
        if (*why)
            fp_note(e, "dropped %.60s: %s", name_of(d, j), why);
    }
}

static void explain_method(struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    struct fp_notes *e = &d->explained;
    if (r->method == CX_METHOD_LISTWISE)
        fp_note(e, "missing: rows that lack the outcome or a kept driver are left out (%.2f %%)",
                100 * r->missing);
    if (r->method == CX_METHOD_EM)
        fp_note(e,
                "missing: full-information maximum likelihood by EM, nothing imputed, no row "
                "left out; %.2f %% of driver answers missing; se = sqrt(inverse observed "
                "information) x sqrt(n/(n-p-1))",
                100 * r->missing);
    if (r->method == CX_METHOD_PAIRWISE)
        fp_note(e, "missing: each correlation from the rows that have both answers");
    if (d->table.weight >= 0)
        fp_note(e,
                "weights: every sum is weighted by %.60s; effective n = (sum w)^2 / sum w^2 "
                "(Kish)",
                d->table.column[d->table.weight].name);
}

static void explain(struct fp_drivers *d)
{
    struct fp_notes *e = &d->explained;
    explain_rows(d);
    explain_method(d);
    fp_note(e, "coef: least squares b = (X'X)^-1 X'y with intercept, from exact integer sums of "
               "products");
    if (d->clustered)
        fp_note(e,
                "se: jackknife over %d groups of whole clusters; t = coef/se; p two-sided, t "
                "with %g degrees of freedom; ci = coef -+ t(.975)*se",
                d->result.groups, d->result.fit.df);
    else
        fp_note(e,
                "se_j = sqrt(sigma^2 (X'X)^-1_jj); t = coef/se; p two-sided, t with %g degrees "
                "of freedom; ci = coef -+ t(.975)*se",
                d->result.fit.df);
    fp_note(e, "q: Benjamini-Hochberg over the drivers, q_(i) = min over k >= i of p_(k) m/k");
    fp_note(e, "r2 = 1 - RSS/TSS; adj_r2 = 1 - (1 - r2)(n - 1)/df; sigma = sqrt(RSS/df); vif_j = "
               "1/(1 - R2 of driver j on the others)");
    fp_note(e, "johnson: relative weights, R_xx = QLQ', S = Q sqrt(L) Q', b = S^-1 r, w_j = "
               "sum_k S_jk^2 b_k^2; they sum to r2");
    fp_note(e, "lmg: gain in r2 of a driver, averaged over all orders of entry (Shapley); they sum "
               "to r2");
    if (d->result.groups > 0)
        fp_note(e,
                "intervals of johnson and lmg: sqrt(w) -+ t(.975, %d) x its jackknife error over "
                "%d groups of %s, squared",
                d->result.groups - 1, d->result.groups,
                d->table.day >= 0       ? "consecutive days"
                : d->table.cluster >= 0 ? "clusters"
                                        : "rows dealt out at random (fixed seed)");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_intervals(FILE *out, const char *key, int p, const struct cx_interval *interval)
{
    double part[3][CX_COLUMNS_MAX];
    char name[40];
    for (int j = 0; j < p; j++) {
        part[0][j] = interval[j].value;
        part[1][j] = interval[j].low;
        part[2][j] = interval[j].high;
    }
    fp_put_numbers(out, key, p, part[0]);
    snprintf(name, sizeof name, "%s_low", key);
    fp_put_numbers(out, name, p, part[1]);
    snprintf(name, sizeof name, "%s_high", key);
    fp_put_numbers(out, name, p, part[2]);
}

static void put_names(FILE *out, const struct fp_drivers *d)
{
    fputs("{\"outcome\": ", out);
    fp_put_text(out, name_of(d, d->columns - 1));
    fp_put_key(out, "drivers");
    for (int j = 0; j < d->columns - 1; j++) {
        fputs(j > 0 ? ", " : "[", out);
        fp_put_text(out, name_of(d, j));
    }
    fputs("]", out);
}

static void put_dropped(FILE *out, const struct fp_drivers *d)
{
    const char *separator = "";
    fp_put_key(out, "dropped");
    fputs("[", out);
    for (int j = 0; j < d->columns - 1; j++) {
        char why[200];
        reason(d, j, why, sizeof why);
        if (*why == '\0')
            continue;
        fprintf(out, "%s{\"driver\": ", separator);
        fp_put_text(out, name_of(d, j));
        fp_put_key(out, "reason");
        fp_put_text(out, why);
        fputs("}", out);
        separator = ", ";
    }
    fputs("]", out);
}

static void print_json(FILE *out, const struct fp_drivers *d, bool explained)
{
    const struct cx_drivers *r = &d->result;
    const struct cx_fit *fit = &r->fit;
    int p = d->columns - 1;
    double q[CX_COLUMNS_MAX + 1] = {NAN}; /* the intercept is no test of a driver */
    memcpy(q + 1, r->q, (size_t)p * sizeof *q);
    put_names(out, d);
    fprintf(out, ", \"status\": \"%s\", \"n\": %" PRId64 ", \"n_complete\": %" PRId64,
            status_name(fit->status), rows_used(d), r->n_complete);
    fp_put_key(out, "n_effective");
    fp_put_number(out, fit->n_effective);
    fprintf(out, ", \"method\": \"%s\"", methods[r->method]);
    fp_put_numbers(out, "coef", p + 1, fit->coef);
    fp_put_numbers(out, "se", p + 1, fit->se);
    fp_put_numbers(out, "t", p + 1, fit->t);
    fp_put_numbers(out, "p", p + 1, fit->p);
    fp_put_numbers(out, "q", p + 1, q);
    fp_put_numbers(out, "ci_low", p + 1, fit->low);
    fp_put_numbers(out, "ci_high", p + 1, fit->high);
    const struct {
        const char *key;
        double value;
    } whole[] = {{"r2", fit->r2}, {"adj_r2", fit->adj_r2}, {"sigma", fit->sigma}, {"df", fit->df}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        fp_put_key(out, whole[i].key);
        fp_put_number(out, whole[i].value);
    }
    fp_put_numbers(out, "vif", p, fit->vif);
    put_intervals(out, "johnson", p, r->weight);
    put_intervals(out, "lmg", p, r->lmg);
    fp_put_numbers(out, "r", p, fit->r);
    fp_put_numbers(out, "robust_se", p, r->robust_se);
    put_dropped(out, d);
    fp_put_notes(out, "warnings", &d->warnings);
    if (explained)
        fp_put_notes(out, "explain", &d->explained);
    fputs("}\n", out);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Printable, at most 28 bytes. */
static void plain_name(const char *name, char *text)
{
    int len = snprintf(text, 29, "%s", name);
    for (int i = 0; i < len && i < 28; i++)
        if (iscntrl((unsigned char)text[i]))
            text[i] = '?';
}

/* digits: after the point, or, below 0, significant ones. */
static void put_cell(FILE *out, int width, int digits, double value)
{
    char text[40];
    if (digits < 0)
        snprintf(text, sizeof text, "%.*g", -digits, value);
    else
        snprintf(text, sizeof text, "%.*f", digits, value);
    fprintf(out, "%*s", width, isfinite(value) ? text : "-");
}

static void put_row(FILE *out, const struct fp_drivers *d, int j)
{
    const struct cx_drivers *r = &d->result;
    const struct cx_fit *fit = &r->fit;
    char name[32];
    plain_name(j < 0 ? "(intercept)" : name_of(d, j), name);
    fprintf(out, "%-28s", name);
    put_cell(out, 12, -5, fit->coef[j + 1]);
    put_cell(out, 12, -5, fit->low[j + 1]);
    put_cell(out, 12, -5, fit->high[j + 1]);
    put_cell(out, 8, 4, fit->p[j + 1]);
    if (j >= 0) {
        put_cell(out, 8, 4, r->q[j]);
        put_cell(out, 8, 1, fit->vif[j]);
        put_cell(out, 8, 3, fit->r[j]);
        put_cell(out, 9, 3, r->weight[j].value);
        put_cell(out, 7, 3, r->weight[j].low);
        put_cell(out, 7, 3, r->weight[j].high);
        put_cell(out, 8, 3, r->lmg[j].value);
    }
    fputc('\n', out);
}

static void put_list(FILE *out, const char *title, const struct fp_notes *notes)
{
    if (notes->count > 0)
        fprintf(out, "\n%s\n", title);
    for (int i = 0; i < notes->count; i++) {
        fputs("  ", out);
        for (const char *at = notes->text[i]; *at; at++)
            fputc(iscntrl((unsigned char)*at) ? '?' : *at, out);
        fputc('\n', out);
    }
}

static void print_table(FILE *out, const struct fp_drivers *d)
{
    const struct cx_drivers *r = &d->result;
    char name[32];
    plain_name(name_of(d, d->columns - 1), name);
    fprintf(out, "Drivers of %s: n %" PRId64 " (%" PRId64 " complete), %s, R2 ", name, rows_used(d),
            r->n_complete, methods[r->method]);
    put_cell(out, 0, 4, r->fit.r2);
    fputs(" (adjusted ", out);
    put_cell(out, 0, 4, r->fit.adj_r2);
    fputs("), sigma ", out);
    put_cell(out, 0, -5, r->fit.sigma);
    fprintf(out, ", %s\n\n%-28s%12s%12s%12s%8s%8s%8s%8s%9s%7s%7s%8s\n", status_name(r->fit.status),
            "", "coef", "95 % low", "high", "p", "q", "VIF", "r", "Johnson", "low", "high", "LMG");
    for (int j = -1; j < d->columns - 1; j++)
        if (j < 0 || r->fit.dropped[j] == CX_KEPT)
            put_row(out, d, j);
    for (int j = 0; j < d->columns - 1; j++) {
        char why[200];
        reason(d, j, why, sizeof why);
        plain_name(name_of(d, j), name);
        if (*why)
            fprintf(out, "%-28s dropped, %s\n", name, why);
    }
}

void fp_drivers_print(FILE *out, struct fp_drivers *d, const struct fp_options *options)
{
    warn_of_status(d);
    warn_of_method(d);
    warn_of_drivers(d);
    fp_note_columns(&d->warnings, &d->table);
    if (options->explain)
        explain(d);
    if (options->json) {
        print_json(out, d, options->explain);
        return;
    }
    print_table(out, d);
    put_list(out, "Warnings", &d->warnings);
    put_list(out, "How it came about", &d->explained);
}
