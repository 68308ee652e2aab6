"""PostgreSQL goes away, comes back, refuses, waits: the daemon waits with it and loses nothing."""

import contextlib
import os
import random
import signal
import time

import pytest

OPTIONS = {"batch_messages": 100, "flush_ms": 20, "kafka.session.timeout.ms": 6000}
OURS = "datname = current_database() AND application_name LIKE 'flightpath/%'"


@pytest.fixture
def start(daemon, faults_bin):
    def make(**options):
        return daemon(binary=faults_bin, **(OPTIONS | options))
    return make


@pytest.fixture
def control(pipeline):
    """A second connection, for what an operator does."""
    with pipeline.database.connect() as connection:
        yield connection


def fine(pipeline, *daemons):
    """The stream has arrived, and nothing but infrastructure was ever at fault."""
    pipeline.send().caught_up()
    for one in daemons:
        assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    poison = pipeline.query("SELECT count(*) FROM flightpath.reject WHERE reason = 'poison'")
    assert poison == [(0,)], "an error of the infrastructure is nobody's dead letter"


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_backends_are_ended_at_random(pipeline, start, control, function):
    pipeline.generate(8000, seed=51, bad_share=0.02)
    one = start().ready()
    def retried():
        return one.metrics()["flightpath_flush_retries_total"] > 0

    moments, hits = random.Random(51), 0
    while (hits < 12 or not retried()) and pipeline.stream.sent < 7500:
        pipeline.send(40)
        time.sleep(moments.uniform(0, 0.06))
        # now and then a flush is made to wait, so that some backend is in the middle of one
        held = control.transaction() if moments.random() < 0.3 else contextlib.nullcontext()
        with held:
            if not isinstance(held, contextlib.nullcontext):
                control.execute("LOCK TABLE flightpath.ledger")
                time.sleep(0.3)
            hits += control.execute(
                f"SELECT count(*) FILTER (WHERE {function}(pid)) FROM pg_stat_activity"
                f" WHERE {OURS} AND (state <> 'idle' OR random() < 0.4)").fetchone()[0]
    assert hits >= 12 and retried(), "it really happened"
    fine(pipeline, one)


def test_the_server_crashes_under_load(pipeline, start, postgres, wait_for):
    pipeline.generate(4000, seed=52).send(500)
    one = start().ready()
    for _ in range(2):
        pipeline.send(500)
        postgres.restart(signal.SIGQUIT)  # immediate: no checkpoint, recovery from the log
        pipeline.send(500).caught_up()
    wait_for(lambda: one.get("/readyz")[0] == 200, "ready again", 20)
    assert one.metrics()["flightpath_flush_retries_total"] > 0
    fine(pipeline, one)


def test_a_dead_clients_commit_lands_late(pipeline, start, control, wait_for):
    """COMMIT is sent, its backend stands still, the client is killed, and a new replica claims.
    It waits for the row lock, and gets the position that the dead client's COMMIT left."""
    pipeline.generate(1500, seed=53)
    one = start(env={"FLIGHTPATH_FAULT": "after_copy:2:stop"})
    pipeline.send(1000)
    wait_for(lambda: "fault point after_copy: stop" in one.text(), "it holds the lock")
    pid, state = control.execute(
        "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'flightpath/flush'").fetchone()
    assert state == "idle in transaction"
    before = pipeline.positions()
    os.kill(pid, signal.SIGSTOP)
    try:
        one.signal(signal.SIGCONT)  # it sends the rest, and COMMIT, to a backend that stands still
        time.sleep(1)
        one.kill()
        heir = start()
        wait_for(lambda: control.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
            " application_name = 'flightpath/ingest' AND wait_event_type = 'Lock'").fetchone()[0],
            "the heir waits for the lock", 30)
        # what a plain SELECT shows now is what a wrong recovery would start from
        assert pipeline.positions() == before
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: len(heir.events("partition_claimed")) == 4, "the heir has claimed")
    claimed = {}
    for event in heir.events("partition_claimed"):
        part, offset = event["msg"].split(" at offset ")
        topic, number = part.split("/")
        claimed[(topic, int(number))] = int(offset.split(",")[0])
    assert claimed != before, "the dead client's COMMIT landed in between"
    fine(pipeline, heir)


