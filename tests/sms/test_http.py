"""A company described in settings. The contract comes first, for two descriptions, then every option."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit
from xml.etree import ElementTree

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
from paceline.sms.messages import DeliveryReport, InboundText, Message, Response, WebhookRequest
from paceline.sms.providers import from_url, load
from paceline.sms.providers.base import callback_url
from paceline.sms.providers.http import Http
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, TEXTS, ProviderContract

SECRET = "canary-webhook-secret"
HERE = "https://sms.example.org/webhooks/default/status"

ERRORS = {"bad_number": "refused", "stopped": "opted_out", "bad_sender": "sender", "no_credit": "account"}
WORDS = {"sent": "sent", "ok": "delivered", "failed": "undelivered", "blocked": "refused", "late": "expired"}

MINIMAL = {"url": "https://api.example.org/send", "json": {"to": "{digits}", "text": "{text}"}, "id": "id"}

SIGNED = {
    "url": "https://api.example.org/v1/{account}/sms",
    "headers": {"Authorization": "Bearer {token}"},
    "secrets": {"account": "canary-account", "token": "canary-token"},
    "json": {
        "to": ["{digits}"],
        "from": "{sender_digits}",
        "body": {"content": "{text}", "kind": "sms"},
        "ref": "{reference}",
        "ttl": "{validity_seconds:int}",
    },
    "id": "messages.0.id",
    "error": "messages.0.error.code",
    "errors": ERRORS,
    "longest_text": 1000,
    "report": {
        "each": "results",
        "id": "message.id",
        "status": "state",
        "reference": "ref",
        "code": "why",
        "at": "time",
    },
    "report_words": WORDS,
    "opted_out_words": ["stopped"],
    "inbound": {"each": "results", "id": "id", "number": "sender", "sender": "receiver", "text": "content"},
    "signature": {"header": "X-Signature", "secret": SECRET, "prefix": "sha256="},
}

KEYED = {
    "method": "GET",
    "url": "https://api.example.org/send",
    "query": {
        "user": "{user}",
        "to": "{digits}",
        "from": "{sender_digits}",
        "text": "{text}",
        "dlr": "{report_url}",
        "expires": "{validity_seconds}",
    },
    "secrets": {"user": "canary-user"},
    "id_pattern": r"^OK:(\w{5})$",
    "error_pattern": r"^ERR:(\w+)",
    "errors": ERRORS,
    "report": {"id": "id", "status": "status"},
    "report_words": WORDS,
    "webhook_secret": SECRET,
    "webhook_url": HERE,
}


def http(**options) -> Http:
    return Http(**(MINIMAL | options))


def answer(status: int, fields: object) -> Response:
    return Response(status, {}, json.dumps(fields).encode())


def failed(status: int, code: object) -> Response:
    return answer(status, {"messages": [{"error": {"code": code}}]})


def built(message: Message | None = None, **options):
    return Http(**options).build(message or Message("Hi", SENDER, NUMBER, "r1"))


class TestSignedJsonContract(ProviderContract):
    """POST with JSON, and webhooks with an HMAC of their body."""

    provider = Http(**SIGNED)
    other_provider = Http(**SIGNED | {"signature": SIGNED["signature"] | {"secret": "another"}})
    secrets = ("canary-account", "canary-token", SECRET)
    accept = answer(201, {"messages": [{"id": "m-1"}]})
    accepted_id = "m-1"
    refuse = failed(422, "bad_number")
    refuse_code = "bad_number"
    throttle = Response(429)
    opt_out = failed(422, "stopped")
    sender_problem = failed(200, "bad_sender")
    account_problems = (Response(401), Response(403), Response(404), failed(200, "no_credit"))
    reports = (
        ("sent", Status.SENT),
        ("ok", Status.DELIVERED),
        ("OK", Status.DELIVERED),
        ("failed", Status.UNDELIVERED),
        ("failed stopped", Status.UNDELIVERED),
        ("blocked", Status.REFUSED),
        ("late", Status.EXPIRED),
    )
    opt_out_report = "failed stopped"

    def understand(self, request):
        fields = json.loads(request.body)
        return {
            "reference": fields["ref"],
            "sender": fields["from"],
            "number": fields["to"][0],
            "text": fields["body"]["content"],
        }

    def report(self, name, reference, provider_id, at):
        word, _, code = name.partition(" ")
        return signed({"results": [{"message": {"id": provider_id}, "state": word, "ref": reference, "why": code}]})

    def inbound(self, number, sender, text, at):
        entry = {"id": "in-1", "sender": number[1:], "receiver": sender[1:], "content": text}
        return signed({"results": [entry]})

    def signature(self, webhook):
        return webhook.headers["x-signature"]

    def with_signature(self, webhook, signature):
        return replace(webhook, headers={"x-signature": signature})


def signed(fields: object) -> WebhookRequest:
    body = json.dumps(fields).encode()
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return WebhookRequest("POST", "/", {"x-signature": f"sha256={mac}"}, "", body)


class TestKeyedQueryContract(ProviderContract):
    """GET with a query, answers in plain text, reports to an address with a key."""

    provider = Http(**KEYED)
    other_provider = Http(**KEYED | {"webhook_secret": "another-secret"})
    secrets = ("canary-user", SECRET)
    signature_covers = "reference"
    accept = Response(200, {}, b"OK:m-001".replace(b"-", b"_"))
    accepted_id = "m_001"
    refuse = Response(200, {}, b"ERR:bad_number")
    refuse_code = "bad_number"
    throttle = Response(429, {}, b"ERR:slow")
    opt_out = Response(400, {}, b"ERR:stopped")
    account_problems = (Response(200, {}, b"ERR:no_credit"), Response(401))
    reports = TestSignedJsonContract.reports[:4]

    def understand(self, request):
        fields = dict(parse_qsl(urlsplit(request.url).query))
        return {
            "reference": parse_qs(urlsplit(fields["dlr"]).query)["reference"][0],
            "sender": fields["from"],
            "number": fields["to"],
            "text": fields["text"],
        }

    def report(self, name, reference, provider_id, at):
        query = urlsplit(callback_url(HERE, reference, SECRET.encode())).query
        return WebhookRequest("POST", "/", {}, query, urlencode({"id": provider_id, "status": name}).encode())

    def signature(self, webhook):
        return parse_qs(webhook.query)["key"][0]

    def with_signature(self, webhook, signature):
        return replace(
            webhook, query=urlencode({"reference": parse_qs(webhook.query)["reference"][0], "key": signature})
        )


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"url": "canary"}, "url must be an http"),
        ({"url": "https://canary:x@api.example.org"}, "url must be an http"),
        ({"url": "https://{digits}.example.org/canary"}, "url takes placeholders after the host"),
        ({"url": "https://api.example.org/canary#{digits}"}, "url must have no #"),
        ({"url": "https://api.example.org/canary é"}, "url must be plain ASCII"),
        ({"url": "https://api.example.org/{digit}"}, r"url has no placeholder \{digit\}; there are number, digits"),
        ({"method": "DELETE"}, "method must be one of: GET, POST, PUT"),
        ({"method": "GET"}, "method GET takes no json"),
        ({"form": {"to": "{digits}"}}, "json and form exclude each other"),
        ({"json": "{canary}"}, "json must be a table or a list"),
        ({"json": {"a": {"b": "{texts}"}}}, r"json\[a\]\[b\] has no placeholder \{texts\}"),
        ({"json": {"a": {1, 2}}}, r"json\[a\] must be what JSON can hold"),
        ({"json": {"a": "{text:int}"}}, r"json\[a\] takes :int only"),
        ({"json": {"a": "+{digits:int}"}}, r"json\[a\] takes :int only"),
        ({"query": {"a": "{digits:int}"}}, r"query\[a\] takes :int only"),
        ({"query": {"a": ["canary"]}}, r"query\[a\] must be text"),
        ({"query": "canary"}, "query must be a table"),
        ({"headers": {"X-Text": "{text}"}}, r"headers\[X-Text\] has no placeholder \{text\}"),
        ({"headers": {"X-Token": "a\r\nX: canary"}}, r"headers\[X-Token\] must be printable ASCII"),
        (
            {"headers": {"X-Token": "{token}"}, "secrets": {"token": "canary\n"}},
            r"headers\[X-Token\] must be printable",
        ),
        ({"headers": {"X:Canary": "1"}}, "headers have names of"),
        ({"headers": {"authorization": "x"}, "username": "a"}, "headers say Authorization already"),
        ({"json": None, "text": "{text}", "headers": {"Content-Type": "image/png"}}, "headers: nothing can be escaped"),
        ({"json": None, "text": "{text}", "headers": {"Content-Type": "text/plain; charset=latin-1"}}, "only UTF-8"),
        ({"json": None, "text": 7}, "text must be text"),
        ({"secrets": {"text": "canary"}}, "secrets cannot be called text"),
        ({"secrets": {"a b": "canary"}}, "secrets have names of"),
        ({"secrets": {"token": ""}}, r"secrets\[token\] must be text and not empty"),
        ({"success": []}, "success must list 2xx"),
        ({"success": [200, 302]}, "success must list 2xx"),
        ({"id": ""}, "id or id_pattern must say where"),
        ({"id_pattern": "("}, "id_pattern is not a regular expression"),
        ({"id_pattern": "OK"}, "id_pattern must have one group"),
        ({"error_pattern": "(a)(b)"}, "error_pattern must have one group"),
        ({"errors": {"1": "refused"}}, "error must say where the code is"),
        ({"error": "code", "errors": {"1": "nope"}}, r"errors\[1\] must be one of: refused, opted_out, throttled"),
        ({"error": "code", "success_words": "0"}, "success_words must be a list"),
        ({"status_errors": {"500": "refused"}}, "status_errors has statuses of 4xx only"),
        ({"status_errors": {"404": "nope"}}, r"status_errors\[404\] must be one of"),
        ({"longest_text": 0}, "longest_text must be a number"),
        ({"longest_text": "160"}, "longest_text must be a number"),
        ({"report": {"id": "id", "status": "status"}}, "report and report_words go together"),
        ({"report_words": WORDS}, "report and report_words go together"),
        ({"report": {"id": "id"}, "report_words": WORDS}, "report must say where status is"),
        ({"report": {"status": "status"}, "report_words": WORDS}, "report must say where the id or the reference is"),
        ({"report": {"stat": "status"}, "report_words": WORDS}, "report's names must be one of: each, id, status"),
        ({"report": {"id": "id", "status": ""}, "report_words": WORDS}, r"report\[status\] must be a field's name"),
        (
            {"report": {"id": "id", "status": "s"}, "report_words": {"a": "gone"}},
            r"report_words\[a\] must be one of: acc",
        ),
        ({"inbound": {"number": "from", "text": "text"}}, "inbound must say where sender is"),
        ({"opted_out_words": "STOP"}, "opted_out_words must be a list"),
        ({"signature": {"header": "X"}}, r"signature\[secret\] must be set"),
        ({"signature": {"secret": "canary"}}, r"signature\[header\] must be set"),
        ({"signature": {"header": "X", "secret": "canary", "algorithm": "md5"}}, r"signature\[algorithm\]"),
        ({"signature": {"header": "X", "secret": "canary", "encoding": "HEX"}}, r"signature\[encoding\]"),
        ({"signature": {"header": "X", "key": "canary"}}, "signature's names must be one of"),
        ({"webhook_url": "canary"}, "webhook_url must be an http"),
        (
            KEYED | {"json": None, "webhook_secret": ""},
            r"webhook_secret must be set \(or signature\), or anybody could call",
        ),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        http(**options)

    assert "canary" not in str(error.value)


def test_description_may_come_as_json():
    """As PACELINE_PROVIDERS holds it: lists for sequences, text for statuses."""
    options = {**SIGNED, "success": [200, 201], "status_errors": {"404": "refused"}}
    provider = load("http", json.loads(json.dumps(options)))

    assert isinstance(provider, Http)
    with pytest.raises(Refused):
        provider.read(Response(404))


def test_descriptions_in_the_page_can_be_copied():
    """docs/providers/http.md, and every option has its place there."""
    page = (Path(__file__).parents[2] / "docs/providers/http.md").read_text()
    descriptions = [json.loads(block)["default"] for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]

    for entry in descriptions:
        provider = load(entry["BACKEND"], entry["OPTIONS"], webhook_url=HERE)
        assert provider.build(Message("Hi", SENDER, NUMBER, validity_seconds=60)).url.startswith("https://")
    assert len(descriptions) == 2
    assert set(signature(Http).parameters) <= set(re.findall(r"`(\w+)`", page))


def test_a_url_cannot_describe_a_company():
    """It says so, and does not quote the URL."""
    with pytest.raises(ValueError, match="http URL takes no user or password"):
        from_url("http://canary:canary@api.example.org")


def test_what_a_description_can_do():
    """The guarantees depend on it, so it is read from the options."""
    signed_json, keyed, minimal = Http(**SIGNED).capabilities, Http(**KEYED).capabilities, http().capabilities

    assert (signed_json.echoes_reference, keyed.echoes_reference, minimal.echoes_reference) == (True, True, False)
    assert (signed_json.validity, keyed.validity, minimal.validity) == (True, True, False)
    assert (signed_json.reports, keyed.reports, minimal.reports) == (True, True, False)
    assert (signed_json.inbound, keyed.inbound, minimal.inbound) == (True, False, False)
    assert (signed_json.signs_webhooks, keyed.signs_webhooks) == (True, False)
    assert (signed_json.max_text_units, minimal.max_text_units) == (1000, None)
    assert not Http(**KEYED | {"webhook_url": ""}).capabilities.echoes_reference


# Requests


def test_placeholders_of_a_number_and_a_sender():
    """With the plus and without; a name never has one."""
    template = {"a": "{number}", "b": "{digits}", "c": "{sender}", "d": "{sender_digits}", "e": "{digits:int}"}
    by_number = json.loads(built(**MINIMAL | {"json": template}).body)
    by_name = json.loads(built(Message("Hi", "+Plus", NUMBER), **MINIMAL | {"json": template}).body)

    assert by_number == {"a": NUMBER, "b": NUMBER[1:], "c": SENDER, "d": SENDER[1:], "e": int(NUMBER[1:])}
    assert (by_name["c"], by_name["d"]) == ("+Plus", "+Plus")


NASTY = [
    *TEXTS.values(),
    '"}], "to": "x"',
    "</text><to>1</to>",
    "a&to=1#x?y=%20+",
    "{digits} {token}",
    '\\"\\',
    "{",
    "}}",
]


@pytest.mark.parametrize("text", NASTY)
def test_text_cannot_leave_its_place(text):
    """In JSON, a form, a query, a path, and in text of four kinds: the same text comes out on the other side."""
    message, bare = Message(text, SENDER, NUMBER), {"json": None, "secrets": {"token": "canary"}}

    def text_of(kind: str, template: str) -> str:
        options = {"text": template, "headers": {"Content-Type": kind}}
        return built(message, **MINIMAL | bare | options).body.decode()

    in_path = built(message, **MINIMAL | {"url": "https://api.example.org/{text}/x?t={text}"}).url
    in_query = built(message, **MINIMAL | {"query": {"t": "<{text}>"}}).url
    in_form = built(message, **MINIMAL | bare | {"form": {"t": "{text}"}}).body
    in_json = built(message, **MINIMAL | {"json": [{"t": "<{text}>"}]}).body

    assert in_path == f"https://api.example.org/{quote(text, safe='')}/x?t={quote(text, safe='')}"
    assert dict(parse_qsl(urlsplit(in_query).query)) == {"t": f"<{text}>"}
    assert dict(parse_qsl(in_form.decode())) == {"t": text}
    assert json.loads(in_json) == [{"t": f"<{text}>"}]
    assert json.loads(text_of("application/json", '{"t": "{text}", "u": 1}')) == {"t": text, "u": 1}
    assert dict(parse_qsl(text_of("application/x-www-form-urlencoded", "t={text}&u=1"))) == {"t": text, "u": "1"}
    assert text_of("text/plain", "t={text}") == f"t={text}"
    element = ElementTree.fromstring(text_of("text/xml", '<sms a="{text}"><t>{text}</t></sms>'))
    assert element.find("t").text == text


def test_sign_that_xml_cannot_hold_is_refused():
    """Escaped or not, no reader takes it."""
    options = {"json": None, "text": "<t>{text}</t>", "headers": {"Content-Type": "application/soap+xml"}}
    with pytest.raises(Refused) as refused:
        built(Message("bell \a", SENDER, NUMBER), **MINIMAL | options)

    assert refused.value.code == "text_not_xml"


def test_field_without_a_value_is_left_out():
    """No validity, no report wanted: the company's own default counts."""
    plain = Message("Hi", SENDER, NUMBER, report=False)
    full = Message("Hi", SENDER, NUMBER, "r1", validity_seconds=60)

    assert "ttl" not in json.loads(Http(**SIGNED).build(plain).body)
    assert json.loads(Http(**SIGNED).build(full).body)["ttl"] == 60
    assert dict(parse_qsl(urlsplit(Http(**KEYED).build(plain).url).query)).keys() == {"user", "to", "from", "text"}
    query = dict(parse_qsl(urlsplit(Http(**KEYED).build(full).url).query))
    assert query["dlr"] == callback_url(HERE, "r1", SECRET.encode())
    assert query["expires"] == "60"


