"""Stacks of processes that have just begun, walked from here: the kernel had no tables for them when they were sampled.

Most processes of a build or of a shell's loop live for some milliseconds, and have one sample: their first. With it
comes a copy of the innermost part of the stack (bpf/cpu.bpf.c). What was mapped is known from the side band, whatever
became of the process, and the rows are there where any other process has had the same files. Native frames only.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aperture_tui.collect import bpf
from aperture_tui.collect.budget import Budget
from aperture_tui.collect.clock import Clock
from aperture_tui.collect.ring import Ring
from aperture_tui.collect.stack_frames import Raw
from aperture_tui.collect.unwind.kernel_maps import ANONYMOUS, PENDING
from aperture_tui.collect.unwind.table_walk import Code, Walked, walk
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop, stop_of
from aperture_tui.symbolize.address_space import AddressSpace, Mapping, mapped_facts
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.vdso import vdso_key

if TYPE_CHECKING:
    from collections.abc import Mapping as Dict

    from numpy.typing import NDArray

    from aperture_tui.collect.processes import Image, Processes
    from aperture_tui.collect.stacks import Stacks
    from aperture_tui.collect.unwind.files import Placed
    from aperture_tui.collect.unwind.supply import Supply

MOST_BYTES: Final = 4 * 4096 - 8
"""Of one stack: COPY_PAGES of bpf/cpu.bpf.c."""
_HEADER: Final = struct.Struct("<QIIQQQ")
"""The start of struct copy: time_ns, tid, bytes, ip, sp, bp."""
_PART: Final = 0.1
"""Of the time since the drain before, that these walks may take: where drains come late, more wait for them."""
_LATE_NS: Final = 100_000_000
"""From when a sample has its time until it is in its ring, at most."""
_MAX_ASKED: Final = 4096
_ASK_AGAIN_S: Final = 10.0
_NOT_YET: Final = Code(PENDING, 0)
_MAX_ROWS: Final = 1 << 14
"""Places in files whose rows are remembered: new processes are in the same ones, and a look into the maps is dear."""


class Copy(NamedTuple):
    """Registers, and the memory from sp on."""

    ip: int
    sp: int
    bp: int
    memory: bytes

    def word(self, address: int) -> int | None:
        """8 bytes; None beyond what was copied."""
        at = address - self.sp
        return int.from_bytes(self.memory[at : at + 8], "little") if 0 <= at <= len(self.memory) - 8 else None


class Copied:
    """Owned by the collecting thread."""

    def __init__(
        self, maps: Dict[str, int], ring_bytes: int, supply: Supply, processes: Processes, stacks: Stacks
    ) -> None:
        """maps: descriptors by the names of bpf/cpu.bpf.c. ring_bytes: the size of `copies`."""
        self._ring = Ring(maps["copies"], ring_bytes)
        self._lost = maps["copies_lost"]
        self._supply = supply
        self._processes = processes
        self._stacks = stacks
        self._budget = Budget(share=1.0, part=_PART)
        self._copies: dict[tuple[int, int], Copy] = {}
        self._asked: dict[ImageKey, float] = {}
        self._rows: dict[ImageKey, dict[int, Code]] = {}
        self._shed = 0

    def close(self) -> None:
        """Unmap the ring."""
        self._ring.close()

    @property
    def memory_bytes(self) -> int:
        """What the ring holds."""
        return self._ring.size

    @property
    def counts(self) -> dict[str, int]:
        """Cause -> samples of new processes that are left as they are."""
        return {
            "stacks of new processes: ring full": bpf.counters(self._lost, 1)[0],
            "stacks of new processes that there was no time to walk": self._shed,
        }

    def read(self, began_ns: int) -> None:
        """Take the copies. After the samples are: then the copy of each of them is here. began_ns: when these were
        taken, CLOCK_MONOTONIC; those that are much older than that wait for no sample any more.
        """
        self._copies = {key: copy for key, copy in self._copies.items() if key[0] > began_ns - _LATE_NS}
        for payload in self._ring.payloads():
            if len(payload) > _HEADER.size:
                time_ns, tid, size, ip, sp, bp = _HEADER.unpack_from(payload)
                self._copies[time_ns, tid] = Copy(ip, sp, bp, payload[_HEADER.size : _HEADER.size + size])

    def fill(self, samples: NDArray[np.void]) -> None:
        """Give samples their whole stacks. samples: (n,) of collect.cpu.SAMPLE, changed in place."""
        copies, self._copies = self._copies, {}
        if not copies:
            return
        self._budget.begin()
        if len(self._rows) + sum(map(len, self._rows.values())) > _MAX_ROWS:  # there are files without any
            self._rows.clear()
        drain = _Drain(self._supply, self._learn, self._rows)
        stops = samples["flags"] >> STOP_SHIFT & 0xF
        for i in np.flatnonzero((stops == Stop.NO_TABLES) | (stops == Stop.NO_MAPPING)).tolist():
            record = samples[i]
            copy = copies.pop((int(record["time_ns"]), int(record["tid"])), None)
            if copy is None:
                continue
            if self._budget.is_spent:
                self._shed += 1
                continue
            pid = int(record["pid"])
            image = self._processes.image(pid, int(record["time_ns"]), bytes(record["comm"]))
            walked = drain.walked(image.space, copy, int(record["time_ns"]))
            if walked is not None:
                samples["stack"][i], samples["flags"][i] = self._merged(walked, record, image)
        self._copies = copies  # of samples that were written since: they come with the next drain

    def _merged(self, walked: Walked, record: np.void, image: Image) -> tuple[int, int]:
        """With the kernel's and Python's part of the stack -> the stack's hash, and the flags."""
        before = self._stacks.raw(int(record["stack"]))
        none = np.zeros(0, np.uint64)
        words = np.array(walked.addresses, np.uint64)
        kernel, python = (before.kernel, before.python) if before is not None else (none, none)
        seed = struct.pack("=IQQQ", image.pid, image.since_ns, int(record["start_ns"]), len(kernel))
        data = b"".join((seed, kernel.tobytes(), python.tobytes(), words.tobytes()))
        key = int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1
        self._stacks.put(key, Raw(kernel, python, words, bool(walked.flags & Flag.WHOLE)))
        return key, walked.flags | int(record["flags"]) & Flag.KERNEL_MODE

    def _learn(self, pid: int, mapping: Mapping, key: ImageKey) -> None:
        """Have the supply make a file's table: whoever maps it is gone before the kernel asks."""
        now = time.monotonic()
        if now - self._asked.get(key, -_ASK_AGAIN_S) >= _ASK_AGAIN_S:
            if len(self._asked) >= _MAX_ASKED:
                self._asked.clear()
            self._asked[key] = now
            self._supply.learn(pid, mapping)


