"""Compiled BPF: map specifications and bytecode, as the compiling child hands them over and the cache keeps them."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOAD_64: Final = 0x18  # BPF_LD | BPF_IMM | BPF_DW: two slots of 8 bytes
_PSEUDO_MAP: Final = 1  # BPF_PSEUDO_MAP_FD in the source register
_MAX_CODE: Final = 8 << 20
_MAX_MAPS: Final = 64


class ObjectCodeError(ValueError):
    """Something that is not object code, or not whole."""


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What bpf(BPF_MAP_CREATE) needs. key_size and value_size in bytes."""

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One program. In `code` a reference to a map holds the map's place in ObjectCode.maps, not a descriptor.

    tracepoint: that of bpf.PROG_TRACING.
    """

    name: str
    type: int
    code: bytes
    tracepoint: str = ""

    def linked(self, descriptors: Sequence[int]) -> bytes:
        """The code with descriptors in place of map numbers. Raises ObjectCodeError for a map that is not there."""
        return relink(self.code, dict(enumerate(descriptors)))


@dataclass(frozen=True, slots=True)
class ObjectCode:
    """Maps and programs of one source file."""

    maps: tuple[MapSpec, ...]
    programs: tuple[ProgramSpec, ...]

    def as_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return {
            "maps": [[m.name, m.type, m.key_size, m.value_size, m.max_entries, m.flags] for m in self.maps],
            "programs": [
                [p.name, p.type, base64.b64encode(p.code).decode("ascii"), p.tracepoint] for p in self.programs
            ],
        }

    @classmethod
    def from_json(cls, data: Any) -> ObjectCode:
        """The inverse of `as_json`. Raises ObjectCodeError on anything else."""
        try:
            maps = tuple(MapSpec(str(row[0]), *(int(v) for v in row[1:6])) for row in data["maps"])
            programs = tuple(
                ProgramSpec(str(name), int(kind), base64.b64decode(code, validate=True), str(tracepoint))
                for name, kind, code, tracepoint in data["programs"]
            )
        except (KeyError, TypeError, ValueError, IndexError, binascii.Error) as error:
            raise ObjectCodeError(f"not object code: {error!r}") from error
        if not programs or len(maps) > _MAX_MAPS or any(len(p.code) > _MAX_CODE for p in programs):
            raise ObjectCodeError("object code without programs, or out of bounds")
        for program in programs:
            program.linked([0] * len(maps))
        return cls(maps, programs)


def relink(code: bytes, replace: Mapping[int, int]) -> bytes:
    """Replace the number in every map reference. Raises ObjectCodeError for one that is not in the mapping."""
    if len(code) % 8:
        raise ObjectCodeError("bytecode that is not a whole number of instructions")
    out = bytearray(code)
    at = 0
    while at < len(out):
        if out[at] != _LOAD_64:
            at += 8
            continue
        if at + 16 > len(out):
            raise ObjectCodeError("bytecode that ends inside an instruction")
        if out[at + 1] >> 4 == _PSEUDO_MAP:
            number = struct.unpack_from("=i", out, at + 4)[0]
            if number not in replace:
                raise ObjectCodeError(f"bytecode refers to a map {number} that it does not declare")
            struct.pack_into("=i", out, at + 4, replace[number])
        at += 16
    return bytes(out)
