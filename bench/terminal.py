"""A terminal for a program under measurement: a real pseudo terminal, and the times at which its output came."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CHUNK: Final = 1 << 16
_ASKS_SYNC: Final = b"\x1b[?2026$p"
_HAS_SYNC: Final = b"\x1b[?2026;2$y"
"""Question and answer of DECRQM for synchronized output: like any terminal of today, it has it."""
_FRAME_BEGINS, _FRAME_ENDS = b"\x1b[?2026h", b"\x1b[?2026l"

_SEQUENCE: Final = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]*[ -/]*[@-~]"  # CSI (ECMA-48 5.4)
    rb"|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, APC, PM, SOS
    rb"|[ -/]+[0-~]"  # character sets
    rb"|[0-Z\\^_`a-~])"
)
_INCOMPLETE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)?$")
_LONGEST_SEQUENCE: Final = 4096


class VisibleText:
    """Terminal output without its escape sequences; what moves the cursor becomes a line break."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> str:
        """The text in the next piece of output. A sequence that is cut in two waits for its end."""
        data = self._rest + data
        cut = _INCOMPLETE.search(data)
        at = cut.start() if cut and len(data) - cut.start() <= _LONGEST_SEQUENCE else len(data)
        data, self._rest = data[:at], data[at:]
        text = _SEQUENCE.sub(lambda found: b"" if found[0][-1:] == b"m" else b"\n", data)
        return text.replace(b"\r", b"").decode("utf-8", "ignore")


def visible(data: bytes) -> str:
    """The text in a whole piece of output."""
    return VisibleText().feed(data)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read gave. time_ns: CLOCK_MONOTONIC when it was read; end: bytes of output up to here."""

    time_ns: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One synchronized update: when its first and its last byte were read, and its bytes."""

    began_ns: int
    ended_ns: int
    data: bytes


@dataclass(slots=True)
class Output:
    """All output so far."""

    chunks: list[Chunk] = field(default_factory=list)

    def add(self, time_ns: int, data: bytes) -> None:
        """Take what a read gave."""
        self.chunks.append(Chunk(time_ns, self.size + len(data), data))

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.chunks[-1].end if self.chunks else 0

    def since(self, at: int) -> bytes:
        """The bytes from this place on."""
        parts = []
        for chunk in reversed(self.chunks):  # from the end: asked after every read, of long outputs
            if chunk.end <= at:
                break
            parts.append(chunk.data)
        whole = b"".join(reversed(parts))
        return whole[len(whole) - (self.size - at) :]

    def frames(self, at: int = 0) -> list[Frame]:
        """The complete synchronized updates that begin at or after this place."""
        found: list[Frame] = []
        data = self.since(at)
        begin = data.find(_FRAME_BEGINS)
        while begin >= 0:
            end = data.find(_FRAME_ENDS, begin)
            if end < 0:
                break
            end += len(_FRAME_ENDS)
            times = self._time_of(at + begin), self._time_of(at + end - 1)
            found.append(Frame(*times, data[begin:end]))
            begin = data.find(_FRAME_BEGINS, end)
        return found

    def _time_of(self, place: int) -> int:
        return next(chunk.time_ns for chunk in reversed(self.chunks) if chunk.end - len(chunk.data) <= place)


class Terminal:
    """A program on its own pseudo terminal. One thread sends keys and reads: nothing is read outside of a call."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, cwd: str) -> None:
        self.output = Output()
        extra = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LINES": str(rows), "COLUMNS": str(columns)}
        env = {**launch.environment(), **extra}
        self.began_ns = time.monotonic_ns()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child: nothing but the exec
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("=HHHH", rows, columns, 0, 0))
                os.chdir(cwd)
                os.execvpe(command[0], list(command), env)  # noqa: S606  # a list of arguments, on purpose
            finally:
                os._exit(127)
        self._gone = False
        self._tail = b""

    def press(self, keys: bytes) -> int:
        """Send keys -> CLOCK_MONOTONIC just before."""
        now = time.monotonic_ns()
        os.write(self._fd, keys)
        return now

    def read(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Read for this long, or until this is so (asked after each piece of output), or until the program ends."""
        deadline = time.monotonic() + seconds
        while not self._gone and (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self._fd], [], [], left)
            if not ready:
                return
            try:
                data = os.read(self._fd, _CHUNK)
            except OSError:  # EIO: the other end is closed
                data = b""
            if not data:
                self._gone = True
                return
            self.output.add(time.monotonic_ns(), data)
            said = self._tail + data  # a question may come in two reads
            self._tail = said[1 - len(_ASKS_SYNC) :]
            if asked := said.count(_ASKS_SYNC):
                os.write(self._fd, _HAS_SYNC * asked)
            if until and until():
                return

    def read_for(self, seconds: float) -> None:
        """Read for the whole of this time."""
        until = time.monotonic() + seconds
        while not self._gone and (left := until - time.monotonic()) > 0:
            self.read(left)

    def seconds_until(self, wanted: Callable[[str], bool], timeout_s: float) -> float:
        """Seconds from exec until the visible text is what is wanted. Raises launch.FailedError."""
        seen, text = "", VisibleText()
        done = 0

        def found() -> bool:
            nonlocal seen, done
            for chunk in self.output.chunks[done:]:
                seen += text.feed(chunk.data)
            done = len(self.output.chunks)
            return wanted(seen)

        if not found():
            self.read(timeout_s, found)
        if not wanted(seen):
            last = [line.strip() for line in seen.splitlines() if line.strip()]
            words = last[-1][:100] if last else "nothing"
            raise launch.FailedError(f"not on the screen within {timeout_s:.0f} s; the last it drew: {words}")
        return (self.output.chunks[-1].time_ns - self.began_ns) / 1e9

    def end(self, keys: bytes, timeout_s: float = 5.0) -> None:
        """Ask it to end with these keys; past the time it is killed."""
        if not self._gone:
            try:
                self.press(keys)
            except OSError:
                self._gone = True
        self.read(timeout_s)
        if not self._gone:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


def drawn(text: str) -> bool:
    """Whether anything can be seen on the screen."""
    return bool(text.strip())
