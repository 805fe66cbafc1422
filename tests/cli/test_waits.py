"""`--events` from the command line to the kernel and back into every format."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from aperture_tui.cli.export import run

pytestmark = pytest.mark.bpf

PROGRAM = """
import os, threading, time
lock, (read, write) = threading.Lock(), os.pipe()
os.set_blocking(read, False)
def work():
    for _ in range(15):
        with lock:
            time.sleep(0.02)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(50):
    try: os.read(read, 1)
    except BlockingIOError: pass
for thread in threads: thread.join()
os.set_blocking(read, True)
threading.Thread(target=os.read, args=(read, 1), daemon=True).start()
time.sleep(2.5)
"""
"""Two threads that share a lock for 0.6 s, 50 reads that fail, and one that never ends."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("waits") / "x.aperture")
    command = [sys.executable, "-m", "aperture_tui.cli.main", "record", "--events", "all", "-o", path]
    done = subprocess.run(
        [*command, "--", sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return path


def exported(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(list(arguments)) == 0
    return capfd.readouterr().out


def rows(document: dict[str, Any], key: str, kind: str, name: str) -> list[dict[str, Any]]:
    return [row for row in document[key][kind] if row["name"] == name and row["process"].startswith("python")]


def test_a_recording_of_all_kinds(recording: str, capfd: pytest.CaptureFixture[str]) -> None:
    document = json.loads(exported(capfd, recording, "--format", "json"))
    assert document["collected"] == ["cpu", "syscall", "lock", "offcpu"]
    (read,) = rows(document, "latencies", "syscall", "read")
    assert read["errors"]["EAGAIN"] == 50
    assert sum(read["histogram"].values()) == read["count"]
    assert rows(document, "in_flight", "syscall", "read")[0]["maximum_ns"] > 1_000_000_000
    waited = sum(row["time_ns"] for row in document["latencies"]["lock"])
    assert 400_000_000 < waited < 30_000_000_000
    blocked = sum(row["time_ns"] for row in document["latencies"]["offcpu"])
    assert document["trees"]["offcpu"]["weight"] == blocked > 2_500_000_000


def test_every_format_of_a_recording_adds_up_to_the_same(recording: str, capfd: pytest.CaptureFixture[str]) -> None:
    document = json.loads(exported(capfd, recording, "--format", "json"))
    for kind, title in (("syscall", "Syscalls: "), ("lock", "Locks: "), ("offcpu", "Off-CPU: ")):
        total = sum(row["time_ns"] for row in document["latencies"][kind])
        lines = exported(capfd, recording, "--event", kind).splitlines()
        assert sum(int(line.rpartition(" ")[2]) for line in lines) == total > 0
        assert f"\n{title}" in exported(capfd, recording, "--event", kind, "--format", "text")
    histogram = exported(capfd, recording, "--event", "syscall", "--format", "histogram", "--name", "read")
    assert re.search(r"EAGAIN 50\b", histogram)


def test_only_what_was_asked_for_is_collected() -> None:
    """And of system calls only those that were named."""
    options = ["--once", "--duration", "1.5", "--events", "syscall", "--syscall", "read", "--format", "json"]
    command = [sys.executable, "-m", "aperture_tui.cli.top", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["collected"] == list(document["latencies"]) == ["syscall"]
    assert document["query"]["kind"] == "syscall"
    assert {row["name"].removesuffix(" (32-bit)") for row in document["latencies"]["syscall"]} <= {"read"}
