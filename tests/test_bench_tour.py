"""What the pictures of the tour are taken of, and what must not be in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from bench.gpu import asking
from bench.tour.gpu_agent import said
from bench.tour.taking import TourError, check_private, rows

ROOT: Final = Path(__file__).parents[1]
SHOP: Final = ROOT / "bench" / "tour"
RECORDING: Final = ROOT / "tests" / "collect" / "gpu" / "recordings" / "recorded-mix.apgpu"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_shop_ends_by_itself_and_leaves_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "libledger.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-pthread", "-o", ledger, SHOP / "ledger.c"], check=True)
    done = subprocess.run(
        [sys.executable, SHOP / "shop.py", ledger, "0.2"], cwd=tmp_path, capture_output=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == [ledger]


def test_an_agent_says_again_what_was_recorded_as_if_it_were_at_another_time() -> None:
    data = RECORDING.read_bytes()
    recorded, again = asking.replayed(data)[1], asking.Answers()
    again.take(b"".join(said(data, 10**18)))
    assert again.hello == {**recorded.hello, "clock_ns": [10**18, recorded.hello["clock_ns"][1]]}
    for layout in (wire.DEVICES, wire.KERNELS, wire.COPIES, wire.CALLS, wire.SYNCS):
        assert again.of(layout).tobytes() == recorded.of(layout).tobytes()
    assert len(again.of(wire.KERNELS))


PICTURE: Final = """
<text class="r1" x="24.4" y="40" textLength="9">/srv</text><text class="r1" x="0" y="20">a&#160;&lt;b&gt;</text>
<text class="r2" x="97.6" y="20" clip-path="url(#line-1)">build-7</text>
"""


def test_a_picture_is_read_row_by_row() -> None:
    assert rows(PICTURE) == ["a <b>   build-7", "  /srv"]


def test_a_picture_with_the_name_of_the_machine_is_not_kept() -> None:
    check_private(PICTURE, ["uild-7", "/home/me", "/", "vm"])
    with pytest.raises(TourError, match="build-7"):
        check_private(PICTURE, ["build-7"])
