"""A PostgreSQL cluster of its own in a temporary folder, on loopback."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid

import psycopg

from . import reaper
from .ports import Port
from .wait import wait_for

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    "log_min_messages": "warning",
    "autovacuum_naptime": "10s",
}


def binaries():
    """The folder of initdb and postgres."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    path = shutil.which("postgres")
    assert path, "PostgreSQL's server programs are not installed (tests/setup packages demo)"
    return pathlib.Path(path).parent


class Cluster:
    """start, stop, kill; `create()` makes a fresh database."""

    def __init__(self):
        # it refuses to run as root: then it runs as the user the package made
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flightpath-pg-"))
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.held = Port()
        self.port = self.held.number
        self.process = None
        reaper.folder(self.folder)
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, self.user)
        self.folder.chmod(0o755)
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        self.start()

    def _as_user(self):
        if os.geteuid() != 0:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}

    def _run(self, program, *arguments):
        done = subprocess.run([binaries() / program, *arguments], capture_output=True, text=True,
                              cwd=self.folder, **self._as_user())
        assert done.returncode == 0, f"{program} failed:\n{done.stdout}{done.stderr}"

    def start(self):
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [binaries() / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder,
                 *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, **self._as_user())
        reaper.process(self.process.pid, signal.SIGQUIT)  # SIGKILL would leave its children
        wait_for(self._answers, f"PostgreSQL answers on port {self.port}, see {self.log}")

    def _answers(self):
        assert self.process.poll() is None, f"PostgreSQL ended:\n{self.log.read_text()[-2000:]}"
        try:
            psycopg.connect(self.conninfo("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self, how=signal.SIGINT):
        """SIGTERM waits for the clients, SIGINT breaks them off, SIGQUIT crashes."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(30)
        self.process = None

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def conninfo(self, database):
        return f"host=127.0.0.1 port={self.port} dbname={database} user=postgres"

    def create(self):
        name = f"t_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return Database(self, name)

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.held.release()


class Database:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.conninfo = cluster.conninfo(name)

    def connect(self, **options):
        return psycopg.connect(self.conninfo, **({"autocommit": True} | options))

    def drop(self):
        with psycopg.connect(self.cluster.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
