"""How fast do texts leave one process that keeps no journal? Ours beside what people would write, and ours at a limit.

Each variant runs ten seconds or to its end, against a carrier of its own. Whatever it claims, the carrier has counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice

import httpx
import requests
from bench import harness
from bench.carrier import carrier
from bench.harness import Row, Sample

from paceline.sandbox.ledger import busiest_window
from paceline.sms import numbers
from paceline.sms.client import AsyncClient, Client
from paceline.sms.messages import Message
from paceline.sms.providers.vonage import Vonage

SENDER = "+12025550100"
TEXT = "Hi {{ name }}, your table is ready. Reply STOP to opt out."
MESSAGES, QUICK_MESSAGES = 20_000, 5_000
SECONDS, QUICK_SECONDS = 10.0, 0.5
LATENCIES = (0.0, 0.05)
THREADS = 10
RATES = (200, 1000)

Person = dict[str, str]


def rows(quick: bool) -> list[Row]:
    who = people(QUICK_MESSAGES if quick else MESSAGES)
    seconds = QUICK_SECONDS if quick else SECONDS
    found: list[Row] = []
    for latency in LATENCIES:
        variants = {name: partial(_counted, send, who, latency, seconds) for name, send in VARIANTS.items()}
        found += [
            replace(row, variant=f"{row.variant}, {latency * 1000:.0f} ms" if latency else row.variant)
            for row in harness.medians(variants, harness.rounds(quick))
        ]
    return [*found, *(_paced(limit, seconds) for limit in RATES)]


def people(count: int) -> list[Person]:
    """So many people with fictional numbers, all different."""

    def every() -> Iterator[Person]:
        for area in range(201, 990):
            if numbers.is_valid(f"+1{area}5550100"):
                for line in range(100, 200):
                    yield {"name": "Ada", "number": f"+1{area}5550{line}"}

    return list(islice(every(), count))


def provider(url: str) -> Vonage:
    return Vonage(api_key="key", api_secret="secret", base_url=url)  # noqa: S106 for our own carrier


# --- the variants: each sends to `who` until it is through or the time is up ----------------------------------


def send_many(url: str, who: list[Person], until: float) -> None:
    """Ours, from code without asyncio."""
    with Client(provider(url), frm=SENDER) as client:
        client.send_many(_while(who, until), TEXT)


def async_client(url: str, who: list[Person], until: float) -> None:
    """Ours, from asyncio: one `send` for each person, 256 at a time."""

    async def run() -> None:
        async with AsyncClient(provider(url), frm=SENDER) as client:
            gate = asyncio.Semaphore(256)

            async def one(person: Person) -> None:
                async with gate:
                    if time.perf_counter() < until:
                        await client.send(f"Hi {person['name']}, your table is ready.", to=person["number"])

            await asyncio.gather(*map(one, who))

    import uvloop

    uvloop.run(run())


def requests_loop(url: str, who: list[Person], until: float) -> None:
    """`requests.post`, one after the other."""
    for person in _while(who, until):
        requests.post(f"{url}/v1/messages", json=_body(person), auth=("key", "secret"), timeout=30)


def requests_threads(url: str, who: list[Person], until: float) -> None:
    """`requests.post` in a pool of ten threads."""

    def one(person: Person) -> None:
        if time.perf_counter() < until:
            requests.post(f"{url}/v1/messages", json=_body(person), auth=("key", "secret"), timeout=30)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, who))


def httpx_loop(url: str, who: list[Person], until: float) -> None:
    """httpx from asyncio with one client, 100 at a time (its own limit of connections)."""

    async def run() -> None:
        async with httpx.AsyncClient(auth=("key", "secret"), timeout=30) as client:
            gate = asyncio.Semaphore(100)

            async def one(person: Person) -> None:
                async with gate:
                    if time.perf_counter() < until:
                        await client.post(f"{url}/v1/messages", json=_body(person))

            await asyncio.gather(*map(one, who))

    asyncio.run(run())


VARIANTS: dict[str, Callable[[str, list[Person], float], None]] = {
    "paceline send_many": send_many,
    "paceline AsyncClient": async_client,
    "requests, ten threads": requests_threads,
    "requests loop": requests_loop,
    "httpx async": httpx_loop,
}


def _while(who: list[Person], until: float) -> Iterator[Person]:
    for person in who:
        if time.perf_counter() >= until:
            return
        yield person


def _body(person: Person) -> dict[str, str]:
    text = f"Hi {person['name']}, your table is ready. Reply STOP to opt out."
    return {"message_type": "text", "channel": "sms", "to": person["number"][1:], "from": SENDER[1:], "text": text}


# --- measuring ------------------------------------------------------------------------------------------------


def _counted(
    send: Callable[[str, list[Person], float], None], who: list[Person], latency: float, seconds: float
) -> Sample:
    """One run, counted by the carrier."""
    with carrier(latency) as there:
        wall, cpu = time.perf_counter(), time.process_time()
        send(there.url, who, wall + seconds)
        used = time.process_time() - cpu
        taken, _ = there.span()
        return Sample(taken, time.perf_counter() - wall, used, harness.peak_mb())


def _paced(limit: int, seconds: float) -> Row:
    """`send_many` at a limit: its rate between the first write and the last, and the fullest sliding second."""
    moments: list[float] = []

    def record(at: float, message: Message) -> None:
        moments.append(at)

    cpu = time.process_time()
    with carrier(LATENCIES[1]) as there, Client(provider(there.url), frm=SENDER, on_write=record) as client:
        client.send_many(people(round(limit * seconds)), TEXT, rate=limit)
    cpu = time.process_time() - cpu
    rate = (len(moments) - 1) / (moments[-1] - moments[0])
    return Row(
        f"paceline send_many at {limit:,} per second",
        round(rate, 1),
        round(cpu / len(moments) * 1e6, 3),
        round(harness.peak_mb(), 1),
        {"of_limit": round(rate / limit, 4), "busiest_second": busiest_window(moments, 1.0)},
    )
