/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responses that were stored before their series began.
 *
 * They are walked through by (source, id), the order of an index, in steps of bounded work; how far
 * the walk has come is kept with the series. What SQL asks for is a superset of the scope that is
 * cheap to tell; the scope itself is the rule that new responses go by, applied to the names that
 * were stored. The row goes into the log and its mark into `fitted` in one transaction, under the
 * lock of the response: a flush that revises it either waits and then takes away what the mark
 * says, or was first, and then the row is not taken up as it was read. Hazard: locks. A flush holds
 * many responses in an order of its own, so nothing here waits for one: a response that is locked
 * is left for the next call, which starts before it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/absorb_parts.h"
#include "daemon/params.h"

#define SCAN_ROWS 50000 /* looked at in one call */
#define DAY_US INT64_C(86400000000)

struct taking {
    struct fp_pg *pg;
    const struct fp_binding *binding;
    const struct fp_fitting *fitting;
    struct fp_error *err;
    int rows_max, first_day;
    bool again;
    struct fp_pg_result *page; /* candidates, in order */
    struct fp_pg_result *locked;
    struct fp_driver_log log;
    struct fp_params marks; /* of responses taken up */
    int64_t source;         /* the walk: after (source, id) */
    const char *id;
    bool moved, ended;
    int64_t rows;
};

struct stored { /* of one response, what fp_answers points to */
    struct fp_answers answers;
    int16_t items[FP_SCORES_MAX], scores[FP_SCORES_MAX], measures[FP_MEASURES_MAX];
    int64_t amounts[FP_MEASURES_MAX];
    uint8_t subject[FP_PSEUDONYM_LEN];
    struct fp_event event;
};

/* ---- candidates ------------------------------------------------------------------------------ */

static void put_ids(struct fp_pg_param *param, const int8_t *column, int ids)
{
    for (int i = 0; i < ids; i++)
        if (column[i] >= 0)
            fp_pg_put_int(param, i);
}

#define NOT_MARKED "NOT EXISTS (SELECT FROM unnest(r.fitted) AS f WHERE f >> 32 = $1)"

static enum fp_status read_page(struct taking *t)
{
    struct fp_params p;
    fp_params_init(&p, "lzitiiHHii");
    fp_pg_put_int(&p.at[0], t->fitting->series);
    fp_pg_put_time(&p.at[1], (t->first_day - 1) * DAY_US);
    fp_pg_put_int(&p.at[2], t->source);
    fp_pg_put_slice(&p.at[3], fp_slice_of(t->id));
    fp_pg_put_int(&p.at[4], t->first_day);
    fp_pg_put_int(&p.at[5], t->fitting->audience);
    put_ids(&p.at[6], t->fitting->item_column, t->fitting->item_ids);
    put_ids(&p.at[7], t->fitting->measure_column, t->fitting->measure_ids);
    fp_pg_put_int(&p.at[8], SCAN_ROWS);
    fp_pg_put_int(&p.at[9], t->rows_max);
    enum fp_status status = fp_pg_exec(
        t->pg,
        "WITH scan AS MATERIALIZED (SELECT r.source, r.id,"
        "  r.status <> 2 AND r.day >= $5 AND r.audience = $6"
        "  AND (r.items && $7 OR r.measures && $8) AND " NOT_MARKED " AS wanted"
        "  FROM flightpath.response r"
        "  WHERE r.submitted_at >= $2 AND (r.source, r.id) > ($3, $4)"
        "  ORDER BY r.source, r.id LIMIT $9)"
        " SELECT w.source, w.id, last.source, last.id, (SELECT count(*) FROM scan)"
        " FROM (SELECT source, id FROM scan ORDER BY source DESC, id DESC LIMIT 1) last"
        " LEFT JOIN (SELECT source, id FROM scan WHERE wanted ORDER BY source, id LIMIT $10) w"
        " ON true ORDER BY w.source, w.id",
        p.ref, p.count, FP_ABSORB_DEADLINE_MS, &t->page, t->err);
    fp_params_free(&p);
    return status;
}

