/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How often chance alone makes an episode: what cx_watch_level_rate says, beside years of normal
 * points whose variances are known. Its constants are a fit to such a table, of 60,000 years.
 * Until the machine opens for the first time nothing depends on its threshold, so the statistic is
 * formed once, and the machine runs only where something would open. Low thresholds need few years:
 * each has its part of them. */
#include "tests/bench/kpi_watch_parts.h"

enum { YEARS = 20000, FIRES = 7, LEASTS = 6 };

static const struct {
    double fire;
    int part; /* one year in so many */
} fires[FIRES] = {{3.0, 40}, {3.3, 30}, {3.6, 20}, {3.9, 10}, {4.2, 3}, {4.5, 1}, {4.8, 1}};
static const double leasts[LEASTS] = {0, .7, 1, 1.4, 1.8, 3};

struct year {
    struct cx_watch_point point[KPI_YEAR_DAYS];
    struct cx_watch_series series;
    struct cx_watch_split split[KPI_YEAR_DAYS];
    double weight; /* mean of the baseline */
};

/* Answers come and go, and a quarter of the variance is days' own. */
static void make_year(struct year *year, struct cover_random *random)
{
    const struct cx_watch_rule rule = cx_watch_rule(4, (struct cx_watch_memory){0, 0});
    year->series = (struct cx_watch_series){0, KPI_YEAR_DAYS, 1, year->point};
    year->weight = 0;
    for (int t = 0; t < KPI_YEAR_DAYS; t++) {
        double n = kpi_answers(random, 30, t), v = .77 * 30 / fmax(n, 1) + .23;
        year->point[t] = (struct cx_watch_point){.data = CX_WATCH_EMPTY};
        if (n > 0)
            year->point[t] =
                (struct cx_watch_point){.r = sqrt(v) * cover_normal(random), .w = 1 / v, .n = n};
        year->weight += t < KPI_BASELINE ? year->point[t].w / KPI_BASELINE : 0;
    }
    for (int t = KPI_BASELINE; t < KPI_YEAR_DAYS; t++) {
        year->split[t] = (struct cx_watch_split){0};
        if (year->point[t].w > 0)
            year->split[t] = cx_watch_glr(&year->series, &rule, NULL, 0, t);
    }
}

static int episodes_of(const struct year *year, double fire, double shift_min)
{
    struct cx_watch_rule rule = cx_watch_rule(fire, (struct cx_watch_memory){0, 0});
    struct cx_watch_episode episode;
    struct cx_watch_report report;
    bool any = false;
    int count = 0;
    for (int t = KPI_BASELINE; t < KPI_YEAR_DAYS; t++)
        any |= year->split[t].z > fire && fabs(year->split[t].shift) >= shift_min;
    if (!any)
        return 0;
    rule.shift_min = shift_min;
    cx_watch_begin(&episode, 0, KPI_BASELINE);
    while (cx_watch_step(&episode, &year->series, &rule, &report))
        count += report.notice;
    return count;
}

void kpi_rates(struct cover_run *run)
{
    static struct year year;
    static struct cover_mean rate[FIRES][LEASTS];
    cover_head("False episodes of chance: simulated, and over what cx_watch_level_rate says");
    for (int r = 0; r < cover_replicates(run, YEARS); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(216) << 32 | (uint64_t)r);
        make_year(&year, &random);
        for (int f = 0; f < FIRES; f++)
            for (int l = 0; l < LEASTS && r % fires[f].part == 0; l++) {
                double days = KPI_YEAR_DAYS - KPI_BASELINE;
                cover_add(&rate[f][l],
                          1000 / days *
                              episodes_of(&year, fires[f].fire, leasts[l] / sqrt(year.weight)));
            }
    }
    for (int f = 0; f < FIRES; f++)
        for (int l = 0; l < LEASTS; l++) {
            char cell[40];
            double said = cx_watch_level_rate(fires[f].fire, leasts[l]);
            snprintf(cell, sizeof cell, "fire %.1f, least %.1f", fires[f].fire, leasts[l]);
            cover_report_mean(run, cell, "episodes in 1,000 days", &rate[f][l],
                              (const double[]){NAN, NAN});
            cover_report(run, &(struct cover_figure){cell, "over the formula",
                                                     cover_value(&rate[f][l]) / said,
                                                     cover_error(&rate[f][l]) / said, .9, 1.1});
        }
}
