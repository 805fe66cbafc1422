"""The CPython of one process: found, checked, and asked for the frames behind what the kernel saw."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.cpython.binary import (
    RUNTIME,
    TYPES,
    Binary,
    binary_cache,
    is_loading,
    is_python,
    specific_offset,
)
from aperture_tui.symbolize.cpython.codes import Codes, Types
from aperture_tui.symbolize.cpython.debug_offsets import SIZE, parse_debug_offsets, version_at
from aperture_tui.symbolize.cpython.errors import CPythonError, CPythonNotReady
from aperture_tui.symbolize.cpython.layout import NEWEST, OLDEST, TABLES, Layout, Walk
from aperture_tui.symbolize.cpython.runtime import find_slot, thread_states
from aperture_tui.symbolize.process_memory import Memory, ProcessMemory, read

CODE_MASK: Final = np.uint64((1 << 63) - 8)
"""What of the word that the kernel emits for a frame is the address of its code object. Bit 63 says that it is an entry
frame, the low three bits are the tag of a _PyStackRef (Include/internal/pycore_stackref.h of 3.14)."""
ENTRY: Final = np.uint64(1 << 63)
"""Set in the word of an entry frame."""
_NAME: Final = re.compile(r"python(\d)(?:\.(\d{1,2}))?")
_FOLDER: Final = re.compile(r"/python(\d)\.(\d{1,2})t?/|\.cpython-(\d)(\d{1,2})t?-")
_RELEASE_CANDIDATE: Final = 0xC
_WORD: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class _Found:
    """The file that CPython is in."""

    mapping: Mapping
    binary: Binary
    bias: int

    def address(self, name: str) -> int:
        """Of a symbol, in the process. Raises CPythonError."""
        value = self.binary.symbols.get(name)
        if value is None:
            raise CPythonError(f"{self.mapping.module} has no symbol {name}")
        return value + self.bias & _WORD


class Interpreter:
    """The CPython of one process. Owned by one thread. After an exec, `open` it anew."""

    def __init__(self, memory: Memory, layout: Layout, types: Types, walk: Walk, clock: Callable[[], float]) -> None:
        self.loop: tuple[tuple[int, int], ...] = ()
        """Ranges [from, to) of addresses of the interpreter loop, with the parts of it that have no name in a stripped
        file; empty if the file does not say."""
        self.walk: Final = walk
        """What the walk in the kernel has to know."""
        self.version: Final = f"3.{layout.minor}"
        """Like "3.12"."""
        self.shim: Final = layout.shim
        """Whether entry frames only mark where the interpreter loop was entered (3.12 and later); for `merge`."""
        self._codes = Codes(memory, layout, types, clock)

    @classmethod
    def open(
        cls,
        pid: int,
        mappings: Sequence[Mapping],
        binaries: BinaryCache[Binary] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Interpreter | None:
        """The CPython in a process with these executable mappings; None if none of them has its name.

        binaries: what is known of files, to be shared by all processes of a thread. clock: seconds, only moves forward.
        Raises CPythonNotReady: ask again in a moment. Raises CPythonError: its frames cannot be read.
        """
        python = [mapping for mapping in mappings if is_python(mapping)]
        if not python:
            return None
        minor = _named_version(python)
        if minor is not None:
            _check_version(minor)
        if is_loading(mappings):
            raise CPythonNotReady("the libraries of this CPython are still being mapped")
        binaries = binaries if binaries is not None else binary_cache()
        found = _find(binaries, pid, python)
        interpreter = open_in(
            ProcessMemory(pid, CPythonError),
            found.address(RUNTIME),
            Types(*map(found.address, TYPES)),
            _version(found.binary, minor, mappings),
            specific_offset(binaries, pid, mappings),
            clock,
        )
        interpreter.loop = tuple(
            (start + found.bias & _WORD, end + found.bias & _WORD) for start, end in found.binary.loop
        )
        return interpreter

    def is_loop(self, addresses: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which code addresses are in the interpreter loop: (n,). Of a return address, give the byte before it.

        Together with `is_eval_name` of their symbols this is what `merge` asks for.
        """
        out = np.zeros(len(addresses), bool)
        for start, end in self.loop:
            out |= (addresses >= np.uint64(start)) & (addresses < np.uint64(end))
        return out

    def frames(self, code: NDArray[np.uint64], instruction: NDArray[np.uint64]) -> list[Frame | None]:
        """What the kernel saw, in words: one for each pair.

        code: (n,) words as the kernel emits them, with or without ENTRY and tag bits. instruction: (n,) raw words at
        the frame's instruction field. None: no code object is there (any more), or the mark of an entry; HIDDEN: a
        frame that is not to be shown; line 0: the code belongs to no line.
        """
        try:
            return self._codes.frames(zip((code & CODE_MASK).tolist(), instruction.tolist(), strict=True))
        except CPythonError:
            return [None] * len(code)  # the process is gone


