"""Fixtures of the integration tests.

With pytest-xdist (`-n 2`) each worker has a broker and a cluster of its own. The tests of a file
with a fixture made once for the module stay on one worker and come first; then those marked `long`,
so that none of them begins when the others are done; all others go to the worker that is free.

    kafka, postgres   one broker, one cluster for all tests (kept for the session)
    topics            fresh topics; @pytest.mark.partitions(4) sets how many partitions (default 2)
    database          a fresh, empty database
    pg                a connection to `database`, migrated
    flightpath        runs a command to its end: flightpath("check", model=path)
    daemon            starts `flightpath run` on topics and database: daemon(flush_ms=50).ready()
    pipeline          a generated stream, what has been read of it, and the judge over both
    wait_for          waits for a condition: wait_for(lambda: …, "what should become true")
"""

import functools
import itertools
import re
import shutil

import pytest
from xdist.scheduler import LoadScopeScheduling

from support import program, reaper
from support.kafka import Broker, Topics
from support.paths import BIN, FAULTS_BIN, ROOT
from support.pipeline import pipeline  # noqa: F401 (a fixture)
from support.postgres import Cluster
from support.wait import wait_for as wait_for_condition


def pytest_addoption(parser):
    parser.addoption("--only", metavar="REGEX", help="only tests whose id matches")
    parser.addoption("--full", action="store_true", help="also tests marked `full`")


def pytest_configure(config):
    config.addinivalue_line("markers", "partitions(n): partitions of each topic of the test")
    config.addinivalue_line("markers", "full: takes minutes; run with --full")
    config.addinivalue_line("markers", "long: takes twenty seconds or more; begins early with -n")
    reaper.start()  # here, where nobody captures the output


def pytest_collection_modifyitems(config, items):
    pattern = config.getoption("--only")
    if pattern:
        keep = [i for i in items if re.search(pattern, i.nodeid)]
        config.hook.pytest_deselected(items=[i for i in items if i not in keep])
        items[:] = keep
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: run with --full"))
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist
        items.sort(key=lambda item: (not stays_together(item.path),
                                     item.get_closest_marker("long") is None))


class Scheduling(LoadScopeScheduling):
    """What stays together. (pytest-xdist's own way to say so, --dist=loadgroup, changes the ids of
    tests, and this pytest does not let it.)"""

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return file if stays_together(self.config.rootpath / file) else nodeid


@functools.cache
def stays_together(file):
    return 'scope="module"' in file.read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its daemons' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for number, one in enumerate(getattr(item, "daemons", [])):
            if one.log.exists():
                report.sections.append((f"log of daemon {number}", one.text()[-6000:]))


@pytest.fixture(scope="session")
def kafka():
    broker = Broker()
    yield broker
    broker.remove()


@pytest.fixture(scope="session")
def postgres():
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def topics(kafka, request):
    marker = request.node.get_closest_marker("partitions")
    made = Topics(kafka, marker.args[0] if marker else 2)
    yield made
    made.delete()


@pytest.fixture
def database(postgres):
    made = postgres.create()
    yield made
    made.drop()


@pytest.fixture
def flightpath():
    return program.run


@pytest.fixture
def pg(database, flightpath):
    flightpath("migrate", postgres=database.conninfo, check=True)
    with database.connect() as connection:
        yield connection


@pytest.fixture(scope="session")
def model():
    """A model that names what the generator makes."""
    return ROOT / "schemas" / "model" / "skyline.json"


@pytest.fixture
def subject_key(tmp_path):
    path = tmp_path / "subject.key"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def faults_bin():
    """The program built with sanitizers and fault points."""
    assert FAULTS_BIN.exists(), f"{FAULTS_BIN} is not built (tests/run builds it)"
    return FAULTS_BIN


@pytest.fixture
def daemon(kafka, topics, database, pg, model, subject_key, tmp_path, request):
    """Factory: daemon(option=value, …, env={…}, binary=…, start=True) → Daemon."""
    started = request.node.daemons = []
    numbers = itertools.count()

    def make(env=None, binary=None, start=True, **options):
        defaults = {
            "model": model,
            "postgres": database.conninfo,
            "kafka.bootstrap.servers": kafka.bootstrap,
            "topics": topics.both,
            "group": f"group.{database.name}",
            "dead_letters_topic": topics.dead_letters,
            "alerts_topic": topics.alerts,
            "subject_key_file": subject_key,
            "http_listen": "127.0.0.1:0",
            "flush_ms": 100,
        }
        log = tmp_path / f"daemon-{next(numbers)}.log"
        one = program.Daemon(log, defaults | options, env, binary)
        started.append(one)
        return one.start() if start else one

    yield make
    problems = []
    for one in started:
        try:
            one.close()
        except AssertionError as error:
            problems.append(str(error))
    assert not problems, "\n".join(problems)


@pytest.fixture
def wait_for():
    return wait_for_condition


@pytest.fixture(scope="session", autouse=True)
def program_is_there():
    assert BIN.exists() or shutil.which(str(BIN)), f"{BIN} is not built (tests/run builds it)"
