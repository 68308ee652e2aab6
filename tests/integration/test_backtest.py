# SPDX-License-Identifier: GPL-3.0-or-later
"""`flightpath backtest` beside the alerts that the daemon stored, and beside a daemon that counted
by the changed definition from the beginning."""

import copy
import datetime
import json
import statistics

import pytest
from support.program import run
from support.watch import MODEL, Grove, Plan, today

EPOCH = datetime.date(1970, 1, 1)


@pytest.fixture
def grove(kafka, topics, database, daemon, tmp_path):
    return Grove(kafka, topics, database, daemon, tmp_path)


def backtest(grove, model=None, code=0, **options):
    done = run("backtest", model=model or grove.model, postgres=grove.database.conninfo, json=True,
               **options)
    assert done.code == code, done.err
    return json.loads(done.out) if code == 0 else done.err


def stored(grove):
    """What both say of an alert, in the words of the backtest."""
    levels = ("kpi", "unit", "unit_kpi")
    rows = grove.query(
        "SELECT a.fingerprint, v.kpi, v.scope, a.level, a.incident, a.start, a.verdict, a.worse,"
        " a.closed, a.how, a.root, v.size, v.ci_low, v.ci_high, v.n"
        " FROM flightpath.alert a JOIN experience.alert v USING (fingerprint)"
        " WHERE a.kind = 0 AND a.state <> 'withdrawn'")
    return {r[0]: {"fingerprint": r[0], "kpi": r[1], "scope": r[2], "level": levels[r[3]],
                   "fired": day(r[4]), "began": day(r[5]), "verdict": r[6] or None, "worse": r[7],
                   "cleared": day(r[8]), "how": r[9] or None, "incident": r[10],
                   "size": r[11], "ci_low": r[12], "ci_high": r[13], "n": r[14]} for r in rows}


def day(number):
    return None if number is None else str(EPOCH + datetime.timedelta(days=number))


def said(report):
    keys = ("fingerprint", "kpi", "scope", "level", "fired", "began", "verdict", "worse", "cleared",
            "how", "incident", "size", "ci_low", "ci_high", "n")
    return {a["fingerprint"]: {k: a[k] for k in keys} for a in report["alerts"]}


def everything(grove):
    """All rows of all tables."""
    names = [n for n, in grove.query(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r'"
        " AND c.relnamespace = 'flightpath'::regnamespace ORDER BY 1")]
    assert len(names) > 40
    return {n: grove.query(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
                           f" FROM {n} t") for n in names} | {
        "sequences": grove.query("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")}




@pytest.fixture
def counted(grove):
    """A step of one KPI, and a dip of one unit that is over."""
    grove.send(Plan(seed=10, days=170).shift(25, -1, kpi="ease").change(
        70, 52, 1.3, unit="cedar").messages()).run()
    return grove


# ---- as the daemon -------------------------------------------------------------------------------

def test_same_model_and_budget_same_alerts(counted):
    before = everything(counted)
    report = backtest(counted)
    alerts = stored(counted)
    assert len(alerts) >= 2 and {a["level"] for a in alerts.values()} >= {"kpi"}
    assert said(report) == alerts
    assert {a["found"] for a in report["alerts"]} == {"both"} and report["only_then"] == []
    assert report["counts"] == {"found": len(alerts), "both": len(alerts), "only_now": 0,
                                "only_then": 0, "not_judged": 0}
    budget = counted.query(
        "SELECT level_name, series::int, threshold, clear_threshold, autocorrelation,"
        " autocorrelation_decay, judged, expected_by_chance, expected_per_year"
        " FROM experience.alert_budget ORDER BY level")
    assert [tuple(level.values())[:-1] for level in report["levels"]] == budget
    assert report["false_episodes_per_year"] == 4
    assert report["judged_to"] == str(today() - datetime.timedelta(days=1))
    assert everything(counted) == before, "nothing is written"


