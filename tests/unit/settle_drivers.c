/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What responses add to driver models and take away again: after any sequence of revisions, voids
 * and erasures the rows of the log add up to "what stands" less "what was stored". */
#include "daemon/settle.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define DAY 20000
#define AT (DAY * INT64_C(86400000000) + 36000000000)
#define SERIES 31
#define JOURNEY 8

static struct fp_driver_model driver_model = {.id = "m"};
static struct fp_model model = {.driver_models = &driver_model, .driver_model_count = 1};
static int8_t item_column[] = {-1, 0, 1}, measure_column[] = {-1};
static struct fp_fitting fitting = {.series = SERIES,
                                    .model = &driver_model,
                                    .columns = 2,
                                    .first_measure = 1,
                                    .item_column = item_column,
                                    .measure_column = measure_column,
                                    .item_ids = 3,
                                    .measure_ids = 1};
static struct fp_binding binding = {.model = &model, .fittings = &fitting, .references = 100};
static const int16_t items[] = {1, 2}, low[] = {2, 3}, high[] = {5, 9};
static int64_t fitted[1];

static struct fp_batch *batch;
static struct fp_settlement settlement;

static void start(void)
{
    batch = fp_batch_new(1000);
    batch->binding = &binding;
    fp_batch_share(batch, &(struct fp_share){.topic = "t", .part = 0});
    fp_settlement_init(&settlement);
    fitted[0] = fp_fitted_pack(SERIES, JOURNEY);
}

static void end(void)
{
    fp_settlement_free(&settlement);
    batch->binding = NULL;
    fp_batch_free(batch);
}

TestSuite(settle_drivers, .init = start, .fini = end);

static struct fp_row *row(int revision, const int16_t *scores)
{
    batch->rows = realloc(batch->rows, (batch->row_count + 1) * sizeof *batch->rows);
    struct fp_row *r = &batch->rows[batch->row_count++];
    *r = (struct fp_row){.names = {.source = 2, .touchpoint = 5, .unit = 3},
                         .id = fp_slice_of("r"),
                         .has_submitted_at = true,
                         .has_subject = true,
                         .subject = {1},
                         .time_us = AT,
                         .day = DAY,
                         .revision = revision,
                         .weight = 2,
                         .tenure = 14,
                         .items = items,
                         .scores = scores,
                         .score_count = 2,
                         .fitted = fitted,
                         .fitted_count = 1};
    return r;
}

static void store(const int16_t *scores)
{
    struct fp_stored s = {
        .source = 2,
        .id = fp_slice_of("r"),
        .submitted_us = AT,
        .revision = 1,
        .day = DAY,
        .touchpoint = 5,
        .unit = 3,
        .weight = 2,
        .has_subject = true,
        .subject = {1},
        .fitted = fitted,
        .fitted_count = 1,
        .answers = {.tenure = 14, .items = items, .scores = scores, .score_count = 2}};
    fp_settlement_stored(&settlement, &s);
}

/* Sum of sign · weight · outcome over the log, and its rows. */
static int64_t sum(const struct fp_driver_log *log, int *rows)
{
    struct fp_driver_row r;
    int64_t sum = 0;
    size_t at = 0;
    for (*rows = 0; fp_driver_get(&fitting, log->bytes, log->len, &at, &r); ++*rows) {
        cr_expect_eq(r.day, DAY);
        cr_expect_eq(r.unit, 3);
        cr_expect_eq(r.touchpoint, 5);
        cr_expect_eq(r.journey, JOURNEY);
        cr_expect_eq(r.band, FP_BAND_LONGER);
        cr_expect_eq(r.weight, 2);
        sum += r.sign * r.weight * r.z[1];
    }
    cr_expect_eq(at, log->len);
    return sum;
}

static void expect(int64_t wanted_sum, int wanted_rows)
{
    int rows;
    fp_settlement_run(&settlement, batch);
    int64_t found = sum(&settlement.drivers[0], &rows);
    cr_expect_eq(found, wanted_sum, "sum %lld", (long long)found);
    cr_expect_eq(rows, wanted_rows, "%d rows", rows);
}

Test(settle_drivers, a_new_response_adds_its_row)
{
    row(1, low);
    fp_settlement_start(&settlement, batch);
    expect(2 * 3, 1);
}

Test(settle_drivers, a_revision_takes_the_stored_row_away)
{
    row(2, high);
    fp_settlement_start(&settlement, batch);
    store(low);
    expect(2 * (9 - 3), 2);
}

Test(settle_drivers, two_revisions_in_one_batch_add_up_to_the_last)
{
    row(2, high);
    row(3, low);
    fp_settlement_start(&settlement, batch);
    store(high);
    expect(2 * (3 - 9), 4);
}

Test(settle_drivers, a_void_takes_away)
{
    struct fp_row *r = row(1, high);
    r->status = FP_RESPONSE_VOID;
    r->fitted_count = 0;
    fp_settlement_start(&settlement, batch);
    store(low);
    expect(-2 * 3, 1);
}

Test(settle_drivers, an_erasure_takes_away_stored_and_new)
{
    row(2, high);
    struct fp_row *r = row(1, low);
    r->erasure = true;
    fp_settlement_start(&settlement, batch);
    store(low);
    expect(-2 * 3, 3);
}

Test(settle_drivers, a_duplicate_adds_nothing)
{
    row(1, high);
    fp_settlement_start(&settlement, batch);
    store(low);
    expect(0, 0);
}

Test(settle_drivers, a_void_fits_nothing_and_is_not_taken_away)
{
    row(2, high);
    fp_settlement_start(&settlement, batch);
    struct fp_stored s = {.source = 2,
                          .id = fp_slice_of("r"),
                          .submitted_us = AT,
                          .revision = 1,
                          .day = DAY,
                          .status = FP_RESPONSE_VOID};
    fp_settlement_stored(&settlement, &s);
    expect(2 * 9, 1);
}

Test(settle_drivers, a_series_of_another_model_gets_the_answers_whole)
{
    int rows;
    row(2, high);
    fp_settlement_start(&settlement, batch);
    int64_t other[] = {fp_fitted_pack(SERIES + 1, JOURNEY)};
    store(low);
    settlement.states[0].fitted = other;
    expect(2 * 9, 1);
    cr_assert_eq(settlement.strange_count, 1);
    cr_expect_eq(settlement.strange[0].series, SERIES + 1);
    cr_expect_eq(sum(&settlement.strange[0].log, &rows), -2 * 3);
    cr_expect_eq(rows, 1);
    fp_settlement_start(&settlement, batch);
    cr_expect_eq(settlement.strange_count, 0);
    cr_expect_eq(settlement.drivers[0].len, 0);
}
