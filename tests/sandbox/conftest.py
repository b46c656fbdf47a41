"""A raw client that submits to the carrier, and a receiver for what it calls back with."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from paceline.sandbox.wires.vonage import Vonage


@dataclass
class Answered:
    """What a submission came to: an HTTP answer, or the exception instead of one."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Webhook:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


class Receiver:
    """An HTTP server that keeps every webhook; `answer` says the status of each."""

    def __init__(self, port: int = 0) -> None:
        self.webhooks: list[Webhook] = []
        self.answer: Callable[[Webhook], int] = lambda _: 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook = Webhook(self.path, dict(self.headers), body, time.time())
                receiver.webhooks.append(webhook)
                self.send_response(receiver.answer(webhook))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # the default of 5 makes the kernel drop connections, for a second each

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.status_url = f"http://127.0.0.1:{self.port}/status"
        self.inbound_url = f"http://127.0.0.1:{self.port}/inbound"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def reports(self) -> list[Any]:
        return [each.json for each in self.webhooks if each.path == "/status"]

    @property
    def texts(self) -> list[Any]:
        return [each.json for each in self.webhooks if each.path == "/inbound"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    result = Receiver()
    yield result
    result.close()


def body(n: int = 0, **fields: Any) -> dict[str, Any]:
    """A request in order: the nth fictional recipient, the nth reference. None takes a field out."""
    whole = {
        "message_type": "text",
        "channel": "sms",
        "to": f"1{200 + n // 100}55501{n % 100:02}",
        "from": "12125550199",
        "text": f"Hello {n}",
        "client_ref": f"{n:032x}",
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


def basic(account: Vonage | None = None) -> str:
    account = account or Vonage()
    return "Basic " + b64encode(f"{account.api_key}:{account.api_secret}".encode()).decode()


def submit(url: str, *bodies: dict[str, Any] | bytes, timeout: float = 5.0, **headers: str) -> list[Answered]:
    """Submits all bodies at once, each exactly once; header names are given with underscores."""

    async def one(session: aiohttp.ClientSession, each: dict[str, Any] | bytes) -> Answered:
        data = each if isinstance(each, bytes) else json.dumps(each).encode()
        sent = {"Content-Type": "application/json", "Authorization": basic()}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            async with session.post(f"{url}/v1/messages", data=data, headers=sent, allow_redirects=False) as answer:
                return Answered(answer.status, await answer.read(), dict(answer.headers))
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answered(error=error)

    async def every() -> list[Answered]:
        limit = aiohttp.ClientTimeout(total=timeout)
        async with aiohttp.ClientSession(timeout=limit) as session:
            return await asyncio.gather(*(one(session, each) for each in bodies))

    return asyncio.run(every())


def get(url: str) -> Answered:
    """One GET."""

    async def fetch() -> Answered:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return Answered(answer.status, await answer.read(), dict(answer.headers))

    return asyncio.run(fetch())


@pytest.fixture
def client() -> SimpleNamespace:
    """The helpers of this module, by name."""

    return SimpleNamespace(body=body, basic=basic, submit=submit, get=get)


@pytest.fixture
def new_receiver() -> Iterator[Callable[[int], Receiver]]:
    """Opens receivers on a given port, when the test wants one to come (back) later."""
    opened: list[Receiver] = []

    def on_port(port: int) -> Receiver:
        opened.append(Receiver(port))
        return opened[-1]

    yield on_port
    for each in opened:
        each.close()
