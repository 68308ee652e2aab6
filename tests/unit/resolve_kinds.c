/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What messages contribute to KPIs of several items, measures or messages. */
#include "daemon/resolve.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct fp_model *model;
static struct fp_decoder *decoder;
static struct fp_event event;
static struct fp_fact fact;
static struct fp_error err;

static const char text[] =
    "{\"model\": \"flightpath/1\", \"programme\": {\"id\": \"p\", \"time_zone\": "
    "\"Europe/Amsterdam\"},"
    "\"scales\": {\"five\": {\"min\": 1, \"max\": 5, \"not_applicable\": [6]}, "
    "\"ten\": {\"min\": 0, \"max\": 10}},"
    "\"measures\": {\"cost\": {\"decimals\": 2, \"min\": -10, \"max\": 500}, "
    "\"contacts\": {\"min\": 0, \"max\": 20}},"
    "\"journeys\": [{\"id\": \"buy\", \"detailed\": [{\"id\": \"look\", \"touchpoints\": [\"web\", "
    "\"shop\"]}, {\"id\": \"pay\", \"touchpoints\": [\"till\"]}]}, {\"id\": \"work\", "
    "\"audience\": \"employee\"}],"
    "\"touchpoints\": [{\"id\": \"web\"}, {\"id\": \"shop\"}, {\"id\": \"till\"}],"
    "\"items\": ["
    "{\"id\": \"a\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\"},"
    "{\"id\": \"b\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\"},"
    "{\"id\": \"c\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\", "
    "\"direction\": \"lower\"},"
    "{\"id\": \"d\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\"},"
    "{\"id\": \"shop_e\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"five\", "
    "\"touchpoint\": \"shop\"},"
    "{\"id\": \"t1\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"ten\"},"
    "{\"id\": \"t2\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"ten\"},"
    "{\"id\": \"t3\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"ten\"},"
    "{\"id\": \"t4\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"ten\"},"
    "{\"id\": \"t5\", \"kind\": \"driver\", \"metric\": \"mean\", \"scale\": \"ten\"}],"
    "\"kpis\": ["
    "{\"id\": \"index\", \"source\": {\"items\": [\"a\", \"b\", \"c\"]}, \"journey\": \"buy\"},"
    "{\"id\": \"trouble\", \"source\": {\"items\": [\"a\", \"c\"]}, \"direction\": \"lower\"},"
    "{\"id\": \"in_shop\", \"source\": {\"items\": [\"a\", \"shop_e\"]}, \"touchpoint\": \"shop\"},"
    "{\"id\": \"staff\", \"source\": {\"items\": [\"a\", \"b\"]}, \"journey\": \"work\"},"
    "{\"id\": \"cost\", \"source\": {\"measure\": \"cost\", \"per\": \"contacts\"}, "
    "\"journey\": \"buy\", \"grain\": \"hour\"},"
    "{\"id\": \"rate\", \"source\": {\"response_rate\": true}, \"journey\": \"buy\"},"
    "{\"id\": \"till_rate\", \"source\": {\"response_rate\": true}, \"touchpoint\": \"till\"},"
    "{\"id\": \"pulse\", \"source\": {\"response_rate\": \"pulse\"}, \"audience\": \"employee\"},"
    "{\"id\": \"alike\", \"source\": {\"straight_lining\": true}, \"journey\": \"buy\"}]}";

static void start(void)
{
    struct fp_problems problems = {0};
    cr_assert_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_OK, "%s: %s",
                 problems.count ? problems.at[0].path : "",
                 problems.count ? problems.at[0].what : "");
    decoder = fp_decoder_new(NULL);
}

static void end(void)
{
    fp_decoder_free(decoder);
    fp_model_release(model);
}

TestSuite(resolve_kinds, .init = start, .fini = end);

static void resolve(const char *type, const char *data)
{
    char message[2048];
    snprintf(
        message, sizeof message,
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/t\",\"type\":\"experience.%s.v1\","
        "\"time\":\"2026-03-02T11:04:09Z\",\"data\":%s}",
        type, data);
    struct fp_record record = {
        .topic = "t", .value = message, .len = strlen(message), .timestamp_ms = -1};
    cr_assert_eq(fp_decode(decoder, &record, &event, &err), FP_OK, "%s at %s", err.what, err.where);
    cr_assert_eq(fp_resolve(model, &event, -1, &fact, &err), FP_OK, "%s at %s", err.what,
                 err.where);
}

