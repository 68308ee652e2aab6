-- What writes and reads the stored state beyond plain statements: names, the compare-and-set of
-- positions, partitions, retention, the fold, and the interval arithmetic of the views.
-- Functions that need the owner's rights are SECURITY DEFINER with a pinned search_path; 0004 gives
-- them to flightpath_owner. Advisory locks are of the transaction and of class 0x666c6970 ("flip"):
-- object 1 partitions, 16 + kind names.

-- Names no model or message can claim, and the sketch's bins ----------------------------------------

INSERT INTO flightpath.name (kind, id, name, declared)
SELECT kind, id, name, true
FROM generate_series(0, 8) AS kind, (VALUES (0, ''), (1, '__other__')) AS seed (id, name);

-- analytics/sketch.c: 0 … 63 exact, then 38 bins per doubling with edges 2^e · (3 − √(4 − 3j/38)),
-- each standing for the value equally far, relatively, from both of its edges.
INSERT INTO flightpath.sketch_bin (bin, value)
SELECT bin, bin FROM generate_series(-63, 63) AS bin
UNION ALL
SELECT sign * (64 + 38 * (e - 6) + j), sign * 2 * low * high / (low + high) * 2::double precision ^ e
FROM generate_series(6, 63) AS e, generate_series(0, 37) AS j, (VALUES (-1), (1)) AS s (sign),
     LATERAL (SELECT 3 - sqrt(4 - 3.0::double precision * j / 38) AS low,
                     3 - sqrt(4 - 3.0::double precision * (j + 1) / 38) AS high) AS edge
WHERE 64 + 38 * (e - 6) + j <= 2230;

-- Names -------------------------------------------------------------------------------------------

-- The ids of names. A name that is not registered gets the kind's next id, in the order given, until
-- `cap` names that the model does not declare are registered; from then on the kind is full for
-- undeclared names, for good, and they are id 1 without a row. Takes a lock only if something is
-- missing and the kind is not full.
CREATE FUNCTION flightpath.register_names(kind smallint, names text[], cap int)
RETURNS TABLE (name text, id int) LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted_kind CONSTANT smallint := kind;
    missing text[];
    free bigint;
    next_id int;
BEGIN
    SELECT array_agg(w.name ORDER BY w.place) INTO missing
    FROM (SELECT u.name, min(u.place) AS place FROM unnest(names) WITH ORDINALITY AS u (name, place)
          WHERE u.name IS NOT NULL GROUP BY u.name) AS w
    WHERE NOT EXISTS (SELECT FROM flightpath.name n WHERE n.kind = wanted_kind AND n.name = w.name);

    IF missing IS NOT NULL
       AND NOT EXISTS (SELECT FROM flightpath.name_overflow o WHERE o.kind = wanted_kind) THEN
        PERFORM pg_advisory_xact_lock(x'666c6970'::int, 16 + wanted_kind);
        -- Another replica may have registered some of them, or filled the kind, meanwhile.
        SELECT array_agg(m.name ORDER BY m.place) INTO missing
        FROM unnest(missing) WITH ORDINALITY AS m (name, place)
        WHERE NOT EXISTS (SELECT FROM flightpath.name n WHERE n.kind = wanted_kind AND n.name = m.name);
        IF missing IS NOT NULL
           AND NOT EXISTS (SELECT FROM flightpath.name_overflow o WHERE o.kind = wanted_kind) THEN
            SELECT greatest(cap - count(*) FILTER (WHERE NOT n.declared), 0), max(n.id) + 1
            INTO free, next_id FROM flightpath.name n WHERE n.kind = wanted_kind;
            INSERT INTO flightpath.name (kind, id, name)
            SELECT wanted_kind, next_id + m.place - 1, m.name
            FROM unnest(missing) WITH ORDINALITY AS m (name, place) WHERE m.place <= free;
            IF cardinality(missing) > free THEN
                INSERT INTO flightpath.name_overflow (kind) VALUES (wanted_kind);
            END IF;
        END IF;
    END IF;

    RETURN QUERY
    SELECT w.name, coalesce(n.id, 1)
    FROM (SELECT DISTINCT u.name FROM unnest(names) AS u (name) WHERE u.name IS NOT NULL) AS w
    LEFT JOIN flightpath.name n ON n.kind = wanted_kind AND n.name = w.name;
