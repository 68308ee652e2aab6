/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON and notes of `flightpath analyze`. */
#include "daemon/analyze.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

#include "daemon/log.h"

void fp_note(struct fp_notes *notes, const char *format, ...)
{
    va_list args;
    if (notes->count == FP_NOTES_MAX)
        return;
    va_start(args, format);
    vsnprintf(notes->text[notes->count++], FP_NOTE_BYTES, format, args);
    va_end(args);
}

void fp_put_number(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, "%.17g", value);
    else
        fputs("null", out);
}

void fp_put_text(FILE *out, const char *text)
{
    char escaped[6 * FP_NOTE_BYTES];
    fp_log_escape(escaped, sizeof escaped, text);
    fprintf(out, "\"%s\"", escaped);
}

void fp_put_key(FILE *out, const char *key)
{
    fprintf(out, ", \"%s\": ", key);
}

void fp_put_numbers(FILE *out, const char *key, int count, const double *value)
{
    fp_put_key(out, key);
    for (int i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "[", out);
        fp_put_number(out, value[i]);
    }
    fputs(count > 0 ? "]" : "[]", out);
}

void fp_put_notes(FILE *out, const char *key, const struct fp_notes *notes)
{
    fp_put_key(out, key);
    fputs("[", out);
    for (int i = 0; i < notes->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        fp_put_text(out, notes->text[i]);
    }
    fputs("]", out);
}

void fp_note_columns(struct fp_notes *notes, const struct fp_table *table)
{
    for (int i = 0; i < table->count; i++) {
        const struct fp_column *column = &table->column[i];
        if (column->rounded > 0)
            fp_note(notes,
                    "%.60s: %" PRId64 " values have more than %d decimals and were rounded to that",
                    column->name, column->rounded, column->decimals);
        if (column->like_code > 0)
            fp_note(notes,
                    "%.60s: %" PRId64 " values equal a code of --na; of the outcome they count as "
                    "answers (codes that are numbers hold for the drivers)",
                    column->name, column->like_code);
    }
}
