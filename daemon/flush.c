/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One attempt to write a batch.
 *
 * A batch without responses is a single flight: compare-and-set, additions, COMMIT, one round trip.
 * With responses there are two in the same transaction: the first moves the positions and locks
 * what is stored of these responses, then settle.c decides in memory, new responses go by COPY
 * (a flight cannot carry one, and they are most of what is written), and the second flight writes
 * the rest and commits. Dead letters are acknowledged by Kafka before the COMMIT that passes them
 * is sent. */
#include "daemon/flush.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dead_letter.h"
#include "daemon/fault.h"
#include "daemon/flush_sql.h"
#include "daemon/scoring_publish.h"

#define MONTHS (25 * 64)

void fp_flush_start(struct fp_flush *flush)
{
    flush->acknowledged = flush->published = flush->repaired = false;
}

/* ---- partitions ------------------------------------------------------------------------------ */

static void put_month(struct fp_pg_param *param, int month)
{
    char text[32];
    int len =
        snprintf(text, sizeof text, "%04d-%02d-01T00:00:00Z", 1970 + month / 12, month % 12 + 1);
    fp_pg_put_bytes(param, text, (size_t)len);
}

static enum fp_status ensure_range(struct fp_flush *f, int from, int to, struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "tt");
    put_month(&p.at[0], from);
    put_month(&p.at[1], to);
    enum fp_status status =
        fp_pg_exec(f->pg,
                   "SELECT flightpath.ensure_partitions(t, $1::timestamptz, $2::timestamptz) FROM"
                   " unnest(ARRAY['response',"
                   " 'invitation', 'case_event', 'reject', 'tally_hour', 'tally_day', 'sketch_day',"
                   " 'coverage_day', 'prediction']) AS t",
                   p.ref, p.count, f->deadline_ms, NULL, err);
    fp_params_free(&p);
    for (int m = from; status == FP_OK && m <= to; m++)
        f->months[m / 64] |= UINT64_C(1) << (m % 64);
    return status;
}

