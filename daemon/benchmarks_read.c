/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A KPI that is due, and its units' sums of the window.
 *
 * Problem: whether tallies changed is not written anywhere that survives: the rows a flush leaves
 * for the watch are somebody else's to delete, and rows also move between lanes without changing
 * anything. Way: the sums per unit are what the result depends on, so they are read (one scan of
 * the window, the same that an answer to "did anything change?" would need) and hashed together
 * with everything else that decides the result; equal hash, nothing to do. Late answers,
 * revisions, erasures, a window that moves on, units that appear or leave, another min_n or
 * external value: all are seen by the one comparison, and a kill can lose none of it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "daemon/benchmarks_parts.h"
#include "daemon/memory.h"

#define LARGEST_NAME_ID FP_ID_OTHER /* units up to it are none: not given, __other__ */

void fp_benchmark_job_free(struct fp_benchmark_job *job)
{
    free(job->cells);
    free(job->unit);
    free(job->result);
    job->cells = NULL;
    job->unit = NULL;
    job->result = NULL;
    job->cell_count = job->compared = 0;
}

/* ---- claim ----------------------------------------------------------------------------------- */

enum column {
    SERIES,
    BEFORE,
    KPI,
    DEFINITION,
    METRIC,
    ANSWERS,
    MIN_N,
    DECIMALS,
    TOP_K,
    QUANTILE,
    SCALE_MIN,
    SCALE_MAX,
    DIRECTION,
    NEWEST,
    EXTERNAL,
    EXTERNAL_SD,
    EXTERNAL_N,
    EXTERNAL_SOURCE
};

/* The window is that of experience.kpi_now. */
static const char claim_sql[] =
    "WITH one AS MATERIALIZED (SELECT t.series, t.signature FROM flightpath.benchmark_task t"
    "  JOIN flightpath.kpi k ON k.series = t.series AND k.current"
    "  WHERE t.series = ANY ($1) AND t.looked_at < $2::text::timestamptz"
    "   AND (t.run_after <= clock_timestamp() OR $3 AND t.last_error IS NULL)"
    "  ORDER BY t.looked_at, t.series LIMIT 1 FOR UPDATE OF t SKIP LOCKED),"
    " recent AS MATERIALIZED (SELECT max(greatest(tally.newest, sketch.newest)) AS newest"
    "  FROM flightpath.kpi k"
    "  CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.tally_day t"
    "   WHERE t.series = k.series) tally"
    "  CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.sketch_day t"
    "   WHERE t.series = k.series) sketch"
    "  WHERE k.current AND EXISTS (SELECT FROM one))"
    " SELECT k.series, coalesce(one.signature, ''), k.kpi, k.definition, k.metric,"
    "  k.source = 'item',"
    "  CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END, k.decimals,"
    "  coalesce(k.top_k, 0), k.quantile, k.scale_min, k.scale_max,"
    "  CASE k.direction WHEN 'lower' THEN -1 ELSE 1 END, recent.newest, x.value, x.sd, x.n,"
    "  coalesce(x.source, '')"
    " FROM one JOIN flightpath.kpi k ON k.series = one.series"
    " JOIN flightpath.programme p ON p.only_row CROSS JOIN recent"
    " LEFT JOIN flightpath.benchmark_external x ON x.series = k.series"
    "  AND recent.newest >= coalesce(x.from_day, recent.newest)"
    "  AND recent.newest <= coalesce(x.until_day, recent.newest)";

static double number(const struct fp_pg_result *row, enum column column, double otherwise)
{
    return fp_pg_is_null(row, 0, column) ? otherwise : strtod(fp_pg_text(row, 0, column), NULL);
}

