/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CSV in memory, record by record.
 *
 * Way: the file is read once and gone through as often as needed (numbers first have to be looked
 * at to know how many decimals a column has). Cells of a record are copied, unquoted, into a buffer
 * of bounded size. Hazards: a quote that is never closed swallows the rest of a file, so it is
 * reported at the line where it was opened; a record with another number of cells than the header
 * would shift columns, so it is refused rather than padded. */
#include "daemon/analyze_csv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX ((size_t)1 << 31)

struct fp_csv {
    char *name, *bytes;
    size_t len, at, body; /* body: where the first record begins */
    long line, record_line, body_line;
    char *text; /* of the record's cells, one after the other */
    size_t used;
    struct fp_slice *cell;
    int count, columns;
    char **column;
};

static enum fp_status refuse(const struct fp_csv *csv, struct fp_error *err, const char *what)
{
    char where[160];
    snprintf(where, sizeof where, "%s:%ld", csv->name, csv->record_line);
    return fp_fail(err, FP_REJECT, "csv", where, "%s", what);
}

/* ---- one record ------------------------------------------------------------------------------ */

static bool put(struct fp_csv *csv, char byte)
{
    if (csv->used == FP_CSV_RECORD_MAX)
        return false;
    csv->text[csv->used++] = byte;
    return true;
}

/* A cell after its opening quote. NULL, or what is wrong. */
static const char *quoted(struct fp_csv *csv)
{
    for (; csv->at < csv->len; csv->at++) {
        char byte = csv->bytes[csv->at];
        if (byte == '"' && csv->at + 1 < csv->len && csv->bytes[csv->at + 1] == '"') {
            csv->at++;
        } else if (byte == '"') {
            csv->at++;
            bool ends = csv->at == csv->len || strchr(",\r\n", csv->bytes[csv->at]) != NULL;
            return ends ? NULL : "text after a closing quote; write a quote inside a cell as \"\"";
        }
        csv->line += byte == '\n';
        if (!put(csv, byte))
            return "a record of more than 1 MiB; is a quote not closed?";
    }
    return "a quote is opened and never closed";
}

static const char *plain(struct fp_csv *csv)
{
    for (; csv->at < csv->len; csv->at++) {
        char byte = csv->bytes[csv->at];
        bool crlf = byte == '\r' && (csv->at + 1 == csv->len || csv->bytes[csv->at + 1] == '\n');
        if (byte == ',' || byte == '\n' || crlf)
            return NULL;
        if (byte == '"')
            return "a quote inside a cell that does not begin with one; quote the whole cell";
        if (byte == '\0')
            return "a zero byte; the file must be text (UTF-8)";
        if (!put(csv, byte))
            return "a record of more than 1 MiB";
    }
    return NULL;
}

static const char *take_cell(struct fp_csv *csv)
{
    size_t start = csv->used;
    if (csv->count == FP_CSV_COLUMNS_MAX)
        return "more than 4096 cells";
    bool is_quoted = csv->at < csv->len && csv->bytes[csv->at] == '"';
    csv->at += is_quoted;
    const char *wrong = is_quoted ? quoted(csv) : plain(csv);
    uint32_t len = (uint32_t)(csv->used - start);
    csv->cell[csv->count++] = (struct fp_slice){csv->text + start, len};
    return wrong;
}

/* Past a line end; false when there is none. */
static bool line_end(struct fp_csv *csv)
{
    if (csv->at < csv->len && csv->bytes[csv->at] == '\r')
        csv->at++;
    if (csv->at < csv->len && csv->bytes[csv->at] == '\n') {
        csv->at++;
        csv->line++;
        return true;
    }
    return csv->at == csv->len;
}

/* The next record into csv->cell; count 0 = the end. */
static enum fp_status take_record(struct fp_csv *csv, struct fp_error *err)
{
    while (csv->columns != 1 && csv->at < csv->len &&
           (csv->bytes[csv->at] == '\n' || csv->bytes[csv->at] == '\r') && line_end(csv))
        continue;
    csv->count = 0;
    csv->used = 0;
    csv->record_line = csv->line;
    if (csv->at == csv->len)
        return FP_OK;
    for (;;) {
        const char *wrong = take_cell(csv);
        if (wrong != NULL)
            return refuse(csv, err, wrong);
        if (csv->at == csv->len || csv->bytes[csv->at] != ',')
            break;
        csv->at++;
    }
    return line_end(csv) ? FP_OK : refuse(csv, err, "a line ends in CR without LF");
}

enum fp_status fp_csv_next(struct fp_csv *csv, const struct fp_slice **cells, struct fp_error *err)
{
    *cells = NULL;
    enum fp_status status = take_record(csv, err);
    if (status != FP_OK || csv->count == 0)
        return status;
    if (csv->count != csv->columns) {
        char what[120];
        snprintf(what, sizeof what, "%d cells where the header names %d columns", csv->count,
                 csv->columns);
        return refuse(csv, err, what);
    }
    *cells = csv->cell;
    return FP_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum fp_status no_memory(const char *name, struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "memory", name, "not enough memory");
}

