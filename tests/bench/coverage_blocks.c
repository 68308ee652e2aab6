/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Six drivers correlated at .4, R² .35, answers over 28 or 90 days with a weekly profile; a day may
 * move the outcome, or outcome and drivers alike, by .15 SD. What intervals must cover is the
 * population of days, so an effect shared by drivers and outcome is part of the truth. */
#include "tests/bench/coverage_parts.h"

#include "analytics/distribution.h"

enum { P = 6, OWN_REPLICATES = 1200, CELLS = 12 };
enum figure { WEIGHT, LMG, COEF_ROBUST, COEF_MODEL, R2, FIGURES };

static const char *const figure_names[FIGURES] = {
    "Johnson weights", "LMG", "coefficients, groups left out, t(G-1)", "coefficients, model", "R2"};
static const char *const effects[] = {"none", "outcome", "shared"};

static bool covers(const struct cx_interval *interval, double truth)
{
    return interval->low <= truth && truth <= interval->high;
}

static void count(const struct cx_drivers *out, const struct cover_truth *truth,
                  struct cover_mean *covered)
{
    double share[FIGURES] = {0}, reach = cx_t_quantile(.95, out->groups - 1);
    for (int j = 0; j < P; j++) {
        double coef = truth->coef[j], off = fabs(out->fit.coef[j + 1] - coef);
        share[WEIGHT] += covers(&out->weight[j], truth->weight[j]);
        share[LMG] += covers(&out->lmg[j], truth->lmg[j]);
        share[COEF_ROBUST] += off <= reach * out->robust_se[j];
        share[COEF_MODEL] += out->fit.low[j + 1] <= coef && coef <= out->fit.high[j + 1];
    }
    for (int f = 0; f < R2; f++)
        cover_add(&covered[f], share[f] / P);
    cover_add(&covered[R2], out->r2_low <= truth->r2 && truth->r2 <= out->r2_high);
}

static void simulate(struct cover_run *run, const char *cell,
                     const struct cover_population *population, const int n_days[2],
                     struct cover_random *random)
{
    static struct cx_drivers out;
    const double demanded[2] = {.93, .965};
    struct cover_data *data = cover_data_new(P + 1, CX_DAY_GROUPS, 1);
    struct cover_mean covered[FIGURES] = {0};
    struct cover_truth truth;
    int without_result = 0;
    cover_truth(population, &truth);
    for (int r = cover_replicates(run, OWN_REPLICATES); r > 0; r--) {
        cover_stream(data, population, random, n_days);
        enum cx_fit_status status = cover_analyse(data, CX_METHOD_AUTO, 1, &out);
        if (status == CX_FIT_OK && out.groups == CX_DAY_GROUPS)
            count(&out, &truth, covered);
        else
            without_result++;
    }
    for (int f = 0; f < FIGURES; f++)
        cover_report_mean(run, cell, figure_names[f], &covered[f], demanded);
    const struct cover_figure none = {cell, "analyses without a result", without_result, 0, NAN, 0};
    cover_report(run, &none);
    cover_data_free(data);
}

void cover_blocks(struct cover_run *run)
{
    cover_head("blocks: 95 % intervals by leaving out each of 12 runs of days");
    for (int c = 0; c < CELLS; c++) {
        int effect = c / 4, n_days[2] = {c / 2 % 2 ? 1000 : 300, c % 2 ? 90 : 28};
        struct cover_population population = {.p = P, .rho = .4, .b = {.34, .20, .13, .07, .03, 0}};
        char cell[32];
        snprintf(cell, sizeof cell, "%s n=%d %d d", effects[effect], n_days[0], n_days[1]);
        cover_scale(&population, .35);
        population.day_sd = effect ? .15 : 0;
        population.day_shared = effect == 2;
        struct cover_random random = cover_seed(run, 200 + (uint64_t)c);
        if (cover_wanted(run, cell))
            simulate(run, cell, &population, n_days, &random);
    }
}
