/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every kind of problem, provoked by one change to a sound model: its path, what and hint. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "daemon/model.h"
#include "tests/unit/model_text.h"

/* Held while the tests run: a zone in use is not scanned again for each model. */
static struct fp_timezone *zone;

static void setup(void)
{
    zone = fp_timezone_new("Europe/Amsterdam");
}

static void teardown(void)
{
    fp_timezone_free(zone);
}

TestSuite(model_problems, .init = setup, .fini = teardown);

struct spoiled {
    const char *from, *to; /* the change */
    const char *path, *what, *hint;
};

static bool reported(const struct fp_problems *problems, const struct spoiled *wanted)
{
    for (int i = 0; i < problems->count; i++) {
        const struct fp_problem *p = &problems->at[i];
        if (strcmp(p->path, wanted->path) == 0 && strstr(p->what, wanted->what) &&
            strstr(p->hint, wanted->hint))
            return true;
    }
    return false;
}

static void expect_only(const struct spoiled *wanted, const char *text)
{
    struct fp_model *model = (void *)1;
    struct fp_problems problems = {0};
    cr_expect_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_REJECT, "%s → %s",
                 wanted->from, wanted->to);
    cr_expect_null(model);
    cr_expect(reported(&problems, wanted), "%s → %s: got %s | %s | %s", wanted->from, wanted->to,
              problems.count ? problems.at[0].path : "nothing",
              problems.count ? problems.at[0].what : "", problems.count ? problems.at[0].hint : "");
    for (int i = 1; i < problems.count; i++)
        cr_expect_fail("%s → %s: also %s | %s", wanted->from, wanted->to, problems.at[i].path,
                       problems.at[i].what);
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

Test(model_problems, json)
{
    static const struct spoiled table[] = {
        {"\"id\": \"bank\"", "\"id\": \"bank\",,", "$", "line 3, column ", ""},
        {"\"bank\"", "\"ba\xff\"", "$", "not valid UTF-8", ""},
        {"\"bank\"", "\"ba\xed\xa0\x80\"", "$", "not valid UTF-8", ""},
        {"\"bank\"", "\"ba\xc0\xaf\"", "$", "not valid UTF-8", ""},
        {"\"bank\"", "\"ba\xf4\x90\x80\x80\"", "$", "not valid UTF-8", ""},
        {"\"bank\"", "\"ba\xe2\x82\"", "$", "not valid UTF-8", ""},
        {"\"The Bank\"", "\"The\nBank\"", "$", "control character", ""},
        {"\"The Bank\"", "\"The\\u0000Bank\"", "$", "\\u0000", ""},
        {"\"The Bank\"", "\"\\ud800\"", "$", "not valid JSON", ""},
        {"\"min\": 0", "\"min\": 00", "$", "not a JSON number", ""},
        {"\"min\": 0", "\"min\": .5", "$", "not valid JSON", ""},
        {"\"min\": 0", "\"min\": 1.", "$", "not a JSON number", ""},
        {"\"min\": 0", "\"min\": 1e", "$", "not a JSON number", ""},
        {"\"min\": 0", "\"min\": 1e999", "$", "too large", ""},
        {"\"units\": 50 }\n}\n", "\"units\": 50 }\n} {}", "$", "after the end", ""},
        {"\"units\": 50 }\n}\n", "\"units\": 50 }\n}\n\v", "$", "only strings", ""},
        {"\"units\": 50 }\n}\n", "\"units\": 50, \"x_a\": \"open", "$", "never closed", ""},
        {"\"units\": 50", "\"units\": 50, \"units\": 50", "$.limits.units", "comes twice", "keep"},
        {"\"three\": {", "\"x_deep\": {}, \"three\": { \"x\": 1, \"x\": 2, ", "$.scales.three.x",
         "comes twice", ""},
        {"\"limits\": { \"units\": 50 }",
         "\"x_deep\": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "$",
         "nested more than 32", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *text = model_text_with(table[i].from, table[i].to);
        cr_assert_not_null(text);
        struct fp_model *model;
        struct fp_problems problems = {0};
        cr_expect_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_REJECT);
        cr_expect(reported(&problems, &table[i]), "%s: got %s | %s", table[i].to,
                  problems.count ? problems.at[0].path : "nothing",
                  problems.count ? problems.at[0].what : "");
        fp_problems_free(&problems);
        free(text);
    }
}

