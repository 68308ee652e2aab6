/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows in the binary COPY format, byte by byte, and a COPY between the two runs of a flight,
 * against a server that answers as it is told (pg_server.h). The bytes wanted are PostgreSQL's own
 * for the SELECT that each test names, by COPY (…) TO STDOUT (FORMAT binary). Rows put into a real
 * server and read back: integration/test_new_responses.py. */
#include "daemon/pg_copy.h"

#include <criterion/criterion.h>
#include <sys/eventfd.h>

#include "daemon/pg.h"
#include "pg_server.h"

#define SOON_MS 5000
#define SHORT_MS 150

static struct fp_pg_copy copy;
static struct pg_server server;
static struct fp_pg *pg;
static struct fp_error err;

static void end(void)
{
    fp_pg_copy_free(&copy);
    fp_pg_close(pg);
    if (server.thread)
        pg_server_stop(&server);
}

TestSuite(pg_copy, .fini = end, .timeout = 30);

/* ---- the format ------------------------------------------------------------------------------ */

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define HEADER 'P', 'G', 'C', 'O', 'P', 'Y', '\n', 255, '\r', '\n', 0, 0, 0, 0, 0, 0, 0, 0, 0

/* All of a stream of one row, but for its header and its trailer. */
static void row_is(const uint8_t *want, size_t len)
{
    fp_pg_copy_finish(&copy);
    cr_assert_not(copy.failed);
    cr_assert_eq(copy.len, 19 + len + 2, "%zu bytes, not %zu", copy.len - 21, len);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(copy.data[19 + i], want[i], "byte %zu is %02x, not %02x", i,
                     copy.data[19 + i], want[i]);
}

static void row(int fields)
{
    fp_pg_copy_start(&copy);
    fp_pg_copy_row(&copy, fields);
}

/* SELECT -2::int2 UNION ALL SELECT 258::int2 */
Test(pg_copy, a_header_rows_and_a_trailer)
{
    static const uint8_t want[] = {HEADER, 0, 1, 0, 0, 0, 2, 255, 254, 0, 1, 0, 0, 0, 2, 1, 2,
                                   255, 255};
    fp_pg_copy_start(&copy);
    fp_pg_copy_row(&copy, 1);
    fp_pg_copy_int2(&copy, -2);
    fp_pg_copy_row(&copy, 1);
    fp_pg_copy_int2(&copy, 258);
    fp_pg_copy_finish(&copy);
    cr_assert_eq(copy.len, sizeof want);
    cr_assert_arr_eq(copy.data, want, sizeof want);
}

/* SELECT 258, -2147483648, '2000-01-01T00:00:00.000001Z'::timestamptz,
 * '1999-12-31T23:59:59.999999Z'::timestamptz, '1970-01-01T00:00:00Z'::timestamptz */
Test(pg_copy, numbers_and_times)
{
    row(5);
    fp_pg_copy_int4(&copy, 258);
    fp_pg_copy_int4(&copy, INT32_MIN);
    fp_pg_copy_time(&copy, INT64_C(946684800000001));
    fp_pg_copy_time(&copy, INT64_C(946684799999999));
    fp_pg_copy_time(&copy, 0);
    row_is(BYTES(0, 5, 0, 0, 0, 4, 0, 0, 1, 2, 0, 0, 0, 4, 128, 0, 0, 0, /**/
                 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, /**/
                 0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255, /**/
                 0, 0, 0, 8, 255, 252, 162, 254, 196, 200, 32, 0));
}

/* SELECT 'ab', NULL::text, '', 'é€😀', '\x0080ff'::bytea, NULL::int2[] */
Test(pg_copy, texts_bytes_and_null)
{
    row(6);
    fp_pg_copy_slice(&copy, fp_slice_of("ab"));
    fp_pg_copy_slice(&copy, (struct fp_slice){0});
    fp_pg_copy_slice(&copy, fp_slice_of(""));
    fp_pg_copy_slice(&copy, fp_slice_of("é€😀"));
    fp_pg_copy_bytes(&copy, "\0\200\377", 3);
    fp_pg_copy_null(&copy);
    row_is(BYTES(0, 6, 0, 0, 0, 2, 'a', 'b', 255, 255, 255, 255, 0, 0, 0, 0, /**/
                 0, 0, 0, 9, 195, 169, 226, 130, 172, 240, 159, 152, 128, /**/
                 0, 0, 0, 3, 0, 128, 255, 255, 255, 255, 255));
}

/* SELECT '{1,-1,-32768}'::int2[], '{-9223372036854775808,258}'::int8[], '{}'::int2[],
 * '{}'::int8[] */
