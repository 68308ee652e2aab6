/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Do comparisons of units keep their promise? Estates with a known truth, through the call that
 * produces published results:
 *
 *   benchmark [--replicates N] [--seed S] [--only CELL]
 *
 * K units of 10 … 200 answers (evenly in the logarithm; nps 5 … 200), true values N(0, τ²) on
 * answers of variance 1; mixed: τ anew for each estate, evenly 0 … 0.3. known: sampling variances
 * are exact, the setting of the method's reference simulation, whose root mean square errors are
 * demanded; estimated: from the answers; nps: promoters and detractors around +30 are drawn and
 * counted, 1 SD being 100 points; high: the same around +60, 5 … 60 answers, where the method has
 * its limits (less is demanded).
 *
 * Judged: coverage of shrunk intervals, ranges of ranks, differences to the rest; wrong verdicts
 * beside an external value (0, the mean of all); tiers that are not so; units beyond a funnel's
 * limits that are like the others. Exit status 1: a figure is outside what is demanded of it by
 * more than two Monte-Carlo standard errors. Same seed, same table. */
#include "tests/bench/coverage_parts.h"

#include <string.h>
#include <time.h>

#include "analytics/benchmark.h"

enum { UNITS_MAX = 100, SIZES = 4, TAUS = 4, KINDS = 4, WORK = UNITS_MAX * 1005 };
#define MIXED (-1.0) /* drawn for each estate, evenly 0 … 0.3 */

enum kind { KNOWN, ESTIMATED, NPS, HIGH };

static const char *const kind_name[KINDS] = {"known", "estimated", "nps", "high"};
static const int size_of[SIZES] = {5, 10, 30, 100};
static const int own_replicates[SIZES] = {4000, 2000, 1000, 400};
static const double tau_of[TAUS] = {0, 0.05, 0.15, MIXED};
/* Root mean square errors of the reference at τ = .15 over those of its raw values: .138, .121,
 * .111, .107 over .176, each up to half a digit more. */
static const double reference[SIZES] = {.1385 / .1755, .1215 / .1755, .1115 / .1755, .1075 / .1755};

struct estate {
    int units;
    double tau; /* in SDs of an answer */
    struct cx_benchmark_unit unit[UNITS_MAX];
    double truth[UNITS_MAX], weight[UNITS_MAX];
    int rank[UNITS_MAX]; /* true, 1 = best */
    struct cx_benchmark_all all;
    struct cx_benchmark out[UNITS_MAX];
    double work[WORK];
};

/* A share of calls, by analysis: Σ false / Σ calls with its error. */
struct share {
    double bad, calls, bad2, calls2, both;
};

struct figures {
    struct cover_mean shrunk, rank, width, rest, raw_error, shrunk_error, called, wrong;
    struct cover_mean beyond95[CX_FUNNELS], beyond998[CX_FUNNELS];
    struct cover_mean misplaced;
    struct share tier, crossed;
};

/* ---- estates --------------------------------------------------------------------------------- */

static void answers(struct cover_random *random, double mean, int n, struct cx_benchmark_unit *to)
{
    double sum = 0, square = 0;
    for (int i = 0; i < n; i++) {
        double x = mean + cover_normal(random);
        sum += x;
        square += x * x;
    }
    to->value = sum / n;
    to->variance = (square - sum * sum / n) / (n - 1) / n;
}

/* Scores as −100, 0, 100; four fifths are not 0. */
static void promoters(struct cover_random *random, double nps, int n, struct cx_benchmark_unit *to)
{
    double sum = 0, square = 0, up = (0.8 + nps / 100) / 2;
    for (int i = 0; i < n; i++) {
        double at = cx_random_unit(&random->random);
        double x = at < up ? 100 : at < 0.8 ? -100 : 0;
        sum += x;
        square += x * x;
    }
    to->value = sum / n;
    to->variance = (square - sum * sum / n) / (n - 1) / n;
}

