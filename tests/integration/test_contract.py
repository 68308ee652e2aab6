"""The published examples, before two judges: `flightpath check` and a JSON Schema validator.

Every file under schemas/events/examples and schemas/model goes through the real program, sixteen
files a call, and through jsonschema. Both must agree wherever a schema can see the fault, and the
program must name the code and the path that expected.json says.
"""

import functools
import json
import re
from decimal import Decimal

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from support import program
from support.paths import ROOT

EVENTS = ROOT / "schemas" / "events"
MODELS = ROOT / "schemas" / "model"
TYPES = ("touchpoint", "response", "invitation", "case", "intervention", "erasure")
NORTHBANK = MODELS / "examples" / "valid" / "northbank.json"
ARGUMENTS = 16  # files a call

#: valid messages that show limits of the format: northbank's model has something to say of them
OF_THE_MODEL = {
    "touchpoint/valid/measures_at_limit.json": ("unknown_measure", "data.measures.m00"),
    "touchpoint/valid/numbers_as_written.json": ("unknown_measure", "data.measures.minus_zero"),
    "response/valid/scores_as_written.json": ("out_of_scale", "data.scores.waiting"),
    "response/valid/scores_at_limit.json": ("unknown_item", "data.scores.item_00"),
    "bytes/valid/measure_2_to_53_plus_1.bin": ("out_of_range", "data.measures.wait_s"),
    "bytes/valid/measure_64_bytes.bin": ("too_many_decimals", "data.measures.wait_s"),
}
#: limits of the daemon: no schema can see them
LIMITS = {"too_long", "too_deep", "too_many_values", "string_too_long", "number_too_long",
          "nul_in_string"}


def examples(folder, pattern="*.json"):
    return [f for f in sorted(folder.glob(pattern)) if f.name != "expected.json"]


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


@functools.cache
def event_files():
    root = EVENTS / "examples"
    groups = [root / kind / group for kind in TYPES for group in ("valid", "invalid")]
    groups += [root / "bytes" / "valid", root / "bytes"]
    return [file for group in groups for file in (*examples(group), *examples(group, "*.bin"))]


def model_files(group):
    return examples(MODELS / "examples" / group)


def short(path):
    return str(path.relative_to(EVENTS / "examples"))


def expected_of(path):
    """{"code", "where"} of an invalid example, None of a valid one."""
    if path.parent.name == "valid":
        return None
    return load(path.parent / "expected.json")[path.name]


# ---- the two judges ------------------------------------------------------------------------------


@functools.cache
def verdicts():
    """{example: (code, where) or None}, as the program sees it."""
    files = list(event_files())
    found = dict.fromkeys(map(short, files))
    for i in range(0, len(files), ARGUMENTS):
        some = files[i:i + ARGUMENTS]
        result = program.run("check", *some, model=NORTHBANK, json=True)
        answer = result.json
        assert answer["messages"]["read"] == len(some)
        assert result.code == (2 if answer["problems"] else 0) and answer["unlisted"] == 0
        for problem in answer["problems"]:
            name = problem["file"].split("examples/", 1)[1]
            assert name in found and found[name] is None, f"{name} is named twice"
            assert problem["what"], problem
            found[name] = (problem["code"], problem["path"])
    return found


@functools.cache
def schema_of(path):
    schema = load(path)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def schema_of_event(kind):
    return schema_of(EVENTS / f"experience.{kind}.v1.schema.json")


def exact(text):
    """A number as Python holds it exactly; whole ones as int, as the schemas mean it."""
    number = Decimal(text)
    if abs(number.adjusted()) < 1000 and number == number.to_integral_value():
        return int(number)
    return number


