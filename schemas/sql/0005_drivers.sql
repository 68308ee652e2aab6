-- Driver models: what responses add to them, their exact state, and what was solved from it.
--
-- A flush appends rows to driver_log; whoever locks the series' row moves them into driver_state
-- (add and delete in one transaction), marks what they touched in driver_task, and whoever locks a
-- task solves it. The bytes are those of analytics/driver_state.h and daemon/fitting.h.

-- One series per (driver model, definition). One that is not current keeps no state: a definition that
-- comes back starts again from the stored responses.
CREATE TABLE flightpath.driver_series (
    series      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model       text NOT NULL,
    definition  text NOT NULL,           -- hash of what decides the numbers
    current     boolean NOT NULL,        -- in the model installed last
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    model_hash  text NOT NULL,
    outcome     text NOT NULL,
    drivers     text[] NOT NULL,         -- items, then measures: the order of the columns
    measures    int NOT NULL,            -- how many of them are measures, at the end
    decimals    int[] NOT NULL,          -- of the drivers, then the outcome
    direction   int[] NOT NULL,          -- of the drivers: 1 = more should go with a better outcome, -1 = less
    scale_min   double precision[] NOT NULL, scale_max double precision[] NOT NULL, -- drivers, outcome
    detractor_cut double precision NOT NULL, -- an outcome up to here counts as a detractor
    audience    text NOT NULL, journey text, touchpoint text,
    window_days int NOT NULL, join_hours int NOT NULL, panel boolean NOT NULL,
    segments    text[] NOT NULL,
    newest      int,                     -- newest day with a response: the window's end
    taken_up    timestamptz,             -- stored responses of before were added; NULL = not yet
    scan_source int NOT NULL DEFAULT -1, scan_id text COLLATE "C" NOT NULL DEFAULT '' -- how far that has come
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX driver_series_current ON flightpath.driver_series (model) WHERE current;

CREATE TABLE flightpath.driver_log (
    series int NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    rows bytea NOT NULL,
    PRIMARY KEY (series, seq)
);
ALTER TABLE flightpath.driver_log ALTER COLUMN rows SET STORAGE EXTERNAL;

-- Exact moments. kind: 0 all, 1 journey, 2 touchpoint, 3 unit, 4 tenure; segment: the name's id, or the
-- tenure band (1 applicant, 2 to 3, 3 to 12, 4 more than 12 months). people: a panel's group of people.
CREATE TABLE flightpath.driver_state (
    series int NOT NULL, kind smallint NOT NULL, segment int NOT NULL, day int NOT NULL, people smallint NOT NULL,
    n bigint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (series, kind, segment, day, people)
) WITH (fillfactor = 70);
ALTER TABLE flightpath.driver_state ALTER COLUMN state SET STORAGE EXTERNAL;

-- The two sides of a join by interaction, for as long as the other may still come. Names are hashes.
CREATE TABLE flightpath.driver_waiting (
    series int NOT NULL, interaction bytea NOT NULL, response bytea NOT NULL,
    arrived timestamptz NOT NULL DEFAULT clock_timestamp(),
    row bytea NOT NULL,                  -- as it came, with its own measures only
    joined bytea,                        -- with those of the event that counts, where that differs
    PRIMARY KEY (series, interaction, response)
);
CREATE INDEX driver_waiting_alone ON flightpath.driver_waiting (series, arrived) WHERE joined IS NULL;
CREATE INDEX driver_waiting_joined ON flightpath.driver_waiting (series, arrived) WHERE joined IS NOT NULL;
CREATE TABLE flightpath.driver_event (
    series int NOT NULL, interaction bytea NOT NULL,
    happened timestamptz NOT NULL, event bytea NOT NULL, -- of several events the last counts: (happened, event)
    arrived timestamptz NOT NULL DEFAULT clock_timestamp(),
    row bytea NOT NULL,
    PRIMARY KEY (series, interaction)
);
CREATE INDEX driver_event_arrived ON flightpath.driver_event (series, arrived);

-- What to solve. Kind 3 (units) is one task: units borrow from each other (segment 0).
CREATE TABLE flightpath.driver_task (
    series int NOT NULL, kind smallint NOT NULL, segment int NOT NULL,
    dirty_at timestamptz,                -- since when the result is behind the state; NULL = it is not
    claimed_at timestamptz,              -- dirty_at as a solver took it; whoever may lock its task takes it up again
    run_after timestamptz NOT NULL DEFAULT '-infinity',
    computed_at timestamptz, cost_ms double precision, last_error text,
    PRIMARY KEY (series, kind, segment)
) WITH (fillfactor = 50);

-- Results: of each day the last one; the newest day is what stands now.
CREATE TABLE flightpath.driver_fit (
    series int NOT NULL, kind smallint NOT NULL, segment int NOT NULL, day int NOT NULL, -- the window's last
    first_day int NOT NULL,
    n bigint NOT NULL, n_complete bigint NOT NULL, n_eff double precision NOT NULL,
    intercept double precision, r2 double precision, adj_r2 double precision, r2_low double precision, r2_high double precision,
    sigma double precision, f double precision, f_p double precision, condition double precision,
    q2 double precision, q2_low double precision, q2_high double precision,
    calibration_slope double precision, calibration_low double precision, calibration_high double precision,
    mean_error double precision,         -- of predictions ahead: observed - predicted
    outcome_mean double precision, missing double precision,
    method text NOT NULL,                -- listwise, em, pairwise, shrunk
    groups int NOT NULL, model_based boolean NOT NULL, repeats double precision,
    patterns int NOT NULL, values_dropped bigint NOT NULL, rows_dropped bigint NOT NULL, -- what the pattern cap cost
    status text NOT NULL,                -- ok, perfect_fit, no_rows, outcome_constant, no_drivers, insufficient
    top_group int[] NOT NULL,            -- drivers (1 ...) that together hold the top rank with P >= .9
    computed_at timestamptz NOT NULL,
    PRIMARY KEY (series, kind, segment, day)
);

CREATE TABLE flightpath.driver_result (
    series int NOT NULL, kind smallint NOT NULL, segment int NOT NULL, day int NOT NULL,
    driver int NOT NULL,                 -- 1 ...: place in driver_series.drivers
    answered bigint NOT NULL, skipped bigint NOT NULL, does_not_apply bigint NOT NULL,
    coef double precision, se double precision, robust_se double precision, t double precision,
    ci_low double precision, ci_high double precision, p double precision, q double precision,
    beta double precision, vif double precision, r double precision, fmi double precision, mar double precision,
    weight double precision, weight_low double precision, weight_high double precision,
    lmg double precision, lmg_low double precision, lmg_high double precision,
    performance double precision, performance_low double precision, performance_high double precision,
    p_top1 double precision, p_top3 double precision, rank_low int, rank_high int,
    own double precision, tau double precision, -- units: weight of the unit's own data; SD between units
    applies_coef double precision, applies_se double precision, -- of whether it applies at all, where that varies
    "key" text,                          -- key, likely_key, none
    flags text[] NOT NULL,
    status text NOT NULL,                -- ok; parent (units); why there is no coefficient: empty, constant, aliased,
                                         -- collinear, does_not_apply, or the status of the fit
    PRIMARY KEY (series, kind, segment, day, driver)
);

-- When something changed. what: coefficient (before, after, p over boundaries and drivers), top (became the
-- top driver), key, not_key.
CREATE TABLE flightpath.driver_change (
    series int NOT NULL, kind smallint NOT NULL, segment int NOT NULL, driver int NOT NULL,
    what text NOT NULL CHECK (what IN ('coefficient', 'top', 'key', 'not_key')),
    day int NOT NULL,                    -- first day of what is new
    before double precision, after double precision, p double precision,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (series, kind, segment, driver, what, day)
);

-- Coefficients that touchpoint events are scored with. A version names, for each series, its newest row up to
-- that version; rows stay for as long as the ledger names them.
CREATE TABLE flightpath.scoring (
    version bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series int NOT NULL, day int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    n bigint NOT NULL,
    mean double precision[] NOT NULL,    -- of each measure, in its unit
    coef double precision[] NOT NULL,
    centre double precision NOT NULL, low double precision NOT NULL, high double precision NOT NULL,
    cut double precision NOT NULL, sigma double precision NOT NULL
);
CREATE INDEX scoring_series ON flightpath.scoring (series, version);

-- A response's driver series: (series << 32) | main journey. Nothing else of it is needed to take it away.
ALTER TABLE flightpath.response ADD COLUMN fitted bigint[] NOT NULL DEFAULT '{}';

GRANT SELECT ON ALL TABLES IN SCHEMA flightpath TO flightpath_writer;
GRANT INSERT, UPDATE ON flightpath.driver_series TO flightpath_writer;
GRANT INSERT, DELETE ON flightpath.driver_log TO flightpath_writer;
GRANT INSERT ON flightpath.scoring TO flightpath_writer;
GRANT INSERT, UPDATE, DELETE ON flightpath.driver_state, flightpath.driver_waiting, flightpath.driver_event,
    flightpath.driver_task, flightpath.driver_fit, flightpath.driver_result, flightpath.driver_change TO flightpath_writer;
SELECT flightpath.settle_rights();
