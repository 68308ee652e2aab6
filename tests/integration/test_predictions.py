"""Predicted outcomes of touchpoint events, to the last integer; what was answered beside them.

The judge's reading of the log says which events count; numpy's 32-bit floats score them again.
Coefficients are planted, in versions that change while the daemon runs.
"""

import datetime
import json
import signal
import threading
import time
from collections import Counter, defaultdict

import judge
import numpy as np
import psycopg
import pytest
from judge_model import Model
from scipy.stats import norm, t
from support import program

F = np.float32
#: scored in the tests: model -> touchpoint, outcome, measures in the order of its columns
MODELS = {"booking_operations": ("booking_payment", "booking_easy", ("duration_s", "attempts")),
          "bag_drop_operations": ("bag_drop", "bag_drop_satisfied",
                                  ("wait_s", "attempts", "duration_s")),
          "care_operations": ("contact_centre", "care_easy",
                              ("answer_s", "contacts", "duration_s"))}
#: nothing else writes coefficients meanwhile
OPTIONS = {"scoring_ms": 86400000, "flush_ms": 20, "batch_messages": 500}
NOW = datetime.datetime.now(datetime.timezone.utc).replace(minute=10, second=0, microsecond=0)


# ---- coefficients ----------------------------------------------------------------------------


def install(daemon, **options):
    """The model's series are made by the first run."""
    one = daemon(until_caught_up=True, **(OPTIONS | options))
    assert one.wait(60) == 0, one.text()[-3000:]


def plant(pg, model, mean, coef, centre=3.9, low=1, high=5, cut=2, sigma=0.8):
    """A row of coefficients; its version."""
    return pg.execute(
        "INSERT INTO flightpath.scoring (series, day, n, mean, coef, centre, low, high, cut, sigma)"
        " SELECT series, 20000, 500, %s, %s, %s, %s, %s, %s, %s FROM flightpath.driver_series"
        " WHERE model = %s AND current RETURNING version",
        (mean, coef, centre, low, high, cut, sigma, model)).fetchone()[0]


def plant_all(pg, scale=1.0):
    plant(pg, "booking_operations", [61.75, 1.4], [-0.0131 * scale, -0.317], 4.07, sigma=0.71)
    plant(pg, "bag_drop_operations", [412.3, 1.2, 77.125],
          [-0.00171 * scale, -0.21, -0.0033], 3.61)
    return plant(pg, "care_operations", [187.9, 1.7, 310.4], [-0.0041, -0.3 * scale, -0.0007], 3.3)


def rows_of(pg):
    """model -> [(version, mean, coef, centre, low, high, cut, sigma)] that fit it, newest last."""
    rows = defaultdict(list)
    for model, *row in pg.execute(
            "SELECT model, version, mean, coef, centre, low, high, cut, sigma"
            " FROM flightpath.scoring JOIN flightpath.driver_series USING (series)"
            " ORDER BY version").fetchall():
        size = len(MODELS[model][2])
        if len(row[1]) == len(row[2]) == size and np.isfinite(np.hstack(row[1:])).all():
            rows[model].append(row)
    return rows


# ---- the same again --------------------------------------------------------------------------


class PlacedLog(judge.Log):
    """Which record each counted event came from."""

    def __init__(self, model):
        super().__init__(model)
        self.places = []

    def read(self, record):
        outcome = super().read(record)
        if len(self.places) < len(self.events):
            self.places.append((record.topic, record.partition, record.offset))
        return outcome


def read(line):
    with line.database.connect() as connection:
        ends = {p: end for p, (_, end) in judge.Database(connection).positions().items()}
    log = PlacedLog(Model(line.model.read_text()))
    for record in sorted(judge.read_kafka(line.kafka.bootstrap, ends),
                         key=lambda r: (r.topic, r.partition, r.offset)):
        log.read(record)
    return log


