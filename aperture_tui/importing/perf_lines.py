"""The lines of `perf script`: what begins a sample, and what names one frame.

Their form is that of tools/perf/builtin-script.c and util/evsel_fprintf.c in the kernel's sources: a line
`comm pid/tid [cpu] time: period event: …`, of which any part but the comm may be missing, and frames
`<tab>address symbol+0xoffset (module)`, the innermost first.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aperture_tui.importing.modules import kind_of
from aperture_tui.importing.stacks import text_of
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame

# A comm has 15 bytes, of kernel workers up to 63. A line is a stranger's: nothing here can match in many ways.
_WHO: Final = rb" *+(?P<comm>.{0,64}?) ++(?:(?P<pid>-?\d{1,10})/)?(?P<tid>-?\d{1,10})(?: ++\[(?P<cpu>\d{1,9})\])?"
_EVENT: Final = rb"(?:(?:(?P<period>\d{1,19}) ++)?(?P<event>\S{1,300}+)(?<=:)(?=\s|$))?"

HEADER: Final = re.compile(
    # behind the CPU may stand the irq flags of a tracepoint, or -F +misc
    _WHO + rb"(?: ++[A-Za-z.]\S*+)? ++(?P<seconds>\d{1,10})\.(?P<fraction>\d{1,9}): *+" + _EVENT + rb"(?P<rest>.*)",
    re.DOTALL,
)
"""What begins a sample. event: with a colon at its end. rest: the only frame, where stacks were not recorded; the
words of a tracepoint."""

TIMELESS: Final = re.compile(_WHO + rb"(?P<seconds>)(?P<fraction>) *+" + _EVENT + rb"(?P<rest>)\s*+")
"""The same without a time."""

BARE: Final = re.compile(
    rb" {0,16}(?P<comm>\S.{0,62}?)(?P<pid>)(?P<tid>)(?P<cpu>)"
    rb"(?P<seconds>)(?P<fraction>)(?P<period>)(?P<event>)(?P<rest>) *+"
)
"""A comm alone. It looks like anything: only for files that are known to be of `perf script`."""

FRAME: Final = re.compile(rb"\s++(?P<address>[0-9a-f]{1,16})(?: (?P<rest>.*))?", re.DOTALL)
"""One frame. rest: symbol, offset and module, as far as they were asked for."""

_OFFSET: Final = re.compile(rb"\+0x[0-9a-f]{1,16}(?= \(|$)")
_NO_OFFSET: Final = b"\0"  # in its place: behind it begins the module
_SOURCE: Final = re.compile(rb"  (?P<file>\S.*):(?P<line>\d{1,9})(?: .*)?")
_INLINED: Final = "inlined"
_UNKNOWN: Final = "[unknown]"
_KERNEL_ADDRESSES: Final = b"ffff8"  # of 16 digits


class Place(NamedTuple):
    """What a line says of a frame, but for where in the function it is. A few thousand of them make a million lines."""

    text: bytes
    in_kernel: bool


class PrintedFrame(NamedTuple):
    """One frame. inlined: its module is that of the frame that it was inlined into, and is not known here."""

    frame: Frame
    inlined: bool = False


def place_of(line: bytes) -> Place | None:
    """A frame's line; None if it is none."""
    found = FRAME.fullmatch(line)
    if found is None:
        return None
    address, rest = found.groups()
    return Place(_OFFSET.sub(_NO_OFFSET, rest or b""), address >= _KERNEL_ADDRESSES and len(address) == 16)


def printed_frame(place: Place) -> PrintedFrame:
    """A frame in words."""
    function, module = _named(text_of(place.text).rstrip())
    kind = FrameKind.KERNEL if place.in_kernel else kind_of(module)
    if module == _INLINED:
        return PrintedFrame(Frame(function, kind=kind), True)
    if not module and not function and kind is not FrameKind.KERNEL:
        kind = FrameKind.UNKNOWN
    return PrintedFrame(Frame(function, module, kind=kind))


def printed_source(line: bytes) -> tuple[str, int] | None:
    """File and line, as -F +srcline puts them below a frame; None where perf knew of none."""
    found = _SOURCE.fullmatch(line)
    if found is None or found["file"] == b"??":
        return None
    return text_of(found["file"]), int(found["line"])


def _named(text: str) -> tuple[str, str]:
    """Function and module, "" for what is unknown."""
    function, offset, rest = text.rpartition("\0")
    if offset:
        module = rest[2:-1]
    elif text.startswith("(") and text.endswith(")"):  # no symbols were asked for
        function, module = "", text[1:-1]
    else:
        at = _module_at(text)
        function, module = text[:at], text[at + 2 : -1]
    module = module.removesuffix(" (deleted)")
    return "" if function == _UNKNOWN else function, "" if module == _UNKNOWN else module


def _module_at(text: str) -> int:
    """Where the module begins, with its space and bracket; at the end of the text if it has none.

    Names of functions have brackets of their own, and so have paths: a path begins with the first slash behind one.
    """
    if not text.endswith(")"):
        return len(text)
    marks = [at for mark in (" (/", " ([") if (at := text.find(mark)) >= 0]
    last = text.rfind(" (")
    return min(marks) if marks else last if last >= 0 and text.count(")", last) == 1 else len(text)
