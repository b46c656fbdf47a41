"""One request, one answer, on raw bytes: what is written, what counts as an answer, whose turn it is."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import time

import pytest
import uvloop

from paceline.sms import http1
from paceline.sms.http1 import (
    AnswerGarbled,
    Connection,
    ConnectionLost,
    Origin,
    Pool,
    PoolClosed,
    RequestUnfit,
    prepare,
)
from paceline.sms.messages import Request

from .test_transports import CLOSE, Carrier, accept, hang, self_signed

BODY_LIMIT = 1000
REQUEST = Request("POST", "http://127.0.0.1/x", {}, b"{}")


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    """Both event loops."""
    return request.param


def pool(limit: int = 10, idle_seconds: float = 3.0) -> Pool:
    return Pool(limit=limit, idle_seconds=idle_seconds, body_limit=BODY_LIMIT)


def local(port: int) -> Origin:
    return Origin(False, "127.0.0.1", port)


@contextlib.asynccontextmanager
async def closing(connections: Pool):
    try:
        yield connections
    finally:
        await connections.close()


# What is written


class Recorder(asyncio.Transport):
    """The event loop's end of a connection, on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data):
        self.writes.append(data)

    def is_closing(self):
        return False


def test_head_and_body_are_one_write():
    """Nothing can come between them."""

    async def exchange():
        recorder = Recorder()
        connection = Connection(asyncio.get_running_loop(), local(80), BODY_LIMIT, lambda lost: None)
        connection.connection_made(recorder)
        connection.exchange(prepare(REQUEST).with_body(REQUEST.body))
        return recorder.writes

    assert asyncio.run(exchange()) == [
        b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        b"User-Agent: Paceline\r\nContent-Length: 2\r\n\r\n{}"
    ]


@pytest.mark.parametrize(
    ("url", "origin", "host", "target"),
    [
        ("http://example.org", Origin(False, "example.org", 80), "example.org", "/"),
        ("HTTPS://Example.ORG/a", Origin(True, "example.org", 443), "example.org", "/a"),
        ("http://example.org:80/", Origin(False, "example.org", 80), "example.org", "/"),
        ("https://example.org:80/", Origin(True, "example.org", 80), "example.org:80", "/"),
        ("https://localhost:8443?q=1", Origin(True, "localhost", 8443), "localhost:8443", "/?q=1"),
        ("http://[2001:DB8::1]:81/a", Origin(False, "2001:db8::1", 81), "[2001:db8::1]:81", "/a"),
        ("http://h/%7Ea%2fb/../c;d?x=%2B+1&y=a|b?#f", Origin(False, "h", 80), "h", "/%7Ea%2fb/../c;d?x=%2B+1&y=a|b?"),
    ],
)
def test_address_is_taken_letter_by_letter(url, origin, host, target):
    """Nothing is quoted again or put in order: some providers sign the address. A fragment stays here."""
    prepared = prepare(Request("POST", url, {}, b"{}"))

    assert prepared.origin == origin
    assert prepared.head.startswith(f"POST {target} HTTP/1.1\r\nHost: {host}\r\n".encode())


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://h/a b", {}),
        ("http://h/a\r\nX: y", {}),
        ("http://h/a\tb", {}),
        ("http://h/\x00", {}),
        ("http://h/ü", {}),
        ("http://h\r\nX: y/", {}),
        ("\nhttp://h/", {}),
        ("http://user:secret@h/", {}),
        ("http://[::1/", {}),
        ("http://h:0/", {}),
        ("http://h:65536/", {}),
        ("http://h:１/", {}),
        ("http:///x", {}),
        ("ftp://h/", {}),
        ("http\u017f://h/", {}),
        ("h/x", {}),
        ("", {}),
        ("http://h/", {"X": "a\r\nY: b"}),
        ("http://h/", {"X": "a\nY: b"}),
        ("http://h/", {"X": "a\x00"}),
        ("http://h/", {"X: y\r\nZ": "a"}),
        ("http://h/", {"": "a"}),
    ],
)
def test_what_would_break_out_of_its_line_is_refused(url, headers):
    """Before anything is written, and without quoting it."""
    with pytest.raises(RequestUnfit) as raised:
        prepare(Request("POST", url, headers, b"{}"))

    assert str(raised.value) == ""


