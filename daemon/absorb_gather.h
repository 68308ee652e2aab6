/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of a driver model, sorted into the states they change: one for each segment, day and group
 * of people. Equal rows are one row with a count; those that cancel are none.
 *
 * Threads: none; caller serialises. Aborts without memory. */
#ifndef FP_ABSORB_GATHER_H
#define FP_ABSORB_GATHER_H

#include "analytics/driver_state.h"
#include "daemon/fitting.h"

struct fp_gather_row { /* what makes rows equal; compared as bytes, so without padding */
    int32_t day, people;
    int32_t segment[FP_SEGMENTS]; /* 0: of none, except FP_SEGMENT_ALL */
    int32_t zero;
    int64_t weight;
    uint64_t observed, does_not_apply;
};

struct fp_gather_entry {
    struct fp_gather_row row;
    int64_t count; /* those added less those taken away */
    size_t z;      /* where its values are, popcount(observed) of them */
};

struct fp_group { /* rows of one state */
    int32_t kind, segment, day, people;
    uint32_t first, count; /* of members */
};

struct fp_gather {
    const struct fp_fitting *fitting; /* borrowed */
    struct fp_gather_entry *entries;
    uint32_t entry_count, entry_capacity;
    int64_t *z;
    size_t z_count, z_capacity;
    uint32_t *slots; /* entry + 1 by hash */
    size_t mask;
    struct fp_group *groups; /* after fp_gather_group: by kind, segment, day, people */
    uint32_t group_count, group_capacity;
    uint32_t *members; /* entries */
};

void fp_gather_init(struct fp_gather *gather, const struct fp_fitting *fitting);
void fp_gather_free(struct fp_gather *gather);
/* sign: 1 adds the row, −1 takes it away; the row's own sign is not looked at. */
void fp_gather_add(struct fp_gather *gather, const struct fp_driver_row *row, int sign);
/* Once, after the last row. */
void fp_gather_group(struct fp_gather *gather);
/* rows: room for group->count. They borrow the gather's values. */
void fp_gather_rows(const struct fp_gather *gather, const struct fp_group *group,
                    struct cx_state_row *rows);

#endif
