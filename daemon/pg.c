/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libpq behind a small door.
 *
 * Three habits make it safe: every wait has a deadline kept with poll() (libpq's blocking calls can
 * hang for a quarter of an hour on a black-holed connection); a flight is sent with non-blocking
 * writes while results are drained, so neither side can block on a full socket; and the outcome of
 * a COMMIT is FP_UNKNOWN unless the server said so. A connection that missed its deadline is
 * closed: what it was doing may still land, which is why positions are decided under a row lock
 * (flush.c).
 *
 * libpq has no COPY in pipeline mode. Between two runs of a flight, when nothing is under way, the
 * mode is left and entered again; the server sees nothing of that, only the transaction. */
#include "daemon/pg.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/fault.h"

#define FLIGHT_STATEMENTS_MAX 48
#define PARAMS_MAX 40
#define COPY_PIECE 65536

struct fp_pg {
    PGconn *conn;
    bool in_flight; /* pipeline mode, transaction open or about to be */
    int queued;     /* statements of the caller since the last run */
    bool begin_queued;
    bool read_only;       /* it said so: another server may be the primary now */
    bool durability_lost; /* the server warned that a commit did not reach its standby */
};

struct fp_pg_result {
    PGresult *res;
};

/* by enum fp_pg_type */
static const Oid element_oid[] = {21, 23, 20, 25, 17, 1184, 16, 701, 2950};
static const Oid array_oid[] = {1005, 1007, 1016, 1009, 1001, 1185, 1000, 1022, 2951};

/* ---- errors ---------------------------------------------------------------------------------- */

