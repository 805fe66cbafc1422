"""`aperture filter`: the filters that come with the package, whether one that was written will do, and its cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, fail

if TYPE_CHECKING:
    from aperture_tui.filters.chain import Chain

_PROGRAM: Final = "aperture filter"
_WHAT: Final = ("list", "check", "bench", "new")
_EXAMPLES: Final = """\
examples:
  aperture filter list
  aperture filter check mine.wasm
  aperture filter check 'mine.wasm:{"name":"nginx"}'       with its configuration
  aperture filter check mine.wasm --replay busy.aperture   what it would have let pass
  aperture filter bench mine.wasm                          what an event costs
  aperture filter new mine --lang c                        a folder that builds at once; rust, c or as
  aperture-top --filter 'process_name:{"name":"nginx"}'
  aperture record --filter mine.wasm --filter 'rate_limit:{"events_per_second":500}' --duration 30 -o few.aperture
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line for what is no filter, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    if (chosen.what == "list") != (chosen.filter is None):
        parser.error(f"{chosen.what} is about one filter" if chosen.filter is None else "list takes no filter")
    if chosen.replay is not None and chosen.what != "check":
        parser.error("--replay is for check")
    if chosen.lang is not None and chosen.what != "new":
        parser.error("--lang is for new")
    if chosen.filter is None:
        return _list()
    if chosen.what == "new":
        return _new(chosen.filter, chosen.lang or "rust")
    return _bench(chosen.filter) if chosen.what == "bench" else _check(chosen.filter, chosen.replay)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Programs in WebAssembly that decide about events.", _EXAMPLES)
    words = "list: those that come along; check: whether one can be\nused; bench: what an event costs; new: begin one"
    parser.add_argument("what", choices=_WHAT, metavar="|".join(_WHAT), help=words)
    parser.add_argument("filter", nargs="?", metavar="FILE[:JSON]", help="a file, or a name of list; of new its NAME")
    words = "of new: Rust, C or AssemblyScript (rust)"
    parser.add_argument("--lang", choices=("rust", "c", "as"), default=None, help=words)
    parser.add_argument("--replay", metavar="PATH", help="of check: let it decide about a recording's events")
    return parser


def _list() -> int:
    from aperture_tui.filters.shipped import WORDS, shipped

    for name in shipped():
        print(f"{name:14} {WORDS[name]}")
    return 0


def _new(name: str, language: str) -> int:
    from aperture_tui.filters.errors import FilterError
    from aperture_tui.filters.project import create

    try:
        folder, builds = create(Path(), name, language)
    except (FilterError, FileNotFoundError) as error:
        return fail(_PROGRAM, error)
    print(f"{folder}/ has an example to begin with. To build it:\n  cd {folder} && {builds}")
    return 0


def _opened(text: str) -> Chain:
    """As a session would: all that it has is called, but ap_on_batch. Raises FilterError."""
    from aperture_tui.filters.opening import open_chain
    from aperture_tui.filters.shipped import found
    from aperture_tui.filters.spec import OnError, Spec

    name, colon, config = text.partition(":")
    return open_chain([Spec(found(name), config if colon else "{}", OnError.DROP)])


def _check(text: str, recording: str | None) -> int:
    from aperture_tui.cli.opening import OpeningError
    from aperture_tui.filters.errors import FilterError
    from aperture_tui.store.compaction import TooManyError

    try:
        with _opened(text) as chain:
            (one,) = chain.filters
            tags = f", tags {', '.join(chain.tags)}" if chain.tags else ""
            print(f"{one.name}: it can be used ({one.memory_bytes >> 20} MB of memory so far{tags})")
            if recording is not None:
                _decide(chain, recording)
            else:
                from aperture_tui.filters.trial import made_up

                chain.apply(made_up())
            failed = one.counters.lost
            reason = one.health().message
    except (FilterError, OpeningError, TooManyError) as error:
        return fail(_PROGRAM, error)
    return fail(_PROGRAM, f"{one.name}: it failed at {failed:,} events: {reason}") if failed else 0


def _decide(chain: Chain, recording: str) -> None:
    """What it lets pass of each kind of a recording's events; alike ones may be one. Raises OpeningError."""
    from aperture_tui.cli.opening import opened
    from aperture_tui.cli.waiting import progress
    from aperture_tui.export.collected import collected, kind_name
    from aperture_tui.profile.batch import Batch
    from aperture_tui.profile.event import EVENT
    from aperture_tui.profile.query import Query
    from aperture_tui.profile.tags import in_bits

    with progress(f"reading {recording}") as watch:
        store = opened(recording, watch)
        for kind in collected(store):
            symbols, rows = store.selected(Query(kind=kind))
            events = rows if rows.dtype == EVENT else rows[list(EVENT.names or ())].astype(EVENT)
            events, tags = in_bits(symbols, events)
            out = chain.apply(Batch(symbols, events, tags))
            before, after = (int(part["weight"].astype("u8").sum()) for part in (events, out.events))
            print(
                f"{kind_name(kind):8} {len(events):>12,} events, {len(out):,} pass; weight {before:,}, then {after:,}"
            )


def _bench(text: str) -> int:
    from aperture_tui.filters import trial
    from aperture_tui.filters.errors import FilterError

    print(f"{'at once':>8} {'ns an event':>12} {'best':>8}   limit")
    try:
        with _opened(text) as chain:
            batch = trial.made_up()
            for size in trial.SIZES:
                found, most = trial.cost(chain, batch, size), trial.LIMITS_NS.get(size)
                limit = "" if most is None else f"{most:,.0f}{'' if found.middle <= most else '  passed'}"
                print(f"{size:8,} {found.middle:12,.1f} {found.best:8,.1f}   {limit}")
            if failed := chain.filters[0].counters.lost:
                return fail(_PROGRAM, f"it failed at {failed:,} events: {chain.filters[0].health().message}")
    except FilterError as error:
        return fail(_PROGRAM, error)
    return 0
