"""Topics, a database and a daemon that several tests look at: what became of each record.

    stand = Stand(kafka, postgres, folder, model)   one partition a topic; keywords: topic settings
    place = stand.send(value, key=…, headers=…)     → (topic, partition, offset)
    with stand.running(flush_ms=50) as daemon:      migrates, starts, waits until it is ready
        stand.caught_up()
    stand.rejects()[place]                          → (reason, field, detail)
    stand.letters()[place]                          → the dead letter, a confluent_kafka Message
    stand.ledger()                                  → {"consumed": …, "applied": …, …}
"""

import contextlib
import json
import pathlib

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from . import program
from .kafka import Topics
from .wait import wait_for

CLASSES = ("applied", "duplicate", "revised", "voided", "rejected", "ignored")
#: ASan keeps what was freed; a few megabytes of it do, and memory can be measured
ENVIRONMENT = {"ASAN_OPTIONS": "quarantine_size_mb=8"}


class Stand:
    def __init__(self, kafka, postgres, folder, model, **topic_config):
        self.kafka = kafka
        self.folder = pathlib.Path(folder)
        self.topics = Topics(kafka, 1)
        if topic_config:
            self._configure({k.replace("_", "."): str(v) for k, v in topic_config.items()})
        self.database = postgres.create()
        self.model = self.folder / "model.json"
        self.model.write_text(json.dumps(model))
        self.key = self.folder / "subject.key"
        self.key.write_text("0123456789abcdef0123456789abcdef\n")
        self.daemons = []
        self.ends = dict.fromkeys((self.topics.touchpoints, self.topics.responses), 0)
        program.run("migrate", postgres=self.database.conninfo, check=True)

    def _configure(self, config):
        topics = (self.topics.touchpoints, self.topics.responses, self.topics.dead_letters)
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                   for name, value in config.items()]
        wanted = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
                  for topic in topics]
        for future in self.kafka.admin.incremental_alter_configs(wanted).values():
            future.result(30)

    def close(self):
        for one in self.daemons:
            one.close()
        self.topics.delete()
        self.database.drop()

    # ---- in

    def send(self, value, topic=None, key=b"k", headers=None, timestamp_ms=None):
        """Queues one record on partition 0; its place holds once flush() has been called."""
        topic = topic or self.topics.responses
        self.kafka.send(topic, value, key, headers, 0, timestamp_ms)
        self.ends[topic] += 1
        return topic, 0, self.ends[topic] - 1

    def flush(self):
        self.kafka.flush()
        for topic, end in self.ends.items():
            assert self.kafka.ends(topic)[0] == (0, end), "somebody else writes to this topic"

    # ---- the daemon

    def daemon(self, env=None, binary=None, **options):
        defaults = {
            "model": self.model,
            "postgres": self.database.conninfo,
            "kafka.bootstrap.servers": self.kafka.bootstrap,
            "topics": self.topics.both,
            "group": f"group.{self.database.name}",
            "dead_letters_topic": self.topics.dead_letters,
            "subject_key_file": self.key,
            "http_listen": "127.0.0.1:0",
            "flush_ms": 50,
        }
        log = self.folder / f"daemon-{len(self.daemons)}.log"
        one = program.Daemon(log, defaults | options, ENVIRONMENT | (env or {}), binary)
        self.daemons.append(one)
        return one.start()

    @contextlib.contextmanager
    def running(self, **options):
        one = self.daemon(**options).ready()
        yield one
        assert one.stop() == 0, one.text()[-4000:]

    def caught_up(self, timeout=60):
        """Every record is committed; `ends` as sent by this stand."""
        def behind():
            at = dict(self.query("SELECT topic, next_offset FROM flightpath.ingest_position"
                                 " WHERE partition = 0"))
            return {t: end - at.get(t, 0) for t, end in self.ends.items() if at.get(t, 0) < end}

        def done():
            code = self.daemons[-1].process.poll()
            assert code is None, f"it ended with {code}:\n{self.daemons[-1].text()[-4000:]}"
            return not behind()

        try:
            wait_for(done, "everything is committed", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; behind: {behind()}\n"
                                 f"{self.daemons[-1].text()[-3000:]}") from None

    # ---- out

    def query(self, sql, *values):
        with self.database.connect() as connection:
            return connection.execute(sql, values).fetchall()

    def rejects(self):
        return {(topic, part, offset): tuple(why) for topic, part, offset, *why in self.query(
            'SELECT topic, partition, "offset", reason, field, detail FROM flightpath.reject')}

    def letters(self):
        """{place: Message}; one that was sent twice is there once."""
        found = {}
        for message in self.kafka.read(self.topics.dead_letters):
            own = dict(message.headers())
            place = (own["fp_topic"].decode(), int(own["fp_partition"]), int(own["fp_offset"]))
            assert message.key().decode() == "{}/{}/{}".format(*place)
            found[place] = message
        return found

    def ledger(self, topic=None):
        columns = ", ".join(f"coalesce(sum({n}), 0)::bigint" for n in ("consumed", *CLASSES))
        where = " WHERE topic = %s" if topic else ""
        row = self.query(f"SELECT {columns} FROM flightpath.ledger{where}",
                         *([topic] if topic else []))[0]
        return dict(zip(("consumed", *CLASSES), row))

    def responses(self):
        """{id: {"unit": …, "scores": {item: score}, "measures": {measure: amount}, …}}."""
        names = {(kind, number): name for kind, number, name in self.query(
            "SELECT kind, id, name FROM flightpath.name")}
        found = {}
        for row in self.query(
                "SELECT id, source, revision, status, survey, unit, channel, day, submitted_at,"
                " items, scores, measures, amounts, comment, interaction, weight"
                " FROM flightpath.response"):
            one = dict(zip(("id", "source", "revision", "status", "survey", "unit", "channel",
                            "day", "submitted_at", "items", "scores", "measures", "amounts",
                            "comment", "interaction", "weight"), row))
            for kind, member in ((0, "unit"), (1, "channel"), (4, "source"), (5, "survey")):
                one[member] = names[kind, one[member]]
            one["scores"] = {names[6, i]: s for i, s in zip(one.pop("items"), one["scores"])}
            amounts = one.pop("amounts")
            one["measures"] = {names[7, m]: a for m, a in zip(one["measures"], amounts)}
            assert one["id"] not in found, "two sources with the same id: ask the table"
            found[one["id"]] = one
        return found

    def tallies(self, table="tally_hour"):
        """[(kpi, unit name, bucket, n, sum, sum_square)], lanes added up."""
        return self.query(
            f"SELECT k.kpi, u.name, t.bucket, sum(t.n)::bigint, sum(t.sum)::bigint,"
            f" sum(t.sum_square)::bigint FROM flightpath.{table} t JOIN flightpath.kpi k USING"
            f" (series) JOIN flightpath.name u ON u.kind = 0 AND u.id = t.unit"
            f" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")


def memory_mb(process, what="VmRSS"):
    """Resident memory of a process that runs, now (VmRSS) or at most (VmHWM), in MiB."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {what} of process {process.pid}")
