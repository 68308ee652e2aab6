/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cells of the database against those of the log, and then a second path that knows nothing of
 * the log: one SQL statement adds up the contributions of the stored responses and holds them
 * against the cells of the item KPIs. Lanes are summed; cells that are all zero do not count as
 * there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/verify.h"
#include "daemon/verify_predictions.h"

#define DAY_US INT64_C(86400000000)

/* ---- cells ----------------------------------------------------------------------------------- */

struct cells { /* a table of cells */
    enum fp_check check;
    struct fp_sum *sum;
    int keys;                   /* columns of the key in the query */
    const char *select, *group; /* the query, but for the floor of the buckets */
    const char *const *columns;
    int32_t floor; /* buckets before it are beyond retention */
};

#define BINS "b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10"
#define SUM_BINS \
    "sum(b0), sum(b1), sum(b2), sum(b3), sum(b4), sum(b5), sum(b6), sum(b7), sum(b8), sum(b9)," \
    " sum(b10)"
#define SUM_TALLY "sum(n), sum(weight), sum(weight_square), sum(sum), sum(sum_square), " SUM_BINS
#define TALLY_SQL(table) \
    "SELECT series, bucket, unit, channel, " SUM_TALLY " FROM flightpath." table, "1, 2, 3, 4"

static const char *const tally_columns[] = {"n",   "weight",     "weight_square",
                                            "sum", "sum_square", "b0",
                                            "b1",  "b2",         "b3",
                                            "b4",  "b5",         "b6",
                                            "b7",  "b8",         "b9",
                                            "b10"};
static const char *const sketch_columns[] = {"n"};
static const char *const coverage_columns[] = {"events",   "failed",   "abandoned", "recovered",
                                               "customer", "employee", "internal",  "invited"};

static const char *const prediction_columns[] = {
    "events",          "predicted",    "detractor",          "n_observed",
    "weight_observed", "weight_square_observed", "sum_observed", "sum_square_observed"};

static void tell_series(const struct fp_verify *v, int32_t series, char *text, size_t size)
{
    const char *name = fp_verify_names_text(v->names, FP_KIND_KPI, series);
    snprintf(text, size, "%.*s (series %d)", (int)strcspn(name, "\n"), name, series);
}

static void tell_cell(const struct fp_verify *v, const struct cells *c, const int32_t *key,
                      char *text, size_t size)
{
    char bucket[64], series[160], bin[24] = "";
    fp_verify_bucket_text(bucket, sizeof bucket, key[1],
                          c->check == FP_CHECK_TALLY_HOUR || c->check == FP_CHECK_PREDICTION);
    if (c->check == FP_CHECK_PREDICTION) {
        fp_verify_predictions_name(v, key[0], series, sizeof series);
        snprintf(text, size, "%s, %s, unit %.50s, version %" PRId64, series, bucket,
                 fp_verify_names_text(v->names, FP_KIND_UNIT, key[2]),
                 (int64_t)key[3] << 32 | (uint32_t)key[4]);
        return;
    }
    if (c->check == FP_CHECK_COVERAGE_DAY) {
        snprintf(text, size, "touchpoint %.100s, %s",
                 fp_verify_names_text(v->names, FP_KIND_TOUCHPOINT, key[0]), bucket);
        return;
    }
    tell_series(v, key[0], series, sizeof series);
    if (c->check == FP_CHECK_SKETCH_DAY)
        snprintf(bin, sizeof bin, ", bin %d", key[4]);
    snprintf(text, size, "%s, %s, unit %.50s, channel %.50s%s", series, bucket,
             fp_verify_names_text(v->names, FP_KIND_UNIT, key[2]),
             fp_verify_names_text(v->names, FP_KIND_CHANNEL, key[3]), bin);
}

/* log or stored may be NULL: no such cell. */
static void differ_cell(struct fp_verify *v, const struct cells *c, const int32_t *key,
                        const int64_t *log, const int64_t *stored)
{
    struct fp_difference *d = fp_report_differ(v->report, c->check);
    char cell[400];
    int column = 0;
    while (log && stored && log[column] == stored[column])
        column++;
    while (!(log && stored) && (log ? log : stored)[column] == 0)
        column++;
    tell_cell(v, c, key, cell, sizeof cell);
    snprintf(d->key, sizeof d->key, "%s: %s", cell, c->columns[column]);
    snprintf(d->log, sizeof d->log, "%" PRId64, log ? log[column] : 0);
    snprintf(d->database, sizeof d->database, "%" PRId64, stored ? stored[column] : 0);
}

