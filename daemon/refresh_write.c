/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results → rows of driver_fit and driver_result.
 *
 * A day's rows are replaced as a whole, so that a unit that is gone leaves none. The many numbers
 * of a row travel as one array, row after row, and are named by their place in it: the order of the
 * two enums of refresh_parts.h. What is not finite travels as NaN and arrives as NULL. */
#include <math.h>
#include <stdio.h>

#include "daemon/refresh_parts.h"

#define ROWS_MAX 4096 /* of driver_result in one statement */

static void put_text(struct fp_pg_param *param, const char *text)
{
    fp_pg_put_slice(param, fp_slice_of(text));
}

static void put_numbers(struct fp_pg_param *param, const double *number, int count)
{
    for (int i = 0; i < count; i++)
        fp_pg_put_double(param, isfinite(number[i]) ? number[i] : NAN);
}

static void put_key(struct fp_params *p, const struct fp_refresh_job *job)
{
    fp_pg_put_int(&p->at[0], job->fitting->series);
    fp_pg_put_int(&p->at[1], job->kind);
    fp_pg_put_int(&p->at[2], job->day);
}

/* Drivers as 1, 2, …, between commas. */
static void put_drivers(struct fp_pg_param *param, uint64_t drivers)
{
    char text[4 * CX_COLUMNS_MAX] = "";
    int used = 0;
    for (uint64_t rest = drivers; rest; rest &= rest - 1)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%d", used > 0 ? "," : "",
                         __builtin_ctzll(rest) + 1);
    put_text(param, text);
}

static enum fp_status run(struct fp_refresh_job *job, const char *sql, struct fp_params *p,
                          struct fp_error *err)
{
    enum fp_status status =
        fp_pg_exec(job->pg, sql, p->ref, p->count, FP_REFRESH_DEADLINE_MS, NULL, err);
    fp_params_free(p);
    return status;
}

static enum fp_status clear(struct fp_refresh_job *job, struct fp_error *err)
{
    static const char *const statements[] = {
        "DELETE FROM flightpath.driver_result WHERE series = $1 AND kind = $2 AND day = $3"
        " AND ($4 OR segment = $5)",
        "DELETE FROM flightpath.driver_fit WHERE series = $1 AND kind = $2 AND day = $3"
        " AND ($4 OR segment = $5)"};
    enum fp_status status = FP_OK;
    for (int i = 0; i < 2 && status == FP_OK; i++) {
        struct fp_params p;
        fp_params_init(&p, "ihioi");
        put_key(&p, job);
        fp_pg_put_int(&p.at[3], job->kind == FP_SEGMENT_UNIT);
        fp_pg_put_int(&p.at[4], job->segment);
        status = run(job, statements[i], &p, err);
    }
    return status;
}

static enum fp_status write_fits(struct fp_refresh_job *job, const struct fp_fit_row *fits,
                                 int count, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "ihiiDILLTIOILLTT");
    put_key(&p, job);
    fp_pg_put_int(&p.at[3], job->first_day);
    for (int i = 0; i < count; i++) {
        const struct fp_fit_row *fit = &fits[i];
        put_numbers(&p.at[4], fit->number, FP_FIT_NUMBERS);
        fp_pg_put_int(&p.at[5], fit->segment);
        fp_pg_put_int(&p.at[6], fit->n);
        fp_pg_put_int(&p.at[7], fit->n_complete);
        put_text(&p.at[8], fit->method);
        fp_pg_put_int(&p.at[9], fit->groups);
        fp_pg_put_int(&p.at[10], fit->model_based);
        fp_pg_put_int(&p.at[11], fit->patterns);
        fp_pg_put_int(&p.at[12], fit->values_dropped);
        fp_pg_put_int(&p.at[13], fit->rows_dropped);
        put_text(&p.at[14], fit->status);
        put_drivers(&p.at[15], fit->top_group);
    }
    return run(
        job,
        "INSERT INTO flightpath.driver_fit (series, kind, day, first_day, segment, n, n_complete,"
        "  n_eff, intercept, r2, adj_r2, r2_low, r2_high, sigma, f, f_p, condition, q2, q2_low,"
        "  q2_high, calibration_slope, calibration_low, calibration_high, mean_error, outcome_mean,"
        "  missing, repeats, method, groups, model_based, patterns, values_dropped, rows_dropped,"
        "  status, top_group, computed_at)"
        " SELECT $1, $2, $3, $4, u.segment, u.n, u.n_complete, coalesce(v[1], 0), v[2], v[3], v[4],"
        "  v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17],"
        "  v[18], v[19], v[20], u.method, u.groups, u.model_based, u.patterns, u.values_dropped,"
        "  u.rows_dropped, u.status, string_to_array(u.top, ',')::int[], clock_timestamp()"
        " FROM unnest($6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) WITH ORDINALITY AS u"
        "  (segment, n, n_complete, method, groups, model_based, patterns, values_dropped,"
        "   rows_dropped, status, top, row),"
        " LATERAL (SELECT array_agg(nullif($5[20 * (u.row - 1) + i], 'NaN') ORDER BY i) AS v"
        "  FROM generate_series(1, 20) AS i) AS w",
        &p, err);
}

