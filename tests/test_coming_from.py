"""Does docs/coming-from.md work as it is written? Each of its samples, in order, against a simulated carrier.

Every entry of the page has its function here, which runs the entry's samples and looks at what has come of them. An
entry without one, a function without an entry, and a sample that was not run fail.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from paceline.messaging.models import SIMPLE
from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires import Wire
from paceline.sandbox.wires.nexmo import Nexmo
from paceline.sandbox.wires.smspm import Smspm
from paceline.sandbox.wires.twilio import Twilio
from paceline.sms.status import Status

from .installation import ACCOUNT, environment, until

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "coming-from.md").read_text()

VONAGE = "Throttling Bulk SMS Campaigns with Python and Vonage SMS API"
DUBHACKS = "Batch SMS at DubHacks"
DJSMS = "django-simple-sms"
SMSPM = "SMS API in Python: A Complete Tutorial"

END = "-- that was it --"
IN_DJANGO = re.compile(r"^(?:from|import) (?:django|mysite|paceline\.messaging|notifications|shop)\b", re.MULTILINE)
PYTHON = f"""
import json, sys
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    exec(compile(json.loads(line), "the page", "exec"), names)
    print("\\n" + {END!r}, flush=True)
"""


# --- the page -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One `###` of the page. `samples` are (language, code)."""

    document: str
    title: str
    prose: str
    samples: tuple[tuple[str, str], ...]


