/* SPDX-License-Identifier: GPL-3.0-or-later */
/* KPIs made of several items, measures or messages; external benchmarks; the calendar. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "daemon/model.h"
#include "daemon/resolve.h"
#include "tests/unit/model_text.h"

static struct fp_timezone *zone; /* held: a zone in use is not scanned again for each model */

static void setup(void)
{
    zone = fp_timezone_new("Europe/Amsterdam");
}

static void teardown(void)
{
    fp_timezone_free(zone);
}

TestSuite(model_kinds, .init = setup, .fini = teardown);

static struct fp_model *parse(const char *text)
{
    struct fp_model *model = NULL;
    struct fp_problems problems = {0};
    cr_assert_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_OK, "%s: %s",
                 problems.count ? problems.at[0].path : "",
                 problems.count ? problems.at[0].what : "");
    fp_problems_free(&problems);
    return model;
}

static struct fp_model *with(const char *from, const char *to)
{
    char *text = model_text_with(from, to);
    cr_assert_not_null(text, "no such text: %s", from);
    struct fp_model *model = parse(text);
    free(text);
    return model;
}

static const struct fp_kpi *kpi(const struct fp_model *model, const char *id)
{
    return &model->kpis[fp_model_find(model, FP_KIND_KPI, fp_slice_of(id))];
}

/* ---- what is read ---------------------------------------------------------------------------- */

#define ENGAGED "{ \"item\": \"engaged\" }, \"journey\": \"work\", \"target\": 4"
#define P90 "{ \"measure\": \"wait_s\", \"quantile\": 0.9 }"

Test(model_kinds, an_index)
{
    struct fp_model *model =
        with(ENGAGED, "{ \"items\": [\"keeps_word\", \"effort\", \"engaged\"] }, \"journey\": "
                      "\"work\", \"target\": 4");
    const struct fp_kpi *index = kpi(model, "engagement");
    cr_assert_eq(index->source, FP_SOURCE_INDEX);
    cr_assert_eq(index->item, FP_NONE);
    cr_assert_eq(index->item_count, 3);
    const char *sorted[] = {"effort", "engaged", "keeps_word"};
    for (int i = 0; i < 3; i++)
        cr_expect_str_eq(model->items[index->items[i]].id, sorted[i]);
    cr_expect_eq(index->audience, FP_AUDIENCE_EMPLOYEE);
    cr_expect_eq(index->direction, FP_HIGHER_IS_BETTER);
    cr_expect_eq(index->grain, FP_GRAIN_DAY);
    cr_expect_str_eq(fp_kpi_metric(model, index), "index");
    cr_expect_eq(fp_kpi_decimals(model, index), 0);
    cr_expect_eq(fp_kpi_scale(model, index)->max, 5);
    cr_expect(fp_kpi_of_answers(index));
    cr_expect_not(fp_kpi_of_events(index));
    fp_model_release(model);
}

Test(model_kinds, a_ratio)
{
    struct fp_model *model = with(P90, "{ \"measure\": \"cost\", \"per\": \"wait_s\" }");
    const struct fp_kpi *ratio = kpi(model, "p90");
    cr_assert_eq(ratio->source, FP_SOURCE_MEASURE_PER);
    cr_expect_str_eq(model->measures[ratio->measure].id, "cost");
    cr_expect_str_eq(model->measures[ratio->per].id, "wait_s");
    cr_expect_str_eq(fp_kpi_metric(model, ratio), "ratio");
    cr_expect_eq(fp_kpi_decimals(model, ratio), 1, "two decimals over one");
    cr_expect_null(fp_kpi_scale(model, ratio));
    cr_expect_eq(ratio->direction, FP_LOWER_IS_BETTER, "as the measure above the line");
    cr_expect(fp_kpi_of_events(ratio));
    fp_model_release(model);
}

