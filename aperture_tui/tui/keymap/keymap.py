"""What the keys mean when a user has changed some: the maps of the nodes, and what the changes take away."""

from __future__ import annotations

import string
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.keys import Keys
from textual.screen import ModalScreen, Screen

from aperture_tui.tui.keymap.ids import OURS, classes, merged
from aperture_tui.tui.keymap.layouts import LAYOUTS, aliases, named

NO_KEY: Final = "no-key:"
"""What the keys of actions begin with that have none: no terminal sends such a thing, and the palette has them."""
_MODIFIERS: Final = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})

_LAST: Final = 0x30000
"""Beyond are no characters that a key types."""
_SIGNS: Final = {named(sign): sign for sign in string.punctuation}
"""By Textual's names."""
_NAMES: Final = frozenset(key.value for key in Keys if "+" not in key.value and key.value.isalnum()) | _SIGNS.keys()

Changes = Mapping[str, tuple[str, ...]]
"""Id of a binding -> its keys in place of those that it has."""


class Bound(NamedTuple):
    """One thing that keys do, for a list. keys: by Textual's names."""

    id: str
    keys: tuple[str, ...]
    does: str


def parse_key(text: str) -> str:
    """A key as a person writes it -> as Textual names it: `?`, `ctrl+x`, `f5`, `й`. Raises ValueError in one line."""
    before, name = (text[:-1], "+") if text == "+" or text.endswith("++") else _split(text)
    modifiers = before.removesuffix("+").split("+") if before else []
    is_sign = len(name) == 1 and name.isprintable() and name != " " and ord(name) < _LAST
    if not (is_sign or name in _NAMES) or not _MODIFIERS.issuperset(modifiers):
        raise ValueError(f"{text!r} is not a key: write a character, f1 to f24, enter, space, up, ctrl+x, shift+tab")
    return "+".join([*modifiers, named(name) if is_sign else name])


def _split(text: str) -> tuple[str, str]:
    before, plus, name = text.rpartition("+")
    return before + plus, name


class Keymap:
    """Gives nodes their keys. changes: by id, checked before; layout: one of LAYOUTS.

    What a user says holds: a key that was given to one action is taken from all others that would listen at the same
    time, in the same node, or in the screen and the app around it. Without changes nothing is touched.
    """

    def __init__(self, changes: Changes | None = None, layout: str = LAYOUTS[0]) -> None:
        self.changes = dict(changes or {})
        self._aliases = aliases(layout)
        self._known: dict[tuple[type[Any], type[Any]], BindingsMap] = {}

    def rebind(self, node: DOMNode, screen: type[Any], app: type[Any]) -> None:
        """Give a node its keys. screen: the class of the one that it is on.

        Here and not by Textual's own keymaps: 8.2.8 applies these at every key press, and where two actions share a key
        it takes that away from both.
        """
        if not self.changes and not self._aliases:
            return
        made = self._known.get((type(node), screen))
        if made is None:
            made = self._known[type(node), screen] = self._map(type(node), screen, app)
        node._bindings = made.copy()

    def _map(self, cls: type[DOMNode], screen: type[Any], app: type[Any]) -> BindingsMap:
        around: list[type[Any]] = [cls] if issubclass(screen, ModalScreen) else [cls, screen, app]
        names = {name for one in around for name, _ in merged(one)}  # type: ignore[arg-type]  # classes are hashable
        taken = {key for name in names for key in self.changes.get(name or "", ())}
        out = BindingsMap()
        for name, binding in self._bound(cls, taken):
            out._add_binding(binding)
            alias = self._aliases.get(binding.key)
            if alias is not None and name is not None and alias not in taken:
                out._add_binding(binding.with_key(alias))
        return out

    def _bound(self, cls: type[DOMNode], taken: set[str]) -> Iterator[tuple[str | None, Binding]]:
        """What listens in a class, with one key each. taken: the keys that what is changed has."""
        all_of = merged(cls)
        done: set[str] = set()
        for name, binding in all_of:
            if name is None or (name not in self.changes and binding.key not in taken):
                yield name, binding  # what is typed into stays Textual's own, whatever is taken
            elif name not in done:
                done.add(name)
                keys = self.changes.get(name, ())
                if keys or name in self.changes or all(one.key in taken for other, one in all_of if other == name):
                    yield from ((name, binding.with_key(key)) for key in keys or (NO_KEY + name,))

    def listed(self) -> list[Bound]:
        """All that keys do, by id. What others lose to a change is told by `conflicts`."""
        found: dict[str, Bound] = {}
        for cls in classes():
            for name, binding in merged(cls):
                if name is None or not binding.description:
                    continue
                known = found.get(name, Bound(name, self.changes.get(name, ()), binding.description))
                if name not in self.changes and binding.key not in known.keys:
                    known = known._replace(keys=(*known.keys, binding.key))
                found[name] = known
        return [found[name] for name in sorted(found)]

    def conflicts(self) -> list[str]:
        """What changes take away, a line each."""
        if not self.changes:
            return []
        before = {one.id: set(one.keys) for one in Keymap().listed()}
        now = {one.id: one for one in self.listed()}
        owners = _owners()
        told = []
        for name in sorted(self.changes):
            for other in now.values():
                is_second = other.id in self.changes and other.id <= name  # told with the first of the two, or itself
                shared = set(now[name].keys) & set(other.keys)
                if is_second or not shared or before[name] & before[other.id]:
                    continue
                if _together(owners[name], owners[other.id]):
                    told += [self._said(key, now[name], other) for key in sorted(shared)]
        return told

    def _said(self, key: str, one: Bound, other: Bound) -> str:
        if other.id in self.changes:
            return f"{shown(key)} is given to both {one.id} and {other.id}"
        return f"{shown(key)} is now {one.id} ({one.does}), and no more {other.id} ({other.does})"


