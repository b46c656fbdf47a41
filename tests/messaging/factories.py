"""How does a test say what there is? Small builders for senders, people, campaigns and texts, and a clock at hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from django.db import connection, transaction

from paceline.messaging import campaigns, inbox, outbox
from paceline.messaging.models import (
    Account,
    Campaign,
    Contact,
    ContactList,
    Conversation,
    Event,
    Membership,
    Sender,
    TextMessage,
)
from paceline.messaging.outbox import Lease, Outcome, Submission
from paceline.sms.errors import InvalidNumber, WebhookRejected
from paceline.sms.messages import Accepted, DeliveryReport, InboundText, Message, Request, Response
from paceline.sms.numbers import normalize
from paceline.sms.providers import Provider
from paceline.sms.status import Status

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0).timestamp()  # of the day of this run
IDLE = 0.0  # next_free_at of what has not been used for long

_numbers = count()


def _is_area(area: int) -> bool:
    try:
        return bool(normalize(f"{area}5550100", "US"))
    except InvalidNumber:
        return False


AREAS = [area for area in range(201, 990) if _is_area(area)]


class Clock:
    """A clock that stands until it is moved; the shape of `paceline.messaging.clock.Clock`."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at
        self.times_set = 0

    def sync(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


# --- what there is --------------------------------------------------------------------------------------------


def number(i: int | None = None) -> str:
    """The i-th number of the range for fiction, or one that this run has not used yet."""
    i = 10_000 + next(_numbers) if i is None else i
    return f"+1{AREAS[i // 100 % len(AREAS)]}55501{i % 100:02}"


def account(mps: float | None = None, alias: str = "default", **fields: Any) -> Account:
    return Account.objects.create(**{"alias": alias, "mps": mps, "next_free_at": IDLE} | fields)


def sender(of: Account, mps: float | None = 1.0, **fields: Any) -> Sender:
    return Sender.objects.create(**{"account": of, "number": number(), "mps": mps, "next_free_at": IDLE} | fields)


def people(how_many: int, **fields: str) -> list[Contact]:
    return Contact.objects.bulk_create([Contact(number=number(), fields=fields) for _ in range(how_many)])


def audience(members: Sequence[Contact], name: str = "Guests") -> ContactList:
    found, _ = ContactList.objects.get_or_create(name=name)
    Membership.objects.bulk_create([Membership(list=found, contact=person) for person in members])
    return found


def draft(how_many: int = 3, text: str = "Doors open at 7", **options: Any) -> Campaign:
    """A campaign for a list of its own."""
    guests = audience(people(how_many), name=f"Guests {next(_numbers)}")
    return campaigns.create("Opening night", text, list=guests, **options)


def launched(how_many: int = 3, **options: Any) -> Campaign:
    """Launched, and every recipient has its row."""
    return fanned_out(campaigns.launch(draft(how_many, **options)))


def fanned_out(campaign: Campaign) -> Campaign:
    while campaigns.fan_out(campaign):
        pass
    return campaign


def running() -> Campaign:
    """A running campaign whose texts a test puts into the outbox itself, with `queued`."""
    return Campaign.objects.create(name="Bulk", text="Hi", state=Campaign.State.RUNNING, fanned_out=True)


def queued(lane: Sender, how_many: int = 1, campaign: Campaign | None = None, **fields: Any) -> list[TextMessage]:
    """Texts that wait for a claim: bulk of a campaign, or direct ones."""
    values = {"text": "Hi", "status": Status.QUEUED, "priority": 50 if campaign else outbox.PRIORITY_DIRECT} | fields
    return TextMessage.objects.bulk_create(
        [TextMessage(sender=lane, frm=lane.number, to=number(), campaign=campaign, **values) for _ in range(how_many)]
    )


def event(account: str = "default", **fields: Any) -> Event:
    return Event.objects.create(**{"account": account, "dedupe_key": f"key {next(_numbers)}", "body": b"[]"} | fields)


def inbound(text: str, by: str, to: str, provider_id: str = "", **fields: Any) -> Event:
    """The event of one inbound text, as the webhook door has stored it."""
    stored = unsaved(text, by, to, provider_id, **fields)
    stored.save()
    return stored


def unsaved(text: str, by: str, to: str, provider_id: str = "", **fields: Any) -> Event:
    key = f"key {next(_numbers)}"
    said = {"number": by, "sender": to, "text": text, "provider_id": provider_id or key}
    return Event(**{"account": "default", "dedupe_key": key, "body": json.dumps([said]).encode()} | fields)


def conversation(lane: Sender, text: str = "Is there parking?", by: str = "", **fields: Any) -> Conversation:
    """What stands in the inbox after a text to `lane`, from somebody new unless told otherwise."""
    by = by or people(1)[0].number
    applied = inbound(text, by, lane.number, **{"next_try_at": None} | fields)
    inbox.receive([(applied, said) for said in Plain().events(applied)])
    return Conversation.objects.get(number=by, ours=lane.number)


# --- what happens ---------------------------------------------------------------------------------------------


def pass_gate(clock: Clock, of: Account) -> list[Submission]:
    """Claims, waits for the last slot, and passes the gate."""
    leases = outbox.claim(of.pk, clock)
    clock.at = max([clock.at, *(lease.slot_at for lease in leases)])
    return outbox.gate(leases, clock)


Answer = Callable[[Message], Any]


def accept(message: Message) -> Accepted:
    return Accepted(provider_id=f"id of {message.reference[:8]}")


def send(clock: Clock, of: Account, answer: Answer = accept) -> list[Submission]:
    """One claim's worth of texts, all the way to what the provider said about each."""
    passed = pass_gate(clock, of)
    outbox.settle([Outcome(s.lease, answer(s.message), clock.now()) for s in passed])
    return passed


def settle(lease: Lease, result: Any, clock: Clock) -> None:
    outbox.settle([Outcome(lease, result, clock.now())])


def statuses(of: Campaign) -> dict[str, int]:
    """{status: how many} over a campaign's rows."""
    found: dict[str, int] = {}
    for status in of.messages.values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def on_threads(how_many: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(i)` answers on real threads that start together; an exception counts as an answer."""
    answers: list[Any] = [None] * how_many
    start = threading.Barrier(how_many)

    def run(i: int) -> None:
        try:
            start.wait()
            answers[i] = work(i)
        except Exception as error:
            answers[i] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(how_many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is rolled back: one example of a property after another."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# --- a provider whose webhooks a test can write ---------------------------------------------------------------


class Plain(Provider):
    """Webhooks are JSON: a list of objects with the fields of a report, or of an inbound text."""

    name = "plain"

    def build(self, message: Message) -> Request:
        raise NotImplementedError

    def read(self, response: Response) -> Accepted:
        raise NotImplementedError

    def events(self, webhook: Any) -> list[DeliveryReport | InboundText]:
        try:
            return [_event(fields) for fields in json.loads(webhook.body)]
        except ValueError:
            raise WebhookRejected("not JSON") from None


def _event(fields: dict[str, Any]) -> DeliveryReport | InboundText:
    if "text" in fields:
        return InboundText(**fields)
    status, price = fields.pop("status", None), fields.pop("price", None)
    return DeliveryReport(status and Status(status), price=price and Decimal(price), **fields)


PROVIDERS = {alias: {"BACKEND": "tests.messaging.factories.Plain"} for alias in ("default", "other")}
