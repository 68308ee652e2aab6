"""What leaves: the outbox to the alerts topic, open alerts to Alertmanager.

Rows are planted in flightpath.alert and flightpath.alert_outbox as the watch would write them. A
real Kafka; a real Alertmanager where its API matters, a server that writes down requests where
the sender does.
"""

import datetime
import itertools
import json
import re
import signal
import subprocess
import time
from collections import defaultdict

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from support.alertmanager import Alertmanager, Recorder, instant
from support.kafka import Broker, Topics
from support.paths import ROOT

EVENTS = ROOT / "schemas" / "events"
TOKEN = "tok3n-of-the-test"
SINCE = datetime.datetime(2026, 3, 9, tzinfo=datetime.timezone.utc)
numbers = itertools.count(1)


# ---- planted rows ----------------------------------------------------------------------------


def body(fingerprint, revision, **data):
    example = json.loads((EVENTS / "examples/alert/valid/opened.json").read_text())
    example |= {"id": f"{fingerprint}-{revision}", "subject": fingerprint}
    example["data"] |= {"fingerprint": fingerprint, "incident": fingerprint,
                        "revision": revision} | data
    return example


def queue(pg, fingerprint, revision, kpi="booking_easy", **data):
    message = body(fingerprint, revision, kpi=kpi, **data)
    pg.execute("INSERT INTO flightpath.alert_outbox (id, fingerprint, key, body)"
               " VALUES (%s, %s, %s, %s)", (message["id"], fingerprint, kpi, json.dumps(message)))
    return message["id"]


def queue_many(pg, count, kpis=7):
    """`count` messages of several KPIs in one transaction; [(id, key)] in order."""
    first = next(numbers)
    rows = [(f"{first:08x}{i:08x}-0", f"kpi_{i % kpis}") for i in range(count)]
    with pg.transaction(), pg.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO flightpath.alert_outbox (id, fingerprint, key, body)"
            " VALUES (%s, %s, %s, %s)",
            [(i, i[:16], key, json.dumps(body(i[:16], 0, kpi=key))) for i, key in rows])
    return rows


def open_alert(pg, kind=0, worse=True, root=None, **data):
    """An alert and the message that it opened; its fingerprint. The watch, which would take back
    what no answers show, finds its lease held."""
    fingerprint = f"{next(numbers):016x}"
    pg.execute("UPDATE flightpath.watch_lease SET owner = gen_random_uuid(),"
               " renewed_at = 'infinity'")
    pg.execute(
        "INSERT INTO flightpath.alert (fingerprint, root, kind, level, series, unit, incident,"
        " noticed, start, state, provisional, worse, sign, revision)"
        " VALUES (%s, %s, %s, 0, 1, -1, 20521, 20521, 20519, 'firing', false, %s, -1, 0)",
        (fingerprint, root or fingerprint, kind, worse))
    queue(pg, fingerprint, 0, worse=worse, **data)
    return fingerprint


def close_alert(pg, fingerprint, state="resolved"):
    queue(pg, fingerprint, 1, event=state, state=state, closed_at="2026-03-11T00:00:00Z",
          how="recovered")
    pg.execute("UPDATE flightpath.alert SET closed = 20523, state = %s, how = 'recovered',"
               " revision = 1, resolved_at = clock_timestamp(), updated_at = clock_timestamp()"
               " WHERE fingerprint = %s", (state, fingerprint))


def unsent(pg):
    return pg.execute("SELECT count(*) FROM flightpath.alert_outbox"
                      " WHERE sent_at IS NULL").fetchone()[0]


def read(kafka, topics):
    """{key: [id]} as they lie in the topic."""
    found = defaultdict(list)
    for message in kafka.read(topics.alerts):
        found[message.key().decode()].append(json.loads(message.value())["id"])
    return found


def assert_in_order(found, rows):
    """None is missing, and each key's ids are in order once repetitions are dropped."""
    wanted = defaultdict(list)
    for i, key in rows:
        wanted[key].append(i)
    assert {key: list(dict.fromkeys(ids)) for key, ids in found.items()} == wanted


