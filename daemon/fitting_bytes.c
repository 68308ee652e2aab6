/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of driver models as bytes of a log. A flush writes them, whoever absorbs the log reads them,
 * perhaps another version of the program on another machine: so numbers are varints in a fixed
 * order, and what is read is checked like any input. */
#include <stdlib.h>
#include <string.h>

#include "daemon/fitting.h"

/* PLAIN: weight 1, group 0, no band. WHOLE: answers that are not projected yet. */
enum { EVENT = 1, NEGATIVE = 2, JOINS = 4, PLAIN = 8, WHOLE = 16 };

static void reserve(struct fp_driver_log *log, size_t more)
{
    if (log->len + more <= log->capacity)
        return;
    log->capacity = (log->len + more) * 2;
    log->bytes = realloc(log->bytes, log->capacity);
    if (log->bytes == NULL)
        abort();
}

static void put_number(struct fp_driver_log *log, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        log->bytes[log->len++] = (uint8_t)(value | 0x80);
    log->bytes[log->len++] = (uint8_t)value;
}

static void put_signed(struct fp_driver_log *log, int64_t value)
{
    put_number(log, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static void put_bytes(struct fp_driver_log *log, const void *bytes, size_t len)
{
    if (len)
        memcpy(log->bytes + log->len, bytes, len);
    log->len += len;
}

void fp_driver_put(struct fp_driver_log *log, const struct fp_fitting *fitting,
                   const struct fp_driver_row *row)
{
    reserve(log, 128 + 10 * (size_t)fitting->columns);
    bool plain = row->weight == 1 && row->group == 0 && row->band == 0;
    log->bytes[log->len++] = (uint8_t)((row->event ? EVENT : 0) | (row->sign < 0 ? NEGATIVE : 0) |
                                       (row->joins ? JOINS : 0) | (plain ? PLAIN : 0));
    if (!row->event) {
        put_signed(log, row->day);
        put_number(log, (uint32_t)row->unit);
        put_number(log, (uint32_t)row->touchpoint);
        put_number(log, (uint32_t)row->journey);
        if (!plain) {
            put_number(log, (uint64_t)row->weight);
            put_number(log, (uint32_t)row->group);
            put_number(log, (uint32_t)row->band);
        }
        put_number(log, row->does_not_apply);
    }
    put_number(log, row->observed);
    for (uint64_t rest = row->observed; rest; rest &= rest - 1)
        put_signed(log, row->z[__builtin_ctzll(rest)]);
    if (row->joins || row->event) {
        put_signed(log, row->time_us);
        put_bytes(log, row->interaction, FP_KEY_LEN);
        put_bytes(log, row->record, FP_KEY_LEN);
    }
}

void fp_driver_put_whole(struct fp_driver_log *log, const struct fp_answers *a, int32_t journey,
                         int sign)
{
    reserve(log, 160 + a->id.len + a->interaction.len + 6 * (size_t)a->score_count +
                     14 * (size_t)a->measure_count);
    log->bytes[log->len++] = (uint8_t)(WHOLE | (sign < 0 ? NEGATIVE : 0));
    const int64_t numbers[] = {a->day,    a->unit,   a->touchpoint, journey,       a->tenure,
                               a->weight, a->source, a->time_us,    a->has_subject};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        put_signed(log, numbers[i]);
    if (a->has_subject)
        put_bytes(log, a->subject, FP_PSEUDONYM_LEN);
    put_number(log, a->id.len);
    put_bytes(log, a->id.at, a->id.len);
    put_number(log, a->interaction.len);
    put_bytes(log, a->interaction.at, a->interaction.len);
    put_number(log, a->score_count);
    for (uint32_t i = 0; i < a->score_count; i++) {
        put_signed(log, a->items[i]);
        put_signed(log, a->scores[i]);
    }
    put_number(log, a->measure_count);
    for (uint32_t i = 0; i < a->measure_count; i++) {
        put_signed(log, a->measures[i]);
        put_signed(log, a->amounts[i]);
    }
}

struct reader {
    const uint8_t *bytes;
    size_t len, at;
    bool bad;
};

static uint64_t get_number(struct reader *r)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->at >= r->len)
            break;
        uint8_t byte = r->bytes[r->at++];
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    r->bad = true;
    return 0;
}

