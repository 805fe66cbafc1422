"""`aperture gpu`: the GPUs of this machine, and a command whose kernels and copies are to be seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aperture_tui.cli.arguments import Parser, fail

if TYPE_CHECKING:
    from aperture_tui.profile.gpu import GpuSample

_PROGRAM: Final = "aperture gpu"
_EXAMPLES: Final = """\
examples:
  aperture gpu devices                        the GPUs of this machine, with their gauges
  aperture gpu devices --format json | jq '.[0].memory_used_bytes'

docs/gpu.md has more. Without a driver there is one line, and exit status 1.
"""
_BETWEEN_S: Final = 0.5
"""Between two readings: what counts over time, as GPM does, has to have some."""


def run(argv: list[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = Parser(_PROGRAM, "NVIDIA's and AMD's GPUs.", _EXAMPLES)
    parser.add_argument("what", choices=("devices",), help="devices: which there are, and what they do")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the answer (text)")
    chosen = parser.parse_args(argv)
    return _devices(chosen.format)


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
