# SPDX-License-Identifier: GPL-3.0-or-later
"""Units compared on each KPI, against numpy and scipy over the same answers.

Answers are planted as tallies, spread over days, channels and lanes; a daemon on empty topics
compares the units and ends. The judge (judge_benchmarks.py) starts from the answers themselves.
"""

import datetime
import json
import math
import random
import time

import numpy as np
import psycopg
import pytest
from scipy import stats

from judge_benchmarks import EVENTS, FORMS, Judge, Unit, Z
from support.program import run
from support.stand import Stand

DAY = int(time.time() // 86400) - 3  # the newest with answers
TALLY = ["n", "weight", "weight_square", "sum", "sum_square", *(f"b{i}" for i in range(11))]


def day_text(day):
    return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=day))


def item(name, metric, scale, **more):
    return {"id": name, "kind": "outcome", "metric": metric, "scale": scale, "text": name} | more


def kpi(name, source, **more):
    return {"id": name, "role": "output", "source": source, "statement": f"About {name}",
            "journey": "visit"} | more


MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "compared", "time_zone": "Europe/Amsterdam",
                  "retention_days": {"responses": 400, "tallies": 800}},
    "scales": {"eleven": {"min": 0, "max": 10}, "five": {"min": 1, "max": 5},
               "seven": {"min": 1, "max": 7}},
    "measures": {"wait_s": {"unit": "s", "decimals": 1, "min": 0, "max": 5000,
                            "direction": "lower"},
                 "staff": {"unit": "1", "decimals": 1, "min": 1, "max": 100,
                           "direction": "higher"}},
    "owners": [{"id": "ann", "name": "Ann", "department": "desk"}],
    "units": [{"id": "north", "name": "The North"},
              *({"id": f"u{i}", "name": f"Unit {i}", "parent": "north"} for i in range(5))],
    "touchpoints": [{"id": "desk", "name": "Desk", "owner": "ann"}],
    "journeys": [{"id": "visit", "name": "I visit", "audience": "customer", "level": "main",
                  "detailed": [{"id": "come_in", "touchpoints": ["desk"]}]},
                 {"id": "work", "name": "I work", "audience": "employee", "level": "main"}],
    "items": [item("recommend", "nps", "eleven"), item("pleased", "csat", "five"),
              item("effort", "ces", "seven"), item("agree", "mean", "five"),
              item("sure", "top_box", "five"), item("proud", "nps", "eleven"),
              item("clear", "mean", "five")],
    "kpis": [
        kpi("nps", {"item": "recommend"}, owner="ann", benchmark={
            "value": 20, "sd": 80, "n": 400, "source": "Trade survey 2025"}),
        kpi("nps_near", {"item": "recommend"}, benchmark={
            "value": 12, "n": 250, "source": "Somebody", "from": day_text(DAY - 400),
            "until": day_text(DAY)}),
        kpi("nps_late", {"item": "recommend"}, benchmark={
            "value": 20, "source": "Last year's", "until": day_text(DAY - 1)}),
        kpi("nps_three", {"item": "recommend"}),
        kpi("nps_one", {"item": "recommend"}, benchmark={"value": 20, "source": "Known"}),
        kpi("nps_flat", {"item": "recommend"}),
        kpi("nps_silent", {"item": "recommend"}),
        kpi("nps_changing", {"item": "recommend"}),
        kpi("csat", {"item": "pleased"}),
        kpi("ces", {"item": "effort"}),
        kpi("mean", {"item": "agree"}, benchmark={"value": 4, "source": "Exact"}),
        kpi("top_box", {"item": "sure"}),
        kpi("employees", {"item": "proud"}, journey="work"),
        kpi("wait", {"measure": "wait_s"}, touchpoint="desk", direction="lower"),
        kpi("quick", {"measure": "wait_s", "within": 300}, touchpoint="desk"),
        kpi("slow", {"measure": "wait_s", "quantile": 0.9}, touchpoint="desk"),
        kpi("failed", {"outcome": "failed"}, touchpoint="desk"),
        kpi("per_head", {"measure": "wait_s", "per": "staff"}, touchpoint="desk"),
        kpi("climate", {"items": ["agree", "pleased"]}),
        kpi("answered", {"response_rate": True}),
        kpi("straight", {"straight_lining": True}),
    ],
}


