"""How many delivery reports does one web process take? Verified, stored and committed before each 200; then applied.

    ./run bench reports [--quick] [--json]

Each report is about a real message, signed as Vonage signs, over kept-alive connections from another process. Beside
it what people write: a Django view that checks the token with PyJWT, finds the message and saves it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pickle
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import HOME, Row, Sample

API_KEY, SECRET = "abcd1234", "not-a-secret-1" * 3
CONNECTIONS = 64
WARM = 200
STEADY = 500  # reports per second, for the latency
REPORTS, QUICK_REPORTS = 10_000, 1_000
STEADY_SECONDS, QUICK_STEADY_SECONDS = 5.0, 1.0
OURS, PLAIN = "paceline.project.asgi", "bench._plain_hook"
VARIANTS = {"paceline": OURS, "a view with PyJWT and save()": PLAIN}


def rows(quick: bool) -> list[Row]:
    """Reports per second of one web process, with the latency at 500/s beside; then the rate of their application."""
    variants: dict[str, Callable[[], Sample]] = {}
    applied: dict[str, list[Sample]] = {}
    for database, server in harness.databases(quick).items():
        for name, module in VARIANTS.items():
            into = applied.setdefault(f"paceline {database}, applied afterwards", []) if module == OURS else None
            variants[f"{name} {database}"] = partial(measure, server, module, quick, into)
    found = harness.medians(variants, harness.rounds(quick))
    return found + [harness.row(name, samples) for name, samples in applied.items()]


def measure(server: str | None, module: str, quick: bool, applied: list[Sample] | None = None) -> Sample:
    """One variant: as fast as it goes, then the latency at a steady rate, then the application of all of it."""
    reports = QUICK_REPORTS if quick or module != OURS else REPORTS
    steady = round(STEADY * (QUICK_STEADY_SECONDS if quick else STEADY_SECONDS))
    with ExitStack() as stack:
        account = {
            "VONAGE_API_KEY": API_KEY,
            "VONAGE_API_SECRET": "not-a-secret-0",
            "VONAGE_SIGNATURE_SECRET": SECRET,
        }
        environment = stack.enter_context(harness.installed(server, **account))
        folder = environment["PACELINE_DATA_DIR"]
        harness.child("reports", "prepare", folder, WARM + reports + steady, env=environment)
        with served(module, environment) as (port, pid):
            load(folder, port, 0, WARM, 0)
            cpu = cpu_seconds(pid)
            flood = load(folder, port, WARM, reports, 0)
            cpu = cpu_seconds(pid) - cpu
            calm = load(folder, port, WARM + reports, steady, STEADY)
            peak = max(map(harness.peak_mb, family(pid)))
        if applied is not None:
            applied.append(harness.child("reports", "apply", env=environment))
    return Sample(
        reports, flood.seconds, cpu, peak, {f"p50 ms at {STEADY}/s": calm.notes["p50"], "p99": calm.notes["p99"]}
    )


def load(folder: str, port: int, start: int, count: int, rate: int) -> Sample:
    """`count` of the prepared reports from number `start` on, `rate` per second or, with 0, as fast as it goes."""
    sample = harness.child("reports", "load", folder, port, start, count, rate)
    if sample.notes["refused"]:
        raise RuntimeError(f"{sample.notes['refused']} of {count} reports were not taken")
    return sample


@contextmanager
def served(module: str, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """One web process, as `paceline up` starts it; its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "paceline", "web", "--port", str(port)]
    if module != OURS:
        flags = "--interface wsgi --workers 1 --blocking-threads 8 --backpressure 256 --no-access-log"
        command = [sys.executable, "-m", "granian", f"{module}:application", *flags.split(), "--port", str(port)]
    with subprocess.Popen(command, cwd=HOME, env={**os.environ, **environment}, stdout=subprocess.DEVNULL) as process:  # noqa: S603 our own
        try:
            until_listening(port)
            yield port, process.pid
        finally:
            process.terminate()


def until_listening(port: int) -> None:
    give_up_at = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and everything it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    return sum(map(harness.cpu_seconds, family(pid)))


# Steps, each in a process of its own


