"""flightpath demo and deploy/local/demo: everything but Kafka for real, and nothing left behind."""

import glob
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from support import reaper
from support.paths import BIN, ROOT, clean_environment
from support.wait import wait_for

CLASSES = ("applied", "duplicate", "revised", "voided", "rejected", "ignored")


@pytest.fixture
def demo(flightpath, model, database):
    def run(**options):
        defaults = {"model": model, "postgres": database.conninfo, "http_listen": "127.0.0.1:0"}
        return flightpath("demo", **(defaults | options))
    return run


def test_what_was_sent_is_found(demo, database, tmp_path):
    done = demo(messages=12_000, partitions=3, seed=5, truth=tmp_path / "truth", json=True)
    assert done.code == 0, done.err
    told, truth = done.json, json.loads((tmp_path / "truth").read_text())
    assert told["agrees"] is True and told["messages"] == told["consumed"] == 12_000
    with database.connect() as pg:
        ledger = pg.execute(f"SELECT {', '.join(f'sum({c})::int' for c in CLASSES)}"
                            " FROM experience.ledger").fetchone()
        reasons = pg.execute("SELECT reason, count(*) FROM flightpath.reject GROUP BY 1").fetchall()
        receipts = pg.execute("SELECT count(*) FROM flightpath.erasure_receipt").fetchone()[0]
    assert dict(zip(CLASSES, ledger)) == {c: truth["counts"][c] for c in CLASSES}
    assert {c: told[c] for c in CLASSES} == {c: {"sent": truth["counts"][c], "found": n}
                                             for c, n in zip(CLASSES, ledger)}
    assert min(ledger) > 0
    assert dict(reasons) == truth["rejected_by_reason"]
    assert receipts == len(truth["erasures"]) > 0


def test_more_than_the_embedded_broker_holds(demo, database):
    """It keeps 5 MiB of a partition: the stream waits, nothing is lost. Values alone are larger."""
    done = demo(messages=60_000, partitions=1, profile="reference", bad_share=0, flush_ms=50,
                json=True, truth="/dev/stderr")
    assert done.code == 0, done.err
    truth = json.loads(done.err[done.err.index('{"parameters"'):])
    assert truth["value_bytes"] > 2 * 2 * 5 * 2 ** 20
    assert done.json["agrees"] is True and done.json["consumed"] == 60_000


def test_a_stream_of_the_past_that_stands_still_is_not_silence(demo, database):
    """Half-way it waits for the driver models: nothing comes, and the days since are long over."""
    done = demo(messages=120_000, days=80, watch_ms=100, json=True)
    assert done.code == 0, done.err
    with database.connect() as pg:
        alerts = dict(pg.execute(
            "SELECT kind, count(*) FROM flightpath.alert GROUP BY 1").fetchall())
        judged, yesterday = pg.execute(
            "SELECT DATE '1970-01-01' + judged, (now() AT TIME ZONE time_zone)::date - 1"
            " FROM flightpath.watch_lease, flightpath.programme").fetchone()
    assert alerts.get(0) and not alerts.get(1), alerts
    assert judged == yesterday, "at its end the clock closes days"


def test_the_tables_are_those_of_the_database(demo, database):
    done = demo(messages=6_000, partitions=2)
    assert done.code == 0, done.err
    for title in ("Every message is accounted for: 6000 sent, 6000 in the ledger",
                  "experience.freshness", "experience.kpi_series", "experience.kpi_now",
                  "A dip was planted at", "experience.coverage", "Rejected, by reason",
                  "Erased subjects", f'psql "{database.conninfo}"'):
        assert title in done.out
    with database.connect() as pg:
        stored = dict(pg.execute("SELECT kpi, sum(n)::int FROM flightpath.tally_day"
                                 " JOIN flightpath.kpi USING (series) WHERE role = 'output'"
                                 " GROUP BY kpi").fetchall())
    outcomes = done.out[done.out.index("Outcomes over"):done.out.index("Input KPIs")]
    stated = dict(re.findall(r"^  (\w+)  .*?  +(\d+)  ", outcomes, re.M))
    assert {kpi: int(n) for kpi, n in stated.items()} == stored and len(stored) == 12
    rows = re.findall(r"^  (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d\d \w+ .*$", done.out, re.M)
    assert len(rows) == 14 and 1 <= sum(row.endswith("<- planted") for row in rows) <= 3
    assert not any(line != line.rstrip() for line in done.out.splitlines())
    assert "{" not in done.err, "no log lines among the tables"


