"""Conversations with agents in the programs that are looked at: found, asked, read without waiting for any of them."""

from __future__ import annotations

import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aperture_tui.collect.gpu import finding
from aperture_tui.collect.gpu.frames import Frames, ProtocolError, Told
from aperture_tui.collect.gpu.inside._aperture_gpu import wire
from aperture_tui.collect.gpu.reading import Inbox, Reading
from aperture_tui.collect.gpu.status import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from aperture_tui.collect.gpu.finding import Door

_LOOK_S: Final = 1.0
_LOOK_AROUND_S: Final = 5.0
"""Between looks for containers: some microseconds a process."""
_WAIT_S: Final = 10.0
"""Before one that refused is asked again."""
_MAX_NAMES_BYTES: Final = 128 << 20
"""Of the names of all agents: each may have a quarter of that."""
_TOO_MANY: Final = f"agents that are not asked: {finding.MAX_SOCKETS} are heard"


@dataclass(slots=True)
class Agent:
    """One that answers. status: its newest word of itself, checked, as of `heard`, monotonic seconds. told: since the
    last time it was taken.
    """

    pid: int
    door: Door
    connection: socket.socket
    inbox: Inbox
    heard: float = field(default_factory=time.monotonic)
    frames: Frames = field(default_factory=Frames)
    hello: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    ended: str = ""
    """Why there is no more to come; "" while there is."""


class Agents:
    """Owned by the collecting thread. wanted: whether a process is to be looked at. limit: what each may cost it."""

    def __init__(self, wanted: Callable[[int], bool], limit: float, wish: int = wire.WISH_CALLS) -> None:
        self._wanted = wanted
        self._limit = limit
        self._wish = wish
        self.talking: dict[str, Agent] = {}
        """By the paths of their sockets."""
        self._refusals: dict[str, str] = {}
        """Why it came to nothing, by the paths of sockets that are still there."""
        self._reading = Reading()
        self._not_before: dict[str, float] = {}
        self._looked = self._looked_around = 0.0
        self._roots = [""]

    def update(self) -> None:
        """Ask new ones; take what all of them have sent."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._not_before = {path: at for path, at in self._not_before.items() if at > now}
            if now - self._looked_around >= _LOOK_AROUND_S:
                self._looked_around = now
                self._roots = ["", *finding.other_roots()]
            self._meet(finding.doors(self._roots))
        for path, agent in self.talking.items():
            _read(agent)
            if agent.hello:
                self._refusals.pop(path, None)
        names = {path: agent.frames.names_bytes for path, agent in self.talking.items() if not agent.ended}
        while sum(names.values()) > _MAX_NAMES_BYTES:
            most = max(names, key=names.__getitem__)
            self.talking[most].ended = "agents with the most names, of too many in all"
            del names[most]

    @property
    def refused(self) -> Counter[str]:
        """Why it came to nothing -> with how many."""
        return Counter(self._refusals.values())

    def _meet(self, doors: list[Door]) -> None:
        paths = {door.path for door in doors}
        self._refusals = {path: why for path, why in self._refusals.items() if path in paths}
        for door in doors:
            if door.path in self._not_before or door.path in self.talking:
                continue
            if len(self.talking) >= finding.MAX_SOCKETS:  # who listens may take its socket away, and go on to talk
                self._refusals[door.path] = _TOO_MANY
                continue
            self._not_before[door.path] = time.monotonic() + _WAIT_S
            try:
                connection, pid = finding.connected(door)
            except OSError:
                self._refusals.pop(door.path, None)
                continue  # it has ended and left its socket, or its backlog is full
            try:
                if not self._wanted(pid):
                    connection.close()
                    continue
                connection.send(
                    wire.REQUEST.pack(wire.MAGIC, self._wish, round(self._limit * 1e6)), socket.MSG_NOSIGNAL
                )
            except OSError:
                connection.close()
                continue
            self.talking[door.path] = Agent(pid, door, connection, self._reading.follow(connection))

    def take_ended(self) -> list[Agent]:
        """Those with whom it is over; their last records have to be taken now."""
        ended = [agent for agent in self.talking.values() if agent.ended]
        for agent in ended:
            del self.talking[agent.door.path]
            self._reading.leave(agent.connection)
            agent.connection.close()
            if why := _refusal(agent):
                self._refusals[agent.door.path] = why
        return ended

    def close(self) -> None:
        """End all conversations: the agents switch CUPTI off."""
        self._reading.end()
        for agent in self.talking.values():
            agent.connection.close()
        self.talking = {}


_LEFT: Final = "it has left"


def _refusal(agent: Agent) -> str:
    """Why it came to nothing with one that has ended; "" if it was as it should be."""
    if agent.ended != _LEFT:
        return agent.ended
    if why := text(agent.status, "sent_away"):
        return f"agents that sent us away: {why}"
    return "" if agent.status else "agents that hung up without a word, of another version: start their programs anew"


def _read(agent: Agent) -> None:
    data, is_all = agent.inbox.take()
    try:
        for told in agent.frames.feed(data):
            _take(agent, told)
    except ProtocolError as error:
        agent.ended = f"agents that do not speak our protocol ({error})"
    else:
        agent.ended = _LEFT if is_all else ""


def _take(agent: Agent, told: Told) -> None:
    if told.frame == wire.HELLO:
        agent.hello = told.words
    elif told.frame == wire.STATUS:
        agent.status, agent.heard = told.words, time.monotonic()
    else:
        agent.told.append(told)
