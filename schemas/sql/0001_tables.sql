-- The stored state: integers that add. Internal schema, no grants to readers.
-- Times are timestamptz; `bucket` is an integer: hours (tally_hour) or local days (the others) since 1970-01-01.

CREATE SCHEMA IF NOT EXISTS flightpath; -- `flightpath migrate` makes it first, for its own table

-- One row: what this database belongs to. A second programme needs a second database.
CREATE TABLE flightpath.programme (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id         text NOT NULL,
    name       text NOT NULL DEFAULT '',
    time_zone  text NOT NULL,
    currency   text NOT NULL DEFAULT '',
    model_hash text NOT NULL,          -- the model installed last
    min_n      int  NOT NULL,
    min_n_employee int NOT NULL,
    responses_days int NOT NULL,
    tallies_days   int NOT NULL,
    rejects_days   int NOT NULL
);

CREATE TABLE flightpath.model (
    hash         text PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body         jsonb NOT NULL
);

-- Names met in messages or declared by a model, as small integers that never change.
-- kind: 0 unit, 1 channel, 2 touchpoint, 3 journey, 4 source, 5 survey, 6 item, 7 measure, 8 owner.
-- id 0 means "not given"; id 1 is "__other__" (beyond the cap).
CREATE TABLE flightpath.name (
    kind     smallint NOT NULL,
    id       int NOT NULL,
    name     text NOT NULL COLLATE "C",
    declared boolean NOT NULL DEFAULT false, -- by the model installed last
    PRIMARY KEY (kind, id),
    UNIQUE (kind, name)
);

