/* SPDX-License-Identifier: GPL-3.0-or-later */
/* KPIs: where each counts and for whom, whether its target and benchmark can be met at all, and how
 * many one message can count in. What a KPI counts is read in model_source.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/fixed.h"
#include "daemon/model_build.h"
#include "daemon/resolve.h"

struct range { /* of a KPI's value */
    double low, high;
    const char *of; /* in words */
    bool share;
};

/* ---- scope ----------------------------------------------------------------------------------- */

static void read_audience(struct fp_build *build, const struct fp_node *node, struct fp_kpi *kpi)
{
    static const char *const names[] = {"customer", "employee", "internal"};
    const char *text = fp_node_string(node, "audience", "");
    enum fp_audience of_journey = FP_AUDIENCE_CUSTOMER;
    if (kpi->journey != FP_NONE)
        of_journey = build->model->journeys[kpi->journey].audience;
    kpi->audience = of_journey;
    for (int i = 0; i < FP_AUDIENCES; i++) {
        if (strcmp(text, names[i]) == 0)
            kpi->audience = (enum fp_audience)i;
    }
    /* the internal view of a journey is a fair KPI; customers of an employee journey are not */
    if (kpi->journey != FP_NONE && kpi->audience != of_journey &&
        kpi->audience != FP_AUDIENCE_INTERNAL)
        fp_problem_at(build, node, "audience", "remove it: the journey says who it is for",
                      "the journey is for %s, so this counts nothing", names[of_journey]);
    if (kpi->source == FP_SOURCE_RESPONSE_RATE && kpi->audience == FP_AUDIENCE_INTERNAL &&
        kpi->survey == NULL)
        fp_problem_at(build, node, "source", "name the survey in \"response_rate\"",
                      "invitations do not say that they are internal");
}

/* An item that counts at a touchpoint of its own, against the KPI's. */
static void check_item_scope(struct fp_build *build, const struct fp_node *node,
                             const struct fp_kpi *kpi, const char *what, int own)
{
    const struct fp_model *model = build->model;
    if (own != FP_NONE && kpi->touchpoint != FP_NONE && own != kpi->touchpoint)
        fp_problem_at(build, node, "touchpoint", "remove it",
                      "%s counts at \"%s\", so this counts nothing", what,
                      model->touchpoints[own].id);
    int touchpoint = kpi->touchpoint != FP_NONE ? kpi->touchpoint : own;
    if (touchpoint != FP_NONE && kpi->journey != FP_NONE &&
        model->journeys[kpi->journey].touchpoint_count > 0 &&
        !fp_journey_has(model, kpi->journey, touchpoint))
        fp_problem_at(build, node, "journey", "add it to the journey, or choose another journey",
                      "the touchpoint \"%s\" is no part of the journey \"%s\"",
                      model->touchpoints[touchpoint].id, model->journeys[kpi->journey].id);
}

/* One problem is enough to show: the first item that does not suit. */
static void check_index_scope(struct fp_build *build, const struct fp_node *node,
                              const struct fp_kpi *kpi)
{
    int before = build->problems->count;
    for (int i = 0; i < kpi->item_count && build->problems->count == before; i++) {
        const struct fp_item *item = &build->model->items[kpi->items[i]];
        char what[100];
        snprintf(what, sizeof what, "the item \"%.80s\"", item->id);
        check_item_scope(build, node, kpi, what, item->touchpoint);
    }
}

static void check_scope(struct fp_build *build, const struct fp_node *node,
                        const struct fp_kpi *kpi)
{
    const struct fp_model *model = build->model;
    if (kpi->source == FP_SOURCE_INDEX && kpi->item_count > 0)
        check_index_scope(build, node, kpi);
    else
        check_item_scope(build, node, kpi, "the item",
                         kpi->item == FP_NONE ? FP_NONE : model->items[kpi->item].touchpoint);
    if (!fp_kpi_of_answers(kpi) && kpi->journey != FP_NONE &&
        model->journeys[kpi->journey].tenure != FP_TENURE_NONE &&
        model->journeys[kpi->journey].touchpoint_count == 0)
        fp_problem_at(build, node, "journey", "use the main journey, or an item",
                      "%s have no tenure, so this counts nothing",
                      fp_kpi_of_events(kpi) ? "touchpoint events" : "invitations");
}

