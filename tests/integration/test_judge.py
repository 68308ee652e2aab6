# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge judged: cases worked out by hand. They need no daemon, no Kafka and no database."""
import json
import math
from collections import Counter

import pytest

import judge
from judge_message import Number, Record, Reject, decode, parse_json, parse_time, to_fixed
from judge_model import Model, resolve
from judge_numbers import (EITHER, Cell, attainment, bin_value, publish, quantile, sketch_bin,
                           student, tango, wilson)

MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "p", "time_zone": "Europe/Amsterdam",
                  "retention_days": {"responses": 400, "tallies": 1100}},
    "scales": {"nps": {"min": 0, "max": 10},
               "five": {"min": 1, "max": 5, "not_applicable": ["na", 6]}},
    "measures": {"wait_s": {"decimals": 1, "min": 0, "max": 7200, "direction": "lower"}},
    "journeys": [
        {"id": "open", "audience": "customer", "detailed": [
            {"id": "first", "touchpoints": ["desk"]}, {"id": "then", "touchpoints": ["app"]}]},
        {"id": "close", "audience": "customer",
         "detailed": [{"id": "end", "touchpoints": ["app"]}]},
        {"id": "work", "audience": "employee", "detailed": [
            {"id": "applying", "tenure": "applicant"}, {"id": "new", "tenure": {"max_months": 3}},
            {"id": "year", "tenure": {"max_months": 12}},
            {"id": "old", "tenure": {"min_months": 12}}]}],
    "touchpoints": [{"id": "desk"}, {"id": "app"}],
    "items": [
        {"id": "recommend", "kind": "outcome", "metric": "nps", "scale": "nps"},
        {"id": "waiting", "kind": "driver", "metric": "mean", "scale": "five",
         "touchpoint": "desk"},
        {"id": "energy", "kind": "outcome", "metric": "csat", "scale": "five"}],
    "kpis": [
        {"id": "nps", "source": {"item": "recommend"}, "journey": "open", "target": 0},
        {"id": "helped", "source": {"item": "waiting"}, "touchpoint": "desk"},
        {"id": "energy_new", "source": {"item": "energy"}, "journey": "new"},
        {"id": "energy", "source": {"item": "energy"}, "journey": "work", "grain": "hour"},
        {"id": "soon", "source": {"measure": "wait_s", "within": 300.5}, "touchpoint": "desk"},
        {"id": "mean_wait", "source": {"measure": "wait_s"}, "touchpoint": "desk", "grain": "day"},
        {"id": "p90", "source": {"measure": "wait_s", "quantile": 0.9}, "touchpoint": "desk"},
        {"id": "failed", "source": {"outcome": "failed"}, "journey": "open", "target": 0.2}],
    "privacy": {"min_n": 3, "min_n_employee": 2}}

NOON = 1_772_449_200_000  # 2026-03-02T11:00:00Z in ms


@pytest.fixture
def model():
    return Model(json.dumps(MODEL))


class Stream:
    """Makes records of one partition, one after another."""

    def __init__(self):
        self.records = []

    def put(self, value, headers=(), timestamp_ms=NOON, partition=0):
        if isinstance(value, dict):
            value = json.dumps(value).encode()
        offset = sum(r.partition == partition for r in self.records)
        self.records.append(
            Record("t", partition, offset, timestamp_ms, value, None, list(headers)))
        return self.records[-1]

    def event(self, id_, type_, data, time="2026-03-02T11:00:00Z", **more):
        return self.put({"specversion": "1.0", "id": id_, "source": "/s", "time": time,
                         "type": f"experience.{type_}.v1", "data": data, **more})

    def visit(self, id_, touchpoint="desk", **data):
        return self.event(id_, "touchpoint", {"touchpoint": touchpoint, **data})

    def answer(self, id_, scores=None, revision=1, status="complete", **more):
        envelope = {k: more.pop(k) for k in ("subject", "time") if k in more}
        data = {"audience": "customer", "survey": "s", "journey": "open", "revision": revision,
                "status": status, "scores": scores or {}, **more}
        return self.event(id_, "response", data, **envelope)


