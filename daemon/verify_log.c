/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log, partition by partition, from where counting began to the snapshot's position.
 *
 * Each record is decoded and resolved under the model of its ledger range. Events are set aside in
 * chunks until their repetitions are known (verify_repeat.h), then their contributions are added
 * up; responses and erasures are put away whole, since what they contribute is known at the end
 * only. Rejects are compared on the way: the table's come in the same order as the log's. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/batch.h" /* enum fp_count and the columns of coverage only */
#include "daemon/clock.h"
#include "daemon/verify.h"
#include "daemon/verify_drivers.h"
#include "daemon/verify_predictions.h"
#include "daemon/verify_repeat.h"

#define STALL_MS 60000
#define ENTRIES_MAX 2000000u
#define PROGRESS_MS 200

enum table { HOURS, DAYS, SKETCH, COVERAGE, PREDICTED, TABLES };

struct entry {
    enum table table;
    struct fp_sum_entry sum;
};

struct waiting { /* an event whose repetition is not known yet */
    int range;
    size_t entries; /* where its contributions end */
};

struct reading {
    struct fp_verify *v;
    struct fp_verify_part *part;
    int part_index, range;
    struct fp_decoder *decoder;
    struct fp_event *event;
    struct fp_fact *fact;
    struct fp_repeat *repeat;
    struct waiting *waiting;
    struct entry *entries;
    size_t entry_count, entry_capacity;
    struct fp_rows rejects; /* of the table, in order of partition and offset */
    const struct fp_pg_result *reject;
    int reject_at;
    int64_t expected, started_ms, told_ms; /* for progress */
};

/* ---- events ---------------------------------------------------------------------------------- */

static void set_aside(struct reading *r, enum table table, const struct fp_sum_entry *sum)
{
    if (r->entry_count == r->entry_capacity) {
        r->entry_capacity = r->entry_capacity ? r->entry_capacity * 2 : 4096;
        r->entries = realloc(r->entries, r->entry_capacity * sizeof *r->entries);
        if (r->entries == NULL)
            abort();
    }
    r->entries[r->entry_count++] = (struct entry){table, *sum};
}

/* The chunk's events that are no repetition count. */
static void judge(struct reading *r)
{
    struct fp_sum *const sums[TABLES] = {&r->v->hours, &r->v->days, &r->v->sketch, &r->v->coverage,
                                         &r->v->predicted};
    size_t count = r->repeat->count, from = 0;
    fp_repeat_judge(r->repeat);
    for (size_t i = 0; i < count; i++) {
        bool repeated = r->repeat->repeated[i];
        r->v->ranges[r->waiting[i].range].count[repeated ? FP_DUPLICATE : FP_APPLIED]++;
        for (; from < r->waiting[i].entries; from++)
            if (!repeated)
                fp_sum_add(sums[r->entries[from].table], &r->entries[from].sum);
    }
    fp_verify_drivers_judge(r->v->drivers, r->repeat->repeated);
    r->entry_count = 0;
}

static void cover(struct reading *r, int32_t touchpoint, int column)
{
    set_aside(r, COVERAGE, &(struct fp_sum_entry){{touchpoint, r->fact->day}, column, 0, 1, 0});
}

static void set_prediction_aside(void *context, const struct fp_sum_entry *entry)
{
    set_aside(context, PREDICTED, entry);
}

/* Of an event or an invitation. */
static void take_contributions(struct reading *r, const struct fp_row_ids *ids)
{
    const struct fp_fact *f = r->fact;
    for (int i = 0; i < f->contribution_count; i++) {
        const struct fp_contribution *c = &f->contributions[i];
        struct fp_sum_entry e = {{ids->series[c->kpi], f->day, ids->unit, ids->channel},
                                 c->adds == FP_ADDS_PAIR ? FP_SUM_PAIR : FP_SUM_NO_BIN,
                                 c->y,
                                 1,
                                 c->per};
        set_aside(r, DAYS, &e);
        if (c->sketch >= 0) {
            struct fp_sum_entry bin = {
                {ids->series[c->kpi], f->day, ids->unit, ids->channel, c->sketch}, 0, 0, 1, 0};
            set_aside(r, SKETCH, &bin);
        }
        e.key[1] = f->hour;
        if (ids->model->kpis[c->kpi].grain == FP_GRAIN_HOUR)
            set_aside(r, HOURS, &e);
    }
}

