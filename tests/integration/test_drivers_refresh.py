"""Solving driver models from their state: the same as `flightpath analyze` on the same rows.

States are written by other code (support/state_writer.py) straight into the database and their
tasks marked; a daemon on empty topics solves them all and ends. One database holds many driver
models, each with rows of its own.
"""

import datetime
import json
import math
import time

import numpy as np
import pytest
import statsmodels.api as sm

from support.bad_cases import MODEL, response, rfc3339, text
from support.program import run
from support.stand import Stand
from support.state_writer import encode

TODAY = int(time.time() // 86400)
END = TODAY - 1                    # the window's last day, unless a test says otherwise
WINDOW = 30
ALL, UNIT = 0, 3                   # kinds of segments
ITEMS = [f"d{i}" for i in range(1, 13)]
DECIMALS = {"wait_s": 0, "cost": 2}


def driver_model(name, drivers=(), measures=(), **more):
    return {"id": name, "outcome": "y", "drivers": list(drivers), "measures": list(measures),
            "journey": "visit", "window_days": WINDOW, "segments": ["all"]} | more


def columns_of(one):
    return [*one["drivers"], *one["measures"], "y"]


MODELS = {one["id"]: one for one in [
    driver_model("complete", ITEMS[:6]),
    driver_model("missing", ITEMS[:5]),
    driver_model("operations", ITEMS[:2], ["wait_s", "cost"], touchpoint="desk"),
    driver_model("operations_missing", ITEMS[:1], ["wait_s", "cost"], touchpoint="desk"),
    driver_model("empty_window", ITEMS[:3]),
    driver_model("few", ITEMS[:4]),
    driver_model("constant", ITEMS[:3]),
    driver_model("doubled", ITEMS[:3]),
    driver_model("not_applicable", ITEMS[:3]),
    driver_model("sometimes", ITEMS[:3]),
    driver_model("early", ITEMS[:2], ["wait_s", "cost"], touchpoint="desk"),
    driver_model("perfect", ITEMS[:2]),
    driver_model("flat", ITEMS[:3]),
    driver_model("many_units", ITEMS[:3], segments=["unit"]),
    driver_model("few_units", ITEMS[:3], segments=["unit"]),
    driver_model("asked_units", ITEMS[:3], segments=["unit"]),
    driver_model("odd_units", ITEMS[:3], segments=["unit"]),
    driver_model("panel", ITEMS[:3], panel=True),
    driver_model("turning", ITEMS[:3]),
    driver_model("damaged", ITEMS[:3]),
]}


def model_file():
    model = MODEL | {"driver_models": list(MODELS.values())}
    model["scales"] = MODEL["scales"] | {"ten": {"min": 0, "max": 10}}
    model["items"] = MODEL["items"] + [
        {"id": name, "kind": "driver", "metric": "mean", "scale": "ten", "text": name}
        for name in ITEMS] + [{"id": "y", "kind": "outcome", "metric": "mean", "scale": "ten",
                               "text": "y"}]
    return model


# ---- rows ----------------------------------------------------------------------------------------

def answers(seed, n, p, effects, measures=(), sd=1.2):
    """n rows of whole answers 0 … 10 with correlated drivers; measures are in their own unit."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    x = 0.6 * common + 0.8 * rng.normal(size=(n, p))
    y = 6 + x @ np.array(effects) + sd * rng.normal(size=n)
    whole = np.clip(np.rint(5.5 + 2 * x), 0, 10).astype(int).tolist()
    for row in whole:
        for i, name in enumerate(measures):
            at = p - len(measures) + i
            row[at] = (row[at] * 37 + int(rng.integers(0, 30))) * (1 if name == "wait_s" else 7)
    outcome = np.clip(np.rint(y), 0, 10).astype(int)
    return [[*row, int(v)] for row, v in zip(whole, outcome)]


def days_of(n, first=END - WINDOW + 1, last=END, seed=0):
    return sorted(np.random.default_rng(seed).integers(first, last + 1, n).tolist())


def with_gaps(rows, share, seed):
    rng = np.random.default_rng(seed)
    return [[v if c == len(row) - 1 or rng.random() >= share else None for c, v in enumerate(row)]
            for row in rows]


class Lab:
    """A database with series, into which states are put."""

    def __init__(self, stand):
        self.stand = stand
        stand.model.write_text(json.dumps(model_file()))
        self.solve()
        self.series = dict(stand.query("SELECT model, series FROM flightpath.driver_series"))
        assert set(self.series) == set(MODELS)

    def put(self, name, rows, days, segment=0, people=None, absent=()):
        one, kind = MODELS[name], UNIT if "unit" in MODELS[name]["segments"] else ALL
        groups = {}
        for i, (row, day) in enumerate(zip(rows, days)):
            groups.setdefault((day, people[i] if people else 0), []).append(row)
        with self.stand.database.connect() as pg, pg.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO flightpath.driver_state VALUES (%s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (series, kind, segment, day, people)"
                " DO UPDATE SET n = excluded.n, state = excluded.state",
                [(self.series[name], kind, segment, day, group, len(part),
                  encode(len(columns_of(one)), part, absent))
                 for (day, group), part in groups.items()])
        self.mark(name, kind)

    def mark(self, name, kind=ALL, newest=None):
        with self.stand.database.connect() as pg:
            pg.execute("UPDATE flightpath.driver_series SET newest = %s WHERE series = %s",
                       (newest or END, self.series[name]))
            pg.execute("INSERT INTO flightpath.driver_task (series, kind, segment, dirty_at)"
                       " VALUES (%s, %s, 0, now()) ON CONFLICT (series, kind, segment)"
                       " DO UPDATE SET dirty_at = coalesce(driver_task.dirty_at, now())",
                       (self.series[name], kind))

    def solve(self, code=0, **options):
        one = self.stand.daemon(until_caught_up=True, **options)
        assert one.wait() == code, one.text()[-4000:]
        return one

    def rows(self, table, name, **where):
        with self.stand.database.connect() as pg:
            found = pg.execute(
                f"SELECT to_json(row) FROM flightpath.{table} row WHERE series = %s"
                " ORDER BY (to_json(row) ->> 'segment')::int, (to_json(row) ->> 'day')::int,"
                "  (to_json(row) ->> 'driver')::int", (self.series[name],)).fetchall()
        return [row for (row,) in found if all(row[k] == v for k, v in where.items())]

    def fit(self, name, **where):
        (one,) = self.rows("driver_fit", name, **where)
        return one

    def results(self, name, **where):
        return self.rows("driver_result", name, **where)

    def task(self, name):
        (one,) = self.rows("driver_task", name)
        return one


@pytest.fixture(scope="module")
def lab(kafka, postgres, tmp_path_factory):
    stand = Stand(kafka, postgres, tmp_path_factory.mktemp("drivers"), MODEL, retention_ms=-1)
    yield Lab(stand)
    stand.close()


def complete(n=400):
    return answers(1, n, 6, [.8, .5, .3, .2, .1, 0])


def missing(n=500):
    return with_gaps(answers(2, n, 5, [.8, .5, .3, .2, 0]), .15, 3)


def operations(n=400):
    return answers(4, n, 4, [.6, .3, -.5, -.3], ["wait_s", "cost"])


def sometimes(n=400):
    """The second driver applies to six in ten, to whom things are a point better; a few skip."""
    rng = np.random.default_rng(12)
    rows = answers(11, n, 3, [.6, .5, .3])
    return [[a, b if (applies := rng.random() < .6) else None, None if rng.random() < .05 else c,
             y if applies else max(y - 1, 0)] for a, b, c, y in rows]


UNITS = range(11, 21)
TRUTH = (.9, .5, .2)


def unit_rows(unit, n):
    return answers(100 + unit, n, 3, TRUTH)


def slope(days, low, high):
    """The first driver matters more from half of the window on."""
    early = answers(7, len(days), 3, [low, .1, .1])
    late = answers(8, len(days), 3, [high, .1, .1])
    return [(late if day > END - WINDOW // 2 else early)[i] for i, day in enumerate(days)]


@pytest.fixture(scope="module")
def solved(lab):
    """Every scenario put in, and solved in one go."""
    flat = [[*row[:-1], 7] for row in answers(5, 200, 3, [0, 0, 0])]
    lab.put("complete", complete(), days_of(400))
    lab.put("missing", missing(), days_of(500))
    lab.put("operations", operations(), days_of(400))
    lab.put("operations_missing", with_gaps(answers(6, 500, 3, [.5, -.5, -.2], ["wait_s", "cost"]),
                                            .1, 2), days_of(500))
    lab.mark("empty_window")
    lab.put("few", [[*r[:4], r[-1]] for r in complete(5)], days_of(5))
    lab.put("constant", [[r[0], 4, r[1], r[-1]] for r in complete()], days_of(400))
    lab.put("doubled", [[r[0], r[1], r[0], r[-1]] for r in complete()], days_of(400))
    lab.put("not_applicable", [[r[0], None, r[1], r[-1]] for r in complete()], days_of(400),
            absent=[1])
    lab.put("sometimes", sometimes(), days_of(400), absent=[1])
    lab.put("early", operations(90), days_of(90, END - WINDOW + 2))
    lab.put("perfect", [[a, b, (a + b) // 2] for a in range(0, 11, 2) for b in range(0, 11, 2)],
            days_of(36))
    lab.put("flat", flat, days_of(200))
    for i, unit in enumerate(UNITS):
        n = 6 if i == 0 else 30 + 40 * i
        lab.put("many_units", unit_rows(unit, n), days_of(n, seed=unit), segment=unit)
    lab.put("many_units", [[*row[:-1], None] for row in unit_rows(21, 30)], days_of(30),
            segment=21)  # nobody said how it was
    for i, unit in enumerate(list(UNITS)[:5]):
        n = 60 if i == 0 else 150 + 30 * i
        lab.put("few_units", unit_rows(unit, n), days_of(n, seed=unit), segment=unit)
    for unit in UNITS:  # each person was asked two of the three
        rows = [[None if c == i % 3 else v for c, v in enumerate(row)]
                for i, row in enumerate(unit_rows(unit, 150))]
        lab.put("asked_units", rows, days_of(150), segment=unit)
    for unit in UNITS:  # the second driver is the same all over a unit; one unit has no whole row
        rows = [[a, unit % 3, None if unit == 20 else b, y] for a, _, b, y in unit_rows(unit, 80)]
        lab.put("odd_units", rows, days_of(80), segment=unit)
    rows = answers(9, 600, 3, [.8, .4, .2])
    lab.put("panel", rows, days_of(600), people=[i % 20 for i in range(600)])
    days = days_of(1500)
    lab.put("turning", slope(days, .2, 1.4), days)
    lab.put("damaged", answers(10, 100, 3, [1, 0, 0]), days_of(100))
    with lab.stand.database.connect() as pg:
        pg.execute("UPDATE flightpath.driver_state SET state = state || '\\x00'::bytea"
                   " WHERE series = %s AND day = (SELECT max(day) FROM flightpath.driver_state"
                   " WHERE series = %s)", (lab.series["damaged"],) * 2)
    lab.daemon = lab.solve()
    return lab


# ---- beside analyze ------------------------------------------------------------------------------

def analyze(tmp_path, name, rows, days, **options):
    names = columns_of(MODELS[name])
    lines = [",".join(["day", *names])]
    for row, day in zip(rows, days):
        date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
        cells = ["" if v is None else f"{v / 100:.2f}" if names[c] == "cost" else str(v)
                 for c, v in enumerate(row)]
        lines.append(",".join([date.isoformat(), *cells]))
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    result = run("analyze", "drivers", path, outcome="y", drivers=",".join(names[:-1]), json=True,
                 **({"day": "day"} | options))
    assert result.code == 0, result.err
    return result.json


SAME = {"coef": "coef", "se": "se", "t": "t", "p": "p", "q": "q", "ci_low": "ci_low",
        "ci_high": "ci_high"}  # analyze's lists begin with the intercept
BARE = {"vif": "vif", "r": "r", "robust_se": "robust_se", "johnson": "weight",
        "johnson_low": "weight_low", "johnson_high": "weight_high", "lmg": "lmg",
        "lmg_low": "lmg_low", "lmg_high": "lmg_high"}


def same_as_analyze(found, fit, results):
    """To the last bit: both print numbers so that they read back as the same double."""
    for key, column in SAME.items():
        assert [r[column] for r in results] == found[key][1:], key
    for key, column in BARE.items():
        assert [r[column] for r in results] == found[key], key
    for key in ("r2", "adj_r2", "sigma", "n", "n_complete", "method", "status"):
        assert fit[key] == found[key], key
    assert fit["intercept"] == found["coef"][0] and fit["n_eff"] == found["n_effective"]


@pytest.mark.parametrize("name,make,count", [
    ("complete", complete, 400), ("missing", missing, 500), ("operations", operations, 400)])
def test_the_same_as_analyze(solved, tmp_path, name, make, count):
    found = analyze(tmp_path, name, make(), days_of(count))
    fit, results = solved.fit(name), solved.results(name)
    assert fit["status"] == "ok" and fit["method"] == ("em" if name == "missing" else "listwise")
    assert fit["groups"] == 12 and not fit["model_based"]
    same_as_analyze(found, fit, results)
    assert all(r["lmg_high"] is not None and r["p_top3"] is not None for r in results)


def test_complete_data_as_statsmodels(solved):
    data = np.array(complete(), dtype=float)
    wanted = sm.OLS(data[:, -1], sm.add_constant(data[:, :-1])).fit()
    fit, results = solved.fit("complete"), solved.results("complete")
    assert np.allclose([fit["intercept"], *(r["coef"] for r in results)], wanted.params, 1e-9, 0)
    assert np.allclose([r["se"] for r in results], wanted.bse[1:], 1e-9, 0)
    assert np.allclose([r["p"] for r in results], wanted.pvalues[1:], 1e-8, 0)
    assert math.isclose(fit["r2"], wanted.rsquared, rel_tol=1e-9)
    assert math.isclose(fit["f"], wanted.fvalue, rel_tol=1e-9)


def test_means_and_counts(solved):
    data = missing()
    for j, result in enumerate(solved.results("missing")):
        values = [row[j] for row in data if row[j] is not None]
        assert result["answered"] == len(values)
        assert result["skipped"] == len(data) - len(values) and result["does_not_apply"] == 0
        low, high = sm.stats.DescrStatsW(values).tconfint_mean()
        assert math.isclose(result["performance"], np.mean(values), rel_tol=1e-12)
        assert math.isclose(result["performance_low"], low, rel_tol=1e-9)
        assert math.isclose(result["performance_high"], high, rel_tol=1e-9)


def test_fitness_is_ahead_in_time(solved):
    fit = solved.fit("complete")
    assert fit["q2_low"] < fit["q2"] < fit["q2_high"] < 1 and fit["q2"] < fit["r2"]
    assert fit["calibration_low"] < fit["calibration_slope"] < fit["calibration_high"]
    assert abs(fit["mean_error"]) < 0.5


def test_a_panel_leaves_out_people(solved, tmp_path):
    fit = solved.fit("panel")
    assert fit["status"] == "ok" and fit["groups"] == 20 and fit["q2"] is not None
    rows = answers(9, 600, 3, [.8, .4, .2])
    found = analyze(tmp_path, "panel", rows, days_of(600))
    assert [r["coef"] for r in solved.results("panel")] == found["coef"][1:]
    assert [r["weight_low"] for r in solved.results("panel")] != found["johnson_low"]


# ---- statuses ------------------------------------------------------------------------------------

NUMBERS = ("coef", "se", "t", "p", "q", "ci_low", "ci_high", "weight", "lmg", "p_top1")


@pytest.mark.parametrize("name,status", [
    ("empty_window", "no_rows"), ("few", "insufficient"), ("flat", "outcome_constant")])
def test_nothing_to_estimate(solved, name, status):
    fit = solved.fit(name)
    assert fit["status"] == status and fit["r2"] is None and fit["top_group"] == []
    results = solved.results(name)
    assert len(results) == len(columns_of(MODELS[name])) - 1
    for result in results:
        assert all(result[key] is None for key in NUMBERS) and result["key"] is None
    if name == "empty_window":
        assert fit["n"] == 0 and {r["status"] for r in results} == {"empty"}


@pytest.mark.parametrize("name,dropped,status", [
    ("constant", 2, "constant"), ("doubled", 3, "aliased"), ("not_applicable", 2,
                                                             "does_not_apply")])
def test_a_driver_that_cannot_be_told(solved, name, dropped, status):
    assert solved.fit(name)["status"] == "ok"
    for result in solved.results(name):
        if result["driver"] == dropped:
            assert result["status"] == status
            assert all(result[key] is None for key in NUMBERS)
        else:
            assert result["status"] == "ok" and result["coef"] is not None
    if name == "not_applicable":
        assert solved.results(name)[1]["does_not_apply"] == 400


def test_what_it_is_worth_that_a_driver_applies(solved):
    rows = [r for r in sometimes() if r[2] is not None]
    applies = np.array([r[1] is not None for r in rows], dtype=float)
    told = np.array([0 if r[1] is None else r[1] for r in rows], dtype=float)
    centred = applies * (told - told.sum() / applies.sum())
    x = np.column_stack([[r[0] for r in rows], centred, [r[2] for r in rows], applies])
    wanted = sm.OLS(np.array([r[3] for r in rows], dtype=float), sm.add_constant(x)).fit()
    results = solved.results("sometimes")
    assert math.isclose(results[1]["applies_coef"], wanted.params[4], rel_tol=1e-9)
    assert math.isclose(results[1]["applies_se"], wanted.bse[4], rel_tol=1e-9)
    assert results[1]["applies_coef"] > .5 and results[1]["does_not_apply"] > 100
    assert results[0]["applies_coef"] is None and results[2]["applies_se"] is None
    assert all(r["applies_coef"] is None for r in solved.results("missing")), "skipped is not it"
    assert all(r["applies_coef"] is None for r in solved.results("not_applicable"))


def test_a_perfect_fit_has_no_tests(solved, tmp_path):
    rows = [[a, b, (a + b) // 2] for a in range(0, 11, 2) for b in range(0, 11, 2)]
    fit, results = solved.fit("perfect"), solved.results("perfect")
    assert fit["status"] == "perfect_fit" and fit["r2"] == 1
    assert [r["coef"] for r in results] == [0.5, 0.5]
    assert all(r["p"] is None and r["weight"] is None for r in results)
    found = analyze(tmp_path, "perfect", rows, days_of(36))
    assert [r["se"] for r in results] == found["se"][1:]


def test_no_column_holds_nan(solved):
    with solved.stand.database.connect() as pg:
        for table in ("driver_fit", "driver_result", "driver_change", "scoring"):
            rows = pg.execute(f"SELECT to_json(row)::text FROM flightpath.{table} row").fetchall()
            assert rows and not [r for (r,) in rows if "NaN" in r or "Infinity" in r], table


# ---- units ---------------------------------------------------------------------------------------

def test_many_units_borrow(solved):
    results, fits = solved.results("many_units"), solved.rows("driver_fit", "many_units")
    assert [f["segment"] for f in fits] == list(UNITS)
    assert {f["method"] for f in fits} == {"shrunk"} and {f["status"] for f in fits} == {"ok"}
    assert [f["n"] for f in fits] == [6] + [30 + 40 * i for i in range(1, 10)]
    parent = [r for r in results if r["segment"] == 11]
    assert {r["status"] for r in parent} == {"parent"}
    assert all(r["ci_low"] is None and r["weight"] is None for r in parent)
    whole = sm.OLS(*_pooled()).fit().params[-3:]
    assert np.allclose([r["coef"] for r in parent], whole, atol=.05), "the typical unit"
    own = [r for r in results if r["segment"] != 11]
    assert {r["flags"][0] for r in own} <= {"mostly_parent", "blended", "own"}
    assert all(r["tau"] > 0 and 0 <= r["own"] <= 1 for r in results)
    covered = [r["ci_low"] <= whole[r["driver"] - 1] <= r["ci_high"] for r in own]
    assert np.mean(covered) > .8  # all units are alike here
    for r in own:
        assert math.isclose(r["se"], (r["ci_high"] - r["ci_low"]) / 2 / 1.959963984540054,
                            rel_tol=1e-12)
        assert r["weight_low"] <= r["weight"] <= r["weight_high"]
    weights = [r["own"] for r in results if r["driver"] == 1]
    assert weights == sorted(weights), "more rows, more of its own"


def _pooled():
    """All units' rows, an intercept for each."""
    x, y = [], []
    for i, unit in enumerate(UNITS):
        for row in unit_rows(unit, 6 if i == 0 else 30 + 40 * i):
            x.append([float(i == k) for k in range(10)] + row[:-1])
            y.append(row[-1])
    return np.array(y, dtype=float), np.array(x)


def test_units_in_which_nobody_answered_everything(solved):
    results, fits = solved.results("asked_units"), solved.rows("driver_fit", "asked_units")
    assert {(f["status"], f["method"], f["n"], f["n_complete"]) for f in fits} == {
        ("ok", "shrunk", 150, 0)}
    assert all(abs(f["n_eff"] - 100) < 1e-9 for f in fits), "a third of the answers is missing"
    rows = [([float(unit == k) for k in UNITS] + row[:-1], row[-1])
            for unit in UNITS for row in unit_rows(unit, 150)]
    whole = sm.OLS([y for _, y in rows], [x for x, _ in rows]).fit().params[-3:]
    off = [abs(r["coef"] - whole[r["driver"] - 1]) for r in results]
    assert np.mean(off) < .06, "all units are alike here"
    assert np.mean([r["ci_low"] <= whole[r["driver"] - 1] <= r["ci_high"] for r in results]) > .8


def test_few_units_stand_alone(solved, tmp_path):
    fits = solved.rows("driver_fit", "few_units")
    assert [f["status"] for f in fits] == ["insufficient"] + ["ok"] * 4
    assert fits[0]["n_complete"] == 60 and fits[0]["r2"] is None
    small = solved.results("few_units", segment=11)
    assert all(r["coef"] is None and r["performance"] is not None for r in small)
    for i, unit in list(enumerate(UNITS))[1:5]:
        n = 150 + 30 * i
        found = analyze(tmp_path, "few_units", unit_rows(unit, n), days_of(n, seed=unit))
        same_as_analyze(found, fits[i], solved.results("few_units", segment=unit))


def test_units_that_cannot_be_told(solved):
    results, fits = solved.results("odd_units"), solved.rows("driver_fit", "odd_units")
    assert {f["status"] for f in fits} == {"ok"} and {f["method"] for f in fits} == {"shrunk"}
    between = [r for r in results if r["driver"] == 2]
    assert {r["status"] for r in between} == {"constant"} and not any(r["coef"] for r in between)
    assert [f["n_complete"] for f in fits] == [80] * 9 + [0] and fits[9]["n"] == 80
    parent = {r["driver"]: r for r in results if r["segment"] == 20 and r["driver"] != 2}
    assert {r["status"] for r in parent.values()} == {"parent"}
    assert parent[1]["coef"] > .3 and parent[1]["ci_low"] is None and parent[3]["answered"] == 0


def test_a_unit_that_is_gone_leaves_no_rows(solved):
    with solved.stand.database.connect() as pg:
        pg.execute("DELETE FROM flightpath.driver_state WHERE series = %s AND segment = 20",
                   (solved.series["many_units"],))
    before = solved.results("many_units", segment=12)
    solved.mark("many_units", UNIT)
    solved.solve()
    assert [f["segment"] for f in solved.rows("driver_fit", "many_units")] == list(UNITS)[:-1]
    assert not solved.results("many_units", segment=20)
    assert solved.results("many_units", segment=12) != before


# ---- changes -------------------------------------------------------------------------------------

def test_a_coefficient_that_changes(solved):
    changes = solved.rows("driver_change", "turning", what="coefficient", driver=1)
    assert len(changes) == 1
    (one,) = changes
    assert one["after"] - one["before"] > .3 and one["p"] < 1e-6
    assert abs(one["day"] - (END - WINDOW // 2 + 1)) <= 3
    assert not solved.rows("driver_change", "complete", what="coefficient")


def test_a_refresh_says_the_same_again(solved):
    def everything():
        fit = solved.fit("complete")
        changes = solved.rows("driver_change", "complete")
        assert fit.pop("computed_at")
        return fit, solved.results("complete"), changes
    before = everything()
    assert {c["what"] for c in before[2]} >= {"key"}
    solved.mark("complete")
    solved.solve()
    assert everything() == before, "also when each change was found"


def test_a_key_driver_that_is_none_any_more(solved):
    def of(what):
        return {(c["driver"], c["day"]) for c in solved.rows("driver_change", "turning", what=what)}
    keys = {r["driver"] for r in solved.results("turning", day=END) if r["key"] == "key"}
    assert keys and of("key") == {(driver, END) for driver in keys} and not of("not_key")
    top = solved.fit("turning", day=END)["top_group"]
    assert of("top") == ({(top[0], END)} if len(top) == 1 else set())
    later = days_of(1500, END + 1, END + WINDOW)
    solved.put("turning", answers(60, 1500, 3, [0, 0, .9]), later)
    for _ in range(2):
        solved.mark("turning", newest=END + WINDOW)
        solved.solve()
    fit = solved.fit("turning", day=END + WINDOW)
    assert fit["status"] == "ok" and fit["top_group"] == [3]
    now = {r["driver"] for r in solved.results("turning", day=END + WINDOW) if r["key"] == "key"}
    assert 3 in now and keys - now
    assert of("not_key") == {(driver, END + WINDOW) for driver in keys - now}
    assert of("key") == {(d, END) for d in keys} | {(d, END + WINDOW) for d in now - keys}
    assert (3, END + WINDOW) in of("top") or top == [3]


# ---- the window, scoring -------------------------------------------------------------------------

def test_the_window_slides(solved, tmp_path):
    rows, days = operations(), days_of(400)
    solved.mark("operations", newest=END + 10)
    solved.solve()
    kept = [(r, d) for r, d in zip(rows, days) if d > END + 10 - WINDOW]
    assert 0 < len(kept) < len(rows)
    found = analyze(tmp_path, "operations", *zip(*kept))
    fit = solved.fit("operations", day=END + 10)
    assert (fit["first_day"], fit["n"]) == (END + 11 - WINDOW, len(kept))
    same_as_analyze(found, fit, solved.results("operations", day=END + 10))
    assert solved.fit("operations", day=END)["n"] == 400, "the day before stays as it was"


def test_scoring_coefficients(solved):
    rows = np.array(operations(), dtype=float) / [1, 1, 1, 100, 1]
    first = solved.rows("scoring", "operations")[0]
    results = solved.results("operations", day=END)
    assert first["coef"] == [r["coef"] for r in results[2:]]
    assert np.allclose(first["mean"], rows[:, 2:4].mean(axis=0), 1e-12, 0)
    assert math.isclose(first["centre"], rows[:, -1].mean(), rel_tol=1e-12)
    assert (first["low"], first["high"], first["cut"]) == (0, 10, 4)
    assert first["sigma"] == solved.fit("operations", day=END)["sigma"]
    assert not solved.rows("scoring", "complete"), "no measures, nothing to score with"
    (em,) = solved.rows("scoring", "operations_missing")
    fit = solved.fit("operations_missing")
    assert fit["method"] == "em" and abs(em["centre"] - fit["outcome_mean"]) < 1e-9


def test_scoring_versions_are_apart_in_time(solved):
    count = len(solved.rows("scoring", "operations"))
    extra = answers(50, 100, 4, [.6, .3, -.5, -.3], ["wait_s", "cost"])
    solved.put("operations", extra, [END] * 100)
    solved.solve()
    assert len(solved.rows("scoring", "operations")) == count, "ten minutes have not passed"
    solved.mark("operations")
    solved.solve(scoring_ms=100)
    assert len(solved.rows("scoring", "operations")) == count + 1
    solved.mark("operations")
    solved.solve(scoring_ms=100)
    assert len(solved.rows("scoring", "operations")) == count + 1, "nothing differs"


def test_scoring_waits_for_rows_and_then_not_for_the_clock(solved):
    def versions():
        return [v["n"] for v in solved.rows("scoring", "early")]
    assert solved.fit("early", day=END)["status"] == "ok" and versions() == []
    last = END - WINDOW + 1  # the first day of the window, left free
    for seed, more, wanted in ((80, 30, [120]), (81, 140, [120]), (82, 160, [120, 250])):
        solved.put("early", answers(seed, more, 4, [.6, .3, -.5, -.3], ["wait_s", "cost"]),
                   [last] * more)
        solved.solve()
        assert versions() == wanted, "of 230 rows none is due, of 250 one is"


# ---- from Kafka on ------------------------------------------------------------------------------

def test_responses_as_analyze(kafka, postgres, tmp_path):
    rows, days = with_gaps(answers(70, 300, 6, [.8, .5, .3, .2, .1, 0]), .1, 4), days_of(300)
    model = model_file()
    model["driver_models"] = [MODELS["complete"]]
    stand = Stand(kafka, postgres, tmp_path, model, retention_ms=-1)
    for i, (row, day) in enumerate(zip(rows, days)):
        scores = {c: v for c, v in zip(columns_of(MODELS["complete"]), row) if v is not None}
        noon = rfc3339(day * 86_400_000_000 + 43_200_000_000)
        stand.send(text(response(f"r{i}", scores, envelope_of={"time": noon})))
    stand.flush()
    assert stand.daemon(until_caught_up=True).wait() == 0
    with stand.database.connect() as pg:
        (fit,) = pg.execute("SELECT to_json(row) FROM flightpath.driver_fit row").fetchone()
        results = [r for (r,) in pg.execute("SELECT to_json(row) FROM flightpath.driver_result row"
                                            " ORDER BY driver")]
    stand.close()
    assert fit["n"] == 300 and fit["method"] == "em" and fit["groups"] == 12
    same_as_analyze(analyze(tmp_path, "complete", rows, days), fit, results)


# ---- what goes wrong -----------------------------------------------------------------------------

def test_a_damaged_state_keeps_nobody_waiting(solved):
    task = solved.task("damaged")
    assert task["dirty_at"] and not task["claimed_at"] and task["computed_at"] is None
    assert "state_corrupt" in task["last_error"] and f"day {END}" in task["last_error"]
    events = solved.daemon.events("driver_task_failed")
    assert len(events) == 1 and events[0]["level"] == "error"
    series = solved.series["damaged"]
    assert f"series {series}, segment 0/0" in events[0]["msg"] and f"day {END}" in events[0]["msg"]
    assert not solved.rows("driver_fit", "damaged")
    with solved.stand.database.connect() as pg:
        (wait,) = pg.execute("SELECT run_after - now() > '1 second' FROM flightpath.driver_task"
                             " WHERE series = %s", (series,)).fetchone()
        others = pg.execute("SELECT count(*) FROM flightpath.driver_task WHERE series <> %s AND"
                            " (dirty_at IS NOT NULL OR claimed_at IS NOT NULL)",
                            (series,)).fetchone()
    assert wait and others == (0,)


def test_a_mended_state_is_solved(solved):
    with solved.stand.database.connect() as pg:
        pg.execute("UPDATE flightpath.driver_state SET state = substr(state, 1, length(state) - 1)"
                   " WHERE series = %s AND day = (SELECT max(day) FROM flightpath.driver_state"
                   " WHERE series = %s)", (solved.series["damaged"],) * 2)
        pg.execute("UPDATE flightpath.driver_task SET last_error = NULL WHERE series = %s",
                   (solved.series["damaged"],))
    solved.solve()
    assert solved.fit("damaged")["status"] == "ok" and not solved.task("damaged")["dirty_at"]


def test_a_crash_loses_no_task(solved, faults_bin):
    day, keys = END + 1, solved.rows("driver_change", "complete", what="key")
    solved.mark("complete", newest=day)
    one = solved.stand.daemon(until_caught_up=True, binary=faults_bin,
                              env={"FLIGHTPATH_FAULT": "refresh_before_commit:1:kill"})
    assert one.wait() == -9
    task = solved.task("complete")
    assert task["claimed_at"] and not task["dirty_at"]
    assert not solved.rows("driver_fit", "complete", day=day)
    solved.solve()
    assert solved.fit("complete", day=day)["status"] == "ok"
    assert not solved.task("complete")["claimed_at"]
    assert solved.rows("driver_change", "complete", what="key") == keys, "key they were before"


def test_marked_again_while_it_is_solved(solved, faults_bin, wait_for):
    one = solved.stand.daemon(binary=faults_bin, drivers_refresh_ms=3600000, env={
        "FLIGHTPATH_FAULT": "refresh_before_commit:1:sleep=3000"}).ready()
    with solved.stand.database.connect() as pg:
        pg.execute("UPDATE flightpath.driver_task SET run_after = '-infinity'")
    before = solved.task("missing")["computed_at"]
    solved.mark("missing")
    wait_for(lambda: solved.task("missing")["claimed_at"], "it is being solved")
    start = time.monotonic()
    solved.mark("missing")
    assert time.monotonic() - start < 1.5, "marking does not wait for the solver"
    wait_for(lambda: solved.task("missing")["computed_at"] != before, "it is solved")
    task = solved.task("missing")
    assert task["dirty_at"] and not task["claimed_at"], "and behind again"
    assert one.stop() == 0


def test_two_solvers_share_the_work(solved, faults_bin):
    for name in ("complete", "missing", "operations", "constant", "doubled", "flat"):
        solved.mark(name)
    pair = [solved.stand.daemon(until_caught_up=True, **more) for more in (
        {"binary": faults_bin, "env": {"FLIGHTPATH_FAULT": "refresh_before_commit:1:sleep=1500"}},
        {})]
    assert [one.wait() for one in pair] == [0, 0]
    with solved.stand.database.connect() as pg:
        assert pg.execute("SELECT count(*) FROM flightpath.driver_task WHERE dirty_at IS NOT NULL"
                          " OR claimed_at IS NOT NULL").fetchone() == (0,)
    assert not [e for one in pair for e in one.events() if e["level"] == "error"]
