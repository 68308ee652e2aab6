# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver models through the whole path, from messages in Kafka to rows of experience.driver.

The judge (judge_drivers.py) says which rows each model has; statsmodels, or `flightpath analyze` on
those rows as a file, says what they come to.
"""

import datetime
import json
import random
import signal
import statistics
import time
from types import SimpleNamespace

import judge
import judge_drivers
import numpy as np
import pytest
import statsmodels.api as sm
from judge_model import Model
from support import program
from support.kafka import Topics
from support.pipeline import Pipeline
from support.wait import wait_for

MESSAGES = 60_000
UTC = datetime.timezone.utc
NOW = datetime.datetime.now(UTC).replace(microsecond=0)
TRAVEL = ["checkin_simple", "bag_queue_short", "security_smooth", "boarding_calm", "crew_care",
          "cabin_clean", "wifi_useful", "on_time", "bag_came_soon"]
#: of the results, what depends on answers alone (who was key before also counts on the way)
DRIVER = ("model, segment, driver, n, n_complete, coef, se, robust_se, t, ci_low, ci_high, p, q,"
          " beta, vif, r, fmi, mar, weight, weight_low, weight_high, lmg, lmg_low, lmg_high,"
          " performance, p_top1, p_top3, flags, status, answered, skipped, does_not_apply, own,"
          " tau, rank_low, rank_high")
FIT = ("model, segment, n, n_complete, n_eff, intercept, r2, adj_r2, r2_low, r2_high, sigma, f,"
       " f_p, condition, q2, method, status, groups, patterns, window_from, window_to")


@pytest.fixture(scope="module")
def place(kafka, postgres, model, tmp_path_factory):
    """Makes topics with a database: place() → line, run(**options), verify()."""
    made = []

    def make(binary=None):
        folder = tmp_path_factory.mktemp("drivers")
        key = folder / "subject.key"
        key.write_text("0123456789abcdef0123456789abcdef\n")
        key.chmod(0o600)
        topics, database = Topics(kafka, 2), postgres.create()
        made.append((topics, database))
        program.run("migrate", postgres=database.conninfo, check=True)
        options = {"model": model, "postgres": database.conninfo, "subject_key_file": key,
                   "kafka.bootstrap.servers": kafka.bootstrap, "topics": topics.both,
                   "group": f"group.{database.name}", "dead_letters_topic": topics.dead_letters,
                   "alerts_topic": topics.alerts, "http_listen": "127.0.0.1:0", "flush_ms": 50,
                   "drivers_refresh_ms": 500}
        line = Pipeline(kafka, topics, database, model, folder)
        numbers = iter(range(1000))

        def daemon(**more):
            log = folder / f"daemon-{next(numbers)}.log"
            return program.Daemon(log, options | more, binary=binary).start()

        def finish():
            one = daemon(until_caught_up=True)
            assert one.wait(240) == 0, one.text()[-4000:]
            assert not line.behind()

        def verify():
            return program.run("verify", json=True, subject_key_file=key,
                               postgres=database.conninfo,
                               **{"kafka.bootstrap.servers": kafka.bootstrap})

        def send(*bodies):
            for body in bodies:
                kafka.send(topics.responses, json.dumps(body), key=body.get("subject") or "k",
                           partition=0)
            kafka.flush()

        return SimpleNamespace(line=line, database=database, topics=topics, daemon=daemon,
                               finish=finish, verify=verify, send=send, folder=folder)

    yield make
    for topics, database in made:
        database.drop()
        topics.delete()


@pytest.fixture(scope="module")
def base(place, model, kafka):
    """60,000 generated messages, read once; what the judge makes of them."""
    made = place()
    made.line.generate(MESSAGES, seed=61, bad_share=0.01).send()
    started = time.monotonic()
    made.finish()
    print(f"{MESSAGES} messages, and every result up to date: {time.monotonic() - started:.1f} s")
    document = json.loads(model.read_text())
    made.records = list(judge.read_kafka(kafka.bootstrap, made.line.ends()))
    log = judge.read_log(Model(model.read_text()), made.records)
    made.models = judge_drivers.drivers(document, log)
    made.truth = made.line.stream.truth
    return made


def fits(line):
    """{(model, segment): row} of experience.driver_fit."""
    columns = FIT.replace(" ", "").split(",")
    return {row[:2]: SimpleNamespace(**dict(zip(columns, row)))
            for row in line.query(f"SELECT {FIT} FROM experience.driver_fit")}


def drivers(line, model, segment):
    """{driver: row} of experience.driver."""
    columns = DRIVER.replace(" ", "").split(",")
    rows = line.query(f"SELECT {DRIVER} FROM experience.driver WHERE model = %s AND segment = %s",
                      model, segment)
    return {row[2]: SimpleNamespace(**dict(zip(columns, row))) for row in rows}


def results(line):
    return {"driver": sorted(line.query(f"SELECT {DRIVER} FROM experience.driver"), key=repr),
            "fit": sorted(line.query(f"SELECT {FIT} FROM experience.driver_fit"), key=repr)}


def same(one, other):
    for what, rows in one.items():
        assert len(rows) == len(other[what]) > 0, what
        names = (DRIVER if what == "driver" else FIT).replace(" ", "").split(",")
        different = [(a[:3], name, x, y) for a, b in zip(rows, other[what])
                     for name, x, y in zip(names, a, b) if repr(x) != repr(y)]
        assert not different, f"{len(different)} {what} values differ: {different[:9]}"


def newest(line, model):
    return line.query("SELECT newest FROM flightpath.driver_series WHERE current AND model = %s",
                      model)[0][0]


# ---- the rows and the numbers ----------------------------------------------------------------


def test_counts_are_the_judges(base):
    """Every model, every segment: as many rows as the messages say."""
    found = fits(base.line)
    compared = 0
    for name, model in base.models.items():
        last = newest(base.line, name)
        assert last == model.newest, name
        for segment in model.segments(last):
            rows = model.of(segment, last)
            # units are compared on the same drivers
            like = model.of("all", last) if segment.startswith("unit:") else None
            n, complete = judge_drivers.counts(rows, like)
            fit = found.get((name, segment))
            assert fit, (name, segment)
            if fit.status == "suppressed_min_n":
                assert n < 10, (name, segment, n)
                continue
            assert fit.n_complete == complete, (name, segment)
            assert fit.n == (complete if fit.method == "listwise" else n), (name, segment)
            compared += 1
        assert {key[1] for key in found if key[0] == name} <= set(model.segments(last)) | {"all"}
    assert compared >= 30


def test_answered_counts_are_the_judges(base):
    for name, model in base.models.items():
        rows = model.of("all", newest(base.line, name))
        found = drivers(base.line, name, "all")
        for column, driver in enumerate(model.drivers):
            answered = sum(row.values[column] is not None for row in rows)
            assert found[driver].answered == answered, (name, driver)
            assert found[driver].answered + found[driver].skipped + found[driver].does_not_apply \
                == len(rows), (name, driver)


def analyze(folder, model, rows):
    path = judge_drivers.write_csv(folder / f"{model.id}.csv", model, rows)
    done = program.run("analyze", "drivers", path, outcome="outcome", weight="weight", day="day",
                       drivers=",".join(model.drivers), json=True)
    assert done.code == 0, done.err
    return done.json


def check_against_analyze(base, name, segment):
    model = base.models[name]
    told = analyze(base.folder, model, model.of(segment, newest(base.line, name)))
    found, fit = drivers(base.line, name, segment), fits(base.line)[name, segment]
    assert (fit.method, fit.n_complete) == (told["method"], told["n_complete"])
    assert fit.intercept == told["coef"][0] and fit.r2 == told["r2"]
    for i, driver in enumerate(model.drivers):
        row = found[driver]
        for column, key, at in (("coef", "coef", i + 1), ("se", "se", i + 1), ("t", "t", i + 1),
                                ("ci_low", "ci_low", i + 1), ("ci_high", "ci_high", i + 1),
                                ("p", "p", i + 1), ("vif", "vif", i), ("weight", "johnson", i),
                                ("lmg", "lmg", i), ("r", "r", i)):
            assert getattr(row, column) == told[key][at], (name, segment, driver, column)
    return told["method"]


@pytest.mark.parametrize("name", ["nps_travel", "recovery", "coming_back", "engagement",
                                  "booking_operations", "bag_drop_operations", "care_operations"])
def test_missing_data_as_analyze_has_it(base, name):
    """To the last digit the numbers of the same rows in a file."""
    check_against_analyze(base, name, "all")


def test_bands_of_tenure_as_analyze_has_them(base):
    shown = [segment for name, segment in fits(base.line)
             if name == "engagement" and segment.startswith("tenure:")
             and fits(base.line)[name, segment].status != "suppressed_min_n"]
    assert len(shown) >= 3
    for segment in shown:
        check_against_analyze(base, "engagement", segment)


# ---- the truth -------------------------------------------------------------------------------


def test_what_was_planted_is_found(base):
    """The two strongest planted drivers are among the first three, and the coefficients' intervals
    hold the truth times one factor: answers are cut off at the ends of the scale, and drivers that
    the model leaves out but go with those it has speak through them."""
    for name, outcome in (("coming_back", "choose_again"), ("engagement", "energy")):
        found = drivers(base.line, name, "all")
        planted = {e["driver"]: e["importance"] for e in base.truth["driver_effects"]
                   if e["outcome"] == outcome and e["driver"] in found}
        strongest = sorted(found, key=lambda d, planted=planted: -planted[d])[:2]
        first = sorted(found, key=lambda d, found=found: -found[d].weight)[:3]
        assert set(strongest) <= set(first), (name, strongest, first)
        assert all(found[d].rank_low <= 3 for d in strongest), [(d, found[d]) for d in strongest]
    planted = {e["driver"]: e for e in base.truth["driver_effects"]
               if e["audience"] == "customer" and e["outcome"] == "recommend"
               and e["driver"] in TRAVEL}
    found = drivers(base.line, "nps_travel", "all")
    assert set(found) == set(TRAVEL) and set(planted) <= set(found)
    asked = [d for d in TRAVEL if found[d].answered]  # the generator walks past some touchpoints
    assert len(asked) >= 8 and all(found[d].status == "ok" for d in asked)
    truth = np.array([planted[d]["coef"] for d in asked])
    coef = np.array([found[d].coef for d in asked])
    precision = np.array([found[d].se ** -2 for d in asked])
    factor = (precision * truth * coef).sum() / (precision * truth * truth).sum()
    inside = [found[d].ci_low <= factor * planted[d]["coef"] <= found[d].ci_high for d in asked]
    print(f"n {found[asked[0]].n}, attenuation {factor:.3f}, {sum(inside)} of {len(asked)} inside")
    assert 0.5 < factor < 2, factor
    assert sum(inside) >= len(asked) - 2, inside


# ---- crashes and replicas --------------------------------------------------------------------


def test_verify_agrees(base):
    report = base.verify()
    assert report.code == 0, report.out[:3000]
    check = {c["name"]: c for c in report.json["checks"]}["driver_state"]
    assert check["done"] and check["compared"] > 500 and check["differences"] == 0


def test_kills_and_replicas_change_nothing(base, place, faults_bin):
    made = place(faults_bin)
    line = made.line
    targets = {base.topics.touchpoints: line.topics.touchpoints,
               base.topics.responses: line.topics.responses}
    for r in sorted(base.records, key=lambda r: (r.topic, r.partition, r.offset)):
        line.kafka.send(targets[r.topic], r.value, key=r.key, headers=r.headers,
                        timestamp_ms=r.timestamp_ms, partition=r.partition)
    line.kafka.flush()
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    options = {"batch_messages": 400, "kafka.session.timeout.ms": 6000}
    for _ in range(5):
        one = made.daemon(**options)
        wait_for(lambda: one.events("partition_claimed"), "it is at work", 60)
        time.sleep(moments.uniform(0.2, 2.0))
        assert one.kill() == -signal.SIGKILL
    stays, comes = made.daemon(**options), made.daemon(**options)
    wait_for(lambda: comes.events("partition_claimed"), "both are at work", 60)
    time.sleep(moments.uniform(0.2, 2.0))
    assert comes.stop() == 0
    line.caught_up(120)
    assert stays.stop() == 0
    made.finish()
    log = line.query("SELECT count(*) FROM flightpath.driver_log")[0][0]
    dirty = line.query("SELECT count(*) FROM flightpath.driver_task WHERE dirty_at IS NOT NULL")
    assert (log, dirty[0][0]) == (0, 0)
    report = made.verify()
    assert report.code == 0, report.out[:3000]
    same(results(base.line), results(line))


def test_verify_counts_what_is_not_absorbed(base, place):
    """Whatever lies in driver_log when a replica dies is part of what is there."""
    made = place()
    made.line.generate(6000, seed=63)
    one = made.daemon(drivers_refresh_ms=100, batch_messages=100)
    made.line.send(5000)
    left, agreed = 0, 0
    for _ in range(8):
        made.line.send(125)
        time.sleep(0.3)
        one.signal(signal.SIGSTOP)
        left += made.line.query("SELECT count(*) FROM flightpath.driver_log")[0][0]
        report = made.verify()
        assert report.code == 0, report.out[:3000]
        agreed += {c["name"]: c for c in report.json["checks"]}["driver_state"]["compared"]
        one.signal(signal.SIGCONT)
    assert one.stop() == 0
    print(f"{left} rows of driver_log met, {agreed} states compared")
    assert agreed > 0


# ---- revisions, voids, erasures ----------------------------------------------------------------


def response(identity, score, answers, at, revision=1, subject=None, **more):
    data = {"audience": "customer", "survey": "visit", "journey": "travel", "unit": "ams",
            "revision": revision, "submitted_at": at.isoformat().replace("+00:00", "Z"),
            "scores": {"recommend": score} | dict(zip(TRAVEL, answers))}
    body = {"specversion": "1.0", "id": identity, "source": "/drivers",
            "type": "experience.response.v1", "time": NOW.isoformat().replace("+00:00", "Z"),
            "data": data | more}
    return body | ({"subject": subject} if subject else {})


def erasure(subject):
    return {"specversion": "1.0", "id": f"erase-{subject}", "source": "/drivers",
            "type": "experience.erasure.v1", "time": NOW.isoformat().replace("+00:00", "Z"),
            "data": {"subject": subject}}


def survey(count, seed, salt=0.0):
    """(id, score, answers, time): complete answers over twenty days, the last ones today."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        answers = [rng.randint(1, 5) for _ in TRAVEL]
        mean = 1 + sum(a * w for a, w in zip(answers, (0.7, 0.5, 0.3, 0.2, 0.1, 0, 0, 0, 0)))
        score = min(10, max(0, round(mean + rng.gauss(salt, 1))))
        hours = 24 * (19 - i % 20) + 2
        rows.append((f"r{i}", score, answers, NOW - datetime.timedelta(hours=hours)))
    return rows


