-- Predicted outcomes of touchpoint events, and beside them what was answered.

-- One cell of predictions has a row per version of the coefficients (events, predicted, detractor) and one of
-- version 0 for the answers (the others); per lane, as tallies have.
CREATE TABLE flightpath.prediction (
    bucket int NOT NULL,                 -- UTC hour since 1970-01-01
    series int NOT NULL,                 -- driver_series
    unit int NOT NULL, version bigint NOT NULL, lane smallint NOT NULL,
    events bigint NOT NULL,
    predicted bigint NOT NULL,           -- sum, in thousandths of a scale point
    detractor bigint NOT NULL,           -- sum of probabilities, in millionths
    n_observed bigint NOT NULL, weight_observed bigint NOT NULL, weight_square_observed bigint NOT NULL,
    sum_observed bigint NOT NULL, sum_square_observed bigint NOT NULL, -- weighted
    PRIMARY KEY (series, bucket, unit, version, lane)
) PARTITION BY RANGE (bucket);
CREATE INDEX prediction_unfolded ON flightpath.prediction (bucket) WHERE lane <> 0;

-- Where a response stands in it, so that a revision, a void or an erasure can take it away again:
-- (series << 16) | (answer & 65535), one for each driver model; NULL = nowhere. Hour, unit and weight are the row's.
ALTER TABLE flightpath.response ADD COLUMN observed bigint[];

CREATE OR REPLACE FUNCTION flightpath.partitioned_table(
    OUT name text, OUT unit text, OUT key text, OUT keep text, OUT hot boolean)
RETURNS SETOF record LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES ('tally_hour',   'hour', 'bucket',       'tallies',   true),
           ('tally_day',    'day',  'bucket',       'tallies',   true),
           ('sketch_day',   'day',  'bucket',       'tallies',   true),
           ('coverage_day', 'day',  'bucket',       'tallies',   true),
           ('prediction',   'hour', 'bucket',       'tallies',   true),
           ('response',     'time', 'submitted_at', 'responses', false),
           ('invitation',   'time', 'at',           'responses', false),
           ('case_event',   'time', 'at',           'responses', false),
           ('reject',       'time', 'at',           'rejects',   false)
$$;

