"""What the ELF files of a process say: where CPython's state is, which version it is, where glibc keeps thread data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.cpython.errors import CPythonError
from aperture_tui.symbolize.cpython.loop import loop_ranges
from aperture_tui.symbolize.elf import (
    MACHINE_X86_64,
    SHT_DYNSYM,
    SHT_SYMTAB,
    Elf,
    ElfError,
    Loads,
    Source,
)
from aperture_tui.symbolize.named_symbols import content, named_symbols

RUNTIME: Final = "_PyRuntime"
TYPES: Final = ("PyCode_Type", "PyUnicode_Type", "PyBytes_Type")
_VERSION: Final = "Py_Version"
_SPECIFIC: Final = "_thread_db_pthread_specific"
_LOOP: Final = "_PyEval_EvalFrameDefault"
_WANTED: Final = (RUNTIME, _VERSION, _SPECIFIC, _LOOP, *TYPES)
_MAX_PTHREAD: Final = 64 << 10
_POINTERS_BITS: Final = 32 * 64
_PYTHON: Final = re.compile(r"libpython[23]\.\d.*\.so.*|python(?:[23](?:\.\d+)?[dmtu]*)?")


@dataclass(frozen=True, slots=True)
class Binary:
    """One version of a file.

    symbols: virtual addresses of those of the wanted names that it defines. version: CPython's PY_VERSION_HEX, 0 where
    the file does not say. specific: offset of the pointers to thread-specific data in glibc's struct pthread, -1 where
    the file does not say. loop: ranges of virtual addresses of the interpreter loop, see `loop_ranges`. loads: its
    segments with code.
    """

    symbols: dict[str, int]
    version: int
    specific: int
    loop: tuple[tuple[int, int], ...]
    loads: Loads


def read_binary(source: Source) -> Binary:
    """What a file says. Raises ElfError if it is no ELF file of x86-64."""
    elf = Elf.read(source)
    if elf.bits != 64 or elf.machine != MACHINE_X86_64:
        raise ElfError("not an ELF file of x86-64")
    symbols: dict[str, int] = {}
    for kind in (SHT_DYNSYM, SHT_SYMTAB):
        section = next((s for s in elf.sections if s.type == kind and s.size), None)
        if section is not None and RUNTIME not in symbols and _SPECIFIC not in symbols:
            symbols = named_symbols(elf, section, _WANTED) | symbols
    version = int.from_bytes(content(elf, symbols[_VERSION], 4), "little") if _VERSION in symbols else 0
    return Binary(symbols, version, _specific(elf, symbols), _loop(elf, symbols), elf.loads)


def binary_cache() -> BinaryCache[Binary]:
    """What files say, for the processes of one thread. Raises CPythonError."""
    return BinaryCache(read_binary, CPythonError)


def specific_offset(binaries: BinaryCache[Binary], pid: int, mappings: Iterable[Mapping]) -> int:
    """Where struct pthread has the pointers to thread-specific data, as the process's glibc says. Raises CPythonError.

    From the descriptors that glibc has for debuggers (nptl_db/structs.def, db_info.c): in libc.so.6 since 2.34, in
    libpthread.so.0 before.
    """
    for mapping in sorted(_libraries(mappings), key=lambda m: m.module.startswith("libc")):
        if "musl" in mapping.module:
            raise CPythonError("a CPython on musl: only glibc says where it keeps thread-specific data")
        found = binaries.get(pid, mapping).specific
        if found >= 0:
            return found
    raise CPythonError("no libc.so.6 or libpthread.so.0 of glibc that says where it keeps thread-specific data")


def is_loading(mappings: Sequence[Mapping]) -> bool:
    """Whether the dynamic loader is there and a C library is not, which it maps after libpython."""
    return any(m.module.startswith("ld-") for m in mappings) and not any(_libraries(mappings))


def _libraries(mappings: Iterable[Mapping]) -> Iterator[Mapping]:
    for mapping in mappings:
        name = mapping.module
        if name.startswith(("libc.so", "libc-2", "libpthread.so", "libpthread-2", "ld-musl", "libc.musl")):
            yield mapping


def _loop(elf: Elf, symbols: dict[str, int]) -> tuple[tuple[int, int], ...]:
    """The interpreter loop: without it the rest is still good."""
    if RUNTIME not in symbols or _LOOP not in symbols:
        return ()
    try:
        return loop_ranges(elf, symbols[_LOOP])
    except ElfError:
        return ()


def _specific(elf: Elf, symbols: dict[str, int]) -> int:
    """The descriptor: bits of an element, elements, offset in bytes. The 32 pointers are one element of 2048 bits."""
    if _SPECIFIC not in symbols:
        return -1
    bits, count, offset = np.frombuffer(content(elf, symbols[_SPECIFIC], 12), "<u4").tolist()
    return offset if bits * count == _POINTERS_BITS and offset < _MAX_PTHREAD else -1


def is_python(mapping: Mapping) -> bool:
    """Whether a mapping may be CPython: libpython3.11.so.1.0, python3.11, python; not the stub libpython3.so."""
    path = mapping.path
    # for most mappings of most processes the first test is the last
    return "python" in path and _PYTHON.fullmatch(os.path.basename(path)) is not None
