"""What do the benches send to? The lightest carrier: it reads a request, waits, and says 202.

    python -m bench.carrier LATENCY_SECONDS [CORE]        prints its port

GET / answers how many it took, GET /stats when the first and the last came (monotonic clock, which all processes of a
machine share), GET /times when each did.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import uvloop
from bench import harness

BODY = b'{"message_uuid":"%032x"}'
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection; `times` are those of all of them."""

    times = array("d")
    latency = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP it is
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get "):
                self.answer(b"200 OK", self.told(head))
                continue
            Connection.times.append(monotonic())
            body = BODY % len(Connection.times)
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.answer, b"202 Accepted", body)
            else:
                self.answer(b"202 Accepted", body)

    def told(self, head: bytes) -> bytes:
        times = Connection.times
        if head.startswith(b"get /stats"):
            first, last = (times[0], times[-1]) if times else (0.0, 0.0)
            return json.dumps({"taken": len(times), "first_at": first, "last_at": last}).encode()
        if head.startswith(b"get /times"):
            return json.dumps(list(times)).encode()
        return b"%d" % len(times)

    def answer(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % (status, len(body)) + body)


async def main(latency: float) -> None:
    Connection.latency = latency
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- from the outside -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carrier:
    """A carrier that runs in a process of its own."""

    url: str

    def taken(self) -> int:
        return int(self._ask("/"))

    def times(self) -> list[float]:
        return list(self._ask("/times"))

    def span(self) -> tuple[int, float]:
        """(messages, seconds from the first to the last): a rate that no sender has claimed itself."""
        stats = self._ask("/stats")
        return stats["taken"], stats["last_at"] - stats["first_at"]

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path) as answer:  # noqa: S310 our own carrier
            return json.load(answer)


@contextmanager
def carrier(latency: float, core: int | None = None) -> Iterator[Carrier]:
    """A carrier that answers after `latency` seconds, on one core if that is given."""
    with harness.start("carrier", latency, *([] if core is None else [core])) as process:
        try:
            assert process.stdout is not None
            yield Carrier(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.kill()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        harness.pin(int(sys.argv[2]))
    uvloop.run(main(float(sys.argv[1])))
