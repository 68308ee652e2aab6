/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The moments of one driver model in one segment on one day, as bytes that a database can keep.
 *
 * A pattern (moments_set.h) with few rows is kept as a multiset of its raw rows, which is smaller
 * than cross-products; once it holds more than CX_STATE_RAW_MAX(q) rows it becomes a block of exact
 * cross-products and stays one. Rows carry a signed count, so what was added can be taken away
 * again, also before it came. Whatever the order of merging, the moments read from the bytes are
 * the same to the bit (the bytes themselves may differ in which patterns are still raw).
 *
 *   state, rows → cx_state_merge → state            (adding, taking away)
 *   states of a window → cx_collect_* → struct cx_set per group   (reading)
 *
 * Memory: the caller's. Threads: pure. */
#ifndef CX_DRIVER_STATE_H
#define CX_DRIVER_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "analytics/moments_set.h"

struct cx_drivers; /* solve_drivers.h */

#define CX_STATE_RAW_MAX(q) (4 * ((q) + 2))

struct cx_state_row {
    uint64_t observed, does_not_apply; /* of `columns` columns; disjoint */
    int64_t weight;                    /* > 0 */
    int64_t count;                     /* how many such rows; negative: taken away */
    const int64_t *z;                  /* popcount(observed) values, ascending by column */
};

enum cx_state_status {
    CX_STATE_OK,
    CX_STATE_CORRUPT, /* the bytes are not a state of so many columns, or a row is none of it */
    CX_STATE_OVERFLOW /* a cell beyond 128 bits, or a count beyond 64 */
};

struct cx_state_merge {
    int columns;
    const uint8_t *old; /* may be NULL with old_len 0: nothing yet */
    size_t old_len;
    struct cx_state_row *rows; /* sorted in place */
    size_t row_count;
    uint8_t *out; /* room for cx_state_merge_room bytes; not `old` */
    void *work;   /* cx_state_merge_work bytes, 16-byte aligned */
};

/* Neither looks at `out` and `work`. The room is a bound, of blocks a wide one: only what is
 * written need be kept. */
size_t cx_state_merge_room(const struct cx_state_merge *merge);
size_t cx_state_merge_work(const struct cx_state_merge *merge);
/* *len = 0: nothing is left, the state need not be kept. On failure out is of no use. A sum that
 * leaves 128 bits on its way is an overflow even if later rows would bring it back. */
enum cx_state_status cx_state_merge(const struct cx_state_merge *merge, size_t *len);

/* Rows of positive count less those of negative: below 0 when more was taken away than has come.
 * INT64_MIN: corrupt, or beyond 64 bits. */
int64_t cx_state_rows(const uint8_t *state, size_t len, int columns);

/* Sums of each column by itself, over the rows that answered it. */
struct cx_state_column {
    cx_wide n;               /* rows */
    cx_wide weight, square;  /* Σw, Σw² */
    cx_wide sum, sum_square; /* Σwz, Σwz² */
};
/* Adds those of a state to column[0 … columns−1]; of no use after a failure. work:
 * cx_state_columns_work bytes, 16-byte aligned. */
enum cx_state_status cx_state_columns(const uint8_t *state, size_t len, int columns,
                                      struct cx_state_column *column, void *work);
size_t cx_state_columns_work(int columns);

/* ---- reading a window ----------------------------------------------------------------------
 * Three passes over the states of a window, so that memory is bounded by the patterns that are
 * kept and not by those that were met: count every state, plan, then add each state to the set of
 * its group. The patterns kept, and where each other one's answers go, follow from all states
 * together (cx_set_fold's rule), so groups are parts of the same total. */

struct cx_collect_slot {
    uint64_t observed;
    int64_t rows;
    int kept; /* of the kept patterns the one its rows go to; −1 = dropped, −2 = a free slot */
};

struct cx_collect {
    int columns;
    struct cx_collect_slot *slot; /* open addressing; caller's memory */
    size_t slots, used;
    struct cx_set_counts counts; /* of all rows, before anything is dropped */
    struct cx_set_fold fold;     /* what the cap cost */
    int kept;
    uint64_t *kept_observed; /* cap of them, in no order; caller's memory */
};

/* slot: room for `slots` (a power of two, above twice the distinct `observed` masks);
 * kept_observed: room for the cap given to cx_collect_plan. */
void cx_collect_init(struct cx_collect *collect, int columns, struct cx_collect_slot *slot,
                     size_t slots, uint64_t *kept_observed);
/* *full: the slots are half used and this state has a pattern more: give more and start over. */
enum cx_state_status cx_collect_count(struct cx_collect *collect, const uint8_t *state, size_t len,
                                      bool *full);
void cx_collect_plan(struct cx_collect *collect, int cap);
/* Cells a set needs to hold every kept pattern; patterns: collect->kept. */
size_t cx_collect_cells(const struct cx_collect *collect);
/* Adds a state that was counted to a set made by cx_set_init with room for all kept patterns. The
 * set knows only who answered what: every pattern has does_not_apply 0. After a failure the set is
 * of no use. work: cx_collect_work bytes, 16-byte aligned. */
enum cx_state_status cx_collect_add(const struct cx_collect *collect, struct cx_set *set,
                                    const uint8_t *state, size_t len, void *work);
size_t cx_collect_work(int columns);
/* Of a state the rows in which each of `columns` was answered or does not apply, by both (what
 * cx_applicable needs): adds them to a set; other rows, and what they know beside, are left out.
 * *full: it has no room for a pattern more, and is of no use. No plan is needed. work: as above. */
enum cx_state_status cx_collect_applicable(struct cx_set *set, uint64_t columns,
                                           const uint8_t *state, size_t len, void *work,
                                           bool *full);
/* After cx_drivers on the sets: writes into the result what they cannot know, the counts of all
 * rows, skipped and "does not apply" apart, and what the cap cost. */
void cx_collect_report(const struct cx_collect *collect, struct cx_drivers *result);

/* ---- days → groups of the jackknife ---------------------------------------------------------- */

/* Cuts a window of `days` days into runs: cx_day_groups of its non-empty days, of nearly equal
 * calendar length (importance_interval.h). Runs without rows are left out, so there may be fewer.
 * rows[d]: rows on day d of the window; 0, or below: empty. group[d] = run of the day, −1 for an
 * empty one. Returns how many runs. */
int cx_day_runs(const int64_t *rows, int days, int8_t *group);

#endif
