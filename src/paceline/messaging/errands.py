"""What is to be done outside the database because of an inbound text? E-mails and webhooks, each at least once.

An errand is a row, written in the transaction that takes the text in, and done by whoever does the chores: the network
is waited for in other threads, never in a transaction. What fails is tried again, less and less often, for a day.
A webhook has the same `webhook-id` at each try, so that its receiver can tell.

    POST, JSON, signed as https://www.standardwebhooks.com says (HMAC-SHA256 over id.timestamp.body)

Its address is somebody's choice, so: https, port 443 or 8443, no user name, no redirect, and only to addresses that the
whole internet can reach, looked at when they are connected to.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from paceline.sms.addresses import is_global
from paceline.sms.errors import PacelineError, Unavailable
from paceline.sms.http1 import RequestUnfit, origin_of
from paceline.sms.messages import Request, Response
from paceline.sms.transports import AsyncTransport, Background

from .clock import Clock
from .models import Errand, TextMessage

log = logging.getLogger("paceline.errands")

PORTS = (443, 8443)
URL_LONGEST = 500
AT_ONCE = 8
MAILS_AT_ONCE = 2
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
HELD_SECONDS = 60.0  # by then an errand has its answer or its time-out; so long nobody else runs it
AGAIN_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0)
GIVE_UP_SECONDS = 86_400.0
SECRET_PREFIX = "whsec_"  # noqa: S105 how the standard marks a secret, not one
SECRET_LEAST = 24  # bytes, as the standard has it


class BadAddress(PacelineError, ValueError):
    """An address that no webhook goes to; the sentence says why, without quoting it."""


class NoSecret(PacelineError, ValueError):
    """Webhooks cannot be signed: the setting is missing or is no secret."""


class _Declined(Exception):
    """The receiver's answer was not 2xx."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail as a value."""

    to: str
    subject: str
    body: str = field(repr=False)


# --- written ------------------------------------------------------------------------------------------------------


def add(key: str, kind: Errand.Kind, target: str, message: TextMessage, rule: str) -> Errand:
    """Writes an errand down, in the caller's transaction; a chore does it once that has committed."""
    return Errand.objects.create(key=key, kind=kind, target=target, message=message, rule=rule)


def check_url(url: str) -> None:
    """Raises `BadAddress` for what a webhook may not go to, as far as the address alone tells."""
    try:
        origin = origin_of(url)
    except RequestUnfit:
        raise BadAddress(
            "That is no address for a webhook: write https://host/path in plain ASCII, without a user name"
        ) from None
    if len(url) > URL_LONGEST:
        raise BadAddress(f"The address is over {URL_LONGEST} characters; shorten it")
    if not origin.tls:
        raise BadAddress("A webhook carries a person's text, so it goes over https only; write https://…")
    if origin.port not in PORTS:
        raise BadAddress(f"A webhook goes to port {' or '.join(map(str, PORTS))}; leave the port out")
    if _is_address(origin.host) and not is_global(origin.host):
        raise BadAddress("That address is not reachable from the internet; webhooks go to public addresses only")
    if origin.host == "localhost" or origin.host.endswith((".localhost", ".local", ".internal")):
        raise BadAddress("That name is of this machine or its neighbours; webhooks go to public addresses only")


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def secret() -> bytes:
    """The key that webhooks are signed with, from the settings. Raises `NoSecret`."""
    given = str(getattr(settings, "PACELINE", {}).get("WEBHOOK_SECRET") or "")
    try:
        key = base64.b64decode(given.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SECRET_LEAST:
        raise NoSecret(
            f"Webhooks need a secret: set PACELINE_WEBHOOK_SECRET to {SECRET_PREFIX} and {SECRET_LEAST} random bytes "
            f"or more in base64, such as what this prints: echo {SECRET_PREFIX}$(openssl rand -base64 32)"
        )
    return key


# --- what goes out ------------------------------------------------------------------------------------------------


def request(errand: Errand, key: bytes, now: float) -> Request:
    """The one POST of a webhook; the body is the same at each try. Raises `BadAddress`."""
    check_url(errand.target)
    message = errand.message
    body = json.dumps(
        {
            "type": "keyword.matched",
            "timestamp": errand.created_at.isoformat(),
            "data": {
                "rule": errand.rule,
                "from": message.frm,
                "to": message.to,
                "text": message.text,
                "reference": message.reference,
            },
        },
        ensure_ascii=False,
    ).encode("utf-8", "replace")
    at = str(int(now))
    return Request("POST", errand.target, _headers(errand.key, at, body, key), body)


def _headers(key: str, at: str, body: bytes, secret_key: bytes) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "webhook-id": key,
        "webhook-timestamp": at,
        "webhook-signature": signature(key, at, body, secret_key),
    }


def signature(key: str, at: str, body: bytes, secret_key: bytes) -> str:
    """The `webhook-signature` of the standard, version 1."""
    signed = b".".join([key.encode(), at.encode(), body])
    return "v1," + base64.b64encode(hmac.new(secret_key, signed, hashlib.sha256).digest()).decode()


