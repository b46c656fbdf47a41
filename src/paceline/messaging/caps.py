"""How much may still leave today: to one number, and for how much money? Counted in the gate, under locks.

What passes the gate is counted there and then, and is never taken back by what becomes of it: a cap holds whatever
goes wrong behind the gate. Days are of UTC; money is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count

from . import engine
from .models import Account, Campaign, Sender, TextMessage

CAMPAIGN_READS = ("id", "state", "list", "spend_cap", "spent", "blocked")

ZERO = Decimal(0)
RECIPIENT = "recipient_cap"
SPEND = "spend_cap"


@dataclass(frozen=True, slots=True)
class Reached:
    """A cap that keeps a message: its code, a sentence for people, and until when it is not asked again (epoch)."""

    code: str
    reason: str
    until: float


def day(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def _starts(of: date) -> float:
    return datetime(of.year, of.month, of.day, tzinfo=UTC).timestamp()


def midnight(now: float) -> float:
    """When the day of `now` ends, in epoch seconds."""
    return _starts(day(now) + timedelta(days=1))


def spent_today(account: Account, now: float) -> Decimal:
    return account.spent if account.spent_on == day(now) else ZERO


def segments_left(account: Account, now: float) -> int | None:
    """How many segments the account's money of the day still pays; None is no cap."""
    if account.spend_cap is None or not account.price_per_segment:
        return None
    return max(0, int((account.spend_cap - spent_today(account, now)) // account.price_per_segment))


def no_money(account: Account) -> str:
    return f"Account {account.alias} has spent its {money(account.spend_cap)} of today; it goes on at midnight UTC"


def spent_up(campaign: Campaign) -> str:
    return f"It has spent its {money(campaign.spend_cap)}; raise its spend cap and resume it"


def too_often(account: Account) -> str:
    cap = account.recipient_daily_cap
    return f"This number has had its {cap} text{'s' * (cap != 1)} of today; it goes on at midnight UTC"


def money(amount: Decimal | None) -> str:
    """As people write it: no zeros at the end beyond the cents."""
    return "no limit" if amount is None else f"{amount.normalize():f}" if amount % Decimal("0.01") else f"{amount:.2f}"


def submits_today(account: Account, contact_ids: Iterable[int], now: float) -> Counter[int]:
    """{contact: how many texts were submitted to it on this account today}, by the index of contacts."""
    mine = TextMessage.objects.filter(
        contact__in=set(contact_ids), sender__account=account, submitted_at__gte=_starts(day(now))
    )
    return Counter(dict(mine.order_by().values_list("contact").annotate(count=Count("pk"))))


def has_room_for(account: Account, message: TextMessage, now: float) -> bool:
    """False when the number of a message has had its texts of the day."""
    if account.recipient_daily_cap is None or message.contact_id is None:
        return True
    return submits_today(account, [message.contact_id], now)[message.contact_id] < account.recipient_daily_cap


def _is_capped(account: Account) -> bool:
    return account.recipient_daily_cap is not None or account.price_per_segment is not None


class Till:
    """What one gate's messages meet: the locked accounts, and what passes is counted. Commit with `save`."""

    def __init__(self, accounts: Iterable[Account], now: float) -> None:
        self._now = now
        self._accounts = {account.pk: account for account in accounts if _is_capped(account)}
        self._campaigns: dict[int, Campaign] = {}
        self._texts: dict[int, Counter[int]] = {}
        self._paid: Counter[Any] = Counter()

    @classmethod
    def of_senders(cls, sender_ids: set[int], now: float) -> Till:
        """Locks the accounts of these senders that have caps."""
        is_one, ids = engine.one_of("id", list(sender_ids))
        theirs = f"id IN (SELECT account_id FROM {Sender._meta.db_table} WHERE {is_one})"
        capped = "(recipient_daily_cap IS NOT NULL OR price_per_segment IS NOT NULL)"
        found = engine.read_rows(Account, ("id",), f"{capped} AND {theirs}", ids)
        # read first and locked by id: what has no cap is not waited for
        is_one, ids = engine.one_of("id", [account.id for account in found])
        return cls(engine.read(Account, is_one, ids, lock=True) if found else [], now)

    def __bool__(self) -> bool:
        """True when any cap is to be looked at."""
        return bool(self._accounts)

    def lock_campaigns(self, of: str, params: Sequence[Any]) -> None:
        """Locks the campaigns of the messages that fulfil this condition, where money is counted."""
        if any(account.price_per_segment for account in self._accounts.values()):
            theirs = f"id IN (SELECT campaign_id FROM {TextMessage._meta.db_table} WHERE {of})"
            engine.read(Campaign, theirs, params, only=("id",), lock=True)

    def campaigns(self, ids: set[int]) -> dict[int, Campaign]:
        """Those campaigns, as they are now."""
        is_one, values = engine.one_of("id", list(ids))
        found = engine.read(Campaign, is_one, values, only=CAMPAIGN_READS) if ids else []
        self._campaigns = {campaign.pk: campaign for campaign in found}
        return self._campaigns

    def look_up(self, messages: Iterable[Any], senders: dict[int, Sender]) -> None:
        """Reads how many texts each of their recipients has had, where that is capped."""
        for account in self._accounts.values():
            if account.recipient_daily_cap is not None:
                mine = {m.contact_id for m in messages if senders[m.sender_id].account_id == account.pk}
                self._texts[account.pk] = submits_today(account, mine - {None}, self._now)

    def reached(self, message: Any, sender: Sender) -> Reached | None:
        """The cap that keeps this message; None when it passes. A campaign at its cap is paused, with the reason."""
        account = self._accounts.get(sender.account_id)
        if account is None:
            return None
        tomorrow = midnight(self._now)
        texts = self._texts.get(account.pk)
        # a row that was submitted today and is leased again has come back by no way that we know: once is enough
        again = message.submitted_at is not None and message.submitted_at >= _starts(day(self._now))
        if texts is not None and (again or texts[message.contact_id] >= account.recipient_daily_cap):
            return Reached(RECIPIENT, too_often(account), tomorrow)
        cost = self._cost(account, message)
        spent = spent_today(account, self._now) + self._paid[account]
        if cost and account.spend_cap is not None and spent + cost > account.spend_cap:
            return Reached(SPEND, no_money(account), 0.0)
        campaign = self._campaigns.get(message.campaign_id)
        if not cost or campaign is None or campaign.spend_cap is None:
            return None
        if campaign.spent + self._paid[campaign] + cost <= campaign.spend_cap:
            return None
        campaign.state, campaign.blocked = Campaign.State.PAUSED, spent_up(campaign)
        Campaign.objects.filter(pk=campaign.pk).update(state=campaign.state, blocked=campaign.blocked)
        return Reached(SPEND, campaign.blocked, 0.0)

    def count(self, message: Any, sender: Sender) -> None:
        """It passes: one more text to its recipient, and its price."""
        account = self._accounts.get(sender.account_id)
        if account is None:
            return
        if account.pk in self._texts and message.contact_id is not None:
            self._texts[account.pk][message.contact_id] += 1
        if cost := self._cost(account, message):
            self._paid[account] += cost
            if campaign := self._campaigns.get(message.campaign_id):
                self._paid[campaign] += cost

    @staticmethod
    def _cost(account: Account, message: Any) -> Decimal:
        return (account.price_per_segment or ZERO) * message.segments

    def save(self) -> None:
        """Writes what has been spent."""
        for who, cost in self._paid.items():
            if isinstance(who, Account):
                spent = spent_today(who, self._now) + cost
                Account.objects.filter(pk=who.pk).update(spent_on=day(self._now), spent=spent)
            else:
                Campaign.objects.filter(pk=who.pk).update(spent=who.spent + cost)