struct stored_cell {
    int32_t key[FP_SUM_KEYS];
    int64_t values[FP_SUM_TALLY];
};

/* The next cell of the table that is not all zero; false at the end. */
static enum fp_status next_cell(struct fp_rows *rows, const struct cells *c,
                                struct stored_cell *cell, bool *there, struct fp_error *err)
{
    const struct fp_pg_result *result = NULL;
    int at = 0;
    enum fp_status status;
    while ((status = fp_rows_next(rows, &result, &at, err)) == FP_OK && result) {
        bool zero = true;
        *cell = (struct stored_cell){.key = {0}};
        for (int i = 0; i < c->keys; i++)
            cell->key[i] = (int32_t)fp_pg_int(result, at, i);
        for (int i = 0; i < c->sum->width; i++) {
            cell->values[i] = fp_pg_int(result, at, c->keys + i);
            zero &= cell->values[i] == 0;
        }
        if (!zero)
            break;
    }
    *there = status == FP_OK && result != NULL;
    return status;
}

static void compare_cell(struct fp_verify *v, const struct cells *c, size_t index,
                         const struct stored_cell *stored)
{
    const int64_t *log = &c->sum->values[index * (size_t)c->sum->width];
    if (memcmp(log, stored->values, (size_t)c->sum->width * sizeof *log) != 0)
        differ_cell(v, c, stored->key, log, stored->values);
}

/* Both sides rise by key: one walk. */
static enum fp_status walk_cells(struct fp_verify *v, const struct cells *c, struct fp_rows *rows,
                                 int64_t *expired, struct fp_error *err)
{
    struct stored_cell stored;
    bool there = false;
    size_t i = 0;
    enum fp_status status = next_cell(rows, c, &stored, &there, err);
    while (status == FP_OK && (there || i < c->sum->count)) {
        if (i < c->sum->count && c->sum->keys[i][1] < c->floor) {
            (*expired)++;
            i++;
            continue;
        }
        int order = !there               ? -1
                    : i == c->sum->count ? 1
                                         : fp_sum_compare(c->sum->keys[i], stored.key);
        v->report->check[c->check].compared++;
        if (order == 0)
            compare_cell(v, c, i, &stored);
        else if (order < 0)
            differ_cell(v, c, c->sum->keys[i], &c->sum->values[i * (size_t)c->sum->width], NULL);
        else
            differ_cell(v, c, stored.key, NULL, stored.values);
        i += order <= 0;
        if (order >= 0)
            status = next_cell(rows, c, &stored, &there, err);
    }
    return status;
}

static enum fp_status compare_table(struct fp_verify *v, const struct cells *c, int64_t *expired,
                                    struct fp_error *err)
{
    struct fp_rows rows;
    char sql[1500];
    fp_sum_finish(c->sum);
    if (c->sum->overflow)
        return fp_fail(err, FP_FATAL, "overflow", "verify", "a sum of the log exceeds 64 bits");
    snprintf(sql, sizeof sql, "%s WHERE bucket >= %d GROUP BY %s ORDER BY %s", c->select, c->floor,
             c->group, c->group);
    enum fp_status status = fp_rows_open(&rows, v->pg, "cells", sql, err);
    if (status == FP_OK)
        status = walk_cells(v, c, &rows, expired, err);
    fp_rows_close(&rows);
    v->report->check[c->check].done = true;
    return status;
}