def score(row, amounts, decimals):
    """(thousandths, P(detractor)); amounts in fixed point, None = not given."""
    _, mean, coef, centre, low, high, cut, sigma = row
    edge = F(F(cut) + F(0.5))  # what is summed is the distance up to it (score_kernel.h)
    gap = F(edge - F(centre))
    for amount, m, c, d in zip(amounts, mean, coef, decimals):
        x = F(0) if amount is None else F(amount * (1 / 10.0**d) - m)
        gap = F(gap - F(F(c) * x))
    y = min(max(F(edge - gap), F(low)), F(high))
    # in doubles: the kernel's own function is within a millionth of it
    share = norm.cdf(float(gap) / float(F(sigma))) if sigma else float(gap >= 0)
    return int(np.rint(F(y * F(1000)))), share


def scored_events(line, pg):
    """(event, model, version, thousandths, probability) of each event that must be scored."""
    log, rows, found = read(line), rows_of(pg), []
    ranges = defaultdict(list)
    for topic, part, first, version in pg.execute(
            "SELECT topic, partition, first_offset, coefficients FROM flightpath.ledger"
            " ORDER BY first_offset").fetchall():
        ranges[(topic, part)].append((first, version))
    for (event, amounts), (topic, part, offset) in zip(log.events, log.places, strict=True):
        version = [v for first, v in ranges[(topic, part)] if first <= offset][-1]
        place = log.model.place(event)
        for model, (touchpoint, _, measures) in MODELS.items():
            fit = [row for row in rows[model] if row[0] <= version]
            given = [amounts.get(name) for name in measures]
            if place[3] == touchpoint and fit and any(a is not None for a in given):
                decimals = [log.model.measures[name]["decimals"] for name in measures]
                found.append((event, model, version, *score(fit[-1], given, decimals)))
    return found


def observed_cells(line):
    """(model, hour, unit) -> [n, Σw, Σw², Σwy, Σwy²] of what stands of each response."""
    log, cells = read(line), defaultdict(lambda: np.zeros(5, dtype=object))
    for response in log.responses.values():
        event = response.event
        audience, _, _, touchpoint = log.model.place(event)
        for model, (its, outcome, _) in MODELS.items():
            own = log.model.items[outcome].get("touchpoint")
            if (response.void or audience != "customer" or outcome not in response.scores
                    or event.weight == 0 or its not in (touchpoint, own)):
                continue
            w, y = event.weight, response.scores[outcome]
            key = (model, judge.hour_of(response.submitted_us), event.unit)
            cells[key] += np.array([1, w, w * w, w * y, w * y * y], dtype=object)
    return {key: list(value) for key, value in cells.items()}


def stored(pg, answers):
    columns = ("n_observed", "weight_observed", "weight_square_observed", "sum_observed",
               "sum_square_observed") if answers else ("events", "predicted", "detractor")
    version = "" if answers else ", p.version"
    key = 3 if answers else 4
    rows = pg.execute(
        f"SELECT s.model, p.bucket, nullif(u.name, ''){version},"
        f" {', '.join(f'sum(p.{c})::bigint' for c in columns)}"
        " FROM flightpath.prediction p JOIN flightpath.driver_series s USING (series)"
        " JOIN flightpath.name u ON u.kind = 0 AND u.id = p.unit"
        f" WHERE (p.version = 0) = {answers} GROUP BY 1, 2, 3{', 4' if version else ''}"
        f" HAVING sum(p.{columns[0]}) <> 0").fetchall()
    return {tuple(row[:key]): list(row[key:]) for row in rows}


def predictions_are_right(line, pg):
    """Every cell; returns how many events were scored, by version."""
    expected, versions = defaultdict(lambda: [0, 0, 0.0]), Counter()
    for event, model, version, thousandths, share in scored_events(line, pg):
        cell = expected[(model, judge.hour_of(event.time_us), event.unit, version)]
        cell[0] += 1
        cell[1] += thousandths
        cell[2] += share * 1e6
        versions[version] += 1
    found = stored(pg, False)
    assert {k: v[:2] for k, v in found.items()} == {k: v[:2] for k, v in expected.items()}
    for key, (events, _, share) in expected.items():
        assert abs(found[key][2] - share) <= 2 * events, key
    assert stored(pg, True) == observed_cells(line)
    return versions


