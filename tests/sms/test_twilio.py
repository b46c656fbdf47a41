"""Twilio, word by word. The contract comes first, then what only Twilio does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

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
from paceline.sms.messages import Lookup, Message, Response, WebhookRequest
from paceline.sms.providers import load
from paceline.sms.providers.twilio import ANSWERS, CODES, Twilio
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

SID = "AC00000000000000000000000000000001"
TOKEN = "canary-auth-token"
SERVICE = "MG00000000000000000000000000000001"
MESSAGE = "SM00000000000000000000000000000001"
STATUS_URL = "https://sms.example.org/webhooks/default/status"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def twilio(**options) -> Twilio:
    return Twilio(**({"account_sid": SID, "auth_token": TOKEN, "webhook_url": STATUS_URL} | options))


def resource(**changes) -> dict:
    return {
        "account_sid": SID,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Wed, 04 Mar 2026 09:15:25 +0000",
        "date_sent": None,
        "date_updated": "Wed, 04 Mar 2026 09:15:27 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": SENDER,
        "messaging_service_sid": None,
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": MESSAGE,
        "status": "queued",
        "to": NUMBER,
    } | changes


def answer(status: int, /, **fields) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def no(code: int, status: int = 400) -> Response:
    return answer(status, code=code, message="…", more_info=f"https://www.twilio.com/docs/errors/{code}", status=status)


def mac(text: str, token: str = TOKEN) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def webhook(url: str, fields: dict[str, str] | list[tuple[str, str]], signature: str = "") -> WebhookRequest:
    parts = urlsplit(url)
    pairs = list(fields.items()) if isinstance(fields, dict) else fields
    signature = signature or mac(url + "".join(name + value for name, value in sorted(pairs)))
    return WebhookRequest(
        "POST",
        parts.path,
        FORM | {"x-twilio-signature": signature},
        parts.query,
        urlencode(pairs).encode(),
        f"{parts.scheme}://{parts.netloc}",
    )


def status_callback(word: str, code: str = "", **changes) -> dict[str, str]:
    fields = {"MessageSid": MESSAGE, "SmsSid": MESSAGE, "MessageStatus": word, "SmsStatus": word}
    fields |= {"To": NUMBER, "From": SENDER, "AccountSid": SID, "ApiVersion": "2010-04-01"}
    return fields | ({"ErrorCode": code} if code else {}) | changes


def inbound(**changes) -> dict[str, str]:
    fields = {"MessageSid": MESSAGE, "SmsSid": MESSAGE, "SmsMessageSid": MESSAGE, "SmsStatus": "received"}
    fields |= {"From": NUMBER, "To": SENDER, "Body": "Stop please", "NumMedia": "0", "NumSegments": "1"}
    return fields | {"AccountSid": SID, "ApiVersion": "2010-04-01", "FromCity": "", "FromCountry": "US"} | changes


def events(fields: dict[str, str], query: str = "") -> list:
    return list(twilio().events(WebhookRequest("POST", "/", {}, query, urlencode(fields).encode())))


class TestTwilioContract(ProviderContract):
    provider = twilio()
    other_provider = twilio(auth_token="another-token")
    secrets = (TOKEN, base64.b64encode(f"{SID}:{TOKEN}".encode()).decode())
    accept = Response(201, {}, json.dumps(resource()).encode())
    accepted_id = MESSAGE
    refuse = no(21211)
    refuse_code = "21211"
    throttle = no(20429, 429)
    opt_out = no(21610)
    sender_problem = no(21606)
    account_problems = (no(20003, 401), no(20404, 404), no(30002), no(21608), Response(403))
    reports = (
        ("queued", Status.ACCEPTED),
        ("sending", Status.ACCEPTED),
        ("sent", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("read", Status.DELIVERED),
        ("undelivered 30005", Status.UNDELIVERED),
        ("failed 30001", Status.FAILED),
        ("failed 30007", Status.REFUSED),
        ("failed 30036", Status.EXPIRED),
        ("failed 21610", Status.REFUSED),
        ("canceled", Status.FAILED),
    )
    opt_out_report = "failed 21610"

    def understand(self, request):
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        return {
            "reference": dict(parse_qsl(urlsplit(fields["StatusCallback"]).query))["reference"],
            "sender": fields["From"],
            "number": fields["To"].lstrip("+"),
            "text": fields["Body"],
        }

    def report(self, name, reference, provider_id, at):
        word, _, code = name.partition(" ")
        fields = status_callback(word, code, MessageSid=provider_id, SmsSid=provider_id)
        return webhook(f"{STATUS_URL}?reference={reference}", fields)

    def inbound(self, number, sender, text, at):
        url = "https://sms.example.org/webhooks/default/inbound"
        return webhook(url, inbound(From=number, To=sender, Body=text))

    def signature(self, webhook):
        return webhook.headers["x-twilio-signature"]

    def with_signature(self, webhook, signature):
        return replace(webhook, headers={**webhook.headers, "x-twilio-signature": signature})


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"account_sid": ""}, "set account_sid"),
        ({"account_sid": "SKcanary"}, "begins with AC"),
        ({"account_sid": "AC1/../canary"}, "begins with AC"),
        ({"auth_token": ""}, "set auth_token"),
        ({"api_key": "SKcanary"}, "go together"),
        ({"api_secret": "canary"}, "go together"),
        ({"messaging_service_sid": "canary"}, "messaging_service_sid"),
        ({"base_url": "api.twilio.com"}, "base_url"),
        ({"webhook_url": "/hooks/canary"}, "webhook_url"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        twilio(**options)

    assert "canary" not in str(error.value)


def test_loads_by_its_name():
    """As settings name it; where reports come in is given by them."""
    provider = load("twilio", {"account_sid": SID, "auth_token": TOKEN}, webhook_url=STATUS_URL)

    assert isinstance(provider, Twilio)
    assert b"StatusCallback" in provider.build(Message("Hi", SENDER, NUMBER)).body


# Requests


def sent(provider: Twilio, **fields) -> dict[str, str]:
    message = Message(**{"text": "Hi", "sender": SENDER, "number": NUMBER, "reference": "r1"} | fields)
    return dict(parse_qsl(provider.build(message).body.decode(), keep_blank_values=True))


def test_request_as_documented():
    """A form, Basic; numbers keep their plus."""
    request = twilio().build(Message("Hi", SENDER, NUMBER, "r1"))

    assert (request.method, request.url) == (
        "POST",
        f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json",
    )
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(request.body.decode())) == {
        "To": NUMBER,
        "From": SENDER,
        "Body": "Hi",
        "StatusCallback": f"{STATUS_URL}?reference=r1",
    }


def test_api_key_authenticates_and_the_account_stays_in_the_address():
    """The key's secret opens the account; the token is kept for webhooks."""
    request = twilio(api_key="SK1", api_secret="canary-key-secret").build(Message("Hi", SENDER, NUMBER))

    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"SK1:canary-key-secret").decode()
    assert SID in request.url


