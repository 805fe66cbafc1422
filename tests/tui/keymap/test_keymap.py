from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

from aperture_tui.cli.habits.table import SETTINGS
from aperture_tui.tui.app import ApertureApp
from aperture_tui.tui.habits import Habits
from aperture_tui.tui.keymap.ids import classes, id_of, merged, own_bindings
from aperture_tui.tui.keymap.keymap import NO_KEY, Keymap, parse_key, parts_of, shown
from aperture_tui.tui.keymap.layouts import LAYOUTS, aliases
from aperture_tui.tui.views import ALL
from aperture_tui.tui.widgets.keys import KeysLine, live_keys
from tests.tui.screen import running, settled, text_of

LISTED = {one.id: one for one in Keymap().listed()}


def _app(pilot: Pilot[Any]) -> ApertureApp:
    assert isinstance(pilot.app, ApertureApp)
    return pilot.app


# -- names


def test_every_binding_has_a_name_of_its_own_place_and_action() -> None:
    assert {"icicle.zoom", "view.step.-10", "app.view.cpu", "cursor-table.move.1", "app.interrupt"} <= LISTED.keys()
    for cls in classes():
        for name, binding in own_bindings(cls):
            assert name.count(".") >= 1, (cls, binding)
            assert all(c.isalnum() or c in ".-" for c in name), "TOML has it without quotation marks"
            assert binding.description, f"{name}: without words it is in no help"


def test_one_name_is_one_action() -> None:
    actions: dict[str, set[str]] = {}
    for cls in classes():
        for name, binding in own_bindings(cls):
            actions.setdefault(name, set()).add(binding.action)
    assert [name for name, some in actions.items() if len(some) > 1] == []


def test_no_name_is_the_beginning_of_another() -> None:
    """Or TOML would take one for a value and for a table."""
    for name in LISTED:
        assert not any(other.startswith(f"{name}.") for other in LISTED), name


def test_every_part_that_listens_belongs_to_a_screen() -> None:
    on_screens = {part for cls in classes() if issubclass(cls, Screen) for part in parts_of(cls)}
    for cls in classes():
        if not issubclass(cls, (App, Screen)) and own_bindings(cls):
            assert any(issubclass(part, cls) for part in on_screens), cls


# -- keys


@pytest.mark.parametrize(
    ("text", "key"),
    [("?", "question_mark"), ("+", "plus"), ("ctrl++", "ctrl+plus"), ("f5", "f5"), ("й", "й"), ("ctrl+x", "ctrl+x"),
     ("space", "space"), ("shift+tab", "shift+tab"), ("question_mark", "question_mark"), ("/", "slash")],
)  # fmt: skip
def test_keys_as_people_write_them(text: str, key: str) -> None:
    assert parse_key(text) == key
    assert parse_key(shown(key)) == key


