"""What does a provider get as an answer, and what is kept of what it said?"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
import uuid

import jwt
import pytest
from django.db import OperationalError, connection

from paceline.messaging import accounts, engine, events, outbox, senders, suppressions
from paceline.messaging.clock import Clock
from paceline.messaging.models import Event, Suppression, TextMessage
from paceline.sms.status import Status

pytestmark = pytest.mark.django_db

SECRET = "only-for-tests-signature-secret-of-32"
OPTIONS = {"api_key": "abcd1234", "api_secret": "only-for-tests", "signature_secret": SECRET}
VONAGE = {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": OPTIONS}
CONSOLE = {"BACKEND": "paceline.sms.providers.local.Console"}

OURS, THEIRS = "+12065550100", "+12125550123"
HOURS = 3600.0


@pytest.fixture(autouse=True)
def configured(settings):
    """A Vonage account, and a provider that takes no webhooks."""
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": VONAGE, "console": CONSOLE}}
    accounts.provider.cache_clear()
    yield
    accounts.provider.cache_clear()


@pytest.fixture
def lane():
    sender, _ = senders.add(accounts.get(), OURS, mps=10)
    return sender


def signed(body: bytes, *, at: float | None = None, secret: str = SECRET, **claims) -> dict[str, str]:
    """The header that Vonage sends with this body: a fresh token each time, made by PyJWT and not by our own code."""
    fields = {
        "iss": "Vonage",
        "api_key": OPTIONS["api_key"],
        "iat": int(time.time() if at is None else at),
        "jti": str(uuid.uuid4()),
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    return {"Authorization": "Bearer " + jwt.encode(fields | claims, secret, algorithm="HS256")}


def post(client, fields: dict | bytes, alias: str = "default", kind: str = "status", **forgery):
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    headers = forgery.pop("headers", None)
    headers = signed(body, **forgery) if headers is None else headers
    return client.post(f"/webhooks/{alias}/{kind}", body, "application/json", headers=headers)


def report(message: TextMessage | str, word: str, **fields) -> dict:
    reference = message if isinstance(message, str) else message.reference
    return {
        "message_uuid": f"uuid-of-{reference}",
        "to": THEIRS.removeprefix("+"),
        "from": OURS.removeprefix("+"),
        "timestamp": "2026-03-04T09:15:27Z",
        "channel": "sms",
        "client_ref": reference,
        "status": word,
    } | fields


def inbound(text: str, **fields) -> dict:
    return {
        "channel": "sms",
        "message_type": "text",
        "message_uuid": str(uuid.uuid4()),
        "to": OURS.removeprefix("+"),
        "from": THEIRS.removeprefix("+"),
        "timestamp": "2026-03-04T09:20:01Z",
        "text": text,
    } | fields


def submitted(lane, **fields) -> TextMessage:
    """A message on the wire: its request may have been written, no answer is known."""
    return TextMessage.objects.create(
        sender=lane, frm=lane.number, to=THEIRS, text="Hi", status=Status.SUBMITTING, **fields
    )


def apply_all(later: float = 0.0) -> None:
    """What the dispatcher does until nothing is due, `later` seconds from now."""
    now = engine.now() + later
    while events.apply_due(now):
        pass


def status_of(message: TextMessage) -> str:
    return TextMessage.objects.values_list("status", flat=True).get(pk=message.pk)


# --- verified, kept, 200; applied afterwards ------------------------------------------------------------------


def test_report_is_kept_as_it_came_and_applied_afterwards(client, lane):
    """The 200 promises that it is kept; what it means is the dispatcher's work."""
    message = submitted(lane)
    body = json.dumps(report(message, "delivered")).encode()

    answer = post(client, body)

    assert answer.status_code == 200
    event = Event.objects.get()
    assert (event.account, bytes(event.body)) == ("default", body)
    assert status_of(message) == Status.SUBMITTING

    apply_all()

    message.refresh_from_db()
    assert (message.status, message.provider_id) == (Status.DELIVERED, f"uuid-of-{message.reference}")
    event.refresh_from_db()
    assert (event.outcome, event.next_try_at) == ("applied", None)


def test_inbound_text_reaches_the_inbox_once(client, lane):
    """With the sender it was written to; status and inbound webhooks may come to either address."""
    text = inbound("Is it open on Sunday?")

    assert post(client, text, kind="inbound").status_code == 200
    assert post(client, text, kind="inbound").status_code == 200
    apply_all()

    received = TextMessage.objects.get(direction=TextMessage.Direction.INCOMING)
    assert (received.frm, received.to, received.sender) == (THEIRS, OURS, lane)
    assert (received.text, received.status) == ("Is it open on Sunday?", Status.RECEIVED)
    assert not Suppression.objects.exists()


