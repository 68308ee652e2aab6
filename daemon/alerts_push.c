/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tick a second: renew the lease, compare what should be known with what was sent, send.
 *
 * Alertmanager keeps an alert while it hears of it: each carries an end, four resends ahead, and
 * is sent again before; if every replica dies, the alert ends there by itself. A replica works
 * while its name stands in the row 'alertmanager' of flightpath.job; the lease is a time in that
 * row and not a lock, since no transaction may stay open while a server thinks. Two replicas that
 * both believe to hold it do no harm: the same labels are the same alert.
 *
 * Hazard: labels are an alert's identity there. They hold only what stays while an episode lasts;
 * should a model that was changed meanwhile give it another owner, the alert of before ends by its
 * own end. */
#include "daemon/alerts_push.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/params.h"
#include "daemon/push.h"

#define CONNECT_MS 5000
#define CALL_MS 10000
#define TICK_MS 1000
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 30000

struct server {
    int64_t next_ms, wait_ms; /* when to try it again, by how much that was put off */
    bool failing, told;       /* told: it has been asked at least once */
};

struct fp_alerts_push {
    const struct fp_options *options;
    struct fp_health *health;
    uint8_t owner[16];
    struct fp_pg *pg;
    struct fp_push *push;
    struct server server[FP_PUSH_TARGETS_MAX];
    char known[40]; /* of what was sent last */
    int64_t resend_ms;
    bool holding, waiting; /* the lease; for PostgreSQL */
    struct fp_worker *worker;
};

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

/* What counts: the first alert of each incident, once a message told of it. */
#define TOLD \
    " FROM flightpath.alert a" \
    " JOIN flightpath.alert_outbox o ON o.id = a.fingerprint || '-' || a.revision" \
    " CROSS JOIN LATERAL (SELECT o.body -> 'data' AS d) AS b" \
    " CROSS JOIN LATERAL (SELECT a.closed IS NULL AND a.state NOT IN ('resolved', 'withdrawn')" \
    "   AS open, coalesce(a.resolved_at, a.updated_at) AS ended) AS s" \
    " WHERE a.root = a.fingerprint" \
    "   AND (s.open OR s.ended > clock_timestamp() - interval '15 minutes')"

/* The lease is taken when it ran out, and renewed when less than seven of its ten seconds are left:
 * longer than one sending takes. */
static const char lease_sql[] =
    "WITH taken AS (UPDATE flightpath.job SET owner = $1, last_run = clock_timestamp(),"
    "   run_after = clock_timestamp() + interval '10 seconds'"
    "  WHERE name = 'alertmanager' AND (run_after <= clock_timestamp()"
    "   OR (owner = $1 AND run_after < clock_timestamp() + interval '7 seconds'))"
    "  RETURNING name)"
    " SELECT (EXISTS (SELECT FROM taken) OR EXISTS (SELECT FROM flightpath.job"
    "    WHERE name = 'alertmanager' AND owner = $1 AND run_after > clock_timestamp()))::int,"
    "  (SELECT coalesce(md5(string_agg(a.fingerprint || ':' || a.revision || s.open, ','"
    "     ORDER BY a.fingerprint)), '')" TOLD ")";

/* $1: milliseconds an open alert lasts from now on; $2: where people see the KPIs, or NULL. */
static const char document_sql[] =
    "SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object("
    "   'labels', jsonb_build_object("
    "     'alertname', (ARRAY['FlightpathKpiChange', 'FlightpathNoData',"
    "        'FlightpathSuspectData'])[kind + 1],"
    "     'programme', programme, 'fingerprint', fingerprint, 'kpi', d ->> 'kpi',"
    "     'scope', d ->> 'scope', 'unit', nullif(d ->> 'unit', ''),"
    "     'journey', nullif(d ->> 'journey', ''), 'owner', nullif(d ->> 'owner', ''),"
    "     'severity', d ->> 'severity', 'worse', worse::text),"
    "   'annotations', jsonb_build_object("
    "     'summary', d ->> 'text', 'verdict', nullif(d ->> 'verdict', ''),"
    "     'size', size::text, 'ci', ci_low || ' to ' || ci_high, 'n', n::text,"
    "     'needed', nullif(d ->> 'needed', '')),"
    "   'startsAt', since, 'endsAt', greatest(since + interval '1 second', ends),"
    "   'generatorURL', $2)) ORDER BY fingerprint), '[]')::text, count(*)"
    " FROM (SELECT a.fingerprint, a.kind, a.worse, d, (d ->> 'since')::timestamptz AS since,"
    "    trim_scale(round((d ->> 'size')::numeric, 3)) AS size,"
    "    trim_scale(round((d ->> 'ci_low')::numeric, 3)) AS ci_low,"
    "    trim_scale(round((d ->> 'ci_high')::numeric, 3)) AS ci_high,"
    "    trim_scale(round((d ->> 'n')::numeric, 3)) AS n,"
    "    CASE WHEN s.open THEN clock_timestamp() + $1 * interval '1 millisecond' ELSE s.ended END"
    "     AS ends, (SELECT id FROM flightpath.programme) AS programme" TOLD ") AS told";

