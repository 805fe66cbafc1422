"""The sequences that reach a terminal's clipboard; what real multiplexers make of them is in tests/cli."""

from __future__ import annotations

import base64
import re

import pytest

from aperture_tui.tui.taking.clipboard import MOST_BASE64, MOST_BYTES, Between, between, capped, sequence


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Between.NOTHING),
        ({"TERM": "xterm-256color"}, Between.NOTHING),
        ({"TERM": "tmux-256color"}, Between.TMUX),
        ({"TERM": "screen-256color", "TMUX": "/tmp/tmux-0/default,1,0"}, Between.TMUX),  # noqa: S108
        ({"TERM": "screen-256color"}, Between.EITHER),
        ({"TERM": "screen.xterm-256color", "STY": "1.pts"}, Between.SCREEN),
        ({"TERM": "xterm", "STY": "1.pts", "TMUX": "of the outer one"}, Between.SCREEN),
    ],
)
def test_what_stands_between(environ: dict[str, str], expected: Between) -> None:
    assert between(environ) is expected


def test_a_terminal_of_its_own() -> None:
    assert sequence(b"main", Between.NOTHING) == "\x1b]52;c;bWFpbg==\x07"


def test_tmux_gets_it_both_ways() -> None:
    assert sequence(b"main", Between.TMUX) == (
        "\x1b]52;c;bWFpbg==\x07" + "\x1bPtmux;\x1b\x1b]52;c;bWFpbg==\x07\x1b\\"
    )  # fmt: skip


def test_screen_gets_it_in_pieces_that_it_has_room_for() -> None:
    data = bytes(range(256)) * 40
    parts = re.findall("\x1bP(.*?)\x1b\\\\", sequence(data, Between.SCREEN), re.DOTALL)
    assert max(map(len, parts)) < 256
    whole = "".join(parts)
    assert whole.startswith("\x1b]52;c;")
    assert whole.endswith("\x07")
    assert base64.b64decode(whole[7:-1]) == data


def test_where_it_may_be_either_it_is_in_one_piece() -> None:
    assert sequence(b"main", Between.EITHER) == "\x1bP\x1b]52;c;bWFpbg==\x07\x1b\\"


def test_no_more_than_terminals_take_and_no_half_characters() -> None:
    assert not capped("x" * MOST_BYTES).is_cut
    assert len(base64.b64encode(capped("x" * MOST_BYTES).data)) <= MOST_BASE64
    cut = capped("x" + "€" * MOST_BYTES)
    assert cut.is_cut
    assert cut.whole == 1 + 3 * MOST_BYTES
    assert MOST_BYTES - 3 < len(cut.data) <= MOST_BYTES
    assert set(cut.data.decode()) == {"x", "€"}
