/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The statements of a flush as functions from a batch to queued SQL; used by flush.c only. */
#ifndef FP_FLUSH_SQL_H
#define FP_FLUSH_SQL_H

#include "daemon/flush.h"

/* Each adds its statements to the open flight; FP_OK and nothing queued when there is nothing to
 * say. *queued grows by the number of statements. */
struct fp_queue {
    struct fp_pg *pg;
    int queued;
    struct fp_error *err;
};

enum fp_status fp_queue_positions(struct fp_queue *q, const struct fp_batch *batch,
                                  const char *owner);
enum fp_status fp_queue_ledger(struct fp_queue *q, const struct fp_batch *batch,
                               const struct fp_settlement *s);
enum fp_status fp_queue_rejects(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_rejected *rejected, size_t count);
enum fp_status fp_queue_tallies(struct fp_queue *q, const char *table, struct fp_delta *delta,
                                int lane);
enum fp_status fp_queue_sketch(struct fp_queue *q, struct fp_delta *delta, int lane);
enum fp_status fp_queue_coverage(struct fp_queue *q, struct fp_delta *delta, int lane);
enum fp_status fp_queue_filed(struct fp_queue *q, const struct fp_batch *batch);
enum fp_status fp_queue_responses(struct fp_queue *q, const struct fp_settlement *s);
enum fp_status fp_queue_erasures(struct fp_queue *q, const struct fp_settlement *s);
/* Locks and reads what the batch's rows may meet. *lookups: results 0 responses, 1 responses of
 * erased subjects, 2 tombstones, after the statements already queued. */
enum fp_status fp_queue_lookups(struct fp_queue *q, const struct fp_batch *batch);

/* A block of parameters with names by index, freed as a whole. */
#define FP_PARAMS_MAX 40
struct fp_params {
    struct fp_pg_param at[FP_PARAMS_MAX];
    struct fp_pg_param *ref[FP_PARAMS_MAX];
    size_t count;
};
/* types: one letter a parameter — lower case scalar, upper case array: h int2, i int4, l int8, t
 * text, b bytea, z timestamptz, u uuid, o bool, d float8. */
void fp_params_init(struct fp_params *params, const char *types);
void fp_params_free(struct fp_params *params);
enum fp_status fp_queue_add(struct fp_queue *q, const char *sql,
                            struct fp_params *params); /* frees params */

#endif
