"""A record that PostgreSQL cannot store: it alone is found, told and passed by."""

import json
import time

OPTIONS = {"flush_ms": 100, "kafka.session.timeout.ms": 6000}
DAY = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86400))
FULL = 2**63 - 1


def event(number, unit):
    return json.dumps({
        "specversion": "1.0", "id": f"poison-{number}", "source": "/faults",
        "type": "experience.touchpoint.v1", "time": f"{DAY}T12:00:00Z",
        "data": {"journey": "travel", "touchpoint": "bag_drop", "unit": unit,
                 "outcome": "completed", "measures": {"attempts": 2}}})


def test_one_record_overflows_a_sum(pipeline, daemon, kafka, pg, faults_bin, wait_for):
    """A tally stands just below 2^63: what adds to it fails, and takes its whole batch along."""
    topic, rejected = pipeline.topics.touchpoints, []

    def send(number, unit, partition):
        kafka.send(topic, event(number, unit), partition=partition)
        if unit == "osl":
            rejected.append((partition, number // 2))

    for number in range(4):
        kafka.send(topic, event(number, "osl"), partition=number % 2)
    kafka.flush()
    assert daemon(binary=faults_bin, until_caught_up=True, **OPTIONS).wait(30) == 0
    planted = pg.execute(
        "UPDATE flightpath.tally_day t SET n = %s FROM flightpath.kpi k, flightpath.name u"
        " WHERE k.series = t.series AND k.kpi = 'bag_drop_attempts' AND u.kind = 0"
        " AND u.id = t.unit AND u.name = 'osl' AND t.n = 4 RETURNING t.lane", (FULL,)).fetchall()
    assert len(planted) == 1

    for number in range(4, 1004):  # two of them add to the planted sum, one in each partition
        send(number, "osl" if number in (300, 701) else "ams", number % 2)
    kafka.flush()
    one = daemon(binary=faults_bin, **OPTIONS)
    pipeline.caught_up()
    assert pipeline.query(
        'SELECT partition, "offset", reason FROM flightpath.reject ORDER BY 1') == [
        (part, offset, "poison") for part, offset in sorted(rejected)]
    detail = pipeline.query("SELECT detail FROM flightpath.reject LIMIT 1")[0][0]
    assert "22003" in detail and "bigint out of range" in detail
    assert set(pipeline.dead_letters()) == {(topic, part, offset) for part, offset in rejected}
    counts = pipeline.counts()
    assert (counts["applied"], counts["rejected"]) == (1002, 2), "all others count"
    assert one.metrics()["flightpath_poisoned_total"] >= 2 and one.events("batch_poisoned")

    # nothing lingers: later batches are whole again, and what was planted was not touched
    flushes = one.metrics()["flightpath_flush_seconds_count"]
    for number in range(1004, 2004):
        send(number, "ams", number % 2)
    kafka.flush()
    wait_for(lambda: pipeline.counts()["applied"] == 2002, "they are counted")
    assert one.metrics()["flightpath_flush_seconds_count"] - flushes < 20
    assert one.stop() == 0
    assert pipeline.query("SELECT n FROM flightpath.tally_day WHERE n > 1000000") == [(FULL,)]

    # without the planted sum the rest is what the log comes to, less these two records
    pg.execute("UPDATE flightpath.tally_day SET n = 4 WHERE n = %s", (FULL,))
    differences = pipeline.differences()
    records = [d["key"] for d in differences if d["what"] == "reject"]
    assert sorted(key[1:] for key in records) == sorted(rejected)
    cells = [d for d in differences if d["what"] in ("tally_hour", "tally_day", "coverage_day")]
    assert cells and all(d["key"][2] == "osl" for d in cells if d["what"] != "coverage_day")
