#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digits in common with NIST's certified values, for packages of Python: beside bench/accuracy.

    accuracy.py FOLDER     (with NIST's StRD files: Longley.dat, ...; needs numpy and statsmodels)

Least over coefficients / standard errors: statsmodels OLS (pseudo-inverse and QR), and recursive
least squares started from a covariance of 1e6, which gives no standard errors of its own.
"""

import math
import re
import sys
from pathlib import Path

import numpy
import statsmodels.api as sm

NAMES = ("Longley Norris NoInt1 NoInt2 Wampler1 Wampler2 Wampler3 Wampler4 Wampler5 Pontius "
         "Filip").split()


def read(path):
    text = path.read_text(encoding="latin-1")
    lines = text.splitlines()
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    rows = numpy.array([[float(v) for v in line.split()] for line in lines[first - 1:last]])
    certified = [line.split() for line in lines[:first - 1] if re.match(r"\s+B\d+\s+\S", line)]
    coef = [float(fields[1]) for fields in certified]
    error = [float(fields[2]) for fields in certified]
    intercept = certified[0][0] == "B0"
    drivers = rows[:, 1:]
    if drivers.shape[1] == 1:
        drivers = numpy.column_stack([drivers[:, 0] ** (k + 1)
                                      for k in range(len(coef) - intercept)])
    if intercept:
        drivers = numpy.column_stack([numpy.ones(len(rows)), drivers])
    return rows[:, 0], drivers, coef, error


def digits(got, certified):
    least = 15.0
    for value, want in zip(got, certified):
        error = abs(value - want) / abs(want) if want else abs(value)
        if math.isnan(error):
            return 0.0
        if error > 0:
            least = min(least, -math.log10(error))
    return max(least, 0.0)


def recursive(y, x):
    coef, spread = numpy.zeros(x.shape[1]), numpy.eye(x.shape[1]) * 1e6
    for row, value in zip(x, y):
        gain = spread @ row / (1 + row @ spread @ row)
        coef = coef + gain * (value - row @ coef)
        spread = spread - numpy.outer(gain, row @ spread)
    return coef


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: accuracy.py FOLDER")
    print(f"{'':9} {'OLS pinv':>11} {'OLS qr':>11} {'RLS':>5}")
    for name in NAMES:
        y, x, coef, error = read(Path(sys.argv[1]) / f"{name}.dat")
        cells = []
        for method in ("pinv", "qr"):
            fit = sm.OLS(y, x).fit(method=method)
            cells.append(f"{digits(fit.params, coef):5.1f} {digits(fit.bse, error):5.1f}")
        print(f"{name:9} {cells[0]} {cells[1]} {digits(recursive(y, x), coef):5.1f}")


if __name__ == "__main__":
    main()
