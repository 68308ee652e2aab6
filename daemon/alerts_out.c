/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The outbox, emptied: one transaction holds the job's row, reads what is unsent in the order it
 * was written, sends it, waits for every acknowledgement, marks it, commits.
 *
 *   killed before the acknowledgement   nothing is marked: it is sent by whoever comes next
 *   killed between it and the commit    sent again under the same ids
 *
 * Order: what one transaction sends goes through one idempotent producer; after a failure the
 * producer's queue is emptied and everything from the first unmarked row on is sent again, so a
 * reader sees the messages of a key in order once repeated ids are dropped.
 *
 * Hazard: the transaction is open while Kafka is waited for. So Kafka is asked first whether the
 * topic is there, the wait is bounded, and the server ends a transaction whose replica stands
 * still. */
#include "daemon/alerts_out.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/fault.h"
#include "daemon/log.h"
#include "daemon/params.h"

#define CONNECT_MS 5000
#define CALL_MS 10000
#define TOPIC_MS 5000
#define FLUSH_MS 10000
#define TICK_MS 500
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000
#define TIDY_MS 3600000

struct fp_alerts_out {
    const struct fp_options *options;
    struct fp_health *health;
    struct fp_worker *worker;
    struct fp_pg *pg;
    struct fp_producer *producer;
    bool topic_seen;
    char trouble[40]; /* code of what was said last; "" = none */
    int64_t wait_ms, tidy_after_ms;
};

/* ---- one transaction ------------------------------------------------------------------------- */

static enum fp_status exec(struct fp_alerts_out *o, const char *sql, struct fp_pg_result **r,
                           struct fp_error *err)
{
    return fp_pg_exec(o->pg, sql, NULL, 0, CALL_MS, r, err);
}

static enum fp_status connect(struct fp_alerts_out *o, struct fp_error *err)
{
    if (fp_pg_alive(o->pg))
        return FP_OK;
    fp_pg_close(o->pg);
    o->pg = NULL;
    return fp_pg_open(o->options->postgres, o->options->postgres_password, "flightpath/alerts",
                      CONNECT_MS, &o->pg, err);
}

/* *acked: how many of the rows, from the first on, Kafka has for certain. */
static enum fp_status produce(struct fp_alerts_out *o, const struct fp_pg_result *rows, int *acked,
                              struct fp_error *err)
{
    static const struct fp_header headers[] = {{"content-type", "application/cloudevents+json",
                                                sizeof "application/cloudevents+json" - 1}};
    enum fp_status status = FP_OK;
    int i = 0;
    for (; status == FP_OK && i < fp_pg_rows(rows); i++) {
        const char *key = fp_pg_text(rows, i, 1), *body = fp_pg_text(rows, i, 2);
        struct fp_record record = {.topic = o->options->alerts_topic,
                                   .partition = -1,
                                   .key = key,
                                   .key_len = strlen(key),
                                   .value = body,
                                   .len = strlen(body),
                                   .headers = headers,
                                   .header_count = 1};
        status = fp_producer_send(o->producer, &record, err);
    }
    int sent = status == FP_OK ? i : i - 1;
    /* also after a failure: nothing of this attempt may be under way when the next one begins */
    struct fp_error why;
    enum fp_status flushed = fp_producer_flush(o->producer, FLUSH_MS, &why);
    *acked = flushed == FP_OK ? sent : 0;
    if (status != FP_OK || flushed == FP_OK)
        return status;
    *err = why;
    return flushed;
}

static enum fp_status mark(struct fp_alerts_out *o, const struct fp_pg_result *rows, int count,
                           struct fp_error *err)
{
    struct fp_params p;
    fp_params_init(&p, "L");
    for (int i = 0; i < count; i++)
        fp_pg_put_int(&p.at[0], fp_pg_int(rows, i, 0));
    enum fp_status status =
        fp_pg_exec(o->pg,
                   "UPDATE flightpath.alert_outbox SET sent_at = clock_timestamp()"
                   " WHERE seq = ANY ($1)",
                   p.ref, p.count, CALL_MS, NULL, err);
    fp_params_free(&p);
    return status;
}

/* *sent: messages, 0 when another replica works; *kafka: what became of the sending. */
static enum fp_status send_in_transaction(struct fp_alerts_out *o, int *sent, enum fp_status *kafka,
                                          struct fp_error *err)
{
    struct fp_pg_result *mine = NULL, *rows = NULL;
    enum fp_status status =
        exec(o, "SET LOCAL idle_in_transaction_session_timeout = '60s'", NULL, err);
    if (status == FP_OK)
        status = exec(o,
                      "SELECT name FROM flightpath.job WHERE name = 'alerts'"
                      " FOR UPDATE SKIP LOCKED",
                      &mine, err);
    if (status == FP_OK && fp_pg_rows(mine) == 1)
        status = exec(o,
                      "SELECT seq, key, body::text FROM flightpath.alert_outbox"
                      " WHERE sent_at IS NULL ORDER BY seq LIMIT 500",
                      &rows, err);
    if (status == FP_OK && fp_pg_rows(rows) > 0)
        *kafka = produce(o, rows, sent, err);
    if (status == FP_OK && *sent > 0) {
        FP_POINT("alerts_acknowledged");
        status = mark(o, rows, *sent, err);
    }
    fp_pg_result_free(mine);
    fp_pg_result_free(rows);
    return status;
}

static enum fp_status send_some(struct fp_alerts_out *o, int *sent, struct fp_error *err)
{
    enum fp_status kafka = FP_OK, status = exec(o, "BEGIN", NULL, err);
    if (status == FP_OK)
        status = send_in_transaction(o, sent, &kafka, err);
    if (status == FP_OK)
        status = exec(o, "COMMIT", NULL, err);
    else if (fp_pg_alive(o->pg))
        (void)!exec(o, "ROLLBACK", NULL, NULL);
    if (status == FP_OK)
        fp_health_count(&o->health->alerts_sent, *sent);
    else
        *sent = 0;
    return status == FP_OK ? kafka : status;
}

