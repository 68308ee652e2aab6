/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do the data of a day look right? A gate before anything is judged by them: it is to catch broken
 * collection (a channel lost, a flood of equal answers, everything sent five times), not change.
 *
 *   volume  n against the median of the same weekday in the 8 weeks before: beyond a factor of 4
 *           and beyond 4 (more) or 5 (fewer) times the usual spread of log(n/median): of the 56
 *           days' on the same side, by their median and by their 90 % quantile, the larger, times
 *           1.2; at least that of a Poisson count. Where at least 20 were expected
 *   mix     total variation distance of the day's shares of channels from those of the 28 days
 *           before, of the same weekdays among them (at least 50 answers), and of the last 14 days:
 *           the smallest above .2 (a tripled channel moves at most .27) and above u·(1 + 4/√f).
 *           u² = sampling² + usual²: what a multinomial is away by on average, and what pairs of
 *           days a week apart show beyond it; f = (Σ√(q(1−q)))²/Σq(1−q) − 1, 1 for two channels:
 *           with more, distances vary less
 *   share   of straight-lined responses, of at least 20: above that of the 56 days before and that
 *           of the last 14, by .15 and by 5 standard errors, which hold what days vary by
 *
 * What stays is not suspect for longer than two weeks: days before are a reference whatever was
 * said of them, and a volume half as extreme in 10 of the last 14 days is usual.
 *
 * A day is an index into daily arrays that the caller keeps, oldest first; only days up to it are
 * read. A day without answers is never suspect: it is missing (cx_quality_missing).
 * Threads: pure. Memory: the stack. No result is NAN. */
#ifndef CX_QUALITY_H
#define CX_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "analytics/watch.h"

#define CX_QUALITY_REACH 56        /* days: what a day may have to say about later ones */
#define CX_QUALITY_EXPECTED_MIN 20 /* answers */

struct cx_quality_volume {
    bool suspect;
    double expected; /* answers; 0: not known, and nothing is suspect */
    double spread;   /* of log(n/expected); 0 when the day is not extreme */
};
/* bucket[0 … day]: n is read. */
struct cx_quality_volume cx_quality_volume(const struct cx_watch_bucket *bucket, int day);

struct cx_quality_mix {
    bool suspect;
    int channel;          /* that moved most, −1: nothing to compare with */
    double distance;      /* total variation, 0 … 1, from the reference that is nearest */
    double usual, limit;  /* u; what the distance would have to be above. 0 when it is small */
    double share, before; /* of that channel: the day's, the reference's */
};
/* count[channel][0 … day]; channels ≤ CX_QUALITY_CHANNELS, the rest is not looked at. */
#define CX_QUALITY_CHANNELS 1024
struct cx_quality_mix cx_quality_mix(const uint32_t *const *count, int channels, int day);

struct cx_quality_share {
    bool suspect;
    double share, before, error; /* the day's; the higher of the references'; of the difference */
};
/* bucket[0 … day]: n, and the mean as the share. */
struct cx_quality_share cx_quality_share(const struct cx_watch_bucket *bucket, int day);

struct cx_quality_missing {
    int since;       /* first day of the stretch without answers that ends with `day`, or −1 */
    double expected; /* answers in it; 0: nothing is missing */
};
/* Expected by the means of the weekdays in the 56 days before the stretch, when at least 14 of
 * these had answers; below CX_QUALITY_EXPECTED_MIN nothing is missing. */
struct cx_quality_missing cx_quality_missing(const struct cx_watch_bucket *bucket, int day);

#endif
