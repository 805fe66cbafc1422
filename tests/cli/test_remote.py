"""Commands over an aggregator: which is reached how, which part of what it holds, and one line for what goes wrong."""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import grpc
import pytest

from aperture_tui.cli import aggregate, diff, export, query, selecting, top
from aperture_tui.cli import remote as options
from aperture_tui.cli.arguments import Parser
from aperture_tui.cli.opening import OpeningError
from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.symbols import Frame, Process, Symbols
from aperture_tui.store.base import Estimate
from aperture_tui.store.fleet_base import BatchFacts, HostState
from aperture_tui.store.memory import MemoryStore
from aperture_tui.store.remote.link import FLEET, Focus
from aperture_tui.wire import pprof_pb2
from tests.export import others
from tests.fleet.aggregator.serving import Authority
from tests.store.conformance import HOST
from tests.store.facts import SECOND, T0, Fact, batch_of
from tests.store.served import TOKEN, Aggregator, serving

WEB = Process(42, T0, "web")
NOW = T0 + 100 * SECOND
"""By the aggregator's clock."""


def held() -> MemoryStore:
    """A minute of samples: in its second half f1 has taken the place of f0; and a wait."""
    facts = [
        Fact(T0 + i * SECOND, WEB, stack=(Frame("web", kind=FrameKind.PROCESS), Frame(f"f{i // 30}")), weight=10)
        for i in range(60)
    ]
    facts += [Fact(T0, WEB, stack=(Frame("web"), Frame("wäit")), kind=Kind.OFFCPU, name="futex")]
    store = MemoryStore(recorded=True)
    store.append(batch_of(facts, Symbols()))
    store.set_hosts([HOST])
    return store


@pytest.fixture
def aggregator() -> Aggregator:
    hosts = [
        HostState("box", "shop", "0.9", T0, T0 + 60 * SECOND, NOW - 4 * SECOND, 61, 0, 10_000, "6.8", 8, 1 << 34),
        HostState("bo\x1bx2", "", "", 0, 0, NOW - 900 * SECOND, 5, 7, 10_000, problem="no BTF\nhere"),
    ]
    batches = [BatchFacts("box", "shop", bytes(range(16)), 7, T0, T0 + 10 * SECOND, NOW, 61, 3)]
    return Aggregator(held(), hosts, batches, now_ns=lambda: NOW)


