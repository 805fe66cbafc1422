"""Files that the tools themselves wrote, against what those tools say of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from aperture_tui.importing.opened import imported
from aperture_tui.profile.query import Query
from aperture_tui.store.memory import MemoryStore
from tests.importing.asked import BLOCKED, TIME, lines, stacks, told
from tests.programs import build
from tests.store.facts import words

GO_PROGRAM = Path(__file__).parent / "programs" / "profiles.go"
PYTHON_PROGRAM = Path(__file__).parents[1] / "truth" / "scripts" / "busy.py"


def tool(name: str, mends: str) -> str:
    """Where a tool is; skips without it. It may lie beside this Python, or where its installer puts it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)]))
    if found is None:
        pytest.skip(f"no {name}: {mends}")
    return found


def output(command: Sequence[str | Path], **more: object) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, **more)  # type: ignore[call-overload]  # input, env
    return str(done.stdout)


def load(path: Path) -> MemoryStore:
    store = imported(path)
    assert store is not None
    return store


class TestPerf:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A recording of two threads, with two events."""
        out = tmp_path_factory.mktemp("perf") / "data"
        program = build("burn", "-O1", "-g", "-fno-omit-frame-pointer")
        options = ["-q", "-F", "997", "-g", "-e", "cpu-clock,context-switches", "-o", out]
        command = [tool("perf", "apt-get install linux-perf"), "record", *options, "--", program, "1", "2", "20"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"perf record is not permitted: {(done.stderr.splitlines() or ['?'])[-1]}")
        return out

    def script(self, data: Path, *options: str) -> Path:
        out = data.with_name("-".join(["script", *options]).replace("/", "-"))
        if not out.exists():
            out.write_text(output(["perf", "script", "-i", data, *options]))
        return out

    def samples(self, data: Path) -> int:
        """How many of cpu-clock there are, by perf's own words."""
        return Counter(
            line.strip(": \n") for line in output(["perf", "script", "-i", data, "-F", "event"]).splitlines()
        )["cpu-clock"]

    def test_every_sample_counts_once_and_for_its_period(self, data: Path) -> None:
        store = load(self.script(data))
        assert sum(stacks(store).values()) == self.samples(data) > 500
        periods = output(["perf", "script", "-i", data, "-F", "event,period"])
        assert sum(stacks(store, TIME).values()) == sum(int(n) for n in re.findall(r"(\d+) +cpu-clock:", periods))
        assert re.search(r"not shown: \d+ of context-switches", told(store).message)
        assert not told(store).lost

    def test_shares_of_functions_are_those_of_perf_report(self, data: Path) -> None:
        store = load(self.script(data))
        options = ["--no-children", "-g", "none", "-F", "sample,sym", "-t", "|"]
        report = output(["perf", "report", "-i", data, *options])
        theirs: Counter[str] = Counter()
        for samples, function in re.findall(r"(?m)^ *(\d+) *\|\[.\] (\S+)", report.partition("context-switches")[0]):
            theirs[function] += int(samples)
        ours: Counter[str] = Counter()
        for path, weight in words(store.call_tree(Query())).items():
            ours[path[-1].function] += weight
        assert theirs["leaf"] > 0.9 * self.samples(data)
        assert all(ours[function] == n for function, n in theirs.items() if "[" not in function)

    def test_stacks_are_those_of_inferno(self, data: Path) -> None:
        collapse = tool("inferno-collapse-perf", "cargo install inferno")
        text = self.script(data)
        theirs = lines(output([collapse, "--event-filter", "cpu-clock"], input=text.read_text()))
        unit = sum(theirs.values()) // self.samples(data)  # some versions weigh by the period, which is always the same
        ours: Counter[str] = Counter()
        for stack, weight in stacks(load(text)).items():
            ours[stack.replace("_[k]", "")] += weight * unit
        assert ours == theirs

    def test_its_folded_output_opens_with_the_same_weights(self, data: Path) -> None:
        collapse = tool("inferno-collapse-perf", "cargo install inferno")
        text = output([collapse, "--all", "--event-filter", "cpu-clock"], input=self.script(data).read_text())
        folded = data.with_name("collapsed.folded")
        folded.write_text(text)
        assert stacks(load(folded)) == lines(text)

    @pytest.mark.parametrize(
        "options",
        [
            ("-F", "comm,pid,tid,time,event,period,ip,sym,dso"), ("-F", "comm,tid,time,event,ip,sym,symoff,dso"),
            ("-F", "+pid,+srcline"), ("--header",), ("--show-task-events",), ("--ns",), ("--no-inline",),
        ],
    )  # fmt: skip
    def test_other_fields_and_options_make_the_same_stacks(self, data: Path, options: Sequence[str]) -> None:
        store = load(self.script(data, *options))
        assert stacks(store) == stacks(load(self.script(data)))
        assert not told(store).lost

    def test_times_are_apart_as_perf_says(self, data: Path) -> None:
        span = load(self.script(data, "-F", "comm,pid,tid,time,event,period,ip,sym,dso")).span()
        times = [
            float(found)
            for found in re.findall(
                r" (\d+\.\d+): +cpu-clock", output(["perf", "script", "-i", data, "-F", "comm,time,event"])
            )
        ]
        assert span.end_ns - 1 - span.start_ns == pytest.approx((max(times) - min(times)) * 1e9, abs=2000)


