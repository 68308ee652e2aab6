/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Exact cross-products of q integer columns, the state behind a driver model: integers that add.
 * A block is an array of cx_moments_cells(q) cells:
 *   cell[0] = n, rows;  cell[1] = Σw²;  then Σ w·z_i·z_j for 0 ≤ i ≤ j ≤ q with z_0 = 1, row by
 * row, so cell[2] = Σw. All zero = empty. Cells are 128 bits wide; the stored form is 64 bits.
 * Merging is adding cells, so a state is the same to the bit in any order and any sharding, and
 * what was added can be taken away again.
 * Memory: the caller's. Errors: false when a cell would overflow; the block is then unchanged.
 * Threads: none; caller serialises. */
#ifndef CX_MOMENTS_H
#define CX_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __int128 cx_wide;

#define CX_COLUMNS_MAX 64 /* drivers and the outcome: a pattern is one bit a column */

enum { CX_MOMENTS_N, CX_MOMENTS_WEIGHT_SQUARE, CX_MOMENTS_WEIGHT };

/* Columns in a mask; the compiler's own would call its runtime library. */
static inline int cx_mask_count(uint64_t mask)
{
    mask -= mask >> 1 & UINT64_C(0x5555555555555555);
    mask = (mask & UINT64_C(0x3333333333333333)) + (mask >> 2 & UINT64_C(0x3333333333333333));
    mask = (mask + (mask >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int)(mask * UINT64_C(0x0101010101010101) >> 56);
}

/* 2 + (q + 1)(q + 2)/2 */
size_t cx_moments_cells(int q);
/* Cell of Σ w·z_i·z_j; 0 ≤ i, j ≤ q in any order, 0 stands for the constant. */
size_t cx_moments_at(int q, int i, int j);

/* One row z[0 … q-1] of weight ≥ 0 (0 is a no-op). sign +1 adds, −1 takes away. */
bool cx_moments_add(cx_wide *cell, int q, const int64_t *z, int64_t weight, int sign);
/* Adds (sign +1) or takes away (−1) a whole block. */
bool cx_moments_merge(cx_wide *into, const cx_wide *from, int q, int sign);

/* Many rows of weight 1 at once: column[i][r], r < rows; the same state as row by row, faster:
 * sums run over a column at a time in 64 bits and are checked when they meet the block. */
bool cx_moments_add_columns(cx_wide *cell, int q, const int32_t *const *column, size_t rows);

/* The columns keep[0 … kept-1] (ascending) of a block of q; into is overwritten. */
void cx_moments_select(cx_wide *into, const cx_wide *from, int q, const int *keep, int kept);

/* To and from the stored form. Narrowing is false when a cell does not fit 64 bits. */
bool cx_moments_narrow(int64_t *stored, const cx_wide *cell, size_t cells);
void cx_moments_widen(cx_wide *cell, const int64_t *stored, size_t cells);

#endif
