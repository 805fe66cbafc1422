"""The copying child: files of a file system that may not answer, into memory that the parent has made.

Started by `copying`, never imported by it. Each datagram on the socket that it is given the number of says which file
("mapped", pid and the fields of a mapping, or "path" and what `open_in_root` takes), and brings a descriptor to write
to if the file is to be copied. It has its parent's rights, as it opens what the parent may, and looks at no more of a
file than its headers. It ends when the socket closes.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from typing import Any, Final

from aperture_tui.symbolize.confined import limit
from aperture_tui.symbolize.copying import MOST_BYTES, READY, Answer, packed
from aperture_tui.symbolize.mapping import Mapping, open_mapped
from aperture_tui.symbolize.opening import open_in_root
from aperture_tui.symbolize.source import ElfError, FileSource

_LARGE_BYTES: Final = 8 << 20
"""A section of code or data that is larger is left out: nothing is looked up in it. Debug information as well."""
_BLOCK: Final = 1 << 20


def main() -> int:
    """Answer until there is nothing more to do."""
    limit({resource.RLIMIT_CORE: 0})
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.send(READY)
    while True:
        words, fds, _flags, _from = socket.recv_fds(connection, MOST_BYTES, 1)
        if not words:
            return 0
        connection.send(packed(_answer(json.loads(words), *fds)))
        for fd in fds:
            os.close(fd)


def _answer(request: list[Any], target: int = -1) -> Answer:
    most, *place = request
    try:
        source = _opened(*place)
        if target < 0:
            return Answer(0, source.stat())
        parts, whole = _parts(source)
        if sum(end - start for start, end in parts) > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        os.ftruncate(target, source.size)
        for start, end in parts:
            for at in range(start, end, _BLOCK):
                os.pwrite(target, source.read(at, min(_BLOCK, end - at)), at)
        return Answer(0, source.stat(), whole)
    except ElfError:  # it shrank, or could not be read
        return Answer(errno.EIO)
    except OSError as error:
        return Answer(error.errno or errno.EIO)


def _opened(where: str, *words: Any) -> FileSource:
    """A mapping of a process, or a path below a root. Raises OSError."""
    if where == "mapped":
        pid, *fields = words
        return open_mapped(pid, Mapping(*fields), _below)
    return _below(*words)


def _below(root: str, path: str, follow: bool = True) -> FileSource:
    return FileSource(open_in_root(root, path, follow=follow))


def _parts(source: FileSource) -> tuple[list[tuple[int, int]], bool]:
    """What is copied of a file, and whether that is all that is ever looked at."""
    if source.size <= _LARGE_BYTES:
        return [(0, source.size)], True
    # not before: on a busy machine numpy takes longer to import than all the rest
    from aperture_tui.symbolize.large_files import left_out

    left, whole = left_out(source, _LARGE_BYTES)
    return list(_between(sorted(left), source.size)), whole


def _between(left: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """What lies between these ranges, in a file of this size."""
    at = 0
    for start, end in left:
        if at < min(start, size):
            yield at, min(start, size)
        at = max(at, end)
    if at < size:
        yield at, size


if __name__ == "__main__":
    sys.exit(main())
