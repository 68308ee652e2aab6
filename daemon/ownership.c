/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Claiming is the hand-over: the UPDATE waits on the row lock until any transaction of the previous
 * owner has ended, so what it returns is final. Everything a replica needs is then the position,
 * the anchor and the rejected offsets of the window; the window itself is read from the log again.
 */
#include "daemon/ownership.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/params.h"

#define CALL_MS 10000
#define RECLAIM_MS 5000

int64_t fp_anchor_hash(const struct fp_record *record)
{
    uint64_t h = XXH3_64bits(record->key, record->key ? record->key_len : 0);
    return (int64_t)XXH3_64bits_withSeed(record->value, record->value ? record->len : 0, h);
}

struct fp_part *fp_ownership_find(struct fp_ownership *o, const char *topic, int32_t partition)
{
    for (int i = 0; i < o->count; i++)
        if (o->parts[i].partition == partition && strcmp(o->parts[i].topic, topic) == 0)
            return &o->parts[i];
    return NULL;
}

static struct fp_part *find_or_add(struct fp_ownership *o, const char *topic, int32_t partition)
{
    struct fp_part *part = fp_ownership_find(o, topic, partition);
    if (part)
        return part;
    struct fp_part *more = realloc(o->parts, (size_t)(o->count + 1) * sizeof *more);
    if (more == NULL)
        abort();
    o->parts = more;
    part = &o->parts[o->count++];
    *part = (struct fp_part){.topic = topic, .partition = partition};
    part->health = fp_health_partition(o->health, topic, partition);
    return part;
}

static void set_state(struct fp_part *part, enum fp_part_state state)
{
    part->state = state;
    if (part->health) {
        part->health->owned =
            state == FP_PART_LOADING || state == FP_PART_LIVE || state == FP_PART_HALTED;
        part->health->halted = state == FP_PART_HALTED;
        part->health->next_offset = part->next;
    }
}

static void release(struct fp_part *part, enum fp_part_state state)
{
    fp_window_free(part->window);
    free(part->skip);
    part->window = NULL;
    part->skip = NULL;
    part->skip_count = 0;
    set_state(part, state);
}

void fp_ownership_drop(struct fp_ownership *o, const char *topic, int32_t partition)
{
    struct fp_part *part = fp_ownership_find(o, topic, partition);
    if (part)
        release(part, FP_PART_ABSENT);
}

void fp_ownership_free(struct fp_ownership *o)
{
    for (int i = 0; i < o->count; i++)
        release(&o->parts[i], FP_PART_ABSENT);
    free(o->parts);
}

/* ---- SQL ------------------------------------------------------------------------------------- */

static enum fp_status run(struct fp_ownership *o, const char *sql, struct fp_params *p,
                          struct fp_pg_result **result, struct fp_error *err)
{
    enum fp_status status = o->connect(o->context, err);
    if (status == FP_OK)
        status = fp_pg_exec(*o->pg, sql, p->ref, p->count, CALL_MS, result, err);
    fp_params_free(p);
    return status;
}

static void put_part(struct fp_params *p, const struct fp_part *part)
{
    fp_pg_put_slice(&p->at[0], fp_slice_of(part->topic));
    fp_pg_put_int(&p->at[1], part->partition);
}

static enum fp_status claim_row(struct fp_ownership *o, struct fp_part *part, int64_t low,
                                struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "til");
    put_part(&p, part);
    fp_pg_put_int(&p.at[2], low);
    enum fp_status status =
        run(o,
            "INSERT INTO flightpath.ingest_position (topic, partition, first_offset, next_offset)"
            " VALUES ($1, $2, $3, $3) ON CONFLICT DO NOTHING",
            &p, NULL, err);
    if (status != FP_OK)
        return status;
    fp_params_init(&p, "tiu");
    put_part(&p, part);
    fp_pg_put_bytes(&p.at[2], o->owner, 16);
    FP_POINT("before_claim");
    status = run(o,
                 "UPDATE flightpath.ingest_position SET epoch = epoch + 1, owner = $3, claimed_at ="
                 " clock_timestamp()"
                 " WHERE topic = $1 AND partition = $2"
                 " RETURNING epoch, next_offset, incarnation, anchor_offset, anchor_hash",
                 &p, &r, err);
    FP_POINT("after_claim");
    if (status == FP_OK) {
        part->epoch = fp_pg_int(r, 0, 0);
        part->stored = part->next = fp_pg_int(r, 0, 1);
        part->incarnation = (int32_t)fp_pg_int(r, 0, 2);
        part->anchor_offset = fp_pg_is_null(r, 0, 3) ? -1 : fp_pg_int(r, 0, 3);
        part->anchor_hash = fp_pg_int(r, 0, 4);
    }
    fp_pg_result_free(r);
    return status;
}

