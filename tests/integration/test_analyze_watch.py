"""`flightpath analyze watch` beside the same method written in numpy: preparation, statistic and
episodes by their definitions."""

import datetime
import json
import math

import numpy as np
import pytest
import scipy.stats

from support.paths import ROOT
from support.program import run

BASELINE, WINDOW, LOOKBACK = 56, 56, 140
KEYS = ["bucket", "start", "verdict", "size", "ci_low", "ci_high", "posterior", "n", "cleared",
        "cleared_by"]


# ---- the judge -----------------------------------------------------------------------------------

def prepare(n, mean, sd, season=7, phase=0):
    """Residual, weight and SD of single answers; days without answers have weight 0."""
    used = n > 0
    some = used[:BASELINE] & (n[:BASELINE] > 1)
    s2 = np.sum((n[:BASELINE] - 1)[some] * sd[:BASELINE][some] ** 2) / np.sum(
        (n[:BASELINE] - 1)[some])
    sampling = np.where(used, s2 / np.maximum(n, 1), np.nan)
    pair = np.full(len(n), np.nan)
    pair[season:] = ((mean[season:] - mean[:-season]) ** 2 - sampling[season:]
                     - sampling[:-season]) / 2
    tau2 = np.array([max(0.0, np.nanmean(pair[:max(t + 1, BASELINE)])) for t in range(len(n))])
    base = slice(0, BASELINE)
    w = np.where(used, 1 / (sampling + tau2[0]), 0)[base]
    y = np.nan_to_num(mean)[base]
    day = (np.arange(len(n)) + phase) % season
    weight = np.array([w[day[base] == k].sum() for k in range(season)])
    effect = np.array([(w * y)[day[base] == k].sum() for k in range(season)]) / weight
    effect = effect - (w * y).sum() / w.sum()
    spread = max(0, np.mean(effect ** 2) - (season - 1) / season * np.mean(1 / weight))
    shrink = spread / (spread + 1 / weight)
    if season == 1:
        shrink = np.zeros(1)
    r = np.nan_to_num(mean) - (shrink * effect)[day]
    v = sampling + tau2 + (shrink / weight)[day]
    return r, np.where(used, 1 / v, 0), math.sqrt(s2 if s2 > 0 else tau2[0])


def glr2(r, w, t, floor=0):
    """Largest Z over the splits at t: (Z, shift, first day after the split)."""
    best = (0.0, 0.0, t)
    for m in range(1, WINDOW + 1):
        at = t + 1 - m
        low = max(at - LOOKBACK, floor)
        if at <= 0 or w[at] == 0 or (w[low:at] > 0).sum() < 7:
            continue
        wa, wb = w[at:t + 1].sum(), w[low:at].sum()
        shift = (w * r)[at:t + 1].sum() / wa - (w * r)[low:at].sum() / wb
        z = abs(shift) / math.sqrt(1 / wa + 1 / wb)
        if z > best[0]:
            best = (z, shift, at)
    return best


def recovered(r, w, t, start, floor):
    def stretch(a, b):
        return np.average(r[a:b], weights=w[a:b]), w[a:b].sum()
    if t - 6 <= start or (w[t - 6:t + 1] > 0).sum() < 4:
        return False
    (recent, wr), (before, wb) = stretch(t - 6, t + 1), stretch(max(floor, start - LOOKBACK), start)
    gap = abs(recent - before)
    return (gap < math.sqrt(1 / wr + 1 / wb)
            and gap < abs(stretch(start, t - 6)[0] - before) / 2)


def episodes(r, w, sd, fire):
    """(opened, closed or None, how) of each notice, continuations included."""
    w, clear, floor, found, current, last = w.copy(), min(3, fire - .5), 0, [], None, None
    for t in range(BASELINE, len(r)):
        if w[t] == 0:
            continue
        z, shift, start = glr2(r, w, t, floor)
        sign = -1 if shift < 0 else 1
        if current is None:
            if z > fire and abs(shift) >= .1 * sd:
                again = last and last["sign"] == sign and t - last["at"] <= 28
                if not again:
                    found.append([t, None, None])
                found[-1][1:] = [None, None]
                current = {"start": start, "sign": sign, "age": 0, "calm": 0}
            continue
        current["age"] += 1
        if z > fire and sign == current["sign"]:
            current["start"] = start
        current["calm"] = current["calm"] + 1 if z < clear else 0
        how = ("recovered" if recovered(r, w, t, current["start"], floor)
               else "calm" if current["calm"] == 3
               else "new_level" if current["age"] == 21 else None)
        if how == "recovered":
            w[current["start"]:t - 6] = 0
        if how == "new_level":
            floor = current["start"]
        if how:
            found[-1][1:] = [t, how]
            last, current = {"sign": current["sign"], "at": t}, None
    return found


