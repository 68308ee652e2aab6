/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rows of a table → driver states by group → the sets of an estimate: the way that a stream of
 * responses takes, without the database between.
 *
 * Groups of the jackknife are runs of days (--day), clusters dealt out at random (--cluster), or
 * rows dealt out at random from a fixed seed, since a file is often sorted. Hazard: with many
 * drivers nearly every row has a pattern of missing answers of its own. States keep such rows as
 * rows, and the plan (analytics/driver_state.h) keeps as many patterns as the memory is worth. */
#include <stdlib.h>

#include "analytics/driver_state.h"
#include "analytics/random.h"
#include "daemon/analyze_drivers.h"

#define ROW_GROUPS 12
#define BATCH_ROWS 16384
#define PATTERNS_MIN 512 /* what EM uses at most; complete rows are better off with more */
#define STATE_BYTES_MAX ((size_t)1 << 30)

struct gathering {
    struct fp_drivers *d;
    signed char *group; /* of each row; −1: of none */
    struct cx_state_row *rows;
    int64_t *z;
    int waiting;
    uint8_t *state[CX_GROUPS_MAX];
    size_t len[CX_GROUPS_MAX];
    struct cx_collect collect;
};

static enum fp_status no_memory(const struct gathering *g, struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "memory", g->d->table.name, "not enough memory");
}

static enum fp_status too_large(struct fp_error *err)
{
    return fp_fail(err, FP_REJECT, "too_large", "--drivers",
                   "the sums do not fit; divide the columns by a power of ten");
}

/* ---- rows → groups ----------------------------------------------------------------------------
 */

static enum fp_status deal(struct gathering *g, struct fp_error *err)
{
    const struct fp_table *table = &g->d->table;
    int64_t units = table->cluster < 0 ? table->rows : table->clusters;
    int most = table->cluster < 0 ? ROW_GROUPS : CX_GROUPS_MAX;
    uint32_t *order = calloc((size_t)units + 1, sizeof *order);
    if (order == NULL)
        return no_memory(g, err);
    struct cx_random random = cx_random_seed(1, 1);
    g->d->groups = units < most ? (int)units : most;
    for (int64_t i = 0; i < units; i++) {
        int64_t at = cx_random_below(&random, (uint32_t)i + 1);
        order[i] = order[at];
        order[at] = (uint32_t)i;
    }
    for (int64_t row = 0; row < table->rows; row++) {
        int64_t unit = table->cluster < 0 ? row : table->column[table->cluster].value[row];
        g->group[row] = (signed char)(order[unit] % (uint32_t)g->d->groups);
    }
    free(order);
    return FP_OK;
}

/* Days with rows that count, from the first of them to the last. */
static enum fp_status deal_days(struct gathering *g, struct fp_error *err)
{
    const struct fp_table *table = &g->d->table;
    const int64_t *day = table->column[table->day].value;
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (int64_t row = 0; row < table->rows; row++) {
        g->group[row] = -1;
        if (fp_table_weight(table, row) == 0)
            continue;
        first = day[row] < first ? day[row] : first;
        last = day[row] > last ? day[row] : last;
    }
    if (last < first)
        return FP_OK;
    size_t days = (size_t)(last - first) + 1;
    int64_t *rows = calloc(days, sizeof *rows);
    int8_t *run = calloc(days, sizeof *run);
    enum fp_status status = rows != NULL && run != NULL ? FP_OK : no_memory(g, err);
    for (int64_t row = 0; row < table->rows && status == FP_OK; row++)
        if (fp_table_weight(table, row) > 0)
            rows[day[row] - first]++;
    if (status == FP_OK)
        g->d->groups = cx_day_runs(rows, (int)days, run);
    for (int64_t row = 0; row < table->rows && status == FP_OK; row++)
        if (fp_table_weight(table, row) > 0)
            g->group[row] = run[day[row] - first];
    free(rows);
    free(run);
    return status;
}

/* ---- groups → states --------------------------------------------------------------------------
 */

static enum fp_status merge(struct gathering *g, int group, struct fp_error *err)
{
    struct cx_state_merge merge = {.columns = g->d->columns,
                                   .old = g->state[group],
                                   .old_len = g->len[group],
                                   .rows = g->rows,
                                   .row_count = (size_t)g->waiting};
    size_t len = 0;
    g->waiting = 0;
    merge.out = malloc(cx_state_merge_room(&merge));
    merge.work = aligned_alloc(16, (cx_state_merge_work(&merge) + 15) / 16 * 16);
    if (merge.out == NULL || merge.work == NULL) {
        free(merge.out);
        free(merge.work);
        return no_memory(g, err);
    }
    enum cx_state_status status = cx_state_merge(&merge, &len);
    free(merge.work);
    free(g->state[group]);
    uint8_t *fitting = realloc(merge.out, len + 1);
    g->state[group] = fitting != NULL ? fitting : merge.out;
    g->len[group] = len;
    return status == CX_STATE_OK ? FP_OK : too_large(err);
}

