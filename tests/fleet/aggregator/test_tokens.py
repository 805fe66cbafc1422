"""Tokens: who is let in, and what becomes of the file while the aggregator runs."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.fleet.aggregator import tokens
from aperture_tui.fleet.aggregator.refusal import Refused
from aperture_tui.fleet.aggregator.tokens import Access, Role, TokensError

NOW = 1_800_000_000.0


def file_of(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return str(path)


def code_of(access: Access, token: str | None) -> grpc.StatusCode:
    with pytest.raises(Refused) as refused:
        access.caller(token)
    return refused.value.code


def test_a_token_is_chance_and_the_file_has_only_its_hash() -> None:
    one, other = tokens.drawn(), tokens.drawn()
    assert one != other
    assert len(one) > 40
    line = tokens.line(one, "shop", Role.PUSH)
    assert one not in line
    (caller,) = tokens.parsed(line).values()
    assert (caller.tenant, caller.role, caller.expires) == ("shop", Role.PUSH, None)


def test_a_token_lets_in_as_its_line_says(tmp_path: Path) -> None:
    push, read, admin, late = (tokens.drawn() for _ in range(4))
    path = file_of(
        tmp_path / "tokens",
        "# who may what",
        tokens.line(push, "shop", Role.PUSH),
        "",
        tokens.line(read, "bank", Role.READ, NOW + 10) + "  # until then",
        tokens.line(admin, "shop", Role.ADMIN),
        tokens.line(late, "shop", Role.ADMIN, NOW),
    )
    now = NOW
    access = Access(path, lambda: now)
    assert [
        (access.caller(t).tenant, access.caller(t).may_push, access.caller(t).may_read) for t in (push, read, admin)
    ] == [
        ("shop", True, False),
        ("bank", False, True),
        ("shop", True, True),
    ]
    for wrong in (None, "", push[:-1], push + "x", tokens.drawn(), late, "é\udcff"):
        assert code_of(access, wrong) is grpc.StatusCode.UNAUTHENTICATED
    now = NOW + 11
    assert code_of(access, read) is grpc.StatusCode.UNAUTHENTICATED
    assert access.caller(push).tenant == "shop"


def test_without_a_file_everybody_is_the_default_tenants_admin() -> None:
    caller = Access(None).caller(None)
    assert (caller.tenant, caller.may_push, caller.may_read) == ("default", True, True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hush! shop push", "SHA-256"),
        (f"{'0' * 64} Shop push", "a-z"),
        (f"{'0' * 64} {'s' * 33} push", "a-z"),
        (f"{'0' * 64} shop root", "role"),
        (f"{'0' * 64} shop", "TENANT ROLE"),
        (f"{'0' * 64} shop push tomorrow", "8601"),
        (f"{'0' * 64} shop push 2027-01-01 00:00", "TENANT ROLE"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(TokensError, match=f"line 2.*{words}") as error:
        Access(file_of(tmp_path / "t", "# first", line))
    assert "hush!" not in str(error.value)  # it may be a token


@given(st.text(max_size=200))
def test_any_text_is_tokens_or_refused(text: str) -> None:
    with contextlib.suppress(TokensError):
        assert all(len(digest) == 32 for digest in tokens.parsed(text))


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="No such file"):
        Access(str(tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TokensError, match="not a text"):
        Access(str(tmp_path / "binary"))


def test_changes_count_from_the_next_look_on(tmp_path: Path) -> None:
    old, new = tokens.drawn(), tokens.drawn()
    path = file_of(tmp_path / "tokens", tokens.line(old, "shop", Role.ADMIN))
    access = Access(path)
    caller = access.caller(old)
    access.still(caller)
    # the way that keeps size and time: only the inode differs
    before = os.stat(path)
    other = tmp_path / "other"
    file_of(other, tokens.line(new, "shop", Role.ADMIN))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    assert access.caller(old)
    access.refresh()
    assert access.caller(new).tenant == "shop"
    assert code_of(access, old) is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(Refused):
        access.still(caller)


def test_a_token_that_may_less_now_ends_what_it_began(tmp_path: Path) -> None:
    token = tokens.drawn()
    path = file_of(tmp_path / "tokens", tokens.line(token, "shop", Role.ADMIN))
    access = Access(path)
    caller = access.caller(token)
    file_of(tmp_path / "tokens", tokens.line(token, "shop", Role.PUSH))
    access.refresh()
    with pytest.raises(Refused):
        access.still(caller)


def test_a_broken_file_keeps_the_former_tokens_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tokens.drawn()
    path = tmp_path / "tokens"
    access = Access(file_of(path, tokens.line(token, "shop", Role.PUSH)))
    path.write_text("what?\n")
    for _ in range(3):
        access.refresh()
    path.unlink()
    for _ in range(3):
        access.refresh()
    assert access.caller(token).tenant == "shop"
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 2
    assert "line 1" in said[0]
    assert "No such file" in said[1]
    assert all("former 1 tokens" in words for words in said)
    file_of(path, tokens.line(token, "bank", Role.PUSH))
    access.refresh()
    assert access.caller(token).tenant == "bank"


def test_a_file_that_all_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens"
    Access(file_of(path, "#"))
    assert not caplog.records
    path.chmod(0o644)
    Access(str(path))
    assert "chmod 600" in caplog.text


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aperture_tui.cli.main", "token", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_gives_a_token_and_its_line_apart(tmp_path: Path) -> None:
    done = run("--tenant", "shop", "--role", "read", "--expires", "1d")
    assert done.returncode == 0
    access = Access(file_of(tmp_path / "tokens", done.stderr))
    caller = access.caller(done.stdout.strip())
    assert (caller.tenant, caller.role) == ("shop", Role.READ)
    assert caller.expires is not None
    assert done.stdout.strip() not in done.stderr


def test_the_command_adds_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    first = run("--role", "push", "--add", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    second = run("--role", "admin", "--tenant", "bank", "--add", str(path))
    access = Access(str(path))
    assert access.caller(first.stdout.strip()).tenant == "default"
    assert access.caller(second.stdout.strip()).tenant == "bank"
    assert first.stderr == second.stderr == ""
    path.write_text("broken")
    third = run("--role", "push", "--add", str(path))
    assert (third.returncode, third.stdout, path.read_text()) == (1, "", "broken")
    assert third.stderr.count("\n") == 1


def test_the_command_refuses_what_is_no_tenant_or_time() -> None:
    for arguments in (["--tenant", "A b"], ["--expires", "0d"], ["--expires", "soon"], []):
        done = run(*arguments, *(["--role", "push"] if arguments else []))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.count("\n") == 1
