"""Nexmo, word by word. The contract comes first, then what only the SMS API does."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode

import pytest

from paceline.sms.errors import AccountProblem, Refused, SenderProblem, Throttled, Uncertain, WebhookRejected
from paceline.sms.messages import Message, Response, WebhookRequest
from paceline.sms.providers import load
from paceline.sms.providers.nexmo import ANSWERS, CODES, Nexmo
from paceline.sms.status import Status

from .provider_contract import NOW, NUMBER, SENDER, ProviderContract

SECRET = "canary-signature-secret-of-32-bytes"
BASIC = {"api_key": "abcd1234", "api_secret": "canary-api-secret"}


def nexmo(**options) -> Nexmo:
    return Nexmo(**(BASIC | {"signature_secret": SECRET} | options))


def answer(*statuses: str, **fields) -> Response:
    """A segment for each status, with the ids 0C…1, 0C…2 and so on."""
    parts = [
        {"status": status, "message-id": f"0C000000ABCD000{n}", "message-price": "0.04500000", **fields}
        if status == "0"
        else {"status": status, "error-text": "…"}
        for n, status in enumerate(statuses, start=1)
    ]
    return Response(200, {}, json.dumps({"message-count": str(len(parts)), "messages": parts}).encode())


def signature(fields: dict[str, str], method: str = "sha256", secret: str = SECRET) -> str:
    """As the documentation has it, apart from our own code."""
    text = "&" + "&".join(f"{name}={fields[name].replace('&', '_').replace('=', '_')}" for name in sorted(fields))
    if method == "md5hash":
        return hashlib.md5((text + secret).encode()).hexdigest()
    return hmac.new(secret.encode(), text.encode(), method).hexdigest().upper()


def signed(fields: dict[str, str], at: float = NOW, method: str = "sha256", secret: str = SECRET) -> dict[str, str]:
    whole = fields | {"timestamp": str(int(at)), "nonce": "aaaaaaaa-bbbb"}
    return whole | {"sig": signature(whole, method, secret)}


def form(fields: dict[str, str]) -> WebhookRequest:
    return WebhookRequest("POST", "/webhooks/default/status", {}, "", urlencode(fields).encode())


def in_every_shape(fields: dict[str, str]) -> dict[str, WebhookRequest]:
    return {
        "form": form(fields),
        "query": WebhookRequest("GET", "/webhooks/default/status", {}, urlencode(fields)),
        "json": WebhookRequest("POST", "/webhooks/default/status", {}, "", json.dumps(fields).encode()),
    }


def receipt(status: str = "delivered", code: str = "0", **changes) -> dict[str, str]:
    return {
        "msisdn": "12125550123",
        "to": "13105550199",
        "network-code": "310260",
        "messageId": "0C000000ABCD0001",
        "price": "0.04500000",
        "status": status,
        "scts": "2603040915",
        "err-code": code,
        "api-key": "abcd1234",
        "client-ref": "0123456789abcdef0123456789abcdef",
        "message-timestamp": "2026-03-04 09:15:27",
    } | changes


def inbound(**changes) -> dict[str, str]:
    return {
        "msisdn": "12125550123",
        "to": "13105550199",
        "messageId": "0B00000012345678",
        "text": "Stop please",
        "type": "text",
        "keyword": "STOP",
        "api-key": "abcd1234",
        "message-timestamp": "2026-03-04 09:20:01",
    } | changes


def events(fields: dict[str, str]) -> list:
    return list(nexmo().events(form(fields)))


class TestNexmoContract(ProviderContract):
    provider = nexmo()
    other_provider = nexmo(signature_secret="another-secret-of-thirty-two-bytes")
    secrets = (BASIC["api_secret"], SECRET)
    accept = answer("0")
    accepted_id = "0C000000ABCD0001"
    refuse = answer("7")
    refuse_code = "7"
    throttle = answer("1")
    sender_problem = answer("15")
    account_problems = (answer("4"), answer("9"), answer("8"), Response(401), Response(403), Response(404))
    reports = (
        ("accepted", Status.SENT),
        ("buffered", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("expired", Status.EXPIRED),
        ("failed 3", Status.UNDELIVERED),
        ("failed 9", Status.UNDELIVERED),
        ("rejected 6", Status.REFUSED),
        ("unknown 1", Status.UNCONFIRMED),
    )
    opt_out_report = "failed 9"
    fresh_seconds = 300

    def understand(self, request):
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        return {
            "reference": fields["client-ref"],
            "sender": fields["from"],
            "number": fields["to"],
            "text": fields["text"],
        }

    def report(self, name, reference, provider_id, at):
        word, _, code = name.partition(" ")
        return form(signed(receipt(word, code or "0", **{"client-ref": reference, "messageId": provider_id}), at))

    def inbound(self, number, sender, text, at):
        return form(signed(inbound(msisdn=number[1:], to=sender[1:], text=text), at))

    def signature(self, webhook):
        return dict(parse_qsl(webhook.body.decode()))["sig"]

    def with_signature(self, webhook, signature):
        fields = dict(parse_qsl(webhook.body.decode(), keep_blank_values=True))
        return replace(webhook, body=urlencode(fields | {"sig": signature}).encode())

    def unsigned(self, webhook):
        fields = dict(parse_qsl(webhook.body.decode(), keep_blank_values=True))
        del fields["sig"]
        return [self.with_signature(webhook, ""), replace(webhook, body=urlencode(fields).encode())]


# Options


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"api_key": ""}, "set api_key and api_secret"),
        ({"api_secret": ""}, "set api_key and api_secret"),
        ({"signature_method": "canary"}, "signature_method must be one of sha256"),
        ({"signature_method": ""}, "signature_method"),
        ({"base_url": "rest.nexmo.com"}, "base_url"),
        ({"webhook_url": "/hooks/canary"}, "webhook_url"),
        ({"webhook_url": "https://sms.example.org/canary/" + "x" * 100}, "webhook_url may have 100"),
    ],
)
def test_option_that_cannot_work_is_named(options, hint):
    """With what to set, and without repeating a value."""
    with pytest.raises(ValueError, match=hint) as error:
        nexmo(**options)

    assert "canary" not in str(error.value)


def test_loads_by_its_name():
    """As settings name it."""
    assert isinstance(load("nexmo", BASIC), Nexmo)


# Requests


def test_request_as_documented():
    """A form; secrets in its body, never in the address; nothing that we were not asked for."""
    request = nexmo().build(Message("Hi", "PACELINE", NUMBER, "r1"))

    assert (request.method, request.url) == ("POST", "https://rest.nexmo.com/sms/json")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(request.body.decode())) == BASIC | {
        "from": "PACELINE",
        "to": "12125550123",
        "text": "Hi",
        "type": "text",
        "client-ref": "r1",
    }


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"text": "115 € and [brackets]"}, {"type": "text"}),
        ({"text": "Привет"}, {"type": "unicode"}),
        ({"text": "🚚"}, {"type": "unicode"}),
        ({"validity_seconds": 1}, {"ttl": "20000"}),
        ({"validity_seconds": 3600}, {"ttl": "3600000"}),
        ({"validity_seconds": 10**9}, {"ttl": "604800000"}),
        ({}, {"callback": "https://sms.example.org/hooks"}),
        ({"report": False}, {"status-report-req": "false", "callback": None}),
        ({"sender": "12345"}, {"from": "12345"}),
        ({"sender": SENDER}, {"from": "13105550199"}),
    ],
    ids=repr,
)
def test_field_on_the_wire(fields, wire):
    """`unicode` for what GSM-7 lacks, validity in milliseconds, an address for the receipt if one is wanted."""
    message = Message(**{"text": "Hi", "sender": SENDER, "number": NUMBER} | fields)
    found = dict(parse_qsl(nexmo(webhook_url="https://sms.example.org/hooks").build(message).body.decode()))

    assert {name: found.get(name) for name in wire} == wire


# Answers

REACTIONS = {
    Throttled: "1 10",
    Refused: "2 3 6 7 12 22 33",
    AccountProblem: "4 8 9 11 14 23 29 32",
    SenderProblem: "15",
    Uncertain: "5",
}


def test_table_of_answers_is_tested_whole():
    """No status is in the table without standing here."""
    assert set(ANSWERS) == {code for codes in REACTIONS.values() for code in codes.split()}


@pytest.mark.parametrize(("reaction", "codes"), REACTIONS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_status_calls_for_a_reaction(reaction, codes):
    """HTTP says 200 to all of them."""
    for code in codes.split():
        with pytest.raises(reaction) as error:
            nexmo().read(answer(code))

        assert type(error.value) is reaction
        assert error.value.code == code


def test_message_of_several_segments():
    """The first one's id; the segments counted; the prices added up."""
    accepted = nexmo().read(answer("0", "0", "0"))

    assert (accepted.provider_id, accepted.segments) == ("0C000000ABCD0001", 3)
    assert (accepted.price, accepted.currency) == (Decimal("0.13500000"), "")