# ---- rows against the judge ----------------------------------------------------------------------

def close(got, want, what, tolerance=1e-6):
    if want is None:
        assert got is None, what
        return
    assert got == pytest.approx(want, rel=tolerance, abs=tolerance), what


def check_numbers(judge, rows, fit):
    raw, (shrunk, own, reach) = judge.raw(), judge.shrunk()
    centre, phi = judge.funnel() if judge.k > 1 else (None, None)
    close(fit["answer_variance"], judge.answer, "answer variance")
    close(fit["centre"], centre, "centre")
    close(fit["phi"], phi, "phi")
    for name in ("mu", "i2"):
        close(fit[name], getattr(judge, name) if judge.shrinks else None, name)
    close(fit["tau"], math.sqrt(judge.tau2) if judge.shrinks else None, "tau", 1e-5)
    for i, unit in enumerate(judge.names):
        row = rows[unit]
        close(row["n_eff"], judge.n[i], unit)
        close([row[c] for c in ("raw", "raw_low", "raw_high")], [x[i] for x in raw], unit)
        close([row[c] for c in ("shrunk", "ci_low", "ci_high")], [x[i] for x in shrunk], unit)
        close(row["own"], own[i], unit)
        wanted = judge.rest(i) if judge.k > 1 else [None] * 4
        for column, want in zip(("rest", "rest_low", "rest_high", "rest_z"), wanted):
            close(row[column], want, f"{unit} {column}")
        if judge.k > 1:
            check_funnel(judge, row, i, centre, phi)
        check_external(judge, row, shrunk[0][i], reach[i])


def check_funnel(judge, row, i, centre, phi):
    error = math.sqrt(judge.answer / judge.n[i])
    close(row["funnel_centre"], centre, "funnel_centre")
    close(row["funnel_z"], (judge.y[i] - centre) / error, "funnel_z")
    widths = {"plain": error, "multiplied": error * math.sqrt(phi)}
    if judge.shrinks:
        widths["added"] = math.hypot(error, math.sqrt(judge.tau2))
    for kind, width in widths.items():
        for name, z in (("95", Z), ("998", stats.norm.ppf(0.999))):
            _, low, high = judge.clip(centre, z * width)
            close(row[f"{kind}_low_{name}"], low, kind)
            close(row[f"{kind}_high_{name}"], high, kind)


def check_external(judge, row, shrunk, reach):
    columns = ("external_difference", "external_low", "external_high")
    if judge.external is None:
        assert [row[c] for c in (*columns, "external", "external_side")] == [None] * 5
        return
    half = math.hypot(reach, Z * math.sqrt(judge.external_variance))
    difference = shrunk - judge.external
    close([row[c] for c in columns], [difference, difference - half, difference + half], "external")
    assert row["external_side"] == ("above" if difference > half else
                                    "below" if difference < -half else "undecided")


def check_ranks(judge, rows):
    """The range is of 1,000 draws; ours are 20,000."""
    ranks, third = judge.ranks(), (judge.k + 1) // 3
    for i, unit in enumerate(judge.names):
        row, mine = rows[unit], ranks[:, i]
        for column, p in (("p_top", (mine <= third).mean()),
                          ("p_bottom", (mine > judge.k - third).mean())):
            error = math.sqrt(max(p * (1 - p), 1e-4) * (1 / 1000 + 1 / 20000))
            assert abs(row[column] - p) < 4.5 * error, (unit, column, row[column], p)
        error = mine.std() * math.sqrt(1 / 1000 + 1 / 20000)
        assert abs(row["rank_expected"] - mine.mean()) < 4.5 * error + 1e-9, unit
        # the tails beyond the limits, by our draws: 2.5 % within 4.5 standard errors
        slack = 4.5 * math.sqrt(0.025 * 0.975 / 1000)
        assert (mine < row["rank_low"]).mean() < 0.025 + slack, unit
        assert (mine <= row["rank_low"]).mean() > 0.025 - slack, unit
        assert (mine > row["rank_high"]).mean() < 0.025 + slack, unit
        assert (mine >= row["rank_high"]).mean() > 0.025 - slack, unit
        assert row["tier"] == ("top" if row["p_top"] >= 0.9 else
                               "bottom" if row["p_bottom"] >= 0.9 else "middle")