def test_secrets_and_basic_authentication():
    """A secret is a placeholder of your own; user and password become Basic."""
    request = built(**SIGNED)
    basic = built(**MINIMAL | {"username": "user", "password": "pass"})

    assert request.url == "https://api.example.org/v1/canary-account/sms"
    assert request.headers["Authorization"] == "Bearer canary-token"
    assert basic.headers["Authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()
    assert repr(Http(**SIGNED)) == "<Http POST https://api.example.org>"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "application/json"),
        ({"json": None, "form": {"a": "b"}}, "application/x-www-form-urlencoded"),
        ({"json": None, "text": "a"}, "text/plain; charset=utf-8"),
        ({"headers": {"content-type": "application/vnd.x+json"}}, "application/vnd.x+json"),
        ({"json": None}, None),
    ],
)
def test_content_type_goes_with_the_body(options, kind):
    """Unless the headers name one."""
    headers = {name.lower(): value for name, value in built(**MINIMAL | options).headers.items()}

    assert headers.get("content-type") == kind


def test_connections_are_opened_ahead_as_the_method_wants_them():
    """The address that is opened shows no secret."""
    assert (Http(**SIGNED).method, Http(**KEYED).method) == ("POST", "GET")
    assert Http(**SIGNED).endpoint == "https://api.example.org/"
    assert "canary" not in Http(**KEYED).endpoint


