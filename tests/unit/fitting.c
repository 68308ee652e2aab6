/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responses and events as rows of driver models: scope, columns, joins, and the bytes of the log.
 */
#include "daemon/fitting.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATED, OPERATIONS, MODELS = 3 };

static struct fp_model *model;
static struct fp_decoder *decoder;
static struct fp_event event;
static struct fp_fact fact;
static struct fp_fitting fitting[MODELS];
static int16_t items[64], measures[64];

static void start(void)
{
    struct fp_problems problems = {0};
    cr_assert_eq(
        fp_model_load(TEST_DATA "/schemas/model/examples/valid/northbank.json", &model, &problems),
        FP_OK);
    decoder = fp_decoder_new(NULL);
    for (int i = 0; i < model->item_count; i++)
        items[i] = (int16_t)(100 + 3 * i);
    for (int i = 0; i < model->measure_count; i++)
        measures[i] = (int16_t)(7 + 2 * i);
    for (int i = 0; i < MODELS; i++) {
        cr_assert(fp_fitting_init(&fitting[i], model, i, items, measures));
        fitting[i].series = 50 + i;
    }
}

static void end(void)
{
    for (int i = 0; i < MODELS; i++)
        fp_fitting_free(&fitting[i]);
    fp_decoder_free(decoder);
    fp_model_release(model);
}

TestSuite(fitting, .init = start, .fini = end);

static void resolve(const char *type, const char *data)
{
    static char text[2048];
    struct fp_error err;
    snprintf(
        text, sizeof text,
        "{\"specversion\":\"1.0\",\"id\":\"r1\",\"source\":\"/t\",\"type\":\"experience.%s.v1\","
        "\"time\":\"2026-03-02T11:04:09Z\",\"data\":%s}",
        type, data);
    struct fp_record record = {
        .topic = "t", .value = text, .len = strlen(text), .timestamp_ms = 1772449500000};
    cr_assert_eq(fp_decode(decoder, &record, &event, &err), FP_OK, "%s", err.what);
    cr_assert_eq(fp_resolve(model, &event, record.timestamp_ms, &fact, &err), FP_OK, "%s at %s",
                 err.what, err.where);
}

static bool covers(int which)
{
    return fp_fitting_covers(model, &fitting[which], &fact);
}

/* What a batch would keep of the fact. */
static struct fp_answers answers_of_fact(void)
{
    static int16_t item[FP_SCORES_MAX], measure[FP_MEASURES_MAX];
    for (int i = 0; i < fact.score_count; i++)
        item[i] = items[fact.items[i]];
    for (int i = 0; i < fact.measure_count; i++)
        measure[i] = measures[fact.measures[i]];
    return (struct fp_answers){.day = fact.day,
                               .unit = 9,
                               .touchpoint = 4,
                               .tenure = FP_TENURE_ABSENT,
                               .weight = 1,
                               .time_us = fact.time_us,
                               .source = 2,
                               .id = event.id,
                               .interaction = event.interaction,
                               .score_count = (uint32_t)fact.score_count,
                               .measure_count = (uint32_t)fact.measure_count,
                               .items = item,
                               .scores = fact.scores,
                               .measures = measure,
                               .amounts = fact.amounts};
}

Test(fitting, columns_are_drivers_measures_outcome)
{
    cr_expect_eq(fitting[STATED].columns, 4);
    cr_expect_eq(fitting[OPERATIONS].columns, 4);
    cr_expect_eq(fitting[OPERATIONS].first_measure, 0);
    cr_expect_eq(fitting[OPERATIONS].decimals[2], 1, "duration_s");
    int waiting = fp_model_find(model, FP_KIND_ITEM, fp_slice_of("waiting"));
    int recommend = fp_model_find(model, FP_KIND_ITEM, fp_slice_of("recommend"));
    cr_expect_eq(fitting[STATED].item_column[items[waiting]], 0);
    cr_expect_eq(fitting[STATED].item_column[items[recommend]], 3);
    cr_expect_eq(fitting[STATED].item_column[items[waiting] + 1], -1);
    cr_expect_eq(fitting[STATED].segments,
                 1U << FP_SEGMENT_ALL | 1U << FP_SEGMENT_JOURNEY | 1U << FP_SEGMENT_UNIT);
}