@pytest.mark.parametrize("statuses", ["0 1", "1 0", "0 5", "9 0 9"])
def test_message_taken_in_part_is_accepted(statuses):
    """To send it again would text the taken segments twice."""
    accepted = nexmo().read(answer(*statuses.split()))

    assert accepted.provider_id.startswith("0C000000ABCD")


@pytest.mark.parametrize(
    "doubtful",
    [
        answer(),
        answer("1", "7"),
        answer("77"),
        answer("00"),
        answer("x"),
        answer("-1"),
        answer("0", **{"message-id": ""}),
    ],
    ids=["no segment", "two noes", "unknown", "zeros", "a word", "negative", "no id"],
)
def test_answer_in_doubt_is_uncertain(doubtful):
    """Noes that contradict each other, a status that we do not know, a yes that names no message."""
    with pytest.raises(Uncertain):
        nexmo().read(doubtful)


@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        *((status, AccountProblem) for status in (401, 402, 403, 404, 405, 406, 415)),
        (408, Uncertain),
        (429, Throttled),
        (400, Refused),
        (422, Refused),
    ],
)
def test_http_status_of_whatever_stands_before_it(status, reaction):
    """The SMS API gives none of these, whatever the body says."""
    with pytest.raises(reaction) as error:
        nexmo().read(replace(answer("0"), status=status))

    assert type(error.value) is reaction


