/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is sent about an alert: rows of flightpath.alert_outbox, each the body of a CloudEvents 1.0
 * message of type experience.alert.v1, made by the database from the alert's row as it stands in
 * the transaction (flightpath.alert_shown: what readers may see, nothing more).
 *
 *   {"specversion": "1.0", "id": "<fingerprint>-<revision>", "source": "flightpath/<programme>",
 *    "type": "experience.alert.v1", "subject": "<fingerprint>", "time": RFC 3339,
 *    "datacontenttype": "application/json",
 *    "data": {"event": "opened" | "updated" | "resolved" | "withdrawn",
 *      "fingerprint", "incident": fingerprint of the root, "revision": 0, 1, …,
 *      "kpi": id, "*" = all KPIs of a unit, "scope": "all" | "journey:…" | "unit:…",
 *      "unit", "journey", "touchpoint", "owner": strings or null,
 *      "level": 0 a KPI as a whole | 1 a unit | 2 a unit's KPI,
 *      "kind": "change" | "no_data" | "suspect_data",
 *      "state": "pending" | "firing" | "recovering" | "resolved" | "withdrawn" | "no_data"
 *             | "insufficient_n" | "suspect_data",
 *      "severity": "critical" | "warning" | "info",
 *      "verdict": "dip" | "shift" | "trend" | "persistent" | null, "provisional": bool,
 *      "worse": bool, "size", "ci_low", "ci_high", "before", "n", "z", "posterior": numbers or
 * null, "posteriors": {"dip", "shift", "trend"} numbers or null, "started_at", "since": RFC 3339,
 * "closed_at": RFC 3339 or null, "how": "recovered" | "calm" | "new_level" | "data" | "withdrawn" |
 * "retired" | null, "contributors": [objects], "drivers": [objects], "mix", "within": numbers or
 * null, "joined": [{"fingerprint", "kpi", "scope", "state", "worse"}] what belongs to it, "needed",
 * "text": strings}} Threads: the caller's connection. */
#ifndef FP_WATCH_MESSAGE_H
#define FP_WATCH_MESSAGE_H

#include <stddef.h>

#include "daemon/pg.h"

enum fp_alert_event {
    FP_ALERT_SILENT, /* nothing is sent */
    FP_ALERT_OPENED,
    FP_ALERT_UPDATED,
    FP_ALERT_CLOSED,    /* "resolved" */
    FP_ALERT_TAKEN_BACK /* "withdrawn" */
};
const char *fp_alert_event_name(enum fp_alert_event event);

struct fp_alert_message {
    const char *fingerprint; /* of a stored alert; borrowed */
    enum fp_alert_event event;
};

/* Queues one message each, in this order, and counts the alerts' revisions up. Silent ones are
 * passed over; at most one for an alert. In the transaction that is open. */
enum fp_status fp_watch_messages(struct fp_pg *pg, const struct fp_alert_message *message,
                                 size_t count, struct fp_error *err) FP_MUST_CHECK;

#endif
