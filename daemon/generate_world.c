/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is true in the generated world: who exists, what matters, what goes wrong and when.
 *
 * Everything here follows from the model and the seed, before the first message is drawn, and ends
 * up in the truth file. Quality is measured in shares of a scale: an outcome is 0.62 + Σ importance
 * × (driver − 0.6) + unit effect + planted shift + operations + noise, so the regression
 * coefficient to find is importance × (outcome range / driver range). Drivers do not depend on
 * unit, time or measures: what is planted never biases the coefficients. */
#include "daemon/generate_parts.h"

#include <stdio.h>
#include <stdlib.h>

const struct fp_mix fp_mix_programme = {.invitation = 0.95,
                                        .response = 0.5,
                                        .unasked = 0.1,
                                        .revise = 0.05,
                                        .voided = 0.015,
                                        .void_first = 0.005,
                                        .out_of_order = 0.2,
                                        .duplicate = 0.012,
                                        .conflict = 0.25,
                                        .cases = 0.35,
                                        .employee = 0.05,
                                        .internal = 0.012,
                                        .relationship = 0.02,
                                        .bad = 0.01,
                                        .late_hours = 0.01,
                                        .late_days = 0.003,
                                        .unmapped = 0.004,
                                        .new_unit = 0.002,
                                        .binary = 0.1,
                                        .plain = 0.1,
                                        .wire = 0.03,
                                        .odd_text = 0.03,
                                        .comment = 0.1,
                                        .skipped = 0.05,
                                        .partial = 0.06,
                                        .weighted = 0.05,
                                        .own_measures = 0.1,
                                        .walks = true,
                                        .headers = true};

const struct fp_mix fp_mix_reference = {
    .unasked = 3.0 / 7.0, .duplicate = 0.005, .bad = 0.001, .drivers_asked = 8};

const char *const fp_channels[FP_CHANNELS] = {"branch", "app", "web", "phone", "email", "sms"};

/* Local hour of the day → weight; and of the weekday, Monday first. */
static const uint32_t hour_weight[24] = {14, 9,  7,  6,  7,  11, 20, 34, 52, 68, 80, 86,
                                         90, 84, 80, 78, 76, 70, 62, 54, 46, 38, 28, 20};
static const uint32_t weekday_weight[7] = {105, 100, 98, 102, 110, 80, 50};

static bool build_units(struct fp_world *w, const struct fp_generate_params *params,
                        struct cx_random *random)
{
    const struct fp_model *model = w->model;
    bool *inner = calloc((size_t)model->unit_count + 1, sizeof *inner);
    if (inner == NULL)
        return false;
    uint32_t leaves = 0;
    for (int i = 0; i < model->unit_count; i++)
        if (model->units[i].parent != FP_NONE)
            inner[model->units[i].parent] = true;
    for (int i = 0; i < model->unit_count; i++)
        leaves += !inner[i];
    uint32_t count = params->units > 0 ? (uint32_t)params->units : leaves > 0 ? leaves : 10;
    uint32_t spare = 4; /* undeclared, met rarely: registered by whoever reads the stream */
    uint32_t total = count + (w->mix.new_unit > 0 ? spare : 0);
    w->units = calloc(total, sizeof *w->units);
    w->unit_effect = calloc(total, sizeof *w->unit_effect);
    w->unit_cumulative = calloc(total, sizeof *w->unit_cumulative);
    w->treated = calloc(total, sizeof *w->treated);
    w->names = malloc((size_t)total * 16);
    if (!w->units || !w->unit_effect || !w->unit_cumulative || !w->treated || !w->names) {
        free(inner);
        return false;
    }
    uint64_t sum = 0;
    uint32_t n = 0;
    for (int i = 0; i < model->unit_count && n < count; i++)
        if (!inner[i])
            w->units[n++] = model->units[i].id;
    for (; n < total; n++) {
        snprintf(w->names + (size_t)n * 16, 16, "%s-%u", n < count ? "unit" : "new", n + 1);
        w->units[n] = w->names + (size_t)n * 16;
    }
    for (uint32_t i = 0; i < total; i++) {
        w->unit_effect[i] = 0.04 * cx_random_normal(random);
        sum += i < count ? UINT64_C(1000000000) / (i + 1) : 0; /* Zipf: rank r has weight 1/r */
        w->unit_cumulative[i] = sum;
    }
    w->unit_count = total;
    free(inner);
    return true;
}

