"""What is recognised, and what is left to others."""

from __future__ import annotations

import gzip
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.importing import source
from aperture_tui.importing.opened import ImportingError, imported
from aperture_tui.profile.query import Query
from aperture_tui.store.memory import Limits
from tests.importing import test_perf_script, test_pprof
from tests.importing.asked import opened, stacks, told
from tests.recording.sample import GOOD

FOLDED = "sh;main;work 3\npython;main 4\n"
FORMATS = {
    "folded": FOLDED.encode(),
    "perf script": test_perf_script.PRINTED.encode(),
    "pprof": test_pprof.small().bytes(),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some file"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_the_contents_tell_what_it_is_and_not_the_name(path: Path, form: str, packed: bool) -> None:
    assert told(opened(path, FORMATS[form], packed)).message.startswith(form)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", GOOD, b"\x7fELF" + bytes(200), b"\x89PNG\r\n\x1a\n", b"{\"a\": 1}\n",
        b"some words\n", b"tcpmux 1/tcp\necho 7/tcp\n", b"1 2\n3 4\n",
        gzip.compress(b"some words\n"), b"\x1f\x8bnot gzip", b"PK\x03\x04",
    ],
)  # fmt: skip
def test_everything_else_is_somebody_elses(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert imported(path) is None


def test_stacks_of_a_process_alone_need_the_name(path: Path) -> None:
    path.write_text("sh 3\n")
    assert imported(path) is None
    assert stacks(opened(path.with_suffix(".folded"), "sh 3\n")) == {"sh": 3}


def test_several_gzip_members_are_one_file(path: Path) -> None:
    store = opened(path, gzip.compress(FOLDED.encode()) + gzip.compress(b"sh;more 1\n") + bytes(10))
    assert sum(stacks(store).values()) == 8
    assert "missing" not in told(store).message


def test_an_empty_gzip_member_is_not_the_end(path: Path) -> None:
    store = opened(path, gzip.compress(b"") * 3 + gzip.compress(FOLDED.encode()))
    assert sum(stacks(store).values()) == 7


def test_what_fills_a_tape_is_not_damage(path: Path) -> None:
    store = opened(path, gzip.compress(FOLDED.encode()) + bytes(3 << 20))
    assert sum(stacks(store).values()) == 7
    assert "missing" not in told(store).message


def test_gzip_members_without_end_are_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(FOLDED.encode()) + gzip.compress(b"") * 100_001)
    with pytest.raises(ImportingError, match="packed in more than 100,000 parts"):
        imported(path)


def test_a_pipe_can_be_read(path: Path) -> None:
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text(FOLDED))
    writer.start()
    store = imported(path)
    writer.join()
    assert store is not None
    assert sum(stacks(store).values()) == 7


def test_what_cannot_be_read_is_the_systems_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        imported(path)
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        imported(path)


def test_a_text_beyond_the_limit_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "TEXT_BYTES", 2 << 20)
    path.write_bytes(gzip.compress(FOLDED.encode() * 100_000))
    with pytest.raises(ImportingError, match="some file: larger than 2 MB unpacked"):
        imported(path)


def test_lines_without_end_are_dropped_and_counted(path: Path) -> None:
    long = "sh;" + "x" * (3 * source.MAX_LINE)
    store = opened(path, f"{FOLDED}{long} 5\nsh;after 1\n{long}\n{long}")
    assert stacks(store) == {"sh;main;work": 3, "python;main": 4, "sh;after": 1}
    assert told(store).lost == {"unreadable lines": 3}


def test_the_limits_are_the_callers(path: Path) -> None:
    path.write_bytes(FORMATS["perf script"])
    store = imported(path, Limits(seconds=None, bytes=100))
    assert store is not None
    assert store.span().dropped_events > 0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b\x08", *FORMATS.values()]), st.booleans())
def test_any_bytes_are_never_a_crash(some: bytes, before: bytes, packed: bool) -> None:
    data = before + some
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x")
        file.write_bytes(gzip.compress(data)[: len(data)] if packed else data)
        try:
            store = imported(file)
        except ImportingError:
            return
    if store is not None:
        assert store.span().events == told(store).delivered
        store.call_tree(Query())
