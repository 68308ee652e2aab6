/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Of drivers called "among the strongest k with P ≥ .8 (.9)", how many are? The truth is the order
 * of the population's Johnson weights. Effects drawn at random (|N(0, 1)|) or equally spaced, R²
 * .15 … .5, correlations .3 and .6 in turn, 28 days. Judged is share less mean claimed P: nothing
 * may be claimed that comes true more than .03 less often. With R² = 0 nothing may be claimed at
 * all.
 *
 * "Near" counts also those whose weight is at least .9 of the k-th strongest's. Where neighbours
 * differ by less than a tenth (12 spaced effects) cells are judged by it: there the few calls at
 * P ≥ .8 fall on a neighbour too often (of top-1 calls at n = 3000 .81 come true of .88 claimed, at
 * n = 300 of top-3 calls at P ≥ .9 .85 of .94). */
#include "tests/bench/coverage_parts.h"

enum { OWN_REPLICATES = 1000, DAYS = 28, ENOUGH = 20 };
enum call { TOP1_80, TOP1_90, TOP3_80, TOP3_90, CALLS };
enum effects { RANDOM, SPACED, NONE };

#define NEAR 0.9

static const double threshold[CALLS] = {.8, .9, .8, .9};
static const char *const effect_names[] = {"random", "spaced", "R2=0"};

/* Per kind of call; off = Σ(true − P) of an analysis, whose calls are not independent. */
struct tally {
    double analyses, calls, correct, near, claimed, variance; /* Σ P(1 − P) */
    double off_square, off_calls, calls_square;
};

static struct cover_population population(enum effects effects, int p, int replicate,
                                          struct cover_random *random)
{
    struct cover_population made = {.p = p, .rho = replicate % 2 ? .6 : .3, .noise = 1};
    for (int j = 0; j < p; j++)
        made.b[j] = effects == RANDOM ? fabs(cover_normal(random)) : (p - j) / (double)p;
    for (int j = 0; j < p && effects == NONE; j++)
        made.b[j] = 0;
    if (effects != NONE)
        cover_scale(&made, .15 + .35 * cx_random_unit(&random->random));
    return made;
}

struct ranks {
    int exact[COVER_P_MAX], near[COVER_P_MAX]; /* 0 = strongest */
};

/* With no effects nobody is among the strongest. */
static void true_ranks(const struct cover_population *from, enum effects effects,
                       struct ranks *rank)
{
    struct cover_truth truth;
    cover_truth(from, &truth);
    for (int j = 0; j < from->p; j++) {
        rank->exact[j] = rank->near[j] = effects == NONE ? from->p : 0;
        for (int m = 0; m < from->p; m++) {
            rank->exact[j] += truth.weight[m] > truth.weight[j];
            rank->near[j] += NEAR * truth.weight[m] > truth.weight[j];
        }
    }
}

static void count(const struct cx_drivers *out, const struct ranks *rank, int p,
                  struct tally *tally)
{
    for (int c = 0; c < CALLS; c++) {
        double calls = 0, off = 0;
        const double *claimed = c < TOP3_80 ? out->p_top1 : out->p_top3;
        for (int j = 0; j < p; j++) {
            if (!(claimed[j] >= threshold[c]))
                continue;
            int most = c < TOP3_80 ? 1 : 3;
            bool correct = rank->exact[j] < most;
            calls++;
            off += correct - claimed[j];
            tally[c].correct += correct;
            tally[c].near += rank->near[j] < most;
            tally[c].claimed += claimed[j];
            tally[c].variance += claimed[j] * (1 - claimed[j]);
        }
        tally[c].analyses++;
        tally[c].calls += calls;
        tally[c].off_square += off * off;
        tally[c].off_calls += off * calls;
        tally[c].calls_square += calls * calls;
    }
}

static void add(struct tally *into, const struct tally *from)
{
    for (int c = 0; c < CALLS; c++) {
        into[c].analyses += from[c].analyses;
        into[c].calls += from[c].calls;
        into[c].correct += from[c].correct;
        into[c].near += from[c].near;
        into[c].claimed += from[c].claimed;
        into[c].variance += from[c].variance;
        into[c].off_square += from[c].off_square;
        into[c].off_calls += from[c].off_calls;
        into[c].calls_square += from[c].calls_square;
    }
}

