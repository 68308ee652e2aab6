/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An estate: 40 units × 5 KPIs for a year, answered by the same people unit by unit. Flat, 200
 * series each on its own; and on levels (5 parents, 40 units, 200 differences), with the machine,
 * the pooled autocorrelation of each level, and the budget in thirds.
 *
 * Of what days vary by (sd .1), 30 % is common to all, 30 % to a unit; answers to two KPIs of one
 * person correlate by .5. Parents are merged from the units' days, exactly what the product does.
 * Hazard: series of an estate are not independent, so a figure's error is taken over estates. */
#include "tests/bench/kpi_watch_parts.h"

#include <string.h>

enum { UNITS = 40, KPIS = 5, CELLS = UNITS * KPIS };
enum { NULL_ESTATES = 200, EVENT_ESTATES = 60 };

static const double day_sd = .1, common_share = .3, unit_share = .3, rho = .5;

struct estate {
    struct kpi_series flat[CELLS], parent[KPIS], unit[UNITS], cell[CELLS];
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

static void prepare(struct kpi_series *series, int count)
{
    for (int i = 0; i < count; i++) {
        series[i].days = KPI_YEAR_DAYS;
        kpi_prepare(&series[i]);
    }
}

static void merge_parents(struct estate *e)
{
    for (int k = 0; k < KPIS; k++)
        for (int day = 0; day < KPI_YEAR_DAYS; day++) {
            struct cx_watch_bucket *to = &e->parent[k].bucket[day];
            double n = 0, sum = 0;
            for (int u = 0; u < UNITS; u++) {
                const struct cx_watch_bucket *from = &e->flat[u * KPIS + k].bucket[day];
                n += from->n;
                sum += from->n * from->mean;
            }
            *to = (struct cx_watch_bucket){.n = n, .mean = n > 0 ? sum / n : 0, .s2 = 1};
        }
    prepare(e->parent, KPIS);
}

static void compose_units(struct estate *e)
{
    for (int u = 0; u < UNITS; u++) {
        struct cx_watch_part part[KPIS];
        for (int k = 0; k < KPIS; k++) {
            const struct cx_watch_profile *profile = &e->cell[u * KPIS + k].profile;
            part[k] = (struct cx_watch_part){profile->level, 1 / profile->sd};
        }
        for (int day = 0; day < KPI_YEAR_DAYS; day++) {
            struct cx_watch_bucket against[KPIS];
            for (int k = 0; k < KPIS; k++)
                against[k] = e->cell[u * KPIS + k].bucket[day];
            e->unit[u].bucket[day] = cx_watch_composite(against, part, KPIS, rho);
        }
    }
    prepare(e->unit, UNITS);
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
    prepare(e->flat, CELLS);
    merge_parents(e);
    for (int c = 0; c < CELLS; c++)
        for (int day = 0; day < KPI_YEAR_DAYS; day++)
            e->cell[c].bucket[day] =
                cx_watch_against_rest(&e->flat[c].bucket[day], &e->parent[c % KPIS].bucket[day]);
    prepare(e->cell, CELLS);
    compose_units(e);
}

/* ---- notices --------------------------------------------------------------------------------- */

struct estate_notices {
    struct kpi_notices flat[CELLS], parent[KPIS], unit[UNITS], cell[CELLS];
};

static void watch_level(struct kpi_notices *notices, const struct kpi_series *series, int count,
                        double fire)
{
    struct cx_watch_rule rule = cx_watch_rule(fire, kpi_memory(series, count));
    for (int i = 0; i < count; i++)
        kpi_watch(&notices[i], &series[i], &rule);
}

static void watch_estate(struct estate_notices *notices, const struct estate *e, double budget)
{
    double third = CX_WATCH_SHARE;
    watch_level(notices->flat, e->flat, CELLS, cx_watch_threshold_budget(budget, CELLS, 1));
    watch_level(notices->parent, e->parent, KPIS, cx_watch_threshold_budget(budget, KPIS, third));
    watch_level(notices->unit, e->unit, UNITS, cx_watch_threshold_budget(budget, UNITS, third));
    watch_level(notices->cell, e->cell, CELLS, cx_watch_threshold_budget(budget, CELLS, third));
}

static int between(const struct kpi_notices *notices, int count, int from, int until)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += kpi_notices_between(&notices[i], from, until);
    return sum;
}

