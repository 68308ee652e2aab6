"""flightpath verify: clean after a run of everything, and whatever is altered is found and named.

One run is counted once; each test alters a copy of its database.
"""

import datetime
import itertools
import json
import shutil
from types import SimpleNamespace

import confluent_kafka
import psycopg
import pytest
from support import program
from support.kafka import Topics
from support.pipeline import Pipeline

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
SECOND = datetime.timedelta(seconds=1)


def iso(time):
    return time.isoformat().replace("+00:00", "Z")


def message(kind, identity, data, subject=None, time=None, source="/verify"):
    body = {"specversion": "1.0", "id": identity, "source": source,
            "type": f"experience.{kind}.v1", "time": iso(time or NOW), "data": data}
    return body | ({"subject": subject} if subject else {})


def response(identity, score, at=NOW, revision=1, subject=None, **more):
    data = {"audience": "customer", "survey": "visit", "journey": "travel", "unit": "ams",
            "revision": revision, "scores": {"recommend": score, "crew_care": 4}}
    if at:
        data["submitted_at"] = iso(at)
    return message("response", identity, data | more, subject)


def erasure(identity, subject, time=NOW):
    return message("erasure", identity, {"subject": subject}, time=time)


def awkward():
    """(partition, message): histories that the generator does not draw."""
    early = NOW - datetime.timedelta(hours=30)
    return [
        # a revision with another submitted_at is rejected, one without inherits it
        (0, response("changed", 3, early)),
        (0, response("changed", 9, early + SECOND, 2)),
        (0, response("changed", 10, None, 3)),
        (0, response("changed", 0, early, 2)),
        # a void first; its response is ignored, a higher revision counts
        (0, response("void-first", 5, early, 2, status="void")),
        (0, response("void-first", 5, early, 2)),
        (0, response("void-first", 6, early, 3)),
        (0, response("void-last", 6, early)),
        (0, response("void-last", 6, None, 1, status="void")),
        # erased, then brought back by a replay, then answered anew
        (0, response("erased", 1, early, subject="c-1")),
        (0, erasure("e-1", "c-1", early + SECOND)),
        (0, response("erased", 1, early, subject="c-1")),
        (0, response("erased", 8, early + 2 * SECOND, subject="c-1")),
        # a response and its erasure in different partitions, in either order
        (1, response("elsewhere", 2, early, subject="c-2")),
        (0, erasure("e-2", "c-2")),
        (1, erasure("e-3", "c-3")),
        (0, response("elsewhere-2", 2, early, subject="c-3")),
        # one response in two partitions: the same time, and another one
        (0, response("twice", 2, early)),
        (1, response("twice", 7, early, 2)),
        (0, response("torn", 2, early)),
        (1, response("torn", 7, early + SECOND, 2)),
        # counts for nothing; one of another kind of message; no answer at all
        (0, response("weightless", 3, early, weight=0)),
        (1, message("case", "k-1", {"case": "k", "state": "opened"})),
        (1, {"specversion": "1.0", "id": "x", "source": "/verify", "type": "org.example.other"}),
    ]


@pytest.fixture(scope="module")
def base(kafka, postgres, model, tmp_path_factory):
    """Topics, and a database that has counted what is in them."""
    folder = tmp_path_factory.mktemp("verify")
    key = folder / "subject.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o600)
    hourly = json.loads(model.read_text())  # item KPIs by the hour too
    for kpi in hourly["kpis"]:
        if kpi["id"] in ("nps_travel", "booking_ease"):
            kpi["grain"] = "hour"
    model = folder / "model.json"
    model.write_text(json.dumps(hourly))
    topics, database = Topics(kafka, 2), postgres.create()
    program.run("migrate", postgres=database.conninfo, check=True)
    line = Pipeline(kafka, topics, database, model, folder)
    line.generate(8_000, seed=31, bad_share=0.03).send()
    for partition, body in awkward():
        kafka.send(topics.responses, json.dumps(body), key="k", partition=partition)
    kafka.flush()
    options = {"model": model, "postgres": database.conninfo, "subject_key_file": key,
               "kafka.bootstrap.servers": kafka.bootstrap, "topics": topics.both,
               "group": f"group.{database.name}", "dead_letters_topic": topics.dead_letters,
               "alerts_topic": topics.alerts, "http_listen": "127.0.0.1:0", "flush_ms": 20,
               "batch_messages": 700, "until_caught_up": True}
    one = program.Daemon(folder / "daemon.log", options).start()
    assert one.wait(120) == 0, one.text()[-4000:]
    assert not line.behind()
    yield SimpleNamespace(database=database, topics=topics, line=line, key=key, options=options,
                          folder=folder)
    database.drop()
    topics.delete()


