/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the log of a driver model to its state: whoever locks the series' row takes log rows, joins
 * them with events of the same interaction, adds them to the state of each segment and day they
 * touch, and marks the tasks that are behind; all in one transaction, so nothing counts twice.
 *
 * Joins (models with a join window only): a response waits with its own measures, the event of its
 * interaction with its; whichever comes second changes what the response contributes, by taking
 * away the row that stood and adding the one that stands. Of several events of one interaction the
 * one with the greatest (time, id) counts, whatever the order they come in.
 *
 * What is kept of a join: a waiting response holds what it contributes (`joined`, where it is not
 * its own row), so taking it away never needs the event. Events and responses that met no event are
 * kept for the join window and a week by arrival: a response that waits no more contributed its own
 * row. One that was joined is kept for as long as the response itself.
 *
 * Threads: the caller's connection. */
#ifndef FP_ABSORB_H
#define FP_ABSORB_H

#include "daemon/pg.h"
#include "daemon/registry.h"

struct fp_absorbed {
    int64_t rows; /* of the log, or taken up */
    bool more;    /* the budget ended before the log did */
    bool locked;  /* somebody else has the series: nothing was done */
    double cost_ms;
};

/* One transaction over at most `bytes_max` bytes of the log of binding->fittings[driver_model].
 * FP_OK also when there was nothing. FP_RETRY: nothing changed, or it is not known whether it did;
 * call again. FP_POISON, FP_FATAL: err says why; a log row that is no row of the model is dropped
 * with a warning in the log of the daemon, never silently. */
enum fp_status fp_absorb(struct fp_pg *pg, const struct fp_binding *binding, int driver_model,
                         size_t bytes_max, struct fp_absorbed *done,
                         struct fp_error *err) FP_MUST_CHECK;

/* A series that began after responses were stored takes up those of its window, which ends here at
 * the newest day with responses of its audience: some in each call (at most rows_max), marking each
 * as fitted under its row lock, until none is left (no rows and not `more`); then
 * driver_series.taken_up is set. From then on a call does nothing, unless told to look `again` for
 * what a replica with an older model has stored since. Measures of events that came before are not
 * known any more. */
struct fp_take_up {
    int rows_max;
    bool again;
};
enum fp_status fp_absorb_stored(struct fp_pg *pg, const struct fp_binding *binding,
                                int driver_model, const struct fp_take_up *how,
                                struct fp_absorbed *done, struct fp_error *err) FP_MUST_CHECK;

/* Rows that a replica with an older model added to a definition that is current no more: they are
 * dropped, and the current one begins to look at stored responses again. Cheap; every minute. */
enum fp_status fp_absorb_stragglers(struct fp_pg *pg, struct fp_error *err) FP_MUST_CHECK;

/* Drops what can no longer be used: sides of joins (see above), results and days of state beyond
 * the programme's retention (of state also only before the window; the newest result stays).
 * Bounded work; hourly. */
enum fp_status fp_absorb_tidy(struct fp_pg *pg, struct fp_error *err) FP_MUST_CHECK;

#endif
