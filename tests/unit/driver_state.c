/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stored driver states: whatever the order and the cut, the sums read back are those of the rows
 * (cx_set, which keeps nothing but sums, is the other way to them), and no bytes do harm. */
#include "tests/unit/driver_state_support.h"

/* ---- the same sums, whatever the way ----------------------------------------------------------
 */

static void sharded(int columns, int kinds, int weights, int shards)
{
    struct store *store = make_rows(columns, kinds, weights, 11);
    struct cx_set *direct = new_set(columns, 2000);
    struct state *state = calloc((size_t)shards, sizeof *state);
    struct cx_random random = cx_random_seed((uint64_t)shards, 5);
    struct cx_set_fold fold;
    add_directly(direct, store, 0, ROWS);
    shuffle(store->row, ROWS, (uint64_t)shards);
    for (int r = 0; r < ROWS;) {
        int batch = 1 + (int)cx_random_below(&random, 400);
        batch = batch < ROWS - r ? batch : ROWS - r;
        merge(&state[cx_random_below(&random, (uint32_t)shards)], columns, store->row + r,
              (size_t)batch);
        r += batch;
    }
    struct cx_set *wanted = folded(direct, 2000, &fold);
    struct collected *c = plan(state, shards, columns, 2000);
    struct cx_set *found = set_of(c);
    collect(c, found, state, shards);
    cr_assert(equal(found, wanted));
    cr_assert(fold.patterns > (columns < 5 ? 1 : 20) && c->plan.kept == fold.patterns);
    struct cx_set_counts counts;
    cx_set_count(direct, &counts);
    cr_assert_eq(memcmp(&counts, &c->plan.counts, sizeof counts), 0);
    cr_assert_gt(counts.does_not_apply[columns - 1], 100);
    int64_t rows = 0;
    for (int i = 0; i < shards; i++)
        rows += cx_state_rows(state[i].at, state[i].len, columns);
    cr_assert_eq(rows, counts.rows);
    for (int i = 0; i < shards; i++)
        drop_state(&state[i]);
    free(state);
    free(c);
    drop(found);
    drop(wanted);
    drop(direct);
    free(store);
}

Test(driver_state, sums_do_not_depend_on_the_way)
{
    const int shards[] = {1, 2, 8, 64};
    for (int i = 0; i < 4; i++) {
        sharded(5, 300, 1, shards[i]);
        sharded(5, 300, 900, shards[i]);
    }
    sharded(13, 600, 1, 8);
    sharded(64, 60, 3, 8);
    sharded(1, 300, 1, 3);
}

Test(driver_state, what_was_added_can_be_taken_away)
{
    struct store *store = make_rows(COLUMNS, 300, 4, 12);
    struct state state = {0};
    merge(&state, COLUMNS, store->row, ROWS);
    cr_assert_gt(state.len, 1000);
    cr_assert_gt(cx_state_rows(state.at, state.len, COLUMNS), ROWS);
    for (int r = 0; r < ROWS; r++)
        store->row[r].count = -store->row[r].count;
    shuffle(store->row, ROWS, 1);
    for (int r = 0; r < ROWS; r += 500)
        merge(&state, COLUMNS, store->row + r, 500);
    cr_assert_eq(state.len, 0);

    /* and before it came */
    for (int r = 0; r < ROWS; r += 100)
        merge(&state, COLUMNS, store->row + r, 100);
    cr_assert_lt(cx_state_rows(state.at, state.len, COLUMNS), -ROWS);
    for (int r = 0; r < ROWS; r++)
        store->row[r].count = -store->row[r].count;
    merge(&state, COLUMNS, store->row, ROWS / 2);
    merge(&state, COLUMNS, store->row + ROWS / 2, ROWS / 2);
    cr_assert_eq(state.len, 0);
    free(store);
}