/* ---- direction, target ----------------------------------------------------------------------- */

static enum fp_direction default_direction(const struct fp_model *model, const struct fp_kpi *kpi)
{
    switch (kpi->source) {
    case FP_SOURCE_ITEM:
        return kpi->item == FP_NONE ? FP_HIGHER_IS_BETTER : model->items[kpi->item].direction;
    case FP_SOURCE_MEASURE_MEAN:
    case FP_SOURCE_MEASURE_QUANTILE:
    case FP_SOURCE_MEASURE_PER:
        return kpi->measure == FP_NONE ? FP_HIGHER_IS_BETTER
                                       : model->measures[kpi->measure].direction;
    case FP_SOURCE_OUTCOME:
        return kpi->outcome == FP_OUTCOME_FAILED || kpi->outcome == FP_OUTCOME_ABANDONED
                   ? FP_LOWER_IS_BETTER
                   : FP_HIGHER_IS_BETTER;
    case FP_SOURCE_STRAIGHT_LINING:
        return FP_LOWER_IS_BETTER;
    case FP_SOURCE_MEASURE_WITHIN:
    case FP_SOURCE_INDEX:
    case FP_SOURCE_RESPONSE_RATE:
    case FP_SOURCES:
        break;
    }
    return FP_HIGHER_IS_BETTER;
}

static double in_unit(const struct fp_measure *measure, int64_t amount)
{
    return (double)amount / cx_fixed_unit(measure->decimals);
}

/* Σx ÷ Σy of events within the measures' bounds, y ≥ 0. */
static bool ratio_range(const struct fp_build *build, const struct fp_kpi *kpi, struct range *range)
{
    const struct fp_model *model = build->model;
    if (kpi->measure == FP_NONE || kpi->per == FP_NONE || build->bad_measures[kpi->measure] ||
        build->bad_measures[kpi->per])
        return false;
    const struct fp_measure *x = &model->measures[kpi->measure], *y = &model->measures[kpi->per];
    double low = in_unit(x, x->min), high = in_unit(x, x->max);
    double least = in_unit(y, y->min), most = in_unit(y, y->max);
    *range = (struct range){low < 0 ? low / least : low / most,
                            high > 0 ? high / least : high / most, "the ratio", false};
    return least >= 0;
}

static bool item_range(const struct fp_build *build, const struct fp_kpi *kpi, struct range *range)
{
    const struct fp_model *model = build->model;
    const struct fp_scale *scale = fp_kpi_scale(model, kpi);
    if (scale == NULL || build->bad_scales[scale - model->scales])
        return false;
    if (kpi->source == FP_SOURCE_INDEX)
        *range = (struct range){scale->min, scale->max, "the items' scale", false};
    else if (model->items[kpi->item].metric == FP_METRIC_NPS)
        *range = (struct range){-100, 100, "a net promoter score", false};
    else if (model->items[kpi->item].metric == FP_METRIC_MEAN ||
             model->items[kpi->item].metric == FP_METRIC_CES)
        *range = (struct range){scale->min, scale->max, "the item's scale", false};
    return true;
}

static bool value_range(const struct fp_build *build, const struct fp_kpi *kpi, struct range *range)
{
    const struct fp_measure *measure;
    *range = (struct range){0, 1, "a share", true};
    switch (kpi->source) {
    case FP_SOURCE_ITEM:
    case FP_SOURCE_INDEX:
        return item_range(build, kpi, range);
    case FP_SOURCE_MEASURE_PER:
        return ratio_range(build, kpi, range);
    case FP_SOURCE_MEASURE_MEAN:
    case FP_SOURCE_MEASURE_QUANTILE:
        if (kpi->measure == FP_NONE || build->bad_measures[kpi->measure])
            return false;
        measure = &build->model->measures[kpi->measure];
        *range = (struct range){in_unit(measure, measure->min), in_unit(measure, measure->max),
                                "the measure", false};
        return true;
    case FP_SOURCE_MEASURE_WITHIN:
    case FP_SOURCE_OUTCOME:
    case FP_SOURCE_RESPONSE_RATE:
    case FP_SOURCE_STRAIGHT_LINING:
    case FP_SOURCES:
        break;
    }
    return true;
}

