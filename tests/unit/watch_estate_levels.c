/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The estate: autocorrelation and correlation that are fitted, episodes of each level, and which
 * notices are one incident. */
#include "tests/unit/watch_estate_support.h"

/* ---- what is fitted -------------------------------------------------------------------------- */

Test(watch_estate, rho_is_the_correlation_of_the_answers)
{
    for (int i = 0; i < 3; i++) {
        static const double rho[] = {0, .5, .8};
        struct world *world = world_new(4, 9, DAYS);
        world->rho = rho[i];
        world->kpi[1].direction = -1; /* and its answers run the other way */
        draw(world, 20);
        for (int u = 1; u <= 9; u++)
            for (int t = 0; t < DAYS; t++)
                world->cell[1][u][t].mean *= -1;
        happen(world, (struct event){-1, 4, 150, 400, 3}); /* is no correlation */
        merge(world);
        struct cx_estate *estate = scratch(world, DAYS - 1);
        cr_assert_float_eq(cx_estate_rho(estate), rho[i], .06, "%g: %g", rho[i],
                           cx_estate_rho(estate));
        cx_estate_free(estate);
        free(world);
    }
}

static struct cx_watch_memory memory_of(double phi, double day_sd, int kpis, int units, int level)
{
    struct world *world = world_new(kpis, units, DAYS);
    world->phi = phi;
    world->day_sd = day_sd;
    draw(world, 21);
    merge(world);
    struct cx_estate *estate = scratch(world, DAYS - 1);
    struct cx_watch_memory memory = cx_estate_rule(estate, level).memory;
    cx_estate_free(estate);
    free(world);
    return memory;
}

Test(watch_estate, autocorrelation_of_each_level)
{
    /* days of variance .04 among means of variance .033 + .04, each like the last by .7 */
    struct cx_watch_memory cell = memory_of(.7, .2, 4, 9, CX_ESTATE_CELL);
    cr_assert_float_eq(cell.a, .7 * .04 / (.04 + 1 / 30.0), .08, "%g", cell.a);
    cr_assert_float_eq(cell.phi, .7, .11, "%g", cell.phi);
    cr_assert_eq(memory_of(0, .2, 4, 9, CX_ESTATE_CELL).a, 0);
    /* four parents are too few for an own one: the estate's, and all of it is what is pooled */
    cr_assert(memory_of(.7, .2, 4, 9, CX_ESTATE_PARENT).a > .2);
    /* three series in all: none */
    cr_assert_eq(memory_of(.7, .2, 1, 2, CX_ESTATE_PARENT).a, 0);
}

/* A step that stays would pass for memory: what lies before the floor is left out, and an open
 * episode too. */
Test(watch_estate, episodes_are_no_memory)
{
    struct world *world = world_new(2, 9, DAYS);
    draw(world, 22);
    for (int u = 0; u < 8; u++) { /* in pairs, so that the rest of the others stays */
        double size = u % 2 ? 1.5 : -1.5;
        happen(world, (struct event){-1, u, 160 + 5 * (u / 2), DAYS, size});
        happen(world, (struct event){-1, u, DAYS - 12, DAYS, size});
        happen(world, (struct event){-1, u, 220, 228, size});
    }
    merge(world);
    struct cx_estate *estate = scratch(world, DAYS - 1);
    cr_assert(notices(estate, CX_ESTATE_CELL, 0, DAYS) >= 30);
    cr_assert_lt(cx_estate_rule(estate, CX_ESTATE_CELL).memory.a, .05);
    cx_estate_free(estate);
    free(world);
}

/* ---- episodes and what they belong to -------------------------------------------------------- */

