/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages against the contract's example model: places, scales, fixed point, buckets,
 * contributions. */
#include "daemon/resolve.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct fp_model *model;
static struct fp_decoder *decoder;
static struct fp_event event;
static struct fp_fact fact;
static struct fp_error err;

static void start(void)
{
    struct fp_problems problems = {0};
    cr_assert_eq(
        fp_model_load(TEST_DATA "/schemas/model/examples/valid/northbank.json", &model, &problems),
        FP_OK, "%s: %s", problems.count ? problems.at[0].path : "",
        problems.count ? problems.at[0].what : "");
    decoder = fp_decoder_new(NULL);
}

static void end(void)
{
    fp_decoder_free(decoder);
    fp_model_release(model);
}

TestSuite(resolve, .init = start, .fini = end);

#define NOW_MS INT64_C(1772449500000) /* 2026-03-02T11:05:00Z */

static enum fp_status resolve(const char *type, const char *time, const char *data,
                              int64_t record_ms)
{
    char text[2048];
    snprintf(
        text, sizeof text,
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/t\",\"type\":\"experience.%s.v1\","
        "\"time\":\"%s\",\"data\":%s}",
        type, time, data);
    struct fp_record record = {
        .topic = "t", .value = text, .len = strlen(text), .timestamp_ms = record_ms};
    cr_assert_eq(fp_decode(decoder, &record, &event, &err), FP_OK, "%s at %s", err.what, err.where);
    return fp_resolve(model, &event, record_ms, &fact, &err);
}

static enum fp_status visit(const char *rest)
{
    char data[1024];
    snprintf(data, sizeof data, "{\"journey\":\"open_account\",\"touchpoint\":\"branch_visit\"%s}",
             rest);
    return resolve("touchpoint", "2026-03-02T11:04:09Z", data, NOW_MS);
}

static enum fp_status answer(const char *scores)
{
    char data[1024];
    snprintf(data, sizeof data,
             "{\"audience\":\"customer\",\"survey\":\"s\",\"journey\":\"open_account\","
             "\"touchpoint\":\"branch_visit\",\"scores\":%s}",
             scores);
    return resolve("response", "2026-03-02T11:04:09Z", data, NOW_MS);
}

static const struct fp_contribution *of(const char *kpi)
{
    for (int i = 0; i < fact.contribution_count; i++)
        if (strcmp(model->kpis[fact.contributions[i].kpi].id, kpi) == 0)
            return &fact.contributions[i];
    return NULL;
}

static void rejected(enum fp_status status, const char *code, const char *where)
{
    cr_assert_eq(status, FP_REJECT);
    cr_assert_str_eq(err.code, code);
    cr_assert_str_eq(err.where, where);
    cr_assert(strlen(err.what) > 10, "says what to do: %s", err.what);
}

Test(resolve, a_measure_counts_for_its_kpis)
{
    cr_assert_eq(visit(",\"measures\":{\"wait_s\":300,\"duration_s\":733.5}"), FP_OK);
    cr_assert_eq(of("helped_soon")->y, 1, "300 is within 300");
    cr_assert_eq(of("wait_p90")->y, 300);
    cr_assert(of("wait_p90")->sketch > 0);
    cr_assert_eq(of("helped_soon")->sketch, -1);
    cr_assert_eq(fact.measure_count, 2);
    cr_assert_eq(fact.amounts[1], 7335, "one decimal");
    cr_assert_eq(visit(",\"measures\":{\"wait_s\":301}"), FP_OK);
    cr_assert_eq(of("helped_soon")->y, 0);
    cr_assert_eq(visit(""), FP_OK);
    cr_assert_eq(fact.contribution_count, 0, "no measure, nothing to count");
}

Test(resolve, outcomes_count_at_their_touchpoint)
{
    const char *failed = "{\"touchpoint\":\"id_check\",\"outcome\":\"failed\"}",
               *fine = "{\"touchpoint\":\"id_check\"}";
    cr_assert_eq(resolve("touchpoint", "2026-03-02T11:04:09Z", failed, NOW_MS), FP_OK);
    cr_assert_eq(of("id_failed")->y, 1);
    cr_assert_eq(resolve("touchpoint", "2026-03-02T11:04:09Z", fine, NOW_MS), FP_OK);
    cr_assert_eq(of("id_failed")->y, 0, "completed is what is not said");
}

