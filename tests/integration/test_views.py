# SPDX-License-Identifier: GPL-3.0-or-later
"""The published views against plain Python, statsmodels and scipy over the same answers.

Answers are planted as tallies by SQL, spread over lanes; the expected numbers are computed from the
answers themselves, by other formulas than the database's.
"""

import datetime
import json
import math
import random
import zoneinfo

import psycopg
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from support.paths import ROOT

Z = stats.norm.ppf(0.975)
ZONE = "Europe/Amsterdam"
TZ = zoneinfo.ZoneInfo(ZONE)
DAY0 = 20500  # 2026-02-16, a Monday
TALLY = ("n, weight, weight_square, sum, sum_square, "
         + ", ".join(f"b{i}" for i in range(11)))


# ---- the other way to each number ----------------------------------------------------------------

def tango(p, m, n):
    """Limits of the net promoter score: bisection on the score statistic, by its definition."""
    def statistic(d):
        b = -(p + m) + (2 - p + m) * d
        q = (math.sqrt(max(b * b + 8 * m * d * (1 - d), 0)) - b) / 4
        return (p - m - d) / math.sqrt(max(2 * q + d * (1 - d), 1e-300) / n)

    def root(inside, outside, sign):
        for _ in range(200):
            middle = (inside + outside) / 2
            if sign * statistic(middle) < Z:
                inside = middle
            else:
                outside = middle
        return 100 * inside

    delta = p - m
    return (root(delta, -1, 1) if delta > -1 else -100,
            root(delta, 1, -1) if delta < 1 else 100)


def wilson(successes, n):
    return proportion_confint(successes, n, method="wilson")


def moments(answers):
    """n_eff, mean and variance of weighted answers."""
    weight = sum(w for _, w in answers)
    n_eff = weight ** 2 / sum(w * w for _, w in answers)
    mean = sum(y * w for y, w in answers) / weight
    centred = sum(w * (y - mean) ** 2 for y, w in answers) / weight
    return n_eff, mean, centred * n_eff / (n_eff - 1)


def mean_interval(answers, low, high):
    n_eff, mean, variance = moments(answers)
    half = stats.t.ppf(0.975, n_eff - 1) * math.sqrt(variance / n_eff)
    return mean, max(mean - half, low), min(mean + half, high)


def share_of(answers, good):
    weight = sum(w for _, w in answers)
    n_eff = weight ** 2 / sum(w * w for _, w in answers)
    share = sum(w for y, w in answers if good(y)) / weight
    return (share, *wilson(share * n_eff, n_eff))


def nps_of(answers):
    n_eff = moments(answers)[0]
    weight = sum(w for _, w in answers)
    p = sum(w for y, w in answers if y >= 9) / weight
    m = sum(w for y, w in answers if y <= 6) / weight
    return (100 * (p - m), *tango(p, m, n_eff))


def midnight(day):
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=day)
    return datetime.datetime.combine(date, datetime.time(), TZ)


# ---- planting ------------------------------------------------------------------------------------