def test_price_that_cannot_be_read_is_no_price():
    """All segments or none."""
    body = answer("0", "0").body.replace(b"0.04500000", b"free", 1)

    assert nexmo().read(Response(200, {}, body)).price is None


# Signatures

FIXTURE = {
    "message-timestamp": "2013-11-21 15:27:30",
    "messageId": "020000001B0FE827",
    "msisdn": "14843472194",
    "text": "Test again",
    "timestamp": "1385047698",
    "to": "13239877404",
    "type": "text",
}


@pytest.mark.parametrize(
    ("method", "sig"),
    [
        ("md5hash", "d2e7b1dc968737c5998ad624e02f90b7"),
        ("md5", "DDEBD46008C2D4E93CCE578A332A52D5"),
        ("sha1", "27D0D05C2876C7CB1720DBCDBA4D492E1E55C09A"),
        ("sha256", "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330"),
    ],
)
def test_signatures_that_others_have_computed(method, sig):
    """Test data of an official library, in capitals and in small letters; each fits its own method only."""
    for spelled in (sig.upper(), sig.lower()):
        webhook = form(FIXTURE | {"sig": spelled})
        nexmo(signature_secret="my_secret_key_for_testing", signature_method=method).verify(webhook, 1385047698)
        for other in {"md5hash", "md5", "sha1", "sha256", "sha512"} - {method}:
            provider = nexmo(signature_secret="my_secret_key_for_testing", signature_method=other)
            with pytest.raises(WebhookRejected):
                provider.verify(webhook, 1385047698)


@pytest.mark.parametrize("method", ["sha256", "sha512", "sha1", "md5", "md5hash"])
@pytest.mark.parametrize("shape", ["form", "query", "json"])
def test_signature_over_every_shape(method, shape):
    """The parameters are signed, wherever they stand; another parameter or value is found."""
    provider = nexmo(signature_method=method)
    for fields in (receipt(), inbound(text="a=b & c_d\n🚚")):
        genuine = signed(fields, method=method)
        provider.verify(in_every_shape(genuine)[shape], NOW)
        (event,) = provider.events(in_every_shape(genuine)[shape])
        assert event.provider_id == fields["messageId"]
        for change in ({"msisdn": "12125550124"}, {"more": "1"}, {"timestamp": str(int(NOW) + 1)}, {"sig": ""}):
            with pytest.raises(WebhookRejected):
                provider.verify(in_every_shape(genuine | change)[shape], NOW)


def test_md5_is_not_believed_unless_asked_for():
    """An account still on the plain hash must be named so; the default asks for HMAC."""
    webhook = form(signed(receipt(), method="md5hash"))

    with pytest.raises(WebhookRejected, match="signature_method"):
        nexmo().verify(webhook, NOW)
    nexmo(signature_method="md5hash").verify(webhook, NOW)


def test_parameters_cannot_be_cut_otherwise():
    """`a=1&b=2` is signed like one parameter that is called "a=1&b": such names are rejected."""
    fields = signed(receipt())
    sewn = {name: value for name, value in fields.items() if name not in ("err-code", "messageId")}
    sewn[f"err-code={fields['err-code']}&messageId"] = fields["messageId"]

    with pytest.raises(WebhookRejected, match="name"):
        nexmo().verify(form(sewn), NOW)


def test_parameter_given_twice_is_verified_as_it_is_read():
    """The last one counts, in both."""
    body = urlencode(signed(receipt())).encode()
    added = replace(form({}), body=b"status=failed&" + body)
    replaced = replace(form({}), body=body + b"&status=failed")

    nexmo().verify(added, NOW)
    (report,) = nexmo().events(added)
    assert report.status is Status.DELIVERED
    with pytest.raises(WebhookRejected):
        nexmo().verify(replaced, NOW)


