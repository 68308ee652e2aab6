# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks stand on: a broker and a cluster of their own, and what things cost."""

import atexit
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
ROOT = TESTS.parent
TICKS = os.sysconf("SC_CLK_TCK")


def build_folder():
    """FLIGHTPATH_BUILD or build/: that folder, or its release/, where the program is."""
    base = pathlib.Path(os.environ.get("FLIGHTPATH_BUILD", ROOT / "build"))
    return base if (base / "flightpath").exists() else base / "release"


BUILD = build_folder()
PROGRAM = BUILD / "flightpath"
KAFKA_FLOOR = BUILD / "tests" / "bench" / "kafka_floor"


def need_python(*modules):
    """Starts over with the Python of the tests when this one lacks a module."""
    try:
        for module in modules:
            __import__(module)
    except ImportError as missing:
        for venv in (BUILD / "venv", BUILD.parent / "venv"):
            python = venv / "bin" / "python"
            if python.exists() and pathlib.Path(sys.prefix).resolve() != venv.resolve():
                os.execv(python, [str(python), *sys.argv])
        sys.exit(f"{missing}: run tests/setup venv, or start this with a Python that has "
                 f"{', '.join(modules)}")


def need_programs(*programs):
    """A release build: what sanitizers and fault points cost is not what we want to know."""
    for program in programs:
        if not program.exists():
            sys.exit(f"{program} is not built:\n  cmake -S {ROOT} -B {BUILD} -G Ninja "
                     f"-DFLIGHTPATH_BENCH=ON && ninja -C {BUILD}")
    cache = BUILD / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    for bad in ("FLIGHTPATH_SANITIZE:STRING=address", "FLIGHTPATH_SANITIZE:STRING=thread",
                "FLIGHTPATH_FAULT_POINTS:BOOL=ON", "FLIGHTPATH_COVERAGE:BOOL=ON",
                "CMAKE_BUILD_TYPE:STRING=Debug"):
        if bad in text:
            sys.exit(f"{BUILD} is no release build ({bad})")


# ---- what things cost ----------------------------------------------------------------------------

@dataclass
class Cost:
    """Of one process, all threads."""
    cpu_s: float
    wall_s: float
    rss_mb: float
    out: str


def watch_memory(pid, peak):
    """The high-water mark of a process while it lives. Not ru_maxrss: that begins with what this
    script held when it started the program."""
    while True:
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        mark = re.search(r"VmHWM:\s+(\d+) kB", status)
        if mark is None:  # it has ended
            return
        peak[0] = int(mark[1]) / 1024
        time.sleep(0.02)


def run(words, log=None):
    """Runs a program to its end; the CPU it used comes from the kernel."""
    start, peak = time.monotonic(), [0.0]
    with open(log or os.devnull, "wb") as err:
        process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=err if log else None)
        watcher = threading.Thread(target=watch_memory, args=(process.pid, peak))
        watcher.start()
        out = process.stdout.read().decode()
        watcher.join()
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        text = pathlib.Path(log).read_text()[-3000:] if log else ""
        sys.exit(f"{words[0]} {words[1]} ended with {process.returncode}\n{text}")
    return Cost(used.ru_utime + used.ru_stime, time.monotonic() - start, peak[0], out)


def ticks(pid, first, last):
    """Fields of /proc/PID/stat: 14 and 15 its own CPU, 16 and 17 that of the children it reaped."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(f) for f in fields[first - 3:last - 2])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def tree_cpu_s(pid):
    """CPU seconds of a process, its children that live, and all that it has reaped. A child that
    ends while we read would be missed or counted twice: then we read again."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    while True:
        before = children.read_text(), ticks(pid, 16, 17)
        total = ticks(pid, 14, 17) + sum(ticks(child, 14, 17) for child in before[0].split())
        if before == (children.read_text(), ticks(pid, 16, 17)):
            return total / TICKS
        time.sleep(0.01)


