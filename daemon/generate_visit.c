/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens: a customer walks through touchpoints, is invited, answers, changes an answer, is
 * called back; employees and departments answer too. Each happening becomes plans with the time
 * they are sent and the class a correct reader gives them.
 *
 * The class is known while planning because later messages of a chain are always sent later: where
 * a message does not fit into the span any more, those that depend on it are not planned either. */
#include "daemon/generate_parts.h"

static bool chance(struct fp_generator *gen, double probability)
{
    return probability > 0 && cx_random_chance(&gen->random, probability);
}

static int64_t spread(struct fp_generator *gen, int64_t mean_us)
{
    return (int64_t)(cx_random_exponential(&gen->random) * (double)mean_us);
}

/* How long a message is under way: 20 s on average, now and then hours or days. */
static int64_t lateness(struct fp_generator *gen)
{
    int64_t late = spread(gen, 20 * FP_SECOND);
    if (chance(gen, gen->world.mix.late_hours))
        late += FP_HOUR + spread(gen, 4 * FP_HOUR);
    else if (chance(gen, gen->world.mix.late_days))
        late += FP_DAY + (int64_t)cx_random_below(&gen->random, 4 * 86400) * FP_SECOND;
    return late;
}

static enum fp_format draw_format(struct fp_generator *gen)
{
    const struct fp_mix *mix = &gen->world.mix;
    if (mix->binary + mix->plain + mix->wire <= 0)
        return FP_FORMAT_STRUCTURED;
    double luck = cx_random_unit(&gen->random);
    if (luck < mix->plain)
        return FP_FORMAT_PLAIN;
    if (gen->params.whole_text)
        return FP_FORMAT_STRUCTURED;
    if (luck < mix->plain + mix->binary)
        return FP_FORMAT_BINARY;
    return luck < mix->plain + mix->binary + mix->wire ? FP_FORMAT_WIRE : FP_FORMAT_STRUCTURED;
}

/* Times are whole milliseconds, as they are written. */
static int64_t whole_ms(int64_t time_us)
{
    return time_us - time_us % 1000;
}

static struct fp_plan new_plan(struct fp_generator *gen, enum fp_event_type type, int64_t time_us)
{
    struct fp_plan plan = {.type = type,
                           .time_us = whole_ms(time_us),
                           .serial = ++gen->serials,
                           .journey = FP_NONE,
                           .touchpoint = FP_NONE,
                           .survey_journey = FP_NONE,
                           .unit = FP_NONE,
                           .channel = FP_NONE,
                           .revision = 1,
                           .weight = 1,
                           .tenure_months = FP_TENURE_ABSENT,
                           .expected = FP_TRUTH_APPLIED};
    plan.submitted_us = plan.time_us;
    plan.format = draw_format(gen);
    plan.odd_text = chance(gen, gen->world.mix.odd_text);
    return plan;
}

/* A malformed twin under an id of its own (or, for a changed submitted_at, under the same id). */
static void post_bad(struct fp_generator *gen, const struct fp_plan *good)
{
    const struct fp_mix *mix = &gen->world.mix;
    if (!chance(gen, mix->bad / (1 - mix->bad)))
        return;
    struct fp_plan plan = *good;
    plan.bad = fp_bad_draw(&gen->random, good);
    if (plan.bad == FP_BAD_NONE)
        return;
    plan.expected = fp_bad_reason(plan.bad) != NULL ? FP_TRUTH_REJECTED : FP_TRUTH_IGNORED;
    plan.odd_text = false;
    if (plan.bad == FP_BAD_SUBMITTED_AT) {
        plan.revision++;
        plan.submitted_us -= FP_SECOND;
    } else {
        plan.serial = ++gen->serials;
    }
    plan.send_us = good->send_us + spread(gen, 60 * FP_SECOND);
    if (plan.send_us > gen->world.end_us)
        plan.send_us = gen->world.end_us;
    (void)fp_schedule(gen, &plan);
}

/* The same id again: the same bytes, or another payload. */
static void post_duplicate(struct fp_generator *gen, const struct fp_plan *original)
{
    if (!chance(gen, gen->world.mix.duplicate))
        return;
    struct fp_plan plan = *original;
    plan.expected = FP_TRUTH_DUPLICATE;
    plan.send_us =
        original->send_us + 1000 + spread(gen, chance(gen, 0.8) ? 5 * FP_SECOND : FP_HOUR);
    if (chance(gen, gen->world.mix.conflict)) {
        plan.outcome = plan.outcome == FP_OUTCOME_FAILED ? FP_OUTCOME_COMPLETED : FP_OUTCOME_FAILED;
        if (plan.score_count > 1)
            plan.score_count--;
    }
    (void)fp_schedule(gen, &plan);
}

