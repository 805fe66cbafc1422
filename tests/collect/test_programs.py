"""Every program that sums, in every way that it can be compiled, gets past the verifier."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import pytest

from aperture_tui.collect import calls, compiler, contention, offcpu
from aperture_tui.collect.common import Common
from aperture_tui.collect.gpu import launches
from aperture_tui.collect.unwind import walking
from tests.collect.standing import standing

pytestmark = pytest.mark.bpf

Defines = Mapping[str, int]
Make = Callable[[Defines], compiler.Source]
COMMON = {"SLOTS": 1 << 15, "CALL_ENTRIES": 1 << 12, "ENTRIES": 1 << 12}


@pytest.fixture(scope="module", params=[True, False], ids=["unwinder", "frame pointers"])
def common(request: pytest.FixtureRequest) -> Iterator[Common]:
    with standing(unwinder=request.param) as made:
        yield made


def every(**choices: tuple[int, ...]) -> list[dict[str, int]]:
    """All combinations of these."""
    return [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]


def accepted(common: Common, make: Make, variants: list[dict[str, int]]) -> None:
    """Compile all in one child, then load each as its collector does."""
    sizes = common.supply.maps.defines if common.supply.maps is not None else {}
    compiler.object_codes([make({**COMMON, **variant, **sizes}) for variant in variants])
    for variant in variants:
        walker = common.load(lambda sizes, of=variant: make({**COMMON, **of, **sizes}), {})  # type: ignore[misc]
        assert walker.refused == "", variant
        assert walker.finish() == "", variant
        walker.loaded.close()


def calls_source(defines: Defines) -> compiler.Source:
    slots = {"CALL_SLOTS": 1 << 15 if defines["CALLS"] else 1, "WAIT_SLOTS": 1 << 15 if defines["FUTEX"] else 1}
    return calls._source(bool(defines["RAW"]), {**defines, **slots})


def test_calls(common: Common) -> None:
    either = (0, 1)
    variants = every(RAW=(1,), CALLS=(1,), FUTEX=either, BY_CALL=either, EVERY=(0, 100), FILTERED=either, STACKS=either)
    variants += every(RAW=either, CALLS=(0,), FUTEX=(1,), BY_CALL=(0,), EVERY=(0,), FILTERED=either, STACKS=either)
    accepted(common, calls_source, variants)


def test_offcpu(common: Common) -> None:
    variants = every(FILTERED=(0, 1), STACKS=(0, 1), MIN_NS=(0, 5000))
    accepted(common, offcpu._source, variants)


def test_wakes(common: Common) -> None:
    accepted(common, offcpu._wakes_source, [{}])


def test_contention(common: Common) -> None:
    accepted(common, contention._source, every(FILTERED=(0, 1), STACKS=(0, 1)))


def test_gpu_calls(common: Common) -> None:
    accepted(common, launches._source, every(FILTERED=(0, 1), STACKS=(0, 1)))


def test_on_other_architectures_they_are_compiled_without_what_only_x86_has(
    common: Common, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their registers are another matter: this machine has none."""
    if common.supply.maps is not None:
        pytest.skip("there is no unwinder for them yet")
    defines = walking.task_defines()
    monkeypatch.setattr(walking, "task_defines", lambda: {**defines, "X86": 0})
    monkeypatch.setattr(calls, "_status", lambda: {"TASK_STATUS": 0})
    accepted(
        common,
        calls_source,
        every(RAW=(1,), CALLS=(1,), FUTEX=(1,), BY_CALL=(0,), EVERY=(0,), FILTERED=(0,), STACKS=(1,)),
    )
    accepted(common, offcpu._source, every(FILTERED=(0,), STACKS=(1,), MIN_NS=(0,)))
    accepted(common, launches._source, every(FILTERED=(0,), STACKS=(1,)))