Test(watch_estate, a_units_step_is_one_incident)
{
    struct world *world = world_new(4, 9, 200);
    draw(world, 30);
    happen(world, (struct event){-1, 4, 150, 200, -.8});
    merge(world);
    struct cx_estate *estate = scratch(world, 165);
    const struct cx_estate_series *unit = find(estate, CX_ESTATE_UNIT, -1, 4);
    cr_assert_eq(unit->episodes, 1);
    cr_assert(unit->episode[0].incident >= FIRST + 150 && unit->episode[0].incident < FIRST + 153);
    cr_assert_eq(unit->episode[0].sign, -1);
    cr_assert_eq(unit->episode[0].closed, INT64_MIN);
    cr_assert_eq(unit->episode[0].how, CX_WATCH_NOTHING);
    cr_assert_eq(unit->now.episode_state, CX_WATCH_FIRING);
    cr_assert_eq(cx_estate_series(estate, unit->episode[0].joined_series), unit);
    cr_assert(unit->episode[0].class.low < -.8 && unit->episode[0].class.high > -.8);
    int joined = 0;
    for (int k = 0; k < 4; k++) {
        const struct cx_estate_series *cell = find(estate, CX_ESTATE_CELL, k, 4);
        for (int e = 0; e < cell->episodes; e++)
            joined += cx_estate_series(estate, cell->episode[e].joined_series) == unit &&
                      cell->episode[e].joined_episode == 0;
    }
    cr_assert(joined >= 3, "%d", joined);
    cr_assert_eq(incidents(estate), 2); /* the unit, and what its fall makes of the wholes */
    /* three weeks on it is the new level */
    cr_assert(cx_estate_evaluate(estate, FIRST + 199));
    unit = find(estate, CX_ESTATE_UNIT, -1, 4);
    cr_assert_eq(unit->episodes, 1);
    cr_assert_eq(unit->episode[0].how, CX_WATCH_NEW_LEVEL);
    cr_assert_eq(unit->episode[0].closed, unit->episode[0].incident + 21);
    cr_assert_eq(unit->episode[0].class.verdict, CX_WATCH_SHIFT);
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, a_common_step_is_few_notices)
{
    struct world *world = world_new(4, 9, 200);
    draw(world, 31);
    happen(world, (struct event){-1, -1, 150, 200, -.5});
    merge(world);
    struct cx_estate *estate = scratch(world, 178);
    cr_assert_eq(notices(estate, CX_ESTATE_PARENT, 150, 179), 4);
    cr_assert_eq(notices(estate, CX_ESTATE_UNIT, 150, 179), 0);
    cr_assert_eq(notices(estate, CX_ESTATE_CELL, 150, 179), 0);
    cr_assert_eq(incidents(estate), 1);
    cx_estate_free(estate);
    free(world);
}

/* Parents within seven days of the first one belong to it; the next begins an incident. */
Test(watch_estate, parents_join_the_first)
{
    struct world *world = world_new(4, 9, 220);
    draw(world, 32);
    static const int day[] = {155, 150, 157, 158};
    for (int k = 0; k < 4; k++)
        happen(world, (struct event){k, -1, day[k], 220, k % 2 ? 1 : -1});
    merge(world);
    struct cx_estate *estate = scratch(world, 170);
    const struct cx_estate_series *series[4];
    for (int k = 0; k < 4; k++) {
        series[k] = find(estate, CX_ESTATE_PARENT, k, -1);
        cr_assert_eq(series[k]->episodes, 1);
        cr_assert_eq(series[k]->episode[0].incident, FIRST + day[k]);
    }
    cr_assert_eq(cx_estate_series(estate, series[1]->episode[0].joined_series), series[1]);
    cr_assert_eq(cx_estate_series(estate, series[0]->episode[0].joined_series), series[1]);
    cr_assert_eq(cx_estate_series(estate, series[2]->episode[0].joined_series), series[1]);
    cr_assert_eq(cx_estate_series(estate, series[3]->episode[0].joined_series), series[3]);
    cx_estate_free(estate);
    free(world);
}

/* A unit's KPI that follows its unit within 14 days belongs to it, later it does not. */
Test(watch_estate, cells_join_their_unit_for_a_while)
{
    for (int i = 0; i < 2; i++) {
        struct world *world = world_new(4, 9, 220);
        int lag = i == 0 ? 14 : 15;
        draw(world, 33);
        happen(world, (struct event){1, 4, 150, 220, -1.5});
        happen(world, (struct event){2, 4, 150, 220, -1.5});
        happen(world, (struct event){0, 4, 150 + lag, 220, -1.5});
        merge(world);
        struct cx_estate *estate = scratch(world, 180);
        const struct cx_estate_series *unit = find(estate, CX_ESTATE_UNIT, -1, 4);
        const struct cx_estate_series *cell = find(estate, CX_ESTATE_CELL, 0, 4);
        cr_assert(unit->episodes >= 1 && unit->episode[0].incident == FIRST + 150);
        cr_assert_eq(cell->episodes, 1);
        cr_assert_eq(cell->episode[0].incident, FIRST + 150 + lag);
        const struct cx_estate_series *root =
            cx_estate_series(estate, cell->episode[0].joined_series);
        cr_assert_eq(root, i == 0 ? unit : cell);
        cx_estate_free(estate);
        free(world);
    }
}

