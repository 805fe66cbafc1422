"""tests/programs/burn.c with and without frame pointers, and copies of it that no profiler has met before."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.load import LoadError

_SOURCE: Final = Path(__file__).parents[2] / "tests" / "programs" / "burn.c"
OMITTED: Final = ("-O2", "-fomit-frame-pointer", "-pthread")
KEPT: Final = ("-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-pthread")
_OUTER_FRAMES: Final = 8
"""leaf, run, start_thread, clone3, and `descend` 4 times for an argument of 0, on average (see burn.c)."""

_UNIQUE: Final = """\
.text
.cfi_startproc
.skip {size}
.cfi_endproc
.section .note.GNU-stack,"",@progbits
"""
"""A function of its own size: the file's unwind table is another then, which bytes at its end would not change."""


class Programs:
    """The programs, compiled into a scratch folder. Raises LoadError where there is no compiler."""

    def __init__(self, scratch: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            raise LoadError("no C compiler: apt-get install gcc libc6-dev")
        self._compiler, self._scratch, self._unique = compiler, scratch, 0
        self.omitted, self.kept = scratch / "burn-omitted", scratch / "burn-kept"
        for flags, program in ((OMITTED, self.omitted), (KEPT, self.kept)):
            subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(program)], check=True)
        self._object = scratch / "burn.o"
        subprocess.run([compiler, *OMITTED, "-c", str(_SOURCE), "-o", str(self._object)], check=True)

    def unique(self) -> Path:
        """The program without frame pointers, with another unwind table than any before."""
        self._unique += 1
        program, extra = self._scratch / f"burn-new-{self._unique}", self._scratch / "unique.s"
        extra.write_text(_UNIQUE.format(size=random.randrange(1 << 4, 1 << 20)))
        subprocess.run([self._compiler, "-pthread", str(self._object), str(extra), "-o", str(program)], check=True)
        return program


def start(program: Path, seconds: float, threads: int, frames: int) -> subprocess.Popen[bytes]:
    """Burn in the background, about so many user frames deep (5 at least)."""
    command = [str(program), f"{seconds:.3f}", str(threads), str(max(frames, 5) - _OUTER_FRAMES - 3 * (frames <= 5))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
