"""What is a provider? Pure translation: our message → their request, their answer → our result, webhook → events.

A provider does no I/O and keeps no state but its options, so that one file serves scripts, asyncio, Django and
the dispatcher. `transports` carries its requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from ..messages import Accepted, DeliveryReport, InboundText, Message, Request, Response, WebhookRequest


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's wire can do, as far as our guarantees depend on it."""

    echoes_reference: bool = False  # reports carry our reference: uncertain settles by itself
    lookup: bool = False  # a sent message can be asked for
    lookup_proves_absence: bool = False  # and "not there" may be believed
    idempotency_key: bool = False
    validity: bool = False  # an expiry can be passed on
    max_text_units: int | None = None  # refuse or split above this
    alphanumeric_senders: bool = True
    signs_webhooks: bool = False
    price_in_report: bool = False


class Provider(ABC):
    """One company's wire format. Options come from settings by keyword; a wrong one raises at construction."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities] = Capabilities()
    endpoint: str = ""
    """Where submits go, if over HTTP: so that a connection can be opened ahead of a slot."""

    @abstractmethod
    def build(self, message: Message) -> Request:
        """The one request that submits `message`. Raises `Refused` for what can never be sent."""

    @abstractmethod
    def read(self, response: Response) -> Accepted:
        """What the answer means. Raises a `ProviderError`; an answer nobody can name is `Uncertain`."""

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless the webhook is genuine and fresh at `now` (epoch seconds)."""
        raise NotImplementedError(f"{self.name} takes no webhooks")

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The events in a verified webhook. Raises `WebhookRejected` when it cannot be read."""
        raise NotImplementedError(f"{self.name} takes no webhooks")


def load(backend: str, options: Mapping[str, Any] | None = None) -> Provider:
    """A provider from its dotted path and options, as settings name it.

    Raises `ImportError` for a path that leads to no provider, `TypeError` or `ValueError` for options it does not take.
    """
    module_name, _, class_name = backend.rpartition(".")
    try:
        cls = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImportError(f"No provider class at {backend!r}; it is written package.module.Class") from error
    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        raise ImportError(f"{backend!r} is no provider class: it does not inherit from paceline's Provider")
    provider: Provider = cls(**(options or {}))
    return provider
