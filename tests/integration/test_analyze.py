"""`flightpath analyze` beside other tools: statsmodels, and Wilson and Tango in their own words."""

import datetime
import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.stats.outliers_influence import variance_inflation_factor
from statsmodels.stats.proportion import proportion_confint

from support.paths import ROOT
from support.program import run

KEYS = ["outcome", "drivers", "n", "n_complete", "method", "coef", "se", "t", "p", "q", "ci_low",
        "ci_high", "r2", "adj_r2", "sigma", "vif", "johnson", "johnson_low", "johnson_high", "lmg",
        "lmg_low", "lmg_high", "r", "dropped", "warnings"]


def reference(name):
    data = json.loads((ROOT / "tests" / "data" / f"{name}.json").read_text())
    header = [data["outcome"], *data["drivers"]]
    rows = [[y, *x] for y, x in zip(data["data"]["y"], data["data"]["X"])]
    return data, header, rows


@pytest.fixture
def csv(tmp_path):
    """Writes a file: csv(header, rows) or csv(text)."""
    def write(header, rows=None):
        path = tmp_path / "data.csv"
        if rows is None:
            path.write_bytes(header if isinstance(header, bytes) else header.encode())
        else:
            path.write_text("".join(",".join(map(str, r)) + "\n" for r in [header, *rows]))
        return path
    return write


def drivers(path, outcome="y", names="a,b", **options):
    result = run("analyze", "drivers", path, outcome=outcome, drivers=names, json=True, **options)
    assert result.code == 0, result.err
    assert result.out.count("\n") == 1
    return result.json


def kpi(path, metric, column="x", **options):
    result = run("analyze", "kpi", path, metric=metric, column=column, json=True, **options)
    assert result.code == 0, result.err
    return result.json


def refused(*arguments, **options):
    result = run("analyze", *arguments, **options)
    assert result.code == 2 and result.out == "", result.out
    return result.err


def close(found, wanted, digits):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        assert math.isclose(one, float(other), rel_tol=10.0 ** -digits), (found, wanted)


def answers(rows=400, seed=1, missing=0.0):
    """A survey: two drivers that matter and one that does not."""
    rng = random.Random(seed)
    out = []
    for _ in range(rows):
        a, b, c = (rng.randint(1, 5) for _ in range(3))
        y = min(10, max(0, a + b / 2 + rng.gauss(1, 1)))
        out.append([f"{y:.2f}", *("" if rng.random() < missing else v for v in (a, b, c))])
    return out


# ---- drivers beside statsmodels ------------------------------------------------------------------

@pytest.mark.parametrize("name,digits", [("attitude", 11), ("longley", 7)])
def test_drivers_as_statsmodels(csv, name, digits):
    data, header, rows = reference(name)
    found = drivers(csv(header, rows), data["outcome"], ",".join(data["drivers"]))
    assert set(KEYS) <= set(found)
    values = np.array(rows, dtype=float)
    design = sm.add_constant(values[:, 1:])
    fit = sm.OLS(values[:, 0], design).fit()
    close(found["coef"], fit.params, digits)
    close(found["se"], fit.bse, digits)
    close(found["t"], fit.tvalues, digits)
    close(found["p"], fit.pvalues, digits - 1)
    close(found["ci_low"], fit.conf_int()[:, 0], digits - 1)
    close(found["ci_high"], fit.conf_int()[:, 1], digits - 1)
    close([found["r2"], found["adj_r2"]], [fit.rsquared, fit.rsquared_adj], digits)
    close([found["sigma"]], [math.sqrt(fit.mse_resid)], digits)
    close(found["vif"], [variance_inflation_factor(design, j + 1)
                         for j in range(len(data["drivers"]))], digits)
    assert found["n"] == found["n_complete"] == fit.nobs
    assert found["method"] == "listwise" and found["dropped"] == []


