"""The base of every widget: rows of spans, of which only those that changed are sent to the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.segment import Segment
from textual.events import Resize
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aperture_tui.tui.glyphs import in_ascii
from aperture_tui.tui.palette import Palette, Spans

if TYPE_CHECKING:
    from aperture_tui.tui.app import ApertureApp


def strip_of(spans: Spans, palette: Palette) -> Strip:
    """One row for the screen; neighbours of one style become one piece of output."""
    style = palette.style
    if palette.ascii:
        spans = tuple((in_ascii(text), key) for text, key in spans)
    return Strip([Segment(text, style(key)) for text, key in spans]).simplify()


class RowsView(ScrollView, can_focus=False, inherit_bindings=False):
    """Shows rows. Subclasses `draw` with a function of their present size, which is called again when that changes.

    Textual sends every row that is marked, changed or not, and whole; so rows are compared here, and unlike
    `Static.update` nothing is laid out anew.
    """

    DEFAULT_CSS = """
    RowsView {
        background: $background;
        overflow: hidden hidden;
        scrollbar-size: 1 1;
    }
    """

    SCROLLS: ClassVar[bool] = False
    """Whether there may be more rows than the widget has lines."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 (Textual's name)
        super().__init__(id=id, classes=classes)
        self._rows: list[Spans] = []
        self._strips: dict[int, Strip] = {}
        self._drawing: Callable[[], Sequence[Spans]] | None = None
        self.repainted = 0
        """Rows marked for painting so far: what a refresh costs."""

    @property
    def palette(self) -> Palette:
        """The colours of the app."""
        return cast("ApertureApp", self.app).palette

    @property
    def shown_rows(self) -> Sequence[Spans]:
        """The rows as they were last given."""
        return self._rows

    def draw(self, drawing: Callable[[], Sequence[Spans]]) -> None:
        """Show what this gives, now and after every change of size."""
        self._drawing = drawing
        self.redraw()

    def redraw(self) -> None:
        """Draw again, for the present size."""
        if self._drawing is not None and self.size.width > 0:
            self.show_rows(self._drawing())

    def on_resize(self, _event: Resize) -> None:
        """Draw for the new size."""
        self.redraw()

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        # Textual sends no Resize where a region was asked for after the layout had become another and before it was
        # laid out, as a cursor key and a zoom at once do: it compares with what it was asked for. Of two it makes one
        had = self._size
        told = super()._size_updated(size, virtual_size, container_size, layout)
        if size != had:
            self.post_message(Resize(size, virtual_size, container_size))
        return told

    def show_rows(self, rows: Sequence[Spans]) -> None:
        """Replace all rows; paint those that differ."""
        old = self._rows
        self._rows = list(rows)
        if self.SCROLLS:
            self._make_room(len(rows))
        differ = [y for y, (was, now) in enumerate(zip(old, rows)) if was != now]  # noqa: B905 (the rest differs)
        self._mark([*differ, *range(min(len(old), len(rows)), max(len(old), len(rows)))])

    def show_row(self, y: int, spans: Spans) -> None:
        """Replace one row."""
        if self._rows[y] != spans:
            self._rows[y] = spans
            self._mark([y])

    def repaint_all(self) -> None:
        """Paint every row, as after a change of colours."""
        self._strips.clear()
        self.refresh()

    def _make_room(self, rows: int) -> None:
        """Adapt the scrolled height, as seldom as can be: each change lays out the whole screen."""
        had = self.virtual_size.height
        if rows > max(had, self.size.height) or (had > self.size.height and rows < had - 8):
            self.virtual_size = Size(self.size.width, rows if rows <= self.size.height else rows + 4)

    def _mark(self, rows: Sequence[int]) -> None:
        """Paint these."""
        if not rows:
            return
        for y in rows:
            self._strips.pop(y, None)
        width, height = self.size
        top = self.scroll_offset.y
        lines = [Region(0, y - top, width, 1) for y in rows if 0 <= y - top < height]
        if lines:
            self.repainted += len(lines)
            self.refresh(*lines)

    def render_line(self, y: int) -> Strip:
        """A row as Textual paints it."""
        y += self.scroll_offset.y
        width = self.size.width
        ground = self.palette.style("text")
        if y >= len(self._rows):
            return Strip.blank(width, ground)
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = strip_of(self._rows[y], self.palette)
        return strip.adjust_cell_length(width, ground)
