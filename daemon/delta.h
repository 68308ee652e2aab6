/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a batch adds to one table: integer cells by integer key, in a bounded hash table.
 * Threads: none; the batch that owns it moves between threads as a whole. */
#ifndef FP_DELTA_H
#define FP_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analytics/tally.h"

/* Tallies: {series, bucket, unit, channel, 0}; sketch: {series, bucket, unit, channel, bin};
 * coverage: {touchpoint, bucket, 0, 0, 0}; predictions: {series, bucket, unit, version's upper and
 * lower half}. Sorting by key gives the order of the primary keys. */
struct fp_key {
    int32_t part[5];
};

/* Columns of coverage_day. */
enum fp_coverage {
    FP_COVER_EVENTS,
    FP_COVER_FAILED,
    FP_COVER_ABANDONED,
    FP_COVER_RECOVERED,
    FP_COVER_CUSTOMER,
    FP_COVER_EMPLOYEE,
    FP_COVER_INTERNAL,
    FP_COVER_INVITED,
    FP_COVERS
};

/* Columns of prediction: of events (a version of the coefficients), of answers (version 0). */
enum fp_prediction {
    FP_PREDICT_EVENTS,
    FP_PREDICT_SUM,       /* thousandths */
    FP_PREDICT_DETRACTOR, /* millionths */
    FP_PREDICT_N,
    FP_PREDICT_WEIGHT,
    FP_PREDICT_WEIGHT_SQUARE,
    FP_PREDICT_OBSERVED,
    FP_PREDICT_OBSERVED_SQUARE,
    FP_PREDICTS
};

struct fp_cell {
    struct fp_key key;
    bool has_bins; /* some bin may be non-zero */
    union {
        struct cx_tally tally;
        int64_t count[FP_COVERS];
    };
};

struct fp_delta {
    struct fp_cell *cells; /* dense, in order of first sight until sorted */
    size_t count, capacity, limit;
    uint32_t *index; /* open addressing: cell + 1, 0 = free */
    size_t mask;
};

/* limit: cells at most. The table starts small and grows. */
void fp_delta_init(struct fp_delta *delta, size_t limit);
void fp_delta_reset(struct fp_delta *delta); /* empties, keeps the memory */
void fp_delta_free(struct fp_delta *delta);

/* The cell of a key, all zero when new. Never fails below the limit; callers keep room
 * (fp_delta_room) before they take a message. */
struct fp_cell *fp_delta_cell(struct fp_delta *delta, struct fp_key key);
size_t fp_delta_room(const struct fp_delta *delta);

/* Adds the tallies of another delta; aborts on overflow of int64, which counts of one batch cannot
 * reach. */
void fp_delta_merge(struct fp_delta *into, const struct fp_delta *from);

/* Sorts the cells by key and drops those that are all zero; the index is void afterwards. */
void fp_delta_sort(struct fp_delta *delta);
int fp_key_compare(const struct fp_key *a, const struct fp_key *b); /* of that order */

#endif
