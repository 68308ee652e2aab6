"""A real Kafka broker of its own in a temporary folder, on loopback."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from . import reaper
from .paths import TESTS, clean_environment
from .ports import Port
from .wait import wait_for

TOOL = TESTS / "tools" / "kafka-local"


def jars():
    """The folder of Kafka's jars; fetched when they are not there."""
    folder = os.environ.get("FLIGHTPATH_TEST_KAFKA")
    if not folder:
        done = subprocess.run([TESTS / "setup", "kafka"], stdout=subprocess.PIPE, text=True,
                              check=True)
        folder = done.stdout.strip().splitlines()[-1]
    return folder


class Broker:
    """`options`: more of kafka-local's environment, e.g. {"KAFKA_TLS": "1"}."""

    def __init__(self, options=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flightpath-kafka-"))
        reaper.pid_file(self.folder / "pid")
        reaper.folder(self.folder)
        self.ports = [Port(), Port()]  # the same after a restart
        port, control = (str(p.number) for p in self.ports)
        self.options = {"KAFKA_CACHE": jars(), "KAFKA_PORT": port, "KAFKA_CTRL_PORT": control}
        self.options |= options or {}
        self.values = {}
        self.start()

    def _tool(self, command, *arguments):
        # a file, not a pipe: the broker would keep the pipe open
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run([TOOL, command, self.folder, *arguments],
                                  stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, env=clean_environment(self.options))
            output.seek(0)
            text = output.read()
        assert done.returncode == 0, f"kafka-local {command} failed:\n{text}"
        return text

    def start(self):
        text = self._tool("start")
        self.values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        self.bootstrap = self.values["KAFKA_BOOTSTRAP"]
        self.client = {"bootstrap.servers": self.bootstrap, "log_level": 0,
                       "reconnect.backoff.max.ms": 500}
        self.admin = AdminClient(self.client)
        self.restart_producer()

    def restart_producer(self):
        """A new one knows the partitions that are there now."""
        self.producer = Producer(self.client | {"linger.ms": 2, "enable.idempotence": True})

    def stop(self):
        self.admin = self.producer = None
        self._tool("stop")

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        for port in self.ports:
            port.release()

    # ---- topics

    def create_topic(self, name, partitions=1, config=None):
        # retention looks at the records' own timestamps, and these may be of last year
        config = {"retention.ms": "-1"} | (config or {})
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
        for future in self.admin.create_topics([topic]).values():
            future.result(30)
        return name

    def delete_topic(self, name):
        for future in self.admin.delete_topics([name], operation_timeout=30).values():
            future.result(30)

    def add_partitions(self, name, total):
        for future in self.admin.create_partitions([NewPartitions(name, total)]).values():
            future.result(30)
        # the controller has made them; a client that asks too soon is not told of them
        wait_for(lambda: len(self.admin.list_topics(name, 30).topics[name].partitions) == total,
                 f"the broker knows {total} partitions of {name}")

    def delete_records(self, name, partition, before):
        wanted = [TopicPartition(name, partition, before)]
        for future in self.admin.delete_records(wanted).values():
            future.result(30)

    def fresh_name(self, stem):
        return f"{stem}.{uuid.uuid4().hex[:8]}"

    # ---- records

    def send(self, topic, value, key=None, headers=None, partition=None, timestamp_ms=None):
        """Queues one record; call flush() when all are."""
        more = {}
        if partition is not None:
            more["partition"] = partition
        if timestamp_ms is not None:
            more["timestamp"] = timestamp_ms
        while True:
            try:
                self.producer.produce(topic, value=value, key=key, headers=headers,
                                      on_delivery=self._delivered, **more)
                break
            except BufferError:
                self.producer.poll(0.1)
        self.producer.poll(0)

    @staticmethod
    def _delivered(error, _message):
        if error is not None:
            raise KafkaException(error)

    def flush(self):
        assert self.producer.flush(60) == 0, "records were not acknowledged within 60 s"

    def forget_unsent(self):
        """What is queued yet and would fail, or arrive, in another test goes with its producer."""
        if len(self.producer):
            self.restart_producer()

    def ends(self, topic):
        """{partition: (low, high)} as the broker has it now."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "ends",
                             "log_level": 0})
        try:
            partitions = consumer.list_topics(topic, 30).topics[topic].partitions
            return {p: self._watermarks(consumer, TopicPartition(topic, p)) for p in partitions}
        finally:
            consumer.close()

    @staticmethod
    def _watermarks(consumer, partition):
        for attempt in range(20):  # a broker that has just come back may not lead it yet
            try:
                return consumer.get_watermark_offsets(partition, 30)
            except KafkaException:
                if attempt == 19:
                    raise
                time.sleep(0.5)

    def read(self, topic):
        """Every record that is there now, by partition and offset."""
        ends = self.ends(topic)
        left = {p for p, (low, high) in ends.items() if high > low}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex,
                             "enable.auto.commit": False, "enable.partition.eof": True,
                             "log_level": 0})
        records = []
        try:
            consumer.assign([TopicPartition(topic, p, ends[p][0]) for p in left])
            while left:
                message = consumer.poll(30)
                assert message is not None, f"{topic}: no answer within 30 s"
                if message.error() is None:
                    records.append(message)
                end = ends[message.partition()][1]
                if message.error() is not None or message.offset() + 1 >= end:
                    left.discard(message.partition())
        finally:
            consumer.close()
        return sorted(records, key=lambda m: (m.partition(), m.offset()))


class Topics:
    """Names of one test's topics; every test has its own."""

    def __init__(self, broker, partitions):
        self.broker = broker
        self.partitions = partitions
        self.touchpoints = broker.create_topic(broker.fresh_name("touchpoints"), partitions)
        self.responses = broker.create_topic(broker.fresh_name("responses"), partitions)
        self.dead_letters = broker.create_topic(broker.fresh_name("dead-letters"), 1)
        self.alerts = broker.create_topic(broker.fresh_name("alerts"), 1)

    @property
    def both(self):
        return f"{self.touchpoints},{self.responses}"

    def delete(self):
        self.broker.forget_unsent()
        for name in (self.touchpoints, self.responses, self.dead_letters, self.alerts):
            self.broker.delete_topic(name)
