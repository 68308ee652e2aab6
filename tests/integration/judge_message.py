# SPDX-License-Identifier: GPL-3.0-or-later
"""Part 1 of the judge: the bytes of a record become an Event, or a reason to reject it.

Strict JSON with Python's own parser (numbers stay text), CloudEvents in structured, plain and
binary mode, and the members of each type of event.
"""
import calendar
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

INT64_MAX = 2**63 - 1


class Reject(Exception):
    """A record that must not count. reason is a class of mistakes, field a path."""

    def __init__(self, reason, field=""):
        super().__init__(f"{reason} {field}".strip())
        self.reason, self.field = reason, field


@dataclass
class Record:
    """One record of the log. value None is a tombstone; headers are (name, bytes or None)."""
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None
    key: bytes | None = None
    headers: list = field(default_factory=list)


# ---- strict JSON -----------------------------------------------------------------------------

BYTES_MAX, STRING_MAX, NUMBER_MAX = 262144, 65536, 64
DEPTH_MAX, VALUES_MAX, MEMBERS_MAX = 16, 2048, 512


class Number(str):
    """A JSON number as it was written."""


def _members(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Reject("duplicate_key", next(k for k, n in Counter(keys).items() if n > 1))
    return dict(pairs)


def _no_constant(name):
    raise Reject("bad_json", name)  # NaN and Infinity are Python's, not JSON's


def _check_string(text):
    if len(text) * 4 > STRING_MAX and len(text.encode("utf-8", "surrogatepass")) > STRING_MAX:
        raise Reject("string_too_long")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise Reject("bad_json")  # an escape of half a character
    if "\0" in text:
        raise Reject("nul_in_string")


def _check_value(value, depth, count):
    count[0] += 1
    if count[0] > VALUES_MAX:
        raise Reject("too_many_values")
    if isinstance(value, Number):
        if len(value) > NUMBER_MAX:
            raise Reject("number_too_long")
    elif isinstance(value, str):
        _check_string(value)
    elif isinstance(value, (dict, list)):
        if depth > DEPTH_MAX:
            raise Reject("too_deep")
        if len(value) > MEMBERS_MAX:
            raise Reject("too_many_values")
        for key in value if isinstance(value, dict) else ():
            _check_string(key)
        for child in value.values() if isinstance(value, dict) else value:
            _check_value(child, depth + 1, count)


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_int=Number, parse_float=Number,
                            parse_constant=_no_constant, strict=True)


def parse_json(data):
    """Exactly one document, every part of it checked."""
    if len(data) > BYTES_MAX:
        raise Reject("too_long")
    if not data.strip(b" \t\r\n"):
        raise Reject("empty")
    try:
        value = _decoder.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Reject("bad_utf8") from None
    except RecursionError:
        raise Reject("too_deep") from None
    except json.JSONDecodeError as error:
        raise Reject("trailing_bytes" if error.msg == "Extra data" else "bad_json") from None
    _check_value(value, 1, [0])
    return value


# ---- envelope and event ----------------------------------------------------------------------

NAME_MAX, COMMENT_MAX = 256, 8192
TYPES = {"experience.touchpoint.v1", "experience.response.v1", "experience.invitation.v1",
         "experience.case.v1", "experience.intervention.v1", "experience.erasure.v1"}
ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)",
                   re.ASCII)
_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)