static enum fp_status classify(const char *state)
{
    static const struct {
        const char *prefix;
        enum fp_status status;
    } table[] = {{"FP001", FP_FENCED}, {"FP002", FP_RETRY}, {"40", FP_RETRY},
                 {"55P03", FP_RETRY},  {"53", FP_RETRY},    {"57", FP_RETRY},
                 {"08", FP_RETRY},     {"25006", FP_RETRY}, {"25P0", FP_RETRY},
                 {"58", FP_RETRY},     {"22P03", FP_FATAL}, {"22P04", FP_FATAL},
                 {"22", FP_POISON},    {"23", FP_POISON},   {"XX", FP_RETRY}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(state, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].status;
    return FP_FATAL;
}

static enum fp_status result_error(struct fp_pg *pg, const PGresult *res, struct fp_error *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    pg->read_only |= state && strcmp(state, "25006") == 0;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    if (state == NULL) /* made by libpq itself: the connection broke */
        return fp_fail(err, FP_RETRY, "connection_lost", "postgres",
                       "the connection to PostgreSQL was lost");
    return fp_fail(err, classify(state), state, "postgres", "%s%s%s", text ? text : "",
                   detail ? ": " : "", detail ? detail : "");
}

static void on_notice(void *context, const PGresult *res)
{
    struct fp_pg *pg = context;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (text && strstr(text, "synchronous replication"))
        pg->durability_lost = true;
}

static enum fp_status drop(struct fp_pg *pg, enum fp_status status, const char *code,
                           const char *what, struct fp_error *err)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->in_flight = false;
    pg->queued = 0;
    return fp_fail(err, status, code, "postgres", "%s", what);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static _Thread_local int interrupt_fd = -1;

void fp_pg_interrupt_on(int fd)
{
    interrupt_fd = fd;
}

static bool interrupted(void)
{
    struct pollfd fd = {.fd = interrupt_fd, .events = POLLIN}; /* −1 is ignored */
    return poll(&fd, 1, 0) > 0;
}

/* Waits for the socket; false at the deadline, on failure, and when interrupted. */
static bool wait_socket(PGconn *conn, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - fp_now_ms();
        if (left < 0)
            return false;
        struct pollfd fd[] = {{.fd = PQsocket(conn), .events = events},
                              {.fd = interrupt_fd, .events = POLLIN}};
        int n = poll(fd, 2, (int)left);
        if (n > 0)
            return fd[1].revents == 0;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static bool connect_finish(PGconn *conn, int64_t deadline)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED || PQstatus(conn) == CONNECTION_BAD)
            return false;
        if (!wait_socket(conn, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return false;
        state = PQconnectPoll(conn);
    }
    return true;
}

enum fp_status fp_pg_open(const char *conninfo, const char *password, const char *application,
                          int deadline_ms, struct fp_pg **pg, struct fp_error *err)
{
    /* what the conninfo may override comes before it, what it may not comes after */
    const char *keys[] = {"keepalives_idle",
                          "keepalives_interval",
                          "keepalives_count",
                          "tcp_user_timeout",
                          "gssencmode",
                          "fallback_application_name",
                          "dbname",
                          "client_encoding",
                          password ? "password" : NULL,
                          NULL};
    const char *values[] = {"10",        "5",      "3",    "20000",  "disable",
                            application, conninfo, "UTF8", password, NULL};
    char *bad = NULL;
    PQconninfoOption *parsed = PQconninfoParse(conninfo, &bad);
    PQfreemem(bad);
    if (parsed == NULL)
        return fp_fail(err, FP_FATAL, "bad_conninfo", "postgres",
                       "not a conninfo string or postgresql:// URI; write e.g. \"host=db dbname=cx"
                       " user=flightpath\"");
    PQconninfoFree(parsed);
    struct fp_pg *new = calloc(1, sizeof *new);
    if (new == NULL)
        return fp_fail(err, FP_RETRY, "no_memory", "postgres", "out of memory");
    new->conn = PQconnectStartParams(keys, values, 1);
    if (new->conn == NULL || !connect_finish(new->conn, fp_now_ms() + deadline_ms)) {
        /* libpq's text names host, port and user, never the password */
        fp_fail(err, FP_RETRY, "not_reachable", "postgres", "%s",
                new->conn &&*PQerrorMessage(new->conn) ? PQerrorMessage(new->conn)
                                                       : "no answer in time");
        fp_pg_close(new);
        return FP_RETRY;
    }
    PQsetnonblocking(new->conn, 1);
    PQsetNoticeReceiver(new->conn, on_notice, new);
    *pg = new;
    return FP_OK;
}

void fp_pg_close(struct fp_pg *pg)
{
    if (pg == NULL)
        return;
    if (pg->conn)
        PQfinish(pg->conn);
    free(pg);
}

bool fp_pg_alive(const struct fp_pg *pg)
{
    return pg && pg->conn && !pg->read_only && PQstatus(pg->conn) == CONNECTION_OK;
}

/* ---- results --------------------------------------------------------------------------------- */

int fp_pg_rows(const struct fp_pg_result *r)
{
    return r ? PQntuples(r->res) : 0;
}
int fp_pg_columns(const struct fp_pg_result *r)
{
    return r ? PQnfields(r->res) : 0;
}
const char *fp_pg_column_name(const struct fp_pg_result *r, int column)
{
    return PQfname(r->res, column);
}
bool fp_pg_is_null(const struct fp_pg_result *r, int row, int column)
{
    return PQgetisnull(r->res, row, column);
}
const char *fp_pg_text(const struct fp_pg_result *r, int row, int column)
{
    return PQgetvalue(r->res, row, column);
}
int64_t fp_pg_int(const struct fp_pg_result *r, int row, int column)
{
    return strtoll(PQgetvalue(r->res, row, column), NULL, 10);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The x of \x4142 stays, the bytes follow it; a NUL before it says that they are decoded. */
const uint8_t *fp_pg_bytes(struct fp_pg_result *r, int row, int column, size_t *len)
{
    char *text = PQgetvalue(r->res, row, column);
    size_t size = (size_t)PQgetlength(r->res, row, column);
    *len = 0;
    if (PQgetisnull(r->res, row, column) || size < 2 || size % 2 || text[1] != 'x' ||
        (text[0] != '\\' && text[0] != '\0'))
        return NULL;
    for (size_t i = 1; text[0] && i < size / 2; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            text[1] = '\0'; /* whoever asks again is told the same */
            return NULL;
        }
        text[1 + i] = (char)(high << 4 | low);
    }
    text[0] = '\0';
    *len = size / 2 - 1;
    return (const uint8_t *)text + 2;
}

int64_t fp_pg_affected(const struct fp_pg_result *r)
{
    return r ? strtoll(PQcmdTuples(r->res), NULL, 10) : 0;
}

void fp_pg_result_free(struct fp_pg_result *result)
{
    if (result == NULL)
        return;
    PQclear(result->res);
    free(result);
}

static enum fp_status keep_result(PGresult *res, struct fp_pg_result **result)
{
    if (result == NULL) {
        PQclear(res);
        return FP_OK;
    }
    struct fp_pg_result *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        PQclear(res);
        return FP_RETRY;
    }
    kept->res = res;
    *result = kept;
    return FP_OK;
}

/* ---- waiting for results --------------------------------------------------------------------- */

/* The next result of the connection, writing what is left to write meanwhile.
 * Returns false at the deadline or when the connection broke. *res may be NULL (end of a
 * statement). */