/* Sends a message that stands alone, with what goes wrong around it. A message of the span's last
 * moments is sent at its end. */
static bool post(struct fp_generator *gen, struct fp_plan *plan)
{
    plan->send_us = plan->time_us + lateness(gen);
    if (plan->send_us > gen->world.end_us && plan->time_us <= gen->world.end_us)
        plan->send_us = gen->world.end_us;
    if (!fp_schedule(gen, plan))
        return false;
    post_duplicate(gen, plan);
    post_bad(gen, plan);
    return true;
}

/* ---- responses and their later fate -----------------------------------------------------------
 */

static void revised_plan(struct fp_generator *gen, struct fp_plan *plan,
                         enum fp_truth_class expected)
{
    plan->revision++;
    plan->expected = expected;
    plan->time_us = whole_ms(plan->time_us + 600 * FP_SECOND + spread(gen, 10 * FP_HOUR));
    plan->send_us = (plan->send_us > plan->time_us ? plan->send_us : plan->time_us) + FP_SECOND +
                    spread(gen, 20 * FP_SECOND);
    for (uint32_t i = 0; i < plan->score_count; i++) {
        struct fp_planned_score *score = &plan->scores[i];
        const struct fp_model *model = gen->world.model;
        const struct fp_scale *scale = &model->scales[model->items[score->item].scale];
        if (score->kind == FP_ANSWER_VALUE && cx_random_chance(&gen->random, 0.3))
            score->value =
                (int16_t)(scale->min + (int32_t)cx_random_below(
                                           &gen->random, (uint32_t)(scale->max - scale->min) + 1));
    }
}

static void post_void(struct fp_generator *gen, struct fp_plan *plan)
{
    revised_plan(gen, plan, FP_TRUTH_VOIDED);
    plan->status = FP_RESPONSE_VOID;
    plan->score_count = 0;
    (void)fp_schedule(gen, plan);
}

/* The void overtakes its response. */
static void post_void_first(struct fp_generator *gen, struct fp_plan *plan)
{
    struct fp_plan mark = *plan;
    mark.revision = 2;
    mark.status = FP_RESPONSE_VOID;
    mark.score_count = 0;
    mark.expected = FP_TRUTH_VOIDED;
    mark.send_us = plan->time_us + spread(gen, 20 * FP_SECOND);
    if (fp_schedule(gen, &mark)) {
        plan->expected = FP_TRUTH_IGNORED;
        plan->send_us = mark.send_us + FP_SECOND + spread(gen, 30 * FP_SECOND);
        (void)fp_schedule(gen, plan);
    }
}

/* Revision 2 overtakes revision 1, which then comes too late to count. */
static void post_overtaken(struct fp_generator *gen, struct fp_plan *plan)
{
    struct fp_plan second = *plan;
    second.send_us = plan->time_us;
    revised_plan(gen, &second, FP_TRUTH_APPLIED);
    if (fp_schedule(gen, &second)) {
        plan->expected = FP_TRUTH_DUPLICATE;
        plan->send_us = second.send_us + FP_SECOND + spread(gen, 60 * FP_SECOND);
        (void)fp_schedule(gen, plan);
    }
}

static void post_response(struct fp_generator *gen, struct fp_plan *plan)
{
    const struct fp_mix *mix = &gen->world.mix;
    if (chance(gen, mix->void_first)) {
        post_void_first(gen, plan);
    } else if (chance(gen, mix->revise * mix->out_of_order)) {
        post_overtaken(gen, plan);
    } else if (chance(gen, mix->revise + mix->voided)) {
        plan->send_us = plan->time_us + lateness(gen);
        bool there = fp_schedule(gen, plan);
        struct fp_plan next = *plan;
        int revisions =
            chance(gen, mix->revise / (mix->revise + mix->voided)) ? 1 + chance(gen, 0.3) : 0;
        for (int i = 0; there && i < revisions; i++) {
            revised_plan(gen, &next, FP_TRUTH_REVISED);
            there = fp_schedule(gen, &next);
        }
        if (there && revisions == 0)
            post_void(gen, &next);
    } else {
        (void)post(gen, plan);
    }
}

