-- KPIs by the tree of units, and journeys by their KPIs: kpi_rollup, journey_kpi, journey_now.
--
-- A unit stands for itself and everything below it, as in kpi_series. Its numbers come from summed tallies
-- and merged sketches, never from the numbers of the units below. -1 stands for all units.

-- Each unit with everything it counts for: itself, all units above it, and -1. UNION ends even where units
-- were above each other.
CREATE VIEW flightpath.unit_tree AS
WITH RECURSIVE tree (unit, ancestor) AS (
    SELECT n.id, n.id FROM flightpath.name n WHERE n.kind = 0
    UNION
    SELECT t.unit, i.parent FROM tree t JOIN flightpath.unit_info i ON i.unit = t.ancestor WHERE i.parent IS NOT NULL)
SELECT tree.unit, tree.ancestor FROM tree
UNION ALL
SELECT n.id, -1 FROM flightpath.name n WHERE n.kind = 0;

-- The days that kpi_now and what is here speak of end with the newest day of any current KPI.
CREATE VIEW flightpath.newest_day AS
SELECT max(greatest(tally.newest, sketch.newest)) AS newest
FROM flightpath.kpi k
CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.tally_day t WHERE t.series = k.series) tally
CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.sketch_day t WHERE t.series = k.series) sketch
WHERE k.current;

