"""What is copied of a selection: a frame, a stack, a row of a table. Pure, and clean of what a terminal acts on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.text import clean
from aperture_tui.tui import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.tui.model import Box, FrameLabel, Path, ProcessLine
    from aperture_tui.tui.palette import Spans


def frame_words(label: FrameLabel) -> str:
    """ "render_page (/srv/shop/app/templates.py:10)"; of what has no file, its module."""
    name = clean(label.function) or f"[{clean(label.module)}]" * bool(label.module) or "[unknown]"
    where = clean(label.file) + (f":{label.line}" if label.file and label.line else "")
    if label.kind in (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.TAG):
        where = ""
    elif not where and label.function:
        where = clean(label.module)
    return f"{name} ({where})" if where else name


def stack_text(path: Path, weight: int) -> str:
    """A stack from the outermost frame inwards, a frame a line; then the same folded, with the weight through it."""
    from aperture_tui.export.folded import label
    from aperture_tui.profile.symbols import Frame

    frames = (Frame(one.function, one.module, one.file, one.line, one.kind) for one in path)
    folded = f"{';'.join(map(label, frames))} {weight}"
    return "\n".join([*map(frame_words, path), "", folded, ""])


def selected_stack(path: Path, box: Box | None) -> str:
    """The stack of a selection; "" where that is everything, or not to be seen. box: the one under the cursor."""
    if not path or box is None or box.label != path[-1]:
        return ""
    return stack_text(path, box.total)


def process_words(line: ProcessLine) -> str:
    """A process, in a line."""
    cores = "? % CPU" if line.cores is None else f"{100 * line.cores:.1f} % CPU"
    facts = [line.key.words, line.place, f"{line.threads} threads" if line.threads else "", cores]
    return clean("  ".join(filter(None, [*facts, figures.percent(line.share, 1.0)])))


def rows_text(rows: Sequence[Spans]) -> str:
    """Rows of the screen as text, a line each, without what fills them."""
    lines = (clean("".join(text for text, _ in row).strip()) for row in rows)
    return "\n".join(filter(None, lines))
