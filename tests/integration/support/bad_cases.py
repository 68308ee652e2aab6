"""The single records of bad_input.md: what is sent, and what must become of it.

Each case is one record. They go to one partition a topic, in this order, all read by one daemon:
so a case may rest on an earlier one (a duplicate). What needs a daemon of its own is in the test.
"""

import datetime
import json
import time
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

APPLIED, DUPLICATE, REVISED, IGNORED = "applied", "duplicate", "revised", "ignored"
ZONE = ZoneInfo("Europe/Amsterdam")
#: the time of the records (and not of a clock) decides what is too new or too old
RECORD_MS = (int(time.time()) - 7200) * 1000 + 123
RECORD_US = RECORD_MS * 1000
DAY_US = 86_400_000_000
SKEW_S, RESPONSE_DAYS, TALLY_DAYS = 1800, 400, 800
JSON_LIMIT = 262144  # bytes of a message

MODEL = {
    "model": "flightpath/1",
    "programme": {"id": "bad-input", "time_zone": "Europe/Amsterdam",
                  "retention_days": {"responses": RESPONSE_DAYS, "tallies": TALLY_DAYS}},
    "limits": {"future_skew_s": SKEW_S},
    "scales": {"nps": {"min": 0, "max": 10}, "wide": {"min": -500, "max": 500}},
    "measures": {
        "wait_s": {"unit": "s", "decimals": 0, "min": -1000000000, "max": 1000000000,
                   "direction": "lower"},
        "cost": {"unit": "EUR", "decimals": 2, "min": -10000000, "max": 10000000,
                 "direction": "lower"},
        "fine": {"unit": "1", "decimals": 9, "min": -1, "max": 1, "direction": "lower"}},
    "touchpoints": [{"id": "desk", "name": "Desk"}],
    "journeys": [{"id": "visit", "name": "I visit", "audience": "customer", "level": "main",
                  "detailed": [{"id": "come_in", "touchpoints": ["desk"]}]}],
    "items": [
        {"id": "recommend", "kind": "outcome", "metric": "nps", "scale": "nps", "text": "Would?"},
        {"id": "feeling", "kind": "driver", "metric": "mean", "scale": "wide", "text": "How?"}],
    "kpis": [
        {"id": "nps", "role": "output", "source": {"item": "recommend"}, "grain": "hour"},
        {"id": "wait", "role": "input", "source": {"measure": "wait_s"}, "touchpoint": "desk"}],
}


@dataclass
class Case:
    number: str            # of bad_input.md, e.g. "B17"
    name: str
    value: bytes | None
    outcome: Any           # a class of the ledger, or (reason, field) when it is rejected
    wanted: Any = None     # applied: what is stored
    touchpoints: bool = False  # which topic
    key: bytes | None = b"k"
    headers: Any = None

    @property
    def rejected(self):
        return isinstance(self.outcome, tuple)


CASES = []


def case(number, name, value, outcome, **more):
    if isinstance(value, str):
        value = value.encode()
    CASES.append(Case(number, name, value, outcome, **more))


def rfc3339(time_us):
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time_us)
    return when.isoformat(timespec="microseconds") + "Z"