def test_complete_answers_as_statsmodels(place):
    made = place()
    rows = survey(600, 5)
    made.send(*(response(*row) for row in rows))
    made.finish()
    fit = sm.OLS([float(r[1]) for r in rows],
                 sm.add_constant(np.array([r[2] for r in rows], float))).fit()
    found, whole = (drivers(made.line, "nps_travel", "all"), fits(made.line)["nps_travel", "all"])
    assert (whole.n, whole.n_complete, whole.method) == (600, 600, "listwise")

    def close(one, other, what):
        assert abs(one - other) <= 1e-9 * max(1, abs(other)), (what, one, other)

    close(whole.intercept, fit.params[0], "intercept")
    close(whole.r2, fit.rsquared, "r2")
    close(whole.adj_r2, fit.rsquared_adj, "adj_r2")
    close(whole.sigma, fit.mse_resid ** 0.5, "sigma")
    for i, name in enumerate(TRAVEL, 1):
        low, high = fit.conf_int()[i]
        for column, value in (("coef", fit.params[i]), ("se", fit.bse[i]), ("t", fit.tvalues[i]),
                              ("p", fit.pvalues[i]), ("ci_low", low), ("ci_high", high)):
            close(getattr(found[name], column), value, (name, column))


def test_revisions_voids_and_erasures_leave_no_trace(place):
    plain, other = place(), place()
    rows, wrong = survey(500, 6), survey(500, 7, salt=1.0)
    plain.send(*(response(*row) for row in rows))
    plain.finish()
    other.send(*(response(*(wrong[i] if i % 3 == 0 else rows[i])) for i in range(0, 500)))
    for i in range(120):  # these go again: as voids, or with their subject
        _, score, answers, at = wrong[i]
        subject = f"c-{i % 7}" if i % 2 else None
        other.send(response(f"x{i}", score, answers, at, subject=subject))
    half = other.daemon()
    other.line.caught_up()
    wait_for(lambda: fits(other.line).get(("nps_travel", "all"))
             and fits(other.line)["nps_travel", "all"].n == 620, "the first results stand", 60)
    assert half.stop() == 0
    before = results(other.line)
    other.send(*(response(*rows[i][:4], revision=2) for i in range(0, 500, 3)))
    other.send(*(response(f"x{i}", *wrong[i][1:], status="void") for i in range(0, 120, 2)))
    other.send(*(erasure(f"c-{k}") for k in range(7)))
    other.finish()
    assert repr(before) != repr(results(other.line))
    same(results(plain.line), results(other.line))
    assert fits(other.line)["nps_travel", "all"].n == 500
    for one in (plain, other):
        report = one.verify()
        assert report.code == 0, report.out[:3000]