static void answer(const char *audience, const char *place, const char *scores)
{
    char data[1024];
    snprintf(data, sizeof data,
             "{\"audience\":\"%s\",\"survey\":\"s\",\"journey\":\"%s\",\"scores\":{%s}}", audience,
             place, scores);
    resolve("response", data);
}

static const struct fp_contribution *of(const char *kpi)
{
    const struct fp_contribution *found = NULL;
    for (int i = 0; i < fact.contribution_count; i++)
        if (strcmp(model->kpis[fact.contributions[i].kpi].id, kpi) == 0) {
            cr_expect_null(found, "%s counts once", kpi);
            found = &fact.contributions[i];
        }
    return found;
}

static void expect_pair(const char *kpi, int64_t x, int64_t y)
{
    const struct fp_contribution *c = of(kpi);
    cr_assert_not_null(c, "%s counts it", kpi);
    cr_expect_eq(c->adds, FP_ADDS_PAIR);
    cr_expect_eq(c->y, x, "%s: %d", kpi, (int)c->y);
    cr_expect_eq(c->per, y, "%s: %d", kpi, (int)c->per);
    cr_expect_eq(c->bin, -1);
    cr_expect_eq(c->sketch, -1);
}

/* ---- index ----------------------------------------------------------------------------------- */

Test(resolve_kinds, an_index_sums_its_answers)
{
    answer("customer", "buy", "\"a\":4,\"b\":5,\"c\":2,\"d\":1");
    expect_pair("index", 4 + 5 + (1 + 5 - 2), 3);
    expect_pair("trouble", (1 + 5 - 4) + 2, 2);
    cr_assert_null(of("staff"), "of employees");
}

Test(resolve_kinds, half_of_the_items_is_enough)
{
    answer("customer", "buy", "\"c\":2,\"b\":5");
    expect_pair("index", 4 + 5, 2);
    expect_pair("trouble", 2, 1);
    answer("customer", "buy", "\"b\":5");
    cr_assert_null(of("index"), "one of three is less than half");
    answer("customer", "buy", "\"a\":null,\"b\":5,\"c\":\"na\"");
    cr_assert_null(of("index"));
    cr_assert_null(of("trouble"), "no answer at all");
    answer("customer", "buy", "\"a\":6,\"b\":5,\"c\":1");
    expect_pair("index", 10, 2); /* 6 says that it does not apply */
}

Test(resolve_kinds, an_index_counts_where_its_items_do)
{
    answer("customer", "buy", "\"a\":4,\"shop_e\":3");
    expect_pair("in_shop", 3, 1); /* only the item that counts at the shop */
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"touchpoint\":\"shop\","
                        "\"scores\":{\"a\":4,\"shop_e\":3}}");
    expect_pair("in_shop", 7, 2);
    answer("employee", "work", "\"a\":4,\"b\":1");
    expect_pair("staff", 5, 2);
    cr_assert_null(of("index"));
    cr_assert_null(of("trouble"), "of customers, as no journey says otherwise");
}

/* ---- ratio ----------------------------------------------------------------------------------- */

Test(resolve_kinds, a_ratio_takes_events_with_both)
{
    resolve("touchpoint", "{\"touchpoint\":\"till\",\"measures\":{\"contacts\":3,\"cost\":-7.5}}");
    expect_pair("cost", -750, 3);
    resolve("touchpoint", "{\"touchpoint\":\"till\",\"measures\":{\"contacts\":0,\"cost\":2}}");
    expect_pair("cost", 200, 0);
    resolve("touchpoint", "{\"touchpoint\":\"till\",\"measures\":{\"cost\":2}}");
    cr_assert_eq(fact.contribution_count, 0);
    resolve("touchpoint", "{\"touchpoint\":\"till\",\"measures\":{\"contacts\":2}}");
    cr_assert_eq(fact.contribution_count, 0);
    resolve("touchpoint", "{\"journey\":\"work\",\"measures\":{\"contacts\":2,\"cost\":2}}");
    cr_assert_eq(fact.contribution_count, 0, "elsewhere");
}

/* ---- response rate --------------------------------------------------------------------------- */

static void expect_invited(const char *kpi)
{
    const struct fp_contribution *c = of(kpi);
    cr_assert_not_null(c, "%s", kpi);
    cr_expect_eq(c->adds, FP_ADDS_PLAIN);
    cr_expect_eq(c->y, 0);
}

