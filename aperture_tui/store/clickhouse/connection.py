"""Connections to ClickHouse: one to chDB in this process, or to a server, by the same client."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from aperture_tui.profile.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

_CLIENTS: Final = 8
"""At the same time; who comes later waits."""
_LONGEST: Final = 300
"""Characters of what a server says that are passed on."""
_CONNECT_S: Final = 5
_ANSWER_S: Final = 60
_MISSING: Final = "needs what is not installed: pip install 'aperture-tui[aggregator]'"


class StorageError(RuntimeError):
    """What ClickHouse says, in one clear line; trying again later may help."""


class TooMuchError(StorageError):
    """A question that passed the limits of time, rows or memory."""


_TOO_MUCH: Final = ("Code: 158.", "Code: 159.", "Code: 241.", "Code: 307.", "Code: 396.")
"""TOO_MANY_ROWS, TIMEOUT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where ClickHouse is. path: of chDB; else host and port of a server. cluster: "" for a single machine."""

    path: str = ""
    host: str = ""
    port: int = 0
    secure: bool = False
    user: str = "default"
    password: str = ""
    cluster: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """chdb:///PATH, clickhouse://[USER[:PASSWORD]@]HOST[:8123][?cluster=NAME], clickhouses:// with TLS.

        Raises StorageError.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise StorageError(f"{clean(url)}: {error}") from error
        if parts.scheme == "chdb" and parts.path.strip("/") and not parts.netloc:
            return cls(path=unquote(parts.path))
        if parts.scheme not in ("clickhouse", "clickhouses") or not parts.hostname:
            raise StorageError(f"{clean(url)} is no store: give chdb:///PATH or clickhouse://USER:PASSWORD@HOST:8123")
        cluster = parse_qs(parts.query).get("cluster", [""])[0]
        if cluster and not cluster.replace("_", "").replace("-", "").isalnum():
            raise StorageError(f"{clean(cluster)!r} is no name of a cluster")
        secure = parts.scheme == "clickhouses"
        user, password = unquote(parts.username or "default"), unquote(parts.password or "")
        return cls("", parts.hostname, port or (8443 if secure else 8123), secure, user, password, cluster)


class Connection:
    """Up to a few clients, each used by one thread at a time. All methods may be called from any thread."""

    def __init__(self, address: Address) -> None:
        """Raises StorageError."""
        self.address = address
        self._free: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(_CLIENTS):
            self._free.put(None)
        self.command("SELECT 1")

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run what has no answer. Raises StorageError."""
        with self._client() as client:
            client.command(sql, parameters=dict(parameters or {}))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """A small answer. Raises StorageError."""
        with self._client() as client:
            return [tuple(row) for row in client.query(sql, parameters=dict(parameters or {})).result_rows]

    def arrow(self, sql: str, parameters: Mapping[str, Any], settings: Mapping[str, Any]) -> pa.Table:
        """A large answer. settings: whose words are ours. Raises StorageError."""
        import pyarrow as pa

        # in the statement: the client would ask for each of them first, and set it back
        told = {**settings, "output_format_arrow_compression_method": "none" if self.address.path else "lz4_frame"}
        listed = ", ".join(f"{name} = {value!r}" for name, value in told.items())
        with self._client() as client:
            data = client.raw_query(f"{sql} SETTINGS {listed}", parameters=dict(parameters), fmt="ArrowStream")
        return pa.ipc.open_stream(data).read_all()

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows; with the same token, the same rows are inserted once, also into what is made of them.

        Raises StorageError.
        """
        settings = {
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "deduplicate_blocks_in_dependent_materialized_views": 1,
            "max_partitions_per_insert_block": 0,
            "throw_on_max_partitions_per_insert_block": 0,
        }
        if self.address.cluster:
            settings |= {"insert_quorum": "auto", "distributed_foreground_insert": 1}
        with self._client() as client:
            client.insert_arrow(table, rows, settings=settings)

    def close(self) -> None:
        """Let go of all clients that are free."""
        with contextlib.suppress(queue.Empty):
            while True:
                client = self._free.get_nowait()
                if client is not None:
                    client.close()

    @contextlib.contextmanager
    def _client(self) -> Iterator[Client]:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        client = self._free.get()
        try:
            client = client or self._open()
            yield client
        except ClickHouseError as error:
            raise _said(error, self.address) from error
        except OSError as error:
            client = None
            raise StorageError(f"ClickHouse cannot be reached: {clean(str(error))}") from error
        finally:
            self._free.put(client)

    def _open(self) -> Client:
        try:
            import clickhouse_connect
            import pyarrow  # noqa: F401 - what the answers come in
        except ImportError as error:
            raise StorageError(f"the store {_MISSING}") from error
        logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)  # it warns of what it raises, too
        address = self.address
        if address.path:
            return _chdb(address.path)
        return clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            secure=address.secure,
            connect_timeout=_CONNECT_S,
            send_receive_timeout=_ANSWER_S,
            autogenerate_session_id=False,
        )


def _chdb(path: str) -> Client:
    import clickhouse_connect

    if os.path.exists(path) and not os.path.isdir(path):
        raise StorageError(f"chdb://{clean(path)} cannot be opened: {clean(path)} is no folder")
    try:
        return clickhouse_connect.get_client(interface="chdb", path=path)
    except ImportError as error:
        raise StorageError(f"chdb://{clean(path)} {_MISSING}") from error
    except Exception as error:
        words = clean(str(error)).splitlines()[0] if str(error) else type(error).__name__
        locked = "EmbeddedServer: ." in words  # what it says, and no more, where another process has the folder
        hint = "another process has it open" if locked else words.partition(", Stack trace")[0][:_LONGEST]
        raise StorageError(f"chdb://{clean(path)} cannot be opened: {hint}") from error


def _said(error: Exception, address: Address) -> StorageError:
    from urllib3.exceptions import HTTPError

    if isinstance(error.__cause__, HTTPError):
        why = str(getattr(error.__cause__, "reason", None) or error.__cause__).rpartition(": ")[2]
        return StorageError(f"ClickHouse at {address.host}:{address.port} cannot be reached: {clean(why)}")
    text = " ".join(clean(str(error)).split())
    text = text[max(0, text.find("Code: ")) :].partition(" (for url ")[0]
    kind = TooMuchError if any(code in text for code in _TOO_MUCH) else StorageError
    return kind(f"ClickHouse: {text[:_LONGEST]}")
