"""What to write on a box: the whole name, then less and less of it."""

from __future__ import annotations

import re
import zlib
from typing import Final

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.cells import cut, plain, width_of
from aperture_tui.tui.look import SHADES
from aperture_tui.tui.model import FrameLabel

_LONGEST: Final = 500  # characters of a name that are parsed; no screen is wider
_RUST_HASH: Final = re.compile(r"::h[0-9a-f]{16}$")
_OPERATOR: Final = re.compile(r"operator\s*(?:<=>|<<=|>>=|->\*|->|<<|>>|<=|>=|\(\)|<|>)")
_ANONYMOUS: Final = "(anonymous namespace)"
_DOTTED: Final = (FrameKind.PYTHON, FrameKind.RUNTIME, FrameKind.JIT)


def make_label(function: str, module: str, file: str, line: int, kind: FrameKind) -> FrameLabel:
    """A frame in words. The arguments are those of profile.symbols.Frame."""
    name = plain(function) or (f"[{plain(module)}]" if module else "[unknown]")
    full = f"{name}{_origin(module, file, line, kind)}"
    forms = (full, name, simple_name(name, kind), last_part(name, kind))
    shade = zlib.crc32((module or file).encode("utf-8", "replace")) % SHADES
    return FrameLabel(function, module, file, line, kind, tuple(dict.fromkeys(forms)), shade)


def _origin(module: str, file: str, line: int, kind: FrameKind) -> str:
    """Where a frame is from, as it stands behind its name: colour alone does not say it."""
    if kind in (FrameKind.ROOT, FrameKind.PROCESS):
        return ""
    if kind is FrameKind.KERNEL:
        return " [kernel]"
    if kind in (FrameKind.PYTHON, FrameKind.RUNTIME) and file:
        return f" ({plain(file.rsplit('/', 1)[-1])}{f':{line}' if line else ''})"
    mark = {FrameKind.JIT: "[jit]", FrameKind.GPU: "[gpu]"}.get(kind)
    where = plain(module.rsplit("/", 1)[-1])
    return f" {mark}" if mark else f" ({where})" if where else ""


def simple_name(name: str, kind: FrameKind = FrameKind.NATIVE) -> str:
    """A C++ or Rust name without template arguments and parameters; other names as they are.

    Linear in the length of the name, which comes from files that we do not trust.
    """
    if kind is not FrameKind.NATIVE or len(name) > _LONGEST or not any(c in name for c in "<(:"):
        return name
    name = _RUST_HASH.sub("", name).replace(_ANONYMOUS + "::", "")
    out: list[str] = []
    depth = i = 0
    while i < len(name):
        if depth == 0 and (operator := _OPERATOR.match(name, i)):
            out.append(operator[0])
            i = operator.end()
            continue
        c = name[i]
        if c == "<":
            depth += 1
        elif c == ">" and depth and name[i - 1] != "-":
            depth -= 1
        elif depth == 0:
            if c == "(" and out and out[-1] != ".":  # after a dot it is a Go receiver
                break
            out.append(c)
        i += 1
    simple = "".join(out).strip()
    return simple.removeprefix("::") or name


def last_part(name: str, kind: FrameKind = FrameKind.NATIVE) -> str:
    """The function alone, without its namespaces, classes and modules."""
    if kind is FrameKind.NATIVE and "::" in name:
        head, _, last = simple_name(name, kind).rpartition("::")
        return f"{head.rpartition('::')[2]}::{last}" if last == "operator()" and head else last or name
    if kind in _DOTTED:
        return name.rpartition(".")[2] or name
    return name


def fitting(label: FrameLabel, width: int) -> str:
    """The longest form that fits into `width` cells, else the shortest, cut; nothing below three cells."""
    if width < 3:
        return ""
    for form in label.forms:
        if width_of(form) <= width:
            return form
    return cut(label.forms[-1], width)
