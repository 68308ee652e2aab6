"""A generated stream, what has been read of it, and the judge over both.

    line = pipeline.generate(3000, seed=7)   draws a stream (nothing is sent yet)
    line.send(500)                           sends the next 500 messages; send() sends what is left
    line.caught_up()                         every record that is there has been committed
    line.clean()                             the judge compares: fails with the differences
"""

import base64
import json

import judge
import psycopg
import pytest
from judge_model import Model

from . import program
from .wait import wait_for


class Stream:
    """What `flightpath generate` drew, sent piece by piece."""

    def __init__(self, path, truth):
        self.messages = [json.loads(line) for line in open(path, encoding="utf-8")]
        self.truth = json.loads(truth.read_text())
        self.sent = 0

    def next(self, count=None):
        first, self.sent = self.sent, len(self.messages)
        if count is not None:
            self.sent = min(first + count, self.sent)
        return self.messages[first:self.sent]


class Pipeline:
    """One test's topics and database. Everything here only reads, except send()."""

    def __init__(self, kafka, topics, database, model, folder):
        self.kafka, self.topics, self.database, self.model = kafka, topics, database, model
        self.folder = folder
        self.stream = None

    # ---- the stream

    def generate(self, messages, seed=1, model=None, **options):
        path, truth = self.folder / f"stream-{seed}.jsonl", self.folder / f"truth-{seed}.json"
        program.run("generate", check=True, model=model or self.model, topics=self.topics.both,
                    messages=messages, seed=seed, file=path, truth=truth, **options)
        self.stream = Stream(path, truth)
        return self

    def send(self, count=None):
        for m in self.stream.next(count):
            self.kafka.send(m["topic"], self.value(m), key=m["key"],
                            headers=list(m["headers"].items()), timestamp_ms=m["timestamp"])
        self.kafka.flush()
        return self

    @staticmethod
    def value(message):
        text = message["value_base64"]
        return None if text is None else base64.b64decode(text)

    # ---- where things stand

    def query(self, sql, *values):
        with self.database.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def positions(self):
        return {(topic, part): offset for topic, part, offset in self.query(
            "SELECT topic, partition, next_offset FROM flightpath.ingest_position")}

    def epochs(self):
        return {(topic, part): epoch for topic, part, epoch in self.query(
            "SELECT topic, partition, epoch FROM flightpath.ingest_position")}

    def ends(self):
        return {(topic, part): high for topic in (self.topics.touchpoints, self.topics.responses)
                for part, (_, high) in self.kafka.ends(topic).items()}

    def behind(self):
        """Offsets that no commit has passed yet."""
        positions = self.positions()
        return {part: end - positions.get(part, 0) for part, end in self.ends().items()
                if end > positions.get(part, 0)}

    def caught_up(self, timeout=40):
        wait_for(lambda: not self.behind(), "everything is committed", timeout, 0.1)
        return self

    # ---- what it comes to

    def counts(self):
        """{'consumed': …, 'applied': …, …} over all partitions."""
        names = ("consumed", *judge.CLASSES)
        row = self.query(f"SELECT {', '.join(f'sum({n})::bigint' for n in names)}"
                         " FROM flightpath.ledger")[0]
        return dict(zip(names, (value or 0 for value in row)))

    def differences(self, **options):
        with self.database.connect(autocommit=False) as connection:
            # all queries see one moment: it must hold at every commit, not only at the end
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            positions = judge.Database(connection).positions()
            records = judge.read_kafka(self.kafka.bootstrap,
                                       {part: end for part, (_, end) in positions.items()})
            return judge.judge(Model(self.model.read_text()), records, connection, **options)

    def clean(self, **options):
        found = self.differences(**options)
        assert not found, f"{len(found)} differences, the first:\n" + "\n".join(
            json.dumps(one, default=str) for one in found[:5])
        ledger = self.query("SELECT topic, partition FROM experience.ledger WHERE NOT balanced")
        assert not ledger, f"the ledger is not balanced: {ledger}"
        return self

    def dead_letters(self):
        """Where each record of the dead-letter topic came from: (topic, partition, offset)."""
        return [_origin(message) for message in self.kafka.read(self.topics.dead_letters)]

    def dead_letters_cover(self):
        """The topic holds every reject of the ledger, and nothing else. Returns how many repeat."""
        ledger = {tuple(row) for row in self.query(
            'SELECT topic, partition, "offset" FROM flightpath.reject')}
        found = self.dead_letters()
        assert ledger <= set(found), f"not in the topic: {sorted(ledger - set(found))[:5]}"
        return len(found) - len(ledger)


def _origin(message):
    headers = dict(message.headers() or [])
    topic, partition, offset = (headers[f"fp_{name}"].decode()
                                for name in ("topic", "partition", "offset"))
    return topic, int(partition), int(offset)


@pytest.fixture
def pipeline(kafka, topics, database, pg, model, tmp_path):
    return Pipeline(kafka, topics, database, model, tmp_path)