def test_sender_or_service():
    """A service beside the sender, or in its place."""
    assert "MessagingServiceSid" not in sent(twilio())
    both = sent(twilio(messaging_service_sid=SERVICE))
    assert (both["From"], both["MessagingServiceSid"]) == (SENDER, SERVICE)
    alone = sent(twilio(), sender=SERVICE)
    assert "From" not in alone
    assert alone["MessagingServiceSid"] == SERVICE


@pytest.mark.parametrize(
    ("options", "fields"), [({"webhook_url": ""}, {}), ({}, {"report": False})], ids=["no address", "no report wanted"]
)
def test_no_callback_unless_there_is_an_address_and_a_wish(options, fields):
    """Twilio then sends what the service is set to, or nothing."""
    assert "StatusCallback" not in sent(twilio(**options), **fields)


@pytest.mark.parametrize(
    ("validity_seconds", "period"), [(None, None), (0, "6"), (6, "6"), (3600, "3600"), (10**9, "36000")]
)
def test_validity_is_passed_on_in_seconds(validity_seconds, period):
    """Within what Twilio takes; none asked for, none sent."""
    assert sent(twilio(), validity_seconds=validity_seconds).get("ValidityPeriod") == period


# Answers

REACTIONS = {
    Throttled: "14107 20429 21611 63018 63038",
    OptedOut: "21610",
    Refused: "21211 21408 21602 21603 21604 21612 21614 21617 21618 21619 21620 21656",
    SenderProblem: "21212 21606 21607 21659 21660 21701 21702 21703 21704 21705 21910 "
    "30018 30024 30032 30033 30034 30035",
    AccountProblem: "20003 20404 21608 21609 30002",
    Uncertain: "20409 20500 20503",
}


