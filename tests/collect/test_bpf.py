from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from aperture_tui.collect import bpf
from aperture_tui.collect.object_code import MapSpec


@pytest.mark.parametrize(("text", "cpus"), [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0-1,4,6-7", [0, 1, 4, 6, 7])])
def test_cpu_lists(text: str, cpus: list[int]) -> None:
    assert bpf.cpu_list(text) == cpus


def test_a_refusal_names_the_command_that_mends_it() -> None:
    assert "aperture doctor" in bpf.explain(OSError(errno.EPERM, "Operation not permitted"))
    assert "\n" not in bpf.explain(OSError(errno.EINVAL, "Invalid argument"))


@pytest.mark.bpf
@pytest.mark.parametrize("cpus", [None, "per CPU"])
def test_a_hash_is_drained_whole_and_is_empty_afterwards(cpus: str | None) -> None:
    n = 3000
    width = bpf.possible_cpus() if cpus else 1
    fd = bpf.create_map(MapSpec("h", 5 if cpus else 1, 8, 8, 8192, 0))
    try:
        for i in range(n):
            bpf.update(fd, i.to_bytes(8, "little"), np.full(width, i, np.uint64).tobytes())
        keys = np.zeros(8192, np.uint64)
        values = np.zeros((8192, width), np.uint64)
        assert bpf.drain_hash(fd, keys, values) == n
        order = np.argsort(keys[:n])
        assert (keys[:n][order] == np.arange(n)).all()
        assert (values[:n][order] == np.arange(n)[:, None]).all()
        assert bpf.drain_hash(fd, keys, values) == 0
        assert bpf.lookup(fd, bytes(8), 8 * width) is None
    finally:
        os.close(fd)


@pytest.mark.bpf
def test_what_does_not_fit_stays_for_the_next_drain() -> None:
    fd = bpf.create_map(MapSpec("h", 1, 8, 8, 1024, 0))
    try:
        for i in range(1000):
            bpf.update(fd, i.to_bytes(8, "little"), i.to_bytes(8, "little"))
        seen: set[int] = set()
        keys, values = np.zeros(300, np.uint64), np.zeros(300, np.uint64)
        for _ in range(20):
            n = bpf.drain_hash(fd, keys, values)
            seen.update(keys[:n].tolist())
        assert seen == set(range(1000))
    finally:
        os.close(fd)


@pytest.mark.bpf
def test_a_program_that_the_verifier_refuses_says_why() -> None:
    exit_without_a_result = bytes([0x95, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(OSError, match=r"'bad' was refused.*R0") as caught:
        bpf.load_program("bad", bpf.PROG_PERF_EVENT, exit_without_a_result)
    assert "\n" not in str(caught.value)