Test(pg_copy, arrays_and_empty_ones)
{
    row(4);
    fp_pg_copy_int2s(&copy, (const int16_t[]){1, -1, INT16_MIN}, 3);
    fp_pg_copy_int8s(&copy, (const int64_t[]){INT64_MIN, 258}, 2);
    fp_pg_copy_int2s(&copy, NULL, 0);
    fp_pg_copy_int8s(&copy, NULL, 0);
    row_is(BYTES(0, 4, 0, 0, 0, 38, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 3, 0, 0, 0, 1,
                 0, 0, 0, 2, 0, 1, 0, 0, 0, 2, 255, 255, 0, 0, 0, 2, 128, 0, /**/
                 0, 0, 0, 44, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1,
                 0, 0, 0, 8, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2, /**/
                 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 21, /**/
                 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20));
}

Test(pg_copy, a_value_larger_than_the_buffer)
{
    enum { LEN = 1000000 };
    char *text = malloc(LEN);
    memset(text, 'x', LEN);
    row(2);
    fp_pg_copy_bytes(&copy, text, LEN);
    fp_pg_copy_int2(&copy, 7);
    cr_assert_eq(copy.len, 19u + 2 + 4 + LEN + 6);
    cr_assert_eq(pg_get32(copy.data + 21), (uint32_t)LEN);
    cr_assert_arr_eq(copy.data + 25, text, LEN);
    cr_assert_eq(copy.data[copy.len - 1], 7);
    free(text);
}

Test(pg_copy, what_the_format_cannot_hold_fails_and_nothing_is_put_since)
{
    row(2);
    size_t len = copy.len;
    fp_pg_copy_bytes(&copy, "x", (size_t)INT32_MAX + 1);
    fp_pg_copy_int2(&copy, 1);
    fp_pg_copy_int2s(&copy, (const int16_t[]){1}, 1);
    fp_pg_copy_row(&copy, 1);
    fp_pg_copy_finish(&copy);
    cr_assert(copy.failed);
    cr_assert_eq(copy.len, len);
    fp_pg_copy_free(&copy);
    cr_assert(copy.data == NULL && !copy.failed);
}

/* ---- in a flight ----------------------------------------------------------------------------- */

struct source {
    int left;
    size_t text_len, capacity_max;
    bool fails;
};

static bool next_row(void *context, struct fp_pg_copy *to)
{
    static char text[4096];
    struct source *s = context;
    if (s->capacity_max < to->capacity)
        s->capacity_max = to->capacity;
    if (s->left == 0)
        return false;
    s->left--;
    fp_pg_copy_row(to, 1);
    fp_pg_copy_bytes(to, text, s->fails ? (size_t)INT32_MAX + 1 : s->text_len);
    return true;
}

static void open_with(const struct pg_rule *rules)
{
    char text[128];
    cr_assert(pg_server_start(&server, rules));
    snprintf(text, sizeof text, "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable",
             server.port);
    cr_assert_eq(fp_pg_open(text, NULL, "unit", SOON_MS, &pg, &err), FP_OK, "%s", err.what);
}

static enum fp_status copy_from(struct source *source, int deadline_ms)
{
    struct fp_pg_rows rows = {next_row, source};
    return fp_pg_flight_copy(pg, "COPY t FROM STDIN (FORMAT binary)", &rows, deadline_ms, &err);
}

/* A first run, and the COPY of `source`. */
static enum fp_status fly(const struct pg_rule *rules, struct source *source, int deadline_ms)
{
    open_with(rules);
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "SELECT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    return copy_from(source, deadline_ms);
}

static void a_flight_goes(void)
{
    int before = server.executed;
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, true, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    cr_assert_eq(server.executed, before + 3, "BEGIN, the statement, COMMIT");
}

Test(pg_copy, between_two_runs_of_one_transaction)
{
    static const uint8_t want[] = {HEADER, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 255, 255};
    struct source source = {.left = 2, .text_len = 1};
    cr_assert_eq(fly(NULL, &source, SOON_MS), FP_OK, "%s", err.what);
    cr_assert_eq(server.copied_len, sizeof want);
    cr_assert_arr_eq(server.copied, want, sizeof want);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 2", NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, true, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    cr_assert_eq(server.executed, 4, "BEGIN, two statements, COMMIT");
    cr_assert_eq(server.rollbacks, 0);
    a_flight_goes();
}

/* 40 MB: far more than any buffer on the way. */
Test(pg_copy, rows_are_sent_as_they_are_made)
{
    struct source source = {.left = 10000, .text_len = 4000};
    cr_assert_eq(fly(NULL, &source, SOON_MS), FP_OK, "%s", err.what);
    cr_assert_eq(server.copied_len, 19 + 10000 * (size_t)(2 + 4 + 4000) + 2);
    cr_assert_leq(source.capacity_max, 131072u);
}

