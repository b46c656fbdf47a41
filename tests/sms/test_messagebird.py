"""MessageBird, word by word. The contract comes first, then what only MessageBird does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import jwt
import pytest

from paceline.sms.errors import AccountProblem, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import DeliveryReport, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.messagebird import MessageBird
from paceline.sms.status import Status

from .provider_contract import GARBAGE, NOW, NUMBER, SENDER, ProviderContract, damage

KEY = "canary-signing-key-of-thirty-two-bytes"
HOOKS = "https://sms.example.org"
STATUS_PATH, INBOUND_PATH = "/webhooks/default/status", "/webhooks/default/inbound"
SIGNED_SECONDS = 30


def messagebird(**options) -> MessageBird:
    return MessageBird(
        **({"access_key": "canary-access-key", "signing_key": KEY, "webhook_url": HOOKS + STATUS_PATH} | options)
    )


def error(status: int, code: object, parameter: str | None = None) -> Response:
    body = {"errors": [{"code": code, "description": "…", "parameter": parameter}]}
    return Response(status, {}, json.dumps(body).encode())


def signed(webhook: WebhookRequest, at: float = NOW, *, key: str = KEY, algorithm: str = "HS256", **changes):
    """The webhook as MessageBird sends it, its token made by PyJWT and not by our own code."""
    url = HOOKS + webhook.path + ("?" + webhook.query if webhook.query else "")
    claims = {
        "iss": "MessageBird",
        "nbf": int(at) - SIGNED_SECONDS,
        "exp": int(at) + SIGNED_SECONDS,
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "url_hash": hashlib.sha256(url.encode()).hexdigest(),
        "payload_hash": hashlib.sha256(webhook.body).hexdigest() if webhook.body else None,
    } | changes
    token = jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm=algorithm)
    return with_token(webhook, token)


def with_token(webhook: WebhookRequest, token: str) -> WebhookRequest:
    return replace(webhook, headers={**webhook.headers, "messagebird-signature-jwt": token})


def report(**changes) -> WebhookRequest:
    """By GET, everything in the query; the request comes through a proxy, so the origin is the inner one."""
    fields = {
        "id": "5d2f8c1e6a344a0b9d551f0c2b7a9e41",
        "reference": "0123456789abcdef0123456789abcdef",
        "recipient": "12125550123",
        "status": "delivered",
        "statusDatetime": "2026-03-04T10:15:27+01:00",
    } | changes
    return WebhookRequest("GET", STATUS_PATH, {}, urlencode(fields), b"", "http://10.0.0.7:8000")


def inbound(**changes) -> WebhookRequest:
    fields = {
        "id": "f3b1c0de7777",
        "originator": "12125550123",
        "recipient": "13105550199",
        "body": "Stop please",
        "createdDatetime": "2026-03-04T09:20:01+00:00",
    } | changes
    return WebhookRequest("POST", INBOUND_PATH, {}, "", urlencode(fields).encode(), "http://10.0.0.7:8000")


def only(webhook: WebhookRequest):
    (event,) = messagebird().events(WebhookRequest("POST", "", {}, webhook.query, webhook.body))
    return event


class TestMessageBirdContract(ProviderContract):
    provider = messagebird()
    other_provider = messagebird(signing_key="another-key-of-thirty-two-bytes-or-so")
    secrets = ("canary-access-key", KEY)
    accept = Response(201, {}, b'{"id": "5d2f8c1e", "recipients": {"items": [{"messagePartCount": 2}]}}')
    accepted_id = "5d2f8c1e"
    refuse = error(422, 9, "recipient")
    refuse_code = "9"
    throttle = Response(429, {}, b"")
    sender_problem = error(422, 10, "originator")
    account_problems = (error(401, 2, "access_key"), error(422, 25), error(403, 2), error(404, 20), Response(401))
    reports = (
        ("scheduled", Status.ACCEPTED),
        ("sent", Status.SENT),
        ("buffered", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("expired", Status.EXPIRED),
        ("delivery_failed", Status.UNDELIVERED),
        ("delivery_failed opted out", Status.UNDELIVERED),
    )
    opt_out_report = "delivery_failed opted out"
    fresh_seconds = SIGNED_SECONDS + 60
    mutations = 10_000

    def understand(self, request):
        fields = json.loads(request.body)
        (number,) = fields["recipients"]
        return {
            "reference": fields["reference"],
            "sender": fields["originator"],
            "number": number,
            "text": fields["body"],
        }

    def report(self, name, reference, provider_id, at):
        word, _, reason = name.partition(" ")
        return signed(report(status=word, statusReason=reason, reference=reference, id=provider_id), at)

    def inbound(self, number, sender, text, at):
        return signed(inbound(originator=number[1:], recipient=sender[1:], body=text), at)

    def signature(self, webhook):
        return webhook.headers["messagebird-signature-jwt"]

    def with_signature(self, webhook, signature):
        return with_token(webhook, signature)

    def test_webhook_with_a_changed_body_is_rejected(self):
        """One bit anywhere in the body or in the query, a body where there was none."""
        for webhook in self.webhooks():
            changed = [replace(webhook, body=webhook.body + b" "), replace(webhook, query=webhook.query + "&")]
            for name in ("query", "body"):
                whole = getattr(webhook, name)
                for i in range(len(whole)):
                    letter = bytes([whole[i] ^ 1]) if name == "body" else chr(ord(whole[i]) ^ 1)
                    changed += [replace(webhook, **{name: whole[:i] + letter + whole[i + 1 :]})]
                    changed += [replace(webhook, **{name: whole[:i]})]
            for other in changed:
                with pytest.raises(WebhookRejected):
                    self.provider.verify(other, NOW)

    def test_no_webhook_crashes_its_reader(self):
        """Whatever stands in the query or in the body."""
        dice = random.Random(7)
        texts = [webhook.query.encode() or webhook.body for webhook in self.webhooks()]
        garbage = [*GARBAGE, *(damage(text, dice) for text in texts for _ in range(2000))]
        for text in [*garbage, b'{"originator": 1e99, "body": []}', b'{"status": {}, "reference": 7}']:
            for webhook in (
                WebhookRequest("GET", "", {}, text.decode("utf-8", "replace"), b""),
                WebhookRequest("POST", "", {}, "", text),
            ):
                with contextlib.suppress(WebhookRejected):
                    self.provider.events(webhook)


# Options and requests


@pytest.mark.parametrize(
    "options", [{"access_key": ""}, {"base_url": "canary"}, {"webhook_url": "https://me:canary@sms.example.org"}]
)
def test_option_that_cannot_work_is_named(options):
    """Without repeating its value."""
    with pytest.raises(ValueError, match=next(iter(options))) as error:
        messagebird(**options)

    assert "canary" not in str(error.value)


def test_loads_from_one_line():
    """The key stands where a user stands; the host is for a sandbox."""
    provider = from_url("messagebird+http://canary@localhost:9000?signing_key=k", webhook_url=HOOKS + "/status")

    request = provider.build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert isinstance(provider, MessageBird)
    assert request.url == "http://localhost:9000/messages"
    assert request.headers["Authorization"] == "AccessKey canary"
    assert json.loads(request.body)["reportUrl"] == HOOKS + "/status"


def test_request_as_documented():
    """POST /messages, AccessKey, flat JSON; nothing that we were not asked for."""
    request = messagebird(webhook_url="").build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://rest.messagebird.com/messages")
    assert json.loads(request.body) == {
        "originator": "PACELINE",
        "recipients": ["12125550123"],
        "body": "Hi",
        "datacoding": "auto",
        "reference": "r1",
    }


def test_without_a_report_there_is_no_reference():
    """For it is the reference that MessageBird reports on."""
    fields = json.loads(messagebird().build(Message("Hi", SENDER, NUMBER, report=False)).body)

    assert fields.keys() == {"originator", "recipients", "body", "datacoding"}


@pytest.mark.parametrize(("validity_seconds", "validity"), [(None, None), (-1, 1), (0, 1), (3600, 3600)])
def test_validity_in_seconds(validity_seconds, validity):
    """None asked for, none sent."""
    request = messagebird().build(Message("Hi", SENDER, NUMBER, validity_seconds=validity_seconds))

    assert json.loads(request.body).get("validity") == validity


# Answers


@pytest.mark.parametrize(
    ("answer", "reaction", "code"),
    [
        (error(400, 9, "recipients"), Refused, "9"),
        (error(422, 10, "body"), Refused, "10"),
        (error(422, 9, "originator"), SenderProblem, "9"),
        (error(422, 2, "originator"), AccountProblem, "2"),
        (error(400, "25"), AccountProblem, "25"),
        (error(404, 98), AccountProblem, "98"),
        (error(401, 9), AccountProblem, "9"),
        (error(422, "+12125550123"), Refused, "422"),
        (error(422, None), Refused, "422"),
        (Response(422, {}, b'{"errors": "none"}'), Refused, "422"),
        (Response(422, {}, b'{"errors": [7]}'), Refused, "422"),
        (Response(418), Refused, "418"),
        (Response(405), AccountProblem, "405"),
        (Response(408), Uncertain, ""),
        (error(429, 2), Throttled, "2"),
        (error(500, 9), Uncertain, ""),
        (Response(201, {}, b'{"id": ""}'), Uncertain, ""),
        (Response(201, {}, b'{"id": 7}'), Uncertain, ""),
        (Response(200, {}, b'{"errors": [{"code": 9}]}'), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(answer, reaction, code):
    """The HTTP status decides first, then the first error's code."""
    with pytest.raises(reaction) as error:
        messagebird().read(answer)

    assert type(error.value) is reaction
    assert error.value.code == code


