"""What answers over HTTP as ClickHouse does, with chDB behind it: for the half of the client that wants a server.

It knows what clickhouse-connect sends (a statement in the URL, the body or a form, bound parameters, settings, a
format, compressed blocks, a name and password) and has a server's default limits of URLs and fields. It has no
sessions, streams or progress: every request is on its own. Passing through it is not passing on a real server.

    python -m tests.store.clickhouse.http_shim FOLDER [--port PORT] [--password WORD] [--config FILE.xml]

prints its port, and ends when its standard input does. config: of a server, with what clusters there are.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import re
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import chdb
import lz4.frame
import zstandard
from aiohttp import web

MAX_URI: Final = 1 << 20
"""http_max_uri_size, as it is by default."""
MAX_FIELD: Final = 128 << 10
"""http_max_field_value_size, as it is by default: of a parameter in the URL or a form, as it is sent."""
_BODY: Final = 1 << 30
_TRANSPORT: Final = frozenset(
    [
        "query",
        "database",
        "query_id",
        "session_id",
        "session_check",
        "session_timeout",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "user",
        "password",
        "role",
        "quota_key",
        "default_format",
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "client_protocol_version",
    ]
)
"""What the server itself uses of a URL; the rest are parameters and settings of the query."""
_FORMAT: Final = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_INSERT: Final = re.compile(rb"\s*INSERT\b[^;]*?\bFORMAT\s+\w+[ \t]*(\n|\Z)", re.IGNORECASE)
_CODE: Final = re.compile(r"Code: (\d+)")
_FORBIDDEN: Final = "516"  # AUTHENTICATION_FAILED


class Asked(NamedTuple):
    """One request. data: what an INSERT inserts."""

    statement: bytes
    data: bytes
    database: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]


class RefusedError(Exception):
    """What the server says no to before there is a query."""


class Shim:
    """One server over one folder."""

    def __init__(self, folder: Path, password: str, config: Path | None) -> None:
        self._address = f"{folder}?config-file={config}" if config else str(folder)
        self._password = password
        self._open = chdb.connect(self._address)  # the engine ends with its last connection
        self._pool = ThreadPoolExecutor(4)

    async def ping(self, _: web.Request) -> web.Response:
        """The one thing that needs no name."""
        return web.Response(text="Ok.\n")

    async def answer(self, request: web.Request) -> web.Response:
        """A statement's answer, or the error with its code."""
        try:
            if not self._may(request):
                return _failed("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)", 403)
            asked = await _asked(request)
            run = partial(self._run, asked)
            body, form = await asyncio.get_running_loop().run_in_executor(self._pool, run)
        except RefusedError as error:
            return _failed(f"Poco::Exception. Code: 1000, e.code() = 0, {error}", 400)
        except Exception as error:  # chDB has but one kind: its text begins with the code
            return _failed(str(error), 500)
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Format": form, "X-ClickHouse-Query-Id": "shim"}
        return web.Response(body=body, headers=headers)

    def _may(self, request: web.Request) -> bool:
        kind, _, words = request.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return not self._password
        return base64.b64decode(words).decode() == f"default:{self._password}"

    def _run(self, asked: Asked) -> tuple[bytes, str]:
        """The answer and its format. On a connection of its own, so that no setting outlives it."""
        with contextlib.closing(chdb.connect(self._address)) as connection:
            if asked.database:
                connection.query(f"USE `{asked.database}`", "Null")
            for name, value in asked.settings.items():
                connection.query(f"SET {name} = '{value}'", "Null")
            found = _FORMAT.search(asked.statement)
            form = found[1].decode() if found else "TabSeparated"
            if not asked.data:
                result = connection.query(asked.statement.decode(), form, params=dict(asked.parameters))
                return result.bytes() or b"", form
            with tempfile.NamedTemporaryFile() as file:
                file.write(asked.data)
                file.flush()
                into = _FORMAT.sub(b"", asked.statement).decode()
                connection.query(f"{into} FROM INFILE '{file.name}' FORMAT {form}", "Null")
            return b"", form


async def _asked(request: web.Request) -> Asked:
    """What a request asks for. Raises RefusedError."""
    if len(request.raw_path) > MAX_URI:
        raise RefusedError("URI too long")
    for part in request.rel_url.raw_query_string.split("&"):
        _check(part.partition("=")[2])
    url = dict(request.query)
    data = b""
    if request.content_type == "multipart/form-data":
        for name, value in (await request.post()).items():
            _check(str(value))
            url[name] = str(value)
    elif request.can_read_body:
        data = _unpacked(request.headers.get("Content-Encoding", ""), await request.read())
    statement = url.get("query", "").encode()
    if not statement:  # it is in the body, and what it inserts is behind it
        found = _INSERT.match(data)
        end = found.end() if found else len(data)
        statement, data = data[:end], data[end:]
    parameters = {name[6:]: value for name, value in url.items() if name.startswith("param_")}
    rest = {name: value for name, value in url.items() if not name.startswith("param_") and name not in _TRANSPORT}
    return Asked(statement, data, url.get("database", ""), parameters, rest)


def _check(value: str) -> None:
    if len(value) > MAX_FIELD:
        raise RefusedError("HTML Form Exception: Field value too long")


def _unpacked(encoding: str, body: bytes) -> bytes:
    match encoding:
        case "lz4":
            data: bytes = lz4.frame.decompress(body)
            return data
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body  # aiohttp unpacks gzip


def _failed(text: str, status: int) -> web.Response:
    code = _CODE.search(text)
    return web.Response(status=status, text=text, headers={"X-ClickHouse-Exception-Code": code[1] if code else "0"})


async def _serve(shim: Shim, port: int) -> None:
    app = web.Application(client_max_size=_BODY)
    app.router.add_route("*", "/", shim.answer)
    app.router.add_get("/ping", shim.ping)
    limits: dict[str, Any] = {"max_line_size": 2 * MAX_URI}  # beyond ours, so that it is we who say no
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, **limits)  # a server that goes away
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--password", default="")
    parser.add_argument("--config", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(Shim(chosen.folder, chosen.password, chosen.config), chosen.port))


if __name__ == "__main__":
    _main()