class Plant:
    """A programme whose KPIs get answers: plant.kpi(…), plant.answers(…), plant.rows(…)."""

    def __init__(self, pg):
        self.pg = pg
        self.series = {}
        self.random = random.Random(5)
        pg.execute(
            "INSERT INTO flightpath.programme (id, time_zone, model_hash, min_n, min_n_employee,"
            " responses_days, tallies_days, rejects_days)"
            " VALUES ('p', %s, 'h', 10, 5, 400, 1100, 90)",
            [ZONE])
        for table in ("tally_hour", "tally_day", "sketch_day", "coverage_day"):
            pg.execute("SELECT flightpath.ensure_partitions(%s, '2025-11-01', '2026-06-01')",
                       [table])

    def kpi(self, name, metric, **more):
        columns = {"kpi": name, "metric": metric, "definition": "d", "current": True,
                   "model_hash": "h", "role": "output", "source": "item", "audience": "customer",
                   "grain": "day", "direction": "higher", **more}
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        self.series[name] = self.pg.execute(
            f"INSERT INTO flightpath.kpi ({names}) VALUES ({marks}) RETURNING series",
            list(columns.values())).fetchone()[0]
        return name

    def name(self, kind, name):
        rows = self.pg.execute("SELECT id FROM flightpath.register_names(%s::smallint, %s, 100)",
                               [kind, [name]]).fetchone()
        return rows[0]

    def answers(self, kpi, bucket, answers, unit="", channel="", table="tally_day", minimum=0):
        """Each (value, weight) goes to a lane by chance."""
        cells = {}
        for y, w in answers:
            cell = cells.setdefault(self.random.randrange(4), [0] * 16)
            for i, x in enumerate((1, w, w * w, w * y, w * y * y)):
                cell[i] += x
            if 0 <= y - minimum <= 10:
                cell[5 + y - minimum] += w
        for lane, cell in cells.items():
            self.pg.execute(
                f"INSERT INTO flightpath.{table} (series, bucket, unit, channel, lane, {TALLY})"
                f" VALUES ({', '.join(['%s'] * 21)})",
                [self.series[kpi], bucket, self.name(0, unit), self.name(1, channel), lane, *cell])

    def sketch(self, kpi, day, values, unit=""):
        counts = {}
        for value in values:
            cell = (sketch_bin(value), self.random.randrange(4))
            counts[cell] = counts.get(cell, 0) + 1
        for (bin_, lane), n in counts.items():
            self.pg.execute(
                "INSERT INTO flightpath.sketch_day (series, bucket, unit, channel, bin, lane, n)"
                " VALUES (%s, %s, %s, 0, %s, %s, %s)",
                [self.series[kpi], day, self.name(0, unit), bin_, lane, n])

    def rows(self, sql, *args):
        cursor = self.pg.cursor(row_factory=psycopg.rows.dict_row)
        return cursor.execute(sql, args).fetchall()

    def row(self, sql, *args):
        rows = self.rows(sql, *args)
        assert len(rows) == 1, rows
        return rows[0]


def sketch_bin(v):
    """By exact integers: 64 + 38 per doubling, along (4m − m²)/3."""
    if v < 64:
        return v
    e = v.bit_length() - 1
    m = v - 2 ** e
    return 64 + 38 * (e - 6) + (4 * m * 2 ** e - m * m) * 38 // (3 * 4 ** e)


@pytest.fixture
def plant(pg):
    return Plant(pg)


def close(got, want, tolerance=1e-9):
    assert got == pytest.approx(want, rel=tolerance, abs=tolerance)


def interval(row):
    return row["value"], row["ci_low"], row["ci_high"]


def weighted(seed, values, n, weights=(1,)):
    chance = random.Random(seed)
    return [(chance.choice(values), chance.choice(weights)) for _ in range(n)]


# ---- the arithmetic ------------------------------------------------------------------------------

def test_nps_interval(pg):
    rows, wanted = [], []
    for n in (1, 2, 3.7, 10, 57, 1000, 1e6):
        for p in (0, 0.01, 0.1, 0.45, 0.9, 1):
            for m in (0, 0.01, 0.1, 0.45, 0.9, 1):
                if p + m <= 1:
                    rows.append((p * n, m * n, n))
                    wanted.append(tango(p, m, n))
    for (promoters, detractors, n), (low, high) in zip(rows, wanted):
        got = pg.execute("SELECT experience.nps_interval(%s::float8, %s::float8, %s::float8)",
                         [promoters, detractors, n]).fetchone()[0]
        close(got[0], 100 * (promoters - detractors) / n)
        close(got[1], low, 1e-7)  # what the bisection by definition itself can do near ±100
        close(got[2], high, 1e-7)
    assert len(rows) > 100


def test_nps_interval_reference(pg):
    for row in json.loads((ROOT / "tests/data/kpi_ci.json").read_text())["nps_ci_95"]:
        n = row["promoters"] + row["passives"] + row["detractors"]
        got = pg.execute("SELECT experience.nps_interval(%s::float8, %s::float8, %s::float8)",
                         [row["promoters"], row["detractors"], n]).fetchone()[0]
        close(got, [row["nps"], row["score_lo"], row["score_hi"]], 1e-11)


def test_share_interval(pg):
    for n in (1, 2.5, 10, 333, 1e7):
        for share in (0, 1e-3, 0.3, 0.5, 0.999, 1):
            got = pg.execute("SELECT experience.share_interval(%s::float8, %s::float8)",
                             [share * n, n]).fetchone()[0]
            close(got, [share, *wilson(share * n, n)], 1e-12)


def test_t_quantile(pg):
    frees = [1, 1.0001, 1.5, 2, 2.5, 3, 4, 4.999, 5, 5.001, 7.3, *range(8, 220), 1e3, 12345.6, 1e9]
    frees = [float(df) for df in frees]
    got = pg.execute("SELECT array_agg(experience.t975(df) ORDER BY n)"
                     " FROM unnest(%s::float8[]) WITH ORDINALITY AS d (df, n)",
                     [frees]).fetchone()[0]
    close(got, [stats.t.ppf(0.975, df) for df in frees], 2e-10)
    assert pg.execute("SELECT experience.t975(0.5)").fetchone()[0] is None


