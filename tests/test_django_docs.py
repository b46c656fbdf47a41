"""Does docs/django.md work as it is written? A new project made of its samples, against a simulated carrier."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paceline.messaging.models import SIMPLE
from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms.status import Status

from .installation import ACCOUNT, environment, until

APPENDED = {"mysite/settings.py", "mysite/urls.py"}


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs/django.md").read_text()


class Project:
    """What `django-admin startproject` makes, and the page's samples in it."""

    def __init__(self, folder: Path, page: str, carrier_url: str) -> None:
        self.folder = folder
        secret = f"signature_secret={ACCOUNT.signature_secret}&base_url={carrier_url}"
        self.environment = environment() | {
            "SMS_URL": f"vonage://{ACCOUNT.api_key}:{ACCOUNT.api_secret}@?{secret}",
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PYTHONPATH": str(folder),
        }
        self.run("-m", "django", "startproject", "mysite", ".", DJANGO_SETTINGS_MODULE="")
        (folder / "shop").mkdir()
        (folder / "shop/__init__.py").touch()
        for path, code in re.findall(r"^```python\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
            with (folder / path).open("a" if path in APPENDED else "w") as file:
                file.write(code)

    def run(self, *arguments: str, **changes: str) -> str:
        """`python ARGUMENTS`, which must succeed; what it says."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={k: v for k, v in (self.environment | changes).items() if v},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sample(self, name: str, after: str = "") -> str:
        """A sample run in the project's shell, with its receivers connected."""
        start = "import django; django.setup(); import shop.receivers; "
        return self.run("-c", f"{start}import shop.{name}; {after}")

    def statuses(self) -> list[str]:
        script = "import django; django.setup(); from paceline.messaging import TextMessage as T; "
        return self.run("-c", f"{script}print(*T.objects.order_by('pk').values_list('status', flat=True))").split()


@pytest.fixture
def place(tmp_path: Path, page: str) -> Iterator[tuple[Project, Running, str]]:
    folder = tmp_path / "mysite"
    folder.mkdir()
    url = f"http://127.0.0.1:{supervisor.port(0)}"
    with Running(
        Behaviour(report_delay=0.1),
        ledger=tmp_path / "carrier.jsonl",
        wire=ACCOUNT,
        status_url=f"{url}/webhooks/default/status",
        inbound_url=f"{url}/webhooks/default/inbound",
    ) as carrier:
        yield Project(folder, page, carrier.url), carrier, url


@pytest.mark.slow
def test_from_install_to_reports_and_tests(place: tuple[Project, Running, str]) -> None:
    """Migrated and clean by `check`; sent, queued, dispatched, reported without a dispatcher; its tests pass."""
    project, carrier, url = place
    project.run("manage.py", "migrate", "-v", "0")
    assert "no issues" in project.run("manage.py", "check")

    server = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", url.removeprefix("http://")],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = project.sample("now")
        assert said.splitlines()[0].startswith("sent +12125550123 ")
        assert said.splitlines()[1].endswith(" None")
        assert project.sample("loud") == "None became refused invalid_number " + said_of_short() + "\n" + LOUD
        until(lambda: project.statuses() == ["delivered", "refused"], 20)
    finally:
        server.terminate()
        server.wait(20)

    project.sample("later")
    assert project.statuses()[2:] == ["queued", "queued"]
    project.run("manage.py", "dispatch", "--until-idle", "--for", "20")
    assert project.statuses()[2:] == ["accepted", "queued"]
    assert [accept.text for accept in carrier.accepts()] == [
        "Please remember to pick up the bread",
        "We have your booking",
    ]
    tests = project.run("-m", "pytest", "-q", "-p", "paceline.pytest_plugin", "-p", "no:cacheprovider", "shop/tests.py")
    assert "2 passed" in tests


LOUD = "did not leave: invalid_number\n"


def said_of_short() -> str:
    from paceline.sms.errors import InvalidNumber
    from paceline.sms.numbers import normalize

    try:
        normalize("+1212555")
    except InvalidNumber as error:
        return f"to is not a number: {error}"
    raise AssertionError


def test_every_status_has_its_simple_word(page: str) -> None:
    """The table is the mapping."""
    table = page.partition("| `simple_status` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", table, re.MULTILINE)
    shown = {Status(word): simple for simple, words in rows for word in re.findall(r"`(\w+)`", words)}

    assert shown == SIMPLE == {status: SIMPLE[status] for status in Status}


def test_every_check_is_in_the_list(page: str, root: Path) -> None:
    """Each id of the source, and no other."""
    source = (root / "src/paceline/messaging/checks.py").read_text()

    assert set(re.findall(r'id="(paceline\.\w\d+)"', source)) == set(re.findall(r"^\| `(paceline\.\w+)`", page, re.M))


def test_signatures_are_those_of_the_functions(page: str) -> None:
    """Every parameter that is shown exists, and the other way round."""
    import inspect

    from paceline.messaging import queue_text, send_text

    for function in (send_text, queue_text):
        shown = re.search(rf"`{function.__name__}\((text, frm, to[^`]*)\)`", page)
        assert shown is not None
        names = [part.partition("=")[0].strip() for part in shown[1].replace("\n", " ").split(",")]
        assert [name for name in names if name != "*"] == list(inspect.signature(function).parameters)
