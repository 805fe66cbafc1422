"""Copy and export in real terminals: through tmux as it comes and as it is set, and in tmux within tmux."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.test_remote_screens import aggregator
from tests.cli.test_replay import recording
from tests.cli.test_screens import APERTURE_TOP, Terminal, load
from tests.export import others
from tests.store.served import TOKEN, Aggregator, serving
from tests.tui.taking import read_back
from tests.tui.taking.test_panel import FORMATS

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")
__all__ = ["aggregator", "load", "recording"]
FRAME = "render_page (/srv/shop/app/templates.py:10)"


def buffer_of(terminal: Terminal) -> str:
    """What the tmux of a terminal has as its newest buffer."""
    done = subprocess.run([*terminal._socket, "show-buffer"], capture_output=True, text=True, check=False)
    return done.stdout


def set_option(terminal: Terminal, *words: str) -> None:
    subprocess.run([*terminal._socket, "set", *words], check=True)


@pytest.fixture
def opened(tmp_path: Path, recording: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens the screens over a recording in a tmux. before: what the shell does first; through: what runs them."""
    terminals: list[Terminal] = []

    def open_one(before: str = "true", width: int = 120, height: int = 40, through: Sequence[str] = ()) -> Terminal:
        top = shlex.join([*through, *APERTURE_TOP, "--replay", str(recording)])
        command = ["sh", "-c", f"{before}; cd {shlex.quote(str(tmp_path))}; exec {top}"]
        terminal = Terminal(tmp_path, command, width, height)
        terminals.append(terminal)
        terminal.see(r"gunicorn")
        terminal.press("2")
        terminal.until(lambda: "PROCESS" not in terminal.text(), "the CPU screen")
        return terminal

    yield open_one
    for terminal in terminals:
        terminal.close()


def select_frame(terminal: Terminal) -> None:
    """By a search, which selects its first match."""
    terminal.press("/", "^render_page")
    terminal.see(r"\d ?% of samples match")
    terminal.press("Enter")
    terminal.see(r"of parent .*templates\.py:10")


def test_copy_reaches_a_tmux_without_any_configuration(opened: Callable[..., Terminal]) -> None:
    """Which by itself hands on nothing that is written: it is asked for a buffer."""
    terminal = opened()
    select_frame(terminal)
    terminal.press("y")
    terminal.see("in tmux's buffer")
    assert buffer_of(terminal) == FRAME
    terminal.press("Y")
    terminal.until(lambda: buffer_of(terminal).startswith("gunicorn\n"), "the stack")
    frames, _, folded = buffer_of(terminal).rstrip("\n").rpartition("\n\n")
    assert frames.splitlines()[-1] == FRAME
    assert folded.startswith("gunicorn;__libc_start_main_impl;")
    assert folded.rpartition(" ")[0].endswith(";render_page")
    assert "gunicorn" in terminal.text(), "the picture is whole"


def test_copy_reaches_a_tmux_that_takes_what_is_written(opened: Callable[..., Terminal]) -> None:
    """As over SSH, where there is no way to its server: TERM alone tells of it."""
    terminal = opened("unset TMUX; export TERM=tmux-256color")
    set_option(terminal, "-s", "set-clipboard", "on")
    select_frame(terminal)
    terminal.press("y")
    terminal.see("sent to the terminal's clipboard")
    terminal.until(lambda: buffer_of(terminal) == FRAME, "the buffer")
    whole = terminal.text().splitlines()
    assert not any("52;c" in row for row in whole), "nothing of it is seen"


@pytest.mark.parametrize("term", ["screen-256color", "xterm-256color"])
def test_whatever_it_is_called_tmux_understands(opened: Callable[..., Terminal], term: str) -> None:
    terminal = opened(f"unset TMUX; export TERM={term}")
    set_option(terminal, "-s", "set-clipboard", "on")
    select_frame(terminal)
    terminal.press("y")
    terminal.see("sent to the terminal's clipboard")
    terminal.until(lambda: buffer_of(terminal) == FRAME, "the buffer")
    terminal.press("Y")
    terminal.until(lambda: re.search(r"render_page \d+\n$", buffer_of(terminal)) is not None, "all of a longer text")


def test_copy_goes_through_screen_in_pieces(opened: Callable[..., Terminal], tmp_path: Path) -> None:
    """A real screen, in a tmux that takes what comes out of it."""
    screen = shutil.which("screen")
    if screen is None:
        pytest.skip("no screen: apt-get install screen")
    (tmp_path / "screens").mkdir(mode=0o700)
    of_its_own = f"export TERM=xterm-256color SCREENDIR={shlex.quote(str(tmp_path / 'screens'))}"
    terminal = opened(f"unset TMUX; {of_its_own}", through=[screen, "-c", "/dev/null"])
    set_option(terminal, "-s", "set-clipboard", "on")
    select_frame(terminal)
    terminal.press("Y")
    terminal.see("sent to the terminal's clipboard")
    terminal.until(lambda: re.search(r"render_page \d+\n$", buffer_of(terminal)) is not None, "the stack")
    assert len(buffer_of(terminal)) > 500, "more than it has room for in one piece"


