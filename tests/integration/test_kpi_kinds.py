# SPDX-License-Identifier: GPL-3.0-or-later
"""KPIs of several items, measures or messages: index, ratio, response rate, straight-lining.

What the daemon counts and the views publish is held against numpy and scipy, from the messages;
what is revised, voided or erased leaves nothing, also when another model is in force by then.
"""

import json
import math

import numpy as np
import pytest
from scipy import stats

from judge_model import Model
from support import program
from support.pipeline import Pipeline

BASE_MS = 1772445600000  # 2026-03-02T10:00:00Z
DAY_MS = 86_400_000
FIVE = [{"id": name, "kind": "driver", "metric": "mean", "scale": "five"} for name in "abcd"]

MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "kinds", "time_zone": "UTC"},
    "scales": {"five": {"min": 1, "max": 5, "not_applicable": [6]}},
    "measures": {"cost": {"decimals": 2, "min": -100, "max": 1000, "direction": "lower"},
                 "contacts": {"decimals": 1, "min": 0, "max": 50}},
    "journeys": [{"id": "buy", "detailed": [{"id": "shop", "touchpoints": ["till"]}]}],
    "touchpoints": [{"id": "till"}],
    "items": [*FIVE, {**FIVE[0], "id": "worry", "direction": "lower"}],
    "kpis": [
        {"id": "index", "source": {"items": ["a", "b", "worry"]}, "target": 3, "grain": "hour",
         "benchmark": {"value": 3.6, "sd": 0.9, "n": 500, "source": "Panel",
                       "from": "2026-01-01", "until": "2026-12-31"}},
        {"id": "cost_per_contact", "source": {"measure": "cost", "per": "contacts"},
         "touchpoint": "till", "target": 6,
         "benchmark": {"value": 7, "source": "A guess"}},
        {"id": "rate", "source": {"response_rate": True}, "journey": "buy", "grain": "hour"},
        {"id": "web_rate", "source": {"response_rate": "web"}},
        {"id": "alike", "source": {"straight_lining": True}},
        {"id": "plain", "source": {"item": "a"}},
    ],
    "alerts": {"calendar": [{"from": "2026-04-27", "to": "2026-04-28", "text": "King's Day"},
                            {"from": "2026-12-25", "to": "2026-12-25"}]},
    "privacy": {"min_n": 5},
}


def iso(at_ms):
    text = np.datetime_as_string(np.datetime64(int(at_ms), "ms"), unit="ms")
    return f"{text}Z"


def body(kind, identity, data, at_ms=BASE_MS, **more):
    return {"specversion": "1.0", "id": str(identity), "source": "/kinds", "time": iso(at_ms),
            "type": f"experience.{kind}.v1", "data": data, **more}


def response(identity, scores, at_ms=BASE_MS, survey="s", subject=None, **data):
    more = {} if subject is None else {"subject": subject}
    return body("response", identity,
                {"audience": "customer", "survey": survey, "journey": "buy", "unit": "u1",
                 "channel": "web", "scores": scores, **data}, at_ms, **more)


def invitation(identity, at_ms=BASE_MS, survey="s", **data):
    return body("invitation", identity, {"survey": survey, "journey": "buy", "unit": "u1",
                                         "channel": "mail", **data}, at_ms)


def visit(identity, measures, at_ms=BASE_MS, **data):
    return body("touchpoint", identity, {"touchpoint": "till", "unit": "u1", "measures": measures,
                                         **data}, at_ms)


@pytest.fixture
def model_file(tmp_path):
    def write(document, name="model.json"):
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path
    return write


