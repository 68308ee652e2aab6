/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filling a batch. Everything variable goes into a bump arena that is emptied, not freed, when
 * the batch is reset, so that a steady stream allocates nothing. What is kept of a message is
 * copied at once: the record goes back to the Kafka client before the next one is polled.
 * Hazard: a response's contribution must not enter the deltas here; what it adds depends on the
 * stored revision. */
#include "daemon/batch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/memory.h"

#define DAY_US INT64_C(86400000000)
#define CHUNK_BYTES (256u * 1024u)

struct fp_chunk {
    struct fp_chunk *next;
    size_t size, used;
    unsigned char at[];
};

/* ---- arena ----------------------------------------------------------------------------------- */

void *fp_batch_alloc(struct fp_batch *batch, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct fp_chunk *c = batch->chunk;
    while (c && c->size - c->used < size && c->next) {
        c = c->next;
        c->used = 0;
    }
    if (c == NULL || c->size - c->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct fp_chunk *new = fp_must_realloc(NULL, sizeof *new + room);
        *new = (struct fp_chunk){.next = c ? c->next : NULL, .size = room};
        if (c)
            c->next = new;
        else
            batch->chunks = new;
        c = new;
    }
    batch->chunk = c;
    void *at = c->at + c->used;
    c->used += size;
    batch->bytes += size;
    return at;
}

static const void *keep(struct fp_batch *batch, const void *bytes, size_t len)
{
    if (bytes == NULL)
        return NULL;
    void *at = fp_batch_alloc(batch, len + 1);
    memcpy(at, bytes, len);
    ((char *)at)[len] = '\0';
    return at;
}

static struct fp_slice keep_slice(struct fp_batch *batch, struct fp_slice s)
{
    return (struct fp_slice){keep(batch, s.at, s.len), s.len};
}

