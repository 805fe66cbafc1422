"""What can be wrong with a filter, in one clear line each. Free of numpy and wasmtime."""

from __future__ import annotations

from typing import Final

from aperture_tui.profile.text import clean

_MOST: Final = 300


class FilterError(RuntimeError):
    """The filter cannot be used: its file, its module, its configuration."""


class FaultError(FilterError):
    """The filter failed at work: a trap, a timeout, a verdict that is none. A new instance may do better."""


def one_line(text: str | bytes, most: int = _MOST) -> str:
    """A stranger's text in one line, safe to show and of bounded length."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    words = clean(" ".join(text[: 4 * most].split()))
    return words if len(words) <= most else words[: most - 1] + "…"
