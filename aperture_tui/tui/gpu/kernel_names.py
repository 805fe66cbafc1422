"""Names of kernels in as many cells as there are. Pure."""

from __future__ import annotations

from functools import lru_cache

from aperture_tui.tui.cells import cut, plain, width_of
from aperture_tui.tui.icicle.labels import simple_name


@lru_cache(4096)
def _forms(name: str) -> tuple[str, ...]:
    """The longest first."""
    whole = plain(name) or "[unknown]"
    bare = whole.removeprefix("void ")
    namespace = simple_name(bare).rpartition("::")[0]
    local = bare.removeprefix(f"{namespace}::") if namespace else bare
    return tuple(dict.fromkeys((whole, bare, local)))


def shortened(name: str, width: int) -> str:
    """The longest form that fits into `width` cells, else the shortest, cut.

    Without its result and its namespace, but with its template's arguments: by these alone many kernels differ.
    """
    forms = _forms(name)
    return next((form for form in forms if width_of(form) <= width), cut(forms[-1], width))
