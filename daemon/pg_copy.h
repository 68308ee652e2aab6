/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows in the format of COPY … (FORMAT binary) (PostgreSQL's manual: COPY, File Formats, Binary):
 * the cheapest way into a table that needs no ON CONFLICT. Beside INSERT … SELECT FROM unnest(…)
 * PostgreSQL saves a tuple store, the parsing of arrays written as text, and most of the WAL's
 * overhead, since it fills a page at a time.
 *
 * Each row says how many fields it has; exactly so many are put, in the order of the COPY's columns
 * and of their types, without a cast. A struct that is all zero is empty. Ownership: it owns its
 * bytes. Threads: none; caller serialises. */
#ifndef FP_PG_COPY_H
#define FP_PG_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/slice.h"

struct fp_pg_copy {
    uint8_t *data;
    size_t len, capacity; /* whoever sends the bytes sets len to 0 */
    bool failed;          /* no memory, or a value too long for the format: nothing is put since */
};

void fp_pg_copy_start(struct fp_pg_copy *copy); /* before the first row */
void fp_pg_copy_row(struct fp_pg_copy *copy, int fields);
void fp_pg_copy_finish(struct fp_pg_copy *copy); /* after the last row */
void fp_pg_copy_free(struct fp_pg_copy *copy);

/* One field each. */
void fp_pg_copy_int2(struct fp_pg_copy *copy, int16_t value);
void fp_pg_copy_int4(struct fp_pg_copy *copy, int32_t value);
void fp_pg_copy_time(struct fp_pg_copy *copy, int64_t unix_us);                /* timestamptz */
void fp_pg_copy_bytes(struct fp_pg_copy *copy, const void *bytes, size_t len); /* text, bytea */
void fp_pg_copy_slice(struct fp_pg_copy *copy, struct fp_slice text);          /* NULL: absent */
void fp_pg_copy_int2s(struct fp_pg_copy *copy, const int16_t *values, uint32_t count); /* int2[] */
void fp_pg_copy_int8s(struct fp_pg_copy *copy, const int64_t *values, uint32_t count); /* int8[] */
void fp_pg_copy_null(struct fp_pg_copy *copy);

#endif
