/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An estate: 40 units × 5 KPIs for a year, answered by the same people unit by unit. Levels: what
 * watch_estate.h finds (5 parents, 40 composites, 200 differences). Beside it, flat: 200 series
 * each on its own with the whole budget and the autocorrelation of their baselines.
 *
 * Of what days vary by (sd .1), 30 % is common to all, 30 % to a unit; answers to two KPIs of one
 * person correlate by .5. Parents are merged from the units' days, exactly what the product does.
 * A notice is an episode that was told of; those of a unit's KPI that belong to an incident of the
 * unit are left out. Incidents: those of several parents are one, too.
 * Hazard: series of an estate are not independent, so a figure's error is taken over estates. */
#include "tests/bench/kpi_watch_parts.h"

#include <string.h>

#include "analytics/watch_estate.h"

enum { UNITS = 40, KPIS = 5, CELLS = UNITS * KPIS, BUDGETS = 2 };
enum { NULL_ESTATES = 200, EVENT_ESTATES = 60, DELAY_ESTATES = 100 };

static const double budgets[BUDGETS] = {4, 12};

static const double day_sd = .1, common_share = .3, unit_share = .3, rho = .5;

struct estate {
    struct kpi_series flat[CELLS];
    struct kpi_notices notices[CELLS]; /* of flat */
    struct cx_watch_bucket parent[KPIS][KPI_YEAR_DAYS];
    struct cx_estate *levels[BUDGETS];
    double weekday[CELLS][7];
};

/* What is planted: on everything, and on units. */
struct planted {
    int count;
    struct {
        int day, unit, kpis; /* unit −1: all of them; kpis: the first so many of the unit */
        double size;
    } at[12];
};

static double effect_of(const struct planted *planted, int unit, int kpi, int day)
{
    double sum = 0;
    for (int i = 0; i < planted->count; i++)
        if (day >= planted->at[i].day && (planted->at[i].unit < 0 || planted->at[i].unit == unit) &&
            kpi < planted->at[i].kpis)
            sum += planted->at[i].size;
    return sum;
}

/* What days vary by beyond sampling, each of sd 1: of all, of a unit, of a unit's KPI. */
struct day_effects {
    double phi, all, unit[UNITS], cell[CELLS];
};

static void next_effect(double *effect, double phi, struct cover_random *random)
{
    *effect = phi * *effect + sqrt(1 - phi * phi) * cover_normal(random);
}

static void next_day(struct day_effects *effects, struct cover_random *random)
{
    next_effect(&effects->all, effects->phi, random);
    for (int u = 0; u < UNITS; u++)
        next_effect(&effects->unit[u], effects->phi, random);
    for (int c = 0; c < CELLS; c++)
        next_effect(&effects->cell[c], effects->phi, random);
}

static double day_effect(const struct day_effects *effects, int unit, int kpi)
{
    return day_sd * (sqrt(common_share) * effects->all + sqrt(unit_share) * effects->unit[unit] +
                     sqrt(1 - common_share - unit_share) * effects->cell[unit * KPIS + kpi]);
}

static void one_day(struct estate *e, const struct planted *planted, struct cover_random *random,
                    int day, const struct day_effects *effects)
{
    for (int u = 0; u < UNITS; u++) {
        double n = kpi_answers(random, 30, day), people = cover_normal(random);
        for (int k = 0; k < KPIS; k++) {
            double sampling = sqrt(rho) * people + sqrt(1 - rho) * cover_normal(random);
            struct cx_watch_bucket *bucket = &e->flat[u * KPIS + k].bucket[day];
            *bucket = (struct cx_watch_bucket){.n = n, .s2 = 1};
            if (n > 0)
                bucket->mean = e->weekday[u * KPIS + k][day % 7] + day_effect(effects, u, k) +
                               sampling / sqrt(n) + effect_of(planted, u, k, day);
        }
    }
}

static void merge_parents(struct estate *e)
{
    for (int k = 0; k < KPIS; k++)
        for (int day = 0; day < KPI_YEAR_DAYS; day++) {
            double n = 0, sum = 0;
            for (int u = 0; u < UNITS; u++) {
                const struct cx_watch_bucket *from = &e->flat[u * KPIS + k].bucket[day];
                n += from->n;
                sum += from->n * from->mean;
            }
            e->parent[k][day] =
                (struct cx_watch_bucket){.n = n, .mean = n > 0 ? sum / n : 0, .s2 = 1};
        }
}

