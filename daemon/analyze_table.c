/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Columns of a CSV file as fixed-point integers.
 *
 * Problem: the library counts in integers, exactly, but a file does not say how many decimals its
 * columns have. Way: the file is gone through twice, first to find decimals and size of each
 * column, then to convert. Hazards: sums of squares must fit 127 bits, so a column of many digits
 * gets fewer decimals and its values are rounded: counted, and said. A row of weight 0 stays, and
 * is for the analyses to leave out. */
#include "daemon/analyze.h"

#include <ctype.h>
#include <math.h>
#include <search.h>
#include <stdlib.h>

#include "analytics/fixed.h"
#include "daemon/timestamp.h"

#define NUMBER_BYTES 64
#define DECIMALS_MAX 22
#define WEIGHT_DECIMALS_MAX 6
#define VALUE_MAX 4e18 /* below 2^62 */

struct cluster {
    int64_t number;
    char text[];
};

void fp_table_want(struct fp_table *table, const char *name, enum fp_column_role role)
{
    if (role == FP_COLUMN_WEIGHT)
        table->weight = table->count;
    if (role == FP_COLUMN_CLUSTER)
        table->cluster = table->count;
    if (role == FP_COLUMN_DAY)
        table->day = table->count;
    table->column[table->count++] = (struct fp_column){.name = name, .role = role};
}

int64_t fp_table_weight(const struct fp_table *table, int64_t row)
{
    return table->weight < 0 ? 1 : table->column[table->weight].value[row];
}

/* ---- which columns --------------------------------------------------------------------------- */

static enum fp_status unknown_column(const struct fp_csv *csv, const char *name,
                                     struct fp_error *err)
{
    char known[200] = "", near[100] = "";
    size_t used = 0, limit = 3;
    int columns = fp_csv_columns(csv);
    for (int c = 0; c < columns; c++) {
        const char *other = fp_csv_column(csv, c);
        size_t distance = fp_edit_distance(name, other, limit);
        if (distance < limit) {
            snprintf(near, sizeof near, "; did you mean \"%.60s\"?", other);
            limit = distance;
        }
        bool fits = used + strlen(other) + 8 < sizeof known;
        if (used < sizeof known - 8)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", c > 0 ? ", " : "",
                                     fits ? other : "...");
        if (!fits)
            break;
    }
    if (columns == 1 && strpbrk(known, ";\t") != NULL)
        snprintf(near, sizeof near, "; columns must be separated by commas");
    return fp_fail(err, FP_REJECT, "unknown_column", name, "no such column; the file has %s%s",
                   known, near);
}

static enum fp_status find_columns(struct fp_table *table, const struct fp_csv *csv,
                                   struct fp_error *err)
{
    for (int i = 0; i < table->count; i++) {
        struct fp_column *column = &table->column[i];
        column->at = -1;
        for (int c = 0; c < fp_csv_columns(csv); c++) {
            if (strcmp(fp_csv_column(csv, c), column->name) != 0)
                continue;
            if (column->at >= 0)
                return fp_fail(err, FP_REJECT, "ambiguous_column", column->name,
                               "two columns of the file have this name; rename one");
            column->at = c;
        }
        if (column->at < 0)
            return unknown_column(csv, column->name, err);
        for (int k = 0; k < i; k++)
            if (table->column[k].at == column->at && column->role < FP_COLUMN_WEIGHT &&
                table->column[k].role < FP_COLUMN_WEIGHT)
                return fp_fail(err, FP_REJECT, "column_twice", column->name,
                               "is asked for twice; name each driver once and the outcome apart");
    }
    return FP_OK;
}

/* ---- one cell -------------------------------------------------------------------------------- */

static struct fp_slice trim(struct fp_slice cell)
{
    for (; cell.len > 0 && (*cell.at == ' ' || *cell.at == '\t'); cell.len--)
        cell.at++;
    while (cell.len > 0 && (cell.at[cell.len - 1] == ' ' || cell.at[cell.len - 1] == '\t'))
        cell.len--;
    return cell;
}

