-- The published driver results (schema experience): what goes with an outcome, how strongly, how surely.
--
-- Associations, not causes: nothing here says what would happen if somebody changed a driver.
-- Suppression: a window with fewer answers than the programme's min_n (employees: min_n_employee), or a
-- driver that fewer answered, is `suppressed_min_n`: every number NULL, n too. Results that stand on too
-- little are shown and say so: `insufficient_n`.

-- A number with so many significant digits, and a minus sign that reads like one.
CREATE FUNCTION flightpath.short_number(x double precision, digits int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN x = 0 THEN '0'
            ELSE replace(round(x::numeric, least(greatest(digits - 1 - floor(log(abs(x)))::int, 0), 15))::text, '-', '−') END;

-- A segment as the views name it; name: of the unit, touchpoint or journey.
CREATE FUNCTION flightpath.segment_text(kind smallint, number int, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE kind WHEN 0 THEN 'all' WHEN 4 THEN 'tenure:' || (ARRAY['applicant', '0-3', '3-12', '12+'])[number]
            ELSE (ARRAY['journey:', 'touchpoint:', 'unit:'])[kind] || coalesce(name, '#' || number) END;

-- A result's status in the words of the contract.
CREATE FUNCTION flightpath.status_text(status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE status WHEN 'insufficient' THEN 'insufficient_n' WHEN 'no_rows' THEN 'no_data' WHEN 'empty' THEN 'no_answers'
                   WHEN 'outcome_constant' THEN 'constant_outcome' WHEN 'parent' THEN 'insufficient_n' ELSE status END;

-- Series with what their model says of them; grouped, so that a model's text is taken apart once a series.
CREATE VIEW flightpath.driver_series_text AS
SELECT s.*, m.body -> 'measures' AS measure_info, m.body -> 'journeys' AS journeys,
       coalesce(jsonb_object_agg(i.body ->> 'id', i.body -> 'text') FILTER (WHERE i.body IS NOT NULL), '{}') AS label
FROM flightpath.driver_series s
LEFT JOIN flightpath.model m ON m.hash = s.model_hash
LEFT JOIN LATERAL jsonb_array_elements(m.body -> 'items') AS i (body) ON i.body ->> 'id' = ANY (s.drivers || s.outcome)
GROUP BY s.series, m.hash;

-- Every fit with its names. Numbers are for the views below to show or not.
CREATE VIEW flightpath.driver_window AS
SELECT s.series, fit.kind, fit.segment AS number, fit.day, s.model, s.definition, s.current, s.outcome,
       s.label ->> s.outcome AS outcome_label, s.drivers, s.measures, s.label, s.measure_info, s.direction,
       s.scale_min, s.scale_max, s.audience, s.journey, s.touchpoint, s.window_days,
       flightpath.segment_text(fit.kind, fit.segment, n.name) AS segment,
       (ARRAY['all', 'journey', 'touchpoint', 'unit', 'tenure'])[fit.kind + 1] AS segment_kind,
       CASE WHEN fit.kind > 0 THEN substr(flightpath.segment_text(fit.kind, fit.segment, n.name),
                                        strpos(flightpath.segment_text(fit.kind, fit.segment, n.name), ':') + 1) END AS segment_id,
       CASE fit.kind WHEN 1 THEN jsonb_path_query_first(s.journeys, 'strict $.** ? (@.id == $id).name',
                                                   jsonb_build_object('id', n.name)) #>> '{}'
                   WHEN 2 THEN (SELECT i.label FROM flightpath.touchpoint_info i WHERE i.touchpoint = fit.segment)
                   WHEN 3 THEN (SELECT i.label FROM flightpath.unit_info i WHERE i.unit = fit.segment) END AS segment_label,
       DATE '1970-01-01' + fit.first_day AS window_from, DATE '1970-01-01' + fit.day AS window_to,
       fit.computed_at, fit, flightpath.status_text(fit.status) AS status, a.min_n, fit.n = 0 OR fit.n >= a.min_n AS shown
FROM flightpath.driver_series_text s
JOIN flightpath.programme p ON p.only_row
JOIN flightpath.driver_fit fit ON fit.series = s.series
CROSS JOIN LATERAL (SELECT CASE s.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END AS min_n) a
LEFT JOIN flightpath.name n ON n.kind = CASE fit.kind WHEN 1 THEN 3 WHEN 2 THEN 2 WHEN 3 THEN 0 END AND n.id = fit.segment;

-- The newest result of each segment of a current series, backwards through the key, one step a segment. A
-- result whose whole window has passed since is history.
CREATE VIEW flightpath.driver_newest AS
SELECT s.series, w.kind, w.segment AS number, w.day
FROM flightpath.driver_series s
CROSS JOIN LATERAL (
    WITH RECURSIVE step AS (
        (SELECT f.kind, f.segment, f.day FROM flightpath.driver_fit f WHERE f.series = s.series
         ORDER BY f.series DESC, f.kind DESC, f.segment DESC, f.day DESC LIMIT 1)
        UNION ALL
        SELECT f.* FROM step CROSS JOIN LATERAL (
            SELECT f.kind, f.segment, f.day FROM flightpath.driver_fit f
            WHERE f.series = s.series AND (f.kind, f.segment) < (step.kind, step.segment)
            ORDER BY f.series DESC, f.kind DESC, f.segment DESC, f.day DESC LIMIT 1) f)
    SELECT * FROM step) w
WHERE s.current AND w.day > coalesce(s.newest, w.day) - s.window_days;

-- Every driver of every fit, with the numbers that may be shown.
--   importance         weight as a share of R²
--   performance_share  mean answer as a share of its scale, 1 = the better end (lower is better: turned round)
--   position           importance and performance against their cut lines, 1/p and the mean of the
--                      drivers; a quadrant only when both intervals exclude the lines
--   opportunity        importance × what performance_share lacks to 1
--   n_needed           answers (effective) from which a driver may be called key: max(100, 20 p)
CREATE VIEW flightpath.driver_row AS
SELECT w.series, w.kind, w.number, w.day,
       w.model, w.segment, w.outcome, w.drivers[r.place] AS driver,
       CASE WHEN c.shown THEN (w.fit).n END AS n, CASE WHEN c.shown THEN (w.fit).n_complete END AS n_complete,
       r.coef, r.se, r.ci_low, r.ci_high, r.p, r.q, r.vif, r.weight, r.weight_low, r.weight_high, r.lmg, r.r,
       r.performance, r.p_top1, r.p_top3, r.flags, c.status, w.computed_at,
       CASE WHEN NOT c.shown THEN 'Too few answers to show.'
            WHEN c.status = 'no_data' THEN 'No answers yet.'
            WHEN c.status = 'constant_outcome' THEN format('All answers to %s are the same, so nothing can go with them.', w.outcome)
            WHEN (w.fit).method = 'shrunk' AND c.status = 'insufficient_n'
            THEN 'Too few answers here; shown is what holds over all units.'
            WHEN (w.fit).method = 'shrunk' AND c.status = 'ok' THEN l.slope
            WHEN c.status IN ('insufficient_n', 'ok') AND (w.fit).n_eff < c.needed
            THEN format('Not enough answers yet: %s of %s.', floor((w.fit).n_eff), c.needed)
            WHEN c.status = 'improper' THEN 'Too many answers are missing to compare the drivers.'
            WHEN c.status = 'constant' THEN 'All answers are the same: nothing to learn from them.'
            WHEN c.status IN ('no_answers', 'does_not_apply') THEN 'Nobody has answered it.'
            WHEN c.status IN ('aliased', 'collinear') THEN 'The other drivers tell it completely; it cannot be told apart from them.'
            WHEN c.status <> 'ok' THEN format('It could not be estimated (%s).', c.status)
            WHEN r.key = 'key' AND r.counted > 5
            THEN format('Belongs to the three strongest drivers of %s, %s out of 10.', w.outcome, c.tenths)
            WHEN r.key = 'key' AND r.counted > 3
            THEN format('Belongs to the two strongest drivers of %s, at least 8 out of 10.', w.outcome)
            WHEN r.key = 'key' THEN format('The strongest driver of %s, %s out of 10.', w.outcome, c.tenths)
            WHEN r.key = 'likely_key'
            THEN format('Probably one of the strongest drivers of %s, but not surely enough to be called key.', w.outcome)
            WHEN (w.fit).r2_low <= 0.02
            THEN format('The drivers together go too loosely with %s to tell which is strongest.', w.outcome)
            WHEN sign(r.coef) = -w.direction[r.place] AND r.p < 0.05
            THEN format('Goes with %s the other way round than expected; look closer before using it.', w.outcome)
            WHEN r.p_top3 IS NULL THEN l.slope
            WHEN r.p_top3 <= 0.10 AND r.counted > 3
            THEN format('Not among the three strongest drivers of %s, 9 out of 10.', w.outcome)
            ELSE format('Open whether it is one of the strongest drivers of %s.', w.outcome) END AS statement,
       w.segment_kind, w.segment_id, w.segment_label,
       CASE WHEN r.place > cardinality(w.drivers) - w.measures THEN 'measure' ELSE 'item' END AS driver_kind,
       w.label ->> w.drivers[r.place] AS driver_label, w.measure_info -> w.drivers[r.place] ->> 'unit' AS driver_unit,
       w.outcome_label, r.t, r.robust_se, r.beta, r.fmi, r.mar, r.lmg_low, r.lmg_high,
       r.answered, r.skipped, r.does_not_apply,
       r.skipped::double precision / nullif(r.answered + r.skipped, 0) AS share_missing,
       r.performance_low, r.performance_high, r.share AS performance_share, r.importance,
       CASE WHEN r.importance IS NULL OR r.share IS NULL THEN NULL
            WHEN r.weight_low > r.r2 / r.counted THEN
                CASE WHEN r.share_high < r.cut THEN 'act' WHEN r.share_low > r.cut THEN 'keep up' ELSE 'unclear' END
            WHEN r.weight_high < r.r2 / r.counted THEN
                CASE WHEN r.share_high < r.cut THEN 'low priority' WHEN r.share_low > r.cut THEN 'watch' ELSE 'unclear' END
            ELSE 'unclear' END AS position,
       r.importance * (1 - r.share) AS opportunity,
       r.rank_low, r.rank_high, r.key,
       CASE WHEN c.status = 'ok' THEN r.place = ANY ((w.fit).top_group) END AS top_group,
       r.own, r.tau, r.applies_coef, r.applies_se, w.window_from, w.window_to,
       CASE WHEN c.shown THEN (w.fit).method END AS method,
       CASE WHEN r.ci_low IS NULL THEN NULL WHEN (w.fit).method = 'shrunk' THEN 'empirical bayes'
            WHEN (w.fit).method = 'em' THEN 'student t, observed information'
            WHEN (w.fit).method = 'pairwise' THEN 'jackknife' ELSE 'student t' END AS ci_method,
       CASE WHEN r.weight_low IS NULL THEN NULL WHEN (w.fit).method = 'shrunk' THEN 'draws from shrunk coefficients'
            WHEN (w.fit).model_based THEN 'normal theory'
            ELSE format('jackknife over %s groups', (w.fit).groups) END AS weight_ci_method,
       CASE WHEN c.shown THEN c.needed END AS n_needed,
       CASE w.direction[r.place] WHEN -1 THEN 'lower' ELSE 'higher' END AS direction,
       w.scale_min[r.place] AS scale_min, w.scale_max[r.place] AS scale_max, w.audience, w.definition, w.current
FROM flightpath.driver_window w
CROSS JOIN LATERAL (
    SELECT d.place, x.share, x.share_low, x.share_high, r.weight / nullif(coalesce((w.fit).r2, sum(r.weight) OVER ()), 0) AS importance, r.*,
           coalesce((w.fit).r2, sum(r.weight) OVER ()) AS r2, avg(x.share) OVER () AS cut, count(r.weight) OVER () AS counted
    FROM generate_series(1, cardinality(w.drivers)) AS d (place)
    LEFT JOIN flightpath.driver_result r
        ON r.series = w.series AND r.kind = w.kind AND r.segment = w.number AND r.day = w.day AND r.driver = d.place
           AND w.shown AND (r.answered = 0 OR r.answered >= w.min_n)
    CROSS JOIN LATERAL (
        SELECT w.scale_max[d.place] - w.scale_min[d.place] AS span, w.direction[d.place] < 0 AS turned OFFSET 0) y
    CROSS JOIN LATERAL (
        SELECT CASE WHEN turned THEN w.scale_max[d.place] - r.performance ELSE r.performance - w.scale_min[d.place] END / nullif(span, 0),
               CASE WHEN turned THEN w.scale_max[d.place] - r.performance_high
                    ELSE r.performance_low - w.scale_min[d.place] END / nullif(span, 0),
               CASE WHEN turned THEN w.scale_max[d.place] - r.performance_low
                    ELSE r.performance_high - w.scale_min[d.place] END / nullif(span, 0)) AS x (share, share_low, share_high)) r
CROSS JOIN LATERAL (
    SELECT w.shown AND (r.driver IS NOT NULL OR w.status <> 'ok') AS shown,
           CASE WHEN NOT w.shown OR (r.driver IS NULL AND w.status = 'ok') THEN 'suppressed_min_n'
                WHEN w.status <> 'ok' THEN w.status ELSE flightpath.status_text(r.status) END AS status,
           greatest(100, 20 * CASE WHEN w.status = 'ok' AND r.counted > 0 THEN r.counted ELSE cardinality(w.drivers) END) AS needed,
           least(floor(CASE WHEN r.counted > 5 THEN r.p_top3 ELSE r.p_top1 END * 10 + 1e-9), 9) AS tenths OFFSET 0) c
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.ci_low <= 0 AND r.ci_high >= 0
                THEN format('No clear link with %s: %s more may go with %s to %s.', w.outcome, u.one,
                            flightpath.short_number(r.ci_low, 2), flightpath.short_number(r.ci_high, 2))
                ELSE format('%s more goes with %s %s by %s (%s to %s).', upper(left(u.one, 1)) || substr(u.one, 2), w.outcome,
                            CASE WHEN r.coef < 0 THEN 'lower' ELSE 'higher' END, flightpath.short_number(abs(r.coef), 2),
                            flightpath.short_number(least(abs(r.ci_low), abs(r.ci_high)), 2),
                            flightpath.short_number(greatest(abs(r.ci_low), abs(r.ci_high)), 2)) END
    FROM (SELECT CASE WHEN r.place <= cardinality(w.drivers) - w.measures THEN 'one point'
                      ELSE coalesce('one ' || nullif(w.measure_info -> w.drivers[r.place] ->> 'unit', '1'), 'one') END) AS u (one)) AS l (slope);

-- Driver model × segment × driver, as it stands: `segment` is all, journey:<id>, touchpoint:<id>, unit:<id> or
-- tenure:applicant|0-3|3-12|12+.
CREATE VIEW experience.driver AS
SELECT d.model, d.segment, d.outcome, d.driver, d.n, d.n_complete, d.coef, d.se, d.ci_low, d.ci_high, d.p, d.q,
       d.vif, d.weight, d.weight_low, d.weight_high, d.lmg, d.r, d.performance, d.p_top1, d.p_top3, d.flags,
       d.status, d.computed_at, d.statement, d.segment_kind, d.segment_id, d.segment_label, d.driver_kind,
       d.driver_label, d.driver_unit, d.outcome_label, d.t, d.robust_se, d.beta, d.fmi, d.mar, d.lmg_low,
       d.lmg_high, d.answered, d.skipped, d.does_not_apply, d.share_missing, d.performance_low,
       d.performance_high, d.performance_share, d.importance, d.position, d.opportunity, d.rank_low,
       d.rank_high, d.key, d.top_group, d.own, d.tau, d.applies_coef, d.applies_se, d.window_from, d.window_to,
       d.method, d.ci_method, d.weight_ci_method, d.n_needed, d.direction, d.scale_min, d.scale_max, d.audience,
       d.definition
FROM flightpath.driver_newest n
JOIN flightpath.driver_row d ON d.series = n.series AND d.kind = n.kind AND d.number = n.number AND d.day = n.day;

-- The same of every day (window_to), of all definitions.
CREATE VIEW experience.driver_history AS
SELECT d.model, d.segment, d.outcome, d.driver, d.n, d.n_complete, d.coef, d.se, d.ci_low, d.ci_high, d.p, d.q,
       d.vif, d.weight, d.weight_low, d.weight_high, d.lmg, d.r, d.performance, d.p_top1, d.p_top3, d.flags,
       d.status, d.computed_at, d.statement, d.segment_kind, d.segment_id, d.segment_label, d.driver_kind,
       d.driver_label, d.driver_unit, d.outcome_label, d.t, d.robust_se, d.beta, d.fmi, d.mar, d.lmg_low,
       d.lmg_high, d.answered, d.skipped, d.does_not_apply, d.share_missing, d.performance_low,
       d.performance_high, d.performance_share, d.importance, d.position, d.opportunity, d.rank_low,
       d.rank_high, d.key, d.top_group, d.own, d.tau, d.applies_coef, d.applies_se, d.window_from, d.window_to,
       d.method, d.ci_method, d.weight_ci_method, d.n_needed, d.direction, d.scale_min, d.scale_max, d.audience,
       d.definition, d.current
FROM flightpath.driver_row d;

-- Driver model × segment: how much of the outcome the drivers go with together, and whether they predict it (q2).
CREATE VIEW experience.driver_fit AS
SELECT w.model, w.segment, f.n, f.r2, f.adj_r2, f.sigma, f.q2, f.method,
       CASE WHEN w.shown THEN w.status ELSE 'suppressed_min_n' END AS status,
       w.outcome, w.outcome_label, w.segment_kind, w.segment_id, w.segment_label, f.n_complete, f.n_eff,
       f.intercept, f.r2_low, f.r2_high, f.f, f.f_p, f.condition, f.q2_low, f.q2_high,
       f.calibration_slope, f.calibration_low, f.calibration_high, f.mean_error, f.outcome_mean, f.missing,
       f.groups, f.model_based, f.repeats, f.patterns, f.values_dropped, f.rows_dropped,
       ARRAY(SELECT w.drivers[g] FROM unnest(f.top_group) AS g) AS top_group, cardinality(w.drivers) AS drivers,
       w.audience, w.journey, w.touchpoint, w.window_from, w.window_to, w.window_days, w.definition, w.computed_at
FROM flightpath.driver_newest n
JOIN flightpath.driver_window w ON w.series = n.series AND w.kind = n.kind AND w.number = n.number AND w.day = n.day
LEFT JOIN LATERAL (SELECT (w.fit).* WHERE w.shown) f ON true;

-- What changed, and when. `before` and `after`: of what = coefficient the coefficients, p over all days and drivers
-- looked at; else probabilities of the rank.
CREATE VIEW experience.driver_change AS
SELECT s.model, flightpath.segment_text(c.kind, c.segment, u.name) AS segment, s.drivers[c.driver] AS driver, c.what, x.day,
       v.before, v.after, v.p,
       CASE WHEN v.shown IS NULL THEN 'Too few answers to show.'
            WHEN c.what = 'top' THEN format('%s became the top driver on %s', s.drivers[c.driver], x.date)
            WHEN c.what = 'key' THEN format('%s became a key driver on %s', s.drivers[c.driver], x.date)
            WHEN c.what = 'not_key' THEN format('%s ceased to be a key driver on %s', s.drivers[c.driver], x.date)
            ELSE format('the effect of %s %s from %s to %s on %s%s', s.drivers[c.driver],
                        CASE WHEN v.before * v.after < 0 THEN 'turned'
                             WHEN abs(v.after) < abs(v.before) THEN 'fell' ELSE 'rose' END,
                        flightpath.short_number(v.before, 2), flightpath.short_number(v.after, 2), x.date,
                        CASE WHEN v.p < 0.001 THEN ' (p < 0.001)'
                             WHEN v.p IS NOT NULL THEN format(' (p = %s)', flightpath.short_number(v.p, 1)) END) END AS text,
       CASE WHEN v.shown THEN 'ok' ELSE 'suppressed_min_n' END AS status,
       s.outcome, c.found_at, s.definition, s.current
FROM flightpath.driver_change c
JOIN flightpath.driver_series s ON s.series = c.series
JOIN flightpath.programme p ON p.only_row
LEFT JOIN flightpath.name u ON u.kind = CASE c.kind WHEN 1 THEN 3 WHEN 2 THEN 2 WHEN 3 THEN 0 END AND u.id = c.segment
CROSS JOIN LATERAL (SELECT DATE '1970-01-01' + c.day AS day, to_char(DATE '1970-01-01' + c.day, 'FMDD FMMonth') AS date) x
LEFT JOIN LATERAL ( -- by the segment's newest fit: answers may have been erased since
    SELECT true AS shown, c.before, c.after, c.p
    FROM (SELECT f.n FROM flightpath.driver_fit f WHERE f.series = c.series AND f.kind = c.kind AND f.segment = c.segment
          ORDER BY f.day DESC LIMIT 1) f
    WHERE f.n >= CASE s.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END) v ON true;

SELECT flightpath.settle_rights();
GRANT EXECUTE ON FUNCTION flightpath.short_number(double precision, int), flightpath.segment_text(smallint, int, text),
    flightpath.status_text(text) TO flightpath_reader, flightpath_writer;