static void put_driver(struct fp_params *p, const struct fp_fit_row *fit, int driver)
{
    const struct fp_driver_result *r = &fit->driver[driver];
    put_numbers(&p->at[3], r->number, FP_DRIVER_NUMBERS);
    fp_pg_put_int(&p->at[4], fit->segment);
    fp_pg_put_int(&p->at[5], driver + 1);
    fp_pg_put_int(&p->at[6], r->answered);
    fp_pg_put_int(&p->at[7], r->skipped);
    fp_pg_put_int(&p->at[8], r->does_not_apply);
    fp_pg_put_int(&p->at[9], r->rank_low);
    fp_pg_put_int(&p->at[10], r->rank_high);
    put_text(&p->at[11], r->key);
    put_text(&p->at[12], r->flags);
    put_text(&p->at[13], r->status);
}

static enum fp_status insert_drivers(struct fp_refresh_job *job, struct fp_params *p,
                                     struct fp_error *err)
{
    return run(
        job,
        "INSERT INTO flightpath.driver_result (series, kind, day, segment, driver, answered,"
        "  skipped, does_not_apply, coef, se, robust_se, t, ci_low, ci_high, p, q, beta, vif, r,"
        "  fmi, mar, weight, weight_low, weight_high, lmg, lmg_low, lmg_high, performance,"
        "  performance_low, performance_high, p_top1, p_top3, own, tau, applies_coef, applies_se,"
        "  rank_low, rank_high, key, flags, status)"
        " SELECT $1, $2, $3, u.segment, u.driver, u.answered, u.skipped, u.does_not_apply, v[1],"
        "  v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14],"
        "  v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23], v[24], v[25], v[26],"
        "  v[27], v[28], nullif(u.rank_low, 0), nullif(u.rank_high, 0), u.key,"
        "  string_to_array(u.flags, ','), u.status"
        " FROM unnest($5, $6, $7, $8, $9, $10, $11, $12, $13, $14) WITH ORDINALITY AS u (segment,"
        "  driver, answered, skipped, does_not_apply, rank_low, rank_high, key, flags, status,"
        "  row),"
        " LATERAL (SELECT array_agg(nullif($4[28 * (u.row - 1) + i], 'NaN') ORDER BY i) AS v"
        "  FROM generate_series(1, 28) AS i) AS w",
        p, err);
}

static enum fp_status write_drivers(struct fp_refresh_job *job, const struct fp_fit_row *fits,
                                    int count, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    int drivers = job->fitting->columns - 1, each = ROWS_MAX / drivers;
    for (int from = 0; from < count && status == FP_OK; from += each) {
        struct fp_params p;
        int to = from + each < count ? from + each : count;
        fp_params_init(&p, "ihiDIILLLIITTT");
        put_key(&p, job);
        for (int i = from; i < to; i++)
            for (int j = 0; j < drivers; j++)
                put_driver(&p, &fits[i], j);
        status = insert_drivers(job, &p, err);
    }
    return status;
}

_Static_assert(FP_FIT_NUMBERS == 20 && FP_DRIVER_NUMBERS == 28, "the statements say so");

enum fp_status fp_refresh_write(struct fp_refresh_job *job, const struct fp_fit_row *fits,
                                int count, struct fp_error *err)
{
    enum fp_status status = clear(job, err);
    if (status == FP_OK && count > 0)
        status = write_fits(job, fits, count, err);
    if (status == FP_OK && count > 0)
        status = write_drivers(job, fits, count, err);
    return status;
}
