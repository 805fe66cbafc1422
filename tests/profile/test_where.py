"""The filter line: text to terms and back, and what each term finds."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aperture_tui.profile.kinds import Kind
from aperture_tui.profile.where import (
    EVERYTHING,
    KEYS,
    LONGEST,
    MOST_TERMS,
    MOST_VALUES,
    AnyTerm,
    Bound,
    Form,
    Ids,
    Key,
    Term,
    Value,
    Where,
    WhereError,
    parse,
)

ISSUE = "comm:nginx -lib:libc fn:/parse.*/ >5ms pid:1,2 cgroup:/system.slice"

printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ").filter(str.isprintable)
texts = st.text(printable, max_size=12)
patterns = st.lists(
    st.sampled_from(["a", "B", "é", "/", r"\.", r"\\", ".*", "[/x]", "(a|b)", " ", '"', ",", "^", "$"]), min_size=1
).map("".join).filter(lambda text: _compiles(text))  # fmt: skip
globs = st.text(st.sampled_from("abcXYZ._/*é"), min_size=1, max_size=8).map(lambda text: f"a{text}*")
values = st.one_of(
    texts.map(Value),
    globs.map(lambda text: Value(text, Form.GLOB)),
    patterns.map(lambda text: Value(text, Form.PATTERN)),
)
terms: st.SearchStrategy[AnyTerm] = st.one_of(
    st.builds(
        Term,
        st.sampled_from([key for key in KEYS if key not in (Key.PID, Key.TID)]),
        st.lists(values, min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        Term,
        st.just(Key.WORD),
        st.lists(values.filter(lambda value: bool(value.text)), min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(
        Ids,
        st.sampled_from([Key.PID, Key.TID]),
        st.lists(st.integers(0, (1 << 32) - 1), min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
    st.builds(Bound, st.sampled_from(["<", "<=", ">", ">="]), st.integers(0, 1 << 57)),
)


def _compiles(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


@given(st.lists(terms, max_size=4).map(lambda some: Where(tuple(some))))
def test_what_is_written_is_read_again(where: Where) -> None:
    assert parse(where.text) == where


@given(st.text(st.sampled_from(string.ascii_letters[:4] + '-:,/"*\\~<>5ms .()[?+'), max_size=30) | st.text(max_size=30))
@example('comm:"a\\')
@example("/a(?=b)/")
def test_any_text_is_either_read_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        where, problem = parse(text), None
    except WhereError as error:
        where, problem = EVERYTHING, error
    assert parse(where.text) == where
    if problem is not None:
        assert 0 <= problem.place <= len(text)
        assert str(problem.place + 1) in str(problem)
        assert "\n" not in str(problem)


def test_the_example_of_the_issue() -> None:
    assert parse(ISSUE).terms == (
        Term(Key.COMM, (Value("nginx"),)),
        Term(Key.LIB, (Value("libc"),), negated=True),
        Term(Key.FN, (Value("parse.*", Form.PATTERN),)),
        Bound(">", 5_000_000),
        Ids(Key.PID, (1, 2)),
        Term(Key.CGROUP, (Value("/system.slice"),)),
    )
    assert parse(ISSUE).text == ISSUE
    assert not parse("   ")
    assert parse("") == EVERYTHING


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("comm:nginx com:x", 11, "did you mean comm:?"),
        ("zzz:x", 0, "there is comm:, pid:, tid:"),
        ("fn:", 3, "a value is missing"),
        ("fn:a,", 5, "a value is missing"),
        ("-", 1, "a word is missing"),
        ("fn:/a(/", 5, "not a pattern: missing )"),
        ("fn:/(?i)a(/", 9, "not a pattern: missing )"),
        ("fn:/a", 3, "no / at its end"),
        ("fn:/(?=a)/", 4, "look-arounds"),
        (r"fn:/(a)\1/", 7, "back-references"),
        ("fn:/a++/", 6, "possessive"),
        ("fn:/a(?#b)/", 5, "(? begins a group"),
        ("fn:/(?a:b)/", 4, "(? begins a group"),
        ("fn:/xa{,2}/", 6, "least number"),
        ("fn:/a{1000}/", 5, "999"),
        ("fn:/a{1000,}/", 5, "999"),
        ("fn:/a{1,1000}/", 5, "999"),
        ("fn:/x[^[:alpha:]]/", 7, r"[: is written \[:"),
        (r"fn:/x[\\\b]/", 8, r"no \b"),
        (r"fn:/\\\u0041/", 6, r"\u"),
        ("fn://", 4, "an empty pattern"),
        ("fn:/a/b", 6, "a space is missing"),
        ('comm:"a', 5, "not closed"),
        ('comm:a"b"', 6, "quotes stand around"),
        ("pid:x", 4, "takes numbers"),
        ("pid:1,99999999999", 6, "takes numbers"),
        (">5", 0, "with its unit"),
        ("a >5msx", 2, "with its unit"),
        ("->5ms", 0, "negated by its sign"),
        (">99999999h", 0, "four years"),
        ('""', 0, "nothing is looked for"),
        ("a\tb", 1, "cannot be printed"),
        ("x " * MOST_TERMS + "x", 2 * MOST_TERMS, "terms"),
        (f"pid:{','.join('1' for _ in range(MOST_VALUES + 1))}", 405, "values"),
        ("x" * (LONGEST + 1), LONGEST, "characters"),
        (f"/{'x' * 201}/", 201, "a pattern of more"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: int, words: str) -> None:
    with pytest.raises(WhereError) as raised:
        parse(text)
    assert words in raised.value.problem
    assert raised.value.place == place


@pytest.mark.parametrize(
    ("term", "finds", "not_these"),
    [
        ("comm:nginx", ["nginx", "NGINX"], ["nginx2", "nginx\n", ""]),
        ("comm:Nginx", ["Nginx"], ["nginx"]),
        ("comm:nginx,redis*", ["nginx", "redis-server"], ["my-redis"]),
        ("comm:/gin/", ["nginx", "GIN"], ["ng"]),
        ("comm:/Gin/", ["Gin"], ["gin"]),
        (r"comm:/\Sx/", ["ax", "AX"], ["x"]),
        (r"comm:/^[*+][(?=]$/", ["*(", "+="], ["**"]),
        (r"comm:/^[:a]\[:x{0,2}[{,2}]$/", [":[:x{", "a[:,"], ["[:"]),
        ("comm:/a|b/,c", ["xax", "B", "c"], ["cd"]),
        ("comm:/(?m)^a$/", ["x\na"], ["xa"]),
        ('comm:"a*"', ["a*"], ["ab"]),
        ('comm:""', [""], ["a"]),
        ("lib:libc", ["libc.so.6", "libc-2.31.so", "libc", "/usr/lib/libc.so.6"], ["libcrypt.so", "libc-x.so", ""]),
        ("lib:kernel", ["kernel", "[kernel]"], ["kernel32"]),
        ("lib:python3.11", ["python3.11", "/usr/bin/python3.11"], ["python3"]),
        ("file:a.py", ["a.py", "/srv/a.py"], ["aa.py", "a.pyc"]),
        ("file:/srv/*", ["/srv/a.py"], ["x/usr/a"]),
        (r"file:~/\.pyc?$/", ["a.py", "b.pyc"], ["a.pyx"]),
        ("cgroup:/a", ["/a", "/a/b"], ["/ab", "", "/b/a"]),
        ("cgroup:/a/", ["/a", "/a/b"], ["/ab"]),
        ("cgroup:/", ["/", "/a"], [""]),
        ("cgroup:/system.slice/nginx*", ["/system.slice/nginx.service/x"], ["/system.slice"]),
        ("container:web", ["web"], ["web-2"]),
        ("parse", ["parse", "json_parse_value", "PARSE"], ["pars"]),
        ("fn:parse", ["parse"], ["json_parse"]),
        ("fn:*parse*", ["json_parse_value"], ["pars"]),
        ("fn:operator+", ["operator+"], ["operator"]),
        ("fn:std::sort", ["std::sort"], ["std::sort<int>"]),
    ],
)  # fmt: skip
def test_what_a_term_finds(term: str, finds: list[str], not_these: list[str]) -> None:
    (found,) = parse(term).terms
    assert isinstance(found, Term)
    for text in finds:
        assert re.search(found.source, text), text
    for text in not_these:
        assert not re.search(found.source, text), text


@given(texts.filter(lambda text: text.rstrip("/") != ""), st.sampled_from(KEYS))
def test_a_quoted_value_finds_itself_whatever_it_is(text: str, key: Key) -> None:
    """Letters that have no one small form, as ß, are small already."""
    assert re.search(Term(key, (Value(text),)).source, text)


def test_samples_have_neither_durations_nor_names() -> None:
    where = parse("comm:a >5ms name:futex")
    assert where.of(Kind.CPU).text == "comm:a"
    assert where.idle(Kind.CPU).text == ">5ms name:futex"
    assert where.of(Kind.SYSCALL) == where
    assert not where.idle(Kind.LOCK)


def test_machines() -> None:
    where = parse("comm:a host:web-*,db -host:web-2 service:shop")
    assert where.takes("web-1", "shop")
    assert where.takes("DB", "shop")
    assert not where.takes("web-2", "shop")
    assert not where.takes("web-1")
    assert not where.takes("cache", "shop")
    assert where.but(frozenset({Key.HOST, Key.SERVICE})).text == "comm:a"
    assert EVERYTHING.takes("any")


def test_durations_are_exact() -> None:
    told = [parse(text).terms[0] for text in (">1.5ms", "<=0.25s", ">2m", ">=1h", "<7µs", ">90s", ">0ns")]
    assert [one.ns for one in told if isinstance(one, Bound)] == [
        1_500_000, 250_000_000, 120 * 10**9, 3600 * 10**9, 7000, 90 * 10**9, 0,
    ]  # fmt: skip
    assert [one.text for one in told] == [">1500us", "<=250ms", ">2min", ">=1h", "<7us", ">90s", ">0h"]
