"""A small shop, so that every screen has something to look at: `python shop.py LEDGER SECONDS`. Then it ends.

Two customers send orders down a socket and sleep in between. Two clerks take them from there: they parse an order,
price it in Python, look for a card on the disk that every third customer has, and book it in the ledger (LEDGER is
ledger.c as a shared library): native code under one lock, for which the clerks wait. Every 16th order goes to the disk,
and is waited for. `post` waits for letters that never come. `backup` packs this Python's library, tar into gzip, again
and again. SIGUSR1 begins a sale: from then on to price an order takes three times the work.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

EVERY_S = 0.01
"""Between two orders of one customer."""
ROUNDS = 300_000
"""Of the ledger's seal: about a millisecond."""
FIRST_BACKUP_S = 6.0
"""Of a process that is looked at alone, what it starts from then on is looked at as well."""
KEPT = 16
SALE = 3

sale = threading.Event()
over = threading.Event()
packing: list[subprocess.Popen[bytes]] = []


def order(number: int) -> bytes:
    """What a customer wants."""
    goods = [{"name": f"thing {i}", "price": 100 + 7 * i, "pieces": 1 + (number + i) % 5} for i in range(80)]
    return json.dumps({"number": number, "goods": goods}).encode()


def customer(line: socket.socket) -> None:
    """One order after the other, until the shop closes; then an empty one, for a clerk to go home."""
    for number in count():
        if over.is_set():
            break
        line.send(order(number))
        time.sleep(random.uniform(0, 2 * EVERY_S))
    line.send(b"")


def parse(said: bytes) -> dict[str, Any]:
    """An order."""
    told: dict[str, Any] = json.loads(said)
    return told


def discount(one: dict[str, Any], amount: int) -> int:
    """What so much of one thing costs, the second half of it for less."""
    return sum(one["price"] * (10 if piece < amount // 2 else 9) // 10 for piece in range(amount))


def price(goods: list[dict[str, Any]]) -> int:
    """The sum; in a sale each offer is looked at."""
    total = 0
    for _ in range(SALE if sale.is_set() else 1):
        total = sum(discount(one, one["pieces"] * 25) for one in goods)
    return total


def has_card(number: int, cards: Path) -> bool:
    """Whether the customer has a card: two of three have none."""
    return (cards / str(number % 9)).exists()


def keep(told: dict[str, Any], sealed: int, book: int) -> None:
    """Write it down, and wait until it is on the disk."""
    os.write(book, json.dumps({"sealed": sealed, **told}).encode())
    os.fdatasync(book)


def serve(line: socket.socket, ledger: ctypes.CDLL, cards: Path, book: int) -> None:
    """One clerk's day."""
    while said := line.recv(1 << 16):
        told = parse(said)
        total = price(told["goods"]) - has_card(told["number"], cards)
        sealed = ledger.book(ctypes.c_uint64(total), ROUNDS)
        if told["number"] % KEPT == 0:
            keep(told, sealed, book)


def post(line: socket.socket) -> None:
    """Wait for letters."""
    while line.recv(1 << 10):
        pass


def backup() -> None:
    """Pack the library, again and again, and count what comes of it."""
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    over.wait(FIRST_BACKUP_S)
    while not over.is_set():
        tar = subprocess.Popen(["tar", "-cf", "-", sysconfig.get_path("stdlib")], stdout=pipe, stderr=none)
        gzip = subprocess.Popen(["gzip", "-c"], stdin=tar.stdout, stdout=pipe, bufsize=0)
        assert tar.stdout is not None
        assert gzip.stdout is not None
        tar.stdout.close()
        packing[:] = [tar, gzip]
        if over.is_set():
            stop_packing()
        sum(map(len, iter(partial(gzip.stdout.read, 1 << 16), b"")))
        gzip.stdout.close()
        gzip.wait()
        tar.wait()


def stop_packing() -> None:
    """What is packed now will not be needed."""
    for one in packing:
        one.kill()


def main() -> None:
    """Open the shop, and close it when its time is over."""
    ledger = ctypes.CDLL(sys.argv[1])
    ledger.book.restype = ctypes.c_uint64
    told = {signal.SIGUSR1, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        cards = Path(folder)
        for number in range(0, 9, 3):
            (cards / str(number)).touch()
        book = os.open(cards / "book", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        letters, box = socket.socketpair()
        threads = [
            *(threading.Thread(target=customer, args=(theirs,)) for _ in range(2)),
            *(threading.Thread(target=serve, args=(ours, ledger, cards, book)) for _ in range(2)),
            threading.Thread(target=post, args=(box,)),
            threading.Thread(target=backup),
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + float(sys.argv[2])
        while (of := signal.sigtimedwait(told, max(0, until - time.monotonic()))) and of.si_signo == signal.SIGUSR1:
            sale.set()
        over.set()
        stop_packing()
        letters.close()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
