"""New responses go by COPY between the two flights of a transaction: the same rows as any other
way, refused as any other statement is, and through a pooler too."""

import datetime
import json
import os
import shutil
import signal
import struct
import subprocess
import time

import psycopg
import pytest
from support import reaper
from support.paths import BIN
from support.ports import Port

TOOL = BIN.parent / "tests" / "copy_rows"
ROWS = 3000
UTC = datetime.timezone.utc
DAY = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86400))
OPTIONS = {"flush_ms": 100, "kafka.session.timeout.ms": 6000}


# ---- the format ----------------------------------------------------------------------------------


def wrap(value):
    return (value + 2**15) % 2**16 - 2**15


def kind(i):
    """Row i as copy_rows puts it."""
    if i == 0:
        return (-2**31, -2**15, datetime.datetime(1970, 1, 1, tzinfo=UTC), "é€😀\n\t\\\"\\.",
                b"\x00\x80\xff", [1, -1, -2**15, 2**15 - 1], [-2**63, 2**63 - 1, 0])
    if i == 1:
        return (2**31 - 1, 2**15 - 1, datetime.datetime(2099, 12, 31, 23, 59, 59, 999999, UTC), "",
                b"", [], [])
    if i == 2:
        return (2, *[None] * 6)
    length = i % 50
    return (i, i % 1000 - 500,
            datetime.datetime(2000, 1, 1, tzinfo=UTC)
            + datetime.timedelta(microseconds=(i - 1000) * 1000001),
            "x" * (3_000_000 if i == 3 else i % 300),
            struct.pack("=i", i) if length else b"",
            [wrap(k - i % 100) for k in range(length)],
            [(i << 32) - k for k in range(50 - length)])


@pytest.fixture
def kinds(database):
    with database.connect() as connection:
        connection.execute("CREATE TABLE kinds (i int PRIMARY KEY, h int2, z timestamptz, t text,"
                           " b bytea, hs int2[], ls int8[])")
        yield connection


def put(database, rows):
    return subprocess.run([TOOL, database.conninfo, str(rows)], capture_output=True, text=True,
                          timeout=60)


def test_rows_of_every_kind_are_read_back(database, kinds):
    done = put(database, ROWS)
    assert done.returncode == 0, done.stderr
    found = sorted(kinds.execute("SELECT * FROM kinds").fetchall())
    wanted = sorted(kind(i) for i in range(ROWS))
    assert len(found) == len(wanted) == ROWS
    for one, other in zip(found, wanted):
        assert one == other, f"row {other[0]}"


@pytest.mark.parametrize("change, status, code", [
    ("INSERT INTO kinds (i) VALUES (2000)", "poison", "23505"),
    ("ALTER TABLE kinds ALTER h SET NOT NULL", "poison", "23502"),
    ("ALTER TABLE kinds ALTER ls TYPE int4[]", "fatal", "42804"),
    ("ALTER TABLE kinds DROP ls", "fatal", "22P04"),
    ("DROP TABLE kinds", "fatal", "42P01")])
def test_what_a_server_refuses(database, kinds, change, status, code):
    kinds.execute(change)
    done = put(database, ROWS)
    assert (done.returncode, done.stderr.split(": ")[:2]) == (1, [status, code]), done.stderr
    if "DROP TABLE" not in change:
        assert kinds.execute("SELECT count(*) FROM kinds WHERE i <> 2000").fetchone() == (0,)


# ---- responses -----------------------------------------------------------------------------------


def response(name, revision=1, **data):
    body = {"audience": "customer", "survey": "visit", "journey": "book", "unit": "ams",
            "submitted_at": f"{DAY}T12:00:00.000001Z", "revision": revision} | data
    return json.dumps({
        "specversion": "1.0", "id": name, "source": "/survey/copied",
        "type": "experience.response.v1", "time": f"{DAY}T12:00:00Z",
        "subject": data.get("who"), "data": {k: v for k, v in body.items() if k != "who"}})


SHAPES = {
    "bare": {},
    "full": {"who": "é-1", "channel": "email", "touchpoint": "booking_payment",
             "status": "complete", "interaction": "visit-€-1", "comment": "é€😀\n\t\\." * 200,
             "weight": 250,
             "scores": {"recommend": 9, "booking_easy": "na", "trip_satisfied": None,
                        "choose_again": 4, "price_clear": 5, "search_quick": 1}},
    "employee": {"audience": "employee", "survey": "pulse", "journey": "employee",
                 "tenure_months": 34, "status": "partial", "comment": "",
                 "scores": {"recommend_employer": 0, "energy": None, "job_as_told": 4}},
    "void": {"who": "é-2", "status": "void"}}


def test_a_copied_row_is_the_row_that_an_update_makes(pipeline, daemon, kafka):
    """Each shape twice in its second revision: new to the database, and in place of a first one."""
    topic = pipeline.topics.responses
    for shape, data in SHAPES.items():
        other = {"audience": data.get("audience", "customer"), "unit": "osl",
                 "scores": {"recommend": 2}, "comment": "of before", "who": "é-3"}
        kafka.send(topic, response(f"old-{shape}", **other), partition=0)
    kafka.flush()
    assert daemon(until_caught_up=True, **OPTIONS).wait(60) == 0
    for shape, data in SHAPES.items():
        for way in ("old", "new"):
            kafka.send(topic, response(f"{way}-{shape}", revision=2, **data),
                       partition=0)
    kafka.flush()
    assert daemon(until_caught_up=True, **OPTIONS).wait(60) == 0
    counts = pipeline.counts()
    assert (counts["rejected"], counts["ignored"]) == (0, 0), counts
    rows = {row.pop("id"): row for row, in pipeline.query(
        "SELECT to_jsonb(r) FROM flightpath.response r")}
    assert len(rows) == 2 * len(SHAPES)
    for shape in SHAPES:
        assert rows[f"new-{shape}"] == rows[f"old-{shape}"]
    full, bare = rows["new-full"], rows["new-bare"]
    assert full["comment"] == SHAPES["full"]["comment"] and full["interaction"] == "visit-€-1"
    assert len(full["scores"]) == 6 and full["subject"]
    assert any(row["tallied"] for row in rows.values()), {k: r["tallied"] for k, r in rows.items()}
    assert bare["comment"] is bare["subject"] is bare["interaction"] is bare["observed"] is None
    assert bare["scores"] == bare["items"] == [] and rows["new-employee"]["comment"] == ""
    pipeline.clean()


