"""What collectors share, without a session around it: for tests that load programs and read their maps themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aperture_tui.collect.clock import Clock
from aperture_tui.collect.common import Common
from aperture_tui.collect.settings import Settings
from aperture_tui.collect.unwind.supply import Supply
from aperture_tui.profile.symbols import Symbols
from aperture_tui.symbolize.resolver import Resolver


@contextmanager
def standing(settings: Settings | None = None, unwinder: bool = True) -> Iterator[Common]:
    """What all collectors of a session share, of these settings; with the unwinder's maps or without."""
    resolver, supply = Resolver(Symbols()), Supply()
    if unwinder:
        supply.start()
    try:
        common = Common(settings or Settings(), Clock.now(), resolver, supply)
        try:
            yield common
        finally:
            common.close()
    finally:
        supply.stop()
        resolver.close()
