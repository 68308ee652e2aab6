/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flightpath analyze drivers: which columns go with the outcome, how strongly, how surely.
 *
 * The rows become the exact state that a stream of responses becomes, and go through the same call
 * (analytics/solve_drivers.h). Intervals of the shares leave one group of rows out at a time: of
 * rows dealt out at random from a fixed seed (a file is often sorted), or, with --cluster, of whole
 * clusters; then the errors of the coefficients are those of the groups too, since rows of one
 * person are no independent evidence. Hazard: each pattern of missing answers has a block of state,
 * so their memory is bounded and said. */
#include "daemon/analyze_drivers.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "analytics/distribution.h"
#include "analytics/fdr.h"
#include "analytics/random.h"

#define ROW_GROUPS 12
#define STATE_BYTES_MAX ((size_t)1 << 30)

/* ---- state that grows ------------------------------------------------------------------------ */

static void drop_set(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    *set = (struct cx_set){0};
}

static bool make_set(struct cx_set *set, int columns, int capacity)
{
    size_t size = cx_moments_cells(columns) * (size_t)capacity;
    *set = (struct cx_set){0};
    struct cx_pattern *patterns = calloc((size_t)capacity, sizeof *patterns);
    cx_wide *cells = calloc(size, sizeof *cells);
    if (patterns == NULL || cells == NULL) {
        free(patterns);
        free(cells);
        return false;
    }
    cx_set_init(set, columns, patterns, capacity);
    cx_set_give_cells(set, cells, size);
    return true;
}

static bool grow(struct cx_set *set)
{
    struct cx_set larger;
    int capacity = 2 * set->capacity;
    if (cx_drivers_memory(set->columns, capacity) > STATE_BYTES_MAX ||
        !make_set(&larger, set->columns, capacity))
        return false;
    if (cx_set_merge(&larger, set, 1) != CX_SET_OK) {
        drop_set(&larger);
        return false;
    }
    drop_set(set);
    *set = larger;
    return true;
}

static enum fp_status add(struct cx_set *set, const struct cx_pattern *key, const int64_t *z,
                          int64_t weight, struct fp_error *err)
{
    enum cx_set_result result;
    while ((result = cx_set_add(set, key, z, weight, 1)) == CX_SET_FULL)
        if (!grow(set))
            return fp_fail(err, FP_REJECT, "patterns", "--drivers",
                           "more than %d different patterns of missing answers take too much "
                           "memory; ask for fewer drivers, or drop the rows with gaps",
                           set->count);
    return result == CX_SET_OK ? FP_OK
                               : fp_fail(err, FP_REJECT, "too_large", "--drivers",
                                         "the sums do not fit; divide the columns by a power of "
                                         "ten");
}

/* ---- rows → state ---------------------------------------------------------------------------- */

/* The group of each row. */
static enum fp_status deal(struct fp_drivers *d, unsigned char *group, struct fp_error *err)
{
    const struct fp_table *table = &d->table;
    int64_t units = table->cluster < 0 ? table->rows : table->clusters;
    int most = table->cluster < 0 ? ROW_GROUPS : CX_GROUPS_MAX;
    uint32_t *order = calloc((size_t)units + 1, sizeof *order);
    if (order == NULL)
        return fp_fail(err, FP_FATAL, "memory", table->name, "not enough memory");
    struct cx_random random = cx_random_seed(1, 1);
    d->groups = units < most ? (int)units : most;
    for (int64_t i = 0; i < units; i++) {
        int64_t at = cx_random_below(&random, (uint32_t)i + 1);
        order[i] = order[at];
        order[at] = (uint32_t)i;
    }
    for (int64_t row = 0; row < table->rows; row++) {
        int64_t unit = table->cluster < 0 ? row : table->column[table->cluster].value[row];
        group[row] = (unsigned char)(order[unit] % (uint32_t)d->groups);
    }
    free(order);
    return FP_OK;
}

static enum fp_status add_row(struct fp_drivers *d, int64_t row, int group, struct fp_error *err)
{
    const struct fp_table *table = &d->table;
    struct cx_pattern key = {0};
    int64_t z[CX_COLUMNS_MAX] = {0}, weight = fp_table_weight(table, row);
    if (weight == 0) {
        d->weightless++;
        return FP_OK;
    }
    for (int c = 0; c < d->columns; c++) {
        enum fp_cell cell = table->column[c].cell[row];
        z[c] = table->column[c].value[row];
        key.observed |= (uint64_t)(cell == FP_CELL_ANSWERED) << c;
        key.does_not_apply |= (uint64_t)(cell == FP_CELL_DOES_NOT_APPLY) << c;
    }
    enum fp_status status = add(&d->total, &key, z, weight, err);
    return status == FP_OK ? add(&d->group[group], &key, z, weight, err) : status;
}

static enum fp_status gather(struct fp_drivers *d, struct fp_error *err)
{
    size_t rows = (size_t)d->table.rows;
    unsigned char *group = calloc(rows + 1, 1);
    bool fine = group != NULL && make_set(&d->total, d->columns, 16);
    enum fp_status status =
        fine ? deal(d, group, err)
             : fp_fail(err, FP_FATAL, "memory", d->table.name, "not enough memory");
    for (int g = 0; g < d->groups && status == FP_OK; g++)
        if (!make_set(&d->group[g], d->columns, 16))
            status = fp_fail(err, FP_FATAL, "memory", d->table.name, "not enough memory");
    for (int64_t row = 0; row < d->table.rows && status == FP_OK; row++)
        status = add_row(d, row, group[row], err);
    free(group);
    return status;
}

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

/* Splits --drivers; the outcome comes last, then weight and cluster. */
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
    return FP_OK;
}

enum fp_status fp_analyze_drivers(const struct fp_options *options, struct fp_csv *csv,
                                  struct fp_error *err)
{
    struct fp_drivers *d = calloc(1, sizeof *d);
    if (d == NULL)
        return fp_fail(err, FP_FATAL, "memory", "", "not enough memory");
    d->table = (struct fp_table){.name = options->arguments[1], .weight = -1, .cluster = -1};
    enum fp_status status = want_columns(d, options, err);
    if (status == FP_OK)
        status = fp_table_load(&d->table, csv, options->na, err);
    if (status == FP_OK)
        status = gather(d, err);
    if (status == FP_OK)
        status = solve(d, options, err);
    if (status == FP_OK) {
        use_clusters(d);
        fp_drivers_print(stdout, d, options);
    }
    drop_set(&d->total);
    for (int g = 0; g < CX_GROUPS_MAX; g++)
        drop_set(&d->group[g]);
    fp_table_free(&d->table);
    free(d->names);
    free(d);
    return status;
}
