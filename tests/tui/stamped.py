"""The screens over samples that move all the time, with the moment they are of as the machine's name.

`python -m tests.tui.stamped COUNTS` writes into a file how much was fed, in the end; and into COUNTS.screen, as it goes
on, what is shown, for terminals on which that cannot be seen.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from textual.app import ScreenStackError

from aperture_tui.cli.top import _end_on_signals
from aperture_tui.profile.host import HostFacts
from aperture_tui.store.memory import MemoryStore
from aperture_tui.tui.app import ApertureApp
from bench.synthetic_screen import Workload, fill

_FEED_S = 0.1
_SAMPLES = 2000


def shown(app: ApertureApp) -> str:
    """The view, the screen of it or over it, and what has the focus there."""
    try:
        return f"{app.current_mode} {type(app.screen).__name__} {type(app.screen.focused).__name__}"
    except ScreenStackError:
        return ""


def feed(workload: Workload, store: MemoryStore, stopping: threading.Event, counts: Path, app: ApertureApp) -> None:
    """As a collecting thread does: so many a second, whatever the screen does."""
    fed, began = 0, time.monotonic()
    longest = 0.0
    before = began
    while not stopping.wait(_FEED_S):
        now = time.monotonic()
        longest, before = max(longest, now - before), now
        counts.with_suffix(".new").write_text(shown(app))
        counts.with_suffix(".new").replace(counts.with_suffix(".screen"))
        batch = workload.batch(round(_SAMPLES * _FEED_S), time.time_ns(), round(_FEED_S * 1e9))
        store.append(batch)
        store.set_hosts([HostFacts(f"t{round(1000 * now)}", "6.1", 64, 64 << 30)])
        fed += len(batch)
    counts.write_text(f"{fed} {time.monotonic() - began} {longest}")


def main() -> None:
    """Until `q`."""
    store, workload, stopping = MemoryStore(), Workload(20_000), threading.Event()
    fill(workload, store)
    app = ApertureApp(lambda: store, window_s=10.0)
    feeding = threading.Thread(target=feed, args=(workload, store, stopping, Path(sys.argv[1]), app))
    feeding.start()
    try:
        _end_on_signals(lambda: app.exit())
        app.run()
    finally:
        stopping.set()
        feeding.join()


if __name__ == "__main__":
    main()
