"""Command lines: one line for a mistake, and the options that several commands share."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeVar

from aperture_tui.cli.where_option import joined
from aperture_tui.collect.settings import EVENTS
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aperture_tui.collect.settings import Settings
    from aperture_tui.filters.chain import Chain
    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.filters.spec import Spec

    _Filters = TypeVar("_Filters", Chain, Recorded)

MAX_HZ: Final = 9999
_MAX_BLOCK_US: Final = 60_000_000

_NUMPY_THREADS: Final = "OPENBLAS_NUM_THREADS"


def prepare() -> None:
    """Before anything else is imported, numpy above all."""
    # no pool of threads, which we do not use and which costs a core and memory at start
    os.environ.setdefault(_NUMPY_THREADS, "1")
    # what Python may once take [[a] for is no word for whoever typed it, and two lines too many
    warnings.filterwarnings("ignore", "Possible ", FutureWarning)


def environment_of_others(before: bool = _NUMPY_THREADS in os.environ) -> dict[str, str]:
    """The environment for programs that we start for somebody: as it was given to us."""
    return {name: value for name, value in os.environ.items() if before or name != _NUMPY_THREADS}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one clear line, and whose help keeps its line breaks."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawTextHelpFormatter,
            allow_abbrev=False,
        )

    def parse_known_args(  # type: ignore[override]  # what argparse calls itself has this form alone
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """A filter line may begin with a minus."""
        return super().parse_known_args(joined(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        """Wrong usage: status 2."""
        if found := re.fullmatch(r"argument (?:.*/)?(--\S+): expected one argument", message):
            message += f"; one that begins with - is given as {found[1]}=-..."
        if found := re.fullmatch(r"unrecognized arguments: ((\S+).*)", message, re.DOTALL):
            word = found[1] if os.path.exists(found[1]) else found[2]
            message = f"{word!r} is not understood{self._meant(word)}"
        message = clean(message.removeprefix("argument COMMAND: "))
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def _meant(self, word: str) -> str:
        """What somebody may have wanted who gave a word that is no argument here."""
        options = self._option_string_actions
        if "--replay" in options and os.path.exists(word):
            return f"; a recording is opened with --replay {shlex.quote(word)}"
        if "-p" in options and word.isdecimal():
            return f"; of one process: -p {word}"
        name, equals, value = word.partition("=")
        return meant(name, options, behind=f"{equals}{value}") if word.startswith("-") else ""


def frequency(text: str) -> int:
    """Samples a second and CPU."""
    hz = int(text) if text.isdecimal() else 0
    if not 1 <= hz <= MAX_HZ:
        raise argparse.ArgumentTypeError(f"{text!r} is not a frequency: give 1 to {MAX_HZ} Hz")
    return hz


def seconds(text: str) -> float:
    """A duration of at least a tenth of a second."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86400 * 365:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: give seconds, at least 0.1")
    return value


class Limit(NamedTuple):
    """Of time ("s") or size ("bytes")."""

    unit: str
    amount: int


def limit(text: str) -> Limit:
    """`90s`, `15m`, `1h`, `7d`; `500kB`, `100MB`, `10GB`."""
    found = re.fullmatch(r"(\d{1,9})(s|m|h|d|kB|MB|GB)", text, re.ASCII)
    if found is None or not int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no limit: give a time as 30m, 1h, 7d, or a size as 100MB, 10GB")
    factor = {"s": 1, "m": 60, "h": 3600, "d": 86400, "kB": 1000, "MB": 10**6, "GB": 10**9}[found[2]]
    return Limit("bytes" if found[2].endswith("B") else "s", int(found[1]) * factor)


