"""What every page shows about the installation: where its texts go."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from paceline.messaging import accounts
from paceline.sms.providers import Provider, local


@dataclass(frozen=True, slots=True)
class Environment:
    """The badge of the top bar. `kind` is its colour, `label` its word, `meaning` what it promises."""

    kind: str
    label: str
    meaning: str


def environment(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `environment` in every template."""
    try:
        return {"environment": of(accounts.provider(accounts.DEFAULT))}
    except ImproperlyConfigured:
        return {"environment": of(None)}


def of(provider: Provider | None) -> Environment:
    """Where the texts of a provider go. Anything that is not known to stay here is LIVE."""
    if provider is None:
        return Environment("none", "No provider", "No default provider is configured; nothing can be sent.")
    if isinstance(provider, local.Local):
        name = type(provider).__name__
        return Environment("local", name, f"Texts go to the provider “{name}” on this machine; no phone receives them.")
    if _is_this_machine(urlsplit(provider.endpoint).hostname or ""):
        return Environment("demo", "Demo carrier", "Texts go to a simulated carrier; no phone receives them.")
    return Environment("live", "Live", "Texts go to real phones and cost real money.")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
