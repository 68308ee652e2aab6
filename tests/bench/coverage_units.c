/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forty units of 20 … 400 rows (evenly in the logarithm), six drivers, an intercept and a
 * correlation of the drivers (.3 … .5) of each unit's own, residual variance .658. Coefficients are
 * .34, .20, .13, .07, .03, 0 and a deviation of each unit, whose SD is the cell: 0, .05, .1, or .15
 * and .1 for the first two drivers and 0 for the others. Judged: coverage over all, and root mean
 * square errors by size of unit against those of the method's reference simulation (three
 * decimals), of √weight for shares of R². */
#include "tests/bench/coverage_parts.h"

#include "analytics/importance.h"
#include "analytics/solve_units.h"

enum { P = 6, UNITS = 40, BANDS = 4, CELLS = 4, OWN_REPLICATES = 320 };
#define RESIDUAL 0.658
#define HALF_A_DIGIT 0.0005 /* the references are rounded */

static const double typical[P] = {.34, .20, .13, .07, .03, 0};

struct cell {
    const char *name;
    double sd[P];
    double coef[BANDS], weight[BANDS]; /* reference errors: 20-50, -100, -200, -400 rows */
};

static const struct cell cells[CELLS] = {
    {"sd 0", {0}, {.014, .015, .015, .015}, {.015, .015, .015, .015}},
    {"sd .05", {.05, .05, .05, .05, .05, .05}, {.050, .048, .045, .039}, {.037, .035, .032, .028}},
    {"sd .1", {.1, .1, .1, .1, .1, .1}, {.088, .077, .065, .051}, {.057, .049, .042, .033}},
    {"unequal sd", {.15, .1}, {.061, .053, .046, .038}, {.045, .039, .034, .028}},
};

struct unit {
    struct cover_population from;
    int n;
    double weight[P]; /* true √weights */
};

struct world {
    struct unit unit[UNITS];
    cx_wide *cell[UNITS];
};

struct tally {
    struct cover_mean covered[2], driver[2][P], square[2][BANDS]; /* coefficients, weights */
};

static void draw(struct world *world, const struct cell *cell, struct cover_random *random)
{
    for (int u = 0; u < UNITS; u++) {
        struct unit *unit = &world->unit[u];
        unit->n = (int)lround(20 * pow(20, u / (UNITS - 1.0)));
        unit->from = (struct cover_population){.p = P, .noise = sqrt(RESIDUAL)};
        unit->from.rho = .3 + .2 * cx_random_unit(&random->random);
        for (int j = 0; j < P; j++)
            unit->from.b[j] = typical[j] + cell->sd[j] * cover_normal(random);
        struct cover_truth truth;
        cover_truth(&unit->from, &truth);
        for (int j = 0; j < P; j++)
            unit->weight[j] = sqrt(truth.weight[j]);
        for (size_t i = 0; i < cx_moments_cells(P + 1); i++)
            world->cell[u][i] = 0;
        double origin = cover_normal(random);
        for (int r = 0; r < unit->n; r++) {
            double row[P + 1];
            int64_t z[P + 1];
            cover_row(&unit->from, random, 0, row);
            for (int c = 0; c <= P; c++)
                z[c] = llround((row[c] + (c == P ? origin : 0)) * COVER_SCALE);
            if (!cx_moments_add(world->cell[u], P + 1, z, 1, 1))
                abort();
        }
    }
}

static void count(const struct world *world, const struct cx_unit *found, struct tally *tally)
{
    double covered[2] = {0}, driver[2][P] = {{0}}, square[2][BANDS] = {{0}}, count[BANDS] = {0};
    for (int u = 0; u < UNITS; u++) {
        const struct unit *unit = &world->unit[u];
        int band = (unit->n >= 50) + (unit->n >= 100) + (unit->n >= 200);
        count[band] += P;
        for (int j = 0; j < P; j++) {
            const struct cx_interval *coef = &found[u].coef[j], *weight = &found[u].weight[j];
            double b = unit->from.b[j], w = unit->weight[j];
            bool within[2] = {coef->low <= b && b <= coef->high,
                              weight->low <= w * w && w * w <= weight->high};
            square[0][band] += (coef->value - b) * (coef->value - b);
            square[1][band] += (sqrt(weight->value) - w) * (sqrt(weight->value) - w);
            for (int k = 0; k < 2; k++) {
                covered[k] += within[k];
                driver[k][j] += within[k];
            }
        }
    }
    for (int k = 0; k < 2; k++) {
        cover_add(&tally->covered[k], covered[k] / (UNITS * P));
        for (int j = 0; j < P; j++)
            cover_add(&tally->driver[k][j], driver[k][j] / UNITS);
        for (int band = 0; band < BANDS; band++)
            cover_add(&tally->square[k][band], square[k][band] / count[band]);
    }
}

static void report(struct cover_run *run, const struct cell *cell, const struct tally *tally)
{
    static const char *const what[2] = {"coefficients", "weights"};
    static const char *const rows[BANDS] = {"20-50", "50-100", "100-200", "200-400"};
    const double demanded[2] = {.925, .995}, open[2] = {NAN, NAN};
    for (int k = 0; k < 2; k++) {
        char name[64];
        int worst = 0;
        for (int j = 1; j < P; j++)
            if (tally->driver[k][j].sum < tally->driver[k][worst].sum)
                worst = j;
        cover_report_mean(run, cell->name, what[k], &tally->covered[k], demanded);
        snprintf(name, sizeof name, "%s, worst driver", what[k]);
        cover_report_mean(run, cell->name, name, &tally->driver[k][worst], open);
        for (int band = 0; band < BANDS; band++) {
            const struct cover_mean *square = &tally->square[k][band];
            double reference = k ? cell->weight[band] : cell->coef[band];
            double error = sqrt(cover_value(square));
            snprintf(name, sizeof name, "RMSE of %s, %s rows (reference %.3f)", what[k], rows[band],
                     reference);
            const struct cover_figure figure = {cell->name, name,
                                                error,      cover_error(square) / (2 * error),
                                                NAN,        1.03 * (reference + HALF_A_DIGIT)};
            cover_report(run, &figure);
        }
    }
}

static void simulate(struct cover_run *run, const struct cell *cell, uint64_t stream)
{
    static struct world world;
    static struct cx_unit unit[UNITS];
    static struct cx_units all;
    struct cover_random random = cover_seed(run, stream);
    struct tally tally = {0};
    double *work = malloc(cx_units_work(P + 1, UNITS) * sizeof *work);
    for (int u = 0; u < UNITS; u++)
        world.cell[u] = calloc(cx_moments_cells(P + 1), sizeof(cx_wide));
    for (int r = cover_replicates(run, OWN_REPLICATES); r > 0; r--) {
        draw(&world, cell, &random);
        const struct cx_units_question question = {
            (const cx_wide *const *)world.cell, UNITS, P + 1, cover_decimals, (uint64_t)r, 0, NULL};
        if (cx_units(&all, unit, &question, work) != CX_UNITS_OK) {
            fprintf(stderr, "coverage: units without a result\n");
            exit(2);
        }
        count(&world, unit, &tally);
    }
    report(run, cell, &tally);
    for (int u = 0; u < UNITS; u++)
        free(world.cell[u]);
    free(work);
}

void cover_units(struct cover_run *run)
{
    cover_head("units: 40 small units that borrow from each other");
    for (int c = 0; c < CELLS; c++)
        if (cover_wanted(run, cells[c].name))
            simulate(run, &cells[c], 400 + (uint64_t)c);
}