static void take_touchpoint(struct reading *r, const struct fp_row_ids *ids)
{
    const struct fp_fact *f = r->fact;
    cover(r, ids->touchpoint, FP_COVER_EVENTS);
    if (f->event->outcome == FP_OUTCOME_FAILED)
        cover(r, ids->touchpoint, FP_COVER_FAILED);
    else if (f->event->outcome == FP_OUTCOME_ABANDONED)
        cover(r, ids->touchpoint, FP_COVER_ABANDONED);
    else if (f->event->outcome == FP_OUTCOME_RECOVERED)
        cover(r, ids->touchpoint, FP_COVER_RECOVERED);
    take_contributions(r, ids);
    fp_verify_predict(r->v, r->range, f, ids->unit, set_prediction_aside, r);
    fp_verify_drivers_event(r->v->drivers, r->v->ranges[r->range].model, f,
                            (uint32_t)r->repeat->count);
}

static void take_invitation(struct reading *r, const struct fp_row_ids *ids)
{
    cover(r, ids->touchpoint, FP_COVER_INVITED);
    take_contributions(r, ids);
}

static void take_event(struct reading *r, const struct fp_row_ids *ids, int64_t offset)
{
    const struct fp_event *e = r->event;
    if (e->type == FP_EVENT_TOUCHPOINT)
        take_touchpoint(r, ids);
    else if (e->type == FP_EVENT_INVITATION)
        take_invitation(r, ids);
    r->waiting[r->repeat->count] = (struct waiting){r->range, r->entry_count};
    fp_repeat_add(r->repeat, e->source, e->id, offset);
    if (r->repeat->count == FP_REPEAT_CHUNK || r->entry_count > ENTRIES_MAX)
        judge(r);
}

/* ---- responses and erasures ------------------------------------------------------------------ */

static bool is_old(const struct reading *r, const struct fp_record *record)
{
    return record->timestamp_ms > 0 && record->timestamp_ms * 1000 < r->v->reject_floor_us;
}

static enum fp_status take_response(struct reading *r, const struct fp_row_ids *ids,
                                    const struct fp_record *record, struct fp_error *err)
{
    struct fp_verify_row row;
    fp_row_of_fact(&row, r->v->scratch, r->fact, ids);
    row.part = r->part_index;
    row.range = r->range;
    row.observed_by = fp_verify_observed_by(r->v, r->range, r->fact);
    fp_verify_drivers_fit(r->v->drivers, r->v->ranges[r->range].model, r->fact, &row,
                          r->v->scratch);
    row.offset = record->offset;
    row.old = is_old(r, record);
    row.has_pseudonym = fp_subject_pseudonym(r->v->key, r->event->subject, row.pseudonym);
    return fp_row_put(&r->v->spill, &row, r->v->scratch, err);
}

static void take_erasure(struct reading *r, int64_t offset)
{
    struct fp_verify *v = r->v;
    if (v->erasure_count == v->erasure_capacity) {
        v->erasure_capacity = v->erasure_capacity ? v->erasure_capacity * 2 : 64;
        v->erasures = realloc(v->erasures, v->erasure_capacity * sizeof *v->erasures);
        if (v->erasures == NULL)
            abort();
    }
    struct fp_verify_erasure *e = &v->erasures[v->erasure_count++];
    *e = (struct fp_verify_erasure){
        .forget = {.before_us = r->fact->time_us, .offset = offset, .part = r->part_index}};
    fp_hash_text(r->event->erase_subject, e->forget.subject);
    e->has_pseudonym = fp_subject_pseudonym(v->key, r->event->erase_subject, e->pseudonym);
    v->ranges[r->range].count[FP_APPLIED]++;
}

/* ---- rejects --------------------------------------------------------------------------------- */

static enum fp_status next_reject(struct reading *r, struct fp_error *err)
{
    return fp_rows_next(&r->rejects, &r->reject, &r->reject_at, err);
}

/* Negative: the table's next reject lies before this place; above zero: behind, or there is none.
 */
static int reject_order(const struct reading *r, int part, int64_t offset)
{
    if (r->reject == NULL)
        return 1;
    int64_t its_part = fp_pg_int(r->reject, r->reject_at, 0);
    int64_t its_offset = fp_pg_int(r->reject, r->reject_at, 1);
    if (its_part != part)
        return its_part < part ? -1 : 1;
    return (its_offset > offset) - (its_offset < offset);
}

