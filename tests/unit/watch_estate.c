/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The estate: what is found does not depend on how it was asked for; series and thresholds. Worlds
 * are made with everything that makes a series awkward: units that come late, gaps, flagged days,
 * events. Two estates are compared bit for bit. */
#include "tests/unit/watch_estate_support.h"

/* Late units, late KPIs, gaps, flags, small days, events of every kind. */
static struct world *awkward(uint64_t seed)
{
    struct world *world = world_new(KPIS, UNITS, DAYS);
    world->kpi[1].direction = -1;
    world->kpi[2].n_min = 12;
    world->kpi[3].composite = seed % 2 == 0;
    world->day_sd = .1;
    world->phi = .4;
    world->per_year = 60;
    draw(world, seed);
    for (int u = 1; u <= UNITS; u++)
        for (int t = 0; t < DAYS; t++)
            world->cell[1][u][t].mean *= -1;
    happen(world, (struct event){-1, 2, 120, 140, -1});
    happen(world, (struct event){0, 4, 150, DAYS, .8});
    happen(world, (struct event){-1, -1, 200, DAYS, -.4});
    happen(world, (struct event){2, 7, 290, DAYS, -1.2});
    happen(world, (struct event){1, -1, 250, 262, .7});
    happen(world, (struct event){1, -1, 275, 280, .7});
    for (int u = 0; u < UNITS; u++)
        gap(world, 3, u, 0, 31);
    for (int k = 0; k < KPIS; k++) {
        gap(world, k, 6, 0, 97 + 2 * k);
        gap(world, k, 3, 210, 230 + k);
        world->cell[k][6][161].flags = CX_WATCH_SUSPECT;
    }
    struct cx_random random = cx_random_seed(seed, 6);
    for (int i = 0; i < 400; i++) {
        int t = (int)cx_random_below(&random, DAYS), u = (int)cx_random_below(&random, UNITS);
        struct cx_watch_bucket *cell = &world->cell[cx_random_below(&random, KPIS)][u + 1][t];
        cell->n = fmin(cell->n, cx_random_below(&random, 15));
    }
    merge(world);
    world->cell[2][0][255].flags = CX_WATCH_CALENDAR;
    return world;
}

/* ---- equal to the last bit ------------------------------------------------------------------- */

#define SAME(a, b) cr_assert_eq(memcmp(&(a), &(b), sizeof(a)), 0, #a)

static void same_report(const struct cx_watch_report *a, const struct cx_watch_report *b)
{
    SAME(a->state, b->state);
    SAME(a->episode_state, b->episode_state);
    SAME(a->change, b->change);
    cr_assert_eq(a->notice, b->notice);
    SAME(a->incident, b->incident);
    SAME(a->split, b->split);
    SAME(a->class, b->class);
}

static void same_series(const struct cx_estate_series *a, const struct cx_estate_series *b,
                        int days)
{
    cr_assert(a->level == b->level && a->kpi == b->kpi && a->unit == b->unit);
    SAME(a->baseline, b->baseline);
    SAME(a->judged_from, b->judged_from);
    SAME(a->last_answers, b->last_answers);
    SAME(a->profile, b->profile);
    same_report(&a->now, &b->now);
    for (int t = 0; t < days && a->baseline > 0; t++) {
        SAME(a->point[t].r, b->point[t].r);
        SAME(a->point[t].w, b->point[t].w);
        SAME(a->point[t].n, b->point[t].n);
        SAME(a->point[t].data, b->point[t].data);
    }
    cr_assert_eq(a->episodes, b->episodes, "%d/%d: %d, %d", a->kpi, a->unit, a->episodes,
                 b->episodes);
    for (int e = 0; e < a->episodes; e++)
        SAME(a->episode[e], b->episode[e]);
}

