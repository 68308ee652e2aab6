/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coefficients in force: what touchpoint events are scored with.
 *
 * A version V of the coefficients names, for each driver model that has a touchpoint and measures,
 * its newest row of flightpath.scoring up to V; so with the model's hash it says all that decides a
 * prediction, and the ledger keeps both. Rows go by the model's definition, not by its series: a
 * definition that comes back is scored as it was. Rows with another number of measures, or with a
 * number that is not finite, are ignored.
 *
 * Immutable once loaded, reference counted. Threads: any may read; retain and release are atomic.
 */
#ifndef FP_SCORING_H
#define FP_SCORING_H

#include "analytics/score.h"
#include "daemon/registry.h"

struct fp_scored {
    int model; /* dense driver model */
    int32_t series;
    int touchpoint; /* dense */
    struct cx_score_model score;
};

struct fp_scoring {
    int64_t version;            /* 0 = there are none yet */
    struct fp_binding *binding; /* retained: what the indices belong to */
    enum cx_score_path path;
    struct fp_scored *scored;
    int scored_count;
    int references; /* atomic */
};

/* The newest version, for the driver models of the binding. */
enum fp_status fp_scoring_load(struct fp_pg *pg, struct fp_binding *binding, int deadline_ms,
                               struct fp_scoring **scoring, struct fp_error *err) FP_MUST_CHECK;
struct fp_scoring *fp_scoring_retain(struct fp_scoring *scoring);
void fp_scoring_release(struct fp_scoring *scoring); /* NULL is allowed */

/* Whether `next` should take the place of `current`: the same binding, a newer version. */
bool fp_scoring_newer(const struct fp_scoring *next, const struct fp_scoring *current);

/* Whether events of this driver model are scored at all: it has a touchpoint and measures. */
bool fp_scoring_covers(const struct fp_fitting *fitting);

#endif
