"""Bad and awkward input, B1 to B34 of bad_input.md: one daemon reads all of it, then each record is
looked up: rejected (reason, field, dead letter), ignored, duplicate, or applied with exact values.

The records are in support/bad_cases.py. What would disturb the others, or needs another broker
setting or a daemon of its own (B31 to B34, some of B11 and B25), is in test_bad_batches.py.
"""

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import bad_cases
from support.wait import wait_for
from support.bad_cases import CASES, HOSTILE, RECORD_MS, SKEW_S, day_of
from support.paths import ROOT
from support.stand import CLASSES, Stand

OWN = ("fp_topic", "fp_partition", "fp_offset", "fp_timestamp_ms", "fp_reason", "fp_field",
       "fp_detail", "fp_version", "fp_key")


class Run:
    """Everything that can be known after the daemon has read all cases."""

    def __init__(self, stand):
        self.stand = stand
        self.places = {}
        topics = stand.topics
        for one in CASES:
            topic = topics.touchpoints if one.touchpoints else topics.responses
            self.places[id(one)] = stand.send(one.value, topic, one.key, one.headers, RECORD_MS)
        stand.flush()
        with stand.running() as daemon:
            stand.caught_up()
            wait_for(lambda: daemon.metrics()["flightpath_last_event_timestamp_seconds"] > 0,
                     "the loop has heard of the commit")
            self.metrics = daemon.get("/metrics")[1]
        self.log = daemon.log.read_bytes()
        self.rejects, self.letters = stand.rejects(), stand.letters()
        self.responses = stand.responses()
        self.hours, self.days = stand.tallies("tally_hour"), stand.tallies("tally_day")
        self.covered = dict(stand.query(
            "SELECT n.name, sum(c.events)::int FROM flightpath.coverage_day c"
            " JOIN flightpath.name n ON n.kind = 2 AND n.id = c.touchpoint GROUP BY 1"))

    # ---- one case

    def check(self, case):
        place = self.places[id(case)]
        if case.rejected:
            self.check_rejected(case, place)
            return
        assert place not in self.rejects, self.rejects[place]
        assert place not in self.letters
        if case.wanted is not None:
            (self.check_event if case.touchpoints else self.check_response)(case)

    def check_rejected(self, case, place):
        assert place in self.rejects, "it was not rejected"
        reason, field, detail = self.rejects[place]
        wanted_reason, wanted_field = case.outcome
        assert reason == wanted_reason, f"{reason} at {field!r}: {detail}"
        if wanted_field is not None:
            assert field == wanted_field
        assert detail and not re.search("[\x00-\x1f\x7f]", field + detail)
        self.check_letter(case, self.letters[place], (reason, field, detail))

    def check_letter(self, case, letter, why):
        """The original bytes, key and headers, and where and why."""
        assert letter.value() == case.value
        original = [(n, v) for n, v in case.headers or [] if not n.startswith("fp_")]
        kept = [(n, v) for n, v in letter.headers() if not n.startswith("fp_")]
        assert kept == original
        own = dict(letter.headers()[len(kept):])
        assert set(own) == set(OWN) - ({"fp_key"} if case.key is None else set())
        assert own.get("fp_key") == case.key
        assert own["fp_timestamp_ms"] == str(RECORD_MS).encode()
        assert (own["fp_reason"], own["fp_field"], own["fp_detail"]) == tuple(
            text.encode() for text in why)

    def check_response(self, case):
        headers = dict(case.headers or [])
        number = headers["ce_id"].decode() if "ce_id" in headers else json.loads(
            case.value.decode())["id"]
        stored = self.responses[number]
        for member, value in case.wanted.items():
            if member == "submitted_us":
                time = stored["submitted_at"]
                assert int(time.timestamp()) * 1_000_000 + time.microsecond == value
            else:
                assert stored[member] == value, f"{member} of {stored}"

    def check_event(self, case):
        wanted = case.wanted
        if "touchpoint" in wanted:
            assert self.covered[wanted["touchpoint"]] >= 1
            return
        hour = wanted["time_us"] // 3_600_000_000
        of_unit = [row for row in self.hours if row[1] == wanted["unit"] and row[0] == "wait"]
        assert of_unit == [("wait", wanted["unit"], hour, 1, 60, 3600)]
        of_unit = [row for row in self.days if row[1] == wanted["unit"] and row[0] == "wait"]
        assert of_unit == [("wait", wanted["unit"], day_of(wanted["time_us"]), 1, 60, 3600)]


