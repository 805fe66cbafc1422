"""Files of rules: what they say, and one clear line for what is wrong with each."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aperture_tui.fleet.aggregator.alerts.rules import MOST_RULES, By, Rule, RulesError, followed, of_document, parsed
from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.where import parse

GOOD = '[[rule]]\nname = "r"\nwhere = "fn:work"\nabove = 0.2\n'


def test_a_file_of_rules() -> None:
    text = """
        [[rule]]
        name = "parse"
        where = "fn:/parse.*/"
        above = 0.2

        [[rule]]
        name = "waits"
        tenant = "shop"
        kind = "offcpu"
        where = 'service:shop -comm:backup >5ms'
        measure = "ns/s"
        by = "host"
        above = 2e9
        for = "90s"
        window = "1h"

        [[rule]]
        name = "cores"
        measure = "cores"
        by = "service"
        above = 40
    """
    assert parsed(text) == (
        Rule("parse", where=parse("fn:/parse.*/"), above=0.2),
        Rule(
            "waits", "shop", Kind.OFFCPU, parse("service:shop -comm:backup >5ms"), "ns/s", By.HOST, 2e9, 90, 3600
        ),
        Rule("cores", measure="cores", by=By.SERVICE, above=40.0),
    )  # fmt: skip
    assert parsed("") == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('name = "a b"', "rule 1, name: a b is not 1 to 64"),
        ("name = 7", "rule 1, name: is no text in quotes"),
        ('tenant = "Shop"', "rule 1 (r), tenant: Shop is not 1 to 32"),
        ('kind = "cpus"', "rule 1 (r), kind: cpus is none of cpu, offcpu"),
        ('where = "fn:work foo:bar"', "rule 1 (r), where: foo: is not known"),
        ('where = "fn:/(/"', "rule 1 (r), where: "),
        ('where = "fn:/(?=x)/"', "rule 1 (r), where: "),
        ('where = "fn:work >5ms"', "rule 1 (r), where: >5ms says nothing of samples"),
        ('where = "service:shop"', "rule 1 (r), where: a share is of something"),
        ('where = ""', "rule 1 (r), where: a share is of something"),
        ('measure = "calls/s"', "rule 1 (r), measure: calls/s is none of share, cores"),
        ('by = "pod"', "rule 1 (r), by: pod is none of service, host"),
        ("above = true", "rule 1 (r), above: is no number"),
        ('above = "0.2"', "rule 1 (r), above: is no number"),
        ("above = nan", "rule 1 (r), above: is less than 0, or no number"),
        ("above = inf", "rule 1 (r), above: is less than 0, or no number"),
        ("above = -0.1", "rule 1 (r), above: is less than 0"),
        ("above = 1", "rule 1 (r), above: no share is above 1"),
        ("above = 20", "rule 1 (r), above: no share is above 1"),
        (f"above = 1{'0' * 400}", "rule 1 (r), above: is too large"),
        ('for = "5"', "rule 1 (r), for: 5 is no duration"),
        ("for = 5", "rule 1 (r), for: is no text"),
        ('for = "25h"', "rule 1 (r), for: 25h is no duration up to a day"),
        ('window = "90s"', "rule 1 (r), window: is not in whole minutes"),
        ('window = "0m"', "rule 1 (r), window: is not in whole minutes"),
        ('treshold = 0.2', "rule 1 (r), treshold: is not known; there is name, tenant"),
        ('abov = 0.2', "rule 1 (r), abov: is not known; did you mean above?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_rule_and_key(line: str, words: str) -> None:
    key = line.partition(" ")[0]
    others = [other for other in GOOD.splitlines() if not other.startswith(f"{key} ")]
    with pytest.raises(RulesError) as wrong:
        parsed("\n".join([*others, line]))
    assert str(wrong.value).startswith(words)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\n", "rule 1, name: is missing"),
        ('[[rule]]\nname = "r"\nwhere = "fn:x"\n', "rule 1 (r), above: is missing"),
        (GOOD + GOOD, "rule 2 (r), name: an earlier rule"),
        (GOOD.replace("[[rule]]", "[rule]"), "rule: each begins with [[rule]]"),
        (GOOD.replace("[[rule]]", "[[rules]]"), "rules: there are [[rule]] alone"),
        ("rule = [1]", "rule 1: each begins with [[rule]]"),
        ("what?", "no TOML: "),
        ("x = " + "[" * 100_000, "no TOML: "),
        ("x = " + "1" * 5000, "no TOML: "),
        ("[[rule]]\nname='r'\n" * (MOST_RULES + 1), "rule: more than 200"),
    ],
)
def test_what_is_no_file_of_rules(text: str, words: str) -> None:
    with pytest.raises(RulesError) as wrong:
        parsed(text)
    assert str(wrong.value).startswith(words)


def test_the_rules_of_the_documentation_are_rules() -> None:
    text = (Path(__file__).parents[4] / "docs/fleet.md").read_text()
    rules = parsed(text.partition("```toml\n")[2].partition("```")[0])
    assert [(rule.name, rule.by, rule.for_s, rule.window_s) for rule in rules] == [
        ("parsing", By.SERVICE, 600, 300),
        ("lock-waits", None, 0, 900),
    ]


def test_the_same_name_may_be_of_two_tenants() -> None:
    assert len(parsed(GOOD + GOOD + 'tenant = "shop"\n')) == 2


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NEARLY: dict[str, st.SearchStrategy[Any]] = {
    "name": st.just("r") | _VALUES,
    "tenant": st.just("shop") | _VALUES,
    "kind": st.sampled_from(["cpu", "lock", "syscall"]) | _VALUES,
    "where": st.text(alphabet='fncomh:/-,>"\\5ms *.()[', max_size=30) | _VALUES,
    "measure": st.sampled_from(["share", "cores", "ns/s", "calls/s"]) | _VALUES,
    "by": st.sampled_from(["service", "host"]) | _VALUES,
    "above": st.floats() | st.integers() | _VALUES,
    "for": st.text(alphabet="0123456789smh", max_size=7) | _VALUES,
    "window": st.text(alphabet="0123456789smh", max_size=7) | _VALUES,
}


@given(st.text() | st.text(alphabet='[]rule="\n\\{}#.0123456789eE_-:TZ,', max_size=200))
def test_any_text_is_rules_or_no_rules(text: str) -> None:
    with contextlib.suppress(RulesError):
        parsed(text)


@given(
    st.dictionaries(st.text(), _VALUES, max_size=2)
    | st.lists(st.fixed_dictionaries({}, optional=_NEARLY), max_size=3).map(lambda rules: {"rule": rules})
)
def test_any_document_is_rules_or_no_rules(document: dict[str, Any]) -> None:
    with contextlib.suppress(RulesError):
        for rule in of_document(document):
            assert rule.above >= 0
            assert 60 <= rule.window_s <= 86_400


# -- the file


def rewrite(path: Path, text: str | bytes) -> None:
    """Another file of that name: its time alone may be too coarse to tell."""
    new = path.with_name("new")
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    os.replace(new, path)


def test_the_file_is_followed_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "rules.toml"
    path.write_text(GOOD)
    file = followed(str(path))
    before = file.value
    file.refresh()
    assert file.value is before
    for broken, words in (
        (GOOD + "abov = 1\n", "rule 1 (r), abov: is not known"),
        (b"\xff\xfe", "not a text"),
        (b"#" * (2 << 20), "more than 1 MB"),
    ):
        rewrite(path, broken)
        caplog.clear()
        file.refresh()
        file.refresh()
        assert file.value is before
        (line,) = caplog.messages
        assert line.startswith(f"{path}: ")
        assert words in line
        assert line.endswith("; the former 1 rules stay in force")
    path.unlink()
    caplog.clear()
    file.refresh()
    assert "No such file" in caplog.text
    rewrite(path, GOOD.replace("0.2", "0.3"))
    file.refresh()
    assert [rule.above for rule in file.value] == [0.3]
    assert "read again, 1 rules" in caplog.text


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="No such file"):
        followed(str(tmp_path / "none"))
