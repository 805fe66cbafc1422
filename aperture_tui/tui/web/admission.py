"""Who may come in: a token that is changed for a cookie, the names of this machine, and pages of our own.

Cookies of a host go to all its ports (RFC 6265 8.5), so that another server on this machine would be sent ours. Hence
the cookie belongs to a path that nobody else can know, and the page lives below that.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass
from typing import Final

_SECRET_BYTES: Final = 32
_PATH_BYTES: Final = 16
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?", re.ASCII)
"""A Host header: RFC 9110 7.2."""
_SCHEMES: Final = ("http", "https")
"""The second behind something that speaks TLS for us."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What opens the door, made anew at each start. base: the first part of the path of everything but the door.

    names: how this machine is called, beside its addresses and `localhost`; lower case.
    """

    token: str
    cookie: str
    base: str
    names: frozenset[str] = frozenset()

    @classmethod
    def fresh(cls, names: frozenset[str] = frozenset()) -> Admission:
        """Secrets of 256 bits each."""
        token, cookie = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        return cls(token, cookie, secrets.token_hex(_PATH_BYTES), frozenset(name.lower() for name in names))

    @property
    def cookie_name(self) -> str:
        """Of this start alone, so that two servers of one host do not overwrite each other's."""
        return f"aperture-{self.base[:8]}"

    def is_token(self, given: str) -> bool:
        """In constant time."""
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def is_cookie(self, given: str) -> bool:
        """In constant time."""
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.cookie.encode())

    def is_here(self, host: str) -> bool:
        """Whether a Host header names this machine: whoever rebinds a name of theirs to our address sends that name.

        An address cannot be rebound, so any will do; the port is whatever a tunnel has made of it.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        address, name = found[1], (found[2] or "").lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            ipaddress.ip_address(address or name)
        except ValueError:
            return False
        return True


def is_own_page(origin: str, host: str) -> bool:
    """Whether the page at `origin`, the header of that name, came from where `host` points: from us."""
    return bool(host) and origin in [f"{scheme}://{host}" for scheme in _SCHEMES]
