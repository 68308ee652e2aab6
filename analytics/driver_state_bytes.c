/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes of a driver state.
 *
 * Problem: they come back from a database, perhaps damaged, and are read in C. Way: a reader that
 * takes nothing the writer would not have written: order, masks, shortest numbers, no zeros, no
 * rest. What it lets through is a true state, so nobody after it has to check. Hazard: speed; most
 * numbers are one byte, and that way is short. */
#include "analytics/driver_state_parts.h"

typedef unsigned __int128 wide_bits;

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

uint8_t *cx_state_put(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

uint8_t *cx_state_put_part(uint8_t *to, uint64_t observed, uint64_t does_not_apply,
                           uint64_t distinct)
{
    to = cx_state_put(to, observed);
    to = cx_state_put(to, does_not_apply);
    return cx_state_put(to, distinct);
}

uint8_t *cx_state_put_row(uint8_t *to, const struct cx_state_row *row, int q)
{
    for (int i = 0; i < q; i++)
        to = cx_state_put(to, zigzag(row->z[i]));
    to = cx_state_put(to, (uint64_t)row->weight);
    return cx_state_put(to, zigzag(row->count));
}

uint8_t *cx_state_put_block(uint8_t *to, const cx_wide *cell, int q)
{
    size_t cells = cx_moments_cells(q);
    for (size_t i = 0; i < cells; i++) {
        wide_bits value = (wide_bits)cell[i] << 1 ^ (cell[i] < 0 ? ~(wide_bits)0 : 0);
        for (; value >> 64; value >>= 7)
            *to++ = (uint8_t)((uint8_t)value | 0x80);
        to = cx_state_put(to, (uint64_t)value);
    }
    return to;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* More than one byte, or not there. A last byte of zero is one too many. */
static bool read_long(struct cx_state_reader *reader, uint64_t *value)
{
    uint64_t got = 0;
    for (int shift = 0; reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            return false;
        got |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = got;
            return byte > 0 || shift == 0;
        }
    }
    return false;
}

static inline bool read_number(struct cx_state_reader *reader, uint64_t *value)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        *value = *reader->at++;
        return true;
    }
    return read_long(reader, value);
}

static inline bool read_signed(struct cx_state_reader *reader, int64_t *value)
{
    uint64_t bits;
    if (!read_number(reader, &bits))
        return false;
    *value = (int64_t)(bits >> 1 ^ (bits & 1 ? UINT64_MAX : 0));
    return true;
}

/* Most cells end within their first 63 bits, where arithmetic is cheap. */
static bool read_wide(struct cx_state_reader *reader, cx_wide *value)
{
    uint64_t low = 0;
    int shift = 0;
    uint8_t byte = 0x80;
    for (; shift < 63 && byte >= 0x80 && reader->at < reader->end; shift += 7) {
        byte = *reader->at++;
        low |= (uint64_t)(byte & 0x7f) << shift;
    }
    wide_bits got = low;
    for (; byte >= 0x80 && reader->at < reader->end; shift += 7) {
        byte = *reader->at++;
        if (shift == 126 && byte > 3)
            return false;
        got |= (wide_bits)(byte & 0x7f) << shift;
    }
    *value = (cx_wide)(got >> 1 ^ (got & 1 ? ~(wide_bits)0 : 0));
    return byte < 0x80 && (byte > 0 || shift == 7);
}

/* ---- parts ----------------------------------------------------------------------------------- */

bool cx_state_open(struct cx_state_reader *reader, const uint8_t *state, size_t len, int columns)
{
    reader->at = state;
    reader->end = len > 0 ? state + len : state;
    reader->columns = columns;
    reader->started = false;
    reader->key = (struct cx_pattern){0};
    if (len == 0)
        return true;
    if (len <= CX_STATE_HEADER || state[0] != CX_STATE_VERSION || state[1] != columns)
        return false;
    reader->at += CX_STATE_HEADER;
    return true;
}

enum cx_state_step cx_state_next(struct cx_state_reader *reader)
{
    uint64_t observed, absent;
    if (reader->at == reader->end)
        return CX_STATE_STEP_END;
    reader->start = reader->at;
    if (!read_number(reader, &observed) || !read_number(reader, &absent) ||
        !read_number(reader, &reader->distinct))
        return CX_STATE_STEP_CORRUPT;
    bool beyond = reader->columns < CX_COLUMNS_MAX && (observed | absent) >> reader->columns;
    bool after = !reader->started || observed > reader->key.observed ||
                 (observed == reader->key.observed && absent > reader->key.does_not_apply);
    reader->q = cx_mask_count(observed);
    if (beyond || (observed & absent) || !after ||
        reader->distinct > (uint64_t)CX_STATE_RAW_MAX(reader->q))
        return CX_STATE_STEP_CORRUPT;
    reader->key = (struct cx_pattern){observed, absent, NULL};
    reader->started = true;
    reader->seen = 0;
    reader->tally = 0;
    return CX_STATE_STEP_PART;
}

bool cx_state_read_row(struct cx_state_reader *reader, struct cx_state_row *row)
{
    int64_t *value = reader->values[reader->seen % 2];
    const int64_t *before = reader->values[(reader->seen + 1) % 2];
    uint64_t weight;
    int64_t count;
    int q = reader->q, same = 0;
    for (int i = 0; i < q; i++)
        if (!read_signed(reader, &value[i]))
            return false;
    if (!read_number(reader, &weight) || weight == 0 || weight > INT64_MAX ||
        !read_signed(reader, &count))
        return false;
    value[q] = (int64_t)weight;
    while (same <= q && value[same] == before[same])
        same++;
    if (reader->seen > 0 && (same > q || value[same] < before[same]))
        return false;
    const int64_t most = CX_STATE_RAW_MAX(q);
    if (count == 0 || count > most || count < -most)
        return false;
    reader->tally += count < 0 ? -count : count;
    reader->seen++;
    *row = (struct cx_state_row){reader->key.observed, reader->key.does_not_apply, value[q], count,
                                 value};
    return reader->tally <= most;
}

bool cx_state_read_block(struct cx_state_reader *reader, cx_wide *cell, int64_t *rows)
{
    size_t cells = cx_moments_cells(reader->q);
    bool something = false;
    for (size_t i = 0; i < cells; i++) {
        cx_wide value;
        if (!read_wide(reader, &value))
            return false;
        something |= value != 0;
        if (i == CX_MOMENTS_N && (value > INT64_MAX || value < -INT64_MAX))
            return false;
        if (i == CX_MOMENTS_N)
            *rows = (int64_t)value;
        if (cell)
            cell[i] = value;
    }
    return something;
}

bool cx_state_skip(struct cx_state_reader *reader, int64_t *rows)
{
    struct cx_state_row row;
    if (reader->distinct == 0)
        return cx_state_read_block(reader, NULL, rows);
    *rows = 0;
    for (uint64_t i = 0; i < reader->distinct; i++) {
        if (!cx_state_read_row(reader, &row))
            return false;
        *rows += row.count;
    }
    return true;
}