@pytest.fixture
def recorder():
    made = []

    def make(**options):
        made.append(Recorder(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def alertmanager():
    made = Alertmanager(start=False)
    yield made
    made.remove()


def push_to(*servers, resend_ms=1000, **options):
    return {"alertmanager_url": ",".join(s.url for s in servers),
            "alertmanager_resend_ms": resend_ms} | options


# ---- the topic -------------------------------------------------------------------------------


def test_each_row_is_one_message(daemon, kafka, topics, pg, wait_for):
    one = daemon().ready()
    rows = queue_many(pg, 1203)
    wait_for(lambda: unsent(pg) == 0, "the outbox is empty")
    stored = {i: (key, text) for i, key, text in pg.execute(
        "SELECT id, key, body::text FROM flightpath.alert_outbox").fetchall()}
    messages = kafka.read(topics.alerts)
    assert len(messages) == len(rows)
    for message in messages:
        key, text = stored[json.loads(message.value())["id"]]
        assert (message.key().decode(), message.value().decode()) == (key, text)
        assert message.headers() == [("content-type", b"application/cloudevents+json")]
    assert_in_order(read(kafka, topics), rows)
    wait_for(lambda: one.metrics()["flightpath_alerts_sent_total"] == 1203, "all are counted")
    assert one.metrics()["flightpath_alerts_unsent"] == 0
    assert one.events("alerts_waiting") == []


def test_topic_that_is_missing(daemon, kafka, topics, pg, wait_for):
    name = kafka.fresh_name("alerts-later")
    rows = queue_many(pg, 30)
    once = daemon(alerts_topic=name, until_caught_up=True)
    assert once.wait(60) == 0, "what cannot be sent does not keep it"
    assert unsent(pg) == 30
    one = daemon(alerts_topic=name).ready()
    said = wait_for(lambda: one.events("alerts_waiting"), "it says so")
    assert f"create the topic and let the daemon's user write to it ({name})" in said[0]["msg"]
    wait_for(lambda: one.metrics()["flightpath_alerts_unsent"] == 30, "they are shown")
    time.sleep(3)
    assert len(one.events("alerts_waiting")) == 1, "said once"
    kafka.create_topic(name)
    wait_for(lambda: unsent(pg) == 0, "the outbox is empty", 60)
    assert one.events("alerts_flow")
    assert one.stop() == 0
    messages = kafka.read(name)
    assert [json.loads(m.value())["id"] for m in messages] == [i for i, _ in rows]
    kafka.delete_topic(name)


def test_killed_before_the_commit(daemon, kafka, topics, pg, wait_for, faults_bin):
    rows = queue_many(pg, 40)
    one = daemon(binary=faults_bin, env={"FLIGHTPATH_FAULT": "alerts_acknowledged:1:kill"})
    assert one.wait(60) == -signal.SIGKILL
    assert unsent(pg) == 40, "nothing is marked early"
    assert_in_order(read(kafka, topics), rows)
    rows += queue_many(pg, 20)
    daemon(binary=faults_bin)
    wait_for(lambda: unsent(pg) == 0, "the outbox is empty")
    found = read(kafka, topics)
    assert_in_order(found, rows)
    assert sum(len(ids) for ids in found.values()) == 100, "the first forty came again"


def test_kafka_goes_and_comes_back(daemon, pg, wait_for):
    broker = Broker()
    try:
        topics = Topics(broker, 1)
        one = daemon(**{"kafka.bootstrap.servers": broker.bootstrap, "topics": topics.both,
                        "kafka.reconnect.backoff.max.ms": 500},
                     alerts_topic=topics.alerts, dead_letters_topic=topics.dead_letters).ready()
        rows = queue_many(pg, 20)
        wait_for(lambda: unsent(pg) == 0, "the first ones are sent")
        broker.stop()
        rows += queue_many(pg, 30)
        wait_for(lambda: one.events("alerts_waiting"), "it says so", 60)
        assert unsent(pg) == 30
        broker.start()
        wait_for(lambda: unsent(pg) == 0, "the outbox is empty", 90)
        assert_in_order(read(broker, topics), rows)
        wait_for(lambda: one.events("alerts_flow"), "it says so")
    finally:
        broker.remove()


def test_two_replicas_send_once(daemon, kafka, topics, pg, wait_for):
    daemon().ready()
    daemon().ready()
    rows = []
    for _ in range(20):
        rows += queue_many(pg, 100)
    wait_for(lambda: unsent(pg) == 0, "the outbox is empty")
    found = read(kafka, topics)
    assert sum(len(ids) for ids in found.values()) == 2000, "no repetition"
    assert_in_order(found, rows)


def test_sender_that_dies_is_followed(daemon, kafka, topics, pg, wait_for):
    """Two at a time, one of them killed wherever it happens to be."""
    rows = []
    for turn in range(4):
        ones = [daemon(), daemon()]
        for one in ones:
            wait_for(lambda o=one: o.events("partition_claimed") or o.get("/livez")[0] == 200,
                     "it runs")
        rows += queue_many(pg, 700)
        wait_for(lambda: unsent(pg) < 700, "some are sent", interval=0.002)
        ones[turn % 2].kill()
        rows += queue_many(pg, 50)
        wait_for(lambda: unsent(pg) == 0, "the other one sends")
        ones[1 - turn % 2].kill()
    assert_in_order(read(kafka, topics), rows)


def test_until_caught_up_sends_what_is_there(daemon, kafka, topics, pg):
    rows = queue_many(pg, 700)
    assert daemon(until_caught_up=True).wait(60) == 0
    assert unsent(pg) == 0
    assert_in_order(read(kafka, topics), rows)


def test_old_messages_go(daemon, pg, wait_for):
    still_open = open_alert(pg)
    over = open_alert(pg)
    close_alert(pg, over)
    pg.execute("UPDATE flightpath.alert_outbox SET sent_at = now() - interval '31 days'")
    recent = queue(pg, over, 2)
    pg.execute("UPDATE flightpath.alert_outbox SET sent_at = now() - interval '29 days'"
               " WHERE id = %s", (recent,))
    daemon()
    wait_for(lambda: pg.execute("SELECT array_agg(id ORDER BY id) FROM flightpath.alert_outbox")
             .fetchone()[0] == sorted([f"{still_open}-0", recent]),
             "all but an open alert's last message and what is recent")


# ---- Alertmanager ----------------------------------------------------------------------------


def test_alert_in_alertmanager(daemon, pg, wait_for, alertmanager):
    alertmanager.start()
    one = daemon(dashboard_url="https://grafana/d/experience?orgId=1",
                 **push_to(alertmanager)).ready()
    first = open_alert(pg)
    joined = open_alert(pg, root=first)
    alert = wait_for(lambda: alertmanager.alerts().get(first), "the alert is there", 5)
    assert alert["labels"] == {
        "alertname": "FlightpathKpiChange", "programme": "skyline", "fingerprint": first,
        "kpi": "booking_easy", "scope": "journey:booking", "journey": "booking",
        "owner": "digital", "severity": "critical", "worse": "true"}
    assert alert["annotations"] == {
        "summary": "Ease of booking fell by 0.31 (0.18 to 0.44) from 7 March on, mostly on the"
                   " web.",
        "size": "-0.31", "ci": "-0.44 to -0.18", "n": "812",
        "needed": "two more days to tell a dip from a lasting change"}
    assert alert["generatorURL"] == "https://grafana/d/experience?orgId=1"
    assert instant(alert["startsAt"]) == SINCE
    assert alert["status"]["state"] == "active"

    until = time.monotonic() + 9  # more than twice the time it lasts without being sent again
    while time.monotonic() < until:
        alert = alertmanager.alerts()[first]
        assert instant(alert["startsAt"]) == SINCE
        left = instant(alert["endsAt"]) - datetime.datetime.now(datetime.timezone.utc)
        assert 1 < left.total_seconds() < 4.2
        time.sleep(0.3)
    assert joined not in alertmanager.alerts(), "it is told as part of the first"

    close_alert(pg, first)
    wait_for(lambda: first not in alertmanager.alerts(), "it is over", 3)
    assert one.metrics()["flightpath_alertmanager_failures_total"] == 0
    assert one.stop() == 0


def test_alertmanager_goes_and_comes_back(daemon, pg, wait_for, alertmanager):
    one = daemon(**push_to(alertmanager, resend_ms=60000)).ready()
    first = open_alert(pg)
    said = wait_for(lambda: one.events("alertmanager_failing"), "it says so")
    assert f"{alertmanager.url}/api/v2/alerts: Couldn't connect to server" in said[0]["msg"]
    wait_for(lambda: one.metrics()["flightpath_alertmanager_failures_total"] >= 2, "tried again")
    assert len(one.events("alertmanager_failing")) == 1, "said once"
    alertmanager.start()
    wait_for(lambda: first in alertmanager.alerts(), "it is told soon, not at the next resend", 15)
    assert unsent(pg) == 0, "the topic did not wait for it"
    alertmanager.stop()
    second = open_alert(pg)
    wait_for(lambda: len(one.events("alertmanager_failing")) == 2, "said again")
    alertmanager.start()  # its memory is gone
    wait_for(lambda: {first, second} <= set(alertmanager.alerts()), "both are told", 15)
    assert len(one.events("alertmanager_takes_alerts")) == 2


def test_kinds_and_ends(daemon, pg, wait_for, recorder):
    server = recorder()
    kinds = {open_alert(pg, kind=k, worse=k != 0, unit=u, verdict=v): (name, u, v)
             for k, u, v, name in ((0, "Köln \"Süd\"", "dip", "FlightpathKpiChange"),
                                   (1, None, None, "FlightpathNoData"),
                                   (2, None, "", "FlightpathSuspectData"))}
    gone = open_alert(pg)
    before = open_alert(pg)  # over for longer than it is told
    close_alert(pg, gone, "withdrawn")
    close_alert(pg, before)
    pg.execute("UPDATE flightpath.alert SET resolved_at = now() - interval '16 minutes'"
               " WHERE fingerprint = %s", (before,))
    daemon(**push_to(server)).ready()
    wait_for(lambda: len(server.requests) > 3, "they are sent again and again", 15)
    for fingerprint, (name, unit, verdict) in kinds.items():
        alert = server.latest(fingerprint)
        assert alert["labels"]["alertname"] == name
        assert alert["labels"].get("unit") == unit
        assert alert["annotations"].get("verdict") == (verdict or None)
        assert "generatorURL" not in alert
        assert instant(alert["endsAt"]) > datetime.datetime.now(datetime.timezone.utc)
    resolved = pg.execute("SELECT resolved_at FROM flightpath.alert WHERE fingerprint = %s",
                          (gone,)).fetchone()[0]
    assert abs((instant(server.latest(gone)["endsAt"]) - resolved).total_seconds()) < 0.01
    assert server.latest(before) is None
    path, headers, _ = server.requests[0]
    assert path == "/api/v2/alerts" and headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


def test_nothing_is_sent_without_alerts(daemon, pg, wait_for, recorder):
    server = recorder()
    daemon(**push_to(server)).ready()
    time.sleep(3)
    assert server.requests == []
    fingerprint = open_alert(pg)
    wait_for(lambda: server.latest(fingerprint), "and then at once", 3)


def test_all_of_a_cluster(daemon, pg, wait_for, recorder):
    fine, other = recorder(), recorder()
    slow = recorder(answer=lambda: time.sleep(30))
    one = daemon(**push_to(fine, slow, other)).ready()
    fingerprint = open_alert(pg)
    for server in (fine, slow, other):
        wait_for(lambda s=server: s.latest(fingerprint), "each is told", 5)
    time.sleep(1)  # it is being waited for
    assert pg.execute("SELECT array_agg(state) FROM pg_stat_activity WHERE application_name ="
                      " 'flightpath/alertmanager'").fetchone()[0] == ["idle"], "no transaction"
    said = wait_for(lambda: one.events("alertmanager_failing"), "the slow one is named", 10)
    assert said[0]["msg"].startswith(slow.url) and "Timeout was reached" in said[0]["msg"]
    before = len(fine.requests)
    wait_for(lambda: len(fine.requests) > before + 2, "the others go on")
    other.status = 500
    wait_for(lambda: any("HTTP status 500" in e["msg"] and other.url in e["msg"]
                         for e in one.events("alertmanager_failing")), "a refusal is named")


def test_token_is_sent_and_never_shown(daemon, pg, wait_for, recorder, tmp_path):
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    elsewhere = recorder()
    server = recorder()
    moved = recorder(status=307, headers={"Location": f"{elsewhere.url}/api/v2/alerts"})
    one = daemon(alertmanager_token_file=secret, log_level="debug",
                 **push_to(server, moved)).ready()
    fingerprint = open_alert(pg)
    wait_for(lambda: server.latest(fingerprint), "it is sent")
    assert server.requests[-1][1]["Authorization"] == f"Bearer {TOKEN}"
    said = wait_for(lambda: one.events("alertmanager_failing"), "a redirect is a failure")
    assert "HTTP status 307; redirects are not followed" in said[0]["msg"]
    time.sleep(2)
    assert elsewhere.requests == [], "the token goes nowhere else"
    assert one.stop() == 0
    assert TOKEN not in one.text() and "Ease of booking" not in one.text()


def test_certificate_that_nobody_vouches_for(daemon, pg, wait_for, recorder, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                   check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    server = recorder(certificate=both)
    one = daemon(**push_to(server)).ready()
    open_alert(pg)
    said = wait_for(lambda: one.events("alertmanager_failing"), "it is refused")
    assert re.search("certificate", said[0]["msg"])
    assert server.requests == []


def test_one_replica_pushes_and_another_takes_over(daemon, pg, wait_for, recorder):
    server = recorder()
    ones = [daemon(**push_to(server)).ready() for _ in range(2)]
    fingerprint = open_alert(pg)
    wait_for(lambda: server.latest(fingerprint), "it is sent")
    time.sleep(4)
    takes = [bool(one.events("alertmanager_takes_alerts")) for one in ones]
    assert sorted(takes) == [False, True], "one of them"
    holder = ones[takes.index(True)]
    other = ones[takes.index(False)]
    before = len(server.requests)
    holder.kill()
    started = time.monotonic()
    wait_for(lambda: other.events("alertmanager_takes_alerts"), "the other takes over", 20)
    assert len(server.requests) > before and time.monotonic() - started < 15
    third = daemon(**push_to(server))
    assert third.port
    assert other.stop() == 0
    wait_for(lambda: third.events("alertmanager_takes_alerts"), "at once after a clean stop", 5)


@pytest.mark.parametrize("url, why", [
    ("alertmanager:9093", "give a URL that begins with http:// or https://"),
    ("https://user:s3cret@host", "holds a user or a password"),
    ("http://host,ftp://host", "give a URL that begins")])
def test_bad_address_is_refused_by_name(flightpath, model, url, why):
    done = flightpath("run", model=model, postgres="dbname=x", alertmanager_url=url,
                      **{"kafka.bootstrap.servers": "127.0.0.1:1"})
    assert done.code == 2
    assert re.search(f"alertmanager_url: .*{why}", done.err), done.err
    assert "s3cret" not in done.err


# ---- the message -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((EVENTS / "examples/alert").glob("*/*.json")),
                         ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_examples(path):
    schema = json.loads((EVENTS / "experience.alert.v1.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema, format_checker=FormatChecker())
    wrong = list(judge.iter_errors(json.loads(path.read_text())))
    assert bool(wrong) == (path.parent.name == "invalid"), wrong
