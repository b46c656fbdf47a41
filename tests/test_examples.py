"""Do the examples work? Each one as its users start it, against a simulated carrier, under 40 lines."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running

from .conftest import need
from .installation import ACCOUNT, environment, until

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OURS, THEIRS = "+12025550100", "+12065550123"


class Place:
    """A folder with one example in it, a carrier, and a port for the example to listen on."""

    def __init__(self, folder: Path, example: str) -> None:
        self.folder = folder
        self.log = folder / "said.log"
        self.port = supervisor.port(0)
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copy(EXAMPLES / example, folder)
        self.carrier = Running(
            Behaviour(report_delay=0.05, reply_delay=0.05, hang_seconds=0.5),
            ledger=folder / "carrier.jsonl",
            wire=ACCOUNT,
            status_url=f"{self.url}/webhooks/default/status",
            inbound_url=f"{self.url}/webhooks/default/inbound",
        )

    def environment(self) -> dict[str, str]:
        account = f"{ACCOUNT.api_key}:{ACCOUNT.api_secret}@{self.carrier.url.removeprefix('http://')}"
        provider = f"vonage+http://{account}?signature_secret={ACCOUNT.signature_secret}"
        return environment() | {
            "PACELINE_PROVIDER": provider,
            "PACELINE_FROM": OURS,
            "SECRET_KEY": "only-for-tests",
            "SMS_URL": provider,
            "DATABASE_URL": f"sqlite:///{self.folder}/texts.db",
            "PYTHONPATH": str(self.folder),
        }

    def run(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """`python ARGUMENTS`, to its end; what it prints."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment() | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, *arguments: str, **variables: str) -> Iterator[None]:
        """`python ARGUMENTS` while the block lasts; what it prints is in `log`."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment() | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
        """(status, JSON); waits until somebody listens."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": content_type})
        give_up_at = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)
            except urllib.error.URLError:
                if time.monotonic() > give_up_at:
                    raise AssertionError(self.log.read_text()) from None
                time.sleep(0.05)

    def texts(self) -> list[tuple[str, str]]:
        return [(accept.number, accept.text) for accept in self.carrier.accepts()]


def test_flask_tells_the_truth(tmp_path: Path) -> None:
    """200 only when the provider took it; 503 only when it certainly has not left; 504 when nobody knows."""
    place = Place(tmp_path, "flask_app.py")

    def notify(phone: str) -> tuple[int, Any]:
        status, answer = place.post("/order/7/notify", json.dumps({"phone": phone}).encode())
        return status, answer["sent"]

    with (
        place.carrier as carrier,
        place.running("-m", "flask", "--app", "flask_app", "run", "--port", str(place.port)),
    ):
        assert notify("(206) 555-0123") == (200, True)
        assert notify("12345") == (422, False)
        carrier.change(refused_numbers=("+12065550124",))
        assert notify("+12065550124") == (422, False)
        carrier.change(throttle=1.0, retry_after=60)
        assert notify("+12065550125") == (503, False)
        carrier.change(throttle=0.0, accept_hang=1.0)
        assert notify("+12065550126") == (504, None)
        carrier.change(accept_hang=0.0, unauthorized_after=0)
        assert notify("+12065550127") == (500, False)

    text = "Order #7 is confirmed. Delivery in 2-4 days."
    assert place.texts() == [(THEIRS, text), ("+12065550126", text)]
    assert "555" not in place.log.read_text()


def test_fastapi_sends_from_one_pool(tmp_path: Path) -> None:
    """Under uvicorn; its access log has neither number nor text."""
    place = Place(tmp_path, "fastapi_app.py")

    def notify(phone: str) -> int:
        return place.post("/notify", json.dumps({"phone": phone, "text": "Your table is ready"}).encode())[0]

    with place.carrier as carrier, place.running("-m", "uvicorn", "fastapi_app:app", "--port", str(place.port)):
        assert notify(THEIRS) == 200
        assert notify("12345") == 422
        carrier.change(throttle=1.0, retry_after=60)
        assert notify("+12065550125") == 503
        carrier.change(throttle=0.0, accept_hang=1.0)
        assert notify("+12065550126") == 504

    assert [number for number, _ in place.texts()] == [THEIRS, "+12065550126"]
    assert not any(secret in place.log.read_text() for secret in ("555", "table", ACCOUNT.api_secret))


