from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Symbols, carry
from aperture_tui.tui.icicle import layout
from aperture_tui.tui.icicle.layout import MAX_ROWS, Labels, lay_out
from aperture_tui.tui.icicle.navigate import path_of
from aperture_tui.tui.model import IcicleView
from tests.tui.icicle.trees import Folded, drawn
from tests.tui.synthetic import START_NS, SyntheticStore

STACKS = st.dictionaries(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=7).map(";".join),
    st.integers(1, 50),
    min_size=1,
    max_size=30,
)


def _folded(stacks: dict[str, int]) -> str:
    return "\n".join(f"{stack} {weight}" for stack, weight in stacks.items())


def _check(view: IcicleView) -> None:
    """Boxes are in order, do not overlap, lie inside of their parents, and weigh no more than them."""
    for above, row in zip((None, *view.rows), view.rows, strict=False):
        at = 0
        for box in row.boxes:
            assert at <= box.left < box.right <= view.width
            at = box.right
            if above is not None and above.boxes:
                parent = above.boxes[box.parent]
                assert parent.left <= box.left
                assert box.right <= parent.right
                assert box.total <= parent.total - parent.own
        for low, high in row.hatches:
            assert not any(box.left < high and low < box.right for box in row.boxes)
            assert low < high <= view.width


@given(STACKS, st.integers(1, 90), st.booleans())
@settings(deadline=None)
def test_children_stay_inside_of_their_parents(stacks: dict[str, int], width: int, by_weight: bool) -> None:
    view = Folded(_folded(stacks)).view(width, by_weight=by_weight)
    _check(view)
    assert view.rows[0].boxes[0].total == view.total == sum(stacks.values())


@given(STACKS, st.lists(st.integers(0, 60), min_size=30, max_size=30), st.integers(1, 90))
@settings(deadline=None)
def test_they_stay_inside_when_edges_stick_to_where_they_were(
    stacks: dict[str, int], news: list[int], width: int
) -> None:
    folded = Folded(_folded(stacks))
    _, edges = lay_out(folded.tree, folded.labels, width)
    moved = dict(zip(stacks, news, strict=False))
    view, _ = lay_out(folded.weighted(_folded(moved)), folded.labels, width, last=edges)
    _check(view)


@given(STACKS, st.integers(20, 200))
@settings(deadline=None)
def test_every_frame_of_a_cell_is_drawn_within_a_cell_of_its_width(stacks: dict[str, int], width: int) -> None:
    view = Folded(_folded(stacks)).view(width)
    for row in view.rows:
        for box in row.boxes:
            exact = box.total / view.total * width
            assert abs(box.right - box.left - exact) <= 1


def test_siblings_meet_without_gaps_and_fill_a_parent_without_self_time() -> None:
    folded = Folded("\n".join(f"p;{chr(97 + i)} {7 * i + 11}" for i in range(13)))
    for width in range(70, 170):
        row = folded.view(width).rows[2].boxes
        assert [box.left for box in row] == [0, *(box.right for box in row[:-1])]
        assert row[-1].right == width


def test_what_is_drawn() -> None:
    view = Folded("main;parse;lex 30\nmain;parse 10\nmain;run;step 40\nmain;run;tiny 1\nidle 19").view(60)
    assert drawn(view) == [
        "▏all                                                        ",
        "▏idle (m)  ▏main (m)                                        ",
        "           ▏parse (m)              ▏run (m)                 ",
        "           ▏lex (m)                ▏step (m)               ░",
    ]


def test_frames_too_narrow_are_gathered_into_one_hatch_at_the_right_of_their_parent() -> None:
    many = "\n".join(f"p;small{i} 1" for i in range(30))
    view = Folded(f"p;big 50\n{many}\np 20").view(50)
    row = view.rows[2]
    assert [box.label.function for box in row.boxes] == ["big"]
    assert row.hatches == ((25, 40),), "30 % of 50 cells, behind the half that is drawn; the rest is self time"


@given(
    st.dictionaries(st.sampled_from([f"p;{i}" for i in range(40)]), st.integers(1, 50), min_size=1),
    st.lists(st.integers(0, 60), min_size=40, max_size=40),
    st.integers(1, 90),
)
@settings(deadline=None)
def test_a_frame_of_many_children_is_drawn_like_one_of_few(stacks: dict[str, int], news: list[int], width: int) -> None:
    folded = Folded(_folded(stacks))
    later = folded.weighted(_folded(dict(zip(stacks, news, strict=False))))
    drawn_twice = []
    for many in (0, 1000):
        with mock.patch.object(layout, "MANY", many):
            first, edges = lay_out(folded.tree, folded.labels, width)
            drawn_twice.append((first, edges, *lay_out(later, folded.labels, width, last=edges)))
    assert drawn_twice[0] == drawn_twice[1]


