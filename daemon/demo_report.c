/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the demo prints: the tables a user would look at first, from the published views, with the
 * truth of the stream beside what was found where both are known.
 *
 * Every number of the tables is computed by the database from the published views, as a dashboard
 * would; here it is only laid out. The rejects are the one internal table that is looked at. */
#include "daemon/demo.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json.h"

#define QUERY_MS 60000
#define PARAMS_MAX 6

struct truth { /* of the planted dip, from the generator's truth */
    struct fp_json_reader *reader;
    const struct fp_json_node *nodes;
    struct fp_slice unit, touchpoint, from, to;
};

struct report {
    const struct fp_demo *demo;
    struct fp_pg *pg;
    struct truth truth;
    char from[32], days[32]; /* of the stream */
    char step[32];           /* days of one bucket that holds all of it */
};

/* Shown in the KPI's own unit: NPS points with a sign, shares in percent. */
static const char helpers_sql[] =
    "CREATE FUNCTION pg_temp.shown(metric text, value double precision) RETURNS text"
    " LANGUAGE sql IMMUTABLE AS $$ SELECT CASE"
    "  WHEN metric = 'nps' THEN to_char(value, 'FMS990.0')"
    "  WHEN metric IN ('share', 'csat', 'top_box') THEN to_char(100 * value, 'FM990.0') || '%'"
    "  ELSE to_char(value, 'FM99990.00') END $$;"
    "CREATE FUNCTION pg_temp.span(metric text, low double precision, high double precision)"
    " RETURNS text LANGUAGE sql IMMUTABLE AS"
    " $$ SELECT pg_temp.shown(metric, low) || ' ... ' || pg_temp.shown(metric, high) $$;"
    "CREATE FUNCTION pg_temp.goal(metric text, direction text, target double precision)"
    " RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT CASE direction WHEN 'higher' THEN '>= '"
    " ELSE '<= ' END || pg_temp.shown(metric, target) $$;"
    /* one row a KPI: all units */
    "CREATE FUNCTION pg_temp.over_all(start timestamptz, days int, step int)"
    " RETURNS TABLE (kpi text, statement text, n bigint, value text, span text, goal text,"
    "                attainment text, status text, owner text, role text)"
    " LANGUAGE sql STABLE AS $$ SELECT k.kpi, k.statement, s.n, pg_temp.shown(k.metric, s.value),"
    "  pg_temp.span(k.metric, s.ci_low, s.ci_high), pg_temp.goal(k.metric, k.direction, s.target),"
    "  s.attainment, s.status, k.owner, k.role FROM experience.kpi_list k CROSS JOIN LATERAL"
    "  experience.kpi_series(k.kpi, start, start + make_interval(days => days),"
    "                        make_interval(days => step)) s $$";

/* ---- queries --------------------------------------------------------------------------------- */

/* Runs a statement with text parameters; NULL ends them. */
static enum fp_status ask(struct report *r, const char *sql, const char *const *values,
                          struct fp_pg_result **result, struct fp_error *err)
{
    struct fp_pg_param at[PARAMS_MAX], *params[PARAMS_MAX] = {NULL};
    size_t count = 0;
    for (; values && values[count] && count < PARAMS_MAX; count++) {
        fp_pg_param_init(&at[count], FP_PG_TEXT, false);
        fp_pg_put_slice(&at[count], fp_slice_of(values[count]));
        params[count] = &at[count];
    }
    enum fp_status status = fp_pg_exec(r->pg, sql, params, count, QUERY_MS, result, err);
    while (count > 0)
        fp_pg_param_free(&at[--count]);
    return status;
}

static enum fp_status show(struct report *r, const char *title, const char *sql,
                           const char *const *values, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = ask(r, sql, values, &result, err);
    if (status == FP_OK)
        fp_demo_table(stdout, title, result);
    fp_pg_result_free(result);
    return status;
}

/* ---- the ledger against the truth ------------------------------------------------------------ */

static const char *const class_names[FP_TRUTH_CLASSES] = {"applied", "duplicate", "revised",
                                                          "voided",  "rejected",  "ignored"};
static const char *const class_texts[FP_TRUTH_CLASSES] = {
    "counted",
    "the same id again",
    "a newer revision took its place",
    "taken back by its sender",
    "unreadable or impossible: in the dead-letter topic",
    "foreign, or of an erased subject"};

