"""Symbols that a stripped file keeps elsewhere: separate debug files and .gnu_debugdata.

Where they are looked for is GDB's rule (manual, "Debugging Information in Separate Files"); MiniDebugInfo is an
xz-compressed ELF file with the symbols that .dynsym lacks.
"""

from __future__ import annotations

import lzma
import os
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aperture_tui.symbolize.elf import SHT_NOBITS, BytesSource, Elf, ElfError, FileSource, Section
from aperture_tui.symbolize.go_table import go_section
from aperture_tui.symbolize.served import answers, open_below

_DEBUG: Final = "/usr/lib/debug"
_MAX_CHECKED: Final = 1 << 30  # bytes of a debug file whose CRC is computed: about a second
_MAX_MINI: Final = 64 << 20
_LZMA_MEMORY: Final = 128 << 20
_BLOCK: Final = 1 << 20
_C_FRAMES: Final = b".eh_frame"  # Go's linker writes none


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """DWARF in an open file, or what a program of Go has without it.

    nbytes: of its debug sections, or of Go's table, as they lie there. base: the address of its first loaded segment,
    which is the lowest one where they are in order; a symcache counts from there.
    """

    source: FileSource
    nbytes: int
    base: int
    is_go: bool = False


def is_debug(section: Section) -> bool:
    """Whether a section has DWARF."""
    return section.type != SHT_NOBITS and section.name.startswith((b".debug_", b".zdebug_"))


def debug_info(elf: Elf) -> DebugInfo | None:
    """Where the DWARF of a file is, if it holds any."""
    present = [section for section in elf.sections if is_debug(section)]
    if not isinstance(elf.source, FileSource) or not elf.source.whole:
        return None
    if not any(s.name in (b".debug_info", b".zdebug_info") for s in present):
        return None
    loads = elf.load_segments
    return DebugInfo(elf.source, sum(s.size for s in present), int(loads["address"][0]) if len(loads) else 0)


def inline_sources(elf: Elf, debug: DebugInfo | None) -> tuple[DebugInfo, ...]:
    """What tells which functions are inlined in a file that has this DWARF, the best first.

    What Go has by itself says the same as DWARF, and takes no library; but of C in the same program only DWARF tells.
    """
    dwarf = () if debug is None else (debug,)
    section = go_section(elf)
    if section is None or not isinstance(elf.source, FileSource):
        return dwarf
    go = DebugInfo(elf.source, section.size, 0, is_go=True)
    return (*dwarf, go) if elf.section(_C_FRAMES) is not None else (go, *dwarf)


def debug_file(elf: Elf, path: str, roots: Sequence[str]) -> Elf | None:
    """The separate debug file of an ELF file, or None.

    path: of the file inside its root. roots: directories to look in, the process's own first. A file found by
    build-id must carry the same one; one found by name must carry it or have the CRC-32 of the link. A candidate that
    cannot be opened, or is not the right one, is passed over.
    """
    build_id = elf.build_id
    if len(build_id) > 1:
        name = build_id.hex()
        for found, _ in _candidates([f"{_DEBUG}/.build-id/{name[:2]}/{name[2:]}.debug"], roots):
            if found.build_id == build_id:
                return found
    link = elf.debug_link
    if link is None:
        return None
    directory = posixpath.dirname(path)
    names = [f"{directory}/{link[0]}", f"{directory}/.debug/{link[0]}", f"{_DEBUG}{directory}/{link[0]}"]
    for found, source in _candidates(names, roots):
        if found.build_id == build_id if build_id and found.build_id else _crc(source) == link[1]:
            return found
    return None


def _candidates(names: Sequence[str], roots: Sequence[str]) -> Iterator[tuple[Elf, FileSource]]:
    for root in roots:
        for name in names:
            try:
                source = open_below(root, name)
            except OSError:
                continue
            try:
                yield Elf.read(source), source
            except ElfError:
                continue


def _crc(source: FileSource) -> int:
    """CRC-32 of a whole file; -1 if it is too large to read."""
    if source.size > _MAX_CHECKED:
        return -1
    crc = 0
    for offset in range(0, source.size, _BLOCK):
        crc = zlib.crc32(source.read(offset, min(_BLOCK, source.size - offset)), crc)
    return crc


def mini_debug_info(elf: Elf) -> Elf | None:
    """The ELF file inside .gnu_debugdata, or None. Raises ElfError if it is malformed or too large."""
    section = elf.section(b".gnu_debugdata")
    if section is None:
        return None
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY)
    try:
        data = decompressor.decompress(elf.content(section, _MAX_MINI), _MAX_MINI)
    except lzma.LZMAError as error:
        raise ElfError(f".gnu_debugdata: {error}") from error
    if not decompressor.eof:
        raise ElfError(f".gnu_debugdata is cut short, or over {_MAX_MINI} bytes")
    return Elf.read(BytesSource(data))


def roots_of(pid: int) -> list[str]:
    """Where to look for a process's files: in its own root, then in ours if that is another one."""
    theirs = f"/proc/{pid}/root"
    if not answers(theirs, "/"):
        return [theirs, "/"]
    try:
        if os.path.samestat(os.stat(theirs), os.stat("/")):
            return ["/"]
    except OSError:
        return ["/"]
    return [theirs, "/"]