class _Spot(NamedTuple):
    """A mapping in use. bias: of its addresses; placed: its file; rows: of what was looked at in it."""

    bias: int
    placed: Placed
    rows: dict[int, Code]


class _Space:
    """An address space, for some walks. spots: of each mapping, once it was looked at; a Code if that is all.
    seen_ns: when the first of these stacks was as it is, CLOCK_REALTIME.
    """

    def __init__(self, space: AddressSpace, seen_ns: int) -> None:
        self.seen_ns = seen_ns
        starts, lasts = space.bounds()
        self.starts: list[int] = starts.tolist()
        self.lasts: list[int] = lasts.tolist()
        self.spots: list[_Spot | Code | None] = [None] * len(self.starts)


class _Drain:
    """The walks of one drain, with what they have in common."""

    def __init__(
        self,
        supply: Supply,
        learn: Callable[[int, Mapping, ImageKey], None],
        rows: dict[ImageKey, dict[int, Code]],
    ) -> None:
        """rows: file -> address less its bias -> what is there; what is new is added."""
        self._supply = supply
        self._learn = learn
        self._rows = rows
        self._spaces: dict[AddressSpace, _Space] = {}
        self._realtime_ns = Clock.now().monotonic_ns
        """What to add to CLOCK_MONOTONIC for CLOCK_REALTIME."""

    def walked(self, space: AddressSpace, copy: Copy, time_ns: int) -> Walked | None:
        """The stack; None where it is not better than what the kernel has walked. time_ns: as of `Copy`'s sample."""
        found = self._spaces.get(space)
        if found is None:
            found = self._spaces[space] = _Space(space, time_ns + self._realtime_ns)
        walked = walk(partial(self._code, space, found), copy.word, copy.ip, copy.sp, copy.bp)
        stop = stop_of(walked.flags)
        if stop is Stop.NO_TABLES or stop is Stop.NO_MAPPING:
            return None
        if stop is Stop.FAULT and len(copy.memory) >= MOST_BYTES - mmap.PAGESIZE:  # it is where the copy ends
            flags = walked.flags & ~(0xF << STOP_SHIFT) | Stop.TOO_DEEP << STOP_SHIFT | Flag.TRUNCATED
            return Walked(walked.addresses, flags)
        return walked

    def _code(self, space: AddressSpace, found: _Space, pc: int) -> Code | None:
        at = bisect_right(found.starts, pc) - 1
        if at < 0 or pc > found.lasts[at]:
            return None
        spot = found.spots[at]
        if spot is None:
            spot = found.spots[at] = self._spot(space.pid, space.mapping_at(at), found.seen_ns)
        if isinstance(spot, Code):
            return spot
        relative = pc - spot.bias & 0xFFFFFFFF
        code = spot.rows.get(relative)
        if code is None:
            code = self._supply.code(spot.placed, relative)
            if code is None:  # others may have the place of its rows by now
                return _NOT_YET
            spot.rows[relative] = code
        return code

    def _spot(self, pid: int, mapping: Mapping, seen_ns: int) -> _Spot | Code:
        if not mapping.has_file and mapping.path != "[vdso]":
            return Code(ANONYMOUS, 0)
        key = vdso_key(mapping) if mapping.path == "[vdso]" else _key(pid, mapping, seen_ns)
        placed = self._supply.placed(key) if key is not None else None
        if placed is not None and placed.found is not None:
            rows = self._rows.setdefault(placed.key, {})
            return _Spot(placed.found.bias(mapping.start, mapping.offset), placed, rows)
        if key is not None:
            self._learn(pid, mapping, key)
        return _NOT_YET


def _key(pid: int, mapping: Mapping, seen_ns: int) -> ImageKey | None:
    """What the file behind a mapping is known by; None where it cannot be found any more.

    Once its process has ended another file may have its name and its number, as the next try of a configure script has:
    what has changed since is not believed.
    """
    with contextlib.suppress(OSError):
        facts = mapped_facts(pid, mapping)
        if facts.st_ino == mapping.inode and facts.st_ctime_ns <= seen_ns:
            return ImageKey.of(facts)
    return None
