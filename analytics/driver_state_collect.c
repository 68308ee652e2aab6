/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The states of a window → sets for an estimate.
 *
 * Problem: a window meets more patterns of missing answers than an estimate can use, and a block
 * for each of them would take gigabytes. Way: the states are read twice. The first time only rows
 * are counted, 24 bytes a pattern; then the rule of cx_set_fold chooses the patterns to keep and
 * where the rows of each other one go; the second time every row goes straight there. The sets
 * are the ones that cx_set_fold would have made of everything, to the bit. Hazard: states that
 * were not all counted; a pattern that the plan does not know is refused. */
#include "analytics/driver_state_parts.h"
#include "analytics/solve_drivers.h"

enum { DROPPED = -1, FREE = -2 };

void cx_collect_init(struct cx_collect *collect, int columns, struct cx_collect_slot *slot,
                     size_t slots, uint64_t *kept_observed)
{
    *collect = (struct cx_collect){
        .columns = columns, .slot = slot, .slots = slots, .kept_observed = kept_observed};
    for (size_t i = 0; i < slots; i++)
        slot[i] = (struct cx_collect_slot){.kept = FREE};
}

/* Its slot, or the free one where it belongs. */
static struct cx_collect_slot *slot_of(const struct cx_collect *collect, uint64_t observed)
{
    uint64_t mixed = observed * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(mixed ^ mixed >> 32);
    for (;; at++) {
        struct cx_collect_slot *slot = &collect->slot[at & (collect->slots - 1)];
        if (slot->kept == FREE || slot->observed == observed)
            return slot;
    }
}

/* ---- counting -------------------------------------------------------------------------------- */

/* False: beyond 64 bits. */
static bool count_part(struct cx_set_counts *counts, int columns, const struct cx_pattern *key,
                       int64_t rows)
{
    bool fits = !__builtin_add_overflow(counts->rows, rows, &counts->rows);
    for (int c = 0; c < columns; c++) {
        int64_t *to = key->observed >> c & 1         ? &counts->answered[c]
                      : key->does_not_apply >> c & 1 ? &counts->does_not_apply[c]
                                                     : &counts->skipped[c];
        fits &= !__builtin_add_overflow(*to, rows, to);
    }
    return fits;
}

enum cx_state_status cx_collect_count(struct cx_collect *collect, const uint8_t *state, size_t len,
                                      bool *full)
{
    struct cx_state_reader reader;
    enum cx_state_step step;
    *full = false;
    if (!cx_state_open(&reader, state, len, collect->columns))
        return CX_STATE_CORRUPT;
    while ((step = cx_state_next(&reader)) == CX_STATE_STEP_PART) {
        int64_t rows;
        if (!cx_state_skip(&reader, &rows))
            return CX_STATE_CORRUPT;
        struct cx_collect_slot *slot = slot_of(collect, reader.key.observed);
        *full = slot->kept == FREE && collect->used >= collect->slots / 2;
        if (*full)
            return CX_STATE_OK;
        collect->used += slot->kept == FREE;
        slot->kept = DROPPED;
        slot->observed = reader.key.observed;
        if (__builtin_add_overflow(slot->rows, rows, &slot->rows) ||
            !count_part(&collect->counts, collect->columns, &reader.key, rows))
            return CX_STATE_OVERFLOW;
    }
    return step == CX_STATE_STEP_END ? CX_STATE_OK : CX_STATE_CORRUPT;
}

/* ---- planning -------------------------------------------------------------------------------- */

static bool next_slot(const void *from, size_t *at, uint64_t *observed, int64_t *rows)
{
    const struct cx_collect *collect = from;
    while (*at < collect->slots && collect->slot[*at].kept == FREE)
        ++*at;
    if (*at == collect->slots)
        return false;
    *observed = collect->slot[*at].observed;
    *rows = collect->slot[(*at)++].rows;
    return true;
}

