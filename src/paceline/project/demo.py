"""What does the demo do? The main job, whole, against a simulated carrier: a messy sheet becomes a paced campaign.

Everything lies in one folder. Killed at any moment and started again with the same folder, it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import click

from paceline.dispatcher.lock import alone
from paceline.messaging import secrets
from paceline.project import supervisor
from paceline.sandbox import ledger
from paceline.sms.errors import PacelineError

from .cli.common import INSTALLATION_SECRETS, django

MARK = "demo.lock"
LEDGER = "carrier.jsonl"
SECRETS = INSTALLATION_SECRETS | {"VONAGE_API_KEY": 4, "VONAGE_API_SECRET": 16, "VONAGE_SIGNATURE_SECRET": 32}
TEXT = 'Hi {{ full_name|default("there") }}! Doors open at 9, breakfast in Hall B. Reply STOP to opt out.'
SETTLE_SECONDS = 20.0
BEHAVIOUR = {
    "--seed": "7",
    "--latency": "0.03",
    "--report-delay": "0.6",
    "--replies": "0.06",
    "--stops": "0.015",
    "--reply-delay": "1.5",
}


ANSWERING = {"--replies": "0.15", "--reply-delay": "20"}
"""What is different about the carrier's people in the scenario of replies."""

LINE, PER_HOUR = 12, 900.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What to run, and where."""

    folder: Path
    file: Path | None = None
    region: str = "US"
    senders: int = 5
    mps: float = 1.0
    port: int = 8000
    replies: bool = False  # many answer, and a team of one closes what they open

    @property
    def sheet(self) -> Path:
        """The sheet of people: the one given, or the 800 attendees that come with the project."""
        if self.file is not None:
            return self.file.absolute()
        beside = Path(__file__).resolve().parents[3] / "examples" / "attendees.csv"
        return beside if beside.exists() else Path(str(resources.files("paceline.project") / "attendees.csv"))


def run(demo: Demo, fresh: bool, headless: bool, as_json: bool) -> None:
    """Runs the demo until Ctrl-C, or with `headless` to its end and its report."""
    if not demo.sheet.exists():
        raise PacelineError(f"There is no file {demo.sheet}; name a CSV with --file")
    with _the_folder(demo, fresh):
        _run(demo, headless, as_json)


def _run(demo: Demo, headless: bool, as_json: bool) -> None:
    port = supervisor.port(demo.port)
    carrier_port = supervisor.port(0)
    secrets.ensure(demo.folder, SECRETS)
    environment = {
        # kept, so that no command on this folder can reach a real carrier, whether the demo runs or not
        **secrets.keep(demo.folder, {"VONAGE_BASE_URL": f"http://127.0.0.1:{carrier_port}"}),
        "PACELINE_DATA_DIR": str(demo.folder),
        "DATABASE_URL": f"sqlite:///{demo.folder / 'paceline.sqlite3'}",
        "PACELINE_REGION": demo.region,
    }
    for name in [name for name in os.environ if name.startswith(("PACELINE_", "VONAGE_", "DJANGO_"))]:
        del os.environ[name]  # whatever is set up for real sending on this machine is none of the demo's business
    os.environ |= environment
    running = supervisor.Supervisor(demo.folder, environment, patience=4)
    with supervisor.interruptible():
        try:
            running.start("carrier", "sandbox", f"@{_carrier_flags(demo, environment, carrier_port, port)}")
            django()
            running.start("web", "web", "--port", str(port))
            campaign, imported = _prepare(demo)
            running.start("dispatcher", "dispatcher")
            running.wait(lambda: _answers(f"http://127.0.0.1:{carrier_port}/sandbox/health"), 30, "The carrier")
            if headless:
                report = _to_the_end(running, demo, campaign, imported, carrier_port)
                running.stop()
                click.echo(json.dumps(report) if as_json else "\n".join(_in_words(report)))
                return
            running.wait(lambda: _answers(f"http://127.0.0.1:{port}/login/"), 30, "The web server")
            _invite(demo, campaign, port)
            while True:
                running.look()
                time.sleep(_answer_one(campaign) if demo.replies else 0.2)
        except (PacelineError, TimeoutError):
            running.stop()
            raise
        except KeyboardInterrupt:
            running.end_at_once_when_asked_again()
            click.echo("\nDraining: what is on the wire finishes. Ctrl-C again stops at once.", err=True)
            running.stop()
            click.echo("Stopped. The same command goes on where it stood; --fresh begins again.", err=True)
            if headless:
                sys.exit(130)


@contextlib.contextmanager
def _the_folder(demo: Demo, fresh: bool) -> Iterator[None]:
    """The demo's folder, for one demo at a time; emptied first with `fresh`, if it is a demo's."""
    folder = demo.folder
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise PacelineError(f"{folder} is not empty and no demo's folder; choose another with --data-dir")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MARK).touch()
    try:
        with alone(folder / MARK, patience_seconds=5):
            if fresh:
                for path in folder.iterdir():
                    if path.name != MARK:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield
    except BlockingIOError:
        raise PacelineError(
            f"Another demo runs in {folder}; stop it, or choose another folder with --data-dir"
        ) from None


def _carrier_flags(demo: Demo, environment: dict[str, str], carrier_port: int, port: int) -> Path:
    """The carrier's flags in a file, mode 600, because its secrets must not stand in the process list."""
    flags = (
        BEHAVIOUR
        | (ANSWERING if demo.replies else {})
        | {
            "--port": str(carrier_port),
            "--ledger": str(demo.folder / LEDGER),
            "--status-url": f"http://127.0.0.1:{port}/webhooks/default/status",
            "--inbound-url": f"http://127.0.0.1:{port}/webhooks/default/inbound",
            "--api-key": environment["VONAGE_API_KEY"],
            "--api-secret": environment["VONAGE_API_SECRET"],
            "--signature-secret": environment["VONAGE_SIGNATURE_SECRET"],
        }
    )
    path = demo.folder / "carrier.flags"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in flags.items()))
    return path


