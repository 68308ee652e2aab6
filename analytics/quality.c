/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Robust comparisons of a day with the weeks before it.
 *
 * Way: medians where a bad day in the past must not blind the gate (volume); pooled shares where
 * counts are small (mix, share), against several references, the nearest of which decides, so that
 * weekdays with a mix of their own and a mix that has changed for good are not suspect.
 * Hazards: a median of eight is itself uncertain, and it is fitted to the days whose spread is
 * measured: the spread is widened for it. Distances of shares are never 0 by chance: what is
 * usual is what sampling explains plus what the days before show beyond it. */
#include "analytics/quality.h"

#include <math.h>
#include <string.h>

#define WEEK 7
#define WEEKS 8
#define WEEKS_MIN 4
#define RECENT 14
#define RECENT_USED 10 /* of them */

#define VOLUME_FACTOR 4.0
/* Counts that are clumpy have a long tail of low days on the scale of logarithms. */
#define VOLUME_SPREADS_MORE 4.0
#define VOLUME_SPREADS_LESS 5.0
#define WIDENED 1.2 /* for medians of 8 that are themselves fitted */
#define OF_MEDIAN (WIDENED / .6745)
#define OF_NINETY (WIDENED / 1.645)

#define MIX_DAYS 28
#define MIX_PAIRS_MIN 10 /* of 21 */
#define MIX_COUNT_MIN 50 /* of a reference */
#define MIX_DISTANCE .2
#define MIX_ERRORS 4.0

#define SHARE_RISE .15
#define SHARE_ERRORS 5.0
#define SHARE_COUNT_MIN 100

