/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CSV records and their way to fixed point; the results are held against other tools in
 * tests/integration/test_analyze.py. */
#include "daemon/analyze.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct fp_csv *csv;
static struct fp_table table;
static struct fp_error err;
static const struct fp_slice *cells;

static void setup(void)
{
    table = (struct fp_table){.name = "t.csv", .weight = -1, .cluster = -1, .day = -1};
}

static void tidy(void)
{
    fp_table_free(&table);
    fp_csv_close(csv);
    csv = NULL;
}

TestSuite(analyze, .init = setup, .fini = tidy);

static enum fp_status open_text(const char *text)
{
    fp_csv_close(csv);
    return fp_csv_from("t.csv", text, strlen(text), &csv, &err);
}

static void expect_cells(const char *first, const char *second)
{
    cr_assert_eq(fp_csv_next(csv, &cells, &err), FP_OK, "%s", err.what);
    cr_assert_not_null(cells);
    cr_assert(fp_slice_is(cells[0], first), "%.*s", (int)cells[0].len, cells[0].at);
    cr_assert(fp_slice_is(cells[1], second), "%.*s", (int)cells[1].len, cells[1].at);
}

Test(analyze, records)
{
    cr_assert_eq(
        open_text("\xEF\xBB\xBF a ,\"b \"\"c\"\"\"\r\n1,\"x,\r\ny\"\r\n\r\n\n,\"\"\n\"z\",2"),
        FP_OK);
    cr_assert_eq(fp_csv_columns(csv), 2);
    cr_assert_str_eq(fp_csv_column(csv, 0), "a");
    cr_assert_str_eq(fp_csv_column(csv, 1), "b \"c\"");
    for (int round = 0; round < 2; round++) {
        expect_cells("1", "x,\r\ny");
        cr_assert_eq(fp_csv_line(csv), 2);
        expect_cells("", "");
        cr_assert_eq(fp_csv_line(csv), 6);
        expect_cells("z", "2");
        cr_assert_eq(fp_csv_next(csv, &cells, &err), FP_OK);
        cr_assert_null(cells);
        fp_csv_rewind(csv);
    }
}

Test(analyze, one_column_may_be_empty)
{
    cr_assert_eq(open_text("a\n\n1\n\n"), FP_OK);
    int records = 0;
    while (fp_csv_next(csv, &cells, &err) == FP_OK && cells != NULL)
        records++;
    cr_assert_eq(records, 3);
}

Test(analyze, a_record_is_bounded)
{
    size_t len = FP_CSV_RECORD_MAX + 8;
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    memcpy(text, "a,b\n", 4);
    text[len] = '\0';
    cr_assert_eq(open_text(text), FP_OK);
    cr_assert_eq(fp_csv_next(csv, &cells, &err), FP_REJECT); /* a cell too few */
    free(text);
    len = 2 * FP_CSV_RECORD_MAX;
    text = calloc(1, len + 1);
    memset(text, 'x', len);
    memcpy(text, "a\n", 2);
    cr_assert_eq(open_text(text), FP_OK);
    cr_assert_eq(fp_csv_next(csv, &cells, &err), FP_REJECT);
    cr_assert_not_null(strstr(err.what, "1 MiB"), "%s", err.what);
    cr_assert_str_eq(err.where, "t.csv:2");
    free(text);
}

Test(analyze, too_many_columns)
{
    char *text = calloc(1, FP_CSV_COLUMNS_MAX + 2);
    memset(text, ',', FP_CSV_COLUMNS_MAX);
    cr_assert_eq(open_text(text), FP_REJECT);
    cr_assert_not_null(strstr(err.what, "4096"), "%s", err.what);
    free(text);
}

