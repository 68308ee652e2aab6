/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A driver analysis: choosing columns, estimating.
 *
 * Problem: in a real programme some drivers were asked of nobody this month, some get the same
 * answer from everybody, some are copies; none of that may stop the others. Way: such a driver is
 * left out with its reason and the rest is estimated; EM names one at a time, so it is repeated at
 * most as often as there are drivers. */
#include "analytics/solve_drivers_parts.h"

#include "analytics/fdr.h"
#include "analytics/missing_parts.h"

#define PATTERN_CAP 512
#define AUTO_MISSING_MAX 0.02
#define AUTO_COMPLETE_MIN 0.95
#define GROUP_TOLERANCE 1e-6 /* of EM without a group */
#define ITERATIONS_MAX 2000
#define TOTAL_ITERATIONS 200 /* at least, however many patterns and columns there are */
#define TOTAL_WORK 2e9
#define GROUP_ITERATIONS 30
#define GROUP_WORK 2e8

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t numbers_needed(int q, int patterns)
{
    int p = q - 1, exact = p < CX_LMG_EXACT_MAX ? p : CX_LMG_EXACT_MAX;
    size_t most = largest(cx_em_work(q, patterns), cx_em_errors_work(q, patterns));
    most = largest(most, cx_lmg_work(exact));
    most = largest(most, cx_lmg_sample_work(p));
    most = largest(most, cx_weight_covariance_work(p) + (size_t)q * (size_t)q);
    return largest(most, cx_rank_work(p) + (size_t)q * (size_t)q);
}

/* The next part of the block; offsets are counted so that NULL can be measured too. */
static void *take(char *start, size_t *used, size_t bytes)
{
    void *here = start ? start + *used : NULL;
    *used += (bytes + 15) / 16 * 16;
    return here;
}

/* Statistics of a group left out: √weight, √LMG, coefficient of each driver, intercept, √adj. R².
 */
static size_t statistics_room(int q)
{
    return (size_t)(CX_GROUPS_MAX + 1) * 3 * (size_t)q + 9 * (size_t)q;
}

/* Lays the parts out from `start`; returns what they take. NULL only measures. */
static size_t lay_out(char *start, int q, int patterns)
{
    size_t used = 0, cells = cx_moments_cells(q), count = (size_t)patterns, columns = (size_t)q;
    struct cx_drivers_memory *m = take(start, &used, sizeof *m);
    struct cx_pattern *pattern = take(start, &used, 2 * count * sizeof *pattern);
    cx_wide *cell = take(start, &used, 2 * count * cells * sizeof *cell);
    cx_wide *block = take(start, &used, 2 * cells * sizeof *block);
    double *r = take(start, &used, columns * columns * sizeof *r);
    double *numbers = take(start, &used, numbers_needed(q, patterns) * sizeof *numbers);
    double *without = take(start, &used, statistics_room(q) * sizeof *without);
    if (m) {
        m->capacity = patterns;
        m->patterns = pattern;
        m->cells = cell;
        m->block = block;
        m->r = r;
        m->numbers = numbers;
        m->without = without;
    }
    return used;
}

size_t cx_drivers_memory(int columns, int patterns)
{
    return lay_out(NULL, columns, patterns > 0 ? patterns : 1);
}

/* ---- one estimate ---------------------------------------------------------------------------- */

static enum cx_fit_status solve(struct cx_drivers_memory *m, double level)
{
    const struct cx_solve_options options = {.level = level};
    return cx_solve(&m->fit, &m->cross, &options, &m->solver);
}

