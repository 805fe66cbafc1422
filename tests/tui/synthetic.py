"""A Store of made-up but plausible data of any size, always the same: for tests, benchmarks and pictures."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.calltree import CallTree
from aperture_tui.profile.completeness import Completeness, completeness, completeness_by_group
from aperture_tui.profile.health import Health, State
from aperture_tui.profile.host import HostFacts, HostSample
from aperture_tui.profile.kinds import STOP_SHIFT, Flag, FrameKind, Kind, Stop
from aperture_tui.profile.latency import Latency
from aperture_tui.profile.query import Measure, Query
from aperture_tui.profile.symbols import Frame, Symbols
from aperture_tui.store.base import ProcessUse, Span, Timeline
from aperture_tui.store.held import cut

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
PERIOD_NS = SECOND // 99

K, N, P, J, G, R = (
    FrameKind.KERNEL,
    FrameKind.NATIVE,
    FrameKind.PYTHON,
    FrameKind.JIT,
    FrameKind.GPU,
    FrameKind.RUNTIME,
)


def _frames(kind: FrameKind, module: str, names: str, file: str = "") -> list[Frame]:
    return [Frame(n, module, file, 10 + 7 * i if file else 0, kind) for i, n in enumerate(names.split())]


ENTRY = [Frame("entry_SYSCALL_64_after_hwframe", "[kernel]", kind=K), Frame("do_syscall_64", "[kernel]", kind=K)]
READ = [*ENTRY, *_frames(K, "[kernel]", "__x64_sys_read ksys_read vfs_read ext4_file_read_iter filemap_read copy_page")]
SEND = [*ENTRY, *_frames(K, "[kernel]", "__x64_sys_sendto __sys_sendto sock_sendmsg tcp_sendmsg tcp_push ip_output")]
FAULT = _frames(K, "[kernel]", "asm_exc_page_fault exc_page_fault handle_mm_fault do_anonymous_page clear_page_erms")
LIBC = _frames(N, "libc.so.6", "__libc_start_main_impl __libc_start_call_main")
WEB = [
    *LIBC,
    *_frames(N, "python3.11", "main Py_RunMain pymain_run_python"),
    *_frames(P, "", "<module> main run_forever _run_once", "/srv/shop/server.py"),
    *_frames(P, "", "handle_request dispatch call_next", "/srv/shop/app/middleware.py"),
]
TORCH = [*LIBC, *_frames(P, "", "<module> train train_step", "/home/ml/train.py")]

# name, container, weight, [(stack, weight)]
PROGRAMS: list[tuple[str, str, int, list[tuple[list[Frame], int]]]] = [
    (
        "gunicorn",
        "shop-web-7f9c",
        30,
        [
            ([*WEB, *_frames(P, "", "render_page render join_blocks", "/srv/shop/app/templates.py")], 22),
            (
                [
                    *WEB,
                    *_frames(P, "", "load_cart fetch_all execute", "/srv/shop/app/database.py"),
                    *_frames(N, "libpq.so.5", "PQexecParams PQgetResult pqReadData recv"),
                    *READ,
                ],
                14,
            ),
            (
                [
                    *WEB,
                    *_frames(P, "", "to_json dumps", "/usr/lib/python3.11/json/encoder.py"),
                    Frame("c_make_encoder", "_json.so"),
                ],
                9,
            ),
            ([*WEB, *_frames(P, "", "send_response write", "/srv/shop/app/http.py"), *SEND], 7),
            ([*WEB, Frame("select", "_select.so"), *ENTRY, Frame("__x64_sys_epoll_wait", "[kernel]", kind=K)], 4),
        ],
    ),
    (
        "postgres",
        "shop-db-0",
        22,
        [
            (
                [
                    *LIBC,
                    *_frames(N, "postgres", "PostmasterMain BackendStartup PostgresMain exec_simple_query PortalRun"),
                    *_frames(N, "postgres", "ExecutorRun ExecHashJoin ExecScan heap_getnextslot heapgettup_pagemode"),
                ],
                26,
            ),
            (
                [
                    *LIBC,
                    *_frames(N, "postgres", "PostmasterMain BackendStartup PostgresMain exec_simple_query PortalRun"),
                    *_frames(N, "postgres", "ExecutorRun ExecSort tuplesort_performsort qsort_tuple comparetup_heap"),
                ],
                13,
            ),
            ([*LIBC, *_frames(N, "postgres", "PostmasterMain BackendStartup PostgresMain ReadBuffer"), *READ], 8),
        ],
    ),
    (
        "python3",
        "trainer",
        18,
        [
            (
                [
                    *TORCH,
                    Frame("forward", "", "/home/ml/model.py", 88, P),
                    Frame(
                        "at::native::(anonymous namespace)::gemm_kernel<float, c10::ArrayRef<long>>(at::Tensor const&)",
                        "libtorch_cpu.so",
                    ),
                    Frame("cudaLaunchKernel", "libcudart.so.12"),
                    Frame("ampere_sgemm_128x64_tn", "sm_80", kind=G),
                ],
                20,
            ),
            ([*TORCH, Frame("backward", "", "/home/ml/model.py", 120, P), Frame("cuLaunchKernel", "libcuda.so.1")], 12),
            ([*TORCH, *_frames(P, "", "collate stack_batch", "/home/ml/data.py"), *FAULT], 8),
        ],
    ),
    (
        "node",
        "shop-frontend",
        12,
        [
            (
                [
                    *LIBC,
                    *_frames(N, "node", "node::Start(int,char**) node::SpinEventLoop(node::Environment*) uv_run"),
                    *_frames(J, "", "LazyCompile:*renderToString LazyCompile:*diffChildren LazyCompile:*setProp"),
                ],
                12,
            ),
            ([*LIBC, Frame("v8::internal::ScavengerCollector::CollectGarbage()", "node")], 5),
        ],
    ),
    (
        "java",
        "search-0",
        9,
        [
            (
                [
                    Frame("start_thread", "libc.so.6"),
                    Frame("thread_native_entry(Thread*)", "libjvm.so"),
                    *_frames(J, "", "java.lang.Thread.run IndexSearcher.search BooleanScorer.score TermScorer.advance"),
                ],
                9,
            ),
            ([Frame("start_thread", "libc.so.6"), Frame("G1ParScanThreadState::steal_and_trim_queue", "libjvm.so")], 4),
        ],
    ),
    (
        "kworker/2:1",
        "",
        3,
        [(_frames(K, "[kernel]", "ret_from_fork kthread worker_thread process_one_work wb_workfn"), 3)],
    ),
    (
        "视频转码服务器",
        "media",
        3,
        [([*LIBC, *_frames(N, "libx265.so.199", "x265::Encoder::encode x265::pixel_satd")], 4)],
    ),
    ("evil\x1b[31m\u202ename\n", "", 2, [([Frame("\x1b]0;owned\x07 spin", "a.out")], 2)]),
    ("sshd", "", 1, [([*LIBC, Frame("main", "sshd"), *ENTRY, Frame("__x64_sys_poll", "[kernel]", kind=K)], 1)]),
    ("perl", "", 1, [([*LIBC, Frame("Perl_runops", "perl"), Frame("Tmpl::expand", "", "/opt/t.pl", 9, R)], 1)]),
    ("mystery", "", 1, [([Frame("", "", kind=FrameKind.UNKNOWN), Frame("0x55d0c0de", "", kind=FrameKind.UNKNOWN)], 1)]),
]


FLAGS: dict[str, int] = {
    "node": Flag.WHOLE | Flag.GUESSED,
    "java": Flag.WHOLE | Flag.GUESSED,
    "视频转码服务器": Flag.NONE,
    "perl": Stop.NO_ROW << STOP_SHIFT | Flag.GUESSED,
    "mystery": Stop.NO_MAPPING << STOP_SHIFT | Flag.UNKNOWN_FRAME,
}
"""Flags of the samples of a program; of all others WHOLE."""


@dataclass(frozen=True)
class Slice:
    """One second of samples: (n,) stack nodes, the index of the process of each, and its flags."""

    stacks: NDArray[np.int32]
    programs: NDArray[np.int64]
    flags: NDArray[np.uint16]


class SyntheticStore:
    """Implements the Store protocol over samples drawn from a fixed random sequence.

    nodes: about how many nodes the trie has. rate: samples a second. now: the clock, Unix nanoseconds; data exists
    from START_NS to it. cpus: of the machine. flags: of the samples of a program, by its name; WHOLE if it has none.
    """

    def __init__(
        self,
        nodes: int = 500,
        rate: int = 800,
        now: Callable[[], int] = lambda: START_NS + 60 * SECOND,
        seed: int = 1,
        cpus: int = 8,
        flags: Mapping[str, int] = FLAGS,
    ) -> None:
        self.now = now
        self.rate = rate
        self.cpus = cpus
        self.states: list[Health] = [
            Health(
                "cpu",
                State.RUNNING,
                "",
                12_345,
                {"ring full": 0, "no stack": 0},
                {},
                12_000_000,
                4 * 10**8,
                10**8,
                4**11,
            )
        ]
        self.limit = ""
        self.failing: Exception | None = None
        self.symbols = Symbols()
        self._slices: dict[int, Slice] = {}
        self._seed = seed
        self._flags = np.array([flags.get(name, Flag.WHOLE) for name, *_ in PROGRAMS], np.uint16)
        self._build(nodes, random.Random(seed))

    def _build(self, nodes: int, rnd: random.Random) -> None:
        paths: list[list[int]] = []
        weights: list[float] = []
        self._program: list[int] = []
        for index, (name, _, share, stacks) in enumerate(PROGRAMS):
            first = self.symbols.frame(Frame(name, kind=FrameKind.PROCESS))
            whole = sum(weight for _, weight in stacks)
            for stack, weight in stacks:
                path = [first, *(self.symbols.frame(frame) for frame in stack)]
                for depth, part in ((len(path), 0.7), (max(2, len(path) - 1), 0.2), (max(2, len(path) - 3), 0.1)):
                    paths.append(path[:depth])
                    weights.append(share * weight / whole * part)
                    self._program.append(index)
        self._grow(nodes, rnd, paths, weights)
        self._nodes = self.symbols.stacks(paths)
        self._share = np.cumsum(weights) / sum(weights)
        self._program_of = np.array(self._program, np.int64)

    def _grow(self, nodes: int, rnd: random.Random, paths: list[list[int]], weights: list[float]) -> None:
        """Branches off the real stacks until there are enough nodes: long tails of small frames."""
        verbs = ["parse", "encode", "flush", "merge", "lookup", "insert", "rehash", "decode", "copy", "scan"]
        nouns = ["row", "page", "block", "token", "index", "batch", "header", "value", "segment", "node"]
        kinds = (FrameKind.NATIVE, FrameKind.PYTHON, FrameKind.KERNEL, FrameKind.JIT)
        made = sum(map(len, paths))
        while made < nodes:
            at = int(len(paths) * rnd.random() ** 2)
            stem = paths[at][: rnd.randrange(1, len(paths[at]) + 1)]
            if len(stem) > 90:
                continue
            extra = []
            kind = rnd.choice(kinds)
            for _ in range(rnd.randrange(2, 14)):
                word = f"{rnd.choice(verbs)}_{rnd.choice(nouns)}_{rnd.randrange(60)}"
                module = f"lib{rnd.choice(nouns)}.so"
                extra.append(self.symbols.frame(Frame(word, module, kind=kind)))
            paths.append(stem + extra)
            weights.append(rnd.paretovariate(1.2) * 0.02)
            self._program.append(self._program[at])
            made += len(extra)

    def _slice(self, second: int) -> Slice:
        known = self._slices.get(second)
        if known is None:
            rng = np.random.default_rng((self._seed, second))
            drawn = np.searchsorted(self._share, rng.random(self.rate))
            programs = self._program_of[drawn]
            known = self._slices[second] = Slice(self._nodes[drawn], programs, self._flagged(programs))
        return known

    def _flagged(self, programs: NDArray[np.int64]) -> NDArray[np.uint16]:
        """(n,): every 200th sample came before the tables of its process."""
        flags = self._flags[programs]
        late = (np.arange(len(flags)) % 200 == 7) & (flags == Flag.WHOLE)
        return np.where(late, np.uint16(Stop.NO_TABLES << STOP_SHIFT), flags)

    def _selected(self, query: Query) -> Slice:
        if self.failing is not None:
            raise self.failing
        first = max(START_NS, query.start_ns or 0) // SECOND
        end = min(self.now(), query.end_ns if query.end_ns is not None else self.now())
        slices = [self._slice(second) for second in range(first, end // SECOND)] if query.kind is Kind.CPU else []
        if not slices:
            return Slice(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint16))
        columns = [[s.stacks, s.programs, s.flags] for s in slices]
        whole = Slice(*(np.concatenate(column) for column in zip(*columns, strict=True)))
        if not query.pids:
            return whole
        mine = np.isin(whole.programs, np.array(query.pids) - 1000)
        return Slice(whole.stacks[mine], whole.programs[mine], whole.flags[mine])

    def span(self) -> Span:
        events = max(0, self.now() - START_NS) // SECOND * self.rate
        start, end = (START_NS, self.now()) if events else (0, 0)
        return Span(start, end, events, 72 * events, 0, 0, self.limit)

    def kinds(self) -> frozenset[int]:
        return frozenset({Kind.CPU})

    def tags(self) -> tuple[str, ...]:
        return ()

    def selected(self, query: Query) -> tuple[Symbols, NDArray[np.void]]:
        raise NotImplementedError("of exporters alone")

    def hosts(self) -> list[HostFacts]:
        return [HostFacts("build-7", "6.8.0", self.cpus, 16 << 30)]

    def health(self) -> list[Health]:
        return [replace(one) for one in self.states]

    def gauges(self, query: Query) -> list[HostSample]:
        first = max(START_NS, query.start_ns or 0) // SECOND
        end = min(self.now(), query.end_ns if query.end_ns is not None else self.now() + 1)
        return [self._gauge(second) for second in range(first, -(-end // SECOND))]

    def _gauge(self, second: int) -> HostSample:
        wave = float(np.sin(second / 9.0) * 0.5 + 0.5)
        return HostSample(
            time_ns=second * SECOND,
            cpu_user=0.18 + 0.45 * wave,
            cpu_system=0.06 + 0.06 * float(np.sin(second / 3.0) * 0.5 + 0.5),
            cpu_iowait=0.03,
            cpu_steal=0.0,
            memory_used_bytes=int((6.2 + wave) * 2**30),
            memory_total_bytes=16 << 30,
            swap_used_bytes=1 << 28,
            swap_total_bytes=2 << 30,
            load=(3.42, 2.97, 2.10),
            own_cpu=0.004,
            own_memory_bytes=62 << 20,
        )

    def processes(self, query: Query) -> list[ProcessUse]:
        chosen, n = self._selected(query), len(PROGRAMS)
        counts = np.bincount(chosen.programs, minlength=n).tolist()
        stacks = completeness_by_group(chosen.programs, n, chosen.flags, np.ones(len(chosen.flags)))
        uses = [
            ProcessUse(1000 + i, START_NS - i * SECOND, _clean(name), "", container, 1 + i % 5, n, n * PERIOD_NS, whole)
            for i, ((name, container, _, _), n, whole) in enumerate(zip(PROGRAMS, counts, stacks, strict=True))
            if n
        ]
        return sorted(uses, key=lambda use: -use.count)

    def timeline(self, query: Query, buckets: int) -> Timeline:
        """As if the samples of a second were spread evenly over it."""
        start, end, width = cut(self.span(), query, buckets)
        weights = np.zeros(buckets, np.int64)
        for second in range(start // SECOND, -(-end // SECOND)):
            whole = replace(query, start_ns=second * SECOND, end_ns=(second + 1) * SECOND)
            times = second * SECOND + np.arange(n := len(self._selected(whole).stacks)) * SECOND // max(1, n)
            times = times[(times >= start) & (times < end)]
            np.add.at(weights, (times - start) // width, 1)
        return Timeline(start, width, weights)

    def call_tree(self, query: Query) -> CallTree:
        stacks = self._selected(query).stacks
        weight = PERIOD_NS if query.measure is Measure.TIME else 1
        return CallTree.of_stacks(self.symbols, stacks, np.full(len(stacks), weight))

    def latencies(self, _query: Query) -> list[Latency]:
        """None: `waiting` has a store with waits and calls."""
        return []

    def completeness(self, query: Query) -> Completeness:
        flags = self._selected(query).flags
        return completeness(flags, np.ones(len(flags)))

    def compared(self, base: Query, after: Query) -> tuple[CallTree, CallTree]:
        return self.call_tree(base), self.call_tree(after)

    def diff(self, base: Query, after: Query) -> CallTree:
        return self.call_tree(after).subtract(self.call_tree(base))


def _clean(name: str) -> str:
    from aperture_tui.profile.text import clean

    return clean(name)
