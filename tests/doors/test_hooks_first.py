"""Does the short way past Django's middleware give the answers that the URL gives?"""

from __future__ import annotations

import io
import json
import threading

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError, connection
from django.test import RequestFactory

from paceline.messaging import accounts, events, suppressions
from paceline.messaging.models import Event
from paceline.webhooks.door import hooks_first

from .test_webhooks import CONSOLE, THEIRS, VONAGE, inbound, report, signed

pytestmark = pytest.mark.django_db(transaction=True)  # both ways look after the connection between two requests

DELIVERED = json.dumps(report("a" * 32, "delivered")).encode()
LARGE = json.dumps(report("a" * 32, "delivered", filler="x" * 64 * 1024)).encode()


@pytest.fixture(autouse=True)
def configured(settings):
    """A Vonage account, and a provider that takes no webhooks."""
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": VONAGE, "console": CONSOLE}}
    accounts.provider.cache_clear()
    yield
    accounts.provider.cache_clear()


def ask(application, path, body=DELIVERED, method="POST", headers=None, **environ):
    """(status, body, headers) of one request."""
    headers = signed(body) if headers is None else headers
    made = RequestFactory().generic(method, path, body, "application/json", headers=headers, **environ)
    told = []
    answer = application(made.environ, lambda status, fields, *_: told.append((status, dict(fields))))
    content = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    (status, fields), *_ = told
    return int(status.split()[0]), content, fields


def elsewhere(environ, start_response):
    start_response("299 Elsewhere", [])
    return [b""]


SITUATIONS = {
    "genuine": ("/webhooks/default/status", {}),
    "an inbound text": ("/webhooks/default/inbound", {"body": json.dumps(inbound("Hello")).encode()}),
    "with a token": ("/webhooks/default/status/some-token", {}),
    "no signature": ("/webhooks/default/status", {"headers": {}}),
    "unreadable": ("/webhooks/default/status", {"body": b"{"}),
    "unknown account": ("/webhooks/unknown/status", {}),
    "no webhooks there": ("/webhooks/console/status", {}),
    "too large": ("/webhooks/default/status", {"body": LARGE}),
    "says that it is large": ("/webhooks/default/status", {"CONTENT_LENGTH": str(10**9)}),
    "a length that is none": ("/webhooks/default/status", {"CONTENT_LENGTH": "-1"}),
    "by PUT": ("/webhooks/default/status", {"method": "PUT"}),
    "by GET": ("/webhooks/default/status", {"method": "GET"}),
    "another host": ("/webhooks/default/status", {"HTTP_HOST": "elsewhere.example"}),
    "too short a path": ("/webhooks/default", {}),
    "too long a path": ("/webhooks/default/status/token/more", {}),
    "an empty alias": ("/webhooks//status", {}),
    "a name that is not ASCII": ("/webhooks/d%C3%A9faut/status", {}),
    "a path that is no UTF-8": ("/webhooks/%ff/status", {}),
}


@pytest.mark.parametrize(("path", "request_"), SITUATIONS.values(), ids=SITUATIONS)
def test_both_ways_answer_alike(path, request_):
    """Status, what is stored, and the headers that a provider looks at; a 400's page is for people and may differ."""
    usual = get_wsgi_application()
    answers = []
    for application in (usual, hooks_first(usual)):
        Event.objects.all().delete()
        status, content, headers = ask(application, path, **request_)
        kept = [*Event.objects.values_list("account", "dedupe_key", "query", "outcome", "tries", "next_try_at")]
        page = b"" if status == 400 else content
        answers.append((status, page, kept, headers.get("Allow"), headers.get("Content-Type")))

    assert answers[0][:4] == answers[1][:4]
    assert answers[0][0] == 400 or answers[0][4] == answers[1][4]


def test_what_is_no_webhook_is_left_to_django():
    """Another path, and one under the prefix that names no account and kind."""
    door = hooks_first(elsewhere)

    assert ask(door, "/login/")[0] == 299
    assert ask(door, "/webhooks/")[0] == 299
    assert ask(door, "/webhooks/default")[0] == 299
    assert ask(door, "/webhooks/default/status")[0] == 200


def test_webhook_that_could_not_be_kept_is_not_acknowledged(monkeypatch, caplog):
    """500, with the reason in the log and nothing of the body; the retry is kept."""
    write = events._write

    def fails(group):
        raise DatabaseError("the disk is gone")

    monkeypatch.setattr(events, "_write", fails)
    body = json.dumps(inbound("STOP")).encode()
    assert ask(hooks_first(elsewhere), "/webhooks/default/inbound", body)[0] == 500
    assert "could not be taken" in caplog.text
    assert THEIRS[1:] not in caplog.text
    monkeypatch.setattr(events, "_write", write)

    assert ask(hooks_first(elsewhere), "/webhooks/default/inbound", body)[0] == 200
    assert suppressions.among([THEIRS]) == {THEIRS}


def test_body_that_breaks_off_is_not_taken():
    """The caller hangs up in the middle: nothing is stored, and nothing falls."""

    class BreaksOff(io.BytesIO):
        def read(self, *size):
            raise OSError("connection reset")

    broken = {"wsgi.input": BreaksOff()}

    assert ask(hooks_first(elsewhere), "/webhooks/default/status", **broken)[0] >= 400
    assert not Event.objects.exists()


@pytest.mark.contract
def test_many_at_once_are_each_kept_once():
    """Eight threads, as the web server has them, every report twice."""
    door, count = hooks_first(elsewhere), 40
    bodies = [json.dumps(report(f"{n:032x}", "delivered")).encode() for n in range(count)] * 2
    answers, left, lock = [], list(bodies), threading.Lock()

    def work():
        try:
            while True:
                with lock:
                    if not left:
                        return
                    body = left.pop()
                answers.append(ask(door, "/webhooks/default/status", body)[0])
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 2 * count
    assert Event.objects.count() == count
    assert {*map(bytes, Event.objects.values_list("body", flat=True))} == {*bodies}