Test(fitting, scope)
{
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"journey\":\"open_account\","
                        "\"scores\":{\"recommend\":9}}");
    cr_expect(covers(STATED));
    cr_expect_not(covers(OPERATIONS), "the outcome of the touchpoint is not among the answers");
    cr_expect_not(covers(2), "customers are no employees");
    resolve("response", "{\"audience\":\"internal\",\"survey\":\"s\",\"journey\":\"open_account\","
                        "\"scores\":{\"recommend\":9}}");
    cr_expect_not(covers(STATED), "what the company thinks of itself is no answer of a customer");
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"journey\":\"open_account\","
                        "\"touchpoint\":\"branch_visit\",\"scores\":{\"recommend\":9}}");
    cr_expect(covers(OPERATIONS));
    resolve("response", "{\"audience\":\"employee\",\"survey\":\"s\",\"journey\":\"employee\","
                        "\"tenure_months\":2,\"scores\":{\"engaged\":4}}");
    cr_expect(covers(2));
}

Test(fitting, skipped_and_not_applicable_are_kept_apart)
{
    struct fp_driver_row row;
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"journey\":\"open_account\","
                        "\"scores\":{\"waiting\":null,\"clarity\":\"na\",\"recommend\":9}}");
    struct fp_answers answers = answers_of_fact();
    cr_assert(fp_fitting_project(&fitting[STATED], &answers, 77, &row));
    cr_expect_eq(row.observed, UINT64_C(1) << 3);
    cr_expect_eq(row.does_not_apply, UINT64_C(1) << 1);
    cr_expect_eq(row.z[3], 9);
    cr_expect_eq(row.journey, 77);
    cr_expect_eq(row.unit, 9);
    cr_expect_eq(row.weight, 1);
    cr_expect_not(row.joins, "the stated model asks for no join");
    answers.weight = 0;
    cr_expect_not(fp_fitting_project(&fitting[STATED], &answers, 77, &row));
    answers.weight = 1;
    answers.score_count = 0;
    cr_expect_not(fp_fitting_project(&fitting[STATED], &answers, 77, &row));
}

static struct fp_driver_row response_row(const char *rest)
{
    char data[512];
    struct fp_driver_row row;
    snprintf(data, sizeof data,
             "{\"audience\":\"customer\",\"survey\":\"s\",\"touchpoint\":\"branch_visit\","
             "\"journey\":\"open_account\",\"interaction\":\"i1\",\"scores\":{\"satisfied\":4}%s}",
             rest);
    resolve("response", data);
    const struct fp_answers answers = answers_of_fact();
    cr_assert(fp_fitting_project(&fitting[OPERATIONS], &answers, 0, &row));
    return row;
}

static struct fp_driver_row event_row(const char *measures_text)
{
    char data[512];
    struct fp_driver_row row;
    snprintf(data, sizeof data,
             "{\"touchpoint\":\"branch_visit\",\"journey\":\"open_account\",\"interaction\":\"i1\","
             "\"measures\":%s}",
             measures_text);
    resolve("touchpoint", data);
    cr_assert(fp_fitting_joins(&fitting[OPERATIONS], &fact));
    cr_assert(fp_fitting_event(&fitting[OPERATIONS], &fact, measures, &row));
    return row;
}

Test(fitting, own_measures_go_before_those_of_the_event)
{
    struct fp_driver_row answer = response_row(",\"measures\":{\"wait_s\":60}"),
                         visit = event_row("{\"wait_s\":90,\"duration_s\":12.5}");
    cr_assert(answer.joins);
    cr_expect_eq(memcmp(answer.interaction, visit.interaction, FP_KEY_LEN), 0);
    cr_expect_neq(memcmp(answer.record, visit.record, FP_KEY_LEN), 0);
    cr_assert(fp_driver_join(&fitting[OPERATIONS], &answer, &visit));
    cr_expect_eq(answer.observed, 0xd);
    cr_expect_eq(answer.z[0], 60);
    cr_expect_eq(answer.z[2], 125);
    cr_expect_eq(answer.z[3], 4);
}