/* Fields every response has in common; scores are filled in. */
static void finish_response(struct fp_generator *gen, struct fp_plan *plan,
                            const struct fp_stop *stops, uint32_t count, double operations)
{
    const struct fp_mix *mix = &gen->world.mix;
    plan->submitted_us = plan->time_us;
    if (chance(gen, mix->partial))
        plan->status = FP_RESPONSE_PARTIAL;
    if (chance(gen, mix->weighted))
        plan->weight = (int32_t)cx_random_below(&gen->random, 4); /* 0 counts nowhere */
    if (chance(gen, mix->comment))
        plan->comment = 1 + cx_random_below(&gen->random, 4);
    fp_answer(gen, plan, stops, count, operations);
}

/* ---- a visit ----------------------------------------------------------------------------------
 */

struct visit {
    const struct fp_stop *stops; /* those met are the first `met` */
    uint32_t count, met;
    uint32_t customer;
    int unit;
    int64_t time_us;
    double operations; /* sum over events */
    struct fp_plan last;
};

/* Draws the measures of one touchpoint event; returns what they do to the outcome. */
static double draw_measures(struct fp_generator *gen, struct fp_plan *plan,
                            const struct fp_stop *stop)
{
    const struct fp_world *w = &gen->world;
    const struct fp_world_touchpoint *touchpoint = &w->touchpoints[stop->touchpoint];
    double effect = 0;
    for (int i = 0; i < touchpoint->measure_count; i++) {
        int index = touchpoint->measures[i];
        const struct fp_measure *measure = &w->model->measures[index];
        double luck = 0.35 + 0.65 * cx_random_exponential(&gen->random);
        double level = luck * fp_world_factor(w, stop, plan->unit, index, plan->time_us);
        double amount = (double)measure->min + w->measure_base[index] * level + 0.5;
        plan->measures[plan->measure_count++] = (struct fp_planned_measure){
            index, amount > (double)measure->max ? measure->max : (int64_t)amount};
        double excess = level > 4 ? 3 : level - 1;
        effect += measure->direction == FP_LOWER_IS_BETTER ? -0.05 * excess : 0.05 * excess;
    }
    return touchpoint->measure_count > 0 ? effect / touchpoint->measure_count : 0;
}

/* How the place is written: mostly the main journey, sometimes the detailed one or none. */
static int written_journey(struct fp_generator *gen, const struct fp_stop *stop)
{
    if (!gen->world.mix.walks)
        return stop->journey;
    uint32_t luck = cx_random_below(&gen->random, 10);
    return luck == 0                                ? FP_NONE
           : luck <= 2 && stop->detailed != FP_NONE ? stop->detailed
                                                    : stop->journey;
}

static bool post_event(struct fp_generator *gen, struct visit *visit, const struct fp_stop *stop,
                       enum fp_outcome outcome)
{
    struct fp_plan plan = new_plan(gen, FP_EVENT_TOUCHPOINT, visit->time_us);
    plan.customer = visit->customer;
    plan.visit = plan.serial;
    plan.unit = visit->unit;
    plan.outcome = outcome;
    plan.touchpoint = stop->touchpoint;
    plan.journey = written_journey(gen, stop);
    plan.channel = gen->world.touchpoints[stop->touchpoint].channel;
    if (gen->world.mix.walks && cx_random_chance(&gen->random, 0.15))
        plan.channel = (int)cx_random_below(&gen->random, FP_CHANNEL_EMAIL);
    visit->operations += draw_measures(gen, &plan, stop);
    if (chance(gen, gen->world.mix.unmapped))
        plan.touchpoint = FP_UNDECLARED;
    visit->last = plan;
    return post(gen, &plan);
}