def test_table_of_answers_is_tested_whole():
    """No code is in the table without standing here."""
    assert set(ANSWERS) == {code for codes in REACTIONS.values() for code in codes.split()}


@pytest.mark.parametrize(("reaction", "codes"), REACTIONS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_code_calls_for_a_reaction(reaction, codes):
    """In the older form of an error and in the newer one."""
    for code in codes.split():
        newer = answer(400, type=f"https://www.twilio.com/docs/errors/{code}", title="…", detail="…")
        for each in (no(int(code)), newer):
            with pytest.raises(reaction) as error:
                twilio().read(each)

            assert type(error.value) is reaction
            assert error.value.code == code


@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        *((status, AccountProblem) for status in (401, 402, 403, 404, 405, 406, 415)),
        (400, Refused),
        (408, Uncertain),
        (409, Uncertain),
        (418, Refused),
        (429, Throttled),
    ],
)
def test_http_status_decides_where_there_is_no_code(status, reaction):
    """An empty body, a page, a code that we do not know."""
    for body in (b"", b"<html>", no(99999).body):
        with pytest.raises(reaction) as error:
            twilio().read(Response(status, {}, body))

        assert type(error.value) is reaction


def test_full_queue_is_no_matter_of_a_second():
    """Twilio names no time for these; when it does, that counts."""
    for code, seconds in (("21611", 600.0), ("63038", 3600.0), ("14107", 30.0), ("20429", None)):
        with pytest.raises(Throttled) as throttled:
            twilio().read(no(int(code)))
        assert throttled.value.retry_after == seconds
        with pytest.raises(Throttled) as throttled:
            twilio().read(replace(no(int(code)), headers={"retry-after": "7"}))
        assert throttled.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("changes", "segments", "price", "currency"),
    [
        ({}, 1, None, ""),
        ({"num_segments": "3"}, 3, None, ""),
        ({"num_segments": "0", "status": "accepted", "from": None}, None, None, ""),
        ({"price": "-0.00750"}, 1, Decimal("0.00750"), "USD"),
        ({"price": "-0.00750", "price_unit": None}, 1, Decimal("0.00750"), ""),
        ({"price": "free"}, 1, None, ""),
    ],
    ids=repr,
)
def test_accepted_says_what_is_known(changes, segments, price, currency):
    """Mostly neither price nor, with a service, segments."""
    accepted = twilio().read(answer(201, **resource(**changes)))

    assert (accepted.segments, accepted.price, accepted.currency) == (segments, price, currency)


# Signatures

EXAMPLE_TOKEN = "docs-example-token-0001"
EXAMPLE = [
    ("AccountSid", SID),
    ("ApiVersion", "2010-04-01"),
    ("From", "+15005550006"),
    ("MessageSid", MESSAGE),
    ("MessageStatus", "delivered"),
    ("SmsSid", MESSAGE),
    ("SmsStatus", "delivered"),
]
HOOKS = "https://hooks.example.org/twilio"


@pytest.mark.parametrize(
    ("url", "pairs", "signature"),
    [
        (f"{HOOKS}/status/", [*EXAMPLE, ("To", "+37255512345")], "mtAiQV9/JGiMq+VcNRuN5KyuXcQ="),
        (
            f"{HOOKS}/in/?tenant=7",
            [("Body", "Küsi 👍 & more"), ("From", "+37255512345"), ("To", "+15005550006")],
            "w/rYTN9fea7rDaMdDL+u/56egDM=",
        ),
        (f"{HOOKS}/status/", [("Tag", "b"), ("Tag", "a"), ("Tag", "b"), ("X", "1")], "w4J/TnIUK1mMdnUvbztRXSLfKIc="),
    ],
    ids=["form", "query and Unicode", "repeated values"],
)
def test_signatures_that_the_official_library_has_computed(url, pairs, signature):
    """Names and values sorted, each different value of a name once."""
    twilio(auth_token=EXAMPLE_TOKEN, webhook_url="").verify(webhook(url, pairs, signature), NOW)
    with pytest.raises(WebhookRejected):
        twilio(webhook_url="").verify(webhook(url, pairs, signature), NOW)


def as_json(body: bytes, url: str, signature: str) -> WebhookRequest:
    parts = urlsplit(url)
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    return WebhookRequest("POST", parts.path, headers, parts.query, body, f"{parts.scheme}://{parts.netloc}")


