/* SPDX-License-Identifier: GPL-3.0-or-later */
/* CSV files as RFC 4180 has them: commas, "quoted" cells that may hold commas, line ends and ""
 * for one quote; LF or CRLF; the first record names the columns. A byte order mark is skipped, a
 * line of nothing too (unless there is one column: then it is an empty cell).
 * Ownership: a reader owns everything; cells are valid until the next call. Threads: one each. */
#ifndef FP_ANALYZE_CSV_H
#define FP_ANALYZE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/slice.h"
#include "daemon/status.h"

#define FP_CSV_RECORD_MAX (1 << 20) /* bytes of a record */
#define FP_CSV_COLUMNS_MAX 4096

struct fp_csv;

/* Reads the file whole ("-": standard input) and its header. FP_REJECT: not a CSV file. */
enum fp_status fp_csv_open(const char *path, struct fp_csv **csv,
                           struct fp_error *err) FP_MUST_CHECK;
/* The same from bytes, which are copied. */
enum fp_status fp_csv_from(const char *name, const char *bytes, size_t len, struct fp_csv **csv,
                           struct fp_error *err) FP_MUST_CHECK;
void fp_csv_close(struct fp_csv *csv);

int fp_csv_columns(const struct fp_csv *csv);
const char *fp_csv_column(const struct fp_csv *csv, int column);

/* Back to the first record after the header. */
void fp_csv_rewind(struct fp_csv *csv);
/* The next record: *cells has one slice a column, NULL at the end. FP_REJECT names the line. */
enum fp_status fp_csv_next(struct fp_csv *csv, const struct fp_slice **cells,
                           struct fp_error *err) FP_MUST_CHECK;
/* Line, from 1, on which the record last read begins. */
long fp_csv_line(const struct fp_csv *csv);

#endif
