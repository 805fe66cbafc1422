"""`python -m bench`: run the measurements, write the results."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import (
    filters,
    first_paint,
    first_sample,
    keys,
    live,
    machine,
    overhead,
    probes,
    recordings,
    report,
    tables,
    unwind,
    web,
)
from bench.counted import counted
from bench.load import LoadError, Loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Figure

_RESULTS: Final = Path(__file__).parent / "results"
_GROUPS: Final = (
    "overhead",
    "first-sample",
    "first-paint",
    "keys",
    "live",
    "tables",
    "web",
    "unwind",
    "recordings",
    "filters",
    "probes",
)
_COUNTS_ITSELF: Final = "probes"
"""All others have BPF statistics on throughout, so that run time is counted for every profiler alike."""


def main() -> int:
    """Exit status: 0 when it ran, whatever the verdicts; 1 when it could not."""
    chosen = _arguments()
    if os.geteuid() != 0:
        print("bench: needs root to profile the machine: run with sudo", file=sys.stderr)
        return 1
    # in the background of a shell SIGINT is ignored, what is started inherits that, and could not be asked to end
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()

    def tell(words: str) -> None:
        print(f"bench: {time.monotonic() - began:5.0f} s  {words}", file=sys.stderr, flush=True)

    load_before = machine.load()
    try:
        with tempfile.TemporaryDirectory(prefix="aperture-bench-", ignore_cleanup_errors=True) as folder:
            figures = _measure(chosen, Path(folder), tell)
    except LoadError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    facts = {**machine.facts(), "load": f"{load_before} before, {machine.load()} after"}
    facts["run"] = f"{time.monotonic() - began:.0f} s, {', '.join(chosen.only)}" + (" (quick)" if chosen.quick else "")
    text = report.markdown(figures, facts)
    if chosen.output is not None:
        chosen.output.mkdir(parents=True, exist_ok=True)
        (chosen.output / "latest.md").write_text(text)
        (chosen.output / "latest.json").write_text(json.dumps(report.document(figures, facts), indent=1) + "\n")
    print(text)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure aperture beside its peers.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of everything that alternates (3)")
    parser.add_argument("--only", choices=_GROUPS, action="append", help="one group of measurements; may be repeated")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, measures nothing")
    parser.add_argument("-o", dest="output", type=Path, metavar="DIR", help="where results go (bench/results)")
    chosen = parser.parse_args()
    if chosen.rounds < 1:
        parser.error("at least one round is needed")
    whole = chosen.only is None and not chosen.quick
    chosen.only = chosen.only or list(_GROUPS)
    chosen.output = chosen.output or (_RESULTS if whole else None)  # a part must not pass for the whole
    return chosen


def _measure(chosen: argparse.Namespace, scratch: Path, tell: Callable[[str], None]) -> list[Figure]:
    loads = Loads(scratch)
    rounds, quick = (1, True) if chosen.quick else (chosen.rounds, False)
    groups: dict[str, Callable[[], list[Figure]]] = {
        "overhead": lambda: overhead.measure(loads, scratch, rounds, 2.0 if quick else 6.0, tell),
        "first-sample": lambda: first_sample.measure(loads, scratch, rounds, tell),
        "first-paint": lambda: first_paint.measure(loads, rounds if quick else rounds + 2, tell),
        "keys": lambda: keys.measure(2 if quick else 12, 3.0 if quick else 8.0, tell),
        "live": lambda: live.measure(loads, 6.0 if quick else 20.0, 8.0 if quick else 60.0, tell),
        "tables": lambda: tables.measure(4.0 if quick else 15.0, tell),
        "web": lambda: web.measure(scratch, 4 if quick else 20, 4.0 if quick else 20.0, tell),
        "unwind": lambda: unwind.measure(scratch, rounds, 2.0 if quick else 4.0, tell),
        "recordings": lambda: recordings.measure(
            loads, scratch, rounds, 3.0 if quick else 10.0, 50 if quick else 1000, tell
        ),
        "filters": lambda: filters.measure(rounds, 1.0 if quick else 5.0, tell),
        "probes": lambda: probes.measure(loads, scratch, rounds, 0.2 if quick else 1.0, 4.0 if quick else 60.0, tell),
    }
    figures: list[Figure] = []
    for name in chosen.only:
        with nullcontext() if name == _COUNTS_ITSELF else counted():
            figures += groups[name]()
    return figures


if __name__ == "__main__":
    sys.exit(main())
