/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A seeded stream of messages with known truth, drawn from an experience model.
 *
 * Pure: no I/O, clock, log or mutable static. The same model, parameters and seed give the same
 * bytes on every machine (with the same time zone data): decisions use integers and exactly rounded
 * operations only. Records come in the order of their send time; all records of one subject have
 * one key, so they keep that order in their partition, and the truth can be told while drawing.
 * Ownership: a generator owns what its records point to. Threads: one generator per thread. */
#ifndef FP_GENERATE_H
#define FP_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/event.h"
#include "daemon/model.h"
#include "daemon/status.h"

enum fp_generate_profile {
    FP_GENERATE_PROGRAMME, /* a living programme: everything a stream can hold */
    FP_GENERATE_REFERENCE  /* the reference workload of the benchmarks: 70 % touchpoint events, 30 %
                              responses to 8 drivers, 0.5 % duplicates, 0.1 % malformed */
};

struct fp_generate_params {
    uint64_t seed;
    int64_t messages; /* exactly as many records come out; ≥ 1 */
    int64_t days;     /* the span of their send times, 1 … 3660 */
    int64_t units;    /* 0: the model's leaf units; more than it has: undeclared ones are added */
    int64_t start_us; /* first send time, µs since 1970 UTC */
    double bad_share; /* of malformed and unacceptable messages, 0 … 0.5; the reference profile has
                         its own */
    enum fp_generate_profile profile;
    bool whole_text; /* every value is a complete JSON message: no binary mode, no wire prefix */
    const char *touchpoints_topic, *responses_topic;
};

/* What the contract asks of a reader of the stream, counted. */
enum fp_truth_class {
    FP_TRUTH_APPLIED,
    FP_TRUTH_DUPLICATE,
    FP_TRUTH_REVISED,
    FP_TRUTH_VOIDED,
    FP_TRUTH_REJECTED,
    FP_TRUTH_IGNORED,
    FP_TRUTH_CLASSES
};

struct fp_generator;

/* NULL with err filled when the model has nothing to draw from, or no memory is left. The model is
 * retained, the topic names are copied. */
struct fp_generator *fp_generator_new(const struct fp_model *model,
                                      const struct fp_generate_params *params,
                                      struct fp_error *err);
void fp_generator_free(struct fp_generator *generator);

/* FP_OK with a record (valid until the next call); FP_REJECT after the last one; FP_FATAL: no
 * memory. partition is −1 and offset −1; well_formed (may be NULL) tells whether a reader should
 * accept it. */
enum fp_status fp_generator_next(struct fp_generator *generator, struct fp_record *record,
                                 bool *well_formed) FP_MUST_CHECK;

/* Records of a class so far; and of rejects with one reason ("out_of_scale"). */
int64_t fp_generator_count(const struct fp_generator *generator, enum fp_truth_class class);
int64_t fp_generator_rejects(const struct fp_generator *generator, const char *reason);
/* The truth of everything drawn so far as one JSON object, NUL-terminated; NULL: no memory. The
 * generator owns it until the next call. */
const char *fp_generator_truth(struct fp_generator *generator);

#endif
