"""A model becomes rows: once, again, changed, refused, by several replicas at once; and the roles
that run the daemon and read its views without being anybody special."""

import copy
import json
import uuid

import psycopg
import pytest
from support.bad_cases import MODEL, RECORD_MS, SOURCE, TIME, envelope, response, text, touchpoint
from support.stand import Stand
from support.wait import wait_for

#: everything an installation writes
TABLES = ("programme", "model", "name", "kpi", "touchpoint_info", "unit_info", "owner_info")
BASE = MODEL | {
    "programme": MODEL["programme"] | {"id": "installed"},
    "owners": [{"id": "ann", "name": "Ann", "department": "desk"},
               {"id": "bo", "name": "Bo", "department": "hall"}],
    "units": [{"id": "north", "name": "North"}, {"id": "north-1", "name": "1", "parent": "north"}],
    "touchpoints": [{"id": "desk", "name": "Desk", "owner": "ann", "processes": ["greet"]}],
}


def changed(*changes, base=BASE):
    """The model with changes made: changed(lambda m: m["kpis"].pop())."""
    model = copy.deepcopy(base)
    for change in changes:
        change(model)
    return model


#: the series of BASE in a fresh database
BOTH = [("nps", 1, True), ("wait", 2, True)]


def kpi(model, name):
    return next(k for k in model["kpis"] if k["id"] == name)


@pytest.fixture
def stand(kafka, postgres, tmp_path):
    one = Stand(kafka, postgres, tmp_path, BASE, retention_ms=-1)
    yield one
    one.close()


def install(stand, model=None, **options):
    """A daemon that starts, finds nothing to read, and ends: (exit code, its log's events)."""
    if model is not None:
        stand.model.write_text(json.dumps(model))
    one = stand.daemon(until_caught_up=True, **options)
    return one.wait(), one.events()


def installed(stand, model=None, **options):
    code, events = install(stand, model, **options)
    assert code == 0, events


def snapshot(stand):
    """Each row with the transaction that wrote it."""
    return {table: sorted(stand.query(f"SELECT t::text, xmin::text FROM flightpath.{table} t"))
            for table in TABLES}


def series(stand):
    """[(kpi, number of the series, whether it is current)], oldest first."""
    return stand.query("SELECT kpi, series, current FROM flightpath.kpi ORDER BY series")


def send(stand, *messages):
    for message in messages:
        topic = stand.topics.touchpoints if "touchpoint" in message["type"] else None
        stand.send(text(message), topic, timestamp_ms=RECORD_MS)
    stand.flush()


def fatal(events):
    (event,) = [e for e in events if e["event"] == "fatal"]
    return event["msg"]


# ---- once, and again -----------------------------------------------------------------------------


def test_what_is_installed(stand):
    installed(stand)
    assert series(stand) == BOTH
    assert stand.query("SELECT id, time_zone, responses_days, tallies_days FROM"
                       " flightpath.programme") == [("installed", "Europe/Amsterdam", 400, 800)]
    declared = {(kind, name) for kind, name in stand.query(
        "SELECT kind, name FROM flightpath.name WHERE declared AND id > 1")}
    assert declared == {(0, "north"), (0, "north-1"), (2, "desk"), (3, "visit"), (3, "come_in"),
                        (6, "recommend"), (6, "feeling"), (7, "wait_s"), (7, "cost"), (7, "fine"),
                        (8, "ann"), (8, "bo")}
    assert stand.query("SELECT label, owner, processes, journeys FROM"
                       " flightpath.touchpoint_info") == [
                           ("Desk", "ann", ["greet"], ["visit", "come_in"])]
    assert stand.query("SELECT u.label, p.name FROM flightpath.unit_info u LEFT JOIN"
                       " flightpath.name p ON p.kind = 0 AND p.id = u.parent ORDER BY 1") == [
                           ("1", "north"), ("North", None)]


def test_the_same_model_again_writes_nothing(stand):
    installed(stand)
    before = snapshot(stand)
    installed(stand)
    assert snapshot(stand) == before
    # nor does the same model in another layout: its meaning is what is compared
    stand.model.write_text(json.dumps(BASE, indent=3))
    installed(stand)
    assert snapshot(stand)["kpi"] == before["kpi"] and snapshot(stand)["name"] == before["name"]


# ---- changed -------------------------------------------------------------------------------------


