/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Skew answers: how skew, what tail their sums have (exact tails by scipy), and what it changes. */
#include "analytics/watch_levels.h"

#include "tests/unit/watch_support.h"

Test(watch_skew, of_single_answers)
{
    double p = .05;
    cr_assert_float_eq(cx_watch_skewness(p, p * (1 - p), 0, 1), .9 / sqrt(p * (1 - p)), 1e-12);
    cr_assert_float_eq(cx_watch_skewness(100 * p, 1e4 * p * (1 - p) * 1.1, 0, 100),
                       .9 / sqrt(p * (1 - p)), 1e-12); /* n − 1: more than two points can have */
    cr_assert_float_eq(cx_watch_skewness(2. / 7, .025510204081632654, 0, 1), .5962847939999439,
                       1e-12); /* beta(2, 5) */
    cr_assert_float_eq(cx_watch_skewness(1 + 4 * 40 / 41., 16 * .0011067609258055145, 1, 5),
                       -2.5415655717599646, 1e-9); /* beta(20, .5) on 1 … 5 */
    cr_assert_float_eq(cx_watch_skewness(10, 25, 0, INFINITY), 1, 1e-12); /* gamma: 2σ/μ */
    cr_assert_float_eq(cx_watch_skewness(-10, 25, -INFINITY, 0), -1, 1e-12);
    cr_assert_eq(cx_watch_skewness(3, 1, -INFINITY, INFINITY), 0);
    cr_assert_eq(cx_watch_skewness(3, 1, 0, 0), 0);
    cr_assert_eq(cx_watch_skewness(3, 0, 0, 5), 0);
    cr_assert_eq(cx_watch_skewness(0, .1, 0, 1), 0);
    cr_assert_eq(cx_watch_skewness(-1, .1, 0, INFINITY), 0);
}

Test(watch_skew, tails_of_sums)
{
    static const struct {
        double terms, z, exact; /* sum of exponential answers */
    } gamma[] = {{1, 2, 1.6469217205277145}, {1, 6, 3.1175251374126356},
                 {3, 4, 2.754717381730997},  {10, 4, 3.088693918740405},
                 {10, 6, 4.177631540748994}, {50, 4, 3.4710676625468295},
                 {50, 6, 4.883264318721609}};
    for (size_t i = 0; i < sizeof gamma / sizeof *gamma; i++)
        cr_assert_float_eq(cx_watch_unskewed(gamma[i].z, 2 / sqrt(gamma[i].terms)), gamma[i].exact,
                           .05);
    /* 3 of 6 where one in 20 fails: P = .0022, not 2e-7 */
    cr_assert_float_eq(cx_watch_unskewed(5.057563, 4.129483 / sqrt(6)), 2.843672, .1);
    cr_assert_float_eq(cx_watch_unskewed(5.129892, 4.129483 / sqrt(20)), 3.406262, .1);
    cr_assert_eq(cx_watch_unskewed(4, 0), 4);
    cr_assert_eq(cx_watch_unskewed(4, -1), 4); /* the short tail is left as it is */
    cr_assert_eq(cx_watch_unskewed(0, 1), 0);
    for (double z = 0, before = 0; z < 12; z += .1) {
        double now = cx_watch_unskewed(z, 1.5);
        cr_assert(now >= before && now <= z);
        before = now;
    }
}

static double drawn(struct cx_random *random, int n, double p)
{
    int hits = 0;
    for (int i = 0; i < n; i++)
        hits += cx_random_chance(random, p);
    return (double)hits / n;
}

/* Notices in 184 judged days of shares of `n` answers each. */
static int notices(struct story *story, int n, double p, bool allow, struct cx_random *random,
                   double later)
{
    const struct cx_watch_rule rule = plain_rule(3.8);
    struct cx_watch_episode episode;
    struct cx_watch_report report;
    int count = 0;
    for (int t = 0; t < 240; t++) {
        double share = drawn(random, n, t >= 200 && t < 203 ? later : p);
        story->bucket[t] = (struct cx_watch_bucket){
            .n = n, .mean = share, .s2 = share * (1 - share) * n / (n - 1)};
    }
    int baseline = story_prepare(story, 7);
    if (allow) {
        double mean = 0;
        for (int t = 0; t < baseline; t++)
            mean += story->bucket[t].mean / baseline;
        cx_watch_skew(story->point, story->bucket, 240, story->profile.s2,
                      cx_watch_skewness(mean, story->profile.s2, 0, 1));
    }
    cx_watch_begin(&episode, story->first, story->first + baseline);
    while (baseline > 0 && cx_watch_step(&episode, &story->series, &rule, &report))
        count += report.notice;
    return count;
}

/* Of 300 series with six answers a day, of which one in twenty fails: by the budget about one in
 * 1,000 days is a false alarm. */
Test(watch_skew, rare_failures_of_few)
{
    struct story *story = story_new(240, 1, 1);
    double rate[2];
    for (int allow = 0; allow < 2; allow++) {
        struct cx_random random = cx_random_seed(77, 1);
        int sum = 0;
        for (int i = 0; i < 300; i++)
            sum += notices(story, 6, .05, allow, &random, .05);
        rate[allow] = 1000.0 * sum / (300 * 184.0);
    }
    cr_log_info("false alarms in 1,000 days: %.2f taken for symmetric, %.2f else", rate[0],
                rate[1]);
    cr_assert(rate[0] > 3, "%.2f", rate[0]);
    cr_assert(rate[1] < 1.5, "%.2f", rate[1]);
    free(story);
}

Test(watch_skew, what_happens_is_still_seen)
{
    struct story *story = story_new(240, 1, 1);
    struct cx_random random = cx_random_seed(78, 1);
    int seen = 0;
    for (int i = 0; i < 50; i++)
        seen += notices(story, 40, .05, true, &random, .3) > 0;
    cr_assert(seen >= 48, "%d", seen);
    free(story);
}

/* A composite's cumulant: two KPIs, one turned round. */
Test(watch_skew, of_composites)
{
    const struct cx_watch_bucket d[2] = {{.n = 4, .mean = 1, .s2 = 1},
                                         {.n = 9, .mean = 1, .s2 = 1}};
    const struct cx_watch_part part[2] = {{0, 1, 2}, {0, -1, 3}};
    struct cx_watch_bucket both = cx_watch_composite(d, part, 2, 0);
    cr_assert_float_eq(both.third, (2. / 16 - 3. / 81) / 8, 1e-15);
    struct cx_watch_point point = {.w = 2};
    cx_watch_skew(&point, &both, 1, 1, NAN);
    cr_assert_float_eq(point.third, 8 * both.third, 1e-15);
    cx_watch_skew(&point, &both, 1, 4, .5); /* (γ s³)/n² of the mean, times w³ */
    cr_assert_float_eq(point.third, 8 * .5 * 8 / (both.effective * both.effective), 1e-15);
}
