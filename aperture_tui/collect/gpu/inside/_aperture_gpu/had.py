"""CUPTI, as it can be had in this process: of the program's own environment."""

from __future__ import annotations

import os
from typing import Any

from .attached import AsideError, explained


def imported() -> Any:
    """cupti-python, with its library loaded. Raises AsideError."""
    try:
        from cupti import cupti
    except ImportError:
        raise AsideError("cupti-python is not installed here: pip install 'cupti-python>=13.0.1,<14'") from None
    except Exception as error:
        raise AsideError(f"cupti-python cannot be imported: {error!r}") from None
    try:
        cupti.get_timestamp()  # loads libcupti
    except Exception as error:
        raise AsideError(explained(error)) from None
    return cupti


def source(cupti: Any) -> Any:
    """The callbacks that this program was started with. Raises AsideError."""
    from .source import Callbacks, Native

    library = os.environ.get("APERTURE_GPU_CALLBACKS", "")
    if library == "python":
        return Callbacks(cupti)
    if not library:
        raise AsideError("there are no compiled callbacks: a C compiler is needed (see docs/gpu.md)")
    try:
        return Native(cupti, library)
    except (OSError, AttributeError) as error:
        raise AsideError(f"the compiled callbacks cannot be used: {error}") from None


def names(cupti: Any) -> Any:
    """Those of calls."""
    from .source import Calls

    return Calls(cupti)


def version(package: str) -> str:
    """Of what is installed in this environment."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