/* As cx_fixed has it: no plus, one digit before the point, no leading zeros. False: no number. */
static bool normal_number(struct fp_slice cell, char *number)
{
    char *to = number;
    const char *at = cell.at, *end = cell.at + cell.len;
    int64_t value;
    if (cell.len == 0 || cell.len > NUMBER_BYTES - 4)
        return false;
    if (*at == '-')
        *to++ = '-';
    at += *at == '-' || *at == '+';
    while (end - at > 1 && *at == '0' && isdigit((unsigned char)at[1]))
        at++;
    if (end - at > 1 && *at == '.')
        *to++ = '0';
    memcpy(to, at, (size_t)(end - at));
    to[end - at] = '\0';
    uint32_t len = (uint32_t)strlen(number);
    return cx_fixed_parse(number, len, 0, &value) != CX_FIXED_NOT_A_NUMBER &&
           isfinite(strtod(number, NULL));
}

/* cx_fixed_parse with up to 22 decimals: beyond 9 by way of the exponent. */
static enum cx_fixed_result parse(const char *number, int decimals, int64_t *value)
{
    char shifted[NUMBER_BYTES + 32];
    if (decimals <= 9)
        return cx_fixed_parse(number, (uint32_t)strlen(number), decimals, value);
    size_t mantissa = strcspn(number, "eE");
    long exponent = number[mantissa] ? strtol(number + mantissa + 1, NULL, 10) : 0;
    int len = snprintf(shifted, sizeof shifted, "%.*se%ld", (int)mantissa, number,
                       exponent + decimals - 9);
    return cx_fixed_parse(shifted, (uint32_t)len, 9, value);
}

static bool is_code(struct fp_slice cell, const char *number, const char *na, bool numbers)
{
    for (const char *at = na; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        char other[NUMBER_BYTES];
        struct fp_slice code = trim((struct fp_slice){at, (uint32_t)len});
        bool is_number = normal_number(code, other);
        at += len;
        if (is_number ? numbers && number && strtod(number, NULL) == strtod(other, NULL)
                      : code.len > 0 && fp_slice_equal(cell, code))
            return true;
    }
    return false;
}

/* The number in `number` when it is one. */
static enum fp_status classify(const struct fp_column *column, struct fp_slice cell, const char *na,
                               char *number, enum fp_cell *kind)
{
    bool is_number = normal_number(cell, number), coded = column->role == FP_COLUMN_CODED;
    if (cell.len == 0)
        *kind = FP_CELL_EMPTY;
    else if (column->role != FP_COLUMN_WEIGHT &&
             is_code(cell, is_number ? number : NULL, na, coded))
        *kind = FP_CELL_DOES_NOT_APPLY;
    else
        *kind = FP_CELL_ANSWERED;
    return *kind == FP_CELL_ANSWERED && !is_number ? FP_REJECT : FP_OK;
}

static enum fp_status refuse_cell(const struct fp_table *table, const struct fp_csv *csv,
                                  const char *column, struct fp_error *err, const char *what)
{
    char where[160];
    snprintf(where, sizeof where, "%.100s:%ld", table->name, fp_csv_line(csv));
    return fp_fail(err, FP_REJECT, "cell", where, "column \"%.60s\": %s", column, what);
}

static enum fp_status refuse_text(const struct fp_table *table, const struct fp_csv *csv,
                                  const struct fp_column *column, struct fp_slice cell,
                                  struct fp_error *err)
{
    char what[200];
    int len = cell.len > 40 ? 40 : (int)cell.len;
    snprintf(what, sizeof what, "\"%.*s\" is not a number%s", len, cell.at,
             column->role == FP_COLUMN_WEIGHT
                 ? ""
                 : "; leave a missing answer empty, or list its code with --na");
    return refuse_cell(table, csv, column->name, err, what);
}

/* ---- first time through: decimals and sizes -------------------------------------------------- */

