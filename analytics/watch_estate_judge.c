/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Through time: rules, machines, episodes.
 *
 * Between two fits nothing joins the series but the number that can be judged, so a stretch of up
 * to seven buckets is judged series by series: the points of a series are then read once a stretch.
 * A fit at bucket b reads points before b and the machines as they are before b: of each series the
 * last 182 buckets, without those before its floor, those of an open episode and the masked.
 * At the boundaries of the last weeks everything that runs on is kept; after a change judging goes
 * on from the newest boundary before it.
 * Hazard: an episode in the list is written to as long as it may be open, or opens again silently,
 * so a checkpoint keeps the newest of each series whole. Older ones are final. */
#include <math.h>
#include <string.h>

#include "analytics/watch_estate_parts.h"
#include "analytics/watch_parts.h"

#define REMEMBERED_MIN 28 /* buckets; of fewer the mean takes the autocorrelation with it */
#define POOL_MIN 5        /* series */

static int index_of(const struct cx_estate *estate, int64_t bucket)
{
    return (int)(bucket - estate->config.first);
}

static bool can_be_judged(const struct cx_estate_series *series, int64_t bucket)
{
    return series->baseline > 0 && series->judged_from <= bucket;
}

/* ---- thresholds ------------------------------------------------------------------------------ */

static void count_ready(struct cx_estate *estate, int64_t until)
{
    int count = index_of(estate, until) + 1;
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        for (int t = 0; t < count; t++)
            estate->ready[l][t] = 0;
    for (int s = 0; s < estate->count; s++)
        if (can_be_judged(&estate->series[s], until))
            estate
                ->ready[estate->series[s].level][index_of(estate, estate->series[s].judged_from)]++;
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        for (int t = 1; t < count; t++)
            estate->ready[l][t] += estate->ready[l][t - 1];
}

static int ready_at(const struct cx_estate *estate, int t)
{
    int sum = 0;
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        sum += estate->ready[l][t];
    return sum;
}

/* The series of each level that can be judged at t; all of them one level when flat. */
static void count_limits(const struct cx_estate *estate, int t,
                         struct cx_watch_limits limits[CX_ESTATE_LEVELS])
{
    memset(limits, 0, CX_ESTATE_LEVELS * sizeof *limits);
    for (int s = 0; s < estate->count; s++)
        if (can_be_judged(&estate->series[s], estate->config.first + t))
            cx_watch_limits_add(&limits[estate->flat ? 0 : estate->series[s].level],
                                estate->series[s].least);
}

static void set_threshold(struct cx_estate *estate, int t)
{
    struct cx_watch_limits limits[CX_ESTATE_LEVELS];
    double part[CX_ESTATE_LEVELS];
    count_limits(estate, t, limits);
    cx_watch_parts(estate->config.per_year, limits, part, CX_ESTATE_LEVELS);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        int from = estate->flat ? 0 : l;
        struct cx_estate_threshold *to = &estate->threshold[l][t];
        to->fire = cx_watch_limits_threshold(&limits[from], part[from]);
        to->chance = cx_watch_limits_per_day(&limits[from], to->fire);
        to->chance /= limits[from].series > 0 ? limits[from].series : 1;
    }
}

static void set_thresholds(struct cx_estate *estate, int64_t until)
{
    for (int t = 0; t <= index_of(estate, until); t++) {
        if (t == 0 || ready_at(estate, t) != ready_at(estate, t - 1))
            set_threshold(estate, t);
        else
            for (int l = 0; l < CX_ESTATE_LEVELS; l++)
                estate->threshold[l][t] = estate->threshold[l][t - 1];
    }
}

/* ---- autocorrelation ------------------------------------------------------------------------- */

/* The series' points without those under a mask, from index `from` on; NULL: none is. */
static const struct cx_watch_point *without_masks(struct cx_estate *estate,
                                                  const struct cx_watch_series *all,
                                                  const struct cx_watch_masks *masks, int from)
{
    bool any = false;
    for (int i = 0; i < masks->count; i++)
        any |= masks->mask[i].until > all->first + from;
    if (!any)
        return NULL;
    for (int t = from; t < all->count; t++) {
        estate->masked[t - from] = all->point[t];
        estate->masked[t - from].w = cx_watch_weight(all, masks, all->first + t);
    }
    return estate->masked;
}