static enum fp_status connect(struct fp_alerts_push *p, struct fp_error *err)
{
    if (fp_pg_alive(p->pg))
        return FP_OK;
    fp_pg_close(p->pg);
    p->pg = NULL;
    return fp_pg_open(p->options->postgres, p->options->postgres_password,
                      "flightpath/alertmanager", CONNECT_MS, &p->pg, err);
}

/* Whether this replica is the one that sends; what there is to be known. */
static enum fp_status hold(struct fp_alerts_push *p, bool *mine, char known[40],
                           struct fp_error *err)
{
    struct fp_params params;
    struct fp_pg_result *r = NULL;
    fp_params_init(&params, "u");
    fp_pg_put_bytes(&params.at[0], p->owner, sizeof p->owner);
    enum fp_status status =
        fp_pg_exec(p->pg, lease_sql, params.ref, params.count, CALL_MS, &r, err);
    *mine = status == FP_OK && fp_pg_int(r, 0, 0) != 0;
    snprintf(known, 40, "%s", status == FP_OK ? fp_pg_text(r, 0, 1) : "");
    fp_params_free(&params);
    fp_pg_result_free(r);
    return status;
}

static enum fp_status document(struct fp_alerts_push *p, struct fp_pg_result **r,
                               struct fp_error *err)
{
    struct fp_params params;
    fp_params_init(&params, "lt");
    fp_pg_put_int(&params.at[0], 4 * p->options->alertmanager_resend_ms);
    if (*p->options->dashboard_url)
        fp_pg_put_slice(&params.at[1], fp_slice_of(p->options->dashboard_url));
    else
        fp_pg_put_null(&params.at[1]);
    enum fp_status status =
        fp_pg_exec(p->pg, document_sql, params.ref, params.count, CALL_MS, r, err);
    fp_params_free(&params);
    return status;
}

static void give_back(void *context)
{
    struct fp_alerts_push *p = context;
    struct fp_params params;
    fp_params_init(&params, "u");
    fp_pg_put_bytes(&params.at[0], p->owner, sizeof p->owner);
    if (p->holding && fp_pg_alive(p->pg) &&
        fp_pg_exec(p->pg,
                   "UPDATE flightpath.job SET owner = NULL, run_after = clock_timestamp()"
                   " WHERE name = 'alertmanager' AND owner = $1",
                   params.ref, params.count, CALL_MS, NULL, NULL) != FP_OK)
        fp_log(FP_LOG_DEBUG, "lease_kept", "another replica sends alerts in a few seconds");
    fp_params_free(&params);
}

/* ---- servers --------------------------------------------------------------------------------- */

/* Said once when a server stops taking alerts, and once when it takes them again. */
static void note(struct fp_alerts_push *p, int i, const struct fp_push_result *result)
{
    struct server *server = &p->server[i];
    const char *url = fp_push_url(p->push, i);
    if (result->ok) {
        if (server->failing || !server->told)
            fp_log(FP_LOG_INFO, "alertmanager_takes_alerts", "%s", url);
        *server = (struct server){.told = true, .wait_ms = BACKOFF_MIN_MS};
        return;
    }
    if (*fp_worker_stopping(p->worker))
        return;
    fp_health_count(&p->health->alertmanager_failures, 1);
    if (!server->failing)
        fp_log(FP_LOG_WARN, "alertmanager_failing", "%s: %s; it is tried again", url, result->why);
    server->failing = server->told = true;
    server->next_ms = fp_now_ms() + server->wait_ms;
    server->wait_ms = server->wait_ms * 2 < BACKOFF_MAX_MS ? server->wait_ms * 2 : BACKOFF_MAX_MS;
}