@pytest.fixture
def copy(base, postgres):
    """A database of its own that a test may alter: copy.alter(sql) and copy.verify()."""
    made = postgres.create()
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as server:
        server.execute(f'DROP DATABASE "{made.name}"')
        server.execute(f'CREATE DATABASE "{made.name}" TEMPLATE "{base.database.name}"')

    def alter(*statements):
        with made.connect() as connection:
            for sql in statements:
                changed = connection.execute(sql).rowcount
                assert changed != 0, f"altered nothing: {sql}"

    yield SimpleNamespace(database=made, alter=alter,
                          verify=lambda **more: verify(base, made, **more))
    made.drop()


def verify(base, database=None, **options):
    """The report; its `code` is the exit code."""
    defaults = {"postgres": (database or base.database).conninfo, "json": True,
                "kafka.bootstrap.servers": base.options["kafka.bootstrap.servers"],
                "subject_key_file": base.key}
    result = program.run("verify", **(defaults | options))
    assert result.code in (0, 1), result.err
    assert result.out, result.err
    report = result.json
    assert report["agrees"] == (result.code == 0)
    assert report["differences"] == sum(c["differences"] for c in report["checks"])
    return report


def checks(report):
    return {c["name"]: c for c in report["checks"]}


def blamed(report):
    return {c["name"] for c in report["checks"] if c["differences"]}


ALL = {"tally_hour", "tally_day", "sketch_day", "coverage_day", "prediction", "response",
       "driver_state", "reject", "ledger", "tombstone", "response_hours", "response_days"}


# ---- clean -----------------------------------------------------------------------------------


def test_a_run_of_everything_is_clean(base):
    report = verify(base)
    assert report["agrees"], json.dumps(report, indent=1)
    done = checks(report)
    assert {name for name, c in done.items() if c["done"] and c["compared"]} == ALL
    assert report["messages"] == base.line.counts()["consumed"]
    cells = base.line.query("SELECT count(*) FROM (SELECT DISTINCT series, bucket, unit, channel"
                            " FROM flightpath.tally_day WHERE n <> 0 OR sum <> 0) AS t")[0][0]
    assert done["tally_day"]["compared"] == cells > 100
    stored = base.line.query("SELECT count(*) FROM flightpath.response")[0][0]
    assert done["response"]["compared"] == stored == report["responses"]
    rejects = dict(base.line.query("SELECT reason, count(*) FROM flightpath.reject GROUP BY 1"))
    # of `torn` only the daemon knows which came first: it may have rejected the one or the other
    assert sum(rejects.values()) - done["reject"]["compared"] in (0, 1)
    assert rejects["submitted_at_changed"] >= 1
    assert [n for n in report["not_compared"] if "the order of" in n]
    counts = base.line.counts()
    assert all(counts.values()), "every class is in the stream"


def test_the_subject_key_is_not_needed(base):
    assert verify(base, subject_key_file=None)["agrees"]


def test_text_says_what_was_compared(base, tmp_path):
    out = tmp_path / "report.txt"
    report = verify(base)
    done = program.run("verify", postgres=base.database.conninfo, out=out, **{
        "kafka.bootstrap.servers": base.options["kafka.bootstrap.servers"]})
    assert (done.code, done.out) == (0, ""), done.err
    lines = out.read_text().splitlines()
    assert lines[-1] == (f"verify: {report['cells']} cells, {report['responses']} responses,"
                         f" {report['rejects']} rejects: no difference")
    assert {line.split()[0] for line in lines if "no difference   (" in line} == ALL


