/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of driver_state.h share: its bytes, and sums over many rows.
 *
 *   state   = version, columns (a byte each), then parts ascending by (observed, does_not_apply)
 *   part    = observed, does_not_apply, distinct rows r, then r rows or, with r = 0, a block
 *   row     = values, weight, count; rows ascending by (values, weight)
 *   block   = the cells of moments.h
 *
 * Numbers are varints (7 bits a byte, low ones first, in as few bytes as they need), signed ones
 * zig-zag. Nothing that is zero is kept: no count, no block, no state without parts. So there is
 * one way to write a set of parts, and anything else is corrupt. */
#ifndef CX_DRIVER_STATE_PARTS_H
#define CX_DRIVER_STATE_PARTS_H

#include "analytics/driver_state.h"

#define CX_STATE_VERSION 1
#define CX_STATE_HEADER 2        /* bytes */
#define CX_STATE_PART_BYTES 30   /* at most, before rows or block */
#define CX_STATE_NUMBER_BYTES 10 /* at most, of 64 bits */
#define CX_STATE_CELL_BYTES 19   /* at most, of 128 bits */

/* ---- writing: each returns where the next byte goes ------------------------------------------ */

uint8_t *cx_state_put(uint8_t *to, uint64_t value);
uint8_t *cx_state_put_part(uint8_t *to, uint64_t observed, uint64_t does_not_apply,
                           uint64_t distinct);
uint8_t *cx_state_put_row(uint8_t *to, const struct cx_state_row *row, int q);
uint8_t *cx_state_put_block(uint8_t *to, const cx_wide *cell, int q);

/* ---- reading: never beyond the end, and only what the writer would have written -------------- */

enum cx_state_step { CX_STATE_STEP_PART, CX_STATE_STEP_END, CX_STATE_STEP_CORRUPT };

struct cx_state_reader {
    const uint8_t *at, *end;
    int columns, q;        /* q: columns of the part */
    const uint8_t *start;  /* of the part */
    struct cx_pattern key; /* of the part; its cell is not used */
    uint64_t distinct;     /* rows of the part; 0: a block */
    uint64_t seen;         /* rows read of it */
    int64_t tally;         /* Σ |count| of them */
    bool started;
    int64_t values[2][CX_COLUMNS_MAX + 1]; /* this row and the one before: values, weight */
};

/* False: not the start of a state of so many columns. Nothing (len 0) is an empty state. */
bool cx_state_open(struct cx_state_reader *reader, const uint8_t *state, size_t len, int columns);
/* To the next part. The one before must have been read to its end. */
enum cx_state_step cx_state_next(struct cx_state_reader *reader);
/* The next of `distinct` rows; z is valid until the row after the next. False: corrupt. */
bool cx_state_read_row(struct cx_state_reader *reader, struct cx_state_row *row);
/* The block; NULL goes past it. *rows: its N. False: corrupt. */
bool cx_state_read_block(struct cx_state_reader *reader, cx_wide *cell, int64_t *rows);
/* Past the part, whatever it is; *rows: Σ count. False: corrupt. */
bool cx_state_skip(struct cx_state_reader *reader, int64_t *rows);

/* ---- rows → a block: rows of weight 1 and small values wait for each other ------------------- */

#define CX_SUM_ROWS 256

struct cx_sum {
    cx_wide *cell; /* of q columns: the sums */
    int q;
    cx_wide *spare;     /* a block */
    int32_t *column[2]; /* columns × CX_SUM_ROWS of rows to add, to take away */
    size_t waiting[2];
};

size_t cx_sum_bytes(int columns);
/* memory: cx_sum_bytes, 16-byte aligned. */
void cx_sum_init(struct cx_sum *sum, int columns, void *memory);
/* The rows that follow are added to cell, which holds a block of q columns. */
void cx_sum_start(struct cx_sum *sum, cx_wide *cell, int q);
/* False: a cell would overflow; cell is then of no use. */
bool cx_sum_row(struct cx_sum *sum, const struct cx_state_row *row);
bool cx_sum_finish(struct cx_sum *sum);

#endif
