"""`python -m bench.unwind.off COMMAND ...`: `aperture COMMAND ...` as where the kernel refuses the unwinder's maps."""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

from aperture_tui.cli.main import main
from aperture_tui.collect.unwind import supply


def _refused() -> NoReturn:
    raise PermissionError(errno.EPERM, "refused, to see what it costs")


if __name__ == "__main__":
    if "KernelMaps" not in vars(supply):
        sys.exit("bench.unwind.off: there is no KernelMaps to refuse any more")  # else it would measure nothing
    vars(supply)["KernelMaps"] = _refused
    sys.exit(main())
