"""`python -m bench.unwind.recording FILE FROM_NS TO_NS`: what a recording says of its stacks, as JSON.

{samples, whole, frames: mean of user mode, comms: {name: [samples, whole]}, first: {pid: {name: [any_ns, whole_ns]}},
degraded: {cause: count, of all collectors}}. Names are those of threads; a process before its exec has another one's.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import Flag
from aperture_tui.recording.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aperture_tui.profile.health import Health


def told(path: str, began_ns: int, ended_ns: int) -> dict[str, Any]:
    """The answer, as JSON types."""
    samples = whole = user = frames = 0
    comms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    first: defaultdict[int, dict[str, list[int]]] = defaultdict(dict)
    health: Iterable[Health] = ()
    with Reader(path) as reader:
        for content in reader.contents():
            if not isinstance(content, Batch):
                health = content.health or health
                continue
            events, symbols = content.events, content.symbols
            events = events[(events["time_ns"] > began_ns) & (events["time_ns"] <= ended_ns)]
            is_whole = (events["flags"] & np.uint16(Flag.WHOLE)) > 0
            in_user = (events["flags"] & np.uint16(Flag.KERNEL_MODE)) == 0
            samples += len(events)
            whole += int(is_whole.sum())
            user += int(in_user.sum())
            frames += int((symbols.trie.depth[events["stack"][in_user]].astype(np.int64) - 1).sum())
            times, pids = events["time_ns"].tolist(), events["pid"].tolist()
            threads, wholes = events["thread"].tolist(), is_whole.tolist()
            for time_ns, pid, thread, complete in zip(times, pids, threads, wholes, strict=True):
                name = symbols.strings[thread]
                comms[name].update(samples=1, whole=int(complete))
                earliest = first[pid].setdefault(name, [1 << 62, 1 << 62])
                earliest[0] = min(earliest[0], time_ns)
                if complete:
                    earliest[1] = min(earliest[1], time_ns)
    degraded: Counter[str] = Counter()
    for each in health:
        degraded.update(each.degraded)
    return {
        "samples": samples,
        "whole": whole,
        "frames": frames / user if user else 0,
        "comms": {name: [counts["samples"], counts["whole"]] for name, counts in comms.items()},
        "first": first,
        "degraded": {cause: n for cause, n in degraded.items() if n},
    }


if __name__ == "__main__":
    print(json.dumps(told(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
