#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the experience model of the reference workload.

29 touchpoints in four journeys, 40 units, 12 drivers of one outcome, and an hour-grain KPI at each
touchpoint, so that the cells of a run are (journey, touchpoint, unit, hour). With it

    make_reference_model.py --out reference.json
    flightpath generate --profile reference --model reference.json --seed 1 \\
        --messages 1000000 --days 14 --start 2026-03-02 --kafka.bootstrap.servers HOST:PORT

draws 70 % touchpoint events and 30 % responses with the outcome and 8 of the 12 drivers.
"""
import argparse
import json
import sys

JOURNEYS = {"open": 8, "use": 8, "change": 7, "leave": 6}  # touchpoints of each; 29 in all
DRIVERS = 12
UNITS = 40


def build(units=UNITS, outcome_grain="day"):
    touchpoints, journeys, kpis, driver_models = [], [], [], []
    drivers = [f"d{i:02}" for i in range(1, DRIVERS + 1)]
    for journey, count in JOURNEYS.items():
        names = [f"{journey}_{i}" for i in range(1, count + 1)]
        touchpoints += [{"id": name, "department": "branches"} for name in names]
        journeys.append({"id": journey, "audience": "customer", "level": "main",
                         "detailed": [{"id": f"{journey}_all", "touchpoints": names}]})
        kpis += [{"id": f"wait_{name}", "role": "input", "source": {"measure": "wait_s"},
                  "journey": journey, "touchpoint": name, "target": 300, "grain": "hour"}
                 for name in names]
        kpis.append({"id": f"nps_{journey}", "role": "output", "source": {"item": "recommend"},
                     "journey": journey, "target": 30, "grain": outcome_grain})
        driver_models.append({"id": f"nps_{journey}", "outcome": "recommend", "drivers": drivers,
                              "journey": journey, "window_days": 90, "segments": ["all"]})
    return {
        "model": "flightpath/1",
        "programme": {"id": "reference", "time_zone": "Europe/Amsterdam", "currency": "EUR",
                      "retention_days": {"responses": 400, "tallies": 1100}},
        "scales": {"nps": {"min": 0, "max": 10},
                   "agree5": {"min": 1, "max": 5, "not_applicable": ["na"]}},
        "measures": {"wait_s": {"unit": "s", "decimals": 1, "min": 0, "max": 7200,
                                "direction": "lower"}},
        "units": [{"id": f"unit-{i:03}"} for i in range(1, units + 1)],
        "journeys": journeys,
        "touchpoints": touchpoints,
        "items": [{"id": "recommend", "kind": "outcome", "metric": "nps", "scale": "nps"}]
                 + [{"id": name, "kind": "driver", "metric": "mean", "scale": "agree5"}
                    for name in drivers],
        "kpis": kpis,
        "driver_models": driver_models,
        "privacy": {"min_n": 10, "min_n_employee": 5},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", help="file to write; standard output when absent")
    parser.add_argument("--units", type=int, default=UNITS)
    parser.add_argument("--outcome-grain", choices=["day", "hour"], default="day")
    options = parser.parse_args()
    text = json.dumps(build(options.units, options.outcome_grain), indent=1) + "\n"
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