static bool next_result(struct fp_pg *pg, int64_t deadline, PGresult **res)
{
    int pending = 1;
    for (;;) {
        if (pending && (pending = PQflush(pg->conn)) < 0)
            return false;
        if (!PQisBusy(pg->conn)) {
            *res = PQgetResult(pg->conn);
            return true;
        }
        if (!wait_socket(pg->conn, (short)(POLLIN | (pending ? POLLOUT : 0)), deadline))
            return false;
        if (!PQconsumeInput(pg->conn))
            return false;
    }
}

static bool is_success(const PGresult *res)
{
    ExecStatusType s = PQresultStatus(res);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_EMPTY_QUERY;
}

static enum fp_status lost(struct fp_pg *pg, int64_t deadline, struct fp_error *err)
{
    if (interrupted())
        return drop(pg, FP_RETRY, "interrupted", "broken off: the program ends", err);
    if (fp_now_ms() >= deadline)
        return drop(pg, FP_RETRY, "deadline",
                    "PostgreSQL did not answer in time; connection closed", err);
    return drop(pg, FP_RETRY, "connection_lost", "the connection to PostgreSQL was lost", err);
}

/* Reads all results of one simple or extended query outside a pipeline. */
static enum fp_status collect(struct fp_pg *pg, int64_t deadline, struct fp_pg_result **result,
                              struct fp_error *err)
{
    enum fp_status status = FP_OK;
    PGresult *last = NULL, *res;
    for (;;) {
        if (!next_result(pg, deadline, &res)) {
            PQclear(last);
            return lost(pg, deadline, err);
        }
        if (res == NULL)
            break;
        if (!is_success(res) && status == FP_OK)
            status = result_error(pg, res, err);
        PQclear(last);
        last = res;
    }
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        PQclear(last);
        return lost(pg, deadline, err);
    }
    if (status != FP_OK) {
        PQclear(last);
        return status;
    }
    return keep_result(last, result);
}

static enum fp_status send_params(struct fp_pg *pg, const char *sql,
                                  struct fp_pg_param *const *params, size_t count,
                                  struct fp_error *err)
{
    Oid types[PARAMS_MAX] = {0};
    const char *values[PARAMS_MAX] = {NULL};
    int lengths[PARAMS_MAX] = {0}, formats[PARAMS_MAX] = {0};
    if (count > PARAMS_MAX)
        return fp_fail(err, FP_FATAL, "too_many_parameters", "postgres",
                       "a statement has at most %d parameters", PARAMS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct fp_pg_param *p = params[i];
        if (p->failed)
            return fp_fail(err, FP_RETRY, "no_memory", "postgres",
                           "a parameter did not fit in memory");
        fp_pg_param_seal(p, element_oid[p->type]);
        types[i] = p->array ? array_oid[p->type] : element_oid[p->type];
        values[i] = p->is_null ? NULL : p->len ? (const char *)p->data : "";
        lengths[i] = (int)p->len;
        formats[i] = 1;
    }
    if (!PQsendQueryParams(pg->conn, sql, (int)count, types, values, lengths, formats, 0))
        return drop(pg, FP_RETRY, "connection_lost", "the connection to PostgreSQL was lost", err);
    return FP_OK;
}

static enum fp_status ready(struct fp_pg *pg, struct fp_error *err)
{
    if (!fp_pg_alive(pg))
        return fp_fail(err, FP_RETRY, "not_connected", "postgres", "not connected to PostgreSQL");
    return FP_OK;
}

enum fp_status fp_pg_exec(struct fp_pg *pg, const char *sql, struct fp_pg_param *const *params,
                          size_t param_count, int deadline_ms, struct fp_pg_result **result,
                          struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    enum fp_status status = ready(pg, err);
    if (status == FP_OK)
        status = send_params(pg, sql, params, param_count, err);
    return status == FP_OK ? collect(pg, deadline, result, err) : status;
}

enum fp_status fp_pg_script(struct fp_pg *pg, const char *sql, int deadline_ms,
                            struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    enum fp_status status = ready(pg, err);
    if (status != FP_OK)
        return status;
    if (!PQsendQuery(pg->conn, sql))
        return drop(pg, FP_RETRY, "connection_lost", "the connection to PostgreSQL was lost", err);
    return collect(pg, deadline, NULL, err);
}

/* ---- flights --------------------------------------------------------------------------------- */

