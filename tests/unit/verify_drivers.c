/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver models in `verify`: sums against states that the library made, whatever is altered is told
 * by its name, and rows that are not absorbed yet count, joins too (there against absorb_join.h).
 */
#include "daemon/verify_drivers.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/driver_state.h"
#include "analytics/random.h"
#include "daemon/absorb_join.h"

#define HOUR_US INT64_C(3600000000)
enum { STATED, OPERATIONS, SERIES, COLUMNS = 4, DAY = 20000 };

static struct fp_model *model;
static struct fp_verify v;
static struct fp_verify_drivers d;
static struct fp_fitting fitting[SERIES];
static struct fp_error err;
static int16_t items[64], measures[64];

static void start(void)
{
    struct fp_problems problems = {0};
    cr_assert_eq(
        fp_model_load(TEST_DATA "/schemas/model/examples/valid/northbank.json", &model, &problems),
        FP_OK);
    for (int i = 0; i < 64; i++)
        items[i] = measures[i] = (int16_t)(i + 2);
    v = (struct fp_verify){.names = fp_verify_names_new()};
    fp_verify_names_add(v.names, FP_KIND_UNIT, 7, "branch-007");
    fp_verify_names_index(v.names);
    d = (struct fp_verify_drivers){.v = &v, .count = SERIES};
    d.series = calloc(SERIES, sizeof *d.series);
    d.room = calloc(1, sizeof(struct fp_moment_row) + CX_COLUMNS_MAX * 8);
    v.report = calloc(1, sizeof *v.report);
    fp_spill_init(&d.rows, 1 << 20);
    fp_spill_init(&d.joins, 1 << 20);
    for (int i = 0; i < SERIES; i++) {
        cr_assert(fp_fitting_init(&fitting[i], model, i, items, measures));
        cr_assert_eq(fitting[i].columns, COLUMNS);
        d.series[i] = (struct fp_moment_series){.id = model->driver_models[i].id,
                                                .model = &model->driver_models[i],
                                                .columns = COLUMNS,
                                                .names = {"one", "two", "three", "y"}};
    }
}

static void end(void)
{
    for (int i = 0; i < SERIES; i++)
        fp_fitting_free(&fitting[i]);
    fp_spill_free(&d.rows);
    fp_spill_free(&d.joins);
    fp_verify_names_free(v.names);
    free(d.series);
    free(d.room);
    free(v.report);
    fp_model_release(model);
}

TestSuite(verify_drivers, .init = start, .fini = end);

static const struct fp_check_result *check(void)
{
    return &v.report->check[FP_CHECK_DRIVERS];
}

/* ---- rows and states ---------------------------------------------------------------------------
 */

static struct fp_driver_row draw(struct cx_random *random)
{
    struct fp_driver_row row = {.sign = 1,
                                .day = DAY + (int32_t)cx_random_below(random, 5),
                                .unit = 5 + (int32_t)cx_random_below(random, 3),
                                .journey = (int32_t)cx_random_below(random, 2),
                                .group = (int32_t)cx_random_below(random, 3),
                                .weight = 1 + cx_random_below(random, 4) / 3};
    row.observed = 1 + cx_random_below(random, 15);
    row.does_not_apply = cx_random_below(random, 16) & ~row.observed;
    for (int i = 0; i < COLUMNS; i++)
        row.z[i] = (int64_t)cx_random_below(random, 9) - 4;
    return row;
}

static void put(int at, const struct fp_driver_row *row, enum fp_moment_kind kind, int64_t seq,
                bool stored)
{
    struct fp_moment_row *out = (struct fp_moment_row *)(void *)d.room;
    size_t values = 0;
    *out = (struct fp_moment_row){.kind = kind,
                                  .at = at,
                                  .day = row->day,
                                  .journey = row->journey,
                                  .unit = row->unit,
                                  .people = row->group,
                                  .weight = row->weight,
                                  .count = row->sign,
                                  .stored = stored,
                                  .observed = row->observed,
                                  .does_not_apply = row->does_not_apply,
                                  .time_us = row->time_us,
                                  .seq = seq};
    memcpy(out->interaction, row->interaction, FP_KEY_LEN);
    memcpy(out->record, row->record, FP_KEY_LEN);
    for (int i = 0; i < COLUMNS; i++)
        if (row->observed >> i & 1)
            out->z[values++] = row->z[i];
    bool joins = kind != FP_MOMENT_ROW || row->joins;
    cr_assert_eq(joins ? fp_moment_put_join(&d, out, &err) : fp_moment_put(&d, out, &err), FP_OK);
}

