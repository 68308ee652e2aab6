/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The watched series: the reference stream to its last digits, gaps and degenerate series, the
 * thresholds and factors of the published tables. */
#include "analytics/watch.h"

#include "tests/unit/solve_support.h"
#include "tests/unit/watch_support.h"

/* ---- the reference stream -------------------------------------------------------------------- */

enum { STREAM = 296, BASELINE = 56 };

struct stream {
    cJSON *json;
    struct story *story;
};

static struct stream read_stream(void)
{
    struct stream s = {read_json("kpi_stream_glr"), calloc(1, sizeof(struct story))};
    s.story->days = STREAM;
    for (int t = 0; t < STREAM; t++)
        s.story->bucket[t] = (struct cx_watch_bucket){
            .n = element(s.json, "n", t), .mean = element(s.json, "mean", t), .s2 = 1};
    cr_assert_eq(story_prepare(s.story, 7), BASELINE);
    return s;
}

static void drop(struct stream *s)
{
    cJSON_Delete(s->json);
    free(s->story);
}

Test(watch, reference_points)
{
    struct stream s = read_stream();
    for (int t = 0; t < STREAM; t++) {
        cr_assert_float_eq(s.story->point[t].r, element(s.json, "r", t), 1e-14, "%d", t);
        cr_assert_float_eq(1 / s.story->point[t].w, element(s.json, "v", t), 1e-14, "%d", t);
    }
    cr_assert_eq(s.story->profile.sd, 1);
    cr_assert_eq(s.story->profile.tau2, 0);
    drop(&s);
}

Test(watch, reference_statistic)
{
    struct stream s = read_stream();
    struct cx_watch_rule rule = plain_rule(member(s.json, "threshold"));
    int alarm = -1;
    for (int t = BASELINE; t < STREAM; t++) {
        struct cx_watch_split split = cx_watch_glr(&s.story->series, &rule, NULL, 0, t);
        cr_assert_float_eq(split.z, element(s.json, "glr", t - BASELINE), 1e-12, "%d", t);
        if (alarm < 0 && split.z > rule.fire)
            alarm = t;
    }
    cr_assert_eq(alarm, (int)member(s.json, "first_alarm_day"));
    drop(&s);
}

/* Points do not look ahead, and where a caller's series begins is of no matter beyond the reach. */
Test(watch, a_point_stays)
{
    struct stream s = read_stream();
    struct cx_watch_rule rule = plain_rule(3.8);
    struct cx_watch_point whole[STREAM], part[STREAM];
    memcpy(whole, s.story->point, sizeof whole);
    struct cx_watch_profile profile = {0};
    cr_assert_eq(cx_watch_prepare(&profile, part, s.story->bucket, 200, 0, 7), BASELINE);
    for (int t = 0; t < 200; t++) {
        cr_assert_eq(part[t].r, whole[t].r);
        cr_assert_eq(part[t].w, whole[t].w);
    }
    struct cx_watch_split one = cx_watch_glr(&s.story->series, &rule, NULL, 0, 280);
    struct cx_watch_series later = {84, STREAM - 84, 1, whole + 84};
    struct cx_watch_split two = cx_watch_glr(&later, &rule, NULL, 0, 280);
    cr_assert_eq(one.z, two.z);
    cr_assert_eq(one.start, two.start);
    drop(&s);
}

/* ---- preparation ----------------------------------------------------------------------------- */

Test(watch, days_that_vary)
{
    struct story *story = story_new(400, 50, 5);
    struct cx_random random = cx_random_seed(1, 9);
    for (int t = 0; t < 400; t++)
        story->bucket[t].mean += .3 * cx_random_normal(&random);
    double sum = 0;
    for (int t = 7; t < 56; t++) {
        double d = story->bucket[t].mean - story->bucket[t - 7].mean;
        sum += (d * d - 2.0 / 50) / 2;
    }
    story_prepare(story, 7);
    cr_assert_float_eq(story->profile.tau2, sum / 49, 1e-15);
    cr_assert(story->profile.tau2 > .04 && story->profile.tau2 < .16);
    story_add(story, 100, 400, 5); /* a change of level adds 7 of 393 pairs */
    story_prepare(story, 7);
    cr_assert(1 / story->point[399].w < .09 + .02 + 5. * 5 * 7 / 393 / 2 + .03);
    free(story);
}

