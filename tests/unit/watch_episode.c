/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The episode machine: every way in and out of an episode, and a state that survives storage. */
#include "analytics/watch_episode.h"

#include "tests/unit/watch_support.h"

enum { BASELINE = 56 };

struct run {
    struct story *story;
    struct cx_watch_rule rule;
    struct cx_watch_episode episode;
    struct cx_watch_report report[DAYS_MAX]; /* by index of the day */
    int notices;
};

/* The whole series, from the first judged bucket on. */
static void go(struct run *run)
{
    int baseline = story_prepare(run->story, 7);
    cr_assert_eq(baseline, BASELINE);
    run->notices = 0;
    memset(run->report, 0, sizeof run->report);
    cx_watch_begin(&run->episode, run->story->first, run->story->first + BASELINE);
    for (int t = BASELINE; t < run->story->days; t++) {
        cr_assert(cx_watch_step(&run->episode, &run->story->series, &run->rule, &run->report[t]));
        run->notices += run->report[t].notice;
    }
}

static struct run *run_new(int days, uint64_t seed)
{
    struct run *run = calloc(1, sizeof *run);
    run->story = story_new(days, 30, seed);
    run->rule = plain_rule(4.4);
    return run;
}

static void drop(struct run *run)
{
    free(run->story);
    free(run);
}

/* First day from `from` on with that change; −1 = none. */
static int day_of(const struct run *run, enum cx_watch_change change, int from)
{
    for (int t = from; t < run->story->days; t++)
        if (run->report[t].change == change)
            return t;
    return -1;
}

Test(watch_episode, nothing_happens)
{
    struct run *run = run_new(300, 1);
    go(run);
    cr_assert_eq(run->notices, 0);
    for (int t = BASELINE; t < 300; t++) {
        cr_assert_eq(run->report[t].state, CX_WATCH_QUIET);
        cr_assert_eq(run->report[t].change, CX_WATCH_NOTHING);
        cr_assert(run->report[t].split.z < 4.4);
    }
    drop(run);
}

Test(watch_episode, a_step_becomes_the_new_level)
{
    struct run *run = run_new(330, 2);
    story_add(run->story, 120, 330, -.8);
    go(run);
    int opened = day_of(run, CX_WATCH_OPENED, 0);
    cr_assert(opened >= 120 && opened <= 122, "%d", opened);
    cr_assert_eq(run->report[opened].state, CX_WATCH_PENDING);
    cr_assert(run->report[opened].notice && run->report[opened].split.shift < 0);
    cr_assert_eq(run->report[opened + 2].state, CX_WATCH_PENDING);
    cr_assert_eq(run->report[opened + 3].state, CX_WATCH_FIRING);
    int level = day_of(run, CX_WATCH_NEW_LEVEL, 0);
    cr_assert_eq(level, opened + 21);
    cr_assert_eq(run->report[level].state, CX_WATCH_RESOLVED);
    cr_assert_eq(run->report[level].class.verdict, CX_WATCH_SHIFT);
    cr_assert(run->report[level].class.low < -.8 && run->report[level].class.high > -.8);
    cr_assert_eq(run->report[level].class.start, run->story->first + 120);
    cr_assert_eq(run->report[level].class.until, run->story->first + level + 1);
    cr_assert_eq(run->report[level].class.n, 30 * (level + 1 - 120));
    for (int t = opened; t <= level; t++)
        cr_assert_eq(run->report[t].incident, run->story->first + opened);
    cr_assert_eq(run->report[level + 1].state, CX_WATCH_QUIET);
    cr_assert_eq(run->episode.floor, run->story->first + 120);
    cr_assert_eq(run->notices, 1);
    drop(run);
}

Test(watch_episode, the_change_after_the_new_level_is_noticed)
{
    struct run *run = run_new(330, 3);
    story_add(run->story, 120, 200, .7);
    go(run);
    cr_assert_eq(run->notices, 2);
    int first = day_of(run, CX_WATCH_OPENED, 0), second = day_of(run, CX_WATCH_OPENED, first + 1);
    cr_assert(first >= 120 && first < 126 && second >= 200 && second < 206);
    cr_assert(run->report[first].split.shift > 0 && run->report[second].split.shift < 0);
    cr_assert_neq(run->report[first].incident, run->report[second].incident);
    drop(run);
}

