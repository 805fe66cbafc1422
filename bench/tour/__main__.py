"""`python -m bench.tour [PART...]`: takes the pictures of docs/tour.md anew; needs root and BPF."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from textual.pilot import Pilot

from aperture_tui.cli.arguments import prepare
from aperture_tui.cli.remote import Remote
from aperture_tui.store.remote.link import RemoteSettings
from aperture_tui.tui.app import ApertureApp
from bench.fleet import demo
from bench.tour import pictures
from bench.tour.taking import TourError, check_private, collecting, neutral, press, shown, take

ROOT: Final = Path(__file__).parents[2]
_HERE: Final = Path(__file__).parent
_HOST: Final = "shop-3"
_RECORDING: Final = ROOT / "tests" / "collect" / "gpu" / "recordings" / "recorded-mix.apgpu"
_NEWNS, _NEWCGROUP, _NEWUTS = 0x00020000, 0x02000000, 0x04000000
_REC, _PRIVATE, _BIND = 0x4000, 0x40000, 0x1000
_SHOP, _PYTHON = "/srv/shop", "/srv/python"
_LIVES_S: Final = 300
_FULL_S: Final = 32.0
"""Until the window is full."""
_TOLD_S: Final = 5.0
"""Until what an agent tells has been found and is shown."""
_FILTERS: Final = ('slow_syscalls.wasm:{"at_least_us":1000}', 'process_name.wasm:{"name":"gzip","drop":true}')


def main() -> int:
    """Exit status: 0 success, 1 failure with one line."""
    parser = argparse.ArgumentParser(prog="tour-pictures", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(pictures.ALL)} (all)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "tour", metavar="FOLDER")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(pictures.ALL):
        parser.error(f"there is no part {min(unknown)}; there is {', '.join(pictures.ALL)}")
    prepare()
    neutral()
    private = [os.uname().nodename, str(Path.home()), str(ROOT), pwd.getpwuid(os.geteuid()).pw_name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with tempfile.TemporaryDirectory(prefix="aperture-tour-", dir="/var/tmp") as folder:
            _go_apart(Path(folder))
            for part in chosen.parts or pictures.ALL:
                asyncio.run(_PARTS[part](chosen.out, private))
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"tour-pictures: {error}", file=sys.stderr)
        return 1
    return 0


def _go_apart(folder: Path) -> None:
    """In namespaces of our own: the machine has the shop's name, and the shop and its Python lie below /srv.

    folder: on a disk. Raises TourError or OSError.
    """
    if os.geteuid() != 0:
        raise TourError("needs root, for BPF and for namespaces of its own: sudo make tour-pictures")
    if shutil.which("cc") is None:
        raise TourError("needs a C compiler: apt-get install gcc")
    _call("unshare", _NEWNS | _NEWCGROUP | _NEWUTS)
    socket.sethostname(_HOST)
    _call("mount", b"none", b"/", None, _REC | _PRIVATE, None)
    _call("mount", b"none", b"/srv", b"tmpfs", 0, None)
    for source, target in ((folder, _SHOP), (Path(sys.base_prefix), _PYTHON)):
        os.mkdir(target)
        _call("mount", os.fsencode(source), target.encode(), None, _BIND, None)
    filters = (ROOT / "aperture_tui" / "filters" / "ready").glob("*.wasm")
    for file in (_HERE / "shop.py", _HERE / "ledger.c", *filters):
        shutil.copy(file, _SHOP)
    flags = ["-O2", "-fno-omit-frame-pointer", "-shared", "-fPIC", "-pthread"]
    subprocess.run(["cc", *flags, "-o", f"{_SHOP}/libledger.so", f"{_SHOP}/ledger.c"], check=True)


def _call(name: str, *arguments: object) -> None:
    """A function of the C library. Raises TourError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        raise TourError(f"needs namespaces of its own: {name}: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def _program(*command: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """One that is ended when it is not needed any more."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=_SHOP, env={**os.environ, **environ}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _shop() -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    python = f"{_PYTHON}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return _program(python, "shop.py", f"{_SHOP}/libledger.so", str(_LIVES_S), LD_LIBRARY_PATH=f"{_PYTHON}/lib")


async def _tour(
    pilot: Pilot[Any], part: str, out: Path, private: list[str], sale: subprocess.Popen[bytes] | None = None
) -> None:
    """All pictures of a part, one after the other."""
    for picture in pictures.ALL[part]:
        await press(pilot, picture.before)
        if picture.sale and sale is not None:
            sale.send_signal(signal.SIGUSR1)
        svg = await take(pilot, picture, _HOST)
        try:
            check_private(svg, private)
        except TourError as error:
            raise TourError(f"{picture.name} is not written: {error}") from error
        print(f"tour-pictures: {picture.name}, {_written(svg, out / f'{picture.name}.svg') / 1000:.0f} kB", flush=True)


def _written(svg: str, file: Path) -> int:
    """Write it, as its folder's owner would -> bytes."""
    data = svg.encode()
    file.write_bytes(data)
    os.chown(file, file.parent.stat().st_uid, file.parent.stat().st_gid)
    return len(data)


async def _of_shop(out: Path, private: list[str]) -> None:
    with _shop() as shop:
        events = ["--events", "cpu,offcpu,syscall,lock"]
        async with collecting(["-p", str(shop.pid), "-F", "199", *events], _HOST) as pilot:
            await asyncio.sleep(_FULL_S)
            await _tour(pilot, "shop", out, private, shop)


async def _of_filters(out: Path, private: list[str]) -> None:
    with _shop() as shop:
        filters = [word for one in _FILTERS for word in ("--filter", f"{_SHOP}/{one}")]
        arguments = ["-p", str(shop.pid), "--events", "cpu,syscall", *filters]
        async with collecting(arguments, _HOST) as pilot:
            await _tour(pilot, "filters", out, private)


async def _of_gpu(out: Path, private: list[str]) -> None:
    agent_of = ("-m", "bench.tour.gpu_agent", str(_RECORDING), str(_LIVES_S))
    with _program(sys.executable, *agent_of, PYTHONPATH=str(ROOT)) as agent:
        async with collecting(["-p", str(agent.pid), "--events", "gpu"], _HOST) as pilot:
            await asyncio.sleep(_TOLD_S)
            await _tour(pilot, "gpu", out, private)


async def _of_fleet(out: Path, private: list[str]) -> None:
    folder = Path(_SHOP) / "fleet"
    folder.mkdir()
    with demo.fleet(folder) as address:
        remote = Remote(RemoteSettings(address, "", tls=False), None)
        try:
            async with shown(ApertureApp(remote.connect, remote=remote)) as pilot:
                await _tour(pilot, "fleet", out, private)
        finally:
            remote.close()


_PARTS: Final = {"shop": _of_shop, "filters": _of_filters, "gpu": _of_gpu, "fleet": _of_fleet}


if __name__ == "__main__":
    sys.exit(main())
