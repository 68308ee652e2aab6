/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/driver_state_parts.h"

static bool add(cx_wide *into, cx_wide a, cx_wide b)
{
    cx_wide product;
    return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*into, product, into);
}

static bool add_row(const struct cx_state_row *row, uint64_t observed,
                    struct cx_state_column *column)
{
    cx_wide times = (cx_wide)row->count * row->weight;
    for (int i = 0; observed; observed &= observed - 1, i++) {
        struct cx_state_column *c = &column[__builtin_ctzll(observed)];
        if (!add(&c->n, row->count, 1) || !add(&c->weight, times, 1) ||
            !add(&c->square, times, row->weight) || !add(&c->sum, times, row->z[i]) ||
            !add(&c->sum_square, times, (cx_wide)row->z[i] * row->z[i]))
            return false;
    }
    return true;
}

static bool add_block(const cx_wide *cell, int q, uint64_t observed, struct cx_state_column *column)
{
    for (int i = 1; observed; observed &= observed - 1, i++) {
        struct cx_state_column *c = &column[__builtin_ctzll(observed)];
        if (!add(&c->n, cell[CX_MOMENTS_N], 1) ||
            !add(&c->square, cell[CX_MOMENTS_WEIGHT_SQUARE], 1) ||
            !add(&c->weight, cell[CX_MOMENTS_WEIGHT], 1) ||
            !add(&c->sum, cell[cx_moments_at(q, 0, i)], 1) ||
            !add(&c->sum_square, cell[cx_moments_at(q, i, i)], 1))
            return false;
    }
    return true;
}

size_t cx_state_columns_work(int columns)
{
    return cx_moments_cells(columns) * sizeof(cx_wide);
}

enum cx_state_status cx_state_columns(const uint8_t *state, size_t len, int columns,
                                      struct cx_state_column *column, void *work)
{
    struct cx_state_reader reader;
    if (!cx_state_open(&reader, state, len, columns))
        return CX_STATE_CORRUPT;
    enum cx_state_step step;
    while ((step = cx_state_next(&reader)) == CX_STATE_STEP_PART) {
        uint64_t observed = reader.key.observed;
        if (reader.distinct == 0) {
            int64_t rows;
            if (!cx_state_read_block(&reader, work, &rows))
                return CX_STATE_CORRUPT;
            if (!add_block(work, reader.q, observed, column))
                return CX_STATE_OVERFLOW;
        }
        for (uint64_t i = 0; i < reader.distinct; i++) {
            struct cx_state_row row;
            if (!cx_state_read_row(&reader, &row))
                return CX_STATE_CORRUPT;
            if (!add_row(&row, observed, column))
                return CX_STATE_OVERFLOW;
        }
    }
    return step == CX_STATE_STEP_END ? CX_STATE_OK : CX_STATE_CORRUPT;
}
