"""A million messages, 25 times kill -9, replicas that come and go: every figure is still exact."""

import random
import time

import judge
import pytest
from judge_model import Model

MESSAGES, KILLS = 1_000_000, 25


@pytest.mark.full
@pytest.mark.partitions(4)
def test_a_million_messages_under_kills(pipeline, daemon, flightpath, kafka, topics, model,
                                        subject_key, tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    options = {"batch_messages": 5000, "flush_ms": 200, "kafka.session.timeout.ms": 6000}
    steady = daemon(start=False, **options, **{"kafka.group.instance.id": "steady"})
    guest = daemon(start=False, **options)
    started = time.monotonic()
    steady.start()
    flightpath("generate", check=True, timeout=900, model=model, topics=topics.both,
               messages=MESSAGES, seed=5, bad_share=0.01, truth=tmp_path / "truth.json",
               **{"kafka.bootstrap.servers": kafka.bootstrap})
    generated = time.monotonic() - started
    alive = 0
    for kill in range(KILLS):
        time.sleep(moments.uniform(0.2, 2.5))
        alive += steady.process.poll() is None
        steady.kill()
        if kill % 8 == 2:
            guest.start()
        if kill % 8 == 5:
            assert guest.stop() == 0
        steady.start()
    assert alive == KILLS, "it was alive each time"
    pipeline.caught_up(600)
    caught_up = time.monotonic() - started
    for one in (steady, guest):
        if one.process.poll() is None:
            assert one.stop() == 0

    truth = judge.json.loads((tmp_path / "truth.json").read_text())["counts"]
    counts = pipeline.counts()
    assert counts == truth and counts["consumed"] == MESSAGES
    balanced = pipeline.query("SELECT bool_and(balanced), count(*) FROM experience.ledger")
    assert balanced == [(True, 8)]
    again = pipeline.dead_letters_cover()
    verified = time.monotonic()
    done = flightpath("verify", timeout=600, postgres=pipeline.database.conninfo,
                      topics=topics.both, subject_key_file=subject_key,
                      dead_letters_topic=topics.dead_letters,
                      **{"kafka.bootstrap.servers": kafka.bootstrap})
    assert done.code == 0, done.out + done.err
    verified = time.monotonic() - verified
    judged = time.monotonic()
    with pipeline.database.connect() as connection:
        records = judge.read_kafka(kafka.bootstrap, pipeline.positions())
        # which of two mistakes in one record is told first is left open: compare the sets
        differences = judge.judge(Model(model.read_text()), records, connection, reasons=False)
    assert not differences, differences[:5]
    rows = pipeline.query("SELECT (SELECT count(*) FROM experience.kpi_hour),"
                          " (SELECT count(*) FROM experience.kpi_day)")[0]
    epochs = sum(pipeline.epochs().values())
    print(f"{MESSAGES} messages, generated in {generated:.0f} s, committed after {caught_up:.0f} s;"
          f" {KILLS} kills, {epochs} claims, {again} dead letters sent again; {counts};"
          f" verify {verified:.0f} s; the judge agrees on {rows[0]} + {rows[1]} published rows"
          f" after {time.monotonic() - judged:.0f} s")