/* Walks from stop to stop: a failure is recovered, or ends the visit. */
static void walk(struct fp_generator *gen, struct visit *visit)
{
    while (visit->met < visit->count) {
        const struct fp_stop *stop = &visit->stops[visit->met++];
        double failure = gen->world.touchpoints[stop->touchpoint].failure;
        failure -= fp_world_shift(&gen->world, stop->touchpoint, visit->unit, visit->time_us) * 0.2;
        enum fp_outcome outcome = FP_OUTCOME_COMPLETED;
        if (cx_random_chance(&gen->random, failure))
            outcome =
                cx_random_chance(&gen->random, 0.3) ? FP_OUTCOME_ABANDONED : FP_OUTCOME_FAILED;
        if (!post_event(gen, visit, stop, outcome))
            return;
        if (outcome == FP_OUTCOME_FAILED && gen->world.mix.walks &&
            cx_random_chance(&gen->random, 0.6)) {
            visit->time_us += 300 * FP_SECOND + spread(gen, FP_HOUR);
            (void)post_event(gen, visit, stop, FP_OUTCOME_RECOVERED);
        } else if (outcome != FP_OUTCOME_COMPLETED) {
            visit->operations -= 0.15;
            return;
        }
        if (visit->met < visit->count && !cx_random_chance(&gen->random, 0.7))
            return;
        visit->time_us += 30 * FP_SECOND + spread(gen, 600 * FP_SECOND);
    }
}

static void copy_place(struct fp_plan *plan, const struct visit *visit)
{
    plan->customer = visit->customer;
    plan->visit = visit->last.visit;
    plan->unit = visit->unit;
    plan->survey_journey = visit->stops[0].journey;
    plan->journey = visit->stops[0].journey;
    plan->touchpoint = visit->stops[visit->met - 1].touchpoint;
}

static void post_cases(struct fp_generator *gen, const struct fp_plan *response)
{
    int64_t at = response->time_us;
    uint64_t first = gen->serials + 1;
    int states = 2 + (int)cx_random_below(&gen->random, 3);
    for (int i = 0; i < states; i++) {
        at += FP_HOUR + spread(gen, i == 0 ? FP_HOUR : 12 * FP_HOUR);
        struct fp_plan plan = new_plan(gen, FP_EVENT_CASE, at);
        plan.customer = response->customer;
        plan.visit = first; /* names the case */
        plan.related = response->serial;
        plan.case_state = (enum fp_case_state)i;
        if (!post(gen, &plan))
            return;
    }
}

static void respond(struct fp_generator *gen, struct visit *visit)
{
    const struct fp_mix *mix = &gen->world.mix;
    int64_t at = visit->time_us + 120 * FP_SECOND;
    bool invited = chance(gen, mix->invitation);
    if (invited) {
        struct fp_plan plan = new_plan(gen, FP_EVENT_INVITATION, at);
        copy_place(&plan, visit);
        plan.channel = FP_CHANNEL_EMAIL;
        invited = post(gen, &plan);
    }
    if (!gen->world.customer_items || !chance(gen, invited ? mix->response : mix->unasked))
        return;
    struct fp_plan plan =
        new_plan(gen, FP_EVENT_RESPONSE, at + 60 * FP_SECOND + spread(gen, 2 * FP_HOUR));
    copy_place(&plan, visit);
    plan.channel =
        mix->walks && cx_random_chance(&gen->random, 0.3) ? FP_CHANNEL_SMS : FP_CHANNEL_EMAIL;
    if (chance(gen, mix->walks ? 0.3 : 0))
        plan.touchpoint = FP_NONE;
    if (chance(gen, mix->own_measures)) {
        plan.measure_count = visit->last.measure_count;
        memcpy(plan.measures, visit->last.measures, sizeof plan.measures);
    }
    finish_response(gen, &plan, visit->stops, visit->met, visit->operations / visit->met);
    post_response(gen, &plan);
    if (visit->operations < -0.05 && chance(gen, mix->cases))
        post_cases(gen, &plan);
}

static void post_erasure(struct fp_generator *gen, uint32_t customer, int64_t time_us)
{
    struct fp_plan plan =
        new_plan(gen, FP_EVENT_ERASURE, time_us + FP_HOUR + spread(gen, 12 * FP_HOUR));
    plan.customer = customer;
    plan.send_us = plan.time_us + spread(gen, 20 * FP_SECOND);
    if (fp_schedule(gen, &plan))
        gen->erasures_planned++;
}

static void visit_customer(struct fp_generator *gen, int64_t time_us)
{
    struct fp_world *w = &gen->world;
    struct visit visit = {.time_us = time_us};
    visit.customer = cx_random_below(&gen->random, w->customers);
    visit.unit = (int)cx_random_pick(&gen->random, w->unit_cumulative, w->unit_count);
    if (chance(gen, w->mix.new_unit))
        visit.unit = (int)(w->unit_count - 1 - cx_random_below(&gen->random, 4));
    if (w->mix.walks) {
        const struct fp_route *route = &w->routes[cx_random_below(&gen->random, w->route_count)];
        visit.stops = &w->stops[route->first];
        visit.count = route->count;
    } else {
        visit.stops = &w->stops[cx_random_below(&gen->random, w->stop_count)];
        visit.count = 1;
    }
    walk(gen, &visit);
    respond(gen, &visit);
    /* a few erasures, evenly over the stream */
    if (w->mix.walks && gen->erasures_planned < FP_ERASURES - 2 &&
        gen->scheduled > gen->params.messages / FP_ERASURES * (gen->erasures_planned + 1))
        post_erasure(gen, visit.customer, visit.time_us);
}