def verify(line, **options):
    done = program.run("verify", postgres=line.database.conninfo, json=True,
                       **({"kafka.bootstrap.servers": line.kafka.bootstrap} | options))
    assert done.code in (0, 1), done.err
    return done.json


def blamed(report):
    return {c["name"] for c in report["checks"] if c["differences"]}


# ---- a stream --------------------------------------------------------------------------------


def test_every_prediction_and_a_version_that_changes_on_the_way(pipeline, daemon, pg, wait_for,
                                                               subject_key):
    install(daemon)
    first = plant_all(pg)
    pipeline.generate(9_000, seed=51, bad_share=0.02).send(3_000)
    one = daemon(**OPTIONS).ready()
    pipeline.caught_up()
    # one model has another row; one row has too few measures, one is not finite: as if not there
    with pg.transaction():  # seen all at once
        plant(pg, "bag_drop_operations", [400.1, 1.3, 70.5], [-0.002, -0.25, 0.0011], 3.4, sigma=0)
        plant(pg, "bag_drop_operations", [1.0, 2.0], [3.0, 4.0])
        last = plant(pg, "booking_operations", [float("nan"), 2.0], [3.0, 4.0])
    assert last == first + 3
    wait_for(lambda: one.events("scoring_adopted"), "the versions are seen", 15)
    pipeline.send(3_000).caught_up()
    with pg.transaction():
        between = plant_all(pg, 2)
    wait_for(lambda: len(one.events("scoring_adopted")) >= 2, "the next one is seen", 15)
    pipeline.send().caught_up()
    versions = predictions_are_right(pipeline, pg)
    assert versions.keys() == {first, last, between} and min(versions.values()) > 100
    assert one.metrics()["flightpath_predictions_total"] == versions.total()
    assert one.stop() == 0
    ranges = Counter(pg.execute("SELECT coefficients, topic LIKE 'touch%' FROM flightpath.ledger")
                     .fetchall())
    assert ranges == {(v, kind): 2 for v in (first, last, between) for kind in (True, False)}
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    report = verify(pipeline, subject_key_file=subject_key)
    assert report["agrees"], json.dumps(report, indent=1)[:4000]
    check = next(c for c in report["checks"] if c["name"] == "prediction")
    assert check["done"] and check["compared"] == len(stored(pg, True)) + len(stored(pg, False))


def test_observed_is_what_the_stored_responses_say(pipeline, daemon, pg):
    """Another path: SQL over the responses that stand."""
    pipeline.generate(6_000, seed=52, bad_share=0.02).send()
    install(daemon)
    by_sql = pg.execute(
        "SELECT s.model, floor(extract(epoch FROM r.submitted_at) / 3600)::int, nullif(u.name, ''),"
        " count(*), sum(weight::bigint)::bigint, sum(weight::bigint * weight)::bigint,"
        " sum(weight::bigint * a.score)::bigint, sum(weight::bigint * a.score * a.score)::bigint"
        " FROM flightpath.response r, unnest(r.observed) AS o"
        " JOIN flightpath.driver_series s ON s.series = o >> 16"
        " JOIN flightpath.name n ON n.kind = 6 AND n.name = s.outcome, unnest(r.items, r.scores)"
        " AS a (item, score), flightpath.name u WHERE a.item = n.id AND u.kind = 0"
        " AND u.id = r.unit AND r.status <> 2 GROUP BY 1, 2, 3").fetchall()
    found = {row[:3]: list(row[3:]) for row in by_sql}
    assert found == stored(pg, True) == observed_cells(pipeline)
    assert stored(pg, False) == {}, "there are no coefficients"
    assert len(by_sql) > 50


# ---- one response ----------------------------------------------------------------------------


def message(kind, identity, data, subject=None, time=NOW):
    body = {"specversion": "1.0", "id": identity, "source": "/predictions",
            "type": f"experience.{kind}.v1", "time": time.isoformat(), "data": data}
    return json.dumps(body | ({"subject": subject} if subject else {}))