def mail(errand: Errand) -> Mail:
    """The e-mail that forwards a text."""
    message = errand.message
    return Mail(errand.target, f"Text from {message.frm}", f"{message.text}\n\n-- \nFrom {message.frm} to {message.to}")


def _send(letter: Mail) -> None:
    EmailMessage(letter.subject, letter.body, to=[letter.to]).send()


# --- done ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Runner:
    """Does what is due, a few at a time. `step` begins errands and takes in what came of them; it never waits.

    Any number of processes may do the same: who runs an errand has its row for as long as that can take.
    """

    clock: Clock
    transport: AsyncTransport | None = None
    _carrier: Background[AsyncTransport] | None = None
    _mailer: ThreadPoolExecutor | None = None
    _running: dict[Future[Any], Errand] = field(default_factory=dict)

    def step(self) -> None:
        """Takes in what has been answered, and begins what has come due."""
        self.take_in([future for future in self._running if future.done()])
        for errand in self._claim(self.clock.now()):
            self._begin(errand)

    def run(self, seconds: float = TOTAL_SECONDS + CONNECT_SECONDS) -> None:
        """One step, waited for: what a command or a test calls."""
        self.step()
        self.take_in(list(wait(self._running, seconds).done))

    def close(self, wait_seconds: float = 0.0) -> None:
        """Takes in what is answered until then; what is not is done again, by whoever comes next."""
        self.take_in(list(wait(self._running, wait_seconds).done))
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        if self._mailer is not None:
            self._mailer.shutdown(wait=False, cancel_futures=True)
            self._mailer = None
        self._running.clear()

    def _claim(self, now: float) -> list[Errand]:
        """Errands that are ours for as long as one can take."""
        room = AT_ONCE - len(self._running)
        if room <= 0:
            return []
        due = Errand.objects.filter(due_at__lte=now).order_by("due_at", "pk").select_related("message")[:room]
        mine = []
        for errand in due:
            held = Errand.objects.filter(pk=errand.pk, due_at=errand.due_at, tries=errand.tries)
            errand.tries = min(errand.tries + 1, 1000)
            if held.update(due_at=now + HELD_SECONDS, tries=errand.tries):
                mine.append(errand)
        return mine

    def _begin(self, errand: Errand) -> None:
        try:
            if errand.kind == Errand.Kind.EMAIL:
                if self._mailer is None:
                    self._mailer = ThreadPoolExecutor(MAILS_AT_ONCE, "paceline-mails")
                future: Future[Any] = self._mailer.submit(_send, mail(errand))
            else:
                order = request(errand, secret(), self.clock.now())
                future = self._background().begin(partial(_post, order=order))
        except (BadAddress, NoSecret) as error:
            _failed(errand, str(error), self.clock.now())
            return
        self._running[future] = errand

    def _background(self) -> Background[AsyncTransport]:
        if self._carrier is None:
            given = self.transport
            self._carrier = Background(lambda: given or transport(), "paceline-errands")
        return self._carrier

    def take_in(self, futures: Sequence[Future[Any]]) -> None:
        """Writes what came of these."""
        for future in futures:
            errand, now = self._running[future], self.clock.now()
            error = future.exception()
            if error is None:
                Errand.objects.filter(pk=errand.pk).update(due_at=None, done_at=timezone.now(), outcome="done")
            else:
                _failed(errand, _in_words(error), now)
            del self._running[future]  # not before: what the database does not take now is written again


def transport() -> AsyncTransport:
    """Connections to public addresses only."""
    return AsyncTransport(
        connections=AT_ONCE, connect_seconds=CONNECT_SECONDS, total_seconds=TOTAL_SECONDS, allows=is_global
    )


async def _post(carrier: AsyncTransport, order: Request) -> Response:
    answer = await carrier.ask(order)
    if not 200 <= answer.status < 300:
        raise _Declined(answer.status)
    return answer


def _in_words(error: BaseException) -> str:
    """What went wrong, without an address, a number or a text."""
    if isinstance(error, _Declined):
        return f"the receiver answered {error.args[0]}"
    if isinstance(error, PacelineError):
        barred = isinstance(error, Unavailable) and "AddressBarred" in str(error)
        return "its name leads to an address that is not public" if barred else _short(error)
    return f"it failed: {type(error).__name__}"


def _short(error: PacelineError) -> str:
    return "nobody could be reached" if isinstance(error, Unavailable) else "there was no whole answer"


def _failed(errand: Errand, why: str, now: float) -> None:
    """Tried again later; after a day not any more, and a person is told by its row."""
    again = now + AGAIN_SECONDS[min(errand.tries, len(AGAIN_SECONDS)) - 1]
    over = again > errand.created_at.timestamp() + GIVE_UP_SECONDS
    outcome = f"given up after {errand.tries} tries: {why}" if over else why
    Errand.objects.filter(pk=errand.pk).update(due_at=None if over else again, outcome=outcome[:200])
    if over:
        log.warning("Errand %s is given up", errand.pk)


def is_any_due(now: float) -> bool:
    """True while something is to be begun."""
    return Errand.objects.filter(due_at__lte=now).exists()
