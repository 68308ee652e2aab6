/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a sound model becomes: dense ids, defaults, hashes, lists; and the worked examples. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>

#include "daemon/model.h"
#include "daemon/model_json.h"
#include "tests/unit/model_text.h"

static struct fp_model *parse(const char *text)
{
    struct fp_model *model;
    struct fp_problems problems = {0};
    enum fp_status status = fp_model_parse(text, strlen(text), &model, &problems);
    cr_assert_eq(status, FP_OK, "%s: %s", problems.count ? problems.at[0].path : "",
                 problems.count ? problems.at[0].what : "");
    cr_assert_eq(problems.count, 0);
    fp_problems_free(&problems);
    return model;
}

static int find(const struct fp_model *model, enum fp_kind kind, const char *name)
{
    return fp_model_find(model, kind, fp_slice_of(name));
}

static const struct fp_kpi *kpi(const struct fp_model *model, const char *name)
{
    int id = find(model, FP_KIND_KPI, name);
    cr_assert_neq(id, FP_NONE, "%s", name);
    return &model->kpis[id];
}

Test(model, programme)
{
    struct fp_model *model = parse(model_text);
    cr_expect_str_eq(model->programme, "bank");
    cr_expect_str_eq(model->programme_name, "The Bank");
    cr_expect_str_eq(model->currency, "EUR");
    cr_expect_str_eq(model->time_zone, "Europe/Amsterdam");
    cr_expect_eq(fp_timezone_day(model->zone, INT64_C(1774738800000000)), 20541);
    cr_expect_eq(model->responses_days, 400);
    cr_expect_eq(model->tallies_days, 1000);
    cr_expect_eq(model->rejects_days, 30);
    cr_expect_eq(model->min_n, 8);
    cr_expect_eq(model->min_n_employee, 6);
    cr_expect_eq(model->limits.units, 50);
    cr_expect_eq(model->limits.future_skew_s, 3600);
    cr_expect_eq(model->false_episodes_per_year, 4);
    fp_model_release(model);
}

Test(model, defaults)
{
    struct fp_model *model = parse("{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\","
                                   "\"time_zone\":\"UTC\"},\"x_own\":{\"anything\":[1]}}");
    cr_expect_str_eq(model->programme_name, "p");
    cr_expect_str_eq(model->currency, "");
    cr_expect_eq(model->responses_days, 400);
    cr_expect_eq(model->tallies_days, 1100);
    cr_expect_eq(model->rejects_days, 90);
    cr_expect_eq(model->min_n, 10);
    cr_expect_eq(model->min_n_employee, 5);
    cr_expect_eq(model->false_episodes_per_year, 12);
    cr_expect_eq(model->kpi_count + model->item_count + model->unit_count, 0);
    int count = -1;
    fp_model_touchpoint_kpis(model, FP_NONE, &count);
    cr_expect_eq(count, 0);
    cr_expect_eq(find(model, FP_KIND_ITEM, "x"), FP_NONE);
    fp_model_release(model);

    model = parse("{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\",\"time_zone\":\"UTC\","
                  "\"retention_days\":{\"tallies\":60}}}");
    cr_expect_eq(model->responses_days, 60);
    fp_model_release(model);
    fp_model_release(NULL);
}

Test(model, names)
{
    struct fp_model *model = parse(model_text);
    cr_expect_eq(find(model, FP_KIND_TOUCHPOINT, "id_check"), 1);
    cr_expect_eq(find(model, FP_KIND_TOUCHPOINT, "id_chec"), FP_NONE);
    cr_expect_eq(find(model, FP_KIND_ITEM, "id_check"), FP_NONE);
    cr_expect_eq(find(model, FP_KIND_KPI, "nps"), 0);
    cr_expect_eq(find(model, FP_KIND_DRIVER_MODEL, "nps"), 0);
    cr_expect_eq(find(model, FP_KIND_SCALE, "five"), 1);
    cr_expect_eq(find(model, FP_KIND_MEASURE, "cost"), 1);
    cr_expect_eq(find(model, FP_KIND_OWNER, "ann"), 0);
    cr_expect_eq(find(model, FP_KIND_UNIT, "main_street"), 1);
    cr_expect_eq(find(model, FP_KIND_PROMISE, "word"), 0);
    cr_expect_eq(find(model, FP_KIND_INTERVENTION, "desk"), 0);
    cr_expect_eq(find(model, FP_KIND_CHANNEL, "branch"), FP_NONE);
    cr_expect_eq(fp_model_find(model, FP_KIND_UNIT, (struct fp_slice){0}), FP_NONE);
    cr_expect_eq(fp_model_find(model, FP_KIND_UNIT, (struct fp_slice){"north!", 5}), 0);
    for (int i = 0; i < model->item_count; i++)
        cr_expect_eq(find(model, FP_KIND_ITEM, model->items[i].id), i);
    for (int i = 0; i < model->journey_count; i++)
        cr_expect_eq(find(model, FP_KIND_JOURNEY, model->journeys[i].id), i);
    fp_model_release(model);
}

