/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dip, shift or trend: the templates by their definition, planted histories by their names. */
#include "analytics/watch_classify.h"

#include "tests/unit/watch_support.h"

/* ---- by definition --------------------------------------------------------------------------- */

/* Templates: 0–3 dips of 1, 2, 3, 5; 4 shift; 5 ramp; 6–8 flattening after 14, 28, 42. */
static double template(int which, int s, int t)
{
    static const int dip[] = {1, 2, 3, 5}, flat[] = {14, 28, 42};
    if (t < s)
        return 0;
    if (which < 4)
        return t < s + dip[which];
    if (which < 6)
        return which == 4 ? 1 : t - s + 1;
    return fmin(1, (t - s + 1.0) / flat[which - 6]);
}

struct scores {
    double best[3];
    int start[3], which[3];
};

/* Weighted least squares written out, about the weighted means. */
static double gain(const struct story *s, const int window[2], int which, int start)
{
    double w = 0, x = 0, r = 0, xx = 0, xr = 0;
    for (int t = window[0]; t <= window[1]; t++) {
        w += s->point[t].w;
        x += s->point[t].w * template(which, start, t);
        r += s->point[t].w * s->point[t].r;
    }
    for (int t = window[0]; t <= window[1]; t++) {
        double dx = template(which, start, t) - x / w, dr = s->point[t].r - r / w;
        xx += s->point[t].w * dx * dx;
        xr += s->point[t].w * dx * dr;
    }
    return xr * xr / xx;
}

static struct scores by_definition(const struct story *s, int day)
{
    static const int dip[] = {1, 2, 3, 5};
    struct scores scores = {{-1e9, -1e9, -1e9}, {0}, {0}};
    int window[2] = {day > 181 ? day - 181 : 0, day};
    for (int which = 0; which < 9; which++)
        for (int start = day - 69; start <= day; start++) {
            int length = day + 1 - start, class = which < 4 ? 0 : which == 4 ? 1 : 2;
            if (which < 4 ? length <= dip[which] : length < (which == 4 ? 1 : which == 5 ? 5 : 7))
                continue;
            double penalty = class == 1 ? 0 : which > 5 ? log(4) + 1 : log(4);
            double score = gain(s, window, which, start) - penalty;
            if (score > scores.best[class]) {
                scores.best[class] = score;
                scores.start[class] = start;
                scores.which[class] = which;
            }
        }
    return scores;
}

Test(watch_classify, templates_by_their_definition)
{
    struct cx_watch_rule rule = plain_rule(3.8);
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct story *story = story_new(300, 30, seed);
        int from = 240 - (int)seed * 2;
        story_add(story, 0, 300, 500);
        for (int t = from; t < 300; t++)
            story->bucket[t].mean += seed % 3 == 0   ? (t < from + 3 ? .6 : 0)
                                     : seed % 3 == 1 ? .4
                                                     : .01 * (t - from);
        story_prepare(story, 7);
        int day = 250 + (int)seed;
        struct scores wanted = by_definition(story, day);
        struct cx_watch_class found =
            cx_watch_classify(&story->series, &rule, NULL, story->first, story->first + day, 0);
        double top = fmax(wanted.best[0], fmax(wanted.best[1], wanted.best[2])), p[3], sum = 0;
        for (int c = 0; c < 3; c++)
            sum += p[c] = exp((wanted.best[c] - top) / 2);
        cr_assert_float_eq(found.dip, p[0] / sum, 1e-7, "%d", (int)seed);
        cr_assert_float_eq(found.shift, p[1] / sum, 1e-7);
        cr_assert_float_eq(found.trend, p[2] / sum, 1e-7);
        int best = found.likeliest - CX_WATCH_DIP;
        cr_assert_eq(wanted.best[best], top);
        cr_assert_eq(found.start, story->first + wanted.start[best]);
        free(story);
    }
}

/* A ramp of 4 buckets is none yet: steep ones, by the day. */
Test(watch_classify, young_ramps)
{
    struct cx_watch_rule rule = plain_rule(3.8);
    struct story *story = story_new(300, 30, 40);
    for (int t = 240; t < 300; t++)
        story->bucket[t].mean += .7 * (t - 239);
    story_prepare(story, 7);
    for (int day = 241; day < 262; day++) {
        struct scores wanted = by_definition(story, day);
        struct cx_watch_class found =
            cx_watch_classify(&story->series, &rule, NULL, story->first, story->first + day, 1);
        double gap = wanted.best[2] - wanted.best[1];
        cr_assert_float_eq(log(found.trend / found.shift), gap / 2, 1e-6 * (1 + fabs(gap)), "%d",
                           day);
    }
    free(story);
}

/* ---- by name --------------------------------------------------------------------------------- */

static struct cx_watch_class classify(struct story *story, int day, int sign)
{
    struct cx_watch_rule rule = plain_rule(3.8);
    story_prepare(story, 7);
    return cx_watch_classify(&story->series, &rule, NULL, story->first, story->first + day, sign);
}

