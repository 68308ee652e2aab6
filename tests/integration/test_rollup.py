# SPDX-License-Identifier: GPL-3.0-or-later
"""kpi_rollup, journey_kpi and journey_now against plain Python over the same answers.

Answers are planted as tallies in a tree of units; what a node must show is computed from
the answers of all units below it, put together.
"""

import json
import math
import statistics

import psycopg
import pytest
from scipy import stats

from test_views import DAY0, Plant, close, interval, midnight, moments, nps_of, weighted, wilson

NOW = DAY0 + 59
LAST, BEFORE = [NOW, NOW - 13, NOW - 29], [NOW - 30, NOW - 59]

# region > area > shops; the area answers for itself too; `stray` is in no model, `empty` has none
PARENT = {"region": None, "area": "region", "shop-1": "area", "shop-2": "area",
          "other-area": "region", "shop-3": "other-area", "lone": None, "empty": None,
          "empty-shop": "empty"}


def below(unit):
    return [u for u in [*PARENT, "stray"] if unit in path(u)]


def path(unit):
    return [] if unit is None else [unit, *path(PARENT.get(unit))]


@pytest.fixture
def plant(pg):
    made = Plant(pg)
    for unit in PARENT:
        made.name(0, unit)
    for unit, parent in PARENT.items():
        pg.execute("INSERT INTO flightpath.unit_info VALUES (%s, %s, %s)",
                   [made.name(0, unit), unit.title(), parent and made.name(0, parent)])
    return made


def answer(plant, kpi, values, days=LAST, seed=1, n=40, weights=(1,), minimum=0, units=None):
    """The same number of answers for each unit and day: {(unit, day): answers}."""
    planted = {}
    for i, unit in enumerate(units or ["", "area", "shop-1", "shop-2", "shop-3", "lone", "stray"]):
        for day in days:
            answers = weighted(seed * 1000 + i * 100 + day, values, n + 7 * i, weights)
            plant.answers(kpi, day, answers, unit, "web", minimum=minimum)
            planted[unit, day] = answers
    return planted


def of(planted, unit):
    """All answers of a unit and of what is below it; None: of everybody."""
    inside = {u for u, _ in planted} if unit is None else set(below(unit))
    return [a for (u, _), answers in planted.items() if u in inside for a in answers]


def rollup(plant, kpi):
    rows = plant.rows("SELECT * FROM experience.kpi_rollup WHERE kpi = %s", kpi)
    named = {row["unit"]: row for row in rows}
    assert len(named) == len(rows), "a row for each unit"
    return named


# ---- the tree ------------------------------------------------------------------------------------

def test_nodes_of_the_tree(plant):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10)
    answer(plant, "nps", [3, 8, 9, 10])
    rows = rollup(plant, "nps")
    assert {u: (r["level"], r["parent"], r["depth"], r["units_below"], r["status"] != "no_data")
            for u, r in rows.items()} == {
        None: ("all", None, 0, 10, True),
        "region": ("group", None, 1, 5, True), "area": ("group", "region", 2, 2, True),
        "other-area": ("group", "region", 2, 1, True), "shop-1": ("unit", "area", 3, 0, True),
        "shop-2": ("unit", "area", 3, 0, True), "shop-3": ("unit", "other-area", 3, 0, True),
        "lone": ("unit", None, 1, 0, True), "stray": ("unit", None, 1, 0, True),
        "empty": ("group", None, 1, 1, False)}
    assert rows["area"]["unit_label"] == "Area" and rows["stray"]["unit_label"] == "stray"


@pytest.mark.parametrize("weights", [(1,), (1, 3, 8)])
def test_nps_of_every_node(plant, weights):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, target=10)
    planted = answer(plant, "nps", [0, 5, 7, 8, 9, 10, 10], weights=weights)
    answer(plant, "nps", [10], days=[NOW - 60], units=["shop-1"])  # too old to count
    for unit, row in rollup(plant, "nps").items():
        answers = of(planted, unit)
        if unit == "empty":
            assert (row["n"], row["value"], row["status"]) == (0, None, "no_data")
            continue
        close(interval(row), nps_of(answers))
        assert row["n"] == len(answers) and row["weight"] == sum(w for _, w in answers)
        assert row["promoters"] == sum(w for y, w in answers if y >= 9)
        assert row["previous"] is None and row["previous_status"] == "no_data"
        assert (row["bucket"], row["window_end"]) == (midnight(NOW - 29), midnight(NOW + 1))


