"""Why the frames of a HotSpot process cannot be had."""

from __future__ import annotations


class HotSpotError(Exception):
    """The process is a HotSpot whose frames cannot be read; the message is one line that says why."""


class HotSpotNotReady(HotSpotError):  # noqa: N818 a state, not a fault: ask again in a moment
    """The process is a HotSpot that has not set itself up yet."""
