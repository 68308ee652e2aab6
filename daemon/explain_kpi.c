/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Explanation of KPI values: sums over cells of the tallies (or of the sketch), which the SQL here
 * adds up again, whatever lanes they lie in. */
#include "daemon/explain.h"

#include <stdlib.h>
#include <string.h>

struct facts { /* texts of the result */
    const char *series, *model_hash, *metric, *quantile, *low, *high;
    const char *where; /* of the cells */
    const char *window, *window_json;
    int64_t decimals, top_first, top_last; /* bins of the top box */
    bool hour;
};

static const struct {
    const char *metric, *means;
} formulas[] = {
    {"nps", "value = 100 x (promoters - detractors) / weight; promoters answer 9 or 10, detractors "
            "0 to 6 (Reichheld 2003)\ninterval: Tango's score interval (1998), by the effective n"},
    {"csat", "value = weight of the answers in the top box / weight of all\ninterval: Wilson's "
             "score interval (1927), by the effective n"},
    {"top_box", "value = weight of the answers in the top box / weight of all\ninterval: Wilson's "
                "score interval (1927), by the effective n"},
    {"share", "value = weight of the events or responses that count / weight of all\n"
              "interval: Wilson's score interval (1927), by the effective n"},
    {"index", "value = sum of the answers x weight / number of answers x weight, of responses with "
              "at least half of the items; items that point the other way are turned: min + max - "
              "answer\ninterval: Student's t of a ratio (linearised, Cochran 1977), a response "
              "being one observation, by the effective n, within the scale"},
    {"ratio", "value = sum of the measure / sum of the one below, of events that have both\n"
              "interval: Student's t of a ratio (linearised, Cochran 1977), by n"},
    {"response_rate", "value = responses / invitations, at most 1, each counted on its own day\n"
                      "interval: Wilson's score interval (1927), by the invitations"},
    {"quantile", "value = the value of rank ceil(q n), within 1 %, from a logarithmic histogram\n"
                 "interval: order statistics, ranks nq -+ 1.96 sqrt(nq(1 - q))"},
    {"mean", "value = sum of the answers x weight / weight\ninterval: Student's t by the effective "
             "n, within the scale; equal answers: by the range"},
};