/* As the database would hold it; returns how many states. alter: of the first one. */
static uint32_t store(int at, struct fp_gather *gather, int64_t alter_n, int alter_byte)
{
    fp_gather_group(gather);
    for (uint32_t g = 0; g < gather->group_count; g++) {
        const struct fp_group *group = &gather->groups[g];
        struct cx_state_merge merge = {.columns = COLUMNS, .row_count = group->count};
        merge.rows = calloc(group->count, sizeof *merge.rows);
        fp_gather_rows(gather, group, merge.rows);
        merge.out = malloc(cx_state_merge_room(&merge));
        merge.work = aligned_alloc(16, (cx_state_merge_work(&merge) + 15) / 16 * 16);
        size_t len = 0;
        cr_assert_eq(cx_state_merge(&merge, &len), CX_STATE_OK);
        struct fp_moment_row *out = calloc(1, sizeof *out + len + 8);
        *out = (struct fp_moment_row){.kind = FP_MOMENT_STATE,
                                      .at = at,
                                      .day = group->day,
                                      .people = group->people,
                                      .segment_kind = group->kind,
                                      .segment = group->segment,
                                      .count = cx_state_rows(merge.out, len, COLUMNS),
                                      .stored = 1,
                                      .len = (uint32_t)len};
        memcpy(out->z, merge.out, len);
        if (g == 0) {
            out->count += alter_n;
            ((uint8_t *)out->z)[len - 1] ^= (uint8_t)alter_byte;
        }
        out->size = (uint32_t)(sizeof *out + (len + 7) / 8 * 8);
        cr_assert_eq(fp_moment_put(&d, out, &err), FP_OK);
        free(out);
        free(merge.rows);
        free(merge.out);
        free(merge.work);
    }
    return gather->group_count;
}

enum { ROWS = 4000 };

/* `rows` of which the log has some more or less: `less` of the first are missing from it, and the
 * last `written` are not absorbed. */
static uint32_t compare(int less, int written, int64_t alter_n, int alter_byte)
{
    struct cx_random random = cx_random_seed(3, 1);
    struct fp_gather gather;
    fp_gather_init(&gather, &fitting[STATED]);
    for (int i = 0; i < ROWS; i++) {
        struct fp_driver_row row = draw(&random);
        if (i >= less)
            put(STATED, &row, FP_MOMENT_ROW, 0, false);
        if (i < ROWS - written)
            fp_gather_add(&gather, &row, 1);
        else
            put(STATED, &row, FP_MOMENT_ROW, 0, true);
    }
    uint32_t states = store(STATED, &gather, alter_n, alter_byte);
    fp_gather_free(&gather);
    cr_assert_eq(fp_moment_compare(&d, &err), FP_OK, "%s", err.what);
    return states;
}

Test(verify_drivers, states_of_the_library_agree)
{
    uint32_t states = compare(0, 0, 0, 0);
    /* five days, three groups of people: all, one journey (0 is none), three units */
    cr_assert_eq(states, 5 * 3 * (1 + 1 + 3));
    cr_assert_eq(check()->compared, states);
    cr_assert_eq(check()->differences, 0, "%s: log %s, database %s", check()->shown[0].key,
                 check()->shown[0].log, check()->shown[0].database);
}

Test(verify_drivers, rows_that_are_not_absorbed_count)
{
    cr_assert_gt(compare(0, ROWS / 2, 0, 0), 0);
    cr_assert_eq(check()->differences, 0);
}

Test(verify_drivers, people_are_added_up_without_the_key)
{
    d.no_people = true;
    compare(0, 10, 0, 0);
    cr_assert_eq(check()->compared, 5 * (1 + 1 + 3));
    cr_assert_eq(check()->differences, 0);
}

/* One row more in the database: it is part of all, of its unit, perhaps of its journey. */
Test(verify_drivers, a_row_too_many_is_told_everywhere)
{
    struct cx_random random = cx_random_seed(3, 1);
    struct fp_driver_row row = draw(&random);
    compare(1, 0, 0, 0);
    cr_assert_eq(check()->differences, 2 + (row.journey != 0));
    for (int i = 0; i < check()->differences; i++) {
        cr_assert(strstr(check()->shown[i].key, "nps_open_account"), "%s", check()->shown[i].key);
        cr_assert(strstr(check()->shown[i].key, ", n"), "%s", check()->shown[i].key);
        cr_assert_eq(atoi(check()->shown[i].log) + 1, atoi(check()->shown[i].database));
    }
}