Test(watch_classify, a_dip)
{
    struct story *story = story_new(300, 30, 31);
    story_add(story, 200, 203, -1);
    struct cx_watch_class class = classify(story, 210, -1);
    cr_assert_eq(class.verdict, CX_WATCH_DIP);
    cr_assert(class.posterior > .9 && class.posterior == class.dip);
    cr_assert_eq(class.start, story->first + 200);
    cr_assert_eq(class.until, story->first + 203);
    cr_assert_eq(class.n, 90);
    cr_assert(class.low < -1 && class.high > -1 && class.high < 0);
    class = classify(story, 202, -1); /* not over yet: nothing says it will be */
    cr_assert_neq(class.verdict, CX_WATCH_DIP);
    free(story);
}

Test(watch_classify, a_shift_and_its_size)
{
    struct story *story = story_new(300, 30, 32);
    story_add(story, 200, 300, .5);
    struct cx_watch_class class = classify(story, 260, 1);
    cr_assert_eq(class.verdict, CX_WATCH_SHIFT);
    cr_assert_eq(class.posterior, class.shift);
    cr_assert_eq(class.until, story->first + 261);
    cr_assert(class.low < .5 && class.high > .5 && class.high - class.low < .2);
    struct cx_watch_rule slow = cx_watch_rule(3.8, (struct cx_watch_memory){.3, .7});
    struct cx_watch_class wide =
        cx_watch_classify(&story->series, &slow, NULL, story->first, story->first + 260, 1);
    int length = (int)(class.until - class.start);
    cr_assert_float_eq((wide.high - wide.low) / (class.high - class.low),
                       sqrt(cx_watch_memory_factor((struct cx_watch_memory){.3, .7}, length)),
                       1e-9);
    free(story);
}

Test(watch_classify, a_trend)
{
    struct story *story = story_new(300, 30, 33);
    for (int t = 200; t < 300; t++)
        story->bucket[t].mean += .02 * (t - 199);
    struct cx_watch_class class = classify(story, 250, 1);
    cr_assert_eq(class.verdict, CX_WATCH_TREND);
    cr_assert_float_eq(class.size, 1.02, .2);
    cr_assert(class.low < 1.02 && class.high > 1.02);
    for (int t = 214; t < 300; t++)
        story->bucket[t].mean += .28 - .02 * (t - 199);
    class = classify(story, 255, 1); /* flattened after 14 */
    cr_assert_float_eq(class.size, .28, .1);
    free(story);
}

Test(watch_classify, undecided_is_persistent)
{
    int undecided = 0, decided = 0;
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct story *story = story_new(300, 30, seed);
        story_add(story, 200, 300, .5);
        struct cx_watch_class class = classify(story, 209, 1);
        if (class.verdict == CX_WATCH_PERSISTENT) {
            cr_assert(class.shift <= .8 && class.trend <= .8);
            cr_assert_float_eq(class.posterior, class.shift + class.trend, 1e-15);
            undecided++;
        } else if (class.verdict != CX_WATCH_DIP) {
            cr_assert(class.posterior > .8);
            decided++;
        }
        cr_assert_float_eq(class.dip + class.shift + class.trend, 1, 1e-12);
        free(story);
    }
    cr_assert(undecided > 3 && decided > 3);
}

Test(watch_classify, only_changes_the_way_of_the_alarm)
{
    struct story *story = story_new(300, 30, 34);
    story_add(story, 200, 203, -1);
    cr_assert_eq(classify(story, 215, 0).verdict, CX_WATCH_DIP);
    struct cx_watch_class class = classify(story, 215, 1);
    cr_assert(class.size > 0 && class.start != story->first + 200);
    free(story);
}

Test(watch_classify, too_little)
{
    struct story *story = story_new(300, 30, 35);
    struct cx_watch_rule rule = plain_rule(3.8);
    story_prepare(story, 7);
    int64_t first = story->first;
    static const int64_t at[][2] = {{0, 6}, {293, 299}, {299, 100}, {0, 300}};
    for (int i = 0; i < 4; i++) {
        struct cx_watch_class class =
            cx_watch_classify(&story->series, &rule, NULL, first + at[i][0], first + at[i][1], 0);
        cr_assert_eq(class.verdict, CX_WATCH_UNKNOWN, "%d", i);
        cr_assert_eq(class.posterior, 0);
    }
    for (int t = 0; t < 300; t++)
        story->point[t].w = 0;
    cr_assert_eq(cx_watch_classify(&story->series, &rule, NULL, first, first + 299, 0).verdict,
                 CX_WATCH_UNKNOWN);
    for (int t = 0; t < 300; t++) /* without noise or change */
        story->point[t] = (struct cx_watch_point){.r = 3, .w = 10, .n = 1};
    struct cx_watch_class class =
        cx_watch_classify(&story->series, &rule, NULL, first, first + 299, 0);
    cr_assert(isfinite(class.posterior) && class.size == 0 && isfinite(class.low));
    free(story);
}