static enum fp_status ensure_months(struct fp_flush *f, const struct fp_batch *batch,
                                    struct fp_error *err)
{
    enum fp_status status = FP_OK;
    for (int m = 0; status == FP_OK && m < MONTHS; m++)
        if ((batch->months[m / 64] & ~f->months[m / 64]) >> (m % 64) & 1)
            status = ensure_range(f, m, m, err);
    return status;
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static enum fp_status send_dead(struct fp_flush *f, const struct fp_rejected *rejected,
                                size_t count, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (count == 0)
        return FP_OK;
    FP_POINT("before_dead_letter");
    for (size_t i = 0; status == FP_OK && i < count; i++)
        status = fp_dead_letter_send(f->dead_letters, f->dead_letters_topic, rejected[i].record,
                                     &rejected[i].why, err);
    if (status == FP_OK)
        status = fp_producer_flush(f->dead_letters, f->deadline_ms, err);
    if (status == FP_OK)
        FP_POINT("after_dead_letter");
    return status;
}

/* ---- what is stored -------------------------------------------------------------------------- */

static bool read_pseudonym(const char *hex, uint8_t out[FP_PSEUDONYM_LEN])
{
    if (strlen(hex) != 2 * FP_PSEUDONYM_LEN)
        return false;
    for (int i = 0; i < FP_PSEUDONYM_LEN; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

/* "1,2,3" → numbers in the batch's arena. */
static int64_t *read_wide(struct fp_batch *batch, const char *text, uint32_t *count)
{
    *count = *text ? 1 : 0;
    for (const char *t = text; *t; t++)
        *count += *t == ',';
    int64_t *values = fp_batch_alloc(batch, (*count + 1) * sizeof *values);
    char *at = (char *)(uintptr_t)text;
    for (uint32_t i = 0; i < *count; i++, at++)
        values[i] = strtoll(at, &at, 10);
    return values;
}

static const int16_t *read_narrow(struct fp_batch *batch, const char *text, uint32_t *count)
{
    int64_t *wide = read_wide(batch, text, count);
    int16_t *narrow = fp_batch_alloc(batch, (*count + 1) * sizeof *narrow);
    for (uint32_t i = 0; i < *count; i++)
        narrow[i] = (int16_t)wide[i];
    return narrow;
}

static struct fp_slice read_text(struct fp_batch *batch, const struct fp_pg_result *result, int row,
                                 int column)
{
    const char *text = fp_pg_text(result, row, column);
    size_t len = strlen(text);
    char *copy = fp_batch_alloc(batch, len + 1);
    memcpy(copy, text, len + 1);
    return (struct fp_slice){copy, (uint32_t)len};
}

/* What the driver models had of it, to be taken away. */
static void read_answers(struct fp_batch *batch, const struct fp_pg_result *result, int row,
                         struct fp_stored *stored)
{
    struct fp_answers *a = &stored->answers;
    stored->fitted = read_wide(batch, fp_pg_text(result, row, 13), &stored->fitted_count);
    if (stored->fitted_count == 0)
        return;
    a->tenure = (int16_t)fp_pg_int(result, row, 14);
    a->interaction = read_text(batch, result, row, 15);
    a->items = read_narrow(batch, fp_pg_text(result, row, 16), &a->score_count);
    a->scores = read_narrow(batch, fp_pg_text(result, row, 17), &a->score_count);
    a->measures = read_narrow(batch, fp_pg_text(result, row, 18), &a->measure_count);
    a->amounts = read_wide(batch, fp_pg_text(result, row, 19), &a->measure_count);
}

static void read_stored(struct fp_settlement *s, struct fp_batch *batch,
                        const struct fp_pg_result *result)
{
    for (int i = 0; i < fp_pg_rows(result); i++) {
        struct fp_stored stored = {.source = (int32_t)fp_pg_int(result, i, 0),
                                   .submitted_us = fp_pg_int(result, i, 2),
                                   .revision = (int32_t)fp_pg_int(result, i, 3),
                                   .status = (enum fp_response_status)fp_pg_int(result, i, 4),
                                   .day = (int32_t)fp_pg_int(result, i, 5),
                                   .audience = (enum fp_audience)fp_pg_int(result, i, 6),
                                   .touchpoint = (int32_t)fp_pg_int(result, i, 7),
                                   .unit = (int32_t)fp_pg_int(result, i, 8),
                                   .channel = (int32_t)fp_pg_int(result, i, 9),
                                   .weight = (int32_t)fp_pg_int(result, i, 10)};
        stored.id = read_text(batch, result, i, 1);
        stored.has_subject = read_pseudonym(fp_pg_text(result, i, 11), stored.subject);
        stored.tallied = read_wide(batch, fp_pg_text(result, i, 12), &stored.tallied_count);
        stored.observed = read_wide(batch, fp_pg_text(result, i, 20), &stored.observed_count);
        read_answers(batch, result, i, &stored);
        fp_settlement_stored(s, &stored);
    }
}

static void read_tombstones(struct fp_settlement *s, const struct fp_pg_result *result)
{
    for (int i = 0; i < fp_pg_rows(result); i++) {
        struct fp_tombstone t = {.before_us = fp_pg_int(result, i, 1)};
        if (read_pseudonym(fp_pg_text(result, i, 0), t.subject))
            fp_settlement_tombstone(s, &t);
    }
}

/* First flight of a batch with rows; afterwards the settlement is complete. */
static enum fp_status look_up(struct fp_flush *f, struct fp_batch *batch, struct fp_queue *q,
                              struct fp_error *err)
{
    struct fp_pg_result *results[8] = {0};
    int first = q->queued;
    enum fp_status status = fp_queue_lookups(q, batch);
    if (status == FP_OK)
        status = fp_pg_flight_run(f->pg, false, f->deadline_ms, results, 8, err);
    if (status == FP_OK) {
        read_stored(&f->settlement, batch, results[first]);
        read_stored(&f->settlement, batch, results[first + 1]);
        read_tombstones(&f->settlement, results[first + 2]);
        fp_settlement_run(&f->settlement, batch);
    }
    for (int i = 0; i < 8; i++)
        fp_pg_result_free(results[i]);
    return status;
}

/* ---- the attempt ----------------------------------------------------------------------------- */

static enum fp_status queue_writes(struct fp_flush *f, struct fp_batch *batch, struct fp_queue *q)
{
    struct fp_settlement *s = &f->settlement;
    enum fp_status status = fp_queue_responses(q, s);
    if (status == FP_OK)
        status = fp_queue_filed(q, batch);
    if (status == FP_OK)
        status = fp_queue_erasures(q, s); /* after what they may erase */
    if (status == FP_OK)
        status = fp_queue_tallies(q, "tally_hour", &batch->hours, f->lane);
    if (status == FP_OK)
        status = fp_queue_tallies(q, "tally_hour", &s->hours, f->lane);
    if (status == FP_OK)
        status = fp_queue_tallies(q, "tally_day", &batch->days, f->lane);
    if (status == FP_OK)
        status = fp_queue_tallies(q, "tally_day", &s->days, f->lane);
    if (status == FP_OK)
        status = fp_queue_sketch(q, &batch->sketch, f->lane);
    if (status == FP_OK)
        status = fp_queue_touched(q, batch, s);
    if (status == FP_OK)
        status = fp_queue_coverage(q, &batch->coverage, f->lane);
    if (status == FP_OK)
        status = fp_queue_coverage(q, &s->coverage, f->lane);
    if (status == FP_OK)
        status = fp_queue_predictions(q, &batch->predictions, &s->predictions, f->lane);
    if (status == FP_OK)
        status = fp_queue_drivers(q, batch, s);
    if (status == FP_OK)
        status = fp_queue_rejects(q, batch, batch->rejected, batch->rejected_count);
    if (status == FP_OK)
        status = fp_queue_rejects(q, batch, s->rejected, s->rejected_count);
    if (status == FP_OK)
        status = fp_queue_ledger(q, batch, s);
    return status;
}

/* For this transaction only. Planner: nested loops over the keys of the batch, whatever the
 * statistics say of a table that grows. Time-outs: a replica that is stopped or cut off holds the
 * positions' locks no longer than its own deadline, so that the next owner can claim them. */
static enum fp_status queue_settings(struct fp_queue *q, int deadline_ms)
{
    struct fp_params p;
    char text[24];
    int len = snprintf(text, sizeof text, "%dms", deadline_ms);
    fp_params_init(&p, "t");
    fp_pg_put_bytes(&p.at[0], text, (size_t)len);
    return fp_queue_add(
        q,
        "SELECT set_config('enable_hashjoin', 'off', true),"
        " set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),"
        " set_config('idle_in_transaction_session_timeout', $1, true),"
        " set_config('tcp_keepalives_idle', '10', true),"
        " set_config('tcp_keepalives_interval', '5', true),"
        " set_config('tcp_keepalives_count', '3', true)",
        &p);
}

static enum fp_status fly(struct fp_flush *f, struct fp_batch *batch, struct fp_error *err)
{
    struct fp_queue q = {.pg = f->pg, .err = err};
    enum fp_status status = fp_pg_flight_begin(f->pg, err);
    if (status == FP_OK)
        status = queue_settings(&q, f->deadline_ms);
    if (status == FP_OK)
        status = fp_queue_positions(&q, batch, f->owner);
    if (status == FP_OK)
        status = fp_queue_lock(&q, batch);
    if (status == FP_OK && batch->row_count) {
        status = look_up(f, batch, &q, err);
        FP_POINT("after_lookup");
        if (status == FP_OK)
            status = send_dead(f, f->settlement.rejected, f->settlement.rejected_count, err);
        if (status == FP_OK)
            status = fp_copy_responses(f->pg, &f->settlement, f->deadline_ms, err);
        FP_POINT("after_copy");
    }
    if (status == FP_OK)
        status = queue_writes(f, batch, &q);
    if (status == FP_OK)
        return fp_pg_flight_run(f->pg, true, f->deadline_ms, NULL, 0, err);
    fp_pg_flight_abandon(f->pg);
    return status;
}

enum fp_status fp_flush_attempt(struct fp_flush *flush, struct fp_batch *batch,
                                struct fp_error *err)
{
    fp_settlement_start(&flush->settlement, batch);
    enum fp_status status = ensure_months(flush, batch, err);
    if (status == FP_OK && !flush->acknowledged) {
        status = send_dead(flush, batch->rejected, batch->rejected_count, err);
        flush->acknowledged = status == FP_OK;
    }
    if (status == FP_OK && !flush->published) {
        status = fp_predictions_send(flush->dead_letters, flush->predictions_topic, batch,
                                     flush->deadline_ms, err);
        flush->published = status == FP_OK;
    }
    if (status == FP_OK)
        status = fly(flush, batch, err);
    if (status == FP_POISON &&
        strcmp(err->code, "23505") == 0) /* another replica was faster: look again */
        status = FP_RETRY;
    /* a partition dropped by retention or by hand: make it again */
    if (status == FP_POISON && !flush->repaired && strcmp(err->code, "23514") == 0 &&
        strstr(err->what, "partition")) {
        memset(flush->months, 0, sizeof flush->months);
        flush->repaired = true;
        status = FP_RETRY;
    }
    return status;
}

enum fp_status fp_flush_outcome(struct fp_flush *flush, const struct fp_batch *batch, bool *known,
                                struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *result = NULL;
    *known = false;
    fp_params_init(&p, "TI");
    for (int i = 0; i < batch->share_count; i++) {
        fp_pg_put_slice(&p.at[0], fp_slice_of(batch->shares[i].topic));
        fp_pg_put_int(&p.at[1], batch->shares[i].partition);
    }
    enum fp_status status = fp_pg_exec(
        flush->pg,
        "SELECT k.n, p.next_offset, p.epoch FROM unnest($1, $2) WITH ORDINALITY AS k(t, p, n)"
        " JOIN flightpath.ingest_position p ON p.topic = k.t AND p.partition = k.p FOR UPDATE OF p",
        p.ref, p.count, flush->deadline_ms, &result, err);
    fp_params_free(&p);
    if (status == FP_OK) {
        int applied = 0, pending = 0, rows = fp_pg_rows(result);
        *known = true;
        for (int i = 0; i < rows; i++) {
            const struct fp_share *share = &batch->shares[fp_pg_int(result, i, 0) - 1];
            applied += fp_pg_int(result, i, 1) == share->next;
            pending += fp_pg_int(result, i, 1) == share->expected &&
                       fp_pg_int(result, i, 2) == share->epoch;
        }
        if (applied == batch->share_count)
            status = FP_OK;
        else if (pending == batch->share_count)
            status = FP_RETRY;
        else
            status = fp_fail(err, FP_FENCED, "fenced", "position",
                             "another replica moved the position meanwhile");
    }
    fp_pg_result_free(result);
    return status;
}
