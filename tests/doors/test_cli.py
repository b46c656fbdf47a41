"""The command line, with right and with wrong input: one answer, or one sentence that says what, why and what next."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from paceline.messaging import accounts, campaigns, contacts, lanes, rules, senders, sheets, suppressions
from paceline.messaging.models import Account, Campaign, Contact, ContactList, Sender, Suppression, TextMessage
from paceline.project.cli import COMMANDS, HIDDEN, main
from paceline.sandbox.behaviour import Behaviour
from tests.conftest import need
from tests.installation import Installation, environment, until

SENDER, STRANGER = "+12025550100", "+12025550199"
ADA, BOB, STOPPED = "+12065550123", "+12065550124", "+12065550125"
PEOPLE = f"Mobile,First name\n{ADA},Ada\n{BOB},\n"
CREATE = ["campaign", "create", "x", "--list", "people"]
MESSY = "Full name,Mobile\nAda,+1 206 555 0123\nAgain,206-555-0123\nCy,12\nDi,4.477E+11\nEve,call me\nFay,\n"


def paceline(*arguments: str, stdin: str | bytes | None = None, **environment: str) -> Result:
    """`paceline ARGUMENTS` in this process."""
    return CliRunner().invoke(main, list(arguments), input=stdin, env=environment)


def assert_one_sentence(done: Result | subprocess.CompletedProcess[str], words: str) -> None:
    """Nothing on stdout, one sentence on stderr that has all of `words`, and no traceback."""
    (sentence,) = done.stderr.splitlines()

    assert done.stdout == ""
    assert sentence.startswith("Error: ")
    for word in words.split(" … "):
        assert word in sentence


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test stands in a folder of its own with files of every kind, and leaves the process as it was."""
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    for name, content in {
        "people.csv": PEOPLE.encode(),
        "messy.csv": MESSY.encode(),
        "no-phone.csv": b"name,city\nAda,Rome\nBob,Oslo\n",
        "header.csv": b"phone,name\n",
        "nobody.csv": b"phone\n12\ncall me\n",
        "quote.csv": f'phone,name\n{ADA},"Ada\n{BOB},Bob\n'.encode(),
        "empty.csv": b"",
        "book.xlsx": b"PK\x03\x04" + bytes(range(256)),
        "noise.bin": bytes(range(256)) * 4,
        "latin.txt": "Grüße".encode("latin-1"),
        "stopped.txt": f"{ADA[1:]}\n{BOB}\n".encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a-folder").mkdir()
    yield tmp_path
    os.umask(before)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "stdin", "value"),
    [
        (["Hi"], None, ("GSM-7", 1, 2, [2], [])),
        (["Don’t 😀"], None, ("UCS-2", 1, 8, [8], [["’", 3], ["😀", 6]])),
        (["Don’t", "--smart"], None, ("GSM-7", 1, 5, [5], [])),
        (["a" * 161], None, ("GSM-7", 2, 161, [153, 8], [])),
        (["-"], "é€\n", ("GSM-7", 1, 3, [3], [])),
        ([], "\ufeffHi\r\n", ("GSM-7", 1, 2, [2], [])),
        ([""], None, ("GSM-7", 0, 0, [], [])),
    ],
)
def test_segments_answers_with_exactly_these_keys(arguments: list[str], stdin: str | None, value: Any) -> None:
    """The text comes as an argument or on stdin; the newline that a shell adds does not count."""
    done = paceline("segments", "--json", *arguments, stdin=stdin)

    keys = ("encoding", "count", "units", "units_per_segment", "offenders")
    assert json.loads(done.stdout) == dict(zip(keys, value, strict=True))
    assert (done.exit_code, done.stderr) == (0, "")


def test_contacts_check_answers_with_exactly_these_keys() -> None:
    """Every row with its line, its verdict and its number; the reasons are for people."""
    done = paceline("contacts", "check", "messy.csv", "--region", "US", "--json")

    assert json.loads(done.stdout) == {
        "rows": 6,
        "ready": 1,
        "duplicate": 1,
        "invalid": 4,
        "verdicts": [
            [2, "ready", ADA],
            [3, "duplicate", ADA],
            *([line, "invalid", None] for line in (4, 5, 6, 7)),
        ],
    }
    told = paceline("contacts", "check", "messy.csv").stdout
    assert "line 5: '4.477E+11': A spreadsheet has rounded this number" in told
    assert "6 rows: 1 ready, 1 duplicate, 4 invalid" in told