/* At its beginning, at the first data (whose rest is passed over), at its end. */
Test(pg_copy, a_refusal_rolls_back_and_the_connection_lives)
{
    static struct pg_rule rules[] = {{NULL, PG_ERROR, NULL}, {NULL, PG_OK, NULL}};
    static const struct {
        const char *step, *state;
        enum fp_status status;
    } cases[] = {{"COPY", "42501", FP_FATAL}, {"data", "22021", FP_POISON},
                 {"data", "22P04", FP_FATAL}, {"end", "23505", FP_POISON},
                 {"end", "57014", FP_RETRY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source source = {.left = 1000, .text_len = 4000};
        rules[0].sql = cases[i].step, rules[0].text = cases[i].state;
        cr_assert_eq(fly(rules, &source, SOON_MS), cases[i].status, "%s", cases[i].state);
        cr_assert_str_eq(err.code, cases[i].state);
        cr_assert(fp_pg_alive(pg));
        cr_assert_eq(server.rollbacks, 1);
        fp_pg_flight_abandon(pg); /* there is nothing to give up */
        cr_assert(fp_pg_alive(pg));
        a_flight_goes();
        end();
        server = (struct pg_server){0};
        pg = NULL;
    }
}

static void lost_at(enum pg_answer answer, int deadline_ms, const char *code)
{
    static struct pg_rule rules[] = {{NULL, PG_OK, NULL}, {NULL, PG_OK, NULL}};
    static const char *const steps[] = {"COPY", "data", "end"};
    for (size_t i = 0; i < 3; i++) {
        struct source source = {.left = 10000, .text_len = 4000};
        rules[0].sql = steps[i], rules[0].answer = answer;
        cr_assert_eq(fly(rules, &source, deadline_ms), FP_RETRY, "%s", steps[i]);
        cr_assert_str_eq(err.code, code, "%s at %s", err.code, steps[i]);
        cr_assert_not(fp_pg_alive(pg));
        cr_assert_str_neq(server.sql, "COMMIT");
        end();
        server = (struct pg_server){0};
        pg = NULL;
    }
}

/* No COMMIT is on its way: nothing can have happened. */
Test(pg_copy, a_connection_lost_is_a_retry)
{
    lost_at(PG_CLOSE, SOON_MS, "connection_lost");
}

Test(pg_copy, a_missed_deadline_ends_the_connection)
{
    lost_at(PG_SILENT, SHORT_MS, "deadline");
}

Test(pg_copy, an_interrupted_wait_ends_the_connection)
{
    int fd = eventfd(1, 0);
    struct source source = {.left = 1, .text_len = 1};
    open_with((struct pg_rule[]){{"end", PG_SILENT, NULL}, {NULL, PG_OK, NULL}});
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, NULL, 0, &err), FP_OK, "%s", err.what);
    fp_pg_interrupt_on(fd);
    cr_assert_eq(copy_from(&source, SOON_MS), FP_RETRY);
    fp_pg_interrupt_on(-1);
    close(fd);
    cr_assert_str_eq(err.code, "interrupted");
    cr_assert_not(fp_pg_alive(pg));
}

Test(pg_copy, a_row_that_does_not_fit_ends_the_connection)
{
    struct source source = {.left = 1, .fails = true};
    cr_assert_eq(fly(NULL, &source, SOON_MS), FP_RETRY);
    cr_assert_str_eq(err.code, "no_memory");
    cr_assert_not(fp_pg_alive(pg));
    cr_assert_eq(copy_from(&source, SOON_MS), FP_RETRY);
    cr_assert_str_eq(err.code, "not_connected");
}

Test(pg_copy, it_has_its_place)
{
    struct source source = {.left = 1, .text_len = 1};
    open_with(NULL);
    cr_assert_eq(copy_from(&source, SOON_MS), FP_FATAL, "no flight");
    cr_assert_str_eq(err.code, "misplaced_copy");
    cr_assert_eq(fp_pg_flight_begin(pg, &err), FP_OK);
    cr_assert_eq(copy_from(&source, SOON_MS), FP_FATAL, "BEGIN was not sent");
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, NULL, 0, &err), FP_OK);
    cr_assert_eq(fp_pg_flight_add(pg, "INSERT 1", NULL, 0, &err), FP_OK);
    cr_assert_eq(copy_from(&source, SOON_MS), FP_FATAL, "a statement waits");
    cr_assert_eq(fp_pg_flight_run(pg, false, SOON_MS, NULL, 0, &err), FP_OK);
    cr_assert_eq(copy_from(&source, SOON_MS), FP_OK, "%s", err.what);
    cr_assert_eq(fp_pg_flight_run(pg, true, SOON_MS, NULL, 0, &err), FP_OK);
    cr_assert_eq(server.rollbacks, 0);
}
