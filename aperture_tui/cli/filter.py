"""`aperture filter`: the filters that come with the package, and whether one that was written will do."""

from __future__ import annotations

import sys
from typing import Final

from aperture_tui.cli.arguments import Parser, fail

_PROGRAM: Final = "aperture filter"
_EXAMPLES: Final = """\
examples:
  aperture filter list
  aperture filter check mine.wasm
  aperture filter check 'mine.wasm:{"name":"nginx"}'       with its configuration
  aperture-top --filter 'process_name:{"name":"nginx"}'
  aperture record --filter mine.wasm --filter 'rate_limit:{"events_per_second":500}' --duration 30 -o few.aperture
"""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line for what is no filter, 2 for wrong usage."""
    parser = Parser(_PROGRAM, "Programs in WebAssembly that decide about events.", _EXAMPLES)
    parser.add_argument("what", choices=("list", "check"), help="those that come along; or whether one can be used")
    parser.add_argument("filter", nargs="?", metavar="FILE[:JSON]", help="of check: a file, or a name of list")
    chosen = parser.parse_args(argv)
    if (chosen.what == "check") != (chosen.filter is not None):
        parser.error("check is about one filter" if chosen.filter is None else "list takes no filter")
    return _check(chosen.filter) if chosen.filter is not None else _list()


def _list() -> int:
    from aperture_tui.filters.shipped import WORDS, shipped

    for name in shipped():
        print(f"{name:14} {WORDS[name]}")
    return 0


def _check(text: str) -> int:
    """Load it as a session would: every program of it that there is is called once, but on no event."""
    from aperture_tui.filters.errors import FilterError
    from aperture_tui.filters.opening import open_chain
    from aperture_tui.filters.shipped import found
    from aperture_tui.filters.spec import Spec

    name, colon, config = text.partition(":")
    try:
        with open_chain([Spec(found(name), config if colon else "{}")]) as chain:
            (one,) = chain.filters
            tags = f", tags {', '.join(chain.tags)}" if chain.tags else ""
            print(f"{one.name}: it can be used ({one.memory_bytes >> 20} MB of memory at most so far{tags})")
    except FilterError as error:
        return fail(_PROGRAM, error)
    sys.stdout.flush()
    return 0
