"""What a file holds once it is opened, in plain words."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

from aperture_tui.export import folded
from aperture_tui.importing.opened import imported
from aperture_tui.profile.health import Health
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame
from aperture_tui.store.base import Store
from aperture_tui.store.memory import MemoryStore
from tests.store.facts import T0, words

COUNT = Query()
TIME = Query(measure=Measure.TIME)
BLOCKED = Query(Kind.OFFCPU, measure=Measure.TIME)


def opened(path: Path, content: str | bytes, packed: bool = False) -> MemoryStore:
    """A file of this content, of the moment T0, as a store."""
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if packed else data)
    os.utime(path, ns=(T0, T0))
    store = imported(path)
    assert store is not None
    return store


def stacks(store: Store, query: Query = COUNT) -> dict[str, int]:
    """Stack -> weight, as our own export folds them."""
    return dict(lines(folded.of_query(store, query)))


def lines(text: str) -> Counter[str]:
    """Stack -> weight of folded stacks, by nothing but str.rpartition."""
    out: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, weight = line.rpartition(" ")
        out[stack] += int(weight)
    return out


def frames(store: Store) -> dict[str, Frame]:
    """The frames of all stacks by their functions, where these differ."""
    return {frame.function: frame for path in words(store.call_tree(COUNT)) for frame in path}


def told(store: Store) -> Health:
    """The file's own line of truth."""
    (health,) = store.health()
    assert health.name == "import"
    return health
