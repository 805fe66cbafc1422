"""Known stacks in several threads, which then stand still. For CPython 3.9 and later.

Writes one JSON object: stacks is thread pointer -> frames leaf first as [name, qualified name, file, line], tids is
thread id -> thread pointer. Then it reads from stdin in the same line of code: what it said stays true until it is told
to go on.
"""

import functools
import json
import os
import sys
import threading

GATE = threading.Barrier(6)
HOLD = threading.Lock()


def frames_of(frame):
    out = []
    while frame is not None:
        code = frame.f_code
        out.append([code.co_name, getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return out


def report():
    stacks = {str(thread): frames_of(frame) for thread, frame in sys._current_frames().items()}
    own = str(threading.get_ident())
    stacks[own] = stacks[own][1:]
    tids = {thread.native_id: thread.ident for thread in threading.enumerate()}
    sys.stdout.write(json.dumps({"stacks": stacks, "tids": tids, "version": sys.version_info[:2]}) + "\n")
    sys.stdout.flush()


def hold():
    (GATE.wait(), HOLD.acquire())


def recursion(depth):
    if depth:
        return recursion(depth - 1)
    return hold()


def through_c(depth):
    def key(item):
        if item < depth:
            return sorted([item + 1], key=key)[0]
        return hold() or item

    return functools.reduce(lambda so_far, item: list(map(key, [item])), [0, 0])


def generator(depth):
    if depth:
        yield from generator(depth - 1)
    else:
        yield hold()


class Outer:
    class Inner:
        def __init__(self):
            self.method()

        def method(self):
            def nested():
                (lambda: [hold() for _ in range(1)])()

            nested()

        def __lt__(self, other):
            return recursion(2)


def straße_фун_函数_𝒻():  # noqa: N802
    while (
        1
        and recursion(0)
    ):  # fmt: skip
        pass


def main():
    for _ in range(100):  # past the point where a class that is called gets a frame of its own
        GATE_HELD[0] or Warm()
    targets = [
        lambda: recursion(5),
        lambda: through_c(4),
        lambda: list(generator(3)),
        Outer.Inner,
        straße_фун_函数_𝒻,
    ]
    HOLD.acquire()
    for target in targets:
        threading.Thread(target=target, daemon=True).start()
    GATE.wait()
    while not all(settled(frame) for thread, frame in sys._current_frames().items() if thread != threading.get_ident()):
        pass
    sorted([1], key=lambda _: (report(), os.read(0, 1)))


def settled(frame):
    """Whether a thread waits for HOLD itself: it is in `hold`, past the barrier."""
    return frame.f_code is hold.__code__ and GATE.n_waiting == 0


class Warm:
    def __init__(self):
        self.value = 1


GATE_HELD = [False]
main()
os._exit(0)
