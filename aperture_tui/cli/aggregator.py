"""`aperture aggregator`: takes what agents push, keeps it in ClickHouse, and answers screens and commands."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import re
import resource
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from aperture_tui.cli.arguments import Parser, fail, seconds
from aperture_tui.cli.values import number
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aperture_tui.fleet.aggregator.alerts.rules import Rule
    from aperture_tui.fleet.aggregator.followed import FollowedFile
    from aperture_tui.fleet.aggregator.journal import Journal
    from aperture_tui.fleet.aggregator.storage import Storage
    from aperture_tui.fleet.aggregator.tokens import Access

_PROGRAM: Final = "aperture aggregator"
_EXAMPLES: Final = """\
examples:
  aperture aggregator                                          for this machine alone, to try it
  aperture token --tenant default --role push --add tokens     a token for agents
  aperture aggregator --listen 0.0.0.0:50051 --tokens tokens --tls-cert agg.pem --tls-key agg.key
  aperture aggregator --store clickhouse://user:secret@db:8123/?cluster=main --state /var/lib/aperture/journal ...

Without --store everything is kept by ClickHouse in this process (chDB), in a folder of its own. SIGTERM or ctrl+c:
what was taken is stored, and then it ends. docs/fleet.md has more.
"""
_DESCRIPTORS: Final = 65_536
_SWITCH_S: Final = 0.0005
"""How long a thread that unpacks keeps the one that listens from going on: a tenth of what is usual. Four times as many
calls get through while two threads unpack (measured: 130 and 520 a second)."""


def run(argv: Sequence[str]) -> int:
    """The command -> exit status: 0, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    chosen.store = chosen.store or os.environ.get("APERTURE_STORE") or f"chdb://{_home() / 'fleet'}"
    _refuse_what_is_open(parser, chosen)
    os.environ["GRPC_VERBOSITY"] = "NONE"  # it writes lines of its own for whatever strangers send
    try:
        return _serve(chosen)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("aperture_tui"):
            raise
        return fail(_PROGRAM, f"needs what is not installed ({error.name}): pip install 'aperture-tui[aggregator]'")


def _serve(chosen: argparse.Namespace) -> int:
    import asyncio

    from aperture_tui.fleet.aggregator.alerts.rules import RulesError, followed
    from aperture_tui.fleet.aggregator.certificates import CertificatesError
    from aperture_tui.fleet.aggregator.journal import Journal, JournalError
    from aperture_tui.fleet.aggregator.logs import to_stderr
    from aperture_tui.fleet.aggregator.server import ServerError
    from aperture_tui.fleet.aggregator.tokens import Access, TokensError
    from aperture_tui.store.clickhouse.database import Database, Retention, StorageError

    to_stderr()
    sys.setswitchinterval(_SWITCH_S)
    _many_descriptors()
    try:
        access = Access(chosen.tokens)
        alerts = followed(chosen.alerts) if chosen.alerts else None
        state, path = _state(chosen), _chdb_path(chosen.store)
        with contextlib.closing(Journal(state)) as journal:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.closing(Database.open(chosen.store, Retention(**dict(chosen.keep)))) as database:
                asyncio.run(_until_the_end(chosen, database, journal, access, alerts))
    except (TokensError, RulesError, CertificatesError, JournalError, StorageError, ServerError) as error:
        return fail(_PROGRAM, error)
    except OSError as error:
        return fail(_PROGRAM, f"{error.filename}: {error.strerror}" if error.filename else error)
    _say("stopped")
    _end_for_good()
    return 0


async def _until_the_end(
    chosen: argparse.Namespace,
    database: Storage,
    journal: Journal,
    access: Access,
    alerts: FollowedFile[tuple[Rule, ...]] | None,
) -> None:
    from aperture_tui.fleet.aggregator.certificates import Certificates
    from aperture_tui.fleet.aggregator.lane import BatchLimits
    from aperture_tui.fleet.aggregator.server import Aggregator, ServerSettings, serve

    certificates = Certificates(chosen.tls_cert, chosen.tls_key, chosen.client_ca) if chosen.tls_cert else None
    batches = BatchLimits(seconds=chosen.batch)
    queue_bytes = chosen.queue_mb << 20
    settings = ServerSettings(chosen.listen, chosen.http, certificates, queue_bytes, batches, alerts=alerts)
    host = chosen.listen.rpartition(":")[0]
    who = "anybody may push and read" if access.is_open else "with tokens"
    how = f"{'TLS' if certificates else 'no TLS'}, {who}"
    aggregator = Aggregator(settings, database, journal, access)

    def listening() -> None:
        _say(f"listening on {host}:{aggregator.port} ({how}), storing in {_shown(chosen.store)}")
        if chosen.http:
            _say(f"metrics at http://{chosen.http.rpartition(':')[0]}:{aggregator.http_port}/metrics")

    await serve(aggregator, listening)


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Take what agents push, keep it, answer questions about it.", _EXAMPLES)
    parser.add_argument(
        "--listen", type=_address, default="127.0.0.1:50051", metavar="HOST:PORT", help="where (127.0.0.1:50051)"
    )
    parser.add_argument(
        "--alerts", metavar="FILE", help="rules in TOML, gone through once a minute: `aperture alerts`, /metrics"
    )
    parser.add_argument(
        "--http",
        type=_address,
        metavar="HOST:PORT",
        help="also /metrics for Prometheus, /healthz and /readyz, over plain HTTP,\nas 127.0.0.1:9090 (not at all)",
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="chdb:///PATH, or clickhouse[s]://USER:PASSWORD@HOST:PORT[/?cluster=NAME]; else that of\n"
        "APERTURE_STORE in the environment, where the password is not seen by others",
    )
    parser.add_argument("--state", metavar="DIR", help="the journal: what is about to be stored (beside the store)")
    parser.add_argument(
        "--queue-mb", type=number, default=256, metavar="MB", help="what may wait in memory to be stored (256)"
    )
    parser.add_argument(
        "--keep",
        type=_kept,
        action="append",
        default=[],
        metavar="WHAT=DAYS",
        help="days, or `ever`: events (7), sums by minutes (30), hours (90),\ndays (365); may be given again",
    )
    parser.add_argument(
        "--batch",
        type=seconds,
        default=1.0,
        metavar="S",
        help="how long a push waits for others, to be stored together\nwith them (1); shorter costs the store more",
    )
    _add_access(parser)
    return parser


