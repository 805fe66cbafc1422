from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.icicle.render import icicle_row
from aperture_tui.tui.model import Box, Row
from aperture_tui.tui.search import compile_search
from tests.tui.icicle.trees import Folded

READ = make_label("read", "libc", "", 0, FrameKind.NATIVE)
WIDE = make_label("视频转码", "", "", 0, FrameKind.PROCESS)
ROW = Row((Box(0, 8, 0, READ, 5, 1), Box(10, 18, 0, WIDE, 5, 1)), hatches=((18, 20),))


def test_boxes_gaps_and_hatches() -> None:
    assert icicle_row(ROW, 22) == (
        ("▏read   ", f"box:native{READ.shade}"),
        ("  ", "faint"),
        ("▏视频转…", f"box:process{WIDE.shade}"),
        ("░░  ", "faint"),
    )


def test_selection_and_matches_have_their_own_looks() -> None:
    hits = compile_search("read").hits
    keys = [key for text, key in icicle_row(ROW, 22, selected=1, hits=hits) if "▏" in text]
    assert keys == ["box:match", "box:selected"]
    keys = [key for text, key in icicle_row(ROW, 22, selected=0, hits=hits) if "▏" in text]
    assert keys == ["box:selected-match", f"box:process{WIDE.shade}:dim:edge"], "the rest is dimmed"


def test_without_colours_shapes_do_it() -> None:
    assert "".join(text for text, _ in icicle_row(ROW, 22, mono=True)) == "|read___  |视频转…░░  "
    assert "".join(text for text, _ in icicle_row(ROW, 22, mono=True, waits=True)) == "|read...  |视频转…░░  "


def test_time_that_passed_waiting_has_other_colours() -> None:
    keys = [key for text, key in icicle_row(ROW, 22, waits=True) if "▏" in text]
    assert keys == [f"box:wait-native{READ.shade}", f"box:wait-process{WIDE.shade}"]


@given(
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6),
    st.integers(1, 70),
    st.integers(1, 90),
    st.booleans(),
)
@settings(deadline=None)
def test_a_row_is_as_wide_as_the_screen_even_after_a_resize(
    names: list[str], laid_out_for: int, width: int, mono: bool
) -> None:
    lines = "\n".join(
        f"{name.replace(';', ',').replace(' ', '_') or 'x'} {i + 1}"
        for i, name in enumerate(names)
        if name.isprintable()
    )
    view = Folded(lines or "x 1").view(laid_out_for)
    for row in view.rows:
        spans = icicle_row(row, width, 0, None, mono)
        assert sum(cell_len(text) for text, _ in spans) == width