def test_refusals(demo, flightpath, database, model):
    assert demo(messages=500, json=True).code == 0
    again = demo(messages=500)
    assert again.code == 1 and "holds results already" in again.err
    for missing, text in (("model", "--model FILE"), ("postgres", "--postgres CONNINFO")):
        done = demo(**{missing: None})
        assert done.code == 2 and text in done.err
    own = demo(**{"kafka.bootstrap.servers": "127.0.0.1:9092"})
    assert own.code == 2 and "brings its own broker" in own.err
    wide = demo(partitions=200, postgres=database.conninfo)
    assert wide.code == 1
    away = demo(postgres="host=127.0.0.1 port=1 dbname=x")
    assert away.code == 1 and "postgres" in away.err


def test_a_signal_ends_it(model, database):
    words = [BIN, "demo", f"--model={model}", f"--postgres={database.conninfo}",
             "--messages=5000000"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=clean_environment())
    with database.connect() as pg:
        def some():
            return pg.execute("SELECT to_regclass('flightpath.ledger') IS NOT NULL").fetchone()[0] \
                and pg.execute("SELECT count(*) FROM flightpath.ledger").fetchone()[0]
        wait_for(some, "something is committed", 60)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "ended by a signal" in err and out == ""


# ---- the script ----------------------------------------------------------------------------------

@pytest.fixture
def folder():
    """For what the script makes: open to the user that PostgreSQL runs as."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="flightpath-test-"))
    path.chmod(0o755)
    servers = path / "*" / "data" / "postmaster.pid"
    reaper.pid_file(servers, signal.SIGQUIT)
    reaper.folder(path)
    yield path
    for left in glob.glob(str(servers)):  # the test failed or was interrupted
        os.kill(int(pathlib.Path(left).read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(path, ignore_errors=True)


def environment(folder):
    return clean_environment({"FLIGHTPATH_BIN": str(BIN), "TMPDIR": str(folder)})


SCRIPT = [ROOT / "deploy" / "local" / "demo", "--messages", "3000", "--http-listen="]


def test_the_script_leaves_nothing_behind(folder):
    done = subprocess.run(SCRIPT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=environment(folder), timeout=120)
    assert done.returncode == 0, done.stderr
    assert "3000 sent, 3000 in the ledger" in done.stdout and "--keep" in done.stdout
    assert list(folder.iterdir()) == []


def test_the_script_keeps_postgresql_when_asked_to(folder):
    done = subprocess.run([*SCRIPT, "--keep"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env=environment(folder), timeout=120)
    try:
        assert done.returncode == 0, done.stderr
        conninfo = re.search(r'psql "(.*)"', done.stdout)[1]
        ask = ["psql", "-XAt", conninfo, "-c", "SELECT sum(consumed) FROM experience.ledger"]
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "3000\n"
        viewer = re.search(r"For a dashboard: (.*)", done.stdout)[1]
        ask[2] = viewer
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == "3000\n"
        ask[4] = "SELECT count(*) FROM flightpath.response"
        assert "permission denied" in subprocess.run(ask, capture_output=True, text=True).stderr
        ask[2] = re.sub("password=.*", "password=wrong", viewer)
        assert "authentication failed" in subprocess.run(ask, capture_output=True, text=True).stderr
    finally:
        ending = re.search(r"To end it:\n\n  (.*)\n", done.stdout)
        assert ending, done.stdout + done.stderr
        subprocess.run(["bash", "-c", ending[1]], check=True, capture_output=True)
    assert list(folder.iterdir()) == []


class Terminal:
    """The script on a terminal of its own."""

    def __init__(self, words, env):
        self.seen = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # a job in the background ignores them
            os.execve(words[0], [str(w) for w in words], env)

    def read(self):
        try:
            self.seen += os.read(self.terminal, 65536).decode(errors="replace")
            return True
        except OSError:  # its end was closed
            return False

    def until(self, text, timeout=90):
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            assert time.monotonic() < deadline and self.read(), f"no {text!r} in:\n{self.seen}"

    def end(self):
        while self.read():
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_on_a_terminal_it_waits_for_enter(folder):
    terminal = Terminal(SCRIPT, environment(folder))
    terminal.until("Press Enter")
    conninfo = re.search(r'psql "(.*)"', terminal.seen)[1]
    alive = ["psql", "-XAt", conninfo, "-c", "SELECT 1"]
    assert subprocess.run(alive, capture_output=True, text=True, check=True).stdout == "1\n"
    assert re.search(r"\d+ of 3000 sent \| \d+ in PostgreSQL", terminal.seen), "there is progress"
    os.write(terminal.terminal, b"\n")
    assert terminal.end() == 0
    assert list(folder.iterdir()) == []
    assert subprocess.run(alive, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("when", ["messages over", "Press Enter"])
def test_ctrl_c_cleans_up(folder, when):
    terminal = Terminal(SCRIPT, environment(folder))
    terminal.until(when)
    os.write(terminal.terminal, b"\x03")
    assert terminal.end() == 130
    assert list(folder.iterdir()) == []
