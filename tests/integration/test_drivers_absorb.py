"""From responses to the exact state of the driver models: driver_state is what the stored responses
and the events of their interactions come to, whatever happens on the way."""

import json
import signal
import time

import judge
import pytest
from judge_message import Reject, decode
from judge_model import Model, resolve

from support.driver_state import Event, expected, stored

OPTIONS = {"batch_messages": 300, "flush_ms": 50, "kafka.session.timeout.ms": 6000}
LEFT = ("SELECT (SELECT count(*) FROM flightpath.driver_log)"
        " + (SELECT count(*) FROM flightpath.driver_series WHERE current AND taken_up IS NULL)")


def events_of(pipeline):
    """The touchpoint events that were sent and are good, as far as joins see them."""
    model, found = Model(pipeline.model.read_text()), []
    for record in judge.read_kafka(pipeline.kafka.bootstrap, pipeline.ends()):
        try:
            e = decode(record)
            amounts = resolve(model, e, record)[1] if e and e.type == "touchpoint" else {}
        except Reject:
            continue
        if amounts and e.interaction:
            found.append(Event(e.touchpoint, e.interaction, e.time_us, e.source, e.id, amounts))
    return found


def absorbed(pg, wait_for, timeout=60):
    wait_for(lambda: pg.execute(LEFT).fetchone()[0] == 0, "everything is absorbed", timeout)


def check(pipeline, pg, events=None):
    """The database holds what it should. Returns it."""
    want = expected(pg, events_of(pipeline) if events is None else events)
    have = stored(pg)
    wrong = [key for key in want.keys() | have.keys() if want.get(key) != have.get(key)]
    assert not wrong, f"{len(wrong)} of {len(want)} states are wrong: {sorted(wrong)[:5]}"
    return have


def tasks_cover(pg):
    """Every state has its task, and the newest day is that of the newest state."""
    missing = pg.execute(
        "SELECT count(*) FROM flightpath.driver_state s WHERE NOT EXISTS"
        " (SELECT FROM flightpath.driver_task t WHERE t.series = s.series AND t.kind = s.kind"
        "  AND t.segment = CASE WHEN s.kind = 3 THEN 0 ELSE s.segment END)").fetchone()[0]
    assert missing == 0
    behind = pg.execute(
        "SELECT s.series FROM flightpath.driver_series s JOIN flightpath.driver_state t USING"
        " (series) GROUP BY s.series HAVING max(t.day) > max(s.newest)").fetchall()
    assert not behind


def test_the_state_is_what_the_responses_come_to(pipeline, daemon, pg, wait_for):
    pipeline.generate(6000, seed=71, bad_share=0.02).send()
    one = daemon(**OPTIONS)
    pipeline.caught_up()
    absorbed(pg, wait_for)
    assert one.stop() == 0
    have = check(pipeline, pg)
    tasks_cover(pg)
    assert {key[1] for key in have} >= {0, 3, 4}, "all, units, tenure"
    assert pg.execute("SELECT count(joined) FROM flightpath.driver_waiting").fetchone()[0] > 0
    assert any(max(cells[0] for cells in patterns.values()) > 1 for patterns in have.values())
    assert not one.events("drivers_waiting") and not one.events("driver_log_dropped")
    sides_are_tidied(daemon, pg, wait_for)
    assert stored(pg) == have


def sides_are_tidied(daemon, pg, wait_for):
    """Two months later: what was joined stays, the rest goes."""
    def sides():
        return pg.execute("SELECT count(*) FILTER (WHERE joined IS NULL), count(joined),"
                          " (SELECT count(*) FROM flightpath.driver_event)"
                          " FROM flightpath.driver_waiting").fetchone()

    alone, joined, events = sides()
    assert alone and joined and events
    for table in ("driver_waiting", "driver_event"):
        pg.execute(f"UPDATE flightpath.{table} SET arrived = arrived - interval '60 days'")
    one = daemon(**OPTIONS)
    wait_for(lambda: sides() == (0, joined, 0), "they are tidied")
    assert one.stop() == 0
    assert not one.events("drivers_waiting")


# ---- taking away

