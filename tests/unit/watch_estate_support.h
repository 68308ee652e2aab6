/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Estates made for a test: cells of a world in which something happens, judged. */
#ifndef TESTS_WATCH_ESTATE_SUPPORT_H
#define TESTS_WATCH_ESTATE_SUPPORT_H

#include "analytics/watch_estate.h"

#include "tests/unit/watch_support.h"

enum { FIRST = 20003, DAYS = 320, KPIS = 4, UNITS = 9 };

/* Cells of a whole world; unit 0 is the KPI as a whole. */
struct world {
    int kpis, units, days;
    double per_year, n, rho, phi, day_sd;
    struct cx_estate_kpi kpi[KPIS];
    struct cx_watch_bucket cell[KPIS][UNITS + 1][DAYS];
};

struct event {
    int kpi, unit, from, until; /* −1: all of them */
    double size;
};

static inline struct world *world_new(int kpis, int units, int days)
{
    struct world *world = calloc(1, sizeof *world);
    *world = (struct world){
        .kpis = kpis, .units = units, .days = days, .per_year = 4, .n = 30, .rho = .5};
    for (int k = 0; k < kpis; k++)
        world->kpi[k] = (struct cx_estate_kpi){.direction = 1, .composite = true, .n_min = 1};
    return world;
}

static inline void draw(struct world *world, uint64_t seed)
{
    struct cx_random random = cx_random_seed(seed, 5);
    double day[KPIS][UNITS + 1] = {{0}};
    for (int t = 0; t < world->days; t++)
        for (int u = 1; u <= world->units; u++) {
            double people = cx_random_normal(&random);
            for (int k = 0; k < world->kpis; k++) {
                double own = cx_random_normal(&random), shock = cx_random_normal(&random);
                double noise = sqrt(world->rho) * people + sqrt(1 - world->rho) * own;
                day[k][u] = world->phi * day[k][u] + sqrt(1 - world->phi * world->phi) * shock;
                world->cell[k][u][t] = (struct cx_watch_bucket){
                    .n = world->n,
                    .mean = noise / sqrt(world->n) + world->day_sd * day[k][u] + .1 * (t % 7 == 2),
                    .s2 = 1};
            }
        }
}

static inline void happen(struct world *world, struct event event)
{
    for (int k = 0; k < world->kpis; k++)
        for (int u = 1; u <= world->units; u++)
            for (int t = event.from; t < event.until && t < world->days; t++)
                if ((event.kpi < 0 || event.kpi == k) && (event.unit < 0 || event.unit == u - 1))
                    world->cell[k][u][t].mean += event.size;
}

/* The whole of each KPI from its units. */
static inline void merge(struct world *world)
{
    for (int k = 0; k < world->kpis; k++)
        for (int t = 0; t < world->days; t++) {
            struct cx_watch_bucket *whole = &world->cell[k][0][t];
            double n = 0, sum = 0;
            for (int u = 1; u <= world->units; u++) {
                n += world->cell[k][u][t].n;
                sum += world->cell[k][u][t].n * world->cell[k][u][t].mean;
            }
            whole->n = n;
            whole->mean = n > 0 ? sum / n : 0;
            whole->s2 = 1;
        }
}

static inline void gap(struct world *world, int kpi, int unit, int from, int until)
{
    for (int t = from; t < until; t++)
        world->cell[kpi][unit + 1][t] = (struct cx_watch_bucket){0};
}

/* ---- estates --------------------------------------------------------------------------------- */

static inline struct cx_estate *empty(const struct world *world, int capacity)
{
    struct cx_estate_config config = {FIRST,        capacity,        7,      world->kpis,
                                      world->units, world->per_year, realloc};
    struct cx_estate *estate = cx_estate_new(&config, world->kpi);
    cr_assert_not_null(estate);
    return estate;
}

static inline void ask(struct cx_estate *estate, const struct world *world, int units)
{
    for (int k = 0; k < world->kpis; k++)
        for (int u = -1; u < units; u++)
            cr_assert_not_null(cx_estate_cells(estate, k, u));
}

/* Writes days [from, until) of all cells asked for; says nothing. */
static inline void put(struct cx_estate *estate, const struct world *world, int from, int until)
{
    for (int k = 0; k < world->kpis; k++)
        for (int u = -1; u < world->units; u++)
            memcpy(cx_estate_cells(estate, k, u) + from, world->cell[k][u + 1] + from,
                   (size_t)(until - from) * sizeof(struct cx_watch_bucket));
}

static inline struct cx_estate *scratch(const struct world *world, int until)
{
    struct cx_estate *estate = empty(world, world->days);
    ask(estate, world, world->units);
    put(estate, world, 0, world->days);
    cr_assert(cx_estate_evaluate(estate, FIRST + until));
    return estate;
}

static inline const struct cx_estate_series *find(const struct cx_estate *estate,
                                                  enum cx_estate_level level, int kpi, int unit)
{
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        if (series->level == level && series->kpi == kpi && series->unit == unit)
            return series;
    }
    cr_assert_fail("no such series");
    return NULL;
}

static inline int notices(const struct cx_estate *estate, int level, int from, int until)
{
    int count = 0;
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        for (int e = 0; e < series->episodes; e++)
            count += (int)series->level == level && series->episode[e].incident >= FIRST + from &&
                     series->episode[e].incident < FIRST + until;
    }
    return count;
}

/* Incidents, what was joined counted once. */
static inline int incidents(const struct cx_estate *estate)
{
    int count = 0;
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        for (int e = 0; e < series->episodes; e++)
            count +=
                series->episode[e].joined_series == s && series->episode[e].joined_episode == e;
    }
    return count;
}

#endif