static enum cx_fit_status listwise(struct cx_drivers_memory *m,
                                   const struct cx_drivers_question *question, uint64_t columns,
                                   int g)
{
    int q = cx_mask_count(columns), decimals[CX_COLUMNS_MAX], at = 0;
    cx_wide *without = m->block + cx_moments_cells(q);
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        decimals[at++] = question->decimals ? question->decimals[__builtin_ctzll(rest)] : 0;
    bool fine = cx_set_complete(question->total, columns, m->block);
    if (fine && g >= 0)
        fine = cx_set_complete(question->group[g], columns, without) &&
               cx_moments_merge(m->block, without, q, -1);
    if (!fine) /* beyond 128 bits: cannot come from checked state */
        m->block[CX_MOMENTS_WEIGHT] = 0;
    cx_cross_from_moments(&m->cross, m->block, q, decimals, true);
    return solve(m, question->level);
}

/* The total without group g (−1: all of it); NULL: not a part of it. */
static const struct cx_set *without(struct cx_drivers_memory *m,
                                    const struct cx_drivers_question *question, int g)
{
    const struct cx_set *total = question->total;
    if (g < 0)
        return total;
    cx_set_init(&m->rest, total->columns, m->patterns, m->capacity);
    cx_set_give_cells(&m->rest, m->cells, (size_t)m->capacity * cx_moments_cells(total->columns));
    bool fine = cx_set_merge(&m->rest, total, 1) == CX_SET_OK &&
                cx_set_merge(&m->rest, question->group[g], -1) == CX_SET_OK;
    return fine ? &m->rest : NULL;
}

/* The total, folded, in m->folded. */
static bool gather(struct cx_drivers_memory *m, const struct cx_drivers_question *question,
                   struct cx_set_fold *fold)
{
    int cap = question->pattern_cap > 0 ? question->pattern_cap : PATTERN_CAP;
    size_t room = (size_t)m->capacity * cx_moments_cells(question->total->columns);
    cx_set_init(&m->folded, question->total->columns, m->patterns + m->capacity, m->capacity);
    cx_set_give_cells(&m->folded, m->cells + room, room);
    return cx_set_fold(&m->folded, question->total, cap, fold) == CX_SET_OK;
}

/* Index of the folded pattern that rows of `observed` went to; −1: they were dropped. */
static int folded_into(const struct cx_set *folded, uint64_t observed)
{
    int low = 0, high = folded->count, best = -1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (folded->pattern[middle].observed < observed)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < folded->count && folded->pattern[low].observed == observed)
        return low;
    for (int i = 0; i < folded->count; i++)
        if (cx_fold_prefers(observed, folded->pattern[i].observed,
                            best < 0 ? NULL : &folded->pattern[best].observed))
            best = i;
    return best;
}

/* m->folded without group g, in m->rest: folded like the total, so no pattern is looked for twice.
 */
static bool folded_without(struct cx_drivers_memory *m, const struct cx_drivers_question *question,
                           int g)
{
    const struct cx_set *group = question->group[g], *folded = &m->folded;
    cx_set_init(&m->rest, folded->columns, m->patterns, m->capacity);
    cx_set_give_cells(&m->rest, m->cells, folded->used);
    m->rest.used = folded->used;
    m->rest.count = folded->count;
    for (size_t i = 0; i < folded->used; i++)
        m->cells[i] = folded->cells[i];
    for (int i = 0; i < folded->count; i++) {
        m->patterns[i] = folded->pattern[i];
        m->patterns[i].cell = m->cells + (folded->pattern[i].cell - folded->cells);
    }
    for (int i = 0; i < group->count; i++) {
        const struct cx_pattern *part = &group->pattern[i];
        int to = folded_into(folded, part->observed), keep[CX_COLUMNS_MAX], kept = 0, at = 0;
        if (to < 0)
            continue;
        for (uint64_t rest = part->observed; rest; rest &= rest - 1, at++)
            if (folded->pattern[to].observed & rest & -rest)
                keep[kept++] = at;
        cx_moments_select(m->block, part->cell, at, keep, kept);
        if (!cx_moments_merge(m->patterns[to].cell, m->block, kept, -1))
            return false;
    }
    return true;
}

