/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Grouped rows into flightpath.driver_state: read what is there, merge, write back, in stretches of
 * bounded size. The reading statement adds up the sizes of the states in order of their keys and
 * leaves out those beyond the budget, whose turn comes with the next stretch. Nobody else writes
 * these states: the caller holds the row of the series. */
#include <stdlib.h>

#include "daemon/absorb_parts.h"
#include "daemon/params.h"

#define GROUPS_MAX 2000              /* of a stretch */
#define BYTES_MAX ((int64_t)4 << 20) /* of states read for a stretch */

struct buffer {
    void *at;
    size_t size;
};

struct states { /* one transaction's work */
    struct fp_pg *pg;
    const struct fp_gather *gather;
    struct fp_error *err;
    struct buffer rows, out, work;
    struct fp_params put, gone; /* what a stretch writes and deletes */
};

static void *room(struct buffer *buffer, size_t size)
{
    if (size > buffer->size) {
        free(buffer->at);
        buffer->at = malloc(size);
        if (buffer->at == NULL)
            abort();
        buffer->size = size;
    }
    return buffer->at;
}

static void put_key(struct fp_params *p, const struct fp_group *group)
{
    const int32_t key[] = {group->kind, group->segment, group->day, group->people};
    for (int i = 0; i < 4; i++)
        fp_pg_put_int(&p->at[1 + i], key[i]);
}

static enum fp_status read_states(struct states *s, uint32_t from, uint32_t to,
                                  struct fp_pg_result **result)
{
    struct fp_params p;
    fp_params_init(&p, "iHIIHl");
    fp_pg_put_int(&p.at[0], s->gather->fitting->series);
    for (uint32_t i = from; i < to; i++)
        put_key(&p, &s->gather->groups[i]);
    fp_pg_put_int(&p.at[5], BYTES_MAX);
    enum fp_status status = fp_pg_exec(
        s->pg,
        "SELECT n - 1, CASE WHEN upto - octet_length(state) <= $6"
        "  THEN '\\x' || encode(state, 'hex') END FROM"
        " (SELECT k.n, s.state, sum(octet_length(s.state)) OVER (ORDER BY k.n) AS upto"
        "  FROM unnest($2, $3, $4, $5) WITH ORDINALITY AS k (kind, segment, day, people, n)"
        "  CROSS JOIN LATERAL (SELECT t.state FROM flightpath.driver_state t"
        "   WHERE t.series = $1 AND t.kind = k.kind AND t.segment = k.segment AND t.day = k.day"
        "   AND t.people = k.people OFFSET 0) s) s ORDER BY n",
        p.ref, p.count, FP_ABSORB_DEADLINE_MS, result, s->err);
    fp_params_free(&p);
    return status;
}

static enum fp_status bad_state(struct states *s, const struct fp_group *group,
                                enum cx_state_status why)
{
    bool overflow = why == CX_STATE_OVERFLOW;
    return fp_fail(
        s->err, overflow ? FP_POISON : FP_FATAL,
        overflow ? "driver_state_overflow" : "driver_state_corrupt", "flightpath.driver_state",
        overflow ? "series %d, kind %d, segment %d, day %d: the sums do not fit 128 bits"
                 : "series %d, kind %d, segment %d, day %d: the bytes are damaged; restore"
                   " them",
        s->gather->fitting->series, group->kind, group->segment, group->day);
}

/* The state of one group with its rows, into what the stretch writes. */
static enum fp_status merge_group(struct states *s, const struct fp_group *group,
                                  const uint8_t *old, size_t old_len)
{
    size_t len = 0;
    int columns = s->gather->fitting->columns;
    struct cx_state_merge merge = {.columns = columns,
                                   .old = old,
                                   .old_len = old_len,
                                   .rows = room(&s->rows, group->count * sizeof *merge.rows),
                                   .row_count = group->count};
    fp_gather_rows(s->gather, group, merge.rows);
    merge.out = room(&s->out, cx_state_merge_room(&merge));
    merge.work = room(&s->work, cx_state_merge_work(&merge));
    enum cx_state_status status = cx_state_merge(&merge, &len);
    if (status != CX_STATE_OK)
        return bad_state(s, group, status);
    struct fp_params *to = len ? &s->put : &s->gone;
    put_key(to, group);
    if (len) {
        fp_pg_put_int(&to->at[5], cx_state_rows(merge.out, len, columns));
        fp_pg_put_bytes(&to->at[6], merge.out, len);
    }
    return FP_OK;
}