def day_of(time_us):
    """The local day since 1970, by Python's own time zone database."""
    when = datetime.datetime.fromtimestamp(time_us // 1_000_000, datetime.UTC).astimezone(ZONE)
    return (when.date() - datetime.date(1970, 1, 1)).days


TIME_US = RECORD_US - 3600_000_000
TIME = rfc3339(TIME_US)
SOURCE = "https://bad.example/input"


def envelope(kind, number, data, **more):
    return {"specversion": "1.0", "id": number, "source": SOURCE,
            "type": f"experience.{kind}.v1", "time": TIME, "data": data} | more


def response(number, scores=None, measures=None, envelope_of=None, **data):
    """A response as a dict; `envelope_of`: members beside data."""
    body = {"audience": "customer", "survey": "visit", "journey": "visit", "touchpoint": "desk",
            "unit": "u", "scores": {"recommend": 9} if scores is None else scores}
    if measures is not None:
        body["measures"] = measures
    return envelope("response", number, body | data, **(envelope_of or {}))


def touchpoint(number, unit, wait=60, envelope_of=None, **data):
    body = {"journey": "visit", "touchpoint": "desk", "unit": unit, "measures": {"wait_s": wait}}
    return envelope("touchpoint", number, body | data, **(envelope_of or {}))


def text(message):
    return json.dumps(message, ensure_ascii=False)


def raw(message, what):
    """The message as bytes, with the raw text `what` where it says "@@"."""
    data = what if isinstance(what, bytes) else what.encode()
    body = text(message).encode()
    assert body.count(b'"@@"') == 1
    return body.replace(b'"@@"', data)


def without(message, path):
    message = json.loads(text(message))
    *outer, last = path.split(".")
    inside = message
    for name in outer:
        inside = inside[name]
    del inside[last]
    return message


def with_(message, path, value):
    message = json.loads(text(message))
    *outer, last = path.split(".")
    inside = message
    for name in outer:
        inside = inside[name]
    inside[last] = value
    return message


def padded(message, size):
    """The message with white space behind it, `size` bytes in all."""
    body = text(message).encode()
    return body + b" " * (size - len(body))


OK = {"scores": {"recommend": 9}, "unit": "u"}

# ---- B1 to B4: values, keys, headers -------------------------------------------------------------

case("B1", "empty value", b"", ("empty", ""))
case("B1", "empty value among events", b"", ("empty", ""), touchpoints=True)
case("B1", "white space", " \r\n\t", ("empty", ""))
case("B1", "a wire prefix and nothing else", b"\0\0\0\0\7", ("empty", ""))

case("B2", "null value", None, IGNORED)
case("B2", "null value among events", None, IGNORED, touchpoints=True)
case("B2", "null value, null key", None, IGNORED, key=None)
case("B2", "null value with headers", None, IGNORED,
     headers=[("ce_id", b"x"), ("content-type", b"text/plain")])

case("B3", "null key", text(response("b3-null")), APPLIED, key=None, wanted=OK)
case("B3", "empty key", text(response("b3-empty")), APPLIED, key=b"", wanted=OK)
case("B3", "key of bytes", text(response("b3-bytes")), APPLIED, key=b"\0\xff\n", wanted=OK)
case("B3", "bad, null key", "{", ("bad_json", ""), key=None)
case("B3", "bad, empty key", "{", ("bad_json", ""), key=b"")
case("B3", "bad, key of bytes", "{", ("bad_json", ""), key=b"\0\xff\n")

MANY = [(f"h{i}", b"v%d" % i) for i in range(5000)]
HUGE = [("trace", b"\0\xff" * 250_000)]
CE = {"ce_specversion": b"1.0", "ce_id": b"b4-binary", "ce_source": SOURCE.encode(),
      "ce_type": b"experience.response.v1", "ce_time": TIME.encode()}
BODY = text(response("")["data"])


def ce(**more):
    return [(k, v) for k, v in (CE | more).items() if v is not None]


case("B4", "5000 headers", text(response("b4-many")), APPLIED, headers=MANY, wanted=OK)
case("B4", "a header of 500 kB", text(response("b4-huge")), APPLIED, headers=HUGE, wanted=OK)
case("B4", "bad, 5000 headers", "[]", ("not_an_object", ""), headers=MANY)
case("B4", "bad, a header of 500 kB", "[]", ("not_an_object", ""), headers=HUGE)
case("B4", "bad, null, empty and repeated headers", "[]", ("not_an_object", ""),
     headers=[("a", None), ("a", b""), ("a", b"1"), ("", b"no name"), ("ü", b"\xff")])
case("B4", "bad, headers called as ours", "[]", ("not_an_object", ""),
     headers=[("fp_reason", b"not ours"), ("mine", b"1"), ("fp_key", b"not ours")])
case("B4", "binary mode", BODY, APPLIED, headers=ce(), wanted=OK)
case("B4", "binary mode without id", BODY, ("missing_field", "id"), headers=ce(ce_id=None))
case("B4", "ce_id twice", BODY, ("duplicate_key", "ce_id"), headers=[*ce(), ("ce_id", b"2")])
case("B4", "ce_id with NUL", BODY, ("nul_in_string", "ce_id"), headers=ce(ce_id=b"a\0b"))
case("B4", "ce_id in Latin-1", BODY, ("bad_utf8", "ce_id"), headers=ce(ce_id=b"\xfc"))
case("B4", "ce_id of 100 kB", BODY, ("string_too_long", "id"), headers=ce(ce_id=b"x" * 100_000))
case("B4", "ce_id empty", BODY, ("bad_value", "id"), headers=ce(ce_id=b""))
case("B4", "content-type of Avro", BODY, ("bad_content_type", "content-type"),
     headers=[*ce(), ("content-type", b"application/avro")])
case("B4", "content-type in UTF-16", BODY, ("bad_content_type", "content-type"),
     headers=[*ce(), ("content-type", b"application/json; charset=utf-16")])
case("B4", "content-type twice", BODY, ("bad_content_type", "content-type"),
     headers=[*ce(), ("content-type", b"application/json"), ("Content-Type", b"text/json")])
case("B4", "content-type of 100 kB", BODY, ("bad_content_type", "content-type"),
     headers=[*ce(), ("content-type", b"x" * 100_000)])

# ---- B5 to B7: cut, and more than one ------------------------------------------------------------

WHOLE = text(response("b5-whole", unit="Zürich", comment="gut – danke", scores={
    "recommend": 10, "feeling": None}, measures={"cost": 6.40}, weight=2)).encode()


for _at in range(1, len(WHOLE)):  # also within a character
    _cut = WHOLE[_at] & 0xC0 == 0x80
    case("B5", f"cut at byte {_at}", WHOLE[:_at], ("bad_utf8" if _cut else "bad_json", None))
case("B5", "the whole of it", WHOLE, APPLIED,
     wanted={"unit": "Zürich", "scores": {"recommend": 10, "feeling": -32768}, "weight": 2,
             "measures": {"cost": 640}, "comment": "gut – danke"})

case("B6", "white space behind", text(response("b6-space")) + " \r\n\t", APPLIED, wanted=OK)
for _name, _tail in {"a letter": "x", "a brace": "}", "a comma": ",", "NUL": "\0",
                     "a comment": " // done", "a word": " null", "a form feed": "\f"}.items():
    case("B6", _name + " behind", text(response("b6")) + _tail, ("trailing_bytes", ""))
case("B6", "a byte of no UTF-8 behind", text(response("b6")).encode() + b"\xff", ("bad_utf8", ""))
case("B7", "two documents", text(response("b7-1")) + text(response("b7-2")), ("trailing_bytes", ""))
case("B7", "two lines", text(response("b7-1")) + "\n" + text(response("b7-2")),
     ("trailing_bytes", ""))
case("B7", "two in an array", f"[{text(response('b7-1'))},{text(response('b7-2'))}]",
     ("not_an_object", ""))

# ---- B8 to B11: too much -------------------------------------------------------------------------

case("B8", "262144 open brackets", "[" * JSON_LIMIT, ("too_deep", "[0]" * 16))
case("B8", "43690 nested objects", '{"a":' * 43690, ("too_deep", ".".join("a" * 16)))
case("B8", "990,000 open brackets", "[" * 990_000, ("too_long", ""))
case("B8", "17 levels where nobody looks", raw(response("b8", extra="@@"), "[" * 15 + "]" * 15),
     ("too_deep", "data.extra" + "[0]" * 14))
case("B8", "16 levels", raw(response("b8-16", extra="@@"), "[" * 14 + "]" * 14), APPLIED, wanted=OK)
case("B9", "20,000 keys", raw(response("b9", extra="@@"), json.dumps(
    {f"k{i:05}": 0 for i in range(20_000)}, separators=(",", ":"))),
    ("too_many_values", "data.extra"))
case("B9", "512 keys", text(response("b9-512", extra={f"k{i}": 0 for i in range(512)})), APPLIED,
     wanted=OK)
case("B9", "65 scores", text(response("b9", scores={f"i{i}": 1 for i in range(65)})),
     ("too_many_items", "data.scores"))
case("B9", "33 measures", text(response("b9", measures={f"m{i}": 1 for i in range(33)})),
     ("too_many_items", "data.measures"))
case("B10", "a comment of 200 kB", text(response("b10", comment="c" * 200_000)),
     ("string_too_long", "data.comment"))
case("B10", "a key of 200 kB", text(response("b10", **{"k" * 200_000: 1})),
     ("string_too_long", "data"))
case("B10", "a comment of 8193 bytes", text(response("b10", comment="c" * 8193)),
     ("string_too_long", "data.comment"))
case("B10", "a comment of 8192 bytes", text(response("b10-8192", comment="é" * 4096)), APPLIED,
     wanted={"comment": "é" * 4096})
case("B10", "a unit of 257 bytes", text(response("b10", unit="u" * 257)),
     ("string_too_long", "data.unit"))
case("B10", "a unit of 256 bytes", text(response("b10-256", unit="é" * 128)), APPLIED,
     wanted={"unit": "é" * 128})
case("B11", "at the limit", padded(response("b11-at"), JSON_LIMIT), APPLIED, wanted=OK)
case("B11", "one byte more", padded(response("b11-more"), JSON_LIMIT + 1), ("too_long", ""))
case("B11", "almost the most a default client sends", padded(response("b11-most"), 990_000),
     ("too_long", ""))

# ---- B12 to B16: members -------------------------------------------------------------------------

_R = response("b12")
case("B12", "id twice", raw(with_(_R, "id", "@@"), '"a","id":"b"'), ("duplicate_key", "id"))
case("B12", "the same id twice", raw(with_(_R, "id", "@@"), '"a","id":"a"'),
     ("duplicate_key", "id"))
case("B12", "data twice", raw(with_(_R, "data", "@@"), '{},"data":{}'), ("duplicate_key", "data"))
case("B12", "a score twice", raw(response("b12", scores={"recommend": "@@"}), '9,"recommend":1'),
     ("duplicate_key", "data.scores.recommend"))
case("B12", "spelt with an escape", raw(response("b12", scores={"recommend": "@@"}),
     '9,"r\\u0065commend":1'), ("duplicate_key", "data.scores.recommend"))
case("B12", "where nobody looks", raw(response("b12", extra="@@"), '{"a":1,"a":1}'),
     ("duplicate_key", "data.extra.a"))

case("B13", "unknown members", text(response(
    "b13", envelope_of={"traceparent": "00-1", "x": {"y": [1, None, "z"]}}, mood="good",
    nested={"a": [{"b": 1}]})), APPLIED, wanted=OK)
case("B13", "an unknown item", text(response("b13", scores={"recomend": 9})),
     ("unknown_item", "data.scores.recomend"))
case("B13", "an unknown measure", text(touchpoint("b13", "u", measures={"wait": 9})),
     ("unknown_measure", "data.measures.wait"), touchpoints=True)
case("B13", "a type of a later version", text(with_(_R, "type", "experience.response.v2")),
     ("unknown_type", "type"))
case("B13", "a type of another family", text(with_(_R, "type", "com.example.paid")), IGNORED)

for _path in ("id", "source", "type", "time", "data", "data.audience", "data.survey"):
    case("B14", _path + " missing", text(without(response("b14"), _path)), ("missing_field", _path))
    case("B14", _path + " null", text(with_(response("b14"), _path, None)),
         ("missing_field", _path))
case("B14", "journey and touchpoint missing", text(without(without(
    response("b14"), "data.journey"), "data.touchpoint")), ("missing_field", "data.journey"))
case("B14", "no time, but submitted_at", text(without(
    response("b14-submitted", submitted_at=TIME), "time")), APPLIED, wanted=OK)
case("B14", "no specversion", text(without(response("b14-plain"), "specversion")), APPLIED,
     wanted=OK)

for _path, _value, _reason in (
        ("id", 7, "type_mismatch"), ("id", "", "bad_value"), ("source", ["s"], "type_mismatch"),
        ("type", 1, "type_mismatch"), ("specversion", "0.3", "bad_specversion"),
        ("subject", {}, "type_mismatch"), ("time", True, "type_mismatch"),
        ("data", [], "type_mismatch"), ("data", "{}", "type_mismatch"),
        ("data.audience", 1, "type_mismatch"), ("data.audience", "staff", "bad_value"),
        ("data.unit", 12, "type_mismatch"), ("data.unit", "", "bad_value"),
        ("data.scores", [9], "type_mismatch"), ("data.scores.recommend", "9", "bad_value"),
        ("data.scores.recommend", True, "type_mismatch"),
        ("data.scores.recommend", {"value": 9}, "type_mismatch"),
        ("data.revision", "2", "type_mismatch"), ("data.revision", 0, "out_of_range"),
        ("data.weight", 0.5, "type_mismatch"), ("data.weight", -1, "out_of_range"),
        ("data.status", "done", "bad_value"), ("data.comment", 5, "type_mismatch"),
        ("data.tenure_months", -1, "out_of_range")):
    case("B15", f"{_path} = {json.dumps(_value)}", text(with_(response("b15"), _path, _value)),
         (_reason, _path))
for _value in ("null", "true", "1", '"text"', "[]"):
    case("B15", f"{_value} for a message", _value, ("not_an_object", ""))

for _name in ("Data", "DATA", "data ", "dаta", "ｄata", "da\u200bta", "\ufeffdata"):
    case("B16", f"{ascii(_name)} for data", text(without(
        with_(response("b16"), _name, response("b16")["data"]), "data")), ("missing_field", "data"))
for _i, _name in enumerate(("Scores", "sсores", "scores\u200b")):
    case("B16", f"{ascii(_name)} for scores", text(without(
        with_(response(f"b16-{_i}"), f"data.{_name}", {"recommend": 0}), "data.scores")), APPLIED,
        wanted={"scores": {}})
for _i, _name in enumerate(("Recommend", "recommend ", "rесommend", "ｒecommend")):
    case("B16", f"{ascii(_name)} for an item", text(response("b16", scores={_name: 9})),
         ("unknown_item", f"data.scores.{_name}"))
case("B16", "both spellings", text(with_(response("b16-both"), "Data", 1)), APPLIED, wanted=OK)
case("B16", "a type in capitals", text(with_(response("b16"), "type", "EXPERIENCE.RESPONSE.V1")),
     IGNORED)
case("B16", "a type with a blank behind it", text(with_(
    response("b16"), "type", "experience.response.v1 ")), ("unknown_type", "type"))

# ---- B17: numbers --------------------------------------------------------------------------------

_BAD = "bad_json"
#: text → what it is as measure wait_s (whole), as cost (cents), as score feeling (−500 … 500)
NUMBERS = {
    "0": (0, 0, 0), "-0": (0, 0, 0), "-0.0": (0, 0, 0), "0e5": (0, 0, 0), "0.000": (0, 0, 0),
    "7": (7, 700, 7), "7.0": (7, 700, 7), "0.7e1": (7, 700, 7), "70e-1": (7, 700, 7),
    "7E+0": (7, 700, 7), "-7": (-7, -700, -7), "1e2": (100, 10000, 100),
    "0." + "0" * 30 + "7e31": (7, 700, 7), "7" + "0" * 40 + "e-40": (7, 700, 7),
    "6.4": ("too_many_decimals", 640, "type_mismatch"),
    "6.405": ("too_many_decimals", "too_many_decimals", "type_mismatch"),
    "0.1": ("too_many_decimals", 10, "type_mismatch"),
    "0.30000000000000004": ("too_many_decimals", "too_many_decimals", "type_mismatch"),
    "6.0000000000000000000000000000001": ("too_many_decimals", "too_many_decimals",
                                          "type_mismatch"),
    "500": (500, 50000, 500), "501": (501, 50100, "out_of_scale"),
    "-501": (-501, -50100, "out_of_scale"), "1001": (1001, 100100, "out_of_range"),
    "1000000000": (1000000000, "out_of_range", "out_of_range"),
    "999999999.99": ("too_many_decimals", "out_of_range", "type_mismatch"),
    "9999999.99": ("too_many_decimals", 999999999, "type_mismatch"),
    "1000000001": ("out_of_range",) * 3, "-1000000001": ("out_of_range",) * 3,
    "4294967303": ("out_of_range",) * 3,           # 2^32 + 7
    "9007199254740993": ("out_of_range",) * 3,     # 2^53 + 1
    "9223372036854775807": ("out_of_range",) * 3, "9223372036854775808": ("out_of_range",) * 3,
    "-9223372036854775808": ("out_of_range",) * 3, "-9223372036854775809": ("out_of_range",) * 3,
    "18446744073709551623": ("out_of_range",) * 3,  # 2^64 + 7
    "1e308": ("out_of_range",) * 3, "1e309": ("out_of_range",) * 3,
    "-1e400": ("out_of_range",) * 3, "1e99999999999999999999": ("out_of_range",) * 3,
    "1e-400": ("too_many_decimals", "too_many_decimals", "type_mismatch"),
    "7e-99999999999999999999": ("too_many_decimals", "too_many_decimals", "type_mismatch"),
    "7" * 64: ("out_of_range",) * 3, "7" * 65: ("number_too_long",) * 3,
    "7" * 400: ("number_too_long",) * 3, "0." + "0" * 398: ("number_too_long",) * 3,
}
NUMBERS |= dict.fromkeys(("0x10", "01", "-01", "+1", ".5", "5.", "1e", "1e+", "--1", "-", "NaN",
                          "Infinity", "-Infinity", "1_000", "1,5", "1 000", "٧"), (_BAD,) * 3)


def number_cases(column, path, make):
    for i, (number, wanted) in enumerate(NUMBERS.items()):
        want = wanted[column]
        name = path.rsplit(".", 1)[1]
        shown = number if len(number) < 40 else f"{number[:8]}… ({len(number)} bytes)"
        member = "scores" if column == 2 else "measures"
        if isinstance(want, int):
            case("B17", f"{name} {shown}", raw(make(f"b17-{name}-{i}"), number), APPLIED,
                 wanted={member: {name: want}})
        else:
            where = path if number != "1,5" else "data." + member
            where = where if number != "1 000" else "data." + member
            case("B17", f"{name} {shown}", raw(make("b17"), number), (want, where))


number_cases(0, "data.measures.wait_s", lambda n: response(n, measures={"wait_s": "@@"}))
number_cases(1, "data.measures.cost", lambda n: response(n, measures={"cost": "@@"}))
number_cases(2, "data.scores.feeling", lambda n: response(n, scores={"feeling": "@@"}))
case("B17", "nine decimals", raw(response("b17-fine", measures={"fine": "@@"}), "0.123456789"),
     APPLIED, wanted={"measures": {"fine": 123456789}})
case("B17", "ten decimals", raw(response("b17", measures={"fine": "@@"}), "0.1234567891"),
     ("too_many_decimals", "data.measures.fine"))
case("B17", "revision 2^31 - 1", text(response("b17-revision", revision=2147483647)), APPLIED,
     wanted={"revision": 2147483647})
case("B17", "revision 2^31", text(response("b17", revision=2147483648)),
     ("out_of_range", "data.revision"))
case("B17", "weight 100001", text(response("b17", weight=100001)), ("out_of_range", "data.weight"))

# ---- B18 to B21: characters ----------------------------------------------------------------------

for _name, _bytes in {
        "overlong NUL": b"\xc0\x80", "overlong slash": b"\xc0\xaf",
        "overlong, 3 bytes": b"\xe0\x80\xaf",
        "overlong, 4 bytes": b"\xf0\x80\x80\xaf", "surrogate D800": b"\xed\xa0\x80",
        "surrogate DFFF": b"\xed\xbf\xbf", "pair in CESU-8": b"\xed\xa0\xbd\xed\xb8\x80",
        "beyond 10FFFF": b"\xf4\x90\x80\x80", "F5": b"\xf5\x80\x80\x80", "FF": b"\xff",
        "cut, 2 bytes": b"\xc3", "cut, 3 bytes": b"\xe2\x82", "cut, 4 bytes": b"\xf0\x9f\x98",
        "stray continuation": b"\x80", "Latin-1": b"Z\xfcrich"}.items():
    case("B18", _name, raw(response("b18", unit="@@"), b'"' + _bytes + b'"'), ("bad_utf8", ""))
case("B18", "in a key", raw(response("b18", extra="@@"), b'{"\xff":1}'), ("bad_utf8", ""))
EDGES = "\u007f\u0080\u07ff\u0800\uffff\U0010ffff"
case("B18", "the edges of UTF-8", text(response("b18-ok", unit=EDGES)), APPLIED,
     wanted={"unit": EDGES})

case("B19", "\\u0000 in a unit", raw(response("b19", unit="@@"), '"a\\u0000b"'),
     ("nul_in_string", "data.unit"))
case("B19", "\\u0000 in a key", raw(response("b19", extra="@@"), '{"a\\u0000b":1}'),
     ("nul_in_string", "data.extra"))
case("B19", "\\u0000 in the id", raw(with_(response("b19"), "id", "@@"), '"\\u0000"'),
     ("nul_in_string", "id"))
case("B19", "a raw NUL", raw(response("b19", unit="@@"), b'"a\0b"'), ("bad_json", ""))

for _name, _escape in {"high": "\\ud800", "low": "\\udfff", "high, high": "\\ud800\\ud800",
                       "low, high": "\\udc00\\ud800", "high, text": "\\ud83dx"}.items():
    case("B20", _name, raw(response("b20", unit="@@"), f'"{_escape}"'), ("bad_utf8", "data.unit"))
case("B20", "a pair", raw(response("b20-pair", unit="@@"), '"\\ud83d\\ude00"'), APPLIED,
     wanted={"unit": "😀"})

_U = text(response("b21"))
case("B21", "byte order mark", b"\xef\xbb\xbf" + _U.encode(), ("bad_utf8", ""))
case("B21", "UTF-16, big end first, with mark", b"\xfe\xff" + _U.encode("utf-16-be"),
     ("bad_utf8", ""))
case("B21", "UTF-16, little end first, with mark", _U.encode("utf-16"), ("bad_utf8", ""))
case("B21", "UTF-16, little end first", _U.encode("utf-16-le"), ("bad_json", ""))
case("B21", "UTF-32, little end first", _U.encode("utf-32-le"), ("bad_json", ""))
case("B21", "EBCDIC", _U.encode("cp500"), ("bad_utf8", ""))

# ---- B22 to B24: text that means something to somebody else --------------------------------------

HOSTILE = {
    "B22": ["\x1b[31mred\x1b[0m", "two\r\nlines", "bell\x07 back\x08 del\x7f", "tab\tend",
            '","level":"error","event":"fatal', "\u0085next\u009b31m", "\u2028line\u2029paragraph",
            "left\u202eright", "zero\u200bwidth\ufeff"],
    "B23": ["'; DROP TABLE flightpath.response; --", "$1", "%n%n%s%x", "{}{0}{a}", "\\N", "\\.",
            "NULL", '{"a","b"}', '"', "\\", "a,b", "(1)", "${jndi:ldap://x}", "<script>1</script>",
            "../../etc/passwd", "__other__ ", " ", "=1+1"],
    "B24": ['"} 1\nflightpath_up{x="', 'a{b="c"} 9', "# HELP x", "\\", '"', "a=\"b\",c"],
}
for _number, _texts in HOSTILE.items():
    for _i, _text in enumerate(_texts):
        _id = f"{_number}-{_i}-{_text}"
        case(_number, f"{ascii(_text)} as a name", text(response(
            _id, unit=_text, channel=_text, survey=_text, comment=_text, interaction=_text,
            envelope_of={"subject": _text})), APPLIED, wanted={
                "unit": _text, "channel": _text, "survey": _text, "comment": _text,
                "interaction": _text, "scores": {"recommend": 9}})
        # not declared by any model: registered as it is
        case(_number, f"{ascii(_text)} as a touchpoint", text(touchpoint(
            _id, "u-hostile", journey=_text, touchpoint=_text)), APPLIED, touchpoints=True,
            wanted={"touchpoint": _text})


def clean(field):
    """Control characters are blanks in a reason."""
    return "".join(" " if c < " " or c == "\x7f" else c for c in field)


for _text in HOSTILE["B22"][:5] + HOSTILE["B23"][:3]:
    case("B22", f"{ascii(_text)} as an item", text(response("b22", scores={_text: 1})),
         ("unknown_item", clean(f"data.scores.{_text}")))
    case("B22", f"{ascii(_text)} as a type", text(with_(
        response("b22"), "type", "experience." + _text)), ("unknown_type", "type"))
# a reason is cut to fit, and never inside a character
for _shift in range(4):
    _name = "x" * _shift + "😀" * 60
    case("B22", f"a long item, {_shift} + 60 × 4 bytes", text(response("b22", scores={_name: 1})),
         ("unknown_item", None))
    case("B22", f"a long type, {_shift} + 60 × 4 bytes", text(with_(
        response("b22"), "type", "experience." + _name)), ("unknown_type", "type"))
    case("B22", f"a long member, {_shift} + 60 × 4 bytes", raw(response(
        "b22", **{_name: "@@"}), '{"a":1,"a":2}'), ("duplicate_key", None))

# ---- B25 to B28: times ---------------------------------------------------------------------------


def at(number, when, **more):
    return with_(response(number, **more), "time", when)


def local(*when, fold=0):
    """µs of a local time of the programme."""
    moment = datetime.datetime(*when, tzinfo=ZONE, fold=fold)
    return int(moment.timestamp()) * 1_000_000


def last_sunday(year, month):
    day = datetime.date(year, month + 1, 1) - datetime.timedelta(days=1)
    return day - datetime.timedelta(days=(day.weekday() + 1) % 7)


def most_recent(month):
    """The last change of the clocks in that month that lies two days back or more."""
    today = datetime.datetime.fromtimestamp(RECORD_MS // 1000, datetime.UTC).date()
    day = last_sunday(today.year, month)
    return day if day < today - datetime.timedelta(days=2) else last_sunday(today.year - 1, month)


_MONTH = datetime.datetime.fromtimestamp(RECORD_MS // 1000, datetime.UTC).date().replace(day=1)
LAST = _MONTH - datetime.timedelta(days=1)  # of the month before
LEAP_US = (LAST - datetime.date(1970, 1, 1)).days * DAY_US + DAY_US - 1

_S = RECORD_MS // 1000
for _when, _name in ((0, "0"), (-1, "-1"), (_S, "seconds"), (_S * 1000, "milliseconds"),
                     (_S * 10**6, "microseconds")):
    case("B25", f"a number: {_name}", text(at("b25", _when)), ("type_mismatch", "time"))
    case("B25", f"a number in quotes: {_name}", text(at("b25", str(_when))), ("bad_time", "time"))
for _when in ("", "now", "2026-03-02", "2026-03-02T10:00:00", "2026-03-02 10:00:00Z",
              "2026-03-02T10:00:00+0100", "2026-03-02T10:00:00+25:00", "2026-03-02T10:00Z",
              "2026-03-02T10:00:00 Europe/Amsterdam", "2026-03-02T10:00:00+01:00[Europe/Amsterdam]",
              "02/03/2026 10:00", "2026-02-30T10:00:00Z", "2026-13-01T10:00:00Z",
              "2026-03-02T24:00:00Z", "2026-03-02T10:60:00Z", "2026-03-02T10:00:61Z",
              "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z",
              "-2026-03-02T10:00:00Z", "10000-01-01T00:00:00Z", "+2026-03-02T10:00:00Z",
              "2026-03-02T10:00:00,5Z", "2026-W10-1T10:00:00Z", "Mon, 02 Mar 2026 10:00:00 GMT"):
    case("B25", f"time {_when!r}", text(at("b25", _when)), ("bad_time", "time"))
case("B25", "submitted_at without a zone", text(response(
    "b25", submitted_at="2026-03-02T10:00:00")), ("bad_time", "data.submitted_at"))
case("B25", "the year 9999", text(at("b25", "9999-12-31T23:59:59Z")), ("future", "time"))
case("B25", "the year 9999, an event", text(with_(
    touchpoint("b25", "u"), "time", "9999-12-31T23:59:59Z")), ("future", "time"), touchpoints=True)
case("B25", "submitted_at in the year 9999", text(response(
    "b25", submitted_at="9999-12-31T23:59:59Z")), ("future", "data.submitted_at"))
case("B25", "1970", text(at("b25", "1970-01-01T00:00:00Z")), ("too_old", "time"))
case("B25", "local time called UTC, 2 h ahead", text(at("b25", rfc3339(
    RECORD_US + 7200 * 10**6))), ("future", "time"))
case("B25", "a leap second", text(at("b25-leap", f"{LAST}T23:59:60Z", unit="leap")), APPLIED,
     wanted={"unit": "leap", "submitted_us": LEAP_US, "day": day_of(LEAP_US)})
case("B25", "a leap second of an event", text(with_(
    touchpoint("b25-leap", "leap"), "time", f"{LAST}T23:59:60.5Z")), APPLIED, touchpoints=True,
    wanted={"unit": "leap", "time_us": LEAP_US})
case("B25", "a leap second in mid-month", text(at("b25", f"{LAST.replace(day=10)}T23:59:60Z")),
     ("bad_time", "time"))
FOLD, GAP = most_recent(10), most_recent(3)
for _name, _us in {
        "fold, the first 02:30": local(FOLD.year, 10, FOLD.day, 2, 30),
        "fold, the second 02:30": local(FOLD.year, 10, FOLD.day, 2, 30, fold=1),
        "fold, midnight": local(FOLD.year, 10, FOLD.day),
        "fold, before midnight": local(FOLD.year, 10, FOLD.day) - 1,
        "fold, the day's last µs": local(FOLD.year, 10, FOLD.day) + 25 * 3600 * 10**6 - 1,
        "fold, the next midnight": local(FOLD.year, 10, FOLD.day) + 25 * 3600 * 10**6,
        "gap, 03:00": local(GAP.year, 3, GAP.day, 3),
        "gap, the µs before": local(GAP.year, 3, GAP.day, 3) - 1,
        "gap, the day's last µs": local(GAP.year, 3, GAP.day) + 23 * 3600 * 10**6 - 1,
        "gap, the next midnight": local(GAP.year, 3, GAP.day) + 23 * 3600 * 10**6}.items():
    case("B25", _name, text(at(f"b25-{_name}", rfc3339(_us), unit=_name)), APPLIED,
         wanted={"unit": _name, "submitted_us": _us, "day": day_of(_us)})
    case("B25", _name + ", an event", text(with_(
        touchpoint(f"b25-{_name}", _name), "time", rfc3339(_us))), APPLIED, touchpoints=True,
        wanted={"unit": _name, "time_us": _us})
_us = local(FOLD.year, 10, FOLD.day, 2, 30)
case("B25", "fold, written as local time", text(at(
    "b25-local", f"{FOLD}T02:30:00.000000+02:00", unit="local")), APPLIED,
    wanted={"unit": "local", "submitted_us": _us, "day": day_of(_us)})

for _name, _kind, _days in (("response", response, RESPONSE_DAYS),
                            ("event", lambda n: touchpoint(n, f"edge {n}"), TALLY_DAYS)):
    for _what, _us, _outcome in (
            ("at the bound ahead", RECORD_US + SKEW_S * 10**6, APPLIED),
            ("1 µs ahead of it", RECORD_US + SKEW_S * 10**6 + 1, ("future", "time")),
            ("1 ms ahead of it", RECORD_US + SKEW_S * 10**6 + 1000, ("future", "time")),
            ("at the bound behind", RECORD_US - _days * DAY_US, APPLIED),
            ("1 µs behind it", RECORD_US - _days * DAY_US - 1, ("too_old", "time")),
            ("1 ms behind it", RECORD_US - _days * DAY_US - 1000, ("too_old", "time"))):
        _id = f"b26-{_name}-{_what}"
        case("B26", f"{_name}, {_what}", text(with_(_kind(_id), "time", rfc3339(_us))), _outcome,
             touchpoints=_name == "event", wanted=None if _outcome != APPLIED else
             {"unit": f"edge {_id}", "time_us": _us} if _name == "event" else
             {"submitted_us": _us, "day": day_of(_us)})
case("B26", "it is submitted_at that counts", text(at(
    "b26-submitted", "1970-01-01T00:00:00Z", submitted_at=TIME)), APPLIED,
    wanted={"submitted_us": TIME_US})

for _i, _us in enumerate((TIME_US, TIME_US - 5 * 10**6, TIME_US - DAY_US, TIME_US - 1, TIME_US)):
    case("B27", f"step {_i}", text(with_(touchpoint(f"b27-{_i}", "b27", 10 + _i), "time",
                                         rfc3339(_us))), APPLIED, touchpoints=True)
for _i in range(5):
    case("B28", f"the same moment, {_i}", text(touchpoint(f"b28-{_i}", "b28", 10 + _i)), APPLIED,
         touchpoints=True)

# ---- B29, B30: the same again --------------------------------------------------------------------

for _i, _outcome in enumerate((APPLIED, DUPLICATE, DUPLICATE)):
    case("B29", f"a response, time {_i}", text(response("b29", unit="b29")), _outcome,
         wanted={"unit": "b29"} if _i == 0 else None)
    case("B29", f"an event, time {_i}", text(touchpoint("b29", "b29", 7)), _outcome,
         touchpoints=True)
    case("B29", f"an invitation, time {_i}", text(envelope(
        "invitation", "b29-invited", {"survey": "visit", "touchpoint": "desk"})), _outcome)
case("B30", "an event", text(touchpoint("b30", "b30 first", 7)), APPLIED, touchpoints=True)
case("B30", "the same id, another payload", text(touchpoint("b30", "b30 second", 8)), DUPLICATE,
     touchpoints=True)
case("B30", "the same id, another source", text(touchpoint(
    "b30", "b30 third", 9, envelope_of={"source": "elsewhere"})), APPLIED, touchpoints=True)
case("B30", "a response", text(response("b30", scores={"recommend": 9})), APPLIED,
     wanted={"scores": {"recommend": 4}, "revision": 2})  # as it stands in the end
case("B30", "the same revision, another answer", text(response("b30", scores={"recommend": 1})),
     DUPLICATE)
case("B30", "a higher revision", text(response("b30", scores={"recommend": 4}, revision=2)),
     REVISED)
case("B30", "a lower revision late", text(response("b30", scores={"recommend": 0})), DUPLICATE)
case("B30", "a revision with another submitted_at", text(response(
    "b30", revision=3, submitted_at=rfc3339(TIME_US - 1))),
    ("submitted_at_changed", "data.submitted_at"))
case("B30", "bad first", text(response("b30-mended", scores={"recommend": 11})),
     ("out_of_scale", "data.scores.recommend"))
case("B30", "mended, the same id", text(response("b30-mended")), APPLIED, wanted=OK)
case("B30", "a bad event first", text(touchpoint("b30-event", "b30 bad", measures={"wait": 1})),
     ("unknown_measure", "data.measures.wait"), touchpoints=True)
case("B30", "the event mended, the same id", text(touchpoint("b30-event", "b30 good")), APPLIED,
     touchpoints=True)
