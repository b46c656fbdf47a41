"""Is this installation fit to send? One finding per question, each with what to do about it."""

from __future__ import annotations

import shlex
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils import timezone

from paceline.dispatcher import embedded
from paceline.messaging import (
    accounts,
    automatic,
    breaker,
    checks,
    conversations,
    engine,
    installation,
    lanes,
    reconcile,
    replies,
    rules,
    secrets,
    senders,
    suppressions,
    twoway,
)
from paceline.messaging.models import Account, Campaign, Event, KeywordRule, Sender, Suppression, TextMessage
from paceline.sms import numbers
from paceline.sms.keywords import Keyword
from paceline.sms.providers import Provider, local
from paceline.sms.status import Status

DISK_LEAST = 200 * 2**20
CLOCK_MOST_SECONDS = 0.5
ENDED = (Campaign.State.FINISHED, Campaign.State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question. `fix` is the next command or setting; empty when all is well."""

    about: str
    well: bool
    words: str
    fix: str = ""


def findings(data_dir: Path) -> Iterator[Finding]:
    """Looks at everything; a question that cannot be answered is a finding too."""
    questions: list[Callable[[Path], Iterator[Finding]]] = [
        _installation,
        _folder,
        _database,
        _clock,
        _region,
        _providers,
        _senders,
        _dispatcher,
        _messages,
        _optouts,
        _two_way,
        _rules,
        _mail,
        _reply_pace,
    ]
    for question in questions:
        try:
            yield from question(data_dir)
        except Exception as error:
            words = f"could not be looked at: {type(error).__name__} {error}".strip()
            yield Finding(question.__name__.strip("_"), False, words, "see docs/settings.md")


def unblock() -> Iterator[Finding]:
    """Opens every blocked account and sender again; a person has mended what blocked them."""
    blocked = [
        *Account.objects.exclude(blocked="").values_list("alias", flat=True),
        *Sender.objects.exclude(blocked="").values_list("number", flat=True),
    ]
    for account in Account.objects.all():
        lanes.unblock(account)
        breaker.reset(account)
    yield Finding("unblocked", True, ", ".join(blocked) or "nothing was blocked")


def _installation(data_dir: Path) -> Iterator[Finding]:
    why = installation.guard()
    words = f"nothing is sent: {why}" if why else "this database may send"
    yield Finding("installation", not why, words, "paceline confirm" if why else "")


def _folder(data_dir: Path) -> Iterator[Finding]:
    files = [path for path in (data_dir / secrets.FILE, *data_dir.glob("*.sqlite3*")) if path.exists()]
    # in a folder that only this user may enter, nobody else reads a file either
    private = not stat.S_IMODE(data_dir.stat().st_mode) & 0o011
    readable = [path for path in files if not private and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if readable:
        names = " ".join(str(path) for path in readable)
        yield Finding("secrets", False, f"can be read by other users: {names}", f"chmod 600 {names}")
    else:
        yield Finding("secrets", True, "and telephone numbers are readable by this user only")
    free = shutil.disk_usage(data_dir).free
    fix = "" if free > DISK_LEAST else "free some space: with a full disk nothing is sent"
    yield Finding("disk", not fix, f"{free // 2**20} MB free at {data_dir}", fix)


def _database(data_dir: Path) -> Iterator[Finding]:
    if connection.vendor != "sqlite":
        engine.now()
        yield Finding("database", True, f"{connection.vendor} answers")
        return
    with connection.cursor() as cursor:
        journal, synchronous = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        )
    well = journal == "wal" and synchronous == 2
    fix = "" if well else "use the settings that come with Paceline, on a local disk"
    yield Finding("database", well, f"sqlite, journal {journal}, synchronous {synchronous} (2 is FULL)", fix)


def _clock(data_dir: Path) -> Iterator[Finding]:
    apart = abs(engine.now() - time.time())
    fix = "" if apart < CLOCK_MOST_SECONDS else "run a time service (chrony, systemd-timesyncd) on both machines"
    yield Finding("clock", not fix, f"{apart:.3f} s from the database's", fix)


def _region(data_dir: Path) -> Iterator[Finding]:
    region = settings.PACELINE["REGION"]
    well = region.upper() in numbers.regions()
    words = f"{region} is that of numbers without a country code" if well else f"{region!r} is no country"
    yield Finding("region", well, words, "" if well else "set PACELINE_REGION to two letters such as US or GB")


def _providers(data_dir: Path) -> Iterator[Finding]:
    if not accounts.configured():
        yield Finding("provider", False, "none is configured", "set PACELINE_PROVIDERS; see docs/settings.md")
    for alias in accounts.configured():
        yield from _provider(alias)
    for account in Account.objects.exclude(blocked=""):
        yield Finding(
            f"provider {account.alias}",
            False,
            f"is blocked: {account.blocked}",
            "mend it, then: paceline doctor --unblock",
        )
    for account in Account.objects.filter(blocked="", trouble_streak__gte=breaker.TRIP_AFTER):
        fix = "nothing, if the provider is down: it goes on by itself; else see its address and the network"
        yield Finding(f"provider {account.alias}", False, breaker.in_words(account, engine.now()), fix)


def _provider(alias: str) -> Iterator[Finding]:
    about = f"provider {alias}"
    try:
        provider = accounts.provider(alias)
    except ImproperlyConfigured as error:
        yield Finding(about, False, str(error), "see docs/settings.md")
        return
    if not isinstance(provider, Provider):
        yield Finding(about, False, f"{type(provider).__name__} is no provider", "see docs/settings.md")
    elif isinstance(provider, local.Local):
        yield Finding(about, True, f"{provider.name}: a trial, nothing leaves this machine")
    else:
        yield Finding(about, True, provider.name)
        if lacking := checks.lacking_secret(provider):
            why = "every webhook is rejected: no reports, no replies, no STOP"
            yield Finding(f"webhooks of {alias}", False, why, f"{lacking}; docs/providers/{provider.name}.md")


def _senders(data_dir: Path) -> Iterator[Finding]:
    open_ = senders.active()
    yield Finding(
        "senders", bool(open_), f"{len(open_)} can send", "" if open_ else "paceline sender add +12025550100 --mps 1"
    )
    for sender in open_:
        if sender.blocked:
            fix = "mend it, then: paceline doctor --unblock"
            yield Finding(f"sender {sender}", False, f"is blocked: {sender.blocked}", fix)
        if sender.account.alias not in accounts.configured():
            fix = f"add it to PACELINE_PROVIDERS, or: paceline sender remove {sender}"
            yield Finding(f"sender {sender}", False, f"its provider {sender.account} is not in the settings", fix)


def _dispatcher(data_dir: Path) -> Iterator[Finding]:
    try:
        with embedded.only_one(data_dir):
            due = TextMessage.objects.filter(status__in=[Status.HELD, Status.QUEUED])
            waiting = due.exclude(campaign__state=Campaign.State.PAUSED).count()
    except embedded.AlreadyRunning:
        yield Finding("dispatcher", True, "is running")
        return
    if settings.PACELINE_BROKER_URL:
        yield _workers(waiting)
        return
    yield Finding(
        "dispatcher", not waiting, f"is not running; {waiting} messages wait", "paceline up" if waiting else ""
    )


def _workers(waiting: int) -> Finding:
    """With a broker others send, on any machine: they are asked through it."""
    from paceline.project import celery

    fix = "paceline up --workers 2, or the processes of docs/scaling.md"
    try:
        served = celery.served()
    except Exception as error:
        words = f"the broker cannot be reached ({type(error).__name__}); {waiting} messages wait"
        return Finding("workers", False, words, "start it, or mend PACELINE_BROKER_URL")
    lacking = [
        who for who, queue in (("to send", celery.DISPATCH), ("for the chores", celery.CHORES)) if queue not in served
    ]
    if not lacking:
        return Finding("workers", True, "answer")
    words = f"none answers {' and none '.join(lacking)}; {waiting} messages wait"
    return Finding("workers", not waiting, words, fix if waiting else "")


def _messages(data_dir: Path) -> Iterator[Finding]:
    uncertain = reconcile.uncertain().count()
    left = reconcile.left_to_people().count()
    words = "none"
    if uncertain:
        words = f"{uncertain} messages: the provider may or may not have taken them; a late report settles them"
    if left:
        words += f"; {left} of them nobody is asked about any more: paceline uncertain list"
    yield Finding("uncertain", True, words)
    old = timezone.now() - timedelta(minutes=10)
    stuck = Event.objects.filter(next_try_at__isnull=False, received_at__lt=old).count()
    yield Finding(
        "webhooks", True, f"{stuck} reports wait for a message that we do not know" if stuck else "all applied"
    )


VARIABLES = {"WEBHOOK_URL": "PACELINE_PUBLIC_URL"}  # where a key of PACELINE is not its variable without the prefix
RIGHT = {"WEBHOOK_URL": "https://sms.example.org"}


def _two_way(data_dir: Path) -> Iterator[Finding]:
    found = list(twoway.faults())
    for fault in found:
        name = VARIABLES.get(fault.key, f"PACELINE_{fault.key}")
        yield Finding(name, False, fault.wrong, f"set {name} to: {RIGHT.get(fault.key, fault.right)}")
    if found:
        return
    ours = settings.PACELINE
    named = [each for each in ("STOP", "START", "HELP") if automatic.confirmation(Keyword(each.lower()))]
    words = f"{', '.join(named)} confirmed" if named else "STOP, START and HELP are obeyed and not confirmed"
    if hours := ours["OFFICE_HOURS"]:
        words += f"; office hours {hours}, {'closed' if automatic.closed_text(timezone.now()) else 'open'} now"
    yield Finding("automatic answers", True, f"{words}; at most {ours['AUTOMATIC_PER_MINUTE']} a minute")


def _rules(data_dir: Path) -> Iterator[Finding]:
    active = rules.in_force()
    for rule in active:
        if why := rules.fault(rule):
            fix = f"write it anew, or: paceline keywords disable {shlex.quote(rule.name)}"
            yield Finding(f"rule {rule}", False, why, fix)
    yield Finding("keyword rules", True, f"{len(active)} in force")


def _mail(data_dir: Path) -> Iterator[Finding]:
    """Asked only where a rule forwards to an e-mail address."""
    if not any(action.do == "forward" and "@" in action.value for each in rules.in_force() for action in _read(each)):
        return
    if settings.DEFAULT_FROM_EMAIL.endswith("@localhost"):
        said = f"{settings.DEFAULT_FROM_EMAIL} is nobody whom another mail server takes e-mails from"
        yield Finding("PACELINE_EMAIL_FROM", False, said, "set PACELINE_EMAIL_FROM to: texts@example.org, one of yours")
    try:
        with mail.get_connection():
            pass
    except OSError as error:  # smtplib's too
        said = f"the mail server does not let us in ({type(error).__name__}): texts wait to be forwarded"
        fix = "start it, or set PACELINE_EMAIL_URL to: smtp+tls://user:password@smtp.example.org:587"
        yield Finding("PACELINE_EMAIL_URL", False, said, fix)
    else:
        yield Finding("e-mail", True, "the mail server answers")


def _read(rule: KeywordRule) -> list[rules.Action]:
    """Its actions; none of a rule whose fault is said elsewhere."""
    return [] if rules.fault(rule) else rules.actions_of(rule)


def _reply_pace(data_dir: Path) -> Iterator[Finding]:
    aware = [each for each in Campaign.objects.exclude(state__in=ENDED).order_by("pk") if replies.is_aware(each)]
    for campaign in aware:
        try:
            replies.pace(campaign).check()
        except ValueError as error:
            fix = f"paceline campaign pace {campaign.pk} --line 60 --team-size 2 --office-hours 'Mon-Fri 9-17'"
            yield Finding(f"reply pace of {campaign}", False, str(error), fix)
    words = f"{conversations.backlog().total} conversations open"
    yield Finding("inbox", True, words + (f"; {len(aware)} campaigns follow them" if aware else ""))


def _optouts(data_dir: Path) -> Iterator[Finding]:
    if suppressions.is_key_wrong():
        yield Finding("opt-outs", False, "were made with another key: nothing is sent", suppressions.MEND)
        return
    waiting = suppressions.waiting_for_review().count()
    words = f"{Suppression.objects.count()} in force"
    words += f"; {waiting} of doubtful words wait for a person: paceline optout review" if waiting else ""
    yield Finding("opt-outs", True, words)
    if settings.PACELINE["STOP_SCOPE"] not in suppressions.STOP_SCOPES:
        said = f"{settings.PACELINE['STOP_SCOPE']!r} is no scope: every STOP holds everywhere"
        yield Finding("STOP", False, said, "set PACELINE_STOP_SCOPE to all or sender")
