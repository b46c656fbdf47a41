"""What every page shows about the installation: where its texts go."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from paceline.messaging import accounts, breaker, conversations, engine, installation
from paceline.messaging.models import Account
from paceline.sms.providers import Provider, local


@dataclass(frozen=True, slots=True)
class Environment:
    """The badge of the top bar. `kind` is its colour, `label` its word, `meaning` what it promises."""

    kind: str
    label: str
    meaning: str


def environment(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `environment`, `alarms` and `waiting_count` in every template."""
    return {
        "environment": _environment(),
        "alarms": SimpleLazyObject(lambda: alarms(request)),
        "waiting_count": SimpleLazyObject(waiting_count),
    }


def waiting_count() -> int:
    """How many have written and wait for an answer: what the word Inbox carries."""
    return conversations.waiting().filter(waiting_since__isnull=False).count()


def _environment() -> Environment:
    try:
        return of(accounts.provider(accounts.DEFAULT))
    except ImproperlyConfigured:
        return of(None)


def alarms(request: HttpRequest) -> list[str]:
    """What keeps texts from leaving and is everybody's concern: a sentence each, for who is logged in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return []
    why = installation.guard()
    blocked = Account.objects.exclude(blocked="").order_by("pk")
    resting = Account.objects.filter(blocked="", trouble_streak__gte=breaker.TRIP_AFTER).order_by("pk")
    return [
        *(
            [f"Nothing is sent: {why}. On the server, paceline confirm shows what would happen and asks."]
            if why
            else ()
        ),
        *(f"Provider {each} is blocked: {each.blocked}. Mend it, then: paceline doctor --unblock" for each in blocked),
        *(f"Provider {each} {breaker.in_words(each, engine.now())}. Nobody’s text is given up." for each in resting),
    ]


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
