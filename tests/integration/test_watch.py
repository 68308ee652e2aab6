# SPDX-License-Identifier: GPL-3.0-or-later
"""KPIs watched through the whole path: from answers in Kafka to alerts and what is sent of them."""

import datetime
import json
import re
import signal

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from support.paths import ROOT
from support.watch import MODEL, UNITS, Grove, Plan, today
from support.wait import wait_for

SCHEMA = json.loads((ROOT / "schemas" / "events" / "experience.alert.v1.schema.json").read_text())
#: what does not depend on how often it was looked, nor on when
STABLE = ("fingerprint", "incident", "kpi", "scope", "kind", "level", "state", "verdict", "since",
          "started_at", "ended_at", "how", "size", "ci_low", "ci_high", "n", "z", "before")


@pytest.fixture
def grove(kafka, topics, database, daemon, tmp_path):
    return Grove(kafka, topics, database, daemon, tmp_path)


def days_ago(moment):
    return (today() - moment.astimezone(datetime.timezone.utc).date()).days


def events(grove):
    """(kpi, scope, event) of each message, checked against the schema and against each other."""
    bodies = grove.messages()
    judge = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
    for body in bodies:
        judge.validate(body)
        data = body["data"]
        assert body["id"] == f"{data['fingerprint']}-{data['revision']}"
    seen = {}
    for body in bodies:
        fingerprint, revision = body["data"]["fingerprint"], body["data"]["revision"]
        assert revision == seen.get(fingerprint, -1) + 1, "one after the other, none twice"
        seen[fingerprint] = revision
    return [(b["data"]["kpi"], b["data"]["scope"], b["data"]["event"]) for b in bodies]


def test_a_step_of_one_kpi(grove):
    """Everywhere at once, for the worse: one incident, with its size, and one message."""
    grove.send(Plan(seed=3).shift(25, -1, kpi="ease").messages()).run()
    found = grove.alerts("kpi = 'ease' AND scope = 'all'")
    assert len(found) == 1, found
    alert = found[0]
    assert alert["level"] == 0 and alert["kind"] == "change" and alert["worse"]
    assert alert["verdict"] == "shift" and alert["posterior"] > .8
    assert 22 <= days_ago(alert["started_at"]) <= 27
    assert alert["since"] >= alert["started_at"]
    assert alert["ci_low"] < -1.1 < alert["ci_high"], "SD 1.1, clipped and rounded"
    assert alert["ci_low"] < alert["size"] < alert["ci_high"] < 0
    assert 4.5 < alert["before"] < 5.5 and alert["n"] >= 20 * 24
    assert "easy" in alert["text"] or "ease" in alert["text"]
    assert alert["owner"] == "ann" and alert["unit"] is None
    assert not grove.alerts("kpi = 'advice' AND level = 0 AND kind = 'change'")
    told = [e for e in events(grove) if e[:2] == ("ease", "all")]
    assert told[0][2] in ("opened", "resolved")


def test_a_step_of_one_unit(grove):
    """All KPIs of one unit: its own series, not those of the others."""
    more = dict.fromkeys(set(UNITS) - {"cedar"}, 20)  # it hardly moves what they are set against
    grove.send(Plan(seed=4, more=more).shift(12, 1.2, unit="cedar").messages()).run()
    units = grove.alerts("level = 1")
    assert [a["scope"] for a in units] == ["unit:cedar"]
    assert units[0]["kpi"] == "*" and not units[0]["worse"] and units[0]["size"] > .5
    assert units[0]["severity"] == "info"
    joined = grove.alerts("level = 2 AND unit = 'cedar'")
    assert joined and {a["incident"] for a in joined} == {units[0]["fingerprint"]}
    events(grove)


def test_nothing_happened(grove):
    grove.send(Plan(seed=5, days=120).messages()).run()
    assert grove.alerts() == [] and grove.messages() == []
    rows = grove.query("SELECT level_name, series, threshold, expected_by_chance, found"
                       " FROM experience.alert_budget ORDER BY level")
    assert [r[:2] for r in rows] == [("kpi", 2), ("unit", 4), ("unit_kpi", 8)]
    assert all(3.3 <= r[2] <= 6 and 0 < r[3] < 4 and r[4] == 0 for r in rows)
    assert {s for s, in grove.query("SELECT DISTINCT state FROM experience.watch_series")} == {
        "quiet"}