@pytest.fixture(scope="module")
def run(kafka, postgres, tmp_path_factory):
    # the records' time is in the past: the broker must keep them all the same
    stand = Stand(kafka, postgres, tmp_path_factory.mktemp("bad"), bad_cases.MODEL,
                  retention_ms=-1)
    yield Run(stand)
    stand.close()


def each(number):
    some = [c for c in CASES if c.number == number]
    assert some, number
    names = [c.name.encode("unicode_escape").decode() for c in some]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize("case", some, ids=names)


# ---- one record each -----------------------------------------------------------------------------


@each("B1")
def test_b1_empty_value(run, case):
    run.check(case)


@each("B2")
def test_b2_null_value(run, case):
    run.check(case)


@each("B3")
def test_b3_null_key(run, case):
    run.check(case)


@each("B4")
def test_b4_headers(run, case):
    run.check(case)


@each("B5")
def test_b5_cut_at_every_byte(run, case):
    run.check(case)


@each("B6")
def test_b6_trailing_garbage(run, case):
    run.check(case)


@each("B7")
def test_b7_two_documents(run, case):
    run.check(case)


@each("B8")
def test_b8_depth(run, case):
    run.check(case)


@each("B9")
def test_b9_many_keys(run, case):
    run.check(case)


@each("B10")
def test_b10_long_strings(run, case):
    run.check(case)


@each("B11")
def test_b11_at_the_limit(run, case):
    run.check(case)


@each("B12")
def test_b12_duplicate_keys(run, case):
    run.check(case)


@each("B13")
def test_b13_unknown_members(run, case):
    run.check(case)


@each("B14")
def test_b14_missing_members(run, case):
    run.check(case)


@each("B15")
def test_b15_wrong_types(run, case):
    run.check(case)


@each("B16")
def test_b16_keys_that_look_alike(run, case):
    run.check(case)


@each("B17")
def test_b17_numbers(run, case):
    run.check(case)


@each("B18")
def test_b18_invalid_utf8(run, case):
    run.check(case)


@each("B19")
def test_b19_nul(run, case):
    run.check(case)


@each("B20")
def test_b20_lone_surrogates(run, case):
    run.check(case)


@each("B21")
def test_b21_other_encodings(run, case):
    run.check(case)


@each("B22")
def test_b22_control_characters(run, case):
    run.check(case)


@each("B23")
def test_b23_sql_and_formats(run, case):
    run.check(case)


@each("B24")
def test_b24_label_injection(run, case):
    run.check(case)


@each("B25")
def test_b25_event_times(run, case):
    run.check(case)


@each("B26")
def test_b26_bounds_of_time(run, case):
    run.check(case)


@each("B27")
def test_b27_out_of_order(run, case):
    run.check(case)


@each("B28")
def test_b28_the_same_moment(run, case):
    run.check(case)


@each("B29")
def test_b29_duplicates(run, case):
    run.check(case)


@each("B30")
def test_b30_same_id_other_payload(run, case):
    run.check(case)


# ---- all of them ---------------------------------------------------------------------------------


def test_ledger_has_every_record_in_its_class(run):
    topics = run.stand.topics
    for topic, touchpoints in ((topics.touchpoints, True), (topics.responses, False)):
        some = [c for c in CASES if c.touchpoints == touchpoints]
        wanted = dict.fromkeys(CLASSES, 0)
        for case in some:
            wanted["rejected" if case.rejected else case.outcome] += 1
        assert run.stand.ledger(topic) == {"consumed": len(some)} | wanted


def test_rejects_and_dead_letters_are_the_same(run):
    wanted = {run.places[id(c)] for c in CASES if c.rejected}
    assert set(run.rejects) == wanted
    assert set(run.letters) == wanted


