"""What every shipped filter has in common: its imports and exports, and how it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime
from numpy.typing import NDArray

from tests.sdk import host
from tests.sdk.made_up import batches
from tests.sdk.toolchain import READY

FILTERS = sorted(READY.glob("*.wasm"))
SETTINGS: dict[str, dict[str, Any]] = {
    "process_name": {"name": "nginx"},
    "stack_frame": {"function": "json"},
    "cgroup": {"path": "/pods/a"},
    "redact": {"functions": ["secret"]},
}


def base(wasm: Path) -> str:
    """The example's name, whatever the language."""
    return wasm.stem.removesuffix("_c").removesuffix("_as")


@pytest.fixture(params=FILTERS, ids=lambda path: path.stem)
def wasm(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def made(wasm: Path, **more: Any) -> host.Filter:
    return host.Filter(wasm, SETTINGS.get(base(wasm), {}), **more)


def test_it_imports_the_log_and_nothing_of_the_machine(wasm: Path) -> None:
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(wasm))
    for imported in module.imports:
        assert isinstance(imported.type, wasmtime.FuncType)
        key = (imported.module, imported.name)
        assert key in host.IMPORTS, f"imports {key}"
        assert host.signature(imported.type) == host.IMPORTS[key]
        assert key != ("env", "abort") or wasm.stem.endswith("_as")


def test_its_exports_have_the_types_of_the_interface(wasm: Path) -> None:
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(wasm))
    functions = {one.name: one.type for one in module.exports if isinstance(one.type, wasmtime.FuncType)}
    assert set(functions) <= set(host.EXPORTS)
    assert set(functions) >= {"ap_abi_version", "ap_alloc", "ap_configure", "ap_on_batch"}
    for name, kind in functions.items():
        assert host.signature(kind) == host.EXPORTS[name], name
    assert [one.name for one in module.exports if isinstance(one.type, wasmtime.MemoryType)] == ["memory"]


def test_it_says_version_1_0(wasm: Path) -> None:
    assert made(wasm).call("ap_abi_version") == 1 << 16


@pytest.mark.parametrize(
    "wasm", [path for path in FILTERS if not path.stem.endswith("_as")], ids=lambda path: path.stem
)
def test_only_slow_calls_have_a_tag(wasm: Path) -> None:
    assert made(wasm).tags() == (["slow"] if base(wasm) == "slow_syscalls" else [])


def test_memory_is_given_to_the_host_apart_and_aligned(wasm: Path) -> None:
    guest = made(wasm)
    first, second = guest.call("ap_alloc", 100_000), guest.call("ap_alloc", 100)
    assert first % 64 == second % 64 == 0
    assert second >= first + 100_000 or first >= second + 100
    assert not guest.bytes(first, 100_000).any()
    for size in (0x7FFF_FFFF, -16, -1):
        try:
            assert guest.call("ap_alloc", size) == 0
        except wasmtime.Trap:
            assert wasm.stem.endswith("_as"), "its allocator traps"


def test_settings_that_are_none_are_refused(wasm: Path) -> None:
    right = SETTINGS.get(base(wasm), {})
    assert host.Filter(wasm, right).refused == 0
    for wrong in ({**right, "nonsense": 1}, {**right, "list": {}}, {**right, "none": None}):
        guest = host.Filter(wasm, wrong)
        assert guest.refused != 0
        assert guest.log
        assert guest.log[0][0] == 0
    if right:
        assert host.Filter(wasm, {}).refused != 0


LIES: dict[str, dict[str, int | None]] = {
    "another magic": {"magic": 0},
    "another major": {"major": 2},
    "another event": {"event_size": 64},
    "events outside": {"events": 0xFFFF_FFF8},
    "too many events": {"n_events": 0xFFFF_FFFF},
    "verdicts outside": {"verdicts": host.ROOM},
    "verdicts on the header": {"verdicts": 0},
    "verdicts crooked": {"verdicts": 131},
    "tags on the verdicts": {"tags": None},
    "strings outside": {"strings": 0xFFFF_FFFC},
    "too many strings": {"n_strings": 0x2000_0001},
    "too many frames": {"n_frames": 1 << 31},
    "too many stacks": {"n_stacks": 0xFFFF_FFFF},
    "too many processes": {"n_processes": 0xFFFF_FFFF},
}


def test_a_header_that_is_in_no_region_is_refused(wasm: Path) -> None:
    guest = made(wasm)
    for address in (0, 8, guest.arena - 64, guest.arena + host.ROOM - 64, -64):
        assert guest.call("ap_on_batch", address) != 0
    assert guest.call("ap_configure", guest.arena + host.ROOM - 8, 9) != 0


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_and_said(wasm: Path, lie: str) -> None:
    def damage(header: NDArray[np.void]) -> None:
        for name, value in LIES[lie].items():
            header[name] = header["verdicts"] if value is None else value

    guest = made(wasm, damage=damage)
    batch = next(iter(batches(100)))
    error, decided = guest.try_run(batch)
    assert error != 0
    assert guest.log
    assert (decided.verdicts == 1).all(), "nothing was decided"
    guest.damage = None
    assert guest.try_run(batch)[0] == 0, "the next batch is right again"


def test_headers_by_chance_are_refused_or_survived(wasm: Path) -> None:
    """No trap: what a header says decides about nothing that was not checked."""
    rng = np.random.default_rng(11)
    fields = host.HEADER.names or ()
    numbers = [0, 1, 4, 64, 72, 127, 128, 1 << 16, host.ROOM - 4, host.ROOM, 1 << 31, (1 << 32) - 1]

    def damage(header: NDArray[np.void]) -> None:
        for name in rng.choice([name for name in fields if name != "rest"], rng.integers(1, 4)):
            number = int(rng.choice(numbers)) if rng.random() < 0.5 else int(rng.integers(0, host.ROOM))
            header[name] = number % (1 << 8 * header.dtype[name].itemsize)

    guest = made(wasm, damage=damage)
    batch = next(iter(batches(200)))
    codes = [guest.try_run(batch)[0] for _ in range(150)]
    assert 0 in codes
    assert any(codes)


def test_numbers_that_no_row_has_are_survived(wasm: Path) -> None:
    batch = next(iter(batches(500)))
    rng = np.random.default_rng(5)
    for name in ("process", "thread", "name", "stack"):
        batch.events[name] = rng.integers(0, 1 << 32, len(batch.events))
    batch.tables.stacks = rng.integers(0, 1 << 32, 2 * len(batch.tables.stacks), np.uint32).view(host.NODE)
    batch.tables.frames = rng.integers(0, 1 << 32, 5 * len(batch.tables.frames), np.uint32).view(host.FRAME)
    error, decided = made(wasm).try_run(batch)
    assert error == 0
    assert decided.verdicts.max() <= 65_535


def test_an_empty_batch_is_one(wasm: Path) -> None:
    batch = next(iter(batches(1)))
    batch.events = batch.events[:0]
    assert made(wasm).try_run(batch)[0] == 0
