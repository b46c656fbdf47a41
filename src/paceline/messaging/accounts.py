"""Which providers may we send through? The settings' PROVIDERS, each with its row for limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from paceline.sms import providers
from paceline.sms.providers import Provider

from .models import Account

DEFAULT = "default"


def configured() -> dict[str, dict[str, Any]]:
    """The settings' providers by alias, each in the one long form.

    {alias: {"BACKEND": name or dotted path, "OPTIONS": {…}, "MPS": rate or None, "SENDER_MPS": rate or None}}, or "URL"
    or "PROVIDER" (an object) instead of the first two; or just the URL or the object.
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


def sync() -> None:
    """Brings each account's rate in line with the settings: they are what counts."""
    for alias, entry in configured().items():
        Account.objects.filter(alias=alias).update(mps=entry.get("MPS"))
