/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The gate over daily counts: how often it is wrong on clean streams (counts from GSL's negative
 * binomial, Dirichlet and multinomial), what it finds, and when it lets go of what stays. */
#include "analytics/quality.h"

#include <criterion/criterion.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DAYS = 280, CHANNELS = 4, STEADY = 100 };

struct stream {
    struct cx_watch_bucket bucket[DAYS]; /* the mean is the share of straight-lined responses */
    uint32_t count[CHANNELS][DAYS];
    const uint32_t *channel[CHANNELS];
};

struct world {
    double mean, dispersion; /* answers a day; negative binomial */
    double weekend;          /* answers of a Saturday or Sunday, of those of other days */
    double steady;           /* Dirichlet's Σα: how alike the mix is from day to day */
    double swing;            /* share that moves from channel 0 to channel 1 on weekends */
    double straight;         /* share */
};

static gsl_rng *rng;

static void begin(void)
{
    rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_rng_set(rng, 4711);
}

static void end(void)
{
    gsl_rng_free(rng);
}

TestSuite(quality, .init = begin, .fini = end, .timeout = 100);

static void recount(struct stream *s, int day)
{
    s->bucket[day].n = 0;
    for (int c = 0; c < CHANNELS; c++)
        s->bucket[day].n += s->count[c][day];
}

static void draw_day(struct stream *s, const struct world *w, int day)
{
    static const double usual[CHANNELS] = {.5, .3, .15, .05};
    double alpha[CHANNELS], share[CHANNELS];
    bool weekend = day % 7 >= 5;
    double mean = w->mean * (weekend ? w->weekend : 1);
    unsigned n = gsl_ran_negative_binomial(rng, w->dispersion / (w->dispersion + mean),
                                           w->dispersion),
             count[CHANNELS];
    for (int c = 0; c < CHANNELS; c++)
        alpha[c] = w->steady * (usual[c] + (weekend ? w->swing : 0) * ((c == 1) - (c == 0)));
    gsl_ran_dirichlet(rng, CHANNELS, alpha, share);
    gsl_ran_multinomial(rng, CHANNELS, n, share, count);
    for (int c = 0; c < CHANNELS; c++)
        s->count[c][day] = count[c];
    s->bucket[day].n = n;
    s->bucket[day].mean = n ? gsl_ran_binomial(rng, w->straight, n) / (double)n : 0;
}

static struct stream *draw(const struct world *w)
{
    struct stream *s = calloc(1, sizeof *s);
    for (int c = 0; c < CHANNELS; c++)
        s->channel[c] = s->count[c];
    for (int day = 0; day < DAYS; day++)
        draw_day(s, w, day);
    return s;
}

/* ---- clean streams --------------------------------------------------------------------------- */

struct wrong {
    int volume, mix, share, days;
};

static void count_wrong(struct wrong *wrong, const struct world *w, int streams)
{
    for (int i = 0; i < streams; i++) {
        struct stream *s = draw(w);
        for (int day = 1; day < DAYS; day++) {
            wrong->volume += cx_quality_volume(s->bucket, day).suspect;
            wrong->mix += cx_quality_mix(s->channel, CHANNELS, day).suspect;
            wrong->share += cx_quality_share(s->bucket, day).suspect;
            wrong->days++;
        }
        free(s);
    }
}

/* Each world alone stays below one in a thousand KPI-days, whichever of the three said so.
 */
Test(quality, clean_streams_are_seldom_suspect)
{
    static const double mean[] = {6, 25, 60, 250, 3000}, dispersion[] = {2, 4, 20};
    static const struct world kinds[] = {
        {0, 0, 1, 200, 0, 0}, {0, 0, .3, 50, .2, .05}, {0, 0, .05, 20, .4, .15}};
    struct wrong all = {0};
    for (int m = 0; m < 5; m++)
        for (int d = 0; d < 3; d++)
            for (int k = 0; k < 3; k++) {
                struct world w = kinds[k];
                struct wrong wrong = {0};
                w.mean = mean[m];
                w.dispersion = dispersion[d];
                count_wrong(&wrong, &w, 40);
                int sum = wrong.volume + wrong.mix + wrong.share;
                cr_expect_lt(sum, wrong.days / 1000,
                             "mean %g dispersion %g kind %d: %d + %d + %d of %d", w.mean,
                             w.dispersion, k, wrong.volume, wrong.mix, wrong.share, wrong.days);
                all.volume += wrong.volume;
                all.mix += wrong.mix;
                all.share += wrong.share;
                all.days += wrong.days;
            }
    cr_assert_gt(all.days, 400000);
    cr_expect_lt(all.volume + all.mix + all.share, all.days / 4000);
}