def test_a_changed_definition_starts_a_new_series(stand):
    installed(stand)
    send(stand, touchpoint("a", "north", 400))
    installed(stand)
    installed(stand, changed(lambda m: kpi(m, "wait")["source"].update(within=300)))
    nps, old, (_, new, _) = series(stand)
    assert (nps, old) == (BOTH[0], ("wait", 2, False)) and series(stand)[2] == ("wait", new, True)
    send(stand, touchpoint("b", "north", 100))
    installed(stand)
    # a mean of seconds; then a share that is within: never one number of both
    rows = stand.query("SELECT series, sum(n)::int, sum(sum)::int FROM flightpath.tally_day"
                       " GROUP BY 1 ORDER BY 1")
    assert rows == [(2, 1, 400), (new, 1, 1)]
    assert stand.query("SELECT current, n, value FROM experience.kpi_day ORDER BY 1") == [
        (False, 1, 400.0), (True, 1, 1.0)]
    assert stand.query("SELECT n, value FROM experience.kpi_now WHERE kpi = 'wait'"
                       " AND unit = 'north'") == [(1, 1.0)]
    # back to the old definition: the old series goes on
    installed(stand, BASE)
    assert series(stand) == [*BOTH, ("wait", new, False)]


def test_target_owner_and_texts_keep_the_series(stand):
    installed(stand)
    before = snapshot(stand)
    installed(stand, changed(
        lambda m: kpi(m, "nps").update(target=40, statement="I would tell a friend"),
        lambda m: kpi(m, "wait").update(owner="bo", target=300)))
    assert series(stand) == BOTH
    assert stand.query("SELECT kpi, target, owner, statement FROM flightpath.kpi ORDER BY 1") == [
        ("nps", 40.0, None, "I would tell a friend"), ("wait", 300.0, "bo", "")]
    assert snapshot(stand)["name"] == before["name"]
    assert stand.query("SELECT count(*) FROM flightpath.model") == [(2,)]


def test_what_the_model_no_longer_has(stand):
    installed(stand)
    send(stand, touchpoint("a", "north-1", 60), response("r"))
    installed(stand)
    installed(stand, changed(lambda m: m["kpis"].pop(), lambda m: m["units"].pop(),
                             lambda m: m["owners"].pop()))
    assert series(stand) == [BOTH[0], ("wait", 2, False)]
    assert stand.query("SELECT kpi, sum(n)::int FROM experience.kpi_day GROUP BY 1, current"
                       " ORDER BY current DESC") == [("nps", None), ("wait", 1)]
    assert stand.query("SELECT DISTINCT kpi FROM experience.kpi_now") == [("nps",)]
    # its name stays, since it was counted under it; nothing is said of it any more
    assert stand.query("SELECT declared FROM flightpath.name WHERE kind = 0"
                       " AND name = 'north-1'") == [(False,)]
    assert stand.query("SELECT label FROM flightpath.unit_info") == [("North",)]
    assert stand.query("SELECT owner FROM flightpath.owner_info") == [("ann",)]


def test_a_new_model_while_the_daemon_runs(stand):
    with stand.running() as daemon:
        send(stand, touchpoint("a", "north", 400))
        stand.caught_up()
        stand.model.write_text(json.dumps(changed(
            lambda m: kpi(m, "wait")["source"].update(within=300))))
        wait_for(lambda: daemon.events("model_reloaded"), "the model is loaded again", 20)
        send(stand, touchpoint("b", "north", 100))
        stand.caught_up()
    rows = stand.query("SELECT k.current, sum(t.sum)::int FROM flightpath.tally_day t"
                       " JOIN flightpath.kpi k USING (series) GROUP BY 1 ORDER BY 1")
    assert rows == [(False, 400), (True, 1)]
    ranges = stand.query("SELECT first_offset, next_offset, model_hash FROM flightpath.ledger"
                         " WHERE topic = %s ORDER BY 1", stand.topics.touchpoints)
    assert [r[:2] for r in ranges] == [(0, 1), (1, 2)] and ranges[0][2] != ranges[1][2]


# ---- refused -------------------------------------------------------------------------------------


def test_another_programme_is_refused(stand):
    installed(stand)
    before = snapshot(stand)
    code, events = install(stand, changed(lambda m: m["programme"].update(id="another")))
    assert code == 1
    assert '"installed"' in fatal(events) and '"another"' in fatal(events)
    assert "use another database, or mend programme.id" in fatal(events)
    assert snapshot(stand) == before


def test_another_time_zone_is_refused(stand):
    installed(stand)
    before = snapshot(stand)
    code, events = install(stand, changed(lambda m: m["programme"].update(time_zone="UTC")))
    assert code == 1
    assert '"Europe/Amsterdam"' in fatal(events) and '"UTC"' in fatal(events)
    assert "keep the zone, or use a new database" in fatal(events)
    assert snapshot(stand) == before


