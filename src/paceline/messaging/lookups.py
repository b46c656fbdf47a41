"""What does the provider itself say of a message? Asked when no report has told: a price, an uncertain end."""

from __future__ import annotations

from paceline.sms import errors
from paceline.sms.messages import Lookup

from . import accounts, reports, texts
from .models import TextMessage


def look_up(message: TextMessage) -> TextMessage:
    """Asks the provider about an outgoing message and answers its row, with what was said: status, id, price.

    The status only rises, as with a report. What the provider does not find (yet) changes nothing: that a message is
    not there proves nothing, so nothing is sent again. Not for a message that is waiting or under way here.

    Raises `Unavailable` when the provider has no look-up or cannot be reached, `Uncertain` for an answer that says
    nothing, `AccountProblem` or `Throttled` as the provider says, `ValueError` for a message that was never submitted.
    """
    message.refresh_from_db()
    if message.sender is None or message.submitted_at is None or message.direction != TextMessage.Direction.OUTGOING:
        raise ValueError("This message was never submitted: there is nothing to look up")
    provider = accounts.provider(message.sender.account.alias)
    if not provider.capabilities.lookup:
        raise errors.Unavailable(f"{provider.name} has no look-up; only its reports tell what became of a message")
    asked = sought(message)
    answer = texts.transport().ask(provider.build_lookup(asked))
    if found := provider.read_lookup(answer, asked):
        reports.take_in(message, found)
        message.refresh_from_db()
    return message


def sought(message: TextMessage) -> Lookup:
    """What a provider is told of the message that it is asked about."""
    return Lookup(
        reference=message.reference,
        number=message.to,
        sender=message.frm,
        text=message.text,
        provider_id=message.provider_id,
        submitted_at=message.submitted_at or 0.0,
    )
