"""What commands ask an aggregator for: a range of time, some of its events, two parts of what it holds."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from aperture_tui.cli import times
from aperture_tui.cli.times import Moment
from aperture_tui.cli.values import pattern, pid
from aperture_tui.cli.where_option import add_where
from aperture_tui.export.collected import GPU, KINDS, default_measure
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.query import Group, Measure, Query
from aperture_tui.profile.text import clean
from aperture_tui.store.base import Estimate
from aperture_tui.store.remote.link import Focus
from aperture_tui.tui.estimate_words import estimate_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aperture_tui.store.base import Store


EVENTS: Final = (*KINDS, "gpu")
"""What --event may be."""


def kinds(event: str) -> tuple[Kind, ...]:
    """The kinds of events of such a name; that of a tree is the first of them: of `gpu` the time of kernels."""
    return GPU if event == "gpu" else (KINDS[event],)


def add_range(parser: argparse.ArgumentParser) -> None:
    """From when to when, as `remote.window` reads it."""
    group = parser.add_argument_group("its time (all that is held)")
    for option, name, words in (("--from", "start", "nothing before this time"), ("--to", "end", "nor from then on")):
        group.add_argument(option, dest=name, type=times.moment, metavar="T", help=f"{words}: -15m, now, ISO 8601")


def add_narrowing(parser: argparse.ArgumentParser) -> None:
    """Which events, as `query` reads it."""
    group = parser.add_argument_group("its events")
    group.add_argument("--event", choices=EVENTS, help="kind of events (cpu)")
    measures = [measure.value for measure in Measure]
    group.add_argument("--measure", choices=measures, help="what is summed (of cpu count, else time, in nanoseconds)")
    group.add_argument("-p", "--pid", dest="pids", type=pid, action="append", default=[], metavar="PID")
    group.add_argument(
        "--process", metavar="NAME", help="only processes of this name: of several hosts pids say nothing"
    )
    group.add_argument("--name", metavar="NAME", help="only this system call, kind of lock, or reason to be off-CPU")
    words = "only stacks with a function, module or file that matches"
    group.add_argument("--frame", type=pattern, metavar="RE", help=words)
    add_where(group)
    add_tags(group)


def add_tags(group: argparse._ActionsContainer) -> None:
    """Which events by the tags that filters gave them, as `narrowed` reads it."""
    words = "only events to which a filter gave this tag; if given again, or that one"
    group.add_argument("--tag", dest="tags", action="append", default=[], metavar="NAME", help=words)
    words = "only events without this tag; if given again, and without that one"
    group.add_argument("--no-tag", dest="without_tags", action="append", default=[], metavar="NAME", help=words)


def add_group(group: argparse._ActionsContainer) -> None:
    """By what stacks are told apart, as `grouped` reads it."""
    words = "by what stacks are told apart, beside their process (process)"
    group.add_argument("--by", dest="group", choices=[one.name.lower() for one in Group], help=words)


def narrowed(query: Query, chosen: argparse.Namespace) -> Query:
    """The query, of events with and without the tags that were chosen, which the filter line lets pass."""
    return replace(query, tags=tuple(chosen.tags), without_tags=tuple(chosen.without_tags), where=chosen.where)


def grouped(query: Query, chosen: argparse.Namespace) -> Query:
    """The query, with stacks told apart as it was chosen."""
    return replace(query, group=Group[chosen.group.upper()]) if chosen.group else query


def unknown_tags(store: Store, query: Query) -> str:
    """That no event has a tag that was asked for, in words; "" if that is not so."""
    known = store.tags()
    missing = [tag for tag in (*query.tags, *query.without_tags) if tag not in known]
    there = f"there are: {', '.join(known)}" if known else "there are none"
    return f"no event has the tag {', '.join(missing)}; {there}" if missing else ""


def query(chosen: argparse.Namespace, start_ns: int | None, end_ns: int | None) -> Query:
    """What was chosen of the events of a range."""
    kind = kinds(chosen.event or "cpu")[0]
    found = Query(
        kind,
        start_ns,
        end_ns,
        pids=tuple(chosen.pids),
        process=chosen.process,
        frame=chosen.frame,
        name=chosen.name,
        measure=Measure(chosen.measure) if chosen.measure else default_measure(kind),
    )
    return narrowed(found, chosen)


class Estimates:
    """What a store notes: how exact its least exact answer is."""

    def __init__(self, store: Store) -> None:
        self.worst = Estimate()
        store.note = self._note

    def _note(self, estimate: Estimate) -> None:
        self.worst = self.worst.worse(estimate)

    @property
    def words(self) -> str:
        """In words, "" of what is exact."""
        return estimate_words(self.worst)

    def as_json(self) -> dict[str, float]:
        """As JSON types."""
        return asdict(self.worst)


@dataclass(frozen=True, slots=True)
class Part:
    """A range of time of some machines. text: as it was given. where: None if that was not said."""

    text: str
    start: Moment | None
    end: Moment | None
    where: Focus | None


def part(text: str) -> Part:
    """`FROM..TO`, with `@HOST,HOST` or `@service:NAME` behind it; either time may be missing."""
    span, at, who = text.partition("@")
    start, dots, end = span.partition("..")
    if (span and not dots) or (at and not who.removeprefix("service:")) or not text:
        words = "give FROM..TO, FROM..TO@HOST,HOST or FROM..TO@service:NAME"
        raise argparse.ArgumentTypeError(f"{text!r} is no part of what an aggregator holds: {words}")
    if not who:
        where = None
    elif who.startswith("service:"):
        where = Focus(service=who.removeprefix("service:"))
    else:
        where = Focus(tuple(filter(None, dict.fromkeys(who.split(",")))))
    return Part(text, times.moment(start) if start else None, times.moment(end) if end else None, where)


def attached(argv: list[str], options: tuple[str, ...]) -> list[str]:
    """The command line with `--base -2h..-1h` made `--base=-2h..-1h`: argparse would take the value for an option."""
    out: list[str] = []
    for argument in argv:
        if out and out[-1] in options and re.match(r"-\d", argument):
            out[-1] = f"{out[-1]}={argument}"
        else:
            out.append(argument)
    return out


def machines(where: Focus) -> str:
    """Which machines, in words."""
    names = ", ".join(where.hosts)
    of = f"service {where.service or '(none)'}" if where.service is not None else ""
    return " of ".join(filter(None, [names, of])) or "all"


def say(program: str, lines: Iterable[str]) -> None:
    """What the reader of the output has to know, on stderr; blank lines are left out."""
    for line in lines:
        if line:
            print(f"{program}: {clean(line)}", file=sys.stderr)
