# SPDX-License-Identifier: GPL-3.0-or-later
"""Part 2 of the judge: the experience model, and a message measured against it.

Where a message happened, which KPIs cover that place, whether its scores are on their scale and its
measures within their range, and whether its time can be.
"""
import json
from collections import defaultdict
from decimal import Decimal
from zoneinfo import ZoneInfo

from judge_message import Reject, to_fixed

DAY_US = 86_400_000_000


class Model:
    """The experience model, as far as counting needs it."""

    def __init__(self, document):
        if isinstance(document, (str, bytes)):
            document = json.loads(document, parse_float=Decimal)
        self.zone = ZoneInfo(document["programme"]["time_zone"])
        retention = document["programme"].get("retention_days", {})
        self.tallies_days = retention.get("tallies", max(1100, retention.get("responses", 0)))
        self.responses_days = retention.get("responses", min(400, self.tallies_days))
        privacy = document.get("privacy", {})
        self.min_n, self.min_n_employee = privacy.get("min_n", 10), privacy.get("min_n_employee", 5)
        self.future_skew_s = document.get("limits", {}).get("future_skew_s", 3600)
        self.scales = document.get("scales", {})
        self.measures = {name: self._measure(m) for name, m in document.get("measures", {}).items()}
        self.items = {item["id"]: item for item in document.get("items", [])}
        self.touchpoints = {t["id"] for t in document.get("touchpoints", [])}
        self.journeys = {}  # id -> {main, audience}; main is None for a main journey
        self.detailed = defaultdict(list)
        self.mains_of = defaultdict(list)  # touchpoint -> main journeys
        for main in document.get("journeys", []):
            self._add_journey(main)
        self.kpis = [self._kpi(kpi) for kpi in document.get("kpis", [])]
        self.item_kpis, self.event_kpis, self.response_kpis = defaultdict(list), [], []
        for kpi in self.kpis:
            if kpi["item"]:
                self.item_kpis[kpi["item"]].append(kpi)
            elif kpi["of"] == "events":
                self.event_kpis.append(kpi)
            else:
                self.response_kpis.append(kpi)

    @staticmethod
    def _measure(measure):
        decimals = measure.get("decimals", 0)
        return {"decimals": decimals, "direction": measure.get("direction", "higher"),
                "min": to_fixed(str(measure["min"]), decimals),
                "max": to_fixed(str(measure["max"]), decimals)}

    def _add_journey(self, main):
        audience = main.get("audience", "customer")
        self.journeys[main["id"]] = {"main": None, "audience": audience}
        for part in main.get("detailed", []):
            self.journeys[part["id"]] = {"main": main["id"], "audience": audience}
            self.detailed[main["id"]].append(part)
            for touchpoint in part.get("touchpoints", []):
                if main["id"] not in self.mains_of[touchpoint]:
                    self.mains_of[touchpoint].append(main["id"])

    def _kpi(self, kpi):
        source = kpi["source"]
        item, measure = source.get("item"), source.get("measure")
        of = "events" if measure or "outcome" in source else \
            "invitations" if "response_rate" in source else "answers"
        audience = kpi.get("audience")
        if audience is None:
            audience = self.journeys[kpi["journey"]]["audience"] if "journey" in kpi else "customer"
        result = {"id": kpi["id"], "item": item, "measure": measure,
                  "outcome": source.get("outcome"),
                  "within": None, "quantile": source.get("quantile"), "audience": audience,
                  "journey": kpi.get("journey"), "touchpoint": kpi.get("touchpoint"),
                  "of": of, "items": source.get("items"), "per": source.get("per"),
                  "survey": None, "reversed": set(),
                  "grain": kpi.get("grain", "hour" if of == "events" else "day"),
                  "target": None if kpi.get("target") is None else float(kpi["target"]),
                  "decimals": 0, "low": None, "high": None, "top": None}
        if item:
            scale = self.scales[self.items[item]["scale"]]
            few = scale["max"] - scale["min"] < 3
            result.update(metric=self.items[item]["metric"], low=scale["min"], high=scale["max"],
                          top=self.items[item].get("top", 1 if few else 2),
                          direction=self.items[item].get("direction", "higher"))
        elif measure:
            about = self.measures[measure]
            if "per" in source:
                result.update(metric="ratio", direction=about["direction"],
                              decimals=about["decimals"]
                              - self.measures[source["per"]]["decimals"])
            elif "within" in source:
                result.update(metric="share", direction="higher",
                              within=to_fixed(str(source["within"]), about["decimals"]))
            else:
                result.update(metric="quantile" if "quantile" in source else "measure_mean",
                              decimals=about["decimals"], direction=about["direction"])
        elif "items" in source:
            scale = self.scales[self.items[source["items"][0]]["scale"]]
            towards = kpi.get("direction", "higher")
            result.update(metric="index", low=scale["min"], high=scale["max"], direction="higher",
                          reversed={name for name in source["items"] if
                                    self.items[name].get("direction", "higher") != towards})
        elif "response_rate" in source:
            named = source["response_rate"] is not True
            result.update(metric="response_rate", direction="higher",
                          survey=source["response_rate"] if named else None)
        elif "straight_lining" in source:
            result.update(metric="share", direction="lower")
        else:
            bad = source["outcome"] in ("failed", "abandoned")
            result.update(metric="share", direction="lower" if bad else "higher")
        result["direction"] = kpi.get("direction", result["direction"])
        return result

    def place(self, event):
        """(audience, main journey, detailed journey, touchpoint) of a message; None: not known."""
        touchpoint = event.touchpoint if event.touchpoint in self.touchpoints else None
        main, detailed = None, None
        if event.journey is not None:
            if event.journey in self.journeys:
                main, detailed = self.journeys[event.journey]["main"], event.journey
                if main is None:
                    main, detailed = event.journey, None
        elif touchpoint and len(self.mains_of[touchpoint]) == 1:
            main = self.mains_of[touchpoint][0]
        audience = event.audience
        if event.type != "response" and main:
            audience = self.journeys[main]["audience"]
        if main and detailed is None:
            detailed = self._detailed(main, touchpoint, event, audience)
        return audience, main, detailed, touchpoint

    def _detailed(self, main, touchpoint, event, audience):
        for part in self.detailed[main]:
            if touchpoint and touchpoint in part.get("touchpoints", []):
                return part["id"]
        if event.type == "response" and audience == "employee" and event.tenure is not None:
            for part in self.detailed[main]:
                if self._in_window(part.get("tenure"), event.tenure):
                    return part["id"]
        return None

    @staticmethod
    def _in_window(window, tenure):
        if window is None:
            return False
        if window == "applicant" or tenure == "applicant":
            return window == tenure
        if "max_months" in window:
            return tenure <= window["max_months"]
        return tenure >= window["min_months"]

    @staticmethod
    def covers(kpi, place):
        audience, main, detailed, touchpoint = place
        if kpi["of"] != "events" and kpi["audience"] != audience:
            return False
        if kpi["touchpoint"] and kpi["touchpoint"] != touchpoint:
            return False
        return kpi["journey"] is None or kpi["journey"] in (main, detailed)


