"""What became of an uncertain message? Its report tells, or the provider when asked after a while; else people decide.

A look-up that finds the message settles it like a report. One that does not find it settles nothing, unless the
provider declares that its "not there" may be believed: then the message goes back to where it came from. It is asked
only after the settle time, within which a provider may still take what it has been sent.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from django.db.models import Case, F, Q, QuerySet, Value, When

from paceline.sms import errors
from paceline.sms.messages import DeliveryReport, Lookup, Response
from paceline.sms.providers import Provider
from paceline.sms.status import Status
from paceline.sms.transports import AsyncTransport, Background

from . import accounts, engine, lookups, outbox, reports, signals
from .clock import Clock
from .models import Campaign, TextMessage

log = logging.getLogger("paceline.reconcile")

SETTLE_SECONDS = 900.0
"""How long a provider may take to show what it has: it is not asked before, where the settings say nothing else."""

LOOK_UPS_MOST = 6  # of one message: over about half a day
AGAIN_SECONDS = 60.0  # after the first look-up that said nothing; four times as long after each
AT_ONCE = 20
ANSWER_SECONDS = 45.0  # by then a look-up has its answer or its time-out; so long nobody else asks the same
REST_SECONDS = 30.0  # of an account whose provider does not answer look-ups
LONGEST_REST_SECONDS = 900.0

TABLE = TextMessage._meta.db_table


def settle_seconds(alias: str) -> float:
    """How long after an uncertain answer the account's provider is asked: its own entry's, else the settings'."""
    given = getattr(settings, "PACELINE", {})
    value = accounts.configured().get(alias, {}).get("SETTLE_SECONDS", given.get("SETTLE_SECONDS"))
    return SETTLE_SECONDS if value is None else float(value)