def test_sketch_table_is_the_programs(pg):
    table = dict(pg.execute("SELECT bin, value FROM flightpath.sketch_bin").fetchall())
    assert len(table) == 2 * 2230 + 1
    for bin_, value in json.loads((ROOT / "tests/data/sketch_bins.json").read_text())["bins"]:
        close(table[bin_], value, 1e-15)
        close(table[-bin_], -value, 1e-15)


# ---- kpi_day, kpi_hour ---------------------------------------------------------------------------

@pytest.mark.parametrize("weights", [(1,), (1, 2, 7)])
def test_nps_day(plant, weights):
    answers = weighted(1, [0, 3, 6, 7, 8, 9, 10, 10, 10, 9], 300, weights)
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, target=20)
    plant.answers("nps", DAY0, answers, "branch-1", "web")
    row = plant.row("SELECT * FROM experience.kpi_day")
    close(interval(row), nps_of(answers))
    assert (row["unit"], row["channel"], row["n"], row["status"]) == ("branch-1", "web", 300, "ok")
    assert row["bucket"] == midnight(DAY0)
    assert row["promoters"] == sum(w for y, w in answers if y >= 9)
    assert row["passives"] == sum(w for y, w in answers if y in (7, 8))
    assert row["detractors"] == sum(w for y, w in answers if y <= 6)
    assert row["sum_value"] == sum(y * w for y, w in answers)
    assert row["sum_square"] == sum(y * y * w for y, w in answers)
    assert row["weight"] == sum(w for _, w in answers)
    close(row["n_eff"], moments(answers)[0])
    assert row["ci_method"] == "tango score"


@pytest.mark.parametrize("metric", ["csat", "top_box"])
def test_top_boxes(plant, metric):
    answers = weighted(2, [1, 2, 3, 4, 4, 5, 5, 5], 200, (1, 3))
    plant.kpi("k", metric, scale_min=1, scale_max=5, top_k=2)
    plant.answers("k", DAY0, answers, minimum=1)
    row = plant.row("SELECT * FROM experience.kpi_day")
    close(interval(row), share_of(answers, lambda y: y >= 4))
    assert row["top_box"] == sum(w for y, w in answers if y >= 4)
    assert (row["unit"], row["channel"]) == (None, None)
    assert row["ci_method"] == "wilson score"


@pytest.mark.parametrize("weights", [(1,), (1, 2, 7)])
def test_effort_has_mean_and_top_boxes(plant, weights):
    answers = weighted(3, [1, 3, 5, 6, 7, 7], 80, weights)
    plant.kpi("k", "ces", scale_min=1, scale_max=7, top_k=3)
    plant.answers("k", DAY0, answers, minimum=1)
    row = plant.row("SELECT * FROM experience.kpi_day")
    close(interval(row), mean_interval(answers, 1, 7))
    close(row["top_box_share"], share_of(answers, lambda y: y >= 5)[0])
    assert row["ci_method"] == "student t"


def test_measures(plant):
    plant.kpi("cost", "measure_mean", source="measure", decimals=2, scale_min=0, scale_max=300)
    plant.kpi("within", "share", source="measure", target=0.5)
    amounts = [(random.Random(4).randrange(100, 30000) + i, 1) for i in range(50)]
    plant.answers("cost", DAY0, amounts)
    plant.answers("within", DAY0, [(1, 1)] * 30 + [(0, 1)] * 12, minimum=100)
    row = plant.row("SELECT * FROM experience.kpi_day WHERE kpi = 'cost'")
    close(interval(row), mean_interval([(y / 100, w) for y, w in amounts], 0, 300))
    close(row["sum_value"], sum(y for y, _ in amounts) / 100)
    close(row["sum_square"], sum(y * y for y, _ in amounts) / 1e4)
    row = plant.row("SELECT * FROM experience.kpi_day WHERE kpi = 'within'")
    close(interval(row), (30 / 42, *wilson(30, 42)))


def test_equal_answers_are_not_certain(plant):
    plant.kpi("k", "mean", scale_min=1, scale_max=5)
    plant.answers("k", DAY0, [(4, 2)] * 12, minimum=1)
    row = plant.row("SELECT * FROM experience.kpi_day")
    rest = 1 - wilson(12, 12)[0]
    close(interval(row), (4, 4 - rest * 3, 4 + rest))
    assert row["ci_method"].startswith("range")


