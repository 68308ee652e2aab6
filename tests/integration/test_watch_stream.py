# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon publishes is what `flightpath analyze watch` finds in the same series: from
responses in Kafka, of which some come weeks late, to a daemon that is killed and one that takes
over. And it tells each alert once.

Three KPIs without units are three series, judged flat: the whole budget, no autocorrelation.
"""

import csv
import datetime
import json
import math
import random
import statistics

import pytest
from support import program
from support.wait import wait_for
from support.watch import MODEL, UTC, Grove, today

DAYS = 150
SCALE = {"advice": "-100:100", "ease": "1:7", "pleased": "0:1"}  # of single answers
RULE = "SELECT threshold, series FROM experience.alert_budget"
#: (KPI, from, until, SD): days back, from > until; nothing else happens
EVENTS = [("ease", 85, 82, -1.4), ("ease", 30, 0, -.8), ("advice", 60, 0, .7),
          ("pleased", 70, 68, -1.6), ("pleased", 24, 0, -.9)]


def model():
    items = MODEL["items"] + [{"id": "liked", "kind": "outcome", "metric": "csat", "top": 2,
                               "scale": "seven", "text": "I liked it."}]
    kpis = MODEL["kpis"] + [{"id": "pleased", "statement": "I like it", "role": "output",
                             "source": {"item": "liked"}, "owner": "ann"}]
    return MODEL | {"items": items, "kpis": kpis}


class Answers:
    """Responses by day, and the series that they make."""

    ITEMS = {"advise": ("advice", 0, 10, 7.2, 1.8), "eased": ("ease", 1, 7, 4.6, 1.1),
             "liked": ("pleased", 1, 7, 5.2, 1.2)}

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.of = {back: [self.response(back, number) for number in range(self.count(back))]
                   for back in range(DAYS, 0, -1)}

    def count(self, back):
        busy = self.random.gammavariate(8, 1 / 8) * (1.2 if back % 7 < 5 else .5)
        return max(5, round(30 * busy))

    def response(self, back, number):
        day = today() - datetime.timedelta(days=back)
        at = datetime.datetime.combine(day, datetime.time(12, number % 60), UTC).isoformat()
        scores = {}
        for item, (kpi, low, high, mean, sd) in self.ITEMS.items():
            moved = sum(size for of, since, until, size in EVENTS
                        if of == kpi and since >= back > until)
            value = round(mean + sd * (self.random.gauss(0, 1) + moved))
            scores[item] = max(low, min(high, value))
        return {"specversion": "1.0", "id": f"{day:%Y%m%d}-{number}", "source": "form",
                "subject": f"{day}-{number}", "type": "experience.response.v1", "time": at,
                "data": {"audience": "customer", "survey": "after", "journey": "visit",
                         "channel": "web", "status": "complete", "submitted_at": at,
                         "scores": scores}}

    def write(self, kpi, path):
        """bucket, n, mean, sd of each day, by hand."""
        item = next(i for i, known in self.ITEMS.items() if known[0] == kpi)
        value = {"advise": lambda s: 100 * ((s >= 9) - (s <= 6)), "eased": float,
                 "liked": lambda s: float(s >= 6)}[item]
        with open(path, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(("bucket", "n", "mean", "sd"))
            for back, rows in self.of.items():
                day = today() - datetime.timedelta(days=back)
                values = [value(r["data"]["scores"][item]) for r in rows]
                out.writerow((day, len(values), repr(statistics.fmean(values)),
                              repr(statistics.stdev(values))))


def expected(kpi, answers, folder, fire):
    path = folder / f"{kpi}.csv"
    answers.write(kpi, path)
    out = program.run("analyze", "watch", path, json=True, fire=fire, check=True,
                      scale=SCALE[kpi]).out
    return [json.loads(line) for line in out.splitlines()]


def published(grove, kpi):
    found = []
    for a in grove.alerts(f"kpi = '{kpi}' AND kind = 'change' AND state <> 'withdrawn'"):
        day = {name: a[name] and a[name].astimezone(UTC).date().isoformat()
               for name in ("since", "started_at", "ended_at")}
        found.append({"bucket": day["since"], "start": day["started_at"],
                      "cleared": None if a["firing"] else day["ended_at"], **{
                          key: a[key] for key in ("verdict", "size", "ci_low", "ci_high",
                                                  "posterior", "n")},
                      "cleared_by": a["how"] or None})
    return found


def same(one, other):
    """Days and words are equal, numbers to 1e-9 (the file's decimals are not the tallies')."""
    assert len(one) == len(other), (one, other)
    for a, b in zip(one, other):
        for key, value in a.items():
            if isinstance(value, float):
                assert math.isclose(value, b[key], rel_tol=1e-9, abs_tol=1e-9), (key, a, b)
            else:
                assert value == b[key], (key, a, b)


@pytest.fixture
def grove(kafka, topics, database, daemon, tmp_path):
    def quick(**options):  # a killed member's partitions are given on within seconds
        return daemon(**({"kafka.session.timeout.ms": "6000"} | options))

    made = Grove(kafka, topics, database, quick, tmp_path)
    made.install(model())
    return made


def judged(grove):
    """Everything that was sent is counted, and judged by whoever holds the lease."""
    sent = sum(high for _, high in grove.kafka.ends(grove.topics.responses).values())
    wait_for(lambda: grove.query("SELECT sum(next_offset) FROM flightpath.ingest_position")[0][0]
             == sent, "everything is counted", timeout=60)
    wait_for(lambda: grove.query("SELECT count(*) FROM flightpath.watch_touched") == [(0,)],
             "nothing is left to judge", timeout=60)


@pytest.mark.long
def test_the_same_alerts_as_from_a_file_and_each_told_once(grove, tmp_path):
    answers = Answers(seed=17)
    pick = random.Random(5)
    late = [r for back, rows in answers.of.items() for r in rows if pick.random() < .06]
    names = {r["id"] for r in late}
    pieces = [[r for back, rows in answers.of.items() if first >= back > last for r in rows
               if r["id"] not in names]
              for first, last in ((DAYS, 75), (75, 55), (55, 26), (26, 0))]
    pick.shuffle(late)
    one = grove.start()
    grove.send(pieces[0])
    judged(grove)
    grove.send(pieces[1] + late[:len(late) // 4])
    one.kill()
    one = grove.start()
    two = grove.start()
    judged(grove)
    grove.send(pieces[2] + late[len(late) // 4:len(late) // 2])
    one.kill()  # whoever held the lease, the other goes on
    grove.free_lease()
    judged(grove)
    grove.send(pieces[3])
    three = grove.start()
    two.kill()
    grove.free_lease()
    grove.send(late[len(late) // 2:])
    judged(grove)
    assert three.stop() == 0
    grove.run()
    ((fire, series),) = grove.query(RULE + " WHERE series > 0")
    assert series == 3
    for kpi in ("advice", "ease", "pleased"):
        want = expected(kpi, answers, tmp_path, repr(fire))
        assert want, "something happened to each"
        same(want, published(grove, kpi))
    told_once(grove)


def told_once(grove):
    """Of each alert one opening (or none but an end), revisions without holes, in order."""
    records = [json.loads(r.value()) for r in grove.kafka.read(grove.topics.alerts)]
    order = {}
    for body in records:
        revisions = order.setdefault(body["data"]["fingerprint"], [])
        if body["data"]["revision"] not in revisions:  # again after a kill: the same id
            revisions.append(body["data"]["revision"])
    ids = {body["id"]: body["data"]["event"] for body in records}
    for alert in grove.alerts("fingerprint = incident"):
        revisions = order[alert["fingerprint"]]
        assert revisions == list(range(alert["revision"] + 1)), alert["fingerprint"]
        events = [ids[f"{alert['fingerprint']}-{n}"] for n in revisions]
        assert events.count("opened") == (events[0] == "opened"), events
        assert events.count("resolved") <= 1 + events.count("updated"), events
