"""Which providers may we send through? The settings' PROVIDERS, each with its row for limits."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from paceline.sms import pacing, providers
from paceline.sms.providers import Provider

from . import engine, lanes
from .models import Account, Limit

DEFAULT = "default"


def configured() -> dict[str, dict[str, Any]]:
    """The settings' providers by alias, each in the one long form.

    {alias: {"BACKEND": name or dotted path, "OPTIONS": {…}, "MPS": rate or None, "SENDER_MPS": rate or None, …}}, with
    the limits that `limits` reads, or "URL" or "PROVIDER" (an object) instead of the first two; or just the URL or the
    object.
    """
    given = dict(getattr(settings, "PACELINE", {}).get("PROVIDERS", {}))
    return {alias: _long(entry) for alias, entry in given.items()}


def _long(entry: Any) -> Any:
    if isinstance(entry, Provider):
        return {"PROVIDER": entry}
    return {"URL": entry} if isinstance(entry, str) else entry


@lru_cache(maxsize=32)
def provider(alias: str) -> Provider:
    """The provider behind an alias. Raises `ImproperlyConfigured` with what to set."""
    entry = configured().get(alias)
    if entry is None:
        known = ", ".join(sorted(configured())) or "none"
        raise ImproperlyConfigured(f"No provider named {alias!r} in PACELINE['PROVIDERS'] (configured: {known})")
    try:
        return providers.provider(entry, webhook_url=webhook_url(alias))
    except (ImportError, ValueError) as error:
        raise ImproperlyConfigured(f"Provider {alias!r} cannot be set up: {error}") from error


def webhook_url(alias: str) -> str:
    """Where an account's reports come in, as the settings' WEBHOOK_URL has it; "" when we are not told."""
    base = getattr(settings, "PACELINE", {}).get("WEBHOOK_URL") or ""
    return f"{base.rstrip('/')}/{alias}/status" if base else ""


def get(alias: str = DEFAULT) -> Account:
    """The account's row with the rate of the settings. Raises `ImproperlyConfigured` for an unknown alias."""
    provider(alias)
    Account.objects.get_or_create(alias=alias)
    sync()
    return Account.objects.get(alias=alias)


LIMITS = {
    "MPS": "It is units per second, more than 0, or a text such as 20/min; leave it out for no limit.",
    "UNIT": 'It is what MPS counts: "message" or "segment".',
    "RECIPIENT_DAILY_CAP": "It is the texts that one number may get per day (UTC): 1 to 32767.",
    "SPEND_CAP": "It is an amount of money per day (UTC), as PRICE_PER_SEGMENT counts it.",
    "PRICE_PER_SEGMENT": "It is an amount of money, with up to six places behind the point.",
}
"""The keys of an account's limits, each with what it is."""


def limits(entry: dict[str, Any]) -> dict[str, Any]:
    """The columns of an account's limits, as its entry in the settings has them. Raises `ValueError` with the key."""
    read = {
        "MPS": pacing.per_second,
        "UNIT": lambda unit: Limit.Unit(unit).value,
        "RECIPIENT_DAILY_CAP": _count,
        "SPEND_CAP": lambda amount: money(amount, places=4),
        "PRICE_PER_SEGMENT": lambda amount: money(amount, places=6),
    }
    found = {}
    for key, reader in read.items():
        given = entry.get(key)
        try:
            found[key.lower()] = None if given is None else reader(given)
        except (ValueError, TypeError) as error:
            raise ValueError(key) from error
    return found | {"unit": found["unit"] or Limit.Unit.MESSAGE.value}


def _count(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 32767:
        raise ValueError(given)
    return given


def money(given: Any, places: int = 4) -> Decimal:
    """An amount of more than nothing, exactly as it is written. Raises `ValueError`."""
    try:
        amount = Decimal(str(given))
        fits = amount.is_finite() and 0 < amount < 10**6 and amount == round(amount, places)
    except InvalidOperation:
        fits = False
    if not fits or isinstance(given, bool):
        raise ValueError(f"{given!r} is no amount of money: write 12.50, with {places} places at the most")
    return amount


def is_in_line(account: Account) -> bool:
    """True when the row's limits are those of the settings."""
    wanted = limits(configured().get(account.alias, {}))
    return all(getattr(account, column) == value for column, value in wanted.items())


def sync() -> None:
    """Brings each account's limits in line with the settings: they are what counts."""
    for account in Account.objects.filter(alias__in=configured()):
        if not is_in_line(account):
            wanted = limits(configured()[account.alias])
            mps, unit = wanted.pop("mps"), wanted.pop("unit")
            if (account.mps, account.unit) != (mps, unit):
                lanes.set_rate(account, mps, engine.now(), unit=unit)
            Account.objects.filter(pk=account.pk).update(**wanted)
