/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine of watch_episode.h.
 *
 * Order within a bucket: statistic; open or move the start; classify, while the episode's buckets
 * still count; then the three ways to close, which hide buckets or raise the floor. An episode is
 * not closed in the bucket that opened it.
 * Hazard: a series with gaps can keep an episode open for long, so sums before and after its start
 * are taken over the buckets themselves, not over the window of the statistic. */
#include "analytics/watch_episode.h"

#include <math.h>
#include <string.h>

#include "analytics/watch_parts.h"

#define RECENT 7
#define RECENT_USED 4 /* of them: a recovery is not read off a gap */
#define RECOVERY_SE 1.0
#define CALM_BUCKETS 3
#define AGE_MAX 21
#define CONTINUES_WITHIN 28
#define PROVISIONAL 3

void cx_watch_begin(struct cx_watch_episode *episode, int64_t floor, int64_t bucket)
{
    memset(episode, 0, sizeof *episode); /* padding too: equal states are equal bytes */
    episode->floor = floor;
    episode->last = bucket - 1;
}

/* ---- means ----------------------------------------------------------------------------------- */

struct stretch {
    double weight, mean;
    int used;
};

static struct stretch mean_of(const struct cx_watch_series *series,
                              const struct cx_watch_masks *masks, int64_t from, int64_t until)
{
    struct stretch stretch = {0};
    int64_t end = series->first + series->count;
    from = from > series->first ? from : series->first;
    until = until < end ? until : end;
    for (int64_t bucket = from; bucket < until; bucket++) {
        double w = cx_watch_weight(series, masks, bucket);
        if (!(w > 0))
            continue;
        stretch.weight += w;
        stretch.mean +=
            (series->point[bucket - series->first].r - stretch.mean) * (w / stretch.weight);
        stretch.used++;
    }
    return stretch;
}

struct way_back {
    bool half, whole;
};

static struct way_back way_back(const struct cx_watch_episode *e,
                                const struct cx_watch_series *series,
                                const struct cx_watch_rule *rule, int64_t bucket)
{
    int64_t recent_from = bucket - RECENT + 1;
    int64_t floor = e->start - CX_WATCH_LOOKBACK;
    floor = floor > e->floor ? floor : e->floor;
    if (recent_from <= e->start)
        return (struct way_back){false, false};
    struct stretch recent = mean_of(series, &e->masks, recent_from, bucket + 1);
    struct stretch before = mean_of(series, &e->masks, floor, e->start);
    struct stretch away = mean_of(series, &e->masks, e->start, recent_from);
    if (recent.used < RECENT_USED || before.used < CX_WATCH_BEFORE_MIN || away.used == 0)
        return (struct way_back){false, false};
    double se =
        sqrt(rule->factor[recent.used] / recent.weight + rule->factor[before.used] / before.weight);
    double gap = fabs(recent.mean - before.mean);
    bool half = gap < fabs(away.mean - before.mean) / 2;
    return (struct way_back){half, half && gap < RECOVERY_SE * se};
}

/* ---- steps ----------------------------------------------------------------------------------- */

static enum cx_watch_change open_or_move(struct cx_watch_episode *e,
                                         const struct cx_watch_split *split,
                                         const struct cx_watch_series *series,
                                         const struct cx_watch_rule *rule)
{
    int32_t sign = split->shift < 0 ? -1 : 1;
    bool fires = split->z > rule->fire;
    if (e->open) {
        e->age++;
        if (fires && sign == e->sign)
            e->start = split->start;
        return CX_WATCH_NOTHING;
    }
    if (!fires || !(fabs(split->shift) >= rule->shift_min * series->sd))
        return CX_WATCH_NOTHING;
    bool continues =
        e->has_closed && sign == e->closed_sign && e->last - e->closed <= CONTINUES_WITHIN;
    e->open = 1;
    e->sign = sign;
    e->start = split->start;
    e->opened = e->last;
    e->incident = continues ? e->incident : e->last;
    e->age = e->calm = 0;
    return continues ? CX_WATCH_CONTINUED : CX_WATCH_OPENED;
}

static void mask(struct cx_watch_masks *masks, int64_t from, int64_t until)
{
    masks->mask[masks->next].from = from;
    masks->mask[masks->next].until = until;
    masks->next = (masks->next + 1) % CX_WATCH_MASKS;
    masks->count += masks->count < CX_WATCH_MASKS;
}

