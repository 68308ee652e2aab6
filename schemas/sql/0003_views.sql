-- The published results: schema `experience`, the contract with dashboards. Columns may be added, never
-- renamed. Readers have no rights on schema flightpath: views run with their owner's, kpi_series is
-- SECURITY DEFINER.
--
-- Values are in the KPI's own unit: NPS in points −100 … 100, shares (share, csat, top_box) 0 … 1, means
-- and quantiles on their scale or in their measure's unit. unit and channel are NULL where a message
-- gave none. Buckets begin at the UTC hour or at local midnight of the programme's time zone.

CREATE FUNCTION flightpath.midnight(day int, time_zone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (DATE '1970-01-01' + day)::timestamp AT TIME ZONE time_zone;

-- Σw of the answers in the top k points of a scale, of the eleven bins.
CREATE FUNCTION flightpath.top_box(bins bigint[], scale_min double precision, scale_max double precision, top_k int)
RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    sum  bigint := 0;
    last int := scale_max - scale_min + 1; -- index of the highest point, from 1
BEGIN
    FOR i IN greatest(last - top_k + 1, 1) .. last LOOP
        sum := sum + bins[i];
    END LOOP;
    RETURN sum;
END $$;

-- A cell's sums as a published number: the value with its interval, whether it may be shown, whether
-- it is enough, and how it stands to the target. One SELECT without tables, so that the planner
-- inlines it into each view (OFFSET 0 keeps each step from being computed twice); bound when it is
-- created (BEGIN ATOMIC), since readers cannot look up names in this schema. The effective n (Kish)
-- stands for n in every interval.
--   suppressed_min_n  answers, fewer than the programme's minimum (employees: their own): all NULL
--   insufficient_n    events, fewer than the minimum; answers whose 95 % half width exceeds 15 NPS points,
--                     0.10 of a share, or 7.5 % of the scale of a mean; no interval at all
CREATE FUNCTION flightpath.judge(
    metric text, source text, decimals int, direction text,
    scale_min double precision, scale_max double precision, top_k int, target double precision, min_n int,
    cell_n bigint, cell_weight bigint, cell_square bigint, cell_sum bigint, cell_sum_square bigint, bins bigint[],
    quantile_value double precision, quantile_low double precision, quantile_high double precision)
RETURNS TABLE (
    n bigint, value double precision, ci_low double precision, ci_high double precision,
    attained boolean, attainment text, status text, n_eff double precision, ci_method text,
    weight bigint, weight_square bigint, sum_value double precision, sum_square double precision,
    promoters bigint, passives bigint, detractors bigint, top_box bigint, top_box_share double precision,
    variance double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN shown THEN cell_n END,
           CASE WHEN shown THEN e[1] END, CASE WHEN shown THEN e[2] END, CASE WHEN shown THEN e[3] END,
           good, CASE WHEN good THEN 'attained' WHEN NOT good THEN 'missed'
                      WHEN target IS NOT NULL AND shown AND cell_n > 0 THEN 'undecided' END,
           CASE WHEN cell_n = 0 THEN 'no_data'
                WHEN NOT shown THEN 'suppressed_min_n'
                WHEN e[2] IS NULL OR e[3] IS NULL THEN 'insufficient_n'
                WHEN source <> 'item' THEN CASE WHEN cell_n < min_n THEN 'insufficient_n' ELSE 'ok' END
                WHEN (e[3] - e[2]) / 2 > CASE WHEN metric = 'nps' THEN 15
                                              WHEN metric IN ('csat', 'top_box') THEN 0.10
                                              ELSE 0.075 * (scale_max - scale_min) END THEN 'insufficient_n'
                ELSE 'ok' END,
           CASE WHEN shown THEN eff END,
           CASE WHEN NOT shown OR cell_n = 0 THEN NULL -- that all answers were equal is nobody's business either
                WHEN metric = 'nps' THEN 'tango score' WHEN metric IN ('share', 'csat', 'top_box') THEN 'wilson score'
                WHEN metric = 'quantile' THEN 'order statistics (binomial ranks, normal approximation)'
                WHEN spread = 0 THEN 'range (wilson share of equal answers)' ELSE 'student t' END,
           CASE WHEN shown THEN cell_weight END, CASE WHEN shown THEN cell_square END,
           CASE WHEN shown AND metric <> 'quantile' THEN cell_sum / unit END,
           CASE WHEN shown AND metric <> 'quantile' THEN cell_sum_square / (unit * unit) END,
           CASE WHEN shown THEN pro END, CASE WHEN shown AND metric = 'nps' THEN bins[8] + bins[9] END,
           CASE WHEN shown THEN det END, CASE WHEN shown THEN box END,
           CASE WHEN shown THEN box / nullif(cell_weight, 0)::double precision END, CASE WHEN shown THEN spread END
    FROM (SELECT cell_n = 0 OR source <> 'item' OR cell_n >= min_n AS shown,
                 10::double precision ^ decimals AS unit,
                 cell_weight::double precision * cell_weight / nullif(cell_square, 0) AS eff,
                 CASE WHEN metric = 'nps' THEN bins[10] + bins[11] END AS pro,
                 CASE WHEN metric = 'nps'
                      THEN bins[1] + bins[2] + bins[3] + bins[4] + bins[5] + bins[6] + bins[7] END AS det,
                 CASE WHEN metric IN ('csat', 'top_box', 'ces')
                      THEN flightpath.top_box(bins, scale_min, scale_max, top_k) END AS box
          OFFSET 0) AS a
    CROSS JOIN LATERAL (
          SELECT CASE WHEN metric NOT IN ('ces', 'mean', 'measure_mean') THEN NULL
                      WHEN eff > 1 THEN greatest(cell_sum_square::numeric * cell_weight - cell_sum::numeric * cell_sum, 0)
                           ::double precision / cell_weight / cell_weight / (unit * unit) * (eff / (eff - 1))
                      ELSE 0 END AS spread
          OFFSET 0) AS b
    CROSS JOIN LATERAL (
          SELECT CASE WHEN cell_n = 0 OR NOT shown THEN NULL
                      WHEN metric = 'nps' THEN experience.nps_interval(pro * eff / cell_weight, det * eff / cell_weight, eff)
                      WHEN metric = 'share' THEN experience.share_interval(cell_sum * eff / cell_weight, eff)
                      WHEN metric IN ('csat', 'top_box') THEN experience.share_interval(box * eff / cell_weight, eff)
                      WHEN metric = 'quantile' THEN ARRAY[quantile_value, quantile_low, quantile_high]
                      ELSE experience.mean_interval(cell_sum / (cell_weight * unit), spread, eff, scale_min, scale_max)
                 END AS e
          OFFSET 0) AS c
    CROSS JOIN LATERAL (
          SELECT CASE WHEN direction = 'higher' THEN CASE WHEN e[2] >= target THEN true WHEN e[3] < target THEN false END
                      ELSE CASE WHEN e[3] <= target THEN true WHEN e[2] > target THEN false END END AS good
          OFFSET 0) AS d;
END;

-- A quantile of a measure over days first_day … last_day, of all units and channels or the given ids, per
-- unit or all together. Ranks as in analytics/sketch.h; a limit the data do not set is the measure's own.
CREATE FUNCTION flightpath.quantile_window(
    series int, first_day int, last_day int, units int[], channels int[], by_unit boolean,
    OUT unit int, OUT n bigint, OUT value double precision, OUT low double precision, OUT high double precision)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    WITH bins AS (
        SELECT CASE WHEN by_unit THEN t.unit END AS unit, t.bin, flightpath.total(t.n) AS n
        FROM flightpath.sketch_day t
        WHERE t.series = quantile_window.series AND t.bucket BETWEEN first_day AND last_day
          AND (units IS NULL OR t.unit = ANY (units)) AND (channels IS NULL OR t.channel = ANY (channels))
        GROUP BY 1, 2),
    ranked AS (
        SELECT b.unit, b.bin, sum(b.n) OVER (PARTITION BY b.unit ORDER BY b.bin) AS seen,
               (sum(b.n) OVER (PARTITION BY b.unit))::bigint AS n
        FROM bins b),
    found AS (
        SELECT r.unit, r.n, k.decimals, k.scale_min, k.scale_max,
               min(r.bin) FILTER (WHERE r.seen >= greatest(ceil(k.quantile * r.n - 1e-9), 1)) AS value,
               min(r.bin) FILTER (WHERE r.seen >= floor(k.quantile * r.n - half) AND floor(k.quantile * r.n - half) >= 1) AS low,
               min(r.bin) FILTER (WHERE r.seen >= ceil(k.quantile * r.n + half) + 1) AS high
        FROM ranked r JOIN flightpath.kpi k ON k.series = quantile_window.series,
             LATERAL (SELECT 1.959963984540054::double precision * sqrt(r.n * k.quantile * (1 - k.quantile)) AS half) AS h
        WHERE r.n > 0
        GROUP BY r.unit, r.n, k.decimals, k.scale_min, k.scale_max)
    SELECT f.unit, f.n,
           least(greatest(v.value / 10::double precision ^ f.decimals, f.scale_min), f.scale_max),
           CASE WHEN f.low IS NULL THEN f.scale_min ELSE greatest(l.value / 10::double precision ^ f.decimals, f.scale_min) END,
           CASE WHEN f.high IS NULL THEN f.scale_max ELSE least(h.value / 10::double precision ^ f.decimals, f.scale_max) END
    FROM found f JOIN flightpath.sketch_bin v ON v.bin = f.value
    LEFT JOIN flightpath.sketch_bin l ON l.bin = f.low LEFT JOIN flightpath.sketch_bin h ON h.bin = f.high
$$;

-- KPI × hour × unit × channel, of the KPIs kept by the hour. All definitions; `current` marks the one of
-- the model installed last. bucket_number (hours, or days, since 1970-01-01) is the stored bucket: a condition
-- on it uses the index, one on `bucket` is checked row by row.
CREATE VIEW experience.kpi_hour AS
SELECT to_timestamp(t.bucket * 3600::double precision) AS bucket, k.kpi, k.journey, k.touchpoint,
       nullif(u.name, '') AS unit, nullif(c.name, '') AS channel,
       j.n, j.value, j.ci_low, j.ci_high, k.target, j.attained, j.attainment, j.status,
       k.statement, k.role, k.owner, k.audience, k.metric, k.direction, k.good_enough, k.scale_min, k.scale_max,
       j.n_eff, j.ci_method, j.weight, j.weight_square, j.sum_value, j.sum_square,
       j.promoters, j.passives, j.detractors, j.top_box, j.top_box_share,
       k.definition, k.current, t.bucket AS bucket_number
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
CROSS JOIN LATERAL (
    SELECT t.bucket, t.unit, t.channel,
           flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] AS bins,
           NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
           NULL::double precision AS quantile_high
    FROM flightpath.tally_hour t WHERE t.series = k.series
    GROUP BY t.bucket, t.unit, t.channel) t
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit
LEFT JOIN flightpath.name c ON c.kind = 1 AND c.id = t.channel
CROSS JOIN LATERAL flightpath.judge(
    k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
    CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
    t.n, t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
    t.quantile_value, t.quantile_low, t.quantile_high) j
WHERE t.n > 0 AND k.grain = 'hour';

-- KPI × local day × unit × channel; quantiles come from the sketch.
CREATE VIEW experience.kpi_day AS
SELECT flightpath.midnight(t.bucket, p.time_zone) AS bucket, k.kpi, k.journey, k.touchpoint,
       nullif(u.name, '') AS unit, nullif(c.name, '') AS channel,
       j.n, j.value, j.ci_low, j.ci_high, k.target, j.attained, j.attainment, j.status,
       k.statement, k.role, k.owner, k.audience, k.metric, k.direction, k.good_enough, k.scale_min, k.scale_max,
       j.n_eff, j.ci_method, j.weight, j.weight_square, j.sum_value, j.sum_square,
       j.promoters, j.passives, j.detractors, j.top_box, j.top_box_share,
       k.definition, k.current, t.bucket AS bucket_number
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
CROSS JOIN LATERAL (
    SELECT t.bucket, t.unit, t.channel,
           flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] AS bins,
           NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
           NULL::double precision AS quantile_high
    FROM flightpath.tally_day t WHERE t.series = k.series AND k.metric <> 'quantile'
    GROUP BY t.bucket, t.unit, t.channel
    UNION ALL
    SELECT f.bucket, f.unit, f.channel, f.n, f.n, f.n, 0, 0, NULL,
           least(greatest(v.value / f.unit_size, k.scale_min), k.scale_max),
           CASE WHEN f.low IS NULL THEN k.scale_min ELSE greatest(l.value / f.unit_size, k.scale_min) END,
           CASE WHEN f.high IS NULL THEN k.scale_max ELSE least(h.value / f.unit_size, k.scale_max) END
    FROM (SELECT r.bucket, r.unit, r.channel, r.n, 10::double precision ^ k.decimals AS unit_size,
                 min(r.bin) FILTER (WHERE r.seen >= greatest(ceil(k.quantile * r.n - 1e-9), 1)) AS value,
                 min(r.bin) FILTER (WHERE r.seen >= floor(k.quantile * r.n - half) AND floor(k.quantile * r.n - half) >= 1) AS low,
                 min(r.bin) FILTER (WHERE r.seen >= ceil(k.quantile * r.n + half) + 1) AS high
          FROM (SELECT b.bucket, b.unit, b.channel, b.bin, sum(b.n) OVER (cell ORDER BY b.bin) AS seen,
                       (sum(b.n) OVER cell)::bigint AS n
                FROM (SELECT t.bucket, t.unit, t.channel, t.bin, flightpath.total(t.n) AS n
                      FROM flightpath.sketch_day t WHERE t.series = k.series AND k.metric = 'quantile'
                      GROUP BY t.bucket, t.unit, t.channel, t.bin) b
                WINDOW cell AS (PARTITION BY b.bucket, b.unit, b.channel)) r,
               LATERAL (SELECT 1.959963984540054::double precision * sqrt(r.n * k.quantile * (1 - k.quantile)) AS half) AS s
          WHERE r.n > 0
          GROUP BY r.bucket, r.unit, r.channel, r.n) f
    JOIN flightpath.sketch_bin v ON v.bin = f.value
    LEFT JOIN flightpath.sketch_bin l ON l.bin = f.low LEFT JOIN flightpath.sketch_bin h ON h.bin = f.high) t
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit
LEFT JOIN flightpath.name c ON c.kind = 1 AND c.id = t.channel
CROSS JOIN LATERAL flightpath.judge(
    k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
    CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
    t.n, t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
    t.quantile_value, t.quantile_low, t.quantile_high) j
