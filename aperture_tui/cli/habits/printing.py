"""`--print-config`: every setting as a file would have it, with where it comes from. `--print-keys`: what keys do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aperture_tui.cli.habits import files
from aperture_tui.cli.habits.chosen import BUILT_IN, KEYS, Chosen
from aperture_tui.cli.habits.table import SETTINGS
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.tui.keymap.keymap import Bound


def config(chosen: Chosen, bound: Sequence[Bound], notices: Sequence[str]) -> Iterator[str]:
    """The lines of a file that says the same. bound: all that keys do; those nobody changed stand as comments."""
    for path in files.config_files():
        told = clean(str(path))
        yield f"# {told}{'' if told in chosen.paths else ': not there' if not path.exists() else ': not read'}"
    yield from (f"# {line}" for line in notices)
    yield ""
    lines = [(f"{one.name} = {toml(one.written(chosen[one.name]))}", chosen.settings[one.name].origin)
             for one in SETTINGS]  # fmt: skip
    width = max(len(line) for line, _ in lines)
    yield from (f"{line:{width}}  # {origin}" for line, origin in lines)
    yield f"\n[{KEYS}]"
    rows = []
    for one in bound:
        value = chosen.keys.get(one.id)
        keys = one.keys if value is None else value.value
        line = f"{one.id} = {toml(keys[0] if len(keys) == 1 else list(keys))}"
        rows.append((f"# {line}" if value is None else line, BUILT_IN if value is None else value.origin))
    width = max(len(line) for line, _ in rows)
    yield from (f"{line:{width}}  # {origin}" for line, origin in rows)


def keys(bound: Sequence[Bound]) -> Iterator[str]:
    """A line for each thing that keys do."""
    names = max(len(one.id) for one in bound)
    width = max(len("  ".join(one.keys)) for one in bound)
    for one in bound:
        yield f"{one.id:{names}}  {'  '.join(one.keys) or '-':{width}}  {one.does}"


def toml(value: Any) -> str:
    """A value as TOML has it: texts, numbers, truths and lists of these are written as in JSON (TOML 1.0)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)
