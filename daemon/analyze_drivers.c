/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze drivers: which columns go with the outcome, how strongly, how surely.
 *
 * The rows become the exact state that a stream of responses becomes (analyze_drivers_state.c), and
 * go through the same call (analytics/solve_drivers.h). Intervals of the shares leave one group of
 * rows out at a time: of rows dealt out at random, of runs of days with --day, as published results
 * do, or of whole clusters with --cluster; then the errors of the coefficients are those of the
 * groups too, since rows of one person are no independent evidence. */
#include "daemon/analyze_drivers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "analytics/distribution.h"
#include "analytics/fdr.h"

/* ---- the question ---------------------------------------------------------------------------- */

static enum cx_method method_of(const char *missing)
{
    return strcmp(missing, "em") == 0         ? CX_METHOD_EM
           : strcmp(missing, "listwise") == 0 ? CX_METHOD_LISTWISE
           : strcmp(missing, "pairwise") == 0 ? CX_METHOD_PAIRWISE
                                              : CX_METHOD_AUTO;
}

static enum fp_status solve(struct fp_drivers *d, const struct fp_options *options,
                            struct fp_error *err)
{
    const struct cx_set *groups[CX_GROUPS_MAX];
    int decimals[CX_COLUMNS_MAX];
    for (int g = 0; g < d->groups; g++)
        groups[g] = &d->group[g];
    for (int c = 0; c < d->columns; c++)
        decimals[c] = d->table.column[c].decimals;
    const struct cx_drivers_question question = {.total = &d->total,
                                                 .group = d->groups > 0 ? groups : NULL,
                                                 .groups = d->groups,
                                                 .method = method_of(options->missing),
                                                 .decimals = decimals,
                                                 .seed = 1};
    size_t bytes = cx_drivers_memory(d->columns, d->total.count);
    void *memory = aligned_alloc(16, (bytes + 15) / 16 * 16);
    if (memory == NULL)
        return fp_fail(err, FP_FATAL, "memory", d->table.name, "not enough memory");
    cx_drivers(&d->result, &question, memory);
    cx_collect_report(&d->collect, &d->result);
    free(memory);
    return FP_OK;
}

/* With clusters, errors and tests of the coefficients are those of leaving groups of them out. */
static void use_clusters(struct fp_drivers *d)
{
    struct cx_fit *fit = &d->result.fit;
    size_t order[CX_COLUMNS_MAX];
    int p = d->columns - 1;
    d->clustered = d->table.cluster >= 0 && d->result.groups > 0;
    if (!d->clustered)
        return;
    fit->df = d->result.groups - 1;
    double factor = cx_t_quantile(0.95, fit->df);
    fit->se[0] = fit->t[0] = fit->p[0] = fit->low[0] = fit->high[0] = NAN;
    for (int j = 0; j < p; j++) {
        double coef = fit->coef[j + 1], se = d->result.robust_se[j];
        fit->se[j + 1] = se;
        fit->t[j + 1] = coef / se;
        fit->p[j + 1] = cx_t_two_sided(coef / se, fit->df);
        fit->low[j + 1] = coef - factor * se;
        fit->high[j + 1] = coef + factor * se;
    }
    cx_fdr(fit->p + 1, (size_t)p, d->result.q, order);
}

/* Splits --drivers; the outcome comes last, then weight, cluster, day. */
static enum fp_status want_columns(struct fp_drivers *d, const struct fp_options *options,
                                   struct fp_error *err)
{
    d->names = strdup(options->drivers);
    if (d->names == NULL)
        return fp_fail(err, FP_FATAL, "memory", d->table.name, "not enough memory");
    for (char *rest = d->names, *name; (name = strsep(&rest, ",")) != NULL;) {
        name += strspn(name, " ");
        for (size_t len = strlen(name); len > 0 && name[len - 1] == ' ';)
            name[--len] = '\0';
        if (*name == '\0')
            return fp_fail(err, FP_REJECT, "option", "--drivers", "an empty name in the list");
        if (d->table.count == CX_COLUMNS_MAX - 1)
            return fp_fail(err, FP_REJECT, "option", "--drivers", "at most %d drivers",
                           CX_COLUMNS_MAX - 1);
        fp_table_want(&d->table, name, FP_COLUMN_CODED);
    }
    fp_table_want(&d->table, options->outcome, FP_COLUMN_PLAIN);
    d->columns = d->table.count;
    if (*options->weight)
        fp_table_want(&d->table, options->weight, FP_COLUMN_WEIGHT);
    if (*options->cluster)
        fp_table_want(&d->table, options->cluster, FP_COLUMN_CLUSTER);
    if (*options->day)
        fp_table_want(&d->table, options->day, FP_COLUMN_DAY);
    return FP_OK;
}

enum fp_status fp_analyze_drivers(const struct fp_options *options, struct fp_csv *csv,
                                  struct fp_error *err)
{
    struct fp_drivers *d = calloc(1, sizeof *d);
    if (d == NULL)
        return fp_fail(err, FP_FATAL, "memory", "", "not enough memory");
    d->table =
        (struct fp_table){.name = options->arguments[1], .weight = -1, .cluster = -1, .day = -1};
    enum fp_status status = want_columns(d, options, err);
    if (status == FP_OK)
        status = fp_table_load(&d->table, csv, options->na, err);
    if (status == FP_OK)
        status = fp_drivers_gather(d, err);
    if (status == FP_OK)
        status = solve(d, options, err);
    if (status == FP_OK) {
        use_clusters(d);
        fp_drivers_print(stdout, d, options);
    }
    fp_drivers_drop_set(&d->total);
    for (int g = 0; g < CX_GROUPS_MAX; g++)
        fp_drivers_drop_set(&d->group[g]);
    fp_table_free(&d->table);
    free(d->names);
    free(d);
    return status;
}
