-- How units compare on each KPI (analytics/benchmark.h), over the window of experience.kpi_now.
--
-- Computed from the tallies by whichever replica locks the KPI's task, and replaced as a whole. Units are those
-- with data of their own; id 0 (not given) and id 1 (__other__) are none.

CREATE TABLE flightpath.benchmark_task (
    series    int PRIMARY KEY,
    looked_at timestamptz NOT NULL DEFAULT '-infinity', -- when the tallies were last read
    run_after timestamptz NOT NULL DEFAULT '-infinity',
    signature text,                      -- hash of what the result was made from: the units' sums, the
                                         -- window, the definition, min_n, the external value
    computed_at timestamptz, cost_ms double precision,
    last_error text
) WITH (fillfactor = 50);

-- A value from elsewhere to compare with, as the model declares it; in the KPI's unit.
CREATE TABLE flightpath.benchmark_external (
    series int PRIMARY KEY,
    value double precision NOT NULL,
    sd double precision, n double precision, -- of an answer; answers. n NULL: exactly known
    source text NOT NULL DEFAULT '',
    from_day int, until_day int          -- holds when the last day of the window is within, inclusive; NULL = open
);

CREATE TABLE flightpath.benchmark_fit (
    series int PRIMARY KEY,
    first_day int, last_day int,         -- the window
    status text NOT NULL,                -- ok, few_units, one_unit, no_units, no_variance, too_many_units
    units int NOT NULL,                  -- that are compared
    suppressed int NOT NULL,             -- left out: fewer answers than min_n
    of_answers boolean NOT NULL,
    method text,                         -- of tau: reml, paule-mandel
    third int,                           -- units in the best third
    mu double precision, tau double precision, i2 double precision, phi double precision,
    centre double precision, answer_variance double precision,
    external double precision, external_se double precision, external_source text,
    computed_at timestamptz NOT NULL
);

CREATE TABLE flightpath.benchmark_result (
    series int NOT NULL, unit int NOT NULL,
    n bigint NOT NULL, n_eff double precision,
    status text NOT NULL,
    raw double precision, raw_low double precision, raw_high double precision,
    shrunk double precision, ci_low double precision, ci_high double precision,
    own double precision,                -- weight of its own data in `shrunk`
    pooled boolean NOT NULL,             -- its variance is that of all units
    rank_low int, rank_high int, rank_expected double precision,
    p_top double precision, p_bottom double precision, tier text,
    rest double precision, rest_low double precision, rest_high double precision, rest_z double precision,
    funnel_z double precision,
    plain_low_95 double precision, plain_high_95 double precision,
    plain_low_998 double precision, plain_high_998 double precision,
    multiplied_low_95 double precision, multiplied_high_95 double precision,
    multiplied_low_998 double precision, multiplied_high_998 double precision,
    added_low_95 double precision, added_high_95 double precision,
    added_low_998 double precision, added_high_998 double precision,
    external_difference double precision, external_low double precision, external_high double precision,
    external_side text,
    PRIMARY KEY (series, unit)
);

-- KPI × unit. Beside the value as it is (raw) what it most probably is (shrunk towards the units' mean, by how
-- much units differ at all), with 95 % intervals; the range of its rank (1 = best); its tier by P ≥ 0.9; its
-- distance to the other units (rest), and to a value from elsewhere; limits of a funnel plot at its n.
--   suppressed_min_n  answers, fewer than the programme's minimum: left out of the comparison, all NULL
--   no_variance       no unit tells how answers vary: values only
--   insufficient_n    compared, but too little to steer by alone (kpi_now says the same of raw values)
--   few_units         two or three: nothing is shrunk;  one_unit: nothing to compare with
-- The funnel's limits: plain as if units did not differ; multiplied by √φ and added τ² allow for their usual
-- differences.
CREATE VIEW experience.benchmark AS
SELECT k.kpi, u.name AS unit, r.n, r.raw, r.shrunk, r.ci_low, r.ci_high, r.rank_low, r.rank_high, r.tier,
       CASE WHEN r.series IS NULL THEN 'suppressed_min_n' ELSE r.status END AS status,
       r.raw_low, r.raw_high, r.own, r.n_eff, r.pooled, r.rank_expected, r.p_top, r.p_bottom,
       r.rest, r.rest_low, r.rest_high, r.rest_z,
       CASE WHEN r.series IS NOT NULL THEN f.centre END AS funnel_centre, r.funnel_z,
       r.plain_low_95, r.plain_high_95, r.plain_low_998, r.plain_high_998,
       r.multiplied_low_95, r.multiplied_high_95, r.multiplied_low_998, r.multiplied_high_998,
       r.added_low_95, r.added_high_95, r.added_low_998, r.added_high_998,
       f.external, f.external_source, r.external_difference, r.external_low, r.external_high, r.external_side,
       f.units, DATE '1970-01-01' + f.first_day AS window_from, DATE '1970-01-01' + f.last_day AS window_to,
       k.journey, k.touchpoint, coalesce(i.label, u.name) AS unit_label, parent.name AS parent,
       k.statement, k.role, k.owner, o.label AS owner_label, k.audience, k.metric, k.direction, k.target,
       k.good_enough, k.scale_min, k.scale_max, k.definition, f.computed_at
FROM flightpath.kpi k
JOIN flightpath.programme p ON p.only_row
JOIN flightpath.benchmark_fit f ON f.series = k.series
JOIN flightpath.benchmark_result b ON b.series = k.series
JOIN flightpath.name u ON u.kind = 0 AND u.id = b.unit
LEFT JOIN flightpath.benchmark_result r ON r.series = b.series AND r.unit = b.unit AND b.status <> 'suppressed_min_n'
    AND (NOT f.of_answers OR b.n >= CASE k.audience WHEN 'employee' THEN p.min_n_employee ELSE p.min_n END)
LEFT JOIN flightpath.unit_info i ON i.unit = b.unit
LEFT JOIN flightpath.name parent ON parent.kind = 0 AND parent.id = i.parent
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
WHERE k.current;

-- KPI: how units differ as a whole. mu the typical unit, tau the SD between units beyond chance, i2 the share of
-- the spread of values that is beyond chance, phi the overdispersion and centre the middle of the funnel,
-- answer_sd how answers vary within units.
CREATE VIEW experience.benchmark_fit AS
SELECT k.kpi, f.status, f.units, f.suppressed, f.mu, f.tau, f.i2, f.phi, f.centre,
       sqrt(f.answer_variance) AS answer_sd, f.answer_variance, f.method, f.third,
       f.external, f.external_se, f.external_source,
       DATE '1970-01-01' + f.first_day AS window_from, DATE '1970-01-01' + f.last_day AS window_to,
       k.journey, k.touchpoint, k.statement, k.role, k.owner, o.label AS owner_label, k.audience, k.metric,
       k.direction, k.scale_min, k.scale_max, k.definition, f.computed_at
FROM flightpath.kpi k
JOIN flightpath.benchmark_fit f ON f.series = k.series
LEFT JOIN flightpath.owner_info o ON o.owner = k.owner
WHERE k.current;

GRANT SELECT ON ALL TABLES IN SCHEMA flightpath TO flightpath_writer;
GRANT INSERT, UPDATE, DELETE ON flightpath.benchmark_task, flightpath.benchmark_external, flightpath.benchmark_fit,
    flightpath.benchmark_result TO flightpath_writer;
SELECT flightpath.settle_rights();