def test_signature_over_json():
    """The address carries the body's hash, the signature covers the address: both are looked at."""
    body = b'{"eventId":"42","status":"ok"}'
    digest = "da460ae5ee9d4da3750e23e4b403b31c113de4a4561a853a46a706461091579d"
    url = f"{HOOKS}/json?bodySHA256={digest}"
    genuine = as_json(body, url, "nfWQdPuCcl1VsERgjh8MfGxiGZ8=")
    provider = twilio(auth_token=EXAMPLE_TOKEN, webhook_url="")

    provider.verify(genuine, NOW)
    forged = [
        replace(genuine, body=body + b" "),
        replace(genuine, query=""),
        replace(genuine, query=f"bodySHA256={hashlib.sha256(b'{}').hexdigest()}", body=b"{}"),
        as_json(body, f"{HOOKS}/json", mac(f"{HOOKS}/json", EXAMPLE_TOKEN)),
        replace(genuine, headers=FORM | {"x-twilio-signature": "nfWQdPuCcl1VsERgjh8MfGxiGZ8="}, body=body + b"\n"),
    ]
    for other in forged:
        with pytest.raises(WebhookRejected):
            provider.verify(other, NOW)


@pytest.mark.parametrize(
    ("signed_as", "called"),
    [
        ("https://hooks.example.org/t?a=1", "https://hooks.example.org:443/t?a=1"),
        ("https://hooks.example.org:443/t?a=1", "https://hooks.example.org/t?a=1"),
        ("http://hooks.example.org:80/t", "http://hooks.example.org/t"),
        ("https://hooks.example.org:8443/t", "https://hooks.example.org:8443/t"),
        ("https://hooks.example.org/t", "https://hooks.example.org:8443/t"),
        ("https://[2001:db8::1]/t", "https://[2001:db8::1]:443/t"),
        ("https://[2001:db8::1]:443/t", "https://[2001:db8::1]/t"),
        ("https://hooks.example.org/t/?b=%2f&a=%C3%BC+", "https://hooks.example.org/t/?b=%2f&a=%C3%BC+"),
    ],
)
def test_address_with_and_without_port(signed_as, called):
    """Twilio is not consistent; everything else of the address is as it was written."""
    fields = status_callback("delivered")
    signature = webhook(signed_as, fields).headers["x-twilio-signature"]

    twilio(webhook_url="").verify(webhook(called, fields, signature), NOW)
    with pytest.raises(WebhookRejected):
        twilio(webhook_url="").verify(webhook(called.replace("/t", "/T"), fields, signature), NOW)


def test_proxy_that_hides_the_address():
    """What was called outside stands in `webhook_url`; path and query are the request's."""
    outside = webhook(f"{STATUS_URL}?reference=r1", status_callback("delivered"))
    inside = replace(outside, origin="http://10.0.0.5:8000")

    twilio().verify(inside, NOW)
    with pytest.raises(WebhookRejected):
        twilio(webhook_url="").verify(inside, NOW)


@pytest.mark.parametrize("query", ["", "reference=r2", "reference=r1&reference=r2", "reference=r1&"])
def test_reference_in_the_address_is_signed(query):
    """A report of one message cannot be turned against another."""
    genuine = webhook(f"{STATUS_URL}?reference=r1", status_callback("delivered"))

    twilio().verify(genuine, NOW)
    with pytest.raises(WebhookRejected):
        twilio().verify(replace(genuine, query=query), NOW)


def test_callback_by_get():
    """The parameters stand in the address, and that is signed."""
    query = urlencode({"reference": "r1"} | status_callback("delivered"))
    headers = {"x-twilio-signature": mac(f"{STATUS_URL}?{query}")}
    genuine = WebhookRequest("GET", "/webhooks/default/status", headers, query, b"", "https://sms.example.org")

    twilio().verify(genuine, NOW)
    (report,) = twilio().events(genuine)
    assert (report.reference, report.status) == ("r1", Status.DELIVERED)
    with pytest.raises(WebhookRejected):
        twilio().verify(replace(genuine, query=query.replace("delivered", "failed")), NOW)


