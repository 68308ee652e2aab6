# SPDX-License-Identifier: GPL-3.0-or-later
"""The cells of watched series: against single answers and the views, refreshed against loaded, and
what flushes write for them. They are read by the program tests/bench/watch_cells."""

import collections
import json
import math
import random
import subprocess

import pytest

from support.paths import BIN, clean_environment

PROBE = BIN.parent / "tests" / "bench" / "watch_cells"
FIRST = 728 * 28  # 20384, a day at which a history may begin
UNITS = {2: "ams", 3: "rtm", 4: "ein"}
SEEN = {0, 1, 2, 3}  # with answers at first


def kpi(name, source, **more):
    return {"id": name, "statement": name, "role": "output", "source": source} | more


MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "p", "name": "P", "time_zone": "UTC",
                  "retention_days": {"responses": 400, "tallies": 1100, "rejects": 30}},
    "scales": {"ten": {"min": 0, "max": 10}, "five": {"min": 1, "max": 5}},
    "measures": {"wait_s": {"unit": "s", "decimals": 1, "min": 0, "max": 6, "direction": "lower"},
                 "pieces": {"unit": "1", "decimals": 0, "min": 0, "max": 90,
                            "direction": "higher"}},
    "journeys": [{"id": "travel", "name": "T", "audience": "customer", "level": "main",
                  "detailed": [{"id": "fly", "touchpoints": ["gate"]}]}],
    "touchpoints": [{"id": "gate"}],
    "items": [{"id": "recommend", "kind": "outcome", "metric": "nps", "scale": "ten", "text": "?"},
              {"id": "happy", "kind": "outcome", "metric": "csat", "scale": "five", "top": 2,
               "text": "?"},
              {"id": "easy", "kind": "outcome", "metric": "mean", "scale": "five", "text": "?"},
              *({"id": f"care_{i}", "kind": "driver", "metric": "mean", "scale": "five",
                 "text": "?"} for i in range(3))],
    "kpis": [kpi("nps", {"item": "recommend"}), kpi("csat", {"item": "happy"}),
             kpi("mean", {"item": "easy"}), kpi("index", {"items": ["easy", "happy"]}),
             kpi("straight", {"straight_lining": True}), kpi("rate", {"response_rate": True}),
             kpi("wait", {"measure": "wait_s"}, role="input"),
             kpi("quick", {"measure": "wait_s", "within": 3}, role="input"),
             kpi("p80", {"measure": "wait_s", "quantile": 0.8}, role="input"),
             kpi("per_piece", {"measure": "wait_s", "per": "pieces"}, role="input")],
    "alerts": {"calendar": [{"from": "2026-01-10", "to": "2026-01-11", "text": "fair"}]},
}


class Probe:
    def __init__(self, conninfo, model):
        self.process = subprocess.Popen([PROBE, conninfo, model], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=clean_environment())
        line = self.process.stdout.readline()
        assert line == "ready\n", line

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().rstrip("\n")
        assert line, f"{command}: the program ended"
        return line

    def cells(self):
        """(kpi, unit, day) → n, effective, mean, s2, flags"""
        found, line = {}, self.ask("print")
        while line != "end":
            name, unit, day, *numbers = line.split("\t")
            found[name, unit, int(day)] = tuple(float(x) for x in numbers)
            line = self.process.stdout.readline().rstrip("\n")
        return found

    def refresh(self, until, pairs):
        return self.ask(f"refresh {until} " + " ".join(f"{s}:{d}" for s, d in pairs)).split()[0]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


@pytest.fixture
def probe(database, pg, tmp_path):
    made = []

    def make(model=MODEL):
        path = model
        if isinstance(model, dict):
            path = tmp_path / "cells.json"
            path.write_text(json.dumps(model))
        made.append(Probe(database.conninfo, path))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ---- answers planted as tallies ------------------------------------------------------------------

