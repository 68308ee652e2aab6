/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responses and events of the same interaction, over one stretch of a driver model's log.
 *
 * What a response contributes is a function of how it stands and of the event that counts, the
 * greatest by (time, id): its row joined with that event's, or its own. So the log is only followed
 * to see what stands at its end (fp_joins_take), and then each response that changed, or whose
 * event did, has what it contributed taken away and what it contributes added (fp_joins_settle).
 * Order cannot matter, and the work is linear however often an interaction is met.
 *
 * Use: fp_joins_need for every row; load the sides that are asked for; fp_joins_take for every row
 * in the order of the log; fp_joins_settle; write the changed sides.
 * Threads: none; caller serialises. Aborts without memory. */
#ifndef FP_ABSORB_JOIN_H
#define FP_ABSORB_JOIN_H

#include "daemon/absorb_gather.h"

struct fp_join_text { /* bytes in fp_joins.store; len 0: nothing */
    size_t at, len;
};

struct fp_join_side {
    uint8_t interaction[FP_KEY_LEN], record[FP_KEY_LEN]; /* record: zero of an event's side */
    bool is_event;
    bool met;                /* the log has rows of it */
    bool stored;             /* the database has it */
    bool there;              /* stands at the end */
    bool fresh;              /* what stands is of this log */
    bool changed;            /* after fp_joins_settle: to be written, or deleted when not there */
    uint32_t event;          /* of a response: the side of its event */
    struct fp_join_text row; /* as it came, sign + */
    struct fp_join_text joined; /* with the event, where that differs */
    struct fp_join_text was;    /* of a response: what it contributed before */
};

struct fp_joins {
    const struct fp_fitting *fitting; /* borrowed */
    struct fp_join_side *sides;
    uint32_t count, capacity;
    uint32_t *slots; /* side + 1 by hash */
    size_t mask;
    struct fp_driver_log store;
};

void fp_joins_init(struct fp_joins *joins, const struct fp_fitting *fitting);
void fp_joins_free(struct fp_joins *joins);

/* Registers a row that joins or is an event; its sides are then asked for: of an interaction met
 * with an event (its side `met`) all that waits, else the response itself, and the event. */
void fp_joins_need(struct fp_joins *joins, const struct fp_driver_row *row);
/* A stored side: bytes of fp_driver_put. joined may be NULL. False: they are no row of the model.
 */
bool fp_joins_load(struct fp_joins *joins, const uint8_t *row, size_t len, const uint8_t *joined,
                   size_t joined_len);
/* The next row of the log. A response that does not wait any more when it is taken away was never
 * joined (absorb.h): it is taken away from `gather` as its own. */
void fp_joins_take(struct fp_joins *joins, const struct fp_driver_row *row,
                   struct fp_gather *gather);
/* False: a stored side is damaged. */
bool fp_joins_settle(struct fp_joins *joins, struct fp_gather *gather);
/* The row of an event's side. False: damaged. */
bool fp_joins_row(const struct fp_joins *joins, struct fp_join_text text,
                  struct fp_driver_row *row);

#endif
