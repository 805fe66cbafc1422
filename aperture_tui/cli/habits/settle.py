"""From what a person has set up to what the app lives by. Imports the screens."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aperture_tui.cli.arguments import fail
from aperture_tui.cli.habits import files, printing
from aperture_tui.cli.habits.chosen import BUILT_IN, COMMAND_LINE, Chosen, Value
from aperture_tui.cli.habits.chosen import chosen as chosen_of
from aperture_tui.cli.habits.files import FileError
from aperture_tui.cli.output import write
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.text import clean
from aperture_tui.tui.app import ApertureApp  # all screens: bindings are known when their classes are
from aperture_tui.tui.habits import Habits
from aperture_tui.tui.keymap.keymap import Bound, Keymap, parse_key, shown
from aperture_tui.tui.look import Look, looks
from aperture_tui.tui.resuming import MAX_BYTES, Sitting

if TYPE_CHECKING:
    from aperture_tui.symbolize.private_folder import PrivateFolder


def settled(parser: argparse.ArgumentParser, namespace: argparse.Namespace, argv: Sequence[str] | None) -> Habits:
    """What the app lives by; the settings are put into the namespace. Wrong usage, in a file too, ends the program."""
    try:
        chosen = chosen_of(parser, argv)
        keymap = Keymap(_changes(chosen), chosen["layout"])
        themes, problems = _themes(chosen)
    except FileError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for name, one in chosen.settings.items():
        setattr(namespace, name, one.value)
    sitting = _sitting(namespace) if chosen["resume"] else None
    if sitting is not None and sitting.theme in themes and not chosen.is_given("theme"):
        namespace.theme = sitting.theme
    by_sitting = sitting is not None and not chosen.is_given("window")
    return Habits(
        keys=keymap.changes,
        layout=chosen["layout"],
        mouse=chosen["mouse"],
        looks=themes,
        ascii=chosen["glyphs"] == "ascii",
        marks=chosen["marks"],
        window_s=0.0 if by_sitting or chosen.settings["window"].origin == BUILT_IN else chosen["window"],
        notices=(*chosen.notices, *problems, *keymap.conflicts()),
        sitting=sitting,
    )


def printed(
    program: str, parser: argparse.ArgumentParser, namespace: argparse.Namespace, argv: Sequence[str] | None
) -> int:
    """`--print-config` or `--print-keys` -> exit status."""
    try:
        chosen = chosen_of(parser, argv)
        keymap = Keymap(_changes(chosen), chosen["layout"])
        notices = (*chosen.notices, *_themes(chosen)[1], *keymap.conflicts())
    except FileError as error:
        return fail(program, error, 2)
    bound = [Bound(one.id, tuple(map(shown, one.keys)), one.does) for one in keymap.listed()]
    lines = printing.keys(bound) if namespace.print_keys else printing.config(chosen, bound, notices)
    return write(program, "".join(f"{line}\n" for line in lines).encode(), None)


def keep(app: ApertureApp, namespace: argparse.Namespace) -> str:
    """Write down what was looked at -> why that could not be done, "" for nothing that somebody waits for.

    A home that cannot be written to is a normal day: only who asks to resume is told.
    """
    try:
        _folder().write(_name(namespace), app.sitting().as_json())
    except OSError as error:
        return f"what was looked at is not kept for --resume: {error.strerror}" if namespace.resume else ""
    return ""


def _sitting(namespace: argparse.Namespace) -> Sitting:
    """That of last time; an empty one where there is none that can be believed."""
    try:
        return Sitting.of_json(_folder().read(_name(namespace)) or b"")
    except OSError:
        return Sitting()


def _folder() -> PrivateFolder:
    from aperture_tui.symbolize.private_folder import PrivateFolder  # not before the first paint

    return PrivateFolder(files.state_folder(), 4 * MAX_BYTES)


def _name(namespace: argparse.Namespace) -> str:
    """A week of a fleet is no window for a machine of one's own."""
    return (
        "remote.json"
        if namespace.remote is not None
        else "replay.json"
        if namespace.replay is not None
        else "live.json"
    )


def _changes(chosen: Chosen) -> dict[str, tuple[str, ...]]:
    """The user's keys by Textual's names. Raises FileError for what is none, and for what has no such name."""
    known = {one.id for one in Keymap().listed()} if chosen.keys else set()
    changes = {}
    for name, value in chosen.keys.items():
        if name not in known:
            hint = meant(name, known) or "; aperture-top --print-keys has all"
            raise FileError(f"{value.origin}: no keys are called {clean(name)!r}{hint}")
        changes[name] = tuple(_key(text, value, name) for text in value.value)
    return changes


def _key(text: str, value: Value, name: str) -> str:
    try:
        return parse_key(text)
    except ValueError as error:
        raise FileError(f"{value.origin}: {name}: {clean(str(error))}") from error


def _themes(chosen: Chosen) -> tuple[dict[str, Look], list[str]]:
    """All themes by name, and what is wrong with those that cannot be used. A user's may take the place of ours.

    Raises FileError where a file of settings asks for one that is not there.
    """
    found, problems = dict(looks()), []
    for path in files.theme_files():
        try:
            read = files.read(path)
            if read is not None:
                one = Look.of(dict(read.data))
                found[one.name] = one
        except FileError as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"{clean(str(path))}: {clean(str(error))}")
    asked = chosen.settings["theme"]
    if asked.value not in found and asked.origin != COMMAND_LINE:
        why = f" ({problems[0]})" if problems else ""
        raise FileError(f"{asked.origin}: no theme {clean(asked.value)!r}: choose one of {', '.join(found)}{why}")
    return found, problems
