"""What a chDB folder holds, table by table: a program of its own, because a process has but one.

looking.py FOLDER TENANT prints JSON: `pushes`, each [host, boot, seq, events]; `events`, each [host, seq, how many];
`wrong`, for each table that is made of the events: how many of its sums are not those of the events.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from aperture_tui.store.clickhouse.connection import Address, Connection
from aperture_tui.store.clickhouse.schema import ROLLUPS, SAMPLED


def start(seconds: int) -> str:
    """The beginning of the stretch that an event is in."""
    return f"toDateTime(intDiv(time_ns, {seconds}000000000) * {seconds}, 'UTC')"


def differences(connection: Connection, db: str, keys: str, table: str, ours: str, theirs: str) -> int:
    """Groups in which the two sums are not the same, those that one of them lacks included."""
    sql = f"""SELECT count() FROM (SELECT {keys}, sum(w) AS mine, sum(d) AS its FROM
        (SELECT {ours} FROM {db}.events UNION ALL SELECT {theirs} FROM {db}.{table})
        GROUP BY {keys} HAVING mine != 0 OR its != 0)"""  # noqa: S608 - a test's own names
    return int(connection.rows(sql)[0][0])


def wrong(connection: Connection, db: str) -> dict[str, int]:
    """For each table that is made of the events: how many of its sums are not those of the events."""
    out = {}
    for rollup in ROLLUPS:
        host = ", host" if rollup.hosts else ""
        out[rollup.name] = differences(
            connection, db, f"kind, role, service{host}, ts, stack", rollup.name,
            f"kind, role, service{host}, {start(rollup.seconds)} AS ts, stack, toInt64(weight) AS w, "
            "toInt64(duration_ns) AS d",
            f"kind, role, service{host}, ts, stack, -weight AS w, -duration_ns AS d",
        )  # fmt: skip
    for place, one_of in enumerate(SAMPLED, 1):
        out[f"events_{one_of}"] = differences(
            connection, db, "host, time_ns, stack, value", f"events_{one_of}",
            f"host, time_ns, stack, value, if(draw >= {place}, 1, 0) AS w, 0 AS d",
            "host, time_ns, stack, value, -1 AS w, 0 AS d",
        )  # fmt: skip
    return out


def main() -> None:
    folder, tenant = sys.argv[1:]
    connection, db = Connection(Address.parse(f"chdb://{folder}")), f"aperture_{tenant}"
    rows = connection.rows
    out: dict[str, Any] = {
        "pushes": [
            [host, boot.hex() if isinstance(boot, bytes) else boot.encode("latin1").hex(), seq, n]
            for host, boot, seq, n in rows(f"SELECT host, boot, seq, events FROM {db}.pushes FINAL ORDER BY host, seq")  # noqa: S608
        ],
        "events": [
            list(row)
            for row in rows(f"SELECT host, seq, count() FROM {db}.events GROUP BY host, seq ORDER BY host, seq")  # noqa: S608
        ],
        "wrong": wrong(connection, db),
    }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