WHERE t.n > 0;

-- KPI × unit, all channels, over the last 30 local days of data: the day of the newest bucket of any current
-- KPI and the 29 before it; `previous` is the same over the 30 days before those. The change has a
-- Welch interval for means, else the square-and-add of both intervals' limits (MOVER).
CREATE VIEW experience.kpi_now AS
SELECT flightpath.midnight(w.newest - 29, p.time_zone) AS bucket, k.kpi, k.journey, k.touchpoint,
       nullif(u.name, '') AS unit, NULL::text AS channel,
       j.n, j.value, j.ci_low, j.ci_high, k.target, j.attained, j.attainment, j.status,
       b.value AS previous, j.value - b.value AS change,
       CASE WHEN d.half IS NOT NULL THEN j.value - b.value - d.half
            ELSE j.value - b.value - sqrt((j.value - j.ci_low) ^ 2 + (b.ci_high - b.value) ^ 2) END AS change_ci_low,
       CASE WHEN d.half IS NOT NULL THEN j.value - b.value + d.half
            ELSE j.value - b.value + sqrt((j.ci_high - j.value) ^ 2 + (b.value - b.ci_low) ^ 2) END AS change_ci_high,
       CASE WHEN j.value - b.value IS NULL THEN NULL WHEN d.half IS NOT NULL THEN 'welch' ELSE 'mover' END AS change_method,
       b.n AS previous_n, b.status AS previous_status,
       30 AS window_days, flightpath.midnight(w.newest + 1, p.time_zone) AS window_end,
       k.statement, k.role, k.owner, k.audience, k.metric, k.direction, k.good_enough, k.scale_min, k.scale_max,
       j.n_eff, j.ci_method, j.weight, j.weight_square, j.sum_value, j.sum_square,
       j.promoters, j.passives, j.detractors, j.top_box, j.top_box_share,
       k.definition
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
CROSS JOIN (
    SELECT max(greatest(tally.newest, sketch.newest)) AS newest
    FROM flightpath.kpi k
    CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.tally_day t WHERE t.series = k.series) tally
    CROSS JOIN LATERAL (SELECT max(t.bucket) AS newest FROM flightpath.sketch_day t WHERE t.series = k.series) sketch
    WHERE k.current) w
