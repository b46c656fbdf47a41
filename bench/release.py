"""How soon does a campaign of a million recipients begin to send, and how fast are its rows written and released?

    ./run bench release [--quick] [--json]

From the launch to the first submit that the carrier has read, through the embedded dispatcher; then the rates of the
fan-out and of the valve. Beside it what people write: a message object for everybody, stored with `bulk_create`, before
the first is sent.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial

from bench import harness
from bench.carrier import carrier
from bench.harness import Row, Sample

PEOPLE, QUICK_PEOPLE = 1_000_000, 20_000
PART, QUICK_PART = 50_000, 5_000
"""How many of them the rates are measured on."""
SENT = 2_000  # what the dispatcher goes on to, so that memory and fan-out are seen beside the sending
SENDERS = 5
TEXT = "Hi {{ first_name }}, doors open at 7 tonight."
FIRST_CHILD_SECONDS = 60.0


def rows(quick: bool) -> list[Row]:
    """The first submit stands in the notes of "begins to send"; its rate is that of the first 2,000 from the launch."""
    people, part = (QUICK_PEOPLE, QUICK_PART) if quick else (PEOPLE, PART)
    steps = {
        f"begins to send, of {people:,}: paceline": ("begin", people),
        "fan-out and release: paceline": ("steps", part),
        "in tranches of 1,000: paceline": ("tranches", part),
        "bulk_create of message objects": ("objects", part),
    }
    variants: dict[str, Callable[[], Sample]] = {}
    with ExitStack() as stack:
        for database, server in harness.databases(quick).items():
            ready = stack.enter_context(harness.installed(server))
            harness.child("release", "prepare", people, env=ready)
            for name, (step, count) in steps.items():
                variants[f"{name} {database}"] = partial(_run, server, ready, step, count)
        return harness.medians(variants, harness.rounds(quick))


def _run(server: str | None, ready: Mapping[str, str], step: str, count: int) -> Sample:
    """One step in a copy of what is ready, in a process of its own."""
    with harness.installed(server, ready) as environment:
        if step != "begin":
            return harness.child("release", step, count, env=environment)
        with carrier(0.0) as there:
            account = {"VONAGE_API_KEY": "key", "VONAGE_API_SECRET": "secret", "VONAGE_BASE_URL": there.url}
            return harness.child("release", step, there.url, env=environment | account)


# --- steps, each in a process of its own ------------------------------------------------------------------------


def prepare(people: int) -> Sample:
    """A list of so many people, and senders without a limit."""
    from paceline.messaging import accounts, contacts, senders
    from paceline.messaging.sheets import Row as SheetRow

    def guests() -> Iterator[SheetRow]:
        for n in range(people):
            number = f"+1{202 + n % 700}{200 + n // 700 % 700:03}{n // 490_000:04}"
            yield SheetRow(n + 2, number, number, "ready", "", "", {"first_name": "Ada", "team": "A"})

    began, cpu = time.perf_counter(), time.process_time()
    contacts.add(guests(), contacts.get_list("Guests"))
    for last in range(SENDERS):
        senders.add(accounts.get(), f"+1202555010{last}", mps=None)
    return Sample(people, time.perf_counter() - began, time.process_time() - cpu, harness.peak_mb())


def begin(url: str) -> Sample:
    """Launches, and runs the embedded dispatcher until the carrier has had some."""
    import urllib.request

    from django.conf import settings

    from paceline.dispatcher import embedded
    from paceline.messaging import campaigns
    from paceline.messaging.models import TextMessage

    first = 0.0
    enough = threading.Event()
    campaign = _draft()
    began, cpu = time.perf_counter(), time.process_time()
    campaigns.launch(campaign)
    launched = time.perf_counter() - began

    def look() -> None:
        nonlocal first
        while True:
            with urllib.request.urlopen(url) as answer:  # noqa: S310 our own carrier
                taken = int(answer.read())
            if taken and not first:
                first = time.perf_counter() - began
            if taken >= SENT or time.perf_counter() - began > FIRST_CHILD_SECONDS:
                enough.set()
                return
            time.sleep(0.01)

    threading.Thread(target=look, daemon=True).start()
    embedded.run(settings.PACELINE["DATA_DIR"], until=enough.is_set)
    seconds = time.perf_counter() - began
    notes = {
        "first submit after s": round(first, 2),
        "launch s": round(launched, 2),
        "rows by then": TextMessage.objects.count(),
    }
    return Sample(SENT, seconds, time.process_time() - cpu, harness.peak_mb(), notes)


def steps(count: int) -> Sample:
    """Fan-out and release in turn, as the dispatcher does, until so many are in the outbox."""
    from paceline.messaging import campaigns, engine

    return _rate(count, campaigns.launch(_draft()), lambda each: (campaigns.fan_out(each), engine.now()))


def tranches(count: int) -> Sample:
    """The same with a batch size; a dispatcher's part, that a tranche has left, is played by an update."""
    from paceline.messaging import campaigns, engine
    from paceline.messaging.models import TextMessage

    campaign = campaigns.launch(_draft(batch_size=1000))

    def step(each: object) -> tuple[int, float]:
        written = campaigns.fan_out(campaign)
        if not campaign.tranche_left:
            TextMessage.objects.filter(status="queued").update(status="accepted")
        return written, engine.now()

    return _rate(count, campaign, step)


def _rate(count: int, campaign: object, step: Callable[[object], tuple[int, float]]) -> Sample:
    from paceline.messaging import campaigns

    began, cpu, released, writing, idle = time.perf_counter(), time.process_time(), 0, 0.0, 0
    while released < count and idle < 1000:
        before = time.perf_counter()
        written, now = step(campaign)
        writing += time.perf_counter() - before
        done = campaigns.release(campaign, now)  # type: ignore[arg-type]  # a Campaign, of Django not set up yet
        released += done
        idle = 0 if done or written else idle + 1
    seconds = time.perf_counter() - began
    notes = {"fan-out": f"{released / writing:,.0f}/s", "release": f"{released / (seconds - writing):,.0f}/s"}
    return Sample(released, seconds, time.process_time() - cpu, harness.peak_mb(), notes)


def objects(count: int) -> Sample:
    """What people write: all the objects, then `bulk_create`."""
    from paceline.messaging.models import Contact, Sender, TextMessage

    began, cpu = time.perf_counter(), time.process_time()
    lanes = list(Sender.objects.order_by("pk"))
    people = Contact.objects.order_by("pk")[:count]
    messages = [
        TextMessage(
            contact=person,
            sender=lanes[n % SENDERS],
            frm=lanes[n % SENDERS].number,
            to=person.number,
            text=f"Hi {person.fields['first_name']}, doors open at 7 tonight.",
        )
        for n, person in enumerate(people)
    ]
    TextMessage.objects.bulk_create(messages, batch_size=500)
    return Sample(count, time.perf_counter() - began, time.process_time() - cpu, harness.peak_mb())


def _draft(**options: int) -> object:
    from paceline.messaging import campaigns, contacts

    return campaigns.create("Opening night", TEXT, list=contacts.get_list("Guests"), **options)  # type: ignore[arg-type]


def main(step: str, argument: str) -> None:
    import django

    django.setup()
    todo: dict[str, Callable[[], Sample]] = {
        "prepare": lambda: prepare(int(argument)),
        "begin": lambda: begin(argument),
        "steps": lambda: steps(int(argument)),
        "tranches": lambda: tranches(int(argument)),
        "objects": lambda: objects(int(argument)),
    }
    harness.report(todo[step]())


if __name__ == "__main__":
    main(*sys.argv[1:])