def test_auth_token_while_it_is_changed():
    """Both are believed; one that is empty signs nothing."""
    signed = webhook(STATUS_URL, status_callback("delivered"))

    twilio(auth_token="new-token", secondary_auth_token=TOKEN).verify(signed, NOW)
    empty = webhook(STATUS_URL, status_callback("delivered"), mac(STATUS_URL, ""))
    for provider in (twilio(), twilio(auth_token="", api_key="SK1", api_secret="canary")):
        with pytest.raises(WebhookRejected):
            provider.verify(empty, NOW)
    with pytest.raises(WebhookRejected, match="auth_token"):
        twilio(auth_token="", api_key="SK1", api_secret="canary").verify(signed, NOW)


@pytest.mark.parametrize("body", [b"\xff", b"a=1&" * 5000, b"a=%ff"])
def test_body_that_is_no_form_is_rejected(body):
    """Whatever its signature."""
    with pytest.raises(WebhookRejected):
        twilio().verify(replace(webhook(STATUS_URL, {}), body=body), NOW)


# Status callbacks


def test_callback_carries_what_twilio_says():
    """Neither time nor price: those come with a look-up."""
    (report,) = events(status_callback("undelivered", "30005"), "reference=r1")

    assert (report.reference, report.provider_id) == ("r1", MESSAGE)
    assert (report.status, report.word, report.code) == (Status.UNDELIVERED, "undelivered", "30005")
    assert "does not exist" in report.reason
    assert (report.at, report.price) == (None, None)


FAILED = {
    Status.EXPIRED: "30036",
    Status.REFUSED: "30002 30007 30032 30033 30034 30035 21610 21211 21614",
    Status.FAILED: "30001 30003 30008 30022 30023 30027 63038 99999",
}


@pytest.mark.parametrize(("status", "codes"), FAILED.items())
def test_failed_is_told_apart_by_its_code(status, codes):
    """One word for given up, refused and too late; `undelivered` stays undelivered, unless it was too late."""
    for code in codes.split():
        (failed,) = events(status_callback("failed", code))
        (undelivered,) = events(status_callback("undelivered", code))

        assert (failed.status, failed.code) == (status, code)
        assert undelivered.status is (Status.EXPIRED if code == "30036" else Status.UNDELIVERED)
        assert failed.reason
        assert failed.opted_out is (code == "21610")


@pytest.mark.parametrize("code", [*CODES, *ANSWERS])
def test_every_code_has_a_reason(code):
    """Also those that come with an answer as a rule."""
    (report,) = events(status_callback("failed", code))

    assert report.reason
    assert "do not know" not in report.reason


@pytest.mark.parametrize("word", ["partially_delivered", "received", "receiving", "DELIVERED", ""])
def test_unknown_word_is_kept_without_a_meaning(word):
    """It changes no state."""
    (report,) = events(status_callback(word))

    assert (report.status, report.word) == (None, word)


# Inbound texts


@pytest.mark.parametrize(
    ("said", "opted_out"), [({"OptOutType": "STOP"}, True), ({"OptOutType": "HELP"}, False), ({}, False)]
)
def test_what_twilio_takes_for_a_stop(said, opted_out):
    """With Advanced Opt-Out it knows words of its own, and says what they stand for."""
    (text,) = events(inbound(Body="basta", **said))

    assert text.opted_out is opted_out


def test_inbound_text():
    """Whole, with the person's number and ours."""
    (text,) = events(inbound())

    assert (text.number, text.sender, text.text, text.provider_id) == (NUMBER, SENDER, "Stop please", MESSAGE)


@pytest.mark.parametrize(
    "changes",
    [{"Body": "", "NumMedia": "1"}, {"From": "whatsapp:+12125550123"}, {"From": ""}],
    ids=["a picture", "another channel", "nobody"],
)
def test_what_is_not_a_text_is_no_event(changes):
    """A picture is not an empty text; an empty text is a text."""
    assert events(inbound(**changes)) == []
    (empty,) = events(inbound(Body=""))
    assert empty.text == ""


def test_short_codes_stay_as_they_are():
    """Only numbers have a plus."""
    (text,) = events(inbound(From="12345"))

    assert text.number == "12345"


def test_nothing_is_said_in_reply_to_a_webhook():
    """A text in the answer might be sent to the person."""
    assert twilio().acknowledgement == b""


# Look-ups

CREATED = datetime(2026, 3, 4, 9, 15, 25, tzinfo=UTC)