static bool has_candidates(const struct taking *t)
{
    return fp_pg_rows(t->page) > 0 && !fp_pg_is_null(t->page, 0, 0);
}

/* The candidates nobody else has locked or changed since. */
static enum fp_status lock_page(struct taking *t)
{
    struct fp_params p;
    fp_params_init(&p, "lzIT");
    fp_pg_put_int(&p.at[0], t->fitting->series);
    fp_pg_put_time(&p.at[1], (t->first_day - 1) * DAY_US);
    for (int i = 0; i < fp_pg_rows(t->page); i++) {
        fp_pg_put_int(&p.at[2], fp_pg_int(t->page, i, 0));
        fp_pg_put_slice(&p.at[3], fp_slice_of(fp_pg_text(t->page, i, 1)));
    }
    enum fp_status status = fp_pg_exec(
        t->pg,
        "SELECT k.n - 1, (extract(epoch FROM r.submitted_at) * 1000000)::bigint, r.day,"
        " r.touchpoint, r.unit, r.weight, r.tenure, r.audience, r.subject, r.interaction,"
        " array_to_string(r.items, ','), array_to_string(r.scores, ','),"
        " array_to_string(r.measures, ','), array_to_string(r.amounts, ','),"
        " coalesce(t.name, CASE WHEN r.touchpoint > 0 THEN '__other__' END),"
        " coalesce(j.name, CASE WHEN r.journey > 0 THEN '__other__' END)"
        " FROM unnest($3, $4) WITH ORDINALITY AS k (source, id, n)"
        " JOIN flightpath.response r ON r.source = k.source AND r.id = k.id"
        "  AND r.submitted_at >= $2"
        " LEFT JOIN flightpath.name t ON t.kind = 2 AND t.id = r.touchpoint"
        " LEFT JOIN flightpath.name j ON j.kind = 3 AND j.id = r.journey"
        " WHERE r.status <> 2 AND " NOT_MARKED " ORDER BY k.n FOR UPDATE OF r SKIP LOCKED",
        p.ref, p.count, FP_ABSORB_DEADLINE_MS, &t->locked, t->err);
    fp_params_free(&p);
    return status;
}

/* ---- one response ---------------------------------------------------------------------------- */

static struct fp_slice text_of(const struct fp_pg_result *result, int row, int column)
{
    if (fp_pg_is_null(result, row, column))
        return (struct fp_slice){NULL, 0};
    return fp_slice_of(fp_pg_text(result, row, column));
}

static uint32_t read_narrow(const char *text, int16_t *values, uint32_t max)
{
    uint32_t count = 0;
    char *at = (char *)(uintptr_t)text;
    for (; *at && count < max; at += *at == ',')
        values[count++] = (int16_t)strtol(at, &at, 10);
    return count;
}

static uint32_t read_wide(const char *text, int64_t *values, uint32_t max)
{
    uint32_t count = 0;
    char *at = (char *)(uintptr_t)text;
    for (; *at && count < max; at += *at == ',')
        values[count++] = strtoll(at, &at, 10);
    return count;
}

static void read_stored(struct taking *t, int row, struct stored *s)
{
    struct fp_pg_result *r = t->locked;
    int page = (int)fp_pg_int(r, row, 0);
    size_t len;
    const uint8_t *subject = fp_pg_bytes(r, row, 8, &len);
    struct fp_answers *a = &s->answers;
    *a = (struct fp_answers){.day = (int32_t)fp_pg_int(r, row, 2),
                             .unit = (int32_t)fp_pg_int(r, row, 4),
                             .touchpoint = (int32_t)fp_pg_int(r, row, 3),
                             .tenure = (int16_t)fp_pg_int(r, row, 6),
                             .weight = (int32_t)fp_pg_int(r, row, 5),
                             .time_us = fp_pg_int(r, row, 1),
                             .source = (int32_t)fp_pg_int(t->page, page, 0),
                             .id = text_of(t->page, page, 1),
                             .interaction = text_of(r, row, 9),
                             .has_subject = subject && len == FP_PSEUDONYM_LEN,
                             .subject = subject,
                             .items = s->items,
                             .scores = s->scores,
                             .measures = s->measures,
                             .amounts = s->amounts};
    a->score_count = read_narrow(fp_pg_text(r, row, 10), s->items, FP_SCORES_MAX);
    (void)read_narrow(fp_pg_text(r, row, 11), s->scores, FP_SCORES_MAX);
    a->measure_count = read_narrow(fp_pg_text(r, row, 12), s->measures, FP_MEASURES_MAX);
    (void)read_wide(fp_pg_text(r, row, 13), s->amounts, FP_MEASURES_MAX);
    s->event = (struct fp_event){.type = FP_EVENT_RESPONSE,
                                 .audience = (enum fp_audience)fp_pg_int(r, row, 7),
                                 .tenure_months = (int32_t)a->tenure,
                                 .touchpoint = text_of(r, row, 14),
                                 .journey = text_of(r, row, 15)};
}

