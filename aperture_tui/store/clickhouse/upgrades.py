"""How tables of an older version become those of today.

Each step may have been done: an upgrade that was broken off is done again. What is read comes before what reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aperture_tui.store.clickhouse.schema import (
    EVENT_NAMES,
    SAMPLED,
    TAGS,
    Column,
    of_samples,
    tag_sets,
    views_of_samples,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aperture_tui.store.clickhouse.schema import Retention, Step


def upgrades(retention: Retention) -> Mapping[int, Sequence[Step]]:
    """What makes each version of the one before it. Version 1 had no tags and no sample of 1/3,125, and each sample was
    fed by the one before it.
    """
    return {2: [*_second(retention)]}


def _second(retention: Retention) -> Iterator[Step]:
    """What was stored before there was a fifth sample is drawn once more for it."""
    *before, newest = (f"events_{one_of}" for one_of in SAMPLED)
    yield tag_sets(retention)
    for name in ("events", *before):
        yield Column(name, TAGS)
    yield from of_samples(retention, SAMPLED[-1:])
    for name in before:
        yield f"DROP VIEW IF EXISTS {{db}}.{name}_view {{on}}"
    yield f"TRUNCATE TABLE {{db}}.{newest}{{local}} {{on}}"
    drawn = ", ".join(f"draw + 1 AS {name}" if name == "draw" else name for name in EVENT_NAMES.split(", "))
    yield f"""INSERT INTO {{db}}.{newest} ({EVENT_NAMES}) SELECT {drawn} FROM {{db}}.{before[-1]}
        WHERE cityHash64(host, time_ns, stack, tid) % 5 = 0"""
    yield from views_of_samples()