Test(fitting, a_join_has_a_window)
{
    struct fp_driver_row answer = response_row(""), before = answer,
                         visit = event_row("{\"wait_s\":90}");
    const int64_t window = 72 * INT64_C(3600000000);
    visit.time_us = answer.time_us - window - 1;
    cr_expect_not(fp_driver_join(&fitting[OPERATIONS], &answer, &visit));
    visit.time_us = answer.time_us + window + 1;
    cr_expect_not(fp_driver_join(&fitting[OPERATIONS], &answer, &visit));
    cr_expect_eq(memcmp(&answer, &before, sizeof answer), 0);
    visit.time_us = answer.time_us - window;
    cr_expect(fp_driver_join(&fitting[OPERATIONS], &answer, &visit));
}

Test(fitting, events_without_measures_of_the_model_are_nothing)
{
    struct fp_driver_row row;
    resolve("touchpoint", "{\"touchpoint\":\"branch_visit\",\"journey\":\"open_account\","
                          "\"interaction\":\"i1\",\"measures\":{\"cost\":3}}");
    cr_expect_not(fp_fitting_event(&fitting[OPERATIONS], &fact, measures, &row));
    resolve("touchpoint", "{\"touchpoint\":\"branch_visit\",\"journey\":\"open_account\","
                          "\"measures\":{\"wait_s\":3}}");
    cr_expect_not(fp_fitting_joins(&fitting[OPERATIONS], &fact), "no interaction");
    resolve("touchpoint", "{\"touchpoint\":\"branch_visit\",\"journey\":\"open_account\","
                          "\"interaction\":\"i\",\"measures\":{\"wait_s\":3}}");
    cr_expect_not(fp_fitting_joins(&fitting[STATED], &fact), "a model without a join window");
}

static bool same(const struct fp_driver_row *a, const struct fp_driver_row *b)
{
    for (uint64_t rest = a->observed; rest; rest &= rest - 1)
        if (a->z[__builtin_ctzll(rest)] != b->z[__builtin_ctzll(rest)])
            return false;
    bool keys = !a->joins || (a->time_us == b->time_us &&
                              memcmp(a->interaction, b->interaction, FP_KEY_LEN) == 0 &&
                              memcmp(a->record, b->record, FP_KEY_LEN) == 0);
    return keys && a->event == b->event && a->sign == b->sign && a->joins == b->joins &&
           a->day == b->day && a->unit == b->unit && a->touchpoint == b->touchpoint &&
           a->journey == b->journey && a->band == b->band && a->group == b->group &&
           a->weight == b->weight && a->observed == b->observed &&
           a->does_not_apply == b->does_not_apply;
}

Test(fitting, rows_come_back_from_the_log)
{
    struct fp_driver_log log = {0};
    struct fp_driver_row row[4], back;
    row[0] = response_row(",\"measures\":{\"wait_s\":30000,\"attempts\":0}");
    row[1] = event_row("{\"wait_s\":0,\"duration_s\":3000.0}");
    row[1].day = row[1].unit = 0;
    row[2] = row[0];
    row[2].sign = -1;
    row[2].joins = false;
    row[2].weight = 100000;
    row[2].group = FP_PANEL_GROUPS - 1;
    row[2].band = FP_BAND_LONGER;
    row[2].day = -3;
    row[2].z[0] = INT64_MIN;
    row[2].z[1] = INT64_MAX;
    row[3] = row[2];
    row[3].does_not_apply = ~row[3].observed & 0xf;
    for (int i = 0; i < 4; i++)
        fp_driver_put(&log, &fitting[OPERATIONS], &row[i]);
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        cr_assert(fp_driver_get(&fitting[OPERATIONS], log.bytes, log.len, &at, &back), "row %d", i);
        cr_expect(same(&row[i], &back), "row %d", i);
    }
    cr_expect_eq(at, log.len);
    cr_expect_not(fp_driver_get(&fitting[OPERATIONS], log.bytes, log.len, &at, &back));
    free(log.bytes);
}

