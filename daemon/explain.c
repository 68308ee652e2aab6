/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Views, their keys, and the row they name.
 *
 * A row that is not there is the common mistake, and the useful answer is what there is instead:
 * each key has a query for the values that go with the keys before it, and the first key whose
 * value is not among them is the one to name. Times are read in the programme's time zone. */
#include "daemon/explain.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/params.h"

#define KPI_KNOWN "SELECT kpi, kpi = $1 FROM experience.kpi_list ORDER BY 2 DESC, 1 LIMIT 40"
#define DAY_OF_KEY "$2::text::timestamptz::date - DATE '1970-01-01'"
#define HOUR_OF_KEY "floor(extract(epoch FROM $2::text::timestamptz) / 3600)::int"
#define MODEL_KNOWN \
    "SELECT DISTINCT model, model = $1 FROM flightpath.driver_series WHERE current" \
    " ORDER BY 2 DESC, 1 LIMIT 40"
#define SEGMENT_KNOWN \
    "SELECT segment, segment = $2 FROM experience.driver_fit WHERE model = $1" \
    " ORDER BY 2 DESC, 1 LIMIT 40"

/* Of a KPI's buckets; the unit and the channel of one. */
#define BUCKETS(view, shown, number) \
    "SELECT DISTINCT bucket_number, " shown ", bucket_number = " number " FROM experience." view \
    " WHERE kpi = $1 AND current ORDER BY 3 DESC, 1 DESC LIMIT 20"
#define CELLS(view, number, column, key, before) \
    "SELECT DISTINCT " column ", " column " IS NOT DISTINCT FROM " key " FROM experience." view \
    " WHERE kpi = $1 AND current AND bucket_number = " number before \
    " ORDER BY 2 DESC, 1 LIMIT 40"
#define CELL_ROW(view, number) \
    "SELECT * FROM experience." view " WHERE kpi = $1 AND current AND bucket_number = " number \
    " AND unit IS NOT DISTINCT FROM $3 AND channel IS NOT DISTINCT FROM $4"

static const struct fp_explain_view views[] = {
    {.name = "driver",
     .key = {{"model", NULL, true, MODEL_KNOWN},
             {"segment", "all", false, SEGMENT_KNOWN},
             {"driver", NULL, true,
              "SELECT driver, driver = $3 FROM experience.driver WHERE model = $1 AND segment = $2"
              " ORDER BY 2 DESC, 1 LIMIT 64"}},
     .row = "SELECT * FROM experience.driver WHERE model = $1 AND segment = $2 AND driver = $3",
     .explain = fp_explain_driver},
    {.name = "driver_fit",
     .key = {{"model", NULL, true, MODEL_KNOWN}, {"segment", "all", false, SEGMENT_KNOWN}},
     .row = "SELECT * FROM experience.driver_fit WHERE model = $1 AND segment = $2",
     .explain = fp_explain_driver},
    {.name = "kpi_day",
     .key = {{"kpi", NULL, true, KPI_KNOWN},
             {"bucket", NULL, true,
              "SELECT day, same FROM (" BUCKETS("kpi_day", "bucket::date::text AS day",
                                                DAY_OF_KEY
                                                " AS same") ") b ORDER BY same DESC, day DESC"},
             {"unit", NULL, false, CELLS("kpi_day", DAY_OF_KEY, "unit", "$3", "")},
             {"channel", NULL, false,
              CELLS("kpi_day", DAY_OF_KEY, "channel", "$4", " AND unit IS NOT DISTINCT FROM $3")}},
     .row = CELL_ROW("kpi_day", DAY_OF_KEY),
     .explain = fp_explain_kpi},
    {.name = "kpi_hour",
     .key = {{"kpi", NULL, true, KPI_KNOWN},
             {"bucket", NULL, true,
              "SELECT hour, same FROM (" BUCKETS("kpi_hour", "bucket::text AS hour",
                                                 HOUR_OF_KEY
                                                 " AS same") ") b ORDER BY same DESC, hour DESC"},
             {"unit", NULL, false, CELLS("kpi_hour", HOUR_OF_KEY, "unit", "$3", "")},
             {"channel", NULL, false,
              CELLS("kpi_hour", HOUR_OF_KEY, "channel", "$4",
                    " AND unit IS NOT DISTINCT FROM $3")}},
     .row = CELL_ROW("kpi_hour", HOUR_OF_KEY),
     .explain = fp_explain_kpi},
    {.name = "kpi_now",
     .key = {{"kpi", NULL, true, KPI_KNOWN},
             {"unit", NULL, false,
              "SELECT unit, unit IS NOT DISTINCT FROM $2 FROM experience.kpi_now WHERE kpi = $1"
              " ORDER BY 2 DESC, 1 LIMIT 40"}},
     .row = "SELECT * FROM experience.kpi_now WHERE kpi = $1 AND unit IS NOT DISTINCT FROM $2",
     .explain = fp_explain_kpi},
    {.name = "benchmark",
     .key = {{"kpi", NULL, true, KPI_KNOWN},
             {"unit", NULL, true,
              "SELECT unit, unit = $2 FROM experience.benchmark WHERE kpi = $1"
              " ORDER BY 2 DESC, 1 LIMIT 40"}},
     .row = "SELECT * FROM experience.benchmark WHERE kpi = $1 AND unit = $2",
     .explain = fp_explain_benchmark},
};
#define VIEW_COUNT (sizeof views / sizeof *views)

