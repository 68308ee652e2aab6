"""flightpath dead-letters: what was rejected is listed, shown and sent again as it was."""

import json

import pytest

BROKEN = b'{"specversion": "1.0", "id": "b-1", "source": "/t", '
EVENT = {"specversion": "1.0", "source": "/t", "type": "experience.touchpoint.v1",
         "time": "2026-03-02T10:00:00Z"}


def letter(kafka, topics, offset, value, reason="bad_json", partition=0, key=b"k", headers=(),
           field="data", detail="it is wrong", topic=None):
    """A dead letter as a daemon writes it."""
    topic = topic or topics.touchpoints
    own = [("fp_topic", topic), ("fp_partition", str(partition)), ("fp_offset", str(offset)),
           ("fp_timestamp_ms", "1772445600123"), ("fp_reason", reason), ("fp_field", field),
           ("fp_detail", detail), ("fp_version", "0.1.0")]
    if key is not None:
        own.append(("fp_key", key))
    kafka.send(topics.dead_letters, value, key=f"{topic}/{partition}/{offset}",
               headers=[*headers, *own])
    kafka.flush()
    return f"{topic}/{partition}/{offset}"


@pytest.fixture
def dead_letters(flightpath, kafka, topics):
    def run(*arguments, **options):
        defaults = {"kafka.bootstrap.servers": kafka.bootstrap,
                    "dead_letters_topic": topics.dead_letters}
        return flightpath("dead-letters", *arguments, **(defaults | options))
    return run


def lines(result):
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def test_what_a_daemon_rejects_is_listed_with_its_reason(dead_letters, daemon, kafka, topics, pg,
                                                         wait_for):
    kafka.send(topics.touchpoints, BROKEN, key="c-1", partition=0)
    wrong = EVENT | {"id": "b-2", "data": {"touchpoint": "bag_drop", "outcome": "wonderful"}}
    kafka.send(topics.touchpoints, json.dumps(wrong), key="c-2", partition=1)
    kafka.send(topics.responses, None, partition=0)  # a tombstone is no dead letter
    kafka.flush()
    daemon().ready()
    rejects = "SELECT topic, partition, \"offset\", reason, field, detail FROM flightpath.reject"
    wait_for(lambda: len(pg.execute(rejects).fetchall()) == 2, "both are in the ledger")
    stored = {f"{t}/{p}/{o}": rest for t, p, o, *rest in pg.execute(rejects).fetchall()}
    listed = lines(dead_letters("list", json=True))
    assert {one["key"]: [one["reason"], one["field"], one["detail"]] for one in listed} == stored
    assert {one["reason"] for one in listed} == {"bad_json", "bad_value"}
    assert {(one["source_topic"], one["source_partition"], one["source_offset"])
            for one in listed} == {(topics.touchpoints, 0, 0), (topics.touchpoints, 1, 0)}
    table = dead_letters("list").out.splitlines()
    assert table[0].split() == ["OFFSET", "KEY", "TIME", "REASON", "FIELD", "DETAIL"]
    assert table[-1] == "2 dead letters"
    assert any("bad_value" in row and "data.outcome" in row for row in table)


def test_list_filters_and_stops(dead_letters, kafka, topics):
    for offset in range(6):
        letter(kafka, topics, offset, b"{", reason="bad_json" if offset % 2 else "empty")

    def listed(**filters):
        return [one["source_offset"] for one in lines(dead_letters("list", json=True, **filters))]

    assert listed(reason="empty") == [0, 2, 4]
    assert listed(limit=2) == [0, 1]
    assert listed(reason="no_such_reason") == []
    stopped = dead_letters("list", reason="empty", limit=2)
    assert stopped.out.endswith("\n2 dead letters (stopped at --limit)\n")


def test_list_writes_to_a_file(dead_letters, kafka, topics, tmp_path):
    letter(kafka, topics, 0, b"{")
    done = dead_letters("list", json=True, out=tmp_path / "list")
    assert done.code == 0 and done.out == ""
    assert json.loads((tmp_path / "list").read_text())["source_offset"] == 0
    refused = dead_letters("list", out=tmp_path / "no" / "where")
    assert refused.code == 1 and "no/where: cannot write" in refused.err


def test_an_empty_topic_is_no_error(dead_letters):
    assert lines(dead_letters("list", json=True)) == []
    assert dead_letters("redrive").out == "sent 0 of 0 dead letters read\n"