Test(watch_episode, a_dip_recovers_and_is_forgotten)
{
    struct run *run = run_new(330, 4);
    story_add(run->story, 150, 153, -1.5);
    go(run);
    int opened = day_of(run, CX_WATCH_OPENED, 0);
    int recovered = day_of(run, CX_WATCH_RECOVERED, 0);
    cr_assert_eq(opened, 150);
    cr_assert(recovered >= 157 && recovered <= 162, "%d", recovered);
    cr_assert_eq(run->report[recovered].state, CX_WATCH_RESOLVED);
    cr_assert_eq(run->report[recovered].class.verdict, CX_WATCH_DIP);
    cr_assert(run->report[recovered].class.posterior > .9);
    cr_assert_eq(run->report[recovered].class.start, run->story->first + 150);
    cr_assert_eq(run->report[recovered].class.until, run->story->first + 153);
    cr_assert_eq(run->report[recovered].class.n, 90);
    cr_assert_eq(run->episode.masks.count, 1);
    cr_assert_eq(run->episode.masks.mask[0].until, run->story->first + recovered - 6);
    cr_assert_eq(run->notices, 1);
    drop(run);
}

Test(watch_episode, half_way_back_is_recovering)
{
    struct run *run = run_new(330, 5);
    story_add(run->story, 150, 160, -1.5);
    story_add(run->story, 160, 330, -.5);
    go(run);
    bool recovering = false;
    for (int t = 160; t < 175; t++)
        recovering |= run->report[t].state == CX_WATCH_RECOVERING;
    cr_assert(recovering);
    cr_assert_eq(day_of(run, CX_WATCH_RECOVERED, 0), -1);
    int level = day_of(run, CX_WATCH_NEW_LEVEL, 0); /* the way back is the next change */
    int back = day_of(run, CX_WATCH_OPENED, level);
    cr_assert(level > 160 && back == level + 1 && run->report[back].split.shift > 0);
    drop(run);
}

/* By Z alone: three calm buckets, and running. */
Test(watch_episode, calm_closes)
{
    int closed = 0, broken = 0;
    for (uint64_t seed = 10; seed < 250; seed++) {
        struct run *run = run_new(260, seed);
        run->rule = plain_rule(3.3);
        story_add(run->story, 150, 260, .12);
        go(run);
        int calm = 0, open = 0;
        for (int t = BASELINE; t < 260; t++) {
            const struct cx_watch_report *report = &run->report[t];
            bool opens = report->change == CX_WATCH_OPENED || report->change == CX_WATCH_CONTINUED;
            bool is_calm = open && report->split.z < run->rule.clear;
            broken += calm > 0 && open && !is_calm;
            calm = is_calm ? calm + 1 : 0;
            open = opens || (open && report->state != CX_WATCH_RESOLVED);
            cr_assert(calm < 3 || !open);
            if (report->change == CX_WATCH_CALM) {
                cr_assert_eq(calm, 3);
                cr_assert_eq(run->report[t - 1].state, run->report[t - 1].episode_state);
                closed++;
            }
        }
        drop(run);
    }
    cr_assert(closed > 20 && broken > 20, "%d %d", closed, broken);
}

/* The same way again within 28 days of the close goes on with the incident, silently; later, or
 * the other way, it is another one. */
static void again(int after, double by, bool silent)
{
    struct run *run = run_new(420, 7);
    story_add(run->story, 120, 420, .8);
    go(run);
    int closed = day_of(run, CX_WATCH_NEW_LEVEL, 0);
    story_add(run->story, closed + after, 420, by);
    go(run);
    cr_assert_eq(day_of(run, CX_WATCH_NEW_LEVEL, 0), closed);
    int next = day_of(run, silent ? CX_WATCH_CONTINUED : CX_WATCH_OPENED, closed);
    cr_assert(next >= closed + after && next <= closed + after + 2, "%d", next);
    cr_assert_eq(run->report[next].notice, !silent);
    int64_t first = run->story->first + day_of(run, CX_WATCH_OPENED, 0);
    cr_assert_eq(run->report[next].incident, silent ? first : run->story->first + next);
    cr_assert_eq(run->notices, silent ? 1 : 2);
    drop(run);
}

Test(watch_episode, continuation)
{
    again(20, 1.5, true);
    again(40, 1.5, false);
    again(20, -1.5, false);
}