static void remember(struct cx_estate *estate, struct cx_watch_lags *lags, int s, int64_t bucket)
{
    const struct cx_estate_series *series = &estate->series[s];
    const struct cx_watch_episode *machine = &estate->machine[s];
    bool begun = series->judged_from < bucket;
    int64_t end = begun && machine->open ? machine->start : bucket;
    int64_t from = bucket - CX_ESTATE_REFIT_OVER;
    if (begun && machine->floor > from)
        from = machine->floor;
    if (from < estate->config.first)
        from = estate->config.first;
    if (end - from < REMEMBERED_MIN)
        return;
    struct cx_watch_series all = {estate->config.first, index_of(estate, end), series->profile.sd,
                                  series->point};
    int begin = index_of(estate, from);
    const struct cx_watch_point *masked =
        begun ? without_masks(estate, &all, &machine->masks, begin) : NULL;
    if (masked != NULL) {
        all = (struct cx_watch_series){from, (int)(end - from), series->profile.sd, masked};
        begin = 0;
    }
    cx_watch_lags_add(lags, &all, begin, all.count);
}

static void sum_lags(struct cx_watch_lags *into, const struct cx_watch_lags *lags)
{
    into->square += lags->square;
    into->buckets += lags->buckets;
    into->used += lags->used;
    into->series += lags->series;
    for (int k = 0; k < CX_WATCH_LAGS; k++) {
        into->product[k] += lags->product[k];
        into->pairs[k] += lags->pairs[k];
        into->expected[k] += lags->expected[k];
    }
}

static struct cx_watch_memory shrunk(const struct cx_watch_lags *lags, double buckets)
{
    return cx_watch_memory_shrunk(cx_watch_memory_fit(lags), buckets);
}

/* KPIs as a whole have their days in common, so all of them know as much as one; but those days are
 * a larger part of what they vary by than of what units do, so the whole estate's memory is the
 * least that they have. */
static struct cx_watch_memory memory_of(const struct cx_estate *estate, int level,
                                        const struct cx_watch_lags *own,
                                        const struct cx_watch_lags *all)
{
    bool few = estate->flat || own->series < POOL_MIN;
    struct cx_watch_memory memory = {0, 0};
    if (few && all->series >= POOL_MIN)
        memory = shrunk(all, all->used);
    if (level != CX_ESTATE_PARENT || estate->flat || own->series == 0)
        return few ? memory : shrunk(own, own->used);
    struct cx_watch_memory whole = shrunk(own, own->used / own->series);
    bool more = cx_watch_memory_factor(whole, 7) > cx_watch_memory_factor(memory, 7);
    return more ? whole : memory;
}

static void refit(struct cx_estate *estate, int64_t bucket)
{
    struct cx_watch_lags lags[CX_ESTATE_LEVELS] = {{0}}, all = {0};
    for (int s = 0; s < estate->count; s++)
        if (can_be_judged(&estate->series[s], bucket))
            remember(estate, &lags[estate->series[s].level], s, bucket);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        sum_lags(&all, &lags[l]);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        estate->judged[l].memory = memory_of(estate, l, &lags[l], &all);
}

/* ---- episodes -------------------------------------------------------------------------------- */

static struct cx_estate_episode *append(const struct cx_estate *estate, struct cx_estate_list *list)
{
    if (list->count == list->room) {
        int room = list->room > 0 ? 2 * list->room : 4;
        void *grown = estate->config.resize(list->episode, (size_t)room * sizeof *list->episode);
        if (grown == NULL)
            return NULL;
        list->episode = grown;
        list->room = room;
    }
    return &list->episode[list->count++];
}