static double median(double *value, int count)
{
    for (int i = 1; i < count; i++) {
        double x = value[i];
        int j = i;
        for (; j > 0 && value[j - 1] > x; j--)
            value[j] = value[j - 1];
        value[j] = x;
    }
    return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

/* ---- volume ---------------------------------------------------------------------------------- */

/* Median of the same weekday in the weeks before `until`, from day `begin` on; −1: too few. */
static double usual_volume(const struct cx_watch_bucket *bucket, int begin, int day, int until)
{
    double n[WEEKS];
    int count = 0;
    while (day >= until)
        day -= WEEK;
    for (; count < WEEKS && day >= begin; day -= WEEK)
        n[count++] = bucket[day].n;
    return count < WEEKS_MIN ? -1 : median(n, count);
}

/* Of log(n/usual) on the side of the day in question, as normal: the larger of what half of the
 * days and what nine tenths of them are away by. */
static double volume_spread(const struct cx_watch_bucket *bucket, int begin, int day, bool more)
{
    double usual[WEEK], away[WEEK * WEEKS];
    int count = 0;
    for (int k = 0; k < WEEK; k++)
        usual[k] = usual_volume(bucket, begin, day - 1 - k, day);
    for (int k = 0; k < WEEK * WEEKS && day - 1 - k >= begin; k++) {
        double n = bucket[day - 1 - k].n, u = usual[k % WEEK];
        if (u >= 1 && (more ? n >= u : n <= u))
            away[count++] = fabs(log((n + .5) / (u + .5)));
    }
    if (count == 0)
        return 0;
    double half = median(away, count); /* sorts */
    return fmax(OF_MEDIAN * half, OF_NINETY * away[(int)(.9 * (count - 1))]);
}

/* Whether most of the last days were half as extreme already. */
static bool volume_is_usual(double n, double expected, const struct cx_watch_bucket *bucket,
                            int day)
{
    int alike = 0;
    for (int k = 1; k <= RECENT && day - k >= 0; k++)
        alike += n > expected ? bucket[day - k].n >= n / 2 : bucket[day - k].n <= 2 * n;
    return alike >= RECENT_USED;
}

struct cx_quality_volume cx_quality_volume(const struct cx_watch_bucket *bucket, int day)
{
    struct cx_quality_volume v = {false, 0, 0};
    int begin = day > WEEK * WEEKS ? day - WEEK * WEEKS : 0;
    double n = bucket[day].n;
    if (n <= 0)
        return v;
    while (begin < day && bucket[begin].n <= 0)
        begin++; /* not before it began */
    double expected = usual_volume(bucket, begin, day, day);
    if (expected < CX_QUALITY_EXPECTED_MIN)
        return v;
    v.expected = expected;
    if (n <= VOLUME_FACTOR * expected && n * VOLUME_FACTOR >= expected)
        return v;
    double spread = volume_spread(bucket, begin, day, n > expected),
           limit = n > expected ? VOLUME_SPREADS_MORE : VOLUME_SPREADS_LESS;
    v.spread = fmax(spread, 1 / sqrt(expected));
    v.suspect = fabs(log((n + .5) / (expected + .5))) > limit * v.spread &&
                !volume_is_usual(n, expected, bucket, day);
    return v;
}

/* ---- mix of channels ------------------------------------------------------------------------- */

struct pool { /* of some days */
    double total;
    double count[CX_QUALITY_CHANNELS];
};

static void pool_day(struct pool *pool, const uint32_t *const *count, int channels, int day)
{
    for (int c = 0; c < channels; c++) {
        pool->count[c] += count[c][day];
        pool->total += count[c][day];
    }
}

static double total_of(const uint32_t *const *count, int channels, int day)
{
    double total = 0;
    for (int c = 0; c < channels; c++)
        total += count[c][day];
    return total;
}

struct away {
    double distance; /* total variation */
    double sampling; /* what a multinomial is away by on average, both being samples */
    double free;     /* of how many channels' worth, less one: the more, the less it varies */
    int most;        /* the channel furthest off */
};

/* How far the shares of `day` are from those of a reference: a pool, or for `other` ≥ 0 that day.
 * The pool says what is drawn from. */
static struct away away_from(const struct pool *pool, const uint32_t *const *count, int channels,
                             int day, int other)
{
    const double pi = 3.14159265358979323846;
    struct away away = {.most = -1};
    double furthest = -1, root = 0, square = 0, total = total_of(count, channels, day),
           second = other < 0 ? pool->total : total_of(count, channels, other);
    for (int c = 0; c < channels; c++) {
        double q = pool->count[c] / pool->total, before = other < 0 ? q : count[c][other] / second,
               off = fabs(count[c][day] / total - before);
        away.distance += off / 2;
        root += sqrt(q * (1 - q));
        square += q * (1 - q);
        if (off > furthest) {
            furthest = off;
            away.most = c;
        }
    }
    away.sampling = root * sqrt((1 / total + 1 / second) / (2 * pi));
    away.free = square > 0 ? fmax(root * root / square - 1, 1) : 1;
    return away;
}

/* What days vary by beyond sampling, squared: from pairs a week apart, in which neither weekdays
 * nor a change that stays have a part. Their median, not halved: it is below the mean of squares,
 * and the reference varies too. */
static double usual_square(const struct pool *pool, const uint32_t *const *count, int channels,
                           int day)
{
    double beyond[MIX_DAYS];
    int pairs = 0;
    for (int k = 1; k + WEEK <= MIX_DAYS; k++) {
        if (total_of(count, channels, day - k) < CX_QUALITY_EXPECTED_MIN ||
            total_of(count, channels, day - k - WEEK) < CX_QUALITY_EXPECTED_MIN)
            continue; /* they would say that nothing varies */
        struct away away = away_from(pool, count, channels, day - k, day - k - WEEK);
        beyond[pairs++] = fmax(away.distance * away.distance - away.sampling * away.sampling, 0);
    }
    return pairs < MIX_PAIRS_MIN ? INFINITY : median(beyond, pairs);
}

static void compare(struct cx_quality_mix *mix, const struct pool *pool,
                    const uint32_t *const *count, int channels, int day)
{
    if (pool->total < MIX_COUNT_MIN)
        return;
    struct away away = away_from(pool, count, channels, day, -1);
    if (mix->channel >= 0 && away.distance >= mix->distance)
        return;
    mix->channel = away.most;
    mix->distance = away.distance;
    mix->usual = away.sampling;
    mix->limit = 1 + MIX_ERRORS / sqrt(away.free);
    mix->share = count[away.most][day] / total_of(count, channels, day);
    mix->before = pool->count[away.most] / pool->total;
}

struct cx_quality_mix cx_quality_mix(const uint32_t *const *count, int channels, int day)
{
    struct cx_quality_mix mix = {.channel = -1};
    struct pool all, other;
    if (channels > CX_QUALITY_CHANNELS)
        channels = CX_QUALITY_CHANNELS;
    if (channels < 2 || day < MIX_DAYS || total_of(count, channels, day) <= 0)
        return mix;
    memset(&all, 0, sizeof all);
    for (int k = 1; k <= MIX_DAYS; k++)
        pool_day(&all, count, channels, day - k);
    compare(&mix, &all, count, channels, day);
    if (mix.channel < 0 || mix.distance <= MIX_DISTANCE)
        return mix;
    memset(&other, 0, sizeof other);
    for (int k = WEEK; k <= MIX_DAYS; k += WEEK)
        pool_day(&other, count, channels, day - k);
    if (other.total < MIX_COUNT_MIN) /* a weekday whose own mix is not known */
        return mix;
    compare(&mix, &other, count, channels, day);
    memset(&other, 0, sizeof other);
    for (int k = 1; k <= RECENT; k++)
        pool_day(&other, count, channels, day - k);
    compare(&mix, &other, count, channels, day);
    mix.usual = sqrt(mix.usual * mix.usual + usual_square(&all, count, channels, day));
    mix.limit = fmax(MIX_DISTANCE, mix.limit * mix.usual);
    mix.suspect = mix.distance > mix.limit;
    return mix;
}

/* ---- share ----------------------------------------------------------------------------------- */

struct shares {
    double n, hits, vary; /* vary: variance between days beyond sampling */
};

static struct shares pool_shares(const struct cx_watch_bucket *bucket, int day, int days)
{
    struct shares s = {0, 0, 0};
    double beyond = 0, weight = 0;
    int from = day - days < 0 ? 0 : day - days;
    for (int i = from; i < day; i++)
        if (bucket[i].n > 0) {
            s.n += bucket[i].n;
            s.hits += bucket[i].n * bucket[i].mean;
        }
    double p = s.n > 0 ? s.hits / s.n : 0;
    for (int i = from; i < day; i++)
        if (bucket[i].n > 0) {
            double off = bucket[i].mean - p;
            beyond += bucket[i].n * (off * off - p * (1 - p) / bucket[i].n);
            weight += bucket[i].n;
        }
    s.vary = weight > 0 ? fmax(beyond / weight, 0) : 0;
    return s;
}

struct cx_quality_share cx_quality_share(const struct cx_watch_bucket *bucket, int day)
{
    struct cx_quality_share s = {false, 0, 0, 0};
    struct shares all = pool_shares(bucket, day, CX_QUALITY_REACH),
                  recent = pool_shares(bucket, day, RECENT);
    if (bucket[day].n < CX_QUALITY_EXPECTED_MIN || all.n < SHARE_COUNT_MIN)
        return s;
    s.share = bucket[day].mean;
    s.before = all.hits / all.n;
    if (recent.n >= SHARE_COUNT_MIN)
        s.before = fmax(s.before, recent.hits / recent.n);
    /* of a share that was never seen: as if one more answer had been and one had not */
    double p = (s.before * all.n + 1) / (all.n + 2);
    s.error = sqrt(p * (1 - p) * (1 / bucket[day].n + 1 / all.n) + all.vary);
    double rise = s.share - s.before - 1 / bucket[day].n; /* one response alone is no flood */
    s.suspect = rise > SHARE_RISE && rise > SHARE_ERRORS * s.error;
    return s;
}

/* ---- missing --------------------------------------------------------------------------------- */

struct cx_quality_missing cx_quality_missing(const struct cx_watch_bucket *bucket, int day)
{
    struct cx_quality_missing m = {-1, 0};
    double sum[WEEK] = {0};
    int days[WEEK] = {0}, since = day + 1, used = 0;
    while (since > 0 && bucket[since - 1].n <= 0)
        since--;
    if (since > day || since == 0)
        return m;
    for (int i = since - 1; i >= 0 && i >= since - CX_QUALITY_REACH; i--) {
        sum[i % WEEK] += bucket[i].n;
        days[i % WEEK]++;
        used += bucket[i].n > 0;
    }
    double expected = 0;
    for (int i = since; i <= day; i++)
        if (days[i % WEEK] > 0)
            expected += sum[i % WEEK] / days[i % WEEK];
    if (used < RECENT || expected < CX_QUALITY_EXPECTED_MIN)
        return m;
    m.since = since;
    m.expected = expected;
    return m;
}