/* Index of the kept pattern that rows of a dropped one go to. */
static int refuge(const struct cx_collect *collect, uint64_t observed)
{
    int best = DROPPED;
    for (int i = 0; i < collect->kept; i++)
        if (cx_fold_prefers(observed, collect->kept_observed[i],
                            best < 0 ? NULL : &collect->kept_observed[best]))
            best = i;
    return best;
}

void cx_collect_plan(struct cx_collect *collect, int cap)
{
    struct cx_fold_bound bound = cx_fold_bound(next_slot, collect, cap);
    collect->fold = (struct cx_set_fold){0};
    collect->kept = 0;
    for (size_t i = 0; i < collect->slots; i++) {
        struct cx_collect_slot *slot = &collect->slot[i];
        if (slot->kept == FREE)
            continue;
        slot->kept = DROPPED;
        if (cx_fold_keeps(bound, slot->observed, slot->rows)) {
            slot->kept = collect->kept;
            collect->kept_observed[collect->kept++] = slot->observed;
        }
    }
    for (size_t i = 0; i < collect->slots; i++) {
        struct cx_collect_slot *slot = &collect->slot[i];
        if (slot->kept != DROPPED || slot->rows <= 0)
            continue;
        slot->kept = refuge(collect, slot->observed);
        if (slot->kept == DROPPED)
            collect->fold.rows_dropped += slot->rows;
        else
            collect->fold.values_dropped +=
                slot->rows * cx_mask_count(slot->observed & ~collect->kept_observed[slot->kept]);
    }
    collect->fold.patterns = collect->kept;
}

size_t cx_collect_cells(const struct cx_collect *collect)
{
    size_t cells = 0;
    for (int i = 0; i < collect->kept; i++)
        cells += cx_moments_cells(cx_mask_count(collect->kept_observed[i]));
    return cells;
}

/* ---- adding ---------------------------------------------------------------------------------- */

struct adder {
    cx_wide *cell, *part; /* a block each */
    struct cx_sum sum;
};

size_t cx_collect_work(int columns)
{
    return 2 * cx_moments_cells(columns) * sizeof(cx_wide) + cx_sum_bytes(columns);
}

/* The part under the reader into adder->cell. */
static enum cx_state_status read_part(struct adder *adder, struct cx_state_reader *reader)
{
    int64_t rows;
    if (reader->distinct == 0)
        return cx_state_read_block(reader, adder->cell, &rows) ? CX_STATE_OK : CX_STATE_CORRUPT;
    size_t cells = cx_moments_cells(reader->q);
    for (size_t i = 0; i < cells; i++)
        adder->cell[i] = 0;
    cx_sum_start(&adder->sum, adder->cell, reader->q);
    for (uint64_t i = 0; i < reader->distinct; i++) {
        struct cx_state_row row;
        if (!cx_state_read_row(reader, &row))
            return CX_STATE_CORRUPT;
        if (!cx_sum_row(&adder->sum, &row))
            return CX_STATE_OVERFLOW;
    }
    return cx_sum_finish(&adder->sum) ? CX_STATE_OK : CX_STATE_OVERFLOW;
}

/* adder->cell, a block of `observed`, less the answers that `to` has not. */
static cx_wide *lose_answers(struct adder *adder, uint64_t observed, uint64_t to)
{
    int keep[CX_COLUMNS_MAX], kept = 0, at = 0;
    if (observed == to)
        return adder->cell;
    for (uint64_t rest = observed; rest; rest &= rest - 1, at++)
        if (to & rest & -rest)
            keep[kept++] = at;
    cx_moments_select(adder->part, adder->cell, at, keep, kept);
    return adder->part;
}

