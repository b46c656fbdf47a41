"""Does our HTTP client stay whole for minutes beside a carrier that does everything wrong? Memory, files, duplicates.

    ./run bench soak [--quick]        five minutes, or twenty seconds

The client is the dispatcher's (`AsyncTransport`), in a process of its own, about a thousand submits a second in bursts
with rests between, so that connections idle until somebody closes them. The carrier resets, goes away in the middle of
an answer or just after it, answers in drops, twice, with nonsense, unasked, or never, and for
moments takes no connection. A row is a fifth of the time: it
is well when `rss_mb` and `fds` (the most that were open) stay where they were. The last row holds what each submit was
told against what the carrier has counted: `twice` is what it has read more than once, `phantom` what we call accepted
and it has not read, `denied` what we call not sent and it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sys
import time
import urllib.request
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
from bench import harness
from bench.harness import Row, Sample

from paceline.sms import errors
from paceline.sms.messages import Message
from paceline.sms.providers.vonage import Vonage
from paceline.sms.transports import AsyncTransport

SECONDS, QUICK_SECONDS = 300.0, 20.0
PARTS = 5
AT_ONCE = 100
BETWEEN_SECONDS = 0.08  # from an answer to the next submit of the same of `AT_ONCE`, on the average
BURST_SECONDS, REST_SECONDS = 6.0, 3.5  # a rest is longer than the client keeps an idle connection
TOTAL_SECONDS = 1.5  # the time-out of a submit, short so that there are many
TEXT = "Your table is ready. Reply STOP to opt out."

SAID = b'{"message_uuid":"00000000000000000000000000000000"}'
GOOD = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(SAID), SAID)
CHUNKED = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SAID), SAID)
MISDEEDS = {
    "good": 60,
    "slow": 8,
    "drops": 3,
    "chunked": 3,
    "says close": 4,
    "closes after": 4,
    "closes idle": 4,
    "speaks unasked": 2,
    "answers twice": 1,
    "garbage": 2,
    "endless head": 1,
    "half": 2,
    "reset": 3,
    "5xx": 2,
    "never": 1,
}
"""What becomes of a request, in shares. The carrier has counted it in every case."""
LISTENS_SECONDS, DEAF_SECONDS = 14.0, 0.5
"""In between it takes no new connection, and nothing has left."""

REFERENCE = re.compile(rb'"client_ref": ?"([0-9a-f]{32})"')
ACCEPTED, UNSENT, UNCERTAIN = b"aun"


def rows(quick: bool) -> list[Row]:
    seconds = QUICK_SECONDS if quick else SECONDS
    with harness.scratch() as folder, harness.start("soak", "carrier") as carrier:
        try:
            assert carrier.stdout is not None
            url = f"http://127.0.0.1:{carrier.stdout.readline().strip()}"
            with harness.start("soak", "client", url, seconds, folder / "told") as client:
                output, _ = client.communicate(timeout=seconds + 60)
            if client.returncode:
                raise RuntimeError(f"The client ended with {client.returncode}")
            counted = _counted(url)
        finally:
            carrier.kill()
        found = [Sample(**each) for each in json.loads(output.splitlines()[-1])]
        return [*_parts(found, seconds), _whole(found, (folder / "told").read_bytes(), counted)]


def _counted(url: str) -> list[int]:
    """How often the carrier has read each submit, by its number."""
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:  # noqa: S310 our own carrier, perhaps deaf just now
            return list(json.load(answer))
        time.sleep(DEAF_SECONDS)


def _parts(found: list[Sample], seconds: float) -> list[Row]:
    step = seconds / len(found)
    return [harness.row(f"{n * step:.0f} to {(n + 1) * step:.0f} s", [sample]) for n, sample in enumerate(found)]


def _whole(found: list[Sample], told: bytes, counted: list[int]) -> Row:
    """What the client was told, against what the carrier has counted."""
    counted += [0] * (len(told) - len(counted))
    pairs = list(zip(told, counted, strict=True))
    notes = {
        "requests": sum(counted),
        "accepted": told.count(ACCEPTED),
        "uncertain": told.count(UNCERTAIN),
        "not_sent": told.count(UNSENT),
        "twice": sum(count > 1 for count in counted),
        "phantom": sum(word == ACCEPTED and not count for word, count in pairs),
        "denied": sum(word == UNSENT and count > 0 for word, count in pairs),
    }
    seconds, cpu = sum(each.seconds for each in found), sum(each.cpu_seconds for each in found)
    return harness.row("the whole", [Sample(len(told), seconds, cpu, max(each.peak_mb for each in found), notes)])


# --- the client, in a process of its own ----------------------------------------------------------------------


def client(url: str, seconds: str, path: str) -> None:
    told = bytearray()  # a letter for each submit: a book that grows less than a client that leaks
    samples = uvloop.run(_soak(url, float(seconds), told))
    Path(path).write_bytes(told)
    print(json.dumps([asdict(each) for each in samples]), flush=True)


async def _soak(url: str, seconds: float, told: bytearray) -> list[Sample]:
    provider = Vonage(api_key="key", api_secret="secret", base_url=url)  # noqa: S106 for our own carrier
    began = time.monotonic()
    limits: Any = {"connect_seconds": TOTAL_SECONDS, "total_seconds": TOTAL_SECONDS}
    async with AsyncTransport(connections=AT_ONCE, **limits) as wire, asyncio.TaskGroup() as group:
        for n in range(AT_ONCE):
            group.create_task(_submits(wire, provider, told, began, seconds, random.Random(n)))  # noqa: S311
        watching = [group.create_task(_watched(told, began, seconds / PARTS, part)) for part in range(PARTS)]
    return [each.result() for each in watching]


async def _submits(
    wire: AsyncTransport, provider: Vonage, told: bytearray, began: float, seconds: float, rng: random.Random
) -> None:
    while (at := time.monotonic() - began) < seconds:
        if at % (BURST_SECONDS + REST_SECONDS) > BURST_SECONDS:
            await asyncio.sleep(0.1)
            continue
        number = len(told)
        told.append(UNCERTAIN)
        message = Message(text=TEXT, sender="+12025550100", number="+12025550101", reference=f"{number:032x}")
        try:
            await wire.submit(provider, message)
            told[number] = ACCEPTED
        except errors.Unavailable:
            told[number] = UNSENT
        except errors.Uncertain:
            pass
        await asyncio.sleep(rng.expovariate(1 / BETWEEN_SECONDS))


async def _watched(told: bytearray, began: float, step: float, part: int) -> Sample:
    """One part of the time: how many submits, and the most memory and files that were held."""
    await asyncio.sleep(max(0.0, began + part * step - time.monotonic()))
    first, cpu, rss, files = len(told), time.process_time(), 0.0, 0
    while (left := began + (part + 1) * step - time.monotonic()) > 0:
        await asyncio.sleep(min(0.25, left))
        rss, files = max(rss, _rss_mb()), max(files, len([*Path("/proc/self/fd").iterdir()]))
    notes = {"rss_mb": round(rss, 1), "fds": files}
    return Sample(len(told) - first, step, time.process_time() - cpu, harness.peak_mb(), notes)


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


# --- the carrier ----------------------------------------------------------------------------------------------


class Misbehaving(asyncio.Protocol):
    """One connection to the carrier; `counted` is what all of them have read, by the number in the reference."""

    counted = array("L")
    rng = random.Random(1)  # noqa: S311

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP it is
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if (end := self.buffer.find(b"\r\n\r\n")) < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
        if head.startswith(b"get "):
            told = json.dumps(list(self.counted)).encode()
            self.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
            return
        found = REFERENCE.search(body)
        assert found is not None
        number = int(found[1], 16)
        self.counted.extend([0] * (number + 1 - len(self.counted)))
        self.counted[number] += 1
        (how,) = self.rng.choices([*MISDEEDS], [*MISDEEDS.values()])
        asyncio.get_running_loop().call_later(self.rng.uniform(0.001, 0.03), self.answer, how)

    def answer(self, how: str) -> None:
        later = asyncio.get_running_loop().call_later
        match how:
            case "good":
                self.say(GOOD)
            case "slow":
                later(self.rng.uniform(0.2, 2 * TOTAL_SECONDS), self.say, GOOD)
            case "drops":
                for n in range(len(GOOD)):
                    later(0.005 * n, self.say, GOOD[n : n + 1])
            case "chunked":
                self.say(CHUNKED)
            case "says close":
                self.say(GOOD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                self.transport.close()
            case "closes after":
                self.say(GOOD)
                self.transport.close()
            case "closes idle":
                self.say(GOOD)
                later(self.rng.uniform(0.0, REST_SECONDS), self.transport.close)
            case "speaks unasked":
                self.say(GOOD)
                later(self.rng.uniform(0.0, 0.1), self.say, GOOD)
            case "answers twice":
                self.say(GOOD + GOOD)
            case "garbage":
                self.say(b"\x16\x03\x01 what is this\r\n\r\n" * self.rng.randrange(1, 20))
            case "endless head":
                self.say(b"HTTP/1.1 202 Accepted\r\n" + b"X-More: and more\r\n" * 8000)
            case "half":
                self.say(GOOD[: self.rng.randrange(len(GOOD) - 1)])
                self.transport.close()
            case "reset":
                self.transport.abort()
            case "5xx":
                self.say(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    def say(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


async def _carry() -> None:
    """Listens, and now and then does not for a while."""
    loop, port = asyncio.get_running_loop(), 0
    while True:
        server = await loop.create_server(Misbehaving, "127.0.0.1", port, backlog=1024)
        if not port:
            port = server.sockets[0].getsockname()[1]
            print(port, flush=True)
        await asyncio.sleep(LISTENS_SECONDS)
        server.close()
        await asyncio.sleep(DEAF_SECONDS)


def carrier() -> None:
    uvloop.run(_carry())


if __name__ == "__main__":
    role: Any = {"client": client, "carrier": carrier}[sys.argv[1]]
    role(*sys.argv[2:])