@pytest.mark.slow
def test_django_from_migrate_to_reply(tmp_path: Path) -> None:
    """Texts now, queues, dispatches what is due, and its receiver is told of reports and replies."""
    place = Place(tmp_path, "django_project.py")
    place.carrier.behaviour = Behaviour(report_delay=0.05, reply_delay=0.05, hang_seconds=0.5, replies=1.0)

    def book(phone: str) -> tuple[int, Any]:
        return place.post("/book", b"phone=" + phone.encode(), "application/x-www-form-urlencoded")

    server = ("django_project.py", "runserver", "--noreload", str(place.port))
    with place.carrier as carrier:
        place.run("django_project.py", "migrate", "-v", "0")
        with place.running(*server):
            assert book("2065550123") == (200, {"status": "accepted", "code": ""})
            assert book("12345") == (502, {"status": "refused", "code": "invalid_number"})
            with place.running("django_project.py", "dispatch"):
                until(lambda: len(place.texts()) == 2, 30)
                until(lambda: carrier.state()["replied"] == 2 and not carrier.state()["owed"], 30)

    assert place.texts() == [(THEIRS, "We have your booking"), (THEIRS, "See you soon")]
    said = Counter(place.log.read_text().splitlines())
    assert said[f"outgoing {THEIRS} delivered"] == 2
    assert said[f"incoming {OURS} received"] == 2


@pytest.mark.slow
def test_what_people_answer_goes_to_a_phone(tmp_path: Path) -> None:
    """Each answer is forwarded and answered; when all of them are machines that answer back, silence after three."""
    place = Place(tmp_path, "forward_to_my_phone.py")
    place.carrier.behaviour = Behaviour(report_delay=0.05, reply_delay=0.05, hang_seconds=0.5, replies=1.0)
    phone = "+12065550150"
    ask = f"from paceline import messaging; messaging.queue_text('Doors open at 9', '{OURS}', '{THEIRS}')"
    script = "forward_to_my_phone.py"
    with place.carrier as carrier:
        for arguments in (("migrate", "-v", "0"), ("shell", "-c", ask)):
            place.run(script, *arguments, PHONE=phone)
        server = (script, "runserver", "--noreload", str(place.port))
        with place.running(*server, PHONE=phone), place.running(script, "dispatch", PHONE=phone):
            until(lambda: len(place.texts()) >= 11, 60)
            until(lambda: carrier.state()["replied"] == len(place.texts()) and not carrier.state()["owed"], 30)
            time.sleep(1)

    answer = "Please e-mail us: team@example.org"
    texts = place.texts()
    assert Counter(number for number, text in texts if text == answer) == {THEIRS: 3, phone: 3}
    forwarded = [text for number, text in texts if number == phone and text != answer]
    assert len(forwarded) == 4 and all(text.startswith(f"From {THEIRS}: ") for text in forwarded)
    assert len(texts) == 11