def classes(model, stream, **options):
    log = judge.Log(model, **options)
    return [log.read(record) for record in stream.records], log


# ---- messages ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data, reason", [
    (b"", "empty"), (b" \n", "empty"), (b"{", "bad_json"), (b"{} x", "trailing_bytes"),
    (b"\xff", "bad_utf8"), (b'"\xc0\xaf"', "bad_utf8"), (b"\xef\xbb\xbf{}", "bad_json"),
    (b'{"a":1,"\\u0061":2}', "duplicate_key"), (b"[NaN]", "bad_json"), (b"[01]", "bad_json"),
    (b"[1.]", "bad_json"), (b'"\t"', "bad_json"), (b'"\\ud800"', "bad_json"),
    (b'"\\u0000"', "nul_in_string"), (b"[" * 17 + b"]" * 17, "too_deep"),
    (b"[" * 100_000, "too_deep"), (b"[" + b"1" * 65 + b"]", "number_too_long"),
    (b"[" + b",".join([b"1"] * 513) + b"]", "too_many_values"), (b" " * 262_145, "too_long")])
def test_bad_json_has_its_reason(data, reason):
    with pytest.raises(Reject) as caught:
        parse_json(data)
    assert caught.value.reason == reason


def test_good_json_keeps_numbers_as_text():
    document = parse_json(b'[-6.40, 1e3, {"a": "\\ud83d\\ude00"}]')
    assert document == ["-6.40", "1e3", {"a": "\U0001f600"}]
    assert parse_json(b"[" * 16 + b"]" * 16)


@pytest.mark.parametrize("text, micros", [
    ("1970-01-01T00:00:00Z", 0), ("2026-03-02T11:00:00.1234567Z", NOON * 1000 + 123_456),
    ("2026-03-02t16:30:00+05:30", NOON * 1000), ("2026-03-02T11:00:00-00:00", NOON * 1000),
    ("2016-12-31T23:59:60Z", 1_483_228_799_999_999),
    ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ("2016-12-30T23:59:60Z", None), ("2026-02-29T00:00:00Z", None), ("2026-03-02T24:00:00Z", None),
    ("2026-03-02T11:00:00", None), ("2026-03-02 11:00:00Z", None), ("1969-12-31T23:59:59Z", None),
    ("2026-13-01T00:00:00Z", None), ("2026-03-02T11:00:00.Z", None)])
def test_times(text, micros):
    assert parse_time(text) == micros


@pytest.mark.parametrize("text, decimals, value", [
    ("6.40", 2, 640), ("-6.4", 2, -640), ("6.400", 2, 640), ("1e3", 0, 1000), ("4120e-1", 0, 412),
    ("0.000", 0, 0), ("-0", 0, 0), ("0e99999", 0, 0), ("9223372036854775807", 0, 2**63 - 1),
    ("6.405", 2, "too_many_decimals"), ("1e-1", 0, "too_many_decimals"),
    ("9223372036854775808", 0, "out_of_range"), ("1e999999", 2, "out_of_range")])
def test_fixed_point(text, decimals, value):
    if isinstance(value, str):
        with pytest.raises(Reject) as caught:
            to_fixed(Number(text), decimals)
        assert caught.value.reason == value
    else:
        assert to_fixed(Number(text), decimals) == value


def test_three_modes_and_the_prefix_are_one_event():
    stream = Stream()
    data = {"touchpoint": "desk", "unit": "u"}
    structured = stream.event("1", "touchpoint", data)
    wire = stream.put(b"\0\0\0\0\7" + structured.value)
    plain = {k: v for k, v in json.loads(structured.value).items() if k != "specversion"}
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"),
               ("ce_type", b"experience.touchpoint.v1"), ("ce_time", b"2026-03-02T11:00:00Z"),
               ("content-type", b"application/json; charset=UTF-8")]
    binary = stream.put(data, headers)
    events = [decode(r) for r in (structured, wire, stream.put(plain), binary)]
    assert all(event == events[0] for event in events)
    assert events[0].unit == "u" and events[0].time_us == NOON * 1000


