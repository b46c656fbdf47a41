"""How does a message get onto the wire, and what do we know when it goes wrong? The only I/O of this library.

`AsyncTransport` for asyncio, `Transport` for everything else; both carry one message with one request, and sort every
failure by one question: had the first byte been written?

    connect (pool, DNS, TCP, TLS) ─▶ before_write() ─▶ write ─▶ answer ─▶ provider.read()
    └──────── Unavailable ────────┘   its own error    └──────── Uncertain ────────┘

There is no second request whatever happens: no redirect, no retry, no request on a connection that may be stale. What
these raise carries neither address, headers, body nor number, only the class name of the cause. The connections and
their bytes are `http1`, written for this: on a general client the wire was most of what a message costs.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from . import failpoints
from .errors import ProviderError, Unavailable, Uncertain
from .http1 import REPEATABLE, Connection, Origin, Pool, Prepared, origin_of, prepare
from .messages import Accepted, Message, Request, Response
from .providers.base import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

BeforeWrite = Callable[[], None]
WriteLocal = Callable[[dict[str, str]], object]
T = TypeVar("T")

BODY_LIMIT = 64 * 1024
"""An answer is read up to here; no provider's is a tenth of it."""

IDLE_SECONDS = 3.0
"""A connection idle for longer is not used again: the other side may be closing it just then."""

STALE_LIMIT = 3
"""So many connections may turn out unusable before a submit gives up."""

HEADS_KEPT = 16
"""Request heads kept ready: a provider's address and headers are mostly the same for every message."""

memory_outbox: list[dict[str, str]] = []
"""What the memory provider has sent: reference, sender, number and text of each message."""


def clear_memory_outbox() -> None:
    """Forget what the memory provider has sent."""
    memory_outbox.clear()