def answer(identity, score, revision=1, weight=1, unit="ams", subject="c-1", **more):
    data = {"audience": "customer", "survey": "visit", "touchpoint": "bag_drop", "unit": unit,
            "revision": revision, "weight": weight, "submitted_at": NOW.isoformat(),
            "scores": {} if score is None else {"bag_drop_satisfied": score}}
    return message("response", identity, data | more, subject)


def bag_drop(identity, time=NOW, unit="ams", **measures):
    return message("touchpoint", identity, {"touchpoint": "bag_drop", "unit": unit,
                                            "measures": measures}, time=time)


def test_revised_voided_erased(pipeline, daemon, pg, kafka, topics):
    one = daemon(**OPTIONS).ready()

    def after(*messages):
        for body in messages:
            kafka.send(topics.responses, body, key="k")
        kafka.flush()
        pipeline.caught_up()
        return {key[2]: value for key, value in stored(pg, True).items()}

    assert after(answer("a", 4)) == {"ams": [1, 1, 1, 4, 16]}
    assert after(answer("a", 2, 2, weight=3)) == {"ams": [1, 3, 9, 6, 12]}
    assert after(answer("a", 5, 3, unit="lhr")) == {"lhr": [1, 1, 1, 5, 25]}
    assert after(answer("b", 3, subject="c-2"), answer("c", None), answer("d", 2, weight=0)) == {
        "ams": [1, 1, 1, 3, 9], "lhr": [1, 1, 1, 5, 25]}
    assert after(answer("a", 5, 4, status="void")) == {"ams": [1, 1, 1, 3, 9]}
    assert after(answer("a", 1, 5)) == {"ams": [2, 2, 2, 4, 10]}
    assert after(message("erasure", "e", {"subject": "c-2"},
                         time=NOW + datetime.timedelta(minutes=1))) == {"ams": [1, 1, 1, 1, 1]}
    assert after(answer("a", 1, 6, scores={"bag_drop_satisfied": "na"})) == {}
    assert after(answer("b", 3, 2, subject="c-2")) == {}, "erased for good"
    assert one.stop() == 0


def test_a_definition_that_changed_is_taken_away_too(pipeline, daemon, pg, kafka, topics, model,
                                                     tmp_path):
    changed = json.loads(model.read_text())
    next(m for m in changed["driver_models"] if m["id"] == "bag_drop_operations")["measures"] = [
        "wait_s"]
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    kafka.send(topics.responses, answer("a", 4), key="k")
    kafka.flush()
    install(daemon)
    old = pg.execute("SELECT series FROM flightpath.prediction WHERE n_observed = 1").fetchone()
    kafka.send(topics.responses, answer("a", 5, 2), key="k")
    kafka.flush()
    install(daemon, model=tmp_path / "changed.json")
    cells = dict(pg.execute("SELECT series, sum(n_observed) FROM flightpath.prediction"
                            " GROUP BY 1").fetchall())
    assert cells.pop(old[0], 0) == 0
    assert list(cells.values()) == [1]
    assert verify(pipeline)["agrees"]


# ---- the topic, and kills ----------------------------------------------------------------------


@pytest.fixture
def predictions_topic(kafka):
    name = kafka.create_topic(kafka.fresh_name("predictions"), 2)
    yield name
    kafka.delete_topic(name)


def published(kafka, topic):
    """id -> record; a repeated one must be the same."""
    found = {}
    for one in kafka.read(topic):
        body = json.loads(one.value())
        assert one.key().decode() == body.get("interaction", body["event"])
        assert found.setdefault(body["id"], body) == body
    return found


def test_the_topic_has_every_scored_event(pipeline, daemon, pg, kafka, predictions_topic):
    install(daemon)
    plant_all(pg)
    pipeline.generate(4_000, seed=53, bad_share=0.02).send()
    install(daemon, predictions_topic=predictions_topic)
    found = published(kafka, predictions_topic)
    expected = scored_events(pipeline, pg)
    assert len(found) == len(expected) > 300
    for event, model, version, thousandths, share in expected:
        body = found[f"{event.id}:{model}:{version}"]
        assert abs(body.pop("p_detractor") - share) <= 2e-6
        moment = datetime.datetime.fromisoformat(body.pop("time").replace("Z", "+00:00"))
        assert round(moment.timestamp() * 1e6) == event.time_us
        body.pop("interaction", None)
        assert body == {"id": f"{event.id}:{model}:{version}", "event": event.id,
                        "source": event.source, "touchpoint": event.touchpoint,
                        "unit": event.unit, "model": model, "version": version,
                        "predicted": thousandths / 1000}
    assert verify(pipeline)["agrees"]


