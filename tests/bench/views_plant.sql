-- A quarter of a large programme, planted: four KPIs of each kind of interval, two channels.
-- Settings bench.days, bench.units; the last day is yesterday.
INSERT INTO flightpath.programme (id, time_zone, currency, model_hash, min_n, min_n_employee,
    responses_days, tallies_days, rejects_days)
VALUES ('bench', 'Europe/Amsterdam', 'EUR', 'bench', 10, 5, 400, 1100, 90);
INSERT INTO flightpath.model (hash, body) VALUES ('bench', '{}');
INSERT INTO flightpath.kpi (kpi, definition, current, model_hash, role, metric, source, audience,
    grain, direction, decimals, scale_min, scale_max, top_k, quantile, target)
VALUES ('nps',   'd1', true, 'bench', 'output', 'nps', 'item', 'customer', 'hour', 'higher', 0, 0, 10, NULL, NULL, 40),
       ('share', 'd2', true, 'bench', 'input', 'share', 'measure', 'customer', 'hour', 'higher', 0, NULL, NULL, NULL, NULL, 0.9),
       ('mean',  'd3', true, 'bench', 'output', 'mean', 'item', 'customer', 'day', 'higher', 0, 1, 5, NULL, NULL, 4),
       ('p90',   'd4', true, 'bench', 'input', 'quantile', 'measure', 'customer', 'day', 'lower', 1, 0, 3000, NULL, 0.9, 420);
SELECT count(*) FROM flightpath.register_names(0::smallint,
    (SELECT array_agg('unit-' || g) FROM generate_series(1, current_setting('bench.units')::int) AS g), 100000);
SELECT count(*) FROM flightpath.register_names(1::smallint, '{web,branch}', 50);
SELECT flightpath.ensure_partitions(t, now() - make_interval(days => current_setting('bench.days')::int + 2), now())
FROM unnest('{tally_hour,tally_day,sketch_day}'::text[]) AS t;

CREATE TEMP TABLE planted AS
SELECT (current_date - DATE '1970-01-01') - d AS day, u.id AS unit, c.id AS channel
FROM generate_series(1, current_setting('bench.days')::int) AS d,
     (SELECT id FROM flightpath.name WHERE kind = 0 AND id > 1) AS u,
     (SELECT id FROM flightpath.name WHERE kind = 1 AND id > 1) AS c;

-- a day: 40 answers of NPS and of a scale of 5, 40 of 48 within the limit, 60 waiting times
INSERT INTO flightpath.tally_day
SELECT p.day, s.series, p.unit, p.channel, 0, s.n, s.n, s.n, s.sum, s.square,
       s.b[1], s.b[2], s.b[3], s.b[4], s.b[5], s.b[6], s.b[7], s.b[8], s.b[9], s.b[10], s.b[11]
FROM planted AS p, (
    SELECT series, 40, 279, 2145, '{1,1,1,1,1,1,4,4,8,10,8}'::int[] FROM flightpath.kpi WHERE kpi = 'nps'
    UNION ALL SELECT series, 48, 40, 40, '{0,0,0,0,0,0,0,0,0,0,0}' FROM flightpath.kpi WHERE kpi = 'share'
    UNION ALL SELECT series, 40, 152, 620, '{0,0,0,0,0,0,0,0,0,0,0}' FROM flightpath.kpi WHERE kpi = 'mean'
    UNION ALL SELECT series, 60, 18000, 7000000, '{0,0,0,0,0,0,0,0,0,0,0}' FROM flightpath.kpi WHERE kpi = 'p90'
) AS s (series, n, sum, square, b);
INSERT INTO flightpath.tally_hour
SELECT p.day * 24 + h, k.series, p.unit, p.channel, 0, 4, 4, 4, 28, 220, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1
FROM planted AS p, generate_series(6, 21) AS h, flightpath.kpi AS k WHERE k.kpi = 'nps';
INSERT INTO flightpath.sketch_day
SELECT p.day, k.series, p.unit, p.channel, 200 + 3 * b, 0, 3
FROM planted AS p, generate_series(0, 19) AS b, flightpath.kpi AS k WHERE k.kpi = 'p90';
DROP TABLE planted;