def test_folded_and_split_lanes_are_the_same_cells(copy):
    columns = ("n, weight, weight_square, sum, sum_square, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9,"
               " b10")
    moved = ", ".join(f"{c} - (CASE '{c}' WHEN 'sum' THEN 7 WHEN 'n' THEN 1 ELSE 0 END)"
                      for c in columns.split(", "))
    rest = ", ".join("7" if c == "sum" else "1" if c == "n" else "0" for c in columns.split(", "))
    copy.alter(f"INSERT INTO flightpath.tally_day (bucket, series, unit, channel, lane, {columns})"
               f" SELECT bucket, series, unit, channel, 3, {rest} FROM flightpath.tally_day"
               " WHERE lane <> 3",
               f"UPDATE flightpath.tally_day SET ({columns}) = ROW({moved}) WHERE lane <> 3")
    assert copy.verify()["agrees"]
    copy.alter("SELECT flightpath.fold(now() + interval '1 year', 1000000)")
    assert copy.verify()["agrees"]


# ---- whatever is altered is found --------------------------------------------------------------

SOME_RESPONSE = ("(SELECT id FROM flightpath.response WHERE status = 0 AND weight > 0"
                 " AND revision = 1 AND cardinality(tallied) > 1 ORDER BY id LIMIT 1)")


def one(table, where="true"):
    """Picks a row by its place."""
    return (f"(tableoid, ctid) = (SELECT tableoid, ctid FROM flightpath.{table} WHERE {where}"
            " ORDER BY 1, 2 LIMIT 1)")


def varint(number):
    """Seven bits a byte, low ones first, in hex."""
    rest, byte = divmod(number, 128)
    return f"{byte + 128:02x}{varint(rest)}" if rest else f"{byte:02x}"


BY_SOURCE = "series IN (SELECT series FROM flightpath.kpi WHERE source = '{}')"
EVENTS = "topic LIKE 'touchpoints.%'"
OUT_OF_SCALE = "reason = 'out_of_scale'"
EPOCH = datetime.date(1970, 1, 1)
LONG_AGO = (NOW.date() - EPOCH).days - 300
ITEM, MEASURE = BY_SOURCE.format("item"), BY_SOURCE.format("measure")

