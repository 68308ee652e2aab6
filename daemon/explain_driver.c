/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Explanation of driver results.
 *
 * The numbers come from exact sums over the stored responses, so the same answers as a table give
 * the same digits: the SQL here writes that table, `flightpath analyze drivers` does the rest, and
 * any other tool may. Hazards, which are said where they hold: measures that were joined from a
 * touchpoint event are not kept with the response, and units borrow from each other. */
#include "daemon/explain.h"

#include <stdlib.h>
#include <string.h>

struct facts { /* of the series and the fit; texts of the result */
    const char *series, *definition, *model_hash, *outcome, *drivers, *method;
    const char *number, *first_day, *day, *zone, *status, *flags;
    int kind;
    bool joins, panel;
};

static const char *const formulas =
    "coef: least squares with intercept, b = (X'X)^-1 X'y, from exact integer sums of products\n"
    "missing answers: method em = full-information maximum likelihood (Dempster, Laird & Rubin "
    "1977), listwise = complete rows\n"
    "se: sqrt(sigma^2 (X'X)^-1); with em from the observed information; ci = coef -+ t(.975) se\n"
    "q: Benjamini & Hochberg (1995) over the drivers of the fit\n"
    "vif = 1/(1 - R2 of the driver on the others)\n"
    "weight: Johnson's relative weight (2000); all weights add up to r2; importance = weight / r2\n"
    "lmg: Lindeman, Merenda & Gold (1980), the gain in r2 averaged over all orders of entry\n"
    "weight_low, weight_high: sqrt(w) -+ t x its jackknife error over runs of days, squared\n"
    "performance: mean answer; performance_share: as a share of the scale, 1 = the better end\n"
    "position: importance against 1/p and performance_share against the mean of the drivers; "
    "unclear unless both intervals exclude these lines\n"
    "p_top1, p_top3: share of draws from the shrunk weights in which the driver is among them\n"
    "key: P >= .90 of being among the strongest (3; 2 of 4 or 5 drivers; 1 of up to 3), n >= "
    "max(100, 20 p), lower limit of r2 > .02, expected sign; stays until P < .80";
static const char *const fit_formulas =
    "r2 = 1 - RSS/TSS; adj_r2 = 1 - (1 - r2)(n - 1)/df; sigma = sqrt(RSS/df)\n"
    "q2 = 1 - sum of squared errors of predictions ahead / squares around the mean before "
    "(prequential, Dawid 1984): what a model knew before each run of days\n"
    "calibration_slope: of the outcome on its prediction ahead; below 1 = predictions too bold\n"
    "method: em = full-information maximum likelihood (Dempster, Laird & Rubin 1977), listwise = "
    "complete rows, shrunk = multivariate empirical Bayes over units\n"
    "top_group: the smallest set of drivers that holds the top rank with P >= .90";

static const struct {
    const char *word, *means;
} words[] = {
    {"sign_conflict", "coefficient and correlation point apart: it corrects other drivers"},
    {"low_variance", "nearly everybody answers the same: little to learn from"},
    {"thin_n", "n < 104 + p (Green 1991) or n < 10 p: few answers for so many drivers"},
    {"unstable", "VIF > 10, or the weight's interval is wider than the weight"},
    {"wide", "the interval stands on 4 or 5 groups only"},
    {"model_based", "the interval is by normal theory, for want of groups of days"},
    {"clustered", "people answered repeatedly; the intervals were widened"},
    {"not_converged", "too many patterns of missing answers to finish: the estimates are near"},
    {"own", "the unit's own answers weigh most"},
    {"blended", "the unit's own answers weigh a quarter to a half, all units the rest"},
    {"mostly_parent", "the unit's own answers weigh less than a quarter, all units the rest"},
    {"ok", "enough answers, estimated"},
    {"insufficient_n", "too few answers to estimate it; what is shown is uncertain"},
    {"suppressed_min_n", "fewer answers than the programme shows (min_n): no numbers"},
    {"no_data", "no answers in the window"},
    {"constant_outcome", "all answers to the outcome are the same"},
    {"constant", "all answers to the driver are the same"},
    {"aliased", "the other drivers tell this one completely"},
    {"no_answers", "nobody answered it"},
};