static void print_ledger(const struct report *r, const int64_t *found)
{
    printf("\nEvery message is accounted for: %" PRId64 " sent, %" PRId64
           " in the ledger, in %.1f s\n\n"
           "  %-10s  %9s  %9s\n",
           r->demo->params.messages, found[FP_TRUTH_CLASSES], r->demo->seconds, "", "sent",
           "found");
    for (int i = 0; i < FP_TRUTH_CLASSES; i++)
        printf("  %-10s  %9" PRId64 "  %9" PRId64 "  %s\n", class_names[i],
               fp_generator_count(r->demo->generator, (enum fp_truth_class)i), found[i],
               class_texts[i]);
}

static void print_json(const struct report *r, const int64_t *found, bool agrees)
{
    printf("{\"messages\": %" PRId64 ", \"consumed\": %" PRId64
           ", \"seconds\": %.3f, \"agrees\": %s",
           r->demo->params.messages, found[FP_TRUTH_CLASSES], r->demo->seconds,
           agrees ? "true" : "false");
    for (int i = 0; i < FP_TRUTH_CLASSES; i++)
        printf(", \"%s\": {\"sent\": %" PRId64 ", \"found\": %" PRId64 "}", class_names[i],
               fp_generator_count(r->demo->generator, (enum fp_truth_class)i), found[i]);
    puts("}");
}

static enum fp_status compare_ledger(struct report *r, bool *agrees, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    int64_t found[FP_TRUTH_CLASSES + 1];
    enum fp_status status = ask(
        r,
        "SELECT sum(applied)::bigint, sum(duplicate)::bigint, sum(revised)::bigint,"
        " sum(voided)::bigint, sum(rejected)::bigint, sum(ignored)::bigint, sum(consumed)::bigint,"
        " bool_and(balanced)::int FROM experience.ledger",
        NULL, &result, err);
    if (status == FP_OK) {
        *agrees = fp_pg_int(result, 0, FP_TRUTH_CLASSES + 1) == 1;
        for (int i = 0; i <= FP_TRUTH_CLASSES; i++)
            found[i] = fp_pg_int(result, 0, i);
        *agrees &= found[FP_TRUTH_CLASSES] == r->demo->params.messages;
        for (int i = 0; i < FP_TRUTH_CLASSES; i++)
            *agrees &= found[i] == fp_generator_count(r->demo->generator, (enum fp_truth_class)i);
        if (r->demo->options->json)
            print_json(r, found, *agrees);
        else
            print_ledger(r, found);
    }
    fp_pg_result_free(result);
    return status;
}

static enum fp_status show_rejects(struct report *r, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status =
        ask(r,
            "SELECT reason, count(*) AS found, coalesce(min(nullif(field, '')), '-')"
            " FROM flightpath.reject GROUP BY reason ORDER BY found DESC, reason",
            NULL, &result, err);
    if (status == FP_OK) {
        puts("\nRejected, by reason (whole in the dead-letter topic: flightpath dead-letters)\n");
        printf("  %-20s  %6s  %6s  %s\n", "reason", "sent", "found", "a field");
    }
    for (int i = 0; status == FP_OK && i < fp_pg_rows(result); i++)
        printf("  %-20s  %6" PRId64 "  %6" PRId64 "  %s\n", fp_pg_text(result, i, 0),
               fp_generator_rejects(r->demo->generator, fp_pg_text(result, i, 0)),
               fp_pg_int(result, i, 1), fp_pg_text(result, i, 2));
    fp_pg_result_free(result);
    return status;
}

/* ---- drivers --------------------------------------------------------------------------------- */

static const char drivers_sql[] =
    "WITH m AS (SELECT model FROM experience.driver_fit WHERE segment = 'all' AND status = 'ok'"
    "  AND method <> 'shrunk' ORDER BY n_complete DESC LIMIT 1)"
    " SELECT d.outcome, d.driver,"
    " to_char(100 * d.weight / f.r2, 'FM990') || '%' AS \"share of R2\","
    " to_char(100 * d.weight_low / f.r2, 'FM990') || ' ... ' ||"
    " to_char(100 * d.weight_high / f.r2, 'FM990') || '%' AS \"95 % interval\","
    " to_char(d.coef, 'FM0.00') AS coef,"
    " to_char(d.ci_low, 'FM0.00') || ' ... ' || to_char(d.ci_high, 'FM0.00') AS"
    " \"its 95 % interval\", to_char(t.coef, 'FM0.00') AS planted, d.key, d.position,"
    " to_char(d.p_top3, 'FM0.00') AS \"P(top 3)\""
    " FROM experience.driver d JOIN m USING (model)"
    " JOIN experience.driver_fit f ON f.model = d.model AND f.segment = d.segment"
    " LEFT JOIN json_to_recordset($1::json -> 'driver_effects') AS t (audience text, outcome text,"
    " driver text, coef double precision) ON t.outcome = d.outcome AND t.driver = d.driver"
    " WHERE d.segment = 'all' ORDER BY d.weight DESC NULLS LAST";