static void differ_reject(struct reading *r, int part, int64_t offset, const char *log,
                          const char *stored)
{
    struct fp_difference *d = fp_report_differ(r->v->report, FP_CHECK_REJECTS);
    snprintf(d->key, sizeof d->key, "%s/%d offset %" PRId64, r->v->parts[part].topic,
             r->v->parts[part].partition, offset);
    snprintf(d->log, sizeof d->log, "%s", log);
    snprintf(d->database, sizeof d->database, "%s", stored);
}

/* Rejects of the table that no record of the log has answered to. */
static enum fp_status pass_rejects(struct reading *r, int part, int64_t offset,
                                   struct fp_error *err)
{
    enum fp_status status = FP_OK;
    while (status == FP_OK && reject_order(r, part, offset) < 0) {
        int its_part = (int)fp_pg_int(r->reject, r->reject_at, 0);
        int64_t its_offset = fp_pg_int(r->reject, r->reject_at, 1);
        /* what the log no longer holds, or holds no more (compacted), cannot be judged */
        if (its_offset >= r->v->parts[its_part].start)
            differ_reject(r, its_part, its_offset, "no such record, or told already",
                          fp_pg_text(r->reject, r->reject_at, 2));
        status = next_reject(r, err);
    }
    return status;
}

/* The reason under which the table has this record, or NULL; the cursor moves past it. `reason` is
 * the caller's copy. */
static enum fp_status stored_reason(struct reading *r, int64_t offset, char reason[64],
                                    struct fp_error *err)
{
    enum fp_status status = pass_rejects(r, r->part_index, offset, err);
    reason[0] = '\0';
    if (status != FP_OK || reject_order(r, r->part_index, offset) != 0)
        return status;
    snprintf(reason, 64, "%s", fp_pg_text(r->reject, r->reject_at, 2));
    return next_reject(r, err);
}

static void compare_reject(struct reading *r, const struct fp_record *record, const char *log,
                           const char *stored)
{
    if (strcmp(log, stored) == 0) {
        r->v->report->check[FP_CHECK_REJECTS].compared += *log != '\0';
    } else if (*log == '\0' && strcmp(stored, "submitted_at_changed") == 0) {
        fp_verify_place_add(&r->v->stored_changed, r->part_index, record->offset);
    } else if (!is_old(r, record)) {
        differ_reject(r, r->part_index, record->offset, *log ? log : "not rejected",
                      *stored ? stored : "not there");
    }
}

/* ---- one record ------------------------------------------------------------------------------ */

/* Two reasons are the daemon's own and not in the record: taken from the table. */
static enum fp_status understand(struct reading *r, const struct fp_record *record,
                                 const char *stored, struct fp_error *why)
{
    const struct fp_model *model = r->v->models[r->v->ranges[r->range].model].model;
    if (strcmp(stored, "poison") == 0)
        return fp_fail(why, FP_REJECT, "poison", "", "PostgreSQL refused it");
    enum fp_status status = fp_decode(r->decoder, record, r->event, why);
    if (status != FP_OK || r->event->type == FP_EVENT_FOREIGN)
        return status;
    if (r->event->type == FP_EVENT_ERASURE && strcmp(stored, "no_subject_key") == 0)
        return fp_fail(why, FP_REJECT, "no_subject_key", "", "the daemon had no key");
    return fp_resolve(model, r->event, record->timestamp_ms, r->fact, why);
}

static struct fp_row_ids ids_of(const struct reading *r)
{
    const struct fp_verify_model *m = &r->v->models[r->v->ranges[r->range].model];
    const struct fp_verify_names *n = r->v->names;
    const struct fp_event *e = r->event;
    return (struct fp_row_ids){.source = fp_verify_names_id(n, FP_KIND_SOURCE, e->source),
                               .survey = fp_verify_names_id(n, FP_KIND_SURVEY, e->survey),
                               .journey = fp_verify_names_id(n, FP_KIND_JOURNEY, e->journey),
                               .touchpoint =
                                   fp_verify_names_id(n, FP_KIND_TOUCHPOINT, e->touchpoint),
                               .unit = fp_verify_names_id(n, FP_KIND_UNIT, e->unit),
                               .channel = fp_verify_names_id(n, FP_KIND_CHANNEL, e->channel),
                               .series = m->series,
                               .items = m->items,
                               .measures = m->measures,
                               .model = m->model};
}

/* The ledger's range that holds the offset; of a ledger with holes the one before. */
static void find_range(struct reading *r, int64_t offset)
{
    int last = r->part->range_first + r->part->range_count - 1;
    while (r->range < last && r->v->ranges[r->range + 1].first <= offset)
        r->range++;
}

