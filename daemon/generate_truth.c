/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The truth file: one JSON object with the parameters, what a correct reader counts, and what was
 * planted: the regression coefficient of every driver, the units' effects, the dip, the trend, the
 * intervention and the erasures. Times are UTC; effects are in shares of the outcome's scale,
 * coefficients in scale points per scale point, before answers are rounded to the scale. Every
 * helper looks at the last byte written to know whether a comma is due. */
#include "daemon/generate_parts.h"

static void name(struct fp_text *t, const char *member)
{
    if (t->at[t->len - 1] != '{' && t->at[t->len - 1] != '[')
        fp_text_put(t, ",");
    fp_text_string(t, member);
    fp_text_put(t, ":");
}

static void element(struct fp_text *t)
{
    if (t->at[t->len - 1] != '[')
        fp_text_put(t, ",");
    fp_text_put(t, "{");
}

static void put_text(struct fp_text *t, const char *member, const char *value)
{
    name(t, member);
    if (value == NULL)
        fp_text_put(t, "null");
    else
        fp_text_string(t, value);
}

static void put_int(struct fp_text *t, const char *member, int64_t value)
{
    name(t, member);
    fp_text_int(t, value);
}

static void put_number(struct fp_text *t, const char *member, double value)
{
    name(t, member);
    fp_text_number(t, value);
}

static void put_time(struct fp_text *t, const char *member, int64_t time_us)
{
    name(t, member);
    fp_text_put(t, "\"");
    fp_text_time(t, time_us, 0);
    fp_text_put(t, "\"");
}

static void put_params(struct fp_text *t, const struct fp_generator *gen)
{
    const struct fp_generate_params *params = &gen->params;
    name(t, "parameters");
    fp_text_put(t, "{");
    put_text(t, "profile", params->profile == FP_GENERATE_REFERENCE ? "reference" : "programme");
    put_int(t, "seed", (int64_t)params->seed);
    put_int(t, "messages", params->messages);
    put_int(t, "days", params->days);
    put_int(t, "units", params->units);
    put_time(t, "start", gen->world.start_us);
    put_time(t, "end", gen->world.end_us);
    put_number(t, "bad_share", gen->world.mix.bad);
    put_text(t, "model_hash", gen->world.model->hash);
    put_text(t, "touchpoints_topic", gen->topics[0]);
    put_text(t, "responses_topic", gen->topics[1]);
    fp_text_put(t, "}");
}

/* Every (outcome, driver) pair of one audience with the coefficient to find, in scale points. */
static void put_driver_pair(struct fp_text *t, const struct fp_world *w, int outcome, int driver)
{
    const struct fp_item *y = &w->model->items[outcome], *x = &w->model->items[driver];
    const struct fp_scale *of_y = &w->model->scales[y->scale], *of_x = &w->model->scales[x->scale];
    double points = (double)(of_y->max - of_y->min) / (double)(of_x->max - of_x->min);
    double sign = y->direction == x->direction ? 1 : -1;
    element(t);
    put_text(t, "audience", w->items[driver].employee ? "employee" : "customer");
    put_text(t, "outcome", y->id);
    put_text(t, "driver", x->id);
    put_number(t, "importance", w->items[driver].importance);
    put_number(t, "coef", sign * w->items[driver].importance * points);
    fp_text_put(t, "}");
}

static void put_drivers(struct fp_text *t, const struct fp_world *w)
{
    name(t, "driver_effects");
    fp_text_put(t, "[");
    for (int i = 0; i < w->model->item_count; i++)
        for (int k = 0; w->items[i].outcome && k < w->model->item_count; k++)
            if (!w->items[k].outcome &&
                (w->items[k].employee ? w->items[i].employee : w->items[i].customer))
                put_driver_pair(t, w, i, k);
    fp_text_put(t, "]");
}

static void put_units(struct fp_text *t, const struct fp_world *w)
{
    name(t, "unit_effects");
    fp_text_put(t, "{");
    for (uint32_t i = 0; i < w->unit_count; i++)
        put_number(t, w->units[i], w->unit_effect[i]);
    fp_text_put(t, "}");
}

