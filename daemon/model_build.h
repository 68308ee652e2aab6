/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files that read a model share: the document, the model being made and its problems.
 * Internal to model*.c. The steps, in order: model_json (text → tree), model_schema (shape, types,
 * ranges), model_index (ids), model_parts, model_source, model_kpi and model_plan (references and
 * sense), model_hash, model_place. Every step goes on after a problem, so that all are found at
 * once. */
#ifndef FP_MODEL_BUILD_H
#define FP_MODEL_BUILD_H

#include <stdatomic.h>

#include "daemon/model.h"
#include "daemon/model_json.h"

struct fp_index_slot {
    const char *name; /* NULL: free */
    uint32_t len;
    uint8_t kind;
    int32_t id;
};

struct fp_index {
    struct fp_index_slot *slots;
    uint32_t mask;
};

struct fp_model_private {
    struct fp_arena arena;
    atomic_int references;
    struct fp_index index;
    /* lists per item, and per touchpoint with one more for undeclared ones */
    int *item_kpis, *item_start;
    int *touchpoint_kpis, *touchpoint_start;
    int *response_kpis, response_kpi_count;
};

struct fp_build {
    struct fp_model *model;
    struct fp_arena *arena;
    struct fp_problems *problems;
    const struct fp_node *root;
    const struct fp_node **journey_nodes; /* by dense id */
    bool *bad_scales, *bad_measures;      /* reported; what refers to them is not judged by them */
};

/* ---- problems (model_problem.c) -------------------------------------------------------------- */

#define FP_PROBLEMS_MAX 500

void fp_problem_add(struct fp_problems *problems, const char *path, const char *hint,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* At a node; `key` (may be NULL) names a member of it, there or missing. */
void fp_problem_at(struct fp_build *build, const struct fp_node *node, const char *key,
                   const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The closest of the names offered so far, if close enough to be meant. */
struct fp_nearest {
    const char *wanted, *name;
    size_t distance;
};
void fp_nearest_offer(struct fp_nearest *nearest, const char *name);

/* ---- shape (model_schema.c) ------------------------------------------------------------------ */

void fp_model_check_shape(struct fp_build *build);
bool fp_date_valid(const char *text); /* YYYY-MM-DD that exists */

/* ---- names (model_index.c) ------------------------------------------------------------------- */

/* Counts, allocates and declares everything that has an id. */
void fp_model_declare(struct fp_build *build);
const char *fp_kind_name(enum fp_kind kind);
/* Dense id of the string `node`; FP_NONE, and a problem unless node is NULL or no string. */
int fp_build_ref(struct fp_build *build, const struct fp_node *node, enum fp_kind kind);
/* The same where a name may be of either of two kinds: which one. `node` is a string. */
enum fp_kind fp_build_ref_either(struct fp_build *build, const struct fp_node *node,
                                 enum fp_kind kind, enum fp_kind or_kind);
/* A list of references; repeated ones are a problem. */
const int *fp_build_refs(struct fp_build *build, const struct fp_node *list, enum fp_kind kind,
                         int *count);

/* ---- contents -------------------------------------------------------------------------------- */

void fp_model_read_parts(struct fp_build *build);    /* model_parts.c: programme … items */
void fp_model_read_journeys(struct fp_build *build); /* model_journey.c: journeys, touchpoints */
void fp_model_read_kpis(struct fp_build *build);     /* model_kpi.c */
/* model_source.c: what a KPI counts, of its node's "source". */
void fp_model_read_source(struct fp_build *build, const struct fp_node *node, struct fp_kpi *kpi);
void fp_model_read_plan(struct fp_build *build); /* model_plan.c: driver models … promises */

const char *const *fp_build_texts(struct fp_build *build, const struct fp_node *list, int *count);
enum fp_direction fp_build_direction(const struct fp_node *node, enum fp_direction fallback);
/* A number in a measure's unit as fixed point; a problem and false when it is no multiple of it. */
bool fp_build_fixed(struct fp_build *build, const struct fp_node *node, int decimals,
                    int64_t *value);
/* The day that a member names: false when it is absent or not a date. */
bool fp_build_day(const struct fp_node *node, const char *key, int32_t *day);
bool fp_journey_has(const struct fp_model *model, int journey, int touchpoint);

/* ---- hashes (model_hash.c) ------------------------------------------------------------------- */

void fp_hash_hex(const char *text, size_t len, char hex[FP_HASH_HEX]);
void fp_model_hash(struct fp_build *build); /* canonical text, model hash, definitions */

/* ---- lists (model_place.c) ------------------------------------------------------------------- */

void fp_model_list_kpis(struct fp_model *model);

#endif