static void draw(struct estate *e, enum kind kind, struct cover_random *random)
{
    double least = kind >= NPS ? 5 : 10, most = kind == HIGH ? 60 : 200;
    double tau = e->tau >= 0 ? e->tau : 0.3 * cx_random_unit(&random->random);
    for (int i = 0; i < e->units; i++) {
        int n = (int)lround(least * pow(most / least, cx_random_unit(&random->random)));
        struct cx_benchmark_unit *to = &e->unit[i];
        double off = tau * cover_normal(random);
        e->truth[i] = kind == NPS    ? 30 + fmin(fmax(100 * off, -45), 45)
                      : kind == HIGH ? 60 + fmin(fmax(67 * off, -18), 18)
                                     : off;
        to->n = n;
        if (kind >= NPS)
            promoters(random, e->truth[i], n, to);
        else
            answers(random, e->truth[i], n, to);
        if (kind == KNOWN)
            to->variance = 1.0 / n;
    }
    for (int i = 0; i < e->units; i++) {
        e->rank[i] = 1;
        for (int m = 0; m < e->units; m++)
            e->rank[i] += e->truth[m] > e->truth[i];
    }
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void count(struct share *share, double bad, double calls)
{
    share->bad += bad;
    share->calls += calls;
    share->bad2 += bad * bad;
    share->calls2 += calls * calls;
    share->both += bad * calls;
}

/* The weighted mean of the others' true values, weighted as the method says. */
static double true_rest(const struct estate *e, int i)
{
    double weight = 0, sum = 0;
    for (int m = 0; m < e->units; m++)
        if (m != i) {
            double w = 1 / (e->out[m].variance + e->all.tau * e->all.tau);
            weight += w;
            sum += w * e->truth[m];
        }
    return sum / weight;
}

static bool within(struct cx_interval interval, double truth)
{
    return interval.low <= truth && truth <= interval.high;
}

static void look_at_units(const struct estate *e, double external, struct figures *f)
{
    double shrunk = 0, rank = 0, width = 0, rest = 0, wrong = 0, raw = 0, error = 0, k = e->units;
    for (int i = 0; i < e->units; i++) {
        const struct cx_benchmark *o = &e->out[i];
        double truth = e->truth[i];
        shrunk += within(o->shrunk, truth);
        rank += o->rank_low <= e->rank[i] && e->rank[i] <= o->rank_high;
        width += o->rank_high - o->rank_low + 1;
        rest += within(o->rest, truth - true_rest(e, i));
        wrong += (o->external_side == CX_SIDE_ABOVE && truth <= external) ||
                 (o->external_side == CX_SIDE_BELOW && truth >= external);
        raw += pow(o->raw.value - truth, 2);
        error += pow(o->shrunk.value - truth, 2);
    }
    cover_add(&f->shrunk, shrunk / k);
    cover_add(&f->rank, rank / k);
    cover_add(&f->width, width / k);
    cover_add(&f->rest, rest / k);
    cover_add(&f->wrong, wrong / k);
    cover_add(&f->raw_error, raw / k);
    cover_add(&f->shrunk_error, error / k);
}

/* With τ = 0 no unit belongs to a third: every call is false. */
static void look_at_tiers(const struct estate *e, struct figures *f)
{
    double called = 0, bad = 0, pairs = 0, crossed = 0;
    for (int i = 0; i < e->units; i++) {
        bool top = e->out[i].tier == CX_TIER_TOP, bottom = e->out[i].tier == CX_TIER_BOTTOM;
        called += top || bottom;
        bad +=
            (top && e->rank[i] > e->all.third) || (bottom && e->rank[i] <= e->units - e->all.third);
        for (int m = 0; top && m < e->units; m++)
            if (e->out[m].tier == CX_TIER_BOTTOM) {
                pairs++;
                crossed += e->truth[m] >= e->truth[i];
            }
    }
    cover_add(&f->called, called / e->units);
    cover_add(&f->misplaced, bad / e->units);
    count(&f->tier, bad, called);
    count(&f->crossed, crossed, pairs);
}

static void look_at_funnels(const struct estate *e, struct figures *f)
{
    for (int which = 0; which < CX_FUNNELS; which++) {
        double beyond95 = 0, beyond998 = 0;
        for (int i = 0; i < e->units; i++) {
            const struct cx_funnel_limits *l = &e->out[i].funnel[which];
            double value = e->unit[i].value;
            beyond95 += value < l->low95 || value > l->high95;
            beyond998 += value < l->low998 || value > l->high998;
        }
        cover_add(&f->beyond95[which], beyond95 / e->units);
        cover_add(&f->beyond998[which], beyond998 / e->units);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

static const double open_ended[2] = {NAN, NAN};

static void report_share(struct cover_run *run, const char *cell, const char *name,
                         const struct share *s, double most)
{
    if (s->calls < 50) /* too few to say */
        return;
    double p = s->bad / s->calls;
    double square = s->bad2 - 2 * p * s->both + p * p * s->calls2;
    const struct cover_figure figure = {cell, name, p, fmax(sqrt(fmax(square, 0)), 1) / s->calls,
                                        NAN,  most};
    cover_report(run, &figure);
}

static void report_root(struct cover_run *run, const char *cell, const char *name,
                        const struct cover_mean *square, double most)
{
    double root = sqrt(cover_value(square));
    const struct cover_figure figure = {cell, name, root, cover_error(square) / (2 * root),
                                        NAN,  most};
    cover_report(run, &figure);
}

static void report_funnels(struct cover_run *run, const char *cell, const struct estate *e,
                           const struct figures *f)
{
    /* the centre follows a unit: fewer are beyond when units are few */
    const double at95[2] = {e->units >= 30 ? 0.04 : 0.02, 0.055}, at998[2] = {NAN, 0.004};
    const double added95[2] = {NAN, 0.055};
    bool alike = e->tau >= 0 && e->tau <= 0, many = e->units >= 30;
    cover_report_mean(run, cell, "beyond 95 % limits", &f->beyond95[CX_FUNNEL_PLAIN],
                      alike ? at95 : open_ended);
    cover_report_mean(run, cell, "beyond 99.8 % limits", &f->beyond998[CX_FUNNEL_PLAIN],
                      alike ? at998 : open_ended);
    cover_report_mean(run, cell, "beyond 95 % limits times phi", &f->beyond95[CX_FUNNEL_MULTIPLIED],
                      alike ? added95 : open_ended);
    cover_report_mean(run, cell, "beyond 99.8 % limits times phi",
                      &f->beyond998[CX_FUNNEL_MULTIPLIED], alike ? at998 : open_ended);
    cover_report_mean(run, cell, "beyond 95 % limits plus tau", &f->beyond95[CX_FUNNEL_ADDED],
                      many ? added95 : open_ended);
    cover_report_mean(run, cell, "beyond 99.8 % limits plus tau", &f->beyond998[CX_FUNNEL_ADDED],
                      many ? at998 : open_ended);
}

static void report_tiers(struct cover_run *run, const char *cell, const struct estate *e,
                         enum kind kind, const struct figures *f)
{
    /* where units hardly differ who is called is mostly chance: then calls must be rare */
    bool differ = kind != HIGH && (e->tau < 0 || e->tau > 0.1);
    cover_report_mean(run, cell, "units in the top or bottom tier", &f->called, open_ended);
    cover_report_mean(run, cell, "units in one of them and not so", &f->misplaced,
                      (const double[2]){NAN, 0.015});
    report_share(run, cell, "of those in one of them, not so", &f->tier, differ ? 0.10 : NAN);
    report_share(run, cell, "of pairs, top unit below bottom unit", &f->crossed,
                 differ ? 0.02 : NAN);
}

static void report(struct cover_run *run, const char *cell, const struct estate *e, int size,
                   enum kind kind, const struct figures *f)
{
    const double covers[2] = {kind == HIGH ? 0.93 : 0.94, NAN}, ranks[2] = {0.95, NAN},
                 sides[2] = {NAN, 0.025};
    bool told = kind == KNOWN && e->tau > 0.1;
    double most = sqrt(cover_value(&f->raw_error)) * (told ? reference[size] : 1);
    cover_report_mean(run, cell, "coverage of shrunk intervals", &f->shrunk, covers);
    cover_report_mean(run, cell, "coverage of differences to the rest", &f->rest, covers);
    cover_report_mean(run, cell, "on the wrong side of an external value", &f->wrong, sides);
    report_root(run, cell, "error (rms) of raw values", &f->raw_error, NAN);
    report_root(run, cell, "error (rms) of shrunk values", &f->shrunk_error, most);
    if (e->tau < 0 || e->tau > 0) {
        cover_report_mean(run, cell, "coverage of ranges of ranks", &f->rank, ranks);
        cover_report_mean(run, cell, "ranks in a range", &f->width, open_ended);
    }
    report_tiers(run, cell, e, kind, f);
    report_funnels(run, cell, e, f);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static void run_cell(struct cover_run *run, enum kind kind, int size, double tau, struct estate *e)
{
    char cell[40];
    struct figures f = {0};
    if (tau < 0)
        snprintf(cell, sizeof cell, "%s tau=mixed K=%d", kind_name[kind], size_of[size]);
    else
        snprintf(cell, sizeof cell, "%s tau=%.2f K=%d", kind_name[kind], tau, size_of[size]);
    if (!cover_wanted(run, cell))
        return;
    struct cover_random random =
        cover_seed(run, (uint64_t)(kind * 1000 + size * 10) + (uint64_t)lround(tau * 100) * 10000);
    *e = (struct estate){.units = size_of[size], .tau = tau};
    struct cx_benchmark_question question = {.unit = e->unit,
                                             .units = e->units,
                                             .direction = 1,
                                             .scale_min = kind >= NPS ? -100 : -INFINITY,
                                             .scale_max = kind >= NPS ? 100 : INFINITY,
                                             .external = kind == NPS    ? 30
                                                         : kind == HIGH ? 60
                                                                        : 0};
    for (int r = 0; r < cover_replicates(run, own_replicates[size]); r++) {
        draw(e, kind, &random);
        question.seed = (uint64_t)r;
        if (cx_benchmark(&e->all, e->out, &question, e->work) != CX_BENCHMARK_OK)
            abort();
        look_at_units(e, question.external, &f);
        look_at_tiers(e, &f);
        look_at_funnels(e, &f);
    }
    report(run, cell, e, size, kind, &f);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: benchmark [--replicates N] [--seed S] [--only CELL]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static struct estate estate;
    struct cover_run run = {.seed = 20250601};
    const char *const none[] = {NULL};
    if (!cover_arguments(argc, argv, &run, none, NULL))
        usage();
    clock_t begin = clock();
    cover_head("Units compared on one KPI");
    for (int kind = 0; kind < KINDS; kind++)
        for (int tau = kind >= NPS ? 2 : 0; tau < (kind == HIGH ? 3 : TAUS); tau++)
            for (int size = 0; size < SIZES; size++)
                run_cell(&run, (enum kind)kind, size, tau_of[tau], &estate);
    printf("\n%d figures judged: %d outside what is demanded, %d by more than 2 MC se (FAIL); "
           "%.0f s of CPU\n",
           run.judged, run.outside, run.failed, (double)(clock() - begin) / CLOCKS_PER_SEC);
    if (run.judged == 0)
        fprintf(stderr, "benchmark: no such cell\n");
    return run.judged == 0 ? 2 : run.failed > 0;
}
