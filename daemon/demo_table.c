/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/demo.h"

#include <stdlib.h>
#include <string.h>

/* Columns a UTF-8 text takes; good for letters, not for what is two columns wide. */
static int columns_of(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static const char *cell(const struct fp_pg_result *result, int row, int column)
{
    return fp_pg_is_null(result, row, column) ? "-" : fp_pg_text(result, row, column);
}

static bool is_number(const char *text)
{
    return strspn(text, "+-0123456789.,%") == strlen(text) &&
           text[strcspn(text, "0123456789")] != '\0';
}

struct column {
    int width;
    bool right;
};

static void measure(const struct fp_pg_result *result, struct column *columns)
{
    for (int c = 0; c < fp_pg_columns(result); c++) {
        columns[c] = (struct column){columns_of(fp_pg_column_name(result, c)), true};
        for (int r = 0; r < fp_pg_rows(result); r++) {
            const char *text = cell(result, r, c);
            int width = columns_of(text);
            columns[c].width = width > columns[c].width ? width : columns[c].width;
            columns[c].right &= strcmp(text, "-") == 0 || is_number(text);
        }
    }
}

/* Blanks wait until something follows them, so that no line ends in blanks. */
static void put(FILE *out, const char *text, const struct column *column, int *blanks)
{
    int pad = column->width - columns_of(text);
    *blanks += column->right ? pad : 0;
    if (*text) {
        fprintf(out, "%*s%s", *blanks, "", text);
        *blanks = 0;
    }
    *blanks += (column->right ? 0 : pad) + 2;
}

void fp_demo_table(FILE *out, const char *title, const struct fp_pg_result *result)
{
    int count = fp_pg_columns(result);
    struct column *columns = calloc((size_t)count + 1, sizeof *columns);
    if (columns == NULL)
        abort();
    measure(result, columns);
    fprintf(out, "\n%s\n\n", title);
    for (int r = -1; r < fp_pg_rows(result); r++) {
        int blanks = 2;
        for (int c = 0; c < count; c++)
            put(out, r < 0 ? fp_pg_column_name(result, c) : cell(result, r, c), &columns[c],
                &blanks);
        fputc('\n', out);
    }
    if (fp_pg_rows(result) == 0)
        fputs("  (no rows)\n", out);
    free(columns);
}