static enum fp_status take_kpi(struct fp_benchmark_job *job, const struct fp_pg_result *row,
                               struct fp_error *err)
{
    struct fp_benchmark_kpi *k = &job->kpi;
    const char *metric = fp_pg_text(row, 0, METRIC);
    k->series = (int32_t)fp_pg_int(row, 0, SERIES);
    snprintf(job->before, sizeof job->before, "%s", fp_pg_text(row, 0, BEFORE));
    snprintf(k->kpi, sizeof k->kpi, "%s", fp_pg_text(row, 0, KPI));
    snprintf(k->definition, sizeof k->definition, "%s", fp_pg_text(row, 0, DEFINITION));
    snprintf(k->external_source, sizeof k->external_source, "%s",
             fp_pg_text(row, 0, EXTERNAL_SOURCE));
    k->answers = *fp_pg_text(row, 0, ANSWERS) == 't';
    k->min_n = fp_pg_int(row, 0, MIN_N);
    k->decimals = (int)fp_pg_int(row, 0, DECIMALS);
    k->top_k = (int)fp_pg_int(row, 0, TOP_K);
    k->quantile = number(row, QUANTILE, NAN);
    k->item_min = number(row, SCALE_MIN, -INFINITY);
    k->item_max = number(row, SCALE_MAX, INFINITY);
    k->direction = (int)fp_pg_int(row, 0, DIRECTION);
    k->external = number(row, EXTERNAL, NAN);
    k->external_sd = number(row, EXTERNAL_SD, NAN);
    k->external_n = number(row, EXTERNAL_N, NAN);
    k->has_window = !fp_pg_is_null(row, 0, NEWEST);
    k->last_day = k->has_window ? (int32_t)fp_pg_int(row, 0, NEWEST) : 0;
    k->first_day = k->last_day - FP_BENCHMARK_WINDOW_DAYS + 1;
    return fp_benchmark_scale(k, metric) ? FP_OK
                                         : fp_fail(err, FP_FATAL, "metric", "flightpath.kpi",
                                                   "there is no way to compare %s", metric);
}

enum fp_status fp_benchmark_claim(struct fp_benchmark_job *job,
                                  const struct fp_benchmark_claim *what, bool *found,
                                  struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *row = NULL;
    fp_params_init(&p, "Ito");
    for (int i = 0; i < what->binding->model->kpi_count; i++)
        fp_pg_put_int(&p.at[0], what->binding->series[i]);
    fp_pg_put_slice(&p.at[1], fp_slice_of(what->before));
    fp_pg_put_int(&p.at[2], what->any_time);
    enum fp_status status =
        fp_pg_exec(job->pg, claim_sql, p.ref, p.count, FP_BENCHMARK_DEADLINE_MS, &row, err);
    fp_params_free(&p);
    *found = status == FP_OK && fp_pg_rows(row) > 0;
    if (*found)
        status = take_kpi(job, row, err);
    fp_pg_result_free(row);
    return status;
}

/* ---- what tells that something changed ------------------------------------------------------- */