@pytest.mark.parametrize("change, said", [
    (lambda m: m["programme"].update(id="another"), "use another database"),
    (lambda m: m["programme"].update(time_zone="UTC"), "keep the zone"),
    (lambda m: kpi(m, "wait").update(touchpoint="nowhere"), "nowhere")],
    ids=["programme", "time zone", "unsound"])
def test_a_refused_reload_keeps_the_old_model(stand, change, said):
    with stand.running() as daemon:
        before = snapshot(stand)
        stand.model.write_text(json.dumps(changed(change)))
        wait_for(lambda: daemon.events("model_kept"), "the new model is refused", 20)
        assert any(said in e.get("msg", "") for e in daemon.events())
        assert snapshot(stand) == before
        send(stand, touchpoint("a", "north", 60))
        stand.caught_up()
        assert daemon.get("/readyz")[0] == 200
    assert stand.ledger()["applied"] == 1


# ---- several at once -----------------------------------------------------------------------------


@pytest.mark.partitions(4)
def test_replicas_install_at_once(daemon, tmp_path, pg):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(BASE))
    for one in [daemon(model=path) for _ in range(4)]:
        one.ready()
        assert not [e for e in one.events() if e["level"] in ("warn", "error")], one.text()
    assert pg.execute("SELECT kpi, current FROM flightpath.kpi ORDER BY series").fetchall() == [
        ("nps", True), ("wait", True)]
    assert pg.execute("SELECT count(*) FROM flightpath.model").fetchone() == (1,)
    assert pg.execute("SELECT count(DISTINCT xmin::text) FROM flightpath.kpi").fetchone() == (1,)
    slots = pg.execute("SELECT count(*), count(DISTINCT owner) FROM flightpath.replica"
                       " WHERE slot < 4").fetchone()
    assert slots == (4, 4)


@pytest.mark.partitions(4)
def test_two_models_at_once(daemon, tmp_path, pg):
    """A rollout: old and new replicas side by side. Either model is in force, whole."""
    models = {"old": BASE, "new": changed(
        lambda m: kpi(m, "wait")["source"].update(within=300),
        lambda m: m["units"].append({"id": "south", "name": "South"}))}
    for name, model in models.items():
        (tmp_path / name).write_text(json.dumps(model))
    for one in [daemon(model=tmp_path / name) for name in ("old", "new", "old", "new")]:
        one.ready()
    rows = pg.execute("SELECT kpi, current FROM flightpath.kpi").fetchall()
    assert sorted(rows) == [("nps", True), ("wait", False), ("wait", True)]
    within, south = pg.execute(
        "SELECT (SELECT metric = 'share' FROM flightpath.kpi WHERE kpi = 'wait' AND current),"
        " (SELECT declared FROM flightpath.name WHERE kind = 0 AND name = 'south')").fetchone()
    assert within == south


# ---- roles ---------------------------------------------------------------------------------------


@pytest.fixture
def login(stand):
    """Factory: a login role that is a member of another, and nothing else; its conninfo."""
    made = []

    def one(member_of):
        role = f"{member_of}_{uuid.uuid4().hex[:8]}"
        with stand.database.connect() as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
                               f" IN ROLE {member_of}")
        made.append(role)
        return psycopg.conninfo.make_conninfo(stand.database.conninfo, user=role)

    yield one
    with stand.database.connect() as connection:
        for role in made:
            connection.execute(f"DROP OWNED BY {role} CASCADE")
            connection.execute(f"DROP ROLE {role}")