static struct fp_record *keep_record(struct fp_batch *batch, const struct fp_record *record)
{
    struct fp_record *copy = fp_batch_alloc(batch, sizeof *copy);
    *copy = *record;
    copy->key = keep(batch, record->key, record->key_len);
    copy->value = keep(batch, record->value, record->len);
    struct fp_header *headers = fp_batch_alloc(batch, record->header_count * sizeof *headers + 1);
    for (size_t i = 0; i < record->header_count; i++)
        headers[i] = (struct fp_header){
            keep(batch, record->headers[i].name, strlen(record->headers[i].name)),
            keep(batch, record->headers[i].value, record->headers[i].len), record->headers[i].len};
    copy->headers = headers;
    return copy;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct fp_batch *fp_batch_new(size_t cells_max)
{
    struct fp_batch *b = fp_must_realloc(NULL, sizeof *b);
    *b = (struct fp_batch){0};
    fp_delta_init(&b->hours, cells_max);
    fp_delta_init(&b->days, cells_max);
    fp_delta_init(&b->invited_hours, cells_max);
    fp_delta_init(&b->invited_days, cells_max);
    fp_delta_init(&b->sketch, cells_max);
    fp_delta_init(&b->coverage, cells_max);
    fp_delta_init(&b->predictions, cells_max);
    return b;
}

void fp_batch_reset(struct fp_batch *batch)
{
    fp_binding_release(batch->binding);
    batch->binding = NULL;
    batch->share_count = 0;
    batch->row_count = batch->filed_count = batch->rejected_count = 0;
    fp_delta_reset(&batch->hours);
    fp_delta_reset(&batch->days);
    fp_delta_reset(&batch->invited_hours);
    fp_delta_reset(&batch->invited_days);
    fp_delta_reset(&batch->sketch);
    fp_delta_reset(&batch->coverage);
    for (int i = 0; i < batch->join_count; i++)
        batch->joins[i].len = 0;
    fp_batch_predictions_reset(batch);
    memset(batch->months, 0, sizeof batch->months);
    batch->month_from_us = batch->month_to_us = 0;
    batch->chunk = batch->chunks;
    if (batch->chunk)
        batch->chunk->used = 0;
    batch->bytes = 0;
    batch->messages = batch->started_ms = 0;
}

void fp_batch_free(struct fp_batch *batch)
{
    if (batch == NULL)
        return;
    fp_batch_reset(batch);
    for (struct fp_chunk *c = batch->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    fp_delta_free(&batch->hours);
    fp_delta_free(&batch->days);
    fp_delta_free(&batch->invited_hours);
    fp_delta_free(&batch->invited_days);
    fp_delta_free(&batch->sketch);
    fp_delta_free(&batch->coverage);
    for (int i = 0; i < batch->join_count; i++)
        free(batch->joins[i].bytes);
    free(batch->joins);
    fp_batch_predictions_free(batch);
    free(batch->shares);
    free(batch->rows);
    free(batch->filed);
    free(batch->rejected);
    free(batch);
}

int fp_batch_share(struct fp_batch *batch, const struct fp_share *fresh)
{
    for (int i = 0; i < batch->share_count; i++)
        if (batch->shares[i].part == fresh->part)
            return i;
    FP_GROW(batch->shares, batch->share_count, batch->share_capacity);
    batch->shares[batch->share_count] = *fresh;
    return batch->share_count++;
}

bool fp_batch_has_room(const struct fp_batch *batch, int64_t messages_max, size_t bytes_max)
{
    /* a message adds at most one cell per contribution to each delta; waiting rows one each */
    size_t waiting = (size_t)(batch->scoring ? batch->scoring->scored_count : 0) * CX_SCORE_ROWS;
    return batch->messages < messages_max && batch->bytes < bytes_max &&
           fp_delta_room(&batch->hours) > FP_CONTRIBUTIONS_MAX &&
           fp_delta_room(&batch->days) > FP_CONTRIBUTIONS_MAX &&
           fp_delta_room(&batch->sketch) > FP_CONTRIBUTIONS_MAX &&
           fp_delta_room(&batch->invited_hours) > FP_CONTRIBUTIONS_MAX &&
           fp_delta_room(&batch->invited_days) > FP_CONTRIBUTIONS_MAX &&
           fp_delta_room(&batch->coverage) > 1 && fp_delta_room(&batch->predictions) > waiting;
}

/* ---- adding ---------------------------------------------------------------------------------- */

/* Sets the bit of the UTC month of a time; most calls are for the same month as the last. */
void fp_batch_need_month(struct fp_batch *batch, int64_t time_us)
{
    if (time_us >= batch->month_from_us && time_us < batch->month_to_us)
        return;
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    int month = (tm.tm_year - 70) * 12 + tm.tm_mon;
    if (month < 0 || month >= (int)sizeof batch->months * 8)
        return;
    batch->months[month / 64] |= UINT64_C(1) << (month % 64);
    struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = 1};
    struct tm next = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    batch->month_from_us = (int64_t)timegm(&first) * 1000000;
    batch->month_to_us = (int64_t)timegm(&next) * 1000000;
}

static bool add_to_cell(struct fp_cell *cell, struct fp_addend what, int64_t weight, int sign)
{
    switch (what.adds) {
    case FP_ADDS_NUMERATOR:
        return cx_tally_add_numerator(&cell->tally, sign); /* whatever the weight */
    case FP_ADDS_PAIR:
        cell->has_bins = true;
        return cx_tally_add_pair(&cell->tally, what.y, what.per, weight, sign);
    case FP_ADDS_PLAIN:
        break;
    }
    cell->has_bins |= what.bin >= 0;
    return cx_tally_add(&cell->tally, what.y, what.bin, weight, sign);
}

void fp_tally_put(struct fp_delta *delta, struct fp_key key, struct fp_addend what, int64_t weight,
                  int sign)
{
    if (!add_to_cell(fp_delta_cell(delta, key), what, weight, sign))
        abort();
}

/* Adds one contribution of an event or an invitation to its cells, or (sign −1) takes it away
 * again. */
static bool add_contribution(struct fp_batch *b, const struct fp_fact *fact,
                             const struct fp_names *names, const struct fp_contribution *c,
                             int sign)
{
    bool invited = fact->event->type == FP_EVENT_INVITATION;
    struct fp_delta *days = invited ? &b->invited_days : &b->days;
    struct fp_delta *hours = invited ? &b->invited_hours : &b->hours;
    int32_t series = b->binding->series[c->kpi];
    struct fp_key day = {{series, fact->day, names->unit, names->channel}};
    struct fp_key hour = {{series, fact->hour, names->unit, names->channel}};
    struct fp_addend what = {c->adds, c->y, c->per, -1};
    bool hourly = b->binding->model->kpis[c->kpi].grain == FP_GRAIN_HOUR;
    if (!add_to_cell(fp_delta_cell(days, day), what, 1, sign))
        return false;
    if (hourly && !add_to_cell(fp_delta_cell(hours, hour), what, 1, sign)) {
        (void)add_to_cell(fp_delta_cell(days, day), what, 1, -sign);
        return false;
    }
    if (c->sketch >= 0) {
        day.part[4] = c->sketch;
        fp_delta_cell(&b->sketch, day)->count[0] += sign;
    }
    return true;
}

/* All or nothing. */
static bool add_contributions(struct fp_batch *b, const struct fp_fact *fact,
                              const struct fp_names *names)
{
    for (int i = 0; i < fact->contribution_count; i++) {
        if (add_contribution(b, fact, names, &fact->contributions[i], 1))
            continue;
        while (i-- > 0)
            (void)add_contribution(b, fact, names, &fact->contributions[i], -1);
        return false;
    }
    return true;
}

static bool add_event(struct fp_batch *b, const struct fp_fact *fact, const struct fp_names *names)
{
    const struct fp_event *e = fact->event;
    if (!add_contributions(b, fact, names))
        return false;
    struct fp_cell *cover =
        fp_delta_cell(&b->coverage, (struct fp_key){{names->touchpoint, fact->day}});
    static const int column[FP_OUTCOMES] = {-1, FP_COVER_FAILED, FP_COVER_ABANDONED,
                                            FP_COVER_RECOVERED};
    cover->count[FP_COVER_EVENTS]++;
    if (column[e->outcome] >= 0)
        cover->count[column[e->outcome]]++;
    fp_batch_offer(b, fact);
    fp_batch_predict(b, fact, names);
    return true;
}

/* The time a reject is filed under: the record's own, unless that is none or beyond any partition.
 */
static int64_t filing_time_us(const struct fp_record *record)
{
    bool sane = record->timestamp_ms > 0 && record->timestamp_ms < FP_TIME_END_US / 1000;
    return sane ? record->timestamp_ms * 1000 : fp_wall_us();
}

static void fill_answers(struct fp_batch *b, const struct fp_fact *fact, struct fp_row *row)
{
    const struct fp_binding *bind = b->binding;
    int16_t *items = fp_batch_alloc(b, (size_t)fact->score_count * 2 + 2);
    int16_t *scores = fp_batch_alloc(b, (size_t)fact->score_count * 2 + 2);
    int16_t *measures = fp_batch_alloc(b, (size_t)fact->measure_count * 2 + 2);
    int64_t *amounts = fp_batch_alloc(b, (size_t)fact->measure_count * 8 + 8);
    int64_t *tallied = fp_batch_alloc(b, (size_t)fact->contribution_count * 8 + 8);
    for (int i = 0; i < fact->score_count; i++) {
        items[i] = bind->items[fact->items[i]];
        scores[i] = fact->scores[i];
    }
    for (int i = 0; i < fact->measure_count; i++) {
        measures[i] = bind->measures[fact->measures[i]];
        amounts[i] = fact->amounts[i];
    }
    for (int i = 0; i < fact->contribution_count; i++) {
        const struct fp_contribution *c = &fact->contributions[i];
        tallied[i] = fp_tallied_of(bind->series[c->kpi],
                                   bind->model->kpis[c->kpi].grain == FP_GRAIN_HOUR, c);
    }
    row->items = items, row->scores = scores, row->score_count = (uint32_t)fact->score_count;
    row->measures = measures, row->amounts = amounts,
    row->measure_count = (uint32_t)fact->measure_count;
    row->tallied = tallied, row->tallied_count = (uint32_t)fact->contribution_count;
}

static void add_row(struct fp_batch *b, int share, const struct fp_record *record,
                    const struct fp_fact *fact, const struct fp_names *names,
                    const uint8_t *subject)
{
    const struct fp_event *e = fact->event;
    FP_GROW(b->rows, b->row_count, b->row_capacity);
    struct fp_row *row = &b->rows[b->row_count++];
    *row = (struct fp_row){.erasure = e->type == FP_EVENT_ERASURE,
                           .share = share,
                           .offset = record->offset,
                           .names = *names,
                           .id = keep_slice(b, e->id),
                           .interaction = keep_slice(b, e->interaction),
                           .has_submitted_at = e->has_submitted_at,
                           .time_us = fact->time_us,
                           .hour = fact->hour,
                           .day = fact->day,
                           .revision = e->revision,
                           .weight = e->weight,
                           .tenure = (int16_t)e->tenure_months,
                           .status = e->status,
                           .audience = e->audience};
    row->has_subject = subject != NULL;
    if (subject)
        memcpy(row->subject, subject, FP_PSEUDONYM_LEN);
    if (row->erasure)
        return;
    if (e->status != FP_RESPONSE_VOID)
        row->comment = keep_slice(b, e->comment);
    fill_answers(b, fact, row);
    if (e->status != FP_RESPONSE_VOID) {
        fp_batch_fit(b, fact, row);
        fp_batch_observe(b, fact, row);
    }
    bool may_move = e->has_submitted_at && (e->revision > 1 || e->status == FP_RESPONSE_VOID);
    row->record = may_move ? keep_record(b, record) : NULL;
    row->filed_us = filing_time_us(record);
    if (may_move)
        fp_batch_need_month(b, row->filed_us);
}

static void add_filed(struct fp_batch *b, const struct fp_fact *fact, const struct fp_names *names,
                      const uint8_t *subject)
{
    const struct fp_event *e = fact->event;
    FP_GROW(b->filed, b->filed_count, b->filed_capacity);
    struct fp_filed *f = &b->filed[b->filed_count++];
    *f = (struct fp_filed){.type = e->type,
                           .names = *names,
                           .id = keep_slice(b, e->id),
                           .case_id = keep_slice(b, e->case_id),
                           .interaction = keep_slice(b, e->interaction),
                           .response = keep_slice(b, e->response),
                           .owner = keep_slice(b, e->owner),
                           .intervention = keep_slice(b, e->intervention),
                           .time_us = e->time_us,
                           .effective_us = e->at_us};
    if (e->at_date.at) /* a bare date: from local midnight on */
        f->effective_us =
            fp_timezone_day_start(b->binding->model->zone, (int32_t)(e->at_us / DAY_US));
    f->has_subject = subject != NULL;
    if (subject)
        memcpy(f->subject, subject, FP_PSEUDONYM_LEN);
    f->state = e->type == FP_EVENT_CASE ? (int)e->case_state : (int)e->intervention_state;
    if (e->type == FP_EVENT_INVITATION)
        fp_delta_cell(&b->coverage, (struct fp_key){{names->touchpoint, fact->day}})
            ->count[FP_COVER_INVITED]++;
}

/* Interventions and erasures hold for ever: their tables have no partitions. */
static bool needs_partition(enum fp_event_type type)
{
    return type != FP_EVENT_ERASURE && type != FP_EVENT_INTERVENTION;
}

bool fp_batch_add(struct fp_batch *batch, int share, const struct fp_record *record,
                  const struct fp_fact *fact, const struct fp_names *names, const uint8_t *subject)
{
    struct fp_share *s = &batch->shares[share];
    enum fp_event_type type = fact->event->type;
    if (type == FP_EVENT_TOUCHPOINT && !add_event(batch, fact, names))
        return false;
    if (type == FP_EVENT_INVITATION && !add_contributions(batch, fact, names))
        return false;
    if (type == FP_EVENT_RESPONSE || type == FP_EVENT_ERASURE)
        add_row(batch, share, record, fact, names, subject);
    else if (type != FP_EVENT_TOUCHPOINT)
        add_filed(batch, fact, names, subject);
    s->count[FP_APPLIED] += type != FP_EVENT_RESPONSE && type != FP_EVENT_ERASURE;
    if (fact->time_us > s->last_event_us && type != FP_EVENT_ERASURE)
        s->last_event_us = fact->time_us;
    if (needs_partition(type)) {
        fp_batch_need_month(batch, fact->time_us);
        fp_batch_need_month(batch,
                            fact->day * DAY_US); /* the local day may lie in the month beside */
    }
    return true;
}

void fp_batch_reject(struct fp_batch *batch, int share, const struct fp_record *record,
                     const struct fp_error *why)
{
    FP_GROW(batch->rejected, batch->rejected_count, batch->rejected_capacity);
    batch->rejected[batch->rejected_count++] =
        (struct fp_rejected){share, keep_record(batch, record), filing_time_us(record), *why};
    batch->shares[share].count[FP_REJECTED]++;
    fp_batch_need_month(batch, batch->rejected[batch->rejected_count - 1].at_us);
}