# ---- planting ------------------------------------------------------------------------------------

class Planted:
    def __init__(self, stand):
        self.stand = stand
        self.chance = random.Random(7)
        self.units = {}
        with self.connect() as pg:
            for table in ("tally_day", "sketch_day"):
                pg.execute("SELECT flightpath.ensure_partitions(%s, now() - interval '80 days',"
                           " now())", [table])
            self.kpis = {name: (series, low) for name, series, low in pg.execute(
                "SELECT kpi, series, coalesce(scale_min, 0)::int FROM flightpath.kpi")}

    def connect(self):
        return self.stand.database.connect()

    def put(self, kpi, unit, answers, last=DAY, days=30):
        """Over days, channels and lanes by chance; kept for the judge unless it is of before."""
        if last == DAY:
            self.units.setdefault(kpi, {})[unit] = answers
        with self.connect() as pg:
            ids = {kind: pg.execute("SELECT id FROM flightpath.register_names(%s::smallint, %s,"
                                    " 1000)", [kind, [name]]).fetchone()[0]
                   for kind, name in ((0, unit), (1, "web"))}
            plant = self.sketch if kpi == "slow" else self.tally
            plant(pg, kpi, ids, answers, last, days)

    def place(self, ids, last, days):
        return (last - self.chance.randrange(days), ids[0], self.chance.choice((0, ids[1])),
                self.chance.randrange(3))

    def tally(self, pg, kpi, ids, answers, last, days):
        series, low = self.kpis[kpi]
        cells = {}
        for i, (y, w) in enumerate(zip(answers.y.astype(int), answers.w.astype(int))):
            # the newest day has an answer
            place = self.place(ids, last, 1 if i == 0 else days)
            cell = cells.setdefault(place, [0] * 16)
            parts = [1, w, w * w, w * y, w * y * y]
            for j, x in enumerate(parts):
                cell[j] += int(x)
            if answers.pair is not None:
                z = int(answers.pair[i])
                for j, x in enumerate((z * w, z * z * w, y * z * w)):
                    cell[5 + j] += int(x)
            elif 0 <= y - low <= 10:
                cell[5 + y - low] += int(w)
        with pg.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO flightpath.tally_day (series, bucket, unit, channel, lane,"
                f" {', '.join(TALLY)}) VALUES ({', '.join(['%s'] * 21)})",
                [[series, *place, *cell] for place, cell in cells.items()])

    def sketch(self, pg, kpi, ids, answers, last, days):
        cells = {}
        for y in answers.y.astype(int):
            place = (*self.place(ids, last, days), sketch_bin(int(y)))
            cells[place] = cells.get(place, 0) + 1
        with pg.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO flightpath.sketch_day (series, bucket, unit, channel, lane, bin, n)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [[self.kpis[kpi][0], *place, n] for place, n in cells.items()])

    def rows(self, kpi, view="benchmark"):
        with self.connect() as pg:
            cursor = pg.cursor(row_factory=psycopg.rows.dict_row)
            return cursor.execute(f"SELECT * FROM experience.{view} WHERE kpi = %s",
                                  [kpi]).fetchall()

    def by_unit(self, kpi):
        return {row["unit"]: row for row in self.rows(kpi)}

    def fit(self, kpi):
        rows = self.rows(kpi, "benchmark_fit")
        assert len(rows) == 1
        return rows[0]

    def judge(self, kpi, least=10, **external):
        of, scale, direction = FORMS[kpi]
        names = self.in_order(kpi)
        cells = {u: of(self.units[kpi][u]) for u in names
                 if kpi in EVENTS or self.units[kpi][u].n >= least}
        return Judge(cells, scale, direction, **external)

    def in_order(self, kpi):
        return [u for u in self.units[kpi] if u not in ("", "__other__")]


