/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ingest loop's state, shared by ingest.c (the loop, batches) and ingest_record.c (one record).
 */
#ifndef FP_INGEST_STATE_H
#define FP_INGEST_STATE_H

#include "daemon/flusher.h"
#include "daemon/ingest.h"
#include "daemon/ownership.h"

struct fp_condemned { /* a record that PostgreSQL cannot store: rejected when it is read again */
    char topic[250];
    int32_t partition;
    int64_t offset;
    struct fp_error why;
};

struct fp_ingest {
    const struct fp_ingest_config *config;
    const struct fp_options *options;
    struct fp_health *health;
    struct fp_pg *pg;
    int64_t connect_after_ms, complain_after_ms;
    struct fp_registry *registry;
    struct fp_binding *binding,
        *next_binding; /* next: waits for the open batch to be handed over */
    struct fp_scoring *scoring, *next_scoring; /* of these; changed between batches only */
    struct fp_subject_key *subject_key;
    struct fp_decoder *decoder;
    struct fp_ownership ownership;
    struct fp_consumer *consumer;
    struct fp_flusher *flusher;
    struct fp_batch *filling, *spare;
    struct fp_event *event;
    struct fp_fact *fact;
    uint64_t seed; /* of the window's hashes */
    int64_t limit; /* messages a batch, halved while a poison record is sought */
    bool rewind;   /* a batch was dropped: positions must be read again */
    bool assigned_once;
    int64_t blocked_ms, advised_ms, model_checked_ms;
    struct fp_condemned condemned[8];
    int condemned_count;
    int64_t model_stamp[2]; /* mtime of the model file */
};

/* One record of the log: into the open batch, or passed. FP_RETRY: PostgreSQL is needed and away;
 * the record was not taken. */
enum fp_status fp_ingest_record(struct fp_ingest *in, const struct fp_record *record,
                                struct fp_error *err) FP_MUST_CHECK;
/* The end of a partition: control records before it are passed. */
void fp_ingest_end(struct fp_ingest *in, const struct fp_record *record);
/* Seconds or so after start and on request: loads the model again when its file changed. */
void fp_ingest_reload(struct fp_ingest *in, bool asked);

#endif