/* Rows that only come raw give the same bytes in any order. */
Test(driver_state, raw_bytes_are_canonical)
{
    struct store *store = make_rows(13, 5000, 2, 13);
    struct state a = {0}, b = {0};
    merge(&a, 13, store->row, 400);
    shuffle(store->row, 400, 9);
    for (int r = 0; r < 400; r += 50)
        merge(&b, 13, store->row + r, 50);
    cr_assert(a.len == b.len && memcmp(a.at, b.at, a.len) == 0);
    merge(&a, 13, NULL, 0); /* nothing comes: nothing changes */
    cr_assert(a.len == b.len && memcmp(a.at, b.at, a.len) == 0);
    drop_state(&a);
    drop_state(&b);
    free(store);
}

/* ---- raw or block -----------------------------------------------------------------------------
 */

Test(driver_state, promotion_boundary)
{
    const int64_t z[3] = {4, 5, -6}, other[3] = {4, 5, -7};
    const int most = CX_STATE_RAW_MAX(3);
    struct state state = {0};
    one(&state, 7, 8, z, 1, most - 1);
    one(&state, 7, 8, other, 1, 1);
    const uint8_t raw[] = {1, COLUMNS, 7, 8, 2, 8, 10, 13, 1, 2, 8, 10, 11, 1, 2 * (20 - 1)};
    cr_assert(most == 20 && state.len == sizeof raw && memcmp(state.at, raw, sizeof raw) == 0);
    one(&state, 7, 8, z, 1, 1); /* one more */
    cr_assert_eq(state.at[4], 0);
    cr_assert_eq(state.at[5], 2 * 21);
    cr_assert_eq(cx_state_rows(state.at, state.len, COLUMNS), 21);
    one(&state, 7, 8, z, 1, -20);
    cr_assert_eq(state.at[4], 0, "a block stays one");
    one(&state, 7, 8, other, 1, -1);
    cr_assert_eq(state.len, 0, "a block of zeros is none");

    /* what cancels within a merge does not count, and signs do not hide rows */
    struct cx_state_row both[2] = {{7, 8, 1, 1000, z}, {7, 8, 1, -999, z}};
    merge(&state, COLUMNS, both, 2);
    cr_assert(state.at[4] == 1 && state.len == 10);
    one(&state, 7, 8, z, 1, -1);
    cr_assert_eq(state.len, 0);
    struct cx_state_row apart[2] = {{7, 8, 1, 11, z}, {7, 8, 1, -10, other}};
    merge(&state, COLUMNS, apart, 2);
    cr_assert(state.at[4] == 0 && cx_state_rows(state.at, state.len, COLUMNS) == 1);
    drop_state(&state);
}

/* The bytes of a row grow a hundredfold when one copy more makes a block of it. */
Test(driver_state, room_for_many_blocks_at_once)
{
    enum { Q = 24 };
    int64_t z[Q];
    struct cx_state_row rows[40], copy[40];
    struct state state = {0};
    for (int c = 0; c < Q; c++)
        z[c] = c % 2 ? INT64_C(1) << 56 : -(INT64_C(1) << 56);
    for (int i = 0; i < 40; i++) {
        uint64_t observed = ((UINT64_C(1) << Q) - 1) & ~(uint64_t)(5 * i);
        int q = cx_mask_count(observed);
        rows[i] = (struct cx_state_row){observed, 0, 1, CX_STATE_RAW_MAX(q), z};
    }
    memcpy(copy, rows, sizeof copy);
    merge(&state, Q, rows, 40);
    size_t raw = state.len;
    for (int i = 0; i < 40; i++)
        copy[i].count = 1;
    merge(&state, Q, copy, 40); /* which checks the room */
    cr_assert(raw > 5000 && state.len > 20 * raw, "%zu %zu", raw, state.len);
    for (int i = 0; i < 40; i++)
        copy[i].count = -1 - CX_STATE_RAW_MAX(cx_mask_count(copy[i].observed));
    merge(&state, Q, copy, 40);
    cr_assert_eq(state.len, 0);
}

