/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Series made for a test: buckets, their points, the machine over them. */
#ifndef TESTS_WATCH_SUPPORT_H
#define TESTS_WATCH_SUPPORT_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "analytics/random.h"
#include "analytics/watch_episode.h"

enum { DAYS_MAX = 800 };

struct story {
    int days;
    int64_t first;
    struct cx_watch_bucket bucket[DAYS_MAX];
    struct cx_watch_point point[DAYS_MAX];
    struct cx_watch_profile profile;
    struct cx_watch_series series;
};

/* Noise of sd 1/√n about `level`, weekday effects of ±.1. */
static inline struct story *story_new(int days, double n, uint64_t seed)
{
    struct story *story = calloc(1, sizeof *story);
    struct cx_random random = cx_random_seed(seed, 3);
    story->days = days;
    story->first = 20000;
    for (int t = 0; t < days; t++) {
        double noise = cx_random_normal(&random) / sqrt(n);
        story->bucket[t] = (struct cx_watch_bucket){
            .n = n, .mean = noise + .1 * ((story->first + t) % 7 == 2), .s2 = 1};
    }
    return story;
}

static inline void story_add(struct story *story, int from, int until, double by)
{
    for (int t = from; t < until; t++)
        story->bucket[t].mean += by;
}

static inline int story_prepare(struct story *story, int season)
{
    int baseline = cx_watch_prepare(&story->profile, story->point, story->bucket, story->days,
                                    story->first, season);
    story->series =
        (struct cx_watch_series){story->first, story->days, story->profile.sd, story->point};
    return baseline;
}

static inline struct cx_watch_rule plain_rule(double fire)
{
    return cx_watch_rule(fire, (struct cx_watch_memory){0, 0});
}

#endif
