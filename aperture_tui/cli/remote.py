"""Aggregators on the command line: the options that say which and how, and its machines as a store."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.cli import times
from aperture_tui.cli.opening import OpeningError
from aperture_tui.profile.mistyped import meant
from aperture_tui.profile.text import clean
from aperture_tui.store.remote.link import FLEET, Focus, Link, RemoteSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.cli.arguments import Parser
    from aperture_tui.cli.times import Moment
    from aperture_tui.store.base import Store
    from aperture_tui.store.remote.store import RemoteStore

_PORT: Final = 50051
_MAX_FILE: Final = 1 << 20
_KEPT_S: Final = 60.0
"""A command ends before anything has changed that matters to it."""
_DEADLINE_S: Final = 60.0
"""Whoever has called a command waits longer than who looks at a screen."""


def add_aggregator(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Which aggregator, and how it is reached, as `settings` reads it."""
    group = parser.add_argument_group("an aggregator")
    words = f"where it listens (port {_PORT})"
    group.add_argument("--remote", type=address, required=required, metavar="HOST:PORT", help=words)
    group.add_argument("--token-file", metavar="FILE", help="a file with the token that it asks for")
    group.add_argument("--tls-ca", metavar="FILE", help="the authority of its certificate, in PEM (the system's)")
    group.add_argument("--tls-cert", metavar="FILE", help="a certificate of ours, in PEM, where it asks for one")
    group.add_argument("--tls-key", metavar="FILE", help="the key of that")
    group.add_argument(
        "--insecure", action="store_true", help="without TLS, as on this machine itself: who listens\nreads the token"
    )


def add_machines(parser: argparse.ArgumentParser) -> None:
    """Of which machines, as `focus` reads it."""
    group = parser.add_argument_group("its machines (all)")
    group.add_argument(
        "--host", dest="hosts", action="append", default=[], metavar="HOST", help="this one; may be given again"
    )
    group.add_argument("--service", metavar="NAME", help="those of this service")


def address(text: str) -> str:
    """HOST:PORT, or HOST; the host of IPv6 in brackets."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", text, re.ASCII)
    if found is None or not 0 < int(found[2] or _PORT) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give HOST:PORT, such as agg.example.net:{_PORT}")
    return f"{found[1]}:{found[2] or _PORT}"


def focus(parser: Parser, chosen: argparse.Namespace) -> Focus | None:
    """The machines that were named; None if none were."""
    if not chosen.hosts and chosen.service is None:
        return None
    if "" in chosen.hosts:
        parser.error("--host needs a name")
    return Focus(tuple(dict.fromkeys(chosen.hosts)), chosen.service)


def check(parser: Parser, chosen: argparse.Namespace) -> None:
    """Options that contradict each other, or say nothing without --remote, are wrong usage."""
    names = ("token_file", "tls_ca", "tls_cert", "tls_key", "insecure", "hosts", "service")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(chosen, name, None)]
    if chosen.remote is None and given:
        parser.error(f"{given[0].replace('--hosts', '--host')} needs --remote")
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        parser.error("--tls-cert and --tls-key need each other")
    if chosen.insecure and (chosen.tls_ca or chosen.tls_cert):
        parser.error("--insecure does without TLS: --tls-ca and --tls-cert are in vain")


def refuse_filters(parser: Parser, chosen: argparse.Namespace) -> None:
    """An aggregator answers with call trees: there are no events in them that a filter could judge."""
    if chosen.remote is not None and (chosen.filters or chosen.filter_error):
        given = "--filter" if chosen.filters else "--filter-error"
        parser.error(f"{given} is for recordings: an aggregator gives call trees, not the events that filters judge")


def settings(chosen: argparse.Namespace) -> RemoteSettings:
    """How the aggregator is reached. Raises OpeningError for a file that cannot be used."""
    authority, certificate = _certificates(chosen.tls_ca), _certificates(chosen.tls_cert)
    key = _read(chosen.tls_key) if chosen.tls_key else None
    if certificate is not None:
        _check_pair(chosen.tls_cert, chosen.tls_key)
    tls = not chosen.insecure and (authority is not None or certificate is not None or not _is_here(chosen.remote))
    token = _token(chosen.token_file) if chosen.token_file else ""
    return RemoteSettings(chosen.remote, token, tls, authority, certificate, key)


def opened(
    chosen: argparse.Namespace, where: Focus | None, watch: Callable[[float], None], nodes: int | None = None
) -> RemoteStore:
    """The store of a command that asks and ends. nodes: of call trees; None: all. Raises OpeningError."""
    store = _store(settings(chosen), where, nodes=nodes, kept_s=_KEPT_S, deadline_s=_DEADLINE_S)
    store.watch = watch
    return store


def unknown_machines(store: RemoteStore, where: Focus | None) -> str:
    """That there are no machines of a name that was asked for, in words; "" if that is not so. Raises RemoteError."""
    if where is None:
        return ""
    known = store.known_fleet()
    hosts, services = {host.name for host in known}, {host.service for host in known if host.service}
    if missing := [host for host in where.hosts if host not in hosts]:
        return f"no host is called {missing[0]}{_meant(missing[0], hosts)}"
    if where.service is not None and where.service not in services:
        return f"no host is of the service {where.service}{_meant(where.service, services)}"
    return ""


def _meant(name: str, known: set[str]) -> str:
    return meant(name, sorted(known), most=3, listed=3)


def window(
    parser: Parser, store: RemoteStore, option: str, start: Moment | None, end: Moment | None
) -> tuple[int | None, int | None]:
    """A range, Unix nanoseconds; None is no limit. `now` is now by the aggregator's clock. Raises RemoteError."""
    if start is None and end is None:
        return None, None
    span, now_ns = store.span(), store.now_ns()
    return times.window(parser, replace(span, end_ns=now_ns or span.end_ns), option, start, end)


