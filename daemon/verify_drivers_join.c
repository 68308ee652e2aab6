/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Joins by sorting: everything of one interaction and series stands together.
 *
 *   by the log        each response with the event that counts, if that lies within the window
 *   in the database   driver_log's rows over the stored sides: what each response contributed is
 *                     taken away, what it contributes then is added, so that with the states it is
 *                     what the database holds
 *
 * Of several events the greatest by (time, hash of its id) counts, be it within the window or not.
 */
#include "daemon/verify_drivers.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)

struct joining {
    struct fp_verify_drivers *d;
    struct fp_moment_row *room; /* a row with all columns */
    struct fp_moment_row **rows;
    size_t capacity;
};

static int by_interaction(const struct fp_moment_row *x, const struct fp_moment_row *y)
{
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return memcmp(x->interaction, y->interaction, FP_KEY_LEN);
}

static bool is_event(const struct fp_moment_row *row)
{
    return row->kind == FP_MOMENT_EVENT || row->kind == FP_MOMENT_STORED_EVENT ||
           row->kind == FP_MOMENT_WRITTEN_EVENT;
}

/* Within an interaction: events, then each response's rows by kind and in the order of the log. */
static int by_place(const void *a, const void *b)
{
    const struct fp_moment_row *x = *(struct fp_moment_row *const *)a;
    const struct fp_moment_row *y = *(struct fp_moment_row *const *)b;
    int order = by_interaction(x, y);
    if (order == 0)
        order = (int)is_event(y) - (int)is_event(x);
    if (order == 0)
        order = memcmp(x->record, y->record, FP_KEY_LEN);
    if (order == 0 && x->kind != y->kind)
        order = x->kind < y->kind ? -1 : 1;
    return order ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

static const struct fp_moment_row *later(const struct fp_moment_row *a,
                                         const struct fp_moment_row *b)
{
    if (a == NULL || b == NULL)
        return a ? a : b;
    if (a->time_us != b->time_us)
        return a->time_us > b->time_us ? a : b;
    return memcmp(a->record, b->record, FP_KEY_LEN) >= 0 ? a : b;
}

/* ---- one row --------------------------------------------------------------------------------- */

static int64_t value_at(const struct fp_moment_row *row, int column)
{
    return row->z[__builtin_popcountll(row->observed & ((UINT64_C(1) << column) - 1))];
}

static bool within(const struct joining *j, const struct fp_moment_row *row,
                   const struct fp_moment_row *event)
{
    int64_t window = j->d->series[row->at].model->join_window_hours * HOUR_US;
    return event && event->time_us >= row->time_us - window &&
           event->time_us <= row->time_us + window;
}

/* The row with the event's measures that it has not itself, counted `count` times. */
static enum fp_status put(struct joining *j, const struct fp_moment_row *row,
                          const struct fp_moment_row *event, int count, struct fp_error *err)
{
    struct fp_moment_row *out = j->room;
    size_t values = 0;
    *out = *row;
    out->kind = FP_MOMENT_ROW;
    out->count = count;
    if (within(j, row, event))
        out->observed |= event->observed;
    for (int i = 0; i < CX_COLUMNS_MAX; i++)
        if (out->observed >> i & 1)
            out->z[values++] = value_at(row->observed >> i & 1 ? row : event, i);
    return fp_moment_put(j->d, out, err);
}

/* ---- one interaction ------------------------------------------------------------------------- */

struct stand { /* a response in the database */
    const struct fp_moment_row *stored, *joined, *written;
};

static enum fp_status take_written(struct joining *j, struct stand *s,
                                   const struct fp_moment_row *row, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (row->count > 0) {
        if (s->written) /* came twice without being taken away: both count */
            status = put(j, s->written, NULL, 1, err);
        *s = (struct stand){.written = row};
        return status;
    }
    if (s->stored)
        status = put(j, s->joined ? s->joined : s->stored, NULL, -1, err);
    else if (s->written == NULL)
        status = put(j, row, NULL, -1, err); /* it does not wait any more */
    *s = (struct stand){NULL, NULL, NULL};
    return status;
}

static enum fp_status settle(struct joining *j, const struct stand *s,
                             const struct fp_moment_row *event, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (s->stored)
        status = put(j, s->joined ? s->joined : s->stored, NULL, -1, err);
    if (status == FP_OK && (s->stored || s->written))
        status = put(j, s->stored ? s->stored : s->written, event, 1, err);
    return status;
}

static enum fp_status walk_stored(struct joining *j, struct fp_moment_row **rows, size_t count,
                                  const struct fp_moment_row *event, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    struct stand s = {NULL, NULL, NULL};
    for (size_t i = 0; i < count && status == FP_OK; i++) {
        if (i && memcmp(rows[i]->record, rows[i - 1]->record, FP_KEY_LEN) != 0) {
            status = settle(j, &s, event, err);
            s = (struct stand){NULL, NULL, NULL};
        }
        if (status == FP_OK && rows[i]->kind == FP_MOMENT_WRITTEN_ROW)
            status = take_written(j, &s, rows[i], err);
        else if (rows[i]->kind == FP_MOMENT_STORED_ROW)
            s.stored = rows[i];
        else if (rows[i]->kind == FP_MOMENT_STORED_JOINED)
            s.joined = rows[i];
    }
    return status == FP_OK ? settle(j, &s, event, err) : status;
}

static enum fp_status walk(struct joining *j, struct fp_moment_row **rows, size_t count,
                           struct fp_error *err)
{
    const struct fp_moment_row *event = NULL, *stored_event = NULL;
    enum fp_status status = FP_OK;
    bool written = false;
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        written |=
            rows[i]->kind == FP_MOMENT_WRITTEN_EVENT || rows[i]->kind == FP_MOMENT_WRITTEN_ROW;
        first += is_event(rows[i]);
        if (rows[i]->kind == FP_MOMENT_EVENT)
            event = later(event, rows[i]);
        else if (is_event(rows[i]))
            stored_event = later(stored_event, rows[i]);
    }
    for (size_t i = first; i < count && status == FP_OK; i++)
        if (rows[i]->kind == FP_MOMENT_ROW)
            status = put(j, rows[i], event, 1, err);
    if (written && status == FP_OK)
        status = walk_stored(j, rows + first, count - first, stored_event, err);
    return status;
}