def _add_access(parser: Parser) -> None:
    access = parser.add_argument_group("who may do what")
    access.add_argument(
        "--tokens", metavar="FILE", help="lines of `aperture token`; without it anybody may do anything"
    )
    access.add_argument("--tls-cert", metavar="FILE", help="the certificate, and those above it, in PEM")
    access.add_argument("--tls-key", metavar="FILE", help="its key")
    access.add_argument("--client-ca", metavar="FILE", help="clients need a certificate of this authority")
    access.add_argument(
        "--insecure", action="store_true", help="listen for other machines also without tokens, or without TLS"
    )
    access.add_argument(
        "--http-insecure", action="store_true", help="--http for other machines too: whoever reaches it reads it"
    )


def _refuse_what_is_open(parser: Parser, chosen: argparse.Namespace) -> None:
    """What others could read or do by mistake is wrong usage, unless it is asked for by name."""
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        parser.error("--tls-cert and --tls-key need each other")
    if chosen.client_ca and not chosen.tls_cert:
        parser.error("--client-ca needs --tls-cert and --tls-key")
    if chosen.http_insecure and not chosen.http:
        parser.error("--http-insecure needs --http")
    if chosen.http and not (chosen.http_insecure or _is_loopback(chosen.http)):
        parser.error(f"--http {chosen.http} lets everybody read it, without TLS: give --http-insecure, or loopback")
    if chosen.insecure or _is_loopback(chosen.listen):
        return
    if not chosen.tokens:
        parser.error(f"--listen {chosen.listen} lets anybody push and read: give --tokens FILE, or --insecure")
    if not chosen.tls_cert:
        parser.error("tokens could be read on the way: give --tls-cert and --tls-key, or --insecure")


def _kept(text: str) -> tuple[str, int | None]:
    """`events=14`, `days=ever`."""
    found = re.fullmatch(r"(events|minutes|hours|days)=(?:([1-9]\d{0,4})|ever)", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} says not what is kept how long: give events=14 or days=ever")
    return found[1], int(found[2]) if found[2] else None


def _address(text: str) -> str:
    """HOST:PORT, with the host of IPv6 in brackets."""
    host, colon, port = text.rpartition(":")
    bare = host.startswith("[") == host.endswith("]") and (":" not in host or host.startswith("["))
    if not (host and colon and bare and port.isascii() and port.isdecimal() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give HOST:PORT, such as 0.0.0.0:50051")
    return text


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _home() -> Path:
    """Where what has to outlive a restart is kept."""
    if os.environ.get("XDG_STATE_HOME"):
        return Path(os.environ["XDG_STATE_HOME"], "aperture")
    return Path("/var/lib/aperture") if os.geteuid() == 0 else Path.home() / ".local/state/aperture"


def _chdb_path(store: str) -> Path | None:
    parts = urlsplit(store)
    return Path(unquote(parts.path)) if parts.scheme == "chdb" else None


def _state(chosen: argparse.Namespace) -> Path:
    """The journal belongs to its store: what is left in it is stored there."""
    if chosen.state:
        return Path(chosen.state)
    path = _chdb_path(chosen.store)
    return path.with_name(path.name + ".journal") if path is not None and path.name else _home() / "journal"


def _shown(store: str) -> str:
    """A store's URL without its password."""
    return clean(re.sub(r"//([^/@]*?):[^/]*@", r"//\1:***@", store))


def _many_descriptors() -> None:
    """Each agent has a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _say(words: str) -> None:
    print(f"{_PROGRAM}: {words}", file=sys.stderr, flush=True)


def _end_for_good() -> None:
    """A question that is still being answered, for nobody, does not keep the program."""
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(0)
