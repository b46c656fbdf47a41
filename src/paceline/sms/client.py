"""How does a program send texts without any framework? `Client` for everything, `AsyncClient` for asyncio.

    with Client("vonage://KEY:SECRET@", frm="+12025550100") as client:
        client.send("Your table is ready", to="+12065550123")

Both carry each message with exactly one request at a time, and repeat it only when it certainly did not leave.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from . import bulk, numbers, pacing, segments
from .bulk import Plan, Run, WireRecord
from .errors import InvalidNumber, Refused, Throttled, Unavailable
from .messages import Accepted, Message
from .providers import Provider, from_url
from .results import Progress, Result
from .transports import AsyncTransport, Background

PROVIDER_VARIABLE = "PACELINE_PROVIDER"
SENDER_VARIABLE = "PACELINE_FROM"

Row = str | Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """A text that the provider took. `segments` is the provider's count, or ours where it names none."""

    reference: str
    provider_id: str
    segments: int
    number: str
    sender: str
    price: Decimal | None = None
    currency: str = ""


class AsyncClient:
    """Sends texts from asyncio code, within one event loop; an async context manager, or call `close`.

    `provider` is a provider's URL or object; without one the environment variable PACELINE_PROVIDER holds the URL.
    `frm` is the sender unless a call names another, else PACELINE_FROM. One pool of at most `connections`. What
    certainly did not leave is tried again up to `retries` times and for at most about `retry_seconds`. `region` (ISO
    3166 alpha-2) reads numbers that do not say their country; without it they need a plus. `on_write` gets epoch
    seconds and the message immediately before each write: keep it quick.

    Raises `ValueError` when there is no provider or its options do not fit; it never repeats the URL.
    """

    def __init__(
        self,
        provider: Provider | str | None = None,
        *,
        frm: str | None = None,
        region: str | None = None,
        connections: int = 256,
        connect_seconds: float = 5.0,
        total_seconds: float = 30.0,
        retries: int = 5,
        retry_seconds: float = 60.0,
        on_write: WireRecord | None = None,
    ) -> None:
        self.provider = find_provider(provider)
        self.frm = os.environ.get(SENDER_VARIABLE, "") if frm is None else frm
        self._region = region
        self._connections = connections
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._on_write = on_write
        self._transport = AsyncTransport(
            connections=connections, connect_seconds=connect_seconds, total_seconds=total_seconds
        )
        self._runs: set[Run] = set()
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider.name}>"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection. What still waits for its answer becomes `Uncertain`; runs end."""
        self._closed.set()
        for run in self._runs:
            run.stop(_closed())
        await self._transport.close()

    async def send(
        self,
        text: str,
        frm: str | None = None,
        to: str = "",
        *,
        region: str | None = None,
        validity_seconds: int | None = None,
        report: bool = True,
        reference: str | None = None,
    ) -> Sent:
        """Submits one text and returns what the provider says. `send(text, frm, to)`, or `send(text, to=…)`.

        `report=False` asks for no delivery report, where the provider lets one choose. `reference` is your own id of
        the message, sent with it; by default a new one of 128 bits.

        Raises `InvalidNumber`, `Refused` (an empty text too), `Throttled` and `Unavailable` when it still had not left
        after all tries, `Uncertain` when it may have been sent, and the other `ProviderError`s at once.
        """
        message = self._message(text, frm, to, region, validity_seconds, report, reference)
        accepted = await self._submit(message)
        return Sent(
            message.reference,
            accepted.provider_id,
            accepted.segments or segments.count(text),
            message.number,
            message.sender,
            accepted.price,
            accepted.currency,
        )

    async def send_many(
        self,
        rows: Iterable[Row] | AsyncIterable[Row],
        text: str,
        *,
        frm: str | None = None,
        senders: Sequence[str] = (),
        sticky: bool = True,
        rate: float | None = None,
        account_rate: float | None = None,
        batch_size: int | None = None,
        batch_delay: float = 0.0,
        run_file: Path | str | None = None,
        progress: Callable[[Progress], object] | None = None,
        on_result: Callable[[Result], object] | None = None,
        region: str | None = None,
        concurrency: int | None = None,
        validity_seconds: int | None = None,
        report: bool = True,
    ) -> list[Result]:
        """Sends a text to every row and returns a `Result` for each, in order. One number is sent to once.

        A row is a number, or a mapping with one under number, to or phone and the fields that `text` names as
        `{{ field }}`. Rows are read as they are needed.

        With `senders`, a number always gets the same one while `sticky`, else they take turns. `rate` is messages per
        second of each sender, `account_rate` of all together; no sliding second holds more. `batch_size` messages
        leave, are answered, and `batch_delay` seconds after the last of them left follow the next. At most
        `concurrency` are under way.

        `run_file` makes it resumable, whatever kills it: called again with the same file, rows and text, it sends what
        never left, and never again what may have left.

        `progress` is called up to four times a second, `on_result` with each result as it is known. A wrong number, a
        refusal and the like are results. Raised are `ValueError` and `TemplateError` before anything is sent,
        `RunFileError`, and what rows or callbacks raise.
        """
        plan = self._plan(
            text=text,
            frm=frm,
            senders=senders,
            sticky=sticky,
            rate=rate,
            account_rate=account_rate,
            batch_size=batch_size,
            batch_delay=batch_delay,
            run_file=run_file,
            region=region,
            concurrency=concurrency,
            validity_seconds=validity_seconds,
            report=report,
        )
        return await self._run(plan, _reader(rows), _length(rows), progress, on_result)

    def _message(
        self,
        text: str,
        frm: str | None,
        to: str,
        region: str | None,
        validity_seconds: int | None,
        report: bool,
        reference: str | None,
    ) -> Message:
        sender = self.frm if frm is None else frm
        if not sender:
            raise ValueError(
                f"No sender: write send(text, frm, to), give the client frm=…, or set {SENDER_VARIABLE}; "
                "send(text, to=…) then uses that"
            )
        if not to:
            raise InvalidNumber("empty", "No number to send to: write send(text, frm, to) or send(text, to=…).")
        if not text.strip():
            raise Refused("The text is empty: there is nothing to send.", code="text_empty")
        number = numbers.normalize(to, region or self._region)
        message = Message(text, sender, number, validity_seconds=validity_seconds, report=report)
        return message if reference is None else Message(text, sender, number, reference, validity_seconds, report)

    async def _submit(self, message: Message) -> Accepted:
        """The same message until it is clear: tried again only when it certainly did not leave."""
        give_up_at = time.monotonic() + self._retry_seconds
        record = self._on_write
        before_write = None if record is None else lambda: record(time.time(), message)
        failures = 0
        while True:
            try:
                return await self._transport.submit(self.provider, message, before_write=before_write)
            except (Unavailable, Throttled) as error:
                failures += 1
                asked = error.retry_after if isinstance(error, Throttled) else None
                wait = pacing.back_off(failures, random.random(), asked)  # noqa: S311 jitter
                if failures > self._retries or self._closed.is_set() or time.monotonic() + wait > give_up_at:
                    raise
            await _pause(self._closed, wait)

    def _plan(
        self,
        *,
        frm: str | None,
        senders: Sequence[str],
        region: str | None,
        concurrency: int | None,
        **options: Any,
    ) -> Plan:
        if isinstance(senders, str):
            raise ValueError("senders is a list; for one sender write frm")
        if senders and frm:
            raise ValueError("Give either frm or senders, not both")
        return Plan(
            senders=tuple(senders) or (self.frm if frm is None else frm,),
            region=region or self._region,
            concurrency=min(concurrency or self._connections, self._connections),
            retries=self._retries,
            retry_seconds=self._retry_seconds,
            **options,
        )

    async def _run(
        self,
        plan: Plan,
        read: bulk.Reader,
        total: int | None,
        progress: Callable[[Progress], object] | None,
        on_result: Callable[[Result], object] | None,
        started: Callable[[Run], object] | None = None,
    ) -> list[Result]:
        run = Run(
            plan,
            self.provider,
            self._transport,
            read,
            total=total,
            progress=progress,
            on_result=on_result,
            on_write=self._on_write,
        )
        if self._closed.is_set():
            run.stop(_closed())
        self._runs.add(run)
        if started is not None:
            started(run)
        try:
            return await run.run()
        finally:
            self._runs.discard(run)


