/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pg.c against a server that answers as it is told (pg_server.h): parameters byte by byte as
 * PostgreSQL's *_recv functions read them, and every status that a statement or a flight can end
 * with. What a real server makes of the bytes is for the integration tests. */
#include "daemon/pg.h"

#include <criterion/criterion.h>

#include "pg_server.h"

#define SOON_MS 5000
#define SHORT_MS 150

static struct pg_server server;
static struct fp_pg *pg;
static struct fp_error err;

static char *conninfo(char text[128])
{
    snprintf(text, 128, "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable", server.port);
    return text;
}

static void open_with(const struct pg_rule *rules)
{
    char text[128];
    cr_assert(pg_server_start(&server, rules));
    cr_assert_eq(fp_pg_open(conninfo(text), NULL, "unit", SOON_MS, &pg, &err), FP_OK, "%s",
                 err.what);
}

static void end(void)
{
    fp_pg_close(pg);
    if (server.thread)
        pg_server_stop(&server);
}

TestSuite(pg, .fini = end, .timeout = 30);

/* ---- parameters ------------------------------------------------------------------------------ */

/* Sends one parameter, frees it, and compares what arrived. */
static void arrives(struct fp_pg_param *param, uint32_t oid, const uint8_t *want, int32_t len)
{
    struct fp_pg_param *ref = param;
    cr_assert_eq(fp_pg_exec(pg, "SELECT $1", &ref, 1, SOON_MS, NULL, &err), FP_OK, "%s", err.what);
    cr_assert_eq(server.param_count, 1);
    cr_assert_eq(server.oid[0], oid, "oid %u, not %u", server.oid[0], oid);
    cr_assert_eq(server.len[0], len, "%d bytes, not %d", server.len[0], len);
    for (int32_t i = 0; i < len; i++)
        cr_assert_eq(server.bytes[0][i], want[i], "byte %d is %02x, not %02x", i,
                     server.bytes[0][i], want[i]);
    fp_pg_param_free(param);
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, (int32_t)sizeof((const uint8_t[]){__VA_ARGS__})
/* ndim, has_null, element type, length, lower bound */
#define ARRAY(has_null, type, n) 0, 0, 0, 1, 0, 0, 0, has_null, 0, 0, (type) >> 8, (type)&255, 0, \
        0, 0, n, 0, 0, 0, 1

static struct fp_pg_param scalar(enum fp_pg_type type)
{
    struct fp_pg_param p;
    fp_pg_param_init(&p, type, false);
    return p;
}

static struct fp_pg_param array(enum fp_pg_type type)
{
    struct fp_pg_param p;
    fp_pg_param_init(&p, type, true);
    return p;
}

Test(pg, integers_of_each_width_are_big_endian)
{
    open_with(NULL);
    struct fp_pg_param p = scalar(FP_PG_INT2);
    fp_pg_put_int(&p, -2);
    arrives(&p, 21, BYTES(0xff, 0xfe));
    p = scalar(FP_PG_INT4);
    fp_pg_put_int(&p, INT32_MIN);
    arrives(&p, 23, BYTES(0x80, 0, 0, 0));
    p = scalar(FP_PG_INT8);
    fp_pg_put_int(&p, INT64_C(0x0102030405060708));
    arrives(&p, 20, BYTES(1, 2, 3, 4, 5, 6, 7, 8));
    p = scalar(FP_PG_BOOL);
    fp_pg_put_int(&p, 1);
    arrives(&p, 16, BYTES(1));
}

Test(pg, doubles_and_bytes)
{
    static const uint8_t uuid[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    open_with(NULL);
    struct fp_pg_param p = scalar(FP_PG_FLOAT8);
    fp_pg_put_double(&p, -1.5);
    arrives(&p, 701, BYTES(0xbf, 0xf8, 0, 0, 0, 0, 0, 0));
    p = scalar(FP_PG_UUID);
    fp_pg_put_bytes(&p, uuid, sizeof uuid);
    arrives(&p, 2950, uuid, 16);
    p = scalar(FP_PG_BYTEA);
    fp_pg_put_bytes(&p, "\0\x80", 2);
    arrives(&p, 17, BYTES(0, 0x80));
    p = scalar(FP_PG_TEXT);
    fp_pg_put_slice(&p, fp_slice_of("é"));
    arrives(&p, 25, BYTES(0xc3, 0xa9));
}

/* µs since 2000-01-01 UTC, negative before. */
Test(pg, times_count_from_2000)
{
    open_with(NULL);
    struct fp_pg_param p = scalar(FP_PG_TIMESTAMPTZ);
    fp_pg_put_time(&p, INT64_C(946684800000000));
    arrives(&p, 1184, BYTES(0, 0, 0, 0, 0, 0, 0, 0));
    p = scalar(FP_PG_TIMESTAMPTZ);
    fp_pg_put_time(&p, INT64_C(946684799999999));
    arrives(&p, 1184, BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
    p = scalar(FP_PG_TIMESTAMPTZ);
    fp_pg_put_time(&p, 0); /* 1970: -946684800000000 = -0x35d013b37e000 */
    arrives(&p, 1184, BYTES(0xff, 0xfc, 0xa2, 0xfe, 0xc4, 0xc8, 0x20, 0));
    p = array(FP_PG_TIMESTAMPTZ);
    fp_pg_put_time(&p, INT64_C(946684800000258));
    arrives(&p, 1185, BYTES(ARRAY(0, 1184, 1), 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2));
}

Test(pg, null_and_empty_are_different)
{
    open_with(NULL);
    struct fp_pg_param p = scalar(FP_PG_TEXT); /* nothing put */
    arrives(&p, 25, NULL, -1);
    p = scalar(FP_PG_INT8);
    fp_pg_put_null(&p);
    arrives(&p, 20, NULL, -1);
    p = scalar(FP_PG_TEXT);
    fp_pg_put_slice(&p, (struct fp_slice){0});
    arrives(&p, 25, NULL, -1);
    p = scalar(FP_PG_TEXT);
    fp_pg_put_slice(&p, fp_slice_of(""));
    arrives(&p, 25, NULL, 0);
}

Test(pg, arrays_of_integers)
{
    open_with(NULL);
    struct fp_pg_param p = array(FP_PG_INT2);
    fp_pg_put_int(&p, 1);
    fp_pg_put_int(&p, -1);
    arrives(&p, 1005, BYTES(ARRAY(0, 21, 2), 0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 0xff, 0xff));
    p = array(FP_PG_INT4);
    fp_pg_put_int(&p, 258);
    arrives(&p, 1007, BYTES(ARRAY(0, 23, 1), 0, 0, 0, 4, 0, 0, 1, 2));
    p = array(FP_PG_INT8);
    fp_pg_put_int(&p, INT64_MIN);
    arrives(&p, 1016, BYTES(ARRAY(0, 20, 1), 0, 0, 0, 8, 0x80, 0, 0, 0, 0, 0, 0, 0));
    p = array(FP_PG_BOOL);
    fp_pg_put_int(&p, 0);
    arrives(&p, 1000, BYTES(ARRAY(0, 16, 1), 0, 0, 0, 1, 0));
}

Test(pg, arrays_with_null_and_empty_elements)
{
    open_with(NULL);
    struct fp_pg_param p = array(FP_PG_TEXT);
    fp_pg_put_slice(&p, fp_slice_of("ab"));
    fp_pg_put_slice(&p, (struct fp_slice){0});
    fp_pg_put_slice(&p, fp_slice_of(""));
    arrives(&p, 1009, BYTES(ARRAY(1, 25, 3), 0, 0, 0, 2, 'a', 'b', 255, 255, 255, 255, 0, 0, 0, 0));
    p = array(FP_PG_BYTEA);
    fp_pg_put_null(&p);
    arrives(&p, 1001, BYTES(ARRAY(1, 17, 1), 255, 255, 255, 255));
}

/* array_recv wants no dimension at all, not one of length 0. */
Test(pg, an_empty_array_has_no_dimensions)
{
    open_with(NULL);
    struct fp_pg_param p = array(FP_PG_INT8);
    arrives(&p, 1016, BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20));
    p = array(FP_PG_TEXT);
    fp_pg_put_int(&p, 0); /* and after a reset there is none again */
    fp_pg_put_null(&p);
    fp_pg_param_reset(&p);
    arrives(&p, 1009, BYTES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25));
}

Test(pg, a_parameter_grows_and_is_used_again)
{
    open_with(NULL);
    struct fp_pg_param p = array(FP_PG_INT4), *ref = &p;
    for (int i = 0; i < 100000; i++)
        fp_pg_put_int(&p, i);
    cr_assert_eq(fp_pg_exec(pg, "SELECT $1", &ref, 1, SOON_MS, NULL, &err), FP_OK);
    cr_assert_eq(server.len[0], 20 + 100000 * 8);
    cr_assert_eq(pg_get32(server.bytes[0] + 12), 100000u);
    cr_assert_eq(pg_get32(server.bytes[0] + 20 + 99999 * 8 + 4), 99999u);
    size_t capacity = p.capacity;
    fp_pg_param_reset(&p);
    fp_pg_put_int(&p, 7);
    cr_assert_eq(p.capacity, capacity, "the memory is kept");
    arrives(&p, 1007, BYTES(ARRAY(0, 23, 1), 0, 0, 0, 4, 0, 0, 0, 7));
}

Test(pg, several_parameters_keep_their_places)
{
    open_with(NULL);
    struct fp_pg_param p[3] = {scalar(FP_PG_INT2), array(FP_PG_INT8), scalar(FP_PG_TEXT)};
    struct fp_pg_param *ref[] = {&p[0], &p[1], &p[2]};
    fp_pg_put_int(&p[0], 5);
    fp_pg_put_slice(&p[2], fp_slice_of("x"));
    cr_assert_eq(fp_pg_exec(pg, "SELECT $1, $2, $3", ref, 3, SOON_MS, NULL, &err), FP_OK);
    cr_assert_eq(server.param_count, 3);
    cr_assert(server.oid[0] == 21 && server.oid[1] == 1016 && server.oid[2] == 25);
    cr_assert(server.len[0] == 2 && server.len[1] == 12 && server.len[2] == 1);
    for (int i = 0; i < 3; i++)
        fp_pg_param_free(&p[i]);
}

Test(pg, what_does_not_fit_is_refused_and_the_connection_lives)
{
    open_with(NULL);
    struct fp_pg_param p = array(FP_PG_BYTEA), *ref[41];
    fp_pg_put_bytes(&p, "x", (size_t)INT32_MAX + 1);
    cr_assert(p.failed);
    for (int i = 0; i < 41; i++)
        ref[i] = &p;
    cr_assert_eq(fp_pg_exec(pg, "SELECT $1", ref, 1, SOON_MS, NULL, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "no_memory");
    fp_pg_param_reset(&p);
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", ref, 41, SOON_MS, NULL, &err), FP_FATAL);
    cr_assert_str_eq(err.code, "too_many_parameters");
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", ref, 40, SOON_MS, NULL, &err), FP_OK);
    fp_pg_param_free(&p);
}

/* ---- results --------------------------------------------------------------------------------- */

Test(pg, results)
{
    open_with((struct pg_rule[]){{"SELECT", PG_ROW, "SELECT 1"}, {NULL, PG_OK, NULL}});
    struct fp_pg_result *result = NULL;
    cr_assert_eq(fp_pg_exec(pg, "SELECT n", NULL, 0, SOON_MS, &result, &err), FP_OK);
    cr_assert_eq(fp_pg_rows(result), 1);
    cr_assert_eq(fp_pg_columns(result), 3);
    cr_assert_str_eq(fp_pg_column_name(result, 1), "t");
    cr_assert_eq(fp_pg_int(result, 0, 0), -7);
    cr_assert(fp_pg_is_null(result, 0, 1) && !fp_pg_is_null(result, 0, 2));
    cr_assert_str_eq(fp_pg_text(result, 0, 1), "");
    fp_pg_result_free(result);
    cr_assert_eq(fp_pg_exec(pg, "INSERT", NULL, 0, SOON_MS, &result, &err), FP_OK);
    cr_assert_eq(fp_pg_affected(result), 5);
    fp_pg_result_free(result);
    fp_pg_result_free(NULL);
    cr_assert(fp_pg_rows(NULL) == 0 && fp_pg_columns(NULL) == 0 && fp_pg_affected(NULL) == 0);
}

Test(pg, the_sqlstate_decides_what_to_do)
{
    static const struct { const char *state; enum fp_status status; } cases[] = {
        {"FP001", FP_FENCED}, {"FP002", FP_RETRY},  {"40001", FP_RETRY},  {"40P01", FP_RETRY},
        {"55P03", FP_RETRY},  {"53100", FP_RETRY},  {"53300", FP_RETRY},  {"57014", FP_RETRY},
        {"57P01", FP_RETRY},  {"57P03", FP_RETRY},  {"08006", FP_RETRY},  {"23505", FP_POISON},
        {"25P03", FP_RETRY},  {"58030", FP_RETRY},  {"22003", FP_POISON}, {"22021", FP_POISON},
        {"22P02", FP_POISON}, {"22P03", FP_FATAL},  {"22P04", FP_FATAL},
        {"23514", FP_POISON}, {"42P01", FP_FATAL},  {"42501", FP_FATAL},  {"0A000", FP_FATAL}};
    static struct pg_rule rules[] = {{"SELECT", PG_ERROR, NULL}, {NULL, PG_OK, NULL}};
    open_with(rules);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rules[0].text = cases[i].state;
        enum fp_status status = fp_pg_exec(pg, "SELECT 1", NULL, 0, SOON_MS, NULL, &err);
        cr_assert_eq(status, cases[i].status, "%s is %s", cases[i].state, fp_status_name(status));
        cr_assert_str_eq(err.code, cases[i].state);
        cr_assert_str_eq(err.what, "no: the detail");
        cr_assert(fp_pg_alive(pg));
    }
}

/* After a fail-over the old address may answer read-only: the next try connects anew. */
Test(pg, a_server_that_became_read_only_is_left)
{
    open_with((struct pg_rule[]){{"INSERT", PG_ERROR, "25006"}, {NULL, PG_OK, NULL}});
    cr_assert_eq(fp_pg_exec(pg, "INSERT 1", NULL, 0, SOON_MS, NULL, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "25006");
    cr_assert_not(fp_pg_alive(pg));
}

/* ---- connections ----------------------------------------------------------------------------- */

Test(pg, a_bad_conninfo_is_fatal_and_not_repeated)
{
    cr_assert_eq(fp_pg_open("password=secret nonsense", NULL, "unit", 100, &pg, &err), FP_FATAL);
    cr_assert_str_eq(err.code, "bad_conninfo");
    cr_assert_null(strstr(err.what, "secret"));
}

Test(pg, nobody_there)
{
    char text[128];
    cr_assert(pg_server_start(&server, NULL));
    conninfo(text);
    pg_server_stop(&server);
    server.thread = 0;
    cr_assert_eq(fp_pg_open(text, "secret", "unit", SOON_MS, &pg, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "not_reachable");
    cr_assert_null(strstr(err.what, "secret"));
}

Test(pg, a_server_that_takes_the_connection_and_says_nothing)
{
    char text[128];
    server.mute = true;
    cr_assert(pg_server_start(&server, NULL));
    cr_assert_eq(fp_pg_open(conninfo(text), NULL, "unit", SHORT_MS, &pg, &err), FP_RETRY);
    cr_assert_eq(server.connections, 1);
}

Test(pg, a_statement_that_misses_its_deadline_ends_the_connection)
{
    open_with((struct pg_rule[]){{"SELECT", PG_SILENT, NULL}, {NULL, PG_OK, NULL}});
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", NULL, 0, SHORT_MS, NULL, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "deadline");
    cr_assert_not(fp_pg_alive(pg));
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", NULL, 0, SHORT_MS, NULL, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "not_connected");
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_RETRY);
}

Test(pg, a_connection_that_breaks)
{
    open_with((struct pg_rule[]){{"SELECT", PG_CLOSE, NULL}, {NULL, PG_OK, NULL}});
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", NULL, 0, SOON_MS, NULL, &err), FP_RETRY);
    cr_assert_str_eq(err.code, "connection_lost");
    cr_assert_not(fp_pg_alive(pg));
}

Test(pg, a_script_is_a_simple_query)
{
    open_with(NULL);
    cr_assert_eq(fp_pg_script(pg, "SELECT 1; SELECT 2", SOON_MS, &err), FP_OK);
    cr_assert_not(fp_pg_alive(NULL));
}

/* ---- flights --------------------------------------------------------------------------------- */

static enum fp_status fly(const struct pg_rule *rules, bool commit, int deadline_ms)
{
    open_with(rules);
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "UPDATE 2", NULL, 0, &err), FP_OK);
    return fp_pg_flight_run(pg, commit, deadline_ms, NULL, 0, &err);
}