def test_answer_counts_the_segments():
    """As MessageBird bills them; none when it does not say."""
    accept = TestMessageBirdContract.accept
    assert messagebird().read(accept).segments == 2
    for body in (b'{"id": "a"}', b'{"id": "a", "recipients": {"items": []}}', b'{"id": "a", "recipients": 7}'):
        assert messagebird().read(replace(accept, body=body)).segments is None


# Signatures


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_three_algorithms(algorithm):
    """And a token that names one and is signed with another fails."""
    key = KEY * 2
    provider = messagebird(signing_key=key)
    for webhook in (signed(report(), key=key, algorithm=algorithm), signed(inbound(), key=key, algorithm=algorithm)):
        provider.verify(webhook, NOW)
        head, _, tail = webhook.headers["messagebird-signature-jwt"].partition(".")
        other = jwt.encode({}, key, algorithm="HS384" if algorithm == "HS256" else "HS256").partition(".")[0]
        assert head != other
        with pytest.raises(WebhookRejected):
            provider.verify(with_token(webhook, f"{other}.{tail}"), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "Vonage"},
        {"iss": None},
        {"nbf": None},
        {"exp": None},
        {"nbf": "soon"},
        {"exp": True},
        {"url_hash": None},
        {"url_hash": hashlib.sha256(b"https://sms.example.org/").hexdigest()},
        {"url_hash": 7},
        {"payload_hash": hashlib.sha256(b"").hexdigest()},
    ],
)
def test_claim_out_of_order(changes):
    """Each of them matters; a hash of a body that is not there is one too many."""
    messagebird().verify(signed(report()), NOW)
    with pytest.raises(WebhookRejected):
        messagebird().verify(signed(report(), **changes), NOW)


