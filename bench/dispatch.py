"""How fast does one dispatcher send when every message's whole life is journalled? Beside what people would write.

The messages of a running campaign are queued before. The dispatcher (`paceline.dispatcher.embedded`, with its wire log)
has one core, the carrier the other; the carrier counts, from the first request to the last. The variants:

    paceline sqlite, postgres   claim, slot, gate, `submitting` before the wire, submit, settle
    the client alone            our transport, the same messages, nothing written down
    bare aiohttp                lean: no cookies, orjson, the parsed address kept; reads the answer, writes nothing down
    requests, ten threads       `requests.post` in a pool
    celery                      one task per message, Redis; get, `requests.post`, save

`own_us` is our CPU less that of the client alone. Memory is the dispatcher's, from a small queue to a large one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import harness, queue
from bench.carrier import Carrier, carrier
from bench.harness import Row, Sample

SENDER = "+12025550100"
MESSAGES, QUICK_MESSAGES = 20_000, 3_000
FEW, QUICK_FEW = 2_000, 200
MEMORY = (10_000, 100_000, 1_000_000)
IN_FLIGHT = 500  # a gate's worth: what our dispatcher has on the wire at the most at one time
LATENCIES = (0.0, 0.05)
REDIS = "redis://127.0.0.1:6379/15"
OURS, BARE, CLIENT = "paceline", "bare aiohttp", "the client alone"


def rows(quick: bool) -> list[Row]:
    core, other = harness.cores()
    many = QUICK_MESSAGES if quick else MESSAGES
    found: list[Row] = []
    with ExitStack() as stack:
        databases = harness.databases(quick=False)  # a look at both is worth its seconds
        full = {server: stack.enter_context(queue.stocked(server, many)) for server in databases.values()}
        for latency in LATENCIES[:1] if quick else LATENCIES:
            few = (QUICK_FEW if quick else FEW) // (4 if latency else 1)
            ours = {
                f"{OURS} {database}": partial(_ours, server, full[server], core, many)
                for database, server in databases.items()
            }
            runs: dict[str, Callable[[Carrier], Sample]] = {
                **ours,
                CLIENT: partial(_child, "client", core, many, IN_FLIGHT),
                f"{BARE}, 64 in flight": partial(_child, "bare", core, many, 64),
                f"{BARE}, {IN_FLIGHT} in flight": partial(_child, "bare", core, many, IN_FLIGHT),
                "requests, ten threads": partial(_child, "pool", core, few, 10),
            }
            if _redis():
                runs["celery, a task each"] = partial(_celery, full[None], core, few // (5 if latency else 2))
            variants = {name: partial(_counted, run, latency, other) for name, run in runs.items()}
            found += _judged(harness.medians(variants, harness.rounds(quick)), latency)
    return found if quick else [*found, *_memory(core, other)]


def _counted(run: Callable[[Carrier], Sample], latency: float, core: int) -> Sample:
    """A run against a carrier of its own, whose word the rate is."""
    with carrier(latency, core) as there:
        sample = run(there)
        taken, seconds = there.span()
    if taken != sample.items:
        raise RuntimeError(f"{sample.items} were sent, and the carrier has {taken}")
    return replace(sample, seconds=seconds * taken / (taken - 1))


def _judged(found: list[Row], latency: float) -> list[Row]:
    """With our own share of the CPU beside the client, and the latency in the name."""
    client = next(each.cpu_us for each in found if each.variant == CLIENT)
    end = f", {latency * 1000:.0f} ms" if latency else ""
    return [
        replace(
            each,
            variant=each.variant + end,
            notes={**each.notes, "own_us": round(each.cpu_us - client, 1)}
            if each.variant.startswith(OURS)
            else each.notes,
        )
        for each in found
    ]


def _memory(core: int, other: int) -> list[Row]:
    """The dispatcher's memory by the length of the queue."""
    found = []
    for many in MEMORY:
        harness.say(f"memory with {many:,} messages")
        with queue.stocked(None, many) as full, carrier(0.0, other) as there:
            sample = _ours(None, full, core, many, there)
            found.append(harness.row(f"{OURS} sqlite, {many:,} messages", [sample]))
    return found


# --- one run of ours ------------------------------------------------------------------------------------------


