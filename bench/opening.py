"""`python -m bench.opening FILE`: opens a recording and asks for its last minute, as the screens do at their start.

Prints JSON: seconds until it is open, seconds of the first answer, peak resident MB, events that it holds.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from aperture_tui.profile.query import Query
from aperture_tui.recording.replay import replay

if __name__ == "__main__":
    began = time.monotonic()
    store = replay(sys.argv[1])
    opened = time.monotonic()
    span = store.span()
    if not store.call_tree(Query(start_ns=span.end_ns - 60 * 10**9)).weight:
        sys.exit("the last minute is empty")
    answered = time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([opened - began, answered - opened, peak, span.events]))
