"""Calls to a GPU and what it did, as a timeline connects them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aperture_tui.profile.event import tells_one
from aperture_tui.profile.gpu_launch import Launch, is_shape
from aperture_tui.profile.kinds import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aperture_tui.profile.symbols import Symbols

_SKEW_NS: Final = 1_000_000
"""How much earlier than its call something may seem to begin: the clocks of a GPU and of a CPU agree only so well."""
_MOMENT_NS: Final = 1_000_000_000
"""How much later than its call something may begin that was sampled: an older call with its number is another one's,
whose own was not recorded."""


def callers(work: NDArray[np.void], calls: NDArray[np.void]) -> NDArray[np.intp]:
    """(n,): the call that each kernel or copy comes from, as an index; -1 where it is not known.

    work: (n,) of EVENT, calls: (m,), each of one. A call is known by its process, thread and a part of its number; of
    several the newest before it is the one.
    """
    none = np.full(len(work), -1, np.intp)
    if not len(calls) or not len(work):
        return none
    order = np.lexsort((calls["time_ns"], *(calls[name] for name in ("cpu", "tid", "pid"))))
    ordered = calls[order]
    names, of = np.unique(np.concatenate((_who(ordered), _who(work))), axis=0, return_inverse=True)
    whose, mine = np.split(of.reshape(-1).astype(np.uint64), [len(calls)])
    base = min(int(calls["time_ns"].min()), int(work["time_ns"].min()))
    shift = np.uint64(63 - len(names).bit_length())
    if max(int(calls["time_ns"].max()), int(work["time_ns"].max())) + _SKEW_NS - base >= 1 << int(shift):
        return none  # years
    keys = whose << shift | (ordered["time_ns"] - np.uint64(base))
    wanted = mine << shift | (work["time_ns"] - np.uint64(base) + np.uint64(_SKEW_NS))
    at = np.searchsorted(keys, wanted, "right") - 1
    right = (at >= 0) & (whose[at] == mine) & (work["tid"] != 0) & tells_one(work)
    waited = work["time_ns"].astype(np.int64) - ordered["time_ns"][at].astype(np.int64)
    right &= (work["weight"] == 1) | (waited <= _MOMENT_NS)
    return np.where(right, order[at], -1)


def _who(events: NDArray[np.void]) -> NDArray[np.uint32]:
    return np.column_stack([events[name].astype(np.uint32) for name in ("pid", "tid", "cpu")])


def stands_for(row: np.void) -> dict[str, int]:
    """How many executions a slice stands for, of one that was sampled."""
    return {"stands_for": int(row["weight"])} if row["weight"] > 1 else {}


def arguments(symbols: Symbols, row: np.void) -> dict[str, Any]:
    """What a slice of a kernel or a copy says of it. What is unknown is absent."""
    args: dict[str, Any] = {"pid": int(row["pid"]), "tid": int(row["tid"]), **stands_for(row)}
    if row["kind"] == Kind.GPU_COPY:
        took = int(row["maximum_ns"])
        rate = {"GB/s": round(int(row["value"]) / took, 3)} if took else {}
        return {**args, "bytes": int(row["value"]), **rate}
    innermost = symbols.frame_at(int(symbols.trie.frame[row["stack"]]))
    if is_shape(innermost):
        grid, block = innermost.function.strip("<>").split("),(")
        args |= {"grid": f"{grid})", "block": f"({block}"}
    launch = Launch.unpacked(int(row["value"]))
    if launch.threads:
        args |= {"registers": launch.registers} if launch.registers else {}
        args["shared_bytes"] = launch.shared_bytes
    if launch.occupancy is not None:
        args["occupancy"] = round(launch.occupancy, 4)
    return args