static enum fp_status look_into(struct joining *j, int bucket, struct fp_error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0, count = 0;
    enum fp_status status = fp_spill_take(&j->d->joins, bucket, &bytes, &len, err);
    for (size_t at = 0; status == FP_OK && at < len; at += j->rows[count++]->size) {
        if (count == j->capacity) {
            j->capacity = j->capacity ? j->capacity * 2 : 1024;
            j->rows = realloc(j->rows, j->capacity * sizeof(struct fp_moment_row *));
            if (j->rows == NULL)
                abort();
        }
        j->rows[count] = (struct fp_moment_row *)(void *)(bytes + at);
    }
    if (count)
        qsort(j->rows, count, sizeof *j->rows, by_place);
    for (size_t i = 0, end; i < count && status == FP_OK; i = end) {
        for (end = i + 1; end < count && by_interaction(j->rows[i], j->rows[end]) == 0;)
            end++;
        status = walk(j, j->rows + i, end - i, err);
    }
    free(bytes);
    return status;
}

enum fp_status fp_moment_join(struct fp_verify_drivers *d, struct fp_error *err)
{
    struct joining j = {.d = d, .room = (struct fp_moment_row *)(void *)d->room};
    enum fp_status status = FP_OK;
    for (int i = 0; i < FP_SPILL_BUCKETS && status == FP_OK; i++)
        status = look_into(&j, i, err);
    free(j.rows);
    return status;
}
