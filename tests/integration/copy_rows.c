/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of every kind put into table kinds (i, h, z, t, b, hs, ls) by COPY within a flight: what
 * test_new_responses.py reads back.
 *
 *   copy_rows <conninfo> <rows>
 *
 * Row 0: the least values, text of all lengths in UTF-8; 1: the greatest, all that can be empty; 2:
 * NULL where it may be; 3: a text of 3,000,000 bytes; the others by their number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pg.h"

#define DEADLINE_MS 20000
#define LARGE 3000000
#define LENGTHS 50

static char large[LARGE];

struct rows {
    int next, count;
};

static void put_extremes(struct fp_pg_copy *copy, int32_t i)
{
    static const int16_t narrow[] = {1, -1, INT16_MIN, INT16_MAX};
    static const int64_t wide[] = {INT64_MIN, INT64_MAX, 0};
    fp_pg_copy_int2(copy, i == 0 ? INT16_MIN : INT16_MAX);
    fp_pg_copy_time(copy, i == 0 ? 0 : INT64_C(4102444799999999));
    fp_pg_copy_slice(copy, fp_slice_of(i == 0 ? "é€😀\n\t\\\"\\." : ""));
    fp_pg_copy_bytes(copy, "\0\200\377", i == 0 ? 3 : 0);
    fp_pg_copy_int2s(copy, narrow, i == 0 ? 4 : 0);
    fp_pg_copy_int8s(copy, wide, i == 0 ? 3 : 0);
}

static void put_ordinary(struct fp_pg_copy *copy, int32_t i)
{
    int16_t narrow[LENGTHS];
    int64_t wide[LENGTHS];
    uint32_t length = (uint32_t)i % LENGTHS;
    for (int k = 0; k < LENGTHS; k++) {
        narrow[k] = (int16_t)(k - i % 100);
        wide[k] = ((int64_t)i << 32) - k;
    }
    fp_pg_copy_int2(copy, (int16_t)(i % 1000 - 500));
    fp_pg_copy_time(copy, INT64_C(946684800000000) + (int64_t)(i - 1000) * 1000001);
    fp_pg_copy_bytes(copy, large, i == 3 ? LARGE : (size_t)i % 300);
    fp_pg_copy_bytes(copy, &i, length ? sizeof i : 0);
    fp_pg_copy_int2s(copy, narrow, length);
    fp_pg_copy_int8s(copy, wide, LENGTHS - length);
}

static bool next_row(void *context, struct fp_pg_copy *copy)
{
    struct rows *rows = context;
    int32_t i = rows->next++;
    if (i >= rows->count)
        return false;
    fp_pg_copy_row(copy, 7);
    fp_pg_copy_int4(copy, i == 0 ? INT32_MIN : i == 1 ? INT32_MAX : i);
    if (i < 2)
        put_extremes(copy, i);
    else if (i > 2)
        put_ordinary(copy, i);
    for (int k = 0; i == 2 && k < 6; k++)
        fp_pg_copy_null(copy);
    return true;
}

int main(int argc, char **argv)
{
    struct fp_pg *pg = NULL;
    struct fp_error err = {"", "", ""};
    if (argc != 3)
        return 2;
    struct rows rows = {.count = atoi(argv[2])};
    struct fp_pg_rows source = {next_row, &rows};
    memset(large, 'x', sizeof large);
    enum fp_status status = fp_pg_open(argv[1], NULL, "copy_rows", DEADLINE_MS, &pg, &err);
    if (status == FP_OK)
        status = fp_pg_flight_begin(pg, &err);
    if (status == FP_OK)
        status = fp_pg_flight_run(pg, false, DEADLINE_MS, NULL, 0, &err);
    if (status == FP_OK)
        status = fp_pg_flight_copy(pg, "COPY kinds FROM STDIN (FORMAT binary)", &source,
                                   DEADLINE_MS, &err);
    if (status == FP_OK)
        status = fp_pg_flight_run(pg, true, DEADLINE_MS, NULL, 0, &err);
    if (status != FP_OK)
        fprintf(stderr, "%s: %s: %s\n", fp_status_name(status), err.code, err.what);
    fp_pg_close(pg);
    return status == FP_OK ? 0 : 1;
}
