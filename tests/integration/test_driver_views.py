# SPDX-License-Identifier: GPL-3.0-or-later
"""The published driver views over results planted by SQL: what they show, hide and say."""

import datetime
import hashlib
import json

import psycopg
import pytest

from support.paths import ROOT

DAY = 20576  # 2026-05-03
MODEL = {
    "items": [{"id": "recommend", "text": "Would you tell a friend?", "scale": "nps"},
              *({"id": f"d{i}", "text": f"Question {i}", "scale": "agree5"} for i in range(1, 7))],
    "scales": {"nps": {"min": 0, "max": 10}, "agree5": {"min": 1, "max": 5}},
    "measures": {"wait_s": {"unit": "s", "decimals": 0, "direction": "lower"}},
    "journeys": [{"id": "travel", "name": "Travelling", "audience": "customer", "detailed": [
        {"id": "fly", "name": "Flying", "touchpoints": ["gate"]}]}],
    "driver_models": [{"id": "m", "outcome": "recommend", "drivers": ["d1"]}],
}
FIT = {"first_day": DAY - 89, "n": 400, "n_complete": 380, "n_eff": 400.0, "intercept": 1.5,
       "r2": 0.5, "adj_r2": 0.49, "r2_low": 0.4, "r2_high": 0.6, "sigma": 1.2, "q2": 0.45,
       "outcome_mean": 7.5, "method": "em", "groups": 12, "model_based": False, "patterns": 3,
       "values_dropped": 0, "rows_dropped": 0, "status": "ok", "top_group": [],
       "computed_at": datetime.datetime(2026, 5, 4, tzinfo=datetime.timezone.utc)}
RESULT = {"answered": 390, "skipped": 10, "does_not_apply": 5, "coef": 0.4, "se": 0.05,
          "ci_low": 0.302, "ci_high": 0.498, "p": 0.001, "q": 0.002, "beta": 0.2, "vif": 1.5,
          "r": 0.4, "weight": 0.1, "weight_low": 0.05, "weight_high": 0.15, "lmg": 0.09,
          "performance": 4.0, "performance_low": 3.9, "performance_high": 4.1, "p_top1": 0.1,
          "p_top3": 0.5, "rank_low": 2, "rank_high": 5, "key": "none", "flags": [], "status": "ok"}
KINDS = {"all": 0, "journey": 1, "touchpoint": 2, "unit": 3, "tenure": 4}
#: of a suppressed row these stay; everything else is NULL
ALWAYS = {"model", "segment", "outcome", "driver", "status", "computed_at", "statement",
          "segment_kind", "segment_id", "segment_label", "driver_kind", "driver_label",
          "driver_unit", "outcome_label", "window_from", "window_to", "direction", "scale_min",
          "scale_max", "audience", "definition", "current"}


class Plant:
    """Series, fits and results by name: plant.series(…), plant.fit(…)."""

    def __init__(self, pg, model=None):
        self.pg = pg
        self.drivers = {}
        pg.execute("INSERT INTO flightpath.programme (id, time_zone, model_hash, min_n,"
                   " min_n_employee, responses_days, tallies_days, rejects_days)"
                   " VALUES ('p', 'Europe/Amsterdam', 'h', 10, 5, 400, 1100, 90)")
        pg.execute("INSERT INTO flightpath.model (hash, body) VALUES ('h', %s)",
                   [json.dumps(model or MODEL)])

    def insert(self, table, **values):
        names = ", ".join(f'"{n}"' for n in values)
        marks = ", ".join(["%s"] * len(values))
        returning = " RETURNING series" if table == "driver_series" else ""
        cursor = self.pg.execute(f"INSERT INTO flightpath.{table} ({names}) VALUES ({marks})"
                                 f"{returning}", list(values.values()))
        return cursor.fetchone()[0] if returning else None

    def series(self, model="m", drivers=("d1", "d2", "d3", "d4", "d5", "d6"), measures=0, **more):
        count = len(drivers)
        values = {"model": model, "definition": f"def-{model}", "current": True, "model_hash": "h",
                  "outcome": "recommend", "drivers": list(drivers), "measures": measures,
                  "decimals": [0] * (count + 1), "direction": [1] * count,
                  "scale_min": [1.0] * count + [0.0], "scale_max": [5.0] * count + [10.0],
                  "detractor_cut": 6, "audience": "customer", "window_days": 90, "join_hours": 0,
                  "panel": False, "segments": ["all"], "newest": DAY, **more}
        series = self.insert("driver_series", **values)
        self.drivers[series] = list(drivers)
        return series

    def name(self, kind, name):
        return self.pg.execute("SELECT id FROM flightpath.register_names(%s::smallint, %s, 100)",
                               [kind, [name]]).fetchone()[0]

    def fit(self, series, kind="all", segment=0, day=DAY, results=None, **more):
        """results: by driver, what differs from RESULT; a driver mapped to None has no row."""
        key = {"series": series, "kind": KINDS[kind], "segment": segment, "day": day}
        self.insert("driver_fit", **key, **(FIT | more))
        for place, driver in enumerate(self.drivers[series], 1):
            own = (results or {}).get(driver, {})
            if own is not None:
                self.insert("driver_result", **key, driver=place, **(RESULT | own))

    def rows(self, sql, *args):
        return self.pg.cursor(row_factory=psycopg.rows.dict_row).execute(sql, args).fetchall()

    def row(self, sql, *args):
        rows = self.rows(sql, *args)
        assert len(rows) == 1, rows
        return rows[0]

    def driver(self, driver="d1", segment="all", model="m"):
        return self.row("SELECT * FROM experience.driver WHERE model = %s AND segment = %s"
                        " AND driver = %s", model, segment, driver)


