"""Regular expressions of strangers: what is wrong with one, how it may stand beside others, how RE2 writes it. Pure."""

from __future__ import annotations

import re
from typing import Final

LONGEST_PATTERN: Final = 200
PAIR: Final = re.compile(r"\\.", re.DOTALL)
_BEYOND: Final = re.compile(r"\(\?(?:<?[=!]|P=|>|\()|(?<=[*+?}])\+")
_BACK: Final = re.compile(r"\\[1-9]")
_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")


def problem(pattern: str) -> tuple[str, int]:
    """What is wrong with a regular expression, and where; "" for nothing."""
    if len(pattern) > LONGEST_PATTERN:
        return f"a pattern of more than {LONGEST_PATTERN} characters", LONGEST_PATTERN
    if not pattern:
        return "an empty pattern", 0
    bare = PAIR.sub("  ", pattern)
    beyond = _BEYOND.search(bare) or next((pair for pair in PAIR.finditer(pattern) if _BACK.match(pair[0])), None)
    if beyond is not None:  # the aggregator's engine, which takes no longer than names are long, has none
        return "look-arounds, back-references and possessive repeats are not possible", beyond.start()
    try:
        re.compile(pattern)  # for the place
        re.compile(scoped(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        place = error.pos or 0 if isinstance(error, re.error) else 0
        words = error.msg if isinstance(error, re.error) else str(error)
        return f"not a pattern: {words}", min(place, len(pattern))
    return "", 0


def scoped(pattern: str, ignoring_case: bool = False) -> str:
    """A regular expression that may stand beside others: its flags are its own."""
    found = _FLAGS.match(pattern)
    inner = f"(?{found[1]}:{pattern[found.end() :]})" if found else pattern
    return f"(?i:{inner})" if ignoring_case else f"(?:{inner})"


def linear(source: str) -> str:
    """A regular expression for RE2, which has another word for the end of a text."""
    return PAIR.sub(lambda pair: r"\z" if pair[0] == r"\Z" else pair[0], source)