def test_no_average_of_averages(plant):
    """Nine tenths of the answers come from one shop: the mean of means would be far off."""
    plant.kpi("ease", "mean", scale_min=1, scale_max=5)
    plant.answers("ease", NOW, [(5, 1)] * 20, "shop-1", minimum=1)
    plant.answers("ease", NOW, [(1, 1)] * 180, "shop-2", minimum=1)
    rows = rollup(plant, "ease")
    close(rows["area"]["value"], (20 * 5 + 180) / 200)
    assert rows["area"]["value"] == rows["region"]["value"] == rows[None]["value"]
    assert statistics.mean([rows["shop-1"]["value"], rows["shop-2"]["value"]]) == 3


def test_change_of_a_mean_is_welch(plant):
    plant.kpi("ease", "mean", scale_min=1, scale_max=7)
    now = answer(plant, "ease", [3, 5, 6, 7, 7], minimum=1)
    before = answer(plant, "ease", [2, 4, 5, 6, 7], days=BEFORE, seed=2, minimum=1)
    for unit, row in rollup(plant, "ease").items():
        if unit == "empty":
            continue
        a, b = of(now, unit), of(before, unit)
        test = stats.ttest_ind([y for y, _ in a], [y for y, _ in b], equal_var=False)
        ci = test.confidence_interval(0.95)
        close((row["previous"], row["previous_n"]), (moments(b)[1], len(b)))
        close((row["change"], row["change_ci_low"], row["change_ci_high"]),
              (moments(a)[1] - moments(b)[1], ci.low, ci.high), 1e-9)
        assert row["change_method"] == "welch"


def test_change_of_a_share_is_mover(plant):
    plant.kpi("failed", "share", source="outcome", direction="lower", scale_min=0, scale_max=1)
    now = answer(plant, "failed", [0, 0, 0, 1])
    before = answer(plant, "failed", [0, 1], days=BEFORE, seed=2)
    row = rollup(plant, "failed")["region"]
    (p, low, high), (q, q_low, q_high) = [
        (sum(y for y, _ in x) / len(x), *wilson(sum(y for y, _ in x), len(x)))
        for x in (of(now, "region"), of(before, "region"))]
    close((row["value"], row["previous"], row["change"]), (p, q, p - q))
    close((row["change_ci_low"], row["change_ci_high"]),
          (p - q - math.hypot(p - low, q_high - q), p - q + math.hypot(high - p, q - q_low)))
    assert row["change_method"] == "mover"


def test_pairs_are_summed_before_they_are_divided(plant):
    """A ratio: 10^1 units of x a unit of y; sums in b0 … b2."""
    plant.kpi("cost", "ratio", source="measure", decimals=1, direction="lower", per="contacts")
    sums = {"shop-1": (30, 9000, 60), "shop-2": (50, 2000, 500)}
    for unit, (n, x, y) in sums.items():
        plant.pg.execute(
            "INSERT INTO flightpath.tally_day SELECT %s, %s, %s, 0, 0, %s, %s, %s, %s, %s, %s,"
            " %s, %s, 0, 0, 0, 0, 0, 0, 0, 0",
            [NOW, plant.series["cost"], plant.name(0, unit), n, n, n, x, x * x, y, y * y, x * y])
    rows = rollup(plant, "cost")
    close(rows["area"]["value"], (9000 + 2000) / (60 + 500) / 10)
    close(rows["shop-1"]["value"], 9000 / 60 / 10)


