"""What a person has set up, in a real terminal, over a recording: no rights are needed, and no kernel."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.test_screens import APERTURE_TOP, Terminal
from tests.tui.test_sizes import HOSTILE_NAMES

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")

FOLDED = "server;main;handle;read 60\nserver;main;handle;write 30\nworker;loop;compute 110\n"
Open = Callable[..., Terminal]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a terminal with aperture-top over a recording, in a home of its own."""
    (tmp_path / "config" / "aperture").mkdir(parents=True)
    (tmp_path / "some.folded").write_text(FOLDED)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminals: list[Terminal] = []

    def begin(*argv: str, config: str = "") -> Terminal:
        (tmp_path / "config" / "aperture" / "config.toml").write_text(config)
        one = Terminal(tmp_path, [*APERTURE_TOP, "--replay", str(tmp_path / "some.folded"), *argv])
        terminals.append(one)
        return one

    yield begin
    for one in terminals:
        one.close()


def _mouse(terminal: Terminal) -> bool:
    """Whether what runs there is told of the mouse."""
    asked = [*terminal._socket, "display-message", "-p", "#{mouse_any_flag}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "1"


def test_the_mouse_is_given_back_and_taken_again(opened: Open) -> None:
    terminal = opened()
    terminal.see("server")
    terminal.until(lambda: _mouse(terminal), "the mouse is taken")
    terminal.press("C-t")
    terminal.until(lambda: not _mouse(terminal), "the mouse is given back")
    terminal.see("mouse off: text can be selected")
    terminal.press("C-t")
    terminal.until(lambda: _mouse(terminal), "the mouse is taken")
    terminal.press("C-t", "q")
    terminal.see("STATUS=0")
    assert not _mouse(terminal)


def test_it_begins_without_the_mouse_where_that_is_said(opened: Open) -> None:
    terminal = opened(config="mouse = false\n")
    terminal.see("server")
    assert not _mouse(terminal)
    terminal.press("C-t")
    terminal.until(lambda: _mouse(terminal), "the mouse is taken")
    terminal.press("q")
    terminal.see("STATUS=0")
    assert not _mouse(terminal), "and left as it was found"
    other = opened("--mouse", config="mouse = false\n")
    other.see("server")
    other.until(lambda: _mouse(other), "the command line comes first")


def test_keys_and_words_are_the_users(opened: Open, tmp_path: Path) -> None:
    terminal = opened(config="[keys]\napp.quit = 'Z'\nview.sort = 't'\n")
    terminal.see(r"Z quit")
    terminal.see(r"t is now view.sort \(sort\), and no more view.group")
    terminal.press("q")
    terminal.press("Z")
    terminal.see("STATUS=0")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("refresh = 99\n", "config.toml:1: refresh: '99' is not a rate: give 0.1 to 20 Hz"),
        ("[keys]\nview.srot = 't'\n", "config.toml:2: no keys are called 'view.srot'; did you mean view.sort?"),
    ],
)
def test_what_is_wrong_is_said_before_the_screen_is_taken(opened: Open, config: str, complaint: str) -> None:
    terminal = opened(config=config)
    screen = terminal.see("STATUS=2")
    assert complaint.replace(" ", "") in "".join(screen.split()), "in one line, which the terminal breaks"


def test_what_was_looked_at_is_there_again(opened: Open, tmp_path: Path) -> None:
    terminal = opened("--theme", "high-contrast")
    terminal.see("server")
    terminal.press("2")
    terminal.until(lambda: "PROCESS" not in terminal.text() and "server" in terminal.text(), "the CPU screen")
    terminal.press("/", "read", "Enter")
    terminal.see(r"% of samples match")
    terminal.press("q")
    terminal.see("STATUS=0")
    kept = tmp_path / "state" / "aperture" / "top" / "replay.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    told = json.loads(kept.read_text())
    assert (told["view"], told["search"], told["theme"]) == ("cpu", "read", "high-contrast")
    assert [one.name for one in kept.parent.iterdir()] == ["replay.json"], "nothing half written is left"

    again = opened("--resume")
    again.until(lambda: "PROCESS" not in again.text() and "server" in again.text(), "the CPU screen")
    again.press("q")
    again.see("STATUS=0")
    assert json.loads(kept.read_text()) == told

    plain = opened()
    plain.see("PROCESS")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b'{"version": 1, "view": ["cpu"], "search": "("}'])
def test_what_cannot_be_believed_of_last_time_is_left_out(opened: Open, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "state" / "aperture" / "top" / "replay.json"
    kept.parent.mkdir(parents=True, mode=0o700)
    kept.write_bytes(content)
    kept.chmod(0o600)
    terminal = opened("--resume")
    terminal.see("PROCESS")
    terminal.press("q")
    terminal.see("STATUS=0")
    assert json.loads(kept.read_text())["view"] == "overview"


def test_a_home_that_cannot_be_written_to_is_no_error(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder: as good as one that is read-only, for root too")
    for options, said in (((), False), (("--resume",), True)):
        terminal = opened(*options)
        terminal.see("PROCESS")
        terminal.press("q")
        screen = terminal.see("STATUS=0")
        assert ("not kept for --resume" in screen) == said
        terminal.close()


@pytest.mark.parametrize("size", [(40, 10), (120, 40), (300, 80)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_terminal_takes_names_for_as_wide_as_we_do(opened: Open, tmp_path: Path, size: tuple[int, int]) -> None:
    """Or the rows of that terminal would be longer or shorter than it is."""
    names = [name.replace("\n", " ").replace(";", "") for name in HOSTILE_NAMES if name.strip()]
    lines = [f"{name};{name};{other} {i + 30}" for i, (name, other) in enumerate(zip(names, names[::-1], strict=True))]
    (tmp_path / "some.folded").write_text("\n".join(lines))
    terminal = opened()
    terminal.resize(*size)
    terminal.see(r"quit")
    terminal.see(r"[▏|]all|PROCESS")
    for view in "12":
        terminal.press(view)
        time.sleep(1.0)
        asked = [*terminal._socket, "capture-pane", "-p", "-N"]
        rows = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\n")[: size[1]]
        wide = [row for row in rows if not row.isascii()]
        assert wide, rows
        assert {cell_len(row) for row in wide} == {size[0]}, [row for row in wide if cell_len(row) != size[0]]


def test_a_theme_of_the_users_and_a_broken_one(opened: Open, tmp_path: Path) -> None:
    themes = tmp_path / "config" / "aperture" / "themes"
    themes.mkdir()
    (themes / "broken.toml").write_text("[base]\n")
    terminal = opened()
    terminal.see("server")
    terminal.see(r"base.background is not a colour")
    terminal.press("q")
    terminal.see("STATUS=0")
    wrong = opened("--theme", "neon")
    assert "notheme'neon':chooseoneofaperture-dark," in "".join(wrong.see("STATUS=2").split())
