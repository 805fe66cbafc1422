"""What the ELF file of a V8 says: its metadata for debuggers, and where the handlers of its bytecodes are.

V8's tools/gen-postmortem-metadata.py makes the metadata: a symbol v8dbg_NAME of an int for each constant, in every
build of Node.js. The builtins are symbols that a stripped file does not have.
"""

from __future__ import annotations

import re
from typing import Final

from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.elf import MACHINE_X86_64, SHT_DYNSYM, SHT_SYMTAB, Elf, ElfError, Source
from aperture_tui.symbolize.named_symbols import content, matching_symbols
from aperture_tui.symbolize.v8.layout import Layout, Span, V8Error, layout_of

_METADATA: Final = "v8dbg_"
_BUILTIN: Final = "Builtins_"
# the first and the last bytecode handler, which are the last builtins of all (BUILTIN_LIST in
# src/builtins/builtins-definitions.h)
_HANDLERS: Final = ("WideHandler", "AbortExtraWideHandler")
_WANTED: Final = re.compile(rb"(?<=\0)(?:v8dbg_\w{1,100}|Builtins_(?:%b))(?=\0)" % "|".join(_HANDLERS).encode())
_MAX_WANTED: Final = 2048
_PAGE: Final = 4096
_NAMES: Final = re.compile(r"node|nodejs|libnode\.so.*|deno")


def is_v8(mapping: Mapping) -> bool:
    """Whether a mapping may be V8, by its name."""
    return _NAMES.fullmatch(mapping.module) is not None and mapping.has_file


def read_binary(source: Source) -> Layout:
    """What a file says. Raises ElfError if it is no ELF file of x86-64; V8Error if it is no V8, or not a known one."""
    elf = Elf.read(source)
    if elf.bits != 64 or elf.machine != MACHINE_X86_64:
        raise ElfError("not an ELF file of x86-64")
    symbols: dict[str, int] = {}
    for kind in (SHT_SYMTAB, SHT_DYNSYM):
        section = next((s for s in elf.sections if s.type == kind and s.size), None)
        if section is not None and not any(name.startswith(_METADATA) for name in symbols):
            symbols |= matching_symbols(elf, section, _WANTED, _MAX_WANTED)
    constants = {}
    for name, address in symbols.items():
        if name.startswith(_METADATA):
            constants[name.removeprefix(_METADATA)] = _number(elf, address)
    base = int(elf.load_segments["address"].min(initial=(1 << 64) - 1)) // _PAGE * _PAGE
    return layout_of(constants, _span(symbols, base, *_HANDLERS))


def binary_cache() -> BinaryCache[Layout]:
    """What files say, for the processes of one thread. Raises V8Error."""
    return BinaryCache(read_binary, V8Error)


def _number(elf: Elf, address: int) -> int:
    """An int of a file; a zero may lie in memory that the file has no bytes for (.bss). Raises ElfError."""
    for segment in elf.load_segments:
        into = address - int(segment["address"])
        if int(segment["file_size"]) <= into < int(segment["memory_size"]):
            return 0
    return int.from_bytes(content(elf, address, 4), "little", signed=True)


def _span(symbols: dict[str, int], base: int, first: str, last: str) -> Span:
    """From one builtin to another; empty if the file does not name them."""
    start, end = (symbols.get(_BUILTIN + name, 0) - base for name in (first, last))
    return Span(start, end - start) if 0 < start < end < 1 << 32 else Span(0, 0)