/* Notices of the levels, those of a unit's KPI that join its unit's incident left out. */
static int on_levels(const struct estate_notices *notices, int from, int until)
{
    int sum =
        between(notices->parent, KPIS, from, until) + between(notices->unit, UNITS, from, until);
    for (int c = 0; c < CELLS; c++)
        for (int i = 0; i < notices->cell[c].count; i++) {
            int day = notices->cell[c].day[i];
            const struct kpi_notices *unit = &notices->unit[c / KPIS];
            bool joins = false;
            for (int j = 0; j < unit->count; j++)
                joins |= cx_watch_joins(day, unit->day[j], CX_WATCH_JOIN_UNIT);
            sum += day >= from && day < until && !joins;
        }
    return sum;
}

static bool unit_found(const struct estate_notices *notices, bool levels, int unit, int day)
{
    int until = day + 28;
    if (!levels)
        return between(&notices->flat[unit * KPIS], KPIS, day, until) > 0;
    return kpi_notices_between(&notices->unit[unit], day, until) > 0 ||
           between(&notices->cell[unit * KPIS], KPIS, day, until) > 0;
}

/* ---- a year in which nothing happens --------------------------------------------------------- */

static const struct {
    const char *name;
    double phi;              /* of the days' effects */
    double flat_least, most; /* notices / budget */
} null_kinds[] = {{"null year", 0, .7, 1.3}, {"AR null year", .5, NAN, 1.5}};

static void null_years(struct cover_run *run, struct estate *e, struct estate_notices *notices,
                       int kind)
{
    static const double budgets[] = {4, 12};
    struct cover_mean flat[2] = {{0}}, levels[2] = {{0}}, level[2][3] = {{{0}}};
    const struct planted nothing = {0};
    int days = KPI_YEAR_DAYS;
    for (int r = 0; r < cover_replicates(run, NULL_ESTATES); r++) {
        struct cover_random random = cover_seed(run, (uint64_t)(192 + kind) << 32 | (uint64_t)r);
        make_estate(e, &nothing, null_kinds[kind].phi, &random);
        for (int b = 0; b < 2; b++) {
            watch_estate(notices, e, budgets[b]);
            cover_add(&flat[b], between(notices->flat, CELLS, 0, days) / budgets[b]);
            cover_add(&levels[b], on_levels(notices, 0, days) / budgets[b]);
            cover_add(&level[b][0], between(notices->parent, KPIS, 0, days) / budgets[b]);
            cover_add(&level[b][1], between(notices->unit, UNITS, 0, days) / budgets[b]);
            cover_add(&level[b][2], between(notices->cell, CELLS, 0, days) / budgets[b]);
        }
    }
    for (int b = 0; b < 2; b++) {
        static const char *const names[] = {"of parents", "of units", "of units' KPIs"};
        const double most = null_kinds[kind].most;
        char cell[40];
        snprintf(cell, sizeof cell, "%s, budget %g", null_kinds[kind].name, budgets[b]);
        cover_report_mean(run, cell, "flat: notices / budget", &flat[b],
                          (const double[]){null_kinds[kind].flat_least, most});
        cover_report_mean(run, cell, "levels: notices / budget", &levels[b],
                          (const double[]){NAN, most});
        for (int l = 0; l < 3; l++)
            cover_report_mean(run, cell, names[l], &level[b][l], (const double[]){NAN, NAN});
    }
}

/* ---- something happens everywhere ------------------------------------------------------------ */