/* Certain, but too small to bother anybody with. */
Test(watch_episode, a_trifle)
{
    struct run *run = run_new(300, 8);
    for (int t = 0; t < 300; t++) {
        run->story->bucket[t].mean /= 20; /* what noise is left with 12,000 answers a day */
        run->story->bucket[t].n = 12000;
    }
    story_add(run->story, 150, 300, .06);
    go(run);
    cr_assert_eq(run->notices, 0);
    cr_assert(run->report[170].split.z > 6);
    run->rule.shift_min = .03;
    go(run);
    cr_assert_eq(run->notices, 1);
    drop(run);
}

/* ---- to the bucket, without noise ------------------------------------------------------------ */

enum { DRAWN = 400, CHANGE = 200 };

/* sd .2 a bucket, and at the usual level all through but where drawn otherwise. */
static struct story *drawn(void)
{
    struct story *story = story_new(DRAWN, 25, 1);
    for (int t = 0; t < DRAWN; t++)
        story->point[t] = (struct cx_watch_point){.w = 25, .n = 25};
    story->series = (struct cx_watch_series){story->first, DRAWN, 1, story->point};
    return story;
}

static void draw(struct story *story, int from, int until, double r)
{
    for (int t = from; t < until; t++)
        story->point[t].r = r;
}

/* First day with that change, −1 = none; the state after the last day before `until`. */
static int follow(const struct story *story, double fire, enum cx_watch_change change, int until,
                  struct cx_watch_episode *episode)
{
    struct cx_watch_rule rule = plain_rule(fire);
    struct cx_watch_report report;
    int found = -1;
    cx_watch_begin(episode, story->first, story->first + BASELINE);
    while (episode->last < story->first + until - 1 &&
           cx_watch_step(episode, &story->series, &rule, &report))
        if (found < 0 && report.change == change)
            found = (int)(episode->last - story->first);
    return found;
}

Test(watch_episode, within_one_se_is_back)
{
    struct story *story = drawn();
    struct cx_watch_episode episode;
    double se = sqrt(1 / (7 * 25.) + 1 / (140 * 25.));
    draw(story, CHANGE, CHANGE + 3, -1.5);
    draw(story, CHANGE + 3, DRAWN, -.95 * se);
    cr_assert_eq(follow(story, 4.4, CX_WATCH_RECOVERED, DRAWN, &episode), CHANGE + 9);
    draw(story, CHANGE + 3, DRAWN, -1.05 * se);
    cr_assert_eq(follow(story, 4.4, CX_WATCH_RECOVERED, DRAWN, &episode), -1);
    draw(story, CHANGE + 3, CHANGE + 10,
         .95 * se); /* past the usual level: as far on either side */
    cr_assert_eq(follow(story, 4.4, CX_WATCH_RECOVERED, DRAWN, &episode), CHANGE + 9);
    free(story);
}

/* A small change that went on for long: within 1 se of where it was is no way back yet. */
Test(watch_episode, less_than_half_way_is_not_back)
{
    for (int back = 0; back < 2; back++) {
        struct story *story = drawn();
        struct cx_watch_episode episode;
        draw(story, CHANGE, DRAWN, .115);
        int opened = follow(story, 3.3, CX_WATCH_OPENED, DRAWN, &episode);
        cr_assert_eq(opened, CHANGE + 43);
        draw(story, opened + 1, opened + 8, back ? .05 : .07);
        cr_assert_eq(follow(story, 3.3, CX_WATCH_RECOVERED, opened + 8, &episode),
                     back ? opened + 7 : -1);
        free(story);
    }
}

Test(watch_episode, the_other_way_moves_no_start)
{
    struct story *story = drawn();
    struct cx_watch_episode episode;
    draw(story, CHANGE, CHANGE + 5, 1);
    draw(story, CHANGE + 5, DRAWN, -3);
    cr_assert_eq(follow(story, 4.4, CX_WATCH_OPENED, CHANGE + 6, &episode), CHANGE);
    cr_assert_eq(episode.open, 1);
    cr_assert_eq(episode.start, story->first + CHANGE);
    free(story);
}

Test(watch_episode, continues_within_28_buckets)
{
    for (int after = 28; after <= 29; after++) {
        struct story *story = drawn();
        struct cx_watch_episode episode;
        draw(story, CHANGE, DRAWN, 1);
        int closed = follow(story, 4.4, CX_WATCH_NEW_LEVEL, DRAWN, &episode);
        cr_assert_eq(closed, CHANGE + 21);
        draw(story, closed + after, DRAWN, 4);
        int continued = follow(story, 4.4, CX_WATCH_CONTINUED, DRAWN, &episode);
        cr_assert_eq(continued, after == 28 ? closed + 28 : -1);
        free(story);
    }
}