END $$;

-- The names of a kind that the model declares, whatever the cap: registers what is missing, marks
-- exactly these as declared, and returns their ids. For the installation of a model.
CREATE FUNCTION flightpath.declare_names(kind smallint, names text[])
RETURNS TABLE (name text, id int) LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    wanted_kind CONSTANT smallint := kind;
BEGIN
    PERFORM pg_advisory_xact_lock(x'666c6970'::int, 16 + wanted_kind);
    INSERT INTO flightpath.name (kind, id, name)
    SELECT wanted_kind, last.id + row_number() OVER (ORDER BY w.place), w.name
    FROM (SELECT u.name, min(u.place) AS place FROM unnest(names) WITH ORDINALITY AS u (name, place)
          WHERE u.name IS NOT NULL GROUP BY u.name) AS w,
         (SELECT max(n.id) AS id FROM flightpath.name n WHERE n.kind = wanted_kind) AS last
    WHERE NOT EXISTS (SELECT FROM flightpath.name n WHERE n.kind = wanted_kind AND n.name = w.name);
    UPDATE flightpath.name n SET declared = (n.name = ANY (names))
    WHERE n.kind = wanted_kind AND n.id > 1 AND n.declared <> (n.name = ANY (names));
    RETURN QUERY SELECT n.name, n.id FROM flightpath.name n
                 WHERE n.kind = wanted_kind AND n.name = ANY (names);
END $$;

-- Positions ---------------------------------------------------------------------------------------

