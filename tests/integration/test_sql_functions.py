# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions of schema flightpath: names, positions, partitions, retention, fold; and rights."""

import threading
import time
import uuid

import psycopg
import pytest

TALLY = ("n, weight, weight_square, sum, sum_square, "
         + ", ".join(f"b{i}" for i in range(11)))
TALLIES = ("tally_hour", "tally_day", "sketch_day", "coverage_day")
PARTITIONED = (*TALLIES, "response", "invitation", "case_event", "reject")


def one(connection, sql, *args):
    return connection.execute(sql, args).fetchone()[0]


@pytest.fixture
def second(pg):
    """Another connection to the same database."""
    with psycopg.connect(pg.info.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def programme(pg):
    pg.execute("INSERT INTO flightpath.programme (id, time_zone, model_hash, min_n, min_n_employee,"
               " responses_days, tallies_days, rejects_days)"
               " VALUES ('p', 'Europe/Amsterdam', 'h', 10, 5, 400, 1100, 90)")


# ---- names ---------------------------------------------------------------------------------------

def register(connection, names, cap=100, kind=0):
    return dict(connection.execute("SELECT * FROM flightpath.register_names(%s::smallint, %s, %s)",
                                   [kind, names, cap]).fetchall())


def test_names_get_the_next_id_in_order(pg):
    first = register(pg, ["b", "a", "b", None, "", "__other__"])
    assert first == {"": 0, "__other__": 1, "b": 2, "a": 3}
    assert register(pg, ["c", "a"]) == {"a": 3, "c": 4}
    assert register(pg, ["c"], kind=1) == {"c": 2}, "each kind counts for itself"
    assert register(pg, []) == {}


def test_a_full_kind_stays_full(pg):
    assert register(pg, ["a", "b"], cap=3) == {"a": 2, "b": 3}
    assert register(pg, ["c", "d", "a"], cap=3) == {"a": 2, "c": 4, "d": 1}
    assert register(pg, ["d", "e", "a"], cap=1000) == {"a": 2, "d": 1, "e": 1}
    assert one(pg, "SELECT count(*) FROM flightpath.name WHERE kind = 0 AND id > 1") == 3
    assert register(pg, ["d"], kind=1) == {"d": 2}


def declare(connection, names):
    return dict(connection.execute("SELECT * FROM flightpath.declare_names(0::smallint, %s)",
                                   [names]).fetchall())


def test_declared_names_do_not_count_against_the_cap(pg):
    assert declare(pg, ["x", "y"]) == {"x": 2, "y": 3}
    assert register(pg, ["a", "b"], cap=1) == {"a": 4, "b": 1}
    assert declare(pg, ["y", "b"]) == {"y": 3, "b": 5}, "an id of its own, full or not"
    assert one(pg, "SELECT array_agg(name ORDER BY id) FROM flightpath.name"
                   " WHERE kind = 0 AND id > 1 AND declared") == ["y", "b"]


def test_two_replicas_register_at_once(pg, second):
    """The second waits for the first's transaction and then sees its names."""
    got = {}
    with pg.transaction():
        first = register(pg, ["a", "b"], cap=3)
        thread = threading.Thread(
            target=lambda: got.update(register(second, ["b", "c", "d"], cap=3)))
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        deadline = time.monotonic() + 10
        with psycopg.connect(pg.info.dsn, autocommit=True) as watcher:
            while one(watcher, waits) == 0:
                assert time.monotonic() < deadline, "nobody waits"
                time.sleep(0.02)
        assert got == {}
    thread.join(10)
    assert (first, got) == ({"a": 2, "b": 3}, {"b": 3, "c": 4, "d": 1})


def test_known_names_take_no_lock(pg, second):
    register(pg, ["a", "b"], cap=1)
    with pg.transaction():
        pg.execute("SELECT pg_advisory_xact_lock(x'666c6970'::int, 16)")
        second.execute("SET lock_timeout = '1s'")
        assert register(second, ["a", "b", "z"], cap=1) == {"a": 2, "b": 1, "z": 1}


# ---- positions -----------------------------------------------------------------------------------

ME = uuid.UUID(int=7)
ADVANCE = ("SELECT flightpath.advance(%s::text[], %s::int[], %s::bigint[], %s, %s::bigint[],"
           " %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[])")


def positions(pg):
    return pg.execute("SELECT topic, partition, next_offset FROM flightpath.ingest_position"
                      " ORDER BY topic, partition").fetchall()


@pytest.fixture
def claimed(pg):
    for topic, partition in (("b", 0), ("a", 1), ("a", 0)):
        pg.execute("INSERT INTO flightpath.ingest_position (topic, partition, epoch, owner,"
                   " first_offset, next_offset, anchor_offset, anchor_hash)"
                   " VALUES (%s, %s, 3, %s, 0, 10, 9, 99)",
                   [topic, partition, ME])


def advance(pg, topics, partitions, epochs=None, expected=None, to=None, owner=ME):
    n = len(topics)
    pg.execute(ADVANCE, [topics, partitions, epochs or [3] * n, owner, expected or [10] * n,
                         to or [20] * n, [19] * n, [5] * n, [None] * n,
                         ["2026-02-16 12:00+00"] * n])


def test_advance(pg, claimed):
    advance(pg, ["a", "b"], [1, 0])
    assert positions(pg) == [("a", 0, 10), ("a", 1, 20), ("b", 0, 20)]
    row = pg.execute("SELECT anchor_offset, anchor_hash, high_offset, last_event_at IS NOT NULL"
                     " FROM flightpath.ingest_position WHERE topic = 'b'").fetchone()
    assert row == (19, 5, None, True)


def test_a_lost_position_moves_nothing(pg, claimed):
    both = {"topics": ["a", "a"], "partitions": [0, 1]}
    for wrong in ({"epochs": [3, 2]}, {"expected": [10, 11]}, {"to": [20, 9]},
                  {"partitions": [0, 9]}):
        with pytest.raises(psycopg.Error, match="position of a/[19] ") as caught:
            advance(pg, **(both | wrong))
        assert caught.value.sqlstate == "FP001"
        assert positions(pg) == [("a", 0, 10), ("a", 1, 10), ("b", 0, 10)]
    with pytest.raises(psycopg.Error) as caught:
        advance(pg, **both, owner=uuid.UUID(int=8))
    assert caught.value.sqlstate == "FP001"


def test_a_competing_transaction_is_waited_out(pg, second, claimed):
    outcome = []

    def compete():
        try:
            advance(second, ["a"], [0])
        except psycopg.Error as error:
            outcome.append(error.sqlstate)

    with pg.transaction():
        advance(pg, ["a"], [0])
        thread = threading.Thread(target=compete)
        thread.start()
        time.sleep(0.3)
        assert outcome == []
    thread.join(10)
    assert outcome == ["FP001"] and positions(pg)[0] == ("a", 0, 20)


# ---- partitions ----------------------------------------------------------------------------------

def ensure(connection, table, start, end):
    return connection.execute("SELECT flightpath.ensure_partitions(%s, %s, %s)",
                              [table, start, end]).fetchone()[0]


def children(pg, table):
    return [r[0] for r in pg.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass ORDER BY 1", [f"flightpath.{table}"]).fetchall()]


OPTIONS = {"autovacuum_vacuum_scale_factor=0.02", "autovacuum_vacuum_cost_delay=0"}


def test_partitions_are_made_once(pg):
    for table in PARTITIONED:
        made = ensure(pg, table, "2026-02-10", "2026-04-20")
        assert made == 3 and ensure(pg, table, "2026-02-10", "2026-04-20") == 0
        assert children(pg, table) == [f"{table}_y2026m0{m}" for m in (2, 3, 4)]
        part = [f"flightpath.{table}_y2026m03"]
        options, checks = pg.execute(
            "SELECT reloptions, (SELECT count(*) FROM pg_constraint WHERE conrelid = c.oid"
            " AND contype = 'c') FROM pg_class c WHERE oid = %s::regclass", part).fetchone()
        assert OPTIONS <= set(options) and checks == 0
        assert ("fillfactor=50" in options) is (table in TALLIES)
        own, attached = pg.execute(
            "SELECT count(*), count(h.inhrelid) FROM pg_index i LEFT JOIN pg_inherits h"
            " ON h.inhrelid = i.indexrelid WHERE i.indrelid = %s::regclass", part).fetchone()
        assert own == attached >= 1, "each index is part of the table's"


def test_rows_at_the_edges_of_a_month_find_their_partition(pg):
    ensure(pg, "tally_hour", "2026-02-01 00:00+00", "2026-02-28 23:59:59+00")
    ensure(pg, "coverage_day", "2026-03-01 00:00+00", "2026-03-31 23:59:59+00")
    ensure(pg, "reject", "2026-02-01 00:00+00", "2026-02-28 23:59:59+00")
    insert = f"INSERT INTO flightpath.tally_hour (series, bucket, unit, channel, lane, {TALLY})" \
             f" SELECT 1, %s, 0, 0, 0, {', '.join(['0'] * 16)} RETURNING tableoid::regclass::text"
    first, last = 20485 * 24, (20485 + 28) * 24 - 1
    for bucket in (first, last):
        assert pg.execute(insert, [bucket]).fetchone()[0] == "flightpath.tally_hour_y2026m02"
    for bucket in (first - 1, last + 1):
        with pytest.raises(psycopg.errors.CheckViolation):
            pg.execute(insert, [bucket])
    cover = "INSERT INTO flightpath.coverage_day VALUES (%s, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0)"
    for day in (20513 - 1, 20513, 20543, 20544):  # local days may lie a month off
        pg.execute(cover, [day])
    reject = "INSERT INTO flightpath.reject VALUES ('t', 0, 1, 1, %s, '', '', '')"
    pg.execute(reject, ["2026-02-28 23:59:59.999999+00"])
    with pytest.raises(psycopg.errors.CheckViolation):
        pg.execute(reject, ["2026-03-01 00:00+00"])


def test_partitions_refuse(pg):
    for table, start, end in [
            ("ledger", "2026-01-01", "2026-01-01"),
            ("tally_day; DROP TABLE x", "2026-01-01", "2026-01-01"),
            ("tally_day", "2000-01-01", "2020-03-01"), ("tally_day", "2026-02-01", "2025-01-01"),
            ("tally_day", "-infinity", "2026-01-01"), ("tally_day", None, "2026-01-01"),
            ("reject", "0500-01-01", "0500-01-01")]:
        with pytest.raises(psycopg.errors.DataError):
            ensure(pg, table, start, end)


def test_two_replicas_make_partitions_at_once(pg, second):
    made = []
    with pg.transaction():
        made.append(ensure(pg, "response", "2026-01-05", "2026-03-05"))
        thread = threading.Thread(
            target=lambda: made.append(ensure(second, "response", "2026-02-05", "2026-04-05")))
        thread.start()
        time.sleep(0.3)
    thread.join(10)
    assert made == [3, 1] and len(children(pg, "response")) == 4


def test_writers_go_on_while_a_partition_is_made(pg, second):
    ensure(pg, "coverage_day", "2026-03-10", "2026-03-11")
    with pg.transaction():
        ensure(pg, "coverage_day", "2026-05-10", "2026-05-11")
        second.execute("SET lock_timeout = '2s'")
        second.execute("INSERT INTO flightpath.coverage_day"
                       " VALUES (20520, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0)")
        assert one(second, "SELECT count(*) FROM flightpath.coverage_day") == 1


def test_a_detached_partition_is_attached_again(pg):
    ensure(pg, "reject", "2026-03-10", "2026-03-11")
    pg.execute("ALTER TABLE flightpath.reject DETACH PARTITION flightpath.reject_y2026m03")
    assert ensure(pg, "reject", "2026-03-10", "2026-03-11") == 1
    assert children(pg, "reject") == ["reject_y2026m03"]


def test_only_what_is_past_its_retention_is_dropped(pg, programme):
    for table in PARTITIONED:
        ensure(pg, table, "2022-12-15", "2026-05-15")
    dropped = {r[0] for r in pg.execute("SELECT flightpath.drop_expired('2026-05-15')").fetchall()}
    # kept: rejects since 2026-02-14, responses since 2025-04-10, tallies since 2023-05-11
    first = {table: min(children(pg, table)) for table in PARTITIONED}
    assert first["reject"] == "reject_y2026m02"
    assert first["response"] == "response_y2025m04" and first["invitation"] == "invitation_y2025m04"
    assert first["tally_hour"] == "tally_hour_y2023m05"
    assert first["sketch_day"] == "sketch_day_y2023m05"
    assert "reject_y2026m01" in dropped and "tally_day_y2023m04" in dropped
    assert one(pg, "SELECT count(*) FROM flightpath.drop_expired('2026-05-15')") == 0


# ---- the fold ------------------------------------------------------------------------------------

DAY = 20500


def fill(pg):
    """Known cells in four lanes of three days, with a cell that adds up to nothing."""
    for table in TALLIES:
        ensure(pg, table, "2026-01-01", "2026-03-31")
    for table, scale in (("tally_hour", 24), ("tally_day", 1)):
        pg.execute(f"""INSERT INTO flightpath.{table} (series, bucket, unit, channel, lane, {TALLY})
            SELECT s, ({DAY} + d) * {scale}, u, 0, l,
                   {', '.join(f's + d * {i} + u + l' for i in range(1, 17))}
            FROM generate_series(1, 2) s, generate_series(0, 2) d, generate_series(2, 9) u,
                 generate_series(0, 3) l WHERE (s + d + u + l) % 3 > 0""")
        pg.execute(f"""INSERT INTO flightpath.{table} (series, bucket, unit, channel, lane, {TALLY})
            SELECT 7, {DAY} * {scale}, 2, 0, l, {', '.join(['1 - 2 * l'] * 16)}
            FROM generate_series(0, 1) l""")
    pg.execute(f"""INSERT INTO flightpath.sketch_day (series, bucket, unit, channel, bin, lane, n)
        SELECT 1, {DAY} + d, 2, 0, b, l, b + l + d
        FROM generate_series(0, 2) d, generate_series(1, 20) b, generate_series(1, 3) l""")
    pg.execute(f"""INSERT INTO flightpath.coverage_day
        SELECT {DAY} + d, t, l, 1, 2, 3, 4, 5, 6, 7, 8
        FROM generate_series(0, 2) d, generate_series(2, 3) t, generate_series(0, 3) l""")


KEYS = {"tally_hour": "series, bucket, unit, channel", "tally_day": "series, bucket, unit, channel",
        "sketch_day": "series, bucket, unit, channel, bin", "coverage_day": "bucket, touchpoint"}
SUMS = {"tally_hour": TALLY, "tally_day": TALLY, "sketch_day": "n",
        "coverage_day": "events, failed, abandoned, recovered, customer, employee, internal,"
                        " invited"}


def cells(pg, table, condition="true"):
    """Sums per cell that are not all zero."""
    keys, sums = KEYS[table], [f"sum({c})::bigint" for c in SUMS[table].split(", ")]
    return pg.execute(
        f"SELECT {keys}, {', '.join(sums)} FROM flightpath.{table} WHERE {condition}"
        f" GROUP BY {keys} HAVING {' OR '.join(f'{s} <> 0' for s in sums)}"
        f" ORDER BY {keys}").fetchall()


def count(pg, table, condition):
    return one(pg, f"SELECT count(*) FROM flightpath.{table} WHERE {condition}")


def fold(connection, before="2026-02-18 00:00+01", limit=100000):
    return connection.execute("SELECT flightpath.fold(%s, %s)", [before, limit]).fetchone()[0]


def test_fold_is_exact(pg, programme):
    fill(pg)
    old = {t: f"bucket < {DAY + 2}" + (" * 24" if t == "tally_hour" else "") for t in TALLIES}
    before = {t: cells(pg, t) for t in TALLIES}
    others = sum(count(pg, t, f"lane <> 0 AND {old[t]}") for t in TALLIES)
    assert fold(pg) == others > 100
    for table in TALLIES:
        assert cells(pg, table) == before[table]
        assert count(pg, table, f"lane <> 0 AND {old[table]}") == 0
        assert len(cells(pg, table, old[table])) == count(pg, table, old[table]), \
            "one row a cell, and none for the cell that adds up to nothing"
        assert count(pg, table, "lane <> 0") > 0, "what has not ended stays"
    assert fold(pg) == 0


def test_fold_in_small_steps_is_the_same(pg, programme):
    fill(pg)
    before = {t: cells(pg, t) for t in TALLIES}
    moved = []
    while not moved or moved[-1]:
        moved.append(fold(pg, "2026-03-01", 7))
        assert {t: cells(pg, t) for t in TALLIES} == before
    assert max(moved) == 7 and len(moved) > 20
    assert all(count(pg, table, "lane <> 0") == 0 for table in TALLIES)


def test_a_day_ends_at_local_midnight(pg, programme):
    fill(pg)
    fold(pg, "2026-02-17 22:59:59+00")
    assert count(pg, "tally_day", f"lane <> 0 AND bucket = {DAY + 1}") > 0
    fold(pg, "2026-02-17 23:00:00+00")
    assert count(pg, "tally_day", f"lane <> 0 AND bucket = {DAY + 1}") == 0


def test_fold_passes_by_what_a_flush_holds(pg, second, programme):
    fill(pg)
    before = cells(pg, "tally_day")
    with second.transaction():
        second.execute("UPDATE flightpath.tally_day SET n = n + 5 WHERE series = 1 AND unit = 5"
                       f" AND lane = 1 AND bucket = {DAY}")
        pg.execute("SET lock_timeout = '2s'")
        fold(pg)
        assert count(pg, "tally_day", f"lane <> 0 AND bucket < {DAY + 2}") == 1
        assert cells(pg, "tally_day") == before
    assert fold(pg) == 1
    assert sum(c[4] for c in cells(pg, "tally_day")) == sum(c[4] for c in before) + 5


# ---- rights --------------------------------------------------------------------------------------

def denied(pg, role, sql):
    """True when the role may not; an error of another kind fails the test."""
    try:
        with pg.transaction(force_rollback=True):
            pg.execute(f"SET LOCAL ROLE {role}")
            pg.execute(sql)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


VIEWS = ("kpi_hour", "kpi_day", "kpi_now", "kpi_list", "unit_list", "journey_list", "coverage",
         "freshness", "ledger")


def add_kpi(pg, name, metric, source, **more):
    columns = {"kpi": name, "metric": metric, "source": source, "definition": "d",
               "current": True, "model_hash": "h", "role": "output", "audience": "customer",
               "grain": "day", "direction": "higher", **more}
    pg.execute(f"INSERT INTO flightpath.kpi ({', '.join(columns)})"
               f" VALUES ({', '.join(['%s'] * len(columns))})", list(columns.values()))


def test_the_reader_sees_the_views_and_nothing_else(pg, programme):
    add_kpi(pg, "k", "nps", "item", scale_min=0, scale_max=10)
    add_kpi(pg, "q", "quantile", "measure", quantile=0.9)
    fill(pg)
    for view in VIEWS:
        assert not denied(pg, "flightpath_reader", f"SELECT * FROM experience.{view}"), view
    for kpi in "kq":
        assert not denied(pg, "flightpath_reader", "SELECT * FROM experience.kpi_series("
                          f"'{kpi}', '2026-02-01', '2026-03-01', '1 day')")
    tables = pg.execute("SELECT tablename FROM pg_tables"
                        " WHERE schemaname = 'flightpath'").fetchall()
    assert len(tables) > 20
    for table, in tables:
        assert denied(pg, "flightpath_reader", f'SELECT * FROM flightpath."{table}"'), table
    for call in ("fold(now(), 1)", "drop_expired(now())",
                 "ensure_partitions('reject', now(), now())",
                 "quantile_window(1, 0, 30000, NULL, NULL, false)",
                 "register_names(0::smallint, '{a}', 9)"):
        assert denied(pg, "flightpath_reader", f"SELECT flightpath.{call}"), call
    assert denied(pg, "flightpath_reader", "CREATE TABLE experience.x (a int)")


def test_what_the_reader_gets_is_what_is_there(pg, programme):
    add_kpi(pg, "k", "share", "outcome")
    fill(pg)
    pg.execute("UPDATE flightpath.tally_day SET sum = weight")
    with pg.transaction(force_rollback=True):
        pg.execute("SET LOCAL ROLE flightpath_reader")
        rows = pg.execute("SELECT n FROM experience.kpi_day WHERE kpi = 'k'").fetchall()
        total = one(pg, "SELECT sum(n) FROM experience.kpi_series('k', '2026-02-01',"
                        " '2026-03-01', '1 day')")
    assert len(rows) == 24 and sum(r[0] for r in rows) == total


MAY = [
    f"INSERT INTO flightpath.tally_day AS t (series, bucket, unit, channel, lane, {TALLY})"
    f" VALUES (1, {DAY}, 2, 0, 0, {', '.join(['0'] * 16)})"
    " ON CONFLICT (series, bucket, unit, channel, lane) DO UPDATE SET n = t.n + excluded.n",
    "INSERT INTO flightpath.kpi (kpi, definition, current, model_hash, role, metric, source,"
    " audience, grain, direction)"
    " VALUES ('k', 'd', true, 'h', 'input', 'share', 'outcome', '', 'day', 'higher')",
    "UPDATE flightpath.ingest_position SET epoch = epoch + 1",
    "DELETE FROM flightpath.response",
    "DELETE FROM flightpath.unit_info",
    "SELECT flightpath.fold(now(), 10)",
    "SELECT flightpath.drop_expired('2020-01-01')",
    "SELECT flightpath.ensure_partitions('response', '2026-01-01', '2026-02-01')",
    "SELECT flightpath.register_names(0::smallint, '{new}', 9)",
    "SELECT flightpath.register_names(0::smallint, '{new,newer}', 1)",
    "SELECT flightpath.declare_names(0::smallint, '{new}')",
    "SELECT flightpath.advance('{}', '{}', '{}', NULL, '{}', '{}', '{}', '{}', '{}', '{}')",
    "SELECT * FROM flightpath.schema_migration",
    "SELECT * FROM experience.kpi_now",
]
MAY_NOT = [
    *(f"DELETE FROM flightpath.{t}" for t in (*TALLIES, "ledger", "ingest_position", "kpi", "name",
                                              "model", "erasure_receipt")),
    f"DELETE FROM flightpath.tally_day_y2026m02 WHERE bucket = {DAY}",
    "TRUNCATE flightpath.response",
    "CREATE TABLE flightpath.x (a int)",
    "DROP TABLE flightpath.tally_day",
    "UPDATE flightpath.erasure_receipt SET responses = 0",
    "SELECT flightpath.fold_table('response', 1, 1)",
    "INSERT INTO flightpath.schema_migration (version, name, sha256) VALUES (99, '', '')",
]


def test_the_writer_writes_and_does_not_delete_tallies(pg, programme):
    fill(pg)
    for sql in MAY:
        assert not denied(pg, "flightpath_writer", sql), sql
    for sql in MAY_NOT:
        assert denied(pg, "flightpath_writer", sql), sql


def test_nothing_is_public(pg):
    stranger = "stranger_" + uuid.uuid4().hex
    pg.execute(f"CREATE ROLE {stranger}")
    try:
        for sql in ("SELECT * FROM experience.kpi_day", "SELECT flightpath.fold(now(), 1)",
                    "SELECT * FROM flightpath.name",
                    "SELECT experience.kpi_series('k', now(), now(), '1 day')",
                    "SELECT experience.nps_interval(1, 1, 3)"):
            assert denied(pg, stranger, sql), sql
    finally:
        pg.execute(f"DROP ROLE {stranger}")


def test_everything_belongs_to_the_owner(pg):
    ours = "IN ('flightpath'::regnamespace, 'experience'::regnamespace)"
    strangers = pg.execute(
        f"SELECT relname FROM pg_class WHERE relnamespace {ours}"
        " AND relowner <> 'flightpath_owner'::regrole UNION ALL"
        f" SELECT proname FROM pg_proc WHERE pronamespace {ours}"
        " AND proowner <> 'flightpath_owner'::regrole").fetchall()
    assert strangers == []
    loose = pg.execute(
        f"SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace {ours} AND NOT EXISTS"
        " (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%')").fetchall()
    assert loose == [], "SECURITY DEFINER without a pinned search_path"
