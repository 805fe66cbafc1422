"""The last line: the keys that work here. Made from the live bindings, so it cannot drift from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from textual.events import Click

from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.keymap.keymap import NO_KEY
from aperture_tui.tui.palette import Span, Spans
from aperture_tui.tui.widgets.rows import RowsView

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.screen import Screen


_FIRST: Final = (
    "help",
    "quit",
    "search",
    "freeze",
    "go on",
    "zoom",
    "next page",
    "only this process",
    "only this lock",
    "waiters or wakers",
    "wakers",
    "waiters",
    "out",
)
"""What a narrow line keeps."""
OF_TIME: Final = ("play or pause", "play", "pause", "back 1 s", "on 1 s", "faster", "go to a time")
"""What a narrow line over a recording keeps as well."""
OF_REMOTE: Final = ("hosts",)
"""The same over an aggregator."""


_TOGETHER: Final = {("shorter window", "longer window"): "window length"}
"""Two opposite things, and what both are about: where there is no room for every key they stand under these words."""


class Key(NamedTuple):
    """One thing that keys do. keys: as they are shown, all that do it; shown: in the keys line."""

    keys: tuple[str, ...]
    does: str
    action: str
    shown: bool
    place: str
    """Who listens: "the icicle", "the process table", "everywhere"."""
    node: DOMNode
    """Where the action is defined."""


def live_keys(screen: Screen[object]) -> list[Key]:
    """What the keys do on this screen, with what has the focus now."""
    found: dict[tuple[str, str, str, DOMNode], list[str]] = {}
    shown: dict[tuple[str, str, str, DOMNode], bool] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not active.enabled or not binding.description or binding.system:
            continue
        place = getattr(active.node, "KEYS_TITLE", "everywhere")
        one = (binding.description, binding.action, place, active.node)
        keys = found.setdefault(one, [])
        name = screen.app.get_key_display(binding)
        if name not in keys and not binding.key.startswith(NO_KEY):
            keys.append(name)
        shown[one] = shown.get(one, False) or binding.show
    return [Key(tuple(sorted(keys, key=_is_chord)), *one[:2], shown[one], *one[2:]) for one, keys in found.items()]


def _is_chord(name: str) -> bool:
    """The plain key of two that do the same comes first."""
    return len(name) > 1 and (name[0] == "^" or "+" in name)


def keys_row(
    keys: Iterable[Key], width: int, first: Sequence[str] = _FIRST
) -> tuple[Spans, list[tuple[int, int, Key]]]:
    """One row, and where each key stands in it: (first cell, end, key). Those that do not fit are left out.

    first: what is kept longest.
    """
    ranked = sorted(
        (key for key in keys if key.keys), key=lambda key: first.index(key.does) if key.does in first else len(first)
    )
    told = [[(key, _words(key, key.does))] for key in ranked]
    if sum(width_of(words) for hint in told for _, words in hint) > width:
        told = _together(ranked)
    spans: list[Span] = []
    places: list[tuple[int, int, Key]] = []
    at = 0
    for hint in told:
        if at + sum(width_of(words) for _, words in hint) > width:
            break
        for key, words in hint:
            name = f" {plain(key.keys[0])}"
            spans += [(name, "*accent@bar"), (words.removeprefix(name), "muted@bar")]
            places.append((at, at + width_of(words), key))
            at += width_of(words)
    spans.append((fit("", width - at), "muted@bar"))
    return tuple(spans), places


def _words(key: Key, does: str) -> str:
    return f" {plain(key.keys[0])} {does} " if does else f" {plain(key.keys[0])}"


def _together(keys: Sequence[Key]) -> list[list[tuple[Key, str]]]:
    """What stands in the row together, and in which words: of two opposite things, one word for both."""
    out: list[list[tuple[Key, str]]] = []
    for key in keys:
        before = out[-1][0][0] if out else key
        word = _TOGETHER.get((before.does, key.does), "")
        if word:
            out[-1] = [(before, _words(before, "")), (key, _words(key, word))]
        else:
            out.append([(key, _words(key, key.does))])
    return out


class KeysLine(RowsView):
    """The keys line; a click does what the key does."""

    DEFAULT_CSS = "KeysLine { height: 1; }"

    def __init__(self, kept: Sequence[str] = ()) -> None:
        """kept: what keys do that have their place here as well."""
        super().__init__(id="keys")
        self._kept = tuple(kept)
        self._places: Sequence[tuple[int, int, Key]] = ()
        self._told: Mapping[str, str] = {}

    def show(self) -> None:
        """Read the bindings again."""
        self.draw(self._row)

    def tell(self, told: Mapping[str, str]) -> None:
        """What keys lead to from here, by their actions, of those that lead to several things in turn."""
        if told != self._told:
            self._told = told
            self.redraw()

    def _row(self) -> list[Spans]:
        keys = [key for key in live_keys(self.screen) if key.shown or key.does in self._kept]
        keys = [key._replace(does=self._told.get(key.action, key.does)) for key in keys]
        first = (*_FIRST[:2], *self._kept, *_FIRST[2:])
        row, self._places = keys_row(keys, self.size.width, first)
        return [row]

    async def on_click(self, event: Click) -> None:
        """Do what stands there."""
        for begin, end, key in self._places:
            if begin <= event.x < end:
                await self.app.run_action(key.action, default_namespace=key.node)
