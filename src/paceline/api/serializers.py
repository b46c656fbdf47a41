"""What does a program ask us to send? `POST /message/`, checked field by field before anything is written."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from rest_framework import serializers

from paceline.messaging import accounts
from paceline.messaging.models import Sender
from paceline.sms import errors, pacing, templates
from paceline.sms.numbers import may_be_national, normalize

from .errors import TooLarge

RECIPIENTS_MOST = 100_000
ERRORS_MOST = 100
WRONG_MOST = 1000
"""Wrong recipients after which the rest is not looked at: to say why a number is none takes up to 80 µs each."""

TEXT_MOST = 1600
"""Characters: ten segments and some. Most providers refuse a longer text, one message at a time."""

SENDERS_SHOWN = 5
BATCH_MOST = 2**31 - 1
LINE_MOST = 1_000_000
DELAY_MOST_SECONDS = 366 * 86400

_BARE = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Recipients:
    """E.164 numbers, each once, in the order given; `duplicates` is how many more were in the request."""

    numbers: list[str]
    duplicates: int


def read_number(raw: str, region: str | None) -> str:
    """`raw` as E.164, read in the default region; bare digits that are no number there are read as if after a plus.

    So `12065550100`, as providers' own APIs spell it, means the same in every region in which it is not somebody's
    national number; there the national reading wins. Raises `InvalidNumber` with the first reading's sentence.
    """
    digits = raw.strip()
    bare = _BARE.fullmatch(digits) is not None
    if bare and not may_be_national(digits, region):
        with suppress(errors.InvalidNumber):
            return normalize("+" + digits)
    try:
        return normalize(raw, region)
    except errors.InvalidNumber:
        if bare:
            with suppress(errors.InvalidNumber):
                return normalize("+" + digits)
        raise


def _region() -> str | None:
    return getattr(settings, "PACELINE", {}).get("REGION") or None


def _spelling(raw: Any) -> str | None:
    """A number as text: JSON text, or JSON digits without a sign. None for anything else."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
        return str(raw)
    return None


# --- the fields -----------------------------------------------------------------------------------------------


class RecipientsField(serializers.Field):
    """A list of numbers in any spelling → `Recipients`. One tight loop: a field per child costs ten times as much."""

    default_error_messages = {
        "type": 'recipients is a list of numbers, such as ["+12065550100", "+12065550101"].',
        "empty": "recipients is empty; give one number at least.",
        "item": 'A recipient is a number written as text, such as "+12065550100".',
        "more": "{count} more recipients are wrong; these are the first {shown}.",
        "many": "{count} more recipients are wrong, up to number {index}; those behind it were not looked at.",
    }

    def to_internal_value(self, data: Any) -> Recipients:
        if not isinstance(data, list):
            self.fail("type")
        if not data:
            self.fail("empty")
        if len(data) > RECIPIENTS_MOST:
            raise TooLarge(
                f"{len(data)} recipients are more than one request may have ({RECIPIENTS_MOST}). Put them into a file "
                "and import it with `paceline contacts import FILE`, or send several requests."
            )
        region = _region()
        numbers: dict[str, None] = {}
        wrong: dict[str, list[str]] = {}
        wrong_count = 0
        for index, raw in enumerate(data):
            spelling = _spelling(raw)
            try:
                if spelling is not None:
                    numbers[read_number(spelling, region)] = None
                    continue
                sentence = self.error_messages["item"]
            except errors.InvalidNumber as error:
                sentence = str(error)
            wrong_count += 1
            if wrong_count <= ERRORS_MOST:
                wrong[str(index)] = [sentence]
            if wrong_count == WRONG_MOST:
                break
        if wrong_count > ERRORS_MOST:
            sentence = self.error_messages["many" if wrong_count == WRONG_MOST else "more"]
            wrong["more"] = [sentence.format(count=wrong_count - ERRORS_MOST, shown=ERRORS_MOST, index=index)]
        if wrong:
            raise serializers.ValidationError(wrong)
        return Recipients([*numbers], len(data) - len(numbers))


