/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Joins by interaction, in memory. One table holds both kinds of sides; rows are kept as the bytes
 * they are stored as, since a decoded row has room for every column. Hazard: a response that comes
 * again while the one before still waits (it outlived its stored response): what that one
 * contributed stays, as it does in the tallies. */
#include "daemon/absorb_join.h"
#include "daemon/memory.h"

#include <stdlib.h>
#include <string.h>

#define START_SLOTS 256u

static uint32_t *new_slots(size_t count)
{
    uint32_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        abort();
    return slots;
}

void fp_joins_init(struct fp_joins *joins, const struct fp_fitting *fitting)
{
    *joins = (struct fp_joins){
        .fitting = fitting, .slots = new_slots(START_SLOTS), .mask = START_SLOTS - 1};
}

void fp_joins_free(struct fp_joins *joins)
{
    free(joins->sides);
    free(joins->slots);
    free(joins->store.bytes);
    *joins = (struct fp_joins){0};
}

/* ---- sides ----------------------------------------------------------------------------------- */

static size_t slot_of(const struct fp_joins *j, const struct fp_join_side *key)
{
    uint64_t a, b;
    memcpy(&a, key->interaction, sizeof a); /* hashes already */
    memcpy(&b, key->record, sizeof b);
    size_t at = (a ^ b * UINT64_C(0x9e3779b97f4a7c15)) & j->mask;
    for (; j->slots[at]; at = (at + 1) & j->mask) {
        const struct fp_join_side *s = &j->sides[j->slots[at] - 1];
        if (s->is_event == key->is_event &&
            memcmp(s->interaction, key->interaction, FP_KEY_LEN) == 0 &&
            memcmp(s->record, key->record, FP_KEY_LEN) == 0)
            break;
    }
    return at;
}

static void grow(struct fp_joins *j)
{
    if (j->count == j->capacity) {
        j->capacity = j->capacity ? j->capacity * 2 : 64;
        j->sides = fp_must_realloc(j->sides, j->capacity * sizeof *j->sides);
    }
    if ((size_t)j->count * 2 < j->mask)
        return;
    free(j->slots);
    j->mask = j->mask * 2 + 1;
    j->slots = new_slots(j->mask + 1);
    for (uint32_t i = 0; i < j->count; i++)
        j->slots[slot_of(j, &j->sides[i])] = i + 1;
}

/* Index of the side, made when there is none. record NULL: the event's. */
static uint32_t side_of(struct fp_joins *j, const uint8_t *interaction, const uint8_t *record)
{
    struct fp_join_side key = {.is_event = record == NULL};
    memcpy(key.interaction, interaction, FP_KEY_LEN);
    if (record)
        memcpy(key.record, record, FP_KEY_LEN);
    size_t at = slot_of(j, &key);
    if (j->slots[at])
        return j->slots[at] - 1;
    key.event = record ? side_of(j, interaction, NULL) : 0;
    grow(j);
    j->sides[j->count] = key;
    j->slots[slot_of(j, &key)] = j->count + 1;
    return j->count++;
}

/* Valid until the next one is made. */
static struct fp_join_side *make_side(struct fp_joins *j, const struct fp_driver_row *row)
{
    uint32_t side = side_of(j, row->interaction, row->event ? NULL : row->record);
    return &j->sides[side];
}

static struct fp_join_text keep(struct fp_joins *j, const struct fp_driver_row *row)
{
    struct fp_driver_row plus = *row;
    struct fp_join_text text = {j->store.len, 0};
    plus.sign = 1;
    fp_driver_put(&j->store, j->fitting, &plus);
    text.len = j->store.len - text.at;
    return text;
}

static bool same_text(const struct fp_joins *j, struct fp_join_text a, struct fp_join_text b)
{
    return a.len == b.len &&
           (a.len == 0 || memcmp(j->store.bytes + a.at, j->store.bytes + b.at, a.len) == 0);
}

bool fp_joins_row(const struct fp_joins *j, struct fp_join_text text, struct fp_driver_row *row)
{
    size_t at = 0;
    return text.len && fp_driver_get(j->fitting, j->store.bytes + text.at, text.len, &at, row) &&
           at == text.len;
}

/* ---- the log --------------------------------------------------------------------------------- */

