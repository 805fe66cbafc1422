"""Moments in words: local times of day, dates where they are needed, and how far into a recording. Pure."""

from __future__ import annotations

import time
from typing import Final

_SECOND: Final = 1_000_000_000


def clock(at_ns: int) -> str:
    """A local time of day: "14:03:20"; "" of no moment."""
    return time.strftime("%H:%M:%S", time.localtime(at_ns // _SECOND)) if at_ns else ""


def short(at_ns: int, now_ns: int) -> str:
    """A local time of day, with the date if that is not today's: "Jan 31 14:03:20"."""
    at, now = time.localtime(at_ns // _SECOND), time.localtime(now_ns // _SECOND)
    return time.strftime("%H:%M:%S" if at[:3] == now[:3] else "%b %d %H:%M:%S", at) if at_ns else ""


def moment(at_ns: int, now_ns: int) -> str:
    """The same with the zone, and with the date if that is not today's: "2026-01-31 14:03:20 CET"."""
    if not at_ns:
        return ""
    at, now = time.localtime(at_ns // _SECOND), time.localtime(now_ns // _SECOND)
    form = "%H:%M:%S %Z" if at[:3] == now[:3] else "%Y-%m-%d %H:%M:%S %Z"
    return time.strftime(form, at)


def passed(ns: int) -> str:
    """How long, as players write it: "0:07", "12:03", "1:02:03"."""
    seconds = ns // _SECOND
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