/* The detailed journey of `main` that holds the touchpoint. */
static int detailed_of(const struct fp_model *model, int main, int touchpoint)
{
    for (int i = 0; i < model->journey_count; i++) {
        const struct fp_journey *journey = &model->journeys[i];
        for (int k = 0; journey->parent == main && k < journey->touchpoint_count; k++)
            if (journey->touchpoints[k] == touchpoint)
                return i;
    }
    return FP_NONE;
}

static bool build_routes(struct fp_world *w)
{
    const struct fp_model *model = w->model;
    uint32_t stops = 0;
    for (int i = 0; i < model->journey_count; i++)
        stops += (uint32_t)model->journeys[i].touchpoint_count;
    w->stops = calloc((size_t)stops + 1, sizeof *w->stops);
    w->routes = calloc((size_t)model->journey_count + 1, sizeof *w->routes);
    if (w->stops == NULL || w->routes == NULL)
        return false;
    w->employee_journey = FP_NONE;
    for (int i = 0; i < model->journey_count; i++) {
        const struct fp_journey *journey = &model->journeys[i];
        if (journey->parent != FP_NONE)
            continue;
        if (journey->audience == FP_AUDIENCE_EMPLOYEE && w->employee_journey == FP_NONE)
            w->employee_journey = i;
        if (journey->audience != FP_AUDIENCE_CUSTOMER || journey->touchpoint_count == 0)
            continue;
        w->routes[w->route_count++] =
            (struct fp_route){w->stop_count, (uint32_t)journey->touchpoint_count};
        for (int k = 0; k < journey->touchpoint_count; k++)
            w->stops[w->stop_count++] = (struct fp_stop){
                i, detailed_of(model, i, journey->touchpoints[k]), journey->touchpoints[k]};
    }
    return true;
}

static void mark_audience(struct fp_world *w, int item, int journey, enum fp_audience audience)
{
    if (item == FP_NONE)
        return;
    if (journey != FP_NONE)
        audience = w->model->journeys[journey].audience;
    if (audience == FP_AUDIENCE_EMPLOYEE)
        w->items[item].employee = true;
    else
        w->items[item].customer = true;
}

/* Who is asked what: items that only employees' KPIs and driver models use are asked of employees.
 */
static void mark_items(struct fp_world *w)
{
    const struct fp_model *model = w->model;
    for (int i = 0; i < model->kpi_count; i++)
        mark_audience(w, model->kpis[i].item, model->kpis[i].journey, model->kpis[i].audience);
    for (int i = 0; i < model->driver_model_count; i++) {
        const struct fp_driver_model *m = &model->driver_models[i];
        mark_audience(w, m->outcome, m->journey, FP_AUDIENCE_CUSTOMER);
        for (int k = 0; k < m->driver_count; k++)
            mark_audience(w, m->drivers[k], m->journey, FP_AUDIENCE_CUSTOMER);
    }
    for (int i = 0; i < model->item_count; i++) {
        struct fp_world_item *item = &w->items[i];
        item->customer |= !item->employee || model->items[i].touchpoint != FP_NONE;
        item->outcome = model->items[i].kind == FP_ITEM_OUTCOME;
        w->customer_items |= item->customer;
        w->employee_items |= item->employee;
        w->touchpoint_items |= model->items[i].touchpoint != FP_NONE;
    }
}

