/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows, states and sets for the tests of driver_state.h. */
#ifndef TESTS_DRIVER_STATE_SUPPORT_H
#define TESTS_DRIVER_STATE_SUPPORT_H

#include "analytics/driver_state.h"
#include "analytics/random.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

enum { COLUMNS = 5, ROWS = 6000, SLOTS = 4096 };

struct state {
    uint8_t *at;
    size_t len;
};

struct store { /* rows and their values */
    struct cx_state_row row[ROWS];
    int64_t z[ROWS][CX_COLUMNS_MAX];
    int columns, count;
};

/* ---- support ----------------------------------------------------------------------------------
 */

/* Memory of exactly the size that was asked for, so that a sanitizer sees the first byte beyond. */
static inline enum cx_state_status try_merge(struct state *state, int columns,
                                             struct cx_state_row *rows, size_t count)
{
    struct cx_state_merge merge = {.columns = columns,
                                   .old = state->at,
                                   .old_len = state->len,
                                   .rows = rows,
                                   .row_count = count};
    size_t len, room = cx_state_merge_room(&merge);
    merge.out = malloc(room);
    merge.work = aligned_alloc(16, (cx_state_merge_work(&merge) + 15) / 16 * 16);
    enum cx_state_status status = cx_state_merge(&merge, &len);
    free(merge.work);
    if (status != CX_STATE_OK) {
        free(merge.out);
        return status;
    }
    cr_assert_leq(len, room);
    free(state->at);
    state->at = len > 0 ? malloc(len) : NULL;
    if (len > 0)
        memcpy(state->at, merge.out, len);
    state->len = len;
    free(merge.out);
    return status;
}

static inline void merge(struct state *state, int columns, struct cx_state_row *rows, size_t count)
{
    cr_assert_eq(try_merge(state, columns, rows, count), CX_STATE_OK);
}

static inline void one(struct state *state, uint64_t observed, uint64_t absent, const int64_t *z,
                       int64_t weight, int64_t count)
{
    struct cx_state_row row = {observed, absent, weight, count, z};
    merge(state, COLUMNS, &row, 1);
}

static inline void drop_state(struct state *state)
{
    free(state->at);
    *state = (struct state){0};
}

/* kinds: of patterns; few of them are frequent. weights: most weights, or 1. */
static inline struct store *make_rows(int columns, int kinds, int weights, uint64_t seed)
{
    struct store *store = calloc(1, sizeof *store);
    struct cx_random random = cx_random_seed(seed, 7);
    store->columns = columns;
    store->count = ROWS;
    for (int r = 0; r < ROWS; r++) {
        uint32_t kind = cx_random_below(&random, cx_random_below(&random, (uint32_t)kinds) + 1);
        struct cx_random fate = cx_random_seed(kind, 99);
        struct cx_state_row *row = &store->row[r];
        int at = 0;
        for (int c = 0; c < columns; c++) {
            uint32_t what = cx_random_below(&fate, 8);
            row->observed |= (uint64_t)(what > 1 || kind == 0) << c;
            row->does_not_apply |= (uint64_t)(what == 1 && kind > 0) << c;
            if (what > 1 || kind == 0)
                store->z[r][at++] = (int64_t)cx_random_below(&random, 11) - 3;
        }
        if (cx_random_below(&random, 400) == 0 && at > 0)
            store->z[r][0] = (int64_t)1 << 40; /* does not fit 32 bits */
        row->weight = 1 + (int64_t)cx_random_below(&random, (uint32_t)weights);
        row->count = cx_random_below(&random, 50) == 0 ? 7 : 1;
        row->z = store->z[r];
    }
    return store;
}

static inline void shuffle(struct cx_state_row *rows, int count, uint64_t seed)
{
    struct cx_random random = cx_random_seed(seed, 3);
    for (int i = count - 1; i > 0; i--) {
        int at = (int)cx_random_below(&random, (uint32_t)i + 1);
        struct cx_state_row other = rows[i];
        rows[i] = rows[at];
        rows[at] = other;
    }
}

static inline struct cx_set *new_set(int columns, int capacity)
{
    struct cx_set *set = calloc(1, sizeof *set);
    size_t cells = cx_moments_cells(columns) * (size_t)capacity;
    cx_set_init(set, columns, calloc((size_t)capacity, sizeof(struct cx_pattern)), capacity);
    cx_set_give_cells(set, calloc(cells, sizeof(cx_wide)), cells);
    return set;
}

static inline void drop(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    free(set);
}

static inline bool equal(const struct cx_set *a, const struct cx_set *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        const struct cx_pattern *p = &a->pattern[i], *q = &b->pattern[i];
        size_t cells = cx_moments_cells(cx_mask_count(p->observed));
        if (p->observed != q->observed || p->does_not_apply != q->does_not_apply ||
            memcmp(p->cell, q->cell, cells * sizeof *p->cell) != 0)
            return false;
    }
    return true;
}

/* The rows [from, to) one by one, the way without states. */
static inline void add_directly(struct cx_set *set, const struct store *store, int from, int to)
{
    for (int r = from; r < to; r++) {
        const struct cx_state_row *row = &store->row[r];
        struct cx_pattern key = {row->observed, row->does_not_apply, NULL};
        int64_t z[CX_COLUMNS_MAX];
        int at = 0;
        for (int c = 0; c < store->columns; c++)
            z[c] = row->observed >> c & 1 ? row->z[at++] : -77;
        for (int64_t n = 0; n < row->count; n++)
            cr_assert_eq(cx_set_add(set, &key, z, row->weight, 1), CX_SET_OK);
    }
}

static inline struct cx_set *folded(const struct cx_set *from, int cap, struct cx_set_fold *fold)
{
    struct cx_set *into = new_set(from->columns, from->count + 1);
    cr_assert_eq(cx_set_fold(into, from, cap, fold), CX_SET_OK);
    return into;
}

struct collected {
    struct cx_collect plan;
    struct cx_collect_slot slot[SLOTS];
    uint64_t kept[SLOTS];
};

static inline struct collected *plan(const struct state *state, int states, int columns, int cap)
{
    struct collected *c = calloc(1, sizeof *c);
    bool full;
    cx_collect_init(&c->plan, columns, c->slot, SLOTS, c->kept);
    for (int i = 0; i < states; i++) {
        cr_assert_eq(cx_collect_count(&c->plan, state[i].at, state[i].len, &full), CX_STATE_OK);
        cr_assert_not(full);
    }
    cx_collect_plan(&c->plan, cap);
    return c;
}

/* A set of exactly the room that the plan names. */
static inline struct cx_set *set_of(const struct collected *c)
{
    struct cx_set *set = calloc(1, sizeof *set);
    size_t cells = cx_collect_cells(&c->plan);
    cx_set_init(set, c->plan.columns, calloc((size_t)c->plan.kept + 1, sizeof(struct cx_pattern)),
                c->plan.kept);
    cx_set_give_cells(set, calloc(cells + 1, sizeof(cx_wide)), cells);
    return set;
}

static inline void collect(const struct collected *c, struct cx_set *set, const struct state *state,
                           int states)
{
    void *work = aligned_alloc(16, (cx_collect_work(c->plan.columns) + 15) / 16 * 16);
    for (int i = 0; i < states; i++)
        cr_assert_eq(cx_collect_add(&c->plan, set, state[i].at, state[i].len, work), CX_STATE_OK);
    free(work);
}

#endif
