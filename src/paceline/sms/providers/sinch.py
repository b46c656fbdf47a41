"""How do we speak with Sinch? Its REST API for SMS (once CLX, "XMS"), in the service plan mode.

    POST {base_url}/xms/v1/{plan}/batches                               JSON, Bearer token → 201 and the batch's `id`
    GET  {base_url}/xms/v1/{plan}/batches/{id}/delivery_report/{number} what became of it
    delivery reports and inbound texts                                  JSON; signed when that has been set up at Sinch

Source: Sinch's official SDKs (shapes, signature, an example of it) and its developer pages (codes, repetitions). What
they say between the lines:

- a batch is what its id names; ours have one recipient each, so the id names a message;
- a yes says nothing about speed: what is over the plan's rate is queued there, in order;
- words of a report are compared without case: the pages write them in title case, an SDK in upper case.

Unverified: the names of the error codes in answers, and that the look-up answers in the shape of a report. There is no
idempotency key; a look-up needs Sinch's id, so an uncertain message is settled by a report with our reference.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from ..errors import AccountProblem, ProviderError, Refused, Throttled, Uncertain, WebhookRejected
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
from ..status import Status
from . import reading
from .base import (
    Capabilities,
    Provider,
    callback_url,
    called_reference,
    has_key,
    has_token,
    http_url,
    json_body,
    require,
)

# ---------------------------------------------------------------------------------------------------------------------
# Their words and ours
# ---------------------------------------------------------------------------------------------------------------------

STATUSES = {
    "queued": Status.ACCEPTED,
    "dispatched": Status.SENT,
    "delivered": Status.DELIVERED,
    "failed": Status.UNDELIVERED,
    "aborted": Status.UNDELIVERED,  # unless its code says otherwise: ABORTED_BY_SINCH
    "expired": Status.EXPIRED,
    "rejected": Status.REFUSED,
    "deleted": Status.REFUSED,
    "cancelled": Status.FAILED,
    "unknown": Status.UNCONFIRMED,
}

ABORTED_BY_SINCH = {"408", "410", "411", "412", "413"}
"""`Aborted` with one of these never went to a carrier: refused."""

REASONS = {
    # code in a report: the reason and what to do
    "402": "no route leads to this number",
    "403": "Sinch had an internal error",
    "404": "the carrier had a temporary fault",
    "405": "the text has a parameter without a value",
    "406": "its validity passed inside Sinch",
    "407": "it was cancelled",
    "408": "Sinch refused it; check the text",
    "410": "no sender of the plan fits this number; choose another",
    "411": "the text has more parts than allowed; shorten it",
    "412": "the plan is not enabled for this region; ask Sinch to enable it",
    "413": "the plan is blocked or without credit; look into Sinch's dashboard",
}

NO_FAULT = {"0", "400", "401"}
"""Codes of delivered, queued and dispatched."""

REPORTS = {"recipient_delivery_report_sms", "delivery_report_sms"}

ACCOUNT_PROBLEMS = {
    # HTTP status: what to look at
    401: "Sinch does not accept the token; check the option api_token",
    402: "the Sinch account's balance is too low; top it up",
    403: "Sinch does not let this service plan send; look into its dashboard",
}

WRONG_DOOR = {404, 405, 406, 415}
"""A mistake in our settings or in this file, never in a message."""

# ---------------------------------------------------------------------------------------------------------------------

REGIONS = ("us", "eu", "au", "br", "ca")
VALIDITY_SECONDS = (60, 259_200)  # at most three days, by the pages; the least is ours
FRESH_SECONDS = 300  # a webhook's age, either way; Sinch names no number


class Sinch(Provider):
    """Sinch's SMS API with a service plan and its API token. `region` is the plan's: us, eu, au, br or ca.

    `signature_secret` is the one that Sinch signs webhooks with, once it has been set up there; `webhook_secret` is one
    of our own, for plans without it: the addresses that messages name then carry a key, and those that are pasted at
    Sinch end in it. Each that is set is demanded; without either every webhook is rejected.

    Raises `ValueError` for options that cannot work, and says which to set. It never repeats their values.
    """

    name = "sinch"
    credentials = ("service_plan_id", "api_token")
    capabilities = Capabilities(echoes_reference=True, lookup=True, validity=True, signs_webhooks=True)

    def __init__(
        self,
        *,
        service_plan_id: str,
        api_token: str,
        signature_secret: str = "",
        webhook_secret: str = "",
        region: str = "us",
        base_url: str = "",
        webhook_url: str = "",
    ) -> None:
        if not (service_plan_id and api_token):
            raise ValueError("Sinch: set service_plan_id and api_token")
        if region not in REGIONS:
            raise ValueError(f"Sinch: region must be one of {', '.join(REGIONS)}")
        base_url = http_url("Sinch", "base_url", base_url or f"https://{region}.sms.api.sinch.com")
        self._webhook_url = http_url("Sinch", "webhook_url", webhook_url) if webhook_url else ""
        self._authorization = f"Bearer {api_token}"
        self._signature_secret = signature_secret.encode()
        self._webhook_secret = webhook_secret.encode()
        self.endpoint = f"{base_url.rstrip('/')}/xms/v1/{quote(service_plan_id, safe='')}/batches"

    def __repr__(self) -> str:
        return f"<Sinch {self.endpoint.partition('/xms/')[0]}>"

    def build(self, message: Message) -> Request:
        """The POST that submits `message` as a batch of one. Raises `Refused` for a text that is not valid Unicode."""
        fields: dict[str, Any] = {
            "type": "mt_text",
            "to": [message.number.removeprefix("+")],
            "from": reading.without_plus(message.sender),
            "body": message.text,
            "client_reference": message.reference,
            "delivery_report": "per_recipient" if message.report else "none",
        }
        if message.validity_seconds is not None:
            shortest, longest = VALIDITY_SECONDS
            seconds = min(max(int(message.validity_seconds), shortest), longest - 1)
            fields["expire_at"] = _timestamp(time.time() + seconds)
        if message.report and self._webhook_url:
            fields["callback_url"] = callback_url(self._webhook_url, message.reference, self._webhook_secret)
        body = json_body(fields)
        return Request("POST", self.endpoint, {**self._headers(), "Content-Type": "application/json"}, body)

    def read(self, response: Response) -> Accepted:
        """What Sinch's answer means: the HTTP status decides; the code in its body is kept."""
        status, answer = response.status, reading.json_object(response.body)
        if 200 <= status < 300:
            if isinstance(answer.get("id"), str) and (batch_id := reading.clean(answer["id"])):
                return Accepted(provider_id=batch_id)
            raise Uncertain("Sinch's answer says yes but names no batch; wait for its report.")
        raise _failure(response)

    def verify(self, webhook: WebhookRequest, now: float) -> None:
        """Raises `WebhookRejected` unless Sinch signed it within 300 s of `now`, and our secret is in its address.

        Which of the two is looked for is what the options say. A replay within the 300 s passes: the storage behind it
        is idempotent.
        """
        if not (self._signature_secret or self._webhook_secret):
            raise WebhookRejected("Webhooks cannot be verified: set Sinch's option signature_secret, or webhook_secret")
        if self._signature_secret:
            self._require_signature(webhook, now)
        if self._webhook_secret:
            self._require_address(webhook)

    def events(self, webhook: WebhookRequest) -> Sequence[DeliveryReport | InboundText]:
        """The events in a callback: a report (a summary has one per status), a text; none for what is neither.

        Raises `WebhookRejected` for a body that is not a JSON object.
        """
        fields = reading.parsed(webhook.body)
        if not isinstance(fields, dict):
            raise WebhookRejected("The webhook's body is not a JSON object")
        match reading.clean(fields.get("type")):
            case "recipient_delivery_report_sms":
                return [_report(fields, fields, called_reference(webhook))]
            case "delivery_report_sms":
                groups = [reading.as_object(each) for each in reading.as_list(fields.get("statuses"))]
                return [
                    _report(fields, group, called_reference(webhook)) for group in groups if group.get("count") != 0
                ]
            case "mo_text":
                inbound = _inbound_text(fields)
                return [inbound] if inbound else []
        return []

    def build_lookup(self, sought: Lookup) -> Request:
        """The GET of the recipient's report. Raises `Uncertain` without Sinch's id: there is no other way to ask."""
        if not sought.provider_id:
            raise Uncertain("Sinch finds a message by its own id only; wait for its report.")
        batch, number = quote(sought.provider_id, safe=""), quote(sought.number.removeprefix("+"), safe="")
        return Request("GET", f"{self.endpoint}/{batch}/delivery_report/{number}", self._headers())

    def read_lookup(self, response: Response, sought: Lookup) -> DeliveryReport | None:
        """What the report says; None for a batch that Sinch does not have."""
        if response.status == 404:
            return None
        fields = reading.json_object(response.body)
        if response.status == 200 and reading.clean(fields.get("batch_id")) == sought.provider_id:
            return replace(_report(fields, fields, ""), reference=sought.reference)
        failure = _failure(response)
        if isinstance(failure, Throttled | AccountProblem):
            raise failure
        raise Uncertain("Sinch did not say what became of the message; ask again.")

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "Authorization": self._authorization}

    def _require_signature(self, webhook: WebhookRequest, now: float) -> None:
        """HMAC-SHA256 over the raw body, nonce and time, as base64."""
        signature, nonce, date, algorithm = (
            webhook.headers.get(f"x-sinch-webhook-signature{part}", "")
            for part in ("", "-nonce", "-timestamp", "-algorithm")
        )
        require(bool(signature and nonce and date), "it is not signed")
        require(algorithm.lower() in ("", "hmacsha256"), "its signature is not of the kind HmacSHA256")
        require(bool(re.fullmatch(r"[0-9]{1,12}", date, re.ASCII)), "it has no date")
        signed = b".".join([webhook.body, nonce.encode("utf-8", "surrogatepass"), date.encode()])
        expected = base64.b64encode(hmac.digest(self._signature_secret, signed, "sha256")).decode()
        require(reading.same(signature, expected), "its signature is wrong; check the option signature_secret")
        require(abs(now - int(date)) <= FRESH_SECONDS, "its date is too far from now; check this machine's clock")

    def _require_address(self, webhook: WebhookRequest) -> None:
        """The secret in the path, or the key of the one message that the report is about."""
        if has_token(webhook, self._webhook_secret):
            return
        require(
            has_key(webhook, self._webhook_secret),
            "its address has neither key nor secret; check the option webhook_secret and the address at Sinch",
        )
        fields = reading.json_object(webhook.body)
        require(reading.clean(fields.get("type")) in REPORTS, "a message's own address takes its reports only")
        told = reading.clean(fields.get("client_reference"))
        require(told in ("", called_reference(webhook)), "its address belongs to another message")


