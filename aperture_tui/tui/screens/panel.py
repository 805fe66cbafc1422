"""Panels over a view: the keys, and the health of every part in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.screen import ModalScreen

from aperture_tui.profile.completeness import Completeness
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui import figures
from aperture_tui.tui.cells import fit, plain, width_of
from aperture_tui.tui.icicle.render import KIND_MARKS
from aperture_tui.tui.model import ViewSnapshot
from aperture_tui.tui.palette import Spans, box_key, change_key
from aperture_tui.tui.screens import words
from aperture_tui.tui.widgets.keys import Key
from aperture_tui.tui.widgets.rows import RowsView
from aperture_tui.tui.widgets.stacks import stacks_rows

_KINDS = ("process", "thread", "kernel", "native", "jit", "python", "runtime", "gpu", "lock", "unknown")
_WORDS = {"jit": "JIT", "gpu": "GPU"}


class PanelRows(RowsView, can_focus=True):
    """The rows of a panel; they scroll."""

    SCROLLS = True
    DEFAULT_CSS = "PanelRows { height: auto; max-height: 100%; width: 100%; overflow-y: auto; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "up", show=False),
        Binding("down,j", "scroll_down", "down", show=False),
    ]

    def _make_room(self, rows: int) -> None:
        """Exactly so many: they never change."""
        self.virtual_size = Size(self.size.width, rows)


class Panel(ModalScreen[None]):
    """Rows over the view; escape, q or the key that opened it closes it, and a click on its border or beside it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,exclamation_mark,enter,space", "dismiss", "close")
    ]
    AUTO_FOCUS = "PanelRows"
    DEFAULT_CSS = """
    Panel { align: center middle; background: $background 60%; }
    Panel PanelRows { max-width: 80; border: round $primary; border-subtitle-color: $foreground; }
    """

    def __init__(self, rows: Sequence[Spans]) -> None:
        super().__init__()
        self._content = list(rows)

    def compose(self) -> ComposeResult:
        """The rows."""
        yield PanelRows()

    def on_mount(self) -> None:
        """Show them."""
        rows = self.query_one(PanelRows)
        rows.styles.height = len(self._content) + 2
        rows.border_subtitle = "esc closes"
        rows.show_rows(self._content)

    def on_click(self, event: Click) -> None:
        """What is clicked within it is only read."""
        if not self.query_one(PanelRows).content_region.contains(event.screen_x, event.screen_y):
            self.dismiss()

    def repaint_all(self) -> None:
        """Draw in other colours."""
        for rows in self.query(RowsView):
            rows.repaint_all()


def help_rows(keys: Sequence[Key], width: int, marks: bool = False) -> list[Spans]:
    """All keys that work now, by who listens to them, and what the colours mean. marks: kinds have letters too."""
    rows: list[Spans] = [((fit(" Keys", width), "*text@bar"),)]
    places = sorted({key.place for key in keys}, key=lambda place: (place == "everywhere", place))
    column = min(24, width // 3)
    for place in places:
        rows += [((" " * width, "text@bar"),), ((fit(f" {place[0].upper()}{place[1:]}", width), "*accent@bar"),)]
        for key in keys:
            if key.place == place:
                names = fit("   " + "  ".join(key.keys), column)
                rows.append(((names, "*text@bar"), (fit(f" {key.does}", width - column), "text@bar")))
    rows += [((" " * width, "text@bar"),), ((fit(" Colours of frames", width), "*accent@bar"),)]
    rows += _legend(width, waits=False, marks=marks)
    rows += [((fit(" The same where they are time that passed waiting", width), "*accent@bar"),)]
    rows += _legend(width, waits=True, marks=marks)
    rows += [((fit(" Where two are compared", width), "*accent@bar"),)]
    compared = [(change_key(3), "+ grew"), (change_key(0), "alike"), (change_key(-3), "- shrank")]
    parts = [part for key, word in compared for part in ((f" {word} ", key), (" ", "text@bar"))]
    rows.append(_filled([("   ", "text@bar"), *parts, (" as wide as both together", "text@bar")], width))
    hatch = [("   ░░ ", "faint@bar"), ("callees too narrow to draw: zoom in; empty cells are self time", "text@bar")]
    return [*rows, _filled(hatch, width)]


def _legend(width: int, waits: bool, marks: bool) -> list[Spans]:
    rows: list[Spans] = []
    line: list[tuple[str, str]] = [("   ", "text@bar")]
    for name in _KINDS:
        kind = FrameKind[name.upper()]
        word = f" {KIND_MARKS[kind] + ' ' if marks else ''}{_WORDS.get(name, name)} "
        if sum(width_of(text) for text, _ in line) + len(word) + 1 > width - 1:
            rows.append(_filled(line, width))
            line = [("   ", "text@bar")]
        line += [(word, box_key(kind, 1, waits=waits)), (" ", "text@bar")]
    rows.append(_filled(line, width))
    return rows


def health_rows(
    health: Sequence[Health], stacks: Completeness, width: int, counted: str = "samples", recorded: bool = False
) -> list[Spans]:
    """Every part with each of its losses, and why stacks of the view are not whole. counted: what has the stacks.

    recorded: it is the last word of a session that is over. What is missing comes first, and that nothing runs any
    more is not said.
    """
    title = " Health, as the recording has it" if recorded else " Health"
    rows: list[Spans] = [((fit(title, width), "*text@bar"),)]
    for one in health:
        name = (
            plain(one.name) if recorded and one.state is not State.FAILED else f"{plain(one.name)}: {one.state.value}"
        )
        rows += [((" " * width, "text@bar"),), ((fit(f" {name}", width), "*accent@bar"),)]
        if one.message:
            rows.append(((fit(f"   {one.message}", width), "warning@bar"),))
        rows.append(((fit(f"   {figures.count(one.delivered)} events delivered", width), "text@bar"),))
        for word, causes, key in (("lost", one.lost, "*error@bar"), ("partial", one.degraded, "warning@bar")):
            for cause, n in causes.items():
                text = f"   {word} {figures.count(n)}: {cause}"
                rows.append(((fit(text, width), key if n else "muted@bar"),))
        rows.append(((fit(f"   {_costs(one)}", width), "muted@bar"),))
    if not health:
        rows.append(((fit("   nothing runs yet", width), "muted@bar"),))
    return rows + stacks_rows(stacks, width, counted)


def health_panel(snapshot: ViewSnapshot | None, width: int, recorded: bool) -> Panel:
    """The same of what is shown."""
    health, stacks = (snapshot.health, snapshot.stacks) if snapshot else ((), Completeness())
    counted = "samples" if snapshot is None else words.counted(snapshot.request)
    return Panel(health_rows(health, stacks, width, counted, recorded))


def _costs(one: Health) -> str:
    def known(word: str, value: int | None, unit: str) -> str:
        return f"{word} {'?' if value is None else unit}"

    return ", ".join(
        (
            known("lag", one.lag_ns, figures.duration(one.lag_ns or 0)),
            known("CPU in user space", one.cpu_ns, figures.duration(one.cpu_ns or 0)),
            known("in the kernel", one.bpf_ns, figures.duration(one.bpf_ns or 0)),
            known("memory", one.memory_bytes, figures.size(one.memory_bytes or 0)),
        )
    )


def _filled(spans: list[tuple[str, str]], width: int) -> Spans:
    """One row of exactly `width` cells."""
    out: list[tuple[str, str]] = []
    left = width
    for text, key in spans:
        cells = width_of(text)
        out.append((fit(text, min(cells, left)), key))
        left -= min(cells, left)
    return (*out, (" " * left, "text@bar"))
