"""Names of Java methods, from the Method that the interpreter's frames and compiled code point at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame
from aperture_tui.symbolize.hotspot.compressed import first_line
from aperture_tui.symbolize.hotspot.errors import HotSpotError
from aperture_tui.symbolize.hotspot.layout import Layout
from aperture_tui.symbolize.hotspot.structs import Field
from aperture_tui.symbolize.process_memory import Memory

MODULE: Final = "[jit]"
"""Of all frames of Java: what memory is called in which a perf map names code, see `jit_frames`."""
RECHECK_S: Final = 1.0
"""A Method that was last looked at longer ago is looked at again: its class may have been unloaded."""
MAX_METHODS: Final = 1 << 16
"""Past it, all that is known of a process is forgotten together."""
_MAX_NAME: Final = 1024  # bytes of a Symbol that are read
_HEAD: Final = 96  # of them with the first read: most are shorter
_LINES: Final = 16
_HAS_LINES: Final = 1  # ConstMethodFlags, has_linenumber_table
_UTF8: Final = 1  # JVM_CONSTANT_Utf8
_SLOT: Final = 8
# What the VM adds to the name of a hidden class (JEP 371, JDK 15), and Unsafe.defineAnonymousClass before
_HIDDEN: Final = re.compile(r"[+/](?:0x[0-9a-f]{1,16}|\d{1,20})$")


class _Key(NamedTuple):
    """What makes a Method this one."""

    const_method: int
    constants: int
    name_index: int
    lines_at: int


class _Known(NamedTuple):
    key: _Key | None
    due: float
    frame: Frame | None


class Methods:
    """The Methods of one process. Owned by one thread. clock: seconds, only moves forward."""

    def __init__(self, memory: Memory, layout: Layout, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._layout = layout.names
        self._biased = layout.biased
        self._clock = clock
        self._known: dict[int, _Known] = {}

    def frames(self, addresses: Iterable[int]) -> dict[int, Frame | None]:
        """The frame of each Method; None: no method is there (any more). Of a process that is gone what was known."""
        wanted = dict.fromkeys(addresses)
        now = self._clock()
        known = self._known
        if len(known) + len(wanted) > MAX_METHODS:
            known.clear()
        missing = [at for at in wanted if (entry := known.get(at)) is None or entry.due < now]
        if missing:
            try:
                self._load(missing, now + RECHECK_S)
            except HotSpotError:
                if not known:
                    raise
        return {at: known[at].frame if at in known else None for at in wanted}

    def _load(self, addresses: Sequence[int], due: float) -> None:
        """Look at Methods, and read those that are new or differ from what was known of their address."""
        new: dict[int, _Key] = {}
        for address, key in zip(addresses, self._keys(addresses), strict=True):
            old = self._known.get(address)
            if key is None:
                self._known[address] = _Known(None, due, None)
            elif old is not None and old.key == key:
                self._known[address] = old._replace(due=due)
            else:
                new[address] = key
        for (address, key), frame in zip(new.items(), self._named(list(new.values())), strict=True):
            self._known[address] = _Known(key if frame is not None else None, due, frame)

    def _keys(self, addresses: Sequence[int]) -> list[_Key | None]:
        layout = self._layout
        methods = self._read(addresses, layout.method_bytes)
        const_methods = [_get(data, layout.const_method) for data in methods]
        out: list[_Key | None] = []
        for at, data in zip(const_methods, self._read(const_methods, layout.const_method_bytes), strict=True):
            if not data:
                out.append(None)
                continue
            code = _get(data, layout.code_size)
            lines = at + layout.const_method_bytes + code if _get(data, layout.flags) & _HAS_LINES else 0
            out.append(_Key(at, _get(data, layout.constants), _get(data, layout.name_index), lines))
        return out

    def _named(self, keys: Sequence[_Key]) -> list[Frame | None]:
        """The frames of methods, all in a few reads."""
        layout = self._layout
        pools = self._read([key.constants for key in keys], layout.pool_bytes)
        holders = [_get(pool, layout.holder) for pool in pools]
        class_names = self._words([holder + layout.class_name.offset if holder else 0 for holder in holders])
        if layout.source_in_class:
            at = [holder + layout.source_index.offset if holder else 0 for holder in holders]
            sources = [int.from_bytes(data, "little") for data in self._read(at, 2)]
        else:
            sources = [_get(pool, layout.source_index) for pool in pools]
        names = self._pooled(keys, pools, [key.name_index for key in keys])
        files = self._pooled(keys, pools, sources)
        lines = self._read([key.lines_at for key in keys], _LINES)
        text = self._symbols([*class_names, *names, *files])
        return [
            self._frame(text.get(owner), text.get(name), text.get(file), line)
            for owner, name, file, line in zip(class_names, names, files, lines, strict=True)
        ]

    def _frame(self, owner: bytes | None, name: bytes | None, file: bytes | None, lines: bytes) -> Frame | None:
        if not owner or not name:
            return None
        line = first_line(lines, self._biased) if file else 0
        return Frame(method_name(owner, name), MODULE, modified_utf8(file or b""), line, FrameKind.JIT)

    def _pooled(self, keys: Sequence[_Key], pools: Sequence[bytes], indices: Sequence[int]) -> list[int]:
        """Addresses of the Symbols at places of constant pools; 0 where there is none."""
        layout = self._layout
        at: list[tuple[int, int]] = []
        for key, pool, index in zip(keys, pools, indices, strict=True):
            tags = _get(pool, layout.tags)
            good = tags and 0 < index < _get(pool, layout.pool_length)
            slot, tag = key.constants + layout.pool_bytes + _SLOT * index, tags + layout.tags_data.offset + index
            at.append((slot, tag) if good else (0, 0))
        slots = self._words([slot for slot, _ in at])
        tags_read = self._read([tag for _, tag in at], 1)
        return [slot & ~1 if tag == bytes([_UTF8]) else 0 for slot, tag in zip(slots, tags_read, strict=True)]

    def _symbols(self, addresses: Iterable[int]) -> dict[int, bytes]:
        """The text of Symbols, by address."""
        layout = self._layout
        wanted = [at for at in dict.fromkeys(addresses) if at]
        body = layout.body.offset
        out: dict[int, bytes] = {}
        longer: list[tuple[int, int]] = []
        for at, data in zip(wanted, self._read(wanted, body + _HEAD), strict=True):
            length = min(_get(data, layout.length), _MAX_NAME) if data else 0
            if 0 < length <= _HEAD:
                out[at] = data[body : body + length]
            elif length or not data:
                longer.append((at, length))
        # what is near the end of its memory is read in its own length
        short = [at for at, length in longer if not length]
        for at, data in zip(short, self._read(short, layout.length.end), strict=True):
            longer.append((at, min(_get(data, layout.length), _MAX_NAME)))
        longer = [(at, length) for at, length in longer if length]
        bodies = self._memory.read_many([at + body for at, _ in longer], [length for _, length in longer])
        out.update((at, text) for (at, _), text in zip(longer, bodies, strict=True) if text is not None)
        return out

    def _words(self, addresses: Sequence[int]) -> list[int]:
        return [int.from_bytes(data, "little") for data in self._read(addresses, 8)]

    def _read(self, addresses: Sequence[int], size: int) -> list[bytes]:
        """Pieces of one size; b"" for what cannot be read."""
        return [data or b"" for data in self._memory.read_many(addresses, [size] * len(addresses))]


def method_name(owner: bytes, name: bytes) -> str:
    """A method as Java writes it, from the names inside the VM: java/util/HashMap, putVal.

    Of a hidden class, a lambda's for example, the number is left out that HotSpot adds to tell it from others.
    """
    return f"{_HIDDEN.sub('', modified_utf8(owner)).replace('/', '.')}.{modified_utf8(name)}"


def modified_utf8(data: bytes) -> str:
    """Text as class files have it: 0 is two bytes, and what is beyond 16 bits two surrogates (JVMS 4.4.7)."""
    if data.isascii():
        return data.decode("ascii")
    text = data.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass" if _is_whole(data) else "replace")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_whole(data: bytes) -> bool:
    try:
        data.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _get(data: bytes, field: Field) -> int:
    """A field of a struct, unsigned; 0 where it is not in these bytes."""
    return int.from_bytes(data[field.offset : field.offset + np.dtype(field.kind).itemsize], "little")
