/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading a window of driver states: the sets are those that cx_set_fold makes of all rows, and an
 * analysis on them is the same to the bit. Days → runs. */
#include "analytics/solve_drivers.h"
#include "tests/unit/driver_state_support.h"

/* ---- collecting -------------------------------------------------------------------------------
 */

static bool same_fold(const struct cx_set_fold *a, const struct cx_set_fold *b)
{
    return a->patterns == b->patterns && a->values_dropped == b->values_dropped &&
           a->rows_dropped == b->rows_dropped;
}

Test(driver_state_collect, a_cap_drops_what_a_fold_drops)
{
    struct store *store = make_rows(9, 500, 2, 15);
    struct cx_set *direct = new_set(9, 2000);
    struct state state[5] = {0};
    add_directly(direct, store, 0, ROWS);
    for (int r = 0; r < ROWS; r++)
        merge(&state[r % 5], 9, store->row + r, 1);
    struct cx_set_fold fold;
    drop(folded(direct, 2000, &fold));
    const int all = fold.patterns;
    cr_assert(all > 60 && all < 400);
    for (int cap = 1; cap < 400; cap += cap / 3 + 1) {
        struct cx_set *wanted = folded(direct, cap, &fold);
        struct collected *c = plan(state, 5, 9, cap);
        struct cx_set *found = set_of(c), *parts = set_of(c);
        collect(c, found, state, 5);
        cr_assert(equal(found, wanted), "cap %d", cap);
        cr_assert(same_fold(&fold, &c->plan.fold), "cap %d", cap);
        cr_assert(fold.patterns == (cap < all ? cap : all) &&
                  (fold.values_dropped + fold.rows_dropped > 0) == (cap < all));
        for (int i = 0; i < 5; i++) { /* groups are parts of the same total */
            struct cx_set *part = set_of(c);
            collect(c, part, &state[i], 1);
            cr_assert_eq(cx_set_merge(parts, part, 1), CX_SET_OK);
            drop(part);
        }
        cr_assert(equal(found, parts));
        free(c);
        drop(found);
        drop(parts);
        drop(wanted);
    }
    for (int i = 0; i < 5; i++)
        drop_state(&state[i]);
    drop(direct);
    free(store);
}

/* Of patterns with as many rows the smallest masks stay, of refuges as large the smallest mask. */
Test(driver_state_collect, ties)
{
    const int64_t z[COLUMNS] = {1, 2, 3, 4, 5};
    const struct {
        uint64_t observed;
        int rows;
    } all[] = {{1, 5}, {2, 5}, {4, 5}, {8, 5}, {15, 4}, {12, 9}, {16, 2}, {0, 1}};
    struct state state = {0};
    for (int i = 0; i < 8; i++)
        one(&state, all[i].observed, 0, z, 1, all[i].rows);
    one(&state, 31, 0, z, 1, 5);
    one(&state, 31, 0, z, 1, -5);
    one(&state, 30, 0, z, 1, -3);
    struct collected *c = plan(&state, 1, COLUMNS, 3); /* 12, 1 and 2 */
    struct cx_set *set = set_of(c);
    collect(c, set, &state, 1);
    cr_assert(set->count == 3 && set->pattern[0].observed == 1 && set->pattern[1].observed == 2 &&
              set->pattern[2].observed == 12);
    cr_assert_eq(set->pattern[2].cell[CX_MOMENTS_N], 13, "15 goes to the largest");
    cr_assert_eq(c->plan.fold.rows_dropped, 5 + 5 + 2 + 1);
    cr_assert_eq(c->plan.fold.values_dropped, 4 * 2);
    drop(set);
    free(c);
    c = plan(&state, 1, COLUMNS, 4); /* and 4; 15 to 12 still */
    cr_assert(c->plan.kept == 4 && c->plan.fold.rows_dropped == 8);
    free(c);
    drop_state(&state);
}

