"""The text of `perf script`, in."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aperture_tui.importing.opened import ImportingError, imported
from aperture_tui.importing.perf_events import chosen, plain_name
from aperture_tui.importing.perf_lines import place_of, printed_frame
from aperture_tui.profile.kinds import Flag, FrameKind
from aperture_tui.profile.query import Group, Query
from aperture_tui.profile.symbols import Frame
from tests.importing.asked import TIME, frames, opened, stacks, told
from tests.store.facts import T0

PRINTED = """\
# ========
# hostname : box
# os release : 6.1.0-18-amd64
# nrcpus online : 4
# total memory : 16384 kB
# ========
#
Web Content 12  4242/4243  [002]  812.271766:    1003009 cpu-clock:pppH:~
\tffffffff815fcc90 finish_fault+0x10 ([kernel.kallsyms])
\tffffffffc00fcc91 xfs_read+0x1 (/lib/modules/6.1/kernel/fs/xfs/xfs.ko.xz)
\t           cf438 clock_gettime@@GLIBC_2.17+0x8 (/usr/lib/libc.so.6)
\t           16c97 std::function<void (int)>::operator()(int) const+0x27 (/opt/a (b)/chain (deleted))
\t    7f0000001234 [unknown] ([unknown])
\t            106b [unknown] (/opt/a (b)/chain)

Renderer  4242/4242  [001]  812.272766:    1003009 cpu-clock:pppH:~
\t            12a0 inner+0x4 (inlined)
\t            12a0 middle+0x4 (inlined)
\t            12a0 outer+0x4 (/usr/bin/app)
\t    7f12a0001000 py::work:/srv/app.py+0x9 (/tmp/perf-4242.map)

:-1    -1/-1    [000]  812.273766:          1 context-switches:~
\tffffffff82265df3 schedule+0x23 ([kernel.kallsyms])

idler     17/17    [000]  812.273766:    1003009 cpu-clock:pppH:~