Test(driver_state, does_not_apply_is_another_pattern)
{
    const int64_t z[3] = {1, 2, 3};
    struct state state = {0};
    one(&state, 7, 0, z, 1, 2);
    one(&state, 7, 24, z, 1, 3);
    one(&state, 0, 31, NULL, 1, 4);
    struct collected *c = plan(&state, 1, COLUMNS, 10);
    const struct cx_set_counts *counts = &c->plan.counts;
    cr_assert(counts->rows == 9 && counts->answered[0] == 5 && counts->does_not_apply[0] == 4);
    cr_assert(counts->skipped[4] == 2 && counts->does_not_apply[4] == 7);
    struct cx_set *set = set_of(c);
    collect(c, set, &state, 1);
    cr_assert(set->count == 2 && set->pattern[1].observed == 7 &&
              set->pattern[1].does_not_apply == 0 && set->pattern[1].cell[CX_MOMENTS_N] == 5);
    drop(set);
    free(c);
    drop_state(&state);
}

Test(driver_state, weights_and_large_values)
{
    const int64_t z[2] = {INT64_MIN / 8, INT64_MAX / 8}, small[2] = {INT32_MIN, INT32_MAX};
    struct state state = {0};
    struct cx_set *direct = new_set(COLUMNS, 4);
    for (int r = 0; r < 40; r++) {
        const int64_t *from = r % 2 ? z : small, full[COLUMNS] = {0, from[0], 0, from[1]};
        struct cx_pattern key = {.observed = 10};
        one(&state, 10, 0, from, 1 + r % 2, 1);
        cr_assert_eq(cx_set_add(direct, &key, full, 1 + r % 2, 1), CX_SET_OK);
    }
    struct collected *c = plan(&state, 1, COLUMNS, 10);
    struct cx_set *set = set_of(c);
    collect(c, set, &state, 1);
    cr_assert(equal(set, direct));
    drop(set);
    drop(direct);
    free(c);
    drop_state(&state);
}

Test(driver_state, overflow)
{
    const int64_t z[2] = {INT64_MAX, INT64_MIN}, small[2] = {1, 2};
    struct state state = {0};
    struct cx_state_row row = {3, 0, INT64_MAX, 20, z};
    cr_assert_eq(try_merge(&state, COLUMNS, &row, 1), CX_STATE_OVERFLOW);
    row.count = 1; /* raw rows have no sums yet */
    merge(&state, COLUMNS, &row, 1);
    struct collected *c = plan(&state, 1, COLUMNS, 10);
    struct cx_set *set = set_of(c);
    void *work = aligned_alloc(16, (cx_collect_work(COLUMNS) + 15) / 16 * 16);
    cr_assert_eq(cx_collect_add(&c->plan, set, state.at, state.len, work), CX_STATE_OVERFLOW);
    struct cx_state_row many = {3, 0, 1, 40, small};
    cr_assert_eq(try_merge(&state, COLUMNS, &many, 1), CX_STATE_OVERFLOW);
    one(&state, 3, 0, z, INT64_MAX, -1);
    cr_assert_eq(state.len, 0);

    many.count = INT64_MAX; /* a count beyond 64 bits */
    merge(&state, COLUMNS, &many, 1);
    cr_assert_eq(cx_state_rows(state.at, state.len, COLUMNS), INT64_MAX);
    bool full;
    cr_assert_eq(cx_collect_count(&c->plan, state.at, state.len, &full), CX_STATE_OVERFLOW);
    many.count = 1;
    cr_assert_eq(try_merge(&state, COLUMNS, &many, 1), CX_STATE_OVERFLOW);
    many.observed = 5;
    merge(&state, COLUMNS, &many, 1);
    cr_assert_eq(cx_state_rows(state.at, state.len, COLUMNS), INT64_MIN);
    many.count = INT64_MIN; /* and is nothing else's sign */
    struct state least = {0};
    cr_assert_eq(try_merge(&least, COLUMNS, &many, 1), CX_STATE_OVERFLOW);

    /* 21 rows of 2^107 leave 128 bits in the waiting rows, too */
    const int64_t large[2] = {INT64_C(1) << 62, 0};
    many = (struct cx_state_row){3, 0, 1, 100, large};
    cr_assert_eq(try_merge(&least, COLUMNS, &many, 1), CX_STATE_OVERFLOW);
    free(work);
    drop(set);
    free(c);
    drop_state(&state);
}

/* ---- damaged bytes ----------------------------------------------------------------------------
 */