def test_large_sums_keep_their_digits(plant):
    """Spread is small against the level: in doubles the variance would be lost."""
    plant.kpi("k", "measure_mean", source="measure", decimals=0)
    answers = [(100_000_000 + i % 2, 1) for i in range(10)]
    plant.answers("k", DAY0, answers)
    row = plant.row("SELECT * FROM experience.kpi_day")
    half = stats.t.ppf(0.975, 9) * math.sqrt(0.25 * 10 / 9 / 10)
    close(row["ci_high"] - row["value"], half, 1e-6)


def test_quantile_day(plant):
    plant.kpi("p90", "quantile", source="measure", decimals=1, quantile=0.9, scale_min=0,
              scale_max=3000, direction="lower", target=2500)
    values = sorted(random.Random(8).randrange(0, 30000) for _ in range(500))
    plant.sketch("p90", DAY0, values, "branch-1")
    row = plant.row("SELECT * FROM experience.kpi_day")
    half = Z * math.sqrt(500 * 0.9 * 0.1)
    ranks = 450, math.floor(450 - half), math.ceil(450 + half) + 1
    for got, rank in zip(interval(row), ranks):
        close(got, values[rank - 1] / 10, 0.01)
    assert (row["n"], row["status"], row["unit"]) == (500, "ok", "branch-1")
    assert row["sum_value"] is None and "order statistics" in row["ci_method"]


def test_quantile_without_limits_has_the_scales(plant):
    plant.kpi("p90", "quantile", source="measure", quantile=0.9, scale_min=0, scale_max=300)
    plant.sketch("p90", DAY0, [5, 6, 7])
    row = plant.row("SELECT * FROM experience.kpi_day")
    assert interval(row) == (7, 5, 300)
    assert row["status"] == "insufficient_n"


def test_hour(plant):
    answers = weighted(1, [0, 6, 8, 9, 10], 120)
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, grain="hour")
    plant.kpi("daily", "nps", scale_min=0, scale_max=10)
    plant.answers("nps", DAY0 * 24 + 13, answers, table="tally_hour")
    row = plant.row("SELECT * FROM experience.kpi_hour")
    close(interval(row), nps_of(answers))
    assert row["bucket"].timestamp() == (DAY0 * 24 + 13) * 3600


def test_days_begin_at_local_midnight_across_a_clock_change(plant):
    plant.kpi("k", "share", source="outcome")
    days = [20540, 20541, 20542]  # 2026-03-28 … 30; the clock goes forward on the 29th
    for day in days:
        plant.answers("k", day, [(1, 1)] * 10)
    rows = plant.rows("SELECT bucket FROM experience.kpi_day ORDER BY bucket")
    assert [r["bucket"] for r in rows] == [midnight(d) for d in days]
    assert rows[2]["bucket"].timestamp() - rows[1]["bucket"].timestamp() == 23 * 3600


def test_nothing_left_is_no_row(plant):
    plant.kpi("k", "share", source="outcome")
    plant.answers("k", DAY0, [(1, 1)] * 4)
    cell = "series, bucket, unit, channel"
    taken = ", ".join(f"-sum({c})" for c in TALLY.split(", "))
    plant.pg.execute(f"INSERT INTO flightpath.tally_day ({cell}, lane, {TALLY})"
                     f" SELECT {cell}, 9, {taken} FROM flightpath.tally_day GROUP BY {cell}")
    assert plant.rows("SELECT * FROM experience.kpi_day") == []


# ---- what may be shown, and what is enough -------------------------------------------------------

HIDDEN = ("n", "value", "ci_low", "ci_high", "sum_value", "sum_square", "promoters", "passives",
          "detractors", "attained", "attainment", "n_eff", "weight", "weight_square", "ci_method")


def test_few_answers_are_suppressed(plant):
    cases = [("customer", 9, False), ("customer", 10, True), ("internal", 9, False),
             ("employee", 4, False), ("employee", 5, True)]
    for audience, n, shown in cases:
        kpi = plant.kpi(f"{audience}{n}", "nps", audience=audience, scale_min=0, scale_max=10,
                        target=0)
        plant.answers(kpi, DAY0, [(10, 1)] * n)
        rows = (plant.row("SELECT * FROM experience.kpi_day WHERE kpi = %s", kpi),
                plant.row("SELECT * FROM experience.kpi_now WHERE kpi = %s", kpi),
                *series(plant, kpi, midnight(DAY0), midnight(DAY0 + 1), "1 day"))
        assert len(rows) == 3
        for row in rows:
            assert (row["status"] == "suppressed_min_n") is not shown
            for column in HIDDEN:
                assert (row[column] is not None) is shown, (kpi, column)