-- Quantile of a measure over the days split … last_day (recent) and first_day … split - 1, of every unit with all below
-- it and of all units (-1); whole: of these alone. A row where something came. Ranks as in quantile_window.
-- Both windows in one pass; and a unit's bins go to the nearest unit that has units below it (home), those
-- up the tree: a row of a unit and bin is not multiplied by the units above it.
CREATE FUNCTION flightpath.rollup_quantile(series int, first_day int, split int, last_day int, whole boolean)
RETURNS TABLE (unit int, recent boolean, n bigint, value double precision, low double precision, high double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    k flightpath.kpi;
BEGIN
    SELECT * INTO STRICT k FROM flightpath.kpi d WHERE d.series = rollup_quantile.series;
    RETURN QUERY
    WITH tree AS MATERIALIZED (
        SELECT r.unit, r.ancestor FROM flightpath.unit_tree r WHERE NOT whole),
    home AS MATERIALIZED (
        SELECT n.id AS unit, CASE WHEN p.unit IS NULL THEN coalesce(nullif(i.parent, n.id), -1) ELSE n.id END AS home
        FROM flightpath.name n
        LEFT JOIN flightpath.unit_info i ON i.unit = n.id
        LEFT JOIN (SELECT DISTINCT r.ancestor AS unit FROM tree r WHERE r.unit <> r.ancestor) p ON p.unit = n.id
        WHERE n.kind = 0 AND NOT whole),
    own AS MATERIALIZED (
        SELECT t.unit, t.bin, flightpath.total(t.n) FILTER (WHERE t.bucket >= split) AS n,
               flightpath.total(t.n) FILTER (WHERE t.bucket < split) AS before
        FROM flightpath.sketch_day t
        WHERE NOT whole AND t.series = k.series AND t.bucket BETWEEN first_day AND last_day
        GROUP BY t.unit, t.bin),
    housed AS MATERIALIZED (
        SELECT h.home, o.bin, flightpath.total(o.n) AS n, flightpath.total(o.before) AS before
        FROM own o JOIN home h ON h.unit = o.unit GROUP BY h.home, o.bin),
    merged AS (
        SELECT -1 AS node, t.bin, flightpath.total(t.n) FILTER (WHERE t.bucket >= split) AS n,
               flightpath.total(t.n) FILTER (WHERE t.bucket < split) AS before
        FROM flightpath.sketch_day t
        WHERE whole AND t.series = k.series AND t.bucket BETWEEN first_day AND last_day
        GROUP BY t.bin
        UNION ALL
        SELECT o.unit, o.bin, o.n, o.before FROM own o JOIN home h ON h.unit = o.unit AND h.home <> o.unit
        UNION ALL
        SELECT r.ancestor, h.bin, flightpath.total(h.n), flightpath.total(h.before)
        FROM housed h JOIN (SELECT * FROM tree UNION ALL SELECT -1, -1) r ON r.unit = h.home
        GROUP BY r.ancestor, h.bin),
    seen AS (
        SELECT m.node, m.bin, flightpath.total(m.n) OVER up::double precision AS n,
               flightpath.total(m.before) OVER up::double precision AS before
        FROM merged m WINDOW up AS (PARTITION BY m.node ORDER BY m.bin ROWS UNBOUNDED PRECEDING)
        ORDER BY m.node, m.bin),
    node AS (
        SELECT s.node, array_agg(s.bin) AS bins, array_agg(s.n) AS seen, array_agg(s.before) AS seen_before
        FROM seen s GROUP BY s.node),
    found AS (
        SELECT w.node, w.recent, w.n::bigint AS n,
               w.bins[width_bucket(greatest(ceil(k.quantile * w.n - 1e-9), 1) - 1, w.seen) + 1] AS value,
               CASE WHEN floor(k.quantile * w.n - half) >= 1
                    THEN w.bins[width_bucket(floor(k.quantile * w.n - half) - 1, w.seen) + 1] END AS low,
               w.bins[width_bucket(ceil(k.quantile * w.n + half), w.seen) + 1] AS high
        FROM (SELECT d.node, true AS recent, d.bins, d.seen, d.seen[cardinality(d.seen)] AS n FROM node d
              UNION ALL
              SELECT d.node, false, d.bins, d.seen_before, d.seen_before[cardinality(d.seen)] FROM node d) w,
             LATERAL (SELECT 1.959963984540054::double precision * sqrt(w.n * k.quantile * (1 - k.quantile)) AS half) AS h
        WHERE w.n > 0)
    SELECT f.node, f.recent, f.n,
           least(greatest(v.value / 10::double precision ^ k.decimals, k.scale_min), k.scale_max),
           CASE WHEN f.low IS NULL THEN k.scale_min
                ELSE greatest(l.value / 10::double precision ^ k.decimals, k.scale_min) END,
           CASE WHEN f.high IS NULL THEN k.scale_max
                ELSE least(h.value / 10::double precision ^ k.decimals, k.scale_max) END
    FROM found f JOIN flightpath.sketch_bin v ON v.bin = f.value
    LEFT JOIN flightpath.sketch_bin l ON l.bin = f.low LEFT JOIN flightpath.sketch_bin h ON h.bin = f.high;
END $$;

-- Sums of a series over days first_day … last_day of all units; no row when nothing came. Only the columns that the
-- metric needs are added up: of NPS three sums of bins, the others 0. One plan for all series of a session.
CREATE FUNCTION flightpath.whole_window(series int, first_day int, last_day int)
RETURNS TABLE (n bigint, weight bigint, weight_square bigint, sum bigint, sum_square bigint, bins bigint[],
    quantile_value double precision, quantile_low double precision, quantile_high double precision)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER ROWS 1 COST 1000000
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    metric text;
BEGIN
    SELECT d.metric INTO STRICT metric FROM flightpath.kpi d WHERE d.series = whole_window.series;
    IF metric = 'quantile' THEN
        RETURN QUERY
        SELECT q.n, q.n, q.n, 0::bigint, 0::bigint, NULL::bigint[], q.value, q.low, q.high
        FROM flightpath.rollup_quantile(whole_window.series, first_day, first_day, last_day, true) q;
    ELSIF metric = 'nps' THEN
        RETURN QUERY
        SELECT flightpath.total(t.n), flightpath.total(t.weight), flightpath.total(t.weight_square),
               flightpath.total(t.sum), flightpath.total(t.sum_square),
               ARRAY[flightpath.total(t.b0 + t.b1 + t.b2 + t.b3 + t.b4 + t.b5 + t.b6), 0, 0, 0, 0, 0, 0,
                     flightpath.total(t.b7 + t.b8), 0, flightpath.total(t.b9 + t.b10), 0],
               NULL::double precision, NULL::double precision, NULL::double precision
        FROM flightpath.tally_day t
        WHERE t.series = whole_window.series AND t.bucket BETWEEN first_day AND last_day HAVING count(*) > 0;
    ELSIF metric IN ('csat', 'top_box', 'ces') THEN
        RETURN QUERY
        SELECT flightpath.total(t.n), flightpath.total(t.weight), flightpath.total(t.weight_square),
               flightpath.total(t.sum), flightpath.total(t.sum_square),
               ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                     flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                     flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)],
               NULL::double precision, NULL::double precision, NULL::double precision
        FROM flightpath.tally_day t
        WHERE t.series = whole_window.series AND t.bucket BETWEEN first_day AND last_day HAVING count(*) > 0;
    ELSIF metric IN ('index', 'ratio') THEN
        RETURN QUERY
        SELECT flightpath.total(t.n), flightpath.total(t.weight), flightpath.total(t.weight_square),
               flightpath.total(t.sum), flightpath.total(t.sum_square),
               ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2)],
               NULL::double precision, NULL::double precision, NULL::double precision
        FROM flightpath.tally_day t
        WHERE t.series = whole_window.series AND t.bucket BETWEEN first_day AND last_day HAVING count(*) > 0;
    ELSE
        RETURN QUERY
        SELECT flightpath.total(t.n), flightpath.total(t.weight), flightpath.total(t.weight_square),
               flightpath.total(t.sum), flightpath.total(t.sum_square), NULL::bigint[],
               NULL::double precision, NULL::double precision, NULL::double precision
        FROM flightpath.tally_day t
        WHERE t.series = whole_window.series AND t.bucket BETWEEN first_day AND last_day HAVING count(*) > 0;
    END IF;
