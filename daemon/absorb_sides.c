/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two sides of joins in the database: flightpath.driver_waiting and driver_event. */
#include "daemon/absorb_parts.h"
#include "daemon/params.h"

static enum fp_status damaged(const struct fp_joins *joins, const char *table, struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "driver_join_corrupt", table,
                   "series %d: a stored row is none of the model; delete it and what it is about"
                   " in driver_state, or restore it",
                   joins->fitting->series);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum fp_status load(struct fp_pg *pg, struct fp_joins *joins, const char *table,
                           const char *sql, struct fp_params *p, struct fp_error *err)
{
    struct fp_pg_result *result = NULL;
    enum fp_status status =
        fp_pg_exec(pg, sql, p->ref, p->count, FP_ABSORB_DEADLINE_MS, &result, err);
    for (int i = 0; status == FP_OK && i < fp_pg_rows(result); i++) {
        size_t len, joined_len;
        const uint8_t *row = fp_pg_bytes(result, i, 0, &len);
        const uint8_t *joined = fp_pg_bytes(result, i, 1, &joined_len);
        if (!fp_joins_load(joins, row, len, joined, joined_len))
            status = damaged(joins, table, err);
    }
    fp_pg_result_free(result);
    return status;
}

static enum fp_status load_events(struct fp_pg *pg, struct fp_joins *joins, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iB");
    fp_pg_put_int(&p.at[0], joins->fitting->series);
    for (uint32_t i = 0; i < joins->count; i++)
        if (joins->sides[i].is_event)
            fp_pg_put_bytes(&p.at[1], joins->sides[i].interaction, FP_KEY_LEN);
    enum fp_status status =
        load(pg, joins, "flightpath.driver_event",
             "SELECT '\\x' || encode(e.row, 'hex'), NULL FROM unnest($2) AS k (interaction)"
             " CROSS JOIN LATERAL (SELECT t.row FROM flightpath.driver_event t"
             "  WHERE t.series = $1 AND t.interaction = k.interaction OFFSET 0) e",
             &p, err);
    fp_params_free(&p);
    return status;
}

