"""The pictures of the docs: those that are told of are there, and they show what the screens show today.

`make tour-pictures` takes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from bench.tour.pictures import ALL, SIZE
from bench.tour.taking import rows
from tests.tui.scenes import Opener, app_of, filters, fleet, gpus, press, waits
from tests.tui.screen import text_of

ROOT: Final = Path(__file__).parents[2]
TOUR: Final = ROOT / "docs" / "images" / "tour"
OVER: Final[dict[str, Opener]] = {"shop": waits, "filters": filters, "gpu": gpus, "fleet": fleet}
"""Made-up data in place of each part's: the keys line is the same over any."""
_TYPED: Final = "fn:"
"""What a line that is typed begins with here; how it could go on depends on the data."""
_PICTURE: Final = re.compile(r"\]\(([^)\s]+\.(?:svg|png))\)")


def test_docs_tell_of_the_pictures_that_are_there_and_of_no_others() -> None:
    docs = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    told = {(doc.parent / path).resolve() for doc in docs for path in _PICTURE.findall(doc.read_text("utf-8"))}
    there = {path for path in (ROOT / "docs" / "images").rglob("*") if path.is_file()}
    assert {path.relative_to(ROOT) for path in told} == {path.relative_to(ROOT) for path in there}


def test_every_picture_of_the_tour_can_be_taken_anew() -> None:
    made = [picture.name for part in ALL.values() for picture in part]
    assert sorted(made) == sorted(path.stem for path in TOUR.iterdir())


@pytest.mark.parametrize("part", ALL)
async def test_the_keys_in_the_pictures_are_those_of_the_screens(part: str) -> None:
    old = []
    async with OVER[part](SIZE) as pilot:
        app = app_of(pilot)
        for picture in ALL[part]:
            await press(pilot, *picture.before, *picture.keys)
            seen = rows((TOUR / f"{picture.name}.svg").read_text("utf-8"))
            titles = "  ".join(f"{key} {title}" for key, title in app.view_titles)
            if not seen[0].startswith(f" aperture  {titles}"):
                old.append(f"{picture.name}: {seen[0]!r}, not {titles!r}")
            then, now = (row.partition(_TYPED)[0].rstrip() for row in (seen[-1], text_of(app)[-1]))
            if then != now:
                old.append(f"{picture.name}: {then!r}, not {now!r}")
    assert not old, "make tour-pictures\n" + "\n".join(old)