@pytest.mark.parametrize("change, reason", [
    ({"specversion": "0.3"}, "bad_specversion"), ({"id": None}, "missing_field"),
    ({"id": ""}, "bad_value"), ({"id": 7}, "type_mismatch"), ({"id": "x" * 257}, "string_too_long"),
    ({"type": "experience.dream.v1"}, "unknown_type"), ({"time": "now"}, "bad_time"),
    ({"time": None}, "missing_field"), ({"data": None}, "missing_field"),
    ({"data": []}, "type_mismatch"),
    ({"data": {"unit": "u"}}, "missing_field"), ({"data": {"touchpoint": 3}}, "type_mismatch"),
    ({"data": {"touchpoint": "desk", "outcome": "lost"}}, "bad_value"),
    ({"data": {"touchpoint": "desk", "measures": {"wait_s": "3"}}}, "type_mismatch"),
    ({"datacontenttype": "text/plain"}, "bad_content_type")])
def test_bad_events_have_their_reason(change, reason):
    stream = Stream()
    message = json.loads(stream.visit("1").value)
    with pytest.raises(Reject) as caught:
        decode(stream.put({**message, **change}))
    assert caught.value.reason == reason


@pytest.mark.parametrize("data, reason", [
    ({"audience": "owner"}, "bad_value"), ({"survey": None}, "missing_field"),
    ({"revision": 0}, "out_of_range"), ({"revision": 1.5}, "type_mismatch"),
    ({"weight": -1}, "out_of_range"), ({"applicant": True, "tenure_months": 3}, "bad_value"),
    ({"scores": {"recommend": "no"}}, "bad_value"),
    ({"scores": {"recommend": 7.5}}, "type_mismatch"),
    ({"scores": {"recommend": True}}, "type_mismatch"), ({"submitted_at": "x"}, "bad_time")])
def test_bad_responses_have_their_reason(data, reason):
    stream = Stream()
    with pytest.raises(Reject) as caught:
        decode(stream.answer("1", **data))
    assert caught.value.reason == reason


def test_what_is_not_ours_is_ignored(model):
    stream = Stream()
    stream.put(None)
    stream.put({"specversion": "1.0", "id": "1", "source": "/x", "type": "com.example.ping"})
    stream.put(b"<xml/>", [("ce_id", b"1"), ("ce_source", b"/x"), ("ce_type", b"com.example.ping"),
                           ("ce_specversion", b"1.0"), ("content-type", b"text/xml")])
    assert classes(model, stream)[0] == ["ignored"] * 3


# ---- model -------------------------------------------------------------------------------------


def test_places(model):
    def place(type_="touchpoint", **data):
        stream = Stream()
        if type_ == "response":
            data = {"audience": "employee", "survey": "s", **data}
        return model.place(decode(stream.event("1", type_, data)))

    assert place(touchpoint="desk") == ("customer", "open", "first", "desk")  # in one journey only
    assert place(touchpoint="app") == ("customer", None, None, "app")         # in two
    assert place(touchpoint="app", journey="close") == ("customer", "close", "end", "app")
    assert place(touchpoint="app", journey="then") == ("customer", "open", "then", "app")
    assert place(touchpoint="roof", journey="open") == ("customer", "open", None, None)
    assert place(touchpoint="desk", journey="nowhere") == ("customer", None, None, "desk")
    for tenure, window in ((3, "new"), (4, "year"), (12, "year"), (13, "old")):
        assert place("response", journey="work", tenure_months=tenure)[2] == window
    assert place("response", journey="work", applicant=True)[2] == "applying"
    assert place("response", journey="work")[2] is None


@pytest.mark.parametrize("scores, reason", [
    ({"recommend": 11}, "out_of_scale"), ({"waiting": 0}, "out_of_scale"),
    ({"mood": 1}, "unknown_item")])