static void check_value(struct fp_build *build, const struct fp_node *node, const char *key,
                        const struct range *range)
{
    char hint[120] = "", text[FP_NUMBER_TEXT], low[FP_NUMBER_TEXT], high[FP_NUMBER_TEXT];
    double value = fp_node_number(node, key, range->low);
    if (value >= range->low && value <= range->high)
        return;
    if (range->share && value > 1 && value <= 100) {
        fp_number_text(value / 100, text);
        snprintf(hint, sizeof hint, "shares are 0 to 1: write %s", text);
    }
    fp_number_text(value, text);
    fp_number_text(range->low, low);
    fp_number_text(range->high, high);
    fp_problem_at(build, node, key, hint, "%s is outside %s, %s to %s", text, range->of, low, high);
}

static void read_target(struct fp_build *build, const struct fp_node *node, struct fp_kpi *kpi)
{
    const struct fp_node *target = fp_node_get(node, "target");
    const struct fp_node *good_enough = fp_node_get(node, "good_enough");
    struct range range;
    kpi->has_target = target && target->type == FP_NODE_NUMBER;
    kpi->has_good_enough = good_enough && good_enough->type == FP_NODE_NUMBER;
    kpi->target = fp_node_number(node, "target", 0);
    kpi->good_enough = fp_node_number(node, "good_enough", 0);
    bool known = value_range(build, kpi, &range); /* if not, nor is the direction */
    if (known) {
        check_value(build, node, "target", &range);
        check_value(build, node, "good_enough", &range);
    }
    if (good_enough && target == NULL)
        fp_problem_at(build, good_enough, NULL, "add \"target\"", "good enough for which target?");
    bool higher = kpi->direction == FP_HIGHER_IS_BETTER;
    if (known && kpi->has_target && kpi->has_good_enough &&
        (higher ? kpi->good_enough > kpi->target : kpi->good_enough < kpi->target))
        fp_problem_at(build, good_enough, NULL, "swap them, or set \"direction\"",
                      "good enough is better than the target (%s is better)",
                      higher ? "higher" : "lower");
}

static void read_benchmark(struct fp_build *build, const struct fp_node *kpi_node,
                           struct fp_kpi *kpi)
{
    const struct fp_node *node = fp_node_get(kpi_node, "benchmark");
    struct fp_external_benchmark *benchmark = &kpi->benchmark;
    struct range range;
    *benchmark = (struct fp_external_benchmark){.from = INT32_MIN, .until = INT32_MAX};
    if (node == NULL || node->type != FP_NODE_OBJECT)
        return;
    benchmark->present = true;
    benchmark->value = fp_node_number(node, "value", 0);
    benchmark->sd = fp_node_number(node, "sd", NAN);
    benchmark->n = fp_node_number(node, "n", NAN);
    benchmark->source = fp_node_string(node, "source", "");
    bool from = fp_build_day(node, "from", &benchmark->from);
    bool until = fp_build_day(node, "until", &benchmark->until);
    if (from && until && benchmark->until < benchmark->from)
        fp_problem_at(build, node, "until", "swap \"from\" and \"until\"", "ends before it begins");
    if (benchmark->source[0] == '\0' && fp_node_get(node, "source") &&
        fp_node_get(node, "source")->type == FP_NODE_STRING)
        fp_problem_at(build, node, "source", "say who published it, and when",
                      "a benchmark of unknown origin cannot be judged");
    if (value_range(build, kpi, &range))
        check_value(build, node, "value", &range);
}

/* ---- how many at once ------------------------------------------------------------------------ */