enum fp_status fp_pg_flight_begin(struct fp_pg *pg, struct fp_error *err)
{
    enum fp_status status = ready(pg, err);
    if (status != FP_OK)
        return status;
    if (!pg->in_flight && !PQenterPipelineMode(pg->conn))
        return drop(pg, FP_RETRY, "pipeline", "could not enter pipeline mode", err);
    pg->in_flight = true;
    pg->queued = 0;
    pg->begin_queued = true;
    pg->durability_lost = false;
    return send_params(pg, "BEGIN", NULL, 0, err);
}

enum fp_status fp_pg_flight_add(struct fp_pg *pg, const char *sql,
                                struct fp_pg_param *const *params, size_t param_count,
                                struct fp_error *err)
{
    if (pg->queued >= FLIGHT_STATEMENTS_MAX)
        return fp_fail(err, FP_FATAL, "too_many_statements", "postgres",
                       "a flight has at most %d statements", FLIGHT_STATEMENTS_MAX);
    enum fp_status status = ready(pg, err);
    if (status == FP_OK)
        status = send_params(pg, sql, params, param_count, err);
    if (status == FP_OK)
        pg->queued++;
    return status;
}

/* Reads one statement's result in a pipeline: exactly one result, then a NULL separator. */
static bool flight_result(struct fp_pg *pg, int64_t deadline, PGresult **res)
{
    PGresult *separator = NULL;
    if (!next_result(pg, deadline, res) || *res == NULL)
        return false;
    if (PQresultStatus(*res) == PGRES_PIPELINE_SYNC)
        return true;
    if (!next_result(pg, deadline, &separator)) {
        PQclear(*res);
        *res = NULL;
        return false;
    }
    PQclear(separator); /* NULL in every normal case */
    return true;
}

/* Ends a failed transaction; closes the connection when even that fails. */
static void roll_back(struct fp_pg *pg)
{
    int64_t deadline = fp_now_ms() + 5000;
    PGresult *res = NULL;
    bool ok = PQsendQueryParams(pg->conn, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0) &&
              PQpipelineSync(pg->conn);
    for (int i = 0; ok && i < 2; i++) {
        ok = flight_result(pg, deadline, &res);
        PQclear(res);
        res = NULL;
    }
    if (ok && PQexitPipelineMode(pg->conn)) {
        pg->in_flight = false;
        return;
    }
    drop(pg, FP_RETRY, "", "", NULL);
}

void fp_pg_flight_abandon(struct fp_pg *pg)
{
    if (pg && pg->conn && pg->in_flight)
        drop(pg, FP_RETRY, "", "",
             NULL); /* the server rolls back; a new connection is cheap here */
}

/* Hands what was put to libpq, and what libpq holds to the server, so that neither buffer grows.
 * Input is taken meanwhile: a server whose notices nobody reads stops reading too. */
static bool send_piece(struct fp_pg *pg, struct fp_pg_copy *copy, int64_t deadline)
{
    int put = PQputCopyData(pg->conn, (const char *)copy->data, (int)copy->len), pending = 0;
    copy->len = 0;
    while (put == 1 && (pending = PQflush(pg->conn)) == 1)
        if (!wait_socket(pg->conn, POLLIN | POLLOUT, deadline) || !PQconsumeInput(pg->conn))
            return false;
    return put == 1 && pending == 0;
}

/* A server that refused a row takes the rest unread, and says so to collect(). */
static enum fp_status send_rows(struct fp_pg *pg, const struct fp_pg_rows *rows, int64_t deadline,
                                struct fp_error *err)
{
    struct fp_pg_copy copy = {0};
    bool more = true, sent = true;
    fp_pg_copy_start(&copy);
    while (more && sent && !copy.failed) {
        more = rows->next(rows->context, &copy);
        if (!more)
            fp_pg_copy_finish(&copy);
        if (!copy.failed && (!more || copy.len >= COPY_PIECE))
            sent = send_piece(pg, &copy, deadline);
    }
    bool failed = copy.failed;
    fp_pg_copy_free(&copy);
    if (failed)
        return drop(pg, FP_RETRY, "no_memory", "a row did not fit in memory", err);
    FP_POINT("in_copy");
    return sent && PQputCopyEnd(pg->conn, NULL) == 1 ? FP_OK : lost(pg, deadline, err);
}

/* The COPY itself, outside pipeline mode. After a failure the connection is closed, or open with
 * the transaction failed. */
static enum fp_status copy_rows(struct fp_pg *pg, const char *sql, const struct fp_pg_rows *rows,
                                int64_t deadline, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    PGresult *res = NULL;
    if (!PQsendQuery(pg->conn, sql) || !next_result(pg, deadline, &res))
        return lost(pg, deadline, err);
    bool copying = PQresultStatus(res) == PGRES_COPY_IN;
    if (!copying)
        status = result_error(pg, res, err);
    PQclear(res);
    if (copying && (status = send_rows(pg, rows, deadline, err)) != FP_OK)
        return status;
    enum fp_status end = collect(pg, deadline, NULL, err);
    return status == FP_OK || pg->conn == NULL ? end : status;
}