def test_scores_are_on_their_scale(model, scores, reason):
    stream = Stream()
    record = stream.answer("1", scores)
    with pytest.raises(Reject) as caught:
        resolve(model, decode(record), record)
    assert caught.value.reason == reason


def test_what_is_no_answer_does_not_count(model):
    record = Stream().answer("1", {"waiting": 6, "recommend": None, "energy": "na"})
    assert resolve(model, decode(record), record) == ({}, {})


@pytest.mark.parametrize("measures, reason", [
    ({"wait_s": 7200.1}, "out_of_range"), ({"wait_s": -1}, "out_of_range"),
    ({"wait_s": 1.25}, "too_many_decimals"), ({"noise": 1}, "unknown_measure")])
def test_measures_are_in_their_range(model, measures, reason):
    record = Stream().visit("1", measures=measures)
    with pytest.raises(Reject) as caught:
        resolve(model, decode(record), record)
    assert caught.value.reason == reason


@pytest.mark.parametrize("time, outcome", [
    ("2026-03-02T12:00:00Z", "applied"), ("2026-03-02T12:00:00.000001Z", "future"),
    ("2023-02-26T11:00:00Z", "applied"), ("2023-02-26T10:59:59Z", "too_old")])  # 1100 days before
def test_time_bounds(model, time, outcome):
    stream = Stream()
    stream.event("1", "touchpoint", {"touchpoint": "desk"}, time=time)
    result, log = classes(model, stream)
    assert result == [outcome] or log.rejects == {("t", 0, 0): (outcome, "time")}


# ---- the log -----------------------------------------------------------------------------------


def test_duplicate_events_within_the_window(model):
    stream = Stream()
    for id_ in ("a", "b", "a", "c", "d", "e", "a"):
        stream.visit(id_)
    assert classes(model, stream, dedup_window=3)[0] == \
        ["applied", "applied", "duplicate", "applied", "applied", "applied", "applied"]
    assert classes(model, stream)[0][-1] == "duplicate"


def test_a_rejected_event_is_not_remembered(model):
    stream = Stream()
    stream.visit("a", measures={"noise": 1})
    stream.visit("a")
    assert classes(model, stream)[0] == ["rejected", "applied"]


def test_revisions(model):
    stream = Stream()
    stream.answer("a", {"recommend": 3})
    stream.answer("a", {"recommend": 9}, revision=3)
    stream.answer("a", {"recommend": 5}, revision=2)   # late
    stream.answer("a", {"recommend": 5}, revision=3)   # again
    stream.answer("a", revision=4, submitted_at="2026-03-02T10:00:00Z")
    result, log = classes(model, stream)
    assert result == ["applied", "revised", "duplicate", "duplicate", "rejected"]
    assert log.rejects[("t", 0, 4)][0] == "submitted_at_changed"
    assert log.responses[("/s", "a")].scores == {"recommend": 9}


def test_a_revision_without_submitted_at_keeps_the_time(model):
    stream = Stream()
    stream.answer("a", {"recommend": 3}, submitted_at="2026-03-02T09:00:00Z")
    stream.answer("a", {"recommend": 9}, revision=2, time="2026-03-02T11:00:00Z")
    result, log = classes(model, stream)
    assert result == ["applied", "revised"]
    assert log.responses[("/s", "a")].submitted_us == (NOON - 7_200_000) * 1000


def test_voids(model):
    stream = Stream()
    stream.answer("a", {"recommend": 3})
    stream.answer("a", status="void")                  # same revision
    stream.answer("a", {"recommend": 3})
    stream.answer("a", status="void")
    stream.answer("a", {"recommend": 4}, revision=2)   # comes back
    stream.answer("b", status="void", revision=2)      # before its response
    stream.answer("b", {"recommend": 3})
    result, log = classes(model, stream)
    assert result == ["applied", "voided", "ignored", "duplicate", "revised", "voided", "ignored"]
    cells = judge.add_up(model, log)
    assert [cell.sum for cell in cells.day.values()] == [4]


