"""`python -m bench.unwind.made FILE CACHE`: makes the unwind table of a file as the building child does.

Says as JSON {cpu_s, rows, bytes: of the answer, peak_bytes: of this process}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from aperture_tui.collect.unwind.table import file_table, packed
from aperture_tui.symbolize.elf import FileSource
from aperture_tui.symbolize.unwind_cache import UnwindCache
from bench.unwind.held import peak_bytes


def made(file: str, folder: Path) -> dict[str, Any]:
    """The answer, as JSON types."""
    cache = UnwindCache(folder)
    with open(file, "rb") as opened:
        began = time.process_time()
        found = file_table(FileSource(os.dup(opened.fileno())), cache, build=True)
        _datagram, fd = packed(found)
        cpu_s = time.process_time() - began
    size = os.fstat(fd).st_size
    return {"cpu_s": cpu_s, "rows": len(found.table.rows), "bytes": size, "peak_bytes": peak_bytes(os.getpid())}


if __name__ == "__main__":
    print(json.dumps(made(sys.argv[1], Path(sys.argv[2]))))
