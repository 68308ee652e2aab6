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

#endif
