"""A file system of some read-only files, served over /dev/fuse until it is told not to answer.

    python fuse_server.py FOLDER FILE…

Mounts on FOLDER, in the mount namespace that it is started in, and says "mounted". Each line on its standard input is a
command, answered with the same line: "hold" takes requests from then on and answers none, as a daemon that hangs does,
"go" answers those and all that follow. At the end of its input, and whenever it dies, the kernel ends the connection,
and whoever waits has an error. Protocol: linux/include/uapi/linux/fuse.h, version 7.31.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import stat
import struct
import sys
from pathlib import Path

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 17, 18, 25, 26
OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 27, 28, 29, 36, 42
_HEADER = struct.Struct("<IIQQIIIHH")
_SILENT = {FORGET, BATCH_FORGET, INTERRUPT}
_ENOENT, _ENOSYS = 2, 38
_KEEP_CACHE = 2
_ROOT = 1
_LARGEST = 1 << 20


class Files:
    """What is served: one folder. Of nothing but their pages does the kernel keep anything."""

    def __init__(self, paths: list[Path]) -> None:
        self._names = {path.name.encode(): number for number, path in enumerate(paths, _ROOT + 1)}
        self._contents = {number: path.read_bytes() for number, path in enumerate(paths, _ROOT + 1)}

    def attributes(self, node: int) -> bytes:
        """struct fuse_attr."""
        size = len(self._contents.get(node, b""))
        mode = stat.S_IFDIR | 0o755 if node == _ROOT else stat.S_IFREG | 0o755
        times = (1_700_000_000,) * 3
        return struct.pack("<6Q3I7I", node, size, (size + 511) // 512, *times, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, code: int, node: int, body: bytes) -> bytes | int:
        """What a request is answered with: data, or the number of an error."""
        if code == INIT:
            readahead = struct.unpack_from("<3I", body)[2]
            return struct.pack("<4IHHIIHHI7I", 7, 31, readahead, 0, 16, 12, _LARGEST // 8, 1, 0, 0, 0, *[0] * 7)
        if code == LOOKUP:
            found = self._names.get(body.rstrip(b"\0"))
            return _ENOENT if found is None else struct.pack("<4Q2I", found, 0, 0, 0, 0, 0) + self.attributes(found)
        if code == GETATTR:
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(node)
        if code in (OPEN, OPENDIR):
            return struct.pack("<Q2I", 0, _KEEP_CACHE, 0)
        if code == READ:
            _, offset, size = struct.unpack_from("<2QI", body)
            return self._contents[node][offset : offset + size]
        if code == STATFS:
            return struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
        return b"" if code in (READDIR, RELEASE, RELEASEDIR, FLUSH) else _ENOSYS


class Server:
    """One connection to the kernel."""

    def __init__(self, device: int, files: Files) -> None:
        self._device = device
        self._files = files
        self._held: list[bytes] | None = None

    def obey(self, command: str) -> None:
        """Do what a line of the input says."""
        held, self._held = self._held, [] if command == "hold" else None
        for request in held or ():
            self.take(request)

    def take(self, request: bytes) -> None:
        """Answer a request, or keep it."""
        _, code, unique, node, *_ = _HEADER.unpack_from(request)
        if self._held is not None:
            self._held.append(request)
        elif code not in _SILENT:
            found = self._files.answer(code, node, request[_HEADER.size :])
            error, data = (-found, b"") if isinstance(found, int) else (0, found)
            with contextlib.suppress(FileNotFoundError):  # whoever asked was killed meanwhile
                os.write(self._device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


def mount(device: int, folder: str) -> None:
    """Raises OSError."""
    system = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if system.mount(b"test", os.fsencode(folder), b"fuse.test", ctypes.c_ulong(0), options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)


def main() -> None:
    """Serve until the input ends."""
    device = os.open("/dev/fuse", os.O_RDWR)
    server = Server(device, Files([Path(path) for path in sys.argv[2:]]))
    mount(device, sys.argv[1])
    print("mounted", flush=True)
    while True:
        ready = select.select([sys.stdin, device], [], [])[0]
        if device in ready:
            server.take(os.read(device, _LARGEST))
        if sys.stdin in ready:
            command = os.read(sys.stdin.fileno(), 100).decode().strip()
            if not command:
                return
            server.obey(command)
            print(command, flush=True)


if __name__ == "__main__":
    main()
