/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything Flightpath asks of PostgreSQL. libpq is used in pg.c only.
 *
 * All calls have a deadline kept with poll(), so a server that stops answering cannot hang a
 * thread. Statements are unnamed and parameters binary: works behind PgBouncer in transaction mode.
 * Threads: one connection per thread. */
#ifndef FP_PG_H
#define FP_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/pg_copy.h"
#include "daemon/pg_param.h"
#include "daemon/status.h"

struct fp_pg;

/* Connects. password (may be NULL) overrides the conninfo's. FP_RETRY: not reachable now;
 * FP_FATAL: refused for good (bad conninfo). err never holds the conninfo. */
enum fp_status fp_pg_open(const char *conninfo, const char *password, const char *application,
                          int deadline_ms, struct fp_pg **pg, struct fp_error *err) FP_MUST_CHECK;
void fp_pg_close(struct fp_pg *pg);
/* From now on the calling thread's waits for PostgreSQL end early, as if the connection were lost,
 * while `fd` (an eventfd nobody reads) is readable. −1: never, as at first. */
void fp_pg_interrupt_on(int fd);
/* false also once the server refused to write: whoever reconnects may find the new primary. */
bool fp_pg_alive(const struct fp_pg *pg);

/* ---- results (text format) ---------------------------------------------------------------------
 */

struct fp_pg_result;
int fp_pg_rows(const struct fp_pg_result *result);
int fp_pg_columns(const struct fp_pg_result *result);
const char *fp_pg_column_name(const struct fp_pg_result *result, int column);
bool fp_pg_is_null(const struct fp_pg_result *result, int row, int column);
const char *fp_pg_text(const struct fp_pg_result *result, int row, int column); /* "" when NULL */
int64_t fp_pg_int(const struct fp_pg_result *result, int row, int column);
/* A bytea, decoded in place at the first call; valid as long as the result. The column is a bytea
 * or, whatever bytea_output says, text: '\x' || encode(…, 'hex'). NULL: NULL, or no such text. Its
 * fp_pg_text is then "". */
const uint8_t *fp_pg_bytes(struct fp_pg_result *result, int row, int column, size_t *len);
int64_t fp_pg_affected(const struct fp_pg_result *result);
void fp_pg_result_free(struct fp_pg_result *result);

/* ---- statements --------------------------------------------------------------------------------
 */

/* One statement with its parameters, its own transaction unless one is open. result may be NULL.
 * The status follows the SQLSTATE: retry (40001, 40P01, 55P03, 53xxx, 57P0x, 08xxx, lost
 * connection), fenced (FP001), poison (22xxx, 23xxx), fatal (42xxx, what is wrong with the bytes of
 * a parameter or a COPY and not with what they say: 22P03, 22P04, and the rest). err->code =
 * SQLSTATE. */
enum fp_status fp_pg_exec(struct fp_pg *pg, const char *sql, struct fp_pg_param *const *params,
                          size_t param_count, int deadline_ms, struct fp_pg_result **result,
                          struct fp_error *err) FP_MUST_CHECK;
/* Several statements without parameters (migrations). */
enum fp_status fp_pg_script(struct fp_pg *pg, const char *sql, int deadline_ms,
                            struct fp_error *err) FP_MUST_CHECK;

/* A flight: several statements in pipeline mode, one round trip. fp_pg_flight_run returns the first
 * failure; with `commit` the flight ends in COMMIT and a connection lost after it was sent is
 * FP_UNKNOWN. After a failure the connection has been rolled back or closed. Results of statement i
 * (order of adding) in results[i]; the caller frees. */
enum fp_status fp_pg_flight_begin(struct fp_pg *pg, struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_pg_flight_add(struct fp_pg *pg, const char *sql,
                                struct fp_pg_param *const *params, size_t param_count,
                                struct fp_error *err) FP_MUST_CHECK;
enum fp_status fp_pg_flight_run(struct fp_pg *pg, bool commit, int deadline_ms,
                                struct fp_pg_result **results, size_t result_count,
                                struct fp_error *err) FP_MUST_CHECK;
/* Rows for a COPY: next() puts one more into `copy`, or puts none and returns false. */
struct fp_pg_rows {
    bool (*next)(void *context, struct fp_pg_copy *copy);
    void *context;
};
/* Between two runs of an open flight, with nothing queued: `sql` is a COPY … FROM STDIN (FORMAT
 * binary), in the flight's transaction. Rows are sent as they are made, so it holds a piece of them
 * and no more. Status and what a failure leaves are those of fp_pg_flight_run without a commit. */
enum fp_status fp_pg_flight_copy(struct fp_pg *pg, const char *sql, const struct fp_pg_rows *rows,
                                 int deadline_ms, struct fp_error *err) FP_MUST_CHECK;
/* Gives up an open flight between two runs: nothing of it is applied. */
void fp_pg_flight_abandon(struct fp_pg *pg);

#endif
