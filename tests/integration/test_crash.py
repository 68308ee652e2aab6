"""kill -9 and SIGSTOP, at random and at every named point: nothing is lost or counted twice."""

import random
import re
import signal
import time

import pytest
from support.paths import ROOT

STATIC = {"kafka.session.timeout.ms": 6000, "kafka.group.instance.id": "slot-0"}
BUSY = {"batch_messages": 200, "flush_ms": 20} | STATIC


def named_points():
    """Every fault point of the program."""
    sources = "".join(path.read_text() for path in (ROOT / "daemon").glob("*.c"))
    return sorted(set(re.findall(r'FP_POINT\("(\w+)"\)', sources)))


def join_and_leave(daemon, wait_for, one):
    """Another replica takes partitions over and gives them back: two rebalances."""
    def ended_or(condition, what):
        wait_for(lambda: condition() or one.process.poll() is not None, what)

    other = daemon(**(BUSY | {"kafka.group.instance.id": None}))
    ended_or(lambda: other.events("partition_claimed"), "the other has partitions")
    claimed = len(one.events("partition_claimed"))
    other.stop()
    ended_or(lambda: len(one.events("partition_claimed")) > claimed, "they come back")


@pytest.mark.long
def test_random_kills(pipeline, daemon, faults_bin, request):
    """kill -9 at random moments, restarts at once."""
    full = request.config.getoption("--full")
    seed, kills = random.randrange(10**6), 200 if full else 25
    print(f"seed {seed}, {kills} kills")
    moments = random.Random(seed)
    pipeline.generate(kills * 300, seed=31, bad_share=0.03)
    one = daemon(binary=faults_bin, start=False, **BUSY)
    survived = 0
    for _ in range(kills):
        one.start()
        pipeline.send(300)
        time.sleep(moments.uniform(0.05, 2.0))
        survived += bool(one.events("partition_claimed"))
        assert one.kill() == -signal.SIGKILL
    before = pipeline.counts()["consumed"]
    assert 0 < before, "some batches were written between kills"
    assert survived > kills / 4, "kills also came while it was reading"
    one.start()
    pipeline.send().caught_up()
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    pipeline.dead_letters_cover()


#: those of the watch and of what it sends are passed when days close: test_watch.py,
#: test_alerts_out.py
POINTS = [p for p in named_points() if not p.startswith(("watch_", "alerts_"))]
#: points that need more than messages to be reached again
REBALANCE = {"in_assign", "in_revoke"}


@pytest.mark.long
@pytest.mark.parametrize("nth", [1, 2])
def test_kill_at_every_point(pipeline, daemon, faults_bin, wait_for, nth):
    """One replica after the other dies at the next point, and the next one goes on from there."""
    assert len(POINTS) >= 11
    pipeline.generate(400 * len(POINTS) + 300, seed=32 + nth, bad_share=0.05)
    for point in POINTS:
        one = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": f"{point}:{nth}:kill"}, **BUSY)
        deadline = time.monotonic() + 40
        pipeline.send(150)
        wait_for(lambda: one.process.poll() is not None or one.events("partition_claimed"),
                 f"{point}: it starts")
        pipeline.send(150)
        while one.process.poll() is None and time.monotonic() < deadline:
            if point in REBALANCE:
                join_and_leave(daemon, wait_for, one)
            elif not pipeline.behind():  # all was committed in fewer batches than that
                pipeline.send(50)
            time.sleep(0.05)
        assert one.wait(5) == -signal.SIGKILL, f"{point} was passed {nth} times"
        assert f"fault point {point}: kill" in one.text()
        # what is committed at this moment is right, whatever was under way
        pipeline.clean()
    last = daemon(binary=faults_bin, **BUSY)
    pipeline.send().caught_up()
    assert last.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    pipeline.dead_letters_cover()


@pytest.mark.parametrize("point", ["after_lookup", "after_copy", "before_commit_send"])
def test_a_stopped_replica_wakes_up_as_a_zombie(pipeline, daemon, faults_bin, wait_for, point):
    """SIGSTOP in a transaction; another replica takes over; SIGCONT changes nothing."""
    options = {"batch_messages": 50, "flush_ms": 20, "flush_deadline_ms": 2000,
               "kafka.session.timeout.ms": 6000}
    pipeline.generate(1500, seed=35)
    zombie = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": f"{point}:3:stop"}, **options)
    pipeline.send(1000)
    wait_for(lambda: f"fault point {point}: stop" in zombie.text(), "it is stopped")
    stopped_at = pipeline.counts()["consumed"]
    assert stopped_at < 1000, "it was stopped in the middle of its work"
    heir = daemon(binary=faults_bin, **options)
    pipeline.caught_up(40)
    before = pipeline.epochs(), pipeline.counts(), pipeline.positions()
    zombie.signal(signal.SIGCONT)
    wait_for(lambda: zombie.metrics()["flightpath_fenced_total"] > 0
             or zombie.events("batch_dropped"), "the zombie is fenced", 20)
    assert (pipeline.counts(), pipeline.positions()) == before[1:]
    pipeline.send().caught_up(60)
    assert [one.stop() for one in (zombie, heir)] == [0, 0]
    epochs = pipeline.epochs()
    assert all(epochs[part] >= epoch for part, epoch in before[0].items())
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