static const char calibration_sql[] =
    "SELECT touchpoint, model, events, to_char(predicted, 'FM990.00') AS predicted, n AS answers,"
    " to_char(observed, 'FM990.00') AS observed, to_char(observed_low, 'FM990.00') || ' ... ' ||"
    " to_char(observed_high, 'FM990.00') AS \"95 % interval\", status"
    " FROM experience.prediction_calibration ORDER BY events DESC";

static enum fp_status show_drivers(struct report *r, struct fp_error *err)
{
    const char *truth = fp_generator_truth(r->demo->generator), *values[] = {truth, NULL};
    if (truth == NULL)
        return FP_OK;
    enum fp_status status =
        show(r,
             "What matters, where most people answered everything, beside what was planted "
             "(experience.driver)",
             drivers_sql, values, err);
    if (status == FP_OK)
        status = show(r, "Events scored by what was measured (experience.prediction_calibration)",
                      calibration_sql, NULL, err);
    return status;
}

/* ---- state and KPIs -------------------------------------------------------------------------- */

static const char state_sql[] =
    "SELECT topic, count(*) AS partitions, sum(next_offset) AS \"read\", sum(lag) AS lag,"
    " to_char(max(last_event_at), 'Dy DD Mon HH24:MI') AS \"last event\","
    " count(halted) AS halted FROM experience.freshness GROUP BY topic ORDER BY topic";

static const char outcomes_sql[] =
    "SELECT kpi, statement, n, value, span AS \"95 % interval\", goal AS target,"
    " attainment AS \"target is\", status, owner"
    " FROM pg_temp.over_all($1::timestamptz, $2::int, $3::int) WHERE role = 'output' ORDER BY kpi";

static const char inputs_sql[] =
    "SELECT kpi, statement, n, value, span AS \"95 % interval\", goal AS target, owner"
    " FROM pg_temp.over_all($1::timestamptz, $2::int, $3::int)"
    " WHERE role = 'input' AND attainment = 'missed' ORDER BY n DESC LIMIT 8";

/* The NPS with the most answers, by unit: few answers each, so intervals matter. */
static const char units_sql[] =
    "SELECT k.kpi, coalesce(l.label, k.unit, 'not given') AS unit, k.n,"
    " pg_temp.shown(k.metric, k.value) AS value,"
    " pg_temp.span(k.metric, k.ci_low, k.ci_high) AS \"95 % interval\","
    " pg_temp.goal(k.metric, k.direction, k.target) AS target, k.attainment AS \"target is\","
    " k.status FROM experience.kpi_now k LEFT JOIN experience.unit_list l USING (unit)"
    " WHERE k.kpi = (SELECT kpi FROM experience.kpi_now"
    "                WHERE role = 'output' AND audience = 'customer' GROUP BY kpi, metric"
    "                ORDER BY metric = 'nps' DESC, sum(n) DESC LIMIT 1)"
    " ORDER BY k.n DESC NULLS LAST, 2 LIMIT 12";

/* The KPI whose units differ most surely. */
static const char benchmark_sql[] =
    "SELECT b.kpi, b.unit_label AS unit, round(b.n)::int AS n,"
    " pg_temp.shown(b.metric, b.raw) AS raw,"
    " pg_temp.shown(b.metric, b.shrunk) AS shrunk,"
    " pg_temp.span(b.metric, b.ci_low, b.ci_high) AS \"95 % interval\","
    " b.rank_low || ' ... ' || b.rank_high || ' of ' || b.units AS \"rank, 95 %\","
    " b.tier FROM experience.benchmark b"
    " WHERE b.kpi = (SELECT kpi FROM experience.benchmark_fit WHERE units >= 4"
    "                ORDER BY i2 DESC NULLS LAST, kpi LIMIT 1) AND b.shrunk IS NOT NULL"
    " ORDER BY b.rank_expected LIMIT 10";

static const char alerts_sql[] =
    "SELECT kpi, scope, state, verdict, to_char(started_at, 'DD Mon') AS began, text"
    " FROM experience.alert ORDER BY firing DESC, since DESC LIMIT 8";

static const char watched_sql[] =
    "SELECT CASE level WHEN 0 THEN 'KPIs as a whole' WHEN 1 THEN 'units over their KPIs'"
    " ELSE 'KPIs of a unit' END AS watched, count(*) AS series, detail AS state"
    " FROM experience.watch_series GROUP BY level, detail ORDER BY level, 2 DESC LIMIT 9";

