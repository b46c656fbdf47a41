"""Is this database the one that sends, or an older or second copy of it? A copy sends nothing until a person confirms.

Each dispatcher that starts raises the database's epoch, and keeps it in its data folder too. A folder, or a process,
that has seen a later epoch than the database has, looks at an older copy: what is queued there may have been sent
since. A name (`PACELINE["INSTANCE"]`) that is not the database's own is a clone's. While that stands nothing is
claimed by anybody; reports are still taken in, and texts may be queued.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from paceline.sms.errors import AccountProblem
from paceline.sms.messages import new_reference
from paceline.sms.status import Status

from . import campaigns, engine, signals, suppressions
from .models import Campaign, Installation, TextMessage

log = logging.getLogger("paceline.installation")

EPOCH_FILE = "epoch.json"
OWNER_FILE = "dispatcher.id"
ONE = 1
LOOK_UPS_NONE = 1000
"""As many look-ups as rows have that nobody may ask about: their reference is not the one that was sent."""

NEXT = "`paceline confirm` shows what would happen and asks"
MAY_HAVE_LEFT = "the database is a copy: it may have been sent since the copy was made"

WRONG_KEY = "its opt-outs were made with another key: `paceline doctor` says what to do"

_seen: dict[str, int] = {}
"""{database: the latest epoch that this process has seen}"""


def name() -> str:
    """What this process calls the installation that it belongs to; "" when nobody has said."""
    return str(getattr(settings, "PACELINE", {}).get("INSTANCE") or "")


# --- may anything be sent? ------------------------------------------------------------------------------------


def guard() -> str:
    """Why nothing may be sent from this database by this process; "" when all is well. Reads one row.

    A name that is not the database's concerns this process alone: a worker with a wrong setting stops nobody else.
    """
    found = engine.read_rows(Installation, ("database", "name", "epoch", "stopped"), f"id = {ONE}")
    if not found:
        return WRONG_KEY if suppressions.is_key_wrong() else ""
    ((database, known_as, epoch, stopped),) = found
    if not stopped and epoch < _seen.get(database, 0):
        stopped = _stop("an older copy of the database was put in its place while this process ran")
    if stopped:
        return stopped
    _remember(database, epoch)
    if suppressions.is_key_wrong():
        return WRONG_KEY
    ours = name()
    if known_as and known_as != ours:
        said = f"is {ours}" if ours else "has none"
        return f"the database belongs to the installation {known_as}, and PACELINE_INSTANCE {said} here"
    if ours and not known_as:
        Installation.objects.filter(pk=ONE, name="").update(name=ours)
    return ""


def require() -> None:
    """Raises `AccountProblem` when nothing may be sent."""
    if why := guard():
        raise AccountProblem(f"Nothing is sent: {why}. {NEXT}"[:200], code="stopped")


def stop(why: str) -> None:
    """From now on nobody sends, until a person confirms."""
    with engine.write():
        _row()
        _stop(why)


def _stop(why: str) -> str:
    if Installation.objects.filter(pk=ONE, stopped="").update(stopped=why, stopped_at=timezone.now()):
        log.error("Nothing is sent any more: %s. %s", why, NEXT)
    return why


def _row() -> Installation:
    """The one row, locked."""
    Installation.objects.get_or_create(pk=ONE)
    return engine.locked(Installation.objects.filter(pk=ONE)).get()


# --- a dispatcher starts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a data folder remembers of the database that it worked with last."""

    database: str
    epoch: int


def begin(folder: Path | None) -> str:
    """Raises the epoch for a dispatcher that starts, and keeps it in its data folder; answers what `guard` says.

    The database first, the folder after it: killed in between, the folder is behind, which means nothing. A folder
    that knows no epoch, or that of another database, takes this one: a further machine, or a new database.
    """
    with engine.write():
        row = _row()
        kept = _read(folder)
        older = kept is not None and kept.database == row.database and kept.epoch > row.epoch
        if older:
            _stop("the data folder has worked with a later state of this database: an older copy was restored")
        elif not row.stopped:
            row.epoch = _later(row.epoch)
            row.save(update_fields=["epoch"])
    if not older and not row.stopped:
        _keep(folder, _Kept(row.database, row.epoch))
        _remember(row.database, row.epoch)
    if why := guard():
        log.error("Nothing is sent: %s. %s", why, NEXT)
        return why
    return ""


def _remember(database: str, epoch: int) -> None:
    if not connection.in_atomic_block:  # what may be rolled back has not been
        _seen[database] = epoch


def _later(epoch: int) -> int:
    """An epoch is the second of a start: later than any that a lost future of this database can have had."""
    return max(epoch + 1, int(engine.now()))


