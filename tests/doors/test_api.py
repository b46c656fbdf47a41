"""What can a program do, and what is it told when it cannot?"""

from __future__ import annotations

import json
import logging
import time

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import include, path
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paceline.api import keys
from paceline.messaging import accounts, campaigns, engine, senders
from paceline.messaging.models import Account, Campaign, Intake, TextMessage
from paceline.sms.status import Status

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
urlpatterns = [path("", include("paceline.api.urls"))]

SENDER = "+12065550100"
BODY = {
    "sender": SENDER,
    "recipients": ["+12125550101", "+12125550102", "+12125550103", "+12125550104"],
    "message_string": "Hello, World!",
    "batch_size": 3,
    "delay_period": 3600,
}


@pytest.fixture(autouse=True)
def configured(settings):
    settings.PACELINE = {
        "PROVIDERS": {"default": {"BACKEND": "paceline.sms.providers.local.Dummy"}},
        "REGION": "US",
    }
    accounts.provider.cache_clear()
    yield
    accounts.provider.cache_clear()


@pytest.fixture
def sender(db):
    return senders.add(accounts.get(), SENDER)[0]


@pytest.fixture
def api(sender) -> Client:
    """A client with a key, in an installation with one sender."""
    _, text = keys.create("billing")
    return Client(headers={"Authorization": f"Bearer {text}"})