Test(model, parts)
{
    struct fp_model *model = parse(model_text);
    const struct fp_scale *five = &model->scales[1];
    cr_expect_eq(five->min, 1);
    cr_expect_eq(five->max, 5);
    cr_expect_eq(five->na_count, 1);
    cr_expect_eq(five->na_codes[0], 6);
    const struct fp_measure *cost = &model->measures[1];
    cr_expect_eq(cost->min, -525);
    cr_expect_eq(cost->max, 30000);
    cr_expect_eq(cost->decimals, 2);
    cr_expect_str_eq(cost->role, "cost");
    cr_expect_eq(cost->direction, FP_LOWER_IS_BETTER);
    cr_expect_eq(model->units[1].parent, 0);
    cr_expect_str_eq(model->units[1].name, "main_street");
    cr_expect_eq(model->units[0].parent, FP_NONE);
    static const int tops[] = {0, 2, 2, 1, 0, 0, 0, 0};
    for (int i = 0; i < model->item_count; i++)
        cr_expect_eq(model->items[i].top, tops[i], "%s", model->items[i].id);
    cr_expect_eq(model->items[1].touchpoint, 0);
    cr_expect_eq(model->items[6].kind, FP_ITEM_PROMISE);
    const struct fp_touchpoint *visit = &model->touchpoints[0];
    cr_expect_eq(visit->system_count, 2);
    cr_expect_str_eq(visit->systems[1], "crm");
    cr_expect_eq(visit->owner, 0);
    cr_expect_eq(visit->only_journey, 0);
    cr_expect_eq(model->touchpoints[3].only_journey, FP_NONE);
    fp_model_release(model);
}

Test(model, journeys)
{
    struct fp_model *model = parse(model_text);
    static const char *const ids[] = {"open_account", "identify", "use",  "work",
                                      "applying",     "settling", "year", "staying"};
    static const int parents[] = {-1, 0, 0, -1, 3, 3, 3, 3};
    cr_assert_eq(model->journey_count, 8);
    for (int i = 0; i < 8; i++) {
        cr_expect_str_eq(model->journeys[i].id, ids[i]);
        cr_expect_eq(model->journeys[i].parent, parents[i]);
        cr_expect_eq(model->journeys[i].audience,
                     i < 3 ? FP_AUDIENCE_CUSTOMER : FP_AUDIENCE_EMPLOYEE);
    }
    cr_expect_eq(model->journeys[0].touchpoint_count, 3);
    cr_expect_eq(model->journeys[0].touchpoints[2], 2);
    cr_expect_eq(model->journeys[4].tenure, FP_TENURE_IS_APPLICANT);
    cr_expect_eq(model->journeys[6].tenure, FP_TENURE_MAX_MONTHS);
    cr_expect_eq(model->journeys[6].tenure_months, 12);
    cr_expect_eq(model->journeys[7].tenure, FP_TENURE_MIN_MONTHS);
    fp_model_release(model);
}