# ---- resolve ---------------------------------------------------------------------------------

def observed_us(event):
    """When it happened: a response when it was submitted, the others at event time."""
    return event.submitted_us if event.submitted_us is not None else event.time_us


def resolve(model, event, record):
    """Checks the message against the model; returns its fixed-point measures and valid scores."""
    at = observed_us(event)
    if record.timestamp_ms >= 0:
        sent = record.timestamp_ms * 1000
        if at > sent + model.future_skew_s * 1_000_000:
            raise Reject("future", "time")
        days = model.responses_days if event.type == "response" else model.tallies_days
        if event.type not in ("erasure", "intervention") and at < sent - days * DAY_US:
            raise Reject("too_old", "time")
    scores = {}
    for name, value in event.scores.items():
        if name not in model.items:
            raise Reject("unknown_item", f"data.scores.{name}")
        scale = model.scales[model.items[name]["scale"]]
        if value is None or value == "na" or value in scale.get("not_applicable", []):
            continue
        if not scale["min"] <= value <= scale["max"]:
            raise Reject("out_of_scale", f"data.scores.{name}")
        scores[name] = value
    amounts = {}
    for name, text in event.measures.items():
        if name not in model.measures:
            raise Reject("unknown_measure", f"data.measures.{name}")
        measure = model.measures[name]
        try:
            amounts[name] = to_fixed(text, measure["decimals"])
        except Reject as error:
            raise Reject(error.reason, f"data.measures.{name}") from None
        if not measure["min"] <= amounts[name] <= measure["max"]:
            raise Reject("out_of_range", f"data.measures.{name}")
    return scores, amounts
