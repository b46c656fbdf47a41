"""How fast do texts leave one process? Ours beside what people would write, each against the same light carrier.

    ./run bench send [--quick] [--json]

Each variant runs ten seconds or to its end; figures are rates. Whatever a variant claims, the carrier has counted.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from paceline.sandbox.ledger import busiest_window
from paceline.sms import numbers
from paceline.sms.client import AsyncClient, Client
from paceline.sms.messages import Message
from paceline.sms.providers.vonage import Vonage

SENDER = "+12025550100"
TEXT = "Hi {{ name }}, your table is ready. Reply STOP to opt out."
SECONDS, QUICK_SECONDS = 10.0, 2.0
THREADS = 10
POOL = f"requests, {THREADS} threads"
RATES = (200, 1000)


@dataclass(frozen=True, slots=True)
class Row:
    """A variant's rate, and how many times that of ten threads with `requests` in the same run."""

    variant: str
    messages: int
    latency_ms: int
    sent: int
    per_second: float
    times_pool: float


@dataclass(frozen=True, slots=True)
class Paced:
    """A run with a limit: what it achieved of it, and the busiest sliding second by its own wire record."""

    limit: int
    latency_ms: int
    per_second: float
    of_limit: float
    busiest_second: int


def people(count: int) -> list[dict[str, str]]:
    """So many people with fictional numbers, all different."""

    def every() -> Iterator[dict[str, str]]:
        for area in range(201, 990):
            if numbers.is_valid(f"+1{area}5550100"):
                for line in range(100, 200):
                    yield {"name": "Ada", "number": f"+1{area}5550{line}"}

    return list(islice(every(), count))


@dataclass(frozen=True, slots=True)
class Carrier:
    url: str

    def taken(self) -> int:
        with urllib.request.urlopen(self.url) as answer:  # noqa: S310 our own carrier
            return int(answer.read())


