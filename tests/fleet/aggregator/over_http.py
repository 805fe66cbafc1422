"""A client for the aggregator's pages that can be as slow and as rude as one likes."""

from __future__ import annotations

import socket
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 30


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Samples(dict[tuple[str, tuple[tuple[str, str], ...]], float]):
    """Values by their name and labels."""

    def of(self, name: str, **labels: str) -> float:
        """One of them. Raises KeyError."""
        return self[name, tuple(sorted(labels.items()))]

    def labels(self) -> set[str]:
        """All names of labels."""
        return {label for _, labels in self for label, _ in labels}


def get(port: int, path: str, method: str = "GET") -> Answer:
    return said(port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def said(port: int, request: bytes) -> Answer:
    """The answer to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as client:
        client.sendall(request)
        return read(client)


def read(client: socket.socket) -> Answer:
    """What comes until the other side ends."""
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(status), headers, body)


def metrics(port: int) -> Samples:
    """The page as Prometheus' own parser reads it."""
    answer = get(port, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.body.decode())
    return Samples(
        {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}
    )
