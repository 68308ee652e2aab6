/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/delta.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct fp_key key(int a, int b, int c)
{
    return (struct fp_key){{a, b, c, 0, 0}};
}

Test(delta, the_same_key_is_the_same_cell)
{
    struct fp_delta d;
    fp_delta_init(&d, 100);
    fp_delta_cell(&d, key(1, 2, 3))->count[0] += 5;
    fp_delta_cell(&d, key(1, 2, 4))->count[0] += 1;
    fp_delta_cell(&d, key(1, 2, 3))->count[0] += 5;
    cr_assert_eq(d.count, 2u);
    cr_assert_eq(fp_delta_cell(&d, key(1, 2, 3))->count[0], 10);
    cr_assert_eq(fp_delta_room(&d), 98u);
    fp_delta_free(&d);
}

Test(delta, sorting_orders_by_key_and_drops_zeros)
{
    struct fp_delta d;
    fp_delta_init(&d, 100000);
    unsigned state = 3;
    for (int i = 0; i < 20000; i++) { /* grows several times */
        struct fp_key k = key(rand_r(&state) % 50, rand_r(&state) % 50 - 25, rand_r(&state) % 10);
        fp_delta_cell(&d, k)->count[0] += 1;
    }
    fp_delta_cell(&d, key(-1, 0, 0))->count[0] += 1;
    fp_delta_cell(&d, key(-1, 0, 0))->count[0] -= 1;
    int64_t sum = 0;
    fp_delta_sort(&d);
    for (size_t i = 0; i < d.count; i++) {
        const int32_t *b = d.cells[i].key.part;
        sum += d.cells[i].count[0];
        cr_assert_neq(b[0], -1, "a cell of zeros stays out");
        if (i == 0)
            continue;
        const int32_t *a = d.cells[i - 1].key.part;
        cr_assert(a[0] < b[0] || (a[0] == b[0] && (a[1] < b[1] || (a[1] == b[1] && a[2] < b[2]))));
    }
    cr_assert_eq(sum, 20000);
    fp_delta_free(&d);
}

Test(delta, reset_keeps_nothing)
{
    struct fp_delta d;
    fp_delta_init(&d, 10);
    fp_delta_cell(&d, key(1, 1, 1))->tally.n = 4;
    fp_delta_reset(&d);
    cr_assert_eq(d.count, 0u);
    cr_assert_eq(fp_delta_cell(&d, key(1, 1, 1))->tally.n, 0);
    fp_delta_free(&d);
}
