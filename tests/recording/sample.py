"""A small recording with a block of every type, and what is read of any."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostSample
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.recording.blocks import Block, Cut, scan
from aperture_tui.recording.reader import Reader
from aperture_tui.recording.writer import Writer
from aperture_tui.store.memory import MemoryStore
from tests.store.conformance import HOST, SH
from tests.store.facts import T0, Fact, batch_of, words

STACK = (Frame("sh", kind=FrameKind.PROCESS), Frame("main", "app", "a.c", 7), Frame("écrire", "libc.so.6"))
GAUGE = HostSample(T0, cpu_user=0.5, load=(1.0, 2.0, 3.0), own_memory_bytes=7)
HEALTH = Health("cpu", State.RUNNING, "", 4, {"ring full": 3})


def small(path: Path) -> None:
    """A recording with a block of every type, events in two blocks, two generations."""
    writer = Writer(path, {"collectors": ["cpu"]})
    writer.set_hosts([HOST])
    for i in range(2):
        writer.append(batch_of([Fact(T0 + i, SH, stack=(*STACK, Frame(f"f{i}")))] * 2, Symbols()))
    writer.append_gauges(GAUGE)
    writer.set_health([HEALTH])
    writer.close()


def small_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        small(Path(folder, "x"))
        return Path(folder, "x").read_bytes()


def everything(path: Path) -> tuple[dict[tuple[Frame, ...], int], Reader]:
    """All stacks in words, and the reader that read them."""
    store = MemoryStore(recorded=True)
    with Reader(path) as reader:
        for batch in reader.batches():
            store.append(batch)
    return words(store.call_tree(Query())), reader


def first_block(data: bytes) -> int:
    """Where it begins."""
    return 20 + int.from_bytes(data[12:16], "little")


def blocks_of(data: bytes) -> list[Block]:
    """The whole blocks of a file."""
    return [found for found in _scanned(data) if isinstance(found, Block)]


def _scanned(data: bytes) -> Iterator[Block | Cut]:
    file = io.BytesIO(data)
    file.seek(first_block(data))
    return scan(file)


GOOD = small_bytes()
