"""How does a message get onto the wire, and what do we know when it goes wrong? The only I/O of this library.

`AsyncTransport` for asyncio, `Transport` for everything else; both carry one message with one request, and sort every
failure by one question: had the first byte been written?

    connect (pool, DNS, TCP, TLS) ─▶ before_write() ─▶ write ─▶ answer ─▶ provider.read()
    └──────── Unavailable ────────┘   its own error    └──────── Uncertain ────────┘

There is no second request whatever happens: no redirect, no retry, no request on a connection that may be stale. What
these raise carries neither address, headers, body nor number, only the class name of the cause.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .errors import ProviderError, Unavailable, Uncertain
from .messages import Accepted, Message, Request, Response
from .providers.base import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp
    from aiohttp.connector import Connection

BeforeWrite = Callable[[], None]
WriteLocal = Callable[[dict[str, str]], object]
T = TypeVar("T")

BODY_LIMIT = 64 * 1024
"""An answer is read up to here; no provider's is a tenth of it."""

IDLE_SECONDS = 3.0
"""A connection idle for longer is not used again: the other side may be closing it just then."""

STALE_LIMIT = 3
"""So many connections from the pool may turn out unusable before a submit gives up."""

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that HTTP calls idempotent and libraries repeat on a stale connection. Here each gets a fresh one."""

memory_outbox: list[dict[str, str]] = []
"""What the memory provider has sent: reference, sender, number and text of each message."""


def clear_memory_outbox() -> None:
    """Forget what the memory provider has sent."""
    memory_outbox.clear()


class AsyncTransport:
    """Carries messages from asyncio code. Use it as an async context manager, within one event loop.

    `connect_seconds` bounds everything before the write (a free connection, DNS, TCP, TLS), `total_seconds` the whole
    submit; at most `connections` are open at a time. TLS certificates are always checked; proxy settings from the
    environment are not read.
    """

    def __init__(self, *, connections: int = 200, connect_seconds: float = 5.0, total_seconds: float = 30.0) -> None:
        self._connections = connections
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._closed = False

    async def __aenter__(self) -> AsyncTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. What is still waiting for its answer becomes `Uncertain`."""
        self._closed = True
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    async def submit(
        self, provider: Provider, message: Message, *, before_write: BeforeWrite | None = None
    ) -> Accepted:
        """Submit `message` with exactly one request.

        `before_write` is called once, when the connection stands and immediately before the first byte. If it raises,
        nothing is written and its exception comes out unchanged. Otherwise this raises a `ProviderError`:
        `Unavailable` for every failure before the write, `Uncertain` for every failure after it, or what the
        provider's answer means. When the caller cancels, `CancelledError` comes out, before or after the write.
        """
        request = _build(provider, message)
        attempt = _Attempt(request, before_write)
        open_local = _LOCAL.get(request.url.partition(":")[0])
        try:
            if open_local is not None:
                answer = _carry_locally(open_local(request.url), attempt)
            else:
                answer = await self._exchange(request, attempt)
        except Exception as error:
            failure = attempt.failure(error)
        else:
            return _read(provider, answer)
        raise failure  # out here, so that it does not drag along an error that quotes the address

    async def connect(self, provider: Provider) -> None:
        """Opens a connection that the next submit finds ready, unless one stands idle. Writes nothing, raises nothing.

        A submit that had to connect first would miss its slot; what keeps it from connecting, it says itself.
        """
        if provider.endpoint:
            request = Request("POST", provider.endpoint)
            with suppress(Exception):
                await self._exchange(request, _Attempt(request, _go_no_further))

    async def _exchange(self, request: Request, attempt: _Attempt) -> Response:
        """One request, one answer. Raises whatever goes wrong; `attempt` knows whether it was written."""
        fresh = request.method.upper() in REPEATABLE
        async with self._session(fresh=fresh).request(
            request.method,
            request.url,
            headers={**request.headers, "Connection": "close"} if fresh else request.headers,
            data=request.body or None,
            allow_redirects=False,
            middlewares=(attempt,),
        ) as answer:
            body = await _read_at_most(BODY_LIMIT, answer)
            return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """The session with kept-alive connections, or the one that opens a connection for every request."""
        if self._closed:
            raise Unavailable("The transport is closed; the message has not left.")
        if fresh not in self._sessions:
            import aiohttp  # here, because it costs 0.3 s

            connector = (
                aiohttp.TCPConnector(limit=self._connections, force_close=True)
                if fresh
                else aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=IDLE_SECONDS)
            )
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=connector,
                request_class=_request_class(),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=self._total_seconds, connect=self._connect_seconds),
                headers={"User-Agent": "Paceline", "Accept-Encoding": "identity"},
            )
        return self._sessions[fresh]


