# SPDX-License-Identifier: GPL-3.0-or-later
"""`flightpath explain` and `flightpath whatif` over planted results: what they print is held
against the rows, against the SQL they print, and against plain Python."""

import datetime
import random
import re
import shlex

import numpy
import pytest
import statsmodels.api as sm
from scipy import stats

from test_driver_views import DAY, MODEL, Plant

KPIS = [{"id": "nps", "source": {"item": "recommend"}, "target": 40},
        {"id": "other", "source": {"item": "d1"}}]


@pytest.fixture
def plant(pg):
    planted = Plant(pg, MODEL | {"kpis": KPIS})
    for topic, model in (("responses", "h"), ("touchpoints", "h"), ("older", "before")):
        planted.insert("ledger", topic=topic, partition=0, incarnation=1, first_offset=10,
                       next_offset=60, model_hash=model, consumed=50, applied=48, duplicate=2,
                       revised=0, voided=0, rejected=0, ignored=0)
    return planted


@pytest.fixture
def explain(flightpath, database):
    def run(*words, **options):
        return flightpath("explain", *words, postgres=database.conninfo, **options)
    return run


@pytest.fixture
def whatif(flightpath, database):
    def run(*words, **options):
        return flightpath("whatif", *words, postgres=database.conninfo, **options)
    return run


# ---- explain: drivers ----------------------------------------------------------------------------

def answers(plant, series, count, unit=1, seed=3):
    """Stored responses with gaps; returns the rows of the drivers and the outcome."""
    chance = random.Random(seed)
    items = [plant.name(6, name) for name in ("d1", "d2", "recommend")]
    plant.pg.execute("SELECT flightpath.ensure_partitions('response', '2026-01-01', '2026-07-01')")
    rows = []
    for i in range(count):
        a, b = chance.randint(1, 5), chance.choice([1, 2, 3, 4, 5, None, "na"])
        y = max(0, min(10, round(a + 0.6 * (b if isinstance(b, int) else 3)
                                 + chance.gauss(1, 1.2))))
        code = {None: -32768, "na": -32767}.get(b, b)
        day = DAY - chance.randrange(80)
        moment = datetime.datetime(1970, 1, 1, 12) + datetime.timedelta(days=day)
        plant.insert("response", source=1, id=f"{unit}-{seed}-{i}", submitted_at=moment, revision=0,
                     status=0, audience=0, survey=1, journey=0, touchpoint=0, unit=unit, channel=0,
                     tenure=-1, weight=1, day=day, items=items, scores=[a, code, y], measures=[],
                     amounts=[], tallied=[], fitted=[series << 32 | 7])
        rows.append((a, b, y))
    return rows


def run_sql(plant, sql, tmp_path):
    """The statement that counts, and the table it writes."""
    count, table = re.split(r"^-- the table.*$", sql, flags=re.M)
    n = plant.pg.execute(count).fetchone()[0]
    path = tmp_path / "drivers.csv"
    with path.open("wb") as file, plant.pg.cursor().copy(table.strip().rstrip(";")) as copy:
        for block in copy:
            file.write(block)
    return n


def test_the_sql_and_the_command_give_the_fit_again(plant, explain, flightpath, tmp_path):
    series = plant.series(drivers=["d1", "d2"])
    rows = answers(plant, series, 300)
    answers(plant, series + 1, 50, seed=4)  # of another model
    plant.fit(series, method="listwise", n=300)
    done = explain("driver", "model=m", "driver=d2", json=True, check=True).json
    assert run_sql(plant, done["sql"], tmp_path) == 300
    words = shlex.split(done["command"])
    assert words[:3] == ["flightpath", "analyze", "drivers"]
    result = flightpath(*words[1:], cwd=tmp_path, check=True).json
    whole = [r for r in rows if isinstance(r[1], int)]
    x = sm.add_constant(numpy.array([r[:2] for r in whole], dtype=float))
    fit = sm.OLS(numpy.array([r[2] for r in whole], dtype=float), x).fit()
    assert result["coef"] == pytest.approx(list(fit.params), rel=1e-10)
    assert result["se"] == pytest.approx(list(fit.bse), rel=1e-10)
    assert result["r2"] == pytest.approx(fit.rsquared, rel=1e-10)
    assert result["n_complete"] == len(whole)