def test_text_for_people(counted):
    done = run("backtest", model=counted.model, postgres=counted.database.conninfo, check=True)
    alerts = stored(counted)
    ease = next(a for a in alerts.values() if (a["kpi"], a["scope"]) == ("ease", "all"))
    line = next(x for x in done.out.splitlines() if x.startswith(ease["fired"]) and " ease " in x)
    assert line.split()[:6] == [ease["fired"], ease["began"], "both", "ease", "all",
                                ease["verdict"]]
    assert f"{ease['size']:.4g} [{ease['ci_low']:.4g}, {ease['ci_high']:.4g}]" in line
    assert f"{len(alerts)} alerts: {len(alerts)} as stored (both), 0 only now" in done.out
    assert "4 false episodes a year" in done.out and done.err == ""


def test_the_budget_is_what_changes_it(counted):
    normal, loose, tight = (backtest(counted, **o) for o in (
        {}, {"false_episodes": 2000}, {"false_episodes": 0.01}))
    for report in (loose, tight):
        c = report["counts"]
        assert c["found"] == len(report["alerts"]) == c["both"] + c["only_now"]
        assert c["both"] + c["only_then"] + c["not_judged"] == normal["counts"]["found"]
        assert len(report["only_then"]) == c["only_then"]
    assert loose["counts"]["found"] > normal["counts"]["found"] >= tight["counts"]["found"]
    assert loose["counts"]["only_now"] > 0
    for a, b, c in zip(loose["levels"], normal["levels"], tight["levels"]):
        assert a["threshold"] < b["threshold"] < c["threshold"]
        assert a["expected_by_chance"] > b["expected_by_chance"] > c["expected_by_chance"]
    assert (loose["false_episodes_per_year"], tight["false_episodes_per_year"]) == (2000, 0.01)


def test_stored_alerts_that_are_not_found(counted):
    """One more that the daemon never wrote, and one from before what is judged."""
    series, = counted.query("SELECT series FROM flightpath.kpi WHERE kpi = 'advice'")[0]
    for name, ago, state in (("feed", 40, "firing"), ("old", 900, "resolved"),
                             ("gone", 41, "withdrawn")):
        number = (today() - EPOCH).days - ago
        counted.query(
            "INSERT INTO flightpath.alert (fingerprint, root, kind, level, series, unit, incident,"
            " noticed, start, closed, state, verdict, provisional, worse, sign)"
            " VALUES (%s, %s, 0, 0, %s, -1, %s, %s, %s, %s, %s, 'shift', false, true, -1)"
            " RETURNING 1", name, name, series, number, number, number - 3,
            number if state != "firing" else None, state)
    report = backtest(counted)
    assert [(t["fingerprint"], t["kpi"], t["scope"], t["verdict"], t["cleared"])
            for t in report["only_then"]] == [("feed", "advice", "journey:visit", "shift", None)]
    assert report["counts"]["not_judged"] == 1 and any("1 stored alerts cannot" in n for n in
                                                       report["notes"])


def test_from_until_and_kpi(counted):
    whole = backtest(counted)
    fired = sorted(a["fired"] for a in whole["alerts"])
    late = backtest(counted, **{"from": fired[-1]})
    assert late["alerts"] == [a for a in whole["alerts"] if a["fired"] >= fired[-1]]
    assert late["from"] == fired[-1] and late["levels"][0]["judged"] == whole["levels"][0]["judged"]
    one = backtest(counted, kpi="ease")
    assert one["alerts"] == [a for a in whole["alerts"] if a["kpi"] == "ease"] != []
    assert backtest(counted, kpi="advice")["counts"]["only_then"] == 0
    before = str(datetime.date.fromisoformat(fired[-1]) - datetime.timedelta(days=1))
    early = backtest(counted, until=before)
    assert early["judged_to"] == before
    assert {a["fingerprint"] for a in early["alerts"]} == {
        a["fingerprint"] for a in whole["alerts"] if a["fired"] <= before}
    assert backtest(counted, until="2999-01-01")["judged_to"] == whole["judged_to"]


# ---- another definition --------------------------------------------------------------------------

#: answers beside those of the plan, made from them
MORE = {"calm": 1, "clear": 0, "kind": -1}


