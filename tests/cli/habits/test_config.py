"""Settings out of files: what holds, what is refused and where, what is not believed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.cli.habits import files
from aperture_tui.cli.habits.chosen import BUILT_IN, COMMAND_LINE, Chosen, chosen
from aperture_tui.cli.habits.files import FileError, NotTrustedError
from aperture_tui.cli.habits.printing import toml
from aperture_tui.cli.habits.table import SETTINGS
from aperture_tui.cli.top import _parser
from aperture_tui.resources import folder

_ROOT = os.geteuid() == 0
_TOP = [sys.executable, "-m", "aperture_tui.cli.top"]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the user's file of settings; the system's is another that the test may write."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(files, "_SYSTEM", tmp_path / "system.toml")

    def put(text: str) -> Path:
        path = tmp_path / "aperture" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return put


def _chosen(*argv: str) -> Chosen:
    return chosen(_parser(), list(argv))


def _run(*argv: str, config: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_CONFIG_HOME": str(config), **env}
    return subprocess.run([*_TOP, *argv], env=environ, capture_output=True, text=True, check=False)


# -- what holds


def test_the_command_line_then_the_user_then_the_system(write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write('refresh = 4\nwindow = "all"\n')
    (tmp_path / "system.toml").write_text("refresh = 1\nhz = 49\nmouse = false\n")
    told = _chosen("--window", "12", "--mouse")
    assert (told["refresh"], told.settings["refresh"].origin) == (4.0, f"{path}:1")
    assert (told["hz"], told.settings["hz"].origin) == (49, f"{tmp_path}/system.toml:2")
    assert (told["window"], told.settings["window"].origin) == (12.0, COMMAND_LINE)
    assert (told["mouse"], told["glyphs"], told.settings["glyphs"].origin) == (True, "unicode", BUILT_IN)
    assert _chosen()["window"] is None, "all of it"


def test_keys_of_both_files_hold_with_or_without_quotation_marks(write: Callable[[str], Path], tmp_path: Path) -> None:
    path = write('[keys]\nview.sort = "o"\n"icicle.move.-1.0" = ["w", "up"]\n')
    (tmp_path / "system.toml").write_text('[keys]\n"view.sort" = "x"\nview.group = []\n')
    keys = _chosen().keys
    assert {name: one.value for name, one in keys.items()} == {
        "view.sort": ("o",),
        "icicle.move.-1.0": ("w", "up"),
        "view.group": (),
    }
    assert keys["icicle.move.-1.0"].origin == f"{path}:3"
    assert keys["view.group"].origin == f"{tmp_path}/system.toml:3"


def test_without_files_everything_is_built_in(write: Callable[[str], Path]) -> None:
    told = _chosen()
    assert {one.origin for one in told.settings.values()} == {BUILT_IN}
    defaults = vars(_parser().parse_args([]))
    assert {one.name: told[one.name] for one in SETTINGS} == {one.name: defaults[one.name] for one in SETTINGS}


# -- what is refused


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("refresh = 40\n", ":1: refresh: '40' is not a rate: give 0.1 to 20 Hz"),
        ('\n# a word\nrefresh = "fast"\n', ":3: refresh: 'fast' is not a number"),
        ("refresh = true\n", ":1: refresh: true is not a number"),
        ("mouse = 1\n", ":1: mouse: 1 is neither true nor false"),
        ('glyphs = "emoji"\n', ":1: glyphs: 'emoji' is not one of unicode, ascii"),
        ('events = "cpu"\n', ":1: events: 'cpu' is not a list of texts"),
        ('events = ["cpu", "magic"]\n', ":1: events: 'magic' is not collected; there is "),
        ("hz = 99.5\n", ":1: hz: '99.5' is not a frequency"),
        ('window = "most"\n', ":1: window: 'most' is not a number"),
        ("hz = 99\nrefrehs = 4\n", ":2: there is no setting 'refrehs'; did you mean refresh?"),
        ("hz = 99\n[key]\n", ": there is no setting 'key'; did you mean keys?"),
        ("keys = 3\n", ":1: keys is a table: [keys]"),
        ("[keys]\nview.sort = 3\n", ":2: view.sort: give a key, or a list of keys"),
        ("[keys]\nview.sort = [" + '"a",' * 9 + "]\n", ":2: view.sort: more than 8 keys"),
        ("hz = 99\nhz = \n", ":2: not TOML: Invalid value"),
        ("hz = 99\nhz = 98\n", ":2: not TOML: Cannot overwrite a value"),
        ("[keys\n", ":1: not TOML: "),
        ("a = " + "[" * 5000, ": not TOML: "),
        ("x\x1b[31m = 1\n", ":1: not TOML: "),
        ('"\\u001b[31m" = 1\n', ": there is no setting '"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(write: Callable[[str], Path], text: str, complaint: str) -> None:
    path = write(text)
    with pytest.raises(FileError) as refused:
        _chosen()
    told = str(refused.value)
    assert told.startswith(str(path))
    assert complaint in told
    assert told.isprintable()


def test_bytes_that_are_no_text_are_refused_with_their_line(write: Callable[[str], Path]) -> None:
    path = write("")
    path.write_bytes(b"hz = 99\n# \xff\n")
    with pytest.raises(FileError, match=r"config.toml:2: not UTF-8"):
        _chosen()
    path.write_bytes(b"#" * (files.MAX_BYTES + 1))
    with pytest.raises(FileError, match="larger than 64 KB"):
        _chosen()


@given(st.binary(max_size=200))
def test_no_file_does_more_than_be_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        try:
            read: object = files.read(Path(file.name), {})
        except FileError as error:
            read = str(error).isprintable()
        assert read


# -- whose it is


def test_a_file_that_everybody_may_write_to_is_not_read_and_that_is_said(write: Callable[[str], Path]) -> None:
    path = write("hz = 49\n")
    path.chmod(0o666)
    told = _chosen()
    assert told["hz"] == 99
    assert told.notices == (f"{path}: not read, everybody may write to it: chmod o-w",)


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(FileError, match=r"not a file|Is a directory"):
            files.read(path, {})
    assert files.read(tmp_path / "none", {}) is None


@pytest.mark.skipif(not _ROOT, reason="only root can give a file to another")
def test_root_believes_root_and_who_called_sudo_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("hz = 49\n")
    os.chown(path, 12345, -1)
    with pytest.raises(NotTrustedError, match="somebody else"):
        files.read(path, {})
    with pytest.raises(NotTrustedError, match="somebody else"):
        files.read(path, {"SUDO_UID": "54321"})
    assert files.read(path, {"SUDO_UID": "12345"}) is not None
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    with pytest.raises(NotTrustedError, match="somebody else"):
        files.read(link, {})


@pytest.mark.skipif(not _ROOT, reason="sudo makes root")
def test_under_sudo_it_is_the_callers_file_and_roots_state(tmp_path: Path) -> None:
    import pwd

    other = next(one for one in pwd.getpwall() if one.pw_uid and one.pw_dir.startswith("/"))
    environ = {"HOME": "/srv/home", "SUDO_UID": str(other.pw_uid)}
    assert files.config_folder(environ) == Path(other.pw_dir, ".config/aperture")
    assert files.config_folder({"HOME": "/srv/home"}) == Path("/srv/home/.config/aperture")
    assert files.config_folder({**environ, "XDG_CONFIG_HOME": "relative"}) == Path(other.pw_dir, ".config/aperture")
    state = tmp_path / "state"
    assert files.state_folder({"XDG_STATE_HOME": str(state / "new")}) == state / "new/aperture/top"
    state.mkdir()
    os.chown(state, other.pw_uid, -1)
    for told in ({"XDG_STATE_HOME": str(state / "new")}, {"XDG_STATE_HOME": str(state)}, {"HOME": str(state)}):
        assert files.state_folder(told) == Path(pwd.getpwuid(0).pw_dir, ".local/state/aperture/top")
    assert files.state_folder({**environ, "HOME": "relative"}) == Path(
        pwd.getpwuid(0).pw_dir, ".local/state/aperture/top"
    )


def test_no_setting_names_a_file_a_program_or_a_machine() -> None:
    """What makes it safe to read as root: keys, looks, and how much is looked at."""
    assert {one.name for one in SETTINGS} == {
        "refresh", "theme", "window", "mouse", "glyphs", "marks", "layout", "resume", "events", "hz",
    }  # fmt: skip


# -- the command


def test_what_is_printed_can_be_read_back_and_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "aperture").mkdir()
    path = tmp_path / "aperture" / "config.toml"
    path.write_text('refresh = 0.5\nevents = ["cpu", "lock"]\n[keys]\nview.sort = ["o", "O"]\nview.search = "/"\n')
    first = _run("--print-config", "-F", "49", "--window", "all", config=tmp_path)
    assert first.returncode == 0, first.stderr
    data = tomllib.loads(first.stdout)
    assert set(data) == {"keys", *(one.name for one in SETTINGS)}
    assert (data["hz"], data["refresh"], data["window"]) == (49, 0.5, "all")
    assert "# command line" in first.stdout
    assert f"# {path}:1" in first.stdout
    path.write_text(first.stdout)
    again = _run("--print-config", config=tmp_path)
    assert tomllib.loads(again.stdout) == data


def test_wrong_settings_end_with_status_2_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "aperture").mkdir()
    path = tmp_path / "aperture" / "config.toml"
    for text, complaint in (
        ("refresh = 0\n", f"{path}:1: refresh: '0' is not a rate"),
        ("[keys]\nview.srot = 's'\n", f"{path}:2: no keys are called 'view.srot'; did you mean view.sort?"),
        ("[keys]\nview.sort = 'sort'\n", f"{path}:2: view.sort: 'sort' is not a key"),
        ("theme = 'neon'\n", f"{path}:1: no theme 'neon': choose one of aperture-dark, "),
    ):
        path.write_text(text)
        done = _run("--print-config", config=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith(f"aperture-top: {complaint}")
        assert done.stderr.count("\n") == 1


def test_a_report_is_what_its_command_line_says(tmp_path: Path) -> None:
    """Whatever a person has set up, broken or not."""
    (tmp_path / "aperture").mkdir()
    (tmp_path / "aperture" / "config.toml").write_text("refresh = 0\n")
    done = _run("--once", "--replay", str(tmp_path / "none.aperture"), config=tmp_path)
    assert "config.toml" not in done.stderr
    assert done.returncode == 1


def test_the_keys_are_printed_as_they_are_changed(tmp_path: Path) -> None:
    (tmp_path / "aperture").mkdir()
    (tmp_path / "aperture" / "config.toml").write_text("[keys]\nview.sort = ['o', '?']\nview.health = []\n")
    lines = _run("--print-keys", config=tmp_path).stdout.splitlines()
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert told["view.sort"].split() == ["o", "?", "sort"]
    assert told["view.health"].split() == ["-", "health", "in", "full"]
    assert told["icicle.zoom"].split() == ["enter", "zoom"]


# -- themes


def test_a_users_theme_is_a_theme_and_a_broken_one_is_one_line(tmp_path: Path) -> None:
    themes = tmp_path / "aperture" / "themes"
    themes.mkdir(parents=True)
    ours = (folder("themes") / "aperture-dark.toml").read_text("utf-8")
    (themes / "mine.toml").write_text(ours.replace('name = "aperture-dark"', 'name = "mine"'))
    (themes / "broken.toml").write_text("name = 'broken'\n[base")
    (themes / "odd.toml").write_text("base = 3\n")
    (themes / "loud.toml").write_text(ours.replace('name = "aperture-dark"', 'name = "\\u001b]0;loud"'))
    done = _run("--print-config", "--theme", "mine", config=tmp_path)
    assert done.returncode == 0
    assert tomllib.loads(done.stdout)["theme"] == "mine"
    said = [line for line in done.stdout.splitlines() if "themes/" in line]
    assert len(said) == 3
    assert any("broken.toml:2: not TOML" in line for line in said)
    assert any("odd.toml: base is not a table" in line for line in said)
    assert "\x1b" not in done.stdout


# -- the table


def test_every_setting_is_in_the_documentation() -> None:
    page = (folder("themes").parent / "docs" / "configuration.md").read_text("utf-8")
    for one in SETTINGS:
        row = f"| `{one.name}` | `{toml(one.built_in)}` | `{one.option}` | {' '.join(one.words.split())} |"
        assert row in page, f"docs/configuration.md lacks: {row}"