/* The standard error is that of a ratio over analyses, or that of independent calls which come true
 * as often as claimed, whichever is larger: all of few calls true does not make it 0. */
static void report(struct cover_run *run, const char *cell, const struct tally *tally, bool near)
{
    for (int c = 0; c < CALLS; c++) {
        const struct tally *t = &tally[c];
        char name[80];
        if (t->calls <= 0)
            continue;
        double strict = (t->correct - t->claimed) / t->calls;
        double off = near ? (t->near - t->claimed) / t->calls : strict;
        double spread =
            t->off_square - 2 * strict * t->off_calls + strict * strict * t->calls_square;
        snprintf(name, sizeof name, "top-%d P>=%.1f, %.0f calls: claimed %.3f true %.3f near %.3f",
                 c < TOP3_80 ? 1 : 3, threshold[c], t->calls, t->claimed / t->calls,
                 t->correct / t->calls, t->near / t->calls);
        const struct cover_figure figure = {cell,
                                            name,
                                            off,
                                            sqrt(fmax(spread, t->variance)) / t->calls,
                                            t->calls < ENOUGH ? NAN : -.03,
                                            NAN};
        cover_report(run, &figure);
    }
}

static void report_none(struct cover_run *run, const char *cell, const struct tally *t)
{
    double rate = t->calls / t->analyses;
    double variance = (t->calls_square - t->analyses * rate * rate) / (t->analyses - 1);
    const struct cover_figure figure = {cell,       "false top-3 P>=0.9 per 100 analyses",
                                        100 * rate, 100 * sqrt(fmax(variance, 0) / t->analyses),
                                        NAN,        1};
    cover_report(run, &figure);
}

static void simulate(struct cover_run *run, enum effects effects, const int p_n[2],
                     struct cover_random *random, struct tally *tally)
{
    static struct cx_drivers out;
    int p = p_n[0], n_days[2] = {p_n[1], DAYS};
    struct ranks rank;
    struct cover_data *data = cover_data_new(p + 1, CX_DAY_GROUPS, 1);
    for (int r = cover_replicates(run, OWN_REPLICATES); r > 0; r--) {
        struct cover_population from = population(effects, p, r, random);
        true_ranks(&from, effects, &rank);
        cover_stream(data, &from, random, n_days);
        if (cover_analyse(data, CX_METHOD_AUTO, (uint64_t)r, &out) != CX_FIT_OK) {
            fprintf(stderr, "coverage: an analysis without a result\n");
            exit(2);
        }
        count(&out, &rank, p, tally);
    }
    cover_data_free(data);
}

void cover_rank(struct cover_run *run)
{
    static const int n[3] = {300, 1000, 3000};
    cover_head("rank: share true less claimed P (spaced p=12: share near); false calls at R2 = 0");
    for (int effects = RANDOM; effects <= NONE; effects++) {
        struct tally pooled[CALLS] = {0};
        char cell[32];
        int cells = 0;
        for (int c = 0; c < 6; c++) {
            struct tally tally[CALLS] = {0};
            int p_n[2] = {c / 3 ? 12 : 6, n[c % 3]};
            struct cover_random random = cover_seed(run, 300 + 6 * (uint64_t)effects + (uint64_t)c);
            snprintf(cell, sizeof cell, "%s p=%d n=%d", effect_names[effects], p_n[0], p_n[1]);
            if (!cover_wanted(run, cell))
                continue;
            simulate(run, (enum effects)effects, p_n, &random, tally);
            add(pooled, tally);
            cells++;
            if (effects == NONE)
                report_none(run, cell, &tally[TOP3_90]);
            else
                report(run, cell, tally, effects == SPACED && 1.0 / p_n[0] < 1 - NEAR);
        }
        snprintf(cell, sizeof cell, "%s, all", effect_names[effects]);
        if (cells > 1 && effects == NONE)
            report_none(run, cell, &pooled[TOP3_90]);
        else if (cells > 1)
            report(run, cell, pooled, false);
    }
}