/* ---- asking ---------------------------------------------------------------------------------- */

enum fp_status fp_explain_query(struct fp_explain *e, const char *sql, const char *const *values,
                                size_t count, struct fp_pg_result **result, struct fp_error *err)
{
    static const char types[] = "tttttttt";
    struct fp_params p;
    fp_params_init(&p, types + sizeof types - 1 - count);
    for (size_t i = 0; i < count; i++)
        fp_pg_put_slice(&p.at[i], fp_slice_of(values[i]));
    enum fp_status status =
        fp_pg_exec(e->pg, sql, p.ref, p.count, FP_EXPLAIN_DEADLINE_MS, result, err);
    fp_params_free(&p);
    return status;
}

static size_t key_count(const struct fp_explain_view *view)
{
    size_t count = 0;
    while (count < FP_EXPLAIN_KEYS_MAX && view->key[count].name != NULL)
        count++;
    return count;
}

/* ---- the words of the command line ----------------------------------------------------------- */

/* "a, b or c" */
static void list_names(char *out, size_t size, const struct fp_explain_view *view)
{
    size_t count = view ? key_count(view) : VIEW_COUNT, used = 0;
    *out = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 view ? view->key[i].name : views[i].name);
}

static enum fp_status take_key(struct fp_explain *e, const char *word, struct fp_error *err)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : 0;
    char names[120];
    for (size_t i = 0; equals && i < key_count(e->view); i++) {
        const char *name = e->view->key[i].name;
        if (strlen(name) != len || strncmp(name, word, len) != 0)
            continue;
        e->key[i] = equals[1] ? equals + 1 : NULL;
        return FP_OK;
    }
    list_names(names, sizeof names, e->view);
    return fp_fail(err, FP_REJECT, "key", word, "a key of %s is NAME=VALUE with %s", e->view->name,
                   names);
}

static enum fp_status take_words(struct fp_explain *e, const char *const *words, size_t count,
                                 struct fp_error *err)
{
    char names[120];
    e->view = NULL;
    for (size_t i = 0; i < VIEW_COUNT; i++)
        if (strcmp(words[0], views[i].name) == 0)
            e->view = &views[i];
    list_names(names, sizeof names, NULL);
    if (e->view == NULL)
        return fp_fail(err, FP_REJECT, "view", words[0],
                       "there is no explanation of this view; give %s", names);
    for (size_t i = 0; i < key_count(e->view); i++)
        e->key[i] = e->view->key[i].fallback;
    enum fp_status status = FP_OK;
    for (size_t i = 1; status == FP_OK && i < count; i++)
        status = take_key(e, words[i], err);
    return status;
}

/* ---- the row, or what there is instead ------------------------------------------------------- */

static enum fp_status refuse_key(const struct fp_explain *e, size_t key,
                                 const struct fp_pg_result *known, struct fp_error *err)
{
    char values[220] = "";
    size_t used = 0;
    int rows = fp_pg_rows(known);
    for (int i = 0; i < rows && used < sizeof values; i++)
        used += (size_t)snprintf(values + used, sizeof values - used, "%s%s", i > 0 ? ", " : "",
                                 fp_pg_is_null(known, i, 0) ? "(none)" : fp_pg_text(known, i, 0));
    if (used >= sizeof values)
        snprintf(values + sizeof values - 8, 8, ", ...");
    return fp_fail(err, FP_REJECT, "no_row", e->view->name, "no %s%s%s; %s%s",
                   e->view->key[key].name, e->key[key] ? " " : " given",
                   e->key[key] ? e->key[key] : "", rows > 0 ? "there is: " : "there is nothing yet",
                   values);
}