BROKERS = {
    "memory": "memory://",
    "redis": os.environ.get("PACELINE_TEST_REDIS_URL", ""),
    "rabbitmq": os.environ.get("PACELINE_TEST_RABBITMQ_URL", ""),
}
QUEUE = f"paceline-test-{os.getpid()}"
OUR_QUEUE = f"from celery_app import *\napp.conf.task_default_queue = {QUEUE!r}\n"
ORDERS = f"""
from datetime import datetime, timedelta, timezone
celery_app.send_now.delay("Your table is ready", "{OURS}", "{THEIRS}")
celery_app.remind("See you soon", "{OURS}", "{THEIRS}", at=datetime.now(timezone.utc) + timedelta(seconds=1))
celery_app.remind("See you tomorrow", "{OURS}", "{THEIRS}", at=datetime.now(timezone.utc) + timedelta(days=1))
try:
    celery_app.remind("See you", "{OURS}", "{THEIRS}", at=datetime.now())
except ValueError as error:
    print(error)
"""
IN_ONE_PROCESS = """
import time
from celery.contrib.testing.worker import start_worker
with start_worker(celery_app.app, pool="solo", perform_ping_check=False):
    time.sleep(1)
    celery_app.send_due.delay().get(timeout=30)
"""
TIDY = f"""
from our_queue import app
with app.connection() as connection:
    channel = connection.default_channel
    channel.queue_delete({QUEUE!r})
    if hasattr(channel, "client"):
        channel.client.delete("_kombu.binding.{QUEUE}", "_kombu.binding_permanent.{QUEUE}")
    else:
        channel.exchange_delete({QUEUE!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("broker", BROKERS)
def test_celery_now_and_later(broker: str, tmp_path: Path) -> None:
    """A task sends at once; what is due later is a row, and leaves then. Without a broker, in one process."""
    need(BROKERS[broker], f"a broker (PACELINE_TEST_{broker.upper()}_URL)")
    place = Place(tmp_path, "celery_app.py")
    (tmp_path / "our_queue.py").write_text(OUR_QUEUE)
    variables = {"CELERY_BROKER_URL": BROKERS[broker], "CELERY_RESULT_BACKEND": "cache+memory://"}
    orders = "import our_queue as celery_app" + ORDERS
    with place.carrier:
        place.run("-c", "import celery_app; celery_app.call_command('migrate', verbosity=0)", **variables)
        if broker == "memory":
            said = place.run("-c", orders + IN_ONE_PROCESS, **variables)
        else:
            worker = ("-m", "celery", "-A", "our_queue", "worker", "--beat", "--concurrency", "2", "-Q", QUEUE)
            with place.running(*worker, **variables):
                said = place.run("-c", orders, **variables)
                until(lambda: len(place.texts()) >= 2, 60)
            place.run("-c", TIDY, **variables)

    assert said.startswith("at has no time zone")
    assert sorted(place.texts()) == [(THEIRS, "See you soon"), (THEIRS, "Your table is ready")]


def test_script_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """Its sheet has a duplicate and a row without a number; nobody is texted twice, nobody is left out."""
    place = Place(tmp_path, "script.py")
    people = [f"+1206555{n:04d}" for n in range(100, 130)]
    rows = [f"Ada,{number}" for number in people] + [f"Ada again,{people[0]}", "Bob,12345"]
    (tmp_path / "people.csv").write_text("\n".join(["name,number", *rows]))
    arguments = ("script.py", "people.csv", 'Hi {{ name|default("there") }}')
    with place.carrier:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=tmp_path, env=place.environment(), stderr=subprocess.DEVNULL
        )
        until(lambda: len(place.texts()) >= 3 or process.poll() is not None, 30)
        process.kill()
        process.wait()
        assert len(place.texts()) < len(people), "it was done before it could be killed"
        said = place.run(*arguments, code=1)

    reached = Counter(number for number, _ in place.texts())
    assert reached.total() == len(reached), "somebody was texted twice"
    assert set(people) - set(reached) <= {people[row] for row in uncertain_rows(said)}
    assert "row 31: duplicate" in said
    assert "row 32: invalid: " in said


def uncertain_rows(said: str) -> list[int]:
    """Whose text was under way when the script was killed: it may have left, so it is not sent again."""
    return [int(row) - 1 for row in re.findall(r"^row (\d+): uncertain", said, re.MULTILINE)]


def test_each_is_short_and_is_run() -> None:
    """Under 40 lines; announce.py is run by test_batch_scripts.py, the others here."""
    tests = "".join(
        (Path(__file__).parent / name).read_text() for name in ("test_examples.py", "test_batch_scripts.py")
    )

    for example in EXAMPLES.glob("*.py"):
        assert len(example.read_text().splitlines()) < 40, example.name
        assert f'"{example.name}"' in tests, example.name