static void same(const struct cx_estate *a, const struct cx_estate *b, int until)
{
    double rho[2] = {cx_estate_rho(a), cx_estate_rho(b)};
    cr_assert_eq(cx_estate_series_count(a), cx_estate_series_count(b));
    cr_assert_eq(cx_estate_flat(a), cx_estate_flat(b));
    SAME(rho[0], rho[1]);
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_estate_rule x = cx_estate_rule(a, l), y = cx_estate_rule(b, l);
        SAME(x.series, y.series);
        SAME(x.fire, y.fire);
        SAME(x.clear, y.clear);
        SAME(x.memory, y.memory);
        SAME(x.expected, y.expected);
        SAME(x.judged, y.judged);
    }
    for (int s = 0; s < cx_estate_series_count(a); s++)
        same_series(cx_estate_series(a, s), cx_estate_series(b, s), until + 1);
}

Test(watch_estate, day_by_day_is_as_all_at_once)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct world *world = awkward(seed);
        struct cx_estate *once = scratch(world, DAYS - 1), *daily = empty(world, DAYS);
        int found = incidents(once);
        ask(daily, world, UNITS);
        for (int t = 0; t < DAYS; t++) {
            put(daily, world, t, t + 1);
            cr_assert(cx_estate_evaluate(daily, FIRST + t));
        }
        same(once, daily, DAYS - 1);
        cr_assert(found >= 8 && notices(once, CX_ESTATE_UNIT, 0, DAYS) > 0 &&
                      notices(once, CX_ESTATE_CELL, 0, DAYS) > 0 &&
                      notices(once, CX_ESTATE_PARENT, 0, DAYS) > 0,
                  "%d: too little happens in this world to show anything", found);
        cr_assert(cx_estate_rho(once) > .1);
        cr_assert(cx_estate_rule(once, CX_ESTATE_CELL).memory.a > 0);
        cx_estate_free(once);
        cx_estate_free(daily);
        free(world);
    }
}

/* Answers that come late, in any order, while days are added and looked back at. */
Test(watch_estate, late_answers_are_as_if_on_time)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world *world = awkward(seed);
        struct cx_estate *late = empty(world, DAYS);
        struct cx_random random = cx_random_seed(seed, 7);
        int until = 150;
        bool missing[DAYS] = {false};
        ask(late, world, UNITS);
        put(late, world, 0, DAYS);
        for (int t = 0; t < DAYS; t++) { /* half of all days lack a KPI's units at first */
            missing[t] = cx_random_chance(&random, .5);
            for (int u = 0; u <= UNITS && missing[t]; u += 2)
                cx_estate_cells(late, t % KPIS, u - 1)[t].n = 0;
        }
        for (int round = 0; round < 60; round++) {
            cr_assert(cx_estate_evaluate(late, FIRST + until));
            int reach = round % 4 == 0 ? until : round % 4 == 1 ? 40 : 8;
            int day = until - (int)cx_random_below(&random, (uint32_t)reach);
            put(late, world, day, day + 1);
            missing[day] = false;
            cx_estate_changed(late, FIRST + day);
            until += (int)cx_random_below(&random, 12) - 4;
            until = until < DAYS ? until : DAYS - 1;
        }
        for (int t = DAYS - 1; t >= 0; t -= missing[t] ? 7 : 1) {
            put(late, world, t, t + 1);
            cx_estate_changed(late, FIRST + t);
        }
        for (int t = 0; t < DAYS; t++) { /* what was passed over above */
            put(late, world, t, t + 1);
            cx_estate_changed(late, FIRST + t);
            if (t % 40 == 0)
                cr_assert(cx_estate_evaluate(late, FIRST + DAYS - 1 - t % 3));
        }
        cr_assert(cx_estate_evaluate(late, FIRST + DAYS - 1));
        struct cx_estate *once = scratch(world, DAYS - 1);
        same(once, late, DAYS - 1);
        cx_estate_free(once);
        cx_estate_free(late);
        free(world);
    }
}

