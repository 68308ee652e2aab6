-- Watched series, their alerts, and what leaves of them.
--
-- A flush appends what it changed to watch_touched; whoever holds the lease takes that, reads the changed
-- days again, judges all series (analytics/watch_estate.h) and writes watch_series, alert and
-- alert_outbox in one transaction. Days are local days since 1970-01-01; unit -1 = all units;
-- series 0 = all KPIs of a unit. level: 0 a KPI as a whole, 1 a unit over its KPIs, 2 a unit's KPI.

CREATE TABLE flightpath.watch_touched (
    seq    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series int[] NOT NULL, day int[] NOT NULL -- pairs
);

-- One row: who judges, and up to which day.
CREATE TABLE flightpath.watch_lease (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    owner      uuid,
    renewed_at timestamptz NOT NULL DEFAULT '-infinity',
    judged     int,                      -- newest closed day
    judged_at  timestamptz,
    model_hash text
) WITH (fillfactor = 20);
INSERT INTO flightpath.watch_lease DEFAULT VALUES;

-- What the rule of each level is; 0 … 2, or 3 = flat.
CREATE TABLE flightpath.watch_level (
    level smallint PRIMARY KEY,
    series int NOT NULL,                 -- that can be judged
    fire double precision NOT NULL, clear double precision NOT NULL,
    a double precision NOT NULL, phi double precision NOT NULL, -- autocorrelation that is allowed for
    rho double precision,                -- correlation of the KPIs of a unit (level 1)
    judged bigint NOT NULL,              -- series × days
    expected double precision NOT NULL,  -- episodes by chance in them
    per_year double precision NOT NULL   -- episodes by chance a year, at the rule of today
);

CREATE TABLE flightpath.watch_series (
    level smallint NOT NULL, series int NOT NULL, unit int NOT NULL,
    state text NOT NULL,                 -- history (too little of it), quiet, pending, firing, recovering, no_data,
                                         -- insufficient_n, suspect_data
    fingerprint text,                    -- of its open alert
    first_day int, judged_from int, newest_day int, -- first judged; newest with answers
    n double precision, value double precision,     -- of the newest closed day
    level_value double precision, sd double precision, tau double precision,
    z double precision,
    PRIMARY KEY (level, series, unit)
) WITH (fillfactor = 70);

CREATE TABLE flightpath.alert (
    fingerprint text PRIMARY KEY,
    root   text NOT NULL,                -- fingerprint of the incident it belongs to
    kind   smallint NOT NULL,            -- 0 change, 1 no data, 2 suspect data
    level  smallint NOT NULL, series int NOT NULL, unit int NOT NULL,
    incident int NOT NULL,               -- day of the notice as it was told: part of the fingerprint
    noticed int NOT NULL,                -- the same by what is known now (late data move it)
    start int NOT NULL, until int, closed int,
    how    text NOT NULL DEFAULT '',
    state  text NOT NULL,                -- pending, firing, recovering, resolved, withdrawn, no_data, insufficient_n,
                                         -- suspect_data
    verdict text NOT NULL DEFAULT '', provisional boolean NOT NULL, worse boolean NOT NULL, sign smallint NOT NULL,
    posterior double precision, dip double precision, shift double precision, trend double precision,
    size double precision, ci_low double precision, ci_high double precision, before double precision,
    n double precision, z double precision,
    contributors jsonb NOT NULL DEFAULT '[]', drivers jsonb NOT NULL DEFAULT '[]',
    mix double precision, within double precision,
    needed text NOT NULL DEFAULT '', text text NOT NULL DEFAULT '',
    revision int NOT NULL DEFAULT -1,    -- messages about it, less one; -1 none
    told text NOT NULL DEFAULT '',       -- verdict of the last message
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz
);
CREATE INDEX alert_series ON flightpath.alert (level, series, unit, incident);
CREATE INDEX alert_root ON flightpath.alert (root);
CREATE INDEX alert_open ON flightpath.alert (fingerprint) WHERE closed IS NULL;

-- Messages to the alerts topic, in order. id: fingerprint-revision.
CREATE TABLE flightpath.alert_outbox (
    seq  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id   text NOT NULL UNIQUE,
    fingerprint text NOT NULL,
    key  text NOT NULL,                  -- the KPI: messages of one KPI stay in order
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
CREATE INDEX alert_outbox_unsent ON flightpath.alert_outbox (seq) WHERE sent_at IS NULL;
ALTER TABLE flightpath.job ADD COLUMN owner uuid; -- of a job held over time: who works, until run_after
INSERT INTO flightpath.job (name) VALUES ('alerts'), ('alertmanager');

-- Days that are known to differ, of the model installed last.
CREATE TABLE flightpath.calendar (
    from_day int NOT NULL, until_day int NOT NULL, -- both inclusive
    text text NOT NULL, place int PRIMARY KEY
);

GRANT SELECT ON ALL TABLES IN SCHEMA flightpath TO flightpath_writer;
GRANT INSERT, DELETE ON flightpath.watch_touched TO flightpath_writer;
GRANT UPDATE ON flightpath.watch_lease TO flightpath_writer;
GRANT INSERT, UPDATE, DELETE ON flightpath.watch_level, flightpath.watch_series, flightpath.alert, flightpath.alert_outbox,
    flightpath.calendar TO flightpath_writer;
SELECT flightpath.settle_rights();
