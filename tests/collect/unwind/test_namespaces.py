"""Programs whose file is not where its path says: in another mount namespace, another pid namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.profile.kinds import STOP_SHIFT, Flag, Stop
from tests.collect.collecting import collecting
from tests.programs import build

pytestmark = pytest.mark.bpf


@pytest.mark.parametrize("options", [["--mount"], ["--mount", "--pid", "--fork", "--mount-proc"]])
def test_a_program_in_a_namespace_of_its_own_is_unwound(options: list[str], tmp_path: Path) -> None:
    allowed = subprocess.run(["unshare", *options, "true"], capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"unshare {' '.join(options)} is not allowed here: {allowed.stderr.strip()}")
    program = build("burn", "-O2", "-fomit-frame-pointer")
    name = f"hidden{os.getpid() % 1000}"
    hide = f"mount -t tmpfs none {tmp_path} && cp {program} {tmp_path}/{name} && exec {tmp_path}/{name} 2.5 1 20"
    with collecting() as kept:
        subprocess.run(["unshare", *options, "sh", "-c", hide], stdout=subprocess.DEVNULL, check=True, timeout=60)
    assert not (tmp_path / name).exists()
    symbols = kept.batches[-1].symbols
    rows = [row for row, p in enumerate(symbols.processes["name"]) if symbols.strings[p] == name]
    events = kept.events()
    events = events[np.isin(events["process"], rows)]
    is_whole = (events["flags"] & Flag.WHOLE) > 0
    too_early = events["time_ns"][events["flags"] >> STOP_SHIFT & 0xF == Stop.NO_TABLES]
    begun = int(too_early.max(initial=0))  # until then its tables are made, which takes what others leave
    late = events["time_ns"] > begun
    assert np.count_nonzero(late) > 200
    assert np.mean(is_whole[late]) > 0.99
    (pid,) = set(events["pid"].tolist())
    stacks = kept.stacks(pid, begun)
    (usual,) = {s for s, n in stacks.most_common(1)}
    assert usual[-1] == "leaf"
    assert usual.count("descend") >= 20
    assert usual.index("start_thread") < usual.index("run") < usual.index("descend")