/* ---- the other voices -------------------------------------------------------------------------
 */

static void ask_employee(struct fp_generator *gen, int64_t time_us)
{
    struct fp_plan plan = new_plan(gen, FP_EVENT_RESPONSE, time_us);
    plan.audience = FP_AUDIENCE_EMPLOYEE;
    plan.customer = cx_random_below(&gen->random, gen->world.employees);
    plan.journey = plan.survey_journey = gen->world.employee_journey;
    plan.unit =
        (int)cx_random_pick(&gen->random, gen->world.unit_cumulative, gen->world.unit_count);
    uint32_t luck = cx_random_below(&gen->random, 20);
    if (luck == 0)
        plan.tenure_months = FP_TENURE_APPLICANT;
    else if (luck > 1) /* one in twenty does not say */
        plan.tenure_months = (int32_t)cx_random_below(&gen->random, luck < 5   ? 4
                                                                    : luck < 9 ? 13
                                                                               : 200);
    finish_response(gen, &plan, NULL, 0, 0);
    if (plan.score_count > 0)
        post_response(gen, &plan);
}

static void assess(struct fp_generator *gen, int64_t time_us)
{
    const struct fp_stop *stop =
        &gen->world.stops[cx_random_below(&gen->random, gen->world.stop_count)];
    struct fp_plan plan = new_plan(gen, FP_EVENT_RESPONSE, time_us);
    plan.audience = FP_AUDIENCE_INTERNAL;
    plan.unit =
        (int)cx_random_pick(&gen->random, gen->world.unit_cumulative, gen->world.unit_count);
    plan.touchpoint = stop->touchpoint;
    finish_response(gen, &plan, stop, 1, 0);
    if (plan.score_count > 0)
        (void)post(gen, &plan);
}

/* A relationship survey knows neither unit nor channel, only the journey. */
static void ask_relationship(struct fp_generator *gen, int64_t time_us)
{
    const struct fp_stop *stop =
        &gen->world.stops[cx_random_below(&gen->random, gen->world.stop_count)];
    struct fp_plan plan = new_plan(gen, FP_EVENT_RESPONSE, time_us);
    plan.customer = cx_random_below(&gen->random, gen->world.customers);
    plan.journey = stop->journey;
    finish_response(gen, &plan, NULL, 0, 0);
    if (plan.score_count > 0)
        post_response(gen, &plan);
}

void fp_plan_intervention(struct fp_generator *gen)
{
    const struct fp_planting *planting = &gen->world.planted[FP_PLANTED_INTERVENTION];
    if (!planting->there || !gen->world.mix.walks)
        return;
    struct fp_plan plan = new_plan(gen, FP_EVENT_INTERVENTION, planting->from_us);
    plan.intervention_state = FP_INTERVENTION_STARTED;
    (void)post(gen, &plan);
    int64_t end = gen->world.end_us - (gen->world.end_us - planting->from_us) / 10;
    plan = new_plan(gen, FP_EVENT_INTERVENTION, end);
    plan.intervention_state = FP_INTERVENTION_ENDED;
    (void)post(gen, &plan);
}

void fp_arrive(struct fp_generator *gen, int64_t time_us)
{
    const struct fp_world *w = &gen->world;
    if (w->mix.walks) {
        double luck = cx_random_unit(&gen->random);
        if (luck < w->mix.employee) {
            if (w->employee_items && w->employee_journey != FP_NONE)
                ask_employee(gen, time_us);
            return;
        }
        luck -= w->mix.employee;
        if (luck < w->mix.internal) {
            if (w->touchpoint_items)
                assess(gen, time_us);
            return;
        }
        luck -= w->mix.internal;
        if (luck < w->mix.relationship) {
            if (w->customer_items)
                ask_relationship(gen, time_us);
            return;
        }
    }
    visit_customer(gen, time_us);
}