def test_quantiles_from_merged_sketches(plant):
    plant.kpi("wait", "quantile", source="measure", direction="lower", quantile=0.9, scale_min=0,
              scale_max=10000, decimals=0)
    values = {"": [9] * 50, "area": list(range(10, 60)), "shop-1": [200] * 30, "shop-2": [5000] * 8,
              "stray": list(range(500, 900, 3))}
    for day in (NOW, NOW - 20):
        for unit, some in values.items():
            plant.sketch("wait", day, some, unit)
    plant.sketch("wait", NOW - 40, [100] * 40, "shop-1")
    rows = rollup(plant, "wait")
    for unit in (None, "region", "area", "shop-1", "shop-2", "stray"):
        inside = values if unit is None else [u for u in below(unit) if u in values]
        all_of = sorted(v for u in inside for v in values[u] * 2)
        rank = math.ceil(0.9 * len(all_of))
        assert rows[unit]["n"] == len(all_of)
        close(rows[unit]["value"], all_of[rank - 1], 0.011)
        half = stats.norm.ppf(0.975) * math.sqrt(len(all_of) * 0.09)
        close(rows[unit]["ci_low"], all_of[math.floor(0.9 * len(all_of) - half) - 1], 0.011)
        high = math.ceil(0.9 * len(all_of) + half) + 1
        close(rows[unit]["ci_high"], all_of[high - 1] if high <= len(all_of) else 10000, 0.011)
    close(rows["area"]["previous"], 100, 0.011)
    window = plant.row("SELECT * FROM flightpath.quantile_window(%s, %s, %s, NULL, NULL, false)",
                       plant.series["wait"], NOW - 29, NOW)
    assert interval(rows[None]) == (window["value"], window["low"], window["high"])


def test_as_kpi_series_of_the_same_days(plant):
    """Every node equals kpi_series over its units, and kpi_now where nothing is below it."""
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, target=30)
    plant.kpi("share", "csat", scale_min=1, scale_max=5, top_k=2, target=0.5)
    answer(plant, "nps", [0, 7, 9, 10], weights=(1, 2))
    answer(plant, "share", [1, 3, 4, 5], minimum=1, seed=3)
    now = {(r["kpi"], r["unit"]): r for r in plant.rows("SELECT * FROM experience.kpi_now")}
    for kpi in ("nps", "share"):
        for unit, row in rollup(plant, kpi).items():
            if unit == "empty":
                continue
            series = plant.row(
                "SELECT * FROM experience.kpi_series(%s, %s, %s, '30 days', %s)", kpi,
                midnight(NOW - 29), midnight(NOW + 1), unit and [unit])
            same = [k for k in series if k in row and k not in ("bucket", "definition")]
            assert {k: row[k] for k in same} == {k: series[k] for k in same} and len(same) > 15
            if row["level"] == "unit":
                want = now[kpi, unit]
                assert {k: row[k] for k in want} == want
    columns = set(now["nps", "lone"])
    assert columns < set(row), "all columns of kpi_now"


def test_suppression_and_target(plant):
    plant.kpi("enps", "nps", scale_min=0, scale_max=10, audience="employee", target=0)
    plant.kpi("nps", "nps", scale_min=0, scale_max=10, target=90)
    for kpi in ("enps", "nps"):
        plant.answers(kpi, NOW, [(10, 1)] * 4, "shop-1")
        plant.answers(kpi, NOW, [(10, 1)] * 3, "shop-2")
    rows = rollup(plant, "enps")
    assert rows["shop-1"]["status"] == rows["shop-2"]["status"] == "suppressed_min_n"
    hidden = ("n", "value", "ci_low", "ci_high", "promoters", "weight", "sum_value", "attained",
              "ci_method", "n_eff")
    assert all(rows["shop-1"][k] is None for k in hidden)
    assert (rows["area"]["n"], rows["area"]["attainment"]) == (7, "attained"), "five are enough"
    rows = rollup(plant, "nps")
    assert {rows[u]["status"] for u in (None, "region", "area")} == {"suppressed_min_n"}
    assert rows["area"]["n"] is None and rows["area"]["attainment"] is None


def test_units_that_stand_above_each_other_end(plant):
    """A model refuses that; a tree that has it all the same must not hang the reader."""
    plant.kpi("nps", "nps", scale_min=0, scale_max=10)
    answer(plant, "nps", [9], n=20)
    plant.pg.execute("UPDATE flightpath.unit_info SET parent = %s WHERE unit = %s",
                     [plant.name(0, "area"), plant.name(0, "region")])
    assert rollup(plant, "nps")[None]["n"] > 0


