"""What of a sitting is there again in the next one, as JSON. It may be anybody's: every field is looked at."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from aperture_tui.profile import where
from aperture_tui.profile.query import Group
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.search import LONGEST, compile_search

_VERSION: Final = 1
MAX_BYTES: Final = 16384
_LONGEST_WINDOW_S: Final = 366 * 86400.0
_LONGEST_NAME: Final = 64


@dataclass(frozen=True)
class Sitting:
    """view: by its name. window_s: seconds, None for all, 0 for unknown. group: by what stacks are told apart.

    by_weight: the order. theme: its name, "" for unknown. search: the pattern that was typed last, where: the filter
    line, "" for none.
    """

    view: str = ""
    window_s: float | None = 0.0
    group: str = ""
    by_weight: bool = False
    theme: str = ""
    search: str = ""
    where: str = ""

    def as_json(self) -> bytes:
        """At most MAX_BYTES."""
        return json.dumps({"version": _VERSION, **asdict(self)}).encode()

    @classmethod
    def of_json(cls, data: bytes) -> Sitting:
        """What can be believed of it: a field that is wrong is as if it were not there."""
        if len(data) > MAX_BYTES:
            return cls()
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):  # also what UTF-8 raises
            return cls()
        if not isinstance(told, dict) or told.get("version") != _VERSION:
            return cls()
        window = told.get("window_s", 0.0)
        return cls(
            view=_name(told.get("view")),
            window_s=None if window is None else _seconds(window),
            group=_name(told.get("group")),
            by_weight=told.get("by_weight") is True,
            theme=_name(told.get("theme")),
            search=_pattern(told.get("search")),
            where=_line(told.get("where")),
        )

    def looked_at(self, looking: Looking, with_window: bool = True) -> Looking:
        """The same with what was looked at then, but for a filter line that it has.

        with_window: False keeps the window that it has.
        """
        if with_window and self.window_s != 0:
            looking = replace(looking, window_s=self.window_s)
        group = next((one for one in Group if one.name.lower() == self.group), looking.group)
        search = compile_search(self.search) if self.search else looking.search
        line = looking.where or where.parse(self.where)
        return replace(looking, group=group, by_weight=self.by_weight, search=search, where=line)


def sitting_of(looking: Looking, view: str, theme: str) -> Sitting:
    """What to keep of what is looked at."""
    return Sitting(
        view=view,
        window_s=looking.window_s,
        group=looking.group.name.lower(),
        by_weight=looking.by_weight,
        theme=theme,
        search=looking.search.text if looking.search else "",
        where=looking.where.text if len(looking.where.text) <= where.LONGEST else "",
    )


def _name(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME and value.isprintable() else ""


def _seconds(value: Any) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and 0 < value <= _LONGEST_WINDOW_S else 0.0


def _pattern(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or len(value) > LONGEST:
        return ""
    try:
        compile_search(value)
    except ValueError:
        return ""
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        return ""
    try:
        return where.parse(value).text
    except where.WhereError:
        return ""
