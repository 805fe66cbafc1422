"""The smallest Textual application: what any of them costs before it does something."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Minimal(App[None]):
    """One line of text; `q` ends."""

    BINDINGS = [("q", "quit", "quit")]  # noqa: RUF012  # Textual declares it so

    def compose(self) -> ComposeResult:
        """The screen."""
        yield Static("minimal")


if __name__ == "__main__":
    Minimal().run()
