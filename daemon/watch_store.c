/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of alert, watch_series and watch_level, read and written as a whole: one array a column, and
 * the many numbers of a row as one array, row after row. A row that would stay as it is is not
 * written. What is not finite travels as NaN and arrives as NULL. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analytics/watch_parts.h"
#include "daemon/memory.h"
#include "daemon/params.h"
#include "daemon/watch_parts.h"

#define READ_DAYS 400 /* more than is ever judged */
#define NUMBERS 10    /* of an alert */
#define SERIES_NUMBERS 6
#define SERIES_ROWS_MAX 5000 /* in one statement */

static void put_text(struct fp_pg_param *param, const char *text)
{
    fp_pg_put_slice(param, fp_slice_of(text));
}

static void put_day(struct fp_pg_param *param, int32_t day)
{
    if (day == FP_NO_DAY)
        fp_pg_put_null(param);
    else
        fp_pg_put_int(param, day);
}

static void put_numbers(struct fp_pg_param *param, const double *number, int count)
{
    for (int i = 0; i < count; i++)
        fp_pg_put_double(param, isfinite(number[i]) ? number[i] : NAN);
}

static enum fp_status run(const struct fp_watch_work *work, const char *sql, struct fp_params *p,
                          struct fp_error *err)
{
    enum fp_status status =
        fp_pg_exec(work->pg, sql, p->ref, p->count, FP_WATCH_DEADLINE_MS, NULL, err);
    fp_params_free(p);
    return status;
}

/* ---- stored ---------------------------------------------------------------------------------- */

static enum fp_alert_state state_of(const char *name)
{
    enum fp_alert_state state = FP_ALERT_PENDING;
    while (state < FP_ALERT_STATE_SUSPECT && strcmp(name, fp_alert_state_name(state)) != 0)
        state++;
    return state;
}

static void read_one(const struct fp_pg_result *r, int row, struct fp_stored *stored)
{
    *stored = (struct fp_stored){.kind = (enum fp_alert_kind)fp_pg_int(r, row, 2),
                                 .level = (int)fp_pg_int(r, row, 3),
                                 .series = (int32_t)fp_pg_int(r, row, 4),
                                 .unit = (int32_t)fp_pg_int(r, row, 5),
                                 .incident = (int32_t)fp_pg_int(r, row, 6),
                                 .start = (int32_t)fp_pg_int(r, row, 7),
                                 .closed = (int32_t)fp_pg_int(r, row, 8),
                                 .state = state_of(fp_pg_text(r, row, 9)),
                                 .sign = (int)fp_pg_int(r, row, 10),
                                 .revision = (int)fp_pg_int(r, row, 11)};
    if (fp_pg_is_null(r, row, 8))
        stored->closed = FP_NO_DAY;
    snprintf(stored->fingerprint, sizeof stored->fingerprint, "%.16s", fp_pg_text(r, row, 0));
    snprintf(stored->root, sizeof stored->root, "%.16s", fp_pg_text(r, row, 1));
    snprintf(stored->verdict, sizeof stored->verdict, "%.11s", fp_pg_text(r, row, 12));
}

enum fp_status fp_watch_read(const struct fp_watch_work *work, struct fp_stored_list *list,
                             struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "i");
    fp_pg_put_int(&p.at[0], work->day - READ_DAYS);
    enum fp_status status =
        fp_pg_exec(work->pg,
                   "SELECT fingerprint, root, kind, level, series, unit, incident, start, closed,"
                   " state, sign, revision, CASE WHEN revision >= 0 THEN told ELSE verdict END"
                   " FROM flightpath.alert WHERE closed IS NULL OR closed > $1 OR incident > $1"
                   " ORDER BY incident, fingerprint",
                   p.ref, p.count, FP_WATCH_DEADLINE_MS, &r, err);
    fp_params_free(&p);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(r); i++) {
        FP_GROW(list->at, list->count, list->capacity);
        read_one(r, i, &list->at[list->count++]);
    }
    fp_pg_result_free(r);
    return status;
}

