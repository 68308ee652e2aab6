/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the responses of a batch change, given what is stored: a pure function of both.
 *
 * A response is a small state machine over its revisions (DESIGN §3):
 *   nothing stored   a response is applied; a void leaves a mark (voided)
 *   active, rev r    rev > r revised (the old contribution is taken away, the new one added);
 *                    a void with rev ≥ r voided; all else a duplicate
 *   void, rev r      rev > r revised (a void: voided); else ignored (a void: a duplicate)
 * What takes the place of another must have the same submitted_at (else rejected); one that leaves
 * it out inherits it. A subject's tombstone makes what was submitted until then ignored; an erasure
 * takes it away. The stored rows must be locked from lookup until commit.
 *
 * Ownership: a settlement owns its memory and borrows the batch. Threads: the flusher's. */
#ifndef FP_SETTLE_H
#define FP_SETTLE_H

#include "daemon/batch.h"

struct fp_stored { /* a response as the database holds it */
    int32_t source;
    struct fp_slice id; /* copied */
    int64_t submitted_us;
    int32_t revision, day, touchpoint, unit, channel, weight;
    enum fp_response_status status;
    enum fp_audience audience;
    bool has_subject;
    uint8_t subject[FP_PSEUDONYM_LEN];
    const int64_t *tallied; /* copied */
    uint32_t tallied_count;
    const int64_t *fitted; /* copied, with the answers below; none when fitted_count is 0 */
    uint32_t fitted_count;
    struct fp_answers answers;
    const int64_t *observed; /* copied */
    uint32_t observed_count;
};

struct fp_tombstone {
    uint8_t subject[FP_PSEUDONYM_LEN];
    int64_t before_us; /* submitted until then: gone */
};

enum fp_change { FP_CHANGE_NONE, FP_CHANGE_INSERT, FP_CHANGE_UPDATE, FP_CHANGE_DELETE };

struct fp_state { /* one response: how it stood, how it stands */
    int32_t source;
    struct fp_slice id;
    bool stored, exists;        /* in the database; now */
    const struct fp_row *row;   /* whose content stands now; NULL: the stored one's */
    int64_t time_us, stored_us; /* submitted_at now; as the database has it */
    int32_t revision, day, hour, touchpoint, unit, channel, weight;
    enum fp_response_status status;
    enum fp_audience audience;
    bool has_subject;
    uint8_t subject[FP_PSEUDONYM_LEN];
    const int64_t *tallied, *fitted, *observed;
    uint32_t tallied_count, fitted_count, observed_count;
    struct fp_answers answers; /* without places and times, which are above */
};

struct fp_erased { /* one erasure of the batch */
    const struct fp_row *row;
    int64_t responses;
};

struct fp_strange {
    int32_t series;
    struct fp_driver_log log;
};

struct fp_settlement {
    struct fp_delta hours, days, coverage, predictions; /* predictions: what was observed */
    const struct fp_binding *binding; /* of the batch */
    struct fp_driver_log *drivers;    /* per driver model */
    int driver_count;
    struct fp_strange *strange; /* series of a model that this replica does not have */
    int strange_count, strange_capacity;
    struct fp_state *states;
    size_t state_count, state_capacity;
    uint32_t *index;
    size_t mask;
    struct fp_tombstone *tombstones;
    size_t tombstone_count, tombstone_capacity; /* stored, then new */
    struct fp_erased *erased;
    size_t erased_count, erased_capacity;
    struct fp_rejected *rejected;
    size_t rejected_count, rejected_capacity;
    int64_t (*count)[FP_COUNTS];
    int share_count; /* per share, of the rows */
};

void fp_settlement_init(struct fp_settlement *s);
void fp_settlement_free(struct fp_settlement *s);

/* Starts over for `batch` (a flush may be tried again). */
void fp_settlement_start(struct fp_settlement *s, const struct fp_batch *batch);
void fp_settlement_stored(struct fp_settlement *s, const struct fp_stored *stored);
void fp_settlement_tombstone(struct fp_settlement *s, const struct fp_tombstone *tombstone);
/* Walks the batch's rows in order. */
void fp_settlement_run(struct fp_settlement *s, struct fp_batch *batch);
enum fp_change fp_state_change(const struct fp_state *state);

#endif
