/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the cells say, brought into step with what is stored: alerts, what is sent about them, the
 * watched series and the rules of the levels.
 *
 * An alert found is a stored one when both are of the same series and the same kind and have the
 * same incident day, else when they go the same way and their incident days lie at most 28 days
 * apart, nearest first (late answers move the day): it then keeps its fingerprint and its day.
 * Stored ones that are not found any more are withdrawn, unless they were over 90 days ago.
 * Threads: the caller's connection and transaction. */
#ifndef FP_WATCH_SYNC_H
#define FP_WATCH_SYNC_H

#include "daemon/watch_cells.h"
#include "daemon/watch_message.h"

#define FP_WATCH_MOVES_DAYS 28  /* late answers move a notice by at most so many days */
#define FP_WATCH_FROZEN_DAYS 90 /* what was over so long ago is left as it is */

/* ---- matching (pure) ------------------------------------------------------------------------- */

struct fp_watch_span {
    int32_t incident, start, closed; /* days; closed FP_NO_DAY: open */
    int sign;
    bool withdrawn;
};

/* match[i]: index of the stored span that found[i] is, −1: none. Each stored one at most once; the
 * same incident day first, then the same sign and the nearest day, overlapping before apart,
 * standing before withdrawn. */
void fp_watch_match(const struct fp_watch_span *found, int found_count,
                    const struct fp_watch_span *stored, int stored_count, int *match);

struct fp_watch_before { /* of a stored alert */
    enum fp_alert_state state;
    int32_t closed;
    int revision;        /* −1: nothing was sent about it */
    const char *verdict; /* of the last message, or stored if there was none */
};

/* What is worth saying about an alert on this day. before NULL: it is not stored. A verdict counts
 * when it is sure and no longer provisional, while the alert is open and for 28 days after. */
enum fp_alert_event fp_watch_event(const struct fp_watch_before *before,
                                   const struct fp_alert *alert, int32_t day);
/* Of it, what is sent: an alert that belongs to another's incident is silent until it was heard of
 * (it was its own incident once); one that became its own is opened. */
enum fp_alert_event fp_watch_said(enum fp_alert_event event, const struct fp_watch_before *before,
                                  const struct fp_alert *alert);

/* ---- the whole ------------------------------------------------------------------------------- */

struct fp_watch_work {
    struct fp_pg *pg;
    const struct fp_binding *binding;
    struct fp_watch_cells *cells; /* evaluated up to `day` */
    int32_t day;                  /* newest closed day */
    int32_t before;               /* the one judged last, by whomever; FP_NO_DAY: none */
};

struct fp_watch_synced {
    bool judged;                                     /* anything at all was done */
    int found, opened, updated, resolved, withdrawn; /* messages but for the first */
};

enum fp_status fp_watch_sync(const struct fp_watch_work *work, struct fp_watch_synced *synced,
                             struct fp_error *err) FP_MUST_CHECK;

#endif
