"""What was recorded of some programs (`record.py`), as filters are given it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aperture_tui.recording.reader import Reader
from tests.sdk.host import BATCH, EVENT, FRAME, NODE, PROCESS, Batch, Tables
from tests.sdk.record import RECORDED


def batches() -> Iterator[Batch]:
    """All events in the order of the file, in batches of at most 16,384, with the tables as they were known then."""
    with Reader(RECORDED) as reader:
        for batch in reader.batches():
            symbols, trie = batch.symbols, batch.symbols.trie
            stacks = np.zeros(len(trie), NODE)
            stacks["parent"], stacks["frame"] = np.maximum(trie.parent, 0), trie.frame
            texts = [text.encode() for text in symbols.strings]
            tables = Tables(texts, symbols.frames.astype(FRAME), stacks, symbols.processes.astype(PROCESS))
            events = batch.events.astype(EVENT)
            yield from (Batch(events[at : at + BATCH], tables) for at in range(0, len(events), BATCH))
