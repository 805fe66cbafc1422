"""A file that is there whole or not at all, and is nobody else's: written beside its place, then put there.

Whoever profiles is often root, in a folder where others may write: what stands at the place is never followed nor
written into. A symbolic link there is refused, and so is whatever is no plain file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LONGEST: Final = 200
"""Bytes of the name that the temporary one begins with: file systems allow 255."""


class Owner(NamedTuple):
    """To whom a file is given."""

    uid: int
    gid: int


def invoking_user(environ: Mapping[str, str] = os.environ) -> Owner | None:
    """Who called us by sudo; None where we are not root, or nobody did."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid.isdecimal() and gid.isdecimal()):
        return None
    return Owner(int(uid), int(gid))


@contextlib.contextmanager
def new_file(path: Path, *, replace: bool = False, owner: Owner | None = None) -> Iterator[BinaryIO]:
    """A file to write; it takes its place when the block ends well, and else leaves nothing behind.

    replace: in place of a plain file that is there; else that raises FileExistsError, before the block and, if it
    came meanwhile, at its end. owner: gets the file. Raises OSError.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(folder, path.name, replace)
        name = f".{os.fsdecode(os.fsencode(path.name)[:_LONGEST])}.{os.urandom(4).hex()}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        number = os.open(name, flags, 0o666, dir_fd=folder)
        try:
            with open(number, "wb") as file:
                if owner is not None:
                    os.fchown(number, *owner)
                yield file
            _put(folder, name, path.name, replace)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def _put(folder: int, name: str, final: str, replace: bool) -> None:
    """Give it its name. A link is made only where there is none yet, which a renaming would take the place of."""
    _check(folder, final, replace)
    if not replace:
        try:
            os.link(name, final, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
        else:
            os.unlink(name, dir_fd=folder)
            return
    os.rename(name, final, src_dir_fd=folder, dst_dir_fd=folder)


def _check(folder: int, name: str, replace: bool) -> None:
    """Raises OSError where something stands that stays."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found):
        raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed", name)
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", name)
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "it is no plain file", name)
    if not replace:
        raise FileExistsError(errno.EEXIST, "it exists", name)


__all__ = ["Owner", "invoking_user", "new_file"]