/* Every function on a copy of exactly that size. They must agree on what is damaged. */
static bool sound(const uint8_t *bytes, size_t len, int columns)
{
    static struct collected c;
    const int64_t z[CX_COLUMNS_MAX] = {1, 2, 3};
    struct cx_state_row rows[2] = {{1, 2, 1, 1, z}, {3, 0, 1, 60, z}};
    struct state state = {malloc(len > 0 ? len : 1), len};
    bool full;
    memcpy(state.at, bytes, len);
    cx_collect_init(&c.plan, columns, c.slot, 64, c.kept);
    enum cx_state_status counted = cx_collect_count(&c.plan, state.at, len, &full);
    bool fine = counted == CX_STATE_OK && !full;
    if (counted != CX_STATE_CORRUPT) {
        cx_collect_plan(&c.plan, 40);
        struct cx_set *set = set_of(&c);
        void *work = aligned_alloc(16, (cx_collect_work(columns) + 15) / 16 * 16);
        cr_assert(cx_collect_add(&c.plan, set, state.at, len, work) == CX_STATE_OK || !fine ||
                  len > 30);
        free(work);
        drop(set);
    }
    cr_assert(fine || counted != CX_STATE_CORRUPT ||
              cx_state_rows(state.at, len, columns) == INT64_MIN);
    struct state same = {malloc(len > 0 ? len : 1), len};
    memcpy(same.at, bytes, len);
    enum cx_state_status copied = try_merge(&same, columns, NULL, 0);
    cr_assert_eq(copied == CX_STATE_CORRUPT, counted == CX_STATE_CORRUPT);
    if (copied == CX_STATE_OK)
        cr_assert(same.len == len && (len == 0 || memcmp(same.at, bytes, len) == 0));
    enum cx_state_status merged = try_merge(&state, columns, rows, 2);
    cr_assert_eq(merged == CX_STATE_CORRUPT, counted == CX_STATE_CORRUPT);
    drop_state(&same);
    drop_state(&state);
    return counted != CX_STATE_CORRUPT;
}

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