def post(api: Client, body: object, address: str = "/message/", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.post(address, data, "application/json", **headers)


def intake() -> list[str]:
    return [number for row in Intake.objects.order_by("pk") for number in row.numbers]


def nothing_is_left() -> bool:
    return not Campaign.objects.exists() and not Intake.objects.exists() and not TextMessage.objects.exists()


# --- POST /message/ -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/message/", "/message"])
def test_bulk_message_becomes_a_running_campaign(api, sender, address):
    """202 at once, with where to watch it; texts leave later, by the dispatcher."""
    answer = post(api, BODY, address)

    campaign = Campaign.objects.get()
    url = f"http://testserver/api/campaigns/{campaign.pk}/"
    assert answer.status_code == 202
    assert answer.json() == {"id": campaign.pk, "url": url, "recipients": 4, "duplicates": 0, "state": "running"}
    assert answer["Location"] == url
    assert (campaign.text, campaign.sender) == ("Hello, World!", sender)
    assert (campaign.batch_size, campaign.delay_period) == (3, 3600)
    assert intake() == BODY["recipients"]
    assert not TextMessage.objects.exists()


def test_batches_leave_as_asked(api):
    """Three now, from the sender named; the fourth when the delay is over."""
    post(api, BODY)
    campaign = Campaign.objects.get()
    while campaigns.fan_out(campaign):
        pass

    now = engine.now()
    assert campaigns.release(campaign, now) == 3
    assert campaigns.release(campaign, now) == 0

    queued = TextMessage.objects.filter(status=Status.QUEUED)
    assert sorted(queued.values_list("to", "frm", "text")) == [
        (number, SENDER, "Hello, World!") for number in BODY["recipients"][:3]
    ]
    queued.update(status=Status.ACCEPTED, submitted_at=now)
    assert campaigns.release(campaign, now + 3599) == 0
    assert campaigns.release(campaign, now + 3600) == 1


def test_without_a_pace_all_leave_at_once(api):
    """batch_size and delay_period may be left out."""
    body = {name: BODY[name] for name in ("sender", "recipients", "message_string")}

    assert post(api, body).status_code == 202

    campaign = Campaign.objects.get()
    assert (campaign.batch_size, campaign.delay_period) == (None, 0)


def test_url_is_the_public_one(api, settings):
    """Behind a proxy the host of the request is not where programs come from."""
    settings.PUBLIC_URL = "https://sms.example.org"

    answer = post(api, BODY)

    assert answer.json()["url"] == f"https://sms.example.org/api/campaigns/{Campaign.objects.get().pk}/"
    assert answer["Location"] == answer.json()["url"]


def test_text_is_sent_as_written(api):
    """Blanks, line breaks and emoji at the ends too; one pair of braces is plain text; a default fills a field."""
    for text in (" two\nlines \n", "🚚 on its way", "{ok}", 'Hi {{ name|default("there") }}'):
        assert post(api, BODY | {"message_string": text}).status_code == 202, text
        assert Campaign.objects.first().text == text


SPELLINGS = {
    "+12125550101": "+12125550101",
    "12125550101": "+12125550101",
    "2125550101": "+12125550101",
    "(212) 555-0101": "+12125550101",
    "+1 212-555-0101": "+12125550101",
    "0012125550101": "+12125550101",
    " +12125550101\n": "+12125550101",
    12125550101: "+12125550101",
    2125550101: "+12125550101",
    "447400123456": "+447400123456",
    " 447400123456 ": "+447400123456",
    447400123456: "+447400123456",
    "+44 7400 123456": "+447400123456",
}


@pytest.mark.parametrize(("written", "number"), SPELLINGS.items(), ids=repr)
def test_recipient_in_any_spelling(api, written, number):
    """Read in the default region; bare digits that are no number there, as if after a plus."""
    answer = post(api, BODY | {"recipients": [written]})

    assert answer.status_code == 202, answer.json()
    assert intake() == [number]


@pytest.mark.parametrize(("region", "number"), [("US", "+14722550123"), ("GB", "+4722550123")])
def test_national_reading_wins(api, settings, region, number):
    """Area code 472 of North Carolina looks like +47, Norway. Who means Norway from the US writes the plus."""
    settings.PACELINE |= {"REGION": region}

    assert post(api, BODY | {"recipients": ["4722550123"]}).status_code == 202

    assert intake() == [number]


def test_duplicates_are_merged_and_counted(api):
    """Whatever their spelling; the order is kept."""
    recipients = ["+12125550102", "212-555-0101", "2125550102", 12125550101, "+12125550103"]

    answer = post(api, BODY | {"recipients": recipients}).json()

    assert (answer["recipients"], answer["duplicates"]) == (3, 2)
    assert intake() == ["+12125550102", "+12125550101", "+12125550103"]


@pytest.mark.parametrize("written", [SENDER, "12065550100", "(206) 555-0100", 12065550100, f" {SENDER} "])
def test_sender_in_any_spelling(api, sender, written):
    """Numbers are normalised as recipients are."""
    assert post(api, BODY | {"sender": written}).status_code == 202
    assert Campaign.objects.get().sender == sender


@pytest.mark.parametrize("number", ["Paceline", "12345", "PACELINE 24"])
def test_sender_that_is_no_number(api, number):
    """Alphanumeric ids and short codes are taken as they are."""
    other, _ = senders.add(accounts.get(), number)

    assert post(api, BODY | {"sender": number}).status_code == 202
    assert Campaign.objects.get().sender == other


# --- 400, field by field --------------------------------------------------------------------------------------

WRONG = [
    # field, value, part of the sentence
    ("sender", None, "may not be null"),
    ("sender", "", "empty"),
    ("sender", "   ", "empty"),
    ("sender", ["+12065550100"], "sender is text"),
    ("sender", True, "sender is text"),
    ("sender", -12065550100, "sender is text"),
    ("sender", "+12065550199", "Add it with `paceline sender add NUMBER`"),
    ("sender", "+12065550199", "There are: +12065550100."),
    ("sender", "Nobody", "paceline sender add"),
    ("sender", "x" * 5000, "paceline sender add"),
    ("sender", "\ud800\0", "paceline sender add"),
    ("recipients", None, "may not be null"),
    ("recipients", [], "empty"),
    ("recipients", "+12125550101", "is a list of numbers"),
    ("recipients", {"0": "+12125550101"}, "is a list of numbers"),
    ("message_string", None, "may not be null"),
    ("message_string", "", "empty"),
    ("message_string", " \n\t ", "empty"),
    ("message_string", 7, "is text"),
    ("message_string", ["Hello"], "is text"),
    ("message_string", "a\0b", "cannot be sent"),
    ("message_string", "a\ud83d b", "cannot be sent"),
    ("message_string", "x" * 1601, "1601 characters; 1600 are the most"),
    ("message_string", "Hi {{ name", "At character 4"),
    ("message_string", "Hi {% if x %}", "tags do not work here"),
    ("message_string", "Hi {{ name }}", '{{ name|default("…") }}'),
    ("message_string", "{{ a }}{{ b }}", "so {{ a }}, {{ b }} would stay blank"),
    ("batch_size", None, "may not be null"),
    ("batch_size", 0, "1 or more"),
    ("batch_size", -1, "1 or more"),
    ("batch_size", 1.5, "whole number"),
    ("batch_size", "3", "whole number"),
    ("batch_size", True, "whole number"),
    ("batch_size", 10**30, "whole number"),
    ("delay_period", None, "may not be null"),
    ("delay_period", -0.1, "number of seconds"),
    ("delay_period", "3600", "number of seconds"),
    ("delay_period", True, "number of seconds"),
    ("delay_period", 10**400, "number of seconds"),
    ("delay_period", 366 * 86400 + 1, "a year"),
    ("batchsize", 3, "no such field; the fields are sender, recipients, message_string, batch_size, delay_period"),
    ("\ud800", 3, "no such field"),
]


@pytest.mark.parametrize(("field", "value", "sentence"), WRONG, ids=lambda value: repr(value)[:30])
def test_wrong_field_is_named_and_nothing_is_made(api, field, value, sentence):
    """One sentence for it, nothing for the others, and no half-made campaign."""
    answer = post(api, BODY | {field: value})

    assert answer.status_code == 400
    assert [*answer.json()] == [field.replace("\ud800", "?")]
    ((said, *more),) = answer.json().values()
    assert sentence in said
    assert not more
    assert nothing_is_left()


@pytest.mark.parametrize("field", ["sender", "recipients", "message_string"])
def test_missing_field_is_named(api, field):
    """The pace has defaults, these three have none."""
    answer = post(api, {name: value for name, value in BODY.items() if name != field})

    assert answer.status_code == 400
    assert answer.json() == {field: ["This field is required."]}
    assert nothing_is_left()


def test_everything_that_is_wrong_is_said_at_once(api):
    """So that a program is corrected once."""
    wrong = {"sender": "", "recipients": ["1"], "message_string": "", "batch_size": 0, "delay_period": -1, "to": ""}

    answer = post(api, wrong)

    assert answer.status_code == 400
    assert set(answer.json()) == set(wrong)
    assert nothing_is_left()


@pytest.mark.parametrize("body", [[], [BODY], "text", 7, True])
def test_body_is_an_object(api, body):
    """Not the list of objects that a program may have made of it."""
    answer = post(api, body)

    assert answer.status_code == 400
    assert "one JSON object" in answer.json()["non_field_errors"][0]


def test_wrong_recipients_are_named_by_their_index(api):
    """With the reason of each, and without the number itself; the right ones are not sent to either."""
    wrong = ["+12125550101", "+1212555", "no number", 1.5, None, True, -12125550101, ["+12125550101"], "1E+11", ""]

    answer = post(api, BODY | {"recipients": wrong})

    assert answer.status_code == 400
    said = answer.json()["recipients"]
    assert [*said] == [str(index) for index in range(1, len(wrong))]
    assert said["1"] == ["This has too few digits for a number in US (+1)."]
    assert said["2"] == ["There are letters where a number should be: write it in digits only."]
    assert "spreadsheet" in said["8"][0]
    assert all("written as text" in said[index][0] for index in "34567")
    assert nothing_is_left()


def test_errors_of_recipients_are_capped(api):
    """The first hundred, and how many more there are."""
    answer = post(api, BODY | {"recipients": ["+12125550101", *["+1212"] * 250]})

    said = answer.json()["recipients"]
    assert [*said] == [*(str(index) for index in range(1, 101)), "more"]
    assert said["more"] == ["150 more recipients are wrong; these are the first 100."]


def test_hopeless_list_is_not_read_to_its_end(api):
    """A hundred thousand explanations would take seconds; after a thousand the request has its answer."""
    begin = time.perf_counter()
    said = post(api, BODY | {"recipients": [f"1212555{n:05}" for n in range(100_000)]}).json()["recipients"]

    assert time.perf_counter() - begin < 2
    assert len(said) == 101
    assert said["more"] == ["900 more recipients are wrong, up to number 999; those behind it were not looked at."]


def test_removed_sender_is_not_sent_from(api, sender):
    """It is told from one that was never there."""
    senders.remove(sender)

    answer = post(api, BODY)

    assert answer.status_code == 400
    assert "has been removed" in answer.json()["sender"][0]
    assert nothing_is_left()


def test_sender_that_was_removed_on_one_account_and_added_on_another(api, sender):
    """A number that has moved is the one that is active."""
    senders.remove(sender)
    moved, _ = senders.add(Account.objects.create(alias="other"), SENDER)

    assert post(api, BODY).status_code == 202
    assert Campaign.objects.get().sender == moved


# --- other refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"{", b"{'sender': 1}", b"\xff\xfe", b'{"delay_period": NaN}', b"[" * 200_000, b'{"batch_size": ' + b"9" * 9999],
    ids=lambda body: repr(body[:20]),
)
def test_malformed_json(api, body):
    """400 with where it broke, however broken."""
    answer = post(api, body)

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error")


