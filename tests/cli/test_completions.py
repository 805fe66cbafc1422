"""What shells complete: asked of the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from aperture_tui.cli import completions
from aperture_tui.cli.command_lines import PROGRAMS, parser_of, whole
from aperture_tui.cli.main import COMMANDS
from aperture_tui.tui.look import looks
from tests.cli.test_screens import Terminal

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: apt-get install tmux")


def _needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell}: apt-get install {shell}")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SHELL.PROGRAM of each, and files to be completed."""
    folder = tmp_path_factory.mktemp("completions")
    for shell in completions.SHELLS:
        for program in PROGRAMS:
            (folder / f"{shell}.{program}").write_text(completions.completions(shell, program))
    (folder / "busy.aperture").touch()
    return folder


def _bash(scripts: Path, *words: str) -> list[str]:
    """What bash would offer for the last word."""
    program = words[0]
    line = " ".join(words)
    script = f"""
    source {scripts}/bash.{program}
    COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}
    COMP_LINE='{line}'; COMP_POINT={len(line)}
    set -- $(complete -p {program}); while [ "$1" != -F ]; do shift; done
    "$2" {program} '{words[-1]}' '{words[-2]}'; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=scripts)
    return sorted(filter(None, done.stdout.split("\n")))


@_needs("bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("aperture-top", "--thr"), []),
        (("aperture-top", "--them"), ["--theme"]),
        (("aperture-top", "--theme", ""), sorted(looks())),
        (("aperture-top", "--glyphs", "a"), ["ascii"]),
        (("aperture-top", "--no-mo"), ["--no-mouse"]),
        (("aperture-top", "--replay", "bu"), ["busy.aperture"]),
        (("aperture", "ag"), ["agent", "aggregate", "aggregator"]),
        (("aperture", "completions", ""), sorted(completions.SHELLS)),
        (("aperture", "diff", "--form"), ["--format"]),
        (("aperture", "diff", "bu"), ["busy.aperture"]),
        (("aperture", "filter", "ch"), ["check"]),
    ],
    ids=" ".join,
)
def test_bash_offers(scripts: Path, words: tuple[str, ...], expected: list[str]) -> None:
    assert [one.strip() for one in _bash(scripts, *words)] == expected


@_needs("fish")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("aperture-top --them", {"--theme"}),
        ("aperture-top --theme high", {"high-contrast"}),
        ("aperture ag", {"agent", "aggregate", "aggregator"}),
        ("aperture completions ", set(completions.SHELLS)),
        ("aperture export bu", {"busy.aperture"}),
    ],
)
def test_fish_offers(scripts: Path, line: str, expected: set[str]) -> None:
    program = line.split()[0]
    command = f"source {scripts}/fish.{program}; complete -C '{line}'"
    done = subprocess.run(["fish", "-N", "-c", command], capture_output=True, text=True, check=True, cwd=scripts)
    assert {row.split("\t")[0] for row in done.stdout.splitlines()} == expected


@needs_tmux
@pytest.mark.parametrize(
    "shell", [pytest.param("bash", marks=_needs("bash")), pytest.param("zsh", marks=_needs("zsh"))]
)
def test_a_person_completes(shell: str, scripts: Path, tmp_path: Path) -> None:
    """With the tab key, in a shell that nobody has set up."""
    (tmp_path / "_aperture").write_text((scripts / f"{shell}.aperture").read_text())
    begin = {
        "bash": ["bash", "--norc", "-i"],
        "zsh": ["zsh", "-f", "-i"],
    }[shell]
    terminal = Terminal(tmp_path, begin)
    try:
        terminal.until(lambda: bool(terminal.text().strip()), "a prompt")
        if shell == "bash":
            terminal.press(f"source {tmp_path}/_aperture; echo rea''dy", "Enter")
        else:
            terminal.press(f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; echo rea''dy", "Enter")
        terminal.see("ready")
        time.sleep(0.2)
        terminal.press("aperture aggre", "Tab")
        terminal.see("aperture aggregat")  # as far as it is clear
        terminal.press("C-u", "aperture doc", "Tab")
        terminal.see("aperture doctor")
        terminal.press(" --js", "Tab")
        terminal.see(r"aperture doctor  ?--json")
    finally:
        terminal.close()


def test_nothing_that_can_be_given_is_left_out() -> None:
    bash = completions.completions("bash", "aperture")
    for name in COMMANDS:
        assert name in bash
        for action in parser_of(name)._actions:
            for option in action.option_strings:
                assert option in bash, f"{name} {option}"
    assert whole("aperture-top").prog == "aperture-top"
