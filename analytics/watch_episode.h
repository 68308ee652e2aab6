/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Episodes: one event, one notice. The machine of one series, a bucket at a time.
 *
 *   1 quiet, Z > fire, |shift| ≥ shift_min: opens, with a notice; silently, as the continuation of
 *     the same incident, when the last one closed at most 28 buckets ago and went the same way
 *   2 open, Z > fire, the same way: the start moves to where the split is now
 *   3 recovered: more than 7 buckets since the start, and the mean of the last 7 (4 of which must
 *     count) is within 1 se of the mean before the start, and nearer to it than half of what it
 *     went away by. Closes; the buckets from the start to 7 ago are left out of every later mean
 *   4 Z < clear in 3 buckets running: closes (calm)
 *   5 21 buckets old: closes (new level); nothing before the start counts from then on
 *
 * Only buckets that can be judged count: usable, with n ≥ n_min. In the others nothing happens, so
 * silence is never taken for recovery and no episode grows old by it.
 * 1.0 and 21: with 1.5 or 2 se a .3 SD step is closed as recovered three and five times as often;
 * without rule 5 an episode stays open for half a year and hides what comes after.
 *
 * The machine's state is a plain value, to be stored and restored. It depends on the points up to
 * its last bucket and on nothing else: after late answers or another rule, begin again and go
 * through the series once more; the same points give the same episodes.
 * Memory: the caller's. Threads: none; caller serialises. */
#ifndef CX_WATCH_EPISODE_H
#define CX_WATCH_EPISODE_H

#include "analytics/watch_classify.h"

enum cx_watch_state {
    CX_WATCH_QUIET,
    CX_WATCH_PENDING,    /* open for less than 3 buckets: noticed, the verdict is provisional */
    CX_WATCH_FIRING,     /* open */
    CX_WATCH_RECOVERING, /* open; the last bucket was calm, or half of the change is gone */
    CX_WATCH_RESOLVED,   /* closed at this bucket */
    CX_WATCH_NO_DATA,    /* bucket without usable answers: whatever was before goes on */
    CX_WATCH_INSUFFICIENT_N
};

enum cx_watch_change {
    CX_WATCH_NOTHING,
    CX_WATCH_OPENED,
    CX_WATCH_CONTINUED, /* opened again, silently */
    CX_WATCH_RECOVERED, /* closed: rules 3, 4, 5 */
    CX_WATCH_CALM,
    CX_WATCH_NEW_LEVEL
};

struct cx_watch_episode {
    int64_t floor;    /* nothing before it counts */
    int64_t last;     /* bucket seen last */
    int64_t start;    /* where the change seems to have begun */
    int64_t opened;   /* bucket at which it fired (again) */
    int64_t incident; /* bucket of the notice: identifies the incident within its series */
    int64_t closed;   /* of the last one that is over */
    int32_t open;     /* 0 or 1 */
    int32_t sign, closed_sign, has_closed, age, calm;
    struct cx_watch_masks masks;
};

/* Ready for the first judged bucket, usually the one after the baseline; floor: the first of it. */
void cx_watch_begin(struct cx_watch_episode *episode, int64_t floor, int64_t bucket);

struct cx_watch_report {
    enum cx_watch_state state;         /* to be shown */
    enum cx_watch_state episode_state; /* the same without NO_DATA and INSUFFICIENT_N */
    enum cx_watch_change change;
    bool notice;      /* somebody is to be told: OPENED only */
    int64_t incident; /* when open or just closed */
    struct cx_watch_split split;
    struct cx_watch_class class; /* when open or just closed */
};

/* Takes the bucket after episode->last. False, nothing changed: it is not in the series, or the
 * state is no state (restored from something else). */
bool cx_watch_step(struct cx_watch_episode *episode, const struct cx_watch_series *series,
                   const struct cx_watch_rule *rule, struct cx_watch_report *report);

const char *cx_watch_state_name(enum cx_watch_state state);    /* "quiet" … */
const char *cx_watch_change_name(enum cx_watch_change change); /* "nothing" … */

#endif
