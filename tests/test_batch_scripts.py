"""The scripting client as scripts use it: processes with a database of their own, killed and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running

from .conftest import need
from .installation import ACCOUNT, environment, until
from .test_readme import blocks

SENDERS = [f"+1202555010{last}" for last in range(5)]
PEOPLE = [f"+1206555{n:04d}" for n in range(100, 170)]

READY = f"""
from paceline.batch import *
client = BatchSMS("test.db", mps=20)
for number in {SENDERS}:
    client.add_from_number(number)
everybody = client.create_subscription_list("everybody")
client.add_to_numbers({PEOPLE}, subs=[everybody])
"""
SEND = (
    READY
    + """
print(client.send_to_subscription(everybody, "Hello World"))
"""
)
RESUME = """
from paceline.batch import *
client = BatchSMS("test.db")
((campaign, state),) = client.unfinished.items()
told = []
summary = client.resume(campaign, told.append, told.append)
print(state, summary.state, len(told), len(summary.uncertain), *[payload.number for payload in summary.uncertain])
"""


class Scripts:
    """A folder where scripts run beside a carrier that takes 50 ms to answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.carrier = Running(Behaviour(latency_min=0.05), ledger=folder / "carrier.jsonl", wire=ACCOUNT)

    def environment(self) -> dict[str, str]:
        host = self.carrier.url.removeprefix("http://")
        provider = f"vonage+http://{ACCOUNT.api_key}:{ACCOUNT.api_secret}@{host}"
        return environment() | {"PACELINE_PROVIDER": provider, "HOME": str(self.folder)}

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *arguments: str) -> str:
        """What the script prints; it must succeed."""
        process = self.start(script, *arguments)
        said, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, complaints
        return said

    def stopped_in_the_middle(self, how: signal.Signals, script: str = SEND) -> str:
        """Runs SEND, slower, and sends it a signal when the carrier has 15 texts; what it complained."""
        process = self.start(script.replace("mps=20", "mps=8"))
        until(lambda: len(self.carrier.accepts()) >= 15 or process.poll() is not None, 30)
        process.send_signal(how)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode != 0, "it was done before it could be stopped"
        return complaints

    def times_reached(self) -> dict[str, int]:
        return Counter(accept.number for accept in self.carrier.accepts())


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    place = Scripts(tmp_path)
    with place.carrier:
        yield place


def test_the_page_is_sent_as_it_stands(scripts: Scripts, root: Path) -> None:
    """Each sample of docs/batch.md, one after the other, only quicker; what its comments promise is printed."""
    (scripts.folder / "attendees.csv").symlink_to(root / "examples" / "attendees.csv")

    samples = "\n".join(blocks((root / "docs" / "batch.md").read_text(), "python"))

    said = scripts.run(samples.replace('BatchSMS("test.db")', 'BatchSMS("test.db", mps=20)'))

    texts: dict[str, list[str]] = {}
    for accept in scripts.carrier.accepts():
        texts.setdefault(accept.text, []).append(accept.number)
    assert sorted(texts["Hello World"]) == [f"+1206555011{last}" for last in range(4)]
    assert texts["Hi Ada, lunch is served."] == ["+12065550114"]
    assert len(texts["Hi there, lunch is served."]) == 5
    assert len(texts["Thank you all for coming"]) == 7
    lines = said.splitlines()
    assert lines[0].startswith("Campaign 1 is finished: 4 people, 4 accepted, in ")
    assert "+12065550110 from +12025550100: accepted" in lines
    assert any(line.startswith("7 of 7 in ") for line in lines)
    assert "The area code is missing for a number in US (+1)." in lines[-1]


def test_the_example_goes_on_when_it_is_run_again(scripts: Scripts, root: Path) -> None:
    """examples/announce.py: under 40 lines; a sheet in any spelling, killed, run again: each ready row once."""
    script = (root / "examples" / "announce.py").read_text()
    assert len(script.splitlines()) < 40
    sheet = scripts.folder / "people.csv"
    sheet.write_text(
        "Name,Phone\nAda,(206) 555-0100\nBob,2065550101\nCy,206.555.0102\nDee,555-0103\nEve,1 206 555 0104\n"
    )
    arguments = (str(sheet), "Lunch is served", "+12025550100")

    process = scripts.start(script, *arguments)
    until(lambda: scripts.carrier.accepts() or process.poll() is not None, 30)
    process.kill()
    process.communicate()
    said = scripts.run(script, *arguments)

    assert scripts.times_reached() == dict.fromkeys([PEOPLE[0], PEOPLE[1], PEOPLE[2], PEOPLE[4]], 1)
    assert "line 5 is left out: The area code is missing" in said
    assert "Campaign 1 (people) has not ended, it is running" in said
    assert said.splitlines()[-1].startswith("Campaign 1 is finished: 4 people")


