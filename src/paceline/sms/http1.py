"""How does one request go over one HTTP/1.1 connection, and what comes back? As little as sending texts needs.

    prepare(request) ─▶ Pool.idle() or Pool.take() ─▶ Connection.exchange(bytes) ─▶ Response ─▶ Pool.release()

Nobody but the caller writes: head and body leave in one piece when `exchange` is called, and nothing is ever written
again for the same request. No redirect, no retry, no cookie, no proxy. An answer that is not exactly one answer by RFC
9112 is an error, and its connection is thrown away. Errors here quote neither address, header nor body.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .messages import Request, Response

HEAD_LIMIT = 64 * 1024
"""Status line and headers of an answer, hints before it included, end before this."""

RAW_LIMIT = 1024 * 1024
"""And so does the whole answer, with all that is wrapped around its body."""

NAME_SECONDS = 10.0
"""How long the addresses of a name are believed."""

NEXT_ADDRESS_SECONDS = 0.25
"""How long one address may take before the next is tried beside it (RFC 8305)."""

FAREWELL_SECONDS = 0.5
"""How long a closing connection may take to say goodbye."""

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that HTTP calls idempotent and others repeat on a stale connection. Here each gets a fresh one."""

WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that need not say that they have no body."""

FRAMING = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers about the connection and the body's length: ours to say, so a provider's are left out."""

USUAL = {"accept": "Accept: */*", "accept-encoding": "Accept-Encoding: identity", "user-agent": "User-Agent: Paceline"}
"""Said unless the provider says otherwise."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
ADDRESS = re.compile(r"(?P<scheme>(?i:https?))://(?P<authority>[!\"$-.0->@-~]+)(?P<target>(?:[/?#][!-~]*)?)", re.ASCII)
AUTHORITY = re.compile(r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]@:%\\]+))(?::(?P<port>[0-9]{0,5}))?")


class RequestUnfit(ValueError):
    """An address or header that no HTTP request can carry. Nothing was written."""


class PoolClosed(Exception):
    """The pool was closed first."""


class ConnectionLost(Exception):
    """It ended before the whole answer."""


class AnswerGarbled(Exception):
    """What came is not one HTTP answer."""


class AddressBarred(Exception):
    """The name leads where no connection may go."""


class Origin(NamedTuple):
    """Where a connection leads."""

    tls: bool
    host: str
    port: int


class Prepared(NamedTuple):
    """A request's address and head, which are the same for many messages. Both may carry credentials."""

    origin: Origin
    head: bytes
    has_length: bool
    fresh: bool
    without_body: bool

    def __repr__(self) -> str:
        return "Prepared(…)"

    def with_body(self, body: bytes) -> bytes:
        """The whole request: `head` ends where the length belongs."""
        return b"%b%d\r\n\r\n%b" % (self.head, len(body), body) if self.has_length else self.head


def prepare(request: Request) -> Prepared:
    """Everything of a request but its body, path and query letter by letter as the provider wrote them.

    Raises `RequestUnfit` for what is no http(s) address of plain ASCII, has a user name in it, or would break out of
    its header.
    """
    method = request.method.upper()
    origin, host, target = _address(request.url)
    headers = _headers(request)
    given = {name.lower() for name, _ in headers}
    fresh = method in REPEATABLE
    has_length = bool(request.body) or method not in WITHOUT_LENGTH
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [line for name, line in USUAL.items() if name not in given]
    if fresh:
        lines.append("Connection: close")
    lines.append("Content-Length: " if has_length else "\r\n")
    return Prepared(origin, "\r\n".join(lines).encode(), has_length, fresh, method == "HEAD")


def origin_of(url: str) -> Origin:
    """Where an address leads. Raises `RequestUnfit`."""
    return _address(url)[0]


def _address(url: str) -> tuple[Origin, str, str]:
    """Where it leads, what the Host header says, and the request's target."""
    found = ADDRESS.fullmatch(url)
    authority = AUTHORITY.fullmatch(found["authority"]) if found else None
    if not found or not authority or int(authority["port"] or 1) not in range(1, 65536):
        raise RequestUnfit
    tls = found["scheme"].lower() == "https"
    usual_port = 443 if tls else 80
    host = (authority["literal"] or authority["host"]).lower()
    port = int(authority["port"] or usual_port)
    shown = f"[{host}]" if authority["literal"] else host
    target = found["target"].partition("#")[0]
    return (
        Origin(tls, host, port),
        shown if port == usual_port else f"{shown}:{port}",
        target if target.startswith("/") else "/" + target,
    )


