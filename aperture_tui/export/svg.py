"""Flame graphs as SVG, drawn by inferno (https://github.com/jonhoo/inferno) out of folded stacks.

Kernel functions are orange, C++ yellow, those of a JIT green, the rest red, by the marks of folded stacks and the
palette `java`; a function has the same shade in each graph (`--deterministic`). In a differential one red has become
more and blue less.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.export import folded
from aperture_tui.export.names import unit
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.profile.query import Query
    from aperture_tui.store.base import Store

_TIMEOUT_S: Final = 120.0
_LOOK_S: Final = 0.1
Watch = Callable[[float], None]
"""As of a store: told how much is done, of inferno nothing but 0. What it raises ends the work."""
_FLAME: Final = "inferno-flamegraph"
_DIFF: Final = "inferno-diff-folded"

_NO_BREAK_SPACE: Final = "\u00a0"
_TWO_NUMBERS: Final = re.compile(r" (?=[0-9]+(?:\.[^ ]*)? [0-9]+$)", re.MULTILINE)
_ONLY_SPACES: Final = re.compile(r"^ +(?= [0-9]+$)", re.MULTILINE)


def _unwatched(_share: float) -> None:
    """Nobody has enough of it."""


class InfernoError(Exception):
    """inferno could not draw; the text is one line."""


class MissingInfernoError(InfernoError):
    """A tool of inferno is not installed; the text says how it is."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no {name}: make inferno (or cargo install inferno)")


def of_query(store: Store, query: Query, title: str, watch: Watch = _unwatched) -> str:
    """The flame graph of a query in its measure. Raises re.error and InfernoError."""
    return flame_graph(folded.of_query(store, query), title=title, unit=unit(query), watch=watch)


def flame_graph(stacks: str, *, title: str, unit: str, watch: Watch = _unwatched) -> str:
    """The flame graph of folded stacks. unit: what they count. Raises InfernoError, also where there is no stack.

    watch: called while inferno draws; what it raises ends inferno.
    """
    if not stacks:
        raise InfernoError("nothing to draw: there are no stacks")
    return _drawn(_unmistakable(stacks), title, unit, ["--colors=java", "--deterministic"], watch)


def differential(
    before_folded: str, after_folded: str, *, title: str, unit: str, normalise: bool, watch: Watch = _unwatched
) -> str:
    """How `after` differs from `before`, both folded stacks: widths are of `after`, colours say what changed.

    normalise: scale `before` to weigh as much as `after`, so that a longer recording is not "more". What is only in
    `before` has no width. Raises InfernoError, also where `after` is empty.
    """
    if not after_folded:
        raise InfernoError("nothing to draw: there are no stacks in the second profile")
    options = ["--normalize"] if normalise and before_folded else []
    with tempfile.TemporaryDirectory(prefix="aperture-") as folder:
        files = [Path(folder, name) for name in ("before.folded", "after.folded")]
        for file, stacks in zip(files, (before_folded, after_folded), strict=True):
            file.write_text(_unmistakable(stacks), encoding="utf-8")
        both = _run(_DIFF, [*options, *map(str, files)], "", watch)
    return _drawn(both, title, unit, [], watch)


def find(name: str = _FLAME) -> str:
    """The path of a tool: on PATH, beside our own interpreter, or where cargo puts it. Raises MissingInfernoError."""
    cargo = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    folders = os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable), os.path.join(cargo, "bin")
    path = shutil.which(name, path=os.pathsep.join(folders))
    if not path:
        raise MissingInfernoError(name)
    return path


def _unmistakable(stacks: str) -> str:
    """Folded stacks that inferno takes for what they are.

    It reads a number before the count as the count of another profile, so that the thread "pool worker 7" would lose
    its 7 and be drawn as if it had changed; and it leaves out a stack of nothing but spaces.
    """
    return _ONLY_SPACES.sub("␣", _TWO_NUMBERS.sub(_NO_BREAK_SPACE, stacks))


def _drawn(stacks: str, title: str, unit: str, options: Sequence[str], watch: Watch) -> str:
    return _run(_FLAME, [f"--title={clean(title)}", f"--countname={unit}", *options], stacks, watch)


def _run(name: str, options: Sequence[str], stdin: str, watch: Watch) -> str:
    """What the tool writes. Its complaints are the first line of them that says something."""
    path = find(name)
    pipe = subprocess.PIPE
    try:
        with tempfile.TemporaryFile() as given:  # and not a pipe, which nobody fills while one waits for the output
            given.write(stdin.encode())
            given.seek(0)
            with subprocess.Popen([path, *options], stdin=given, stdout=pipe, stderr=pipe) as child:
                try:
                    out, complaints = _communicated(child, name, watch)
                except BaseException:
                    child.kill()
                    raise
    except OSError as error:
        raise InfernoError(f"{name}: {error.strerror}") from error
    if child.returncode:
        said = [clean(line.strip()) for line in complaints.splitlines() if line.strip()]
        raise InfernoError(f"{name}: {said[0] if said else f'status {child.returncode}'}")
    return out.decode()


def _communicated(child: subprocess.Popen[bytes], name: str, watch: Watch) -> tuple[bytes, bytes]:
    """What it wrote and what it complained of, while whoever waits is asked now and then whether it still does."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return child.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            watch(0.0)
        if time.monotonic() > deadline:
            raise InfernoError(f"{name} took longer than {_TIMEOUT_S:.0f} s")


__all__ = ["InfernoError", "MissingInfernoError", "differential", "find", "flame_graph", "of_query"]
