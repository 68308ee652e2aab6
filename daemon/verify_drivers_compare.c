/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of both sides, state by state.
 *
 * A row is part of up to five states (all, its journey, touchpoint, unit, tenure), so every row of
 * a day is listed under each of them, beside the parts of the stored states; the list is sorted by
 * state and pattern, and what stands together is added up: the log's rows on one side, the
 * database's rows and parts on the other. Two blocks of sums are all the memory that takes.
 * The sums are made here by the definition (analytics/moments.h); only decoding a state is shared.
 * Hazard: sums of 128 bits; what would not fit ends the comparison with an error. */
#include "daemon/memory.h"
#include "daemon/verify_drivers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analytics/driver_state_parts.h"

#define CELLS_MAX (2 + (CX_COLUMNS_MAX + 1) * (CX_COLUMNS_MAX + 2) / 2)
enum { LOG, STORED, SIDES };

struct listed { /* a row, or a part of a stored state, under one state and pattern */
    int32_t kind, segment, people;
    uint64_t observed, does_not_apply;
    const struct fp_moment_row *row; /* of a part: the state */
    const uint8_t *part;             /* NULL: a row */
};

struct comparing {
    struct fp_verify_drivers *d;
    struct fp_moment_row **rows;
    size_t row_capacity;
    struct listed *list;
    size_t count, capacity;
    cx_wide cell[SIDES][CELLS_MAX];
    cx_wide block[CELLS_MAX];
    bool overflow;
};

/* ---- differences ----------------------------------------------------------------------------- */

static struct fp_difference *differ(struct comparing *c, const struct listed *at)
{
    static const enum fp_kind kinds[] = {[FP_SEGMENT_JOURNEY] = FP_KIND_JOURNEY,
                                         [FP_SEGMENT_TOUCHPOINT] = FP_KIND_TOUCHPOINT,
                                         [FP_SEGMENT_UNIT] = FP_KIND_UNIT};
    static const char *const words[] = {"all", "journey", "touchpoint", "unit", "tenure"};
    struct fp_difference *d = fp_report_differ(c->d->v->report, FP_CHECK_DRIVERS);
    const struct fp_moment_series *s = &c->d->series[at->row->at];
    char day[64], segment[100] = "";
    bool named = at->kind >= FP_SEGMENT_JOURNEY && at->kind <= FP_SEGMENT_UNIT;
    fp_verify_bucket_text(day, sizeof day, at->row->day, false);
    if (named)
        snprintf(segment, sizeof segment, ":%.90s",
                 fp_verify_names_text(c->d->v->names, kinds[at->kind], at->segment));
    else if (at->kind != FP_SEGMENT_ALL)
        snprintf(segment, sizeof segment, ":%d", at->segment);
    snprintf(d->key, sizeof d->key, "driver model %.60s, %s%s, %s, people %d: ", s->id,
             at->kind >= 0 && at->kind < FP_SEGMENTS ? words[at->kind] : "?", segment, day,
             at->people);
    return d;
}

static void tell_number(char *text, size_t size, cx_wide value)
{
    char digits[48];
    size_t at = sizeof digits;
    unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    digits[--at] = '\0';
    do
        digits[--at] = (char)('0' + (int)(rest % 10));
    while (rest /= 10);
    snprintf(text, size, "%s%s", value < 0 ? "-" : "", digits + at);
}

static void name_cell(const struct fp_moment_series *s, uint64_t observed, size_t cell, char *text,
                      size_t size)
{
    int column[CX_COLUMNS_MAX + 1], q = 0;
    size_t at = 2;
    for (int i = 0; i < CX_COLUMNS_MAX; i++)
        if (observed >> i & 1)
            column[++q] = i;
    if (cell < 2) {
        snprintf(text, size, "%s", cell == 0 ? "n" : "sum of weight squared");
        return;
    }
    for (int i = 0; i <= q; i++)
        for (int k = i; k <= q; k++, at++)
            if (at == cell)
                snprintf(text, size, "sum of weight%s%.60s%s%.60s", i ? " x " : "",
                         i ? s->names[column[i]] : "", k ? " x " : "",
                         k ? s->names[column[k]] : "");
}

