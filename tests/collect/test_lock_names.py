from __future__ import annotations

import numpy as np
import pytest

from aperture_tui.collect.lock_names import LockNames, kind_of
from aperture_tui.profile.event import EVENT
from aperture_tui.profile.kinds import FrameKind
from aperture_tui.profile.symbols import Frame, Symbols

GLIBC_WAIT = ["__futex_abstimed_wait_common", "__futex_abstimed_wait_common64"]
STACKS = {
    "a mutex": ("mutex", ["main", "work", "pthread_mutex_lock@@GLIBC_2.2.5", "__GI___lll_lock_wait"]),
    "a mutex, its slow way": ("mutex", ["main", "__pthread_mutex_lock_full", "__futex_lock_pi64"]),
    "a mutex for a while": ("mutex", ["main", "___pthread_mutex_clocklock64", "__futex_clocklock_wait64"]),
    "a C11 mutex": ("mutex", ["main", "mtx_lock", "futex_wait"]),
    "a lock of the C library's own": ("mutex", ["main", "malloc", "__lll_lock_wait_private"]),
    "a condition": (
        "condition",
        ["main", "wait_for_work", "___pthread_cond_wait", "__pthread_cond_wait_common", *GLIBC_WAIT],
    ),
    "a condition for a while": ("condition", ["main", "pthread_cond_timedwait@@GLIBC_2.3.2", *GLIBC_WAIT]),
    "a C11 condition": ("condition", ["main", "cnd_timedwait", *GLIBC_WAIT]),
    "the mutex, once the condition has come true": (
        "mutex",
        ["main", "___pthread_cond_wait", "__pthread_cond_wait_common", "__pthread_mutex_cond_lock", "__lll_lock_wait"],
    ),
    "std::condition_variable": (
        "condition",
        ["main", "std::condition_variable::wait(std::unique_lock<std::mutex>&)", "___pthread_cond_wait", *GLIBC_WAIT],
    ),
    "a semaphore": ("semaphore", ["main", "__new_sem_wait_slow64.constprop.0", "do_futex_wait", *GLIBC_WAIT]),
    "a semaphore for a while": ("semaphore", ["main", "sem_timedwait@@GLIBC_2.2.5", *GLIBC_WAIT]),
    "a lock to read": ("rwlock", ["main", "___pthread_rwlock_rdlock", "__pthread_rwlock_rdlock_full64", *GLIBC_WAIT]),
    "a lock to write": ("rwlock", ["main", "pthread_rwlock_wrlock", *GLIBC_WAIT]),
    "a barrier": ("barrier", ["main", "___pthread_barrier_wait", "futex_wait"]),
    "a thread": ("join", ["main", "__pthread_clockjoin_ex", *GLIBC_WAIT]),
    "a thread in C++": ("join", ["main", "std::thread::join()", "pthread_join@GLIBC_2.2.5", *GLIBC_WAIT]),
    "Rust's mutex": (
        "mutex",
        ["main", "app::work", "std::sys::sync::mutex::futex::Mutex::lock_contended", "std::sys::pal::unix::futex"],
    ),
    "Rust's condition": (
        "condvar",
        ["main", "std::sync::poison::condvar::Condvar::wait", "std::sys::sync::condvar::futex::Condvar::wait_opt"],
    ),
    "Rust's lock to read": ("rwlock", ["main", "std::sys::sync::rwlock::futex::RwLock::read_contended"]),
    "Rust's lock to write": ("rwlock", ["main", "std::sys::sync::rwlock::futex::RwLock::write_contended"]),
    "Rust's parking_lot": ("mutex", ["main", "parking_lot::raw_mutex::RawMutex::lock_slow", "syscall"]),
    "parking_lot's lock to write": ("rwlock", ["main", "parking_lot::raw_rwlock::RawRwLock::lock_exclusive_slow"]),
    "Go": ("Go runtime", ["runtime.mcall", "runtime.notesleep", "runtime.futexsleep", "runtime.futex"]),
    "Go's own mutex": ("Go runtime", ["main.main", "runtime.lock2", "runtime.futexsleep", "runtime.futex.abi0"]),
    "CPython": (
        "Python GIL",
        ["main", "PyEval_RestoreThread", "take_gil", "pthread_cond_timedwait@@GLIBC_2.3.2", *GLIBC_WAIT],
    ),
    "the mutex of CPython's GIL": ("Python GIL", ["main", "take_gil", "___pthread_mutex_lock", "__lll_lock_wait"]),
    "CPython with the GIL in C++": ("Python GIL", ["main", "take_gil.lto_priv.0", "___pthread_cond_timedwait64"]),
    "threading.Lock": ("semaphore", ["main", "lock_PyThread_acquire_lock", "sem_clockwait", "do_futex_wait"]),
    "somebody else's": (None, ["main", "my_lock", "syscall"]),
    "a program whose names only look so": (None, ["main", "semantic_waiter", "joiner", "mutex_free", "syscall"]),
    "nothing": (None, []),
}


