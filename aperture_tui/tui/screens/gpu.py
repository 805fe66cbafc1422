"""GPU: what each stream did in time, which kernels and copies took long, when a GPU did nothing, and its gauges."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Resize

from aperture_tui.tui import figures
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.gpu import stretch as stretches
from aperture_tui.tui.gpu.gauges import GpuGauges, link_bytes_s
from aperture_tui.tui.gpu.lane_rows import cell_words, executions, plot_width
from aperture_tui.tui.gpu.lanes_view import LanesView
from aperture_tui.tui.gpu.model import GpuView, KernelRow, Sight, Stretch
from aperture_tui.tui.gpu.pages import Page, PagesLine, idle_words, note_words, stretch_words
from aperture_tui.tui.gpu.table import GpuTable, Whole
from aperture_tui.tui.gpu.tables import (
    CopyTable,
    GapTable,
    KernelTable,
    causes_words,
    copy_words,
    gap_words,
    kernel_words,
)
from aperture_tui.tui.gpu.words import no_gauges, no_work
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.view import ViewScreen
from aperture_tui.tui.views import ALL
from aperture_tui.tui.where_words import no_gap, nothing_passes
from aperture_tui.tui.widgets.details import Details

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.widget import Widget

    from aperture_tui.tui.looking import Looking
    from aperture_tui.tui.model import ViewRequest, ViewSnapshot
    from aperture_tui.tui.palette import Span

_BOTH_FROM: Final = 30
"""Rows of the screen from which on the lanes stand above every other page."""
_LANES: Final = 14
_CLOSER: Final = 2.0


class GpuScreen(ViewScreen):
    """Pages, one at a time; the lanes stand above the others where there is room."""

    VIEW = ALL["gpu"]
    PARTS = (*ViewScreen.PARTS, PagesLine, LanesView, KernelTable, CopyTable, GapTable, GpuGauges)
    AUTO_FOCUS = "LanesView"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "page(1)", "next page"),
        Binding("P", "page(-1)", "previous page", show=False),
    ]

    page = Page.TIMELINE
    """What has the focus."""
    _below = Page.KERNELS
    """What is shown below the lanes."""
    _empty = False
    """Nothing is known that a GPU did: there are only words, once."""

    def body(self) -> ComposeResult:
        """The names of the pages, the lanes, and all other pages."""
        yield PagesLine()
        yield LanesView()
        with Container(id="gpu-page"):
            yield KernelTable()
            yield CopyTable()
            yield GapTable()
            yield GpuGauges(self.describe_selection)
            yield Icicle(self.describe_selection)
            yield FunctionTable(self.describe_selection)

    @classmethod
    def needs(cls) -> frozenset[str]:
        """Those of agents in the programs, and samples of what their CPUs did."""
        return frozenset({"cpu", "gpu_kernel", "gpu_copy"})

    @property
    def lanes(self) -> LanesView:
        """The timeline."""
        return self.query_one(LanesView)

    @property
    def main_part(self) -> Widget:
        """What stands on the page."""
        return self._part_of(self.page)

    def _part_of(self, page: Page) -> Widget:
        parts: dict[Page, type[Widget]] = {
            Page.TIMELINE: LanesView,
            Page.KERNELS: KernelTable,
            Page.COPIES: CopyTable,
            Page.IDLE: GapTable,
            Page.DEVICES: GpuGauges,
            Page.STACKS: FunctionTable if self.has_class("-functions") else Icicle,
        }
        return self.query_one(parts[page])

    def request(self, looking: Looking) -> ViewRequest | None:
        """With the lanes, in the stretch that is looked at."""
        request = super().request(looking)
        return None if request is None else replace(request, lanes=Sight(plot_width(self.size.width), looking.stretch))

    # -- pages

    def on_mount(self) -> None:
        """The first page."""
        super().on_mount()
        self._arrange()

    def on_resize(self, event: Resize) -> None:
        """There may be room for the lanes above the others, or none any more."""
        super().on_resize(event)
        self._arrange()
        self.aperture.ask()

    def _arrange(self) -> None:
        """Show what is on the page; the lanes above it where there is room."""
        if not self.is_whole:
            return
        both = self.size.height >= _BOTH_FROM and not self._empty
        alone = self.page is Page.TIMELINE and not both
        self.lanes.display = both or alone
        self.query_one("#gpu-page").display = not alone
        self.icicle.display = self.functions.display = False
        for page in Page:
            if page is not Page.TIMELINE:
                self._part_of(page).display = page is self._below and not alone
        self._make_room(both)
        self.show_crumbs()

    def _make_room(self, both: bool) -> None:
        """The lanes take what they need, up to half of the screen."""
        needed = len(self.lanes.lanes.lanes) + 2 if self.lanes.lanes.lanes else _LANES
        height = max(6, min(needed, self.size.height // 2 - 4)) if both else "1fr"
        if self.lanes.styles.height is None or str(self.lanes.styles.height) != str(height):
            self.lanes.styles.height = height

    def open(self, page: Page) -> None:
        """Show a page, and give it the focus."""
        self.page = page
        if page is not Page.TIMELINE:
            self._below = page
        self._arrange()
        self.set_focus(self.main_part)
        self._show_pages()
        self.describe_selection()

    def form_changed(self) -> None:
        """The table stands in place of the icicle, or the other way round."""
        self._arrange()

    def action_page(self, step: int) -> None:
        """The next page, or the one before."""
        pages = list(Page)
        self.open(pages[(pages.index(self.page) + step) % len(pages)])

    def on_pages_line_chosen(self, message: PagesLine.Chosen) -> None:
        """A click at a name."""
        self.open(message.page)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """What has the focus is the page."""
        super().on_descendant_focus(event)
        if self.is_whole:
            self.page = next((page for page in Page if self._part_of(page) is event.widget), self.page)
            self._show_pages()
            self.describe_selection()

    # -- showing

    def show(self, snapshot: ViewSnapshot | None) -> None:
        """Show a snapshot."""
        super().show(snapshot)
        if snapshot is None or snapshot.gpu is None or snapshot.request.kind is not self.VIEW.kind:
            return
        gpu = snapshot.gpu
        here = self.aperture.gpu_here
        left_out = nothing_passes("kernels", self.aperture.looking.where, snapshot.passed)
        none: list[Span] = left_out or no_work(snapshot, here)
        self._empty = gpu.is_empty
        self._show_lanes(gpu, none)
        whole = self._whole(snapshot)
        tables: dict[type[GpuTable[Any]], tuple[Sequence[Any], str]] = {
            KernelTable: (self._matching(gpu.kernels), "No kernels in view"),
            CopyTable: (gpu.copies, "No copies in view"),
            GapTable: (gpu.gaps, gpu.lanes.problem or no_gap(self.aperture.looking.where)),
        }
        for table, (rows, said) in tables.items():
            note = note_words(gpu.idle, gpu.unknown) if table is GapTable else ""
            lines = [(note, "warning")] if note else []
            lines += [] if note and not gpu.idle else [(said, "muted")]
            self.query_one(table).show(rows, whole, none if gpu.is_empty else lines, note)
        self.query_one(GpuGauges).show(snapshot.gauges, no_gauges(snapshot, here))
        if gpu.is_empty and not snapshot.fatal:
            self.icicle.say(none)
        self._arrange()
        self._show_pages()
        self.describe_selection()

    def _matching(self, rows: tuple[KernelRow, ...]) -> tuple[KernelRow, ...]:
        """Those that match the search; all, if it is of something else."""
        search = self.aperture.looking.search
        found = re.compile(search.source).search if search is not None else None
        return tuple(row for row in rows if found is None or found(row.use.name) or found(row.use.process)) or rows

    def _show_lanes(self, gpu: GpuView, none: list[Span]) -> None:
        if gpu.lanes.lanes:
            self.lanes.show(gpu.lanes)
        elif gpu.is_empty:
            self.lanes.say(none)
        else:
            were = "was" if gpu.lanes.sums == 1 else "were"
            sums = f"{executions(gpu.lanes.sums)} {were} told only as sums: when each was is not known."
            self.lanes.say([(gpu.lanes.problem or sums, "muted"), ("p shows kernels, copies and stacks.", "muted")])

    def _whole(self, snapshot: ViewSnapshot) -> Whole:
        gpu = snapshot.gpu
        total = sum(row.use.time_ns for row in gpu.kernels) if gpu is not None else 0
        return Whole(total, link_bytes_s(snapshot.gauges), snapshot.end_ns - snapshot.range_ns)

    def _show_pages(self) -> None:
        snapshot = self.aperture.snapshot
        gpu = snapshot.gpu if snapshot is not None else None
        told: list[str] = []
        if gpu is not None and snapshot is not None:
            idle = [idle_words(gpu.idle, gpu.unknown, brief) for brief in (False, True)]
            then, stretch = causes_words(gpu.gaps), stretch_words(gpu.lanes)
            in_part = note_words(gpu.idle, gpu.unknown)
            of_idle = [f"{idle[0]}; {then}", *([*idle, then] if in_part else [then, *idle])] if then else idle
            stacks = ", ".join(filter(None, ["kernels by who launched them", words.grouped(snapshot.request.group)]))
            of_page = {Page.STACKS: [stacks], Page.IDLE: of_idle}
            told = of_page.get(self.page, [stretch] if stretch else idle)
        self.query_one(PagesLine).show(self.page, told)

    def amount(self, snapshot: ViewSnapshot) -> str:
        """How many kernels there are in view."""
        gpu = snapshot.gpu
        if gpu is None or not gpu.kernels:
            known = words.is_running(self.VIEW.kind, snapshot) and snapshot.icicle is not None
            return f"{'0' if known else '?'} kernels"
        cut = f", {gpu.kernels_left_out:,} small rows cut" if gpu.kernels_left_out else ""
        return f"{figures.count(sum(row.use.count for row in gpu.kernels))} kernels{cut}"

    def describe_selection(self) -> None:
        """What is selected on the page."""
        if not self.is_whole or self.describe_chosen():
            return
        if self.page is Page.STACKS:
            super().describe_selection()
            return
        self.query_one(Details).show_words(*self.selected_words())

    def selected_words(self) -> tuple[str, list[str]]:
        """What is selected on a page other than that of stacks, and facts about it."""
        snapshot = self.aperture.snapshot
        return self._selected(self._whole(snapshot) if snapshot is not None else Whole())

    def _selected(self, whole: Whole) -> tuple[str, list[str]]:
        if self.page is Page.KERNELS and (kernel := self.query_one(KernelTable).selected) is not None:
            return kernel_words(kernel)
        if self.page is Page.COPIES and (copy := self.query_one(CopyTable).selected) is not None:
            return copy_words(copy, whole)
        if self.page is Page.IDLE and (gap := self.query_one(GapTable).selected) is not None:
            return gap_words(gap, whole)
        if self.page is Page.DEVICES and (below := self.query_one(GpuGauges).below):
            return "", [f"▾ {below} rows below"]
        if self.page is Page.TIMELINE and self.lanes.lanes.lanes:
            name, where, facts = cell_words(self.lanes.lanes, self.lanes.cursor)
            return name, [where, *facts]
        return "", []

    def on_gpu_table_selected(self) -> None:
        """Another row."""
        self.describe_selection()

    def on_lanes_view_moved(self) -> None:
        """Another cell."""
        self.describe_selection()

    # -- a stretch of the window

    @property
    def _window(self) -> Stretch | None:
        """What is shown now; None while nothing is."""
        lanes = self.lanes.lanes
        return lanes.window if lanes.lanes else None

    def _look_closer(self, stretch: Stretch | None) -> None:
        """Only this of the window; live, time stands still for it."""
        app = self.aperture
        time = app.looking.time
        if stretch is not None and (time.plays or (not time.plays and time.at_ns is None and not app.recording)):
            time = time.frozen(app.snapshot.end_ns if app.snapshot else 0)
        self.look(replace(app.looking, stretch=stretch, time=time))

    def on_lanes_view_zoomed(self, message: LanesView.Zoomed) -> None:
        """Closer, or farther."""
        self._zoom(message.factor, message.about_ns)

    def _zoom(self, factor: float, about_ns: int) -> None:
        if self._window is not None:
            self._look_closer(stretches.closer(self.aperture.looking.stretch, self._window, factor, about_ns))

    def on_lanes_view_panned(self, message: LanesView.Panned) -> None:
        """Later, or earlier, as far as the window goes."""
        stretch = self.aperture.looking.stretch
        if stretch is not None:
            self._pan(message.columns * stretch.length_ns // plot_width(self.size.width))

    def on_lanes_view_out(self, message: LanesView.Out) -> None:
        """One step back: of the export, the stretch, or what every view goes back from."""
        lanes = self.lanes.lanes
        if lanes.stretch == lanes.window:
            self.action_back()
        elif not self.aperture.leave_export():
            self._zoom(message.factor, message.about_ns)

    def _pan(self, by_ns: int) -> bool:
        """Whether there was anything to move."""
        stretch, window = self.aperture.looking.stretch, self._window
        if stretch is None or window is None or self.page is not Page.TIMELINE:
            return False
        moved = stretches.panned(stretch, window, by_ns)
        if moved == stretch:
            return False
        self._look_closer(moved)
        return True

    def _pan_part(self, parts: float) -> bool:
        stretch = self.aperture.looking.stretch
        return stretch is not None and self._pan(round(parts * stretch.length_ns))

    def action_step(self, seconds: int) -> None:
        """Of a stretch 1/60, 1/6 or all of it; at the edge of the window, and without a stretch, as in every view."""
        if not self._pan_part(seconds / 60):
            super().action_step(seconds)

    def action_window(self, step: int) -> None:
        """Closer and farther by two while the lanes show a stretch, or the shortest window; else as in every view."""
        looking, window = self.aperture.looking, self._window
        shorter = looking.longer(-1, long=self.aperture.remote is not None)
        closer = step < 0 and (looking.stretch is not None or shorter.window_s == looking.window_s)
        if window is None or self.page is not Page.TIMELINE or not (closer or looking.stretch is not None):
            super().action_window(step)
            return
        factor = _CLOSER if step < 0 else 1 / _CLOSER
        self._look_closer(stretches.closer(looking.stretch, window, factor, self.lanes.moment_ns))

    def action_freeze(self) -> None:
        """Time that goes on takes the stretch away."""
        if self.aperture.looking.past:
            self.aperture.looking = replace(self.aperture.looking, stretch=None)
        super().action_freeze()

    # -- keys

    def action_sort(self) -> None:
        """The table sorts its rows; on other pages frames are ordered, as in every view."""
        part = self._part_of(self._below if self.page is Page.TIMELINE else self.page)
        if isinstance(part, GpuTable) and part.display:
            part.action_sort()
        else:
            super().action_sort()

    def on_gpu_table_chosen(self) -> None:
        """Of a kernel: where it was launched. Of a gap: when it was."""
        if self.page is Page.KERNELS:
            self.open(Page.STACKS)
        elif self.page is Page.IDLE and (gap := self.query_one(GapTable).selected) is not None and self._window:
            self._look_closer(stretches.around(gap.start_ns, gap.end_ns, self._window))
            self.open(Page.TIMELINE)
            self.lanes.go_to(gap.device, (gap.start_ns + gap.end_ns) // 2)