""".replace("~", " ")  # an editor would take the space at the end of a line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.txt"


class TestRead:
    def test_stacks_with_their_names_kinds_and_modules(self, path: Path) -> None:
        store = opened(path, PRINTED)
        call = "std::function<void (int)>::operator()(int) const"
        assert stacks(store) == {
            f"Renderer;[chain];[unknown];{call};clock_gettime@@GLIBC_2.17;xfs_read_[k];finish_fault_[k]": 1,
            "Renderer;py::work:/srv/app.py_[j];outer;middle;inner": 1,
            "idler": 1,
        }
        found = frames(store)
        assert found[call].module == "/opt/a (b)/chain"
        assert found["inner"] == Frame("inner", "/usr/bin/app")
        assert found["py::work:/srv/app.py"].kind is FrameKind.JIT
        assert found["finish_fault"] == Frame("finish_fault", "[kernel.kallsyms]", kind=FrameKind.KERNEL)

    def test_what_is_shown_and_what_is_not(self, path: Path) -> None:
        health = told(opened(path, PRINTED))
        assert health.message == "perf script: samples of cpu-clock; not shown: 1 of context-switches"
        assert (health.delivered, dict(health.lost)) == (3, {})

    def test_times_keep_their_distances_and_end_with_the_file(self, path: Path) -> None:
        store = opened(path, PRINTED)
        assert (store.span().start_ns, store.span().end_ns) == (T0 - 2_000_000, T0 + 1)
        assert sum(stacks(store, TIME).values()) == 3 * 1_003_009

    def test_who_it_was(self, path: Path) -> None:
        store = opened(path, PRINTED)
        by_name = {use.name: (use.pid, use.count, use.threads) for use in store.processes(Query())}
        assert by_name == {"Renderer": (4242, 2, 2), "idler": (17, 1, 1)}
        (thread,) = stacks(store, Query(group=Group.THREAD, tids=(4243,)))
        assert thread.startswith("Renderer;Web Content 12 4243;")

    def test_the_kernel_was_interrupted_where_its_frame_is_innermost(self, path: Path) -> None:
        events = np.concatenate(opened(path, PRINTED)._slices.all_views())
        assert sorted(events["flags"].tolist()) == [0, 0, Flag.KERNEL_MODE]
        assert sorted(events["cpu"].tolist()) == [0, 1, 2]

    def test_a_cpu_beyond_what_an_event_holds_is_the_last_that_it_does(self, path: Path) -> None:
        events = np.concatenate(opened(path, PRINTED.replace("[002]", "[65538]"))._slices.all_views())
        assert sorted(events["cpu"].tolist()) == [0, 1, 65535]
        assert not events["tags"].any()

    def test_the_machine_is_that_of_the_header(self, path: Path) -> None:
        (host,) = opened(path, PRINTED).hosts()
        assert (host.name, host.kernel, host.cpus, host.memory_bytes) == ("box", "6.1.0-18-amd64", 4, 16 << 20)

    def test_idle_cpus_are_left_out_and_counted(self, path: Path) -> None:
        """`perf record -a` samples them by its clock events: nobody ran there."""
        header = "swapper     0/0     [000]  812.283766:    1003009 cpu-clock:pppH: "
        idle = f"{header}\n\tffffffff81 idle ([kernel.kallsyms])\n\n"
        store = opened(path, PRINTED + idle * 5)
        assert stacks(store) == stacks(opened(path, PRINTED))
        assert told(store).degraded == {"samples of idle CPUs left out": 5}
        with pytest.raises(ImportingError, match="no sample in it but of idle CPUs"):
            opened(path, idle)

    def test_windows_line_ends_and_gzip(self, path: Path) -> None:
        plain = stacks(opened(path, PRINTED))
        assert stacks(opened(path, PRINTED.replace("\n", "\r\n"), packed=True)) == plain

    def test_a_missing_empty_line_at_the_end(self, path: Path) -> None:
        assert stacks(opened(path, PRINTED.rstrip() + "\n")) == stacks(opened(path, PRINTED))


class TestFields:
    def test_the_default_without_pids(self, path: Path) -> None:
        """What perf prints where nothing else is asked for: the number is the thread's."""
        text = "".join(f"work {tid} 1.00000{tid}:  250000 cycles:P: \n\t 4a main+0x1 (/bin/x)\n\n" for tid in (7, 8))
        store = opened(path, text)
        (use,) = store.processes(Query())
        assert (use.pid, use.name, use.count, use.threads, use.time_ns) == (0, "work", 2, 2, 0)
        assert "without durations" in told(store).message

    def test_no_stacks(self, path: Path) -> None:
        line = "            burn 30996 27722.360907:    1003009 cpu-clock:      558ebb1301d1 leaf+0x15 (/tmp/burn)\n"
        assert stacks(opened(path, line * 3)) == {"burn;leaf": 3}

    def test_no_times_and_no_events(self, path: Path) -> None:
        store = opened(
            path, "my prog  5/6 \n\t 4a leaf (/bin/x)\n\t 4b main (/bin/x)\n\nmy prog  5/6 \n\t 4b main (/bin/x)\n"
        )
        assert stacks(store) == {"my prog;main;leaf": 1, "my prog;main": 1}
        assert store.span().end_ns - store.span().start_ns == 1

    def test_a_comm_alone_and_addresses_alone(self, path: Path) -> None:
        assert stacks(opened(path, "burn \n\t 11d1 leaf\n\t 120c main\n\n")) == {"burn;main;leaf": 1}
        assert stacks(opened(path, "burn \n\t 11d1\n\t 120c\n\n")) == {"burn;[unknown];[unknown]": 1}
        assert stacks(opened(path, "burn \n\t 11d1 (/bin/x)\n\n")) == {"burn;[x]": 1}

    @pytest.mark.parametrize(
        ("printed", "function", "module"),
        [
            ("f(int (*)(int)) (/lib/a (b).so)", "f(int (*)(int))", "/lib/a (b).so"),
            ("f ([kernel.kallsyms])", "f", "[kernel.kallsyms]"),
            ("std::function<void (int)>::operator()(int) const ([vdso])",
             "std::function<void (int)>::operator()(int) const", "[vdso]"),
            ("f (memfd:x (deleted))", "f (memfd:x (deleted))", ""),
            ("f (anon)", "f", "anon"), ("f(int)", "f(int)", ""), ("f(void (int))", "f(void (int))", ""),
            ("operator()(int) const+0x1f (memfd:x (deleted))", "operator()(int) const", "memfd:x"),
            ("[unknown] ([unknown])", "", ""), ("[unknown] (/bin/x)", "", "/bin/x"),
        ],
    )  # fmt: skip
    def test_where_a_function_ends_and_its_module_begins(self, printed: str, function: str, module: str) -> None:
        place = place_of(f"\t 4a {printed}".encode())
        assert place is not None
        assert printed_frame(place).frame[:2] == (function, module)

    def test_lines_of_the_source(self, path: Path) -> None:
        text = "burn 7 1.5: 1 cpu-clock: \n\t 4a leaf+0x1 (/bin/x)\n  burn.c:29\n\t 4b main+0x1 (/bin/x)\n  ??:0\n\n"
        found = frames(opened(path, text))
        assert found["leaf"] == Frame("leaf", "/bin/x", "burn.c", 29)
        assert found["main"] == Frame("main", "/bin/x")

    def test_other_records_are_no_samples(self, path: Path) -> None:
        text = (
            "perf-exec     0     0.000000: PERF_RECORD_COMM: perf-exec:30993/30993\n"
            "burn 30993 27722.359896: PERF_RECORD_COMM exec: burn:30993/30993\n"
            "burn 30993 27722.360455: PERF_RECORD_FORK(30993:30995):(30993:30993)\n"
            "burn 30996 27722.360907:    1003009 cpu-clock: \n\t 11d1 leaf+0x15 (/tmp/burn)\n\n"
        )
        store = opened(path, text)
        assert stacks(store) == {"burn;leaf": 1}
        assert not told(store).lost

    def test_tracepoints_alone(self, path: Path) -> None:
        text = (
            "perf 31110 [000] 27727.261333: sched:sched_switch: prev_comm=perf prev_pid=31110 ==> next_pid=18\n"
            "\tffffffff82265488 __schedule+0x628 ([kernel.kallsyms])\n\n"
            "migration/0    18 [000] 27727.261378: sched:sched_switch: prev_comm=migration/0 prev_pid=18\n\n"
        )
        store = opened(path, text)
        assert stacks(store) == {"perf;__schedule_[k]": 1, "migration/0": 1}
        assert "each sample is one sched:sched_switch, which is not time on the CPU" in told(store).message

    def test_what_is_not_understood_is_counted(self, path: Path) -> None:
        text = "x 1 1.0: 1 cpu-clock: \n\t 4a f+0x1 (/bin/x)\n\tno frame\n\nthis is nothing that perf prints: (x)\n"
        store = opened(path, text)
        assert stacks(store) == {"x;f": 1}
        assert told(store).lost == {"unreadable lines": 1, "unreadable frames": 1}


