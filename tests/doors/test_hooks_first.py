"""Do the short ways past Django's middleware give the answers that the URL gives?"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from itertools import chain

import pytest
from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError, connection
from django.test import RequestFactory

from paceline.messaging import accounts, events, suppressions
from paceline.messaging.models import Event
from paceline.sms.messages import InboundText, WebhookRequest
from paceline.webhooks import asgi, door

from ..installation import until
from .test_webhooks import CONSOLE, OURS, THEIRS, VONAGE, at_once, inbound, report, signed

pytestmark = pytest.mark.django_db(transaction=True)  # all ways look after the connection between two requests

DELIVERED = json.dumps(report("a" * 32, "delivered")).encode()
LARGE = json.dumps(report("a" * 32, "delivered", filler="x" * 64 * 1024)).encode()


@pytest.fixture(autouse=True)
def configured(settings):
    """A Vonage account, and a provider that takes no webhooks."""
    settings.PACELINE = settings.PACELINE | {"PROVIDERS": {"default": VONAGE, "console": CONSOLE}}
    accounts.provider.cache_clear()
    yield
    accounts.provider.cache_clear()


def batched(body, size):
    return [body[at : at + size] for at in range(0, len(body), size)]


def environ_of(path, body=DELIVERED, method="POST", headers=None, **environ):
    headers = signed(body) if headers is None else headers
    return RequestFactory().generic(method, path, body, "application/json", headers=headers, **environ).environ


def elsewhere(environ, start_response):
    start_response("299 Elsewhere", [])
    return [b""]


class Url:
    """Through all of Django, and no door."""

    def __init__(self, application=None):
        self.application = application or get_wsgi_application()

    def ask(self, path, **request):
        """(status, body, headers) of one request."""
        told = []
        answer = self.application(environ_of(path, **request), lambda status, fields, *_: told.append((status, fields)))
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        (status, fields), *_ = told
        return int(status.split()[0]), content, dict(fields)

    def ask_all(self, bodies):
        """The statuses of many at once: on eight threads."""
        shares = at_once(8, lambda n: [self.ask("/webhooks/default/status", body=body)[0] for body in bodies[n::8]])
        return [*chain.from_iterable(shares)]


class Wsgi(Url):
    """`door.hooks_first`, for a WSGI server."""

    def __init__(self, application=elsewhere):
        super().__init__(door.hooks_first(application))


class Asgi:
    """`asgi.hooks_first`, as in our own web process."""

    def __init__(self, application=elsewhere):
        def closing(environ, start_response):
            try:
                return application(environ, start_response)
            finally:
                connection.close()

        self.application = asgi.hooks_first(WSGIMiddleware(closing, workers=1))

    def ask(self, path, **request):
        return asyncio.run(self._ask(environ_of(path, **request)))

    def ask_all(self, bodies):
        async def together():
            environs = [environ_of("/webhooks/default/status", body=body) for body in bodies]
            return await asyncio.gather(*map(self._ask, environs))

        return [status for status, *_ in asyncio.run(together())]

    async def _ask(self, environ):
        said = []
        try:
            left = [*batched(environ["wsgi.input"].read(), 10_000), b""]
        except OSError:
            left = [b"{"]  # and then the caller is gone

        async def receive():
            if not left:
                return {"type": "http.disconnect"}
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": part != b""}

        async def send(message):
            said.append(message)

        await self.application(scope_of(environ), receive, send)
        if not said:
            return 499, b"", {}
        fields = {name.decode().title(): value.decode() for name, value in said[0]["headers"]}
        return said[0]["status"], b"".join(message["body"] for message in said[1:]), fields


def scope_of(environ):
    """What an ASGI server makes of the same request."""
    named = {name.removeprefix("HTTP_"): str(value) for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: str(environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "query_string": environ["QUERY_STRING"].encode(),
        "root_path": "",
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
        "client": ("127.0.0.1", 50_000),
        "headers": [(k.lower().replace("_", "-").encode(), v.encode("latin-1")) for k, v in named.items()],
    }


@pytest.fixture(params=[Wsgi, Asgi])
def way(request, monkeypatch):
    """One of the short ways. No connection of a thread of its own outlives what it was for."""
    store = asgi._store

    def closing(group):
        try:
            store(group)
        finally:
            connection.close()

    monkeypatch.setattr(asgi, "_store", closing)
    return request.param


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
    "a length that nobody can read": ("/webhooks/default/status", {"CONTENT_LENGTH": "9" * 5000}),
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
def test_every_way_answers_alike(path, request_, way):
    """Status, what is stored, and the headers that a provider looks at; a 400's page is for people and may differ."""
    answers = []
    for one in (Url(), way(get_wsgi_application())):
        Event.objects.all().delete()
        status, content, headers = one.ask(path, **request_)
        kept = [*Event.objects.values_list("account", "dedupe_key", "query", "outcome", "tries", "next_try_at")]
        page = b"" if status == 400 else content
        answers.append((status, page, kept, headers.get("Allow"), headers.get("Content-Type")))

    assert answers[0][:4] == answers[1][:4]
    assert answers[0][0] == 400 or answers[0][4] == answers[1][4]


