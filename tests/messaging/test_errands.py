"""What is done outside the database because of a text? Each errand at least once, and to public addresses only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core import mail
from django.utils import timezone

from paceline.dispatcher.chores import Chores, is_anything_due
from paceline.messaging import engine, errands
from paceline.messaging.models import Errand, TextMessage
from paceline.sms.addresses import is_global
from paceline.sms.errors import Unavailable, Uncertain
from paceline.sms.messages import Response

from .factories import Clock, number, on_threads

pytestmark = [pytest.mark.django_db, pytest.mark.contract]

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two characters").decode()
URL = "https://hooks.example.org/paceline"


class Receiver:
    """Stands where the transport does: notes what is asked, and answers what it is given, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers) or [200]
        self.requests = []

    async def ask(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Response(answer)

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def configured(settings):
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": SECRET}
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def clock():
    return Clock(engine.now())


@pytest.fixture
def heard():
    """A text that came in."""
    return TextMessage.objects.create(
        direction="incoming", frm=number(1), to="+12025550100", text="Pizza 🍕, please", status="received"
    )


def runner(clock, *answers):
    return errands.Runner(clock, transport=Receiver(*answers))


def webhook(heard, url=URL, key="ref-1"):
    return errands.add(key, Errand.Kind.WEBHOOK, url, heard, "Pizza")


# --- the webhook --------------------------------------------------------------------------------------------------


def test_a_webhook_says_what_came_and_is_signed(clock, heard):
    """As the standard has it: HMAC-SHA256 over id, moment and body, in base64, with the secret's bytes."""
    webhook(heard)
    run = runner(clock)
    run.run()

    (request,) = run.transport.requests
    body = json.loads(request.body)
    assert (request.method, request.url, body["type"]) == ("POST", URL, "keyword.matched")
    wanted = {"rule": "Pizza", "from": heard.frm, "to": heard.to, "text": heard.text, "reference": heard.reference}
    assert body["data"] == wanted
    headers = request.headers
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("ref-1", str(int(clock.at)))
    signed = f"ref-1.{int(clock.at)}.".encode() + request.body
    digest = hmac.new(b"a secret of thirty-two characters", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_the_signature_is_that_of_the_standard():
    """Its own example, from the specification's reference implementation."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = errands.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}', key)

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_was_done_is_done_once(clock, heard):
    """After a 2xx nothing is asked again, however often the chores come round."""
    webhook(heard)
    run = runner(clock, 204)
    for _ in range(5):
        run.run()
        clock.at += 100_000

    assert len(run.transport.requests) == 1
    done = Errand.objects.get()
    assert (done.due_at, done.tries, done.outcome) == (None, 1, "done") and done.done_at is not None


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (500, "the receiver answered 500"),
        (302, "the receiver answered 302"),
        (404, "the receiver answered 404"),
        (Unavailable("No connection (OSError)"), "nobody could be reached"),
        (Unavailable("No connection (AddressBarred)"), "its name leads to an address that is not public"),
        (Uncertain("time-out"), "there was no whole answer"),
        (ValueError(f"{URL} {number(1)}"), "it failed: ValueError"),
    ],
    ids=["500", "redirect", "404", "away", "barred", "no answer", "unforeseen"],
)
def test_what_fails_is_tried_again_later(clock, heard, failure, words):
    """With the same id and body; the row says why, and quotes neither address nor number."""
    webhook(heard)
    run = runner(clock, failure, 200)
    run.run()
    assert Errand.objects.get().outcome == words
    run.run()
    assert len(run.transport.requests) == 1, "it waits"

    clock.at += errands.AGAIN_SECONDS[0]
    run.run()

    first, second = run.transport.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert (Errand.objects.get().tries, Errand.objects.get().outcome) == (2, "done")


def test_after_a_day_it_is_given_up(clock, heard):
    """Less and less often until then; the row says so."""
    webhook(heard)
    run = runner(clock, 500)
    moments = []
    for _ in range(30):
        due = Errand.objects.get().due_at
        if due is None:
            break
        clock.at = max(clock.at, due)
        moments.append(clock.at)
        run.run()

    waits = [after - before for before, after in pairwise(moments)]
    assert waits == sorted(waits) and 8 <= len(moments) <= 15
    assert moments[-1] - moments[0] <= errands.GIVE_UP_SECONDS
    assert Errand.objects.get().outcome.startswith("given up after")


def test_a_process_that_dies_is_made_up_for(clock, heard):
    """Nobody else runs an errand while it may still be answered; then somebody does, with the same id."""
    webhook(heard)
    dead = runner(clock, 200)
    dead._claim(clock.now())  # and then: kill -9
    alive = runner(clock, 200)
    alive.run()
    assert alive.transport.requests == []

    clock.at += errands.HELD_SECONDS
    alive.run()

    assert [request.headers["webhook-id"] for request in alive.transport.requests] == ["ref-1"]


@pytest.mark.django_db(transaction=True)
def test_two_processes_share_the_errands(clock, heard):
    """Each is run by one of them."""
    for i in range(8):
        webhook(heard, key=f"ref-{i}")

    claimed = on_threads(4, lambda i: [errand.key for errand in runner(clock)._claim(clock.now())])

    assert sorted(key for keys in claimed for key in keys) == [f"ref-{i}" for i in range(8)]


def test_the_same_errand_is_not_written_twice(heard):
    """Its key is the text's and the step's."""
    webhook(heard)
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"), engine.write():
        webhook(heard)


def test_only_so_many_at_once(clock, heard):
    """The rest waits for the next round."""
    for i in range(12):
        webhook(heard, key=f"ref-{i}")
    run = runner(clock)

    run.run()

    assert len(run.transport.requests) == errands.AT_ONCE


def test_connections_go_to_public_addresses_only(monkeypatch):
    """What runs for real has the guard, and short time-outs."""
    made = {}
    monkeypatch.setattr(errands, "AsyncTransport", lambda **options: made.update(options))
    errands.transport()

    assert made["allows"] is is_global
    assert made["total_seconds"] + made["connect_seconds"] < errands.HELD_SECONDS


# --- addresses ----------------------------------------------------------------------------------------------------

GOOD = [
    URL,
    "https://hooks.example.org:443/x?y=1",
    "https://hooks.example.org:8443/x",
    "https://93.184.215.14/x",
    "HTTPS://EXAMPLE.ORG/",
]
BAD = [
    "",
    "hooks.example.org",
    "http://hooks.example.org/x",
    "ftp://hooks.example.org/x",
    "file:///etc/passwd",
    "gopher://example.org/",
    "https://",
    "https:///x",
    "https://user@hooks.example.org/x",
    "https://user:pass@hooks.example.org/x",
    "https://hooks.example.org@127.0.0.1/",
    "https://hooks.example.org:80/x",
    "https://hooks.example.org:22/x",
    "https://hooks.example.org:8080/x",
    "https://hooks.example.org:0/x",
    "https://hooks.example.org:99999/x",
    "https://localhost/x",
    "https://api.localhost/x",
    "https://printer.local/x",
    "https://metadata.google.internal/x",
    "https://127.0.0.1/x",
    "https://127.1/x",
    "https://2130706433/x",
    "https://10.0.0.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1/x",
    "https://100.64.0.1/x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[fd00:ec2::254]/x",
    "https://[fe80::1]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://hooks.example.org/\r\nX: y",
    "https://hooks.example.org/ x",
    "https://hooks.exämple.org/x",
    "https://hooks.example.org\\@127.0.0.1/",
    "https://hooks.example.org/" + "x" * 500,
]


@pytest.mark.parametrize("url", GOOD)
def test_a_good_address(url):
    """Of a public host, over https."""
    errands.check_url(url)


@pytest.mark.parametrize("url", BAD)
def test_a_bad_address(clock, heard, url):
    """Is refused when it is written down; and when it got into the row all the same, nothing is sent."""
    with pytest.raises(errands.BadAddress):
        errands.check_url(url)

    webhook(heard, url=url[:500] if len(url) <= 500 else url[:499] + " ")
    run = runner(clock)
    run.run()
    assert run.transport.requests == [] and Errand.objects.get().due_at is not None


@pytest.mark.parametrize("given", ["", None, "whsec_", "whsec_c2hvcnQ=", "not base64 at all!", "whsec_äöü"])
def test_without_a_secret_nothing_is_sent(clock, heard, settings, given):
    """The row says what to set; when it is set, the errand is done."""
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": given}
    webhook(heard)
    run = runner(clock)
    run.run()
    assert "PACELINE_WEBHOOK_SECRET" in Errand.objects.get().outcome and run.transport.requests == []

    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": SECRET}
    clock.at += errands.AGAIN_SECONDS[0]
    run.run()

    assert len(run.transport.requests) == 1


# --- e-mail -------------------------------------------------------------------------------------------------------


def test_a_text_is_forwarded_by_mail(clock, heard):
    """With who wrote it, what, and to which number; once."""
    errands.add("ref-2", Errand.Kind.EMAIL, "office@example.org", heard, "All")
    run = errands.Runner(clock)
    run.run()
    run.run()
    run.close()

    (letter,) = mail.outbox
    assert (letter.to, letter.subject) == (["office@example.org"], f"Text from {heard.frm}")
    assert "Pizza 🍕, please" in letter.body and heard.to in letter.body
    assert Errand.objects.get().outcome == "done"


def test_a_mail_server_that_is_away_is_asked_again(clock, heard, settings):
    """Its refusal is one word in the row."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    errands.add("ref-2", Errand.Kind.EMAIL, "office@example.org", heard, "All")
    run = errands.Runner(clock)
    run.run()
    assert Errand.objects.get().outcome == "it failed: ConnectionRefusedError"

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    clock.at += errands.AGAIN_SECONDS[0]
    run.run()
    run.close()

    assert len(mail.outbox) == 1


# --- chores -------------------------------------------------------------------------------------------------------


def test_the_chores_run_errands(clock, heard):
    """Without being held up by them: a round begins it, a later one writes what came of it."""
    errands.add("ref-2", Errand.Kind.EMAIL, "office@example.org", heard, "All")
    assert is_anything_due(clock.now())
    chores = Chores(clock)
    chores.round()
    for _ in range(100):
        clock.at += 0.5
        chores.round()
        if Errand.objects.get().done_at:
            break
        time.sleep(0.01)
    chores.close()

    assert (len(mail.outbox), is_anything_due(clock.now())) == (1, False)


def test_an_errand_of_a_text_that_is_gone_is_gone(clock, heard):
    """What has been erased is not told to anybody."""
    webhook(heard)
    heard.delete()
    run = runner(clock)
    run.run()

    assert run.transport.requests == [] and not Errand.objects.exists()


def test_the_last_try_lies_within_a_day_of_the_text(clock, heard):
    """Also when nothing ran for that long: then it is tried once, and given up."""
    errand = webhook(heard)
    Errand.objects.filter(pk=errand.pk).update(created_at=timezone.now() - timedelta(days=2))
    run = runner(clock, 500)
    run.run()

    assert (Errand.objects.get().due_at, len(run.transport.requests)) == (None, 1)