def _prepare(demo: Demo) -> tuple[Any, Any]:
    """Senders, contacts and the launched campaign; what is there already stays."""
    from paceline.messaging import accounts, campaigns, contacts, replies, senders, sheets
    from paceline.messaging.models import Campaign, Sender

    account = accounts.get()
    wanted = [f"+1202555{100 + n:04d}" for n in range(demo.senders)]
    for number in wanted:
        senders.add(account, number, mps=demo.mps)
    for sender in Sender.objects.filter(removed_at=None).exclude(number__in=wanted):
        senders.remove(sender)
    name = f"{'Replies' if demo.replies else 'Demo'}: {demo.sheet.name}"
    pace = replies.ReplyPace(line=LINE, per_hour=PER_HOUR) if demo.replies else None
    campaign = Campaign.objects.filter(name=name).first()
    audience = contacts.get_list(name)
    if campaign is None:
        contacts.add(sheets.open_sheet(demo.sheet, region=demo.region), audience)
        campaign = campaigns.create(name, TEXT, list=audience, reply_pace=pace)
    if campaign.state == campaigns.State.DRAFT:
        campaigns.launch(campaign)
    if campaign.state == campaigns.State.PAUSED:
        campaigns.resume(campaign)
    return campaign, sheets.check(demo.sheet, demo.region)


def _answer_one(campaign: Any) -> float:
    """The simulated team closes who waits longest; answers the seconds that the next one takes."""
    from paceline.messaging import conversations

    first = conversations.waiting().first()
    if first is None:
        return 0.2
    conversations.close(first, "the team")
    return 3600 / PER_HOUR