def test_show_prints_the_original(dead_letters, kafka, topics):
    key = letter(kafka, topics, 7, "{\n  \"grüße\": 1".encode(), key=b"c-9", field="data.scores",
                 headers=[("content-type", b"application/json"), ("empty", b"")])
    shown = dead_letters("show", key).out
    assert '"grüße": 1' in shown and "content-type: application/json" in shown
    assert "2026-03-02T10:00:00Z" in shown and "data.scores" in shown and "c-9" in shown
    assert "fp_reason" not in shown
    [one] = lines(dead_letters("show", key, json=True))
    assert one["value"] == "{\n  \"grüße\": 1" and one["record_key"] == "c-9"
    assert one["headers"] == [{"name": "content-type", "value": "application/json"},
                              {"name": "empty", "value": ""}]


def test_show_dumps_what_is_not_text(dead_letters, kafka, topics):
    key = letter(kafka, topics, 1, bytes(range(250, 256)) + b"ab\0", key=None)
    shown = dead_letters("show", key).out
    assert "fa fb fc fd fe ff 61 62 00" in shown and "ab." in shown and "(none)" in shown
    [one] = lines(dead_letters("show", key, json=True))
    assert one["value_base64"] == "+vv8/f7/YWIA" and one["record_key"] is None


def test_nothing_from_outside_reaches_the_terminal_raw(dead_letters, kafka, topics):
    """Escape sequences (C0, DEL, C1) in values, keys, headers and our own headers."""
    evil = b"\x1b]0;owned\x07 \xc2\x9b31m \x7f"
    key = letter(kafka, topics, 2, b"{" + evil, key=evil, field=evil.decode(), detail=evil.decode(),
                 reason="bad\x1bjson", headers=[("x", evil)])
    for out in (dead_letters("list").out, dead_letters("show", key).out,
                dead_letters("list", json=True).out, dead_letters("redrive", dry_run=True).out):
        assert not {"\x1b", "\x07", "\x7f"} & set(out)
        assert out.count("\x9b") == 0 or out.startswith("{"), "JSON may hold C1 as a character"
    assert r"\x1b]0;owned\x07 \u009b31m \x7f" in dead_letters("show", key).out


def originals(kafka, topic):
    return [(m.key(), m.value(), m.headers(), m.timestamp()[1]) for m in kafka.read(topic)]


def test_redrive_sends_the_original_back(dead_letters, kafka, topics):
    headers = [("content-type", b"application/json"), ("ce_id", b"\xff\x00x"), ("twice", b"1"),
               ("twice", b"2")]
    letter(kafka, topics, 3, b"\x00\x00\x00\x00\x07{", key=b"c-1", headers=headers)
    letter(kafka, topics, 4, b"", key=None, topic=topics.responses)
    letter(kafka, topics, 5, None, key=b"", topic=topics.responses)
    done = dead_letters("redrive")
    assert done.code == 0 and done.out == "sent 3 of 3 dead letters read\n"
    [first] = originals(kafka, topics.touchpoints)
    assert first == (b"c-1", b"\x00\x00\x00\x00\x07{", headers, 1772445600123)
    others = [(key, value) for key, value, _, _ in originals(kafka, topics.responses)]
    assert sorted(others, key=repr) == sorted([(None, b""), (b"", None)], key=repr)


def test_redrive_takes_what_is_asked_for(dead_letters, kafka, topics):
    keys = [letter(kafka, topics, o, b"{%d" % o, reason="empty" if o < 2 else "bad_json")
            for o in range(4)]

    def values():
        return sorted(m.value() for m in kafka.read(topics.touchpoints))

    dry = dead_letters("redrive", dry_run=True)
    assert dry.out.count("would send ") == 5
    assert dry.out.endswith("\nwould send 4 of 4 dead letters read\n")
    assert values() == []
    assert dead_letters("redrive", reason="empty").code == 0
    assert values() == [b"{0", b"{1"]
    assert dead_letters("redrive", keys[3]).code == 0
    assert values() == [b"{0", b"{1", b"{3"]
    assert dead_letters("redrive", reason="bad_json", limit=1).code == 0
    assert values() == [b"{0", b"{1", b"{2", b"{3"]


def test_copies_are_sent_once(dead_letters, kafka, topics):
    """A dead letter is written at least once: the same record may lie there several times."""
    for offset in (1, 2, 1, 1):
        letter(kafka, topics, offset, b"{%d" % offset)
    done = dead_letters("redrive")
    assert done.out == "sent 2 of 4 dead letters read; 2 more were copies of these\n"
    assert sorted(m.value() for m in kafka.read(topics.touchpoints)) == [b"{1", b"{2"]
    listed = lines(dead_letters("list", json=True))
    assert [one["copy"] for one in listed] == [False, False, True, True]