END $$;

-- Sums of a series over the 30 days up to `newest` (recent) and the 30 before them, for every unit with all below it,
-- and for all units (-1); whole: for these alone. Units are added up before the tree is: it costs a row for each
-- unit and unit above it.
CREATE FUNCTION flightpath.rollup_window(series int, newest int, whole boolean)
RETURNS TABLE (unit int, recent boolean, n bigint, weight bigint, weight_square bigint, sum bigint, sum_square bigint,
    bins bigint[], quantile_value double precision, quantile_low double precision, quantile_high double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 2000
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    k flightpath.kpi;
BEGIN
    SELECT * INTO STRICT k FROM flightpath.kpi d WHERE d.series = rollup_window.series;
    IF k.metric = 'quantile' THEN
        RETURN QUERY
        SELECT q.unit, q.recent, q.n, q.n, q.n, 0::bigint, 0::bigint, NULL::bigint[], q.value, q.low, q.high
        FROM flightpath.rollup_quantile(k.series, newest - 59, newest - 29, newest, whole) q;
    ELSIF whole THEN
        RETURN QUERY
        SELECT -1, true, w.* FROM flightpath.whole_window(k.series, newest - 29, newest) w
        UNION ALL SELECT -1, false, w.* FROM flightpath.whole_window(k.series, newest - 59, newest - 30) w;
    ELSE
        RETURN QUERY
        WITH own AS (
            SELECT t.unit, t.bucket > newest - 30 AS recent, flightpath.total(t.n) AS n,
                   flightpath.total(t.weight) AS weight, flightpath.total(t.weight_square) AS weight_square,
                   flightpath.total(t.sum) AS sum, flightpath.total(t.sum_square) AS sum_square,
                   CASE WHEN k.source = 'item' OR k.metric = 'ratio' THEN -- else folded away: k is a constant here
                   ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                         flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                         flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] END AS bins
            FROM flightpath.tally_day t
            WHERE t.series = k.series AND t.bucket BETWEEN newest - 59 AND newest
            GROUP BY t.unit, t.bucket > newest - 30)
        SELECT r.ancestor, o.recent, flightpath.total(o.n), flightpath.total(o.weight), flightpath.total(o.weight_square),
               flightpath.total(o.sum), flightpath.total(o.sum_square),
               ARRAY[flightpath.total(o.bins[1]), flightpath.total(o.bins[2]), flightpath.total(o.bins[3]),
                     flightpath.total(o.bins[4]), flightpath.total(o.bins[5]), flightpath.total(o.bins[6]),
                     flightpath.total(o.bins[7]), flightpath.total(o.bins[8]), flightpath.total(o.bins[9]),
                     flightpath.total(o.bins[10]), flightpath.total(o.bins[11])],
               NULL::double precision, NULL::double precision, NULL::double precision
        FROM own o JOIN flightpath.unit_tree r ON r.unit = o.unit
        GROUP BY r.ancestor, o.recent;
    END IF;