/* ---- one pass -------------------------------------------------------------------------------- */

static enum fp_status count(struct fp_alerts_out *o, int64_t *unsent, struct fp_error *err)
{
    struct fp_pg_result *r = NULL;
    enum fp_status status =
        exec(o,
             "SELECT (SELECT count(*) FROM flightpath.alert_outbox WHERE sent_at IS NULL),"
             " (SELECT count(*) FROM flightpath.alert WHERE closed IS NULL AND root = fingerprint)",
             &r, err);
    if (status == FP_OK) {
        *unsent = fp_pg_int(r, 0, 0);
        o->health->alerts_unsent = *unsent;
        o->health->alerts_open = fp_pg_int(r, 0, 1);
    }
    fp_pg_result_free(r);
    return status;
}

/* The producer is made when there is something to send: replicas that never send need none. */
static enum fp_status ask_for_topic(struct fp_alerts_out *o, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    if (o->producer == NULL)
        status = fp_producer_open(&o->options->kafka, &o->producer, err);
    if (status == FP_OK && !o->topic_seen)
        status = fp_producer_topic(o->producer, o->options->alerts_topic, TOPIC_MS, err);
    o->topic_seen = status == FP_OK;
    return status;
}

/* What was sent a month ago goes, but for the last message of an open alert: Alertmanager is told
 * from it. */
static enum fp_status tidy(struct fp_alerts_out *o, struct fp_error *err)
{
    if (fp_now_ms() < o->tidy_after_ms)
        return FP_OK;
    o->tidy_after_ms = fp_now_ms() + TIDY_MS;
    return exec(o,
                "DELETE FROM flightpath.alert_outbox WHERE seq IN ("
                " SELECT o.seq FROM flightpath.alert_outbox o"
                " LEFT JOIN flightpath.alert a ON o.id = a.fingerprint || '-' || a.revision"
                "  AND a.closed IS NULL"
                " WHERE o.sent_at < clock_timestamp() - interval '30 days'"
                "  AND a.fingerprint IS NULL ORDER BY o.seq LIMIT 10000)",
                NULL, err);
}

static enum fp_status send_unsent(struct fp_alerts_out *o, bool *more, struct fp_error *err)
{
    int64_t unsent = 0;
    int sent = 0;
    enum fp_status status = connect(o, err);
    if (status == FP_OK)
        status = count(o, &unsent, err);
    if (status == FP_OK && unsent > 0)
        status = ask_for_topic(o, err);
    if (status == FP_OK && unsent > 0) {
        status = send_some(o, &sent, err);
        o->topic_seen = status == FP_OK;
    }
    if (status == FP_OK)
        status = tidy(o, err);
    *more = status == FP_OK && sent > 0;
    if (sent > 0)
        o->health->alerts_unsent = unsent > sent ? unsent - sent : 0;
    return unsent == 0 || *more ? status : status == FP_OK ? FP_RETRY : status;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Said once when something is in the way, and once when it is gone. */
static void note(struct fp_alerts_out *o, enum fp_status status, const struct fp_error *err)
{
    const char *code = status == FP_OK ? "" : err->code;
    if (strcmp(code, o->trouble) == 0)
        return;
    if (status == FP_OK)
        fp_log(FP_LOG_INFO, "alerts_flow", "alerts are sent again");
    else
        fp_log(FP_LOG_WARN, "alerts_waiting", "%s: %s (%s); nothing is lost, it is tried again",
               err->code, err->what, err->where);
    snprintf(o->trouble, sizeof o->trouble, "%s", code);
}

/* Without the topic nothing can be sent: it does not keep a drain from ending. */
static struct fp_turn pass(void *context, bool draining)
{
    struct fp_alerts_out *o = context;
    struct fp_error err = {"", "", ""};
    bool more = false;
    enum fp_status status = send_unsent(o, &more, &err);
    bool failed = status != FP_OK && *err.code;
    note(o, failed ? status : FP_OK, &err);
    o->wait_ms = !failed ? BACKOFF_MIN_MS / 2 : o->wait_ms * 2;
    o->wait_ms = o->wait_ms < BACKOFF_MAX_MS ? o->wait_ms : BACKOFF_MAX_MS;
    return (struct fp_turn){.idle = status == FP_REJECT || (status == FP_OK && !more),
                            .wait_ms = more       ? 0
                                       : failed   ? o->wait_ms
                                       : draining ? 50
                                                  : TICK_MS};
}

static void release(void *context)
{
    struct fp_alerts_out *o = context;
    fp_producer_close(o->producer);
    fp_pg_close(o->pg);
    free(o);
}

enum fp_status fp_alerts_out_start(const struct fp_options *options, struct fp_health *health,
                                   struct fp_workers *workers, struct fp_alerts_out **out,
                                   struct fp_error *err)
{
    static const struct fp_worker_job job = {.name = "alerts",
                                             .left =
                                                 "alerts are still being sent; they are sent again",
                                             .pass = pass,
                                             .release = release};
    struct fp_alerts_out *o = calloc(1, sizeof *o);
    if (o == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "alerts", "out of memory");
    o->options = options;
    o->health = health;
    o->wait_ms = BACKOFF_MIN_MS / 2;
    enum fp_status status = fp_worker_start(workers, &job, o, &o->worker, err);
    if (status == FP_OK)
        *out = o;
    return status;
}

void fp_alerts_out_finish(struct fp_alerts_out *out, const atomic_bool *stop)
{
    fp_worker_drain(out->worker, stop);
}
