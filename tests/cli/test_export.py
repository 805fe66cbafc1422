"""`aperture export`, as it is called."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aperture_tui.cli.export import run
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.recording.blocks import BlockType, file_header, pack
from aperture_tui.recording.writer import Writer
from aperture_tui.wire import pprof_pb2
from tests.export import others, sample
from tests.store.facts import SECOND, T0, Fact, batch_of

WEB = Process(42, T0, "web")


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Eleven samples over ten seconds, and one wait."""
    path = tmp_path / "x.aperture"
    facts = [Fact(T0 + i * SECOND, WEB, stack=(Frame("web"), Frame(f"f{i % 2}"))) for i in range(11)]
    facts += [Fact(T0, Process(7, T0), stack=(Frame("sh"), Frame("wäit")), kind=Kind.OFFCPU)]
    writer = Writer(path)
    writer.append(batch_of(facts, Symbols()))
    writer.close()
    return str(path)


def out(capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[str, str]:
    captured = capfdbinary.readouterr()
    return captured.out.decode(), captured.err.decode()


def test_stdout_has_folded_stacks_and_nothing_else(recording: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([recording]) == 0
    assert out(capfdbinary) == ("web;f0 6\nweb;f1 5\n", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from", "-3s"], "web;f0 2\nweb;f1 1\n"),
        (["--from", "2023-11-14T22:13:20Z", "--to", "2023-11-14T22:13:22Z"], "web;f0 1\nweb;f1 1\n"),
        (["--to=-5s", "--frame", "^f1$"], "web;f1 3\n"),
        (["--event", "offcpu"], "sh;wäit 10101010\n"),
        (["--event", "offcpu", "--measure", "count"], "sh;wäit 1\n"),
        (["--measure", "time", "--frame", "f1"], "web;f1 50505050\n"),
        (["--name", ""], "web;f0 6\nweb;f1 5\n"),
        (["-p", "42", "--pid", "7", "--frame", "f0"], "web;f0 6\n"),
    ],
)
def test_a_part_of_it(
    recording: str, arguments: list[str], expected: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([recording, *arguments]) == 0
    assert out(capfdbinary) == (expected, "")


def test_the_suffix_gives_the_format(recording: str, tmp_path: Path) -> None:
    for name in ("a.folded", "a.json", "a.txt"):
        assert run([recording, "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.folded").read_text() == "web;f0 6\nweb;f1 5\n"
    assert json.loads((tmp_path / "a.json").read_text())["tree"]["weight"] == 11
    assert "11 samples" in (tmp_path / "a.txt").read_text()
    assert run([recording, "-o", str(tmp_path / "a.json"), "--format", "text"]) == 0
    assert "11 samples" in (tmp_path / "a.json").read_text()


def test_formats_of_other_tools_by_their_suffixes(recording: str, tmp_path: Path) -> None:
    for name in ("a.speedscope.json", "a.pb.gz", "a.pprof", "a.perfetto.json", "a.trace.json"):
        assert run([recording, "-o", str(tmp_path / name)]) == 0
    speedscope = json.loads((tmp_path / "a.speedscope.json").read_text())
    assert (speedscope["name"], speedscope["profiles"][0]["endValue"]) == ("x.aperture", 11)
    assert (tmp_path / "a.pb.gz").read_bytes() == (tmp_path / "a.pprof").read_bytes()
    profile = pprof_pb2.Profile()
    profile.ParseFromString(gzip.decompress((tmp_path / "a.pb.gz").read_bytes()))
    assert sum(one.value[-1] for one in profile.sample) == 11
    for name in ("a.perfetto.json", "a.trace.json"):
        events = json.loads((tmp_path / name).read_text())["traceEvents"]
        assert sum(event["args"]["samples"] for event in events if event["ph"] == "X" and event["name"] == "web") == 11


def test_a_flame_graph(recording: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    others.inferno()
    assert run([recording, "-o", str(tmp_path / "a.svg"), "--frame", "f0"]) == 0
    text = (tmp_path / "a.svg").read_text()
    assert "x.aperture: cpu" in text
    assert "f0 (6 samples, 100.00%)" in text
    assert run([recording, "--event", "lock", "--format", "svg"]) == 1
    stdout, stderr = out(capfdbinary)
    assert stdout == ""
    assert stderr.splitlines()[-1] == "aperture export: nothing to draw: there are no stacks"


def test_a_flame_graph_without_inferno_is_one_line(
    recording: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for name in ("PATH", "CARGO_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert run([recording, "-o", str(tmp_path / "a.svg")]) == 1
    line = "aperture export: no inferno-flamegraph: make inferno (or cargo install inferno)\n"
    assert out(capfdbinary) == ("", line)
    assert not (tmp_path / "a.svg").exists()


def test_a_timeline_has_all_kinds_or_the_one_that_is_asked_for(
    waiting: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def counters(*arguments: str) -> set[str]:
        assert run([waiting, "--format", "perfetto", *arguments]) == 0
        events = json.loads(capfdbinary.readouterr().out)["traceEvents"]
        return {event["name"] for event in events if event["ph"] == "C"} & {"cpu", "syscall", "lock", "offcpu"}

    assert counters() == {"syscall", "lock", "offcpu"}
    assert counters("--event", "lock") == {"lock"}


def test_what_is_not_drawn_is_said(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    writer = Writer(tmp_path / "x.aperture")
    own = {"name": "gemm", "maximum_ns": 1000}
    kernels = [Fact(T0, WEB, 9, (), Kind.GPU_KERNEL, 1000 * weight, weight, **own) for weight in (1, 2)]
    writer.append(batch_of([*(Fact(T0, WEB, weight=weight) for weight in (1, 99)), *kernels], Symbols()))
    writer.close()
    for arguments, words in (
        ([], "100 events not drawn"),
        (["--event", "cpu"], "99 events not drawn"),
        (["--event", "gpu_kernel"], "1 event not drawn"),
    ):
        assert run([str(tmp_path / "x.aperture"), "--format", "perfetto", *arguments]) == 0
        assert f"{words} but counted: the oldest of too many, or what others" in out(capfdbinary)[1]


def test_a_binary_file_goes_into_a_pipe_but_not_to_a_terminal(
    recording: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([recording, "--format", "pprof"]) == 0
    assert gzip.decompress(capfdbinary.readouterr().out)
    code = "import sys; from aperture_tui.cli.main import main; sys.exit(main())"
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code, "export", recording, "--format", "pprof"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "pprof is binary" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["x", "--frame", "("], "not a regular expression"),
        (["x", "--from", "soon"], "not a time"),
        (["x", "--pid", "me"], "not a pid"),
        (["x", "-o", "x.png"], ".speedscope.json"),
        (["x", "--event", "magic"], "magic"),
        (["x", "--event", "offcpu", "--format", "histogram"], "there are of: syscall, lock"),
        (["x", "--format", "histogram"], "there are of: syscall, lock"),
        (["x", "--event", "lock", "--format", "histogram", "--top", "0"], "1 or more"),
        (["x", "--measure", "bytes"], "bytes"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], words: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    stdout, stderr = out(capfdbinary)
    assert stdout == ""
    assert words in stderr
    assert stderr.count("\n") == 1


def test_a_range_that_is_none_and_an_output_that_is_the_input(recording: str) -> None:
    before = Path(recording).read_bytes()
    for arguments in (["--from", "now", "--to", "-5s"], ["-o", recording, "--format", "json"]):
        with pytest.raises(SystemExit) as ended:
            run([recording, *arguments])
        assert ended.value.code == 2
    assert Path(recording).read_bytes() == before


def test_a_file_that_cannot_be_read_or_written_is_one_line_and_status_1(
    recording: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "other").write_text("#!/bin/sh\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "none").touch()
    for arguments, words in (
        ([str(tmp_path / "absent")], "No such file"),
        ([str(tmp_path / "empty")], "empty"),
        ([str(tmp_path / "other")], "not a recording"),
        ([str(tmp_path / "none")], "none: this file is empty"),
        ([recording, "-o", str(tmp_path / "absent" / "x.json")], "No such file"),
        ([recording, "-o", "/dev/full", "--format", "json"], "No space left"),
    ):
        assert run(arguments) == 1
        stdout, stderr = out(capfdbinary)
        assert stdout == ""
        assert words in stderr
        assert stderr.count("\n") == 1


def test_a_cut_recording_is_exported_and_the_cut_is_said(
    recording: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    os.truncate(recording, os.path.getsize(recording) - 5)
    assert run([recording]) == 0
    stdout, stderr = out(capfdbinary)
    assert stdout == "web;f0 6\nweb;f1 5\n"
    assert "the end is cut off" in stderr


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_recording_that_was_cut_short_is_not_said_to_be_empty_nor_what_was_not_collected(
    blocks: int, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "x.aperture"
    path.write_bytes(file_header({}) + blocks * pack(BlockType.HOSTS, b"[]"))
    assert run([str(path)]) == 0
    words = "no cpu events here; it was cut short, or is still being written, before it held any\n"
    assert out(capfdbinary)[1].endswith(words)


def test_a_time_outside_of_the_recording_is_said_to_be(
    recording: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run([recording, "--from", "2024-01-01T00:00:00Z"]) == 0
    assert out(capfdbinary)[1].endswith("22:13:30 UTC, and nothing of the time that was asked for\n")
    assert run([recording, "--event", "lock", "--from", "-1s"]) == 0
    assert out(capfdbinary)[1].endswith("22:13:30 UTC; such events were not collected\n")


def test_nothing_found_says_what_there_is(recording: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([recording, "--event", "lock"]) == 0
    stdout, stderr = out(capfdbinary)
    assert stdout == ""
    assert "no lock events here; it holds 2023-11-14 22:13:20 UTC to 2023-11-14 22:13:30 UTC" in stderr


@pytest.fixture
def waiting(tmp_path: Path) -> str:
    """A recording of samples, calls, locks and off-CPU time."""
    path = tmp_path / "waits.aperture"
    symbols = Symbols()
    writer = Writer(path)
    writer.append(sample.waits_batch(symbols))
    writer.set_health([Health("syscall", State.RUNNING, "", 9, {"table full": 12}), Health("cpu", State.STOPPED)])
    writer.close()
    return str(path)


def test_every_kind_in_every_format(waiting: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for event, folded, text in (
        ("syscall", "データベース;fdatasync 960000001\n", "Syscalls: 1,763 calls"),
        ("lock", "evil\\x1b[31m:name;mmap_[k];down_write_[k] 1500000\n", "Locks: 10 waits"),
        ("offcpu", "データベース;main;書く;[runnable] 200000000\n", "Off-CPU: blocked 5.02 s"),
    ):
        assert run([waiting, "--event", event]) == 0
        assert folded in out(capfdbinary)[0]
        assert run([waiting, "--event", event, "--format", "text"]) == 0
        assert text in out(capfdbinary)[0]
        assert run([waiting, "--event", event, "--format", "json"]) == 0
        document = json.loads(out(capfdbinary)[0])
        assert document["tree"]["unit"] == "ns"
        assert document["query"]["kind"] == event
        assert set(document["latencies"]) == {"syscall", "lock", "offcpu"}


def test_histograms_of_the_first_or_of_a_name(waiting: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    histograms = [waiting, "--event", "syscall", "--format", "histogram"]
    assert run([*histograms, "--top", "1"]) == 0
    text = out(capfdbinary)[0]
    assert text.startswith("openat of evil")
    assert text.endswith("and 4 more (--top)\n")
    assert run([*histograms, "--name", "read"]) == 0
    text = out(capfdbinary)[0]
    assert text.startswith("read of web server 4242: 1,007 calls")
    assert "openat" not in text


def test_what_was_lost_of_the_exported_kind_is_said(waiting: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([waiting, "--event", "syscall"]) == 0
    assert out(capfdbinary)[1] == f"aperture export: {waiting}: lost: table full: 12\n"
    assert run([waiting, "--event", "lock"]) == 0
    assert out(capfdbinary)[1] == ""


def test_nothing_found_of_what_nobody_collected(waiting: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([waiting, "--event", "gpu_copy"]) == 0
    assert out(capfdbinary)[1].endswith("; such events were not collected\n")
    assert run([waiting, "--event", "syscall", "--name", "nonsense"]) == 0
    assert "not collected" not in out(capfdbinary)[1]
    assert run([waiting, "--event", "syscall", "--name", "fsync"]) == 0
    assert "no syscall events that ended here" in out(capfdbinary)[1]


def test_a_reader_that_has_seen_enough_is_no_error(recording: str) -> None:
    """`aperture export FILE | true`, where the locale has no umlauts either."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    code = "import sys; from aperture_tui.cli.main import main; sys.exit(main())"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code, "export", recording, "--event", "offcpu"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_has_examples_and_costs_no_numpy() -> None:
    code = (
        "import sys; from aperture_tui.cli.export import run\n"
        "try: run(['--help'])\n"
        "except SystemExit: sys.exit('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "examples:" in done.stdout