def _read(folder: Path | None) -> _Kept | None:
    try:
        kept = json.loads((folder / EPOCH_FILE).read_text()) if folder else None
        return kept and _Kept(str(kept["database"]), int(kept["epoch"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # atomically written: what is broken is not ours
        return None


def _keep(folder: Path | None, kept: _Kept) -> None:
    if folder is not None:
        write_whole(folder / EPOCH_FILE, json.dumps({"database": kept.database, "epoch": kept.epoch}))


def write_whole(path: Path, text: str) -> None:
    """Writes a small file so that it is there whole or as before, whatever dies; on the disk when this returns."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` last, as fsync does for what is in a file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def owner(folder: Path) -> str:
    """How the attempts of dispatchers on this data folder begin: eight hex digits of its own, made once, and a dash."""
    path = folder / OWNER_FILE
    try:
        known = path.read_text().strip()
    except FileNotFoundError:
        known = ""
    if not re.fullmatch(r"[0-9a-f]{8}", known):
        known = new_reference()[:8]
        write_whole(path, known + "\n")
    return known + "-"


# --- a person confirms ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a copy holds that could have been sent since it was made, and what neither choice touches."""

    why: str  # "" when nothing stands in the way of sending
    since: str  # when the newest row of the copy was written, ISO; "" when it has none
    next_to_leave: int  # queued, leased or on the wire
    not_released: int  # of campaigns that were under way, or were to have started by now
    campaigns: int
    later: int  # queued for a later moment: these cannot have left
    drafts: int  # somebody may have launched them since


def prospect() -> Prospect:
    """What `hold` and `resume` would be about."""
    newest = TextMessage.objects.order_by("-pk").values_list("created_on", flat=True).first()
    now = engine.now()
    return Prospect(
        why=guard(),
        since=newest.isoformat(timespec="seconds") if newest else "",
        next_to_leave=_next_to_leave(now).count(),
        not_released=TextMessage.objects.filter(campaign__in=_under_way(), status=Status.HELD).count(),
        campaigns=_under_way().count(),
        later=TextMessage.objects.filter(status=Status.QUEUED, not_before__gt=now).count(),
        drafts=Campaign.objects.filter(state=Campaign.State.DRAFT).count(),
    )


def resume(folder: Path | None) -> None:
    """This copy is the truth: what is queued is sent, by the installation that this process belongs to.

    For a database that was moved, or restored with nothing sent since. What was sent since leaves a second time.
    """
    with engine.write():
        row = _row()
        row.stopped, row.stopped_at, row.name = "", None, name()
        row.epoch = _later(row.epoch)
        row.save()
    _remember(row.database, row.epoch)
    _keep(folder, _Kept(row.database, row.epoch))


def hold(folder: Path | None) -> int:
    """Opens the database, yet sends nothing of what could have left since the copy: that is `uncertain` now.

    So it is treated as any text is of which nobody knows whether the provider has it: a report with its reference
    settles it, a look-up may, and what remains is listed and resent by people (`paceline uncertain`). Campaigns under
    way, and those whose hour has passed, are paused: resumed, they send what people have resent, and nothing twice.
    What is queued for a later moment, later campaigns and drafts stay as they are. Answers how many are uncertain.

    May be killed and repeated; the database opens with the last step.
    """
    with engine.write():
        now = engine.now()
        ids = list(_under_way().values_list("pk", flat=True))
        Campaign.objects.filter(pk__in=ids).update(state=Campaign.State.PAUSED)
        Campaign.objects.filter(pk__in=ids, started_at=None).update(started_at=timezone.now())
    count = 0
    for campaign in Campaign.objects.filter(pk__in=ids).order_by("pk"):
        # those who have their row have the reference that was sent; for the rest another one was made then
        count += _doubt(TextMessage.objects.filter(campaign=campaign, status=Status.HELD))
        while campaigns.fan_out(campaign):
            count += _doubt(TextMessage.objects.filter(campaign=campaign, status=Status.HELD), look_ups=LOOK_UPS_NONE)
    count += _doubt(_next_to_leave(now))
    resume(folder)
    return count


def _under_way() -> QuerySet[Campaign]:
    state = Campaign.State
    overdue = Q(state=state.SCHEDULED, scheduled_at__lte=timezone.now())
    return Campaign.objects.filter(Q(state__in=[state.RUNNING, state.PAUSED]) | overdue)


def _next_to_leave(now: float) -> QuerySet[TextMessage]:
    on_its_way = Q(status__in=[Status.LEASED, Status.SUBMITTING]) | Q(status=Status.QUEUED, not_before__lte=now)
    return TextMessage.objects.filter(on_its_way)


def _doubt(found: QuerySet[TextMessage], **also: int) -> int:
    count = 0
    while ids := _first(found):
        with engine.write(), signals.watched(ids):
            count += found.filter(pk__in=ids).update(
                status=Status.UNCERTAIN, lease_until=None, look_up_at=None, reason=MAY_HAVE_LEFT, **also
            )
    return count


def _first(found: QuerySet[TextMessage]) -> Sequence[int]:
    return list(found.order_by("pk").values_list("pk", flat=True)[: engine.CHUNK])
