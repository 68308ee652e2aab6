/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver models in `verify`: what the log comes to in every state of every current series, against
 * what the database holds, driver_state and what still lies in driver_log taken together.
 *
 *   verify_drivers.c          series; rows of the messages that stand, events, from the log
 *   verify_drivers_stored.c   the database's side: states, log, waiting sides
 *   verify_drivers_join.c     both sides: responses and events by interaction
 *   verify_drivers_compare.c  sums of both, state by state, pattern by pattern
 *
 * Compared are exact sums (the cells of analytics/moments.h) for each pattern of what was answered,
 * "does not apply" kept apart, not bytes: a pattern may be held as rows or as a block. Memory: rows
 * wait in buckets by series and day (verify_spill.h), so that all states of a day are looked at
 * together while only a 64th of the rows is in memory.
 * Threads: none; caller serialises. Out of memory ends the process. */
#ifndef FP_VERIFY_DRIVERS_H
#define FP_VERIFY_DRIVERS_H

#include "daemon/fitting.h" /* reading driver_log, the numbers of segments; nothing that projects */
#include "daemon/verify.h"

struct fp_moment_series { /* a current series of the database */
    int32_t series;
    const char *id; /* of the driver model */
    const struct fp_driver_model *model;
    int columns, audience, touchpoint;
    int32_t ids[CX_COLUMNS_MAX]; /* per column, of the database: items, measures, the outcome */
    const char *names[CX_COLUMNS_MAX];
    int32_t floor; /* day; states of before may be gone */
    bool taken_up; /* stored responses of before */
    bool ready;    /* can be compared */
    bool
        restarted; /* an earlier series had the same definition: what it fitted is not this one's */
    struct fp_fitting decode; /* for fp_driver_get */
};

enum fp_moment_kind {                  /* how a row of one interaction and series is sorted */
                      FP_MOMENT_EVENT, /* of the log */
                      FP_MOMENT_ROW,   /* of the log, or a final row of either side */
                      FP_MOMENT_STORED_EVENT,
                      FP_MOMENT_STORED_ROW, /* driver_waiting: `joined` follows as a row of its own
                                             */
                      FP_MOMENT_STORED_JOINED,
                      FP_MOMENT_WRITTEN_EVENT, /* driver_log */
                      FP_MOMENT_WRITTEN_ROW,
                      FP_MOMENT_STATE /* bytes instead of values */
};

struct fp_moment_row { /* then popcount(observed) values, or the bytes of a state */
    uint32_t size, kind;
    int32_t at; /* index of the series */
    int32_t day, journey, touchpoint, unit, band, people;
    int32_t segment_kind, segment; /* of a state */
    uint32_t len;                  /* of a state's bytes */
    int64_t weight, count;         /* count: +1, −1; of a state: n */
    int64_t stored;                /* 0: by the log, 1: the database's */
    uint64_t observed, does_not_apply;
    int64_t time_us, seq;
    uint8_t interaction[FP_KEY_LEN], record[FP_KEY_LEN];
    int64_t z[];
};

struct fp_moment_offer { /* an event of the chunk whose repetition is not known yet */
    uint32_t index;
    size_t at; /* in offers */
};

struct fp_verify_drivers {
    struct fp_verify *v;
    struct fp_moment_series *series;
    int count;
    int **of_model; /* per model of verify and driver model: index of the series, −1 */
    struct fp_spill rows, joins;
    uint64_t *offers; /* rows of events, one behind the other */
    size_t offer_len, offer_capacity;
    struct fp_moment_offer *index;
    size_t index_count, index_capacity;
    int64_t expired;       /* rows of days before their series' floor */
    int64_t trusted;       /* contributions that only the stored row tells */
    bool no_people;        /* no key: groups of people are added up */
    uint64_t *room;        /* one row with its values */
    enum fp_status status; /* of what has no way to return it */
    struct fp_error err;
};

/* ---- hooks ----------------------------------------------------------------------------------- */

enum fp_status fp_verify_drivers_open(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;
void fp_verify_drivers_free(struct fp_verify_drivers *d);
/* Which series a response of the log is a row of: row->fitted. */
void fp_verify_drivers_fit(struct fp_verify_drivers *d, int model, const struct fp_fact *fact,
                           struct fp_verify_row *row, struct fp_row_scratch *scratch);
/* An event, number `index` of its chunk; then what is known of the chunk's repetitions. */
void fp_verify_drivers_event(struct fp_verify_drivers *d, int model, const struct fp_fact *fact,
                             uint32_t index);
void fp_verify_drivers_judge(struct fp_verify_drivers *d, const bool *repeated);
/* A response that stands; stored may be NULL. */
void fp_verify_drivers_stand(struct fp_verify_drivers *d, const struct fp_verify_row *row,
                             struct fp_row_when when, const struct fp_verify_row *stored);
/* After the last response: compares. */
enum fp_status fp_verify_drivers(struct fp_verify *v, struct fp_error *err) FP_MUST_CHECK;

/* ---- parts ----------------------------------------------------------------------------------- */

enum fp_status fp_moment_load(struct fp_verify_drivers *d, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_moment_join(struct fp_verify_drivers *d, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_moment_compare(struct fp_verify_drivers *d, struct fp_error *err) FP_MUST_CHECK;

static inline size_t fp_moment_values(const struct fp_moment_row *row)
{
    return (size_t)__builtin_popcountll(row->observed);
}
/* Puts a row away by series and day, or by interaction. row->size is set. */
enum fp_status fp_moment_put(struct fp_verify_drivers *d, struct fp_moment_row *row,
                             struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_moment_put_join(struct fp_verify_drivers *d, struct fp_moment_row *row,
                                  struct fp_error *err) FP_MUST_CHECK;

#endif
