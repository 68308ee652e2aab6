/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that writes batches, one at a time, until each has a certain outcome.
 * The caller hands a batch over and gets it back with the verdict; in between it is not touched.
 * Threads: submit, take and stop belong to the ingest loop. */
#ifndef FP_FLUSHER_H
#define FP_FLUSHER_H

#include "daemon/batch.h"
#include "daemon/health.h"
#include "daemon/options.h"

struct fp_flusher;

struct fp_flusher_config {
    const struct fp_options *options;
    struct fp_health *health;
    const char *password; /* of PostgreSQL, or NULL */
    uint8_t owner[16];
    int lane;
};

enum fp_status fp_flusher_start(const struct fp_flusher_config *config, struct fp_flusher **flusher,
                                struct fp_error *err) FP_MUST_CHECK;
bool fp_flusher_idle(struct fp_flusher *flusher);
/* Only when idle and nothing waits to be taken. */
void fp_flusher_submit(struct fp_flusher *flusher, struct fp_batch *batch);
/* The finished batch, or NULL when there is none by the deadline. *verdict: OK, FENCED, POISON,
 * FATAL, or RETRY when the flusher was told to give up. Counts of the shares then include the
 * rows'. */
struct fp_batch *fp_flusher_take(struct fp_flusher *flusher, int timeout_ms,
                                 enum fp_status *verdict, struct fp_error *err);
/* Tells the flusher to give up on a batch that keeps failing (shutdown, revocation). */
void fp_flusher_give_up(struct fp_flusher *flusher, bool give_up);
/* A batch that is still with the flusher is freed. */
void fp_flusher_stop(struct fp_flusher *flusher);

#endif
