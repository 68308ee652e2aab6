/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The statements of a flush as functions from a batch to queued SQL; used by flush.c only. */
#ifndef FP_FLUSH_SQL_H
#define FP_FLUSH_SQL_H

#include "daemon/flush.h"
#include "daemon/params.h"

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
/* The (series, day) pairs of tallies that were queued before (sorted then), for the watch. */
enum fp_status fp_queue_touched(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_settlement *s);
enum fp_status fp_queue_coverage(struct fp_queue *q, struct fp_delta *delta, int lane);
/* Predictions of events and, in `settled`, what was observed: one statement, sorted. */
enum fp_status fp_queue_predictions(struct fp_queue *q, struct fp_delta *events,
                                    struct fp_delta *settled, int lane);
/* Rows for driver models: events to be joined, then responses added and taken away. */
enum fp_status fp_queue_drivers(struct fp_queue *q, const struct fp_batch *batch,
                                const struct fp_settlement *s);
enum fp_status fp_queue_filed(struct fp_queue *q, const struct fp_batch *batch);
/* Those that changed or went; the others are copied, at once and before anything is queued. */
enum fp_status fp_queue_responses(struct fp_queue *q, const struct fp_settlement *s);
enum fp_status fp_copy_responses(struct fp_pg *pg, const struct fp_settlement *s, int deadline_ms,
                                 struct fp_error *err);
enum fp_status fp_queue_erasures(struct fp_queue *q, const struct fp_settlement *s);
/* Keeps erasures apart from everything else that has a subject, until the transaction ends. */
enum fp_status fp_queue_lock(struct fp_queue *q, const struct fp_batch *batch);
/* Locks and reads what the batch's rows may meet. Its results, after those of the
 * statements queued before: responses, responses of erased subjects, tombstones. */
enum fp_status fp_queue_lookups(struct fp_queue *q, const struct fp_batch *batch);

enum fp_status fp_queue_add(struct fp_queue *q, const char *sql,
                            struct fp_params *params); /* frees params */

#endif
