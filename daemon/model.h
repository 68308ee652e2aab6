/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The experience model: one JSON file, validated whole and compiled into dense ids.
 *
 * A model is immutable after loading and reference counted; every array index below ("dense id") is
 * valid for this model only. Ids of the database (which outlive models) live in registry.h.
 * Threads: a loaded model may be read by any thread; retain/release are atomic. */
#ifndef FP_MODEL_H
#define FP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/event.h"
#include "daemon/slice.h"
#include "daemon/status.h"
#include "daemon/timezone.h"

#define FP_NONE (-1)
#define FP_HASH_HEX 65 /* SHA-256 in hex and a NUL */

enum fp_metric {
    FP_METRIC_NPS,
    FP_METRIC_CSAT,
    FP_METRIC_CES,
    FP_METRIC_MEAN,
    FP_METRIC_TOP_BOX,
    FP_METRICS
};
enum fp_item_kind { FP_ITEM_OUTCOME, FP_ITEM_DRIVER, FP_ITEM_PROMISE };
enum fp_direction { FP_HIGHER_IS_BETTER, FP_LOWER_IS_BETTER };
enum fp_grain { FP_GRAIN_DAY, FP_GRAIN_HOUR }; /* hour: hours *and* days are kept */
enum fp_tenure_kind {
    FP_TENURE_NONE,
    FP_TENURE_IS_APPLICANT,
    FP_TENURE_MAX_MONTHS,
    FP_TENURE_MIN_MONTHS
};

enum fp_source_kind {                           /* what a KPI counts */
                      FP_SOURCE_ITEM,           /* answers to an item, by its metric */
                      FP_SOURCE_MEASURE_MEAN,   /* {"measure": m}: mean of a touchpoint measure */
                      FP_SOURCE_MEASURE_WITHIN, /* {"measure": m, "within": x}: share of events with
                                                   m ≤ x */
                      FP_SOURCE_MEASURE_QUANTILE, /* {"measure": m, "quantile": q} */
                      FP_SOURCE_OUTCOME, /* {"outcome": o}: share of events with this outcome */
                      FP_SOURCE_INDEX, /* {"items": […]}: mean over several items, by response */
                      FP_SOURCE_MEASURE_PER, /* {"measure": m, "per": m2}: Σm ÷ Σm2 of events */
                      FP_SOURCE_RESPONSE_RATE,   /* {"response_rate": true or a survey} */
                      FP_SOURCE_STRAIGHT_LINING, /* {"straight_lining": true}: share of responses
                                                    whose answers are all the same */
                      FP_SOURCES
};

struct fp_scale {
    const char *id;
    int32_t min, max;
    int32_t na_codes[8]; /* numeric answers that mean "does not apply" */
    int na_count;
};

struct fp_item {
    const char *id, *text;
    enum fp_item_kind kind;
    enum fp_metric metric;
    int scale;      /* dense */
    int top;        /* CSAT and top box: how many top points count; CES also publishes it */
    int touchpoint; /* dense, or FP_NONE: the item counts there, whichever survey asked it */
    enum fp_direction direction;
};

struct fp_measure {
    const char *id, *unit, *role; /* role "" or "cost" */
    int decimals;                 /* 0 … 9 */
    int64_t min, max;             /* fixed point, inclusive */
    enum fp_direction direction;
};

struct fp_journey {
    const char *id, *name;
    enum fp_audience audience;
    int parent; /* dense id of the main journey, FP_NONE for a main journey */
    enum fp_tenure_kind tenure;
    int tenure_months;
    const int *touchpoints; /* dense ids; for a main journey: of all its detailed journeys */
    int touchpoint_count;
};

struct fp_touchpoint {
    const char *id, *name, *department;
    int owner; /* dense or FP_NONE */
    const char *const *processes, *const *systems;
    int process_count, system_count;
    int only_journey; /* the one main journey it belongs to, FP_NONE when none or several */
};

struct fp_unit {
    const char *id, *name;
    int parent;
};
struct fp_owner {
    const char *id, *name, *department;
};

struct fp_external_benchmark { /* what others reach, as published; in the KPI's own unit */
    bool present;
    double value, sd, n; /* sd of respondents, how many; NAN: not known */
    const char *source;
    int32_t from, until; /* local days it is valid, inclusive; INT32_MIN, INT32_MAX: open */
};

