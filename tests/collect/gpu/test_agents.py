"""Both ends of the socket when the other one is not what it should be."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aperture_tui.collect.gpu import agents, finding, reading
from aperture_tui.collect.gpu.agents import Agents
from aperture_tui.collect.gpu.environment import environment
from aperture_tui.collect.gpu.frames import Frames
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.status import dropped
from tests.collect.gpu.targets import target

LONGEST_S = 20.0
_PYTHON = "/usr/bin/python3"
"""One that every user may run: ours may lie in somebody's home."""
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(_PYTHON), reason="only root can be others, who need a Python of the system"
)


@contextmanager
def listener(folder: Path, code: str, uid: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that listens as an agent would, in another way. code: what it does with a `connection`."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if uid is not None:
        os.chown(folder, uid, uid)
    script = f"""
import os, socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind({str(folder)!r} + f"/{{os.getpid()}}.sock")
listener.listen()
print("ready", flush=True)
connection, _ = listener.accept()
{code}
time.sleep(60)
"""
    command = [sys.executable if uid is None else _PYTHON, "-S", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, user=uid) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            (folder / f"{process.pid}.sock").unlink(missing_ok=True)


def folder() -> Path:
    return Path(finding.folder_of_user(os.geteuid()))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("connection.sendall(b'HTTP/1.1 400 Bad Request')", "do not speak our protocol"),
        ("connection.sendall(b'\\x04\\0\\0\\0\\x57\\0\\0\\0' + bytes(87))", "no whole records"),
        ("connection.sendall(b'\\x09\\0\\0\\0\\xff\\xff\\xff\\xff')", "do not speak our protocol"),
        ("connection.recv(99); connection.close()", "hung up without a word, of another version"),
        (
            'connection.recv(99); told = b\'{"sent_away": "another session hears it"}\'\n'
            "connection.sendall(b'\\x09\\0\\0\\0' + len(told).to_bytes(4, 'little') + told); connection.close()",
            "sent us away: another session hears it",
        ),
    ],
)
def test_who_speaks_otherwise_is_left_and_said(code: str, words: str) -> None:
    with listener(folder(), code) as process:
        talking = Agents(lambda pid: pid == process.pid, 0.02)  # others may be there, of another run
        ends = time.monotonic() + LONGEST_S
        while not talking.refused:
            talking.update()
            talking.take_ended()
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert words in next(iter(talking.refused))
        assert talking.talking == {}
        talking.close()


def test_one_that_sends_without_end_is_read_a_part_at_a_time() -> None:
    code = "while True: connection.sendall((b'\\x04\\0\\0\\0' + (8800).to_bytes(4, 'little') + bytes(8800)) * 100)"
    with listener(folder(), code) as process:
        talking = Agents(lambda pid: pid == process.pid, 0.02)
        ends = time.monotonic() + LONGEST_S
        while not talking.talking:
            talking.update()
            assert time.monotonic() < ends
        (one,) = talking.talking.values()
        for _ in range(3):
            one.told = []  # that of the first look, too: it may have come late
            time.sleep(0.3)
            talking.update()
            assert sum(88 * len(told.rows) for told in one.told) <= reading.MOST + (1 << 20)
        talking.close()


def test_far_more_than_a_socket_holds_comes_in_one_drain() -> None:
    """It is read between the drains: 25,000 kernels and as many calls a second are a megabyte in a quarter of one."""
    code = "for _ in range(400): connection.sendall(b'\\x04\\0\\0\\0' + (8800).to_bytes(4, 'little') + bytes(8800))"
    with listener(folder(), code) as process:
        talking = Agents(lambda pid: pid == process.pid, 0.02)
        ends = time.monotonic() + LONGEST_S
        while not talking.talking:
            talking.update()
            assert time.monotonic() < ends
        (one,) = talking.talking.values()
        drains = 0
        while sum(len(told.rows) for told in one.told) < 40_000:
            time.sleep(1)
            talking.update()
            drains += 1
            assert time.monotonic() < ends
        assert drains <= 3, "3.5 MB took as many drains as there are sockets full in it"
        talking.close()