def _headers(request: Request) -> list[tuple[str, str]]:
    kept = []
    if not TOKEN.fullmatch(request.method):
        raise RequestUnfit
    for name, value in request.headers.items():
        if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise RequestUnfit
        if name.lower() not in FRAMING:
            kept.append((name, value))
    return kept


# One connection


class Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    __slots__ = (
        *("_answer", "_body", "_done", "_final", "_full", "_garbled", "_headers", "_is_kept", "_limit", "_loop"),
        *("_on_lost", "_open", "_parser", "_received", "_size", "_status", "_transport", "_without_body"),
        *("idle_since", "is_used", "origin"),
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, limit: int, on_lost: Callable[[Connection], None]
    ) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.is_used = False
        self._loop = loop
        self._limit = limit
        self._on_lost = on_lost
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._open = False
        self._is_kept = True
        self._begin(without_body=False)

    def __repr__(self) -> str:
        return f"<Connection {'open' if self._open else 'closed'}>"

    @property
    def is_usable(self) -> bool:
        """Whether a request may be written: nothing under way, nothing unasked-for come in, nobody closing it."""
        transport = self._transport
        return (
            self._open
            and self._is_kept
            and self._answer is None
            and transport is not None
            and not transport.is_closing()
        )

    def exchange(self, data: bytes, *, without_body: bool = False) -> asyncio.Future[Response]:
        """Writes `data`, now. The future has the answer, its body cut at the limit.

        It raises `ConnectionLost` or `AnswerGarbled`, or what `end` is given. When it is cancelled, close the
        connection. `without_body` is for HEAD.
        """
        transport = self._transport
        if transport is None:
            raise ConnectionLost
        self._begin(without_body=without_body)
        self.is_used = True
        self._answer = answer = self._loop.create_future()
        transport.write(data)
        return answer

    def _begin(self, *, without_body: bool) -> None:
        self._without_body = without_body
        self._done = self._final = self._full = self._garbled = False
        self._received = self._size = self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def end(self, error: Exception) -> None:
        """Closes it. What waits for its answer gets this error."""
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def close(self) -> None:
        self._open = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes it without a goodbye."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nobody had asked: it is no answer to what comes next
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._garbled = True
        self._received += len(data)
        if self._full:
            self._is_kept = False
            self._settle()
        elif self._garbled:
            self.end(AnswerGarbled())
        elif self._done:
            self._settle()
        elif self._received > (RAW_LIMIT if self._final else HEAD_LIMIT):
            self.end(AnswerGarbled())

    def eof_received(self) -> None:
        self._open = False
        lasts_to_the_end = "content-length" not in self._headers and "transfer-encoding" not in self._headers
        if self._answer is not None and self._final and lasts_to_the_end:
            self._settle()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None  # on Python 3.11.2 a lost TLS transport cannot even be closed
        self.end(ConnectionLost())
        self._on_lost(self)

    def _settle(self) -> None:
        answer, self._answer = self._answer, None
        if self._transport is None or self._transport.get_write_buffer_size():
            self._is_kept = False
        if answer is None or answer.done():
            return
        try:
            body = _decoded(b"".join(self._body), self._headers, self._limit)
        except zlib.error:
            self._is_kept = False
            answer.set_exception(AnswerGarbled())
            return
        answer.set_result(Response(self._status, self._headers, body))

    # What the parser says

    def on_message_begin(self) -> None:
        if self._done:
            self._garbled = True  # a second answer behind the first: which of them is ours?
        else:
            self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._final:  # what a chunked body has behind it is none
            self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "surrogateescape").strip(" \t")

    def on_headers_complete(self) -> None:
        if self._done:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:  # a hint; for the parser a 101 is the end of HTTP
            return
        self._final = True
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._garbled = True
        if self._without_body:
            self._done = True
            self._is_kept = False

    def on_body(self, data: bytes) -> None:
        if self._done or self._full:
            return
        self._body.append(data)
        self._size += len(data)
        self._full = self._size >= self._limit

    def on_message_complete(self) -> None:
        if self._final and not self._done:
            self._done = True
            self._is_kept = self._parser.should_keep_alive()


def _decoded(body: bytes, headers: dict[str, str], limit: int) -> bytes:
    """The body, cut at the limit, unpacked where a server packs it though asked not to."""
    if headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, limit)
    return body[:limit]


# All connections