def test_few_events_are_shown_and_flagged(plant):
    plant.kpi("k", "share", source="outcome")
    plant.answers("k", DAY0, [(1, 1)] * 9)
    plant.answers("k", DAY0 + 1, [(1, 1)] * 10)
    rows = plant.rows("SELECT * FROM experience.kpi_day ORDER BY bucket")
    assert [(r["n"], r["status"]) for r in rows] == [(9, "insufficient_n"), (10, "ok")]
    assert rows[0]["value"] == 1


def test_wide_intervals_are_flagged(plant):
    cases = [("nps", [10] * 40 + [8] * 30 + [0] * 20, "insufficient_n"),  # ± 16
             ("nps", [10] * 80 + [8] * 60 + [0] * 40, "ok"),              # ± 11
             ("top_box", [10] * 40 + [0] * 40, "insufficient_n"),
             ("top_box", [10] * 60 + [0] * 60, "ok"),
             ("mean", [10] * 20 + [0] * 20, "insufficient_n"),
             ("mean", [6] * 20 + [4] * 20, "ok")]
    for i, (metric, answers, status) in enumerate(cases):
        kpi = plant.kpi(f"k{i}", metric, scale_min=0, scale_max=10, top_k=2)
        plant.answers(kpi, DAY0, [(y, 1) for y in answers])
        row = plant.row("SELECT * FROM experience.kpi_day WHERE kpi = %s", kpi)
        assert row["status"] == status, (metric, (row["ci_high"] - row["ci_low"]) / 2)
        assert row["value"] is not None


def test_attained_only_when_the_interval_says_so(plant):
    cases = [("higher", 0.5, True), ("higher", 0.7, None), ("higher", 0.9, False),
             ("higher", None, None), ("lower", 0.9, True), ("lower", 0.7, None),
             ("lower", 0.5, False)]
    for direction, target, attained in cases:
        kpi = plant.kpi(f"{direction}{target}", "share", source="outcome", direction=direction,
                        target=target)
        plant.answers(kpi, DAY0, [(1, 1)] * 70 + [(0, 1)] * 30, minimum=100)
        row = plant.row("SELECT * FROM experience.kpi_day WHERE kpi = %s", kpi)
        word = {True: "attained", False: "missed", None: "undecided" if target else None}[attained]
        assert (row["attained"], row["attainment"], row["target"]) == (attained, word, target)


def test_an_old_definition_is_a_series_of_its_own(plant):
    plant.kpi("k", "share", source="outcome", definition="old", current=False)
    plant.answers("k", DAY0, [(1, 1)] * 10)
    plant.kpi("k", "share", source="outcome", definition="new")
    plant.answers("k", DAY0, [(0, 1)] * 10, minimum=100)
    rows = plant.rows("SELECT definition, value FROM experience.kpi_day ORDER BY definition")
    assert rows == [{"definition": "new", "value": 0}, {"definition": "old", "value": 1}]
    for sql in ("SELECT value FROM experience.kpi_now", "SELECT value FROM experience.kpi_series("
                "'k', '2026-02-16', '2026-02-16 12:00', '1 day')"):
        assert plant.row(sql)["value"] == 0


# ---- kpi_now -------------------------------------------------------------------------------------