Test(pg, a_flight_that_commits)
{
    cr_assert_eq(fly(NULL, true, SOON_MS), FP_OK, "%s", err.what);
    cr_assert_eq(server.executed, 4, "BEGIN, two statements, COMMIT");
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", NULL, 0, SOON_MS, NULL, &err), FP_OK);
}

Test(pg, two_runs_of_one_transaction_and_their_results)
{
    static const struct pg_rule rules[] = {{"SELECT", PG_ROW, "SELECT 1"}, {NULL, PG_OK, NULL}};
    struct fp_pg_result *results[3] = {NULL, NULL, NULL};
    open_with(rules);
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "SELECT 2", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, results, 3, &err), FP_OK, "%s", err.what);
    cr_assert_eq(fp_pg_affected(results[0]), 5, "BEGIN is not among them");
    cr_assert_eq(fp_pg_int(results[1], 0, 0), -7);
    cr_assert_null(results[2]);
    fp_pg_result_free(results[0]);
    fp_pg_result_free(results[1]);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 3", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, true, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    cr_assert_eq(server.executed, 5);
}

Test(pg, a_failing_statement_rolls_back_and_names_itself)
{
    static const struct pg_rule rules[] = {{"INSERT", PG_ERROR, "FP001"}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SOON_MS), FP_FENCED);
    cr_assert_str_eq(err.code, "FP001");
    cr_assert_eq(server.executed, 3, "BEGIN, the one that failed, ROLLBACK: %d", server.executed);
    cr_assert_eq(server.rollbacks, 1);
    cr_assert(fp_pg_alive(pg));
    cr_assert_eq(fp_pg_exec(pg, "SELECT 1", NULL, 0, SOON_MS, NULL, &err), FP_OK);
}

