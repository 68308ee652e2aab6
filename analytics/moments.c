/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact cross-products.
 *
 * Problem: a driver regression over a moving window of late, amended and erased answers, held by
 * several replicas. Way: never keep anything but integer sums; then merge is addition, expiry and
 * erasure are subtraction, and the order of arrival cannot be seen in the result.
 * Hazard: overflow. 128 bits take 2^67 rows of the largest scores; still every add is checked,
 * and one that fails is undone, so a block is always a true state. */
#include "analytics/moments.h"

/* Rows of one pass over the columns: they stay in the first cache. */
#define CHUNK_ROWS 512

size_t cx_moments_cells(int q)
{
    return 2 + (size_t)(q + 1) * (size_t)(q + 2) / 2;
}

size_t cx_moments_at(int q, int i, int j)
{
    if (i > j) {
        int other = i;
        i = j;
        j = other;
    }
    return CX_MOMENTS_WEIGHT + (size_t)i * (size_t)(2 * q + 3 - i) / 2 + (size_t)(j - i);
}

static bool change(cx_wide *cell, cx_wide by, int sign)
{
    cx_wide changed;
    bool over = sign > 0 ? __builtin_add_overflow(*cell, by, &changed)
                         : __builtin_sub_overflow(*cell, by, &changed);
    if (!over)
        *cell = changed;
    return !over;
}

/* Adds w·z_i·z_j of one row, cell after cell; returns the number of cells done. */
static size_t apply(cx_wide *cell, int q, const int64_t *z, int64_t weight, int sign)
{
    size_t done = CX_MOMENTS_WEIGHT;
    for (int i = 0; i <= q; i++) {
        cx_wide left = i == 0 ? weight : (cx_wide)weight * z[i - 1];
        for (int j = i; j <= q; j++) {
            cx_wide term = left;
            cx_wide right = j == 0 ? 1 : z[j - 1];
            if (__builtin_mul_overflow(left, right, &term) || !change(&cell[done], term, sign))
                return done;
            done++;
        }
    }
    return done;
}

static void take_back(cx_wide *cell, int q, const int64_t *z, int64_t weight, int sign, size_t done)
{
    size_t at = CX_MOMENTS_WEIGHT;
    for (int i = 0; i <= q && at < done; i++)
        for (int j = i; j <= q && at < done; j++, at++) {
            cx_wide term = (cx_wide)weight * (i == 0 ? 1 : z[i - 1]) * (j == 0 ? 1 : z[j - 1]);
            change(&cell[at], term, -sign);
        }
}

bool cx_moments_add(cx_wide *cell, int q, const int64_t *z, int64_t weight, int sign)
{
    if (weight == 0)
        return true;
    cx_wide n = cell[CX_MOMENTS_N], square = cell[CX_MOMENTS_WEIGHT_SQUARE];
    if (!change(&n, 1, sign) || !change(&square, (cx_wide)weight * weight, sign))
        return false;
    size_t done = apply(cell, q, z, weight, sign);
    if (done < cx_moments_cells(q)) {
        take_back(cell, q, z, weight, sign, done);
        return false;
    }
    cell[CX_MOMENTS_N] = n;
    cell[CX_MOMENTS_WEIGHT_SQUARE] = square;
    return true;
}

bool cx_moments_merge(cx_wide *into, const cx_wide *from, int q, int sign)
{
    size_t cells = cx_moments_cells(q);
    for (size_t i = 0; i < cells; i++)
        if (!change(&into[i], from[i], sign)) {
            while (i-- > 0)
                change(&into[i], from[i], -sign);
            return false;
        }
    return true;
}

/* Largest |value|; a column of nothing but zeros counts as 1 so that it can divide. */
static int64_t largest(const int32_t *column, size_t rows)
{
    int32_t low = 0, high = 0;
    for (size_t r = 0; r < rows; r++) {
        low = column[r] < low ? column[r] : low;
        high = column[r] > high ? column[r] : high;
    }
    int64_t most = -(int64_t)low > high ? -(int64_t)low : high;
    return most > 0 ? most : 1;
}

static int64_t sum(const int32_t *a, size_t rows)
{
    int64_t total = 0;
    for (size_t r = 0; r < rows; r++)
        total += a[r];
    return total;
}

