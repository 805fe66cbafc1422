"""What an agent must not forget: who it is to the aggregator, which push is due, what it has lost. One small file.

The file has two places that are written in turn, where they are, so that it can be written on a full disk as well; a
write that a crash tears leaves the other one. It is JSON, each line with its CRC-32 in front.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import zlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

BOOT_BYTES: Final = 16
_PLACE: Final = 4096  # bytes: a block of most disks
_HEX: Final = 8  # characters of a CRC-32
_MAX: Final = 1 << 63


class LedgerError(RuntimeError):
    """One clear line: why the file cannot be used, and what mends it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is being pushed: of a file of the spool the events from `first` to `end`, of `of` in all; as push `seq`.

    end 0: all of them, which have not been counted.
    """

    file: str
    seq: int
    first: int = 0
    end: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """boot, 16 bytes, and seq: what this agent's pushes are called by. next: the seq that none has had yet.

    lost: events that will never be pushed. done: intervals up to this number are done with, but for those in the head,
    even if their files are still there. number: how often this was saved.
    """

    boot: bytes
    next: int = 1
    lost: int = 0
    head: Head | None = None
    done: int = 0
    number: int = 0

    @classmethod
    def new(cls) -> Ledger:
        """Of an agent that nobody has seen yet."""
        return cls(secrets.token_bytes(BOOT_BYTES))


class LedgerFile:
    """The file, which one process at a time may have. Not safe for threads.

    present: what was saved last. found: whether there was anything to read; else `present` is new. damaged: there was
    something, but it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises LedgerError, or OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._claim(path)
            data = os.pread(self._file, 2 * _PLACE, 0)
            read = [one for one in (_ledger(data[at : at + _PLACE]) for at in (0, _PLACE)) if one is not None]
            self.found, self.damaged = bool(read), bool(data.strip(b"\n\0")) and not read
            self.present = max(read, key=lambda one: one.number, default=Ledger.new())
            if not read:  # both places, so that neither needs room later
                os.pwrite(self._file, b"\n" * 2 * _PLACE, 0)
                self.save(self.present)
        except BaseException:
            self.close()
            raise

    def save(self, ledger: Ledger) -> None:
        """Have it on the disk. Raises OSError; `present` is then what it was."""
        numbered = replace(ledger, number=self.present.number + 1)
        os.pwrite(self._file, _text(numbered), numbered.number % 2 * _PLACE)
        os.fsync(self._file)
        self.present = numbered

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def _claim(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            words = f"{path.parent}: another agent is using this spool: end it, or give this one another --spool"
            raise LedgerError(words) from error


def _text(ledger: Ledger) -> bytes:
    text = json.dumps(asdict(ledger) | {"boot": ledger.boot.hex()}).encode()
    data = b"%08x %s\n" % (zlib.crc32(text), text)
    if len(data) > _PLACE:
        raise OSError(errno.EFBIG, "the ledger of the spool has no room for that")
    return data.ljust(_PLACE, b"\n")


def _ledger(data: bytes) -> Ledger | None:
    crc, text = data[:_HEX], data[_HEX + 1 :].split(b"\n", 1)[0]
    if crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        row = json.loads(text)
        head = row["head"]
        return Ledger(
            _boot(row["boot"]),
            _whole(row["next"]),
            _whole(row["lost"]),
            None
            if head is None
            else Head(str(head["file"]), *(_whole(head[k]) for k in ("seq", "first", "end", "of"))),
            _whole(row["done"]),
            _whole(row["number"]),
        )
    except (ValueError, TypeError, KeyError):  # whole, but of another version
        return None


def _boot(text: Any) -> bytes:
    boot = bytes.fromhex(text)
    if len(boot) != BOOT_BYTES:
        raise ValueError("a boot of another length")
    return boot


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < _MAX:
        raise ValueError(f"not a count: {value!r}")
    return value