# ---- series --------------------------------------------------------------------------------------

START = datetime.date(2025, 9, 29)  # a Monday


def date(t):
    return (START + datetime.timedelta(days=t)).isoformat()


def series(seed, days=330, change=lambda t: 0.0, n=30, gaps=0.03):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(n, days).astype(float)
    counts[rng.random(days) < gaps] = 0
    mean = 40 + 5 * (.12 * rng.normal(size=7)[np.arange(days) % 7] + .1 * rng.normal(size=days)
                     + np.array([change(t) for t in range(days)])
                     + rng.normal(size=days) / np.sqrt(np.maximum(counts, 1)))
    sd = 5 * (1 + .1 * rng.normal(size=days))
    mean, sd = np.round(mean, 6), np.round(sd, 6)
    return counts, np.where(counts > 0, mean, np.nan), sd


def text(data, name=date, keep_empty=True):
    lines = ["comment,bucket,mean,n,sd"]
    for t, (n, mean, sd) in enumerate(zip(*data)):
        if n > 0:
            lines.append(f"x{t},{name(t)},{mean},{n:g},{sd}")
        elif keep_empty and t % 2:
            lines.append(f",{name(t)},,0,")
    return "\n".join(lines) + "\n"


@pytest.fixture
def watch(tmp_path):
    """Runs the analysis over text: the lines of JSON."""
    def go(content, **options):
        path = tmp_path / "series.csv"
        path.write_text(content)
        result = run("analyze", "watch", path, json=True, check=True, **options)
        return [json.loads(line) for line in result.out.splitlines()]
    return go


def statistics(lines):
    return {line["bucket"]: line for line in lines if "statistic" in line}


def alarms(lines):
    return [line for line in lines if "statistic" not in line]


# ---- beside the judge ----------------------------------------------------------------------------

def test_the_reference_stream(watch):
    data = json.loads((ROOT / "tests" / "data" / "kpi_stream_glr.json").read_text())
    first = datetime.date(1970, 1, 1) + datetime.timedelta(days=7 * 2857)  # day 0 has weekday 0
    name = lambda t: (first + datetime.timedelta(days=t)).isoformat()
    lines = ["bucket,n,mean,sd"] + [f"{name(t)},{n},{mean!r},1" for t, (n, mean) in
                                    enumerate(zip(data["n"], data["mean"]))]
    out = watch("\n".join(lines), path=True)
    found = statistics(out)
    assert len(found) == 240
    for k, wanted in enumerate(data["glr"]):
        line = found[name(56 + k)]
        if line["statistic"] is not None and k <= 60:  # until the first alarm
            assert line["statistic"] == pytest.approx(wanted, abs=1e-12)
        assert line["residual"] == pytest.approx(data["r"][56 + k], abs=1e-13)
        assert line["variance"] == pytest.approx(data["v"][56 + k], abs=1e-13)
    assert alarms(out)[0]["bucket"] == name(data["first_alarm_day"])


def variances(n, mean, sd, season, phase):
    """By their definitions: 1/w = s^2/n + tau^2, V of each weekday, degrees of freedom by day."""
    _, whole, _ = prepare(n, mean, sd, season, phase)
    used = n > 0
    some = used[:BASELINE] & (n[:BASELINE] > 1)
    s2 = np.average(sd[:BASELINE][some] ** 2, weights=n[:BASELINE][some] - 1)
    sampling = np.where(used, s2 / np.maximum(n, 1), np.nan)
    between = (sampling[season:] + sampling[:-season]) / 2
    squares = (mean[season:] - mean[:-season]) ** 2 / 2
    tau2, df = np.empty(len(n)), np.empty(len(n))
    for t in range(len(n)):
        upto = max(t + 1, BASELINE) - season
        known = ~np.isnan(squares[:upto])
        of, pairs = between[:upto][known], known.sum()
        tau2[t] = max(0, np.mean(squares[:upto][known] - of))
        df[t] = 2 * (of.mean() + tau2[t]) ** 2 / (3 * np.sum((of + tau2[t]) ** 2) / pairs ** 2)
    v = sampling + tau2
    unsure = np.where(used, 1 / np.where(whole > 0, whole, 1) - v, np.nan)
    day = (np.arange(len(n)) + phase) % season
    return v, np.array([np.nanmean(unsure[day == k]) for k in range(season)]), df, day


