"""Values on command lines that several commands take; each raises argparse.ArgumentTypeError with one clear line."""

from __future__ import annotations

import argparse
import re


def number(text: str) -> int:
    """How many, at least one."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: give 1 or more")
    return int(text)


def pid(text: str) -> int:
    """A process that need not exist any more."""
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pid")
    return int(text)


def pattern(text: str) -> str:
    """A regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from error
    return text


def points(text: str) -> float:
    """Percentage points: 5% or 0.5."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?%?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a limit: give 5%, or 0.5%")
    return float(text.removesuffix("%"))
