# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of benchmarks: a unit's answers as value and variance, and units compared.

Everything is computed from the answers themselves, by numpy and scipy: REML by maximising the
restricted likelihood, Morris' interval, Welch, the funnel, ranks from draws of its own.
"""

import math

import numpy as np
from scipy import optimize, stats

Z = stats.norm.ppf(0.975)


# ---- answers, and what they are by definition ----------------------------------------------------

class Unit:
    """Answers of one unit: y (or pairs x, y of a ratio) and weights."""

    def __init__(self, y, w=None, pair=None):
        self.y = np.asarray(y, float)
        self.w = np.ones(len(self.y)) if w is None else np.asarray(w, float)
        self.pair = None if pair is None else np.asarray(pair, float)

    @property
    def n(self):
        return len(self.y)

    @property
    def n_eff(self):
        return self.w.sum() ** 2 / (self.w ** 2).sum()

    def moments(self, f):
        """n effective, mean of f(y), variance of that mean."""
        scores = np.array([f(y) for y in self.y])
        mean = np.average(scores, weights=self.w)
        spread = np.average((scores - mean) ** 2, weights=self.w)
        return self.n_eff, mean, spread / (self.n_eff - 1) if self.n_eff > 1 else math.nan

    def ratio(self, factor):
        r = np.average(self.y, weights=self.w) / np.average(self.pair, weights=self.w)
        spread = np.average((self.y - r * self.pair) ** 2, weights=self.w)
        below = np.average(self.pair, weights=self.w)
        return self.n_eff, r * factor, spread / (self.n_eff - 1) / below ** 2 * factor ** 2

    def quantile(self, q, factor):
        """Ranks by order statistics; the planted values have bins of their own."""
        y, n = np.sort(self.y), self.n
        half = Z * math.sqrt(n * q * (1 - q))
        low, high = math.floor(n * q - half), math.ceil(n * q + half) + 1
        value = y[math.ceil(n * q - 1e-9) - 1] * factor
        if low < 1 or high > n:
            return n, value, math.nan
        return n, value, ((y[high - 1] - y[low - 1]) * factor / (2 * Z)) ** 2


def nps_score(y):
    return 100 if y >= 9 else -100 if y <= 6 else 0


#: KPI → (what a unit's answers are, scale of the value, direction)
FORMS = {
    **dict.fromkeys(
        ("nps", "nps_near", "nps_late", "nps_three", "nps_one", "nps_flat", "nps_changing",
         "employees"), (lambda u: u.moments(nps_score), (-100, 100), 1)),
    "csat": (lambda u: u.moments(lambda y: y >= 4), (0, 1), 1),
    "top_box": (lambda u: u.moments(lambda y: y >= 4), (0, 1), 1),
    "ces": (lambda u: u.moments(float), (1, 7), 1),
    "mean": (lambda u: u.moments(float), (1, 5), 1),
    "climate": (lambda u: u.ratio(1), (1, 5), 1),
    "wait": (lambda u: u.moments(lambda y: y / 10), (0, 5000), -1),
    "quick": (lambda u: u.moments(float), (0, 1), 1),
    "failed": (lambda u: u.moments(float), (0, 1), -1),
    "answered": (lambda u: u.moments(float), (0, 1), 1),
    "straight": (lambda u: u.moments(float), (0, 1), -1),
    "per_head": (lambda u: u.ratio(1), (-math.inf, math.inf), -1),
    "slow": (lambda u: u.quantile(0.9, 0.1), (0, 5000), -1),
}
EVENTS = {"wait", "quick", "failed", "per_head", "slow", "answered"}


# ---- the judge -----------------------------------------------------------------------------------

class Judge:
    """All numbers of one KPI from (n, value, variance) of its units."""

    def __init__(self, cells, scale, direction, external=None, external_variance=0):
        self.names = sorted(cells)
        self.n, self.y, own = (np.array([cells[u][i] for u in self.names], float)
                               for i in range(3))
        self.k, self.scale, self.direction = len(self.names), scale, direction
        known = (self.n > 1) & ~np.isnan(own)
        df = (self.n[known] - 1).sum()
        self.answer = ((self.n[known] - 1) * self.n[known] * own[known]).sum() / df
        borrowed = min(20, df)
        usable = known & (self.n >= 5) & (np.nan_to_num(own) > 0)
        share = (self.n - 1) / (self.n - 1 + borrowed)
        pooled = self.answer / self.n
        self.v = np.where(usable, share * np.nan_to_num(own) + (1 - share) * pooled, pooled)
        self.df = np.where(usable, np.minimum(self.n - 1 + borrowed, df), df)
        self.shrinks = self.k >= 4
        if self.shrinks:
            self.between()
        self.external, self.external_variance = external, external_variance

    def between(self):
        def minus_likelihood(tau2):
            w = 1 / (self.v + tau2)
            mu = (w * self.y).sum() / w.sum()
            return 0.5 * (np.log(self.v + tau2).sum() + math.log(w.sum())
                          + (w * (self.y - mu) ** 2).sum())

        most = 4 * self.y.var() + 1e-12
        found = min((optimize.minimize_scalar(minus_likelihood, bounds=(low, high),
                                              method="bounded", options={"xatol": most * 1e-13})
                     for low, high in ((0, most / 50), (most / 50, most))), key=lambda r: r.fun)
        self.tau2 = 0 if minus_likelihood(0) <= found.fun else found.x
        w = 1 / (self.v + self.tau2)
        self.weight = w
        self.mu = (w * self.y).sum() / w.sum()
        plain = 1 / self.v
        q = (plain * (self.y - (plain * self.y).sum() / plain.sum()) ** 2).sum()
        self.i2 = max(0, 1 - (self.k - 1) / q) if q > 0 else 0

    def clip(self, value, reach):
        return (value, np.maximum(value - reach, self.scale[0]),
                np.minimum(value + reach, self.scale[1]))

    def raw(self):
        return self.clip(self.y, stats.t.ppf(0.975, self.df) * np.sqrt(self.v))

    def shrunk(self):
        if not self.shrinks:
            return self.raw(), np.ones(self.k), stats.t.ppf(0.975, self.df) * np.sqrt(self.v)
        k, all_ = self.k, self.v + self.tau2
        b = self.v / all_
        corrected = (k - 3) / (k - 1) * b
        variance = ((1 - corrected) * self.v + b ** 2 / self.weight.sum()
                    + 2 / (k - 3) * corrected ** 2 * (self.v.mean() + self.tau2) / all_
                    * (self.y - self.mu) ** 2)
        reach = Z * np.sqrt(variance)
        return (self.clip((1 - corrected) * self.y + corrected * self.mu, reach),
                1 - corrected, reach)

    def rest(self, i):
        """Welch against the weighted mean of the others."""
        others = np.arange(self.k) != i
        w = (self.weight if self.shrinks else np.ones(self.k))[others]
        share = w / w.sum()
        difference = self.y[i] - (share * self.y[others]).sum()
        parts = np.append(self.v[i], share ** 2 * self.v[others])
        df = parts.sum() ** 2 / (parts ** 2 / np.append(self.df[i], self.df[others])).sum()
        error = math.sqrt(parts.sum())
        half = stats.t.ppf(0.975, df) * error
        return difference, difference - half, difference + half, difference / error

    def funnel(self):
        centre = np.average(self.y, weights=self.n)
        z = (self.y - centre) / np.sqrt(self.answer / self.n)
        drawn = stats.mstats.winsorize(z, limits=(0.1, 0.1))
        return centre, max(1, float(np.mean(np.asarray(drawn) ** 2)))

    def ranks(self, draws=20000, seed=11):
        """Ranks (draws × units), τ and μ flat."""
        chance = np.random.default_rng(seed)
        if not self.shrinks:
            values = chance.normal(self.y, np.sqrt(self.v), (draws, self.k))
        else:
            grid = np.linspace(0, 6 * math.sqrt(max(self.y.var(ddof=1), self.v.mean())), 6001)
            all_ = self.v[:, None] + grid ** 2
            mu = (self.y[:, None] / all_).sum(0) / (1 / all_).sum(0)
            log = -0.5 * (np.log(all_).sum(0) + np.log((1 / all_).sum(0))
                          + ((self.y[:, None] - mu) ** 2 / all_).sum(0))
            at = chance.choice(len(grid), draws, p=np.exp(log - log.max())
                               / np.exp(log - log.max()).sum())
            centre = chance.normal(mu[at], 1 / np.sqrt((1 / all_).sum(0)[at]))[:, None]
            b = (self.v[:, None] / all_).T[at]
            values = chance.normal((1 - b) * self.y + b * centre, np.sqrt((1 - b) * self.v))
        return 1 + np.argsort(np.argsort(-self.direction * values, axis=1), axis=1)