def test_query_beside_a_body_is_not_looked_at():
    """A genuine query does not lend its signature to another body."""
    genuine = in_every_shape(signed(receipt()))["query"]

    with pytest.raises(WebhookRejected):
        nexmo().verify(replace(genuine, method="POST", body=urlencode(receipt("failed", "9")).encode()), NOW)


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "-1", "1e9", "٣", "9" * 20, str(int(NOW) - 301), str(int(NOW) + 301)]
)
def test_date_that_is_none_or_far_off_is_rejected(timestamp):
    """Though well signed."""
    fields = receipt() | {"timestamp": timestamp}

    with pytest.raises(WebhookRejected, match="date"):
        nexmo().verify(form(fields | {"sig": signature(fields)}), NOW)


def test_webhook_of_another_account_is_rejected():
    """Though well signed; one that names no account passes."""
    with pytest.raises(WebhookRejected, match="account"):
        nexmo().verify(form(signed(receipt(**{"api-key": "other"}))), NOW)
    fields = receipt()
    del fields["api-key"]
    nexmo().verify(form(signed(fields)), NOW)


def test_without_a_signature_secret_every_webhook_is_rejected():
    """An empty secret signs nothing."""
    for fields in (receipt(), signed(receipt(), secret="")):
        with pytest.raises(WebhookRejected, match="signature_secret"):
            nexmo(signature_secret="").verify(form(fields), NOW)


# Receipts


def test_receipt_carries_what_nexmo_says():
    """`to` is the sender here. Its price is that of one segment, so it is left to the answer."""
    (report,) = events(receipt("rejected", "6"))

    assert report.reference == "0123456789abcdef0123456789abcdef"
    assert (report.provider_id, report.status) == ("0C000000ABCD0001", Status.REFUSED)
    assert (report.word, report.code) == ("rejected", "6")
    assert "spam" in report.reason
    assert report.at == datetime(2026, 3, 4, 9, 15, 27, tzinfo=UTC)
    assert (report.price, report.segments) == (None, None)


def test_receipts_of_all_segments_find_the_message():
    """Each has an id of its own, all have our reference."""
    found = [event for n in (1, 2, 3) for event in events(receipt(messageId=f"0C000000ABCD000{n}"))]

    assert len({report.provider_id for report in found}) == 3
    assert len({report.reference for report in found}) == 1


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_reason(code):
    """And two of them say that the recipient does not want to be texted."""
    (report,) = events(receipt("failed", code))

    assert (report.status, report.code) == (Status.UNDELIVERED, code)
    assert report.reason
    assert report.opted_out is (code in ("9", "53"))


@pytest.mark.parametrize(("code", "kept"), [("0", ""), ("", ""), ("77", "77"), ("+12125550123", "")])
def test_code_that_is_none_or_unknown(code, kept):
    """0 is no error; an unknown one is kept; stray text is not."""
    (report,) = events(receipt("failed", code))

    assert report.code == kept
    assert bool(report.reason) is bool(kept)


@pytest.mark.parametrize("word", ["submitted", "DELIVERED", ""])
def test_unknown_word_is_kept_without_a_meaning(word):
    """It changes no state."""
    (report,) = events(receipt(word))

    assert (report.status, report.word) == (None, word)


# Inbound texts


def test_inbound_text():
    """`to` is our sender here, `msisdn` the person."""
    (text,) = events(inbound())

    assert (text.number, text.sender, text.text) == ("+12125550123", "+13105550199", "Stop please")
    assert (text.provider_id, text.at) == ("0B00000012345678", datetime(2026, 3, 4, 9, 20, 1, tzinfo=UTC))


def test_long_inbound_text_comes_in_pieces():
    """Each piece is a text of its own: to join them takes a memory that a provider has not."""
    pieces = [
        events(inbound(text=text, concat="true", **{"concat-ref": "1", "concat-total": "2", "concat-part": part}))
        for part, text in (("2", "world"), ("1", "Hello "))
    ]

    assert [event.text for (event,) in pieces] == ["world", "Hello "]


@pytest.mark.parametrize("fields", [{"type": "binary", "data": "00"}, {"msisdn": ""}], ids=repr)
def test_what_is_not_a_text_is_no_event(fields):
    """Binary messages, and what has no sender."""
    assert events(inbound(**fields)) == []


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[]", b"null", b"&", b"[" * 50_000])
def test_webhook_without_parameters_is_rejected(body):
    """Nothing of it is stored as an event."""
    with pytest.raises(WebhookRejected):
        nexmo().verify(replace(form({}), body=body), NOW)