ALTERED = {
    "measure cell": ("UPDATE flightpath.tally_day SET sum = sum + 1"
                     f" WHERE {one('tally_day', MEASURE)}", {"tally_day"}, ": sum"),
    "item cell": (f"UPDATE flightpath.tally_day SET b3 = b3 + 1 WHERE {one('tally_day', ITEM)}",
                  {"tally_day", "response_days"}, ": b3"),
    "hour cell": (f"UPDATE flightpath.tally_hour SET n = n - 1 WHERE {one('tally_hour', MEASURE)}",
                  {"tally_hour"}, ": n"),
    "cell gone": (f"DELETE FROM flightpath.tally_day WHERE {one('tally_day', MEASURE)}",
                  {"tally_day"}, ": n"),
    "cell too many": ("INSERT INTO flightpath.tally_day SELECT bucket, series, 999, channel, lane,"
                      " n, weight, weight_square, sum, sum_square, b0, b1, b2, b3, b4, b5, b6, b7,"
                      f" b8, b9, b10 FROM flightpath.tally_day WHERE {one('tally_day', MEASURE)}",
                      {"tally_day"}, ": n"),
    "sketch": (f"UPDATE flightpath.sketch_day SET n = n + 1 WHERE {one('sketch_day')}",
               {"sketch_day"}, "bin "),
    "sketch bin": (f"UPDATE flightpath.sketch_day SET bin = 2230 WHERE {one('sketch_day')}",
                   {"sketch_day"}, "bin 2230"),
    "coverage": ("UPDATE flightpath.coverage_day SET failed = failed + 1"
                 f" WHERE {one('coverage_day')}", {"coverage_day"}, ": failed"),
    "invited": ("UPDATE flightpath.coverage_day SET invited = invited + 1"
                f" WHERE {one('coverage_day')}", {"coverage_day"}, ": invited"),
    "response gone": (f"DELETE FROM flightpath.response WHERE id = {SOME_RESPONSE}",
                      {"response", "response_days"}, "response "),
    "response invented": (
        "INSERT INTO flightpath.response SELECT source, 'made-up', submitted_at, revision, 2,"
        " audience, survey, journey, touchpoint, unit, channel, tenure, weight, day, subject,"
        " interaction, items, scores, measures, amounts, tallied, comment"
        f" FROM flightpath.response WHERE id = {SOME_RESPONSE}", {"response"}, "made-up"),
    "tallied": ("UPDATE flightpath.response SET tallied[1] = tallied[1] + 1"
                f" WHERE id = {SOME_RESPONSE}", {"response", "response_days"}, ": tallied"),
    "tallied less": ("UPDATE flightpath.response SET tallied = tallied[2:]"
                     f" WHERE id = {SOME_RESPONSE}", {"response", "response_days"}, ": tallied"),
    "score": ("UPDATE flightpath.response SET scores[1] = scores[1] + 1"
              f" WHERE id = {SOME_RESPONSE}", {"response"}, ": scores"),
    "revision": (f"UPDATE flightpath.response SET revision = 7 WHERE id = {SOME_RESPONSE}",
                 {"response"}, ": revision"),
    "weight": (f"UPDATE flightpath.response SET weight = weight + 1 WHERE id = {SOME_RESPONSE}",
               {"response", "response_days"}, ": weight"),
    "void": (f"UPDATE flightpath.response SET status = 2 WHERE id = {SOME_RESPONSE}",
             {"response", "response_days"}, ": status"),
    "submitted_at": ("UPDATE flightpath.response SET submitted_at = submitted_at + interval '1 us'"
                     f" WHERE id = {SOME_RESPONSE}", {"response"}, ": submitted_at"),
    "comment": (f"UPDATE flightpath.response SET comment = 'mine' WHERE id = {SOME_RESPONSE}",
                {"response"}, ": comment"),
    "subject": ("UPDATE flightpath.response SET subject = sha256('x') WHERE id = 'erased'",
                {"response"}, ": subject"),
    "came back": ("UPDATE flightpath.response SET id = 'elsewhere' WHERE id = 'weightless'",
                  {"response"}, "elsewhere"),
    "impossible": ("UPDATE flightpath.response SET scores[1] = 9 WHERE id = 'torn'",
                   {"response", "coverage_day", "tally_day", "tally_hour", "driver_state"}, "torn"),
    "driver state": (f"UPDATE flightpath.driver_state SET n = n + 1 WHERE {one('driver_state')}",
                     {"driver_state"}, "column n"),
    "driver state gone": (f"DELETE FROM flightpath.driver_state WHERE {one('driver_state')}",
                          {"driver_state"}, ", n"),
    "driver state cut": ("UPDATE flightpath.driver_state SET state = substr(state, 1,"
                         f" length(state) - 1) WHERE {one('driver_state')}",
                         {"driver_state"}, ": state"),
    # one answer to the outcome, on a day without others
    "driver log": ("INSERT INTO flightpath.driver_log (series, rows) SELECT series,"
                   rf" '\x08{varint(2 * LONG_AGO)}0000000080040e'"
                   " FROM flightpath.driver_series"
                   " WHERE model = 'nps_travel' AND current", {"driver_state"},
                   str(EPOCH + datetime.timedelta(LONG_AGO))),
    "driver log of no row": ("INSERT INTO flightpath.driver_log (series, rows) SELECT series,"
                             r" '\x7f' FROM flightpath.driver_series WHERE current LIMIT 1",
                             {"driver_state"}, "driver_log"),
    "fitted": ("UPDATE flightpath.response SET fitted = '{}' WHERE cardinality(fitted) > 0"
               f" AND {one('response', 'cardinality(fitted) > 0')}", {"driver_state"},
               ": response "),
    "reject gone": (f"DELETE FROM flightpath.reject WHERE {one('reject', OUT_OF_SCALE)}",
                    {"reject"}, "offset"),
    "reject reason": ("UPDATE flightpath.reject SET reason = 'future'"
                      f" WHERE {one('reject', OUT_OF_SCALE)}", {"reject"}, "offset"),
    "reject invented": ("INSERT INTO flightpath.reject SELECT topic, partition, incarnation, 0, at,"
                        " 'unknown_item', field, detail FROM flightpath.reject r"
                        " WHERE NOT EXISTS (SELECT FROM flightpath.reject o WHERE o.topic = r.topic"
                        " AND o.partition = r.partition AND o.\"offset\" = 0) LIMIT 1",
                        {"reject"}, "offset 0"),
    "changed gone": ("DELETE FROM flightpath.reject WHERE reason = 'submitted_at_changed'",
                     {"reject"}, "offset"),
    "consumed": ("ALTER TABLE flightpath.ledger DROP CONSTRAINT ledger_check",
                 f"UPDATE flightpath.ledger SET consumed = consumed + 1 WHERE {one('ledger')}",
                 {"ledger"}, ": consumed"),
    # (a range with messages whose order nobody knows leaves room for as many)
    "balanced": ("UPDATE flightpath.ledger SET applied = applied + 1, duplicate = duplicate - 1"
                 f" WHERE {one('ledger', EVENTS)} AND duplicate > 0", {"ledger"}, ": applied"),
    "range": (f"UPDATE flightpath.ledger SET next_offset = next_offset - 1 WHERE {one('ledger')}",
              {"ledger"}, "its end"),
    "range gone": (f"DELETE FROM flightpath.ledger WHERE {one('ledger')}", {"ledger"}, "/"),
    "tombstone": ("UPDATE flightpath.tombstone SET erased_before = erased_before + interval '1 s'"
                  f" WHERE {one('tombstone')}", {"tombstone"}, "erased before"),
    "tombstone gone": (f"DELETE FROM flightpath.tombstone WHERE {one('tombstone')}",
                       {"tombstone"}, "erased before"),
    "anchor": ("UPDATE flightpath.ingest_position SET anchor_hash = anchor_hash + 1"
               f" WHERE {one('ingest_position', 'anchor_hash IS NOT NULL')}",
               {"ledger"}, "hash of the record"),
}