Test(model_problems, bounds_of_the_file)
{
    static const struct spoiled empty = {"", "", "$", "not valid JSON", ""};
    static const struct spoiled list = {"", "[]", "$", "must be an object", ""};
    static const struct spoiled nul = {"", "", "$", "only strings", ""};
    expect_only(&empty, "");
    expect_only(&list, "[]");
    struct fp_model *model;
    struct fp_problems problems = {0};
    cr_expect_eq(fp_model_parse("{}\0", 3, &model, &problems), FP_REJECT);
    cr_expect(reported(&problems, &nul));
    fp_problems_free(&problems);

    size_t size = (size_t)8 * 1024 * 1024 + 1;
    char *large = malloc(size);
    memset(large, ' ', size);
    static const struct spoiled too_large = {"", "", "$", "8388609 bytes", ""};
    cr_expect_eq(fp_model_parse(large, size, &model, &problems), FP_REJECT);
    cr_expect(reported(&problems, &too_large));
    fp_problems_free(&problems);
    cr_expect_eq(fp_model_parse(large, size - 1, &model, &problems), FP_REJECT);
    cr_expect(reported(&problems, &empty));
    fp_problems_free(&problems);
    free(large);

    static const struct spoiled missing = {"", "", "$", "cannot read", "check the path"};
    cr_expect_eq(fp_model_load("/nonexistent/model.json", &model, &problems), FP_REJECT);
    cr_expect(reported(&problems, &missing));
    fp_problems_free(&problems);
}

Test(model_problems, shape)
{
    static const struct spoiled table[] = {
        {"\"alerts\"", "\"alrts\"", "$.alrts", "unknown key", "\"alerts\""},
        {"\"limits\"", "\"something_else\"", "$.something_else", "unknown key", "x_"},
        {"\"flightpath/1\"", "\"flightpath/2\"", "$.model", "not known here", "flightpath/1"},
        {"\"model\": \"flightpath/1\",", "", "$.model", "missing", "add it"},
        {"\"time_zone\": \"Europe/Amsterdam\",", "", "$.programme.time_zone", "missing", ""},
        {"\"good_enough\": 0.85", "\"good_enuf\": 0.85", "$.kpis[1].good_enuf", "unknown key",
         "\"good_enough\""},
        {"\"target\": 40", "\"target\": \"40\"", "$.kpis[0].target", "must be a number",
         "without quotes"},
        {"\"target\": 40", "\"target\": null", "$.kpis[0].target", "not null", "leave the key out"},
        {"\"window_days\": 90", "\"window_days\": 90.5", "$.driver_models[0].window_days",
         "whole number", ""},
        {"\"window_days\": 90", "\"window_days\": 0", "$.driver_models[0].window_days",
         "outside 1 to", ""},
        {"\"role\": \"output\"", "\"role\": \"outptu\"", "$.kpis[0].role", "not known",
         "\"output\""},
        {"\"grain\": \"day\"", "\"grain\": \"month\"", "$.kpis[2].grain", "not known", "hour/day"},
        {"\"id\": \"desk\"", "\"id\": \"de sk\"", "$.interventions[0].id", "not an id", "1 to 63"},
        {"\"three\": {", "\"_two\": { \"min\": 0, \"max\": 1 }, \"three\": {", "$.scales._two",
         "not an id", ""},
        {"{ \"id\": \"lobby\" }", "{ \"name\": \"lobby\" }", "$.touchpoints[3].id", "missing", ""},
        {"{ \"id\": \"lobby\" }", "\"lobby\"", "$.touchpoints[3]", "must be an object", ""},
        {"{ \"id\": \"lobby\" }",
         "{ \"id\": \"abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-abcdefghijk\" }",
         "$.touchpoints[3].id", "not an id", ""},
        {"\"processes\": [\"welcome\"]", "\"processes\": [7]", "$.touchpoints[0].processes[0]",
         "must be a string", ""},
        {"\"processes\": [\"welcome\"]", "\"processes\": [\"\"]", "$.touchpoints[0].processes[0]",
         "not empty", ""},
        {"\"processes\": [\"welcome\"]", "\"processes\": [\"a\\u001fb\"]",
         "$.touchpoints[0].processes[0]", "one line", ""},
        {"\"processes\": [\"welcome\"]", "\"processes\": \"welcome\"", "$.touchpoints[0].processes",
         "an array of strings", ""},
        {"\"start\": \"2026-04-06\"", "\"start\": \"2026-02-30\"", "$.interventions[0].start",
         "not a date", "YYYY-MM-DD"},
        {"\"start\": \"2026-04-06\"", "\"start\": \"2025-02-29\"", "$.interventions[0].start",
         "not a date", ""},
        {"\"start\": \"2026-04-06\"", "\"start\": \"2026-4-6\"", "$.interventions[0].start",
         "not a date", ""},
        {"\"na\", 6", "\"n/a\", 6", "$.scales.five.not_applicable[0]", "not known", "\"na\""},
        {"\"na\", 6", "\"na\", 6.5", "$.scales.five.not_applicable[1]", "whole", ""},
        {"\"min_n\": 8", "\"min_n\": 0", "$.privacy.min_n", "outside", ""},
        {"\"min_n_employee\": 6", "\"min_n_employee\": 2", "$.privacy.min_n_employee",
         "outside 3 to", ""},
        {"\"rejects\": 30", "\"rejects\": 0", "$.programme.retention_days.rejects", "outside", ""},
        {"\"tenure\": \"applicant\"", "\"tenure\": \"aplicant\"",
         "$.journeys[1].detailed[0].tenure", "not known", "\"applicant\""},
        {"\"false_episodes_per_year\": 4", "\"false_episodes_per_year\": 0",
         "$.alerts.false_episodes_per_year", "outside", ""},
    };
    EXPECT_ALL(table);
}

