"""Every key that `?` tells of is pressed, in the first scene that has it, and must change what is seen or was chosen.

A key that does nothing from where its scene begins has a line in PREPARED: the keys that lead to where it does. What it
does and cannot be seen here is tested elsewhere: UNSEEN says where.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from textual.binding import ActiveBinding, Binding
from textual.pilot import Pilot

from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.looking import Looking
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.widgets.search import SearchLine
from tests.tui.scenes import SCENES, Scene, app_of, press, shown
from tests.tui.screen import settled, text_of
from tests.tui.test_every_screen import _styles

SIZE = (100, 30)
ROOT = Path(__file__).parents[2]

# both by the action, or by the class that has the binding, a dot and the action
PREPARED: Final[dict[str, tuple[str, ...]]] = {
    "out": ("down", "enter"),
    "page(-1)": ("pagedown",),
    "match(1)": ("slash", *"read", "enter"),
    "match(-1)": ("slash", *"read", "enter"),
    "step(1)": ("comma",),
    "step(10)": ("less_than_sign",),
    "step(60)": ("left_curly_bracket",),
    "newest": ("comma",),
    "view('overview')": ("2",),
    "move(-1)": ("down",),
    "back": ("c",),
    "FiltersScreen.back": ("enter",),
    "lane(-1)": ("down",),
    "farther": ("enter",),
    "scroll_by(-1)": ("down",),
    "scroll_up": ("down",),
    "read(-1)": ("down",),
    "unfold(True)": ("o",),
    "unfold(False)": ("o", "right"),
    "end_search": ("slash", "w", "enter"),
    "view('hosts')": ("enter",),
}
UNSEEN: Final[dict[str, str]] = {
    "redraw": "tests/cli/test_screens.py::test_ctrl_l_mends_what_others_wrote_on_the_screen",
    "suspend_process": "tests/tui/test_stopping.py::test_ctrl_z_gives_the_terminal_back_until_it_goes_on",
    **dict.fromkeys(
        (
            "FilterLog.read(-1)",
            "FilterLog.read(1)",
            "FilterLog.page(-1)",
            "FilterLog.page(1)",
            "FilterLog.read(-100000)",
        ),
        "tests/tui/test_filters.py::test_the_log_follows_until_somebody_reads_back",
    ),
    "switch": "tests/tui/test_filters.py::test_switched_off_everything_passes_and_on_again_it_works",
    "reload": "tests/tui/test_filters.py::test_a_file_is_loaded_anew_on_a_key_and_an_error_is_said",
}


class Case(NamedTuple):
    """A key of what has the focus. focus: which part of the screen has it. node: whose binding it is."""

    key: str
    action: str
    node: str
    focus: int

    @property
    def of_node(self) -> str:
        """The action, where only that of this node is meant."""
        return f"{self.node}.{self.action}"


def _told(active: ActiveBinding) -> bool:
    """Whether `?` tells of it and it is ours: how text is edited is Textual's."""
    return active.enabled and bool(active.binding.description) and not active.binding.system and _is_ours(active)


def _is_ours(active: ActiveBinding) -> bool:
    """Whether a class of ours has the binding."""
    for defined in type(active.node).__mro__:
        own = [one.action if isinstance(one, Binding) else one[1] for one in defined.__dict__.get("BINDINGS", ())]
        if active.binding.action in own:
            return not defined.__module__.startswith("textual.")
    return True


def _cases(app: ApertureApp) -> list[Case]:
    """Of every part that can have the focus, that which has it first."""
    found: dict[tuple[str, str, str], Case] = {}
    chain = app.screen.focus_chain
    begin = chain.index(app.focused) if app.focused in chain else 0
    for step in range(max(1, len(chain))):
        at = (begin + step) % max(1, len(chain))
        if chain:
            app.screen.set_focus(chain[at])
        for key, active in app.screen.active_bindings.items():
            if _told(active):
                case = Case(key, active.binding.action, type(active.node).__name__, at)
                found.setdefault(case[:3], case)
    return list(found.values())