void fp_joins_need(struct fp_joins *j, const struct fp_driver_row *row)
{
    make_side(j, row)->met = true;
}

static bool read_row(const struct fp_joins *j, const uint8_t *bytes, size_t len,
                     struct fp_driver_row *row)
{
    size_t at = 0;
    return bytes && fp_driver_get(j->fitting, bytes, len, &at, row) && at == len &&
           row->sign == 1 && (row->event || row->joins);
}

bool fp_joins_load(struct fp_joins *j, const uint8_t *bytes, size_t len, const uint8_t *joined,
                   size_t joined_len)
{
    struct fp_driver_row row, both;
    if (!read_row(j, bytes, len, &row) ||
        (joined && (row.event || !read_row(j, joined, joined_len, &both) || both.event)))
        return false;
    struct fp_join_side *s = make_side(j, &row);
    if (s->stored)
        return true; /* asked for twice */
    s->stored = s->there = true;
    s->row = keep(j, &row);
    if (joined)
        s->joined = keep(j, &both);
    s->was = s->joined.len ? s->joined : s->row;
    return true;
}

static bool later(const struct fp_driver_row *a, const struct fp_driver_row *b)
{
    if (a->time_us != b->time_us)
        return a->time_us > b->time_us;
    return memcmp(a->record, b->record, FP_KEY_LEN) > 0;
}

static void take_event(struct fp_joins *j, const struct fp_driver_row *row)
{
    struct fp_join_side *s = make_side(j, row);
    struct fp_driver_row known;
    if (s->there && fp_joins_row(j, s->row, &known) && !later(row, &known))
        return;
    s->there = s->changed = true;
    s->row = keep(j, row);
}

void fp_joins_take(struct fp_joins *j, const struct fp_driver_row *row, struct fp_gather *gather)
{
    if (row->event) {
        take_event(j, row);
        return;
    }
    struct fp_join_side *s = make_side(j, row);
    if (row->sign < 0) {
        if (!s->there)
            fp_gather_add(gather, row, -1);
        s->there = false;
        return;
    }
    if (s->there && !s->fresh) {
        s->was.len = 0;
    } else if (s->there) {
        struct fp_driver_row before;
        if (fp_joins_row(j, s->row, &before))
            fp_gather_add(gather, &before, 1);
    }
    s->fresh = true;
    s->there = true;
    s->row = keep(j, row);
}

/* ---- what it comes to ------------------------------------------------------------------------ */

/* What the response contributes; *now.len = 0 when it does not stand. */
static bool contribution(struct fp_joins *j, const struct fp_join_side *s, struct fp_join_text *now)
{
    struct fp_driver_row row, event;
    const struct fp_join_side *e = &j->sides[s->event];
    *now = (struct fp_join_text){0};
    if (!s->there)
        return true;
    if (!fp_joins_row(j, s->row, &row) || (e->there && !fp_joins_row(j, e->row, &event)))
        return false;
    *now = s->row;
    if (e->there && fp_driver_join(j->fitting, &row, &event))
        *now = keep(j, &row);
    return true;
}

static bool settle(struct fp_joins *j, uint32_t index, struct fp_gather *gather)
{
    struct fp_join_text now;
    struct fp_driver_row row;
    if (!contribution(j, &j->sides[index], &now))
        return false;
    struct fp_join_side *s = &j->sides[index];
    struct fp_join_text joined = same_text(j, now, s->row) ? (struct fp_join_text){0} : now;
    s->changed = s->there ? s->met || !same_text(j, joined, s->joined) : s->stored;
    if (!same_text(j, now, s->was)) {
        if (s->was.len && !fp_joins_row(j, s->was, &row))
            return false;
        if (s->was.len)
            fp_gather_add(gather, &row, -1);
        if (now.len && !fp_joins_row(j, now, &row))
            return false;
        if (now.len)
            fp_gather_add(gather, &row, 1);
    }
    s->joined = joined;
    return true;
}

bool fp_joins_settle(struct fp_joins *j, struct fp_gather *gather)
{
    for (uint32_t i = 0; i < j->count; i++) {
        const struct fp_join_side *s = &j->sides[i];
        if (s->is_event || !(s->met || j->sides[s->event].changed))
            continue;
        if (!settle(j, i, gather))
            return false;
    }
    return true;
}
