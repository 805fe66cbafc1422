"""bpf(2) and perf_event_open(2) spoken directly: maps, programs, attachments. No library, no LLVM.

Every object is a file descriptor: when the last one is closed, or the process dies however it dies, the kernel
detaches and frees everything. Errors are OSError; `explain` turns them into one line with the command that mends.
Formats: include/uapi/linux/bpf.h and perf_event.h of the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import platform
import resource
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aperture_tui.collect import btf

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from aperture_tui.collect.object_code import MapSpec, ObjectCode, ProgramSpec

_SYSCALLS: Final = {"x86_64": (321, 298), "aarch64": (280, 241), "riscv64": (280, 241)}
"""machine -> numbers of bpf and perf_event_open (arch/*/tbl, asm-generic/unistd.h)."""

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, PROG_LOAD = 0, 1, 2, 3, 5
RAW_TRACEPOINT_OPEN, LOOKUP_BATCH, LOOKUP_AND_DELETE_BATCH, ENABLE_STATS = 17, 24, 25, 32

PROG_KPROBE, PROG_TRACEPOINT, PROG_PERF_EVENT, PROG_RAW_TRACEPOINT, PROG_TRACING = 2, 5, 7, 17, 26
"""Program types. PROG_KPROBE: at functions of programs (collect/uprobe.py).
PROG_TRACING: at a raw tracepoint whose arguments have types, so that their members can be loaded."""
MAP_HASH, MAP_ARRAY, MAP_PERCPU_ARRAY, MAP_CGROUP_ARRAY, MAP_LRU_HASH, MAP_RING = 1, 2, 6, 8, 9, 27
"""Map types."""
MMAPABLE = 1 << 10
"""Flag of an array map: it can be mapped."""

_ATTR_SIZE: Final = 128
_TRACE_RAW_TP: Final = 23
UPROBE_MULTI: Final = 48  # BPF_TRACE_UPROBE_MULTI, an attach type
_LOG_SIZE: Final = 1 << 16
_NOT_SUPPORTED: Final = 524  # ENOTSUPP, which the kernel lets out in places

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _numbers() -> tuple[int, int]:
    machine = platform.machine()
    if machine not in _SYSCALLS:
        raise OSError(errno.ENOSYS, f"no system call numbers are known for {machine}")
    return _SYSCALLS[machine]


def call(command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
    """One bpf(2) call -> its result. Raises OSError."""
    number, _ = _numbers()
    result = _libc.syscall(ctypes.c_long(number), ctypes.c_long(command), attr, ctypes.c_long(len(attr)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def attribute(layout: str, *values: int) -> ctypes.Array[ctypes.c_char]:
    """A `union bpf_attr` with these leading fields."""
    attr = ctypes.create_string_buffer(_ATTR_SIZE)
    struct.pack_into(layout, attr, 0, *values)
    return attr


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def create_map(spec: MapSpec, max_entries: int | None = None, inner: int = 0) -> int:
    """Make a map -> descriptor. inner: that of a map like those which a map of maps is for."""
    name = spec.name.encode("ascii", "replace")[:15]
    entries = spec.max_entries if max_entries is None else max_entries
    layout = "=IIIIIII16s"
    attr = ctypes.create_string_buffer(_ATTR_SIZE)
    struct.pack_into(layout, attr, 0, spec.type, spec.key_size, spec.value_size, entries, spec.flags, inner, 0, name)
    return call(MAP_CREATE, attr)


def load_program(name: str, kind: int, code: bytes, tracepoint: str = "") -> int:
    """Hand a program to the verifier -> descriptor. tracepoint: that of PROG_TRACING.

    Raises BtfError, or OSError; the verifier's last words are in its text.
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")  # the helpers that read stacks and kernel memory require it
    head = (kind, len(code) // 8, _address(instructions), _address(licence))
    attr = attribute("=IIQQ", *head)
    struct.pack_into("16s", attr, 48, name.encode("ascii", "replace")[:15])
    if kind == PROG_KPROBE:
        struct.pack_into("=I", attr, 68, UPROBE_MULTI)  # before 6.6 nobody looks at it
    if kind == PROG_TRACING:
        struct.pack_into("=I", attr, 68, _TRACE_RAW_TP)
        struct.pack_into("=I", attr, 108, btf.tracepoint_type(tracepoint))
    try:
        return call(PROG_LOAD, attr)
    except OSError as error:
        log = ctypes.create_string_buffer(_LOG_SIZE)
        struct.pack_into("=IIQ", attr, 24, 1, _LOG_SIZE, _address(log))
        try:
            return call(PROG_LOAD, attr)
        except OSError:
            words = [line for line in log.value.decode("utf-8", "replace").splitlines() if line.strip()]
            verdict = next((line for line in reversed(words) if not line.startswith("processed ")), "")
            text = f"program {name!r} was refused: {error.strerror}" + (f" ({verdict})" if verdict else "")
            raise OSError(error.errno, text) from None


def open_raw_tracepoint(name: str, program: int) -> int:
    """Attach a program to a raw tracepoint -> descriptor that holds it there. name: "" of PROG_TRACING."""
    text = ctypes.create_string_buffer(name.encode())
    return call(RAW_TRACEPOINT_OPEN, attribute("=QI", _address(text) if name else 0, program))


def lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """The value of a key, None if the map lacks it. Of a per-CPU map: one 8-byte aligned value per possible CPU."""
    k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value_size)
    try:
        call(MAP_LOOKUP, attribute("=IIQQ", fd, 0, _address(k), _address(v)))
    except FileNotFoundError:
        return None
    return v.raw


def counters(fd: int, n: int) -> list[int]:
    """The values of a per-CPU array of n counters, each over all CPUs."""
    size = 8 * possible_cpus()
    values = (lookup(fd, struct.pack("=I", i), size) or bytes(size) for i in range(n))
    return [sum(struct.unpack(f"={size // 8}Q", value)) for value in values]


def update(fd: int, key: bytes, value: bytes) -> None:
    """Set the value of a key."""
    k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    call(MAP_UPDATE, attribute("=IIQQQ", fd, 0, _address(k), _address(v), 0))


def drain_hash(fd: int, keys: NDArray[np.void], values: NDArray[np.void] | NDArray[np.uint64]) -> int:
    """Take the entries out of a hash map into these arrays -> how many; they are in keys[:n], values[:n].

    keys: (capacity,) of the key's dtype; values: (capacity,), or (capacity, possible CPUs) of a per-CPU map.
    At most `capacity` are taken; the rest stay. Kernel 5.6 or later.
    """
    return _batch(LOOKUP_AND_DELETE_BATCH, fd, keys, values)


def read_hash(fd: int, keys: NDArray[np.void], values: NDArray[np.void] | NDArray[np.uint64]) -> int:
    """Like `drain_hash`, but the entries stay. What changes meanwhile may be missed."""
    return _batch(LOOKUP_BATCH, fd, keys, values)


def _batch(command: int, fd: int, keys: NDArray[np.void], values: NDArray[np.void] | NDArray[np.uint64]) -> int:
    place, n = ctypes.create_string_buffer(8), 0
    start = 0
    while n < len(keys):
        attr = attribute(
            "=QQQQIIQQ",
            start,
            _address(place),
            keys.ctypes.data + n * keys.strides[0],
            values.ctypes.data + n * values.strides[0],
            len(keys) - n,
            fd,
            0,
            0,
        )
        try:
            call(command, attr)
        except FileNotFoundError:
            return n + int(struct.unpack_from("=I", attr, 32)[0])
        except OSError as error:
            if error.errno == errno.ENOSPC and n:  # the next bucket has more than there is room for
                return n
            raise
        n += int(struct.unpack_from("=I", attr, 32)[0])
        start = _address(place)
    return n


@functools.cache
def possible_cpus() -> int:
    """How many values a per-CPU map gives for a key."""
    return max(cpu_list(Path("/sys/devices/system/cpu/possible").read_text())) + 1


def online_cpus() -> list[int]:
    """The CPUs that run now."""
    return cpu_list(Path("/sys/devices/system/cpu/online").read_text())


def cpu_list(text: str) -> list[int]:
    """The kernel's notation: `0-3,8` -> [0, 1, 2, 3, 8]."""
    out: list[int] = []
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        out.extend(range(int(low), int(high or low) + 1))
    return out


_SET_BPF, _ENABLE = 0x40042408, 0x2400  # PERF_EVENT_IOC_SET_BPF, _ENABLE
_SOFTWARE, _TRACEPOINT = 1, 2  # PERF_TYPE_*
_CPU_CLOCK, _BY_FREQUENCY = 0, 1 << 10
_TRACEFS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_CLOSE_ON_EXEC = 8


def open_perf_event(attr: bytes, cpu: int) -> int:
    """perf_event_open(2) for every task on one CPU -> descriptor."""
    _, number = _numbers()
    buffer = ctypes.create_string_buffer(attr, len(attr))
    arguments = (ctypes.c_long(v) for v in (-1, cpu, -1, _CLOSE_ON_EXEC))
    fd = _libc.syscall(ctypes.c_long(number), buffer, *arguments)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(fd)


def tracepoint_number(group: str, name: str) -> int:
    """What perf knows a tracepoint by. Raises FileNotFoundError if there is none of the name, or no tracefs."""
    root = next((root for root in _TRACEFS if os.path.isdir(f"{root}/events")), _TRACEFS[0])
    return int(Path(root, "events", group, name, "id").read_text())


def open_tracepoint(group: str, name: str, program: int) -> int:
    """Attach a program to a tracepoint, for all tasks on all CPUs -> descriptor that holds it there.

    Raises FileNotFoundError if there is no such tracepoint, or no tracefs.
    """
    number = tracepoint_number(group, name)
    fd = open_perf_event(struct.pack("=IIQ", _TRACEPOINT, 128, number).ljust(128, b"\0"), 0)
    try:
        fcntl.ioctl(fd, _SET_BPF, program)
        fcntl.ioctl(fd, _ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def sample_cpu(cpu: int, hz: int, program: int) -> int:
    """Run a program on this CPU `hz` times a second, by the CPU's clock -> descriptor that holds it there.

    The clock is a timer of fixed rate, so the period is exactly 1/hz (kernel/events/core.c,
    perf_swevent_init_hrtimer). Raises OSError with ENODEV if the CPU is offline.
    """
    attr = struct.pack("=IIQQQQQ", _SOFTWARE, 128, _CPU_CLOCK, hz, 0, 0, _BY_FREQUENCY).ljust(128, b"\0")
    fd = open_perf_event(attr, cpu)
    try:
        fcntl.ioctl(fd, _SET_BPF, program)
        fcntl.ioctl(fd, _ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def enable_statistics() -> int | None:
    """Have the kernel time BPF programs while the descriptor is open; None where it cannot (before 5.8)."""
    try:
        return call(ENABLE_STATS, attribute("=I", 0))
    except OSError:
        return None


def run_time_ns(program: int) -> tuple[int, int]:
    """Run time and count of a program since it was loaded, as far as statistics were on."""
    facts = _facts(program)
    return int(facts.get(b"run_time_ns", 0)), int(facts.get(b"run_cnt", 0))


def missed_runs(program: int) -> int:
    """How often a program was not run because it was running on that CPU already; 0 where the kernel does not tell."""
    return int(_facts(program).get(b"recursion_misses", 0))


def map_bytes(fd: int) -> int:
    """What a map holds of the kernel's memory, as the kernel tells; 0 where it does not."""
    return int(_facts(fd).get(b"memlock", 0))


def _facts(fd: int) -> dict[bytes, bytes]:
    """What the kernel tells of one of our descriptors."""
    with open(f"/proc/self/fdinfo/{fd}", "rb", buffering=0) as file:
        return dict(line.split(b":\t", 1) for line in file.read(4096).splitlines() if b":\t" in line)


def raise_locked_memory_limit() -> None:
    """Before 5.11 maps count against RLIMIT_MEMLOCK; without the right to raise it, loading says so itself."""
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        return


@dataclass(frozen=True)
class Loaded:
    """Maps and programs of one object in the kernel, by name. `close` lets go of all but those that were given."""

    maps: Mapping[str, int]
    programs: dict[str, int]
    given: Mapping[str, int] = field(default_factory=dict)

    @functools.cached_property
    def nbytes(self) -> int:
        """What its own maps held of the kernel's memory when this was first asked."""
        return sum(map_bytes(fd) for name, fd in self.maps.items() if name not in self.given)

    def close(self) -> None:
        """Close every descriptor."""
        for name, fd in (*self.maps.items(), *self.programs.items()):
            if name not in self.given:
                os.close(fd)


def load(
    code: ObjectCode,
    sizes: Mapping[str, int] | None = None,
    given: Mapping[str, int] | None = None,
    later: Container[str] = (),
) -> Loaded:
    """Make the object's maps, with other max_entries where `sizes` says so, and load its programs.

    given: descriptors of maps that are there already, and are shared with other objects. later: programs that `add`
    loads when there is time for it. Raises OSError or BtfError; nothing is left open then.
    """
    raise_locked_memory_limit()
    sizes, given = sizes or {}, given or {}
    opened: list[int] = []
    maps: dict[str, int] = {}
    try:
        for spec in code.maps:
            if spec.name in given:
                maps[spec.name] = given[spec.name]
            else:
                maps[spec.name] = create_map(spec, sizes.get(spec.name))
                opened.append(maps[spec.name])
        loaded = Loaded(maps, {}, dict(given))
        for program in code.programs:
            if program.name not in later:
                opened.append(add(loaded, program))
    except (OSError, btf.BtfError):
        for fd in opened:
            os.close(fd)
        raise
    return loaded


def add(loaded: Loaded, program: ProgramSpec) -> int:
    """Load a program of an object whose maps are there -> descriptor. Raises OSError or BtfError."""
    fd = load_program(program.name, program.type, program.linked(list(loaded.maps.values())), program.tracepoint)
    loaded.programs[program.name] = fd
    return fd


def explain(error: OSError) -> str:
    """One line for a refusal of the kernel, with what mends it."""
    text = error.strerror or str(error)
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"{text}: needs root, or CAP_BPF and CAP_PERFMON; `aperture doctor` says what is missing"
    if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, _NOT_SUPPORTED):
        return f"{text}: this kernel lacks something; `aperture doctor` says what"
    return text
