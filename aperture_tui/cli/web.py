"""`aperture-top --web`: where it listens, and what its pages are over."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from aperture_tui.cli.arguments import Parser, fail, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aperture_tui.cli.remote import Remote
    from aperture_tui.store.base import Store
    from aperture_tui.tui.habits import Habits
    from aperture_tui.tui.web.page import Source

_PROGRAM: Final = "aperture-top"
_HOST: Final = "127.0.0.1"
_PORT: Final = 8421
_LAST_S: Final = 15
"""How long collectors and a recording may take to end, once the pages have."""
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::(\d{1,5}))?", re.ASCII)


class Address(NamedTuple):
    """Where to listen. port: 0 for any that is free."""

    host: str
    port: int


class Behind(Protocol):
    """What pages are over, and whose it is to end."""

    def begin(self) -> Store:
        """The store. Raises RuntimeError or OSError, with one clear line."""
        ...

    def end(self) -> str:
        """What failed meanwhile, in one line, or ""."""
        ...


def address(text: str) -> Address:
    """PORT, HOST, HOST:PORT; the host of IPv6 in brackets."""
    found = _ADDRESS.fullmatch(text)
    host, port = (found[1], found[2]) if found else ("", "")
    if host.isdecimal() and port is None:
        host, port = "", host
    if found is None or not text or int(port or _PORT) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give HOST:PORT, such as {_HOST}:{_PORT}")
    return Address(host.strip("[]") or _HOST, int(port or _PORT))


def add(group: argparse._ArgumentGroup) -> None:
    """The option, as `serve` reads it."""
    words = f"show them in a browser instead, without a terminal; where it\nlistens ({_HOST}:{_PORT})"
    default = Address(_HOST, _PORT)
    group.add_argument("--web", nargs="?", type=address, const=default, metavar="HOST:PORT", help=words)


def check(parser: Parser, chosen: argparse.Namespace) -> None:
    """Options that contradict each other are wrong usage."""
    if chosen.web is not None and chosen.once:
        parser.error("--once is without screens, and --web is for them: give one of them")


def serve(
    parser: Parser,
    chosen: argparse.Namespace,
    source: Behind,
    shown: Callable[..., dict[str, Any]],
    aggregator: Callable[[], Remote | None],
    on_signals: Callable[[Callable[[], None]], None],
    habits: Callable[[], Habits],
) -> int:
    """Serve until asked to end -> exit status. shown: what an app is told, of (chosen, source, aggregator or None).

    habits: gives what the user has set up, and ends the program if that is wrong.
    """
    try:
        from aperture_tui.tui.look import look
        from aperture_tui.tui.web.admission import Admission
        from aperture_tui.tui.web.server import serve as serve_pages
    except ImportError as error:
        return fail(_PROGRAM, f"--web needs what is not installed ({error.name}): pip install 'aperture-tui[web]'")
    lived = habits()
    try:
        look(chosen.theme, lived.looks)
    except ValueError as error:
        parser.error(str(error))
    if chosen.cgroups:
        settings(parser, chosen, live=True)  # a wrong path is wrong usage
    ending = _Ending()
    on_signals(ending.ask)
    try:
        sockets = listening(chosen.web)
    except OSError as error:
        return fail(_PROGRAM, _explained(chosen.web, error))
    _like_a_browser()
    try:
        with contextlib.ExitStack() as closing:
            for one in sockets:
                closing.enter_context(one)
            pages = _pages(chosen, source, shown, aggregator, lived)
            admission = Admission.fresh(_names(chosen.web))
            _tell(chosen.web, sockets, admission.token)
            serve_pages(pages, admission, sockets, ending.then)
            if signal.alarm(0):  # it was asked to end, and goes on ending: what is recorded has to be closed
                signal.alarm(_LAST_S)
    except (RuntimeError, OSError) as error:
        source.end()
        return fail(_PROGRAM, error)
    failure = source.end()
    return fail(_PROGRAM, failure) if failure else 0


class _Ending:
    """Whether it was asked to end, and what to do then."""

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] = lambda: None

    def ask(self) -> None:
        """In a signal's handler."""
        self._asked = True
        self._stop()

    def then(self, stop: Callable[[], None]) -> None:
        """Do this, at once if it was asked before."""
        self._stop = stop
        if self._asked:
            stop()