/* ---- found ----------------------------------------------------------------------------------- */

static void put_alert(struct fp_params *p, const struct fp_alert *a)
{
    const double number[NUMBERS] = {a->posterior, a->dip,  a->shift,  a->trend, a->size,
                                    a->low,       a->high, a->before, a->n,     a->z};
    put_numbers(&p->at[0], number, NUMBERS);
    put_text(&p->at[1], a->fingerprint);
    put_text(&p->at[2], a->root);
    fp_pg_put_int(&p->at[3], a->kind);
    fp_pg_put_int(&p->at[4], a->level);
    fp_pg_put_int(&p->at[5], a->series);
    fp_pg_put_int(&p->at[6], a->unit);
    fp_pg_put_int(&p->at[7], a->incident);
    fp_pg_put_int(&p->at[8], a->noticed);
    fp_pg_put_int(&p->at[9], a->start);
    put_day(&p->at[10], a->until);
    put_day(&p->at[11], a->closed);
    put_text(&p->at[12], a->how);
    put_text(&p->at[13], fp_alert_state_name(a->state));
    put_text(&p->at[14], a->verdict);
    fp_pg_put_int(&p->at[15], a->provisional);
    fp_pg_put_int(&p->at[16], a->worse);
    fp_pg_put_int(&p->at[17], a->sign);
}

enum fp_status fp_watch_write_found(const struct fp_watch_work *work,
                                    const struct fp_found_list *list, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "DTTHHIIIIIIITTTOOH");
    for (size_t i = 0; i < list->count; i++)
        if (!list->at[i].skip)
            put_alert(&p, &list->at[i].alert);
    return run(
        work,
        "INSERT INTO flightpath.alert AS a (fingerprint, root, kind, level, series, unit, incident,"
        "  noticed, start, until, closed, how, state, verdict, provisional, worse, sign, posterior,"
        "  dip, shift, trend, size, ci_low, ci_high, before, n, z, resolved_at)"
        " SELECT u.fingerprint, u.root, u.kind, u.level, u.series, u.unit, u.incident, u.noticed,"
        "  u.start, u.until, u.closed, u.how, u.state, u.verdict, u.provisional, u.worse, u.sign,"
        "  v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10],"
        "  CASE WHEN u.closed IS NOT NULL THEN clock_timestamp() END"
        " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
        "  WITH ORDINALITY AS u (fingerprint, root, kind, level, series, unit, incident, noticed,"
        "   start, until, closed, how, state, verdict, provisional, worse, sign, row),"
        " LATERAL (SELECT array_agg(nullif($1[10 * (u.row - 1) + i], 'NaN') ORDER BY i) AS v"
        "  FROM generate_series(1, 10) AS i) AS w"
        " ON CONFLICT (fingerprint) DO UPDATE SET root = excluded.root, noticed = excluded.noticed,"
        "  start = excluded.start, until = excluded.until, closed = excluded.closed,"
        "  how = excluded.how, state = excluded.state, verdict = excluded.verdict,"
        "  provisional = excluded.provisional, worse = excluded.worse, sign = excluded.sign,"
        "  posterior = excluded.posterior, dip = excluded.dip, shift = excluded.shift,"
        "  trend = excluded.trend, size = excluded.size, ci_low = excluded.ci_low,"
        "  ci_high = excluded.ci_high, before = excluded.before, n = excluded.n, z = excluded.z,"
        "  updated_at = clock_timestamp(), resolved_at = CASE WHEN excluded.closed IS NOT NULL"
        "   THEN coalesce(a.resolved_at, excluded.resolved_at) END"
        " WHERE (a.root, a.noticed, a.start, a.until, a.closed, a.how, a.state, a.verdict,"
        "  a.provisional, a.worse, a.sign, a.posterior, a.dip, a.shift, a.trend, a.size, a.ci_low,"
        "  a.ci_high, a.before, a.n, a.z) IS DISTINCT FROM (excluded.root, excluded.noticed,"
        "  excluded.start, excluded.until, excluded.closed, excluded.how, excluded.state,"
        "  excluded.verdict, excluded.provisional, excluded.worse, excluded.sign,"
        "  excluded.posterior, excluded.dip, excluded.shift, excluded.trend, excluded.size,"
        "  excluded.ci_low, excluded.ci_high, excluded.before, excluded.n, excluded.z)",
        &p, err);
}