/* ---- planted faults -------------------------------------------------------------------------- */

enum fault { LOST, TRIPLED, FLOOD, HALF, FIVE_TIMES, SEVEN_TIMES, A_TENTH };

static void plant(struct stream *s, enum fault fault, int day)
{
    double straight = s->bucket[day].mean * s->bucket[day].n;
    for (int c = 0; c < CHANNELS; c++)
        s->count[c][day] = fault == HALF          ? s->count[c][day] / 2
                           : fault == FIVE_TIMES  ? s->count[c][day] * 5
                           : fault == SEVEN_TIMES ? s->count[c][day] * 7
                           : fault == A_TENTH     ? s->count[c][day] / 10
                                                  : s->count[c][day];
    if (fault == LOST)
        s->count[0][day] = 0;
    if (fault == TRIPLED)
        s->count[1][day] *= 3;
    if (fault == FLOOD) /* as many again, all of them straight, by the usual channels */
        straight += s->bucket[day].n;
    recount(s, day);
    if (fault == FLOOD)
        s->bucket[day].n *= 2;
    s->bucket[day].mean = s->bucket[day].n > 0 ? straight / s->bucket[day].n : 0;
}

struct found {
    double volume, mix, share; /* of the streams */
};

static struct found find(const struct world *w, enum fault fault)
{
    struct found found = {0};
    const int streams = 200;
    for (int i = 0; i < streams; i++) {
        struct stream *s = draw(w);
        int day = STEADY + i % 60;
        plant(s, fault, day);
        found.volume += cx_quality_volume(s->bucket, day).suspect;
        found.mix += cx_quality_mix(s->channel, CHANNELS, day).suspect;
        found.share += cx_quality_share(s->bucket, day).suspect;
        free(s);
    }
    return (struct found){found.volume / streams, found.mix / streams, found.share / streams};
}

static const struct world usual_world = {150, 20, .6, 300, 0, .05};

Test(quality, a_lost_channel_is_found)
{
    struct found found = find(&usual_world, LOST);
    cr_expect_gt(found.mix, .97, "%g", found.mix);
    cr_expect_leq(found.volume, .01, "%g", found.volume);
}

/* .3 of the answers become .56: above .2, but not by much. */
Test(quality, a_tripled_channel_is_mostly_found)
{
    static const struct world many = {600, 20, .6, 1000, 0, .05};
    struct found found = find(&many, TRIPLED), few = find(&usual_world, TRIPLED);
    cr_expect_gt(found.mix, .85, "%g", found.mix);
    cr_expect_gt(few.mix, .5, "%g", few.mix);
}

Test(quality, a_flood_of_equal_answers_is_found)
{
    struct found found = find(&usual_world, FLOOD);
    cr_expect_gt(found.share, .99, "%g", found.share);
    cr_expect_leq(found.mix, .01, "%g", found.mix);
}