/* Merges the groups that were read; *to goes back to the first that was left out. */
static enum fp_status merge_stretch(struct states *s, uint32_t from, uint32_t *to,
                                    struct fp_pg_result *result)
{
    int row = 0, rows = fp_pg_rows(result);
    enum fp_status status = FP_OK;
    for (uint32_t i = from; status == FP_OK && i < *to; i++) {
        const uint8_t *old = NULL;
        size_t old_len = 0;
        if (row < rows && fp_pg_int(result, row, 0) == (int64_t)(i - from)) {
            if (fp_pg_is_null(result, row, 1)) {
                *to = i;
                break;
            }
            old = fp_pg_bytes(result, row++, 1, &old_len);
            if (old == NULL || old_len == 0) /* one without bytes is not kept */
                return bad_state(s, &s->gather->groups[i], CX_STATE_CORRUPT);
        }
        status = merge_group(s, &s->gather->groups[i], old, old_len);
    }
    return status;
}

static enum fp_status write_stretch(struct states *s)
{
    enum fp_status status = FP_OK;
    if (s->put.at[1].count)
        status = fp_pg_exec(
            s->pg,
            "INSERT INTO flightpath.driver_state AS t (series, kind, segment, day, people, n,"
            "  state)"
            " SELECT $1, k.* FROM unnest($2, $3, $4, $5, $6, $7)"
            "  AS k (kind, segment, day, people, n, state)"
            " ON CONFLICT (series, kind, segment, day, people)"
            "  DO UPDATE SET n = excluded.n, state = excluded.state",
            s->put.ref, s->put.count, FP_ABSORB_DEADLINE_MS, NULL, s->err);
    if (status == FP_OK && s->gone.at[1].count)
        status = fp_pg_exec(s->pg,
                            "DELETE FROM flightpath.driver_state t"
                            " USING unnest($2, $3, $4, $5) AS k (kind, segment, day, people)"
                            " WHERE t.series = $1 AND t.kind = k.kind AND t.segment = k.segment"
                            "  AND t.day = k.day AND t.people = k.people",
                            s->gone.ref, s->gone.count, FP_ABSORB_DEADLINE_MS, NULL, s->err);
    return status;
}

static enum fp_status absorb_stretch(struct states *s, uint32_t from, uint32_t *to)
{
    struct fp_pg_result *result = NULL;
    fp_params_init(&s->put, "iHIIHLB");
    fp_params_init(&s->gone, "iHIIH");
    fp_pg_put_int(&s->put.at[0], s->gather->fitting->series);
    fp_pg_put_int(&s->gone.at[0], s->gather->fitting->series);
    enum fp_status status = read_states(s, from, *to, &result);
    if (status == FP_OK)
        status = merge_stretch(s, from, to, result);
    fp_pg_result_free(result);
    if (status == FP_OK)
        status = write_stretch(s);
    fp_params_free(&s->put);
    fp_params_free(&s->gone);
    return status;
}

enum fp_status fp_absorb_states(struct fp_pg *pg, const struct fp_gather *gather,
                                struct fp_error *err)
{
    struct states s = {.pg = pg, .gather = gather, .err = err};
    enum fp_status status = FP_OK;
    for (uint32_t from = 0, to; status == FP_OK && from < gather->group_count; from = to) {
        to = gather->group_count - from > GROUPS_MAX ? from + GROUPS_MAX : gather->group_count;
        status = absorb_stretch(&s, from, &to); /* the first state read is always within budget */
    }
    free(s.rows.at);
    free(s.out.at);
    free(s.work.at);
    return status;
}
