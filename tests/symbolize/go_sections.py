"""Writes the table that Go's linker puts into a program, and files that have it in one of the places that occur."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

GO_1_18, GO_1_20 = 0xFFFFFFF0, 0xFFFFFFF1
TEXT: Final = 0x401000
TEXT_BYTES: Final = 0x10000
_RELATIVE: Final = 8


class Inlined(NamedTuple):
    """at: the instruction, from the start of the function, at which what it is inlined into is the innermost."""

    name: bytes
    at: int


class Function(NamedTuple):
    """depths: (bytes of code, depth of the stack there) one after the other; the rest of it is padding.

    tree: what is inlined. innermost: (bytes of code, place in the tree or -1) one after the other.
    """

    start: int
    end: int
    name: bytes
    depths: tuple[tuple[int, int], ...]
    flags: int = 0
    tree: tuple[Inlined, ...] = ()
    innermost: tuple[tuple[int, int], ...] = ()


def number(value: int) -> bytes:
    """In groups of seven bits."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def steps(values: Sequence[tuple[int, int]]) -> bytes:
    """What `go_steps` reads: (bytes of code, value). Equal neighbours are one: a change of zero would be the end."""
    out, before = b"", -1
    for value, parts in itertools.groupby(values, lambda part: part[1]):
        change = value - before
        out += number(change << 1 if change >= 0 else ~(change << 1)) + number(sum(length for length, _ in parts))
        before = value
    return out + b"\0"


def section(functions: Sequence[Function], magic: int = GO_1_20, text: int = TEXT) -> bytes:
    """.gopclntab of these functions, whose starts and ends count from the first of the code."""
    return section_and_trees(functions, magic, text)[0]


def section_and_trees(functions: Sequence[Function], magic: int = GO_1_20, text: int = TEXT) -> tuple[bytes, bytes]:
    """.gopclntab, and the trees of what is inlined that it refers to."""
    names, tables, rest, column, trees = b"\0", b"\0", b"", b"", b""
    flags_at = 41 if magic == GO_1_20 else 37
    for one in functions:
        column += struct.pack("<II", one.start, 8 * len(functions) + 4 + len(rest))
        fixed = bytearray(
            struct.pack("<IiIIIIIII", one.start, len(names), 0, 0, len(tables), 0, 0, 0, 0).ljust(flags_at + 3, b"\0")
        )
        fixed[flags_at] = one.flags
        names += one.name + b"\0"
        tables += steps(one.depths)
        if one.tree:
            fixed[28], fixed[flags_at + 2] = 3, 4
            fixed += struct.pack("<III", 0, 0, len(tables)) + b"\xff" * 12 + struct.pack("<I", len(trees))
            tables += steps(one.innermost)
            for each in one.tree:
                trees += inlined(each, len(names), magic)
                names += each.name + b"\0"
        rest += bytes(fixed).ljust(44, b"\0")
    column += struct.pack("<I", functions[-1].end if functions else 0)
    parts = [names, b"", b"", tables, column + rest]
    offsets, at = [], 72
    for part in parts:
        offsets.append(at)
        at += len(part)
    header = struct.pack("<IBBBB8Q", magic, 0, 0, 1, 8, len(functions), 0, text, *offsets)
    return header + b"".join(parts), trees


def inlined(one: Inlined, name: int, magic: int) -> bytes:
    """One place of a tree. name: where its name is."""
    if magic == GO_1_20:
        return struct.pack("<B3xiii", 7, name, one.at, 12)
    return struct.pack("<hBxiiii", -1, 7, 3, 12, name, one.at)


def module(table: bytes, address: int, trees: int, text: int = TEXT) -> bytes:
    """The description of the program that this .gopclntab at `address` belongs to. trees: the address of go:func.*."""
    magic, *_, names, _units, _files, tables, functions = struct.unpack_from("<IBBBB8Q", table)
    words = [0] * 60
    words[0], words[1], words[10], words[22] = address, address + names, address + tables, text
    words[13] = words[16] = address + functions
    words[40 if magic == GO_1_20 else 38] = trees
    return struct.pack("<60Q", *words)


def file(sections: Sequence[tuple[bytes, int, int, bytes]]) -> bytes:
    """An ELF file with these sections behind its code: (name, type, flags, content)."""
    whole = [(b"", 0, 0, b""), (b".text", 1, 6, b"\xcc" * TEXT_BYTES), *sections]
    names = b"".join(name + b"\0" for name, *_ in whole) + b".shstrtab\0"
    whole.append((b".shstrtab", 3, 0, names))
    base, body, table = TEXT - 0x1000, b"".ljust(0x1000, b"\0"), b""
    for name, kind, flags, content in whole:
        address = base + len(body) if flags else 0
        found = (names.index(name + b"\0"), kind, flags, address, len(body), len(content), 0, 0, 8, 0)
        table += struct.pack("<IIQQQQIIQQ", *(found if kind else (0,) * 10))
        body += content if kind else b""
        body += bytes(-len(body) % 16)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, len(body), 0, 64, 56, 1, 64, len(whole), len(whole) - 1)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, len(body), len(body) + 0x1000, 0x1000)
    return head + body[len(head) :] + table


def address_of(data: bytes, name: bytes, sections: Sequence[tuple[bytes, int, int, bytes]]) -> int:
    """Of a section of `file(sections)`."""
    at = 0x1000 + TEXT_BYTES
    for one, _kind, _flags, content in sections:
        if one == name:
            return TEXT - 0x1000 + at
        at += len(content) + -len(content) % 16
    raise KeyError(name)


def relocation(at: int, value: int) -> bytes:
    """What the loader puts at an address: of a program that it may put anywhere."""
    return struct.pack("<QIIq", at, _RELATIVE, 0, value)
