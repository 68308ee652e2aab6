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

static int run_end(const struct cx_set *set, int start, cx_wide *rows)
{
    int end = start;
    *rows = 0;
    while (end < set->count && set->pattern[end].observed == set->pattern[start].observed)
        *rows += set->pattern[end++].cell[CX_MOMENTS_N];
    return end;
}

/* Runs with rows that come before this one in (most rows, then smaller mask). */
static int rank_of(const struct cx_set *set, int start, cx_wide mine)
{
    int ahead = 0;
    cx_wide rows;
    for (int at = 0, end; at < set->count; at = end) {
        end = run_end(set, at, &rows);
        ahead += rows > mine || (rows == mine && at < start);
    }
    return ahead;
}

/* The kept pattern inside `observed` with most answers; of equals the one of the smallest mask
 * (rows would not do: they grow while folding). */
static struct cx_pattern *refuge(const struct cx_set *kept, uint64_t observed)
{
    int best = -1;
    for (int i = 0; i < kept->count; i++) {
        uint64_t inner = kept->pattern[i].observed;
        if (inner & ~observed)
            continue;
        if (best < 0 || cx_mask_count(inner) > cx_mask_count(kept->pattern[best].observed))
            best = i;
    }
    return best < 0 ? NULL : &kept->pattern[best];
}

/* Keeps the runs of most rows in `into`. */
static enum cx_set_result keep_largest(struct cx_set *into, const struct cx_set *from, int cap)
{
    cx_wide rows;
    for (int at = 0, end; at < from->count; at = end) {
        end = run_end(from, at, &rows);
        if (rows <= 0 || rank_of(from, at, rows) >= cap)
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

enum cx_set_result cx_set_fold(struct cx_set *into, const struct cx_set *from, int cap,
                               struct cx_set_fold *fold)
{
    *fold = (struct cx_set_fold){0};
    enum cx_set_result result = keep_largest(into, from, cap);
    if (result != CX_SET_OK)
        return result;
    cx_wide rows;
    for (int at = 0, end; at < from->count; at = end) {
        end = run_end(from, at, &rows);
        if (rows <= 0 || rank_of(from, at, rows) < cap)
            continue;
        for (int i = at; i < end; i++) {
            const struct cx_pattern *lost = &from->pattern[i];
            int64_t n = (int64_t)lost->cell[CX_MOMENTS_N];
            struct cx_pattern *to = refuge(into, lost->observed);
            if (!to) {
                fold->rows_dropped += n;
                continue;
            }
            fold->values_dropped += n * cx_mask_count(lost->observed & ~to->observed);
            if (!add_part(to->cell, to->observed, lost))
                return CX_SET_OVERFLOW;
        }
    }
    fold->patterns = into->count;
    return CX_SET_OK;
}