Test(model_kinds, a_response_rate)
{
    struct fp_model *any =
        with(ENGAGED, "{ \"response_rate\": true }, \"journey\": \"work\", \"target\": 0.4");
    cr_expect_eq(kpi(any, "engagement")->source, FP_SOURCE_RESPONSE_RATE);
    cr_expect_null(kpi(any, "engagement")->survey);
    cr_expect_str_eq(fp_kpi_metric(any, kpi(any, "engagement")), "response_rate");
    cr_expect_not(fp_kpi_of_answers(kpi(any, "engagement")));
    cr_expect_not(fp_kpi_of_events(kpi(any, "engagement")));
    struct fp_model *one =
        with(ENGAGED, "{ \"response_rate\": \"pulse 7\" }, \"journey\": \"work\", \"target\": 0.4");
    cr_expect_str_eq(kpi(one, "engagement")->survey, "pulse 7");
    cr_expect_str_neq(kpi(one, "engagement")->definition, kpi(any, "engagement")->definition);
    int count;
    cr_expect_eq(fp_model_response_kpis(one, &count)[0], 5);
    cr_expect_eq(count, 1);
    fp_model_release(any);
    fp_model_release(one);
}

Test(model_kinds, straight_lining)
{
    struct fp_model *model =
        with(ENGAGED, "{ \"straight_lining\": true }, \"journey\": \"work\", \"target\": 0.04");
    const struct fp_kpi *alike = kpi(model, "engagement");
    cr_expect_eq(alike->source, FP_SOURCE_STRAIGHT_LINING);
    cr_expect_eq(alike->direction, FP_LOWER_IS_BETTER);
    cr_expect_str_eq(fp_kpi_metric(model, alike), "share");
    cr_expect(fp_kpi_of_answers(alike));
    fp_model_release(model);
}

Test(model_kinds, a_benchmark_from_elsewhere)
{
    struct fp_model *none = parse(model_text);
    struct fp_model *model =
        with(ENGAGED, ENGAGED ", \"benchmark\": { \"value\": 3.9, \"sd\": 0.7, \"n\": 800, "
                              "\"source\": \"Panel 2025\", \"until\": \"1970-01-11\" }");
    const struct fp_external_benchmark *b = &kpi(model, "engagement")->benchmark;
    cr_assert(b->present);
    cr_expect_eq(b->value, 3.9);
    cr_expect_eq(b->sd, 0.7);
    cr_expect_eq(b->n, 800);
    cr_expect_str_eq(b->source, "Panel 2025");
    cr_expect_eq(b->from, INT32_MIN);
    cr_expect_eq(b->until, 10);
    cr_expect_str_eq(kpi(model, "engagement")->definition, kpi(none, "engagement")->definition,
                     "what others reach does not decide our numbers");
    cr_expect_not(kpi(model, "nps")->benchmark.present);
    struct fp_model *bare = with(
        ENGAGED, ENGAGED ", \"benchmark\": { \"value\": 5, \"source\": \"the scale's own end\" }");
    cr_expect(isnan(kpi(bare, "engagement")->benchmark.sd));
    cr_expect(isnan(kpi(bare, "engagement")->benchmark.n));
    cr_expect_eq(kpi(bare, "engagement")->benchmark.until, INT32_MAX);
    fp_model_release(none);
    fp_model_release(model);
    fp_model_release(bare);
}

Test(model_kinds, the_calendar)
{
    struct fp_model *model = parse(model_text);
    cr_assert_eq(model->calendar_count, 1);
    cr_expect_eq(model->calendar[0].from, 20570, "2026-04-27");
    cr_expect_eq(model->calendar[0].until, 20571);
    cr_expect_str_eq(model->calendar[0].text, "King's Day");
    struct fp_model *none = with(", \"calendar\": [ { \"from\": \"2026-04-27\", \"to\": "
                                 "\"2026-04-28\", \"text\": \"King's Day\" } ]",
                                 "");
    cr_expect_eq(none->calendar_count, 0);
    fp_model_release(model);
    fp_model_release(none);
}

/* ---- definitions ----------------------------------------------------------------------------- */

static void definition(const char *from, const char *to, char hex[FP_HASH_HEX])
{
    struct fp_model *model = with(from, to);
    strcpy(hex, kpi(model, "engagement")->definition);
    fp_model_release(model);
}

#define INDEX(items, more) "{ \"items\": [" items "] }, \"journey\": \"work\", \"target\": 4" more