class Meter:
    """Of the cluster between entering and leaving: CPU seconds, WAL bytes, rows, wall seconds."""

    def __init__(self, cluster, connection):
        self.pid = cluster.process.pid
        self.connection = connection

    def __enter__(self):
        self.connection.execute("CHECKPOINT")
        self.rows = self._rows()
        self.wal = self._wal()
        self.cpu = tree_cpu_s(self.pid)
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall_s = time.monotonic() - self.start
        self.cpu_s = tree_cpu_s(self.pid) - self.cpu
        self.wal_bytes = self._wal() - self.wal
        after = self._rows()
        self.rows = {table: tuple(a - b for a, b in zip(after[table], self.rows.get(table, (0, 0))))
                     for table in after}

    def _wal(self):
        return self.connection.execute(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()[0]

    def _rows(self):
        """{table: (inserted, updated)}, partitions under the name of their table."""
        return {name: (int(ins), int(upd)) for name, ins, upd in self.connection.execute(
            "SELECT regexp_replace(relname, '_y\\d{4}m\\d{2}$', ''), sum(n_tup_ins),"
            " sum(n_tup_upd) FROM pg_stat_user_tables WHERE schemaname = 'flightpath' GROUP BY 1")}


# ---- the reference workload ----------------------------------------------------------------------

class Lab:
    """A broker with the messages in one topic, and a cluster; both end with the script."""

    def __init__(self, messages, broker=True):
        need_python("psycopg", "confluent_kafka")
        sys.path.insert(0, str(TESTS / "integration"))
        from support.kafka import Broker
        from support.postgres import Cluster
        self.messages = messages
        self.numbers = iter(range(1, 1 << 30))
        self.cluster = Cluster()
        atexit.register(self.cluster.remove)
        self.folder = self.cluster.folder
        self.model = self.folder / "reference.json"
        subprocess.run([sys.executable, HERE / "make_reference_model.py", "--out", self.model],
                       check=True)
        (self.folder / "subject.key").write_text("0123456789abcdef0123456789abcdef\n")
        if broker:
            self.broker = Broker({"KAFKA_CACHE": os.environ["FLIGHTPATH_TEST_KAFKA"]}
                                 if "FLIGHTPATH_TEST_KAFKA" in os.environ else None)
            atexit.register(self.broker.remove)

    def generate(self):
        """The topic, and the truth about it."""
        self.topic = self.broker.create_topic("reference", 6, {"retention.ms": "-1"})
        truth = self.folder / "truth.json"
        run([PROGRAM, "generate", "--profile", "reference", "--model", self.model, "--seed", "1",
             "--messages", self.messages, "--days", "14", "--start", "2026-03-02", "--topics",
             self.topic, "--kafka.bootstrap.servers", self.broker.bootstrap,
             "--kafka.compression.type", "lz4", "--truth", truth], self.folder / "generate.log")
        return json.loads(truth.read_text())

    def kafka_floor(self, mode):
        return json.loads(run([KAFKA_FLOOR, mode, self.broker.bootstrap, self.topic,
                               self.messages]).out)

    def database(self):
        """A fresh one, migrated."""
        made = self.cluster.create()
        run([PROGRAM, "migrate", "--postgres", made.conninfo], self.folder / "migrate.log")
        return made

    def catch_up(self, database, *more):
        """The daemon over the whole topic, once."""
        number = next(self.numbers)
        dead = self.broker.create_topic(f"dead-letters.{number}")
        return run([PROGRAM, "run", "--until-caught-up", "--model", self.model, "--postgres",
                    database.conninfo, "--kafka.bootstrap.servers", self.broker.bootstrap,
                    "--topics", self.topic, "--group", f"reference.{number}",
                    "--dead-letters-topic", dead, "--subject-key-file",
                    self.folder / "subject.key", "--http-listen", "", *more],
                   self.folder / f"run-{number}.log")