END $$;

-- The same judged, the 30 days up to `newest` beside the 30 before them, as kpi_now does.
CREATE FUNCTION flightpath.rollup_now(series int, newest int, whole boolean)
RETURNS TABLE (
    unit int, n bigint, value double precision, ci_low double precision, ci_high double precision,
    attained boolean, attainment text, status text,
    previous double precision, change double precision, change_ci_low double precision, change_ci_high double precision,
    change_method text, previous_n bigint, previous_status text, n_eff double precision, ci_method text,
    weight bigint, weight_square bigint, sum_value double precision, sum_square double precision,
    promoters bigint, passives bigint, detractors bigint, top_box bigint, top_box_share double precision)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000 COST 1000000
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    WITH sums AS MATERIALIZED (SELECT * FROM flightpath.rollup_window(rollup_now.series, newest, whole))
    SELECT unit, j.n, j.value, j.ci_low, j.ci_high, j.attained, j.attainment, j.status,
           b.value, j.value - b.value,
           CASE WHEN d.half IS NOT NULL THEN j.value - b.value - d.half
                ELSE j.value - b.value - sqrt((j.value - j.ci_low) ^ 2 + (b.ci_high - b.value) ^ 2) END,
           CASE WHEN d.half IS NOT NULL THEN j.value - b.value + d.half
                ELSE j.value - b.value + sqrt((j.ci_high - j.value) ^ 2 + (b.value - b.ci_low) ^ 2) END,
           CASE WHEN j.value - b.value IS NULL THEN NULL WHEN d.half IS NOT NULL THEN 'welch' ELSE 'mover' END,
           b.n, b.status, j.n_eff, j.ci_method, j.weight, j.weight_square, j.sum_value, j.sum_square,
           j.promoters, j.passives, j.detractors, j.top_box, j.top_box_share
    FROM flightpath.kpi k
    JOIN flightpath.programme p ON p.only_row
    CROSS JOIN (
        (SELECT * FROM sums s WHERE s.recent) t FULL JOIN (SELECT * FROM sums s WHERE NOT s.recent) before USING (unit))
    CROSS JOIN LATERAL flightpath.judge(
        k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
        CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
        coalesce(t.n, 0), t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
        t.quantile_value, t.quantile_low, t.quantile_high) j
    CROSS JOIN LATERAL flightpath.judge(
        k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
        CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
        coalesce(before.n, 0), before.weight, before.weight_square, before.sum, before.sum_square, before.bins,
        before.quantile_value, before.quantile_low, before.quantile_high) b
    CROSS JOIN LATERAL (
        SELECT CASE WHEN j.n_eff >= 2 AND b.n_eff >= 2 AND j.variance + b.variance > 0 THEN
               experience.t975((j.variance / j.n_eff + b.variance / b.n_eff) ^ 2
                   / ((j.variance / j.n_eff) ^ 2 / (j.n_eff - 1) + (b.variance / b.n_eff) ^ 2 / (b.n_eff - 1)))
               * sqrt(j.variance / j.n_eff + b.variance / b.n_eff) END AS half
        OFFSET 0) d
    WHERE k.series = rollup_now.series AND (t.n > 0 OR before.n > 0)
$$;