def test_foreign_records_are_left_alone(dead_letters, kafka, topics):
    kafka.send(topics.dead_letters, b"hello", headers=[("fp_topic", b"x")])
    letter(kafka, topics, 1, b"{")
    done = dead_letters("redrive")
    assert done.code == 0 and done.out.startswith("sent 1 of 2")
    assert "1 records of the topic are not dead letters of Flightpath" in done.err


def test_many_partitions_and_many_letters(dead_letters, kafka, topics):
    """More than one flush of the producer, over three partitions."""
    kafka.add_partitions(topics.dead_letters, 3)
    total = 10_500
    for offset in range(total):
        own = {"fp_topic": topics.responses, "fp_partition": "0", "fp_offset": str(offset),
               "fp_reason": "empty"}
        kafka.send(topics.dead_letters, b"%d" % offset, headers=own, partition=offset % 3)
    kafka.flush()
    done = dead_letters("redrive")
    assert done.out == f"sent {total} of {total} dead letters read\n", done.err
    assert sorted(int(m.value()) for m in kafka.read(topics.responses)) == list(range(total))


def test_after_the_model_is_mended_a_redriven_record_counts(dead_letters, daemon, kafka, topics, pg,
                                                            model, tmp_path, wait_for):
    """Rejected for an unknown measure; the model learns it; sent again; applied."""
    body = json.loads(model.read_text())
    own_model = tmp_path / "model.json"
    own_model.write_text(json.dumps(body))
    event = EVENT | {"id": "m-1", "data": {"touchpoint": "bag_drop", "measures": {"queue_len": 4}}}
    kafka.send(topics.touchpoints, json.dumps(event), key="c-1")
    kafka.flush()
    one = daemon(model=own_model).ready()

    def ledger():
        return pg.execute("SELECT sum(applied), sum(rejected), bool_and(balanced)"
                          " FROM experience.ledger").fetchone()

    wait_for(lambda: ledger() == (0, 1, True), "it is rejected")
    body["measures"]["queue_len"] = {"unit": "1", "decimals": 0, "min": 0, "max": 500,
                                     "direction": "lower"}
    own_model.write_text(json.dumps(body))
    wait_for(lambda: one.events("model_reloaded"), "the new model is in force")
    [rejected] = lines(dead_letters("list", json=True, reason="unknown_measure"))
    assert dead_letters("redrive", rejected["key"]).out == "sent 1 of 1 dead letters read\n"
    wait_for(lambda: ledger() == (1, 1, True), "it is applied")
    # sent once more it is recognised: the redrive may be repeated
    assert dead_letters("redrive").code == 0
    counts = "SELECT sum(applied), sum(duplicate) FROM experience.ledger"
    wait_for(lambda: pg.execute(counts).fetchone() == (1, 1), "the second copy is a duplicate")


@pytest.mark.parametrize("arguments, text", [
    (["list", "x/0/1"], "list takes no keys"),
    (["show"], "show which?"),
    (["show", "x/0"], "TOPIC/PARTITION/OFFSET"),
    (["redrive", "x/0/1/y"], "TOPIC/PARTITION/OFFSET"),
    (["delete"], "say list, show or redrive"),
])
def test_misuse_is_told(dead_letters, arguments, text):
    done = dead_letters(*arguments)
    assert done.code == 2 and text in done.err and done.out == ""


def test_unhappy_ends(dead_letters, flightpath, kafka, topics):
    letter(kafka, topics, 1, b"{")
    absent = dead_letters("show", "some.topic/0/99")
    assert absent.code == 1 and "some.topic/0/99: no such dead letter" in absent.err
    topic = dead_letters("list", dead_letters_topic="no.such.topic")
    assert topic.code == 1 and "no.such.topic: there is no such topic" in topic.err
    nowhere = dead_letters("list", **{"kafka.bootstrap.servers": "127.0.0.1:1"})
    assert nowhere.code == 1 and "kafka.bootstrap.servers" in nowhere.err
    none = flightpath("dead-letters", "list")
    assert none.code == 2 and "--kafka.bootstrap.servers" in none.err
    gone = letter(kafka, topics, 2, b"{", topic="deleted.topic")
    lost = dead_letters("redrive", gone, **{"kafka.message.timeout.ms": 2000})
    assert lost.code == 1 and "not all of what was sent was acknowledged" in lost.err