Test(model_problems, parts)
{
    static const struct spoiled table[] = {
        {"\"Europe/Amsterdam\"", "\"Europe/Amsterdm\"", "$.programme.time_zone", "not known here",
         "IANA"},
        {"\"EUR\"", "\"Euro\"", "$.programme.currency", "ISO 4217", "EUR"},
        {"\"responses\": 400", "\"responses\": 1001", "$.programme.retention_days.responses",
         "longer than their tallies", ""},
        {"\"min\": 1, \"max\": 3", "\"min\": 3, \"max\": 3", "$.scales.three.max", "not above", ""},
        {"\"min\": 0, \"max\": 100 }", "\"min\": -900, \"max\": 101 }", "$.scales.long.max",
         "at most 1000", "measure"},
        {"[\"na\", 6]", "[\"na\", 5]", "$.scales.five.not_applicable[1]", "also an answer", ""},
        {"[\"na\", 6]", "[6,7,8,9,10,11,12,13,14]", "$.scales.five.not_applicable[8]", "at most 8",
         ""},
        {"\"min\": -5.25", "\"min\": -5.255", "$.measures.cost.min", "more than the measure's 2",
         "decimals"},
        {"\"min\": -5.25", "\"min\": 300", "$.measures.cost.max", "not above", ""},
        {"\"max\": 300,", "\"max\": 10000000.01,", "$.measures.cost.max", "too large",
         "larger unit"},
        {"\"parent\": \"north\"", "\"parent\": \"nort\"", "$.units[1].parent", "unknown unit",
         "\"north\""},
        {"\"name\": \"North\"", "\"parent\": \"main_street\"", "$.units[0].parent", "above itself",
         ""},
        {"\"name\": \"North\"", "\"parent\": \"north\"", "$.units[0].parent", "above itself", ""},
        {"\"units\": 50", "\"units\": 1", "$.limits.units", "more than the limit", ""},
        {"\"limits\": {", "\"limits\": { \"touchpoints\": 3,", "$.limits.touchpoints",
         "more than the limit", ""},
        {"\"scale\": \"ten\"", "\"scale\": \"tenn\"", "$.items[0].scale", "unknown scale",
         "\"ten\""},
        {"\"scale\": \"ten\"", "\"scale\": \"five\"", "$.items[0].scale", "defined on 0 to 10", ""},
        {"\"ces\", \"scale\": \"five\"", "\"ces\", \"scale\": \"long\"", "$.items[2].scale",
         "at most 11", "mean"},
        {"\"csat\", \"scale\": \"five\"", "\"csat\", \"scale\": \"ten\"", "$.items[1].top",
         "missing", ""},
        {"\"csat\",", "\"csat\", \"top\": 5,", "$.items[1].top", "every answer", ""},
        {"\"csat\",", "\"csat\", \"top\": 0,", "$.items[1].top", "outside", ""},
        {"\"csat\",", "\"csat\", \"direction\": \"lower\",", "$.items[1].direction", "high answers",
         ""},
        {"\"text\": \"Recommend?\"", "\"direction\": \"lower\"", "$.items[0].direction",
         "high answers", ""},
        {"\"mean\", \"scale\": \"long\"", "\"mean\", \"top\": 2, \"scale\": \"long\"",
         "$.items[4].top", "means nothing", "csat"},
        {"\"touchpoint\": \"id_check\" }", "\"touchpoint\": \"idcheck\" }", "$.items[5].touchpoint",
         "unknown touchpoint", "\"id_check\""},
        {"\"id\": \"smile\"", "\"id\": \"rating\"", "$.items[4].id", "used twice", ""},
    };
    EXPECT_ALL(table);
}

