"""Regular expressions of strangers: what is wrong with one, how it may stand beside others, how RE2 writes it. Pure."""

from __future__ import annotations

import re
from typing import Final

LONGEST_PATTERN: Final = 200
PAIR: Final = re.compile(r"\\.", re.DOTALL)
_SET: Final = re.compile(r"\[\^?\]?[^\]]*\]")
_BEYOND: Final = re.compile(r"\(\?(?:<?[=!]|P=|>|\()|(?<=[*+?}])\+")
_BACK: Final = re.compile(r"\\[1-9]")
_OTHERWISE: Final = (
    (
        re.compile(r"\(\?(?!:|P<|[ims]+[:)]|[ims]*-[ims]+:)"),
        "(? begins a group, its name, or flags of i, m and s alone",
    ),
    (re.compile(r"\{,[0-9]*\}"), "a repeat begins with its least number, as in {0,2}"),
    (
        re.compile(r"\{(?:[0-9]*,)?0*[1-9][0-9]{3,}\}|\{0*[1-9][0-9]{3,},[0-9]*\}"),
        "more than 999 repeats are not possible",
    ),
)
"""What RE2 lacks, or takes for something else, outside of brackets."""
_LETTER: Final = re.compile(r"\\[NUu]")
_IN_SET: Final = re.compile(r"\[(?!:)|\\[^b]|[^\[\\]|(\[:|\\b)", re.DOTALL)
_FLAGS: Final = re.compile(r"\(\?([ims]+)\)")


def problem(pattern: str) -> tuple[str, int]:
    """What is wrong with a regular expression, and where; "" for nothing."""
    if len(pattern) > LONGEST_PATTERN:
        return f"a pattern of more than {LONGEST_PATTERN} characters", LONGEST_PATTERN
    if not pattern:
        return "an empty pattern", 0
    pairs = PAIR.sub("  ", pattern)
    bare = _SET.sub(lambda found: " " * len(found[0]), pairs)  # in brackets are letters alone
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
    return _otherwise(pattern, pairs, bare)


def _otherwise(pattern: str, pairs: str, bare: str) -> tuple[str, int]:
    """What an aggregator would not find as this machine does, and where; "" for nothing."""
    for form, words in _OTHERWISE:
        if found := form.search(bare):
            return words, found.start()
    for found in _SET.finditer(pairs):  # [:alpha:] is a class there, and seven letters here
        if inner := next((some for some in _IN_SET.finditer(pattern, found.start() + 1, found.end()) if some[1]), None):
            return r"in brackets, [: is written \[:, and there is no \b", inner.start()
    if letter := next((pair for pair in PAIR.finditer(pattern) if _LETTER.match(pair[0])), None):
        return r"\N, \U and \u are not possible; a letter stands for itself", letter.start()
    return "", 0


def scoped(pattern: str, ignoring_case: bool = False) -> str:
    """A regular expression that may stand beside others: its flags are its own."""
    found = _FLAGS.match(pattern)
    inner = f"(?{found[1]}:{pattern[found.end() :]})" if found else pattern
    return f"(?i:{inner})" if ignoring_case else f"(?:{inner})"


def linear(source: str) -> str:
    """A regular expression for RE2, which has another word for the end of a text."""
    return PAIR.sub(lambda pair: r"\z" if pair[0] == r"\Z" else pair[0], source)