static void differ_cell(struct comparing *c, const struct listed *at, size_t cell)
{
    struct fp_difference *d = differ(c, at);
    size_t used = strlen(d->key);
    int answered = __builtin_popcountll(at->observed);
    used += (size_t)snprintf(d->key + used, sizeof d->key - used,
                             "pattern of %d answers (%" PRIx64 ", does not apply %" PRIx64 "), ",
                             answered, at->observed, at->does_not_apply);
    name_cell(&c->d->series[at->row->at], at->observed, cell, d->key + used, sizeof d->key - used);
    tell_number(d->log, sizeof d->log, c->cell[LOG][cell]);
    tell_number(d->database, sizeof d->database, c->cell[STORED][cell]);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static int bits(cx_wide value)
{
    unsigned __int128 size = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    uint64_t high = (uint64_t)(size >> 64), low = (uint64_t)size;
    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

static void add(struct comparing *c, cx_wide *cell, cx_wide value, cx_wide times)
{
    cx_wide sum;
    if (bits(value) + bits(times) > 126 || __builtin_add_overflow(*cell, value * times, &sum)) {
        c->overflow = true;
        return;
    }
    *cell = sum;
}

/* `count` rows (taken away: below 0) of one weight and its q values. */
static void add_row(struct comparing *c, cx_wide *cell, const int64_t *z, int q, int64_t weight,
                    int64_t count)
{
    add(c, &cell[0], 1, count);
    add(c, &cell[1], (cx_wide)weight * weight, count);
    cell += 2;
    for (int i = 0; i <= q; i++)
        for (int k = i; k <= q; k++)
            add(c, cell++, (cx_wide)(i ? z[i - 1] : 1) * (k ? z[k - 1] : 1),
                (cx_wide)weight * count);
}

/* What is in a part of a stored state. It was read once already: it is sound. */
static void add_part(struct comparing *c, const struct listed *at)
{
    struct cx_state_reader reader;
    struct cx_state_row row;
    int64_t rows = 0;
    const uint8_t *bytes = (const uint8_t *)at->row->z;
    cx_wide *cell = c->cell[STORED];
    if (!cx_state_open(&reader, bytes, at->row->len, c->d->series[at->row->at].columns))
        return;
    reader.at = at->part;
    if (cx_state_next(&reader) != CX_STATE_STEP_PART)
        return;
    if (reader.distinct == 0 && cx_state_read_block(&reader, c->block, &rows))
        for (size_t i = 0; i < cx_moments_cells(reader.q); i++)
            add(c, &cell[i], c->block[i], 1);
    for (uint64_t i = 0; i < reader.distinct && cx_state_read_row(&reader, &row); i++)
        add_row(c, cell, row.z, reader.q, row.weight, row.count);
}

/* ---- the list of a day ----------------------------------------------------------------------- */

static void append(struct comparing *c, struct listed one)
{
    c->list = fp_must_grow(c->list, &c->capacity, c->count + 1, sizeof *c->list);
    if (c->d->no_people)
        one.people = 0;
    c->list[c->count++] = one;
}

static void list_row(struct comparing *c, const struct fp_moment_row *row)
{
    const struct fp_driver_model *model = c->d->series[row->at].model;
    static const char *const words[] = {"all", "journey", "touchpoint", "unit", "tenure"};
    const int32_t segments[] = {0, row->journey, row->touchpoint, row->unit, row->band};
    for (int k = 0; k < FP_SEGMENTS; k++) {
        bool wanted = false;
        for (int i = 0; i < model->segment_count; i++)
            wanted |= strcmp(model->segments[i], words[k]) == 0;
        if (wanted && (k == FP_SEGMENT_ALL || segments[k] != 0))
            append(c, (struct listed){k, segments[k], row->people, row->observed,
                                      row->does_not_apply, row, NULL});
    }
}

static void list_state(struct comparing *c, const struct fp_moment_row *row)
{
    struct listed one = {row->segment_kind, row->segment, row->people, 0, 0, row, NULL};
    struct cx_state_reader reader;
    enum cx_state_step step = CX_STATE_STEP_CORRUPT;
    int64_t n = 0, rows = 0;
    size_t before = c->count;
    bool sound =
        cx_state_open(&reader, (const uint8_t *)row->z, row->len, c->d->series[row->at].columns);
    while (sound && (step = cx_state_next(&reader)) == CX_STATE_STEP_PART) {
        one.observed = reader.key.observed;
        one.does_not_apply = reader.key.does_not_apply;
        one.part = reader.start;
        sound = cx_state_skip(&reader, &rows);
        n += rows;
        append(c, one);
    }
    if (sound && step == CX_STATE_STEP_END && n == row->count)
        return;
    struct fp_difference *d = differ(c, &one);
    bool whole = sound && step == CX_STATE_STEP_END;
    snprintf(d->key + strlen(d->key), 40, whole ? "column n" : "state");
    snprintf(d->log, sizeof d->log, whole ? "%" PRId64 " rows in its state" : "a state", n);
    snprintf(d->database, sizeof d->database, whole ? "%" PRId64 : "bytes that are none",
             row->count);
    if (!whole)
        c->count = before; /* and what it should hold is told as missing */
}

static int by_state(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return (x->people > y->people) - (x->people < y->people);
}

static int by_pattern(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    int order = by_state(a, b);
    if (order)
        return order;
    if (x->observed != y->observed)
        return x->observed < y->observed ? -1 : 1;
    return (x->does_not_apply > y->does_not_apply) - (x->does_not_apply < y->does_not_apply);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* The cell that differs, or −1. */
static int64_t compare_pattern(struct comparing *c, const struct listed *list, size_t count)
{
    int q = __builtin_popcountll(list->observed);
    size_t cells = cx_moments_cells(q);
    for (int side = 0; side < SIDES; side++)
        memset(c->cell[side], 0, cells * sizeof(cx_wide));
    for (size_t i = 0; i < count; i++) {
        const struct fp_moment_row *row = list[i].row;
        if (list[i].part)
            add_part(c, &list[i]);
        else
            add_row(c, c->cell[row->stored ? STORED : LOG], row->z, q, row->weight, row->count);
    }
    for (size_t i = 0; i < cells; i++)
        if (c->cell[LOG][i] != c->cell[STORED][i])
            return (int64_t)i;
    return -1;
}

/* One difference of a state is told, the first. */
static void compare_state(struct comparing *c, const struct listed *list, size_t count)
{
    c->d->v->report->check[FP_CHECK_DRIVERS].compared++;
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && by_pattern(&list[i], &list[end]) == 0;)
            end++;
        int64_t cell = compare_pattern(c, list + i, end - i);
        if (cell >= 0) {
            differ_cell(c, &list[i], (size_t)cell);
            return;
        }
    }
}

static void compare_day(struct comparing *c, struct fp_moment_row **rows, size_t count)
{
    c->count = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i]->kind == FP_MOMENT_STATE)
            list_state(c, rows[i]);
        else
            list_row(c, rows[i]);
    if (c->count)
        qsort(c->list, c->count, sizeof *c->list, by_pattern);
    for (size_t i = 0, end; i < c->count; i = end) {
        for (end = i + 1; end < c->count && by_state(&c->list[i], &c->list[end]) == 0;)
            end++;
        compare_state(c, c->list + i, end - i);
    }
}

