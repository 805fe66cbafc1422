"""What is copied of frames, stacks and rows."""

from __future__ import annotations

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.model import Box
from aperture_tui.tui.taking.copied import frame_words, rows_text, selected_stack

WEB = make_label("gunicorn", "", "", 0, FrameKind.PROCESS)
PAGE = make_label("render_page", "", "/srv/shop/app/templates.py", 10, FrameKind.PYTHON)
RECV = make_label("recv", "libc.so.6", "", 0, FrameKind.NATIVE)
READ = make_label("vfs_read", "[kernel]", "", 0, FrameKind.KERNEL)
EVIL = make_label("\x1b]0;owned\x07 a;b\n", "\x1b[31m.so", "", 0, FrameKind.NATIVE)
BARE = make_label("", "libx.so", "", 0, FrameKind.NATIVE)
NONE = make_label("", "", "", 0, FrameKind.UNKNOWN)


def test_a_frame_says_where_it_is_from() -> None:
    assert frame_words(PAGE) == "render_page (/srv/shop/app/templates.py:10)"
    assert frame_words(RECV) == "recv (libc.so.6)"
    assert frame_words(READ) == "vfs_read ([kernel])"
    assert frame_words(WEB) == "gunicorn"
    assert frame_words(BARE) == "[libx.so]"
    assert frame_words(NONE) == "[unknown]"


def test_names_are_clean() -> None:
    assert frame_words(EVIL) == r"\x1b]0;owned\x07 a;b\n (\x1b[31m.so)"
    text = selected_stack((WEB, EVIL), Box(0, 9, 0, EVIL, 7, 7))
    assert all(c.isprintable() or c == "\n" for c in text)
    assert text.splitlines()[-1] == r"gunicorn;\x1b]0:owned\x07 a:b\n 7", "a line of a folded export"


def test_a_stack_is_a_frame_a_line_and_then_folded() -> None:
    text = selected_stack((WEB, PAGE, RECV, READ), Box(0, 9, 0, READ, 123, 9))
    assert text.splitlines() == [
        "gunicorn",
        "render_page (/srv/shop/app/templates.py:10)",
        "recv (libc.so.6)",
        "vfs_read ([kernel])",
        "",
        "gunicorn;render_page;recv;vfs_read_[k] 123",
    ]


def test_a_selection_that_is_not_to_be_seen_is_none() -> None:
    assert selected_stack((), Box(0, 9, -1, WEB, 1, 1)) == ""
    assert selected_stack((WEB, PAGE), Box(0, 9, 0, WEB, 1, 1)) == "", "the nearest frame above it is another stack"
    assert selected_stack((WEB,), None) == ""


def test_rows_are_lines_without_what_fills_them() -> None:
    assert rows_text([((" a ", "text"), ("b\x1b", "muted"), ("   ", "text")), (("   ", "text"),)]) == r"a b\x1b"
