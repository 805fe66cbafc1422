"""The filters that come with the package, in the engine that they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import aperture_tui.filters
from aperture_tui.filters.chain import Chain
from aperture_tui.filters.errors import FilterError
from aperture_tui.filters.redaction import HIDDEN
from aperture_tui.filters.spec import Spec
from aperture_tui.filters.worker import Worker
from aperture_tui.profile.batch import Batch
from aperture_tui.profile.symbols import Frame, Process, Symbols
from tests.filters.wat import events

READY = Path(aperture_tui.filters.__file__).parent / "ready"
PROCESSES = ["nginx", "postgres", "python3", "nginx: worker"]
STACKS = [["main", "read"], ["main", "serve", "write"], ["idle"], ["main", "serve", "secret_key", "hash"]]


def _ready(name: str, /, **settings: object) -> Chain:
    return Chain([Spec(READY / f"{name}.wasm", json.dumps(settings))])


def _batch(n: int, symbols: Symbols) -> tuple[Batch, np.random.Generator]:
    random = np.random.default_rng(n)
    some = events(n)
    processes = np.array([symbols.process(Process(i + 1, 5, name)) for i, name in enumerate(PROCESSES)])
    stacks = symbols.stacks([[symbols.frame(Frame(name, "app")) for name in path] for path in STACKS])
    some["process"], some["stack"] = random.choice(processes, n), random.choice(stacks, n)
    return Batch(symbols, some), random


@pytest.mark.parametrize("name", ["process_name", "process_name_c", "process_name_as"])
def test_events_of_processes_with_a_name_are_kept(name: str) -> None:
    symbols = Symbols()
    with _ready(name, name="nginx") as ours:
        for n in (1, 100, 40_000):
            batch, _ = _batch(n, symbols)
            named = [symbols.process_at(i).name.startswith("nginx") for i in range(len(symbols.processes))]
            assert (ours.apply(batch).events == batch.events[np.array(named)[batch.events["process"]]]).all()
        assert ours.filters[0].counters.errors == 0


def test_events_with_a_frame_in_their_stack_are_kept() -> None:
    symbols = Symbols()
    with _ready("stack_frame", function="serve") as ours:
        for n in (1, 100, 40_000):
            batch, _ = _batch(n, symbols)
            trie = symbols.trie
            has = [any(symbols.frame_at(f).function == "serve" for f in trie.path(i)) for i in range(len(trie))]
            assert (ours.apply(batch).events == batch.events[np.array(has)[batch.events["stack"]]]).all()


def test_tables_that_grow_while_a_filter_works_are_seen_whole() -> None:
    """The collecting thread goes on adding frames and stacks; a batch has only what was there before it."""
    symbols, wanted, came = Symbols(), 0, 0
    worker = Worker(_ready("stack_frame", function="even"))
    worker.start()
    for i in range(300):
        some = events(50)
        paths = [["main", f"{'even' if (i + j) % 2 == 0 else 'odd'} {i} {j}"] for j in range(50)]
        some["stack"] = symbols.stacks([[symbols.frame(Frame(name, f"module {i}")) for name in path] for path in paths])
        wanted += sum(path[1].startswith("even") for path in paths)
        assert worker.put(Batch(symbols, some))
        came += sum(map(len, worker.take()))
    came += sum(map(len, worker.stop()))
    assert worker.chain.filters[0].counters.errors == 0
    assert came == wanted


def test_broken_copies_of_a_filter_do_no_harm(tmp_path: Path) -> None:
    """One byte in a thousand is another: most are refused, and the rest fail or work."""
    random, whole = np.random.default_rng(5), np.frombuffer((READY / "stack_frame.wasm").read_bytes(), np.uint8)
    symbols, refused = Symbols(), 0
    for i in range(150):
        data = whole.copy()
        at = random.integers(8, len(data), 1 + len(data) // 1000)
        data[at] = random.integers(0, 256, len(at))
        path = tmp_path / f"{i}.wasm"
        path.write_bytes(data.tobytes())
        batch, _ = _batch(100, symbols)
        try:
            with Chain([Spec(path, '{"function": "serve"}')]) as ours:
                out = ours.apply(batch)
                assert ours.filters[0].counters.events_in == 100
                assert len(out) + ours.filters[0].counters.dropped == 100
        except FilterError:
            refused += 1
    assert refused


def test_names_are_redacted() -> None:
    symbols = Symbols()
    with _ready("redact", functions=["secret_key"]) as ours:
        batch, _ = _batch(500, symbols)
        out = ours.apply(batch)
        assert len(out) == 500
        assert "secret_key" not in out.symbols.strings
        assert HIDDEN in out.symbols.strings


def test_a_refused_configuration_is_refused_in_the_program_s_words() -> None:
    with pytest.raises(FilterError, match=r"process_name: it refuses its configuration \{\}: .*name"):
        _ready("process_name")