def test_the_check_covers_the_seeds_normalizing(scripts: Scripts) -> None:
    """`paceline contacts check`: what strips to ten digits is a +1 number; what does not is discarded, and said."""
    sheet = scripts.folder / "people.csv"
    sheet.write_text(
        "(206) 555-0100\n206-555-0101\n206.555.0102\n2065550103\n+1 206 555 0104\n555-0105\n20655501067\nnone\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "paceline", "contacts", "check", str(sheet), "--json"],
        cwd=scripts.folder, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    verdicts = json.loads(done.stdout)["verdicts"]
    assert [number for _, verdict, number in verdicts if verdict == "ready"] == PEOPLE[:5]
    assert [line for line, verdict, _ in verdicts if verdict == "invalid"] == [6, 7, 8]


def test_killed_in_the_middle_and_resumed_nobody_is_texted_twice(scripts: Scripts) -> None:
    """kill -9, then another process: 0 twice and 0 lost by the carrier's log, one gate's worth uncertain at most."""
    scripts.stopped_in_the_middle(signal.SIGKILL)
    before = len(scripts.carrier.accepts())

    again = scripts.start(SEND)
    _, complaints = again.communicate(timeout=60)
    assert len(scripts.carrier.accepts()) == before
    state, ended, told, uncertain, *unsure = scripts.run(RESUME).split()

    reached = scripts.times_reached()
    assert "Unfinished: Campaign 1 (everybody) has not ended, it is running: client.resume(1)" in complaints
    assert (state, ended) == ("running", "finished")
    assert max(reached.values()) == 1
    assert reached.keys() | set(unsure) == set(PEOPLE)
    print(f"\n{uncertain} uncertain")
    assert int(uncertain) <= 20  # half a second's worth; a gate and the answers under way are 4 to 8
    assert int(told) <= 70 - before + int(uncertain)


def test_ctrl_c_pauses_and_says_how_to_go_on(scripts: Scripts) -> None:
    """What is on the wire is settled, nobody is uncertain; resumed later the others get theirs."""
    complaints = scripts.stopped_in_the_middle(signal.SIGINT)
    before = len(scripts.carrier.accepts())
    state, ended, told, uncertain = scripts.run(RESUME).split()

    assert f"Interrupted: Campaign 1 is paused, {before} of 70 texts are accepted; go on with client.resume(1)" in (
        complaints
    )
    assert (state, ended, int(told), int(uncertain)) == ("paused", "finished", 70 - before, 0)
    assert scripts.times_reached() == dict.fromkeys(PEOPLE, 1)


def test_two_scripts_at_once_share_one_dispatcher(scripts: Scripts) -> None:
    """The second waits for the first one's, or takes over: both end, each text once, no sender over its rate."""
    scripts.run(READY)
    processes = [scripts.start(SEND.replace("Hello World", text)) for text in ("Hello World", "Good evening")]
    said = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], said
    assert Counter((a.number, a.text) for a in scripts.carrier.accepts()) == dict.fromkeys(
        ((number, text) for number in PEOPLE for text in ("Hello World", "Good evening")), 1
    )
    wire = ledger.judge(ledger.accepts(scripts.folder / "test.db-paceline" / "wire.jsonl"))
    assert max(wire.busiest.values()) <= 20


def test_a_script_without_what_it_needs_is_told_so(scripts: Scripts) -> None:
    """Each a sentence with what to do, and no secret in it."""
    for script, why in (
        ("BatchSMS('test.db', 'nosuch://KEY:not-a-secret@')", "No provider is called 'nosuch'"),
        ("BatchSMS('test.db', 'vonage://KEY@')", "The provider cannot be set up"),
        ("import os; del os.environ['PACELINE_PROVIDER']; BatchSMS('test.db')", "or set PACELINE_PROVIDER to it"),
        ("BatchSMS()", "Which database?"),
        ("BatchSMS(':memory:')", "give a file, such as test.db"),
        ("BatchSMS('oracle2://user:not-a-secret@host/name')", "The database URL is not understood"),
        ("BatchSMS('test.db'); BatchSMS('other.db')", "One process works with one database and one provider"),
        ("BatchSMS('test.db').send_to_subscription(7, 'Hi')", "There is no list 7"),
        (
            "c = BatchSMS('test.db'); c.send_to_subscription(c.create_subscription_list('x'), 'Hi')",
            "There is no sender",
        ),
        ("BatchSMS('test.db').remove_from_number('+12025550199')", "is not one of our senders"),
    ):
        process = scripts.start(f"from paceline.batch import BatchSMS; {script}")
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 1
        assert why in complaints.splitlines()[-1]
        assert "not-a-secret" not in complaints.splitlines()[-1]