def longest_wait(alias: str, look_ups: int) -> float:
    """The most seconds until the account's provider is asked again about a message, after so many look-ups."""
    if not look_ups:
        return max(settle_seconds(alias), ANSWER_SECONDS)
    return max(AGAIN_SECONDS * 4.0 ** (look_ups - 1), ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class _Question:
    """One look-up under way. `believe`: the settle time is over, so a proof of absence counts."""

    message: TextMessage
    alias: str
    provider: Provider
    sought: Lookup
    believe: bool


@dataclass(slots=True)
class Reconciler:
    """Asks about what is uncertain, a few at a time, and applies what is answered.

    `step` starts look-ups and takes in answers; it never waits for one, so a provider that hangs holds up nobody. Any
    number of processes may do the same: who asks has the row for as long as an answer takes.
    """

    clock: Clock
    transport: AsyncTransport | None = None
    _carrier: Background[AsyncTransport] | None = None
    _asked: dict[Future[Response], _Question] = field(default_factory=dict)
    _rests_until: dict[str, float] = field(default_factory=dict)
    _rests: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    """{what came of a look-up: how often}: found, absent, unknown, unanswered."""

    def step(self) -> None:
        """Takes in what has been answered, and asks about what has come due."""
        self.take_in()
        now = self.clock.now()
        _schedule(now)
        self._ask(self._due(now), now)

    def forget_rests(self) -> None:
        """The clock was set: whoever rested by the old one is asked again."""
        self._rests_until.clear()

    def take_in(self) -> None:
        """Applies the answers that have come; costs nothing when none has."""
        if self._asked:
            self._take_in([future for future in self._asked if future.done()])

    def ask_now(self, messages: Iterable[TextMessage]) -> None:
        """Asks about these, due or not, and waits for the answers. Proof of absence counts from the settle time on."""
        waiting = list(messages)
        while waiting or self._asked:
            now = self.clock.now()
            room = AT_ONCE - len(self._asked)
            part, waiting = waiting[:room], waiting[room:]
            self._ask(part, now)
            if self._asked:
                wait(self._asked, return_when=FIRST_COMPLETED)
                self.take_in()

    def close(self, wait_seconds: float = 0.0) -> None:
        """Takes in the answers that come until then, and closes the connections; the rest is asked again later."""
        self._take_in(list(wait(self._asked, wait_seconds).done))
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None

    # --- asking -----------------------------------------------------------------------------------------------

    def _due(self, now: float) -> list[TextMessage]:
        """What is to be asked about, a fair share of each account: a slow provider must not have all the places."""
        found: list[TextMessage] = []
        aliases = askable()
        for alias in aliases:
            under_way = sum(question.alias == alias for question in self._asked.values())
            room = min(AT_ONCE // len(aliases) or 1, AT_ONCE) - under_way
            if room > 0 and self._rests_until.get(alias, 0.0) <= now:
                due = uncertain().filter(sender__account__alias=alias, look_up_at__lte=now)
                found += due.select_related("sender__account").order_by("look_up_at", "pk")[:room]
        return found

    def _ask(self, messages: Sequence[TextMessage], now: float) -> int:
        for message in messages:
            assert message.sender is not None
            alias = message.sender.account.alias
            due = message.look_up_at
            mine = uncertain().filter(pk=message.pk, attempt=message.attempt, look_up_at=due)
            if not mine.update(look_up_at=now + ANSWER_SECONDS):
                continue  # somebody else asks
            try:
                provider = accounts.provider(alias)
                if not provider.capabilities.lookup:
                    raise errors.Uncertain(f"{provider.name} has no look-up")
                sought = lookups.sought(message)
                request = provider.build_lookup(sought)
            except (errors.ProviderError, ImproperlyConfigured):  # it cannot be asked about this one
                self.found["unknown"] += 1
                _leave_to_people(message)
                continue
            question = _Question(message, alias, provider, sought, due is not None and due <= now)
            future = self._background().begin(lambda carrier, request=request: carrier.ask(request))
            self._asked[future] = question
        return len(messages)

    def _background(self) -> Background[AsyncTransport]:
        if self._carrier is None:
            given = self.transport
            self._carrier = Background(lambda: given or AsyncTransport(connections=AT_ONCE), "paceline-lookups")
        return self._carrier

    # --- being answered ---------------------------------------------------------------------------------------

    def _take_in(self, futures: Sequence[Future[Response]]) -> None:
        for future in futures:
            question = self._asked[future]
            try:
                self._apply(question, future)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("What a look-up told could not be applied; it is asked again later")
                _ask_again(question.message, self.clock.now(), counted=True)
            del self._asked[future]  # not before: what the database does not take now is applied again

    def _apply(self, question: _Question, future: Future[Response]) -> None:
        now = self.clock.now()
        try:
            report = question.provider.read_lookup(future.result(), question.sought)
        except (errors.Throttled, errors.AccountProblem, errors.Unavailable) as error:  # says nothing about this one
            self.found["unanswered"] += 1
            until = self._rest(question.alias, now, getattr(error, "retry_after", None))
            _ask_again(question.message, until, counted=False)
            return
        except Exception as error:
            if not isinstance(error, errors.ProviderError):
                log.error("The answer to a look-up could not be read (%s)", type(error).__name__)
            self.found["unknown"] += 1
            _ask_again(question.message, now, counted=True)
            return
        self._rests.pop(question.alias, None)
        if report is not None:
            self.found["found"] += 1
            _found(question.message, report)
        elif question.believe and question.provider.capabilities.lookup_proves_absence:
            self.found["absent"] += 1
            never_taken(question.message)
        else:
            self.found["unknown"] += 1
            _ask_again(question.message, now, counted=True)

    def _rest(self, alias: str, now: float, retry_after: float | None) -> float:
        """The provider does not answer: nobody of its account is asked about for a growing while."""
        if self._rests_until.get(alias, 0.0) <= now:
            self._rests[alias] += 1
            rest = min(LONGEST_REST_SECONDS, REST_SECONDS * 2.0 ** min(self._rests[alias] - 1, 10))
            self._rests_until[alias] = now + max(rest, retry_after or 0.0)
            log.warning("The look-ups of account %s are not answered; it is asked again later", alias)
        return self._rests_until[alias]


def uncertain(campaign: Campaign | None = None) -> QuerySet[TextMessage]:
    """The messages of which nobody knows whether the provider took them."""
    found = TextMessage.objects.filter(status=Status.UNCERTAIN, direction=TextMessage.Direction.OUTGOING)
    return found if campaign is None else found.filter(campaign=campaign)


def asked_later(campaign: Campaign) -> int:
    """How many of a campaign's uncertain messages the provider is still to be asked about."""
    return uncertain(campaign).filter(look_up_at__isnull=False).count()


def left_to_people() -> QuerySet[TextMessage]:
    """Those of which no look-up will tell: the providers have been asked, or cannot be."""
    can = Q(sender__account__alias__in=askable())
    return uncertain().filter(~can | Q(look_ups__gte=LOOK_UPS_MOST))


def askable() -> list[str]:
    """The accounts whose providers can be asked about a message."""
    found = []
    for alias in accounts.configured():
        try:
            if accounts.provider(alias).capabilities.lookup:
                found.append(alias)
        except ImproperlyConfigured:
            continue
    return found


def _schedule(now: float) -> None:
    """Gives each that has become uncertain its moment to be asked about."""
    for alias in askable():
        fresh = uncertain().filter(look_up_at=None, look_ups=0, sender__account__alias=alias)
        ids = list(fresh.order_by("pk").values_list("pk", flat=True)[: engine.CHUNK])
        if ids:
            fresh_ones = uncertain().filter(pk__in=ids, look_up_at=None, look_ups=0)
            fresh_ones.update(look_up_at=now + settle_seconds(alias))


def _still(message: TextMessage) -> QuerySet[TextMessage]:
    """The row, if it is uncertain about the same submit."""
    return uncertain().filter(pk=message.pk, attempt=message.attempt)


def _ask_again(message: TextMessage, at: float, *, counted: bool) -> None:
    if not counted:
        _still(message).update(look_up_at=at)
    elif message.look_ups + 1 >= LOOK_UPS_MOST:
        _leave_to_people(message)
    else:
        later = AGAIN_SECONDS * 4.0**message.look_ups
        _still(message).update(look_up_at=at + later, look_ups=F("look_ups") + 1)


def _leave_to_people(message: TextMessage) -> None:
    most = max(LOOK_UPS_MOST, message.look_ups)
    _still(message).update(look_up_at=None, look_ups=most)


def _found(message: TextMessage, report: DeliveryReport) -> None:
    """The provider has it: whatever it says of the rest, it was accepted."""
    if report.status is None:
        report = replace(report, status=Status.ACCEPTED)
    reports.take_in(message, report)


# --- back to where it came from -------------------------------------------------------------------------------


def never_taken(message: TextMessage) -> bool:
    """The provider has proved that it does not have the message: it is sent again; nothing has left yet.

    What a `send_text` submitted has failed instead: its caller was told, and may have sent it again. Only if the
    message is still uncertain about the same submit. False when it is not.
    """
    if message.attempt.startswith(outbox.ALONE):
        with engine.write(), signals.watched([message.pk]):
            return bool(
                _still(message).update(
                    status=Status.FAILED, look_up_at=None, reason="the provider does not have it: nothing was sent"
                )
            )
    if _send_again([message.pk], "the provider did not have it", attempt=message.attempt):
        return True
    with engine.write(), signals.watched([message.pk]):
        over = _still(message).filter(campaign__state=Campaign.State.CANCELLED)
        return bool(over.update(status=Status.CANCELLED, look_up_at=None))


def resend(ids: Iterable[int]) -> int:
    """A person has decided that these uncertain messages are sent again, though some may then arrive twice.

    With the same reference, so that a report of the first submit still finds its message, and a provider that knows
    its references takes one for the other. What has been settled meanwhile, or is of a cancelled campaign, stays as it
    is. A campaign that had finished goes on for them. Answers how many.
    """
    return sum(_send_again(part, "resent by a person") for part in engine.chunks(sorted(set(ids))))


def _send_again(ids: Sequence[int], why: str, **still: str) -> int:
    state = Campaign.State
    with engine.write(), signals.watched(ids):
        wanted = uncertain().filter(pk__in=ids, **still)
        of = set(wanted.exclude(campaign=None).values_list("campaign", flat=True))
        # locked, and before their messages, as the valve does: nobody ends the campaign between these lines
        campaigns = {
            campaign.pk: campaign for campaign in engine.locked(Campaign.objects.filter(pk__in=of).order_by("pk"))
        }
        over = [pk for pk, campaign in campaigns.items() if campaign.state == state.CANCELLED]
        back = wanted.exclude(campaign__in=over) if over else wanted
        count = back.update(
            # what the valve has not rendered yet goes back before it
            status=Case(
                When(Q(text="") & Q(campaign__isnull=False), then=Value(Status.HELD)), default=Value(Status.QUEUED)
            ),
            attempt="",
            lease_until=None,
            submitted_at=None,
            not_before=0.0,
            look_up_at=None,
            look_ups=0,
            code="",
            reason=why,
        )
        if count:
            finished = Campaign.objects.filter(pk__in=of, state=state.FINISHED)
            finished.update(state=state.RUNNING, finished_at=None)
    return count
