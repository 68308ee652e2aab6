"""flightpath erase: a request through Kafka, its effect in the database, its receipt."""

import json
import re
import subprocess
import uuid

import jsonschema
import pytest

from support.paths import BIN, ROOT, clean_environment

UNUSUAL = 'O\'Neil "Zoë"\\\n\t\x7f 北京 {"a": 1} \N{PILE OF POO}'


@pytest.fixture
def erase(flightpath, kafka, topics):
    def run(*subjects, **options):
        defaults = {"kafka.bootstrap.servers": kafka.bootstrap, "topics": topics.both}
        return flightpath("erase", *subjects, **(defaults | options))
    return run


def response(kafka, topics, subject, score):
    body = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/s",
            "type": "experience.response.v1", "subject": subject, "time": "2026-03-02T10:00:00Z",
            "data": {"audience": "customer", "survey": "visit", "journey": "travel", "unit": "ams",
                     "scores": {"recommend": score, "crew_care": 4}}}
    kafka.send(topics.responses, json.dumps(body), key=subject, timestamp_ms=1772445601000)


def sent(kafka, topics):
    return [(m.key().decode(), json.loads(m.value())) for m in kafka.read(topics.responses)
            if b"erasure" in m.value()]


def tallied(pg):
    return pg.execute("SELECT coalesce(sum(n), 0), coalesce(sum(sum), 0)"
                      " FROM flightpath.tally_day").fetchone()


@pytest.mark.parametrize("subject", ["c-77", UNUSUAL])
def test_everything_of_the_subject_goes_and_nothing_else(erase, daemon, kafka, topics, database, pg,
                                                         wait_for, subject):
    daemon().ready()
    response(kafka, topics, "c-12", 9)
    kafka.flush()
    stored = "SELECT count(*) FROM flightpath.response"
    wait_for(lambda: pg.execute(stored).fetchone()[0] == 1, "the first response is there")
    before = tallied(pg)
    assert before[0] > 0
    response(kafka, topics, subject, 2)
    response(kafka, topics, subject, 3)
    kafka.flush()
    wait_for(lambda: pg.execute(stored).fetchone()[0] == 3, "all three responses are there")
    assert tallied(pg) != before
    done = erase(subject, postgres=database.conninfo)
    assert done.code == 0, done.err
    assert "erased 2 responses, 0 invitations, 0 case events" in done.out
    assert subject not in done.out + done.err
    assert pg.execute(stored).fetchone()[0] == 1
    assert tallied(pg) == before
    # it may be asked for again: another receipt, of nothing
    again = erase(subject, postgres=database.conninfo, json=True)
    assert again.code == 0
    request, receipt = map(json.loads, again.out.splitlines())
    assert request["sent"] is True and receipt["id"] == request["id"] and receipt["responses"] == 0
    assert pg.execute("SELECT count(*) FROM flightpath.erasure_receipt").fetchone()[0] == 2
    assert pg.execute("SELECT sum(rejected) FROM experience.ledger").fetchone()[0] == 0


def test_the_request_is_a_valid_message(erase, kafka, topics):
    done = erase("c-1", UNUSUAL)
    assert done.code == 0, done.err
    requests = sent(kafka, topics)
    assert sorted(key for key, _ in requests) == sorted(["c-1", UNUSUAL])
    schema = json.loads((ROOT / "schemas/events/experience.erasure.v1.schema.json").read_text())
    for key, body in requests:
        jsonschema.validate(body, schema)
        assert body["data"] == {"subject": key}
        assert body["source"] == "/flightpath/erase" and uuid.UUID(body["id"]).version == 4
    assert len({body["id"] for _, body in requests}) == 2
    # how to find the receipt
    assert "flightpath.erasure_receipt" in done.out
    assert set(re.findall(r"request ([0-9a-f-]{36})", done.out)) == {b["id"] for _, b in requests}


def test_with_one_topic_it_goes_there(erase, kafka, topics):
    assert erase("c-1", topics=topics.responses).code == 0
    assert [key for key, _ in sent(kafka, topics)] == ["c-1"]


def test_subjects_come_from_standard_input(kafka, topics):
    """So that they do not show in the list of processes."""
    words = [BIN, "erase", "-", f"--kafka.bootstrap.servers={kafka.bootstrap}",
             f"--topics={topics.both}"]
    done = subprocess.run(words, input="c-secret-1\n\nc-secret-2", text=True, capture_output=True,
                          env=clean_environment(), timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(key for key, _ in sent(kafka, topics)) == ["c-secret-1", "c-secret-2"]
    assert "secret" not in done.stdout + done.stderr
    assert done.stdout.count("c*** (10 bytes)") == 2
    none = subprocess.run(words, input="\n", text=True, capture_output=True,
                          env=clean_environment(), timeout=60)
    assert none.returncode == 2 and "held no subject" in none.stderr


def test_a_dry_run_sends_nothing(erase, kafka, topics, database, pg):
    done = erase("c-1234567", dry_run=True, postgres=database.conninfo)
    assert done.code == 0 and done.out.startswith("would send to " + topics.responses)
    assert sent(kafka, topics) == []


@pytest.mark.parametrize("subjects, text", [
    ([], "erase whom?"), ([""], "a subject is empty"), (["x" * 257], "longer than 256 bytes"),
    (["c-1", "\udcff"], "not UTF-8"),
])
def test_misuse_is_told_and_nothing_is_sent(erase, kafka, topics, subjects, text):
    done = erase(*subjects)
    assert done.code == 2 and text in done.err
    assert sent(kafka, topics) == []


def test_a_broker_that_is_not_there(erase, flightpath):
    lost = erase("c-1", **{"kafka.bootstrap.servers": "127.0.0.1:1",
                           "kafka.message.timeout.ms": 1500})
    assert lost.code == 1 and "did not acknowledge" in lost.err and "c-1" not in lost.err
    none = flightpath("erase", "c-1")
    assert none.code == 2 and "--kafka.bootstrap.servers" in none.err


@pytest.mark.full
def test_no_receipt_in_time(erase, database, pg):
    """Nobody reads the topic."""
    done = erase("c-1", postgres=database.conninfo)
    assert done.code == 1 and "1 of 1 receipts are not there after 60 s" in done.err