class Remote:
    """An aggregator for the screens, which is asked when they are painted. name: how it was called."""

    def __init__(self, how: RemoteSettings, where: Focus | None) -> None:
        self.name = how.address.removesuffix(f":{_PORT}")
        self.focus = where
        self._settings = how
        self._store: RemoteStore | None = None

    def connect(self) -> Store:
        """The store, in a worker thread. Raises RuntimeError with one clear line."""
        try:
            self._store = _store(self._settings, self.focus)
        except OpeningError as error:
            raise RuntimeError(str(error)) from error
        return self._store

    def link(self) -> Link:
        """How well it answers."""
        return self._store.link() if self._store is not None else Link()

    def close(self) -> None:
        """End the connection."""
        if self._store is not None:
            self._store.close()


def _store(how: RemoteSettings, where: Focus | None, **options: Any) -> RemoteStore:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before it is imported, or it writes on the screens
    try:
        from aperture_tui.store.remote.store import RemoteStore
    except ImportError as error:
        needed = f"--remote needs what is not installed ({error.name}): pip install 'aperture-tui[fleet]'"
        raise OpeningError(needed) from error
    return RemoteStore.open(how, where or FLEET, **options)


def _is_here(remote: str) -> bool:
    """Whether an address is of this machine itself."""
    import ipaddress

    host = remote.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise OpeningError(f"{path}: {error.strerror}") from error
    if len(data) > _MAX_FILE:
        raise OpeningError(f"{path}: too large for a token, a certificate or a key")
    return data


def _token(path: str) -> str:
    lines = _read(path).decode("ascii", "replace").split()
    if len(lines) != 1 or not re.fullmatch(r"[\x21-\x7e]{1,4096}", lines[0]):
        raise OpeningError(f"{path}: not a token: that is one word, as `aperture token` gives it")
    return lines[0]


def _certificates(path: str | None) -> bytes | None:
    if not path:
        return None
    import ssl

    data = _read(path)
    try:
        ssl.create_default_context(cadata=data.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise OpeningError(f"{path}: no certificate in PEM") from error
    return data


def _check_pair(certificate: str, key: str) -> None:
    """gRPC says nothing useful of a key that is another certificate's."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise OpeningError(f"{clean(certificate)} and {clean(key)} are no certificate and its key") from error


def _no_password() -> str:
    raise ValueError("a key with a password cannot be used")