def prepare(folder: str, count: int) -> None:
    """`count` messages that the provider has taken, and one signed report about each."""
    import django

    django.setup()
    from paceline.messaging import accounts, senders
    from paceline.messaging.models import TextMessage

    sender, _ = senders.add(accounts.get(), "+12065550100")
    requests = []
    for start in range(0, count, 500):
        part = [
            TextMessage(sender=sender, frm=sender.number, to="+12125550123", text="Hi", status="accepted")
            for _ in range(min(500, count - start))
        ]
        TextMessage.objects.bulk_create(part)
        requests += [signed_report(message.reference) for message in part]
    Path(folder, "requests").write_bytes(pickle.dumps(requests))
    harness.report(Sample(count, 1.0, 0.0, 0.0))


def signed_report(reference: str) -> bytes:
    """The whole HTTP request with which Vonage would say that a message was delivered."""
    return signed(
        "/webhooks/default/status",
        {
            "message_uuid": str(uuid.uuid4()),
            "to": "12125550123",
            "from": "12065550100",
            "timestamp": "2026-03-04T09:15:27Z",
            "channel": "sms",
            "client_ref": reference,
            "status": "delivered",
            "usage": {"price": "0.0450", "currency": "EUR"},
            "destination": {"network_code": "310004"},
            "sms": {"count_total": "1"},
        },
    )


def signed(path: str, says: dict[str, Any]) -> bytes:
    """The whole HTTP request of a webhook from Vonage, good for some minutes."""
    body = json.dumps(says).encode()
    claims = {
        "iss": "Vonage",
        "api_key": API_KEY,
        "iat": int(time.time()) + 120,
        "jti": str(uuid.uuid4()),
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    token = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), token.encode(), "sha256")).rstrip(b"=").decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"User-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer {token}.{signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


class Connection(asyncio.Protocol):
    """One kept-alive connection: sends a request, tells when its answer is there."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer, self.answer = transport, b"", None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(rest) >= length:
            self.buffer = rest[length:]
            self.answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError())

    async def ask(self, request: bytes) -> int:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


async def knock(
    requests: list[bytes], port: int, rate: int, answered: Callable[[bytes], None] = lambda request: None
) -> Sample:
    """All requests over the connections. With a rate each has its moment; its latency counts from that moment.

    `answered` is called with each request whose 200 is there, before anything else is done.
    """
    loop = asyncio.get_running_loop()
    connections: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        connections.put_nowait(connection)
    took: list[float] = []
    refused = 0
    began = time.perf_counter()

    async def one(request: bytes, due: float) -> None:
        nonlocal refused
        connection = await connections.get()
        status = await connection.ask(request)
        took.append(time.perf_counter() - due)
        if status == 200:
            answered(request)
        else:
            refused += 1
        connections.put_nowait(connection)

    async def flood(share: list[bytes]) -> None:
        for request in share:
            await one(request, time.perf_counter())

    if rate:
        tasks = []
        for n, request in enumerate(requests):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(one(request, began + n / rate)))
        await asyncio.gather(*tasks)
    else:
        await asyncio.gather(*(flood(requests[n::CONNECTIONS]) for n in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    took.sort()
    notes = {"refused": refused, "p50": ms(took[len(took) // 2]), "p99": ms(took[int(len(took) * 0.99)])}
    return Sample(len(requests), seconds, time.process_time(), harness.peak_mb(), notes)


def ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def apply() -> Sample:
    """Applies everything that was stored, as the dispatcher's chores do."""
    import django

    django.setup()
    from paceline.messaging import engine, events
    from paceline.messaging.models import Event, TextMessage

    stored = Event.objects.count()
    began, cpu = time.perf_counter(), time.process_time()
    while events.apply_due(engine.now()):
        pass
    sample = Sample(stored, time.perf_counter() - began, time.process_time() - cpu, harness.peak_mb())
    if TextMessage.objects.filter(status="delivered").count() != stored:
        raise RuntimeError("not every report was applied")
    return sample


def main(arguments: list[str]) -> None:
    match arguments:
        case ["prepare", folder, count]:
            prepare(folder, int(count))
        case ["load", folder, port, start, count, rate]:
            import uvloop

            requests = pickle.loads(Path(folder, "requests").read_bytes())[int(start) : int(start) + int(count)]  # noqa: S301
            harness.report(uvloop.run(knock(requests, int(port), int(rate))))
        case ["apply"]:
            harness.report(apply())


if __name__ == "__main__":
    main(sys.argv[1:])