class AsyncTransport:
    """Carries messages from asyncio code. Use it as an async context manager, within one event loop.

    `connect_seconds` bounds everything before the write (a free connection, DNS, TCP, TLS), `total_seconds` the whole
    submit; at most `connections` are open at a time. TLS certificates are always checked; proxy settings from the
    environment are not read. `allows` is asked about every address before it is connected to; without it all will do.
    """

    def __init__(
        self,
        *,
        connections: int = 200,
        connect_seconds: float = 5.0,
        total_seconds: float = 30.0,
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        self._allows = allows
        self._connections = connections
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._pool: Pool | None = None
        self._opening: Counter[Origin] = Counter()  # ahead of their submits
        self._heads: dict[tuple[object, ...], Prepared] = {}
        self._closed = False

    @property
    def longest_seconds(self) -> float:
        """What a submit can take at the most, from its beginning to its end."""
        return self._connect_seconds + self._total_seconds

    async def __aenter__(self) -> AsyncTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. What is still waiting for its answer becomes `Uncertain`."""
        self._closed = True
        self._heads.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

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
        attempt = _Attempt(before_write)
        open_local = _LOCAL.get(request.url.partition(":")[0])
        try:
            if open_local is not None:
                answer = _carry_locally(open_local(request.url), request.body, attempt)
            else:
                answer = await self._exchange(request, attempt)
        except Exception as error:
            failure = attempt.failure(error)
        else:
            return _read(provider, answer)
        raise failure  # out here, so that it does not drag along an error that quotes the address

    async def ask(self, request: Request) -> Response:
        """The answer to a request that may be repeated without harm, such as a look-up. Exactly one request, too.

        Raises `Unavailable` when it did not get through at all, `Uncertain` when no whole answer came back.
        """
        attempt = _Attempt(None)
        try:
            return await self._exchange(request, attempt)
        except Exception as error:
            cause = type(error).__name__.lstrip("_")
            failure = (
                Uncertain(f"The provider was asked and did not answer ({cause}); ask again.")
                if attempt.written
                else Unavailable(f"No connection to the provider ({cause}); ask again later.")
            )
        raise failure  # out here, so that it does not drag along an error that quotes the address

    async def connect(self, provider: Provider, submits: int = 1) -> None:
        """Opens a connection that the next submit finds ready, unless one stands idle; for `submits` by GET, so many.

        A submit that had to connect first would miss its slot; what keeps it from connecting, it says itself. Writes
        nothing, raises nothing.
        """
        if not provider.endpoint:
            return
        fresh = provider.method.upper() in REPEATABLE
        with suppress(Exception):
            pool, origin = self._opened(), origin_of(provider.endpoint)
            missing = (submits if fresh else 1) - pool.ready(origin, fresh=fresh) - self._opening[origin]
            await asyncio.gather(*(self._open_one(pool, origin) for _ in range(missing)), return_exceptions=True)

    async def _open_one(self, pool: Pool, origin: Origin) -> None:
        self._opening[origin] += 1
        try:
            async with asyncio.timeout(min(self._connect_seconds, self._total_seconds)):
                connection = await pool.open(origin)
        finally:
            self._opening[origin] -= 1
        pool.release(connection)

    async def _exchange(self, request: Request, attempt: _Attempt) -> Response:
        """One request, one answer. Raises whatever goes wrong; `attempt` knows whether it was written."""
        deadline = time.monotonic() + self._total_seconds
        pool, prepared = self._opened(), self._prepared(request)
        data = prepared.with_body(request.body)
        connection = pool.idle(prepared.origin, fresh=prepared.fresh)
        if connection is None:
            connection = await self._connected(pool, prepared)
        try:
            attempt.begin()
        except BaseException:
            pool.release(connection)  # nothing was written: it is as good as before
            raise
        try:
            answer = connection.exchange(data, without_body=prepared.without_body)
            failpoints.hit("after_write")
            pool.expect(connection, deadline)
            response = await answer
            failpoints.hit("after_response")
            return response
        finally:
            pool.release(connection, keep=not prepared.fresh)

    async def _connected(self, pool: Pool, prepared: Prepared) -> Connection:
        """A connection that none of those standing idle could be. It is usable until the loop's next turn."""
        async with asyncio.timeout(min(self._connect_seconds, self._total_seconds)):
            for _ in range(STALE_LIMIT):
                connection = await pool.take(prepared.origin, fresh=prepared.fresh)
                if connection.is_usable:
                    return connection
                pool.release(connection)
        raise _Stale

    def _prepared(self, request: Request) -> Prepared:
        """The request's head, mostly that of the message before."""
        key = (request.method, request.url, *request.headers.items())
        prepared = self._heads.get(key)
        if prepared is None:
            prepared = prepare(request)
            if not prepared.fresh:  # the others often have the message in their address
                if len(self._heads) == HEADS_KEPT:
                    self._heads.clear()
                self._heads[key] = prepared
        return prepared

    def _opened(self) -> Pool:
        if self._closed:
            raise Unavailable("The transport is closed; the message has not left.")
        if self._pool is None:
            self._pool = Pool(
                limit=self._connections, idle_seconds=IDLE_SECONDS, body_limit=BODY_LIMIT, allows=self._allows
            )
        return self._pool


class Transport:
    """The same for code without asyncio: a context manager, usable from several threads at once.

    It runs an `AsyncTransport` (and takes its options) on an event loop of its own in one background thread, which
    starts with the first submit. `before_write` is called in that thread, so keep it quick.
    """

    def __init__(self, **options: Any) -> None:
        self._background = Background(lambda: AsyncTransport(**options), "paceline-transport")

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, provider: Provider, message: Message, before_write: BeforeWrite | None = None) -> Accepted:
        """Submit `message` with exactly one request, and wait. See `AsyncTransport.submit`."""
        return self._background.wait(lambda carrier: carrier.submit(provider, message, before_write=before_write))

    def connect(self, provider: Provider) -> None:
        """Opens a connection that the next submit finds ready. See `AsyncTransport.connect`."""
        self._background.wait(lambda carrier: carrier.connect(provider))

    def ask(self, request: Request) -> Response:
        """The answer to a request that may be repeated without harm. See `AsyncTransport.ask`."""
        return self._background.wait(lambda carrier: carrier.ask(request))

    def close(self) -> None:
        """Close every connection and end the thread. Submits under way in other threads become `Uncertain`."""
        self._background.close()