static enum fp_status measure_cell(const struct fp_table *table, const struct fp_csv *csv,
                                   struct fp_column *column, struct fp_slice cell, const char *na,
                                   struct fp_error *err)
{
    char number[NUMBER_BYTES];
    enum fp_cell kind;
    int64_t value;
    if (classify(column, cell, na, number, &kind) != FP_OK)
        return refuse_text(table, csv, column, cell, err);
    column->answered += kind == FP_CELL_ANSWERED;
    column->empty += kind == FP_CELL_EMPTY;
    column->does_not_apply += kind == FP_CELL_DOES_NOT_APPLY;
    if (column->role == FP_COLUMN_WEIGHT && kind == FP_CELL_EMPTY)
        return refuse_cell(table, csv, column->name, err,
                           "a weight is missing; 0 leaves the row out");
    if (kind != FP_CELL_ANSWERED)
        return FP_OK;
    double size = strtod(number, NULL);
    if (column->role == FP_COLUMN_WEIGHT && size < 0)
        return refuse_cell(table, csv, column->name, err, "a weight below 0");
    column->largest = fmax(column->largest, fabs(size));
    column->total += size;
    column->like_code += column->role == FP_COLUMN_PLAIN && is_code(cell, number, na, true);
    int most = column->role == FP_COLUMN_WEIGHT ? WEIGHT_DECIMALS_MAX : DECIMALS_MAX;
    while (column->decimals < most &&
           parse(number, column->decimals, &value) == CX_FIXED_TOO_MANY_DECIMALS)
        column->decimals++;
    return FP_OK;
}

/* Clusters and days: no numbers, and every row has one. */
static enum fp_status check_label(const struct fp_table *table, const struct fp_csv *csv,
                                  const struct fp_column *column, struct fp_slice cell,
                                  struct fp_error *err)
{
    char what[120];
    int32_t days;
    int len = cell.len > 40 ? 40 : (int)cell.len;
    bool day = column->role == FP_COLUMN_DAY;
    if (cell.len == 0)
        return refuse_cell(table, csv, column->name, err,
                           day ? "empty; every row needs its day"
                               : "empty; every row needs its cluster");
    if (!day || fp_date_parse(cell, &days))
        return FP_OK;
    snprintf(what, sizeof what, "\"%.*s\" is no date from 1970 to 9999 like 2026-03-02", len,
             cell.at);
    return refuse_cell(table, csv, column->name, err, what);
}

static enum fp_status measure(struct fp_table *table, struct fp_csv *csv, const char *na,
                              struct fp_error *err)
{
    const struct fp_slice *cells;
    enum fp_status status;
    while ((status = fp_csv_next(csv, &cells, err)) == FP_OK && cells != NULL) {
        table->capacity++;
        for (int i = 0; i < table->count; i++) {
            struct fp_column *column = &table->column[i];
            struct fp_slice cell = trim(cells[column->at]);
            status = column->role >= FP_COLUMN_CLUSTER
                         ? check_label(table, csv, column, cell, err)
                         : measure_cell(table, csv, column, cell, na, err);
            if (status != FP_OK)
                return status;
        }
    }
    return status;
}

/* Decimals so that Σ w·z² < 2^125 and Σ w² fits as well. */
static enum fp_status fit_columns(struct fp_table *table, struct fp_error *err)
{
    double total = (double)table->capacity;
    if (table->weight >= 0) {
        struct fp_column *weight = &table->column[table->weight];
        while (weight->decimals > 0 && weight->largest * pow(10, weight->decimals) > 0x1p31)
            weight->decimals--;
        if (weight->largest > 0x1p31)
            return fp_fail(err, FP_REJECT, "too_large", weight->name,
                           "weights above 2147483648; divide them all by the same number");
        total = weight->total * pow(10, weight->decimals) + (double)table->capacity;
    }
    table->weight_total = total;
    for (int i = 0; i < table->count; i++) {
        struct fp_column *column = &table->column[i];
        double most = fmin(sqrt(0x1p125 / fmax(total, 1)), VALUE_MAX);
        while (column->decimals > 0 && column->largest * pow(10, column->decimals) > most)
            column->decimals--;
        if (column->largest > most)
            return fp_fail(err, FP_REJECT, "too_large", column->name,
                           "values of up to %g are beyond exact arithmetic; divide the column by a "
                           "power of ten",
                           column->largest);
    }
    return FP_OK;
}