Test(watch, weekdays_are_shrunk)
{
    struct story *story = story_new(56, 1e6, 1);
    for (int t = 0; t < 56; t++)
        story->bucket[t].mean = (story->first + t) % 7 == 3 ? 1 : 0;
    story_prepare(story, 7);
    double low = story->profile.effect[2], high = story->profile.effect[3];
    cr_assert_float_eq(high - low, 1, 1e-4); /* many answers: hardly at all */
    cr_assert_float_eq(story->profile.level, 1. / 7, 1e-9);
    for (int t = 0; t < 56; t++)
        story->bucket[t].n = 2;
    story_prepare(story, 7);
    cr_assert(story->profile.effect[3] - story->profile.effect[2] < .8);
    story_prepare(story, 1);
    cr_assert_eq(story->profile.effect[0], 0);
    cr_assert_eq(story->profile.unsure[0], 0);
    free(story);
}

Test(watch, numbers_before_zero_and_a_weekday_without_answers)
{
    struct story *story = story_new(120, 40, 2);
    story->first = -100;
    for (int t = 0; t < 120; t++) { /* weekdays of numbers below 0 go on as those above */
        int k = (int)(((story->first + t) % 7 + 7) % 7);
        story->bucket[t].n = k == 5 ? 0 : 40;
        story->bucket[t].mean += k == 1 ? 2 : 0;
    }
    story->bucket[119 - (119 + story->first - 5) % 7].n = 40; /* the first answers of that day */
    cr_assert_eq(story_prepare(story, 7), 56);
    cr_assert(story->profile.effect[1] > 1.2);
    cr_assert_eq(story->profile.effect[5], 0);
    cr_assert(story->profile.unsure[5] > 100 * story->profile.unsure[1]);
    free(story);
}

Test(watch, the_baseline_grows)
{
    struct story *story = story_new(300, 30, 4);
    struct cx_watch_profile untouched, profile;
    memset(&profile, 0x5a, sizeof profile);
    untouched = profile;
    cr_assert_eq(cx_watch_prepare(&profile, story->point, story->bucket, 55, 0, 7), 0);
    cr_assert_eq(cx_watch_prepare(&profile, story->point, story->bucket, 300, 0, 0), 0);
    cr_assert_eq(
        cx_watch_prepare(&profile, story->point, story->bucket, 300, 0, CX_WATCH_SEASON_MAX + 1),
        0);
    cr_assert_eq(cx_watch_prepare(&profile, story->point, story->bucket, 0, 0, 7), 0);
    cr_assert_eq(memcmp(&profile, &untouched, sizeof profile), 0);
    cr_assert_eq(story_prepare(story, 7), 56);
    for (int t = 0; t < 60; t++)
        story->bucket[t].n = 0;
    cr_assert_eq(story_prepare(story, 7), 88); /* 28 days with answers, of which 21 are pairs */
    for (int t = 0; t < 300; t++)
        story->bucket[t] = (struct cx_watch_bucket){.n = 30, .mean = 5, .s2 = 0};
    cr_assert_eq(story_prepare(story, 7), 0); /* nothing ever varies */
    story->bucket[150].mean = 4;
    cr_assert_eq(story_prepare(story, 7), 151);
    cr_assert(story->profile.sd > 0);
    free(story);
}

Test(watch, one_answer_a_day)
{
    struct story *story = story_new(200, 1, 6);
    for (int t = 0; t < 200; t++)
        story->bucket[t].s2 = NAN; /* of one answer there is none */
    cr_assert_eq(story_prepare(story, 7), 56);
    cr_assert_eq(story->profile.s2, 0);
    cr_assert(story->profile.tau2 > .5 && story->profile.tau2 < 2);
    cr_assert_float_eq(story->profile.sd, sqrt(story->profile.tau2), 1e-15);
    free(story);
}

/* Whatever comes in, numbers come out. */
Test(watch, awkward_buckets)
{
    static const double odd[] = {0,   -1,   NAN,   INFINITY, -INFINITY, 1e308, 1e-308,
                                 1e9, 1e60, 1e-12, 5,        -1e200,    1,     30};
    enum { ODD = sizeof odd / sizeof *odd };
    struct cx_watch_rule rule = plain_rule(3.8);
    struct cx_random random = cx_random_seed(11, 0);
    for (int round = 0; round < 200; round++) {
        struct story *story = story_new(200, 30, (uint64_t)round);
        for (int i = 0; i < 60; i++) {
            struct cx_watch_bucket *bucket = &story->bucket[cx_random_below(&random, 200)];
            double *member[] = {&bucket->n, &bucket->mean, &bucket->s2, &bucket->effective};
            *member[cx_random_below(&random, 4)] = odd[cx_random_below(&random, ODD)];
        }
        if (story_prepare(story, 7) > 0)
            for (int t = 0; t < 200; t++) {
                struct cx_watch_split split =
                    cx_watch_glr(&story->series, &rule, NULL, INT64_MIN / 4, story->first + t);
                cr_assert(isfinite(story->point[t].r) && story->point[t].w >= 0);
                cr_assert(isfinite(story->point[t].w));
                cr_assert(isfinite(split.z) && isfinite(split.shift));
            }
        free(story);
    }
}