@pytest.mark.parametrize(("kind", "functions"), STACKS.values(), ids=STACKS.keys())
def test_the_kind_of_a_lock_is_told_by_who_waits(kind: str | None, functions: list[str]) -> None:
    assert kind_of(functions) == kind


def waits(symbols: Symbols, *stacks: list[str]) -> np.ndarray:
    """A wait of this process for an address where nothing lies, with each of these stacks."""
    events = np.zeros(len(stacks), EVENT)
    events["value"] = np.arange(1, len(stacks) + 1) * 8
    paths = [[symbols.frame(Frame(name, kind=FrameKind.NATIVE)) for name in names] for names in stacks]
    events["stack"] = symbols.stacks(paths)
    return events


def named(names: LockNames, events: np.ndarray, futexes: list[str], symbols: Symbols) -> list[str]:
    """What waits are called."""
    names.name(events, futexes, symbols)
    return [symbols.strings[i] for i in events["name"].tolist()]


def test_a_wait_without_a_word_in_its_stack_has_the_word_of_its_futex() -> None:
    symbols = Symbols()
    events = waits(symbols, ["main", "syscall"], ["main", "pthread_mutex_lock"])
    assert named(LockNames(), events, ["futex bitset", "futex"], symbols) == ["futex bitset", "mutex"]


def test_a_wait_without_a_stack_has_the_word_that_others_for_its_lock_had() -> None:
    symbols, names = Symbols(), LockNames()
    events = waits(symbols, ["main", "pthread_mutex_lock"], [])
    events["value"] = 8
    assert named(names, events, ["futex", "futex"], symbols) == ["mutex", "mutex"]


def test_who_woke_and_who_held_are_told_under_the_name_that_the_waits_had() -> None:
    symbols, names = Symbols(), LockNames()
    events = waits(symbols, ["main", "pthread_mutex_lock"], ["main", "syscall"])
    named(names, events[:1].copy(), ["futex"], symbols)
    names.name_others(events, symbols)
    assert [symbols.strings[i] for i in events["name"].tolist()] == ["mutex", "futex"]


def test_a_new_generation_of_symbols_gets_its_own_strings() -> None:
    old, new, names = Symbols(), Symbols(), LockNames()
    new.string("something else that is there first")
    for symbols in (old, new):
        events = waits(symbols, ["main", "pthread_barrier_wait"])
        assert named(names, events, ["futex"], symbols) == ["barrier"]


def test_only_the_innermost_functions_count() -> None:
    """A condition variable far out is what a task waits in that runs within, not what it waits for."""
    symbols = Symbols()
    events = waits(symbols, ["pthread_cond_wait", *(f"f{i}" for i in range(12)), "syscall"])
    assert named(LockNames(), events, ["futex"], symbols) == ["futex"]


def test_the_two_words_of_a_condition_of_glibc_are_one_lock() -> None:
    symbols, names = Symbols(), LockNames()
    events = waits(symbols, *[["main", "pthread_cond_wait"]] * 2, *[["main", "Condvar::wait"]] * 2)
    events["value"] = [0x1028, 0x102C, 0x2028, 0x202C]
    named(names, events, ["futex"] * 4, symbols)
    assert events["value"].tolist() == [0x1028, 0x1028, 0x2028, 0x202C], "Rust's has one word, which is all of it"