def process(text: str) -> int:
    """The pid of a process that exists."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pid")
    if not os.path.exists(f"/proc/{int(text)}"):
        raise argparse.ArgumentTypeError(f"there is no process {int(text)}")
    return int(text)


def events(text: str) -> tuple[str, ...]:
    """Kinds of events, separated by commas; `all` is all of them, `gpu` only where a driver of one is loaded."""
    chosen = set(text.split(","))
    known = (*EVENTS, "all")
    for name in sorted(chosen.difference(known)):
        raise argparse.ArgumentTypeError(f"{name!r} is not collected{meant(name, known, listed=len(known))}")
    without = set() if "all" not in chosen or "gpu" in chosen or _has_gpu() else {"gpu"}
    return tuple(name for name in EVENTS if (name in chosen or "all" in chosen) and name not in without)


def _has_gpu() -> bool:
    from aperture_tui.collect.gpu.needs import vendors
    from aperture_tui.collect.machine import Machine

    return bool(vendors(Machine()))


def syscall(text: str) -> str:
    """The name of a system call of this machine."""
    from aperture_tui.collect.syscalls.names import compat_numbers, numbers

    machine = os.uname().machine
    known = {**numbers(machine), **compat_numbers(machine)}
    if not known:
        raise argparse.ArgumentTypeError(f"{text!r}: the names of system calls are not known of {machine}")
    if text not in known:
        near = meant(text, known, most=3, listed=3)
        raise argparse.ArgumentTypeError(f"{text!r} is not a system call of {machine}{near} (man 2 syscalls)")
    return text


def every(text: str) -> int:
    """Every how many calls; 0 is never."""
    if not (text.isascii() and text.isdecimal()) or int(text) >= 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of calls: give 1 for every call, 0 for none")
    return int(text)


def microseconds(text: str) -> int:
    """A short duration, in whole microseconds."""
    if not (text.isascii() and text.isdecimal()) or int(text) > _MAX_BLOCK_US:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: give 0 to {_MAX_BLOCK_US} microseconds")
    return int(text)


def percent(text: str) -> float:
    """A share, of a percentage."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0.001 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage: give 0.1 to 100")
    return share


def add_collecting(parser: argparse.ArgumentParser) -> None:
    """What is collected, as `settings` reads it."""
    group = parser.add_argument_group("what is collected")
    group.add_argument("-F", dest="hz", type=frequency, default=99, metavar="HZ", help="samples a second (99)")
    group.add_argument(
        "-p",
        dest="pids",
        type=process,
        action="append",
        default=[],
        metavar="PID",
        help="only this process and what it starts from now on; may be given again",
    )
    group.add_argument(
        "--cgroup",
        dest="cgroups",
        action="append",
        default=[],
        metavar="PATH",
        help="only this control group (version 2) and those below it; may be given again",
    )
    kinds = f"kinds of events, of {', '.join(EVENTS)}, or all (cpu)"
    group.add_argument("--events", type=events, default=("cpu",), metavar="LIST", help=kinds)
    group.add_argument(
        "--syscall",
        dest="syscalls",
        type=syscall,
        action="append",
        default=[],
        metavar="NAME",
        help="of system calls only this one; may be given again",
    )
    group.add_argument(
        "--syscall-stacks",
        type=every,
        default=0,
        metavar="N",
        help="take the user stack of one system call in N (0: of none)",
    )
    _add_waits(group)
    group.add_argument(
        "--gpu-limit",
        type=percent,
        default=None,
        metavar="PERCENT",
        help="what recording a GPU may cost its program (2); 100\nrecords everything, whatever it costs",
    )