/* Responses that the log is about, and all that wait for the events it has. */
static enum fp_status load_waiting(struct fp_pg *pg, struct fp_joins *joins, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "iBBB");
    fp_pg_put_int(&p.at[0], joins->fitting->series);
    for (uint32_t i = 0; i < joins->count; i++) {
        const struct fp_join_side *s = &joins->sides[i];
        if (s->is_event && s->met) {
            fp_pg_put_bytes(&p.at[1], s->interaction, FP_KEY_LEN);
        } else if (!s->is_event) {
            fp_pg_put_bytes(&p.at[2], s->interaction, FP_KEY_LEN);
            fp_pg_put_bytes(&p.at[3], s->record, FP_KEY_LEN);
        }
    }
    enum fp_status status =
        load(pg, joins, "flightpath.driver_waiting",
             "SELECT '\\x' || encode(w.row, 'hex'), '\\x' || encode(w.joined, 'hex')"
             " FROM unnest($2) AS k (interaction)"
             " CROSS JOIN LATERAL (SELECT t.row, t.joined FROM flightpath.driver_waiting t"
             "  WHERE t.series = $1 AND t.interaction = k.interaction OFFSET 0) w"
             " UNION ALL"
             " SELECT '\\x' || encode(w.row, 'hex'), '\\x' || encode(w.joined, 'hex')"
             " FROM unnest($3, $4) AS k (interaction, response)"
             " CROSS JOIN LATERAL (SELECT t.row, t.joined FROM flightpath.driver_waiting t"
             "  WHERE t.series = $1 AND t.interaction = k.interaction AND t.response = k.response"
             "  OFFSET 0) w",
             &p, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_absorb_load_sides(struct fp_pg *pg, struct fp_joins *joins, struct fp_error *err)
{
    if (joins->count == 0)
        return FP_OK;
    enum fp_status status = load_waiting(pg, joins, err);
    return status == FP_OK ? load_events(pg, joins, err) : status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_text(struct fp_pg_param *param, const struct fp_joins *joins,
                     struct fp_join_text text)
{
    if (text.len)
        fp_pg_put_bytes(param, joins->store.bytes + text.at, text.len);
    else
        fp_pg_put_null(param);
}

static enum fp_status write(struct fp_pg *pg, const char *sql, struct fp_params *p,
                            struct fp_error *err)
{
    if (p->at[1].count == 0)
        return FP_OK;
    return fp_pg_exec(pg, sql, p->ref, p->count, FP_ABSORB_DEADLINE_MS, NULL, err);
}

static enum fp_status save_waiting(struct fp_pg *pg, const struct fp_joins *joins,
                                   struct fp_error *err)
{
    struct fp_params put, gone;
    fp_params_init(&put, "iBBBB");
    fp_params_init(&gone, "iBB");
    fp_pg_put_int(&put.at[0], joins->fitting->series);
    fp_pg_put_int(&gone.at[0], joins->fitting->series);
    for (uint32_t i = 0; i < joins->count; i++) {
        const struct fp_join_side *s = &joins->sides[i];
        if (s->is_event || !s->changed)
            continue;
        struct fp_params *p = s->there ? &put : &gone;
        fp_pg_put_bytes(&p->at[1], s->interaction, FP_KEY_LEN);
        fp_pg_put_bytes(&p->at[2], s->record, FP_KEY_LEN);
        if (s->there) {
            put_text(&put.at[3], joins, s->row);
            put_text(&put.at[4], joins, s->joined);
        }
    }
    enum fp_status status = write(
        pg,
        "INSERT INTO flightpath.driver_waiting (series, interaction, response, row, joined)"
        " SELECT $1, k.* FROM unnest($2, $3, $4, $5) AS k (interaction, response, row, joined)"
        " ON CONFLICT (series, interaction, response)"
        "  DO UPDATE SET row = excluded.row, joined = excluded.joined",
        &put, err);
    if (status == FP_OK)
        status = write(pg,
                       "DELETE FROM flightpath.driver_waiting t"
                       " USING unnest($2, $3) AS k (interaction, response) WHERE t.series = $1"
                       "  AND t.interaction = k.interaction AND t.response = k.response",
                       &gone, err);
    fp_params_free(&put);
    fp_params_free(&gone);
    return status;
}

static enum fp_status save_events(struct fp_pg *pg, const struct fp_joins *joins,
                                  struct fp_error *err)
{
    struct fp_params p;
    struct fp_driver_row row;
    enum fp_status status = FP_OK;
    fp_params_init(&p, "iBZBB");
    fp_pg_put_int(&p.at[0], joins->fitting->series);
    for (uint32_t i = 0; status == FP_OK && i < joins->count; i++) {
        const struct fp_join_side *s = &joins->sides[i];
        if (!s->is_event || !s->changed)
            continue;
        if (!fp_joins_row(joins, s->row, &row))
            status = damaged(joins, "flightpath.driver_event", err);
        fp_pg_put_bytes(&p.at[1], s->interaction, FP_KEY_LEN);
        fp_pg_put_time(&p.at[2], row.time_us);
        fp_pg_put_bytes(&p.at[3], row.record, FP_KEY_LEN);
        put_text(&p.at[4], joins, s->row);
    }
    if (status == FP_OK)
        status =
            write(pg,
                  "INSERT INTO flightpath.driver_event (series, interaction, happened, event, row)"
                  " SELECT $1, k.* FROM unnest($2, $3, $4, $5)"
                  "  AS k (interaction, happened, event, row)"
                  " ON CONFLICT (series, interaction) DO UPDATE SET happened = excluded.happened,"
                  "  event = excluded.event, row = excluded.row, arrived = clock_timestamp()",
                  &p, err);
    fp_params_free(&p);
    return status;
}

enum fp_status fp_absorb_save_sides(struct fp_pg *pg, const struct fp_joins *joins,
                                    struct fp_error *err)
{
    enum fp_status status = save_waiting(pg, joins, err);
    return status == FP_OK ? save_events(pg, joins, err) : status;
}