enum fp_status fp_pg_flight_copy(struct fp_pg *pg, const char *sql, const struct fp_pg_rows *rows,
                                 int deadline_ms, struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    enum fp_status status = ready(pg, err);
    if (status != FP_OK)
        return status;
    if (!pg->in_flight || !PQexitPipelineMode(pg->conn)) /* false while statements wait */
        return fp_fail(err, FP_FATAL, "misplaced_copy", "postgres",
                       "a COPY goes between two runs of a flight");
    status = copy_rows(pg, sql, rows, deadline, err);
    if (pg->conn && !PQenterPipelineMode(pg->conn))
        return drop(pg, FP_RETRY, "pipeline", "could not enter pipeline mode", err);
    if (pg->conn && status != FP_OK)
        roll_back(pg);
    return status;
}

struct flight {
    struct fp_pg_result **results;
    size_t result_count;
    int first, last; /* statements to report: the caller's, without BEGIN and COMMIT */
    bool committed;
};

/* Drains the results up to the sync point. false: the connection broke. */
static bool drain(struct fp_pg *pg, int total, bool commit, int64_t deadline, struct flight *f,
                  enum fp_status *status, struct fp_error *err)
{
    for (int i = 0;; i++) {
        PGresult *res = NULL;
        if (!flight_result(pg, deadline, &res))
            return false;
        ExecStatusType s = PQresultStatus(res);
        if (s == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            return true;
        }
        if (is_success(res)) {
            if (commit && i == total - 1)
                f->committed = strcmp(PQcmdStatus(res), "COMMIT") == 0;
            int index = i - f->first;
            if (index >= 0 && i < f->last && (size_t)index < f->result_count && *status == FP_OK) {
                if (keep_result(res, &f->results[index]) != FP_OK)
                    *status = fp_fail(err, FP_RETRY, "no_memory", "postgres", "out of memory");
                continue;
            }
        } else if (s != PGRES_PIPELINE_ABORTED && *status == FP_OK) {
            *status = result_error(pg, res, err);
        }
        PQclear(res);
    }
}

enum fp_status fp_pg_flight_run(struct fp_pg *pg, bool commit, int deadline_ms,
                                struct fp_pg_result **results, size_t result_count,
                                struct fp_error *err)
{
    int64_t deadline = fp_now_ms() + deadline_ms;
    enum fp_status status = ready(pg, err);
    if (status != FP_OK)
        return status;
    if (commit && (status = send_params(pg, "COMMIT", NULL, 0, err)) != FP_OK)
        return status; /* nothing of it can have been executed: no sync was sent */
    int begin = pg->begin_queued ? 1 : 0, total = begin + pg->queued + (commit ? 1 : 0);
    struct flight f = {results, result_count, begin, begin + pg->queued, false};
    pg->queued = 0;
    pg->begin_queued = false;
    if (commit)
        FP_POINT("before_commit_send");
    if (!PQpipelineSync(pg->conn))
        return drop(pg, FP_RETRY, "connection_lost", "the connection to PostgreSQL was lost", err);
    if (commit && PQflush(pg->conn) >= 0)
        FP_POINT("after_commit_send");
    if (!drain(pg, total, commit, deadline, &f, &status, err)) {
        if (commit && !f.committed && (status == FP_OK || status == FP_RETRY))
            return drop(pg, FP_UNKNOWN, "commit_unknown",
                        "the connection broke while a COMMIT was under way", err);
        enum fp_status result = status != FP_OK ? status : lost(pg, deadline, err);
        if (pg->conn)
            drop(pg, result, "", "", NULL);
        return f.committed ? FP_OK : result;
    }
    if (commit)
        FP_POINT("after_commit_ack");
    if (status == FP_OK && commit && !f.committed)
        status =
            fp_fail(err, FP_RETRY, "rolled_back", "postgres", "COMMIT was answered with ROLLBACK");
    if (status != FP_OK) {
        roll_back(pg);
        return status;
    }
    if (commit) {
        if (!PQexitPipelineMode(pg->conn))
            drop(pg, FP_RETRY, "", "", NULL);
        pg->in_flight = false;
        if (pg->durability_lost)
            return drop(pg, FP_UNKNOWN, "commit_unknown",
                        "PostgreSQL gave up waiting for its standby", err);
    }
    return FP_OK;
}
