/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath analyze`: the statistics library over columns of a CSV file.
 *
 *   fp_csv → fp_table_load (fixed point, exactly) → analyze_drivers.c or analyze_kpi.c → print
 *   fp_csv → buckets of a series → analyze_watch.c → print
 *
 * Inside daemon/analyze*.c and cmd_analyze.c only. Threads: one. */
#ifndef FP_ANALYZE_H
#define FP_ANALYZE_H

#include <stdio.h>

#include "analytics/moments.h"
#include "daemon/analyze_csv.h"
#include "daemon/options.h"

/* ---- columns of numbers (analyze_table.c) ---------------------------------------------------- */

enum fp_cell { FP_CELL_EMPTY, FP_CELL_ANSWERED, FP_CELL_DOES_NOT_APPLY };

enum fp_column_role {
    FP_COLUMN_CODED, /* numbers; every --na code means "does not apply" */
    FP_COLUMN_PLAIN, /* numbers; only codes that are no numbers do: an outcome may well be 0 */
    FP_COLUMN_WEIGHT,
    FP_COLUMN_CLUSTER, /* any text; value = number of the distinct text, from 0 */
    FP_COLUMN_DAY      /* a date, 2026-03-02; value = days since 1970-01-01 */
};

struct fp_column {
    const char *name; /* borrowed from the options */
    enum fp_column_role role;
    int at;       /* in the file */
    int decimals; /* value is the number × 10^decimals, 0 … 22 */
    int64_t *value;
    unsigned char *cell;   /* enum fp_cell */
    double largest, total; /* of the absolute values; sum */
    int64_t answered, empty, does_not_apply;
    int64_t rounded;   /* values that had more decimals than fit */
    int64_t like_code; /* of FP_COLUMN_PLAIN: answers that equal a code */
};

#define FP_TABLE_COLUMNS_MAX (CX_COLUMNS_MAX + 3)

struct fp_table {
    const char *name; /* of the file, borrowed */
    int64_t rows, capacity;
    long *line; /* of each row */
    int count;
    struct fp_column column[FP_TABLE_COLUMNS_MAX];
    double weight_total;      /* of the rows, in units of the weight's fixed point */
    int weight, cluster, day; /* which column; −1 = none */
    int64_t clusters;
    void *cluster_tree;
};

/* Adds a column to be read; name may hold no more than the file has. */
void fp_table_want(struct fp_table *table, const char *name, enum fp_column_role role);
/* Reads the wanted columns. na: codes, comma separated. FP_REJECT names line and column. */
enum fp_status fp_table_load(struct fp_table *table, struct fp_csv *csv, const char *na,
                             struct fp_error *err) FP_MUST_CHECK;
void fp_table_free(struct fp_table *table);
/* Weight of a row; 1 without weights. */
int64_t fp_table_weight(const struct fp_table *table, int64_t row);

/* ---- results (analyze_print.c) --------------------------------------------------------------- */

#define FP_NOTES_MAX 160
#define FP_NOTE_BYTES 400

struct fp_notes {
    int count;
    char text[FP_NOTES_MAX][FP_NOTE_BYTES];
};
void fp_note(struct fp_notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON: values with 17 significant digits, null for what is not finite; text escaped. */
void fp_put_number(FILE *out, double value);
void fp_put_text(FILE *out, const char *text);
void fp_put_key(FILE *out, const char *key); /* , "key": */
void fp_put_numbers(FILE *out, const char *key, int count, const double *value);
void fp_put_notes(FILE *out, const char *key, const struct fp_notes *notes);

/* What became of each column: missing, does not apply, rounded, codes that count as answers. */
void fp_note_columns(struct fp_notes *notes, const struct fp_table *table);

/* ---- the analyses ---------------------------------------------------------------------------- */

/* Print to standard output. FP_REJECT: the options or the file cannot be used. */
enum fp_status fp_analyze_drivers(const struct fp_options *options, struct fp_csv *csv,
                                  struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_analyze_kpi(const struct fp_options *options, struct fp_csv *csv,
                              struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_analyze_watch(const struct fp_options *options, struct fp_csv *csv,
                                struct fp_error *err) FP_MUST_CHECK;

#endif