def test_a_unit_s_sql_takes_its_answers_only(plant, explain, tmp_path):
    series = plant.series(drivers=["d1", "d2"])
    unit = plant.name(0, "ams")
    answers(plant, series, 40, unit)
    answers(plant, series, 30, unit + 1, seed=9)
    plant.fit(series, "unit", unit, method="shrunk", n=40)
    done = explain("driver_fit", "model=m", "segment=unit:ams", json=True, check=True).json
    assert run_sql(plant, done["sql"], tmp_path) == 40
    assert "Units borrow from each other" in done["notes"]


def test_all_parts_of_a_driver(plant, explain):
    plant.fit(plant.series(), results={"d2": {"flags": ["sign_conflict", "thin_n"]}})
    done = explain("driver", "model=m", "driver=d2", json=True, check=True).json
    assert (done["view"], done["row"]["coef"], done["row"]["n"]) == ("experience.driver", 0.4, 400)
    definition = done["definition"]
    assert (definition["hash"], definition["model_hash"]) == ("def-m", "h")
    assert definition["driver_model"]["id"] == "m"
    assert {i["id"] for i in definition["items"]} == {"recommend", "d2"}
    assert set(definition["scales"]) == {"nps", "agree5"}
    assert (done["window"]["first_day"], done["window"]["last_day"]) == ("2026-02-03",
                                                                         "2026-05-03")
    assert [(r["topic"], r["partition"], r["first_offset"], r["next_offset"])
            for r in done["ledger"]] == [("responses", 0, 10, 60), ("touchpoints", 0, 10, 60)]
    assert [f.split(":")[0] for f in done["flags"]] == ["sign_conflict", "thin_n", "ok"]
    assert any("Johnson" in line for line in done["formula"])
    text = explain("driver", "model=m", "driver=d2", check=True).out
    for heading in ("View", "Published row", "Definition", "Window", "Records read", "Formula",
                    "Flags", "SQL", "Command"):
        assert re.search(f"^{heading}", text, re.M), heading
    assert "responses/0: offsets 10 to 59, 50 records, 48 applied" in text
    assert "over 1 more ranges" in text


def test_a_suppressed_row_is_explained_without_its_numbers(plant, explain):
    plant.fit(plant.series(), n=7, n_eff=7.0, r2=0.123456)
    done = explain("driver_fit", "model=m", json=True, check=True)
    assert done.json["row"]["n"] is None and "0.123456" not in done.out
    assert done.json["flags"] == [
        "suppressed_min_n: fewer answers than the programme shows (min_n): no numbers"]


# ---- explain: KPIs -------------------------------------------------------------------------------

BINS = {"nps": [1, 0, 0, 2, 0, 0, 3, 5, 7, 11, 13]}


def kpi(plant, metric, **more):
    values = {"kpi": "nps", "definition": "d", "current": True, "model_hash": "h", "role": "output",
              "metric": metric, "source": "item", "audience": "customer", "grain": "hour",
              "direction": "higher", "scale_min": 0, "scale_max": 10, "top_k": 3, **more}
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    for table in ("tally_hour", "tally_day", "sketch_day"):
        plant.pg.execute("SELECT flightpath.ensure_partitions(%s, '2026-01-01', '2026-07-01')",
                         [table])
    return plant.pg.execute(f"INSERT INTO flightpath.kpi ({names}) VALUES ({marks})"
                            " RETURNING series", list(values.values())).fetchone()[0]


def tally(plant, series, table, bucket, unit, lane, bins):
    total = sum(bins)
    first = sum(i * b for i, b in enumerate(bins))
    square = sum(i * i * b for i, b in enumerate(bins))
    plant.insert(table, bucket=bucket, series=series, unit=unit, channel=0, lane=lane, n=total,
                 weight=total, weight_square=total, sum=first, sum_square=square,
                 **{f"b{i}": b for i, b in enumerate(bins)})


@pytest.mark.parametrize("metric", ["nps", "csat", "top_box", "mean", "ces"])
@pytest.mark.parametrize("view", ["kpi_day", "kpi_hour", "kpi_now"])
def test_the_sql_gives_the_value_again(plant, explain, metric, view):
    series, unit = kpi(plant, metric), plant.name(0, "ams")
    hour = DAY * 24 + 9
    for lane in (0, 1):
        for place in (unit, unit + 1):
            tally(plant, series, "tally_day", DAY, place, lane, BINS["nps"])
            tally(plant, series, "tally_hour", hour, place, lane, BINS["nps"])
    tally(plant, series, "tally_day", DAY - 29, unit, 0, [9] + [0] * 10)
    tally(plant, series, "tally_day", DAY - 30, unit, 0, [99] + [0] * 10)
    keys = {"kpi_day": ["bucket=2026-05-03", "unit=ams"],
            "kpi_hour": ["bucket=2026-05-03T09:00Z", "unit=ams"], "kpi_now": ["unit=ams"]}[view]
    done = explain(view, "kpi=nps", *keys, json=True, check=True).json
    n, value = plant.pg.execute(done["sql"]).fetchone()
    assert n == done["row"]["n"] == (93 if view == "kpi_now" else 84)
    assert value == pytest.approx(done["row"]["value"], rel=1e-12)
    assert done["definition"]["kpi"]["id"] == "nps"
    assert len(done["ledger"]) == 2