def test_odd_names_are_escaped(pipeline, daemon, pg, kafka, topics, predictions_topic):
    install(daemon)
    plant_all(pg)
    odd = 'a"\\\n\t\x7f/北京\N{PILE OF POO}'
    body = json.loads(bag_drop(odd, wait_s=60))
    body["data"]["interaction"] = odd + "i"
    del body["data"]["unit"]
    kafka.send(topics.touchpoints, json.dumps(body), key="k")
    kafka.flush()
    install(daemon, predictions_topic=predictions_topic)
    [record] = published(kafka, predictions_topic).values()
    assert (record["event"], record["interaction"], record["unit"]) == (odd, odd + "i", None)


POINTS = ["before_predictions:1", "after_predictions:1", "after_predictions:3", "before_submit:2"]


def test_kill_9_anywhere(pipeline, daemon, faults_bin, pg, kafka, predictions_topic):
    """Events of predictions are the events of the ledger, and each is in the topic."""
    options = OPTIONS | {"batch_messages": 100, "predictions_topic": predictions_topic,
                         "kafka.session.timeout.ms": 6000, "kafka.group.instance.id": "slot-0"}
    install(daemon)
    first = plant_all(pg)
    pipeline.generate(500 * len(POINTS) + 1_500, seed=54, bad_share=0.02)
    for point in POINTS:
        one = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": f"{point}:kill"}, **options)
        pipeline.send(500)
        assert one.wait(60) == -signal.SIGKILL, point
    one = daemon(binary=faults_bin, **options)
    pipeline.send(500).caught_up(90)
    one.kill()
    last = plant_all(pg, 3)
    one = daemon(binary=faults_bin, **options)
    pipeline.send(700)
    time.sleep(1.5)
    one.kill()
    one = daemon(binary=faults_bin, **options)
    pipeline.send().caught_up(90)
    assert one.stop() == 0
    versions = predictions_are_right(pipeline, pg)
    assert versions.keys() == {first, last}
    wanted = {f"{event.id}:{model}:{version}"
              for event, model, version, _, _ in scored_events(pipeline, pg)}
    assert wanted <= published(kafka, predictions_topic).keys()
    assert pipeline.clean().counts() == pipeline.stream.truth["counts"]
    assert verify(pipeline)["agrees"]


# ---- verify ----------------------------------------------------------------------------------

ALTERED = ["UPDATE flightpath.prediction SET predicted = predicted + 1 WHERE version > 0",
           "UPDATE flightpath.prediction SET detractor = detractor - 1 WHERE version > 0",
           "UPDATE flightpath.prediction SET events = events + 1 WHERE version > 0",
           "UPDATE flightpath.prediction SET sum_observed = sum_observed + 1 WHERE version = 0",
           "UPDATE flightpath.prediction SET weight_square_observed = 7 WHERE version = 0",
           "DELETE FROM flightpath.prediction WHERE version = 0",
           "UPDATE flightpath.prediction SET version = version + 4294967296 WHERE version > 0",
           "UPDATE flightpath.prediction SET version = version + 2147483648 WHERE version > 0",
           "UPDATE flightpath.scoring SET coef[1] = coef[1] - 0.01",
           "UPDATE flightpath.ledger SET coefficients = 1 WHERE coefficients = 3"]