Test(model_problems, journeys)
{
    static const struct spoiled table[] = {
        {"\"owner\": \"ann\",\n      \"processes\"", "\"owner\": \"anm\",\n      \"processes\"",
         "$.touchpoints[0].owner", "unknown owner", "\"ann\""},
        {"[\"visit\", \"id_check\"]", "[\"visit\", \"id_check\", \"visit\"]",
         "$.journeys[0].detailed[0].touchpoints[2]", "named twice", ""},
        {"[\"visit\", \"id_check\"]", "[\"visit\", \"id_check\", \"recommend\"]",
         "$.journeys[0].detailed[0].touchpoints[2]", "unknown touchpoint", "is a item"},
        {"\"id\": \"year\"", "\"id\": \"use\"", "$.journeys[1].detailed[2].id", "used twice",
         "unique"},
        {"\"touchpoints\": [\"login\"]", "\"tenure\": \"applicant\", \"touchpoints\": [\"login\"]",
         "$.journeys[0].detailed[1].tenure", "only employees", ""},
        {"{ \"max_months\": 3 }", "{ \"max_months\": 3, \"min_months\": 1 }",
         "$.journeys[1].detailed[1].tenure", "either", ""},
        {"{ \"max_months\": 3 }", "{ }", "$.journeys[1].detailed[1].tenure", "either", ""},
        {"{ \"max_months\": 3 }", "{ \"max_months\": 12 }", "$.journeys[1].detailed[2].tenure",
         "takes all", "low to high"},
        {"{ \"max_months\": 3 }", "\"applicant\"", "$.journeys[1].detailed[1].tenure",
         "second window", ""},
        {"{ \"max_months\": 12 }", "{ \"min_months\": 3 }", "$.journeys[1].detailed[3].tenure",
         "after the one that has no end", ""},
        {"{ \"min_months\": 12 }", "{ \"min_months\": 6 }", "$.journeys[1].detailed[3].tenure",
         "overlaps", ""},
    };
    EXPECT_ALL(table);
}