static int by_day(const void *a, const void *b)
{
    const struct fp_moment_row *x = *(struct fp_moment_row *const *)a;
    const struct fp_moment_row *y = *(struct fp_moment_row *const *)b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->day > y->day) - (x->day < y->day);
}

static enum fp_status look_into(struct comparing *c, int bucket, struct fp_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0, count = 0;
    enum fp_status status = fp_spill_take(&c->d->rows, bucket, &bytes, &len, err);
    for (size_t at = 0; status == FP_OK && at < len; at += c->rows[count++]->size) {
        c->rows =
            fp_must_grow(c->rows, &c->row_capacity, count + 1, sizeof(struct fp_moment_row *));
        c->rows[count] = (struct fp_moment_row *)(void *)(bytes + at);
    }
    if (count)
        qsort(c->rows, count, sizeof *c->rows, by_day);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && by_day(&c->rows[i], &c->rows[end]) == 0;)
            end++;
        compare_day(c, c->rows + i, end - i);
    }
    free(bytes);
    if (status == FP_OK && c->overflow)
        status = fp_fail(err, FP_FATAL, "overflow", "verify",
                         "a sum of a driver model exceeds 128 bits");
    return status;
}

enum fp_status fp_moment_compare(struct fp_verify_drivers *d, struct fp_error *err)
{
    struct comparing *c = calloc(1, sizeof *c);
    enum fp_status status = FP_OK;
    if (c == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
    c->d = d;
    for (int i = 0; i < FP_SPILL_BUCKETS && status == FP_OK; i++)
        status = look_into(c, i, err);
    free(c->list);
    free(c->rows);
    free(c);
    return status;
}