def test_a_quantile_s_sql_gives_it_again(plant, explain):
    series = kpi(plant, "quantile", quantile=0.9, source="measure", grain="day", decimals=1,
                 scale_max=1000)
    for bin_, n in ((40, 30), (200, 50), (300, 20)):
        plant.insert("sketch_day", bucket=DAY, series=series, unit=0, channel=0, bin=bin_, lane=1,
                     n=n)
    done = explain("kpi_day", "kpi=nps", "bucket=2026-05-03", json=True, check=True).json
    n, value = plant.pg.execute(done["sql"]).fetchone()
    assert (n, value) == (100, done["row"]["value"]) and value > 0


# ---- explain: refusals ---------------------------------------------------------------------------

@pytest.mark.parametrize("words, said", [
    (["drivers"], "give driver, driver_fit, kpi_day, kpi_hour, kpi_now or benchmark"),
    (["driver", "modell=m"], "with model, segment or driver"),
    (["driver", "m"], "NAME=VALUE"),
    (["driver", "driver=d1"], "no model given; there is: m"),
    (["driver", "model=x", "driver=d1"], "no model x; there is: m"),
    (["driver", "model=m", "segment=unit:x", "driver=d1"], "no segment unit:x; there is: all"),
    (["driver", "model=m", "driver=x"], "no driver x; there is: d1, d2"),
    (["kpi_day", "kpi=x", "bucket=2026-05-03"], "no kpi x; there is: nps"),
    (["kpi_day", "kpi=nps", "bucket=yesterday-ish"], "\"yesterday-ish\" is no time"),
    (["kpi_day", "kpi=nps", "bucket=2026-05-09"], "no bucket 2026-05-09; there is: 2026-05-03"),
    (["kpi_day", "kpi=nps", "bucket=2026-05-03", "unit=rtm"], "no unit rtm; there is: ams"),
    (["kpi_day", "kpi=nps", "bucket=2026-05-03"], "no unit given; there is: ams"),
    (["kpi_now", "kpi=nps", "unit=rtm"], "no unit rtm; there is: ams")])
def test_refusals_name_what_there_is(plant, explain, words, said):
    plant.fit(plant.series(drivers=["d1", "d2"]))
    tally(plant, kpi(plant, "nps"), "tally_day", DAY, plant.name(0, "ams"), 0, BINS["nps"])
    done = explain(*words)
    assert done.code == 2 and said in done.err and done.out == ""


def test_without_a_word_or_a_database_it_says_so(flightpath):
    assert flightpath("explain").code == 2
    assert "postgres" in flightpath("explain", "driver").err
    assert flightpath("explain", "driver", "model=m", postgres="host=127.0.0.1 port=1").code == 1


# ---- whatif --------------------------------------------------------------------------------------

def interval_of(plant, result=None, **fit):
    """Plants a model of two drivers with the intervals of Student's t."""
    t = stats.t.ppf(0.975, 400 - 3)
    result = {"coef": 0.4, "se": 0.05} | (result or {})
    result |= {"ci_low": result["coef"] - t * result["se"],
               "ci_high": result["coef"] + t * result["se"]}
    other = {"coef": -0.2, "se": 0.1, "ci_low": -0.2 - t * 0.1, "ci_high": -0.2 + t * 0.1,
             "performance": 3.0}
    series = plant.series(drivers=["d1", "d2"])
    plant.fit(series, results={"d1": result, "d2": other}, **fit)
    return t


def detractors(mean):
    return stats.norm.cdf((6.5 - mean) / 1.2)