class Pool:
    """At most `limit` connections, wherever they lead, kept for `idle_seconds`. For one event loop.

    Whoever finds none free waits for their turn; what cancels them costs nobody a place. `allows` is asked about each
    address that a name resolves to; one that is not allowed, and nothing is connected to.
    """

    def __init__(
        self, *, limit: int, idle_seconds: float, body_limit: int, allows: Callable[[str], bool] | None = None
    ) -> None:
        self._allows = allows
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._body_limit = body_limit
        self._places = 0  # taken: by open connections, idle ones too, and by those being opened
        self._idle: dict[Origin, list[Connection]] = {}  # the longest idle first
        self._waiting: deque[tuple[Origin | None, asyncio.Future[Connection | None]]] = deque()
        self._connections: set[Connection] = set()
        self._names: dict[tuple[str, int], tuple[float, asyncio.Task[list[_Address]]]] = {}
        self._deadlines: dict[Connection, float] = {}
        self._bell: asyncio.TimerHandle | None = None
        self._bell_at = float("inf")
        self._tidying: asyncio.TimerHandle | None = None
        self._all_lost: asyncio.Future[None] | None = None
        self._closed = False

    def idle(self, origin: Origin, *, fresh: bool = False) -> Connection | None:
        """A connection that stands ready, if there is one: the last that came back; `fresh`: that nobody has used."""
        connections = self._idle.get(origin)
        if not connections:
            return None
        oldest = time.monotonic() - self._idle_seconds
        at = len(connections)
        while at:
            at -= 1
            if fresh and connections[at].is_used:
                continue
            connection = connections.pop(at)
            if connection.is_usable and connection.idle_since >= oldest:
                return connection
            self._drop(connection)
        return None

    def ready(self, origin: Origin, *, fresh: bool = False) -> int:
        """How many connections stand idle, and will for half of their time; `fresh`: that nobody has used."""
        newest = time.monotonic() - self._idle_seconds / 2
        return sum(
            each.is_usable and each.idle_since >= newest and not (fresh and each.is_used)
            for each in self._idle.get(origin, ())
        )

    async def take(self, origin: Origin, *, fresh: bool = False) -> Connection:
        """A connection, an idle one if there is one; `fresh`: that nobody has used. Give it back by `release`.

        Raises `PoolClosed`, and what connecting raises. Bound it in time; it may be cancelled.
        """
        return self.idle(origin, fresh=fresh) or await self.open(origin, fresh=fresh)

    async def open(self, origin: Origin, *, fresh: bool = True) -> Connection:
        """A new connection; unless `fresh`, one that somebody gives back meanwhile is as good. Else as `take`."""
        self._check_open()
        if self._places < self._limit:
            self._places += 1
        elif not self._evict():
            given = await self._turn(None if fresh else origin)
            if given is not None:
                return given
        try:
            return await self._connect(origin)
        except BaseException:
            self._leave()
            raise

    def release(self, connection: Connection, *, keep: bool = True) -> None:
        """Takes a connection back: to the next who waits, or among the idle ones, or closes it."""
        self._deadlines.pop(connection, None)
        if self._closed or not keep or not connection.is_usable:
            self._drop(connection)
            return
        while self._waiting:
            origin, turn = self._waiting.popleft()
            if turn.done():
                continue
            if origin == connection.origin:
                turn.set_result(connection)
            else:
                connection.close()
                turn.set_result(None)
            return
        connection.idle_since = time.monotonic()
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._tidying is None:
            self._tidying = self._loop.call_later(self._idle_seconds, self._tidy)

    def expect(self, connection: Connection, deadline: float) -> None:
        """Ends a connection with `TimeoutError` at a moment of `time.monotonic`, unless it is released before."""
        self._deadlines[connection] = deadline
        if deadline < self._bell_at:
            self._ring_at(deadline)

    async def close(self) -> None:
        """Closes all. Exchanges under way raise `ConnectionLost`, who waits for a connection gets `PoolClosed`."""
        self._closed = True
        for timer in (self._bell, self._tidying):
            if timer is not None:
                timer.cancel()
        for _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(PoolClosed())
        for _, lookup in self._names.values():
            lookup.cancel()
        for connection in list(self._connections):
            connection.end(ConnectionLost())
        if self._connections:
            self._all_lost = self._loop.create_future()
            await asyncio.wait([self._all_lost], timeout=2 * FAREWELL_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        self._idle.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise PoolClosed

    # Places

    async def _turn(self, origin: Origin | None) -> Connection | None:
        """Waits for a connection to `origin`, or for a place to open one (None)."""
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append((origin, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:  # it came just then
                connection = turn.result()
                if connection is not None:
                    self.release(connection)
                else:
                    self._leave()
            raise

    def _leave(self) -> None:
        """A place is free: the next who waits may have it."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._places -= 1

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._leave()

    def _evict(self) -> bool:
        """Closes the connection that has idled longest; its place is the caller's. False when none is idle."""
        idle = [connections for connections in self._idle.values() if connections]
        if not idle:
            return False
        min(idle, key=lambda connections: connections[0].idle_since).pop(0).close()
        return True

    def _tidy(self) -> None:
        """Closes what has idled too long, and looks again while anything is idle."""
        self._tidying = None
        oldest = time.monotonic() - self._idle_seconds
        for origin, connections in list(self._idle.items()):
            ready = [each for each in connections if each.is_usable and each.idle_since >= oldest]
            for each in set(connections).difference(ready):
                self._drop(each)
            if ready:
                self._idle[origin] = ready
            else:
                del self._idle[origin]
        if self._idle:
            self._tidying = self._loop.call_later(self._idle_seconds, self._tidy)

    # Deadlines: one timer for all, which rings at the first of them and seldom in vain

    def _ring_at(self, moment: float) -> None:
        if self._bell is not None:
            self._bell.cancel()
        self._bell_at = moment
        self._bell = self._loop.call_later(max(0.01, moment - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._bell, self._bell_at = None, float("inf")
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[connection]
                connection.end(TimeoutError())
        if self._deadlines:
            self._ring_at(min(self._deadlines.values()))

    # Connecting

    async def _connect(self, origin: Origin) -> Connection:
        tls: dict[str, Any] = {}
        if origin.tls:
            tls = {"ssl": _tls(), "server_hostname": origin.host.rstrip("."), "ssl_shutdown_timeout": FAREWELL_SECONDS}
        connection = Connection(self._loop, origin, self._body_limit, self._lost)
        if _is_literal(origin.host):
            self._check_allowed([origin.host])
            await self._loop.create_connection(lambda: connection, origin.host, origin.port, **tls)
        else:
            addresses = await self._look_up(origin)
            self._check_allowed([address.where[0] for address in addresses])
            sock = await _first_to_connect(self._loop, addresses)
            await self._loop.create_connection(lambda: connection, sock=sock, **tls)
        if connection.is_usable:
            self._connections.add(connection)
        try:
            self._check_open()
        except PoolClosed:
            connection.abort()
            raise
        return connection

    def _check_allowed(self, addresses: list[str]) -> None:
        if self._allows is not None and not all(map(self._allows, addresses)):
            raise AddressBarred

    async def _look_up(self, origin: Origin) -> list[_Address]:
        """The addresses of a name. Who asks for it at the same time shares the look-up."""
        key = origin.host, origin.port
        asked_at, lookup = self._names.get(key, (0.0, None))
        if lookup is None or time.monotonic() - asked_at > NAME_SECONDS or (lookup.done() and _has_failed(lookup)):
            lookup = self._loop.create_task(_addresses(self._loop, *key))
            lookup.add_done_callback(_has_failed)
            self._names[key] = time.monotonic(), lookup
        return await asyncio.shield(lookup)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)


class _Address(NamedTuple):
    family: int
    where: tuple[str, int] | tuple[str, int, int, int]


def _is_literal(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, UnicodeError):
            continue
        return True
    return False


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[_Address]:
    """What a name resolves to: the system's order, families in turn (RFC 8305, 4)."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    all_of_them = list(dict.fromkeys(_Address(family, where) for family, _, _, _, where in found))  # type: ignore[arg-type]
    if not all_of_them:
        raise OSError("no address")
    preferred = [each for each in all_of_them if each.family == all_of_them[0].family]
    others = [each for each in all_of_them if each.family != all_of_them[0].family]
    return [each for each in chain.from_iterable(zip_longest(preferred, others)) if each is not None]


def _has_failed(lookup: asyncio.Task[list[_Address]]) -> bool:
    return lookup.cancelled() or lookup.exception() is not None


async def _first_to_connect(loop: asyncio.AbstractEventLoop, addresses: list[_Address]) -> socket.socket:
    """The first address to answer wins; the next is tried when one fails or takes long. Raises the last's OSError."""
    left = deque(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError()
    try:
        while left or trying:
            if left:
                trying.add(loop.create_task(_connected(loop, left.popleft())))
            done, trying = await asyncio.wait(
                trying, timeout=NEXT_ADDRESS_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            winner: socket.socket | None = None
            for task in done:
                error = task.exception()
                if error is not None:
                    failure = error
                elif winner is None:
                    winner = task.result()
                else:
                    task.result().close()
            if winner is not None:
                return winner
        raise failure
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_close_unused)


def _close_unused(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio: no delay, if it says TCP
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address.where)
    except BaseException:
        sock.close()
        raise
    return sock


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's certificates, and no way around them."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
