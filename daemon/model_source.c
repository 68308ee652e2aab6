/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a KPI counts: its "source", one of several kinds that are told apart by their first key.
 *
 * Answers: an item; an index over several items of one scale, each turned so that it points the way
 * of the KPI; straight-lining. Events: a measure's mean, quantile, share within a limit, or ratio
 * to another measure; the share of an outcome. Invitations and responses: the response rate.
 * Hazard: a response keeps what it added in 64 bits (batch.h), where the sum of an index has 16, so
 * an index may not be larger than that. */
#include <stdlib.h>
#include <string.h>

#include "daemon/model_build.h"
#include "daemon/resolve.h"

/* ---- touchpoint events ----------------------------------------------------------------------- */

static void read_outcome(struct fp_build *build, const struct fp_node *source, struct fp_kpi *kpi)
{
    static const char *const names[] = {"completed", "failed", "abandoned", "recovered"};
    const char *text = fp_node_string(source, "outcome", "");
    (void)build;
    kpi->source = FP_SOURCE_OUTCOME;
    for (int i = 0; i < FP_OUTCOMES; i++) {
        if (strcmp(text, names[i]) == 0)
            kpi->outcome = (enum fp_outcome)i;
    }
}

static void read_within(struct fp_build *build, const struct fp_node *within, struct fp_kpi *kpi)
{
    kpi->source = FP_SOURCE_MEASURE_WITHIN;
    if (kpi->measure == FP_NONE || build->bad_measures[kpi->measure])
        return;
    const struct fp_measure *measure = &build->model->measures[kpi->measure];
    if (fp_build_fixed(build, within, measure->decimals, &kpi->within) &&
        (kpi->within < measure->min || kpi->within >= measure->max))
        fp_problem_at(build, within, NULL, "name a limit that some events can miss",
                      "outside the measure's min to max, so the share is always 0 or 1");
}

static void read_per(struct fp_build *build, const struct fp_node *per, struct fp_kpi *kpi)
{
    const struct fp_model *model = build->model;
    kpi->source = FP_SOURCE_MEASURE_PER;
    kpi->per = fp_build_ref(build, per, FP_KIND_MEASURE);
    if (kpi->per == FP_NONE)
        return;
    if (kpi->per == kpi->measure)
        fp_problem_at(build, per, NULL, "divide by another measure",
                      "a measure divided by itself is always 1");
    else if (!build->bad_measures[kpi->per] && model->measures[kpi->per].min < 0)
        fp_problem_at(build, per, NULL,
                      "set the measure's \"min\" to 0 or more, or divide by another measure",
                      "\"%.80s\" can be negative, so the sum to divide by could be 0 or less",
                      model->measures[kpi->per].id);
}

static void read_measure(struct fp_build *build, const struct fp_node *source, struct fp_kpi *kpi)
{
    const struct fp_node *within = fp_node_get(source, "within");
    const struct fp_node *quantile = fp_node_get(source, "quantile");
    const struct fp_node *per = fp_node_get(source, "per");
    kpi->measure = fp_build_ref(build, fp_node_get(source, "measure"), FP_KIND_MEASURE);
    kpi->source = quantile ? FP_SOURCE_MEASURE_QUANTILE : FP_SOURCE_MEASURE_MEAN;
    if (within && quantile && per == NULL)
        fp_problem_at(build, source, NULL, "make two KPIs of it",
                      "give at most one of \"within\" and \"quantile\"");
    else if ((within || quantile) && per)
        fp_problem_at(build, source, NULL, "make two KPIs of it",
                      "give at most one of \"within\", \"quantile\" and \"per\"");
    kpi->quantile = fp_node_number(source, "quantile", 0);
    if (quantile && quantile->type == FP_NODE_NUMBER && (kpi->quantile <= 0 || kpi->quantile >= 1))
        fp_problem_at(build, quantile, NULL, "the 90th percentile is 0.9",
                      "a quantile lies between 0 and 1");
    if (within)
        read_within(build, within, kpi);
    else if (per)
        read_per(build, per, kpi);
}