/* The last ledger range, to go on with when model and coefficients are the same, and the rejects of
 * the window. */
static enum fp_status load_history(struct fp_ownership *o, struct fp_part *part, int64_t from,
                                   struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "tii");
    put_part(&p, part);
    fp_pg_put_int(&p.at[2], part->incarnation);
    enum fp_status status = run(
        o,
        "SELECT first_offset, model_hash, coefficients FROM flightpath.ledger WHERE topic = $1"
        " AND partition = $2 AND incarnation = $3"
        " ORDER BY first_offset DESC LIMIT 1",
        &p, &r, err);
    part->ledger_first = part->next;
    part->ledger_model[0] = '\0';
    part->ledger_coefficients = 0;
    if (status == FP_OK && fp_pg_rows(r) == 1) {
        part->ledger_first = fp_pg_int(r, 0, 0);
        snprintf(part->ledger_model, sizeof part->ledger_model, "%s", fp_pg_text(r, 0, 1));
        part->ledger_coefficients = fp_pg_int(r, 0, 2);
    }
    fp_pg_result_free(r);
    r = NULL;
    if (status != FP_OK)
        return status;
    fp_params_init(&p, "tiill");
    put_part(&p, part);
    fp_pg_put_int(&p.at[2], part->incarnation);
    fp_pg_put_int(&p.at[3], from);
    fp_pg_put_int(&p.at[4], part->next);
    status = run(o,
                 "SELECT \"offset\" FROM flightpath.reject WHERE topic = $1 AND partition = $2 AND"
                 " incarnation = $3"
                 " AND \"offset\" >= $4 AND \"offset\" < $5 ORDER BY 1",
                 &p, &r, err);
    if (status == FP_OK) {
        free(part->skip);
        part->skip_count = (size_t)fp_pg_rows(r);
        part->skip = calloc(part->skip_count + 1, sizeof *part->skip);
        if (part->skip == NULL)
            abort();
        for (size_t i = 0; i < part->skip_count; i++)
            part->skip[i] = fp_pg_int(r, (int)i, 0);
    }
    fp_pg_result_free(r);
    return status;
}

void fp_ownership_halt(struct fp_ownership *o, struct fp_part *part, const char *why)
{
    struct fp_params p;
    struct fp_error err;
    fp_log(FP_LOG_ERROR, "partition_halted", "%s/%d stands still: %s", part->topic, part->partition,
           why);
    fp_params_init(&p, "tit");
    put_part(&p, part);
    fp_pg_put_slice(&p.at[2], fp_slice_of(why));
    if (run(o,
            "UPDATE flightpath.ingest_position SET halted = $3 WHERE topic = $1 AND partition = $2",
            &p, NULL, &err) != FP_OK)
        fp_log(FP_LOG_WARN, "halt_not_stored", "%s", err.what);
    fp_consumer_hold(o->consumer, part->topic, part->partition);
    release(part, FP_PART_HALTED);
}

/* What the log no longer holds is written down, then passed (on_offset_lost = skip). A position
 * beyond the end means another log under the same name: it starts a new incarnation. */