def richer(message):
    scores = message["data"]["scores"]
    number = sum(map(ord, message["id"]))
    for place, (item, add) in enumerate(MORE.items()):
        away = (number // (place + 2)) % 3 - 1 if number % 4 else 0
        scores[item] = max(1, min(7, scores["eased"] + add * (number % 4 != 0) + away))
    if number % 11 == 0:
        scores["calm"] = "na"
    if number % 7 == 0:
        message["data"]["weight"] = 3
    if number % 13 == 0:
        message["data"]["channel"] = "phone"
    if number % 5:
        message["data"]["touchpoint"] = "desk"
    return message


def models():
    """Before, and with KPIs that are counted differently."""
    old = copy.deepcopy(MODEL)
    old["scales"]["seven"]["not_applicable"] = ["na"]
    old["items"] += [{"id": i, "kind": "outcome", "metric": "mean", "scale": "seven", "text": i}
                     for i in MORE]
    old["measures"] = {"wait_s": {"unit": "s", "direction": "lower", "decimals": 0, "min": 0,
                                  "max": 9000}}
    old["kpis"].append({"id": "kind_words", "statement": "They are kind", "role": "input",
                        "source": {"item": "kind"}, "owner": "ann"})
    new = copy.deepcopy(old)
    metric = {"eased": ("top_box", 3), "kind": ("ces", 2), "calm": ("csat", 2),
              "clear": ("mean", None)}
    for item in new["items"]:
        if item["id"] in metric:
            item["metric"], top = metric[item["id"]]
            item |= {"top": top} if top else {}
    new["kpis"][0]["touchpoint"] = "desk"  # NPS of those who were at the desk
    del new["kpis"][0]["journey"]
    plain = {"statement": "It is so", "role": "input", "owner": "ann"}
    new["kpis"] += [
        {"id": "calm_box", "source": {"item": "calm"}, **plain},
        {"id": "clear_mean", "source": {"item": "clear"}, **plain},
        {"id": "all_in_all", "source": {"items": ["eased", "calm", "clear", "kind"]}, **plain},
        {"id": "alike", "direction": "lower", "source": {"straight_lining": True}, **plain}]
    return old, new


def plan():
    return Plan(seed=11, days=160).shift(30, -1.4, kpi="ease").change(75, 60, 1.5, unit="birch")


@pytest.fixture
def redefined(grove, tmp_path):
    """Counted under the old model; the new one beside it."""
    old, new = models()
    grove.install(old)
    grove.messages_sent = [richer(m) for m in plan().messages()]
    grove.send(grove.messages_sent).run()
    path = tmp_path / "new.json"
    path.write_text(json.dumps(new))
    return grove, path


def test_as_if_it_had_been_counted_so_from_the_beginning(redefined, postgres):
    """The judge: a daemon with the changed model, an empty database and the same log."""
    grove, path = redefined
    before = everything(grove)
    report = backtest(grove, model=path)
    assert everything(grove) == before, "nothing is written"
    assert set(report["recomputed"]) == {"advice", "ease", "kind_words", "calm_box", "clear_mean",
                                         "all_in_all", "alike"}
    other = postgres.create()
    try:
        run("migrate", postgres=other.conninfo, check=True)
        fresh = Grove(grove.kafka, grove.topics, other, grove.daemon, path.parent)
        fresh.model.write_text(path.read_text())
        fresh.run(postgres=other.conninfo, group=f"group.{other.name}")
        for kpi, count in report["recomputed"].items():
            n, = fresh.query("SELECT sum(t.n) FROM flightpath.tally_day t JOIN flightpath.kpi k"
                             " USING (series) WHERE k.kpi = %s AND k.current", kpi)[0]
            assert count == n > 0, kpi
        alerts = stored(fresh)
        assert len(alerts) >= 3 and {a["kpi"] for a in alerts.values()} & {"all_in_all", "ease"}
        keys = ("kpi", "scope", "level", "fired", "began", "verdict", "worse", "cleared", "how",
                "size", "ci_low", "ci_high", "n")
        here, there = ({(a["kpi"], a["scope"], a["fired"]): [a[k] for k in keys] for a in some}
                       for some in (report["alerts"], alerts.values()))
        assert here == there and len(here) == len(alerts) == len(report["alerts"])
        assert [level["expected_by_chance"] for level in report["levels"]] == [
            e for e, in fresh.query("SELECT expected_by_chance FROM experience.alert_budget"
                                    " ORDER BY level")]
    finally:
        other.drop()


def test_one_series_by_its_answers(redefined, tmp_path):
    """The share of 5, 6 and 7 by day in plain Python, then `analyze watch` by today's rule."""
    grove, path = redefined
    report = backtest(grove, model=path, kpi="ease")
    found = [a for a in report["alerts"] if a["scope"] == "all"]
    assert [a["verdict"] for a in found] == ["shift"]
    days = {}
    for m in grove.messages_sent:
        data = m["data"]
        days.setdefault(data["submitted_at"][:10], []).extend(
            [data["scores"]["eased"] >= 5] * data.get("weight", 1))
    rows = ["bucket,n,mean,sd"]
    at = datetime.date.fromisoformat(report["history_from"])
    while str(at) <= report["judged_to"]:
        some = days.get(str(at), [])
        rows.append(f"{at},{len(some)},{statistics.fmean(some) if some else ''},"
                    f"{statistics.pstdev(some) if some else ''}")
        at += datetime.timedelta(days=1)
    csv = tmp_path / "ease.csv"
    csv.write_text("\n".join(rows) + "\n")
    rule = report["levels"][0]
    done = run("analyze", "watch", csv, fire=rule["threshold"], json=True, check=True,
               autocorrelation=f"{rule['autocorrelation']},{rule['autocorrelation_decay']}")
    alarms = [json.loads(line) for line in done.out.splitlines()]
    near = [a for a in alarms if abs((datetime.date.fromisoformat(a["bucket"])
                                      - datetime.date.fromisoformat(found[0]["fired"])).days) <= 2]
    assert [a["verdict"] for a in near] == ["shift"]
    assert near[0]["start"] == found[0]["began"]
    assert near[0]["size"] == pytest.approx(found[0]["size"], abs=.03), "weights apart"


def test_what_needs_the_log_is_said(redefined):
    grove, path = redefined
    new = json.loads(path.read_text())
    new["kpis"].append({"id": "wait", "statement": "I do not wait", "role": "input",
                        "source": {"measure": "wait_s"}, "touchpoint": "desk", "owner": "ann"})
    new["kpis"].append({"id": "answering", "statement": "They answer", "role": "input",
                        "source": {"response_rate": True}, "journey": "visit", "owner": "ann"})
    without = backtest(grove, model=path)
    path.write_text(json.dumps(new))
    report = backtest(grove, model=path)
    assert [x["kpi"] for x in report["left_out"]] == ["wait", "answering"]
    for entry in report["left_out"]:
        assert "never counted here" in entry["why"] and "--until-caught-up" in entry["mend"]
    assert [n for n in report["notes"] if n.startswith("wait is left out")]
    assert said(report).keys() == said(without).keys()


def test_responses_that_do_not_fit_are_told(redefined):
    grove, path = redefined
    new = json.loads(path.read_text())
    new["items"] = [i for i in new["items"] if i["id"] != "clear"]
    new["kpis"] = [k for k in new["kpis"] if k["id"] not in ("clear_mean", "all_in_all", "alike")]
    new["scales"]["seven"]["max"] = 6
    path.write_text(json.dumps(new))
    report = backtest(grove, model=path)
    sevens = sum(7 in [v for i, v in m["data"]["scores"].items() if i in ("eased", "calm", "kind")]
                 for m in grove.messages_sent)
    note, = [n for n in report["notes"] if "do not fit" in n]
    assert note.startswith(f"{sevens} of {len(grove.messages_sent)} stored responses")
    assert "7 is outside the item's scale 1" in note
    every = len(grove.messages_sent)
    assert any(n.startswith(f"{every} answers to items") for n in report["notes"])


def test_a_definition_that_was_replaced(redefined):
    """Once the new model runs, the old one is still judged by everything: from the responses."""
    grove, path = redefined
    old = backtest(grove)
    saved = grove.model.read_text()
    grove.install(json.loads(path.read_text()))
    grove.run()
    grove.model.write_text(saved)
    again = backtest(grove)
    assert set(again["recomputed"]) == {"advice", "ease", "kind_words"}
    assert {(a["kpi"], a["scope"], a["fired"]) for a in again["alerts"]} == {
        (a["kpi"], a["scope"], a["fired"]) for a in old["alerts"]}


# ---- what cannot be done -------------------------------------------------------------------------

def test_refusals(counted, tmp_path):
    for options, code, wanted in (
            ({"kpi": "eese"}, 2, '--kpi: the model has no KPI "eese"; there are: advice, ease'),
            ({"from": "2999-01-01"}, 2, "--from: 2999-01-01 is after the newest day"),
            ({"from": "2026-03-02", "until": "2026-03-01"}, 2, "is after --until 2026-03-01"),
            ({"from": "yesterday"}, 2, "from"), ({"until": "2026-02-30"}, 2, "until"),
            ({"false_episodes": "0"}, 2, "0.01"), ({"model": tmp_path / "no.json"}, 2, "no.json"),
            ({"until": str(today() - datetime.timedelta(days=140))}, 1,
             "31 days since the first answers are there, 56 are needed")):
        err = backtest(counted, code=code, **options)
        assert wanted in err, err
    model = copy.deepcopy(MODEL)
    model["programme"]["id"] = "wood"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(model))
    assert 'the database holds the programme "grove"' in backtest(counted, model=other, code=2)
    model["programme"] |= {"id": "grove", "time_zone": "Asia/Tokyo"}
    other.write_text(json.dumps(model))
    assert 'counts days in "UTC"' in backtest(counted, model=other, code=2)
    model["kpis"][0]["source"] = {"item": "unknown"}
    other.write_text(json.dumps(model))
    assert "$.kpis[0].source" in backtest(counted, model=other, code=2)