def entries(document: str) -> list[Entry]:
    """What the page says to one of the four documents."""
    section = re.search(rf"^## {re.escape(document)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None, document
    _, *parts = re.split(r"^### (.*)$", section[1], flags=re.MULTILINE)
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        Entry(document, title, fence.sub("", body), tuple(fence.findall(body)))
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


# --- where its samples run ------------------------------------------------------------------------------------


class Shell:
    """An interpreter that is told one sample after the other, and what it says to each."""

    def __init__(self, command: list[str], place: Place, encode: Callable[[str], str]) -> None:
        self._encode = encode
        self._process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def tell(self, code: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(self._encode(code))
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.rstrip() == END:
                return "".join(said)[:-1]  # without the line that keeps END apart
            said.append(line)
        raise AssertionError(f"it ended at\n{code}\nsaying\n{''.join(said)}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Place:
    """A folder with an empty Django project, a carrier, a terminal, and second terminals for what keeps running."""

    def __init__(self, folder: Path, wire: Wire, other_words: dict[str, str], one_script: bool) -> None:
        self.folder = folder
        self.port, self.fastapi_port, self.flask_port = (supervisor.port(0) for _ in range(3))
        self.url = f"http://127.0.0.1:{self.port}"
        self._one_script = one_script
        self.has_run: set[Entry] = set()
        self.carrier = Running(
            Behaviour(report_delay=0.05, reply_delay=0.05, hang_seconds=0.5),
            ledger=folder / "carrier.jsonl",
            wire=wire,
            status_url=f"{self.url}/webhooks/default/status",
            inbound_url=f"{self.url}/webhooks/default/inbound",
        )
        self.carrier.start()
        host = self.carrier.url.removeprefix("http://")
        self._other_words = {shown: real.replace("HOST", host) for shown, real in other_words.items()} | {
            "--port 8000": f"--port {self.port}",
            "--port 8001": f"--port {self.fastapi_port}",
            "--port 5000": f"--port {self.flask_port}",
            "http://127.0.0.1:8000": self.url,
            "https://sms.example.org": self.url,
        }
        self.environment = environment() | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }
        self._shells: list[Shell] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self.terminal = self.shell(
            ["bash", "-eu", "-o", "pipefail"], lambda code: f"{{ {code}\n}} </dev/null; printf '\n%s\n' '{END}'\n"
        )
        self.terminal.tell("django-admin startproject mysite .")
        self.write("mysite/settings.py", DATABASE)

    def shell(self, command: list[str], encode: Callable[[str], str]) -> Shell:
        shell = Shell(command, self, encode)
        self._shells.append(shell)
        return shell

    @cached_property
    def script(self) -> Shell:
        """An interpreter with the terminal's variables, for samples that are one script."""
        return self.shell(["env", "-i", *self.exported(), sys.executable, "-c", PYTHON], lambda c: json.dumps(c) + "\n")

    def exported(self) -> list[str]:
        return [line for line in self.terminal.tell("env").splitlines() if re.match(r"\w+=", line)]

    def close(self) -> None:
        for process in self._running:
            stop(process)
        for shell in self._shells:
            shell.close()
        self.carrier.stop()

    def write(self, path: str, code: str) -> None:
        """A file of the page, or more of it; its package is there."""
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        if len(Path(path).parts) > 1:
            (file.parent / "__init__.py").touch()
        with file.open("a") as more:
            more.write("\n" + code)

    def run(self, entry: Entry) -> str:
        """Every sample of an entry, in order; what they said."""
        self.has_run.add(entry)
        return "".join(self.sample(language, code) for language, code in entry.samples)

    def sample(self, language: str, code: str) -> str:
        for shown, real in self._other_words.items():
            code = code.replace(shown, real)
        path = re.match(r"# (\S+\.py)\n", code)
        if language == "sh":
            return the_extra_exists(code)
        if language == "bash" and code.startswith("# in a second terminal\n"):
            return self.keep_running(code)
        if language == "bash":
            return self.terminal.tell(code)
        assert language == "python"
        if path:
            self.write(path[1], code)
            return ""
        return self.script.tell(code) if self._one_script else self.program(code)

    def program(self, code: str) -> str:
        """A program of its own, in the project's shell if it needs that."""
        (self.folder / "program.py").write_text(code)
        command = (
            'python manage.py shell -v 0 -c "$(cat program.py)"' if IN_DJANGO.search(code) else "python program.py"
        )
        return self.terminal.tell(f"PYTHONIOENCODING=utf-8 {command}")

    def keep_running(self, command: str) -> str:
        self._running.append(
            subprocess.Popen(
                ["env", "-i", *self.exported(), "PYTHONUNBUFFERED=1", "bash", "-c", f"exec {command.splitlines()[-1]}"],
                cwd=self.folder,
                stdout=(self.folder / "second-terminal.log").open("ab"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        return ""

    @contextmanager
    def server(self) -> Iterator[None]:
        """The project's web server, and what becomes of its reports."""
        self.keep_running(f"python manage.py runserver --noreload {self.port}")
        process = self._running.pop()
        try:
            until(lambda: answers(f"{self.url}/admin/login/"), 30)
            yield
        finally:
            stop(process)

    def texts(self) -> dict[str, list[str]]:
        """What the carrier has taken: the numbers by text."""
        found: dict[str, list[str]] = {}
        for accept in self.carrier.accepts():
            found.setdefault(accept.text, []).append(accept.number)
        return found


DATABASE = """
DATABASES["default"]["OPTIONS"] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
"""


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def the_extra_exists(command: str) -> str:
    """`pip install "paceline[EXTRA]"` is only read: what it names exists."""
    wanted = re.fullmatch(r'pip install "?paceline(?:\[(\w+)\])?"?\n', command)
    assert wanted is not None, command
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert wanted[1] is None or wanted[1] in extras
    return ""


def ask(url: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """(status, headers, JSON or text)"""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read().decode()
    try:
        return answer.status, dict(answer.headers), json.loads(text)
    except ValueError:
        return answer.status, dict(answer.headers), text


def answers(url: str) -> bool:
    try:
        ask(url)
    except OSError:
        return False
    return True


# --- each entry, and what must come of it ---------------------------------------------------------------------

Check = Callable[[Place, Entry], None]
CHECKS: dict[tuple[str, str], Check] = {}


def of(document: str, *titles: str) -> Callable[[Check], Check]:
    def enter(check: Check) -> Check:
        for title in titles:
            assert (document, title) not in CHECKS, title
            CHECKS[document, title] = check
        return check

    return enter


@of(VONAGE, "Install Dependencies")
@of(DUBHACKS, "Installation: pip install -r requirements.txt", "Installation: git clone")
@of(DJSMS, "Installation: pip install", "Installation: INSTALLED_APPS")
@of(SMSPM, "Installation", "Installation: environment variables")
@of(DUBHACKS, "Basic Usage: imports and client")
@of(VONAGE, "Create a Django project: the CORS middleware")
@of(SMSPM, "Celery Background Tasks: celery_app.py", "Flask Integration: SmsClient", "Flask Integration: config")
@of(DJSMS, "Reacting to incoming messages", "Reacting to status updates")
def runs(place: Place, entry: Entry) -> None:
    """It works; what comes of it is seen in an entry further down."""
    place.run(entry)


# Throttling Bulk SMS Campaigns


@of(VONAGE, "Create a Django project: startproject")
def the_sender_is_there(place: Place, entry: Entry) -> None:
    place.run(entry)
    senders = json.loads(place.terminal.tell("paceline sender list --json"))

    assert "+12025550100" in json.dumps(senders)


@of(VONAGE, "Create a Django project: startapp")
def the_app_is_in_the_project(place: Place, entry: Entry) -> None:
    place.run(entry)
    place.terminal.tell("python manage.py migrate -v 0")

    assert "paceline" in place.terminal.tell("python manage.py showmigrations paceline")


@of(VONAGE, "Initialize the Vonage Library")
def no_secret_is_shown(place: Place, entry: Entry) -> None:
    said = place.run(entry)

    assert said.startswith("<Client vonage> <Vonage ")
    assert ACCOUNT.api_secret not in said


@of(VONAGE, "Test Application API: runserver")
def the_service_answers_and_cors_is_as_set(place: Place, entry: Entry) -> None:
    place.run(entry)
    until(lambda: answers(f"{place.url}/login/"), 30)

    allowed = {}
    for origin in ("https://app.example.org", "https://other.example.org"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        _, headers, _ = ask(f"{place.url}/message/", method="OPTIONS", **asked)
        allowed[origin] = headers.get("access-control-allow-origin")
    assert allowed == {"https://app.example.org": "https://app.example.org", "https://other.example.org": None}


@of(VONAGE, "Create a View to Send SMS message: the skeleton")
def without_a_key_no(place: Place, entry: Entry) -> None:
    assert set(json.loads(place.run(entry))) == {"detail"}


@of(VONAGE, "Create a View to Send SMS message: reading the request")
def everything_wrong_is_named(place: Place, entry: Entry) -> None:
    assert set(json.loads(place.run(entry))) == {"recipients", "message_string", "batch"}
    assert place.carrier.accepts() == []


@of(VONAGE, "Create a View to Send SMS message: batch()")
def once_each(place: Place, entry: Entry) -> None:
    assert place.run(entry).strip() == str(["accepted"] * 4 + ["duplicate"])
    assert sorted(accept.number for accept in place.carrier.accepts()) == [f"+1206555011{n}" for n in range(4)]


@of(VONAGE, "Create a View to Send SMS message: the loop")
def in_parts_and_once(place: Place, entry: Entry) -> None:
    before = len(place.carrier.accepts())
    first, second = place.run(entry), place.run(entry)

    accepts = place.carrier.accepts()[before:]
    assert first == second == "".join(f"+1206555012{n} accepted \n" for n in range(4))
    assert sorted(accept.number for accept in accepts) == [f"+1206555012{n}" for n in range(4)]
    assert accepts[3].number == "+12065550123"


@of(VONAGE, "Create a View to Send SMS message: the full views.py")
def the_view_is_written(place: Place, entry: Entry) -> None:
    place.run(entry)

    place.program("import mysite.views")


POSTS = """
from django.contrib.auth.models import User
from django.test import Client

def post(recipients):
    body = {"sender": "+12025550100", "recipients": recipients, "message_string": "By a view",
            "batch_size": 2, "delay_period": 1}
    answer = client.post("/message/", body, content_type="application/json", headers={"Host": "127.0.0.1"})
    print(answer.status_code, answer.content.decode()[:60])

client = Client()
post(["+12065550124"])
client.force_login(User.objects.create_superuser("ada"))
post(["+12065550125", "12345"])
post(["+12065550126", "+12065550127", "+12065550128"])
"""


@of(VONAGE, "Define a URL path")
def the_view_queues_all_or_none(place: Place, entry: Entry) -> None:
    place.run(entry)
    place.terminal.tell("python manage.py migrate -v 0")
    said = place.program(POSTS)

    def all_have_left() -> bool:
        place.terminal.tell("python manage.py dispatch --data-dir mysite-data --until-idle --for 30")
        return len(place.texts()["By a view"]) == 3

    until(all_have_left, 30)
    assert re.findall(r"^(\d{3}) ", said, re.MULTILINE) == ["403", "400", "202"]
    assert sorted(place.texts()["By a view"]) == ["+12065550126", "+12065550127", "+12065550128"]


@of(VONAGE, "Test Application API: the request")
def the_campaign_runs(place: Place, entry: Entry) -> None:
    answer = json.loads(place.run(entry))
    people = [f"+1206555013{n}" for n in range(4)]
    until(lambda: len(place.texts().get("Hello from the service", [])) == 4, 30)

    assert (answer["recipients"], answer["state"]) == (4, "running")
    assert place.texts()["Hello from the service"] == people


# Batch SMS at DubHacks


@of(DUBHACKS, "Basic Usage: create_subscription_list")
def the_list_is_there(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert place.script.tell("print(client.subscription_lists[sub_id])").strip() == "Hackers"


@of(DUBHACKS, 'Basic Usage: "from" numbers')
def both_may_send(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert place.script.tell("print(*client.from_numbers)").split() == ["+12025550100", "+12025550101"]


@of(DUBHACKS, 'Basic Usage: "to" numbers')
def spread_evenly(place: Place, entry: Entry) -> None:
    place.run(entry)

    place.script.tell("from collections import Counter")
    assert place.script.tell("print(*Counter(client.associations.values()).values())").split() == ["2", "2"]


@of(DUBHACKS, "Basic Usage: send_to_subscription")
def everybody_has_it(place: Place, entry: Entry) -> None:
    assert place.run(entry).startswith("Campaign 1 is finished: 4 people, 4 accepted")
    assert sorted(place.texts()["Hello World"]) == [f"+1206555011{n}" for n in range(4)]


@of(DUBHACKS, "Basic Usage: the callback")
def the_callback_is_called_for_each(place: Place, entry: Entry) -> None:
    said = place.run(entry).splitlines()

    assert len(said) == 4
    assert all(re.fullmatch(r"sent: \+1206555011\d from \+1202555010\d: accepted", line) for line in said)


@of(DUBHACKS, "Normalizing Numbers")
def the_sheet_is_judged(place: Place, entry: Entry) -> None:
    said = place.run(entry)

    assert "line 4: '555-0112': The area code is missing" in said
    assert "2 ready" in said


@of(DUBHACKS, "Unsubscribing")
def opted_out_is_left_out(place: Place, entry: Entry) -> None:
    said = place.run(entry)

    assert "not sent: +12065550111 from " in said
    assert sorted(place.texts()["Lunch is served"]) == [f"+1206555011{n}" for n in (0, 2, 3)]


@of(DUBHACKS, "Incoming Messages")
def replies_are_forwarded_and_answered_stop_is_obeyed(place: Place, entry: Entry) -> None:
    """The terminal has Twilio's URL; the receivers run in the project's web server."""
    place.run(entry)
    place.terminal.tell("python manage.py migrate -v 0")
    send = 'from paceline.messaging import send_text; send_text("Where are you?", "+12025550102", "{}")'
    place.carrier.change(replies=1.0, stop_numbers=("+12065550121",))
    with place.server():
        place.program(send.format("+12065550120"))
        place.program(send.format("+12065550121"))
        until(lambda: place.carrier.state()["replied"] == 2, 20)
        place.carrier.change(replies=0.0, stop_numbers=())
    place.terminal.tell("python manage.py dispatch --until-idle --for 30")

    texts = place.texts()
    assert texts["Please email the team with questions."] == ["+12065550120"]
    forwarded = {text: numbers for text, numbers in texts.items() if "+12065550199" in numbers}
    assert len(forwarded) == 2
    assert all(text.startswith(("+12065550120: ", "+12065550121: ")) for text in forwarded)


# django-simple-sms

BREAD = "Please remember to pick up the bread before coming"


def in_the_file(place: Place) -> list[str]:
    return [json.loads(line)["number"] for line in (place.folder / "texts.jsonl").read_text().splitlines()]


@of(DJSMS, "Installation: the backend")
def the_project_is_in_order(place: Place, entry: Entry) -> None:
    place.run(entry)

    place.terminal.tell("python manage.py check --fail-level ERROR 2>&1")


@of(DJSMS, "Example usage")
def it_is_in_the_file(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert in_the_file(place) == ["+12125550123"]


@of(DJSMS, "Quick example")
def the_message_is_kept(place: Place, entry: Entry) -> None:
    assert place.run(entry).strip() == "accepted None"
    assert len(in_the_file(place)) == 2


@of(DJSMS, "The `send_text` method")
def silent_or_loud(place: Place, entry: Entry) -> None:
    swallowed, raised = place.run(entry).splitlines()

    assert swallowed.startswith("refused invalid_number to is not a number")
    assert raised == "raised invalid_number"


@of(DJSMS, "The `TextMessage` class")
def the_attributes_are_there(place: Place, entry: Entry) -> None:
    first, second = place.run(entry).splitlines()

    assert first.startswith(f"+12025550100 +12125550123 {BREAD} 20")
    assert second.split() == ["None", "outgoing", "accepted"]


@of(DJSMS, "The statuses")
def the_statuses_are_mapped(place: Place, entry: Entry) -> None:
    said = place.run(entry).splitlines()

    assert "sending is accepted" in said
    assert "refused is refused" in said
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", entry.prose, re.MULTILINE)
    shown = {Status(word): simple for simple, words in rows for word in re.findall(r"`(\w+)`", words)}
    assert shown | {Status.RECEIVED: "received"} == SIMPLE
    assert str([str(status) for status in Status]).strip("[]") in said[-1]


SEND = 'from paceline.messaging import send_text; print(send_text("Hi", "+12025550100", "+12125550123").status)'


@of(DJSMS, "Dummy backend")
def nothing_happens(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert place.program(SEND).strip() == "accepted"
    assert len(in_the_file(place)) == 2


@of(DJSMS, "Console backend")
def it_is_printed(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert "+12125550123" in place.program(SEND)


@of(DJSMS, "Nexmo Backend")
def nexmo_took_it_and_names_its_price(place: Place, entry: Entry) -> None:
    assert place.run(entry).split() == ["accepted", "0.045000"]
    assert [accept.number for accept in place.carrier.accepts()] == ["+12125550124"]


@of(DJSMS, "Define your own backend")
def pigeon_took_it(place: Place, entry: Entry) -> None:
    took: list[dict[str, str]] = []

    class Pigeon(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            took.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            took[-1]["token"] = self.headers["Authorization"]
            body = b'{"id": "coo-1"}'
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Pigeon) as company:
        threading.Thread(target=company.serve_forever, daemon=True).start()
        place.terminal.tell(f"export PIGEON_TOKEN=seeds PIGEON_URL=http://127.0.0.1:{company.server_port}/send")
        said = place.run(entry)
        company.shutdown()

    assert said.strip() == "coo-1"
    assert [(text["to"], text["token"]) for text in took] == [("+12125550125", "Bearer seeds")]


@of(DJSMS, "Declaring the callback uri", "Require status reports: the callback address")
def the_project_is_still_in_order(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert "W003" not in place.terminal.tell("python manage.py check 2>&1")


@of(DJSMS, "Declaring the incoming uri")
def the_address_is_there(place: Place, entry: Entry) -> None:
    assert place.run(entry).strip() == "/webhooks/default/inbound"


NOTIFICATIONS = """
from notifications.models import Notification
for note in Notification.objects.order_by("pk"):
    print(note.message.direction, note.status)
"""


@of(DJSMS, "Require status reports: status_report=True")
def the_report_and_the_reply_reach_the_receivers(place: Place, entry: Entry) -> None:
    place.carrier.change(replies=1.0)
    with place.server():
        assert place.run(entry).splitlines()[-1] == "sending"
        until(lambda: "incoming received" in place.program(NOTIFICATIONS), 20)
        until(lambda: "outgoing delivered" in place.program(NOTIFICATIONS), 20)
    place.carrier.change(replies=0.0)

    assert place.carrier.accepts()[-1].webhook_url == f"{place.url}/webhooks/default/status"
    assert "post_save: delivered" in (place.folder / "second-terminal.log").read_text()


@of(DJSMS, "Exceptions: `TextMessageError`")
def each_reaction_has_its_class(place: Place, entry: Entry) -> None:
    taken = len(place.carrier.accepts())
    place.carrier.change(accept_hang=1.0)
    unknown = place.run(entry)
    place.carrier.change(accept_hang=0.0, refused_numbers=("+12125550127",))
    refused = place.run(entry)
    place.carrier.change(refused_numbers=(), unauthorized_after=0)
    hopeless = place.run(entry)

    assert unknown.splitlines()[-1] == "It may have left; do not send it again: uncertain"
    assert refused.splitlines()[-1].startswith("It never will: ")
    assert hopeless.splitlines()[-1].startswith("It has not left: ")
    assert len(place.carrier.accepts()) == taken + 1


# SMS API in Python: A Complete Tutorial


def took(place: Place, number: str) -> list[str]:
    return [accept.text for accept in place.carrier.accepts() if accept.number == number]


@of(SMSPM, "Basic Send")
def one_text(place: Place, entry: Entry) -> None:
    said = place.run(entry)

    (accept,) = place.carrier.accepts()
    assert said.split() == [accept.provider_id, "1"]
    assert (accept.sender, accept.number) == ("MyApp", "+12065550110")


@of(SMSPM, "Async Version with httpx")
def one_text_async(place: Place, entry: Entry) -> None:
    assert place.run(entry).strip() == place.carrier.accepts()[-1].provider_id
    assert took(place, "+12065550111") == ["Your table is ready"]


@of(SMSPM, "Async Version with httpx: FastAPI")
def the_route_sends_and_says_what_happened(place: Place, entry: Entry) -> None:
    place.run(entry)
    until(lambda: answers(f"http://127.0.0.1:{place.fastapi_port}/docs"), 30)
    url = f"http://127.0.0.1:{place.fastapi_port}/notify"
    body = {"phone": "+12065550120", "message": "By FastAPI"}

    assert ask(url, body)[::2] == (200, {"messageId": place.carrier.accepts()[-1].provider_id})
    assert ask(url, body | {"phone": "12345"})[0] == 422
    place.carrier.change(accept_hang=1.0)
    assert ask(url, body)[0] == 504
    place.carrier.change(accept_hang=0.0)
    assert took(place, "+12065550120") == ["By FastAPI"] * 2
    assert "555" not in (place.folder / "second-terminal.log").read_text()


@of(SMSPM, "Generating OTP Codes: generate_otp")
def digits(place: Place, entry: Entry) -> None:
    assert re.fullmatch(r"\d{6} \d{8}\n", place.run(entry))


@of(SMSPM, "Generating OTP Codes: send_otp")
def the_code_works_once(place: Place, entry: Entry) -> None:
    assert place.run(entry).split() == ["True", "False"]
    assert re.search(r"code is \d{6}\.", took(place, "+12065550112")[0])


@of(SMSPM, "Sending Bulk SMS")
def three_sent_and_one_named(place: Place, entry: Entry) -> None:
    said = place.run(entry).splitlines()

    assert said[0] == "Sent: 3"
    assert said[1].startswith("3 invalid ")
    assert len(place.texts()["Your order has been dispatched."]) == 3


ORDERS = """
# shop/models.py
from django.db import models


class Customer(models.Model):
    phone = models.CharField(max_length=16)


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    eta = models.DateField()
"""


@of(SMSPM, "Django Integration: settings")
def the_shop_is_in_order(place: Place, entry: Entry) -> None:
    place.write("shop/models.py", ORDERS)
    place.run(entry)

    place.terminal.tell("python manage.py check --fail-level ERROR 2>&1")


@of(SMSPM, "Django Integration: sms.py")
def nothing_is_swallowed(place: Place, entry: Entry) -> None:
    fine, wrong = place.run(entry).splitlines()

    assert fine == "None"
    assert wrong.startswith("to is not a number")
    assert took(place, "+12065550116") == ["Your order is on its way"]


SHIPS = """
from datetime import date
from shop.models import Customer, Order
from shop.tasks import notify_order_shipped
order = Order.objects.create(customer=Customer.objects.create(phone="+12065550121"), eta=date(2026, 12, 1))
print(notify_order_shipped.apply(args=[order.pk]).get())
"""


@of(SMSPM, "Django Integration: a Celery task")
def the_task_sends(place: Place, entry: Entry) -> None:
    place.run(entry)

    assert place.program(SHIPS).strip() == "accepted"
    assert took(place, "+12065550121") == ["Your order #1 is on its way! Expected delivery: 01 Dec."]


@of(SMSPM, "Flask Integration: routes")
def the_route_tells_the_truth(place: Place, entry: Entry) -> None:
    place.run(entry)
    url = f"http://127.0.0.1:{place.flask_port}/order/7/notify"
    until(lambda: answers(url), 30)
    body = {"phone": "(206) 555-0122"}

    assert ask(url, body)[::2] == (200, {"sent": True})
    assert ask(url, {"phone": "12345"})[0] == 422
    place.carrier.change(accept_hang=1.0)
    assert ask(url, body)[::2] == (504, {"sent": None})
    place.carrier.change(accept_hang=0.0)
    assert took(place, "+12065550122") == ["Order #7 confirmed. Delivery in 2-4 days."] * 2


WORKER = """
from celery.contrib.testing.worker import start_worker
from app.tasks import celery_app, send_sms_task
with start_worker(celery_app, pool="solo", perform_ping_check=False):
    print(send_sms_task.delay("+12065550123", "By a worker").get(timeout=30)["status"])
"""


@of(SMSPM, "Celery Background Tasks: send_sms_task")
def a_lost_answer_is_no_second_text(place: Place, entry: Entry) -> None:
    place.terminal.tell("export CELERY_BROKER_URL=memory:// CELERY_RESULT_BACKEND=cache+memory://")
    assert place.run(entry).strip() == "app.tasks.send_sms_task"

    assert place.program(WORKER).splitlines()[-1] == "sent"
    place.carrier.change(accept_hang=1.0)
    assert place.program(WORKER).splitlines()[-1] == "uncertain"
    place.carrier.change(accept_hang=0.0)
    assert took(place, "+12065550123") == ["By a worker"] * 2


@of(SMSPM, "Celery Background Tasks: delay()")
def it_waits_in_the_database(place: Place, entry: Entry) -> None:
    assert place.run(entry).strip() == "queued"
    assert took(place, "+12065550117") == []


@of(SMSPM, "Celery Background Tasks: apply_async(eta=…)")
def a_naive_moment_is_refused(place: Place, entry: Entry) -> None:
    assert place.run(entry).startswith("at has no time zone")


@of(SMSPM, "Celery Background Tasks: the worker")
def what_is_due_leaves(place: Place, entry: Entry) -> None:
    place.run(entry)
    until(lambda: took(place, "+12065550117"), 30)

    assert took(place, "+12065550117") == ["Your appointment tomorrow at 10 AM."]
    assert took(place, "+12065550118") == []


@of(SMSPM, "Phone Number Normalization: normalize_e164")
def normalized(place: Place, entry: Entry) -> None:
    numbers, reason = place.run(entry).splitlines()

    assert numbers == "+12065550123 +12065550123"
    assert re.match(r"\w+ - \w", reason)


@of(SMSPM, "Phone Number Normalization: is_valid_e164")
def valid(place: Place, entry: Entry) -> None:
    assert place.run(entry).split() == ["True", "False", "True"]


@of(SMSPM, "Error Handling Strategy")
def a_timeout_is_not_sent_again(place: Place, entry: Entry) -> None:
    place.carrier.change(accept_hang=1.0)
    assert place.run(entry).strip() == "It may have been sent: it must not be sent again"
    place.carrier.change(accept_hang=0.0)
    assert place.run(entry) == ""

    assert len(took(place, "+12065550119")) == 2


@of(SMSPM, "Checking Message Length")
def counted_as_handsets_do(place: Place, entry: Entry) -> None:
    assert place.run(entry).splitlines() == [
        "GSM-7 1 of 19 characters",
        "GSM-7 1 of 115 characters",
        "UCS-2 3 of 70 characters",
    ]


# --- the tests ------------------------------------------------------------------------------------------------

SANDBOX_TWILIO = f"{Twilio().account_sid}:{Twilio().auth_token}"
ACCOUNTS: dict[str, tuple[Wire, dict[str, str]]] = {
    VONAGE: (ACCOUNT, {"vonage://KEY:SECRET@": f"vonage+http://{ACCOUNT.api_key}:{ACCOUNT.api_secret}@HOST"}),
    DUBHACKS: (Twilio(), {"twilio://SID:TOKEN@": f"twilio+http://{SANDBOX_TWILIO}@HOST"}),
    DJSMS: (
        Nexmo(),
        {
            "nexmo://KEY:SECRET@": f"nexmo+http://{Nexmo().api_key}:{Nexmo().api_secret}@HOST",
            "=SIGNATURE'": f"={Nexmo().signature_secret}'",
        },
    ),
    SMSPM: (Smspm(), {"smspm://HASH:TOKEN@": f"smspm+http://{Smspm().hash}:{Smspm().token}@HOST"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("document", ACCOUNTS)
def test_every_sample_does_what_it_says(document: str, tmp_path: Path) -> None:
    """The page's answer to one document, from top to bottom, in one folder."""
    wire, other_words = ACCOUNTS[document]
    place = Place(tmp_path, wire, other_words, one_script=document == DUBHACKS)
    try:
        for entry in entries(document):
            print(entry.title)
            CHECKS[document, entry.title](place, entry)
            assert entry in place.has_run
    finally:
        place.close()


def test_every_entry_is_run() -> None:
    """No entry without its function, no function without its entry, no entry without a sample."""
    found = [entry for document in ACCOUNTS for entry in entries(document)]

    assert {(entry.document, entry.title) for entry in found} == set(CHECKS)
    assert set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE)) == set(ACCOUNTS)
    for entry in found:
        assert entry.samples, entry.title
        assert re.match(r"\s*\*\*There:\*\* .+\n(?:.+\n)*\*\*Here:\*\* .+", entry.prose), entry.title


def test_every_sample_of_the_documents_has_its_entry() -> None:
    """As many as were counted in the documents by hand."""
    assert [len(entries(document)) for document in ACCOUNTS] == [13, 11, 19, 23]
