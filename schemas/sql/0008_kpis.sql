-- KPIs that are made of more than one item, measure or message: an index over items (metric index), a
-- measure per another (ratio), the response rate (response_rate), and straight-lining (a share of answers).
--
-- Columns of their tallies. index, ratio: pairs (x, y) of a response (the sum of its answers, how many there
-- are) or an event (its two measures): n pairs, sum = sum of w x, sum_square = of w x^2, b0 = of w y,
-- b1 = of w y^2, b2 = of w x y. response_rate: an invitation adds 1 to n, weight and weight_square on its day, a
-- response 1 to sum on its own, whatever its weight: a cell may have a sum and no n. straight_lining: as any share.
--
-- response.tallied (0001) of these: bits 61 and 62 say what is to be taken away again:
--   0  as in 0001
--   1  numerator: 1 of the sum, nothing else
--   2  pair: the answer's 16 bits are x, and the bin's 8 are y

ALTER TABLE flightpath.kpi DROP CONSTRAINT kpi_metric_check, DROP CONSTRAINT kpi_source_check;
ALTER TABLE flightpath.kpi
    ADD CONSTRAINT kpi_metric_check CHECK (metric IN ('nps', 'csat', 'ces', 'mean', 'top_box', 'share', 'measure_mean',
        'quantile', 'index', 'ratio', 'response_rate')),
    ADD CONSTRAINT kpi_source_check CHECK (source IN ('item', 'measure', 'outcome', 'invitation')),
    ADD COLUMN per text,                 -- ratio: the measure below the line; decimals is then the difference of both
    ADD COLUMN items text[],             -- index
    ADD COLUMN survey text;              -- response rate: of one survey; NULL = of any

-- As in 0003, and besides:
--   index, ratio   sum of x / sum of y, with Student's interval of the ratio by linearisation: residuals
--                  w (x - R y), their variance over the squared mean of y (Cochran 1977, 6.3); index within its
--                  scale. Without any y above 0 there is no value.
--   response_rate  responses of invitations, at most 1; Wilson's interval
--   share of answers (straight-lining): insufficient_n from a half width of 0.10 on, as csat
CREATE OR REPLACE FUNCTION flightpath.judge(
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
                                              WHEN metric IN ('csat', 'top_box', 'share') THEN 0.10
                                              ELSE 0.075 * (scale_max - scale_min) END THEN 'insufficient_n'
                ELSE 'ok' END,
           CASE WHEN shown THEN eff END,
           CASE WHEN NOT shown OR cell_n = 0 THEN NULL -- that all answers were equal is nobody's business either
                WHEN metric = 'nps' THEN 'tango score'
                WHEN metric IN ('share', 'csat', 'top_box', 'response_rate') THEN 'wilson score'
                WHEN metric = 'quantile' THEN 'order statistics (binomial ranks, normal approximation)'
                WHEN pair AND e IS NULL THEN NULL
                WHEN spread = 0 THEN 'range (wilson share of equal answers)'
                WHEN pair THEN 'student t (ratio, linearised)' ELSE 'student t' END,
           CASE WHEN shown THEN cell_weight END, CASE WHEN shown THEN cell_square END,
           CASE WHEN shown AND metric <> 'quantile' THEN cell_sum / unit END,
           CASE WHEN shown AND metric <> 'quantile' THEN cell_sum_square / (unit * unit) END,
           CASE WHEN shown THEN pro END, CASE WHEN shown AND metric = 'nps' THEN bins[8] + bins[9] END,
           CASE WHEN shown THEN det END, CASE WHEN shown THEN box END,
           CASE WHEN shown THEN box / nullif(cell_weight, 0)::double precision END, CASE WHEN shown THEN spread END
    FROM (SELECT cell_n = 0 OR source <> 'item' OR cell_n >= min_n AS shown,
                 10::double precision ^ decimals AS unit, metric IN ('index', 'ratio') AS pair,
                 cell_weight::double precision * cell_weight / nullif(cell_square, 0) AS eff,
                 CASE WHEN metric = 'nps' THEN bins[10] + bins[11] END AS pro,
                 CASE WHEN metric = 'nps'
                      THEN bins[1] + bins[2] + bins[3] + bins[4] + bins[5] + bins[6] + bins[7] END AS det,
                 CASE WHEN metric IN ('csat', 'top_box', 'ces')
                      THEN flightpath.top_box(bins, scale_min, scale_max, top_k) END AS box
          OFFSET 0) AS a
    CROSS JOIN LATERAL (
          SELECT CASE WHEN pair THEN
                      CASE WHEN bins[1] > 0 AND eff > 1 THEN
                           greatest(cell_sum_square::numeric * bins[1] * bins[1] - 2 * cell_sum::numeric * bins[1] * bins[3]
                                    + cell_sum::numeric * cell_sum * bins[2], 0)::double precision
                           / bins[1] / bins[1] / bins[1] / bins[1] * cell_weight / (unit * unit) * (eff / (eff - 1))
                           WHEN bins[1] > 0 THEN 0 END
                      WHEN metric NOT IN ('ces', 'mean', 'measure_mean') THEN NULL
                      WHEN eff > 1 THEN greatest(cell_sum_square::numeric * cell_weight - cell_sum::numeric * cell_sum, 0)
                           ::double precision / cell_weight / cell_weight / (unit * unit) * (eff / (eff - 1))
                      ELSE 0 END AS spread
          OFFSET 0) AS b
    CROSS JOIN LATERAL (
          SELECT CASE WHEN cell_n = 0 OR NOT shown THEN NULL
                      WHEN pair THEN CASE WHEN bins[1] > 0 THEN experience.mean_interval(
                           cell_sum / (bins[1] * unit), spread, eff, scale_min, scale_max) END
                      WHEN metric = 'response_rate' THEN experience.share_interval(least(cell_sum, cell_n), cell_n)
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

-- As in 0003, with the sums of pairs.
-- Any selection of a current KPI as a series, with its proper interval; a row for each bucket that touches
-- [from, to), also where nothing came (n = 0, no_data). Buckets are whole hours (UTC), or days, weeks (from
-- Monday), n days (from the day of `from`) or months from local midnight; what counts is every hour or local
-- day that [from, to) touches. A unit stands for itself and all units below it; '' for "not given".
CREATE OR REPLACE FUNCTION experience.kpi_series(kpi text, from_time timestamptz, to_time timestamptz, step interval,
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
           CASE WHEN k.source = 'item' OR k.metric = 'ratio' THEN -- else folded away: k is a constant here
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
           CASE WHEN k.source = 'item' OR k.metric = 'ratio' THEN -- else folded away: k is a constant here
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

-- With what a KPI is made of.
CREATE OR REPLACE VIEW experience.kpi_list AS
SELECT k.kpi, k.statement, k.role, k.owner, o.label AS owner_label, k.journey, k.touchpoint,
       t.label AS touchpoint_label, t.department, k.audience, k.metric, k.source, k.grain, k.direction,
       k.target, k.good_enough, k.scale_min, k.scale_max, k.top_k, k.quantile, k.decimals,
       k.definition, k.since, k.model_hash, k.per, k.items, k.survey
FROM flightpath.kpi k
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
LEFT JOIN flightpath.name n ON n.kind = 2 AND n.name = k.touchpoint
LEFT JOIN flightpath.touchpoint_info t ON t.touchpoint = n.id
WHERE k.current;

GRANT SELECT ON ALL TABLES IN SCHEMA flightpath TO flightpath_writer;
SELECT flightpath.settle_rights();
