"""The child that makes the table of inlined functions of one file, of DWARF or of Go's tables, in its own process.

The Rust library `symbolic` converts debug information to a "symcache"; its ranges, without the lines, become an
InlineTable. What Go has by itself is read by `go_inlines`. Started by `symbolize.inlines` as `python -m`, never
imported by it: memory and time that it takes, and whatever a hostile file may do, end with this process. It needs its
rights to open the file, and gives them up before it reads it.

Format of a symcache: getsentry/symbolic, symbolic-symcache/src/raw.rs and symbolic-symcache/src/lib.rs, version 9.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from aperture_tui.symbolize.confined import drop_rights, limit
from aperture_tui.symbolize.inlines_table import MAX_BYTES, InlineTable, TableError, trie_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_MEMORY: Final = 768 << 20
"""Bytes of address space beyond what the process has mapped before it begins."""
MAX_CPU_S: Final = 20
_NICE: Final = 10
_MAGIC: Final = b"SYMC"
_VERSION: Final = 9
_HEADER: Final = struct.Struct("<4sI32xI5I2x14x")
_NONE: Final = 0xFFFFFFFF
_FILE_BYTES: Final = 24
_NAME: Final = 0  # of the four columns of a function: name, directory, entry, language
_FUNCTION, _INTO = 2, 3  # of the four columns of a location: file, line, function, location that it is inlined into


def table_of(symcache: bytes, base: int) -> InlineTable:
    """The inlined functions in a symcache. base: virtual address that its addresses count from. Raises TableError."""
    if len(symcache) < _HEADER.size or symcache[:4] != _MAGIC:
        raise TableError("not a symcache")
    _, version, _, files, functions, locations, ranges, text = _HEADER.unpack_from(symcache)
    if version != _VERSION:
        raise TableError(f"a symcache of version {version}, not {_VERSION}")
    function, at = _columns(symcache, 4, functions, _HEADER.size + files * _FILE_BYTES)
    location, at = _columns(symcache, 4, locations, at)
    start, at = _columns(symcache, 1, ranges, at)
    at = (at + 7) // 8 * 8
    strings = symcache[at : at + text]
    if ranges > locations:
        raise TableError("more ranges than locations")
    name_of = np.append(function[_NAME], np.uint32(_NONE))[np.minimum(location[_FUNCTION], functions)]
    node, parent, name = trie_of(location[_INTO], name_of)
    node = node[locations - ranges :]
    changed = np.append(node[:1] != 0, node[1:] != node[:-1])
    used, name[1:] = np.unique(name[1:], return_inverse=True)
    texts = [_string(strings, offset) for offset in used.tolist()]
    end = np.cumsum([len(word) for word in texts], dtype=np.uint32)
    return InlineTable(base, start[0][changed], node[changed], parent, name, end, b"".join(texts))


def _columns(data: bytes, width: int, count: int, at: int) -> tuple[NDArray[np.uint32], int]:
    """A table of so many numbers a row, by column: (width, count); and where it ends."""
    at = (at + 7) // 8 * 8
    if at + 4 * width * count > len(data):
        raise TableError("the symcache is cut short")
    return np.frombuffer(data, "<u4", width * count, at).reshape(count, width).T, at + 4 * width * count


def _string(strings: bytes, offset: int) -> bytes:
    """A string behind its LEB128 length; "?" where there is none."""
    size = shift = 0
    for at in range(offset, min(offset + 5, len(strings))):
        size |= (strings[at] & 0x7F) << shift
        shift += 7
        if strings[at] < 0x80:
            return strings[at + 1 : at + 1 + size]
    return b"?"


def _limit() -> None:
    """Be small and slow."""
    os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # where memory runs out, this is the one to end; where it cannot be said, the limits hold
    with open("/proc/self/statm", "rb") as pages:
        mapped = int(pages.read().split()[0]) * resource.getpagesize()
    limit(
        {
            resource.RLIMIT_AS: mapped + MAX_MEMORY,
            resource.RLIMIT_CPU: MAX_CPU_S,
            resource.RLIMIT_FSIZE: 2 * MAX_BYTES,
            resource.RLIMIT_CORE: 0,
        }
    )


def _dwarf(source: int, base: int) -> InlineTable:
    from symbolic.debuginfo import Archive

    _limit()
    archive = Archive.open(f"/proc/self/fd/{source}")
    drop_rights()
    objects = list(archive.iter_objects())
    if len(objects) != 1:
        raise TableError("not one ELF file")
    symcache: bytes = objects[0].make_symcache().open_stream().read()  # type: ignore[no-untyped-call]  # as it is
    return table_of(symcache, base)


def _go(source: int) -> InlineTable:
    from aperture_tui.symbolize.elf import Elf, FileSource
    from aperture_tui.symbolize.go_inlines import go_inlines

    _limit()
    drop_rights()
    return go_inlines(Elf.read(FileSource(source)))


def main() -> None:
    """`python -m ... go|dwarf IN OUT BASE KEY`: descriptors of file and answer, base in decimal, key in hex."""
    kind = sys.argv[1]
    source, target, base = (int(word) for word in sys.argv[2:5])
    table = _go(source) if kind == "go" else _dwarf(source, base)
    with open(target, "wb", closefd=False) as out:
        out.write(table.packed(bytes.fromhex(sys.argv[5])))


if __name__ == "__main__":
    main()
