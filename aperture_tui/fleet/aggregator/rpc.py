"""gRPC on the outside: who calls is found out first, and whatever goes wrong has one status and one line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from aperture_tui.fleet.aggregator.refusal import RefusalLog, Refused, later, refuse
from aperture_tui.fleet.aggregator.tokens import Access, Caller
from aperture_tui.profile.text import clean
from aperture_tui.wire import fleet_pb2 as wire

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from grpc.aio import ServicerContext

    from aperture_tui.fleet.aggregator.counts import Counts

    _Context = ServicerContext[Any, Any]

_CALLER: ContextVar[Caller] = ContextVar("caller")
_OPEN_TO_ALL: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
_INGEST: Final = "/aperture.v1.Ingest/"
_FLEET: Final = "/aperture.v1.Fleet/"
_MOST_CALLS: Final = 20_000
"""Open at the same time."""
_METHODS: Final = {
    f"/{service.full_name}/{method.name}": method.name
    for service in wire.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

Unary = Callable[[Caller, Any, "_Context"], Awaitable[Message]]
Stream = Callable[[Caller, Any, "_Context"], AsyncGenerator[Message, None]]


class Gate(grpc.aio.ServerInterceptor):
    """Lets in who has a token for what is called. What is not let in is not read."""

    def __init__(self, access: Access, log: RefusalLog, counts: Counts) -> None:
        self._access = access
        self._log = log
        self._counts = counts

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a call, or one that refuses it."""
        method = handler_call_details.method
        if not method.startswith(_OPEN_TO_ALL):
            try:
                caller = self._access.caller(_token(handler_call_details.invocation_metadata))
                _check_role(caller, method)
            except Refused as refused:
                self._counts.called(_METHODS.get(method, "other"), refused.code.name)
                return self._refusing(refused)
            _CALLER.set(caller)  # of this call: each has a context of its own
        return await continuation(handler_call_details)

    def _refusing(self, refused: Refused) -> grpc.RpcMethodHandler[Any, Any]:
        async def refusing(_: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
            self._log.note(context.peer(), refused.code.name, refused.words)
            await refuse(context, refused)
            yield b""  # never: it makes this a stream, whose messages are not read before they are asked for

        return grpc.stream_stream_rpc_method_handler(refusing)


def _token(metadata: Any) -> str | None:
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:].strip()
    return None


def _check_role(caller: Caller, method: str) -> None:
    if method.startswith(_INGEST) and not caller.may_push:
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, "this token may read, and not push")
    if method.startswith(_FLEET) and not caller.may_read:
        raise Refused(grpc.StatusCode.PERMISSION_DENIED, "this token may push, and not read")


class Calls:
    """Makes handlers of a service's methods. Messages come and go as bytes, so that damaged ones are ours to refuse."""

    def __init__(self, log: RefusalLog, counts: Counts) -> None:
        self._log = log
        self._counts = counts
        self._open = 0

    def handlers(
        self, service: ServiceDescriptor, unary: Mapping[str, Unary], streams: Mapping[str, Stream]
    ) -> grpc.GenericRpcHandler:
        """All methods of a service, by name."""
        made: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in service.methods:
            if method.name in streams:
                made[method.name] = grpc.unary_stream_rpc_method_handler(self._stream(method, streams[method.name]))
            else:
                made[method.name] = grpc.unary_unary_rpc_method_handler(self._unary(method, unary[method.name]))
        return grpc.method_handlers_generic_handler(service.full_name, made)

    def _unary(self, method: MethodDescriptor, answer: Unary) -> Callable[[bytes, _Context], Awaitable[bytes]]:
        async def call(data: bytes, context: _Context) -> bytes:
            began = time.monotonic()
            try:
                with self._counted(method.name):
                    return (await answer(_CALLER.get(), _request(method, data), context)).SerializeToString()
            except Exception as error:
                await self._end(context, error)
                raise AssertionError("a refusal ends the call") from error
            finally:
                self._counts.took[method.name].add(time.monotonic() - began)

        return call

    def _stream(self, method: MethodDescriptor, answer: Stream) -> Callable[[bytes, _Context], AsyncIterator[bytes]]:
        async def call(data: bytes, context: _Context) -> AsyncIterator[bytes]:
            try:
                with self._counted(method.name):
                    messages = answer(_CALLER.get(), _request(method, data), context)
                    async with contextlib.aclosing(messages):
                        async for message in messages:
                            yield message.SerializeToString()
            except Exception as error:
                await self._end(context, error)

        return call

    @contextlib.contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        self._open += 1
        status = "CANCELLED"  # unless it ends otherwise: what is cancelled is no Exception
        try:
            if self._open > _MOST_CALLS:
                raise later("too many calls at once", 5.0)
            yield
            status = "OK"
        except Exception as error:
            status = error.code.name if isinstance(error, Refused) else "INTERNAL"
            raise
        finally:
            self._open -= 1
            self._counts.called(method, status)

    async def _end(self, context: _Context, error: Exception) -> None:
        """Refuse the call. Of what is no refusal the log has what it is, and the caller that it is our fault."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, Refused):
            self._log.note(context.peer(), error.code.name, error.words)
            await refuse(context, error)
        kind = type(error).__name__
        self._log.note(context.peer(), "INTERNAL", f"{kind}: {clean(str(error))}")
        await refuse(context, Refused(grpc.StatusCode.INTERNAL, f"the aggregator failed at this: {kind}"))


def _request(method: MethodDescriptor, data: bytes) -> Message:
    """Raises Refused."""
    try:
        return GetMessageClass(method.input_type).FromString(data)
    except DecodeError as error:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"no {method.input_type.name}") from error


__all__ = ["Calls", "Gate"]
