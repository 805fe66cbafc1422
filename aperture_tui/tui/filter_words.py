"""What the screens say of filters in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aperture_tui.filters.told import Standing
from aperture_tui.tui import figures
from aperture_tui.tui.cells import plain
from aperture_tui.tui.widgets.header import Chip

if TYPE_CHECKING:
    from aperture_tui.filters.told import ChainState, FilterState
    from aperture_tui.profile.health import Health

_WORKS, _FAILS, _RESTS = "*background@accent", "*background@error", "*text@bar"
_NAME: Final = "filter "
"""What the health of a filter is called by, before its name."""
_IF_IT_FAILS: Final = {
    "keep": "events pass unfiltered",
    "drop": "events are dropped",
    "stop": "everything stops",
}
_PASSES: Final = {"keep": "events pass it unfiltered", "drop": "nothing passes it", "stop": "nothing passes"}
_NONE: Final = (
    ("No filters are at work", "*text"),
    ("", "text"),
    ('Begin with one: aperture-top --filter \'process_name:{"name":"nginx"}\', or --filter FILE.wasm.', "text"),
    ("`aperture filter list` has those that come along; `aperture filter new NAME` begins one of your own.", "muted"),
)


def chip(state: ChainState | None, dropped: float | None) -> Chip:
    """What the header says of filters, on every screen: a picture that lacks something must not look whole.

    dropped: the share of events that they take away now, None while none come.
    """
    if state is None:
        return Chip()
    failed = sum(one.failed for one in state.filters)
    stopped = next((one for one in state.filters if one.standing is Standing.STOPPED), None)
    if state.failure or stopped is not None:
        words = "the filters crashed" if stopped is None else f"filter {plain(stopped.name)[:20]} failed"
        return Chip(f"! {words}, nothing passes", "! nothing passes", _FAILS)
    if not any(one.on for one in state.filters):
        return Chip("filters are off", "filters off", _RESTS)
    drop, short = _dropping(state, dropped)
    if failed:
        return Chip(f"! {failed} of {len(state.filters)} filters failed, {drop}", f"! {short}", _FAILS)
    return Chip(f"filters {drop}", short, _WORKS)


def _dropping(state: ChainState, dropped: float | None) -> tuple[str, str]:
    if dropped is not None:
        share = figures.share(dropped, 1.0)
        return f"drop {share}", f"drop {share}"
    if not state.events_in:
        return "at work", "filtered"
    share = figures.share(state.events_in - state.events_out, state.events_in)
    return f"dropped {share}", f"drop {share}"  # nothing comes now; of what is on the screen it is still true


def chip_of_others(health: Sequence[Health], agents: bool) -> Chip:
    """The same of filters that are not ours: those of whoever recorded, or of agents."""
    if not any(map(is_filter, health)):
        return Chip()
    return Chip(f"filtered by {'agents' if agents else 'who recorded'}", "filtered", _WORKS)


def is_filter(health: Health) -> bool:
    """Whether it is of a filter."""
    return health.name.startswith(_NAME)


def none(possible: bool, remote: bool, problem: str) -> list[tuple[str, str]]:
    """In place of the list where there are none: how to get one. (text, style key) of each line.

    possible: there may be some of what is shown. problem: why none can work here, with what mends it.
    """
    if remote:
        return [
            ("Agents filter by themselves", "*text"),
            ("", "text"),
            ('Begin one with --filter: aperture agent --remote … --filter \'process_name:{"name":"nginx"}\'.', "text"),
            ("What filters of agents took away is said in the health of each host (!).", "muted"),
        ]
    if not possible:
        return [
            ("No filters are at work on this recording", "*text"),
            ("", "text"),
            ('Open it with one: aperture-top --replay FILE --filter \'process_name:{"name":"nginx"}\'', "text"),
            ("`aperture filter list` has those that come along.", "muted"),
            *([("", "text"), (f"Here {problem}", "warning")] if problem else []),
        ]
    return [*_NONE, *([("", "text"), (f"Here {problem}", "warning")] if problem else [])]


def short_state(one: FilterState) -> tuple[str, str]:
    """How a filter stands, in few cells; without colours what is wrong has a sign."""
    standing = one.standing
    if standing is Standing.WAITING:
        return (f"! retry {one.retry_s:.0f} s" if one.retry_s >= 0.5 else "! retries"), "*error"
    if standing in (Standing.DISABLED, Standing.STOPPED):
        return f"! {standing.value}", "*error"
    if standing is Standing.OFF:
        return "off", "muted"
    if one.reloading:
        return "reloading", "accent"
    if one.reload_error:
        return "! old file", "*warning"
    if one.waits:
        return "begins", "accent"
    return standing.value, "good" if standing is Standing.RUNNING else "muted"


def full_state(one: FilterState) -> tuple[str, str]:
    """The same in full, with the reason."""
    standing, reason = one.standing, one.at_work.reason
    passes = _PASSES[one.spec.on_error.value]
    if standing is Standing.CLOSED:
        return "its session is over", "muted"
    if standing is Standing.OFF:
        return "switched off: everything passes it", "text"
    if standing is Standing.STOPPED:
        return f"failed: {reason}; all filters have stopped, and nothing passes", "*error"
    if standing is Standing.DISABLED:
        return f"disabled after 5 failures in a minute, {passes}; the last: {reason}; r tries it again", "*error"
    if standing is Standing.WAITING:
        when = f"in {one.retry_s:.0f} s" if one.retry_s >= 0.5 else "with the next events"
        return f"failed: {reason}; tried again {when}, until then {passes}", "*error"
    if one.waits:
        return "begins with the next events", "accent"
    told = f"running; it has failed {one.at_work.counters.errors:,} times, last: {reason}" if reason else "running"
    return told, "warning" if reason else "good"


def if_it_fails(one: FilterState) -> str:
    """What becomes of events then."""
    return _IF_IT_FAILS[one.spec.on_error.value]