def test_erasure_takes_back_and_keeps_out(model):
    stream = Stream()
    stream.answer("a", {"recommend": 3}, subject="x")
    stream.answer("b", {"recommend": 4}, subject="y")
    stream.event("e", "erasure", {"subject": "x"})
    stream.answer("a", {"recommend": 3}, subject="x")                              # a replay
    stream.answer("c", {"recommend": 5}, subject="x", time="2026-03-02T11:00:00.001Z")  # after it
    result, log = classes(model, stream)
    assert result == ["applied", "applied", "applied", "ignored", "applied"]
    assert sorted(id_ for _, id_ in log.responses) == ["b", "c"]


# ---- cells -------------------------------------------------------------------------------------


def test_cells_of_events(model):
    stream = Stream()
    stream.visit("1", unit="u", measures={"wait_s": 300.5})
    stream.visit("2", unit="u", measures={"wait_s": 300.6}, outcome="failed")
    stream.event("3", "touchpoint", {"touchpoint": "roof"})
    cells = judge.add_up(model, classes(model, stream)[1])
    hour, day = 492_347, 20_514  # of 2026-03-02T11:00:00Z, noon in Amsterdam
    assert cells.hour[("soon", hour, "u", None)].parts()[:5] == (2, 2, 2, 1, 1)
    assert cells.day[("mean_wait", day, "u", None)].parts()[:5] == (
        2, 2, 2, 3005 + 3006, 3005**2 + 3006**2)
    assert not any(key[0] == "mean_wait" for key in cells.hour)
    assert cells.hour[("failed", hour, "u", None)].sum == 1
    assert sum(cells.sketch[("p90", day, "u", None)].values()) == 2
    assert cells.coverage == {("desk", day): {"events": 2, "failed": 1},
                              ("roof", day): {"events": 1}}


def test_cells_of_answers(model):
    stream = Stream()
    stream.answer("1", {"recommend": 10, "waiting": 4}, weight=3, journey="close")
    stream.answer("2", {"recommend": 2}, weight=0)
    stream.answer("3", {"energy": 5}, audience="employee", journey="work", tenure_months=2,
                  unit="u")
    cells = judge.add_up(model, classes(model, stream)[1])
    day = 20_514
    # recommend counts in journey open only; waiting at its own touchpoint, whoever asked
    assert ("nps", day, None, None) not in cells.day or not cells.day[("nps", day, None, None)].n
    helped = cells.day[("helped", day, None, None)]
    assert helped.parts() == (1, 3, 9, 12, 48, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0)
    assert cells.day[("energy_new", day, "u", None)].n == 1
    assert cells.hour[("energy", 492_347, "u", None)].bins[4] == 1
    assert cells.coverage[(None, day)] == {"customer": 2, "employee": 1}


def test_local_days(model):
    zone = model.zone  # one hour ahead in winter, two in summer
    assert judge.day_of(NOON * 1000 + 11 * 3_600_000_000, zone) == 20_514
    assert judge.day_of(NOON * 1000 + 12 * 3_600_000_000, zone) == 20_515
    assert judge.day_of(1_782_857_000_000_000, zone) == 20_635  # 2026-06-30T22:03:20Z: 1 July


# ---- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("promoters, detractors, n, low, high", [
    (60, 15, 100, 29.256915542644634, 58.12570201838807),
    (0, 10, 10, -100.0, -44.493440027422146), (10, 0, 10, 44.49344002742216, 100.0),
    (450, 250, 1000, 14.910302254277747, 24.97121644281972),
    (1, 1, 10, -34.22369412736818, 34.22369412736818)])
def test_tango(promoters, detractors, n, low, high):
    value, got_low, got_high = tango(promoters, detractors, n)
    assert value == pytest.approx(100 * (promoters - detractors) / n)
    assert (got_low, got_high) == pytest.approx((low, high), abs=1e-9)


def test_wilson():
    # 8 of 10: (10·.8 + 1.9207) / 13.8415 ± 1.96·√(1.6 + .9604) / 13.8415
    assert wilson(8, 10) == pytest.approx((0.8, 0.4901624715, 0.9433178485), abs=1e-9)
    assert wilson(0, 10)[1] == 0 and wilson(10, 10)[2] == 1


