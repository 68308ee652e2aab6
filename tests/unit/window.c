/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/window.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* The definition, word for word: an id is a duplicate when it was seen at an offset in [o − size,
 * o). */
static bool naive_seen(const uint64_t *hashes, const int64_t *offsets, int count, uint64_t hash,
                       int64_t offset, int64_t size)
{
    for (int i = 0; i < count; i++)
        if (hashes[i] == hash && offsets[i] >= offset - size && offsets[i] < offset)
            return true;
    return false;
}

Test(window, first_sight_is_new_and_the_second_a_duplicate)
{
    struct fp_window *w = fp_window_new(10);
    cr_assert_not(fp_window_seen(w, 7, 0));
    cr_assert(fp_window_seen(w, 7, 1));
    fp_window_free(w);
}

Test(window, the_edge_is_exact)
{
    struct fp_window *w = fp_window_new(10);
    cr_assert_not(fp_window_seen(w, 1, 0));
    cr_assert(fp_window_seen(w, 1, 10), "10 offsets back is still inside");
    fp_window_clear(w);
    cr_assert_not(fp_window_seen(w, 1, 0));
    cr_assert_not(fp_window_seen(w, 1, 11), "11 offsets back is outside");
    fp_window_free(w);
}

Test(window, what_was_not_accepted_is_forgotten)
{
    struct fp_window *w = fp_window_new(10);
    cr_assert_not(fp_window_seen(w, 1, 0));
    cr_assert_not(fp_window_seen(w, 2, 1));
    fp_window_forget_last(w);
    cr_assert_not(fp_window_seen(w, 2, 2), "forgotten");
    cr_assert(fp_window_seen(w, 1, 3), "the one before is not");
    fp_window_free(w);
}

Test(window, a_duplicate_renews_the_id)
{
    struct fp_window *w = fp_window_new(10);
    cr_assert_not(fp_window_seen(w, 1, 0));
    cr_assert(fp_window_seen(w, 1, 8));
    cr_assert(fp_window_seen(w, 1, 18));
    fp_window_free(w);
}

/* Hashes that share their low bits meet in the table: probing and backward-shift deletion at work.
 */
Test(window, agrees_with_the_definition_on_random_streams)
{
    enum { COUNT = 3000 };
    static uint64_t hashes[COUNT];
    static int64_t offsets[COUNT];
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned state = seed;
        int64_t size = 1 + (int64_t)(rand_r(&state) % 300), offset = 0;
        struct fp_window *w = fp_window_new(size);
        for (int i = 0; i < COUNT; i++) {
            offset += 1 + (rand_r(&state) % 8 == 0 ? rand_r(&state) % 50
                                                   : 0); /* gaps, as control records make */
            hashes[i] = (uint64_t)(rand_r(&state) % 400) << (seed % 2 ? 0 : 40);
            offsets[i] = offset;
            bool expected = naive_seen(hashes, offsets, i, hashes[i], offset, size);
            cr_assert_eq(fp_window_seen(w, hashes[i], offset), expected, "seed %u, record %d", seed,
                         i);
        }
        fp_window_free(w);
    }
}

Test(window, holds_a_quarter_million)
{
    struct fp_window *w = fp_window_new(250000);
    for (int64_t i = 0; i < 600000; i++)
        cr_assert_not(fp_window_seen(w, (uint64_t)i * UINT64_C(0x9E3779B97F4A7C15), i));
    cr_assert(fp_window_seen(w, UINT64_C(599999) * UINT64_C(0x9E3779B97F4A7C15), 600000));
    cr_assert_not(fp_window_seen(w, UINT64_C(100) * UINT64_C(0x9E3779B97F4A7C15), 600001));
    fp_window_free(w);
}
