/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/pg_param.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_HEADER 20 /* ndim, has_null, oid, length, lower bound */

static uint8_t *param_room(struct fp_pg_param *p, size_t more)
{
    if (p->failed)
        return NULL;
    if (p->len + more > p->capacity) {
        size_t capacity = p->capacity ? p->capacity : 64;
        while (capacity < p->len + more)
            capacity *= 2;
        uint8_t *data = capacity > INT32_MAX ? NULL : realloc(p->data, capacity);
        if (data == NULL) {
            p->failed = true;
            return NULL;
        }
        p->data = data;
        p->capacity = capacity;
    }
    uint8_t *at = p->data + p->len;
    p->len += more;
    return at;
}

static void be32(uint8_t *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, 4);
}

void fp_pg_param_init(struct fp_pg_param *param, enum fp_pg_type type, bool array)
{
    *param = (struct fp_pg_param){.type = type, .array = array};
    fp_pg_param_reset(param);
}

void fp_pg_param_reset(struct fp_pg_param *param)
{
    param->len = 0;
    param->count = 0;
    param->failed = false;
    param->has_null = false;
    param->is_null = !param->array;
    if (param->array)
        param_room(param, ARRAY_HEADER);
}

void fp_pg_param_free(struct fp_pg_param *param)
{
    free(param->data);
    *param = (struct fp_pg_param){0};
}

/* Room for one value of `len` bytes, with its length word when it is an array element. */
static uint8_t *value_room(struct fp_pg_param *p, size_t len)
{
    if (len > INT32_MAX) {
        p->failed = true;
        return NULL;
    }
    uint8_t *at = param_room(p, len + (p->array ? 4 : 0));
    p->is_null = false;
    p->count++;
    if (at && p->array) {
        be32(at, (uint32_t)len);
        at += 4;
    }
    return at;
}

void fp_pg_put_int(struct fp_pg_param *param, int64_t value)
{
    size_t width = param->type == FP_PG_INT2   ? 2
                   : param->type == FP_PG_INT4 ? 4
                   : param->type == FP_PG_BOOL ? 1
                                               : 8;
    uint64_t be = htobe64((uint64_t)value);
    uint8_t *at = value_room(param, width);
    if (at)
        memcpy(at, (uint8_t *)&be + (8 - width), width);
}

void fp_pg_put_time(struct fp_pg_param *param, int64_t unix_us)
{
    uint64_t be = htobe64((uint64_t)(unix_us - FP_PG_EPOCH_US));
    uint8_t *at = value_room(param, 8);
    if (at)
        memcpy(at, &be, 8);
}

void fp_pg_put_double(struct fp_pg_param *param, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    bits = htobe64(bits);
    uint8_t *at = value_room(param, 8);
    if (at)
        memcpy(at, &bits, 8);
}

void fp_pg_put_bytes(struct fp_pg_param *param, const void *bytes, size_t len)
{
    uint8_t *at = value_room(param, len);
    if (at && len)
        memcpy(at, bytes, len);
}

void fp_pg_put_slice(struct fp_pg_param *param, struct fp_slice text)
{
    if (text.at == NULL)
        fp_pg_put_null(param);
    else
        fp_pg_put_bytes(param, text.at, text.len);
}

void fp_pg_put_null(struct fp_pg_param *param)
{
    param->has_null = true;
    if (!param->array) {
        param->is_null = true;
        return;
    }
    uint8_t *at = param_room(param, 4);
    if (at)
        be32(at, UINT32_MAX);
    param->count++;
}

void fp_pg_param_seal(struct fp_pg_param *param, uint32_t element_oid)
{
    struct fp_pg_param *p = param;
    if (!p->array || p->failed)
        return;
    be32(p->data, p->count ? 1 : 0);
    be32(p->data + 4, p->has_null);
    be32(p->data + 8, element_oid);
    be32(p->data + 12, p->count);
    be32(p->data + 16, 1);
    if (p->count == 0)
        p->len = 12; /* an empty array has no dimensions */
}