def test_looked_at_again_or_in_pieces(grove, kafka, topics, postgres, daemon, tmp_path, flightpath):
    """What is found depends on the answers, not on how often somebody looked."""
    plan = Plan(seed=6).shift(30, -1, kpi="advice").change(75, 70, -1.2, unit="ash")
    messages = plan.messages()
    grove.send(messages).run()
    whole, told = grove.alerts(), grove.messages()
    assert len(whole) >= 2
    grove.run()
    assert grove.messages() == told and grove.alerts() == whole, "nothing new, nothing written"
    grove.send(messages[:30]).run()
    assert grove.messages() == told, "answers that are known already"
    other = postgres.create()
    try:
        flightpath("migrate", postgres=other.conninfo, check=True)
        folder = tmp_path / "other"
        folder.mkdir()
        twin = Grove(kafka, topics, other, lambda **more: daemon(
            **({"postgres": other.conninfo, "group": other.name} | more)), folder)
        twin.run()
        stable = [[{k: a[k] for k in STABLE} for a in one.alerts()] for one in (grove, twin)]
        assert stable[0] == stable[1]
    finally:
        wait_for(lambda: twin.query("SELECT count(*) FROM pg_stat_activity WHERE datname = %s",
                                    other.name)[0][0] == 1, "nobody is connected")
        other.drop()


def test_day_by_day(grove):
    """Pieces of the stream, judged as they come: the same episodes, told from their beginning."""
    plan = Plan(seed=8, days=140).change(40, 30, -1.3, kpi="ease")
    grove.send(plan.messages(140, 36)).run()
    # the last 35 days are missing: that is told, and then is over
    assert {a["kind"] for a in grove.alerts("firing = 1")} >= {
        "no_data"}
    grove.send(plan.messages(35, 1)).run()
    alert, = grove.alerts("kpi = 'ease' AND level = 0 AND kind = 'change'")
    assert alert["state"] == "resolved" and alert["how"] in ("recovered", "calm", "new_level")
    told = events(grove)
    assert told.count(("ease", "all", "resolved")) >= 1
    assert all(a["how"] == "data" for a in grove.alerts("kind = 'no_data'"))


def test_late_answers_take_it_back(grove):
    """Three bad days; then most of their answers come, and they were as always."""
    plan = Plan(seed=9).change(3, 0, -2.5, kpi="ease")
    grove.send(plan.messages()).run()
    alert, = grove.alerts("kpi = 'ease' AND level = 0 AND kind = 'change'")
    assert alert["firing"] == 1 and alert["worse"] and alert["state"] in ("pending", "firing")
    late = Plan(seed=10)
    grove.send([m for back in (3, 2, 1) for unit in UNITS
                for m in (late.response(back, unit, n) for n in range(10, 20))]).run()
    middle, = grove.alerts("kpi = 'ease' AND level = 0 AND kind = 'change'")
    assert middle["fingerprint"] == alert["fingerprint"]
    assert middle["state"] == "withdrawn" or abs(middle["size"]) < abs(alert["size"])
    # void the bad ones: nothing is left of it
    bad = [m for m in plan.messages(3, 1)]
    for m in bad:
        m["data"] |= {"status": "void", "revision": 2}
        m["data"]["scores"] = {}
    grove.send(bad).run()
    gone, = grove.alerts("kpi = 'ease' AND level = 0 AND kind = 'change'")
    assert gone["fingerprint"] == alert["fingerprint"]
    assert gone["state"] == "withdrawn" and gone["how"] == "withdrawn" and gone["firing"] == 0
    told = [e for k, s, e in events(grove) if (k, s) == ("ease", "all")]
    assert told[0] == "opened" and told[-1] == "withdrawn" and told.count("withdrawn") == 1


def test_answers_stop_and_come_again(grove):
    """All KPIs: one incident, one message; units are not told on top. It ends with answers."""
    grove.send(Plan(seed=11, days=100).quiet(5).messages()).run()
    found = grove.alerts("kind = 'no_data'")
    assert [(a["kpi"], a["unit"]) for a in found] == [("advice", None), ("ease", None)]
    assert len({a["incident"] for a in found}) == 1
    assert {days_ago(a["started_at"]) for a in found} == {5}
    assert all(a["state"] == "no_data" and a["n"] is None and not a["worse"] for a in found)
    assert len(grove.messages()) == 1 and events(grove)[0][2] == "opened"
    assert "No answers" in grove.messages()[0]["data"]["text"]
    now = grove.query("SELECT kpi, value, state FROM experience.alert_now WHERE unit = ''")
    assert sorted(now) == [("advice", 0, "no_data"), ("ease", 0, "no_data")]
    grove.run()
    assert len(grove.messages()) == 1
    plan = Plan(seed=12)
    grove.send(plan.messages(3, 1)).run()
    assert {(a["state"], a["how"]) for a in grove.alerts("kind = 'no_data'")} == {
        ("resolved", "data")}
    assert [e for _, _, e in events(grove)][:2] == ["opened", "resolved"]
    assert days_ago(grove.alerts("kind = 'no_data'")[0]["ended_at"]) == 3