/* Columns 0 and 1 are drivers, 2 one that nobody was asked, 4 the outcome. */
Test(driver_state_collect, who_it_applies_to)
{
    const int64_t z[COLUMNS] = {1, 2, 3, 4, 5}, other[COLUMNS] = {4, 3, 2, 1};
    /* the same by column */
    const int64_t all[COLUMNS] = {1, 2, 0, 0, 3}, some[COLUMNS] = {1, 0, 0, 0, 2};
    const int64_t more[COLUMNS] = {4, 3, 0, 0, 1};
    struct state state = {0};
    bool full;
    one(&state, 19, 0, z, 1, 60); /* a block */
    one(&state, 19, 4, z, 1, 2);
    one(&state, 27, 0, other, 1, 3); /* also column 3, which is not asked for */
    one(&state, 17, 2, z, 1, 7);
    one(&state, 17, 0, z, 1, 11); /* skipped */
    one(&state, 3, 16, z, 1, 1);  /* an outcome is never "does not apply" in its rows */
    one(&state, 3, 0, z, 1, 5);
    struct cx_set *set = new_set(COLUMNS, 3), *wanted = new_set(COLUMNS, 3);
    void *work = aligned_alloc(16, (cx_collect_work(COLUMNS) + 15) / 16 * 16);
    cr_assert_eq(cx_collect_applicable(set, 19, state.at, state.len, work, &full), CX_STATE_OK);
    cr_assert_not(full);
    for (int i = 0; i < 62; i++)
        cx_set_add(wanted, &(struct cx_pattern){.observed = 19}, all, 1, 1);
    for (int i = 0; i < 3; i++)
        cx_set_add(wanted, &(struct cx_pattern){.observed = 19}, more, 1, 1);
    for (int i = 0; i < 7; i++)
        cx_set_add(wanted, &(struct cx_pattern){17, 2, NULL}, some, 1, 1);
    cx_set_add(wanted, &(struct cx_pattern){3, 16, NULL}, z, 1, 1);
    cr_assert(equal(set, wanted));
    drop(set);
    set = new_set(COLUMNS, 1);
    cr_assert_eq(cx_collect_applicable(set, 19, state.at, state.len, work, &full), CX_STATE_OK);
    cr_assert(full);
    state.at[state.len - 1] ^= 0x80;
    cr_assert_eq(cx_collect_applicable(wanted, 19, state.at, state.len, work, &full),
                 CX_STATE_CORRUPT);
    free(work);
    drop(set);
    drop(wanted);
    drop_state(&state);
}

Test(driver_state_collect, slots_run_out)
{
    struct store *store = make_rows(9, 500, 1, 16);
    struct state state = {0};
    struct collected *c = calloc(1, sizeof *c);
    bool full;
    merge(&state, 9, store->row, ROWS);
    cx_collect_init(&c->plan, 9, c->slot, 64, c->kept);
    cr_assert_eq(cx_collect_count(&c->plan, state.at, state.len, &full), CX_STATE_OK);
    cr_assert(full && c->plan.used == 32);
    struct state other = {0};
    const int64_t z[COLUMNS] = {0};
    one(&other, 31, 0, z, 1, 1); /* a state that was not counted has patterns the plan lacks */
    cx_collect_init(&c->plan, COLUMNS, c->slot, 64, c->kept);
    cx_collect_plan(&c->plan, 10);
    struct cx_set *set = set_of(c);
    void *work = aligned_alloc(16, (cx_collect_work(COLUMNS) + 15) / 16 * 16);
    cr_assert_eq(cx_collect_add(&c->plan, set, other.at, other.len, work), CX_STATE_CORRUPT);
    cr_assert_eq(cx_collect_add(&c->plan, set, NULL, 0, work), CX_STATE_OK);
    free(work);
    drop(set);
    drop_state(&other);
    drop_state(&state);
    free(c);
    free(store);
}

/* ---- the whole analysis -----------------------------------------------------------------------
 */

static void analyse(struct cx_drivers *out, const struct cx_set *total,
                    const struct cx_set *const *group, int groups, enum cx_method method)
{
    const struct cx_drivers_question question = {
        .total = total, .group = group, .groups = groups, .method = method, .seed = 17};
    void *memory =
        aligned_alloc(16, (cx_drivers_memory(total->columns, total->count) + 15) / 16 * 16);
    cx_drivers(out, &question, memory);
    free(memory);
}

#define SAME(part) cr_assert_eq(memcmp(&a->part, &b->part, sizeof a->part), 0, "%s", #part)

static void expect_same(const struct cx_drivers *a, const struct cx_drivers *b)
{
    SAME(fit.coef);
    SAME(fit.se);
    SAME(fit.p);
    SAME(fit.vif);
    SAME(fit.dropped);
    SAME(fit.r2);
    SAME(fit.status);
    SAME(method);
    SAME(counts);
    SAME(n_complete);
    SAME(missing);
    cr_assert(same_fold(&a->fold, &b->fold));
    SAME(q);
    SAME(weight);
    SAME(lmg);
    SAME(robust_se);
    SAME(fmi);
    SAME(mar);
    SAME(p_top1);
    SAME(p_top3);
    SAME(r2_low);
    SAME(groups);
}

