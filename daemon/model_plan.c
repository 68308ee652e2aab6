/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is done with the KPIs: driver models, interventions, brand promises, the alert budget. */
#include <stdio.h>
#include <string.h>

#include "daemon/model_build.h"

#define PREDICTORS_MAX 40
#define DRIVER_MODELS_MAX 64 /* one response can be a row of each: FP_FITTED_MAX */

/* ---- driver models --------------------------------------------------------------------------- */

static void check_predictors(struct fp_build *build, const struct fp_node *node,
                             const struct fp_driver_model *model)
{
    const struct fp_node *list = fp_node_list(node, "drivers");
    const char *outcome = fp_node_string(node, "outcome", NULL);
    for (const struct fp_node *at = list ? list->child : NULL; at && outcome; at = at->next) {
        if (at->type == FP_NODE_STRING && strcmp(at->text, outcome) == 0)
            fp_problem_at(build, at, NULL, "remove it", "the outcome cannot be its own driver");
    }
    const struct fp_node *measures = fp_node_list(node, "measures");
    int count = (list ? list->count : 0) + (measures ? measures->count : 0);
    if (count == 0)
        fp_problem_at(build, node, "drivers",
                      "name items in \"drivers\" or measures in "
                      "\"measures\"",
                      "a driver model needs at least one driver or measure");
    if (count > PREDICTORS_MAX)
        fp_problem_at(build, node, "drivers", "keep those you could act on",
                      "%d drivers and measures are more than %d", count, PREDICTORS_MAX);
    if (model->join_window_hours > 0 && model->measure_count == 0)
        fp_problem_at(build, node, "join_window_hours", "remove it, or name \"measures\"",
                      "only measures are joined to answers");
}

static void check_driver_scope(struct fp_build *build, const struct fp_node *node,
                               const struct fp_driver_model *driver_model)
{
    const struct fp_model *model = build->model;
    int own =
        driver_model->outcome == FP_NONE ? FP_NONE : model->items[driver_model->outcome].touchpoint;
    int touchpoint = driver_model->touchpoint != FP_NONE ? driver_model->touchpoint : own;
    if (own != FP_NONE && touchpoint != own)
        fp_problem_at(build, node, "touchpoint", "remove it",
                      "the outcome counts at \"%s\", so this finds no answers",
                      model->touchpoints[own].id);
    if (touchpoint != FP_NONE && driver_model->journey != FP_NONE &&
        model->journeys[driver_model->journey].touchpoint_count > 0 &&
        !fp_journey_has(model, driver_model->journey, touchpoint))
        fp_problem_at(build, node, "journey", "add it to the journey, or choose another journey",
                      "the touchpoint \"%s\" is no part of the journey \"%s\"",
                      model->touchpoints[touchpoint].id, model->journeys[driver_model->journey].id);
}

static void read_segments(struct fp_build *build, const struct fp_node *node,
                          struct fp_driver_model *model)
{
    const struct fp_node *list = fp_node_list(node, "segments");
    model->segments = fp_build_texts(build, list, &model->segment_count);
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        for (const struct fp_node *other = list->child; other != at; other = other->next) {
            if (at->type == FP_NODE_STRING && other->type == FP_NODE_STRING &&
                strcmp(at->text, other->text) == 0) {
                fp_problem_at(build, at, NULL, "remove it", "\"%.40s\" is named twice", at->text);
                break;
            }
        }
        if (at->type == FP_NODE_STRING && strcmp(at->text, "tenure") == 0 &&
            (model->journey == FP_NONE ||
             build->model->journeys[model->journey].audience != FP_AUDIENCE_EMPLOYEE))
            fp_problem_at(build, at, NULL, "name an employee journey in \"journey\", or remove it",
                          "only employees have a tenure");
    }
    if (list == NULL || list->count == 0) {
        const char **all = fp_arena_alloc(build->arena, 1, sizeof *all);
        all[0] = "all";
        model->segments = all;
        model->segment_count = 1;
    }
}

static void read_driver_model(struct fp_build *build, const struct fp_node *node)
{
    struct fp_driver_model *driver_model = &build->model->driver_models[node->index];
    driver_model->outcome = fp_build_ref(build, fp_node_get(node, "outcome"), FP_KIND_ITEM);
    driver_model->drivers = fp_build_refs(build, fp_node_list(node, "drivers"), FP_KIND_ITEM,
                                          &driver_model->driver_count);
    driver_model->measures = fp_build_refs(build, fp_node_list(node, "measures"), FP_KIND_MEASURE,
                                           &driver_model->measure_count);
    driver_model->journey = fp_build_ref(build, fp_node_get(node, "journey"), FP_KIND_JOURNEY);
    driver_model->touchpoint =
        fp_build_ref(build, fp_node_get(node, "touchpoint"), FP_KIND_TOUCHPOINT);
    driver_model->join_window_hours = fp_node_int(node, "join_window_hours", 0);
    const struct fp_node *panel = fp_node_get(node, "panel");
    driver_model->panel = panel && panel->type == FP_NODE_BOOL && panel->number != 0;
    int kept = build->model->responses_days;
    driver_model->window_days = fp_node_int(node, "window_days", kept < 90 ? kept : 90);
    if (driver_model->outcome != FP_NONE &&
        build->model->items[driver_model->outcome].kind != FP_ITEM_OUTCOME)
        fp_problem_at(build, node, "outcome", "set the item's \"kind\" to outcome, or name another",
                      "\"%.80s\" is not an item of kind outcome",
                      build->model->items[driver_model->outcome].id);
    if (driver_model->window_days > kept)
        fp_problem_at(build, node, "window_days", "shorten it, or raise retention_days.responses",
                      "%d days is longer than responses are kept (%d)", driver_model->window_days,
                      kept);
    check_predictors(build, node, driver_model);
    check_driver_scope(build, node, driver_model);
    read_segments(build, node, driver_model);
}

