"""Driver states as the database keeps them (analytics/driver_state_parts.h), written by other code.

    encode(columns, rows)   rows: lists of integers, None where nothing was answered
"""

from collections import Counter, defaultdict
from itertools import combinations_with_replacement

VERSION = 1


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    return number(2 * value if value >= 0 else -2 * value - 1)


def block(q, rows):
    """Row count, sum of squared weights, then sums of products over (1, values)."""
    cells = [len(rows), len(rows)]
    wide = [(1, *row) for row in rows]
    for i, j in combinations_with_replacement(range(q + 1), 2):
        cells.append(sum(row[i] * row[j] for row in wide))
    return b"".join(map(signed, cells))


def part(answered, absent, rows):
    q = answered.bit_count()
    key = number(answered) + number(absent)
    if len(rows) > 4 * (q + 2):
        return key + number(0) + block(q, rows)
    counts = sorted(Counter(rows).items())
    out = key + number(len(counts))
    for values, count in counts:
        out += b"".join(map(signed, values)) + number(1) + signed(count)
    return out


def encode(columns, rows, absent=()):
    """absent: columns of which a missing answer means that it does not apply."""
    parts = defaultdict(list)
    away = sum(1 << c for c in absent)
    for row in rows:
        assert len(row) == columns
        answered = sum(1 << c for c, v in enumerate(row) if v is not None)
        parts[answered].append(tuple(int(v) for v in row if v is not None))
    return bytes([VERSION, columns]) + b"".join(
        part(answered, away & ~answered, parts[answered]) for answered in sorted(parts))
