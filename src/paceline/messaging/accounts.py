"""Which providers may we send through? The settings' PROVIDERS, each with its row for limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from paceline.sms.providers import Provider, load

from .models import Account

DEFAULT = "default"


def configured() -> dict[str, dict[str, Any]]:
    """{alias: {"BACKEND": dotted path, "OPTIONS": {…}, "MPS": rate or None}} as the settings have it."""
    return dict(getattr(settings, "PACELINE", {}).get("PROVIDERS", {}))


@lru_cache(maxsize=32)
def provider(alias: str) -> Provider:
    """The provider behind an alias. Raises `ImproperlyConfigured` with what to set."""
    entry = configured().get(alias)
    if entry is None:
        known = ", ".join(sorted(configured())) or "none"
        raise ImproperlyConfigured(f"No provider named {alias!r} in PACELINE['PROVIDERS'] (configured: {known})")
    try:
        return load(entry["BACKEND"], entry.get("OPTIONS"))
    except KeyError as error:
        raise ImproperlyConfigured(f"Provider {alias!r} has no {error}: the dotted path of its class") from error
    except (ImportError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"Provider {alias!r} cannot be set up: {error}") from error


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