static enum fp_status compare_cells(struct fp_verify *v, struct fp_error *err)
{
    const struct cells tables[] = {
        {FP_CHECK_TALLY_HOUR, &v->hours, 4, TALLY_SQL("tally_hour"), tally_columns,
         v->tally_floor * 24},
        {FP_CHECK_TALLY_DAY, &v->days, 4, TALLY_SQL("tally_day"), tally_columns, v->tally_floor},
        {FP_CHECK_SKETCH_DAY, &v->sketch, 5,
         "SELECT series, bucket, unit, channel, bin, sum(n) FROM flightpath.sketch_day",
         "1, 2, 3, 4, 5", sketch_columns, v->tally_floor},
        {FP_CHECK_COVERAGE_DAY, &v->coverage, 2,
         "SELECT touchpoint, bucket, sum(events), sum(failed), sum(abandoned), sum(recovered),"
         " sum(customer), sum(employee), sum(internal), sum(invited) FROM flightpath.coverage_day",
         "1, 2", coverage_columns, v->tally_floor},
        {FP_CHECK_PREDICTION, &v->predicted, 5, fp_verify_predictions_sql, "1, 2, 3, 4, 5",
         prediction_columns, v->tally_floor * 24}};
    enum fp_status status = FP_OK;
    int64_t expired = 0;
    if (!v->whole) {
        fp_report_note(v->report,
                       "cells (tally_hour, tally_day, sketch_day, coverage_day, prediction): the "
                       "log does not hold everything they count");
        return FP_OK;
    }
    for (size_t i = 0; status == FP_OK && i < sizeof tables / sizeof *tables; i++)
        status = compare_table(v, &tables[i], &expired, err);
    if (expired)
        fp_report_note(v->report, "%" PRId64 " cells beyond their retention", expired);
    return status;
}

/* ---- stored responses against cells, by SQL -------------------------------------------------- */

/* `tallied` is ((series · 2 + hour) << 24) | ((bin + 1) << 16) | (answer & 65535), below 2^61; from
 * there on a numerator; from 2^62 on a pair, with what it is divided by in place of bin + 1. The
 * invitations of a response rate are not among the responses: of its cells the sum is compared.
 * To fill in: bucket of a response, what else it must be, floor, table, floor. */
/* clang-format off */
#define BIN(k) "sum(w) FILTER (WHERE bin = " #k ")"
#define PAIR(k, y) "coalesce(sum(w * " y ") FILTER (WHERE pair), " BIN(k) ")"
#define BIN_SUMS                                                                             \
    PAIR(0, "y2") ", " PAIR(1, "y2 * y2") ", " PAIR(2, "y * y2") ", " BIN(3) ", " BIN(4)     \
    ", " BIN(5) ", " BIN(6) ", " BIN(7) ", " BIN(8) ", " BIN(9) ", " BIN(10)
#define PATH_SQL                                                                             \
    "WITH c AS MATERIALIZED (SELECT (t %% 2305843009213693952 >> 25)::int AS series,"        \
    "  %s AS bucket, unit, channel, weight::numeric AS w,"                                   \
    "  t >= 4611686018427387904 AS pair, t / 2305843009213693952 = 1 AS numerator,"          \
    "  CASE WHEN t < 2305843009213693952 THEN (t >> 16 & 255)::int - 1 END AS bin,"          \
    "  (t >> 16 & 255)::numeric AS y2, (CASE WHEN t & 32768 = 0"                             \
    "  THEN t & 65535 ELSE (t & 65535) - 65536 END)::numeric AS y"                           \
    "  FROM flightpath.response, unnest(tallied) AS t"                                       \
    "  WHERE status <> 2 AND (weight > 0 OR t / 2305843009213693952 = 1)%s),"                \
    " r AS (SELECT series, bucket, unit, channel,"                                           \
    "  CASE WHEN bool_or(numerator) THEN ARRAY[0, 0, 0, sum(y)] ELSE"                        \
    "  ARRAY[count(*), sum(w), sum(w * w), sum(w * y), sum(w * y * y), " BIN_SUMS "] END AS v" \
    "  FROM c WHERE bucket >= %d GROUP BY 1, 2, 3, 4),"                                      \
    " t AS (SELECT series, bucket, unit, channel,"                                           \
    "  CASE WHEN k.source = 'invitation' THEN ARRAY[0, 0, 0, sum(sum)]"                      \
    "  ELSE ARRAY[" SUM_TALLY "] END AS v"                                                   \
    "  FROM flightpath.%s JOIN flightpath.kpi k USING (series) WHERE bucket >= %d"           \
    "  AND k.source IN ('item', 'invitation')"                                               \
    "  GROUP BY 1, 2, 3, 4, k.source"                                                        \
    "  HAVING CASE WHEN k.source = 'invitation' THEN sum(sum) <> 0"                          \
    "  ELSE (SELECT bool_or(x <> 0) FROM unnest(ARRAY[" SUM_TALLY "]) AS x) END),"           \
    " j AS (SELECT series, bucket, unit, channel, u.n, coalesce(u.a, 0) AS a,"               \
    "  coalesce(u.b, 0) AS b FROM r FULL JOIN t USING (series, bucket, unit, channel),"      \
    "  LATERAL unnest(r.v, t.v) WITH ORDINALITY AS u (a, b, n)),"                            \
    " d AS (SELECT DISTINCT ON (series, bucket, unit, channel) * FROM j WHERE a <> b"        \
    "  ORDER BY series, bucket, unit, channel, n)"                                           \
    " SELECT (SELECT count(*) FROM j WHERE n = 1), (SELECT count(*) FROM d),"                \
    "  d.series, d.bucket, d.unit, d.channel, d.n, d.a, d.b"                                 \
    " FROM (SELECT) AS one LEFT JOIN (SELECT * FROM d ORDER BY series, bucket, unit, channel" \
    "  LIMIT 20) AS d ON true"