/* ---- answers --------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct fp_item *x = *(const struct fp_item *const *)a;
    const struct fp_item *y = *(const struct fp_item *const *)b;
    return strcmp(x->id, y->id);
}

/* By id, so that the order in the file means nothing. */
static void sort_items(struct fp_build *build, struct fp_kpi *kpi)
{
    size_t count = (size_t)kpi->item_count;
    const struct fp_item **sorted = fp_arena_alloc(build->arena, count + 1, sizeof *sorted);
    int *items = fp_arena_alloc(build->arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &build->model->items[kpi->items[i]];
    qsort(sorted, count, sizeof *sorted, by_id);
    for (size_t i = 0; i < count; i++)
        items[i] = (int)(sorted[i] - build->model->items);
    kpi->items = items;
}

static void check_size(struct fp_build *build, const struct fp_node *list, const struct fp_kpi *kpi)
{
    const struct fp_scale *scale = fp_kpi_scale(build->model, kpi);
    int largest = abs(scale->min) > abs(scale->max) ? abs(scale->min) : abs(scale->max);
    if (kpi->item_count > FP_SCORES_MAX)
        fp_problem_at(build, list, NULL, "make several indices of it",
                      "a response has at most %d answers, not %d", FP_SCORES_MAX, kpi->item_count);
    else if (kpi->item_count * largest > INT16_MAX)
        fp_problem_at(build, list, NULL, "name fewer items, or use a scale of smaller numbers",
                      "%d items of up to %d points sum to more than %d", kpi->item_count, largest,
                      INT16_MAX);
}

static void read_index(struct fp_build *build, const struct fp_node *list, struct fp_kpi *kpi)
{
    const struct fp_model *model = build->model;
    kpi->source = FP_SOURCE_INDEX;
    if (list->type != FP_NODE_ARRAY)
        return; /* reported already */
    kpi->items = fp_build_refs(build, list, FP_KIND_ITEM, &kpi->item_count);
    if (list->count < 2)
        fp_problem_at(build, list, NULL, "name more, or use {\"item\": …}",
                      "an index is over at least two items");
    if (kpi->item_count == 0)
        return;
    int scale = model->items[kpi->items[0]].scale;
    bool same = true, known = scale != FP_NONE && !build->bad_scales[scale];
    for (int i = 1; i < kpi->item_count; i++) {
        const struct fp_item *item = &model->items[kpi->items[i]];
        if (item->scale == FP_NONE)
            known = false;
        else if (known && same && item->scale != scale) {
            same = false;
            fp_problem_at(build, list, NULL, "make an index per scale",
                          "\"%.60s\" is on the scale \"%.40s\", \"%.60s\" on \"%.40s\"",
                          model->items[kpi->items[0]].id, model->scales[scale].id, item->id,
                          model->scales[item->scale].id);
        }
    }
    if (known && same)
        check_size(build, list, kpi);
    sort_items(build, kpi);
}

static void read_straight_lining(struct fp_build *build, const struct fp_node *node,
                                 struct fp_kpi *kpi)
{
    const struct fp_model *model = build->model;
    kpi->source = FP_SOURCE_STRAIGHT_LINING;
    if (node->type != FP_NODE_BOOL)
        return;
    if (node->number == 0) {
        fp_problem_at(build, node, NULL, "write true, or remove the KPI", "this counts nothing");
        return;
    }
    int *items = fp_arena_alloc(build->arena, (size_t)model->scale_count + 1, sizeof *items);
    int most = 0;
    for (int i = 0; i < model->item_count; i++) {
        int scale = model->items[i].scale;
        if (scale != FP_NONE && ++items[scale] > most)
            most = items[scale];
    }
    if (most < FP_STRAIGHT_MIN)
        fp_problem_at(build, node, NULL, "remove the KPI",
                      "no scale has %d items, so nobody can answer them all alike",
                      FP_STRAIGHT_MIN);
}

/* ---- invitations and responses --------------------------------------------------------------- */

static void read_response_rate(struct fp_build *build, const struct fp_node *node,
                               struct fp_kpi *kpi)
{
    kpi->source = FP_SOURCE_RESPONSE_RATE;
    if (node->type == FP_NODE_STRING)
        kpi->survey = node->text;
    else if (node->type == FP_NODE_BOOL && node->number == 0)
        fp_problem_at(build, node, NULL, "write true for all surveys, or the name of one",
                      "this counts nothing");
}

/* ---- which kind ------------------------------------------------------------------------------ */

void fp_model_read_source(struct fp_build *build, const struct fp_node *node, struct fp_kpi *kpi)
{
    static const char *const kinds[] = {"item",    "items",         "measure",
                                        "outcome", "response_rate", "straight_lining"};
    const struct fp_node *source = fp_node_get(node, "source");
    const struct fp_node *found[6];
    int given = 0;
    kpi->item = kpi->measure = kpi->per = FP_NONE;
    if (source == NULL || source->type != FP_NODE_OBJECT)
        return; /* reported already */
    for (int i = 0; i < 6; i++) {
        found[i] = fp_node_get(source, kinds[i]);
        given += found[i] != NULL;
    }
    if (given != 1)
        fp_problem_at(build, source, NULL, "a KPI counts one thing",
                      "give exactly one of \"item\", \"items\", \"measure\", \"outcome\", "
                      "\"response_rate\" and \"straight_lining\"");
    if (found[2] == NULL && (fp_node_get(source, "within") || fp_node_get(source, "quantile") ||
                             fp_node_get(source, "per")))
        fp_problem_at(build, source, NULL, "add \"measure\", or remove them",
                      "\"within\", \"quantile\" and \"per\" are of a measure");
    if (found[0]) {
        kpi->source = FP_SOURCE_ITEM;
        kpi->item = fp_build_ref(build, found[0], FP_KIND_ITEM);
    } else if (found[1]) {
        read_index(build, found[1], kpi);
    } else if (found[2]) {
        read_measure(build, source, kpi);
    } else if (found[3]) {
        read_outcome(build, source, kpi);
    } else if (found[4]) {
        read_response_rate(build, found[4], kpi);
    } else if (found[5]) {
        read_straight_lining(build, found[5], kpi);
    }
}

/* ---- what its numbers are -------------------------------------------------------------------- */

int fp_kpi_decimals(const struct fp_model *model, const struct fp_kpi *kpi)
{
    switch (kpi->source) {
    case FP_SOURCE_MEASURE_MEAN:
    case FP_SOURCE_MEASURE_QUANTILE:
        return model->measures[kpi->measure].decimals;
    case FP_SOURCE_MEASURE_PER:
        return model->measures[kpi->measure].decimals - model->measures[kpi->per].decimals;
    case FP_SOURCE_ITEM:
    case FP_SOURCE_MEASURE_WITHIN:
    case FP_SOURCE_OUTCOME:
    case FP_SOURCE_INDEX:
    case FP_SOURCE_RESPONSE_RATE:
    case FP_SOURCE_STRAIGHT_LINING:
    case FP_SOURCES:
        break;
    }
    return 0;
}

const struct fp_scale *fp_kpi_scale(const struct fp_model *model, const struct fp_kpi *kpi)
{
    int item = FP_NONE;
    if (kpi->source == FP_SOURCE_ITEM)
        item = kpi->item;
    else if (kpi->source == FP_SOURCE_INDEX && kpi->item_count > 0)
        item = kpi->items[0];
    if (item == FP_NONE || model->items[item].scale == FP_NONE)
        return NULL;
    return &model->scales[model->items[item].scale];
}

const char *fp_kpi_metric(const struct fp_model *model, const struct fp_kpi *kpi)
{
    static const char *const metrics[] = {"nps", "csat", "ces", "mean", "top_box"};
    static const char *const names[FP_SOURCES] = {[FP_SOURCE_ITEM] = "",
                                                  [FP_SOURCE_MEASURE_MEAN] = "measure_mean",
                                                  [FP_SOURCE_MEASURE_WITHIN] = "share",
                                                  [FP_SOURCE_MEASURE_QUANTILE] = "quantile",
                                                  [FP_SOURCE_OUTCOME] = "share",
                                                  [FP_SOURCE_INDEX] = "index",
                                                  [FP_SOURCE_MEASURE_PER] = "ratio",
                                                  [FP_SOURCE_RESPONSE_RATE] = "response_rate",
                                                  [FP_SOURCE_STRAIGHT_LINING] = "share"};
    if (kpi->source == FP_SOURCE_ITEM)
        return metrics[model->items[kpi->item].metric];
    return names[kpi->source];
}
