"""Command lines: one line for a mistake, and the options that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from aperture_tui.collect.settings import Settings

MAX_HZ: Final = 9999
EVENTS: Final = ("cpu",)
"""The kinds of events that can be collected now."""


_NUMPY_THREADS: Final = "OPENBLAS_NUM_THREADS"


def prepare() -> None:
    """Before numpy is imported: no pool of threads, which we do not use and which costs a core and memory at start."""
    os.environ.setdefault(_NUMPY_THREADS, "1")


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

    def error(self, message: str) -> NoReturn:
        """Wrong usage: status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


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


def process(text: str) -> int:
    """The pid of a process that exists."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pid")
    if not os.path.exists(f"/proc/{int(text)}"):
        raise argparse.ArgumentTypeError(f"there is no process {int(text)}")
    return int(text)


def events(text: str) -> tuple[str, ...]:
    """Kinds of events, separated by commas."""
    chosen = tuple(text.split(","))
    for name in chosen:
        if name not in EVENTS:
            raise argparse.ArgumentTypeError(f"{name!r} is not collected; there is: {', '.join(EVENTS)}")
    return chosen


def add_collecting(parser: argparse.ArgumentParser) -> None:
    """What is collected: `-F`, `-p`, `--cgroup`, `--events`."""
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
    group.add_argument("--events", type=events, default=("cpu",), metavar="LIST", help="kinds of events (cpu)")


def settings(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Settings:
    """The collector's settings; wrong usage ends the program."""
    from aperture_tui.collect import cgroups
    from aperture_tui.collect.settings import Settings

    try:
        directories = tuple(str(cgroups.directory(path)) for path in chosen.cgroups)
    except ValueError as error:
        parser.error(str(error))
    if len(directories) > 8:
        parser.error("at most 8 control groups can be given")
    return Settings(chosen.hz, tuple(chosen.pids), directories)


def filter_words(chosen: argparse.Namespace) -> str:
    """What the kernel filters by, for the screen; "" if nothing."""
    parts = [f"pid {','.join(map(str, chosen.pids))}"] if chosen.pids else []
    parts += [f"cgroup {path}" for path in chosen.cgroups]
    return " ".join(parts)


def fail(program: str, message: object) -> int:
    """One line on stderr -> exit status 1."""
    print(f"{program}: {message}", file=sys.stderr)
    return 1
