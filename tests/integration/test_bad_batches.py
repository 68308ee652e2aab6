"""Bad input that needs a daemon of its own: too large, too many, too much, and broken batches.

Numbers as in bad_input.md. Each test ends with the same question: is everything that was sent
either counted, or written down as rejected, and did the daemon go on?
"""

import contextlib
import ctypes
import itertools
import json
import os
import struct
import time

import pytest
from confluent_kafka import Producer
from support import bad_cases
from support.bad_cases import (JSON_LIMIT, RECORD_MS, SOURCE, padded, response, text, touchpoint,
                               without)
from support.stand import Stand, memory_mb
from support.wait import wait_for

MIB = 1 << 20
#: what a topic takes by default, batch header included (max.message.bytes)
BROKER_MOST = 1048588
INT64_MAX = 2**63 - 1


@pytest.fixture
def make(kafka, postgres, tmp_path_factory):
    """Factory of stands; keywords are settings of the topics."""
    with contextlib.ExitStack() as stack:
        def one(model=None, **config):
            stand = Stand(kafka, postgres, tmp_path_factory.mktemp("batches"),
                          model or bad_cases.MODEL, **({"retention_ms": -1} | config))
            stack.callback(stand.close)
            return stand
        yield one


@pytest.fixture
def producer(kafka):
    """Factory: producers with settings of their own; close() waits for every acknowledgement."""
    made = []

    def one(**config):
        made.append(Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}
                             | {k.replace("_", "."): v for k, v in config.items()}))
        return made[-1]

    yield one
    for one_of_them in made:
        one_of_them.flush(30)


def produce(stand, producer, values, topic=None):
    """As one batch if the producer lingers long enough; places as Stand.send()."""
    topic = topic or stand.topics.responses
    failed, places = [], []
    for value in values:
        producer.produce(topic, value=value, key=b"k", partition=0, timestamp=RECORD_MS,
                         on_delivery=lambda error, _: failed.append(error) if error else None)
        places.append((topic, 0, stand.ends[topic]))
        stand.ends[topic] += 1
    assert producer.flush(60) == 0 and not failed, failed
    return places


def answers(count, stem):
    return [text(response(f"{stem}-{i}", scores={"recommend": i % 11})) for i in range(count)]


def batches(kafka, topic):
    """(position in the file, bytes) of each record batch in a topic's first segment."""
    path = kafka.folder / "data" / f"{topic}-0" / "00000000000000000000.log"
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        found.append((at, data[at:at + size]))
        at += size
    return path, found


def overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


# ---- B8 to B11: larger than a topic takes by default ---------------------------------------------