static enum fp_status pass_gap(struct fp_ownership *o, struct fp_part *part, int64_t low,
                               const char *why, struct fp_error *err)
{
    struct fp_params p;
    bool replaced = part->next > low;
    fp_params_init(&p, "tiltll");
    put_part(&p, part);
    fp_pg_put_int(&p.at[2], low);
    fp_pg_put_slice(&p.at[3], fp_slice_of(why));
    fp_pg_put_int(&p.at[4], part->epoch);
    fp_pg_put_int(&p.at[5], replaced);
    enum fp_status status =
        run(o,
            "WITH old AS (SELECT * FROM flightpath.ingest_position WHERE topic = $1 AND partition ="
            " $2 AND epoch = $5 FOR UPDATE),"
            " gap AS (INSERT INTO flightpath.data_gap (topic, partition, incarnation, from_offset,"
            " to_offset, reason)"
            "   SELECT topic, partition, incarnation, next_offset, $3, $4 FROM old ON CONFLICT DO"
            " NOTHING)"
            " UPDATE flightpath.ingest_position p SET next_offset = $3, incarnation = p.incarnation"
            " + $6::int,"
            " first_offset = CASE WHEN $6 = 1 THEN $3 ELSE p.first_offset END,"
            " anchor_offset = NULL, anchor_hash = NULL, halted = NULL"
            " FROM old WHERE p.topic = old.topic AND p.partition = old.partition",
            &p, NULL, err);
    if (status == FP_OK) {
        fp_log(FP_LOG_WARN, "data_gap", "%s/%d: offsets %" PRId64 " to %" PRId64 " are passed: %s",
               part->topic, part->partition, part->next, low, why);
        part->incarnation += replaced;
        part->stored = part->next = low;
        part->anchor_offset = -1;
    }
    return status;
}

/* ---- claiming -------------------------------------------------------------------------------- */

static int64_t window_start(const struct fp_ownership *o, const struct fp_part *part, int64_t low)
{
    int64_t start = part->next - o->window_size;
    if (part->anchor_offset >= 0 && part->anchor_offset < start)
        start =
            part->anchor_offset; /* however small the window: it proves that this is the same log */
    return start > low ? start : low;
}

/* Fits the position to the log, loads what is needed and says where to read from. */
static enum fp_status prepare(struct fp_ownership *o, struct fp_part *part, int64_t low,
                              int64_t high, int64_t *start, struct fp_error *err)
{
    const char *why = part->next < low ? "the log no longer holds the position (retention)"
                      : part->next > high
                          ? "the log ends before the position (truncated, or made anew)"
                          : NULL;
    enum fp_status status = FP_OK;
    part->end = high;
    if (why && !o->skip_gaps) {
        fp_ownership_halt(o, part, why);
        return FP_OK;
    }
    if (why)
        status = pass_gap(o, part, low, why, err);
    *start = window_start(o, part, low);
    if (status == FP_OK)
        status = load_history(o, part, *start, err);
    if (status != FP_OK)
        return status;
    fp_window_free(part->window);
    part->window = fp_window_new(o->window_size);
    if (part->window == NULL)
        abort();
    set_state(part, *start < part->next ? FP_PART_LOADING : FP_PART_LIVE);
    return FP_OK;
}

static enum fp_status claim_one(struct fp_ownership *o, struct fp_part *part, int64_t *start,
                                struct fp_error *err)
{
    int64_t low = 0, high = 0;
    enum fp_status status = fp_consumer_watermarks(o->consumer, part->topic, part->partition,
                                                   CALL_MS, &low, &high, err);
    if (status == FP_OK)
        status = claim_row(o, part, low, err);
    return status == FP_OK ? prepare(o, part, low, high, start, err) : status;
}

static void assign(struct fp_ownership *o, struct fp_partition *starts, size_t count)
{
    struct fp_error err;
    if (count && fp_consumer_assign(o->consumer, starts, count, &err) != FP_OK) {
        fp_log(FP_LOG_ERROR, "assign_failed", "%s: %s", err.code, err.what);
        for (size_t i = 0; i < count; i++) {
            struct fp_part *part = fp_ownership_find(o, starts[i].topic, starts[i].partition);
            part->fenced_ms = fp_now_ms();
            release(part, FP_PART_FENCED);
        }
    }
}

void fp_ownership_claim(struct fp_ownership *o, const struct fp_partition *partitions, size_t count,
                        int deadline_ms)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    struct fp_partition *starts = calloc(count + 1, sizeof *starts);
    size_t started = 0;
    if (starts == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        struct fp_part *part = find_or_add(o, partitions[i].topic, partitions[i].partition);
        struct fp_error err;
        enum fp_status status;
        int64_t start = 0;
        while ((status = claim_one(o, part, &start, &err)) != FP_OK && fp_now_ms() < deadline) {
            fp_log(FP_LOG_WARN, "claim_retry", "%s/%d: %s: %s", part->topic, part->partition,
                   err.code, err.what);
            nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        }
        if (status != FP_OK) {
            part->fenced_ms = fp_now_ms();
            release(part, FP_PART_FENCED);
        } else if (part->state != FP_PART_HALTED) {
            starts[started++] = (struct fp_partition){part->topic, part->partition, start};
            fp_log(FP_LOG_INFO, "partition_claimed",
                   "%s/%d at offset %" PRId64 ", epoch %" PRId64 ", reading from %" PRId64,
                   part->topic, part->partition, part->next, part->epoch, start);
        }
    }
    assign(o, starts, started);
    free(starts);
}