/* What a step did to the newest episode, or to one that begins. False: no memory. */
static bool record(const struct cx_estate *estate, struct cx_estate_list *list,
                   const struct cx_watch_episode *machine, const struct cx_watch_report *report)
{
    struct cx_estate_episode *episode;
    bool before = machine->open || report->change != CX_WATCH_NOTHING;
    if (!before || report->state == CX_WATCH_NO_DATA || report->state == CX_WATCH_INSUFFICIENT_N)
        return true;
    if (report->change == CX_WATCH_OPENED) {
        episode = append(estate, list);
        if (episode == NULL)
            return false;
        memset(episode, 0, sizeof *episode); /* padding too */
        episode->incident = machine->incident;
        episode->sign = machine->sign;
    } else {
        episode = &list->episode[list->count - 1];
    }
    episode->opened = machine->opened;
    episode->closed = machine->open ? INT64_MIN : machine->closed;
    episode->how = machine->open ? CX_WATCH_NOTHING : report->change;
    episode->split = report->split;
    episode->class = report->class;
    return true;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void keep(struct cx_estate *estate, int64_t bucket)
{
    struct cx_estate_checkpoint *oldest = &estate->checkpoint[0];
    for (int c = 0; c < CX_ESTATE_CHECKPOINTS; c++) {
        if (estate->checkpoint[c].bucket == bucket)
            return;
        if (estate->checkpoint[c].bucket < oldest->bucket)
            oldest = &estate->checkpoint[c];
    }
    oldest->bucket = bucket;
    memcpy(oldest->level, estate->judged, sizeof oldest->level);
    memcpy(oldest->machine, estate->machine, (size_t)estate->count * sizeof *estate->machine);
    for (int s = 0; s < estate->count; s++) {
        const struct cx_estate_list *list = &estate->list[s];
        oldest->episodes[s] = list->count;
        if (list->count > 0)
            oldest->last[s] = list->episode[list->count - 1];
    }
}

static void restore(struct cx_estate *estate, const struct cx_estate_checkpoint *checkpoint)
{
    memcpy(estate->judged, checkpoint->level, sizeof checkpoint->level);
    memcpy(estate->machine, checkpoint->machine, (size_t)estate->count * sizeof *estate->machine);
    for (int s = 0; s < estate->count; s++) {
        struct cx_estate_list *list = &estate->list[s];
        list->count = checkpoint->episodes[s];
        if (list->count > 0)
            list->episode[list->count - 1] = checkpoint->last[s];
    }
}

/* Goes back to a state before a bucket that is at most `changed`; returns that bucket. */
static int64_t go_back(struct cx_estate *estate, int64_t changed)
{
    const struct cx_estate_checkpoint *newest = NULL;
    for (int c = 0; c < CX_ESTATE_CHECKPOINTS; c++) {
        struct cx_estate_checkpoint *checkpoint = &estate->checkpoint[c];
        if (checkpoint->bucket > changed || estate->evaluated == INT64_MIN)
            checkpoint->bucket = INT64_MIN;
        if (checkpoint->bucket != INT64_MIN &&
            (newest == NULL || checkpoint->bucket > newest->bucket))
            newest = checkpoint;
    }
    if (estate->evaluated != INT64_MIN && changed == estate->evaluated + 1)
        return changed;
    if (newest != NULL) {
        restore(estate, newest);
        return newest->bucket;
    }
    memset(estate->judged, 0, sizeof estate->judged);
    for (int s = 0; s < estate->count; s++)
        estate->list[s].count = 0;
    return estate->config.first;
}

/* ---- stretches between fits ------------------------------------------------------------------ */

struct stretch {
    int64_t from, until; /* until: after the last; at most CX_ESTATE_REFIT buckets */
    struct cx_watch_rule rule[CX_ESTATE_LEVELS][CX_ESTATE_REFIT];
    int64_t judged[CX_ESTATE_LEVELS][CX_ESTATE_REFIT];
};

static bool begins_level(const struct cx_estate *estate, int64_t bucket)
{
    int t = index_of(estate, bucket);
    bool begins = false;
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        begins |= estate->ready[l][t] > 0 && (t == 0 || estate->ready[l][t - 1] == 0);
    return begins;
}

static bool is_fitted(const struct cx_estate *estate, int64_t bucket)
{
    return cx_watch_phase(bucket, CX_ESTATE_REFIT) == 0 || begins_level(estate, bucket);
}

static void make_rules(const struct cx_estate *estate, struct stretch *stretch)
{
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_watch_rule *rule = stretch->rule[l];
        for (int i = 0; i < stretch->until - stretch->from; i++) {
            double fire = estate->threshold[l][index_of(estate, stretch->from) + i].fire;
            rule[i] = i > 0 && rule[i - 1].fire == fire
                          ? rule[i - 1]
                          : cx_watch_rule(fire, estate->judged[l].memory);
        }
    }
}

