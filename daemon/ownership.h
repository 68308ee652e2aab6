/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Partitions of this replica: claimed under the position's row lock, lost by epoch.
 *
 * States of a partition (fp_part.state), changed in ownership.c only:
 *   ABSENT   not assigned to us (or revoked)
 *   LOADING  claimed; records below `next` only refill the duplicate window and prove the anchor
 *   LIVE     records are applied
 *   HALTED   assigned, but its log does not fit its position: stands still, says why
 *   FENCED   somebody else moved its epoch; claimed again after a while if the group still says so
 * Threads: the ingest loop's. */
#ifndef FP_OWNERSHIP_H
#define FP_OWNERSHIP_H

#include "daemon/batch.h"
#include "daemon/health.h"
#include "daemon/kafka.h"
#include "daemon/pg.h"
#include "daemon/window.h"

enum fp_part_state {
    FP_PART_ABSENT,
    FP_PART_LOADING,
    FP_PART_LIVE,
    FP_PART_HALTED,
    FP_PART_FENCED
};

struct fp_part {
    const char *topic; /* interned by the consumer */
    int32_t partition, incarnation;
    enum fp_part_state state;
    int64_t epoch, stored, next; /* position in the database; next offset of the loop */
    int64_t anchor_offset, anchor_hash;
    int64_t ledger_first;
    char ledger_model[FP_HASH_HEX];
    int64_t ledger_coefficients; /* version; both name the last range */
    int64_t end; /* of the log when claimed: for --until-caught-up */
    int64_t fenced_ms;
    int64_t *skip; /* rejected offsets below `next`: they are not in the window */
    size_t skip_count;
    struct fp_window *window;
    struct fp_health_partition *health;
};

struct fp_ownership {
    struct fp_part *parts;
    int count;
    int64_t window_size;
    bool skip_gaps; /* on_offset_lost = skip */
    const uint8_t *owner;
    struct fp_pg **pg; /* the loop's connection, reopened by `connect` */
    struct fp_consumer *consumer;
    struct fp_health *health;
    void *context;
    enum fp_status (*connect)(void *context, struct fp_error *err);
};

struct fp_part *fp_ownership_find(struct fp_ownership *o, const char *topic, int32_t partition);

/* Claims and starts partitions: epoch + 1 under the row lock, then reading at the window's start.
 * Retries PostgreSQL until the deadline; partitions that could not be claimed are FENCED (tried
 * again). */
void fp_ownership_claim(struct fp_ownership *o, const struct fp_partition *partitions, size_t count,
                        int deadline_ms);
/* After a dropped batch: back to the stored positions where the epoch is still ours, else FENCED.
 * false: PostgreSQL or Kafka could not be asked; nothing has moved, call again. */
bool fp_ownership_rewind(struct fp_ownership *o);
/* Claims FENCED partitions again that have waited long enough. */
void fp_ownership_retry(struct fp_ownership *o);
void fp_ownership_drop(struct fp_ownership *o, const char *topic, int32_t partition);
void fp_ownership_halt(struct fp_ownership *o, struct fp_part *part, const char *why);
void fp_ownership_free(struct fp_ownership *o);

/* Hash of a record's bytes, for the anchor. */
int64_t fp_anchor_hash(const struct fp_record *record);

#endif
