"""One mapping of a process, and the file behind it. Free of numpy."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from aperture_tui.symbolize.opening import open_regular
from aperture_tui.symbolize.source import FileSource


@dataclass(frozen=True, slots=True)
class Mapping:
    """One executable range [start, end) of a process, and the file behind it.

    offset: file offset of start. path: as the process's own root sees it, without " (deleted)"; "" for anonymous
    memory, "[vdso]" and the like for what the kernel names. device: as os.makedev. inode: 0 if there is no file.
    """

    start: int
    end: int
    offset: int = 0
    path: str = ""
    device: int = 0
    inode: int = 0

    @property
    def has_file(self) -> bool:
        """Whether a file is behind it that can be opened."""
        return (
            self.path.startswith("/")
            and "\0" not in self.path
            and not self.path.startswith(("//anon", "/dev/zero", "/SYSV"))
        )

    @property
    def module(self) -> str:
        """What the mapping is called: the file's base name, or "[vdso]" and the like."""
        return os.path.basename(self.path) if self.path.startswith("/") else self.path


def map_file(pid: int, mapping: Mapping) -> str:
    """The path of the link to a mapping's file, whatever became of the file; its names are not zero padded."""
    return f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"


def open_mapped(pid: int, mapping: Mapping, open_path: Callable[[str, str], FileSource]) -> FileSource:
    """The file behind a mapping itself, whatever its file system does. open_path: below a root. Raises OSError.

    /proc/PID/map_files leads to the mapped file itself, deleted or hidden by another mount. It needs CAP_SYS_ADMIN or
    CAP_CHECKPOINT_RESTORE and the exact range, so the path is tried next, in the process's root and, when the process
    is gone, in ours. What is found by path must be the mapped file: the same inode, and the same device where we look
    in our own root. In the process's root the device may differ: overlayfs and btrfs show another one in maps than
    stat gives; there the file must reach at least to where the mapping begins. Once the process has ended
    another file may have the name and the number: see `AddressSpace.ended_ns`.
    """
    if not mapping.has_file:
        raise FileNotFoundError(errno.ENOENT, "no file is behind the mapping", mapping.path)
    try:
        return FileSource(open_regular(map_file(pid, mapping)))
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a regular file: no path to it would make it one
            raise
    try:
        source = open_path(f"/proc/{pid}/root", mapping.path)
        if _same(source, mapping, own_root=False):
            return source
        source.close()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.EINVAL, errno.ETIMEDOUT):
            raise
    source = open_path("/", mapping.path)
    if _same(source, mapping, own_root=True):
        return source
    source.close()
    raise FileNotFoundError(errno.ENOENT, "another file has taken its place", mapping.path)


def _same(source: FileSource, mapping: Mapping, own_root: bool) -> bool:
    status = source.stat()
    if status.st_ino != mapping.inode:
        return False
    return status.st_dev == mapping.device or (not own_root and status.st_size > mapping.offset)
