"""What happens to a campaign? Draft → scheduled → running ⇄ paused → finished or cancelled; and its valve.

Launch only changes the state. The rows are written (`fan_out`), released (`release`), cancelled (`sweep`) and the
end is found (`finish`) by short steps that a dispatcher repeats, each of which may be killed and goes on later.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Exists, F, Max, Min, OuterRef, Q, TextField, Value
from django.db.models.functions import Coalesce, JSONObject
from django.utils import timezone

from paceline.sms import errors, pacing, segments, templates
from paceline.sms.status import UNFINISHED, Status

from . import caps, engine, lanes, replies, senders, signals, suppressions
from .models import Account, Campaign, Contact, ContactList, Intake, Membership, Sender, TextMessage

State = Campaign.State
NAME_MOST = 120
CHUNKS_AT_ONCE = 10  # what cancelling does within the request that asks for it
CHUNK = 200  # rows that are rendered or inserted in one write transaction
NUMBERS_PER_INTAKE = 200


class CampaignError(errors.PacelineError):
    """The campaign cannot do that; the sentence says why and what to do."""


# --- drafting -------------------------------------------------------------------------------------------------


def create(
    name: str,
    text: str,
    *,
    list: ContactList | None = None,
    numbers: Sequence[str] = (),
    sender: Sender | None = None,
    batch_size: int | None = None,
    delay_period: float = 0,
    scheduled_at: datetime | None = None,
    expires_at: datetime | None = None,
    mps: float | None = None,
    unit: str = Campaign.Unit.MESSAGE,
    spend_cap: Decimal | None = None,
    reply_pace: replies.ReplyPace | None = None,
) -> Campaign:
    """A draft for a list, for E.164 `numbers`, or both. Raises `CampaignError` or `TemplateError`; then none is.

    `mps` is a limit of its own, in units per second, over all senders; `spend_cap` what all of it may cost;
    `reply_pace` what the team can answer, and it is released no faster than that.
    """
    if not text.strip():
        raise CampaignError("The text is empty; write something to send")
    templates.parse(text)
    if segments.count(text) > lanes.SEGMENTS_MOST:
        raise CampaignError(
            f"The text is {segments.count(text)} segments; {lanes.SEGMENTS_MOST} is the most: shorten it"
        )
    if len(name) > NAME_MOST:
        raise CampaignError(f"The name has {len(name)} characters; {NAME_MOST} is the most")
    for moment, word in ((scheduled_at, "scheduled_at"), (expires_at, "expires_at")):
        if moment is not None and timezone.is_naive(moment):
            raise CampaignError(f"{word} has no time zone; give an aware datetime such as 2026-12-01T09:00+00:00")
    _check_pace(batch_size, delay_period)
    _check_limits(mps, spend_cap)
    _check_reply_pace(reply_pace)
    unique = [*dict.fromkeys(numbers)]
    with engine.write():
        campaign = Campaign.objects.create(
            name=name.strip() or f"Campaign of {timezone.now():%d %b %H:%M}",
            text=text,
            list=list,
            sender=sender,
            batch_size=batch_size,
            delay_period=delay_period,
            scheduled_at=scheduled_at,
            expires_at=expires_at,
            mps=mps,
            unit=unit,
            spend_cap=spend_cap,
            **(reply_pace or replies.NONE).columns(),
        )
        Intake.objects.bulk_create(
            Intake(campaign=campaign, numbers=[*part]) for part in engine.chunks(unique, NUMBERS_PER_INTAKE)
        )
    return campaign


def _check_pace(batch_size: int | None, delay_period: float) -> None:
    if batch_size is not None and batch_size < 1:
        raise CampaignError("batch_size is the number of recipients per tranche: 1 or more, or none for all at once")
    if not 0 <= delay_period <= 366 * 86400:
        raise CampaignError("delay_period is in seconds: 0 or more, a year at the most")


def _check_limits(mps: float | None, spend_cap: Decimal | None) -> None:
    if mps is not None and not 0.001 <= mps <= 10_000:
        raise CampaignError("A campaign's limit is 0.001 to 10000 units per second, or none")
    if spend_cap is not None and not Account.objects.filter(price_per_segment__gt=0).exists():
        raise CampaignError("A spend cap counts nothing before PRICE_PER_SEGMENT stands in the settings of an account")


def _check_reply_pace(pace: replies.ReplyPace | None) -> None:
    try:
        (pace or replies.NONE).check()
    except ValueError as error:
        raise CampaignError(str(error)) from error


# --- control --------------------------------------------------------------------------------------------------


def launch(campaign: Campaign) -> Campaign:
    """Starts a draft, or schedules it when it has a `scheduled_at` in the future. Twice is once.

    Raises `CampaignError` when it has nobody, no sender, or contacts that lack a field of its text: then nothing
    has been changed.
    """
    problems = check(campaign)
    if problems:
        raise CampaignError(" ".join(problems))
    later = campaign.scheduled_at is not None and campaign.scheduled_at > timezone.now()
    change: dict[str, Any] = (
        {"state": State.SCHEDULED} if later else {"state": State.RUNNING, "started_at": timezone.now()}
    )
    last = Membership.objects.filter(list=campaign.list).aggregate(last=Max("pk"))["last"] if campaign.list_id else None
    if not Campaign.objects.filter(pk=campaign.pk, state=State.DRAFT).update(fan_out_until=last or 0, **change):
        _explain(campaign, "launched", "draft")
    campaign.refresh_from_db()
    return campaign


def check(campaign: Campaign) -> list[str]:
    """What stands in the way of a launch, one sentence each; an empty list means ready."""
    problems = []
    if not (campaign.list_id and campaign.list.memberships.exists()) and not campaign.intakes.exists():
        problems.append("Nobody is in the audience; import contacts into its list first.")
    if campaign.sender is not None and campaign.sender.removed_at is not None:
        problems.append(f"Its sender {campaign.sender} has been removed; add it again or choose another.")
    if campaign.sender is None and not senders.active():
        problems.append("There is no sender; add one with `paceline sender add NUMBER`.")
    for name in sorted(templates.parse(campaign.text).required):
        lacking = 0
        if campaign.list_id:
            without = Q(**{f"contact__fields__{name}": ""}) | Q(**{f"contact__fields__{name}__isnull": True})
            lacking = Membership.objects.filter(without, list=campaign.list).count()
        if campaign.intakes.exists():
            lacking += sum(len(intake.numbers) for intake in campaign.intakes.all())
        if lacking:
            problems.append(
                f'{lacking} recipients have no "{name}"; fill it in, or write {{{{ {name}|default("…") }}}} instead.'
            )
    return problems


def pause(campaign: Campaign) -> Campaign:
    """No submit begins later than 250 ms after this; what is on the wire finishes."""
    return _switch(campaign, "paused", {State.RUNNING: State.PAUSED})


def resume(campaign: Campaign) -> Campaign:
    """Goes on exactly where it stood. Raises `CampaignError` while its money is spent, too."""
    campaign.refresh_from_db()
    if campaign.state == State.PAUSED and campaign.blocked and campaign.spend_cap is not None:
        least = Account.objects.filter(price_per_segment__gt=0).aggregate(least=Min("price_per_segment"))["least"]
        if campaign.spent + (least or 0) > campaign.spend_cap:
            raise CampaignError(f"Campaign {campaign.pk} stays paused. {campaign.blocked}.")
    return _switch(campaign, "resumed", {State.PAUSED: State.RUNNING}, blocked="")


def cancel(campaign: Campaign) -> Campaign:
    """Ends it: who has not been submitted to by 250 ms after this is `cancelled`; the account is exact.

    Moves the first rows itself; of a large campaign the dispatcher moves the rest.
    """
    _switch(
        campaign,
        "cancelled",
        dict.fromkeys((State.DRAFT, State.SCHEDULED, State.RUNNING, State.PAUSED), State.CANCELLED),
    )
    for _ in range(CHUNKS_AT_ONCE):
        if not (fan_out(campaign) or sweep(campaign)):
            finish(campaign)
            break
    campaign.refresh_from_db()
    return campaign


def set_pace(campaign: Campaign, *, batch_size: int | None, delay_period: float) -> Campaign:
    """Changes the valve while it runs; takes effect at the next tranche and repeats or loses nobody."""
    _check_pace(batch_size, delay_period)
    still = Campaign.objects.filter(pk=campaign.pk).exclude(state__in=[State.FINISHED, State.CANCELLED])
    if not still.update(batch_size=batch_size, delay_period=delay_period):
        _explain(campaign, "given another pace", "draft, scheduled, running or paused")
    campaign.refresh_from_db()
    return campaign


def set_reply_pace(campaign: Campaign, pace: replies.ReplyPace | None) -> Campaign:
    """Changes what the team can answer while it runs, from the next tranche on; with None it waits for no replies."""
    _check_reply_pace(pace)
    still = Campaign.objects.filter(pk=campaign.pk).exclude(state__in=[State.FINISHED, State.CANCELLED])
    if not still.update(**(pace or replies.NONE).columns()):
        _explain(campaign, "given another pace", "draft, scheduled, running or paused")
    replies.ask_again(campaign)
    campaign.refresh_from_db()
    return campaign


def set_limits(
    campaign: Campaign, *, mps: float | None, unit: str | None = None, spend_cap: Decimal | None
) -> Campaign:
    """Changes its own limit, which acts on the next claim, and what it may cost. A paused one stays paused."""
    _check_limits(mps, spend_cap)
    still = Campaign.objects.filter(pk=campaign.pk).exclude(state__in=[State.FINISHED, State.CANCELLED])
    if not still.update(spend_cap=spend_cap):
        _explain(campaign, "given other limits", "draft, scheduled, running or paused")
    campaign.refresh_from_db()
    if (campaign.mps, campaign.unit) != (mps, unit or campaign.unit):
        lanes.set_rate(campaign, mps, engine.now(), unit=unit)
        campaign.refresh_from_db()
    return campaign


def _switch(campaign: Campaign, word: str, moves: dict[State, State], **changes: Any) -> Campaign:
    """A conditional update: the row count is the answer, so two doors cannot both do it."""
    with engine.write():
        switched = any(
            Campaign.objects.filter(pk=campaign.pk, state=before).update(state=after, **changes)
            for before, after in moves.items()
        )
    if switched:
        campaign.refresh_from_db()
        return campaign
    _explain(campaign, word, " or ".join(moves))
    return campaign


def _explain(campaign: Campaign, word: str, wanted: str) -> None:
    campaign.refresh_from_db()
    raise CampaignError(f"Campaign {campaign.pk} is {campaign.state}; only a {wanted} campaign can be {word}.")


# --- the steps that a dispatcher repeats ----------------------------------------------------------------------


def due() -> list[Campaign]:
    """Campaigns that a step may be waiting for: everything launched and not at its end."""
    return engine.read(Campaign, "state IN ('running', 'paused') OR state = 'cancelled' AND finished_at IS NULL")


def is_due(campaign: Campaign, now: float) -> bool:
    """True when a step of this campaign, which is one of `due()`, would do something at `now`."""
    if not campaign.fanned_out or campaign.state == State.CANCELLED:
        return True
    if campaign.state != State.RUNNING:
        return False
    if _has(campaign, Status.HELD):
        return _tranche_is_due(campaign, now) and replies.has_room(campaign, now)
    return not _has(campaign, *UNFINISHED)  # its end is to be found


def _has(campaign: Campaign, *statuses: Status, but: str = "") -> bool:
    """True while it has a message in one of these statuses; with `but`, one that has another code."""
    where, params = (
        f"status IN ({', '.join(repr(status.value) for status in statuses)}) AND campaign_id = %s",
        [campaign.pk],
    )
    if but:
        where, params = f"{where} AND code <> %s", [*params, but]
    return engine.is_any(TextMessage, where, params, by="status")


def start_scheduled() -> int:
    """Starts what has come due."""
    now = timezone.now()
    return Campaign.objects.filter(state=State.SCHEDULED, scheduled_at__lte=now).update(
        state=State.RUNNING, started_at=now
    )


def fan_out(campaign: Campaign) -> int:
    """Writes one `held` row per recipient, a chunk at a time. 0 when every recipient has a row.

    The chunk and its bookmark commit together, so a kill between two chunks repeats and loses nobody.
    """
    if campaign.fanned_out:
        return 0
    loads = _loads_of(campaign) if campaign.sender_id is None else {}
    with engine.write():
        campaign.refresh_from_db(from_queryset=engine.locked(Campaign.objects.all()))
        contact_ids = _next_members(campaign) or _next_intake(campaign)
        if not contact_ids:
            _loads.pop(campaign.pk, None)
            Campaign.objects.filter(pk=campaign.pk).update(fanned_out=True)
            campaign.fanned_out = True
            return 0
        if campaign.sender_id is None:
            senders.assign(contact_ids, loads)
        known = TextMessage.objects.filter(campaign=campaign, to=OuterRef("number"))  # by the unique index
        contacts = Contact.objects.filter(~Exists(known), pk__in=contact_ids).order_by("pk")
        columns = _held_columns(campaign)
        with signals.inserted(TextMessage.objects.filter(campaign=campaign, contact__in=contact_ids)):
            engine.insert_select(TextMessage, [*columns], contacts.values_list(*columns.values()))
    return len(contact_ids)


_loads: dict[int, tuple[datetime, float, dict[int, int]]] = {}
"""Per campaign that is being fanned out: which it is, when the senders' loads were counted, and what they are now."""

