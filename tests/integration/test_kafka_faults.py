"""Kafka loses, replaces, adds, stands still and restarts: nothing is lost in silence."""

import json
import os
import signal
import time

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

OPTIONS = {"batch_messages": 200, "flush_ms": 20, "kafka.session.timeout.ms": 6000,
           "kafka.topic.metadata.refresh.interval.ms": 1000}


@pytest.fixture
def start(daemon, faults_bin):
    def make(**options):
        return daemon(binary=faults_bin, **(OPTIONS | options))
    return make


def touchpoint(number):
    """A touchpoint event that counts."""
    return json.dumps({
        "specversion": "1.0", "id": f"fault-{number}", "source": "/faults",
        "type": "experience.touchpoint.v1",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600)),
        "data": {"journey": "travel", "touchpoint": "bag_drop", "unit": "ams",
                 "outcome": "completed"}})


def put(kafka, topic, numbers, partition=0):
    for number in numbers:
        kafka.send(topic, touchpoint(number), partition=partition)
    kafka.flush()


def position(pipeline, topic, partition=0):
    return pipeline.positions()[(topic, partition)]


def halted(pipeline):
    return {(topic, part): why for topic, part, why in pipeline.query(
        "SELECT topic, partition, halted FROM flightpath.ingest_position WHERE halted IS NOT NULL")}


# ---- the log no longer holds the position


@pytest.fixture
def truncated(pipeline, start, kafka):
    """A partition read up to 100, whose log now begins at 150 and ends at 200."""
    topic = pipeline.topics.touchpoints
    put(kafka, topic, range(100))
    put(kafka, topic, range(1000, 1050), partition=1)
    assert start(until_caught_up=True).wait(30) == 0
    put(kafka, topic, range(100, 200))
    kafka.delete_records(topic, 0, 150)
    return topic


def test_expired_records_halt_the_partition(pipeline, start, kafka, truncated, wait_for):
    one = start().ready()
    put(kafka, truncated, range(1050, 1100), partition=1)
    wait_for(lambda: position(pipeline, truncated, 1) == 100, "the other partition goes on")
    assert list(halted(pipeline)) == [(truncated, 0)]
    assert "no longer holds the position" in halted(pipeline)[(truncated, 0)]
    assert f"{truncated}/0 stands still" in one.events("partition_halted")[0]["msg"]
    labels = f'{{topic="{truncated}",partition="0"}}'
    assert one.metrics()["flightpath_partition_halted" + labels] == 1
    assert position(pipeline, truncated) == 100 and one.stop() == 0
    assert pipeline.query("SELECT count(*) FROM flightpath.data_gap") == [(0,)]


def test_expired_records_are_skipped_and_written_down(pipeline, start, kafka, truncated):
    assert start(until_caught_up=True).wait(30) == 0, "halted first"
    assert start(until_caught_up=True, on_offset_lost="skip").wait(30) == 0
    assert pipeline.query(
        "SELECT topic, partition, from_offset, to_offset FROM flightpath.data_gap") == [
        (truncated, 0, 100, 150)]
    assert position(pipeline, truncated) == 200 and not halted(pipeline)
    assert pipeline.counts()["applied"] == 100 + 50 + 50
    skipped = pipeline.query("SELECT balanced, skipped FROM experience.ledger"
                             " WHERE topic = %s AND partition = 0", truncated)
    assert skipped == [(True, 50)]


def test_records_expire_while_it_reads(pipeline, start, kafka, wait_for):
    """The position is lost under a running replica: after a pause, the log begins beyond it."""
    topic = pipeline.topics.touchpoints
    put(kafka, topic, range(50))
    one = start().ready()
    wait_for(lambda: position(pipeline, topic) == 50, "it has read them")
    one.signal(signal.SIGSTOP)
    put(kafka, topic, range(50, 51))  # answers the fetch that waits at the broker
    put(kafka, topic, range(51, 250))
    kafka.delete_records(topic, 0, 200)
    one.signal(signal.SIGCONT)
    wait_for(lambda: halted(pipeline), "it halts", 30)
    assert one.stop() == 0
    assert position(pipeline, topic) == pipeline.counts()["applied"] in (50, 51)


# ---- another log under the same name


def replace(kafka, topic, count, first):
    kafka.delete_topic(topic)
    time.sleep(0.5)
    for attempt in range(20):
        try:
            kafka.create_topic(topic, 2)
            break
        except Exception:  # pylint: disable=broad-except
            assert attempt < 19
            time.sleep(0.5)
    put(kafka, topic, range(first, first + count))


@pytest.mark.parametrize("count, why", [
    (30, "ends before the position"), (200, "not the one that was applied")])
@pytest.mark.parametrize("window", [250_000, 0])
def test_a_topic_made_anew(pipeline, start, kafka, wait_for, count, why, window):
    """Deleted and created again, with fewer records than were read, or with more."""
    topic, other = pipeline.topics.touchpoints, pipeline.topics.responses
    put(kafka, topic, range(100))
    assert start(until_caught_up=True, dedup_window=window).wait(30) == 0
    replace(kafka, topic, count, 5000)
    one = start(dedup_window=window).ready()
    put(kafka, other, range(6000, 6010))
    wait_for(lambda: (topic, 0) in halted(pipeline), "it halts", 20)
    assert why in halted(pipeline)[(topic, 0)]
    wait_for(lambda: position(pipeline, other) == 10, "the others go on")
    assert position(pipeline, topic) == 100, "nothing of the new log was taken for the old"
    assert one.stop() == 0
    assert pipeline.counts()["applied"] == 110


