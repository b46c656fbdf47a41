"""What does a delivery report change? The status of its message, upwards only, and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from paceline.sms.messages import DeliveryReport
from paceline.sms.status import Status, advance

from . import engine, lanes, signals, suppressions
from .models import Event, Sender, TextMessage

TABLE, Direction = TextMessage._meta.db_table, TextMessage.Direction


def apply(reports: Sequence[tuple[Event, DeliveryReport]]) -> list[Event]:
    """Applies reports in any order and any repetition; answers the events whose message is not known.

    A report finds its message by our reference, else by the provider's id on the same account. Runs inside the
    caller's transaction.
    """
    if not reports:
        return []
    references = {report.reference for _, report in reports if report.reference}
    provider_ids = {report.provider_id[:64] for _, report in reports if report.provider_id}
    outgoing = TextMessage.objects.filter(pk__in=_meant(references, provider_ids), direction=Direction.OUTGOING)
    messages = list(engine.locked(outgoing.order_by("pk")))
    aliases = dict(Sender.objects.filter(pk__in={m.sender_id for m in messages}).values_list("pk", "account__alias"))
    by_reference = {message.reference: message for message in messages}
    by_provider_id = {(aliases.get(m.sender_id, ""), m.provider_id): m for m in messages if m.provider_id}
    unmatched: list[Event] = []
    changed: dict[int, tuple[TextMessage, str]] = {}
    cleared: set[int] = set()
    for event, report in reports:
        named = by_provider_id.get((event.account, report.provider_id[:64]))
        message = by_reference.get(report.reference, named)
        if message is None:
            if event not in unmatched:
                unmatched.append(event)
            continue
        changed.setdefault(message.pk, (message, message.status))
        cleared |= _raise(message, report)
    with signals.watched(changed):
        _write([pair for _, pair in sorted(changed.items())])
    if cleared:
        lanes.heard(*cleared, uncertain=False)
    return unmatched


def _meant(references: set[str], provider_ids: set[str]) -> set[int]:
    """The ids of what is known by one of these; one after the other, each by its index."""
    found: set[int] = set()
    for column, values in ("reference", references), ("provider_id", provider_ids):
        if values:
            is_one, params = engine.one_of(column, list(values))
            found |= {
                pk for (pk,) in engine.rows(f"SELECT id FROM {TABLE} WHERE {is_one} AND NOT ({column} = '')", params)
            }
    return found


def take_in(message: TextMessage, report: DeliveryReport) -> None:
    """Applies what was learned about one message that is known."""
    with engine.write(), signals.watched([message.pk]):
        for row in engine.locked(TextMessage.objects.filter(pk=message.pk)):
            before = row.status
            cleared = _raise(row, report)
            _write([(row, before)])
            if cleared:
                lanes.heard(*cleared, uncertain=False)


def _raise(message: TextMessage, report: DeliveryReport) -> set[int]:
    """Takes in one report: the status only ever rises, and what was not known is filled in.

    Answers the sender, if it was in doubt of this message: all that are no longer are written together, by their ids.
    """
    before = Status(message.status)
    after = before if report.status is None else advance(before, report.status)
    if after is not before:
        message.status, message.code, message.reason = after, report.code[:40], report.reason[:200]
    message.provider_id = message.provider_id or report.provider_id[:64]
    message.segments = report.segments or message.segments
    if report.price is not None:
        message.price, message.currency = report.price, report.currency[:3]
    if report.opted_out:
        suppressions.refused(message.to, message.frm, f"a delivery report said: opted out {report.code[:40]}".strip())
    is_cleared = before is Status.UNCERTAIN and after is not before
    return {message.sender_id} if is_cleared and message.sender_id else set()


def _write(changed: Sequence[tuple[TextMessage, str]]) -> None:
    now = engine.moment(timezone.now())
    table = TextMessage._meta.db_table
    price = TextMessage._meta.get_field("price")
    engine.many(
        # the lease first: MariaDB sees the new status further to the right
        f"UPDATE {table} SET lease_until = CASE WHEN status = %s THEN lease_until ELSE NULL END, status = %s,"
        " code = %s, reason = %s, provider_id = %s, segments = %s, price = %s, currency = %s, reported_at = %s"
        " WHERE id = %s AND status = %s",
        [
            (
                str(message.status),
                str(message.status),
                message.code,
                message.reason,
                message.provider_id,
                message.segments,
                engine.amount(price, message.price),
                message.currency,
                now,
                message.pk,
                str(before),
            )
            for message, before in changed
        ],
    )
