"""`aperture-top --web`: what it says, what it refuses, and its pages over a recording, this machine, an aggregator."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from aperture_tui.cli.web import Address, address
from tests.cli.test_replay import recording
from tests.tui.web.serving import Screen

pytest.importorskip("textual_serve", reason="no textual-serve: pip install 'aperture-tui[web]'")

__all__ = ["recording"]

_TOP = [sys.executable, "-m", "aperture_tui.cli.top"]
_ADDRESS = re.compile(r"http://([^/]+)/\?token=([\w-]{43})\n")


def _run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_TOP, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, env=env, check=False
    )


# -- what is said of it


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("8000", Address("127.0.0.1", 8000)),
        (":8000", Address("127.0.0.1", 8000)),
        ("10.1.2.3", Address("10.1.2.3", 8421)),
        ("build-7:80", Address("build-7", 80)),
        ("[::1]:8000", Address("::1", 8000)),
        ("0", Address("127.0.0.1", 0)),
    ],
)
def test_addresses(text: str, where: Address) -> None:
    """A port, a host, or both."""
    assert address(text) == where


@pytest.mark.parametrize("text", ["", "a b", "host:", "host:99999", "99999", "[::1", "http://host"])
def test_what_is_no_address(text: str) -> None:
    """Said as wrong usage."""
    done = _run("--web", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no address: give HOST:PORT" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--once",), ("--tag", "slow"), ("--by", "tag"), ("--theme", "none")])
def test_what_does_not_go_with_it(arguments: tuple[str, ...]) -> None:
    """As of the screens."""
    done = _run("--web", "0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken() -> None:
    """Found before anything is collected."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("--web", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    words = f"aperture-top: cannot listen at 127.0.0.1:{port}: address already in use: choose another with --web"
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


def test_an_address_that_is_not_here() -> None:
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    done = _run("--web", "192.0.2.1:8000")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot listen at 192.0.2.1:8000: cannot assign requested address" in done.stderr


@pytest.mark.parametrize("package", ["aiohttp", "textual_serve"])
def test_without_the_extra(package: str, tmp_path: Path) -> None:
    """The command that mends it."""
    missing = f"raise ModuleNotFoundError('there is none', name={package!r})\n"
    (tmp_path / f"{package}.py").write_text(missing)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", ""), os.getcwd()]))
    done = _run("--web", "0", env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"aperture-top: --web needs what is not installed ({package}): pip install 'aperture-tui[web]'\n"
    )


def test_a_recording_that_is_none(tmp_path: Path) -> None:
    """Said at once, not on a page."""
    done = _run("--web", "0", "--replay", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"aperture-top: {tmp_path / 'none'}: No such file or directory"
    assert "token" not in done.stderr


# -- its pages


class Serving:
    """A running `aperture-top --web`, without a terminal. errors: the file that it says things to."""

    def __init__(self, errors: Path, *arguments: str, where: str = "0") -> None:
        self._errors = errors
        with errors.open("wb") as file:
            self.process = subprocess.Popen(
                [*_TOP, "--web", where, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                env={name: value for name, value in os.environ.items() if name not in ("TERM", "COLORTERM")},
            )
        while (found := _ADDRESS.search(self.said)) is None:
            assert self.process.poll() is None, self.said
            time.sleep(0.02)
        self.origin = f"http://127.0.0.1:{found[1].rpartition(':')[2]}"
        self.door = f"{self.origin}/?token={found[2]}"

    @property
    def said(self) -> str:
        """On stderr."""
        return self._errors.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end -> exit status."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=30)
        assert out == b""
        return self.process.returncode


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, where: str = "0") -> Iterator[Serving]:
    one = Serving(folder / "stderr", *arguments, where=where)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


@contextlib.asynccontextmanager
async def opened(served: Serving) -> AsyncIterator[Screen]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(served.door) as response:
            assert response.status == 200
            base = str(response.url)
        headers = {"Origin": served.origin}
        screen = Screen(await session.ws_connect(f"{base}ws?width=120&height=40", headers=headers, autoping=False))
        try:
            yield screen
        finally:
            await screen.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
async def test_a_recording_in_a_browser(tmp_path: Path, recording: Path, number: signal.Signals) -> None:
    """From the door to the end, by each of the ways in which services and people end things."""
    with serving(tmp_path, "--replay", str(recording)) as served:
        async with opened(served) as screen:
            await screen.see("gunicorn")
            await screen.press("4")
            await screen.see("table_lock|mutex")
            began = time.monotonic()
            assert await asyncio.to_thread(served.end, number) == 0
            assert time.monotonic() - began < 3
            await screen.ended()
        assert served.said.count("token=") == 1
        assert served.said.count("\n") == 1


async def test_other_addresses_are_warned_of(tmp_path: Path, recording: Path) -> None:
    """With the way that is safer."""
    with serving(tmp_path, "--replay", str(recording), where="0.0.0.0:0") as served:
        async with opened(served) as screen:
            await screen.see("gunicorn")
        assert served.end() == 0
        said = served.said
    assert "this is plain HTTP: whoever listens on the way reads the token" in said
    port = served.origin.rpartition(":")[2]
    assert f"ssh -L {port}:127.0.0.1:{port} " in said


async def test_an_aggregator_that_does_not_answer(tmp_path: Path) -> None:
    """Each page says so, as the screens do."""
    with socket.socket() as nobody:  # it has the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{nobody.getsockname()[1]}"
        with serving(tmp_path, "--remote", where, "--insecure") as served:
            async with opened(served) as one, opened(served) as other:
                await one.see(where)
                await other.see(where)
            assert served.end() == 0
            assert "page ended" not in served.said


@pytest.fixture
def lister() -> Iterator[subprocess.Popen[bytes]]:
    """A program with calls and samples. Looked at alone its box has room for its name."""
    child = subprocess.Popen([sys.executable, "-c", "import os\nwhile True: os.listdir('/proc/self')"])
    yield child
    child.kill()
    child.wait()


@pytest.mark.bpf
async def test_this_machine_on_two_pages(tmp_path: Path, lister: subprocess.Popen[bytes]) -> None:
    """One set of collectors feeds both, whatever each looks at, and what is recorded beside them."""
    file = tmp_path / "beside.aperture"
    with serving(tmp_path, "--record", str(file), "--refresh", "4", "-p", str(lister.pid)) as served:
        events = _perf_events(served.process.pid)
        assert events > 0
        async with opened(served) as one, opened(served) as other:
            for screen in (one, other):
                await screen.press("2")
                await screen.see(r"[1-9][\d,]* samples")
            assert _perf_events(served.process.pid) == events
            await other.press("3")
            await other.see("SYSCALL", "getdents64")
            await one.press("1")
            await one.see(r"▏python")
        assert served.end() == 0
        assert served.said.count("\n") == 1
    done = _run("--once", "--replay", str(file))
    assert done.returncode == 0
    assert "python" in done.stdout


def _perf_events(pid: int) -> int:
    """How many of them a process holds."""
    found = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found += "perf_event" in os.readlink(one)
    return found