Test(model, kpis)
{
    struct fp_model *model = parse(model_text);
    const struct fp_kpi *soon = kpi(model, "soon");
    cr_expect_eq(soon->source, FP_SOURCE_MEASURE_WITHIN);
    cr_expect_eq(soon->within, 3005);
    cr_expect_eq(soon->direction, FP_HIGHER_IS_BETTER);
    cr_expect_eq(soon->grain, FP_GRAIN_HOUR);
    cr_expect(soon->has_target && soon->has_good_enough);
    cr_expect_eq(soon->target, 0.9);
    cr_expect_eq(soon->good_enough, 0.85);
    cr_expect_eq(soon->audience, FP_AUDIENCE_CUSTOMER);
    const struct fp_kpi *p90 = kpi(model, "p90");
    cr_expect_eq(p90->source, FP_SOURCE_MEASURE_QUANTILE);
    cr_expect_eq(p90->quantile, 0.9);
    cr_expect_eq(p90->grain, FP_GRAIN_DAY);
    cr_expect_eq(p90->direction, FP_LOWER_IS_BETTER);
    cr_expect_eq(kpi(model, "mean_wait")->source, FP_SOURCE_MEASURE_MEAN);
    const struct fp_kpi *failed = kpi(model, "failed");
    cr_expect_eq(failed->source, FP_SOURCE_OUTCOME);
    cr_expect_eq(failed->outcome, FP_OUTCOME_FAILED);
    cr_expect_eq(failed->direction, FP_LOWER_IS_BETTER);
    cr_expect_eq(failed->item, FP_NONE);
    cr_expect_eq(failed->owner, FP_NONE);
    const struct fp_kpi *engagement = kpi(model, "engagement");
    cr_expect_eq(engagement->audience, FP_AUDIENCE_EMPLOYEE);
    cr_expect_eq(engagement->grain, FP_GRAIN_DAY);
    cr_expect_not(engagement->has_good_enough);
    cr_expect_eq(kpi(model, "happy_visit")->grain, FP_GRAIN_HOUR);
    fp_model_release(model);
}

Test(model, plan)
{
    struct fp_model *model = parse(model_text);
    const struct fp_driver_model *operations = &model->driver_models[1];
    cr_expect_eq(operations->driver_count, 0);
    cr_expect_eq(operations->measure_count, 2);
    cr_expect_eq(operations->measures[1], 1);
    cr_expect_eq(operations->window_days, 90);
    cr_expect_eq(operations->join_window_hours, 72);
    cr_expect_eq(operations->segment_count, 1);
    cr_expect_str_eq(operations->segments[0], "all");
    cr_expect_eq(model->driver_models[0].drivers[1], find(model, FP_KIND_ITEM, "keeps_word"));
    const struct fp_intervention *desk = &model->interventions[0];
    cr_expect(desk->target_is_kpi);
    cr_expect_str_eq(desk->target, "soon");
    cr_expect_eq(desk->unit_count, 1);
    cr_expect_eq(desk->units[0], 1);
    cr_expect_str_eq(desk->start, "2026-04-06");
    cr_expect_eq(desk->cost, 12000);
    cr_expect_eq(desk->expected_effect, 0.05);
    const struct fp_promise *word = &model->promises[0];
    cr_expect_eq(word->promise, find(model, FP_KIND_ITEM, "keeps_word"));
    cr_expect_eq(word->delivery_count, 2);
    cr_expect_str_eq(word->delivery[1], "soon");
    fp_model_release(model);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

Test(model, hash_of_the_canonical_text)
{
    struct fp_model *a =
        parse("{\"programme\":{\"time_zone\":\"UTC\",\"id\":\"p\"},\n"
              " \"model\":\"flightpath/1\", \"x_n\":[1.50,1e3,-0,\"\\u00e9\\n\"]}");
    cr_expect_str_eq(a->text, "{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\","
                              "\"time_zone\":\"UTC\"},\"x_n\":[1.5,1000,0,\"\xc3\xa9\\u000a\"]}");
    struct fp_model *b = parse(a->text);
    cr_expect_str_eq(a->hash, b->hash);
    /* sha256sum of that text */
    cr_expect_str_eq(a->hash, "5801843e7a1f56f980c8a348d408052ffecea5a8d09fa0a2f49a6d578a167c87");
    fp_model_release(a);
    fp_model_release(b);
}

struct change {
    const char *from, *to;
    const char *kpi;
    bool new_series;
};
static const struct change changes[] = {
    /* decide the numbers */
    {"\"Europe/Amsterdam\"", "\"Europe/Paris\"", "nps", true},
    {"\"min\": 0, \"max\": 3600", "\"min\": 0, \"max\": 3000", "soon", false},
    {"\"decimals\": 1", "\"decimals\": 2", "soon", true},
    {"\"within\": 300.5", "\"within\": 301", "soon", true},
    {"\"quantile\": 0.9", "\"quantile\": 0.95", "p90", true},
    {"{ \"outcome\": \"failed\" }", "{ \"outcome\": \"abandoned\" }", "failed", true},
    {"[\"na\", 6]", "[\"na\", 7]", "engagement", true},
    {"[\"na\", 6]", "[6, \"na\"]", "engagement", false},
    {"\"min\": 1, \"max\": 5", "\"min\": 1, \"max\": 4", "happy_visit", true},
    {"\"csat\",", "\"csat\", \"top\": 1,", "happy_visit", true},
    {"\"csat\",", "\"top_box\",", "happy_visit", true},
    {"\"touchpoint\": \"visit\", \"grain\"", "\"grain\"", "happy_visit", true},
    {"\"touchpoint\": \"visit\" }", "\"text\": \"\" }", "happy_visit", true},
    {"\"journey\": \"open_account\", \"target\"", "\"target\"", "nps", true},
    {"\"journey\": \"open_account\", \"target\"", "\"journey\": \"use\", \"target\"", "nps", true},
    {"[\"login\"]", "[\"login\", \"lobby\"]", "nps", true},
    {"[\"visit\", \"id_check\"]", "[\"id_check\", \"visit\"]", "nps", false},
    {"\"journey\": \"work\", \"target\"", "\"journey\": \"year\", \"target\"", "engagement", true},
    {"\"target\": 40", "\"target\": 40, \"audience\": \"internal\"", "nps", true},
    /* another journey takes a touchpoint: messages that name no journey are no longer placed */
    {"\"tenure\": \"applicant\"", "\"touchpoints\": [\"login\"]", "nps", true},
    /* do not */
    {"\"target\": 40", "\"target\": 45", "nps", false},
    {"\"target\": 40", "\"target\": 40, \"owner\": \"ann\"", "nps", false},
    {"\"target\": 40", "\"target\": 40, \"grain\": \"hour\"", "nps", false},
    {"\"I tell a friend\"", "\"I tell friends\"", "nps", false},
    {"\"Recommend?\"", "\"Would you?\"", "nps", false},
    {"\"I open an account\"", "\"Opening\"", "nps", false},
    {"\"good_enough\": 0.85", "\"good_enough\": 0.8", "soon", false},
    {"\"unit\": \"s\"", "\"unit\": \"sec\"", "soon", false},
    {"\"ces\", \"scale\": \"five\", \"direction\": \"higher\"", "\"ces\", \"scale\": \"five\"",
     "nps", false},
    {"\"grain\": \"hour\", \"target\": 0.8", "\"direction\": \"lower\"", "happy_visit", false},
    {"\"max_months\": 3 ", "\"max_months\": 4 ", "nps", false},
};

Test(model, definitions)
{
    struct fp_model *before = parse(model_text);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char *text = model_text_with(changes[i].from, changes[i].to);
        cr_assert_not_null(text, "%s", changes[i].from);
        struct fp_model *after = parse(text);
        bool differs = strcmp(kpi(before, changes[i].kpi)->definition,
                              kpi(after, changes[i].kpi)->definition) != 0;
        cr_expect_eq(differs, changes[i].new_series, "%s → %s", changes[i].from, changes[i].to);
        cr_expect_neq(strcmp(before->hash, after->hash), 0);
        fp_model_release(after);
        free(text);
    }
    for (int i = 0; i < before->kpi_count; i++) {
        cr_expect_eq(strlen(before->kpis[i].definition), 64);
        for (int k = 0; k < i; k++)
            cr_expect_neq(strcmp(before->kpis[i].definition, before->kpis[k].definition), 0);
    }
    fp_model_release(before);
}