static enum cx_watch_change close_if_over(struct cx_watch_episode *e, bool recovered)
{
    enum cx_watch_change change = recovered                 ? CX_WATCH_RECOVERED
                                  : e->calm >= CALM_BUCKETS ? CX_WATCH_CALM
                                  : e->age >= AGE_MAX       ? CX_WATCH_NEW_LEVEL
                                                            : CX_WATCH_NOTHING;
    if (change == CX_WATCH_NOTHING)
        return change;
    if (change == CX_WATCH_RECOVERED)
        mask(&e->masks, e->start, e->last - RECENT + 1);
    if (change == CX_WATCH_NEW_LEVEL)
        e->floor = e->start;
    e->open = 0;
    e->closed = e->last;
    e->closed_sign = e->sign;
    e->has_closed = 1;
    return change;
}

static enum cx_watch_state open_state(const struct cx_watch_episode *e, bool half)
{
    if (!e->open)
        return CX_WATCH_QUIET;
    if (e->age < PROVISIONAL)
        return CX_WATCH_PENDING;
    return e->calm > 0 || half ? CX_WATCH_RECOVERING : CX_WATCH_FIRING;
}

static void judge(struct cx_watch_episode *e, const struct cx_watch_series *series,
                  const struct cx_watch_rule *rule, struct cx_watch_report *report)
{
    report->split = cx_watch_glr(series, rule, &e->masks, e->floor, e->last);
    report->change = open_or_move(e, &report->split, series, rule);
    report->notice = report->change == CX_WATCH_OPENED;
    if (!e->open)
        return;
    report->incident = e->incident;
    report->class = cx_watch_classify(series, rule, &e->masks, e->floor, e->last, e->sign);
    if (report->change != CX_WATCH_NOTHING) {
        report->episode_state = CX_WATCH_PENDING;
        return;
    }
    e->calm = report->split.z < rule->clear ? e->calm + 1 : 0;
    struct way_back back = way_back(e, series, rule, e->last);
    report->change = close_if_over(e, back.whole);
    report->episode_state =
        report->change != CX_WATCH_NOTHING ? CX_WATCH_RESOLVED : open_state(e, back.half);
}

/* A state that another program wrote, or none at all, must not lead out of an array. */
static bool sound(const struct cx_watch_episode *e)
{
    return e->masks.count >= 0 && e->masks.count <= CX_WATCH_MASKS && e->masks.next >= 0 &&
           e->masks.next < CX_WATCH_MASKS && e->age >= 0 && e->age <= AGE_MAX && e->calm >= 0 &&
           e->calm <= CALM_BUCKETS && (e->open == 0 || e->open == 1) && e->floor > INT64_MIN / 2 &&
           e->last < INT64_MAX / 2 && (!e->open || (e->start >= e->floor && e->start <= e->last));
}

bool cx_watch_step(struct cx_watch_episode *episode, const struct cx_watch_series *series,
                   const struct cx_watch_rule *rule, struct cx_watch_report *report)
{
    if (!sound(episode) || episode->last < series->first - 1 ||
        episode->last >= series->first + series->count - 1)
        return false;
    episode->last++;
    const struct cx_watch_point *point = &series->point[episode->last - series->first];
    *report = (struct cx_watch_report){.split = {.start = episode->last}};
    report->incident = episode->open ? episode->incident : 0;
    if (point->data != CX_WATCH_USABLE || point->n < rule->n_min) {
        report->episode_state = open_state(episode, false);
        report->state = point->data != CX_WATCH_USABLE ? CX_WATCH_NO_DATA : CX_WATCH_INSUFFICIENT_N;
        return true;
    }
    judge(episode, series, rule, report);
    report->state = report->episode_state;
    return true;
}

const char *cx_watch_state_name(enum cx_watch_state state)
{
    static const char *const names[] = {"quiet",    "pending", "firing",        "recovering",
                                        "resolved", "no_data", "insufficient_n"};
    return names[state];
}

const char *cx_watch_change_name(enum cx_watch_change change)
{
    static const char *const names[] = {"nothing",   "opened", "continued",
                                        "recovered", "calm",   "new_level"};
    return names[change];
}
