"""The front door: a file of another tool as a Store, recognised by its contents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.importing import folded, perf_script, pprof
from aperture_tui.importing.gathered import Gathered
from aperture_tui.importing.source import ImportingError, Source
from aperture_tui.profile.batch import Batch
from aperture_tui.store.memory import Limits, MemoryStore

if TYPE_CHECKING:
    from aperture_tui.filters.recorded import Recorded

_RECORDING: Final = b"\x89APERTUR"
_PERF_DATA: Final = (b"PERFILE2", b"PERFFILE", b"2ELIFREP")
_FOLDED: Final = (".folded", ".collapsed")
_TEXT: Final = bytes(set(range(0x20, 0x100)) | set(b"\t\n\r\x1b"))
_LIMITS: Final = Limits(seconds=None, bytes=2 << 30, gauges=1)


def imported(
    path: str | Path,
    limits: Limits | None = None,
    watch: Callable[[float], None] | None = None,
    filters: Recorded | None = None,
) -> MemoryStore | None:
    """A profile in folded stacks, in pprof or as `perf script` prints it, plain or gzipped; None if it is none of them.

    watch: told how much of the file has been read, 0 to 1. filters: what all samples go through first. What could not
    be read stands in the store's health, under the name "import". Raises ImportingError, one line that names the file,
    for one that is refused or in which nothing is readable; OSError if the file cannot be read.
    """
    with open(path, "rb") as file:
        moment = os.fstat(file.fileno()).st_mtime_ns
        source = Source(file, watch)
        try:
            gathered = _gathered(source, str(path), moment if moment > 0 else time.time_ns())
        except ImportingError as error:
            raise ImportingError(f"{path}: {error}") from None
    if gathered is None:
        return None
    store = MemoryStore(limits or _LIMITS, recorded=True)
    batch = Batch(gathered.symbols, gathered.events)
    health = [gathered.health(source.cut)]
    if filters is not None:
        filters.begin(store)
        batch = filters.judge(batch)
        health += filters.health()
    store.append(batch)
    store.set_hosts(gathered.hosts)
    store.set_health(health)
    return store


def _gathered(source: Source, path: str, moment_ns: int) -> Gathered | None:
    head = source.head
    if head.startswith(_RECORDING):
        return None
    if head.startswith(_PERF_DATA):
        raise ImportingError("perf's own recording: make a text of it with `perf script -i FILE > FILE.txt`")
    if pprof.recognised(head):
        return pprof.read(source, moment_ns)
    if head.translate(None, _TEXT):
        return None
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    if not source.short:
        del lines[-1]
    if perf_script.recognised(lines):
        return perf_script.read(source, moment_ns)
    if folded.recognised(lines, path.removesuffix(".gz").endswith(_FOLDED)):
        return folded.read(source, moment_ns)
    return None


__all__ = ["ImportingError", "imported"]