def refused(conninfo, *statements):
    """Each statement fails for want of a right."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            with pytest.raises((psycopg.errors.InsufficientPrivilege,
                                psycopg.errors.ReadOnlySqlTransaction)):
                connection.execute(statement)


def every_type():
    """Messages of every type and each class of the ledger."""
    r = response
    return [
        touchpoint("t1", "north", 60), touchpoint("t1", "north", 60),
        touchpoint("t2", "unheard of", 60, outcome="failed"),
        r("r1", envelope_of={"subject": "ann@example.org"}), r("r1"),
        r("r2", scores={"recommend": 1}), r("r2", scores={"recommend": 10}, revision=2),
        r("r3"), r("r3", status="void"), r("r4", scores={"recommend": 11}),
        envelope("invitation", "i1", {"survey": "visit", "touchpoint": "desk"},
                 subject="ann@example.org"),
        envelope("case", "c1", {"case": "1", "state": "opened", "response": "r2"},
                 subject="ann@example.org"),
        envelope("intervention", "v1", {"intervention": "second desk", "state": "started"}),
        envelope("erasure", "e1", {"subject": "ann@example.org"}, time=TIME),
        {"specversion": "1.0", "id": "f", "source": SOURCE, "type": "com.example.other"}]


def test_the_writer_needs_no_more_than_its_role(stand, login):
    conninfo = login("flightpath_writer")
    send(stand, *every_type())
    # an hour of another month, and of the next: partitions must be made
    old = envelope("touchpoint", "t3", {"touchpoint": "desk", "unit": "north"},
                   time=f"{int(TIME[:4]) - 1}{TIME[4:]}")
    send(stand, old, response("r5", envelope_of={"subject": "bob@example.org"}))
    with stand.running(postgres=conninfo) as daemon:
        stand.caught_up()
        # what is stored already is changed and deleted by other statements
        send(stand, response("r2", scores={"recommend": 9}, revision=3),
             envelope("erasure", "e2", {"subject": "bob@example.org"}, time=TIME))
        stand.caught_up()
        wait_for(lambda: stand.query("SELECT count(*) FROM flightpath.job WHERE last_run IS NOT"
                                     " NULL") == [(3,)], "each job ran once", 30)
        assert not [e for e in daemon.events() if e["level"] in ("warn", "error")], daemon.text()
    assert stand.ledger() == {"consumed": 19, "applied": 12, "duplicate": 2, "revised": 2,
                              "voided": 1, "rejected": 1, "ignored": 1}
    assert stand.query("SELECT responses FROM flightpath.erasure_receipt") == [(1,), (1,)]
    stand.model.write_text(json.dumps(changed(
        lambda m: kpi(m, "wait")["source"].update(within=300), lambda m: m["owners"].pop())))
    installed(stand, postgres=conninfo)
    assert [row[::2] for row in series(stand)] == [("nps", True), ("wait", False), ("wait", True)]


def test_the_writer_may_not_do_more(stand, login):
    conninfo = login("flightpath_writer")
    installed(stand, postgres=conninfo)
    refused(conninfo, "DROP TABLE flightpath.response", "TRUNCATE flightpath.response",
            "ALTER TABLE flightpath.kpi ADD COLUMN x int", "DELETE FROM flightpath.tally_day",
            "DELETE FROM flightpath.ledger", "UPDATE flightpath.ledger SET incarnation = 2"
            " WHERE false; DELETE FROM flightpath.kpi", "DELETE FROM flightpath.reject",
            "CREATE TABLE flightpath.x (a int)", "CREATE VIEW experience.x AS SELECT 1",
            "CREATE ROLE somebody", "UPDATE flightpath.schema_migration SET sha256 = ''")


def test_the_reader_sees_every_view_and_nothing_else(stand, login):
    send(stand, *every_type())
    installed(stand)
    conninfo = login("flightpath_reader")
    views = [name for (name,) in stand.query(
        "SELECT viewname FROM pg_views WHERE schemaname = 'experience' ORDER BY 1")]
    assert {"kpi_hour", "kpi_day", "kpi_now", "coverage", "freshness", "ledger"} <= set(views)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for view in views:
            connection.execute(f"SELECT * FROM experience.{view}").fetchall()
        rows = connection.execute(
            "SELECT sum(n) FROM experience.kpi_series('wait', now() - interval '3 days', now(),"
            " interval '1 day', NULL, NULL)").fetchall()
        assert rows == [(2,)]
    tables = [name for (name,) in stand.query(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'flightpath'::regnamespace"
        " AND c.relkind IN ('r', 'p', 'v')")]
    assert len(tables) > 20
    refused(conninfo, *(f"SELECT * FROM flightpath.{table}" for table in tables))
    role = psycopg.conninfo.conninfo_to_dict(conninfo)["user"]
    for name in (*(f"experience.{v}" for v in views), *(f"flightpath.{t}" for t in tables)):
        assert stand.query("SELECT has_table_privilege(%s, %s, 'INSERT, UPDATE, DELETE, TRUNCATE,"
                           " TRIGGER, REFERENCES')", role, name) == [(False,)]
    refused(conninfo, "SELECT flightpath.fold(now(), 1)", "SELECT flightpath.drop_expired(now())",
            "SELECT * FROM flightpath.register_names(0::smallint, ARRAY['x'], 10)",
            "CREATE TABLE experience.x (a int)", "CREATE VIEW experience.x AS SELECT 1")