# Answers


@pytest.mark.parametrize(
    ("response", "reaction", "code"),
    [
        (failed(200, "bad_number"), Refused, "bad_number"),
        (failed(200, "stopped"), OptedOut, "stopped"),
        (failed(200, "unheard_of"), Uncertain, ""),
        (failed(200, 7), Uncertain, ""),
        (failed(200, {"a": "b"}), Uncertain, ""),
        (failed(400, "unheard_of"), Refused, "unheard_of"),
        (failed(400, "a sentence for people"), Refused, "400"),
        (failed(400, 40001), Refused, "40001"),
        (failed(401, "bad_sender"), SenderProblem, "bad_sender"),
        (failed(401, "unheard_of"), AccountProblem, "unheard_of"),
        (failed(408, "bad_number"), Uncertain, ""),
        (failed(429, "no_credit"), AccountProblem, "no_credit"),
        (failed(429, "unheard_of"), Throttled, "unheard_of"),
        (failed(500, "bad_number"), Uncertain, ""),
        (Response(402), AccountProblem, "402"),
        (Response(405), AccountProblem, "405"),
        (Response(418), Refused, "418"),
        (answer(202, {"messages": [{"id": "m-1", "error": {"code": "unheard_of"}}]}), Uncertain, ""),
        (answer(202, {"messages": []}), Uncertain, ""),
        (answer(202, {"messages": {"0": {"identity": "m-1"}}}), Uncertain, ""),
        (answer(202, {"messages": [{"id": None}]}), Uncertain, ""),
        (answer(202, {"messages": [{"id": {"a": "b"}}]}), Uncertain, ""),
    ],
)
def test_answer_calls_for_a_reaction(response, reaction, code):
    """The code first; without an entry for it a 4xx is refused and a 2xx in doubt."""
    with pytest.raises(reaction) as error:
        Http(**SIGNED).read(response)

    assert type(error.value) is reaction
    assert error.value.code == code