class TestEvents:
    @pytest.mark.parametrize(
        ("event", "plain"),
        [
            ("cycles:ppp", "cycles"), ("cpu_core/cycles/", "cycles"), ("cpu_atom/cycles/u", "cycles"),
            ("cpu/cpu-cycles,freq=99/", "cpu-cycles"), ("task-clock", "task-clock"),
            ("sched:sched_switch", "sched:sched_switch"), ("kmem:k", "kmem"), ("", ""),
        ],
    )  # fmt: skip
    def test_names_without_modifiers(self, event: str, plain: str) -> None:
        assert plain_name(event) == plain

    def test_both_kinds_of_cores_are_one_event(self) -> None:
        shown = chosen([("page-faults", 2), ("cpu_core/cycles/", 5), ("cpu_atom/cycles/", 6), ("cpu-clock", 1)])
        assert shown.names == (1, 2)
        assert not shown.timed
        assert shown.message == "samples of cycles, without durations; not shown: 2 of page-faults, 1 of cpu-clock"

    def test_many_events_are_not_all_named(self) -> None:
        message = chosen([("cpu-clock", 1), *((f"e{i}", i) for i in range(9))]).message
        assert message == "samples of cpu-clock; not shown: 0 of e0, 1 of e1, 2 of e2, 33 of other events"


class TestStrangers:
    def test_perf_s_own_recording_says_what_to_do(self, path: Path) -> None:
        path.write_bytes(b"PERFILE2" + bytes(100))
        with pytest.raises(ImportingError, match=r"x\.txt: perf's own recording: .*perf script"):
            imported(path)

    def test_times_that_cannot_be(self, path: Path) -> None:
        store = opened(path, "x 1 0.0: 1 cpu-clock: \n\nx 1 9999999999.999999999: 1 cpu-clock: \n\n")
        assert store.span().start_ns == 1
        assert store.span().end_ns == T0 + 1

    def test_a_header_line_that_is_hard_to_match_costs_little(self, path: Path) -> None:
        bad = " ".join(["1"] * 100_000) + "\n" + " " * 500_000 + "x\n" + "1/" * 200_000 + "\n"
        store = opened(path, "x 1 1.0: 1 cpu-clock: \n\t 4a f (/bin/x)\n\n" + bad)
        assert told(store).lost == {"unreadable lines": 3}

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_anything_is_never_a_crash(self, data: st.DataObject) -> None:
        """Its own lines, cut, joined and changed in every way."""
        own = [*PRINTED.splitlines(), "", "  a.c:7", "\t", "\t 0", "x -1/-1 [99] 1.1: 9 cycles: ffff f (inlined)"]
        some = data.draw(st.lists(st.sampled_from(own) | st.text(max_size=20), max_size=20))
        text = bytearray("\n".join(["x 1 1.0: 1 cpu-clock:", *some]).encode())
        for _ in range(data.draw(st.integers(0, 5))):
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "x.txt")
            file.write_bytes(text)
            try:
                store = imported(file)
            except ImportingError:
                return
        if store is not None:
            assert sum(stacks(store).values()) == told(store).delivered
            assert "\x1b" not in "".join(stacks(store))
