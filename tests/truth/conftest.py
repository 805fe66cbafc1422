"""One run of all programs that the chosen tests ask about."""

from __future__ import annotations

import pytest

from tests.truth.known import Known
from tests.truth.programs import NotBuilt
from tests.truth.watching import Watched, watch


@pytest.fixture(scope="session")
def seen(request: pytest.FixtureRequest) -> dict[str, Watched | NotBuilt]:
    """What was seen of each program, by name; of those alone whose tests will run."""
    chosen: dict[str, Known] = {}
    for item in request.session.items:
        known = getattr(item, "callspec", None) and item.callspec.params.get("known")  # type: ignore[attr-defined]  # of parametrised functions
        if isinstance(known, Known):
            chosen[known.name] = known
    return watch(list(chosen.values()))


@pytest.fixture
def watched(known: Known, seen: dict[str, Watched | NotBuilt]) -> Watched:
    """What was seen of one program; skips where its toolchain is missing."""
    found = seen[known.name]
    if isinstance(found, NotBuilt):
        pytest.skip(str(found))
    assert sum(found.ours.values()) > 300, f"too few samples to say anything; lost: {found.lost}"
    return found
