"""How soon a key is answered, over a live tree of 100,000 nodes; and how many bytes a refresh sends.

A key counts as answered when the last of what it changes has been read from the pseudo terminal. What that is is
told by the text that only this key brings, because refreshes go on in between.
"""

from __future__ import annotations

import random
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.figures import FEWEST_FOR_P99, Figure, quantile
from bench.launch import FailedError
from bench.terminal import Terminal, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEY_BUDGET_MS: Final = 50.0
_BYTES_BUDGET_KB: Final = 6.0
_NODES: Final = 100_000
_REFRESH_HZ: Final = 2
_SIZE, _LARGE = (120, 40), (300, 80)
_READY_S, _PATIENCE_S = 15.0, 1.0
_PAUSES_S: Final = (0.03, 0.28)
"""Between an answer and the next key: keys come at every phase of a refresh."""
_SIZES: Final = ((80, 24), (120, 40), (200, 50))
_COLLECTING: Final = ", all collectors"
_ENTER, _OUT, _END_SEARCH = b"\r", b"\x7f", b"\x1b"

_NAME_ROW: Final = re.compile(r"(?m)^ ([\w-]+) *(?:▾ [\d,]+ below *)?$")
"""The row below the icicle that names the selected frame."""


@dataclass(frozen=True, slots=True)
class Press:
    """One key. answered: whether the text drawn since it was pressed is the answer; None: it is not measured.

    Its second argument is the name of the frame that was selected before.
    """

    group: str
    key: bytes
    answered: Callable[[str, str], bool] | None


def cycle() -> Iterator[Press]:
    """Keys from the selected root down and back to it."""
    for key in b"jjjjkkk":
        yield Press("cursor", bytes([key]), _another_name)
    for _ in range(3):
        yield Press("zoom", _ENTER, _has_a_row_alone)
        yield Press("zoom", _OUT, _shares_its_row)
    yield Press("", b"/", None)
    for n, key in enumerate(b"read", 1):
        yield Press("search", bytes([key]), _found("read"[:n]))
    yield Press("", _END_SEARCH, None)
    yield Press("cursor", b"k", _another_name)


def _has_a_row_alone(text: str, selected: str) -> bool:
    return re.search(rf"(?m)^▏{re.escape(selected)}\b[^▏\n]*$", text) is not None


def _shares_its_row(text: str, selected: str) -> bool:
    return re.search(rf"(?m)^(?=.*▏.*▏).*▏{re.escape(selected)}\b", text) is not None


def _another_name(text: str, before: str) -> bool:
    return any(name != before for name in _NAME_ROW.findall(text))


def _found(typed: str) -> Callable[[str, str], bool]:
    echo = re.compile(rf"(?m)^{typed} *$")
    # the share is not waited for: where it stays the same it is not drawn again
    return lambda text, _: echo.search(text) is not None


