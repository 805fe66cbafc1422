"""What agents say of themselves: what they lost, what they leave out and why, and which clock they go by.

Their programs are not trusted: whatever a status has in it may be of any type and size.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.collect.gpu.agents import Agent

_SILENT_S: Final = 5.0
"""After which it is said of an agent, which has a word a second."""
_DROPPED: Final = frozenset(("kernels", "copies", "calls", "waits", "devices", "names", "words"))
"""What an agent counts; whatever else it names is summed, for an agent could think of new names without end."""


def losses(agent: Agent) -> dict[str, int]:
    """What its program could not tell, by cause."""
    out = {f"{what}: no room in the agent": n for what, n in dropped(agent.status).items()}
    refused = agent.status.get("refused")
    if isinstance(refused, int) and 0 < refused < 1 << 63:
        out["times that CUPTI had no buffer, and dropped records"] = refused
    return out


def problem(agent: Agent, limit: float) -> str:
    """What is to be said of one agent: why it tells nothing, or that it leaves detail out; "" if all is well."""
    silent_s = time.monotonic() - agent.heard
    if silent_s > _SILENT_S:
        return f"pid {agent.pid}: has said nothing for {silent_s:.0f} s, of losses neither"
    if not agent.status:
        return f"pid {agent.pid}: has just been asked"
    if aside := text(agent.status, "aside"):
        return f"pid {agent.pid}: {aside}"
    told = _said(agent, limit)
    return f"pid {agent.pid}: {'; '.join(told)}" if told else ""


def _said(agent: Agent, limit: float) -> list[str]:
    """What is left out to spare the program, and what it costs nevertheless."""
    each, launches = (_number(agent.status, name) for name in ("each", "launches_s"))
    said = []
    if agent.status.get("in_moments") is True:
        part = f", one of {each:.0f}" if each > 1 else ""
        said.append(f"recorded in moments{part}, at {_number(agent.status, 'share'):.1%} of its time")
    if agent.status.get("calls_left_out") is True:
        said.append(f"calls are left out at {launches:,.0f} launches a second")
    if limit < 1 and (stays := _number(agent.status, "stays")) > limit:
        said.append(f"CUPTI costs it about {stays:.0%} while it lives")
    return said


def clock_offset_ns(agent: Agent) -> int:
    """What to add to an agent's times: 0 if CUPTI's clock is Unix time."""
    pair = agent.hello.get("clock_ns")
    if (
        not isinstance(pair, list)
        or len(pair) != 2
        or not all(isinstance(one, int) and 0 <= one < 1 << 62 for one in pair)
    ):
        return 0
    unix, its = pair
    return unix - its if abs(unix - its) > 1_000_000_000 else 0


def dropped(words: dict[str, Any]) -> dict[str, int]:
    """What a status says was dropped: what -> number; what is none is left out."""
    told = words.get("dropped")
    out: Counter[str] = Counter()
    for what, n in told.items() if isinstance(told, dict) else ():
        if isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 63:
            out[what if what in _DROPPED else "records"] += n
    return dict(out)


def text(words: dict[str, Any], name: str) -> str:
    """A text of a status, safe to show; "" for none."""
    told = words.get(name)
    return clean(told)[:200] if isinstance(told, str) else ""


def _number(words: dict[str, Any], name: str) -> float:
    """A number of a status; 0 for none, or one that makes no sense."""
    told = words.get(name)
    return float(told) if isinstance(told, int | float) and 0 <= told < 1e12 else 0.0
