"""Search: a regular expression over functions, modules and files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from aperture_tui.tui.model import FrameLabel

_ESCAPE: Final = re.compile(r"\\.")
LONGEST: Final = 200
"""Characters of a pattern."""


@dataclass(frozen=True)
class Search:
    """A pattern that compiles. source: with its flags, as a Store takes it."""

    text: str
    source: str
    _known: dict[FrameLabel, bool] = field(default_factory=dict, compare=False)

    def hits(self, label: FrameLabel) -> bool:
        """Whether a frame matches; each frame is tried once."""
        known = self._known.get(label)
        if known is None:
            found = re.compile(self.source).search
            known = any(found(text) is not None for text in (label.function, label.module, label.file) if text)
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[label] = known
        return known


def compile_search(text: str) -> Search:
    """Smart case: small letters match both cases, one capital letter makes it exact. Raises ValueError in one line."""
    if len(text) > LONGEST:
        raise ValueError(f"the pattern is longer than {LONGEST} characters")
    exact = any(c.isupper() for c in _ESCAPE.sub("", text))
    source = text if exact else f"(?i){text}"
    try:
        re.compile(source)
    except (re.error, OverflowError, RecursionError) as error:
        words = error.msg if isinstance(error, re.error) else str(error)
        raise ValueError(f"not a pattern: {words}") from error
    return Search(text, source)