-- A flush that changes another number of rows than it locked was overtaken: try again (FP002).
CREATE FUNCTION flightpath.expect(what text, actual bigint, wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF actual <> wanted THEN
        RAISE EXCEPTION USING ERRCODE = 'FP002',
            MESSAGE = format('%s: %s rows changed, %s expected; another replica was faster', what, actual, wanted);
    END IF;
END $$;

-- The compare-and-set that opens a flush: moves every position from `expected` to `next`, under the
-- given epochs and owner, or raises FP001 and moves none. Rows are locked in (topic, partition) order.
-- A null anchor, high water mark or event time leaves the stored one as it is.
CREATE FUNCTION flightpath.advance(
    topics text[], partitions int[], epochs bigint[], owner uuid, expected bigint[], next bigint[],
    anchor_offset bigint[], anchor_hash bigint[], high bigint[], last_event timestamptz[])
RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    at record;
BEGIN
    FOR at IN
        SELECT * FROM unnest(topics, partitions, epochs, expected, next, anchor_offset, anchor_hash,
                             high, last_event)
            AS r (topic, part, epoch, from_offset, to_offset, anchor, hash, high, seen)
        ORDER BY r.topic COLLATE "C", r.part
    LOOP
        UPDATE flightpath.ingest_position p
        SET next_offset = at.to_offset,
            anchor_offset = coalesce(at.anchor, p.anchor_offset),
            anchor_hash = coalesce(at.hash, p.anchor_hash),
            high_offset = coalesce(at.high, p.high_offset),
            last_event_at = greatest(p.last_event_at, at.seen),
            updated_at = clock_timestamp()
        WHERE p.topic = at.topic AND p.partition = at.part AND p.epoch = at.epoch
          AND p.owner = advance.owner AND p.next_offset = at.from_offset
          AND at.to_offset >= at.from_offset;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'position of %/% is not at offset % under epoch %: another replica owns it',
                at.topic, at.part, at.from_offset, at.epoch USING ERRCODE = 'FP001';
        END IF;
    END LOOP;
END $$;

-- Partitions --------------------------------------------------------------------------------------

-- Which tables are partitioned by month, and what their bounds count. keep: programme column that
-- says for how many days.
CREATE FUNCTION flightpath.partitioned_table(
    OUT name text, OUT unit text, OUT key text, OUT keep text, OUT hot boolean)
RETURNS SETOF record LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    VALUES ('tally_hour',   'hour', 'bucket',       'tallies',   true),
           ('tally_day',    'day',  'bucket',       'tallies',   true),
           ('sketch_day',   'day',  'bucket',       'tallies',   true),
           ('coverage_day', 'day',  'bucket',       'tallies',   true),
           ('response',     'time', 'submitted_at', 'responses', false),
           ('invitation',   'time', 'at',           'responses', false),
           ('case_event',   'time', 'at',           'responses', false),
           ('reject',       'time', 'at',           'rejects',   false)
$$;

-- A month's start (UTC) as a bound literal of a table that counts in `unit`.
CREATE FUNCTION flightpath.month_bound(unit text, month date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE unit WHEN 'day'  THEN (month - DATE '1970-01-01')::text
                     WHEN 'hour' THEN ((month - DATE '1970-01-01') * 24)::text
                     ELSE quote_literal(month::text || ' 00:00:00+00') END
$$;

-- One partition, made beside the table and then attached: ATTACH with a matching CHECK locks the
-- table against other DDL only (SHARE UPDATE EXCLUSIVE), so flushes go on.
CREATE FUNCTION flightpath.create_partition(table_name text, month date) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    about record;
    part  text := table_name || to_char(month, '"_y"YYYY"m"MM');
    low   text;
    high  text;
BEGIN
    SELECT * INTO STRICT about FROM flightpath.partitioned_table() t WHERE t.name = table_name;
    low := flightpath.month_bound(about.unit, month);
    high := flightpath.month_bound(about.unit, (month + interval '1 month')::date);
    IF to_regclass(format('flightpath.%I', part)) IS NULL THEN
        EXECUTE format('CREATE TABLE flightpath.%I (LIKE flightpath.%I INCLUDING ALL,'
            ' CONSTRAINT bound CHECK (%I >= %s AND %3$I < %5$s)) WITH (fillfactor = %s,'
            ' autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)',
            part, table_name, about.key, low, high, CASE WHEN about.hot THEN 50 ELSE 100 END);
    END IF;
    EXECUTE format('ALTER TABLE flightpath.%I ATTACH PARTITION flightpath.%I FOR VALUES FROM (%s) TO (%s)',
        table_name, part, low, high);
    EXECUTE format('ALTER TABLE flightpath.%I DROP CONSTRAINT IF EXISTS bound', part);
END $$;

-- Makes the monthly partitions that rows of from_time … to_time need, where they are missing; returns
-- how many were made. Tables of local days get a day's slack on both sides. Cheap when nothing is
-- missing, so it may be called before every flush.
CREATE FUNCTION flightpath.ensure_partitions(table_name text, from_time timestamptz, to_time timestamptz)
RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    about  record;
    first  date;
    last   date;
    parent oid;
    month  date;
    made   int := 0;
BEGIN
    SELECT * INTO about FROM flightpath.partitioned_table() t WHERE t.name = table_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'flightpath.% is not a table partitioned by month', table_name
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first := date_trunc('month', from_time - CASE about.unit WHEN 'day' THEN interval '1 day' ELSE interval '0' END);
    last := date_trunc('month', to_time + CASE about.unit WHEN 'day' THEN interval '1 day' ELSE interval '0' END);
    IF first IS NULL OR last IS NULL OR first > last OR last >= first + interval '240 months'
       OR first < DATE '1900-01-01' OR last > DATE '2999-12-01' THEN
        RAISE EXCEPTION 'partitions from % to %: at most 240 months, in rising order, of the years 1900 to 2999',
            from_time, to_time USING ERRCODE = 'invalid_parameter_value';
    END IF;
    parent := format('flightpath.%I', table_name)::regclass;
    FOR month IN
        SELECT m::date FROM generate_series(first::timestamp, last::timestamp, interval '1 month') AS m
        WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = parent AND i.inhrelid =
                          to_regclass('flightpath.' || table_name || to_char(m, '"_y"YYYY"m"MM')))
        ORDER BY m
    LOOP
        PERFORM pg_advisory_xact_lock(x'666c6970'::int, 1);
        IF NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = parent AND i.inhrelid =
                       to_regclass('flightpath.' || table_name || to_char(month, '"_y"YYYY"m"MM'))) THEN
            PERFORM flightpath.create_partition(table_name, month);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Drops the partitions that lie wholly before what the programme keeps (a day's slack for local
-- days); returns their names. DROP waits for every reader of the table, so it gives up after two
-- seconds (55P03) rather than hold up flushes behind it: the caller tries again later.
CREATE FUNCTION flightpath.drop_expired(now timestamptz) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    part record;
BEGIN
    PERFORM pg_advisory_xact_lock(x'666c6970'::int, 1);
    FOR part IN
        SELECT c.relname
        FROM flightpath.programme p, flightpath.partitioned_table() t
        JOIN pg_inherits i ON i.inhparent = format('flightpath.%I', t.name)::regclass
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT regexp_match(c.relname, '_y(\d{4})m(\d{2})$') AS m) AS month
        WHERE month.m IS NOT NULL
          AND make_timestamptz(month.m[1]::int, month.m[2]::int, 1, 0, 0, 0) + interval '1 month 1 day'
              <= drop_expired.now - CASE t.keep WHEN 'tallies' THEN p.tallies_days
                                                WHEN 'responses' THEN p.responses_days
                                                ELSE p.rejects_days END * interval '1 day'
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE flightpath.%I', part.relname);
        RETURN NEXT part.relname;
    END LOOP;
