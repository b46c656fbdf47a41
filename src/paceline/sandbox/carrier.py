"""How does the simulated carrier run? In a loop (`Carrier`), as a process (`run`), on a test's thread (`Running`)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from . import ledger
from .behaviour import Behaviour
from .book import FINAL, SUBMITTED, Book
from .door import Door
from .flags import flag
from .followups import Followups
from .ledger import Accept, Judgement
from .wires import Wire
from .wires.vonage import Vonage

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

BACKLOG = 1024
SHUTDOWN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where the carrier listens, what it writes and where its callbacks go."""

    host: str = flag("127.0.0.1", "Address to listen on")
    port: int = flag(0, "Port to listen on; 0 picks a free one")
    ledger: str = flag("sandbox-ledger.jsonl", "The log of what was accepted and reported; kept over restarts")
    status_url: str = flag("", "Where delivery reports go; without it there are none")
    inbound_url: str = flag("", "Where replies go; without it nobody replies")
    keep_alive: float = flag(75.0, "Seconds after which a client's idle connection is closed")


class Carrier:
    """One carrier in a running loop."""

    def __init__(self, behaviour: Behaviour, wire: Wire, wiring: Wiring) -> None:
        self._behaviour = behaviour
        self._wire = wire
        self._wiring = wiring

    async def start(self) -> str:
        """Listens, takes up what the log still owes and returns the URL.

        Raises OSError, with a sentence, when the port is taken or a file cannot be opened.
        """
        self._wire.check()
        wiring = self._wiring
        self._book = Book(wiring.ledger, wiring.status_url, SUBMITTED | FINAL if self._wire.reports_handover else FINAL)
        self._followups = Followups(self._behaviour, self._wire, self._book, wiring.status_url, wiring.inbound_url)
        self._door = Door(self._behaviour, self._wire, self._book, self._followups)
        server = web.Server(self._door.handle, access_log=None, keepalive_timeout=wiring.keep_alive)
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, wiring.host, wiring.port, backlog=BACKLOG).start()
        except OSError as error:
            await self.stop()
            if error.errno != errno.EADDRINUSE:
                raise
            sentence = f"Port {wiring.port} on {wiring.host} is taken: choose another, or 0 for any free one"
            raise OSError(errno.EADDRINUSE, sentence) from error
        self._followups.resume()
        return f"http://{wiring.host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stops listening, finishes the answers under way, lets go of callbacks: the log knows them."""
        self._door.close()
        await self._runner.cleanup()
        await self._followups.close()
        self._book.close()

    def change(self, behaviour: Behaviour) -> None:
        """Behaves otherwise from now on."""
        self._behaviour = self._door.behaviour = self._followups.behaviour = behaviour

    def state(self) -> dict[str, int]:
        """The counts of `/sandbox/state`."""
        return self._book.state()


def run(behaviour: Behaviour, wire: Wire, wiring: Wiring, announce: Callable[[str], None]) -> None:
    """Runs a carrier as this process until SIGTERM or Ctrl-C; `announce` gets its URL once it listens.

    Raises OSError, with a sentence, when it cannot start.
    """

    async def until_stopped() -> None:
        stopped = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stopped.set)
        carrier = Carrier(behaviour, wire, wiring)
        announce(await carrier.start())
        await stopped.wait()
        await carrier.stop()

    # A full collection over a million accepted messages would stall the stamps for longer than they are judged by.
    gc.set_threshold(gc.get_threshold()[0], gc.get_threshold()[1], 1_000_000)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(until_stopped())


class Running:
    """A carrier on a thread of this process, for tests: `with Running(Behaviour(...), ledger=path) as carrier:`

    `url` stays the same over `restart`. Raises OSError when it cannot start.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        ledger: Path | str,
        status_url: str = "",
        inbound_url: str = "",
        wire: Wire | None = None,
        port: int = 0,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.wire = wire or Vonage()
        self.ledger = Path(ledger)
        self.url = ""
        self._wiring = Wiring(port=port, ledger=str(ledger), status_url=status_url, inbound_url=inbound_url)

    def __enter__(self) -> Running:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the thread and returns when it listens."""
        self._listens = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._live, name="sandbox carrier", daemon=True)
        self._thread.start()
        self._listens.wait()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        """Stops as SIGTERM would; a second time does nothing."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # its loop ended by itself
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def restart(self) -> None:
        """Stops and starts again on the same port with the same log."""
        self.stop()
        self.start()

    def change(self, **changes: Any) -> None:
        """Other shares, times or lists from now on, by the names of `Behaviour`."""
        self.behaviour = replace(self.behaviour, **changes)
        self._loop.call_soon_threadsafe(self._carrier.change, self.behaviour)

    def state(self) -> dict[str, int]:
        """The counts of `/sandbox/state`."""
        return self._carrier.state()

    def settle(self, timeout_seconds: float = 10.0) -> dict[str, int]:
        """Waits until nothing is owed and returns the counts. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_seconds
        while (state := self.state())["owed"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Still owed after {timeout_seconds} s: {state}")
            time.sleep(0.01)
        return state

    def accepts(self) -> list[Accept]:
        """What the log says was accepted, in order."""
        return list(ledger.accepts(self.ledger))

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one kind, in order."""
        return [record for record in ledger.records(self.ledger) if record.get("event") == event]

    def judge(self) -> Judgement:
        """What the log proves."""
        return ledger.judge(self.accepts())

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            try:
                runner.run(self._until_stopped())
            except Exception as error:
                self._failure = error
            finally:
                self._listens.set()

    async def _until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._carrier = Carrier(self.behaviour, self.wire, self._wiring)
        self.url = await self._carrier.start()
        self._wiring = replace(self._wiring, port=int(self.url.rpartition(":")[2]))
        self._listens.set()
        await self._stopped.wait()
        await self._carrier.stop()