def sketch_bin(v):
    """By exact integers: 64 + 38 per doubling, along (4m − m²)/3."""
    if v < 64:
        return v
    e = v.bit_length() - 1
    m = v - 2 ** e
    return 64 + 38 * (e - 6) + (4 * m * 2 ** e - m * m) * 38 // (3 * 4 ** e)


def compute(stand, count=1):
    """As many daemons at once find nothing to read, compare what is stored, and end."""
    running = [stand.daemon(until_caught_up=True) for _ in range(count)]
    for one in running:
        assert one.wait(120) == 0, one.text()[-3000:]


def sample(chance, n, values, better):
    """n answers of the values; better > 0 tilts them upwards."""
    p = np.exp(better * np.linspace(-1, 1, len(values)))
    return Unit(chance.choice(values, n, p=p / p.sum()))


def plant_all(made):
    chance = np.random.default_rng(3)
    eleven, five, seven = np.arange(11), np.arange(1, 6), np.arange(1, 8)

    def estate(kpi, values, units=24, least=12, most=220):
        for i in range(units):
            made.put(kpi, f"u{i}", sample(chance, int(chance.integers(least, most)), values,
                                          1 + chance.normal(0, 0.35)))

    for kpi in ("nps", "nps_near", "nps_late", "nps_changing"):
        estate(kpi, eleven)
    for unit in ("", "__other__"):  # no units of their own
        made.put("nps", unit, sample(chance, 300, eleven, -2))
    made.put("nps", "u1", sample(chance, 500, eleven, -3), last=DAY - 30)  # before the window
    made.put("nps", "gone", sample(chance, 500, eleven, -3), last=DAY - 30)
    weighted = sample(chance, 150, eleven, 1.2)
    weighted.w = chance.integers(1, 4, 150).astype(float)
    made.put("nps", "weighted", weighted)
    made.put("nps", "small", sample(chance, 9, eleven, 3))    # one below min_n
    made.put("nps", "least", sample(chance, 10, eleven, 3))
    made.put("nps", "agreed", Unit([10] * 14))
    estate("nps_three", eleven, units=3)
    estate("nps_one", eleven, units=1, least=100)
    for i in range(5):
        made.put("nps_flat", f"u{i}", Unit([10] * 20))
    for kpi, values in (("csat", five), ("top_box", five), ("ces", seven), ("mean", five)):
        estate(kpi, values)
    estate("employees", eleven, units=8, least=5, most=30)
    made.put("employees", "four", sample(chance, 4, eleven, 0))
    for kpi in ("quick", "failed", "answered", "straight"):
        estate(kpi, np.arange(2), units=18, least=30)
    made.put("quick", "small", Unit([1, 0, 1]))  # events have no minimum
    for i in range(15):
        n = int(chance.integers(20, 200))
        made.put("wait", f"u{i}", Unit(np.round(chance.gamma(4, 500 + 20 * i, n))))
        made.put("slow", f"u{i}", Unit(chance.integers(1, 40 + i, n)))
        staff = chance.integers(10, 60, n)
        made.put("per_head", f"u{i}", Unit(staff * (3 + i / 10) // 1 + chance.integers(0, 50, n),
                                           pair=staff))
        asked = chance.integers(1, 3, n)
        made.put("climate", f"u{i}", Unit([chance.integers(1, 6, k).sum() for k in asked],
                                          pair=asked))


@pytest.fixture(scope="module")
def made(kafka, postgres, tmp_path_factory):
    stand = Stand(kafka, postgres, tmp_path_factory.mktemp("benchmarks"), MODEL)
    compute(stand)  # installs the model
    planted = Planted(stand)
    plant_all(planted)
    compute(stand)
    yield planted
    stand.close()


# ---- tests ---------------------------------------------------------------------------------------

EXTERNAL = {"nps": {"external": 20, "external_variance": 80 ** 2 / 400},
            "mean": {"external": 4}, "nps_one": {"external": 20}}