Test(pg, a_connection_lost_in_commit_is_unknown)
{
    static const struct pg_rule rules[] = {{"COMMIT", PG_CLOSE, NULL}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SOON_MS), FP_UNKNOWN);
    cr_assert_str_eq(err.code, "commit_unknown");
    cr_assert_not(fp_pg_alive(pg));
}

Test(pg, a_commit_without_an_answer_is_unknown)
{
    static const struct pg_rule rules[] = {{"COMMIT", PG_SILENT, NULL}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SHORT_MS), FP_UNKNOWN);
    cr_assert_not(fp_pg_alive(pg));
}

/* Without a COMMIT on its way nothing can have happened. */
Test(pg, a_connection_lost_before_commit_is_a_retry)
{
    static const struct pg_rule rules[] = {{"UPDATE", PG_CLOSE, NULL}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, false, SOON_MS), FP_RETRY);
    cr_assert_not(fp_pg_alive(pg));
}

/* COMMIT of a failed transaction is answered with the tag ROLLBACK, and no error. */
Test(pg, a_commit_that_was_a_rollback_is_a_retry)
{
    static const struct pg_rule rules[] = {{"COMMIT", PG_TAG, "ROLLBACK"}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SOON_MS), FP_RETRY);
    cr_assert_str_eq(err.code, "rolled_back");
}