static enum fp_status read_facts(struct fp_explain *e, struct fp_pg_result **result,
                                 struct facts *f, struct fp_error *err)
{
    bool now = strcmp(e->view->name, "kpi_now") == 0;
    f->hour = strcmp(e->view->name, "kpi_hour") == 0;
    const char *bucket = now ? NULL : e->key[1], *unit = now ? e->key[1] : e->key[2];
    const char *values[] = {e->key[0], bucket, unit, now ? NULL : e->key[3], e->view->name};
    enum fp_status status = fp_explain_query(
        e,
        "SELECT k.series, k.model_hash, k.metric, k.quantile, k.scale_min, k.scale_max,"
        " format('series = %s AND bucket BETWEEN %s AND %s%s%s', k.series, b.first, b.last,"
        "  ' AND unit = ' || coalesce(u.id, 0),"
        "  CASE WHEN $5 <> 'kpi_now' THEN ' AND channel = ' || coalesce(c.id, 0) END),"
        " CASE WHEN $5 = 'kpi_hour' THEN format('the hour from %s (UTC; hour number %s)',"
        "   to_timestamp(b.first * 3600::float8) AT TIME ZONE 'UTC', b.first)"
        "  ELSE format('%s to %s, whole local days of %s (day numbers %s to %s)',"
        "   DATE '1970-01-01' + b.first, DATE '1970-01-01' + b.last, p.time_zone, b.first, b.last)"
        "  END, json_build_object('first_bucket', b.first, 'last_bucket', b.last, 'bucket_is',"
        "   CASE WHEN $5 = 'kpi_hour' THEN 'hour' ELSE 'day' END, 'time_zone', p.time_zone),"
        " k.decimals, greatest((k.scale_max - k.scale_min)::int + 1 - k.top_k, 0),"
        " (k.scale_max - k.scale_min)::int"
        " FROM flightpath.kpi k JOIN flightpath.programme p ON p.only_row"
        " CROSS JOIN LATERAL (SELECT CASE $5 WHEN 'kpi_hour'"
        "   THEN floor(extract(epoch FROM $2::text::timestamptz) / 3600)::int"
        "   WHEN 'kpi_day' THEN $2::text::timestamptz::date - DATE '1970-01-01'"
        "   ELSE (SELECT min(v.window_end)::date - 30 - DATE '1970-01-01'"
        "     FROM experience.kpi_now v WHERE v.kpi = $1) END AS first) a"
        " CROSS JOIN LATERAL (SELECT a.first,"
        "   a.first + CASE WHEN $5 = 'kpi_now' THEN 29 ELSE 0 END AS last) b"
        " LEFT JOIN flightpath.name u ON u.kind = 0 AND u.name = $3"
        " LEFT JOIN flightpath.name c ON c.kind = 1 AND c.name = $4"
        " WHERE k.kpi = $1 AND k.current",
        values, 5, result, err);
    if (status != FP_OK)
        return status;
    if (fp_pg_rows(*result) == 0)
        return fp_fail(err, FP_REJECT, "no_row", e->view->name, "the row has gone meanwhile");
    const char *text[9];
    for (int i = 0; i < 9; i++)
        text[i] = fp_pg_text(*result, 0, i);
    *f = (struct facts){.series = text[0],
                        .model_hash = text[1],
                        .metric = text[2],
                        .quantile = text[3],
                        .low = text[4],
                        .high = text[5],
                        .where = text[6],
                        .window = text[7],
                        .window_json = text[8],
                        .decimals = fp_pg_int(*result, 0, 9),
                        .top_first = fp_pg_int(*result, 0, 10),
                        .top_last = fp_pg_int(*result, 0, 11),
                        .hour = f->hour};
    return FP_OK;
}