CROSS JOIN LATERAL (
    SELECT t.unit,
           flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] AS bins,
           NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
           NULL::double precision AS quantile_high
    FROM flightpath.tally_day t
    WHERE t.series = k.series AND k.metric <> 'quantile' AND t.bucket BETWEEN w.newest - 29 AND w.newest
    GROUP BY t.unit
    UNION ALL
    SELECT q.unit, q.n, q.n, q.n, 0, 0, NULL, q.value, q.low, q.high
    FROM flightpath.quantile_window(k.series, w.newest - 29, w.newest, NULL, NULL, true) q
    WHERE k.metric = 'quantile') t
LEFT JOIN LATERAL (
    SELECT t.unit,
           flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] AS bins,
           NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
           NULL::double precision AS quantile_high
    FROM flightpath.tally_day t
    WHERE t.series = k.series AND k.metric <> 'quantile' AND t.bucket BETWEEN w.newest - 59 AND w.newest - 30
    GROUP BY t.unit
    UNION ALL
    SELECT q.unit, q.n, q.n, q.n, 0, 0, NULL, q.value, q.low, q.high
    FROM flightpath.quantile_window(k.series, w.newest - 59, w.newest - 30, NULL, NULL, true) q
    WHERE k.metric = 'quantile') before ON before.unit = t.unit
