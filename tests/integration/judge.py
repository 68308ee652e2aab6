#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The independent judge: what the results must be, recomputed from the messages alone.

It shares no code with the daemon. It reads the messages of each partition in order, decides for
each what has to happen to it, adds everything up with Python's own integers, and compares that
with what the database holds and publishes. It is the second opinion on the contract, so it is
written to be read from top to bottom, in this order:

    judge_message.py   bytes -> JSON -> envelope -> Event, or a reason to reject
    judge_model.py     the model: scales, places and scopes; a message measured against it
    judge.py           the log: duplicates, revisions, voids, erasures -> one class per record
                       cells: KPI x bucket x unit x channel, and coverage
    judge_numbers.py   values, intervals and status of a cell
    judge.py           the database: what is there, compared with all of the above

Use:    differences = judge(model, records, connection)
        judge.py --model model.json --postgres CONNINFO --kafka HOST:PORT [--topics a,b]
        judge.py --model model.json --postgres CONNINFO --file records.jsonl
The command prints one JSON object per difference; exit code 0 means that there are none.
"""
import argparse
import base64
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

from judge_message import Event, Record, Reject, decode
from judge_model import Model, observed_us, resolve
from judge_numbers import BINS, EITHER, Cell, publish, sketch_bin

DEDUP_WINDOW = 250_000
HOUR_US = 3_600_000_000


# ---- the log ---------------------------------------------------------------------------------

CLASSES = ("applied", "duplicate", "revised", "voided", "rejected", "ignored")


@dataclass
class Response:
    """A response as it stands."""
    event: Event
    scores: dict
    submitted_us: int
    revision: int
    void: bool


class Log:
    """Reads records in log order and keeps what they come to."""

    def __init__(self, model, dedup_window=DEDUP_WINDOW):
        self.model, self.dedup_window = model, dedup_window
        self.ledger = defaultdict(Counter)  # (topic, partition) -> class -> records
        self.rejects = {}                   # (topic, partition, offset) -> (reason, field)
        self.responses = {}                 # (source, id) -> Response
        self.erased = {}                    # subject -> latest erasure time
        self.events = []                    # (event, amounts) of counted touchpoint events
        self.invitations = []               # counted invitations
        self._seen = defaultdict(dict)      # (topic, partition) -> (source, id) -> last offset

    def read(self, record):
        part = (record.topic, record.partition)
        try:
            outcome = self._class_of(record)
        except Reject as reject:
            self.rejects[(*part, record.offset)] = (reject.reason, reject.field)
            outcome = "rejected"
        self.ledger[part][outcome] += 1
        return outcome

    def _class_of(self, record):
        event = decode(record)
        if event is None:
            return "ignored"
        scores, amounts = resolve(self.model, event, record)
        if event.type == "response":
            return self._respond(event, scores)
        if event.type == "erasure":
            return self._erase(event)
        if self._repeated(record, event):
            return "duplicate"
        if event.type == "touchpoint":
            self.events.append((event, amounts))
        elif event.type == "invitation":
            self.invitations.append(event)
        return "applied"

    def _repeated(self, record, event):
        """Seen among the last N offsets of its partition? Only accepted records are remembered."""
        seen = self._seen[(record.topic, record.partition)]
        last = seen.get((event.source, event.id))
        seen[(event.source, event.id)] = record.offset
        return last is not None and record.offset - last <= self.dedup_window

    def _respond(self, event, scores):
        """nothing stored   applied; a void leaves a mark
        active, rev r    rev > r revised; a void with rev >= r voided; else duplicate
        void, rev r      rev > r revised (a void: voided); else ignored (a void: duplicate)"""
        key, void = (event.source, event.id), event.status == "void"
        old = self.responses.get(key)
        submitted = observed_us(event)
        if old and event.submitted_us is None:
            submitted = old.submitted_us  # a later revision that leaves it out inherits it
        if event.subject is not None and submitted <= self.erased.get(event.subject, -1):
            return "ignored"
        if old is None:
            outcome = "voided" if void else "applied"
        elif event.revision < old.revision or (
                event.revision == old.revision and (old.void or not void)):
            return "ignored" if old.void and not void else "duplicate"
        elif submitted != old.submitted_us:
            raise Reject("submitted_at_changed", "data.submitted_at")
        else:
            outcome = "voided" if void else "revised"
        self.responses[key] = Response(event, scores, submitted, event.revision, void)
        return outcome

    def _erase(self, event):
        self.erased[event.erase] = max(event.time_us, self.erased.get(event.erase, -1))
        for key, response in list(self.responses.items()):
            if response.event.subject == event.erase and response.submitted_us <= event.time_us:
                del self.responses[key]
        return "applied"


def read_log(model, records, dedup_window=DEDUP_WINDOW):
    """Reads each partition in offset order."""
    log = Log(model, dedup_window)
    for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        log.read(record)
    return log


# ---- cells -----------------------------------------------------------------------------------

def hour_of(time_us):
    return time_us // HOUR_US


def day_of(time_us, zone):
    """Days since 1970-01-01 of the local date."""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=time_us)
    return (moment.astimezone(zone).date() - date(1970, 1, 1)).days


@dataclass
class Cells:
    """Everything additive. Keys are (KPI, bucket, unit, channel); the last two may be None."""
    hour: dict = field(default_factory=lambda: defaultdict(Cell))
    day: dict = field(default_factory=lambda: defaultdict(Cell))
    sketch: dict = field(default_factory=lambda: defaultdict(Counter))  # key -> bin -> n
    coverage: dict = field(default_factory=lambda: defaultdict(Counter))  # (touchpoint, day)


def add_up(model, log):
    cells = Cells()
    for event, amounts in log.events:
        _add_event(model, cells, event, amounts)
    for response in log.responses.values():
        if not response.void:
            _add_response(model, cells, response)
    for event in log.invitations:
        _add_invitation(model, cells, event)
    return cells


def _cells(cells, kpi, event, at, day):
    """Where a KPI counts it: by the day, and by the hour if it is kept by the hour."""
    yield cells.day[(kpi["id"], day, event.unit, event.channel)]
    if kpi["grain"] == "hour":
        yield cells.hour[(kpi["id"], hour_of(at), event.unit, event.channel)]


def _add_invitation(model, cells, event):
    at, (audience, *place) = event.time_us, model.place(event)
    day = day_of(at, model.zone)
    cells.coverage[(event.touchpoint, day)]["invited"] += 1
    for kpi in model.response_kpis:
        whose = kpi["audience"] if kpi["survey"] else audience  # a survey says whose it is
        if kpi["of"] == "invitations" and kpi["survey"] in (None, event.survey) and \
                model.covers(kpi, (whose, *place)):
            for cell in _cells(cells, kpi, event, at, day):
                cell.add(0)


def _put(cells, kpi, event, at, day, y, weight=1, bin_=None):
    for cell in _cells(cells, kpi, event, at, day):
        cell.add(y, weight, bin_)


def _add_event(model, cells, event, amounts):
    at, place = event.time_us, model.place(event)
    day = day_of(at, model.zone)
    count = cells.coverage[(event.touchpoint, day)]
    count["events"] += 1
    if event.outcome != "completed":
        count[event.outcome] += 1
    for kpi in model.event_kpis:
        if not model.covers(kpi, place):
            continue
        if kpi["outcome"]:
            _put(cells, kpi, event, at, day, int(event.outcome == kpi["outcome"]))
        elif kpi["per"]:
            if kpi["measure"] in amounts and kpi["per"] in amounts:
                for cell in _cells(cells, kpi, event, at, day):
                    cell.add_pair(amounts[kpi["measure"]], amounts[kpi["per"]])
        elif kpi["measure"] in amounts:
            amount = amounts[kpi["measure"]]
            if kpi["metric"] == "quantile":
                cells.sketch[(kpi["id"], day, event.unit, event.channel)][sketch_bin(amount)] += 1
            elif kpi["within"] is not None:
                _put(cells, kpi, event, at, day, int(amount <= kpi["within"]))
            else:
                _put(cells, kpi, event, at, day, amount)


def _add_response(model, cells, response):
    event, at = response.event, response.submitted_us
    audience, main, detailed, touchpoint = model.place(event)
    day = day_of(at, model.zone)
    cells.coverage[(event.touchpoint, day)][event.audience] += 1
    for name, value in response.scores.items():
        item = model.items[name]
        scale = model.scales[item["scale"]]
        place = (audience, main, detailed, item.get("touchpoint", touchpoint))
        bin_ = value - scale["min"] if scale["max"] - scale["min"] < BINS else None
        for kpi in model.item_kpis[name]:
            if model.covers(kpi, place):
                _put(cells, kpi, event, at, day, value, event.weight, bin_)
    for kpi in model.response_kpis:
        _add_whole(model, cells, kpi, response, day)


def _add_whole(model, cells, kpi, response, day):
    """What a response as a whole adds: to an index, to straight-lining, to a response rate."""
    event, at = response.event, response.submitted_us
    place = model.place(event)
    if kpi["metric"] == "index":
        answers = [kpi["low"] + kpi["high"] - response.scores[name] if name in kpi["reversed"]
                   else response.scores[name]
                   for name in kpi["items"] if name in response.scores and model.covers(
                       kpi, (*place[:3], model.items[name].get("touchpoint", place[3])))]
        if answers and 2 * len(answers) >= len(kpi["items"]) and event.weight:
            for cell in _cells(cells, kpi, event, at, day):
                cell.add_pair(sum(answers), len(answers), event.weight)
    elif not model.covers(kpi, place):
        return
    elif kpi["of"] == "invitations":
        if kpi["survey"] in (None, event.survey):
            for cell in _cells(cells, kpi, event, at, day):
                cell.sum += 1
    else:
        same = straight(model, response.scores)
        if same is not None:
            _put(cells, kpi, event, at, day, int(same), event.weight)


def straight(model, scores):
    """Whether all answers on the scale with most answers are equal; None: fewer than four there."""
    by_scale = defaultdict(list)
    for name, value in scores.items():
        by_scale[model.items[name]["scale"]].append(value)
    if not by_scale:
        return None
    most = max(len(values) for values in by_scale.values())
    chosen = by_scale[min(name for name, values in by_scale.items() if len(values) == most)]
    return len(set(chosen)) == 1 if most >= 4 else None


# ---- the database ----------------------------------------------------------------------------

TOLERANCE = 1e-9  # of the largest number of the row (a limit near 0 is a difference of large ones)


class Database:
    """What is there, under names instead of numbers."""

    UNIT, CHANNEL, TOUCHPOINT, SOURCE = 0, 1, 2, 4

    def __init__(self, connection):
        self.connection = connection
        self.names = defaultdict(set)
        for kind, name in self.rows("SELECT kind, name FROM flightpath.name"):
            self.names[kind].add(name)

    def rows(self, query):
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def name(self, kind, name):
        """The name under which it is counted: beyond the cap, __other__."""
        return name if name is None or name in self.names[kind] else "__other__"

    def positions(self):
        return {(topic, part): (first, following) for topic, part, first, following in self.rows(
            "SELECT topic, partition, first_offset, next_offset FROM flightpath.ingest_position")}

    def ledger(self):
        return {(row[0], row[1]): dict(zip(("consumed", *CLASSES), map(int, row[2:])))
                for row in self.rows(
                    "SELECT topic, partition, sum(consumed), sum(applied), sum(duplicate),"
                    " sum(revised), sum(voided), sum(rejected), sum(ignored)"
                    " FROM flightpath.ledger GROUP BY 1, 2")}

    def rejects(self):
        return {tuple(row[:3]): tuple(row[3:]) for row in self.rows(
            'SELECT topic, partition, "offset", reason, field FROM flightpath.reject')}

    def tallies(self, table):
        sums = ", ".join(f"sum(t.{c})::bigint" for c in (
            "n", "weight", "weight_square", "sum", "sum_square", *(f"b{i}" for i in range(BINS))))
        return {tuple(row[:4]): tuple(row[4:]) for row in self.rows(
            f"SELECT k.kpi, t.bucket, nullif(u.name, ''), nullif(c.name, ''), {sums}"
            f" FROM flightpath.{table} t JOIN flightpath.kpi k ON k.series = t.series AND k.current"
            " JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit"
            " JOIN flightpath.name c ON c.kind = 1 AND c.id = t.channel"
            " WHERE k.metric <> 'quantile' GROUP BY 1, 2, 3, 4")}

    def sketches(self):
        found = defaultdict(Counter)
        for kpi, bucket, unit, channel, number, n in self.rows(
                "SELECT k.kpi, t.bucket, nullif(u.name, ''), nullif(c.name, ''), t.bin,"
                " sum(t.n)::bigint FROM flightpath.sketch_day t"
                " JOIN flightpath.kpi k ON k.series = t.series AND k.current"
                " JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit"
                " JOIN flightpath.name c ON c.kind = 1 AND c.id = t.channel"
                " GROUP BY 1, 2, 3, 4, 5"):
            if n:
                found[(kpi, bucket, unit, channel)][number] = n
        return found

    COVERAGE = ("events", "failed", "abandoned", "recovered", "customer", "employee", "internal",
                "invited")

    def coverage(self):
        sums = ", ".join(f"sum(c.{name})::bigint" for name in self.COVERAGE)
        return {(row[0], row[1]): tuple(row[2:]) for row in self.rows(
            f"SELECT nullif(t.name, ''), c.bucket, {sums} FROM flightpath.coverage_day c"
            " JOIN flightpath.name t ON t.kind = 2 AND t.id = c.touchpoint GROUP BY 1, 2")}

    def responses(self):
        return {(row[0], row[1]): tuple(row[2:]) for row in self.rows(
            "SELECT s.name, r.id, (extract(epoch FROM r.submitted_at) * 1000000)::bigint,"
            " r.revision, r.status, r.weight FROM flightpath.response r"
            " JOIN flightpath.name s ON s.kind = 4 AND s.id = r.source")}

    def published(self, view):
        return {tuple(row[:4]): dict(zip(("n", "value", "ci_low", "ci_high", "attained", "status"),
                                         row[4:]))
                for row in self.rows(
                    "SELECT v.kpi, extract(epoch FROM v.bucket)::bigint, v.unit, v.channel, v.n,"
                    f" v.value, v.ci_low, v.ci_high, v.attained, v.status FROM experience.{view} v"
                    " WHERE v.current")}


def merge_names(cells, database, kinds):
    """Cells by the names they are counted under; kinds of each part of the key, None: as it is."""
    merged = {}
    for key, cell in cells.items():
        name = tuple(part if kind is None else database.name(kind, part)
                     for part, kind in zip(key, kinds))
        if name not in merged:
            merged[name] = cell
        elif isinstance(cell, Counter):
            merged[name] = merged[name] + cell
        else:
            sums = [a + b for a, b in zip(merged[name].parts(), cell.parts())]
            merged[name] = Cell(*sums[:5], sums[5:])
    return merged


def _compare(what, expected, found, differences, same=lambda a, b: a == b):
    for key in sorted(expected.keys() | found.keys(), key=repr):
        if key not in found:
            differences.append({"what": what, "key": key, "expected": expected[key], "found": None})
        elif key not in expected:
            differences.append({"what": what, "key": key, "expected": None, "found": found[key]})
        elif not same(expected[key], found[key]):
            differences.append({"what": what, "key": key, "expected": expected[key],
                                "found": found[key]})


def _same_numbers(expected, found):
    size = max(1.0, *(abs(v) for v in expected.values() if isinstance(v, float)), 0.0)
    for name, value in expected.items():
        other = found[name]
        if isinstance(value, float) and isinstance(other, (float, int)):
            if abs(value - other) > TOLERANCE * size:
                return False
        elif value != other and value != EITHER:
            return False
    return True


def _compare_log(log, consumed, database, differences, reasons):
    expected = {part: {"consumed": consumed[part], **{c: log.ledger[part][c] for c in CLASSES}}
                for part in consumed if consumed[part]}
    found = {part: row for part, row in database.ledger().items() if row["consumed"]}
    _compare("ledger", expected, found, differences)
    same = (lambda a, b: a[0] == b[0]) if reasons else (lambda a, b: True)
    _compare("reject", log.rejects, database.rejects(), differences, same)
    status = {"complete": 0, "partial": 1, "void": 2}
    stored = {(database.name(database.SOURCE, key[0]), key[1]):
              (r.submitted_us, r.revision, status[r.event.status], r.event.weight)
              for key, r in log.responses.items()}
    _compare("response", stored, database.responses(), differences)


def _compare_cells(model, cells, database, differences):
    kinds = (None, None, database.UNIT, database.CHANNEL)
    kpis = {kpi["id"]: kpi for kpi in model.kpis}
    hour, day = (merge_names(c, database, kinds) for c in (cells.hour, cells.day))
    sketch = merge_names(cells.sketch, database, kinds)
    for table, expected in (("tally_hour", hour), ("tally_day", day)):
        _compare(table, {k: c.parts() for k, c in expected.items() if any(c.parts())},
                 {k: row for k, row in database.tallies(table).items() if any(row)}, differences)
    _compare("sketch_day", sketch, database.sketches(), differences)
    covered = merge_names(cells.coverage, database, (database.TOUCHPOINT, None))
    _compare("coverage_day",
             {k: tuple(c[name] for name in database.COVERAGE) for k, c in covered.items()
              if any(c.values())},
             {k: row for k, row in database.coverage().items() if any(row)}, differences)

    def midnight(number):
        return int(datetime.combine(date(1970, 1, 1) + timedelta(days=number), datetime.min.time(),
                                    tzinfo=model.zone).timestamp())

    def shown(expected, start, grain):
        return {(key[0], start(key[1]), key[2], key[3]): publish(model, kpis[key[0]], cell)
                for key, cell in expected.items() if cell.n and kpis[key[0]]["grain"] in grain}

    by_day = shown(day, midnight, ("hour", "day"))
    by_day.update({(key[0], midnight(key[1]), key[2], key[3]):
                   publish(model, kpis[key[0]], None, bins) for key, bins in sketch.items()})
    quantiles = {kpi["id"] for kpi in model.kpis if kpi["metric"] == "quantile"}
    _compare("kpi_hour", shown(hour, lambda number: number * 3600, ("hour",)),
             {key: row for key, row in database.published("kpi_hour").items()
              if key[0] not in quantiles}, differences, _same_numbers)
    _compare("kpi_day", by_day, database.published("kpi_day"), differences, _same_numbers)


def judge(model, records, connection, *, dedup_window=DEDUP_WINDOW, reasons=True):
    """Differences between what the records come to and what the database holds; [] is agreement.

    model: document, text or Model. records: Record, of every partition from where counting began.
    connection: psycopg, with the right to read schemas flightpath and experience; only records
    below the stored positions are judged. reasons: compare the reasons of rejects too.
    """
    model = model if isinstance(model, Model) else Model(model)
    database = Database(connection)
    positions = database.positions()
    consumed, judged = Counter(), []
    for record in records:
        first, following = positions.get((record.topic, record.partition), (0, 0))
        if first <= record.offset < following:
            judged.append(record)
            consumed[(record.topic, record.partition)] += 1
    log = read_log(model, judged, dedup_window)
    differences = []
    _compare_log(log, consumed, database, differences, reasons)
    _compare_cells(model, add_up(model, log), database, differences)
    return differences


# ---- reading records -------------------------------------------------------------------------

def read_file(path):
    """Lines of {"topic", "partition", "offset", "timestamp", "key", "headers", "value_base64"}.

    Lines without partition and offset are numbered as a topic of one partition would have them.
    """
    following = Counter()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            part = (row["topic"], row.get("partition", 0))
            offset = row.get("offset", following[part])
            following[part] = offset + 1
            value = row["value_base64"]
            yield Record(*part, offset, row["timestamp"],
                         None if value is None else base64.b64decode(value),
                         row["key"].encode() if row.get("key") is not None else None,
                         [(name, text.encode()) for name, text in row.get("headers", {}).items()])


def read_kafka(bootstrap, ends, timeout_s=60):
    """Every record below `ends` ((topic, partition) -> offset) that the log still holds."""
    from confluent_kafka import Consumer, TopicPartition
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "judge",
                         "enable.auto.commit": False, "enable.partition.eof": True,
                         "isolation.level": "read_committed",
                         "auto.offset.reset": "earliest"})
    open_parts = {part for part, end in ends.items() if end > 0}
    consumer.assign([TopicPartition(t, p, 0) for t, p in open_parts])
    try:
        while open_parts:
            message = consumer.poll(timeout_s)
            if message is None:
                raise TimeoutError(f"nothing from {sorted(open_parts)} for {timeout_s} s")
            part = (message.topic(), message.partition())
            if message.error():
                if message.error().name() != "_PARTITION_EOF":
                    raise RuntimeError(message.error().str())
                open_parts.discard(part)
                continue
            if part not in open_parts or message.offset() >= ends[part]:
                open_parts.discard(part)
                continue
            yield Record(*part, message.offset(), message.timestamp()[1], message.value(),
                         message.key(), message.headers() or [])
            if message.offset() + 1 >= ends[part]:
                open_parts.discard(part)
    finally:
        consumer.close()


def main():
    import psycopg
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--kafka", help="bootstrap servers")
    parser.add_argument("--topics", help="only these, separated by commas")
    parser.add_argument("--file", help="records as JSON lines, instead of Kafka")
    parser.add_argument("--dedup-window", type=int, default=DEDUP_WINDOW)
    parser.add_argument("--set-only", action="store_true", help="do not compare reasons of rejects")
    options = parser.parse_args()
    if bool(options.kafka) == bool(options.file):
        parser.error("give either --kafka or --file")
    with open(options.model, encoding="utf-8") as file, \
            psycopg.connect(options.postgres) as connection:
        # all queries see one moment
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        if options.file:
            records = read_file(options.file)
        else:
            wanted = options.topics.split(",") if options.topics else None
            records = read_kafka(options.kafka, {
                part: end for part, (_, end) in Database(connection).positions().items()
                if wanted is None or part[0] in wanted})
        differences = judge(file.read(), records, connection, dedup_window=options.dedup_window,
                            reasons=not options.set_only)
    for difference in differences:
        print(json.dumps(difference, default=str))
    print(f"{len(differences)} difference(s)", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