class SenderField(serializers.Field):
    """One of our senders: a number in any spelling, a short code, or an alphanumeric id → `Sender`."""

    default_error_messages = {
        "type": 'sender is text: a number such as "+12065550100", a short code or a name.',
        "empty": "sender is empty; give one of your senders.",
        "removed": "This sender has been removed; `paceline sender add` with its number opens it again.",
        "unknown": "This is not one of your senders. {others}Add it with `paceline sender add NUMBER`.",
    }

    def to_internal_value(self, data: Any) -> Sender:
        spelling = _spelling(data)
        if spelling is None:
            self.fail("type")
        spelling = spelling.strip()
        if not spelling:
            self.fail("empty")
        found = list(Sender.objects.filter(number__in=self._readings(spelling)).order_by("pk"))
        active = [sender for sender in found if sender.removed_at is None]
        if active:
            return active[0]
        if found:
            self.fail("removed")
        numbers = Sender.objects.filter(removed_at=None).order_by("pk").values_list("number", flat=True)
        shown = ", ".join(dict.fromkeys(numbers[:SENDERS_SHOWN]))
        self.fail("unknown", others=f"There are: {shown}. " if shown else "")

    @staticmethod
    def _readings(spelling: str) -> list[str]:
        """As it is written, and as the number that it spells. No database is asked for what it cannot hold."""
        as_written = [spelling] if spelling.isprintable() and len(spelling) <= 21 else []
        try:
            return [*as_written, read_number(spelling, _region())]
        except errors.InvalidNumber:
            return as_written


class TextField(serializers.Field):
    """The text, exactly as written, with no `{{ field }}` that a pasted number cannot fill."""

    default_error_messages = {
        "type": "message_string is text.",
        "empty": "message_string is empty; write something to send.",
        "characters": "message_string holds a character that cannot be sent (NUL, or half of a surrogate pair).",
        "long": "message_string has {length} characters; {most} are the most.",
        "field": (
            "Numbers in a request carry no fields, so {names} would stay blank. Write the text out, give a default as "
            'in {{{{ {first}|default("…") }}}}, or import the numbers with `paceline contacts import FILE`.'
        ),
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("type")
        if not data.strip():
            self.fail("empty")
        if "\0" in data or any("\ud800" <= character <= "\udfff" for character in data):
            self.fail("characters")
        if len(data) > TEXT_MOST:
            self.fail("long", length=len(data), most=TEXT_MOST)
        try:
            required = sorted(templates.parse(data).required)
        except errors.TemplateError as error:
            raise serializers.ValidationError(str(error)) from error
        if required:
            self.fail("field", names=", ".join(f"{{{{ {name} }}}}" for name in required), first=required[0])
        return data


class CountField(serializers.Field):
    """A whole number of something, 1 or more."""

    default_error_messages = {"type": "{what}: a whole number, 1 or more. Leave it out for no such bound."}

    def __init__(self, *, what: str, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._what, self._most = what, most

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int) or not 1 <= data <= self._most:
            self.fail("type", what=self._what)
        return data


class SecondsField(serializers.Field):
    """A length of time in seconds, 0 to a year."""

    default_error_messages = {
        "type": f"delay_period is a number of seconds between two batches, from 0 to {DELAY_MOST_SECONDS} (a year)."
    }

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("type")
        if not 0 <= data <= DELAY_MOST_SECONDS:  # not a number is neither
            self.fail("type")
        return float(data)


class RateField(serializers.Field):
    """Units per second, as a number or as text such as "20/min"."""

    default_error_messages = {
        "type": 'mps is messages per second over all senders, 0.001 to 10000, such as 3, "0.5/s" or "20/min".'
    }

    def to_internal_value(self, data: Any) -> float:
        try:
            rate = pacing.per_second(data)
        except ValueError:
            self.fail("type")
        if not 0.001 <= rate <= 10_000:
            self.fail("type")
        return rate


class MoneyField(serializers.Field):
    """An amount, exactly as written."""

    default_error_messages = {
        "type": 'spend_cap is what all of it may cost, as text such as "12.50", with four places at the most.'
    }

    def to_internal_value(self, data: Any) -> Decimal:
        try:
            return accounts.money(data)
        except ValueError:
            self.fail("type")


# --- the request ----------------------------------------------------------------------------------------------


class BulkMessage(serializers.Serializer):
    """One text for many numbers, in batches of `batch_size` with `delay_period` seconds between them."""

    default_error_messages = {"invalid": "The body is one JSON object, not {datatype}."}

    sender = SenderField()
    recipients = RecipientsField()
    message_string = TextField()
    batch_size = CountField(required=False, what="batch_size is how many recipients per batch", most=BATCH_MOST)
    delay_period = SecondsField(required=False)
    mps = RateField(required=False)
    spend_cap = MoneyField(required=False)
    line = CountField(required=False, what="line is how many conversations the team may have open", most=LINE_MOST)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        unknown = _unknown(data, self.fields)
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(unknown | error.detail) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return values


def _unknown(data: Any, fields: Any) -> dict[str, list[str]]:
    """A misspelled field would otherwise be left out in silence: `batchsize` would send to all at once."""
    names = [name for name in data if name not in fields] if isinstance(data, dict) else []
    sentence = f"There is no such field; the fields are {', '.join(fields)}."
    return {name.encode(errors="replace").decode()[:60]: [sentence] for name in names[:ERRORS_MOST]}