/* The first key whose value does not go with those before it. */
static enum fp_status look_for_key(struct fp_explain *e, struct fp_error *err)
{
    for (size_t i = 0; i < key_count(e->view); i++) {
        struct fp_pg_result *known = NULL;
        enum fp_status status =
            fp_explain_query(e, e->view->key[i].known, e->key, i + 1, &known, err);
        bool there = status == FP_OK && fp_pg_rows(known) > 0 && *fp_pg_text(known, 0, 1) == 't';
        if (status == FP_OK && !there)
            status = refuse_key(e, i, known, err);
        fp_pg_result_free(known);
        if (status != FP_OK)
            return status;
    }
    return fp_fail(err, FP_REJECT, "no_row", e->view->name, "no row has these keys");
}

static enum fp_status put_row(struct fp_explain *e, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    char sql[1024], title[64];
    for (size_t i = 0; i < key_count(e->view); i++)
        if (e->view->key[i].required && e->key[i] == NULL)
            return look_for_key(e, err);
    snprintf(sql, sizeof sql,
             "SELECT row_to_json(d), (SELECT string_agg(rpad(x.key, 20) || ' ' || x.value, E'\\n')"
             " FROM json_each_text(row_to_json(d)) x WHERE x.value IS NOT NULL) FROM (%s) d",
             e->view->row);
    enum fp_status status = fp_explain_query(e, sql, e->key, key_count(e->view), &result, err);
    if (status == FP_POISON) /* only a bucket is converted */
        status = fp_fail(err, FP_REJECT, "bucket", e->view->name,
                         "\"%s\" is no time; give a date or a time, e.g. bucket=2026-05-03",
                         e->key[1] ? e->key[1] : "");
    else if (status == FP_OK && fp_pg_rows(result) == 0)
        status = look_for_key(e, err);
    else if (status == FP_OK) {
        snprintf(title, sizeof title, "experience.%s", e->view->name);
        fp_part_text(e, "view", "View", title);
        fp_part_json(e, "row", "Published row (what is NULL is left out)", fp_pg_text(result, 0, 0),
                     fp_pg_text(result, 0, 1));
    }
    fp_pg_result_free(result);
    return status;
}

/* ---- what was read --------------------------------------------------------------------------- */

enum fp_status fp_explain_ledger(struct fp_explain *e, const char *model_hash, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status = fp_explain_query(
        e,
        "SELECT coalesce(json_agg(json_build_object('topic', topic, 'partition', partition,"
        "  'incarnation', incarnation, 'first_offset', first_offset, 'next_offset', next_offset,"
        "  'consumed', consumed, 'applied', applied, 'revised', revised, 'voided', voided,"
        "  'coefficients', coefficients) ORDER BY topic, partition, incarnation, first_offset)"
        "  FILTER (WHERE model_hash = $1), '[]'),"
        " coalesce(string_agg(format('%s/%s: offsets %s to %s, %s records, %s applied', topic,"
        "  partition, first_offset, next_offset - 1, consumed, applied), E'\\n'"
        "  ORDER BY topic, partition, incarnation, first_offset) FILTER (WHERE model_hash = $1),"
        "  'No range of the ledger names this model yet.')"
        " || format(E'\\nOther models were in force over %s more ranges (experience.ledger);"
        " what they counted under the same definition counts here too.',"
        "  count(*) FILTER (WHERE model_hash <> $1))"
        " FROM flightpath.ledger",
        &model_hash, 1, &result, err);
    if (status == FP_OK)
        fp_part_json(e, "ledger", "Records read while this model was in force",
                     fp_pg_text(result, 0, 0), fp_pg_text(result, 0, 1));
    fp_pg_result_free(result);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* One snapshot, in the programme's time zone. */
static enum fp_status begin(struct fp_explain *e, struct fp_error *err)
{
    enum fp_status status =
        fp_explain_query(e, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0, NULL, err);
    if (status == FP_OK)
        status = fp_explain_query(
            e, "SELECT set_config('TimeZone', time_zone, true) FROM flightpath.programme", NULL, 0,
            NULL, err);
    return status;
}

enum fp_status fp_explain(struct fp_explain *e, const char *const *words, size_t count,
                          struct fp_error *err)
{
    enum fp_status status = take_words(e, words, count, err);
    if (status == FP_OK)
        status = begin(e, err);
    if (status == FP_OK)
        status = put_row(e, err);
    if (status == FP_OK)
        status = e->view->explain(e, err);
    if (status == FP_OK)
        fp_part_end(e);
    return status;
}