def measure(cycles: int, seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this group. seconds: of refreshes that are weighed at each size."""
    alone, collecting = _latencies(cycles, tell), _latencies(cycles, tell, _COLLECTING, _SIZE, "--collect")
    return [*alone, *collecting, *_latencies(cycles, tell, "", _LARGE), *_weights(seconds, tell)]


def _latencies(
    cycles: int, tell: Callable[[str], None], beside: str = "", size: tuple[int, int] = _SIZE, *options: str
) -> list[Figure]:
    """beside: what is at work in the same process, by the options."""
    beside = f", {size[0]}x{size[1]}{beside}"
    tell(f"keys: about {18 * cycles} presses{beside}")
    times: dict[str, list[float]] = {"cursor": [], "zoom": [], "search": []}
    unanswered, selected = 0, "all"
    terminal = _synthetic(*size, _REFRESH_HZ, *options)
    try:
        _open_cpu_view(terminal)
        pauses = random.Random(1)
        for _ in range(cycles):
            for press in cycle():
                took_ms, drawn = _answer(terminal, press, selected)
                selected = [selected, *_NAME_ROW.findall(drawn)][-1]
                if took_ms is not None:
                    times[press.group].append(took_ms)
                elif press.answered:
                    unanswered += 1
                terminal.read(pauses.uniform(*_PAUSES_S))
    except FailedError as error:
        return [_missing(f"key press to painted{beside}", "ms", str(error))]
    finally:
        terminal.end(b"q")
    everything = [value for values in times.values() for value in values]
    remark = f"{unanswered} of {len(everything) + unanswered} not answered within {_PATIENCE_S:.0f} s"
    figures = _quantiles("all keys", everything, remark, _KEY_BUDGET_MS if size == _SIZE else None, beside)
    for group, values in times.items():
        figures += _quantiles(group, values, "", None, beside)
    return figures


def _quantiles(group: str, values: list[float], remark: str, budget: float | None, beside: str) -> list[Figure]:
    name = f"key press to painted, live, 100k nodes{beside}"
    if not values:
        return [_missing(name, "ms", f"{group}: no answers")]
    words = "; ".join(filter(None, [f"{len(values)} presses", remark]))
    figures = [Figure(f"{name}: p50", f"aperture-top, {group}", "ms", (quantile(values, 0.5),), why=words)]
    if len(values) >= FEWEST_FOR_P99:
        p99 = quantile(values, 0.99)
        figures.append(Figure(f"{name}: p99", f"aperture-top, {group}", "ms", (p99,), budget, words))
    else:
        figures.append(Figure(f"{name}: slowest", f"aperture-top, {group}", "ms", (max(values),), why=words))
    return figures


def _answer(terminal: Terminal, press: Press, selected: str) -> tuple[float | None, str]:
    """Milliseconds from the key to the end of the frame that completes its answer, and the text drawn since."""
    at = terminal.output.size
    pressed_ns = terminal.press(press.key)
    if press.answered is None:
        terminal.read(2 * max(_PAUSES_S))
        return None, visible(terminal.output.since(at))
    seen, done = "", 0
    answered = press.answered

    def painted() -> bool:
        nonlocal seen, done
        frames = terminal.output.frames(at)
        for frame in frames[done:]:
            seen += visible(frame.data) + "\n"
        done = len(frames)
        return answered(seen, selected)

    terminal.read(_PATIENCE_S, painted)
    if not painted():
        return None, seen
    return (terminal.output.frames(at)[done - 1].ended_ns - pressed_ns) / 1e6, seen


def _open_cpu_view(terminal: Terminal) -> None:
    """Raises FailedError if it does not come up."""
    terminal.seconds_until(_has_samples, _READY_S)
    terminal.press(b"2")
    terminal.read(2.0)


def _weights(seconds: float, tell: Callable[[str], None]) -> list[Figure]:
    figures = []
    for view, key in (("overview", b"1"), ("CPU", b"2")):
        for columns, rows in _SIZES:
            tell(f"bytes: {view} at {columns}x{rows}")
            for window, words in (("10", "rolling window"), ("0", "all that is held")):
                budget = _BYTES_BUDGET_KB if (columns, rows) == _SIZES[0] and window != "0" else None
                measure = f"bytes of a refresh, 1 Hz, {words}, {columns}x{rows}"
                figures.append(_weight(f"aperture-top, {view}", measure, key, (columns, rows, window), seconds, budget))
    return figures


def _weight(
    subject: str, measure: str, key: bytes, shown: tuple[int, int, str], seconds: float, budget: float | None
) -> Figure:
    """shown: columns, rows, and the window."""
    columns, rows, window = shown
    terminal = _synthetic(columns, rows, 1, "--window", window)
    try:
        terminal.seconds_until(_has_samples, _READY_S)
        terminal.press(key)
        terminal.read(2.0)
        return Figure(measure, subject, "KB", _refreshes_kb(terminal, seconds), budget, "made-up samples")
    except FailedError as error:
        return _missing(measure, "KB", str(error))
    finally:
        terminal.end(b"q")


def _refreshes_kb(terminal: Terminal, seconds: float) -> tuple[float, ...]:
    """Kilobytes a second, which at 1 Hz is a refresh: the means of two halves."""
    values = []
    for _ in range(2):
        at = terminal.output.size
        terminal.read_for(seconds / 2)
        values.append((terminal.output.size - at) / (seconds / 2) / 1000)
    return tuple(values)


def _has_samples(text: str) -> bool:
    return re.search(r"of view  [1-9]", text) is not None


def _synthetic(columns: int, rows: int, refresh_hz: float, *options: str) -> Terminal:
    command = (sys.executable, "-m", "bench.synthetic_screen", "--refresh", str(refresh_hz), "--nodes", str(_NODES))
    return Terminal((*command, *options), columns, rows, cwd=".")


def _missing(measure: str, unit: str, why: str) -> Figure:
    return Figure(measure, "aperture-top", unit, why=why)