static bool is_gap(const struct reading *r, int64_t offset)
{
    for (int i = 0; i < r->v->gap_count; i++)
        if (r->v->gaps[i].part == r->part_index && r->v->gaps[i].from <= offset &&
            offset < r->v->gaps[i].to)
            return true;
    return false;
}

/* The record before the position must be the one that was applied: else this is another log. */
static void check_anchor(struct reading *r, const struct fp_record *record)
{
    if (!r->part->has_anchor || record->offset != r->part->anchor_offset)
        return;
    uint64_t key = XXH3_64bits(record->key, record->key ? record->key_len : 0);
    uint64_t both = XXH3_64bits_withSeed(record->value, record->value ? record->len : 0, key);
    if ((int64_t)both == r->part->anchor_hash)
        return;
    struct fp_difference *d = fp_report_differ(r->v->report, FP_CHECK_LEDGER);
    snprintf(d->key, sizeof d->key, "%s/%d offset %" PRId64 ": hash of the record", r->part->topic,
             r->part->partition, record->offset);
    snprintf(d->log, sizeof d->log, "%" PRId64 " (the log was replaced?)", (int64_t)both);
    snprintf(d->database, sizeof d->database, "%" PRId64, r->part->anchor_hash);
}

static enum fp_status take(struct reading *r, const struct fp_record *record, struct fp_error *err)
{
    struct fp_error why = {.code = ""};
    char stored[64];
    if (is_gap(r, record->offset))
        return FP_OK;
    find_range(r, record->offset);
    check_anchor(r, record);
    r->v->ranges[r->range].consumed++;
    r->v->report->messages++;
    enum fp_status status = stored_reason(r, record->offset, stored, err);
    if (status != FP_OK)
        return status;
    status = understand(r, record, stored, &why);
    compare_reject(r, record, status == FP_OK ? "" : why.code, stored);
    if (status != FP_OK) {
        r->v->ranges[r->range].count[FP_REJECTED]++;
        return FP_OK;
    }
    if (r->event->type == FP_EVENT_FOREIGN) {
        r->v->ranges[r->range].count[FP_IGNORED]++;
        return FP_OK;
    }
    struct fp_row_ids ids = ids_of(r);
    if (r->event->type == FP_EVENT_RESPONSE)
        return take_response(r, &ids, record, err);
    if (r->event->type == FP_EVENT_ERASURE)
        take_erasure(r, record->offset);
    else
        take_event(r, &ids, record->offset);
    return FP_OK;
}

/* ---- one partition --------------------------------------------------------------------------- */

static void tell(struct reading *r, bool last)
{
    int64_t now = fp_now_ms(), ms = now - r->started_ms;
    if (!r->v->progress || (!last && now - r->told_ms < PROGRESS_MS))
        return;
    r->told_ms = now;
    fprintf(stderr, "\rverify: %" PRId64 " of %" PRId64 " records, %" PRId64 " a second%s",
            r->v->report->messages, r->expected, r->v->report->messages * 1000 / (ms ? ms : 1),
            last ? "\n" : "    ");
}

/* Where reading begins, and whether that is where counting began. */
static enum fp_status find_start(struct reading *r, struct fp_verify_part *part,
                                 struct fp_error *err)
{
    int64_t low = 0, high = 0;
    enum fp_status status =
        fp_reader_watermarks(r->v->reader, part->topic, part->partition, &low, &high, err);
    bool gone = status != FP_OK && strstr(err->code, "UNKNOWN") != NULL;
    if (part->first == part->next || (status != FP_OK && !gone))
        return status;
    if (gone) {
        fp_report_note(r->v->report, "%s/%d: Kafka has no such partition any more", part->topic,
                       part->partition);
        r->v->whole = false;
        part->start = part->next;
    } else if (high < part->next) {
        fp_report_note(r->v->report,
                       "%s/%d: the log ends at %" PRId64 ", the position is %" PRId64
                       ": it was truncated or made anew",
                       part->topic, part->partition, high, part->next);
        r->v->whole = false;
        part->start = part->next;
    } else if (low > part->first) {
        fp_report_note(r->v->report,
                       "%s/%d: the log begins at %" PRId64 ", counting began at %" PRId64
                       " (retention)",
                       part->topic, part->partition, low, part->first);
        r->v->whole = false;
        part->start = low < part->next ? low : part->next;
    }
    r->expected += part->next - part->start;
    return FP_OK;
}

