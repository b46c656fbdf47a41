"""Are 500 inbound texts a second stored once, and each STOP in force before its 200, while a campaign sends?

    ./run bench inbound [--quick] [--json]

For a minute signed webhooks come over kept-alive connections into one web process, each from a person of its own; one
in twenty says STOP. Beside it a dispatcher sends a campaign at a moderate pace and turns what was stored into messages.
The database is read at the moment a STOP's answer is there; at the end every text must be one received message. A run
that finds less ends with an error: its figures would mean nothing.

`per_second` and the CPU are those of the web process until the last answer; `all messages after s` is when the
dispatcher had made the last message, from that answer on.
"""

from __future__ import annotations

import pickle
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import django
from bench import harness, queue, reports
from bench.carrier import carrier
from bench.dispatch import provider
from bench.harness import Row, Sample

RATE = 500  # texts per second
SECONDS, QUICK_SECONDS = 60, 5
PACE = 50  # messages per second of the campaign
STOPS = 20  # one text in so many
PEOPLE = 78_000  # numbers that the range for fiction has
CARRIER_LATENCY = 0.02
PATIENCE_SECONDS = 600.0
"""How long the dispatcher may take for what is left after the last answer."""
ANSWERED = "answered"
"""The file in the data folder by which the dispatcher learns that no more will come."""


def rows(quick: bool) -> list[Row]:
    """One run on each database."""
    seconds = QUICK_SECONDS if quick else SECONDS
    found = []
    for engine, server in harness.databases(quick).items():
        harness.say(f"{seconds} s on {engine}")
        found.append(harness.row(f"paceline {engine}, {RATE}/s", [measured(server, RATE * seconds)]))
    return found


def measured(server: str | None, count: int, rate: int = RATE) -> Sample:
    """So many texts at that rate into a new installation. Raises `RuntimeError` when one is lost, doubled, too late."""
    with carrier(CARRIER_LATENCY) as there, harness.installed(server) as environment:
        folder = Path(environment["PACELINE_DATA_DIR"])
        account = provider(there.url, PACE, api_key=reports.API_KEY, signature_secret=reports.SECRET)
        environment["PACELINE_PROVIDERS"] = account
        harness.child("inbound", "prepare", folder, count, round(count / rate * PACE) + 10 * PACE, env=environment)
        with (
            harness.start("inbound", "send", folder, env=environment) as sending,
            reports.served(reports.OURS, environment) as (port, pid),
        ):
            try:
                _until(lambda: there.taken() > 0, "The campaign does not send")
                sent, cpu = there.taken(), reports.cpu_seconds(pid)
                heard = harness.child("inbound", "load", folder, port, rate, env=environment)
                cpu, sent = reports.cpu_seconds(pid) - cpu, there.taken() - sent
                began = time.monotonic()
                (folder / ANSWERED).touch()
                if sending.wait(PATIENCE_SECONDS + 60):
                    raise RuntimeError("The dispatcher could not make a message of every text")
                behind = time.monotonic() - began
            finally:
                sending.kill()
            peak = max(map(harness.peak_mb, reports.family(pid)))
        harness.child("inbound", "judge", folder, count, env=environment)
    notes = {
        "p50 ms": heard.notes["p50"],
        "p99": heard.notes["p99"],
        "stops in force at their 200": heard.notes["stops"],
        "campaign per second": round(sent / heard.seconds, 1),
        "all messages after s": round(behind, 1),
    }
    return Sample(count, heard.seconds, cpu, peak, notes)


def _until(seen: Any, otherwise: str) -> None:
    give_up_at = time.monotonic() + 60
    while not seen():
        if time.monotonic() > give_up_at:
            raise RuntimeError(otherwise)
        time.sleep(0.05)


def person(i: int) -> str:
    """The i-th number of the range for fiction."""
    return f"+1{201 + i // 100 % 780}55501{i % 100:02}"


def says_stop(i: int) -> bool:
    return i % STOPS == STOPS - 1


# --- steps, each in a process of its own ------------------------------------------------------------------------