/* ---- buckets that say nothing ---------------------------------------------------------------- */

Test(watch_episode, silence_is_no_recovery)
{
    for (int kind = 0; kind < 4; kind++) {
        struct run *run = run_new(330, 9);
        story_add(run->story, 120, 330, -1);
        run->rule.n_min = 5;
        for (int t = 125; t < 200; t++) {
            struct cx_watch_bucket *bucket = &run->story->bucket[t];
            bucket->n = kind == 0 ? 0 : kind == 1 ? 4 : 30;
            bucket->flags = kind == 2 ? CX_WATCH_SUSPECT : kind == 3 ? CX_WATCH_CALENDAR : 0;
        }
        go(run);
        for (int t = 125; t < 200; t++) {
            const struct cx_watch_report *report = &run->report[t];
            cr_assert_eq(report->state, kind == 1 ? CX_WATCH_INSUFFICIENT_N : CX_WATCH_NO_DATA);
            cr_assert(report->episode_state == CX_WATCH_PENDING ||
                      report->episode_state == CX_WATCH_FIRING);
            cr_assert_eq(report->change, CX_WATCH_NOTHING);
            cr_assert(report->incident > 0);
        }
        cr_assert(day_of(run, CX_WATCH_NEW_LEVEL, 0) >= 200);
        cr_assert_eq(run->notices, 1);
        drop(run);
    }
}

Test(watch_episode, a_suspect_bucket_raises_no_alarm)
{
    struct run *run = run_new(300, 10);
    story_add(run->story, 150, 153, -4);
    go(run);
    cr_assert_eq(run->notices, 1);
    for (int t = 150; t < 153; t++)
        run->story->bucket[t].flags = CX_WATCH_SUSPECT;
    go(run);
    cr_assert_eq(run->notices, 0);
    drop(run);
}

/* Two answers in a week of gaps are no week of good answers. */
Test(watch_episode, a_gap_is_no_way_back)
{
    struct run *run = run_new(300, 11);
    story_add(run->story, 150, 156, -1.5);
    for (int t = 156; t < 175; t++)
        run->story->bucket[t].n = t % 6 == 0 ? 30 : 0;
    go(run);
    int recovered = day_of(run, CX_WATCH_RECOVERED, 150);
    cr_assert(recovered >= 177, "%d", recovered);
    drop(run);
}

/* ---- the state ------------------------------------------------------------------------------- */

/* A year with a step, dips, gaps, flags. */
static void eventful(struct story *story, uint64_t seed)
{
    struct cx_random random = cx_random_seed(seed, 77);
    story_add(story, 110, story->days, .6);
    story_add(story, 160, 163, -1.5);
    story_add(story, 220, 222, -1.2);
    story_add(story, 260, story->days, -.5);
    for (int i = 0; i < 40; i++) {
        struct cx_watch_bucket *bucket = &story->bucket[cx_random_below(&random, 420)];
        bucket->n = cx_random_below(&random, 3);
        bucket->flags = i % 8 == 0 ? CX_WATCH_SUSPECT : 0;
    }
}

/* Restored from its bytes before every bucket, with no more of the series than is there on that
 * day: to the bit what one go gives. */
Test(watch_episode, stored_and_restored)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct run *run = run_new(420, seed);
        eventful(run->story, seed);
        go(run);
        unsigned char stored[sizeof(struct cx_watch_episode)];
        struct cx_watch_episode episode;
        struct story *story = run->story;
        cx_watch_begin(&episode, story->first, story->first + BASELINE);
        memcpy(stored, &episode, sizeof stored);
        for (int t = BASELINE; t < 420; t++) {
            struct cx_watch_report report;
            story->days = t + 1;
            story_prepare(story, 7);
            memset(&episode, 0xee, sizeof episode);
            memcpy(&episode, stored, sizeof stored);
            cr_assert(cx_watch_step(&episode, &story->series, &run->rule, &report));
            cr_assert_eq(report.state, run->report[t].state);
            cr_assert_eq(report.change, run->report[t].change);
            cr_assert_eq(report.split.z, run->report[t].split.z);
            cr_assert_eq(report.class.size, run->report[t].class.size);
            cr_assert_eq(report.class.posterior, run->report[t].class.posterior);
            memcpy(stored, &episode, sizeof stored);
        }
        cr_assert_eq(memcmp(stored, &run->episode, sizeof stored), 0);
        cr_assert(run->notices >= 3 && run->episode.masks.count >= 1);
        drop(run);
    }
}