/* A row of the table waits to be merged. */
static void take_row(struct gathering *g, int64_t row, int64_t weight)
{
    const struct fp_table *table = &g->d->table;
    struct cx_state_row *to = &g->rows[g->waiting];
    int64_t *z = g->z + (size_t)g->waiting++ * (size_t)g->d->columns;
    *to = (struct cx_state_row){.weight = weight, .count = 1, .z = z};
    for (int c = 0; c < g->d->columns; c++) {
        enum fp_cell cell = table->column[c].cell[row];
        to->observed |= (uint64_t)(cell == FP_CELL_ANSWERED) << c;
        to->does_not_apply |= (uint64_t)(cell == FP_CELL_DOES_NOT_APPLY) << c;
        if (cell == FP_CELL_ANSWERED)
            *z++ = table->column[c].value[row];
    }
}

static enum fp_status store_group(struct gathering *g, int group, struct fp_error *err)
{
    const struct fp_table *table = &g->d->table;
    enum fp_status status = FP_OK;
    for (int64_t row = 0; row < table->rows && status == FP_OK; row++) {
        int64_t weight = fp_table_weight(table, row);
        if (g->group[row] != group || weight == 0)
            continue;
        take_row(g, row, weight);
        if (g->waiting == BATCH_ROWS)
            status = merge(g, group, err);
    }
    return status == FP_OK && g->waiting > 0 ? merge(g, group, err) : status;
}

/* ---- states → sets ----------------------------------------------------------------------------
 */

void fp_drivers_drop_set(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    *set = (struct cx_set){0};
}

/* Room for every kept pattern. */
static bool make_set(struct cx_set *set, const struct cx_collect *collect)
{
    size_t cells = cx_collect_cells(collect), patterns = (size_t)collect->kept;
    cx_set_init(set, collect->columns, calloc(patterns + 1, sizeof *set->pattern), collect->kept);
    cx_set_give_cells(set, calloc(cells + 1, sizeof *set->cells), cells);
    return set->pattern != NULL && set->cells != NULL;
}

/* As many as STATE_BYTES_MAX has room for, were all of them complete. */
static int pattern_cap(const struct fp_drivers *d)
{
    size_t sets = (size_t)d->groups + 1, block = cx_moments_cells(d->columns) * sizeof(cx_wide);
    int cap = PATTERNS_MIN;
    while (cx_drivers_memory(d->columns, 2 * cap) + 2 * (size_t)cap * sets * block <=
           STATE_BYTES_MAX)
        cap *= 2;
    return cap;
}

static enum fp_status plan(struct gathering *g, struct fp_error *err)
{
    bool full = true;
    for (size_t slots = 1024; full; slots *= 2) {
        free(g->collect.slot);
        free(g->collect.kept_observed);
        struct cx_collect_slot *slot = calloc(slots, sizeof *slot);
        uint64_t *kept = calloc(slots, sizeof *kept);
        g->collect = (struct cx_collect){.slot = slot, .kept_observed = kept};
        if (slot == NULL || kept == NULL)
            return no_memory(g, err);
        cx_collect_init(&g->collect, g->d->columns, slot, slots, kept);
        full = false;
        for (int i = 0; i < g->d->groups && !full; i++)
            if (cx_collect_count(&g->collect, g->state[i], g->len[i], &full) != CX_STATE_OK)
                return too_large(err);
    }
    cx_collect_plan(&g->collect, pattern_cap(g->d));
    return FP_OK;
}

static enum fp_status make_sets(struct gathering *g, struct fp_error *err)
{
    struct fp_drivers *d = g->d;
    void *work = aligned_alloc(16, (cx_collect_work(d->columns) + 15) / 16 * 16);
    enum fp_status status =
        work != NULL && make_set(&d->total, &g->collect) ? FP_OK : no_memory(g, err);
    for (int i = 0; i < d->groups && status == FP_OK; i++) {
        if (!make_set(&d->group[i], &g->collect))
            status = no_memory(g, err);
        else if (cx_collect_add(&g->collect, &d->group[i], g->state[i], g->len[i], work) !=
                     CX_STATE_OK ||
                 cx_set_merge(&d->total, &d->group[i], 1) != CX_SET_OK)
            status = too_large(err);
    }
    free(work);
    return status;
}

static void release(struct gathering *g)
{
    for (int i = 0; i < CX_GROUPS_MAX; i++)
        free(g->state[i]);
    free(g->group);
    free(g->rows);
    free(g->z);
    free(g->collect.slot);
    free(g->collect.kept_observed);
}

enum fp_status fp_drivers_gather(struct fp_drivers *d, struct fp_error *err)
{
    size_t columns = (size_t)d->columns;
    struct gathering g = {.d = d,
                          .group = calloc((size_t)d->table.rows + 1, 1),
                          .rows = calloc(BATCH_ROWS, sizeof *g.rows),
                          .z = calloc(BATCH_ROWS * columns, sizeof *g.z)};
    enum fp_status status =
        g.group != NULL && g.rows != NULL && g.z != NULL ? FP_OK : no_memory(&g, err);
    if (status == FP_OK)
        status = d->table.day < 0 ? deal(&g, err) : deal_days(&g, err);
    for (int i = 0; i < d->groups && status == FP_OK; i++)
        status = store_group(&g, i, err);
    if (status == FP_OK)
        status = plan(&g, err);
    if (status == FP_OK)
        status = make_sets(&g, err);
    for (int64_t row = 0; row < d->table.rows; row++)
        d->weightless += fp_table_weight(&d->table, row) == 0;
    d->collect = g.collect; /* its counts and costs; its memory goes */
    release(&g);
    d->collect.slot = NULL;
    d->collect.kept_observed = NULL;
    return status;
}
