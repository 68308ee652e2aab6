/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Explanation of a benchmark: its window, the formulas, the estate it was compared in, and SQL that
 * gives the unit's sums again. */
#include "daemon/explain.h"

static enum fp_status put_estate(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = fp_explain_query(
        e,
        "SELECT row_to_json(f), (SELECT string_agg(rpad(x.key, 20) || ' ' || x.value, E'\\n')"
        "  FROM json_each_text(row_to_json(f)) x WHERE x.value IS NOT NULL)"
        " FROM (SELECT status, units, suppressed, mu, tau, i2, phi, centre, answer_sd, method,"
        "  third, external, external_se, external_source, computed_at"
        "  FROM experience.benchmark_fit WHERE kpi = $1) f",
        e->key, 1, &result, err);
    if (status == FP_OK && fp_pg_rows(result) > 0)
        fp_part_json(e, "estate", "Units it was compared with (experience.benchmark_fit)",
                     fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    return status;
}

static enum fp_status put_window(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = fp_explain_query(
        e,
        "SELECT json_build_object('first_bucket', f.first_day, 'last_bucket', f.last_day,"
        "  'bucket_is', 'day', 'time_zone', p.time_zone),"
        " format('%s to %s, whole local days of %s (day numbers %s to %s)',"
        "  DATE '1970-01-01' + f.first_day, DATE '1970-01-01' + f.last_day, p.time_zone,"
        "  f.first_day, f.last_day),"
        " format(CASE k.metric WHEN 'quantile' THEN"
        "   E'SELECT bin, sum(n) AS n FROM flightpath.sketch_day\\n%sGROUP BY bin ORDER BY bin;'"
        "  ELSE E'SELECT sum(n) AS n, sum(weight) AS weight,\\n"
        "       sum(weight_square) AS weight_square,\\n"
        "       sum(sum) AS sum, sum(sum_square) AS sum_square,\\n"
        "       sum(b0) AS b0, sum(b1) AS b1, sum(b2) AS b2, sum(b3) AS b3, sum(b4) AS b4,\\n"
        "       sum(b5) AS b5, sum(b6) AS b6, sum(b7) AS b7, sum(b8) AS b8, sum(b9) AS b9,\\n"
        "       sum(b10) AS b10\\nFROM flightpath.tally_day\\n%s;' END,"
        "  format(E'WHERE series = %s AND bucket BETWEEN %s AND %s AND unit = %s\\n', k.series,"
        "   f.first_day, f.last_day, u.id)), k.model_hash"
        " FROM flightpath.kpi k JOIN flightpath.benchmark_fit f ON f.series = k.series"
        " JOIN flightpath.programme p ON p.only_row"
        " JOIN flightpath.name u ON u.kind = 0 AND u.name = $2"
        " WHERE k.kpi = $1 AND k.current",
        e->key, 2, &result, err);
    if (status == FP_OK && fp_pg_rows(result) > 0) {
        fp_part_json(e, "window", "Window", fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
        fp_part_lines(e, "sql", "SQL that gives the unit's sums again", fp_pg_text(result, 0, 2));
        status = fp_explain_ledger(e, fp_pg_text(result, 0, 3), err);
    }
    fp_pg_result_free(result);
    return status;
}

enum fp_status fp_explain_benchmark(struct fp_explain *e, struct fp_error *err)
{
    enum fp_status status = put_window(e, err);
    if (status == FP_OK)
        status = put_estate(e, err);
    if (status != FP_OK)
        return status;
    fp_part_lines(
        e, "formula", "Formula",
        "raw = the KPI's value of this unit; v = its variance, as 20 answers' worth of it from the "
        "pooled variance of everybody's answers\n"
        "tau^2 by REML (Paule and Mandel 1982 where that does not settle); B = v / (v + tau^2); "
        "B* = B (K - 3) / (K - 1)\n"
        "shrunk = (1 - B*) raw + B* mu; own = 1 - B*; interval: Morris (1983)\n"
        "ranks: 1,000 draws from the posterior with tau and mu flat\n"
        "rest = raw - weighted mean of the other units, w = 1 / (v + tau^2); Welch\n"
        "funnel: centre -+ z sqrt(answer variance / n), plain, times sqrt(phi), or plus tau^2 "
        "(Spiegelhalter 2005)");
    fp_part_lines(e, "flags", "Status",
                  "ok: compared\n"
                  "insufficient_n: compared, but by itself too little to steer by\n"
                  "few_units: two or three, nothing is shrunk; one_unit: no comparison\n"
                  "no_variance: no unit tells how answers vary: the value only\n"
                  "suppressed_min_n: fewer answers than are shown: no numbers");
    return FP_OK;
}
