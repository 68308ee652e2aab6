#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver analysis beside packages of Python that do the same: CPU seconds, in the same run.

    drivers.py [PROGRAM]     (default build/release/tests/bench/drivers; FLIGHTPATH_BUILD)

Needs tests/bench/requirements.txt. Peers get the rows the program made: statsmodels' OLS fit with
standard errors; pingouin's linear_regression with relative importance (LMG); river's linear
regressions, a row at a time. Peers read all rows at each refresh, ours reads sums kept as rows
come: that is the design compared, not only the code. Answers must agree, else the times mean
nothing: exit status 1. Goals are goals: missing one is shown and nothing more. One core.
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy  # noqa: E402
import pandas  # noqa: E402
import pingouin  # noqa: E402
import statsmodels.api as sm  # noqa: E402
from river import linear_model  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = 9
RIVER_ROWS = 2000


def measure(work, seconds=0.3):
    """CPU seconds a call: the median of three, each over calls that take some time."""
    work()
    calls, times = 1, []
    while len(times) < 3:
        begin = time.process_time()
        for _ in range(calls):
            work()
        took = time.process_time() - begin
        if took < seconds / 3:
            calls *= 2
        else:
            times.append(took / calls)
    return sorted(times)[1]


def figure(seconds):
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


class Table:
    def __init__(self):
        self.wrong = []
        print(f"{'what':46} {'ours':>9} {'peer':>9} {'ratio':>8} {'goal':>9} verdict")

    def row(self, what, ours, peer=None, goal=None, note=""):
        ratio = f"{peer / ours:.0f}" if peer else "-"
        verdict = "-" if goal is None else "met" if ours <= goal else "MISSED"
        print(f"{what:46} {figure(ours):>9} {figure(peer) if peer else '-':>9} {ratio:>8} "
              f"{'<= ' + figure(goal) if goal else '-':>9} {verdict}  {note}".rstrip(), flush=True)

    def same(self, what, ours, peer):
        """Digits in common, as a note; fewer than DIGITS are wrong."""
        scale = numpy.abs(peer)
        error = numpy.max(numpy.abs(numpy.asarray(ours) - peer) / scale)
        digits = min(16.0, -math.log10(error)) if error > 0 else 16.0
        if not digits >= DIGITS:
            self.wrong.append(what)
        return f"{digits:.1f} digits in common"


def run(program, folder):
    done = subprocess.run([program, folder], stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        one = json.loads(line)
        extra = one.get("way", one.get("em", ""))
        found[(one["name"], one["p"], extra)] = one
    return found


def refreshes(table, found, folder):
    for p in (12, 15):
        rows = numpy.loadtxt(pathlib.Path(folder) / f"rows{p}.csv", delimiter=",")
        y, x = rows[:, p], rows[:, :p]
        design = sm.add_constant(x)

        def fit():
            one = sm.OLS(y, design).fit()
            return one.params, one.bse

        ours = found[("ols", p, "")]
        coef, error = fit()
        note = table.same(f"OLS p={p}", ours["coef"] + ours["se"], numpy.concatenate([coef, error]))
        table.row(f"OLS p={p}, {len(y)} rows; statsmodels", ours["seconds"], measure(fit), None,
                  note)
        frame = pandas.DataFrame(x, columns=[f"x{j}" for j in range(p)])

        def relimp():
            return pingouin.linear_regression(frame, y, relimp=True)

        ours = found[("shares", p, "")]
        note = table.same(f"LMG p={p}", ours["lmg"], relimp()["relimp"].to_numpy()[1:])
        table.row(f"OLS + Johnson + LMG p={p}; pingouin relimp", ours["seconds"], measure(relimp),
                  1e-3 if p == 12 else None, note)


def alone(table, found):
    """What has no peer here."""
    em = found[("em", 12, "")]
    table.row(f"the same with EM, p=12, {em['patterns']} patterns", em["seconds"], None, 50e-3,
              f"{em['iterations']} iterations, with standard errors")
    table.row("whole analysis p=12: 12 groups, ranks", found[("analysis", 12, False)]["seconds"])
    table.row("whole refresh with EM, p=12: 12 groups, ranks",
              found[("analysis", 12, True)]["seconds"], None, 50e-3)
    table.row("exact LMG p=20", found[("lmg", 20, "")]["seconds"], None, 50e-3)
    table.row("exact LMG p=25", found[("lmg", 25, "")]["seconds"])
    one = found[("lmg", 40, "")]
    precise = one["se"] <= 1e-3
    table.row("sampled LMG p=40", one["seconds"], None, 1 if precise else 0,
              f"largest standard error {one['se']:.2g} of R2, {one['pairs']} pairs")


def moments(table, found):
    generator = numpy.random.default_rng(1)
    for p in (10, 20, 40):
        values = generator.normal(size=(RIVER_ROWS, p))
        rows = [{f"x{j}": float(v) for j, v in enumerate(row)} for row in values]
        targets = [float(v) for v in values.sum(axis=1) + generator.normal(size=RIVER_ROWS)]

        def learn(made):
            def all_rows():
                model = made()
                for row, target in zip(rows, targets):
                    model.learn_one(row, target)
            return measure(all_rows) / RIVER_ROWS

        gradient = learn(linear_model.LinearRegression)
        bayesian = learn(linear_model.BayesianLinearRegression)
        goal = 1e-6 if p == 40 else None
        for way, what in (("row", "a row"), ("set", "a row, by pattern"),
                          ("batch", "a row of a batch")):
            ours = found[("moments", p, way)]["seconds"]
            table.row(f"{what}, p={p}; river gradient descent", ours, gradient, goal)
            table.row(f"{what}, p={p}; river Bayesian", ours, bayesian, goal)


def main():
    build = pathlib.Path(os.environ.get("FLIGHTPATH_BUILD", ROOT / "build"))
    program = sys.argv[1] if len(sys.argv) == 2 else build / "release/tests/bench/drivers"
    if len(sys.argv) > 2 or str(program).startswith("-"):
        sys.exit("usage: drivers.py [PROGRAM]")
    with tempfile.TemporaryDirectory() as folder:
        found = run(program, folder)
        table = Table()
        refreshes(table, found, folder)
        alone(table, found)
        moments(table, found)
    if table.wrong:
        sys.exit("answers differ: " + ", ".join(table.wrong))


if __name__ == "__main__":
    main()