LEFT JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit
CROSS JOIN LATERAL flightpath.judge(
    k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
    CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
    t.n, t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
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
WHERE k.current AND t.n > 0;

-- The buckets of kpi_series: [first, next) in hours or local days, clipped to the selection.
CREATE FUNCTION flightpath.series_buckets(from_time timestamptz, to_time timestamptz, step interval, time_zone text,
    OUT start timestamptz, OUT first int, OUT next int)
RETURNS SETOF record LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    months int := extract(year FROM step) * 12 + extract(month FROM step);
    days   int := extract(day FROM step);
    hours  numeric := extract(hour FROM step) + extract(minute FROM step) / 60 + extract(second FROM step) / 3600;
    epoch  CONSTANT date := '1970-01-01';
    begins date;
    ends   date;    -- of the selection, exclusive
    bucket date;
    after  date;
    count  int := 0;
BEGIN
    IF from_time IS NULL OR to_time IS NULL OR NOT isfinite(from_time) OR NOT isfinite(to_time) OR from_time > to_time THEN
        RAISE EXCEPTION 'kpi_series: from and to must be points in time, from not after to'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (months > 0)::int + (days > 0)::int + (hours > 0)::int <> 1 OR least(months, days, hours) < 0
       OR hours <> floor(hours) OR step IS NULL THEN
        RAISE EXCEPTION 'kpi_series: bucket must be whole hours, days, weeks or months, not "%"', step
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example ''1 hour'', ''1 day'', ''7 days'', ''1 month''.';
    END IF;
    IF extract(epoch FROM to_time - from_time) / extract(epoch FROM step) > 100000 THEN
        RAISE EXCEPTION 'kpi_series: more than 100,000 buckets; take a longer bucket or a shorter time'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF hours > 0 THEN
        RETURN QUERY
        SELECT to_timestamp((h * 3600)::double precision), greatest(h, lo)::int, least(h + hours, hi)::int
        FROM (SELECT floor(extract(epoch FROM from_time) / 3600) AS lo, ceil(extract(epoch FROM to_time) / 3600) AS hi) AS s,
             generate_series(floor(lo / hours) * hours, hi - 1, hours) AS h;
        RETURN;
    END IF;
    begins := (from_time AT TIME ZONE time_zone)::date;
    ends := ((to_time - interval '1 microsecond') AT TIME ZONE time_zone)::date + 1;
    bucket := CASE WHEN months > 0 THEN date_trunc('month', begins::timestamp)::date
                   WHEN days = 7 THEN date_trunc('week', begins::timestamp)::date ELSE begins END;
    WHILE bucket < ends AND from_time < to_time LOOP
        after := (bucket::timestamp + step)::date;
        start := bucket::timestamp AT TIME ZONE time_zone;
        first := greatest(bucket, begins) - epoch;
        next := least(after, ends) - epoch;
        RETURN NEXT;
        bucket := after;
    END LOOP;
END $$;

-- Any selection of a current KPI as a series, with its proper interval; a row for each bucket that touches
-- [from, to), also where nothing came (n = 0, no_data). Buckets are whole hours (UTC), or days, weeks (from
-- Monday), n days (from the day of `from`) or months from local midnight; what counts is every hour or local
-- day that [from, to) touches. A unit stands for itself and all units below it; '' for "not given".
CREATE FUNCTION experience.kpi_series(kpi text, from_time timestamptz, to_time timestamptz, step interval,
    units text[] DEFAULT NULL, channels text[] DEFAULT NULL)
RETURNS TABLE (bucket timestamptz, n bigint, value double precision, ci_low double precision, ci_high double precision,
    target double precision, status text, attained boolean, attainment text, good_enough double precision,
    n_eff double precision, ci_method text, weight bigint, weight_square bigint,
    sum_value double precision, sum_square double precision, promoters bigint, passives bigint, detractors bigint,
    top_box bigint, top_box_share double precision, definition text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    k flightpath.kpi;
    p flightpath.programme;
    unit_ids int[];
    channel_ids int[];
    by_hour boolean;
BEGIN
    SELECT * INTO k FROM flightpath.kpi d WHERE d.kpi = kpi_series.kpi AND d.current;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'kpi_series: the model has no KPI "%"', kpi_series.kpi USING ERRCODE = 'invalid_parameter_value',
            HINT = 'SELECT kpi FROM experience.kpi_list names them.';
    END IF;
    SELECT * INTO p FROM flightpath.programme;
    by_hour := extract(hour FROM step) > 0;
    IF by_hour AND k.grain <> 'hour' THEN
        RAISE EXCEPTION 'kpi_series: KPI "%" is kept by the day; take a bucket of days', k.kpi
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Or declare "grain": "hour" in the model.';
    END IF;
    IF units IS NOT NULL THEN
        WITH RECURSIVE below (id) AS (
            SELECT u.id FROM flightpath.name u WHERE u.kind = 0 AND u.name = ANY (units)
            UNION
            SELECT i.unit FROM below b JOIN flightpath.unit_info i ON i.parent = b.id)
        SELECT coalesce(array_agg(b.id), '{}') INTO unit_ids FROM below b;
    END IF;
    IF channels IS NOT NULL THEN
        SELECT coalesce(array_agg(c.id), '{}') INTO channel_ids
        FROM flightpath.name c WHERE c.kind = 1 AND c.name = ANY (channels);
    END IF;

    RETURN QUERY
    SELECT b.start, j.n, j.value, j.ci_low, j.ci_high, k.target, j.status, j.attained, j.attainment, k.good_enough,
           j.n_eff, j.ci_method, j.weight, j.weight_square, j.sum_value, j.sum_square,
           j.promoters, j.passives, j.detractors, j.top_box, j.top_box_share, k.definition
    FROM flightpath.series_buckets(from_time, to_time, step, p.time_zone) b
    CROSS JOIN LATERAL (
        SELECT flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           CASE WHEN k.source = 'item' THEN -- else folded away: k is a constant here
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] END AS bins,
               NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
               NULL::double precision AS quantile_high
        FROM flightpath.tally_day t
        WHERE t.series = k.series AND t.bucket >= b.first AND t.bucket < b.next
          AND (unit_ids IS NULL OR t.unit = ANY (unit_ids)) AND (channel_ids IS NULL OR t.channel = ANY (channel_ids))
        HAVING k.metric <> 'quantile' AND NOT by_hour
        UNION ALL
        SELECT flightpath.total(t.n) AS n, flightpath.total(t.weight) AS weight,
           flightpath.total(t.weight_square) AS weight_square, flightpath.total(t.sum) AS sum,
           flightpath.total(t.sum_square) AS sum_square,
           CASE WHEN k.source = 'item' THEN -- else folded away: k is a constant here
           ARRAY[flightpath.total(t.b0), flightpath.total(t.b1), flightpath.total(t.b2), flightpath.total(t.b3),
                 flightpath.total(t.b4), flightpath.total(t.b5), flightpath.total(t.b6), flightpath.total(t.b7),
                 flightpath.total(t.b8), flightpath.total(t.b9), flightpath.total(t.b10)] END AS bins,
               NULL::double precision AS quantile_value, NULL::double precision AS quantile_low,
               NULL::double precision AS quantile_high
        FROM flightpath.tally_hour t
        WHERE t.series = k.series AND t.bucket >= b.first AND t.bucket < b.next
          AND (unit_ids IS NULL OR t.unit = ANY (unit_ids)) AND (channel_ids IS NULL OR t.channel = ANY (channel_ids))
        HAVING k.metric <> 'quantile' AND by_hour
        UNION ALL
        SELECT coalesce(max(q.n), 0), max(q.n), max(q.n), 0, 0, NULL, max(q.value), max(q.low), max(q.high)
        FROM flightpath.quantile_window(k.series, b.first, b.next - 1, unit_ids, channel_ids, false) q
        HAVING k.metric = 'quantile') t
    CROSS JOIN LATERAL flightpath.judge(
        k.metric, k.source, k.decimals, k.direction, k.scale_min, k.scale_max, k.top_k, k.target,
        CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END,
        t.n, t.weight, t.weight_square, t.sum, t.sum_square, t.bins,
        t.quantile_value, t.quantile_low, t.quantile_high) j
    ORDER BY b.start;
END $$;

-- Dimensions ----------------------------------------------------------------------------------------

CREATE VIEW experience.kpi_list AS
SELECT k.kpi, k.statement, k.role, k.owner, o.label AS owner_label, k.journey, k.touchpoint,
       t.label AS touchpoint_label, t.department, k.audience, k.metric, k.source, k.grain, k.direction,
       k.target, k.good_enough, k.scale_min, k.scale_max, k.top_k, k.quantile, k.decimals,
       k.definition, k.since, k.model_hash
FROM flightpath.kpi k
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
LEFT JOIN flightpath.name n ON n.kind = 2 AND n.name = k.touchpoint
LEFT JOIN flightpath.touchpoint_info t ON t.touchpoint = n.id
WHERE k.current;

CREATE VIEW experience.unit_list AS
SELECT n.name AS unit, coalesce(i.label, n.name) AS label, parent.name AS parent, n.declared
FROM flightpath.name n
LEFT JOIN flightpath.unit_info i ON i.unit = n.id
LEFT JOIN flightpath.name parent ON parent.kind = 0 AND parent.id = i.parent
WHERE n.kind = 0 AND n.id > 0;

-- Main and detailed journeys of the model installed last; a main journey has its detailed ones' touchpoints.
CREATE VIEW experience.journey_list AS
WITH main AS (
    SELECT j.place, j.body
    FROM flightpath.programme p JOIN flightpath.model m ON m.hash = p.model_hash
    CROSS JOIN LATERAL jsonb_array_elements(m.body -> 'journeys') WITH ORDINALITY AS j (body, place)),
detailed AS (
    SELECT main.place, d.place AS step, main.body AS main, d.body
    FROM main CROSS JOIN LATERAL jsonb_array_elements(coalesce(main.body -> 'detailed', '[]')) WITH ORDINALITY AS d (body, place))
SELECT body ->> 'id' AS journey, coalesce(body ->> 'name', body ->> 'id') AS label, body ->> 'audience' AS audience,
       'main' AS level, NULL::text AS parent, place::int AS place, 0 AS step,
       ARRAY(SELECT x.touchpoint
             FROM (SELECT t.touchpoint, min(ARRAY[d.step, t.place]) AS at FROM detailed d
                   CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(d.body -> 'touchpoints', '[]'))
                       WITH ORDINALITY AS t (touchpoint, place)
                   WHERE d.place = main.place GROUP BY t.touchpoint) x ORDER BY x.at) AS touchpoints
