"""The pushing half of an agent, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aperture_tui.fleet.agent.delivery import AccessError, Delivery
from aperture_tui.fleet.agent.outgoing import Identity
from aperture_tui.fleet.agent.pusher import Pusher
from aperture_tui.fleet.agent.spool import Spool
from aperture_tui.store.remote.link import RemoteSettings

WHO = Identity("build-7", "checkout", "0.1")


@dataclass
class Agent:
    """A spool, a pusher, and what that said."""

    spool: Spool
    address: str
    token_file: Path | None = None
    said: list[str] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        way = Delivery(self.address, self.settings)
        self.pusher = Pusher(self.spool, way, WHO, 0.01, self.said.append, self.paces.append)

    def settings(self) -> RemoteSettings:
        try:
            token = self.token_file.read_text().strip() if self.token_file else ""
        except OSError as error:
            raise AccessError(f"{self.token_file}: {error.strerror}") from error
        return RemoteSettings(self.address, token, tls=False)

    def __enter__(self) -> Agent:
        self.pusher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pusher.stop(2.0)
        assert self.pusher.failure == ""
