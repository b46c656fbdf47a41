"""What do people answer? Inbound texts become messages; exact opt-out words take effect at once."""

from __future__ import annotations

import hashlib
import re

from django.db import IntegrityError, transaction

from paceline.sms.keywords import Keyword, classify
from paceline.sms.messages import InboundText
from paceline.sms.status import Status

from . import signals, suppressions
from .models import Contact, Event, Sender, TextMessage

NUMBER = re.compile(r"\+[0-9]{3,15}")


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


def receive(event: Event, text: InboundText) -> TextMessage:
    """Stores an inbound text once, with the contact who wrote it and the sender it was written to."""
    reference = _reference(event, text)
    known = TextMessage.objects.filter(direction=TextMessage.Direction.INCOMING, reference=reference)
    if found := known.first():
        return found
    message = TextMessage(
        direction=TextMessage.Direction.INCOMING,
        reference=reference,
        contact=Contact.objects.filter(number=text.number).first(),
        sender=Sender.objects.filter(number=text.sender, account__alias=event.account).first(),
        frm=text.number[:21],
        to=text.sender[:21],
        text=text.text,
        status=Status.RECEIVED,
        provider_id=text.provider_id[:64],
    )
    try:
        with transaction.atomic():
            return signals.insert(message)
    except IntegrityError:  # somebody applied the same event at the same moment
        return known.get()


def _reference(event: Event, text: InboundText) -> str:
    """The same for the same text, however often it comes: by the provider's id, else by the webhook it came in."""
    origin = event.account if text.provider_id else event.dedupe_key
    said = "\0".join([origin, text.provider_id, text.number, text.sender, text.text])
    return hashlib.sha256(said.encode()).hexdigest()[:32]