def test_one_driver(plant, whatif):
    t = interval_of(plant)
    done = whatif("d1=+0.5", model="m", json=True, check=True).json
    assert (done["before"], done["n"], done["outcome"]) == (7.5, 400, "recommend")
    assert done["after"] == pytest.approx(7.7, rel=1e-12)
    assert done["change"] == pytest.approx(0.2, rel=1e-9)
    assert done["change_low"] == pytest.approx(0.2 - t * 0.05 * 0.5, rel=1e-9)
    assert done["change_high"] == pytest.approx(0.2 + t * 0.05 * 0.5, rel=1e-9)
    assert done["detractors_before"] == pytest.approx(detractors(7.5), abs=3e-6)
    assert done["detractors_after"] == pytest.approx(detractors(7.7), abs=3e-6)
    assert done["causal"] is False and done["note"].startswith(
        "not causal: an association in 400 answers")
    assert done["warnings"] == []
    assert done["steps"] == [{"driver": "d1", "step": 0.5, "from": 4.0, "coef": 0.4,
                              "change": pytest.approx(0.2), "status": "ok"}]


def test_several_drivers_add_their_half_widths(plant, whatif):
    t = interval_of(plant)
    done = whatif("d1=+0.5", "d2=-1", model="m", json=True, check=True).json
    half = t * (0.05 * 0.5 + 0.1)
    assert done["change"] == pytest.approx(0.4, rel=1e-9)
    assert done["change_low"] == pytest.approx(0.4 - half, rel=1e-9)
    assert done["change_high"] == pytest.approx(0.4 + half, rel=1e-9)
    assert done["detractors_after"] == pytest.approx(detractors(7.9), abs=3e-6)
    assert any("half widths" in w for w in done["warnings"])


def test_nothing_leaves_the_scale(plant, whatif):
    interval_of(plant, {"coef": 3.0})
    done = whatif("d1=+1", model="m", json=True, check=True).json
    assert (done["after"], done["change"], done["change_high"]) == (10, 2.5, 2.5)
    assert any("cannot leave its scale" in w for w in done["warnings"])
    assert done["detractors_after"] == pytest.approx(detractors(10.5), abs=3e-6)
    done = whatif("d1=+1.5", model="m", json=True, check=True).json
    assert any("leaves its scale, 1 to 5" in w for w in done["warnings"])


def test_warnings(plant, whatif):
    interval_of(plant, {"flags": ["sign_conflict"]}, status="insufficient")
    done = whatif("d1=+0.1", model="m", json=True, check=True).json
    assert any("point apart" in w for w in done["warnings"])
    assert sum("insufficient_n" in w for w in done["warnings"]) == 2


def test_as_text(plant, whatif):
    interval_of(plant)
    out = whatif("d1=+0.5", model="m", check=True).out
    assert "not causal: an association in 400 answers" in out
    line = next(one for one in out.splitlines() if one.startswith("recommend"))
    assert line.split()[1:4] == ["7.500", "7.700", "+0.200"]
    share = next(one for one in out.splitlines() if one.startswith("share of detractors"))
    assert f"{100 * detractors(7.5):.1f}%" in share and f"{100 * detractors(7.7):.1f}%" in share


@pytest.mark.parametrize("words, options, code, said", [
    (["d1=+1"], {}, 2, "give the id of a driver model"),
    (["d1=+1"], {"model": "x"}, 2, "no driver model; give --model with one of: m"),
    (["d1=+1"], {"model": "m", "segment": "unit:x"}, 2, "there are: all"),
    (["x=+1"], {"model": "m"}, 2, "no driver of m; there are: d1, d2"),
    (["d1=1"], {"model": "m"}, 2, "by how much, not to where"),
    (["d1=+1x"], {"model": "m"}, 2, "by how much, not to where"),
    (["d1=+0"], {"model": "m"}, 2, "by how much, not to where"),
    (["d1=+nan"], {"model": "m"}, 2, "by how much, not to where"),
    (["d1"], {"model": "m"}, 2, "by how much, not to where"),
    (["d1=+1", "d1=-1"], {"model": "m"}, 2, "the same driver twice")])
def test_whatif_refuses(plant, whatif, words, options, code, said):
    interval_of(plant)
    done = whatif(*words, **options)
    assert done.code == code and said in done.err and done.out == ""


def test_whatif_without_numbers(plant, whatif):
    interval_of(plant)
    plant.pg.execute("UPDATE flightpath.driver_result SET coef = NULL, status = 'constant'"
                     " WHERE driver = 1")
    done = whatif("d1=+1", model="m")
    assert done.code == 1 and "its status is constant" in done.err
    plant.pg.execute("UPDATE flightpath.driver_fit SET n = 9")
    done = whatif("d2=+1", model="m")
    assert done.code == 1 and "its status is suppressed_min_n" in done.err
