"""Infobip, word by word. The contract comes first, then what only Infobip does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from paceline.sms.errors import (
    AccountProblem,
    OptedOut,
    Refused,
    SenderProblem,
    Throttled,
    Uncertain,
    WebhookRejected,
)
from paceline.sms.messages import InboundText, Lookup, Message, Response, WebhookRequest
from paceline.sms.providers import from_url
from paceline.sms.providers.infobip import ERRORS, OPTED_OUT_ERRORS, STATUSES, Infobip
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

SECRET = "canary-webhook-secret"
HOOKS = "https://sms.example.org/webhooks/default/status"
INBOUND_PATH = f"/webhooks/default/inbound/{SECRET}"


def infobip(**options) -> Infobip:
    whole = {
        "api_key": "canary-api-key",
        "base_url": "https://abc12.api.infobip.com",
        "webhook_url": HOOKS,
        "webhook_secret": SECRET,
    }
    return Infobip(**(whole | options))


def answer(group: int, number: int, **changes) -> Response:
    message = {
        "messageId": "r1",
        "destination": "12125550123",
        "status": {"groupId": group, "groupName": "…", "id": number, "name": "…", "description": "…"},
        "details": {"messageCount": 2},
    } | changes
    return Response(200, {}, json.dumps({"bulkId": "b1", "messages": [message]}).encode())


def older(status: int, word: str) -> Response:
    body = {"requestError": {"serviceException": {"messageId": word, "text": "…"}}}
    return Response(status, {}, json.dumps(body).encode())


def newer(status: int, code: str) -> Response:
    return Response(status, {}, json.dumps({"errorCode": code, "description": "…", "violations": []}).encode())


def result(group: int, number: int, error: int = 0, **changes) -> dict:
    return {
        "bulkId": "b1",
        "messageId": "r1",
        "to": "12125550123",
        "sender": "PACELINE",
        "sentAt": "2026-03-04T09:15:27.000+0000",
        "doneAt": "2026-03-04T10:15:30.000+0100",
        "messageCount": 2,
        "price": {"pricePerMessage": 0.0075, "currency": "EUR"},
        "status": {"groupId": group, "groupName": "…", "id": number, "name": "SOME_NAME", "description": "…"},
        "error": {"groupId": 0, "groupName": "…", "id": error, "name": "…", "description": "…", "permanent": True},
    } | changes


def webhook(*results: dict, path: str = INBOUND_PATH, query: str = "") -> WebhookRequest:
    return WebhookRequest("POST", path, {}, query, json.dumps({"results": results}).encode())


def inbound(**changes) -> dict:
    return {
        "messageId": "in-1",
        "from": "12125550123",
        "to": "13105550199",
        "text": "Stop please",
        "cleanText": "please",
        "keyword": "STOP",
        "receivedAt": "2026-03-04T09:20:01.000+0000",
        "smsCount": 1,
    } | changes


def only(*results: dict):
    (event,) = infobip().events(webhook(*results))
    return event


def callback_of(provider: Infobip, reference: str) -> tuple[str, str]:
    """Path and query of the address that a message names for its reports."""
    (message,) = json.loads(provider.build(Message("Hi", SENDER, NUMBER, reference)).body)["messages"]
    parts = urlsplit(message["webhooks"]["delivery"]["url"])
    return parts.path, parts.query


class TestInfobipContract(ProviderContract):
    """Nothing is signed: the key of a report's address, or the secret at an address's end, stands for a signature."""

    provider = infobip()
    other_provider = infobip(webhook_secret="another-secret")
    secrets = ("canary-api-key", SECRET)
    accept = answer(1, 26)
    accepted_id = "r1"
    refuse = answer(5, 52)
    refuse_code = "52"
    throttle = newer(429, "E429")
    opt_out = answer(5, 14)
    sender_problem = answer(5, 11)
    account_problems = (older(401, "UNAUTHORIZED"), newer(403, "E403"), answer(5, 12), answer(5, 17), Response(404))
    reports = tuple(
        (f"{group} {number} {error}", status)
        for group, number, error, status in (
            (1, 26, 0, Status.ACCEPTED),
            (1, 7, 0, Status.SENT),
            (1, 3, 0, Status.SENT),
            (3, 2, 0, Status.SENT),
            (3, 5, 0, Status.DELIVERED),
            (2, 4, 561, Status.UNDELIVERED),
            (2, 9, 1, Status.UNDELIVERED),
            (4, 15, 0, Status.EXPIRED),
            (4, 29, 0, Status.UNCONFIRMED),
            (4, 87, 0, Status.REFUSED),
            (5, 52, 0, Status.REFUSED),
            (5, 6, 604, Status.REFUSED),
        )
    )
    opt_out_report = "5 6 604"
    signature_covers = "reference"
    mutations = 10_000

    def understand(self, request):
        (message,) = json.loads(request.body)["messages"]
        (destination,) = message["destinations"]
        return {
            "reference": destination["messageId"],
            "sender": message["sender"],
            "number": destination["to"],
            "text": message["content"]["text"],
        }

    def report(self, name, reference, provider_id, at):
        group, number, error = map(int, name.split())
        path, query = callback_of(self.provider, reference)
        return webhook(result(group, number, error, messageId=reference), path=path, query=query)

    def inbound(self, number, sender, text, at):
        return webhook(inbound(**{"from": number[1:], "to": sender[1:], "text": text}))

    def signature(self, webhook):
        return webhook.query[-32:] if webhook.query else webhook.path.rpartition("/")[2]

    def with_signature(self, webhook, signature):
        if webhook.query:
            fields = {name: values[0] for name, values in parse_qs(webhook.query).items()} | {"key": signature}
            return replace(webhook, query=urlencode(fields))
        return replace(webhook, path=webhook.path.rpartition("/")[0] + "/" + quote(signature, safe=""))

    def unsigned(self, webhook):
        bare = replace(webhook, query="", path="/webhooks/default/status")
        return [self.with_signature(webhook, ""), bare, replace(bare, query="reference=r1")]

    def test_report_means_what_the_table_says(self):
        """Each status has one meaning. There is one id for both, ours: the reference."""
        for name, status in self.reports:
            event = self.read_report(name, "r1")

            assert event.status is status, name
            assert event.reference == event.provider_id == "r1"


# Options and requests


@pytest.mark.parametrize(
    "options", [{"api_key": ""}, {"base_url": ""}, {"base_url": "canary"}, {"webhook_url": "ftp://canary.example"}]
)
def test_option_that_cannot_work_is_named(options):
    """Without repeating its value."""
    with pytest.raises(ValueError, match=next(iter(options))) as error:
        infobip(**options)

    assert "canary" not in str(error.value)


def test_loads_from_one_line():
    """The host is the account's own, and must be there."""
    provider = from_url("infobip://canary@abc12.api.infobip.com?webhook_secret=s", webhook_url=HOOKS)

    assert provider.endpoint == "https://abc12.api.infobip.com/sms/3/messages"
    with pytest.raises(ValueError, match="base_url"):
        from_url("infobip://canary@")


