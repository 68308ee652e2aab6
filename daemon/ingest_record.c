/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One record of the log, in the order DESIGN §2 gives: is it ours and new, decode, resolve,
 * names, duplicate, batch. A record is taken whole or not at all: what can fail for want of
 * PostgreSQL (new names) comes before anything is remembered. Hazard: an id enters the window
 * only when its record is accepted, else a corrected copy of a rejected record would count as
 * its duplicate. */
#include "daemon/ingest_state.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/clock.h"
#include "daemon/log.h"

#define HIGH_EVERY 1024 /* asking for the log's end takes two locks of librdkafka */
#define ANCHOR_EVERY 16 /* hashing each record whole would cost more than it proves */

/* ---- shares ---------------------------------------------------------------------------------- */

/* This partition's share of the open batch; another model, or another version of the coefficients,
 * starts a new ledger range. */
static int share_of(struct fp_ingest *in, struct fp_part *part)
{
    int index = (int)(part - in->ownership.parts);
    for (int i = 0; i < in->filling->share_count; i++)
        if (in->filling->shares[i].part == index)
            return i;
    const char *model = in->binding->model->hash;
    if (strcmp(part->ledger_model, model) != 0 ||
        part->ledger_coefficients != in->scoring->version) {
        part->ledger_first = part->next;
        memcpy(part->ledger_model, model, FP_HASH_HEX);
        part->ledger_coefficients = in->scoring->version;
    }
    struct fp_share fresh = {.topic = part->topic,
                             .partition = part->partition,
                             .incarnation = part->incarnation,
                             .epoch = part->epoch,
                             .expected = part->next,
                             .next = part->next,
                             .ledger_first = part->ledger_first,
                             .anchor_offset = part->anchor_offset,
                             .anchor_hash = part->anchor_hash,
                             .part = index};
    if (in->filling->binding == NULL) {
        in->filling->binding = fp_binding_retain(in->binding);
        in->filling->scoring = fp_scoring_retain(in->scoring);
        in->filling->publish = *in->options->predictions_topic != '\0';
        in->filling->started_ms = fp_now_ms();
    }
    return fp_batch_share(in->filling, &fresh);
}

static void pass(struct fp_ingest *in, struct fp_part *part, int share,
                 const struct fp_record *record)
{
    struct fp_share *s = &in->filling->shares[share];
    part->next = s->next = record->offset + 1;
    if (record->offset % ANCHOR_EVERY == 0 || s->anchor_offset < s->expected) {
        s->anchor_offset = record->offset;
        s->anchor_hash = fp_anchor_hash(record);
    }
    if (s->high <= s->next || in->filling->messages % HIGH_EVERY == 0)
        s->high = fp_consumer_high(in->consumer, part->topic, part->partition);
    if (s->high < s->next)
        s->high = s->next;
    if (part->health)
        part->health->high_offset = s->high;
    in->filling->messages++;
    fp_health_count(&in->health->messages, 1);
    fp_health_count(&in->health->bytes, (int64_t)record->len);
}

void fp_ingest_end(struct fp_ingest *in, const struct fp_record *record)
{
    struct fp_part *part = fp_ownership_find(&in->ownership, record->topic, record->partition);
    if (part == NULL || in->rewind ||
        (part->state != FP_PART_LIVE && part->state != FP_PART_LOADING))
        return;
    part->state = FP_PART_LIVE; /* nothing left to load */
    if (part->health)
        part->health->high_offset = record->offset;
    if (record->offset <= part->next)
        return;
    int share = share_of(in, part); /* may move the shares */
    struct fp_share *s = &in->filling->shares[share];
    part->next = s->next = record->offset; /* only control records lie in between */
    s->high = record->offset;
}

/* ---- one record ------------------------------------------------------------------------------ */

static uint64_t id_hash(const struct fp_ingest *in, const struct fp_event *e)
{
    return XXH3_64bits_withSeed(e->id.at, e->id.len,
                                XXH3_64bits_withSeed(e->source.at, e->source.len, in->seed));
}

/* Events are told apart by the window; responses by what is stored; erasures may repeat. */
static bool uses_window(enum fp_event_type type)
{
    return type == FP_EVENT_TOUCHPOINT || type == FP_EVENT_INVITATION || type == FP_EVENT_CASE ||
           type == FP_EVENT_INTERVENTION;
}