struct fp_kpi {
    const char *id, *statement;
    const char *role; /* "input" or "output" */
    enum fp_source_kind source;
    int item, measure; /* dense or FP_NONE; measure: of a ratio, the numerator */
    int per;           /* measure in the denominator of a ratio, or FP_NONE */
    const int *items;  /* of an index: dense, by id, all on one scale */
    int item_count;
    const char *survey; /* of a response rate; NULL: any */
    enum fp_outcome outcome;
    int64_t within; /* fixed point of the measure */
    double quantile;
    int journey, touchpoint; /* scope, dense or FP_NONE */
    enum fp_audience audience;
    enum fp_direction direction;
    enum fp_grain grain;
    int owner; /* dense or FP_NONE */
    bool has_target, has_good_enough;
    double target, good_enough; /* in the KPI's own unit (NPS points, share, mean) */
    struct fp_external_benchmark benchmark;
    char definition[FP_HASH_HEX]; /* hash of what decides the numbers (not target, owner, texts) */
};

/* Which messages a KPI counts: touchpoint events; answers of responses; else, of a response rate,
 * invitations and responses. */
static inline bool fp_kpi_of_events(const struct fp_kpi *kpi)
{
    return kpi->source == FP_SOURCE_MEASURE_MEAN || kpi->source == FP_SOURCE_MEASURE_WITHIN ||
           kpi->source == FP_SOURCE_MEASURE_QUANTILE || kpi->source == FP_SOURCE_OUTCOME ||
           kpi->source == FP_SOURCE_MEASURE_PER;
}
static inline bool fp_kpi_of_answers(const struct fp_kpi *kpi)
{
    return kpi->source == FP_SOURCE_ITEM || kpi->source == FP_SOURCE_INDEX ||
           kpi->source == FP_SOURCE_STRAIGHT_LINING;
}

struct fp_driver_model {
    const char *id;
    int outcome;        /* item */
    const int *drivers; /* items */
    const int *measures;
    int driver_count, measure_count;
    int journey, touchpoint;
    int window_days, join_window_hours;
    bool panel; /* its people answer repeatedly: intervals by groups of people */
    const char *const *segments;
    int segment_count;
    char definition[FP_HASH_HEX];
};

struct fp_intervention {
    const char *id, *text, *status;
    const char *target; /* id of a kpi or an item */
    bool target_is_kpi;
    const int *units;
    int unit_count, owner;
    const char *start, *due; /* ISO dates or NULL */
    double cost, expected_effect;
};

struct fp_promise {
    const char *id, *text;
    int promise;                 /* item */
    const char *const *delivery; /* ids of items or kpis */
    int delivery_count;
};

struct fp_calendar_entry { /* days that are known to differ */
    int32_t from, until;   /* local days since 1970-01-01, inclusive */
    const char *text;
};

struct fp_limits {
    int units, channels, touchpoints, sources; /* registered names; beyond: "__other__" */
    int future_skew_s; /* event time may be this far past the record's time */
};

enum fp_kind { /* of a name */
               FP_KIND_UNIT,
               FP_KIND_CHANNEL,
               FP_KIND_TOUCHPOINT,
               FP_KIND_JOURNEY,
               FP_KIND_SOURCE,
               FP_KIND_SURVEY,
               FP_KIND_ITEM,
               FP_KIND_MEASURE,
               FP_KIND_OWNER,
               FP_KIND_KPI,
               FP_KIND_SCALE,
               FP_KIND_DRIVER_MODEL,
               FP_KIND_INTERVENTION,
               FP_KIND_PROMISE,
               FP_KINDS
};

struct fp_model {
    char hash[FP_HASH_HEX]; /* of the canonical text: white space and key order do not matter */
    char *text;             /* canonical JSON, stored with the hash */
    const char *programme, *programme_name, *currency, *time_zone;
    struct fp_timezone *zone;                       /* of time_zone */
    int responses_days, tallies_days, rejects_days; /* retention; rejects default 90 */
    int min_n, min_n_employee;
    double false_episodes_per_year;
    const struct fp_calendar_entry *calendar; /* in the order of the file */
    int calendar_count;
    struct fp_limits limits;