/* The group whose drivers compete with each other: employees' all, customers' by main journey. */
static int group_of(const struct fp_world *w, int item)
{
    int at = w->model->items[item].touchpoint;
    if (w->items[item].outcome)
        return w->model->journey_count + 2;
    if (w->items[item].employee)
        return w->model->journey_count + 1;
    int journey = at == FP_NONE ? FP_NONE : w->model->touchpoints[at].only_journey;
    return journey == FP_NONE ? w->model->journey_count : journey;
}

/* Importances fall by a factor from driver to driver, in an order the seed decides; of six or more
 * drivers the last quarter does not matter at all. They sum to `total`. */
static void draw_importance(struct fp_world *w, int group, double total, int *order,
                            struct cx_random *random)
{
    int count = 0;
    for (int i = 0; i < w->model->item_count; i++)
        if (group_of(w, i) == group)
            order[count++] = i;
    for (int i = count - 1; i > 0; i--) {
        int k = (int)cx_random_below(random, (uint32_t)i + 1), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
    int matter = count >= 6 ? count - count / 4 : count;
    double weight = 1, sum = 0;
    for (int i = 0; i < matter; i++, weight *= 0.75)
        sum += weight;
    weight = 1;
    for (int i = 0; i < matter; i++, weight *= 0.75)
        w->items[order[i]].importance = total * weight / sum;
}

/* What one respondent is asked sums to 0.8: half of it general, half of the journey, where both
 * are. */
static bool draw_importances(struct fp_world *w, struct cx_random *random)
{
    int journeys = w->model->journey_count;
    int *order = calloc((size_t)w->model->item_count + 1, sizeof *order);
    if (order == NULL)
        return false;
    bool general = false, special = false;
    for (int i = 0; i < w->model->item_count; i++) {
        general |= group_of(w, i) == journeys;
        special |= group_of(w, i) < journeys;
    }
    for (int group = 0; group <= journeys + 1; group++)
        draw_importance(w, group, general && special && group <= journeys ? 0.4 : 0.8, order,
                        random);
    free(order);
    return true;
}

static void add_measure(struct fp_world_touchpoint *touchpoint, int measure)
{
    for (int i = 0; i < touchpoint->measure_count; i++)
        if (touchpoint->measures[i] == measure)
            return;
    if (touchpoint->measure_count < FP_PLAN_MEASURES)
        touchpoint->measures[touchpoint->measure_count++] = measure;
}

/* A touchpoint sends what KPIs and driver models use there, and one more measure now and then. */
static void build_touchpoints(struct fp_world *w, struct cx_random *random)
{
    const struct fp_model *model = w->model;
    for (int i = 0; i < model->kpi_count; i++) {
        const struct fp_kpi *kpi = &model->kpis[i];
        if (kpi->measure != FP_NONE && kpi->touchpoint != FP_NONE)
            add_measure(&w->touchpoints[kpi->touchpoint], kpi->measure);
        if (kpi->per != FP_NONE && kpi->touchpoint != FP_NONE)
            add_measure(&w->touchpoints[kpi->touchpoint], kpi->per);
    }
    for (int i = 0; i < model->driver_model_count; i++)
        for (int k = 0; k < model->driver_models[i].measure_count; k++)
            if (model->driver_models[i].touchpoint != FP_NONE)
                add_measure(&w->touchpoints[model->driver_models[i].touchpoint],
                            model->driver_models[i].measures[k]);
    for (int i = 0; i < model->touchpoint_count; i++) {
        struct fp_world_touchpoint *touchpoint = &w->touchpoints[i];
        if (model->measure_count > 0 && (touchpoint->measure_count == 0 || w->mix.walks))
            add_measure(touchpoint, (int)cx_random_below(random, (uint32_t)model->measure_count));
        touchpoint->channel = (int)cx_random_below(random, FP_CHANNEL_EMAIL);
        touchpoint->failure = 0.01 + 0.04 * cx_random_unit(random);
        touchpoint->level = 0.8 + 0.4 * cx_random_unit(random);
    }
    for (int i = 0; i < model->measure_count; i++) {
        double range = (double)model->measures[i].max - (double)model->measures[i].min;
        w->measure_base[i] = range / 20;
        for (int k = 0; k < model->kpi_count; k++) {
            const struct fp_kpi *kpi = &model->kpis[k];
            double within = (double)kpi->within - (double)model->measures[i].min;
            if (kpi->measure == i && kpi->source == FP_SOURCE_MEASURE_WITHIN && within > 0)
                w->measure_base[i] = within * 0.55;
        }
    }
}

static bool build_rhythm(struct fp_world *w, const struct fp_generate_params *params)
{
    w->hour_count = (uint32_t)params->days * 24;
    w->rhythm = calloc(w->hour_count, sizeof *w->rhythm);
    if (w->rhythm == NULL)
        return false;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->hour_count; i++) {
        int64_t at = w->start_us + i * FP_HOUR;
        int32_t day = fp_timezone_day(w->model->zone, at);
        int64_t hour = (at - fp_timezone_day_start(w->model->zone, day)) / FP_HOUR;
        int weekday = ((day + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        sum += hour_weight[hour < 0 ? 0 : hour > 23 ? 23 : hour] * weekday_weight[weekday];
        w->rhythm[i] = sum;
    }
    return true;
}

static int64_t share_of_span(const struct fp_world *w, int percent)
{
    return w->start_us + (w->end_us - w->start_us) / 100 * percent;
}

static void plant_intervention(struct fp_world *w)
{
    const struct fp_model *model = w->model;
    w->intervention = FP_NONE;
    if (model->intervention_count == 0)
        return;
    const struct fp_intervention *plan = &model->interventions[0];
    struct fp_planting *planting = &w->planted[FP_PLANTED_INTERVENTION];
    *planting = (struct fp_planting){.there = true,
                                     .from_us = share_of_span(w, 60),
                                     .to_us = INT64_MAX,
                                     .unit = FP_NONE,
                                     .touchpoint = FP_NONE,
                                     .satisfaction = 0.1,
                                     .measure_factor = 1,
                                     .only_measure = FP_NONE};
    for (int i = 0; i < plan->unit_count; i++)
        for (uint32_t k = 0; k < w->unit_count; k++)
            w->treated[k] |= strcmp(w->units[k], model->units[plan->units[i]].id) == 0;
    for (uint32_t k = 0; plan->unit_count == 0 && k < w->unit_count; k++)
        w->treated[k] = true;
    int kpi = plan->target_is_kpi ? fp_model_find(model, FP_KIND_KPI, fp_slice_of(plan->target))
                                  : FP_NONE;
    if (kpi != FP_NONE) {
        planting->touchpoint = model->kpis[kpi].touchpoint;
        if (model->kpis[kpi].measure != FP_NONE) {
            planting->only_measure = model->kpis[kpi].measure;
            planting->measure_factor = 0.6;
            planting->satisfaction = 0;
        }
    }
    w->intervention = 0;
}

static void plant(struct fp_world *w)
{
    uint32_t known = w->unit_count > 4 && w->mix.new_unit > 0 ? w->unit_count - 4 : w->unit_count;
    int64_t span = w->end_us - w->start_us, dip = span / 12;
    dip = dip < 3 * FP_HOUR ? 3 * FP_HOUR : dip > 2 * FP_DAY ? 2 * FP_DAY : dip;
    w->planted[FP_PLANTED_DIP] = (struct fp_planting){.there = true,
                                                      .from_us = share_of_span(w, 55),
                                                      .to_us = share_of_span(w, 55) + dip,
                                                      .unit = (int)(known > 1 ? 1 : 0),
                                                      .touchpoint = w->stops[0].touchpoint,
                                                      .satisfaction = -0.25,
                                                      .measure_factor = 2,
                                                      .only_measure = FP_NONE};
    w->planted[FP_PLANTED_TREND] = (struct fp_planting){.there = known > 2,
                                                        .from_us = share_of_span(w, 30),
                                                        .to_us = w->end_us,
                                                        .unit = 2,
                                                        .touchpoint = FP_NONE,
                                                        .satisfaction = -0.2,
                                                        .measure_factor = 1.6,
                                                        .only_measure = FP_NONE};
    plant_intervention(w);
}

bool fp_world_build(struct fp_world *w, const struct fp_model *model,
                    const struct fp_generate_params *params, struct fp_error *err)
{
    struct cx_random random = cx_random_seed(params->seed, 1);
    w->model = model;
    w->mix = params->profile == FP_GENERATE_REFERENCE ? fp_mix_reference : fp_mix_programme;
    if (params->profile == FP_GENERATE_PROGRAMME)
        w->mix.bad = params->bad_share;
    w->start_us = params->start_us;
    w->end_us = params->start_us + params->days * FP_DAY;
    w->customers =
        (uint32_t)(params->messages / 12 > 50000000 ? 50000000 : params->messages / 12 + 50);
    w->employees = 20 + w->customers / 50;
    w->items = calloc((size_t)model->item_count + 1, sizeof *w->items);
    w->touchpoints = calloc((size_t)model->touchpoint_count + 1, sizeof *w->touchpoints);
    w->measure_base = calloc((size_t)model->measure_count + 1, sizeof *w->measure_base);
    if (!w->items || !w->touchpoints || !w->measure_base || !build_units(w, params, &random) ||
        !build_routes(w) || !build_rhythm(w, params))
        goto no_memory;
    if (w->route_count == 0) {
        fp_fail(err, FP_FATAL, "nothing_to_draw", "$.journeys",
                "the model has no customer journey with touchpoints to draw visits from; add "
                "touchpoints to a journey of audience \"customer\"");
        return false;
    }
    mark_items(w);
    if (!draw_importances(w, &random))
        goto no_memory;
    build_touchpoints(w, &random);
    plant(w);
    return true;
no_memory:
    fp_fail(err, FP_FATAL, "no_memory", "", "not enough memory for the generator's world");
    return false;
}

void fp_world_free(struct fp_world *w)
{
    free(w->units);
    free(w->unit_effect);
    free(w->unit_cumulative);
    free(w->treated);
    free(w->names);
    free(w->stops);
    free(w->routes);
    free(w->items);
    free(w->touchpoints);
    free(w->measure_base);
    free(w->rhythm);
}

/* Share of its full strength a planting has at a place and time: 0, or 1, or on the way (trend). */
static double strength(const struct fp_world *w, int which, int touchpoint, int unit,
                       int64_t time_us)
{
    const struct fp_planting *p = &w->planted[which];
    if (!p->there || time_us < p->from_us || time_us >= p->to_us || unit == FP_NONE ||
        (p->touchpoint != FP_NONE && p->touchpoint != touchpoint) ||
        (p->unit == FP_NONE ? !w->treated[unit] : p->unit != unit))
        return 0;
    if (which != FP_PLANTED_TREND)
        return 1;
    return (double)(time_us - p->from_us) / (double)(p->to_us - p->from_us);
}

double fp_world_shift(const struct fp_world *w, int touchpoint, int unit, int64_t time_us)
{
    double shift = unit == FP_NONE ? 0 : w->unit_effect[unit];
    for (int i = 0; i < FP_PLANTED; i++)
        shift += w->planted[i].satisfaction * strength(w, i, touchpoint, unit, time_us);
    return shift;
}

double fp_world_factor(const struct fp_world *w, const struct fp_stop *stop, int unit, int measure,
                       int64_t time_us)
{
    double factor = w->touchpoints[stop->touchpoint].level;
    if (unit != FP_NONE)
        factor *= 1 - 2 * w->unit_effect[unit]; /* good units are quick */
    for (int i = 0; i < FP_PLANTED; i++) {
        const struct fp_planting *p = &w->planted[i];
        if (p->only_measure == FP_NONE || p->only_measure == measure)
            factor *= 1 + (p->measure_factor - 1) * strength(w, i, stop->touchpoint, unit, time_us);
    }
    return factor;
}
