/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator's own types; for daemon/generate*.c only.
 *
 * world (what is true) → visit (what happens: plans) → queue (when it is sent) → text (how it is
 * written) → truth (what a reader should make of it). */
#ifndef FP_GENERATE_PARTS_H
#define FP_GENERATE_PARTS_H

#include <stddef.h>

#include "analytics/random.h"
#include "daemon/generate.h"
#include "daemon/generate_plan.h"

#define FP_SECOND INT64_C(1000000)
#define FP_HOUR (3600 * FP_SECOND)
#define FP_DAY (24 * FP_HOUR)

/* ---- world: what is true ----------------------------------------------------------------------
 */

struct fp_mix { /* probabilities and sizes of a profile */
    double invitation, response, unasked; /* answers of those who were invited, and of the others */
    double revise, voided, void_first, out_of_order, duplicate, conflict, cases;
    double employee, internal, relationship, bad, late_hours, late_days, unmapped, new_unit;
    double binary, plain, wire, odd_text, comment, skipped, partial, weighted, own_measures;
    int drivers_asked; /* 0: all that apply */
    bool walks;        /* customers walk through a journey; else one touchpoint a visit */
    bool headers;      /* content-type of structured messages */
};
extern const struct fp_mix fp_mix_programme, fp_mix_reference;

struct fp_stop {
    int journey, detailed, touchpoint;
}; /* main, detailed (FP_NONE), touchpoint */

struct fp_route {
    uint32_t first, count;
}; /* stops of one main journey */

struct fp_world_item {
    bool customer, employee, outcome;
    double importance; /* of a driver: outcome range per driver range */
};

struct fp_world_touchpoint {
    int measures[FP_PLAN_MEASURES];
    int measure_count, channel;
    double failure, level; /* probability; factor on measures */
};

enum fp_planted { FP_PLANTED_DIP, FP_PLANTED_TREND, FP_PLANTED_INTERVENTION, FP_PLANTED };
struct fp_planting {
    bool there;
    int64_t from_us, to_us;
    int unit;            /* index; FP_NONE: those marked in `treated` */
    int touchpoint;      /* dense; FP_NONE: all */
    double satisfaction; /* shift of the outcome in shares of its scale; of a trend: at its end */
    double measure_factor;
    int only_measure; /* dense; FP_NONE: all measures */
};

struct fp_world {
    const struct fp_model *model;
    struct fp_mix mix;
    int64_t start_us, end_us;
    uint32_t customers, employees;
    const char **units;
    double *unit_effect;
    uint64_t *unit_cumulative;
    bool *treated; /* units of the intervention */
    uint32_t unit_count;
    struct fp_stop *stops;
    struct fp_route *routes;
    uint32_t stop_count, route_count;
    int employee_journey; /* FP_NONE: none */
    struct fp_world_item *items;
    struct fp_world_touchpoint *touchpoints;
    double *measure_base; /* fixed point above the minimum */
    uint64_t *rhythm;     /* cumulative weight of each hour of the span */
    uint32_t hour_count;
    struct fp_planting planted[FP_PLANTED];
    int intervention; /* dense, FP_NONE */
    char *names;      /* memory of invented unit names */
    bool employee_items, touchpoint_items, customer_items;
};

extern const char *const fp_channels[];
#define FP_CHANNELS 6
#define FP_CHANNEL_EMAIL 4
#define FP_CHANNEL_SMS 5

bool fp_world_build(struct fp_world *world, const struct fp_model *model,
                    const struct fp_generate_params *params, struct fp_error *err);
void fp_world_free(struct fp_world *world);
/* Shift of the outcome (in shares of its scale) and factor on a measure at a place and time. */
double fp_world_shift(const struct fp_world *world, int touchpoint, int unit, int64_t time_us);
double fp_world_factor(const struct fp_world *world, const struct fp_stop *stop, int unit,
                       int measure, int64_t time_us);

/* ---- queue and generator ----------------------------------------------------------------------
 */

struct fp_taken_back {
    uint32_t customer;
    int64_t before_us;
};
#define FP_ERASURES 8

struct fp_generator {
    struct fp_world world;
    struct fp_generate_params params;
    struct cx_random random;
    char topics[2][256];
    /* plans, and a heap of their indices by (send_us, order) */
    struct fp_plan *plans;
    uint32_t *heap, *free_list;
    uint32_t plan_capacity, heap_count, free_count, plan_count;
    uint64_t orders, serials;
    int64_t scheduled, emitted;
    int erasures_planned;
    uint32_t hour; /* of the next arrival */
    bool failed;   /* no memory */
    /* truth */
    int64_t counts[FP_TRUTH_CLASSES], bads[FP_BADS], types[FP_EVENT_TYPES], formats[FP_FORMATS];
    int64_t late_hour, late_day, bytes;
    struct fp_taken_back erased[FP_ERASURES];
    int erased_count;
    /* text of the record given out last */
    struct fp_text value, fields, truth;
    char key[64];
    struct fp_header headers[8];
};

/* Queues a copy with its order, unless it would be sent after the end (false). */
bool fp_schedule(struct fp_generator *gen, const struct fp_plan *plan);
/* One arrival at time_us: a visit, an employee's pulse, an internal assessment, … */
void fp_arrive(struct fp_generator *gen, int64_t time_us);
void fp_plan_intervention(struct fp_generator *gen);
/* Fills `plan` with the answers of one respondent who met these stops; `operations` is how they
 * went, in shares of the outcome scale. */
void fp_answer(struct fp_generator *gen, struct fp_plan *plan, const struct fp_stop *stops,
               uint32_t count, double operations);

/* Writes the plan as a record; what it points to is in gen. */
void fp_write(struct fp_generator *gen, const struct fp_plan *plan, struct fp_record *record);
void fp_write_id(struct fp_text *text, const struct fp_generator *gen, const struct fp_plan *plan);

/* What is wrong with messages. */
const char *fp_bad_name(enum fp_bad bad);
const char *fp_bad_reason(enum fp_bad bad); /* NULL: not a reject (tombstone, foreign) */
enum fp_bad fp_bad_draw(struct cx_random *random, const struct fp_plan *plan);
void fp_bad_text(struct fp_text *value, enum fp_bad bad); /* spoils finished text */

#endif
