"""An aggregator over a storage in memory, in this process, and certificates of our own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from aperture_tui.fleet.aggregator.journal import Journal
from aperture_tui.fleet.aggregator.lane import BatchLimits
from aperture_tui.fleet.aggregator.server import Aggregator, ServerSettings
from aperture_tui.fleet.aggregator.tokens import Access
from aperture_tui.wire.fleet_pb2_grpc import FleetStub, IngestStub
from tests.fleet.aggregator.kept import Kept


class Served:
    """A running aggregator, and a client of it."""

    def __init__(self, aggregator: Aggregator, kept: Kept, channel: grpc.aio.Channel, token: str) -> None:
        self.aggregator, self.kept, self.channel = aggregator, kept, channel
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._ingest, self._fleet = IngestStub(channel), FleetStub(channel)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.aggregator.port}"

    async def push(self, request: Any, token: str | None = None, **options: Any) -> Any:
        return await self._ingest.Push(request, metadata=self._with(token), timeout=20, **options)

    async def ask(self, name: str, request: Any, token: str | None = None, timeout: float = 20) -> Any:
        return await getattr(self._fleet, name)(request, metadata=self._with(token), timeout=timeout)

    def watch(self, request: Any, token: str | None = None) -> Any:
        return self._fleet.Watch(request, metadata=self._with(token))

    def _with(self, token: str | None) -> Any:
        return self.metadata if token is None else (("authorization", f"Bearer {token}"),)


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    kept: Any = None,
    access: Access | None = None,
    *,
    token: str = "",
    credentials: grpc.ChannelCredentials | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Until the block ends. kept: another Storage will do. options: of ServerSettings."""
    kept = kept or Kept()
    settings = ServerSettings(**{"listen": "127.0.0.1:0", "batches": BatchLimits(seconds=0.02), **options})
    journal = Journal(folder / "journal")
    aggregator = Aggregator(settings, kept, journal, access or Access(None))
    await aggregator.start()
    address = f"127.0.0.1:{aggregator.port}"
    channel = (
        grpc.aio.insecure_channel(address) if credentials is None else grpc.aio.secure_channel(address, credentials)
    )
    try:
        async with channel:
            yield Served(aggregator, kept, channel, token)
    finally:
        await aggregator.stop()
        journal.close()


class InThread:
    """An aggregator that runs in a thread of its own, for clients that wait: `address`, `kept`, until `close`."""

    def __init__(self, folder: Path, kept: Kept | None = None, **options: Any) -> None:
        self.kept = kept or Kept()
        self.address = ""
        self._served: Served | None = None
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        begun = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(folder, begun, options))
        self._thread.start()
        assert begun.wait(20)

    @property
    def aggregator(self) -> Aggregator:
        assert self._served is not None
        return self._served.aggregator

    def do(self, coroutine: Any) -> Any:
        """What it gives, in that thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self, folder: Path, begun: threading.Event, options: Any) -> None:
        async def run() -> None:
            async with serving(folder, self.kept, **options) as served:
                self.address, self._served = served.address, served
                begun.set()
                await self._end.wait()

        self._loop.run_until_complete(run())
        self._loop.close()


async def code_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """With what status a call fails."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("it did not fail")


async def until(true: Any) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


class Authority:
    """Makes certificates in a folder; those of two names are NAME.pem and NAME.key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder, self.name = folder, name
        subject = ["-subj", f"/CN={name}", "-days", "2", "-out", self.path(f"{name}.pem")]
        self._openssl("req", "-x509", *_KEY, "-keyout", self.path(f"{name}.key"), *subject)

    @property
    def pem(self) -> bytes:
        return Path(self.path(f"{self.name}.pem")).read_bytes()

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A certificate for loopback, and its key."""
        request, extensions = self.path(f"{name}.csr"), self.path(f"{name}.ext")
        self._openssl("req", *_KEY, "-keyout", self.path(f"{name}.key"), "-out", request, "-subj", f"/CN={name}")
        Path(extensions).write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        by = ["-CA", self.path(f"{self.name}.pem"), "-CAkey", self.path(f"{self.name}.key"), "-CAcreateserial"]
        out = ["-days", "2", "-extfile", extensions, "-out", self.path(f"{name}.pem")]
        self._openssl("x509", "-req", "-in", request, *by, *out)
        return Path(self.path(f"{name}.pem")).read_bytes(), Path(self.path(f"{name}.key")).read_bytes()

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