@pytest.mark.parametrize("text", ["", "ctrl+", "foo", "hyper+nothing", "ctrl", "f99", "a b", "\x1b", "ctrl+\x00"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        parse_key(text)


@given(st.text(max_size=12))
def test_any_text_is_a_key_or_is_refused(text: str) -> None:
    try:
        key = parse_key(text)
    except ValueError:
        return
    assert parse_key(shown(key)) == key


def test_every_key_that_is_shown_can_be_written() -> None:
    for one in LISTED.values():
        assert [parse_key(shown(key)) for key in one.keys] == list(one.keys)


# -- changes


async def test_a_changed_key_works_and_the_old_one_does_not() -> None:
    async with running(habits=Habits(keys={"view.sort": ("o",)})) as pilot:
        await pilot.press("2", "s")
        assert not _app(pilot).looking.by_weight
        await pilot.press("o")
        await settled(pilot)
        assert _app(pilot).looking.by_weight
        keys = {key.does: key.keys for key in live_keys(pilot.app.screen)}
        assert keys["sort"] == ("o",)
        assert "o sort" in text_of(_app(pilot))[-1], "the line of keys"


async def test_a_key_that_is_given_to_one_action_is_taken_from_the_other() -> None:
    async with running(habits=Habits(keys={"view.sort": ("t",)})) as pilot:
        await pilot.press("2", "t")
        await settled(pilot)
        assert _app(pilot).looking.by_weight
        lost = next(key for key in live_keys(pilot.app.screen) if key.action == "group")
        assert lost.keys == (), "it is still there, for the palette"
        assert all(" group" not in key.does for _, _, key in pilot.app.screen.query_one(KeysLine)._places)
    assert Keymap({"view.sort": ("t",)}).conflicts() == [
        "t is now view.sort (sort), and no more view.group (by thread)"
    ]  # fmt: skip


async def test_what_the_app_has_wins_over_what_has_the_focus() -> None:
    async with running(habits=Habits(keys={"app.redraw": ("j",)})) as pilot:
        await pilot.press("2", "down")
        before = _app(pilot)._view.icicle.selection  # type: ignore[union-attr]
        await pilot.press("j")
        assert _app(pilot)._view.icicle.selection == before  # type: ignore[union-attr]
        await pilot.press("down")
        assert _app(pilot)._view.icicle.selection != before  # type: ignore[union-attr]


async def test_two_that_share_a_key_can_be_changed_one_by_one() -> None:
    """Live a key freezes that plays a recording."""
    async with running(habits=Habits(keys={"view.freeze": ("z",)})) as pilot:
        await pilot.press("z")
        await settled(pilot)
        assert _app(pilot).looking.past
        keymap = _app(pilot)._keymap_of_user
        bound = keymap._map(ALL["cpu"].screen, ALL["cpu"].screen, ApertureApp).key_to_bindings
        assert [one.action for one in bound["space"]] == ["play"]


async def test_an_action_may_have_no_key_and_stays_in_the_palette() -> None:
    async with running(habits=Habits(keys={"view.health": ()})) as pilot:
        commands = {one.title: one for one in pilot.app.get_system_commands(pilot.app.screen)}
        assert commands["Health in full"].help.startswith("no key")
        await pilot.press("exclamation_mark")
        assert len(pilot.app.screen_stack) == 1
        assert NO_KEY not in "".join(text_of(_app(pilot)))


async def test_a_search_takes_every_letter_whatever_the_keys_are() -> None:
    async with running(habits=Habits(keys={"view.search": ("x",), "app.quit": ("Z",)}, layout="ru")) as pilot:
        await pilot.press("2", "x", *"xZqйч")
        await settled(pilot)
        assert _app(pilot).looking.search is not None
        assert _app(pilot).looking.search.text == "xZqйч"


async def test_a_line_that_is_typed_into_keeps_its_own_keys() -> None:
    async with running(habits=Habits(keys={"view.window.-1": ("left",), "view.search": ("f3",)})) as pilot:
        await pilot.press("2", "f3", *"bc", "left", "left", "a", "enter")
        await settled(pilot)
        assert _app(pilot).looking.search is not None
        assert (_app(pilot).looking.search.text, _app(pilot).looking.window_s) == ("abc", 30.0)
        await pilot.press("left")
        assert _app(pilot).looking.window_s == 10.0


def test_conflicts_are_only_those_that_can_happen() -> None:
    assert Keymap().conflicts() == []
    assert Keymap({"locks.wakers": ("P",)}).conflicts() == [], "pages are the GPU screen's"
    told = Keymap({"locks.wakers": ("s",), "view.group": ("s",)}).conflicts()
    assert "s is given to both locks.wakers and view.group" in told
    assert any(line.endswith("no more view.sort (sort)") for line in told)
    assert Keymap({"panel.dismiss": ("s",)}).conflicts() == [], "a panel keeps its keys to itself"


# -- other alphabets


def test_layouts_are_the_ones_of_the_table() -> None:
    assert next(one.choices for one in SETTINGS if one.name == "layout") == LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_every_latin_letter_has_its_place_on_a_layout(layout: str) -> None:
    known = aliases(layout)
    assert set(string.ascii_letters) <= known.keys()
    assert len(set(known.values())) == len(known), "no letter has two places"
    assert not any(key.isascii() for key in known.values())


async def test_cyrillic_letters_do_what_the_same_keys_do() -> None:
    async with running(habits=Habits(layout="ru")) as pilot:
        await pilot.press("2", "о", "ы")  # j, s
        await settled(pilot)
        assert len(_app(pilot)._view.icicle.selection) == 1  # type: ignore[union-attr]
        assert _app(pilot).looking.by_weight
        await pilot.press("х")  # [
        assert _app(pilot).looking.window_s == 10.0
        assert next(key.keys for key in live_keys(pilot.app.screen) if key.does == "quit")[0] == "q"


def test_without_changes_no_node_is_touched() -> None:
    class Node:
        _bindings = "as it was"

    node: Any = Node()
    Keymap().rebind(node, Node, Node)
    assert node._bindings == "as it was"


def test_a_binding_may_have_a_name_of_its_own() -> None:
    names = [name for name, one in merged(ApertureApp) if one.key == "ctrl+c" and one.action == "quit"]
    assert names == ["app.interrupt"]
    assert id_of(ApertureApp, own_bindings(ApertureApp)[0][1]) == "app.quit"