static void put_planting(struct fp_text *t, const struct fp_world *w, int which)
{
    static const char *const names[FP_PLANTED] = {"dip", "trend", "intervention"};
    const struct fp_planting *p = &w->planted[which];
    name(t, names[which]);
    if (!p->there) {
        fp_text_put(t, "null");
        return;
    }
    fp_text_put(t, "{");
    if (which == FP_PLANTED_INTERVENTION)
        put_text(t, "id", w->model->interventions[w->intervention].id);
    put_time(t, "from", p->from_us);
    put_time(t, "to", p->to_us < w->end_us ? p->to_us : w->end_us);
    name(t, "units");
    fp_text_put(t, "[");
    for (uint32_t i = 0; i < w->unit_count; i++)
        if (p->unit == FP_NONE ? w->treated[i] : p->unit == (int)i) {
            if (t->at[t->len - 1] != '[')
                fp_text_put(t, ",");
            fp_text_string(t, w->units[i]);
        }
    fp_text_put(t, "]");
    put_text(t, "touchpoint",
             p->touchpoint == FP_NONE ? NULL : w->model->touchpoints[p->touchpoint].id);
    put_text(t, "measure",
             p->only_measure == FP_NONE ? NULL : w->model->measures[p->only_measure].id);
    put_number(t, "satisfaction_shift", p->satisfaction);
    put_number(t, "measure_factor", p->measure_factor);
    fp_text_put(t, "}");
}

static void put_counts(struct fp_text *t, const struct fp_generator *gen)
{
    static const char *const classes[FP_TRUTH_CLASSES] = {"applied", "duplicate", "revised",
                                                          "voided",  "rejected",  "ignored"};
    static const char *const types[] = {"touchpoint", "response",     "invitation",
                                        "case",       "intervention", "erasure"};
    name(t, "counts");
    fp_text_put(t, "{");
    put_int(t, "consumed", gen->emitted);
    for (int i = 0; i < FP_TRUTH_CLASSES; i++)
        put_int(t, classes[i], gen->counts[i]);
    fp_text_put(t, "}");
    name(t, "types");
    fp_text_put(t, "{");
    for (int i = 0; i <= FP_EVENT_ERASURE; i++)
        put_int(t, types[i], gen->types[i]);
    fp_text_put(t, "}");
    name(t, "formats");
    fp_text_put(t, "{");
    static const char *const formats[FP_FORMATS] = {"structured", "binary", "plain", "wire_prefix"};
    for (int i = 0; i < FP_FORMATS; i++)
        put_int(t, formats[i], gen->formats[i]);
    fp_text_put(t, "}");
    put_int(t, "late_over_hour", gen->late_hour);
    put_int(t, "late_over_day", gen->late_day);
    put_int(t, "value_bytes", gen->bytes);
}

static void put_bads(struct fp_text *t, const struct fp_generator *gen)
{
    name(t, "bad");
    fp_text_put(t, "{");
    for (int i = FP_BAD_NONE + 1; i < FP_BADS; i++)
        put_int(t, fp_bad_name((enum fp_bad)i), gen->bads[i]);
    fp_text_put(t, "}");
    name(t, "rejected_by_reason");
    fp_text_put(t, "{");
    for (int i = FP_BAD_NONE + 1; i < FP_BADS; i++) {
        const char *reason = fp_bad_reason((enum fp_bad)i);
        if (reason != NULL && gen->bads[i] > 0)
            put_int(t, reason, gen->bads[i]);
    }
    fp_text_put(t, "}");
}

const char *fp_generator_truth(struct fp_generator *gen)
{
    struct fp_text *t = &gen->truth;
    t->len = 0;
    fp_text_put(t, "{");
    if (t->at == NULL)
        return NULL;
    put_params(t, gen);
    put_counts(t, gen);
    put_bads(t, gen);
    put_drivers(t, &gen->world);
    put_units(t, &gen->world);
    name(t, "planted");
    fp_text_put(t, "{");
    for (int i = 0; i < FP_PLANTED; i++)
        put_planting(t, &gen->world, i);
    fp_text_put(t, "}");
    name(t, "erasures");
    fp_text_put(t, "[");
    for (int i = 0; i < gen->erased_count; i++) {
        element(t);
        name(t, "subject");
        fp_text_put(t, "\"c-");
        fp_text_base36(t, gen->erased[i].customer);
        fp_text_put(t, "\"");
        put_time(t, "before", gen->erased[i].before_us);
        fp_text_put(t, "}");
    }
    fp_text_put(t, "]}\n");
    return t->failed ? NULL : t->at;
}