END $$;

-- The fold ----------------------------------------------------------------------------------------

-- Moves rows of other lanes into lane 0, of buckets that ended before `before`: taken and added in
-- one statement, so no reader ever sees a different sum; what sums to nothing is deleted. At most
-- row_limit rows, oldest buckets first; returns how many were moved. Rows a flush has locked are left
-- for the next time; lane 0 is added to in the order of the key, table by table (tally_hour,
-- tally_day, sketch_day, coverage_day), as a flush does.
CREATE FUNCTION flightpath.fold(before timestamptz, row_limit int) RETURNS bigint
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
    RETURN moved + flightpath.fold_table('coverage_day', day, row_limit - moved);
END $$;

-- One table of the fold: buckets below `bucket`. Key and sums are read from the catalogue: the primary
-- key without lane, and every other column. Nested loops keep to the indexes however big the table is.
CREATE FUNCTION flightpath.fold_table(table_name text, bucket int, row_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    keys   text;  -- series, bucket, …
    same   text;  -- t.series = c.series AND …
    sums   text;  -- n, weight, …
    folded text;  -- sum(n)::bigint, …
    added  text;  -- n = t.n + excluded.n, …
    empty  text;  -- t.n = 0 AND …
    moved  bigint;
    parts  oid[];
    tids   tid[];
BEGIN
    IF row_limit <= 0 THEN
        RETURN 0;
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY x.place) FILTER (WHERE x.place IS NOT NULL),
           string_agg(format('t.%1$I = c.%1$I', a.attname), ' AND ') FILTER (WHERE x.place IS NOT NULL),
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE x.place IS NULL),
           string_agg(format('sum(%I)::bigint', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE x.place IS NULL),
           string_agg(format('%1$I = t.%1$I + excluded.%1$I', a.attname), ', ') FILTER (WHERE x.place IS NULL),
           string_agg(format('t.%I = 0', a.attname), ' AND ') FILTER (WHERE x.place IS NULL)
    INTO STRICT keys, same, sums, folded, added, empty
    FROM pg_attribute a
    JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    LEFT JOIN unnest(i.indkey) WITH ORDINALITY AS x (attnum, place) ON x.attnum = a.attnum
    WHERE a.attrelid = format('flightpath.%I', table_name)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'lane';

    EXECUTE format($sql$
        WITH chosen AS (
            SELECT %2$s, lane FROM flightpath.%1$I
            WHERE lane <> 0 AND bucket < $1 ORDER BY bucket LIMIT $2 FOR UPDATE SKIP LOCKED),
        taken AS (
            DELETE FROM flightpath.%1$I t USING chosen c WHERE %3$s AND t.lane = c.lane RETURNING t.*),
        folded AS (
            INSERT INTO flightpath.%1$I AS t (%2$s, lane, %4$s)
            SELECT %2$s, 0, %5$s FROM taken GROUP BY %2$s ORDER BY %2$s
            ON CONFLICT (%2$s, lane) DO UPDATE SET %6$s
            RETURNING t.tableoid AS part, t.ctid AS tid, %7$s AS empty)
        SELECT (SELECT count(*) FROM taken), array_agg(part), array_agg(tid) FROM folded WHERE empty
    $sql$, table_name, keys, same, sums, folded, added, empty)
    INTO moved, parts, tids USING bucket, row_limit;

    EXECUTE format('DELETE FROM flightpath.%I t USING unnest($1, $2) AS z (part, tid)'
        ' WHERE t.ctid = z.tid AND t.tableoid = z.part AND %s', table_name, empty)
    USING parts, tids;
    RETURN moved;
END $$;

-- Intervals ---------------------------------------------------------------------------------------
-- The 95 % limits of analytics/interval.c, fast enough for views (about 1 µs): {value, low, high}. They
-- compute from their arguments alone, so they are published: a view's functions run with the reader's
-- rights, and an analyst may want the interval of a sum of his own.
-- 3.8414588206941236 is z², z = 1.959963984540054 the normal quantile of 0.975.

CREATE SCHEMA IF NOT EXISTS experience;

-- A sum that stays a bigint: exact, an error on overflow, and without the numeric of sum(bigint).
CREATE AGGREGATE flightpath.total(bigint) (
    SFUNC = int8pl, STYPE = bigint, INITCOND = '0', COMBINEFUNC = int8pl, PARALLEL = SAFE);

-- Net promoter score. Tango's limits are the outer two of three real solutions of a cubic: with
-- shares p and m, δ = p − m, V = p + m − δ², k = z²/n and σ = √k, the score equation squared,
-- shifted by D = (δ + σy)/(1 + k) and freed of its trivial solution D = δ, reads
--     y³ − (V + k)·y − σ·δ·(1 − p − m) = 0.
-- Where p or m is 0 it factors (a double root is then possible, where the arc cosine would lose digits).
CREATE FUNCTION experience.nps_interval(promoters double precision, detractors double precision, n_eff double precision)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    k double precision := 3.8414588206941236::double precision / n_eff;
    s double precision := sqrt(k);
    p double precision := least(greatest(promoters / n_eff, 0), 1);
    m double precision := least(greatest(detractors / n_eff, 0), 1 - p);
    d double precision := p - m;
    r double precision;     -- √((V + k)/3); also the square root of the factored case
    angle double precision;
    low double precision;
    high double precision;
BEGIN
    IF p > 0 AND m > 0 THEN
        r := sqrt((p + m - d * d + k) / 3);
        angle := acos(least(greatest(s * d * (1 - p - m) / (2 * r * r * r), -1), 1)) / 3;
        low := -2 * r * cos(1.0471975511965979::double precision - angle);
        high := 2 * r * cos(angle);
    ELSIF m > 0 THEN
        r := sqrt(k + 4 * m * (1 - m));
        low := (-s - r) / 2;
        high := greatest(s, (r - s) / 2);
    ELSE
        r := sqrt(k + 4 * p * (1 - p));
        low := least(-s, (s - r) / 2);
        high := (s + r) / 2;
    END IF;
    RETURN ARRAY[100 * (promoters - detractors) / n_eff,
                 100 * greatest((d + s * low) / (1 + k), -1), 100 * least((d + s * high) / (1 + k), 1)];
END $$;

-- Share: Wilson's score limits, written so that nothing cancels.
CREATE FUNCTION experience.share_interval(successes double precision, n_eff double precision)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    k double precision := 3.8414588206941236::double precision / n_eff;
    p double precision := least(greatest(successes / n_eff, 0), 1);
    q double precision := 1 - p;
    r double precision := k / 2 + sqrt(k * (p * q + k / 4));
BEGIN
    RETURN ARRAY[p, p * p / (p + r), CASE WHEN q > 0 THEN (p + r) / (1 + k) ELSE 1 END];
END $$;

-- Quantile 0.975 of Student's t, df ≥ 1 (whole or not): ln t by polynomials in 1/df, relative error
-- 1e-13 from df = 5 and 1e-10 below.
CREATE FUNCTION experience.t975(df double precision)
RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    u double precision;
BEGIN
    IF df >= 5 THEN
        u := 10 / df - 1;
        RETURN exp(((((((((((-2.1955238178344742e-10::double precision * u - 1.0241196686189866e-10::double precision) * u
            + 3.99352146902748e-09::double precision) * u - 1.4829470827889302e-08::double precision) * u
            + 1.1178867700166269e-07::double precision) * u + 1.6237402846575665e-07::double precision) * u
            - 2.4737315677183965e-05::double precision) * u + 5.445178490105864e-05::double precision) * u
            + 0.007387163427481487::double precision) * u + 0.13554848608984202::double precision) * u
            + 0.8011666414814345::double precision));
    ELSIF df >= 1 THEN
        u := 2.5 / df - 1.5;
        RETURN exp((((((((((((-9.146444730391304e-08::double precision * u + 9.020964891144502e-07::double precision) * u
            - 1.5437007072818202e-06::double precision) * u - 5.210885766494834e-06::double precision) * u
            + 2.6425029530669124e-05::double precision) * u - 1.6239126480205183e-05::double precision) * u
            - 0.00023711135824004042::double precision) * u + 0.0009197223252234453::double precision) * u
            - 3.425304616172591e-05::double precision) * u - 0.014564842207246326::double precision) * u
            + 0.08660424503806026::double precision) * u + 0.8126447516140652::double precision) * u
            + 1.6567536817572153::double precision);
    END IF;
    RETURN NULL;
END $$;

-- Mean ± t·s/√n within the scale. On a bounded scale equal answers give the range-based interval, and
-- less than one degree of freedom the whole scale; on an open one the latter has no limits (NULL).
CREATE FUNCTION experience.mean_interval(mean double precision, variance double precision, n_eff double precision,
    scale_min double precision, scale_max double precision)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    half double precision;
BEGIN
    IF NOT variance > 0 AND scale_min IS NOT NULL AND scale_max IS NOT NULL THEN
        half := 3.8414588206941236::double precision / (n_eff + 3.8414588206941236::double precision);
        RETURN ARRAY[mean, mean - half * (mean - scale_min), mean + half * (scale_max - mean)];
    END IF;
    IF n_eff < 2 THEN
        RETURN CASE WHEN scale_min IS NULL OR scale_max IS NULL THEN ARRAY[mean, NULL, NULL]
                    ELSE ARRAY[mean, scale_min, scale_max] END;
    END IF;
    half := experience.t975(n_eff - 1) * sqrt(variance / n_eff);
    RETURN ARRAY[mean, greatest(mean - half, scale_min), least(mean + half, scale_max)];
END $$;
