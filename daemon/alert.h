/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One alert: an episode of a watched series as a row of flightpath.alert, and what goes out of it.
 * Days are local days since 1970-01-01. Threads: none. */
#ifndef FP_ALERT_H
#define FP_ALERT_H

#include <stdbool.h>
#include <stdint.h>

#define FP_FINGERPRINT 17 /* 16 hexadecimal digits and a NUL */
#define FP_NO_DAY INT32_MIN
#define FP_ALL_UNITS (-1)

enum fp_alert_kind {                   /* stored by number */
                     FP_ALERT_CHANGE,  /* the level moved */
                     FP_ALERT_NO_DATA, /* answers stopped coming */
                     FP_ALERT_SUSPECT  /* the data look wrong: volume, channels, straight-lining */
};

enum fp_alert_state { /* stored by name */
                      FP_ALERT_PENDING,
                      FP_ALERT_FIRING,
                      FP_ALERT_RECOVERING,
                      FP_ALERT_RESOLVED,
                      FP_ALERT_WITHDRAWN,     /* late data took it back */
                      FP_ALERT_STATE_NO_DATA, /* open, but the newest days cannot be judged: */
                      FP_ALERT_STATE_INSUFFICIENT_N,
                      FP_ALERT_STATE_SUSPECT
};
const char *fp_alert_state_name(enum fp_alert_state state);

struct fp_alert {
    char fingerprint[FP_FINGERPRINT];
    char root[FP_FINGERPRINT]; /* of the incident it belongs to; its own when it is the first */
    enum fp_alert_kind kind;
    int level;             /* enum cx_estate_level */
    int32_t series;        /* flightpath.kpi.series; 0 = all KPIs of a unit */
    int kpi;               /* dense id in the model, FP_NONE = all KPIs of a unit */
    int32_t unit;          /* flightpath.name id, FP_ALL_UNITS */
    const char *unit_name; /* "" = all; borrowed */
    /* Days. incident: of the notice, as it was told: part of the fingerprint; noticed: the same by
     * what is known now; opened: the last time it opened; closed: FP_NO_DAY while open. */
    int32_t incident, noticed, opened, start, until, closed;
    const char *how; /* "recovered", "calm", "new_level", "data", "withdrawn", "retired" (not
                        watched any more); "" while open */
    enum fp_alert_state state;
    const char *verdict; /* "dip", "shift", "trend", "persistent", "" */
    bool provisional;    /* fewer than three buckets since it opened */
    bool worse;          /* the change is against the KPI's direction */
    int sign;
    double posterior, dip, shift, trend;
    double size, low, high; /* change, in the KPI's unit; all KPIs of a unit: in SD, + better */
    double before;          /* level before, in the KPI's unit; NAN: not known */
    double n, z;
};

#endif
