/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happened to a series that raised an alarm: a dip that is over, a shift to another level, or
 * a trend.
 *
 * Weighted least squares of the last 182 buckets on one template and a level. Templates begin at a
 * bucket s of the last 70:
 *   dip    s … s+q−1, q = 1, 2, 3, 5, and buckets with answers after it
 *   shift  s and everything after it
 *   trend  a ramp from s, of at least 5 buckets; one that flattens after 14, 28 or 42, of 7
 *
 * gain = (Σ w x̃ r̃)²/Σ w x̃² (x̃, r̃ about their weighted means), score = gain − 2 ln 2 for dip
 * and ramp, which have more templates than shift, − 1 more for those that flatten. A class scores
 * as its best template does and has the posterior exp(score/2) over the sum of the three.
 *
 * A dip and a change that stays are told apart within days, shift and trend only within weeks:
 * until one of the two has .8 they are `persistent`. In simulations verdicts that sure were right
 * in .81 of .5 SD events a week after the alarm, in .94 after four, of 1 SD events in .92 and 1.
 * Size ± 1.96 se holds for the template chosen; that it was chosen for being large is not allowed
 * for (the interval then covers in .89 … .95). Threads: pure. */
#ifndef CX_WATCH_CLASSIFY_H
#define CX_WATCH_CLASSIFY_H

#include "analytics/watch.h"

#define CX_WATCH_SURE .8

enum cx_watch_verdict {
    CX_WATCH_UNKNOWN, /* no template fits: too few buckets */
    CX_WATCH_DIP,
    CX_WATCH_SHIFT,
    CX_WATCH_TREND,
    CX_WATCH_PERSISTENT /* shift or trend, undecided */
};

struct cx_watch_class {
    enum cx_watch_verdict verdict, likeliest; /* likeliest: dip, shift or trend */
    double posterior;                         /* of the verdict; persistent: of shift and trend */
    double dip, shift, trend;                 /* posteriors; add to 1 */
    int64_t start, until;                     /* until: first bucket after a dip; else the next
                                                 bucket to come */
    double size, low, high; /* change from the level: in the dip, or at this bucket */
    double n;               /* answers from start on, of a dip within it */
};

/* At a bucket of the series, looking back no further than `floor`. sign: of the change, 0 = either.
 * masks may be NULL. UNKNOWN: nothing else is set but zeros. */
struct cx_watch_class cx_watch_classify(const struct cx_watch_series *series,
                                        const struct cx_watch_rule *rule,
                                        const struct cx_watch_masks *masks, int64_t floor,
                                        int64_t bucket, int sign);

const char *cx_watch_verdict_name(enum cx_watch_verdict verdict); /* "dip" … */

#endif