-- As before, and prediction last, as a flush does.
CREATE OR REPLACE FUNCTION flightpath.fold(before timestamptz, row_limit int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone  text := (SELECT time_zone FROM flightpath.programme);
    hour  int := floor(extract(epoch FROM before) / 3600);
    day   int := (before AT TIME ZONE coalesce(zone, 'UTC'))::date - DATE '1970-01-01';
    moved bigint := 0;
BEGIN
    moved := moved + flightpath.fold_table('tally_hour', hour, row_limit - moved);
    moved := moved + flightpath.fold_table('tally_day', day, row_limit - moved);
    moved := moved + flightpath.fold_table('sketch_day', day, row_limit - moved);
    moved := moved + flightpath.fold_table('coverage_day', day, row_limit - moved);
    RETURN moved + flightpath.fold_table('prediction', hour, row_limit - moved);
END $$;

-- Versions become visible in their order: whoever sees one has seen all before it. The trigger runs before
-- the row, and so its version, is made; the lock lasts until the commit. Object 2 of the class in 0002.
CREATE FUNCTION flightpath.order_scoring() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(x'666c6970'::int, 2);
    RETURN NULL;
END $$;
CREATE TRIGGER order_scoring BEFORE INSERT ON flightpath.scoring
    FOR EACH STATEMENT EXECUTE FUNCTION flightpath.order_scoring();

-- Views -------------------------------------------------------------------------------------------

-- Answers of a cell as a published mean with its 95 % interval (Student's t on Kish's effective n) and status.
CREATE FUNCTION flightpath.judge_observed(
    n bigint, weight bigint, weight_square bigint, sum bigint, sum_square bigint,
    scale_min double precision, scale_max double precision, min_n int)
RETURNS TABLE (n_shown bigint, mean double precision, low double precision, high double precision, status text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN shown THEN n END, e[1], e[2], e[3],
           CASE WHEN n = 0 THEN 'no_data' WHEN NOT shown THEN 'suppressed_min_n'
                WHEN e[2] IS NULL OR e[3] IS NULL OR (e[3] - e[2]) / 2 > 0.075 * (scale_max - scale_min)
                THEN 'insufficient_n' ELSE 'ok' END
    FROM (SELECT n = 0 OR n >= min_n AS shown,
                 weight::double precision * weight / nullif(weight_square, 0) AS eff
          OFFSET 0) AS a
    CROSS JOIN LATERAL (
          SELECT CASE WHEN n > 0 AND shown THEN experience.mean_interval(
                     sum / weight::double precision,
                     CASE WHEN eff > 1 THEN greatest(sum_square::numeric * weight - sum::numeric * sum, 0)
                          ::double precision / weight / weight * (eff / (eff - 1)) ELSE 0 END,
                     eff, scale_min, scale_max) END AS e
          OFFSET 0) AS b;
END;

-- Cells with their lanes and versions added up, of every series, with what judges them.
CREATE VIEW flightpath.predicted AS
SELECT s.series, s.model, s.touchpoint, s.definition, s.current, t.bucket, t.unit,
       t.events, t.predicted, t.detractor, t.version, t.n, t.weight, t.weight_square, t.sum, t.sum_square,
       s.scale_min[cardinality(s.scale_min)] AS scale_min, s.scale_max[cardinality(s.scale_max)] AS scale_max,
       CASE s.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END AS min_n, p.time_zone
FROM flightpath.driver_series s
JOIN flightpath.programme p ON p.only_row
CROSS JOIN LATERAL (
    SELECT t.bucket, t.unit, flightpath.total(t.events) AS events, flightpath.total(t.predicted) AS predicted,
           flightpath.total(t.detractor) AS detractor, max(t.version) FILTER (WHERE t.events > 0) AS version,
           flightpath.total(t.n_observed) AS n, flightpath.total(t.weight_observed) AS weight,
           flightpath.total(t.weight_square_observed) AS weight_square, flightpath.total(t.sum_observed) AS sum,
           flightpath.total(t.sum_square_observed) AS sum_square
    FROM flightpath.prediction t WHERE t.series = s.series
    GROUP BY t.bucket, t.unit) t
WHERE s.touchpoint IS NOT NULL AND (t.events > 0 OR t.n > 0);

-- Touchpoint × unit × hour × driver model: the mean outcome that its events predict, and the mean of what
-- was answered in that hour. Predictions are about events and always shown; answers have their minimum.
-- model_version: the newest coefficients of the cell. status is of `observed`.
CREATE VIEW experience.prediction_hour AS
SELECT to_timestamp(c.bucket * 3600::double precision) AS bucket, c.touchpoint, nullif(u.name, '') AS unit,
       c.events, c.predicted / nullif(c.events, 0)::double precision / 1000 AS predicted,
       c.detractor / nullif(c.events, 0)::double precision / 1000000 AS predicted_detractor_share,
       j.mean AS observed, j.n_shown AS n_observed, j.low AS ci_low, j.high AS ci_high,
       c.model, c.version AS model_version, j.status, c.definition, c.current, c.bucket AS bucket_number
FROM flightpath.predicted c
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = c.unit
CROSS JOIN LATERAL flightpath.judge_observed(
    c.n, c.weight, c.weight_square, c.sum, c.sum_square, c.scale_min, c.scale_max, c.min_n) j;

-- The same by local day (of the hour's beginning).
CREATE VIEW experience.prediction_day AS
SELECT d.bucket, d.touchpoint, nullif(u.name, '') AS unit,
       d.events, d.predicted / nullif(d.events, 0)::double precision / 1000 AS predicted,
       d.detractor / nullif(d.events, 0)::double precision / 1000000 AS predicted_detractor_share,
       j.mean AS observed, j.n_shown AS n_observed, j.low AS ci_low, j.high AS ci_high,
       d.model, d.version AS model_version, j.status, d.definition, d.current
FROM (
    SELECT date_trunc('day', to_timestamp(c.bucket * 3600::double precision) AT TIME ZONE c.time_zone)
               AT TIME ZONE c.time_zone AS bucket,
           c.series, c.touchpoint, c.unit, c.model, c.definition, c.current, c.scale_min, c.scale_max, c.min_n,
           flightpath.total(c.events) AS events, flightpath.total(c.predicted) AS predicted,
           flightpath.total(c.detractor) AS detractor, max(c.version) AS version, flightpath.total(c.n) AS n,
           flightpath.total(c.weight) AS weight, flightpath.total(c.weight_square) AS weight_square,
           flightpath.total(c.sum) AS sum, flightpath.total(c.sum_square) AS sum_square
    FROM flightpath.predicted c
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) d
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = d.unit
CROSS JOIN LATERAL flightpath.judge_observed(
    d.n, d.weight, d.weight_square, d.sum, d.sum_square, d.scale_min, d.scale_max, d.min_n) j;

-- Touchpoint × driver model, over the last 30 days with events or answers (720 hours up to the newest one),
-- from the first hour that has predictions on: how far what is predicted of all events lies from what was answered
-- about some of them. The interval of the difference is that of the answers and of the coefficients'
-- level (residual SD / √n of the newest version), squared and added; it holds those who answer for typical:
-- answered_share says how many do. The calibration line and mean_error are of predictions ahead of time
-- for single answers (driver_fit): slope 1 and error 0 is perfect.
--   status  ok; biased: the interval of the difference is without 0; insufficient_n: too few answers, or an
--           interval wider than 7.5 % of the scale to either side
CREATE VIEW experience.prediction_calibration AS
SELECT d.touchpoint, d.model, to_timestamp(d.first * 3600::double precision) AS from_time,
       to_timestamp((d.last + 1) * 3600::double precision) AS to_time,
       d.events, m.predicted, j.mean AS observed, j.low AS observed_low, j.high AS observed_high,
       j.n_shown AS n, j.mean - m.predicted AS difference,
       j.mean - m.predicted - sqrt((j.mean - j.low) ^ 2 + m.half ^ 2) AS difference_low,
       j.mean - m.predicted + sqrt((j.high - j.mean) ^ 2 + m.half ^ 2) AS difference_high,
       f.calibration_slope AS slope, f.calibration_low AS slope_low, f.calibration_high AS slope_high,
       f.outcome_mean - f.calibration_slope * (f.outcome_mean - f.mean_error) AS intercept, f.mean_error,
       CASE WHEN j.n_shown IS NOT NULL THEN j.n_shown / nullif(d.events, 0)::double precision END AS answered_share,
       d.version AS model_version,
       CASE WHEN j.status <> 'ok' OR d.events = 0 THEN 'insufficient_n'
            WHEN abs(j.mean - m.predicted) > sqrt(CASE WHEN j.mean > m.predicted THEN j.mean - j.low ELSE j.high - j.mean END ^ 2
                                                  + m.half ^ 2) THEN 'biased' ELSE 'ok' END AS status
FROM (
    SELECT c.series, c.model, c.touchpoint, c.scale_min, c.scale_max, c.min_n, min(c.bucket) AS first,
           max(c.bucket) AS last, flightpath.total(c.events) AS events, flightpath.total(c.predicted) AS predicted,
           max(c.version) AS version, flightpath.total(c.n) AS n,
           flightpath.total(c.weight) AS weight, flightpath.total(c.weight_square) AS weight_square,
           flightpath.total(c.sum) AS sum, flightpath.total(c.sum_square) AS sum_square
    FROM flightpath.predicted c
    WHERE c.current AND c.bucket > (SELECT max(x.bucket) FROM flightpath.prediction x WHERE x.series = c.series) - 720
      AND c.bucket >= coalesce((SELECT min(x.bucket) FROM flightpath.prediction x WHERE x.series = c.series AND x.version > 0), 0)
    GROUP BY 1, 2, 3, 4, 5, 6) d
LEFT JOIN flightpath.scoring v ON v.version = d.version
CROSS JOIN LATERAL (SELECT d.predicted / nullif(d.events, 0)::double precision / 1000 AS predicted,
                           coalesce(1.96 * v.sigma / sqrt(v.n), 0) AS half) m
CROSS JOIN LATERAL flightpath.judge_observed(
    d.n, d.weight, d.weight_square, d.sum, d.sum_square, d.scale_min, d.scale_max, d.min_n) j
LEFT JOIN LATERAL (
    SELECT f.* FROM flightpath.driver_fit f WHERE f.series = d.series AND f.kind = 0 AND f.segment = 0
    ORDER BY f.day DESC LIMIT 1) f ON true;

SELECT flightpath.settle_rights();
GRANT SELECT, INSERT, UPDATE ON flightpath.prediction TO flightpath_writer;
GRANT SELECT ON flightpath.predicted TO flightpath_writer;
GRANT EXECUTE ON FUNCTION flightpath.judge_observed(
    bigint, bigint, bigint, bigint, bigint, double precision, double precision, int) TO flightpath_reader, flightpath_writer;