FROM main
UNION ALL
SELECT body ->> 'id', coalesce(body ->> 'name', body ->> 'id'), main ->> 'audience', 'detailed', main ->> 'id',
       place::int, step::int,
       ARRAY(SELECT jsonb_array_elements_text(coalesce(body -> 'touchpoints', '[]')))
FROM detailed;

-- Whether it runs, and whether it is whole ------------------------------------------------------------

-- Touchpoints of the model, and any that messages named without it (unmapped), over all days kept.
CREATE VIEW experience.coverage AS
SELECT n.name AS touchpoint, coalesce(i.label, n.name) AS label,
       coalesce(c.events, 0) AS events, coalesce(c.customer + c.employee + c.internal, 0) AS responses,
       coalesce(c.invited, 0) AS invited,
       (c.customer + c.employee + c.internal)::double precision / nullif(c.invited, 0) AS response_rate,
       i.owner, o.label AS owner_label, i.department, i.journeys AS journey, i.processes AS process, i.systems AS system,
       coalesce(c.internal, 0) > 0 AS internal_assessment, coalesce(c.customer, 0) > 0 AS customer_assessment,
       i.touchpoint IS NULL AS unmapped,
       coalesce(c.failed, 0) AS failed, coalesce(c.abandoned, 0) AS abandoned, coalesce(c.recovered, 0) AS recovered,
       coalesce(c.customer, 0) AS customer_responses, coalesce(c.employee, 0) AS employee_responses,
       coalesce(c.internal, 0) AS internal_responses,
       DATE '1970-01-01' + c.first AS first_day, DATE '1970-01-01' + c.last AS last_day
