"""Bearer tokens: who may push to which tenant, and who may read there. Only their hashes are kept."""

from __future__ import annotations

import datetime
import enum
import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc

from aperture_tui.fleet.aggregator.followed import FollowedFile
from aperture_tui.fleet.aggregator.refusal import Refused
from aperture_tui.profile.text import clean

TENANT: Final = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
PREFIX: Final = "aperture_"
"""With which a token begins, so that it is known for one where it must not lie."""
_MAX_FILE: Final = 16 << 20
_SECRET_BYTES: Final = 32


class Role(enum.Enum):
    """What a token is good for."""

    PUSH = "push"
    READ = "read"
    ADMIN = "admin"
    """Both."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. expires: Unix seconds, None for never. digest: of the token, b"" where none is asked for."""

    tenant: str
    role: Role
    expires: float | None = None
    digest: bytes = b""

    @property
    def may_push(self) -> bool:
        """Whether it may send pushes."""
        return self.role is not Role.READ

    @property
    def may_read(self) -> bool:
        """Whether it may ask."""
        return self.role is not Role.PUSH


ANYBODY: Final = Caller("default", Role.ADMIN)
"""Who calls where no tokens are asked for."""


class TokensError(ValueError):
    """What is wrong with a file of tokens, in one clear line."""


def drawn() -> str:
    """A new token, 256 bits of chance."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest(token: str) -> bytes:
    """What is kept of a token. A plain hash will do: nobody finds 256 bits of chance by trying."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def line(token: str, tenant: str, role: Role, expires: float | None = None) -> str:
    """What a file has of a token. expires: Unix seconds."""
    until = "" if expires is None else " " + _iso(expires)
    return f"{digest(token).hex()} {tenant} {role.value}{until}"


def _iso(moment: float) -> str:
    return datetime.datetime.fromtimestamp(int(moment), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> dict[bytes, Caller]:
    """The callers of a file by the digest of their token. Raises TokensError."""
    callers: dict[bytes, Caller] = {}
    for number, words in enumerate(text.splitlines(), 1):
        fields = words.partition("#")[0].split()
        if not fields:
            continue
        try:
            caller = _caller(fields)
        except ValueError as error:
            raise TokensError(f"line {number}: {error}") from error
        if caller.digest in callers:
            raise TokensError(f"line {number}: a token that an earlier line has")
        callers[caller.digest] = caller
    return callers


def _caller(fields: list[str]) -> Caller:
    """Raises ValueError in words, which have nothing of the line: it may be a token in the wrong file."""
    if not 3 <= len(fields) <= 4:
        raise ValueError("not `SHA-256 TENANT ROLE [EXPIRES]`")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", fields[0]):
        raise ValueError("the first word is not a SHA-256 in hexadecimal; `aperture token` makes such lines")
    if not TENANT.fullmatch(fields[1]):
        raise ValueError("the name of a tenant has 1 to 32 of a-z, 0-9 and _")
    if fields[2] not in {role.value for role in Role}:
        raise ValueError("the role is one of push, read, admin")
    expires = None
    if len(fields) == 4:
        try:
            until = datetime.datetime.fromisoformat(fields[3])
        except ValueError as error:
            raise ValueError("the last word is no time of ISO 8601, such as 2027-01-31T00:00:00Z") from error
        expires = (until if until.tzinfo else until.replace(tzinfo=datetime.UTC)).timestamp()
    return Caller(fields[1], Role(fields[2]), expires, bytes.fromhex(fields[0]))


class Access:
    """Who a caller is, by its token. What it says belongs to this moment: `refresh` follows the file.

    clock: Unix seconds.
    """

    def __init__(self, path: str | None, clock: Callable[[], float] = time.time) -> None:
        """path: the file of tokens; None: anybody may do anything. Raises TokensError."""
        self._clock = clock
        self._file = None
        if path is not None:
            self._file = FollowedFile(path, parsed, TokensError, "tokens", _MAX_FILE, secret=True)

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self._file is None

    def refresh(self) -> None:
        """Read the file again if it is another one. A broken one changes nothing, and is told of once."""
        if self._file is not None:
            self._file.refresh()

    def caller(self, token: str | None) -> Caller:
        """Who has this token. Raises Refused."""
        if self._file is None:
            return ANYBODY
        if not token:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "a token is needed: authorization: Bearer TOKEN")
        asked = digest(token)
        found = self._file.value.get(asked)  # by a hash: how long that takes tells nothing of the others' tokens
        if found is None or not hmac.compare_digest(found.digest, asked):
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "the token is not known here")
        return self._in_time(found)

    def still(self, caller: Caller) -> None:
        """Raises Refused if the caller's token has expired or been taken away since."""
        if self._file is None:
            return
        found = self._file.value.get(caller.digest)
        if found is None or (found.tenant, found.role) != (caller.tenant, caller.role):
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "the token is not good any more")
        self._in_time(found)

    def _in_time(self, caller: Caller) -> Caller:
        if caller.expires is not None and self._clock() >= caller.expires:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, f"the token expired at {_iso(caller.expires)}")
        return caller


def add(path: str, text: str) -> None:
    """A line more at the end of a file, which its owner alone may read if it is new. Raises OSError and TokensError."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
        before = file.read(_MAX_FILE + 1)
        try:
            parsed(before.decode())
        except (UnicodeDecodeError, TokensError) as error:
            raise TokensError(f"{clean(path)}: {error}: nothing was added") from error
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        file.seek(0, os.SEEK_END)
        file.write(gap + text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