static void put_cells(struct cx_estate *levels, const struct estate *e)
{
    for (int k = 0; k < KPIS; k++)
        for (int u = -1; u < UNITS; u++) {
            struct cx_watch_bucket *cell = cx_estate_cells(levels, k, u);
            if (cell == NULL)
                exit(2);
            memcpy(cell, u < 0 ? e->parent[k] : e->flat[u * KPIS + k].bucket, sizeof *e->parent);
        }
    cx_estate_changed(levels, 0);
}

static void make_estate(struct estate *e, const struct planted *planted, double phi,
                        struct cover_random *random)
{
    struct day_effects effects = {.phi = 0};
    for (int c = 0; c < CELLS; c++)
        for (int k = 0; k < 7; k++)
            e->weekday[c][k] = kpi_reference.weekday * cover_normal(random);
    next_day(&effects, random); /* from the start as they are in the long run */
    effects.phi = phi;
    for (int day = 0; day < KPI_YEAR_DAYS; day++) {
        next_day(&effects, random);
        one_day(e, planted, random, day, &effects);
    }
    merge_parents(e);
    for (int b = 0; b < BUDGETS; b++)
        put_cells(e->levels[b], e);
}

static struct estate *estate_new(void)
{
    struct estate *e = calloc(1, sizeof *e);
    struct cx_estate_kpi kpi[KPIS];
    for (int k = 0; k < KPIS; k++)
        kpi[k] = (struct cx_estate_kpi){.direction = 1, .composite = true, .n_min = 1};
    for (int b = 0; e != NULL && b < BUDGETS; b++) {
        struct cx_estate_config config = {0, KPI_YEAR_DAYS, 7, KPIS, UNITS, budgets[b], realloc};
        e->levels[b] = cx_estate_new(&config, kpi);
        if (e->levels[b] == NULL)
            exit(2);
    }
    if (e == NULL)
        exit(2);
    return e;
}

static void estate_free(struct estate *e)
{
    for (int b = 0; b < BUDGETS; b++)
        cx_estate_free(e->levels[b]);
    free(e);
}

/* ---- notices --------------------------------------------------------------------------------- */

static void watch_flat(struct estate *e, double budget)
{
    double fire = cx_watch_threshold_budget(budget, CELLS, 1);
    for (int c = 0; c < CELLS; c++) {
        e->flat[c].days = KPI_YEAR_DAYS;
        kpi_prepare(&e->flat[c]);
    }
    struct cx_watch_rule rule = cx_watch_rule(fire, kpi_memory(e->flat, CELLS));
    for (int c = 0; c < CELLS; c++)
        kpi_watch(&e->notices[c], &e->flat[c], &rule);
}

static int on_flat(const struct estate *e, int from, int until)
{
    int sum = 0;
    for (int c = 0; c < CELLS; c++)
        sum += kpi_notices_between(&e->notices[c], from, until);
    return sum;
}

static const struct cx_estate *watch_levels(struct estate *e, int budget, int days)
{
    if (!cx_estate_evaluate(e->levels[budget], days - 1))
        exit(2);
    return e->levels[budget];
}

struct counted {
    int level[CX_ESTATE_LEVELS]; /* episodes that were told of */
    int notices, incidents;
};

static struct counted on_levels(const struct cx_estate *levels, int from, int until)
{
    struct counted counted = {0};
    for (int s = 0; s < cx_estate_series_count(levels); s++) {
        const struct cx_estate_series *series = cx_estate_series(levels, s);
        for (int i = 0; i < series->episodes; i++) {
            const struct cx_estate_episode *episode = &series->episode[i];
            bool joined = episode->joined_series != s || episode->joined_episode != i;
            if (episode->incident < from || episode->incident >= until)
                continue;
            counted.level[series->level]++;
            counted.notices += !joined || series->level == CX_ESTATE_PARENT;
            counted.incidents += !joined;
        }
    }
    return counted;
}

/* First notice from `from` on about a unit or one of its KPIs (unit −1: a parent); INT64_MAX
 * without. level: of that only, or CX_ESTATE_LEVELS. */