def test_copy_goes_through_a_tmux_to_the_terminal_behind_it(opened: Callable[..., Terminal], tmp_path: Path) -> None:
    """The inner tmux passes it through, and takes nothing itself; the terminal behind it is another tmux."""
    inner = opened("unset TMUX; export TERM=tmux-256color")
    set_option(inner, "-g", "allow-passthrough", "on")
    select_frame(inner)
    outer_socket = ["tmux", "-L", f"aperture-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]
    attach = shlex.join([*inner._socket, "attach"])
    env = {name: value for name, value in os.environ.items() if name != "TMUX"}
    subprocess.run(
        [*outer_socket, "new-session", "-d", "-x", "120", "-y", "41", f"env -u TMUX {attach}"], check=True, env=env
    )
    try:
        subprocess.run([*outer_socket, "set", "-s", "set-clipboard", "on"], check=True)
        time.sleep(1)
        inner.press("y")
        inner.see("sent to the terminal's clipboard")

        def outer() -> str:
            return subprocess.run([*outer_socket, "show-buffer"], capture_output=True, text=True, check=False).stdout

        inner.until(lambda: outer() == FRAME, "the buffer of the outer tmux")
        assert buffer_of(inner) == ""
    finally:
        subprocess.run([*outer_socket, "kill-server"], check=False, stderr=subprocess.DEVNULL)


def written(terminal: Terminal, form: str, folder: Path) -> Path:
    """Export in a format -> the file."""
    before = set(folder.iterdir())
    terminal.press("e")
    terminal.see(r"Export CPU samples")
    terminal.press("Home", *["Down"] * FORMATS.index(form), "Enter")
    terminal.see(r"written:")
    terminal.press("Enter")
    terminal.until(lambda: "Export CPU" not in terminal.text(), "the view again")
    (file,) = set(folder.iterdir()) - before
    return file


@pytest.mark.parametrize("size", [(120, 40), (40, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_format_is_written_and_read_back(
    opened: Callable[..., Terminal], tmp_path: Path, size: tuple[int, int]
) -> None:
    others.inferno()
    terminal = opened("true", *size)
    terminal.press("<")
    files = {form: written(terminal, form, tmp_path) for form in FORMATS}
    terminal.resize(120, 40)
    terminal.see(r"([\d,]+) samples")
    on_screen = shown(terminal)
    assert 0 < on_screen < 2000
    weights = {form: read_back.weight(files[form], form) for form in ("svg", "speedscope", "pprof", "folded", "json")}
    assert weights == dict.fromkeys(weights, on_screen)
    assert f"{on_screen:,} samples" in files["text"].read_text()
    assert "Overview" in files["screen"].read_text() or size[0] == 40
    assert "<svg" in files["picture"].read_text()
    assert not list(tmp_path.glob(".*.part"))
    terminal.press("q")
    terminal.see(r"STATUS=0")


def test_what_is_written_as_root_by_sudo_is_the_users(opened: Callable[..., Terminal], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    terminal = opened("export SUDO_UID=1234 SUDO_GID=2345")
    found = written(terminal, "folded", tmp_path).stat()
    assert (found.st_uid, found.st_gid) == (1234, 2345)


def shown(terminal: Terminal) -> int:
    """The samples that the header counts."""
    found = re.search(r"([\d,]+) samples", terminal.text())
    assert found is not None
    return int(found[1].replace(",", ""))


def read(terminal: Terminal, folder: Path) -> dict[str, int]:
    """The weights of files of a few formats."""
    forms = ("speedscope", "pprof", "folded", "json")
    return {form: read_back.weight(written(terminal, form, folder), form) for form in forms}


@pytest.mark.bpf
def test_live_at_a_moment_that_is_over(tmp_path: Path, load: subprocess.Popen[bytes]) -> None:
    """Time that stands still a second ago: all events of it have come."""
    folder = tmp_path / "files"
    folder.mkdir()
    top = shlex.join([*APERTURE_TOP, "-p", str(load.pid)])
    terminal = Terminal(tmp_path, ["sh", "-c", f"cd {shlex.quote(str(folder))}; exec {top}"])
    try:
        terminal.see(r"three_parts")
        terminal.see(r"CPU\s+\d")
        terminal.press("2")
        terminal.until(lambda: "PROCESS" not in terminal.text(), "the CPU screen")
        time.sleep(3)
        terminal.press("Space")
        terminal.see("FROZEN")
        terminal.press(",", ",")
        time.sleep(1)
        weights = read(terminal, folder)
        assert shown(terminal) > 0
        assert weights == dict.fromkeys(weights, shown(terminal))
        terminal.press("/", "^three_parts")
        terminal.see(r"\d ?% of samples match")
        terminal.press("Enter")
        terminal.see(r"of parent .*ratio")
        terminal.press("y")
        terminal.until(lambda: buffer_of(terminal).startswith("three_parts ("), "the frame in tmux's buffer")
        terminal.press("Space")  # and live again
        terminal.until(lambda: "FROZEN" not in terminal.text(), "time")
        time.sleep(1.5)
        file = written(terminal, "folded", folder)
        assert any(";three_parts" in line for line in file.read_text().splitlines())
        terminal.press("q")
        terminal.see(r"STATUS=0")
    finally:
        terminal.close()


def test_of_a_machine_of_an_aggregator(tmp_path: Path, aggregator: Aggregator) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (tmp_path / "token").write_text(TOKEN)
    with serving(aggregator) as address:
        options = ["--remote", address, "--token-file", str(tmp_path / "token"), "--host", "web-1"]
        top = shlex.join([*APERTURE_TOP, *options])
        terminal = Terminal(tmp_path, ["sh", "-c", f"cd {shlex.quote(str(folder))}; exec {top}"])
        try:
            terminal.see("gunicorn")
            terminal.press("2")
            terminal.until(lambda: "PROCESS" not in terminal.text(), "the CPU screen")
            terminal.press("Space")
            time.sleep(1)
            weights = read(terminal, folder)
            assert weights == dict.fromkeys(weights, shown(terminal))
            assert all(file.name.startswith("aperture-web-1-cpu-") for file in folder.iterdir())
        finally:
            terminal.close()