def parse_time(text):
    """RFC 3339 to microseconds since 1970 UTC, years 1970 to 9999; None when it is not one."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    if not (year and 1 <= month <= 12 and 1 <= day and hour <= 23 and minute <= 59):
        return None
    if second > 60:
        return None
    if day > calendar.monthrange(year, month)[1]:
        return None
    micros = int((match[7] or "0")[:6].ljust(6, "0"))
    offset = 0
    if match[8] not in "Zz":
        hours, minutes = int(match[8][1:3]), int(match[8][4:6])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * (-1 if match[8][0] == "-" else 1)
    leap = second == 60
    days = (date(year, month, day) - date(1970, 1, 1)).days
    whole = days * 86400 + hour * 3600 + minute * 60 + min(second, 59) - offset * 60
    if leap:  # 23:59:60 UTC at the end of a month: the last microsecond of its minute
        after = datetime(1970, 1, 1) + timedelta(seconds=whole + 1)
        if (after.day, after.hour, after.minute, after.second) != (1, 0, 0, 0):
            return None
        micros = 999_999
    result = whole * 1_000_000 + micros
    return result if 0 <= result <= 253402300799999999 else None


def to_fixed(text, decimals):
    """Decimal text times 10^decimals, exactly; a Reject without a field when it does not fit."""
    sign, whole, fraction, exponent = _NUMBER.fullmatch(text).groups()
    fraction = fraction or ""
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    shift = int(exponent or 0) - len(fraction) + decimals
    stripped = digits.rstrip("0")
    shift += len(digits) - len(stripped)
    if shift < 0:
        raise Reject("too_many_decimals")
    if len(stripped) + shift > 19:
        raise Reject("out_of_range")
    value = int(stripped) * 10**shift * (-1 if sign else 1)
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise Reject("out_of_range")
    return value


def _media(content_type):
    """'cloudevent', 'json', 'other', or None when nothing is said."""
    if not content_type:
        return None
    parts = [part.strip() for part in content_type.lower().split(";")]
    for parameter in parts[1:]:
        if parameter.startswith("charset=") and \
                parameter[8:].strip('"') not in ("utf-8", "utf8", "us-ascii"):
            return "other"
    if parts[0] in ("application/cloudevents+json", "application/cloudevents"):
        return "cloudevent"
    if parts[0].startswith("application/cloudevents"):
        return "other"
    if parts[0] in ("application/json", "text/json") or parts[0].endswith("+json"):
        return "json"
    return "other"


def open_envelope(record):
    """(attributes, data): of a structured, plain or binary-mode event."""
    body = record.value
    if len(body) >= 5 and body[0] == 0:
        body = body[5:]  # schema registry prefix
    types = [v for n, v in record.headers if n.lower() == "content-type" and v is not None]
    if len(types) > 1:
        raise Reject("bad_content_type", "content-type")
    media = _media(types[0].decode("utf-8", "replace")) if types else None
    headers = _attribute_headers(record) if media != "cloudevent" else {}
    binary = any(name in headers for name in ("specversion", "id", "source", "type"))
    if not body:
        raise Reject("empty")
    if media == "other":
        if binary and not _identify(headers):
            return headers, None  # another family's event: none of our business
        raise Reject("bad_content_type", "content-type")
    document = parse_json(body)
    if binary and media is None and isinstance(document, dict) and "specversion" in document:
        binary = False  # a structured event with copies of its attributes as headers
    if binary:
        return headers, document
    if not isinstance(document, dict):
        raise Reject("not_an_object")
    attributes = {}
    for name in ATTRIBUTES:
        value = document.get(name)
        if value is not None and (not isinstance(value, str) or isinstance(value, Number)):
            raise Reject("type_mismatch", name)
        if value is not None:
            attributes[name] = value
    attributes["structured"] = True
    return attributes, document.get("data")


def _attribute_headers(record):
    found = {}
    for name, value in record.headers:
        attribute = name[3:] if name.startswith("ce_") else None
        if attribute not in ATTRIBUTES:
            continue
        if attribute in found:
            raise Reject("duplicate_key", name)
        if value is not None and b"\0" in value:
            raise Reject("nul_in_string", name)
        try:
            found[attribute] = None if value is None else value.decode("utf-8")
        except UnicodeDecodeError:
            raise Reject("bad_utf8", name) from None
    return {name: value for name, value in found.items() if value is not None}


def _identify(attributes):
    """Checks who and what; False when the event belongs to another family."""
    if attributes.get("specversion", "1.0") != "1.0":
        raise Reject("bad_specversion", "specversion")
    for name in ("id", "source", "type"):
        _check_name(attributes.get(name), name, required=True)
    if not attributes["type"].startswith("experience."):
        return False
    if attributes["type"] not in TYPES:
        raise Reject("unknown_type", "type")
    _check_name(attributes.get("subject"), "subject")
    return True


def _check_name(text, path, required=False, longest=NAME_MAX, shortest=1):
    if text is None:
        if required:
            raise Reject("missing_field", path)
        return
    if len(text) < shortest:
        raise Reject("bad_value", path)
    if len(text.encode()) > longest:
        raise Reject("string_too_long", path)


@dataclass
class Event:
    """One decoded message; names as they were written, times in microseconds."""
    type: str
    id: str
    source: str
    subject: str | None
    time_us: int | None = None
    survey: str | None = None
    journey: str | None = None
    touchpoint: str | None = None
    unit: str | None = None
    channel: str | None = None
    interaction: str | None = None
    outcome: str = "completed"
    audience: str = "customer"
    submitted_us: int | None = None  # None: not said
    revision: int = 1
    status: str = "complete"
    weight: int = 1
    tenure: int | str | None = None  # months, "applicant", None
    scores: dict = field(default_factory=dict)    # item -> Number, None, "na"
    measures: dict = field(default_factory=dict)  # measure -> Number
    erase: str | None = None


def decode(record):
    """The record's Event; None for a tombstone or another family's event; or Reject."""
    if record.value is None:
        return None
    attributes, data = open_envelope(record)
    structured = attributes.pop("structured", False)
    if not _identify(attributes):
        return None
    if _media(attributes.get("datacontenttype")) == "other":
        raise Reject("bad_content_type", "datacontenttype")
    if data is None and structured:
        raise Reject("missing_field", "data")
    if not isinstance(data, dict):
        raise Reject("type_mismatch" if structured else "not_an_object", "data")
    event = Event(attributes["type"].split(".")[1], attributes["id"], attributes["source"],
                  attributes.get("subject"))
    _read_data(event, data)
    _settle_times(event, attributes)
    return event


def _read_data(event, data):
    data = {name: value for name, value in data.items() if value is not None}  # null is absent
    names = {"touchpoint": ["journey", "touchpoint", "unit", "channel", "interaction"],
             "response": ["survey", "journey", "touchpoint", "unit", "channel", "interaction"],
             "invitation": ["survey", "journey", "touchpoint", "unit", "channel"],
             "case": ["case", "interaction", "response", "owner"],
             "intervention": ["intervention"], "erasure": ["subject"]}[event.type]
    required = {"response": ["audience", "survey"], "invitation": ["survey"],
                "case": ["case", "state"], "intervention": ["intervention", "state"],
                "erasure": ["subject"]}.get(event.type, [])
    for name in names:
        value = _text(data, name)
        if value is not None and hasattr(event, name) and name != "subject":
            setattr(event, name, value)
    if event.type == "touchpoint":
        outcomes = ["completed", "failed", "abandoned", "recovered"]
        event.outcome = _choice(data, "outcome", outcomes) or "completed"
    elif event.type == "case":
        _choice(data, "state", ["opened", "contacted", "resolved", "reopened"])
    elif event.type == "intervention":
        _choice(data, "state", ["started", "ended", "cancelled"])
        _check_at(data.get("at"))
    elif event.type == "erasure":
        event.erase = data.get("subject")
    elif event.type == "response":
        _read_response(event, data)
    if event.type in ("touchpoint", "response"):
        event.measures = _map(data, "measures", 32)
        for name, value in list(event.measures.items()):
            _check_name(name, "data.measures")
            if value is None:
                del event.measures[name]
            elif not isinstance(value, Number):
                raise Reject("type_mismatch", f"data.measures.{name}")
    for name in required:
        if name not in data:
            raise Reject("missing_field", f"data.{name}")
    placed = event.journey is not None or event.touchpoint is not None
    if event.type in ("touchpoint", "response") and not placed:
        raise Reject("missing_field", "data.journey")


def _read_response(event, data):
    event.audience = _choice(data, "audience", ["customer", "employee", "internal"]) or "customer"
    event.status = _choice(data, "status", ["complete", "partial", "void"]) or "complete"
    event.revision = _whole(data, "revision", 1, 1_000_000, 1)
    event.weight = _whole(data, "weight", 0, 100_000, 1)
    event.tenure = _whole(data, "tenure_months", 0, 1200, None)
    _text(data, "comment", shortest=0, longest=COMMENT_MAX)
    applicant = data.get("applicant", False)
    if applicant is not True and applicant is not False:
        raise Reject("type_mismatch", "data.applicant")
    if applicant and event.tenure is not None:
        raise Reject("bad_value", "data.applicant")
    event.tenure = "applicant" if applicant else event.tenure
    if "submitted_at" in data:
        value = data["submitted_at"]
        if not isinstance(value, str) or isinstance(value, Number):
            raise Reject("type_mismatch", "data.submitted_at")
        event.submitted_us = parse_time(value)
        if event.submitted_us is None:
            raise Reject("bad_time", "data.submitted_at")
    event.scores = _map(data, "scores", 64)
    for name, value in event.scores.items():
        _check_name(name, "data.scores")
        if isinstance(value, Number):
            event.scores[name] = _whole(event.scores, name, -1000, 1000, None)
        elif isinstance(value, str) and value != "na":
            raise Reject("bad_value", f"data.scores.{name}")
        elif value is not None and value != "na":
            raise Reject("type_mismatch", f"data.scores.{name}")


def _text(data, name, longest=NAME_MAX, shortest=1):
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, Number):
        raise Reject("type_mismatch", f"data.{name}")
    _check_name(value, f"data.{name}", longest=longest, shortest=shortest)
    return value


def _choice(data, name, allowed):
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or isinstance(value, Number):
        raise Reject("type_mismatch", f"data.{name}")
    if value not in allowed:
        raise Reject("bad_value", f"data.{name}")
    return value


def _whole(data, name, low, high, absent):
    """A whole number by value: 7, 7.0 and 70e-1 are the same."""
    value = data.get(name)
    if value is None:
        return absent
    if not isinstance(value, Number):
        raise Reject("type_mismatch", f"data.{name}")
    try:
        number = to_fixed(value, 0)
    except Reject as error:
        raise Reject("type_mismatch" if error.reason == "too_many_decimals" else error.reason,
                     f"data.{name}") from None
    if not low <= number <= high:
        raise Reject("out_of_range", f"data.{name}")
    return number


def _map(data, name, most):
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise Reject("type_mismatch", f"data.{name}")
    if len(value) > most:
        raise Reject("too_many_items", f"data.{name}")
    return dict(value)


def _check_at(value):
    if value is None:
        return
    if not isinstance(value, str) or isinstance(value, Number):
        raise Reject("type_mismatch", "data.at")
    if parse_time(value) is None and parse_time(value + "T00:00:00Z") is None:
        raise Reject("bad_time", "data.at")


def _settle_times(event, attributes):
    if "time" in attributes:
        event.time_us = parse_time(attributes["time"])
        if event.time_us is None:
            raise Reject("bad_time", "time")
    elif event.submitted_us is not None:
        event.time_us = event.submitted_us
    else:
        raise Reject("missing_field", "time")
