"""Hosts, gauges, health and the names of tags as JSON payloads, and back from payloads that are not trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from aperture_tui.profile.gpu import GpuSample
from aperture_tui.profile.health import Health
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.tags import checked
from aperture_tui.profile.text import clean

_MAX: Final = 1 << 63
_MAX_GPUS: Final = 256
MAX_JSON: Final = 4 << 20
"""Bytes of JSON, in a block or a header: as objects they take thirty times as much."""

T = TypeVar("T")


def from_hosts(hosts: Sequence[HostFacts]) -> bytes:
    """Payload of a hosts block."""
    return json.dumps([asdict(host) for host in hosts]).encode()


def from_gauges(samples: Sequence[HostSample]) -> bytes:
    """Payload of a gauges block; what is unknown is left out."""
    return json.dumps([_told(asdict(sample)) for sample in samples]).encode()


def _told(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if value is not None}
    gpus = [_told(gpu) for gpu in told.pop("gpus", ())]
    return {**told, "gpus": gpus} if gpus else told


def from_health(health: Sequence[Health]) -> bytes:
    """Payload of a health block."""
    return json.dumps([h.as_json() for h in health]).encode()


def from_tags(names: Sequence[str]) -> bytes:
    """Payload of a tags block."""
    return json.dumps(names).encode()


def hosts(payload: bytes) -> list[HostFacts] | None:
    """The machines of a hosts block; None if it is none."""
    return _each(payload, _host)


def gauges(payload: bytes) -> list[HostSample] | None:
    """The readings of a gauges block; None if it is none."""
    return _each(payload, _sample)


def health(payload: bytes) -> list[Health] | None:
    """The health of a health block; None if it is none."""
    return _each(payload, Health.from_json)


def tags(payload: bytes) -> tuple[str, ...] | None:
    """The names of a tags block, that of bit 0 first; None if it is none."""
    names = parsed(payload)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    try:
        return checked(names)
    except ValueError:
        return None


def _each(payload: bytes, one: Callable[[dict[str, Any]], T]) -> list[T] | None:
    rows = parsed(payload)
    try:
        return [one(row) for row in rows] if isinstance(rows, list) else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _host(row: dict[str, Any]) -> HostFacts:
    return HostFacts(
        clean(row["name"]),
        clean(row["kernel"]),
        _whole(row["cpus"]),
        _whole(row["memory_bytes"]),
        clean(row.get("boot_id", "")),
    )


def _sample(row: dict[str, Any]) -> HostSample:
    known: dict[str, Any] = {}
    for name in HostSample.__dataclass_fields__:
        value = row.get(name)
        if value is None:
            continue
        if name == "load":
            one, five, fifteen = map(_real, value)
            known[name] = (one, five, fifteen)
        elif name == "gpus":
            known[name] = tuple(GpuSample.from_json(one) for one in value[:_MAX_GPUS])
        else:
            known[name] = _whole(value) if name.endswith(("_ns", "_bytes")) else _real(value)
    return HostSample(**known)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX:
        raise ValueError(f"not a number of this kind: {value!r}")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not -1e18 < value < 1e18:
        raise ValueError(f"not a number: {value!r}")
    return float(value)


def parsed(text: bytes) -> object:
    """JSON from a stranger; None for what is none or too much, numbers that are none included."""
    if len(text) > MAX_JSON:
        return None
    try:
        value: object = _JSON.decode(text.decode(json.detect_encoding(text), "surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


_JSON: Final = json.JSONDecoder(parse_constant=_no_number)
"""`json.loads` makes one each time, which takes longer than most of what is read."""