/* Better on one KPI is more, on another less: together the unit is better, or it is neither. */
Test(watch_estate, composites_go_by_direction)
{
    for (int i = 0; i < 2; i++) {
        struct world *world = world_new(2, 9, 200);
        world->kpi[1].direction = -1;
        world->rho = 0;
        draw(world, 34);
        happen(world, (struct event){0, 4, 150, 200, .8});
        happen(world, (struct event){1, 4, 150, 200, i == 0 ? -.8 : .8});
        merge(world);
        struct cx_estate *estate = scratch(world, 165);
        const struct cx_estate_series *unit = find(estate, CX_ESTATE_UNIT, -1, 4);
        cr_assert_eq(unit->episodes, i == 0);
        cr_assert(i == 1 || unit->episode[0].sign == 1);
        cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 4)->episodes, 1);
        cr_assert_eq(find(estate, CX_ESTATE_CELL, 1, 4)->episode[0].sign, i == 0 ? -1 : 1);
        cx_estate_free(estate);
        free(world);
    }
}

Test(watch_estate, a_kpi_may_be_left_out_of_composites)
{
    struct world *world = world_new(3, 9, 200);
    draw(world, 34);
    happen(world, (struct event){2, 4, 150, 200, 2});
    merge(world);
    for (int i = 0; i < 2; i++) {
        world->kpi[2].composite = i == 0;
        struct cx_estate *estate = scratch(world, 165);
        cr_assert_eq(find(estate, CX_ESTATE_UNIT, -1, 4)->episodes, i == 0);
        cr_assert_eq(find(estate, CX_ESTATE_CELL, 2, 4)->episodes, 1);
        cx_estate_free(estate);
    }
    free(world);
}

/* Two dips of one kind within four weeks: one incident, opened twice. */
Test(watch_estate, what_comes_back_is_the_same_incident)
{
    struct world *world = world_new(4, 9, 240);
    draw(world, 38);
    happen(world, (struct event){1, -1, 150, 154, -1});
    happen(world, (struct event){1, -1, 170, 174, -1});
    merge(world);
    struct cx_estate *estate = scratch(world, 165);
    const struct cx_estate_series *parent = find(estate, CX_ESTATE_PARENT, 1, -1);
    cr_assert_eq(parent->episodes, 1);
    cr_assert_eq(parent->episode[0].how, CX_WATCH_RECOVERED);
    cr_assert(parent->episode[0].closed > FIRST + 154 && parent->episode[0].closed < FIRST + 166);
    cr_assert(cx_estate_evaluate(estate, FIRST + 171));
    parent = find(estate, CX_ESTATE_PARENT, 1, -1);
    cr_assert_eq(parent->episodes, 1);
    cr_assert_eq(parent->episode[0].incident, FIRST + 150);
    cr_assert_eq(parent->episode[0].opened, FIRST + 170);
    cr_assert_eq(parent->episode[0].closed, INT64_MIN);
    cr_assert_eq(parent->episode[0].how, CX_WATCH_NOTHING);
    cr_assert(cx_estate_evaluate(estate, FIRST + 239));
    parent = find(estate, CX_ESTATE_PARENT, 1, -1);
    cr_assert_eq(parent->episodes, 1);
    cr_assert_eq(parent->episode[0].how, CX_WATCH_RECOVERED);
    cr_assert(parent->episode[0].class.start == FIRST + 170, "newest, of its last opening");
    cx_estate_free(estate);
    free(world);
}