def test_body_without_its_hash():
    """A body that nobody signed is not believed."""
    messagebird().verify(signed(inbound()), NOW)
    with pytest.raises(WebhookRejected):
        messagebird().verify(signed(inbound(), payload_hash=None), NOW)


def test_unsigned_and_foreign_tokens():
    """Algorithm none, RS256, a critical extension, three dots of nothing."""
    for token in (
        jwt.encode({"iss": "MessageBird"}, None, algorithm="none"),
        jwt.encode({"iss": "MessageBird"}, KEY, headers={"crit": ["exp"]}),
        "..",
        "a.b.c",
        "é.é.é",
        "." * 9000,
    ):
        with pytest.raises(WebhookRejected):
            messagebird().verify(with_token(report(), token), NOW)


def test_the_address_called_is_the_one_outside():
    """What the proxy calls us inside counts only when no webhook_url says better."""
    webhook = signed(report())
    with pytest.raises(WebhookRejected, match="webhook_url"):
        messagebird(webhook_url="").verify(webhook, NOW)
    messagebird(webhook_url="").verify(replace(webhook, origin=HOOKS), NOW)


def test_without_a_key_nothing_is_believed():
    """And the sentence says which option is missing."""
    with pytest.raises(WebhookRejected, match="signing_key"):
        messagebird(signing_key="").verify(signed(report(), key="x" * 32), NOW)


# Events


@pytest.mark.parametrize(
    ("reason", "sentence", "opted_out"),
    [
        ("unknown subscriber", "the number does not exist", False),
        ("unknown_subscriber", "the number does not exist", False),
        ("absent subscriber", "out of reach", False),
        ("carrier rejected", "the carrier blocked it", False),
        ("received network error", "had an error", False),
        ("Opted Out", "opted out", True),
        ("something new", "", False),
    ],
)
def test_reason_of_a_report(reason, sentence, opted_out):
    """Their words, in ours; a new one says nothing."""
    event = only(report(status="delivery_failed", statusReason=reason, statusErrorCode="27"))

    assert sentence in event.reason
    assert bool(event.reason) == bool(sentence)
    assert (event.opted_out, event.code) == (opted_out, "27")


def test_report_says_when_and_how_many():
    """The moment with its offset, the segments."""
    event = only(report(messagePartCount="3"))

    assert event == DeliveryReport(
        status=Status.DELIVERED,
        reference="0123456789abcdef0123456789abcdef",
        provider_id="5d2f8c1e6a344a0b9d551f0c2b7a9e41",
        word="delivered",
        at=datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC),
        segments=3,
    )


def test_unknown_word_changes_nothing():
    """It is kept, and means nothing yet."""
    event = only(report(status="teleported"))

    assert (event.status, event.word) == (None, "teleported")


def test_inbound_by_get_and_as_json():
    """The same text in each of the ways that it may come."""
    webhook = inbound()
    fields = dict(parse_qsl(webhook.body.decode()))
    as_json = replace(webhook, body=json.dumps(fields).encode())
    as_payload = inbound(payload="Stop please")
    as_payload = replace(as_payload, body=as_payload.body.replace(b"body=", b"other="))

    events = [only(webhook), only(replace(webhook, body=b"", query=webhook.body.decode())), only(as_json)]

    assert events == [events[0]] * 3 == [only(as_payload)] * 3
    assert (events[0].number, events[0].sender, events[0].text) == (NUMBER, SENDER, "Stop please")
    assert events[0].at == datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC)


def test_what_is_about_nothing():
    """A form without a status or an originator is no event; an empty request is rejected."""
    assert list(messagebird().events(WebhookRequest("GET", "", {}, "hello=1"))) == []
    with pytest.raises(WebhookRejected):
        messagebird().events(WebhookRequest("GET", ""))
