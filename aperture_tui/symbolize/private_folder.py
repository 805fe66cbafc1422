"""A cache folder that belongs to this user alone: what is read from it was written by us.

Everything is opened relative to the folder's own descriptor, checked once it is open, so that nobody can exchange
the folder between the check and the use.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Where this user's cache of this name lies.

    Root's is the system's, so that `sudo` does not write into a user's home.
    """
    if os.geteuid() == 0:
        return Path("/var/cache/aperture") / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aperture" / name


def digest(key: bytes, header: bytes, body: bytes | memoryview) -> bytes:
    """What a file of a cache carries so that it is believed only whole, and only for what it was made of: SHA-256.

    key: says what it was made of.
    """
    found = hashlib.sha256(key + header)
    found.update(body)
    return found.digest()


class PrivateFolder:
    """Small files by name, in a folder that is made when first written to. max_bytes: of all files together."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file.

        Marks it as used. Raises OSError: also if the folder or the file is another's, or others may write to it.
        """
        try:
            with self._opened() as folder:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                with open(fd, "rb") as file:
                    _check_private(fd, stat.S_IFREG, name)
                    if os.fstat(fd).st_size > self.max_bytes:
                        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
                    with suppress(OSError):  # where nothing can be written it is as good without the mark
                        os.utime(fd)
                    return file.read(self.max_bytes)
        except FileNotFoundError:
            return None

    def write(self, name: str, *parts: bytes | memoryview) -> None:
        """Put a file of these parts there, whole or not at all; let those unused for longest go if there are too many.

        Raises OSError.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._opened() as folder:
            temporary = f"{name}.{secrets.token_hex(8)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                with open(fd, "wb") as file:
                    file.writelines(parts)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(temporary, dir_fd=folder)
                raise
            self._trim(folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check_private(folder, stat.S_IFDIR, str(self.path))
            yield folder
        finally:
            os.close(folder)

    def _trim(self, folder: int) -> None:
        files = []
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process has renamed it or let it go meanwhile
                    if not entry.is_dir():
                        files.append((entry.name, entry.stat(follow_symlinks=False)))
        left = sum(facts.st_size for _, facts in files)
        for name, facts in sorted(files, key=lambda file: file[1].st_mtime_ns):
            if left <= self.max_bytes:
                return
            with suppress(FileNotFoundError):  # another process was quicker
                os.unlink(name, dir_fd=folder)
            left -= facts.st_size


def _check_private(fd: int, kind: int, name: str) -> None:
    facts = os.fstat(fd)
    if stat.S_IFMT(facts.st_mode) != kind or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "not private to this user", name)