@pytest.mark.parametrize(
    "entry",
    [{"id": "m-1", "error": None}, {"id": "m-1", "error": {"code": ""}}, {"id": "m-1", "error": {"code": False}}],
)
def test_empty_error_is_none(entry):
    """Some companies always have the field."""
    assert Http(**SIGNED).read(answer(200, {"messages": [entry]})).provider_id == "m-1"


def test_success_words_stand_where_errors_do():
    """A status that is 0 when all is well; any other without an entry leaves a doubt."""
    provider = http(error="status", success_words=["0", "queued"], errors={"4": "account"})

    assert provider.read(answer(200, {"id": 7, "status": 0})).provider_id == "7"
    assert provider.read(answer(200, {"id": "x", "status": "queued"})).provider_id == "x"
    for status, reaction in ((4, AccountProblem), (5, Uncertain)):
        with pytest.raises(reaction):
            provider.read(answer(200, {"id": "x", "status": status}))


def test_success_statuses_are_chosen():
    """A 2xx that is not among them is in doubt."""
    provider = http(success=[202])

    assert provider.read(answer(202, {"id": "x"})).provider_id == "x"
    with pytest.raises(Uncertain):
        provider.read(answer(200, {"id": "x"}))


def test_status_may_want_something_else():
    """404 as an unknown number, 400 as no credit."""
    provider = http(status_errors={404: "refused", 400: "account", 409: "uncertain"})

    for status, reaction in ((404, Refused), (400, AccountProblem), (409, Uncertain)):
        with pytest.raises(reaction):
            provider.read(Response(status))


