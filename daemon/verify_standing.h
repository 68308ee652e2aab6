/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which message of a response stands, as a function of all of them at once (for `verify`).
 *
 * The daemon walks from one state to the next (settle.h). The same outcome without states: a
 * message outranks another by its revision and, at the same revision, a void outranks a response;
 * the one that outranks all others stands, the first of equals. Before that, some do not take part:
 *   - messages that were forgotten before they came (an erasure earlier in the partition covers
 * them);
 *   - messages that name another submitted_at than the first one that takes part;
 *   - everything up to an erasure that covers what stood by then.
 * One exception to the second: a void of the very revision that stands is heard even when it names
 * another submitted_at; what follows is then held against that one.
 * Threads: pure, apart from the outcomes it writes. */
#ifndef FP_VERIFY_STANDING_H
#define FP_VERIFY_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fp_claim {            /* one message of a response */
    int64_t offset, time_us; /* time_us: submitted_at, or what stands in for it */
    int32_t revision;
    bool is_void, has_submitted_at;
    uint64_t subject[2]; /* hash of the subject; zeros: none */
    int outcome;         /* out: enum fp_count (batch.h) */
};

struct fp_forget { /* an erasure */
    uint64_t subject[2];
    int64_t before_us, offset;
    int32_t part;
};

struct fp_standing {
    int64_t index;     /* of the claim that stands; −1: nothing does */
    int64_t time_from; /* of the claim whose time (and day) holds */
};

/* claims and forgets of one partition, each in order of offset. */
struct fp_standing fp_standing_find(struct fp_claim *claims, size_t count,
                                    const struct fp_forget *forgets, size_t forget_count);

/* Above zero when a outranks b. */
int fp_claim_rank(const struct fp_claim *a, const struct fp_claim *b);

#endif
