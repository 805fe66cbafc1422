"""`python -m bench.fleet.generate FOLDER`: a store with many rows of a fleet that is made up, as if agents had pushed.

    python -m bench.fleet.generate /var/tmp/aperture-bench/day --rows 100e6 --hours 26
    python -m bench.fleet.generate /var/tmp/aperture-bench/dense --rows 100e6 --hours 1.389

The rows end now; for the same seed they are the same. They go into `events` of the tenant `default` in lots of a
million, so that the views make of them what they make of pushes; stacks, processes and machines are told as by pushes.
What is measured of the writing is that of these lots alone: how fast pushes are taken is another benchmark.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from aperture_tui.profile.batch import empty
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Symbols
from aperture_tui.store.clickhouse.connection import Address, Connection
from aperture_tui.store.clickhouse.database import Database
from aperture_tui.store.clickhouse.inserting import process_table, push_table, stack_table
from aperture_tui.store.clickhouse.registry import Stored
from aperture_tui.store.push import Push, PushHead
from bench import machine
from bench.fleet.shape import INTERVAL_NS, Fleet, Shape

DATABASE: Final = "aperture_default"
_LOT: Final = 1_000_000
_STACKS_AT_ONCE: Final = 20_000
_MERGED_S: Final = 900
_BOOT: Final = bytes(16)
_GAUGES: Final = 2
"""Readings in a push of --low-overhead."""


class Wrote(NamedTuple):
    """What came of it. rows_per_s: while lots were inserted. merging_s: until nothing was left to be merged."""

    rows: int
    rows_per_s: float
    merging_s: float


def generate(folder: Path, rows: int, span_ns: int, shape: Shape, seed: int, tell: Callable[[str], None]) -> Wrote:
    """Write it all. span_ns: how long ago the first rows are."""
    url = f"chdb://{folder.absolute()}"
    database = Database.open(url)
    database.tenant("default")
    connection = Connection(Address.parse(url))
    end_ns = time.time_ns()
    start_ns = (end_ns - span_ns) // INTERVAL_NS * INTERVAL_NS
    fleet = Fleet(shape, start_ns, seed)
    _insert_names(connection, fleet, end_ns)
    tell("stacks and processes are there")
    inserting_s = 0.0
    done = 0
    for lot, (at, until) in enumerate(_lots(rows, start_ns, end_ns)):
        n = min(_LOT, rows - done)
        table = fleet.rows(n, at, until)
        began = time.monotonic()
        connection.insert(f"{DATABASE}.events", table, f"lot-{lot}-events")
        connection.insert(f"{DATABASE}.pushes", _pushes(fleet, table, lot, at, until), f"lot-{lot}-pushes")
        inserting_s += time.monotonic() - began
        done += n
        tell(f"{done:,} rows, {done / inserting_s:,.0f} a second")
    merging_s = _settle(connection)
    database.close()
    return Wrote(done, done / inserting_s, merging_s)


def _lots(rows: int, start_ns: int, end_ns: int) -> Iterator[tuple[int, int]]:
    edges = np.linspace(start_ns, end_ns, -(-rows // _LOT) + 1).astype(np.int64).tolist()
    yield from pairwise(edges)


def _insert_names(connection: Connection, fleet: Fleet, now_ns: int) -> None:
    for service, stacks in zip(fleet.shape.service_names, fleet.stacks, strict=True):
        hashes, first = np.unique(stacks.hashes, return_index=True)
        rows = [
            (service, h, stacks.symbols, n) for h, n in zip(hashes.tolist(), stacks.nodes[first].tolist(), strict=True)
        ]
        connection.insert(f"{DATABASE}.stacks", stack_table(rows, now_ns), f"{service}-stacks")
    made, hosts = fleet.processes, fleet.shape.hosts
    of = fleet.shape.service_of(np.arange(len(hosts))).tolist()
    told = [
        (fleet.shape.service_names[of[machine]], host, value, made.symbols, row)
        for machine, host in enumerate(hosts)
        for value, row in zip(made.hashes[machine].tolist(), made.rows[machine].tolist(), strict=True)
    ]
    connection.insert(f"{DATABASE}.processes", process_table(told, now_ns), "processes")


def _pushes(fleet: Fleet, table: Any, lot: int, start_ns: int, end_ns: int) -> Any:
    """A push of every machine, with what it says of itself."""
    shape = fleet.shape
    counts = np.bincount(table["host"].combine_chunks().indices.to_numpy(), minlength=shape.machines).tolist()
    services = shape.service_of(np.arange(shape.machines)).tolist()
    rows = []
    for host, service, n in zip(shape.hosts, services, counts, strict=True):
        name = shape.service_names[service]
        facts = HostFacts(host, "6.1.0-28-amd64", 16, 64 << 30, "5d0c9f5e")
        health = Health("cpu", State.RUNNING, delivered=n * lot, cpu_ns=lot * 10**7, bpf_ns=lot * 10**6)
        gauges = [
            HostSample(at, 0.31, 0.07, 0.01, 0.0, 40 << 30, 64 << 30, 0, 0, (5.1, 4.9, 4.2), 0.004, 61 << 20)
            for at in np.linspace(start_ns, end_ns - 1, _GAUGES).astype(np.int64).tolist()
        ]
        head = PushHead(host, _BOOT, lot + 1, name, "1.0.0")
        push = Push(head, Symbols(), empty(0), np.zeros(0, np.uint64), np.zeros(0, np.int32), [facts], gauges, [health])
        stored = Stored(
            host, name, head.version, _BOOT, head.seq, end_ns, start_ns, end_ns, end_ns, n, 0, 0, head.interval_ms,
            1 << Kind.CPU, push.hosts, push.health,
        )  # fmt: skip
        rows.append((push, stored))
    return push_table(rows)


def _settle(connection: Connection) -> float:
    """Wait until nothing is being merged any more; how long that took."""
    began = quiet = time.monotonic()
    while time.monotonic() - quiet < 10 and time.monotonic() - began < _MERGED_S:
        ((merges,),) = connection.rows("SELECT count() FROM system.merges")
        quiet = time.monotonic() if merges else quiet
        time.sleep(0.5)
    return quiet - began


class Size(NamedTuple):
    """One table on disk. per_event: bytes for each row of `events`."""

    table: str
    parts: int
    rows: int
    bytes: int
    per_row: float
    per_event: float


def sizes(folder: Path) -> list[Size]:
    """Every table, the largest first."""
    connection = Connection(Address.parse(f"chdb://{folder.absolute()}"))
    sql = """SELECT table, count(), sum(rows), sum(bytes_on_disk) AS b FROM system.parts
        WHERE database = {name:String} AND active GROUP BY table ORDER BY b DESC"""
    found = connection.rows(sql, {"name": DATABASE})
    connection.close()
    events = max(1, next((rows for table, _, rows, _ in found if table == "events"), 1))
    return [Size(t, parts, rows, b, b / max(1, rows), b / events) for t, parts, rows, b in found]


def _table(found: list[Size]) -> str:
    lines = [f"{'table':12} {'parts':>6} {'rows':>14} {'MB':>10} {'B/row':>8} {'B/event':>8}"]
    lines += [
        f"{one.table:12} {one.parts:6} {one.rows:14,} {one.bytes / 1e6:10.1f} {one.per_row:8.2f} {one.per_event:8.3f}"
        for one in found
    ]
    whole = sum(one.bytes for one in found)
    return "\n".join(
        [*lines, f"{'all':12} {'':6} {'':14} {whole / 1e6:10.1f} {'':8} {sum(o.per_event for o in found):8.3f}"]
    )


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet.generate", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where; made if it is not there")
    parser.add_argument("--rows", type=float, default=1e6, help="of events (1e6)")
    parser.add_argument("--hours", type=float, default=26.0, help="over which they are spread (26)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sizes", action="store_true", help="write nothing: tell what is there")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    began = time.monotonic()

    def tell(words: str) -> None:
        print(f"generate: {time.monotonic() - began:5.0f} s  {words}", file=sys.stderr, flush=True)

    wrote = None
    if not chosen.sizes:
        if (chosen.folder / "metadata").exists() or any(chosen.folder.glob("*")):
            parser.error(f"{chosen.folder} is not empty")
        wrote = generate(chosen.folder, int(chosen.rows), int(chosen.hours * 3.6e12), Shape(), chosen.seed, tell)
    found = sizes(chosen.folder)
    if chosen.json:
        told = {"machine": machine.facts(), "load": machine.load(), "tables": [one._asdict() for one in found]}
        print(json.dumps({**told, "wrote": wrote._asdict() if wrote else None}, indent=1))
        return 0
    if wrote:
        print(f"{wrote.rows:,} rows, {wrote.rows_per_s:,.0f} a second, merged after {wrote.merging_s:.0f} s more")
    print(_table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