class Client:
    """Sends texts from any code, from several threads at once; a context manager, or call `close`.

    The options are those of `AsyncClient`. An event loop in one background thread does the work; it starts with the
    first text. Rows and callbacks of `send_many` stay in the calling thread, so that they may use what belongs to it,
    such as a database connection. Ctrl-C there ends the run in order: nothing more leaves, what is under way is waited
    for (ten seconds, or until the second Ctrl-C), and the run file is complete.
    """

    def __init__(
        self,
        provider: Provider | str | None = None,
        *,
        frm: str | None = None,
        region: str | None = None,
        connections: int = 256,
        connect_seconds: float = 5.0,
        total_seconds: float = 30.0,
        retries: int = 5,
        retry_seconds: float = 60.0,
        on_write: WireRecord | None = None,
    ) -> None:
        self.provider = found = find_provider(provider)
        self.frm = os.environ.get(SENDER_VARIABLE, "") if frm is None else frm

        def make() -> AsyncClient:
            return AsyncClient(
                found,
                frm=self.frm,
                region=region,
                connections=connections,
                connect_seconds=connect_seconds,
                total_seconds=total_seconds,
                retries=retries,
                retry_seconds=retry_seconds,
                on_write=on_write,
            )

        self._background = Background(make, "paceline-client")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.provider.name}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection and ends the thread. What other threads wait for becomes `Uncertain`."""
        self._background.close()

    def send(
        self,
        text: str,
        frm: str | None = None,
        to: str = "",
        *,
        region: str | None = None,
        validity_seconds: int | None = None,
        report: bool = True,
        reference: str | None = None,
    ) -> Sent:
        """Submits one text and waits for the provider's answer. See `AsyncClient.send`."""
        return self._background.wait(
            lambda client: client.send(
                text,
                frm,
                to,
                region=region,
                validity_seconds=validity_seconds,
                report=report,
                reference=reference,
            )
        )

    def send_many(
        self,
        rows: Iterable[Row],
        text: str,
        *,
        frm: str | None = None,
        senders: Sequence[str] = (),
        sticky: bool = True,
        rate: float | None = None,
        account_rate: float | None = None,
        batch_size: int | None = None,
        batch_delay: float = 0.0,
        run_file: Path | str | None = None,
        progress: Callable[[Progress], object] | None = None,
        on_result: Callable[[Result], object] | None = None,
        region: str | None = None,
        concurrency: int | None = None,
        validity_seconds: int | None = None,
        report: bool = True,
    ) -> list[Result]:
        """Sends a text to every row and returns a `Result` for each, in order. See `AsyncClient.send_many`."""
        caller = _Caller(iter(rows))

        async def work(client: AsyncClient) -> list[Result]:
            plan = client._plan(
                text=text,
                frm=frm,
                senders=senders,
                sticky=sticky,
                rate=rate,
                account_rate=account_rate,
                batch_size=batch_size,
                batch_delay=batch_delay,
                run_file=run_file,
                region=region,
                concurrency=concurrency,
                validity_seconds=validity_seconds,
                report=report,
            )
            return await client._run(
                plan,
                caller.read,
                _length(rows),
                progress and caller.calls(progress),
                on_result and caller.calls(on_result),
                caller.started,
            )

        return caller.serve(self._background.begin(work))


