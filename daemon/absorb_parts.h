/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of absorb.h share: one transaction under the lock of a series.
 * Threads: the caller's connection. */
#ifndef FP_ABSORB_PARTS_H
#define FP_ABSORB_PARTS_H

#include "daemon/absorb.h"
#include "daemon/absorb_gather.h"
#include "daemon/absorb_join.h"

#define FP_ABSORB_DEADLINE_MS 60000 /* of one statement; a solver may hold a task for a while */

struct fp_series_hold {
    bool held;                /* this transaction has the row; otherwise it is over */
    bool elsewhere;           /* somebody else has it */
    struct fp_pg_result *row; /* the caller frees */
};

/* BEGIN, and the row of the series if it is current. columns: of driver_series. */
enum fp_status fp_series_lock(struct fp_pg *pg, int32_t series, const char *columns,
                              struct fp_series_hold *hold, struct fp_error *err) FP_MUST_CHECK;
/* COMMIT when status is FP_OK, else ROLLBACK. Statuses of fp_absorb. */
enum fp_status fp_series_end(struct fp_pg *pg, enum fp_status status,
                             struct fp_error *err) FP_MUST_CHECK;

/* Adds grouped rows to the stored states. */
enum fp_status fp_absorb_states(struct fp_pg *pg, const struct fp_gather *gather,
                                struct fp_error *err) FP_MUST_CHECK;

/* Reads the sides that the rows met, and writes back those that changed. */
enum fp_status fp_absorb_load_sides(struct fp_pg *pg, struct fp_joins *joins,
                                    struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_absorb_save_sides(struct fp_pg *pg, const struct fp_joins *joins,
                                    struct fp_error *err) FP_MUST_CHECK;

#endif