/* ---- facts ----------------------------------------------------------------------------------- */

static enum fp_status read_facts(struct fp_explain *e, struct fp_pg_result **result,
                                 struct facts *f, struct fp_error *err)
{
    enum fp_status status = fp_explain_query(
        e,
        "SELECT s.series, s.definition, s.model_hash, s.outcome, array_to_string(s.drivers, ','),"
        " (w.fit).method, w.kind, w.number, (w.fit).first_day, w.day, p.time_zone,"
        " s.join_hours > 0, s.panel, CASE WHEN w.shown THEN w.status ELSE 'suppressed_min_n' END"
        " FROM flightpath.driver_window w JOIN flightpath.driver_series s USING (series)"
        " JOIN flightpath.driver_newest n USING (series, kind, number, day)"
        " JOIN flightpath.programme p ON p.only_row WHERE w.model = $1 AND w.segment = $2",
        e->key, 2, result, err);
    if (status != FP_OK)
        return status;
    if (fp_pg_rows(*result) == 0)
        return fp_fail(err, FP_REJECT, "no_row", e->view->name, "the row has gone meanwhile");
    const char *text[14];
    for (int i = 0; i < 14; i++)
        text[i] = fp_pg_text(*result, 0, i);
    *f = (struct facts){.series = text[0],
                        .definition = text[1],
                        .model_hash = text[2],
                        .outcome = text[3],
                        .drivers = text[4],
                        .method = text[5],
                        .kind = (int)fp_pg_int(*result, 0, 6),
                        .number = text[7],
                        .first_day = text[8],
                        .day = text[9],
                        .zone = text[10],
                        .joins = *text[11] == 't',
                        .panel = *text[12] == 't',
                        .status = text[13]};
    return FP_OK;
}