static enum fp_status put_definition(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = fp_explain_query(
        e,
        "SELECT d::text, jsonb_pretty(d) FROM (SELECT jsonb_strip_nulls(jsonb_build_object("
        "  'hash', k.definition, 'since', k.since, 'model_hash', k.model_hash, 'kpi', m.kpi,"
        "  'item', i.body, 'scale', b.body -> 'scales' -> (i.body ->> 'scale'),"
        "  'measure', b.body -> 'measures' -> (m.kpi -> 'source' ->> 'measure'),"
        "  'per', b.body -> 'measures' -> (m.kpi -> 'source' ->> 'per'),"
        "  'items', (SELECT jsonb_agg(x) FROM jsonb_array_elements(b.body -> 'items') x"
        "    WHERE m.kpi -> 'source' -> 'items' ? (x ->> 'id')))) AS d"
        " FROM flightpath.kpi k LEFT JOIN flightpath.model b ON b.hash = k.model_hash"
        " LEFT JOIN LATERAL (SELECT x AS kpi FROM jsonb_array_elements(b.body -> 'kpis') x"
        "   WHERE x ->> 'id' = k.kpi) m ON true"
        " LEFT JOIN LATERAL (SELECT x AS body FROM jsonb_array_elements(b.body -> 'items') x"
        "   WHERE x ->> 'id' = m.kpi -> 'source' ->> 'item') i ON true"
        " WHERE k.kpi = $1 AND k.current) z",
        e->key, 1, &result, err);
    if (status == FP_OK && fp_pg_rows(result) > 0)
        fp_part_json(e, "definition", "Definition (the part of the model that decides it)",
                     fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    return status;
}

/* ---- SQL ------------------------------------------------------------------------------------- */

static void put_quantile(FILE *out, const struct facts *f)
{
    const char *low = *f->low ? f->low : "NULL", *high = *f->high ? f->high : "NULL";
    fprintf(out,
            "SELECT r.n, least(greatest(v.value / 10::float8 ^ %lld, %s), %s) AS value\n"
            "FROM (SELECT bin, sum(n) OVER (ORDER BY bin) AS seen, (sum(n) OVER ())::bigint AS n\n"
            "      FROM (SELECT bin, sum(n) AS n FROM flightpath.sketch_day\n"
            "            WHERE %s GROUP BY bin) AS b) AS r\n"
            "JOIN flightpath.sketch_bin AS v USING (bin)\n"
            "WHERE r.seen >= greatest(ceil(%s * r.n - 1e-9), 1) ORDER BY bin LIMIT 1;",
            (long long)f->decimals, low, high, f->where, f->quantile);
}

static void put_bins(FILE *out, int64_t first, int64_t last)
{
    for (int64_t i = first; i <= last; i++)
        fprintf(out, "%sb%lld", i > first ? " + " : "", (long long)i);
}

static void put_sums(FILE *out, const struct facts *f)
{
    fputs("SELECT sum(n)::bigint AS n,\n  ", out);
    if (strcmp(f->metric, "nps") == 0)
        fputs("100 * sum(b9 + b10 - b0 - b1 - b2 - b3 - b4 - b5 - b6)::float8 / sum(weight)", out);
    else if (strcmp(f->metric, "csat") == 0 || strcmp(f->metric, "top_box") == 0) {
        fputs("sum(", out);
        put_bins(out, f->top_first, f->top_last);
        fputs(")::float8 / sum(weight)", out);
    } else if (strcmp(f->metric, "share") == 0)
        fputs("sum(\"sum\")::float8 / sum(weight)", out);
    else if (strcmp(f->metric, "response_rate") == 0)
        fputs("least(sum(\"sum\"), sum(n))::float8 / sum(n)", out);
    else if (strcmp(f->metric, "index") == 0 || strcmp(f->metric, "ratio") == 0)
        fprintf(out, "sum(\"sum\")::float8 / (sum(b0) * 10::float8 ^ %lld)",
                (long long)f->decimals);
    else
        fprintf(out, "sum(\"sum\")::float8 / (sum(weight) * 10::float8 ^ %lld)",
                (long long)f->decimals);
    fprintf(out, " AS value\nFROM flightpath.%s WHERE %s;", f->hour ? "tally_hour" : "tally_day",
            f->where);
}

static void put_formula(struct fp_explain *e, const struct facts *f)
{
    char lines[640] = "";
    const char *metric = f->metric;
    if (strcmp(metric, "ces") == 0 || strcmp(metric, "measure_mean") == 0)
        metric = "mean";
    for (size_t i = 0; i < sizeof formulas / sizeof *formulas; i++)
        if (strcmp(formulas[i].metric, metric) == 0)
            snprintf(lines, sizeof lines,
                     "%s\neffective n = (sum of weights)^2 / sum of squared weights (Kish 1965)",
                     formulas[i].means);
    fp_part_lines(e, "formula", "Formula", lines);
}

enum fp_status fp_explain_kpi(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    struct facts f = {0};
    enum fp_status status = read_facts(e, &result, &f, err);
    if (status == FP_OK)
        status = put_definition(e, err);
    if (status == FP_OK) {
        fp_part_json(e, "window", "Window", f.window_json, f.window);
        status = fp_explain_ledger(e, f.model_hash, err);
    }
    if (status == FP_OK) {
        put_formula(e, &f);
        fp_part_lines(
            e, "flags", "Status",
            "ok: enough, and the interval is narrow enough to steer by\n"
            "insufficient_n: shown, but fewer events than min_n, or a half width above 15 "
            "NPS points, 0.10 of a share or 7.5 % of a mean's scale\n"
            "suppressed_min_n: fewer answers than the programme shows: no numbers");
        if (strcmp(f.metric, "quantile") == 0)
            put_quantile(fp_part_open(e), &f);
        else
            put_sums(fp_part_open(e), &f);
        fp_part_close(e, "sql", "SQL that gives it again");
    }
    fp_pg_result_free(result);
    return status;
}
