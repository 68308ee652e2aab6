/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/watch_message.h"

#include "daemon/params.h"

#define DEADLINE_MS 60000

static const char rfc_3339[] = "YYYY-MM-DD\"T\"HH24:MI:SS\"Z\""; /* of to_char, in UTC */

const char *fp_alert_event_name(enum fp_alert_event event)
{
    static const char *const names[] = {"", "opened", "updated", "resolved", "withdrawn"};
    return names[event];
}

static const char insert_sql[] =
    "WITH m AS (SELECT * FROM unnest($1, $2) WITH ORDINALITY AS u (fingerprint, event, place)),"
    " told AS (UPDATE flightpath.alert a SET revision = a.revision + 1, told = a.verdict FROM m"
    "  WHERE a.fingerprint = m.fingerprint RETURNING a.fingerprint, a.revision)"
    "INSERT INTO flightpath.alert_outbox (id, fingerprint, key, body)"
    " SELECT t.fingerprint || '-' || t.revision, t.fingerprint, s.kpi, jsonb_build_object("
    "  'specversion', '1.0', 'id', t.fingerprint || '-' || t.revision,"
    "  'source', 'flightpath/' || s.programme, 'type', 'experience.alert.v1',"
    "  'subject', t.fingerprint, 'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', $3),"
    "  'datacontenttype', 'application/json', 'data', jsonb_build_object("
    "   'event', m.event, 'fingerprint', t.fingerprint, 'incident', s.root,"
    "   'revision', t.revision, 'kpi', s.kpi, 'scope', s.scope, 'unit', s.unit,"
    "   'journey', s.journey, 'touchpoint', s.touchpoint, 'owner', s.owner, 'level', s.level,"
    "   'kind', s.kind, 'state', s.state, 'severity', s.severity, 'verdict', s.verdict,"
    "   'provisional', s.provisional, 'worse', s.worse, 'size', s.size, 'ci_low', s.ci_low,"
    "   'ci_high', s.ci_high, 'before', s.before, 'n', s.n, 'z', s.z,"
    "   'posterior', s.posterior)"
    "  || jsonb_build_object('posteriors',"
    "    jsonb_build_object('dip', s.dip, 'shift', s.shift, 'trend', s.trend),"
    "   'started_at', to_char(s.started_at AT TIME ZONE 'UTC', $3),"
    "   'since', to_char(s.since AT TIME ZONE 'UTC', $3),"
    "   'closed_at', to_char(s.ended_at AT TIME ZONE 'UTC', $3), 'how', s.how,"
    "   'contributors', s.contributors, 'drivers', s.drivers, 'mix', s.mix,"
    "   'within', s.within, 'joined', j.joined, 'needed', s.needed, 'text', s.text))"
    " FROM m JOIN told t USING (fingerprint) JOIN flightpath.alert_shown s USING (fingerprint)"
    " CROSS JOIN LATERAL (SELECT coalesce(jsonb_agg(jsonb_build_object("
    "   'fingerprint', o.fingerprint, 'kpi', o.kpi, 'scope', o.scope, 'state', o.state,"
    "   'worse', o.worse) ORDER BY o.incident_day, o.level, o.fingerprint), '[]') AS joined"
    "  FROM flightpath.alert_shown o WHERE o.root = s.fingerprint"
    "   AND o.fingerprint <> s.fingerprint AND o.state <> 'withdrawn') j"
    " ORDER BY m.place";

enum fp_status fp_watch_messages(struct fp_pg *pg, const struct fp_alert_message *message,
                                 size_t count, struct fp_error *err)
{
    struct fp_params p;
    enum fp_status status = FP_OK;
    fp_params_init(&p, "TTt");
    fp_pg_put_slice(&p.at[2], fp_slice_of(rfc_3339));
    for (size_t i = 0; i < count; i++) {
        if (message[i].event == FP_ALERT_SILENT)
            continue;
        fp_pg_put_slice(&p.at[0], fp_slice_of(message[i].fingerprint));
        fp_pg_put_slice(&p.at[1], fp_slice_of(fp_alert_event_name(message[i].event)));
    }
    if (p.at[0].count > 0)
        status = fp_pg_exec(pg, insert_sql, p.ref, p.count, DEADLINE_MS, NULL, err);
    fp_params_free(&p);
    return status;
}