@pytest.fixture
def remote(aggregator: Aggregator, tmp_path: Path) -> Iterator[list[str]]:
    """The options that reach it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with serving(aggregator) as address:
        yield ["--remote", address, "--token-file", str(tmp_path / "token")]


Out = Callable[[], tuple[str, str]]


@pytest.fixture
def out(capfdbinary: pytest.CaptureFixture[bytes]) -> Out:
    def read() -> tuple[str, str]:
        captured = capfdbinary.readouterr()
        return captured.out.decode(), captured.err.decode()

    return read


# -- query


def test_hosts_as_text(remote: list[str], out: Out) -> None:
    assert query.run(["hosts", *remote]) == 0
    lines = out()[0].splitlines()
    assert lines[0].split() == [
        "host",
        "service",
        "last",
        "seen",
        "lost",
        "events",
        "cpus",
        "memory",
        "version",
        "kernel",
    ]
    assert lines[1].split()[:5] == ["bo\\x1bx2", "-", "!", "900", "s"]
    assert lines[2].strip() == "! no BTF\\nhere"
    assert lines[3].split() == ["box", "shop", "4", "s", "0", "61", "8", "16", "GB", "0.9", "6.8"]


def test_hosts_as_json(remote: list[str], out: Out) -> None:
    assert query.run(["hosts", *remote, "--format", "json", "--service", "shop"]) == 0
    document = json.loads(out()[0])
    assert (document["schema"], document["now_ns"]) == (1, NOW)
    (host,) = document["hosts"]
    assert (host["name"], host["stale"], host["seen_ns"]) == ("box", False, NOW - 4 * SECOND)


def test_a_timeline(remote: list[str], out: Out) -> None:
    assert query.run(["timeline", *remote, "--buckets", "3", "--format", "json"]) == 0
    document = json.loads(out()[0])
    assert (document["weights"], document["unit"], document["start_ns"]) == ([200, 200, 200], "samples", T0)
    assert query.run(["timeline", *remote, "--buckets", "2", "--frame", "f1"]) == 0
    text = out()[0].splitlines()
    assert text[2].split()[-1] == "0"
    assert text[3].split()[-2:] == ["300", "█" * 40]
    assert query.run(["timeline", *remote, "--process", "nobody"]) == 0
    assert "no cpu events here; held is 2023-11-14 22:13:20 UTC" in out()[0]


def test_times_are_the_aggregators(remote: list[str], out: Out) -> None:
    """The newest event is 41 seconds older than its clock says."""
    assert query.run(["timeline", *remote, "--from", "-45s", "--to", "now", "--buckets", "1", "--format", "json"]) == 0
    assert json.loads(out()[0])["weights"] == [50]


def test_batches(remote: list[str], out: Out, aggregator: Aggregator) -> None:
    assert query.run(["batches", *remote, "--format", "json", "--limit", "5"]) == 0
    (batch,) = json.loads(out()[0])["batches"]
    assert (batch["host"], batch["seq"], batch["boot"]) == ("box", 7, bytes(range(16)).hex())
    assert query.run(["batches", *remote]) == 0
    assert out()[0].splitlines()[1].split()[3:5] == ["box", "shop"]
    aggregator.facts = []
    assert query.run(["batches", *remote]) == 0
    assert out()[0] == "no batches\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hosts", "--from", "-1h"], "--from changes nothing of hosts"),
        (["hosts", "--event", "cpu"], "--event changes nothing of hosts"),
        (["batches", "--pid", "7"], "--pid changes nothing of batches"),
        (["timeline", "--limit", "7"], "--limit changes nothing of timeline"),
        (["timeline", "--buckets", "10001"], "too many"),
        (["nothing"], "invalid choice"),
        (["timeline", "--from", "now", "--to", "-1h"], "--from is not before --to"),
    ],
)
def test_wrong_questions_are_one_line_and_status_2(
    arguments: list[str], words: str, remote: list[str], out: Out
) -> None:
    with pytest.raises(SystemExit) as ended:
        query.run([*arguments, *remote])
    assert ended.value.code == 2
    said = out()[1]
    assert words in said
    assert said.count("\n") == 1


# -- aggregate


def test_a_merged_tree_as_text(remote: list[str], out: Out) -> None:
    assert aggregate.run([*remote, "--service", "shop"]) == 0
    text, said = out()
    assert "service shop" in text
    assert "600 samples" in text
    assert next(line.split() for line in text.splitlines() if " f0" in line) == ["50.0", "50.0", "f0"]
    assert said == ""


def test_a_merged_tree_folded(remote: list[str], out: Out) -> None:
    assert aggregate.run([*remote, "--format", "folded", "--from", "2023-11-14T22:14:10Z"]) == 0
    assert out() == ("web;f1 100\n", "")
    assert aggregate.run([*remote, "--format", "folded", "--event", "offcpu", "--measure", "count"]) == 0
    assert out()[0] == "web;wäit 1\n"


def test_an_estimate_says_so(remote: list[str], out: Out, aggregator: Aggregator) -> None:
    aggregator.estimate = Estimate(25, 4000, 0.0083, 7200 * SECOND)
    assert aggregate.run([*remote, "--format", "json"]) == 0
    text, said = out()
    assert json.loads(text)["estimate"] == asdict(aggregator.estimate)
    assert "one in 25 events" in said
    assert "±0.8 points" in said
    assert "without 2 h of the range" in said
    assert export.run([*remote]) == 0
    assert "one in 25 events" in out()[1]


def test_nothing_there_is_said(remote: list[str], out: Out) -> None:
    assert aggregate.run([*remote, "--frame", "nothing"]) == 0
    assert "no cpu events here" in out()[1]
    assert aggregate.run([*remote, "--event", "lock", "--format", "folded"]) == 0
    text, said = out()
    assert text == ""
    assert "such events were not pushed" in said


@pytest.mark.parametrize(
    ("command", "more"),
    [(aggregate.run, []), (query.run, ["timeline"]), (top.main, ["--once"])],
    ids=["aggregate", "query", "top"],
)
def test_machines_that_there_are_none_of_are_said(
    command: Callable[[list[str]], int], more: list[str], remote: list[str], out: Out
) -> None:
    """A name that was mistyped finds nothing, as one does that is quiet."""
    for given, words in (
        (["--host", "bx"], "no host is called bx; did you mean box?"),
        (["--host", "box", "--host", "none\x1b[31m"], r"no host is called none\x1b[31m; there is bo\x1bx2, box"),
        (["--service", "shp"], "no host is of the service shp; did you mean shop?"),
    ):
        assert command([*more, *remote, *given]) == 0
        assert words in out()[1]
    command([*more, *remote, "--host", "box", "--service", "shop"])
    assert "no host" not in out()[1]


def test_tags_narrow_and_group(remote: list[str], out: Out, aggregator: Aggregator) -> None:
    stack = (Frame("web", kind=FrameKind.PROCESS), Frame("f2"))
    slow = Fact(T0 + SECOND, WEB, stack=stack, weight=7, tags=frozenset({"slow"}))
    aggregator.store.append(batch_of([slow], Symbols()))  # type: ignore[attr-defined]  # it is one in memory
    assert aggregate.run([*remote, "--format", "folded", "--by", "tag"]) == 0
    assert out()[0] == "tag: slow;web;f2 7\nuntagged;web;f0 300\nuntagged;web;f1 300\n"
    assert aggregate.run([*remote, "--format", "folded", "--tag", "slow", "--tag", "odd"]) == 0
    assert out() == ("web;f2 7\n", "")
    assert export.run([*remote, "--no-tag", "slow"]) == 0
    assert out()[0] == "web;f0 300\nweb;f1 300\n"
    assert aggregate.run([*remote, "--by", "tag", "--tag", "slow", "--format", "json"]) == 0
    document = json.loads(out()[0])
    assert (document["query"]["tags"], document["query"]["group"]) == (["slow"], "tag")
    assert "tag" in {frame["kind"] for frame in document["tree"]["frames"]}
    assert query.run(["timeline", *remote, "--tag", "slow", "--format", "json"]) == 0
    assert sum(json.loads(out()[0])["weights"]) == 7
    assert aggregate.run([*remote, "--tag", "slwo"]) == 0
    assert "no event has the tag slwo; there are: slow" in out()[1]


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        (export.run, ["--format", "pprof", "-o", "x", "--by", "tag"], "--by changes nothing of pprof"),
        (aggregate.run, ["--by", "host"], "invalid choice"),
        (query.run, ["hosts", "--no-tag", "x"], "--no-tag changes nothing of hosts"),
    ],
)
def test_tags_in_vain(command: Callable[[list[str]], int], arguments: list[str], words: str, out: Out) -> None:
    with pytest.raises(SystemExit) as ended:
        command([*arguments, "--remote", "localhost"])
    assert ended.value.code == 2
    assert words in out()[1]


# -- export


@pytest.mark.parametrize("form", ["folded", "speedscope", "pprof", "json", "perfetto", "text"])
def test_every_format_of_an_export(form: str, remote: list[str], tmp_path: Path, out: Out) -> None:
    to = tmp_path / "out"
    assert export.run([*remote, "--host", "box", "--from", "-90s", "--format", form, "-o", str(to)]) == 0
    data = to.read_bytes()
    assert data
    if form == "folded":
        assert data == b"web;f0 200\nweb;f1 300\n"
    if form == "pprof":
        profile = pprof_pb2.Profile()
        profile.ParseFromString(gzip.decompress(data))
        assert sum(one.value[-1] for one in profile.sample) == 500
    if form == "json":
        assert json.loads(data)["query"]["start_ns"] == NOW - 90 * SECOND


def test_a_flame_graph_is_titled_with_its_machines(remote: list[str], tmp_path: Path) -> None:
    others.inferno()
    assert export.run([*remote, "--service", "shop", "-o", str(tmp_path / "a.svg")]) == 0
    assert "service shop: cpu" in (tmp_path / "a.svg").read_text()


def test_an_export_has_one_source(remote: list[str], out: Out) -> None:
    for arguments in ([], ["x.aperture", *remote]):
        with pytest.raises(SystemExit) as ended:
            export.run(arguments)
        assert ended.value.code == 2
        assert "--remote" in out()[1]


# -- diff


def test_two_times_of_a_fleet(remote: list[str], out: Out) -> None:
    parts = ["--base", "-100s..-70s", "--after", "-70s..now@box"]
    assert diff.run([*remote, *parts, "--format", "json"]) == 0
    document = json.loads(out()[0])
    assert [document[side]["label"].partition(" ")[2] for side in ("base", "after")] == parts[1::2]
    assert document["after"]["query"]["hosts"] == ["box"]
    assert diff.run([*remote, *parts]) == 0
    text = out()[0]
    assert "f1" in text
    assert "new" in text
    assert diff.run([*remote, *parts, "--fail-above", "5%"]) == 3


def test_two_groups_of_machines_at_the_same_time(remote: list[str], out: Out, aggregator: Aggregator) -> None:
    assert diff.run([*remote, "--base=..@box", "--after", "..@service:shop", "--format", "json"]) == 0
    asked = [request for name, request in aggregator.asked if name == "Query"]
    assert {tuple(one.hosts) for one in asked} == {("box",), ()}  # type: ignore[attr-defined]
    assert {one.service for one in asked} == {"", "shop"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--base", "-2h..-1h"], "needs --base and --after"),
        (["a.aperture", "--base", "-2h..-1h", "--after", ".."], "'a.aperture', a recording, or --remote"),
        (["--base", "-1h..-2h", "--after", ".."], "--base from is not before --base to"),
        (["--base", "yesterday", "--after", ".."], "no part of what an aggregator holds"),
        (["--base", "-1h", "--after", ".."], "'-1h' is no part of what an aggregator holds: give FROM..TO"),
        (["--base", "-1h..@", "--after", ".."], "no part"),
        (["--base", "-1h..@service:", "--after", ".."], "no part"),
        (["--base", "..", "--after", "..", "--from", "-1h"], "--from is of recordings"),
    ],
)
def test_parts_that_are_none(arguments: list[str], words: str, remote: list[str], out: Out) -> None:
    with pytest.raises(SystemExit) as ended:
        diff.run([*arguments, *remote])
    assert ended.value.code == 2
    said = out()[1]
    assert words in said
    assert said.count("\n") == 1


def test_parts_need_an_aggregator(out: Out) -> None:
    for arguments in (["a", "b", "--base", ".."], ["a", "b", "--host", "x"], ["a", "b", "--token-file", "x"]):
        with pytest.raises(SystemExit) as ended:
            diff.run(arguments)
        assert ended.value.code == 2
        assert "needs --remote" in out()[1]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("..", None),
        ("-2h..-1h", None),
        ("-2h..-1h@a,b,a", Focus(("a", "b"))),
        ("@service:shop", Focus(service="shop")),
        ("2026-01-31T12:00:00..now@web:1", Focus(("web:1",))),
    ],
)
def test_a_part(text: str, where: Focus | None) -> None:
    assert selecting.part(text).where == where


def test_a_part_that_begins_with_a_dash_stays_with_its_option() -> None:
    argv = ["--base", "-2h..-1h@a", "--after", "-1h..now", "-o", "x"]
    joined = ["--base=-2h..-1h@a", "--after=-1h..now", "-o", "x"]
    assert selecting.attached(argv, ("--base", "--after")) == joined
    assert selecting.attached(["--base", "-o", "x"], ("--base",)) == ["--base", "-o", "x"]


# -- top


def test_a_report_of_the_last_minutes(remote: list[str], out: Out) -> None:
    assert top.main(["--once", *remote, "--host", "box", "--duration", "75"]) == 0
    assert "350 samples" in out()[0]
    assert top.main(["--once", *remote, "--format", "json"]) == 0
    assert json.loads(out()[0])["tree"]["weight"] == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replay", "x"], "--remote and --replay"),
        (["-F", "99"], "-F cannot be given with --remote"),
        (["--record", "x"], "--record cannot be given with --remote"),
        (["--tls-cert", "x"], "need each other"),
        (["--insecure", "--tls-ca", "x"], "in vain"),
    ],
)
def test_what_says_nothing_over_an_aggregator(arguments: list[str], words: str, out: Out) -> None:
    with pytest.raises(SystemExit) as ended:
        top.main(["--once", "--remote", "localhost", *arguments])
    assert ended.value.code == 2
    assert words in out()[1]


# -- reaching it


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("agg", "agg:50051"),
        ("agg.example.net:7", "agg.example.net:7"),
        ("[::1]:7", "[::1]:7"),
        ("[fe80::1]", "[fe80::1]:50051"),
        ("10.0.0.1", "10.0.0.1:50051"),
    ],
)
def test_an_address(text: str, address: str) -> None:
    assert options.address(text) == address


@pytest.mark.parametrize("text", ["", ":7", "a:0", "a:65536", "a:b", "http://a", "::1", "a b", "ä:7", "a:7/x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no address"):
        options.address(text)


def chosen(*arguments: str) -> argparse.Namespace:
    parser = Parser("x", "", "")
    options.add_aggregator(parser)
    options.add_machines(parser)
    return parser.parse_args(["--remote", "agg", *arguments])


def test_only_on_this_machine_there_is_no_tls_unless_that_is_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert options.settings(chosen()).tls
    assert not options.settings(chosen("--insecure")).tls
    for here in ("localhost", "127.0.0.1:7", "[::1]:7"):
        assert not options.settings(chosen("--remote", here)).tls
        assert options.settings(chosen("--remote", here, "--tls-ca", authority.path("ca.pem"))).tls


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    authority.issue("mine")
    other.issue("theirs")
    (tmp_path / "two words").write_text("a b")
    (tmp_path / "large").write_bytes(b"x" * (2 << 20))
    for arguments, words in (
        (["--token-file", "nowhere"], "nowhere: No such file"),
        (["--token-file", str(tmp_path / "two words")], "not a token"),
        (["--token-file", str(tmp_path / "large")], "too large"),
        (["--tls-ca", str(tmp_path / "two words")], "no certificate in PEM"),
        (["--tls-cert", authority.path("mine.pem"), "--tls-key", authority.path("theirs.key")], "are no certificate"),
    ):
        with pytest.raises(OpeningError, match=words):
            options.settings(chosen(*arguments))


def test_which_machines() -> None:
    parser = Parser("x", "", "")
    assert options.focus(parser, chosen()) is None
    assert options.focus(parser, chosen("--host", "a", "--host", "b", "--host", "a")) == Focus(("a", "b"))
    assert options.focus(parser, chosen("--service", "")) == Focus(service="")
    assert selecting.machines(FLEET) == "all"
    assert selecting.machines(Focus(("a", "b"), "s")) == "a, b of service s"


def test_tls_with_an_authority_of_ones_own_and_certificates_on_both_sides(
    aggregator: Aggregator, tmp_path: Path, out: Out
) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    certificate, key = authority.issue("server")
    authority.issue("client")
    (tmp_path / "token").write_text(TOKEN)
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority.pem, require_client_auth=True)
    with serving(aggregator, tls=credentials) as address:
        common = ["hosts", "--remote", address, "--token-file", str(tmp_path / "token")]
        ours = ["--tls-cert", authority.path("client.pem"), "--tls-key", authority.path("client.key")]
        assert query.run([*common, "--tls-ca", authority.path("ca.pem"), *ours]) == 0
        assert "box" in out()[0]
        assert query.run([*common, "--tls-ca", stranger.path("stranger.pem"), *ours]) == 1
        assert "of no authority that is trusted" in out()[1]
        assert query.run([*common, "--tls-ca", authority.path("ca.pem")]) == 1
        assert "may want a client's certificate" in out()[1]
        assert query.run(common) == 1
        assert "it may speak TLS alone" in out()[1]


def test_tls_to_what_speaks_none(remote: list[str], tmp_path: Path, out: Out) -> None:
    authority = Authority(tmp_path)
    assert query.run(["hosts", *remote, "--tls-ca", authority.path("ca.pem")]) == 1
    assert "it does not speak TLS" in out()[1]


@pytest.mark.parametrize(
    "command",
    [
        ["aperture_tui.cli.main", "query", "hosts"],
        ["aperture_tui.cli.main", "aggregate"],
        ["aperture_tui.cli.main", "export"],
        ["aperture_tui.cli.main", "diff", "--base=..", "--after=.."],
        ["aperture_tui.cli.top", "--once"],
    ],
)
def test_nobody_there_is_one_line_and_nothing_else(command: list[str]) -> None:
    """gRPC's library has nothing to say of its own either."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *command, "--remote", "127.0.0.1:1"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.endswith(": 127.0.0.1:1: connection refused: is the aggregator running there?\n")
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < 30


def test_a_wrong_token_is_one_line(remote: list[str], tmp_path: Path, out: Out) -> None:
    (tmp_path / "token").write_text("wrong")
    assert query.run(["hosts", *remote]) == 1
    assert out()[1].count("\n") == 1


@pytest.mark.parametrize("command", [query.run, aggregate.run, export.run, diff.run])
def test_help_has_examples_with_an_aggregator(command: Callable[[list[str]], int], out: Out) -> None:
    with pytest.raises(SystemExit) as ended:
        command(["--help"])
    assert ended.value.code == 0
    assert "examples:" in (text := out()[0])
    assert "--remote agg.example.net" in text


def test_without_grpc_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['grpc'] = None; from aperture_tui.cli.query import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "hosts", "--remote", "localhost"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'aperture-tui[fleet]'" in done.stderr
