"""The whole way of a message without any fault: what is committed is what the stream comes to."""

import uuid

import confluent_kafka
import pytest

SMALL = {"batch_messages": 500, "flush_ms": 20}


def published(pipeline):
    """Every published number, without what depends on the order of arrival."""
    columns = ("kpi, bucket, unit, channel, n, value, ci_low, ci_high, target, attained, status,"
               " sum_value, sum_square, promoters, passives, detractors, top_box")
    return {view: sorted(pipeline.query(f"SELECT {columns} FROM experience.{view}"), key=repr)
            for view in ("kpi_hour", "kpi_day")}


@pytest.mark.long
def test_a_stream_of_everything_comes_out_exactly(pipeline, daemon, pg):
    pipeline.generate(60_000, seed=11, bad_share=0.02).send(40_000)
    first = daemon(until_caught_up=True)
    assert first.wait(120) == 0
    assert not pipeline.behind()
    pipeline.send()
    second = daemon(until_caught_up=True)
    assert second.wait(120) == 0
    counts = pipeline.clean().counts()
    truth = pipeline.stream.truth["counts"]
    assert counts == truth
    assert min(truth.values()) > 0, "every class is in the stream"
    # each record was read once: what the second took is what the first had left
    taken = [one.events("stopped")[0]["msg"] for one in (first, second)]
    assert taken[0].startswith("40000 messages") and taken[1].startswith("20000 messages")
    assert pipeline.dead_letters_cover() == 0
    # nothing is left for a third, and it changes nothing
    before = published(pipeline), pipeline.positions()
    third = daemon(until_caught_up=True)
    assert third.wait(60) == 0
    assert third.events("stopped")[0]["msg"].startswith("0 messages")
    assert (published(pipeline), pipeline.positions()) == before
    # quiet buckets move into lane 0: the same numbers from fewer rows
    fold = "SELECT flightpath.fold(now() + interval '1 year', 100000)"
    while pg.execute(fold).fetchone()[0]:
        pass
    lanes = pg.execute("SELECT max(lane) FROM flightpath.tally_day").fetchone()[0]
    assert lanes == 0
    assert published(pipeline) == before[0]
    pipeline.clean()


@pytest.mark.long
def test_the_size_of_a_batch_changes_nothing(pipeline, daemon, postgres, flightpath):
    """The same log read in large batches and in small ones, in two databases."""
    pipeline.generate(12_000, seed=12).send()
    assert daemon(until_caught_up=True).wait(60) == 0
    large = published(pipeline.clean())
    assert large["kpi_hour"] and large["kpi_day"]
    other = postgres.create()
    try:
        flightpath("migrate", postgres=other.conninfo, check=True)
        one = daemon(until_caught_up=True, postgres=other.conninfo, group=f"g.{other.name}",
                     **SMALL)
        assert one.wait(60) == 0
        pipeline.database = other
        assert published(pipeline) == large
        pipeline.clean()
        commits = pipeline.query("SELECT xact_commit FROM pg_stat_database WHERE datname = %s",
                                 other.name)[0][0]
        assert commits > 20, "there were many batches"
    finally:
        other.drop()


def test_two_replicas_share_the_work_in_lanes(pipeline, daemon, pg, wait_for):
    two = [daemon(**SMALL).ready() for _ in range(2)]

    def owners():
        return pipeline.query("SELECT count(DISTINCT owner), count(*)"
                              " FROM flightpath.ingest_position") == [(2, 4)]

    wait_for(owners, "both own partitions")
    pipeline.generate(12_000, seed=13).send().caught_up()
    assert [one.stop() for one in two] == [0, 0]
    lanes = {row[0] for row in pipeline.query("SELECT DISTINCT lane FROM flightpath.tally_day")}
    assert len(lanes) == 2, "each wrote into a lane of its own"
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    pg.execute("SELECT flightpath.fold(now() + interval '1 year', 1000000)")
    pipeline.clean()


def test_transactions_of_the_producer(pipeline, daemon, kafka, wait_for):
    """Committed records count, aborted ones do not, and control records leave no lag behind."""
    messages = pipeline.generate(1200, seed=14).stream.next()
    producer = confluent_kafka.Producer({
        "bootstrap.servers": kafka.bootstrap, "transactional.id": uuid.uuid4().hex, "log_level": 0})
    producer.init_transactions(30)
    counted = 0
    one = daemon(**SMALL).ready()
    for number, first in enumerate(range(0, len(messages), 200)):
        producer.begin_transaction()
        for m in messages[first:first + 200]:
            producer.produce(m["topic"], pipeline.value(m), m["key"], headers=m["headers"])
        producer.flush(30)  # an abort would take back what was not sent yet
        if number % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            counted += len(messages[first:first + 200])
    # the log ends with control records: the position passes them too
    pipeline.caught_up(30)
    assert pipeline.counts()["consumed"] == counted == 600
    assert sum(pipeline.ends().values()) > 1200, "aborted and control records take offsets"
    lag = "flightpath_lag_messages"
    wait_for(lambda: {v for k, v in one.metrics().items() if k.startswith(lag)} == {0}, "no lag")
    pipeline.clean()

    # an open transaction holds the log's readable end, and a restart meets it too
    producer.begin_transaction()
    producer.produce(messages[0]["topic"], b"{}", "open")
    producer.flush(10)
    assert one.stop() == 0
    assert daemon(until_caught_up=True).wait(30) == 0
    producer.abort_transaction(30)
    again = daemon(until_caught_up=True)
    assert again.wait(30) == 0
    pipeline.caught_up(5)
    assert pipeline.counts()["consumed"] == counted
    pipeline.clean()