def _to_the_end(
    running: supervisor.Supervisor, demo: Demo, campaign: Any, imported: Any, carrier_port: int
) -> dict[str, Any]:
    """Watches until the campaign has finished and the carrier owes nothing; the report."""
    from paceline.messaging import campaigns, progress
    from paceline.messaging.models import Event

    began = time.monotonic()
    with _bar(campaign.name) as show:
        while campaign.state == campaigns.State.RUNNING:
            running.look()
            time.sleep(0.1)
            campaign.refresh_from_db()
            show(progress.of(campaign))
        give_up_at = time.monotonic() + SETTLE_SECONDS
        quiet = 0
        while quiet < 3 and time.monotonic() < give_up_at:
            running.look()
            time.sleep(0.1)
            owed = _state(carrier_port).get("owed", 1)
            waiting = Event.objects.filter(next_try_at__isnull=False).exists()
            quiet = 0 if owed or waiting else quiet + 1
        show(progress.of(campaign))
    campaign.refresh_from_db()
    return _report(demo, campaign, imported, time.monotonic() - began)


def _report(demo: Demo, campaign: Any, imported: Any, watched: float) -> dict[str, Any]:
    """Counts from the rows; accepts, duplicates, senders and the busiest window from the carrier's own log."""
    from paceline.messaging import progress
    from paceline.messaging.models import Suppression, TextMessage

    counts = progress.of(campaign).counts
    ours = set(TextMessage.objects.filter(campaign=campaign).values_list("reference", flat=True))
    judged = ledger.judge(accept for accept in ledger.accepts(demo.folder / LEDGER) if accept.reference in ours)
    seconds = watched
    if campaign.started_at and campaign.finished_at:
        seconds = (campaign.finished_at - campaign.started_at).total_seconds()
    return {
        "rows": imported.rows,
        "ready": imported.ready,
        "duplicate": imported.duplicate,
        "invalid": imported.invalid,
        "recipients": sum(counts.values()),
        "accepted": judged.accepted,
        "delivered": counts.get("delivered", 0),
        "duplicates": judged.duplicates,
        "senders": judged.senders,
        "max_per_sender_per_second": judged.max_per_sender_per_second,
        "opted_out": Suppression.objects.filter(reason=Suppression.Reason.OPT_OUT).count(),
        "uncertain": counts.get("uncertain", 0),
        "seconds": round(seconds, 2),
    }


def _in_words(report: dict[str, Any]) -> list[str]:
    return [
        f"{report['rows']} rows: {report['ready']} ready, {report['duplicate']} duplicate, {report['invalid']} invalid",
        f"{report['accepted']} accepted by the carrier, {report['delivered']} delivered,"
        f" {report['uncertain']} uncertain, {report['duplicates']} sent twice, in {report['seconds']:.1f} s",
        "by sender: "
        + ", ".join(f"{number} {count}" for number, count in sorted(report["senders"].items()))
        + f"; never more than {report['max_per_sender_per_second']} in 0.95 s",
        f"{report['opted_out']} replied STOP and will not be texted again",
    ]


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Any]:
    """A progress bar with rate and ETA on stderr when somebody looks, a line every ten seconds when not."""
    from paceline.project.cli.watching import progress_bar

    with progress_bar(name) as show:
        yield show


def _invite(demo: Demo, campaign: Any, port: int) -> None:
    from paceline.messaging import progress

    from .cli.processes import make_login_link

    link = make_login_link("demo", f"http://127.0.0.1:{port}")
    campaign.refresh_from_db()
    click.echo(
        f"\n  Paceline is running: {progress.of(campaign).total} recipients,"
        f" {demo.senders} senders, {demo.mps:g} messages a second each, a simulated carrier.\n\n"
        f"  Open       {link}\n"
        f"             (logs you in once; a new one: PACELINE_DATA_DIR={demo.folder}"
        f" ./run paceline login-link --user demo --url http://127.0.0.1:{port})\n"
        f"  Look at    the campaign page: pause it, resume it, change its pace, kill -9 any process.\n"
        f"  Data       {demo.folder}\n"
        f"  Stop       Ctrl-C; the same command resumes, --fresh begins again.\n"
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 our own loopback address
            return bool(answer.status == 200)
    except OSError:
        return False


def _state(carrier_port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{carrier_port}/sandbox/state", timeout=1) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError):
        return {}
