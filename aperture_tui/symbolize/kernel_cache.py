"""The kernel's symbols kept on disk until the next boot: to have them told and read anew takes 0.1 to 0.4 s.

Within a boot, and with the same modules, the symbols of the kernel and of its modules stay where they are. What else
kallsyms tells (programs of BPF, trampolines) comes and goes, and is not kept: who meets such an address asks kallsyms.

A file of the cache: 32s SHA-256 of the key and of what follows, and the columns of a `KernelTable` as numpy's .npz.
What does not fit is not believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from aperture_tui.symbolize.kernel import KERNEL, KernelTable
from aperture_tui.symbolize.private_folder import PrivateFolder, cache_folder, digest

_FORMAT: Final = b"kernel symbols 1"  # of this file, and of what makes the table
_MAX_BYTES: Final = 32 << 20  # two large kernels; a file has 6 to 15 MB
_DIGEST: Final = 32


class KernelCache:
    """The table of this boot and of the modules that are loaded as this object is made. Owned by one thread.

    folder: by default the user's cache. proc: where the kernel tells its boot and its modules.
    """

    def __init__(self, folder: Path | None = None, proc: Path = Path("/proc")) -> None:
        self._folder = PrivateFolder(folder or cache_folder("kernel"), _MAX_BYTES)
        try:
            boot = (proc / "sys/kernel/random/boot_id").read_bytes()
            loaded = _loaded(proc / "modules")
        except OSError:
            self._key, self._modules = b"", frozenset[str]()
        else:
            self._key = b"\n".join([_FORMAT, boot.strip(), *sorted(loaded)])
            self._modules = frozenset(line.split()[0].decode("utf-8", "backslashreplace") for line in loaded)

    def read(self) -> KernelTable | None:
        """What was kept; None if that is nothing, or nothing to be believed."""
        if not self._key:
            return None
        with contextlib.suppress(OSError):
            data = self._folder.read(self._name)
            if data is not None and data[:_DIGEST] == digest(self._key, b"", memoryview(data)[_DIGEST:]):
                return _table(data[_DIGEST:])
        return None

    def keep(self, table: KernelTable) -> None:
        """Store a table that was read after this object was made; where that cannot be, the next start is slower."""
        if not self._key or not len(table.start):
            return
        lasting = [row for row, name in enumerate(table.modules) if name == KERNEL or name in self._modules]
        body = _body(table, np.isin(table.module, lasting))
        with contextlib.suppress(OSError):
            self._folder.write(self._name, digest(self._key, b"", body), body)

    @property
    def _name(self) -> str:
        return f"{hashlib.sha256(self._key).hexdigest()[:32]}.npz"


def _loaded(path: Path) -> list[bytes]:
    """A line for each module: name, size, state, address. How many use it may change. Raises OSError."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:  # a kernel without modules
        return []
    columns = [line.split() for line in lines]
    return [b" ".join([*one[:2], *one[4:6]]) for one in columns if one]


def _body(table: KernelTable, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> memoryview:
    texts = {"modules": "\0".join(table.modules).encode("utf-8", "surrogateescape"), "names": table.names}
    columns: dict[str, Any] = {name: np.frombuffer(text, np.uint8) for name, text in texts.items()}
    columns |= {name: getattr(table, name)[rows] for name in ("start", "end", "name_at", "name_size", "module")}
    out = io.BytesIO()
    np.savez(out, **columns)
    return out.getbuffer()


def _table(data: bytes) -> KernelTable | None:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            columns = {field.name: kept[field.name] for field in dataclasses.fields(KernelTable)}
    except (ValueError, KeyError, zipfile.BadZipFile):
        return None
    modules = columns.pop("modules").tobytes().decode("utf-8", "surrogateescape").split("\0")
    return KernelTable(**columns | {"modules": tuple(modules), "names": columns["names"].tobytes()})
