"""Regular expressions of strangers over names of strangers: by RE2, which takes no longer than the names are long.

Python's own can take for ever over thirty letters, and no other thread runs meanwhile: one question would stop
everything. What RE2 cannot do, because it would take for ever, is refused: look-arounds and back-references.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.where_patterns import linear
from aperture_tui.store.selection import FrameSearch


class LinearSearch(FrameSearch):
    """Safe for threads, which go on while it searches."""

    def matching(self, pattern: str, texts: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) bool: the texts in which the pattern is found. Raises re.error."""
        import pyarrow as pa
        import pyarrow.compute as pc

        re.compile(pattern)
        try:
            found = pc.match_substring_regex(pa.array(texts, pa.string()), linear(pattern))
        except pa.ArrowInvalid as error:
            words = str(error).removeprefix("Invalid regular expression: ")
            raise re.error(f"{words} (look-arounds and back-references are not possible here)") from error
        out: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False).astype(bool)
        return out
