/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/bench/kpi_watch_parts.h"

const struct kpi_world kpi_reference = {30, .1, 0, .12};

static double gamma4(struct cover_random *random)
{
    double product = 1;
    for (int i = 0; i < 4; i++)
        product *= 1 - cx_random_unit(&random->random);
    return -log(product) / 4; /* mean 1 */
}

double kpi_answers(struct cover_random *random, double mean, int day)
{
    static const double profile[7] = {1.15, 1.1, 1.1, 1.1, 1.15, .8, .6};
    double rate = mean * profile[day % 7] * gamma4(random);
    if (rate < 40)
        return cover_poisson(random, rate);
    double n = floor(rate + sqrt(rate) * cover_normal(random) + .5);
    return n > 0 ? n : 0;
}

double kpi_effect(const struct kpi_event *event, int from, int day)
{
    int since = day - from;
    if (event->shape == KPI_NOTHING || since < 0)
        return 0;
    if (event->shape == KPI_RAMP)
        return event->size * fmin(1, (since + 1.0) / event->length);
    return event->length == 0 || since < event->length ? event->size : 0;
}

void kpi_stream(struct cx_watch_bucket *bucket, int days, const struct kpi_world *world,
                const struct kpi_event *event, struct cover_random *random)
{
    double weekday[7], effect = cover_normal(random), kept = sqrt(1 - world->phi * world->phi);
    for (int k = 0; k < 7; k++)
        weekday[k] = world->weekday * cover_normal(random);
    for (int day = 0; day < days; day++) {
        double n = kpi_answers(random, world->n, day);
        effect = world->phi * effect + kept * cover_normal(random);
        bucket[day] = (struct cx_watch_bucket){.n = n, .s2 = 1};
        if (n > 0)
            bucket[day].mean = weekday[day % 7] + world->day_sd * effect +
                               kpi_effect(event, KPI_EVENT_DAY, day) +
                               cover_normal(random) / sqrt(n);
    }
}

void kpi_prepare(struct kpi_series *s)
{
    if (cx_watch_prepare(&s->profile, s->point, s->bucket, s->days, 0, 7) != KPI_BASELINE) {
        fprintf(stderr, "kpi_watch: a stream without a baseline\n");
        exit(2);
    }
    s->series = (struct cx_watch_series){0, s->days, s->profile.sd, s->point};
}

struct cx_watch_memory kpi_memory(const struct kpi_series *series, int count)
{
    struct cx_watch_lags lags = {0};
    for (int i = 0; i < count; i++)
        cx_watch_lags_add(&lags, &series[i].series, 0, KPI_BASELINE);
    return cx_watch_memory_fit(&lags);
}

void kpi_watch(struct kpi_notices *notices, const struct kpi_series *series,
               const struct cx_watch_rule *rule)
{
    struct cx_watch_episode episode;
    struct cx_watch_report report;
    notices->count = 0;
    cx_watch_begin(&episode, 0, KPI_BASELINE);
    while (cx_watch_step(&episode, &series->series, rule, &report))
        if (report.notice && notices->count < KPI_NOTICES_MAX)
            notices->day[notices->count++] = (int)episode.last;
}

int kpi_notices_between(const struct kpi_notices *notices, int from, int until)
{
    int count = 0;
    for (int i = 0; i < notices->count; i++)
        count += notices->day[i] >= from && notices->day[i] < until;
    return count;
}