FORGERIES = {
    "no signature": {"headers": {}},
    "another secret": {"secret": "another-secret-of-thirty-two-bytes-x"},
    "another account": {"api_key": "ffff9999"},
    "another body": {"payload_hash": hashlib.sha256(b"{}").hexdigest()},
    "an old date": {"at": 1_700_000_000},
    "a date to come": {"at": time.time() + HOURS},
    "another issuer": {"iss": "Somebody"},
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
@pytest.mark.parametrize("fields", [report("0" * 32, "delivered"), inbound("STOP")], ids=["report", "stop"])
def test_forged_webhook_is_refused_and_leaves_nothing(client, fields, forgery, caplog):
    """401; no event, no suppression; and neither number nor text in the log."""
    answer = post(client, fields, **forgery)

    assert answer.status_code == 401
    assert not Event.objects.exists()
    assert not Suppression.objects.exists()
    assert THEIRS[1:] not in caplog.text


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"STOP"', b"{", b"\xff\xfe"])
def test_signed_body_that_cannot_be_read_is_refused(client, body):
    """A provider's mistake is not kept as an event either."""
    answer = post(client, body)

    assert answer.status_code == 401
    assert not Event.objects.exists()


@pytest.mark.parametrize("alias", ["unknown", "console"])
def test_account_that_takes_no_webhooks_is_not_found(client, alias):
    """Not configured, or of a provider that reports nothing."""
    assert post(client, report("0" * 32, "delivered"), alias=alias).status_code == 404
    assert not Event.objects.exists()


def test_webhook_is_at_most_64_kb(client):
    """Whatever its signature; the same webhook a byte shorter is kept."""
    empty = len(json.dumps(report("0" * 32, "delivered", filler="")))
    most = 64 * 1024 - empty

    assert post(client, report("0" * 32, "delivered", filler="x" * (most + 1))).status_code == 413
    assert not Event.objects.exists()
    assert post(client, report("0" * 32, "delivered", filler="x" * most)).status_code == 200
    assert Event.objects.count() == 1


def test_webhook_that_says_it_is_larger_is_not_even_read(client):
    """413 by the Content-Length alone."""

    class Unreadable:
        def read(self, *size):
            raise AssertionError("it was read")

        readline = read

    claim = {"CONTENT_LENGTH": str(64 * 1024 + 1), "wsgi.input": Unreadable()}

    assert client.post("/webhooks/default/status", b"{}", "application/json", **claim).status_code == 413


def test_only_post_is_a_webhook(client):
    """405 names the methods."""
    answer = client.put("/webhooks/default/status")

    assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")


# --- any repetition, any order, any time ----------------------------------------------------------------------


def test_thousand_replays_change_nothing(client, lane):
    """Each with a fresh signature, as a provider's own retries have; before and after it was applied."""
    message = submitted(lane)
    stop = inbound("STOP")
    told = [report(message, "delivered", usage={"price": "0.0450", "currency": "EUR"}), stop]
    for fields in told:
        post(client, fields)
    apply_all()
    before = [[*model.objects.order_by("pk").values()] for model in (TextMessage, Event, Suppression)]

    for turn in range(500):
        for fields in told:
            assert post(client, fields).status_code == 200
        if turn % 50 == 0:
            apply_all(later=turn * HOURS)

    apply_all(later=1000 * HOURS)
    assert [[*model.objects.order_by("pk").values()] for model in (TextMessage, Event, Suppression)] == before


def test_replayed_stop_does_not_undo_a_later_start(client):
    """A provider repeats the STOP of yesterday; the person has said START since."""
    stop = inbound("STOP")
    post(client, stop)
    post(client, inbound("START"))

    post(client, stop)

    assert suppressions.among([THEIRS]) == set()


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (("submitted", "delivered"), Status.DELIVERED),
        (("submitted", "undeliverable", "delivered"), Status.DELIVERED),
        (("submitted", "rejected"), Status.REFUSED),
    ],
)
def test_order_of_the_reports_does_not_matter(client, lane, words, last):
    """Every order of arrival, applied one by one or all at once, ends in the same status."""
    for order, one_by_one in itertools.product(itertools.permutations(words), (True, False)):
        message = submitted(lane)
        for word in order:
            post(client, report(message, word))
            if one_by_one:
                apply_all()
        apply_all()

        assert status_of(message) == last, order


def test_report_without_our_reference_finds_its_message_by_the_providers_id(client, lane):
    """As reports do for messages whose reference a carrier lost."""
    message = submitted(lane, provider_id="their-id")

    post(client, report("", "delivered", message_uuid="their-id"))
    apply_all()

    assert status_of(message) == Status.DELIVERED


def test_early_report_waits_for_its_message(client, lane):
    """It is kept, tried again ever more rarely, and applied when the message appears."""
    post(client, report("a" * 32, "delivered"))
    apply_all()
    waiting = Event.objects.get()
    assert waiting.next_try_at > engine.now()
    assert waiting.outcome == "no message with this reference or provider_id"

    message = submitted(lane, reference="a" * 32)
    apply_all(later=HOURS)

    assert status_of(message) == Status.DELIVERED
    waiting.refresh_from_db()
    assert (waiting.outcome, waiting.next_try_at) == ("applied", None)