static int64_t dot(const int32_t *a, const int32_t *b, size_t rows)
{
    int64_t total = 0;
    for (size_t r = 0; r < rows; r++)
        total += (int64_t)a[r] * b[r];
    return total;
}

/* Scores are small: their products over a chunk fit 32 bits, twice as many to a vector. */
static int64_t dot_small(const int32_t *a, const int32_t *b, size_t rows)
{
    int32_t total = 0;
    for (size_t r = 0; r < rows; r++)
        total += a[r] * b[r];
    return total;
}

/* Per pair of columns the narrowest sums that cannot overflow, by the largest values present. */
static bool add_chunk(cx_wide *cell, int q, const int32_t *const *column, size_t from, size_t rows)
{
    int64_t most[CX_COLUMNS_MAX];
    for (int i = 0; i < q; i++)
        most[i] = largest(column[i] + from, rows);
    cell[CX_MOMENTS_N] += rows;
    cell[CX_MOMENTS_WEIGHT_SQUARE] += rows;
    cell[CX_MOMENTS_WEIGHT] += rows;
    for (int i = 0; i < q; i++) {
        const int32_t *a = column[i] + from;
        if (!change(&cell[cx_moments_at(q, 0, i + 1)], sum(a, rows), 1))
            return false;
        cx_wide *to = &cell[cx_moments_at(q, i + 1, i + 1)];
        for (int j = i; j < q; j++, to++) {
            const int32_t *b = column[j] + from;
            int64_t product = most[i] * most[j];
            int64_t term = 0;
            if (product <= INT32_MAX / (int64_t)rows)
                term = dot_small(a, b, rows);
            else if (product <= INT64_MAX / (int64_t)rows)
                term = dot(a, b, rows);
            else
                for (size_t r = 0; r < rows; r++)
                    if (!change(to, (cx_wide)a[r] * b[r], 1))
                        return false;
            if (!change(to, term, 1))
                return false;
        }
    }
    return true;
}

/* A chunk changes a cell by less than 2^71: cells that far from the edge cannot overflow, so one
 * look before the chunk keeps "unchanged on failure". */
static bool has_room(const cx_wide *cell, int q, size_t rows)
{
    const cx_wide edge = ((cx_wide)1 << 126) - ((cx_wide)rows << 62);
    size_t cells = cx_moments_cells(q);
    for (size_t i = 0; i < cells; i++)
        if (cell[i] >= edge || cell[i] <= -edge)
            return false;
    return true;
}

bool cx_moments_add_columns(cx_wide *cell, int q, const int32_t *const *column, size_t rows)
{
    if (rows > (size_t)1 << 48 || !has_room(cell, q, rows))
        return false;
    for (size_t from = 0; from < rows; from += CHUNK_ROWS) {
        size_t chunk = rows - from < CHUNK_ROWS ? rows - from : CHUNK_ROWS;
        if (!add_chunk(cell, q, column, from, chunk))
            return false;
    }
    return true;
}

void cx_moments_select(cx_wide *into, const cx_wide *from, int q, const int *keep, int kept)
{
    into[CX_MOMENTS_N] = from[CX_MOMENTS_N];
    into[CX_MOMENTS_WEIGHT_SQUARE] = from[CX_MOMENTS_WEIGHT_SQUARE];
    cx_wide *to = &into[CX_MOMENTS_WEIGHT];
    for (int i = 0; i <= kept; i++)
        for (int j = i; j <= kept; j++)
            *to++ =
                from[cx_moments_at(q, i == 0 ? 0 : keep[i - 1] + 1, j == 0 ? 0 : keep[j - 1] + 1)];
}

bool cx_moments_narrow(int64_t *stored, const cx_wide *cell, size_t cells)
{
    for (size_t i = 0; i < cells; i++)
        if (cell[i] > INT64_MAX || cell[i] < INT64_MIN)
            return false;
    for (size_t i = 0; i < cells; i++)
        stored[i] = (int64_t)cell[i];
    return true;
}

void cx_moments_widen(cx_wide *cell, const int64_t *stored, size_t cells)
{
    for (size_t i = 0; i < cells; i++)
        cell[i] = stored[i];
}