def test_student():
    # 1, 2, 3, 4: mean 2.5, variance 5/3, t(3) = 3.182446305
    half = 3.182446305284263 * math.sqrt(5 / 12)
    assert student(2.5, 5 / 3, 4, None, None) == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    assert student(2.5, 5 / 3, 4, 1, 4)[1:] == (1, 4)  # cut at the scale
    rest = 1 - 10 / (10 + 1.959963984540054**2)        # ten equal answers: Wilson's lower limit
    assert student(4, 0, 10, 1, 5) == pytest.approx((4, 4 - 3 * rest, 4 + rest))
    assert student(4, 0, 1, None, None) == (4, None, None)


def test_sketch_bins_are_ordered_and_narrow():
    last = 0
    for value in [*range(1, 5000), *(10**k for k in range(4, 19)), 2**63 - 1]:
        number = sketch_bin(value)
        assert number >= last and sketch_bin(-value) == -number
        assert abs(bin_value(number) - value) <= 0.01 * value
        last = number
    assert last == 2229 and [sketch_bin(v) for v in (0, 63, 64, 127, 128)] == [0, 63, 64, 101, 102]


def test_quantile():
    kpi = {"quantile": 0.5, "decimals": 1}
    # nine values 10 … 18, in tenths: rank 5; half = 1.96·√2.25 = 2.94: ranks 1 and 9
    assert quantile(kpi, Counter(range(10, 19))) == (1.4, 1.0, 1.8)
    assert quantile(kpi, Counter([10])) == (1.0, None, None)


def test_attainment():
    assert attainment(5, "higher", 6, 7) is True and attainment(5, "higher", 3, 4) is False
    assert attainment(5, "higher", 4, 6) is None and attainment(5, "higher", 5, 6) == EITHER
    assert attainment(5, "lower", 6, None) is False and attainment(5, "lower", 4, None) is None
    assert attainment(5, "lower", 3, 4) is True and attainment(5, "lower", 6, 7) is False


def test_publish(model):
    kpis = {kpi["id"]: kpi for kpi in model.kpis}
    nps = Cell()
    for score in (10, 9):
        nps.add(score, 1, score)
    assert publish(model, kpis["nps"], nps)["status"] == "suppressed_min_n"
    nps.add(3, 1, 3)
    shown = publish(model, kpis["nps"], nps)
    assert shown["n"] == 3 and shown["value"] == pytest.approx(100 / 3)
    assert shown["status"] == "insufficient_n" and shown["attained"] is None
    share = Cell()
    for i in range(100):
        share.add(int(i < 5))
    shown = publish(model, kpis["failed"], share)
    assert (shown["value"], shown["status"], shown["attained"]) == (0.05, "ok", True)
    weighted = Cell()  # weights 1 and 3: effective n 16/10
    weighted.add(5, 1, 4)
    weighted.add(1, 3, 0)
    shown = publish(model, kpis["energy"], weighted)
    assert (shown["value"], shown["ci_low"], shown["ci_high"]) == pytest.approx(wilson(0.4, 1.6))


# ---- the verdict -------------------------------------------------------------------------------


class Held(judge.Database):
    """A database that holds exactly what it is given."""

    def __init__(self, tables):
        self.tables = tables
        self.names = {kind: {"desk", "u", "/s"} for kind in range(9)}

    def __getattribute__(self, name):
        tables = object.__getattribute__(self, "tables") if name != "tables" else {}
        if name in tables:
            return lambda *_: tables[name]
        return object.__getattribute__(self, name)