Test(verify_drivers, a_row_count_that_is_not_its_states)
{
    compare(0, 0, 1, 0);
    cr_assert_eq(check()->differences, 1);
    cr_assert(strstr(check()->shown[0].key, "column n"), "%s", check()->shown[0].key);
}

/* The last byte of a state: no state any more, or other sums. */
Test(verify_drivers, any_bit_of_a_state)
{
    int corrupt = 0, sums = 0;
    for (int bit = 0; bit < 8; bit++) {
        *v.report = (struct fp_report){0};
        compare(0, 0, 0, 1 << bit);
        cr_assert_geq(check()->differences, 1, "bit %d", bit);
        if (strstr(check()->shown[0].database, "bytes"))
            corrupt++;
        else
            sums++;
    }
    cr_assert(corrupt > 0 && sums > 0, "%d, %d", corrupt, sums);
}

/* A sum of squares that 128 bits do not hold is an error, never a wrong comparison. */
Test(verify_drivers, sums_beyond_128_bits)
{
    struct fp_driver_row row = {.sign = 1, .day = DAY, .weight = 4, .observed = 1};
    row.z[0] = INT64_MAX;
    put(STATED, &row, FP_MOMENT_ROW, 0, false);
    cr_assert_eq(fp_moment_compare(&d, &err), FP_FATAL);
    cr_assert_str_eq(err.code, "overflow");
}

Test(verify_drivers, a_sum_is_told_by_its_columns)
{
    struct fp_driver_row row = {.sign = 1, .day = DAY, .unit = 7, .weight = 1, .observed = 10};
    row.z[1] = 2;
    row.z[3] = 5;
    put(STATED, &row, FP_MOMENT_ROW, 0, false);
    row.z[3] = 6;
    put(STATED, &row, FP_MOMENT_ROW, 0, true);
    cr_assert_eq(fp_moment_compare(&d, &err), FP_OK);
    cr_assert_eq(check()->differences, 2);
    const char *unit = check()->shown[1].key;
    cr_assert_str_eq(unit, "driver model nps_open_account, unit:branch-007, 2024-10-04, people 0: "
                           "pattern of 2 answers (a, does not apply 0), sum of weight x y");
    cr_assert_str_eq(check()->shown[1].log, "5");
    cr_assert_str_eq(check()->shown[1].database, "6");
}

/* ---- joins ------------------------------------------------------------------------------------
 */

enum { RESPONSES = 40, STEPS = 160 };

struct world { /* what stands of each response, and the events so far */
    struct fp_driver_row standing[RESPONSES], step[STEPS];
    bool there[RESPONSES];
    int steps;
};

static struct fp_driver_row draw_join(struct cx_random *random, int response, bool event)
{
    struct fp_driver_row row = draw(random);
    row.day = DAY + response % 3;
    row.joins = true;
    row.event = event;
    row.time_us = (DAY * 24 + (int64_t)cx_random_below(random, 120)) * HOUR_US;
    row.interaction[0] = (uint8_t)(response % 12);
    row.record[0] = (uint8_t)(event ? cx_random_below(random, 250) : (uint32_t)response);
    if (event) {
        row.observed = 1 + cx_random_below(random, 7); /* measures, not the outcome */
        row.does_not_apply = 0;
        row.weight = 0;
    } else {
        row.observed |= 8;
        row.does_not_apply = 0;
    }
    return row;
}

/* Responses come, are revised and taken away; events come, of which some count and some do not. */
static void live(struct world *w, struct cx_random *random)
{
    while (w->steps < STEPS - 1) {
        int response = (int)cx_random_below(random, RESPONSES);
        if (cx_random_below(random, 3) == 0) {
            w->step[w->steps++] = draw_join(random, response, true);
            continue;
        }
        if (w->there[response]) {
            w->step[w->steps] = w->standing[response];
            w->step[w->steps++].sign = -1;
        }
        w->there[response] = !w->there[response] || cx_random_below(random, 2);
        if (w->there[response])
            w->step[w->steps++] = w->standing[response] = draw_join(random, response, false);
    }
}

static void put_side(const struct fp_joins *joins, struct fp_join_text text,
                     enum fp_moment_kind kind)
{
    struct fp_driver_row row;
    if (text.len == 0)
        return;
    cr_assert(fp_joins_row(joins, text, &row));
    put(OPERATIONS, &row, kind, 0, true);
}

