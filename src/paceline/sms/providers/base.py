"""What is a provider? Pure translation: our message → their request, their answer → our result, webhook → events.

A provider does no I/O and keeps no state but its options, so that one file serves scripts, asyncio, Django and
the dispatcher. `transports` carries its requests.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..errors import Refused, WebhookRejected
from ..messages import (
    Accepted,
    DeliveryReport,
    InboundText,
    Lookup,
    Message,
    Request,
    Response,
    WebhookRequest,
)
from . import reading

try:
    import orjson  # an extra: bodies are written four times as fast
except ImportError:
    orjson = None  # type: ignore[assignment]

REFERENCE = "reference"
KEY = "key"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider's wire can do, as far as our guarantees depend on it."""

    echoes_reference: bool = False  # reports carry our reference: uncertain settles by itself
    lookup: bool = False  # a sent message can be asked for
    lookup_proves_absence: bool = False  # and "not there" may be believed
    idempotency_key: bool = False  # the same reference twice is one text
    validity: bool = False  # an expiry can be passed on
    max_text_units: int | None = None  # refuse or split above this
    alphanumeric_senders: bool = True
    reports: bool = True  # it tells what became of a message
    inbound: bool = True  # it hands over what people answer
    signs_webhooks: bool = False
    answers_stop: bool = False  # as it is set up at first, it answers STOP, START and HELP by itself
    price_in_report: bool = False


class Provider(ABC):
    """One company's wire format. Options come from settings by keyword; a wrong one raises at construction."""

    name: ClassVar[str]
    capabilities: Capabilities = Capabilities()
    """The most this wire can do; an instance may say less where it depends on its options."""
    credentials: ClassVar[tuple[str, str]] = ("", "")
    """The options that stand for user and password in a provider URL such as `vonage://KEY:SECRET@`."""
    acknowledgement: ClassVar[bytes] = b""
    """The body that a webhook is answered with. (Some companies text a body that is not empty back to the person.)"""
    endpoint: str = ""
    """Where submits go, if over HTTP: so that a connection can be opened ahead of a slot."""
    method: str = "POST"
    """How they go; each by GET wants a connection that nothing has gone over yet."""

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
        """The events in a verified webhook, from its query and body alone. Raises `WebhookRejected` when unreadable."""
        raise NotImplementedError(f"{self.name} takes no webhooks")

    def build_lookup(self, sought: Lookup) -> Request:
        """The request that asks what became of a message. Only with `capabilities.lookup`."""
        raise NotImplementedError(f"{self.name} has no look-up")

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """What a look-up found; None when it is not there. Raises a `ProviderError` when the answer says neither.

        None proves that the provider never took it only with `capabilities.lookup_proves_absence`.
        """
        raise NotImplementedError(f"{self.name} has no look-up")


def http_url(provider: str, option: str, value: str) -> str:
    """The value, if it is an http(s) address without credentials. Raises `ValueError`, which does not quote it."""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except (ValueError, TypeError, AttributeError):
        fine = False
    if not fine:
        raise ValueError(f"{provider}: {option} must be an http(s) address without a user name in it")
    return value


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_body(fields: Any) -> bytes:
    """A request's body as JSON. Raises `Refused` for half a character."""
    if orjson is not None:
        try:
            return orjson.dumps(fields)
        except TypeError:  # what it does not take, such as half a character
            pass
    try:
        return _encode(fields).encode()
    except UnicodeEncodeError:
        raise half_a_character() from None  # its own words would quote the whole body


def form_body(fields: Mapping[str, str]) -> bytes:
    """A request's body, or its query, as a form. Raises `Refused` for half a character."""
    try:
        return urlencode(fields).encode()
    except UnicodeEncodeError:
        raise half_a_character() from None


def half_a_character() -> Refused:
    """Half of a surrogate pair, such as an emoji cut in two, is no text that can be sent."""
    return Refused("The text holds half a character; correct it.", code="text_not_unicode")


def require(genuine: bool, sentence: str) -> None:
    """Raises `WebhookRejected` unless `genuine`."""
    if not genuine:
        raise WebhookRejected(f"The webhook is rejected: {sentence}")


# Callback addresses of our own making, for companies that let each message name one


def callback_url(webhook_url: str, reference: str, secret: bytes = b"") -> str:
    """`webhook_url` with our reference in its query; with a secret also a key that fits this reference alone.

    The reference comes back with the report, though the company knows no such thing; the key makes the address
    unguessable without giving the secret away to whoever sees one of them.
    """
    if not webhook_url:
        return ""
    extra = {REFERENCE: reference} | ({KEY: _key(secret, reference)} if secret else {})
    parts = urlsplit(webhook_url)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(extra)])), fragment=""))


def called_reference(webhook: WebhookRequest) -> str:
    """The reference in the query of an address made by `callback_url`, or nothing."""
    return reading.clean(reading.form(webhook.query).get(REFERENCE))[:64]


def has_key(webhook: WebhookRequest, secret: bytes) -> bool:
    """Whether the query carries the key that belongs to its reference; never without a secret."""
    query = reading.form(webhook.query)
    reference, key = query.get(REFERENCE, ""), query.get(KEY, "")
    return bool(secret and reference) and reading.same(key, _key(secret, reference))


def has_token(webhook: WebhookRequest, secret: bytes) -> bool:
    """Whether the address ends in the secret, as in /webhooks/default/inbound/SECRET; never without one."""
    token = webhook.path.rpartition("/")[2]
    return bool(secret) and reading.same(token, secret.decode())


def called_url(webhook: WebhookRequest, webhook_url: str = "") -> str:
    """The address that the company called, query and all: some sign it.

    A proxy in front of us may have changed scheme and host; `webhook_url`, when set, says what they are outside.
    """
    origin = webhook.origin
    if webhook_url:
        parts = urlsplit(webhook_url)
        origin = f"{parts.scheme}://{parts.netloc}"
    return origin + webhook.path + ("?" + webhook.query if webhook.query else "")


def _key(secret: bytes, reference: str) -> str:
    return hmac.digest(secret, reference.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:32]