Test(pg, a_deferred_constraint_fails_the_commit)
{
    static const struct pg_rule rules[] = {{"COMMIT", PG_ERROR, "40001"}, {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SOON_MS), FP_RETRY);
    cr_assert_str_eq(err.code, "40001");
    cr_assert(fp_pg_alive(pg));
}

/* The commit stands here, but not on the standby: a fail-over could lose it. */
Test(pg, a_commit_that_did_not_wait_for_its_standby_is_unknown)
{
    static const struct pg_rule rules[] = {
        {"COMMIT", PG_NOTICE, "canceling wait for synchronous replication due to user request"},
        {NULL, PG_OK, NULL}};
    cr_assert_eq(fly(rules, true, SOON_MS), FP_UNKNOWN);
    cr_assert_not(fp_pg_alive(pg));
}

Test(pg, a_flight_that_is_given_up_sends_no_commit)
{
    open_with(NULL);
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, NULL, 0, &err), FP_OK);
    fp_pg_flight_abandon(pg);
    cr_assert_not(fp_pg_alive(pg));
    cr_assert_str_neq(server.sql, "COMMIT");
    fp_pg_flight_abandon(pg);
    fp_pg_flight_abandon(NULL);
}

Test(pg, a_flight_has_a_limit)
{
    open_with(NULL);
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    for (int i = 0; i < 48; i++)
        cr_assert_eq(fp_pg_flight_add(pg, "INSERT", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT", NULL, 0, &err), FP_FATAL);
    cr_assert_str_eq(err.code, "too_many_statements");
    cr_assert_eq(fp_pg_flight_run(pg, true, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    cr_assert_eq(server.executed, 50);
}
