/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of the driver models can no longer be used. Rows that somebody works on are left for the
 * next time; each statement takes a bounded number. */
#include "daemon/absorb_parts.h"

#define ROWS_MAX "20000"
#define TODAY "(extract(epoch FROM clock_timestamp()) / 86400)::int"
#define SLACK_DAYS "40" /* responses go by whole months, and arrive a little before their time */

/* Of joins, days of results, days of state. */
static const char *const statements[] = {
    "DELETE FROM flightpath.driver_waiting WHERE ctid = ANY (ARRAY("
    " SELECT w.ctid FROM flightpath.driver_series s JOIN flightpath.driver_waiting w"
    "  ON w.series = s.series AND w.joined IS NULL"
    "  AND w.arrived < clock_timestamp() - make_interval(hours => s.join_hours, days => 7)"
    " LIMIT " ROWS_MAX " FOR UPDATE OF w SKIP LOCKED))",
    "DELETE FROM flightpath.driver_waiting WHERE ctid = ANY (ARRAY("
    " SELECT w.ctid FROM flightpath.programme p, flightpath.driver_series s"
    "  JOIN flightpath.driver_waiting w ON w.series = s.series AND w.joined IS NOT NULL"
    " WHERE w.arrived < clock_timestamp() - make_interval(days => p.responses_days + " SLACK_DAYS
    ") LIMIT " ROWS_MAX " FOR UPDATE OF w SKIP LOCKED))",
    "DELETE FROM flightpath.driver_event WHERE ctid = ANY (ARRAY("
    " SELECT e.ctid FROM flightpath.driver_series s JOIN flightpath.driver_event e"
    "  ON e.series = s.series"
    "  AND e.arrived < clock_timestamp() - make_interval(hours => s.join_hours, days => 7)"
    " LIMIT " ROWS_MAX " FOR UPDATE OF e SKIP LOCKED))",
    /* the newest result of a series stands, however old */
    "DELETE FROM flightpath.driver_result r USING flightpath.driver_series s, flightpath.programme"
    " p WHERE s.series = r.series AND r.day < " TODAY " - p.tallies_days"
    " AND NOT (s.current AND r.day >= coalesce(s.newest, r.day))",
    "DELETE FROM flightpath.driver_fit r USING flightpath.driver_series s, flightpath.programme p"
    " WHERE s.series = r.series AND r.day < " TODAY " - p.tallies_days"
    " AND NOT (s.current AND r.day >= coalesce(s.newest, r.day))",
    "DELETE FROM flightpath.driver_change c USING flightpath.programme p"
    " WHERE c.day < " TODAY " - p.tallies_days",
    "DELETE FROM flightpath.driver_state t USING flightpath.driver_series s, flightpath.programme p"
    " WHERE s.series = t.series"
    "  AND t.day < least(" TODAY " - p.tallies_days, s.newest - s.window_days)"};

/* A walk through what is stored starts again where the log of an earlier definition was. */
static const char stragglers[] =
    "WITH gone AS (DELETE FROM flightpath.driver_log WHERE ctid = ANY (ARRAY("
    "  SELECT l.ctid FROM flightpath.driver_series s JOIN flightpath.driver_log l"
    "   ON l.series = s.series WHERE NOT s.current LIMIT " ROWS_MAX
    "   FOR UPDATE OF l SKIP LOCKED)) RETURNING series)"
    " UPDATE flightpath.driver_series n SET taken_up = NULL, scan_source = -1, scan_id = ''"
    " FROM flightpath.driver_series o WHERE o.series IN (SELECT series FROM gone)"
    "  AND n.model = o.model AND n.current";

enum fp_status fp_absorb_stragglers(struct fp_pg *pg, struct fp_error *err)
{
    enum fp_status status = fp_pg_exec(pg, stragglers, NULL, 0, FP_ABSORB_DEADLINE_MS, NULL, err);
    return status == FP_POISON || status == FP_UNKNOWN || status == FP_FENCED ? FP_RETRY : status;
}

enum fp_status fp_absorb_tidy(struct fp_pg *pg, struct fp_error *err)
{
    enum fp_status status = FP_OK;
    for (size_t i = 0; status == FP_OK && i < sizeof statements / sizeof *statements; i++)
        status = fp_pg_exec(pg, statements[i], NULL, 0, FP_ABSORB_DEADLINE_MS, NULL, err);
    return status == FP_POISON || status == FP_UNKNOWN || status == FP_FENCED ? FP_RETRY : status;
}
