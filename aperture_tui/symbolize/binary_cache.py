"""What a reader has found out about files that processes map, by their version: each is read once for all of them."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aperture_tui.profile.text import clean
from aperture_tui.symbolize.address_space import Mapping, mapped_facts, open_mapping
from aperture_tui.symbolize.images import ImageKey
from aperture_tui.symbolize.source import ElfError, FileSource, Source

Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class _Unusable:
    """A version of a file that the reader refused, and why."""

    why: str


class BinaryCache(Generic[Known]):
    """What is known of files by file version, those longest unused forgotten first. Owned by one thread.

    reader: finds it out; raises ElfError, or `error`, for a file that cannot be used, which is remembered like the
    rest. error: what `get` raises. max_files: how many versions are remembered.
    """

    def __init__(self, reader: Callable[[Source], Known], error: type[Exception], max_files: int = 256) -> None:
        self._reader = reader
        self._error = error
        self._max_files = max_files
        self._known: OrderedDict[ImageKey, Known | _Unusable] = OrderedDict()

    def get(self, pid: int, mapping: Mapping) -> Known:
        """What is known of the file behind a mapping. Raises the error, in one line, if it cannot be opened or used."""
        try:
            key = ImageKey.of(mapped_facts(pid, mapping))
            if key not in self._known:
                key = self._add(open_mapping(pid, mapping))
        except OSError as error:
            raise self._error(f"{clean(mapping.path)} of process {pid}: {error.strerror}") from error
        self._known.move_to_end(key)
        known = self._known[key]
        if isinstance(known, _Unusable):
            raise self._error(f"{clean(mapping.path)}: {known.why}")
        return known

    def _add(self, source: FileSource) -> ImageKey:
        """Read a file. Closes it."""
        with contextlib.closing(source):
            key = ImageKey.of(source.stat())  # before it is read: what is written meanwhile makes it another version
            try:
                self._known[key] = self._reader(source)
            except (ElfError, self._error) as error:
                self._known[key] = _Unusable(str(error))
        if len(self._known) > self._max_files:
            self._known.popitem(last=False)
        return key
