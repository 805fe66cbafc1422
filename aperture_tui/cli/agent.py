"""`aperture agent`: this machine's samples, calls and waits to an aggregator, always."""

from __future__ import annotations

import argparse
import os
import random
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui import __version__
from aperture_tui.cli import remote
from aperture_tui.cli.arguments import Parser, add_collecting, add_filters, fail, filters, seconds, settings
from aperture_tui.cli.opening import OpeningError
from aperture_tui.cli.values import number
from aperture_tui.cli.waiting import unhurried, wait
from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from aperture_tui.collect.settings import Settings
    from aperture_tui.filters.chain import Chain
    from aperture_tui.fleet.agent.delivery import Delivery
    from aperture_tui.fleet.agent.spool import Spool
    from aperture_tui.store.remote.link import RemoteSettings

_PROGRAM: Final = "aperture agent"
_EXAMPLES: Final = """\
examples:
  aperture agent --remote agg.example.net:50051 --service checkout --token-file /etc/aperture/token
  aperture agent --remote agg.example.net:50051 --token-file token --tls-ca ca.pem --low-overhead
  aperture agent --remote 127.0.0.1:50051 --events all           to an aggregator on this machine, without TLS

While the aggregator cannot be reached everything is kept in the spool. Without --tls-ca the authorities that this
system trusts are believed. docs/agent.md has more; deploy/aperture-agent.service is a unit for systemd.
"""
_LOW_HZ: Final = 49
_LOW_GAUGES_S: Final = 10.0
_LOW_DRAIN_S: Final = 0.5
"""Between drains, of rings for five seconds: an eighth less CPU than twice as many, and no more names lost."""
_LAST_PUSH_S: Final = 5.0
_MAX_INTERVAL_S: Final = 300
_MAX_NAME: Final = 255


def run(argv: list[str]) -> int:
    """The command -> exit status: 0 when it was asked to end, 1 with one line, 2 for wrong usage."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    _settle(parser, chosen)
    what = settings(parser, chosen)
    judges = filters(parser, chosen)
    from aperture_tui.collect import requirements

    if problem := requirements.first_problem("cpu"):
        return fail(_PROGRAM, problem)
    os.environ["GRPC_VERBOSITY"] = "NONE"  # it writes lines of its own
    try:
        from aperture_tui.fleet.agent.delivery import Delivery
    except ImportError as error:
        return fail(_PROGRAM, f"needs what is not installed ({error.name}): pip install 'aperture-tui[fleet]'")
    from aperture_tui.fleet.agent.delivery import AccessError
    from aperture_tui.fleet.agent.spool import Spool, SpoolError
    from aperture_tui.session import SessionError

    def reached() -> RemoteSettings:
        """As its files are now."""
        try:
            return remote.settings(chosen)
        except OpeningError as error:
            raise AccessError(str(error)) from error

    try:
        reached()  # what is wrong from the beginning is said at the beginning
        spool = Spool(Path(chosen.spool), chosen.spool_mb << 20, _say)
        return _collect(chosen, what, spool, Delivery(chosen.remote, reached), judges)
    except (SpoolError, SessionError, AccessError) as error:
        return fail(_PROGRAM, error)
    except OSError as error:
        return fail(_PROGRAM, f"{error.filename}: {error.strerror}" if error.filename else error)


def _collect(chosen: argparse.Namespace, what: Settings, spool: Spool, delivery: Delivery, judges: Chain | None) -> int:
    """Until somebody asks for its end. Raises SessionError, or OSError."""
    from aperture_tui.fleet.agent.interval_writer import IntervalWriter
    from aperture_tui.fleet.agent.outgoing import Identity
    from aperture_tui.fleet.agent.pusher import Pusher
    from aperture_tui.session import Session, facts

    gauges_s = _LOW_GAUGES_S if chosen.low_overhead else 0.0
    first_s = random.uniform(0.1, 1.0) * chosen.interval  # noqa: S311 - so that a fleet does not push all at once
    writer = IntervalWriter(spool, facts(what, judges), chosen.interval, first_s, gauges_s, _say)
    identity = Identity(chosen.name, chosen.service, __version__)

    def pace(interval_s: float) -> None:
        writer.interval_s = interval_s

    pusher = Pusher(spool, delivery, identity, chosen.interval, _say, pace, lambda: writer.problem)
    drains = {"interval_s": _LOW_DRAIN_S} if chosen.low_overhead else {}
    session = Session(what, {"spool": writer}, filters=judges, **drains)
    session.start()
    pusher.start()
    wait(None, f"pushing to {chosen.remote}", lambda: bool(session.failure or pusher.failure))
    with unhurried():
        session.stop()
        writer.close()
        pusher.stop(_LAST_PUSH_S)
    left = spool.waiting
    spool.close()
    if left:
        _say(f"{left:,} intervals stay in {spool.folder}: the next agent pushes them")
    return fail(_PROGRAM, session.failure or pusher.failure) if session.failure or pusher.failure else 0


def _parser() -> Parser:
    parser = Parser(_PROGRAM, "Push what this machine does to an aggregator, from now on.", _EXAMPLES)
    add_collecting(parser)
    add_filters(parser)
    parser.set_defaults(hz=None, events=None)  # what they are if they are not given depends on --low-overhead
    parser.add_argument(
        "--low-overhead", action="store_true", help=f"CPU samples alone, {_LOW_HZ} a second; few gauges"
    )
    remote.add_aggregator(parser, required=True)
    who = parser.add_argument_group("what is pushed, and how often")
    who.add_argument("--name", type=_name, metavar="NAME", help="of this machine (its host name)")
    who.add_argument("--service", type=_name, metavar="NAME", help="of what this machine is a part")
    who.add_argument("--interval", type=seconds, default=10.0, metavar="S", help="between pushes (10)")
    kept = parser.add_argument_group("what is kept until it is pushed")
    kept.add_argument("--spool", default=_spool(), metavar="DIR", help=f"where ({_spool()})")
    kept.add_argument("--spool-mb", type=number, default=256, metavar="MB", help="how much (256)")
    return parser


def _settle(parser: Parser, chosen: argparse.Namespace) -> None:
    """What was not said, and what cannot be; wrong usage ends the program."""
    if chosen.low_overhead and chosen.events not in (None, ("cpu",)):
        parser.error("--low-overhead collects CPU samples alone: leave one of it and --events")
    remote.check(parser, chosen)
    if chosen.interval > _MAX_INTERVAL_S:
        parser.error(f"--interval is at most {_MAX_INTERVAL_S} seconds: nobody would see what goes on")
    chosen.events = chosen.events or ("cpu",)
    chosen.hz = chosen.hz or (_LOW_HZ if chosen.low_overhead else 99)
    chosen.name = chosen.name or clean(socket.gethostname())
    chosen.service = chosen.service or ""


def _name(text: str) -> str:
    if not text or len(text) > _MAX_NAME or clean(text) != text:
        raise argparse.ArgumentTypeError(f"{clean(text)!r} is not a name: give 1 to {_MAX_NAME} characters")
    return text


def _spool() -> str:
    if os.geteuid() == 0:
        return "/var/lib/aperture/spool"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "aperture", "spool")


def _say(line: str) -> None:
    print(f"{_PROGRAM}: {clean(line)}", file=sys.stderr, flush=True)