static enum fp_status take_header(struct fp_csv *csv, struct fp_error *err)
{
    if (csv->len >= 3 && memcmp(csv->bytes, "\xEF\xBB\xBF", 3) == 0)
        csv->at = 3;
    enum fp_status status = take_record(csv, err);
    if (status != FP_OK)
        return status;
    if (csv->count == 0)
        return refuse(csv, err, "the file is empty; the first line must name the columns");
    csv->column = calloc((size_t)csv->count, sizeof *csv->column);
    if (csv->column == NULL)
        return no_memory(csv->name, err);
    for (; csv->columns < csv->count; csv->columns++) {
        struct fp_slice cell = csv->cell[csv->columns];
        for (; cell.len > 0 && *cell.at == ' '; cell.len--)
            cell.at++;
        while (cell.len > 0 && cell.at[cell.len - 1] == ' ')
            cell.len--;
        csv->column[csv->columns] = strndup(cell.at, cell.len);
        if (csv->column[csv->columns] == NULL)
            return no_memory(csv->name, err);
    }
    csv->body = csv->at;
    csv->body_line = csv->line;
    return FP_OK;
}

/* Takes over `bytes`. */
static enum fp_status adopt(const char *name, char *bytes, size_t len, struct fp_csv **out,
                            struct fp_error *err)
{
    struct fp_csv *csv = calloc(1, sizeof *csv);
    *out = NULL;
    if (csv == NULL) {
        free(bytes);
        return no_memory(name, err);
    }
    *csv = (struct fp_csv){.name = strdup(name), .bytes = bytes, .len = len, .line = 1};
    csv->text = malloc(FP_CSV_RECORD_MAX);
    csv->cell = calloc(FP_CSV_COLUMNS_MAX, sizeof *csv->cell);
    bool room = csv->name != NULL && csv->text != NULL && csv->cell != NULL;
    enum fp_status status = room ? take_header(csv, err) : no_memory(name, err);
    if (status == FP_OK)
        *out = csv;
    else
        fp_csv_close(csv);
    return status;
}

enum fp_status fp_csv_from(const char *name, const char *bytes, size_t len, struct fp_csv **csv,
                           struct fp_error *err)
{
    char *copy = malloc(len + 1);
    *csv = NULL;
    if (copy == NULL)
        return no_memory(name, err);
    if (len > 0)
        memcpy(copy, bytes, len);
    return adopt(name, copy, len, csv, err);
}

static enum fp_status read_all(FILE *file, const char *name, char **bytes, size_t *len,
                               struct fp_error *err)
{
    size_t size = 1 << 16;
    *len = 0;
    *bytes = malloc(size);
    while (*bytes != NULL) {
        *len += fread(*bytes + *len, 1, size - *len, file);
        if (*len < size)
            break;
        if (size >= FILE_MAX)
            return fp_fail(err, FP_REJECT, "file", name,
                           "more than 2 GiB; leave out the columns that are not needed");
        char *more = realloc(*bytes, size *= 2);
        if (more == NULL)
            return no_memory(name, err);
        *bytes = more;
    }
    if (*bytes == NULL)
        return no_memory(name, err);
    if (ferror(file))
        return fp_fail(err, FP_REJECT, "file", name, "cannot read: %s", strerror(errno));
    return FP_OK;
}

enum fp_status fp_csv_open(const char *path, struct fp_csv **csv, struct fp_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    FILE *file = standard ? stdin : fopen(path, "rb");
    char *bytes = NULL;
    size_t len = 0;
    *csv = NULL;
    if (file == NULL)
        return fp_fail(err, FP_REJECT, "file", name, "cannot open: %s", strerror(errno));
    enum fp_status status = read_all(file, name, &bytes, &len, err);
    if (!standard)
        fclose(file);
    if (status == FP_OK)
        return adopt(name, bytes, len, csv, err);
    free(bytes);
    return status;
}

void fp_csv_close(struct fp_csv *csv)
{
    if (csv == NULL)
        return;
    for (int i = 0; i < csv->columns; i++)
        free(csv->column[i]);
    free(csv->column);
    free(csv->cell);
    free(csv->text);
    free(csv->bytes);
    free(csv->name);
    free(csv);
}

int fp_csv_columns(const struct fp_csv *csv)
{
    return csv->columns;
}

const char *fp_csv_column(const struct fp_csv *csv, int column)
{
    return csv->column[column];
}

void fp_csv_rewind(struct fp_csv *csv)
{
    csv->at = csv->body;
    csv->line = csv->body_line;
}

long fp_csv_line(const struct fp_csv *csv)
{
    return csv->record_line;
}