def test_method_with_a_line_break_is_refused():
    """It stands at the front of everything."""
    with pytest.raises(RequestUnfit):
        prepare(Request("GET / HTTP/1.1\r\nX:", "http://h/"))


def test_provider_speaks_for_itself_but_not_for_the_connection():
    """Its own Accept and Host count; the body's length and the connection's life are ours to say."""
    theirs = {"accept": "text/plain", "HOST": "other", "content-length": "9", "Connection": "keep-alive", "TE": "x"}
    theirs |= {"Transfer-Encoding": "chunked", "Expect": "100-continue"}

    whole = prepare(Request("POST", "http://h/", theirs)).with_body(b"").decode()

    assert whole == (
        "POST / HTTP/1.1\r\naccept: text/plain\r\nHOST: other\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: Paceline\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize("method", ["GET", "get", "HEAD", "PUT", "DELETE"])
def test_repeatable_method_says_that_it_closes(method):
    """Its connection is its own."""
    prepared = prepare(Request(method, "http://h/"))

    assert prepared.fresh
    assert b"\r\nConnection: close\r\n" in prepared.with_body(b"")
    assert (b"Content-Length" in prepared.head) == (method in ("PUT", "DELETE"))
    assert prepared.with_body(b"").endswith(b"\r\n\r\n")


def test_prepared_head_does_not_show_itself():
    """It carries the credentials."""
    prepared = prepare(Request("POST", "http://h/canary", {"Authorization": "canary"}))

    assert "canary" not in f"{prepared!r} {prepared}"


# What counts as an answer


def answer_to(run, raw: bytes, *, hangs_up: bool = False, piece: int = 0, method: str = "POST", again: bool = False):
    """What an exchange makes of these bytes, and whether its connection may be used again."""

    async def behave(connection, count):
        for at in range(0, len(raw), piece or len(raw)):
            await connection.send(raw[at : at + (piece or len(raw))])
            if piece:
                await asyncio.sleep(0.0005)
        return CLOSE if hangs_up else await asyncio.sleep(60)

    async def exchange(port):
        async with closing(pool()) as connections:
            connection = await connections.take(local(port))
            connections.expect(connection, time.monotonic() + 5)
            prepared = prepare(Request(method, "http://h/"))
            answer = await connection.exchange(prepared.with_body(b""), without_body=prepared.without_body)
            usable = connection.is_usable
            connections.release(connection)
            return answer, usable

    with Carrier(behave) as carrier:
        return run(exchange(carrier.port))


ANSWERS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y:  z \r\n\r\nok", b"ok", True),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "empty body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;a=b\r\nk\r\n0\r\n\r\n", b"ok", True),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Y: t\r\n\r\n", b"ok", True),
    "hints": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 H\r\nX: y\r\n\r\nHTTP/1.1 204 N\r\n\r\n", b"", True),
    "closing": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
    "old, kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    "too long": (b"HTTP/1.1 200 OK\r\nContent-Length: 1200\r\n\r\n" + b"x" * 1200, b"x" * BODY_LIMIT, False),
}


