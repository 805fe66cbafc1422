from __future__ import annotations

from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.query import Group
from aperture_tui.profile.where import parse
from aperture_tui.store.remote.link import FLEET, Focus
from aperture_tui.tui.icicle.labels import make_label
from aperture_tui.tui.looking import RATES, Looking, neighbour
from aperture_tui.tui.model import ProcessKey
from aperture_tui.tui.playhead import Held, Playhead
from aperture_tui.tui.search import compile_search

A = make_label("a", "m", "", 0, FrameKind.NATIVE)
B = make_label("b", "m", "", 0, FrameKind.NATIVE)


def test_windows_stop_at_their_ends() -> None:
    looking = Looking(window_s=10.0)
    assert looking.longer(-1).window_s == 10.0
    sizes = []
    for _ in range(5):
        looking = looking.longer(1)
        sizes.append(looking.window_s)
    assert sizes == [30.0, 60.0, 300.0, None, None]
    assert looking.longer(-1).window_s == 300.0


def test_where_months_are_held_windows_reach_as_far() -> None:
    looking = Looking(window_s=60.0)
    sizes = []
    for _ in range(9):
        looking = looking.longer(1, long=True)
        sizes.append(looking.window_s)
    assert sizes == [300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, None, None]
    assert looking.longer(-1, long=True).window_s == 30 * 86400
    assert looking.window_of(Held(0, 5 * 10**9)) == 5
    assert Looking(window_s=60.0).window_of(Held(0, 5 * 10**9)) == 60


def test_other_machines_are_looked_at_at_the_same_time_without_what_was_chosen_of_the_others() -> None:
    looking = Looking(
        900.0,
        ProcessKey(7, 1, "x"),
        (A,),
        search=compile_search("a"),
        time=Playhead(5),
        group=Group.THREAD,
        wakers=True,
    )
    assert looking.of(FLEET) is looking
    other = looking.of(Focus(("web-7",)))
    assert other == Looking(900.0, time=Playhead(5), group=Group.THREAD, focus=Focus(("web-7",)))
    assert other.request(80, True).focus == Focus(("web-7",))


def test_a_window_between_the_choices_moves_to_the_next_one() -> None:
    assert Looking(window_s=45.0).longer(1).window_s == 60.0
    assert Looking(window_s=45.0).longer(-1).window_s == 30.0
    assert neighbour(RATES, 3.0, -1) == 2.0


def test_back_leaves_zoom_then_search_then_process() -> None:
    looking = Looking(process=ProcessKey(7, 1, "x"), zoom=(A, B), search=compile_search("a"))
    steps = []
    for _ in range(5):
        looking = looking.back()
        steps.append((len(looking.zoom), looking.search is not None, looking.process is not None))
    assert steps == [(1, True, True), (0, True, True), (0, False, True), (0, False, False), (0, False, False)]


def test_back_takes_the_filter_off_after_the_process_and_before_the_comparison() -> None:
    looking = Looking(process=ProcessKey(7, 1, "x"), where=parse("comm:a")).against(0, 1)
    steps = []
    for _ in range(3):
        looking = looking.back()
        steps.append((looking.process is not None, bool(looking.where), looking.base is not None))
    assert steps == [(False, True, True), (False, False, True), (False, False, False)]


def test_a_filter_stays_on_whatever_is_looked_at_and_a_zoom_belongs_to_it() -> None:
    looking = Looking(zoom=(A,)).filtered(parse("comm:a"))
    assert looking.zoom == ()
    assert looking.filtered(parse("comm:a")) is looking
    for other in (looking.of(Focus(("web-7",))), looking.elsewhere(), looking.only(ProcessKey(7, 1, "x"))):
        assert other.where == parse("comm:a")
        assert other.request(80, True).where == parse("comm:a")


def test_stacks_are_told_apart_by_one_thing_after_the_other() -> None:
    looking = Looking(zoom=(A,))
    groups = []
    modules = []
    for tags in (True, True, True, True, True, True, False, False):
        looking = looking.grouped(tags)
        groups.append(looking.group)
        modules.append(looking.form.shape.by_module)
        assert looking.zoom == ()
    one_after_the_other = [Group.THREAD, Group.TAG, Group.CGROUP, Group.CONTAINER, Group.PROCESS, Group.PROCESS]
    assert groups == [*one_after_the_other, Group.THREAD, Group.CGROUP]
    assert modules == [False] * 4 + [True] + [False] * 3
    assert Looking(group=Group.TAG).grouped(tags=False).group is Group.PROCESS


def test_another_process_ends_the_zoom_but_the_same_one_does_not() -> None:
    process = ProcessKey(7, 1, "x")
    looking = Looking(process=process, zoom=(A,))
    assert looking.only(process).zoom == (A,)
    assert looking.only(ProcessKey(8, 1, "y")).zoom == ()
