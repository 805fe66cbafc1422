"""Which process a sample belongs to: its name, its program and its address space at the moment of the sample.

The kernel's side band (collect.sideband) says what happens from now on; /proc says what was there before. A process
is (pid, start): a reused pid is another process. An exec makes another image of the same process.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.cgroups import Namespace, container, control_group
from aperture_tui.collect.clock import Clock
from aperture_tui.collect.sideband import Forked, Mapped, Named, Sideband
from aperture_tui.profile.symbols import Process, Symbols
from aperture_tui.symbolize.address_space import LIVES, MAX_MAPPINGS, AddressSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.collect.sideband import Event

_GRACE_NS: Final = 2_000_000_000
"""How long a dead process is remembered: its last samples may still be in the ring."""

_SWEEP_NS: Final = 30_000_000_000
"""How often the processes are compared with /proc: exits can be lost."""

_PROC: Final = Path("/proc")


class Image:
    """A process between two execs, or two names.

    Its address space is made when it is first asked for, which for most processes of a busy build is never: from the
    parent's, from /proc, or from nothing, and then from the mappings that the kernel reported since.
    since_ns: CLOCK_MONOTONIC, 0 if it began before we looked.
    """

    __slots__ = (
        "__weakref__",
        "_mapped",
        "_space",
        "cgroup",
        "container",
        "ended_ns",
        "name",
        "origin",
        "pid",
        "rows",
        "since_ns",
    )

    def __init__(self, pid: int, since_ns: int, name: bytes, origin: AddressSpace | Image | None) -> None:
        self.pid = pid
        self.since_ns = since_ns
        self.name = name
        self.origin = origin
        self.ended_ns = LIVES
        """See AddressSpace."""
        self.cgroup: str | None = origin.cgroup if isinstance(origin, Image) else None
        """None until it has been asked for."""
        self.container: str = origin.container if isinstance(origin, Image) else ""
        self.rows: dict[tuple[int, int], int] = {}
        """(generation of the symbols, process start) -> row in Symbols.processes."""
        self._space: AddressSpace | None = None
        self._mapped: list[Mapped] = []

    @property
    def space(self) -> AddressSpace:
        """The address space."""
        if self._space is None:
            match self.origin:
                case Image():
                    self._space = self.origin.space.copy(self.pid, ended_ns=self.ended_ns)
                case AddressSpace():
                    self._space = self.origin
                case None:
                    self._space = AddressSpace(self.pid, ended_ns=self.ended_ns)
            self.origin = None
        for event in self._mapped:
            self._space.add(*event.mapping())
        self._mapped.clear()
        self._space.ended_ns = self.ended_ns
        return self._space

    def map(self, event: Mapped) -> None:
        """Take in a new mapping."""
        if len(self._mapped) < MAX_MAPPINGS:
            self._mapped.append(event)


class Processes:
    """The images of all processes that were sampled or that changed. Owned by the collecting thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sideband = Sideband()
        self._namespace = Namespace.here()
        self._images: dict[int, list[Image]] = {}
        self._dead: dict[int, int] = {}
        self._swept_ns = 0
        self.unreadable: Counter[str] = Counter()
        """Cause -> processes whose facts could not be read."""
        self.heard: dict[bytes, Callable[[int], None]] = {}
        """Part of a file's name -> who is told the pid when a process maps such a file to run it."""

    @property
    def lost(self) -> int:
        """Events of the side band that the kernel could not write."""
        return self._sideband.lost

    @property
    def memory_bytes(self) -> int:
        """What the side band's rings hold."""
        return self._sideband.memory_bytes

    def follow(self, cpus: list[int]) -> None:
        """Listen on these CPUs. Raises OSError."""
        self._sideband.follow(cpus)

    def close(self) -> None:
        """Stop listening."""
        self._sideband.close()

    @property
    def are_quiet(self) -> bool:
        """Whether none has begun, ended, or loaded code since the last update."""
        return self._sideband.is_quiet

    def update(self) -> dict[int, int]:
        """Take in what has happened since the last time -> pids that have new mappings, or another program, with the
        time of the last of them, CLOCK_MONOTONIC."""
        changed: dict[int, int] = {}
        for event in self._sideband.drain():
            if self._apply(event):
                changed[event.pid] = max(event.time_ns, changed.get(event.pid, 0))
        return changed

    @property
    def changing(self) -> list[int]:
        """Pids of which more than one image is known, or that have died: there the time of a sample matters."""
        return [*(pid for pid, images in self._images.items() if len(images) > 1), *self._dead]

    def forget(self, now_ns: int) -> None:
        """Let go of processes that died a while ago, and of images that were replaced. now_ns: CLOCK_MONOTONIC."""
        if now_ns - self._swept_ns > _SWEEP_NS:
            self._swept_ns = now_ns
            self._dead.update((pid, now_ns) for pid in self._images if not alive(pid) and pid not in self._dead)
        for pid, died_ns in list(self._dead.items()):
            if now_ns - died_ns > _GRACE_NS:
                del self._dead[pid]
                images = [image for image in self._images.pop(pid, []) if image.since_ns > died_ns]
                if images:  # the pid has been taken again
                    self._images[pid] = images
        for pid, images in self._images.items():
            if len(images) > 1 and now_ns - images[-1].since_ns > _GRACE_NS:
                self._images[pid] = images[-1:]

    def image(self, pid: int, time_ns: int, comm: bytes) -> Image:
        """The process as it was at this moment (CLOCK_MONOTONIC). comm: its thread's name, for want of better."""
        images = self._images.get(pid)
        if images is None:
            images = self._images[pid] = [self._read(pid, comm)]
        return next((image for image in reversed(images) if image.since_ns <= time_ns), images[0])

    def row(self, image: Image, start_ns: int, symbols: Symbols) -> int:
        """The row in symbols.processes. start_ns: CLOCK_BOOTTIME, exact."""
        key = (symbols.generation, start_ns)
        known = image.rows.get(key)
        if known is None:
            if image.cgroup is None:
                image.cgroup = self._control_group(image.pid)
                image.container = container(image.cgroup)
            start = start_ns + self._clock.boottime_ns if start_ns else 0
            name = symbols.strings[symbols.string(image.name)]
            process = Process(image.pid, start, name, image.cgroup, image.container)
            known = image.rows[key] = symbols.process(process)
        return known

    def _apply(self, event: Event) -> bool:
        """Take it in; -> whether the process has other mappings now."""
        pid = event.pid
        if isinstance(event, Mapped):  # most are
            images = self._images.get(pid)
            if images:
                images[-1].map(event)
            if self.heard:
                for part, tell in list(self.heard.items()):
                    if part in event.record:
                        tell(pid)
            return True
        if isinstance(event, Forked):
            self._fork(event)
        elif isinstance(event, Named):
            self._name(event)
            return event.exec
        else:
            images = self._images.get(pid)
            if images:
                _end(images, event.time_ns)
                self._dead[pid] = event.time_ns
        return False

    def _name(self, event: Named) -> None:
        images = self._images.setdefault(event.pid, [])
        before = images[-1] if images else None
        if not event.exec:
            origin = before.space if before else self._space(event.pid)
        else:
            origin = None
            _end(images, event.time_ns)
        image = Image(event.pid, event.time_ns if before else 0, event.name, origin)
        if before:
            image.cgroup, image.container = before.cgroup, before.container
        images.append(image)

    def _fork(self, event: Forked) -> None:
        parent = self._images.get(event.parent)
        if not parent:
            return  # read from /proc when it is sampled
        like = parent[-1]
        image = Image(event.pid, event.time_ns, like.name, like)
        if event.pid in self._dead:
            self._images[event.pid].append(image)  # the pid is taken again, and old samples may still come
        else:
            self._images[event.pid] = [image]

    def _read(self, pid: int, comm: bytes) -> Image:
        if pid == 0:
            return Image(0, 0, b"swapper", AddressSpace(0))  # the idle task, in whose time an interrupt came
        try:
            name = (_PROC / str(pid) / "comm").read_bytes().rstrip(b"\n")
        except OSError:
            self.unreadable["exited before its name was read"] += 1
            name = comm
        return Image(pid, 0, name, self._space(pid))

    def _space(self, pid: int) -> AddressSpace:
        try:
            return AddressSpace.read(pid)
        except OSError:
            self.unreadable["exited before its mappings were read"] += 1
            return AddressSpace(pid)

    def _control_group(self, pid: int) -> str:
        try:
            told = control_group((_PROC / str(pid) / "cgroup").read_text(errors="backslashreplace"))
        except OSError:
            self.unreadable["exited before its control group was read"] += 1
            return ""
        return self._namespace.absolute(told)


def _end(images: list[Image], time_ns: int) -> None:
    """They have ended, those that had not before. time_ns: CLOCK_MONOTONIC."""
    ended_ns = time_ns + Clock.now().monotonic_ns
    for image in images:
        if image.ended_ns == LIVES:
            image.ended_ns = ended_ns


def alive(pid: int) -> bool:
    """Whether a process with this pid exists."""
    return os.path.exists(f"/proc/{pid}")