def test_empty_body_lacks_every_field(api):
    """As an empty object does."""
    for body in (b"", b"{}"):
        assert set(post(api, body).json()) == {"sender", "recipients", "message_string"}


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_what_is_not_json_is_not_taken(api, content_type):
    """415 names the type."""
    answer = api.post("/message/", json.dumps(BODY).encode(), content_type)

    assert answer.status_code == 415
    assert content_type in answer.json()["detail"]
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("get", "/message/", "POST, OPTIONS"),
        ("get", "/message", "POST, OPTIONS"),
        ("put", "/message/", "POST, OPTIONS"),
        ("delete", "/message/", "POST, OPTIONS"),
        ("post", "/api/campaigns/1/", "GET, HEAD, OPTIONS"),
        ("delete", "/api/campaigns/1/", "GET, HEAD, OPTIONS"),
        ("get", "/api/campaigns/1/cancel/", "POST, OPTIONS"),
    ],
)
def test_wrong_method(api, method, address, allowed):
    """405; above all, a GET changes nothing."""
    answer = getattr(api, method)(address)

    assert (answer.status_code, answer["Allow"]) == (405, allowed)
    assert "detail" in answer.json()


def test_too_many_recipients(api):
    """413 says how to send to more."""
    answer = post(api, BODY | {"recipients": ["+12125550101"] * 100_001})

    assert answer.status_code == 413
    assert "paceline contacts import FILE" in answer.json()["detail"]
    assert nothing_is_left()


