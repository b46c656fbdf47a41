"""`paceline optout`: what the people who answer for it can see, and take in and out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from django.conf import settings

from paceline.messaging import contacts, suppressions
from paceline.messaging.models import Event, LedgerEntry, Suppression, TextMessage
from paceline.project.cli import common, main
from paceline.sms.keywords import Keyword

pytestmark = pytest.mark.django_db

ADA, BOB, CY = "+12065550111", "+12065550112", "+12065550113"
SENDER = "+12025550100"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the test's own database as the installation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "django", lambda: settings.PACELINE)
    return tmp_path


def paceline(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def test_when_how_and_by_whom() -> None:
    """`show` has what is in force and all that has happened, the scopes as they are typed."""
    contacts.get_list("guests")
    paceline("optout", "add", ADA, "--scope", "list:guests", "--evidence", "asked at the door")
    paceline("optout", "add", ADA, "--scope", f"sender:{SENDER}")
    removed = paceline("optout", "remove", ADA, "--scope", "list:guests", "--evidence", "asked by mail", "--json")
    shown = json.loads(paceline("optout", "show", ADA, "--json").stdout)

    assert json.loads(removed.stdout)["left"] == [f"sender:{SENDER}"]
    assert [entry["scope"] for entry in shown["in_force"]] == [f"sender:{SENDER}"]
    assert [(line["what"], line["scope"], line["evidence"]) for line in shown["history"]] == [
        ("added", "list:guests", "asked at the door"),
        ("added", f"sender:{SENDER}", "added by hand"),
        ("lifted", "list:guests", "asked by mail"),
    ]
    assert "asked at the door" in paceline("optout", "show", ADA).stdout
    assert f"{BOB} may be texted" in paceline("optout", "show", BOB).stdout


def test_a_list_is_narrowed_to_a_scope() -> None:
    """Only what holds for that sender."""
    paceline("optout", "add", ADA)
    paceline("optout", "add", BOB, "--scope", f"sender:{SENDER}")

    lines = paceline("optout", "list", "--scope", f"sender:{SENDER}").stdout.splitlines()

    assert [line.split()[0] for line in lines] == [BOB]


def test_what_is_doubtful_is_confirmed_or_removed() -> None:
    """`review` shows the words; afterwards nobody waits."""
    for who in (ADA, BOB):
        message = TextMessage(frm=who, to=SENDER, text="not today maybe")
        suppressions.heed(message, SimpleNamespace(intent=Keyword.STOP, certainty="doubtful"))
    waiting = paceline("optout", "review").stdout
    assert ADA in waiting and BOB in waiting and "to be reviewed: replied 'not today maybe'" in waiting

    assert paceline("optout", "confirm", ADA, "--evidence", "read by Operator").exit_code == 0
    assert paceline("optout", "remove", BOB).exit_code == 0

    assert json.loads(paceline("optout", "review", "--json").stdout) == []
    assert [entry["number"] for entry in json.loads(paceline("optout", "list", "--json").stdout)] == [ADA]


def test_a_providers_list_is_taken_in_whole(here: Path) -> None:
    """With or without a plus, of any country; what is no number is said, and the others are forbidden all the same."""
    rows = ["Number,Date", f"{ADA},2026-11-20", f"{BOB[1:]},2026-11-21", "447400123456,2026-11-22", "none,2026-11-23"]
    (here / "list.csv").write_text("\n".join(rows))

    done = paceline("optout", "import", "list.csv")

    assert done.exit_code == 1
    assert "line 5: 'none' is no number" in done.stdout and "1 rows of list.csv have no number" in done.stderr
    assert suppressions.among([ADA, BOB, "+447400123456", CY]) == {ADA, BOB, "+447400123456"}
    assert set(Suppression.objects.values_list("reason", "evidence")) == {("provider", "imported from list.csv")}


def test_what_goes_out_comes_in(here: Path) -> None:
    """An exported file, in either form, is an import for another installation; who was erased is only counted."""
    for who in (ADA, BOB, CY):
        paceline("optout", "add", who)
    paceline("optout", "erase", CY, "--yes")
    paceline("optout", "export", "out.csv")
    paceline("optout", "export", "out.txt", "--digits")

    assert (here / "out.csv").read_text() == f"phone_number\n{ADA}\n{BOB}\n"
    assert (here / "out.txt").read_text() == f"{ADA[1:]}\n{BOB[1:]}\n"
    assert (here / "out.csv").stat().st_mode & 0o077 == 0
    Suppression.objects.all().delete()
    for name in ("out.csv", "out.txt"):
        value = json.loads(paceline("optout", "import", name, "--json").stdout)
        assert (value["numbers"], value["invalid"]) == (2, 0)
    assert suppressions.among([ADA, BOB, CY]) == {ADA, BOB}


def test_an_erased_person_is_seen_as_such() -> None:
    """No number, no words; and asked for by their number, they are found."""
    paceline("optout", "add", ADA, "--evidence", f"{ADA} asked by mail")

    assert "They will not be texted" in paceline("optout", "erase", ADA, "--yes").stdout
    assert "(erased)" in paceline("optout", "list").stdout
    assert json.loads(paceline("optout", "show", ADA, "--json").stdout)["suppressed"] is True
    assert not LedgerEntry.objects.exclude(number="", evidence="").exists()


def test_an_erasure_that_is_not_whole_says_so() -> None:
    """A webhook that cannot be parted yet: exit 1, what stays, why, until when, and the command. Then it is whole."""
    event = Event.objects.create(account="gone", dedupe_key="x", body=ADA.encode(), next_try_at=10**12)

    done = paceline("optout", "erase", ADA, "--yes", "--json")

    assert (done.exit_code, json.loads(done.stdout)["pending"]) == (1, 1)
    assert f"1 webhooks that name {ADA} are still there" in done.stderr and "within 72 hours" in done.stderr
    assert f"paceline optout erase {ADA} --yes" in done.stderr
    Event.objects.filter(pk=event.pk).update(next_try_at=None)
    assert paceline("optout", "erase", ADA, "--yes").exit_code == 0


def test_a_wrong_key_is_said_by_every_command(settings) -> None:
    """With what to do; a rehash takes the new one."""
    paceline("optout", "add", ADA)
    settings.PACELINE = settings.PACELINE | {"OPTOUT_KEY": "another key, long enough"}

    for arguments in (["show", ADA], ["remove", ADA], ["erase", ADA, "--yes"]):
        done = paceline("optout", *arguments)
        assert done.exit_code == 1 and "PACELINE_OPTOUT_KEY" in done.stderr and "optout rehash" in done.stderr
    assert "1 opt-outs are found" in paceline("optout", "rehash").stdout
    assert suppressions.among([ADA]) == {ADA}
