"""The bytes of flightpath.driver_state, and what they should be, computed once more.

    sums(state)      {(observed, does not apply): cross-products} of one state's bytes
    stored(pg)       {(series, kind, segment, day, people): sums}: what is in the database
    expected(pg, events)
                     the same from the stored responses and the events that may join them
"""

from collections import defaultdict, namedtuple

SKIPPED, NOT_APPLICABLE = -32768, -32767
KINDS = ("all", "journey", "touchpoint", "unit", "tenure")

Event = namedtuple("Event", "touchpoint interaction happened_us source id measures")


# ---- bytes

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1


def columns_of(observed):
    return [c for c in range(64) if observed >> c & 1]


def add_row(sums, z, weight, count):
    """count, sum of squared weights, then weighted products of (1, z...), row by row."""
    ones = [1, *z]
    cells = [count, count * weight * weight]
    cells += [count * weight * ones[i] * ones[j]
              for i in range(len(ones)) for j in range(i, len(ones))]
    for i, cell in enumerate(cells):
        sums[i] += cell


def cells_of(values):
    return 2 + (values + 1) * (values + 2) // 2


def sums(state):
    reader = Reader(bytes(state))
    assert reader.number() == 1, "version"
    columns, found = reader.number(), {}
    while reader.at < len(reader.data):
        observed, not_applicable, distinct = (reader.number() for _ in range(3))
        assert observed >> columns == 0 and observed & not_applicable == 0
        values = len(columns_of(observed))
        cells = [0] * cells_of(values)
        for _ in range(distinct):
            z = [reader.signed() for _ in range(values)]
            add_row(cells, z, reader.number(), reader.signed())
        if distinct == 0:
            cells = [reader.signed() for _ in cells]
        assert (observed, not_applicable) not in found
        found[observed, not_applicable] = cells
    assert found, "an empty state is not kept"
    return found


def stored(pg):
    """What is in the database, by key; the column n is looked at on the way."""
    found = {}
    for *key, n, state in pg.execute(
            "SELECT series, kind, segment, day, people, n, state FROM flightpath.driver_state"
            " ORDER BY 1, 2, 3, 4, 5"):
        found[tuple(key)] = decoded = sums(state)
        assert n == sum(cells[0] for cells in decoded.values())
    return {key: value for key, value in ((k, without_zeros(v)) for k, v in found.items()) if value}


def without_zeros(patterns):
    return {key: cells for key, cells in patterns.items() if any(cells)}


# ---- what they should be

def band(tenure):
    if tenure == -2:
        return 1
    return 0 if tenure < 0 else 2 if tenure <= 3 else 3 if tenure <= 12 else 4


class Series:
    def __init__(self, pg, row):
        (self.series, self.drivers, self.measures, self.outcome, self.join_hours, self.segments,
         self.panel, self.touchpoint) = row
        ids = {(kind, name): number for kind, number, name in pg.execute(
            "SELECT kind, id, name FROM flightpath.name")}
        first = len(self.drivers) - self.measures
        self.items = {ids[6, name]: c for c, name in enumerate(self.drivers[:first])}
        self.items[ids[6, self.outcome]] = len(self.drivers)
        self.amounts = {name: first + c for c, name in enumerate(self.drivers[first:])}
        self.amount_ids = {ids[7, name]: c for name, c in self.amounts.items()}
        assert not self.panel, "groups of people are not computed here"

    def best_events(self, events):
        best = {}
        for e in events:
            known = {c for c in self.amounts if c in e.measures}
            if not known or (self.touchpoint and e.touchpoint != self.touchpoint):
                continue
            other = best.get(e.interaction)
            # of equal times the greater hash of the id counts, which is not computed here
            assert other is None or other.happened_us != e.happened_us or other == e
            if other is None or e.happened_us > other.happened_us:
                best[e.interaction] = e
        return best

    def row(self, r, best):
        z, not_applicable = {}, 0
        for item, score in zip(r["items"], r["scores"]):
            column = self.items.get(item)
            if column is None or score == SKIPPED:
                continue
            if score == NOT_APPLICABLE:
                not_applicable |= 1 << column
            else:
                z[column] = score
        for measure, amount in zip(r["measures"], r["amounts"]):
            if measure in self.amount_ids:
                z[self.amount_ids[measure]] = amount
        e = best.get(r["interaction"]) if self.join_hours and r["interaction"] else None
        if e and abs(e.happened_us - r["us"]) <= self.join_hours * 3600 * 10**6:
            for name, amount in e.measures.items():
                if name in self.amounts:
                    z.setdefault(self.amounts[name], amount)
        return z, not_applicable


def segments_of(series, r, journey):
    ids = (0, journey, r["touchpoint"], r["unit"], band(r["tenure"]))
    for kind, name in enumerate(KINDS):
        if name in series.segments and (kind == 0 or ids[kind]):
            yield kind, ids[kind]


def expected(pg, events=()):
    found = defaultdict(dict)
    rows = pg.execute(
        "SELECT series, drivers, measures, outcome, join_hours, segments, panel, touchpoint"
        " FROM flightpath.driver_series WHERE current").fetchall()
    every = {row[0]: Series(pg, row) for row in rows}
    best = {number: one.best_events(events) for number, one in every.items()}
    names = ("day", "unit", "touchpoint", "tenure", "weight", "us", "interaction", "items",
             "scores", "measures", "amounts", "fitted")
    for values in pg.execute(
            "SELECT day, unit, touchpoint, tenure, weight,"
            " (extract(epoch FROM submitted_at) * 1000000)::bigint, interaction, items, scores,"
            " measures, amounts, fitted FROM flightpath.response WHERE status <> 2"):
        r = dict(zip(names, values))
        for mark in r["fitted"]:
            series = every.get(mark >> 32)
            if series is None:
                continue
            z, not_applicable = series.row(r, best[series.series])
            observed = sum(1 << c for c in z)
            for kind, segment in segments_of(series, r, mark & 0xffffffff):
                key = (series.series, kind, segment, r["day"], 0)
                cells = found[key].setdefault((observed, not_applicable), [0] * cells_of(len(z)))
                add_row(cells, [z[c] for c in sorted(z)], r["weight"], 1)
    return dict(found)
