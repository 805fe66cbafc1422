"""The way in for those who may have no filter, and then need no wasmtime. Free of numpy."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from aperture_tui.filters.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.filters.chain import Chain
    from aperture_tui.filters.recorded import Recorded
    from aperture_tui.filters.spec import Spec

MENDS: Final = "filters need wasmtime: pip install 'aperture-tui[filters]'"


def problem() -> str:
    """Why no filter can work here, with what mends it; "" if one can. Imports nothing."""
    return "" if find_spec("wasmtime") is not None else MENDS


def open_chain(specs: Sequence[Spec], known_tags: Sequence[str] = ()) -> Chain:
    """The chain of these filters, ready for batches (`chain.Chain`). Raises FilterError, with what mends it."""
    _need_wasmtime()
    from aperture_tui.filters.chain import Chain

    return Chain(specs, known_tags=known_tags)


def open_recorded(specs: Sequence[Spec], known_tags: Sequence[str] = ()) -> Recorded:
    """The same for what was recorded (`recorded.Recorded`)."""
    _need_wasmtime()
    from aperture_tui.filters.recorded import Recorded

    return Recorded(specs, known_tags)


def _need_wasmtime() -> None:
    try:
        import wasmtime  # noqa: F401  # to tell its absence from any other
    except ImportError as error:
        raise FilterError(f"{MENDS} ({error})") from None
