/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Days that remember, and the episode machine: notices of one event, and whether the next change is
 * noticed once the first has become the usual level. */
#include "tests/bench/kpi_watch_parts.h"

/* ---- autocorrelated days --------------------------------------------------------------------- */

enum { POOL = 200, POOLS = 20 };

static const struct {
    const char *name;
    struct kpi_world world;
    bool judged;
} remembering[] = {
    {"independent", {30, .1, 0, .12}, true}, {"AR .3, .1", {30, .1, .3, .12}, true},
    {"AR .5, .1", {30, .1, .5, .12}, true},  {"AR .7, .1", {30, .1, .7, .12}, true},
    {"AR .9, .1", {30, .1, .9, .12}, false}, {"AR .5, .2", {30, .2, .5, .12}, true},
    {"AR .7, .2", {30, .2, .7, .12}, true},  {"AR .5, .1, n=200", {200, .1, .5, .12}, true}};

enum { REMEMBERING = sizeof remembering / sizeof *remembering };

static const double fires[] = {3.8, 4.4};

/* Notices per 1,000 days of one pool, with and without the factor. */
static void one_pool(struct cover_mean rate[2][2], const struct kpi_series *pool)
{
    const struct cx_watch_memory memories[2] = {{0, 0}, kpi_memory(pool, POOL)};
    for (int m = 0; m < 2; m++)
        for (int f = 0; f < 2; f++) {
            struct cx_watch_rule rule = cx_watch_rule(fires[f], memories[m]);
            double count = 0;
            for (int i = 0; i < POOL; i++) {
                struct kpi_notices notices;
                kpi_watch(&notices, &pool[i], &rule);
                count += notices.count;
            }
            cover_add(&rate[m][f], 1000 * count / (POOL * (KPI_YEAR_DAYS - KPI_BASELINE)));
        }
}

static struct kpi_series *pool_new(int count)
{
    struct kpi_series *pool = calloc((size_t)count, sizeof *pool);
    if (pool == NULL)
        exit(2);
    for (int i = 0; i < count; i++)
        pool[i].days = KPI_YEAR_DAYS;
    return pool;
}

void kpi_memory_section(struct cover_run *run)
{
    static const double target[] = {1.01, .149};
    struct kpi_series *pool = pool_new(POOL);
    const struct kpi_event nothing = {0};
    cover_head("Days that remember: notices per 1,000 days, (a, phi) from 200 baselines");
    for (int w = 0; w < REMEMBERING; w++) {
        struct cover_mean rate[2][2] = {{{0}}};
        if (!cover_wanted(run, remembering[w].name))
            continue;
        for (int r = 0; r < cover_replicates(run, POOLS); r++) {
            for (int i = 0; i < POOL; i++) {
                uint64_t stream = (uint64_t)(128 + w) << 32 | (uint64_t)(r * POOL + i);
                struct cover_random random = cover_seed(run, stream);
                kpi_stream(pool[i].bucket, KPI_YEAR_DAYS, &remembering[w].world, &nothing, &random);
                kpi_prepare(&pool[i]);
            }
            one_pool(rate, pool);
        }
        for (int m = 0; m < 2; m++)
            for (int f = 0; f < 2; f++) {
                char name[60];
                snprintf(name, sizeof name, "fires at %.1f, %s", fires[f],
                         m ? "with the factor" : "without");
                bool judged = m == 1 && remembering[w].judged;
                cover_report_mean(run, remembering[w].name, name, &rate[m][f],
                                  (const double[]){NAN, judged ? 1.5 * target[f] : NAN});
            }
    }
    free(pool);
}

/* ---- one event, one notice ------------------------------------------------------------------- */

enum { EPISODE_STREAMS = 4000, AFTER = 220 };

static const struct {
    const char *name;
    struct kpi_event event;
    double notices_max, second_min; /* 0 = shown only; not asked */
} histories[] = {
    {"step .3", {KPI_STEP, .3, 0}, 1.05, 0}, {"step .5", {KPI_STEP, .5, 0}, 1.05, 0},
    {"step 1", {KPI_STEP, 1, 0}, 1.05, 0},   {"dip 3 days 1 SD", {KPI_DIP, 1, 3}, 1.05, 0},
    {"ramp .5", {KPI_RAMP, .5, 42}, 0, 0},   {"step .5, undone", {KPI_STEP, .5, 60}, 0, .98}};

enum { HISTORIES = sizeof histories / sizeof *histories };

struct told {
    struct cover_mean notices, second;
};

static void follow(struct told *told, const struct kpi_series *s, const struct cx_watch_rule *rule,
                   int undone)
{
    struct kpi_notices notices;
    kpi_watch(&notices, s, rule);
    if (kpi_notices_between(&notices, 0, KPI_EVENT_DAY) > 0)
        return;
    int until = undone > 0 ? KPI_EVENT_DAY + undone : KPI_EVENT_DAY + AFTER;
    int count = kpi_notices_between(&notices, KPI_EVENT_DAY, until);
    if (count == 0)
        return;
    cover_add(&told->notices, count);
    if (undone > 0)
        cover_add(&told->second, kpi_notices_between(&notices, until, until + 28) > 0);
}

void kpi_episodes(struct cover_run *run)
{
    struct cx_watch_rule rule = cx_watch_rule(4.4, (struct cx_watch_memory){0, 0});
    struct kpi_series *s = pool_new(1);
    cover_head("Episodes: notices in 220 days after an event that was noticed (fires at 4.4)");
    for (int h = 0; h < HISTORIES; h++) {
        struct told told = {0};
        if (!cover_wanted(run, histories[h].name))
            continue;
        for (int i = 0; i < cover_replicates(run, EPISODE_STREAMS); i++) {
            struct cover_random random = cover_seed(run, (uint64_t)(160 + h) << 32 | (uint64_t)i);
            const struct kpi_event *event = &histories[h].event;
            kpi_stream(s->bucket, s->days, &kpi_reference, event, &random);
            kpi_prepare(s);
            follow(&told, s, &rule, event->shape == KPI_STEP ? event->length : 0);
        }
        double most = histories[h].notices_max, least = histories[h].second_min;
        cover_report_mean(run, histories[h].name, "notices per noticed event", &told.notices,
                          (const double[]){NAN, most > 0 ? most : NAN});
        if (least > 0)
            cover_report_mean(run, histories[h].name, "second change noticed within 28 days",
                              &told.second, (const double[]){least, NAN});
    }
    free(s);
}
