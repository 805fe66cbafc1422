"""Each version of a file is read once, usable or not, and of many the longest unused is forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aperture_tui.symbolize.address_space import Mapping
from aperture_tui.symbolize.binary_cache import BinaryCache
from aperture_tui.symbolize.source import ElfError, Source


class RefusedError(Exception):
    """What the reader of these tests raises, and the cache."""


class Reader:
    """Says what a file holds. texts: of what was read, in turn. meanwhile: what is written to a file as it is read."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.meanwhile: tuple[Path, bytes] | None = None

    def __call__(self, source: Source) -> bytes:
        text = source.read(0, source.size)
        self.texts.append(text)
        if self.meanwhile is not None:
            path, more = self.meanwhile
            path.write_bytes(more)
        if text == b"no ELF":
            raise ElfError("not an ELF file")
        if text == b"other":
            raise RefusedError("another one than is known")
        return text


def mapped(path: Path, text: bytes) -> Mapping:
    path.write_bytes(text)
    facts = path.stat()
    return Mapping(0x1000, 0x2000, 0, str(path), facts.st_dev, facts.st_ino)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def cache(reader: Reader) -> BinaryCache[bytes]:
    return BinaryCache(reader, RefusedError, max_files=2)


def test_a_version_is_read_once_and_the_next_one_anew(
    cache: BinaryCache[bytes], reader: Reader, tmp_path: Path
) -> None:
    mapping = mapped(tmp_path / "a", b"one")
    assert [cache.get(os.getpid(), mapping) for _ in range(3)] == [b"one"] * 3
    mapped(tmp_path / "a", b"a second")
    assert cache.get(os.getpid(), mapping) == b"a second"
    assert reader.texts == [b"one", b"a second"]


@pytest.mark.parametrize(("text", "why"), [(b"no ELF", "not an ELF file"), (b"other", "another one than is known")])
def test_what_could_not_be_used_is_remembered_as_such(
    cache: BinaryCache[bytes], reader: Reader, tmp_path: Path, text: bytes, why: str
) -> None:
    mapping = mapped(tmp_path / "a", text)
    for _ in range(3):
        with pytest.raises(RefusedError) as caught:
            cache.get(os.getpid(), mapping)
        assert str(caught.value) == f"{tmp_path}/a: {why}"
    assert reader.texts == [text]


def test_of_many_the_longest_unused_is_forgotten(cache: BinaryCache[bytes], reader: Reader, tmp_path: Path) -> None:
    a, b, c = (mapped(tmp_path / name, name.encode()) for name in "abc")
    for mapping in (a, b, a, c, a, b, a):
        cache.get(os.getpid(), mapping)
    assert reader.texts == [b"a", b"b", b"c", b"b"]


def test_what_is_written_as_a_file_is_read_is_a_version_that_has_not_been_read(
    cache: BinaryCache[bytes], reader: Reader, tmp_path: Path
) -> None:
    mapping = mapped(tmp_path / "a", b"one")
    reader.meanwhile = (tmp_path / "a", b"a second")
    assert cache.get(os.getpid(), mapping) == b"one"
    reader.meanwhile = None
    assert cache.get(os.getpid(), mapping) == b"a second"


def test_a_file_that_cannot_be_opened_is_one_line_and_tried_again(
    cache: BinaryCache[bytes], reader: Reader, tmp_path: Path
) -> None:
    mapping = mapped(tmp_path / "of\ntwo lines", b"one")
    (tmp_path / "of\ntwo lines").rename(tmp_path / "away")
    with pytest.raises(RefusedError) as caught:
        cache.get(os.getpid(), mapping)
    assert str(caught.value).startswith(rf"{tmp_path}/of\ntwo lines of process {os.getpid()}: ")
    (tmp_path / "away").rename(tmp_path / "of\ntwo lines")
    assert cache.get(os.getpid(), mapping) == b"one"