/* ---- after a dropped batch ------------------------------------------------------------------- */

/* Reads the stored position under its lock; *ours: the epoch has not moved. */
static enum fp_status read_row(struct fp_ownership *o, struct fp_part *part, bool *ours,
                               struct fp_error *err)
{
    struct fp_params p;
    struct fp_pg_result *r = NULL;
    fp_params_init(&p, "ti");
    put_part(&p, part);
    enum fp_status status =
        run(o,
            "SELECT epoch, next_offset, owner, anchor_offset, anchor_hash, incarnation"
            " FROM flightpath.ingest_position WHERE topic = $1 AND partition = $2 FOR UPDATE",
            &p, &r, err);
    *ours = status == FP_OK && fp_pg_rows(r) == 1 && fp_pg_int(r, 0, 0) == part->epoch;
    if (*ours) {
        part->stored = part->next = fp_pg_int(r, 0, 1);
        part->anchor_offset = fp_pg_is_null(r, 0, 3) ? -1 : fp_pg_int(r, 0, 3);
        part->anchor_hash = fp_pg_int(r, 0, 4);
    }
    fp_pg_result_free(r);
    return status;
}

static enum fp_status rewind_one(struct fp_ownership *o, struct fp_part *part, int64_t *start,
                                 struct fp_error *err)
{
    bool ours = false;
    int64_t low = 0, high = 0;
    enum fp_status status = read_row(o, part, &ours, err);
    if (status == FP_OK && !ours)
        return fp_fail(err, FP_FENCED, "fenced", "position",
                       "another replica claimed the partition");
    if (status == FP_OK)
        status = fp_consumer_watermarks(o->consumer, part->topic, part->partition, CALL_MS, &low,
                                        &high, err);
    int64_t end = part->end;
    if (status == FP_OK)
        status = prepare(o, part, low, high, start, err);
    part->end = end; /* what "caught up" means was fixed when the partition was claimed */
    return status;
}

bool fp_ownership_rewind(struct fp_ownership *o)
{
    struct fp_partition *starts = calloc((size_t)o->count + 1, sizeof *starts);
    size_t started = 0;
    enum fp_status status = FP_OK;
    if (starts == NULL)
        abort();
    for (int i = 0; i < o->count && status != FP_RETRY; i++) {
        struct fp_part *part = &o->parts[i];
        struct fp_error err;
        int64_t start = 0;
        if (part->state != FP_PART_LIVE && part->state != FP_PART_LOADING)
            continue;
        status = rewind_one(o, part, &start, &err);
        if (status == FP_RETRY) {
            fp_log(FP_LOG_WARN, "rewind_retry", "%s/%d: %s: %s", part->topic, part->partition,
                   err.code, err.what);
        } else if (status != FP_OK) {
            fp_log(FP_LOG_WARN, "partition_fenced", "%s/%d: %s", part->topic, part->partition,
                   err.what);
            part->fenced_ms = fp_now_ms();
            release(part, FP_PART_FENCED);
        } else if (part->state != FP_PART_HALTED) {
            starts[started++] = (struct fp_partition){part->topic, part->partition, start};
        }
    }
    if (status != FP_RETRY)
        assign(o, starts, started);
    free(starts);
    return status != FP_RETRY;
}

void fp_ownership_retry(struct fp_ownership *o)
{
    for (int i = 0; i < o->count; i++) {
        struct fp_part *part = &o->parts[i];
        if (part->state == FP_PART_FENCED && fp_now_ms() - part->fenced_ms > RECLAIM_MS)
            fp_ownership_claim(o, &(struct fp_partition){part->topic, part->partition, 0}, 1, 0);
    }
}