@functools.cache
def _known() -> dict[str, list[Case]]:
    """Filled by `_dealt`."""
    return defaultdict(list)


async def _dealt() -> dict[str, list[Case]]:
    """Scene -> the keys that no scene before it has."""
    known = _known()
    if not known:
        seen: set[tuple[str, str, str]] = set()
        for name, scene in SCENES.items():
            async with shown(scene, SIZE) as pilot:
                for case in _cases(app_of(pilot)):
                    if case[:3] not in seen:
                        seen.add(case[:3])
                        known[name].append(case)
    return known


def _seen(app: ApertureApp) -> tuple[Any, ...]:
    """All that a key may change."""
    if app._exit:
        return ("ended",)
    focused = app.focused
    picture = (text_of(app), _styles(app)) if app.screen._compositor.size == app.size else ()
    chosen = (app.looking, app.current_mode, len(app.screen_stack), app.refresh_hz, app.theme, app.paced_hz)
    return (*chosen, type(focused).__name__, focused.id if focused else "", len(app._notifications), picture)


class Start(NamedTuple):
    """Where a scene begins."""

    depth: int
    mode: str
    looking: Looking
    has_line: bool


def _start(app: ApertureApp) -> Start:
    return Start(len(app.screen_stack), app.current_mode, app.looking, bool(app.screen.query(SearchLine)))


async def _back(pilot: Pilot[Any], start: Start) -> bool:
    """Where the scene began, more or less -> whether that could be done."""
    app = app_of(pilot)
    while not app._exit and len(app.screen_stack) > start.depth:
        app.pop_screen()
        await settled(pilot)
    if app._exit or len(app.screen_stack) < start.depth:
        return False
    if app.current_mode != start.mode:
        app.action_view(start.mode)
        await settled(pilot)
    if isinstance(app.screen, ViewScreen) and not start.has_line:
        app.screen.end_search_line()
    if app.looking != start.looking:
        app.look(start.looking)
    await settled(pilot)
    return start.has_line == bool(app.screen.query(SearchLine))


async def _does_something(pilot: Pilot[Any], case: Case) -> bool:
    """Press it -> whether that changed anything."""
    app = app_of(pilot)
    if chain := app.screen.focus_chain:
        app.screen.set_focus(chain[case.focus % len(chain)])
        await settled(pilot)
    await press(pilot, *PREPARED.get(case.of_node, PREPARED.get(case.action, ())))
    before = _seen(app)
    await press(pilot, case.key)
    return _seen(app) != before


async def _idle(scene: Scene, cases: list[Case]) -> list[Case]:
    """Those that did nothing. One app has them all, as long as there is a way back from what they did."""
    left, idle = list(reversed(cases)), []
    while left:
        async with shown(scene, SIZE) as pilot:
            start = _start(app_of(pilot))
            while left:
                case = left.pop()
                if not await _does_something(pilot, case):
                    idle.append(case)
                if not await _back(pilot, start):
                    break
    return idle


@pytest.mark.parametrize("name", SCENES)
async def test_every_key_does_something(name: str) -> None:
    cases = [case for case in (await _dealt())[name] if not {case.action, case.of_node} & set(UNSEEN)]
    idle = await _idle(SCENES[name], cases)
    again = [case for case in idle if await _idle(SCENES[name], [case])]  # not after what another key has left
    assert not again, f"{again} did nothing that can be seen: give each a line in PREPARED, or in UNSEEN"


@pytest.mark.parametrize("place", UNSEEN.values())
def test_what_cannot_be_seen_here_is_tested_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text("utf-8")


async def test_no_key_is_told_of_that_is_not_pressed() -> None:
    told = {(case.action, case.node) for cases in (await _dealt()).values() for case in cases}
    actions = {action for action, _ in told} | {f"{node}.{action}" for action, node in told}
    assert set(PREPARED) | set(UNSEEN) <= actions, "what is prepared for is there"
    assert {"quit", "help", "search", "freeze", "zoom"} <= {action.partition("(")[0] for action in actions}
