"""The stylesheet of the app: what was parsed once is not parsed again."""

from __future__ import annotations

from typing import Final

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES: Final = 512
"""More than all views have together."""


class OnceParsed(Stylesheet):
    """Parses each source once for the same variables, which are those of a theme.

    Textual 8.2.8 parses all of them anew for each view that is shown for the first time, five times before the first
    picture, and keeps 64: 6 ms each time for our own alone.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Forget what was parsed if they are others than before."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Take over new variables. Raises StylesheetParseError, and then the rules are as before."""
        self.parse()