static const char coverage_sql[] =
    "SELECT touchpoint, events, failed, responses, invited,"
    " to_char(100 * response_rate, 'FM990.0') || '%' AS \"response rate\","
    " CASE WHEN unmapped THEN 'not in the model!'"
    "      ELSE coalesce(owner_label, 'nobody owns it') END AS owner"
    " FROM experience.coverage ORDER BY unmapped DESC, events DESC, touchpoint LIMIT 12";

static const char erasures_sql[] =
    "SELECT count(*) AS requests, coalesce(sum(responses), 0) AS responses,"
    " coalesce(sum(invitations), 0) AS invitations, coalesce(sum(cases), 0) AS \"case events\""
    " FROM flightpath.erasure_receipt";

static enum fp_status show_state(struct report *r, struct fp_error *err)
{
    return show(r, "Where it stands (experience.freshness)", state_sql, NULL, err);
}

static enum fp_status show_kpis(struct report *r, struct fp_error *err)
{
    const char *values[] = {r->from, r->days, r->step, NULL};
    enum fp_status status =
        show(r, "Outcomes over the whole time (experience.kpi_series)", outcomes_sql, values, err);
    if (status == FP_OK)
        status = show(r, "Input KPIs that miss their target (the eight with most observations)",
                      inputs_sql, values, err);
    if (status == FP_OK)
        status = show(r, "One outcome by unit (experience.kpi_now)", units_sql, NULL, err);
    return status;
}

static enum fp_status show_units(struct report *r, struct fp_error *err)
{
    enum fp_status status =
        show(r, "Units compared, where they differ most surely (experience.benchmark)",
             benchmark_sql, NULL, err);
    if (status == FP_OK)
        status = show(r, "Alerts (experience.alert)", alerts_sql, NULL, err);
    if (status == FP_OK)
        status =
            show(r, "What is watched (experience.watch_series); 56 days come before a judgement",
                 watched_sql, NULL, err);
    return status;
}

static enum fp_status show_coverage(struct report *r, struct fp_error *err)
{
    return show(r, "What arrives where, what is not in the model first (experience.coverage)",
                coverage_sql, NULL, err);
}

static enum fp_status show_erasures(struct report *r, struct fp_error *err)
{
    return show(r, "Erased subjects (receipts)", erasures_sql, NULL, err);
}

/* ---- the planted dip ------------------------------------------------------------------------- */

static struct fp_slice text_of(const struct fp_json_node *nodes, uint32_t object, const char *name)
{
    uint32_t at = object ? fp_json_member(nodes, object, name) : 0;
    return at && nodes[at].type == FP_JSON_STRING ? nodes[at].text : (struct fp_slice){0};
}

/* False when nothing was planted. */
static bool read_truth(struct report *r)
{
    static const struct fp_json_limits limits = {16u << 20, 16, 1u << 20, 1u << 20, 65536, 64};
    struct truth *t = &r->truth;
    struct fp_error err;
    uint32_t count;
    const char *text = fp_generator_truth(r->demo->generator);
    t->reader = fp_json_reader_new(&limits);
    if (!t->reader || !text ||
        fp_json_parse(t->reader, text, strlen(text), &t->nodes, &count, &err) != FP_OK)
        return false;
    uint32_t planted = fp_json_member(t->nodes, 0, "planted");
    uint32_t dip = planted ? fp_json_member(t->nodes, planted, "dip") : 0;
    uint32_t units = dip ? fp_json_member(t->nodes, dip, "units") : 0;
    if (units && t->nodes[units].count > 0)
        t->unit = t->nodes[units + 1].text;
    t->touchpoint = text_of(t->nodes, dip, "touchpoint");
    t->from = text_of(t->nodes, dip, "from");
    t->to = text_of(t->nodes, dip, "to");
    return t->unit.at && t->touchpoint.at && t->from.at && t->to.at;
}

static void copy(char *out, size_t size, struct fp_slice text)
{
    snprintf(out, size, "%.*s", (int)text.len, text.at);
}

/* The KPI that shows best what happens at a touchpoint. */
static const char dip_kpi_sql[] =
    "SELECT kpi, statement FROM experience.kpi_list WHERE touchpoint = $1"
    " ORDER BY source = 'measure' DESC, metric = 'share' DESC, kpi LIMIT 1";

