/* SPDX-License-Identifier: GPL-3.0-or-later */
/* KPIs: what each counts, where, for whom, and whether its target can be met at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"
#include "daemon/resolve.h"

struct range { /* of a KPI's value */
    double low, high;
    const char *of; /* in words */
    bool share;
};

/* ---- source ---------------------------------------------------------------------------------- */

static enum fp_outcome outcome_of(const char *text)
{
    static const char *const names[] = {"completed", "failed", "abandoned", "recovered"};
    for (int i = 0; i < FP_OUTCOMES; i++) {
        if (strcmp(text, names[i]) == 0)
            return (enum fp_outcome)i;
    }
    return FP_OUTCOME_COMPLETED;
}

static void read_measure_source(struct fp_build *build, const struct fp_node *source,
                                struct fp_kpi *kpi)
{
    const struct fp_node *within = fp_node_get(source, "within");
    const struct fp_node *quantile = fp_node_get(source, "quantile");
    kpi->measure = fp_build_ref(build, fp_node_get(source, "measure"), FP_KIND_MEASURE);
    kpi->source = within     ? FP_SOURCE_MEASURE_WITHIN
                  : quantile ? FP_SOURCE_MEASURE_QUANTILE
                             : FP_SOURCE_MEASURE_MEAN;
    if (within && quantile)
        fp_problem_at(build, source, NULL, "make two KPIs of it",
                      "give at most one of \"within\" and \"quantile\"");
    kpi->quantile = fp_node_number(source, "quantile", 0);
    if (quantile && quantile->type == FP_NODE_NUMBER && (kpi->quantile <= 0 || kpi->quantile >= 1))
        fp_problem_at(build, quantile, NULL, "the 90th percentile is 0.9",
                      "a quantile lies between 0 and 1");
    if (within == NULL || kpi->measure == FP_NONE || build->bad_measures[kpi->measure])
        return;
    const struct fp_measure *measure = &build->model->measures[kpi->measure];
    if (fp_build_fixed(build, within, measure->decimals, &kpi->within) &&
        (kpi->within < measure->min || kpi->within >= measure->max))
        fp_problem_at(build, within, NULL, "name a limit that some events can miss",
                      "outside the measure's min to max, so the share is always 0 or 1");
}

static void read_source(struct fp_build *build, const struct fp_node *node, struct fp_kpi *kpi)
{
    const struct fp_node *source = fp_node_get(node, "source");
    const struct fp_node *item = fp_node_get(source, "item");
    const struct fp_node *measure = fp_node_get(source, "measure");
    const struct fp_node *outcome = fp_node_get(source, "outcome");
    kpi->item = kpi->measure = FP_NONE;
    if (source == NULL || source->type != FP_NODE_OBJECT)
        return; /* reported already */
    if ((item != NULL) + (measure != NULL) + (outcome != NULL) != 1)
        fp_problem_at(build, source, NULL, "a KPI counts one thing",
                      "give exactly one of \"item\", \"measure\" and \"outcome\"");
    if (measure == NULL && (fp_node_get(source, "within") || fp_node_get(source, "quantile")))
        fp_problem_at(build, source, NULL, "add \"measure\", or remove them",
                      "\"within\" and \"quantile\" are of a measure");
    if (item) {
        kpi->source = FP_SOURCE_ITEM;
        kpi->item = fp_build_ref(build, item, FP_KIND_ITEM);
    } else if (measure) {
        read_measure_source(build, source, kpi);
    } else if (outcome) {
        kpi->source = FP_SOURCE_OUTCOME;
        kpi->outcome = outcome_of(fp_node_string(source, "outcome", ""));
    }
}

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
}

static void check_scope(struct fp_build *build, const struct fp_node *node,
                        const struct fp_kpi *kpi)
{
    const struct fp_model *model = build->model;
    int own = kpi->item == FP_NONE ? FP_NONE : model->items[kpi->item].touchpoint;
    if (own != FP_NONE && kpi->touchpoint != FP_NONE && own != kpi->touchpoint)
        fp_problem_at(build, node, "touchpoint", "remove it",
                      "the item counts at \"%s\", so this counts nothing",
                      model->touchpoints[own].id);
    int touchpoint = kpi->touchpoint != FP_NONE ? kpi->touchpoint : own;
    if (touchpoint != FP_NONE && kpi->journey != FP_NONE &&
        model->journeys[kpi->journey].touchpoint_count > 0 &&
        !fp_journey_has(model, kpi->journey, touchpoint))
        fp_problem_at(build, node, "journey", "add it to the journey, or choose another journey",
                      "the touchpoint \"%s\" is no part of the journey \"%s\"",
                      model->touchpoints[touchpoint].id, model->journeys[kpi->journey].id);
    if (kpi->source != FP_SOURCE_ITEM && kpi->journey != FP_NONE &&
        model->journeys[kpi->journey].tenure != FP_TENURE_NONE &&
        model->journeys[kpi->journey].touchpoint_count == 0)
        fp_problem_at(build, node, "journey", "use the main journey, or an item",
                      "touchpoint events have no tenure, so this counts nothing");
}