static int64_t first_notice(const struct cx_estate *levels, int unit, enum cx_estate_level level,
                            int from)
{
    int64_t first = INT64_MAX;
    for (int s = 0; s < cx_estate_series_count(levels); s++) {
        const struct cx_estate_series *series = cx_estate_series(levels, s);
        if (series->unit != unit || (level != CX_ESTATE_LEVELS && series->level != level))
            continue;
        for (int i = 0; i < series->episodes; i++)
            if (series->episode[i].incident >= from && series->episode[i].incident < first)
                first = series->episode[i].incident;
    }
    return first;
}

static bool found_on_levels(const struct cx_estate *levels, int unit, int day)
{
    return first_notice(levels, unit, CX_ESTATE_LEVELS, day) < day + 28;
}

static bool found_flat(const struct estate *e, int unit, int day)
{
    int sum = 0;
    for (int k = 0; k < KPIS; k++)
        sum += kpi_notices_between(&e->notices[unit * KPIS + k], day, day + 28);
    return sum > 0;
}

/* ---- a year in which nothing happens --------------------------------------------------------- */

static const struct {
    const char *name;
    double phi;         /* of the days' effects */
    double least, most; /* notices / budget */
} null_kinds[] = {{"null year", 0, .7, 1.3}, {"AR null year", .5, NAN, 1.5}};

struct null_figures {
    struct cover_mean flat, notices, incidents, level[CX_ESTATE_LEVELS], expected;
};

static void count_null(struct null_figures *to, struct estate *e, int budget)
{
    const int days = KPI_YEAR_DAYS;
    watch_flat(e, budgets[budget]);
    const struct cx_estate *levels = watch_levels(e, budget, days);
    struct counted counted = on_levels(levels, 0, days);
    double expected = 0;
    cover_add(&to->flat, on_flat(e, 0, days) / budgets[budget]);
    cover_add(&to->notices, counted.notices / budgets[budget]);
    cover_add(&to->incidents, counted.incidents / budgets[budget]);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        cover_add(&to->level[l], counted.level[l] / budgets[budget]);
        expected += cx_estate_rule(levels, l).expected;
    }
    cover_add(&to->expected, expected / budgets[budget]);
}

static void null_years(struct cover_run *run, struct estate *e, int kind)
{
    static const char *const names[] = {"of parents", "of units", "of units' KPIs"};
    struct null_figures figures[BUDGETS] = {0};
    const struct planted nothing = {0};
    const double shown[] = {NAN, NAN}, most = null_kinds[kind].most;
    for (int r = 0; r < cover_replicates(run, NULL_ESTATES); r++) {
        struct cover_random random = cover_seed(run, (uint64_t)(192 + kind) << 32 | (uint64_t)r);
        make_estate(e, &nothing, null_kinds[kind].phi, &random);
        for (int b = 0; b < BUDGETS; b++)
            count_null(&figures[b], e, b);
    }
    for (int b = 0; b < BUDGETS; b++) {
        struct null_figures *f = &figures[b];
        char cell[40];
        snprintf(cell, sizeof cell, "%s, budget %g", null_kinds[kind].name, budgets[b]);
        cover_report_mean(run, cell, "flat: notices / budget", &f->flat,
                          (const double[]){null_kinds[kind].least, most});
        cover_report_mean(run, cell, "levels: notices / budget", &f->notices,
                          (const double[]){null_kinds[kind].least, most});
        cover_report_mean(run, cell, "levels: incidents / budget", &f->incidents, shown);
        cover_report_mean(run, cell, "levels: expected by chance / budget", &f->expected, shown);
        for (int l = 0; l < CX_ESTATE_LEVELS; l++)
            cover_report_mean(run, cell, names[l], &f->level[l], shown);
    }
}

/* ---- how late -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int unit, kpis; /* −1: all of them */
    double size, median_max[BUDGETS], seen_min[BUDGETS];
} late_kinds[] = {{"unit .5, 5 KPIs", 7, KPIS, .5, {3, 3}, {.99, .99}},
                  {"unit 1, 5 KPIs", 7, KPIS, 1, {1, 1}, {1, 1}},
                  {"unit .5, 1 KPI", 7, 1, .5, {6, 5}, {.74, .84}},
                  {"unit 1, 1 KPI", 7, 1, 1, {2, 2}, {1, 1}},
                  {"common .3", -1, KPIS, .3, {1, 1}, {1, 1}}};

enum { LATE_KINDS = sizeof late_kinds / sizeof *late_kinds, LATEST = 28 };