/* Each late day alone, evaluated at once: replay from each checkpoint, and from the start. */
Test(watch_estate, one_late_day_wherever_it_is)
{
    struct world *world = awkward(4);
    struct cx_estate *once = scratch(world, DAYS - 1), *late = empty(world, DAYS);
    struct cx_watch_bucket kept;
    ask(late, world, UNITS);
    put(late, world, 0, DAYS);
    for (int back = 1; back < 60; back += back < 16 ? 1 : 5) {
        int day = DAYS - back, kpi = back % KPIS, unit = back % UNITS;
        struct cx_watch_bucket *cell = &cx_estate_cells(late, kpi, unit)[day];
        kept = *cell;
        cell->mean += 2;
        cx_estate_changed(late, FIRST + day);
        cr_assert(cx_estate_evaluate(late, FIRST + DAYS - 1));
        *cell = kept;
        cx_estate_changed(late, FIRST + day);
        cr_assert(cx_estate_evaluate(late, FIRST + DAYS - 1));
        same(once, late, DAYS - 1);
    }
    cx_estate_free(once);
    cx_estate_free(late);
    free(world);
}

/* Looked at on an earlier day again, a few days back and many, and then on the last. */
Test(watch_estate, going_back_and_forth)
{
    static const int days[] = {DAYS - 3, DAYS - 30, DAYS - 1, 100, DAYS - 1};
    struct world *world = awkward(7);
    struct cx_estate *estate = scratch(world, DAYS - 1);
    for (int i = 0; i < 5; i++) {
        struct cx_estate *once = scratch(world, days[i]);
        cr_assert(cx_estate_evaluate(estate, FIRST + days[i]));
        same(once, estate, days[i]);
        cx_estate_free(once);
    }
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, a_unit_asked_for_later_is_as_from_the_start)
{
    struct world *world = awkward(5);
    struct cx_estate *grown = empty(world, DAYS);
    ask(grown, world, 3);
    for (int k = 0; k < KPIS; k++)
        for (int u = -1; u < 3; u++)
            memcpy(cx_estate_cells(grown, k, u), world->cell[k][u + 1],
                   sizeof world->cell[k][u + 1]);
    cr_assert(cx_estate_evaluate(grown, FIRST + 250));
    cr_assert_eq(cx_estate_series_count(grown), KPIS + 3 + 3 * KPIS);
    ask(grown, world, UNITS);
    put(grown, world, 0, DAYS);
    cr_assert(cx_estate_evaluate(grown, FIRST + DAYS - 1));
    struct cx_estate *once = scratch(world, DAYS - 1);
    same(once, grown, DAYS - 1);
    cx_estate_free(once);
    cx_estate_free(grown);
    free(world);
}

/* What was told on a day is told whatever comes after it. */
Test(watch_estate, the_past_does_not_know_the_future)
{
    struct world *world = awkward(6);
    struct cx_estate *whole = scratch(world, DAYS - 1);
    for (int until = 90; until < DAYS; until += 37) {
        struct cx_estate *then = scratch(world, until); /* later cells are filled, not read */
        for (int s = 0; s < cx_estate_series_count(whole); s++) {
            const struct cx_estate_series *a = cx_estate_series(then, s);
            const struct cx_estate_series *b = cx_estate_series(whole, s);
            int before = 0;
            for (int e = 0; e < b->episodes; e++)
                before += b->episode[e].incident <= FIRST + until;
            cr_assert_eq(a->episodes, before);
            for (int e = 0; e < before; e++) {
                cr_assert_eq(a->episode[e].incident, b->episode[e].incident);
                cr_assert_eq(a->episode[e].joined_series, b->episode[e].joined_series);
            }
            for (int t = 0; t <= until && a->judged_from > 0 && t >= a->judged_from - FIRST; t++)
                SAME(a->point[t].w, b->point[t].w);
        }
        cx_estate_free(then);
    }
    cx_estate_free(whole);
    free(world);
}

/* ---- series and thresholds ------------------------------------------------------------------- */