Test(watch, flags)
{
    struct story *story = story_new(200, 30, 8);
    story->bucket[100].flags = CX_WATCH_SUSPECT;
    story->bucket[101].flags = CX_WATCH_CALENDAR;
    story->bucket[102].n = 0;
    story_prepare(story, 7);
    cr_assert_eq(story->point[99].data, CX_WATCH_USABLE);
    cr_assert_eq(story->point[100].data, CX_WATCH_IS_SUSPECT);
    cr_assert_eq(story->point[101].data, CX_WATCH_LEFT_OUT);
    cr_assert_eq(story->point[102].data, CX_WATCH_EMPTY);
    for (int t = 100; t < 103; t++)
        cr_assert_eq(story->point[t].w, 0);
    cr_assert_eq(story->point[100].n, 30);
    free(story);
}

/* ---- the statistic --------------------------------------------------------------------------- */

/* Its definition, word for word, over what is not masked. */
static struct cx_watch_split by_definition(const struct cx_watch_series *s,
                                           const struct cx_watch_rule *rule, int floor, int t)
{
    struct cx_watch_split best = {0, 0, s->first + t};
    for (int m = 1; m <= 56; m++) {
        double wa = 0, ra = 0, wb = 0, rb = 0;
        int na = 0, nb = 0, at = t + 1 - m;
        if (at < 1 || s->point[at].w == 0)
            continue;
        for (int i = at; i <= t; i++)
            wa += s->point[i].w, ra += s->point[i].w * s->point[i].r, na += s->point[i].w > 0;
        for (int i = at - 140; i < at; i++)
            if (i >= floor)
                wb += s->point[i].w, rb += s->point[i].w * s->point[i].r, nb += s->point[i].w > 0;
        if (nb < 7)
            continue;
        double shift = ra / wa - rb / wb;
        double z = fabs(shift) / sqrt(rule->factor[na] / wa + rule->factor[nb] / wb);
        if (z > best.z)
            best = (struct cx_watch_split){z, shift, s->first + at};
    }
    return best;
}

Test(watch, statistic_by_its_definition)
{
    struct cx_watch_rule rule = cx_watch_rule(3.8, (struct cx_watch_memory){.2, .7});
    struct story *story = story_new(400, 30, 12);
    struct cx_random random = cx_random_seed(4, 4);
    story_add(story, 0, 400, 1e6); /* a level beyond all noise */
    for (int i = 0; i < 90; i++)
        story->bucket[cx_random_below(&random, 400)].n = cx_random_below(&random, 4);
    story_prepare(story, 7);
    for (int t = 0; t < 400; t++)
        for (int floor = 0; floor < 300; floor += 90) {
            struct cx_watch_split one = by_definition(&story->series, &rule, floor, t);
            struct cx_watch_split two =
                cx_watch_glr(&story->series, &rule, NULL, story->first + floor, story->first + t);
            if (t <= floor)
                continue;
            cr_assert_float_eq(one.z, two.z, 1e-6, "%d: %g %g", t, one.z, two.z);
            if (one.z > 0)
                cr_assert_float_eq(one.shift, two.shift, 1e-6);
        }
    free(story);
}

Test(watch, masked_buckets_are_not_there)
{
    struct cx_watch_rule rule = plain_rule(3.8);
    struct story *story = story_new(200, 30, 13);
    story_add(story, 120, 130, 3);
    story_prepare(story, 7);
    struct cx_watch_masks masks = {.count = 1, .next = 1};
    masks.mask[0].from = story->first + 120;
    masks.mask[0].until = story->first + 130;
    int64_t at = story->first + 140;
    cr_assert(cx_watch_glr(&story->series, &rule, NULL, story->first, at).z > 10);
    double masked = cx_watch_glr(&story->series, &rule, &masks, story->first, at).z;
    for (int t = 120; t < 130; t++)
        story->point[t].w = 0;
    cr_assert_eq(masked, cx_watch_glr(&story->series, &rule, NULL, story->first, at).z);
    cr_assert(masked < 4);
    free(story);
}