def test_what_is_no_webhook_is_left_to_django(way):
    """Another path, and one under the prefix that names no account and kind."""
    one = way()

    assert one.ask("/login/")[0] == 299
    assert one.ask("/webhooks/")[0] == 299
    assert one.ask("/webhooks/default")[0] == 299
    assert one.ask("/webhooks/default/status")[0] == 200


def test_webhook_that_could_not_be_kept_is_not_acknowledged(monkeypatch, caplog, way):
    """500, with the reason in the log and nothing of the body; the retry is kept."""
    write = events._write

    def fails(group):
        raise DatabaseError("the disk is gone")

    monkeypatch.setattr(events, "_write", fails)
    body = json.dumps(inbound("STOP")).encode()
    assert way().ask("/webhooks/default/inbound", body=body)[0] == 500
    assert "could not be taken" in caplog.text
    assert THEIRS[1:] not in caplog.text
    monkeypatch.setattr(events, "_write", write)

    assert way().ask("/webhooks/default/inbound", body=body)[0] == 200
    assert suppressions.among([THEIRS]) == {THEIRS}


def test_body_that_breaks_off_is_not_taken(way):
    """The caller hangs up in the middle: nothing is stored, and nothing falls."""

    class BreaksOff(io.BytesIO):
        def read(self, *size):
            raise OSError("connection reset")

    broken = {"wsgi.input": BreaksOff()}

    assert way().ask("/webhooks/default/status", **broken)[0] >= 400
    assert not Event.objects.exists()


@pytest.mark.contract
def test_many_at_once_are_each_kept_once(way):
    """As many as come at a time, every report twice."""
    count = 40
    bodies = [json.dumps(report(f"{n:032x}", "delivered")).encode() for n in range(count)] * 2

    assert way().ask_all(bodies) == [200] * 2 * count
    assert Event.objects.count() == count
    assert {*map(bytes, Event.objects.values_list("body", flat=True))} == {*bodies}


def test_many_at_once_share_commits(monkeypatch, way):
    """What comes in while one commit is under way goes into the next, all of it."""
    groups, write = [], events._write

    def watched(group):
        groups.append(len(group))
        write(group)

    monkeypatch.setattr(events, "_write", watched)
    bodies = [json.dumps(report(f"{n:032x}", "delivered")).encode() for n in range(64)]

    assert way().ask_all(bodies) == [200] * 64
    assert sum(groups) == 64
    assert len(groups) < 64


def test_commit_stays_short_however_many_wait():
    """250 reports share one, but no more than a dozen texts, each of which may be a STOP; one text at the least."""

    def waiting(texts, reports):
        webhook = WebhookRequest("POST", "", {}, "", b"")
        text = InboundText(THEIRS, OURS, "STOP")
        return [events.Arrival("a", webhook, [text]) for _ in range(texts)] + [
            events.Arrival("a", webhook, []) for _ in range(reports)
        ]

    assert [len(events.sharing(waiting(*mixture))) for mixture in ((0, 400), (100, 0), (3, 400))] == [250, 12, 250]
    many = waiting(1, 1)
    many[0].texts *= 50
    assert events.sharing(many) == many[:1]


def test_door_is_there_before_django_is():
    """A project's wsgi.py imports it among the other imports, above what sets Django up."""
    code = "from paceline.webhooks.door import hooks_first"
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_who_is_interrupted_while_it_waits_holds_nobody_up():
    """The thread that was to write next is gone: the one after it writes."""
    commit, began, go_on, written = events._GroupCommit(), threading.Event(), threading.Event(), []

    def arrival(name):
        return events.Arrival(name, WebhookRequest("POST", "", {}, "", b""), [])

    class Interrupted:
        def __init__(self, turn):
            self.turn = turn
            self.locked, self.release = turn.locked, turn.release

        def acquire(self):
            began.set()
            self.turn.acquire()  # it is to write now, and is interrupted at this moment
            self.turn = None
            raise KeyboardInterrupt

    def slow(group):
        written.append([each.account for each in group])
        began.set()
        go_on.wait(10)

    def wait(which):
        try:
            commit(which)
        except KeyboardInterrupt:
            written.append("interrupted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "_write", slow)
        threads = []
        for name in ("first", "interrupted", "third"):
            one = arrival(name)
            if name == "interrupted":
                one.turn = Interrupted(one.turn)
            began.clear()
            threads.append(threading.Thread(target=wait, args=(one,), daemon=True))
            threads[-1].start()
            if name != "third":
                assert began.wait(10)
        until(lambda: len(commit._waiting) == 2, 10)
        go_on.set()
        for thread in threads:
            thread.join(10)

    assert written[0] == ["first"]
    assert "interrupted" in written
    assert ["third"] in written


def test_a_webhook_that_no_thread_can_keep_is_told_so():
    """Nor does the one after it wait for ever."""
    together = asgi._Together()
    together._thread.shutdown()

    async def two():
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(together.store(events.Arrival("default", WebhookRequest("POST", ""), [])), 5)

    asyncio.run(two())