FROM flightpath.name n
LEFT JOIN flightpath.touchpoint_info i ON i.touchpoint = n.id
LEFT JOIN flightpath.owner_info o ON o.owner = i.owner
LEFT JOIN (
    SELECT d.touchpoint, flightpath.total(d.events) AS events, flightpath.total(d.failed) AS failed,
           flightpath.total(d.abandoned) AS abandoned, flightpath.total(d.recovered) AS recovered,
           flightpath.total(d.customer) AS customer, flightpath.total(d.employee) AS employee,
           flightpath.total(d.internal) AS internal, flightpath.total(d.invited) AS invited,
           min(d.bucket) AS first, max(d.bucket) AS last
    FROM flightpath.coverage_day d GROUP BY d.touchpoint) c ON c.touchpoint = n.id
WHERE n.kind = 2 AND n.id > 0 AND (i.touchpoint IS NOT NULL OR c.touchpoint IS NOT NULL);

-- Per partition: what came last and when, and how many records wait in the log (as of updated_at).
CREATE VIEW experience.freshness AS
SELECT p.topic AS source, p.topic, p.partition, p.last_event_at, p.updated_at,
       greatest(p.high_offset - p.next_offset, 0) AS lag, p.halted, p.next_offset, p.high_offset
FROM flightpath.ingest_position p;

