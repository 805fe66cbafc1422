"""What an unwind table costs to make, and to read from the disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.figures import Figure
from bench.launch import FailedError
from bench.unwind import children

if TYPE_CHECKING:
    from collections.abc import Callable

_COLD, _WARM = "CPU to make an unwind table", "CPU to read an unwind table from the disk cache"
_PEAK: Final = "memory to make an unwind table, peak"
_MIB: Final = 1 << 20
BCC: Final = "libbcc.so.0"
_MAPPED: Final = f"import ctypes; ctypes.CDLL({BCC!r}); print(open('/proc/self/maps').read())"


def measure(scratch: Path, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """All figures of this part."""
    files = {"libc": _mapped("libc.so.6", "libc-"), "libpython": _libpython(), "libLLVM": libllvm()}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    why = {name: "" if file else f"there is no {name} here" for name, file in files.items()}
    remark: dict[str, str] = {}
    for n in range(rounds):
        for name, file in files.items():
            if file is None or why[name]:
                continue
            tell(f"tables, round {n + 1} of {rounds}: {file.name}")
            cache = scratch / "tables"
            try:
                cold = children.answer("made", file, cache)
                warm = children.answer("made", file, cache)
            except FailedError as error:
                why[name] = str(error)
                continue
            finally:
                shutil.rmtree(cache, ignore_errors=True)
            found[_COLD, name].append(1e3 * cold["cpu_s"])
            found[_WARM, name].append(1e3 * warm["cpu_s"])
            found[_PEAK, name].append(cold["peak_bytes"] / _MIB)
            remark[name] = (
                f"{file.name}: {cold['rows']:,} rows, {cold['bytes'] / 1e3:,.0f} KB; "
                f"{cold['rows'] / cold['cpu_s'] / 1e3:,.0f} rows a ms when made"
            )
    return [
        Figure(measure, f"aperture, {name}", unit, tuple(found[measure, name]), why=why[name] or remark.get(name, ""))
        for measure, unit in ((_COLD, "ms"), (_WARM, "ms"), (_PEAK, "MB"))
        for name in files
    ]


def _mapped(*names: str, maps: str | None = None) -> Path | None:
    """The first mapped file of such a name; of this process, unless other maps are given."""
    for line in (maps or Path("/proc/self/maps").read_text()).splitlines():
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.startswith(names) and path.exists():
            return path
    return None


def _libpython() -> Path | None:
    if mapped := _mapped("libpython"):
        return mapped
    name, folder = sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LIBDIR")
    for path in (Path(folder or "/") / (name or "libpython.so"), *_of_linker("libpython")):
        if path.is_file():
            return path
    return None


def _of_linker(prefix: str) -> list[Path]:
    """Libraries that the dynamic linker knows by such a name."""
    done = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True)
    return [Path(line.split()[-1]) for line in done.stdout.splitlines() if line.strip().startswith(prefix)]


def libllvm() -> Path | None:
    """BCC's libLLVM, out of the mappings of a process that has loaded BCC."""
    done = subprocess.run([sys.executable, "-c", _MAPPED], capture_output=True, text=True)
    return _mapped("libLLVM", maps=done.stdout) if done.returncode == 0 else None