Test(model_kinds, what_decides_an_index)
{
    char plain[FP_HASH_HEX], other[FP_HASH_HEX];
    definition(ENGAGED, INDEX("\"engaged\", \"effort\"", ""), plain);
    definition(ENGAGED, INDEX("\"effort\", \"engaged\"", ""), other);
    cr_expect_str_eq(plain, other, "the order of items means nothing");
    definition(ENGAGED, INDEX("\"effort\", \"engaged\"", ", \"good_enough\": 3"), other);
    cr_expect_str_eq(plain, other, "nor does a target");
    definition(ENGAGED, INDEX("\"effort\", \"engaged\", \"keeps_word\"", ""), other);
    cr_expect_str_neq(plain, other, "an item more");
    definition(ENGAGED, INDEX("\"effort\", \"engaged\"", ", \"direction\": \"lower\""), other);
    cr_expect_str_neq(plain, other, "turned answers");
    definition(ENGAGED, ENGAGED, other);
    cr_expect_str_neq(plain, other, "an item alone");
}

/* Known by heart: a series that exists goes on, whatever else a model can say. */
Test(model_kinds, definitions_of_the_plain_kinds_stand)
{
    static const struct {
        const char *kpi, *begins;
    } known[] = {{"nps", "5fad2358b9c7"},        {"soon", "3a1f22e6877e"},
                 {"p90", "787685a8012e"},        {"mean_wait", "fcbed02212df"},
                 {"failed", "667e257e386b"},     {"engagement", "d90a291e4cf4"},
                 {"happy_visit", "b962ad52fe94"}};
    struct fp_model *model = parse(model_text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        cr_expect_eq(strncmp(kpi(model, known[i].kpi)->definition, known[i].begins, 12), 0,
                     "%s is %s", known[i].kpi, kpi(model, known[i].kpi)->definition);
    fp_model_release(model);
}

/* ---- problems -------------------------------------------------------------------------------- */

struct spoiled {
    const char *from, *to;
    const char *path, *what, *hint;
};

static void expect_only(const struct spoiled *wanted, const char *text)
{
    struct fp_model *model = (void *)1;
    struct fp_problems problems = {0};
    cr_assert_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_REJECT, "%s",
                 wanted->to);
    for (int i = 0; i < problems.count; i++) {
        const struct fp_problem *p = &problems.at[i];
        cr_expect(strcmp(p->path, wanted->path) == 0 && strstr(p->what, wanted->what) &&
                      strstr(p->hint, wanted->hint),
                  "%s: %s | %s | %s", wanted->to, p->path, p->what, p->hint);
    }
    cr_expect_eq(problems.count, 1, "%s: %d problems", wanted->to, problems.count);
    fp_problems_free(&problems);
}

static void expect_all(const struct spoiled *spoiled, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *text = model_text_with(spoiled[i].from, spoiled[i].to);
        cr_assert_not_null(text, "no such text: %s", spoiled[i].from);
        expect_only(&spoiled[i], text);
        free(text);
    }
}
#define EXPECT_ALL(table) expect_all(table, sizeof(table) / sizeof *(table))

#define HAPPY \
    "{ \"item\": \"satisfied\" }, \"touchpoint\": \"visit\", \"grain\": \"hour\", \"target\": 0.8"

Test(model_kinds, problems_of_an_index)
{
    static const struct spoiled table[] = {
        {ENGAGED, INDEX("\"engaged\"", ""), "$.kpis[5].source.items", "at least two items",
         "{\"item\": …}"},
        {ENGAGED, INDEX("\"engaged\", \"engaged\"", ""), "$.kpis[5].source.items[1]", "named twice",
         "remove it"},
        {ENGAGED, INDEX("\"engaged\", \"engagd\"", ""), "$.kpis[5].source.items[1]", "unknown item",
         "did you mean \"engaged\""},
        {ENGAGED, INDEX("\"engaged\", \"recommend\"", ""), "$.kpis[5].source.items",
         "on the scale \"five\", \"recommend\" on \"ten\"", "an index per scale"},
        {ENGAGED, INDEX("\"engaged\", \"effort\"", "0"), "$.kpis[5].target",
         "40 is outside the items' scale, 1 to 5", ""},
        {ENGAGED, "{ \"items\": \"engaged\" }, \"journey\": \"work\"", "$.kpis[5].source.items",
         "must be an array", ""},
        {HAPPY, "{ \"items\": [\"satisfied\", \"clarity\"] }, \"touchpoint\": \"visit\"",
         "$.kpis[6].touchpoint", "the item \"clarity\" counts at \"id_check\"", "remove it"},
        {HAPPY, "{ \"items\": [\"effort\", \"clarity\", \"satisfied\"] }, \"journey\": \"use\"",
         "$.kpis[6].journey", "\"id_check\" is no part of the journey \"use\"", "add it"},
        {HAPPY, "{ \"items\": [\"effort\", \"engaged\"], \"item\": \"effort\" }",
         "$.kpis[6].source", "exactly one of", "counts one thing"},
    };
    EXPECT_ALL(table);
}

