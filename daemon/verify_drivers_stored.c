/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The database's side of driver models: states as they are stored, and what driver_log would still
 * change in them. Sides of joins matter only where the log has rows that join. */
#include "daemon/memory.h"
#include "daemon/verify_drivers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_ROWS 200 /* a state can be large */

struct bytes { /* of a bytea, decoded */
    uint8_t *at;
    size_t len, capacity;
};

struct loading {
    struct fp_verify_drivers *d;
    struct bytes bytes;
    struct fp_driver_row row;
    struct fp_moment_row *out; /* with room for every column, or a state */
    size_t capacity;           /* of out, in bytes behind the row */
    int64_t seq;
    bool joins; /* driver_log has a row that joins */
};

static int digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static void decode_hex(struct bytes *bytes, const char *hex)
{
    size_t len = strlen(hex) / 2;
    if (len + 1 > bytes->capacity) {
        bytes->capacity = 2 * len + 64;
        bytes->at = fp_must_realloc(bytes->at, bytes->capacity);
    }
    for (size_t i = 0; i < len; i++)
        bytes->at[i] = (uint8_t)(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
    bytes->len = len;
}

/* Index of a series that is compared, −1: none. */
static int find_series(const struct fp_verify_drivers *d, int64_t series)
{
    for (int i = 0; i < d->count; i++)
        if (d->series[i].ready && d->series[i].series == series)
            return i;
    return -1;
}

/* `row` as what it is on disk, or in the log. */
static void copy_row(struct fp_moment_row *out, const struct fp_driver_row *row)
{
    *out = (struct fp_moment_row){.day = row->day,
                                  .journey = row->journey,
                                  .touchpoint = row->touchpoint,
                                  .unit = row->unit,
                                  .band = row->band,
                                  .people = row->group,
                                  .weight = row->weight,
                                  .count = row->sign,
                                  .stored = 1,
                                  .observed = row->observed,
                                  .does_not_apply = row->does_not_apply,
                                  .time_us = row->time_us};
    memcpy(out->interaction, row->interaction, FP_KEY_LEN);
    memcpy(out->record, row->record, FP_KEY_LEN);
    size_t count = 0;
    for (int i = 0; i < CX_COLUMNS_MAX; i++)
        if (row->observed >> i & 1)
            out->z[count++] = row->z[i];
}

static struct fp_difference *differ(struct fp_verify_drivers *d, int at, const char *what)
{
    struct fp_difference *w = fp_report_differ(d->v->report, FP_CHECK_DRIVERS);
    snprintf(w->key, sizeof w->key, "driver model %.100s: %s", d->series[at].id, what);
    snprintf(w->log, sizeof w->log, "rows of the model");
    snprintf(w->database, sizeof w->database, "bytes that are none");
    return w;
}

/* ---- a query over all series ----------------------------------------------------------------- */

typedef enum fp_status (*taker)(struct loading *l, int at, const struct fp_pg_result *r, int row,
                                struct fp_error *err);

/* The first column is the series, the second bytes in hex. */
static enum fp_status each(struct loading *l, const char *name, const char *sql, taker take,
                           struct fp_error *err)
{
    struct fp_rows rows;
    const struct fp_pg_result *result = NULL;
    int row = 0;
    enum fp_status status = fp_rows_open(&rows, l->d->v->pg, name, sql, err);
    snprintf(rows.fetch, sizeof rows.fetch, "FETCH %d FROM %s", FETCH_ROWS, name);
    while (status == FP_OK && (status = fp_rows_next(&rows, &result, &row, err)) == FP_OK &&
           result) {
        int at = find_series(l->d, fp_pg_int(result, row, 0));
        if (at < 0)
            continue;
        decode_hex(&l->bytes, fp_pg_text(result, row, 1));
        status = take(l, at, result, row, err);
    }
    fp_rows_close(&rows);
    return status;
}

/* ---- states ---------------------------------------------------------------------------------- */

static enum fp_status take_state(struct loading *l, int at, const struct fp_pg_result *r, int row,
                                 struct fp_error *err)
{
    size_t room = (l->bytes.len + 7) / 8 * 8;
    if (room > l->capacity) {
        l->capacity = room * 2;
        l->out = fp_must_realloc(l->out, sizeof *l->out + l->capacity);
    }
    *l->out = (struct fp_moment_row){.kind = FP_MOMENT_STATE,
                                     .size = (uint32_t)(sizeof *l->out + room),
                                     .at = at,
                                     .segment_kind = (int32_t)fp_pg_int(r, row, 2),
                                     .segment = (int32_t)fp_pg_int(r, row, 3),
                                     .day = (int32_t)fp_pg_int(r, row, 4),
                                     .people = (int32_t)fp_pg_int(r, row, 5),
                                     .count = fp_pg_int(r, row, 6),
                                     .stored = 1,
                                     .len = (uint32_t)l->bytes.len};
    memset(l->out->z, 0, room);
    if (l->bytes.len)
        memcpy(l->out->z, l->bytes.at, l->bytes.len);
    return fp_moment_put(l->d, l->out, err);
}

/* ---- the log that is not absorbed ------------------------------------------------------------ */

static enum fp_status put_written(struct loading *l, int at, struct fp_error *err)
{
    copy_row(l->out, &l->row);
    l->out->at = at;
    l->out->seq = l->seq++;
    l->out->kind = l->row.event   ? FP_MOMENT_WRITTEN_EVENT
                   : l->row.joins ? FP_MOMENT_WRITTEN_ROW
                                  : FP_MOMENT_ROW;
    if (l->out->kind == FP_MOMENT_ROW)
        return fp_moment_put(l->d, l->out, err);
    l->joins = true;
    return fp_moment_put_join(l->d, l->out, err);
}

static enum fp_status take_log(struct loading *l, int at, const struct fp_pg_result *r, int row,
                               struct fp_error *err)
{
    const struct fp_moment_series *s = &l->d->series[at];
    enum fp_status status = FP_OK;
    size_t from = 0;
    while (status == FP_OK && fp_driver_get(&s->decode, l->bytes.at, l->bytes.len, &from, &l->row))
        status = put_written(l, at, err);
    if (status == FP_OK && from < l->bytes.len)
        differ(l->d, at, "driver_log");
    (void)r;
    (void)row;
    return status;
}

/* ---- sides of joins -------------------------------------------------------------------------- */

static enum fp_status put_side(struct loading *l, int at, enum fp_moment_kind kind,
                               struct fp_error *err)
{
    size_t from = 0;
    if (!fp_driver_get(&l->d->series[at].decode, l->bytes.at, l->bytes.len, &from, &l->row) ||
        l->row.event != (kind == FP_MOMENT_STORED_EVENT)) {
        differ(l->d, at, kind == FP_MOMENT_STORED_EVENT ? "driver_event" : "driver_waiting");
        return FP_OK;
    }
    copy_row(l->out, &l->row);
    l->out->at = at;
    l->out->kind = kind;
    return fp_moment_put_join(l->d, l->out, err);
}

static enum fp_status take_waiting(struct loading *l, int at, const struct fp_pg_result *r, int row,
                                   struct fp_error *err)
{
    enum fp_status status = put_side(l, at, FP_MOMENT_STORED_ROW, err);
    if (status != FP_OK || fp_pg_is_null(r, row, 2))
        return status;
    decode_hex(&l->bytes, fp_pg_text(r, row, 2));
    return put_side(l, at, FP_MOMENT_STORED_JOINED, err);
}

static enum fp_status take_event(struct loading *l, int at, const struct fp_pg_result *r, int row,
                                 struct fp_error *err)
{
    (void)r;
    (void)row;
    return put_side(l, at, FP_MOMENT_STORED_EVENT, err);
}

enum fp_status fp_moment_load(struct fp_verify_drivers *d, struct fp_error *err)
{
    struct loading l = {.d = d, .capacity = CX_COLUMNS_MAX * sizeof(int64_t)};
    l.out = fp_must_realloc(NULL, sizeof *l.out + l.capacity);
    enum fp_status status =
        each(&l, "driver_states",
             "SELECT series, encode(state, 'hex'), kind, segment, day, people, n"
             " FROM flightpath.driver_state",
             take_state, err);
    if (status == FP_OK)
        status = each(&l, "driver_logs",
                      "SELECT series, encode(rows, 'hex') FROM flightpath.driver_log"
                      " ORDER BY series, seq",
                      take_log, err);
    if (status == FP_OK && l.joins)
        status = each(&l, "driver_waits",
                      "SELECT series, encode(row, 'hex'), encode(joined, 'hex')"
                      " FROM flightpath.driver_waiting",
                      take_waiting, err);
    if (status == FP_OK && l.joins)
        status =
            each(&l, "driver_events",
                 "SELECT series, encode(row, 'hex') FROM flightpath.driver_event", take_event, err);
    free(l.out);
    free(l.bytes.at);
    return status;
}
