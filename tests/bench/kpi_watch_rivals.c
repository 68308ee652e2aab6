/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What else is used for it. CUSUM and EWMA run on the same prepared residuals, about the mean of
 * the baseline, with limits that give them one false alarm in 1,000 days of the reference stream;
 * the fixed threshold is the rule of thumb on raw daily means. */
#include "tests/bench/kpi_watch_parts.h"

#define FIXED_SD 2
#define CUSUM_SLACK .5
#define CUSUM_LIMIT 6.44
#define EWMA_SHARE .2
#define EWMA_LIMIT 3.42

const char *const kpi_method_name[KPI_METHODS] = {"GLR", "fixed 2 sd", "CUSUM", "EWMA"};

static int glr(const struct kpi_series *s, const struct cx_watch_rule *rule, int from)
{
    for (int day = from; day < s->days; day++)
        if (s->point[day].w > 0 && cx_watch_glr(&s->series, rule, NULL, 0, day).z > rule->fire)
            return day;
    return s->days;
}

static int fixed(const struct kpi_series *s, int from)
{
    double sum = 0, square = 0, n = 0;
    for (int day = 0; day < KPI_BASELINE; day++)
        if (s->bucket[day].n > 0) {
            sum += s->bucket[day].mean;
            square += s->bucket[day].mean * s->bucket[day].mean;
            n++;
        }
    double mean = sum / n, sd = sqrt((square - n * mean * mean) / (n - 1));
    for (int day = from; day < s->days; day++)
        if (s->bucket[day].n > 0 && fabs(s->bucket[day].mean - mean) > FIXED_SD * sd)
            return day;
    return s->days;
}

static double baseline_mean(const struct kpi_series *s)
{
    double weight = 0, total = 0;
    for (int day = 0; day < KPI_BASELINE; day++) {
        weight += s->point[day].w;
        total += s->point[day].w * s->point[day].r;
    }
    return total / weight;
}

static int charts(const struct kpi_series *s, bool ewma, int from)
{
    double mean = baseline_mean(s), high = 0, low = 0, smooth = 0;
    for (int day = KPI_BASELINE; day < s->days; day++) {
        if (!(s->point[day].w > 0))
            continue;
        double z = (s->point[day].r - mean) * sqrt(s->point[day].w);
        high = fmax(0, high + z - CUSUM_SLACK);
        low = fmax(0, low - z - CUSUM_SLACK);
        smooth += EWMA_SHARE * (z - smooth);
        bool over = ewma ? fabs(smooth) > EWMA_LIMIT * sqrt(EWMA_SHARE / (2 - EWMA_SHARE))
                         : fmax(high, low) > CUSUM_LIMIT;
        if (over && day >= from)
            return day;
    }
    return s->days;
}

int kpi_first_alarm(const struct kpi_series *series, enum kpi_method method,
                    const struct cx_watch_rule *rule, int from)
{
    if (method == KPI_GLR)
        return glr(series, rule, from);
    return method == KPI_FIXED ? fixed(series, from) : charts(series, method == KPI_EWMA, from);
}
