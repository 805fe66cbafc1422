"""Filter lines over events in words, and what each lets pass: a fact at a time, by the words of docs/where.md."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from aperture_tui.profile.kinds import FrameKind, Kind
from aperture_tui.profile.where import EVERYTHING, Bound, Form, Ids, Key, Term, Value, Where, parse

if TYPE_CHECKING:
    from tests.store.facts import Fact

LINES = (
    "comm:sh", "-comm:sh", "comm:PYTHON3", "comm:Python3", "comm:py*,absent", '-comm:""', "comm:/^s|3$/",
    "pid:1", "-pid:1,2", "pid:4000000 tid:1,0", "-tid:3", "thread:worker", "-thread:/./", "thread:m*",
    "cgroup:/a", "-cgroup:/a", "cgroup:/", "-cgroup:/", "cgroup:/a/b/", "cgroup:/system.slice/docker*,/ab",
    "container:web", "-container:web", "-container:w*", "lib:libc", "-lib:libc,app", "lib:app fn:main", "-lib:/x/",
    "fn:main", "-fn:main", "fn:push_back", "fn:*push_back", r"fn:/std::.*\(|éc/", "-fn:/a./", 'lib:""',
    "/q*/", 'fn:"a b","x;y"', "fn:sh",
    "file:a.py", r"-file:~/\.py$/", "file:*.py", "main", "-main", "sh", "-sh,libc", "/^s.$/", "LIBC", "python3 -app",
    "name:futex", "-name:futex", 'name:"",read', "name:f*", "-name:/re/", "tag:slow", "-tag:slow", "tag:été,tenant-*",
    '-tag:"x, y"', "tag:/./", ">1ms", "<1s >=1us", "<=0ns", ">0ns", ">5ms comm:sh -lib:libc", "<1h",
    "host:box", "-host:box", "host:b* comm:sh", "host:other", "-host:other", "service:absent", "-service:absent",
)  # fmt: skip
"""Each kind of term, with every form and sign."""
wheres = st.one_of(
    st.just(EVERYTHING),
    st.sampled_from(LINES).map(parse),
    st.lists(st.sampled_from(LINES), min_size=2, max_size=3).map(" ".join).map(parse),
)
"""Any of them, also together; often none."""
_LABELS = (FrameKind.ROOT, FrameKind.PROCESS, FrameKind.THREAD, FrameKind.TAG)


def lets_pass(fact: Fact, where: Where, host: str) -> bool:
    """Whether all terms let it pass."""
    return all(_holds(fact, term, host) for term in where.terms)


def _holds(fact: Fact, term: Term | Ids | Bound, host: str) -> bool:
    if isinstance(term, Bound):
        longest = fact.longest_ns
        signs = {">": longest > term.ns, ">=": longest >= term.ns, "<": longest < term.ns, "<=": longest <= term.ns}
        return fact.kind is Kind.CPU or signs[term.sign]
    if isinstance(term, Ids):
        return ((fact.process.pid if term.key is Key.PID else fact.tid) in term.ids) != term.negated
    if term.key is Key.NAME and fact.kind is Kind.CPU:
        return True
    found = any(_finds(term.key, value, text) for value in term.values for text in _texts(fact, term.key, host))
    return found != term.negated


def _texts(fact: Fact, key: Key, host: str) -> list[str]:
    code = [frame for frame in fact.stack if frame.kind not in _LABELS]
    match key:
        case Key.WORD:
            return [text for frame in fact.stack for text in frame[:2] if text]
        case Key.FN | Key.LIB | Key.FILE:
            return [frame[(Key.FN, Key.LIB, Key.FILE).index(key)] for frame in code]
        case Key.TAG:
            return list(fact.tags)
    process = fact.process
    return [
        {
            Key.COMM: process.name, Key.CGROUP: process.cgroup, Key.CONTAINER: process.container,
            Key.THREAD: fact.thread, Key.NAME: fact.name, Key.HOST: host, Key.SERVICE: "",
        }[key]
    ]  # fmt: skip


def _finds(key: Key, value: Value, text: str) -> bool:
    wanted = value.text
    if value.form is Form.PATTERN:
        return re.search(wanted, text, 0 if wanted != wanted.lower() else re.IGNORECASE) is not None
    if wanted == wanted.lower():
        text = text.lower()
    if key is Key.WORD and value.form is Form.PLAIN:
        return wanted in text
    several = [text]
    if key is Key.CGROUP:  # itself and all that it is below of
        parts = [part for part in text.split("/") if part]
        several = ["/" + "/".join(parts[:n]) for n in range(len(parts) + 1)] if text else []
        wanted = wanted.rstrip("/") or "/"
    if key is Key.FILE:  # its path, or the end of that
        several += [text[i + 1 :] for i, letter in enumerate(text) if letter == "/"]
    if key is Key.LIB:
        several.append(text.partition(".so")[0])
    if value.form is Form.PLAIN:
        return wanted in several
    return any(fnmatch.fnmatchcase(one, wanted) for one in several)