def provider(url: str, mps: float | None = None, **more: str) -> str:
    """PACELINE_PROVIDERS for an account on the carrier at `url`; `more` are options of its own."""
    options = {"api_key": "key", "api_secret": "secret", "base_url": url, **more}
    limit = {} if mps is None else {"MPS": mps}
    return json.dumps({"default": {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": options, **limit}})


def _ours(server: str | None, full: Mapping[str, str], core: int, many: int, there: Carrier) -> Sample:
    with harness.installed(server, full, PACELINE_PROVIDERS=provider(there.url)) as environment:
        return harness.child("dispatch", "ours", core, there.url, many, env=environment)


def _child(verb: str, core: int, many: int, in_flight: int, there: Carrier) -> Sample:
    return harness.child("dispatch", verb, core, there.url, many, in_flight)


# --- in a process of its own ----------------------------------------------------------------------------------


Job = Callable[[], None]
"""What is timed. What made it has done the imports before."""


def ours(url: str, many: int, _: int) -> Job:
    """The dispatcher as `paceline dispatch` runs it, until the campaign is finished and everything settled."""
    import django

    django.setup()
    from paceline.dispatcher import embedded
    from paceline.messaging.models import Campaign, TextMessage

    unfinished = Campaign.objects.exclude(state=Campaign.State.FINISHED)

    def run() -> None:
        embedded.run(Path(os.environ["PACELINE_DATA_DIR"]), until=lambda: not unfinished.exists())
        accepted = TextMessage.objects.filter(status="accepted").count()
        if accepted != many:
            raise RuntimeError(f"{accepted} of {many} are accepted")

    return run


def messages(many: int) -> Iterator[Any]:
    from paceline.sms.messages import Message

    for i in range(many):
        yield Message(text=queue.TEXT, sender=SENDER, number=f"+1202555{100 + i % 100:04d}", reference=f"{i:032x}")


async def _at_a_time(in_flight: int, things: Iterator[Any], work: Callable[[Any], Awaitable[object]]) -> None:
    async def worker() -> None:
        for thing in things:
            await work(thing)

    await asyncio.gather(*(worker() for _ in range(in_flight)))


def client(url: str, many: int, in_flight: int) -> Job:
    """What our client costs when nobody writes anything down."""
    import uvloop

    from paceline.sms.providers.vonage import Vonage
    from paceline.sms.transports import AsyncTransport

    async def run() -> None:
        vonage = Vonage(api_key="key", api_secret="secret", base_url=url)  # noqa: S106 for our own carrier
        async with AsyncTransport(connections=1000) as transport:
            await _at_a_time(in_flight, messages(many), lambda message: transport.submit(vonage, message))

    return lambda: uvloop.run(run())


def _body(number: str, reference: str) -> dict[str, str]:
    words = {"message_type": "text", "channel": "sms", "to": number, "from": SENDER[1:], "text": queue.TEXT}
    return {**words, "client_ref": reference}


def bare(url: str, many: int, in_flight: int) -> Job:
    """The quickest loop that we know how to write with aiohttp."""
    import aiohttp
    import uvloop
    import yarl

    try:
        from orjson import dumps, loads
    except ImportError:  # three microseconds a message
        loads = json.loads

        def dumps(value: Any) -> bytes:
            return json.dumps(value).encode()

    async def run() -> None:
        address = yarl.URL(f"{url}/v1/messages")
        basic = "Basic " + b64encode(b"key:secret").decode()
        headers = {"Content-Type": "application/json", "Authorization": basic}
        connector = aiohttp.TCPConnector(limit=in_flight)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def send(i: int) -> None:
                body = dumps(_body(f"1202555{100 + i % 100:04d}", f"{i:032x}"))
                async with session.post(address, data=body, headers=headers) as answer:
                    loads(await answer.read())["message_uuid"]

            await _at_a_time(in_flight, iter(range(many)), send)

    return lambda: uvloop.run(run())


def pool(url: str, many: int, _: int) -> Job:
    """`requests.post` in a pool of ten threads."""
    import requests

    def send(i: int) -> None:
        body = _body(f"1202555{100 + i % 100:04d}", f"{i:032x}")
        requests.post(f"{url}/v1/messages", json=body, auth=("key", "secret"), timeout=30).json()

    def run() -> None:
        with ThreadPoolExecutor(10) as threads:
            list(threads.map(send, range(many)))

    return run


VERBS: dict[str, Callable[[str, int, int], Job]] = {"ours": ours, "client": client, "bare": bare, "pool": pool}


def main(verb: str, core: str, url: str, many: str, in_flight: str = "0") -> None:
    harness.pin(int(core))
    job = VERBS[verb](url, int(many), int(in_flight))
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    seconds, used = time.perf_counter() - wall, time.process_time() - cpu
    harness.report(Sample(int(many), seconds, used, harness.peak_mb()))


# --- Celery ---------------------------------------------------------------------------------------------------


def _redis() -> bool:
    try:
        import redis

        return bool(redis.Redis.from_url(REDIS, socket_connect_timeout=1).ping())
    except Exception:
        return False


def _celery(full: Mapping[str, str], core: int, many: int, there: Carrier) -> Sample:
    """One worker process that sends a message per task; its CPU from the first message on."""
    import redis

    name = f"paceline-bench-{os.getpid()}"
    to = {"BENCH_URL": there.url, "BENCH_BROKER": REDIS, "BENCH_QUEUE": name}
    with harness.installed(None, full, **to) as environment:
        with harness.start("celery_tasks", "queue", many, env=environment) as queueing:
            if queueing.wait():
                raise RuntimeError("Celery's tasks could not be queued")
        with harness.start("celery_tasks", "work", core, env=environment) as worker:
            try:
                begun, cpu = _when(there, 1, worker.pid)
                taken, used = _when(there, many, worker.pid)
                peak = harness.peak_mb(worker.pid)
            finally:
                worker.kill()
                redis.Redis.from_url(REDIS).delete(name)
    return Sample(taken, 1.0, (used - cpu) * taken / (taken - begun), peak)


def _when(there: Carrier, many: int, pid: int) -> tuple[int, float]:
    """(messages, CPU seconds) when the carrier has so many."""
    give_up_at = time.monotonic() + harness.CHILD_SECONDS
    while (taken := there.taken()) < many:
        if time.monotonic() > give_up_at:
            raise RuntimeError("Celery's worker does not send")
        time.sleep(0.02)
    return taken, harness.cpu_seconds(pid)


if __name__ == "__main__":
    main(*sys.argv[1:])