static enum cx_fit_status pairwise(struct cx_drivers_memory *m,
                                   const struct cx_drivers_question *question, uint64_t columns,
                                   int g)
{
    const struct cx_set *from = without(m, question, g);
    int64_t pairs;
    if (!from)
        return CX_FIT_INSUFFICIENT;
    cx_pairwise_cross(from, columns, question->decimals, &m->cross, &pairs);
    enum cx_fit_status status = solve(m, question->level);
    /* of the drivers that are kept it must be the matrix of some data */
    cx_fit_correlations(&m->fit, &m->cross, m->numbers);
    int size = m->fit.kept + 1;
    if (pairs > 0 && cx_em_cholesky(size, m->numbers, 1e-10) == 0)
        return status;
    m->cross.n_effective = 0; /* no coefficients: such correlations are worth no rows */
    return solve(m, question->level);
}

/* Iterations that `work` multiplications of the E step allow: patterns × q³/5 each. */
static int iterations_max(const struct cx_drivers_memory *m, uint64_t columns, double work,
                          int least)
{
    double q = cx_mask_count(columns), each = m->folded.count * q * q * q / 5;
    return (int)fmin(fmax(work / each, least), ITERATIONS_MAX);
}

/* Of all, the estimate that fit_all left in m->warm; without a group, on from there: near it, and
 * an interval forgives what the published estimate must not. */
static enum cx_fit_status by_em(struct cx_drivers_memory *m,
                                const struct cx_drivers_question *question, uint64_t columns, int g)
{
    const struct cx_em_options options = {
        .decimals = question->decimals,
        .warm = &m->warm,
        .tolerance = GROUP_TOLERANCE,
        .iterations_max = iterations_max(m, columns, GROUP_WORK, GROUP_ITERATIONS)};
    if (g >= 0 && !folded_without(m, question, g))
        return CX_FIT_INSUFFICIENT;
    enum cx_em_status status =
        g < 0 ? CX_EM_OK : cx_em(&m->em, &m->rest, columns, &options, m->numbers);
    if (status == CX_EM_NO_ROWS)
        return CX_FIT_NO_ROWS;
    if (status != CX_EM_OK) /* short of its end it has not moved as far as the group would */
        return CX_FIT_INSUFFICIENT;
    cx_em_cross(g < 0 ? &m->warm : &m->em, &m->cross);
    return solve(m, question->level);
}

enum cx_fit_status cx_drivers_estimate(struct cx_drivers_memory *m,
                                       const struct cx_drivers_question *question, uint64_t columns,
                                       enum cx_method method, int g)
{
    if (method == CX_METHOD_PAIRWISE)
        return pairwise(m, question, columns, g);
    return method == CX_METHOD_LISTWISE ? listwise(m, question, columns, g)
                                        : by_em(m, question, columns, g);
}

/* ---- which drivers, which method ------------------------------------------------------------- */

static void blank(struct cx_drivers *result)
{
    struct cx_fit *fit = &result->fit;
    double *const lists[] = {
        fit->coef,         fit->se,        fit->t,        fit->p,    fit->low,    fit->high,
        fit->beta,         fit->vif,       fit->r,        result->q, result->fmi, result->mar,
        result->robust_se, result->p_top1, result->p_top3};
    const struct cx_interval none = {NAN, NAN, NAN};
    for (int i = 0; i < CX_COLUMNS_MAX; i++) {
        for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
            lists[l][i] = NAN;
        result->weight[i] = result->lmg[i] = none;
        fit->alias_of[i] = -1;
    }
    fit->df = fit->r2 = fit->adj_r2 = fit->sigma = fit->rss = fit->f = fit->f_p = NAN;
    fit->condition = result->r2_low = result->r2_high = result->missing = NAN;
    result->converged = true;
}

/* Drivers that anybody answered, and the outcome. */
static uint64_t answered(struct cx_drivers *result, int q)
{
    uint64_t columns = UINT64_C(1) << (q - 1);
    for (int c = 0; c < q - 1; c++)
        if (result->counts.answered[c] > 0)
            columns |= UINT64_C(1) << c;
        else
            result->fit.dropped[c] =
                result->counts.does_not_apply[c] > 0 ? CX_DROP_NO_VALUE : CX_DROP_EMPTY;
    return columns;
}