def test_a_socket_that_is_found_in_two_ways_is_one() -> None:
    with listener(folder(), "time.sleep(60)"):
        assert len(finding.doors(["", "/proc/self/root"])) == len(finding.doors())


def test_one_that_nobody_wants_to_hear_is_not_asked() -> None:
    with listener(folder(), "print(len(connection.recv(99)), flush=True)") as process:
        talking = Agents(lambda pid: False, 0.02)
        talking.update()
        assert talking.talking == {}
        assert process.stdout
        assert process.stdout.readline() == "0\n"


@needs_root
def test_a_folder_that_is_not_its_users_alone_is_not_looked_into(tmp_path: Path) -> None:
    uid = 54321
    theirs = Path(finding.folder_of_user(uid))
    with listener(theirs, "", uid=uid) as process:
        door = finding.Door(str(theirs / f"{process.pid}.sock"), uid)
        assert door in finding.doors()
        connection, pid = finding.connected(door)
        connection.close()
        assert pid == process.pid
        theirs.chmod(0o711)
        assert door not in finding.doors()
        theirs.chmod(0o700)
        os.chown(theirs, 0, 0)
        assert door not in finding.doors()
    theirs.rmdir()


@needs_root
def test_who_listens_in_the_folder_of_somebody_else_is_refused() -> None:
    uid = 54321
    theirs = Path(finding.folder_of_user(uid))
    with listener(theirs, "") as process:  # root's own process, in their folder
        os.chown(theirs, uid, uid)
        with pytest.raises(finding.RefusedError):
            finding.connected(finding.Door(str(theirs / f"{process.pid}.sock"), uid))
    theirs.rmdir()


_ASKS = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(10)
try:
    s.sendall(bytes.fromhex(sys.argv[2]))
    print(len(s.recv(1)))
except OSError as error:
    print(type(error).__name__)