class World:
    """Single answers by (kpi, day, unit, channel, lane), and the tallies made of them."""

    def __init__(self, pg, seed):
        self.pg, self.random = pg, random.Random(seed)
        self.series = dict(pg.execute("SELECT kpi, series FROM flightpath.kpi WHERE current"))
        self.answers = {}
        for unit, name in UNITS.items():
            pg.execute("INSERT INTO flightpath.name (kind, id, name) VALUES (0, %s, %s)",
                       (unit, name))
        for table in "tally_day", "sketch_day":
            pg.execute("SELECT flightpath.ensure_partitions(%s, '2025-06-01', '2026-12-31')",
                       [table])

    def answer(self, name):
        w, r = self.random.choice((1000, 1000, 2500)), self.random.random
        if name == "index":
            k = self.random.choice((1, 2))
            return 1000, sum(int(1 + 5 * r()) for _ in range(k)), k
        if name == "per_piece":
            pieces = int(1 + 20 * r())
            return 1, int(pieces * (2 + r())), pieces
        y = {"nps": int(11 * r()), "csat": int(1 + 5 * r()), "mean": int(1 + 5 * r()),
             "wait": int(60 * r()), "p80": int(60 * r())}.get(name, int(r() < .3))
        return (w if name in ("nps", "csat", "mean") else 1), y, 0

    def write(self, name, day, unit, channel, lane, count):
        key = self.series[name], day, unit, channel, lane
        answers = self.answers[(name, *key[1:])] = [self.answer(name) for _ in range(count)]
        bins = [0] * 11
        for w, x, y in answers:
            if name in ("nps", "csat"):
                bins[x - (name == "csat")] += w
            if name in ("index", "per_piece"):
                bins[0] += w * y
                bins[1] += w * y * y
                bins[2] += w * x * y
        where = "series = %s AND bucket = %s AND unit = %s AND channel = %s AND lane = %s"
        sums = [sum(f) for f in zip(*((1, w, w * w, w * x, w * x * x) for w, x, _ in answers))]
        self.pg.execute(f"DELETE FROM flightpath.tally_day WHERE {where}", key)
        self.pg.execute(f"DELETE FROM flightpath.sketch_day WHERE {where}", key)
        self.pg.execute("INSERT INTO flightpath.tally_day (series, bucket, unit, channel, lane, n,"
                        " weight, weight_square, sum, sum_square, b0, b1, b2, b3, b4, b5, b6, b7,"
                        " b8, b9, b10) VALUES (" + ", ".join(["%s"] * 21) + ")",
                        [*key, *(sums or [0] * 5), *bins])
        for value, n in collections.Counter(x for _, x, _ in answers if name == "p80").items():
            self.pg.execute("INSERT INTO flightpath.sketch_day"
                            " (series, bucket, unit, channel, lane, bin, n)"
                            " VALUES (%s, %s, %s, %s, %s, %s, %s)", [*key, value, n])

    def fill(self, days, units):
        with self.pg.transaction(), self.pg.pipeline():
            for name in self.series:
                for day in days:
                    for unit in units:
                        for channel, lane in (2, 0), (3, 0), (2, 1):
                            self.write(name, day, unit, channel, lane, self.random.randrange(9))

    def expected(self):
        """(kpi, unit, day) → n, effective, mean, s2 of the single answers."""
        pooled = collections.defaultdict(list)
        for (name, day, unit, _, _), answers in self.answers.items():
            pooled[name, "-", day] += answers
            if unit in UNITS:
                pooled[name, UNITS[unit], day] += answers
        return {key: moments(key[0], some) for key, some in pooled.items() if some}


def moments(name, answers):
    if name == "p80":
        return quantile(sorted(x for _, x, _ in answers), .8)
    weight, square = sum(w for w, _, _ in answers), sum(w * w for w, _, _ in answers)
    effective = weight * weight / square
    if name in ("index", "per_piece"):
        ratio = sum(w * x for w, x, _ in answers) / sum(w * y for w, _, y in answers)
        base = sum(w * y for w, _, y in answers) / weight
        values, mean = [(w, (x - ratio * y) / base) for w, x, y in answers], ratio
        centre = 0
    else:
        score = {"nps": lambda x: 100 * ((x > 8) - (x < 7)), "csat": lambda x: int(x > 3)}
        values = [(w, score.get(name, lambda x: x)(x)) for w, x, _ in answers]
        mean = centre = math.fsum(w * v for w, v in values) / weight
    s2 = math.fsum(w * (v - centre) ** 2 for w, v in values) / weight
    s2 *= effective / (effective - 1) if effective > 1 + 1e-12 else math.nan
    one = 10 if name in ("wait", "per_piece") else 1
    return len(answers), effective, mean / one, s2 / one / one


def quantile(values, q):
    n, half = len(values), math.sqrt(len(values) * q * (1 - q))
    at = values[max(math.ceil(q * n - 1e-9), 1) - 1]
    low, high = math.floor(n * q - half), math.ceil(n * q + half) + 1
    low = values[low - 1] if low >= 1 else None
    high = values[high - 1] if high <= n else None
    error = ((high - low) / 2 if None not in (low, high) else at - low if low is not None
             else high - at if high is not None else math.nan)
    return n, n, at / 10, n * (error / 10) ** 2


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, numbers in wanted.items():
        for got, want in zip(found[key], numbers):
            assert got == pytest.approx(want, rel=1e-9, abs=1e-9, nan_ok=True), (key, found[key],
                                                                                   numbers)


