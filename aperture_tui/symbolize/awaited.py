"""Files whose file system does not answer, to be asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from aperture_tui.symbolize.address_space import Mapping

MOST: Final = 1024
"""Files; of those beyond a process has to be met again."""

_Through = TypeVar("_Through")


class Awaited(Generic[_Through]):
    """Mapped files, and through which process each was sought last. Owned by one thread."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int, str], tuple[_Through, Mapping]] = {}
        self._silent: set[int] = set()

    def __contains__(self, mapping: Mapping) -> bool:
        return _file(mapping) in self._files

    def add(self, through: _Through, mapping: Mapping) -> bool:
        """A file did not answer. False if too many wait."""
        self._silent.add(mapping.device)
        if len(self._files) >= MOST and mapping not in self:
            return False
        self._files[_file(mapping)] = through, mapping
        return True

    def take(self) -> Iterator[tuple[_Through, Mapping]]:
        """Those to be asked for now, which are forgotten with that: of each device until one is added again."""
        self._silent.clear()
        files, self._files = self._files, {}
        for file, (through, mapping) in files.items():
            if mapping.device in self._silent:
                self._files[file] = through, mapping
            else:
                yield through, mapping


def _file(mapping: Mapping) -> tuple[int, int, str]:
    return mapping.device, mapping.inode, mapping.path