@pytest.fixture
def plant(pg):
    return Plant(pg)


# ---- driver --------------------------------------------------------------------------------------

def test_a_driver_row(plant):
    series = plant.series()
    plant.fit(series, results={"d2": {"coef": 0.7, "flags": ["thin_n"]}}, top_group=[2, 3])
    row = plant.driver("d2")
    want = {"model": "m", "segment": "all", "outcome": "recommend", "n": 400, "n_complete": 380,
            "coef": 0.7, "se": 0.05, "ci_low": 0.302, "weight": 0.1, "lmg": 0.09, "r": 0.4,
            "performance": 4.0, "p_top1": 0.1, "p_top3": 0.5, "flags": ["thin_n"], "status": "ok",
            "segment_kind": "all", "segment_id": None, "driver_kind": "item",
            "driver_label": "Question 2", "outcome_label": "Would you tell a friend?",
            "performance_share": 0.75, "importance": pytest.approx(0.2), "top_group": True,
            "share_missing": pytest.approx(10 / 400), "opportunity": pytest.approx(0.05),
            "window_from": datetime.date(2026, 2, 3), "window_to": datetime.date(2026, 5, 3),
            "definition": "def-m", "direction": "higher", "n_needed": 120,
            "ci_method": "student t, observed information",
            "weight_ci_method": "jackknife over 12 groups"}
    assert {k: row[k] for k in want} == want
    assert plant.driver("d1")["top_group"] is False
    assert len(plant.rows("SELECT * FROM experience.driver")) == 6


def test_segments_by_name(plant):
    series = plant.series()
    unit, gate, travel = plant.name(0, "ams"), plant.name(2, "gate"), plant.name(3, "travel")
    plant.insert("unit_info", unit=unit, label="Amsterdam")
    plant.insert("touchpoint_info", touchpoint=gate, label="The gate", department="ops",
                 processes=[], systems=[], journeys=[])
    plant.fit(series, "unit", unit)
    plant.fit(series, "touchpoint", gate)
    plant.fit(series, "journey", travel)
    for band in (1, 2, 3, 4):
        plant.fit(series, "tenure", band)
    plant.fit(series)
    rows = plant.rows("SELECT segment, segment_kind, segment_id, segment_label"
                      " FROM experience.driver_fit")
    assert {tuple(r.values()) for r in rows} == {
        ("all", "all", None, None), ("unit:ams", "unit", "ams", "Amsterdam"),
        ("touchpoint:gate", "touchpoint", "gate", "The gate"),
        ("journey:travel", "journey", "travel", "Travelling"),
        *((f"tenure:{b}", "tenure", b, None) for b in ("applicant", "0-3", "3-12", "12+"))}


def test_the_newest_day_of_each_segment_counts_and_history_keeps_the_others(plant):
    series = plant.series()
    for unit in (2, 3):
        for day in (DAY - 2, DAY - 1, DAY)[: 2 if unit == 2 else 3]:
            plant.fit(series, "unit", unit, day, n=400 + day - DAY)
    plant.fit(series, "unit", 4, DAY - 90)  # its whole window has passed
    old = plant.series("m", definition="before", current=False, newest=DAY - 10)
    plant.fit(old, day=DAY - 10)
    days = plant.rows("SELECT segment, window_to, n FROM experience.driver_fit ORDER BY 1")
    assert [(r["segment"], r["window_to"].isoformat(), r["n"]) for r in days] == [
        ("unit:#2", "2026-05-02", 399), ("unit:#3", "2026-05-03", 400)]
    assert len(plant.rows("SELECT * FROM experience.driver")) == 12
    history = plant.rows("SELECT DISTINCT definition, current, segment, window_to"
                         " FROM experience.driver_history")
    assert len(history) == 7
    assert {(r["definition"], r["current"]) for r in history} == {("def-m", True),
                                                                  ("before", False)}


