/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of columns read from states, against the rows that went into them. */
#include "driver_state_support.h"

static void *work_of(int columns)
{
    return aligned_alloc(16, (cx_state_columns_work(columns) + 15) / 16 * 16);
}

static void add_plainly(const struct cx_state_row *row, int columns, struct cx_state_column *sum)
{
    for (int c = 0, at = 0; c < columns; c++) {
        if (!(row->observed >> c & 1))
            continue;
        cx_wide z = row->z[at++], times = (cx_wide)row->count * row->weight;
        sum[c].n += row->count;
        sum[c].weight += times;
        sum[c].square += times * row->weight;
        sum[c].sum += times * z;
        sum[c].sum_square += times * z * z;
    }
}

/* Some of the patterns are blocks, others rows; days are read one by one. */
Test(driver_state_columns, are_those_of_the_rows)
{
    for (int columns = 1; columns <= 12; columns += 5) {
        struct store *store = make_rows(columns, 40, 3, 20260312 + (uint64_t)columns);
        struct cx_state_column want[CX_COLUMNS_MAX] = {0}, got[CX_COLUMNS_MAX] = {0};
        void *work = work_of(columns);
        for (int r = 0; r < store->count; r++)
            add_plainly(&store->row[r], columns, want);
        for (int from = 0; from < store->count; from += 500) {
            struct state day = {0};
            merge(&day, columns, store->row + from, 500);
            cr_assert_eq(cx_state_columns(day.at, day.len, columns, got, work), CX_STATE_OK);
            drop_state(&day);
        }
        cr_assert_arr_eq(got, want, sizeof *got * (size_t)columns);
        cr_assert(got[0].n > 0 && got[0].sum_square > got[0].sum);
        free(work);
        free(store);
    }
}

Test(driver_state_columns, nothing_adds_nothing)
{
    struct cx_state_column got[COLUMNS] = {0}, none[COLUMNS] = {0};
    cr_assert_eq(cx_state_columns(NULL, 0, COLUMNS, got, NULL), CX_STATE_OK);
    cr_assert_arr_eq(got, none, sizeof got);
}

Test(driver_state_columns, what_is_no_state_is_refused)
{
    struct state state = {0};
    struct cx_state_column got[COLUMNS + 1] = {0};
    void *work = work_of(COLUMNS + 1);
    one(&state, 3, 0, (int64_t[]){4, 5}, 1, 1);
    for (size_t len = 1; len < state.len; len++)
        if (len != 2) /* version and columns alone: an empty state's start */
            cr_assert_eq(cx_state_columns(state.at, len, COLUMNS, got, work), CX_STATE_CORRUPT);
    cr_assert_eq(cx_state_columns(state.at, state.len, COLUMNS + 1, got, work), CX_STATE_CORRUPT);
    for (int64_t i = 0; i < 40; i++) /* a block */
        one(&state, 3, 0, (int64_t[]){i, 5}, 1, 1);
    for (size_t len = 3; len < state.len; len++)
        cr_assert_eq(cx_state_columns(state.at, len, COLUMNS, got, work), CX_STATE_CORRUPT);
    drop_state(&state);
    free(work);
}

Test(driver_state_columns, sums_beyond_128_bits_are_refused)
{
    struct state state = {0};
    struct cx_state_column got[COLUMNS] = {0};
    void *work = work_of(COLUMNS);
    one(&state, 1, 0, (int64_t[]){INT64_C(1) << 62}, INT64_C(1) << 40, 1);
    cr_assert_eq(cx_state_columns(state.at, state.len, COLUMNS, got, work), CX_STATE_OVERFLOW);
    drop_state(&state);
    free(work);
}