LOADS_SECONDS = 10.0
"""How long a count is carried on; what other fan-outs assign meanwhile is levelled out by the next."""


def _loads_of(campaign: Campaign) -> dict[int, int]:
    """The senders' loads, counted now and then: a count per chunk would make a long fan-out ever slower."""
    created_at, counted_at, loads = _loads.get(campaign.pk, (None, 0.0, {}))
    if created_at != campaign.created_at or time.monotonic() - counted_at > LOADS_SECONDS:
        loads = senders.loads()
        _loads[campaign.pk] = campaign.created_at, time.monotonic(), loads
    return loads


def _next_members(campaign: Campaign) -> list[int]:
    members = Membership.objects.filter(
        list=campaign.list_id, pk__gt=campaign.fan_out_after, pk__lte=campaign.fan_out_until
    ).order_by("pk")
    pairs = list(members.values_list("pk", "contact")[:CHUNK]) if campaign.list_id else []
    if pairs:
        Campaign.objects.filter(pk=campaign.pk).update(fan_out_after=pairs[-1][0])
    return [contact for _, contact in pairs]


def _next_intake(campaign: Campaign) -> list[int]:
    intake = campaign.intakes.order_by("pk").first()
    if intake is None:
        return []
    Contact.objects.bulk_create([Contact(number=number) for number in intake.numbers], ignore_conflicts=True)
    intake.delete()
    return list(Contact.objects.filter(number__in=intake.numbers).order_by("pk").values_list("pk", flat=True))