@pytest.mark.parametrize("name", ["attitude", "longley", "swiss", "survey_lcg12"])
def test_drivers_as_certified(csv, name):
    data, header, rows = reference(name)
    found = drivers(csv(header, rows), data["outcome"], ",".join(data["drivers"]))
    wanted = data["expected"]
    close(found["coef"], wanted["coef"], 13)
    close(found["se"], wanted["se"], 13)
    close(found["p"], wanted["pvalue"], 11)
    close(found["johnson"], wanted["johnson_rw"], 11)
    close(found["lmg"], wanted["lmg"], 11)
    for low, share, high in zip(found["johnson_low"], found["johnson"], found["johnson_high"]):
        assert low < share < high


def test_seventeen_digits_come_back(csv):
    data, header, rows = reference("attitude")
    result = run("analyze", "drivers", csv(header, rows), outcome="rating", json=True,
                 drivers=",".join(data["drivers"]))
    number = result.out.split('"coef": [')[1].split(",")[0]
    assert number == "%.17g" % float(data["expected"]["coef"][0])


def test_em_as_published(csv):
    data, header, rows = reference("attitude")
    wanted = json.loads((ROOT / "tests" / "data" / "em_missing.json").read_text())
    for i, row in enumerate(rows):
        for j in range(len(data["drivers"])):
            if (7 * i + 5 * j) % 9 < 2:
                row[j + 1] = ""
    path = csv(header, rows)
    for options in ({}, {"missing": "em"}):
        found = drivers(path, "rating", ",".join(data["drivers"]), **options)
        assert found["method"] == "em" and found["n"] == 30 and found["n_complete"] < 30
        close(found["coef"], [wanted["intercept"], *wanted["beta"]], 7)


def test_listwise_and_weights_as_statsmodels(csv):
    rows = [[*row, i % 4] for i, row in enumerate(answers(missing=0.1))]
    found = drivers(csv(["y", "a", "b", "c", "w"], rows), names="a,b,c", missing="listwise",
                    weight="w")
    kept = np.array([[float(v) for v in r] for r in rows if "" not in r and r[4] > 0])
    fit = sm.WLS(kept[:, 0], sm.add_constant(kept[:, 1:4]), weights=kept[:, 4]).fit()
    assert found["method"] == "listwise" and found["n"] == len(kept)
    close(found["coef"], fit.params, 11)
    close([found["r2"]], [fit.rsquared], 11)
    n = kept[:, 4].sum() ** 2 / (kept[:, 4] ** 2).sum()
    close([found["n_effective"]], [n], 13)
    # errors count the effective rows, not those of the file
    ratio = math.sqrt((len(kept) - 4) / (n - 4))
    close(found["se"], fit.bse * ratio, 9)
    # and the unit of the weights does not matter
    for row in rows:
        row[4] *= 2.5
    again = drivers(csv(["y", "a", "b", "c", "w"], rows), names="a,b,c", missing="listwise",
                    weight="w")
    close(again["se"], found["se"], 12)


@pytest.mark.parametrize("missing", ["em", "listwise", "pairwise"])
def test_each_method_finds_what_was_planted(csv, missing):
    found = drivers(csv(["y", "a", "b", "c"], answers(2000, missing=0.1)), names="a,b,c",
                    missing=missing)
    assert found["method"] == missing
    assert abs(found["coef"][1] - 1) < 0.1 and abs(found["coef"][2] - 0.5) < 0.1
    assert found["q"][0] is None and found["q"][1] < 1e-6 and abs(found["coef"][3]) < 0.1


def test_clusters_widen_the_errors(csv):
    rows = [[*row, f"person {i}"] for i, row in enumerate(answers(300)) for _ in range(4)]
    path = csv(["y", "a", "b", "c", "who"], rows)
    plain = drivers(path, names="a,b,c")
    found = drivers(path, names="a,b,c", cluster="who")
    assert found["coef"] == plain["coef"] and found["se"][0] is None
    for one, other in zip(found["se"][1:3], plain["se"][1:3]):
        assert 1.2 < one / other < 3.5  # 2 but for the few groups
    assert any("clusters" in w for w in found["warnings"])
    few = [[*row, i % 2] for i, row in enumerate(answers(300))]
    found = drivers(csv(["y", "a", "b", "c", "who"], few), names="a,b,c", cluster="who")
    assert any(w.startswith("too few clusters") for w in found["warnings"])


