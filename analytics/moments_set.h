/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-products by pattern of missing answers: one block (moments.h) of the columns that were
 * answered for every pair (answered, "does not apply"). What is in neither mask was skipped.
 * Keeping the two apart costs patterns, not precision: estimation sees only who answered,
 * `cx_set_counts` reports them apart. Memory: the caller's, carved by cx_set_init. Threads: none;
 * caller serialises. Errors: a status; on failure the set is unchanged. */
#ifndef CX_MOMENTS_SET_H
#define CX_MOMENTS_SET_H

#include "analytics/moments.h"

enum cx_set_result {
    CX_SET_OK,
    CX_SET_OVERFLOW, /* a cell would leave its range */
    CX_SET_FULL      /* no room for a new pattern: fold, or give more memory */
};

struct cx_pattern {
    uint64_t observed;       /* bit c: column c answered */
    uint64_t does_not_apply; /* bit c: column c structurally absent */
    cx_wide *cell;           /* block of popcount(observed) columns, ascending */
};

struct cx_set {
    int columns; /* 1 … CX_COLUMNS_MAX */
    int count, capacity;
    struct cx_pattern *pattern; /* ascending by (observed, does_not_apply) */
    cx_wide *cells;
    size_t used, size;
};

/* patterns: room for `capacity`; cells: room for `size` (cx_moments_cells(columns) each is enough).
 */
void cx_set_init(struct cx_set *set, int columns, struct cx_pattern *patterns, int capacity);
void cx_set_give_cells(struct cx_set *set, cx_wide *cells, size_t size);

/* z[c] is read where bit c of observed is set. sign as in cx_moments_add. */
enum cx_set_result cx_set_add(struct cx_set *set, const struct cx_pattern *key, const int64_t *z,
                              int64_t weight, int sign);
/* Adds or takes away a block of the key's pattern, e.g. a stored row. */
enum cx_set_result cx_set_add_block(struct cx_set *set, const struct cx_pattern *block, int sign);
enum cx_set_result cx_set_merge(struct cx_set *into, const struct cx_set *from, int sign);

/* Sum over the patterns in which all of `columns` (a mask) were answered, of those columns alone:
 * what listwise deletion keeps. cell: cx_moments_cells(popcount(columns)). False: overflow. */
bool cx_set_complete(const struct cx_set *set, uint64_t columns, cx_wide *cell);

struct cx_set_counts {
    int64_t rows;
    int64_t answered[CX_COLUMNS_MAX], skipped[CX_COLUMNS_MAX], does_not_apply[CX_COLUMNS_MAX];
};
void cx_set_count(const struct cx_set *set, struct cx_set_counts *counts);

struct cx_set_fold {
    int patterns;           /* left */
    int64_t values_dropped; /* answers not used, of the rows that stay */
    int64_t rows_dropped;   /* rows without a kept pattern inside theirs */
};
/* For estimation: patterns with equal `observed` become one; then the `cap` patterns of most rows
 * stay, and each other one loses answers until it is one of those: the largest that lies within it.
 * A function of the set alone, so it may not be done before merging. into: empty, cap ≤ capacity;
 * of no use after a failure. */
enum cx_set_result cx_set_fold(struct cx_set *into, const struct cx_set *from, int cap,
                               struct cx_set_fold *fold);

/* ---- its rule, for who keeps patterns in another way (driver_state.h) -------------------------
 * Runs are the sets of columns answered together, each once, in any order. */

/* The next run from *at on, which it moves along; false: none is left. */
typedef bool cx_fold_next(const void *from, size_t *at, uint64_t *observed, int64_t *rows);

struct cx_fold_bound { /* kept: runs of more rows, or as many and a smaller mask */
    int64_t rows;
    uint64_t observed;
};
/* The bound that `cap` runs of most rows are within, of equals those of the smallest mask; runs
 * without rows never are. At most 130 times through all runs. */
struct cx_fold_bound cx_fold_bound(cx_fold_next *next, const void *from, int cap);

static inline bool cx_fold_keeps(struct cx_fold_bound bound, uint64_t observed, int64_t rows)
{
    return rows > bound.rows || (rows > 0 && rows == bound.rows && observed < bound.observed);
}

/* Whether rows of `observed` rather go to the kept pattern `inner` than to `best`: the one inside
 * with most answers, of equals the smallest mask (rows would not do: they grow while folding). */
static inline bool cx_fold_prefers(uint64_t observed, uint64_t inner, const uint64_t *best)
{
    if (inner & ~observed)
        return false;
    int more = best ? cx_mask_count(inner) - cx_mask_count(*best) : 1;
    return more > 0 || (more == 0 && inner < *best);
}

#endif