-- KPI × node of the tree of units, all channels, over the days of kpi_now. level: `all` every unit, also what gave
-- none (unit NULL); `group` a unit with units below it; `unit` one without. A row of each KPI for `all` and
-- every group, also where nothing came (no_data), and for units with answers of their own in the window or
-- the one before. depth: 0 all, 1 units without a parent. units_below: how many there are, whatever they have.
CREATE VIEW experience.kpi_rollup AS
WITH node AS MATERIALIZED (
    SELECT below.ancestor AS id, below.units AS units_below, above.depth
    FROM (SELECT r.ancestor, count(*) FILTER (WHERE r.unit > 1 AND r.unit <> r.ancestor) AS units
          FROM flightpath.unit_tree r GROUP BY r.ancestor) below
    LEFT JOIN (SELECT r.unit, count(*) - 1 AS depth FROM flightpath.unit_tree r GROUP BY r.unit) above
        ON above.unit = below.ancestor
    WHERE below.ancestor <> 0)
SELECT flightpath.midnight(w.newest - 29, p.time_zone) AS bucket, k.kpi, k.journey, k.touchpoint,
       u.name AS unit, NULL::text AS channel,
       CASE WHEN v.status IS NULL THEN 0 ELSE v.n END AS n, v.value, v.ci_low, v.ci_high, k.target,
       v.attained, v.attainment, coalesce(v.status, 'no_data') AS status,
       v.previous, v.change, v.change_ci_low, v.change_ci_high, v.change_method,
       CASE WHEN v.status IS NULL THEN 0 ELSE v.previous_n END AS previous_n,
       coalesce(v.previous_status, 'no_data') AS previous_status,
       30 AS window_days, flightpath.midnight(w.newest + 1, p.time_zone) AS window_end,
       k.statement, k.role, k.owner, k.audience, k.metric, k.direction, k.good_enough, k.scale_min, k.scale_max,
       v.n_eff, v.ci_method, v.weight, v.weight_square, v.sum_value, v.sum_square,
       v.promoters, v.passives, v.detractors, v.top_box, v.top_box_share, k.definition,
       CASE WHEN node.id = -1 THEN 'all' WHEN node.units_below > 0 THEN 'group' ELSE 'unit' END AS level,
       parent.name AS parent, coalesce(node.depth, 0)::int AS depth, node.units_below::int AS units_below,
       coalesce(i.label, u.name) AS unit_label, o.label AS owner_label
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
CROSS JOIN flightpath.newest_day w
CROSS JOIN LATERAL (
    SELECT node.id AS node, r.*
    FROM node LEFT JOIN flightpath.rollup_now(k.series, w.newest, false) r ON r.unit = node.id
    WHERE r.unit IS NOT NULL OR node.units_below > 0 OR node.id = -1) v
JOIN node ON node.id = v.node
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = node.id
LEFT JOIN flightpath.unit_info i ON i.unit = node.id
LEFT JOIN flightpath.name parent ON parent.kind = 0 AND parent.id = i.parent
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
WHERE k.current;

