/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Cross-products by pattern of missing answers. */
#include "analytics/moments_set.h"
#include "analytics/random.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

enum { C = 5, CAPACITY = 400, CELLS = 400 * 23, ROWS = 4000 };

static struct cx_set *new_set(int capacity, size_t cells)
{
    struct cx_set *set = calloc(1, sizeof *set);
    cx_set_init(set, C, calloc((size_t)capacity, sizeof(struct cx_pattern)), capacity);
    cx_set_give_cells(set, calloc(cells, sizeof(cx_wide)), cells);
    return set;
}

static void drop(struct cx_set *set)
{
    free(set->pattern);
    free(set->cells);
    free(set);
}

static bool equal(const struct cx_set *a, const struct cx_set *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        const struct cx_pattern *p = &a->pattern[i], *q = &b->pattern[i];
        size_t cells = cx_moments_cells(__builtin_popcountll(p->observed));
        if (p->observed != q->observed || p->does_not_apply != q->does_not_apply ||
            memcmp(p->cell, q->cell, cells * sizeof *p->cell) != 0)
            return false;
    }
    return true;
}

struct row {
    int64_t z[C];
    struct cx_pattern key;
};

static struct row *make_rows(void)
{
    struct row *rows = calloc(ROWS, sizeof *rows);
    struct cx_random random = cx_random_seed(5, 5);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) {
            uint32_t fate = cx_random_below(&random, 10); /* 0 skipped, 1 does not apply */
            rows[r].z[c] = fate < 2 ? -999999 : (int64_t)cx_random_below(&random, 11);
            if (fate > 1)
                rows[r].key.observed |= UINT64_C(1) << c;
            else if (fate == 1)
                rows[r].key.does_not_apply |= UINT64_C(1) << c;
        }
    return rows;
}

static void add(struct cx_set *set, const struct row *row, int sign)
{
    cr_assert_eq(cx_set_add(set, &row->key, row->z, 1, sign), CX_SET_OK);
}