Test(watch_estate, flagged_days_are_not_judged)
{
    static const unsigned flags[] = {0, CX_WATCH_SUSPECT, CX_WATCH_CALENDAR};
    for (int i = 0; i < 3; i++) {
        struct world *world = world_new(4, 9, 200);
        draw(world, 36);
        happen(world, (struct event){-1, 4, 150, 152, -3});
        happen(world, (struct event){-1, 5, 150, 152, 3}); /* the rest of the others stays */
        happen(world, (struct event){2, -1, 150, 152, 2});
        merge(world);
        for (int t = 150; t < 152; t++) {
            for (int k = 0; k < 4; k++)
                world->cell[k][5][t].flags = world->cell[k][6][t].flags = flags[i];
            world->cell[2][0][t].flags = flags[i];
        }
        struct cx_estate *estate = scratch(world, 151);
        int found = notices(estate, CX_ESTATE_PARENT, 150, 152) +
                    notices(estate, CX_ESTATE_UNIT, 150, 152) +
                    notices(estate, CX_ESTATE_CELL, 150, 152);
        const struct cx_estate_series *unit = find(estate, CX_ESTATE_UNIT, -1, 4);
        cr_assert(i == 0 ? found >= 6 : found == 0, "%d: %d", i, found);
        cr_assert_eq(unit->now.state == CX_WATCH_NO_DATA, i > 0);
        cr_assert_eq(find(estate, CX_ESTATE_PARENT, 2, -1)->now.state == CX_WATCH_NO_DATA, i > 0);
        cr_assert_neq(find(estate, CX_ESTATE_PARENT, 1, -1)->now.state, CX_WATCH_NO_DATA);
        cx_estate_free(estate);
        free(world);
    }
}

Test(watch_estate, too_few_answers_are_not_judged)
{
    struct world *world = world_new(2, 9, 200);
    world->kpi[0].n_min = 31;
    world->kpi[1].n_min = 61;
    draw(world, 37);
    happen(world, (struct event){-1, 4, 150, 200, -2});
    merge(world);
    struct cx_estate *estate = scratch(world, 160);
    cr_assert_eq(notices(estate, CX_ESTATE_CELL, 0, 200), 0);
    cr_assert_eq(find(estate, CX_ESTATE_CELL, 0, 4)->now.state, CX_WATCH_INSUFFICIENT_N);
    /* a unit needs what the most demanding of its KPIs does; these are 60 answers */
    cr_assert_eq(notices(estate, CX_ESTATE_UNIT, 0, 200), 0);
    cr_assert_eq(find(estate, CX_ESTATE_UNIT, -1, 4)->now.state, CX_WATCH_INSUFFICIENT_N);
    cr_assert_eq(cx_estate_rule(estate, CX_ESTATE_UNIT).judged, 0);
    cr_assert_eq(notices(estate, CX_ESTATE_PARENT, 150, 200), 2);
    cx_estate_free(estate);
    world->kpi[1].n_min = 60;
    estate = scratch(world, 160);
    cr_assert_eq(find(estate, CX_ESTATE_UNIT, -1, 4)->episodes, 1);
    cx_estate_free(estate);
    free(world);
}

/* Silence says nothing: what is known of an open episode is what its last answers told. */
Test(watch_estate, an_open_episode_outlasts_a_gap)
{
    struct world *world = world_new(4, 9, 200);
    draw(world, 39);
    happen(world, (struct event){-1, 4, 150, 200, -.8});
    for (int k = 0; k < 4; k++)
        gap(world, k, 4, 158, 161);
    merge(world);
    struct cx_estate *before = scratch(world, 157), *after = scratch(world, 160);
    const struct cx_estate_series *a = find(before, CX_ESTATE_UNIT, -1, 4);
    const struct cx_estate_series *b = find(after, CX_ESTATE_UNIT, -1, 4);
    cr_assert_eq(b->now.state, CX_WATCH_NO_DATA);
    cr_assert_eq(b->last_answers, FIRST + 157);
    cr_assert(a->episodes == 1 && b->episodes == 1 && b->episode[0].closed == INT64_MIN);
    cr_assert(b->episode[0].class.size < 0 && b->episode[0].split.z > 3);
    cr_assert_eq(memcmp(&a->episode[0], &b->episode[0], sizeof a->episode[0]), 0);
    cx_estate_free(before);
    cx_estate_free(after);
    free(world);
}