/* The fact as far as its scope goes: where, and which items. */
static void resolve(const struct taking *t, const struct stored *s, struct fp_fact *fact)
{
    const struct fp_model *model = t->binding->model;
    fact->event = &s->event;
    fact->place = fp_model_place(model, &s->event);
    fact->score_count = 0;
    for (uint32_t i = 0; i < s->answers.score_count; i++)
        for (int k = 0; k < model->item_count; k++)
            if (t->binding->items[k] == s->items[i])
                fact->items[fact->score_count++] = (int16_t)k;
}

static void take_up(struct taking *t, int row)
{
    struct stored s;
    struct fp_fact fact;
    struct fp_driver_row out;
    read_stored(t, row, &s);
    resolve(t, &s, &fact);
    int32_t journey =
        fact.place.journey == FP_NONE ? FP_ID_ABSENT : t->binding->journeys[fact.place.journey];
    if (!fp_fitting_covers(t->binding->model, t->fitting, &fact) ||
        !fp_fitting_project(t->fitting, &s.answers, journey, &out))
        return;
    fp_driver_put(&t->log, t->fitting, &out);
    fp_pg_put_int(&t->marks.at[0], s.answers.source);
    fp_pg_put_slice(&t->marks.at[1], s.answers.id);
    fp_pg_put_time(&t->marks.at[2], s.answers.time_us);
    fp_pg_put_int(&t->marks.at[3], fp_fitted_pack(t->fitting->series, journey));
    t->rows++;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void move_to(struct taking *t, int row, int column)
{
    t->source = fp_pg_int(t->page, row, column);
    t->id = fp_pg_text(t->page, row, column + 1);
    t->moved = true;
}

/* Takes up what was locked. The walk stops before the first candidate that was not. */
static void walk(struct taking *t)
{
    int candidates = has_candidates(t) ? fp_pg_rows(t->page) : 0, row = 0;
    bool missed = false;
    for (int i = 0; i < candidates; i++) {
        if (row < fp_pg_rows(t->locked) && fp_pg_int(t->locked, row, 0) == i)
            take_up(t, row++);
        else
            missed = true;
        if (!missed)
            move_to(t, i, 0);
    }
    if (missed || candidates == t->rows_max)
        return;
    t->ended = fp_pg_rows(t->page) == 0 || fp_pg_int(t->page, 0, 4) < SCAN_ROWS;
    if (!t->ended)
        move_to(t, 0, 2);
}

static enum fp_status write_log(struct taking *t)
{
    struct fp_params p;
    fp_params_init(&p, "ib");
    fp_pg_put_int(&p.at[0], t->fitting->series);
    fp_pg_put_bytes(&p.at[1], t->log.bytes, t->log.len);
    enum fp_status status =
        fp_pg_exec(t->pg, "INSERT INTO flightpath.driver_log (series, rows) VALUES ($1, $2)", p.ref,
                   p.count, FP_ABSORB_DEADLINE_MS, NULL, t->err);
    fp_params_free(&p);
    return status;
}

/* Marks of series that are no more go: there is room for those of one model. */
static enum fp_status write_marks(struct taking *t)
{
    return fp_pg_exec(
        t->pg,
        "UPDATE flightpath.response r SET fitted = k.fitted || ARRAY(SELECT f"
        "  FROM unnest(r.fitted) AS f JOIN flightpath.driver_series s ON s.series = f >> 32"
        "  WHERE s.current)"
        " FROM unnest($1, $2, $3, $4) AS k (source, id, submitted_at, fitted)"
        " WHERE r.source = k.source AND r.id = k.id AND r.submitted_at = k.submitted_at",
        t->marks.ref, t->marks.count, FP_ABSORB_DEADLINE_MS, NULL, t->err);
}

static enum fp_status write_walk(struct taking *t)
{
    struct fp_params p;
    fp_params_init(&p, "iito");
    fp_pg_put_int(&p.at[0], t->fitting->series);
    fp_pg_put_int(&p.at[1], t->ended ? -1 : t->source);
    fp_pg_put_slice(&p.at[2], fp_slice_of(t->ended ? "" : t->id));
    fp_pg_put_int(&p.at[3], t->ended);
    enum fp_status status =
        fp_pg_exec(t->pg,
                   "UPDATE flightpath.driver_series SET scan_source = $2, scan_id = $3, taken_up ="
                   "  CASE WHEN $4 THEN coalesce(taken_up, clock_timestamp()) ELSE taken_up END"
                   " WHERE series = $1",
                   p.ref, p.count, FP_ABSORB_DEADLINE_MS, NULL, t->err);
    fp_params_free(&p);
    return status;
}

static enum fp_status take_page(struct taking *t, const struct fp_pg_result *series)
{
    bool taken_up = *fp_pg_text(series, 0, 2) == 't', from_start;
    t->source = fp_pg_int(series, 0, 0);
    t->id = fp_pg_text(series, 0, 1);
    t->first_day = (int)fp_pg_int(series, 0, 3);
    from_start = t->source < 0;
    t->ended = taken_up && from_start && !t->again;
    if (t->ended)
        return FP_OK;
    enum fp_status status = read_page(t);
    if (status == FP_OK && has_candidates(t))
        status = lock_page(t);
    if (status != FP_OK)
        return status;
    walk(t);
    if (t->rows)
        status = write_log(t);
    if (status == FP_OK && t->rows)
        status = write_marks(t);
    /* a walk that has nothing to say writes nothing */
    if (status == FP_OK && (t->moved || t->ended) && !(t->ended && taken_up && from_start))
        status = write_walk(t);
    return status;
}

static void free_taking(struct taking *t)
{
    fp_pg_result_free(t->page);
    fp_pg_result_free(t->locked);
    fp_params_free(&t->marks);
    free(t->log.bytes);
}

enum fp_status fp_absorb_stored(struct fp_pg *pg, const struct fp_binding *binding,
                                int driver_model, const struct fp_take_up *how,
                                struct fp_absorbed *done, struct fp_error *err)
{
    static const char *const audiences[] = {"customer", "employee", "internal"};
    struct taking t = {.pg = pg,
                       .binding = binding,
                       .fitting = &binding->fittings[driver_model],
                       .err = err,
                       .rows_max = how->rows_max,
                       .again = how->again};
    struct fp_series_hold hold;
    char columns[256];
    *done = (struct fp_absorbed){0};
    snprintf(columns, sizeof columns,
             "scan_source, scan_id, taken_up IS NOT NULL, coalesce((SELECT max(bucket) FROM"
             " flightpath.coverage_day WHERE %s > 0), 1) - window_days",
             audiences[t.fitting->audience]);
    enum fp_status status = fp_series_lock(pg, t.fitting->series, columns, &hold, err);
    done->more = done->locked = hold.elsewhere;
    if (hold.held) {
        fp_params_init(&t.marks, "ITZL");
        status = fp_series_end(pg, take_page(&t, hold.row), err);
        done->rows = status == FP_OK ? t.rows : 0;
        done->more = status == FP_OK && !t.ended;
        free_taking(&t);
    }
    fp_pg_result_free(hold.row);
    return status;
}