def test_now_and_before(plant):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10)
    plant.kpi("mean", "mean", scale_min=0, scale_max=10)
    plant.kpi("p50", "quantile", source="measure", quantile=0.5, scale_min=0, scale_max=1000)
    new = weighted(6, [0, 5, 7, 8, 9, 10], 400, (1, 2))
    old = weighted(7, [0, 3, 5, 7, 8, 9], 300, (1, 2))
    for kpi in ("nps", "mean"):
        plant.answers(kpi, DAY0, new[:200], "u", "web")
        plant.answers(kpi, DAY0 - 29, new[200:], "u", "shop")
        plant.answers(kpi, DAY0 - 30, old[:100], "u")
        plant.answers(kpi, DAY0 - 59, old[100:], "u")
        plant.answers(kpi, DAY0 - 60, [(0, 1)] * 500, "u")
    plant.answers("nps", DAY0 - 40, old, "gone")
    plant.sketch("p50", DAY0 - 3, range(1, 62), "u")
    plant.sketch("p50", DAY0 - 33, range(1, 22), "u")
    rows = {r["kpi"]: r for r in plant.rows("SELECT * FROM experience.kpi_now")}
    assert sorted(rows) == ["mean", "nps", "p50"] and all(r["unit"] == "u" for r in rows.values())
    nps, (a, al, au), (b, bl, bu) = rows["nps"], nps_of(new), nps_of(old)
    close((*interval(nps), nps["previous"], nps["change"]), (a, al, au, b, a - b))
    close(nps["change_ci_low"], a - b - math.hypot(a - al, bu - b))
    close(nps["change_ci_high"], a - b + math.hypot(au - a, b - bl))
    assert (nps["n"], nps["previous_n"], nps["window_days"]) == (400, 300, 30)
    assert (nps["bucket"], nps["window_end"]) == (midnight(DAY0 - 29), midnight(DAY0 + 1))

    (n1, m1, v1), (n2, m2, v2) = moments(new), moments(old)
    error = v1 / n1 + v2 / n2
    df = error ** 2 / ((v1 / n1) ** 2 / (n1 - 1) + (v2 / n2) ** 2 / (n2 - 1))
    half = stats.t.ppf(0.975, df) * math.sqrt(error)
    close((rows["mean"]["change"], rows["mean"]["change_ci_low"], rows["mean"]["change_ci_high"]),
          (m1 - m2, m1 - m2 - half, m1 - m2 + half))
    assert rows["mean"]["change_method"] == "welch"
    assert (rows["p50"]["value"], rows["p50"]["previous"]) == (31, 11)


def test_no_change_is_told_against_a_suppressed_window(plant):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10)
    plant.answers("nps", DAY0, [(9, 1)] * 50)
    plant.answers("nps", DAY0 - 35, [(9, 1)] * 5)
    row = plant.row("SELECT * FROM experience.kpi_now")
    assert row["previous_status"] == "suppressed_min_n"
    for column in ("previous", "previous_n", "change", "change_ci_low", "change_ci_high"):
        assert row[column] is None


# ---- kpi_series ----------------------------------------------------------------------------------

SERIES = "SELECT * FROM experience.kpi_series(%s, %s, %s, %s::interval, %s, %s)"


def series(plant, kpi, start, end, step, units=None, channels=None):
    return plant.rows(SERIES, kpi, start, end, step, units, channels)


