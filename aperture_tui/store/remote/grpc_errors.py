"""What gRPC says when there is no answer, in words for whoever waits for one."""

from __future__ import annotations

import re
from typing import Final

import grpc

from aperture_tui.profile.text import clean
from aperture_tui.store.remote.link import DEADLINE_S, RemoteSettings

_LONGEST: Final = 300
"""Characters of an aggregator's own words."""
_OF_THE_WAY: Final = re.compile("failed to connect to all|errors resolving|DNS resolution failed|Socket closed")
"""What gRPC's own words have where it was not an aggregator that said UNAVAILABLE."""
_OLDER: Final = re.compile(r"not known here: \d+ is not a valid Role")
"""What it says to a role that means a filter line (store/exchange.py)."""
_CAUSES: Final = (
    (r"lookup failed|DNS resolution failed|errors resolving", "there is no such host"),
    ("Hostname Verification Check failed|No match found for server name", "its certificate is for another name"),
    ("certificate has expired", "its certificate has expired"),
    ("certificate is not yet valid", "its certificate is not valid yet: is a clock wrong?"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is of no authority that is trusted: name that with --tls-ca"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: --insecure does without"),
    ("CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE", "it wants a client's certificate: --tls-cert and --tls-key"),
    ("create security handshaker", "the certificates or the key given for it cannot be used"),
    ("Failed parsing HTTP/2", "it is no aggregator, or not its port for gRPC"),
    ("Connection refused", "connection refused: is the aggregator running there?"),
    ("No route to host|Network is unreachable", "there is no way to it in the network"),
    ("FD Shutdown|timed? ?out|Timeout|DEADLINE", "nothing answers there"),
)
"""The first that is found in gRPC's words, and what it means."""


def is_of_the_way(error: grpc.RpcError) -> bool:
    """Whether the aggregator was not reached, or did not answer."""
    return _code(error) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def is_unknown(error: grpc.RpcError) -> bool:
    """Whether there is no such question where it was asked."""
    return _code(error) is grpc.StatusCode.UNIMPLEMENTED


def in_words(error: grpc.RpcError, settings: RemoteSettings, deadline_s: float = DEADLINE_S) -> str:
    """One clear line, with the aggregator's address before it. deadline_s: how long it was waited for."""
    return f"{clean(settings.address)}: {_meaning(error, settings, deadline_s)}"


def _meaning(error: grpc.RpcError, settings: RemoteSettings, deadline_s: float) -> str:
    code, own = _code(error), _details(error)
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return _of_the_way(own, settings) if _OF_THE_WAY.search(own) else own or "cannot answer now"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {deadline_s:g} s"
        case grpc.StatusCode.UNAUTHENTICATED:
            what = "the token was refused" if settings.token else "it wants a token: give --token-file"
            return f"{what} ({own})" if own else what
        case grpc.StatusCode.PERMISSION_DENIED:
            return f"the token may not ask this{f' ({own})' if own else ''}"
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"too much was asked for: {own}" if own else "too much was asked for"
        case grpc.StatusCode.INVALID_ARGUMENT if _OLDER.search(own):
            return "it is of an older version, which has no filter lines: take the filter off"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "it does not know this question: it is no aggregator, or of another version"
    return own or f"no answer ({code.name.lower() if code else 'unknown'})"


def _of_the_way(own: str, settings: RemoteSettings) -> str:
    found = next((words for pattern, words in _CAUSES if re.search(pattern, own)), "")
    if found:
        return found
    if "Socket closed" in own and not settings.tls:
        return "it closes the connection: it may speak TLS alone (no --insecure, and on this machine --tls-ca)"
    if "Socket closed" in own and settings.certificate is None:
        return "it closes the connection: it may want a client's certificate (--tls-cert, --tls-key)"
    if "Socket closed" in own:
        return "it closes the connection: it may not trust the certificate that was given"
    return f"cannot be reached: {own.rpartition(': ')[2]}"


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    code = getattr(error, "code", None)  # what a call raises is an RpcError and a Call; the type says only the former
    found = code() if code is not None else None
    return found if isinstance(found, grpc.StatusCode) else None


def _details(error: grpc.RpcError) -> str:
    details = getattr(error, "details", None)
    own = " ".join(str(details() or "").split()) if details is not None else ""
    return clean(own[:_LONGEST])