def _add_waits(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--min-block",
        type=microseconds,
        default=0,
        metavar="US",
        help="count waits shorter than this many microseconds\ntogether, without their stacks (0)",
    )
    group.add_argument(
        "--no-wait-stacks",
        dest="wait_stacks",
        action="store_false",
        help="of waits only how long, for what and by whom: the\ncheapest way to see them",
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """What decides about each event, as `filters` and `recorded_filters` read it."""
    group = parser.add_argument_group("filters: programs in WebAssembly, in the order in which they are given")
    words = "a file, or one of `aperture filter list`, and its\nconfiguration in JSON; may be given again"
    group.add_argument("--filter", dest="filters", action="append", default=[], metavar="FILE[:JSON]", help=words)
    words = "what becomes of events that a filter failed at: keep\nthem (the default), drop them, or stop everything"
    group.add_argument("--filter-error", choices=("keep", "drop", "stop"), default=None, help=words)


def filters(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Chain | None:
    """The filters that are asked for, ready for a session; None for none. Wrong usage ends the program."""
    from aperture_tui.filters.opening import open_chain

    return _opened(parser, chosen, open_chain)


def recorded_filters(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Recorded | None:
    """The same, ready for what was recorded."""
    from aperture_tui.filters.opening import open_recorded

    return _opened(parser, chosen, open_recorded)


def _opened(
    parser: argparse.ArgumentParser, chosen: argparse.Namespace, opened: Callable[[Sequence[Spec]], _Filters]
) -> _Filters | None:
    if not chosen.filters:
        if chosen.filter_error:
            parser.error("--filter-error needs a --filter")
        return None
    from aperture_tui.filters.errors import FilterError
    from aperture_tui.filters.shipped import found
    from aperture_tui.filters.spec import OnError, Spec

    on_error = OnError(chosen.filter_error or "keep")
    specs = []
    try:
        for text in chosen.filters:
            name, colon, config = text.partition(":")
            specs.append(Spec(found(name), config if colon else "{}", on_error))
        return opened(specs)
    except FilterError as error:
        parser.error(f"--filter: {error}")


def settings(parser: argparse.ArgumentParser, chosen: argparse.Namespace, live: bool = False) -> Settings:
    """What is to be collected; wrong usage ends the program.

    live: screens can ask for kinds of events that are not collected from the beginning, so that no option is in vain.
    """
    from aperture_tui.collect import cgroups
    from aperture_tui.collect.settings import Settings

    try:
        directories = tuple(str(cgroups.directory(path)) for path in chosen.cgroups)
    except ValueError as error:
        parser.error(str(error))
    if len(directories) > 8:
        parser.error("at most 8 control groups can be given")
    if not live:
        _refuse_what_is_in_vain(parser, chosen)
    return Settings(
        hz=chosen.hz,
        pids=tuple(chosen.pids),
        cgroups=directories,
        events=chosen.events,
        syscalls=tuple(dict.fromkeys(chosen.syscalls)),
        syscall_stacks=chosen.syscall_stacks,
        min_block_ns=1000 * chosen.min_block,
        wait_stacks=chosen.wait_stacks,
        **({} if chosen.gpu_limit is None else {"gpu_limit": chosen.gpu_limit}),
    )


def _refuse_what_is_in_vain(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """An option for events that are not collected is a mistake, and its user would wait for nothing."""
    if "syscall" not in chosen.events and (chosen.syscalls or chosen.syscall_stacks):
        parser.error("--syscall and --syscall-stacks need syscall among --events")
    if "offcpu" not in chosen.events and chosen.min_block:
        parser.error("--min-block needs offcpu among --events")
    if not {"offcpu", "lock"}.intersection(chosen.events) and not chosen.wait_stacks:
        parser.error("--no-wait-stacks needs offcpu or lock among --events")
    if "gpu" not in chosen.events and chosen.gpu_limit is not None:
        parser.error("--gpu-limit needs gpu among --events")


def filter_words(chosen: argparse.Namespace) -> str:
    """What the kernel filters by, for the screen; "" if nothing."""
    parts = [f"pid {','.join(map(str, chosen.pids))}"] if chosen.pids else []
    parts += [f"cgroup {path}" for path in chosen.cgroups]
    parts += [f"syscall {','.join(dict.fromkeys(chosen.syscalls))}"] if chosen.syscalls else []
    return " ".join(parts)


def fail(program: str, message: object, status: int = 1) -> int:
    """One line on stderr -> exit status."""
    print(f"{program}: {clean(str(message))}", file=sys.stderr)
    return status