enum fp_status fp_watch_write_ended(const struct fp_watch_work *work,
                                    const struct fp_stored_list *list, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iTT");
    fp_pg_put_int(&p.at[0], work->day);
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i].how == NULL)
            continue;
        put_text(&p.at[1], list->at[i].fingerprint);
        put_text(&p.at[2], list->at[i].how);
    }
    return run(work,
               "UPDATE flightpath.alert a SET how = u.how, closed = coalesce(a.closed, $1),"
               " state = CASE u.how WHEN 'withdrawn' THEN 'withdrawn' ELSE 'resolved' END,"
               " provisional = false, updated_at = clock_timestamp(),"
               " resolved_at = coalesce(a.resolved_at, clock_timestamp())"
               " FROM unnest($2, $3) AS u (fingerprint, how) WHERE a.fingerprint = u.fingerprint",
               &p, err);
}

enum fp_status fp_watch_write_explained(const struct fp_watch_work *work, const char *fingerprint,
                                        const struct fp_explanation *e, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "tttddtt");
    put_text(&p.at[0], fingerprint);
    put_text(&p.at[1], e->contributors);
    put_text(&p.at[2], e->drivers);
    put_numbers(&p.at[3], &e->mix, 1);
    put_numbers(&p.at[4], &e->within, 1);
    put_text(&p.at[5], e->needed);
    put_text(&p.at[6], e->text);
    return run(work,
               "UPDATE flightpath.alert SET contributors = $2::text::jsonb,"
               " drivers = $3::text::jsonb, mix = nullif($4, 'NaN'), within = nullif($5, 'NaN'),"
               " needed = $6, text = $7 WHERE fingerprint = $1",
               &p, err);
}

/* ---- series ---------------------------------------------------------------------------------- */

/* First day with answers of a KPI's series; FP_NO_DAY: none. */
static int32_t first_answers(struct cx_estate *estate, const struct cx_estate_series *series)
{
    int64_t first = cx_estate_first(estate);
    const struct cx_watch_bucket *cell = cx_estate_cells(estate, series->kpi, series->unit);
    for (int64_t day = first; cell != NULL && day <= series->last_answers; day++)
        if (cell[day - first].n > 0)
            return (int32_t)day;
    return FP_NO_DAY;
}

static const char *series_state(const struct fp_watch_work *work,
                                const struct cx_estate_series *series)
{
    int64_t first = cx_estate_first(fp_watch_cells_estate(work->cells));
    enum cx_watch_state episode = series->now.episode_state;
    if (series->baseline == 0 || work->day < series->judged_from)
        return "history";
    enum fp_alert_state shown = fp_watch_shown_state(series, first, work->day);
    bool open =
        episode == CX_WATCH_PENDING || episode == CX_WATCH_FIRING || episode == CX_WATCH_RECOVERING;
    return open || shown >= FP_ALERT_STATE_NO_DATA ? fp_alert_state_name(shown) : "quiet";
}