def test_quantiles_where_the_tree_is_odd(plant):
    """Units above each other, one above itself, answers of no unit: each bin counts once."""
    plant.kpi("wait", "quantile", source="measure", direction="lower", quantile=0.5, scale_min=0,
              scale_max=10000, decimals=0)
    for child, parent in (("region", "area"), ("lone", "lone")):
        plant.pg.execute("UPDATE flightpath.unit_info SET parent = %s WHERE unit = %s",
                         [plant.name(0, parent), plant.name(0, child)])
    values = {"": 1, "region": 2, "area": 3, "shop-1": 4, "lone": 5, "stray": 6, "empty-shop": 7}
    for unit, n in values.items():
        plant.sketch("wait", NOW, [10 * n] * 10 ** (n - 1), unit)
        plant.sketch("wait", NOW - 40, [20] * n, unit)
    rows = rollup(plant, "wait")
    assert {u: (r["n"], r["previous_n"]) for u, r in rows.items()} == {
        None: (1111111, 28), "region": (1110, 9), "area": (1110, 9), "shop-1": (1000, 4),
        "lone": (10000, 5), "stray": (100000, 6), "empty": (1000000, 7),
        "empty-shop": (1000000, 7), "other-area": (0, 0)}
    for unit, value in ((None, 70), ("region", 40), ("area", 40), ("lone", 50), ("empty", 70)):
        close(rows[unit]["value"], value, 0.011)
        close(rows[unit]["previous"], 20, 0.011)


def test_nothing_counted_yet(plant):
    plant.kpi("nps", "nps", scale_min=0, scale_max=10)
    plant.kpi("old", "nps", scale_min=0, scale_max=10, current=False)
    rows = rollup(plant, "nps")
    assert set(rows) == {None, "region", "area", "other-area", "empty"}
    assert {(r["n"], r["status"], r["bucket"]) for r in rows.values()} == {(0, "no_data", None)}
    assert rollup(plant, "old") == {}


# ---- journeys ------------------------------------------------------------------------------------

JOURNEYS = {"journeys": [
    {"id": "buy", "name": "I buy", "audience": "customer", "level": "main", "detailed": [
        {"id": "pick", "touchpoints": ["shelf"]},
        {"id": "pay", "name": "I pay", "touchpoints": ["till", "app"]}]},
    {"id": "return", "audience": "customer", "level": "main",
     "detailed": [{"id": "bring", "touchpoints": ["till"]}]},
    {"id": "work", "audience": "employee", "level": "main",
     "detailed": [{"id": "shift", "touchpoints": ["till"]}]}]}


@pytest.fixture
def shop(plant):
    plant.pg.execute("INSERT INTO flightpath.model (hash, body) VALUES ('h', %s)",
                     [json.dumps(JOURNEYS)])
    span = {"scale_min": 0, "scale_max": 10}
    plant.kpi("nps_buy", "nps", journey="buy", target=90, **span)
    plant.kpi("nps_pay", "nps", journey="pay", target=-50, **span)
    plant.kpi("queue", "share", source="measure", role="input", touchpoint="till",
              direction="lower", target=0.1)
    plant.kpi("till_care", "csat", role="input", touchpoint="till", top_k=1, scale_min=1,
              scale_max=5, target=0.5)
    plant.kpi("till_own", "mean", role="input", touchpoint="till", audience="internal", scale_min=1,
              scale_max=5)
    plant.kpi("pay_care", "mean", journey="buy", touchpoint="till", scale_min=1, scale_max=5,
              target=3)
    plant.kpi("till_staff", "mean", touchpoint="till", audience="employee", scale_min=1,
              scale_max=5)
    plant.kpi("nowhere", "nps", **span)
    answer(plant, "nps_buy", [0, 9, 10, 10], n=100)
    answer(plant, "nps_pay", [9, 10, 7], n=100)
    answer(plant, "queue", [0, 1], n=100)
    plant.answers("till_care", NOW, [(5, 1), (1, 1)] * 30, "lone", minimum=1)
    plant.answers("till_own", NOW, [(5, 1)] * 4, "lone", minimum=1)
    return plant


def test_which_kpi_belongs_to_which_journey(shop):
    got = {}
    for row in shop.rows("SELECT * FROM experience.journey_kpi"):
        got.setdefault(row["journey"], []).append(row["kpi"])
    assert {journey: sorted(kpis) for journey, kpis in got.items()} == {
        "buy": ["nps_buy", "nps_pay", "pay_care", "queue", "till_care", "till_own"],
        "pay": ["nps_pay", "pay_care", "queue", "till_care", "till_own"],
        "return": ["queue", "till_care", "till_own"], "bring": ["queue", "till_care", "till_own"],
        "work": ["queue", "till_own", "till_staff"], "shift": ["queue", "till_own", "till_staff"]}