def response(pipeline, number, scores, revision=1, status="complete", interaction=None):
    data = {"audience": "customer", "survey": "s", "journey": "travel", "unit": "ams",
            "response": f"r-{number}", "revision": revision, "status": status, "scores": scores,
            "submitted_at": "2026-03-02T10:00:00Z"}
    if interaction:
        data |= {"touchpoint": "bag_drop", "interaction": interaction}
    body = {"specversion": "1.0", "id": f"r-{number}", "source": "/s", "subject": f"c-{number}",
            "type": "experience.response.v1", "time": "2026-03-02T10:00:00Z", "data": data}
    pipeline.kafka.send(pipeline.topics.responses, json.dumps(body), key="k",
                        timestamp_ms=1772445601000)


def test_what_is_taken_away_leaves_nothing(pipeline, daemon, kafka, topics, flightpath, pg,
                                           wait_for):
    def settled(consumed):
        kafka.flush()
        wait_for(lambda: pipeline.counts()["consumed"] == consumed, f"{consumed} messages")
        absorbed(pg, wait_for)
        return stored(pg)

    daemon(**OPTIONS).ready()
    response(pipeline, 1, {"recommend": 9, "crew_care": 4})
    before = settled(1)
    assert before == check(pipeline, pg, []) != {}
    response(pipeline, 2, {"recommend": 3, "crew_care": "na", "cabin_clean": None})
    response(pipeline, 3, {"recommend": 5, "crew_care": 2})
    response(pipeline, 4, {"recommend": 6, "crew_care": 3})
    assert len(check(pipeline, pg, [])) == len(settled(4)) and stored(pg) != before
    response(pipeline, 2, {"recommend": 8}, revision=2)
    assert settled(5) == check(pipeline, pg, [])
    response(pipeline, 2, {}, revision=3, status="void")
    response(pipeline, 3, {}, revision=2, status="void")
    assert settled(7) == check(pipeline, pg, []) != before
    flightpath("erase", "c-4", check=True, topics=topics.both,
               **{"kafka.bootstrap.servers": kafka.bootstrap})
    wait_for(lambda: stored(pg) == before, "the state is as it was")


# ---- crashes and replicas

@pytest.mark.parametrize("point", ["absorb_before_commit", "absorb_after_commit"])
def test_killed_while_absorbing(pipeline, daemon, faults_bin, pg, wait_for, point):
    pipeline.generate(3000, seed=72)
    for nth in (1, 2, 4):
        one = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": f"{point}:{nth}:kill"}, **OPTIONS)
        pipeline.send(800)
        assert one.wait(60) == -signal.SIGKILL
    last = daemon(binary=faults_bin, **OPTIONS)
    pipeline.send().caught_up()
    absorbed(pg, wait_for)
    assert last.stop() == 0
    check(pipeline, pg)


def test_two_replicas_absorb(pipeline, daemon, pg, wait_for):
    pipeline.generate(6000, seed=73)
    two = [daemon(**OPTIONS) for _ in range(2)]
    for _ in range(6):
        pipeline.send(1000)
        stored(pg)  # at every commit the bytes are true states
    pipeline.caught_up()
    absorbed(pg, wait_for)
    assert [one.stop() for one in two] == [0, 0]
    check(pipeline, pg)
    tasks_cover(pg)


# ---- another definition

def by_model(pg):
    """The states of the series that has no joins and lost a driver."""
    series = pg.execute("SELECT series FROM flightpath.driver_series WHERE current"
                        " AND model = 'nps_travel'").fetchone()[0]
    return {key[1:]: value for key, value in stored(pg).items() if key[0] == series}


def test_another_definition_takes_up_what_is_stored(pipeline, daemon, pg, wait_for, tmp_path):
    document = json.loads(pipeline.model.read_text())
    next(m for m in document["driver_models"] if m["id"] == "nps_travel")["drivers"].pop()
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(document))
    pipeline.generate(4000, seed=74).send()
    assert daemon(until_caught_up=True, **OPTIONS).wait(90) == 0
    absorbed(pg, wait_for)
    one = daemon(model=changed, **OPTIONS)
    wait_for(lambda: pg.execute("SELECT count(*) FROM flightpath.driver_series").fetchone()[0] == 8,
             "the series is there")
    absorbed(pg, wait_for)
    assert one.stop() == 0
    taken = by_model(pg)
    assert taken
    check(pipeline, pg)
    marks = pg.execute("SELECT count(*) FROM flightpath.response, unnest(fitted) f"
                       " JOIN flightpath.driver_series s ON s.series = f >> 32"
                       " WHERE s.model = 'nps_travel' AND s.current").fetchone()[0]
    assert marks == sum(cells[0] for key, patterns in taken.items() if key[0] == 0
                        for cells in patterns.values())


