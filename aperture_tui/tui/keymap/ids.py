"""Names of bindings: the place whose class declares it, the action, and the action's arguments.

`icicle.zoom`, `view.step.-10`, `app.view.cpu`. They are made from what is declared, so no binding can be without one
and none has to be written down; a binding that needs another has an `id` of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Final

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode

from aperture_tui.tui.views import ALL

OURS: Final = "aperture_tui."
_ACTION: Final = re.compile(r"(?:\w+\.)*(\w+)(?:\((.*)\))?", re.DOTALL)
_WORD_BEGINS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def place_of(cls: type[Any]) -> str:
    """The name of a class that listens: `app`, `view` of ViewScreen, `process-table`."""
    if issubclass(cls, App):
        return "app"
    return _WORD_BEGINS.sub("-", cls.__name__.removesuffix("Screen") or cls.__name__).lower()


def id_of(cls: type[Any], binding: Binding) -> str:
    """The name of a binding that a class declares."""
    return binding.id or f"{place_of(cls)}.{_action_word(binding.action)}"


def _action_word(action: str) -> str:
    found = _ACTION.fullmatch(action.strip())
    if found is None:
        return action
    name, arguments = found[1].replace("_", "-"), found[2]
    if not arguments:
        return name
    values = ast.literal_eval(f"({arguments},)")
    return ".".join([name, *(str(value).lower().replace("_", "-") for value in values)])


def own_bindings(cls: type[Any]) -> list[tuple[str, Binding]]:
    """(id, binding with one key) of what a class of ours declares itself."""
    if not cls.__module__.startswith(OURS):
        return []
    return [(id_of(cls, one), one) for one in Binding.make_bindings(cls.__dict__.get("BINDINGS", ()))]


@cache
def merged(cls: type[DOMNode]) -> tuple[tuple[str | None, Binding], ...]:
    """(id, binding) of all that listen in a class, its bases' too; None for the id of what is Textual's own.

    As Textual 8.2.8 merges them: what a subclass declares for a key takes that key from its bases.
    """
    named = {(one.key, one.action): name for base in reversed(cls.__mro__) for name, one in own_bindings(base)}
    known = cls._merged_bindings
    return () if known is None else tuple((named.get((key, one.action)), one) for key, one in known)


def classes() -> list[type[DOMNode]]:
    """All classes of ours that have bindings, by place and name. Reads those that were not shown yet."""
    import_module("aperture_tui.tui.app")
    import_module("aperture_tui.tui.taking.panel")
    for view in ALL.values():
        _ = view.screen
    found = {cls for cls in _below(DOMNode) if cls.__module__.startswith(OURS) and merged(cls)}
    return sorted(found, key=lambda cls: (place_of(cls), cls.__name__))


def _below(cls: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)
