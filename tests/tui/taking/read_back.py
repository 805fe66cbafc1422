"""Exported files, read as those read them who get them: by our importers, a parser, or their keys."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from aperture_tui.importing.opened import imported
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Measure, Query


def weight(path: Path, form: str) -> int:
    """The weight of all stacks in a file."""
    match form:
        case "folded":
            lines = [line.rpartition(" ") for line in path.read_text().splitlines()]
            assert all(stack for stack, _, _ in lines)
            return sum(int(number) for _, _, number in lines)
        case "pprof":
            return _pprof(path, Measure.COUNT)
        case "speedscope":
            return _speedscope(json.loads(path.read_text()))
        case "json":
            return int(json.loads(path.read_text())["tree"]["weight"])
        case "svg":
            return _svg(path)
    raise AssertionError(form)


def timed(path: Path) -> int:
    """The nanoseconds of a profile of pprof."""
    return _pprof(path, Measure.TIME)


def _pprof(path: Path, measure: Measure) -> int:
    """By our importer, which takes whatever is no time on the CPU for time that passed waiting."""
    store = imported(path)
    assert store is not None
    (kind,) = store.kinds()
    return store.call_tree(Query(Kind(kind), measure=measure)).weight


def _speedscope(document: dict) -> int:  # type: ignore[type-arg]
    assert document["$schema"].endswith("file-format-schema.json")
    assert set(document) >= {"shared", "profiles", "name", "exporter", "activeProfileIndex"}
    frames, first = document["shared"]["frames"], document["profiles"][0]
    assert first["type"] == "sampled"
    assert len(first["samples"]) == len(first["weights"])
    assert all(0 <= frame < len(frames) for stack in first["samples"] for frame in stack)
    assert sum(first["weights"]) == first["endValue"]
    return int(first["endValue"])


def _svg(path: Path) -> int:
    """What inferno wrote on the box of everything: "all (1,234 samples, 100%)"."""
    titles = [one.text or "" for one in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}title")]  # noqa: S314
    found = next(filter(None, (re.match(r"all \(([\d,]+) \w+, 100%\)", title) for title in titles)))
    return int(found[1].replace(",", ""))
