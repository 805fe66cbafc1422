"""Names of files: a good one to begin with, and what a typed one means."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from pathlib import Path
from typing import Final

from aperture_tui.export.new_file import invoking_user
from aperture_tui.profile.text import clean

_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST: Final = 60
"""Characters of a part: a host's name may be longer than a name of a file."""


def default_name(host: str, what: str, at_ns: int, suffix: str) -> str:
    """ "aperture-web-7-cpu-20261126-142211.svg", of letters that any shell and file system takes. at_ns: local time."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(at_ns // 1_000_000_000))
    parts = (_ODD.sub("-", part)[:_MOST].strip("-.") for part in (host, what))
    return "-".join(filter(None, ["aperture", *parts, stamp])) + suffix


def with_suffix(text: str, old: str, new: str) -> str:
    """A name for another format: another end, if it has the one that belongs to the old."""
    return text.removesuffix(old) + new if text.endswith(old) and text != old else text


def target(text: str) -> Path:
    """The file that a text means, as an absolute path. Raises ValueError in words."""
    text = text.strip()
    if not text:
        raise ValueError("type a name for the file")
    if clean(text) != text:
        raise ValueError("a name has no control characters")
    if text.endswith("/") or text.rpartition("/")[2] in (".", ".."):
        raise ValueError(f"{text} is a folder: add a name")
    return Path(os.path.abspath(_at_home(text)))


def _at_home(text: str) -> str:
    """With ~ in full: by sudo it is the folder of who called it, whose file it will be."""
    owner = invoking_user()
    if owner is not None and (text == "~" or text.startswith("~/")):
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(owner.uid).pw_dir + text[1:]
    return os.path.expanduser(text)
