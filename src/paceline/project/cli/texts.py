"""Commands about one text: how many segments it is, and sending it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import click

from paceline.sms import segments as counting

from .common import FAILED, UNSAFE, WRONG_USAGE, as_json, data_dir, fail, installed, say
from .values import REGION, Amount, Text
from .values import number as as_number
from .values import sender as as_sender


@click.command()
@click.argument("text", type=Text(), required=False)
@click.option("--smart", is_flag=True, help="Count it with typographic characters replaced.")
@as_json
def segments(text: str | None, smart: bool, as_json: bool) -> None:
    """Counts the segments of TEXT and shows what makes it dearer.

    Without TEXT, or with -, it is read from stdin.
    """
    if text is None or text == "-":
        text = _stdin()
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


def _stdin() -> str:
    if sys.stdin.isatty():
        click.echo("Type the text, then Ctrl-D on a line of its own", err=True)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(f"What comes on stdin is not UTF-8 (byte {error.start + 1}); save it as UTF-8 first", WRONG_USAGE)
    return text.removesuffix("\n").removesuffix("\r")


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
@click.argument("text", type=Text())
@click.option("--from", "frm", help="The sender; default: the one this contact always hears from.")
@REGION
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=Amount(0, 86400),
    help="Seconds to wait for the provider's answer.",
)
@as_json
@installed
def send(number: str, text: str, frm: str | None, region: str | None, timeout: float, as_json: bool) -> None:
    """Sends TEXT to NUMBER and waits for the provider's answer.

    It goes ahead of bulk, in its sender's pace. Exit code 3 when the number is suppressed: then nothing was sent.
    """
    from paceline.messaging import outbox, suppressions

    to = as_number(number, region)
    if not text.strip():
        fail("The text is empty; write something to send", WRONG_USAGE)
    if suppressions.among([to]):
        fail("This number is suppressed; nothing was sent (paceline optout list shows why)", UNSAFE)
    sender = as_sender(frm, region) if frm else _usual_sender(to)
    if suppressions.among([suppressions.Way(to, sender.number)]):
        fail(f"This number is suppressed for {sender}; nothing was sent (paceline optout list shows why)", UNSAFE)
    _must_be_open(sender)
    message = outbox.queue_text(text, sender, to)
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():  # the console provider's
        _wait(message, timeout)
    message.refresh_from_db()
    _answer(message, as_json)


def _usual_sender(to: str) -> Any:
    """The sender that this contact always hears from; a new contact gets one."""
    from paceline.messaging import senders
    from paceline.messaging.models import Contact

    if not senders.active():
        fail("There is no sender; add one with: paceline sender add NUMBER", WRONG_USAGE)
    contact, _ = Contact.objects.get_or_create(number=to)
    senders.assign([contact.pk])
    contact.refresh_from_db()
    return contact.sender


def _must_be_open(sender: Any) -> None:
    """Ends the command while nothing is queued that could not leave."""
    from paceline.messaging import accounts, installation

    if why := installation.guard():
        fail(f"Nothing was sent: {why}. {installation.NEXT}", UNSAFE)
    accounts.provider(sender.account.alias)
    for what, why in ((f"Provider {sender.account}", sender.account.blocked), (f"Sender {sender}", sender.blocked)):
        if why:
            fail(f"Nothing was sent. {what} is blocked: {why.rstrip('.')}. Mend it, then: paceline doctor --unblock")


def _wait(message: Any, timeout: float) -> None:
    """Until the message has left the outbox: by the dispatcher that runs, else by one of our own."""
    from paceline.dispatcher import embedded

    give_up_at = time.monotonic() + timeout

    def settled() -> bool:
        message.refresh_from_db(fields=["status"])
        return not _is_on_its_way(message) or time.monotonic() > give_up_at

    with contextlib.suppress(KeyboardInterrupt):
        try:
            embedded.run(data_dir(), until=settled, patience_seconds=0, only_direct=True)
        except embedded.AlreadyRunning:
            while not settled():
                time.sleep(0.05)


def _is_on_its_way(message: Any) -> bool:
    from paceline.sms.status import Status

    return message.status in (Status.QUEUED, Status.LEASED, Status.SUBMITTING)


def _answer(message: Any, as_json: bool) -> None:
    """What became of it, and an exit code that lets nobody send it twice by mistake: 0 unless it will not come."""
    from paceline.sms.status import Status

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
    if _is_on_its_way(message):
        click.echo(
            "No answer yet. It stays in the outbox and leaves once: do not send it again; "
            "paceline doctor says what holds it up, paceline up sends it",
            err=True,
        )
    elif message.status == Status.SUPPRESSED:
        fail("This number is suppressed; nothing was sent (paceline optout list shows why)", UNSAFE)
    elif message.status == Status.UNCERTAIN:
        fail("Nobody can know whether the provider took it. It is not sent again; a delivery report may settle it")
    elif message.status not in (Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.UNCONFIRMED):
        code = f" (the provider's code {message.code})" if message.code else ""
        fail(f"It was not sent: {message.reason or message.status}{code}", FAILED)