"""


_SENT_AWAY = ("0", "ConnectionResetError", "BrokenPipeError")


@needs_root
def test_an_agent_answers_its_own_user_and_root_and_nobody_else(tmp_path: Path) -> None:
    uid, stranger = 54321, 54322
    place = Path("/tmp") / f"aperture-gpu-test-{os.getpid()}"  # noqa: S108 - made and let go of here
    code = "import time, os; print(os.getpid(), flush=True); time.sleep(60)"
    place.mkdir()
    place.chmod(0o777)
    shutil.copytree(environment("python", {})["PYTHONPATH"], place / "inside", ignore=shutil.ignore_patterns("*.pyc"))
    env = {"APERTURE_GPU": str(place / "in"), "PYTHONPATH": str(place / "inside")}
    request = wire.REQUEST.pack(wire.MAGIC, 0, 20_000).hex()

    def asked(by: int) -> str:
        # a stranger's way in is open here, so that it is the agent that refuses
        done = subprocess.run(
            [_PYTHON, "-S", "-c", _ASKS, str(path), request],
            user=by,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr

    with subprocess.Popen([_PYTHON, "-c", code], env=env, user=uid, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            path = place / "in" / f"{int(process.stdout.readline())}.sock"
            assert asked(0) == "1"
            assert asked(uid) == "1"
            (place / "in").chmod(0o777)
            path.chmod(0o777)
            assert asked(stranger) in _SENT_AWAY
        finally:
            process.kill()
            subprocess.run(["rm", "-r", str(place)], check=True)


# -- over the synthetic CUPTI


def ask(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.sendall(wire.REQUEST.pack(wire.MAGIC, wire.WISH_CALLS, 20_000))
    return connection


def sent_away(path: Path, request: bytes) -> str:
    """The words with which one that asks so is left; "" for none."""
    frames, why = Frames(), ""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.settimeout(LONGEST_S)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(request)
            while data := connection.recv(1 << 16):
                (told,) = frames.feed(data)
                why = told.words["sent_away"]
    return why


def test_a_program_does_not_wait_for_one_that_does_not_read_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    with target(tmp_path, 100_000, APERTURE_GPU=str(tmp_path / "gpu")) as program:
        alone = time.monotonic()
        assert program.work()["on"] is False
        alone = time.monotonic() - alone
        connection = ask(tmp_path / "gpu" / f"{program.pid}.sock")
        ends = time.monotonic() + LONGEST_S
        while not (told := program.work())["on"]:
            assert time.monotonic() < ends
        began = time.monotonic()
        told = program.work()
        assert time.monotonic() - began < 10 * alone + 5  # far from for ever, which is how long it would wait
        frames, status, kernels = Frames(), {}, 0
        connection.settimeout(3)
        while not status.get("dropped", {}).get("kernels"):
            for one in frames.feed(connection.recv(1 << 20)):
                status = one.words if one.frame == wire.STATUS else status
                kernels += len(one.rows) if one.frame == wire.KERNELS else 0
        connection.close()
        assert kernels < 2 * (told["gemm"] + told["reduce"])
        program.end()


def test_one_that_reads_nothing_for_a_while_is_not_left(tmp_path: Path) -> None:
    """A session that is stopped, or has no CPU, for a second: a socket is full long before, and all is kept for it."""
    with target(tmp_path, 10_000, APERTURE_GPU=str(tmp_path / "gpu")) as program:
        connection = ask(tmp_path / "gpu" / f"{program.pid}.sock")
        ends = time.monotonic() + LONGEST_S
        while not program.work()["on"]:
            assert time.monotonic() < ends
        time.sleep(2)
        frames, statuses = Frames(), 0
        connection.settimeout(LONGEST_S)
        while statuses < 5:
            data = connection.recv(1 << 20)
            assert data, "it has hung up"
            statuses += sum(one.frame == wire.STATUS for one in frames.feed(data))
        connection.close()
        program.end()


def test_what_cupti_says_of_its_own_cost_is_told_and_what_is_the_drivers_is_not(tmp_path: Path) -> None:
    with target(tmp_path, 100, APERTURE_GPU=str(tmp_path / "gpu")) as program:
        connection = ask(tmp_path / "gpu" / f"{program.pid}.sock")
        connection.settimeout(LONGEST_S)
        frames, status, others = Frames(), {}, 0
        while not status.get("cupti_ns"):
            told = program.work()
            others += told["others"] if told["on"] else 0
            for one in frames.feed(connection.recv(1 << 20)):
                status = one.words if one.frame == wire.STATUS else status
        connection.close()
        program.end()
    assert status["cupti_ns"] >= 1500
    assert status["cupti_ns"] % 1500 == 0
    assert status["cupti_ns"] <= 1500 * others


def test_a_second_one_that_asks_is_sent_away(tmp_path: Path) -> None:
    with target(tmp_path, 10, APERTURE_GPU=str(tmp_path / "gpu")) as program:
        path = tmp_path / "gpu" / f"{program.pid}.sock"
        first = ask(path)
        first.settimeout(LONGEST_S)
        assert first.recv(1)
        assert sent_away(path, wire.REQUEST.pack(wire.MAGIC, wire.WISH_CALLS, 20_000)) == "another session hears it"
        first.close()
        program.end()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"", ""),
        (b"GET / HTTP/1.1\r\n\r\n", ""),
        (wire.REQUEST.pack(b"APGPU\x00\x009", 0, 0), "it is of another version: start its program anew"),
    ],
)
def test_one_that_asks_in_other_words_is_sent_away(tmp_path: Path, request_: bytes, words: str) -> None:
    with target(tmp_path, 10, APERTURE_GPU=str(tmp_path / "gpu")) as program:
        path = tmp_path / "gpu" / f"{program.pid}.sock"
        assert sent_away(path, request_) == words
        good = ask(path)
        good.settimeout(LONGEST_S)
        assert good.recv(1)
        good.close()
        program.end()


def test_a_folder_that_is_full_of_sockets_leaves_room_for_others_and_its_newest_is_found(tmp_path: Path) -> None:
    for user, n in ((1, 400), (2, 1)):
        place = tmp_path / f"run/user/{user}/aperture-gpu"
        place.mkdir(parents=True)
        place.chmod(0o700)
        for i in range(n):
            made = place / f"{1000 - i}.sock"
            made.touch()
            os.utime(made, ns=(i, i))
    found = [door.path.removeprefix(f"{tmp_path}/run/user/") for door in finding.doors([str(tmp_path)])]
    assert len(found) == finding.MAX_SOCKETS
    assert "1/aperture-gpu/601.sock" in found[:2]
    assert "2/aperture-gpu/1000.sock" in found


def test_what_an_agent_counts_as_lost_has_few_names_whatever_it_says() -> None:
    told = {"kernels": 3, "copies": -1, "calls": True, "\x1b[2J": 4, **{f"cause {i}": 1 for i in range(1000)}}
    assert dropped({"dropped": told}) == {"kernels": 3, "records": 1004}
    assert dropped({"dropped": [1]}) == {}
    assert dropped({"dropped": {"kernels": 1 << 70}}) == {}


def test_all_agents_together_have_only_so_much_room() -> None:
    read = reading.Reading()
    pairs = [socket.socketpair() for _ in range(3)]
    data = b"x" * (1 << 20)
    try:
        inboxes = [read.follow(ours) for ours, _ in pairs]
        inboxes[0].put(bytes(reading.MOST_OF_ALL))
        pairs[1][1].settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(8):
                pairs[1][1].sendall(data)
        assert sum(len(one) for one in inboxes[1:]) <= 1 << 16
        inboxes[0].take()
        ends = time.monotonic() + LONGEST_S
        while not len(inboxes[1]):
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        read.end()
        for pair in pairs:
            for one in pair:
                one.close()


@contextmanager
def strangers(monkeypatch: pytest.MonkeyPatch, n: int) -> Iterator[list[socket.socket]]:
    """The other ends of n sockets, which are all found."""
    pairs = [socket.socketpair() for _ in range(n)]
    doors = {finding.Door(f"{i}.sock", 0): ours for i, (ours, _) in enumerate(pairs)}
    monkeypatch.setattr(finding, "doors", lambda roots: list(doors))
    monkeypatch.setattr(finding, "connected", lambda door: (doors[door], os.getpid()))
    try:
        yield [theirs for _, theirs in pairs]
    finally:
        for pair in pairs:
            for one in pair:
                one.close()


def test_one_who_takes_its_sockets_away_is_not_heard_at_ever_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is heard needs no socket any more: all that were found were kept, until no file could be opened."""
    talking = Agents(lambda pid: True, 0.02)
    with strangers(monkeypatch, finding.MAX_SOCKETS + 7):
        talking.update()
        assert len(talking.talking) == finding.MAX_SOCKETS
        assert talking.refused == {"agents that are not asked: 256 are heard": 7}
        talking.close()


def test_names_of_all_agents_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "_MAX_NAMES_BYTES", 40_000)
    talking = Agents(lambda pid: True, 0.02)
    with strangers(monkeypatch, 3) as others:
        talking.update()
        for i, other in enumerate(others):
            for number in range(5 * (i + 1)):
                other.sendall(wire.FRAME.pack(wire.STRING, 0, 2008) + number.to_bytes(8, "little") + b"n" * 2000)
        ends = time.monotonic() + LONGEST_S
        while not (ended := talking.take_ended()):
            assert time.monotonic() < ends
            time.sleep(0.02)
            talking.update()
        assert [one.door.path for one in ended] == ["2.sock"]
        assert talking.refused == {"agents with the most names, of too many in all": 1}
        talking.close()