static enum cx_method choose(const struct cx_drivers *result,
                             const struct cx_drivers_question *question, uint64_t columns,
                             struct cx_drivers_memory *m)
{
    if (question->method != CX_METHOD_AUTO)
        return question->method;
    int64_t missing = 0, rows = result->counts.rows;
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        missing += rows - result->counts.answered[__builtin_ctzll(rest)];
    bool few = (double)missing <= AUTO_MISSING_MAX * (double)rows * cx_mask_count(columns);
    if (!few || !cx_set_complete(question->total, columns, m->block))
        return CX_METHOD_EM;
    bool whole = (double)m->block[CX_MOMENTS_N] >= AUTO_COMPLETE_MIN * (double)rows;
    return whole ? CX_METHOD_LISTWISE : CX_METHOD_EM;
}

/* EM, leaving out the drivers it names; `columns` are those left. */
static enum cx_fit_status em_without_obstacles(struct cx_drivers *result,
                                               const struct cx_drivers_question *question,
                                               struct cx_drivers_memory *m, uint64_t *columns)
{
    int outcome = question->total->columns - 1;
    if (!gather(m, question, &result->fold))
        return CX_FIT_INSUFFICIENT;
    while (*columns & (*columns - 1)) {
        const struct cx_em_options options = {
            .decimals = question->decimals,
            .iterations_max = iterations_max(m, *columns, TOTAL_WORK, TOTAL_ITERATIONS)};
        enum cx_em_status status = cx_em(&m->em, &m->folded, *columns, &options, m->numbers);
        if (status == CX_EM_NO_ROWS)
            return CX_FIT_NO_ROWS;
        if (status == CX_EM_TOO_FEW)
            return CX_FIT_INSUFFICIENT;
        if (status == CX_EM_OK || status == CX_EM_NOT_CONVERGED) {
            result->converged = status == CX_EM_OK;
            m->warm = m->em;
            cx_em_cross(&m->em, &m->cross);
            return solve(m, question->level);
        }
        if (m->em.column == outcome)
            return CX_FIT_OUTCOME_CONSTANT;
        result->fit.dropped[m->em.column] =
            status == CX_EM_SINGULAR ? CX_DROP_ALIASED : CX_DROP_CONSTANT;
        *columns &= ~(UINT64_C(1) << m->em.column);
    }
    return CX_FIT_NO_DRIVERS;
}

/* ---- results in the numbering of the set ----------------------------------------------------- */

/* m->fit is over `columns`; its drivers go to their places. Returns the columns that were kept. */
static uint64_t spread(struct cx_drivers *result, const struct cx_drivers_memory *m, int q,
                       uint64_t columns)
{
    const struct cx_fit *from = &m->fit;
    struct cx_fit *to = &result->fit;
    int index[CX_COLUMNS_MAX], at = 0;
    uint64_t kept = UINT64_C(1) << (q - 1);
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        index[at++] = __builtin_ctzll(rest);
    const double *const source[] = {from->coef, from->se, from->t, from->p, from->low, from->high};
    double *const target[] = {to->coef, to->se, to->t, to->p, to->low, to->high};
    for (int l = 0; l < 6; l++) {
        target[l][0] = source[l][0];
        for (int j = 0; j < from->drivers; j++)
            target[l][index[j] + 1] = source[l][j + 1];
    }
    for (int j = 0; j < from->drivers; j++) {
        to->beta[index[j]] = from->beta[j];
        to->vif[index[j]] = from->vif[j];
        to->r[index[j]] = from->r[j];
        to->dropped[index[j]] = from->dropped[j];
        to->alias_of[index[j]] = from->alias_of[j] < 0 ? -1 : index[from->alias_of[j]];
        if (from->dropped[j] == CX_KEPT)
            kept |= UINT64_C(1) << index[j];
    }
    to->kept = from->kept;
    to->n = from->n;
    to->n_effective = from->n_effective;
    to->df = from->df;
    to->few_df = from->few_df;
    to->r2 = from->r2;
    to->adj_r2 = from->adj_r2;
    to->sigma = from->sigma;
    to->rss = from->rss;
    to->f = from->f;
    to->f_p = from->f_p;
    to->condition = from->condition;
    return kept;
}