def test_cells_are_those_of_single_answers(probe, pg):
    one = probe()
    world = World(pg, 1)
    world.fill(range(FIRST + 3, FIRST + 23), SEEN)
    one.ask(f"load {FIRST + 30}")
    same(one.cells(), world.expected())
    # and the view's, its channels added up
    cells = one.cells()
    rows = pg.execute("SELECT kpi, unit, bucket_number, sum(n), sum(sum_value) / sum(weight)"
                      " FROM experience.kpi_day WHERE kpi IN ('mean', 'wait', 'quick')"
                      " AND unit IN ('ams', 'rtm') GROUP BY 1, 2, 3"
                      " HAVING bool_and(n IS NOT NULL)").fetchall()
    assert len(rows) > 50
    for name, unit, day, n, mean in rows:
        assert cells[name, unit, day][0] == n
        assert cells[name, unit, day][2] == pytest.approx(float(mean), rel=1e-12)


def test_a_refresh_is_a_load(probe, pg):
    one, other = probe(), probe()
    world = World(pg, 2)
    world.fill(range(FIRST + 3, FIRST + 60, 2), SEEN)
    until = FIRST + 60
    assert one.ask(f"load {until}").split()[:2] == ["ok", str(FIRST)]
    for turn in range(12):
        changed = set()
        for _ in range(12):
            name = world.random.choice(sorted(world.series))
            day = FIRST + world.random.randrange(28, 70)
            unit = world.random.choice((0, 1, 2, 3) + ((4,) if turn > 5 else ()))
            world.write(name, day, unit, world.random.choice((2, 3, 4)), turn % 3,
                        world.random.choice((0, 4, 300)))
            changed.add((world.series[name], day))
        until += turn % 2
        assert one.refresh(until, sorted(changed) + [(999, FIRST + 40)]) == "ok"
        other.ask(f"load {until}")
        fresh = other.cells()
        assert str(one.cells()) == str(fresh)
        same({k: v[:4] for k, v in fresh.items()},
             {k: v for k, v in world.expected().items() if k[2] <= until})
    assert any(v[4] for v in fresh.values())


def test_what_a_refresh_cannot_do_it_says(probe, pg):
    one = probe()
    world = World(pg, 3)
    series = world.series["nps"]
    world.write("nps", FIRST + 40, 2, 2, 0, 5)
    world.write("nps", FIRST + 41, 3, 2, 0, 5)
    until = FIRST + 60

    def begin():
        line = one.ask(f"load {until}").split()
        assert line[0] == "ok"
        return int(line[1])

    assert begin() == FIRST + 28
    assert one.refresh(until - 1, []) == "stale"                    # backwards
    assert one.refresh(FIRST + 28 + 308, []) == "stale"             # the history begins later
    assert one.refresh(FIRST + 28 + 307, []) == "ok"
    begin()
    world.write("nps", FIRST + 5, 2, 2, 0, 5)                       # … earlier
    assert one.refresh(until, [(series, FIRST + 5)]) == "stale"
    assert begin() == FIRST
    world.write("nps", FIRST + 5, 2, 2, 0, 0)                       # … later again
    assert one.refresh(until, [(series, FIRST + 5)]) == "stale"
    assert begin() == FIRST + 28
    world.write("nps", FIRST + 41, 3, 2, 0, 0)                      # a unit's last answers went
    assert one.refresh(until, [(series, FIRST + 41)]) == "stale"
    begin()
    pg.execute("INSERT INTO flightpath.name (kind, id, name)"
               " SELECT 0, g, 'u' || g FROM generate_series(10, 60) g")
    world.write("nps", FIRST + 42, 10, 2, 0, 5)                     # no room for so many
    assert one.refresh(until, [(series, FIRST + 42)]) == "stale"
    begin()
    assert one.cells()["nps", "u10", FIRST + 42][0] == 5