/* Day by day; $5 and $6: when it was planted. */
static const char dip_sql[] =
    "SELECT to_char(bucket, 'Dy DD Mon') AS day, h.n, pg_temp.shown(metric, h.value) AS \"there\","
    " pg_temp.span(metric, h.ci_low, h.ci_high) AS \"95 % interval\","
    " pg_temp.shown(metric, a.value) AS \"all units\", CASE WHEN bucket < $6::timestamptz"
    "  AND bucket + interval '1 day' > $5::timestamptz THEN '<- planted' ELSE '' END AS truth"
    " FROM (SELECT metric, $2::timestamptz AS since,"
    "              $2::timestamptz + make_interval(days => $3::int) AS until"
    "       FROM experience.kpi_list WHERE kpi = $1) m"
    " CROSS JOIN LATERAL experience.kpi_series($1, since, until, interval '1 day', ARRAY[$4]) h"
    " JOIN LATERAL experience.kpi_series($1, since, until, interval '1 day') a USING (bucket)"
    " ORDER BY bucket";

static enum fp_status show_dip(struct report *r, struct fp_error *err)
{
    char unit[260], touchpoint[260], from[40], to[40], title[900];
    struct fp_pg_result *found = NULL;
    if (!read_truth(r))
        return FP_OK;
    copy(unit, sizeof unit, r->truth.unit);
    copy(touchpoint, sizeof touchpoint, r->truth.touchpoint);
    copy(from, sizeof from, r->truth.from);
    copy(to, sizeof to, r->truth.to);
    const char *where[] = {touchpoint, NULL};
    enum fp_status status = ask(r, dip_kpi_sql, where, &found, err);
    if (status == FP_OK && fp_pg_rows(found) > 0) {
        const char *kpi = fp_pg_text(found, 0, 0);
        const char *values[] = {kpi, r->from, r->days, unit, from, to, NULL};
        snprintf(title, sizeof title,
                 "A dip was planted at %s in %s, from %.16sZ to %.16sZ.\nKPI %s (%s), by day:",
                 touchpoint, unit, from, to, kpi, fp_pg_text(found, 0, 1));
        status = show(r, title, dip_sql, values, err);
    }
    fp_pg_result_free(found);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void show_way_on(const struct report *r)
{
    const char *conninfo = r->demo->options->postgres;
    bool secret = strstr(conninfo, "password") != NULL || strchr(conninfo, '@') != NULL;
    printf("\nLook further:\n\n  psql \"%s\"\n\n"
           "  SELECT * FROM experience.kpi_list;  -- and kpi_now, kpi_day, coverage, ledger, ...\n"
           "  SELECT * FROM experience.kpi_series('KPI', now() - interval '15 days', now(),\n"
           "                                      interval '1 day', units => ARRAY['UNIT']);\n",
           secret ? "the same connection string" : conninfo);
}

/* The session's time zone and helpers, and the span of the stream. */
static enum fp_status set_up(struct report *r, struct fp_error *err)
{
    const struct fp_generate_params *p = &r->demo->params;
    struct fp_pg_result *result = NULL;
    char start[32];
    snprintf(start, sizeof start, "%" PRId64, p->start_us / 1000000);
    const char *values[] = {r->demo->model->time_zone, start, NULL};
    enum fp_status status = fp_pg_script(r->pg, helpers_sql, QUERY_MS, err);
    if (status == FP_OK)
        status = ask(r, "SELECT set_config('TimeZone', $1, false), to_timestamp($2::bigint)::text",
                     values, &result, err);
    if (status == FP_OK)
        snprintf(r->from, sizeof r->from, "%s", fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    snprintf(r->days, sizeof r->days, "%" PRId64, p->days);
    snprintf(r->step, sizeof r->step, "%" PRId64,
             p->days == 7 ? 8 : p->days); /* 7: calendar weeks */
    return status;
}

enum fp_status fp_demo_report(const struct fp_demo *demo, struct fp_pg *pg, bool *agrees,
                              struct fp_error *err)
{
    static enum fp_status (*const parts[])(struct report *, struct fp_error *) = {
        show_state,   show_kpis,     show_dip,     show_units,
        show_drivers, show_coverage, show_rejects, show_erasures};
    struct report r = {.demo = demo, .pg = pg};
    size_t count = demo->options->json ? 0 : sizeof parts / sizeof *parts;
    enum fp_status status = set_up(&r, err);
    if (status == FP_OK)
        status = compare_ledger(&r, agrees, err);
    for (size_t i = 0; status == FP_OK && i < count; i++)
        status = parts[i](&r, err);
    if (status == FP_OK && count > 0)
        show_way_on(&r);
    fp_json_reader_free(r.truth.reader);
    return status;
}