/* A late answer changes what was, as if it had been there in time. */
Test(watch_episode, late_answers)
{
    struct run *run = run_new(330, 21);
    story_add(run->story, 150, 330, -.3);
    go(run);
    int before = day_of(run, CX_WATCH_OPENED, 0);
    for (int t = 150; t < 160; t++)
        run->story->bucket[t].n = 300;
    go(run);
    int after = day_of(run, CX_WATCH_OPENED, 0);
    cr_assert(after >= 150 && after <= before);
    struct cx_watch_episode first = run->episode;
    go(run);
    cr_assert_eq(memcmp(&first, &run->episode, sizeof first), 0);
    drop(run);
}

Test(watch_episode, what_is_no_state_is_refused)
{
    struct run *run = run_new(200, 22);
    struct cx_watch_report report;
    go(run);
    struct cx_watch_episode good = run->episode, bad;
    cr_assert_not(cx_watch_step(&run->episode, &run->story->series, &run->rule, &report));
    cr_assert_eq(memcmp(&good, &run->episode, sizeof good), 0); /* the series ends there */
    good.last -= 10;
    bad = good;
    cr_assert(cx_watch_step(&bad, &run->story->series, &run->rule, &report));
    cx_watch_begin(&bad, run->story->first, run->story->first - 1);
    cr_assert_not(cx_watch_step(&bad, &run->story->series, &run->rule, &report));
    for (int i = 0; i < 12; i++) {
        bad = good;
        bad.masks.count = i == 0 ? -1 : i == 1 ? CX_WATCH_MASKS + 1 : 0;
        bad.masks.next = i == 2 ? -1 : i == 3 ? CX_WATCH_MASKS : 0;
        bad.age = i == 4 ? -1 : i == 5 ? 22 : 0;
        bad.calm = i == 6 ? -1 : i == 7 ? 4 : 0;
        bad.open = i == 8 ? 2 : i >= 10;
        bad.floor = i == 9 ? INT64_MIN : bad.floor;
        bad.start = i == 10 ? bad.floor - 1 : i == 11 ? bad.last + 1 : bad.floor;
        cr_assert_not(cx_watch_step(&bad, &run->story->series, &run->rule, &report), "%d", i);
    }
    memset(&bad, 0xff, sizeof bad);
    cr_assert_not(cx_watch_step(&bad, &run->story->series, &run->rule, &report));
    drop(run);
}

Test(watch_episode, more_recoveries_than_masks)
{
    struct story *story = story_new(DAYS_MAX, 30, 23);
    struct cx_watch_rule rule = plain_rule(4.4);
    struct cx_watch_report report;
    struct cx_watch_episode episode;
    int recovered = 0;
    story_prepare(story, 7);
    for (int t = 0; t < DAYS_MAX; t++) {
        story->point[t].w = 30;
        story->point[t].r += t > 80 && t % 18 < 2 ? (t / 18 % 2 ? 3 : -3) : 0;
    }
    cx_watch_begin(&episode, story->first, story->first + BASELINE);
    while (cx_watch_step(&episode, &story->series, &rule, &report)) {
        recovered += report.change == CX_WATCH_RECOVERED;
        cr_assert_eq(episode.masks.count, recovered < CX_WATCH_MASKS ? recovered : CX_WATCH_MASKS);
        cr_assert_eq(episode.masks.next, recovered % CX_WATCH_MASKS);
    }
    cr_assert(recovered > CX_WATCH_MASKS, "%d", recovered);
    free(story);
}

Test(watch_episode, names)
{
    cr_assert_str_eq(cx_watch_state_name(CX_WATCH_QUIET), "quiet");
    cr_assert_str_eq(cx_watch_state_name(CX_WATCH_INSUFFICIENT_N), "insufficient_n");
    cr_assert_str_eq(cx_watch_change_name(CX_WATCH_NOTHING), "nothing");
    cr_assert_str_eq(cx_watch_change_name(CX_WATCH_NEW_LEVEL), "new_level");
    cr_assert_str_eq(cx_watch_verdict_name(CX_WATCH_UNKNOWN), "unknown");
    cr_assert_str_eq(cx_watch_verdict_name(CX_WATCH_PERSISTENT), "persistent");
}