/* ---- second time: values --------------------------------------------------------------------- */

static int compare_clusters(const void *a, const void *b)
{
    const struct cluster *one = a, *other = b;
    return strcmp(one->text, other->text);
}

/* Its number; −1: no memory. Zero bytes within a quoted cell would end the text: they are refused
 * in plain cells and of no account here. */
static int64_t cluster_number(struct fp_table *table, struct fp_slice cell)
{
    struct cluster *one = malloc(sizeof *one + cell.len + 1);
    if (one == NULL)
        return -1;
    one->number = table->clusters;
    memcpy(one->text, cell.at, cell.len);
    one->text[cell.len] = '\0';
    struct cluster **found = tsearch(one, &table->cluster_tree, compare_clusters);
    if (found == NULL || *found != one)
        free(one);
    else
        table->clusters++;
    return found == NULL ? -1 : (*found)->number;
}

static bool store(struct fp_table *table, struct fp_column *column, struct fp_slice cell,
                  const char *na)
{
    char number[NUMBER_BYTES];
    enum fp_cell kind = FP_CELL_ANSWERED;
    int64_t *value = &column->value[table->rows];
    if (column->role == FP_COLUMN_CLUSTER) {
        *value = cluster_number(table, cell);
    } else if (column->role == FP_COLUMN_DAY) {
        int32_t days = 0; /* it was seen to be one */
        fp_date_parse(cell, &days);
        *value = days;
    } else if (classify(column, cell, na, number, &kind) == FP_OK && kind == FP_CELL_ANSWERED &&
               parse(number, column->decimals, value) != CX_FIXED_OK) {
        *value = llroundl(strtold(number, NULL) * powl(10, column->decimals));
        column->rounded++;
    }
    column->cell[table->rows] = (unsigned char)kind;
    return *value >= 0 || column->role != FP_COLUMN_CLUSTER;
}

static bool make_room(struct fp_table *table)
{
    size_t rows = table->capacity > 0 ? (size_t)table->capacity : 1;
    table->line = calloc(rows, sizeof *table->line);
    bool fine = table->line != NULL;
    for (int i = 0; i < table->count; i++) {
        struct fp_column *column = &table->column[i];
        column->value = calloc(rows, sizeof *column->value);
        column->cell = calloc(rows, sizeof *column->cell);
        fine = fine && column->value != NULL && column->cell != NULL;
    }
    return fine;
}

enum fp_status fp_table_load(struct fp_table *table, struct fp_csv *csv, const char *na,
                             struct fp_error *err)
{
    const struct fp_slice *cells;
    enum fp_status status = find_columns(table, csv, err);
    if (status == FP_OK)
        status = measure(table, csv, na, err);
    if (status == FP_OK)
        status = fit_columns(table, err);
    if (status != FP_OK)
        return status;
    bool fine = make_room(table);
    fp_csv_rewind(csv);
    while (fine && (status = fp_csv_next(csv, &cells, err)) == FP_OK && cells != NULL) {
        for (int i = 0; i < table->count && fine; i++)
            fine = store(table, &table->column[i], trim(cells[table->column[i].at]), na);
        table->line[table->rows++] = fp_csv_line(csv);
    }
    if (!fine)
        return fp_fail(err, FP_FATAL, "memory", table->name, "not enough memory");
    return status;
}

void fp_table_free(struct fp_table *table)
{
    for (int i = 0; i < table->count; i++) {
        free(table->column[i].value);
        free(table->column[i].cell);
    }
    free(table->line);
    tdestroy(table->cluster_tree, free);
    *table = (struct fp_table){.weight = -1, .cluster = -1, .day = -1};
}
