"""Entries of the procedure linkage table, named after the function that they jump to: `malloc@plt`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.symbolize.elf import MACHINE_X86_64, Elf, Section
from aperture_tui.symbolize.symbol_index import SYMBOL, Rows, Strings, symbol_strings

_SECTIONS: Final = (b".plt", b".plt.sec", b".plt.got")
_MAX_BYTES: Final = 16 << 20
_RELA: Final = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
_GLOB_DAT, _JUMP_SLOT = 6, 7
_JMP: Final = (0xFF, 0x25)  # jmp *disp32(%rip)
_JMP_AT: Final = (0, 1, 4, 5)  # plain; bnd; after endbr64; both


def plt_rows(elf: Elf, dynsym: Section) -> Iterator[Rows]:
    """A row for each entry whose jump goes through a slot that a relocation fills with a named function.

    x86-64 only: the jump is decoded, so no assumption is made of the order of the entries. Raises ElfError.
    """
    if elf.machine != MACHINE_X86_64 or elf.bits != 64:
        return
    slots, names = _slots(elf, dynsym)
    if not len(slots):
        return
    strings = symbol_strings(elf, dynsym)
    strings = Strings(strings.data, strings.size, strings.source, strings.offset, b"@plt")
    for section in map(elf.section, _SECTIONS):
        if section is None or section.entry_size not in (8, 16):
            continue
        entry, target = _jumps(elf, section)
        at = np.minimum(np.searchsorted(slots, target), len(slots) - 1)
        named = (slots[at] == target) & (names[at] > 0) & (names[at] < strings.size)
        entry, name = entry[named], names[at[named]]
        size = np.full(len(entry), section.entry_size, np.uint64)
        yield Rows(entry, size, entry + size, np.zeros(len(entry), np.uint8), name, strings)


def _slots(elf: Elf, dynsym: Section) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Relocated addresses, ascending, and the names (string offsets) of what is put there."""
    parts = [
        np.frombuffer(data[: len(data) // _RELA.itemsize * _RELA.itemsize], _RELA)
        for section in map(elf.section, (b".rela.plt", b".rela.dyn"))
        if section is not None and section.size <= _MAX_BYTES
        for data in [elf.content(section, _MAX_BYTES)]
    ]
    relocations = np.concatenate(parts) if parts else np.zeros(0, _RELA)
    kind, symbol = relocations["info"] & np.uint64(0xFFFFFFFF), relocations["info"] >> np.uint64(32)
    named = ((kind == _GLOB_DAT) | (kind == _JUMP_SLOT)) & (symbol > 0)
    relocations, symbol = relocations[named], symbol[named]
    if not len(symbol) or dynsym.size > _MAX_BYTES:
        return np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    dtype = SYMBOL[64]
    data = elf.content(dynsym, _MAX_BYTES)
    symbols = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    known = symbol < len(symbols)
    slots, name = relocations["offset"][known], symbols["name"][symbol[known].astype(np.intp)]
    order = np.argsort(slots, kind="stable")
    return slots[order], name[order]


def _jumps(elf: Elf, section: Section) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Addresses of the entries of a PLT section that hold an indirect jump, and the slots they jump through."""
    size = section.entry_size
    data = elf.content(section, _MAX_BYTES)
    code = np.frombuffer(data[: len(data) // size * size], np.uint8).reshape(-1, size)
    entry = np.uint64(section.address) + np.arange(len(code), dtype=np.uint64) * np.uint64(size)
    target = np.zeros(len(code), np.uint64)
    for at in _JMP_AT:
        if at + 6 > size:
            continue
        jump = (code[:, at] == _JMP[0]) & (code[:, at + 1] == _JMP[1]) & (target == 0)
        displacement = np.ascontiguousarray(code[:, at + 2 : at + 6]).view("<i4")[:, 0].astype(np.int64)
        slot = entry + np.uint64(at + 6) + displacement.astype(np.uint64)
        target[jump] = slot[jump]
    found = target != 0
    return entry[found], target[found]
