# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an alert: mix and within, contributors, drivers, words. Judged by numpy."""

import datetime
import json
import subprocess
from collections import defaultdict, namedtuple

import numpy as np
import pytest
from scipy import stats

from support.paths import BIN
from support.state_writer import encode

TOOL = BIN.parent / "tests" / "explain_alert"
START = 20524  # 2026-03-12, a Thursday
LAST = START + 9
MIN_N = 8
TALLY = [f"b{i}" for i in range(11)]

MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "bank", "time_zone": "UTC"},
    "scales": {"ten": {"min": 0, "max": 10}, "five": {"min": 1, "max": 5}},
    "measures": {"wait_s": {"unit": "s", "decimals": 1, "min": 0, "max": 3600,
                            "direction": "lower"},
                 "calls": {"min": 0, "max": 1000, "direction": "lower"}},
    "owners": [{"id": "ann", "name": "Ann", "department": "branches"}],
    "units": [{"id": "north", "name": "North"}, {"id": "south", "name": "South"}],
    "journeys": [{"id": "open", "audience": "customer",
                  "detailed": [{"id": "identify", "touchpoints": ["visit"]}]}],
    "touchpoints": [{"id": "visit"}],
    "items": [
        {"id": "recommend", "kind": "outcome", "metric": "nps", "scale": "ten"},
        {"id": "satisfied", "kind": "outcome", "metric": "csat", "scale": "five"},
        {"id": "happy", "kind": "outcome", "metric": "mean", "scale": "five"},
        {"id": "clear", "kind": "driver", "metric": "mean", "scale": "five", "text": "All clear?"},
        {"id": "kind", "kind": "driver", "metric": "mean", "scale": "five"},
        {"id": "tidy", "kind": "driver", "metric": "mean", "scale": "five"}],
    "kpis": [
        {"id": "nps", "statement": "I tell a friend", "role": "output",
         "source": {"item": "recommend"}, "owner": "ann"},
        {"id": "csat", "role": "output", "source": {"item": "satisfied"}},
        {"id": "happy", "role": "output", "source": {"item": "happy"}, "journey": "open"},
        {"id": "wait", "role": "input", "source": {"measure": "wait_s"}, "touchpoint": "visit"},
        {"id": "soon", "role": "input", "source": {"measure": "wait_s", "within": 300},
         "touchpoint": "visit"},
        {"id": "p90", "role": "input", "source": {"measure": "wait_s", "quantile": 0.9},
         "touchpoint": "visit", "grain": "day"},
        {"id": "per_call", "role": "input", "source": {"measure": "wait_s", "per": "calls"}}],
    "driver_models": [{"id": "why", "outcome": "happy", "drivers": ["clear", "kind", "tidy"],
                       "journey": "open", "window_days": 90, "segments": ["all", "unit"]}],
    "privacy": {"min_n": MIN_N, "min_n_employee": MIN_N},
}
ITEM_LOW = {"csat": 1, "happy": 1, "nps": 0}
Answers = namedtuple("Answers", "day unit channel x y w")
Told = namedtuple("Told", "contributors drivers mix within needed text")


# ---- planting ------------------------------------------------------------------------------------