def test_b27_and_b28_sums(run):
    """Order and equal times change nothing."""
    for unit in ("b27", "b28"):
        rows = [row for row in run.days if row[:2] == ("wait", unit)]
        assert sum(n for _, _, _, n, _, _ in rows) == 5
        assert sum(total for *_, total, _ in rows) == 10 + 11 + 12 + 13 + 14
        assert sum(square for *_, square in rows) == 100 + 121 + 144 + 169 + 196
    assert len([row for row in run.days if row[:2] == ("wait", "b27")]) == 2


def test_b29_and_b30_count_once(run):
    rows = {row[1]: row[3:5] for row in run.days if row[0] == "wait" and row[1].startswith("b")}
    assert rows["b29"] == (1, 7)
    assert (rows["b30 first"], rows["b30 third"], rows["b30 good"]) == ((1, 7), (1, 9), (1, 60))
    assert "b30 second" not in rows and "b30 bad" not in rows
    answers = [row[3:5] for row in run.days if row[:2] == ("nps", "b29")]
    assert answers == [(1, 9)]
    invitations = run.stand.query("SELECT count(*) FROM flightpath.invitation")
    assert invitations == [(1,)]


def test_b22_nothing_of_it_is_in_the_log(run):
    """Each line is one JSON object, without control characters, and says nothing of the data."""
    text = run.log.decode("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e\ufeff]", text)
    for line in text.splitlines():
        assert isinstance(json.loads(line), dict)
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events.count("fatal") == 0 and "batch_poisoned" not in events
    for hostile in ("DROP TABLE", "jndi", "flightpath_up", "etc/passwd", "red"):
        assert hostile not in re.sub(r'"event":"options".*', "", text), hostile


def test_b23_names_are_stored_as_they_are(run):
    stored = {name for (name,) in run.stand.query("SELECT name FROM flightpath.name"
                                                  " WHERE kind = 0")}
    for texts in HOSTILE.values():
        assert set(texts) <= stored
    # a unit may be called as what stands for "too many units": then it is among those
    assert run.stand.query("SELECT count(*) FROM flightpath.name WHERE kind = 0"
                           " AND name = '__other__'") == [(1,)]


def test_b24_metrics_say_nothing_of_messages(run):
    families = list(text_string_to_metric_families(run.metrics))
    samples = [s for family in families for s in family.samples]
    labels = {(k, v) for s in samples for k, v in s.labels.items()}
    assert {k for k, _ in labels} <= {"le", "result", "topic", "partition", "version"}
    topics = run.stand.topics
    assert {v for k, v in labels if k == "topic"} == {topics.touchpoints, topics.responses}
    assert not any(s.name.startswith("flightpath_up") or s.name == "a" for s in samples)


def test_b25_watermark_is_not_poisoned(run):
    """The latest event time is one that was accepted, not 9999."""
    latest = run.stand.query("SELECT topic, extract(epoch FROM last_event_at)::float8"
                             " FROM flightpath.ingest_position")
    for _, when in latest:
        assert when == pytest.approx(RECORD_MS / 1000 + SKEW_S, abs=1)
    last = re.search(r"^flightpath_last_event_\S+ (\S+)$", run.metrics, re.MULTILINE)
    assert float(last[1]) == pytest.approx(RECORD_MS / 1000 + SKEW_S, abs=1)


# ---- the table of outcomes -----------------------------------------------------------------------


def table():
    """{"B1": set of reasons} of bad_input.md."""
    lines = (ROOT / "tests" / "integration" / "bad_input.md").read_text().splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| B")]
    return {row[0].strip(): set(re.findall(r"`([a-z_0-9]+)`", row[3]))
            for row in rows}


def test_the_table_names_each_reason():
    written = table()
    assert list(written) == [f"B{i}" for i in range(1, 35)]
    for number in {c.number for c in CASES}:
        reasons = {c.outcome[0] for c in CASES if c.number == number and c.rejected}
        assert written[number] == reasons, number
