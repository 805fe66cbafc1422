"""What is done while somebody asks: CUPTI records, all the time or in moments, and what it has told is sent."""

from __future__ import annotations

import random
import sys
import time
from typing import Any

import numpy as np

from . import records, wire
from .attached import AsideError, Attached, is_quiet, somebody_else
from .devices import devices
from .governor import NO_LIMIT, Governor, Launches, cost_ns, launches
from .had import imported, names, source, version
from .known import Known
from .outbox import Outbox

_CALL_BIT = 1 << 63
"""Of a name's number: it is a call's, not a pointer or the number of a text."""
_TICK_S = 0.25
_MOMENT_S = 0.1
_BRIEF_S = 0.01
"""How long a moment lasts in which everything is recorded, where that cannot be done all the time; at least."""
_ROWS = 20_000
"""Of a moment, at most, as far as can be foreseen: the outbox has room for twice that."""
_EMPTY_S = 1.0
"""How long one lasts in which a GPU has begun nothing yet: its queue may be long."""
_LATE_S = 0.05
"""How long what has begun in a moment is waited for."""
_SHORTEST_S = 0.1
_LONGEST_S = 1.0
"""Between two looks whether there is something left to be spent: to look costs, too."""
_BY_DRIVER = 50
"""Of so many kernels one that no call of the runtime has launched, and the driver's calls are asked for as well."""
_WITHOUT = 4
"""So many ticks of kernels without any call of the runtime say the same."""
_REMEMBERED = 1 << 15
"""Calls whose kernels may still come."""
_ON, _LATE, _OFF = range(3)
"""All is recorded; a moment is over, and what has begun in it is waited for; nothing is."""