/* clang-format on */

static void tell_path(struct fp_verify *v, const struct cells *c, const struct fp_pg_result *r)
{
    int64_t differences = fp_pg_int(r, 0, 1);
    v->report->check[c->check].compared = fp_pg_int(r, 0, 0);
    v->report->check[c->check].done = true;
    for (int i = 0; differences && i < fp_pg_rows(r); i++) {
        struct fp_difference *d = fp_report_differ(v->report, c->check);
        char series[160], bucket[64];
        tell_series(v, (int32_t)fp_pg_int(r, i, 2), series, sizeof series);
        fp_verify_bucket_text(bucket, sizeof bucket, (int32_t)fp_pg_int(r, i, 3),
                              c->check == FP_CHECK_RESPONSE_HOURS);
        snprintf(d->key, sizeof d->key, "%s, %s, unit %.50s, channel %.50s: %s", series, bucket,
                 fp_verify_names_text(v->names, FP_KIND_UNIT, (int32_t)fp_pg_int(r, i, 4)),
                 fp_verify_names_text(v->names, FP_KIND_CHANNEL, (int32_t)fp_pg_int(r, i, 5)),
                 tally_columns[(fp_pg_int(r, i, 6) - 1) % FP_SUM_TALLY]);
        snprintf(d->log, sizeof d->log, "%s from the stored responses", fp_pg_text(r, i, 7));
        snprintf(d->database, sizeof d->database, "%s", fp_pg_text(r, i, 8));
    }
    v->report->check[c->check].differences = differences;
}

static enum fp_status compare_path(struct fp_verify *v, enum fp_check check, struct fp_error *err)
{
    bool hours = check == FP_CHECK_RESPONSE_HOURS;
    struct cells c = {.check = check, .floor = v->tally_floor};
    struct fp_pg_result *r = NULL;
    char sql[6000];
    /* days that hold only responses that are all still there */
    int32_t whole = (int32_t)(v->response_floor_us / DAY_US) + 1;
    c.floor = (c.floor > whole ? c.floor : whole) * (hours ? 24 : 1);
    snprintf(sql, sizeof sql, PATH_SQL,
             hours ? "floor(extract(epoch FROM submitted_at) / 3600)::int" : "day",
             hours ? " AND t >> 24 & 1 = 1" : "", c.floor, hours ? "tally_hour" : "tally_day",
             c.floor);
    enum fp_status status = fp_pg_exec(v->pg, sql, NULL, 0, FP_VERIFY_PG_MS, &r, err);
    if (status == FP_OK)
        tell_path(v, &c, r);
    fp_pg_result_free(r);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum fp_status fp_verify_tables(struct fp_verify *v, struct fp_error *err)
{
    enum fp_status status = compare_cells(v, err);
    if (status == FP_OK)
        status = fp_verify_ledger(v, err);
    if (status == FP_OK)
        status = compare_path(v, FP_CHECK_RESPONSE_HOURS, err);
    if (status == FP_OK)
        status = compare_path(v, FP_CHECK_RESPONSE_DAYS, err);
    return status;
}
