"""Why the frames of a CPython process cannot be had."""

from __future__ import annotations


class CPythonError(Exception):
    """The process is a CPython whose frames cannot be read; the message is one line that says why."""


class CPythonNotReady(CPythonError):  # noqa: N818 a state, not a fault: ask again in a moment
    """The process is a CPython that has not set itself up yet, or has already taken itself down."""