def _held_columns(campaign: Campaign) -> dict[str, Any]:
    """Every column of a `held` row and where its value comes from, the contact being the row selected from."""
    fixed = campaign.sender
    names = sorted(templates.parse(campaign.text).fields)
    snapshot = JSONObject(**{name: F(f"fields__{name}") for name in names}) if names else Value({}, _json())
    empty = Value("", CharField())
    return {
        "reference": engine.RandomReference(),
        "direction": Value(TextMessage.Direction.OUTGOING.value, CharField()),
        "campaign": Value(campaign.pk),
        "contact": F("pk"),
        "sender": Value(fixed.pk) if fixed else F("sender"),
        "frm": Value(fixed.number, CharField()) if fixed else Coalesce("sender__number", empty),
        "to": F("number"),
        "text": Value("", TextField()),
        "fields": snapshot,
        "segments": Value(1),
        "status": Value(Status.HELD.value, CharField()),
        "priority": Value(campaign.priority),
        "not_before": Value(0.0),
        "expires_at": Value(campaign.expires_at, _moment()),
        "attempt": empty,
        "tries": Value(0),
        "provider_id": empty,
        "code": empty,
        "reason": empty,
        "currency": empty,
        "created_on": Value(timezone.now(), _moment()),
    }


def _json() -> Any:
    return TextMessage._meta.get_field("fields").__class__()


