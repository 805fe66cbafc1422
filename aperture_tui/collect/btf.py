"""Where the members of a kernel structure lie, from the kernel's own BTF: no headers needed.

Format: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

VMLINUX: Final = Path("/sys/kernel/btf/vmlinux")

_STRUCT: Final = 4
_TRAILING: Final = {1: 4, 3: 12, 14: 4, 17: 4}
"""kind -> bytes after the 12 of a type: INT, ARRAY, VAR, DECL_TAG."""
_PER_MEMBER: Final = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""kind -> bytes for each of its members: STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64."""


class BtfError(RuntimeError):
    """The kernel has no BTF, or it lacks what is asked for."""


def member_offsets(structure: str, members: tuple[str, ...], source: Path = VMLINUX) -> dict[str, int]:
    """Byte offsets of these members. Raises BtfError with one clear line."""
    try:
        data = source.read_bytes()
    except OSError as error:
        raise BtfError(
            f"the kernel offers no BTF ({error.strerror}: {source}): it needs CONFIG_DEBUG_INFO_BTF=y"
        ) from error
    try:
        found = _scan(data, structure, members)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise BtfError(f"the kernel's BTF cannot be read: {error}") from error
    if len(found) != len(members):
        raise BtfError(f"the kernel's BTF has no {structure}.{next(m for m in members if m not in found)}")
    return found


def _scan(data: bytes, structure: str, members: tuple[str, ...]) -> dict[str, int]:
    magic, _version, _flags, header, type_at, type_length, text_at, text_length = struct.unpack_from("<HBBIIIII", data)
    if magic != 0xEB9F:
        raise ValueError("not BTF")
    types = memoryview(data)[header + type_at :][:type_length]
    text = data[header + text_at :][:text_length]
    wanted = structure.encode() + b"\0"
    row = struct.Struct("<III").unpack_from
    at = 0
    while at < len(types):
        name, info, _size = row(types, at)
        kind, n = info >> 24 & 31, info & 0xFFFF
        if kind == _STRUCT and text.startswith(wanted, name):
            return _members(types, at + 12, n, bool(info >> 31), text, members)
        at += 12 + _TRAILING.get(kind, _PER_MEMBER.get(kind, 0) * n)
    return {}


def _members(
    types: memoryview, at: int, n: int, bit_fields: bool, text: bytes, members: tuple[str, ...]
) -> dict[str, int]:
    found = {}
    for i in range(n):
        name, _type, offset = struct.unpack_from("<III", types, at + 12 * i)
        word = text[name : text.index(b"\0", name)].decode()
        if word in members:
            found[word] = (offset & 0xFFFFFF if bit_fields else offset) // 8
    return found
