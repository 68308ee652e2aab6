# SPDX-License-Identifier: GPL-3.0-or-later
"""Part 5 of the judge: the rows of driver models, recomputed from the messages alone.

    rows = drivers(document, read_log(Model(document), records))
    rows["nps_travel"].of("unit:ams")      the responses of a segment, within the window

A row is what one standing response says: X and y as exact numbers in the item's or measure's unit,
None where it is missing (skipped, "does not apply", not asked, no event to take it from). A
response that itself answers nothing the model asks is no row, whatever event goes with it. What to
do with them is up to the caller; statsmodels is another program's opinion.
"""
import csv
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from judge import day_of
from judge_message import Number, to_fixed

HOUR_US = 3_600_000_000


@dataclass
class Row:
    response: tuple  # (source, id)
    day: int
    weight: int
    values: list     # of the drivers, then the outcome
    segments: dict   # kind -> text of the segment


@dataclass
class DriverModel:
    id: str
    outcome: str
    drivers: list
    window_days: int
    kinds: list
    rows: list = field(default_factory=list)

    @property
    def newest(self):
        return max((row.day for row in self.rows), default=None)

    def of(self, segment="all", newest=None):
        """Rows of a segment within the window that ends on day `newest`."""
        last = self.newest if newest is None else newest
        kind = segment.split(":")[0]
        return [row for row in self.rows if last - self.window_days < row.day <= last
                and row.segments.get(kind) == segment]

    def segments(self, newest=None):
        last = self.newest if newest is None else newest
        return sorted({text for row in self.rows if last is not None
                       and last - self.window_days < row.day <= last
                       for kind, text in row.segments.items() if kind in self.kinds})


def counts(rows, like=None):
    """(rows with the outcome, rows with everything that anybody answered), whatever they weigh.
    like: the rows that say what anybody answered, if they are not the same."""
    asked = {i for row in like or rows for i, value in enumerate(row.values) if value is not None}
    return (sum(row.values[-1] is not None for row in rows),
            sum(all(row.values[i] is not None for i in asked) for row in rows))


def write_csv(path, model, rows):
    """The rows as a file for `flightpath analyze drivers`."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["day", "weight", *model.drivers, "outcome"])
        for row in rows:
            out.writerow([(date(1970, 1, 1) + timedelta(days=row.day)).isoformat(), row.weight,
                          *("" if v is None else _decimal(v) for v in row.values)])
    return path


def _decimal(value):
    """An exact decimal: denominators are powers of ten."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    text = f"{abs(int(value * 10**places)):0{places + 1}d}"
    sign = "-" if value < 0 else ""
    return f"{sign}{text[:-places]}.{text[-places:]}" if places else sign + text


def drivers(document, log):
    """{id: DriverModel} with the rows of what stands in the log."""
    model = log.model
    made = {}
    for dm in document.get("driver_models", []):
        items, measures = dm.get("drivers", []), dm.get("measures", [])
        one = made[dm["id"]] = DriverModel(dm["id"], dm["outcome"], items + measures,
                                           dm.get("window_days", 90), dm.get("segments", ["all"]))
        latest = _latest_events(model, dm, log.events) if dm.get("join_window_hours") else {}
        for key, response in log.responses.items():
            if response.void or response.event.weight == 0:
                continue
            if not _covers(model, dm, response):
                continue
            if any(v is not None for v in _values(model, dm, response, {})):
                values = _values(model, dm, response, latest)
                one.rows.append(Row(key, day_of(response.submitted_us, model.zone),
                                    response.event.weight, values, _segments(model, response)))
    return made


# ---- scope -----------------------------------------------------------------------------------

def _home(model, dm):
    """Where its events happen: its own touchpoint, or that of its outcome."""
    return dm.get("touchpoint") or model.items[dm["outcome"]].get("touchpoint")


def _audience(model, dm):
    if "journey" in dm:
        return model.journeys[dm["journey"]]["audience"]
    mains = model.mains_of.get(_home(model, dm), [])
    return model.journeys[mains[0]]["audience"] if len(mains) == 1 else "customer"


def _covers(model, dm, response):
    audience, main, detailed, touchpoint = model.place(response.event)
    if audience != _audience(model, dm):
        return False
    if "touchpoint" in dm and touchpoint != dm["touchpoint"]:
        own = model.items[dm["outcome"]].get("touchpoint") == dm["touchpoint"]
        # an answer to the outcome, be it that it was skipped, is about the touchpoint
        if not own or dm["outcome"] not in response.event.scores:
            return False
    if "journey" not in dm or dm["journey"] in (main, detailed):
        return True
    parts = {part["id"]: part for part in model.detailed.get(main, [])}
    return touchpoint is not None and touchpoint in parts.get(dm["journey"], {}).get("touchpoints",
                                                                                    [])


def _segments(model, response):
    event = response.event
    _, main, _, _ = model.place(event)
    found = {"all": "all"}
    for kind, name in (("journey", main), ("touchpoint", event.touchpoint), ("unit", event.unit)):
        if name is not None:
            found[kind] = f"{kind}:{name}"
    if event.tenure == "applicant":
        found["tenure"] = "tenure:applicant"
    elif event.tenure is not None:
        band = "0-3" if event.tenure <= 3 else "3-12" if event.tenure <= 12 else "12+"
        found["tenure"] = f"tenure:{band}"
    return found


# ---- values ----------------------------------------------------------------------------------

def _latest_events(model, dm, events):
    """interaction -> (time, amounts) of its last event that has one of the measures."""
    latest, home = {}, _home(model, dm)
    for event, amounts in events:
        mine = {name: amounts[name] for name in dm.get("measures", []) if name in amounts}
        place = event.touchpoint if event.touchpoint in model.touchpoints else None
        if not mine or event.interaction is None or (home is not None and place != home):
            continue
        before = latest.get(event.interaction)
        if before and before[0] == event.time_us and before[1] != mine:
            raise ValueError(f"two events of {event.interaction} at one moment: a hash decides")
        if before is None or event.time_us >= before[0]:
            latest[event.interaction] = (event.time_us, mine)
    return latest


def _values(model, dm, response, latest):
    values = [_score(response, name) for name in dm.get("drivers", [])]
    own = {name: to_fixed(text, model.measures[name]["decimals"])
           for name, text in response.event.measures.items() if isinstance(text, Number)}
    window = dm.get("join_window_hours", 0) * HOUR_US
    happened = latest.get(response.event.interaction) if window else None
    if happened and abs(happened[0] - response.submitted_us) <= window:
        own = happened[1] | own
    values += [None if name not in own
               else Fraction(own[name], 10**model.measures[name]["decimals"])
               for name in dm.get("measures", [])]
    return values + [_score(response, dm["outcome"])]


def _score(response, name):
    value = response.scores.get(name)
    return None if value is None else Fraction(value)