Test(model_problems, kpis)
{
    static const struct spoiled table[] = {
        {"{ \"item\": \"recommend\" }", "{ \"item\": \"recomend\" }", "$.kpis[0].source.item",
         "unknown item", "\"recommend\""},
        {"{ \"item\": \"recommend\" }", "{ }", "$.kpis[0].source", "exactly one", ""},
        {"{ \"outcome\": \"failed\" }", "{ \"outcome\": \"failed\", \"item\": \"smile\" }",
         "$.kpis[4].source", "exactly one", ""},
        {"{ \"outcome\": \"failed\" }", "{ \"outcome\": \"fialed\" }", "$.kpis[4].source.outcome",
         "not known", "\"failed\""},
        {"{ \"outcome\": \"failed\" }", "{ \"outcome\": \"failed\", \"within\": 3 }",
         "$.kpis[4].source", "of a measure", ""},
        {"{ \"measure\": \"wait_s\" }", "{ \"measure\": \"waits\" }", "$.kpis[3].source.measure",
         "unknown measure", "\"wait_s\""},
        {"\"within\": 300.5", "\"within\": 300.5, \"quantile\": 0.5", "$.kpis[1].source",
         "at most one", ""},
        {"\"within\": 300.5", "\"within\": 300.55", "$.kpis[1].source.within",
         "more than the measure's 1", ""},
        {"\"within\": 300.5", "\"within\": 3600", "$.kpis[1].source.within", "always 0 or 1", ""},
        {"\"within\": 300.5", "\"within\": -0.1", "$.kpis[1].source.within", "always 0 or 1", ""},
        {"\"quantile\": 0.9", "\"quantile\": 90", "$.kpis[2].source.quantile", "between 0 and 1",
         "0.9"},
        {"\"quantile\": 0.9", "\"quantile\": 1", "$.kpis[2].source.quantile", "between 0 and 1",
         ""},
        {"\"journey\": \"work\", \"target\"", "\"journey\": \"wokr\", \"target\"",
         "$.kpis[5].journey", "unknown journey", "\"work\""},
        {"\"touchpoint\": \"id_check\", \"target\"", "\"touchpoint\": \"id-check\", \"target\"",
         "$.kpis[4].touchpoint", "unknown touchpoint", "\"id_check\""},
        {"\"target\": 4,", "\"audience\": \"customer\", \"target\": 4,", "$.kpis[5].audience",
         "for employee", ""},
        {"\"touchpoint\": \"visit\", \"grain\"", "\"touchpoint\": \"login\", \"grain\"",
         "$.kpis[6].touchpoint", "counts at \"visit\"", ""},
        {"\"touchpoint\": \"visit\", \"grain\"", "\"journey\": \"use\", \"grain\"",
         "$.kpis[6].journey", "no part of", ""},
        {"\"touchpoint\": \"id_check\", \"target\"",
         "\"touchpoint\": \"lobby\", \"journey\": \"open_account\", \"target\"",
         "$.kpis[4].journey", "no part of", ""},
        {"\"touchpoint\": \"id_check\", \"target\"", "\"journey\": \"settling\", \"target\"",
         "$.kpis[4].journey", "no tenure", ""},
        {"\"target\": 40", "\"target\": 101", "$.kpis[0].target", "net promoter score, -100 to 100",
         ""},
        {"\"target\": 0.02", "\"target\": 2", "$.kpis[4].target", "outside a share", "write 0.02"},
        {"\"target\": 4,", "\"target\": 5.5,", "$.kpis[5].target", "outside the item's scale", ""},
        {"\"target\": 420", "\"target\": 3601", "$.kpis[2].target",
         "outside the measure, 0 to 3600", ""},
        {"\"target\": 0.8 }", "\"target\": 80 }", "$.kpis[6].target", "outside a share",
         "write 0.8"},
        {"\"good_enough\": 0.85", "\"good_enough\": 0.95", "$.kpis[1].good_enough",
         "better than the target (higher", ""},
        {"\"good_enough\": 120", "\"good_enough\": 90", "$.kpis[3].good_enough",
         "better than the target (lower", ""},
        {"\"target\": 100, ", "", "$.kpis[3].good_enough", "for which target", ""},
        {"\"id\": \"p90\"", "\"id\": \"soon\"", "$.kpis[2].id", "used twice", ""},
    };
    EXPECT_ALL(table);
}

