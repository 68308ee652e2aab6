/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parameters of statements in PostgreSQL's binary format (documentation of protocol 3.0 and of the
 * types' send functions): big-endian; an array is its header and its elements, each after its
 * length. Threads: none; caller serialises. */
#ifndef FP_PG_PARAM_H
#define FP_PG_PARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/slice.h"

#define FP_PG_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in µs since 1970 */

enum fp_pg_type {
    FP_PG_INT2,
    FP_PG_INT4,
    FP_PG_INT8,
    FP_PG_TEXT,
    FP_PG_BYTEA,
    FP_PG_TIMESTAMPTZ,
    FP_PG_BOOL,
    FP_PG_FLOAT8,
    FP_PG_UUID
};

/* One growing parameter: a scalar, or a one-dimensional array built value by value. */
struct fp_pg_param {
    enum fp_pg_type type;
    bool array, is_null;
    uint32_t count; /* elements of an array */
    bool has_null;
    uint8_t *data;
    size_t len, capacity;
    bool failed; /* no memory; the statement is then refused */
};

void fp_pg_param_init(struct fp_pg_param *param, enum fp_pg_type type, bool array);
void fp_pg_param_reset(struct fp_pg_param *param); /* empties, keeps the memory */
void fp_pg_param_free(struct fp_pg_param *param);
void fp_pg_put_int(struct fp_pg_param *param, int64_t value);    /* int2/4/8, bool */
void fp_pg_put_time(struct fp_pg_param *param, int64_t unix_us); /* timestamptz */
void fp_pg_put_double(struct fp_pg_param *param, double value);
void fp_pg_put_bytes(struct fp_pg_param *param, const void *bytes,
                     size_t len);                                      /* text, bytea, uuid */
void fp_pg_put_slice(struct fp_pg_param *param, struct fp_slice text); /* NULL when absent */
void fp_pg_put_null(struct fp_pg_param *param);
/* Before it is sent: an array's header is written. element_oid: the type's. */
void fp_pg_param_seal(struct fp_pg_param *param, uint32_t element_oid);

#endif