def find_provider(given: Provider | str | None) -> Provider:
    """A provider from an object, a URL, or the environment. Raises `ValueError`, which never repeats the URL."""
    given = os.environ.get(PROVIDER_VARIABLE, "") if given is None else given
    if not given:
        raise ValueError(
            "No provider: give the client a URL such as vonage://KEY:SECRET@ (or a provider object), "
            f"or set the environment variable {PROVIDER_VARIABLE} to one"
        )
    return given if isinstance(given, Provider) else from_url(given)


class _Caller:
    """The calling thread, while a run on the other thread needs rows from it or has something to tell it."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self._wanted: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._run: tuple[asyncio.AbstractEventLoop, Run] | None = None

    def started(self, run: Run) -> None:
        self._run = asyncio.get_running_loop(), run

    async def read(self, most: int) -> Sequence[Row]:
        """The next rows, read in the calling thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Row]] = loop.create_future()

        def hand_over(rows: Sequence[Row]) -> None:
            if not answer.done():
                answer.set_result(rows)

        def next_rows() -> None:
            rows = list(islice(self._rows, most))
            loop.call_soon_threadsafe(hand_over, rows)

        self._wanted.put(next_rows)
        return await answer

    def calls(self, callback: Callable[[T], object]) -> Callable[[T], None]:
        """`callback`, to be called in the calling thread."""
        return lambda value: self._wanted.put(lambda: callback(value))

    def serve(self, work: Future[list[Result]]) -> list[Result]:
        """Does what is wanted until the run has ended. What goes wrong here ends the run in order first."""
        work.add_done_callback(lambda _: self._wanted.put(None))
        failure: BaseException | None = None
        while True:
            try:
                wanted = self._wanted.get()
                if wanted is None:
                    break
                if failure is None:
                    wanted()
            except BaseException as error:
                if failure is not None:  # the second Ctrl-C
                    work.cancel()
                    raise
                failure = error
                self._interrupt(work)
        if failure is not None:
            raise failure
        return work.result()

    def _interrupt(self, work: Future[list[Result]]) -> None:
        if self._run is None:
            work.cancel()
            return
        loop, run = self._run
        loop.call_soon_threadsafe(run.interrupt)


def _reader(rows: Iterable[Row] | AsyncIterable[Row]) -> bulk.Reader:
    """Reads rows a few at a time, from either kind of iterable."""
    if isinstance(rows, AsyncIterable):
        coming = aiter(rows)

        async def read_async(most: int) -> Sequence[Row]:
            chunk: list[Row] = []
            async for row in coming:
                chunk.append(row)
                if len(chunk) == most:
                    break
            return chunk

        return read_async
    plain = iter(rows)

    async def read(most: int) -> Sequence[Row]:
        return list(islice(plain, most))

    return read


def _length(rows: object) -> int | None:
    return len(rows) if isinstance(rows, (Sequence, set, frozenset, Mapping)) else None


def _closed() -> Unavailable:
    return Unavailable("The client is closed; the message has not left.")


async def _pause(closed: asyncio.Event, seconds: float) -> None:
    """Sleeps, unless the client is closed meanwhile: then the next try says so."""
    try:
        await asyncio.wait_for(closed.wait(), seconds)
    except TimeoutError:
        return