/* The first `cut` steps are absorbed, the rest lies in the log. */
static void absorb(const struct world *w, int cut)
{
    struct fp_joins joins;
    struct fp_gather gather;
    fp_gather_init(&gather, &fitting[OPERATIONS]);
    fp_joins_init(&joins, &fitting[OPERATIONS]);
    for (int i = 0; i < cut; i++)
        fp_joins_need(&joins, &w->step[i]);
    for (int i = 0; i < cut; i++)
        fp_joins_take(&joins, &w->step[i], &gather);
    cr_assert(fp_joins_settle(&joins, &gather));
    for (uint32_t i = 0; i < joins.count; i++) {
        const struct fp_join_side *side = &joins.sides[i];
        if (!side->there)
            continue;
        put_side(&joins, side->row, side->is_event ? FP_MOMENT_STORED_EVENT : FP_MOMENT_STORED_ROW);
        if (!side->is_event)
            put_side(&joins, side->joined, FP_MOMENT_STORED_JOINED);
    }
    store(OPERATIONS, &gather, 0, 0);
    for (int i = cut; i < w->steps; i++)
        put(OPERATIONS, &w->step[i],
            w->step[i].event ? FP_MOMENT_WRITTEN_EVENT : FP_MOMENT_WRITTEN_ROW, i, true);
    fp_joins_free(&joins);
    fp_gather_free(&gather);
}

static void say(const struct world *w, bool forget_an_event)
{
    for (int i = 0; i < RESPONSES; i++)
        if (w->there[i])
            put(OPERATIONS, &w->standing[i], FP_MOMENT_ROW, 0, false);
    for (int i = 0; i < w->steps; i++)
        if (w->step[i].event && !forget_an_event)
            put(OPERATIONS, &w->step[i], FP_MOMENT_EVENT, 0, false);
}

Test(verify_drivers, joins_wherever_the_log_is_cut)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct cx_random random = cx_random_seed(seed, 2);
        struct world *w = calloc(1, sizeof *w);
        *v.report = (struct fp_report){0};
        live(w, &random);
        absorb(w, (int)cx_random_below(&random, (uint32_t)w->steps + 1));
        say(w, false);
        cr_assert_eq(fp_moment_join(&d, &err), FP_OK);
        cr_assert_eq(fp_moment_compare(&d, &err), FP_OK);
        cr_assert_gt(check()->compared, 5);
        cr_assert_eq(check()->differences, 0, "seed %d: %s: log %s, database %s", (int)seed,
                     check()->shown[0].key, check()->shown[0].log, check()->shown[0].database);
        free(w);
    }
}

Test(verify_drivers, a_join_that_was_missed_is_told)
{
    struct cx_random random = cx_random_seed(1, 2);
    struct world *w = calloc(1, sizeof *w);
    live(w, &random);
    absorb(w, w->steps);
    say(w, true);
    cr_assert_eq(fp_moment_join(&d, &err), FP_OK);
    cr_assert_eq(fp_moment_compare(&d, &err), FP_OK);
    cr_assert_gt(check()->differences, 0);
    free(w);
}

/* The last event counts, and only if it is near; what the response says itself goes first. */
Test(verify_drivers, which_event_counts)
{
    const int64_t at = DAY * 24 * HOUR_US, window = 72 * HOUR_US;
    const struct {
        int64_t first, second;
        int64_t value; /* of column 1; 0: none */
    } cases[] = {{-HOUR_US, -2 * HOUR_US, 100},
                 {-2 * HOUR_US, -HOUR_US, 200},
                 {window, -window, 100},
                 {window + 1, -window, 0}, /* the last one is too far: no earlier one takes over */
                 {-window - 1, -window, 200}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        *v.report = (struct fp_report){0};
        struct fp_driver_row row = {
            .sign = 1, .day = DAY, .weight = 1, .observed = 9, .joins = true, .time_us = at};
        row.z[0] = 3;
        row.z[3] = 5;
        struct fp_driver_row event = {.sign = 1, .event = true, .joins = true, .observed = 3};
        event.z[0] = 77;
        put(OPERATIONS, &row, FP_MOMENT_ROW, 0, false);
        for (int k = 0; k < 2; k++) {
            event.time_us = at + (k ? cases[i].second : cases[i].first);
            event.z[1] = k ? 200 : 100;
            put(OPERATIONS, &event, FP_MOMENT_EVENT, 0, false);
        }
        cr_assert_eq(fp_moment_join(&d, &err), FP_OK);
        row.joins = false;
        if (cases[i].value) {
            row.observed = 11;
            row.z[1] = cases[i].value;
        }
        put(OPERATIONS, &row, FP_MOMENT_ROW, 0, true);
        cr_assert_eq(fp_moment_compare(&d, &err), FP_OK);
        cr_assert_eq(check()->compared, 1);
        cr_assert_eq(check()->differences, 0, "case %zu: %s", i, check()->shown[0].key);
    }
}
