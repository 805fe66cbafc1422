"""`python -m bench.probes.recording FILE NAME`: what a recording says of its collectors and of one syscall, as JSON.

{calls: {pid: calls of this name that are over}, health: the newest of each collector, as in `aperture export`}.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import numpy as np

from aperture_tui.profile.batch import Batch
from aperture_tui.profile.kinds import ROLE_SHIFT, Kind, Role
from aperture_tui.recording.reader import Reader


def told(path: str, name: str) -> dict[str, Any]:
    """The answer, as JSON types."""
    calls: Counter[int] = Counter()
    health: dict[str, Any] = {}
    with Reader(path) as reader:
        for content in reader.contents():
            if not isinstance(content, Batch):
                health |= {each.name: each.as_json() for each in content.health}
                continue
            events, strings = content.events, content.symbols.strings
            events = events[events["kind"] == Kind.SYSCALL]
            events = events[(events["flags"] >> np.uint16(ROLE_SHIFT) & np.uint16(3)) == Role.OWN]
            columns = (events[field].tolist() for field in ("pid", "name", "weight"))
            for pid, number, weight in zip(*columns, strict=True):
                if strings[number] == name:
                    calls[pid] += weight
    return {"calls": calls, "health": list(health.values())}


if __name__ == "__main__":
    print(json.dumps(told(sys.argv[1], sys.argv[2])))