static void hash_kpi(XXH3_state_t *state, const struct fp_benchmark_kpi *k)
{
    char text[640];
    int len = snprintf(text, sizeof text,
                       "%s %d %d %d %" PRId64 " %d %d %d %d %.17g %.17g %.17g %.17g %.17g %.17g %s",
                       k->definition, k->form, k->direction, k->answers, k->min_n, k->decimals,
                       k->has_window, k->first_day, k->last_day, k->item_min, k->item_max,
                       k->quantile, k->external, k->external_sd, k->external_n, k->external_source);
    XXH3_128bits_update(state, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

static void name_signature(struct fp_benchmark_job *job, const XXH3_state_t *state)
{
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(job->signature, sizeof job->signature, "%016" PRIx64 "%016" PRIx64, hash.high64,
             hash.low64);
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* Rows come by unit. A unit without a value (a ratio over nothing) is left out. */
static void add_cell(struct fp_benchmark_job *job, int32_t unit, int64_t n,
                     struct cx_benchmark_unit value)
{
    const struct fp_benchmark_kpi *k = &job->kpi;
    if (isnan(value.value))
        return;
    bool shown = !k->answers || n >= k->min_n;
    job->cells[job->cell_count++] =
        (struct fp_benchmark_cell){unit, n, shown ? job->compared : FP_NONE};
    if (shown)
        job->unit[job->compared++] = value;
}

static void make_room(struct fp_benchmark_job *job, int rows)
{
    job->cells = fp_must_calloc((size_t)rows, sizeof *job->cells);
    job->unit = fp_must_calloc((size_t)rows, sizeof *job->unit);
}

enum { SUMS = 6 + CX_TALLY_BINS }; /* columns, in the order of the struct */
_Static_assert(sizeof(struct fp_benchmark_sums) == SUMS * sizeof(int64_t), "nothing between");

static void take_tallies(struct fp_benchmark_job *job, const struct fp_pg_result *rows,
                         XXH3_state_t *state)
{
    make_room(job, fp_pg_rows(rows));
    for (int i = 0; i < fp_pg_rows(rows); i++) {
        int64_t value[SUMS];
        struct fp_benchmark_sums sums;
        for (int j = 0; j < SUMS; j++)
            value[j] = fp_pg_int(rows, i, j);
        memcpy(&sums, value, sizeof sums);
        XXH3_128bits_update(state, &sums, sizeof sums);
        add_cell(job, (int32_t)sums.unit, sums.n, fp_benchmark_value(&job->kpi, &sums));
    }
}

static void take_sketch(struct fp_benchmark_job *job, const struct fp_pg_result *rows,
                        XXH3_state_t *state)
{
    int count = fp_pg_rows(rows), units = 0;
    struct cx_sketch_count *counts = fp_must_calloc((size_t)count, sizeof *counts);
    for (int i = 0; i < count; i++)
        units += i == 0 || fp_pg_int(rows, i, 0) != fp_pg_int(rows, i - 1, 0);
    make_room(job, units);
    for (int i = 0, size = 0; i < count; i++) {
        int64_t cell[] = {fp_pg_int(rows, i, 0), fp_pg_int(rows, i, 1), fp_pg_int(rows, i, 2)};
        XXH3_128bits_update(state, cell, sizeof cell);
        counts[size++] = (struct cx_sketch_count){(int)cell[1], cell[2]};
        if (i + 1 < count && fp_pg_int(rows, i + 1, 0) == cell[0])
            continue;
        int64_t n = 0;
        for (int j = 0; j < size; j++)
            n += counts[j].count;
        add_cell(job, (int32_t)cell[0], n, fp_benchmark_quantile(&job->kpi, counts, (size_t)size));
        size = 0;
    }
    free(counts);
}

static enum fp_status ask(struct fp_benchmark_job *job, struct fp_pg_result **rows,
                          struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iiii");
    fp_pg_put_int(&p.at[0], job->kpi.series);
    fp_pg_put_int(&p.at[1], job->kpi.first_day);
    fp_pg_put_int(&p.at[2], job->kpi.last_day);
    fp_pg_put_int(&p.at[3], LARGEST_NAME_ID);
    enum fp_status status = fp_pg_exec(
        job->pg,
        job->kpi.form == FP_FORM_QUANTILE
            ? "SELECT unit, bin, flightpath.total(n) FROM flightpath.sketch_day"
              " WHERE series = $1 AND bucket BETWEEN $2 AND $3 AND unit > $4"
              " GROUP BY unit, bin HAVING flightpath.total(n) > 0 ORDER BY unit, bin"
            : "SELECT unit, flightpath.total(n), flightpath.total(weight),"
              " flightpath.total(weight_square), flightpath.total(sum),"
              " flightpath.total(sum_square), flightpath.total(b0), flightpath.total(b1),"
              " flightpath.total(b2), flightpath.total(b3), flightpath.total(b4),"
              " flightpath.total(b5), flightpath.total(b6), flightpath.total(b7),"
              " flightpath.total(b8), flightpath.total(b9), flightpath.total(b10)"
              " FROM flightpath.tally_day"
              " WHERE series = $1 AND bucket BETWEEN $2 AND $3 AND unit > $4"
              " GROUP BY unit HAVING flightpath.total(n) > 0 ORDER BY unit",
        p.ref, p.count, FP_BENCHMARK_DEADLINE_MS, rows, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_benchmark_read(struct fp_benchmark_job *job, struct fp_error *err)
{
    struct fp_pg_result *rows = NULL;
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL)
        abort();
    XXH3_128bits_reset(state);
    hash_kpi(state, &job->kpi);
    enum fp_status status = job->kpi.has_window ? ask(job, &rows, err) : FP_OK;
    if (status == FP_OK && rows != NULL && job->kpi.form == FP_FORM_QUANTILE)
        take_sketch(job, rows, state);
    else if (status == FP_OK && rows != NULL)
        take_tallies(job, rows, state);
    name_signature(job, state);
    XXH3_freeState(state);
    fp_pg_result_free(rows);
    return status;
}