Test(fitting, whole_answers_are_projected_by_who_reads_them)
{
    struct fp_driver_log log = {0};
    struct fp_driver_row row = response_row(",\"measures\":{\"wait_s\":77}"), back;
    struct fp_answers answers = answers_of_fact();
    uint8_t subject[FP_PSEUDONYM_LEN] = {7, 0, 9};
    answers.has_subject = true;
    answers.subject = subject;
    answers.tenure = 5;
    answers.weight = 3;
    row.band = FP_BAND_TO_12;
    row.weight = 3;
    row.journey = 8;
    row.sign = -1;
    fp_driver_put_whole(&log, &answers, 8, -1);
    size_t at = 0, one = log.len;
    cr_assert(fp_driver_get(&fitting[OPERATIONS], log.bytes, log.len, &at, &back));
    cr_expect(same(&row, &back));
    cr_expect_eq(at, one);
    for (size_t len = 1; len < one; len++) {
        at = 0;
        cr_expect_not(fp_driver_get(&fitting[OPERATIONS], log.bytes, len, &at, &back));
        cr_expect_eq(at, 0);
    }
    at = 0; /* of a model with other items: satisfied is none of them */
    cr_expect_not(fp_driver_get(&fitting[2], log.bytes, log.len, &at, &back), "nothing it asks");
    cr_expect_eq(at, one, "but read to the end: it is sound");
    free(log.bytes);
}

Test(fitting, cut_or_broken_bytes_are_no_row)
{
    struct fp_driver_log log = {0};
    struct fp_driver_row row = response_row(",\"measures\":{\"wait_s\":77}"), back;
    fp_driver_put(&log, &fitting[OPERATIONS], &row);
    for (size_t len = 0; len < log.len; len++) {
        uint8_t *exact = malloc(len + 1); /* so that a read past the end is caught */
        memcpy(exact, log.bytes, len);
        size_t at = 0;
        cr_expect_not(fp_driver_get(&fitting[OPERATIONS], exact, len, &at, &back), "%zu bytes",
                      len);
        cr_expect_eq(at, 0);
        free(exact);
    }
    for (size_t i = 0; i < log.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            size_t at = 0;
            log.bytes[i] ^= (uint8_t)(1 << bit);
            if (fp_driver_get(&fitting[OPERATIONS], log.bytes, log.len, &at, &back))
                cr_expect_eq((back.observed | back.does_not_apply) >> 4, 0);
            log.bytes[i] ^= (uint8_t)(1 << bit);
        }
    free(log.bytes);
}

Test(fitting, tenure_bands)
{
    const int months[] = {FP_TENURE_APPLICANT, FP_TENURE_ABSENT, 0, 3, 4, 12, 13, 500};
    const enum fp_tenure_band bands[] = {FP_BAND_APPLICANT, FP_BAND_NONE,  FP_BAND_TO_3,
                                         FP_BAND_TO_3,      FP_BAND_TO_12, FP_BAND_TO_12,
                                         FP_BAND_LONGER,    FP_BAND_LONGER};
    for (size_t i = 0; i < sizeof months / sizeof *months; i++)
        cr_expect_eq(fp_tenure_band(months[i]), bands[i], "%d months", months[i]);
}

Test(fitting, fitted_holds_series_and_journey)
{
    int64_t fitted = fp_fitted_pack(INT32_MAX, INT32_MAX);
    cr_expect_eq(fp_fitted_series(fitted), INT32_MAX);
    cr_expect_eq(fp_fitted_journey(fitted), INT32_MAX);
    fitted = fp_fitted_pack(3, 0);
    cr_expect_eq(fp_fitted_series(fitted), 3);
    cr_expect_eq(fp_fitted_journey(fitted), 0);
}
