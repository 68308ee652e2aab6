/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results → rows of benchmark_fit and benchmark_result, replaced as a whole, so that a unit that
 * left leaves no row. A column travels as one array; what is not finite arrives as NULL. */
#include <math.h>
#include <stdio.h>

#include "daemon/benchmarks_parts.h"

static void put_number(struct fp_pg_param *param, double number)
{
    if (isfinite(number))
        fp_pg_put_double(param, number);
    else
        fp_pg_put_null(param);
}

static void put_text(struct fp_pg_param *param, const char *text) /* NULL: null */
{
    fp_pg_put_slice(param, fp_slice_of(text));
}

static enum fp_status run(struct fp_benchmark_job *job, const char *sql, struct fp_params *p,
                          struct fp_error *err)
{
    enum fp_status status =
        fp_pg_exec(job->pg, sql, p->ref, p->count, FP_BENCHMARK_DEADLINE_MS, NULL, err);
    fp_params_free(p);
    return status;
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *outcome_word(const struct fp_benchmark_job *job)
{
    static const char *const words[] = {[CX_BENCHMARK_OK] = "ok",
                                        [CX_BENCHMARK_FEW] = "few_units",
                                        [CX_BENCHMARK_ONE] = "one_unit",
                                        [CX_BENCHMARK_NO_VARIANCE] = "no_variance"};
    if (job->too_many)
        return "too_many_units";
    return job->compared == 0 ? "no_units" : words[job->outcome];
}

static const char *cell_word(const struct fp_benchmark_job *job,
                             const struct fp_benchmark_cell *cell)
{
    if (cell->place == FP_NONE)
        return "suppressed_min_n";
    if (job->outcome == CX_BENCHMARK_NO_VARIANCE)
        return "no_variance";
    if (fp_benchmark_insufficient(&job->kpi, cell->n, &job->result[cell->place].raw))
        return "insufficient_n";
    return outcome_word(job);
}

static const char *tier_word(enum cx_benchmark_tier tier)
{
    static const char *const words[] = {NULL, "top", "middle", "bottom"};
    return words[tier];
}

static const char *side_word(enum cx_benchmark_side side)
{
    static const char *const words[] = {NULL, "above", "below", "undecided"};
    return words[side];
}

/* ---- units ----------------------------------------------------------------------------------- */

enum { WORDS = 9, NUMBERS = 31, COLUMNS = WORDS + NUMBERS }; /* of which each is a parameter */
_Static_assert(COLUMNS <= FP_PARAMS_MAX, "one parameter a column");

/* In the order of insert_units's columns. */
static void numbers_of(const struct cx_benchmark_unit *unit, const struct cx_benchmark *b,
                       double to[NUMBERS])
{
    int at = 0;
    const double plain[] = {unit->n,           b->raw.value,    b->raw.low,      b->raw.high,
                            b->shrunk.value,   b->shrunk.low,   b->shrunk.high,  b->own,
                            b->rank_expected,  b->p_top,        b->p_bottom,     b->rest.value,
                            b->rest.low,       b->rest.high,    b->rest_z,       b->funnel_z,
                            b->external.value, b->external.low, b->external.high};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        to[at++] = plain[i];
    for (int f = 0; f < CX_FUNNELS; f++) {
        const struct cx_funnel_limits *l = &b->funnel[f];
        const double limits[] = {l->low95, l->high95, l->low998, l->high998};
        for (int i = 0; i < 4; i++)
            to[at++] = limits[i];
    }
}

static void put_rank(struct fp_pg_param *param, int rank) /* 0: none */
{
    if (rank > 0)
        fp_pg_put_int(param, rank);
    else
        fp_pg_put_null(param);
}

static void put_unit(struct fp_params *p, const struct fp_benchmark_job *job,
                     const struct fp_benchmark_cell *cell)
{
    static const struct cx_benchmark hidden = {0};
    bool shown = cell->place != FP_NONE;
    const struct cx_benchmark *b = shown ? &job->result[cell->place] : &hidden;
    double number[NUMBERS];
    for (int i = 0; i < NUMBERS; i++)
        number[i] = NAN;
    if (shown)
        numbers_of(&job->unit[cell->place], b, number);
    fp_pg_put_int(&p->at[1], cell->unit);
    fp_pg_put_int(&p->at[2], cell->n);
    put_text(&p->at[3], cell_word(job, cell));
    put_text(&p->at[4], tier_word(b->tier));
    put_text(&p->at[5], side_word(b->external_side));
    put_rank(&p->at[6], b->rank_low);
    put_rank(&p->at[7], b->rank_high);
    fp_pg_put_int(&p->at[8], b->pooled);
    for (int i = 0; i < NUMBERS; i++)
        put_number(&p->at[WORDS + i], number[i]);
}

static enum fp_status insert_units(struct fp_benchmark_job *job, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iILTTTIIODDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD");
    fp_pg_put_int(&p.at[0], job->kpi.series);
    for (int i = 0; i < job->cell_count; i++)
        put_unit(&p, job, &job->cells[i]);
    return run(job,
               "INSERT INTO flightpath.benchmark_result (series, unit, n, status, tier,"
               " external_side, rank_low, rank_high, pooled, n_eff, raw, raw_low, raw_high, shrunk,"
               " ci_low, ci_high, own, rank_expected, p_top, p_bottom, rest, rest_low, rest_high,"
               " rest_z, funnel_z, external_difference, external_low, external_high, plain_low_95,"
               " plain_high_95, plain_low_998, plain_high_998, multiplied_low_95,"
               " multiplied_high_95, multiplied_low_998, multiplied_high_998, added_low_95,"
               " added_high_95, added_low_998, added_high_998)"
               " SELECT $1, u.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
               " $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29,"
               " $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40) AS u",
               &p, err);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void put_fit(struct fp_params *p, const struct fp_benchmark_job *job)
{
    const struct fp_benchmark_kpi *k = &job->kpi;
    const struct cx_benchmark_all *all = &job->all;
    int at = 0;
    bool external = !isnan(k->external);
    fp_pg_put_int(&p->at[at++], k->series);
    for (int i = 0; i < 2; i++, at++)
        if (k->has_window)
            fp_pg_put_int(&p->at[at], i == 0 ? k->first_day : k->last_day);
        else
            fp_pg_put_null(&p->at[at]);
    put_text(&p->at[at++], outcome_word(job));
    fp_pg_put_int(&p->at[at++], job->compared);
    fp_pg_put_int(&p->at[at++], job->cell_count - job->compared);
    fp_pg_put_int(&p->at[at++], k->answers);
    put_text(&p->at[at++], isnan(all->tau) ? NULL : all->paule_mandel ? "paule-mandel" : "reml");
    fp_pg_put_int(&p->at[at++], all->third);
    const double number[] = {
        all->mu,
        all->tau,
        all->i2,
        all->phi,
        all->centre,
        all->answer_variance,
        k->external,
        external ? sqrt(fp_benchmark_external_variance(k, all->answer_variance)) : NAN};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        put_number(&p->at[at++], number[i]);
    put_text(&p->at[at], external ? k->external_source : NULL);
}

static enum fp_status insert_fit(struct fp_benchmark_job *job, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iiitiiotiddddddddt");
    put_fit(&p, job);
    return run(job,
               "INSERT INTO flightpath.benchmark_fit (series, first_day, last_day, status, units,"
               " suppressed, of_answers, method, third, mu, tau, i2, phi, centre, answer_variance,"
               " external, external_se, external_source, computed_at)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9, 0), $10, $11, $12, $13, $14,"
               " $15, $16, $17, $18, clock_timestamp())",
               &p, err);
}

enum fp_status fp_benchmark_write(struct fp_benchmark_job *job, struct fp_error *err)
{
    static const char *const clear[] = {"DELETE FROM flightpath.benchmark_result WHERE series = $1",
                                        "DELETE FROM flightpath.benchmark_fit WHERE series = $1"};
    enum fp_status status = FP_OK;
    for (int i = 0; i < 2 && status == FP_OK; i++) {
        struct fp_params p;
        fp_params_init(&p, "i");
        fp_pg_put_int(&p.at[0], job->kpi.series);
        status = run(job, clear[i], &p, err);
    }
    if (status == FP_OK && job->cell_count > 0 && !job->too_many)
        status = insert_units(job, err);
    return status == FP_OK ? insert_fit(job, err) : status;
}