/* By the estate's series that can be judged on a day; CX_ESTATE_LEVELS: of all as one level. */
static double threshold_of(const struct cx_estate *estate, int day, int level, double per_year)
{
    struct cx_watch_limits limits[CX_ESTATE_LEVELS] = {{0}};
    double part[CX_ESTATE_LEVELS];
    bool flat = level == CX_ESTATE_LEVELS;
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        if (series->baseline == 0 || series->judged_from > FIRST + day)
            continue;
        double weight = 0;
        for (int t = series->baseline - CX_WATCH_BASELINE; t < series->baseline; t++)
            weight += series->point[t].w / CX_WATCH_BASELINE;
        cr_assert_float_eq(series->least, .1 * series->profile.sd * sqrt(weight), 1e-12);
        cx_watch_limits_add(&limits[flat ? 0 : series->level], series->least);
    }
    cx_watch_parts(per_year, limits, part, CX_ESTATE_LEVELS);
    return cx_watch_limits_threshold(&limits[flat ? 0 : level], part[flat ? 0 : level]);
}

Test(watch_estate, levels_and_their_thresholds)
{
    struct world *world = world_new(3, 6, 200);
    world->per_year = 12;
    world->kpi[2].composite = false;
    draw(world, 11);
    for (int k = 0; k < 3; k++)
        gap(world, k, 5, 0, 90); /* its series begins later, and so does its baseline */
    merge(world);
    struct cx_estate *estate = scratch(world, 199);
    cr_assert_not(cx_estate_flat(estate));
    cr_assert_eq(cx_estate_series_count(estate), 3 + 6 + 18);
    static const int all[] = {3, 6, 18}, early[] = {3, 5, 15};
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_estate_rule rule = cx_estate_rule(estate, l);
        cr_assert_eq(rule.series, all[l]);
        cr_assert_eq(rule.fire, threshold_of(estate, 199, l, 12));
        cr_assert_eq(rule.clear, fmin(3, rule.fire - .5));
    }
    const struct cx_estate_series *late = find(estate, CX_ESTATE_CELL, 0, 5);
    cr_assert(late->baseline == 146, "%d", late->baseline);
    cr_assert_eq(late->judged_from, FIRST + 146);
    cr_assert(cx_estate_evaluate(estate, FIRST + 145));
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        cr_assert_eq(cx_estate_rule(estate, l).series, early[l]);
        cr_assert_eq(cx_estate_rule(estate, l).fire, threshold_of(estate, 145, l, 12));
    }
    cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 5)->baseline, 146);
    cr_assert(cx_estate_evaluate(estate, FIRST + 144));
    cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 5)->baseline, 0);
    cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 5)->last_answers, FIRST + 144);
    cr_assert_null(find(estate, CX_ESTATE_CELL, 0, 5)->point);
    cx_estate_free(estate);
    free(world);
}

/* 64 judged days of 27 series without a gap; every series counts in what chance does. */
Test(watch_estate, expected_by_chance)
{
    struct world *world = world_new(3, 6, 120);
    draw(world, 12);
    gap(world, 1, 2, 100, 110);
    merge(world);
    struct cx_estate *estate = scratch(world, 119);
    static const int series[] = {3, 6, 18};
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_estate_rule rule = cx_estate_rule(estate, l);
        int judged = series[l] * (120 - CX_WATCH_BASELINE) - (l == CX_ESTATE_CELL ? 10 : 0);
        cr_assert_eq(rule.judged, judged);
        /* the threshold was chosen for a third of 4 a year over all of them */
        double expected = 4.0 / 3 * judged / (365.0 * series[l]);
        if (rule.fire > 3.3)
            cr_assert_float_eq(rule.expected, expected, 1e-9 * expected);
        else
            cr_assert(rule.expected < expected);
    }
    cr_assert(cx_estate_rule(estate, CX_ESTATE_CELL).fire > 3.3);
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, few_series_are_flat)
{
    struct world *world = world_new(2, 2, 200); /* 2 + 2 + 4 = 8: levels; 1 KPI: 1 + 2 = 3 */
    draw(world, 13);
    happen(world, (struct event){0, 1, 130, 200, 1});
    merge(world);
    struct cx_estate *levels = scratch(world, 199);
    cr_assert_not(cx_estate_flat(levels));
    world->kpis = 1;
    struct cx_estate *flat = scratch(world, 199);
    cr_assert(cx_estate_flat(flat));
    cr_assert_eq(cx_estate_series_count(flat), 3);
    const struct cx_estate_series *unit = find(flat, CX_ESTATE_CELL, 0, 1);
    cr_assert_eq(unit->episodes, 1);
    cr_assert(unit->episode[0].incident >= FIRST + 130 && unit->episode[0].incident < FIRST + 134);
    /* its own mean, not that against the rest: the other unit is quiet */
    cr_assert_eq(unit->point[150].n, 30);
    cr_assert_float_eq(unit->point[150].r + unit->profile.effect[(FIRST + 150) % 7],
                       world->cell[0][2][150].mean, 1e-12);
    cr_assert_eq(find(flat, CX_ESTATE_CELL, 0, 0)->episodes, 0);
    double fire = threshold_of(flat, 199, CX_ESTATE_LEVELS, 4);
    cr_assert_eq(cx_estate_rule(flat, CX_ESTATE_PARENT).fire, fire);
    cr_assert_eq(cx_estate_rule(flat, CX_ESTATE_CELL).fire, fire);
    cr_assert_eq(cx_estate_rule(flat, CX_ESTATE_PARENT).series, 1);
    cr_assert_eq(cx_estate_rule(flat, CX_ESTATE_CELL).series, 2);
    cx_estate_free(levels);
    cx_estate_free(flat);
    free(world);
}