def test_siblings_stand_by_name_while_weights_change_and_by_weight_when_asked() -> None:
    folded = Folded("b 50\na 30\nc 20")
    assert [box.label.function for box in folded.view(60).rows[1].boxes] == ["a", "b", "c"]
    assert [box.label.function for box in folded.view(60, by_weight=True).rows[1].boxes] == ["b", "a", "c"]


def test_an_edge_that_hardly_moved_stays() -> None:
    folded = Folded("a 500\nb 500")
    _, edges = lay_out(folded.tree, folded.labels, 100)
    near = folded.weighted("a 506\nb 494")
    far = folded.weighted("a 520\nb 480")
    assert lay_out(near, folded.labels, 100, last=edges)[0].rows[1].boxes[0].right == 50
    assert lay_out(near, folded.labels, 100)[0].rows[1].boxes[0].right == 51
    assert lay_out(far, folded.labels, 100, last=edges)[0].rows[1].boxes[0].right == 52


def test_a_frame_at_the_limit_does_not_come_and_go() -> None:
    folded = Folded("a 985\nb 15")
    _, edges = lay_out(folded.tree, folded.labels, 100)
    less = folded.weighted("a 992\nb 8")
    assert len(lay_out(less, folded.labels, 100)[0].rows[1].boxes) == 1
    assert len(lay_out(less, folded.labels, 100, last=edges)[0].rows[1].boxes) == 2


def test_a_zoom_fills_the_width_and_keeps_three_callers() -> None:
    folded = Folded("a;b;c;d;e;f;g 10\na;b;c;d;e;f;h 30\nz 60")
    view = folded.view(40, zoom="a;b;c;d;e;f")
    assert drawn(view) == [
        " … 3 above                              ",
        "▏c (m)                                  ",
        "▏d (m)                                  ",
        "▏e (m)                                  ",
        "▏f (m)                                  ",
        "▏g (m)    ▏h (m)                        ",
    ]
    assert [row.above for row in view.rows] == [False, True, True, True, False, False]
    assert [label.function for label in view.collapsed] == ["a", "b"]
    assert (view.total, view.zoomed) == (100, 40)


def test_a_zoom_that_is_gone_falls_back_to_the_nearest_caller() -> None:
    folded = Folded("a;b;c 10\na;x 10\nq 5")
    gone = folded.path("a;b;c")
    later = folded.weighted("a;b 4\na;x 6")
    view, _ = lay_out(later, folded.labels, 40, gone)
    assert [label.function for label in view.zoom] == ["a", "b"]
    assert view.zoomed == 4


def test_a_zoom_survives_a_new_generation_of_symbols() -> None:
    folded = Folded("a;b;c 10\na;x 10")
    path = folded.path("a;b")
    fresh = Symbols()
    fresh.string("something else first")
    stacks = np.flatnonzero(folded.tree.self_weight)
    moved = carry(folded.symbols, fresh, [], stacks, []).stacks
    tree = type(folded.tree).of_stacks(fresh, moved[stacks], folded.tree.self_weight[stacks])
    view, _ = lay_out(tree, Labels(fresh), 40, path)
    assert [label.function for label in view.zoom] == ["a", "b"]
    assert view.zoomed == 10


def test_an_empty_tree_has_a_root_and_no_more() -> None:
    folded = Folded("a 1")
    view, _ = lay_out(folded.tree.subtract(folded.tree), folded.labels, 40)
    assert (view.total, len(view.rows)) == (0, 1)


def test_bottomless_stacks_are_cut_and_said_to_be() -> None:
    view = Folded(";".join(f"f{i}" for i in range(MAX_ROWS + 50)) + " 5").view(30)
    assert len(view.rows) == MAX_ROWS
    assert view.deeper


def test_only_what_can_be_seen_is_visited() -> None:
    store = SyntheticStore(nodes=60_000, now=lambda: START_NS + 20 * 10**9)
    from aperture_tui.profile.query import Query

    tree = store.call_tree(Query())
    labels = Labels(store.symbols)
    view, _ = lay_out(tree, labels, 200)
    _check(view)
    boxes = sum(len(row.boxes) for row in view.rows)
    assert len(labels._known) <= boxes + 1 < 3000
    assert all(type(value) is int for box in view.rows[3].boxes for value in (box.left, box.total, box.own))


def test_paths_name_processes_first() -> None:
    store = SyntheticStore()
    from aperture_tui.profile.query import Query

    view, _ = lay_out(store.call_tree(Query()), Labels(store.symbols), 120)
    from aperture_tui.tui.icicle.navigate import Place

    path = path_of(view, Place(2, 0))
    assert path[0].kind is FrameKind.PROCESS
