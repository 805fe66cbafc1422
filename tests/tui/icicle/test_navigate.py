from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.tui.icicle import navigate
from aperture_tui.tui.icicle.layout import lay_out
from aperture_tui.tui.icicle.navigate import Place
from aperture_tui.tui.model import IcicleView, Path
from aperture_tui.tui.search import compile_search
from tests.tui.icicle.trees import Folded

TEXT = "a;b;c 10\na;b;d 30\na;e 20\nz;b 40"


def _name(view: IcicleView, place: Place | None) -> str:
    assert place is not None
    return navigate.box_at(view, place).label.function


def _words(path: Path) -> str:
    return ";".join(label.function for label in path)


def test_a_path_leads_back_to_its_box() -> None:
    folded = Folded(TEXT)
    for zoom in ("", "a", "a;b"):
        view = folded.view(80, zoom)
        for y, row in enumerate(view.rows):
            for i in range(len(row.boxes)):
                place = Place(y, i)
                assert navigate.locate(view, navigate.path_of(view, place)) == place


@given(st.sampled_from(["", "a;b;c;d;e", "a;b;c;d;e;f;g;h"]), st.integers(2, 90))
@settings(deadline=None)
def test_so_it_does_below_collapsed_callers(zoom: str, width: int) -> None:
    view = Folded("a;b;c;d;e;f;g;h;i 10\na;b;c;d;e;x 3").view(width, zoom)
    for y in range(view.first, len(view.rows)):
        for i in range(len(view.rows[y].boxes)):
            assert navigate.locate(view, navigate.path_of(view, Place(y, i))) == Place(y, i)


def test_a_selection_survives_a_refresh_and_falls_back_to_its_caller() -> None:
    folded = Folded(TEXT)
    path = folded.path("a;b;c")
    view, _ = lay_out(folded.weighted("a;b;c 3\na;b;d 7\nk 90"), folded.labels, 80)
    assert _words(navigate.path_of(view, navigate.locate(view, path) or Place(0, 0))) == "a;b;c"
    without, _ = lay_out(folded.weighted("a;b;d 9\nk 90"), folded.labels, 80)
    assert _name(without, navigate.locate(without, path)) == "b"


def test_a_selection_outside_of_the_zoom_becomes_the_zoom() -> None:
    folded = Folded("p;q;a;b;c;d 10\nz;b 40")
    view = folded.view(80, "p;q;a;b;c")
    assert _name(view, navigate.locate(view, folded.path("z;b"))) == "c"


def test_walking() -> None:
    view = Folded(TEXT).view(80)
    root = Place(0, 0)
    a = navigate.move(view, root, 1, 0)
    assert _name(view, a) == "a", "down goes to the widest"
    b = navigate.move(view, a, 1, 0)
    d = navigate.move(view, b, 1, 0)
    assert _name(view, d) == "d"
    assert navigate.move(view, d, 1, 0) == d, "nothing below"
    assert _name(view, navigate.move(view, d, 0, -1)) == "c"
    assert _name(view, navigate.move(view, b, 0, 1)) == "e"
    assert _name(view, navigate.move(view, b, 0, 99)) == "b", "the last of the row is below z"
    assert navigate.move(view, b, -1, 0) == a
    assert navigate.move(view, root, -1, 0) == root


def test_a_click_finds_the_box_under_it_and_nothing_beside_it() -> None:
    view = Folded("a;b 50\na 50").view(40)
    assert _name(view, navigate.hit(view, 0, 2)) == "b"
    assert _name(view, navigate.hit(view, 19, 2)) == "b"
    assert navigate.hit(view, 20, 2) is None, "self time of a"
    assert navigate.hit(view, 5, 9) is None


def test_matches_are_walked_in_reading_order_and_round_the_end() -> None:
    view = Folded(TEXT).view(80)
    hits = compile_search("^[bd]$").hits
    seen = []
    place = None
    for _ in range(4):
        place = navigate.next_match(view, place, hits, 1)
        seen.append(_name(view, place))
    assert seen == ["b", "b", "d", "b"]
    assert _name(view, navigate.next_match(view, Place(0, 0), hits, -1)) == "d"
    assert navigate.next_match(view, place, compile_search("nothing").hits, 1) is None