/* Days to the first notice: of a parent, or of the unit or its KPIs; on each weekday in turn. */
static void delays(struct cover_run *run, struct estate *e, int kind)
{
    int days[BUDGETS][LATEST + 1] = {{0}}, replicates = cover_replicates(run, DELAY_ESTATES);
    const int unit = late_kinds[kind].unit, kpis = late_kinds[kind].kpis;
    struct cover_mean seen[BUDGETS] = {{0}};
    for (int r = 0; r < replicates; r++) {
        const int day = KPI_EVENT_DAY + r % 7;
        const struct planted planted = {1, {{day, unit, kpis, -late_kinds[kind].size}}};
        struct cover_random random = cover_seed(run, (uint64_t)(208 + kind) << 32 | (uint64_t)r);
        make_estate(e, &planted, 0, &random);
        for (int b = 0; b < BUDGETS; b++) {
            const struct cx_estate *levels = watch_levels(e, b, day + LATEST);
            int64_t first = first_notice(levels, unit, CX_ESTATE_LEVELS, day);
            int64_t delay = first < day + LATEST ? first - day + 1 : LATEST;
            days[b][delay]++;
            cover_add(&seen[b], delay <= 7);
        }
    }
    for (int b = 0; b < BUDGETS; b++) {
        int median = 0, below = 0;
        char cell[40];
        while (2 * below < replicates)
            below += days[b][++median];
        snprintf(cell, sizeof cell, "%s, budget %g", late_kinds[kind].name, budgets[b]);
        cover_report(run, &(struct cover_figure){cell, "median days to the first notice", median, 0,
                                                 NAN, late_kinds[kind].median_max[b]});
        cover_report_mean(run, cell, "noticed within 7 days", &seen[b],
                          (const double[]){late_kinds[kind].seen_min[b], NAN});
    }
}

/* ---- something happens everywhere ------------------------------------------------------------ */

static void common_step(struct cover_run *run, struct estate *e)
{
    struct cover_mean flat = {0}, notices = {0}, incidents = {0}, first = {0};
    struct cover_mean unit_flat = {0}, unit_levels = {0};
    const int day = KPI_EVENT_DAY, later = KPI_EVENT_DAY + 10, unit = 7;
    const double shown[] = {NAN, NAN};
    const struct planted planted = {2, {{day, -1, KPIS, -.3}, {later, unit, KPIS, -.5}}};
    for (int r = 0; r < cover_replicates(run, EVENT_ESTATES); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(200) << 32 | (uint64_t)r);
        make_estate(e, &planted, 0, &random);
        watch_flat(e, budgets[0]);
        const struct cx_estate *levels = watch_levels(e, 0, KPI_YEAR_DAYS);
        struct counted counted = on_levels(levels, day, day + 28);
        int own = first_notice(levels, unit, CX_ESTATE_UNIT, later) < day + 28;
        cover_add(&flat, on_flat(e, day, day + 28));
        cover_add(&notices, counted.notices - own);
        cover_add(&incidents, counted.incidents - own);
        cover_add(&first, first_notice(levels, -1, CX_ESTATE_PARENT, day) < day + 2);
        cover_add(&unit_flat, found_flat(e, unit, later));
        cover_add(&unit_levels, found_on_levels(levels, unit, later));
    }
    const char *cell = "common step .3";
    cover_report_mean(run, cell, "flat: notices in 28 days", &flat, shown);
    cover_report_mean(run, cell, "levels: notices in 28 days, the unit's own apart", &notices,
                      (const double[]){NAN, 10});
    cover_report_mean(run, cell, "levels: incidents, the same", &incidents, shown);
    cover_report_mean(run, cell, "levels: a parent fires on the first two days", &first,
                      (const double[]){.9, NAN});
    cover_report_mean(run, cell, "flat: a unit's step .5 ten days later is noticed", &unit_flat,
                      shown);
    cover_report_mean(run, cell, "levels: the same", &unit_levels, (const double[]){.95, NAN});
}

/* Eight units' events and two common steps; four of the former in all KPIs, four in one. */
static struct planted events_of_a_year(void)
{
    struct planted planted = {.count = 10};
    for (int i = 0; i < 10; i++) {
        bool common = i % 5 == 4;
        planted.at[i].day = KPI_BASELINE + 30 + 30 * i;
        planted.at[i].unit = common ? -1 : 3 * i + 1;
        planted.at[i].kpis = common || i % 2 == 0 ? KPIS : 1;
        planted.at[i].size = common ? -.3 : i % 2 == 0 ? -.5 : 1;
    }
    return planted;
}