def _moment() -> Any:
    return TextMessage._meta.get_field("created_on").__class__(null=True)


def release(campaign: Campaign, now: float) -> int:
    """The valve: renders and queues the next part of a tranche, if one is due at `now`. Answers how many.

    A tranche of `batch_size` begins when the one before has left the outbox and `delay_period` seconds have
    passed since its last submit. Suppressed recipients are passed by and fill no place in it. Of a reply-aware
    campaign, no more are released than bring the team replies that it can answer.
    """
    if not _has(campaign, Status.HELD) or not _tranche_is_due(campaign, now):
        return 0
    if not replies.has_room(campaign, now):
        return 0
    with engine.write():
        replies.lock(campaign)
        campaign.refresh_from_db(from_queryset=engine.locked(Campaign.objects.all()))
        if campaign.state != State.RUNNING or not _tranche_is_due(campaign, now):
            return 0
        left = campaign.tranche_left or campaign.batch_size or CHUNK
        room = min(CHUNK, left, replies.room(campaign, now))
        # in words of our own, for an index of what is held alone must see that nothing else is asked for
        rows = engine.read_rows(
            TextMessage, ("id", "to", "frm", "fields"), "campaign_id = %s AND status = 'held'", [campaign.pk], most=room
        )
        held = [(pk, suppressions.Way(to, frm, campaign.list_id), fields) for pk, to, frm, fields in rows]
        suppressed = suppressions.among(way for _, way, _ in held)
        queued, ended = [], []
        for message_id, way, fields in held:
            if way in suppressed:
                ended.append((Status.SUPPRESSED.value, "", message_id))
                continue
            try:
                text = templates.render(campaign.text, {k: v for k, v in fields.items() if v is not None})
            except errors.TemplateError as error:
                ended.append((Status.REFUSED.value, str(error)[:200], message_id))
            else:
                queued.append((text, segments.count(text), message_id))
        table = TextMessage._meta.db_table
        with signals.watched(message_id for message_id, _, _ in held):
            engine.many(
                f"UPDATE {table} SET status = 'queued', text = %s, segments = %s WHERE id = %s AND status = 'held'",
                queued,
            )
            engine.many(f"UPDATE {table} SET status = %s, reason = %s WHERE id = %s AND status = 'held'", ended)
        if held and (campaign.batch_size or campaign.tranche_left):
            campaign.tranche_left = left - len(queued) if campaign.batch_size else 0
            campaign.save(update_fields=["tranche_left"])
    return len(held)