static void put_series(const struct fp_watch_work *work, struct fp_params *p,
                       const struct cx_estate_series *series, int32_t first_day,
                       const char *fingerprint)
{
    int64_t first = cx_estate_first(fp_watch_cells_estate(work->cells));
    struct fp_alert about = fp_found_blank(work, series, FP_ALERT_CHANGE);
    double number[SERIES_NUMBERS] = {NAN, NAN, NAN, NAN, NAN, NAN};
    bool judged = series->baseline > 0 && series->point != NULL;
    if (judged) {
        const struct cx_watch_point *point = &series->point[work->day - first];
        const struct cx_watch_profile *profile = &series->profile;
        number[0] = point->n;
        if (point->data == CX_WATCH_USABLE)
            number[1] = point->r + profile->effect[cx_watch_phase(work->day, profile->season)];
        number[2] = profile->level;
        number[3] = profile->sd;
        number[4] = sqrt(profile->tau2);
        number[5] = series->now.split.z;
    }
    put_numbers(&p->at[0], number, SERIES_NUMBERS);
    fp_pg_put_int(&p->at[1], about.level);
    fp_pg_put_int(&p->at[2], about.series);
    fp_pg_put_int(&p->at[3], about.unit);
    put_text(&p->at[4], series_state(work, series));
    put_text(&p->at[5], fingerprint);
    put_day(&p->at[6], first_day);
    put_day(&p->at[7], judged ? (int32_t)series->judged_from : FP_NO_DAY);
    put_day(&p->at[8],
            series->last_answers == INT64_MIN ? FP_NO_DAY : (int32_t)series->last_answers);
}

static enum fp_status insert_series(const struct fp_watch_work *work, struct fp_params *p,
                                    struct fp_error *err)
{
    return run(
        work,
        "INSERT INTO flightpath.watch_series AS s (level, series, unit, state, fingerprint,"
        "  first_day, judged_from, newest_day, n, value, level_value, sd, tau, z)"
        " SELECT u.level, u.series, u.unit, u.state, u.fingerprint, u.first_day, u.judged_from,"
        "  u.newest_day, v[1], v[2], v[3], v[4], v[5], v[6]"
        " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY AS u (level, series, unit,"
        "  state, fingerprint, first_day, judged_from, newest_day, row),"
        " LATERAL (SELECT array_agg(nullif($1[6 * (u.row - 1) + i], 'NaN') ORDER BY i) AS v"
        "  FROM generate_series(1, 6) AS i) AS w"
        " ON CONFLICT (level, series, unit) DO UPDATE SET state = excluded.state,"
        "  fingerprint = excluded.fingerprint, first_day = excluded.first_day,"
        "  judged_from = excluded.judged_from, newest_day = excluded.newest_day, n = excluded.n,"
        "  value = excluded.value, level_value = excluded.level_value, sd = excluded.sd,"
        "  tau = excluded.tau, z = excluded.z"
        " WHERE (s.*) IS DISTINCT FROM (excluded.*)",
        p, err);
}

/* What is not among the estate's series leaves. */
static enum fp_status delete_series(const struct fp_watch_work *work, struct fp_error *err)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    struct fp_params p;
    fp_params_init(&p, "HII");
    for (int s = 0; s < cx_estate_series_count(estate); s++) {
        struct fp_alert about = fp_found_blank(work, cx_estate_series(estate, s), FP_ALERT_CHANGE);
        fp_pg_put_int(&p.at[0], about.level);
        fp_pg_put_int(&p.at[1], about.series);
        fp_pg_put_int(&p.at[2], about.unit);
    }
    return run(work,
               "DELETE FROM flightpath.watch_series s WHERE NOT EXISTS"
               " (SELECT FROM unnest($1, $2, $3) AS u (level, series, unit)"
               "  WHERE u.level = s.level AND u.series = s.series AND u.unit = s.unit)",
               &p, err);
}