def prepare(folder: str, count: int, campaign: int) -> Sample:
    """Tables, a campaign with more than will be sent, and one signed webhook from each person."""
    if count > PEOPLE:
        raise RuntimeError(f"There are only {PEOPLE} people")
    django.setup()
    from paceline.messaging import accounts

    lanes = queue.senders(1)
    queue.fill(queue.campaign(), lanes, campaign)
    accounts.sync()
    requests = [
        reports.signed(
            "/webhooks/default/inbound",
            {
                "message_uuid": str(uuid.UUID(int=i + 1)),
                "to": lanes[0].number[1:],
                "from": person(i)[1:],
                "timestamp": "2026-03-04T09:15:27Z",
                "channel": "sms",
                "message_type": "text",
                "text": "Stop." if says_stop(i) else f"See you at {1 + i % 12}, table {i}!",
            },
        )
        for i in range(count)
    ]
    Path(folder, "requests").write_bytes(pickle.dumps(requests))
    return Sample(count, 1.0, 0.0, 0.0)


def send(folder: str) -> None:
    """The dispatcher, until no more texts come and every one has been applied."""
    django.setup()
    from paceline.dispatcher import embedded
    from paceline.messaging.models import Event

    give_up_at = float("inf")

    def done() -> bool:
        nonlocal give_up_at
        if not Path(folder, ANSWERED).exists():
            return False
        give_up_at = min(give_up_at, time.monotonic() + PATIENCE_SECONDS)
        return time.monotonic() > give_up_at or not Event.objects.filter(next_try_at__isnull=False).exists()

    embedded.run(Path(folder), until=done)


def load(folder: str, port: int, rate: int) -> Sample:
    """All texts at their moments; a STOP's number is looked for the moment its answer is there."""
    import uvloop

    django.setup()
    from paceline.messaging.models import Suppression

    requests = pickle.loads(Path(folder, "requests").read_bytes())  # noqa: S301 our own
    stops = {request: person(i) for i, request in enumerate(requests) if says_stop(i)}
    in_force = 0

    with ThreadPoolExecutor(1) as reader:  # Django wants no event loop around a query; ours waits for it

        def look(request: bytes) -> None:
            nonlocal in_force
            if number := stops.get(request):
                in_force += reader.submit(Suppression.objects.filter(number=number).exists).result()

        sample = uvloop.run(reports.knock(requests, port, rate, look))
    if sample.notes["refused"]:
        raise RuntimeError(f"{sample.notes['refused']} of {len(requests)} texts were not taken")
    if in_force != len(stops):
        raise RuntimeError(f"{len(stops) - in_force} of {len(stops)} STOPs were not in force at their 200")
    return Sample(sample.items, sample.seconds, sample.cpu_seconds, sample.peak_mb, {**sample.notes, "stops": in_force})


def judge(count: int) -> Sample:
    """Every text is one received message, with its words, its person and its sender."""
    django.setup()
    from paceline.messaging.models import TextMessage

    stored = TextMessage.objects.filter(direction=TextMessage.Direction.INCOMING)
    if wrong := stored.exclude(status="received", sender__isnull=False).count():
        raise RuntimeError(f"{wrong} inbound texts are not what was received")
    found = sorted(stored.values_list("frm", "provider_id"))
    wanted = sorted((person(i), str(uuid.UUID(int=i + 1))) for i in range(count))
    if found != wanted:
        missing = len(set(wanted) - set(found))
        raise RuntimeError(f"Of {count} texts {missing} are not stored; {len(found)} messages are there")
    return Sample(count, 1.0, 0.0, 0.0)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["prepare", folder, count, campaign]:
            harness.report(prepare(folder, int(count), int(campaign)))
        case ["send", folder]:
            send(folder)
        case ["load", folder, port, rate]:
            harness.report(load(folder, int(port), int(rate)))
        case ["judge", _, count]:
            harness.report(judge(int(count)))


if __name__ == "__main__":
    main(sys.argv[1:])