-- How far a value is on the wrong side of its target, in half widths of its interval (below 0: on the right side).
CREATE FUNCTION flightpath.miss(value double precision, ci_low double precision, ci_high double precision,
    target double precision, direction text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN ci_high > ci_low THEN (value - target) * CASE direction WHEN 'higher' THEN -1 ELSE 1 END / ((ci_high - ci_low) / 2) END;

-- Which KPIs belong to a journey: its own, as a main one also those of its detailed ones; and those of its
-- touchpoints, unless they are of another journey or another audience. series NULL: none does. A function, so that the
-- planner takes any condition on a journey to leave few rows, and reads the tallies of their KPIs only.
CREATE FUNCTION flightpath.journey_member()
RETURNS TABLE (journey text, label text, audience text, level text, parent text, place int, step int, touchpoints text[], series int)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT j.journey, j.label, j.audience, j.level, j.parent, j.place, j.step, j.touchpoints, k.series
    FROM experience.journey_list j
    LEFT JOIN flightpath.kpi k ON k.current AND (
    k.journey = j.journey
    OR EXISTS (SELECT FROM experience.journey_list d WHERE d.journey = k.journey AND d.parent = j.journey)
    OR (k.touchpoint = ANY (j.touchpoints) AND (k.journey IS NULL OR k.journey = j.parent)
        AND (k.source IN ('measure', 'outcome') OR k.audience = 'internal' OR k.audience = j.audience)))
$$;

-- Journey × KPI that belongs to it, over all units, with the days of kpi_now. miss: how far the value is on the wrong
-- side of its target, in half widths of its interval (below 0: on the right side). alert_…: of the KPI as a
-- whole, the open one, a change against the direction first; open_alerts: changes against the direction that are open, of the KPI as a whole and of its
-- units; open_incidents: those told as one thing counted once.
CREATE VIEW experience.journey_kpi AS
SELECT m.journey, m.label, m.level, m.parent, m.place, m.step, k.kpi, k.role, k.statement, k.touchpoint,
       k.owner, o.label AS owner_label, k.audience, k.metric, k.direction,
       CASE WHEN v.status IS NULL THEN 0 ELSE v.n END AS n, v.value, v.ci_low, v.ci_high, k.target, k.good_enough,
       v.attained, v.attainment, coalesce(v.status, 'no_data') AS status,
       flightpath.miss(v.value, v.ci_low, v.ci_high, k.target, k.direction) AS miss,
       v.previous, v.change, v.change_ci_low, v.change_ci_high, v.change_method,
       CASE WHEN v.status IS NULL THEN 0 ELSE v.previous_n END AS previous_n,
       coalesce(v.previous_status, 'no_data') AS previous_status,
       a.fingerprint AS alert, a.state AS alert_state, nullif(a.verdict, '') AS alert_verdict, a.worse AS alert_worse,
       (ARRAY['change', 'no_data', 'suspect_data'])[a.kind + 1] AS alert_kind,
       c.alerts::int AS open_alerts, c.incidents::int AS open_incidents,
       flightpath.midnight(w.newest - 29, p.time_zone) AS bucket,
       flightpath.midnight(w.newest + 1, p.time_zone) AS window_end, k.definition
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
CROSS JOIN flightpath.newest_day w
JOIN flightpath.journey_member() m ON m.series = k.series
LEFT JOIN LATERAL ( -- LIMIT 1: else the planner takes a function scan for free when repeated
    SELECT r.* FROM flightpath.rollup_now(k.series, w.newest, true) r LIMIT 1) v ON true
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
LEFT JOIN LATERAL (
    SELECT a.* FROM flightpath.alert a
    WHERE a.series = k.series AND a.unit = -1 AND a.closed IS NULL AND a.state <> 'withdrawn'
    ORDER BY a.kind <> 0 OR NOT a.worse, a.kind, a.incident, a.fingerprint LIMIT 1) a ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS alerts, count(DISTINCT a.root) AS incidents FROM flightpath.alert a
    WHERE a.series = k.series AND a.kind = 0 AND a.worse AND a.closed IS NULL AND a.state <> 'withdrawn') c
WHERE k.current;

-- Journeys, main and detailed, by their KPIs: each KPI is in one of attained, missed, undecided, no_target, no_data,
-- suppressed. worst_kpi: of those on the wrong side of their target the one with the largest miss. responses,
-- events: what came at its touchpoints in the window, of any audience. Only the window itself is read, not the
-- one before; journeys are grouped here and not joined to their groups, so that any condition on them
-- (IN, level, parent) leaves out the KPIs of the others.
CREATE VIEW experience.journey_now AS
SELECT j.journey, j.label, j.audience, j.level, j.parent, j.place, j.step, j.touchpoints,
       j.kpis, j.inputs, j.outputs, j.attained, j.missed, j.undecided, j.no_target, j.no_data, j.suppressed,
       j.inputs_attained, j.inputs_missed, j.inputs_undecided, j.outputs_attained, j.outputs_missed, j.outputs_undecided,
       coalesce(a.alerts, 0)::int AS open_alerts, coalesce(a.incidents, 0)::int AS open_incidents,
       j.worst[1] AS worst_kpi, j.worst_miss, coalesce(c.responses, 0) AS responses, coalesce(c.events, 0) AS events,
       flightpath.midnight(j.newest - 29, j.time_zone) AS bucket,
       flightpath.midnight(j.newest + 1, j.time_zone) AS window_end