class Closable(Protocol):
    """What `Background` can hold."""

    async def close(self) -> None: ...


Held = TypeVar("Held", bound=Closable)


class Background(Generic[Held]):
    """An event loop in a daemon thread, and on it something asynchronous that code without asyncio wants to use.

    Both begin with the first use and, since threads stay behind, anew with the first use after a fork. Any thread
    may use it. uvloop runs the loop where it is installed. What nobody has closed is closed when the program ends.
    """

    def __init__(self, make: Callable[[], Held], name: str) -> None:
        self._make = make
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._held: Held | None = None
        self._pid = 0
        self._closed = False

    def wait(self, work: Callable[[Held], Coroutine[Any, Any, T]]) -> T:
        """What `work` comes to. Raises `Unavailable` when closed before, `Uncertain` when closed meanwhile."""
        future = self.begin(work)
        try:
            return future.result()
        except FutureCancelled:
            raise Uncertain("The transport was closed before the provider's answer.") from None
        except BaseException:
            future.cancel()  # an interrupt in this thread; a no-op when the work itself raised
            raise

    def begin(self, work: Callable[[Held], Coroutine[Any, Any, T]]) -> Future[T]:
        """Has `work` done on the loop. Raises `Unavailable` when closed."""
        with self._lock:  # so that `close` comes before or after, never between
            if self._closed:
                raise Unavailable("The transport is closed; the message has not left.")
            held, loop = self._running()
            return asyncio.run_coroutine_threadsafe(work(held), loop)

    def close(self) -> None:
        """Closes what it holds and ends the thread. A second time does nothing."""
        atexit.unregister(self.close)
        with self._lock:
            self._closed = True
            held, loop, thread = self._held, self._loop, self._thread
            self._held = self._loop = self._thread = None
        if held is None or loop is None or thread is None or self._pid != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(_close_and_drain(held), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _running(self) -> tuple[Held, asyncio.AbstractEventLoop]:
        if self._held is None or self._loop is None or self._pid != os.getpid():  # first use, or after a fork
            self._pid = os.getpid()
            self._held = self._make()
            self._loop = new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
            self._thread.start()
            atexit.register(self.close)
        return self._held, self._loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, for it is twice as fast; else asyncio's."""
    try:
        import uvloop  # here, because it costs 20 ms
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _close_and_drain(carrier: Closable) -> None:
    """Close, then let every submit that still waits learn of it."""
    await carrier.close()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    if waiting:
        _, stuck = await asyncio.wait(waiting, timeout=2.0)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


# The one request


class _Stale(Exception):
    """Every connection was closing, or something came in on it that nobody had asked for."""


class _Attempt:
    """One submit: whether its first byte has left, and hence what a failure means."""

    __slots__ = ("_before_write", "_veto", "written")

    def __init__(self, before_write: BeforeWrite | None) -> None:
        self.written = False
        self._before_write = before_write
        self._veto: Exception | None = None

    def begin(self) -> None:
        """The last line before the write. Raises, unchanged, what `before_write` raises."""
        if self._before_write is not None:
            try:
                self._before_write()
            except Exception as error:
                self._veto = error
                raise
        failpoints.hit("before_write")
        self.written = True

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


def _carry_locally(opened: AbstractContextManager[WriteLocal], body: bytes, attempt: _Attempt) -> Response:
    """Do what a local scheme says, under the same rule as the wire: open, then `before_write`, then write."""
    fields = json.loads(body)
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
