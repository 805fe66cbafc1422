from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from aperture_tui.cli import doctor
from aperture_tui.collect import requirements
from aperture_tui.collect.requirements import Requirement

_FINE = Requirement("kernel", True, "kernel 6.1.0", "the CPU profiler", blocks=("cpu",))
_LACKING = Requirement("BCC", False, "not installed", "the CPU profiler", "apt-get install python3-bpfcc", ("cpu",))
_UNKNOWN = Requirement("lockdown", None, "unknown", "the CPU profiler", "mount -t securityfs", ("cpu",))
_OPTIONAL = Requirement("inferno", False, "no inferno-flamegraph", "SVG flame graphs", "make inferno", ("svg",))


def _on(found: Sequence[Requirement], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "probe", lambda machine=None: list(found))


def _after(lines: list[str], words: str) -> str:
    return next(lines[at + 1] for at, line in enumerate(lines) if words in line)


def test_each_missing_thing_is_followed_by_what_mends_it() -> None:
    lines = doctor.report([_FINE, _LACKING, _OPTIONAL], colours=False)
    assert _after(lines, "✗ BCC").strip() == "→ apt-get install python3-bpfcc"
    assert _after(lines, "✗ inferno").strip() == "for SVG flame graphs"
    assert _after(lines, "for SVG flame graphs").strip() == "→ make inferno"
    assert lines[-1] == "The CPU profiler lacks 1 of these."


def test_what_is_there_takes_one_line_and_what_is_unknown_is_not_called_missing() -> None:
    lines = doctor.report([_FINE, _UNKNOWN], colours=False)
    assert sum("kernel" in line for line in lines) == 1
    assert any(line.strip().startswith("? lockdown") for line in lines)
    assert lines[-1] == "The CPU profiler lacks nothing known."


def test_colour_is_only_added_to_the_marks() -> None:
    found = [_FINE, _LACKING, _UNKNOWN]
    coloured = "\n".join(doctor.report(found, colours=True))
    assert "\x1b[31m✗\x1b[0m BCC" in coloured
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured.splitlines() == doctor.report(found, colours=False)


@pytest.mark.parametrize(("found", "status"), [([_FINE, _OPTIONAL, _UNKNOWN], 0), ([_FINE, _LACKING], 1)])
@pytest.mark.parametrize("argv", [[], ["--json"]])
def test_the_status_says_whether_the_profiler_can_run(
    found: list[Requirement], status: int, argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _on(found, monkeypatch)
    assert doctor.run(argv) == status


def test_json_is_a_list_of_what_the_help_documents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _on([_LACKING, _UNKNOWN], monkeypatch)
    doctor.run(["--json"])
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "name": "BCC",
        "ok": False,
        "found": "not installed",
        "needed_for": "the CPU profiler",
        "mend": "apt-get install python3-bpfcc",
        "blocks": ["cpu"],
    }
    assert rows[1]["ok"] is None
    with pytest.raises(SystemExit):
        doctor.run(["--help"])
    said = capsys.readouterr().out
    assert all(f'"{key}"' in said for key in rows[0])


def test_a_wrong_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        doctor.run(["--jsno"])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def _run(**environ: str) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; from aperture_tui.cli.doctor import run; sys.exit(run([]))"
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, check=False)


def test_it_speaks_ascii_where_the_output_holds_nothing_else() -> None:
    done = _run(PYTHONIOENCODING="ascii")
    assert done.stderr == b""
    assert b"  ok Python" in done.stdout


def test_into_a_pipe_go_no_colours_and_no_escape_sequence_of_the_environment() -> None:
    done = _run(TERM="xterm\x1b[31mred", LC_ALL="", LANG="C.UTF-8")
    assert b"\x1b" not in done.stdout
    assert b"xterm\\x1b[31mred" in done.stdout