def open_in(
    memory: Memory,
    runtime: int,
    types: Types,
    version: tuple[int, int] | None,
    specific: int,
    clock: Callable[[], float] = time.monotonic,
) -> Interpreter:
    """The CPython in a memory. Raises as `Interpreter.open` does.

    runtime: address of `_PyRuntime`. version: (3, minor), None if only `_PyRuntime` can say it. specific: see
    `specific_offset`.
    """
    layout = _layout(memory, runtime, version)
    states = thread_states(memory, layout, runtime)
    blocks, value = find_slot(memory, states, specific)
    return Interpreter(memory, layout, types, layout.walk(blocks, value), clock)


def _layout(memory: Memory, runtime: int, version: tuple[int, int] | None) -> Layout:
    if version is not None and version[1] in TABLES:
        return TABLES[version[1]]
    data = read(memory, runtime, SIZE)
    if data is None:
        raise CPythonError("_PyRuntime cannot be read")
    version = version_at(data) if version is None else version
    _check_version(version)
    return parse_debug_offsets(data, version[1])


def _find(binaries: BinaryCache[Binary], pid: int, python: Sequence[Mapping]) -> _Found:
    """The first file that has `_PyRuntime`: a library before a program, which may be a mere launcher."""
    problem = CPythonError(f"no symbol {RUNTIME} in {python[0].path}")
    seen: set[str] = set()
    for mapping in sorted(python, key=lambda m: not m.module.startswith("lib")):
        if mapping.path in seen:
            continue
        seen.add(mapping.path)
        try:
            binary = binaries.get(pid, mapping)
        except CPythonError as error:
            problem = error
            continue
        if RUNTIME in binary.symbols:
            return _Found(mapping, binary, binary.loads.load_bias(mapping.start, mapping.offset))
    raise problem


def _version(binary: Binary, named: tuple[int, int] | None, mappings: Sequence[Mapping]) -> tuple[int, int] | None:
    """The version: from the file, or from its name, or from those of extension modules. Raises CPythonError."""
    if binary.version:
        version = (binary.version >> 24, binary.version >> 16 & 0xFF)
        _check_version(version)
        if binary.version >> 4 & 0xF < _RELEASE_CANDIDATE:
            raise CPythonError(f"CPython {version[0]}.{version[1]} before its release: its layout is not known")
        return version
    if named is None:
        found = next((match for m in mappings if (match := _FOLDER.search(m.path))), None)
        digits = [int(group) for group in found.groups() if group] if found else []
        named = (digits[0], digits[1]) if digits else None
    if named is not None:
        _check_version(named)
    return named


def _named_version(python: Sequence[Mapping]) -> tuple[int, int] | None:
    for mapping in python:
        match = _NAME.search(mapping.module)
        if match and match[2]:
            return int(match[1]), int(match[2])
        if match and match[1] == "2":
            return 2, 7
    return None


def _check_version(version: tuple[int, int]) -> None:
    words = f"CPython {version[0]}.{version[1]}"
    if version < (3, OLDEST):
        raise CPythonError(f"{words} is older than 3.{OLDEST}")
    if version > (3, NEWEST):
        raise CPythonError(f"{words} is newer than 3.{NEWEST}")