FROM (
    SELECT m.journey, m.label, m.audience, m.level, m.parent, m.place, m.step, m.touchpoints, m.newest, m.time_zone,
           count(m.series)::int AS kpis,
           count(*) FILTER (WHERE m.role = 'input')::int AS inputs, count(*) FILTER (WHERE m.role = 'output')::int AS outputs,
           count(*) FILTER (WHERE m.attainment = 'attained')::int AS attained,
           count(*) FILTER (WHERE m.attainment = 'missed')::int AS missed,
           count(*) FILTER (WHERE m.attainment = 'undecided')::int AS undecided,
           count(*) FILTER (WHERE m.attainment IS NULL AND m.status NOT IN ('no_data', 'suppressed_min_n'))::int AS no_target,
           count(*) FILTER (WHERE m.status = 'no_data')::int AS no_data,
           count(*) FILTER (WHERE m.status = 'suppressed_min_n')::int AS suppressed,
           count(*) FILTER (WHERE m.role = 'input' AND m.attainment = 'attained')::int AS inputs_attained,
           count(*) FILTER (WHERE m.role = 'input' AND m.attainment = 'missed')::int AS inputs_missed,
           count(*) FILTER (WHERE m.role = 'input' AND m.attainment = 'undecided')::int AS inputs_undecided,
           count(*) FILTER (WHERE m.role = 'output' AND m.attainment = 'attained')::int AS outputs_attained,
           count(*) FILTER (WHERE m.role = 'output' AND m.attainment = 'missed')::int AS outputs_missed,
           count(*) FILTER (WHERE m.role = 'output' AND m.attainment = 'undecided')::int AS outputs_undecided,
           array_agg(m.series) AS series,
           array_agg(m.kpi ORDER BY m.miss DESC, m.kpi) FILTER (WHERE m.miss > 0) AS worst,
           max(m.miss) FILTER (WHERE m.miss > 0) AS worst_miss
    FROM (
        SELECT m.*, w.newest, p.time_zone, k.kpi, k.role, s.attainment, CASE WHEN k.series IS NOT NULL THEN s.status END AS status,
               flightpath.miss(s.value, s.ci_low, s.ci_high, k.target, k.direction) AS miss
        FROM flightpath.journey_member() m
        JOIN flightpath.programme p ON p.only_row
        CROSS JOIN flightpath.newest_day w
        LEFT JOIN flightpath.kpi k ON k.series = m.series
        LEFT JOIN LATERAL (
            SELECT f.* FROM flightpath.whole_window(k.series, w.newest - 29, w.newest) f LIMIT 1) t ON true
        CROSS JOIN LATERAL flightpath.judge(
            k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
            CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
            coalesce(t.n, 0), t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
            t.quantile_value, t.quantile_low, t.quantile_high) s) m
    GROUP BY m.journey, m.label, m.audience, m.level, m.parent, m.place, m.step, m.touchpoints, m.newest, m.time_zone) j
LEFT JOIN LATERAL (
    SELECT count(*) AS alerts, count(DISTINCT a.root) AS incidents FROM flightpath.alert a
    WHERE a.series = ANY (j.series) AND a.kind = 0 AND a.worse AND a.closed IS NULL AND a.state <> 'withdrawn') a ON true
LEFT JOIN LATERAL (
    SELECT flightpath.total(d.customer + d.employee + d.internal) AS responses, flightpath.total(d.events) AS events
    FROM flightpath.coverage_day d
    JOIN flightpath.name t ON t.kind = 2 AND t.id = d.touchpoint
    WHERE t.name = ANY (j.touchpoints) AND d.bucket BETWEEN j.newest - 29 AND j.newest) c ON true;

GRANT SELECT ON flightpath.unit_tree, flightpath.newest_day TO flightpath_writer;
SELECT flightpath.settle_rights();
GRANT EXECUTE ON FUNCTION flightpath.rollup_now(int, int, boolean), flightpath.whole_window(int, int, int), flightpath.journey_member(),
    flightpath.miss(double precision, double precision, double precision, double precision, text) TO flightpath_reader, flightpath_writer;