static enum fp_status put_definition(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    const char *values[] = {e->key[0], e->key[2]};
    enum fp_status status = fp_explain_query(
        e,
        "SELECT d::text, jsonb_pretty(d) FROM (SELECT jsonb_strip_nulls(jsonb_build_object("
        "  'hash', s.definition, 'since', s.since, 'model_hash', s.model_hash,"
        "  'driver_model', (SELECT m FROM jsonb_array_elements(b.body -> 'driver_models') m"
        "    WHERE m ->> 'id' = s.model),"
        "  'items', (SELECT jsonb_agg(i) FROM jsonb_array_elements(b.body -> 'items') i"
        "    WHERE i ->> 'id' = ANY (c.columns)),"
        "  'scales', (SELECT jsonb_object_agg(z.key, z.value) FROM jsonb_each(b.body -> 'scales') z"
        "    WHERE z.key IN (SELECT i ->> 'scale' FROM jsonb_array_elements(b.body -> 'items') i"
        "      WHERE i ->> 'id' = ANY (c.columns))),"
        "  'measures', (SELECT jsonb_object_agg(z.key, z.value)"
        "    FROM jsonb_each(b.body -> 'measures') z WHERE z.key = ANY (c.columns)))) AS d"
        " FROM flightpath.driver_series s LEFT JOIN flightpath.model b ON b.hash = s.model_hash"
        " CROSS JOIN LATERAL (SELECT CASE WHEN $2::text IS NULL THEN s.drivers || s.outcome"
        "   ELSE ARRAY[$2, s.outcome] END AS columns) c"
        " WHERE s.model = $1 AND s.current) x",
        values, 2, &result, err);
    if (status == FP_OK && fp_pg_rows(result) > 0)
        fp_part_json(e, "definition", "Definition (the part of the model that decides it)",
                     fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    return status;
}

static enum fp_status put_window(struct fp_explain *e, const struct facts *f, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    const char *values[] = {f->first_day, f->day, f->zone};
    enum fp_status status = fp_explain_query(
        e,
        "SELECT json_build_object('first_day', a, 'last_day', b, 'time_zone', $3::text,"
        "  'first_day_number', $1::int, 'last_day_number', $2::int),"
        " format('%s to %s, both whole local days of %s (day numbers %s to %s); it ends at the"
        " newest day with an answer', a, b, $3, $1, $2)"
        " FROM (SELECT DATE '1970-01-01' + $1::int AS a, DATE '1970-01-01' + $2::int AS b) x",
        values, 3, &result, err);
    if (status == FP_OK)
        fp_part_json(e, "window", "Window", fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    return status;
}

/* What the row's flags and its status mean. */
static enum fp_status put_words(struct fp_explain *e, const struct facts *f, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    char lines[2048];
    size_t used = 0;
    bool driver = strcmp(e->view->name, "driver") == 0;
    enum fp_status status = fp_explain_query(
        e,
        driver ? "SELECT unnest(flags || status) FROM experience.driver"
                 " WHERE model = $1 AND segment = $2 AND driver = $3"
               : "SELECT $3::text FROM (SELECT $1::text, $2::text) x",
        driver ? e->key : (const char *const[]){e->key[0], e->key[1], f->status}, 3, &result, err);
    for (int row = 0; status == FP_OK && row < fp_pg_rows(result); row++) {
        const char *word = fp_pg_text(result, row, 0), *means = "the library's own word";
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(words[i].word, word) == 0)
                means = words[i].means;
        used += (size_t)snprintf(lines + used, sizeof lines - used, "%s%.40s: %s",
                                 used > 0 ? "\n" : "", word, means);
    }
    if (status == FP_OK)
        fp_part_lines(e, "flags", "Flags and status", lines);
    fp_pg_result_free(result);
    return status;
}

/* ---- SQL ------------------------------------------------------------------------------------- */

/* FROM and WHERE of the responses that count. */
static void put_from(FILE *out, const struct facts *f)
{
    static const char *const bands[] = {"false", "r.tenure = -2", "r.tenure BETWEEN 0 AND 3",
                                        "r.tenure BETWEEN 4 AND 12", "r.tenure > 12"};
    long first = strtol(f->first_day, NULL, 10), last = strtol(f->day, NULL, 10);
    fprintf(out,
            "FROM flightpath.response r\n"
            "WHERE r.day BETWEEN %ld AND %ld AND r.weight > 0\n"
            "  AND r.submitted_at >= DATE '1970-01-01' + %ld AND r.submitted_at < DATE "
            "'1970-01-01' + %ld\n"
            "  AND EXISTS (SELECT FROM unnest(r.fitted) AS f WHERE f >> 32 = %s",
            first, last, first - 1, last + 2, f->series);
    if (f->kind == 1)
        fprintf(out, " AND f & 4294967295 = %s", f->number);
    fputc(')', out);
    if (f->kind == 2)
        fprintf(out, "\n  AND r.touchpoint = %s", f->number);
    if (f->kind == 3)
        fprintf(out, "\n  AND r.unit = %s", f->number);
    if (f->kind == 4)
        fprintf(out, "\n  AND %s", bands[strtol(f->number, NULL, 10)]);
}

/* The columns of the table: places of items and measures by id. */
static enum fp_status read_columns(struct fp_explain *e, const struct facts *f,
                                   struct fp_pg_result **columns, struct fp_error *err)
{
    return fp_explain_query(
        e,
        "SELECT quote_ident(c.name), c.place > cardinality(s.drivers) - s.measures"
        "  AND c.place <= cardinality(s.drivers), coalesce(s.decimals[c.place], 0), n.id"
        " FROM flightpath.driver_series s"
        " CROSS JOIN LATERAL unnest(s.drivers || s.outcome) WITH ORDINALITY AS c (name, place)"
        " LEFT JOIN flightpath.name n ON n.name = c.name AND n.kind ="
        "  CASE WHEN c.place > cardinality(s.drivers) - s.measures"
        "   AND c.place <= cardinality(s.drivers) THEN 7 ELSE 6 END"
        " WHERE s.series = $1::text::int ORDER BY c.place",
        &f->series, 1, columns, err);
}

static void put_table_sql(FILE *out, const struct facts *f, const struct fp_pg_result *columns)
{
    fputs("COPY (SELECT DATE '1970-01-01' + r.day AS day, r.weight", out);
    if (f->panel)
        fputs(", encode(r.subject, 'hex') AS person", out);
    for (int i = 0; i < fp_pg_rows(columns); i++) {
        const char *name = fp_pg_text(columns, i, 0);
        int64_t decimals = fp_pg_int(columns, i, 2), id = fp_pg_int(columns, i, 3);
        if (*fp_pg_text(columns, i, 1) == 't')
            fprintf(out,
                    ",\n  round(r.amounts[array_position(r.measures, %lld::smallint)] / 1e%lld, "
                    "%lld) AS %s",
                    (long long)id, (long long)decimals, (long long)decimals, name);
        else
            fprintf(out,
                    ",\n  CASE WHEN r.a%d > -32767 THEN r.a%d::text WHEN r.a%d = -32767 THEN 'na' "
                    "END AS %s",
                    i, i, i, name);
    }
    fputs("\nFROM (SELECT r.*", out);
    for (int i = 0; i < fp_pg_rows(columns); i++)
        if (*fp_pg_text(columns, i, 1) != 't')
            fprintf(out, ",\n    r.scores[array_position(r.items, %lld::smallint)] AS a%d",
                    (long long)fp_pg_int(columns, i, 3), i);
    fputs("\n  ", out);
}

static void put_sql(FILE *out, const struct facts *f, const struct fp_pg_result *columns)
{
    int outcome = fp_pg_rows(columns) - 1;
    fputs("-- n: answers to the outcome\nSELECT count(*) AS n\n", out);
    put_from(out, f);
    fprintf(out, "\n  AND r.scores[array_position(r.items, %lld::smallint)] > -32767;\n",
            (long long)fp_pg_int(columns, outcome, 3));
    fputs("-- the table: psql --no-psqlrc -c \"...\" > drivers.csv\n", out);
    put_table_sql(out, f, columns);
    put_from(out, f);
    fputs(") AS r) TO STDOUT WITH (FORMAT csv, HEADER);", out);
}

static void put_command(FILE *out, const struct facts *f)
{
    bool known = strcmp(f->method, "em") == 0 || strcmp(f->method, "listwise") == 0 ||
                 strcmp(f->method, "pairwise") == 0;
    fprintf(out,
            "flightpath analyze drivers drivers.csv --outcome %s --drivers %s --missing %s "
            "--weight weight --na na %s --json",
            f->outcome, f->drivers, known ? f->method : "auto",
            f->panel ? "--cluster person" : "--day day");
}

static void put_notes(FILE *out, const struct facts *f)
{
    fputs("n, coef, se, p, r2, sigma, vif, weight and lmg come out to the last digits.", out);
    if (f->joins)
        fputs("\nMeasures that came by interaction with a touchpoint event are not kept with the "
              "response: the table lacks them, so results that use them come out otherwise.",
              out);
    if (strcmp(f->method, "shrunk") == 0)
        fputs("\nUnits borrow from each other: the command gives the unit's own coefficients; the "
              "published ones lie between those and the mean of all units (own = the unit's part).",
              out);
    if (f->panel)
        fputs("\nPeople answer repeatedly here: intervals leave groups of people out. The command "
              "groups them another way, so its errors agree roughly, not to the digit; and leave "
              "out rows without a person.",
              out);
}

static enum fp_status put_again(struct fp_explain *e, const struct facts *f, struct fp_error *err)
{
    struct fp_pg_result *columns = NULL;
    enum fp_status status = read_columns(e, f, &columns, err);
    if (status == FP_OK) {
        put_sql(fp_part_open(e), f, columns);
        fp_part_close(e, "sql", "SQL that gives it again");
        put_command(fp_part_open(e), f);
        fp_part_close(e, "command", "Command that gives it again");
        put_notes(fp_part_open(e), f);
        fp_part_close(e, "notes", "How far the digits agree");
    }
    fp_pg_result_free(columns);
    return status;
}

enum fp_status fp_explain_driver(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    struct facts f = {0};
    enum fp_status status = read_facts(e, &result, &f, err);
    if (status == FP_OK)
        status = put_definition(e, err);
    if (status == FP_OK)
        status = put_window(e, &f, err);
    if (status == FP_OK)
        status = fp_explain_ledger(e, f.model_hash, err);
    if (status == FP_OK) {
        bool driver = strcmp(e->view->name, "driver") == 0;
        fp_part_lines(e, "formula", "Formula", driver ? formulas : fit_formulas);
        status = put_words(e, &f, err);
    }
    if (status == FP_OK)
        status = put_again(e, &f, err);
    fp_pg_result_free(result);
    return status;
}
