"""The shortest of many as a record of its own: a record says its longest, and of one event that is the shortest too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def with_shortest_alone(events: NDArray[np.void], shortest_ns: NDArray[np.uint64]) -> NDArray[np.void]:
    """The same events, (n,) of EVENT, but for each (process, name, value) the shortest one is a record of weight 1.

    shortest_ns: (n,), of the events that each record stands for. Sums stay what they were.
    """
    order = np.lexsort((shortest_ns, events["value"], events["name"], events["process"]))
    first = np.zeros(len(order), bool)
    first[:1] = True
    for column in ("process", "name", "value"):
        ordered = events[column][order]
        first[1:] |= ordered[1:] != ordered[:-1]
    heads = order[first]
    heads = heads[events["weight"][heads] > 1]
    alone, rest = events[heads].copy(), events.copy()
    alone["weight"] = 1
    alone["duration_ns"] = alone["maximum_ns"] = shortest_ns[heads]
    rest["weight"][heads] -= np.uint32(1)
    rest["duration_ns"][heads] -= shortest_ns[heads]
    return np.concatenate((rest, alone))
