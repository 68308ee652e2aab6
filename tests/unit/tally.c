/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/tally.h"

#include <string.h>

#include <criterion/criterion.h>

static bool same(const struct cx_tally *a, const struct cx_tally *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static uint32_t next(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u;
}

Test(tally, one_answer_fills_every_sum)
{
    struct cx_tally t = {0};
    cr_assert(cx_tally_add(&t, 9, 9, 3, 1));
    struct cx_tally want = {.n = 1, .weight = 3, .weight_square = 9, .sum = 27, .sum_square = 243,
                            .bin = {[9] = 3}};
    cr_assert(same(&t, &want));
}

Test(tally, no_histogram_and_negative_values)
{
    struct cx_tally t = {0};
    cr_assert(cx_tally_add(&t, -250, -1, 2, 1));
    struct cx_tally want = {.n = 1, .weight = 2, .weight_square = 4, .sum = -500,
                            .sum_square = 125000};
    cr_assert(same(&t, &want));
}

Test(tally, weight_zero_is_nothing)
{
    struct cx_tally t = {0}, empty = {0};
    cr_assert(cx_tally_add(&t, 5, 5, 0, 1));
    cr_assert(same(&t, &empty));
}

/* Any order, any split, additions and subtractions mixed: the same bits. */
Test(tally, adding_is_exact_in_any_order)
{
    struct cx_tally whole = {0}, forth = {0}, back = {0}, empty = {0};
    uint32_t seed = 7, again = 7;
    for (int i = 0; i < 5000; i++) {
        int y = (int)(next(&seed) >> 8) % 11, w = (int)(next(&seed) >> 8) % 100;
        cr_assert(cx_tally_add(&whole, y, y, w, 1));
        cr_assert(cx_tally_add(i % 3 ? &forth : &back, y, y, w, 1));
    }
    cr_assert(cx_tally_merge(&back, &forth));
    cr_assert(same(&whole, &back));
    for (int i = 0; i < 5000; i++) {
        int y = (int)(next(&again) >> 8) % 11, w = (int)(next(&again) >> 8) % 100;
        cr_assert(cx_tally_add(&whole, y, y, w, -1));
    }
    cr_assert(same(&whole, &empty), "what was added is taken away whole");
}

/* A subtraction may come before its addition: states of one delta are signed. */
Test(tally, subtraction_first)
{
    struct cx_tally t = {0}, empty = {0};
    cr_assert(cx_tally_add(&t, 4, 3, 2, -1));
    cr_assert_eq(t.n, -1);
    cr_assert_eq(t.bin[3], -2);
    cr_assert(cx_tally_add(&t, 4, 3, 2, 1));
    cr_assert(same(&t, &empty));
}

Test(tally, overflow_is_refused_and_changes_nothing)
{
    struct { int64_t y, weight; struct cx_tally start; } cases[] = {
        {1, 1, {.n = INT64_MAX}},
        {1, 1, {.weight = INT64_MAX}},
        {1, INT64_C(4000000000), {.weight = 0}},            /* w² */
        {INT64_MAX, 2, {.n = 0}},                           /* w·y */
        {INT64_MIN, 1, {.n = 0}},                           /* w·y² */
        {INT64_C(3100000000), 1, {.n = 0}},                 /* y² */
        {1, 1, {.sum = INT64_MAX}},
        {2, 1, {.sum_square = INT64_MAX - 3}},
        {5, 1, {.bin = {[5] = INT64_MAX}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cx_tally t = cases[i].start;
        cr_assert_not(cx_tally_add(&t, cases[i].y, 5, cases[i].weight, 1), "case %zu", i);
        cr_assert(same(&t, &cases[i].start), "case %zu", i);
    }
    struct cx_tally edge = {.sum_square = INT64_MAX - 4};
    cr_assert(cx_tally_add(&edge, 2, -1, 1, 1), "just fits");
    cr_assert_eq(edge.sum_square, INT64_MAX);
}

Test(tally, misuse_is_refused)
{
    struct cx_tally t = {0}, empty = {0};
    cr_assert_not(cx_tally_add(&t, 1, CX_TALLY_BINS, 1, 1));
    cr_assert_not(cx_tally_add(&t, 1, -2, 1, 1));
    cr_assert_not(cx_tally_add(&t, 1, 1, -1, 1));
    cr_assert(same(&t, &empty));
}

Test(tally, merge_overflow_changes_nothing)
{
    struct cx_tally into = {.n = 5, .bin = {[10] = INT64_MAX}}, from = {.n = 1, .bin = {[10] = 1}};
    struct cx_tally before = into;
    cr_assert_not(cx_tally_merge(&into, &from));
    cr_assert(same(&into, &before));
    struct cx_tally low = {.sum = INT64_MIN}, minus = {.sum = -1};
    cr_assert_not(cx_tally_merge(&low, &minus));
}

/* Σ over pairs by hand: (6, 2) with weight 3, (−5, 1) with weight 2. */
Test(tally, pairs)
{
    struct cx_tally t = {0}, empty = {0};
    cr_assert(cx_tally_add_pair(&t, 6, 2, 3, 1));
    cr_assert(cx_tally_add_pair(&t, -5, 1, 2, 1));
    cr_assert_eq(t.n, 2);
    cr_assert_eq(t.weight, 5);
    cr_assert_eq(t.weight_square, 13);
    cr_assert_eq(t.sum, 8);
    cr_assert_eq(t.sum_square, 158);
    cr_assert_eq(t.bin[CX_TALLY_Y], 8);
    cr_assert_eq(t.bin[CX_TALLY_Y_SQUARE], 14);
    cr_assert_eq(t.bin[CX_TALLY_XY], 26);
    cr_assert(cx_tally_add_pair(&t, 1, 1, 0, 1), "a weight of 0 changes nothing");
    cr_assert(cx_tally_add_pair(&t, 6, 2, 3, -1));
    cr_assert(cx_tally_add_pair(&t, -5, 1, 2, -1));
    cr_assert(same(&t, &empty));
}

Test(tally, a_pair_that_does_not_fit_changes_nothing)
{
    const struct { int64_t x, y; struct cx_tally start; } cases[] = {
        {1, -1, {.n = 0}},                      /* nothing to divide by */
        {1, INT64_C(3100000000), {.n = 0}},     /* y² */
        {INT64_C(3000000000), 3000000000, {.bin = {[CX_TALLY_XY] = INT64_MAX}}},
        {1, 1, {.bin = {[CX_TALLY_Y] = INT64_MAX}}},
        {1, 1, {.bin = {[CX_TALLY_Y_SQUARE] = INT64_MAX}}},
        {1, 1, {.bin = {[CX_TALLY_XY] = INT64_MAX}}},
        {1, 1, {.sum = INT64_MAX}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cx_tally t = cases[i].start;
        cr_assert_not(cx_tally_add_pair(&t, cases[i].x, cases[i].y, 1, 1), "case %zu", i);
        cr_assert(same(&t, &cases[i].start), "case %zu", i);
    }
}

Test(tally, a_numerator_is_of_the_sum_alone)
{
    struct cx_tally t = {0}, one = {.sum = 1}, full = {.sum = INT64_MAX};
    cr_assert(cx_tally_add_numerator(&t, 1));
    cr_assert(same(&t, &one));
    cr_assert(cx_tally_add_numerator(&t, -1));
    cr_assert_eq(t.sum, 0);
    cr_assert_not(cx_tally_add_numerator(&full, 1));
    cr_assert_eq(full.sum, INT64_MAX);
}