def test_series_joins_cells_before_it_judges(plant):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, target=10)
    parts = [weighted(s, [2, 6, 7, 9, 10], 40) for s in range(8)]
    for i, part in enumerate(parts):
        plant.answers("nps", DAY0 + i // 4, part, f"u{i % 2}", f"c{i // 2 % 2}")
    rows = series(plant, "nps", midnight(DAY0 - 1), midnight(DAY0 + 3), "1 day")
    assert [r["bucket"] for r in rows] == [midnight(DAY0 + i) for i in (-1, 0, 1, 2)]
    assert [(r["n"], r["status"]) for r in rows] == [(0, "no_data"), (160, "ok"), (160, "ok"),
                                                     (0, "no_data")]
    close(interval(rows[1]), nps_of(sum(parts[:4], [])))
    close(interval(rows[2]), nps_of(sum(parts[4:], [])))
    assert interval(rows[0]) == (None, None, None) and rows[0]["target"] == 10
    only = series(plant, "nps", midnight(DAY0), midnight(DAY0 + 2), "2 days", ["u1"], ["c0"])
    close(interval(only[0]), nps_of(parts[1] + parts[5]))
    assert len(only) == 1 and only[0]["n"] == 80
    none = series(plant, "nps", midnight(DAY0), midnight(DAY0 + 1), "1 day", ["nobody"])
    assert [(r["n"], r["status"]) for r in none] == [(0, "no_data")]


def test_series_of_a_region_and_of_no_unit(plant):
    plant.kpi("k", "share", source="outcome")
    for unit, n in (("north", 10), ("n1", 20), ("n1a", 40), ("south", 80), ("", 160)):
        plant.answers("k", DAY0, [(1, 1)] * n, unit)
    ids = {u: plant.name(0, u) for u in ("north", "n1", "n1a", "south")}
    plant.pg.execute("INSERT INTO flightpath.unit_info"
                     " VALUES (%s, '', NULL), (%s, '', %s), (%s, '', %s)",
                     [ids["north"], ids["n1"], ids["north"], ids["n1a"], ids["n1"]])
    for units, n in ((["north"], 70), (["n1"], 60), (["n1a", "south"], 120), ([""], 160),
                     (None, 310)):
        assert series(plant, "k", midnight(DAY0), midnight(DAY0 + 1), "1 day", units)[0]["n"] == n


def test_series_steps(plant):
    plant.kpi("k", "share", source="outcome", grain="hour")
    for day in range(DAY0 - 30, DAY0 + 60):
        plant.answers("k", day, [(1, 1)])
    for hour in range(DAY0 * 24, DAY0 * 24 + 48):
        plant.answers("k", hour, [(1, 1)], table="tally_hour")

    def starts(start, end, step):
        return [(r["bucket"].astimezone(TZ).strftime("%m-%d %H"), r["n"])
                for r in series(plant, "k", start, end, step)]

    at = [datetime.datetime(2026, 2, 18, 15, tzinfo=TZ),
          datetime.datetime(2026, 3, 4, 15, tzinfo=TZ)]
    assert starts(*at, "7 days") == [("02-16 00", 5), ("02-23 00", 7), ("03-02 00", 3)]
    assert starts(*at, "10 days") == [("02-18 00", 10), ("02-28 00", 5)]
    assert starts(*at, "1 month") == [("02-01 00", 11), ("03-01 00", 4)]
    change = [datetime.datetime(2026, 3, d, tzinfo=TZ) for d in (28, 31)]
    assert starts(*change, "1 day") == [("03-28 00", 1), ("03-29 00", 1), ("03-30 00", 1)]
    hours = [midnight(DAY0) + datetime.timedelta(minutes=m) for m in (90, 240)]
    assert starts(*hours, "1 hour") == [("02-16 01", 1), ("02-16 02", 1), ("02-16 03", 1)]
    assert starts(*hours, "6 hours") == [("02-16 01", 3)]
    assert starts(at[0], at[0], "1 day") == []


def test_series_of_quantiles(plant):
    plant.kpi("p50", "quantile", source="measure", quantile=0.5, scale_min=0, scale_max=1000)
    plant.sketch("p50", DAY0, range(1, 22), "a")
    plant.sketch("p50", DAY0 + 1, range(23, 44), "b")
    rows = series(plant, "p50", midnight(DAY0), midnight(DAY0 + 3), "1 day")
    assert [(r["n"], r["value"], r["status"]) for r in rows] == [
        (21, 11, "ok"), (21, 33, "ok"), (0, None, "no_data")]
    both = series(plant, "p50", midnight(DAY0), midnight(DAY0 + 2), "2 days")
    assert [(r["n"], r["value"]) for r in both] == [(42, 21)]


def test_series_refuses(plant):
    plant.kpi("k", "share", source="outcome")
    cases = [("nothing", "2026-01-01", "2026-01-02", "1 day", "no KPI"),
             ("k", "2026-01-01", "2026-01-02", "1 hour", "kept by the day"),
             ("k", "2026-01-02", "2026-01-01", "1 day", "from not after to"),
             ("k", "-infinity", "2026-01-01", "1 day", "points in time"),
             ("k", None, "2026-01-01", "1 day", "points in time"),
             ("k", "2026-01-01", "2026-01-02", "0 days", "whole hours"),
             ("k", "2026-01-01", "2026-01-02", "-1 day", "whole hours"),
             ("k", "2026-01-01", "2026-01-02", "1 month 1 day", "whole hours"),
             ("k", "2026-01-01", "2026-01-02", "30 minutes", "whole hours"),
             ("k", "2026-01-01", "2026-01-02", None, "whole hours"),
             ("k", "1000-01-01", "2900-01-01", "1 day", "100,000 buckets")]
    for kpi, start, end, step, says in cases:
        with pytest.raises(psycopg.Error, match=says):
            series(plant, kpi, start, end, step)


# ---- dimensions, coverage, freshness, ledger -----------------------------------------------------

def test_coverage(plant):
    known, silent = plant.name(2, "visit"), plant.name(2, "silent")
    stray = plant.name(2, "stray")
    plant.pg.execute(
        "INSERT INTO flightpath.touchpoint_info VALUES"
        " (%s, 'Branch visit', 'branches', 'ann', '{welcome}', '{crm,queue}', '{open}'),"
        " (%s, 'Silent', 'x', NULL, '{}', '{}', '{}')", [known, silent])
    plant.pg.execute("INSERT INTO flightpath.owner_info VALUES ('ann', 'Ann', 'branches')")
    for day, lane, touchpoint in ((DAY0, 0, known), (DAY0, 1, known), (DAY0 + 1, 2, known),
                                  (DAY0, 0, stray)):
        plant.pg.execute("INSERT INTO flightpath.coverage_day VALUES"
                         " (%s, %s, %s, 10, 1, 2, 3, 4, 0, 1, 20)", [day, touchpoint, lane])
    rows = {r["touchpoint"]: r for r in plant.rows("SELECT * FROM experience.coverage")}
    assert sorted(rows) == ["silent", "stray", "visit"]
    visit = rows["visit"]
    assert (visit["events"], visit["responses"], visit["invited"]) == (30, 15, 60)
    assert (visit["failed"], visit["customer_responses"], visit["internal_responses"]) == (3, 12, 3)
    close(visit["response_rate"], 0.25)
    assert (visit["owner"], visit["process"]) == ("ann", ["welcome"])
    assert visit["system"] == ["crm", "queue"]
    assert visit["internal_assessment"] and visit["customer_assessment"] and not visit["unmapped"]
    assert rows["stray"]["unmapped"] and rows["stray"]["owner"] is None
    assert rows["silent"]["events"] == 0 and rows["silent"]["response_rate"] is None
    assert not rows["silent"]["internal_assessment"]


def test_freshness_and_ledger(plant):
    position = ("INSERT INTO flightpath.ingest_position (topic, partition, first_offset,"
                " next_offset, high_offset, last_event_at, halted)"
                " VALUES ('t', %s, 100, %s, 150, %s, %s)")
    seen = datetime.datetime(2026, 2, 16, 12, tzinfo=TZ)
    plant.pg.execute(position, [0, 130, seen, None])
    plant.pg.execute(position, [1, 150, seen, "log replaced"])
    plant.pg.execute(position, [2, 100, None, None])
    ledger = ("INSERT INTO flightpath.ledger"
              " VALUES ('t', %s, 1, %s, %s, 'h', 0, %s, %s, 1, 0, 0, 2, 0)")
    plant.pg.execute(ledger, [0, 100, 110, 9, 6])
    plant.pg.execute(ledger, [0, 110, 130, 20, 17])
    plant.pg.execute(ledger, [1, 100, 140, 40, 37])
    fresh = plant.rows("SELECT * FROM experience.freshness ORDER BY partition")
    assert [(r["lag"], r["halted"]) for r in fresh] == [(20, None), (0, "log replaced"), (50, None)]
    assert fresh[0]["last_event_at"] == seen
    rows = plant.rows("SELECT * FROM experience.ledger ORDER BY partition")
    parts = ("consumed", "applied", "duplicate", "rejected")
    assert [rows[0][part] for part in parts] == [29, 23, 2, 4]
    assert [r["balanced"] for r in rows] == [True, False, True], "1 ends before its position"


def test_lists(plant):
    body = {"journeys": [{"id": "open", "name": "I open", "audience": "customer", "level": "main",
                          "detailed": [{"id": "identify", "touchpoints": ["visit", "check"]},
                                       {"id": "use", "touchpoints": ["login", "visit"]}]}]}
    plant.pg.execute("INSERT INTO flightpath.model (hash, body) VALUES ('h', %s)",
                     [json.dumps(body)])
    plant.kpi("k", "share", source="outcome", statement="It works", target=0.9, owner="ann",
              journey="open", touchpoint="visit")
    plant.kpi("gone", "share", source="outcome", current=False)
    (kpi,) = plant.rows("SELECT * FROM experience.kpi_list")
    assert (kpi["kpi"], kpi["statement"], kpi["target"]) == ("k", "It works", 0.9)
    assert (kpi["journey"], kpi["touchpoint"], kpi["owner"]) == ("open", "visit", "ann")
    journeys = plant.rows("SELECT * FROM experience.journey_list ORDER BY place, step")
    assert [(j["journey"], j["level"], j["parent"], j["touchpoints"]) for j in journeys] == [
        ("open", "main", None, ["visit", "check", "login"]),
        ("identify", "detailed", "open", ["visit", "check"]),
        ("use", "detailed", "open", ["login", "visit"])]
    north, n1 = plant.name(0, "north"), plant.name(0, "n1")
    plant.pg.execute("INSERT INTO flightpath.unit_info VALUES (%s, 'North', NULL), (%s, 'One', %s)",
                     [north, n1, north])
    units = {u["unit"]: u for u in plant.rows("SELECT * FROM experience.unit_list")}
    assert (units["n1"]["label"], units["n1"]["parent"]) == ("One", "north")
    assert units["north"]["parent"] is None
