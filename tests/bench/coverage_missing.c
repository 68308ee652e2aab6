/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Twelve drivers correlated at .45, an outcome everybody gave, answers missing in one of three
 * ways: MCAR each answer by chance; MAR more of them of the dissatisfied, by a logistic curve in
 * the outcome; BLOCK a module of three drivers at a time does not apply. Coefficients .05 … .30, R²
 * .69. Listwise deletion is shown beside: it must be far off under MAR, or the cell shows nothing.
 */
#include "tests/bench/coverage_parts.h"

enum { P = 12, MODULE = 3, OWN_REPLICATES = 400, CELLS = 12 };
enum kind { MCAR, MAR, BLOCK };

static const char *const kind_names[] = {"MCAR", "MAR", "BLOCK"};
static const double slope = 1.5; /* of the logistic curve, per SD of the outcome */

struct cell {
    char name[32];
    enum kind kind;
    int n;
    double share, origin; /* missing; of the logistic curve */
};

struct tally {
    struct cover_mean covered, driver[P], coef[P], listwise[P], dropped;
    int without_result;
};

static struct cover_population population(void)
{
    struct cover_population made = {.p = P, .rho = .45, .noise = 1};
    for (int j = 0; j < P; j++)
        made.b[j] = .05 + .25 * j / (P - 1);
    return made;
}

/* Where the curve must lie for this share: over a normal outcome, by bisection. */
static double origin_for(double share)
{
    double low = -10, high = 10;
    for (int step = 0; step < 60; step++) {
        double middle = (low + high) / 2, sum = 0, total = 0;
        for (int i = -800; i <= 800; i++) {
            double y = i / 100.0, density = exp(-y * y / 2);
            sum += density / (1 + exp(slope * y - middle));
            total += density;
        }
        *(sum < share * total ? &low : &high) = middle;
    }
    return low;
}

static uint64_t observed(const struct cell *cell, struct cover_random *random, double outcome)
{
    uint64_t mask = (UINT64_C(1) << (P + 1)) - 1;
    double share = cell->kind == MAR ? 1 / (1 + exp(slope * outcome - cell->origin)) : cell->share;
    int step = cell->kind == BLOCK ? MODULE : 1;
    for (int j = 0; j < P; j += step)
        if (cx_random_chance(&random->random, share))
            mask &= ~(((UINT64_C(1) << step) - 1) << j);
    return mask;
}

static void draw(const struct cell *cell, const struct cover_population *from, double spread,
                 struct cover_random *random, struct cover_data *data)
{
    cover_data_clear(data);
    for (int i = 0; i < cell->n; i++) {
        double row[P + 1];
        cover_row(from, random, 0, row);
        cover_data_add(data, 0, observed(cell, random, row[P] / spread), row);
    }
}

static void count(const struct cell *cell, const double *truth, struct cover_data *data,
                  struct tally *tally)
{
    static struct cx_drivers out;
    double covered = 0;
    if (cover_analyse(data, CX_METHOD_AUTO, 1, &out) != CX_FIT_OK || out.method != CX_METHOD_EM ||
        !out.converged || out.fit.kept != P) {
        tally->without_result++;
        return;
    }
    for (int j = 0; j < P; j++) {
        bool within = out.fit.low[j + 1] <= truth[j] && truth[j] <= out.fit.high[j + 1];
        covered += within;
        cover_add(&tally->driver[j], within);
        cover_add(&tally->coef[j], out.fit.coef[j + 1]);
    }
    cover_add(&tally->covered, covered / P);
    cover_add(&tally->dropped, (double)out.fold.values_dropped / (cell->n * (double)(P + 1)));
    if (cell->kind == MAR && cover_analyse(data, CX_METHOD_LISTWISE, 1, &out) == CX_FIT_OK)
        for (int j = 0; j < P; j++)
            cover_add(&tally->listwise[j], out.fit.coef[j + 1]);
}

/* The largest |bias| of a coefficient, with the standard error of that one. */
static void report_bias(struct cover_run *run, const char *cell, const char *name,
                        const struct cover_mean *coef, const double *truth, double most)
{
    struct cover_figure figure = {cell, name, 0, 0, NAN, most};
    for (int j = 0; j < P; j++)
        if (!(fabs(cover_value(&coef[j]) - truth[j]) <= figure.value)) {
            figure.value = fabs(cover_value(&coef[j]) - truth[j]);
            figure.error = cover_error(&coef[j]);
        }
    cover_report(run, &figure);
}

static void report(struct cover_run *run, const struct cell *cell, const double *truth,
                   const struct tally *tally)
{
    const double demanded[2] = {.935, .965}, open[2] = {NAN, NAN};
    cover_report_mean(run, cell->name, "coefficients", &tally->covered, demanded);
    int worst = 0;
    for (int j = 1; j < P; j++)
        if (tally->driver[j].sum < tally->driver[worst].sum)
            worst = j;
    cover_report_mean(run, cell->name, "coefficients, worst driver", &tally->driver[worst], open);
    report_bias(run, cell->name, "largest |bias| of a coefficient", tally->coef, truth,
                cell->kind == MAR ? .015 : NAN);
    if (cell->kind == MAR)
        report_bias(run, cell->name, "the same, listwise", tally->listwise, truth, NAN);
    if (tally->dropped.sum > 0)
        cover_report_mean(run, cell->name, "share of answers the cap on patterns cost",
                          &tally->dropped, open);
    const struct cover_figure none = {
        cell->name, "analyses without a result", tally->without_result, 0, NAN, 0};
    cover_report(run, &none);
}

static void simulate(struct cover_run *run, const struct cell *cell, uint64_t stream)
{
    struct cover_population from = population();
    struct cover_random random = cover_seed(run, stream);
    struct cover_data *data = cover_data_new(P + 1, 0, cell->n);
    struct tally tally = {0};
    double sum = 0, square = 0;
    for (int j = 0; j < P; j++) {
        sum += from.b[j];
        square += from.b[j] * from.b[j];
    }
    double spread = sqrt((1 - from.rho) * square + from.rho * sum * sum + 1);
    for (int r = cover_replicates(run, OWN_REPLICATES); r > 0; r--) {
        draw(cell, &from, spread, &random, data);
        count(cell, from.b, data, &tally);
    }
    report(run, cell, from.b, &tally);
    cover_data_free(data);
}

void cover_missing(struct cover_run *run)
{
    cover_head("missing: 95 % intervals of the coefficients under missing answers");
    for (int c = 0; c < CELLS; c++) {
        struct cell cell = {.kind = c % 3, .n = c < CELLS / 2 ? 600 : 2000};
        cell.share = c / 3 % 2 ? .4 : .2;
        cell.origin = origin_for(cell.share);
        snprintf(cell.name, sizeof cell.name, "%s%.0f n=%d", kind_names[cell.kind],
                 100 * cell.share, cell.n);
        if (cover_wanted(run, cell.name))
            simulate(run, &cell, 100 + (uint64_t)c);
    }
}