static double n_min_of(const struct cx_estate *estate, const struct cx_estate_series *series)
{
    double most = 1;
    if (series->level != CX_ESTATE_UNIT)
        return fmax(most, estate->kpi[series->kpi].n_min);
    for (int k = 0; k < estate->config.kpis; k++)
        if (estate->kpi[k].composite &&
            estate->cell_of[series->unit * estate->config.kpis + k] >= 0)
            most = fmax(most, estate->kpi[k].n_min);
    return most;
}

static bool judge_series(struct cx_estate *estate, struct stretch *stretch, int s, int64_t newest)
{
    struct cx_estate_series *series = &estate->series[s];
    struct cx_watch_episode *machine = &estate->machine[s];
    const struct cx_watch_series points = {estate->config.first, index_of(estate, newest) + 1,
                                           series->profile.sd, series->point};
    double n_min = n_min_of(estate, series);
    for (int64_t bucket = stretch->from; bucket < stretch->until; bucket++) {
        int i = (int)(bucket - stretch->from);
        if (bucket < series->judged_from)
            continue;
        if (bucket == series->judged_from)
            cx_watch_begin(machine, estate->config.first, bucket);
        struct cx_watch_rule *rule = &stretch->rule[series->level][i];
        rule->n_min = n_min;
        cx_watch_step(machine, &points, rule, &series->now);
        bool judged =
            series->now.state != CX_WATCH_NO_DATA && series->now.state != CX_WATCH_INSUFFICIENT_N;
        stretch->judged[series->level][i] += judged;
        if (!record(estate, &estate->list[s], machine, &series->now))
            return false;
    }
    return true;
}

static bool judge_stretch(struct cx_estate *estate, struct stretch *stretch, int64_t newest)
{
    memset(stretch->judged, 0, sizeof stretch->judged);
    make_rules(estate, stretch);
    for (int s = 0; s < estate->count; s++)
        if (can_be_judged(&estate->series[s], stretch->until - 1) &&
            !judge_series(estate, stretch, s, newest))
            return false;
    for (int l = 0; l < CX_ESTATE_LEVELS; l++)
        for (int i = 0; i < stretch->until - stretch->from; i++) {
            double judged = (double)stretch->judged[l][i];
            int t = index_of(estate, stretch->from) + i;
            estate->judged[l].buckets += stretch->judged[l][i];
            estate->judged[l].expected += judged * estate->threshold[l][t].chance;
        }
    return true;
}

bool cx_estate_judge(struct cx_estate *estate, int64_t changed, int64_t until)
{
    struct stretch stretch;
    int64_t keep_from = until - CX_ESTATE_CHECKPOINTS * CX_ESTATE_REFIT;
    count_ready(estate, until);
    set_thresholds(estate, until);
    for (int s = 0; s < estate->count; s++)
        memset(&estate->series[s].now, 0, sizeof estate->series[s].now);
    for (int64_t bucket = go_back(estate, changed); bucket <= until; bucket = stretch.until) {
        if (cx_watch_phase(bucket, CX_ESTATE_REFIT) == 0 && bucket > keep_from)
            keep(estate, bucket);
        if (is_fitted(estate, bucket))
            refit(estate, bucket);
        stretch.from = bucket;
        stretch.until = bucket + 1;
        while (stretch.until <= until && !is_fitted(estate, stretch.until))
            stretch.until++;
        if (!judge_stretch(estate, &stretch, until))
            return false;
    }
    for (int s = 0; s < estate->count; s++) {
        estate->series[s].episode = estate->list[s].episode;
        estate->series[s].episodes = estate->list[s].count;
    }
    return true;
}
