"""The tables of a pprof file that its samples point into: texts, functions, mappings, locations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from aperture_tui.importing.modules import kind_of
from aperture_tui.importing.source import ImportingError
from aperture_tui.importing.stacks import MAX_DEPTH, MAX_NAME, Frames, text_of
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.wire import pprof_pb2

if TYPE_CHECKING:
    from aperture_tui.importing.protobuf import Field

MAX_ROWS: Final = 2_000_000
"""Of one table."""
_MAX_PART: Final = 1 << 20  # bytes of one message inside of the profile; ours have a few dozen
_MAX_LINE: Final = (1 << 32) - 1
_RUNTIMES: Final = (".rb", ".js", ".mjs", ".ts", ".php", ".java", ".kt", ".scala", ".cs", ".lua", ".pl", ".ex", ".erl")

M = TypeVar("M", bound=Message)


def parsed(kind: Callable[[], M], data: bytes, part: Field) -> M | None:
    """One message inside of the profile; None if it is damaged, or larger than any."""
    if part.value >= 0 or part.end - part.start > _MAX_PART:
        return None
    message = kind()
    try:
        message.ParseFromString(data[part.start : part.end])
    except DecodeError:
        return None
    return message


class Texts:
    """The string table. lost: how many indexes pointed nowhere."""

    def __init__(self, data: bytes, parts: Sequence[Field]) -> None:
        self.lost = 0
        self._data = data
        self._parts = parts
        self._known: dict[int, str] = {}

    def __getitem__(self, index: int) -> str:
        """A text, shortened; "" for an index that points nowhere."""
        if not 0 <= index < len(self._parts):
            self.lost += index != 0
            return ""
        known = self._known.get(index)
        if known is None:
            part = self._parts[index]
            # no more of it than is kept: a text may be as long as the file, and be asked for a million times
            known = self._known[index] = text_of(self._data[part.start : min(part.end, part.start + MAX_NAME + 1)])
        return known


class Locations:
    """Locations by their id. damaged: how many rows of the tables cannot be read, or have an id that is taken or 0.

    lost: how many locations were asked for that are not there.
    """

    def __init__(self, data: bytes, parts: dict[int, list[Field]], texts: Texts, frames: Frames) -> None:
        self.damaged = self.lost = 0
        self._texts, self._frames, self._data = texts, frames, data
        top = pprof_pb2.Profile
        tables = (
            top.MAPPING_FIELD_NUMBER,
            top.LOCATION_FIELD_NUMBER,
            top.FUNCTION_FIELD_NUMBER,
            top.STRING_TABLE_FIELD_NUMBER,
        )
        if any(len(parts[number]) > MAX_ROWS for number in tables):
            raise ImportingError(f"more than {MAX_ROWS:,} rows in one of its tables")
        mappings = self._table(pprof_pb2.Mapping, parts[top.MAPPING_FIELD_NUMBER])
        self._functions = self._table(pprof_pb2.Function, parts[top.FUNCTION_FIELD_NUMBER])
        self._locations = self._table(pprof_pb2.Location, parts[top.LOCATION_FIELD_NUMBER])
        self._modules = {number: texts[mapping.filename] for number, mapping in mappings.items()}
        self._known: dict[int, tuple[int, ...]] = {}
        self._unknown = frames.id_of(Frame("", kind=FrameKind.UNKNOWN))

    @property
    def program(self) -> str:
        """The file of the main program, which is the first mapping; "" if the file has none."""
        return next(iter(self._modules.values()), "")

    def path(self, ids: Sequence[int]) -> list[int]:
        """Frame ids of a sample, outermost first. ids: its locations, the innermost first."""
        out: list[int] = []
        for location_id in reversed(ids):
            out += self._known.get(location_id) or self._frames_of(location_id)
            if len(out) > MAX_DEPTH:
                break
        return out

    def _table(self, kind: Callable[[], M], parts: Sequence[Field]) -> dict[int, M]:
        out: dict[int, M] = {}
        for part in parts:
            row = parsed(kind, self._data, part)
            if row is None or not row.id or row.id in out:  # type: ignore[attr-defined]  # all three kinds have one
                self.damaged += 1
            else:
                out[row.id] = row  # type: ignore[attr-defined]  # as above
        return out

    def _frames_of(self, location_id: int) -> tuple[int, ...]:
        """The frames of a location: the function whose code it is, and in it those that were inlined."""
        location = self._locations.get(location_id)
        if location is None:
            self.lost += 1
            return (self._unknown,)
        module = self._modules.get(location.mapping_id, "")
        lines = location.line[-1 : -MAX_DEPTH - 1 : -1]
        frames = [self._frames.id_of(self._frame(line.function_id, line.line, module)) for line in lines]
        if not frames:
            frames = [self._frames.id_of(Frame("", module, kind=_kind(module, "")))]
        known = self._known[location_id] = tuple(frames)
        return known

    def _frame(self, function_id: int, line: int, module: str) -> Frame:
        function = self._functions.get(function_id)
        if function is None:
            self.lost += 1
            return Frame("", module, kind=_kind(module, ""))
        name, file = self._texts[function.name] or self._texts[function.system_name], self._texts[function.filename]
        if name.startswith("[") and not function.system_name and name == f"[{module.rpartition('/')[2]}]":
            name = ""  # our own way of writing a function that is unknown
        return Frame(name, module, file, line if 0 <= line <= _MAX_LINE else 0, _kind(module, file))


def _kind(module: str, file: str) -> FrameKind:
    """What the names of a module and of a source file tell of the code."""
    if file.endswith((".py", ".pyx")):
        return FrameKind.PYTHON
    if file.endswith(_RUNTIMES):
        return FrameKind.RUNTIME
    return kind_of(module) if module or file else FrameKind.UNKNOWN