def test_request_as_documented():
    """POST /sms/3/messages, App key; nothing that we were not asked for."""
    request = infobip(webhook_url="").build(Message("Hi", "+13105550199", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://abc12.api.infobip.com/sms/3/messages")
    assert request.headers["Authorization"] == "App canary-api-key"
    assert json.loads(request.body) == {
        "messages": [
            {
                "sender": "13105550199",
                "destinations": [{"to": "12125550123", "messageId": "r1"}],
                "content": {"text": "Hi"},
            }
        ],
        "options": {"includeSmsCountInResponse": True},
    }


def test_reports_are_asked_for_at_an_address_of_their_own():
    """Only when one is wanted, and when we know where we are."""
    with_address = json.loads(infobip().build(Message("Hi", SENDER, NUMBER, "r1")).body)["messages"][0]
    without = json.loads(infobip().build(Message("Hi", SENDER, NUMBER, "r1", report=False)).body)["messages"][0]

    assert with_address["webhooks"]["contentType"] == "application/json"
    assert with_address["webhooks"]["delivery"]["url"].startswith(HOOKS + "?reference=r1&key=")
    assert SECRET not in json.dumps(with_address)
    assert "webhooks" not in without


@pytest.mark.parametrize(
    ("validity_seconds", "minutes"), [(None, None), (-1, 1), (0, 1), (60, 1), (61, 2), (3600, 60), (10**9, 2880)]
)
def test_validity_in_whole_minutes(validity_seconds, minutes):
    """Never shorter than asked for, within what Infobip takes; none asked for, none sent."""
    body = json.loads(infobip().build(Message("Hi", SENDER, NUMBER, validity_seconds=validity_seconds)).body)
    options = body["messages"][0].get("options")

    assert options == (None if minutes is None else {"validityPeriod": {"amount": minutes, "timeUnit": "MINUTES"}})


# Answers


@pytest.mark.parametrize("status", [(1, 26), (1, 7), (1, 3), (3, 2), (3, 5), (0, 0), (5, 23), (1, 999)])
def test_yes(status):
    """Pending, already on its way, and "I have that one already"."""
    accepted = infobip().read(answer(*status))

    assert (accepted.provider_id, accepted.segments) == ("r1", 2)


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        *((answer(5, number), Refused, str(number)) for number in (6, 8, 19, 20, 24, 25, 51, 52, 87, 999)),
        *((answer(5, number), AccountProblem, str(number)) for number in (12, 17, 18)),
        *((answer(5, number), SenderProblem, str(number)) for number in (11, 13)),
        *((answer(5, number), OptedOut, str(number)) for number in (10, 14)),
        *((answer(5, number), Uncertain, str(number)) for number in (21, 100)),
        (answer(2, 9), Uncertain, "9"),
        (answer(4, 15), Uncertain, "15"),
        (answer(1, 26, messageId=""), Uncertain, "26"),
        (answer(1, 26, messageId=7), Uncertain, "26"),
        (answer(5, 23, messageId=None), Uncertain, "23"),
        (answer(1, 26, status=None), Uncertain, ""),
        (answer(5, 52, messageId=None), Refused, "52"),
        (Response(200, {}, b'{"messages": [7]}'), Uncertain, ""),
        (newer(400, "E400"), Refused, "E400"),
        (older(400, "BAD_REQUEST"), Refused, "BAD_REQUEST"),
        (newer(400, "+12125550123"), Refused, "400"),
        (Response(400), Refused, "400"),
        (newer(401, "E401"), AccountProblem, "E401"),
        (Response(402), AccountProblem, "402"),
        (Response(405), AccountProblem, "405"),
        (Response(408), Uncertain, ""),
        (older(429, "TOO_MANY_REQUESTS"), Throttled, "TOO_MANY_REQUESTS"),
        (older(500, "GENERAL_ERROR"), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(response, reaction, code):
    """In a 200 the message's own status decides: a number that will never do, a sender, the account."""
    with pytest.raises(reaction) as error:
        infobip().read(response)

    assert type(error.value) is reaction
    assert error.value.code == code


# Who is believed


def test_key_of_one_message_lets_no_text_in():
    """Whoever has seen the address of a report cannot make somebody say STOP."""
    path, query = callback_of(infobip(), "r1")
    infobip().verify(webhook(result(3, 5), path=path, query=query), NOW)

    for results in ([inbound()], [result(3, 5), inbound()]):
        with pytest.raises(WebhookRejected):
            infobip().verify(webhook(*results, path=path, query=query), NOW)
    infobip().verify(webhook(inbound()), NOW)


def test_key_of_one_message_is_not_that_of_another():
    """And the secret is not in it."""
    path, query = callback_of(infobip(), "r1")
    with pytest.raises(WebhookRejected):
        infobip().verify(webhook(result(3, 5), path=path, query=query.replace("r1", "r2")), NOW)


def test_without_a_secret_nothing_is_believed():
    """And the sentence says which option is missing."""
    with pytest.raises(WebhookRejected, match="webhook_secret"):
        infobip(webhook_secret="").verify(webhook(result(3, 5), path="/webhooks/default/status/"), NOW)


# Events


def test_hundred_reports_in_one_call():
    """Each is an event, in order."""
    events = infobip().events(webhook(*(result(3, 5, messageId=f"r{n}") for n in range(100))))

    assert [event.reference for event in events] == [f"r{n}" for n in range(100)]


def test_one_that_cannot_be_read_does_not_hide_the_others():
    """Nor does one that is neither a report nor a text."""
    body = json.dumps({"results": [7, None, {}, {"text": "from nobody"}, result(3, 5), inbound()]}).encode()
    report, text = infobip().events(WebhookRequest("POST", "", {}, "", body))

    assert (report.reference, text.number) == ("r1", NUMBER)


def test_every_status_has_one_meaning():
    """The table, id by id; REFUSED and UNDELIVERED always say why."""
    for code, (status, reason) in STATUSES.items():
        event = only(result(5, int(code)))

        assert event.status is status
        assert bool(reason) == (status not in (Status.ACCEPTED, Status.SENT, Status.DELIVERED)) or code == "23"
        assert event.opted_out == (code in ("10", "14"))


def test_every_error_has_a_reason():
    """It is the handset's or the carrier's word, and closer to the truth than the status."""
    for code, reason in ERRORS.items():
        event = only(result(2, 9, int(code)))

        assert (event.code, event.reason) == (code, reason)
        assert event.opted_out == (code in OPTED_OUT_ERRORS)


@pytest.mark.parametrize(
    ("group", "status"),
    [(1, None), (2, Status.UNDELIVERED), (3, None), (4, None), (5, Status.REFUSED), (9, None), ("x", None)],
)
def test_unknown_id_means_what_its_group_says(group, status):
    """Where the group has one meaning; else it is kept and changes nothing."""
    assert only(result(group, 999)).status is status


def test_delivered_carries_no_error():
    """Whatever the error object says."""
    event = only(result(3, 5, 604))

    assert (event.code, event.reason, event.opted_out, event.word) == ("", "", False, "SOME_NAME")


def test_duplicate_is_no_refusal():
    """The second submit was refused, the first was not: its report says what became of the message."""
    event = only(result(5, 23))

    assert event.status is Status.ACCEPTED


def test_price_is_per_segment():
    """Exact, times the segments; older reports count them under another name."""
    event = only(result(3, 5))
    older = result(3, 5, smsCount=3)
    del older["messageCount"]

    assert (event.price, event.currency, event.segments) == (Decimal("0.0150"), "EUR", 2)
    assert only(older).price == Decimal("0.0225")
    assert only(result(3, 5, price={})).price is None
    assert only(result(3, 5, price={"pricePerMessage": "x", "currency": "EUR"})).currency == ""


def test_moments_with_an_offset_without_a_colon():
    """In UTC."""
    assert only(result(3, 5)).at == datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC)
    assert only(result(3, 5, doneAt="soon")).at is None


def test_inbound_text_is_the_whole_one():
    """Not the text without its keyword."""
    assert only(inbound()) == InboundText(
        NUMBER, SENDER, "Stop please", "in-1", datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC)
    )


# Look-ups


def found(*results: object) -> Response:
    return Response(200, {}, json.dumps({"results": results}).encode())


def test_look_up_asks_by_our_reference():
    """Or by the id, which is the same."""
    request = infobip().build_lookup(Lookup("r&1"))

    assert (request.method, request.url) == ("GET", "https://abc12.api.infobip.com/sms/3/logs?messageId=r%261")
    assert request.headers["Authorization"] == "App canary-api-key"
    assert infobip().build_lookup(Lookup("r1", provider_id="p1")).url.endswith("?messageId=p1")


def test_look_up_finds_the_one_message():
    """And no other."""
    sought = Lookup("r1")
    report = infobip().read_lookup(found(result(3, 5, messageId="r2"), result(1, 26)), sought)

    assert report is not None
    assert (report.reference, report.status) == ("r1", Status.ACCEPTED)
    assert infobip().read_lookup(found(result(3, 5, messageId="r2"), 7, {"messageId": "r1"}), sought) is None
    assert infobip().read_lookup(found(), sought) is None


@pytest.mark.parametrize(
    "response",
    [Response(500), Response(401), Response(302), Response(200), Response(200, {}, b"[]"), Response(200, {}, b"{}")],
)
def test_look_up_without_an_answer_says_neither(response):
    """A log that does not answer has not said that it is empty."""
    with pytest.raises(Uncertain):
        infobip().read_lookup(response, Lookup("r1"))