# ---- one model that cannot be absorbed

DAMAGED = "nps_travel"
SERIES = f"(SELECT series FROM flightpath.driver_series WHERE model = '{DAMAGED}' AND current)"


def left_of(pg):
    """Rows in the log, those of the damaged model and those of the others."""
    return pg.execute(f"SELECT count(*) FILTER (WHERE series = {SERIES}),"
                      f" count(*) FILTER (WHERE series <> {SERIES})"
                      " FROM flightpath.driver_log").fetchone()


def published(pg):
    """{model: n} of what is published about everybody."""
    return dict(pg.execute("SELECT model, n FROM experience.driver_fit WHERE segment = 'all'"))


def told_once(one, code):
    """The log names the model and what is wrong, and does not say it at every look."""
    time.sleep(2)  # ten looks
    (event,) = one.events("driver_not_absorbed")
    assert event["level"] == "error" and event["msg"].startswith(f"{DAMAGED}: {code}: ")
    assert not one.events("drivers_waiting")
    return event["msg"]


def is_healthy(one):
    """Messages are taken and results of the others appear: nothing a restart would mend."""
    assert one.get("/readyz")[0] == one.get("/livez")[0] == 200
    metrics = one.metrics()
    assert metrics["flightpath_ready"] == metrics["flightpath_live"] == 1
    assert metrics["flightpath_driver_rows_total"] > 0


def mended(pipeline, daemon, pg, wait_for):
    """Nothing was lost: the log kept it."""
    one = daemon(**OPTIONS)
    absorbed(pg, wait_for)
    assert one.stop() == 0 and not one.events("driver_not_absorbed")
    check(pipeline, pg)
    tasks_cover(pg)


def test_a_damaged_model_stops_no_other(pipeline, daemon, pg, wait_for):
    pipeline.generate(6000, seed=75).send(2000)
    one = daemon(drivers_refresh_ms=500, **OPTIONS).ready()
    pipeline.caught_up()
    absorbed(pg, wait_for)
    models = {m["id"] for m in json.loads(pipeline.model.read_text())["driver_models"]}
    wait_for(lambda: published(pg).keys() == models, "every model is published")
    wait_for(lambda: not pg.execute("SELECT FROM flightpath.driver_task WHERE dirty_at IS NOT NULL"
                                    " OR claimed_at IS NOT NULL").fetchall(), "all is solved")
    before = published(pg)
    pg.execute("UPDATE flightpath.driver_state SET state = state || '\\x00'"
               f" WHERE series = {SERIES}")

    pipeline.send().caught_up()
    wait_for(lambda: left_of(pg)[1] == 0, "the others are absorbed")
    wait_for(lambda: {m for m, n in published(pg).items() if n > before[m]} == models - {DAMAGED},
             "the others are published")
    assert "restore" in told_once(one, "driver_state_corrupt")
    assert left_of(pg)[0] > 0 and published(pg)[DAMAGED] == before[DAMAGED]
    is_healthy(one)
    assert one.stop() == 0

    drained = daemon(until_caught_up=True, **OPTIONS)
    assert drained.wait(60) == 0, "a drain does not wait for the damaged model"
    assert len(drained.events("driver_not_absorbed")) == 1 and left_of(pg)[0] > 0
    pg.execute("UPDATE flightpath.driver_state SET state = substr(state, 1, length(state) - 1)"
               f" WHERE series = {SERIES}")
    mended(pipeline, daemon, pg, wait_for)


def test_a_model_that_takes_nothing_up_stops_no_other(pipeline, daemon, pg, wait_for):
    pg.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " RAISE 'not this one' USING ERRCODE = '22023'; END $$")
    pg.execute("CREATE TRIGGER refuse BEFORE UPDATE OF scan_source ON flightpath.driver_series"
               f" FOR EACH ROW WHEN (old.model = '{DAMAGED}') EXECUTE FUNCTION refuse()")
    pipeline.generate(1500, seed=76).send()
    one = daemon(**OPTIONS).ready()
    pipeline.caught_up()
    wait_for(lambda: left_of(pg)[1] == 0 and pg.execute(LEFT).fetchone()[0] == 1 + left_of(pg)[0],
             "the others are taken up and absorbed")
    assert "not this one" in told_once(one, "22023")
    is_healthy(one)
    assert one.stop() == 0
    pg.execute("DROP FUNCTION refuse() CASCADE")
    mended(pipeline, daemon, pg, wait_for)