class Transport:
    """The same for code without asyncio: a context manager, usable from several threads at once.

    It runs an `AsyncTransport` (and takes its options) on an event loop of its own in one background thread, which
    starts with the first submit. `before_write` is called in that thread, so keep it quick.
    """

    def __init__(self, **options: Any) -> None:
        self._carrier = AsyncTransport(**options)
        self._options = options
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._closed = False

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, provider: Provider, message: Message, before_write: BeforeWrite | None = None) -> Accepted:
        """Submit `message` with exactly one request, and wait. See `AsyncTransport.submit`."""
        with self._lock:  # so that `close` comes before or after, never between
            if self._closed:
                raise Unavailable("The transport is closed; the message has not left.")
            loop = self._running_loop()
            work = self._carrier.submit(provider, message, before_write=before_write)
            future = asyncio.run_coroutine_threadsafe(work, loop)
        return _wait(future)

    def close(self) -> None:
        """Close every connection and end the thread. Submits under way in other threads become `Uncertain`."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        _wait(asyncio.run_coroutine_threadsafe(_close_and_drain(self._carrier), loop))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._pid != os.getpid():  # first use, or the thread stayed behind in a fork
            self._pid = os.getpid()
            self._carrier = AsyncTransport(**self._options)
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="paceline-transport", daemon=True)
            self._thread.start()
        return self._loop


def _wait(future: Future[T]) -> T:
    try:
        return future.result()
    except FutureCancelled:
        raise Uncertain("The transport was closed before the provider's answer.") from None
    except BaseException:
        future.cancel()  # an interrupt in this thread; a no-op when the work itself raised
        raise


async def _close_and_drain(carrier: AsyncTransport) -> None:
    """Close, then let every submit that still waits learn of it."""
    await carrier.close()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    if waiting:
        _, stuck = await asyncio.wait(waiting, timeout=2.0)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


# The one request


class _Connected(Exception):
    """Far enough for `connect`."""


def _go_no_further() -> None:
    raise _Connected


class _Stale(Exception):
    """A connection from the pool is closing, or something came in on it that nobody had asked for."""


class _Attempt:
    """One submit: whether its first byte has left, and hence what a failure means."""

    def __init__(self, request: Request, before_write: BeforeWrite | None) -> None:
        self.body = request.body
        self.written = False
        self._before_write = before_write
        self._veto: Exception | None = None
        self._lost: Exception | None = None

    def begin(self) -> None:
        """The last line before the write. Raises, unchanged, what `before_write` raises."""
        if self._before_write is not None:
            try:
                self._before_write()
            except Exception as error:
                self._veto = error
                raise
        self.written = True

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        """Stand before every try of aiohttp (as its middleware): it repeats some methods, and must not."""
        if self._lost is not None:
            raise self._lost
        request.attempt = self  # type: ignore[attr-defined]  # for OneRequest.send
        for _ in range(STALE_LIMIT):
            try:
                return await handler(request)
            except _Stale:
                continue  # nothing was written on it; the pool has one fewer now
            except Exception as error:
                self._lost = error
                raise
        raise _Stale

    def failure(self, error: Exception) -> Exception:
        """What `error` means for the message."""
        if self._veto is not None:
            return self._veto
        if isinstance(error, ProviderError):
            return error
        cause = type(error).__name__.lstrip("_")
        if not self.written:
            return Unavailable(f"No connection to the provider ({cause}); the message has not left.")
        if isinstance(error, TimeoutError):
            return Uncertain("The provider did not answer in time; it may have taken the message.")
        return Uncertain(f"The connection broke before the provider's answer ({cause}); it may have taken the message.")


@functools.cache
def _request_class() -> type[aiohttp.ClientRequest]:
    """aiohttp's request, except that it asks its attempt first and then writes at once. Made when aiohttp is needed.

    aiohttp's own `send` hands the body to a task: on Python 3.11 the write happens some turns of the loop after the
    last moment at which we could look. Here nothing stands between `begin` and the write.
    """
    import aiohttp
    from aiohttp.http import StreamWriter

    class OneRequest(aiohttp.ClientRequest):
        attempt: _Attempt
        response: Any

        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            protocol, transport = conn.protocol, conn.transport
            if protocol is None or transport is None or transport.is_closing() or protocol.should_close:
                raise _Stale
            writer = StreamWriter(protocol, self.loop)
            await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)  # buffers only
            try:
                self.attempt.begin()
            except BaseException:
                conn.release()  # nothing was written: it is as good as before
                raise
            if self.attempt.body:
                await writer.write(self.attempt.body, drain=False)  # with the headers, in one piece, without a pause
            else:
                writer.set_eof()
            protocol.start_timeout()
            answer = self.response_class(
                self.method,
                self.original_url,
                writer=None,
                continue100=None,
                timer=self._timer,
                request_info=self.request_info,
                traces=[],
                loop=self.loop,
                session=self._session,
                stream_writer=writer,
            )
            self.response = answer
            return answer

    return OneRequest


async def _read_at_most(limit: int, answer: aiohttp.ClientResponse) -> bytes:
    """The body, cut at `limit`. (aiohttp does not use a connection again that has more to come.)"""
    chunks: list[bytes] = []
    left = limit
    while left > 0 and (chunk := await answer.content.read(left)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


# Around the provider: a bug in its file must not look like anything else


def _build(provider: Provider, message: Message) -> Request:
    try:
        return provider.build(message)
    except ProviderError:
        raise
    except Exception as error:
        failure = Unavailable(f"The request could not be built ({_place(error)}); the message has not left.")
    raise failure


def _read(provider: Provider, answer: Response) -> Accepted:
    try:
        return provider.read(answer)
    except ProviderError:
        raise
    except Exception as error:
        failure = Uncertain(f"The provider's answer could not be read ({_place(error)}).")
    raise failure


def _place(error: Exception) -> str:
    """What was raised and where. Not its text: that might quote the message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place


