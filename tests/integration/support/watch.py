# SPDX-License-Identifier: GPL-3.0-or-later
"""A small programme whose answers are made so that it is known what happened to them.

    plan = Plan(seed=1)                              four units, two KPIs, 150 days up to yesterday
    plan.shift(days=20, size=-1, kpi="advice")       from 20 days ago on, one SD lower
    plan.quiet(days=5)                               nothing of the last 5 days
    plan.messages()                                  responses, by day
"""

import datetime
import json
import random

UTC = datetime.timezone.utc
UNITS = ("ash", "birch", "cedar", "dogwood")
ITEMS = {"advise": ("advice", 0, 10, 7.2, 1.8), "eased": ("ease", 1, 7, 5.0, 1.1)}

MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "grove", "name": "Grove", "time_zone": "UTC", "currency": "EUR"},
    "scales": {"nps": {"min": 0, "max": 10}, "seven": {"min": 1, "max": 7}},
    "measures": {},
    "owners": [{"id": "ann", "name": "Ann", "department": "care"}],
    "units": [{"id": u, "name": u.title()} for u in UNITS],
    "journeys": [{"id": "visit", "name": "I visit", "audience": "customer", "level": "main",
                  "detailed": [{"id": "desk", "name": "At the desk", "touchpoints": ["desk"]}]}],
    "touchpoints": [{"id": "desk", "name": "Desk", "department": "care", "owner": "ann",
                     "processes": [], "systems": []}],
    "items": [{"id": "advise", "kind": "outcome", "metric": "nps", "scale": "nps",
               "text": "Would you advise us?"},
              {"id": "eased", "kind": "outcome", "metric": "mean", "scale": "seven",
               "text": "It was easy."}],
    "kpis": [{"id": "advice", "statement": "I would advise a friend to come", "role": "output",
              "source": {"item": "advise"}, "journey": "visit", "owner": "ann"},
             {"id": "ease", "statement": "It is easy", "role": "output",
              "source": {"item": "eased"}, "owner": "ann"}],
    "driver_models": [], "interventions": [], "promises": [],
    "alerts": {"false_episodes_per_year": 4}, "privacy": {"min_n": 5, "min_n_employee": 5},
}


def today():
    return datetime.datetime.now(UTC).date()


class Plan:
    def __init__(self, seed=1, days=150, each=6, more=None):
        self.random = random.Random(seed)
        self.days, self.last = days, 1
        self.each = dict.fromkeys(UNITS, each) | (more or {})  # answers a day
        self.changes = []  # (from, until, size, kpi, unit): days back, from > until

    def change(self, since, until, size, kpi=None, unit=None):
        """From `since` to `until` days ago (the latter not), `size` SD of an answer."""
        self.changes.append((since, until, size, kpi, unit))
        return self

    def shift(self, since, size, kpi=None, unit=None):
        return self.change(since, 0, size, kpi, unit)

    def quiet(self, days):
        """Nothing of the last so many days."""
        self.last = days + 1
        return self

    def moved(self, back, kpi, unit):
        return sum(size for since, until, size, of, at in self.changes
                   if since >= back > until and of in (None, kpi) and at in (None, unit))

    def response(self, back, unit, number, score=None):
        day = today() - datetime.timedelta(days=back)
        at = datetime.datetime.combine(day, datetime.time(0, number // 60, number % 60), UTC)
        scores = {}
        for item, (kpi, low, high, mean, sd) in ITEMS.items():
            value = mean + sd * (self.random.gauss(0, 1) + self.moved(back, kpi, unit))
            value = round(value) if score is None else score
            scores[item] = max(low, min(high, value))
        name = f"{day:%Y%m%d}-{unit}-{number}"
        return {"specversion": "1.0", "id": name, "source": "form", "subject": f"s-{name}",
                "type": "experience.response.v1", "time": at.isoformat(),
                "data": {"audience": "customer", "survey": "after", "journey": "visit",
                         "unit": unit, "channel": "web", "status": "complete",
                         "submitted_at": at.isoformat(), "scores": scores}}

    def messages(self, first=None, last=None):
        """Responses of the days from `first` to `last` days ago, the oldest first."""
        first = self.days if first is None else first
        last = self.last if last is None else last
        return [self.response(back, unit, number) for back in range(first, last - 1, -1)
                for unit in UNITS for number in range(self.each[unit])]


class Grove:
    """Topics and a database of a programme; run() reads everything that was sent."""

    def __init__(self, kafka, topics, database, daemon, folder):
        self.kafka, self.topics, self.database, self.daemon = kafka, topics, database, daemon
        self.model = folder / "model.json"
        self.install(MODEL)

    def install(self, model):
        self.model.write_text(json.dumps(model))

    def send(self, messages):
        for m in messages:
            self.kafka.send(self.topics.responses, json.dumps(m), key=m["subject"])
        self.kafka.flush()
        return self

    def start(self, **options):
        return self.daemon(**({"model": self.model, "watch_ms": 100} | options))

    def run(self, **options):
        one = self.start(until_caught_up=True, **options)
        assert one.wait(120) == 0, one.text()[-4000:]
        return one

    def query(self, sql, *parameters):
        with self.database.connect() as connection:
            return connection.execute(sql, parameters).fetchall()

    def alerts(self, where="true"):
        """Rows of experience.alert as dicts, in order of their days."""
        with self.database.connect() as connection:
            cursor = connection.execute(
                f"SELECT * FROM experience.alert WHERE {where}"
                " ORDER BY started_at, level, kpi, unit")
            names = [c.name for c in cursor.description]
            return [dict(zip(names, row)) for row in cursor]

    def messages(self):
        """Bodies of what was queued, in order."""
        return [body for body, in self.query("SELECT body FROM flightpath.alert_outbox"
                                             " ORDER BY seq")]

    def free_lease(self):
        """As if its holder had been silent for long."""
        self.query("UPDATE flightpath.watch_lease SET renewed_at = '-infinity' RETURNING 1")
