/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programme, scales, measures, owners, units, items: what everything else refers to. */
#include <stdio.h>
#include <string.h>

#include "analytics/fixed.h"
#include "analytics/tally.h"
#include "daemon/model_build.h"
#include "daemon/timestamp.h"

#define SCALE_SPAN_MAX 1000
#define NA_CODES_MAX 8
#define FIXED_LIMIT INT64_C(1000000000) /* its square must fit the sums many times over */

/* ---- helpers --------------------------------------------------------------------------------- */

const char *const *fp_build_texts(struct fp_build *build, const struct fp_node *list, int *count)
{
    const char **texts =
        fp_arena_alloc(build->arena, list ? (size_t)list->count + 1 : 1, sizeof *texts);
    *count = 0;
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        if (at->type == FP_NODE_STRING)
            texts[(*count)++] = at->text;
    }
    return texts;
}

enum fp_direction fp_build_direction(const struct fp_node *node, enum fp_direction fallback)
{
    const char *text = fp_node_string(node, "direction", "");
    if (strcmp(text, "higher") == 0)
        return FP_HIGHER_IS_BETTER;
    return strcmp(text, "lower") == 0 ? FP_LOWER_IS_BETTER : fallback;
}

bool fp_build_day(const struct fp_node *node, const char *key, int32_t *day)
{
    const char *text = fp_node_string(node, key, "");
    return fp_date_valid(text) && fp_date_parse(fp_slice_of(text), day);
}

bool fp_build_fixed(struct fp_build *build, const struct fp_node *node, int decimals,
                    int64_t *value)
{
    char text[FP_NUMBER_TEXT];
    *value = 0;
    if (node == NULL || node->type != FP_NODE_NUMBER)
        return false;
    fp_number_text(node->number, text);
    switch (cx_fixed_parse(text, (uint32_t)strlen(text), decimals, value)) {
    case CX_FIXED_OK:
        if (*value >= -FIXED_LIMIT && *value <= FIXED_LIMIT)
            return true;
        break;
    case CX_FIXED_TOO_MANY_DECIMALS:
    case CX_FIXED_NOT_A_NUMBER:
        fp_problem_at(build, node, NULL, "round it, or raise the measure's \"decimals\"",
                      "%s has more than the measure's %d decimals", text, decimals);
        return false;
    case CX_FIXED_OUT_OF_RANGE:
        break;
    }
    fp_problem_at(build, node, NULL, "use a larger unit or fewer decimals",
                  "%s at %d decimals is too large to be summed exactly", text, decimals);
    return false;
}

/* ---- programme, privacy ---------------------------------------------------------------------- */

static void read_retention(struct fp_build *build, const struct fp_node *programme)
{
    struct fp_model *model = build->model;
    const struct fp_node *days = fp_node_get(programme, "retention_days");
    int responses = fp_node_int(days, "responses", 0), tallies = fp_node_int(days, "tallies", 0);
    model->tallies_days = tallies > 0 ? tallies : responses > 1100 ? responses : 1100;
    model->responses_days = responses > 0               ? responses
                            : model->tallies_days < 400 ? model->tallies_days
                                                        : 400;
    model->rejects_days = fp_node_int(days, "rejects", 90);
    if (model->responses_days > model->tallies_days)
        fp_problem_at(build, days, "responses", "raise \"tallies\" or lower \"responses\"",
                      "responses are kept for %d days, longer than their tallies (%d)",
                      model->responses_days, model->tallies_days);
}