Test(moments_set, merge_and_take_away)
{
    struct row *rows = make_rows();
    struct cx_set *whole = new_set(CAPACITY, CELLS), *parts[3], *sum = new_set(CAPACITY, CELLS);
    for (int i = 0; i < 3; i++)
        parts[i] = new_set(CAPACITY, CELLS);
    for (int r = 0; r < ROWS; r++) {
        add(whole, &rows[ROWS - 1 - r], 1);
        add(parts[r % 3], &rows[r], 1);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(cx_set_merge(sum, parts[2 - i], 1), CX_SET_OK);
    cr_assert(equal(whole, sum));
    cr_assert_geq(whole->count, 100);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(cx_set_merge(sum, parts[i], -1), CX_SET_OK);
    for (int i = 0; i < sum->count; i++)
        cr_assert(sum->pattern[i].cell[0] == 0 && sum->pattern[i].cell[2] == 0);
    for (int i = 0; i < 3; i++)
        drop(parts[i]);
    drop(whole);
    drop(sum);
    free(rows);
}

Test(moments_set, counts_and_complete_rows)
{
    struct row *rows = make_rows();
    struct cx_set *set = new_set(CAPACITY, CELLS);
    struct cx_set_counts counts;
    int64_t answered = 0, absent = 0, skipped = 0, complete = 0, sum = 0;
    for (int r = 0; r < ROWS; r++) {
        add(set, &rows[r], 1);
        uint64_t seen = rows[r].key.observed, na = rows[r].key.does_not_apply;
        answered += seen >> 3 & 1;
        absent += na >> 3 & 1;
        skipped += !((seen | na) >> 3 & 1);
        if ((seen & 0x0b) == 0x0b) {
            complete++;
            sum += rows[r].z[1] * rows[r].z[3];
        }
    }
    cx_set_count(set, &counts);
    cr_assert_eq(counts.rows, ROWS);
    cr_assert(counts.answered[3] == answered && counts.does_not_apply[3] == absent &&
              counts.skipped[3] == skipped && absent > 300 && skipped > 300);
    cx_wide cell[12];
    cr_assert(cx_set_complete(set, 0x0b, cell)); /* columns 0, 1 and 3 */
    cr_assert_eq(cell[CX_MOMENTS_N], complete);
    cr_assert_eq(cell[cx_moments_at(3, 2, 3)], sum);
    drop(set);
    free(rows);
}

Test(moments_set, full_and_overflow)
{
    struct cx_set *one = new_set(1, 23), *small = new_set(4, 30), *other = new_set(4, 60);
    const int64_t z[C] = {1, 2, 3, 4, 5}, huge[C] = {INT64_MAX, INT64_MAX};
    struct cx_pattern all = {.observed = 31}, three = {.observed = 7}, two = {.observed = 3};
    cr_assert_eq(cx_set_add(one, &all, z, 0, 1), CX_SET_OK); /* weight 0 makes no pattern */
    cr_assert_eq(one->count, 0);
    cr_assert_eq(cx_set_add(one, &all, z, 1, 1), CX_SET_OK);
    cr_assert_eq(cx_set_add(one, &three, z, 1, 1), CX_SET_FULL);
    cr_assert_eq(cx_set_add(one, &all, z, 1, 1), CX_SET_OK);
    cr_assert_eq(cx_set_add(small, &all, z, 1, 1), CX_SET_OK);
    cr_assert_eq(cx_set_add(small, &three, z, 1, 1), CX_SET_FULL); /* 12 cells, 7 left */
    cr_assert_eq(cx_set_add(one, &all, huge, INT64_MAX, 1), CX_SET_OVERFLOW);
    cr_assert_eq(one->pattern[0].cell[0], 2);

    /* a merge that fails half way is undone */
    cr_assert_eq(cx_set_add(other, &two, z, 1, 1), CX_SET_OK);
    cr_assert_eq(cx_set_add(other, &all, z, 1, 1), CX_SET_OK);
    all.cell = calloc(23, sizeof *all.cell);
    all.cell[7] = (cx_wide)1 << 126;
    cr_assert_eq(cx_set_add_block(one, &all, 1), CX_SET_OK);
    cr_assert_eq(cx_set_add_block(one, &all, 1), CX_SET_OVERFLOW);
    cr_assert_eq(cx_set_merge(one, other, 1), CX_SET_FULL);
    cr_assert(one->count == 1 && one->pattern[0].cell[0] == 2);
    struct cx_set *room = new_set(4, 60);
    cr_assert_eq(cx_set_add_block(room, &all, 1), CX_SET_OK);
    for (int i = 0; i < other->count; i++)
        if (other->pattern[i].observed == 31)
            other->pattern[i].cell[7] = (cx_wide)1 << 126;
    cr_assert_eq(cx_set_merge(room, other, 1), CX_SET_OVERFLOW);
    for (int i = 0; i < room->count; i++)
        cr_assert_eq(room->pattern[i].cell[0], 0);
    free(all.cell);
    drop(one);
    drop(small);
    drop(other);
    drop(room);
}

Test(moments_set, fold)
{
    struct cx_set *set = new_set(CAPACITY, CELLS), *kept = new_set(CAPACITY, CELLS);
    const int64_t z[C] = {1, 2, 3, 4, 5};
    const struct {
        uint64_t observed, does_not_apply;
        int rows;
    } plan[] = {{31, 0, 50}, {7, 8, 20}, {7, 0, 20}, {3, 0, 10}, {15, 0, 4}, {23, 0, 3}, {8, 0, 2}};
    for (size_t i = 0; i < sizeof plan / sizeof *plan; i++)
        for (int r = 0; r < plan[i].rows; r++) {
            struct cx_pattern key = {plan[i].observed, plan[i].does_not_apply, NULL};
            cr_assert_eq(cx_set_add(set, &key, z, 1, 1), CX_SET_OK);
        }
    struct cx_set_fold fold;
    cr_assert_eq(cx_set_fold(kept, set, 3, &fold), CX_SET_OK);
    /* kept: 31, 7 (both kinds of missing in one), 3; 15 and 23 lose one answer each and join 7;
     * 8 has nothing inside it */
    cr_assert_eq(fold.patterns, 3);
    cr_assert_eq(fold.values_dropped, 7);
    cr_assert_eq(fold.rows_dropped, 2);
    cr_assert_eq(kept->pattern[1].observed, 7);
    cr_assert_eq(kept->pattern[1].cell[CX_MOMENTS_N], 47);
    cr_assert_eq(kept->pattern[1].cell[cx_moments_at(3, 2, 3)], 47 * 6);
    struct cx_set *all = new_set(CAPACITY, CELLS);
    cr_assert_eq(cx_set_fold(all, set, CAPACITY, &fold), CX_SET_OK);
    cr_assert(fold.patterns == 6 && fold.values_dropped == 0 && fold.rows_dropped == 0);
    struct cx_set *tiny = new_set(1, 23);
    cr_assert_eq(cx_set_fold(tiny, set, 3, &fold), CX_SET_FULL);
    drop(set);
    drop(kept);
    drop(all);
    drop(tiny);
}
