"""Services that do not exist, with stacks that look like theirs, for simulated agents. Pure; the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from aperture_tui.profile.batch import empty
from aperture_tui.profile.kinds import Flag, FrameKind, Kind
from aperture_tui.profile.packed.hashes import StackHashes
from aperture_tui.profile.symbols import Frame, Process, Symbols

SERVICES: Final = (
    "checkout", "search", "payments", "catalog", "cart", "gateway", "accounts", "orders", "inventory", "recommend",
    "pricing", "shipping", "reviews", "media", "notify", "ledger", "fraud", "sessions", "profiles", "feeds",
    "ads", "billing", "config", "coupons", "crawler", "events", "export", "geo", "images", "ingest",
    "jobs", "labels", "mail", "maps", "messages", "metrics", "orders-db", "ranking", "refunds", "reports",
    "rules", "scheduler", "storage", "tagging", "taxes", "tickets", "tokens", "users-db", "video", "webhooks",
)  # fmt: skip

SECOND_NS: Final = 1_000_000_000
PERIOD_NS: Final = SECOND_NS // 99
_VERBS: Final = (
    "load", "parse", "validate", "render", "merge", "apply", "fetch", "encode", "score", "lookup", "build", "commit",
    "flush", "route", "sign", "filter",
)  # fmt: skip
_NOUNS: Final = (
    "request", "order", "session", "item", "price", "query", "index", "batch", "token", "page", "address", "event",
    "document", "rule", "image", "cursor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Runtime:
    """What sort of program a service is. form: of the name of a function of its own, of verb, noun and service."""

    process: str
    module: str
    kind: FrameKind
    file: str
    form: str
    entry: tuple[str, ...]
    library: tuple[str, ...]


PYTHON: Final = Runtime(
    "gunicorn", "", FrameKind.PYTHON, "/srv/{service}/{noun}s.py", "{verb}_{noun}",
    ("<module>", "run", "handle", "wsgi_app", "full_dispatch_request", "dispatch_request"),
    ("_json.c_make_encoder", "PyObject_GetAttr", "_PyEval_EvalFrameDefault", "dict_subscript", "SSL_read",
     "gc_collect_main"),
)  # fmt: skip
JAVA: Final = Runtime(
    "java", "", FrameKind.JIT, "", "com.acme.{service}.{Noun}Service.{verb}",
    ("java.lang.Thread.run", "io.netty.util.concurrent.FastThreadLocalRunnable.run",
     "io.netty.channel.nio.NioEventLoop.run", "com.acme.http.Dispatcher.dispatch"),
    ("java.util.HashMap.getNode", "G1ParEvacuateFollowersClosure::do_void", "java.lang.String.hashCode",
     "sun.nio.ch.EPoll.wait", "jbyte_disjoint_arraycopy"),
)  # fmt: skip
GO: Final = Runtime(
    "{service}d", "{service}d", FrameKind.NATIVE, "", "main.(*{Noun}Server).{Verb}",
    ("runtime.goexit", "net/http.(*conn).serve", "net/http.HandlerFunc.ServeHTTP", "main.(*Router).route"),
    ("runtime.mallocgc", "runtime.mapaccess2_faststr", "encoding/json.(*encodeState).marshal", "runtime.scanobject",
     "crypto/tls.(*Conn).Read"),
)  # fmt: skip
POSTGRES: Final = Runtime(
    "postgres", "postgres", FrameKind.NATIVE, "", "Exec{Verb}{Noun}",
    ("main", "PostmasterMain", "ServerLoop", "BackendMain", "PostgresMain", "exec_simple_query", "PortalRun"),
    ("hash_search_with_hash_value", "_bt_compare", "heap_hot_search_buffer", "LWLockAcquire", "pg_qsort"),
)  # fmt: skip
ENVOY: Final = Runtime(
    "envoy", "envoy", FrameKind.NATIVE, "", "Envoy::{Noun}::{Verb}FilterImpl::onData",
    ("start_thread", "event_base_loop", "Envoy::Network::ConnectionImpl::onFileEvent",
     "Envoy::Http::ConnectionManagerImpl::onData"),
    ("nghttp2_session_mem_recv", "bssl::ssl_read_impl", "absl::flat_hash_map::find", "operator new"),
)  # fmt: skip
NODE: Final = Runtime(
    "node", "", FrameKind.JIT, "/app/{service}/{noun}.js", "{verb}{Noun}",
    ("uv_run", "node::InternalCallbackScope::Close", "processTicksAndRejections", "handle"),
    ("v8::internal::Heap::Scavenge", "Builtins_KeyedLoadIC", "JSON.stringify", "uv__io_poll"),
)  # fmt: skip

_KERNEL: Final = (
    ("entry_SYSCALL_64_after_hwframe", "do_syscall_64", "__x64_sys_sendto", "tcp_sendmsg", "tcp_write_xmit",
     "ip_queue_xmit"),
    ("entry_SYSCALL_64_after_hwframe", "do_syscall_64", "__x64_sys_read", "vfs_read", "filemap_read",
     "copy_page_to_iter"),
    ("asm_exc_page_fault", "exc_page_fault", "handle_mm_fault", "clear_page_erms"),
    ("asm_sysvec_apic_timer_interrupt", "sysvec_apic_timer_interrupt", "update_process_times"),
)  # fmt: skip
_CALLS: Final = ("read", "write", "epoll_wait", "futex", "sendto", "recvfrom", "openat", "fsync", "clock_nanosleep")
_WAITS: Final = ("futex", "epoll_wait", "read", "runnable", "page fault", "fsync", "poll")
_LOCKS: Final = ("futex", "mutex", "rwsem")
_THREADS: Final = ("main", "worker-0", "worker-1", "worker-2", "worker-3", "io", "gc", "flush")
_KINDS: Final = (Kind.CPU, Kind.OFFCPU, Kind.SYSCALL, Kind.LOCK)
_SHARES: Final = (0.7, 0.14, 0.1, 0.06)
_OWN: Final = 2_000
"""Functions of a service that no other has."""
_SHARED: Final = 9
"""Levels down to which stacks have frames in common, half of them at each."""
_DEEPEST: Final = 24
_SKEW: Final = 3.0
"""How hot the hottest stacks are."""


def runtime_of(service: str) -> Runtime:
    """What a service is made with."""
    if service.endswith("-db"):
        return POSTGRES
    if service == "gateway":
        return ENVOY
    return (PYTHON, JAVA, GO, NODE)[SERVICES.index(service) % 4 if service in SERVICES else len(service) % 4]


class Service:
    """One service: its tables, and pushes of it. Belongs to one thread.

    nodes: (n,) its stacks. bare: the stack of its process alone. hashes: of all stacks of `symbols`.
    """

    def __init__(self, name: str, stacks: int, seed: int) -> None:
        self.name = name
        self.runtime = runtime_of(name)
        self.process_name = self.runtime.process.format(service=name)[:15]
        self.symbols = Symbols()
        self.hashes = StackHashes(self.symbols)
        self._random = np.random.default_rng(seed)
        first = self.symbols.frame(Frame(self.process_name, kind=FrameKind.PROCESS))
        (self.bare,) = self.symbols.stacks([[first]])
        self.nodes = self._stacks(first, stacks)
        self._new = 0

    def shape(self, rows: int) -> NDArray[np.void]:
        """What is in one push, (rows,) of EVENT: all but its times, which are offsets into its interval, 0 to 2**32."""
        random, events = self._random, empty(rows)
        kind = random.choice(len(_KINDS), rows, p=_SHARES)
        thread = random.integers(0, len(_THREADS), rows)
        names = [self.symbols.string(text) for text in _THREADS]
        events["time_ns"] = random.integers(0, 1 << 32, rows)
        events["kind"] = np.array(_KINDS)[kind]
        events["stack"] = self.nodes[(len(self.nodes) * random.random(rows) ** _SKEW).astype(np.intp)]
        events["thread"] = np.array(names, np.uint32)[thread]
        events["tid"] = thread
        events["weight"] = 1
        events["duration_ns"] = events["maximum_ns"] = PERIOD_NS
        events["flags"] = np.where(random.random(rows) < 0.95, Flag.WHOLE, Flag.TRUNCATED)
        events["cpu"] = random.integers(0, 8, rows)
        for number, texts in ((1, _WAITS), (2, _CALLS), (3, _LOCKS)):
            self._sum(events, np.flatnonzero(kind == number), texts)
        calls = np.flatnonzero(kind == 2)
        events["stack"][calls], events["thread"][calls], events["tid"][calls] = self.bare, 0, 0
        events["aux"][calls] = np.where(random.random(len(calls)) < 0.05, 11, 0)
        locks = np.flatnonzero(kind == 3)
        events["value"][locks] = 0x7F00_0000_1000 + 64 * random.integers(0, 40, len(locks))
        return events

    def process(self, machine: int, born_ns: int) -> tuple[int, int]:
        """The row and the pid of its process on a machine."""
        pid = 1_000 + machine * 7 % 30_000
        cgroup = f"/system.slice/{self.name}.service"
        return self.symbols.process(Process(pid, born_ns, self.process_name, cgroup)), pid

    def another(self) -> int:
        """A stack that nobody has seen."""
        self._new += 1
        node = int(self.nodes[self._random.integers(0, len(self.nodes))])
        frame = self._frame(f"{self._form(self._new)}_{self._new}", self._new)
        return int(self.symbols.stacks([[*self.symbols.trie.path(node), frame]])[0])

    def _sum(self, events: NDArray[np.void], rows: NDArray[np.intp], names: tuple[str, ...]) -> None:
        """Rows that stand for many: waits or calls, most of them short."""
        random, n = self._random, len(rows)
        ids = [self.symbols.string(text) for text in names]
        longest = (10 ** random.uniform(3, 8, n)).astype(np.uint64)
        weight = 1 + (10 ** random.uniform(0, 3, n)).astype(np.uint32)
        events["name"][rows] = np.array(ids, np.uint32)[random.integers(0, len(ids), n)]
        events["maximum_ns"][rows], events["weight"][rows] = longest, weight
        events["duration_ns"][rows] = longest * weight // np.uint64(2)

    def _stacks(self, first: int, n: int) -> NDArray[np.int32]:
        """Different stacks, the hottest first: an entry, functions of its own, and what they end in."""
        random, stack = self._random, np.arange(n)
        own = np.array([self._frame(self._form(i), i) for i in range(_OWN)], np.uint32)
        entry = [self._frame(text, -1) for text in self.runtime.entry]
        ends = [[self.symbols.frame(Frame(text, kind=FrameKind.KERNEL)) for text in some] for some in _KERNEL]
        ends += [[self._library(text)] for text in self.runtime.library]
        depth = 3 + random.integers(0, _DEEPEST - 3, n)
        salt = random.integers(1, 1 << 40, _DEEPEST)
        drawn = [
            own[((stack >> max(0, _SHARED - i)) * 2_654_435_761 + salt[i]) % 1_000_003 % _OWN] for i in range(_DEEPEST)
        ]
        inner = np.column_stack(drawn)
        last = random.integers(0, len(ends), n)
        paths = [[first, *entry, *inner[i, : depth[i]], *ends[last[i]]] for i in range(n)]
        return self.symbols.stacks(paths)

    def _form(self, i: int) -> str:
        verb, noun = _VERBS[i % 16], _NOUNS[i // 16 % 16]
        words = {"verb": verb, "noun": noun, "Verb": verb.title(), "Noun": noun.title(), "service": self.name}
        return self.runtime.form.format(**words) + ("" if i < 256 else f"{i // 256}")

    def _frame(self, function: str, i: int) -> int:
        file = self.runtime.file.format(service=self.name, noun=_NOUNS[i // 16 % 16]) if i >= 0 else ""
        line = 10 + 7 * (i % 90) if file else 0
        module = self.runtime.module.format(service=self.name)
        return self.symbols.frame(Frame(function, module, file, line, self.runtime.kind))

    def _library(self, function: str) -> int:
        return self.symbols.frame(Frame(function, "libc.so.6" if function.islower() else "", kind=FrameKind.NATIVE))
