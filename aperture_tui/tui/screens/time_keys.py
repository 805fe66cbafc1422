"""The keys that move through time: the same live and over a recording. What they do is in `screens/view.py`."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

TIME_KEYS: Final = (
    Binding("space", "freeze", "freeze"),
    Binding("space", "play", "play or pause"),
    Binding("comma", "step(-1)", "back 1 s", show=False, key_display=","),
    Binding("full_stop", "step(1)", "on 1 s", show=False, key_display="."),
    Binding("less_than_sign", "step(-10)", "back 10 s", show=False, key_display="<"),
    Binding("greater_than_sign", "step(10)", "on 10 s", show=False, key_display=">"),
    Binding("left_curly_bracket", "step(-60)", "back 1 min", show=False, key_display="{"),
    Binding("right_curly_bracket", "step(60)", "on 1 min", show=False, key_display="}"),
    Binding("b", "beginning", "the beginning", show=False),
    Binding("L", "newest", "live, or the end", show=False),
    Binding("T", "timeline", "timeline", show=False),
    Binding("g", "go_to", "go to a time", show=False, priority=True),  # or what is typed right after it is lost
    Binding("left_parenthesis", "speed(-1)", "slower", show=False, key_display="("),
    Binding("right_parenthesis", "speed(1)", "faster", show=False, key_display=")"),
)
"""Pairs, each for a longer step: those of a second on keys without shift, on most keyboards those of 10 s the same keys
with it; those of a minute like the brackets that change the window. Arrows belong to the icicle and the tables, and to
the timeline while it has the focus."""

LIVE_ONLY: Final = frozenset({"freeze"})
"""Actions that make no sense over a recording."""
RECORDED_ONLY: Final = frozenset({"play", "speed"})
"""Actions that make no sense live."""
