# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rows of a run cost PostgreSQL at least.

The rows that the daemon left are written once more into tables of the same shape, by the cheapest
statement we know: COPY in binary, 5,000 rows a transaction, no lookups, no positions. Tallies go
through a temporary table and an upsert, once into an empty table (insert) and once more (update).
"""

import struct
from dataclasses import dataclass

from lab import Meter

BATCH = 5000
HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
KEYS = "series, bucket, unit, channel, lane"
SUMS = ["n", "weight", "weight_square", "sum", "sum_square"] + [f"b{i}" for i in range(11)]


@dataclass
class Floor:
    rows: int
    cpu_s: float  # of the cluster
    wall_s: float
    wal_bytes: int

    @property
    def us_a_row(self):
        return 1e6 * self.cpu_s / self.rows if self.rows else 0.0

    @property
    def rows_a_s(self):
        return self.rows / self.wall_s if self.wall_s else 0.0


def tuples(stream):
    """The rows of a binary COPY, each as the bytes it had."""
    data = memoryview(b"".join(stream))
    at = len(HEADER)
    while True:
        start = at
        fields, = struct.unpack_from(">h", data, at)
        at += 2
        if fields < 0:
            return
        for _ in range(fields):
            length, = struct.unpack_from(">i", data, at)
            at += 4 + max(length, 0)
        yield data[start:at]


def batches(connection, query):
    """What a query gives, as binary COPY streams of at most BATCH rows."""
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT BINARY") as copy:
        rows = list(tuples(copy))
    return len(rows), [b"".join((HEADER, *rows[i:i + BATCH], TRAILER))
                       for i in range(0, len(rows), BATCH)]


def write(cluster, connection, prepared, statements):
    """One transaction a batch: `statements` are run in order, None is the COPY itself."""
    count, streams = prepared
    with Meter(cluster, connection) as meter:
        for stream in streams:
            with connection.transaction(), connection.cursor() as cursor:
                for statement, copies in statements:
                    if copies:
                        with cursor.copy(statement) as copy:
                            copy.write(stream)
                    else:
                        cursor.execute(statement)
    return Floor(count, meter.cpu_s, meter.wall_s, meter.wal_bytes)


def tallies(cluster, connection):
    """(insert, update) of the rows of tally_hour."""
    connection.execute("CREATE TABLE floor_tally (LIKE flightpath.tally_hour INCLUDING ALL)"
                       " WITH (fillfactor = 50)")
    connection.execute("CREATE TEMP TABLE incoming (LIKE flightpath.tally_hour)"
                       " ON COMMIT DELETE ROWS")
    columns = "bucket, series, unit, channel, lane, " + ", ".join(SUMS)
    # in time order, as they come; each batch sorted by key, as a flush is
    prepared = batches(connection, f"SELECT {columns} FROM (SELECT *, (row_number() OVER (ORDER BY"
                       f" bucket) - 1) / {BATCH} AS part FROM flightpath.tally_hour) AS t"
                       f" ORDER BY part, {KEYS}")
    sums = ", ".join(f"{c} = t.{c} + excluded.{c}" for c in SUMS)
    statements = [(f"COPY incoming ({columns}) FROM STDIN BINARY", True),
                  (f"INSERT INTO floor_tally AS t ({columns}) SELECT {columns} FROM incoming"
                   f" ON CONFLICT ({KEYS}) DO UPDATE SET {sums}", False)]
    done = [write(cluster, connection, prepared, statements) for _ in range(2)]
    connection.execute("DROP TABLE floor_tally, incoming")
    return done


def responses(cluster, connection):
    """Insert of the stored responses, with the same indexes."""
    connection.execute("CREATE TABLE floor_response (LIKE flightpath.response INCLUDING ALL)")
    prepared = batches(connection, "SELECT * FROM flightpath.response ORDER BY submitted_at")
    done = write(cluster, connection, prepared, [("COPY floor_response FROM STDIN BINARY", True)])
    connection.execute("DROP TABLE floor_response")
    return done