@pytest.mark.parametrize("seed", range(2))
def test_with_fire_weekdays_are_apart_and_not_knowing_is_allowed_for(watch, seed):
    data = series(seed + 20, gaps=0)
    phase = (START - datetime.date(1970, 1, 1)).days
    r, _, _ = prepare(*data, phase=phase)
    v, unsure, df, day = variances(*data, 7, phase)
    found = statistics(watch(text(data), path=True, fire=9))
    for t in range(BASELINE, len(r)):
        best = 0
        for m in range(1, WINDOW + 1):
            at, low = t + 1 - m, max(t + 1 - m - LOOKBACK, 0)
            if at < 7:
                break
            share = np.zeros(len(r))
            share[at:t + 1] = 1 / v[at:t + 1] / np.sum(1 / v[at:t + 1])
            share[low:at] = -1 / v[low:at] / np.sum(1 / v[low:at])
            by_day = np.array([share[day == k].sum() for k in range(7)])
            best = max(best, abs(share @ r) / math.sqrt(share ** 2 @ v + by_day ** 2 @ unsure))
        wanted = scipy.stats.norm.isf(scipy.stats.t.sf(best, df[t]))
        assert found[date(t)]["statistic"] == pytest.approx(wanted, abs=1e-3)
        assert found[date(t)]["variance"] == pytest.approx(v[t] + unsure[day[t]], rel=1e-9)