def rounds():
    """Alterations that different checks must find are made together."""
    left, made = dict(ALTERED), []
    while left:
        taken, names = set(), []
        for name, (*_, guilty, _key) in left.items():
            if not guilty & taken:
                taken |= guilty
                names.append(name)
        for name in names:
            del left[name]
        made.append(names)
    return made


@pytest.mark.parametrize("names", rounds(), ids=", ".join)
def test_what_is_altered_is_found_and_named(copy, names):
    allowed = {"response_hours"}  # an item KPI may be kept by the hour too
    for name in names:
        copy.alter(*ALTERED[name][:-2])
        allowed |= ALTERED[name][-2]
    report = copy.verify()
    assert blamed(report) <= allowed, json.dumps(report, indent=1)
    for name in names:
        guilty, key = ALTERED[name][-2:]
        assert guilty <= blamed(report), name
        told = [e for check in guilty for e in checks(report)[check]["examples"]]
        assert any(key in e["key"] for e in told), (name, told)
        assert all(e["log"] != e["database"] for e in told)


def test_differences_are_told_in_words_too(copy, base):
    copy.alter("UPDATE flightpath.tally_day SET sum = sum + 1")
    done = program.run("verify", postgres=copy.database.conninfo, **{
        "kafka.bootstrap.servers": base.options["kafka.bootstrap.servers"]})
    assert done.code == 1
    lines = done.out.splitlines()
    count = int(next(line.split()[3] for line in lines if line.startswith("tally_day")))
    assert len([line for line in lines if ": sum: log " in line]) == 40, "twenty of both paths"
    assert f"and {count - 20} more" in done.out
    assert lines[-1].endswith(" differences")