@pytest.fixture
def line(kafka, topics, database, daemon, model_file, tmp_path):
    """send(*bodies) and run() until all is counted; query(sql)."""
    class Line(Pipeline):
        def put(self, *bodies):
            for one in bodies:
                responses = one["type"].split(".")[1] in ("response", "erasure")
                self.kafka.send(self.topics.responses if responses else self.topics.touchpoints,
                                json.dumps(one), key="k",
                                timestamp_ms=BASE_MS + 40 * DAY_MS)
            self.kafka.flush()
            return self

        def run(self, document=None, **options):
            path = self.model if document is None else model_file(document, "other.json")
            one = daemon(until_caught_up=True, model=path, **options)
            assert one.wait(60) == 0, one.text()[-3000:]
            return self

        def value(self, kpi):
            """The row of kpi_series over everything."""
            names = ("n", "value", "ci_low", "ci_high", "status", "ci_method", "n_eff", "weight")
            row = self.query(
                f"SELECT {', '.join(names)} FROM experience.kpi_series(%s, '2026-02-01',"
                " '2026-05-01', '90 days')", kpi)[0]
            return dict(zip(names, row))

        def verified(self, subject_key):
            done = program.run("verify", postgres=self.database.conninfo, topics=self.topics.both,
                               subject_key_file=subject_key,
                               **{"kafka.bootstrap.servers": self.kafka.bootstrap})
            assert done.code == 0, done.out + done.err
            return self

    return Line(kafka, topics, database, model_file(MODEL), tmp_path)


def ratio_interval(x, y, w, low=-math.inf, high=math.inf):
    """Student's interval of sum(w x) / sum(w y): the residuals' variance over the mean of y."""
    x, y, w = (np.asarray(a, dtype=float) for a in (x, y, w))
    value = (w @ x) / (w @ y)
    eff = w.sum() ** 2 / (w @ w)
    residual = x - value * y
    variance = np.average(residual**2, weights=w) * eff / (eff - 1) / eff
    half = stats.t.ppf(0.975, eff - 1) * math.sqrt(variance) / np.average(y, weights=w)
    return value, max(value - half, low), min(value + half, high)