def test_read_only_for_a_while(pipeline, start, control, wait_for):
    """As after a failover: new sessions cannot write, then they can."""
    pipeline.generate(1500, seed=54).send(300)
    one = start().ready()
    name = pipeline.database.name
    pipeline.caught_up()
    control.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    control.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
    pipeline.send(500)
    wait_for(lambda: one.get("/readyz")[0] == 503, "not ready", 20)
    wait_for(lambda: "25006: cannot execute" in one.text(), "it says why", 20)
    assert pipeline.counts()["consumed"] == 300
    control.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')
    pipeline.caught_up(20)
    wait_for(lambda: one.get("/readyz")[0] == 200, "ready again", 20)
    fine(pipeline, one)


def test_a_lock_is_held_for_long(pipeline, start, control, wait_for):
    """Longer than a write may take: it is broken off, and written when the lock is gone."""
    pipeline.generate(1500, seed=55).send(300)
    one = start(flush_deadline_ms=1500).ready()
    pipeline.caught_up()
    with pipeline.database.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE flightpath.tally_day IN ACCESS EXCLUSIVE MODE")
        pipeline.send(500)
        wait_for(lambda: one.metrics()["flightpath_flush_retries_total"] >= 2,
                 "it was tried again", 20)
        assert pipeline.counts()["consumed"] < 800
        assert one.get("/livez")[0] == 200
    pipeline.caught_up(20)
    fine(pipeline, one)


@pytest.fixture
def writer(database, pg):
    """A role with the rights of the daemon, and no more."""
    role = f"w_{database.name}"
    pg.execute(f'CREATE ROLE "{role}" LOGIN IN ROLE flightpath_writer')
    yield role
    pg.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
    pg.execute(f'DROP ROLE "{role}"')


def test_no_connection_is_left(pipeline, start, control, writer, wait_for):
    """53300, as a plain role with the writer's rights: it backs off, says so, and goes on."""
    pipeline.generate(1500, seed=56).send(300)
    conninfo = pipeline.database.conninfo.replace("user=postgres", f"user={writer}")
    one = start(postgres=conninfo).ready()
    pipeline.caught_up()
    control.execute(f'ALTER ROLE "{writer}" CONNECTION LIMIT 0')
    control.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                    (writer,))
    pipeline.send(500)
    # whoever needs it first says so: the flush, or reading on, for the id of a new name
    wait_for(lambda: any("too many connections" in e["msg"] for e in
                         one.events("flush_retry") + one.events("postgres_away")),
             "it says why", 20)
    assert one.get("/readyz")[0] == 503 and one.get("/livez")[0] == 200
    retries = one.metrics()["flightpath_flush_retries_total"]
    assert retries < 50, "it backs off"
    control.execute(f'ALTER ROLE "{writer}" CONNECTION LIMIT -1')
    pipeline.caught_up(20)
    fine(pipeline, one)


@pytest.mark.parametrize("change, code, hint", [
    (None, "schema_older", "flightpath migrate"),
    ("DELETE FROM flightpath.schema_migration WHERE version = (SELECT max(version)"
     " FROM flightpath.schema_migration)", "schema_older", "flightpath migrate"),
    ("INSERT INTO flightpath.schema_migration (version, name, sha256)"
     " VALUES (9999, '9999_of_the_future.sql', repeat('0', 64))", "schema_newer", "newer"),
    ("UPDATE flightpath.schema_migration SET sha256 = repeat('0', 64) WHERE version = 1",
     "migration_changed", "never changes"),
])
def test_a_schema_that_does_not_fit(pipeline, start, postgres, control, change, code, hint):
    options, empty = {}, None
    if change is None:
        empty = postgres.create()
        options["postgres"] = empty.conninfo
    else:
        control.execute(change)
    try:
        one = start(**options)
        assert one.wait(30) == 1
        message = one.events("fatal")[0]["msg"]
        assert message.startswith(code) and hint in message, message
        assert pipeline.positions() == {}, "nothing was read"
    finally:
        if empty:
            empty.drop()


def test_a_table_vanishes_while_it_runs(pipeline, start, control):
    """Not the data's fault and not a matter of waiting: it ends, and nothing is dead-lettered."""
    pipeline.generate(1000, seed=57).send(300)
    one = start().ready()
    pipeline.caught_up()
    control.execute("ALTER TABLE flightpath.ledger RENAME TO gone")
    pipeline.send(300)
    assert one.wait(30) == 1
    assert "42P01" in one.events("fatal")[0]["msg"]
    control.execute("ALTER TABLE flightpath.gone RENAME TO ledger")
    fine(pipeline, start())
