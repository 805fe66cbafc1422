"""The door: secrets, names, origins."""

from __future__ import annotations

import pytest

from aperture_tui.tui.web.admission import Admission, is_own_page


def test_every_start_has_its_own_secrets() -> None:
    """256 bits each, and the cookie does not tell the token."""
    one, other = Admission.fresh(), Admission.fresh()
    assert len({one.token, one.cookie, other.token, other.cookie}) == 4
    assert min(map(len, (one.token, one.cookie))) >= 43  # base64 of 32 bytes
    assert one.base != other.base
    assert one.cookie_name != other.cookie_name


@pytest.mark.parametrize("given", ["", "x", "ä", "\udce4", "a" * 100_000])
def test_what_is_not_the_token_is_refused(given: str) -> None:
    """Whatever it is made of."""
    admission = Admission.fresh()
    assert not admission.is_token(given)
    assert not admission.is_cookie(given)
    assert not admission.is_token(admission.cookie)
    assert not admission.is_cookie(admission.token)
    assert admission.is_token(admission.token)
    assert admission.is_cookie(admission.cookie)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8421", "localhost", "LOCALHOST:9000", "[::1]:8421", "10.1.2.3", "build-7:80", "Build-7"]
)
def test_hosts_that_are_this_machine(host: str) -> None:
    """Any address, and the names that it has."""
    assert Admission.fresh(frozenset({"Build-7"})).is_here(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8421",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil",
        "a b",
        "[::1",
        "[evil]",
        "127.0.0.1:8421:1",
        "127.0.0.1/x",
        "localhost:123456",
    ],
)
def test_hosts_that_somebody_may_have_rebound(host: str) -> None:
    """A name of theirs, however it is written."""
    assert not Admission.fresh(frozenset({"build-7"})).is_here(host)


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8421", "127.0.0.1:8421", True),
        ("https://profiles.example.net", "profiles.example.net", True),
        ("http://127.0.0.1:9999", "127.0.0.1:8421", False),  # another server of the same machine
        ("http://evil.example", "127.0.0.1:8421", False),
        ("http://127.0.0.1:8421.evil.example", "127.0.0.1:8421", False),
        ("null", "127.0.0.1:8421", False),  # a sandboxed frame, a file
        ("", "", False),
        ("http://", "", False),
        ("ws://127.0.0.1:8421", "127.0.0.1:8421", False),
    ],
)
def test_only_our_own_pages(origin: str, host: str, own: bool) -> None:
    """The Origin has to be where the request went."""
    assert is_own_page(origin, host) is own