def test_history_has_the_columns_of_driver(plant):
    now, history = (plant.pg.execute(f"SELECT * FROM experience.{v} LIMIT 0").description
                    for v in ("driver", "driver_history"))
    assert [c.name for c in now] == [c.name for c in history][:-1]
    assert history[-1].name == "current"


def test_measures_where_less_is_better(plant):
    series = plant.series(drivers=["d1", "wait_s"], measures=1, direction=[1, -1],
                          scale_min=[1.0, 0.0, 0.0], scale_max=[5.0, 200.0, 10.0])
    plant.fit(series, results={"wait_s": {"performance": 50.0, "performance_low": 40.0,
                                          "performance_high": 70.0, "coef": -0.01}})
    row = plant.driver("wait_s")
    assert (row["driver_kind"], row["driver_unit"], row["driver_label"]) == ("measure", "s", None)
    assert row["direction"] == "lower" and row["performance_share"] == 0.75


# ---- importance and performance ------------------------------------------------------------------

HIGH = {"weight": 0.2, "weight_low": 0.15, "weight_high": 0.25}  # of r2 = .5: .4, line 1/6 → .083
LOW = {"weight": 0.04, "weight_low": 0.02, "weight_high": 0.06}
GOOD = {"performance": 4.6, "performance_low": 4.5, "performance_high": 4.7}
BAD = {"performance": 2.0, "performance_low": 1.9, "performance_high": 2.1}


@pytest.mark.parametrize("numbers, position", [
    (HIGH | GOOD, "keep up"), (HIGH | BAD, "act"), (LOW | GOOD, "watch"),
    (LOW | BAD, "low priority"),
    (HIGH | GOOD | {"weight_low": 0.08}, "unclear"), (LOW | BAD | {"weight_high": 0.09}, "unclear"),
    (HIGH | GOOD | {"performance_low": 3.0}, "unclear"),
    (LOW | GOOD | {"performance_low": 3.0}, "unclear"),
    (HIGH | {"performance": None, "performance_low": None, "performance_high": None}, None),
    (GOOD | {"weight": None, "weight_low": None, "weight_high": None}, None)])
def test_positions(plant, numbers, position):
    # the others' mean is 3.3 on 1 … 5, d1's own moves the line by a sixth
    plant.fit(plant.series(), results={"d1": numbers, **{
        f"d{i}": {"performance": 3.3, "performance_low": 3.2, "performance_high": 3.4}
        for i in range(2, 7)}})
    row = plant.driver()
    assert row["position"] == position
    if position is not None:
        share = (numbers["performance"] - 1) / 4
        assert row["opportunity"] == pytest.approx(numbers["weight"] / 0.5 * (1 - share))


def test_positions_where_units_have_no_r2(plant):
    plant.fit(plant.series(), "unit", 2, r2=None, adj_r2=None, r2_low=None, method="shrunk",
              results={"d1": {"weight": 0.5}})
    assert plant.driver("d1", "unit:#2")["importance"] == pytest.approx(0.5 / (0.5 + 5 * 0.1))


# ---- privacy -------------------------------------------------------------------------------------

@pytest.mark.parametrize("audience, n, hidden", [
    ("customer", 9, True), ("customer", 10, False), ("employee", 4, True), ("employee", 5, False)])
@pytest.mark.parametrize("kind", ["all", "unit", "journey", "touchpoint", "tenure"])
def test_few_answers_are_not_shown(plant, audience, n, hidden, kind):
    plant.fit(plant.series(audience=audience), kind, 0 if kind == "all" else 1, n=n,
              n_eff=float(n), status="insufficient_n", top_group=[1],
              results={f"d{i}": {"answered": n, "flags": ["low_variance"], "key": "key"}
                       for i in range(1, 7)})
    for view in ("driver", "driver_history"):
        rows = plant.rows(f"SELECT * FROM experience.{view}")
        assert len(rows) == 6
        for row in rows:
            assert row["status"] == ("suppressed_min_n" if hidden else "insufficient_n")
            assert (row["n"] is None) == hidden
            if hidden:
                assert {k for k, v in row.items() if v is not None} <= ALWAYS
                assert row["statement"] == "Too few answers to show."
            else:
                assert row["coef"] == 0.4 and row["flags"] == ["low_variance"]
    fit = plant.row("SELECT * FROM experience.driver_fit")
    assert fit["status"] == ("suppressed_min_n" if hidden else "insufficient_n")
    if hidden:
        seen = {k for k, v in fit.items() if v is not None}
        assert seen <= ALWAYS | {"window_days", "drivers", "top_group"}
        assert fit["top_group"] == []