def test_a_backlog_is_no_silence(grove):
    """Nothing is judged beyond what a partition that is behind has reached."""
    grove.run()  # the model
    grove.query("INSERT INTO flightpath.ingest_position (topic, partition, first_offset,"
                " next_offset, high_offset, last_event_at) VALUES ('elsewhere', 0, 0, 5, 10,"
                " clock_timestamp() - interval '8 days') RETURNING 1")
    grove.send(Plan(seed=11, days=100).quiet(5).messages()).run()
    assert grove.alerts() == []
    reached = (today() - datetime.date(1970, 1, 1)).days - 9
    assert grove.query("SELECT judged FROM flightpath.watch_lease") == [(reached,)]
    grove.query("UPDATE flightpath.ingest_position SET next_offset = 10"
                " WHERE topic = 'elsewhere' RETURNING 1")
    grove.run()
    assert {a["kind"] for a in grove.alerts()} == {"no_data"}
    # behind again, and further back than what was judged: it waits
    grove.query("UPDATE flightpath.ingest_position SET high_offset = 11"
                " WHERE topic = 'elsewhere' RETURNING 1")
    plan = Plan(seed=12)
    grove.send(plan.messages(3, 1)).run()
    assert {a["state"] for a in grove.alerts()} == {"no_data"}
    grove.query("UPDATE flightpath.ingest_position SET next_offset = 11"
                " WHERE topic = 'elsewhere' RETURNING 1")
    grove.run()
    assert {a["state"] for a in grove.alerts()} == {"resolved"}


def test_one_unit_stops(grove):
    plan = Plan(seed=13, days=100, each=12)
    sent = [m for m in plan.messages()
            if not (m["data"]["unit"] == "birch" and
                    m["time"][:10] >= str(today() - datetime.timedelta(days=6)))]
    grove.send(sent).run()
    found = grove.alerts("kind = 'no_data'")
    assert {(a["level"], a["scope"]) for a in found} == {(2, "unit:birch")}
    assert len(found) == 2 and len({a["incident"] for a in found}) == 1


def test_a_flood_is_suspect(grove):
    plan = Plan(seed=14, days=100)
    flood = [plan.response(1, unit, n) for unit in UNITS for n in range(300, 420)]
    grove.send(plan.messages() + flood).run()
    found = grove.alerts("kind = 'suspect_data'")
    assert {(a["kpi"], a["scope"]) for a in found} == {("advice", "journey:visit"),
                                                       ("ease", "all")}
    assert len({a["incident"] for a in found}) == 1, "the same answers: one incident"
    assert all(a["state"] == "suspect_data" and "answers" in a["text"] for a in found)
    assert len(grove.messages()) == 1
    events(grove)


# ---- once, whatever happens ----------------------------------------------------------------------


POINTS = sorted(set(re.findall(r'FP_POINT\("(watch_\w+)"\)',
                               (ROOT / "daemon" / "watch.c").read_text())))


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed_in_between(grove, faults_bin, point):
    """kill -9 in a pass: nothing is lost, nothing is told twice."""
    plan = Plan(seed=3, days=120).shift(25, -1, kpi="ease")
    grove.send(plan.messages())
    one = grove.start(binary=faults_bin, env={"FLIGHTPATH_FAULT": f"{point}:1:kill"},
                      until_caught_up=True)
    assert one.wait(120) == -signal.SIGKILL, one.text()[-3000:]
    committed = len(grove.messages())
    assert point == "watch_after_commit" or committed == 0
    grove.free_lease()
    grove.run()
    after = grove.messages()
    assert grove.alerts("kpi = 'ease' AND level = 0") and after
    events(grove)
    grove.run()
    assert grove.messages() == after
    assert grove.query("SELECT count(*) FROM flightpath.watch_touched") == [(0,)]


def test_a_lost_commit(grove, faults_bin, postgres):
    """The connection goes while the outcome is not known: begun anew."""
    grove.send(Plan(seed=3, days=120).shift(25, -1, kpi="ease").messages())
    one = grove.start(binary=faults_bin, until_caught_up=True,
                      env={"FLIGHTPATH_FAULT": "watch_before_commit:1:sleep=1500"})
    wait_for(lambda: "fault point watch_before_commit" in one.text(), "it is about to commit", 60)
    grove.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'flightpath/watch'")
    assert one.wait(120) == 0
    assert one.events("watch_waiting"), "it was noticed"
    assert grove.alerts("kpi = 'ease' AND level = 0")
    events(grove)


