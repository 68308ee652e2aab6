/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-products: the same bits in any order and sharding, true after every failure. */
#include "analytics/moments.h"
#include "analytics/random.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

enum { Q = 9, ROWS = 3000 };

static cx_wide *new_block(int q)
{
    return calloc(cx_moments_cells(q), sizeof(cx_wide));
}

static bool equal(const cx_wide *a, const cx_wide *b, int q)
{
    return memcmp(a, b, cx_moments_cells(q) * sizeof *a) == 0;
}

static int64_t *make_rows(uint64_t seed)
{
    int64_t *rows = calloc(ROWS * (Q + 1), sizeof *rows);
    struct cx_random random = cx_random_seed(seed, 1);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < Q; c++)
            rows[r * (Q + 1) + c] = (int64_t)cx_random_below(&random, 65535) - 32767;
        rows[r * (Q + 1) + Q] = cx_random_below(&random, 3000); /* the weight */
    }
    return rows;
}

static void add_row(cx_wide *cell, const int64_t *rows, int r, int sign)
{
    const int64_t *z = &rows[r * (Q + 1)];
    cr_assert(cx_moments_add(cell, Q, z, z[Q], sign));
}

Test(moments, layout)
{
    cr_assert_eq(cx_moments_cells(0), 3);
    cr_assert_eq(cx_moments_cells(13), 107);
    size_t next = CX_MOMENTS_WEIGHT;
    for (int i = 0; i <= 5; i++)
        for (int j = i; j <= 5; j++) {
            cr_assert_eq(cx_moments_at(5, i, j), next);
            cr_assert_eq(cx_moments_at(5, j, i), next++);
        }
    cr_assert_eq(next, cx_moments_cells(5));
}

Test(moments, by_definition)
{
    cx_wide *cell = new_block(2);
    const int64_t one[] = {3, -2}, two[] = {-5, 7};
    cr_assert(cx_moments_add(cell, 2, one, 4, 1));
    cr_assert(cx_moments_add(cell, 2, two, 1, 1));
    cr_assert(cx_moments_add(cell, 2, two, 0, 1)); /* weight 0: not there */
    const int want[] = {2, 17, 5, 7, -1, 61, -59, 65};
    for (int i = 0; i < 8; i++)
        cr_assert_eq(cell[i], want[i], "cell %d", i);
    free(cell);
}

Test(moments, any_order_any_sharding)
{
    int64_t *rows = make_rows(1);
    cx_wide *whole = new_block(Q);
    for (int r = 0; r < ROWS; r++)
        add_row(whole, rows, r, 1);
    const int shards[] = {1, 2, 8, 64};
    for (int s = 0; s < 4; s++) {
        struct cx_random random = cx_random_seed(7, (uint64_t)s);
        int order[ROWS];
        for (int r = 0; r < ROWS; r++) {
            int at = (int)cx_random_below(&random, (uint32_t)r + 1);
            order[r] = order[at];
            order[at] = r;
        }
        cx_wide *part[64], *sum = new_block(Q);
        for (int i = 0; i < shards[s]; i++)
            part[i] = new_block(Q);
        for (int r = 0; r < ROWS; r++)
            add_row(part[cx_random_below(&random, (uint32_t)shards[s])], rows, order[r], 1);
        for (int i = shards[s]; i-- > 0;) {
            cr_assert(cx_moments_merge(sum, part[i], Q, 1));
            free(part[i]);
        }
        cr_assert(equal(sum, whole, Q), "%d shards", shards[s]);
        free(sum);
    }
    free(whole);
    free(rows);
}

Test(moments, what_was_added_is_taken_away)
{
    int64_t *rows = make_rows(2);
    cx_wide *whole = new_block(Q), *day = new_block(Q), *rest = new_block(Q), *none = new_block(Q);
    for (int r = 0; r < ROWS; r++) {
        add_row(whole, rows, r, 1);
        add_row(r % 3 ? rest : day, rows, r, 1);
    }
    cr_assert(cx_moments_merge(whole, day, Q, -1));
    cr_assert(equal(whole, rest, Q));
    for (int r = ROWS; r-- > 0;)
        if (r % 3)
            add_row(whole, rows, r, -1);
    cr_assert(equal(whole, none, Q));
    free(whole);
    free(day);
    free(rest);
    free(none);
    free(rows);
}

