/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/params.h"

void fp_params_init(struct fp_params *params, const char *types)
{
    static const char letters[] = "hiltbzodu";
    static const enum fp_pg_type type[] = {FP_PG_INT2, FP_PG_INT4,   FP_PG_INT8,
                                           FP_PG_TEXT, FP_PG_BYTEA,  FP_PG_TIMESTAMPTZ,
                                           FP_PG_BOOL, FP_PG_FLOAT8, FP_PG_UUID};
    params->count = 0;
    for (const char *t = types; *t; t++, params->count++) {
        bool array = *t >= 'A' && *t <= 'Z';
        const char *at = strchr(letters, array ? *t + ('a' - 'A') : *t);
        fp_pg_param_init(&params->at[params->count], type[at - letters], array);
        params->ref[params->count] = &params->at[params->count];
    }
}

void fp_params_free(struct fp_params *params)
{
    for (size_t i = 0; i < params->count; i++)
        fp_pg_param_free(&params->at[i]);
    params->count = 0;
}
