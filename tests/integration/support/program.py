"""The program under test: run to its end, or as a daemon. Ends only processes it started."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass

from . import reaper
from .paths import BIN, clean_environment
from .wait import wait_for

SANITIZER = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:")


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def flags(options):
    """{"flush_ms": 50, "kafka.acks": "all", "json": True} as a list of flags."""
    words = []
    for name, value in options.items():
        flag = "--" + (name if name.startswith("kafka.") else name.replace("_", "-"))
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words.append(f"{flag}={value}")
    return words


def run(*arguments, env=None, timeout=120, check=False, binary=None, cwd=None, **options):
    """Runs the program to its end; flags as words or as keywords."""
    words = [str(binary or BIN), *map(str, arguments), *flags(options)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", env=clean_environment(env), timeout=timeout, cwd=cwd)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert not SANITIZER.search(result.err), result.err
    assert not check or result.code == 0, f"{words}: exit code {result.code}\n{result.err}"
    return result


class Daemon:
    """One `flightpath run`. start() waits for nothing; ready() waits for /readyz."""

    def __init__(self, log, options, env=None, binary=None):
        self.log = log
        self.options = options
        self.env = env
        self.binary = str(binary or BIN)
        self.process = None

    def start(self):
        assert self.process is None or self.process.poll() is not None, "runs already"
        words = [self.binary, "run", *flags(self.options)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=clean_environment(self.env), start_new_session=True)
        reaper.process(self.process.pid)
        return self

    # ---- what it says

    def text(self):
        return self.log.read_text(errors="replace")

    def events(self, name=None):
        """Log lines as dicts, those of one event or all; the last may not be whole yet."""
        lines = self.text().split("\n")[:-1]
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [e for e in found if name is None or e.get("event") == name]

    @property
    def port(self):
        listening = wait_for(lambda: self._ended() or self.events("http_listening"),
                             "the daemon listens", 30)
        return int(listening[0]["msg"].rsplit(":", 1)[1])

    def _ended(self):
        code = self.process.poll()
        assert code is None, f"the daemon ended with exit code {code}:\n{self.text()[-4000:]}"
        return None

    def get(self, path, timeout=5):
        """(status, body) of GET path; status 0: no answer."""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, ""

    def metrics(self):
        """{'flightpath_messages_total': 3.0, 'name{label="x"}': …}"""
        lines = self.get("/metrics")[1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def ready(self, timeout=60):
        wait_for(lambda: self._ended() or self.get("/readyz")[0] == 200, "the daemon is ready",
                 timeout)
        return self

    # ---- how it ends

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=60):
        """The exit code, negative when a signal ended it."""
        code = self.process.wait(timeout)
        assert not SANITIZER.search(self.text()), self.text()[-6000:]
        return code

    def stop(self, timeout=60):
        """SIGTERM and wait; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """kill -9: a supported shutdown."""
        self.signal(signal.SIGKILL)
        return self.process.wait(30)

    def close(self):
        """At the end of a test, whatever state it is in."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        assert not SANITIZER.search(self.text()), self.text()[-6000:]