def test_answers_of_today(grove):
    """They touch no closed day: taken note of, and nothing is judged."""
    plan = Plan(seed=18, days=80)
    one = grove.start()
    grove.send(plan.messages())
    day = (today() - datetime.date(1970, 1, 1)).days
    judged = wait_for(lambda: grove.query("SELECT judged, judged_at FROM flightpath.watch_lease"
                                          " WHERE judged = %s AND NOT EXISTS"
                                          " (SELECT FROM flightpath.watch_touched)", day - 1),
                      "yesterday is judged", 60)
    grove.send(plan.messages(0, 0))
    wait_for(lambda: grove.query("SELECT sum(n) FROM flightpath.tally_day WHERE bucket = %s",
                                 day)[0][0] == 48,
             "today's answers are counted")
    wait_for(lambda: grove.query("SELECT count(*) FROM flightpath.watch_touched") == [(0,)],
             "they are taken note of")
    assert grove.query("SELECT judged, judged_at FROM flightpath.watch_lease") == judged
    assert one.stop() == 0


def holder(grove):
    return grove.query("SELECT owner FROM flightpath.watch_lease WHERE"
                       " renewed_at > clock_timestamp() - interval '15 s'")


def test_another_takes_over(grove):
    """Two replicas: one watches; when it is killed, the other does, from what is stored."""
    plan = Plan(seed=15, days=120)
    first = grove.start().ready()
    wait_for(lambda: holder(grove), "the first holds the lease")
    mine = holder(grove)
    second = grove.start().ready()
    grove.send(plan.messages(120, 4))
    wait_for(lambda: grove.query("SELECT judged FROM flightpath.watch_lease")[0][0] and
             grove.alerts("kind = 'no_data'"), "everything is judged", 60)
    assert holder(grove) == mine, "it kept the lease"
    seen = [one.metrics() for one in (first, second)]
    assert [m["flightpath_watch_series"] for m in seen] == [14, 0], "2 KPIs, 4 units, 8 of both"
    assert seen[0]["flightpath_watch_passes_total"] >= 1 > seen[1]["flightpath_watch_passes_total"]
    assert seen[0]["flightpath_watch_seconds_total"] > 0
    before = events(grove)
    assert first.kill() == -signal.SIGKILL
    grove.send(plan.messages(3, 1))
    wait_for(lambda: [a["how"] for a in grove.alerts("kind = 'no_data'")] == ["data", "data"],
             "the other saw the answers come again", 90)
    assert holder(grove) != mine and len(holder(grove)) == 1
    assert events(grove)[:len(before)] == before
    assert second.stop() == 0
    assert holder(grove) == [], "given back at once"


# ---- views ---------------------------------------------------------------------------------------


def test_there_is_always_a_row(grove, pg, database):
    """Before there is a model, and before there is history; no two have the same labels."""
    with database.connect() as reader:
        reader.execute("SET ROLE flightpath_reader")
        rows = reader.execute("SELECT * FROM experience.alert_now").fetchall()
        assert [r[0] for r in rows] == [0]
        grove.send(Plan(seed=16, days=20).messages()).run()
        cursor = reader.execute("SELECT * FROM experience.alert_now")
        names, rows = [c.name for c in cursor.description], cursor.fetchall()
    assert names == ["value", "alert", "kpi", "scope", "unit", "journey", "owner", "state",
                     "verdict", "severity"]
    assert cursor.description[0].type_code == 701 and {
        c.type_code for c in cursor.description[1:]} == {25}
    assert all(value is not None for row in rows for value in row)
    assert len({row[1:] for row in rows}) == len(rows)
    assert {(r[2], r[3]) for r in rows} >= {("advice", "journey:visit"), ("ease", "all")}
    assert {r[7] for r in rows} == {"history"}
    detail = grove.query("SELECT DISTINCT detail FROM experience.watch_series")
    assert detail == [("history: 20 of 56 days",)]


