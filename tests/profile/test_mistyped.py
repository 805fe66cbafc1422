"""What is said of a name that is not known."""

from __future__ import annotations

import pytest

from aperture_tui.profile.mistyped import meant

HOSTS = ("web-1", "web-2", "db", "queue")


@pytest.mark.parametrize(
    ("name", "most", "listed", "words"),
    [
        ("web1", 1, 0, "; did you mean web-1?"),
        ("web-3", 3, 4, "; did you mean web-2 or web-1?"),
        ("zzz", 3, 2, "; there is web-1, web-2, ..."),
        ("zzz", 3, 4, "; there is web-1, web-2, db, queue"),
        ("zzz", 3, 0, ""),
    ],
)
def test_those_that_are_near_are_named_else_some_of_those_that_there_are(
    name: str, most: int, listed: int, words: str
) -> None:
    assert meant(name, HOSTS, most=most, listed=listed) == words


def test_where_nothing_is_known_that_is_said() -> None:
    assert meant("web", (), listed=3) == "; there are none"


def test_what_stands_behind_a_name_stands_behind_each_that_is_named() -> None:
    assert meant("com", ("comm", "pid"), behind=":") == "; did you mean comm:?"
    assert meant("zzz", ("comm", "pid"), listed=2, behind=":") == "; there is comm:, pid:"
