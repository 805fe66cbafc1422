"""Opening files that other people control: only regular files, never blocking, never outside the given root."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable
from typing import Final

_OPENAT2: Final = 437  # the same number on every architecture
_RESOLVE_NO_XDEV: Final = 0x01
_RESOLVE_BENEATH: Final = 0x08
_RESOLVE_IN_ROOT: Final = 0x10


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _syscall() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return call


def open_regular(path: str) -> int:
    """A descriptor for reading, or OSError; EINVAL if the path is not a regular file.

    The file is looked at before it is opened for good (O_PATH), because opening a device or a FIFO can block or
    act on it.
    """
    return _reopen(os.open(path, os.O_PATH | os.O_CLOEXEC), path)


def open_in_root(root: str, path: str, *, follow: bool = True) -> int:
    """Like `open_regular`, with `root` as the root of every symbolic link and `..` on the way (openat2, Linux 5.6).

    A container's absolute links would otherwise lead into our own files. follow: False refuses a path that is itself
    a symbolic link.
    """
    return _open(root, path, follow, _RESOLVE_IN_ROOT)


def open_in_mount(root: str, point: str, path: str, *, follow: bool = True) -> int:
    """Like `open_in_root`, of a path below a mount point of that root: EXDEV where it leads out of that mount, before
    another one is asked for anything.
    """
    if point == "/":
        return _open(root, path, follow, _RESOLVE_NO_XDEV | _RESOLVE_IN_ROOT)
    below = path.removeprefix(point)  # an absolute link would have the mount for its root: that is refused as well
    return _open(root.rstrip("/") + point, below, follow, _RESOLVE_NO_XDEV | _RESOLVE_BENEATH)


def _open(root: str, path: str, follow: bool, resolve: int) -> int:
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        how = _OpenHow(flags, 0, resolve)
        relative = os.fsencode(path.lstrip("/"))
        if b"\0" in relative:
            raise OSError(errno.EINVAL, "NUL in a path", path)
        fd = _syscall()(
            ctypes.c_long(_OPENAT2), ctypes.c_long(root_fd), relative, ctypes.byref(how), ctypes.c_size_t(24)
        )
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(root_fd)
    return _reopen(fd, path)


def _reopen(fd: int, path: str) -> int:
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(fd)
