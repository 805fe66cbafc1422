"""Where members of the kernel's structures lie, and the numbers of its types, from its own BTF: no headers needed.

Format: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VMLINUX: Final = Path("/sys/kernel/btf/vmlinux")

_STRUCT: Final = 4
_TYPEDEF: Final = 8
_TRAILING: Final = {1: 4, 3: 12, 14: 4, 17: 4}
"""kind -> bytes after the 12 of a type: INT, ARRAY, VAR, DECL_TAG."""
_PER_MEMBER: Final = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""kind -> bytes for each of its members: STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64."""

_T = TypeVar("_T")


class BtfError(RuntimeError):
    """The kernel has no BTF, or it lacks what is asked for."""


@functools.cache
def member_offsets(structure: str, members: tuple[str, ...], source: Path = VMLINUX) -> Mapping[str, int]:
    """Byte offsets of these members. Raises BtfError with one clear line."""
    found = _asked(source, lambda types: types.members(structure, members))
    if len(found) != len(members):
        raise BtfError(f"the kernel's BTF has no {structure}.{next(m for m in members if m not in found)}")
    return found


@functools.cache
def tracepoint_type(name: str, source: Path = VMLINUX) -> int:
    """The number of the type that a tracepoint's arguments have. Raises BtfError with one clear line."""
    found = _asked(source, lambda types: types.find(f"btf_trace_{name}", _TYPEDEF))
    if found is None:
        raise BtfError(f"the kernel's BTF does not tell the arguments of {name}")
    return found[0]


def _asked(source: Path, question: Callable[[_Types], _T]) -> _T:
    try:
        return question(_Types(source.read_bytes()))
    except OSError as error:
        raise BtfError(
            f"the kernel offers no BTF ({error.strerror}: {source}): it needs CONFIG_DEBUG_INFO_BTF=y"
        ) from error
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise BtfError(f"the kernel's BTF cannot be read: {error}") from error


class _Types:
    """Raises struct.error or ValueError for what is no BTF."""

    def __init__(self, data: bytes) -> None:
        magic, _, _, header, type_at, type_length, text_at, text_length = struct.unpack_from("<HBBIIIII", data)
        if magic != 0xEB9F:
            raise ValueError("not BTF")
        self._types = memoryview(data)[header + type_at :][:type_length]
        self._text = data[header + text_at :][:text_length]

    def find(self, name: str, of_kind: int) -> tuple[int, int] | None:
        """The first type of this name and kind: its number, and where it is."""
        types, text, wanted = self._types, self._text, name.encode() + b"\0"
        row = struct.Struct("<II").unpack_from
        at, number = 0, 1
        while at < len(types):
            named, info = row(types, at)
            kind = info >> 24 & 31
            if kind == of_kind and text.startswith(wanted, named):
                return number, at
            at += 12 + _TRAILING.get(kind, _PER_MEMBER.get(kind, 0) * (info & 0xFFFF))
            number += 1
        return None

    def members(self, structure: str, members: tuple[str, ...]) -> dict[str, int]:
        """Byte offsets of those that there are."""
        found: dict[str, int] = {}
        place = self.find(structure, _STRUCT)
        if place is None:
            return found
        _, info = struct.unpack_from("<II", self._types, place[1])
        for i in range(info & 0xFFFF):
            name, _, offset = struct.unpack_from("<III", self._types, place[1] + 12 * (i + 1))
            word = self._text[name : self._text.index(b"\0", name)].decode()
            if word in members:
                found[word] = (offset & 0xFFFFFF if info >> 31 else offset) // 8
        return found