@pytest.mark.long
def test_verify_finds_what_is_altered(pipeline, daemon, pg):
    install(daemon)
    assert plant_all(pg) == 3
    pipeline.generate(3_000, seed=55).send()
    install(daemon)
    assert verify(pipeline)["agrees"]
    for sql in ALTERED:
        pg.execute("CREATE TABLE kept AS SELECT * FROM flightpath.prediction")
        pg.execute("CREATE TABLE kept_scoring AS SELECT version, coef FROM flightpath.scoring")
        assert pg.execute(sql).rowcount > 0
        assert blamed(verify(pipeline)) == {"prediction"}, sql
        pg.execute("DELETE FROM flightpath.prediction")
        pg.execute("INSERT INTO flightpath.prediction SELECT * FROM kept")
        pg.execute("UPDATE flightpath.scoring s SET coef = k.coef FROM kept_scoring k"
                   " WHERE k.version = s.version")
        pg.execute("UPDATE flightpath.ledger SET coefficients = 3 WHERE coefficients = 1")
        pg.execute("DROP TABLE kept, kept_scoring")
    assert verify(pipeline)["agrees"]
    assert pg.execute("SELECT flightpath.fold(now() + interval '1 year', 1000000)").fetchone()
    assert pg.execute("SELECT FROM flightpath.prediction WHERE lane <> 0").fetchone() is None
    assert verify(pipeline)["agrees"]


# ---- the database ----------------------------------------------------------------------------


def test_a_version_is_seen_after_all_before_it(daemon, pg, database):
    """The second writer waits for the first: a replica knows every row of a version it names."""
    install(daemon)
    seen = []
    with database.connect(autocommit=False) as first:
        early = plant(first, "bag_drop_operations", [1, 1, 1], [1, 1, 1])

        def write():
            with database.connect() as second:
                seen.append(plant(second, "booking_operations", [1, 1], [1, 1]))

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.7)
        assert seen == []
        first.commit()
    writer.join(20)
    assert seen == [early + 1]


def test_partitions_fold_and_retention(pg):
    made = "SELECT flightpath.ensure_partitions('prediction', '2020-01-31', '2020-02-01')"
    assert pg.execute(made).fetchone() == (2,)
    pg.execute("INSERT INTO flightpath.programme (id, name, time_zone, model_hash, min_n,"
               " min_n_employee, responses_days, tallies_days, rejects_days)"
               " VALUES ('p', 'p', 'UTC', '', 10, 5, 30, 30, 30)")
    hour = 438_300  # 2020-01-01T12:00Z
    for lane in (0, 1, 2):
        pg.execute("INSERT INTO flightpath.prediction VALUES (%s, 1, 2, 5000000000, %s, 1, 2, 3, 4,"
                   " 5, 6, 7, 8)", (hour, lane))
    pg.execute("INSERT INTO flightpath.prediction VALUES (%s, 1, 2, 0, 1, 0, 0, 0, 1, 1, 1, 1, 1),"
               " (%s, 1, 2, 0, 2, 0, 0, 0, -1, -1, -1, -1, -1)", (hour, hour))
    assert pg.execute("SELECT flightpath.fold(now(), 100)").fetchone() == (4,)
    assert pg.execute("SELECT * FROM flightpath.prediction").fetchall() == [
        (hour, 1, 2, 5000000000, 0, 3, 6, 9, 12, 15, 18, 21, 24)]
    assert {row[0] for row in pg.execute("SELECT flightpath.drop_expired(now())").fetchall()} == {
        "prediction_y2020m01", "prediction_y2020m02"}


# ---- views -----------------------------------------------------------------------------------


