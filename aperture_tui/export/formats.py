"""The formats of exports: what each is for, and how a file of it is opened. Free of numpy: the screens list them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Format(NamedTuple):
    """One format. suffix: of its files; what: it is for; opening: what opens a file, `{file}` stands for its name."""

    name: str
    suffix: str
    what: str
    opening: str


FORMATS: Final = (
    Format("svg", ".svg", "a flame graph for any browser", "open it in a browser"),
    Format("speedscope", ".speedscope.json", "for www.speedscope.app", "open it at https://www.speedscope.app"),
    Format("pprof", ".pb.gz", "for go tool pprof, Pyroscope", "then: go tool pprof -http=: {file}"),
    Format("folded", ".folded", "a stack a line, for scripts", "then: inferno-flamegraph {file} > flame.svg"),
    Format("json", ".json", "all that is known, for programs", "then: jq .tree.weight {file}"),
    Format("text", ".txt", "a report to read and to paste", "then: less {file}"),
    Format("perfetto", ".perfetto.json", "a timeline, for ui.perfetto.dev", "open it at https://ui.perfetto.dev"),
)
"""Those of all views, as `written.written` writes them."""
DIFFERENCES: Final = {
    "svg": "a flame graph of what changed",
    "json": "what changed, for programs",
    "text": "what changed, to read and to paste",
}
"""What those that can tell a difference are for, where two are compared."""

__all__ = ["DIFFERENCES", "FORMATS", "Format"]