-- Per partition: what became of every record. balanced: each consumed record is in exactly one account,
-- the ranges follow each other without overlap (holes are in `skipped`), and the last ends at the position.
CREATE VIEW experience.ledger AS
SELECT p.topic, p.partition, p.incarnation, l.first_offset, l.next_offset,
       coalesce(l.consumed, 0) AS consumed, coalesce(l.applied, 0) AS applied, coalesce(l.duplicate, 0) AS duplicate,
       coalesce(l.revised, 0) AS revised, coalesce(l.voided, 0) AS voided, coalesce(l.rejected, 0) AS rejected,
       coalesce(l.ignored, 0) AS ignored,
       CASE WHEN l.topic IS NULL THEN p.next_offset = p.first_offset
            ELSE l.consumed = l.applied + l.duplicate + l.revised + l.voided + l.rejected + l.ignored
                 AND l.chained AND l.next_offset = p.next_offset
                 AND l.consumed <= l.next_offset - l.first_offset END AS balanced,
       coalesce(g.skipped, 0) AS skipped, coalesce(l.ranges, 0) AS ranges
FROM flightpath.ingest_position p
LEFT JOIN (
    SELECT r.topic, r.partition, r.incarnation, min(r.first_offset) AS first_offset, max(r.next_offset) AS next_offset,
           sum(r.consumed)::bigint AS consumed, sum(r.applied)::bigint AS applied, sum(r.duplicate)::bigint AS duplicate,
           sum(r.revised)::bigint AS revised, sum(r.voided)::bigint AS voided, sum(r.rejected)::bigint AS rejected,
           sum(r.ignored)::bigint AS ignored, bool_and(r.follows) AS chained, count(*) AS ranges
    FROM (SELECT r.*, r.first_offset >= lag(r.next_offset, 1, r.first_offset)
                      OVER (PARTITION BY r.topic, r.partition, r.incarnation ORDER BY r.first_offset) AS follows
          FROM flightpath.ledger r) r
    GROUP BY r.topic, r.partition, r.incarnation) l
    ON l.topic = p.topic AND l.partition = p.partition AND l.incarnation = p.incarnation
LEFT JOIN (
    SELECT d.topic, d.partition, d.incarnation, sum(d.to_offset - d.from_offset)::bigint AS skipped
    FROM flightpath.data_gap d GROUP BY d.topic, d.partition, d.incarnation) g
    ON g.topic = p.topic AND g.partition = p.partition AND g.incarnation = p.incarnation;
