"""`aperture gpu`: the GPUs of this machine, and commands that tell what they have them do."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, environment_of_others, fail

if TYPE_CHECKING:
    from aperture_tui.profile.gpu import GpuSample

_PROGRAM: Final = "aperture gpu"
_WHAT: Final = ("devices", "run", "environment")
_EXAMPLES: Final = """\
examples:
  aperture gpu devices                        the GPUs of this machine, with their gauges
  aperture gpu devices --format json | jq '.[0].memory_used_bytes'
  aperture gpu run -- python train.py         then, while it runs: aperture-top --once --events gpu
  aperture gpu run -- torchrun --nproc-per-node 8 train.py
  aperture gpu environment                    the same for a service: lines for its EnvironmentFile=

Until somebody looks, a command that was started so does nothing but listen. docs/gpu.md has more. Without a driver
`devices` is one line, and exit status 1.
"""
_BETWEEN_S: Final = 0.5
"""Between two readings: what counts over time, as GPM does, has to have some."""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage; `run` becomes the command."""
    parser = _parser()
    own, command = _split(argv)
    chosen = parser.parse_args(own)
    if chosen.command is not None or (chosen.what == "run") != bool(command):
        parser.error("run needs a COMMAND after --" if chosen.what == "run" else f"{chosen.what} takes no COMMAND")
    if chosen.what != "devices" and chosen.format:
        parser.error("--format is for devices")
    if chosen.what == "devices":
        if chosen.python_callbacks:
            parser.error("--python-callbacks is for run and environment")
        return _devices(chosen.format or "text")
    return _agent(command, chosen.python_callbacks)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "GPUs: their gauges, and commands whose kernels and copies are to be seen.", _EXAMPLES)
    words = "devices: which there are, and what they do; run: a\ncommand that tells; environment: for a service"
    parser.add_argument("what", choices=_WHAT, metavar="|".join(_WHAT), help=words)
    parser.add_argument("--format", choices=("text", "json"), default=None, help="of devices (text)")
    words = "of run: callbacks in Python, where there is no C\ncompiler; a program that launches from several threads\n"
    words += "can hang by them"
    parser.add_argument("--python-callbacks", action="store_true", help=words)
    parser.add_argument("command", nargs="?", metavar="-- COMMAND", help="of run")
    return parser


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """What is before the first -- and behind it: a command's options are its own."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def _devices(form: str) -> int:
    import time

    from aperture_tui.cli.output import width, write
    from aperture_tui.collect.gpu.device import GpuError, opened
    from aperture_tui.export.gpus import text

    try:
        devices = opened()
    except GpuError as error:
        return fail(f"{_PROGRAM} devices", f"no GPU: {error}")
    devices.read()
    time.sleep(_BETWEEN_S)
    samples: list[GpuSample] = devices.read()
    devices.close()
    out = json.dumps([sample.as_json() for sample in samples], indent=2) + "\n"
    return write(_PROGRAM, (out if form == "json" else text(samples, width(None))).encode(), None)


def _agent(command: list[str], in_python: bool) -> int:
    """Become the command; of none, print the variables."""
    from aperture_tui.collect.gpu.environment import PYTHON, CallbacksError, callbacks, environment

    before = environment_of_others()
    try:
        added = environment(PYTHON if in_python else callbacks(), before)
    except CallbacksError as error:
        return fail(_PROGRAM, error)
    if not command:
        for name, value in added.items():
            print(f"{name}={shlex.quote(value)}")
        return 0
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, {**before, **added})  # noqa: S606 - the command is the user's own
    except OSError as error:
        return fail(f"{_PROGRAM} run", f"{command[0]}: {error.strerror}")
