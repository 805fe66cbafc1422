"""The terminal's clipboard: OSC 52, which reaches it over SSH, and through what multiplexes terminals. Pure.

The sequence is `ESC ] 52 ; c ; BASE64 BEL` (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, "Manipulate
Selection Data"). What stands between us and the terminal:

- tmux takes it for a buffer of its own, and hands it on, where `set-clipboard` is on. Where it is external, as in tmux
  without a configuration, it passes nothing on; but where `allow-passthrough` is on it hands on what is wrapped in
  `ESC P tmux; … ESC \\`, with each ESC in it doubled. Both are written: at most one more buffer has the same text.
- screen hands on what is wrapped in `ESC P … ESC \\`, in pieces of limited length (4.9.0: 768 bytes); what is
  longer, and what is not wrapped, it writes on the screen as text.
- Where TERM alone says screen, over SSH or sudo, it is most often a tmux. That reads the wrapping of screen as the
  plain sequence, but of pieces takes the first for all: it is sent in one. A screen then takes what is short.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

MOST_BASE64: Final = 74_994
"""Characters of base64: of more, the sequence is above 75,000 bytes, which terminals and other tools take for too long
(https://github.com/derailed/k9s and hterm's osc52.sh alike)."""
MOST_BYTES: Final = MOST_BASE64 // 4 * 3
_PIECE: Final = 240
"""Bytes that screen takes in one string, at least: 256 in its older versions."""


class Between(enum.Enum):
    """What stands between us and the terminal."""

    NOTHING = "nothing"
    TMUX = "tmux"
    SCREEN = "screen"
    EITHER = "tmux or screen"
    """What calls itself screen."""


class Capped(NamedTuple):
    """What of a text is sent. data: UTF-8. whole: bytes of all of it."""

    data: bytes
    whole: int

    @property
    def is_cut(self) -> bool:
        """Whether that is less than all."""
        return len(self.data) < self.whole


def capped(text: str) -> Capped:
    """As much of a text as terminals take; no character is cut in two."""
    data = text.encode("utf-8", "replace")
    return Capped(data[:MOST_BYTES].decode("utf-8", "ignore").encode(), len(data))


def between(environ: Mapping[str, str]) -> Between:
    """What stands between. Over SSH or sudo TERM alone tells of it."""
    term = environ.get("TERM", "")
    if environ.get("STY"):
        return Between.SCREEN
    if environ.get("TMUX") or term.startswith("tmux"):
        return Between.TMUX
    return Between.EITHER if term.startswith("screen") else Between.NOTHING


def sequence(data: bytes, through: Between) -> str:
    """What to write to the terminal. data: at most MOST_BYTES."""
    plain = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    if through is Between.TMUX:
        doubled = plain.replace("\x1b", "\x1b\x1b")
        return f"{plain}\x1bPtmux;{doubled}\x1b\\"
    if through is Between.EITHER:
        return f"\x1bP{plain}\x1b\\"
    if through is Between.SCREEN:
        return "".join(f"\x1bP{plain[i : i + _PIECE]}\x1b\\" for i in range(0, len(plain), _PIECE))
    return plain
