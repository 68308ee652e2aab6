# SPDX-License-Identifier: GPL-3.0-or-later
"""Part 3 of the judge: the additive cell, and the numbers a view must show for it.

Net promoter scores have Tango's score interval, shares Wilson's, means Student's; the effective n
of the weights (Kish) stands for n. Quantiles come from counts per bin.
"""
import math
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from scipy.special import stdtrit

Z = 1.959963984540054  # normal quantile of 0.975
EITHER = "either"  # a limit lies on the target: the last bit of a double decides
BINS = 11


@dataclass
class Cell:
    n: int = 0
    weight: int = 0
    weight_square: int = 0
    sum: int = 0
    sum_square: int = 0
    bins: list = field(default_factory=lambda: [0] * BINS)

    def add(self, y, weight=1, bin_=None):
        if weight == 0:
            return
        self.n += 1
        self.weight += weight
        self.weight_square += weight * weight
        self.sum += weight * y
        self.sum_square += weight * y * y
        if bin_ is not None:
            self.bins[bin_] += weight

    def add_pair(self, x, y, weight=1):
        """Of a ratio: the first bins are sums of w y, w y^2 and w x y."""
        self.add(x, weight)
        for bin_, what in enumerate((y, y * y, x * y)):
            self.bins[bin_] += weight * what

    def parts(self):
        return (self.n, self.weight, self.weight_square, self.sum, self.sum_square, *self.bins)


def sketch_bin(value):
    """0 to 63 one value each, then 38 bins per doubling with edges 2^e (3 - sqrt(4 - 3j/38))."""
    if value < 0:
        return -sketch_bin(-value)
    if value < 64:
        return value
    e = value.bit_length() - 1
    m = ((value - (1 << e)) << 32) >> e  # mantissa above 1, in units of 2^-32
    # v lies in bin j when j <= 38 (4m - m^2)/3 < j + 1, from solving the edge for j
    return 64 + (e - 6) * 38 + ((4 << 32) * m - m * m) * 38 // 3 // (1 << 64)


# ---- values and intervals --------------------------------------------------------------------

def tango(promoters, detractors, n):
    """Score limits of a difference of two shares of one sample, by bisection; in points."""
    p, m = promoters / n, detractors / n
    difference = p - m

    def score(d):  # (estimate - d) over its standard error under d, by the constrained estimate q
        a, b, c = 2.0, -p - m + (2 - p + m) * d, -m * d * (1 - d)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = (2 * q + d * (1 - d)) / n
        return (difference - d) / math.sqrt(variance) if variance > 0 else \
            math.copysign(math.inf, difference - d)

    def root(inside, outside, level):
        for _ in range(200):
            middle = (inside + outside) / 2
            if middle in (inside, outside):
                break
            if abs(score(middle)) < level:
                inside = middle
            else:
                outside = middle
        return inside

    low = -1.0 if m == 1 else root(difference, -1.0, Z)
    high = 1.0 if p == 1 else root(difference, 1.0, Z)
    return 100 * difference, 100 * low, 100 * high


def wilson(successes, n):
    p, k = successes / n, Z * Z / n
    centre, half = (p + k / 2) / (1 + k), math.sqrt(k * (p * (1 - p) + k / 4)) / (1 + k)
    return p, 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half


def student(mean, variance, n, low, high):
    """Mean and t limits within the scale. Equal answers: by Wilson's limit of their share."""
    if variance <= 0 and low is not None:
        rest = 1 - n / (n + Z * Z)
        return mean, mean - rest * (mean - low), mean + rest * (high - mean)
    if n < 2:
        return (mean, None, None) if low is None else (mean, float(low), float(high))
    half = float(stdtrit(n - 1, 0.975)) * math.sqrt(variance / n)
    return mean, max(mean - half, low if low is not None else -math.inf), \
        min(mean + half, high if high is not None else math.inf)


def bin_value(number):
    """What stands for a bin: equally far, relatively, from both of its edges."""
    if number < 0:
        return -bin_value(-number)
    if number < 64:
        return float(number)
    e, j = 6 + (number - 64) // 38, (number - 64) % 38
    low, high = 3 - math.sqrt(4 - 3 * j / 38), 3 - math.sqrt(4 - 3 * (j + 1) / 38)
    return 2 * low * high / (low + high) * 2.0**e