Test(driver_state, each_kind_of_damage)
{
    const struct {
        bool fine;
        const char *what;
        const uint8_t *bytes;
        size_t len;
    } cases[] = {
        {true, "a row", BYTES(1, 3, 3, 4, 1, 2, 4, 1, 2)},
        {true, "two", BYTES(1, 3, 3, 4, 2, 2, 3, 1, 2, 2, 4, 1, 2)},
        {true, "a block", BYTES(1, 3, 0, 7, 0, 1, 0, 0)},
        {true, "two parts", BYTES(1, 3, 0, 0, 1, 1, 2, 0, 7, 1, 1, 1)},
        {false, "version", BYTES(2, 3, 3, 4, 1, 2, 4, 1, 2)},
        {false, "columns", BYTES(1, 4, 3, 4, 1, 2, 4, 1, 2)},
        {false, "half a header", BYTES(1)},
        {false, "no parts", BYTES(1, 3)},
        {false, "observed beyond the columns", BYTES(1, 3, 9, 4, 1, 2, 4, 1, 2)},
        {false, "absent beyond the columns", BYTES(1, 3, 3, 8, 1, 2, 4, 1, 2)},
        {false, "both at once", BYTES(1, 3, 3, 2, 1, 2, 4, 1, 2)},
        {false, "a pattern twice", BYTES(1, 3, 0, 7, 1, 1, 2, 0, 7, 1, 1, 2)},
        {false, "patterns in no order", BYTES(1, 3, 0, 7, 1, 1, 2, 0, 6, 1, 1, 2)},
        {false, "an overlong number", BYTES(1, 3, 3, 4, 1, 0x82, 0, 4, 1, 2)},
        {false, "a row twice", BYTES(1, 3, 3, 4, 2, 2, 4, 1, 2, 2, 4, 1, 2)},
        {false, "rows in no order", BYTES(1, 3, 3, 4, 2, 2, 4, 1, 2, 2, 3, 1, 2)},
        {false, "weights in no order", BYTES(1, 3, 3, 4, 2, 2, 4, 2, 2, 2, 4, 1, 2)},
        {false, "weight 0", BYTES(1, 3, 3, 4, 1, 2, 4, 0, 2)},
        {false, "count 0", BYTES(1, 3, 3, 4, 1, 2, 4, 1, 0)},
        {false, "too large a count", BYTES(1, 3, 3, 4, 1, 2, 4, 1, 34)},
        {false, "too many rows", BYTES(1, 3, 3, 4, 2, 2, 3, 1, 16, 2, 4, 1, 18)},
        {false, "weight beyond 64 bits",
         BYTES(1, 3, 3, 4, 1, 2, 4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 2)},
        {false, "a number beyond 64 bits",
         BYTES(1, 3, 1, 4, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 1, 2)},
        {false, "more rows than a part may have", BYTES(1, 3, 0, 7, 9, 1, 2)},
        {false, "rows that are not there", BYTES(1, 3, 3, 4, 2, 2, 4, 1, 2)},
        {false, "a block of zeros", BYTES(1, 3, 0, 7, 0, 0, 0, 0)},
        {false, "half a block", BYTES(1, 3, 0, 7, 0, 1, 0)},
        {false, "an overlong cell", BYTES(1, 3, 0, 7, 0, 0x81, 0, 0, 0)},
        {false, "rows beyond 64 bits",
         BYTES(1, 3, 0, 7, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0, 0)},
        {false, "a cell beyond 128 bits",
         BYTES(1, 3, 0, 7, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
               0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 4, 0)},
        {false, "a byte too many", BYTES(1, 3, 3, 4, 1, 2, 4, 1, 2, 5)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_assert_eq(sound(cases[i].bytes, cases[i].len, 3), cases[i].fine, "%s", cases[i].what);
    const uint8_t widest[] = {1,    3,    0,    7,    0,    0,    0x80, 0x80, 0x80,
                              0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                              0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 3,    0};
    cr_assert(sound(widest, sizeof widest, 3), "the widest cell there is");
}

Test(driver_state, bits_and_ends)
{
    struct store *store = make_rows(COLUMNS, 40, 2, 14);
    struct state state = {0};
    for (int r = 0; r < 80; r++)
        store->row[r].count *= r % 5 ? 1 : -3;
    merge(&state, COLUMNS, store->row, 80);
    const int64_t z[3] = {900, -900, 70000};
    one(&state, 22, 8, z, 3, 1000);
    cr_assert_gt(state.len, 300);
    int cut = 0, flipped = 0;
    for (size_t len = 0; len < state.len; len++)
        cut += !sound(state.at, len, COLUMNS);
    for (size_t bit = 0; bit < 8 * state.len; bit++) {
        state.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        flipped += !sound(state.at, state.len, COLUMNS);
        state.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert(sound(state.at, state.len, COLUMNS));
    cr_assert_gt(cut, (int)state.len * 8 / 10);
    cr_assert_gt(flipped, (int)state.len);
    struct cx_random random = cx_random_seed(1, 2);
    uint8_t *copy = malloc(state.len);
    for (int round = 0; round < 3000; round++) { /* and several bytes at once */
        memcpy(copy, state.at, state.len);
        for (int i = 0; i < 4; i++)
            copy[cx_random_below(&random, (uint32_t)state.len)] =
                (uint8_t)cx_random_below(&random, 256);
        sound(copy, state.len, COLUMNS);
    }
    free(copy);
    drop_state(&state);
    free(store);
}

Test(driver_state, rows_that_are_none)
{
    const int64_t z[COLUMNS] = {1, 2, 3, 4, 5};
    struct cx_state_row rows[] = {
        {32, 0, 1, 1, z}, {1, 32, 1, 1, z}, {3, 2, 1, 1, z}, {3, 0, 0, 1, z}, {3, 0, -1, 1, z}};
    struct state state = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_eq(try_merge(&state, COLUMNS, &rows[i], 1), CX_STATE_CORRUPT);
    one(&state, 3, 0, z, 1, 0);
    cr_assert_eq(state.len, 0, "no rows are no pattern");
}