def test_one_response_is_poison(pipeline, daemon, kafka, pg, faults_bin):
    """Refused in a COPY of many: it alone is found, and the connection survives each refusal."""
    pg.execute("ALTER TABLE flightpath.response ADD CHECK (comment <> 'refused')")
    rejected = 437
    for number in range(1000):
        comment = "refused" if number == rejected else "fine"
        kafka.send(pipeline.topics.responses, response(f"p-{number}", comment=comment), partition=0)
    kafka.flush()
    one = daemon(binary=faults_bin, **OPTIONS)
    pipeline.caught_up()
    assert pipeline.query('SELECT "offset", reason FROM flightpath.reject') == [
        (rejected, "poison")]
    assert "23514" in pipeline.query("SELECT detail FROM flightpath.reject")[0][0]
    assert pipeline.dead_letters() == [(pipeline.topics.responses, 0, rejected)]
    counts = pipeline.counts()
    assert (counts["applied"], counts["rejected"]) == (999, 1)
    assert pipeline.query("SELECT count(*) FROM flightpath.response") == [(999,)]
    metrics = one.metrics()
    assert metrics["flightpath_poisoned_total"] >= 2
    assert metrics["flightpath_postgres_errors_total"] == 0, "no connection was given up"
    assert one.stop() == 0


def test_another_replica_was_faster(pipeline, daemon, kafka, pg, faults_bin, wait_for):
    """Between look-up and COPY the same response appears: 23505, and it is looked up again."""
    one = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": "after_lookup:1:sleep=2000"},
                 **OPTIONS)
    for number in range(20):
        kafka.send(pipeline.topics.responses, response(f"f-{number}"), partition=0)
    kafka.flush()
    wait_for(lambda: "fault point after_lookup" in one.text(), "it has looked")
    pg.execute(
        "INSERT INTO flightpath.response (source, id, submitted_at, revision, status, audience,"
        " survey, journey, touchpoint, unit, channel, tenure, weight, day, items, scores, measures,"
        " amounts, tallied)"
        " SELECT id, 'f-7', %s, 1, 0, 0, 0, 0, 0, 0, 0, -1, 1000000, 0, '{}', '{}', '{}', '{}',"
        " '{}'"
        " FROM flightpath.name WHERE name = '/survey/copied'", (f"{DAY}T12:00:00.000001Z",))
    assert "fault point" in one.text() and pipeline.counts()["consumed"] == 0, "it still sleeps"
    pipeline.caught_up()
    assert [e["msg"].split(":")[0] for e in one.events("flush_retry")] == ["23505"]
    counts = pipeline.counts()
    assert (counts["applied"], counts["duplicate"], counts["rejected"]) == (19, 1, 0)
    assert one.metrics()["flightpath_postgres_errors_total"] == 0
    assert one.stop() == 0


def test_a_partition_went_away(pipeline, daemon, kafka, pg):
    """Dropped by hand while the daemon believes that it is there: made again, nothing rejected."""
    one = daemon(**OPTIONS)
    kafka.send(pipeline.topics.responses, response("before"))
    kafka.flush()
    pipeline.caught_up()
    gone, = pg.execute("SELECT tableoid::regclass::text FROM flightpath.response").fetchone()
    pg.execute(f"DROP TABLE {gone}")
    kafka.send(pipeline.topics.responses, response("after"))
    kafka.flush()
    pipeline.caught_up()
    assert [e["msg"].split(":")[0] for e in one.events("flush_retry")] == ["23514"]
    assert pipeline.query("SELECT id FROM flightpath.response") == [("after",)]
    assert pipeline.query("SELECT count(*) FROM flightpath.reject") == [(0,)]
    assert one.stop() == 0


# ---- behind a pooler -----------------------------------------------------------------------------


@pytest.fixture
def pooled(postgres, database, tmp_path, wait_for):
    """A conninfo of the database behind PgBouncer, whose server connections change hands after
    each transaction."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "pgbouncer is not installed (tests/setup packages test)"
    held = Port()
    settings = tmp_path / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=postgres\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {held.number}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 100\n")
    as_user = ["-u", postgres.user] if os.geteuid() == 0 else []  # it does not run as root
    with open(tmp_path / "pgbouncer.log", "w") as log:
        process = subprocess.Popen([program, *as_user, settings], stdout=log, stderr=log)
    reaper.process(process.pid)
    conninfo = f"host=127.0.0.1 port={held.number} dbname={database.name} user=postgres"

    def answers():
        try:
            psycopg.connect(conninfo, autocommit=True).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_for(answers, "PgBouncer answers")
    yield conninfo
    process.send_signal(signal.SIGINT)  # once the transactions are over
    assert process.wait(20) == 0
    held.release()


def test_behind_a_pooler(pipeline, daemon, pooled):
    pipeline.generate(6000, seed=61, bad_share=0.02).send()
    one = daemon(until_caught_up=True, postgres=pooled, batch_messages=300, flush_ms=20)
    assert one.wait(90) == 0, one.text()[-3000:]
    assert not pipeline.behind()
    assert not one.events("flush_retry")
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
