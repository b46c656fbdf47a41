"""How does a call send to a list and come back when it is done? A campaign, a dispatcher beside it, and the news."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import connection
from django.db.models import Max, Min, Q

from paceline.dispatcher import embedded
from paceline.messaging import campaigns, engine, lanes, progress, senders
from paceline.messaging.campaigns import State
from paceline.messaging.models import Account, Campaign, TextMessage
from paceline.sms.status import UNFINISHED, Status

from . import audience
from .values import TAKEN, BatchError, Halted, Interrupted, Payload, Summary, Unfinished

log = logging.getLogger("paceline.batch")

Tell = Callable[[Payload], object]

LOOK_EVERY_SECONDS = 0.1
LOOK_AROUND_EVERY_SECONDS = 1.0
NEWS_OVERLAP_SECONDS = 5.0  # slots are given out ahead, and not gated strictly in order


def launch(list_ids: Sequence[int], text: str, folder: Path, *, associate: bool, exclusive: bool) -> Campaign:
    """A running campaign for everybody on these lists, once each.

    `associate` gives those a sender who have none. `exclusive`: nobody but scripts sends from this database. Raises
    `BatchError` (`Unfinished` beside an earlier send), `CampaignError` or `TemplateError`; then nothing is launched.
    """
    list_ids = list(dict.fromkeys(list_ids))
    named = [audience.get_list(list_id).name for list_id in list_ids]
    if not named:
        raise BatchError("Give the ids of one list or more; client.subscription_lists has those there are")
    if not senders.active():
        raise BatchError("There is no sender; add one with client.add_from_number(NUMBER)")
    _look_for_unfinished(list_ids, text, folder, exclusive)
    to = audience.union_of(list_ids)
    campaign = None
    try:
        if not associate and (lonely := audience.without_sender(to)):
            raise BatchError(f"{lonely} of these people have no sender; give them one with client.associate(to, frm)")
        campaign = campaigns.create(" + ".join(named)[: campaigns.NAME_MOST], text, list=to)
        return campaigns.launch(campaign)
    except BaseException:
        if campaign is not None:
            campaign.delete()
        if len(list_ids) > 1:
            audience.delete_list(to)
        raise


def _look_for_unfinished(list_ids: Sequence[int], text: str, folder: Path, exclusive: bool) -> None:
    """A script that is run again after a kill must not begin again; and its dispatcher would send the old rest too."""
    unfinished = Campaign.objects.filter(state__in=[State.RUNNING, State.PAUSED])
    of_these = Q(list=list_ids[0]) if len(list_ids) == 1 else Q(list__name__startswith=audience.union_prefix(list_ids))
    found = unfinished.filter(of_these, text=text).first()
    if found is None and exclusive and not _is_dispatched(folder):
        found = unfinished.filter(state=State.RUNNING).first()
    if found is not None:
        raise Unfinished(
            found.pk,
            f"Campaign {found.pk} ({found.name}) has not ended, it is {found.state}: client.resume({found.pk}) sends "
            f"to those who wait, client.cancel({found.pk}) ends it",
        )


def _is_dispatched(folder: Path) -> bool:
    try:
        with embedded.only_one(folder):
            return False
    except embedded.AlreadyRunning:
        return True


def get(campaign_id: int) -> Campaign:
    found = Campaign.objects.filter(pk=campaign_id).first()
    if found is None:
        raise BatchError(f"There is no campaign {campaign_id}; client.unfinished has those that have not ended")
    return found


def take_up(campaign: Campaign, folder: Path, *, exclusive: bool) -> None:
    """Sets a campaign running again; whoever calls that has mended what blocked its senders.

    What else a killed script has left running is paused: it would be sent along.
    """
    if campaign.state not in (State.PAUSED, State.RUNNING, State.FINISHED):
        raise BatchError(f"Campaign {campaign.pk} is {campaign.state}; only one that was launched can go on")
    if exclusive and not _is_dispatched(folder):
        for other in Campaign.objects.filter(state=State.RUNNING).exclude(pk=campaign.pk):
            _pause(other)
    for account in Account.objects.filter(senders__messages__campaign=campaign).distinct():
        lanes.unblock(account)
    if campaign.state == State.PAUSED:
        campaigns.resume(campaign)


def cancel(campaign: Campaign) -> None:
    """Ends it. What is on the wire in another process ends there."""
    campaigns.cancel(campaign)
    while campaigns.fan_out(campaign) or campaigns.sweep(campaign):
        pass
    campaigns.finish(campaign)
    audience.drop_union(campaign)


# --- running it -----------------------------------------------------------------------------------------------


def run(campaign: Campaign, folder: Path, callback: Tell | None, on_fail: Tell | None, *, known: bool) -> Summary:
    """Sends until the campaign has ended, telling the news as they come, in this thread.

    `known`: what ended before this call is not news. Raises `Interrupted` after Ctrl-C and `Halted` when nothing can
    leave; then, and after any other exception, the campaign is paused.
    """
    news = News(campaign, callback, on_fail, known=known)
    why = ""
    with _ctrl_c() as ctrl_c, Worker(folder) as worker, _progress_line() as show:
        try:
            look_around_at = 0.0
            while not ctrl_c.pressed and not why and not _has_ended(campaign):
                worker.look()
                news.tell()
                if time.monotonic() >= look_around_at:
                    look_around_at = time.monotonic() + LOOK_AROUND_EVERY_SECONDS
                    why = _what_halts(campaign)
                    show(campaign)
                time.sleep(LOOK_EVERY_SECONDS)
        except BaseException:
            _pause(campaign)
            raise
        if ctrl_c.pressed or why:
            _pause(campaign)
    news.tell(everything=True)
    audience.drop_union(campaign)
    summary = summary_of(campaign)
    if campaign.finished_at is not None:
        return summary
    raise Halted(summary, why) if why else Interrupted(summary)


def _has_ended(campaign: Campaign) -> bool:
    campaign.refresh_from_db()
    return campaign.finished_at is not None


def _pause(campaign: Campaign) -> None:
    """Nothing to do for one that has just ended."""
    try:
        campaigns.pause(campaign)
    except campaigns.CampaignError:
        campaign.refresh_from_db()


def _what_halts(campaign: Campaign) -> str:
    """Why nothing of it can leave until a person acts; "" while anything can."""
    waiting = TextMessage.objects.filter(campaign=campaign, status__in=UNFINISHED)
    on_the_way = Q(status__in=[Status.LEASED, Status.SUBMITTING])
    can_leave = Q(sender__removed_at=None, sender__blocked="", sender__account__blocked="", sender__isnull=False)
    if not waiting.exists() or waiting.filter(on_the_way | can_leave).exists():
        return ""
    shares = progress.of(campaign).senders
    blocked = [f"{share.number} is blocked: {share.blocked.rstrip('.')}" for share in shares if share.blocked]
    return "; ".join(blocked) or "no sender is left"


class CtrlC:
    """Whether Ctrl-C was pressed. (No `threading.Event`: to set one within a signal handler can lock up.)"""

    pressed = False

    def press(self, *_: object) -> None:
        """The first time it is a wish, the second time an order."""
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True


@contextmanager
def _ctrl_c() -> Iterator[CtrlC]:
    """Catches Ctrl-C in the main thread; no other thread ever gets one."""
    ctrl_c = CtrlC()
    if threading.current_thread() is not threading.main_thread():
        yield ctrl_c
        return
    before = signal.signal(signal.SIGINT, ctrl_c.press)
    try:
        yield ctrl_c
    finally:
        signal.signal(signal.SIGINT, before)


class Worker:
    """A dispatcher on a thread of its own, so that a slow callback holds up no slot.

    While another process has the database's lock, that one does the sending; this one is ready to take over.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        """Drains: what is on the wire is waited for, what is only leased goes back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Starts the dispatcher where none runs. Raises what it has died of."""
        if self._thread is not None and self._thread.is_alive():
            return
        error, self._error = self._error, None
        if error is not None:
            raise error
        self._thread = threading.Thread(target=self._run, name="paceline batch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            embedded.run(self._folder, until=self._stop.is_set, patience_seconds=1.0)
        except embedded.AlreadyRunning:
            return
        except BaseException as error:
            self._error = error
        finally:
            connection.close()


@contextmanager
def _progress_line() -> Iterator[Callable[[Campaign], None]]:
    """Gives a function that shows on stderr how far a campaign is, in one line that stays; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda campaign: None
        return

    def show(campaign: Campaign) -> None:
        sys.stderr.write(f"\r\x1b[K{_in_words(campaign)}\r")  # what a callback prints goes over it
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _in_words(campaign: Campaign) -> str:
    now = progress.of(campaign)
    left = "" if now.eta_seconds is None else f"  {progress.in_words(now.eta_seconds)} left"
    brakes = progress.brakes(campaign, now)
    return f"{now.name}  {now.submitted}/{now.total}  {now.rate:.1f}/s{left}{'  ' + brakes[0] if brakes else ''}"


# --- the news -------------------------------------------------------------------------------------------------


class News:
    """Tells once about each message: the callback when the provider took it, `on_fail` for every other end."""

    def __init__(self, campaign: Campaign, callback: Tell | None, on_fail: Tell | None, *, known: bool) -> None:
        self._mine = TextMessage.objects.filter(campaign=campaign)
        self._ended = self._mine.exclude(status__in=UNFINISHED)
        self._callback, self._on_fail = callback, on_fail
        self._told = set(self._ended.values_list("pk", flat=True)) if known and self._is_wanted else set()
        self._since = 0.0

    @property
    def _is_wanted(self) -> bool:
        return self._callback is not None or self._on_fail is not None

    def tell(self, *, everything: bool = False) -> None:
        """What is new since the last time; `everything` looks at each message again."""
        if not self._is_wanted:
            return
        since = self._settled_until()
        recent = Q(submitted_at=None) | Q(submitted_at__gte=self._since)
        found = self._ended if everything else self._ended.filter(recent)
        fresh = [pk for pk in found.order_by("submitted_at", "pk").values_list("pk", flat=True) if pk not in self._told]
        for part in engine.chunks(fresh):
            messages = TextMessage.objects.in_bulk(part)
            for pk in part:
                self._told.add(pk)
                self._tell_one(messages[pk])
        self._since = since

    def _settled_until(self) -> float:
        """Whatever was submitted before this moment (epoch seconds) has its answer."""
        open_since = self._mine.filter(status=Status.SUBMITTING).aggregate(at=Min("submitted_at"))["at"]
        last = open_since or self._mine.aggregate(at=Max("submitted_at"))["at"] or 0.0
        return float(last) - NEWS_OVERLAP_SECONDS

    def _tell_one(self, message: TextMessage) -> None:
        payload = payload_of(message)
        tell = self._callback if payload.status in TAKEN else self._on_fail
        if tell is None:
            return
        try:
            tell(payload)
        except Exception as error:
            # without its words: they may quote a number
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("A callback raised %s; the campaign goes on\n%s", type(error).__name__, frames)


def payload_of(message: TextMessage) -> Payload:
    return Payload(
        number=message.to,
        sender=message.frm,
        text=message.text,
        status=Status(message.status),
        code=message.code,
        reason=message.reason,
        reference=message.reference,
    )


def summary_of(campaign: Campaign) -> Summary:
    """The account of a campaign as its rows have it now."""
    now = progress.of(campaign)
    bad = TextMessage.objects.filter(campaign=campaign).exclude(status__in=[*UNFINISHED, *TAKEN]).order_by("pk")
    payloads = [payload_of(message) for message in bad.iterator()]
    ends = TextMessage.objects.filter(campaign=campaign).aggregate(first=Min("submitted_at"), last=Max("submitted_at"))
    return Summary(
        campaign_id=campaign.pk,
        state=now.state,
        counts=now.counts,
        senders={share.number: share.submitted for share in now.senders if share.submitted},
        failed=[payload for payload in payloads if payload.status is not Status.UNCERTAIN],
        uncertain=[payload for payload in payloads if payload.status is Status.UNCERTAIN],
        seconds=round((ends["last"] or 0.0) - (ends["first"] or 0.0), 1),
    )


def unfinished() -> dict[int, str]:
    """{campaign id: running or paused}"""
    found = Campaign.objects.filter(state__in=[State.RUNNING, State.PAUSED]).order_by("pk")
    return dict(found.values_list("pk", "state"))
