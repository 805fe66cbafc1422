"""What became of the addresses, for Health."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class ResolverCounts:
    """What happened since the start; for Health. Addresses count once, when they are first met in a process.

    addresses: resolved. unknown_module: in no mapping. unknown_symbol: in a known module, but in none of its symbols.
    jit_unnamed: in anonymous memory without a name in a perf map. elf_errors: things in files that could not be read
    as symbols. files_unreadable: failed attempts to open a mapped file. maps_unreadable: failed attempts to read a
    process's maps again. maps_malformed, perf_map_malformed: lines passed over. perf_maps_refused: of doubtful owner,
    or too long. kernel_unreadable: kernel addresses looked up while there were no kernel symbols.
    """

    addresses: int = 0
    unknown_module: int = 0
    unknown_symbol: int = 0
    jit_unnamed: int = 0
    elf_errors: int = 0
    files_unreadable: int = 0
    maps_unreadable: int = 0
    maps_malformed: int = 0
    perf_map_malformed: int = 0
    perf_maps_refused: int = 0
    kernel_unreadable: int = 0

    def as_dict(self) -> dict[str, int]:
        """Cause -> count, for Health."""
        return asdict(self)


@dataclass(slots=True)
class InlineCounts:
    """What became of the files whose inlined functions were wanted; for Health.

    made: tables made. failed: files that the child could not read, or not within its limits. too_large: with more debug
    information than is read. not_installed: while the library that reads DWARF is missing. put_off: met while too many
    others waited, or while memory was short. cache_refused: files of the cache that could not be believed.
    cache_unwritable: tables that could not be stored.
    """

    made: int = 0
    failed: int = 0
    too_large: int = 0
    not_installed: int = 0
    put_off: int = 0
    cache_refused: int = 0
    cache_unwritable: int = 0

    def degraded(self) -> Counter[str]:
        """In words, what has to do with frames that are missing."""
        return Counter(
            {
                "files without inlined functions: pip install symbolic": self.not_installed,
                "files without inlined functions: debug information unreadable": self.failed,
                "files without inlined functions: debug information too large": self.too_large,
                "files without inlined functions: no room to read debug information": self.put_off,
                "tables of inlined functions that are not believed": self.cache_refused,
                "tables of inlined functions that could not be stored": self.cache_unwritable,
            }
        )