/* ---- interventions --------------------------------------------------------------------------- */

static void read_target(struct fp_build *build, const struct fp_node *node,
                        struct fp_intervention *intervention)
{
    const struct fp_model *model = build->model;
    const struct fp_node *kpi = fp_node_get(node, "kpi"), *driver = fp_node_get(node, "driver");
    enum fp_direction direction = FP_HIGHER_IS_BETTER;
    int kpi_id = fp_build_ref(build, kpi, FP_KIND_KPI);
    int driver_id = fp_build_ref(build, driver, FP_KIND_ITEM);
    if ((kpi == NULL) == (driver == NULL))
        fp_problem_at(build, node, "kpi", "name what it should move",
                      "give exactly one of \"kpi\" and \"driver\"");
    intervention->target_is_kpi = kpi != NULL;
    intervention->target = fp_node_string(node, kpi ? "kpi" : "driver", "");
    if (kpi_id != FP_NONE)
        direction = model->kpis[kpi_id].direction;
    else if (driver_id != FP_NONE)
        direction = model->items[driver_id].direction;
    else
        return;
    intervention->expected_effect = fp_node_number(node, "expected_effect", 0);
    if (direction == FP_HIGHER_IS_BETTER ? intervention->expected_effect < 0
                                         : intervention->expected_effect > 0)
        fp_problem_at(build, node, "expected_effect",
                      "turn the sign: effects are signed changes of the value",
                      "this would make it worse: %s is better",
                      direction == FP_HIGHER_IS_BETTER ? "higher" : "lower");
}

static void read_intervention(struct fp_build *build, const struct fp_node *node)
{
    struct fp_intervention *intervention = &build->model->interventions[node->index];
    intervention->text = fp_node_string(node, "text", intervention->id);
    intervention->status = fp_node_string(node, "status", "planned");
    intervention->owner = fp_build_ref(build, fp_node_get(node, "owner"), FP_KIND_OWNER);
    intervention->units =
        fp_build_refs(build, fp_node_list(node, "units"), FP_KIND_UNIT, &intervention->unit_count);
    intervention->start = fp_node_string(node, "start", NULL);
    intervention->due = fp_node_string(node, "due", NULL);
    intervention->cost = fp_node_number(node, "cost", 0);
    if (intervention->start && intervention->due && fp_date_valid(intervention->start) &&
        fp_date_valid(intervention->due) && strcmp(intervention->due, intervention->start) < 0)
        fp_problem_at(build, node, "due", "", "due before it starts");
    read_target(build, node, intervention);
}

/* ---- promises, alerts ------------------------------------------------------------------------ */

static void read_delivery(struct fp_build *build, const struct fp_node *list,
                          struct fp_promise *promise)
{
    promise->delivery = fp_build_texts(build, list, &promise->delivery_count);
    if (list && list->count == 0)
        fp_problem_at(build, list, NULL, "name the items and KPIs that show whether it is kept",
                      "nothing delivers this promise");
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        if (at->type == FP_NODE_STRING)
            (void)fp_build_ref_either(build, at, FP_KIND_ITEM, FP_KIND_KPI);
    }
}

static void read_promise(struct fp_build *build, const struct fp_node *node)
{
    struct fp_promise *promise = &build->model->promises[node->index];
    promise->text = fp_node_string(node, "text", promise->id);
    promise->promise = fp_build_ref(build, fp_node_get(node, "promise"), FP_KIND_ITEM);
    if (promise->promise != FP_NONE &&
        build->model->items[promise->promise].kind != FP_ITEM_PROMISE)
        fp_problem_at(build, node, "promise", "set the item's \"kind\" to promise, or name another",
                      "\"%.80s\" is not an item of kind promise",
                      build->model->items[promise->promise].id);
    read_delivery(build, fp_node_list(node, "delivery"), promise);
}

static void read_alerts(struct fp_build *build)
{
    const struct fp_node *alerts = fp_node_get(build->root, "alerts");
    const struct fp_node *list = fp_node_list(alerts, "calendar");
    struct fp_calendar_entry *calendar =
        fp_arena_alloc(build->arena, list ? (size_t)list->count + 1 : 1, sizeof *calendar);
    build->model->false_episodes_per_year = fp_node_number(alerts, "false_episodes_per_year", 12);
    build->model->calendar = calendar;
    for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next) {
        struct fp_calendar_entry *entry = &calendar[build->model->calendar_count++];
        entry->text = fp_node_string(at, "text", "");
        if (fp_build_day(at, "from", &entry->from) && fp_build_day(at, "to", &entry->until) &&
            entry->until < entry->from)
            fp_problem_at(build, at, "to", "swap \"from\" and \"to\"", "ends before it begins");
    }
}

void fp_model_read_plan(struct fp_build *build)
{
    static const struct {
        const char *key;
        void (*read)(struct fp_build *build, const struct fp_node *node);
    } lists[] = {{"driver_models", read_driver_model},
                 {"interventions", read_intervention},
                 {"promises", read_promise}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct fp_node *list = fp_node_list(build->root, lists[i].key);
        for (const struct fp_node *at = list ? list->child : NULL; at; at = at->next)
            lists[i].read(build, at);
    }
    if (build->model->driver_model_count > DRIVER_MODELS_MAX)
        fp_problem_at(build, build->root, "driver_models", "keep those that somebody reads",
                      "%d driver models are more than %d", build->model->driver_model_count,
                      DRIVER_MODELS_MAX);
    read_alerts(build);
}
