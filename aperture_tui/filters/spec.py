"""What a user asks for: a file, its configuration, and what becomes of events when it fails. Free of numpy."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aperture_tui.filters.errors import FilterError, one_line

MAX_CONFIG_BYTES: Final = 1 << 20


class OnError(enum.Enum):
    """What becomes of a batch that a filter could not judge."""

    KEEP = "keep"
    """It passes whole, and is counted as unfiltered."""
    DROP = "drop"
    """It is lost, and counted: for filters that must let nothing pass unseen."""
    STOP = "stop"
    """It is lost, and so is everything after it: the chain stops, and says so."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One filter of a chain. config: JSON text, handed to the program as it stands. name: "" is that of the file.

    Raises FilterError for a configuration that is no JSON, or is larger than MAX_CONFIG_BYTES.
    """

    path: Path
    config: str = "{}"
    on_error: OnError = OnError.KEEP
    name: str = ""

    def __post_init__(self) -> None:
        if len(self.config.encode("utf-8", "surrogatepass")) > MAX_CONFIG_BYTES:
            raise FilterError(f"{self.title}: its configuration is larger than {MAX_CONFIG_BYTES >> 20} MB")
        try:
            json.loads(self.config)
        except (ValueError, RecursionError) as error:
            raise FilterError(f"{self.title}: its configuration is not JSON: {one_line(str(error))}") from error

    @property
    def title(self) -> str:
        """What it is called on the screens."""
        return one_line(self.name or self.path.name.removesuffix(".wasm"), 60)
