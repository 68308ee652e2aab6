# SPDX-License-Identifier: GPL-3.0-or-later
"""`flightpath migrate`: once, twice, at once, by an ordinary role, against an unknown schema."""

import concurrent.futures
import hashlib
import uuid

import psycopg

from support.paths import ROOT

FILES = sorted((ROOT / "schemas" / "sql").glob("*.sql"))
LAST = int(FILES[-1].name[:4])


def applied(database):
    with database.connect() as connection:
        return connection.execute("SELECT version, name, sha256 FROM flightpath.schema_migration"
                                  " ORDER BY version").fetchall()


def test_dry_run_changes_nothing(flightpath, database):
    done = flightpath("migrate", postgres=database.conninfo, dry_run=True, json=True, check=True)
    assert done.json == {"dry_run": True, "applied": 0, "pending": len(FILES), "version": LAST,
                         "migrations": [f.stem for f in FILES]}
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname IN"
                                  " ('flightpath', 'experience')").fetchone()[0] == 0


def test_migrations_are_applied_once_and_remembered_by_their_text(flightpath, database):
    first = flightpath("migrate", postgres=database.conninfo, check=True)
    assert [line for line in first.out.splitlines() if line.startswith("applied")] == [
        f"applied {f.stem}" for f in FILES]
    assert applied(database) == [
        (int(f.name[:4]), f.stem, hashlib.sha256(f.read_bytes()).hexdigest()) for f in FILES]
    again = flightpath("migrate", postgres=database.conninfo, json=True, check=True)
    assert again.json["applied"] == 0 and again.json["migrations"] == []


def test_two_migrations_at_once(flightpath, database):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(flightpath, "migrate", postgres=database.conninfo, json=True,
                            check=True) for _ in range(3)]
    assert sorted(r.result().json["applied"] for r in runs) == [0, 0, len(FILES)]
    assert len(applied(database)) == len(FILES)


def test_a_changed_or_newer_schema_is_refused(flightpath, database):
    flightpath("migrate", postgres=database.conninfo, check=True)
    with database.connect() as connection:
        newer = "INSERT INTO flightpath.schema_migration VALUES (%s, 'later', 'x')"
        connection.execute(newer, [LAST + 1])
        done = flightpath("migrate", postgres=database.conninfo)
        assert done.code == 1 and "newer" in done.err and "schema_newer" in done.err
        connection.execute("DELETE FROM flightpath.schema_migration WHERE name = 'later'")
        connection.execute("UPDATE flightpath.schema_migration SET sha256 = 'x' WHERE version = 2")
        done = flightpath("migrate", postgres=database.conninfo)
        assert done.code == 1 and FILES[1].stem in done.err and "migration_changed" in done.err


def test_a_migration_that_fails_leaves_nothing(flightpath, database):
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA experience")
        connection.execute("CREATE VIEW experience.kpi_day AS SELECT 1 AS x")
    done = flightpath("migrate", postgres=database.conninfo)
    assert done.code == 1 and "kpi_day" in done.err
    with database.connect() as connection:
        assert connection.execute("SELECT to_regnamespace('flightpath')").fetchone()[0] is None


def test_an_ordinary_role_that_may_make_roles_can_migrate(flightpath, database):
    role = "migrator_" + uuid.uuid4().hex
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CREATEROLE")
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" OWNER TO {role}')
    conninfo = psycopg.conninfo.make_conninfo(database.conninfo, user=role)
    flightpath("migrate", postgres=conninfo, check=True)
    with database.connect() as connection:
        owners = connection.execute("SELECT DISTINCT relowner::regrole::text FROM pg_class"
                                    " WHERE relnamespace = 'flightpath'::regnamespace").fetchall()
        assert owners == [("flightpath_owner",)]
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" OWNER TO CURRENT_USER')
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_an_unreachable_database_is_said_so(flightpath):
    done = flightpath("migrate", postgres="postgresql://127.0.0.1:1/none")
    assert done.code == 1 and done.err.startswith("flightpath migrate: ")