/* Standard errors of EM, and how far listwise is off. */
static void write_em(struct cx_drivers *result, const struct cx_drivers_question *question,
                     struct cx_drivers_memory *m, uint64_t columns)
{
    result->missing = m->em.missing;
    bool known = cx_em_errors(&m->errors, &m->em, &m->folded, question->decimals, m->numbers);
    if (!known)
        m->errors.df = NAN;
    for (int i = 0; i <= m->fit.drivers && !known; i++)
        m->errors.se[i] = m->errors.fmi[i] = NAN;
    cx_em_tests(&m->fit, &m->errors, question->level);
    struct cx_fit em = m->fit;
    spread(result, m, question->total->columns, columns);
    int j = 0;
    bool beside = listwise(m, question, columns, -1) == CX_FIT_OK;
    for (uint64_t rest = columns; rest & (rest - 1); rest &= rest - 1, j++) {
        int c = __builtin_ctzll(rest);
        result->fmi[c] = m->errors.fmi[j];
        if (beside)
            result->mar[c] = (em.coef[j + 1] - m->fit.coef[j + 1]) / em.se[j + 1];
    }
}

static enum cx_fit_status fit_all(struct cx_drivers *result,
                                  const struct cx_drivers_question *question,
                                  struct cx_drivers_memory *m, uint64_t *columns)
{
    int q = question->total->columns;
    enum cx_fit_status status = CX_FIT_NO_DRIVERS;
    if (result->counts.answered[q - 1] == 0)
        return CX_FIT_NO_ROWS;
    if (!(*columns & (*columns - 1)))
        return status;
    result->method = choose(result, question, *columns, m);
    bool em = result->method == CX_METHOD_EM;
    for (;;) {
        status = em ? em_without_obstacles(result, question, m, columns)
                    : cx_drivers_estimate(m, question, *columns, result->method, -1);
        bool solved = status == CX_FIT_OK || status == CX_FIT_PERFECT;
        if (em && !solved)
            return status;
        uint64_t kept = spread(result, m, q, *columns);
        if (!solved || kept == *columns)
            break;
        *columns = kept; /* again: rows that only lacked a dropped driver count now */
    }
    if (em && status == CX_FIT_OK)
        write_em(result, question, m, *columns);
    return status;
}

enum cx_fit_status cx_drivers(struct cx_drivers *result, const struct cx_drivers_question *question,
                              void *memory)
{
    int q = question->total->columns;
    size_t order[CX_COLUMNS_MAX];
    struct cx_drivers_memory *m = memory;
    lay_out(memory, q, question->total->count > 0 ? question->total->count : 1);
    *result = (struct cx_drivers){.fit.drivers = q - 1};
    blank(result);
    cx_set_count(question->total, &result->counts);
    uint64_t columns = answered(result, q);
    result->fit.status = fit_all(result, question, m, &columns);
    if (cx_set_complete(question->total, columns, m->block))
        result->n_complete = (int64_t)m->block[CX_MOMENTS_N];
    if (result->method == CX_METHOD_LISTWISE) /* of rows, here */
        result->missing = 1 - (double)result->n_complete / (double)result->counts.rows;
    cx_fdr(result->fit.p + 1, (size_t)(q - 1), result->q, order);
    if (result->fit.status == CX_FIT_OK)
        cx_drivers_share(result, question, m, columns);
    return result->fit.status;
}
