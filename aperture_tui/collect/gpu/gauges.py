"""The gauges of GPUs, read once a second by a thread of its own: a reading may take tens of milliseconds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from aperture_tui.collect.gpu.device import GpuError, opened
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.profile.gpu import GpuSample

_EVERY_S: Final = 1.0


class GpuGauges:
    """begin and end belong to one thread; `newest` and `problem` are for all."""

    def __init__(self) -> None:
        self.newest: tuple[GpuSample, ...] = ()
        self.problem = ""
        """Why there are none any more; "" while there may be."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu gauges", daemon=True)

    def begin(self) -> None:
        """Read from now on."""
        self._thread.start()

    def end(self) -> None:
        """No more; what was read last is forgotten."""
        self._stopping.set()
        self.newest = ()

    def number(self, uuid: str) -> int | None:
        """The number of a GPU on this machine; None if it is not known."""
        return next((one.index for one in self.newest if one.uuid == uuid), None)

    def _run(self) -> None:
        try:
            devices = opened()
        except GpuError:  # `aperture gpu devices` says why there are none
            return
        try:
            while not self._stopping.is_set():
                newest = tuple(devices.read())
                if not self._stopping.is_set():
                    self.newest = newest
                self._stopping.wait(_EVERY_S)
        except Exception as error:  # of a vendor's package: what was read last must not look like what is now
            self.newest, self.problem = (), f"its gauges have failed: {type(error).__name__}: {clean(str(error))}"
        finally:
            devices.close()