def rows(pg, sql, *values):
    """As a reader, who has no rights on the stored tables."""
    with pg.transaction():
        pg.execute("SET LOCAL ROLE flightpath_reader")
        cursor = pg.execute(sql, values)
        names = [c.name for c in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


def test_views(pipeline, daemon, pg, kafka, topics):
    install(daemon)
    version = plant_all(pg)
    answers = [5, 4, 4, 3, 5, 4, 4, 5, 3, 4, 4, 5]
    for i, value in enumerate(answers):
        kafka.send(topics.responses, answer(f"r{i}", value, subject=f"c{i}"), key="k")
    for i in range(3):
        kafka.send(topics.responses, answer(f"s{i}", 1, unit="lhr", subject=f"d{i}"), key="k")
    waits = [10 * i for i in range(40)]
    for i, wait in enumerate(waits):
        kafka.send(topics.touchpoints, bag_drop(f"e{i}", wait_s=wait), key="k")
    kafka.send(topics.touchpoints, bag_drop("one", unit="cdg", wait_s=100), key="k")
    kafka.flush()
    install(daemon)
    found = {r["unit"]: r for r in rows(pg, "SELECT * FROM experience.prediction_hour")}
    row = rows_of(pg)["bag_drop_operations"][0]
    each = [score(row, [wait, None, None], [0, 0, 1]) for wait in waits]
    ams = found["ams"]
    assert (ams["touchpoint"], ams["model"], ams["model_version"], ams["events"]) == (
        "bag_drop", "bag_drop_operations", version, 40)
    assert ams["bucket"] == NOW.replace(minute=0)
    assert ams["predicted"] == pytest.approx(np.mean([p for p, _ in each]) / 1000, abs=1e-12)
    assert ams["predicted_detractor_share"] == pytest.approx(np.mean([d for _, d in each]),
                                                             abs=2e-6)
    assert (ams["n_observed"], ams["observed"]) == (12, pytest.approx(np.mean(answers)))
    half = t.ppf(0.975, 11) * np.std(answers, ddof=1) / np.sqrt(12)
    assert ams["ci_high"] == pytest.approx(min(5, np.mean(answers) + half), abs=1e-9)
    assert ams["ci_low"] == pytest.approx(np.mean(answers) - half, abs=1e-9)
    assert ams["status"] == ("ok" if half <= 0.3 else "insufficient_n")
    few = found["lhr"]  # answers alone, fewer than the minimum
    assert (few["events"], few["predicted"], few["observed"], few["n_observed"], few["ci_low"],
            few["status"]) == (0, None, None, None, None, "suppressed_min_n")
    lone = found["cdg"]  # one event is shown
    assert (lone["events"], lone["n_observed"], lone["observed"], lone["status"]) == (
        1, 0, None, "no_data")
    assert lone["predicted"] == score(row, [100, None, None], [0, 0, 1])[0] / 1000
    days = {r["unit"]: r for r in rows(pg, "SELECT * FROM experience.prediction_day")}
    for column in ("events", "predicted", "observed", "n_observed", "ci_low", "status"):
        assert days["ams"][column] == found["ams"][column], column
    zone = Model(pipeline.model.read_text()).zone
    local = NOW.astimezone(zone).replace(hour=0, minute=0)
    assert days["ams"]["bucket"] == local
    [calibration] = rows(pg, "SELECT * FROM experience.prediction_calibration")
    everything = answers + [1, 1, 1]
    predicted = np.mean([p for p, _ in each] + [score(row, [100, None, None], [0, 0, 1])[0]]) / 1000
    half = t.ppf(0.975, 14) * np.std(everything, ddof=1) / np.sqrt(15)
    assert (calibration["events"], calibration["n"], calibration["answered_share"]) == (
        41, 15, pytest.approx(15 / 41))
    assert calibration["predicted"] == pytest.approx(predicted, abs=1e-12)
    assert calibration["difference"] == pytest.approx(np.mean(everything) - predicted, abs=1e-9)
    sigma, n = pg.execute("SELECT sigma, n FROM flightpath.scoring WHERE version = %s",
                          (calibration["model_version"],)).fetchone()
    both = np.hypot(half, 1.96 * sigma / np.sqrt(n))
    assert calibration["difference_low"] == pytest.approx(
        np.mean(everything) - both - predicted, abs=1e-9)
    assert calibration["status"] == "insufficient_n"  # ± 0.75 of a scale of 4


def test_calibration_says_biased(daemon, pg, kafka, topics):
    install(daemon)
    plant_all(pg)
    for i in range(200):
        kafka.send(topics.responses, answer(f"r{i}", 1 + i % 2, subject=f"c{i}"), key="k")
        kafka.send(topics.touchpoints, bag_drop(f"e{i}", wait_s=400), key="k")
    kafka.flush()
    install(daemon)
    [found] = rows(pg, "SELECT * FROM experience.prediction_calibration")
    assert found["status"] == "biased" and found["difference_high"] < -1.5
    assert found["observed"] == 1.5
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(pg, "SELECT * FROM flightpath.prediction")
