"""Busy for a given number of seconds in known functions: recursion through Python and through C, and two loops of one
line each, in which a clock of its own keeps three parts to one."""

import sys
import time

CLOCK = time.thread_time


# fmt: off
def three_parts(until):
    while CLOCK() < until: pass  # noqa: E701  # HOT


def one_part(until):
    while CLOCK() < until: pass  # noqa: E701  # COLD
# fmt: on


def work():
    began = CLOCK()
    three_parts(began + 0.03)
    one_part(began + 0.04)


def descend(n):
    if n:
        descend(n - 1)
    else:
        work()


def through_c(n):
    return sorted([n], key=descend)


class Holder:
    def method(self):
        return list(map(lambda n: through_c(n), [20]))  # noqa: C417  # a lambda called by C is what is wanted


def run(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        Holder().method()


run(float(sys.argv[1]))