def test_no_history(pg, grove):
    assert "nothing was ever counted" in backtest(grove, code=1)
    grove.run()
    assert "0 days of answers are there, 56 are needed" in backtest(grove, code=1)
    grove.send(Plan(seed=2, days=30).messages()).run()
    err = backtest(grove, code=1)
    assert "30 days since the first answers are there, 56 are needed, 28 of them" in err


def test_the_rule_of_one_series(tmp_path):
    csv = tmp_path / "series.csv"
    days = [today() - datetime.timedelta(days=200 - t) for t in range(200)]
    csv.write_text("bucket,n,mean,sd\n" + "".join(
        f"{d},40,{5 + (t * 7919 % 13 - 6) / 40 - .35 * (t > 150)},1\n" for t, d in enumerate(days)))

    def alarms(**options):
        done = run("analyze", "watch", csv, json=True, **options)
        if done.code != 0:
            return done.err
        return [json.loads(x)["bucket"] for x in done.out.splitlines()]

    assert alarms() == alarms(false_alarms=1) and len(alarms()) == 1
    first = alarms(fire=3.5)[0]
    assert first <= alarms(fire=5)[0] < alarms(fire=9.9)[0]
    assert alarms(fire=5)[0] <= (alarms(fire=5, autocorrelation="0.5,0.8") + ["9999"])[0]
    assert alarms(fire=5, autocorrelation="0,0") == alarms(fire=5)
    assert alarms(fire=4, autocorrelation="1,0.95") == [], "so much memory explains it"
    assert "give one of them" in alarms(fire=4, false_alarms=1)
    for bad in ("0.5", "1.5,0.2", "0.5,1", "-0.1,0", "0.1,0.2,0.3", "a,b"):
        assert "autocorrelation" in alarms(autocorrelation=bad), bad
    for bad in (0, 1.9, 11, "high"):
        assert "fire" in alarms(fire=bad), bad
    done = run("analyze", "kpi", csv, metric="mean", column="n", fire=4)
    assert done.code == 2 and "are of analyze watch" in done.err


def test_days_of_two_answers_are_not_judged_with_fire(tmp_path):
    csv = tmp_path / "series.csv"
    days = [today() - datetime.timedelta(days=100 - t) for t in range(100)]
    csv.write_text("bucket,n,mean,sd\n" + "".join(
        f"{d},{2 if t > 70 else 40},{(9 if t > 70 else 5) + t * 7919 % 13 / 40},1\n"
        for t, d in enumerate(days)))
    assert run("analyze", "watch", csv, fire=4, json=True, check=True).out == ""
    assert run("analyze", "watch", csv, json=True, check=True).out != ""
