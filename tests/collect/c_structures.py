"""The C structures of bpf/, read out of their text: what the records in numpy have to match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from aperture_tui import resources
from aperture_tui.collect import compiler

_SIZES: Final = {"u64": 8, "s64": 8, "u32": 4, "s32": 4, "u16": 2, "u8": 1, "char": 1}


def _text(file: str) -> str:
    """bpf/FILE; of a program with what it includes."""
    if file.endswith(".bpf.c"):
        return compiler.Source(file.removesuffix(".bpf.c"), {}).text()
    return (resources.folder("bpf") / file).read_text()


@dataclass(frozen=True)
class Layout:
    """places: member -> (offset, size), in order; of a structure in a structure, its members. In bytes."""

    places: dict[str, tuple[int, int]]
    size: int
    alignment: int


def layout(file: str, structure: str) -> Layout:
    """A structure of bpf/FILE, laid out as a C compiler does."""
    text = re.sub(r"/\*.*?\*/", "", _text(file), flags=re.DOTALL)
    (body,) = re.findall(rf"^struct {structure} \{{(.*?)^\}};", text, re.DOTALL | re.MULTILINE)
    places: dict[str, tuple[int, int]] = {}
    at, widest = 0, 1
    for declaration in filter(None, map(str.strip, body.split(";"))):
        found = re.fullmatch(r"(struct )?(\w+) (.+)", declaration, re.DOTALL)
        assert found, f"a member that is not understood: {declaration!r}"
        inner = layout(file, found[2]) if found[1] else Layout({}, _SIZES[found[2]], _SIZES[found[2]])
        widest = max(widest, inner.alignment)
        for member in found[3].split(","):
            name, count = re.fullmatch(r"\s*(\w+)(?:\[(\d+)\])?\s*", member).groups()  # type: ignore[union-attr]
            at = -(-at // inner.alignment) * inner.alignment
            if inner.places:
                assert count is None, "an array of structures is not needed yet"
                places |= {word: (at + place, size) for word, (place, size) in inner.places.items()}
            else:
                places[name] = (at, inner.size * int(count or 1))
            at += inner.size * int(count or 1)
    return Layout(places, -(-at // widest) * widest, widest)


def assert_mirrors(dtype: np.dtype[np.void], c: Layout, renamed: dict[str, str] | None = None) -> None:
    """Every member at its place under its name; the whole as long. renamed: name in C -> name in numpy."""
    renamed = renamed or {}
    assert {name: (place[1], place[0].itemsize) for name, place in dtype.fields.items()} == {  # type: ignore[union-attr]
        renamed.get(name, name): place for name, place in c.places.items()
    }
    assert dtype.itemsize == c.size


def defines(file: str) -> dict[str, int]:
    """NAME -> number of `#define NAME NUMBER` in bpf/FILE, shifts included."""
    text = _text(file)
    plain = re.findall(r"^#define (\w+) (\d+|0x[0-9a-f]+)(?:U|ULL)?\s*(?:/\*.*)?$", text, re.MULTILINE)
    shifted = re.findall(r"^#define (\w+) \((\d+)(?:U|ULL)? << (\d+)\)", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in plain} | {name: int(value) << int(by) for name, value, by in shifted}


def enumerated(file: str, first: str) -> list[str]:
    """The names of the enum in bpf/FILE that begins with this one, by their numbers from 0."""
    text = _text(file)
    (body,) = re.findall(rf"enum \{{\s*({first}\b[^}}=]*)\}}", text)
    return [word.strip() for word in body.split(",") if word.strip()]