def test_suspect_known_and_missing_days(probe, pg):
    one = probe()
    world = World(pg, 4)
    fair = 20463  # 2026-01-10, in the calendar; a Saturday
    days = range(fair - 63, fair + 20)
    with pg.transaction():
        for day in days:
            for unit in 2, 3:
                world.write("nps", day, unit, 2, 0, 30)
                world.write("straight", day, unit, 2, 0, 30)
    world.write("nps", fair, 2, 2, 0, 600)        # known
    world.write("nps", fair + 4, 2, 2, 0, 700)    # the whole: 730 of 60
    world.write("nps", fair + 6, 2, 2, 0, 150)    # the unit alone: 180 of 60, three times as many
    world.write("nps", fair + 8, 2, 2, 0, 0)
    world.write("nps", fair + 8, 2, 5, 0, 30)     # half of the answers by another channel
    last = fair + 19
    for day in range(last - 1, last + 1):
        world.write("nps", day, 3, 2, 0, 0)
    one.ask(f"load {last}")
    flags = {(k, u, d): int(v[4]) for (k, u, d), v in one.cells().items() if k == "nps" and v[4]}
    assert flags == {("nps", u, fair + d): f
                     for u, d, f in [(u, d, 2) for u in ("-", "ams", "rtm") for d in (0, 1)]
                     + [(u, d, 1) for u in ("-", "ams", "rtm") for d in (4, 8)] + [("ams", 6, 1)]}
    assert one.ask(f"suspect nps - {fair}") == "no"
    assert one.ask(f"suspect nps - {fair + 4}").startswith("730 answers where 60 are usual")
    assert one.ask(f"suspect nps rtm {fair + 4}").startswith("730 answers where 60 are usual")
    assert one.ask(f"suspect nps ams {fair + 6}").startswith("150 answers where 30 are usual")
    assert "channel" in one.ask(f"suspect nps - {fair + 8}")
    assert one.ask(f"missing nps rtm {last}").split() == ["60", str(last - 1)]
    assert one.ask(f"missing nps - {last}").split()[0] == "0"
    assert one.ask(f"missing nps ams {last}").split()[0] == "0"


# ---- what flushes write --------------------------------------------------------------------------

def sums(pg):
    return {(s, d): rest for s, d, *rest in pg.execute(
        "SELECT series, bucket, sum(n), sum(weight), sum(sum), sum(sum_square), sum(b0), sum(b10)"
        " FROM flightpath.tally_day GROUP BY 1, 2")}


def test_flushes_say_what_they_changed(pipeline, daemon, probe, pg, model):
    pg.execute("CREATE TABLE public.copied (series int, day int);"
               "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " INSERT INTO public.copied SELECT * FROM unnest(NEW.series, NEW.day);"
               " RETURN NEW; END $$;"
               "CREATE TRIGGER keep AFTER INSERT ON flightpath.watch_touched"
               " FOR EACH ROW EXECUTE FUNCTION public.keep()")
    line = pipeline.generate(4000, seed=11)
    daemon(flush_ms=50).ready()
    line.send(2000)
    line.caught_up()
    one, other = probe(model), probe(model)
    until = pg.execute("SELECT max(bucket) FROM flightpath.tally_day").fetchone()[0]
    one.ask(f"load {until}")
    before = sums(pg)
    pg.execute("TRUNCATE public.copied")
    line.send()
    line.caught_up()
    after = sums(pg)
    touched = set(pg.execute("SELECT DISTINCT series, day FROM public.copied"))
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed and changed <= touched
    assert touched <= after.keys()
    counts = pg.execute("SELECT sum(revised), sum(voided) FROM experience.ledger").fetchone()
    assert min(counts) > 0, "the stream revises and voids"
    until = max(until, pg.execute("SELECT max(bucket) FROM flightpath.tally_day").fetchone()[0])
    if one.refresh(until, sorted(touched)) == "stale":
        one.ask(f"load {until}")
    other.ask(f"load {until}")
    cells = other.cells()
    assert cells and str(one.cells()) == str(cells)


def test_an_erasure_says_what_it_took(kafka, topics, daemon, flightpath, database, pg, wait_for):
    daemon(flush_ms=50).ready()
    body = {"specversion": "1.0", "id": "r1", "source": "/s", "type": "experience.response.v1",
            "subject": "c-77", "time": "2026-03-02T10:00:00Z",
            "data": {"audience": "customer", "survey": "visit", "journey": "travel", "unit": "ams",
                     "scores": {"recommend": 9, "crew_care": 4}}}
    kafka.send(topics.responses, json.dumps(body), key="c-77", timestamp_ms=1772445601000)
    kafka.flush()
    wait_for(lambda: sums(pg), "the response is tallied")
    pg.execute("CREATE TABLE public.copied (series int[], day int[]);"
               "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               " INSERT INTO public.copied VALUES (NEW.series, NEW.day); RETURN NEW; END $$;"
               "CREATE TRIGGER keep AFTER INSERT ON flightpath.watch_touched"
               " FOR EACH ROW EXECUTE FUNCTION public.keep()")
    tallied = sorted(sums(pg))
    done = flightpath("erase", "c-77", postgres=database.conninfo, topics=topics.both,
                      **{"kafka.bootstrap.servers": kafka.bootstrap})
    assert done.code == 0, done.err
    rows = pg.execute("SELECT series, day FROM public.copied").fetchall()
    assert [sorted(zip(series, days)) for series, days in rows] == [tallied]  # one row, each once