/* Until the position is reached. Offsets are not dense: control records and compaction leave holes,
 * so the end is a record at or behind the position, or the end of the log. */
static enum fp_status read_records(struct reading *r, struct fp_error *err)
{
    struct fp_record record;
    struct fp_error why = {.code = ""};
    int64_t heard = fp_now_ms();
    enum fp_status status = FP_OK;
    for (;;) {
        enum fp_poll_result result = fp_reader_next(r->v->reader, 500, &record, &why);
        bool ours = result != FP_POLL_NOTHING && result != FP_POLL_ERROR &&
                    record.partition == r->part->partition &&
                    strcmp(record.topic, r->part->topic) == 0;
        if (ours && (result == FP_POLL_RECORD || result == FP_POLL_END)) {
            heard = fp_now_ms();
            if (record.offset >= r->part->next)
                return FP_OK;
            if (result == FP_POLL_END)
                return fp_fail(err, FP_FATAL, "log_cut", r->part->topic,
                               "the log was cut while it was read: try again");
            if ((status = take(r, &record, err)) != FP_OK)
                return status;
            if (record.offset + 1 >= r->part->next)
                return FP_OK;
            tell(r, false);
        } else if (result == FP_POLL_OFFSET_LOST || result == FP_POLL_FATAL) {
            return fp_fail(err, FP_FATAL, why.code, r->part->topic,
                           "the log was cut while it was read (%s): try again", why.what);
        } else if (fp_now_ms() - heard > STALL_MS) {
            return fp_fail(err, FP_FATAL, "no_answer", r->part->topic,
                           "Kafka sent nothing for %d s%s%s", STALL_MS / 1000,
                           why.code[0] ? ": " : "", why.what);
        }
    }
}

static enum fp_status read_part(struct reading *r, int index, struct fp_error *err)
{
    struct fp_verify_part *part = &r->v->parts[index];
    r->part = part;
    r->part_index = index;
    r->range = part->range_first;
    if (part->start >= part->next)
        return FP_OK;
    enum fp_status status =
        fp_reader_start(r->v->reader, part->topic, part->partition, part->start, err);
    if (status == FP_OK)
        status = read_records(r, err);
    fp_reader_stop(r->v->reader);
    judge(r);
    fp_repeat_clear(r->repeat);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum fp_status open_rejects(struct reading *r, struct fp_error *err)
{
    char sql[700];
    snprintf(sql, sizeof sql,
             "SELECT p.part, r.\"offset\", r.reason FROM flightpath.reject r JOIN (SELECT topic,"
             " partition, incarnation, row_number() OVER (ORDER BY topic, partition) - 1 AS part"
             " FROM flightpath.ingest_position) AS p USING (topic, partition, incarnation)"
             " WHERE r.at >= TIMESTAMPTZ 'epoch' + %" PRId64 " * interval '1 microsecond'"
             " ORDER BY 1, 2",
             r->v->reject_floor_us);
    enum fp_status status = fp_rows_open(&r->rejects, r->v->pg, "rejects", sql, err);
    return status == FP_OK ? next_reject(r, err) : status;
}

static bool make_room(struct reading *r)
{
    r->decoder = fp_decoder_new(NULL);
    r->event = calloc(1, sizeof *r->event);
    r->fact = calloc(1, sizeof *r->fact);
    r->waiting = calloc(FP_REPEAT_CHUNK, sizeof *r->waiting);
    r->repeat = fp_repeat_new(r->v->options->dedup_window);
    return r->decoder && r->event && r->fact && r->waiting;
}

static void clean_up(struct reading *r)
{
    fp_rows_close(&r->rejects);
    fp_decoder_free(r->decoder);
    fp_repeat_free(r->repeat);
    free(r->event);
    free(r->fact);
    free(r->waiting);
    free(r->entries);
}

enum fp_status fp_verify_read(struct fp_verify *v, struct fp_error *err)
{
    struct reading r = {.v = v, .started_ms = fp_now_ms()};
    enum fp_status status = FP_OK;
    if (!make_room(&r))
        status = fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
    for (int i = 0; status == FP_OK && i < v->part_count; i++)
        status = find_start(&r, &v->parts[i], err);
    if (status == FP_OK)
        status = open_rejects(&r, err);
    for (int i = 0; status == FP_OK && i < v->part_count; i++)
        status = read_part(&r, i, err);
    if (status == FP_OK)
        status = pass_rejects(&r, v->part_count, 0, err);
    tell(&r, true);
    clean_up(&r);
    return status;
}
