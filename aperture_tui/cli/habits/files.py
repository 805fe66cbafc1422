"""Files that a person has written: where they lie, whose they are, what stands in which line.

What such a file can do is little: colours, keys, how often and how much is looked at. It names no file to write, no
program to run, no machine to ask, no filter. So what it takes to be believed is that nobody else could write it: it
belongs to whoever runs this or to root, and not everybody may write to it. Root looks at the files of the person who
called sudo, who could give the same options on the command line, and at nobody else's.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aperture_tui.profile.text import clean

MAX_BYTES: Final = 65536
_MAX_THEMES: Final = 100
_SYSTEM: Final = Path("/etc/aperture/config.toml")
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TABLE: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY: Final = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


class FileError(Exception):
    """One line, with the file and where it is known the line in it."""


class NotTrustedError(FileError):
    """The file could have been written by somebody else."""


@dataclass(frozen=True)
class Read:
    """A file that was read. lines: from 1, by the name of a value, with its table's before it: `keys.view.sort`."""

    path: Path
    data: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def where(self, name: str) -> str:
        """The place of a value: `/etc/aperture/config.toml:3`."""
        line = self.lines.get(name)
        return clean(str(self.path)) + (f":{line}" if line else "")


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this person's settings lie: of root under sudo, those of who called it."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(chosen):  # as the XDG Base Directory Specification has it: relative ones are ignored
        caller = _caller(environ)
        home = environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir if caller is None else _home(caller, environ)
        chosen = os.path.join(home, ".config")
    return Path(chosen, "aperture")


def config_files(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """From the one that comes first."""
    return config_folder(environ) / "config.toml", _SYSTEM


def theme_files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """This person's themes."""
    try:
        with os.scandir(config_folder(environ) / "themes") as entries:
            found = sorted(entry.path for entry in entries if entry.name.endswith(".toml"))
    except OSError:  # most people have none
        return []
    return [Path(path) for path in found[:_MAX_THEMES]]


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where what is written lies. Root's is root's own also under sudo: nothing of root's lies in a user's home."""
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state) or not _ours(state):
        home = environ.get("HOME", "")
        home = home if os.path.isabs(home) and _ours(home) else pwd.getpwuid(os.geteuid()).pw_dir
        state = os.path.join(home, ".local", "state")
    return Path(state, "aperture", "top")  # of its own: what grows too much in it is thrown away


def read(path: Path, environ: Mapping[str, str] = os.environ) -> Read | None:
    """A file of settings or colours; None if there is none. Raises FileError, NotTrustedError."""
    told = clean(str(path))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"{told}: {error.strerror}") from error
    try:
        _check(fd, told, environ)
        with open(fd, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_BYTES:
        raise FileError(f"{told}: larger than {MAX_BYTES >> 10} KB")
    try:
        text = content.decode("utf-8")
        return Read(path, tomllib.loads(text), dict(_lines(text)))
    except UnicodeDecodeError as error:
        raise FileError(f"{told}:{content[: error.start].count(10) + 1}: not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = _WHERE.search(str(error))
        line = "" if where is None else f":{where[1] or text.count(chr(10)) + 1}"
        raise FileError(f"{told}{line}: not TOML: {clean(_WHERE.sub('', str(error)))}") from error


def _check(fd: int, told: str, environ: Mapping[str, str]) -> None:
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode):
        raise FileError(f"{told}: not a file")
    if facts.st_uid not in {0, os.geteuid(), _caller(environ)}:
        raise NotTrustedError(f"{told}: not read, it belongs to somebody else (uid {facts.st_uid})")
    if facts.st_mode & stat.S_IWOTH:
        raise NotTrustedError(f"{told}: not read, everybody may write to it: chmod o-w")


def _caller(environ: Mapping[str, str]) -> int | None:
    """The uid of who called sudo; None if nobody did."""
    told = environ.get("SUDO_UID", "")
    return int(told) if os.geteuid() == 0 and told.isascii() and told.isdecimal() and len(told) < 11 else None


def _home(uid: int, environ: Mapping[str, str]) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except (KeyError, OverflowError):
        return environ.get("HOME") or "/root"


def _ours(path: str) -> bool:
    """Whether a folder, or what it would be made in, belongs to whoever runs this, or to root."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return os.stat(path).st_uid in {0, os.geteuid()}


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """(name, line) of each value that begins a line: good enough to point at."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if (found := _TABLE.fullmatch(line)) is not None:
            table = f"{_plain(found[1])}."
        elif (found := _KEY.match(line)) is not None:
            yield table + _plain(found[1]), number


def _plain(name: str) -> str:
    return re.sub(r"\s*\.\s*", ".", name).replace('"', "").replace("'", "")