def test_segments_and_check_wait_for_no_django() -> None:
    """They need no installation, make none, and start in a fraction of what Django takes."""
    script = (
        "import sys\nfrom paceline.project.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\nprint('django' in sys.modules)"
    )
    for arguments in (["segments", "Hi", "--json"], ["contacts", "check", "messy.csv", "--json"], ["campaign", "-h"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "False", arguments
    assert not Path(".paceline").exists()


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that a person is shown, with the words that lead to it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


def test_help_is_whole_and_every_answer_can_be_json() -> None:
    """No first sentence is cut off in a list of commands; what runs until it is stopped has no answer."""
    for group in ([], ["contacts"], ["sender"], ["campaign"], ["optout"], ["uncertain"], ["key"]):
        done = paceline(*group, "--help")
        assert done.exit_code == 0
        assert "..." not in done.stdout.partition("Commands:")[2]
    with_json = {path for path, command in leaves(main) if any(option.name == "as_json" for option in command.params)}

    assert {path for path, _ in leaves(main)} - with_json == {("up",), ("sandbox",)}
    assert {path[0] for path in with_json} == set(COMMANDS) - HIDDEN - {"up", "sandbox"}


def test_the_sandbox_shows_its_own_flags() -> None:
    """Whatever follows goes to the carrier's own command line."""
    done = paceline("sandbox", "--help")

    assert done.exit_code == 0
    assert all(flag in done.stdout for flag in ("--port", "--latency", "--stop-number", "--signature-secret"))


# --- wrong input, no installation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("situation", "arguments", "words"),
    [
        ("no such command", "nope", "No such command 'nope' … paceline --help"),
        ("no such subcommand", "campaign nope", "paceline campaign --help"),
        ("no such option", "segments --nope", "'--nope' … paceline segments --help"),
        ("too many words", "segments two words", "unexpected extra argument (words)"),
        ("argument left out", "contacts check", "Missing argument 'FILE'"),
        ("bytes on stdin", "segments -", "not UTF-8 (byte 3)"),
        ("no such file", "contacts check missing.csv", "There is no file missing.csv in /"),
        ("no such file elsewhere", "contacts check /missing.csv", "There is no file /missing.csv"),
        ("a folder", "contacts check a-folder", "a-folder is a folder; name a file in it"),
        ("a pipe", "contacts check /dev/null", "not a plain file; save what it gives"),
        ("a workbook", "contacts check book.xlsx", "book.xlsx: … Excel … save it as CSV"),
        ("a binary file", "contacts check noise.bin", "not a text file … save it as CSV"),
        ("an empty file", "contacts check empty.csv", "empty.csv: … is empty"),
        ("no column of numbers", "contacts check no-phone.csv", "Its columns are: name, city … --column"),
        ("no such column", "contacts check people.csv --column Fax", "no column “Fax” … Mobile, First name … --column"),
        ("a quote left open", "contacts check quote.csv", "quote … opened on line 2"),
        ("no such country", "contacts check people.csv --region XX", "'XX' is not the code of a country … US or GB"),
        ("import of no file", "contacts import missing.csv", "There is no file missing.csv"),
        ("import of a workbook", "contacts import book.xlsx", "save it as CSV"),
        ("import of a header", "contacts import header.csv", "no rows below its header; nothing was imported"),
        ("a list without a name", "contacts import people.csv --list=", "'--list': it is empty"),
        ("a long list name", f"contacts import people.csv --list {'x' * 121}", "121 characters; at most 120"),
        ("rejects on the sheet", "contacts import people.csv --rejects people.csv", "exists and is no list of rejects"),
        ("rejects over a file", "contacts import people.csv --rejects noise.bin", "exists and is no list of rejects"),
        ("rejects nowhere", "contacts import people.csv --rejects no/x.csv", "no folder no for the rejects; make it"),
        ("rate of nothing", f"sender add {SENDER} --mps 0", "'--mps' … not in the range … paceline sender add --help"),
        ("negative rate", f"sender add {SENDER} --mps=-1", "'--mps' … not in the range"),
        ("rate in words", f"sender add {SENDER} --mps fast", "'fast' is not a number"),
        ("rate of nan", f"sender limit {SENDER} nan", "'nan' is not a number"),
        ("cap of nothing", f"sender add {SENDER} --daily-cap 0", "'--daily-cap' … not in the range"),
        ("cap beyond integers", f"sender add {SENDER} --daily-cap 99999999999", "more than 2147483647"),
        ("empty tranches", "campaign create x --list people --text Hi --batch-size 0", "'--batch-size'"),
        ("negative delay", "campaign create x --list people --text Hi --delay-period=-1", "'--delay-period'"),
        ("no list named", "campaign create x --text Hi", "Missing option '--list'"),
        ("no file of text", "campaign create x --list people --text-file no.txt", "There is no file no.txt"),
        ("a campaign without a name", "campaign create  --list people --text Hi", "'NAME': it is empty"),
        ("a long key name", f"key create {'x' * 81}", "81 characters; at most 80"),
        ("no time to wait", f"send {ADA} Hi --timeout=-1", "'--timeout' … not in the range"),
        ("text of broken bytes", f"send {ADA} \udce9", "not UTF-8"),
        ("a demo of no sheet", "demo --file book.xlsx", "save it as CSV"),
        ("a demo on no port", "demo --port 70000", "'--port' … not in the range"),
    ],
)  # fmt: skip
def test_wrong_usage_is_seen_before_anything_is_done(situation: str, arguments: str, words: str) -> None:
    """Exit code 2; neither an installation nor anything else has been made, and no file was touched."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    done = paceline(*arguments.split(" "), stdin=b"ab\xe9")

    assert done.exit_code == 2, done.output
    assert_one_sentence(done, words)
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    assert not Path(".paceline").exists()


# --- wrong input, on an installation ----------------------------------------------------------------------------------


@pytest.fixture
def place(db: None) -> Campaign:
    """One sender, a list of two of whom one has no first name, a number that must not be texted; a campaign runs."""
    senders.add(accounts.get(), SENDER, mps=5, daily_cap=100)
    contacts.add(sheets.open_sheet(Path("people.csv"), region="US"), contacts.get_list("people"))
    suppressions.add(STOPPED)
    audience = ContactList.objects.get()
    for _ in range(2):
        campaigns.create("twin", "Hi", list=audience)
    campaigns.create("draft", "Hi {{ first_name }}", list=audience)
    campaigns.launch(campaigns.create("running", "Hi", list=audience))
    return Campaign.objects.get(name="running")


def rows() -> dict[str, int]:
    """How many rows each table has."""
    tables = (Account, Sender, Contact, ContactList, Campaign, Suppression, TextMessage)
    return {table.__name__: table.objects.count() for table in tables}


@pytest.mark.parametrize(
    ("situation", "arguments", "code", "words"),
    [
        ("letters in a number", ["optout", "add", "+1 206 call me"], 2, "is no number to text … letters"),
        ("a short number", ["optout", "add", "12"], 2, "'12' is no number to text … too few digits"),
        ("a spreadsheet's number", ["send", "4.477E+11", "Hi"], 2, "A spreadsheet has rounded … export it again"),
        ("another country's number", ["send", "020 7946 0018", "Hi", "--region", "US"], 2, "is no number to text"),
        ("nothing to lift", ["optout", "remove", ADA], 2, f"{ADA} is not suppressed; paceline optout list"),
        ("no such scope", ["optout", "add", ADA, "--scope", "us"], 2, "'us' is no scope: write all, sender:NUMBER or"),
        ("a scope of no list", ["optout", "add", ADA, "--scope", "list:x"], 2, "There is no list 'x'"),
        ("a scope of symbols", ["optout", "add", ADA, "--scope", "sender:!"], 2, "'!' is no sender"),
        ("nothing to confirm", ["optout", "confirm", ADA], 2, "does not wait for a review; paceline optout review"),
        ("an erasure unasked", ["optout", "erase", ADA], 3, "Nothing was erased. To do this, say --yes too"),
        ("a sender of symbols", ["sender", "add", "ACME!"], 2, "'ACME!' is no sender … letters, digits"),
        ("a sender of twelve", ["sender", "add", "TWELVELETTER"], 2, "up to 11 letters"),
        ("a sender without a number", ["sender", "add", ""], 2, "'' is no sender"),
        ("no such account", ["sender", "add", STRANGER, "--account", "x"], 2, "alias 'x' (aliases: default)"),
        ("removal of a stranger", ["sender", "remove", STRANGER], 2, f"paceline sender add {STRANGER}"),
        ("limit of a stranger", ["sender", "limit", STRANGER, "5"], 2, f"not one of our senders ({SENDER})"),
        ("text from a stranger", ["send", ADA, "Hi", "--from", STRANGER], 2, f"paceline sender add {STRANGER}"),
        ("nothing to say", ["send", ADA, " "], 2, "The text is empty; write something"),
        ("somebody who said STOP", ["send", STOPPED, "Hi"], 3, "suppressed; nothing was sent (paceline optout list"),
        ("the same for a script", ["send", STOPPED, "Hi", "--json"], 3, "suppressed; nothing was sent"),
        ("no such key", ["key", "revoke", "nope"], 2, "no open key of that ID; paceline key list"),
        ("nobody in the sheet", ["contacts", "import", "nobody.csv"], 1, "0 ready … Nobody was imported … --region"),
        ("a campaign for no list", ["campaign", "create", "x", "--list", "no", "--text", "Hi"], 2,
         "no list 'no' (lists: people) … paceline contacts import FILE --list NAME"),
        ("a campaign from a stranger", [*CREATE, "--text", "Hi", "--from", STRANGER], 2,
         f"paceline sender add {STRANGER}"),
        ("no text", CREATE, 2, "--text or with --text-file"),
        ("two texts", [*CREATE, "--text", "a", "--text-file", "people.csv"], 2, "one of them"),
        ("a blank text", [*CREATE, "--text", " "], 2, "The text is empty"),
        ("a text in Latin-1", [*CREATE, "--text-file", "latin.txt"], 2, "not a text in UTF-8"),
        ("an attribute", [*CREATE, "--text", "{{ x.__class__ }}"], 2,
         "At character 1 … is not a field … Write {{ name }}"),
        ("a tag", [*CREATE, "--text", "Hi {% if x %}"], 2, "At character 4 … tags do not work"),
        ("an open brace", [*CREATE, "--text", "Hi {{ name"], 2, "never closed"),
        ("a date in words", [*CREATE, "--text", "Hi", "--at", "soon"], 2, "2026-12-01T09:00+00:00"),
        ("a date without a zone", [*CREATE, "--text", "Hi", "--at", "2099-01-01T09:00"], 2,
         "no date with a zone"),
        ("a date that is past", [*CREATE, "--text", "Hi", "--at", "2020-01-01T09:00+00:00"], 2,
         "is past; give a later moment"),
        ("a field that one lacks", ["campaign", "launch", "draft"], 3, 'no "first_name" … it stays a draft'),
        ("a second launch", ["campaign", "launch", "running", "--yes"], 1, "is running; only a draft"),
        ("pause of a draft", ["campaign", "pause", "draft"], 1, "is draft; only a running"),
        ("resume of what runs", ["campaign", "resume", "running"], 1, "only a paused"),
        ("a look at a draft", ["campaign", "watch", "draft"], 1, "launch it: paceline campaign launch"),
        ("a pace without a change", ["campaign", "pace", "running"], 2, "--batch-size, --delay-period"),
        ("no such campaign", ["campaign", "show", "99"], 2, "no campaign '99'; paceline campaign show lists them"),
        ("a number that is too long", ["campaign", "pause", "9" * 40], 2, "There is no campaign"),
        ("a digit that is no number", ["campaign", "cancel", "²"], 2, "There is no campaign '²'"),
        ("a name of two campaigns", ["campaign", "launch", "twin"], 2, "More than one campaign … give the number"),
        ("a link to nowhere", ["login-link", "--url", "sms.example.org"], 2, "begins with https://"),
        ("a link for nobody", ["login-link", "--user", " "], 2, "'--user': it is empty"),
    ],
)  # fmt: skip
def test_wrong_input_changes_nothing(
    place: Campaign, situation: str, arguments: list[str], code: int, words: str
) -> None:
    """One sentence on stderr, with --json too; a fitting exit code; not one row more or less."""
    before = rows()
    done = paceline(*arguments)

    assert done.exit_code == code, done.output
    assert_one_sentence(done, words)
    assert rows() == before


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["doctor"], "about well words fix"),
        (["login-link"], "user url"),
        (["contacts", "import", "messy.csv"], "rows ready duplicate invalid new known reasons list"),
        (["sender", "add", STRANGER], "number account mps daily_cap blocked removed"),
        (["sender", "limit", SENDER, "7"], "number account mps daily_cap blocked removed"),
        (["sender", "list"], "number account mps daily_cap blocked removed contacts"),
        (["sender", "remove", SENDER], "number contacts_moved"),
        (["optout", "add", BOB], "number scope added"),
        (["optout", "list"], "number scope reason evidence needs_review created_at"),
        (["optout", "show", STOPPED], "number suppressed in_force history"),
        (["optout", "remove", STOPPED], "number scope removed left"),
        (["optout", "import", "stopped.txt"], "numbers added known invalid scope"),
        (["optout", "export", "out.csv"], "numbers erased file"),
        (["optout", "erase", STOPPED, "--yes"], "messages webhooks contact"),
        (["optout", "rehash"], "moved"),
        (["key", "create", "CI"], "id name key"),
        (["campaign", "create", "new", "--list", "people", "--text", "Hi"], "id name state problems"),
        (["campaign", "show"], "id name state total counts"),
        (["campaign", "pause", "running"], "id name state"),
        (["campaign", "pace", "running", "--batch-size", "5"], "id name state"),
        (["campaign", "cancel", "running"], "id name state"),
    ],
)
def test_every_answer_is_one_json_value(place: Campaign, arguments: list[str], keys: str) -> None:
    """On stdout, and nothing else there or on stderr."""
    done = paceline(*arguments, "--json")
    value = json.loads(done.stdout)

    assert set(keys.split()) <= set(value[0] if isinstance(value, list) else value)
    assert done.stderr == ""


def test_a_campaign_that_cannot_be_launched_is_kept_as_a_draft(place: Campaign) -> None:
    """Exit code 3, and the sentence says where the draft is."""
    done = paceline("campaign", "create", "new", "--list", "people", "--text", "Hi {{ first_name }}", "--launch")
    kept = Campaign.objects.get(name="new")

    assert done.exit_code == 3
    assert_one_sentence(done, f'no "first_name" … the draft is kept: paceline campaign launch {kept.pk}')
    assert kept.state == "draft"


def test_what_is_not_named_stays_as_it_is(place: Campaign) -> None:
    """A sender keeps its rate and its cap, a campaign its tranches, unless the command says otherwise."""
    lanes.block(Sender.objects.get(), "unknown to the provider")
    paceline("sender", "add", SENDER)
    sender = Sender.objects.get()
    assert (sender.mps, sender.daily_cap, sender.blocked) == (5, 100, "")

    paceline("sender", "add", SENDER, "--daily-cap", "none")
    sender.refresh_from_db()
    assert (sender.mps, sender.daily_cap) == (5, None)

    for arguments, wanted in (
        (["--batch-size", "3", "--delay-period", "60"], (3, 60)),
        (["--batch-size", "4"], (4, 60)),
        (["--delay-period", "5"], (4, 5)),
        (["--batch-size", "all"], (None, 5)),
    ):
        assert paceline("campaign", "pace", "running", *arguments).exit_code == 0
        place.refresh_from_db()
        assert (place.batch_size, place.delay_period) == wanted


@pytest.mark.django_db
def test_without_a_sender_nothing_is_made() -> None:
    """Not even the contact of the number that was to be texted."""
    done = paceline("send", ADA, "Hi")

    assert done.exit_code == 2
    assert_one_sentence(done, "There is no sender … paceline sender add NUMBER")
    assert not Contact.objects.exists()


def test_a_blocked_sender_takes_no_text(place: Campaign) -> None:
    """It would wait for a person in the outbox; so it is refused, with what to do."""
    lanes.block(Sender.objects.get(), "the provider does not know it")
    done = paceline("send", ADA, "Hi")

    assert done.exit_code == 1
    assert_one_sentence(done, "Nothing was sent … the provider does not know it … paceline doctor --unblock")
    assert not TextMessage.objects.exists()


def test_rejects_can_be_mended_and_imported(place: Campaign) -> None:
    """They keep all their columns; what a spreadsheet would run as a formula is quoted, a number is not."""
    Path("new.csv").write_text(f"phone,Full name\n{STRANGER},Zoe\n12,=cmd|x\n,+Cy\n+1 (202) 555-0199,Zoe again\n")
    first = paceline("contacts", "import", "new.csv", "--list", "new", "--rejects", "rejects.csv")
    lines = Path("rejects.csv").read_text(encoding="utf-8-sig").splitlines()

    assert "3 rows that were not taken are in rejects.csv" in first.stdout
    assert lines[0] == "line,verdict,why it was not taken,phone,Full name"
    assert [line.split(",")[0] for line in lines[1:]] == ["3", "4", "5"]
    assert [line.split(",")[-2:] for line in lines[1:]] == [
        ["12", "'=cmd|x"],
        ["", "'+Cy"],
        ["+1 (202) 555-0199", "Zoe again"],
    ]

    Path("rejects.csv").write_text("\n".join(lines[:2]).replace(",12,", f",{BOB},"), encoding="utf-8")
    mended = paceline("contacts", "import", "rejects.csv", "--list", "new", "--json")
    assert json.loads(mended.stdout)["ready"] == 1
    assert ContactList.objects.get(name="new").memberships.count() == 2


# --- doctor -----------------------------------------------------------------------------------------------------------


def findings(*arguments: str) -> tuple[int, dict[str, tuple[bool, str, str]]]:
    """What the doctor says: (exit code, {about: (well, words, fix)})."""
    done = paceline("doctor", "--json", *arguments)
    return done.exit_code, {
        each["about"]: (each["well"], each["words"], each["fix"]) for each in json.loads(done.stdout)
    }


@pytest.mark.django_db
def test_the_doctor_of_an_empty_installation_asks_for_a_sender() -> None:
    """All else is well there."""
    code, found = findings()

    assert code == 1
    assert [about for about, (well, *_) in found.items() if not well] == ["senders"]
    assert found["senders"][2] == "paceline sender add +12025550100 --mps 1"


@pytest.mark.django_db
def test_the_doctor_opens_what_was_blocked() -> None:
    """Exit code 1 with what blocks and what to do; 0 once a person has mended it and said so."""
    sender, _ = senders.add(accounts.get(), SENDER)
    assert findings()[0] == 0

    lanes.block(sender, "not registered")
    lanes.block(sender.account, "no credit")
    code, found = findings()
    assert code == 1
    assert found[f"sender {SENDER}"] == (
        False,
        "is blocked: not registered",
        "mend it, then: paceline doctor --unblock",
    )
    assert found["provider default"][:2] == (False, "is blocked: no credit")

    code, found = findings("--unblock")
    assert code == 0
    assert found["unblocked"][1] == f"default, {SENDER}"
    assert findings("--unblock")[1]["unblocked"][1] == "nothing was blocked"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("situation", "setting", "about", "words", "fix"),
    [
        ("no provider", {"PROVIDERS": {}}, "provider", "none is configured", "PACELINE_PROVIDERS"),
        ("a provider's typing mistake", {"PROVIDERS": {"default": {"BACKEND": "no.such.Class"}}}, "provider default",
         "No provider class at 'no.such.Class'", "docs/settings.md"),
        ("half of its secrets",
         {"PROVIDERS": {"default": {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": {"api_key": "a"}}}},
         "provider default", "set api_key and api_secret", "docs/settings.md"),
        ("no secret for its webhooks", {"PROVIDERS": {"default": "twilio://AC1:@?api_key=SK1&api_secret=s"}},
         "webhooks of default", "no reports, no replies, no STOP", "set Twilio's option auth_token"),
        ("office hours that are none", {"OFFICE_HOURS": "always", "OFFICE_CLOSED_TEXT": "Later"},
         "PACELINE_OFFICE_HOURS",
         "'always' are no office hours", "set PACELINE_OFFICE_HOURS to: Mon-Fri 9-17 America/New_York"),
        ("office hours without a text", {"OFFICE_HOURS": "Mon-Fri 9-17"}, "PACELINE_OFFICE_CLOSED_TEXT",
         "OFFICE_HOURS answers nobody", "set PACELINE_OFFICE_CLOSED_TEXT to: We are back at 9."),
        ("a webhook secret that is short", {"WEBHOOK_SECRET": "whsec_YQ=="}, "PACELINE_WEBHOOK_SECRET",
         "random bytes", "openssl rand -base64 32"),
        ("a public address without its scheme", {"WEBHOOK_URL": "sms.example.org/webhooks"}, "PACELINE_PUBLIC_URL",
         "no address that a provider could call", "set PACELINE_PUBLIC_URL to: https://sms.example.org"),
        ("no country", {"REGION": "XX"}, "region", "'XX' is no country", "PACELINE_REGION"),
        ("a sender of an account that is gone",
         {"PROVIDERS": {"new": {"BACKEND": "paceline.sms.providers.local.Dummy"}}},
         f"sender {SENDER}", "its provider default is not in the settings", f"paceline sender remove {SENDER}"),
    ],
)  # fmt: skip
def test_the_doctor_finds_a_wrong_setting(
    settings: Any, situation: str, setting: dict[str, Any], about: str, words: str, fix: str
) -> None:
    """And says which variable mends it."""
    senders.add(accounts.get(), SENDER)
    settings.PACELINE = {**settings.PACELINE, **setting}
    accounts.provider.cache_clear()
    try:
        code, found = findings()
    finally:
        accounts.provider.cache_clear()

    assert code == 1
    assert words in found[about][1]
    assert fix in found[about][2]


@pytest.mark.django_db
def test_the_doctor_looks_at_rules_as_things_stand_now(settings: Any) -> None:
    """A phone that has become a sender of ours, a webhook whose secret is gone: said with the rule and what to do."""
    senders.add(accounts.get(), SENDER)
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 5}
    rules.add("To my phone", "any", "", [{"do": "forward", "to": "+12025550177"}])
    rules.add("Tell", "exact", "tell", [{"do": "webhook", "url": "https://www.example.org/told"}])
    code, found = findings()
    assert (code, found["keyword rules"][1]) == (0, "2 in force")

    senders.add(accounts.get(), "+12025550177")
    settings.PACELINE = settings.PACELINE | {"WEBHOOK_SECRET": ""}
    code, found = findings()

    assert code == 1
    assert "+12025550177 is one of our own senders" in found["rule To my phone"][1]
    assert found["rule To my phone"][2] == "write it anew, or: paceline keywords disable 'To my phone'"
    assert "PACELINE_WEBHOOK_SECRET" in found["rule Tell"][1]


@pytest.mark.django_db
def test_the_doctor_asks_the_mail_server_where_a_rule_needs_it(settings: Any) -> None:
    """One that does not answer, and a sender whom no mail server believes."""
    senders.add(accounts.get(), SENDER)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    settings.DEFAULT_FROM_EMAIL = "paceline@localhost"
    assert findings()[0] == 0

    rules.add("To the office", "any", "", [{"do": "forward", "to": "office@example.org"}])
    code, found = findings()

    assert code == 1
    assert "smtp+tls://user:password@smtp.example.org:587" in found["PACELINE_EMAIL_URL"][2]
    assert "paceline@localhost is nobody" in found["PACELINE_EMAIL_FROM"][1]


@pytest.mark.django_db
def test_the_doctor_looks_at_the_line_and_the_team_of_a_campaign() -> None:
    """What an admin or a program has written past the command; of a campaign that has ended nobody asks."""
    senders.add(accounts.get(), SENDER)
    wrong = {"text": "Hi", "replies_per_hour": 12, "office_hours": "9 to 5"}
    campaign = Campaign.objects.create(name="Breakfast", state="running", **wrong)
    Campaign.objects.create(name="Supper", state="finished", **wrong)

    code, found = findings()

    assert code == 1 and "reply pace of Supper" not in found
    assert "'9 to 5' are no office hours" in found["reply pace of Breakfast"][1]
    assert found["reply pace of Breakfast"][2].startswith(f"paceline campaign pace {campaign.pk} --line 60")


# --- processes of their own -------------------------------------------------------------------------------------------


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`paceline ARGUMENTS` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "paceline", *arguments],
        env=environment() | changes,
        capture_output=True,
        text=True,
        timeout=60,
    )


PROVIDER = '{"default": {"BACKEND": "%s", "OPTIONS": {}}}'


@pytest.mark.parametrize(
    ("situation", "variables", "words"),
    [
        ("a file that is no database", {"DATABASE_URL": "sqlite:///noise.bin"},
         "noise.bin … not a database … DATABASE_URL"),
        ("a folder that is not there", {"DATABASE_URL": "sqlite:////no/where.db"}, "unable to open … DATABASE_URL"),
        ("a server that does not answer", {"DATABASE_URL": "postgres://u:s3cr3t@127.0.0.1:1/x"},
         "x at 127.0.0.1, port 1 … DATABASE_URL"),
        ("a database of no kind", {"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ("a data folder that is a file", {"PACELINE_DATA_DIR": "noise.bin"},
         "noise.bin cannot be used … PACELINE_DATA_DIR"),
        ("a data folder in a file", {"PACELINE_DATA_DIR": "noise.bin/x"}, "cannot be used … PACELINE_DATA_DIR"),
        ("providers that are no JSON", {"PACELINE_PROVIDERS": "{nope"}, "PACELINE_PROVIDERS"),
        ("providers of a wrong shape", {"PACELINE_PROVIDERS": '"vonage"'}, "PACELINE_PROVIDERS"),
        ("no such log level", {"PACELINE_LOG_LEVEL": "LOUD"}, "PACELINE_LOG_LEVEL"),
        ("a key without its secret", {"VONAGE_API_KEY": "abcd1234"}, "set api_key and api_secret"),
        ("no such provider class", {"PACELINE_PROVIDERS": PROVIDER % "no.Such"}, "'no.Such' … package.module.Class"),
        ("providers, but none", {"PACELINE_PROVIDERS": "{}"}, "no provider to send through … PACELINE_PROVIDERS"),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_a_start(situation: str, variables: dict[str, str], words: str) -> None:
    """`paceline up` starts nothing; the sentence names the variable or the cause and tells no password."""
    if variables.get("DATABASE_URL", "").startswith("postgres"):
        need(find_spec("psycopg"), "psycopg")
    done = run("up", **variables)

    assert done.returncode == 1
    assert_one_sentence(done, words)
    assert "s3cr3t" not in done.stderr


def test_a_taken_port_stops_a_start() -> None:
    """Nobody else's server is talked to."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = run("up", "--port", port)

    assert done.returncode == 1
    assert_one_sentence(done, f"Port {port} is taken … --port")
    assert not Path(".paceline/web.log").exists()


def test_an_address_of_another_machine_stops_a_start() -> None:
    """Before any process runs."""
    done = run("up", "--host", "192.0.2.1")

    assert done.returncode == 2
    assert_one_sentence(done, "192.0.2.1 is no address of this machine … --host")


def test_the_first_commands_may_come_together() -> None:
    """Four at once in an empty folder: one secret, one set of tables, four senders; nobody else may read any of it."""
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "paceline", "sender", "add", f"+1202555010{last}"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for last in range(4)
    ]
    told = [command.communicate(timeout=60)[0] for command in commands]
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path(".paceline").iterdir() if path.is_file()}

    assert [command.returncode for command in commands] == [0] * 4, told
    assert len(json.loads(run("sender", "list", "--json").stdout)) == 4
    assert files["secrets.env"] == files["paceline.sqlite3"] == 0o600
    assert all(mode == 0o600 for mode in files.values())
    assert stat.S_IMODE(Path(".paceline").stat().st_mode) == 0o700