def _pages(
    chosen: argparse.Namespace,
    source: Behind,
    shown: Callable[..., dict[str, Any]],
    aggregator: Callable[[], Remote | None],
    habits: Habits,
) -> Source:
    """What each page is over. Raises RuntimeError or OSError."""
    how = {"refresh_hz": chosen.refresh, "theme": chosen.theme, "where": chosen.where, "habits": habits}
    if chosen.remote is not None:
        _closed(aggregator())  # what is wrong with it is said now

        @contextlib.contextmanager
        def of_aggregator() -> Iterator[dict[str, Any]]:
            """Nobody collects here: each page asks, and hears the news of what it looks at."""
            mine = aggregator()
            try:
                yield {**how, **shown(chosen, source, mine)}
            finally:
                _closed(mine)

        return of_aggregator

    from aperture_tui.tui.web.shared import shared
    from aperture_tui.tui.web.wants import Wants

    store = shared(source.begin())
    told = {**how, **shown(chosen, source, None), "connect": lambda: store}
    wants = Wants(told.get("want", lambda _: None))

    @contextlib.contextmanager
    def of_store() -> Iterator[dict[str, Any]]:
        reader = wants.reader()
        try:
            yield {**told, **({"want": reader.want} if "want" in told else {})}
        finally:
            reader.leave()

    return of_store


def _closed(aggregator: Remote | None) -> None:
    if aggregator is not None:
        aggregator.close()


def listening(where: Address) -> list[socket.socket]:
    """A socket for each address that the host has. Raises OSError."""
    found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, _, _, _, place in dict.fromkeys(found):
            port = opened[0].getsockname()[1] if opened else where.port
            opened.append(socket.create_server((place[0], port), family=family, backlog=16))
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _explained(where: Address, error: OSError) -> str:
    known = error.errno is not None and not isinstance(error, socket.gaierror)
    words = (os.strerror(error.errno or 0) if known else error.strerror or str(error)).lower()
    mend = ": choose another with --web HOST:PORT" if error.errno == errno.EADDRINUSE else ""
    return f"cannot listen at {_written(where.host, where.port)}: {words}{mend}"


def _like_a_browser() -> None:
    """What draws the pages has all colours, whatever this was started from. NO_COLOR is the user's wish and stays."""
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")


def _is_here_alone(sockets: list[socket.socket]) -> bool:
    import ipaddress

    return all(ipaddress.ip_address(one.getsockname()[0].partition("%")[0]).is_loopback for one in sockets)


def _names(where: Address) -> frozenset[str]:
    """How this machine may be called, beside its addresses."""
    return frozenset({where.host, os.uname().nodename})


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell(where: Address, sockets: list[socket.socket], token: str) -> None:
    """Where to go, once: the token is said nowhere else."""
    port = sockets[0].getsockname()[1]
    name = os.uname().nodename
    everywhere = where.host in ("0.0.0.0", "::")  # noqa: S104  # it is not bound here, but recognized
    lines = [f"open http://{_written(name if everywhere else where.host, port)}/?token={token}"]
    tunnel = f"ssh -L {port}:{_HOST}:{port} {name}"
    if not _is_here_alone(sockets):
        lines.append(
            "this is plain HTTP: whoever listens on the way reads the token and the screens, and can act as you. "
            f"Safer: --web alone here, and from your machine {tunnel}"
        )
    elif "SSH_CONNECTION" in os.environ:
        lines.append(f"from your machine: {tunnel}")
    print("\n".join(f"{_PROGRAM}: {line}" for line in lines), file=sys.stderr, flush=True)