/* First days with answers: of each series of a KPI its own, of a unit the earliest of its KPIs. */
static int32_t *first_days(struct cx_estate *estate)
{
    int count = cx_estate_series_count(estate);
    int32_t *first = fp_must_calloc((size_t)count, sizeof *first);
    for (int s = 0; s < count; s++) {
        const struct cx_estate_series *series = cx_estate_series(estate, s);
        first[s] = series->kpi < 0 ? FP_NO_DAY : first_answers(estate, series);
    }
    for (int s = 0; s < count; s++) {
        const struct cx_estate_series *unit = cx_estate_series(estate, s);
        for (int c = 0; unit->kpi < 0 && c < count; c++)
            if (cx_estate_series(estate, c)->unit == unit->unit && first[c] != FP_NO_DAY &&
                (first[s] == FP_NO_DAY || first[c] < first[s]))
                first[s] = first[c];
    }
    return first;
}

enum fp_status fp_watch_write_series(const struct fp_watch_work *work,
                                     const struct fp_found_list *list, struct fp_error *err)
{
    struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    int32_t *first = first_days(estate);
    int count = cx_estate_series_count(estate), place = 0;
    enum fp_status status = delete_series(work, err);
    for (int s = 0; s < count && status == FP_OK;) {
        struct fp_params p;
        fp_params_init(&p, "DHIITTIII");
        for (int rows = 0; s < count && rows < SERIES_ROWS_MAX; s++, rows++) {
            const struct cx_estate_series *series = cx_estate_series(estate, s);
            const char *open = NULL;
            place += series->episodes; /* changes lead the list, series by series */
            if (series->episodes > 0 && list->at[place - 1].alert.closed == FP_NO_DAY)
                open = list->at[place - 1].alert.fingerprint;
            put_series(work, &p, series, first[s], open);
        }
        status = insert_series(work, &p, err);
    }
    free(first);
    return status;
}

/* ---- levels ---------------------------------------------------------------------------------- */

static void put_level(struct fp_params *p, int level, const struct cx_estate_rule *rule, double rho)
{
    const double number[] = {rule->fire,
                             rule->clear,
                             rule->memory.a,
                             rule->memory.phi,
                             rho,
                             rule->expected,
                             rule->per_year};
    put_numbers(&p->at[0], number, 7);
    fp_pg_put_int(&p->at[1], level);
    fp_pg_put_int(&p->at[2], rule->series);
    fp_pg_put_int(&p->at[3], rule->judged);
}

enum fp_status fp_watch_write_levels(const struct fp_watch_work *work, struct fp_error *err)
{
    const struct cx_estate *estate = fp_watch_cells_estate(work->cells);
    bool flat = cx_estate_flat(estate);
    struct cx_estate_rule all = {0};
    struct fp_params p;
    fp_params_init(&p, "DHIL");
    for (int l = 0; l < CX_ESTATE_LEVELS; l++) {
        struct cx_estate_rule rule = cx_estate_rule(estate, (enum cx_estate_level)l);
        if (!flat)
            put_level(&p, l, &rule, l == CX_ESTATE_UNIT ? cx_estate_rho(estate) : NAN);
        if (l == 0)
            all = rule;
        else {
            all.series += rule.series;
            all.per_year += rule.per_year;
            all.expected += rule.expected;
            all.judged += rule.judged;
        }
    }
    if (flat)
        put_level(&p, CX_ESTATE_LEVELS, &all, NAN);
    enum fp_status status = fp_pg_exec(work->pg, "DELETE FROM flightpath.watch_level", NULL, 0,
                                       FP_WATCH_DEADLINE_MS, NULL, err);
    if (status != FP_OK) {
        fp_params_free(&p);
        return status;
    }
    return run(work,
               "INSERT INTO flightpath.watch_level (level, series, judged, fire, clear, a, phi,"
               "  rho, expected, per_year)"
               " SELECT u.level, u.series, u.judged, v[1], v[2], v[3], v[4], v[5], v[6], v[7]"
               " FROM unnest($2, $3, $4) WITH ORDINALITY AS u (level, series, judged, row),"
               " LATERAL (SELECT array_agg(nullif($1[7 * (u.row - 1) + i], 'NaN') ORDER BY i) AS v"
               "  FROM generate_series(1, 7) AS i) AS w",
               &p, err);
}
