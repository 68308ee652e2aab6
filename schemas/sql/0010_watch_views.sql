-- The published alerts and what belongs to them: alert, alert_now, alert_budget, watch_series, annotation.
-- Columns may be added, never renamed.

-- How much an alert matters, as a label for routing.
CREATE FUNCTION flightpath.alert_severity(level int, kind int, worse boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN kind = 0 AND NOT worse THEN 'info' WHEN level = 0 AND kind = 0 THEN 'critical'
            WHEN kind = 0 OR level = 0 THEN 'warning' ELSE 'info' END;

-- unit -1: all. A KPI as a whole is named by its journey where it has one.
CREATE FUNCTION flightpath.watch_scope(unit int, unit_name text, journey text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN unit <> -1 THEN 'unit:' || coalesce(unit_name, '') WHEN journey IS NOT NULL THEN 'journey:' || journey ELSE 'all' END;

-- Alerts with their names, times and only the numbers that may be shown: of answers, from min_n on. What
-- readers and messages get; states that are over are here too.
CREATE VIEW flightpath.alert_shown AS
SELECT a.fingerprint, a.root, a.level, a.series, a.unit AS unit_id, a.kind AS kind_number,
       (ARRAY['change', 'no_data', 'suspect_data'])[a.kind + 1] AS kind,
       coalesce(k.kpi, '*') AS kpi, k.definition, k.journey, k.touchpoint, k.owner,
       CASE WHEN a.unit <> -1 THEN coalesce(u.name, '') END AS unit,
       flightpath.watch_scope(a.unit, u.name, k.journey) AS scope,
       a.state, nullif(a.verdict, '') AS verdict, a.provisional, a.worse, a.sign,
       flightpath.alert_severity(a.level, a.kind, a.worse) AS severity,
       a.posterior, a.dip, a.shift, a.trend,
       CASE WHEN s.shown THEN a.size END AS size, CASE WHEN s.shown THEN a.ci_low END AS ci_low,
       CASE WHEN s.shown THEN a.ci_high END AS ci_high, CASE WHEN s.shown THEN a.before END AS before,
       CASE WHEN s.shown THEN a.n END AS n, CASE WHEN s.shown THEN a.z END AS z,
       flightpath.midnight(a.start, p.time_zone) AS started_at,
       flightpath.midnight(a.noticed, p.time_zone) AS since,
       flightpath.midnight(a.closed, p.time_zone) AS ended_at,
       flightpath.midnight(a.until, p.time_zone) AS until,
       nullif(a.how, '') AS how, a.contributors, a.drivers,
       CASE WHEN s.shown THEN a.mix END AS mix, CASE WHEN s.shown THEN a.within END AS within,
       a.needed, a.text, a.revision, a.noticed_at, a.updated_at, a.resolved_at,
       a.incident AS incident_day, a.closed, p.id AS programme
FROM flightpath.alert a
JOIN flightpath.programme p ON p.only_row
LEFT JOIN flightpath.kpi k ON k.series = a.series
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = a.unit
CROSS JOIN LATERAL (
    SELECT a.kind <> 0 OR k.source IN ('measure', 'outcome')
           OR coalesce(a.n, 0) >= CASE WHEN k.series IS NULL THEN greatest(p.min_n, p.min_n_employee)
                                       WHEN k.audience = 'employee' THEN p.min_n_employee ELSE p.min_n END AS shown) s;

-- Episodes of KPIs (scope all or journey:…), of units over all their KPIs (kpi *) and of units' KPIs (scope
-- unit:…, against the rest), noticed by what had come by then. started_at: local midnight of the day it began;
-- since: of the day it fired; ended_at: of the day it was over. size: change of the level in the KPI's unit,
-- of kpi * in SD (+ better). incident: what is told as one thing. times: how long it was seen, by the clock.
--   state    pending (noticed, verdict provisional), firing, recovering, resolved, withdrawn (late data took
--            it back); no_data, insufficient_n, suspect_data: open, but the newest days say nothing
--   verdict  dip, shift, trend, persistent (shift or trend, not yet to be told apart); NULL none yet
--   how      recovered, calm, new_level, data (came again), withdrawn, retired (not watched any more)
CREATE VIEW experience.alert AS
SELECT a.fingerprint, a.kpi, a.scope, a.state, a.verdict, a.started_at, a.since, a.size, a.ci_low, a.ci_high, a.n,
       a.contributors, a.owner, a.text,
       a.root AS incident, a.level, a.kind, a.unit, a.journey, a.touchpoint, a.worse, a.provisional,
       a.posterior, a.dip AS posterior_dip, a.shift AS posterior_shift, a.trend AS posterior_trend,
       a.before, a.z, a.ended_at, a.until, a.how, a.drivers, a.mix, a.within, a.needed,
       (a.closed IS NULL)::int::double precision AS firing, a.severity, a.revision,
       a.noticed_at, a.updated_at, a.resolved_at, a.definition
FROM flightpath.alert_shown a;

-- For alert rules of Grafana: `value` is 1 while a change against the KPI's direction is open, else 0; all other
-- columns are labels, never NULL, and no two rows have the same. A row for each KPI of the model as a whole
-- and each watched unit, whatever its state, one more for each open alert of a unit's KPI; one row of its own
-- where there is no KPI.
CREATE VIEW experience.alert_now AS
SELECT CASE WHEN x.kind_number = 0 AND x.worse THEN 1 ELSE 0 END::double precision AS value,
       coalesce(x.fingerprint, '') AS alert, w.kpi, w.scope, w.unit, w.journey, w.owner,
       coalesce(x.state, w.state) AS state, coalesce(x.verdict, '') AS verdict, coalesce(x.severity, 'none') AS severity
FROM (
    SELECT 0 AS level, k.series, -1 AS unit_id, k.kpi, flightpath.watch_scope(-1, NULL, k.journey) AS scope,
           '' AS unit, coalesce(k.journey, '') AS journey, coalesce(k.owner, '') AS owner, coalesce(s.state, 'history') AS state
    FROM flightpath.kpi k
    LEFT JOIN flightpath.watch_series s ON s.level = 0 AND s.series = k.series AND s.unit = -1
    WHERE k.current
    UNION ALL
    SELECT 1, 0, s.unit, '*', flightpath.watch_scope(s.unit, u.name, NULL), coalesce(u.name, ''), '', '', s.state
    FROM flightpath.watch_series s LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = s.unit
    WHERE s.level = 1) w
LEFT JOIN LATERAL (
    SELECT a.* FROM flightpath.alert_shown a
    WHERE a.closed IS NULL AND a.level = w.level AND a.series = w.series AND a.unit_id = w.unit_id
    ORDER BY a.kind_number, NOT a.worse, a.fingerprint LIMIT 1) x ON true
UNION ALL
SELECT CASE WHEN a.kind_number = 0 AND a.worse THEN 1 ELSE 0 END, a.fingerprint, a.kpi, a.scope, coalesce(a.unit, ''),
       coalesce(a.journey, ''), coalesce(a.owner, ''), a.state, coalesce(a.verdict, ''), a.severity
FROM flightpath.alert_shown a WHERE a.closed IS NULL AND a.level = 2
UNION ALL
SELECT 0, '', '', 'all', '', '', '', 'quiet', '', 'none'
WHERE NOT EXISTS (SELECT FROM flightpath.kpi k WHERE k.current);

-- What the rule of each level costs in false alerts, beside what was found: expected_by_chance in the series and
-- days judged so far (judged), expected_per_year at today's rule. level: 0 KPIs as a whole, 1 units, 2 units' KPIs,
-- 3 all series under one rule (fewer than 8 of them). found counts alerts that stand, joined ones too.
CREATE VIEW experience.alert_budget AS
SELECT l.level, (ARRAY['kpi', 'unit', 'unit_kpi', 'flat'])[l.level + 1] AS level_name,
       l.series, l.fire AS threshold, l.clear AS clear_threshold, l.a AS autocorrelation, l.phi AS autocorrelation_decay, l.rho,
       l.judged, l.expected AS expected_by_chance, l.per_year AS expected_per_year,
       f.year AS found_last_365_days, f.ever AS found
FROM flightpath.watch_level l
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE a.incident > b.judged - 365) AS year, count(*) AS ever
    FROM flightpath.alert a, flightpath.watch_lease b
    WHERE a.kind = 0 AND a.state <> 'withdrawn' AND (a.level = l.level OR l.level = 3)) f;