Test(model_kinds, problems_of_a_ratio)
{
    static const struct spoiled table[] = {
        {P90, "{ \"measure\": \"wait_s\", \"per\": \"wait_s\" }", "$.kpis[2].source.per",
         "always 1", "another measure"},
        {P90, "{ \"measure\": \"wait_s\", \"per\": \"cost\" }", "$.kpis[2].source.per",
         "\"cost\" can be negative", "\"min\" to 0"},
        {P90, "{ \"measure\": \"cost\", \"per\": \"recommend\" }", "$.kpis[2].source.per",
         "unknown measure", "\"recommend\" is a item"},
        {P90, "{ \"measure\": \"cost\", \"per\": \"wait_s\", \"quantile\": 0.5 }",
         "$.kpis[2].source", "at most one of \"within\", \"quantile\" and \"per\"", "two KPIs"},
        {HAPPY, "{ \"outcome\": \"completed\", \"per\": \"wait_s\" }", "$.kpis[6].source",
         "are of a measure", "add \"measure\""},
    };
    EXPECT_ALL(table);
}

Test(model_kinds, problems_of_a_response_rate)
{
    static const struct spoiled table[] = {
        {HAPPY, "{ \"response_rate\": false }", "$.kpis[6].source.response_rate", "counts nothing",
         "name of one"},
        {HAPPY, "{ \"response_rate\": \"\" }", "$.kpis[6].source.response_rate", "not empty", ""},
        {HAPPY, "{ \"response_rate\": 1 }", "$.kpis[6].source.response_rate",
         "must be true or the name of a survey", ""},
        {HAPPY, "{ \"response_rate\": true }, \"audience\": \"internal\"", "$.kpis[6].source",
         "do not say that they are internal", "name the survey"},
        {HAPPY, "{ \"response_rate\": true }, \"journey\": \"settling\"", "$.kpis[6].journey",
         "invitations have no tenure", "main journey"},
        {HAPPY, "{ \"response_rate\": true }, \"target\": 30", "$.kpis[6].target",
         "outside a share", "write 0.3"},
    };
    EXPECT_ALL(table);
}

Test(model_kinds, problems_of_straight_lining)
{
    static const struct spoiled table[] = {
        {HAPPY, "{ \"straight_lining\": false }", "$.kpis[6].source.straight_lining",
         "counts nothing", "write true"},
        {HAPPY, "{ \"straight_lining\": \"yes\" }", "$.kpis[6].source.straight_lining",
         "must be true or false", ""},
    };
    EXPECT_ALL(table);
}