static void eventful_year(struct cover_run *run, struct estate *e)
{
    struct cover_mean flat = {0}, notices = {0}, incidents = {0}, seen[2] = {{0}};
    const struct planted planted = events_of_a_year();
    const double shown[] = {NAN, NAN};
    for (int r = 0; r < cover_replicates(run, EVENT_ESTATES); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(201) << 32 | (uint64_t)r);
        double found[2] = {0, 0};
        make_estate(e, &planted, 0, &random);
        watch_flat(e, budgets[0]);
        const struct cx_estate *levels = watch_levels(e, 0, KPI_YEAR_DAYS);
        struct counted counted = on_levels(levels, 0, KPI_YEAR_DAYS);
        for (int i = 0; i < planted.count; i++) {
            if (planted.at[i].unit < 0)
                continue;
            found[0] += found_flat(e, planted.at[i].unit, planted.at[i].day);
            found[1] += found_on_levels(levels, planted.at[i].unit, planted.at[i].day);
        }
        cover_add(&flat, on_flat(e, 0, KPI_YEAR_DAYS));
        cover_add(&notices, counted.notices);
        cover_add(&incidents, counted.incidents);
        cover_add(&seen[0], found[0]);
        cover_add(&seen[1], found[1]);
    }
    const char *cell = "eventful year";
    cover_report_mean(run, cell, "flat: notices", &flat, shown);
    cover_report_mean(run, cell, "levels: notices", &notices, (const double[]){NAN, 55});
    cover_report_mean(run, cell, "levels: incidents", &incidents, shown);
    cover_report_mean(run, cell, "flat: units' events found, of 8", &seen[0], shown);
    cover_report_mean(run, cell, "levels: units' events found, of 8", &seen[1],
                      (const double[]){7.8, NAN});
}

/* A unit and everything step, and sixty days later step back. */
static void second_change(struct cover_run *run, struct estate *e)
{
    struct cover_mean noticed = {0}, parents = {0};
    const int day = KPI_EVENT_DAY, later = KPI_EVENT_DAY + 60, unit = 7;
    const struct planted planted = {4,
                                    {{day, unit, KPIS, -.5},
                                     {later, unit, KPIS, .5},
                                     {day, -1, KPIS, -.3},
                                     {later, -1, KPIS, .3}}};
    for (int r = 0; r < cover_replicates(run, EVENT_ESTATES); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(202) << 32 | (uint64_t)r);
        make_estate(e, &planted, 0, &random);
        const struct cx_estate *levels = watch_levels(e, 0, later + 28);
        int64_t unit_first = first_notice(levels, unit, CX_ESTATE_UNIT, day);
        int64_t parent_first = first_notice(levels, -1, CX_ESTATE_PARENT, day);
        if (unit_first < day + 28)
            cover_add(&noticed, first_notice(levels, unit, CX_ESTATE_UNIT, later) < INT64_MAX);
        if (parent_first < day + 28)
            cover_add(&parents, first_notice(levels, -1, CX_ESTATE_PARENT, later) < INT64_MAX);
    }
    const char *cell = "second change";
    cover_report_mean(run, cell, "a unit's step, undone: noticed within 28 days", &noticed,
                      (const double[]){.98, NAN});
    cover_report_mean(run, cell, "a common step, undone: the same", &parents,
                      (const double[]){.98, NAN});
}

void kpi_estate(struct cover_run *run)
{
    struct estate *e = estate_new();
    cover_head("An estate of 40 units x 5 KPIs");
    for (int kind = 0; kind < 2; kind++)
        if (cover_wanted(run, null_kinds[kind].name))
            null_years(run, e, kind);
    for (int kind = 0; kind < LATE_KINDS; kind++)
        if (cover_wanted(run, late_kinds[kind].name))
            delays(run, e, kind);
    if (cover_wanted(run, "common step"))
        common_step(run, e);
    if (cover_wanted(run, "eventful year"))
        eventful_year(run, e);
    if (cover_wanted(run, "second change"))
        second_change(run, e);
    estate_free(e);
}