-- Every watched series as it stands after the newest closed day. level_value: where it stood in its baseline, sd: of
-- single answers, tau: of days beyond that, z: how far it has moved, in standard errors (threshold: fires). Series of
-- units are differences from the rest, of kpi * in SD. detail: how far a series is that has too little history.
CREATE VIEW experience.watch_series AS
SELECT s.level, coalesce(k.kpi, '*') AS kpi, flightpath.watch_scope(s.unit, u.name, k.journey) AS scope,
       CASE WHEN s.unit <> -1 THEN coalesce(u.name, '') END AS unit, k.journey, k.touchpoint, k.owner,
       s.state,
       CASE WHEN s.state <> 'history' THEN s.state WHEN s.first_day IS NULL THEN 'history: no answers yet'
            WHEN l.judged - s.first_day + 1 < 56 THEN format('history: %s of 56 days', l.judged - s.first_day + 1)
            ELSE format('history: %s days, too few of them with answers', l.judged - s.first_day + 1) END AS detail,
       s.fingerprint, flightpath.midnight(s.first_day, p.time_zone) AS first_day,
       flightpath.midnight(s.judged_from, p.time_zone) AS judged_from,
       flightpath.midnight(s.newest_day, p.time_zone) AS newest_day,
       CASE WHEN c.shown THEN s.n END AS n, CASE WHEN c.shown THEN s.value END AS value,
       s.level_value, s.sd, s.tau, s.z, r.fire AS threshold,
       flightpath.midnight(l.judged, p.time_zone) AS judged_to, l.judged_at