def sought(**changes) -> Lookup:
    known = {"reference": "r1", "number": NUMBER, "sender": SENDER, "text": "Hello"}
    return Lookup(**known | {"submitted_at": CREATED.timestamp()} | changes)


def found(*messages: dict, **changes):
    return twilio().read_lookup(answer(200, messages=list(messages), next_page_uri=None), sought(**changes))


def test_look_up_by_id():
    """One GET, with the credentials in a header only."""
    request = twilio().build_lookup(sought(provider_id=MESSAGE))

    assert (request.method, request.body) == ("GET", b"")
    assert request.url == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages/{MESSAGE}.json"
    assert request.headers["Authorization"].startswith("Basic ")
    odd = twilio().build_lookup(sought(provider_id="a/../b?c"))
    assert odd.url.endswith("/Messages/a%2F..%2Fb%3Fc.json")


def test_look_up_of_a_lost_answer_asks_for_the_list():
    """The newest to this number; by sender only where that is settled at once."""
    request = twilio().build_lookup(sought())
    by_service = twilio(messaging_service_sid=SERVICE).build_lookup(sought())

    wanted = {"To": NUMBER, "PageSize": "20"}
    assert dict(parse_qsl(urlsplit(request.url).query)) == wanted | {"From": SENDER}
    assert dict(parse_qsl(urlsplit(by_service.url).query)) == wanted


def test_look_up_tells_the_price():
    """Which comes after the last callback, as a negative number."""
    message = resource(status="delivered", price="-0.00750", num_segments="2")
    report = twilio().read_lookup(answer(200, **message), sought(provider_id=MESSAGE))

    assert (report.status, report.provider_id, report.reference) == (Status.DELIVERED, MESSAGE, "r1")
    assert (report.price, report.currency, report.segments) == (Decimal("0.00750"), "USD", 2)
    assert report.at == CREATED + timedelta(seconds=2)


def test_look_up_knows_errors():
    """As a callback would tell them."""
    report = twilio().read_lookup(
        answer(200, **resource(status="failed", error_code=30036)), sought(provider_id=MESSAGE)
    )

    assert (report.status, report.code) == (Status.EXPIRED, "30036")


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "Hello!"},
        {"to": "+12125550124"},
        {"direction": "inbound"},
        {"sid": None},
        {"date_created": "Wed, 04 Mar 2026 09:14:00 +0000"},
        {"date_created": "Wed, 04 Mar 2026 09:18:00 +0000"},
        {"date_created": None},
        {"date_created": "soon"},
    ],
    ids=repr,
)
def test_another_message_is_not_taken_for_ours(changes):
    """Text, number, direction and time must fit; what is not found may still come."""
    assert found(resource(**changes)) is None
    assert found() is None
    assert not twilio().capabilities.lookup_proves_absence


def test_of_several_the_nearest_is_ours():
    """The same text twice in a minute."""
    times = [CREATED + timedelta(seconds=seconds) for seconds in (40, 3, -20)]
    messages = [resource(sid=f"SM{n}", date_created=format_datetime(at), status="sent") for n, at in enumerate(times)]

    assert found(*messages).provider_id == "SM1"


def test_text_that_twilio_has_smartened():
    """A messaging service may replace typographic signs."""
    assert found(resource(body="it's"), text="it’s") is not None


@pytest.mark.parametrize(
    ("given", "reaction"),
    [
        (no(20003, 401), AccountProblem),
        (no(20429, 429), Throttled),
        (no(20001), Uncertain),
        (Response(404), AccountProblem),
        (Response(500), Uncertain),
        (Response(302), Uncertain),
        (Response(200), Uncertain),
        (Response(200, {}, b'{"messages": {}}'), Uncertain),
        (Response(200, {}, b'{"messages": [{"sid": "SM'), Uncertain),
    ],
    ids=repr,
)
def test_look_up_that_says_neither(given, reaction):
    """No answer about the message: nothing may be concluded from it."""
    with pytest.raises(reaction):
        twilio().read_lookup(given, sought())


def test_look_up_by_id_that_is_not_there_or_not_that():
    """A 404 is "not there"; another message is no answer."""
    assert twilio().read_lookup(no(20404, 404), sought(provider_id=MESSAGE)) is None
    with pytest.raises(Uncertain):
        twilio().read_lookup(answer(200, **resource(sid="SM2")), sought(provider_id=MESSAGE))