-- Kinds that met more undeclared names than their cap allows: they stay full, so that a name that
-- became "__other__" once is "__other__" for good.
CREATE TABLE flightpath.name_overflow (
    kind  smallint PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What the model says of the names (for views); replaced whenever a model is installed.
CREATE TABLE flightpath.touchpoint_info (
    touchpoint int PRIMARY KEY, label text NOT NULL, department text NOT NULL, owner text,
    processes text[] NOT NULL, systems text[] NOT NULL, journeys text[] NOT NULL);
CREATE TABLE flightpath.unit_info (unit int PRIMARY KEY, label text NOT NULL, parent int);
CREATE TABLE flightpath.owner_info (owner text PRIMARY KEY, label text NOT NULL, department text NOT NULL);

-- One series per (KPI, definition): a changed definition starts a new series.
CREATE TABLE flightpath.kpi (
    series      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kpi         text NOT NULL,
    definition  text NOT NULL,           -- hash of what decides the numbers
    current     boolean NOT NULL,        -- in the model installed last
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    model_hash  text NOT NULL,
    statement   text NOT NULL DEFAULT '',
    role        text NOT NULL,           -- input | output
    metric      text NOT NULL CHECK (metric IN ('nps','csat','ces','mean','top_box','share','measure_mean','quantile')),
    source      text NOT NULL CHECK (source IN ('item','measure','outcome')),
    audience    text NOT NULL,
    journey     text, touchpoint text, owner text,
    grain       text NOT NULL CHECK (grain IN ('hour','day')),
    direction   text NOT NULL CHECK (direction IN ('higher','lower')),
    decimals    int NOT NULL DEFAULT 0,  -- sums are in units of 10^-decimals
    scale_min   double precision, scale_max double precision, -- of the value; NULL = open
    top_k       int,                     -- top points that count (csat, top_box, ces)
    quantile    double precision,
    target      double precision, good_enough double precision,
    UNIQUE (kpi, definition)
);
CREATE UNIQUE INDEX kpi_current ON flightpath.kpi (kpi) WHERE current;

-- Tallies. lane: the writing replica's slot modulo `lanes`; views add the lanes up.
-- fillfactor leaves room for HOT updates; no index on anything an update changes.
CREATE TABLE flightpath.tally_hour (
    bucket int NOT NULL, series int NOT NULL, unit int NOT NULL, channel int NOT NULL, lane smallint NOT NULL,
    n bigint NOT NULL, weight bigint NOT NULL, weight_square bigint NOT NULL, sum bigint NOT NULL, sum_square bigint NOT NULL,
    b0 bigint NOT NULL, b1 bigint NOT NULL, b2 bigint NOT NULL, b3 bigint NOT NULL, b4 bigint NOT NULL, b5 bigint NOT NULL,
    b6 bigint NOT NULL, b7 bigint NOT NULL, b8 bigint NOT NULL, b9 bigint NOT NULL, b10 bigint NOT NULL,
    PRIMARY KEY (series, bucket, unit, channel, lane)
) PARTITION BY RANGE (bucket);
-- What is not folded into lane 0 yet, for flightpath.fold(). Updates never change these columns.
CREATE INDEX tally_hour_unfolded ON flightpath.tally_hour (bucket) WHERE lane <> 0;
CREATE TABLE flightpath.tally_day (LIKE flightpath.tally_hour INCLUDING ALL) PARTITION BY RANGE (bucket);

-- Quantile sketch: counts per logarithmic bin.
CREATE TABLE flightpath.sketch_day (
    bucket int NOT NULL, series int NOT NULL, unit int NOT NULL, channel int NOT NULL, bin smallint NOT NULL, lane smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (series, bucket, unit, channel, bin, lane)
) PARTITION BY RANGE (bucket);
CREATE INDEX sketch_day_unfolded ON flightpath.sketch_day (bucket) WHERE lane <> 0;

-- The value that stands for each bin of the sketch, in fixed point (the same as analytics/sketch.c).
CREATE TABLE flightpath.sketch_bin (
    bin   smallint PRIMARY KEY,
    value double precision NOT NULL
);

-- What arrives where, also at touchpoints the model does not declare.
CREATE TABLE flightpath.coverage_day (
    bucket int NOT NULL, touchpoint int NOT NULL, lane smallint NOT NULL,
    events bigint NOT NULL, failed bigint NOT NULL, abandoned bigint NOT NULL, recovered bigint NOT NULL,
    customer bigint NOT NULL, employee bigint NOT NULL, internal bigint NOT NULL, -- responses by audience
    invited bigint NOT NULL,
    PRIMARY KEY (touchpoint, bucket, lane)
) PARTITION BY RANGE (bucket);
CREATE INDEX coverage_day_unfolded ON flightpath.coverage_day (bucket) WHERE lane <> 0;

-- Responses as they stand now (their highest revision). `tallied` holds exactly what the response
-- contributes, so that a revision, a void or an erasure can take it away again:
-- ((series * 2 + hour) << 24) | ((bin + 1) << 16) | (answer & 65535): hour 1 = also in tally_hour; bin -1 = none.
-- The buckets follow from day and submitted_at.
CREATE TABLE flightpath.response (
    source int NOT NULL, id text NOT NULL COLLATE "C", submitted_at timestamptz NOT NULL,
    revision int NOT NULL,
    status smallint NOT NULL,            -- 0 complete, 1 partial, 2 void
    audience smallint NOT NULL,          -- 0 customer, 1 employee, 2 internal
    survey int NOT NULL, journey int NOT NULL, touchpoint int NOT NULL, unit int NOT NULL, channel int NOT NULL,
    tenure smallint NOT NULL,            -- months; -1 not given, -2 applicant
    weight int NOT NULL,
    day int NOT NULL,                    -- local day of submitted_at: where the tallies went
    subject bytea,                       -- HMAC-SHA-256
    interaction text COLLATE "C",
    items smallint[] NOT NULL, scores smallint[] NOT NULL,     -- score -32768 = skipped, -32767 = does not apply
    measures smallint[] NOT NULL, amounts bigint[] NOT NULL,   -- fixed point
    tallied bigint[] NOT NULL,
    comment text,
    PRIMARY KEY (source, id, submitted_at)
) PARTITION BY RANGE (submitted_at);
CREATE INDEX response_subject ON flightpath.response (subject) WHERE subject IS NOT NULL;

CREATE TABLE flightpath.invitation (
    source int NOT NULL, id text NOT NULL COLLATE "C", at timestamptz NOT NULL,
    survey int NOT NULL, journey int NOT NULL, touchpoint int NOT NULL, unit int NOT NULL, channel int NOT NULL,
    subject bytea,
    PRIMARY KEY (source, id, at)
) PARTITION BY RANGE (at);
CREATE INDEX invitation_subject ON flightpath.invitation (subject) WHERE subject IS NOT NULL;

CREATE TABLE flightpath.case_event (
    source int NOT NULL, id text NOT NULL COLLATE "C", at timestamptz NOT NULL,
    "case" text NOT NULL COLLATE "C", state text NOT NULL, interaction text COLLATE "C", response text COLLATE "C", owner text COLLATE "C",
    subject bytea,
    PRIMARY KEY (source, id, at)
) PARTITION BY RANGE (at);
CREATE INDEX case_event_subject ON flightpath.case_event (subject) WHERE subject IS NOT NULL;

CREATE TABLE flightpath.intervention_event (
    source int NOT NULL, id text NOT NULL COLLATE "C", at timestamptz NOT NULL,
    intervention text NOT NULL COLLATE "C", state text NOT NULL, effective_at timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

-- Erasure: the tombstone keeps a replay from bringing back what was submitted before it.
CREATE TABLE flightpath.tombstone (
    subject bytea PRIMARY KEY,
    erased_before timestamptz NOT NULL
);
CREATE TABLE flightpath.erasure_receipt (
    source int NOT NULL, id text NOT NULL COLLATE "C",
    subject bytea NOT NULL, requested_at timestamptz NOT NULL, erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    responses bigint NOT NULL, invitations bigint NOT NULL, cases bigint NOT NULL,
    PRIMARY KEY (source, id)
);

-- Positions, moved by compare-and-set only (DESIGN §3). A dead client's COMMIT may still be landing:
-- decide only after locking the row.
CREATE TABLE flightpath.ingest_position (
    topic text NOT NULL COLLATE "C", partition int NOT NULL, incarnation int NOT NULL DEFAULT 1,
    epoch bigint NOT NULL DEFAULT 0, owner uuid,
    first_offset bigint NOT NULL,        -- where counting began
    next_offset bigint NOT NULL,
    anchor_offset bigint, anchor_hash bigint, -- last applied record, to recognise a replaced log
    high_offset bigint, last_event_at timestamptz, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at timestamptz, halted text, -- why this partition stands still, or NULL
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

-- consumed = applied + duplicate + revised + voided + rejected + ignored, per range of equal versions.
CREATE TABLE flightpath.ledger (
    topic text NOT NULL COLLATE "C", partition int NOT NULL, incarnation int NOT NULL,
    first_offset bigint NOT NULL, next_offset bigint NOT NULL,
    model_hash text NOT NULL, coefficients bigint NOT NULL DEFAULT 0, -- version of the scoring coefficients; 0 = none
    consumed bigint NOT NULL, applied bigint NOT NULL, duplicate bigint NOT NULL, revised bigint NOT NULL,
    voided bigint NOT NULL, rejected bigint NOT NULL, ignored bigint NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, first_offset),
    CHECK (consumed = applied + duplicate + revised + voided + rejected + ignored)
) WITH (fillfactor = 50);

CREATE TABLE flightpath.reject (
    topic text NOT NULL COLLATE "C", partition int NOT NULL, incarnation int NOT NULL, "offset" bigint NOT NULL,
    at timestamptz NOT NULL,             -- the record's time
    reason text NOT NULL, field text NOT NULL, detail text NOT NULL,
    PRIMARY KEY (topic, partition, incarnation, "offset", at)
) PARTITION BY RANGE (at);

-- Offsets that could not be read any more (retention, truncation) or were skipped by an operator.
CREATE TABLE flightpath.data_gap (
    topic text NOT NULL, partition int NOT NULL, incarnation int NOT NULL, from_offset bigint NOT NULL, to_offset bigint NOT NULL,
    reason text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, partition, incarnation, from_offset)
);

-- Replicas: a slot each (lane = slot modulo lanes); a slot is free when its heartbeat is old.
CREATE TABLE flightpath.replica (
    slot int PRIMARY KEY, owner uuid NOT NULL, heartbeat timestamptz NOT NULL, version text NOT NULL, host text NOT NULL
) WITH (fillfactor = 20);

-- Work that must happen once: claimed with FOR UPDATE SKIP LOCKED.
CREATE TABLE flightpath.job (
    name text PRIMARY KEY, run_after timestamptz NOT NULL DEFAULT clock_timestamp(), last_run timestamptz, last_error text
);
INSERT INTO flightpath.job (name) VALUES ('partitions'), ('fold'), ('retention');