FROM flightpath.watch_series s
JOIN flightpath.programme p ON p.only_row
JOIN flightpath.watch_lease l ON l.only_row
LEFT JOIN flightpath.kpi k ON k.series = s.series
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = s.unit
LEFT JOIN flightpath.watch_level r ON r.level = s.level OR r.level = 3
CROSS JOIN LATERAL (
    SELECT k.source IN ('measure', 'outcome') OR s.n = 0
           OR s.n >= CASE WHEN k.series IS NULL THEN greatest(p.min_n, p.min_n_employee)
                          WHEN k.audience = 'employee' THEN p.min_n_employee ELSE p.min_n END AS shown) c;

-- Marks on charts: alerts (an incident once), known days, interventions as planned and as reported, and KPIs that
-- count differently from a day on. tags: separated by commas, the first says what it is.
CREATE VIEW experience.annotation AS
SELECT a.started_at AS time, coalesce(a.ended_at, flightpath.midnight(l.judged + 1, a.time_zone)) AS timeend,
       CASE WHEN a.text <> '' THEN a.text ELSE concat_ws(' ', a.kpi, a.scope, a.verdict, a.kind) END AS text,
       concat_ws(',', 'alert', nullif(a.kpi, '*'), a.unit, a.kind, a.verdict, CASE WHEN a.worse THEN 'worse' ELSE 'better' END) AS tags
FROM (SELECT s.*, p.time_zone FROM flightpath.alert_shown s JOIN flightpath.programme p ON p.only_row) a
JOIN flightpath.watch_lease l ON l.only_row
WHERE a.root = a.fingerprint AND a.state <> 'withdrawn'
UNION ALL
SELECT flightpath.midnight(c.from_day, p.time_zone), flightpath.midnight(c.until_day + 1, p.time_zone), c.text, 'calendar'
FROM flightpath.calendar c JOIN flightpath.programme p ON p.only_row
UNION ALL
SELECT e.effective_at, e.effective_at, concat_ws(': ', coalesce(i.one ->> 'text', e.intervention), e.state),
       concat_ws(',', 'intervention', e.intervention, e.state, i.one ->> 'kpi')
FROM flightpath.intervention_event e
LEFT JOIN flightpath.programme p ON p.only_row
LEFT JOIN flightpath.model m ON m.hash = p.model_hash
LEFT JOIN LATERAL (SELECT one FROM jsonb_array_elements(coalesce(m.body -> 'interventions', '[]')) AS one
                   WHERE one ->> 'id' = e.intervention LIMIT 1) i ON true
UNION ALL
SELECT (i.one ->> 'start')::date::timestamp AT TIME ZONE p.time_zone,
       coalesce((i.one ->> 'due')::date + 1, (i.one ->> 'start')::date)::timestamp AT TIME ZONE p.time_zone,
       concat('Planned: ', i.one ->> 'text'), concat_ws(',', 'intervention', i.one ->> 'id', 'planned', i.one ->> 'kpi')
FROM flightpath.programme p
JOIN flightpath.model m ON m.hash = p.model_hash
CROSS JOIN LATERAL jsonb_array_elements(coalesce(m.body -> 'interventions', '[]')) AS i (one)
WHERE i.one ->> 'start' IS NOT NULL
UNION ALL
SELECT k.since, k.since, format('%s is counted differently from here on', k.kpi), concat_ws(',', 'definition', k.kpi)
FROM flightpath.kpi k
WHERE EXISTS (SELECT FROM flightpath.kpi e WHERE e.kpi = k.kpi AND e.series < k.series);

GRANT SELECT ON flightpath.alert_shown TO flightpath_writer;
SELECT flightpath.settle_rights();
GRANT EXECUTE ON FUNCTION flightpath.alert_severity(int, int, boolean), flightpath.watch_scope(int, text, text)
    TO flightpath_reader, flightpath_writer;