def quantile(kpi, bins):
    """The values of rank ceil(qn) and of the ranks that limit it; None: the data set no limit."""
    q, n, unit = float(kpi["quantile"]), sum(bins.values()), 10 ** kpi["decimals"]
    half = Z * math.sqrt(n * q * (1 - q))

    def at(rank):
        seen = 0
        for number in sorted(bins):
            seen += bins[number]
            if 1 <= rank <= seen:
                return bin_value(number) / unit
        return None

    return (at(max(math.ceil(q * n - 1e-9), 1)), at(math.floor(q * n - half)),
            at(math.ceil(q * n + half) + 1))


def publish(model, kpi, cell, bins=None):
    """What a view must show for a cell: n, value, ci_low, ci_high, attained, status."""
    n = sum(bins.values()) if bins is not None else cell.n
    least = model.min_n_employee if kpi["audience"] == "employee" else model.min_n
    if kpi["of"] == "answers" and n < least:
        return {"n": None, "value": None, "ci_low": None, "ci_high": None, "attained": None,
                "status": "suppressed_min_n"}
    value, low, high = quantile(kpi, bins) if bins is not None else interval(kpi, cell)
    attained = None
    if kpi["target"] is not None:
        attained = attainment(kpi["target"], kpi["direction"], low, high)
    if low is None or high is None:
        status = "insufficient_n"
    elif kpi["of"] != "answers":
        status = "insufficient_n" if n < least else "ok"
    else:
        widest = {"nps": 15, "csat": 0.10, "top_box": 0.10, "share": 0.10}.get(
            kpi["metric"], 0.075 * ((kpi["high"] or 0) - (kpi["low"] or 0)))
        status = "insufficient_n" if (high - low) / 2 > widest else "ok"
    return {"n": n, "value": value, "ci_low": low, "ci_high": high, "attained": attained,
            "status": status}


def attainment(target, direction, low, high):
    """Is the target met for sure, missed for sure, or neither (None)? No limit is no bound."""
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if min(abs(low - target), abs(high - target)) < 1e-9 * max(abs(target), 1):
        return EITHER
    if direction == "lower":
        target, low, high = -target, -high, -low
    return True if low > target else False if high < target else None


def ratio(kpi, cell, n):
    """Sum of x over sum of y. The error of a ratio R: that of the mean of w (x - R y), in units of
    the mean of y."""
    x, (y, y2, xy) = cell.sum, cell.bins[:3]
    if y == 0:
        return None, None, None
    value = Fraction(x, y)
    residual = (cell.sum_square - 2 * value * xy + value * value * y2) / cell.weight
    mean_y = Fraction(y, cell.weight)
    unit = Fraction(10) ** kpi["decimals"]
    variance = float(residual / (mean_y * mean_y * unit * unit)) * n / (n - 1) if n > 1 else 0.0
    return student(float(value / unit), variance, n, kpi["low"], kpi["high"])


def interval(kpi, cell):
    """Value and 95 % limits; the effective n (Kish) stands for n."""
    metric = kpi["metric"]
    if metric == "response_rate":
        return wilson(min(cell.sum, cell.n), cell.n)
    n = cell.weight * cell.weight / cell.weight_square
    share = n / cell.weight
    if metric in ("index", "ratio"):
        return ratio(kpi, cell, n)
    if metric == "nps":
        return tango(sum(cell.bins[9:]) * share, sum(cell.bins[:7]) * share, n)
    if metric == "share":
        return wilson(cell.sum * share, n)
    if metric in ("csat", "top_box"):
        points = kpi["high"] - kpi["low"] + 1
        top = sum(cell.bins[max(points - kpi["top"], 0):points])
        return wilson(top * share, n)
    unit = 10 ** kpi["decimals"]
    spread = max(cell.sum_square * cell.weight - cell.sum * cell.sum, 0)
    variance = float(Decimal(spread) / (cell.weight * cell.weight * unit * unit)) * n / (n - 1) \
        if n > 1 else 0.0
    return student(cell.sum / (cell.weight * unit), variance, n, kpi["low"], kpi["high"])
