"""The aggregator's TLS: certificates from files, read again when they change, so that renewing one needs no restart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from aperture_tui.fleet.aggregator.refusal import LOG
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from grpc import ServerCertificateConfiguration, ServerCredentials


class CertificatesError(ValueError):
    """What is wrong with a file, in one clear line."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files. authority: of the clients' certificates; with it, whoever has none is refused."""

    certificate: str
    key: str
    authority: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(path for path in (self.certificate, self.key, self.authority) if path)


def credentials(files: Certificates) -> ServerCredentials:
    """For a port of gRPC. Raises CertificatesError."""
    first = _configuration(files)
    follower: Any = _Follower(files)  # the stubs know nothing of None
    return grpc.dynamic_ssl_server_credentials(first, follower, files.authority is not None)


class _Follower:
    """Called by gRPC at each handshake, in a thread of its own: gives what has changed, or None."""

    def __init__(self, files: Certificates) -> None:
        self._files = files
        self._seen = _state(files)

    def __call__(self) -> ServerCertificateConfiguration | None:
        state = _state(self._files)
        if state == self._seen:
            return None
        self._seen = state  # a broken file is told of once, and looked at again when it changes
        try:
            return _configuration(self._files)
        except CertificatesError as error:
            LOG.error("%s; the former certificate stays in use", error)
            return None


def _state(files: Certificates) -> tuple[object, ...]:
    out: list[object] = []
    for path in files.paths:
        try:
            found = os.stat(path)
            out.append((found.st_ino, found.st_size, found.st_mtime_ns))
        except OSError as error:
            out.append(error.errno)
    return tuple(out)


def _configuration(files: Certificates) -> ServerCertificateConfiguration:
    """Raises CertificatesError."""
    certificate, key = _read(files.certificate, "CERTIFICATE"), _read(files.key, "PRIVATE KEY")
    authority = _read(files.authority, "CERTIFICATE") if files.authority else None
    _check_pair(files)
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


def _check_pair(files: Certificates) -> None:
    """gRPC says nothing useful of a key that is another certificate's. Raises CertificatesError."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        words = f"{clean(files.certificate)} and {clean(files.key)} are no certificate and its key"
        raise CertificatesError(words) from error


def _no_password() -> str:
    raise ValueError("a key with a password cannot be used")


def _read(path: str, what: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CertificatesError(f"{clean(path)}: {error.strerror}") from error
    if f"{what}-----".encode() not in data:
        raise CertificatesError(f"{clean(path)}: no {what.lower()} in PEM")
    return data