@contextmanager
def carrier(latency: float) -> Iterator[Carrier]:
    """A carrier in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("carrier.py")), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 our own carrier
        try:
            assert process.stdout is not None
            yield Carrier(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.terminate()


def provider(url: str) -> Vonage:
    return Vonage(api_key="key", api_secret="secret", base_url=url)  # noqa: S106 for our own carrier


# The variants: each sends to `rows` until it is through or the time is up


def send_many(url: str, rows: list[dict[str, str]], until: float) -> None:
    """Ours, from code without asyncio."""
    with Client(provider(url), frm=SENDER) as client:
        client.send_many(_while(rows, until), TEXT)


def async_client(url: str, rows: list[dict[str, str]], until: float) -> None:
    """Ours, from asyncio: one `send` for each row, 256 at a time."""

    async def run() -> None:
        async with AsyncClient(provider(url), frm=SENDER) as client:
            gate = asyncio.Semaphore(256)

            async def one(row: dict[str, str]) -> None:
                async with gate:
                    if time.perf_counter() < until:
                        await client.send(f"Hi {row['name']}, your table is ready.", to=row["number"])

            await asyncio.gather(*map(one, rows))

    import uvloop

    uvloop.run(run())


def requests_loop(url: str, rows: list[dict[str, str]], until: float) -> None:
    """`requests.post`, one after the other."""
    import requests

    for row in _while(rows, until):
        requests.post(f"{url}/v1/messages", json=_body(row), auth=("key", "secret"), timeout=30)


def requests_threads(url: str, rows: list[dict[str, str]], until: float) -> None:
    """`requests.post` in a pool of ten threads."""
    import requests

    def one(row: dict[str, str]) -> None:
        if time.perf_counter() < until:
            requests.post(f"{url}/v1/messages", json=_body(row), auth=("key", "secret"), timeout=30)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, rows))


def httpx_loop(url: str, rows: list[dict[str, str]], until: float) -> None:
    """httpx from asyncio with one client, 100 at a time (its own limit of connections)."""
    import httpx

    async def run() -> None:
        async with httpx.AsyncClient(auth=("key", "secret"), timeout=30) as client:
            gate = asyncio.Semaphore(100)

            async def one(row: dict[str, str]) -> None:
                async with gate:
                    if time.perf_counter() < until:
                        await client.post(f"{url}/v1/messages", json=_body(row))

            await asyncio.gather(*map(one, rows))

    asyncio.run(run())


VARIANTS: dict[str, Callable[[str, list[dict[str, str]], float], None]] = {
    "paceline send_many": send_many,
    "paceline AsyncClient": async_client,
    POOL: requests_threads,
    "requests loop": requests_loop,
    "httpx async": httpx_loop,
}


def _while(rows: list[dict[str, str]], until: float) -> Iterator[dict[str, str]]:
    for row in rows:
        if time.perf_counter() >= until:
            return
        yield row


def _body(row: dict[str, str]) -> dict[str, str]:
    text = f"Hi {row['name']}, your table is ready. Reply STOP to opt out."
    return {"message_type": "text", "channel": "sms", "to": row["number"][1:], "from": SENDER[1:], "text": text}


# Measuring


def compare(messages: int, latency: float, seconds: float) -> list[Row]:
    """Every variant once, in turn."""
    rows = people(messages)
    rates: dict[str, tuple[int, float]] = {}
    for name, send in VARIANTS.items():
        with carrier(latency) as there:
            started = time.perf_counter()
            send(there.url, rows, started + seconds)
            taken = there.taken()
            rates[name] = taken, taken / (time.perf_counter() - started)
    pool = rates[POOL][1]
    return [
        Row(name, messages, round(latency * 1000), taken, round(rate, 1), round(rate / pool, 2))
        for name, (taken, rate) in rates.items()
    ]


def pace(limit: int, latency: float, seconds: float) -> Paced:
    """`send_many` under a limit. The rate is that between the first write and the last."""
    moments: list[float] = []

    def record(at: float, message: Message) -> None:
        moments.append(at)

    with carrier(latency) as there, Client(provider(there.url), frm=SENDER, on_write=record) as client:
        client.send_many(people(round(limit * seconds)), TEXT, rate=limit)
    rate = (len(moments) - 1) / (moments[-1] - moments[0])
    return Paced(limit, round(latency * 1000), round(rate, 1), round(rate / limit, 4), busiest_window(moments, 1.0))


def main(quick: bool, as_json: bool) -> int:
    try:
        import httpx  # noqa: F401 only whether it is here
        import requests  # noqa: F401 only whether it is here
    except ImportError as missing:
        sys.stderr.write(f"{missing}: bench send compares with requests and httpx. Install them with\n")
        sys.stderr.write("  .venv/bin/python -m pip install requests httpx     (or: uv pip install requests httpx)\n")
        return 2

    seconds = QUICK_SECONDS if quick else SECONDS
    out = sys.stderr if as_json else sys.stdout
    rows: list[Row] = []
    paced: list[Paced] = []
    for latency in (0.0, 0.05):
        for messages in (1_000, 20_000):
            print(f"{messages:,} messages, carrier latency {latency * 1000:.0f} ms", file=out)
            rows += (now := compare(messages, latency, seconds))
            for row in now:
                print(f"  {row.variant:<24} {row.per_second:>9,.0f}/s   {row.times_pool:>7.2f} ×", file=out, flush=True)
    print("with a limit: the wire's record, 50 ms", file=out)
    for limit in RATES:
        paced.append(one := pace(limit, 0.05, seconds))
        print(
            f"  {limit:>5}/s: {one.per_second:,.1f}/s, {one.of_limit:.1%} of the limit, "
            f"{one.busiest_second} in the busiest second",
            file=out,
            flush=True,
        )
    if as_json:
        found: dict[str, Any] = {"rows": [asdict(row) for row in rows], "paced": [asdict(each) for each in paced]}
        print(json.dumps({"bench": "send", **found}))
    return 0