def shown(key: str) -> str:
    """A key as `parse_key` reads it."""
    *modifiers, name = key.split("+")
    known = name in _NAMES or len(name) == 1
    return "+".join([*modifiers, _SIGNS.get(name, name) if known else _other_signs().get(name, name)])


@cache
def _other_signs() -> dict[str, str]:
    """The signs beyond ASCII by Textual's names, which cannot be looked up: they have lost their hyphens."""
    signs = (c for c in map(chr, range(0xA1, _LAST)) if c.isprintable() and not c.isalnum())
    return {named(sign): sign for sign in signs}


def _owners() -> dict[str, set[type[DOMNode]]]:
    """The classes that listen, by the ids of what they listen for."""
    found: dict[str, set[type[DOMNode]]] = {}
    for cls in classes():
        for name, _ in merged(cls):
            if name is not None:
                found.setdefault(name, set()).add(cls)
    return found


def _together(some: set[type[DOMNode]], others: set[type[DOMNode]]) -> bool:
    """Whether two actions may listen at one time: in one class, on one screen, or one of them is the app's."""
    return any(one is other or _around(one, other) or _around(other, one) for one in some for other in others)


def _around(outer: type[DOMNode], inner: type[DOMNode]) -> bool:
    """Whether what happens in one class may be heard by another. Panels keep everything to themselves."""
    if outer is inner or not _panels().isdisjoint((outer.__module__, inner.__module__)):
        return False
    return issubclass(outer, App) or (issubclass(outer, Screen) and inner in parts_of(outer))


@cache
def _panels() -> frozenset[str]:
    """The modules that have panels, and what stands on them."""
    return frozenset(cls.__module__ for cls in classes() if issubclass(cls, ModalScreen))


@cache
def parts_of(screen: type[DOMNode]) -> frozenset[type[DOMNode]]:
    """The classes of widgets that a screen may have: those its module knows, those of its bases and of the app, what
    these are made of, and the panel that the app lays over any of them.
    """
    from aperture_tui.tui.taking.panel import ExportPanel

    bases = (*screen.__mro__, *(base for app in classes() if issubclass(app, App) for base in app.__mro__), ExportPanel)
    waiting = {base for base in bases if issubclass(base, DOMNode)}
    found: set[type[DOMNode]] = set()
    while waiting:
        names = vars(sys.modules[waiting.pop().__module__]).values()
        met = {one for one in names if isinstance(one, type) and issubclass(one, DOMNode)} - found
        found |= met
        waiting |= {one for one in met if one.__module__.startswith(OURS) and not issubclass(one, (App, Screen))}
    return frozenset(one for one in found if not issubclass(one, (App, Screen)))
