/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows for COPY. A million rows a minute go through here: each field takes its room once and is
 * written in place, big-endian, after its length. What fails (no memory, a value beyond the format)
 * leaves the row half put, so nothing is put from then on, and whoever sends looks at `failed`
 * before the bytes. */
#include "daemon/pg_copy.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pg_param.h"

#define CAPACITY_MIN 131072
#define INT2_OID 21
#define INT8_OID 20

/* The signature ends with a zero byte; then 32 bits of flags, and the length of no extension. */
static const uint8_t header[19] = "PGCOPY\n\377\r\n";

static uint8_t *room(struct fp_pg_copy *copy, size_t more)
{
    if (copy->failed)
        return NULL;
    if (copy->len + more > copy->capacity) {
        size_t capacity = copy->capacity ? copy->capacity : CAPACITY_MIN;
        while (capacity < copy->len + more)
            capacity *= 2;
        uint8_t *data = capacity > INT32_MAX ? NULL : realloc(copy->data, capacity);
        if (data == NULL) {
            copy->failed = true;
            return NULL;
        }
        copy->data = data;
        copy->capacity = capacity;
    }
    uint8_t *at = copy->data + copy->len;
    copy->len += more;
    return at;
}

/* Each writes a value, and returns where the next goes. */
static uint8_t *be16(uint8_t *at, uint16_t v)
{
    v = htobe16(v);
    return (uint8_t *)memcpy(at, &v, 2) + 2;
}

static uint8_t *be32(uint8_t *at, uint32_t v)
{
    v = htobe32(v);
    return (uint8_t *)memcpy(at, &v, 4) + 4;
}

static uint8_t *be64(uint8_t *at, uint64_t v)
{
    v = htobe64(v);
    return (uint8_t *)memcpy(at, &v, 8) + 8;
}

void fp_pg_copy_free(struct fp_pg_copy *copy)
{
    free(copy->data);
    *copy = (struct fp_pg_copy){0};
}

void fp_pg_copy_start(struct fp_pg_copy *copy)
{
    uint8_t *at = room(copy, sizeof header);
    if (at)
        memcpy(at, header, sizeof header);
}

void fp_pg_copy_row(struct fp_pg_copy *copy, int fields)
{
    uint8_t *at = room(copy, 2);
    if (at)
        be16(at, (uint16_t)fields);
}

void fp_pg_copy_finish(struct fp_pg_copy *copy)
{
    fp_pg_copy_row(copy, -1);
}

/* ---- fields: the length in bytes, then so many ----------------------------------------------- */

void fp_pg_copy_int2(struct fp_pg_copy *copy, int16_t value)
{
    uint8_t *at = room(copy, 6);
    if (at)
        be16(be32(at, 2), (uint16_t)value);
}

void fp_pg_copy_int4(struct fp_pg_copy *copy, int32_t value)
{
    uint8_t *at = room(copy, 8);
    if (at)
        be32(be32(at, 4), (uint32_t)value);
}

void fp_pg_copy_time(struct fp_pg_copy *copy, int64_t unix_us)
{
    uint8_t *at = room(copy, 12);
    if (at)
        be64(be32(at, 8), (uint64_t)(unix_us - FP_PG_EPOCH_US));
}

void fp_pg_copy_bytes(struct fp_pg_copy *copy, const void *bytes, size_t len)
{
    copy->failed |= len > INT32_MAX;
    uint8_t *at = room(copy, 4 + len);
    if (at == NULL)
        return;
    at = be32(at, (uint32_t)len);
    if (len)
        memcpy(at, bytes, len);
}

void fp_pg_copy_slice(struct fp_pg_copy *copy, struct fp_slice text)
{
    if (text.at == NULL)
        fp_pg_copy_null(copy);
    else
        fp_pg_copy_bytes(copy, text.at, text.len);
}

void fp_pg_copy_null(struct fp_pg_copy *copy)
{
    uint8_t *at = room(copy, 4);
    if (at)
        be32(at, UINT32_MAX); /* −1 */
}

/* The head of an array: dimensions, no nulls, element type, and of its one dimension the length and
 * the first index. An empty array has no dimension. */
static uint8_t *array(struct fp_pg_copy *copy, uint32_t oid, size_t width, uint32_t count)
{
    size_t len = count ? 20 + count * (4 + width) : 12;
    uint8_t *at = room(copy, 4 + len);
    if (at == NULL)
        return NULL;
    at = be32(be32(be32(be32(at, (uint32_t)len), count > 0), 0), oid);
    return count ? be32(be32(at, count), 1) : at;
}

void fp_pg_copy_int2s(struct fp_pg_copy *copy, const int16_t *values, uint32_t count)
{
    uint8_t *at = array(copy, INT2_OID, 2, count);
    for (uint32_t i = 0; at && i < count; i++)
        at = be16(be32(at, 2), (uint16_t)values[i]);
}

void fp_pg_copy_int8s(struct fp_pg_copy *copy, const int64_t *values, uint32_t count)
{
    uint8_t *at = array(copy, INT8_OID, 8, count);
    for (uint32_t i = 0; at && i < count; i++)
        at = be64(be32(at, 8), (uint64_t)values[i]);
}
