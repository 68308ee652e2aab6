/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A driver analysis: shares of R², intervals by leaving groups out, ranks, flags.
 *
 * Statistics of one estimate over k drivers, in this order: √weight, √LMG (k each), coefficients
 * with the intercept first (k + 1), √adjusted R². Leaving a group out must leave all of them
 * defined and the same drivers kept; if it does not (a driver only one group answered), intervals
 * are those of normal theory, and say so. */
#include "analytics/solve_drivers_parts.h"

#define GROUPS_MIN 4
#define GROUPS_FIRM 6
#define ICC 0.5 /* between people, when it is not known */

struct share {
    struct cx_drivers *result;
    const struct cx_drivers_question *question;
    struct cx_drivers_memory *m;
    uint64_t columns;
    int k, statistics;
    double *theta, *variance, *without; /* statistics; groups × statistics */
    double rows[CX_GROUPS_MAX];
    int groups;
    double deff; /* of repeated answers; 1 = none */
};

/* What repeated answers multiply a variance by; 1 when hardly anybody answers twice. */
static double repeats_effect(const struct cx_drivers_question *question)
{
    double icc = question->icc > 0 ? fmin(question->icc, 1) : ICC;
    return question->repeats > CX_REPEATS_MAX ? 1 + (question->repeats - 1) * icc * icc : 1;
}

/* The statistics of the estimate in m. False: a share cannot be computed. */
static bool measure(const struct share *s, double *theta)
{
    struct cx_drivers_memory *m = s->m;
    int k = s->k;
    double *lmg = theta + k, *coef = lmg + k;
    cx_fit_correlations(&m->fit, &m->cross, m->r);
    if (!cx_johnson(k, m->r, theta, m->numbers))
        return false;
    if (k <= CX_LMG_EXACT_MAX) {
        if (!cx_lmg(k, m->r, lmg, m->numbers))
            return false;
    } else {
        struct cx_lmg_sample sample = {.seed = s->question->seed};
        if (!cx_lmg_sampled(k, m->r, lmg, &sample, m->numbers))
            return false;
        s->result->lmg_se_sampled = sample.se_max;
    }
    for (int i = 0; i < 2 * k; i++)
        theta[i] = sqrt(fmax(theta[i], 0));
    for (int i = 0; i <= k; i++)
        coef[i] = m->fit.coef[i];
    coef[k + 1] = sqrt(fmax(m->fit.adj_r2, 0));
    return true;
}

static double rows_of(const struct share *s, int g)
{
    double rows = 0;
    const struct cx_set *set = s->question->group[g];
    uint64_t outcome = UINT64_C(1) << (set->columns - 1);
    uint64_t needed = s->result->method == CX_METHOD_LISTWISE ? s->columns : outcome;
    for (int i = 0; i < set->count; i++)
        if ((set->pattern[i].observed & needed) == needed)
            rows += (double)set->pattern[i].cell[CX_MOMENTS_WEIGHT];
    return rows;
}

/* Statistics without each group that has rows; false when one of them is not defined. */
static bool leave_out(struct share *s)
{
    s->groups = 0;
    if (!s->question->group || s->result->fit.n_effective < 3 * s->k)
        return false;
    for (int g = 0; g < s->question->groups && g < CX_GROUPS_MAX; g++) {
        s->rows[s->groups] = rows_of(s, g);
        if (!(s->rows[s->groups] > 0))
            continue;
        enum cx_fit_status status =
            cx_drivers_estimate(s->m, s->question, s->columns, s->result->method, g);
        double *theta = s->without + s->groups * s->statistics;
        if (status != CX_FIT_OK || s->m->fit.kept != s->k || !measure(s, theta))
            return false;
        s->groups++;
    }
    return s->groups >= GROUPS_MIN;
}

static void write_intervals(struct share *s, const double *v)
{
    struct cx_drivers *out = s->result;
    int k = s->k, j = 0;
    double level = s->question->level > 0 ? s->question->level : 0.95;
    double df = v ? out->fit.df : s->groups - 1;
    for (uint64_t rest = s->columns; rest & (rest - 1); rest &= rest - 1, j++) {
        int c = __builtin_ctzll(rest);
        double variance = v ? v[j * k + j] : s->variance[j];
        out->weight[c] = cx_squared_interval(s->theta[j], variance, df, level);
        variance = v ? NAN : s->variance[k + j];
        out->lmg[c] = cx_squared_interval(s->theta[k + j], variance, df, level);
        out->robust_se[c] = v ? NAN : sqrt(s->variance[2 * k + 1 + j]);
    }
    int last = 3 * k + 1;
    double r2 = s->theta[last] * s->theta[last], n = out->fit.n_effective;
    /* normal theory of R: (1 − R²)²/n */
    double variance = v ? (1 - r2) * (1 - r2) / n * s->deff : s->variance[last];
    struct cx_interval i = cx_squared_interval(s->theta[last], variance, df, level);
    out->r2_low = i.low;
    out->r2_high = fmin(i.high, 1);
}