static void compare_analyses(enum cx_method method, int kinds)
{
    enum { Q = 6, GROUPS = 12 };
    struct store *store = make_rows(Q, kinds, 1, 17);
    struct cx_set *total = new_set(Q, 600), *group[GROUPS], *part[GROUPS];
    struct state state[GROUPS] = {0};
    static struct cx_drivers direct, stored;
    for (int r = 0; r < ROWS; r++) { /* the outcome follows the drivers; column 1: of nobody */
        struct cx_state_row *row = &store->row[r];
        int q = cx_mask_count(row->observed);
        for (int i = 0; i + 1 < q; i++)
            store->z[r][q - 1] += (i + 1) * (store->z[r][i] % 16);
        if (row->observed & 2)
            for (int i = (int)(row->observed & 1); i + 1 < q; i++)
                store->z[r][i] = store->z[r][i + 1];
        row->does_not_apply |= row->observed & 2;
        row->observed &= ~UINT64_C(2);
    }
    add_directly(total, store, 0, ROWS);
    for (int g = 0; g < GROUPS; g++) {
        group[g] = new_set(Q, 600);
        add_directly(group[g], store, g * ROWS / GROUPS, (g + 1) * ROWS / GROUPS);
        merge(&state[g], Q, store->row + g * ROWS / GROUPS, ROWS / GROUPS);
    }
    struct collected *c = plan(state, GROUPS, Q, 600);
    struct cx_set *sum = set_of(c);
    collect(c, sum, state, GROUPS);
    for (int g = 0; g < GROUPS; g++) {
        part[g] = set_of(c);
        collect(c, part[g], &state[g], 1);
    }
    analyse(&direct, total, (const struct cx_set *const *)group, GROUPS, method);
    analyse(&stored, sum, (const struct cx_set *const *)part, GROUPS, method);
    cx_collect_report(&c->plan, &stored);
    cr_assert_eq(direct.fit.status, CX_FIT_OK);
    cr_assert_eq(direct.fit.dropped[1], CX_DROP_NO_VALUE);
    if (direct.fold.patterns == 0) /* without EM there was no fold to report */
        direct.fold.patterns = stored.fold.patterns;
    expect_same(&direct, &stored);
    for (int g = 0; g < GROUPS; g++) {
        drop(group[g]);
        drop(part[g]);
        drop_state(&state[g]);
    }
    drop(total);
    drop(sum);
    free(c);
    free(store);
}

Test(driver_state_collect, analyses_agree_to_the_bit)
{
    compare_analyses(CX_METHOD_EM, 100);
    compare_analyses(CX_METHOD_LISTWISE, 100);
    compare_analyses(CX_METHOD_PAIRWISE, 20);
    compare_analyses(CX_METHOD_AUTO, 100);
}

/* ---- days -------------------------------------------------------------------------------------
 */

static int runs(const int64_t *rows, int days, int8_t *group)
{
    memset(group, 99, (size_t)days);
    return cx_day_runs(rows, days, group);
}

Test(driver_state_collect, day_runs)
{
    int64_t rows[90];
    int8_t group[90];
    for (int d = 0; d < 90; d++)
        rows[d] = 5;
    cr_assert(runs(rows, 1, group) == 1 && group[0] == 0);
    cr_assert_eq(runs(rows, 5, group), 5);
    for (int d = 0; d < 5; d++)
        cr_assert_eq(group[d], d);
    cr_assert_eq(runs(rows, 90, group), 12);
    for (int d = 0; d < 90; d++)
        cr_assert_eq(group[d], d * 12 / 90);
    for (int d = 0; d < 90; d++) /* a gap of 40 days takes its runs with it */
        rows[d] = d >= 20 && d < 60 ? 0 : 1 + d;
    cr_assert_eq(runs(rows, 90, group), 7); /* runs 2 … 7 hold days 15 … 59 */
    cr_assert(group[19] == 2 && group[20] == -1 && group[59] == -1 && group[60] == 3);
    cr_assert_eq(group[89], 6);
    rows[19] = -2; /* more taken away than came */
    cr_assert(runs(rows, 90, group) == 7 && group[19] == -1);
    for (int d = 0; d < 90; d++) /* few days with rows: each its own run if they stand apart */
        rows[d] = d % 30 == 7;
    cr_assert_eq(runs(rows, 90, group), 3);
    cr_assert(group[7] == 0 && group[37] == 1 && group[67] == 2 && group[8] == -1);
    rows[37] = 0;
    rows[8] = 1; /* 7, 8 and 67: cut in three, the middle has none */
    cr_assert(runs(rows, 90, group) == 2 && group[7] == 0 && group[8] == 0 && group[67] == 1);
    memset(rows, 0, sizeof rows);
    cr_assert(runs(rows, 90, group) == 0 && group[45] == -1);
}