class TestGo:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The program and its profiles, as Go's runtime wrote them."""
        out = tmp_path_factory.mktemp("go")
        go = tool("go", "apt-get install golang-go")
        cache = {} if "HOME" in os.environ else {"GOCACHE": str(out / "cache")}
        environment = {**cache, **os.environ, "GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
        subprocess.run(
            [go, "build", "-o", out / "profiles", GO_PROGRAM], check=True, env=environment, capture_output=True
        )
        subprocess.run([out / "profiles", out], check=True, capture_output=True)
        return out

    def raw(self, folder: Path, name: str) -> dict[str, int]:
        """Sums of the values of all samples, by their types, as `go tool pprof -raw` prints them."""
        text = output(["go", "tool", "pprof", "-raw", folder / name])
        head, rows = re.search(r"(?m)^Samples:\n(.*)\n((?:\s+.*\n)*)Locations", text).groups()  # type: ignore[union-attr]  # it is there
        sums = Counter()
        types = [word for word in head.removesuffix("[dflt]").split() if "/" in word]
        for row in re.findall(r"(?m)^((?: *\d+)+): ", rows):
            sums.update(dict(zip(types, map(int, row.split()), strict=True)))
        return dict(sums)

    def flat(self, folder: Path, name: str, unit: str) -> dict[str, int]:
        """Self times by function, as `go tool pprof -top` prints them."""
        options = ["-top", "-nodecount=1000", "-nodefraction=0", "-edgefraction=0", f"-unit={unit}"]
        text = output(["go", "tool", "pprof", *options, folder / name])
        rows = re.findall(rf"(?m)^ *([\d.]+)(?:{unit})? +[\d.]+% +[\d.]+% +\S+ +[\d.]+%  (\S+)", text)
        out: Counter[str] = Counter()
        for value, function in rows:
            out[function] += round(float(value))
        return {function: n for function, n in out.items() if n}

    def ours(self, store: MemoryStore, query: Query) -> dict[str, int]:
        out: Counter[str] = Counter()
        for path, weight in words(store.call_tree(query)).items():
            out[path[-1].function] += weight
        return dict(out)

    def test_cpu(self, folder: Path) -> None:
        store = load(folder / "cpu")
        assert sum(stacks(store).values()) == self.raw(folder, "cpu")["samples/count"] > 20
        assert sum(stacks(store, TIME).values()) == self.raw(folder, "cpu")["cpu/nanoseconds"]
        in_ms = {function: ns // 1_000_000 for function, ns in self.ours(store, TIME).items()}
        assert in_ms == self.flat(folder, "cpu", "ms")
        assert max(in_ms, key=in_ms.__getitem__) == "main.leaf"
        assert any("main.main;main.burn;main.descend" in stack for stack in stacks(store))
        assert all(stack.startswith("profiles;") for stack in stacks(store))
        assert not told(store).lost
        assert not told(store).degraded

    def test_heap(self, folder: Path) -> None:
        store = load(folder / "heap")
        assert sum(stacks(store).values()) == self.raw(folder, "heap")["inuse_space/bytes"] > 50 << 20
        assert told(store).message.startswith("pprof: inuse_space (bytes), which is not time on the CPU")

    def test_block(self, folder: Path) -> None:
        store = load(folder / "block")
        assert sum(stacks(store, BLOCKED).values()) == self.raw(folder, "block")["delay/nanoseconds"] > 40_000_000
        assert any(stack.endswith("main.wait;sync.(*Mutex).Lock") for stack in stacks(store, BLOCKED))


def test_py_spy(tmp_path: Path) -> None:
    py_spy = tool("py-spy", "pip install py-spy")
    out = tmp_path / "raw"
    command = [py_spy, "record", "-r", "200", "-f", "raw", "-o", out, "--", sys.executable, PYTHON_PROGRAM, "1.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not out.exists():
        pytest.skip(f"py-spy may not look: {(done.stderr.splitlines() or ['?'])[-1]}")
    store = load(out)
    assert sum(stacks(store).values()) == lines(out.read_text()).total() > 100
    assert not told(store).lost
    hot: Counter[int] = Counter()
    for path, weight in words(store.call_tree(Query())).items():
        hot.update({frame.line: weight for frame in path if frame.function == "three_parts"})
    ((line, _),) = hot.most_common(1)
    assert "# HOT" in PYTHON_PROGRAM.read_text().splitlines()[line - 1]
