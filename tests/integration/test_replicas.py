"""Replicas come and go under load: who owns a partition is decided in PostgreSQL."""

import re
import signal
import time

import pytest

OPTIONS = {"batch_messages": 300, "flush_ms": 20, "kafka.session.timeout.ms": 6000}


def taken(one):
    """How many messages it took from the log, as it says itself when it stops."""
    return int(re.match(r"(\d+) messages", one.events("stopped")[0]["msg"])[1])


def owners(pipeline):
    return pipeline.query("SELECT count(DISTINCT owner) FROM flightpath.ingest_position")[0][0]


@pytest.mark.long
def test_join_leave_join(pipeline, daemon, faults_bin, wait_for):
    """One, two, three replicas, then one leaves and another comes, all under load."""
    def replica():
        return daemon(binary=faults_bin, **OPTIONS)

    pipeline.generate(18_000, seed=41, bad_share=0.02)
    replicas = [replica()]
    pipeline.send(3000)
    for count in (2, 3):
        before = pipeline.epochs()
        replicas.append(replica())
        pipeline.send(3000)
        wait_for(lambda: owners(pipeline) == count, f"{count} replicas own partitions", 40)
        epochs = pipeline.epochs()
        assert all(epochs[part] >= before.get(part, 0) for part in epochs)
        assert sum(epochs.values()) > sum(before.values()), "what moved has a new epoch"
        pipeline.clean()  # at every commit, also now
    left = replicas.pop(0)
    assert left.stop() == 0
    pipeline.send(3000)
    replicas.append(replica())
    pipeline.send(3000)
    wait_for(lambda: owners(pipeline) == 3, "three again", 40)
    pipeline.send().caught_up()
    assert [one.stop() for one in replicas] == [0, 0, 0]
    # clean hand-overs: every message was taken exactly once
    assert sum(map(taken, [left, *replicas])) == 18_000
    assert not any(one.events("batch_dropped") for one in [left, *replicas])
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    assert pipeline.dead_letters_cover() == 0


@pytest.mark.parametrize("times", [1, 2])
def test_sigterm_drains(pipeline, daemon, faults_bin, wait_for, times):
    """SIGTERM under load: what was taken is written, quickly, and nothing is read twice."""
    pipeline.generate(15_000, seed=42, bad_share=0.02).send()
    one = daemon(binary=faults_bin, **OPTIONS)
    wait_for(lambda: pipeline.counts()["consumed"] > 0, "it is at work", 30, 0.01)
    started = time.monotonic()
    for _ in range(times):
        one.signal(signal.SIGTERM)
    assert one.wait(30) == 0
    assert time.monotonic() - started < 10
    consumed = pipeline.counts()["consumed"]
    assert taken(one) == consumed == sum(pipeline.positions().values()) < 15_000, "in the middle"
    rest = daemon(binary=faults_bin, until_caught_up=True, **OPTIONS)
    assert rest.wait(60) == 0
    assert taken(rest) == 15_000 - consumed
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    assert pipeline.dead_letters_cover() == 0, "no dead letter was sent twice"


@pytest.mark.parametrize("point", ["in_assign", "in_revoke"])
def test_sigterm_during_a_rebalance(pipeline, daemon, faults_bin, wait_for, point):
    """The signal comes while partitions are on their way from one replica to another."""
    pipeline.generate(9000, seed=43).send(3000)
    first = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": "in_revoke:1:sleep=800"}, **OPTIONS)
    wait_for(lambda: pipeline.counts()["consumed"] > 0, "it is at work", 30, 0.01)
    second = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": "in_assign:2:sleep=800"}, **OPTIONS)
    pipeline.send(3000)
    one, other = (first, second) if point == "in_revoke" else (second, first)
    wait_for(lambda: f"fault point {point}" in one.text(), "the rebalance is under way", 40, 0.01)
    one.signal(signal.SIGTERM)
    assert one.wait(30) == 0
    pipeline.send().caught_up()
    assert other.stop() == 0
    assert taken(first) + taken(second) == 9000
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_two_replicas_with_the_same_instance_id(pipeline, daemon, faults_bin, wait_for):
    """A mistake of configuration: the broker lets one of them in, the other ends and says why."""
    pipeline.generate(2000, seed=44).send(1000)
    options = OPTIONS | {"kafka.group.instance.id": "the-same"}
    two = [daemon(binary=faults_bin, **options).ready()]
    two.append(daemon(binary=faults_bin, **options))
    wait_for(lambda: any(one.process.poll() is not None for one in two), "one of them ends", 40)
    pipeline.send()
    loser, winner = sorted(two, key=lambda one: one.process.poll() is None)
    assert loser.wait() == 1
    assert "kafka_fatal" in loser.events("fatal")[0]["msg"]
    pipeline.caught_up()
    assert winner.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