/* With `all`, every server that is not being left alone; else those that failed and are due. */
static bool choose(const struct fp_alerts_push *p, bool all, struct fp_push_result *results)
{
    bool any = false;
    int64_t now = fp_now_ms();
    for (int i = 0; i < fp_push_count(p->push); i++) {
        const struct server *server = &p->server[i];
        results[i].asked = server->failing ? now >= server->next_ms : all;
        any |= results[i].asked;
    }
    return any;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static enum fp_status tick(struct fp_alerts_push *p, struct fp_error *err)
{
    struct fp_push_result results[FP_PUSH_TARGETS_MAX] = {0};
    struct fp_pg_result *r = NULL;
    char known[40];
    bool mine = false;
    enum fp_status status = connect(p, err);
    if (status == FP_OK)
        status = hold(p, &mine, known, err);
    if (status != FP_OK || !mine) {
        p->holding = false;
        return status;
    }
    bool all = !p->holding || fp_now_ms() >= p->resend_ms || strcmp(known, p->known) != 0;
    p->holding = true;
    if (!choose(p, all, results))
        return FP_OK;
    status = document(p, &r, err);
    if (status == FP_OK && fp_pg_int(r, 0, 1) > 0) {
        const char *text = fp_pg_text(r, 0, 0);
        fp_push_send(p->push, text, strlen(text), results, fp_worker_stopping(p->worker));
        for (int i = 0; i < fp_push_count(p->push); i++)
            if (results[i].asked)
                note(p, i, &results[i]);
    }
    fp_pg_result_free(r);
    if (status == FP_OK && all) {
        memcpy(p->known, known, sizeof known);
        p->resend_ms = fp_now_ms() + p->options->alertmanager_resend_ms;
    }
    return status;
}

static struct fp_turn pass(void *context, bool draining)
{
    struct fp_alerts_push *p = context;
    struct fp_error err = {"", "", ""};
    (void)draining; /* nobody waits for it */
    enum fp_status status = tick(p, &err);
    if (status != FP_OK && !p->waiting)
        fp_log(FP_LOG_WARN, "alertmanager_waiting", "%s: %s (%s)", err.code, err.what, err.where);
    p->waiting = status != FP_OK;
    return (struct fp_turn){.idle = status == FP_OK, .wait_ms = TICK_MS};
}

static void release(void *context)
{
    struct fp_alerts_push *p = context;
    fp_pg_close(p->pg);
    fp_push_close(p->push);
    free(p);
}

enum fp_status fp_alerts_push_start(const struct fp_options *options, struct fp_health *health,
                                    struct fp_workers *workers, struct fp_error *err)
{
    static const struct fp_worker_job job = {
        .name = "alertmanager",
        .left = "alerts are still being sent; another replica sends them in a few seconds",
        .pass = pass,
        .farewell = give_back,
        .release = release};
    if (*options->alertmanager_url == '\0')
        return FP_OK;
    struct fp_alerts_push *p = calloc(1, sizeof *p);
    if (p == NULL)
        return fp_fail(err, FP_FATAL, "no_memory", "alertmanager", "out of memory");
    p->options = options;
    p->health = health;
    for (int i = 0; i < FP_PUSH_TARGETS_MAX; i++)
        p->server[i].wait_ms = BACKOFF_MIN_MS;
    enum fp_status status = FP_OK;
    if (getrandom(p->owner, sizeof p->owner, 0) != sizeof p->owner)
        status = fp_fail(err, FP_FATAL, "no_random", "alertmanager", "no random bytes");
    if (status == FP_OK)
        status = fp_push_open(options->alertmanager_url, "/api/v2/alerts",
                              options->alertmanager_token, &p->push, err);
    if (status == FP_OK)
        return fp_worker_start(workers, &job, p, &p->worker, err);
    release(p);
    return status;
}
