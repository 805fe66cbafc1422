"""The building child: unwind tables of one file after the other, away from the screens, soon at low priority.

Started by `builder`, never imported by it. It is given the number of a socket; each datagram on it brings a
descriptor of a file, and is answered with its table (see `table`). It gives its rights up before the first file, and
so neither reads nor writes the cache. It ends when the socket closes, or after a while without work, and gives its
memory back with that.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Final

from aperture_tui.collect.unwind.table import file_table, packed, without_rows
from aperture_tui.symbolize.confined import drop_rights, limit
from aperture_tui.symbolize.elf import FileSource

_NICE: Final = 5
_FULL_SPEED_S: Final = 1.0
"""CPU seconds before it steps back: on a saturated machine a niced process has its first table after many seconds, and
until then no stack is whole. The usual libraries take half of this, the start of Python included."""
_MOST_BYTES: Final = 2 << 30
"""Of address space: 32 MB of call frames and the rows of four million are a third of it."""
_IDLE_S: Final = 5.0


def main() -> int:
    """Answer until there is nothing more to do."""
    limit({resource.RLIMIT_AS: _MOST_BYTES, resource.RLIMIT_CORE: 0})
    drop_rights()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.settimeout(_IDLE_S)
    niced = False
    while True:
        if not niced and time.process_time() > _FULL_SPEED_S:
            niced = bool(os.nice(_NICE))
        try:
            words, fds, _flags, _from = socket.recv_fds(connection, 16, 1)
        except TimeoutError:
            return 0
        if not words or not fds:
            return 0
        try:
            found = file_table(FileSource(fds[0]), None, build=True)
        except MemoryError:
            found = without_rows("its table takes too much memory")
        datagram, fd = packed(found)
        socket.send_fds(connection, [datagram], [fd])
        os.close(fd)
        del found


if __name__ == "__main__":
    sys.exit(main())
