/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads beside the loop: each makes one pass after another over what it looks after, is woken
 * when there is news, can be asked to leave nothing undone, and ends with all the others.
 *
 * Ending is bounded: a pass under way may finish; after a few seconds its waits for PostgreSQL are
 * broken off (fp_pg_interrupt_on); what then still runs is left to itself and frees its own memory
 * should it get there. So passes must be such that breaking them off loses nothing. What options
 * and health point to must live as long as the process. */
#ifndef FP_WORKER_H
#define FP_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/status.h"

struct fp_worker;
struct fp_workers; /* all of a daemon's */

struct fp_turn {     /* what a pass says */
    bool idle;       /* it found nothing to do, or nothing that can be done */
    int64_t wait_ms; /* until the next, unless there is news; 0: at once */
};

struct fp_worker_job {
    const char *name; /* of events in the log: "<name>_abandoned" */
    const char *left; /* what it means for a reader that a pass was left under way */
    /* On the worker's thread. `draining`: fp_worker_drain waits for an idle pass. */
    struct fp_turn (*pass)(void *context, bool draining);
    void (*farewell)(void *context); /* after the last pass, on its thread; may be NULL */
    void (*release)(void *context);  /* frees the context; any thread, nobody else has it then */
};

struct fp_workers *fp_workers_new(void); /* NULL: no memory */
/* Starts a worker and takes the context over: it is released also when this fails. *worker, which
 * may lie in the context, is set before the first pass and valid as long as the context. */
enum fp_status fp_worker_start(struct fp_workers *workers, const struct fp_worker_job *job,
                               void *context, struct fp_worker **worker,
                               struct fp_error *err) FP_MUST_CHECK;
/* Ends all workers at the same time, and frees them. NULL is allowed. */
void fp_workers_stop(struct fp_workers *workers);

/* Guards what a context shares with other threads. */
void fp_worker_lock(struct fp_worker *worker);
void fp_worker_unlock(struct fp_worker *worker);
/* There is news: the next pass begins at once, and one under way does not count as idle. */
void fp_worker_wake(struct fp_worker *worker);
/* Waits for a pass that began after this call and was idle, or for *stop. */
void fp_worker_drain(struct fp_worker *worker, const atomic_bool *stop);
/* Set when the worker is to end: a long pass looks at it. */
const atomic_bool *fp_worker_stopping(const struct fp_worker *worker);

#endif