Test(model_kinds, problems_of_a_benchmark)
{
#define BENCHMARK(members) ENGAGED ", \"benchmark\": { " members " }"
    static const struct spoiled table[] = {
        {ENGAGED, BENCHMARK("\"value\": 7, \"source\": \"x\""), "$.kpis[5].benchmark.value",
         "7 is outside the item's scale, 1 to 5", ""},
        {ENGAGED, BENCHMARK("\"source\": \"x\""), "$.kpis[5].benchmark.value", "missing", "add it"},
        {ENGAGED, BENCHMARK("\"value\": 4"), "$.kpis[5].benchmark.source", "missing", "add it"},
        {ENGAGED, BENCHMARK("\"value\": 4, \"source\": \"\""), "$.kpis[5].benchmark.source",
         "unknown origin", "who published it"},
        {ENGAGED, BENCHMARK("\"value\": 4, \"source\": \"x\", \"sd\": -0.1"),
         "$.kpis[5].benchmark.sd", "outside", ""},
        {ENGAGED, BENCHMARK("\"value\": 4, \"source\": \"x\", \"n\": 0"), "$.kpis[5].benchmark.n",
         "outside", ""},
        {ENGAGED, BENCHMARK("\"value\": 4, \"source\": \"x\", \"from\": \"2026-13-01\""),
         "$.kpis[5].benchmark.from", "not a date", ""},
        {ENGAGED,
         BENCHMARK("\"value\": 4, \"source\": \"x\", \"from\": \"2026-02-02\", "
                   "\"until\": \"2026-02-01\""),
         "$.kpis[5].benchmark.until", "ends before it begins", "swap"},
        {ENGAGED, BENCHMARK("\"value\": 4, \"source\": \"x\", \"year\": 2025"),
         "$.kpis[5].benchmark.year", "unknown key", ""},
    };
    EXPECT_ALL(table);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* A model of `items` items on one scale, and KPIs: an index over them, `more` times. */
static char *large(int items, int min, int max, const char *source, int more)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    fprintf(out,
            "{\"model\": \"flightpath/1\", \"programme\": {\"id\": \"p\", \"time_zone\": "
            "\"Europe/Amsterdam\"}, \"scales\": {\"s\": {\"min\": %d, \"max\": %d}}, \"items\": [",
            min, max);
    for (int i = 0; i < items; i++)
        fprintf(out,
                "%s{\"id\": \"i%d\", \"kind\": \"driver\", \"metric\": \"mean\", "
                "\"scale\": \"s\"}",
                i ? ", " : "", i);
    fputs("], \"kpis\": [", out);
    for (int k = 0; k < more; k++) {
        fprintf(out, "%s{\"id\": \"k%d\", \"source\": ", k ? ", " : "", k);
        if (source)
            fputs(source, out);
        else
            fputs("{\"items\": [", out);
        for (int i = 0; source == NULL && i < items; i++)
            fprintf(out, "%s\"i%d\"", i ? ", " : "", i);
        fputs(source ? "}" : "]}}", out);
    }
    fputs("]}", out);
    fclose(out);
    return text;
}

Test(model_kinds, sums_of_an_index_fit_where_they_are_kept)
{
    struct spoiled wide = {.path = "$.kpis[0].source.items",
                           .what = "4 items of up to 9000 points sum to more than 32767",
                           .hint = "fewer items"};
    char *text = large(4, 8000, 9000, NULL, 1);
    expect_only(&wide, text);
    free(text);
    struct spoiled below = {
        .path = "$.kpis[0].source.items", .what = "sum to more than 32767", .hint = ""};
    text = large(4, -9000, -8000, NULL, 1);
    expect_only(&below, text);
    free(text);
    struct spoiled many = {.path = "$.kpis[0].source.items",
                           .what = "at most 64 answers, not 65",
                           .hint = "several indices"};
    text = large(65, 1, 5, NULL, 1);
    expect_only(&many, text);
    free(text);
    text = large(64, 1, 5, NULL, 1);
    fp_model_release(parse(text));
    free(text);
    text = large(3, 9000, 10000, NULL, 1);
    fp_model_release(parse(text));
    free(text);
}

Test(model_kinds, straight_lining_needs_a_scale_of_four_items)
{
    struct spoiled few = {
        .path = "$.kpis[0].source.straight_lining", .what = "no scale has 4", .hint = "remove"};
    char *text = large(3, 1, 5, "{\"straight_lining\": true}", 1);
    expect_only(&few, text);
    free(text);
    text = large(4, 1, 5, "{\"straight_lining\": true}", 1);
    fp_model_release(parse(text));
    free(text);
}

/* A response adds one to each KPI of responses as a whole; more than a message may add are refused.
 */
Test(model_kinds, kpis_at_once_are_limited)
{
    const char *const sources[] = {"{\"straight_lining\": true}", "{\"response_rate\": true}",
                                   "{\"items\": [\"i0\", \"i1\"]}"};
    for (int i = 0; i < 3; i++) {
        char *text = large(4, 1, 5, sources[i], FP_CONTRIBUTIONS_MAX);
        fp_model_release(parse(text));
        free(text);
        struct spoiled more = {
            .path = "$.kpis", .what = "could count in 257 KPIs", .hint = "scope", .to = sources[i]};
        text = large(4, 1, 5, sources[i], FP_CONTRIBUTIONS_MAX + 1);
        expect_only(&more, text);
        free(text);
    }
}