# Answers


def _failure(response: Response) -> ProviderError:
    """What an answer means that is not a yes."""
    status = response.status
    code = reading.code(reading.json_object(response.body).get("code")) or str(status)
    if not 400 <= status < 500 or status == 408:
        return Uncertain(f"Sinch answered with HTTP status {status}; whether it took the message is not known.")
    if status == 429:
        return Throttled("Sinch asks us to slow down.", code=code, retry_after=reading.retry_after(response.headers))
    if status in ACCOUNT_PROBLEMS:
        return AccountProblem(f"Nothing can be sent: {ACCOUNT_PROBLEMS[status]}.", code=code)
    if status in WRONG_DOOR:
        return AccountProblem(
            f"Nothing can be sent: HTTP status {status} means that there is no such service plan at this address;"
            " check service_plan_id, region and base_url.",
            code=code,
        )
    return Refused(f"Sinch refused the message with code {code}; check number, sender and text.", code=code)


def _timestamp(at: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(at))).strftime("%Y-%m-%dT%H:%M:%SZ")


# Webhooks


def _report(whole: dict[str, Any], part: dict[str, Any], called: str) -> DeliveryReport:
    """A report; in a summary, status and code stand in a `part` of it. `called` is the reference in its address."""
    word = reading.clean(part.get("status"))
    code = reading.code(part.get("code"), numeric=True)
    code = "" if code in NO_FAULT else code
    status = STATUSES.get(word.lower())
    if word.lower() == "aborted" and code in ABORTED_BY_SINCH:
        status = Status.REFUSED
    return DeliveryReport(
        status=status,
        reference=reading.clean(whole.get("client_reference")) or called,
        provider_id=reading.clean(whole.get("batch_id")),
        word=word,
        code=code,
        reason=_reason(code),
        at=reading.moment(whole.get("at")),
        segments=reading.count(whole.get("number_of_message_parts")),
    )


def _reason(code: str) -> str:
    if not code or code in REASONS:
        return REASONS.get(code, "")
    whose = "the carrier" if int(code) < 256 else "Sinch"
    return f"code {code} of {whose}, which we do not know"


def _inbound_text(fields: dict[str, Any]) -> InboundText | None:
    number, text = reading.with_plus(reading.clean(fields.get("from"))), fields.get("body")
    if not number or not isinstance(text, str):
        return None
    return InboundText(
        number=number,
        sender=reading.with_plus(reading.clean(fields.get("to"))),
        text=reading.clean(text, strip=False),
        provider_id=reading.clean(fields.get("id")),
        at=reading.moment(fields.get("received_at")),
    )