static int64_t get_signed(struct reader *r)
{
    uint64_t value = get_number(r);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static int32_t get_id(struct reader *r)
{
    uint64_t value = get_number(r);
    r->bad |= value > INT32_MAX;
    return (int32_t)value;
}

static void get_place(struct reader *r, struct fp_driver_row *row, bool plain)
{
    int64_t day = get_signed(r);
    r->bad |= day < INT32_MIN || day > INT32_MAX;
    row->day = (int32_t)day;
    row->unit = get_id(r);
    row->touchpoint = get_id(r);
    row->journey = get_id(r);
    row->weight = plain ? 1 : (int64_t)get_number(r);
    row->group = plain ? 0 : get_id(r);
    row->band = plain ? 0 : get_id(r);
    row->does_not_apply = get_number(r);
}

static void get_keys(struct reader *r, struct fp_driver_row *row)
{
    row->time_us = get_signed(r);
    if (r->bad || r->len - r->at < 2 * FP_KEY_LEN) {
        r->bad = true;
        return;
    }
    memcpy(row->interaction, r->bytes + r->at, FP_KEY_LEN);
    memcpy(row->record, r->bytes + r->at + FP_KEY_LEN, FP_KEY_LEN);
    r->at += 2 * FP_KEY_LEN;
}

static int64_t get_within(struct reader *r, int64_t low, int64_t high)
{
    int64_t value = get_signed(r);
    r->bad |= value < low || value > high;
    return r->bad ? low : value;
}

static const uint8_t *get_bytes(struct reader *r, uint64_t len)
{
    const uint8_t *at = r->bytes + r->at;
    if (r->bad || len > r->len - r->at) {
        r->bad = true;
        return NULL;
    }
    r->at += len;
    return at;
}

static struct fp_slice get_slice(struct reader *r)
{
    uint64_t len = get_number(r);
    const uint8_t *at = get_bytes(r, len);
    return (struct fp_slice){(const char *)at, at ? (uint32_t)len : 0};
}

static uint32_t get_count(struct reader *r, uint32_t most)
{
    uint64_t count = get_number(r);
    r->bad |= count > most;
    return r->bad ? 0 : (uint32_t)count;
}

/* False: bad, or it answers nothing the model asks; r->bad tells. */
static bool get_whole(struct reader *r, const struct fp_fitting *fitting, struct fp_driver_row *row)
{
    int16_t items[FP_SCORES_MAX], scores[FP_SCORES_MAX], measures[FP_MEASURES_MAX];
    int64_t amounts[FP_MEASURES_MAX];
    struct fp_answers a = {
        .items = items, .scores = scores, .measures = measures, .amounts = amounts};
    a.day = (int32_t)get_within(r, INT32_MIN, INT32_MAX);
    a.unit = (int32_t)get_within(r, 0, INT32_MAX);
    a.touchpoint = (int32_t)get_within(r, 0, INT32_MAX);
    int32_t journey = (int32_t)get_within(r, 0, INT32_MAX);
    a.tenure = (int16_t)get_within(r, INT16_MIN, INT16_MAX);
    a.weight = (int32_t)get_within(r, 0, INT32_MAX);
    a.source = (int32_t)get_within(r, 0, INT32_MAX);
    a.time_us = get_signed(r);
    a.has_subject = get_within(r, 0, 1);
    a.subject = a.has_subject ? get_bytes(r, FP_PSEUDONYM_LEN) : NULL;
    a.id = get_slice(r);
    a.interaction = get_slice(r);
    a.score_count = get_count(r, FP_SCORES_MAX);
    for (uint32_t i = 0; i < a.score_count; i++) {
        items[i] = (int16_t)get_within(r, 0, INT16_MAX);
        scores[i] = (int16_t)get_within(r, INT16_MIN, INT16_MAX);
    }
    a.measure_count = get_count(r, FP_MEASURES_MAX);
    for (uint32_t i = 0; i < a.measure_count; i++) {
        measures[i] = (int16_t)get_within(r, 0, INT16_MAX);
        amounts[i] = get_signed(r);
    }
    int sign = row->sign;
    bool any = !r->bad && fp_fitting_project(fitting, &a, journey, row);
    row->sign = sign;
    return any;
}

static void get_columns(struct reader *r, const struct fp_fitting *fitting,
                        struct fp_driver_row *row)
{
    uint64_t columns = (UINT64_C(1) << fitting->columns) - 1; /* at most 41 */
    row->observed = get_number(r);
    r->bad |= ((row->observed | row->does_not_apply) & ~columns) != 0 ||
              (row->observed & row->does_not_apply) != 0;
    for (uint64_t rest = r->bad ? 0 : row->observed; rest; rest &= rest - 1)
        row->z[__builtin_ctzll(rest)] = get_signed(r);
}

bool fp_driver_get(const struct fp_fitting *fitting, const uint8_t *bytes, size_t len, size_t *at,
                   struct fp_driver_row *row)
{
    struct reader r = {bytes, len, *at, false};
    bool any = false;
    while (!any && r.at < len) {
        unsigned kind = bytes[r.at++];
        *row = (struct fp_driver_row){
            .event = kind & EVENT, .sign = kind & NEGATIVE ? -1 : 1, .joins = kind & JOINS};
        if (kind & WHOLE) {
            any = get_whole(&r, fitting, row);
        } else {
            if (!row->event)
                get_place(&r, row, kind & PLAIN);
            get_columns(&r, fitting, row);
            if (row->joins || row->event)
                get_keys(&r, row);
            any = true;
        }
        if (r.bad || kind >= 2 * WHOLE || row->group >= FP_PANEL_GROUPS || row->weight < 0)
            return false;
        *at = r.at;
    }
    return any;
}
