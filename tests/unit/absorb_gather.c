/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows sorted into states: which segments a row is part of, equal rows in one, cancelled ones in
 * none, and the order in which states are written. And bytea columns that are none. */
#include "daemon/absorb_gather.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "daemon/pg.h"
#include "pg_server.h"

static struct fp_driver_model model = {.id = "m"};
static struct fp_fitting fitting = {.model = &model, .columns = 3};
static struct fp_gather gather;

static void start(void)
{
    fitting.segments = (1U << FP_SEGMENTS) - 1;
    fp_gather_init(&gather, &fitting);
}

static void end(void)
{
    fp_gather_free(&gather);
}

TestSuite(absorb_gather, .init = start, .fini = end, .timeout = 60);

static struct fp_driver_row row(int day, int unit, int answer)
{
    return (struct fp_driver_row){.sign = 1,
                                  .day = day,
                                  .unit = unit,
                                  .journey = 4,
                                  .weight = 1,
                                  .observed = 5,
                                  .z = {answer, 0, 9}};
}

Test(absorb_gather, a_row_is_part_of_its_segments)
{
    struct fp_driver_row r = row(10, 7, 3);
    r.group = 6;
    fp_gather_add(&gather, &r, 1);
    fp_gather_group(&gather);
    cr_assert_eq(gather.group_count, 3, "no touchpoint, no tenure");
    const int want[3][2] = {{FP_SEGMENT_ALL, 0}, {FP_SEGMENT_JOURNEY, 4}, {FP_SEGMENT_UNIT, 7}};
    for (int i = 0; i < 3; i++) {
        struct cx_state_row out;
        cr_assert_eq(gather.groups[i].kind, want[i][0]);
        cr_assert_eq(gather.groups[i].segment, want[i][1]);
        cr_assert_eq(gather.groups[i].day, 10);
        cr_assert_eq(gather.groups[i].people, 6);
        cr_assert_eq(gather.groups[i].count, 1);
        fp_gather_rows(&gather, &gather.groups[i], &out);
        cr_assert(out.observed == 5 && out.weight == 1 && out.count == 1 && out.z[0] == 3 &&
                  out.z[1] == 9);
    }
}

Test(absorb_gather, segments_that_are_not_asked_for_make_no_difference)
{
    struct fp_driver_row a = row(10, 7, 3), b = row(10, 8, 3);
    fitting.segments = 1U << FP_SEGMENT_ALL;
    fp_gather_add(&gather, &a, 1);
    fp_gather_add(&gather, &b, 1);
    fp_gather_group(&gather);
    cr_assert_eq(gather.entry_count, 1);
    cr_assert_eq(gather.entries[0].count, 2);
    cr_assert_eq(gather.group_count, 1);
}

Test(absorb_gather, what_cancels_touches_nothing)
{
    struct fp_driver_row a = row(10, 7, 3), b = row(11, 7, 3);
    fp_gather_add(&gather, &a, 1);
    fp_gather_add(&gather, &b, 1);
    fp_gather_add(&gather, &a, -1);
    fp_gather_group(&gather);
    cr_assert_eq(gather.group_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(gather.groups[i].day, 11);
}

Test(absorb_gather, rows_differ_in_anything_a_state_sees)
{
    struct fp_driver_row a = row(10, 7, 3), b = a, c = a, d = a, e = a;
    b.weight = 2;
    c.does_not_apply = 2;
    d.z[2] = 8;
    e.group = 1;
    const struct fp_driver_row *all[] = {&a, &b, &c, &d, &e};
    for (int i = 0; i < 5; i++)
        fp_gather_add(&gather, all[i], i == 4 ? -1 : 1);
    cr_assert_eq(gather.entry_count, 5);
    fp_gather_group(&gather);
    cr_assert_eq(gather.group_count, 6, "of two groups of people");
    cr_assert_eq(gather.groups[0].count, 4);
    struct cx_state_row out;
    fp_gather_rows(&gather, &gather.groups[1], &out);
    cr_assert_eq(out.count, -1);
}

Test(absorb_gather, many_rows_in_order)
{
    int64_t total[FP_SEGMENTS] = {0};
    srand(3);
    for (int i = 0; i < 20000; i++) {
        struct fp_driver_row r = row(rand() % 40, rand() % 30, rand() % 11);
        fp_gather_add(&gather, &r, rand() % 8 ? 1 : -1);
    }
    fp_gather_group(&gather);
    struct cx_state_row *rows = malloc(20000 * sizeof *rows);
    int64_t want = 0;
    for (uint32_t i = 0; i < gather.entry_count; i++)
        want += gather.entries[i].count;
    for (uint32_t i = 0; i < gather.group_count; i++) {
        const struct fp_group *g = &gather.groups[i], *last = g - 1;
        if (i) {
            const int32_t a[] = {last->kind, last->segment, last->day, last->people};
            const int32_t b[] = {g->kind, g->segment, g->day, g->people};
            int k = 0;
            while (k < 4 && a[k] == b[k])
                k++;
            cr_assert(k < 4 && a[k] < b[k], "group %u is not after the one before", i);
        }
        fp_gather_rows(&gather, g, rows);
        for (uint32_t r = 0; r < g->count; r++)
            total[g->kind] += rows[r].count;
    }
    free(rows);
    cr_assert_eq(total[FP_SEGMENT_ALL], want);
    cr_assert_eq(total[FP_SEGMENT_JOURNEY], want);
    cr_assert_eq(total[FP_SEGMENT_UNIT] < want, true, "unit 0 is none");
    cr_assert_eq(total[FP_SEGMENT_TENURE], 0);
}

/* ---- bytea columns: what a real server writes is for the integration tests ------------------- */

Test(absorb_gather, columns_that_are_no_bytea)
{
    static const struct pg_rule rules[] = {{"SELECT", PG_ROW, "SELECT 1"}, {NULL, PG_OK, NULL}};
    static struct pg_server server;
    struct fp_pg *pg = NULL;
    struct fp_error err = {"", "", ""};
    struct fp_pg_result *result = NULL;
    char conninfo[128];
    size_t len = 1;
    cr_assert(pg_server_start(&server, rules));
    snprintf(conninfo, sizeof conninfo, "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable",
             server.port);
    cr_assert_eq(fp_pg_open(conninfo, NULL, "unit", 5000, &pg, &err), FP_OK, "%s", err.what);
    cr_assert_eq(fp_pg_exec(pg, "SELECT", NULL, 0, 5000, &result, &err), FP_OK);
    cr_assert_str_eq(fp_pg_text(result, 0, 0), "-7");
    for (int column = 0; column < 3; column++) { /* a number, NULL, an empty text */
        cr_assert_null(fp_pg_bytes(result, 0, column, &len));
        cr_assert_eq(len, 0);
    }
    fp_pg_result_free(result);
    fp_pg_close(pg);
    pg_server_stop(&server);
}
