"""Where things are."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests"
BUILD = pathlib.Path(os.environ.get("FLIGHTPATH_BUILD", ROOT / "build"))
#: the program under test, and one built with sanitizers and fault points
BIN = pathlib.Path(os.environ.get("FLIGHTPATH_BIN", BUILD / "release" / "flightpath"))
FAULTS_BIN = pathlib.Path(os.environ.get("FLIGHTPATH_TEST_FAULTS_BIN",
                                         BUILD / "asan" / "flightpath"))


def clean_environment(extra=None):
    """Ours without FLIGHTPATH_…, so that nobody's configuration gets into a test."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("FLIGHTPATH_")}
    return keep | (extra or {})
