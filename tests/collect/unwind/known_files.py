"""Files that the tests of this folder give to the unwinder, and their keys."""

from __future__ import annotations

from pathlib import Path

from aperture_tui.collect.unwind.builder import FileKey


def libc() -> Path:
    """The C library of this process: its table is large."""
    text = Path("/proc/self/maps").read_text()
    return Path(next(line.split()[-1] for line in text.splitlines() if "libc.so" in line or "libc-" in line))


def key_of(path: Path) -> FileKey:
    """What the unwinder knows a file by."""
    facts = path.stat()
    return FileKey(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
