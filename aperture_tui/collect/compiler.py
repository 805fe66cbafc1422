"""BPF source to object code: by the compiling child, or from the cache of what it made before.

The cache is keyed by everything that the bytecode depends on: kernel release, architecture, source, defines, and
the version of this format. Its folder belongs to this user alone, and a file is believed only if its digest fits;
anything else is ignored, counted and made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aperture_tui import resources
from aperture_tui.collect.machine import Machine, install_command
from aperture_tui.collect.object_code import ObjectCode, ObjectCodeError
from aperture_tui.symbolize.confined import Patience
from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FORMAT: Final = 2
_CACHE_BYTES: Final = 16 << 20  # of all files; one has 2 to 20 KB
_PATIENCE_S: Final = 60
_LOOK_S: Final = 1.0
_INCLUDE: Final = re.compile(r'^#include "([a-z_]+\.h)"$', re.MULTILINE)


class CompileError(RuntimeError):
    """One clear line: what went wrong, and the command that mends it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One program file: `name` of bpf/NAME.bpf.c, its functions with their program types, and its -D defines.

    tracepoint: that of functions of type bpf.PROG_TRACING.
    """

    name: str
    programs: Mapping[str, int]
    defines: Mapping[str, int] = field(default_factory=dict)
    tracepoint: str = ""

    def text(self) -> str:
        """The C source, with what it includes of bpf/ put in: the key of the cache has to see all of it."""
        folder = resources.folder("bpf")

        def whole(name: str) -> str:
            return _INCLUDE.sub(lambda found: whole(found[1]), (folder / name).read_text())

        return whole(f"{self.name}.bpf.c")


@dataclass(slots=True)
class CacheCounts:
    """What became of the cache in this process."""

    hits: int = 0
    compiled: int = 0
    rejected: int = 0
    """Files that were there and could not be believed."""
    unwritable: int = 0


counts = CacheCounts()
_lock = threading.Lock()


def object_code(source: Source, cache: Path | None = None) -> ObjectCode:
    """The object code of a source. cache: a folder, by default this user's. Raises CompileError."""
    return object_codes([source], cache)[0]


def object_codes(sources: Sequence[Source], cache: Path | None = None) -> list[ObjectCode]:
    """The object code of each source; what the cache lacks is compiled by one child. Raises CompileError."""
    release = platform.release()
    texts = [source.text() for source in sources]
    folder = PrivateFolder(cache or cache_folder("bpf"), _CACHE_BYTES)
    names = [f"{source.name}-{_key(source, text, release)}.json" for source, text in zip(sources, texts, strict=True)]
    with _lock:
        codes = [_read(folder, name) for name in names]
        missing = [i for i, code in enumerate(codes) if code is None]
        counts.hits += len(sources) - len(missing)
        if missing:
            made = _compile([(sources[i], texts[i]) for i in missing], release)
            counts.compiled += len(made)
            for i, code in zip(missing, made, strict=True):
                codes[i] = code
                _write(folder, names[i], code)
    return [code for code in codes if code is not None]


def _key(source: Source, text: str, release: str) -> str:
    parts = [
        _FORMAT,
        release,
        platform.machine(),
        text,
        sorted(source.programs.items()),
        sorted(source.defines.items()),
        source.tracepoint,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _read(folder: PrivateFolder, name: str) -> ObjectCode | None:
    try:
        text = folder.read(name)
        if text is None:
            return None
        data = json.loads(text)
        if data["digest"] != _digest(data["object"]):
            raise ObjectCodeError("the digest does not fit")
        return ObjectCode.from_json(data["object"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        counts.rejected += 1
        return None


def _write(folder: PrivateFolder, name: str, code: ObjectCode) -> None:
    body = code.as_json()
    try:
        folder.write(name, json.dumps({"digest": _digest(body), "object": body}).encode())
    except OSError:
        counts.unwritable += 1


def _compile(sources: Sequence[tuple[Source, str]], release: str) -> list[ObjectCode]:
    """Each source, with its text, by one child: to start Python and LLVM takes as long as to compile."""
    version = version_code(release)
    request = [
        {
            "source": text,
            "defines": {**source.defines, "LINUX_VERSION_CODE": version},
            "programs": dict(source.programs),
            "tracepoint": source.tracepoint,
        }
        for source, text in sources
    ]
    status, out, words = _asked(json.dumps(request).encode())
    try:
        answer = json.loads(out)
    except ValueError:
        answer = {"error": f"it ended with status {status}"}
    if "objects" not in answer:
        name = sources[int(answer.get("at", 0))][0].name
        raise CompileError(_complaint(name, str(answer.get("error")), words.decode("utf-8", "replace")))
    return [ObjectCode.from_json(data) for data in answer["objects"]]


def _asked(request: bytes) -> tuple[int, bytes, bytes]:
    """Run the child -> its status, what it answered, what it said beside that. Raises CompileError."""
    # -P: nothing is imported from the current folder
    command = [sys.executable, "-P", "-m", "aperture_tui.collect.bcc_child"]
    tree = str(resources.folder("bpf") / "include")
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "BCC_KERNEL_SOURCE": tree}
        )
    except OSError as error:
        raise CompileError(f"the BPF compiler could not be run: {error}") from error
    left: bytes | None = request
    with child:
        patience = Patience(child.pid, _PATIENCE_S)
        while not patience.is_over():
            try:
                out, words = child.communicate(left, _LOOK_S)
            except subprocess.TimeoutExpired:
                left = None  # it goes on with what it was given
            else:
                return child.returncode, out, words
        child.kill()
    raise CompileError(f"the BPF compiler gets nowhere: it was given up after {_PATIENCE_S} s")


def _complaint(name: str, error: str, words: str) -> str:
    """The one line that helps: a missing bcc, a refusal of the kernel, or the compiler's first error."""
    if "ModuleNotFoundError" in error or "libbcc" in error:
        return f"BCC is not installed: {install_command(Machine(), 'bcc')}"
    if "Operation not permitted" in words or "could not open bpf map" in words:
        return "the kernel refuses BPF maps: run with sudo; `aperture doctor` says what is missing"
    first = next((line.strip() for line in words.splitlines() if "error:" in line), "")
    return f"bpf/{name}.bpf.c does not compile: {first or error}"


def kernel_version() -> int:
    """KERNEL_VERSION of the running kernel; 0 if its release is like none."""
    return version_code(platform.release())


def version_code(release: str) -> int:
    """KERNEL_VERSION of a release like 6.1.0-21-amd64; 0 if it is like none."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if found is None:
        return 0
    major, minor, patch = (int(part or 0) for part in found.groups())
    return (major << 16) + (minor << 8) + min(patch, 255)
