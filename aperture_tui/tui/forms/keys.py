"""The keys that change in which form a call tree is shown, what is left out of it, and what it is compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from aperture_tui.profile.shape import NO_FUNCTIONS
from aperture_tui.tui import figures, wall_clock
from aperture_tui.tui.cells import plain
from aperture_tui.tui.forms.crumbs import Crumbs, trail, who
from aperture_tui.tui.forms.table import FunctionTable
from aperture_tui.tui.icicle.widget import Icicle
from aperture_tui.tui.model import Baseline
from aperture_tui.tui.remote import focus_words
from aperture_tui.tui.screens import words
from aperture_tui.tui.screens.in_time import InTime

if TYPE_CHECKING:
    from textual.widget import Widget

    from aperture_tui.profile.shape import Shape
    from aperture_tui.tui.forms.model import Form
    from aperture_tui.tui.model import FrameLabel, Path, ViewSnapshot


FORM_KEYS: Final = (
    Binding("s", "sort", "sort"),
    Binding("t", "group", "by thread"),
    Binding("c", "compare", "compare with this"),
    Binding("C", "absolute", "compare weights, or shares", show=False),
    Binding("i", "flame", "root at the top or bottom", show=False),
    Binding("v", "form(1)", "tree, callers, functions", show=False),
    Binding("V", "form(-1)", "functions, callers, tree", show=False),
    Binding("S", "both_sides", "callers and callees", show=False),
    Binding("K", "kernel", "hide kernel frames", show=False),
    Binding("m", "without_module", "hide this module", show=False),
    Binding("M", "all_modules", "all modules", show=False),
    Binding("r", "fold", "fold recursion", show=False),
    Binding("percent_sign", "least", "hide narrow frames", show=False, key_display="%"),
)


class InForms(InTime):
    """A screen with a call tree in one of its forms."""

    _before: Path = ()
    """What was selected when both sides of a function were opened."""

    @property
    def icicle(self) -> Icicle:
        """The icicle of this view."""
        return self.query_one(Icicle)

    @property
    def functions(self) -> FunctionTable:
        """The table of functions."""
        return self.query_one(FunctionTable)

    @property
    def tree_part(self) -> Widget:
        """What shows the call tree."""
        return self.functions if self.has_class("-functions") else self.icicle

    # -- showing

    def show_form(self, snapshot: ViewSnapshot) -> None:
        """The table in place of the icicle, or the icicle again."""
        table = snapshot.functions if snapshot.icicle is not None and snapshot.icicle.total > 0 else None
        if (table is not None) != self.has_class("-functions"):
            had_focus = self.focused in (self.icicle, self.functions)
            self.set_class(table is not None, "-functions")
            self.form_changed()
            if had_focus:
                self.call_after_refresh(self._focus_tree)
        if table is not None:
            self.functions.show(table, self.aperture.looking.search)

    def form_changed(self) -> None:
        """The table stands in place of the icicle, or the other way round."""

    def _focus_tree(self) -> None:
        if self.focused in (None, self.icicle, self.functions):
            self.set_focus(self.tree_part)

    def show_crumbs(self) -> None:
        """The zoom's path and what is not shown; no line where there is neither, or no call tree on the screen."""
        app = self.aperture
        looking, snapshot = app.looking, app.snapshot
        mine = (
            snapshot is not None and snapshot.request.kind is self.VIEW.kind and snapshot.request.form == looking.form
        )
        view = snapshot.icicle if snapshot is not None and mine else None
        told = trail(looking.form, looking.zoom, view, who(self.VIEW.kind, looking.wakers))
        crumbs = self.query_one(Crumbs)
        crumbs.set_class(
            self.tree_part.display and not told.empty, "-told"
        )  # a class of the screen's would have all its widgets styled anew
        crumbs.show(told)

    def against(self, mine: ViewSnapshot | None) -> str:
        """What it is compared with; "" for nothing. mine: the picture that is shown."""
        app = self.aperture
        base = app.looking.base
        if base is None:
            return ""
        told = [base.recording] if base.recording else [] if base.at_once else self._then(base)
        if base.process is not None and base.process != app.looking.process:
            told.append(base.process.words)
        if base.focus != app.looking.focus and not base.recording:
            told.append(focus_words(base.focus))
        told = told or ["itself"]
        if mine is not None and mine.icicle is not None and mine.request.base == base:
            told += [words.no_base(mine.icicle)] * (not mine.icicle.base_total)
            told += ["by weight"] * mine.icicle.absolute
        return " ".join(told)

    def _then(self, base: Baseline) -> list[str]:
        return [self.since_when(base.end_ns), figures.duration(base.end_ns - 1 - base.start_ns)]

    def since_when(self, at_ns: int) -> str:
        """A moment at which time stands still; where months are held, with its date."""
        app = self.aperture
        return wall_clock.clock(at_ns) if app.remote is None else wall_clock.short(at_ns, app.now_ns())

    # -- keys

    def _form(self, form: Form) -> None:
        self.look(self.aperture.looking.formed(form))
        self.show_crumbs()

    def _shape(self, shape: Shape) -> None:
        looking = self.aperture.looking
        self.look(replace(looking, form=replace(looking.form, shape=shape)))
        self.show_crumbs()

    def selected_label(self) -> FrameLabel | None:
        """The frame under the cursor, or the function; None where there is none that could be called."""
        if self.has_class("-functions"):
            line = self.functions.selected
            return None if line is None else line.label
        box = self.icicle.selected_box
        return None if box is None or box.label.kind in NO_FUNCTIONS else box.label

    def action_form(self, step: int) -> None:
        """The tree, its callers, or a table of its functions."""
        self._form(self.aperture.looking.form.after(step))

    def action_flame(self) -> None:
        """The root at the bottom, or at the top."""
        form = self.aperture.looking.form
        self._form_kept(replace(form, flame=not form.flame))

    def action_both_sides(self) -> None:
        """Who called the selected function, and what it called."""
        if (label := self.selected_label()) is None:
            self.notify("select a function first", timeout=2)
            return
        self.open_both_sides(label)

    def open_both_sides(self, label: FrameLabel) -> None:
        """Callers above a function, callees below."""
        looking = self.aperture.looking
        if looking.form.function is None:
            self._before = self.icicle.selection
        self._form(replace(looking.form, function=label))
        self.icicle.select((label,))

    def on_function_table_chosen(self, message: FunctionTable.Chosen) -> None:
        """Both sides of the row's function."""
        self.open_both_sides(message.label)

    def action_kernel(self) -> None:
        """Frames of the kernel, or their weight with their callers."""
        shape = self.aperture.looking.form.shape
        self._shape(replace(shape, kernel=not shape.kernel))

    def action_without_module(self) -> None:
        """No frames of the selected one's module; of a frame without a module, of its file."""
        label, shape = self.selected_label(), self.aperture.looking.form.shape
        module = "" if label is None else label.module or label.file
        if not module:
            self.notify("select a frame of a module first", timeout=2)
        elif module not in shape.without:
            self._shape(replace(shape, without=(*shape.without, module)))
            self.notify(f"{plain(module)} is hidden; M shows all modules", timeout=2)

    def action_all_modules(self) -> None:
        """Hide no module any more."""
        if not self.aperture.looking.form.shape.without:
            self.aperture.notify("no module is hidden", timeout=2)
            return
        self._shape(replace(self.aperture.looking.form.shape, without=()))

    def action_fold(self) -> None:
        """Recursion as one call, or as it is."""
        shape = self.aperture.looking.form.shape
        self._shape(replace(shape, folded=not shape.folded))

    def action_least(self) -> None:
        """Another threshold."""
        self._form_kept(self.aperture.looking.form.thinner())

    def _form_kept(self, form: Form) -> None:
        """The same form in another way: the zoom stays."""
        self.look(replace(self.aperture.looking, form=form))
        self.show_crumbs()

    def action_sort(self) -> None:
        """Order frames by name, by weight, or by how much they changed."""
        looking = self.aperture.looking
        if looking.form.by_change or (looking.by_weight and looking.base is None):
            after = replace(looking, by_weight=False, form=replace(looking.form, by_change=False))
        elif looking.by_weight:
            after = replace(looking, by_weight=False, form=replace(looking.form, by_change=True))
        else:
            after = replace(looking, by_weight=True)
        self.look(after)

    def action_group(self) -> None:
        """Stacks by process, thread, tags where there are any, control group, container, or module."""
        snapshot = self.aperture.snapshot
        self.look(self.aperture.looking.grouped(tags=snapshot is not None and bool(snapshot.tags)))
        self.show_crumbs()

    def action_compare(self) -> None:
        """Compare with what is looked at now from here on, wherever one goes; with the recording; or no more."""
        app = self.aperture
        looking, snapshot = app.looking, app.snapshot
        if looking.base is not None:
            again = app.baseline if not looking.base.recording else ""
            self.look(replace(looking, base=Baseline(0, 0, recording=again) if again else None))
        elif snapshot is not None and snapshot.icicle is not None and snapshot.range_ns:
            self.look(looking.against(snapshot.end_ns - snapshot.range_ns, snapshot.end_ns + 1))

    def action_absolute(self) -> None:
        """Compare weights in place of shares, and back."""
        looking = self.aperture.looking
        self.look(replace(looking, absolute=not looking.absolute))

    def on_crumbs_chosen(self, message: Crumbs.Chosen) -> None:
        """Back to a step of the zoom's path."""
        looking = self.aperture.looking
        depth = message.depth + (looking.form.function is not None)
        self.look(replace(looking, zoom=looking.zoom[:depth] if message.depth else ()))

    def left_both_sides(self) -> None:
        """Select again what was selected before."""
        self.icicle.select(self._before)
