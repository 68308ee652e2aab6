/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows → a block of exact sums.
 *
 * Rows of weight 1 whose values fit 32 bits, which is nearly all of them, wait until there are
 * enough for cx_moments_add_columns; the others are added one at a time, with their count as a
 * factor. Integers add in any order, so it cannot be seen in the block which way a row went. */
#include "analytics/driver_state_parts.h"

/* A row of more copies than this is multiplied, not repeated. */
#define REPEAT_MAX 4

enum { ADD, TAKE_AWAY };

size_t cx_sum_bytes(int columns)
{
    return cx_moments_cells(columns) * sizeof(cx_wide) +
           2 * CX_SUM_ROWS * (size_t)columns * sizeof(int32_t);
}

void cx_sum_init(struct cx_sum *sum, int columns, void *memory)
{
    *sum = (struct cx_sum){.spare = memory};
    sum->column[ADD] = (int32_t *)(sum->spare + cx_moments_cells(columns));
    sum->column[TAKE_AWAY] = sum->column[ADD] + CX_SUM_ROWS * (size_t)columns;
}

void cx_sum_start(struct cx_sum *sum, cx_wide *cell, int q)
{
    sum->cell = cell;
    sum->q = q;
    sum->waiting[ADD] = sum->waiting[TAKE_AWAY] = 0;
}

static void clear(cx_wide *cell, int q)
{
    size_t cells = cx_moments_cells(q);
    for (size_t i = 0; i < cells; i++)
        cell[i] = 0;
}

static bool flush(struct cx_sum *sum, int which)
{
    const int32_t *column[CX_COLUMNS_MAX];
    size_t rows = sum->waiting[which];
    if (rows == 0)
        return true;
    for (int i = 0; i < sum->q; i++)
        column[i] = sum->column[which] + (size_t)i * CX_SUM_ROWS;
    sum->waiting[which] = 0;
    clear(sum->spare, sum->q);
    return cx_moments_add_columns(sum->spare, sum->q, column, rows) &&
           cx_moments_merge(sum->cell, sum->spare, sum->q, which == ADD ? 1 : -1);
}

static bool add_alone(struct cx_sum *sum, const struct cx_state_row *row)
{
    size_t cells = cx_moments_cells(sum->q);
    if (row->count == 1 || row->count == -1)
        return cx_moments_add(sum->cell, sum->q, row->z, row->weight, (int)row->count);
    clear(sum->spare, sum->q);
    if (!cx_moments_add(sum->spare, sum->q, row->z, row->weight, 1))
        return false;
    for (size_t i = 0; i < cells; i++)
        if (__builtin_mul_overflow(sum->spare[i], (cx_wide)row->count, &sum->spare[i]))
            return false;
    return cx_moments_merge(sum->cell, sum->spare, sum->q, 1);
}

static bool may_wait(const struct cx_sum *sum, const struct cx_state_row *row)
{
    uint64_t beyond = 0;
    if (row->weight != 1 || row->count > REPEAT_MAX || row->count < -REPEAT_MAX)
        return false;
    for (int i = 0; i < sum->q; i++)
        beyond |= ((uint64_t)row->z[i] + (UINT64_C(1) << 31)) >> 32;
    return beyond == 0;
}

bool cx_sum_row(struct cx_sum *sum, const struct cx_state_row *row)
{
    if (!may_wait(sum, row))
        return add_alone(sum, row);
    int which = row->count < 0 ? TAKE_AWAY : ADD;
    int64_t copies = row->count < 0 ? -row->count : row->count;
    for (; copies > 0; copies--) {
        int32_t *to = sum->column[which] + sum->waiting[which]++;
        for (int i = 0; i < sum->q; i++)
            to[(size_t)i * CX_SUM_ROWS] = (int32_t)row->z[i];
        if (sum->waiting[which] == CX_SUM_ROWS && !flush(sum, which))
            return false;
    }
    return true;
}

bool cx_sum_finish(struct cx_sum *sum)
{
    return flush(sum, ADD) && flush(sum, TAKE_AWAY);
}
