"""How does a callback reach its server? When it is due, a bounded number at once, and again until it is taken.

Nothing here is remembered over a restart: what is owed stands in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import aiohttp
from yarl import URL

from .wires import Callback

CONNECTIONS = 32
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
TIMEOUT_SECONDS = 10.0
FAREWELL_SECONDS = 2.0


@dataclass(slots=True)
class Letter:
    """One webhook to be delivered. `write` makes it anew for each try, because a signature ages.

    `answered` hears every HTTP status that comes back. A letter sent `once` is not repeated.
    """

    write: Callable[[], Callback]
    answered: Callable[[int], None]
    once: bool = False
    tries: int = 0


def retry_delay(tries: int) -> float:
    """Seconds until the next try after so many: 0.2, 0.4, 0.8 … 5."""
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(tries - 1, 10), LONGEST_RETRY_SECONDS)


def session() -> aiohttp.ClientSession:
    """The client that all postboxes share: keep-alive, bounded, without cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
    )


class Postbox:
    """Callbacks to one server, at most `CONNECTIONS` of them under way."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._waiting: list[tuple[float, int, Letter]] = []
        self._numbers = count()  # letters due at the same moment leave in the order they came
        self._woken = asyncio.Event()
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed_until = 0.0
        self._unreachable = 0
        self._emptying = asyncio.create_task(self._empty())

    def put(self, due: float, letter: Letter) -> None:
        """Has the letter sent at `due` (epoch seconds), or at once when that is past."""
        heappush(self._waiting, (due, next(self._numbers), letter))
        if self._waiting[0][2] is letter:
            self._woken.set()

    def send(self, letter: Letter) -> asyncio.Task[None]:
        """Tries once, now, out of turn; what is not taken then is tried again later."""
        task = asyncio.create_task(self._carry(letter))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def close(self) -> None:
        """Sends nothing new and lets what is under way arrive; what was not taken stays owed."""
        self._emptying.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=FAREWELL_SECONDS)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(self._emptying, *self._under_way, return_exceptions=True)

    async def _empty(self) -> None:
        while True:
            await self._free.acquire()
            await self._until_due()
            self.send(heappop(self._waiting)[2]).add_done_callback(lambda _: self._free.release())

    async def _until_due(self) -> None:
        while True:
            self._woken.clear()
            alarm = None
            if self._waiting:
                seconds = max(self._waiting[0][0], self._closed_until) - time.time()
                if seconds <= 0:
                    return
                alarm = asyncio.get_running_loop().call_later(seconds, self._woken.set)
            await self._woken.wait()
            if alarm:
                alarm.cancel()

    async def _carry(self, letter: Letter) -> None:
        letter.tries += 1
        callback = letter.write()
        url = URL(callback.url, encoded=True)  # as it was signed, letter by letter
        taken = False
        try:
            async with self._client.request(
                callback.method, url, data=callback.body or None, headers=callback.headers, allow_redirects=False
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self._nobody_there()
        else:
            self._unreachable = 0
            taken = self._heard(letter, answer.status)
        if not taken and not letter.once:
            self.put(time.time() + retry_delay(letter.tries), letter)

    def _heard(self, letter: Letter, status: int) -> bool:
        """Whether the letter is done with: a 2xx that also stands in the log."""
        try:
            letter.answered(status)
        except OSError:  # the log is full, and what it does not say has not happened
            return False
        return 200 <= status < 300

    def _nobody_there(self) -> None:
        """No server: everything for it waits together, or ten thousand letters would knock in turn."""
        now = time.time()
        if now >= self._closed_until:
            self._unreachable += 1
            self._closed_until = now + retry_delay(self._unreachable)