def test_pattern_looks_into_what_stands_at_the_path():
    """An id that is the text "None", an error whose code is the start of a sentence."""
    provider = http(id_pattern="^(AT.+)", error="error", error_pattern="^(Invalid phone number)", errors={
        "Invalid phone number": "refused"
    })  # fmt: skip

    assert provider.read(answer(200, {"id": "ATx"})).provider_id == "ATx"
    with pytest.raises(Uncertain):
        provider.read(answer(200, {"id": "None"}))
    with pytest.raises(Uncertain):
        provider.read(answer(200, {"id": "ATx", "error": "Something else"}))
    with pytest.raises(Refused) as refused:
        provider.read(answer(200, {"id": "ATx", "error": "Invalid phone number: 372"}))
    assert refused.value.code == "Invalid phone number"


# Webhooks


def test_batch_gives_every_event():
    """Reports and texts, whatever the order; what is neither is left out."""
    reports = [
        {"message": {"id": f"m-{n}"}, "state": "ok", "ref": f"r{n}", "time": "2026-03-04T09:15:27Z"} for n in range(3)
    ]
    text = {"id": "in-1", "sender": NUMBER[1:], "receiver": "12345", "content": "STOP"}
    events = Http(**SIGNED).events(signed({"results": [*reports, text, {"ping": 1}, 7]}))

    assert [event.reference for event in events if isinstance(event, DeliveryReport)] == ["r0", "r1", "r2"]
    assert isinstance(events[0], DeliveryReport) and events[0].at == datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)
    assert [event for event in events if isinstance(event, InboundText)] == [
        InboundText(NUMBER, "12345", "STOP", "in-1")
    ]