def once(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is given twice")
    return members


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def parse(data):
    """What a strict parser gives of the bytes; ValueError when they are no JSON."""
    if len(data) >= 5 and data[0] == 0:
        data = data[5:]  # the wire prefix
    document = json.loads(data.decode("utf-8"), parse_float=exact, object_pairs_hook=once,
                          parse_constant=refuse)
    json.dumps(document, ensure_ascii=False, default=str).encode("utf-8")  # no lone surrogates
    return document


def seen_by_schema(data, kind=None):
    """Whether the standard tools object."""
    try:
        document = parse(data)
    except ValueError:
        return True
    kind = kind or re.match(r"experience\.(\w+)\.v1$", document["type"])[1]
    return next(schema_of_event(kind).iter_errors(document), None) is not None


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", event_files(), ids=short)
def test_program_says_what_is_expected(path):
    wanted = expected_of(path)
    said = verdicts()[short(path)]
    if wanted is None:
        assert said == OF_THE_MODEL.get(short(path))
    else:
        assert said == (wanted["code"], wanted["where"])


# depth_100000.bin is left out: Python's parser gives up as well, for reasons of its own
@pytest.mark.parametrize("path", [f for f in event_files() if f.name != "depth_100000.bin"],
                         ids=short)
def test_schema_agrees(path):
    wanted = expected_of(path)
    kind = path.parent.parent.name if path.suffix == ".json" else None
    # a file of invalid/ has a fault that a schema sees; one of bytes/ may have one that none can
    if wanted is None or (kind is None and wanted["code"] in LIMITS):
        assert not seen_by_schema(path.read_bytes(), kind)
    else:
        assert seen_by_schema(path.read_bytes(), kind)


@pytest.mark.parametrize("folder", [EVENTS / "examples" / kind / "invalid" for kind in TYPES]
                         + [EVENTS / "examples" / "bytes"], ids=short)
def test_each_invalid_example_is_described(folder):
    names = {f.name for f in examples(folder, "*.*")}
    assert set(load(folder / "expected.json")) == names and len(names) >= 4


def test_lines_of_a_file(tmp_path):
    """--messages-file: the same verdicts, with the number of the line."""
    files = [f for f in event_files() if f.suffix == ".json" and b"\r" not in f.read_bytes()]
    lines = tmp_path / "messages.jsonl"
    lines.write_text("".join(json.dumps(load(f)) + "\n" for f in files))
    answer = program.run("check", model=NORTHBANK, messages_file=lines, json=True).json
    found = {p["line"]: (p["code"], p["path"]) for p in answer["problems"]}
    wanted = {i: verdicts()[short(f)] for i, f in enumerate(files, 1)}
    assert found == {line: verdict for line, verdict in wanted.items() if verdict is not None}
    assert answer["messages"]["read"] == len(files)


def test_a_foreign_event_is_none_of_ours(tmp_path):
    message = load(EVENTS / "examples" / "touchpoint" / "valid" / "every_member.json")
    path = tmp_path / "foreign.json"
    path.write_text(json.dumps(message | {"type": "com.example.order.placed"}))
    answer = program.run("check", path, model=NORTHBANK, json=True, check=True).json
    assert answer["messages"]["foreign"] == 1 and answer["ok"] is True


def test_a_file_that_is_not_there(tmp_path):
    result = program.run("check", tmp_path / "none.json", model=NORTHBANK, json=True)
    assert result.code == 2
    assert [p["code"] for p in result.json["problems"]] == ["unreadable"]


# ---- models --------------------------------------------------------------------------------------


def model_schema():
    return schema_of(MODELS / "experience-model.schema.json")


@pytest.mark.parametrize("path", [*model_files("valid"), MODELS / "skyline.json"],
                         ids=lambda p: p.stem)
def test_valid_model(path):
    result = program.run("check", model=path, json=True)
    assert (result.code, result.json["problems"]) == (0, [])
    assert result.json["model"]["programme"] == load(path)["programme"]["id"]
    assert list(model_schema().iter_errors(load(path))) == []


def test_each_invalid_model_is_described():
    names = {f.name for f in model_files("invalid")}
    assert set(load(MODELS / "examples" / "invalid" / "expected.json")) == names


@pytest.mark.parametrize("path", model_files("invalid"), ids=lambda p: p.stem)
def test_invalid_model(path):
    wanted = load(path.parent / "expected.json")[path.name]
    result = program.run("check", model=path, json=True)
    assert result.code == 2 and result.json["ok"] is False and result.json["model"] is None
    problems = result.json["problems"]
    assert set(wanted["paths"]) <= {p["path"] for p in problems}
    assert all(p["what"] and p["file"] == str(path) for p in problems)
    seen = next(model_schema().iter_errors(load(path)), None) is not None
    assert seen == wanted["schema"]