static int descending(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

static int main_journey(const struct fp_model *model, int journey)
{
    if (journey == FP_NONE || model->journeys[journey].parent == FP_NONE)
        return journey;
    return model->journeys[journey].parent;
}

/* The most KPIs one message of this main journey (FP_NONE: of another) and audience can count in:
 * all that events count in, or the FP_SCORES_MAX items that count in most. `per_item` is room for
 * one count per item. */
static int most_at_once(const struct fp_model *model, int journey, int audience, int *per_item)
{
    int events = 0, answers = 0, invitations = 0;
    memset(per_item, 0, (size_t)model->item_count * sizeof *per_item);
    for (int i = 0; i < model->kpi_count; i++) {
        const struct fp_kpi *kpi = &model->kpis[i];
        if (kpi->journey != FP_NONE && main_journey(model, kpi->journey) != journey)
            continue;
        if (fp_kpi_of_events(kpi))
            events += kpi->touchpoint == FP_NONE;
        else if (kpi->item != FP_NONE && (int)kpi->audience == audience)
            per_item[kpi->item]++;
        else if (kpi->item == FP_NONE) /* a response as a whole */
            answers += (int)kpi->audience == audience;
        invitations += kpi->source == FP_SOURCE_RESPONSE_RATE;
    }
    qsort(per_item, (size_t)model->item_count, sizeof *per_item, descending);
    for (int i = 0; i < model->item_count && i < FP_SCORES_MAX; i++)
        answers += per_item[i];
    int most = events > answers ? events : answers;
    return most > invitations ? most : invitations;
}

/* KPIs of touchpoint events: those of one touchpoint come on top of those of any. */
static int most_at_touchpoint(struct fp_build *build)
{
    const struct fp_model *model = build->model;
    int *at = fp_arena_alloc(build->arena, (size_t)model->touchpoint_count + 1, sizeof *at);
    int most = 0;
    for (int i = 0; i < model->kpi_count; i++) {
        int touchpoint = model->kpis[i].touchpoint;
        if (fp_kpi_of_events(&model->kpis[i]) && touchpoint != FP_NONE && ++at[touchpoint] > most)
            most = at[touchpoint];
    }
    return most;
}

static void check_contributions(struct fp_build *build)
{
    const struct fp_model *model = build->model;
    int *per_item = fp_arena_alloc(build->arena, (size_t)model->item_count + 1, sizeof *per_item);
    int most = 0, touchpoint = most_at_touchpoint(build);
    if (model->kpi_count <= FP_CONTRIBUTIONS_MAX)
        return;
    for (int journey = FP_NONE; journey < model->journey_count; journey++) {
        if (main_journey(model, journey) != journey)
            continue;
        for (int audience = 0; audience < FP_AUDIENCES; audience++) {
            int count = most_at_once(model, journey, audience, per_item) + touchpoint;
            most = count > most ? count : most;
        }
    }
    if (most > FP_CONTRIBUTIONS_MAX)
        fp_problem_at(build, fp_node_get(build->root, "kpis"), NULL,
                      "scope KPIs to journeys or touchpoints; units and channels need no KPIs of "
                      "their own",
                      "one message could count in %d KPIs, more than %d", most,
                      FP_CONTRIBUTIONS_MAX);
}

void fp_model_read_kpis(struct fp_build *build)
{
    struct fp_model *model = build->model;
    const struct fp_node *list = fp_node_list(build->root, "kpis");
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        struct fp_kpi *kpi = &model->kpis[at->index];
        kpi->statement = fp_node_string(at, "statement", "");
        kpi->journey = fp_build_ref(build, fp_node_get(at, "journey"), FP_KIND_JOURNEY);
        kpi->touchpoint = fp_build_ref(build, fp_node_get(at, "touchpoint"), FP_KIND_TOUCHPOINT);
        kpi->owner = fp_build_ref(build, fp_node_get(at, "owner"), FP_KIND_OWNER);
        fp_model_read_source(build, at, kpi);
        bool outcome = kpi->item != FP_NONE && model->items[kpi->item].kind == FP_ITEM_OUTCOME;
        kpi->role = fp_node_string(at, "role", outcome ? "output" : "input");
        read_audience(build, at, kpi);
        check_scope(build, at, kpi);
        const char *grain = fp_node_string(at, "grain", fp_kpi_of_events(kpi) ? "hour" : "day");
        kpi->grain = strcmp(grain, "hour") == 0 ? FP_GRAIN_HOUR : FP_GRAIN_DAY;
        kpi->direction = fp_build_direction(at, default_direction(model, kpi));
        read_target(build, at, kpi);
        read_benchmark(build, at, kpi);
    }
    check_contributions(build);
}