@pytest.fixture
def held(model):
    """Three visits and a reject, and the tables that follow from them."""
    stream = Stream()
    for i in range(3):
        stream.visit(str(i), unit="u", measures={"wait_s": 100})
    stream.put(b"{")
    hour, day = 492_347, 20_514
    midnight = 1_772_406_000
    ones = (3, 3, 3, 3, 3, *[0] * 11)
    none = (3, 3, 3, 0, 0, *[0] * 11)
    wait = (3, 3, 3, 3000, 3_000_000, *[0] * 11)
    share = {"n": 3, "value": 1.0, "ci_low": wilson(3, 3)[1], "ci_high": 1.0, "attained": None,
             "status": "ok"}
    zero = {"n": 3, "value": 0.0, "ci_low": 0.0, "ci_high": wilson(0, 3)[2], "attained": None,
            "status": "ok"}
    mean = {**share, "value": 100.0, "ci_low": 100.0, "ci_high": 100.0}
    slow = bin_value(sketch_bin(1000)) / 10  # 99.45 stands for 100.0
    p90 = {"n": 3, "value": slow, "ci_low": slow, "ci_high": None, "attained": None,
           "status": "insufficient_n"}
    tables = {
        "positions": {("t", 0): (0, 4)},
        "ledger": {("t", 0): {"consumed": 4, "applied": 3, "duplicate": 0, "revised": 0,
                              "voided": 0, "rejected": 1, "ignored": 0}},
        "rejects": {("t", 0, 3): ("bad_json", "")},
        "responses": {},
        "sketches": {("p90", day, "u", None): Counter({sketch_bin(1000): 3})},
        "coverage": {("desk", day): (3, 0, 0, 0, 0, 0, 0, 0)}}
    by_table = {
        "tally_hour": {("soon", hour, "u", None): ones, ("failed", hour, "u", None): none},
        "tally_day": {("soon", day, "u", None): ones, ("failed", day, "u", None): none,
                      ("mean_wait", day, "u", None): wait},
        "kpi_hour": {("soon", hour * 3600, "u", None): share,
                     ("failed", hour * 3600, "u", None): zero},
        "kpi_day": {("soon", midnight, "u", None): share, ("failed", midnight, "u", None): zero,
                    ("mean_wait", midnight, "u", None): mean, ("p90", midnight, "u", None): p90}}
    return stream, tables, by_table


def verdict(model, held, monkeypatch):
    stream, tables, by_table = held
    database = Held(tables)
    database.tables = {**tables}
    monkeypatch.setattr(Held, "tallies", lambda self, table: by_table[table], raising=False)
    monkeypatch.setattr(Held, "published", lambda self, view: by_table[view], raising=False)
    monkeypatch.setattr(judge, "Database", lambda connection: database)
    return judge.judge(model, stream.records, None)


def test_agreement_is_no_difference(model, held, monkeypatch):
    assert verdict(model, held, monkeypatch) == []


@pytest.mark.parametrize("where, key, value", [
    ("ledger", ("t", 0), {"consumed": 4, "applied": 4, "rejected": 0}),
    ("rejects", ("t", 0, 2), ("bad_json", "")), ("rejects", ("t", 0, 3), ("empty", "")),
    ("responses", ("/s", "x"), (0, 1, 0, 1)),
    ("coverage", ("roof", 20_514), (1, 0, 0, 0, 0, 0, 0, 0)),
    ("sketches", ("p90", 20_514, "u", None), Counter({5: 3}))])
def test_any_other_row_is_a_difference(model, held, monkeypatch, where, key, value):
    held[1][where] = {**held[1][where], key: value}
    assert verdict(model, held, monkeypatch)


@pytest.mark.parametrize("table", ["tally_hour", "tally_day", "kpi_hour", "kpi_day"])
def test_a_missing_or_changed_cell_is_a_difference(model, held, monkeypatch, table):
    key = next(iter(held[2][table]))
    row = held[2][table][key]
    held[2][table][key] = {**row, "ci_low": row["ci_low"] - 1e-6} if isinstance(row, dict) \
        else (row[0] + 1, *row[1:])
    assert [d["key"] for d in verdict(model, held, monkeypatch)] == [key]
    del held[2][table][key]
    assert [d["found"] for d in verdict(model, held, monkeypatch)] == [None]


def test_records_beyond_the_position_are_not_judged(model, held, monkeypatch):
    held[0].visit("later")
    assert verdict(model, held, monkeypatch) == []
