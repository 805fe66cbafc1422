"""JVMs to look into: those of this machine, of `setup/java.sh`, and what APERTURE_TEST_JAVAS names (with colons)."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aperture_tui.symbolize.address_space import executable_mappings
from aperture_tui.symbolize.hotspot import BlobKind, HotSpot, HotSpotError
from aperture_tui.symbolize.process_memory import ProcessMemory, read

PROGRAM = Path(__file__).parent / "programs" / "Known.java"
ROOT = Path(__file__).parents[3]
PLACES = (str(ROOT / ".venv/java/*/bin/java"), "/usr/lib/jvm/*/bin/java")
MODES = {
    "interpreted": ["-Xint"],
    "mixed": [],
    "compiled": ["-Xcomp"],
}
INLINED = ("inline,Known.leaf", "inline,Known.middle", "dontinline,Known.outer", "dontinline,Known.recursive")
ADDED = re.compile(r"[/+](0x[0-9a-f]+|\d+)(?=\.)")
"""What the VM writes behind the name of a hidden class."""


def javas() -> list[str]:
    """Programs of HotSpot: those that are named, and one of each version that is found."""
    named = [path for path in os.environ.get("APERTURE_TEST_JAVAS", "").split(":") if path]
    paths = [path for place in PLACES for path in sorted(glob.glob(place)) if notes_of(path).exists()]
    found = {version(path): path for path in paths}
    return named + [found[number] for number in sorted(found)]


def notes_of(java: str) -> Path:
    """What a JDK says of itself."""
    return Path(os.path.realpath(java)).parents[1] / "release"


@functools.cache
def version(java: str) -> int:
    """Of a program of HotSpot, as the notes beside it say: 17."""
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', notes_of(java).read_text(), re.M)
    assert found is not None, java
    return int(found[1])


def _label(java: str | None) -> str:
    return str(version(java)) if java else "none"


@pytest.fixture(params=javas() or [None], ids=_label, scope="session")
def java(request: pytest.FixtureRequest) -> str:
    """One JVM of the machine."""
    if request.param is None:
        pytest.skip("no java in .venv/java (make test) or /usr/lib/jvm, and none in APERTURE_TEST_JAVAS")
    return str(request.param)


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled program."""
    if shutil.which("javac") is None:
        pytest.skip("javac is not installed (default-jdk-headless)")
    out = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "--release", "11", "-encoding", "UTF-8", "-d", out, PROGRAM], check=True)
    return out


@dataclass
class Running:
    """A JVM that runs the program: it stands still, and goes on where it is told to."""

    process: subprocess.Popen[bytes]
    java: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def open(self) -> HotSpot:
        hotspot = HotSpot.open(self.pid, executable_mappings(self.pid))
        assert hotspot is not None
        return hotspot

    def tell(self, word: str) -> str:
        """Say a word to the program, and hear its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def ask(self, *command: str) -> str:
        """What the VM says to a command of jcmd."""
        if shutil.which("jcmd") is None:
            pytest.skip("jcmd is not installed (default-jdk-headless)")
        done = subprocess.run(["jcmd", str(self.pid), *command], capture_output=True, check=True, timeout=60)
        return text_of(done.stdout)


def text_of(data: bytes) -> str:
    """Text as the VM writes it: surrogates as three bytes each."""
    text = data.decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def start(java: str, classes: Path, options: Sequence[str] = (), rounds: int = 20_000) -> subprocess.Popen[bytes]:
    """The program, as soon as it begins."""
    chosen = [f"-XX:CompileCommand={rule}" for rule in ("quiet", *INLINED)]
    command = [java, "-Xmx128m", "-XX:+UseSerialGC", *chosen, *options, "-cp", str(classes), "Known", str(rounds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.fixture(params=MODES, scope="session")
def running(request: pytest.FixtureRequest, java: str, classes: Path) -> Iterator[Running]:
    """A JVM of each sort that stands still."""
    process = start(java, classes, MODES[request.param])
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Running(process, java)
    finally:
        process.kill()
        process.communicate()


class Stack:
    """The stack of a thread that waits in a native method, walked.

    By the sizes of frames in the code cache, and by rbp in the interpreter, whose frames have below it the sender's
    stack pointer, two words on the Method (src/hotspot/cpu/x86/frame_x86.hpp).
    """

    def __init__(self, running: Running, thread: str, hotspot: HotSpot) -> None:
        tasks = Path(f"/proc/{running.pid}/task").iterdir()
        task = next(task for task in tasks if (task / "comm").read_text().strip() == thread)
        self._memory = ProcessMemory(running.pid, HotSpotError)
        self._hotspot = hotspot
        self._pointer = int((task / "syscall").read_text().split()[-2], 16)

    def functions(self) -> list[str]:
        """Innermost first, from the native method to where C++ called Java."""
        for at in range(self._pointer, self._pointer + (64 << 10), 8):
            pc, base = self._word(at), self._word(at - 8)
            kind = self._kind(pc)
            if kind is BlobKind.NATIVE and (found := self._walk(pc, at + 8, base)):
                return found  # it may be what was left of a call that is over: then it leads nowhere
            if kind in (BlobKind.COMPILED, BlobKind.INTERPRETER) and at < self._word(at - 16) < at + 4096:
                inner = self._interpreted(at - 8)
                if inner and (found := self._walk(pc, self._word(at - 16), base)):
                    return [inner, *found]
        raise AssertionError("no frame of Java")

    def _walk(self, pc: int, stack: int, base: int) -> list[str]:
        """The functions from a return address on; none if they do not end where they should."""
        blobs, out = self._hotspot.blobs, []
        while (kind := self._kind(pc)) is not BlobKind.ROUTINES:
            if kind is BlobKind.INTERPRETER:
                out.append(self._interpreted(base))
                pc, stack, base = self._word(base + 8), self._word(base - 8), self._word(base)
            elif kind in (BlobKind.COMPILED, BlobKind.NATIVE):
                row = int(blobs.find(np.array([pc - 1], np.uint64))[0])
                frames = self._hotspot.frames(np.array([pc], np.uint64), np.array([True]))[0]
                out.extend(frame.function for frame in frames or ())
                end = stack + int(blobs.frame_size[row])
                pc, base, stack = self._word(end - 8), self._word(end - 16), end
            else:
                return []
        return out

    def _kind(self, pc: int) -> BlobKind | None:
        row = int(self._hotspot.blobs.find(np.array([(pc - 1) % 2**64], np.uint64))[0])
        return BlobKind(int(self._hotspot.blobs.kind[row])) if row >= 0 else None

    def _interpreted(self, base: int) -> str:
        found = self._hotspot.methods(np.array([self._word(base - 24)], np.uint64))[0]
        return found.function if found else ""

    def _word(self, address: int) -> int:
        return int.from_bytes(read(self._memory, address, 8) or b"", "little")