Test(watch, nothing_to_compare)
{
    struct cx_watch_rule rule = plain_rule(3.8);
    struct story *story = story_new(100, 30, 14);
    story_prepare(story, 7);
    int64_t first = story->first;
    static const int64_t at[][2] = {{0, 0}, {0, 6}, {90, 96}, {99, 99}, {200, 99}, {0, 100}};
    for (int i = 0; i < 6; i++) {
        struct cx_watch_split split =
            cx_watch_glr(&story->series, &rule, NULL, first + at[i][0], first + at[i][1]);
        cr_assert_eq(split.z, 0, "%d", i);
        cr_assert_eq(split.start, first + at[i][1]);
    }
    cr_assert(cx_watch_glr(&story->series, &rule, NULL, first + 90, first + 97).z > 0);
    free(story);
}

/* ---- thresholds ------------------------------------------------------------------------------ */

Test(watch, thresholds_of_the_published_table)
{
    static const int series[] = {5, 20, 40, 100, 200, 500, 1000, 2000};
    static const double budget[] = {1, 4, 12, 52};
    static const double wanted[8][4] = {{4.01, 3.52, 3.3, 3.3},   {4.44, 4.01, 3.63, 3.3},
                                        {4.64, 4.23, 3.87, 3.34}, {4.89, 4.50, 4.17, 3.68},
                                        {5.08, 4.70, 4.38, 3.92}, {5.31, 4.95, 4.65, 4.22},
                                        {5.48, 5.13, 4.84, 4.43}, {5.64, 5.31, 5.03, 4.63}};
    for (int k = 0; k < 8; k++)
        for (int b = 0; b < 4; b++)
            cr_assert_float_eq(cx_watch_threshold_budget(budget[b], series[k], 1), wanted[k][b],
                               .0101, "%d %g", series[k], budget[b]);
    /* levels of 200 series, 5 parents, 40 units, with a budget of 4 */
    cr_assert_float_eq(cx_watch_threshold_budget(4, 5, 1. / 3), 3.91, .01);
    cr_assert_float_eq(cx_watch_threshold_budget(4, 40, 1. / 3), 4.56, .01);
    cr_assert_float_eq(cx_watch_threshold_budget(4, 200, 1. / 3), 5.00, .01);
}

Test(watch, thresholds_have_ends)
{
    cr_assert_float_eq(cx_watch_threshold(1), 3.804, .001);
    cr_assert_eq(cx_watch_threshold(1000), 3.3);
    cr_assert_eq(cx_watch_threshold(1e-9), 6);
    cr_assert_eq(cx_watch_threshold(0), 6);
    cr_assert_eq(cx_watch_threshold(-1), 6);
    cr_assert_eq(cx_watch_threshold(NAN), 6);
    cr_assert_eq(cx_watch_threshold_budget(4, 0, 1), cx_watch_threshold_budget(4, 1, 1));
    struct cx_watch_rule rule = plain_rule(3.3), other = plain_rule(4.4);
    cr_assert_float_eq(rule.clear, 2.8, 1e-15);
    cr_assert_eq(other.clear, 3);
    cr_assert_eq(other.shift_min, .1);
}

/* ---- autocorrelation ------------------------------------------------------------------------- */

Test(watch, factor_is_the_variance_of_a_mean)
{
    struct cx_watch_memory memory = {.3, .8};
    for (int m = 1; m <= 140; m++) {
        double sum = 1, power = 1; /* 1 + 2 Σ (1 − k/m) a φ^(k−1) */
        for (int k = 1; k < m; k++, power *= memory.phi)
            sum += 2 * (1 - (double)k / m) * memory.a * power;
        cr_assert_float_eq(cx_watch_memory_factor(memory, m), sum, 1e-12, "%d", m);
    }
    struct cx_watch_rule rule = cx_watch_rule(4, memory);
    cr_assert_float_eq(rule.factor[1], 1, 1e-14);
    cr_assert_float_eq(rule.factor[140], cx_watch_memory_factor(memory, 140), 1e-15);
    cr_assert_eq(plain_rule(4).factor[140], 1);
}