def _tranche_is_due(campaign: Campaign, now: float) -> bool:
    """True while a tranche is being released, and when the next one may begin."""
    if campaign.batch_size is None or campaign.tranche_left:
        return True
    # who has had the texts of today is not waited for
    if _has(campaign, Status.QUEUED, Status.LEASED, but=caps.RECIPIENT):
        return False
    mine = TextMessage.objects.filter(campaign=campaign)
    # a submit that is still to come is of a clock that was put back: it would hold up the next tranche for as long
    past = mine.filter(submitted_at__lte=now + pacing.LOOKAHEAD_SECONDS + lanes.LEAD_MOST_SECONDS)
    last = past.aggregate(last=Max("submitted_at"))["last"]
    return last is None or now >= last + campaign.delay_period


def sweep(campaign: Campaign) -> int:
    """Moves a chunk of a cancelled campaign's waiting rows to `cancelled`. 0 when none is left."""
    with engine.write():
        waiting = TextMessage.objects.filter(campaign=campaign, status__in=[Status.HELD, Status.QUEUED])
        ids = list(waiting.values_list("pk", flat=True)[: engine.CHUNK])
        with signals.watched(ids):
            return TextMessage.objects.filter(pk__in=ids, status__in=[Status.HELD, Status.QUEUED]).update(
                status=Status.CANCELLED, attempt=""
            )


def finish(campaign: Campaign) -> bool:
    """Over when everybody has a row and nothing is held, queued, leased or submitting; reports may still come.

    A running campaign is finished then; a cancelled one stays cancelled.
    """
    end = {State.RUNNING: State.FINISHED, State.CANCELLED: State.CANCELLED}.get(State(campaign.state))
    if end is None or not campaign.fanned_out:
        return False
    if _has(campaign, *UNFINISHED):
        return False
    still = Campaign.objects.filter(pk=campaign.pk, state=campaign.state, finished_at=None)
    return bool(still.update(state=end, finished_at=timezone.now()))


REOPEN_SECONDS = 24 * 3600


def reopen() -> int:
    """A campaign that ended while one of its messages was uncertain goes on, when that one came back to the queue.

    So it does for what a stopped process says of its slot, or a provider of the message, after the end. Answers how
    many; a cancelled one stays cancelled, and what came back to it is cancelled too.
    """
    lately = Campaign.objects.filter(finished_at__gt=timezone.now() - timedelta(seconds=REOPEN_SECONDS))
    left = TextMessage.objects.filter(campaign=OuterRef("pk"), status__in=UNFINISHED)
    again = lately.filter(Exists(left))
    reopened = again.filter(state=State.FINISHED).update(state=State.RUNNING, finished_at=None)
    return reopened + again.filter(state=State.CANCELLED).update(finished_at=None)