class Plant:
    def __init__(self, database, tmp_path):
        self.path = tmp_path / "model.json"
        self.path.write_text(json.dumps(MODEL))
        self.database = database
        self.pg = database.connect()
        self.pg.autocommit = True
        for table in ("tally_day", "sketch_day"):
            self.pg.execute("SELECT flightpath.ensure_partitions(%s, '2025-12-01', '2026-05-01')",
                            [table])
        self.told(0, "0", kpi="nps", start=START, ok=False)  # installs the model
        self.series = dict(self.pg.execute("SELECT kpi, series FROM flightpath.kpi"))
        self.ids = {"unit": {"": 0}, "channel": {"": 0}}
        self.answers = {}

    def told(self, newest, size, ok=True, **alert):
        arguments = [f"{name}={value}" for name, value in ({"size": size} | alert).items()]
        done = subprocess.run([TOOL, self.path, self.database.conninfo, str(newest), *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        self.log = done.stderr
        c, d, mix, within, needed, text = done.stdout.splitlines()
        return Told(json.loads(c), json.loads(d), float(mix), float(within), needed, text)

    def id(self, kind, name):
        known = self.ids[kind]
        if name not in known:
            known[name] = self.pg.execute(
                "SELECT id FROM flightpath.register_names(%s::smallint, %s, 1000)",
                [0 if kind == "unit" else 1, [name]]).fetchone()[0]
        return known[name]

    def put(self, kpi, answers):
        """x in units of the tallies; of a ratio y too."""
        self.answers[kpi] = answers
        cells = defaultdict(lambda: [0] * 16)
        for i in range(len(answers.day)):
            x, w, y = int(answers.x[i]), int(answers.w[i]), int(answers.y[i])
            cell = cells[int(answers.day[i]), self.id("unit", answers.unit[i]),
                         self.id("channel", answers.channel[i]), i % 3]
            sums = [1, w, w * w, w * x, w * x * x]
            if kpi == "per_call":
                sums += [w * y, w * y * y, w * x * y]
            for j, value in enumerate(sums):
                cell[j] += value
            if kpi in ITEM_LOW:
                cell[5 + x - ITEM_LOW[kpi]] += w
        with self.pg.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO flightpath.tally_day (series, bucket, unit, channel, lane, n, weight,"
                f" weight_square, sum, sum_square, {', '.join(TALLY)}) VALUES"
                f" ({', '.join(['%s'] * 21)})",
                [(self.series[kpi], *key, *cell) for key, cell in cells.items()])


@pytest.fixture
def plant(pg, database, tmp_path):
    made = Plant(database, tmp_path)
    yield made
    made.pg.close()


def draw(seed, value, units=("north", "south", "west", ""), channels=("web", "app"),
         last=LAST, rate=lambda day, unit: 6):
    """value(chance, day, unit, channel) → x or (x, y); weights 1 to 3."""
    chance = np.random.default_rng(seed)
    rows = []
    for day in range(START - 70, last + 1):
        for unit in units:
            for _ in range(chance.poisson(rate(day, unit))):
                channel = channels[chance.integers(len(channels))]
                x = value(chance, day, unit, channel)
                x, y = x if isinstance(x, tuple) else (x, 1)
                rows.append((day, unit, channel, x, y, chance.integers(1, 4)))
    columns = list(zip(*rows))
    return Answers(*[np.array(c) for c in columns])


# ---- the judge -----------------------------------------------------------------------------------

def worth(kpi, a):
    """What an answer counts, by the definition of the metric."""
    if kpi == "nps":
        return np.where(a.x >= 9, 100., np.where(a.x <= 6, -100., 0.))
    if kpi == "csat":
        return (a.x >= 4).astype(float)
    return a.x / 10. if kpi in ("wait", "per_call") else a.x.astype(float)


class Judge:
    """Everything by answer: weights that give the days before the weekdays of those after."""

    def __init__(self, kpi, a, last=LAST, left_out=(), only=None):
        keep = ((a.day >= START - 56) & (a.day <= last) & ~np.isin(a.day, left_out)
                & (True if only is None else a.unit == only))
        a = Answers(*[np.asarray(c)[keep] for c in a])
        self.a, self.v, self.y = a, worth(kpi, a), a.y.astype(float)
        self.after = a.day >= START
        before_days = [d for d in range(START - 56, START) if d not in left_out]
        after_days = [d for d in range(START, last + 1) if d not in left_out]
        per = {k: sum(d % 7 == k for d in after_days) / sum(d % 7 == k for d in before_days)
               for k in range(7)}
        self.w = a.w * np.where(self.after, 1, [per[d % 7] for d in a.day])
        used = self.w > 0  # not of a weekday that the days after do not have
        self.a = Answers(*[c[used] for c in a])
        self.v, self.y, self.after, self.w = (z[used] for z in (self.v, self.y, self.after, self.w))

    def value(self, rows):
        return np.sum(self.w[rows] * self.v[rows]) / np.sum(self.w[rows] * self.y[rows])

    def variance(self, rows):
        w, n = self.w[rows], np.sum(self.w[rows]) ** 2 / np.sum(self.w[rows] ** 2)
        e = self.v[rows] - self.value(rows) * self.y[rows]
        mean_y = np.average(self.y[rows], weights=w)
        return np.average(e ** 2, weights=w) / (n - 1) / mean_y ** 2, n

    def interval(self, rows):
        (a, na), (b, nb) = self.variance(rows & self.after), self.variance(rows & ~self.after)
        change = self.value(rows & self.after) - self.value(rows & ~self.after)
        if a + b == 0:
            return change, change
        df = (a + b) ** 2 / (a ** 2 / (na - 1) + b ** 2 / (nb - 1))
        half = stats.t.ppf(.975, df) * np.sqrt(a + b)
        return change - half, change + half

    def split(self, groups):
        """(mix, within) of each group of answers by Kitagawa; mix about the middle."""
        every = np.ones(len(self.v), bool)
        middle = (self.value(self.after) + self.value(~self.after)) / 2
        base = {s: np.sum((self.w * self.y)[every & (self.after == s)]) for s in (True, False)}
        out = []
        for rows in groups:
            part = {s: np.sum((self.w * self.y)[rows & (self.after == s)]) / base[s] for s in base}
            old, new = self.value(rows & ~self.after), self.value(rows & self.after)
            out.append(((part[True] - part[False]) * ((old + new) / 2 - middle),
                        (part[True] + part[False]) / 2 * (new - old)))
        return out

    def change(self):
        return self.value(self.after) - self.value(~self.after)


def rows_of(told, by):
    return [c for c in told.contributors if c["by"] == by]


def check(told, judge, by, whole=True):
    rows = rows_of(told, by)
    names = judge.a.unit if by == "unit" else judge.a.channel
    named = [(c, names == (c["segment"] or "")) for c in rows if not c["others"]]
    rest = np.logical_and.reduce([~m for _, m in named])
    others = [c for c in rows if c["others"]]
    assert bool(others) == bool(rest.any())
    if whole:
        assert sum(c["mix"] + c["within"] for c in rows) == pytest.approx(judge.change(), abs=1e-9)
        if judge.change() != 0:
            assert sum(c["share"] for c in rows) == pytest.approx(1, abs=1e-9)
    for (c, mask), (mix, within) in zip(named, judge.split([m for _, m in named])):
        assert c["n"] == np.sum(mask & judge.after)
        assert c["n_before"] == np.sum(mask & ~judge.after)
        assert c["before"] == pytest.approx(judge.value(mask & ~judge.after), rel=1e-11)
        assert c["after"] == pytest.approx(judge.value(mask & judge.after), rel=1e-11)
        assert (c["mix"], c["within"]) == pytest.approx((mix, within), abs=1e-9)
        assert (c["ci_low"], c["ci_high"]) == pytest.approx(judge.interval(mask), rel=1e-9)
        if judge.change() != 0:
            assert c["share"] == pytest.approx((mix + within) / judge.change(), rel=1e-9)
    for c in others:
        assert c["segment"] is None and c["n"] == np.sum(rest & judge.after)
        assert c["after"] == pytest.approx(judge.value(rest & judge.after), rel=1e-11)
    sizes = [abs(c["mix"] + c["within"]) for c, _ in named]
    assert sizes == sorted(sizes, reverse=True)
    return named


# ---- mix and within ------------------------------------------------------------------------------

def nps(chance, day, unit, channel):
    good = {"north": .6, "south": .3, "west": .5}.get(unit, .4) + .1 * (channel == "app")
    good -= .3 * (day >= START and unit == "north") + .2 * (day % 7 in (2, 3))
    return int(chance.integers(9, 11) if chance.random() < good else chance.integers(0, 9))


def grade(chance, day, unit, channel):
    shift = -.8 * (day >= START and channel == "web") + .3 * (unit == "south")
    return int(np.clip(round(3.6 + shift + chance.normal()), 1, 5))


def wait(chance, day, unit, channel):
    return int(chance.integers(100, 4000) + 900 * (day >= START and unit == "south"))


VALUES = {"nps": nps, "csat": grade, "happy": grade, "wait": wait,
          "soon": lambda *a: int(wait(*a) <= 3000),
          "per_call": lambda c, *a: (wait(c, *a), int(c.integers(1, 9)))}


@pytest.mark.parametrize("kpi", VALUES)
def test_mix_and_within_of_each_metric(plant, kpi):
    answers = draw(len(kpi), VALUES[kpi], last=LAST,
                   rate=lambda day, unit: 9 if day >= START and unit == "south" else 6)
    plant.put(kpi, answers)
    judge = Judge(kpi, answers)
    told = plant.told(LAST, judge.change(), kpi=kpi, start=START, verdict="shift", posterior=.9)
    named = check(told, judge, "unit")
    assert {c["segment"] for c, _ in named} == {"north", "south", "west", None}
    assert {c["label"] for c, _ in named} == {"North", "South", "west", "not given"}
    check(told, judge, "channel")
    assert told.mix + told.within == pytest.approx(judge.change(), abs=1e-9)
    assert told.mix == pytest.approx(sum(c["mix"] for c in rows_of(told, "unit")), abs=1e-9)


def test_five_segments_and_others(plant):
    units = [f"u{i}" for i in range(9)]
    answers = draw(3, nps, units=units, channels=("web",), rate=lambda day, unit: 3)
    plant.put("nps", answers)
    judge = Judge("nps", answers)
    told = plant.told(LAST, -5, kpi="nps", start=START)
    assert len(check(told, judge, "unit")) == 5
    assert len(rows_of(told, "unit")) == 6
    assert len(rows_of(told, "channel")) == 1


@pytest.mark.parametrize("days", [1, 3, 7, 17])
def test_weekdays_in_proportion(plant, days):
    """Scores that depend on the weekday alone have not changed, whatever days are looked at."""
    last = START + days - 1
    answers = draw(4, lambda c, day, *_: 9 if day % 7 < 3 else 3, last=last)
    answers = answers._replace(w=np.ones_like(answers.w))
    plant.put("nps", answers)
    judge = Judge("nps", answers, last)
    told = plant.told(last, -5, kpi="nps", start=START)
    check(told, judge, "unit")
    if days == 1:
        assert told.mix == told.within == 0


def test_a_dip_ends_before_until(plant):
    answers = draw(5, nps, last=LAST)
    plant.put("nps", answers)
    told = plant.told(LAST, -5, kpi="nps", start=START, until=START + 3, verdict="dip")
    check(told, Judge("nps", answers, START + 2), "unit")
    assert "dip of 3 days" in told.text


def test_what_recovered_ends_before_it(plant):
    answers = draw(5, nps, last=LAST)
    plant.put("nps", answers)
    told = plant.told(LAST, -5, kpi="nps", start=START, closed=LAST, how="recovered")
    check(told, Judge("nps", answers, LAST - 7), "unit")


def test_known_days_are_left_out(plant):
    answers = draw(6, nps)
    plant.put("nps", answers)
    plant.pg.execute("DELETE FROM flightpath.calendar")
    out = [START - 20, START - 19, START + 2]
    calendar = dict(MODEL, alerts={"calendar": [
        {"from": "2026-02-20", "to": "2026-02-21", "text": "storm"},
        {"from": "2026-03-14", "to": "2026-03-14", "text": "fair"}]})
    assert datetime.date(1970, 1, 1) + datetime.timedelta(out[0]) == datetime.date(2026, 2, 20)
    plant.path.write_text(json.dumps(calendar))
    told = plant.told(LAST, -5, kpi="nps", start=START)
    check(told, Judge("nps", answers, left_out=out), "unit")


def test_simpson(plant):
    """No unit fell; the worse one answers more."""
    def score(chance, _day, unit, _channel):
        return 10 if chance.random() < (.8 if unit == "north" else .2) else 8

    answers = draw(7, score, units=("north", "south"), channels=("web",),
                   rate=lambda day, unit: 30 if (unit == "north") == (day < START) else 10)
    before, after = (answers.day < START), (answers.day >= START)
    x = answers.x.copy()
    chance = np.random.default_rng(1)
    for unit, usual in (("north", .8), ("south", .2)):
        for side, good in ((before, usual), (after, usual + .04)):
            rows = np.flatnonzero((answers.unit == unit) & side)
            x[rows] = 8
            x[chance.permutation(rows)[:int(len(rows) * good)]] = 10
    answers = answers._replace(x=x, w=np.ones_like(answers.w))
    plant.put("nps", answers)
    judge = Judge("nps", answers)
    told = plant.told(LAST, judge.change(), kpi="nps", start=START, verdict="shift", worse=1,
                      posterior=.99)
    named = check(told, judge, "unit")
    assert all(c["after"] > c["before"] for c, _ in named)
    assert judge.change() < -20 and told.mix < -20 and told.within > 0
    assert "The mix of units changed, and no unit fell by itself (Simpson's paradox)." in told.text


# ---- what may be shown ---------------------------------------------------------------------------

def test_small_segments_are_not_told(plant):
    rates = {"north": 8, "south": 4, "tiny": .15, "west": 6}
    answers = draw(8, nps, units=tuple(rates), rate=lambda day, unit: rates[unit])
    small = np.sum((answers.unit == "tiny") & (answers.day >= START))
    assert 0 < small < MIN_N
    plant.put("nps", answers)
    told = plant.told(LAST, -5, kpi="nps", start=START)
    named = check(told, Judge("nps", answers), "unit")
    # South, the smallest of the others, goes with it: else tiny were the whole less the rest.
    assert {c["segment"] for c, _ in named} == {"north", "west"}
    assert "tiny" not in json.dumps(told.contributors)
    assert all(c["n"] >= MIN_N and c["n_before"] >= MIN_N for c in told.contributors)


def test_a_small_whole_is_not_told(plant):
    answers = draw(9, nps, units=("north",), rate=lambda day, unit: .5)
    assert np.sum(answers.day >= START) < MIN_N
    plant.put("nps", answers)
    told = plant.told(LAST, -50, kpi="nps", start=START, verdict="shift", low=-60, high=-40, n=5)
    assert told.contributors == [] and np.isnan(told.mix) and np.isnan(told.within)
    assert told.text == ("\u201cI tell a friend\u201d (nps) changed; there are too few answers to"
                         " say more. Owner: Ann.")
    assert told.needed == ""


def test_events_have_nobody_to_protect(plant):
    answers = draw(10, wait, units=("north", "tiny"), channels=("web",),
                   rate=lambda day, unit: 8 if unit == "north" else .4)
    plant.put("wait", answers)
    told = plant.told(LAST, 50, kpi="wait", start=START, worse=1)
    assert {c["segment"] for c in rows_of(told, "unit")} == {"north", "tiny"}


# ---- units ---------------------------------------------------------------------------------------

def test_a_unit_is_split_by_channel(plant):
    answers = draw(11, nps)
    plant.put("nps", answers)
    judge = Judge("nps", answers, only="north")
    told = plant.told(LAST, -20, kpi="nps", start=START, level=2, unit=plant.id("unit", "north"),
                      unit_name="north", verdict="shift", posterior=.96, worse=1)
    assert rows_of(told, "unit") == []
    check(told, judge, "channel")
    assert told.mix + told.within == pytest.approx(judge.change(), abs=1e-9)
    assert "of North fell by 20 points against the other units" in told.text
    plant.pg.execute("INSERT INTO flightpath.watch_level VALUES (3, 4, 4, 3, 0, 0, NULL, 9, 1, 1)")
    flat = plant.told(LAST, -20, kpi="nps", start=START, level=2, unit=plant.id("unit", "north"),
                      unit_name="north", verdict="shift", posterior=.96, worse=1)
    assert "against the other units" not in flat.text


def test_all_kpis_of_a_unit(plant):
    every = {kpi: draw(20 + i, VALUES[kpi]) for i, kpi in enumerate(("nps", "wait", "per_call"))}
    for kpi, answers in every.items():
        plant.put(kpi, answers)
    told = plant.told(LAST, -.4, kpi="*", start=START, level=1, unit=plant.id("unit", "north"),
                      unit_name="north", worse=1, verdict="shift", posterior=.97, low=-.6, high=-.2)
    rows = rows_of(told, "kpi")
    assert {c["segment"] for c in rows} == set(every) and len(rows) == len(told.contributors)
    for c in rows:
        judge = Judge(c["segment"], every[c["segment"]])
        north = judge.a.unit == "north"
        own, rest = Judge.value(judge, north & judge.after) - judge.value(north & ~judge.after), \
            judge.value(~north & judge.after) - judge.value(~north & ~judge.after)
        variance, n = judge.variance(~judge.after)
        better = 1 if c["segment"] == "nps" else -1
        assert c["change"] == pytest.approx(better * (own - rest) / np.sqrt(variance * n), rel=1e-9)
        assert c["after"] == pytest.approx(judge.value(north & judge.after), rel=1e-11)
        assert c["mix"] is None and c["share"] is None
        assert c["ci_low"] < c["change"] < c["ci_high"]
    sizes = [abs(c["change"]) for c in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert rows[0]["segment"] == "nps", "north's NPS is what was planted"
    assert told.text.startswith("All KPIs of North together got worse by 0.4 SD")
    assert "Most of all nps" in told.text


# ---- quantiles -----------------------------------------------------------------------------------

def bin_of(value):
    """analytics/sketch.h: exact to 63; above, 38 bins a doubling, by the edges of the SQL."""
    if value < 64:
        return value
    e = value.bit_length() - 1
    j = max(j for j in range(38) if 2 ** e * (3 - np.sqrt(4 - 3 * j / 38)) <= value)
    return 64 + 38 * (e - 6) + j


def test_quantiles_by_their_own_change(plant):
    answers = draw(12, wait, units=("north", "south"), rate=lambda day, unit: 20)
    cells = defaultdict(int)
    for day, unit, channel, x, *_ in zip(*answers):
        cells[int(day), plant.id("unit", str(unit)), plant.id("channel", str(channel)),
              bin_of(int(x))] += 1
    with plant.pg.cursor() as cursor:
        cursor.executemany("INSERT INTO flightpath.sketch_day (series, bucket, unit, channel, bin,"
                           " lane, n) VALUES (%s, %s, %s, %s, %s, 0, %s)",
                           [(plant.series["p90"], *key, n) for key, n in cells.items()])
    told = plant.told(LAST, 80, kpi="p90", start=START, worse=1, verdict="shift", posterior=.9)
    assert np.isnan(told.mix) and np.isnan(told.within)
    keep = answers.day >= START - 56
    answers = Answers(*[c[keep] for c in answers])
    judge = Judge("wait", answers._replace(w=np.ones_like(answers.w)))
    for c in told.contributors:
        names = judge.a.unit if c["by"] == "unit" else judge.a.channel
        for side, field in ((judge.after, "after"), (~judge.after, "before")):
            rows = (names == c["segment"]) & side
            order = np.argsort(judge.v[rows])
            seen = np.cumsum(judge.w[rows][order])
            want = judge.v[rows][order][np.searchsorted(seen, .9 * seen[-1] - 1e-9)]
            assert c[field] == pytest.approx(want, rel=.011)
        assert c["change"] == pytest.approx(c["after"] - c["before"], abs=1e-9)
        assert c["ci_low"] < c["change"] < c["ci_high"]
        assert c["mix"] is None and c["share"] is None
    assert [c["segment"] for c in rows_of(told, "unit")][0] == "south"
    assert "got worse: it rose by 80 s" in told.text


# ---- what went along -----------------------------------------------------------------------------

class Drivers:
    """States and results of the driver model; answers to (clear, kind, tidy, happy)."""

    COEFS = {1: (.8, .6, 1.), 2: (.3, -.1, .7), 3: (-.4, -.6, -.2)}

    def __init__(self, plant):
        self.plant = plant
        self.series = plant.pg.execute("SELECT series FROM flightpath.driver_series"
                                       " WHERE current").fetchone()[0]
        chance = np.random.default_rng(17)
        self.days = {}
        for day in range(START - 56, LAST + 1):
            mean = np.array([4.2, 4, 3, 4]) - np.array([.5, .5, .5, 0]) * (day >= START)
            rows = np.clip(np.rint(mean + chance.normal(size=(int(chance.integers(5, 40)), 4))), 1,
                           5).astype(int)
            self.days[day] = rows
            self.state(0, 0, day, [tuple(int(v) for v in r) for r in rows])
        for driver, (coef, low, high) in self.COEFS.items():
            self.result(0, 0, driver, coef, low, high)

    def state(self, kind, segment, day, rows):
        self.plant.pg.execute(
            "INSERT INTO flightpath.driver_state VALUES (%s, %s, %s, %s, 0, %s, %s)",
            [self.series, kind, segment, day, len(rows), encode(4, rows)])

    def result(self, kind, segment, driver, coef, low, high, flags=(), day=LAST):
        self.plant.pg.execute(
            "INSERT INTO flightpath.driver_result (series, kind, segment, day, driver, answered,"
            " skipped, does_not_apply, coef, ci_low, ci_high, flags, status)"
            " VALUES (%s, %s, %s, %s, %s, 1, 0, 0, %s, %s, %s, %s, 'ok')",
            [self.series, kind, segment, day, driver, coef, low, high, list(flags)])

    def moved(self, column):
        """(before, after, standard error of the difference), weekdays in proportion."""
        rows = [(day, row[column]) for day, some in self.days.items() for row in some]
        day, z = (np.array(c) for c in zip(*rows))
        after = day >= START
        per = {k: sum(d % 7 == k for d in range(START, LAST + 1)) / 8 for k in range(7)}
        w = np.where(after, 1., [per[d % 7] for d in day])
        sides = []
        for side in (~after, after):
            n = w[side].sum() ** 2 / (w[side] ** 2).sum()
            mean = np.average(z[side], weights=w[side])
            sides.append((mean, np.average((z[side] - mean) ** 2, weights=w[side]) / (n - 1), n))
        return sides


def test_drivers_that_moved_along(plant):
    plant.put("happy", draw(13, grade))
    drivers = Drivers(plant)
    told = plant.told(LAST, -.5, kpi="happy", start=START, worse=1, verdict="shift", posterior=.9)
    # kind's coefficient may be 0; tidy's is against what the model declares
    assert [d["driver"] for d in told.drivers] == ["clear"]
    d = told.drivers[0]
    (before, vb, nb), (after, va, na) = drivers.moved(0)
    assert (d["before"], d["after"]) == pytest.approx((before, after), rel=1e-11)
    assert d["effect"] == pytest.approx(.8 * (after - before), rel=1e-9)
    df = (va + vb) ** 2 / (va ** 2 / (na - 1) + vb ** 2 / (nb - 1))
    half = np.hypot(.8 * stats.t.ppf(.975, df) * np.sqrt(va + vb), (after - before) * .2)
    assert (d["effect_low"], d["effect_high"]) == pytest.approx(
        (d["effect"] - half, d["effect"] + half), rel=1e-9)
    assert (d["coef"], d["coef_low"], d["coef_high"]) == (.8, .6, 1.)
    assert d["effect_on"] == "kpi" and d["model"] == "why"
    assert "\u201cAll clear?\u201d went from" in told.text and "goes with a fall of" in told.text
    # the way of the KPI matters: nothing fits an improvement
    assert plant.told(LAST, .5, kpi="happy", start=START).drivers == []
    # another outcome has other drivers
    plant.put("nps", draw(14, nps))
    assert plant.told(LAST, -5, kpi="nps", start=START).drivers == []


def test_the_newest_coefficient_and_a_units_own(plant):
    plant.put("happy", draw(13, grade))
    drivers = Drivers(plant)
    drivers.result(0, 0, 1, .6, .5, .7, day=LAST - 1)
    north = plant.id("unit", "north")
    for day, rows in drivers.days.items():
        drivers.state(3, north, day, [tuple(int(v) for v in r) for r in rows[:5]])
    told = plant.told(LAST, -.5, kpi="happy", start=START, worse=1)
    assert told.drivers[0]["coef"] == .8
    unit = {"level": 2, "unit": north, "unit_name": "north", "worse": 1}
    told = plant.told(LAST, -.5, kpi="happy", start=START, **unit)
    assert told.drivers[0]["coef"] == .8, "that of all, when the unit has none"
    rows = [r[0] for day, some in drivers.days.items() if day >= START for r in some[:5]]
    assert told.drivers[0]["after"] == pytest.approx(np.mean(rows), rel=1e-11)
    drivers.result(3, north, 1, .7, .4, 1.)
    assert plant.told(LAST, -.5, kpi="happy", start=START, **unit).drivers[0]["coef"] == .7


def test_a_corrupt_state_keeps_no_alert_back(plant):
    plant.put("happy", draw(13, grade))
    drivers = Drivers(plant)
    plant.pg.execute("UPDATE flightpath.driver_state SET state = '\\x0104ff' WHERE series = %s"
                     " AND day = %s", [drivers.series, START])
    told = plant.told(LAST, -.5, kpi="happy", start=START)
    assert told.drivers == [] and told.contributors
    assert "driver_state_unread" in plant.log


def test_input_kpis_that_moved_before(plant):
    plant.put("happy", draw(15, grade))

    def alert(fingerprint, kpi, start, **other):
        row = {"fingerprint": fingerprint, "root": fingerprint, "kind": 0, "level": 0,
               "series": plant.series[kpi], "unit": -1, "incident": start, "noticed": start,
               "start": start, "state": "resolved", "provisional": False, "worse": True, "sign": 1,
               "z": 5, "size": 3} | other
        plant.pg.execute(f"INSERT INTO flightpath.alert ({', '.join(row)}) VALUES"
                         f" ({', '.join(['%s'] * len(row))})", list(row.values()))

    alert("a" * 16, "wait", START - 12)
    alert("b" * 16, "soon", START - 61)                       # too early
    alert("c" * 16, "soon", START)                            # not before
    alert("d" * 16, "soon", START - 9, worse=False)           # the other way
    alert("e" * 16, "soon", START - 9, state="withdrawn")
    alert("f" * 16, "soon", START - 9, kind=1)
    alert("0" * 16, "soon", START - 9, unit=77, level=2)      # of another unit
    alert("1" * 16, "per_call", START - 9)                    # no touchpoint of the journey
    alert("2" * 16, "csat", START - 9)                        # no input
    told = plant.told(LAST, -.5, kpi="happy", start=START, worse=1)
    assert [(d["driver"], d["kind"], d["since"], d["fingerprint"]) for d in told.drivers] == [
        ("wait", "kpi", "2026-02-28", "a" * 16)]
    assert "wait had changed before, on 28 February 2026." in told.text
    alert("3" * 16, "soon", START - 60, z=9)
    told = plant.told(LAST, -.5, kpi="happy", start=START, worse=1)
    assert [d["driver"] for d in told.drivers] == ["soon", "wait"], "the larger first"


# ---- other kinds ---------------------------------------------------------------------------------

def test_silence(plant):
    answers = draw(16, wait, rate=lambda day, unit: 0 if day >= START else 6)
    plant.put("wait", answers)
    usual = sum(np.sum(answers.day == d - 7 * k) for d in range(START, START + 3)
                for k in range(1, 9)) / 8
    told = plant.told(START + 2, 0, kpi="wait", start=START, kind=1)
    assert told.text == (f"No answers to wait since 12 March 2026: 3 days in which about"
                         f" {usual:.0f} are usual.")
    assert told.contributors == []
    assert "Answers" in told.needed


def test_suspect_data(plant):
    answers = draw(17, nps, channels=("web", "app", "app", "app"))
    channel = answers.channel.copy()
    channel[answers.day >= START] = "web"
    plant.put("nps", answers._replace(channel=channel))
    told = plant.told(LAST, 0, kpi="nps", start=START, kind=2, how="a flood of equal answers")
    assert "because the data look wrong: a flood of equal answers." in told.text
    told = plant.told(LAST, 0, kpi="nps", start=START, kind=2)
    assert "100 % of the answers come by web, where 2" in told.text
    assert told.contributors == []


def test_the_whole_sentence(plant):
    answers = draw(18, nps, rate=lambda day, unit: 30 if unit == "north" else 10)
    plant.put("nps", answers)
    judge = Judge("nps", answers)
    change = judge.change()
    told = plant.told(LAST, change, kpi="nps", start=START, verdict="persistent", posterior=.97,
                      worse=1, low=change - 4, high=change + 4, n=600)
    assert told.text.startswith(
        "\u201cI tell a friend\u201d (nps) fell by "), told.text
    assert "very likely lasting, a shift or a trend" in told.text
    assert "comes with North, from" in told.text
    assert told.text.endswith("Owner: Ann.")
    assert "told apart" in told.needed
    assert not any(word in told.text for word in ("because", "cause", "due to", "led to"))


def test_nothing_at_all(plant):
    told = plant.told(LAST, -5, kpi="nps", start=START)
    assert told.contributors == [] and told.drivers == [] and "too few answers" in told.text


def test_the_tool_refuses_what_it_does_not_know(plant):
    done = subprocess.run([TOOL, plant.path, plant.database.conninfo, "1", "colour=blue"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