def test_definitions_that_change_and_come_back(place, model, kafka):
    """A changed driver model begins with what is stored; verify follows it there and back."""
    made = place()
    changed = made.folder / "changed.json"
    document = json.loads(model.read_text())
    for dm in document["driver_models"]:
        if dm["id"] in ("nps_travel", "bag_drop_operations"):
            dm["window_days"] -= 10
            dm["segments"] = ["all"]
    changed.write_text(json.dumps(document))
    made.line.generate(6000, seed=64).send(2000)
    made.finish()
    notes = []
    for path in (changed, model):
        made.line.send(2000)
        one = made.daemon(until_caught_up=True, model=path)
        assert one.wait(240) == 0, one.text()[-4000:]
        report = made.verify()
        assert report.code == 0, report.out[:3000]
        check = {c["name"]: c for c in report.json["checks"]}["driver_state"]
        assert check["done"] and check["compared"] > 100
        notes.append(" ".join(report.json["not_compared"]))
    assert "are believed" in notes[0] and "came back" not in notes[0]
    assert "bag_drop_operations: its definition came back" in notes[1]
    log = judge.read_log(Model(model.read_text()),
                         judge.read_kafka(kafka.bootstrap, made.line.ends()))
    whole = judge_drivers.drivers(json.loads(model.read_text()), log)["nps_travel"]
    told = analyze(made.folder, whole, whole.of("all", newest(made.line, "nps_travel")))
    found = drivers(made.line, "nps_travel", "all")
    assert [found[d].coef for d in whole.drivers] == told["coef"][1:]