@pytest.mark.parametrize("kpi", [k for k in FORMS if k not in ("nps_flat", "nps_near")])
def test_numbers(made, kpi):
    judge = made.judge(kpi, least=5 if kpi == "employees" else 10, **EXTERNAL.get(kpi, {}))
    rows, fit = made.by_unit(kpi), made.fit(kpi)
    shown = {unit: row for unit, row in rows.items() if row["status"] != "suppressed_min_n"}
    assert sorted(shown) == judge.names
    assert set(rows) == set(made.in_order(kpi))
    assert fit["units"] == judge.k and fit["suppressed"] == len(rows) - judge.k
    check_numbers(judge, rows, fit)
    if judge.k > 1:
        check_ranks(judge, rows)


def test_the_window_is_that_of_kpi_now(made):
    for row in made.rows("nps", "benchmark") + made.rows("slow", "benchmark"):
        now = [r for r in made.rows(row["kpi"], "kpi_now") if r["unit"] == row["unit"]]
        assert len(now) == 1
        assert (row["window_from"], row["window_to"]) == (
            datetime.date.fromisoformat(day_text(DAY - 29)),
            datetime.date.fromisoformat(day_text(DAY)))
        assert row["n"] == now[0]["n"]
        assert row["raw"] == (pytest.approx(now[0]["value"]) if row["n"] else None)


def test_suppressed_units_say_nothing(made):
    rows = made.by_unit("nps")
    small = rows["small"]
    says = {"kpi", "unit", "status", "external", "external_source", "units", "window_from",
            "window_to", "journey", "unit_label", "statement", "role", "owner", "owner_label",
            "audience", "metric", "direction", "scale_min", "scale_max", "definition",
            "computed_at"}
    assert small["status"] == "suppressed_min_n"
    assert {c for c, value in small.items() if value is not None} == says
    assert rows["least"]["status"] == "insufficient_n" and rows["least"]["shrunk"] is not None
    with made.connect() as pg:
        stored = pg.execute("SELECT count(*) FROM flightpath.benchmark_result WHERE status ="
                            " 'suppressed_min_n' AND (raw IS NOT NULL OR shrunk IS NOT NULL"
                            " OR n_eff IS NOT NULL)").fetchone()[0]
    assert stored == 0
    employees = made.by_unit("employees")
    assert employees["four"]["status"] == "suppressed_min_n"
    assert all(row["n"] >= 5 for unit, row in employees.items() if unit != "four")
    assert made.by_unit("quick")["small"]["n"] == 3
    assert made.by_unit("quick")["small"]["status"] == "insufficient_n"


def test_a_higher_minimum_hides_at_once(made):
    with made.connect() as pg:
        before = pg.execute("SELECT count(*) FROM experience.benchmark WHERE kpi = 'nps'"
                            " AND n < 40").fetchone()[0]
        assert before > 0
        pg.execute("UPDATE flightpath.programme SET min_n = 40")
        try:
            hidden = pg.execute("SELECT count(*) FILTER (WHERE raw IS NOT NULL OR n IS NOT NULL),"
                                " count(*) FROM experience.benchmark b WHERE kpi = 'nps' AND"
                                " status = 'suppressed_min_n'").fetchone()
        finally:
            pg.execute("UPDATE flightpath.programme SET min_n = 10")
    assert hidden == (0, before + 1)  # and the one that was


def test_few_units(made):
    three, one = made.by_unit("nps_three"), made.by_unit("nps_one")
    assert made.fit("nps_three")["status"] == "few_units"
    assert made.fit("nps_three")["tau"] is None and made.fit("nps_three")["method"] is None
    for row in three.values():
        assert row["shrunk"] == row["raw"] and row["own"] == 1 and row["added_low_95"] is None
    assert made.fit("nps_one")["status"] == "one_unit"
    only = one["u0"]
    assert only["rank_low"] is None and only["tier"] is None and only["rest"] is None
    assert only["external_side"] in ("above", "below", "undecided")