def test_b8_to_b11_topics_that_take_16_mib(make, producer):
    stand = make(max_message_bytes=16 * MIB)
    keys = ",".join(f'"k{i}":0' for i in range(1_000_000))
    values = {
        "B8, 10^6 brackets": b"[" * 1_000_000,
        "B8, 10^6 objects": b'{"a":' * 1_000_000,
        "B9, 10^6 keys": b"{" + keys.encode() + b"}",
        "B10, 1 MiB string": text(response("b10", comment="c" * MIB)).encode(),
        "B10, 8 MiB string": text(response("b10", comment="c" * 8 * MIB)).encode(),
        "B11, 15 MiB": padded(response("b11"), 15 * MIB)}
    client = producer(message_max_bytes=16 * MIB)
    places = dict(zip(values, produce(stand, client, values.values())))
    good = stand.send(text(response("b11-behind")), timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running(**{"kafka.message.max.bytes": 16 * MIB}) as daemon:
        before = memory_mb(daemon.process)
        stand.caught_up()
        grown = memory_mb(daemon.process, "VmHWM") - before
    rejects, letters = stand.rejects(), stand.letters()
    for name, place in places.items():
        assert rejects[place][:2] == ("too_long", ""), name
        assert letters[place].value() == values[name], name
    assert good not in rejects and set(stand.responses()) == {"b11-behind"}
    assert grown < 500, f"{grown:.0f} MiB for 36 MB"


def test_b11_the_most_a_broker_takes(make, producer):
    """With every setting at its default: the letter has more headers than its topic has room."""
    stand = make()
    value = os.urandom(BROKER_MOST // 2).hex().encode()[:BROKER_MOST - 90]
    place, = produce(stand, producer(message_max_bytes=2 * MIB), [value])
    good = stand.send(text(response("behind")), timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running():
        stand.caught_up(30)
    assert stand.rejects()[place][0] == "too_long" and good not in stand.rejects()
    letter = stand.letters()[place]
    assert value.startswith(letter.value())
    assert set(stand.responses()) == {"behind"}


# ---- B25: the time of the record itself ----------------------------------------------------------


@pytest.mark.parametrize("record_ms", [1, 253402300799000, 4102444800000 + 86400000 * 1500],
                         ids=["1970", "9999", "2104"])
def test_b25_record_time_beyond_reason(make, record_ms):
    """Old brokers and some topics take any timestamp: a record with a silly one is rejected or
    counted, and those behind it are read."""
    stand = make(message_timestamp_after_max_ms=INT64_MAX,
                 message_timestamp_before_max_ms=INT64_MAX)
    bad = stand.send(b"{", timestamp_ms=record_ms)
    stand.send(text(response("of-now")), timestamp_ms=record_ms)
    near = bad_cases.rfc3339(record_ms * 1000)
    stand.send(text(response("near", envelope_of={"time": near})), timestamp_ms=record_ms)
    stand.send(text(response("good")), timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running():
        stand.caught_up(30)
    assert stand.rejects()[bad][0] == "bad_json"
    assert stand.letters()[bad].value() == b"{"
    assert "good" in stand.responses()
    ledger = stand.ledger()
    assert ledger["consumed"] == 4 == ledger["applied"] + ledger["rejected"]


# ---- B31: cardinality ----------------------------------------------------------------------------


def test_b31_cardinality_bomb(make):
    """30,000 units, 3,000 channels and touchpoints, 100,000 ids: the caps hold, memory too."""
    limits = {"units": 50, "channels": 10, "touchpoints": 20, "sources": 5}
    stand = make(bad_cases.MODEL | {"limits": limits})
    for i in range(100_000):
        message = touchpoint(f"b31-{i}", f"unit {i % 30_000}", 1, channel=f"channel {i % 3000}")
        if i % 10 == 0:
            message["data"]["touchpoint"] = f"touchpoint {i % 3000}"
        stand.send(json.dumps(message), stand.topics.touchpoints, timestamp_ms=RECORD_MS)
    for i in range(300):
        message = response(f"b31-{i}", envelope_of={"source": f"source {i}"}, survey="s")
        stand.send(text(without(message, "data.unit")), timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running(flush_ms=500) as daemon:
        before = memory_mb(daemon.process)
        stand.caught_up(120)
        grown = memory_mb(daemon.process, "VmHWM") - before
    assert stand.ledger(stand.topics.touchpoints)["applied"] == 100_000
    assert stand.ledger(stand.topics.responses)["applied"] == 300
    counts = dict(stand.query("SELECT kind, count(*) FROM flightpath.name WHERE id > 1"
                              " AND NOT declared GROUP BY 1"))
    assert (counts[0], counts[1], counts[2], counts[4]) == (50, 10, 20, 5)
    rows = stand.tallies("tally_day")
    sums = {unit: n for kpi, unit, _, n, _, _ in rows if kpi == "wait"}
    # units 0 … 49 came first and keep their names; each tenth is at a touchpoint without a KPI
    own = {f"unit {i}": 4 for i in range(50) if i % 10 != 0}
    assert sums == own | {"__other__": 90_000 - 4 * len(own)}
    # 100,000 ids at 32 bytes, batches of a few thousand cells, 32 MiB fetched ahead
    assert grown < 350, f"{grown:.0f} MiB"


# ---- B32: keys that collide ----------------------------------------------------------------------


def colliding(count, seed):
    """Ids whose XXH3 under this seed agree in their lowest ten bits."""
    xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
    xxh3.restype, xxh3.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t,
                                                    ctypes.c_uint64)
    names = (b"%x" % i for i in itertools.count())
    return list(itertools.islice((n.decode() for n in names if not xxh3(n, len(n), seed) & 1023),
                                 count))


def test_b32_colliding_keys(make):
    """Responses of one batch are found by a table whose hash a sender can compute: ids made to
    share their slots are slower to find, and still told apart. A whole collision changes nothing
    there, since the texts are compared. Events are told apart by 64 bits with a secret seed."""
    stand = make()
    stand.send(text(response("first")), timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running(flush_ms=2000) as daemon:
        stand.caught_up()
        (source,), = stand.query("SELECT id FROM flightpath.name WHERE kind = 4 AND name = %s",
                                 SOURCE)
        for name in colliding(3000, source):
            stand.send(text(response(name)), timestamp_ms=RECORD_MS)
            stand.send(text(touchpoint(name, "b32", 1)), stand.topics.touchpoints,
                       timestamp_ms=RECORD_MS)
        stand.flush()
        stand.caught_up()
        slowest = daemon.metrics()['flightpath_flush_seconds_sum']
    ledger = stand.ledger()
    assert (ledger["applied"], ledger["consumed"]) == (6001, 6001)
    assert [row[3:5] for row in stand.tallies("tally_day") if row[1] == "b32"] == [(3000, 3000)]
    assert slowest < 20


# ---- B33: sums beyond int64 ----------------------------------------------------------------------


def full(stand, room):
    """Sends one event, and raises what is stored of it: room for so much of a sum of squares."""
    stand.send(text(touchpoint("b33-first", "full", 1)), stand.topics.touchpoints,
               timestamp_ms=RECORD_MS)
    stand.flush()
    stand.caught_up()
    for table in ("tally_day", "tally_hour"):
        with stand.database.connect() as connection:
            done = connection.execute(f"UPDATE flightpath.{table} SET sum_square = %s",
                                      [INT64_MAX - room])
            assert done.rowcount == 1


def test_b33_stored_sum_overflows(make):
    stand = make()
    with stand.running() as daemon:
        full(stand, room=100)
        values = [text(touchpoint(f"b33-{i}", unit, wait)) for i, (unit, wait) in enumerate((
            ("full", 6), ("other", 60), ("full", 60), ("other", 61), ("full", 8)))]
        places = [stand.send(v, stand.topics.touchpoints, timestamp_ms=RECORD_MS) for v in values]
        stand.flush()
        stand.caught_up(30)
        assert daemon.metrics()["flightpath_ready"] == 1
    rejects = stand.rejects()
    assert set(rejects) == {places[2]} and rejects[places[2]][0] == "poison"
    assert "22003" in rejects[places[2]][2]
    letter = stand.letters()[places[2]]
    assert letter.value() == values[2].encode() and dict(letter.headers())["fp_reason"] == b"poison"
    rows = {row[1]: row[3:] for row in stand.tallies("tally_day")}
    assert rows == {"full": (3, 1 + 6 + 8, INT64_MAX), "other": (2, 121, 60**2 + 61**2)}


def test_b33_more_in_a_row_than_are_kept_in_mind(make):
    """Each is found by halving; eight are remembered at a time."""
    stand = make()
    with stand.running():
        full(stand, room=100)
        places = [stand.send(text(touchpoint(f"b33-{i}", "full", 60)), stand.topics.touchpoints,
                             timestamp_ms=RECORD_MS) for i in range(9)]
        stand.send(text(touchpoint("b33-good", "other", 60)), stand.topics.touchpoints,
                   timestamp_ms=RECORD_MS)
        stand.flush()
        stand.caught_up(60)
    assert set(stand.rejects()) == set(places) == set(stand.letters())
    assert {row[1]: row[3] for row in stand.tallies("tally_day")} == {"full": 1, "other": 1}


def test_b33_one_batch_overflows(make):
    """Ten squares of the largest measure a model may declare do not fit; nine do."""
    stand = make()
    places = [stand.send(text(touchpoint(f"b33-{i}", "large", 10**9)), stand.topics.touchpoints,
                         timestamp_ms=RECORD_MS) for i in range(12)]
    stand.send(text(touchpoint("b33-good", "other", 60)), stand.topics.touchpoints,
               timestamp_ms=RECORD_MS)
    stand.flush()
    with stand.running(flush_ms=500):
        stand.caught_up(60)
    assert {row[1]: row[3:] for row in stand.tallies("tally_day")} == {
        "large": (9, 9 * 10**9, 9 * 10**18), "other": (1, 60, 3600)}
    assert set(stand.rejects()) == set(places[9:]) == set(stand.letters())


# ---- B34: batches --------------------------------------------------------------------------------


def test_b34_mixed_codecs(make, producer):
    """Each codec a client may choose, in turn, in one partition."""
    stand = make()
    for codec in ("zstd", "none", "lz4", "gzip", "snappy", "zstd", "lz4"):
        client = producer(compression_type=codec, linger_ms=200, batch_num_messages=1000)
        produce(stand, client, answers(200, f"b34-{codec}-{stand.ends[stand.topics.responses]}"))
    _, found = batches(stand.kafka, stand.topics.responses)
    codecs = {struct.unpack_from(">h", data, 21)[0] & 7 for _, data in found}
    assert codecs == {0, 1, 2, 3, 4}
    with stand.running():
        stand.caught_up()
    assert stand.ledger()["applied"] == 1400 and len(stand.responses()) == 1400
    sums = [row[3:5] for row in stand.tallies("tally_day") if row[0] == "nps"]
    assert sums == [(1400, 7 * sum(i % 11 for i in range(200)))]


def bomb(stand, producer, count):
    """One batch of so many messages of the largest size, nearly all of it white space."""
    client = producer(compression_type="zstd", linger_ms=60_000, batch_size=INT64_MAX >> 32,
                      message_max_bytes=1_000_000_000, queue_buffering_max_kbytes=2_000_000,
                      batch_num_messages=1_000_000)
    values = [padded(response(f"bomb-{i}"), JSON_LIMIT) for i in range(count)]
    produce(stand, client, values)
    _, found = batches(stand.kafka, stand.topics.responses)
    assert len(found) == 1 and len(found[0][1]) < MIB / 4
    return len(found[0][1])


def test_b34_compression_bomb(make, producer):
    """80 MB in a batch of some ten kilobytes, all of it good messages."""
    stand = make()
    bomb(stand, producer, 310)
    with stand.running() as daemon:
        before = memory_mb(daemon.process)
        stand.caught_up()
        grown = memory_mb(daemon.process, "VmHWM") - before
    assert stand.ledger()["applied"] == 310
    assert grown < 600, f"{grown:.0f} MiB"


def cpu_seconds(process):
    fields = open(f"/proc/{process.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def position(stand):
    return stand.query("SELECT next_offset FROM flightpath.ingest_position WHERE topic = %s",
                       stand.topics.responses)[0][0]


def stands_still(stand, daemon, end):
    """The partition does not pass this offset, and halts with a reason, which is returned; the
    other partition goes on."""
    def errors():
        return daemon.metrics()["flightpath_kafka_errors_total"]

    wait_for(lambda: errors() >= 1, "the batch is found to be bad")
    used, since, before = cpu_seconds(daemon.process), time.monotonic(), errors()
    stand.send(text(touchpoint("other", "other")), stand.topics.touchpoints, timestamp_ms=RECORD_MS)
    stand.flush()
    wait_for(lambda: stand.ledger(stand.topics.touchpoints)["applied"] == 1, "the other goes on",
             10)
    time.sleep(3)
    passed = time.monotonic() - since
    assert errors() - before < 5 * passed
    assert cpu_seconds(daemon.process) - used < passed / 2
    assert position(stand) <= end, "it must not pass what it could not read"
    return daemon.events("partition_halted")[-1]["msg"]


def three_batches(stand, producer):
    """Five messages each; the first is counted before the others are sent. The file, and where in
    it the second batch is."""
    client = producer(linger_ms=200)
    produce(stand, client, answers(5, "b34-0"))
    with stand.running():
        stand.caught_up()
    produce(stand, client, answers(5, "b34-1"))
    produce(stand, client, answers(5, "b34-2"))
    path, found = batches(stand.kafka, stand.topics.responses)
    assert len(found) == 3
    return path, *found[1]


def flipped(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


# dedup_window 0: the log is read from the position, else from before it
@pytest.mark.parametrize("dedup_window", [0, 250000])
def test_b34_corrupted_batch(make, producer, dedup_window):
    """A bit flips on the broker's disk: its checksum tells. Mended, nothing is lost."""
    stand = make()
    path, at, data = three_batches(stand, producer)
    overwrite(path, at, flipped(data))
    with stand.running(dedup_window=dedup_window) as daemon:
        assert "CRC" in stands_still(stand, daemon, 5)
    overwrite(path, at, data)
    with stand.running(dedup_window=dedup_window):
        stand.caught_up()
    assert len(stand.responses()) == 15
    assert stand.ledger(stand.topics.responses)["applied"] == 15


def test_b34_corrupted_batch_is_given_up(make, producer):
    """The operator deletes the log up to the batch's end, and lets the daemon pass the gap."""
    stand = make()
    path, at, data = three_batches(stand, producer)
    overwrite(path, at, flipped(data))
    stand.kafka.delete_records(stand.topics.responses, 0, 10)
    with stand.running():
        wait_for(lambda: stand.query("SELECT halted FROM flightpath.ingest_position WHERE topic"
                                     " = %s AND halted LIKE '%%no longer holds%%'",
                                     stand.topics.responses), "the partition is halted")
        assert position(stand) == 5
    with stand.running(on_offset_lost="skip"):
        stand.caught_up()
    assert stand.query("SELECT topic, from_offset, to_offset FROM flightpath.data_gap") == [
        (stand.topics.responses, 5, 10)]
    assert len(stand.responses()) == 10


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_codec(data, codec):
    """The batch with another codec in its header, and the right checksum."""
    body = struct.pack(">h", struct.unpack_from(">h", data, 21)[0] & ~7 | codec) + data[23:]
    return data[:17] + struct.pack(">I", crc32c(body)) + body


@pytest.mark.parametrize("codec", [5, 7, 4], ids=["unknown 5", "unknown 7", "not zstd"])
def test_b34_codec_nobody_knows(make, producer, codec):
    stand = make()
    path, at, data = three_batches(stand, producer)
    assert with_codec(data, 0) == data
    overwrite(path, at, with_codec(data, codec))
    with stand.running() as daemon:
        assert f"codec 0x{codec}" in stands_still(stand, daemon, 5)
    overwrite(path, at, data)
    with stand.running():
        stand.caught_up()
    assert len(stand.responses()) == 15


def test_b34_bomb_beyond_the_client(make, producer):
    """More than the client unpacks (receive.message.max.bytes, 100 MB): not read, not passed."""
    stand = make()
    bomb(stand, producer, 460)
    with stand.running() as daemon:
        before = memory_mb(daemon.process)
        assert "Decompression" in stands_still(stand, daemon, 0)
        assert memory_mb(daemon.process, "VmHWM") - before < 600
    with stand.running(**{"kafka.receive.message.max.bytes": 200_000_000}):
        stand.caught_up()
    assert stand.ledger(stand.topics.responses)["applied"] == 460