# ---- how soon --------------------------------------------------------------------------------


def test_a_response_is_soon_visible(place):
    """From sending one response to the driver's row that counts it, at low load."""
    made = place()
    rows = survey(200, 8)
    made.send(*(response(*row) for row in rows[:180]))
    one = made.daemon(drivers_refresh_ms=2000)
    one.ready()

    def counted():
        found = made.line.query("SELECT max(n) FROM experience.driver WHERE model = 'nps_travel'"
                                " AND segment = 'all'")
        return found[0][0] or 0

    wait_for(lambda: counted() == 180, "the first results stand", 60)
    took = []
    for number, row in enumerate(rows[180:188], 181):
        time.sleep(1.0)
        started = time.monotonic()
        made.send(response(*row))
        wait_for(lambda: counted() == number, f"{number} are counted", 60, 0.05)
        took.append(time.monotonic() - started)
    assert one.stop() == 0
    print(f"response to driver row: median {statistics.median(took):.2f} s,"
          f" longest {max(took):.2f} s")
    assert max(took) < 60


def visits(numbers, place_of, answered, weight=0.004):
    """Bag drops whose wait counts: events, and what `answered` of their customers said of them."""
    rng = np.random.default_rng(numbers.start)
    events, answers = [], []
    for i in numbers:
        unit, at = place_of(i), (NOW - datetime.timedelta(hours=2 + i % 200)).isoformat()
        wait = int(rng.gamma(2, 120))
        latent = 4.3 - weight * (wait - 240) + rng.normal(0, 0.6)
        common = {"touchpoint": "bag_drop", "unit": unit, "interaction": f"i{i}"}
        events.append({"specversion": "1.0", "id": f"e{i}", "source": "/planted", "time": at,
                       "type": "experience.touchpoint.v1",
                       "data": common | {"measures": {"wait_s": wait}}})
        if answered(i):
            score = int(np.clip(np.rint(latent), 1, 5))
            answers.append({"specversion": "1.0", "id": f"a{i}", "source": "/planted", "time": at,
                            "type": "experience.response.v1", "subject": f"s{i}",
                            "data": common | {"audience": "customer", "survey": "bag_drop",
                                              "scores": {"bag_drop_satisfied": score}}})
    return events, answers