def test_a_driver_that_few_answered_is_not_shown(plant):
    plant.fit(plant.series(), results={"d1": {"answered": 9}, "d2": {"answered": 0, "coef": None,
                                                                     "status": "empty"}})
    hidden, none, shown = plant.driver("d1"), plant.driver("d2"), plant.driver("d3")
    assert hidden["status"] == "suppressed_min_n"
    assert {k for k, v in hidden.items() if v is not None} <= ALWAYS
    assert (none["status"], none["answered"]) == ("no_answers", 0)
    assert (shown["status"], shown["n"]) == ("ok", 400)


def test_an_empty_window(plant):
    plant.fit(plant.series(), n=0, n_eff=0.0, n_complete=0, status="no_rows",
              results={f"d{i}": {"answered": 0, "coef": None} for i in range(1, 7)})
    row = plant.driver()
    assert (row["status"], row["n"], row["statement"]) == ("no_data", 0, "No answers yet.")


# ---- words ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("fit, result, statement", [
    ({}, {"key": "key", "p_top3": 0.97},
     "Belongs to the three strongest drivers of recommend, 9 out of 10."),
    ({}, {"key": "key", "p_top3": 0.83},
     "Belongs to the three strongest drivers of recommend, 8 out of 10."),
    ({}, {"key": "likely_key", "p_top3": 0.97},
     "Probably one of the strongest drivers of recommend, but not surely enough to be called"
     " key."),
    ({"n": 85, "n_eff": 85.0}, {"p_top3": 0.97}, "Not enough answers yet: 85 of 120."),
    ({"n": 85, "n_eff": 85.0, "status": "insufficient"}, {"coef": None, "weight": None},
     "Not enough answers yet: 85 of 120."),
    ({"r2_low": 0.01}, {}, "The drivers together go too loosely with recommend to tell which is"
     " strongest."),
    ({}, {"coef": -0.4}, "Goes with recommend the other way round than expected; look closer"
     " before using it."),
    ({}, {"p_top3": 0.05}, "Not among the three strongest drivers of recommend, 9 out of 10."),
    ({}, {}, "Open whether it is one of the strongest drivers of recommend."),
    ({"method": "shrunk"}, {"p_top3": None},
     "One point more goes with recommend higher by 0.40 (0.30 to 0.50)."),
    ({"method": "shrunk"}, {"p_top3": None, "coef": -0.4, "ci_low": -0.498, "ci_high": -0.302},
     "One point more goes with recommend lower by 0.40 (0.30 to 0.50)."),
    ({"method": "shrunk"}, {"p_top3": None, "ci_low": -0.02},
     "No clear link with recommend: one point more may go with −0.020 to 0.50."),
    ({"method": "shrunk"}, {"p_top3": None, "status": "parent"},
     "Too few answers here; shown is what holds over all units."),
    ({"status": "outcome_constant"}, {}, "All answers to recommend are the same, so nothing can go"
     " with them."),
    ({}, {"status": "constant", "coef": None}, "All answers are the same: nothing to learn from"
     " them.")])
def test_statements(plant, fit, result, statement):
    plant.fit(plant.series(), **fit, results={"d1": result})
    assert plant.driver()["statement"] == statement


@pytest.mark.parametrize("drivers, statement", [
    (5, "Belongs to the two strongest drivers of recommend, at least 8 out of 10."),
    (3, "The strongest driver of recommend, 9 out of 10.")])
def test_few_drivers_have_fewer_strongest(plant, drivers, statement):
    plant.fit(plant.series(drivers=[f"d{i + 1}" for i in range(drivers)]),
              results={"d1": {"key": "key", "p_top1": 0.95, "p_top3": 1.0}})
    assert plant.driver()["statement"] == statement


def test_no_statement_speaks_of_causes(plant):
    text = (ROOT / "schemas/sql/0006_driver_views.sql").read_text()
    quoted = "".join(text.split("'")[1::2])
    assert "caus" not in quoted and "because" not in quoted


# ---- fits and changes ----------------------------------------------------------------------------

