"""The COMMIT is cut, lost or late: its outcome is unknown, and still each record counts once."""

import time

import pytest
from proxy import COMMITTED_BYTES, REPLY_BYTES, REQUEST_BYTES, Fault, Proxy

#: one message a batch or so: a COMMIT is always near
QUICK = {"batch_messages": 20, "flush_ms": 10, "flush_deadline_ms": 1000,
         "kafka.session.timeout.ms": 6000}


@pytest.fixture
def proxy(postgres):
    with Proxy(postgres.port) as one:
        yield one


@pytest.fixture
def through(proxy, daemon, database, faults_bin):
    """A daemon that reaches PostgreSQL through the proxy only."""
    def make(**options):
        conninfo = f"host=127.0.0.1 port={proxy.port} dbname={database.name} user=postgres"
        return daemon(binary=faults_bin, postgres=conninfo, **(QUICK | options))
    return make


def strike(proxy, pipeline, faults, wait_for):
    """Lets one fault after the other happen, under a steady trickle of messages."""
    for fault in faults:
        struck = len(proxy.struck)
        proxy.arm(fault)
        pipeline.send(8)
        wait_for(lambda: len(proxy.struck) > struck, f"{fault} happens", 30, 0.01)
        # each fault strikes a fresh batch, so that waits between retries do not add up
        wait_for(lambda: sum(pipeline.positions().values()) == pipeline.stream.sent,
                 f"what {fault} struck is committed", 30, 0.02)


def test_cut_at_every_byte_of_a_commit(proxy, through, pipeline, wait_for):
    """The request at every byte, the reply at every byte, closed and reset."""
    ways = ("cut", "reset")
    requests = [Fault("request", n, ways[n % 2]) for n in range(REQUEST_BYTES + 1)]
    replies = [Fault("reply", n, ways[n % 2]) for n in range(-1, REPLY_BYTES)]
    pipeline.generate(8 * (len(requests) + len(replies)) + 200, seed=21)
    one = through().ready()
    strike(proxy, pipeline, requests + replies, wait_for)
    pipeline.send().caught_up()
    unknown = one.metrics()["flightpath_flush_unknown_total"]
    assert one.stop() == 0
    assert proxy.struck == requests + replies
    # whoever has read "COMMIT" knows; everybody else has to look it up
    assert unknown == sum(fault.after < COMMITTED_BYTES for fault in replies) + len(requests)
    assert one.events("commit_unknown")
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


@pytest.mark.long
def test_commits_of_the_driver_models_are_cut(postgres, daemon, database, faults_bin, pipeline,
                                              wait_for):
    """Absorbing and solving are transactions of their own: cut anywhere, nothing counts twice."""
    faults = [Fault(direction, after, how) for how in ("cut", "reset")
              for direction, after in (("request", 0), ("request", 30), ("request", REQUEST_BYTES),
                                       ("reply", -1), ("reply", 0), ("reply", COMMITTED_BYTES))]
    pipeline.generate(100 * 3 * len(faults), seed=24)
    with Proxy(postgres.port, application="flightpath/drivers") as proxy:
        conninfo = f"host=127.0.0.1 port={proxy.port} dbname={database.name} user=postgres"
        one = daemon(binary=faults_bin, postgres=conninfo, flush_ms=20,
                     drivers_refresh_ms=100).ready()
        for fault in faults * 3:
            struck = len(proxy.struck)
            proxy.arm(fault)
            pipeline.send(100)
            wait_for(lambda: len(proxy.struck) > struck, f"{fault} happens", 30, 0.02)
        pipeline.caught_up()
        assert one.stop() == 0
    daemon(until_caught_up=True).wait(120)
    assert pipeline.query("SELECT count(*) FROM flightpath.driver_log") == [(0,)]
    assert pipeline.query("SELECT count(*) FROM flightpath.driver_task"
                          " WHERE dirty_at IS NOT NULL OR claimed_at IS NOT NULL") == [(0,)]
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_nothing_moves_any_more(proxy, through, pipeline, wait_for):
    """Black holes: the deadline breaks the wait off, and what the server holds is released."""
    faults = [Fault("middle", 0, "hole"),
              Fault("request", 0, "hole"), Fault("request", REQUEST_BYTES, "hole"),
              Fault("reply", -1, "hole"), Fault("reply", 7, "hole")]
    pipeline.generate(400, seed=22)
    one = through().ready()
    for fault in faults:
        started = time.monotonic()
        strike(proxy, pipeline, [fault], wait_for)
        pipeline.caught_up(30)
        assert time.monotonic() - started < 15, f"{fault} takes long to get over"
    pipeline.send().caught_up()
    assert one.metrics()["flightpath_flush_unknown_total"] >= len(faults) - 1
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_a_shutdown_ends_in_time_when_nothing_answers(proxy, through, pipeline, wait_for):
    pipeline.generate(600, seed=25)
    one = through(flush_deadline_ms=60000, shutdown_ms=6000).ready()
    pipeline.send(300).caught_up()
    proxy.black_hole.set()
    pipeline.send()
    time.sleep(0.5)
    started = time.monotonic()
    assert one.stop(30) == 1, "something was left: not 0"
    assert time.monotonic() - started < 9
    assert pipeline.behind(), "nothing was written meanwhile"
    proxy.black_hole.clear()
    proxy.cut_all()
    assert through(until_caught_up=True).wait(60) == 0
    assert not pipeline.behind()
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_late_answers_are_waited_for(proxy, through, pipeline, wait_for):
    """Slow is not lost: below the deadline nothing is retried."""
    faults = [Fault("request", 0, "late", 0.4), Fault("reply", 0, "late", 0.4)] * 2
    pipeline.generate(200, seed=23)
    one = through().ready()
    strike(proxy, pipeline, faults, wait_for)
    pipeline.send().caught_up()
    assert one.stop() == 0
    assert not one.events("commit_unknown") and not one.events("flush_retry")
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_every_connection_is_a_black_hole_for_a_while(proxy, through, pipeline, wait_for):
    pipeline.generate(3000, seed=24).send(1000)
    one = through(flush_deadline_ms=2000).ready()
    proxy.black_hole.set()
    pipeline.send()
    wait_for(lambda: one.get("/readyz")[0] == 503, "not ready", 30)
    assert one.get("/livez")[0] == 200
    proxy.black_hole.clear()
    pipeline.caught_up()
    wait_for(lambda: one.get("/readyz")[0] == 200, "ready again", 30)
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
