"""A real Alertmanager of its own in a temporary folder, on loopback; and a server that writes down
what it is sent."""

import datetime
import functools
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

import pytest

from . import reaper
from .paths import TESTS, clean_environment
from .ports import Port
from .wait import wait_for

CONFIG = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"


@functools.cache
def program():
    """The path of Alertmanager; the test is skipped when it cannot be had."""
    path = os.environ.get("FLIGHTPATH_TEST_ALERTMANAGER")
    if not path:
        done = subprocess.run([TESTS / "setup", "alertmanager"], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("Debian's prometheus-alertmanager cannot be fetched: "
                        + done.stderr.strip()[-200:])
        path = done.stdout.strip().splitlines()[-1]
    return path


class Alertmanager:
    """start, stop; alerts() as its API gives them."""

    def __init__(self, start=True):
        self.binary = program()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flightpath-alertmanager-"))
        reaper.folder(self.folder)
        (self.folder / "alertmanager.yml").write_text(CONFIG)
        self.held = Port()
        self.port = self.held.number
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        if start:
            self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, f"--config.file={self.folder}/alertmanager.yml",
                 f"--storage.path={self.folder}/data", "--cluster.listen-address=",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(),
                cwd=pathlib.Path(self.binary).parents[2], start_new_session=True)
        reaper.process(self.process.pid)
        wait_for(self._answers, f"Alertmanager answers on port {self.port}")

    def _answers(self):
        text = (self.folder / "log").read_text()
        assert self.process.poll() is None, f"Alertmanager ended:\n{text[-2000:]}"
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=2).status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.held.release()

    def alerts(self):
        """{fingerprint label: alert}; it lists those that are not over."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return {a["labels"]["fingerprint"]: a for a in json.load(answer)}


class Recorder:
    """Answers every POST with `status` and keeps (path, headers, alerts). answer: called with each
    request's handler before that, to be slow or to add headers."""

    def __init__(self, status=200, headers=None, certificate=None, answer=None):
        self.requests = []
        self.status = status
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, dict(self.headers), json.loads(body)))
                if answer:
                    answer()
                self.send_response(outer.status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def latest(self, fingerprint):
        """What was sent last of an alert."""
        for _, _, alerts in reversed(self.requests):
            for alert in alerts:
                if alert["labels"]["fingerprint"] == fingerprint:
                    return alert
        return None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