/* Every width of sum the batch can choose, against row by row. */
Test(moments, columns_at_once)
{
    const int64_t spans[] = {10, 1000, 32767, 2000000, INT32_MAX};
    const size_t sizes[] = {0, 1, 511, 512, 513, 2500};
    for (int s = 0; s < 5; s++)
        for (int n = 0; n < 6; n++) {
            size_t rows = sizes[n];
            struct cx_random random = cx_random_seed(11, (uint64_t)(s * 10 + n));
            cx_wide *slow = new_block(4), *fast = new_block(4);
            int32_t *column[4];
            for (int c = 0; c < 4; c++) {
                column[c] = calloc(rows + 1, sizeof **column);
                for (size_t r = 0; r < rows; r++) {
                    uint32_t any = cx_random_below(&random, (uint32_t)spans[s]);
                    column[c][r] = (int32_t)(c < 3 ? -(int64_t)any - (s == 4) : any % 3);
                }
            }
            for (size_t r = 0; r < rows; r++) {
                int64_t z[4] = {column[0][r], column[1][r], column[2][r], column[3][r]};
                cr_assert(cx_moments_add(slow, 4, z, 1, 1));
            }
            cr_assert(cx_moments_add_columns(fast, 4, (const int32_t *const *)column, rows));
            cr_assert(equal(slow, fast, 4), "span %ld, %zu rows", (long)spans[s], rows);
            for (int c = 0; c < 4; c++)
                free(column[c]);
            free(slow);
            free(fast);
        }
}

#define WIDE_MAX ((cx_wide)(~(unsigned __int128)0 >> 1))

Test(moments, overflow_changes_nothing)
{
    cx_wide *cell = new_block(2), *before = new_block(2), *more = new_block(2);
    const int64_t z[] = {INT64_MAX, 1};
    size_t last = cx_moments_at(2, 2, 2);
    cell[last] = WIDE_MAX; /* the last cell to be touched */
    memcpy(before, cell, cx_moments_cells(2) * sizeof *cell);
    cr_assert_not(cx_moments_add(cell, 2, z, 1, 1));
    cr_assert(equal(cell, before, 2));
    more[CX_MOMENTS_N] = more[CX_MOMENTS_WEIGHT] = more[last] = 1;
    cr_assert_not(cx_moments_merge(cell, more, 2, 1));
    cr_assert(equal(cell, before, 2));
    cr_assert(cx_moments_merge(cell, more, 2, -1));

    int32_t ones[] = {1, 1};
    const int32_t *column[] = {ones, ones};
    memcpy(before, cell, cx_moments_cells(2) * sizeof *cell);
    cr_assert_not(cx_moments_add_columns(cell, 2, column, 2));
    cr_assert(equal(cell, before, 2));

    const int64_t huge[] = {INT64_MAX, INT64_MIN}; /* w·z·z itself is out of range */
    cx_wide *empty = new_block(2), *none = new_block(2);
    cr_assert_not(cx_moments_add(empty, 2, huge, INT64_MAX, 1));
    cr_assert(equal(empty, none, 2));
    cr_assert_not(cx_moments_add(empty, 2, huge, INT64_MAX, -1));
    cr_assert(equal(empty, none, 2));
    free(cell);
    free(before);
    free(more);
    free(empty);
    free(none);
}

Test(moments, stored_form)
{
    int64_t *rows = make_rows(3);
    cx_wide *cell = new_block(Q), *back = new_block(Q);
    int64_t stored[64];
    size_t cells = cx_moments_cells(Q);
    for (int r = 0; r < ROWS; r++)
        add_row(cell, rows, r, 1);
    cr_assert(cx_moments_narrow(stored, cell, cells));
    cx_moments_widen(back, stored, cells);
    cr_assert(equal(cell, back, Q));
    cell[5] = (cx_wide)INT64_MAX + 1;
    cr_assert_not(cx_moments_narrow(stored, cell, cells));
    cell[5] = (cx_wide)INT64_MIN - 1;
    cr_assert_not(cx_moments_narrow(stored, cell, cells));
    cell[5] = INT64_MIN;
    cr_assert(cx_moments_narrow(stored, cell, cells));
    free(cell);
    free(back);
    free(rows);
}

Test(moments, some_columns)
{
    int64_t *rows = make_rows(4);
    const int keep[] = {1, 4, 8};
    cx_wide *cell = new_block(Q), *part = new_block(3), *want = new_block(3);
    for (int r = 0; r < ROWS; r++) {
        const int64_t *z = &rows[r * (Q + 1)], few[] = {z[1], z[4], z[8]};
        add_row(cell, rows, r, 1);
        cr_assert(cx_moments_add(want, 3, few, z[Q], 1));
    }
    cx_moments_select(part, cell, Q, keep, 3);
    cr_assert(equal(part, want, 3));
    free(cell);
    free(part);
    free(want);
    free(rows);
}

Test(moments, mask_count)
{
    struct cx_random random = cx_random_seed(21, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t mask = cx_random_next(&random) & cx_random_next(&random);
        cr_assert_eq(cx_mask_count(mask), __builtin_popcountll(mask));
    }
    cr_assert(cx_mask_count(0) == 0 && cx_mask_count(UINT64_MAX) == 64);
}