def test_fit_row(plant):
    plant.fit(plant.series(), top_group=[2, 5], q2_low=0.3, repeats=1.1)
    row = plant.row("SELECT * FROM experience.driver_fit")
    want = {"model": "m", "segment": "all", "n": 400, "r2": 0.5, "adj_r2": 0.49, "sigma": 1.2,
            "q2": 0.45, "method": "em", "status": "ok", "top_group": ["d2", "d5"], "drivers": 6,
            "q2_low": 0.3, "outcome_mean": 7.5, "repeats": 1.1, "window_days": 90}
    assert {k: row[k] for k in want} == want


@pytest.mark.parametrize("change, text", [
    ({"what": "top"}, "d1 became the top driver on 3 May"),
    ({"what": "key"}, "d1 became a key driver on 3 May"),
    ({"what": "not_key"}, "d1 ceased to be a key driver on 3 May"),
    ({"what": "coefficient", "before": -0.4, "after": -0.12, "p": 0.002},
     "the effect of d1 fell from −0.40 to −0.12 on 3 May (p = 0.002)"),
    ({"what": "coefficient", "before": 0.012, "after": 0.5, "p": 0.00001},
     "the effect of d1 rose from 0.012 to 0.50 on 3 May (p < 0.001)"),
    ({"what": "coefficient", "before": -2, "after": 31.4, "p": None},
     "the effect of d1 turned from −2.0 to 31 on 3 May")])
def test_changes(plant, change, text):
    series = plant.series()
    plant.fit(series)
    plant.insert("driver_change", series=series, kind=0, segment=0, driver=1, day=DAY, **change)
    row = plant.row("SELECT * FROM experience.driver_change")
    assert (row["text"], row["status"], row["segment"], row["driver"], row["day"]) == (
        text, "ok", "all", "d1", datetime.date(2026, 5, 3))
    plant.pg.execute("UPDATE flightpath.driver_fit SET n = 9")  # erased meanwhile
    row = plant.row("SELECT * FROM experience.driver_change")
    assert (row["before"], row["after"], row["p"]) == (None, None, None)
    assert (row["text"], row["status"]) == ("Too few answers to show.", "suppressed_min_n")


# ---- rights and migration ------------------------------------------------------------------------

def test_the_reader_reads_the_views_and_nothing_else(plant):
    series = plant.series()
    plant.fit(series, method="shrunk")
    plant.insert("driver_change", series=series, kind=0, segment=0, driver=1, day=DAY,
                 what="coefficient", before=0.1, after=0.2, p=0.01)
    plant.pg.execute("SET ROLE flightpath_reader")
    for view, rows in (("driver", 6), ("driver_history", 6), ("driver_fit", 1),
                       ("driver_change", 1)):
        assert len(plant.rows(f"SELECT * FROM experience.{view}")) == rows
    for table in ("driver_row", "driver_window", "driver_newest", "driver_series_text",
                  "driver_result", "driver_series"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            plant.pg.execute(f"SELECT * FROM flightpath.{table}")
    plant.pg.execute("RESET ROLE")


def test_a_database_of_before_with_data_migrates(flightpath, database):
    files = sorted((ROOT / "schemas/sql").glob("*.sql"))[:4]
    with database.connect() as pg:
        pg.execute("CREATE SCHEMA flightpath; CREATE TABLE flightpath.schema_migration"
                   " (version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
                   " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())")
        for file in files:
            pg.execute(file.read_text())
            pg.execute("INSERT INTO flightpath.schema_migration (version, name, sha256)"
                       " VALUES (%s, %s, %s)", [int(file.name[:4]), file.stem,
                                                hashlib.sha256(file.read_bytes()).hexdigest()])
        pg.execute("SELECT flightpath.ensure_partitions('response', '2026-05-01', '2026-06-01')")
        pg.execute("INSERT INTO flightpath.response VALUES (1, 'r', '2026-05-03', 0, 0, 0, 1, 0, 0,"
                   " 0, 0, -1, 1, 20576, NULL, NULL, '{}', '{}', '{}', '{}', '{}', NULL)")
        flightpath("migrate", postgres=database.conninfo, check=True)
        assert pg.execute("SELECT id, day, fitted FROM flightpath.response").fetchall() == [
            ("r", 20576, [])]
        assert pg.execute("SELECT count(*) FROM experience.driver").fetchone() == (0,)
        owners = pg.execute("SELECT DISTINCT viewowner FROM pg_views WHERE viewname LIKE 'driver%'"
                            ).fetchall()
        assert owners == [("flightpath_owner",)]
