/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answers of one respondent: drivers first, then outcomes that follow from them (the formula is
 * in generate_world.c). Everybody has a view of every driver of their journey; they are asked of
 * those they met. A view that is not asked, or an answer that is skipped, still had its effect:
 * what is missing is missing at random. */
#include "daemon/generate_parts.h"

#define DRIVER_MEAN 0.72
#define OUTCOME_MEAN 0.84
#define NOISE 0.12
#define NO_CODE \
    INT16_MIN /* "does not apply" is written as text, not as one of the scale's codes \
               */

/* A quality of 0 … 1 as a point of the item's scale; *quality becomes that of the rounded answer.
 */
static int16_t on_scale(const struct fp_model *model, int item, double *quality)
{
    const struct fp_scale *scale = &model->scales[model->items[item].scale];
    double range = (double)(scale->max - scale->min), share = *quality;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int32_t step = (int32_t)(share * range + 0.5);
    *quality = range > 0 ? (double)step / range : 0;
    bool lower = model->items[item].direction == FP_LOWER_IS_BETTER;
    return (int16_t)(lower ? scale->max - step : scale->min + step);
}

/* Whether the respondent has a view of it: of what belongs to no touchpoint, and of all there is in
 * the journey. */
static bool concerns(const struct fp_generator *gen, const struct fp_plan *plan, int item,
                     const struct fp_stop *stops, uint32_t count)
{
    const struct fp_model *model = gen->world.model;
    int at = model->items[item].touchpoint;
    if (plan->audience == FP_AUDIENCE_EMPLOYEE)
        return gen->world.items[item].employee;
    if (plan->audience == FP_AUDIENCE_INTERNAL)
        return at != FP_NONE && at == plan->touchpoint;
    if (at == FP_NONE || !gen->world.items[item].customer)
        return gen->world.items[item].customer;
    return count > 0 && model->touchpoints[at].only_journey ==
                            model->touchpoints[stops[0].touchpoint].only_journey;
}

static bool applies(const struct fp_generator *gen, const struct fp_plan *plan, int item,
                    const struct fp_stop *stops, uint32_t count)
{
    int at = gen->world.model->items[item].touchpoint;
    if (plan->audience == FP_AUDIENCE_EMPLOYEE)
        return gen->world.items[item].employee;
    if (plan->audience == FP_AUDIENCE_INTERNAL)
        return at != FP_NONE && at == plan->touchpoint;
    if (!gen->world.items[item].customer)
        return false;
    for (uint32_t i = 0; i < count && at != FP_NONE; i++)
        if (stops[i].touchpoint == at)
            return true;
    return at == FP_NONE;
}

static void add_score(struct fp_generator *gen, struct fp_plan *plan, int item, int16_t value)
{
    const struct fp_mix *mix = &gen->world.mix;
    const struct fp_scale *scale = &gen->world.model->scales[gen->world.model->items[item].scale];
    if (plan->score_count >= FP_SCORES_MAX)
        return;
    struct fp_planned_score *score = &plan->scores[plan->score_count];
    *score = (struct fp_planned_score){(int16_t)item, value, FP_ANSWER_VALUE};
    if (mix->skipped > 0) {
        double skipped = plan->status == FP_RESPONSE_PARTIAL ? 0.4 : mix->skipped;
        double luck = cx_random_unit(&gen->random);
        if (luck < skipped) {
            score->kind = FP_ANSWER_SKIPPED;
        } else if (luck < skipped + 0.02) {
            bool coded = scale->na_count > 0 && cx_random_chance(&gen->random, 0.5);
            score->kind = FP_ANSWER_NOT_APPLICABLE;
            score->value = coded ? (int16_t)scale->na_codes[0] : NO_CODE;
        }
    }
    plan->score_count++;
}

/* Chooses which of the applying drivers are asked: all, or `wanted` of them by lot. */
static void choose_asked(struct cx_random *random, int *items, int16_t *values, int count,
                         int wanted)
{
    for (int i = 0; i < wanted && i < count - 1; i++) {
        int k = i + (int)cx_random_below(random, (uint32_t)(count - i));
        int item = items[i];
        int16_t value = values[i];
        items[i] = items[k];
        values[i] = values[k];
        items[k] = item;
        values[k] = value;
    }
}

/* Draws the respondent's view of the drivers; returns of how many. */
static int draw_drivers(struct fp_generator *gen, const struct fp_plan *plan,
                        const struct fp_stop *stops, uint32_t count, int *items, int16_t *values)
{
    double mood = cx_random_normal(&gen->random);
    double shift = plan->audience == FP_AUDIENCE_INTERNAL ? 0.12 : 0; /* we like our own work */
    int n = 0;
    for (int i = 0; i < gen->world.model->item_count && n < FP_SCORES_MAX; i++) {
        if (gen->world.items[i].outcome || !concerns(gen, plan, i, stops, count))
            continue;
        double own = cx_random_normal(&gen->random);
        double quality = DRIVER_MEAN + shift + 0.2 * (0.6 * mood + 0.8 * own);
        items[n] = i;
        values[n++] = on_scale(gen->world.model, i, &quality);
    }
    return n;
}

/* Quality behind an answer on the item's scale. */
static double quality_of(const struct fp_model *model, int item, int16_t value)
{
    const struct fp_scale *scale = &model->scales[model->items[item].scale];
    double share = (double)(value - scale->min) / (double)(scale->max - scale->min);
    return model->items[item].direction == FP_LOWER_IS_BETTER ? 1 - share : share;
}

static double tenure_effect(const struct fp_plan *plan)
{
    if (plan->audience != FP_AUDIENCE_EMPLOYEE || plan->tenure_months < 0)
        return 0;
    return plan->tenure_months <= 3 ? 0.08 : plan->tenure_months <= 12 ? 0 : -0.05;
}

void fp_answer(struct fp_generator *gen, struct fp_plan *plan, const struct fp_stop *stops,
               uint32_t count, double operations)
{
    const struct fp_world *w = &gen->world;
    int items[FP_SCORES_MAX];
    int16_t values[FP_SCORES_MAX];
    int drivers = draw_drivers(gen, plan, stops, count, items, values);
    double base = OUTCOME_MEAN + operations + tenure_effect(plan);
    for (int i = 0; i < drivers; i++)
        base += w->items[items[i]].importance *
                (quality_of(w->model, items[i], values[i]) - DRIVER_MEAN);
    for (int i = 0; i < w->model->item_count; i++) {
        if (!w->items[i].outcome || !applies(gen, plan, i, stops, count))
            continue;
        int at = w->model->items[i].touchpoint;
        if (at == FP_NONE)
            at = count > 0 ? stops[count - 1].touchpoint : FP_NONE;
        double quality = base + fp_world_shift(w, at, plan->unit, plan->submitted_us) +
                         NOISE * cx_random_normal(&gen->random);
        add_score(gen, plan, i, on_scale(w->model, i, &quality));
    }
    int met = 0;
    for (int i = 0; i < drivers; i++)
        if (applies(gen, plan, items[i], stops, count)) {
            items[met] = items[i];
            values[met++] = values[i];
        }
    drivers = met;
    int asked =
        w->mix.drivers_asked > 0 && w->mix.drivers_asked < drivers ? w->mix.drivers_asked : drivers;
    if (asked < drivers)
        choose_asked(&gen->random, items, values, drivers, asked);
    for (int i = 0; i < asked; i++)
        add_score(gen, plan, items[i], values[i]);
}
