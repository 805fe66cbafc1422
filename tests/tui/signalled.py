"""`tests.tui.stamped`, which is told to go on in the middle of handing a picture over: where signals may come, too."""

from __future__ import annotations

import os
import signal

from aperture_tui.tui import driver
from aperture_tui.tui.line import Line
from tests.tui import stamped

_PICTURES = 4


class Signalled(Line):
    """One to which the signal comes while its lock is held by the thread that will handle it."""

    pictures = 0

    def sent(self, characters: int, asks: bool = False) -> None:
        super().sent(characters, asks)
        self.pictures += asks
        if self.pictures == _PICTURES:
            self.pictures += 1
            with self._lock:
                os.kill(os.getpid(), signal.SIGCONT)


if __name__ == "__main__":
    driver.Line = Signalled  # type: ignore[misc]
    stamped.main()