def test_as_many_recipients_as_there_may_be(api):
    """The limit itself is within it."""
    answer = post(api, BODY | {"recipients": ["+12125550101"] * 100_000})

    assert answer.json()["duplicates"] == 99_999


def test_too_large_body_is_not_even_read(api, settings):
    """413 by the Content-Length alone."""

    class Unreadable:
        def read(self, *size):
            raise AssertionError("it was read")

        readline = read

    answer = api.post(
        "/message/",
        b"{",
        "application/json",
        CONTENT_LENGTH=str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1),
        **{"wsgi.input": Unreadable()},
    )

    assert answer.status_code == 413
    assert "paceline contacts import FILE" in answer.json()["detail"]


def test_campaign_that_cannot_be_launched_leaves_nothing(api, sender, monkeypatch):
    """The sender is removed between the check of the request and the launch: 409, and no draft remains."""
    check = campaigns.check

    def removed_meanwhile(campaign):
        type(sender).objects.filter(pk=sender.pk).update(removed_at=timezone.now())
        campaign.sender.refresh_from_db()
        return check(campaign)

    monkeypatch.setattr(campaigns, "check", removed_meanwhile)

    answer = post(api, BODY)

    assert answer.status_code == 409
    assert "has been removed" in answer.json()["detail"]
    assert nothing_is_left()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["INSERT", "UPDATE"])
def test_database_that_fails_half_way_leaves_nothing(api, statement):
    """Between the campaign and its numbers, or between the numbers and the launch."""
    api.raise_request_exception = False
    post(api, {})  # notes the use of the key, which is an UPDATE too

    def fails(execute, sql, params, many, context):
        if sql.startswith(statement) and ("intake" in sql or statement == "UPDATE"):
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fails):
        answer = post(api, BODY)

    assert answer.status_code == 500
    assert nothing_is_left()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["+12125550101"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={name: st.just(BODY[name]) | JSON_VALUES for name in BODY}) | JSON_VALUES)
def test_no_json_breaks_the_door(api, body):
    """Every answer is a 202 or says what is wrong."""
    before = Campaign.objects.count()

    answer = post(api, body)

    assert answer.status_code in (202, 400)
    assert answer.json()
    assert Campaign.objects.count() == before + (answer.status_code == 202)