def test_field_with_a_dot_in_its_name():
    """The whole path is tried as a name first."""
    provider = http(report={"id": "message.id", "status": "state"}, report_words=WORDS)
    (report,) = provider.events(WebhookRequest("POST", "/", {}, "", b"message.id=m-1&state=ok"))

    assert (report.provider_id, report.status) == ("m-1", Status.DELIVERED)


def test_text_that_has_a_status_is_still_a_text():
    """An inbound text may say status=received, a word that no report has."""
    provider = Http(**SIGNED | {"report": SIGNED["report"] | {"status": "status"}})
    entry = {"sender": NUMBER[1:], "receiver": SENDER[1:], "content": "Hi", "status": "received"}
    (event,) = provider.events(signed({"results": [entry]}))

    assert isinstance(event, InboundText)


def test_report_that_has_a_text_is_still_a_report():
    """Some companies repeat what was sent; it is not an answer of the person's."""
    entry = {"state": "ok", "message": {"id": "m-1"}, "sender": SENDER[1:], "receiver": NUMBER[1:], "content": "STOP"}
    (event,) = Http(**SIGNED).events(signed({"results": [entry]}))

    assert isinstance(event, DeliveryReport)


def test_unknown_word_is_kept_without_a_meaning():
    """It changes nothing."""
    (report,) = Http(**SIGNED).events(signed({"results": [{"message": {"id": "m-1"}, "state": "vanished"}]}))

    assert (report.status, report.word) == (None, "vanished")