Test(quality, half_the_volume_is_not_suspect_and_many_times_it_is)
{
    struct found half = find(&usual_world, HALF), five = find(&usual_world, FIVE_TIMES),
                 seven = find(&usual_world, SEVEN_TIMES), tenth = find(&usual_world, A_TENTH);
    cr_expect_leq(half.volume, .01, "%g", half.volume);
    cr_expect_gt(five.volume, .75, "%g", five.volume);
    cr_expect_gt(seven.volume, .95, "%g", seven.volume);
    cr_expect_gt(tenth.volume, .95, "%g", tenth.volume);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static struct stream *steady(double n)
{
    struct stream *s = calloc(1, sizeof *s);
    for (int c = 0; c < CHANNELS; c++)
        s->channel[c] = s->count[c];
    for (int day = 0; day < DAYS; day++) {
        s->count[0][day] = (uint32_t)(n * .6);
        s->count[1][day] = (uint32_t)(n * .4);
        recount(s, day);
    }
    return s;
}

/* Nothing ever differs, so the spread is that of a Poisson count, 1/√100. */
Test(quality, volume_of_a_steady_stream)
{
    struct stream *s = steady(100);
    s->bucket[STEADY].n = 410;
    struct cx_quality_volume v = cx_quality_volume(s->bucket, STEADY);
    cr_expect(v.suspect);
    cr_expect_eq(v.expected, 100);
    cr_expect_float_eq(v.spread, .1, 1e-12);
    s->bucket[STEADY].n = 400; /* a factor of 4 is not beyond it */
    v = cx_quality_volume(s->bucket, STEADY);
    cr_expect_not(v.suspect);
    cr_expect_eq(v.spread, 0);
    s->bucket[STEADY].n = 24;
    cr_expect(cx_quality_volume(s->bucket, STEADY).suspect);
    s->bucket[STEADY].n = 25;
    cr_expect_not(cx_quality_volume(s->bucket, STEADY).suspect);
    s->bucket[STEADY].n = 0; /* missing, not suspect */
    v = cx_quality_volume(s->bucket, STEADY);
    cr_expect_not(v.suspect);
    cr_expect_eq(v.expected, 0);
    free(s);
}

Test(quality, volume_needs_twenty_expected_and_four_weeks)
{
    struct stream *s = steady(20), *few = steady(15);
    s->bucket[STEADY].n = few->bucket[STEADY].n = 500;
    cr_expect(cx_quality_volume(s->bucket, STEADY).suspect);
    cr_expect_not(cx_quality_volume(few->bucket, STEADY).suspect);
    s->bucket[28].n = s->bucket[27].n = 500;
    cr_expect(cx_quality_volume(s->bucket, 28).suspect);
    cr_expect_not(cx_quality_volume(s->bucket, 27).suspect); /* three Mondays, say */
    free(s);
    free(few);
}

/* A day is judged by what lies before it. */
Test(quality, days_after_it_do_not_matter)
{
    struct stream *s = draw(&usual_world), *other = draw(&usual_world);
    plant(s, FIVE_TIMES, STEADY);
    struct cx_quality_volume v = cx_quality_volume(s->bucket, STEADY);
    struct cx_quality_mix m = cx_quality_mix(s->channel, CHANNELS, STEADY);
    for (int day = STEADY + 1; day < DAYS; day++) {
        s->bucket[day] = other->bucket[DAYS - day];
        for (int c = 0; c < CHANNELS; c++)
            s->count[c][day] = other->count[c][DAYS - day] * 9;
    }
    struct cx_quality_volume w = cx_quality_volume(s->bucket, STEADY);
    cr_expect_eq(v.spread, w.spread);
    cr_expect_eq(m.distance, cx_quality_mix(s->channel, CHANNELS, STEADY).distance);
    free(s);
    free(other);
}

Test(quality, what_stays_becomes_usual_within_two_weeks)
{
    struct stream *s = steady(100), *much = steady(100);
    int volume = 0, mix = 0;
    for (int day = STEADY; day < STEADY + 60; day++) {
        s->count[0][day] = 10;
        s->count[1][day] = 90;
        much->bucket[day].n = 600;
        bool more = cx_quality_volume(much->bucket, day).suspect,
             other = cx_quality_mix(s->channel, CHANNELS, day).suspect;
        volume += more;
        mix += other;
        cr_expect(day > STEADY + 4 || (more && other), "day %d", day - STEADY);
    }
    /* then one day in eight is as extreme, and nine tenths of the days are no longer within it */
    cr_expect_eq(volume, 7, "%d", volume);
    /* .5 less j/14 of it, after j days, and the limit by what is usual */
    cr_expect_eq(mix, 9, "%d", mix);
    free(s);
    free(much);
}

/* Six weekdays alike and a Sunday of its own: no Sunday is suspect, a weekday like it is. */
Test(quality, weekdays_may_have_a_mix_of_their_own)
{
    struct stream *s = steady(100);
    for (int day = 6; day < DAYS; day += 7) {
        s->count[0][day] = 0;
        s->count[1][day] = 100;
    }
    for (int day = 42; day < DAYS; day++) {
        struct cx_quality_mix m = cx_quality_mix(s->channel, CHANNELS, day);
        cr_expect_not(m.suspect, "day %d: %g", day, m.distance);
    }
    s->count[0][STEADY] = 0;
    s->count[1][STEADY] = 100;
    struct cx_quality_mix m = cx_quality_mix(s->channel, CHANNELS, STEADY);
    cr_expect(m.suspect);
    cr_expect_eq(m.share, m.channel == 1 ? 1 : 0);
    cr_expect_float_eq(m.distance, .514285714285714, 1e-12); /* .6 less 1/7 of it, of 28 days */
    free(s);
}

Test(quality, mix_needs_two_channels_and_four_weeks)
{
    struct stream *s = steady(100);
    s->count[0][27] = s->count[0][28] = s->count[0][STEADY] = 0;
    cr_expect_not(cx_quality_mix(s->channel, CHANNELS, 27).suspect);
    cr_expect(cx_quality_mix(s->channel, CHANNELS, 28).suspect);
    cr_expect_eq(cx_quality_mix(s->channel, 1, STEADY).channel, -1);
    cr_expect(cx_quality_mix(s->channel, 2, STEADY).suspect);
    s->count[1][STEADY] = 0; /* no answers at all */
    cr_expect_eq(cx_quality_mix(s->channel, 2, STEADY).channel, -1);
    s->count[1][STEADY] = 3; /* three answers by one channel say nothing */
    cr_expect_not(cx_quality_mix(s->channel, 2, STEADY).suspect);
    free(s);
}

/* √(p(1 − p)(1/100 + 1/5600)) with p = (280 + 1)/(5600 + 2). */
Test(quality, share_of_a_steady_stream)
{
    struct stream *s = steady(100);
    for (int day = 0; day < DAYS; day++)
        s->bucket[day].mean = .05;
    s->bucket[STEADY].mean = .22;
    struct cx_quality_share h = cx_quality_share(s->bucket, STEADY);
    cr_expect(h.suspect);
    cr_expect_float_eq(h.before, .05, 1e-12);
    cr_expect_float_eq(h.error, .0220217, 1e-6, "%.9g", h.error);
    s->bucket[STEADY].mean = .2; /* .14 after one response less */
    cr_expect_not(cx_quality_share(s->bucket, STEADY).suspect);
    s->bucket[STEADY].mean = 0; /* fewer are no fault */
    cr_expect_not(cx_quality_share(s->bucket, STEADY).suspect);
    s->bucket[STEADY] = (struct cx_watch_bucket){.n = 19, .mean = 1};
    cr_expect_not(cx_quality_share(s->bucket, STEADY).suspect);
    s->bucket[STEADY].n = 20;
    cr_expect(cx_quality_share(s->bucket, STEADY).suspect);
    cr_expect_not(cx_quality_share(s->bucket, 0).suspect); /* nothing before it */
    free(s);
}

Test(quality, missing_answers)
{
    struct stream *s = steady(10);
    for (int day = 0; day < DAYS; day++)
        s->bucket[day].n = day % 7 == 6 ? 0 : 6;
    struct cx_quality_missing m = cx_quality_missing(s->bucket, 104); /* 104 = 14·7 + 6 */
    cr_expect_eq(m.since, -1);                                        /* a Sunday: 0 expected */
    for (int day = 105; day < 112; day++)
        s->bucket[day].n = 0;
    m = cx_quality_missing(s->bucket, 107); /* since Sunday: 0 + 3·6 */
    cr_expect_eq(m.since, -1);
    cr_expect_eq(m.expected, 0);
    m = cx_quality_missing(s->bucket, 108);
    cr_expect_eq(m.since, 104);
    cr_expect_float_eq(m.expected, 24, 1e-12);
    m = cx_quality_missing(s->bucket, 111);
    cr_expect_float_eq(m.expected, 36, 1e-12); /* Monday to Saturday */
    cr_expect_eq(cx_quality_missing(s->bucket, 112).since, -1);
    free(s);
}

Test(quality, nothing_is_missing_where_nothing_was_usual)
{
    struct stream *s = steady(10);
    for (int day = 0; day < DAYS; day++)
        s->bucket[day].n = 0;
    cr_expect_eq(cx_quality_missing(s->bucket, DAYS - 1).since, -1); /* there never were any */
    for (int day = STEADY; day < STEADY + 13; day++)
        s->bucket[day].n = 1000; /* a survey of two weeks */
    cr_expect_eq(cx_quality_missing(s->bucket, DAYS - 1).since, -1);
    s->bucket[STEADY + 13].n = 1000;
    cr_expect_eq(cx_quality_missing(s->bucket, DAYS - 1).since, STEADY + 14);
    free(s);
}