def test_no_number_and_no_text_gets_into_the_log(api, caplog):
    """Neither of what is taken nor of what is refused; and the key does not either."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="django.request")

    for body in (BODY, BODY | {"recipients": ["+1212555010155"]}, BODY | {"sender": "+12125550177"}, b'{"+12125550188'):
        post(api, body)
    post(api, BODY | {"message_string": "Hello {{ World"})

    assert caplog.records
    for private in ("2125550", "Hello", "World", "pl_live"):
        assert private not in caplog.text


# --- speed ----------------------------------------------------------------------------------------------------

AREAS = (206, 212, 303, 310, 404, 415, 617, 713)


def _numbers(count: int) -> list[str]:
    """Distinct valid numbers: the fictional range has too few."""
    return [f"+1{AREAS[n % 8]}{200 + n // 8 % 700}{n % 10_000:04}" for n in range(count)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("spelling", "write"),
    [
        ("+15551230100", lambda number: number),
        ("15551230100", lambda number: number[1:]),
        ("(206) 555-0100", lambda number: f"({number[2:5]}) {number[5:8]}-{number[8:]}"),
    ],
)
def test_ten_thousand_recipients_are_taken_at_once(api, spelling, write):
    """Really committed; what it took is printed (promised: 300 ms) and fails nothing on a busy machine."""
    body = json.dumps(BODY | {"recipients": [write(number) for number in _numbers(10_000)]}).encode()
    post(api, BODY)
    seconds = []

    for _ in range(3):
        begin = time.perf_counter()
        answer = post(api, body)
        seconds.append(time.perf_counter() - begin)
        assert (answer.status_code, answer.json()["recipients"]) == (202, 10_000)

    assert Intake.objects.exists()
    print(f"10,000 recipients as {spelling}: " + ", ".join(f"{1000 * second:.0f} ms" for second in seconds))


def test_statements_do_not_grow_with_the_recipients(api, django_assert_max_num_queries):
    """The numbers are stored in chunks; the dispatcher makes rows of them."""
    with django_assert_max_num_queries(16):
        assert post(api, BODY | {"recipients": _numbers(10_000)}).status_code == 202

    assert Intake.objects.count() == 50


# --- /api/campaigns/<id>/ -------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["/", ""])
def test_progress_of_a_campaign(api, slash):
    """The same account that people see, from the first moment on."""
    made = post(api, BODY).json()

    answer = api.get(made["url"].removesuffix("/") + slash)

    assert answer.status_code == 200
    progress = answer.json()
    assert (progress["id"], progress["state"], progress["total"], progress["waiting"]) == (made["id"], "running", 4, 4)
    assert progress["started_at"]
    assert not any(number[1:] in answer.content.decode() for number in BODY["recipients"])


@pytest.mark.parametrize("slash", ["/", ""])
def test_pause_resume_cancel(api, slash):
    """Each answers with the campaign as it is then."""
    url = post(api, BODY).json()["url"]

    states = [post(api, {}, f"{url}{verb}{slash}").json()["state"] for verb in ("pause", "resume", "cancel")]

    assert states == ["paused", "running", "cancelled"]
    assert set(TextMessage.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert TextMessage.objects.count() == 4


@pytest.mark.parametrize(
    ("before", "verb", "sentence"),
    [
        ((), "resume", "is running; only a paused campaign can be resumed"),
        (("pause",), "pause", "is paused; only a running campaign can be paused"),
        (("cancel",), "pause", "is cancelled; only a running"),
        (("cancel",), "cancel", "is cancelled; only a draft or scheduled or running or paused"),
    ],
)
def test_verb_that_does_not_fit_the_state(api, before, verb, sentence):
    """409 says which state it is in."""
    url = post(api, BODY).json()["url"]
    for earlier in before:
        post(api, {}, f"{url}{earlier}/")

    answer = post(api, {}, f"{url}{verb}/")

    assert answer.status_code == 409
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize("pk", [1, 0, 2**63, 10**40])
def test_unknown_campaign(api, pk):
    """404, also for an id that no database can hold."""
    assert api.get(f"/api/campaigns/{pk}/").status_code == 404
    assert post(api, {}, f"/api/campaigns/{pk}/cancel/").status_code == 404


# --- CORS -----------------------------------------------------------------------------------------------------


def test_only_an_allowed_origin_may_read_the_answer(api, settings):
    """Pages of other origins get the answer too, but their browser keeps it from them."""
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]

    for origin, allowed in [("https://app.example.org", "https://app.example.org"), ("https://example.com", None)]:
        answer = post(api, BODY, headers={"Origin": origin})
        assert answer.status_code == 202
        assert answer.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in answer


def test_preflight_needs_no_key_and_opens_nothing_to_others(client, settings):
    """A browser asks without the key whether it may send it."""
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}

    allowed = client.options("/message/", headers=asks | {"Origin": "https://app.example.org"})
    other = client.options("/message/", headers=asks | {"Origin": "https://example.com"})

    assert allowed.status_code == 200
    assert allowed["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "authorization" in allowed["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in other


def test_no_origin_is_allowed_unless_settings_say_so(api):
    """The default."""
    answer = post(api, BODY, headers={"Origin": "https://app.example.org"})

    assert "Access-Control-Allow-Origin" not in answer