def test_nothing_to_compare_by(made):
    rows = made.by_unit("nps_flat")
    assert made.fit("nps_flat")["status"] == "no_variance"
    assert {row["status"] for row in rows.values()} == {"no_variance"}
    assert {(row["raw"], row["raw_low"], row["tier"]) for row in rows.values()} == {(100, None,
                                                                                    None)}
    assert made.fit("nps_silent")["status"] == "no_units" and not made.rows("nps_silent")
    assert made.fit("nps_silent")["units"] == 0


def test_external_values(made):
    nps, fit = made.by_unit("nps"), made.fit("nps")
    assert fit["external_source"] == nps["u0"]["external_source"] == "Trade survey 2025"
    close(fit["external_se"], 4, "sd / sqrt(n)")
    assert {row["external_side"] for row in nps.values()} >= {"below", "undecided"}
    near = made.judge("nps_near")
    near.external, near.external_variance = 12, near.answer / 250  # our own answers' variance
    rows = made.by_unit("nps_near")
    check_numbers(near, rows, made.fit("nps_near"))
    check_ranks(near, rows)
    late = made.fit("nps_late")  # no longer valid on the window's last day
    assert late["external"] is None and late["external_source"] is None


def test_less_is_better(made):
    rows = made.by_unit("wait")
    best = min(rows.values(), key=lambda row: row["shrunk"])
    worst = max(rows.values(), key=lambda row: row["shrunk"])
    assert best["rank_low"] == 1 and worst["rank_high"] == len(rows)
    assert best["tier"] == "top" and worst["tier"] == "bottom"
    assert best["direction"] == "lower"


def test_words_beside_the_numbers(made):
    row = made.by_unit("nps")["u1"]
    assert (row["unit_label"], row["parent"]) == ("Unit 1", "north")
    assert (row["owner"], row["owner_label"], row["journey"]) == ("ann", "Ann", "visit")
    assert row["statement"] == "About nps" and len(row["definition"]) == 64
    assert made.by_unit("nps")["u9"]["unit_label"] == "u9"
    with made.connect() as pg:
        pg.execute("SET ROLE flightpath_reader")
        assert pg.execute("SELECT count(*) FROM experience.benchmark").fetchone()[0] > 300
        assert pg.execute("SELECT count(*) FROM experience.benchmark_fit").fetchone()[0] == 21
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pg.execute("SELECT * FROM flightpath.benchmark_result")


@pytest.mark.parametrize("kpi", ["nps", "slow"])
def test_explain(made, kpi):
    done = run("explain", "benchmark", f"kpi={kpi}", "unit=u4", check=True, json=True,
               postgres=made.stand.database.conninfo).json
    row = made.by_unit(kpi)["u4"]
    assert done["row"]["shrunk"] == row["shrunk"] and done["row"]["tier"] == row["tier"]
    assert done["estate"]["units"] == row["units"]
    assert (done["window"]["first_bucket"], done["window"]["last_bucket"]) == (DAY - 29, DAY)
    with made.connect() as pg:
        again = pg.execute("\n".join(done["sql"])).fetchall()
    n = sum(one[1] for one in again) if kpi == "slow" else again[0][0]
    assert n == row["n"] == made.units[kpi]["u4"].n
    refused = run("explain", "benchmark", f"kpi={kpi}", "unit=nowhere",
                  postgres=made.stand.database.conninfo)
    assert refused.code == 2 and "no unit nowhere; there is: " in refused.err
    refused = run("explain", "benchmark", f"kpi={kpi}", postgres=made.stand.database.conninfo)
    assert refused.code == 2 and "no unit given" in refused.err


def computed_at(made):
    with made.connect() as pg:
        return dict(pg.execute("SELECT kpi, computed_at FROM experience.benchmark_fit"))


def test_only_what_changed_is_computed_again(made):
    before = computed_at(made)
    with made.connect() as pg:  # moves rows between lanes, changes no sum
        assert pg.execute("SELECT flightpath.fold(now() + interval '1 day', 100000)"
                          ).fetchone()[0] > 0
    compute(made.stand)
    assert computed_at(made) == before
    chance = np.random.default_rng(5)
    made.put("nps_changing", "newcomer", sample(chance, 80, np.arange(11), 4))
    compute(made.stand)
    after = computed_at(made)
    assert {kpi for kpi in after if after[kpi] != before[kpi]} == {"nps_changing"}
    test_numbers(made, "nps_changing")
    assert made.by_unit("nps_changing")["newcomer"]["tier"] == "top"