static void read_programme(struct fp_build *build)
{
    struct fp_model *model = build->model;
    const struct fp_node *node = fp_node_get(build->root, "programme");
    model->programme = fp_node_string(node, "id", "");
    model->programme_name = fp_node_string(node, "name", model->programme);
    model->currency = fp_node_string(node, "currency", "");
    model->time_zone = fp_node_string(node, "time_zone", "");
    if (model->currency[0] && (strlen(model->currency) != 3 ||
                               strspn(model->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3))
        fp_problem_at(build, node, "currency", "write three capitals, such as EUR",
                      "\"%.40s\" is not an ISO 4217 code", model->currency);
    model->zone = fp_timezone_new(model->time_zone);
    if (model->zone == NULL && fp_node_get(node, "time_zone") &&
        fp_node_get(node, "time_zone")->type == FP_NODE_STRING)
        fp_problem_at(build, node, "time_zone",
                      "use an IANA name such as Europe/Amsterdam; is tzdata installed?",
                      "the time zone \"%.80s\" is not known here", model->time_zone);
    read_retention(build, node);

    const struct fp_node *privacy = fp_node_get(build->root, "privacy");
    model->min_n = fp_node_int(privacy, "min_n", 10);
    model->min_n_employee = fp_node_int(privacy, "min_n_employee", 5);
    const struct fp_node *limits = fp_node_get(build->root, "limits");
    model->limits.units = fp_node_int(limits, "units", 5000);
    model->limits.channels = fp_node_int(limits, "channels", 64);
    model->limits.touchpoints = fp_node_int(limits, "touchpoints", 1000);
    model->limits.sources = fp_node_int(limits, "sources", 256);
    model->limits.future_skew_s = fp_node_int(limits, "future_skew_s", 3600);
}

static void check_limit(struct fp_build *build, const char *key, int limit, int declared)
{
    const struct fp_node *limits = fp_node_get(build->root, "limits");
    if (declared > limit)
        fp_problem_at(build, limits ? limits : build->root, key, "raise the limit",
                      "%d %s are declared, more than the limit of %d", declared, key, limit);
}

/* ---- scales, measures, owners ---------------------------------------------------------------- */

static const struct fp_node *first_of(struct fp_build *build, const char *key)
{
    const struct fp_node *list = fp_node_get(build->root, key);
    return list ? list->child : NULL;
}

static void read_not_applicable(struct fp_build *build, const struct fp_node *node,
                                struct fp_scale *scale)
{
    const struct fp_node *codes = fp_node_list(node, "not_applicable");
    for (const struct fp_node *at = codes ? codes->child : NULL; at; at = at->next) {
        if (at->type != FP_NODE_NUMBER)
            continue; /* "na" is always understood */
        int code = (int)(at->number < -1e6 ? -1e6 : at->number > 1e6 ? 1e6 : at->number);
        if (code >= scale->min && code <= scale->max)
            fp_problem_at(build, at, NULL, "use a code outside min to max",
                          "%d is also an answer on the scale %d to %d", code, scale->min,
                          scale->max);
        else if (scale->na_count == NA_CODES_MAX)
            fp_problem_at(build, at, NULL, "", "a scale has at most %d such codes", NA_CODES_MAX);
        else
            scale->na_codes[scale->na_count++] = code;
    }
}

static void read_scales(struct fp_build *build)
{
    struct fp_model *model = build->model;
    for (const struct fp_node *at = first_of(build, "scales"); at; at = at->next) {
        struct fp_scale *scale = &model->scales[at->index];
        scale->min = fp_node_int(at, "min", 0);
        scale->max = fp_node_int(at, "max", scale->min + 1);
        build->bad_scales[at->index] =
            scale->min >= scale->max || scale->max - scale->min > SCALE_SPAN_MAX;
        if (scale->min >= scale->max && fp_node_get(at, "min") && fp_node_get(at, "max"))
            fp_problem_at(build, at, "max", "the lowest answer is \"min\"",
                          "max %d is not above min %d", scale->max, scale->min);
        else if (scale->max - scale->min > SCALE_SPAN_MAX)
            fp_problem_at(build, at, "max", "declare a measure for amounts",
                          "a scale spans at most %d points", SCALE_SPAN_MAX);
        else if (!build->bad_scales[at->index])
            read_not_applicable(build, at, scale);
    }
}

static void read_measures(struct fp_build *build)
{
    struct fp_model *model = build->model;
    for (const struct fp_node *at = first_of(build, "measures"); at; at = at->next) {
        struct fp_measure *measure = &model->measures[at->index];
        measure->unit = fp_node_string(at, "unit", "");
        measure->role = fp_node_string(at, "role", "");
        measure->direction = fp_build_direction(at, FP_HIGHER_IS_BETTER);
        measure->decimals = fp_node_int(at, "decimals", 0);
        build->bad_measures[at->index] = true;
        if (measure->decimals < 0 || measure->decimals > 9)
            continue;
        bool low = fp_build_fixed(build, fp_node_get(at, "min"), measure->decimals, &measure->min);
        bool high = fp_build_fixed(build, fp_node_get(at, "max"), measure->decimals, &measure->max);
        if (low && high && measure->min >= measure->max)
            fp_problem_at(build, at, "max", "", "max is not above min");
        else
            build->bad_measures[at->index] = !low || !high;
    }
}

static void read_owners(struct fp_build *build)
{
    for (const struct fp_node *at = first_of(build, "owners"); at; at = at->next) {
        struct fp_owner *owner = &build->model->owners[at->index];
        owner->name = fp_node_string(at, "name", owner->id);
        owner->department = fp_node_string(at, "department", "");
    }
}

/* ---- units ----------------------------------------------------------------------------------- */

/* Colours: 0 new, 1 on the way up from the current unit, 2 known to end at a root. */
static void check_unit_cycles(struct fp_build *build, const struct fp_node *first)
{
    struct fp_model *model = build->model;
    unsigned char *colour = fp_arena_alloc(build->arena, (size_t)model->unit_count + 1, 1);
    for (const struct fp_node *at = first; at; at = at->next) {
        int unit = at->index;
        while (unit != FP_NONE && colour[unit] == 0) {
            colour[unit] = 1;
            unit = model->units[unit].parent;
        }
        if (unit != FP_NONE && colour[unit] == 1)
            fp_problem_at(build, at, "parent", "one of them must have no parent",
                          "the unit \"%.80s\" is above itself", model->units[unit].id);
        for (int up = at->index; up != FP_NONE && colour[up] == 1; up = model->units[up].parent)
            colour[up] = 2;
    }
}

static void read_units(struct fp_build *build)
{
    for (const struct fp_node *at = first_of(build, "units"); at; at = at->next) {
        struct fp_unit *unit = &build->model->units[at->index];
        unit->name = fp_node_string(at, "name", unit->id);
        unit->parent = fp_build_ref(build, fp_node_get(at, "parent"), FP_KIND_UNIT);
    }
    check_unit_cycles(build, first_of(build, "units"));
}

/* ---- items ----------------------------------------------------------------------------------- */

static bool metric_of(const char *text, enum fp_metric *metric)
{
    static const char *const names[] = {"nps", "csat", "ces", "mean", "top_box"};
    for (int i = 0; i < FP_METRICS; i++) {
        if (strcmp(text, names[i]) == 0) {
            *metric = (enum fp_metric)i;
            return true;
        }
    }
    return false;
}

static void check_top(struct fp_build *build, const struct fp_node *node, struct fp_item *item,
                      int points)
{
    bool given = fp_node_get(node, "top") != NULL;
    bool shares = item->metric == FP_METRIC_CSAT || item->metric == FP_METRIC_TOP_BOX;
    item->top = fp_node_int(node, "top", points <= 3 ? 1 : 2);
    if (item->metric == FP_METRIC_NPS || item->metric == FP_METRIC_MEAN) {
        item->top = 0;
        if (given)
            fp_problem_at(build, node, "top", "remove it, or declare csat or top_box",
                          "\"top\" means nothing to this metric");
    } else if (shares && !given && points > 7) {
        fp_problem_at(build, node, "top", "say how many of the highest answers count as good",
                      "\"top\" is missing, and a scale of %d points has no usual value", points);
    } else if (item->top >= points) {
        fp_problem_at(build, node, "top", "", "the top %d of %d points is every answer", item->top,
                      points);
    }
}

static void check_metric(struct fp_build *build, const struct fp_node *node, struct fp_item *item)
{
    const struct fp_scale *scale = &build->model->scales[item->scale];
    const char *metric = fp_node_string(node, "metric", "");
    int span = scale->max - scale->min;
    if (build->bad_scales[item->scale])
        return;
    if (item->metric == FP_METRIC_NPS && (scale->min != 0 || scale->max != 10))
        fp_problem_at(build, node, "scale", "use a scale 0 to 10, or another metric",
                      "nps is defined on 0 to 10, not on %d to %d", scale->min, scale->max);
    else if (item->metric != FP_METRIC_MEAN && span >= CX_TALLY_BINS)
        fp_problem_at(build, node, "scale", "use a shorter scale, or the metric mean",
                      "%s needs a scale of at most %d points", metric, CX_TALLY_BINS);
    if (item->direction == FP_LOWER_IS_BETTER &&
        (item->metric == FP_METRIC_NPS || item->metric == FP_METRIC_CSAT)) {
        fp_problem_at(build, node, "direction", "remove it, or use the metric mean",
                      "%s takes high answers for good ones", metric);
        item->direction = FP_HIGHER_IS_BETTER;
    }
    check_top(build, node, item, span + 1);
}

static void read_items(struct fp_build *build)
{
    struct fp_model *model = build->model;
    for (const struct fp_node *at = first_of(build, "items"); at; at = at->next) {
        struct fp_item *item = &model->items[at->index];
        const char *kind = fp_node_string(at, "kind", "");
        item->text = fp_node_string(at, "text", item->id);
        item->kind = strcmp(kind, "outcome") == 0   ? FP_ITEM_OUTCOME
                     : strcmp(kind, "promise") == 0 ? FP_ITEM_PROMISE
                                                    : FP_ITEM_DRIVER;
        item->direction = fp_build_direction(at, FP_HIGHER_IS_BETTER);
        item->touchpoint = fp_build_ref(build, fp_node_get(at, "touchpoint"), FP_KIND_TOUCHPOINT);
        item->scale = fp_build_ref(build, fp_node_get(at, "scale"), FP_KIND_SCALE);
        if (metric_of(fp_node_string(at, "metric", ""), &item->metric) && item->scale != FP_NONE)
            check_metric(build, at, item);
    }
    if (model->item_count > INT16_MAX || model->measure_count > INT16_MAX)
        fp_problem_at(build, build->root, "items", "", "at most %d items and measures", INT16_MAX);
}

void fp_model_read_parts(struct fp_build *build)
{
    struct fp_model *model = build->model;
    build->bad_scales = fp_arena_alloc(build->arena, (size_t)model->scale_count + 1, 1);
    build->bad_measures = fp_arena_alloc(build->arena, (size_t)model->measure_count + 1, 1);
    read_programme(build);
    check_limit(build, "units", model->limits.units, model->unit_count);
    check_limit(build, "touchpoints", model->limits.touchpoints, model->touchpoint_count);
    read_scales(build);
    read_measures(build);
    read_owners(build);
    read_units(build);
    read_items(build);
}