static bool was_rejected(const struct fp_part *part, int64_t offset)
{
    size_t low = 0, high = part->skip_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (part->skip[mid] < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low < part->skip_count && part->skip[low] == offset;
}

/* A record below the position: it was applied before; it refills the window and proves the anchor.
 */
static void load(struct fp_ingest *in, struct fp_part *part, const struct fp_record *record)
{
    struct fp_error err;
    if (record->offset == part->anchor_offset && fp_anchor_hash(record) != part->anchor_hash) {
        fp_ownership_halt(
            &in->ownership, part,
            "the record before the position is not the one that was applied: the log was replaced");
        return;
    }
    if (!was_rejected(part, record->offset) &&
        fp_decode(in->decoder, record, in->event, &err) == FP_OK && uses_window(in->event->type))
        (void)fp_window_seen(part->window, id_hash(in, in->event), record->offset);
}

static enum fp_status bind_names(struct fp_ingest *in, struct fp_names *names, struct fp_error *err)
{
    const struct fp_event *e = in->event;
    const struct fp_limits *limits = &in->binding->model->limits;
    const struct {
        enum fp_kind kind;
        struct fp_slice name;
        int cap;
        int32_t *id;
    } table[] = {{FP_KIND_SOURCE, e->source, limits->sources, &names->source},
                 {FP_KIND_SURVEY, e->survey, limits->sources, &names->survey},
                 {FP_KIND_JOURNEY, e->journey, limits->touchpoints, &names->journey},
                 {FP_KIND_TOUCHPOINT, e->touchpoint, limits->touchpoints, &names->touchpoint},
                 {FP_KIND_UNIT, e->unit, limits->units, &names->unit},
                 {FP_KIND_CHANNEL, e->channel, limits->channels, &names->channel}};
    enum fp_status status = FP_OK;
    for (size_t i = 0; status == FP_OK && i < sizeof table / sizeof *table; i++) {
        status = fp_registry_id(in->registry, in->pg, table[i].kind, table[i].name, table[i].cap,
                                table[i].id, err);
        if (status != FP_OK && in->config->health)
            in->health->postgres_ok = fp_pg_alive(in->pg);
    }
    return status == FP_OK || status == FP_FATAL ? status : FP_RETRY;
}

static const struct fp_error *condemned(const struct fp_ingest *in, const struct fp_record *record)
{
    for (int i = 0; i < in->condemned_count; i++) {
        const struct fp_condemned *c = &in->condemned[i];
        if (c->offset == record->offset && c->partition == record->partition &&
            strcmp(c->topic, record->topic) == 0)
            return &c->why;
    }
    return NULL;
}

/* Decode, resolve, and what only the daemon knows. */
static enum fp_status understand(struct fp_ingest *in, const struct fp_record *record,
                                 struct fp_error *err)
{
    const struct fp_error *why = condemned(in, record);
    if (why) {
        *err = *why;
        return FP_REJECT;
    }
    enum fp_status status = fp_decode(in->decoder, record, in->event, err);
    if (status != FP_OK || in->event->type == FP_EVENT_FOREIGN)
        return status;
    if (in->event->type == FP_EVENT_ERASURE && in->subject_key == NULL)
        return fp_fail(
            err, FP_REJECT, "no_subject_key", "data.subject",
            "no subject_key_file is configured, so nothing can be erased; configure it and"
            " redrive");
    return fp_resolve(in->binding->model, in->event, record->timestamp_ms, in->fact, err);
}

/* The batch already holds so much that one more would exceed 64 bits; the stored sums would too. */
static void refuse_overflow(struct fp_ingest *in, struct fp_part *part, int share,
                            const struct fp_record *record)
{
    struct fp_error why;
    (void)fp_fail(
        &why, FP_REJECT, "poison", "data.measures",
        "a KPI's sum of squares would exceed 64 bits; lower the measure's max in the model");
    if (uses_window(in->event->type))
        fp_window_forget_last(part->window);
    fp_batch_reject(in->filling, share, record, &why);
}

static enum fp_status take(struct fp_ingest *in, struct fp_part *part,
                           const struct fp_record *record, struct fp_error *err)
{
    struct fp_event *e = in->event;
    struct fp_names names = {0};
    uint8_t subject[FP_PSEUDONYM_LEN];
    enum fp_status status = understand(in, record, err);
    if (status == FP_OK && e->type != FP_EVENT_FOREIGN)
        status = bind_names(in, &names, err);
    if (status == FP_RETRY || status == FP_FATAL)
        return status;
    int share = share_of(in, part);
    if (status != FP_OK) {
        fp_batch_reject(in->filling, share, record, err);
    } else if (e->type == FP_EVENT_FOREIGN) {
        in->filling->shares[share].count[FP_IGNORED]++;
    } else if (uses_window(e->type) &&
               fp_window_seen(part->window, id_hash(in, e), record->offset)) {
        in->filling->shares[share].count[FP_DUPLICATE]++;
    } else {
        struct fp_slice whom = e->type == FP_EVENT_ERASURE ? e->erase_subject : e->subject;
        bool known = e->type != FP_EVENT_TOUCHPOINT && /* events are stored without their subject */
                     fp_subject_pseudonym(in->subject_key, whom, subject);
        if (!fp_batch_add(in->filling, share, record, in->fact, &names, known ? subject : NULL))
            refuse_overflow(in, part, share, record);
    }
    pass(in, part, share, record);
    return FP_OK;
}

enum fp_status fp_ingest_record(struct fp_ingest *in, const struct fp_record *record,
                                struct fp_error *err)
{
    struct fp_part *part = fp_ownership_find(&in->ownership, record->topic, record->partition);
    if (part == NULL || in->rewind)
        return FP_OK;
    if (part->state == FP_PART_LOADING) {
        if (record->offset < part->next) {
            load(in, part, record);
            return FP_OK;
        }
        part->state = FP_PART_LIVE;
    }
    if (part->state != FP_PART_LIVE || record->offset < part->next)
        return FP_OK;
    return take(in, part, record, err);
}