CHANGES = {
    "nothing": lambda t: 0,
    "step": lambda t: -.6 if t >= 150 else 0,
    "dip": lambda t: -1.2 if 150 <= t < 153 else 0,
    "step undone": lambda t: .7 if 120 <= t < 200 else 0,
    "ramp": lambda t: min(max(t - 140, 0) / 42, 1) * .8,
    "many": lambda t: (1 if 100 <= t < 102 else 0) - (.8 if 170 <= t < 240 else 0)
                      + (1.5 if t >= 300 else 0),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("rate", [1.0, 0.05])
def test_episodes_as_the_judge_has_them(watch, change, seed, rate):
    data = series(seed, change=CHANGES[change])
    phase = (START - datetime.date(1970, 1, 1)).days
    first = int(np.argmax(data[0] > 0))
    data = tuple(column[first:] for column in data)
    r, w, sd = prepare(*data, phase=phase + first)
    fire = math.sqrt((5.5 - math.log(rate)) / .38)
    wanted = episodes(r, w, sd, fire)
    out = watch(text(data, lambda t: date(t + first)), path=True, false_alarms=rate)
    found = statistics(out)
    for t in range(BASELINE, (wanted or [[len(r)]])[0][0] + 1):
        if t < len(r) and w[t] > 0:
            assert found[date(t + first)]["statistic"] == pytest.approx(glr2(r, w, t)[0], abs=1e-9)
    name = lambda t: None if t is None else date(t + first)
    assert [[a["bucket"], a["cleared"], a["cleared_by"]] for a in alarms(out)] == \
        [[name(opened), name(closed), how] for opened, closed, how in wanted]
    assert change in ("nothing", "ramp") or wanted


def test_alarms_say_what_and_how_large(watch):
    step = alarms(watch(text(series(4, change=CHANGES["step"]))))
    assert [list(a) for a in step] == [KEYS] * len(step)
    assert step[0]["verdict"] == "shift" and step[0]["posterior"] > .8
    assert step[0]["ci_low"] < -3 < step[0]["ci_high"] < 0  # .6 of an SD of 5
    assert abs((datetime.date.fromisoformat(step[0]["start"]) - START).days - 150) <= 5
    dip = alarms(watch(text(series(2, change=CHANGES["dip"]))))[0]
    assert dip["verdict"] == "dip" and dip["cleared_by"] == "recovered"
    assert dip["start"] == date(150) and dip["ci_low"] < -6 < dip["ci_high"]
    ramp = alarms(watch(text(series(3, change=lambda t: max(t - 150, 0) * .03))))[0]
    assert ramp["verdict"] in ("trend", "persistent")


def test_size_by_weighted_least_squares(watch):
    """The size of a shift is the coefficient of the step in the last 182 days."""
    data = series(5, days=190, change=lambda t: .9 if t >= 170 else 0, gaps=0)
    phase = (START - datetime.date(1970, 1, 1)).days
    r, w, _ = prepare(*data, phase=phase)
    alarm = alarms(watch(text(data)))[-1]
    assert alarm["cleared"] is None and alarm["verdict"] in ("shift", "persistent")
    at = (datetime.date.fromisoformat(alarm["start"]) - START).days
    last = slice(190 - 182, 190)
    x = np.column_stack([np.ones(182), np.arange(8, 190) >= at])
    normal = np.linalg.inv(x.T @ (w[last, None] * x))
    size = (normal @ x.T @ (w[last] * r[last]))[1]
    assert alarm["size"] == pytest.approx(size, rel=1e-9)
    half = 1.959963984540054 * math.sqrt(normal[1, 1])
    assert alarm["ci_high"] - alarm["size"] == pytest.approx(half, rel=1e-9)
    assert alarm["n"] == data[0][at:].sum()


# ---- buckets of other kinds ----------------------------------------------------------------------

def test_times_and_order_do_not_matter(watch):
    data = series(4, change=CHANGES["many"])
    plain = watch(text(data))
    forms = {
        "rfc": lambda t: date(t) + "T00:00:00Z",
        "postgres": lambda t: date(t) + " 00:00:00+00",
        "no zone": lambda t: date(t) + " 00:00:00",
        "local midnight": lambda t: date(t) + ("T00:00:00+02:00" if date(t) < "2025-10-27" or
                                               date(t) >= "2026-03-30" else "T00:00:00+01:00"),
    }
    assert plain
    for form in forms.values():
        again = watch(text(data, form))
        assert [a["size"] for a in again] == [a["size"] for a in plain]
        assert [a["bucket"][:10] for a in again] == [a["bucket"] for a in plain]
    lines = text(data).splitlines()
    assert watch("\n".join(lines[:1] + lines[:0:-1])) == plain
    assert watch(text(data, keep_empty=False)) == plain


@pytest.mark.parametrize("hours,season", [(1, 24), (24 * 7, 1), (6, 1)])
def test_other_steps(watch, hours, season):
    data = series(6, days=400, change=lambda t: 1 if t >= 200 else 0, gaps=0)
    begin = datetime.datetime(2026, 1, 5)
    name = lambda t: (begin + datetime.timedelta(hours=hours * t)).isoformat() + "Z"
    out = watch(text(data, name), path=True)
    r, w, _ = prepare(*data, season=season)
    t = 120
    assert statistics(out)[name(t)]["statistic"] == pytest.approx(glr2(r, w, t)[0], abs=1e-9)
    assert any(a["bucket"] in (name(200), name(201), name(202)) for a in alarms(out))


# ---- little to go by -----------------------------------------------------------------------------

@pytest.mark.parametrize("content", [
    "bucket,n,mean,sd\n",
    "bucket,n,mean,sd\n2026-01-01,30,5,1\n",
    "bucket,n,mean,sd\n" + "".join(f"{date(t)},30,5,0\n" for t in range(200)),  # never varies
    "bucket,n,mean,sd\n" + "".join(f"{date(t)},0,,\n" for t in range(200)),
    "bucket,n,mean,sd\n" + "".join(f"{date(t)},30,{t % 5},1\n" for t in range(55)),
])
def test_not_enough_history(tmp_path, content):
    path = tmp_path / "series.csv"
    path.write_text(content)
    result = run("analyze", "watch", path, json=True, check=True)
    assert result.out == "" and result.err.startswith("not enough history")
    assert run("analyze", "watch", path, check=True).out.startswith("not enough history")


def test_one_answer_a_day(watch):
    rng = np.random.default_rng(1)
    lines = [f"{date(t)},1,{rng.normal() + (6 if t >= 150 else 0)!r}," for t in range(200)]
    assert alarms(watch("bucket,n,mean,sd\n" + "\n".join(lines)))[0]["bucket"] == date(150)


def test_for_people(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text(text(series(4, change=CHANGES["step"])))
    told = run("analyze", "watch", path, explain=True, json=True, check=True)
    assert told.err.startswith("statistic: largest") and told.out.startswith('{"bucket": ')
    told = run("analyze", "watch", "--path", path, explain=True, check=True).out
    assert "alarm  " in told and "shift" in told and "(new_level)" in told
    assert "fires above 3.8" in told and "statistic: largest" in told and "firing" in told
    path.write_text(text(series(1)))
    assert run("analyze", "watch", path, false_alarms=0.001, check=True).out.startswith("0 alarms")


# ---- refusals ------------------------------------------------------------------------------------

@pytest.mark.parametrize("content,wanted", [
    ("bucket,n,mean\n", 'there is no column "sd"'),
    ("bucket,n,mean,sd,n\n", 'more than one column "n"'),
    ("bucket,n,mean,sd\n2026-02-30,1,2,3\n", ':2: column "bucket": no date or time'),
    ("bucket,n,mean,sd\n2026-02-03T25:00:00Z,1,2,3\n", "no date or time"),
    ("bucket,n,mean,sd\n" + "2" * 50 + ",1,2,3\n", "no date or time"),
    ("bucket,n,mean,sd\n,1,2,3\n", "no date or time"),
    ("bucket,n,mean,sd\n2026-02-03,-1,2,3\n", ':2: column "n": below 0'),
    ("bucket,n,mean,sd\n2026-02-03,1,,3\n", ':2: column "mean": empty'),
    ("bucket,n,mean,sd\n2026-02-03,1,2,-3\n", 'column "sd": below 0'),
    ("bucket,n,mean,sd\n2026-02-03,1,nan,3\n", 'column "mean": not a number'),
    ("bucket,n,mean,sd\n2026-02-03,0x10,2,3\n", 'column "n": not a number'),
    ("bucket,n,mean,sd\n2026-02-03,1e999,2,3\n", 'column "n": not a number'),
    ("bucket,n,mean,sd\n2026-02-03,1,2,3\n2026-02-03,1,2,3\n", ':3: column "bucket": this'),
    ("bucket,n,mean,sd\n2026-02-03T00:00:00Z,1,2,3\n2026-02-03T02:00:00Z,1,2,3\n"
     "2026-02-03T05:00:00Z,1,2,3\n", "not a whole number of buckets"),
    ("bucket,n,mean,sd\n2026-02-03T00:00:00Z,1,2,3\n2026-02-03T00:00:01Z,1,2,3\n"
     "2026-02-09T05:00:00Z,1,2,3\n", "more than 200,000 buckets"),
    ("bucket,n,mean,sd\n1970-01-01,1,2,3\n1970-01-02,1,2,3\n9999-01-01,1,2,3\n",
     "more than 200,000 buckets"),
])
def test_files_that_cannot_be_used(tmp_path, content, wanted):
    path = tmp_path / "series.csv"
    path.write_text(content)
    result = run("analyze", "watch", path, json=True)
    assert result.code == 2 and result.out == "" and wanted in result.err, result.err


def test_options_that_do_not_fit(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text(text(series(1)))
    for options, wanted in [({"metric": "nps"}, "are of analyze kpi"),
                            ({"outcome": "y"}, "are of analyze drivers"),
                            ({"weight": "n"}, "are of analyze drivers and kpi"),
                            ({"na": "0"}, "are of analyze drivers and kpi"),
                            ({"false_alarms": "0"}, "0.001"), ({"false_alarms": "5"}, "4")]:
        result = run("analyze", "watch", path, **options)
        assert result.code == 2 and result.out == "" and wanted in result.err, result.err
    for option in ({"path": True}, {"false_alarms": "2"}):
        result = run("analyze", "kpi", path, metric="mean", column="n", **option)
        assert result.code == 2 and "are of analyze watch" in result.err


def test_rare_failures_of_few(tmp_path):
    """Six a day of which one in twenty fails: two on a day is no event, and --scale says so."""
    random = np.random.default_rng(11)
    alarms = {True: 0, False: 0}
    for one in range(25):
        rows = ["bucket,n,mean,sd"]
        for day, failed in enumerate(random.binomial(6, .05, 300).tolist()):
            share = failed / 6
            rows.append(f"{datetime.date(2026, 1, 1) + datetime.timedelta(days=day)},6,{share!r},"
                        f"{math.sqrt(share * (1 - share) * 6 / 5)!r}")
        path = tmp_path / f"{one}.csv"
        path.write_text("\n".join(rows) + "\n")
        for known in alarms:
            scale = {"scale": "0:1"} if known else {}
            found = run("analyze", "watch", path, json=True, check=True, **scale).out
            alarms[known] += len(found.splitlines())
    print(f"false alarms in {25 * 244} days: {alarms[False]}, with --scale {alarms[True]}")
    assert alarms[False] >= 12 and alarms[True] <= 6
    assert "skewness of an answer 0" in run("analyze", "watch", path, explain=True).out
    told = run("analyze", "watch", path, explain=True, scale="0:1").out
    assert 3 < float(told.split("skewness of an answer ")[1].split()[0]) < 6
