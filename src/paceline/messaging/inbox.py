"""What do people answer? Inbound texts become messages of a conversation; exact opt-out words take effect at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection
from django.utils import timezone

from paceline.sms import intents
from paceline.sms.intents import Certainty, Reading
from paceline.sms.keywords import Keyword, classify
from paceline.sms.messages import InboundText, new_reference
from paceline.sms.status import Status

from . import automatic, conversations, engine, signals, suppressions
from .automatic import Heard
from .conversations import Answered, Incoming, Taken
from .models import Contact, Event, Sender, TextMessage

NUMBER = re.compile(r"\+[0-9]{3,15}")
TABLE = TextMessage._meta.db_table


def obey(text: InboundText) -> None:
    """STOP suppresses the number, START lifts what a STOP has set. Runs in the webhook's own commit.

    What a provider has taken for a STOP is one, in whatever words.
    """
    if not NUMBER.fullmatch(text.number):
        return  # a short code or a name: nothing that a text could be sent to
    match Keyword.STOP if text.opted_out else classify(text.text):
        case Keyword.STOP:
            suppressions.stop(text.number, text.sender, text.text, text.at)
        case Keyword.START:
            suppressions.lift_opt_out(text.number, text.sender, text.text, text.at)


def receive(texts: Sequence[tuple[Event, InboundText]]) -> list[Taken]:
    """Stores inbound texts, each once, with who wrote it, to which sender and what it answers; opens conversations.

    Answers those that were new. What can be read before a transaction is; each is short: a handful of statements for
    some hundreds of texts, or a few texts when they may be answered by themselves, which is done in it. Twice the same
    text changes nothing, whoever applies it, in any order.
    """
    taken: list[Taken] = []
    if new := _new(texts):
        for part in engine.chunks(_attributed(new), automatic.at_once()):
            with engine.write():
                taken += _take_in(part)
    return taken


@dataclass(frozen=True, slots=True)
class _Draft:
    """A text that is about to be stored."""

    reference: str
    event: Event
    text: InboundText
    contact: Contact | None
    sender: Sender | None
    answers: Answered | None
    reading: Reading


def _new(texts: Sequence[tuple[Event, InboundText]]) -> dict[str, tuple[Event, InboundText]]:
    """{reference: text} of what is not stored yet, in the order in which it came."""
    said: dict[str, tuple[Event, InboundText]] = {}
    for event, text in texts:
        said.setdefault(_reference(event, text), (event, text))
    is_one, params = engine.one_of("reference", [*said])
    known = {reference for (reference,) in engine.rows(f"SELECT reference FROM {TABLE} WHERE {is_one}", params)}
    return {reference: pair for reference, pair in said.items() if reference not in known}


def _attributed(new: Mapping[str, tuple[Event, InboundText]]) -> list[_Draft]:
    """Who wrote each text, to which sender, what it answers and what it orders: three queries."""
    numbers = sorted({text.number for _, text in new.values()})
    contact_of = {c.number: c for c in Contact.objects.filter(engine.among(Contact, "number", numbers))}
    ours = sorted({text.sender for _, text in new.values()})
    senders = Sender.objects.filter(number__in=ours).select_related("account")
    sender_of = {(sender.account.alias, sender.number): sender for sender in senders}
    asked = [(contact_of.get(text.number), text.sender, event.received_at) for event, text in new.values()]
    answers = conversations.answered([(contact and contact.pk, to, at) for contact, to, at in asked])
    return [
        _Draft(
            reference,
            event,
            text,
            contact_of.get(text.number),
            sender_of.get((event.account, text.sender)),
            found,
            _read(text),
        )
        for (reference, (event, text)), found in zip(new.items(), answers, strict=True)
    ]


def _take_in(drafts: Sequence[_Draft]) -> list[Taken]:
    """Inserts the messages and puts those that nobody else has inserted meanwhile into their conversations."""
    mine = _insert(drafts)
    readings = {draft.reference: draft.reading for draft in drafts}
    taken = conversations.take_in(
        [
            Incoming(
                mine[d.reference], d.event.received_at, d.answers, needs_answer=_needs_answer(readings[d.reference])
            )
            for d in drafts
            if d.reference in mine
        ]
    )
    signals.created([one.message.pk for one in taken])
    for one in taken:
        if (reading := readings[one.message.reference]).certainty is not Certainty.EXACT:  # that was obeyed already
            suppressions.heed(one.message, reading)
    drafted = {draft.reference: draft for draft in drafts}
    automatic.answer_all(
        Heard(one.message, readings[one.message.reference], one.conversation, draft.event.received_at)
        for one in taken
        for draft in [drafted[one.message.reference]]
        if not draft.text.opted_out  # whoever has taken it for a STOP answers it
    )
    return taken


def _read(text: InboundText) -> Reading:
    """What it asks for; what a provider has taken for a STOP is one."""
    return Reading(Keyword.STOP, Certainty.EXACT) if text.opted_out else intents.read(text.text)


def _needs_answer(reading: Reading) -> bool:
    """False for an order that is obeyed: nobody of the team need see to it."""
    return reading.intent is None or (reading.intent is Keyword.HELP and reading.certainty is not Certainty.EXACT)


def _insert(drafts: Sequence[_Draft]) -> dict[str, TextMessage]:
    """{reference: row} of those that this call has inserted: each carries its mark, in case two apply the same."""
    common = {"direction": TextMessage.Direction.INCOMING.value, "status": Status.RECEIVED.value}
    common |= {"created_on": timezone.now(), "attempt": new_reference()}
    told = {draft.reference: _told(draft) for draft in drafts}
    people = {draft.reference: (draft.contact, draft.sender) for draft in drafts}
    fields = [field for field in TextMessage._meta.concrete_fields if not field.primary_key]
    usual = TextMessage(**common)
    plain = {f.attname: f.get_db_prep_save(getattr(usual, f.attname), connection) for f in fields}
    rows = [(plain | values).values() for values in told.values()]
    quote = connection.ops.quote_name
    engine.insert(TextMessage._meta.db_table, [quote(f.column) for f in fields], [(*row,) for row in rows])
    is_one, params = engine.one_of("reference", [*told])
    found = engine.rows(f"SELECT reference, id, attempt FROM {TABLE} WHERE {is_one}", params)
    if len(found) < len(told):  # MariaDB passes over what another constraint forbids, too
        raise IntegrityError("An inbound text could not be stored: its contact or sender is gone")
    mine = {}
    for reference, pk, attempt in found:
        if attempt == usual.attempt:
            mine[reference] = message = TextMessage(pk=pk, **common, **told[reference])
            message.contact, message.sender = people[reference]
            message._state.adding, message._state.db = False, DEFAULT_DB_ALIAS
    return mine


def _told(draft: _Draft) -> dict[str, Any]:
    """What distinguishes this message from other inbound ones: columns and their plain values."""
    return {
        "reference": draft.reference,
        "contact_id": draft.contact and draft.contact.pk,
        "sender_id": draft.sender and draft.sender.pk,
        "frm": draft.text.number[:21],
        "to": draft.text.sender[:21],
        "text": draft.text.text,
        "provider_id": draft.text.provider_id[:64],
    }


def _reference(event: Event, text: InboundText) -> str:
    """The same for the same text, however often it comes: by the provider's id, else by the webhook it came in."""
    origin = event.account if text.provider_id else event.dedupe_key
    said = "\0".join([origin, text.provider_id, text.number, text.sender, text.text])
    return hashlib.sha256(said.encode()).hexdigest()[:32]
