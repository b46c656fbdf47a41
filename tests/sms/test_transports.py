"""Exactly one request, whatever the other side does: against a real server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from paceline.sms import transports
from paceline.sms.errors import ProviderError, Refused, Throttled, Unavailable, Uncertain
from paceline.sms.messages import Accepted, Message, Request, Response
from paceline.sms.providers.base import Provider
from paceline.sms.providers.vonage import Vonage
from paceline.sms.transports import AsyncTransport, Transport

ACCEPTED = b'{"message_uuid": "u-1"}'
CANARIES = ("canary-secret", "canary-path", "2125550123", "canary-text", "canary-answer")
MESSAGE = Message("canary-text", "PACELINE", "+12125550123", "r-1")


class Carrier:
    """A server of raw bytes in its own thread. It keeps every request, then does what `behave` says.

    `behave(connection, count)` handles the count-th request (from 1) of all; `connected` counts connections.
    """

    def __init__(self, behave, tls: ssl.SSLContext | None = None, greeting: bytes = b"") -> None:
        self.behave = behave
        self.tls = tls
        self.greeting = greeting
        self.requests: list[bytes] = []
        self.serving: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self.connected = 0

    def __enter__(self) -> Carrier:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        start = asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.server = asyncio.run_coroutine_threadsafe(start, self.loop).result()
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *error) -> None:
        async def stop():
            await asyncio.sleep(0.01)  # for a connection that is just being accepted
            self.server.close()
            for task, writer in self.serving.items():
                task.cancel()
                with contextlib.suppress(AttributeError):  # Python 3.11.2: a lost TLS transport cannot even be closed
                    writer.transport.abort()
            await asyncio.gather(*self.serving, return_exceptions=True)
            await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self.serving[asyncio.current_task()] = writer
        writer.write(self.greeting)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head + body)
                if await self.behave(Connection(reader, writer), len(self.requests)) is CLOSE:
                    break
        writer.close()


CLOSE = object()


class Connection:
    """What a misbehaving server can do to a connection."""

    def __init__(self, reader, writer) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self, status: int, body: bytes = b"", headers: str = "") -> None:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def vonage(port: int, scheme: str = "http") -> Vonage:
    return Vonage(api_key="k", api_secret="canary-secret", base_url=f"{scheme}://127.0.0.1:{port}/canary-path")


class ByGet(Provider):
    """A provider that submits by GET, credentials in the address, as some still do."""

    name = "by_get"

    def __init__(self, port: int, method: str = "GET") -> None:
        self.port, self.method = port, method
        self.endpoint = f"http://127.0.0.1:{port}/"

    def build(self, message: Message) -> Request:
        url = f"http://127.0.0.1:{self.port}/canary-path?key=canary-secret&to={message.number.lstrip('+')}"
        return Request(self.method, url)

    def read(self, response: Response) -> Accepted:
        if response.status != 200:
            raise Uncertain("not read")
        return Accepted("u-1")


def submit_all(provider: Provider, messages: int = 1, pause: float = 0.0, **options) -> list:
    """Submit one after another through one transport; the results, or the errors in their place."""

    async def run() -> list:
        results = []
        async with AsyncTransport(**options) as transport:
            for count in range(messages):
                if count and pause:
                    await asyncio.sleep(pause)
                try:
                    results.append(await transport.submit(provider, MESSAGE))
                except ProviderError as error:
                    results.append(error)
        return results

    return asyncio.run(run())


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# What the server does


async def accept(connection, count):
    await connection.answer(202, ACCEPTED)


async def hang(connection, count):
    await asyncio.sleep(60)


async def reset(connection, count):
    connection.reset()
    return CLOSE


async def hang_up(connection, count):
    return CLOSE


async def garbage(connection, count):
    await connection.send(b"\x00\xffcanary-answer\r\n\r\nno HTTP at all\r\n\r\n")
    return CLOSE


async def bad_header(connection, count):
    await connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: canary-answer\r\n\r\n" + ACCEPTED)
    return CLOSE


async def cut_short(connection, count):
    await connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n" + ACCEPTED)
    return CLOSE


async def stall_in_body(connection, count):
    await connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n" + ACCEPTED)
    await asyncio.sleep(60)


async def stall_in_header(connection, count):
    await connection.send(b"HTTP/1.1 202 Acc")
    await asyncio.sleep(60)


async def no_answer_in_yes(connection, count):
    await connection.answer(202, b"canary-answer")


async def server_error(connection, count):
    await connection.answer(500, b"canary-answer")


async def bad_gateway(connection, count):
    await connection.answer(502, ACCEPTED)


AFTER_THE_WRITE = [hang, reset, hang_up, garbage, bad_header, cut_short, stall_in_body, stall_in_header]
AFTER_THE_WRITE += [no_answer_in_yes, server_error, bad_gateway]


# Exactly one request


def test_accepted_message_is_one_request():
    """The fresh connection: one request, as the provider built it."""
    with Carrier(accept) as carrier:
        (result,) = submit_all(vonage(carrier.port))

    assert result == Accepted("u-1")
    assert len(carrier.requests) == 1
    head, _, body = carrier.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /canary-path/v1/messages HTTP/1.1\r\n")
    assert head.lower().count(b"content-length:") == 1
    assert b"\r\nContent-Type: application/json" in head
    assert json.loads(body)["client_ref"] == "r-1"


def test_connection_is_used_again():
    """Three messages, three requests, one connection."""
    with Carrier(accept) as carrier:
        results = submit_all(vonage(carrier.port), 3)

    assert results == [Accepted("u-1")] * 3
    assert (len(carrier.requests), carrier.connected) == (3, 1)


def test_connection_opened_ahead_is_the_one_that_the_submit_uses():
    """`connect` writes nothing; the submit behind it needs no new connection. With nobody there it is silent."""

    async def run(provider):
        async with AsyncTransport() as transport:
            await transport.connect(provider)
            await transport.connect(vonage(closed_port()))
            await asyncio.sleep(0.05)
            written_before = len(carrier.requests)
            return written_before, await transport.submit(provider, MESSAGE)

    with Carrier(accept) as carrier:
        written_before, accepted = asyncio.run(run(vonage(carrier.port)))

    assert written_before == 0
    assert isinstance(accepted, Accepted)
    assert (carrier.connected, len(carrier.requests)) == (1, 1)


@pytest.mark.parametrize(("method", "opened"), [("POST", 1), ("GET", 3)])
def test_connections_opened_ahead_are_those_that_the_submits_use(method, opened):
    """One serves every POST; each GET has its own, over which nothing had gone before."""

    async def run(port):
        provider = ByGet(port, method)
        async with AsyncTransport() as transport:
            await transport.connect(provider, 3)
            await transport.connect(provider, 3)  # there they are
            await asyncio.sleep(0.02)
            ahead = carrier.connected
            for _ in range(3):
                await transport.submit(provider, MESSAGE)
            return ahead

    async def answer(connection, count):
        await connection.answer(200)

    with Carrier(answer) as carrier:
        assert asyncio.run(run(carrier.port)) == opened

    assert (len(carrier.requests), carrier.connected) == (3, opened)


def test_connection_that_the_server_closed_while_idle_costs_nothing():
    """The next message takes a fresh one: no message is uncertain for it, none is sent twice."""

    async def answer_then_close(connection, count):
        await connection.answer(202, ACCEPTED)
        return CLOSE

    with Carrier(answer_then_close) as carrier:
        results = submit_all(vonage(carrier.port), 3, pause=0.05)

    assert results == [Accepted("u-1")] * 3
    assert (len(carrier.requests), carrier.connected) == (3, 3)


def test_connection_that_idled_too_long_is_not_used_again(monkeypatch):
    """The other side may be closing it just then."""
    monkeypatch.setattr(transports, "IDLE_SECONDS", 0.05)
    with Carrier(accept) as carrier:
        results = submit_all(vonage(carrier.port), 2, pause=0.2)

    assert results == [Accepted("u-1")] * 2
    assert (len(carrier.requests), carrier.connected) == (2, 2)


def test_connection_lost_on_reuse_is_uncertain_and_not_repeated():
    """A kept-alive connection that dies under the second request: libraries repeat here, we do not."""

    async def first_only(connection, count):
        if count == 1:
            return await connection.answer(202, ACCEPTED)
        return CLOSE

    with Carrier(first_only) as carrier:
        results = submit_all(vonage(carrier.port), 2)

    assert results[0] == Accepted("u-1")
    assert type(results[1]) is Uncertain
    assert len(carrier.requests) == 2


def test_answer_that_nobody_asked_for_is_never_taken_for_an_answer():
    """A server that says 422 into an idle connection: the next message goes over another one."""

    async def accept_and_mutter(connection, count):
        await connection.answer(202, ACCEPTED)
        await asyncio.sleep(0.05)
        await connection.answer(422, b"canary-answer")

    with Carrier(accept_and_mutter) as carrier:
        results = submit_all(vonage(carrier.port), 2, pause=0.2)

    assert results == [Accepted("u-1")] * 2
    assert (len(carrier.requests), carrier.connected) == (2, 2)


@pytest.mark.parametrize("end", ["cancelled", "timed out"])
def test_late_answer_is_not_the_next_messages(end):
    """Who no longer waits for an answer takes its connection out of use."""

    async def late(connection, count):
        await asyncio.sleep(0.4 if count == 1 else 0)
        await connection.answer(202, b'{"message_uuid": "u-%d"}' % count)

    async def run(port):
        written = asyncio.Event()
        async with AsyncTransport(total_seconds=0.3) as transport:
            submit = asyncio.create_task(transport.submit(vonage(port), MESSAGE, before_write=written.set))
            await written.wait()
            await asyncio.sleep(0.05)
            if end == "cancelled":
                submit.cancel()
            (ended,) = await asyncio.gather(submit, return_exceptions=True)
            return ended, await transport.submit(vonage(port), MESSAGE)

    with Carrier(late) as carrier:
        ended, accepted = asyncio.run(run(carrier.port))

    assert type(ended) is (asyncio.CancelledError if end == "cancelled" else Uncertain)
    assert accepted == Accepted("u-2")
    assert (len(carrier.requests), carrier.connected) == (2, 2)


def test_connection_opened_ahead_is_replaced_before_it_is_too_old(monkeypatch):
    """Half of the time that one may idle has passed: `connect` opens another, for a slot that is still to come."""
    monkeypatch.setattr(transports, "IDLE_SECONDS", 1.0)

    async def run(provider):
        async with AsyncTransport() as transport:
            connected = []
            for pause in (0.0, 0.6):
                await asyncio.sleep(pause)
                await transport.connect(provider)
                await transport.connect(provider)
                await asyncio.sleep(0.02)
                connected.append(carrier.connected)
            await transport.submit(provider, MESSAGE)
            return connected, carrier.connected

    with Carrier(accept) as carrier:
        assert asyncio.run(run(vonage(carrier.port))) == ([1, 2], 2)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status):
    """The target sees nothing; the message is uncertain."""
    with Carrier(accept) as target:

        async def redirect(connection, count):
            await connection.answer(status, b"", f"Location: http://127.0.0.1:{target.port}/v1/messages\r\n")

        with Carrier(redirect) as carrier:
            (result,) = submit_all(vonage(carrier.port))

    assert type(result) is Uncertain
    assert (len(carrier.requests), target.connected) == (1, 0)


@pytest.mark.parametrize("behave", AFTER_THE_WRITE)
def test_failure_after_the_write_is_uncertain(behave):
    """Time-out, reset, end, garbage, 5xx: one request arrived, and nobody knows what became of it."""
    with Carrier(behave) as carrier:
        (result,) = submit_all(vonage(carrier.port), total_seconds=0.3)
        time.sleep(0.05)

    assert type(result) is Uncertain
    assert len(carrier.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("behave", [accept, reset, hang_up, garbage])
def test_repeatable_method_is_not_repeated_either(method, behave):
    """HTTP allows it, an SMS does not: one request, on a connection of its own."""
    with Carrier(behave) as carrier:
        submit_all(ByGet(carrier.port, method), 2)
        time.sleep(0.05)

    assert (len(carrier.requests), carrier.connected) == (2, 2)
    assert all(b"connection: close\r\n" in request.lower() for request in carrier.requests)


def test_repeatable_method_shares_its_connection_with_nobody():
    """It neither takes one that stands idle nor leaves one behind, nor its address, which often names the person."""

    async def answer(connection, count):
        await connection.answer(200)

    async def run(port):
        connected = []
        async with AsyncTransport() as transport:
            for method in ("GET", "POST", "GET", "POST"):
                await transport.submit(ByGet(port, method), MESSAGE)
                connected.append(carrier.connected)
            return connected, [key[0] for key in transport._heads]

    with Carrier(answer) as carrier:
        assert asyncio.run(run(carrier.port)) == ([1, 2, 3, 3], ["POST"])


def test_provider_is_asked_what_a_definite_no_means():
    """The status, lower-case header names and the body reach it."""

    async def slow_down(connection, count):
        await connection.answer(429, b"{}", "Retry-After: 7\r\n")

    with Carrier(slow_down) as carrier:
        (result,) = submit_all(vonage(carrier.port))

    assert type(result) is Throttled
    assert result.retry_after == 7


def test_early_hint_is_not_the_answer():
    """A 1xx comes before the answer, not instead of it."""

    async def hint(connection, count):
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await connection.answer(202, ACCEPTED)

    with Carrier(hint) as carrier:
        assert submit_all(vonage(carrier.port)) == [Accepted("u-1")]


def test_endless_answer_is_read_up_to_a_limit():
    """And its connection is not used again."""
    seen = []

    class Measuring(ByGet):
        def read(self, response):
            seen.append(len(response.body))
            return Accepted("u-1")

    async def endless(connection, count):
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                await connection.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await asyncio.sleep(60)

    with Carrier(endless) as carrier:
        submit_all(Measuring(carrier.port, "POST"), 2, total_seconds=5)

    assert seen == [transports.BODY_LIMIT] * 2
    assert carrier.connected == 2


def test_cookies_are_neither_kept_nor_sent():
    """No message depends on the one before."""

    async def bake(connection, count):
        await connection.answer(202, ACCEPTED, "Set-Cookie: a=b\r\n")

    with Carrier(bake) as carrier:  # by name: cookie jars keep nothing for a bare address anyway
        submit_all(Vonage(api_key="k", api_secret="s", base_url=f"http://localhost:{carrier.port}"), 2)

    assert [b"cookie" in request.lower() for request in carrier.requests] == [False, False]


def test_proxy_in_the_environment_is_not_used(monkeypatch):
    """Messages and credentials go where the settings say."""
    with Carrier(accept) as proxy, Carrier(accept) as carrier:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        submit_all(vonage(carrier.port))

    assert (len(carrier.requests), proxy.connected) == (1, 0)


# Before the write


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/x\r\nX-Canary: canary-secret", {}),
        ("/x canary-path", {}),
        ("/x", {"X": "canary-secret\r\nX-Canary: y"}),
        ("/x", {"X": "canary-secret\ud800"}),
    ],
)
def test_line_break_in_address_or_header_goes_nowhere(path, headers):
    """Nobody can slip in a header or a second request; the error does not quote it."""
    with Carrier(accept) as carrier:
        provider = vonage(carrier.port)
        provider.build = lambda message: Request("POST", f"http://127.0.0.1:{carrier.port}{path}", headers, b"{}")
        (result,) = submit_all(provider)

    assert type(result) is Unavailable
    assert carrier.connected == 0
    assert [canary for canary in CANARIES if canary in everything_that(result)] == []


def test_refused_connection_is_unavailable():
    """It certainly never left."""
    (result,) = submit_all(vonage(closed_port()))

    assert type(result) is Unavailable


def test_unknown_host_is_unavailable():
    """So did this one."""
    (result,) = submit_all(Vonage(api_key="k", api_secret="s", base_url="http://nowhere.invalid"))

    assert type(result) is Unavailable


def test_tls_against_a_plain_port_is_unavailable():
    """The handshake fails before a byte of the request."""
    with Carrier(accept, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as carrier:
        (result,) = submit_all(vonage(carrier.port, "https"))

    assert type(result) is Unavailable
    assert carrier.requests == []


def test_certificate_that_nobody_vouches_for_is_unavailable(tmp_path):
    """Certificates are checked; the credentials stay with us."""
    with Carrier(accept, tls=self_signed(tmp_path)) as carrier:
        (result,) = submit_all(vonage(carrier.port, "https"))

    assert type(result) is Unavailable
    assert carrier.requests == []


def self_signed(folder, host: str = "127.0.0.1") -> ssl.SSLContext:
    """A server's side of TLS, for this host; its certificate is in `server.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    alternative = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_handshake_that_hangs_is_unavailable():
    """Within `connect_seconds`."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        (result,) = submit_all(vonage(silent.getsockname()[1], "https"), connect_seconds=0.2)

    assert type(result) is Unavailable
    assert time.monotonic() - started < 3


def test_waiting_in_vain_for_a_free_connection_is_unavailable():
    """`connections` is a limit: what found no place in time has not left."""

    async def run(port):
        async with AsyncTransport(connections=1, connect_seconds=0.1, total_seconds=0.5) as transport:
            submits = [transport.submit(vonage(port), MESSAGE) for _ in range(2)]
            return await asyncio.gather(*submits, return_exceptions=True)

    with Carrier(hang) as carrier:
        results = asyncio.run(run(carrier.port))

    assert [type(result) for result in results] == [Uncertain, Unavailable]
    assert len(carrier.requests) == 1


@pytest.mark.parametrize("error", [RuntimeError("too late"), ConnectionResetError("mine"), TimeoutError("mine")])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_before_write_may_hold_a_message_back(method, error):
    """Its exception comes out as it is, not a byte arrives, and the connection serves the next message."""

    async def run(port):
        def veto():
            raise error

        provider = ByGet(port, method)
        async with AsyncTransport() as transport:
            for _ in range(2):
                with pytest.raises(type(error)) as raised:
                    await transport.submit(provider, MESSAGE, before_write=veto)
                assert raised.value is error
                assert raised.value.__cause__ is None
            assert carrier.requests == []
            return await transport.submit(provider, MESSAGE)

    async def answer(connection, count):
        await connection.answer(200)

    with Carrier(answer) as carrier:
        assert asyncio.run(run(carrier.port)) == Accepted("u-1")

    assert len(carrier.requests) == 1
    assert carrier.connected == 1


def test_before_write_is_called_once_when_the_connection_stands():
    """The server has seen the connection, and not yet a byte."""
    seen = []

    async def run(port):
        async with AsyncTransport() as transport:
            for _ in range(2):
                await transport.submit(
                    vonage(port),
                    MESSAGE,
                    before_write=lambda: (time.sleep(0.05), seen.append((carrier.connected, len(carrier.requests)))),
                )

    with Carrier(accept) as carrier:
        asyncio.run(run(carrier.port))

    assert seen == [(1, 0), (1, 1)]


@pytest.mark.parametrize("behave", [*AFTER_THE_WRITE, "refused"])
def test_before_write_is_called_at_most_once_whatever_happens(behave):
    """And not at all when there is no connection: then nothing has to be settled."""
    called = []

    async def run(provider):
        async with AsyncTransport(total_seconds=0.3) as transport:
            for method in (provider, ByGet(provider_port)):
                with contextlib.suppress(ProviderError):
                    await transport.submit(method, MESSAGE, before_write=lambda: called.append(1))

    if behave == "refused":
        provider_port = closed_port()
        asyncio.run(run(vonage(provider_port)))
        assert called == []
    else:
        with Carrier(behave) as carrier:
            provider_port = carrier.port
            asyncio.run(run(vonage(provider_port)))
        assert called == [1, 1]
        assert len(carrier.requests) == 2


# The caller's own doings


def test_cancellation_comes_out_as_cancellation():
    """The caller settles: it knows from `before_write` whether the message may have left."""

    async def run(port):
        written = asyncio.Event()
        async with AsyncTransport() as transport:
            task = asyncio.create_task(transport.submit(vonage(port), MESSAGE, before_write=written.set))
            await written.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with Carrier(hang) as carrier:
        asyncio.run(run(carrier.port))

    assert len(carrier.requests) == 1


def test_closing_the_transport_settles_what_waits():
    """As uncertain, if it was written; and takes nothing more."""

    async def run(port):
        written = asyncio.Event()
        transport = AsyncTransport()
        task = asyncio.create_task(transport.submit(vonage(port), MESSAGE, before_write=written.set))
        await written.wait()
        await transport.close()
        with pytest.raises(Uncertain):
            await asyncio.wait_for(task, 2)
        with pytest.raises(Unavailable):
            await transport.submit(vonage(port), MESSAGE)

    with Carrier(hang) as carrier:
        asyncio.run(run(carrier.port))


def test_many_at_once_under_uvloop_are_one_request_each():
    """The loop that the dispatcher runs on: 300 messages, 64 in flight, each once, on kept-alive connections."""
    messages = [Message("Hi", "PACELINE", "+12125550123") for _ in range(300)]

    async def run(port):
        waiting = iter(messages)
        async with AsyncTransport(connections=64) as transport:

            async def lane():
                for message in waiting:
                    await transport.submit(vonage(port), message)

            await asyncio.gather(*(lane() for _ in range(64)))

    with Carrier(accept) as carrier:
        uvloop.run(run(carrier.port))

    sent = [json.loads(request.partition(b"\r\n\r\n")[2])["client_ref"] for request in carrier.requests]
    assert sorted(sent) == sorted(message.reference for message in messages)
    assert carrier.connected <= 64


# Bugs in a provider file


class Buggy(ByGet):
    """Raises something unknown at one end."""

    def __init__(self, port: int, end: str) -> None:
        super().__init__(port, "POST")
        self.end = end

    def build(self, message):
        if self.end == "build":
            raise KeyError("canary-secret")
        return super().build(message)

    def read(self, response):
        raise ValueError("canary-answer")


@pytest.mark.parametrize(("end", "reaction"), [("build", Unavailable), ("read", Uncertain)])
def test_bug_in_a_provider_is_named_by_its_place(end, reaction):
    """Not by its text, which may quote the message. Before the write it never left, after it nobody knows."""
    with Carrier(accept) as carrier:
        (result,) = submit_all(Buggy(carrier.port, end))

    assert type(result) is reaction
    assert "test_transports.py:" in str(result)
    assert "canary" not in everything_that(result)


def test_refusal_while_building_comes_out_and_nothing_is_sent():
    """A text that the provider never takes needs no request."""
    with Carrier(accept) as carrier, Transport() as transport, pytest.raises(Refused):
        transport.submit(vonage(carrier.port), Message("x" * 1001, "PACELINE", "+12125550123"))

    assert carrier.connected == 0


# Secrets


def everything_that(error: BaseException) -> str:
    """All that a log, a traceback or an error tracker would show of an exception and what it drags along."""
    shown, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        shown += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("behave", [*AFTER_THE_WRITE, "refused", "plain port", "unknown host", "bad address"])
def test_no_error_tells_a_secret(behave, method, caplog):
    """Neither address, header, body, number nor answer, in the error, its causes or the log."""
    with Carrier(behave if callable(behave) else accept) as carrier:
        port = closed_port() if behave == "refused" else carrier.port
        provider = vonage(port, "https" if behave == "plain port" else "http") if method == "POST" else ByGet(port)
        if behave in ("unknown host", "bad address"):
            host = "canary-path.invalid" if behave == "unknown host" else "[canary-path"
            provider.build = lambda message: Request(method, f"http://{host}/?key=canary-secret")
        (result,) = submit_all(provider, total_seconds=0.3)

    shown = everything_that(result) + "".join(traceback.format_exception(result)) + caplog.text
    assert isinstance(result, Unavailable if isinstance(behave, str) and method == "POST" else ProviderError)
    assert [canary for canary in CANARIES if canary in shown] == []


# The sync twin


def test_sync_transport_serves_several_threads():
    """One background thread, one request per message."""
    messages = [Message("Hi", "PACELINE", "+12125550123") for _ in range(40)]
    with Carrier(accept) as carrier, Transport() as transport, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda message: transport.submit(vonage(carrier.port), message), messages))

    assert results == [Accepted("u-1")] * 40
    sent = [json.loads(request.partition(b"\r\n\r\n")[2])["client_ref"] for request in carrier.requests]
    assert sorted(sent) == sorted(message.reference for message in messages)
    assert carrier.connected <= 8


def test_sync_transport_raises_the_same_errors():
    """And what `before_write` raises, unchanged."""
    error = RuntimeError("too late")

    def veto():
        raise error

    with Carrier(server_error) as carrier, Transport() as transport:
        with pytest.raises(Uncertain):
            transport.submit(vonage(carrier.port), MESSAGE)
        with pytest.raises(Unavailable):
            transport.submit(vonage(closed_port()), MESSAGE)
        with pytest.raises(RuntimeError) as raised:
            transport.submit(vonage(carrier.port), MESSAGE, veto)

    assert raised.value is error
    assert len(carrier.requests) == 1


def test_closing_the_sync_transport_frees_who_waits():
    """A submit under way in another thread becomes uncertain; later ones never leave. Closing twice is fine."""
    written = threading.Event()
    threads = threading.active_count()
    with Carrier(hang) as carrier, ThreadPoolExecutor(1) as pool:
        transport = Transport()
        waiting = pool.submit(transport.submit, vonage(carrier.port), MESSAGE, written.set)
        assert written.wait(5)
        transport.close()
        transport.close()

        with pytest.raises(Uncertain):
            waiting.result(timeout=5)
        with pytest.raises(Unavailable):
            transport.submit(vonage(carrier.port), MESSAGE)

    assert threading.active_count() == threads


def test_sync_transport_without_a_submit_starts_no_thread():
    """It costs nothing to have one."""
    threads = threading.active_count()
    with Transport():
        assert threading.active_count() == threads


def test_import_stays_cheap():
    """cryptography and PyJWT are loaded when they are first needed, aiohttp never."""
    code = (
        "import sys, paceline.sms.transports, paceline.sms.providers.vonage\n"
        "print([name for name in ('aiohttp', 'jwt', 'cryptography', 'django') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"


# Asking


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_asking_returns_the_answer_whatever_its_status(method):
    """A look-up is a plain request: what the answer means, the provider's file says."""

    async def not_found(connection, count):
        await connection.answer(404, b"nobody", "X-Seen: yes\r\n")

    with Carrier(not_found) as carrier, Transport() as transport:
        answer = transport.ask(Request(method, f"http://127.0.0.1:{carrier.port}/canary-path?key=canary-secret"))

    assert (answer.status, answer.body, answer.headers["x-seen"]) == (404, b"nobody", "yes")
    assert len(carrier.requests) == 1


@pytest.mark.parametrize("behave", [hang, reset, hang_up, garbage, cut_short, stall_in_header])
def test_asking_without_an_answer_is_uncertain(behave, caplog):
    """It went out, once; it may be asked again. No secret in the error."""
    with Carrier(behave) as carrier, Transport(total_seconds=0.3) as transport, pytest.raises(Uncertain) as raised:
        transport.ask(Request("GET", f"http://127.0.0.1:{carrier.port}/canary-path?key=canary-secret"))

    assert len(carrier.requests) == 1
    assert [canary for canary in CANARIES if canary in everything_that(raised.value) + caplog.text] == []


def test_asking_nobody_is_unavailable():
    """It did not get through at all; nor does it through a closed transport."""
    transport = Transport()
    with pytest.raises(Unavailable) as raised:
        transport.ask(Request("GET", f"http://127.0.0.1:{closed_port()}/canary-path?key=canary-secret"))
    transport.close()
    with pytest.raises(Unavailable):
        transport.ask(Request("GET", "http://127.0.0.1:1/"))

    assert [canary for canary in CANARIES if canary in everything_that(raised.value)] == []