class Collecting:
    """Records for one who asks. Raises AsideError from the beginning if CUPTI cannot be had.

    Recording is paid for out of a budget (governor.py). When that is spent everything is switched off, and on again for
    a moment when there is something left. What is recorded in a moment stands for the time since the moment before as
    well. Times of moments are those of CUPTI's clock.

    since_ns: since when the process has done what nobody recorded, Unix time.
    """

    def __init__(self, outbox: Outbox, wish: int, limit: float, since_ns: int) -> None:
        self._outbox = outbox
        self.governor = Governor(limit)
        self._launches = Launches()
        self._cupti = imported()
        self._source = source(self._cupti)
        self._names = names(self._cupti)
        self._attached = Attached(self._cupti, self._source, self._names)
        self._wants_calls = bool(wish & wire.WISH_CALLS)
        self._attached.wants_calls = self._wants_calls and limit >= NO_LIMIT
        self._called = np.zeros(0, np.uint32)
        """Correlations of the newest calls, and of the first."""
        self._without_calls = 0
        self.aside = ""
        self._why = ""
        """Why CUPTI could not be had again."""
        self._cupti_ns = self._source.cost_ns
        self._refused_before = self._source.refused
        self._state = _OFF
        self._ended_ns = self._since_ns = self._first_ns = self._over_ns = self._due_ns = 0
        """When the moment before ended, this one was switched on, a GPU first began something in it, it was over, the
        next is due; 0 for none. Where none was before, everything is recorded all the time."""
        self._held: list[dict[int, Any]] = []
        """What is recorded of a moment that is not over."""
        self._each = 1
        self._in_moments = False
        self._moment_s = _MOMENT_S
        self._is_first = True
        """What recording costs this program is not known yet."""
        self.known = Known(outbox, self.now_ns() - max(0, time.time_ns() - since_ns))
        self._taken_over = True
        """What is done is not recorded, and that is no pause: somebody else has CUPTI, or nobody had it yet."""
        self._switch_on()
        self._outbox.rows(wire.DEVICES, devices())

    # -- moments

    @property
    def pause_s(self) -> float:
        """How long until the next tick."""
        if self.aside or self._why:
            return _LONGEST_S
        if self._state == _OFF:
            left = (self._due_ns - self.now_ns() if self._due_ns else self.governor.wait_ns) / 1e9
            return min(_LONGEST_S, max(_SHORTEST_S, left))
        if self._state == _LATE:
            return _LATE_S
        if self._ended_ns:
            return self._moment_s
        return _MOMENT_S if self._is_first else _TICK_S

    def tick(self, wall_ns: int, own_ns: int, program_ns: int) -> None:
        """A few times a second.

        own_ns: CPU time of the agent's thread since the last time. program_ns: that of all others of the process.
        """
        self.governor.passed(wall_ns, program_ns)
        self.governor.spend(own_ns)
        other = somebody_else()
        if other and not self.aside:
            self._let_go()
        self.aside = f"{other} has CUPTI in this process" if other else ""
        if other or self._taken_over or (self.known.is_blind and self._state == _OFF):
            self.known.miss(self.now_ns())
        if other:
            return
        if self._state == _OFF:
            self._switch_on_if_due()
            if not self._taken_over:
                self.known.ask(self.now_ns())
            return
        told = self._taken(0, wall_ns)
        self._is_first = False
        if self._state == _LATE:
            self._close(told)
        elif self._ended_ns:
            # what CUPTI still had from before is of no moment
            self._held.append({frame: rows[rows["start_ns"] >= self._since_ns] for frame, rows in told.items()})
            self._end_if_long_enough()
        else:
            pauses = not self.governor.may_record
            self._tell(told, 1, 1, pauses)
            self._choose_calls(told)
            if pauses:
                self._end()

    def _let_go(self) -> None:
        """Somebody else has taken CUPTI over. What was recorded since the last time is told as far as CUPTI has given
        it back: what it has not goes to that one, and when it was taken over nobody says. So what was done since the
        last moment of which all is told is not known.
        """
        self._attached.let_go()
        told = self._read(0)
        self.known.give_up()
        if self._state != _OFF:
            self._tell_moment([*self._held, told], self.now_ns())
        self._state, self._due_ns, self._ended_ns, self._held = _OFF, 0, 0, []
        self._taken_over = True

    def _end_if_long_enough(self) -> None:
        starts = [int(rows["start_ns"].min()) for told in self._held for rows in _of_gpu(told) if len(rows)]
        self._first_ns = min(starts, default=0)
        now_ns = self.now_ns()
        since_ns, least_s = (self._first_ns, 0.8 * self._moment_s) if self._first_ns else (self._since_ns, _EMPTY_S)
        if now_ns - since_ns >= least_s * 1e9:
            self._end()

    def _end(self) -> None:
        self._state, self._over_ns = _LATE, self.now_ns()

    def _close(self, told: dict[int, Any]) -> None:
        """Tell of a moment that is over, and go on or not."""
        end_ns = self._over_ns
        inside = {frame: rows[rows["start_ns"] <= end_ns] for frame, rows in told.items()}
        later = {frame: rows[rows["start_ns"] > end_ns] for frame, rows in told.items()}
        self._in_moments = not self.governor.may_record
        self._tell_moment([*self._held, inside], end_ns, self._in_moments)
        self._held = []
        if self._in_moments:
            self._attached.end()
            self._state, self._ended_ns = _OFF, end_ns
        else:
            self._tell(later, 1, 1)
            self._state, self._ended_ns, self._first_ns, self._each = _ON, 0, 0, 1

    def _tell_moment(self, parts: list[dict[int, Any]], end_ns: int, pauses: bool = False) -> None:
        of_calls = self._stands_for(end_ns, self._since_ns)
        self._each = self._stands_for(end_ns, self._first_ns or self._since_ns)
        for told in parts:
            self._tell(told, self._each, of_calls, pauses)
        if self._first_ns:
            rows = sum(len(rows) for told in parts for rows in _of_gpu(told))
            on_s = (end_ns - self._first_ns) / 1e9
            self._moment_s = min(_MOMENT_S, max(_BRIEF_S, on_s * _ROWS / max(rows, 1)))

    def _stands_for(self, end_ns: int, since_ns: int) -> int:
        """How many an execution counts for that was recorded in this time."""
        if not self._ended_ns:
            return 1
        return max(1, min(wire.MOST_EACH, round((end_ns - self._ended_ns) / max(end_ns - since_ns, 1))))

    def _switch_on(self) -> None:
        self._attached.begin()
        if self._taken_over:
            self.known.begin(self.now_ns())
        self._why, self._taken_over = "", False
        self._since_ns, self._first_ns, self._due_ns = self.now_ns(), 0, 0
        self._state = _ON

    def _switch_on_if_due(self) -> None:
        """When there is something left to be spent, and then at a time that is left to chance in part: a program may
        have a rhythm of its own.
        """
        if not self.governor.may_record:
            return
        now_ns = self.now_ns()
        if not self._due_ns:
            off_ns = now_ns - self._ended_ns if self._ended_ns else 0
            self._due_ns = now_ns + random.randrange(1 + off_ns // 4)  # noqa: S311
        if now_ns >= self._due_ns:
            try:
                self._switch_on()
            except AsideError as error:
                self._why, self._taken_over = str(error), True

    def end(self, last: bool = False) -> None:
        """Have nothing more recorded. CUPTI stays: to detach it amid a program's work kills that (docs/gpu.md).

        last: the program ends, with what was told until then.
        """
        if last and self._taken_over:
            self.known.miss(self.now_ns())
        if self._state == _OFF:
            return
        if last:
            self._tell_moment([*self._held, self._taken(1, 0)], self.now_ns())
            self._attached.end()
            return
        self._attached.end()
        self._attached.flush(0)
        for _ in self._source.take():  # what comes after the last word would be found by the next one who asks
            pass

    def now_ns(self) -> int:
        """By the clock of its records."""
        return self._timestamp() or time.time_ns()

    # -- calls

    def _choose_calls(self, told: dict[int, Any]) -> None:
        """Have calls told where that costs little enough: CUPTI charges for them from then on, told or not."""
        if not self._wants_calls:
            return
        if not self._attached.wants_calls:
            if self._launches.are_known and self._launches.calls_share <= self.governor.limit:
                self._attached.wants_calls = True
                self._attached.begin_calls()
            return
        self._look_for_driver(told)

    def _look_for_driver(self, told: dict[int, Any]) -> None:
        """Whether the program launches by the driver's calls, which nobody tells of yet."""
        if self._attached.wants_driver:
            return
        kernels = told.get(wire.KERNELS)
        if kernels is None:
            return
        if len(self._called):
            alone = kernels["correlation"][kernels["graph"] == 0]
            alone = alone[(alone - self._called[0]).astype(np.int32) > 0]  # the others: before calls were told
            by_driver = int(np.count_nonzero(~np.isin(alone, self._called))) * _BY_DRIVER > len(alone)
        else:  # what comes at first may have waited in a GPU's queue
            self._without_calls += 1
            by_driver = self._without_calls > _WITHOUT
        if by_driver:
            self._attached.wants_driver = True
            self._attached.begin_calls()

    # -- reading

    def _taken(self, flush: int, wall_ns: int) -> dict[int, Any]:
        """What CUPTI has told, by the type of its frame, and paid for."""
        now_ns = self.now_ns()
        self._attached.flush(flush)
        told = self._read(wall_ns)
        self.known.ask(now_ns)
        return told

    def _read(self, wall_ns: int) -> dict[int, Any]:
        """What CUPTI has given back of it."""
        parts: dict[int, list[Any]] = {}
        for frame, rows in self._source.take():
            parts.setdefault(frame, []).append(rows)
        told = {frame: np.concatenate(some) for frame, some in parts.items()}
        self.known.take(_of_gpu(told), self.now_ns())
        of_cupti, self._cupti_ns = self._source.cost_ns - self._cupti_ns, self._source.cost_ns
        self.governor.spend(of_cupti + cost_ns(told))
        self._launches.add(launches(told), wall_ns)
        if wire.CALLS in told and not self._attached.wants_driver:
            known = np.concatenate((self._called, told[wire.CALLS]["correlation"]))
            self._called = np.concatenate((known[:1], known[1:][-_REMEMBERED:]))
        return told

    def _tell(self, told: dict[int, Any], each: int, of_calls: int, pauses: bool = False) -> None:
        """Into the outbox. each, of_calls: how many a record of a GPU's work, and one of a call, stand for. pauses:
        what follows may not be recorded.
        """
        for frame, rows in told.items():
            if frame == wire.CALLS:
                self._tell_calls(rows, of_calls)
                continue
            if frame == wire.KERNELS:
                self._tell_kernel_names(rows["name"])
            self._outbox.rows(frame, rows, each | wire.PAUSES if pauses else each)

    def _tell_kernel_names(self, numbers: Any) -> None:
        for number in set(numbers.tolist()):
            if not self._outbox.knows(number):
                self._outbox.name(number, self._source.text(number))

    def _tell_calls(self, rows: Any, each: int) -> None:
        rows = records.without_nested(rows)
        rows["name"] += rows["domain"].astype("u8") << 32
        for key in np.unique(rows["name"]).tolist():
            name = self._names.name(key >> 32, key & 0xFFFF_FFFF)
            if is_quiet(name):  # of a CUPTI that cannot leave it out
                rows = rows[rows["name"] != key]
            else:
                self._outbox.name(_CALL_BIT + key, name)
        rows["name"] += np.uint64(_CALL_BIT)
        self._outbox.rows(wire.CALLS, rows, each)

    # -- telling

    def hello(self) -> dict[str, Any]:
        """Who tells, by what."""
        return {
            "python": sys.version.split()[0],
            "cupti_python": version("cupti-python"),
            "torch": version("torch") if "torch" in sys.modules else "",
            "callbacks": self._source.name,
            "clock_ns": [time.time_ns(), self._timestamp()],
        }

    def _timestamp(self) -> int | None:
        try:
            return int(self._cupti.get_timestamp())
        except Exception:
            return None

    def status(self) -> dict[str, Any]:
        """How it goes: all numbers since the beginning."""
        return {
            "aside": self.aside or self._why,
            "in_moments": self._in_moments,
            "each": self._each,
            "calls_left_out": self._wants_calls and self._launches.are_known and not self._attached.wants_calls,
            "launches_s": self._launches.per_s,
            "stays": self._launches.calls_share if self._attached.wants_calls else self._launches.share,
            "share": self.governor.share,
            "cupti_ns": self._source.cost_ns,
            "dropped": dict(self._outbox.dropped),
            "refused": self._source.refused - self._refused_before,
            "unknown": {str(kind): n for kind, n in self._source.unknown.items()},
            "failed": self._attached.failed,
            "until_ns": self.known.sure_ns,
        }


def _of_gpu(told: dict[int, Any]) -> list[Any]:
    """Rows of what GPUs did."""
    return [told[frame] for frame in (wire.KERNELS, wire.COPIES) if frame in told]