# The local schemes of `providers.local`


def _carry_locally(opened: AbstractContextManager[WriteLocal], attempt: _Attempt) -> Response:
    """Do what a local scheme says, under the same rule as the wire: open, then `before_write`, then write."""
    fields = json.loads(attempt.body)
    with opened as write:
        attempt.begin()
        write(fields)
    return Response(202, {}, json.dumps({"id": "local-" + fields["reference"]}).encode())


def _print(fields: dict[str, str]) -> None:
    lines = [f"SMS from {fields['sender']} to {fields['number']}, reference {fields['reference']}"]
    lines += [f"  | {line}" for line in fields["text"].split("\n")]
    encoding = sys.stdout.encoding or "utf-8"
    block = "\n".join(lines) + "\n"
    sys.stdout.write(block.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


@contextmanager
def _append_to_file(url: str) -> Iterator[WriteLocal]:
    def owner_only(path: str, flags: int) -> int:
        return os.open(path, flags, 0o600)

    path = url2pathname(urlsplit(url).path)
    with open(path, "ab", buffering=0, opener=owner_only) as file:  # unbuffered: one line, one write
        yield lambda fields: file.write(json.dumps(fields).encode() + b"\n")


_LOCAL: dict[str, Callable[[str], AbstractContextManager[WriteLocal]]] = {
    "console": lambda url: nullcontext(_print),
    "file": _append_to_file,
    "memory": lambda url: nullcontext(memory_outbox.append),
    "dummy": lambda url: nullcontext(lambda fields: None),
}