Test(model_problems, plan)
{
    static const struct spoiled table[] = {
        {"\"outcome\": \"recommend\"", "\"outcome\": \"rating\"", "$.driver_models[0].outcome",
         "not an item of kind outcome", ""},
        {"\"outcome\": \"recommend\"", "\"outcome\": \"recommended\"", "$.driver_models[0].outcome",
         "unknown item", "\"recommend\""},
        {"[\"clarity\", \"keeps_word\"]", "[\"clarity\", \"recommend\"]",
         "$.driver_models[0].drivers[1]", "its own driver", ""},
        {"[\"clarity\", \"keeps_word\"]", "[\"clarity\", \"clarity\"]",
         "$.driver_models[0].drivers[1]", "named twice", ""},
        {"[\"clarity\", \"keeps_word\"]", "[]", "$.driver_models[0].drivers", "at least one", ""},
        {"[\"clarity\", \"keeps_word\"]", "[\"clarity\", \"wait_s\"]",
         "$.driver_models[0].drivers[1]", "unknown item", "is a measure"},
        {"\"join_window_hours\": 72", "\"join_window_hours\": 72, \"panel\": 1",
         "$.driver_models[1].panel", "true or false", ""},
        {"\"join_window_hours\": 72", "\"join_window_hours\": 0",
         "$.driver_models[1].join_window_hours", "outside", ""},
        {"\"window_days\": 90", "\"join_window_hours\": 72", "$.driver_models[0].join_window_hours",
         "only measures", ""},
        {"\"window_days\": 90", "\"window_days\": 401", "$.driver_models[0].window_days",
         "longer than responses are kept (400)", ""},
        {"\"touchpoint\": \"visit\", \"join", "\"touchpoint\": \"login\", \"join",
         "$.driver_models[1].touchpoint", "counts at \"visit\"", ""},
        {"\"touchpoint\": \"visit\", \"join", "\"journey\": \"use\", \"join",
         "$.driver_models[1].journey", "no part of", ""},
        {"[\"all\", \"unit\"]", "[\"all\", \"units\"]", "$.driver_models[0].segments[1]",
         "not known", "\"unit\""},
        {"[\"all\", \"unit\"]", "[\"unit\", \"unit\"]", "$.driver_models[0].segments[1]", "twice",
         ""},
        {"[\"all\", \"unit\"]", "[\"all\", \"tenure\"]", "$.driver_models[0].segments[1]",
         "only employees", ""},
        {"\"kpi\": \"soon\"", "\"kpi\": \"soom\"", "$.interventions[0].kpi", "unknown KPI",
         "\"soon\""},
        {"\"kpi\": \"soon\"", "\"kpi\": \"soon\", \"driver\": \"clarity\"",
         "$.interventions[0].kpi", "exactly one", ""},
        {"\"kpi\": \"soon\",", "", "$.interventions[0].kpi", "exactly one", ""},
        {"\"kpi\": \"soon\"", "\"driver\": \"clarty\"", "$.interventions[0].driver", "unknown item",
         "\"clarity\""},
        {"[\"main_street\"]", "[\"main_stret\"]", "$.interventions[0].units[0]", "unknown unit",
         "\"main_street\""},
        {"\"due\": \"2026-05-01\"", "\"due\": \"2026-04-05\"", "$.interventions[0].due",
         "before it starts", ""},
        {"\"expected_effect\": 0.05", "\"expected_effect\": -0.05",
         "$.interventions[0].expected_effect", "worse: higher is better", "sign"},
        {"\"kpi\": \"soon\"", "\"kpi\": \"p90\"", "$.interventions[0].expected_effect",
         "worse: lower is better", ""},
        {"\"promise\": \"keeps_word\"", "\"promise\": \"clarity\"", "$.promises[0].promise",
         "not an item of kind promise", ""},
        {"[\"clarity\", \"soon\"]", "[\"clarity\", \"soom\"]", "$.promises[0].delivery[1]",
         "unknown item or KPI", "\"soon\""},
        {"[\"clarity\", \"soon\"]", "[]", "$.promises[0].delivery", "nothing delivers", ""},
        {"\"to\": \"2026-04-28\"", "\"to\": \"2026-04-26\"", "$.alerts.calendar[0].to",
         "ends before", ""},
    };
    EXPECT_ALL(table);
    char *text = model_text_with("{ \"id\": \"failed\"", "{ \"id\": \"clarity\"");
    expect_only(&(struct spoiled){"", "", "$.promises[0].delivery[0]", "both item and KPI", ""},
                text);
    free(text);
}

/* KPIs of one item over `count` different things; each message of the journey counts in all. */
static char *crowded(int count, const char *scope)
{
    char *kpis = NULL;
    size_t len;
    FILE *out = open_memstream(&kpis, &len);
    fputs("\"kpis\": [", out);
    for (int i = 0; i < count; i++)
        fprintf(
            out,
            "{ \"id\": \"k%d\", \"role\": \"input\", \"source\": { \"measure\": \"wait_s\" }%s },",
            i, i % 2 ? scope : "");
    fclose(out);
    char *text = model_text_with("\"kpis\": [", kpis);
    free(kpis);
    return text;
}

Test(model_problems, more_kpis_than_a_message_may_count_in)
{
    char *text = crowded(300, ", \"journey\": \"open_account\"");
    expect_only(&(struct spoiled){"", "", "$.kpis", "more than 256", "journeys"}, text);
    free(text);
    struct fp_model *model;
    struct fp_problems problems = {0};
    text = crowded(270, ", \"journey\": \"work\""); /* the rest: 135 and a few others */
    cr_expect_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_REJECT);
    fp_problems_free(&problems);
    free(text);
    text = crowded(200, ", \"journey\": \"work\"");
    cr_expect_eq(fp_model_parse(text, strlen(text), &model, &problems), FP_OK);
    fp_model_release(model);
    fp_problems_free(&problems);
    free(text);
}

