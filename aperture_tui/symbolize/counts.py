"""What became of the addresses, for Health."""

from __future__ import annotations

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