    struct fp_scale *scales;
    int scale_count;
    struct fp_item *items;
    int item_count;
    struct fp_measure *measures;
    int measure_count;
    struct fp_owner *owners;
    int owner_count;
    struct fp_unit *units;
    int unit_count;
    struct fp_journey *journeys;
    int journey_count; /* main and detailed, parents first */
    struct fp_touchpoint *touchpoints;
    int touchpoint_count;
    struct fp_kpi *kpis;
    int kpi_count;
    struct fp_driver_model *driver_models;
    int driver_model_count;
    struct fp_intervention *interventions;
    int intervention_count;
    struct fp_promise *promises;
    int promise_count;

    struct fp_model_private *own; /* memory, name index, reference count */
};

struct fp_problem {
    char path[160]; /* JSON path, e.g. $.kpis[2].source.measure */
    char what[240];
    char hint[240]; /* how to mend it; may be empty */
};

struct fp_problems {
    struct fp_problem *at;
    int count, capacity;
};
void fp_problems_free(struct fp_problems *problems);

/* Parses, validates and compiles `text`. On failure returns FP_REJECT with *every* problem found
 * and *model NULL. The model starts with one reference. */
enum fp_status fp_model_parse(const char *text, size_t len, struct fp_model **model,
                              struct fp_problems *problems) FP_MUST_CHECK;
/* The same from a file; a file that cannot be read is one problem with path "$". */
enum fp_status fp_model_load(const char *path, struct fp_model **model,
                             struct fp_problems *problems) FP_MUST_CHECK;
struct fp_model *fp_model_retain(struct fp_model *model);
void fp_model_release(struct fp_model *model); /* NULL is allowed */

/* Dense id of a name, FP_NONE when the model does not declare it. Kinds CHANNEL, SOURCE and SURVEY
 * are never declared. O(1). */
int fp_model_find(const struct fp_model *model, enum fp_kind kind, struct fp_slice name);

/* Where an observation happened, in dense ids (FP_NONE = unknown or not given). */
struct fp_place {
    enum fp_audience audience;
    int journey;  /* main */
    int detailed; /* detailed */
    int touchpoint;
};

/* The place of a message: `journey` may name a main or a detailed journey; a journey that is absent
 * is inferred when the touchpoint belongs to just one; the detailed journey follows from the
 * touchpoint or, for employees, from the first tenure window that holds. */
struct fp_place fp_model_place(const struct fp_model *model, const struct fp_event *event);

/* True when the KPI's scope (audience, journey, touchpoint) covers the place. The audience does not
 * matter to KPIs of touchpoint events, which have none, and the caller looks at the survey of a
 * response rate. For KPIs of items the caller first replaces place.touchpoint by the item's own
 * touchpoint, if it has one (the journey stays as it is). */
bool fp_kpi_covers(const struct fp_model *model, const struct fp_kpi *kpi,
                   const struct fp_place *place);
/* The same of a journey alone, main or detailed. */
bool fp_journey_covers(const struct fp_model *model, int journey, const struct fp_place *place);

/* KPIs that could count: those of an item; those of touchpoint events at a touchpoint (FP_NONE: not
 * declared). Dense ids in file order; borrowed from the model. */
const int *fp_model_item_kpis(const struct fp_model *model, int item, int *count);
const int *fp_model_touchpoint_kpis(const struct fp_model *model, int touchpoint, int *count);
/* KPIs that a response counts in as a whole: index, response rate, straight-lining. */
const int *fp_model_response_kpis(const struct fp_model *model, int *count);

/* Tallies of the KPI are sums in units of 10^-decimals of its value. Of a ratio it is the
 * difference of its measures' decimals (value = Σx ÷ Σy · 10^-decimals), so it may be negative. */
int fp_kpi_decimals(const struct fp_model *model, const struct fp_kpi *kpi);
/* The scale that the answers of an item's or index's KPI are on; NULL: it has none. */
const struct fp_scale *fp_kpi_scale(const struct fp_model *model, const struct fp_kpi *kpi);
/* Name in flightpath.kpi.metric: of an item its own, else measure_mean, quantile, share, index,
 * ratio or response_rate. */
const char *fp_kpi_metric(const struct fp_model *model, const struct fp_kpi *kpi);

#endif