Test(model, definition_of_a_tenure_window)
{
    char *text =
        model_text_with("\"journey\": \"work\", \"target\"", "\"journey\": \"year\", \"target\"");
    struct fp_model *year = parse(text);
    char *at = strstr(text, "\"max_months\": 3 ");
    at[strlen("\"max_months\": ")] = '4'; /* four months: one less in the first year */
    struct fp_model *shorter = parse(text);
    cr_expect_neq(
        strcmp(kpi(year, "engagement")->definition, kpi(shorter, "engagement")->definition), 0);
    fp_model_release(year);
    fp_model_release(shorter);
    free(text);
}

Test(model, definitions_of_driver_models)
{
    static const struct change table[] = {
        {"\"window_days\": 90", "\"window_days\": 91", NULL, true},
        {"[\"clarity\", \"keeps_word\"]", "[\"clarity\"]", NULL, true},
        {"\"min\": 0, \"max\": 10 }", "\"min\": 0, \"max\": 10, \"not_applicable\": [11] }", NULL,
         true},
        {"[\"all\", \"unit\"]", "[\"all\"]", NULL, false},
        {"\"target\": 40", "\"target\": 41", NULL, false},
    };
    struct fp_model *before = parse(model_text);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *text = model_text_with(table[i].from, table[i].to);
        struct fp_model *after = parse(text);
        cr_expect_eq(
            strcmp(before->driver_models[0].definition, after->driver_models[0].definition) != 0,
            table[i].new_series, "%s", table[i].to);
        fp_model_release(after);
        free(text);
    }
    fp_model_release(before);
}