def test_firing_now(grove, database):
    grove.send(Plan(seed=17).shift(6, -1.5, kpi="advice").messages()).run()
    with database.connect() as reader:
        reader.execute("SET ROLE flightpath_reader")
        now = reader.execute("SELECT value, alert, state, severity FROM experience.alert_now"
                             " WHERE kpi = 'advice' AND unit = ''").fetchall()
        alert = reader.execute("SELECT fingerprint, state FROM experience.alert WHERE firing = 1"
                               " AND kpi = 'advice' AND unit IS NULL").fetchall()
        assert now == [(1.0, alert[0][0], alert[0][1], "critical")]
        watched = reader.execute("SELECT fingerprint, state, z > threshold - 2 FROM"
                                 " experience.watch_series WHERE kpi = 'advice' AND level = 0"
                                 ).fetchall()
        assert watched == [(alert[0][0], alert[0][1], True)]
        marks = reader.execute("SELECT time, timeend, text, tags FROM experience.annotation"
                               ).fetchall()
        assert any(m[3].startswith("alert,advice") for m in marks)
        assert all(m[0] <= m[1] and m[2] for m in marks)
        for internal in ("alert", "alert_shown", "watch_series", "alert_outbox"):
            with pytest.raises(Exception, match="permission denied"):
                reader.execute(f"SELECT 1 FROM flightpath.{internal}")


def test_marks(grove):
    model = json.loads(json.dumps(MODEL))
    model["alerts"]["calendar"] = [{"from": "2026-04-27", "to": "2026-04-28", "text": "Holiday"}]
    model["interventions"] = [{"id": "desk2", "text": "A second desk", "kpi": "ease",
                               "owner": "ann", "start": "2026-05-04", "due": "2026-06-01",
                               "status": "running"}]
    grove.install(model)
    start = {"specversion": "1.0", "id": "i1", "source": "plan", "subject": "desk2",
             "type": "experience.intervention.v1", "time": "2026-05-05T09:00:00Z",
             "data": {"intervention": "desk2", "state": "started",
                      "at": "2026-05-05T09:00:00Z"}}
    grove.send([start] + Plan(days=10).messages()).run()
    model["items"][1]["scale"] = "nps"  # counts differently
    grove.install(model)
    grove.run()
    marks = {(tags, text, str(time)[:10], str(end)[:10]) for time, end, text, tags in
             grove.query("SELECT time, timeend, text, tags FROM experience.annotation")}
    assert ("calendar", "Holiday", "2026-04-27", "2026-04-29") in marks
    assert ("intervention,desk2,planned,ease", "Planned: A second desk", "2026-05-04",
            "2026-06-02") in marks
    assert ("intervention,desk2,started,ease", "A second desk: started", "2026-05-05",
            "2026-05-05") in marks
    assert any(m[0] == "definition,ease" for m in marks)


def test_few_answers_are_not_shown(grove):
    """Numbers of fewer answers than min_n are in no view and no message; the alert is."""
    model = json.loads(json.dumps(MODEL))
    model["privacy"]["min_n"] = 10000
    grove.install(model)
    grove.send(Plan(seed=3, days=120).shift(25, -1, kpi="ease").messages()).run()
    alert, = grove.alerts("kpi = 'ease' AND level = 0")
    hidden = ("size", "ci_low", "ci_high", "before", "n", "z", "mix", "within")
    assert all(alert[name] is None for name in hidden)
    data = next(b["data"] for b in grove.messages() if b["data"]["kpi"] == "ease")
    assert all(data[name] is None for name in hidden)
    events(grove)


def test_few_series_are_flat(grove):
    """One KPI, four units: each unit is watched as it is, all under one rule."""
    model = json.loads(json.dumps(MODEL))
    model["kpis"] = [k for k in model["kpis"] if k["id"] == "ease"]
    grove.install(model)
    grove.send(Plan(seed=19, days=120).shift(12, 1.5, unit="birch").messages()).run()
    rule, = grove.query("SELECT level_name, series, found FROM experience.alert_budget")
    assert rule[:2] == ("flat", 5) and rule[2] >= 1
    found = grove.alerts("level = 2 AND unit = 'birch'")
    assert [a["scope"] for a in found] == ["unit:birch"] and not found[0]["worse"]
    assert 4.5 < found[0]["before"] < 5.5, "its own answers"
    assert found[0]["ci_low"] < 1.5 < found[0]["ci_high"], "1.5 SD of 1.1, clipped at 7"
    assert grove.query("SELECT count(*) FROM experience.watch_series") == [(5,)]
    events(grove)


def test_a_kpi_leaves(grove):
    """Its open alert is retired, not left open for ever."""
    grove.send(Plan(seed=3, days=120).shift(6, -1.5, kpi="ease").messages()).run()
    assert grove.alerts("kpi = 'ease' AND level = 0 AND firing = 1")
    model = json.loads(json.dumps(MODEL))
    model["kpis"] = [k for k in model["kpis"] if k["id"] != "ease"]
    grove.install(model)
    grove.run()
    gone, = grove.alerts("kpi = 'ease' AND level = 0")
    assert (gone["state"], gone["how"], gone["firing"]) == ("resolved", "retired", 0)
    assert [e for k, s, e in events(grove) if (k, s) == ("ease", "all")][-1] == "resolved"