@pytest.mark.parametrize("piece", [0, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", ANSWERS)
def test_answer_of_every_shape(run, name, piece):
    """Its body, and whether the connection may be used again."""
    raw, body, usable = ANSWERS[name]
    if piece and len(raw) > 200:
        piece = 100

    answer, was_usable = answer_to(run, raw, piece=piece)

    assert (answer.body, was_usable) == (body, usable)
    assert answer.status in (200, 204)


def test_header_names_are_lower_case_and_a_trailer_is_no_header(run):
    """The last of two counts; values come without the white space around them."""
    answer, _ = answer_to(run, ANSWERS["length"][0])
    trailed, _ = answer_to(run, ANSWERS["trailer"][0])

    assert answer.headers == {"content-length": "2", "x-y": "z"}
    assert "x-y" not in trailed.headers


def test_body_that_ends_with_the_connection(run):
    """Without a length it is whole when the other side has said goodbye."""
    answer, usable = answer_to(run, b"HTTP/1.1 200 OK\r\n\r\nto the end", hangs_up=True)

    assert (answer.body, usable) == (b"to the end", False)


def test_body_packed_though_we_asked_not_to(run):
    """It is unpacked, up to the limit."""
    packed = gzip.compress(b"x" * 5000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)

    answer, _ = answer_to(run, head + packed)

    assert answer.body == b"x" * BODY_LIMIT
    with pytest.raises(AnswerGarbled):
        answer_to(run, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok")


def test_answer_to_head_has_no_body(run):
    """Whatever length it names."""
    answer, usable = answer_to(run, b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", method="HEAD")

    assert (answer.body, usable) == (b"", False)


GARBLED = {
    "no HTTP": b"hello\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length in words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok",
    "upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "upgrade by half": b"HTTP/1.1 101 Switching\r\n\r\n",
    "two answers": b"HTTP/1.1 204 N\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
    "something behind": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
    "something behind the close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok!",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (http1.HEAD_LIMIT + 1),
    "endless hints": b"HTTP/1.1 103 H\r\n\r\n" * (http1.HEAD_LIMIT // 18 + 1),
    "header without a name": b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
    "space in a name": b"HTTP/1.1 200 OK\r\nA b: x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBLED)
def test_what_is_not_one_answer_is_none(run, name):
    """No guess, and no more of that connection."""
    with pytest.raises(AnswerGarbled):
        answer_to(run, GARBLED[name])


@pytest.mark.parametrize("piece", [0, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_answer_that_breaks_off_is_none(run, raw, piece):
    """However much of it had come."""
    with pytest.raises(ConnectionLost):
        answer_to(run, raw, hangs_up=True, piece=piece)


def test_endless_wrapping_around_a_short_body_has_an_end(run):
    """Trailers without end fill no memory."""
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * (http1.RAW_LIMIT + 1)

    with pytest.raises(AnswerGarbled):
        answer_to(run, endless)


# Whose turn it is


def test_who_waits_gets_a_connection_in_order(run):
    """First come, first served, on the connection that came free; no second one is opened."""

    async def wait_in_line(port):
        served = []
        async with closing(pool(limit=1)) as connections:
            first = await connections.take(local(port))

            async def next_one(name):
                connection = await connections.take(local(port))
                served.append((name, connection is first))
                connections.release(connection)

            waiting = [asyncio.create_task(next_one(name)) for name in range(5)]
            await asyncio.sleep(0.01)
            connections.release(first)
            await asyncio.gather(*waiting)
        return served

    with Carrier(accept) as carrier:
        assert run(wait_in_line(carrier.port)) == [(name, True) for name in range(5)]

    assert carrier.connected == 1


@pytest.mark.parametrize("just_served", [False, True])
def test_who_gives_up_waiting_costs_nobody_a_place(run, just_served):
    """Neither while waiting nor in the moment when the turn came."""

    async def give_up(port):
        async with closing(pool(limit=1)) as connections:
            first = await connections.take(local(port))
            waiting = [asyncio.create_task(connections.take(local(port))) for _ in range(2)]
            await asyncio.sleep(0.01)
            if just_served:
                connections.release(first)
            waiting[0].cancel()
            if not just_served:
                await asyncio.sleep(0.01)
                connections.release(first)
            with pytest.raises(asyncio.CancelledError):
                await waiting[0]
            return await asyncio.wait_for(waiting[1], 5) is first

    with Carrier(accept) as carrier:
        assert run(give_up(carrier.port))


def test_broken_connection_leaves_its_place_to_the_next(run):
    """Who waits opens another one."""

    async def break_one(port):
        async with closing(pool(limit=1)) as connections:
            first = await connections.take(local(port))
            waiting = asyncio.create_task(connections.take(local(port)))
            await asyncio.sleep(0.01)
            connections.release(first, keep=False)
            second = await asyncio.wait_for(waiting, 5)
            return second is not first and second.is_usable

    with Carrier(accept) as carrier:
        assert run(break_one(carrier.port))


def test_connection_that_never_came_about_takes_no_place(run):
    """Refused, or given up while connecting: the next one may."""

    async def fail_then_work(port, silent):
        async with closing(pool(limit=1)) as connections:
            with socket.create_server(("127.0.0.1", 0)) as server:
                gone = server.getsockname()[1]
            with pytest.raises(OSError):
                await connections.take(local(gone))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connections.take(Origin(True, "127.0.0.1", silent)), 0.05)
            return (await asyncio.wait_for(connections.take(local(port)), 5)).is_usable

    with Carrier(accept) as carrier, socket.create_server(("127.0.0.1", 0)) as silent:
        assert run(fail_then_work(carrier.port, silent.getsockname()[1]))


def test_limit_counts_every_address(run):
    """What idles elsewhere makes room; what is in use does not, until it is done."""

    async def both(one, other):
        async with closing(pool(limit=1)) as connections:
            connections.release(await connections.take(local(one)))
            there = await connections.take(local(other))
            waiting = asyncio.create_task(connections.take(local(one)))
            await asyncio.sleep(0.01)
            early = waiting.done()
            connections.release(there)
            return early, (await asyncio.wait_for(waiting, 5)).origin == local(one), connections.idle(local(other))

    with Carrier(accept) as one, Carrier(accept) as other:
        assert run(both(one.port, other.port)) == (False, True, None)

    assert (one.connected, other.connected) == (2, 1)


def test_idle_connection_is_closed_in_the_end(run):
    """Though nobody asks for it again."""
    closed = []

    class Watching(Carrier):
        async def serve(self, reader, writer):
            closed.append(await reader.read() == b"")
            writer.close()

    async def idle(port):
        async with closing(pool(idle_seconds=0.05)) as connections:
            connections.release(await connections.take(local(port)))
            async with asyncio.timeout(5):
                while not closed:
                    await asyncio.sleep(0.01)

    with Watching(accept) as carrier:
        run(idle(carrier.port))

    assert closed == [True]


def test_connection_past_its_time_is_not_given_out(run):
    """Even in the moment before it is closed."""

    async def idle(port):
        async with closing(pool(idle_seconds=0.3)) as connections:
            first, second = [await connections.take(local(port)) for _ in range(2)]
            connections.release(first)
            await asyncio.sleep(0.2)
            connections.release(second)
            await asyncio.sleep(0.35)
            return connections.idle(local(port)), second.is_usable

    with Carrier(accept) as carrier:
        assert run(idle(carrier.port)) == (None, False)


def test_deadlines_are_each_connections_own(run):
    """The later request may have the earlier deadline; what was answered has none."""

    async def expire(port):
        async with closing(pool()) as connections:
            took = [await connections.take(local(port)) for _ in range(3)]
            answers = [connection.exchange(prepare(REQUEST).with_body(b"{}")) for connection in took]
            started = time.monotonic()
            for connection, seconds in zip(took, (0.2, 0.05, 0.1), strict=True):
                connections.expect(connection, started + seconds)
            order = []
            for count, answer in enumerate(answers):
                answer.add_done_callback(lambda done, count=count: order.append(count))
            errors = await asyncio.gather(*answers, return_exceptions=True)
            for connection in took:
                connections.release(connection)
            return order, [type(error) for error in errors], time.monotonic() - started >= 0.2

    with Carrier(hang) as carrier:
        assert run(expire(carrier.port)) == ([1, 2, 0], [TimeoutError] * 3, True)


def test_closed_pool_gives_nothing_out_and_lets_nobody_wait(run):
    """Who waits for an answer, for a turn and for a handshake learns of it."""

    async def close(port, silent):
        connections = pool(limit=2)
        connection = await connections.take(local(port))
        answer = connection.exchange(prepare(REQUEST).with_body(b"{}"))
        handshake = asyncio.create_task(connections.take(Origin(True, "127.0.0.1", silent.getsockname()[1])))
        turn = asyncio.create_task(connections.take(local(port)))
        await asyncio.sleep(0.02)
        await connections.close()
        silent.close()
        ends = await asyncio.wait_for(asyncio.gather(answer, handshake, turn, return_exceptions=True), 5)
        with pytest.raises(PoolClosed):
            await connections.take(local(port))
        return [type(end) for end in ends]

    with Carrier(hang) as carrier, socket.create_server(("127.0.0.1", 0)) as silent:
        ends = run(close(carrier.port, silent))

    assert (ends[0], ends[2]) == (ConnectionLost, PoolClosed)
    assert issubclass(ends[1], Exception)


# Connecting


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_small_requests_are_not_held_back(run, name):
    """Nagle's algorithm is off."""

    async def look(port):
        async with closing(pool()) as connections:
            connection = await connections.take(Origin(False, name, port))
            raw = connection._transport.get_extra_info("socket")
            return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    with Carrier(accept) as carrier:
        assert run(look(carrier.port))


@pytest.mark.parametrize("first", ["refuses", "is silent"])
def test_name_with_several_addresses(monkeypatch, first):
    """One that refuses or keeps silent is not the end: the next is tried."""

    async def look_up_and_take(port):
        async with closing(pool()) as connections:
            connection = await asyncio.wait_for(connections.take(Origin(False, "several.example", port)), 5)
            return connection.is_usable

    with Carrier(accept) as carrier, socket.socket() as other, contextlib.ExitStack() as callers:
        other.bind(("127.0.0.2", carrier.port))
        if first == "is silent":
            other.listen(0)
            for _ in range(3):  # its queue is full: more callers hear nothing
                caller = callers.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.2", carrier.port))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", carrier.port)) for n in (2, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
        assert asyncio.run(look_up_and_take(carrier.port))

    assert carrier.connected == 1


def test_families_take_turns(monkeypatch):
    """In the system's order, so that one broken family costs one try."""
    v6 = [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{n}", 80, 0, 0)) for n in (1, 2, 3)]
    v4 = [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: v6 + v4)

    async def look_up():
        return await http1._addresses(asyncio.get_running_loop(), "h", 80)

    assert [each.where[0] for each in asyncio.run(look_up())] == [
        "2001:db8::1",
        "192.0.2.1",
        "2001:db8::2",
        "2001:db8::3",
    ]


def test_name_is_looked_up_once_for_many(run, monkeypatch):
    """Many connections at once are one question; an answer that was none is asked again."""
    asked = []
    real = http1._addresses

    async def counted(*args):
        asked.append(args[1])
        return await real(*args)

    monkeypatch.setattr(http1, "_addresses", counted)

    async def many(port):
        async with closing(pool()) as connections:
            await asyncio.gather(*(connections.take(Origin(False, "localhost", port)) for _ in range(5)))
            for _ in range(2):
                with pytest.raises(OSError):
                    await connections.take(Origin(False, "nowhere.invalid", port))

    with Carrier(accept) as carrier:
        run(many(carrier.port))

    assert asked == ["localhost", "nowhere.invalid", "nowhere.invalid"]


def test_address_of_the_newer_kind(run):
    """IPv6, in brackets where the Host header names it."""
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 N\r\n\r\n")
        await reader.read()
        writer.close()

    async def exchange():
        try:
            server = await asyncio.start_server(serve, "::1", 0)
        except OSError:
            pytest.skip("no IPv6 here")
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with closing(pool()) as connections:
                prepared = prepare(Request("POST", f"http://[::1]:{port}/"))
                connection = await connections.take(prepared.origin)
                answer = await connection.exchange(prepared.with_body(b""))
            await asyncio.sleep(0.01)
        return answer.status, f"\r\nHost: [::1]:{port}\r\n".encode() in heard[0]

    assert run(exchange()) == (204, True)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_certificate_must_be_for_the_host(run, name, tmp_path, monkeypatch):
    """By name and by address; whoever vouches for another host has not vouched for this one."""
    context = self_signed(tmp_path, name)
    heard = []
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = lambda tls, host, context: heard.append(host)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    http1._tls.cache_clear()

    async def exchange(port):
        async with closing(pool()) as connections:
            connection = await connections.take(Origin(True, name, port))
            chosen = connection._transport.get_extra_info("ssl_object").selected_alpn_protocol()
            answer = await connection.exchange(prepare(REQUEST).with_body(b"{}"))
            connections.release(connection)
            with pytest.raises(ssl.SSLCertVerificationError):
                await connections.take(Origin(True, {"localhost": "127.0.0.1"}.get(name, "localhost"), port))
            return answer.status, chosen

    try:
        with Carrier(accept, tls=context) as carrier:
            assert run(exchange(carrier.port)) == (202, "http/1.1")
    finally:
        http1._tls.cache_clear()
    assert heard[0] == (None if name == "127.0.0.1" else name)
