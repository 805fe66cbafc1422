"""The frames of a thread whose stack the VM itself tells."""

from __future__ import annotations

import re

from .conftest import ADDED, Running, Stack, version


def told(text: str, thread: str) -> list[str]:
    """The functions of a thread in what Thread.print says, innermost first."""
    _, _, after = text.partition(f'"{thread}" ')
    return [ADDED.sub("", name) for name in re.findall(r"^\tat (.+)\(", after.partition("\n\n")[0], re.M)]


def test_a_stack_is_what_the_vm_says_it_is(running: Running) -> None:
    hotspot = running.open()
    assert hotspot.major == version(running.java)
    expected = told(running.ask("Thread.print"), "known")
    assert [name for name in expected if name.startswith("Known.")] == [
        "Known.leaf",
        "Known.middle",
        "Known.outer",
        *["Known.recursive"] * 4,
        "Known.lambda$main$1",
        "Known.lambda$main$2",
    ]
    assert Stack(running, "known", hotspot).functions() == expected