def test_a_unit_leaves(made):
    made.units["nps_changing"].pop("u3")
    with made.connect() as pg:
        pg.execute("DELETE FROM flightpath.tally_day t USING flightpath.name u WHERE u.kind = 0"
                   " AND u.name = 'u3' AND t.unit = u.id AND t.series = %s",
                   [made.kpis["nps_changing"][0]])
    compute(made.stand)
    assert "u3" not in made.by_unit("nps_changing")
    test_numbers(made, "nps_changing")


def test_a_sum_beyond_its_range_stops_one_kpi_only(made):
    series = made.kpis["nps_three"][0]
    change = ("UPDATE flightpath.tally_day SET weight = weight {} 9223372036854770000"
              " WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM flightpath.tally_day"
              " WHERE series = %s ORDER BY bucket, unit, channel, lane LIMIT 2)")
    before = made.by_unit("nps_three")
    with made.connect() as pg:
        pg.execute(change.format("+"), [series])
        pg.execute("DELETE FROM flightpath.benchmark_fit")
        pg.execute("UPDATE flightpath.benchmark_task SET signature = NULL")
    compute(made.stand)
    with made.connect() as pg:
        failed = pg.execute("SELECT series, last_error FROM flightpath.benchmark_task"
                            " WHERE last_error IS NOT NULL").fetchall()
        assert [one[0] for one in failed] == [series] and "22003" in failed[0][1]
        assert pg.execute("SELECT count(*) FROM experience.benchmark_fit").fetchone()[0] == 20
        pg.execute(change.format("-"), [series])
        pg.execute("UPDATE flightpath.benchmark_task SET run_after = now()")
    compute(made.stand)
    after = made.by_unit("nps_three")
    for rows in (before, after):
        for row in rows.values():
            row.pop("computed_at")
    assert after == before


def test_an_old_definition_leaves_nothing(made):
    with made.connect() as pg:
        old = pg.execute(
            "INSERT INTO flightpath.kpi (kpi, definition, current, model_hash, role, metric,"
            " source, audience, grain, direction)"
            " SELECT kpi, 'before', false, model_hash, role, metric,"
            " source, audience, grain, direction FROM flightpath.kpi WHERE kpi = 'nps'"
            " RETURNING series").fetchone()[0]
        pg.execute("INSERT INTO flightpath.benchmark_task (series) VALUES (%s)", [old])
        pg.execute("INSERT INTO flightpath.benchmark_fit (series, status, units, suppressed,"
                   " of_answers, computed_at) VALUES (%s, 'ok', 1, 0, true, now())", [old])
        pg.execute("INSERT INTO flightpath.benchmark_result (series, unit, n, status, pooled)"
                   " VALUES (%s, 2, 50, 'ok', false)", [old])
        assert len(made.rows("nps", "benchmark_fit")) == 1  # not published meanwhile
    compute(made.stand)
    with made.connect() as pg:
        for table in ("task", "fit", "result"):
            assert pg.execute(f"SELECT count(*) FROM flightpath.benchmark_{table}"
                              " WHERE series = %s", [old]).fetchone()[0] == 0
    assert made.by_unit("nps")["u1"]["shrunk"] is not None


def test_two_at_once_give_the_same_rows(made):
    def everything():
        with made.connect() as pg:
            return [pg.execute(f"SELECT to_jsonb(r) - 'computed_at' FROM flightpath.{table} r"
                               f" ORDER BY {order}").fetchall()
                    for table, order in (("benchmark_result", "series, unit"),
                                         ("benchmark_fit", "series"))]

    before = everything()
    assert len(before[0]) > 300
    with made.connect() as pg:
        pg.execute("TRUNCATE flightpath.benchmark_task, flightpath.benchmark_result,"
                   " flightpath.benchmark_fit")
    compute(made.stand, count=2)
    assert everything() == before
    assert json.dumps(before) != "[[], []]"
