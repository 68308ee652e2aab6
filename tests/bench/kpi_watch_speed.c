/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CPU time: a bucket of one series, quiet and with an open episode; and an estate of 10,000 series
 * (400 units × 24 KPIs, 400 composites, 24 parents; 308 days), from scratch, a day more, and after
 * late answers. Four units are away from their level in all KPIs, so 1 % of the series are open. */
#include <sys/resource.h>
#include <time.h>

#include "analytics/watch_estate.h"
#include "tests/bench/kpi_watch_parts.h"

enum { UNITS = 400, KPIS = 24, DAYS = 308, AWAY = DAYS - 20 };

static double seconds(clock_t begin)
{
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static void show(struct cover_run *run, const char *cell, const char *name, double value)
{
    cover_report(run, &(struct cover_figure){cell, name, value, 0, NAN, NAN});
}

static void one_series(struct cover_run *run)
{
    static const struct kpi_event events[] = {{KPI_NOTHING, 0, 0}, {KPI_STEP, 1, 0}};
    struct cx_watch_rule rule = cx_watch_rule(3.8, (struct cx_watch_memory){.2, .5});
    struct kpi_series *s = calloc(1, sizeof *s);
    struct cx_watch_report report;
    if (s == NULL)
        exit(2);
    s->days = KPI_STREAM_DAYS;
    for (int e = 0; e < 2; e++) {
        struct cover_random random = cover_seed(run, UINT64_C(224) << 32);
        struct cx_watch_episode before, episode;
        kpi_stream(s->bucket, s->days, &kpi_reference, &events[e], &random);
        kpi_prepare(s);
        cx_watch_begin(&before, 0, KPI_BASELINE);
        while (before.last < KPI_EVENT_DAY + 12 &&
               cx_watch_step(&before, &s->series, &rule, &report))
            continue;
        clock_t begin = clock();
        for (int i = 0; i < 10000; i++) {
            episode = before;
            if (!cx_watch_step(&episode, &s->series, &rule, &report))
                exit(2);
        }
        show(run, e ? "open" : "quiet", "microseconds: a bucket of one series",
             seconds(begin) * 100);
    }
    free(s);
}

/* ---- an estate ------------------------------------------------------------------------------- */

static void fill_unit(struct cx_estate *estate, int unit, struct cover_random *random)
{
    for (int k = 0; k < KPIS; k++) {
        struct cx_watch_bucket *cell = cx_estate_cells(estate, k, unit);
        struct cx_watch_bucket *whole = cx_estate_cells(estate, k, -1);
        if (cell == NULL || whole == NULL)
            exit(2);
        for (int t = 0; t < DAYS; t++) {
            double n = kpi_answers(random, 30, t), day = .1 * cover_normal(random);
            if (!(n > 0))
                continue;
            double mean = day + cover_normal(random) / sqrt(n);
            mean += unit % 100 == 0 && t >= AWAY ? -1 : 0;
            cell[t] = (struct cx_watch_bucket){.n = n, .mean = mean, .s2 = 1};
            whole[t].mean += (mean - whole[t].mean) * (n / (whole[t].n + n));
            whole[t].n += n;
            whole[t].s2 = 1;
        }
    }
}

static struct cx_estate *filled(struct cover_run *run)
{
    struct cx_estate_config config = {0, DAYS, 7, KPIS, UNITS, 4, realloc};
    struct cover_random random = cover_seed(run, UINT64_C(225) << 32);
    struct cx_estate_kpi kpi[KPIS];
    for (int k = 0; k < KPIS; k++)
        kpi[k] = (struct cx_estate_kpi){.direction = 1, .composite = true, .n_min = 1};
    struct cx_estate *estate = cx_estate_new(&config, kpi);
    if (estate == NULL)
        exit(2);
    for (int u = 0; u < UNITS; u++)
        fill_unit(estate, u, &random);
    return estate;
}

static double evaluate(struct cx_estate *estate, int until)
{
    clock_t begin = clock();
    if (!cx_estate_evaluate(estate, until))
        exit(2);
    return seconds(begin);
}

static double late(struct cx_estate *estate, int day)
{
    cx_estate_changed(estate, day);
    return evaluate(estate, DAYS - 1);
}

static void large_estate(struct cover_run *run)
{
    const char *cell = "10,000 series";
    struct cx_estate *estate = filled(run);
    double quiet = 0, fit = 0;
    int open = 0;
    struct rusage usage;
    show(run, cell, "seconds: from scratch, 298 days", evaluate(estate, DAYS - 11));
    for (int t = DAYS - 10; t < DAYS; t++) {
        double took = evaluate(estate, t);
        double *most = t % 7 == 0 ? &fit : &quiet;
        *most = fmax(*most, took);
    }
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        enum cx_watch_state state = cx_estate_series(estate, s)->now.episode_state;
        open += state != CX_WATCH_QUIET && state != CX_WATCH_RESOLVED;
    }
    show(run, cell, "series", cx_estate_series_count(estate));
    show(run, cell, "of them open on the last day", open);
    show(run, cell, "seconds: a day more, largest of ten", quiet);
    show(run, cell, "seconds: a day more on which is fitted", fit);
    show(run, cell, "seconds: late answers, 3 days back", late(estate, DAYS - 4));
    show(run, cell, "seconds: late answers, 25 days back", late(estate, DAYS - 26));
    show(run, cell, "seconds: late answers on the first day", late(estate, 0));
    getrusage(RUSAGE_SELF, &usage);
    show(run, cell, "MB: the whole process at its largest", (double)usage.ru_maxrss / 1024);
    cx_estate_free(estate);
}

void kpi_speed(struct cover_run *run)
{
    cover_head("Speed: CPU time");
    one_series(run);
    if (cover_wanted(run, "10,000 series"))
        large_estate(run);
}