def test_a_journey_by_its_kpis(shop):
    whole = {kpi: rollup(shop, kpi)[None] for kpi in shop.series}
    rows = {r["journey"]: r for r in shop.rows("SELECT * FROM experience.journey_now")}
    assert set(rows) == {"buy", "pick", "pay", "return", "bring", "work", "shift"}
    assert {k: rows["buy"][k] for k in (
        "level", "kpis", "inputs", "outputs", "attained", "missed", "undecided", "no_target",
        "no_data", "suppressed", "inputs_missed", "inputs_undecided", "outputs_attained",
        "outputs_missed")} == {
        "level": "main", "kpis": 6, "inputs": 3, "outputs": 3, "attained": 1, "missed": 2,
        "undecided": 1, "no_target": 0, "no_data": 1, "suppressed": 1, "inputs_missed": 1,
        "inputs_undecided": 1, "outputs_attained": 1, "outputs_missed": 1}
    assert rows["pick"]["kpis"] == 0 and rows["pick"]["worst_kpi"] is None
    assert (rows["pay"]["parent"], rows["pay"]["label"]) == ("buy", "I pay")
    miss = {kpi: (whole[kpi]["value"] - whole[kpi]["target"]) * sign
            / ((whole[kpi]["ci_high"] - whole[kpi]["ci_low"]) / 2)
            for kpi, sign in (("queue", 1), ("nps_buy", -1), ("till_care", -1))}
    worst = max(("queue", "nps_buy"), key=miss.get)
    assert (rows["buy"]["worst_kpi"], miss[worst] > 1) == (worst, True)
    close(rows["buy"]["worst_miss"], miss[worst])
    one = {r["kpi"]: r for r in shop.rows(
        "SELECT * FROM experience.journey_kpi WHERE journey = 'buy'")}
    for kpi, row in one.items():
        for column in ("n", "value", "ci_low", "ci_high", "status", "attainment", "change",
                       "previous_n"):
            assert row[column] == whole[kpi][column], (kpi, column)
    close(one["nps_buy"]["miss"], miss["nps_buy"])
    assert one["nps_pay"]["miss"] < 0 and one["till_own"]["miss"] is None


