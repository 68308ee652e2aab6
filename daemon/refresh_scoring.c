/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coefficients to score touchpoint events with. The first version waits for rows enough to predict
 * with, and the next for the clock, unless the rows behind it have doubled: early versions would
 * else stand for long on little. An event is scored by its measures alone; items stand at their
 * mean, which is in the centre. Means are those of the estimate (complete rows, or of EM), so the
 * prediction at the means is the mean outcome under the fit. */
#include <math.h>

#include "daemon/refresh_parts.h"

#define ROWS_MIN 100
#define ROWS_PER_DRIVER 20

/* Means of the kept drivers by column, as the estimate saw them; the others NAN. */
static enum fp_status means(struct fp_refresh_job *job, const struct fp_fit_row *fit, double *mean,
                            struct fp_error *err)
{
    const struct cx_set *total = &job->scratch->sets.total;
    uint64_t columns = fit->kept | UINT64_C(1) << (job->fitting->columns - 1);
    int q = cx_mask_count(columns), at = 0, decimals[CX_COLUMNS_MAX];
    struct cx_cross *cross = &job->scratch->cross;
    for (uint64_t rest = columns; rest; rest &= rest - 1)
        decimals[at++] = job->fitting->decimals[__builtin_ctzll(rest)];
    if (job->scratch->result.method == CX_METHOD_EM) {
        const struct cx_em_options options = {.decimals = job->fitting->decimals};
        struct cx_em *em = fp_room_take(job, FP_ROOM_UNITS, sizeof *em);
        double *work = fp_room_take(job, FP_ROOM_LIBRARY,
                                    cx_em_work(total->columns, total->count) * sizeof *work);
        if (em == NULL || work == NULL)
            return fp_refresh_no_memory(err);
        enum cx_em_status status = cx_em(em, total, columns, &options, work);
        if (status != CX_EM_OK && status != CX_EM_NOT_CONVERGED)
            return fp_fail(err, FP_POISON, "no_means", "drivers", "EM gave no means");
        cx_em_cross(em, cross);
    } else {
        cx_wide *cell = fp_room_take(job, FP_ROOM_BLOCKS, cx_moments_cells(q) * sizeof *cell);
        if (cell == NULL)
            return fp_refresh_no_memory(err);
        if (!cx_set_complete(total, columns, cell))
            return fp_fail(err, FP_POISON, "no_means", "drivers", "a sum is beyond its range");
        cx_cross_from_moments(cross, cell, q, decimals, true);
    }
    at = 0;
    for (uint64_t rest = columns; rest; rest &= rest - 1, at++)
        mean[__builtin_ctzll(rest)] = cross->mean[at].hi;
    return FP_OK;
}

/* No version yet, or the newest is old, or of half as many rows. */
static enum fp_status due(struct fp_refresh_job *job, int64_t n, bool *is, struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    fp_params_init(&p, "idl");
    fp_pg_put_int(&p.at[0], job->fitting->series);
    fp_pg_put_double(&p.at[1], (double)job->config->scoring_ms);
    fp_pg_put_int(&p.at[2], n);
    enum fp_status status =
        fp_pg_exec(job->pg,
                   "SELECT coalesce(bool_or(at <= clock_timestamp() - $2 * interval '1 ms'"
                   " OR 2 * n <= $3), true) FROM flightpath.scoring WHERE series = $1"
                   " AND version = (SELECT max(version) FROM flightpath.scoring WHERE series = $1)",
                   p.ref, p.count, FP_REFRESH_DEADLINE_MS, &result, err);
    fp_params_free(&p);
    *is = status == FP_OK && *fp_pg_text(result, 0, 0) == 't';
    fp_pg_result_free(result);
    return status;
}

static enum fp_status insert(struct fp_refresh_job *job, struct fp_params *p, struct fp_error *err)
{
    return fp_pg_exec(
        job->pg,
        "INSERT INTO flightpath.scoring (series, day, n, mean, coef, centre, low, high, cut, sigma)"
        " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE NOT EXISTS ("
        "  SELECT FROM flightpath.scoring s WHERE s.series = $1"
        "  AND s.version = (SELECT max(version) FROM flightpath.scoring WHERE series = $1)"
        "  AND s.mean = $4 AND s.coef = $5 AND s.centre = $6 AND s.sigma = $10 AND s.cut = $9)",
        p->ref, p->count, FP_REFRESH_DEADLINE_MS, NULL, err);
}

enum fp_status fp_refresh_scoring(struct fp_refresh_job *job, const struct fp_fit_row *fit,
                                  struct fp_error *err)
{
    const struct fp_fitting *f = job->fitting;
    const struct cx_fit *solved = &job->scratch->result.fit;
    int outcome = f->columns - 1;
    double mean[CX_COLUMNS_MAX] = {0}, centre = solved->coef[0];
    bool is_due = false;
    if (f->touchpoint == FP_NONE || f->first_measure == outcome || solved->status != CX_FIT_OK ||
        !(solved->n_effective >= fmax(ROWS_MIN, ROWS_PER_DRIVER * cx_mask_count(fit->kept))))
        return FP_OK;
    enum fp_status status = due(job, fit->n, &is_due, err);
    if (status != FP_OK || !is_due)
        return status;
    status = means(job, fit, mean, err);
    if (status != FP_OK)
        return status;
    struct fp_params p;
    fp_params_init(&p, "iilDDddddd");
    fp_pg_put_int(&p.at[0], f->series);
    fp_pg_put_int(&p.at[1], job->day);
    fp_pg_put_int(&p.at[2], fit->n);
    for (int j = 0; j < outcome; j++) {
        bool kept = fit->kept >> j & 1;
        double coef = kept ? solved->coef[j + 1] : 0;
        centre += coef * mean[j];
        if (j >= f->first_measure) { /* a measure that was left out counts for nothing */
            fp_pg_put_double(&p.at[3], mean[j]);
            fp_pg_put_double(&p.at[4], coef);
        }
    }
    fp_pg_put_double(&p.at[5], centre);
    fp_pg_put_double(&p.at[6], job->low[outcome]);
    fp_pg_put_double(&p.at[7], job->high[outcome]);
    fp_pg_put_double(&p.at[8], job->cut);
    fp_pg_put_double(&p.at[9], solved->sigma);
    status = insert(job, &p, err);
    fp_params_free(&p);
    return status;
}