/* Every value is text / 10^decimals to the last digit, also where a double could not hold it. */
Test(analyze, numbers_are_exact)
{
    cr_assert_eq(open_text("x,y,z\n1.25,0.10000000000000000001,-.5\n-3,,+007\n1e-2,NA,12e2\n"),
                 FP_OK);
    fp_table_want(&table, "x", FP_COLUMN_CODED);
    fp_table_want(&table, "y", FP_COLUMN_CODED);
    fp_table_want(&table, "z", FP_COLUMN_PLAIN);
    cr_assert_eq(fp_table_load(&table, csv, "12, NA,7", &err), FP_OK, "%s", err.what);
    const struct fp_column *x = &table.column[0], *y = &table.column[1], *z = &table.column[2];
    cr_assert(table.rows == 3 && x->decimals == 2 && z->decimals == 1);
    cr_assert(x->value[0] == 125 && x->value[1] == -300 && x->value[2] == 1);
    cr_assert(z->value[0] == -5 && z->value[1] == 70 && z->value[2] == 12000);
    cr_assert(z->like_code == 1 && z->answered == 3, "a number is no code of an outcome");
    cr_assert(y->cell[0] == FP_CELL_ANSWERED && y->cell[1] == FP_CELL_EMPTY &&
              y->cell[2] == FP_CELL_DOES_NOT_APPLY);
    cr_assert(y->rounded == 1 && y->decimals < 20, "%d", y->decimals);
    int64_t tenth = 1;
    for (int i = 1; i < y->decimals; i++)
        tenth *= 10;
    cr_assert_eq(y->value[0], tenth);
}

Test(analyze, weights_and_clusters)
{
    cr_assert_eq(open_text("x,w,c\n1,0.5,b\n2,2,a\n3,0,b\n"), FP_OK);
    fp_table_want(&table, "x", FP_COLUMN_CODED);
    fp_table_want(&table, "w", FP_COLUMN_WEIGHT);
    fp_table_want(&table, "c", FP_COLUMN_CLUSTER);
    cr_assert_eq(fp_table_load(&table, csv, "0,2", &err), FP_OK, "%s", err.what);
    cr_assert(fp_table_weight(&table, 0) == 5 && fp_table_weight(&table, 1) == 20 &&
                  fp_table_weight(&table, 2) == 0,
              "codes are none of a weight's");
    const int64_t *number = table.column[2].value;
    cr_assert(number[0] == 0 && number[1] == 1 && number[2] == 0 && table.clusters == 2);
}

Test(analyze, days)
{
    cr_assert_eq(open_text("x,d\n1, 1970-01-02 \n2,2026-03-02\n3,9999-12-31\n"), FP_OK);
    fp_table_want(&table, "x", FP_COLUMN_CODED);
    fp_table_want(&table, "d", FP_COLUMN_DAY);
    cr_assert_eq(fp_table_load(&table, csv, "2026-03-02", &err), FP_OK, "%s", err.what);
    const int64_t *day = table.column[1].value;
    cr_assert(day[0] == 1 && day[1] == 20514 && day[2] == 2932896, "codes are none of a day's");
    cr_assert_eq(table.day, 1);
    tidy();
    setup();
    cr_assert_eq(open_text("d\n2026-13-01\n"), FP_OK);
    fp_table_want(&table, "d", FP_COLUMN_DAY);
    cr_assert_eq(fp_table_load(&table, csv, "", &err), FP_REJECT);
    cr_assert_str_eq(err.where, "t.csv:2");
}

/* Sums of squares must fit, so many rows of many digits get fewer decimals. */
Test(analyze, decimals_give_way_to_size)
{
    char text[4096] = "x\n";
    size_t used = 2;
    for (int i = 0; i < 100; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%d00000000.1234567890123\n", i + 1);
    cr_assert_eq(open_text(text), FP_OK);
    fp_table_want(&table, "x", FP_COLUMN_CODED);
    cr_assert_eq(fp_table_load(&table, csv, "", &err), FP_OK);
    const struct fp_column *x = &table.column[0];
    cr_assert(x->decimals < 13 && x->decimals >= 5 && x->rounded == 100, "%d", x->decimals);
    cx_wide cell[5] = {0};
    for (int64_t row = 0; row < table.rows; row++)
        cr_assert(cx_moments_add(cell, 1, &x->value[row], 1, 1));
}