def test_all_metrics_of_a_journey_as_in_the_rollup(shop):
    """Journeys add up only what a metric needs; the numbers are those of the rollup."""
    more = {"ces": {"top_k": 2, "scale_min": 1, "scale_max": 7},
            "top_box": {"top_k": 1, "scale_min": 1, "scale_max": 5},
            "index": {"scale_min": 1, "scale_max": 5}, "ratio": {"source": "measure", "per": "y"},
            "response_rate": {"source": "invitation"}, "measure_mean": {"source": "measure"},
            "quantile": {"source": "measure", "quantile": 0.9, "scale_min": 0, "scale_max": 9999}}
    for metric, columns in more.items():
        shop.kpi(metric, metric, journey="pick", target=2, **columns)
        for day, n in ((NOW, 40), (NOW - 20, 30), (NOW - 31, 20)):
            if metric == "quantile":
                shop.sketch(metric, day, range(1, n), "lone")
                continue
            shop.pg.execute(
                "INSERT INTO flightpath.tally_day SELECT %s, %s, %s, 0, 0, %s, %s, %s, %s, %s,"
                " %s, %s, %s, 4, 3, 2, 1, 0, 0, 0, 0",
                [day, shop.series[metric], shop.name(0, "lone"), n, n, n, n * 3 // 4, n * 3,
                 n // 4, n, n // 2])
    kpis = {r["kpi"]: r for r in shop.rows(
        "SELECT * FROM experience.journey_kpi WHERE journey = 'pick'")}
    assert set(kpis) == set(more)
    for kpi, row in kpis.items():
        whole = rollup(shop, kpi)[None]
        same = [k for k in row if k in whole and k not in ("level", "parent")]
        assert {k: row[k] for k in same} == {k: whole[k] for k in same} and len(same) > 20
        assert row["n"] > 0 and row["previous_n"] > 0 and row["value"] is not None
    now = shop.row("SELECT * FROM experience.journey_now WHERE journey = 'pick'")
    for column in ("attained", "missed", "undecided"):
        assert now[column] == sum(r["attainment"] == column for r in kpis.values())
    misses = {k: r["miss"] for k, r in kpis.items() if r["miss"] is not None and r["miss"] > 0}
    assert (now["worst_kpi"], now["worst_miss"]) == max(misses.items(), key=lambda one: one[1])


@pytest.mark.parametrize("condition", [
    "journey = 'pay'", "journey IN ('pay', 'pick', 'work')", "level = 'main'", "parent = 'buy'",
    "audience <> 'customer'", "'till' = ANY (touchpoints)", "missed > 0"])
def test_a_condition_leaves_the_rest_as_it_is(shop, condition):
    query = "SELECT * FROM experience.journey_now"
    every = {r["journey"]: r for r in shop.rows(query)}
    some = {r["journey"]: r for r in shop.rows(f"{query} WHERE {condition}")}
    assert 0 < len(some) < len(every)
    assert some == {journey: every[journey] for journey in some}


def alert(shop, name, kpi, unit=-1, level=0, worse=True, closed=None, root=None, kind=0,
          state="firing"):
    shop.pg.execute(
        "INSERT INTO flightpath.alert (fingerprint, root, kind, level, series, unit, incident,"
        " noticed, start, closed, state, verdict, provisional, worse, sign)"
        " VALUES (%s, %s, %s, %s, %s, %s, 1, 1, 1, %s, %s, 'shift', false, %s, 1)",
        [name, root or name, kind, level, shop.series[kpi], unit, closed, state, worse])


def test_open_alerts_of_a_journey(shop):
    alert(shop, "a", "nps_buy")
    alert(shop, "b", "nps_buy", unit=shop.name(0, "lone"), level=2, root="a")
    alert(shop, "better", "queue", worse=False, state="recovering")
    alert(shop, "over", "nps_pay", closed=3, state="resolved")
    alert(shop, "silent", "till_care", kind=1, state="no_data")
    alert(shop, "c", "pay_care")
    rows = {r["journey"]: r for r in shop.rows("SELECT * FROM experience.journey_now")}
    assert {j: (rows[j]["open_alerts"], rows[j]["open_incidents"])
            for j in ("buy", "pay", "return")} == {"buy": (3, 2), "pay": (1, 1), "return": (0, 0)}
    kpis = {r["kpi"]: r for r in shop.rows(
        "SELECT * FROM experience.journey_kpi WHERE journey = 'buy'")}
    assert (kpis["nps_buy"]["alert"], kpis["nps_buy"]["open_alerts"]) == ("a", 2)
    assert (kpis["queue"]["alert_state"], kpis["queue"]["alert_worse"]) == ("recovering", False)
    assert (kpis["till_care"]["alert_kind"], kpis["till_care"]["open_alerts"]) == ("no_data", 0)
    assert kpis["nps_pay"]["alert"] is None and kpis["nps_buy"]["alert_verdict"] == "shift"


def test_what_came_at_its_touchpoints(shop):
    for touchpoint, day, events, answers in (("till", NOW, 10, 3), ("till", NOW - 29, 5, 1),
                                             ("till", NOW - 30, 100, 100), ("app", NOW, 7, 2),
                                             ("shelf", NOW, 1, 0), ("elsewhere", NOW, 50, 50)):
        shop.pg.execute("INSERT INTO flightpath.coverage_day"
                        " VALUES (%s, %s, 0, %s, 0, 0, 0, %s, 1, 1, 0)",
                        [day, shop.name(2, touchpoint), events, answers])
    rows = {r["journey"]: r for r in shop.rows("SELECT * FROM experience.journey_now")}
    assert {j: (r["events"], r["responses"]) for j, r in rows.items()} == {
        "pick": (1, 2), "pay": (22, 12), "buy": (23, 14), "return": (15, 8), "bring": (15, 8),
        "work": (15, 8), "shift": (15, 8)}


# ---- rights --------------------------------------------------------------------------------------

def test_the_reader_may_and_sees_nothing_else(shop):
    with psycopg.connect(shop.pg.info.dsn, autocommit=True) as reader:
        reader.execute("SET ROLE flightpath_reader")
        for view in ("kpi_rollup", "journey_kpi", "journey_now"):
            assert reader.execute(f"SELECT count(*) FROM experience.{view}").fetchone()[0] > 0
        for what in ("flightpath.unit_tree", "flightpath.rollup_now(1, 1, true)",
                     "flightpath.rollup_window(1, 1, true)", "flightpath.whole_window(1, 1, 1)",
                     "flightpath.rollup_quantile(1, 1, 1, 1, true)",
                     "flightpath.journey_member()", "flightpath.newest_day"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(f"SELECT * FROM {what}")
