-- Who may do what. Three roles without login; give them to the roles people and programs log in with:
--   flightpath_owner   owns every object, runs the SECURITY DEFINER functions; the migration's role
--   flightpath_writer  the daemon: writes what it counts; deletes only what an erasure, a void or a new
--                      model takes away; never a tally (flightpath.fold moves those)
--   flightpath_reader  dashboards: the views of schema experience and kpi_series, nothing else
-- Works for a superuser and for a role with CREATEROLE. For any other role somebody has to create the
-- three beforehand; if it may not hand objects over (it is no member of flightpath_owner) it keeps them.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['flightpath_owner', 'flightpath_writer', 'flightpath_reader'] LOOP
        -- Roles are of the whole server: another database's migration may be making them right now.
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'role % does not exist, and % may not create it', role, current_user
                        USING ERRCODE = 'insufficient_privilege', HINT = 'Let somebody who may run: CREATE ROLE '
                            'flightpath_owner NOLOGIN; CREATE ROLE flightpath_writer NOLOGIN; CREATE ROLE flightpath_reader NOLOGIN';
            END;
        END IF;
    END LOOP;
END $$;

-- Settings hold for whoever logs in as the role itself; a login role that is a member needs its own
-- (schemas/sql/README.md). jit: compiling a dashboard's query costs more than running it.
DO $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'ALTER ROLE flightpath_reader SET statement_timeout = ''15s''',
        'ALTER ROLE flightpath_reader SET default_transaction_read_only = on',
        format('ALTER DATABASE %I SET jit = off', current_database())] LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN insufficient_privilege OR internal_error THEN
            RAISE NOTICE 'left out, for want of the right to: %', statement;
        END;
    END LOOP;
END $$;

-- Hands every object of both schemas to flightpath_owner, and takes away what PUBLIC has by default.
-- Each later migration ends with: SELECT flightpath.settle_rights(); and its own GRANTs for new tables.
CREATE FUNCTION flightpath.settle_rights() RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    object record;
BEGIN
    BEGIN
        IF NOT pg_has_role(current_user, 'flightpath_owner', 'USAGE') THEN
            EXECUTE format('GRANT flightpath_owner TO %I', current_user);
        END IF;
        EXECUTE 'ALTER SCHEMA flightpath OWNER TO flightpath_owner';
        EXECUTE 'ALTER SCHEMA experience OWNER TO flightpath_owner';
        FOR object IN
            SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                   c.oid::regclass::text AS name
            FROM pg_class c
            WHERE c.relnamespace IN ('flightpath'::regnamespace, 'experience'::regnamespace)
              AND c.relkind IN ('r', 'p', 'v', 'S') AND c.relowner <> 'flightpath_owner'::regrole
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')
                              AND d.classid = 'pg_class'::regclass AND c.relkind = 'S') -- follow their table
            UNION ALL
            SELECT CASE f.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
                   f.oid::regprocedure::text
            FROM pg_proc f
            WHERE f.pronamespace IN ('flightpath'::regnamespace, 'experience'::regnamespace)
              AND f.proowner <> 'flightpath_owner'::regrole
        LOOP
            EXECUTE format('ALTER %s %s OWNER TO flightpath_owner', object.kind, object.name);
        END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'objects stay with %: it may not hand them to flightpath_owner', current_user;
    END;
    REVOKE ALL ON SCHEMA flightpath, experience FROM PUBLIC;
    REVOKE ALL ON ALL TABLES IN SCHEMA flightpath, experience FROM PUBLIC;
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA flightpath, experience FROM PUBLIC;
    GRANT USAGE ON SCHEMA experience TO flightpath_reader, flightpath_writer;
    GRANT SELECT ON ALL TABLES IN SCHEMA experience TO flightpath_reader, flightpath_writer;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA experience TO flightpath_reader, flightpath_writer;
END $$;
SELECT flightpath.settle_rights();

-- The writer ----------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA flightpath TO flightpath_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA flightpath TO flightpath_writer;
GRANT INSERT, UPDATE ON
    flightpath.programme, flightpath.model, flightpath.name, flightpath.kpi,
    flightpath.tally_hour, flightpath.tally_day, flightpath.sketch_day, flightpath.coverage_day,
    flightpath.ingest_position, flightpath.ledger, flightpath.job TO flightpath_writer;
GRANT INSERT ON flightpath.name_overflow, flightpath.intervention_event, flightpath.erasure_receipt,
    flightpath.reject, flightpath.data_gap TO flightpath_writer;
GRANT INSERT, UPDATE, DELETE ON
    flightpath.touchpoint_info, flightpath.unit_info, flightpath.owner_info, -- replaced with each model
    flightpath.response, flightpath.invitation, flightpath.case_event,       -- revisions, voids, erasure
    flightpath.tombstone, flightpath.replica TO flightpath_writer;
GRANT EXECUTE ON FUNCTION
    flightpath.register_names(smallint, text[], int), flightpath.declare_names(smallint, text[]),
    flightpath.advance(text[], int[], bigint[], uuid, bigint[], bigint[], bigint[], bigint[], bigint[], timestamptz[]),
    flightpath.ensure_partitions(text, timestamptz, timestamptz), flightpath.drop_expired(timestamptz),
    flightpath.fold(timestamptz, int), flightpath.expect(text, bigint, bigint) TO flightpath_writer;

-- Relations of a view are read with its owner's rights, but its functions are called with the reader's.
-- quantile_window reads what the reader may not, but without USAGE on the schema nobody can name it.
GRANT EXECUTE ON FUNCTION
    flightpath.total(bigint), flightpath.midnight(int, text),
    flightpath.top_box(bigint[], double precision, double precision, int),
    flightpath.judge(text, text, int, text, double precision, double precision, int, double precision, int,
                     bigint, bigint, bigint, bigint, bigint, bigint[],
                     double precision, double precision, double precision),
    flightpath.quantile_window(int, int, int, int[], int[], boolean) TO flightpath_reader, flightpath_writer;
