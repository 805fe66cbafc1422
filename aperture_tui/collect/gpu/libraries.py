"""The files that are somebody's libcuda: where they are, and at which offsets their functions begin."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aperture_tui.symbolize.elf import SHT_DYNSYM, Elf, ElfError, FileSource
from aperture_tui.symbolize.mounts import MOUNTS
from aperture_tui.symbolize.served import open_below
from aperture_tui.symbolize.symbol_index import SYMBOL, function_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NAME: Final = re.compile(r"(?:^|/)libcuda\.so(?:\.[0-9.]+)?$")
_USUAL: Final = (
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    "/usr/lib64/libcuda.so.1",
    "/usr/local/nvidia/lib64/libcuda.so.1",
    "/usr/lib/wsl/lib/libcuda.so.1",
)
MAX_FUNCTIONS: Final = 64
"""Probes in one file."""
_MAX_SYMBOLS: Final = 1 << 16
"""Exported names of a file that is looked at; libcuda has some 1,500, and any file can be given its name."""


class Library(NamedTuple):
    """A file. path: one under which this process can open it, however others see it."""

    device: int
    inode: int
    path: str


def is_libcuda(path: str) -> bool:
    """Whether a mapping of this name is of it."""
    return _NAME.search(path) is not None


def installed() -> Iterator[Library]:
    """Those that are where the driver is installed, so that programs are seen from their first launch on."""
    for path in _USUAL:
        yield from _library(path)


def mapped(pid: int) -> Iterator[Library]:
    """Those that a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return  # it has ended, or is not ours to look at
    found = (line.split(maxsplit=5) for line in lines if "libcuda.so" in line and line.count(" ") >= 5)
    for device, inode, path in {(words[3], words[4], words[5]) for words in found if is_libcuda(words[5])}:
        major, minor = (int(part, 16) for part in device.split(":"))
        if MOUNTS.served(pid, os.makedev(major, minor)) is not None:  # to be told that it cannot be opened
            yield Library(os.makedev(major, minor), int(inode), f"/proc/{pid}/root{path}")
        else:
            yield from _library(f"/proc/{pid}/root{path}")


def _library(path: str) -> Iterator[Library]:
    try:
        with contextlib.closing(_opened(path)) as source:
            facts = source.stat()
    except OSError:
        return
    yield Library(facts.st_dev, facts.st_ino, path)


def opened(library: Library) -> FileSource:
    """The file itself. Raises OSError, or ElfError if another one has taken its place."""
    source = _opened(library.path)
    facts = source.stat()
    if (facts.st_dev, facts.st_ino) != library[:2]:
        raise ElfError("it was exchanged while it was looked at")
    return source


def offsets(file: FileSource, names: Collection[str]) -> dict[str, int]:
    """Of these functions those that the file exports: name -> offset in the file. Raises ElfError if it is no file of
    this kind.
    """
    elf = Elf.read(file)
    found: dict[str, int] = {}
    for section in elf.sections:
        if section.type != SHT_DYNSYM:
            continue
        if section.size > _MAX_SYMBOLS * SYMBOL[elf.bits].itemsize:
            raise ElfError("it exports too much to be libcuda")
        rows = function_rows(elf, section)
        for address, at in zip(rows.start.tolist(), rows.name.tolist(), strict=True):
            name = rows.strings.at(at).decode("ascii", "replace")
            if name in names and len(found) < MAX_FUNCTIONS:
                found[name] = address
    if not found:
        raise ElfError("it has none of the driver's functions")
    return {name: _file_offset(elf, address) for name, address in found.items()}


def _opened(path: str) -> FileSource:
    """Raises OSError, also where its file system may not answer: the kernel reads of a file what it probes."""
    proc = re.match(r"(/proc/\d+/root)(/.*)", path)
    source = open_below(proc[1], proc[2]) if proc else open_below("/", path)
    if source.is_copy:
        source.close()
        raise OSError(errno.EOPNOTSUPP, "it is served by somebody who may not answer", path)
    return source


def _file_offset(elf: Elf, address: int) -> int:
    """Raises ElfError if it is not in the file."""
    for segment in elf.load_segments:
        first, size = int(segment["address"]), int(segment["file_size"])
        if first <= address < first + size:
            return address - first + int(segment["offset"])
    raise ElfError("a function lies outside of the file")