def test_report_that_belongs_to_nobody_is_given_up_after_three_days(client):
    """It stays in the table, with the reason; it is only not tried again."""
    post(client, report("b" * 32, "delivered"))
    event = Event.objects.get()
    Event.objects.update(
        received_at=event.received_at.fromtimestamp(time.time() - 73 * HOURS, tz=event.received_at.tzinfo)
    )

    apply_all(later=HOURS)

    event.refresh_from_db()
    assert (event.next_try_at, event.outcome) == (None, "no message with this reference or provider_id")


# --- STOP -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", " stop. ", "Unsubscribe", "ARRÊT"])
def test_stop_is_in_force_when_the_200_is_out(client, lane, word):
    """A message that is leased already does not pass the gate any more; nothing has to be applied first."""
    clock = Clock()
    message = outbox.queue_text("Hi", lane, THEIRS)
    leases = outbox.claim(lane.account_id, clock)
    assert [lease.id for lease in leases] == [message.pk]

    assert post(client, inbound(word), kind="inbound").status_code == 200

    assert suppressions.among([THEIRS]) == {THEIRS}
    assert outbox.gate(leases, clock) == []
    assert status_of(message) == Status.SUPPRESSED


def test_start_lifts_a_stop_but_no_entry_of_ours(client):
    """What a person has forbidden by STOP they allow again; what we have forbidden they do not."""
    other = "+12125550124"
    suppressions.add(other)
    post(client, inbound("STOP"))

    post(client, inbound("START"))
    post(client, inbound("START", **{"from": other[1:]}))

    assert suppressions.among([THEIRS, other]) == {other}


# --- the database ---------------------------------------------------------------------------------------------


def _inserts_fail(execute, sql, params, many, context):
    if sql.startswith("INSERT"):
        raise OperationalError("disk I/O error")
    return execute(sql, params, many, context)


@pytest.mark.django_db(transaction=True)
def test_webhook_that_could_not_be_kept_is_not_acknowledged(client):
    """500, so that the provider sends it again; and then it is kept."""
    client.raise_request_exception = False
    stop = inbound("STOP")

    with connection.execute_wrapper(_inserts_fail):
        assert post(client, stop).status_code == 500
    assert not Event.objects.exists()

    assert post(client, stop).status_code == 200
    assert suppressions.among([THEIRS]) == {THEIRS}


@pytest.mark.django_db(transaction=True)
def test_stop_and_its_event_are_kept_together_or_not_at_all(client):
    """Else a retry would be taken for a replay, and the STOP be lost."""
    client.raise_request_exception = False
    stop = inbound("STOP")

    def suppression_fails(execute, sql, params, many, context):
        if Suppression._meta.db_table in sql:
            raise OperationalError("disk I/O error")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(suppression_fails):
        assert post(client, stop).status_code == 500

    assert not Event.objects.exists()
    assert post(client, stop).status_code == 200
    assert suppressions.among([THEIRS]) == {THEIRS}


def at_once(count: int, work) -> list:
    """What `work(n)` answers on `count` real threads that start together."""
    answers, start = [None] * count, threading.Barrier(count)

    def run(n: int) -> None:
        start.wait()
        try:
            answers[n] = work(n)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
def test_concurrent_webhooks_share_a_commit_and_none_is_lost(client, monkeypatch):
    """While one is being written the others gather; then each transaction takes as many as may share one."""
    count = 24
    groups: list[int] = []
    write = events._write

    def slow_disk(group):
        groups.append(len(group))
        deadline = time.monotonic() + 10
        while len(groups) == 1 and len(events._group_commit._waiting) < count - 1 and time.monotonic() < deadline:
            time.sleep(0.001)
        write(group)

    monkeypatch.setattr(events, "_write", slow_disk)

    answers = at_once(count, lambda n: post(type(client)(), inbound("STOP", **{"from": f"121255501{n:02}"})))

    assert {answer.status_code for answer in answers} == {200}
    assert groups == [1, events.TEXTS_SHARE_MOST, count - 1 - events.TEXTS_SHARE_MOST]
    assert Event.objects.count() == count
    assert suppressions.among([f"+121255501{n:02}" for n in range(count)]) == {
        f"+121255501{n:02}" for n in range(count)
    }


@pytest.mark.django_db(transaction=True)
def test_same_webhook_on_many_threads_is_kept_once(client):
    """Everybody gets a 200."""
    stop = inbound("STOP")

    answers = at_once(12, lambda n: post(type(client)(), stop))

    assert {answer.status_code for answer in answers} == {200}
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_failed_group_is_acknowledged_to_nobody(client, monkeypatch):
    """Each of those that shared the failed commit gets a 500, and each retry is kept."""
    count = 8
    told = [inbound("STOP", **{"from": f"121255501{n:02}"}) for n in range(count)]
    write = events._write

    def fails(group):
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(events, "_write", fails)
    answers = at_once(count, lambda n: post(type(client)(raise_request_exception=False), told[n]))

    assert {answer.status_code for answer in answers} == {500}
    assert not Event.objects.exists()

    monkeypatch.setattr(events, "_write", write)
    answers = at_once(count, lambda n: post(type(client)(), told[n]))

    assert {answer.status_code for answer in answers} == {200}
    assert Event.objects.count() == count
