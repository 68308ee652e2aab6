/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One attempt to write a batch: ONE transaction that moves the positions by compare-and-set and
 * adds everything the batch adds (DESIGN §3). flusher.c repeats attempts; this file knows the SQL.
 * Threads: the flusher's. */
#ifndef FP_FLUSH_H
#define FP_FLUSH_H

#include "daemon/batch.h"
#include "daemon/kafka.h"
#include "daemon/pg.h"
#include "daemon/settle.h"

struct fp_flush {
    struct fp_pg *pg;                 /* borrowed for the attempt */
    struct fp_producer *dead_letters; /* borrowed */
    const char *dead_letters_topic, *predictions_topic;
    const char *owner; /* 16 bytes: the replica's uuid */
    int lane;
    int deadline_ms;
    uint64_t months[25]; /* partitions known to exist */
    struct fp_settlement settlement;
    bool repaired;     /* a missing partition was made once for this batch */
    bool acknowledged; /* the batch's own rejects are in the dead-letter topic */
    bool published;    /* its predictions are in theirs */
};

/* Clears what belongs to the previous batch. */
void fp_flush_start(struct fp_flush *flush);
/* OK: committed. RETRY: nothing of it was applied. UNKNOWN: fp_flush_outcome() after reconnecting.
 * FENCED, POISON, FATAL: as status.h says. After OK the settlement holds the rows' outcomes. */
enum fp_status fp_flush_attempt(struct fp_flush *flush, struct fp_batch *batch,
                                struct fp_error *err) FP_MUST_CHECK;
/* After UNKNOWN, on a new connection: locks the positions and compares. OK: it was applied; RETRY:
 * it was not, or the server cannot be asked yet (then *known is false); FENCED: others moved on. */
enum fp_status fp_flush_outcome(struct fp_flush *flush, const struct fp_batch *batch, bool *known,
                                struct fp_error *err) FP_MUST_CHECK;

#endif