Test(model_problems, forty_predictors)
{
    char *items = NULL, *drivers = NULL;
    size_t len;
    FILE *out = open_memstream(&items, &len), *names = open_memstream(&drivers, &len);
    fputs("\"items\": [", out);
    fputs("\"drivers\": [", names);
    for (int i = 0; i < 39; i++) {
        fprintf(out, "{\"id\":\"d%d\",\"kind\":\"driver\",\"metric\":\"mean\",\"scale\":\"five\"},",
                i);
        fprintf(names, "\"d%d\",", i);
    }
    fclose(out);
    fclose(names);
    char *text = model_text_with("\"items\": [", items);
    char *at = strstr(text, "\"drivers\": [\"clarity\"");
    char *both = calloc(1, strlen(text) + strlen(drivers) + 1);
    memcpy(both, text, (size_t)(at - text));
    strcat(both, drivers);
    strcat(both, at + strlen("\"drivers\": ["));
    expect_only(&(struct spoiled){"", "", "$.driver_models[0].drivers", "41 drivers", "act on"},
                both);
    free(both);
    free(text);
    free(items);
    free(drivers);
}

Test(model_problems, all_at_once)
{
    static const char text[] =
        "{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\",\"time_zone\":\"Nowhere\"},"
        "\"scales\":{\"s\":{\"min\":5,\"max\":1}},"
        "\"units\":[{\"id\":\"a\",\"parent\":\"b\"},{\"id\":\"b\",\"parent\":\"a\"}],"
        "\"items\":[{\"id\":\"i\",\"kind\":\"outcome\",\"metric\":\"nps\",\"scale\":\"t\"}],"
        "\"kpis\":[{\"id\":\"k\",\"role\":\"input\",\"source\":{\"item\":\"j\"},\"tagret\":1}],"
        "\"driver_models\":[{\"id\":\"d\",\"outcome\":\"i\"}]}";
    static const struct spoiled all[] = {
        {"", "", "$.programme.time_zone", "", ""},      {"", "", "$.scales.s.max", "", ""},
        {"", "", "$.units[0].parent", "", ""},          {"", "", "$.items[0].scale", "", "\"s\""},
        {"", "", "$.kpis[0].source.item", "", "\"i\""}, {"", "", "$.kpis[0].tagret", "", "target"},
        {"", "", "$.driver_models[0].drivers", "", ""}};
    struct fp_model *model;
    struct fp_problems problems = {0};
    cr_expect_eq(fp_model_parse(text, sizeof text - 1, &model, &problems), FP_REJECT);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_expect(reported(&problems, &all[i]), "%s", all[i].path);
    cr_expect_eq(problems.count, (int)(sizeof all / sizeof *all));
    fp_problems_free(&problems);
}

Test(model_problems, a_flood_is_cut)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    fputs("{\"units\":[", out);
    for (int i = 0; i < 2000; i++)
        fputs(i ? ",7" : "7", out);
    fputs("]}", out);
    fclose(out);
    struct fp_model *model;
    struct fp_problems problems = {0};
    cr_expect_eq(fp_model_parse(text, len, &model, &problems), FP_REJECT);
    cr_expect_eq(problems.count, 500);
    cr_expect(strstr(problems.at[499].what, "more problems"));
    fp_problems_free(&problems);
    free(text);
}

/* Whatever is cut off or garbled: problems, never a crash (the sanitizers watch). */
Test(model_problems, garbled)
{
    size_t len = sizeof model_text - 1;
    char *text = malloc(len);
    for (size_t i = 0; i < len; i += 7) {
        struct fp_model *model;
        struct fp_problems problems = {0};
        cr_expect_eq(fp_model_parse(model_text, i, &model, &problems), FP_REJECT);
        fp_problems_free(&problems);
        memcpy(text, model_text, len);
        text[i] = text[i] == '7' ? '{' : '7';
        if (fp_model_parse(text, len, &model, &problems) == FP_OK)
            fp_model_release(model);
        else
            cr_expect_gt(problems.count, 0);
        fp_problems_free(&problems);
    }
    free(text);
}
