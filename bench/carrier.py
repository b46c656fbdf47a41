"""What do the senders of `bench send` send to? The lightest carrier: it reads a request, waits, and says 202.

python bench/carrier.py LATENCY_SECONDS        prints its port; GET / answers how many it took
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

BODY = b'{"message_uuid":"%032x"}'
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection; `taken` counts over all of them."""

    taken = 0
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
                self.answer(b"200 OK", b"%d" % Connection.taken)
                continue
            Connection.taken += 1
            body = BODY % Connection.taken
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.answer, b"202 Accepted", body)
            else:
                self.answer(b"202 Accepted", body)

    def answer(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(HEAD % (status, len(body)) + body)


async def main(latency: float) -> None:
    Connection.latency = latency
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