/* Ranks from shrunk draws; v is V_NT and is scaled. */
static bool rank(struct share *s, double *v, double *work)
{
    struct cx_drivers *out = s->result;
    struct cx_rank *rank = &s->m->rank;
    int k = s->k, j = 0;
    double trace = NAN;
    if (!out->model_based) {
        trace = 0;
        for (int i = 0; i < k; i++)
            trace += s->variance[i];
    }
    cx_weight_covariance_scale(k, v, trace);
    const struct cx_rank_question question = {k, s->theta, v, s->question->seed, 0};
    if (!cx_rank(rank, &question, work))
        return false;
    uint64_t top = cx_top_group(k, rank->top[0]);
    for (uint64_t rest = s->columns; rest & (rest - 1); rest &= rest - 1, j++) {
        int c = __builtin_ctzll(rest);
        out->p_top1[c] = rank->top[0][j];
        out->p_top3[c] = rank->top[2][j];
        out->rank_low[c] = rank->low[j];
        out->rank_high[c] = rank->high[j];
        out->top_group |= (top >> j & 1) << c;
        struct cx_key_question key = {
            .drivers = k,
            .n = out->fit.n_effective,
            .top = {rank->top[0][j], rank->top[1][j], rank->top[2][j]},
            .r2_low = out->r2_low,
            .coef = out->fit.coef[c + 1],
            .direction = s->question->direction ? s->question->direction[c] : 0,
            .was_key = s->question->was_key && s->question->was_key[c],
        };
        out->key[c] = cx_key_driver(&key);
    }
    return true;
}

static void flag(const struct share *s, const double *sd)
{
    struct cx_drivers *out = s->result;
    unsigned all = out->model_based ? CX_FLAG_MODEL_BASED : 0;
    if (!out->converged)
        all |= CX_FLAG_NOT_CONVERGED;
    if (!out->model_based && s->groups < GROUPS_FIRM)
        all |= CX_FLAG_WIDE;
    if (s->deff > 1)
        all |= CX_FLAG_CLUSTERED;
    int j = 0;
    for (uint64_t rest = s->columns; rest & (rest - 1); rest &= rest - 1, j++) {
        int c = __builtin_ctzll(rest);
        const struct cx_importance_check check = {
            .n = out->fit.n_effective,
            .drivers = s->k,
            .coef = out->fit.coef[c + 1],
            .coef_p = out->fit.p[c + 1],
            .r = out->fit.r[c],
            .vif = out->fit.vif[c],
            .weight = out->weight[c].value,
            .low = out->weight[c].low,
            .high = out->weight[c].high,
            .sd = sd[j],
            .range = s->question->range ? s->question->range[c] : 0,
        };
        out->flags[c] = all | cx_importance_flags(&check);
    }
}

/* n(1 − FMI) − p − 1: what the covariance of the weights may count on. */
static double information(const struct share *s)
{
    double fmi = 0;
    for (uint64_t rest = s->columns; rest & (rest - 1); rest &= rest - 1) {
        double own = s->result->fmi[__builtin_ctzll(rest)];
        fmi += isnan(own) ? 0 : own / s->k;
    }
    return s->result->fit.n_effective * (1 - fmi) - s->k - 1;
}

void cx_drivers_share(struct cx_drivers *result, const struct cx_drivers_question *question,
                      struct cx_drivers_memory *m, uint64_t columns)
{
    int k = cx_mask_count(columns) - 1, statistics = 3 * k + 2;
    struct share s = {.result = result, .question = question, .m = m, .columns = columns, .k = k};
    s.statistics = statistics;
    s.theta = m->without;
    s.variance = s.theta + statistics;
    s.without = s.variance + statistics;
    s.deff = repeats_effect(question);
    double sd[CX_COLUMNS_MAX], *v = m->numbers, *work = v + k * k;
    /* the estimate again: over the kept columns alone, and in m */
    if (cx_drivers_estimate(m, question, columns, result->method, -1) != CX_FIT_OK ||
        m->fit.kept != k || !measure(&s, s.theta))
        return;
    for (int j = 0; j < k; j++)
        sd[j] = sqrt(m->cross.variance[j].hi);
    result->model_based = !leave_out(&s);
    struct cx_jackknife jackknife = {statistics, s.groups, s.rows, s.theta, s.without};
    if (!result->model_based)
        result->model_based = !cx_jackknife_variance(&jackknife, s.variance, NULL);
    result->groups = result->model_based ? 0 : s.groups;
    /* the correlations of all once more: leaving groups out has overwritten them */
    cx_drivers_estimate(m, question, columns, result->method, -1);
    cx_fit_correlations(&m->fit, &m->cross, m->r);
    bool known = cx_weight_covariance(k, m->r, information(&s), v, work);
    for (int i = 0; i < k * k; i++)
        v[i] = known ? v[i] * s.deff : NAN;
    for (int i = 0; i < statistics && !result->model_based; i++)
        s.variance[i] *= s.deff;
    write_intervals(&s, result->model_based ? v : NULL);
    if (known)
        rank(&s, v, work);
    flag(&s, sd);
}