def test_a_text_by_the_console_leaves_stdout_to_the_answer() -> None:
    """The provider of a new user prints the text; a script still reads one JSON value."""
    run("sender", "add", SENDER)
    sent = run("send", ADA, "Hi", "--json")

    assert json.loads(sent.stdout)["status"] == "accepted"
    assert "| Hi" in sent.stderr


def test_a_text_without_an_answer_in_time_is_not_called_a_failure() -> None:
    """Whoever called it failed might send it again; it is in the outbox and leaves once."""
    run("sender", "add", SENDER)
    with sqlite3.connect(".paceline/paceline.sqlite3") as database:
        database.execute("UPDATE paceline_account SET backoff_until = ?", [time.time() + 600])
    waiting = run("send", ADA, "Hi", "--timeout", "0.5", "--json")

    assert waiting.returncode == 0
    assert json.loads(waiting.stdout)["status"] == "queued"
    assert "do not send it again" in waiting.stderr


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`paceline ARGUMENTS` as a person runs it, all its streams on a terminal; and the person's end of that."""
    try:
        ours, theirs = pty.openpty()
    except OSError:
        need(None, "a pseudo-terminal")
        raise
    command = [sys.executable, "-m", "paceline", *arguments]
    changes = {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, env=environment() | changes, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read(ours: int, until: str = "", seconds: float = 30) -> str:
    """What the terminal shows until these words, else to its end."""
    shown, give_up_at = b"", time.monotonic() + seconds
    while time.monotonic() < give_up_at and not (until and until in shown.decode(errors="replace")):
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    return shown.decode(errors="replace")


def test_on_a_terminal_a_launch_asks_and_a_watch_can_be_left() -> None:
    """It says to how many, how long and how fast; no is no. Ctrl-C leaves the watching, not the campaign."""
    run("sender", "add", SENDER, "--mps", "2")
    run("contacts", "import", "people.csv")
    run("campaign", "create", "spring", "--list", "people", "--text", "Hi")
    with terminal("campaign", "launch", "spring") as (process, ours):
        asked = read(ours, "[y/N]")
        os.write(ours, b"n\n")
        answer = read(ours)
        assert process.wait(30) == 1
    assert "goes to 2 contacts (0 more are suppressed), 1 segment each, from 1 sender: at most 2 a second" in asked
    assert "it stays a draft" in answer

    run("campaign", "launch", "spring")
    with terminal("campaign", "watch", "spring") as (process, ours):
        shown = read(ours, "0/2")
        process.send_signal(signal.SIGINT)
        shown += read(ours)
        assert process.wait(30) == 0
    assert "running" in shown
    assert "the campaign goes on. Pause it: paceline campaign pause 1" in shown
    assert json.loads(run("campaign", "show", "1", "--json").stdout)["state"] == "running"


def test_an_import_shows_its_rate_on_a_terminal_only() -> None:
    """With the time that is left; a log gets the result alone."""
    with Path("many.csv").open("w") as file:
        file.write("phone\n")
        file.writelines(f"+1206{2_000_000 + n}\n" for n in range(20_000))
    with terminal("contacts", "import", "many.csv") as (process, ours):
        shown = read(ours)
        assert process.wait(60) == 0
    again = run("contacts", "import", "many.csv")

    assert re.search(r"[\d,]+/20,001 .*[\d,]+ rows/s", shown)
    assert re.search(r"rows/s +ETA \d+ s", shown)
    assert again.stderr == ""
    assert "0 new contacts and 20000 known ones" in again.stdout


def test_an_interrupted_import_goes_on_and_doubles_nobody() -> None:
    """Ctrl-C leaves whole chunks and says how many rows are in; the same command takes the rest."""
    with Path("many.csv").open("w") as file:
        file.write("phone\n")
        file.writelines(f"+1206{2_000_000 + n}\n" for n in range(20_000))
    run("sender", "add", SENDER)
    command = [sys.executable, "-m", "paceline", "contacts", "import", "many.csv"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    database = sqlite3.connect(".paceline/paceline.sqlite3")

    def members() -> int:
        return int(database.execute("SELECT count(*) FROM paceline_membership").fetchone()[0])

    until(lambda: members() > 0, 30)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    taken = members()
    again = run("contacts", "import", "many.csv")

    assert process.returncode == 130
    assert 0 < taken < 20_000
    assert f"The {taken} ready rows up to line {taken + 1} were put on the list 'many'" in told
    assert "goes on and doubles nobody" in told
    assert f"{20_000 - taken} new contacts and {taken} known ones" in again.stdout
    assert members() == 20_000


def test_a_sheet_that_breaks_in_the_middle_keeps_what_was_taken() -> None:
    """Whole chunks are in; the sentence says up to which line, and mended it goes on."""
    lines = [f"+1206{2_000_000 + n},Ada" for n in range(1_000)]
    Path("broken.csv").write_text("\n".join(["phone,name", *lines[:700], '+12065550123,"Bob', *lines[700:]]))
    done = run("contacts", "import", "broken.csv", "--list", "broken")
    Path("broken.csv").write_text("\n".join(["phone,name", *lines]))
    again = run("contacts", "import", "broken.csv", "--list", "broken")

    assert done.returncode == 2
    assert_one_sentence(done, "opened on line 702 … The 500 ready rows up to line 501 … when the file is mended")
    assert "500 new contacts and 500 known ones" in again.stdout


def test_no_log_holds_a_number(tmp_path: Path) -> None:
    """At the default level: neither what commands say besides their answers nor the processes' logs name a person."""
    behaviour = Behaviour(report_delay=0.1, reply_delay=0.1, stop_numbers=(ADA,), refused_numbers=(BOB,))
    place = Installation(tmp_path, behaviour)
    place.cli("sender", "add", SENDER, "--mps", "20")
    commands = [place.run("contacts", "import", "people.csv", "--list", "people")]
    create = ["campaign", "create", "spring", "--list", "people", "--text", "Hi"]
    commands.append(place.run(*create, "--launch"))
    with place.carrier, place.up():
        commands.append(place.run("campaign", "watch", "spring"))
        until(lambda: place.cli("optout", "list"), 20)
        commands.append(place.run("doctor"))
    logs = {path.name: path.read_text() for path in tmp_path.glob("*.log")}
    said = [done.stderr for done in commands] + [commands[-1].stdout, *logs.values()]

    assert set(logs) == {"web.log", "dispatcher.log"}
    assert not [text for text in said if ADA[1:] in text or BOB[1:] in text]
