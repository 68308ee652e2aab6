/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parameters of one statement, made from a short text and freed as a whole.
 * Threads: none; caller serialises. */
#ifndef FP_PARAMS_H
#define FP_PARAMS_H

#include "daemon/pg.h"

#define FP_PARAMS_MAX 40
struct fp_params {
    struct fp_pg_param at[FP_PARAMS_MAX];
    struct fp_pg_param *ref[FP_PARAMS_MAX];
    size_t count;
};
/* types: one letter a parameter — lower case scalar, upper case array: h int2, i int4, l int8, t
 * text, b bytea, z timestamptz, u uuid, o bool, d float8. */
void fp_params_init(struct fp_params *params, const char *types);
void fp_params_free(struct fp_params *params);

#endif
