/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-products by pattern of missing answers.
 *
 * Problem: answers are missing by the million, and a sum over complete rows alone throws most of
 * them away. Way: one exact block for every set of columns answered together; estimation
 * (missing.h) needs nothing else. Hazard: the number of patterns. It is bounded when results are
 * read, not when answers arrive, since what a cap drops on arrival would depend on the order. */
#include "analytics/moments_set.h"

static int columns_of(uint64_t mask, int *column)
{
    int count = 0;
    for (; mask; mask &= mask - 1)
        column[count++] = __builtin_ctzll(mask);
    return count;
}

void cx_set_init(struct cx_set *set, int columns, struct cx_pattern *patterns, int capacity)
{
    *set = (struct cx_set){.columns = columns, .pattern = patterns, .capacity = capacity};
}

void cx_set_give_cells(struct cx_set *set, cx_wide *cells, size_t size)
{
    set->cells = cells;
    set->size = size;
}

static int compare(const struct cx_pattern *a, const struct cx_pattern *b)
{
    if (a->observed != b->observed)
        return a->observed < b->observed ? -1 : 1;
    if (a->does_not_apply != b->does_not_apply)
        return a->does_not_apply < b->does_not_apply ? -1 : 1;
    return 0;
}

/* Index of the key, or of the place where it belongs. */
static int place(const struct cx_set *set, const struct cx_pattern *key)
{
    int low = 0, high = set->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare(&set->pattern[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The key's block, a new empty one when it was not there; NULL when there is no room. */
static cx_wide *block_of(struct cx_set *set, const struct cx_pattern *key)
{
    int at = place(set, key);
    if (at < set->count && compare(&set->pattern[at], key) == 0)
        return set->pattern[at].cell;
    size_t cells = cx_moments_cells(cx_mask_count(key->observed));
    if (set->count == set->capacity || cells > set->size - set->used)
        return NULL;
    for (int i = set->count++; i > at; i--)
        set->pattern[i] = set->pattern[i - 1];
    cx_wide *cell = set->cells + set->used;
    set->used += cells;
    for (size_t i = 0; i < cells; i++)
        cell[i] = 0;
    set->pattern[at] = (struct cx_pattern){key->observed, key->does_not_apply, cell};
    return cell;
}

enum cx_set_result cx_set_add(struct cx_set *set, const struct cx_pattern *key, const int64_t *z,
                              int64_t weight, int sign)
{
    if (weight == 0)
        return CX_SET_OK;
    cx_wide *cell = block_of(set, key);
    if (!cell)
        return CX_SET_FULL;
    int column[CX_COLUMNS_MAX];
    int64_t answered[CX_COLUMNS_MAX];
    int q = columns_of(key->observed, column);
    for (int i = 0; i < q; i++)
        answered[i] = z[column[i]];
    return cx_moments_add(cell, q, answered, weight, sign) ? CX_SET_OK : CX_SET_OVERFLOW;
}

enum cx_set_result cx_set_add_block(struct cx_set *set, const struct cx_pattern *block, int sign)
{
    cx_wide *cell = block_of(set, block);
    if (!cell)
        return CX_SET_FULL;
    bool fits = cx_moments_merge(cell, block->cell, cx_mask_count(block->observed), sign);
    return fits ? CX_SET_OK : CX_SET_OVERFLOW;
}

enum cx_set_result cx_set_merge(struct cx_set *into, const struct cx_set *from, int sign)
{
    enum cx_set_result result = CX_SET_OK;
    int done = 0;
    while (done < from->count && result == CX_SET_OK)
        result = cx_set_add_block(into, &from->pattern[done++], sign);
    if (result != CX_SET_OK)
        for (int i = 0; i < done - 1; i++) /* cannot fail: it was just added */
            cx_set_add_block(into, &from->pattern[i], -sign);
    return result;
}

/* Where the columns of `inner` stand among those of `outer`, of which they are a part. */
static int positions(uint64_t outer, uint64_t inner, int *keep)
{
    int count = 0, at = 0;
    for (; outer; outer &= outer - 1, at++)
        if (inner & outer & -outer)
            keep[count++] = at;
    return count;
}

/* Adds to cell (a block of `columns`) what a pattern that has them all knows of them. */
static bool add_part(cx_wide *cell, uint64_t columns, const struct cx_pattern *from)
{
    int keep[CX_COLUMNS_MAX], q = cx_mask_count(from->observed);
    int kept = positions(from->observed, columns, keep);
    bool fits = !__builtin_add_overflow(cell[0], from->cell[0], &cell[0]) &&
                !__builtin_add_overflow(cell[1], from->cell[1], &cell[1]);
    cx_wide *to = &cell[CX_MOMENTS_WEIGHT];
    for (int i = 0; i <= kept; i++)
        for (int j = i; j <= kept && fits; j++, to++) {
            size_t at =
                cx_moments_at(q, i == 0 ? 0 : keep[i - 1] + 1, j == 0 ? 0 : keep[j - 1] + 1);
            fits = !__builtin_add_overflow(*to, from->cell[at], to);
        }
    return fits;
}

bool cx_set_complete(const struct cx_set *set, uint64_t columns, cx_wide *cell)
{
    size_t cells = cx_moments_cells(cx_mask_count(columns));
    for (size_t i = 0; i < cells; i++)
        cell[i] = 0;
    for (int i = 0; i < set->count; i++)
        if ((set->pattern[i].observed & columns) == columns &&
            !add_part(cell, columns, &set->pattern[i]))
            return false;
    return true;
}

void cx_set_count(const struct cx_set *set, struct cx_set_counts *counts)
{
    *counts = (struct cx_set_counts){0};
    for (int i = 0; i < set->count; i++) {
        const struct cx_pattern *pattern = &set->pattern[i];
        int64_t n = (int64_t)pattern->cell[CX_MOMENTS_N];
        counts->rows += n;
        for (int c = 0; c < set->columns; c++)
            if (pattern->observed >> c & 1)
                counts->answered[c] += n;
            else if (pattern->does_not_apply >> c & 1)
                counts->does_not_apply[c] += n;
            else
                counts->skipped[c] += n;
    }
}

/* ---- folding ----------------------------------------------------------------------------------
 * Patterns of equal `observed` stand next to each other: a run. */

static int run_end(const struct cx_set *set, int start, int64_t *rows)
{
    int end = start;
    *rows = 0;
    while (end < set->count && set->pattern[end].observed == set->pattern[start].observed)
        *rows += (int64_t)set->pattern[end++].cell[CX_MOMENTS_N];
    return end;
}

static bool next_run(const void *from, size_t *at, uint64_t *observed, int64_t *rows)
{
    const struct cx_set *set = from;
    int start = (int)*at;
    if (start >= set->count)
        return false;
    *observed = set->pattern[start].observed;
    *at = (size_t)run_end(set, start, rows);
    return true;
}

/* Runs of at least so many rows or, with equal, just as many and a mask below `below`. */
static int64_t runs(cx_fold_next *next, const void *from, int64_t least, bool equal, uint64_t below)
{
    uint64_t observed;
    int64_t rows, count = 0;
    for (size_t at = 0; next(from, &at, &observed, &rows);)
        count += equal ? rows == least && observed < below : rows >= least;
    return count;
}

struct cx_fold_bound cx_fold_bound(cx_fold_next *next, const void *from, int cap)
{
    struct cx_fold_bound bound = {0, 0};
    if (runs(next, from, 1, false, 0) <= cap)
        return bound;
    int64_t high = INT64_MAX; /* the most rows that more than cap runs have: [bound.rows, high) */
    bound.rows = 1;
    while (high - bound.rows > 1) {
        int64_t middle = bound.rows + (high - bound.rows) / 2;
        if (runs(next, from, middle, false, 0) > cap)
            bound.rows = middle;
        else
            high = middle;
    }
    int64_t left = cap - runs(next, from, bound.rows + 1, false, 0);
    for (uint64_t bit = UINT64_C(1) << 63; bit; bit >>= 1) /* the largest mask with few below */
        if (runs(next, from, bound.rows, true, bound.observed | bit) <= left)
            bound.observed |= bit;
    return bound;
}

static struct cx_pattern *refuge(const struct cx_set *kept, uint64_t observed)
{
    struct cx_pattern *best = NULL;
    for (int i = 0; i < kept->count; i++)
        if (cx_fold_prefers(observed, kept->pattern[i].observed, best ? &best->observed : NULL))
            best = &kept->pattern[i];
    return best;
}

/* Keeps the runs of most rows in `into`. */
static enum cx_set_result keep_largest(struct cx_set *into, const struct cx_set *from,
                                       struct cx_fold_bound bound)
{
    int64_t rows;
    for (int at = 0, end; at < from->count; at = end) {
        end = run_end(from, at, &rows);
        if (!cx_fold_keeps(bound, from->pattern[at].observed, rows))
            continue;
        for (int i = at; i < end; i++) {
            struct cx_pattern merged = from->pattern[i];
            merged.does_not_apply = 0;
            enum cx_set_result result = cx_set_add_block(into, &merged, 1);
            if (result != CX_SET_OK)
                return result;
        }
    }
    return CX_SET_OK;
}

/* The patterns [at, end) of one run lose answers until they are `to`. */
static bool move_run(const struct cx_set *from, int at, int end, struct cx_pattern *to)
{
    for (int i = at; i < end; i++)
        if (!add_part(to->cell, to->observed, &from->pattern[i]))
            return false;
    return true;
}

enum cx_set_result cx_set_fold(struct cx_set *into, const struct cx_set *from, int cap,
                               struct cx_set_fold *fold)
{
    *fold = (struct cx_set_fold){0};
    struct cx_fold_bound bound = cx_fold_bound(next_run, from, cap);
    enum cx_set_result result = keep_largest(into, from, bound);
    if (result != CX_SET_OK)
        return result;
    int64_t rows;
    for (int at = 0, end; at < from->count; at = end) {
        uint64_t observed = from->pattern[at].observed;
        end = run_end(from, at, &rows);
        if (rows <= 0 || cx_fold_keeps(bound, observed, rows))
            continue;
        struct cx_pattern *to = refuge(into, observed);
        if (!to) {
            fold->rows_dropped += rows;
            continue;
        }
        fold->values_dropped += rows * cx_mask_count(observed & ~to->observed);
        if (!move_run(from, at, end, to))
            return CX_SET_OVERFLOW;
    }
    fold->patterns = into->count;
    return CX_SET_OK;
}