/* ---- sharing --------------------------------------------------------------------------------- */

static void *share(void *argument)
{
    struct fp_model *model = argument;
    for (int i = 0; i < 10000; i++) {
        struct fp_model *mine = fp_model_retain(model);
        if (fp_model_find(mine, FP_KIND_ITEM, fp_slice_of("recommend")) != 0)
            return model;
        fp_model_release(mine);
    }
    return NULL;
}

Test(model, references)
{
    struct fp_model *model = parse(model_text);
    pthread_t threads[2];
    void *failed;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, share, model), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    struct fp_model *second = fp_model_retain(model);
    fp_model_release(model);
    cr_expect_str_eq(second->programme, "bank"); /* the sanitizer watches */
    fp_model_release(second);
}

Test(model, larger_than_one_block)
{
    char *units = NULL;
    size_t len;
    FILE *out = open_memstream(&units, &len);
    fputs("\"limits\": { \"units\": 9000 }, \"units\": [", out);
    for (int i = 0; i < 6000; i++)
        fprintf(out, "%s{ \"id\": \"u%d\" }", i ? "," : "", i);
    fputs("]", out);
    fclose(out);
    char text[200000];
    snprintf(text, sizeof text,
             "{\"model\":\"flightpath/1\",\"programme\":{\"id\":\"p\",\"time_zone\":\"UTC\"},%s}",
             units);
    struct fp_model *model = parse(text);
    cr_expect_eq(model->unit_count, 6000);
    char name[16];
    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof name, "u%d", i);
        cr_assert_eq(find(model, FP_KIND_UNIT, name), i);
    }
    fp_model_release(model);
    free(units);
}

/* ---- the worked examples --------------------------------------------------------------------- */

static bool is_json(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".json") == 0;
}

Test(model, valid_examples)
{
    const char *directory = TEST_DATA "/schemas/model/examples/valid";
    DIR *dir = opendir(directory);
    if (dir == NULL)
        cr_skip_test("no examples here");
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_json(entry->d_name))
            continue;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        struct fp_model *model;
        struct fp_problems problems = {0};
        cr_expect_eq(fp_model_load(path, &model, &problems), FP_OK, "%s: %s: %s", entry->d_name,
                     problems.count ? problems.at[0].path : "",
                     problems.count ? problems.at[0].what : "");
        fp_model_release(model);
        fp_problems_free(&problems);
        count++;
    }
    closedir(dir);
    cr_expect_gt(count, 0);
}

static bool has_path(const struct fp_problems *problems, const char *path)
{
    for (int i = 0; i < problems->count; i++) {
        if (strcmp(problems->at[i].path, path) == 0)
            return true;
    }
    return false;
}

static void expect_paths(const char *directory, const struct fp_node *example)
{
    char path[1024];
    struct fp_model *model;
    struct fp_problems problems = {0};
    snprintf(path, sizeof path, "%s/%s", directory, example->key);
    cr_expect_eq(fp_model_load(path, &model, &problems), FP_REJECT, "%s is taken for sound",
                 example->key);
    const struct fp_node *paths = fp_node_list(example, "paths");
    cr_assert_not_null(paths);
    for (const struct fp_node *at = paths->child; at; at = at->next)
        cr_expect(has_path(&problems, at->text), "%s: %s is not reported (but %s)", example->key,
                  at->text, problems.count ? problems.at[0].path : "nothing");
    fp_model_release(model);
    fp_problems_free(&problems);
}

Test(model, invalid_examples)
{
    const char *directory = TEST_DATA "/schemas/model/examples/invalid";
    FILE *file = fopen(TEST_DATA "/schemas/model/examples/invalid/expected.json", "r");
    if (file == NULL)
        cr_skip_test("no examples here");
    static char text[1 << 20];
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    struct fp_arena arena = {0};
    struct fp_node_error error;
    const struct fp_node *expected = fp_node_parse(&arena, text, len, &error);
    cr_assert_not_null(expected, "%s", error.what);
    for (const struct fp_node *at = expected->child; at; at = at->next)
        expect_paths(directory, at);
    cr_expect_gt(expected->count, 0);
    fp_arena_free(&arena);
}