def test_query_beside_a_signature_says_nothing():
    """The signature covers the body alone, so only the body is read."""
    webhook = replace(signed({"results": []}), body=b"", query="state=ok&ref=r1")
    with pytest.raises(WebhookRejected, match="no fields"):
        Http(**SIGNED).events(webhook)


def test_base64_signature_with_another_hash():
    """Where the header has no prefix either."""
    provider = http(signature={"header": "X-Sig", "secret": SECRET, "algorithm": "sha1", "encoding": "base64"})
    mac = base64.b64encode(hmac.digest(SECRET.encode(), b"{}", "sha1")).decode()

    provider.verify(WebhookRequest("POST", "/", {"x-sig": mac}, "", b"{}"), NOW)
    with pytest.raises(WebhookRejected):
        provider.verify(WebhookRequest("POST", "/", {"x-sig": mac.rstrip("=")}, "", b"{}"), NOW)


def keyed_call(body: bytes, reference: str = "r1", **changes) -> WebhookRequest:
    query = urlsplit(callback_url(HERE, reference, SECRET.encode())).query
    return WebhookRequest("POST", "/webhooks/default/status", {}, query, body, **changes)


INBOUND = {"inbound": {"number": "from", "sender": "to", "text": "text"}}
A_TEXT = urlencode({"from": NUMBER, "to": SENDER, "text": "STOP"}).encode()


def test_key_lets_in_one_report_on_its_message():
    """Who has seen the address of one message can say nothing about others, and nobody can say STOP for anybody."""
    provider = Http(**KEYED | INBOUND | {"report": {"each": "all", "status": "status", "reference": "ref"}})
    one, two = ({"status": "ok", "ref": ref} for ref in ("r8", "r9"))

    (report,) = provider.events(keyed_call(json.dumps({"all": [one]}).encode()))
    provider.verify(keyed_call(json.dumps({"all": [one]}).encode()), NOW)
    assert report.reference == "r1"
    for body in (A_TEXT, json.dumps({"all": [one, two]}).encode(), b'{"all": []}', b""):
        with pytest.raises(WebhookRejected):
            provider.verify(keyed_call(body), NOW)


def test_token_lets_in_everything():
    """The address that is pasted into the company's dashboard ends in the secret."""
    provider = Http(**KEYED | INBOUND)
    webhook = WebhookRequest("POST", f"/webhooks/default/inbound/{SECRET}", {}, "", A_TEXT)

    provider.verify(webhook, NOW)
    assert provider.events(webhook) == [InboundText(NUMBER, SENDER, "STOP")]
    for path in ("/webhooks/default/inbound", "/webhooks/default/inbound/", f"/webhooks/default/inbound/{SECRET}x"):
        with pytest.raises(WebhookRejected):
            provider.verify(replace(webhook, path=path), NOW)


def test_reference_without_its_key_is_not_believed():
    """Even behind a token, the address says nothing that only we could have written."""
    provider = Http(**KEYED)
    webhook = WebhookRequest("GET", f"/{SECRET}", {}, "reference=r1&key=0&id=m-1&status=ok")

    provider.verify(webhook, NOW)
    (report,) = provider.events(webhook)
    assert (report.reference, report.provider_id) == ("", "m-1")


def test_without_secret_and_signature_every_webhook_is_rejected():
    """Fail closed, and say which option to set."""
    for path, query in (("/", ""), ("/", "reference=r1&key="), ("", "")):
        with pytest.raises(WebhookRejected, match="webhook_secret or signature"):
            http().verify(WebhookRequest("POST", path, {}, query, b"{}"), NOW)


def test_company_hears_what_it_wants_to():
    """The body that a webhook is answered with."""
    assert http().acknowledgement == b""
    assert http(acknowledgement="OK").acknowledgement == b"OK"
