/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `flightpath explain`: where a published number comes from. A view is named with the key of one
 * row; out come the row, its definition, its window, the records that were read, the formula with
 * its source, what its flags mean, and SQL that gives the number again from what is stored.
 *
 *   explain.c            views and their keys; the row, or what there is instead
 *   explain_driver.c     driver, driver_fit
 *   explain_kpi.c        kpi_day, kpi_hour, kpi_now
 *   explain_benchmark.c  benchmark
 *   explain_print.c      parts of the answer, as text or as members of one JSON object
 *
 * Reads only, in one snapshot. Threads: one. */
#ifndef FP_EXPLAIN_H
#define FP_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "daemon/pg.h"

#define FP_EXPLAIN_KEYS_MAX 4
#define FP_EXPLAIN_DEADLINE_MS 60000

struct fp_explain_view;

struct fp_explain {
    struct fp_pg *pg;
    FILE *out;
    bool json;
    int parts; /* written */
    struct {
        FILE *out;
        char *text;
        size_t len;
    } draft; /* of the part under way */
    const struct fp_explain_view *view;
    const char *key[FP_EXPLAIN_KEYS_MAX]; /* values of the view's keys; NULL = not given */
};

struct fp_explain_key {
    const char *name, *fallback; /* fallback NULL: not given is a value of its own */
    bool required;
    const char *known; /* SQL: values there are, and whether it is the asked one; keys up to it */
};

struct fp_explain_view {
    const char *name;
    struct fp_explain_key key[FP_EXPLAIN_KEYS_MAX]; /* ends with a NULL name */
    const char *row;                                /* SQL: the row of these keys */
    enum fp_status (*explain)(struct fp_explain *explain, struct fp_error *err);
};

/* words[0] names the view, the others are name=value. FP_REJECT: no such view, key or row; err says
 * what there is. */
enum fp_status fp_explain(struct fp_explain *explain, const char *const *words, size_t count,
                          struct fp_error *err) FP_MUST_CHECK;

/* The views' own parts, after the row. */
enum fp_status fp_explain_driver(struct fp_explain *explain, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_explain_kpi(struct fp_explain *explain, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_explain_benchmark(struct fp_explain *explain, struct fp_error *err) FP_MUST_CHECK;

/* What was read while this model was in force: a part of every answer. */
enum fp_status fp_explain_ledger(struct fp_explain *explain, const char *model_hash,
                                 struct fp_error *err) FP_MUST_CHECK;

/* One statement; parameters are texts, NULL is NULL. The caller frees the result. */
enum fp_status fp_explain_query(struct fp_explain *explain, const char *sql,
                                const char *const *values, size_t count,
                                struct fp_pg_result **result, struct fp_error *err) FP_MUST_CHECK;

/* ---- parts (explain_print.c) ----------------------------------------------------------------- */

/* title is the heading, key the member. json: as it is; text: what a person reads instead. */
void fp_part_json(struct fp_explain *explain, const char *key, const char *title, const char *json,
                  const char *text);
void fp_part_text(struct fp_explain *explain, const char *key, const char *title, const char *text);
/* Lines: an array of strings in JSON. */
void fp_part_lines(struct fp_explain *explain, const char *key, const char *title,
                   const char *lines);
/* Lines that are written to the stream in between; one part at a time. */
FILE *fp_part_open(struct fp_explain *explain);
void fp_part_close(struct fp_explain *explain, const char *key, const char *title);
void fp_part_end(struct fp_explain *explain);

#endif