def jackknife_error(x, y):
    """Another way to the standard error, without any linearisation."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    left_out = (x.sum() - x) / (y.sum() - y)
    return math.sqrt((len(x) - 1) / len(x) * ((left_out - left_out.mean())**2).sum())


def close(row, expected):
    assert [row["value"], row["ci_low"], row["ci_high"]] == pytest.approx(expected, rel=1e-11)


# ---- values --------------------------------------------------------------------------------------

def index_pairs(answers):
    """(sum, count) of each response that answers at least half of the three items."""
    for scores in answers:
        points = [6 - s if name == "worry" else s
                  for name, s in scores.items() if name in ("a", "b", "worry") and s in range(1, 6)]
        if len(points) >= 2:
            yield sum(points), len(points)


def test_an_index_with_weights_is_a_ratio_of_sums(line, subject_key):
    random = np.random.default_rng(4)
    answers, weights = [], []
    for _ in range(60):
        mood = random.normal(3.4, 0.9)
        scores = {name: int(np.clip(round(mood + random.normal(0, 0.8)), 1, 5)) for name in "abcd"}
        scores["worry"] = 6 - int(np.clip(round(mood + random.normal(0, 1)), 1, 5))
        for name in ("a", "b", "worry"):
            if random.random() < 0.3:
                scores[name] = [None, 6, "na"][random.integers(3)]
        answers.append(scores)
        weights.append(int(random.integers(0, 4)))
    line.put(*(response(i, s, BASE_MS + i * 7_000_000, weight=w)
               for i, (s, w) in enumerate(zip(answers, weights))))
    line.run().clean().verified(subject_key)
    kept = [(*pair, w) for scores, w in zip(answers, weights) if w
            for pair in index_pairs([scores])]
    assert 30 < len(kept) < 60 and {y for _, y, _ in kept} == {2, 3}
    x, y, w = zip(*kept)
    row = line.value("index")
    close(row, ratio_interval(x, y, w, 1, 5))
    wide = (row["ci_high"] - row["ci_low"]) / 2 > 0.075 * 4
    assert row["n"] == len(kept) and row["status"] == ("insufficient_n" if wide else "ok")
    assert row["ci_method"] == "student t (ratio, linearised)"
    hours = line.query("SELECT sum(n)::int, sum(sum_value) FROM experience.kpi_hour"
                       " WHERE kpi = 'index' AND status <> 'suppressed_min_n'")[0]
    assert hours == (None, None), "an answer or two in an hour is not shown"
    assert line.query("SELECT sum(n)::int, sum(sum)::int, sum(b0)::int, sum(b1)::int, sum(b2)::int"
                      " FROM flightpath.tally_hour JOIN flightpath.kpi USING (series)"
                      " WHERE kpi = 'index'")[0] == (
        len(kept), np.dot(w, x), np.dot(w, y), np.dot(w, np.square(y)),
        np.dot(w, np.multiply(x, y)))


def test_a_ratio_of_two_measures(line, subject_key):
    random = np.random.default_rng(5)
    y = np.round(random.uniform(0, 9, 80), 1)
    y[:3] = 0
    x = np.round(4 + 3 * y + random.normal(0, 6, 80), 2)
    line.put(*(visit(i, {"cost": float(a), "contacts": float(b)}, BASE_MS + i * 9_000_000)
               for i, (a, b) in enumerate(zip(x, y))),
             visit("no cost", {"contacts": 3}), visit("no contacts", {"cost": 30}))
    line.run().clean().verified(subject_key)
    row = line.value("cost_per_contact")
    expected = ratio_interval(x, y, np.ones(80))
    close(row, expected)
    assert row["n"] == 80
    # an estimate of another kind agrees as far as it should
    half = jackknife_error(x, y) * stats.t.ppf(0.975, 79)
    assert row["ci_high"] - row["value"] == pytest.approx(half, rel=0.05)
    # by the day, and of now: sums of sums, not means of means
    days = line.query("SELECT bucket_number, n, value, ci_low, ci_high, status FROM"
                      " experience.kpi_day WHERE kpi = 'cost_per_contact' ORDER BY 1")
    at = np.array([(BASE_MS + i * 9_000_000) // DAY_MS for i in range(80)])
    for day, n, value, low, high, status in days:
        part = at == day
        assert n == part.sum()
        assert (value, low, high) == pytest.approx(
            ratio_interval(x[part], y[part], np.ones(n)), rel=1e-11)
        assert status == ("ok" if n >= 5 else "insufficient_n")
    assert len(days) == len(set(at))
    now = line.query("SELECT value, ci_low, ci_high, unit, attained FROM experience.kpi_now"
                     " WHERE kpi = 'cost_per_contact'")[0]
    assert now[:3] == pytest.approx(expected, rel=1e-11) and now[3] == "u1"


def test_a_ratio_without_anything_below_the_line_has_no_value(line):
    line.put(*(visit(i, {"cost": 4, "contacts": 0}) for i in range(6)))
    line.run().clean()
    row = line.value("cost_per_contact")
    assert (row["n"], row["value"], row["ci_low"]) == (6, None, None)
    assert row["status"] == "insufficient_n" and row["ci_method"] is None


@pytest.mark.parametrize("equal", [3, 5])
def test_respondents_who_agree_get_an_interval_by_the_range(line, equal):
    line.put(*(response(i, {"a": equal, "b": equal, "worry": 6 - equal}) for i in range(7)))
    line.run().clean()
    row = line.value("index")
    assert row["value"] == equal and row["ci_method"].startswith("range")
    rest = 1.959963984540054**2 / (7 + 1.959963984540054**2)
    close(row, (equal, equal - rest * (equal - 1), equal + rest * (5 - equal)))


def test_few_answers_are_not_shown(line):
    line.put(*(response(i, {name: 4 for name in "abcd"}) for i in range(4)),
             *(invitation(i) for i in range(4)))
    line.run().clean()
    for kpi in ("index", "alike"):
        row = line.value(kpi)
        assert (row["status"], row["n"], row["value"]) == ("suppressed_min_n", None, None)
        assert row["ci_method"] is None, "nor whether they agree"
    assert line.value("rate")["n"] == 4, "who was asked is no answer"


def test_a_response_rate_counts_invitations_and_responses_each_on_its_day(line, subject_key):
    line.put(*(invitation(f"i{i}", BASE_MS + (i % 3) * DAY_MS) for i in range(30)),
             *(invitation(f"w{i}", survey="web") for i in range(8)),
             *(response(f"r{i}", {}, BASE_MS + (3 + i % 2) * DAY_MS, weight=i,
                        status=["complete", "partial"][i % 2]) for i in range(11)),
             *(response(f"rw{i}", {"a": 3}, survey="web") for i in range(9)),
             response("inside", {"a": 2}, audience="internal"),
             invitation("elsewhere", journey="nowhere"),
             invitation("i0"), invitation("i0"))  # repeated: two more of the same
    line.run().clean().verified(subject_key)
    days = line.query("SELECT bucket, sum(n)::int, sum(weight)::int, sum(weight_square)::int,"
                      " sum(sum)::int FROM flightpath.tally_day JOIN flightpath.kpi USING (series)"
                      " WHERE kpi = 'rate' GROUP BY 1 ORDER BY 1")
    first = BASE_MS // DAY_MS
    assert days == [(first, 18, 18, 18, 9), (first + 1, 10, 10, 10, 0), (first + 2, 10, 10, 10, 0),
                    (first + 3, 0, 0, 0, 6), (first + 4, 0, 0, 0, 5)]
    row = line.value("rate")
    exact = stats.binomtest(20, 38).proportion_ci(method="wilson")
    close(row, (20 / 38, exact.low, exact.high))
    assert (row["n"], row["status"], row["ci_method"]) == (38, "ok", "wilson score")
    # more answers than invitations: all of them, with an interval
    web = line.value("web_rate")
    exact = stats.binomtest(8, 8).proportion_ci(method="wilson")
    close(web, (1, exact.low, 1))
    # days without invitations have no rate, and disturb nothing
    assert [r[0] for r in line.query("SELECT bucket_number FROM experience.kpi_day"
                                     " WHERE kpi = 'rate' ORDER BY 1")] == [first, first + 1,
                                                                           first + 2]
    empty = line.query("SELECT n, value, status FROM experience.kpi_series('rate', '2026-03-05',"
                       " '2026-03-07', '1 day')")
    assert empty == [(0, None, "no_data")] * 2
    assert line.query("SELECT sum(n)::int FROM experience.kpi_now WHERE kpi = 'rate'")[0] == (38,)
    hours = line.query("SELECT sum(n)::int, sum(sum)::int FROM flightpath.tally_hour"
                       " JOIN flightpath.kpi USING (series) WHERE kpi = 'rate'")[0]
    assert hours == (38, 20)


def test_answers_that_are_all_alike(line, subject_key):
    same, mixed = {name: 2 for name in "abcd"}, {"a": 2, "b": 2, "c": 2, "d": 3}
    line.put(*(response(f"s{i}", same) for i in range(3)),
             *(response(f"m{i}", mixed, weight=2) for i in range(9)),
             *(response(f"f{i}", {"a": 1, "b": 1, "c": 1, "d": None}) for i in range(4)))
    line.run().clean().verified(subject_key)
    row = line.value("alike")
    assert (row["n"], row["weight"]) == (12, 21)
    eff = 21**2 / (3 + 36)
    z = stats.norm.ppf(0.975)
    p = 3 / 21
    centre, half = p + z * z / (2 * eff), z * math.sqrt(p * (1 - p) / eff + (z / (2 * eff))**2)
    close(row, (p, (centre - half) / (1 + z * z / eff), (centre + half) / (1 + z * z / eff)))
    assert row["status"] == "insufficient_n", "more than 0.10 to either side"


# ---- taking away ---------------------------------------------------------------------------------

def cells(line, *kpis):
    """Every sum that is not zero."""
    columns = ", ".join(f"sum({c})::bigint" for c in (
        "n", "weight", "weight_square", "sum", "sum_square", *(f"b{i}" for i in range(11))))
    rows = line.query(f"SELECT kpi, {columns} FROM (SELECT * FROM flightpath.tally_day UNION ALL"
                      " SELECT * FROM flightpath.tally_hour) t JOIN flightpath.kpi USING (series)"
                      " GROUP BY kpi, bucket, unit, channel ORDER BY kpi")
    return [row for row in rows if any(row[1:]) and (not kpis or row[0] in kpis)]


FULL = {"a": 4, "b": 5, "c": 4, "d": 4, "worry": 1}


def test_a_revision_takes_the_place_of_what_it_revises(line, subject_key):
    line.put(response("r", FULL, weight=3)).run().clean()
    once = cells(line)
    assert {row[0] for row in once} == {"index", "rate", "alike", "plain"}
    line.put(response("r", {"a": 1, "b": 2}, revision=2, weight=1, unit="u2")).run().clean()
    assert cells(line) != once
    assert not [row for row in cells(line) if row[0] == "alike"]
    line.put(response("r", FULL, revision=3, weight=3)).run().clean().verified(subject_key)
    assert cells(line) == once


@pytest.mark.parametrize("how", ["void", "erasure", "erase"])
def test_what_is_voided_or_erased_leaves_nothing(line, how, database, kafka, topics, subject_key):
    line.put(response("r", FULL, subject="c-1", weight=3)).run()
    assert {row[0] for row in cells(line)} == {"index", "rate", "alike", "plain"}
    if how == "void":
        line.put(response("r", {}, revision=2, status="void", subject="c-1"))
    elif how == "erasure":
        line.put(body("erasure", "e", {"subject": "c-1"}, BASE_MS + DAY_MS))
    else:
        done = program.run("erase", "c-1", topics=topics.both,
                           **{"kafka.bootstrap.servers": kafka.bootstrap})
        assert done.code == 0, done.err
    line.run().verified(subject_key)
    assert cells(line) == []
    # a replay of the log does not bring it back
    line.put(response("r", FULL, subject="c-1", weight=3)).run()
    assert cells(line) == []


def test_it_is_taken_away_whatever_the_model_is_by_then(line, subject_key):
    line.put(response("r", FULL, subject="c-1", weight=2), response("q", FULL)).run()
    before = cells(line)
    later = json.loads(json.dumps(MODEL))
    later["kpis"][0]["source"] = {"items": ["c", "d"]}   # another series
    later["kpis"][2]["source"] = {"item": "b"}           # of another kind
    later["kpis"][4]["grain"] = "hour"
    later["items"][0]["metric"] = "top_box"
    line.put(response("r", {}, revision=2, status="void", subject="c-1")).run(later)
    line.put(response("q", {}, revision=2, status="void")).run(later).verified(subject_key)
    assert before and cells(line) == []


def test_replicas_share_cells_exactly(line, daemon, subject_key):
    """Invitations and responses of one cell come through different replicas in one lane."""
    random = np.random.default_rng(8)
    some = [invitation(f"i{i}", BASE_MS + int(random.integers(3)) * DAY_MS) for i in range(400)]
    some += [response(f"r{i}", {n: int(random.integers(1, 6)) for n in "abcd"},
                      BASE_MS + int(random.integers(3)) * DAY_MS) for i in range(300)]
    some += [visit(f"v{i}", {"cost": i, "contacts": 1 + i % 4}) for i in range(300)]
    for at in range(0, len(some), 50):
        for i, one in enumerate(some[at:at + 50]):
            answers = one["type"].split(".")[1] == "response"
            line.kafka.send(line.topics.responses if answers else line.topics.touchpoints,
                            json.dumps(one), key=f"k{i % 7}", timestamp_ms=BASE_MS + 40 * DAY_MS)
    line.kafka.flush()
    both = [daemon(model=line.model, lanes=1, batch_messages=20, flush_ms=10) for _ in range(2)]
    for one in both:
        one.ready()
    line.caught_up()
    for one in both:
        one.stop()
    line.clean().verified(subject_key)
    assert line.value("rate")["n"] == 400


# ---- what the model says, in the database --------------------------------------------------------

def test_the_model_is_in_the_tables(line):
    line.run()
    rows = {row[0]: row[1:] for row in line.query(
        "SELECT kpi, metric, source, decimals, scale_min, scale_max, direction, grain, per, items,"
        " survey FROM experience.kpi_list")}
    assert rows["index"] == ("index", "item", 0, 1, 5, "higher", "hour", None,
                             ["a", "b", "worry"], None)
    assert rows["cost_per_contact"] == ("ratio", "measure", 1, None, None, "lower", "hour",
                                        "contacts", None, None)
    assert rows["rate"] == ("response_rate", "invitation", 0, None, None, "higher", "hour", None,
                            None, None)
    assert rows["web_rate"][-1] == "web"
    assert rows["alike"] == ("share", "item", 0, None, None, "lower", "day", None, None, None)
    external = ("SELECT k.kpi, b.value, b.sd, b.n, b.source, b.from_day, b.until_day"
                " FROM flightpath.benchmark_external b JOIN flightpath.kpi k USING (series)"
                " ORDER BY 1")
    assert line.query(external) == [("cost_per_contact", 7, None, None, "A guess", None, None),
                                    ("index", 3.6, 0.9, 500, "Panel", 20454, 20818)]
    calendar = "SELECT place, from_day, until_day, text FROM flightpath.calendar ORDER BY 1"
    assert line.query(calendar) == [(0, 20570, 20571, "King's Day"), (1, 20812, 20812, "")]
    later = json.loads(json.dumps(MODEL))
    del later["kpis"][1]["benchmark"]
    later["kpis"][0]["benchmark"] = {"value": 4, "source": "Another"}
    later["alerts"]["calendar"] = [{"from": "2026-05-05", "to": "2026-05-06", "text": "x"}]
    line.run(later)
    assert line.query(external) == [("index", 4, None, None, "Another", None, None)]
    assert line.query(calendar) == [(0, 20578, 20579, "x")]
    assert line.query("SELECT count(*) FROM flightpath.kpi")[0] == (6,), "no series begins anew"


def test_explain_gives_each_value_again(line, flightpath, pg):
    line.put(*(response(i, {"a": 1 + i % 5, "b": 3, "c": 2, "d": 1 + i % 2, "worry": 2})
               for i in range(9)),
             *(invitation(f"i{i}") for i in range(20)),
             *(visit(f"v{i}", {"cost": 10 + i, "contacts": 1 + i % 3}) for i in range(12)))
    line.run()
    for kpi, n in (("index", 9), ("cost_per_contact", 12), ("alike", 9)):
        done = flightpath("explain", "kpi_now", f"kpi={kpi}", "unit=u1", json=True, check=True,
                          postgres=line.database.conninfo).json
        again = pg.execute(done["sql"]).fetchone()
        assert again[0] == n == done["row"]["n"]
        assert again[1] == pytest.approx(done["row"]["value"], rel=1e-12)
        assert done["formula"] and done["definition"]["kpi"]["id"] == kpi
    done = flightpath("explain", "kpi_now", "kpi=rate", "unit=u1", json=True, check=True,
                      postgres=line.database.conninfo).json
    assert tuple(pg.execute(done["sql"]).fetchone()) == (20, pytest.approx(9 / 20))
    parts = flightpath("explain", "kpi_now", "kpi=index", "unit=u1", json=True, check=True,
                       postgres=line.database.conninfo).json["definition"]
    assert {item["id"] for item in parts["items"]} == {"a", "b", "worry"}


def test_check_suggests_straight_lining(flightpath, model_file):
    without = {**MODEL, "kpis": [k for k in MODEL["kpis"] if k["id"] != "alike"]}
    done = flightpath("check", model=model_file(without), json=True)
    assert done.code == 0 and any("straight_lining" in note for note in done.json["notes"])
    done = flightpath("check", model=model_file(MODEL), json=True)
    assert done.code == 0 and not any("straight_lining" in note for note in done.json["notes"])
    events = {**MODEL, "kpis": [MODEL["kpis"][1]]}
    assert not any("straight_lining" in note for note in
                   flightpath("check", model=model_file(events), json=True).json["notes"])


def test_the_judge_knows_the_kinds():
    """The judge's own reading of the model, so that agreement with it means something."""
    kpis = {kpi["id"]: kpi for kpi in Model(MODEL).kpis}
    assert kpis["index"]["reversed"] == {"worry"} and kpis["index"]["of"] == "answers"
    assert (kpis["cost_per_contact"]["of"], kpis["cost_per_contact"]["decimals"]) == ("events", 1)
    assert (kpis["rate"]["of"], kpis["web_rate"]["survey"]) == ("invitations", "web")
