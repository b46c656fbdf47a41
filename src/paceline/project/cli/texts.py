"""Commands about one text: how many segments it is, and sending it."""

from __future__ import annotations

import sys
from typing import Any

import click

from paceline.sms import numbers
from paceline.sms import segments as counting

from .common import as_json, data_dir, explained, fail, installed, say


@click.command()
@click.argument("text", required=False)
@click.option("--smart", is_flag=True, help="Count it with typographic characters replaced.")
@as_json
@explained
def segments(text: str | None, smart: bool, as_json: bool) -> None:
    """How many segments TEXT is, and which characters make it dearer. Without TEXT, or with -, from stdin."""
    if text is None or text == "-":
        text = sys.stdin.read().rstrip("\n")
    if smart:
        text = counting.smart(text)
    counted = counting.segments(text)
    value = {
        "encoding": counted.encoding,
        "count": counted.count,
        "units": counted.units,
        "units_per_segment": list(counted.units_per_segment),
        "offenders": [[each.character, each.position] for each in counted.offenders],
    }
    say(value, as_json, _in_words(text, counted))


def _in_words(text: str, counted: counting.Segments) -> list[str]:
    noun = "segment" if counted.count == 1 else "segments"
    lines = [f"{counted.encoding}: {counted.units} units, {counted.count} {noun}, {counted.left} left in the last"]
    if counted.offenders:
        which = ", ".join(f"{each.character!r} at {each.position}" for each in counted.offenders[:10])
        more = f" and {len(counted.offenders) - 10} more" if len(counted.offenders) > 10 else ""
        lines.append(f"Not in GSM-7: {which}{more}")
        saved = counting.smart_saves(text)
        if saved > 0:
            lines.append(f"With --smart: {counted.count - saved} instead of {counted.count}")
    return lines


@click.command()
@click.argument("number")
@click.argument("text")
@click.option("--from", "frm", help="The sender; default: the one this contact always hears from.")
@click.option("--region", help="Region of a number without a country code; default PACELINE_REGION.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the provider's answer.")
@as_json
@installed
def send(number: str, text: str, frm: str | None, region: str | None, timeout: float, as_json: bool) -> None:
    """Sends TEXT to NUMBER, ahead of bulk, in its sender's pace, and waits for the provider's answer."""
    from django.conf import settings

    from paceline.messaging import outbox, senders, suppressions
    from paceline.messaging.models import Contact

    to = numbers.normalize(number, region or settings.PACELINE["REGION"])
    if suppressions.among([to]):
        fail("This number is suppressed; nothing was sent (paceline optout list shows why)", 3)
    if frm is None:
        contact, _ = Contact.objects.get_or_create(number=to)
        senders.assign([contact.pk])
        contact.refresh_from_db()
        sender = contact.sender
        if sender is None:
            fail("There is no sender; add one with: paceline sender add NUMBER", 2)
    else:
        sender = senders.get(frm, region or settings.PACELINE["REGION"])
    message = outbox.queue_text(text, sender, to)
    _wait(message, timeout)
    message.refresh_from_db()
    value: dict[str, Any] = {
        "reference": message.reference,
        "status": message.status,
        "from": message.frm,
        "to": message.to,
        "segments": message.segments,
        "provider_id": message.provider_id,
        "code": message.code,
        "reason": message.reason,
    }
    words = f"{message.status}: {message.segments} segment(s) from {message.frm} to {message.to}"
    say(value, as_json, words + (f" ({message.reason})" if message.reason else ""))
    sys.exit(0 if message.status in ("accepted", "sent", "delivered", "queued") else 1)


def _wait(message: Any, timeout: float) -> None:
    """Until the message has left the outbox: by the dispatcher that runs, else by one of our own."""
    import time

    from paceline.dispatcher import embedded
    from paceline.sms.status import Status

    give_up_at = time.monotonic() + timeout

    def settled() -> bool:
        message.refresh_from_db(fields=["status"])
        on_its_way = (Status.QUEUED, Status.LEASED, Status.SUBMITTING)
        return message.status not in on_its_way or time.monotonic() > give_up_at

    try:
        embedded.run(data_dir(), until=settled, patience_seconds=0, only_direct=True)
    except embedded.AlreadyRunning:
        while not settled():
            time.sleep(0.05)