def test_an_altered_model_is_refused(copy, base):
    copy.alter("UPDATE flightpath.model SET body = jsonb_set(body, '{programme,currency}',"
               " '\"XXX\"')")
    done = program.run("verify", postgres=copy.database.conninfo, **{
        "kafka.bootstrap.servers": base.options["kafka.bootstrap.servers"]})
    assert done.code == 1 and "altered" in done.err and done.out == ""


# ---- what the log no longer holds ---------------------------------------------------------------


def test_retention_leaves_what_can_be_compared(pipeline, daemon, kafka, topics, database, base,
                                               subject_key):
    pipeline.generate(4000, seed=32, bad_share=0.05).send()
    assert daemon(until_caught_up=True).wait(60) == 0
    positions = pipeline.positions()
    for part in (0, 1):
        kafka.delete_records(topics.responses, part, positions[topics.responses, part] // 2)
    report = verify(base, database, subject_key_file=subject_key)
    assert report["agrees"], json.dumps(report, indent=1)
    done = checks(report)
    assert not done["tally_day"]["done"] and not done["tombstone"]["done"]
    assert done["response_days"]["compared"] and done["reject"]["compared"]
    assert done["response"]["compared"] and done["ledger"]["compared"] >= 2
    told = " ".join(report["not_compared"])
    for word in ("retention", "cells", "ranges of the ledger", "tombstones"):
        assert word in told, told

    with database.connect() as connection:  # the tail is still held to account
        assert connection.execute(
            'DELETE FROM flightpath.reject WHERE "offset" = (SELECT max("offset")'
            " FROM flightpath.reject WHERE topic = %s)", [topics.responses]).rowcount
        assert connection.execute("UPDATE flightpath.response SET tallied = '{}'").rowcount
    found = blamed(verify(base, database, subject_key_file=subject_key))
    assert {"reject", "response_days"} <= found


def test_a_gap_and_a_replaced_log(pipeline, daemon, kafka, topics, database, base, subject_key,
                                  wait_for):
    """What was passed is named, what came after it is compared."""
    pipeline.generate(4000, seed=35).send(2000)
    assert daemon(until_caught_up=True).wait(60) == 0
    pipeline.send(1000)
    for part in (0, 1):  # these are gone before anybody read them
        kafka.delete_records(topics.touchpoints, part, kafka.ends(topics.touchpoints)[part][1])
    kafka.delete_topic(topics.responses)
    wait_for(lambda: topics.responses not in kafka.admin.list_topics(timeout=10).topics, "it went")
    kafka.create_topic(topics.responses, 2)
    pipeline.send()
    assert daemon(until_caught_up=True, on_offset_lost="skip").wait(60) == 0
    report = verify(base, database, subject_key_file=subject_key)
    assert report["agrees"], json.dumps(report, indent=1)
    told = " ".join(report["not_compared"])
    for word in ("data gap", "the log was replaced", "(incarnation 2)", "retention"):
        assert word in told, told
    done = checks(report)
    with database.connect() as connection:  # coefficients may have changed: more ranges
        ranges = connection.execute(
            "SELECT topic, partition, l.first_offset FROM flightpath.ledger l JOIN"
            " flightpath.ingest_position USING (topic, partition, incarnation)").fetchall()
    whole = sum(first >= kafka.ends(topic)[part][0] for topic, part, first in ranges)
    assert done["ledger"]["compared"] == whole >= 2, "what the log still has whole"
    assert done["response"]["compared"] and done["response_days"]["compared"]
    with database.connect() as connection:
        assert connection.execute("UPDATE flightpath.ledger SET applied = applied + 1, consumed ="
                                  " consumed + 1 WHERE incarnation = 2").rowcount >= 2
    assert blamed(verify(base, database, subject_key_file=subject_key)) == {"ledger"}


def test_a_topic_that_is_gone(copy, base):
    copy.alter("UPDATE flightpath.ingest_position SET topic = 'no-such-topic'"
               f" WHERE topic = '{base.topics.touchpoints}'",
               "UPDATE flightpath.ledger SET topic = 'no-such-topic'"
               f" WHERE topic = '{base.topics.touchpoints}'")
    report = copy.verify()
    assert report["agrees"], json.dumps(report, indent=1)
    assert "no such partition" in " ".join(report["not_compared"])
    assert not checks(report)["tally_day"]["done"]


def test_what_is_beyond_retention_is_not_asked_for(copy):
    """Months that retention has dropped are not missed (here as if they had passed by now)."""
    copy.alter("UPDATE flightpath.programme SET responses_days = -70, tallies_days = -70,"
               " rejects_days = -70",
               "DELETE FROM flightpath.response", "DELETE FROM flightpath.tally_hour",
               "DELETE FROM flightpath.tally_day", "DELETE FROM flightpath.sketch_day",
               "DELETE FROM flightpath.coverage_day", "DELETE FROM flightpath.reject")
    report = copy.verify()
    assert report["agrees"], json.dumps(report, indent=1)
    assert (report["cells"], report["responses"], report["rejects"]) == (0, 0, 0)
    told = " ".join(report["not_compared"])
    assert "cells beyond their retention" in told and "responses beyond their retention" in told
    assert checks(report)["ledger"]["compared"] and checks(report)["tombstone"]["compared"]


def test_a_series_that_takes_up_stored_responses_is_told_not_compared(copy):
    series = "(SELECT series FROM flightpath.driver_series WHERE model = 'nps_travel' AND current)"
    copy.alter(f"DELETE FROM flightpath.driver_state WHERE series = {series}")
    assert blamed(copy.verify()) == {"driver_state"}
    copy.alter(f"UPDATE flightpath.driver_series SET taken_up = NULL WHERE series = {series}")
    report = copy.verify()
    assert report["agrees"], json.dumps(report, indent=1)
    assert checks(report)["driver_state"]["compared"] > 10, "the other series"
    told = " ".join(report["not_compared"])
    assert "nps_travel" in told and "taking up" in told


# ---- beside a daemon, under several models -------------------------------------------------------


@pytest.mark.partitions(1)
def test_a_running_daemon_does_not_disturb(pipeline, daemon, database, base, subject_key, wait_for):
    one = daemon(batch_messages=50, flush_ms=10).ready()
    pipeline.generate(6000, seed=33)
    seen = 0
    for _ in range(6):
        pipeline.send(1000)
        wait_for(lambda: sum(pipeline.positions().values()) > seen, "the daemon goes on")
        report = verify(base, database, subject_key_file=subject_key)
        assert report["agrees"], json.dumps(report, indent=1)
        assert report["messages"] > seen
        seen = report["messages"]
    pipeline.caught_up()
    assert verify(base, database, subject_key_file=subject_key)["messages"] == 6000
    assert one.stop() == 0


def test_every_range_is_held_against_its_own_model(pipeline, daemon, database, base, subject_key,
                                                   model, tmp_path):
    changed = json.loads(model.read_text())
    for kpi in changed["kpis"]:
        if "within" in kpi["source"]:
            kpi["source"]["within"] += 1
    other = tmp_path / "other.json"
    other.write_text(json.dumps(changed))
    pipeline.generate(3000, seed=34)
    for number, file in enumerate([model, other, model]):
        pipeline.send(1000)
        assert daemon(until_caught_up=True, model=file).wait(60) == 0, number
    ranges = pipeline.query("SELECT count(*), count(DISTINCT model_hash) FROM flightpath.ledger")
    assert ranges[0] == (3 * 4, 2)
    report = verify(base, database, subject_key_file=subject_key, model=other)
    assert report["agrees"], json.dumps(report, indent=1)
    assert "not the one installed last" in " ".join(report["not_compared"])


def test_a_daemon_without_a_key_rejects_erasures(pipeline, daemon, kafka, topics, database, base):
    bodies = [response("kept", 4, subject="c-9"), erasure("e-9", "c-9")]
    for body in bodies:
        kafka.send(topics.responses, json.dumps(body), partition=0)
    kafka.flush()
    assert daemon(until_caught_up=True, subject_key_file=None).wait(60) == 0
    assert pipeline.counts()["rejected"] == 1
    report = verify(base, database, subject_key_file=None)
    assert report["agrees"] and report["responses"] == report["rejects"] == 1, report
    with database.connect() as connection:
        connection.execute("DELETE FROM flightpath.reject")
    # then the log says that the erasure was heard
    report = verify(base, database, subject_key_file=None)
    assert {"response", "tombstone", "ledger"} <= blamed(report)


def test_transactions_of_the_producer(pipeline, daemon, kafka, topics, database, base):
    """Aborted records and control records take offsets and count for nothing."""
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0,
                                         "transactional.id": topics.responses})
    producer.init_transactions(30)
    for number, end in enumerate([producer.commit_transaction, producer.abort_transaction] * 2):
        producer.begin_transaction()
        for n in range(10):
            body = response(f"r-{number}-{n}", n)
            producer.produce(topics.responses, json.dumps(body), partition=0)
        producer.flush(30)
        end(30)
    assert daemon(until_caught_up=True).wait(60) == 0
    report = verify(base, database, subject_key_file=None)
    assert report["agrees"], json.dumps(report, indent=1)
    assert report["messages"] == report["responses"] == 20
    assert pipeline.positions()[topics.responses, 0] == 44