def test_a_shorter_topic_made_anew_is_a_new_incarnation_when_told_to_skip(pipeline, start, kafka):
    topic = pipeline.topics.touchpoints
    put(kafka, topic, range(100))
    assert start(until_caught_up=True).wait(30) == 0
    replace(kafka, topic, 30, 5000)
    assert start(until_caught_up=True, on_offset_lost="skip").wait(30) == 0
    assert pipeline.query("SELECT incarnation, next_offset FROM flightpath.ingest_position"
                          " WHERE topic = %s AND partition = 0", topic) == [(2, 30)]
    assert pipeline.counts()["applied"] == 130
    ledger = pipeline.query("SELECT incarnation, consumed FROM flightpath.ledger WHERE topic = %s"
                            " AND partition = 0 ORDER BY 1", topic)
    assert ledger == [(1, 100), (2, 30)]


# ---- more partitions


def test_partitions_are_added_under_load(pipeline, start, kafka, wait_for):
    pipeline.generate(4000, seed=61).send(1000)
    two = [start().ready(), start()]
    pipeline.send(500)
    for topic in (pipeline.topics.touchpoints, pipeline.topics.responses):
        kafka.add_partitions(topic, 4)
    kafka.restart_producer()  # so that it sees them, too
    pipeline.send(1500)
    assert len(pipeline.ends()) == 8 and min(pipeline.ends().values()) > 0, "all get records"
    wait_for(lambda: len(pipeline.positions()) == 8, "the new ones are found", 30)
    pipeline.send().caught_up()
    assert [one.stop() for one in two] == [0, 0]
    first = pipeline.query("SELECT DISTINCT first_offset FROM flightpath.ingest_position")
    assert first == [(0,)], "new partitions are read from their beginning"
    # a subject's records now lie in two partitions, and between those there is no order: whether a
    # response was applied and then erased, or ignored since it was erased, is the daemon's to say
    found = [d for d in pipeline.differences() if not _only_classes(d)]
    assert not found, found[:5]
    assert not pipeline.query("SELECT topic FROM experience.ledger WHERE NOT balanced")


def _only_classes(difference):
    """Every record was counted; what differs is only as what."""
    return difference["what"] == "ledger" and all(
        difference["expected"][c] == difference["found"][c] for c in ("consumed", "rejected"))


# ---- the broker stands still, restarts


def test_the_broker_stands_still(pipeline, start, kafka):
    """Longer than the session lasts: the group is lost and found again."""
    pipeline.generate(3000, seed=62).send(1500)
    one = start().ready()
    pid = int(kafka.values["KAFKA_PID"])
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(10)
        assert one.get("/livez")[0] == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    pipeline.send().caught_up()
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


def test_the_broker_restarts(pipeline, start, kafka):
    pipeline.generate(3000, seed=63).send(1500)
    one = start().ready()
    kafka.restart()
    pipeline.send().caught_up()
    assert one.stop() == 0
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]


# ---- dead letters cannot be delivered


def bad(kafka, topic, size=10):
    kafka.send(topic, "x" * size, partition=0)
    kafka.flush()


def never_passed_unacknowledged(pipeline):
    """No commit has passed a reject that the dead-letter topic does not hold."""
    ledger = {tuple(row) for row in pipeline.query(
        'SELECT topic, partition, "offset" FROM flightpath.reject')}
    assert ledger <= set(pipeline.dead_letters())


def test_the_dead_letters_topic_is_missing(pipeline, start, kafka, wait_for):
    topic, letters = pipeline.topics.touchpoints, pipeline.topics.dead_letters
    kafka.delete_topic(letters)
    one = start(flush_deadline_ms=2000, **{"kafka.topic.metadata.propagation.max.ms": 1000}).ready()
    put(kafka, topic, range(20))
    wait_for(lambda: pipeline.counts()["applied"] == 20, "good records are counted")
    bad(kafka, topic)
    put(kafka, topic, range(20, 40))
    wait_for(lambda: one.metrics()["flightpath_flush_retries_total"] >= 2, "it tries again", 30)
    assert position(pipeline, topic) == 20, "the reject holds the position back"
    kafka.create_topic(letters)
    wait_for(lambda: position(pipeline, topic) == 41, "it goes on when the topic is there", 40)
    assert (topic, 0, 20) in pipeline.dead_letters()
    assert one.stop() == 0
    assert pipeline.clean().counts()["rejected"] == 1


def test_dead_letters_are_too_large_for_their_topic(pipeline, start, kafka, wait_for):
    topic, letters = pipeline.topics.touchpoints, pipeline.topics.dead_letters

    def limit(value):
        entry = ConfigEntry("max.message.bytes", str(value),
                            incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, letters, incremental_configs=[entry])
        for future in kafka.admin.incremental_alter_configs([resource]).values():
            future.result(30)

    limit(2000)
    one = start(flush_deadline_ms=2000).ready()
    put(kafka, topic, range(20))
    bad(kafka, topic, 10)
    bad(kafka, topic, 5000)
    put(kafka, topic, range(20, 40))
    wait_for(lambda: any("MSG_SIZE_TOO_LARGE" in e["msg"] for e in one.events("flush_retry")),
             "it says why", 30)
    assert position(pipeline, topic) <= 21
    never_passed_unacknowledged(pipeline)
    limit(1_000_000)
    wait_for(lambda: position(pipeline, topic) == 42, "it goes on", 40)
    never_passed_unacknowledged(pipeline)
    assert one.stop() == 0
    assert pipeline.clean().counts()["rejected"] == 2