static void remember(struct cx_watch_lags *lags, double a, double phi, int gap)
{
    struct cx_random random = cx_random_seed(7, (uint64_t)(phi * 100));
    struct cx_watch_point point[182];
    struct cx_watch_series series = {0, 182, 1, point};
    for (int s = 0; s < 400; s++) {
        double slow = cx_random_normal(&random), share = sqrt(a / fmax(phi, .1));
        for (int t = 0; t < 182; t++) {
            slow = phi * slow + sqrt(1 - phi * phi) * cx_random_normal(&random);
            double fast = cx_random_normal(&random);
            double r = share * slow + sqrt(1 - share * share) * fast;
            point[t] = (struct cx_watch_point){.r = 40 + 2 * r, .w = .25, .n = 1};
            if (gap > 0 && (t % gap == 0 || t % gap == 1))
                point[t].w = 0;
        }
        cx_watch_lags_add(lags, &series, 0, 182);
    }
}

Test(watch, memory_is_found)
{
    static const double phi[] = {.3, .5, .8, .9};
    for (int i = 0; i < 4; i++)
        for (int gap = 0; gap <= 9; gap += 9) {
            struct cx_watch_lags lags = {0};
            remember(&lags, .25, phi[i], gap);
            struct cx_watch_memory memory = cx_watch_memory_fit(&lags);
            cr_assert_eq(lags.series, 400);
            cr_assert_float_eq(memory.a, .25, .035, "%g %d: %g", phi[i], gap, memory.a);
            cr_assert_float_eq(memory.phi, phi[i], .11, "%g %d: %g", phi[i], gap, memory.phi);
        }
}

Test(watch, memory_from_its_sums)
{
    struct cx_watch_lags lags = {.square = 1000, .buckets = 1000, .used = 1000, .series = 9};
    for (int k = 0; k < CX_WATCH_LAGS; k++) {
        lags.product[k] = 1000 * (.3 * pow(.6, k) - .01); /* what centring takes is given back */
        lags.pairs[k] = lags.expected[k] = 999 - k;
    }
    struct cx_watch_memory memory = cx_watch_memory_fit(&lags);
    cr_assert_float_eq(memory.a, .3, 1e-12);
    cr_assert_eq(memory.phi, .6);
    for (int k = 0; k < CX_WATCH_LAGS; k++)
        lags.product[k] = k == 0 ? 1000 * .011 : -10;
    cr_assert_float_eq(cx_watch_memory_fit(&lags).a, .021, 1e-12);
    lags.product[0] = 1000 * .009; /* .019: none */
    cr_assert_eq(cx_watch_memory_fit(&lags).a, 0);
}

/* What noise fits is taken off: two numbers out of so many buckets. */
Test(watch, memory_is_shrunk)
{
    const struct cx_watch_memory some = {.1, 0}, much = {.4, .5}, little = {.025, 0};
    cr_assert_float_eq(cx_watch_memory_shrunk(some, 1000).a, .1 * (1 - 2 / 10.), 1e-12);
    double square = (1 - pow(.25, 6)) / (1 - .25);
    cr_assert_float_eq(cx_watch_memory_shrunk(much, 182).a, .4 * (1 - 2 / (.16 * 182 * square)),
                       1e-12);
    cr_assert_eq(cx_watch_memory_shrunk(much, 182).phi, .5);
    cr_assert_eq(cx_watch_memory_shrunk(some, 182).a, 0);    /* explains 1.8 */
    cr_assert_eq(cx_watch_memory_shrunk(little, 9000).a, 0); /* .016 is left */
    cr_assert_eq(cx_watch_memory_shrunk((struct cx_watch_memory){0, 0}, 0).a, 0);
}

Test(watch, nothing_remembered)
{
    struct cx_watch_lags lags = {0};
    cr_assert_eq(cx_watch_memory_fit(&lags).a, 0);
    remember(&lags, 0, 0, 0);
    cr_assert_eq(cx_watch_memory_fit(&lags).a, 0);
    struct cx_watch_point none[3] = {{0}};
    struct cx_watch_series empty = {0, 3, 1, none};
    struct cx_watch_lags before = lags;
    cx_watch_lags_add(&lags, &empty, -5, 50);
    cr_assert_eq(memcmp(&before, &lags, sizeof lags), 0);
}

Test(watch, a_threshold_has_its_rate)
{
    for (double fire = 3.3; fire < 6; fire += .3)
        cr_assert(fabs(cx_watch_threshold(cx_watch_rate(fire)) - fire) < 1e-12, "%g", fire);
    /* measured on 7.3 million series-days: .149 alarms per 1,000 at 4.4, 1.01 at 3.8 */
    cr_assert(fabs(cx_watch_rate(4.4) / .149 - 1) < .08);
    cr_assert(fabs(cx_watch_rate(3.8) / 1.01 - 1) < .08);
}