Test(resolve, answers_on_their_scale)
{
    cr_assert_eq(answer("{\"recommend\":6,\"satisfied\":6,\"clarity\":null,\"waiting\":\"na\"}"),
                 FP_OK);
    cr_assert_eq(of("nps_open_account")->y, 6);
    cr_assert_eq(of("nps_open_account")->bin, 6);
    cr_assert_eq(fact.scores[1], FP_SCORE_NOT_APPLICABLE, "6 means does not apply on this scale");
    cr_assert_eq(fact.scores[2], FP_SCORE_SKIPPED);
    cr_assert_eq(fact.scores[3], FP_SCORE_NOT_APPLICABLE);
    cr_assert_eq(fact.contribution_count, 1);
}

Test(resolve, a_void_contributes_nothing)
{
    cr_assert_eq(resolve("response", "2026-03-02T11:04:09Z",
                         "{\"audience\":\"customer\",\"survey\":\"s\",\"status\":\"void\","
                         "\"journey\":\"open_account\",\"scores\":{\"recommend\":6}}",
                         NOW_MS),
                 FP_OK);
    cr_assert_eq(fact.contribution_count, 0);
}

Test(resolve, self_assessment_stays_out_of_customer_kpis)
{
    cr_assert_eq(resolve("response", "2026-03-02T11:04:09Z",
                         "{\"audience\":\"internal\",\"survey\":\"s\","
                         "\"journey\":\"open_account\",\"scores\":{\"recommend\":9}}",
                         NOW_MS),
                 FP_OK);
    cr_assert_eq(fact.contribution_count, 0);
}

Test(resolve, faults_name_the_field)
{
    rejected(answer("{\"recommend\":11}"), "out_of_scale", "data.scores.recommend");
    rejected(answer("{\"recommend\":-1}"), "out_of_scale", "data.scores.recommend");
    rejected(answer("{\"recomend\":1}"), "unknown_item", "data.scores.recomend");
    rejected(visit(",\"measures\":{\"wait\":1}"), "unknown_measure", "data.measures.wait");
    rejected(visit(",\"measures\":{\"wait_s\":1.5}"), "too_many_decimals", "data.measures.wait_s");
    rejected(visit(",\"measures\":{\"wait_s\":30001}"), "out_of_range", "data.measures.wait_s");
    rejected(visit(",\"measures\":{\"wait_s\":-1}"), "out_of_range", "data.measures.wait_s");
    rejected(visit(",\"measures\":{\"wait_s\":1e30}"), "out_of_range", "data.measures.wait_s");
}

Test(resolve, time_is_bounded_by_the_records_own_time)
{
    const char *data = "{\"touchpoint\":\"branch_visit\"}";
    cr_assert_eq(resolve("touchpoint", "2026-03-02T12:05:00Z", data, NOW_MS), FP_OK,
                 "just within the hour");
    rejected(resolve("touchpoint", "2026-03-02T12:05:00.001Z", data, NOW_MS), "future", "time");
    cr_assert_eq(resolve("touchpoint", "2099-12-31T23:59:59Z", data, -1), FP_OK,
                 "no record time, no bound but the table's");
    rejected(resolve("touchpoint", "2100-01-01T00:00:00Z", data, -1), "future", "time");
    cr_assert_eq(resolve("touchpoint", "2023-02-26T11:05:00Z", data, NOW_MS), FP_OK,
                 "1100 days back");
    rejected(resolve("touchpoint", "2023-02-26T11:04:59Z", data, NOW_MS), "too_old", "time");
    rejected(resolve("response", "2026-03-02T11:00:00Z",
                     "{\"audience\":\"customer\",\"survey\":\"s\",\"journey\":\"open_account\","
                     "\"submitted_at\":\"2025-01-01T00:00:00Z\"}",
                     NOW_MS),
             "too_old", "data.submitted_at");
    cr_assert_eq(resolve("erasure", "2020-01-01T00:00:00Z", "{\"subject\":\"c\"}", NOW_MS), FP_OK,
                 "an erasure holds for ever");
}

Test(resolve, buckets_follow_utc_hours_and_local_days)
{
    cr_assert_eq(
        resolve("touchpoint", "2026-03-01T23:30:00Z", "{\"touchpoint\":\"branch_visit\"}", NOW_MS),
        FP_OK);
    cr_assert_eq(fact.hour, 492335);
    cr_assert_eq(fact.day, 20514, "already 2 March in Amsterdam");
}

Test(resolve, unknown_places_are_unmapped_not_rejected)
{
    cr_assert_eq(
        resolve("touchpoint", "2026-03-02T11:04:09Z", "{\"touchpoint\":\"moon_base\"}", NOW_MS),
        FP_OK);
    cr_assert_not(fact.mapped);
    cr_assert_eq(visit(""), FP_OK);
    cr_assert(fact.mapped);
}
