"""Text from outside made safe to show."""

from __future__ import annotations

import re
from typing import Final

# C0, DEL, C1, line and paragraph separators, and the marks that reorder text: nothing a terminal would act on.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str | bytes) -> str:
    r"""The text with every control and reordering character written out (`\x1b`), bytes read as UTF-8.

    Names of processes, functions and files come from programs that we do not trust; they reach terminals,
    reports and recordings only through here.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return _UNSAFE.sub(lambda m: m[0].encode("unicode_escape").decode("ascii"), text)