static void common_step(struct cover_run *run, struct estate *e, struct estate_notices *notices)
{
    struct cover_mean flat = {0}, levels = {0}, first = {0}, unit_flat = {0}, unit_levels = {0};
    const int day = KPI_EVENT_DAY, later = KPI_EVENT_DAY + 10, unit = 7;
    const struct planted planted = {2, {{day, -1, KPIS, -.3}, {later, unit, KPIS, -.5}}};
    for (int r = 0; r < cover_replicates(run, EVENT_ESTATES); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(200) << 32 | (uint64_t)r);
        make_estate(e, &planted, 0, &random);
        watch_estate(notices, e, 4);
        cover_add(&flat, between(notices->flat, CELLS, day, day + 28));
        cover_add(&levels, on_levels(notices, day, day + 28) -
                               kpi_notices_between(&notices->unit[unit], later, day + 28));
        cover_add(&first, between(notices->parent, KPIS, day, day + 2) > 0);
        cover_add(&unit_flat, unit_found(notices, false, unit, later));
        cover_add(&unit_levels, unit_found(notices, true, unit, later));
    }
    const char *cell = "common step .3";
    cover_report_mean(run, cell, "flat: notices in 28 days", &flat, (const double[]){NAN, NAN});
    cover_report_mean(run, cell, "levels: notices in 28 days, the unit's own apart", &levels,
                      (const double[]){NAN, 10});
    cover_report_mean(run, cell, "levels: a parent fires on the first two days", &first,
                      (const double[]){.9, NAN});
    cover_report_mean(run, cell, "flat: a unit's step .5 ten days later is noticed", &unit_flat,
                      (const double[]){NAN, NAN});
    cover_report_mean(run, cell, "levels: the same", &unit_levels, (const double[]){.95, NAN});
}

/* Eight units' events and two common steps; four of the former in all KPIs, four in one. */
static void eventful_year(struct cover_run *run, struct estate *e, struct estate_notices *notices)
{
    struct cover_mean flat = {0}, levels = {0}, found_flat = {0}, found_levels = {0};
    struct planted planted = {.count = 10};
    for (int i = 0; i < 10; i++) {
        bool common = i % 5 == 4;
        planted.at[i].day = KPI_BASELINE + 30 + 30 * i;
        planted.at[i].unit = common ? -1 : 3 * i + 1;
        planted.at[i].kpis = common || i % 2 == 0 ? KPIS : 1;
        planted.at[i].size = common ? -.3 : i % 2 == 0 ? -.5 : 1;
    }
    for (int r = 0; r < cover_replicates(run, EVENT_ESTATES); r++) {
        struct cover_random random = cover_seed(run, UINT64_C(201) << 32 | (uint64_t)r);
        double seen[2] = {0, 0};
        make_estate(e, &planted, 0, &random);
        watch_estate(notices, e, 4);
        cover_add(&flat, between(notices->flat, CELLS, 0, KPI_YEAR_DAYS));
        cover_add(&levels, on_levels(notices, 0, KPI_YEAR_DAYS));
        for (int i = 0; i < planted.count; i++)
            for (int l = 0; l < 2 && planted.at[i].unit >= 0; l++)
                seen[l] += unit_found(notices, l == 1, planted.at[i].unit, planted.at[i].day);
        cover_add(&found_flat, seen[0]);
        cover_add(&found_levels, seen[1]);
    }
    const char *cell = "eventful year";
    cover_report_mean(run, cell, "flat: notices", &flat, (const double[]){NAN, NAN});
    cover_report_mean(run, cell, "levels: notices", &levels, (const double[]){NAN, 55});
    cover_report_mean(run, cell, "flat: units' events found, of 8", &found_flat,
                      (const double[]){NAN, NAN});
    cover_report_mean(run, cell, "levels: units' events found, of 8", &found_levels,
                      (const double[]){7.8, NAN});
}

void kpi_estate(struct cover_run *run)
{
    struct estate *e = calloc(1, sizeof *e);
    struct estate_notices *notices = calloc(1, sizeof *notices);
    if (e == NULL || notices == NULL)
        exit(2);
    cover_head("An estate of 40 units x 5 KPIs");
    for (int kind = 0; kind < 2; kind++)
        if (cover_wanted(run, null_kinds[kind].name))
            null_years(run, e, notices, kind);
    if (cover_wanted(run, "common step"))
        common_step(run, e, notices);
    if (cover_wanted(run, "eventful year"))
        eventful_year(run, e, notices);
    free(notices);
    free(e);
}