Test(watch_estate, one_unit_is_its_whole)
{
    struct world *world = world_new(3, 1, 150);
    draw(world, 14);
    merge(world);
    struct cx_estate *estate = scratch(world, 149);
    cr_assert_eq(cx_estate_series_count(estate), 3);
    cr_assert(cx_estate_flat(estate));
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, one_kpi_has_no_composites)
{
    struct world *world = world_new(1, 9, 200);
    draw(world, 15);
    happen(world, (struct event){0, 3, 130, 200, -.8});
    merge(world);
    struct cx_estate *estate = scratch(world, 199);
    cr_assert_eq(cx_estate_series_count(estate), 10);
    cr_assert_not(cx_estate_flat(estate));
    /* two levels share the budget: the KPI alone cannot spend half of it */
    double parent = cx_estate_rule(estate, CX_ESTATE_PARENT).per_year;
    cr_assert_eq(cx_estate_rule(estate, CX_ESTATE_PARENT).fire, 3.3);
    cr_assert(parent < 2);
    cr_assert_float_eq(cx_estate_rule(estate, CX_ESTATE_CELL).per_year, 4 - parent, 1e-9);
    cr_assert_eq(cx_estate_rule(estate, CX_ESTATE_UNIT).series, 0);
    cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 3)->episodes, 1);
    cr_assert_eq(cx_estate_rho(estate), 0);
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, nothing_to_judge)
{
    struct world *world = world_new(3, 6, 200);
    draw(world, 16);
    merge(world);
    struct cx_estate *none = empty(world, 200);
    cr_assert(cx_estate_evaluate(none, FIRST + 100));
    cr_assert_eq(cx_estate_series_count(none), 0);
    cr_assert_eq(cx_estate_rule(none, CX_ESTATE_PARENT).series, 0);
    cx_estate_free(none);

    struct cx_estate *early = scratch(world, -5);
    cr_assert_eq(cx_estate_series_count(early), 27);
    cr_assert_eq(find(early, CX_ESTATE_PARENT, 0, -1)->last_answers, INT64_MIN);
    cr_assert_eq(cx_estate_rule(early, CX_ESTATE_PARENT).series, 0);
    cr_assert(cx_estate_evaluate(early, FIRST + 54)); /* a day short of a baseline */
    cr_assert_eq(find(early, CX_ESTATE_PARENT, 0, -1)->baseline, 0);
    cr_assert_eq(cx_estate_rule(early, CX_ESTATE_PARENT).judged, 0);
    cr_assert(cx_estate_evaluate(early, FIRST + 5000)); /* clipped */
    cr_assert_eq(cx_estate_rule(early, CX_ESTATE_PARENT).judged, 3 * (200 - CX_WATCH_BASELINE));
    struct cx_estate *once = scratch(world, 199);
    same(once, early, 199);
    cx_estate_free(once);
    cx_estate_free(early);
    cx_estate_free(NULL);
    free(world);
}
