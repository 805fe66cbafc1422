"""What the app's stylesheet parses, and when."""

from __future__ import annotations

from typing import Any

import pytest
from textual.css import stylesheet

from tests.tui.screen import running, settled
from tests.tui.synthetic import SyntheticStore


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were parsed. Of what widgets bring along some is parsed again: it weighs more with a new view."""
    files: list[str] = []
    whole = stylesheet.parse

    def parse(scope: str, css: str, read_from: tuple[str, str], *args: Any, **more: Any) -> Any:
        if read_from[0].endswith(".tcss"):
            files.append(read_from[0])
        return whole(scope, css, read_from, *args, **more)

    monkeypatch.setattr(stylesheet, "parse", parse)
    return files


async def test_our_styles_are_parsed_once_and_again_for_another_theme(parsed: list[str]) -> None:
    async with running((120, 40), SyntheticStore()) as pilot:
        for key in "2345":
            await settled(pilot)
            await pilot.press(key)
        await settled(pilot)
        assert len(parsed) == 1
        app = pilot.app
        dark = app.screen.styles.background
        app.theme = "aperture-light"
        await settled(pilot)
        assert len(parsed) == 2
        assert app.screen.styles.background != dark
        app.theme = "aperture-dark"
        await settled(pilot)
        assert app.screen.styles.background == dark