def test_the_window_of_repetitions_is_the_daemons(pipeline, daemon, kafka, topics, database, base,
                                                  subject_key):
    """Ids that come again nearer and further than the window; one of the two rejected."""
    near, far = itertools.count(), itertools.count()

    def event(identity, touchpoint="boarding", **data):
        kafka.send(topics.touchpoints, json.dumps(message(
            "touchpoint", identity, {"touchpoint": touchpoint, "unit": "ams"} | data)), partition=0)

    for n in range(300):
        event(f"fresh-{n}")
        event(f"near-{next(near) // 2}")
        if n % 40 == 0:
            event(f"far-{next(far) // 2}")
        event(f"bad-{n // 2}", **({} if n % 2 else {"measures": {"nothing": 1}}))
    kafka.flush()
    assert daemon(until_caught_up=True, dedup_window=50).wait(60) == 0
    assert pipeline.counts()["duplicate"] == 150
    assert pipeline.counts()["rejected"] == 150
    assert verify(base, database, subject_key_file=subject_key, dedup_window=50)["agrees"]
    found = verify(base, database, subject_key_file=subject_key, dedup_window=2000)
    assert {"coverage_day", "ledger"} <= blamed(found)


# ---- how it is called ---------------------------------------------------------------------------


def test_usage(base, flightpath, postgres, model, tmp_path):
    done = flightpath("verify", postgres=base.database.conninfo)
    assert done.code == 2 and "kafka.bootstrap.servers" in done.err
    brokers = {"kafka.bootstrap.servers": base.options["kafka.bootstrap.servers"]}
    assert flightpath("verify", **brokers).code == 2
    other = json.loads(model.read_text())
    other["programme"]["id"] = "another"
    path = shutil.copy(model, tmp_path / "model.json")
    path.write_text(json.dumps(other))
    done = flightpath("verify", postgres=base.database.conninfo, model=path, **brokers)
    assert done.code == 1 and "programme" in done.err
    empty = postgres.create()
    try:
        done = flightpath("verify", postgres=empty.conninfo, **brokers)
        assert done.code == 1 and "flightpath.programme" in done.err
        flightpath("migrate", postgres=empty.conninfo, check=True)
        done = flightpath("verify", postgres=empty.conninfo, **brokers)
        assert done.code == 1 and "no programme yet" in done.err
    finally:
        empty.drop()