static enum cx_state_status add_part(const struct cx_collect *collect, struct cx_set *set,
                                     struct adder *adder, struct cx_state_reader *reader)
{
    int64_t rows;
    const struct cx_collect_slot *slot = slot_of(collect, reader->key.observed);
    if (slot->kept == FREE)
        return CX_STATE_CORRUPT;
    if (slot->kept == DROPPED)
        return cx_state_skip(reader, &rows) ? CX_STATE_OK : CX_STATE_CORRUPT;
    enum cx_state_status status = read_part(adder, reader);
    if (status != CX_STATE_OK)
        return status;
    struct cx_pattern block = {.observed = collect->kept_observed[slot->kept]};
    block.cell = lose_answers(adder, reader->key.observed, block.observed);
    return cx_set_add_block(set, &block, 1) == CX_SET_OK ? CX_STATE_OK : CX_STATE_OVERFLOW;
}

static void adder_init(struct adder *adder, int columns, void *work)
{
    size_t cells = cx_moments_cells(columns);
    adder->cell = work;
    adder->part = adder->cell + cells;
    cx_sum_init(&adder->sum, columns, adder->part + cells);
}

enum cx_state_status cx_collect_add(const struct cx_collect *collect, struct cx_set *set,
                                    const uint8_t *state, size_t len, void *work)
{
    struct cx_state_reader reader;
    struct adder adder;
    enum cx_state_step step;
    adder_init(&adder, collect->columns, work);
    if (!cx_state_open(&reader, state, len, collect->columns))
        return CX_STATE_CORRUPT;
    while ((step = cx_state_next(&reader)) == CX_STATE_STEP_PART) {
        enum cx_state_status status = add_part(collect, set, &adder, &reader);
        if (status != CX_STATE_OK)
            return status;
    }
    return step == CX_STATE_STEP_END ? CX_STATE_OK : CX_STATE_CORRUPT;
}

/* ---- who it applies to ----------------------------------------------------------------------- */

enum cx_state_status cx_collect_applicable(struct cx_set *set, uint64_t columns,
                                           const uint8_t *state, size_t len, void *work, bool *full)
{
    struct cx_state_reader reader;
    struct adder adder;
    enum cx_state_step step;
    adder_init(&adder, set->columns, work);
    *full = false;
    if (!cx_state_open(&reader, state, len, set->columns))
        return CX_STATE_CORRUPT;
    while ((step = cx_state_next(&reader)) == CX_STATE_STEP_PART) {
        uint64_t known = reader.key.observed | reader.key.does_not_apply;
        int64_t rows;
        if ((known & columns) != columns) {
            if (!cx_state_skip(&reader, &rows))
                return CX_STATE_CORRUPT;
            continue;
        }
        enum cx_state_status status = read_part(&adder, &reader);
        if (status != CX_STATE_OK)
            return status;
        struct cx_pattern block = {.observed = reader.key.observed & columns,
                                   .does_not_apply = reader.key.does_not_apply & columns};
        block.cell = lose_answers(&adder, reader.key.observed, block.observed);
        enum cx_set_result added = cx_set_add_block(set, &block, 1);
        *full = added == CX_SET_FULL;
        if (added != CX_SET_OK)
            return *full ? CX_STATE_OK : CX_STATE_OVERFLOW;
    }
    return step == CX_STATE_STEP_END ? CX_STATE_OK : CX_STATE_CORRUPT;
}

/* ---- reporting ------------------------------------------------------------------------------- */

void cx_collect_report(const struct cx_collect *collect, struct cx_drivers *result)
{
    struct cx_fit *fit = &result->fit;
    result->counts = collect->counts;
    for (int c = 0; c < fit->drivers; c++)
        if (fit->dropped[c] == CX_DROP_EMPTY && collect->counts.answered[c] == 0 &&
            collect->counts.does_not_apply[c] > 0)
            fit->dropped[c] = CX_DROP_NO_VALUE;
    if (result->method == CX_METHOD_LISTWISE)
        result->missing = 1 - (double)result->n_complete / (double)result->counts.rows;
    if (result->fold.patterns == 0) /* of EM alone, which may have folded once more */
        result->fold.patterns = collect->fold.patterns;
    result->fold.values_dropped += collect->fold.values_dropped;
    result->fold.rows_dropped += collect->fold.rows_dropped;
}