def test_a_provider_in_any_form_will_do(scripts: Scripts) -> None:
    """An object, the settings' form, a URL, a path: each takes its text."""
    script = """
from paceline.batch import BatchSMS
from paceline.sms.providers.local import File
client = BatchSMS("test.db", SENDER)
client.add_from_number("+12025550100")
client.add_to_number("+12065550123", subs=[client.create_subscription_list("one")])
print(client.send_to_subscription(1, "Hello").accepted)
"""
    for sender in (
        "File(path='texts.jsonl')",
        "{'BACKEND': 'paceline.sms.providers.local.File', 'OPTIONS': {'path': 'texts.jsonl'}}",
        "'file:texts.jsonl'",
        "'paceline.sms.providers.local.Dummy'",
    ):
        assert scripts.run(script.replace("SENDER", sender)) == "1\n"

    assert (scripts.folder / "texts.jsonl").read_text().count("+12065550123") == 3


def test_in_a_project_its_database_and_provider_are_used(scripts: Scripts) -> None:
    """BatchSMS() finds them by DJANGO_SETTINGS_MODULE; the project's migrations are the project's business."""
    (scripts.folder / "project_settings.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from paceline.messaging import databases\n"
        "INSTALLED_APPS, SECRET_KEY = ['paceline.messaging'], 'only for tests'\n"
        "DATABASES = {'default': databases.from_file(Path('project.db'))}\n"
        "USE_TZ = True\n"
        "PACELINE = {'PROVIDERS': {'default': os.environ['PACELINE_PROVIDER']}, 'DATA_DIR': 'data'}\n"
    )
    said = scripts.run(
        "import os, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'project_settings'\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', verbosity=0)\n"
        + SEND.replace('BatchSMS("test.db", mps=20)', "BatchSMS(mps=20)")
        + "try:\n    BatchSMS('test.db')\nexcept BatchError as error:\n    print(error)\n"
    )

    assert said.splitlines()[0].startswith("Campaign 1 is finished: 70 people, 70 accepted")
    assert "Django is set up already" in said.splitlines()[1]
    assert (scripts.folder / "data" / "wire.jsonl").exists()
    assert not (scripts.folder / "test.db").exists()


def test_the_database_is_readable_by_its_owner_only(scripts: Scripts) -> None:
    """It holds telephone numbers, and so may what lies beside it."""
    scripts.run("from paceline.batch import BatchSMS; BatchSMS('test.db').add_to_number('+12065550123')")

    for path in scripts.folder.glob("test.db*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_dashboards_commands_work_on_the_scripts_database(scripts: Scripts) -> None:
    """As the page has it: DATABASE_URL and PACELINE_DATA_DIR; the campaign is there."""
    scripts.run(SEND)
    done = subprocess.run(
        [sys.executable, "-m", "paceline", "campaign", "show"],
        cwd=scripts.folder,
        env=scripts.environment()
        | {"DATABASE_URL": f"sqlite:///{scripts.folder}/test.db", "PACELINE_DATA_DIR": "test.db-paceline"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "70/70" in done.stdout, done.stderr


def test_a_postgresql_url_will_do(scripts: Scripts) -> None:
    """The same script with another first argument; killed and resumed too."""
    server = os.environ.get("PACELINE_TEST_POSTGRES_URL", "")
    need(server, "PostgreSQL (PACELINE_TEST_POSTGRES_URL)")
    import psycopg

    name = f"paceline_batch_{os.getpid()}"
    url = f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            scripts.stopped_in_the_middle(signal.SIGKILL, SEND.replace("test.db", url))
            _, ended, _, _, *unsure = scripts.run(RESUME.replace("test.db", url)).split()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    reached = scripts.times_reached()
    assert ended == "finished"
    assert max(reached.values()) == 1
    assert reached.keys() | set(unsure) == set(PEOPLE)
    assert list((scripts.folder / ".paceline").glob("*/wire.jsonl"))