def by_day(days, seed=8):
    """Answers with a date, of a window with a gap; each day moves all answers a little."""
    rng = random.Random(seed)
    rows = []
    for day in days:
        effect = rng.gauss(0, 1)
        for _ in range(rng.randint(5, 30)):
            a, b = rng.gauss(effect, 1), rng.gauss(0, 1)
            date = datetime.date(2026, 1, 15) + datetime.timedelta(days=day)
            rows.append([round(a + b / 2 + effect + rng.gauss(0, 1), 3), round(a, 3), round(b, 3),
                         date, day])
    rng.shuffle(rows)
    return rows


def jackknife(rows, window, groups):
    """Busing et al. (1999) over runs of days, by leaving out and fitting again."""
    values = np.array([row[:3] for row in rows], dtype=float)
    run = np.array([row[4] * groups // window for row in rows])

    def fit(keep):
        return sm.OLS(values[keep, 0], sm.add_constant(values[keep, 1:])).fit().params[1:]
    whole, n, kinds = fit(run >= 0), len(rows), sorted(set(run))
    size = np.array([(run == g).sum() for g in kinds])
    without = np.array([fit(run != g) for g in kinds])
    h = (n / size)[:, None]
    theta = len(kinds) * whole - ((1 - size / n)[:, None] * without).sum(axis=0)
    pseudo = h * whole - (h - 1) * without
    return np.sqrt((((pseudo - theta) ** 2) / (h - 1)).mean(axis=0)), len(kinds)


@pytest.mark.parametrize("days", [range(90), [*range(20), *range(60, 90)], range(5), range(13)])
def test_days_are_grouped_as_by_hand(csv, days):
    rows = by_day(days)
    wanted, groups = jackknife(rows, max(days) + 1, min(12, len(days)))
    # a row of weight 0 is none, so its day does not widen the window
    path = csv(["y", "a", "b", "day", "w"],
               [*([*row[:4], 1] for row in rows), [1, 1, 1, "1990-01-01", 0]])
    found = drivers(path, day="day", weight="w", missing="listwise", explain=True)
    close(found["robust_se"], wanted, 9)
    assert any(f"over {groups} groups of consecutive days" in e for e in found["explain"])
    fit = sm.OLS([row[0] for row in rows], sm.add_constant([row[1:3] for row in rows])).fit()
    close(found["se"], fit.bse, 9)  # those of rows; only intervals leave days out
    plain = drivers(path, weight="w", missing="listwise")
    assert plain["robust_se"] != found["robust_se"] and plain["coef"] == found["coef"]


def test_days_in_any_order(csv):
    rows = by_day(range(40))
    for row in rows[::7]:
        row[1] = ""
    texts = []
    for turn in range(3):
        random.Random(turn).shuffle(rows)
        path = csv(["y", "a", "b", "day"], [row[:4] for row in rows])
        texts.append(run("analyze", "drivers", path, outcome="y", drivers="a,b", day="day",
                         json=True, check=True).out)
    assert texts[0] == texts[1] == texts[2] and '"em"' in texts[0]


def test_few_days(csv):
    path = csv(["y", "a", "b", "day"], [row[:4] for row in by_day(range(3))])
    found = drivers(path, day="day")
    assert any(w.startswith("too few rows or days to leave groups out") for w in found["warnings"])
    path = csv(["y", "a", "day"], [[1, 2, "2026-01-01"]])
    assert drivers(path, names="a", day="day", missing="em")["coef"] == [None] * 2
    assert drivers(csv("y,a,day\n"), names="a", day="day")["status"] == "no_rows"


@pytest.mark.parametrize("text", ["2026-02-30", "2026-3-02", "02.03.2026", "1969-12-31", "today",
                                  "2026-03-02T10:00:00Z", "20260302", "2026-03-02x"])
def test_days_that_are_no_dates(csv, text):
    path = csv(f"y,a,day\n1,2,2026-03-01\n3,4,{text}\n")
    told = refused("drivers", path, outcome="y", drivers="a", day="day")
    assert f':3: column "day": "{text}" is no date' in told


def test_days_that_are_not_there(csv):
    path = csv("y,a,day\n1,2,2026-03-01\n3,4,\n")
    assert "every row needs its day" in refused("drivers", path, outcome="y", drivers="a",
                                                day="day")
    assert "no such column" in refused("drivers", path, outcome="y", drivers="a", day="date")
    assert "give one of them" in refused("drivers", path, outcome="y", drivers="a", day="day",
                                         cluster="day")
    assert "are of analyze drivers" in refused("kpi", path, metric="mean", column="a", day="day")


def test_a_pattern_for_every_row(csv):
    """More patterns of missing answers than any memory has blocks for."""
    rng = random.Random(9)
    names = [f"q{i}" for i in range(30)]
    rows = []
    for _ in range(20000):
        x = [rng.randint(0, 10) for _ in names]
        y = x[0] + x[1] / 2 + rng.gauss(0, 1)
        rows.append([f"{y:.2f}", *(v if rng.random() < 0.8 else "" for v in x)])
    path = csv(["y", *names], rows)
    found = drivers(path, names=",".join(names), missing="pairwise")
    assert found["n"] == 20000 and abs(found["coef"][1] - 1) < 0.1
    assert abs(found["coef"][2] - 0.5) < 0.1
    assert any(w.startswith("of the patterns of missing answers") for w in found["warnings"])


def test_codes_that_mean_does_not_apply(csv):
    rows = answers(300)
    for i, row in enumerate(rows):
        row[1] = ("0", "6.0", "NA")[i % 3] if i % 10 == 0 else row[1]
    rows[1][0] = "6"  # an answer, of the outcome
    found = drivers(csv(["y", "a", "b", "c"], rows), names="a,b,c", na="0, 6,NA",
                    missing="listwise")
    assert found["n"] == 270
    assert any(w.startswith("y: 1 values equal a code") for w in found["warnings"])


# ---- awkward data --------------------------------------------------------------------------------

def test_no_rows(csv):
    found = drivers(csv("y,a,b\n"))
    assert found["n"] == 0 and found["status"] == "no_rows" and found["coef"] == [None] * 3
    assert found["warnings"]


def test_one_row(csv):
    found = drivers(csv("y,a,b\n1,2,3\n"))
    assert found["coef"] == [None] * 3 and found["warnings"]


def test_constant_duplicate_and_empty_columns(csv):
    rows = [[y, a, b, 3, a, ""] for y, a, b, _ in answers()]
    path = csv(["y", "a", "b", "same", "copy", "nobody"], rows)
    clean = drivers(path)
    for missing in ("auto", "listwise", "em"):
        found = drivers(path, names="a,b,same,copy,nobody", missing=missing)
        reasons = {d["driver"]: d["reason"].split(":")[0] for d in found["dropped"]}
        assert reasons == {"same": "constant", "copy": "aliased", "nobody": "empty"}
        close(found["coef"][:3], clean["coef"], 8)
        assert found["coef"][3:] == [None] * 3 and found["johnson"][2:] == [None] * 3
    told = run("analyze", "drivers", path, outcome="y", drivers="a,b,same", explain=True)
    assert "dropped same: constant" in told.out and "coef: least squares" in told.out


def test_nothing_but_missing(csv):
    found = drivers(csv(["y", "a", "b"], [["", "", ""]] * 5))
    assert found["status"] == "no_rows" and found["n"] == 0
    found = drivers(csv(["y", "a", "b"], [[i, "", ""] for i in range(5)]))
    assert found["status"] == "no_drivers"
    assert [d["driver"] for d in found["dropped"]] == ["a", "b"]


def test_constant_outcome_and_perfect_fit(csv):
    rows = [[7, a, b] for _, a, b, _ in answers(50)]
    assert drivers(csv(["y", "a", "b"], rows))["status"] == "outcome_constant"
    rows = [[2 * a + b, a, b] for _, a, b, _ in answers(50)]
    found = drivers(csv(["y", "a", "b"], rows))
    assert found["status"] == "perfect_fit"
    close(found["coef"][1:], [2, 1], 12)


def test_quotes_line_ends_and_marks(csv):
    text = '\ufeff"y","a, with ""comma""",b\r\n'
    text += "".join(f'"{i}", {i * i % 7} ,"{i % 3}"\r\n' for i in range(20))
    found = drivers(csv(text.encode()), names="b")
    assert found["n"] == 20 and found["method"] == "listwise"
    assert kpi(csv(text.encode()), "mean", column='a, with "comma"')["n"] == 20


def test_numbers_of_many_forms(csv):
    values = ["1e1", "+10", "010", "10.", "10.000"]
    path = csv("x\n" + "\n".join(v for v in values if v != "10.") + "\n")
    assert kpi(path, "mean")["value"] == 10
    assert kpi(csv("x\n.5\n-.5\n1e-15\n"), "mean")["value"] == pytest.approx(1e-15 / 3, rel=1e-12)


def test_wide_numbers_are_rounded_and_said(csv):
    rng = random.Random(3)
    rows = [[rng.gauss(1e6, 1), rng.random()] for _ in range(500)]
    found = drivers(csv(["y", "a"], rows), names="a")
    fit = sm.OLS(np.array(rows)[:, 0], sm.add_constant(np.array(rows)[:, 1])).fit()
    close(found["coef"], fit.params, 8)
    assert any("rounded" in w for w in found["warnings"])


# ---- refusals ------------------------------------------------------------------------------------

def test_unknown_column_names_those_there_are(csv):
    path = csv("rating,speed,price\n1,2,3\n")
    told = refused("drivers", path, outcome="rating", drivers="sped")
    assert "sped: no such column; the file has rating, speed, price; did you mean" in told
    told = refused("kpi", csv("a;b\n1;2\n"), metric="mean", column="a")
    assert "separated by commas" in told


@pytest.mark.parametrize("text,wanted", [
    ("y,a\n1,2\n3,four\n", ':3: column "a": "four" is not a number'),
    ("y,a\n1,NaN\n", '"NaN" is not a number'),
    ("y,a\n1,2\n3\n", ":3: 1 cells where the header names 2 columns"),
    ("y,a\n1,2,3\n", ":2: 3 cells"),
    ('y,a\n1,"2\n3,4\n', ":2: a quote is opened and never closed"),
    ('y,a\n1,"2"x\n', ":2: text after a closing quote"),
    ('y,a\n1,2"\n', ":2: a quote inside a cell"),
    ("y,a\n1,\0\n", ":2: a zero byte"),
    ("", "the file is empty"),
    ("y,a,a\n1,2,3\n", "two columns of the file have this name"),
    ("y,a\n1,1e30\n", "beyond exact arithmetic"),
    ('y,a\n1,"' + "9" * (1 << 20) + '"1"\n', "more than 1 MiB"),
])
def test_files_that_cannot_be_read(csv, text, wanted):
    assert wanted in refused("drivers", csv(text), outcome="y", drivers="a")


def test_options_that_do_not_fit(csv, tmp_path):
    path = csv("y,a,b,w\n1,2,3,-1\n")
    assert "needs drivers|kpi|watch FILE.csv" in refused("drivers")
    assert "say what to analyze" in refused("driver", path)
    assert "--outcome COLUMN and --drivers" in refused("drivers", path)
    assert "--metric" in refused("kpi", path, column="a")
    assert "are of analyze kpi" in refused("drivers", path, outcome="y", drivers="a", top=2)
    assert "--scale is of" in refused("drivers", path, outcome="y", drivers="a", scale="0:10")
    assert "are of analyze drivers" in refused("kpi", path, metric="nps", column="a", cluster="b")
    assert "asked for twice" in refused("drivers", path, outcome="y", drivers="a,y")
    assert "empty name" in refused("drivers", path, outcome="y", drivers="a,,b")
    assert "a weight below 0" in refused("drivers", path, outcome="y", drivers="a", weight="w")
    assert "not one of" in refused("drivers", path, outcome="y", drivers="a", missing="mean")
    assert "MIN:MAX" in refused("kpi", path, metric="csat", column="a", scale="5-1")
    assert "give nps, csat" in refused("kpi", path, metric="NPS", column="a")
    assert "cannot open" in refused("kpi", tmp_path / "none.csv", metric="nps", column="a")


# ---- KPIs ----------------------------------------------------------------------------------------

def tango(promoters, detractors, n, z=1.959963984540054):
    """Tango's score limits by bisection of his equation, in points."""
    b, c = promoters, detractors

    def score(delta):
        big_b = -b - c + (2 * n - b + c) * delta
        big_c = -c * delta * (1 - delta)
        q = (math.sqrt(max(big_b * big_b - 8 * n * big_c, 0)) - big_b) / (4 * n)
        variance = n * (2 * q + delta * (1 - delta))
        return (b - c - n * delta) / math.sqrt(max(variance, 1e-300))

    def root(low, high, wanted):
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if score(middle) > wanted else (low, middle)
        return 100 * (low + high) / 2
    value = (b - c) / n
    return 100 * value, root(-1 + 1e-12, value, z), root(value, 1 - 1e-12, -z)


def test_nps(csv):
    rng = random.Random(5)
    given = [rng.randint(0, 10) for _ in range(300)]
    found = kpi(csv("x\n" + "\n".join(map(str, given)) + "\n"), "nps")
    wanted = tango(sum(v >= 9 for v in given), sum(v <= 6 for v in given), 300)
    close([found["value"], found["ci_low"], found["ci_high"]], wanted, 9)
    assert found["metric"] == "nps" and found["n"] == 300 and found["status"] == "ok"


def test_nps_reference(csv):
    cases = json.loads((ROOT / "tests" / "data" / "kpi_ci.json").read_text())["nps_ci_95"]
    for case in cases[:6]:
        given = [10] * case["promoters"] + [7] * case["passives"] + [0] * case["detractors"]
        found = kpi(csv("x\n" + "\n".join(map(str, given)) + "\n"), "nps", scale="0:10")
        for key, wanted in (("value", "nps"), ("ci_low", "score_lo"), ("ci_high", "score_hi")):
            assert found[key] == pytest.approx(case[wanted], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("metric,options,good", [
    ("csat", {}, lambda v: v >= 4), ("top_box", {"top": 1}, lambda v: v >= 5),
    ("csat", {"scale": "1:7"}, lambda v: v >= 6)])
def test_shares(csv, metric, options, good):
    rng = random.Random(6)
    given = [rng.randint(1, 5) for _ in range(500)]
    found = kpi(csv("x\n" + "\n".join(map(str, given)) + "\n"), metric, **options)
    count = sum(map(good, given))
    assert found["value"] == pytest.approx(count / 500, abs=1e-15)
    low, high = proportion_confint(count, 500, method="wilson")
    assert found["ci_low"] == pytest.approx(max(low, 0), rel=1e-12, abs=1e-15)
    assert found["ci_high"] == pytest.approx(high, rel=1e-12)


@pytest.mark.parametrize("metric", ["ces", "mean"])
def test_means(csv, metric):
    rng = random.Random(7)
    given = [rng.randint(1, 7) for _ in range(200)]
    found = kpi(csv("x\n" + "\n".join(map(str, given)) + "\n"), metric)
    wanted = sm.stats.DescrStatsW(given)
    close([found["value"], found["ci_low"], found["ci_high"]],
          [wanted.mean, *wanted.tconfint_mean()], 12)


def test_kpi_weights_codes_and_gaps(csv):
    text = "x,w\n9,1\n10,1.5\n0,0.5\n,1\n99,1\nNA,2\n5,0\n"
    found = kpi(csv(text), "nps", weight="w", na="99,NA")
    n = 3.0 ** 2 / (1 + 1.5 ** 2 + 0.25)
    wanted = tango(2.5 / 3 * n, 0.5 / 3 * n, n)
    close([found["value"], found["ci_low"], found["ci_high"]], wanted, 9)
    assert found["n"] == 3 and found["empty"] == 1 and found["does_not_apply"] == 2
    assert found["status"] == "insufficient_n"


def test_kpi_awkward(csv):
    found = kpi(csv("x\n"), "nps")
    assert found["n"] == 0 and found["value"] is None and found["status"] == "no_data"
    assert kpi(csv("x\n\n\n"), "mean")["status"] == "no_data"
    same = kpi(csv("x\n" + "5\n" * 100), "ces", scale="1:7")
    assert same["value"] == 5 and same["ci_low"] < 5 < same["ci_high"]
    assert "outside the scale" in refused("kpi", csv("x\n11\n"), metric="nps", column="x")
    assert "between two points" in refused("kpi", csv("x\n8.5\n"), metric="nps", column="x")
    assert "every answer" in refused("kpi", csv("x\n1\n"), metric="csat", column="x", top=5)
    told = refused("kpi", csv("x\n1\n"), metric="nps", column="x", scale="1:5")
    assert "defined on 0:10" in told


def test_a_person_can_read_it(csv):
    path = csv(["y", "a", "b", "c"], answers())
    table = run("analyze", "drivers", path, outcome="y", drivers="a,b,c", check=True).out
    assert table.startswith("Drivers of y: n 400 (400 complete), listwise, R2 0.")
    assert [line.split()[0] for line in table.splitlines()[3:7]] == ["(intercept)", "a", "b", "c"]
    told = run("analyze", "kpi", path, metric="mean", column="a", explain=True, check=True).out
    assert told.startswith("mean of a: ") and "rows: 400 in the file" in told


def exact_fit(rows):
    """Coefficients and squared errors of least squares over integers, as fractions: fraction-free
    elimination (Bareiss 1968) of n·Σxx − Σx·Σx beside its right-hand sides."""
    data = np.array(rows, dtype=object)  # y first
    n, p = len(rows), data.shape[1] - 1
    sums, products = data.sum(axis=0), data.T.dot(data)
    cross = n * products - np.outer(sums, sums)
    matrix = [[int(v) for v in cross[1 + i, 1:]] + [int(cross[1 + i, 0])]
              + [int(i == j) for j in range(p)] for i in range(p)]
    before = 1
    for k in range(p):  # Gauss–Jordan: the diagonal ends as the determinant
        pivot = matrix[k][k]
        for i in range(p):
            if i != k:
                factor = matrix[i][k]
                matrix[i] = [(pivot * a - factor * b) // before
                             for a, b in zip(matrix[i], matrix[k])]
        before = pivot
    slopes = [Fraction(row[p], row[i]) for i, row in enumerate(matrix)]
    rss = Fraction(int(cross[0, 0]), n) - sum(
        b * Fraction(int(c), n) for b, c in zip(slopes, cross[1:, 0]))
    variance = rss / (n - p - 1)
    errors = [variance * Fraction(row[p + 1 + i] * n, row[i]) for i, row in enumerate(matrix)]
    return slopes, errors


def digits(found, exact):
    """Log relative error, with 17 digits of a double on one side."""
    off = abs(Fraction(found) - exact) / abs(exact)
    return 16.0 if off == 0 else -math.log10(off)


@pytest.mark.parametrize("n, p, shared, twins", [(500, 10, 0.5, False), (4000, 40, 0.8, False),
                                                 (20_000, 10, 0.5, True), (20_000, 40, 0.8, True)])
def test_integer_surveys_to_fifteen_digits(csv, n, p, shared, twins):
    """As solved in fractions; twins: one driver answers as another but ten people, VIF > 1e4."""
    rng = np.random.default_rng(n + p)
    common = rng.normal(size=(n, 1))
    latent = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=(n, p))
    x = np.clip(np.rint(6 + 2.5 * latent), 0, 10).astype(int)
    if twins:
        x[:, 1] = x[:, 0]
        x[:10, 1] = np.where(x[:10, 0] > 0, x[:10, 0] - 1, 1)
    y = np.clip(np.rint(x.mean(axis=1) + rng.normal(size=n)), 0, 10).astype(int)
    rows = np.column_stack([y, x]).tolist()
    names = [f"x{i}" for i in range(p)]
    found = drivers(csv(["y", *names], rows), names=",".join(names), missing="listwise")
    slopes, squares = exact_fit(rows)
    coef = min(digits(f, e) for f, e in zip(found["coef"][1:], slopes))
    error = min(digits(f ** 2, e) for f, e in zip(map(Fraction, found["se"][1:]), squares))
    print(f"n {n}, p {p}, largest VIF {max(found['vif']):.3g}: LRE of coefficients {coef:.1f},"
          f" of squared errors {error:.1f}")
    assert not twins or max(found["vif"]) > 1e4
    assert coef >= 15 and error >= 15