/* ---- direction, target ----------------------------------------------------------------------- */

static enum fp_direction default_direction(const struct fp_model *model, const struct fp_kpi *kpi)
{
    switch (kpi->source) {
    case FP_SOURCE_ITEM:
        return kpi->item == FP_NONE ? FP_HIGHER_IS_BETTER : model->items[kpi->item].direction;
    case FP_SOURCE_MEASURE_MEAN:
    case FP_SOURCE_MEASURE_QUANTILE:
        return kpi->measure == FP_NONE ? FP_HIGHER_IS_BETTER
                                       : model->measures[kpi->measure].direction;
    case FP_SOURCE_OUTCOME:
        return kpi->outcome == FP_OUTCOME_FAILED || kpi->outcome == FP_OUTCOME_ABANDONED
                   ? FP_LOWER_IS_BETTER
                   : FP_HIGHER_IS_BETTER;
    case FP_SOURCE_MEASURE_WITHIN:
        break;
    }
    return FP_HIGHER_IS_BETTER;
}

static bool value_range(const struct fp_build *build, const struct fp_kpi *kpi, struct range *range)
{
    const struct fp_model *model = build->model;
    *range = (struct range){0, 1, "a share", true};
    if (kpi->source == FP_SOURCE_OUTCOME || kpi->source == FP_SOURCE_MEASURE_WITHIN)
        return true;
    if (kpi->source != FP_SOURCE_ITEM) {
        if (kpi->measure == FP_NONE || build->bad_measures[kpi->measure])
            return false;
        const struct fp_measure *measure = &model->measures[kpi->measure];
        double unit = 1;
        for (int i = 0; i < measure->decimals; i++)
            unit *= 10;
        *range = (struct range){(double)measure->min / unit, (double)measure->max / unit,
                                "the measure", false};
        return true;
    }
    if (kpi->item == FP_NONE)
        return false;
    const struct fp_item *item = &model->items[kpi->item];
    if (item->scale == FP_NONE || build->bad_scales[item->scale])
        return false;
    const struct fp_scale *scale = &model->scales[item->scale];
    if (item->metric == FP_METRIC_NPS)
        *range = (struct range){-100, 100, "a net promoter score", false};
    else if (item->metric == FP_METRIC_MEAN || item->metric == FP_METRIC_CES)
        *range = (struct range){scale->min, scale->max, "the item's scale", false};
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
    int events = 0, answers = 0;
    memset(per_item, 0, (size_t)model->item_count * sizeof *per_item);
    for (int i = 0; i < model->kpi_count; i++) {
        const struct fp_kpi *kpi = &model->kpis[i];
        if (kpi->journey != FP_NONE && main_journey(model, kpi->journey) != journey)
            continue;
        if (kpi->source != FP_SOURCE_ITEM)
            events += kpi->touchpoint == FP_NONE;
        else if (kpi->item != FP_NONE && (int)kpi->audience == audience)
            per_item[kpi->item]++;
    }
    qsort(per_item, (size_t)model->item_count, sizeof *per_item, descending);
    for (int i = 0; i < model->item_count && i < FP_SCORES_MAX; i++)
        answers += per_item[i];
    return events > answers ? events : answers;
}

/* KPIs of touchpoint events: those of one touchpoint come on top of those of any. */
static int most_at_touchpoint(struct fp_build *build)
{
    const struct fp_model *model = build->model;
    int *at = fp_arena_alloc(build->arena, (size_t)model->touchpoint_count + 1, sizeof *at);
    int most = 0;
    for (int i = 0; i < model->kpi_count; i++) {
        int touchpoint = model->kpis[i].touchpoint;
        if (model->kpis[i].source != FP_SOURCE_ITEM && touchpoint != FP_NONE &&
            ++at[touchpoint] > most)
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
        read_source(build, at, kpi);
        bool outcome = kpi->item != FP_NONE && model->items[kpi->item].kind == FP_ITEM_OUTCOME;
        kpi->role = fp_node_string(at, "role", outcome ? "output" : "input");
        read_audience(build, at, kpi);
        check_scope(build, at, kpi);
        const char *grain =
            fp_node_string(at, "grain", kpi->source == FP_SOURCE_ITEM ? "day" : "hour");
        kpi->grain = strcmp(grain, "hour") == 0 ? FP_GRAIN_HOUR : FP_GRAIN_DAY;
        kpi->direction = fp_build_direction(at, default_direction(model, kpi));
        read_target(build, at, kpi);
    }
    check_contributions(build);
}