static void expect_responded(const char *kpi)
{
    const struct fp_contribution *c = of(kpi);
    cr_assert_not_null(c, "%s", kpi);
    cr_expect_eq(c->adds, FP_ADDS_NUMERATOR);
    cr_expect_eq(c->y, 1);
}

Test(resolve_kinds, invitations_count_in_scope)
{
    resolve("invitation", "{\"survey\":\"s\",\"touchpoint\":\"till\"}");
    expect_invited("rate");
    expect_invited("till_rate");
    cr_assert_null(of("pulse"), "another survey");
    cr_assert_eq(fact.contribution_count, 2);
    resolve("invitation", "{\"survey\":\"s\",\"journey\":\"buy\"}");
    expect_invited("rate");
    cr_assert_eq(fact.contribution_count, 1);
    resolve("invitation", "{\"survey\":\"s\",\"journey\":\"work\"}");
    cr_assert_eq(fact.contribution_count, 0, "employees, of no survey that a KPI names");
    resolve("invitation", "{\"survey\":\"pulse\"}");
    expect_invited("pulse"); /* the survey says that it is for employees */
    cr_assert_eq(fact.contribution_count, 1);
}

Test(resolve_kinds, responses_count_in_scope)
{
    answer("customer", "buy", "");
    expect_responded("rate");
    cr_assert_eq(fact.contribution_count, 1);
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"touchpoint\":\"till\","
                        "\"status\":\"partial\",\"weight\":0,\"scores\":{\"a\":1}}");
    expect_responded("till_rate");
    expect_responded("rate");
    answer("internal", "buy", "\"a\":1");
    cr_assert_null(of("rate"), "nobody invited them");
    resolve("response", "{\"audience\":\"employee\",\"survey\":\"pulse\",\"journey\":\"work\","
                        "\"scores\":{}}");
    expect_responded("pulse");
    answer("employee", "work", "\"a\":1,\"b\":1");
    cr_assert_null(of("pulse"), "another survey");
    resolve("response", "{\"audience\":\"customer\",\"survey\":\"s\",\"touchpoint\":\"till\","
                        "\"status\":\"void\",\"revision\":2}");
    cr_assert_eq(fact.contribution_count, 0);
}

/* ---- straight-lining ------------------------------------------------------------------------- */

static void expect_alike(const char *scores, int hit)
{
    answer("customer", "buy", scores);
    const struct fp_contribution *c = of("alike");
    if (hit < 0) {
        cr_expect_null(c, "%s is not judged", scores);
        return;
    }
    cr_assert_not_null(c, "%s is judged", scores);
    cr_expect_eq(c->y, hit, "%s", scores);
    cr_expect_eq(c->adds, FP_ADDS_PLAIN);
    cr_expect_eq(c->bin, -1);
}

Test(resolve_kinds, answers_that_are_all_alike)
{
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":3", 1);
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":4", 0);
    expect_alike("\"a\":3,\"b\":3,\"c\":3", -1);
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":null", -1);
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":6", -1); /* does not apply */
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"shop_e\":3,\"d\":null", 1);
    expect_alike("\"a\":3,\"b\":3,\"t1\":3,\"t2\":3", -1); /* two scales */
    answer("employee", "work", "\"a\":3,\"b\":3,\"c\":3,\"d\":3");
    cr_assert_null(of("alike"), "of customers");
}

Test(resolve_kinds, the_scale_with_most_answers_decides)
{
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":3,\"t1\":1,\"t2\":2,\"t3\":3", 1);
    expect_alike("\"t1\":1,\"a\":3,\"t2\":2,\"b\":3,\"t3\":3,\"c\":3,\"t4\":1,\"d\":3,\"t5\":2", 0);
    /* as many: "five" comes before "ten", whichever was answered first */
    expect_alike("\"t1\":1,\"t2\":2,\"t3\":3,\"t4\":4,\"a\":3,\"b\":3,\"c\":3,\"d\":3", 1);
    expect_alike("\"a\":3,\"b\":3,\"c\":3,\"d\":3,\"t1\":1,\"t2\":2,\"t3\":3,\"t4\":4", 1);
    expect_alike("\"t1\":7,\"t2\":7,\"t3\":7,\"t4\":7,\"a\":3,\"b\":3,\"c\":3,\"d\":2", 0);
}
