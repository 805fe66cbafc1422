"""What may have been meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def meant(name: str, known: Collection[str], *, most: int = 1, listed: int = 0, behind: str = "") -> str:
    """The end of a complaint: "; did you mean frames or frame?".

    most: how many near ones are named. listed: where none is near, how many are named all the same, "; there is cpu,
    lock, ...": 0 says nothing then. behind: what stands behind a name wherever it is written.
    """
    if near := [f"{one}{behind}" for one in difflib.get_close_matches(name, known, most)]:
        return f"; did you mean {' or '.join(near)}?"
    if not listed:
        return ""
    some = [f"{one}{behind}" for one in list(known)[:listed]]
    return f"; there is {', '.join(some)}{', ...' if len(known) > listed else ''}" if some else "; there are none"