def test_predictions_agree_with_answers_and_cover_who_gave_none(place):
    """Coefficients learned from one half predict the other; nobody at Oslo ever answers."""
    made = place()
    for numbers, share in ((range(0, 1500), 1.0), (range(10_000, 14_000), 0.4)):
        events, answers = visits(numbers, lambda i: ("ams", "ein", "osl")[i % 3],
                                 lambda i, share=share: i % 3 < 2 and i % 10 < 10 * share)
        made.send(*events, *answers)
        made.finish()
    [(coef, low, high)] = made.line.query(
        "SELECT coef, ci_low, ci_high FROM experience.driver WHERE model = 'bag_drop_operations'"
        " AND segment = 'all' AND driver = 'wait_s'")
    assert -0.005 < low <= coef <= high < -0.002, "-0.004, less by the scale's end"
    [(events, n, difference, low, high, status)] = made.line.query(
        "SELECT events, n, difference, difference_low, difference_high, status"
        " FROM experience.prediction_calibration WHERE touchpoint = 'bag_drop'")
    assert events == 4000 and n > 1000
    assert low <= 0 <= high and status == "ok", (difference, low, high)
    by_unit = dict(made.line.query(
        "SELECT unit, ARRAY[sum(events * predicted) / sum(events), sum(events), sum(n_observed)]"
        " FROM experience.prediction_day WHERE events > 0 GROUP BY unit"))
    silent, others = by_unit["osl"], [by_unit["ams"], by_unit["ein"]]
    assert silent[1] > 1300 and not silent[2], "events that nobody answered are predicted too"
    assert abs(silent[0] - sum(o[0] for o in others) / 2) < 0.1
