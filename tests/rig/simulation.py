"""What becomes of a campaign when everything goes wrong? The real engine over SQLite in memory, on a virtual clock.

`run(seed)` draws an installation and its misfortunes from the seed, lets the real `Dispatcher` loops and the real
verbs work in it, then lets the weather clear up, and asks `verdicts` what was broken. Nothing of the product is
imitated but the sockets, the threads and the clocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import heapq
import importlib
import itertools
import json
import logging
import math
import os
import random
import sys
import time as real_time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import django
from django.conf import settings
from django.db import connections
from django.utils import timezone

EPOCH = datetime(2027, 3, 1, 12, tzinfo=UTC).timestamp()
SUBMIT_LEASE_SECONDS = 4.0
SETTLE_SECONDS = 6.0
CHORES_EVERY_SECONDS = 0.6
CLAIM_EVERY_SECONDS = 0.25
OWNER = "0123abcd-"
CALM_MOST_SECONDS = 180.0  # how long the engine has to settle everything when the weather is fine again
CRASHES_MOST = 8
CLOCK_STEP_SECONDS = (-2.0, -0.3, 0.3, 1.5)
CLOCK_STEPS = 0.15  # the share of worlds whose database's clock is set while they run
HOUR_EVERY = 3  # of so many of those one sets it by an hour, on or back

PROVIDERS: dict[str, Any] = {}


def set_up() -> None:
    """Django with the messaging app and a database in memory; once for a process."""
    if settings.configured:
        return
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "paceline.messaging", "paceline.dispatcher"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {"timeout": 1}},
        },
        PACELINE={"PROVIDERS": PROVIDERS, "SETTLE_SECONDS": SETTLE_SECONDS, "REGION": "US"},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY="only for a simulation",
    )
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # the loop is the thread, and nobody else waits for it
    connections._connections = SimpleNamespace()  # one for all, not one for each task
    django.setup()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None  # the coroutines of the dead are collected while they wait
    warnings.simplefilter("ignore", RuntimeWarning)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    _World.prepare()
    gc.freeze()


class _Time:
    """In place of the module `time` in the product's modules."""

    def time(self) -> float:
        return _now.wall()

    def monotonic(self) -> float:
        return _now.monotonic()

    perf_counter = monotonic

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing in the engine sleeps outside the loop")


class _Now:
    """The world's time; `step` is what the database's clock is wrong by."""

    def __init__(self) -> None:
        self.loop: Any = None
        self.step = 0.0
        self.start = EPOCH

    def monotonic(self) -> float:
        return float(self.loop.time()) if self.loop else 0.0

    def wall(self) -> float:
        return self.start + self.monotonic() + self.step

    def aware(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)


_now = _Now()


@dataclass(frozen=True)
class Finding:
    """A promise that was broken."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


@dataclass
class Result:
    """One seed's run."""

    seed: int
    findings: list[Finding]
    trace: list[str]
    faults: Counter[str]
    submits: int
    recipients: int
    seconds: float

    @property
    def fingerprint(self) -> str:
        """The same for the same run."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]


def run(seed: int) -> Result:
    """One installation's life. The same seed is the same run, in any process."""
    set_up()
    began = real_time.perf_counter()
    world = _World(seed)
    gc.disable()  # what the dead have left must not be tidied up while others live
    try:
        findings = world.live()
    finally:
        gc.enable()
        gc.collect()
    return Result(
        seed=seed,
        findings=findings,
        trace=world.trace,
        faults=world.faults + world.ether.faults,
        submits=len(world.ether.wire),
        recipients=world.recipients,
        seconds=real_time.perf_counter() - began,
    )


def number(i: int) -> str:
    """The i-th number of the range for fiction."""
    return f"+1{(212, 213, 312, 415, 617)[i // 100 % 5]}55501{i % 100:02}"


@dataclass
class Facts:
    """What people did and when it was committed, in the world's true time: what the verdicts are judged by."""

    stops: list[tuple[float, str]] = field(default_factory=list)
    starts: list[tuple[float, str]] = field(default_factory=list)
    held: dict[int, list[tuple[float, str]]] = field(default_factory=dict)  # campaign: (at, state)
    rates: dict[tuple[str, str], list[tuple[float, float | None]]] = field(default_factory=dict)
    units: dict[tuple[str, str], str] = field(default_factory=dict)
    clock_steps: list[float] = field(default_factory=list)
    audience: dict[int, int] = field(default_factory=dict)  # campaign: recipients at its launch


class _World:
    """One seed's installation, its people and its misfortunes."""

    def __init__(self, seed: int) -> None:
        from . import ether, virtual

        self.virtual = virtual
        self.seed = seed
        self.rng = rng = random.Random(f"paceline {seed}")
        self.trace: list[str] = []
        self.faults: Counter[str] = Counter()
        self.facts = Facts()
        self.findings: list[Finding] = []
        self.recipients = 0
        self.stormy = True
        self.over = False
        self.crashes = 0
        self.actions: list[tuple[float, int, Callable[[], None]]] = []
        self.processes: list[Any] = []
        self._ids = itertools.count()

        # the temperament of this world: a fault that is drawn at all is drawn often
        often = lambda share, much: much * rng.random() if rng.random() < share else 0.0  # noqa: E731
        self.is_embedded = rng.random() < 0.3
        self.workers = 1 if self.is_embedded else rng.choice([2, 2, 3])
        self.crash_share, self.stop_share = often(0.7, 0.06), often(0.6, 0.04)
        self.away_share = often(0.2, 0.03)
        self.clumsy = virtual.Clumsiness(
            rng,
            database=rng.choice([0.001, 0.004, 0.01]),
            slow_database=often(0.4, 0.2),
            late_timer=often(0.3, 0.05),
            slow_seconds=rng.choice([0.3, 1.5]),
        )
        self.storm_seconds = rng.uniform(3, 8)
        self.has_caps = rng.random() < 0.1
        lookup = rng.random() < 0.6
        provider = ether.Plain(echo=rng.random() < 0.8, lookup=lookup, proves_absence=lookup and rng.random() < 0.5)
        answers = {
            what: weight if what == "accept" or rng.random() < 0.5 else 0 for what, weight in ether.ANSWERS.items()
        }
        if rng.random() < 0.1:
            answers["401"] = 3
        self.ether = ether.Ether(
            rng,
            provider,
            self._door,
            answers=answers,
            lost_reports=rng.choice([0, 0.05, 0.3]),
            doubled_reports=rng.choice([0, 0.3]),
            early_reports=rng.choice([0, 0.4]),
            note=self.note,
        )

    # --- the frame ------------------------------------------------------------------------------------------------

    @staticmethod
    def prepare() -> None:
        """What is the same for all worlds: the product's clocks, its randomness and the journal of its states."""
        from django.db import connection

        from paceline.dispatcher import chores, loop
        from paceline.messaging import engine, models, outbox
        from paceline.sms import messages

        from . import virtual

        time = _Time()
        for name in ("engine", "clock", "reconcile", "breaker", "installation", "lookups", "outbox", "lanes"):
            with contextlib.suppress(ModuleNotFoundError):
                module = importlib.import_module(f"paceline.messaging.{name}")
                if hasattr(module, "time"):
                    module.time = time
        for module in (loop, chores):
            if hasattr(module, "time"):
                module.time = time
        if hasattr(loop, "ThreadPoolExecutor"):
            loop.ThreadPoolExecutor = virtual.NoThread
        timezone.now = _now.aware
        for model in vars(models).values():
            if isinstance(model, type) and issubclass(model, models.models.Model) and not model._meta.abstract:
                for each in model._meta.local_fields:
                    if getattr(each.default, "__name__", "") == "now" and each.has_default():
                        each.__dict__["_get_default"] = _now.aware
        messages.secrets = _Secrets
        outbox.SUBMIT_LEASE_SECONDS = SUBMIT_LEASE_SECONDS
        with contextlib.suppress(ModuleNotFoundError):
            from paceline.messaging import reconcile

            reconcile.Background, reconcile.wait = _Background, _whoever_is_done
        engine.write = _watched_write(engine.write)
        connection.ensure_connection()
        raw = connection.connection
        raw.create_function("randomblob", 1, lambda size: bytes(_Secrets.rng.randrange(256) for _ in range(size)))
        raw.create_function("virtual_now", 0, _now.monotonic)
        raw.execute("CREATE TEMP TABLE journal (at REAL, id INTEGER, was TEXT, became TEXT)")
        raw.execute(
            f"CREATE TEMP TRIGGER journalled AFTER UPDATE OF status ON main.{outbox.TABLE}"
            " WHEN OLD.status <> NEW.status"
            " BEGIN INSERT INTO journal VALUES (virtual_now(), OLD.id, OLD.status, NEW.status); END"
        )
        raw.commit()

    def _wipe(self) -> None:
        from django.apps import apps
        from django.db import connection

        from paceline.messaging import accounts, engine, outbox

        raw = connection.connection
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("BEGIN")
        for model in apps.get_app_config(outbox.TABLE.rpartition("_")[0]).get_models(include_auto_created=True):
            raw.execute(f"DELETE FROM {model._meta.db_table}")
        raw.execute("DELETE FROM sqlite_sequence")
        raw.execute("DELETE FROM journal")
        raw.execute("COMMIT")
        raw.execute("PRAGMA foreign_keys = ON")
        accounts.provider.cache_clear()
        engine_turn = getattr(engine, "_turn", None)
        if engine_turn is not None and hasattr(engine_turn, "waiting"):
            engine_turn.waiting = None

    def note(self, who: str, *what: Any) -> None:
        self.trace.append(f"{_now.monotonic():9.4f}  {who:<12}{'  '.join(str(each) for each in what)}")

    def live(self) -> list[Finding]:
        """Storm, then fine weather, then the verdicts."""
        global _world
        from paceline.messaging import outbox

        from . import verdicts

        self.loop = self.virtual.VirtualLoop(self._before_step)
        _now.loop, _now.step = self.loop, 0.0
        _now.start = EPOCH if self.rng.random() < 0.8 else EPOCH + 12 * 3600 - self.rng.uniform(0, 6)
        _Secrets.rng = random.Random(self.rng.random())
        self._pace(CHORES_EVERY_SECONDS, CLAIM_EVERY_SECONDS)
        outbox.owner = OWNER if self.is_embedded else ""
        random.seed(self.rng.random())
        _world = self
        self._wipe()
        try:
            self._build()
            self.loop.run_until_complete(self._story())
        except self.virtual.Stuck as stuck:
            self.findings.append(Finding("goes on", str(stuck)))
        finally:
            self.over, _world = True, None
            for process in self.processes:
                process.is_alive = False
        self.findings += verdicts.of(self)
        _now.loop = None
        with contextlib.suppress(Exception):
            asyncio.set_event_loop(None)
            self.loop._ready.clear()
            self.loop._scheduled.clear()
            self.loop.close()
        return self.findings

    def _pace(self, chores_every: float, claim_every: float) -> None:
        """How often the dispatchers look: most of what a run costs are looks that find nothing.

        In every other world they claim as far ahead as they ever do: the most time for something to happen.
        """
        from paceline.dispatcher import loop
        from paceline.sms import pacing

        loop.CALM_LOOKAHEAD_SECONDS = pacing.LOOKAHEAD_SECONDS if self.seed % 2 else loop.Reach().ahead
        loop.CHORES_EVERY_SECONDS = loop.QUIET_EVERY_SECONDS = chores_every
        loop.IDLE_EVERY_SECONDS = 1.0
        loop.CLAIM_EVERY = claim_every / loop.CALM_LOOKAHEAD_SECONDS

    async def _story(self) -> None:
        self.supervisors = [asyncio.create_task(self._supervise(i)) for i in range(self.workers)]
        people = asyncio.create_task(self._people())
        await asyncio.sleep(self.storm_seconds)
        self.note("weather", "clears up")
        self.stormy, self.ether.calm = False, True
        self._pace(1.5, 0.5)
        await people
        self._repair()
        for process in self.processes:
            if process.place:
                process.kill()
        give_up_at = self.loop.time() + CALM_MOST_SECONDS
        while not self._is_settled() and self.loop.time() < give_up_at:
            await asyncio.sleep(1)
            self._unblock()
        self.note("weather", "the end")
        self._note_rows()

    def _note_rows(self) -> None:
        from paceline.messaging.models import TextMessage

        for row in TextMessage.objects.filter(direction="outgoing").order_by("pk"):
            times = [f"{at - _now.start:.2f}" if at else "-" for at in (row.slot_at, row.lease_until, row.not_before)]
            self.note("row", row.pk, row.to, row.frm, row.status, *times, row.code, row.reason)

    # --- misfortunes ----------------------------------------------------------------------------------------------

    def _before_step(self, process: Any) -> None:
        """Any step may be the last, or be followed by a long pause."""
        if self.over:
            process.is_alive = False
        elif self.stormy and self.rng.random() < (self.crash_share + self.stop_share) * 0.02:
            self._strike(process, "somewhere")

    def _strike(self, process: Any, where: str) -> None:
        if process.is_alive and self.rng.random() * (self.crash_share + self.stop_share) < self.crash_share:
            if self.crashes < CRASHES_MOST:
                self.crashes += 1
                self.faults["crash"] += 1
                self.note(process.name, "dies", where)
                process.kill()
        elif process.is_alive:
            seconds = self.rng.choice([0.05, 0.2, 0.6, 2.0, SUBMIT_LEASE_SECONDS * 1.2])
            self.faults["stop"] += 1
            self.note(process.name, "is stopped for", seconds, where)
            self.loop.stop_process(process, seconds)

    def _is_struck(self) -> bool:
        return self.stormy and self.rng.random() < self.crash_share + self.stop_share

    async def _point(self, where: str) -> None:
        """A place on the way to the wire and back where a process dies, or freezes, more often than elsewhere."""
        process = self.virtual.PROCESS.get()
        if process is None or not self._is_struck():
            return
        self._strike(process, where)
        if not process.is_alive:
            await self.virtual.for_ever()
        if process.stopped_until > self.loop.time():
            await asyncio.sleep(0)

    def in_transaction(self, where: str) -> None:
        """A process is about to begin a write transaction, or has just committed one."""
        process = self.virtual.PROCESS.get()
        if process is None or self.over:
            return
        if not process.is_alive:
            raise self.virtual.Died
        if not self.stormy:
            return
        if self.away_share and self.rng.random() < self.away_share:
            from django.db import OperationalError

            self.faults["database away"] += 1
            self.note(process.name, "loses the database", where)
            raise OperationalError("the connection was closed")
        if where == "begin" and self.actions and self.rng.random() < 0.05:
            Context().run(self._act_now)
        if self.crash_share and self.crashes < CRASHES_MOST and self.rng.random() < self.crash_share * 0.4:
            self.crashes += 1
            self.faults["crash"] += 1
            self.note(process.name, "dies", where)
            process.kill()
            raise self.virtual.Died

    # --- processes ------------------------------------------------------------------------------------------------

    async def _supervise(self, place: int) -> None:
        """A dispatcher, and another when it has died."""
        for life in itertools.count():
            if self.over:
                return
            process = self.virtual.Process(f"worker {place + 1}.{life}", self.clumsy)
            process.place = place
            self.processes.append(process)
            context = Context()
            context.run(self.virtual.PROCESS.set, process)
            process.work = self.loop.create_task(self._dispatch(process), context=context)
            await process.death.wait()
            if place and not self.stormy:
                return  # one is enough for the rest
            await asyncio.sleep(self.rng.uniform(0.05, 1.5))

    async def _dispatch(self, process: Any) -> None:
        from paceline.dispatcher.loop import Dispatcher
        from paceline.messaging import outbox

        from .ether import Wire

        try:
            if self.is_embedded:
                await self.loop.run_in_executor(None, partial(outbox.recover, _now.wall(), mine=OWNER))
            process.dispatcher = Dispatcher(
                transport=Wire(self.ether, self._point), rng=random.Random(self.rng.random())
            )
            self.note(process.name, "starts")
            await process.dispatcher.run()
            self.note(process.name, "has drained")
        except Exception as error:
            if self.over:
                return
            self.note(process.name, "falls over", repr(error))
            if "connection was closed" not in str(error):
                self.findings.append(Finding("goes on", f"{process.name} fell over: {error!r}"))
        process.kill()

    # --- people ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        from paceline.messaging import campaigns
        from paceline.messaging.models import Account, Contact, ContactList, Membership, Sender

        rng, facts = self.rng, self.facts
        aliases = ["default"] if rng.random() < 0.8 else ["default", "other"]
        PROVIDERS.clear()
        PROVIDERS.update({alias: {"PROVIDER": self.ether.provider} for alias in aliases})
        self.aliases = aliases
        start = _now.wall()
        self.senders = []
        for alias in aliases:
            rate = rng.choice([None, 4.0, 8.0, 20.0])
            PROVIDERS[alias]["MPS"] = rate
            account = Account.objects.create(
                alias=alias,
                mps=rate,
                unit=self._unit("account", alias, rate),
                next_free_at=rng.choice([None, start - 5]),
                recipient_daily_cap=rng.choice([1, 2]) if self.has_caps and rng.random() < 0.5 else None,
            )
            facts.rates["account", alias] = [(-9.0, rate)]
            for _ in range(rng.choice([1, 1, 2, 3])):
                rate = rng.choice([0.5, 2.0, 4.0, 4.0, 7.0, 10.0, 30.0, None])
                lane = Sender.objects.create(
                    account=account,
                    number=number(400 + len(self.senders)),
                    mps=rate,
                    next_free_at=rng.choice([None, start - 5]),
                    daily_cap=rng.choice([5, 9]) if self.has_caps and rng.random() < 0.5 else None,
                    unit=self._unit("sender", number(400 + len(self.senders)), rate),
                )
                facts.rates["sender", lane.number] = [(-9.0, rate)]
                self.senders.append(lane)
        self.people = [number(i) for i in range(rng.randint(4, 16))]
        contacts = Contact.objects.bulk_create([Contact(number=each, fields={"name": "Ann"}) for each in self.people])
        self.campaigns = []
        for i in range(rng.choice([1, 1, 2])):
            guests = ContactList.objects.create(name=f"Guests {i}")
            invited = rng.sample(contacts, rng.randint(3, len(contacts)))
            Membership.objects.bulk_create([Membership(list=guests, contact=each) for each in invited])
            campaign = campaigns.create(
                f"Campaign {i}",
                rng.choice(["Doors open at 7", "Hello {{ name }}", "Doors open at 7. " * 15]),
                list=guests,
                sender=rng.choice([None, self.senders[0]]),
                batch_size=rng.choice([None, None, 3, 6]),
                delay_period=rng.choice([0, 0, 0.5]),
                expires_at=datetime.fromtimestamp(start + rng.uniform(1, 8), UTC) if rng.random() < 0.2 else None,
            )
            if rng.random() < 0.3:
                campaign.mps = rng.choice([1.0, 3.0, 8.0])
                campaign.unit = self._unit("campaign", str(campaign.pk), campaign.mps)
                campaign.next_free_at = rng.choice([None, start - 5])
                campaign.save()
                facts.rates["campaign", str(campaign.pk)] = [(-9.0, campaign.mps)]
            self.campaigns.append(campaign)
            facts.audience[campaign.pk] = len(invited)
            facts.held[campaign.pk] = []
            self.recipients += len(invited)
        self._plan()

    def _unit(self, kind: str, key: str, rate: float | None) -> str:
        units = ["message", "message", "segment"] if rate and rate >= 4 else ["message"]  # segments on end for minutes
        unit = self.rng.choice(units)
        self.facts.units[kind, key] = unit
        return unit

    def _plan(self) -> None:
        rng, storm = self.rng, self.storm_seconds
        for campaign in self.campaigns:
            launched_at = rng.uniform(0, 1)
            self._at(launched_at, "launch", campaign.pk)
            if rng.random() < 0.4:
                self._at(launched_at + rng.choice([0.0, rng.random()]), "launch", campaign.pk)
            for _ in range(rng.choice([0, 0, 1, 2])):
                paused_at = rng.uniform(0.5, storm)
                self._at(paused_at, "pause", campaign.pk)
                self._at(paused_at + rng.uniform(0.1, 2), "resume", campaign.pk)
            if rng.random() < 0.15:
                self._at(rng.uniform(0.5, storm), "cancel", campaign.pk)
            if rng.random() < 0.3:
                self._at(rng.uniform(0.3, storm), "set_pace", campaign.pk)
        for _ in range(rng.choice([0, 2, 5])):
            person, at = rng.choice(self.people), rng.uniform(0, storm)
            self._at(at, "stop", person)
            if rng.random() < 0.2:
                self._at(at + rng.uniform(0.5, 2), "start", person)
        for _ in range(rng.choice([0, 1, 4])):
            self._at(rng.uniform(0, storm), "text", rng.choice(self.people))
        for _ in range(rng.choice([0, 0, 1, 2])):
            self._at(rng.uniform(0.5, storm), "alone", rng.choice(self.people))
        for _ in range(rng.choice([0, 0, 1, 3])):
            self._at(rng.uniform(0.5, storm), "set_rate")
        if rng.random() < CLOCK_STEPS:
            self._at(rng.uniform(0.5, storm), "step_clock")
        if rng.random() < 0.2:
            self._at(rng.uniform(0.5, storm), "deploy")
        if rng.random() < 0.2:
            forgotten_at = rng.uniform(1, storm)
            self._at(forgotten_at - 0.5, "texts", 3)
            self._at(forgotten_at, "forget_limit")

    def _at(self, at: float, what: str, *arguments: Any) -> None:
        heapq.heappush(self.actions, (at, next(self._ids), partial(self._do, what, *arguments)))

    async def _people(self) -> None:
        while self.actions:
            wait = self.actions[0][0] - self.loop.time()
            if wait > 0 and self.stormy:
                await asyncio.sleep(min(wait, 0.5))
                continue
            self._act_now()

    def _act_now(self) -> None:
        """What people do next, a little early if need be."""
        if self.actions:
            heapq.heappop(self.actions)[-1]()

    def _do(self, what: str, *arguments: Any) -> None:
        from paceline.messaging.campaigns import CampaignError

        try:
            getattr(self, f"_do_{what}")(*arguments)
            self.note("people", what, *arguments)
        except CampaignError as error:
            self.note("people", what, *arguments, "refused:", error)

    def _campaign(self, pk: int) -> Any:
        from paceline.messaging.models import Campaign

        return Campaign.objects.get(pk=pk)

    def _do_launch(self, pk: int) -> None:
        from paceline.messaging import campaigns

        campaigns.launch(self._campaign(pk))
        self._state(pk, "running")

    def _do_pause(self, pk: int) -> None:
        from paceline.messaging import campaigns

        campaigns.pause(self._campaign(pk))
        self._state(pk, "paused")

    def _do_resume(self, pk: int) -> None:
        from paceline.messaging import campaigns

        campaigns.resume(self._campaign(pk))
        self._state(pk, "running")

    def _do_cancel(self, pk: int) -> None:
        from paceline.messaging import campaigns

        campaigns.cancel(self._campaign(pk))
        self._state(pk, "cancelled")

    def _state(self, pk: int, state: str) -> None:
        self.facts.held[pk].append((self.loop.time(), state))

    def _do_set_pace(self, pk: int) -> None:
        from paceline.messaging import campaigns

        campaigns.set_pace(
            self._campaign(pk), batch_size=self.rng.choice([None, 2, 5]), delay_period=self.rng.choice([0, 0.5])
        )

    def _do_stop(self, person: str) -> None:
        self._inbound(person, "STOP")
        self.facts.stops.append((self.loop.time(), person))

    def _do_start(self, person: str) -> None:
        self.facts.starts.append((self.loop.time(), person))
        self._inbound(person, "START")

    def _inbound(self, person: str, text: str) -> None:
        from paceline.messaging import events
        from paceline.sms.messages import WebhookRequest

        sender = self.senders[0]
        fields = {"number": person, "sender": sender.number, "text": text, "provider_id": f"in-{next(self._ids)}"}
        webhook = WebhookRequest("POST", "", body=json.dumps([fields]).encode())
        events.store(events.Arrival("default", webhook, self.ether.provider.events(webhook)))

    def _door(self, body: bytes) -> None:
        """The webhook door; now and then it dies before the commit, or between the commit and its answer."""
        from paceline.messaging import events
        from paceline.sms.messages import WebhookRequest

        fate = self.rng.random() if self.stormy else 1.0
        if fate < 0.05:
            raise ConnectionRefusedError
        sender = body  # every account's provider is the same; the alias is that of the message's sender
        webhook = WebhookRequest("POST", "", body=sender)
        events.store(events.Arrival(self._alias(body), webhook, self.ether.provider.events(webhook)))
        if fate < 0.1:
            raise ConnectionResetError

    def _alias(self, body: bytes) -> str:
        from paceline.messaging.models import TextMessage

        start = json.loads(body)[0]["provider_id"].removeprefix("their-")
        found = TextMessage.objects.filter(reference__startswith=start).values_list("sender__account__alias").first()
        return found[0] if found and found[0] else "default"

    def _do_text(self, person: str) -> None:
        from paceline.messaging import outbox

        lane = self.rng.choice(self.senders)
        outbox.queue_text("A word", lane, person)
        self.recipients += 1

    def _do_texts(self, how_many: int) -> None:
        from paceline.messaging import outbox

        lane = self._slowest()
        for person in self.rng.choices(self.people, k=how_many):
            outbox.queue_text("A word", lane, person)
        self.recipients += how_many

    def _do_alone(self, person: str) -> None:
        self.recipients += 1
        process = self.virtual.Process(f"caller {next(self._ids)}", self.clumsy)
        self.processes.append(process)
        context = Context()
        context.run(self.virtual.PROCESS.set, process)
        process.work = self.loop.create_task(self._send_alone(process, person), context=context)

    async def _send_alone(self, process: Any, person: str) -> None:
        """A `send_text` in a process of its own, with `texts`' steps; its waiting is the loop's."""
        from django.db import DatabaseError

        from paceline.messaging import outbox, texts
        from paceline.messaging.clock import Clock
        from paceline.messaging.outbox import Lease, Missed, Outcome
        from paceline.sms import errors, pacing

        from .ether import Wire

        clock, wire = Clock(), Wire(self.ether, self._point)
        thread = object()
        on = partial(self.loop.run_in_executor, thread)
        message = outbox.compose("Your code is 1234", self.rng.choice(self.senders), person)
        keep = texts.outbox.SUBMIT_LEASE_SECONDS
        for _ in range(6):
            try:
                lease = await on(partial(outbox.reserve, message, clock, lead=0.05))
            except (outbox.Taken, errors.ProviderError, DatabaseError):
                break
            if not isinstance(lease, Lease):
                await asyncio.sleep(max(0.0, lease - clock.now()))
                continue
            while (early := lease.slot_at - outbox.GATE_AHEAD_SECONDS - clock.now()) > 0:
                await asyncio.sleep(early)
            try:
                passed = await on(partial(outbox.gate, [lease], clock, keep=True))
            except DatabaseError:
                break
            if not passed:
                break

            def before_write(lease: Lease = lease) -> None:
                if pacing.is_late(clock.now(), lease.slot_at):
                    raise Missed

            while (early := lease.slot_at - clock.now()) > 0:
                await asyncio.sleep(early)
            result: Any
            try:
                result = await wire.submit(self.ether.provider, passed[0].message, before_write=before_write)
            except (errors.ProviderError, Missed) as error:
                result = error
            try:
                await on(partial(outbox.settle, [Outcome(lease, result, clock.now())], keep_until=clock.now() + keep))
            except DatabaseError:
                break
            if not isinstance(result, Missed | errors.Throttled | errors.Unavailable):
                break
        process.kill()

    def _do_set_rate(self) -> None:
        from paceline.messaging import engine, lanes

        lane = self.rng.choice(self.senders)
        rate = self.rng.choice(
            [4.0, 12.0] if self.facts.units["sender", lane.number] == "segment" else [1.0, 3.0, 12.0]
        )
        lanes.set_rate(lane, rate, engine.now())
        self.facts.rates["sender", lane.number].append((self.loop.time(), rate))

    def _do_step_clock(self) -> None:
        self.faults["clock step"] += 1
        step = self.rng.choice(CLOCK_STEP_SECONDS)
        if self.seed % HOUR_EVERY == 0:  # not drawn, so that the other worlds are what they were
            step = math.copysign(3600.0, step)
            self.faults["clock step of an hour"] += 1
        _now.step += step
        self.facts.clock_steps.append(self.loop.time())

    def _do_deploy(self) -> None:
        """SIGTERM for one dispatcher."""
        self.faults["deploy"] += 1
        alive = [each for each in self.processes if each.is_alive and getattr(each, "dispatcher", None)]
        if alive:
            process = self.rng.choice(alive)
            self.note(process.name, "is told to stop")
            context = Context()
            context.run(self.virtual.PROCESS.set, process)
            self.loop.call_soon(process.dispatcher.stop, context=context)

    def _do_forget_limit(self) -> None:
        """A limit's row was made anew (a restored table, an operator's hand): nothing says when it was used last."""
        from paceline.messaging.models import Sender, TextMessage

        lane = self._slowest()
        if TextMessage.objects.filter(status__in=["leased", "submitting"], sender=lane).exists():
            if self.stormy:  # slots that are taken already would come beside the new ones
                self._at(self.loop.time() + 0.05, "forget_limit")
            return
        self.faults["limit forgotten"] += 1
        Sender.objects.filter(pk=lane.pk).update(next_free_at=None)
        self._do_texts(3)

    def _slowest(self) -> Any:
        return min(self.senders, key=lambda lane: lane.mps or 1000.0)

    # --- fine weather ---------------------------------------------------------------------------------------------

    def _repair(self) -> None:
        """People resume what they paused."""
        for campaign in self.campaigns:
            if self._campaign(campaign.pk).state == "paused":
                self._do("resume", campaign.pk)

    def _unblock(self) -> None:
        """People act on a blocked account."""
        from paceline.messaging import lanes
        from paceline.messaging.models import Account

        for account in Account.objects.exclude(blocked=""):
            lanes.unblock(account)

    def _is_settled(self) -> bool:
        from django.db import connection

        from paceline.messaging import outbox
        from paceline.messaging.models import Event, TextMessage

        waiting = ["leased", "submitting"] if self.has_caps else ["held", "queued", "leased", "submitting"]
        able = self.ether.provider.capabilities
        if able.lookup and can_reconcile():
            uncertain = TextMessage.objects.filter(status="uncertain").values_list("reference", flat=True)
            sure = able.lookup_proves_absence
            if any(sure or self.ether.accepted.get(each) for each in {*uncertain} - self.ether.overlooked):
                return False
        marks = ", ".join(f"'{each}'" for each in waiting)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {outbox.TABLE} WHERE status IN ({marks}) LIMIT 1")
            if cursor.fetchone():
                return False
        if self.has_caps and self.loop.time() < self.storm_seconds + 15:
            return False
        still = any(self._campaign(each.pk).state in ("running", "paused") for each in self.campaigns)
        if Event.objects.filter(next_try_at__isnull=False, tries=0).exists():
            return False
        still |= Event.objects.filter(next_try_at__isnull=False).exists()  # what is of nobody stays due
        return not still or self.loop.time() > self.storm_seconds + (60 if self.has_caps else 12)


class _Secrets:
    """In place of the module `secrets`: as random as the seed."""

    rng = random.Random(0)

    @classmethod
    def token_hex(cls, size: int) -> str:
        return f"{cls.rng.getrandbits(8 * size):0{2 * size}x}"


_world: _World | None = None


def _watched_write(write: Callable[[], Any]) -> Callable[[], Any]:
    """`engine.write`, where a process may die just before and just after."""
    from django.db import connection

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        outermost = not connection.in_atomic_block
        if outermost and _world is not None:
            _world.in_transaction("begin")
        with write():
            yield
        if outermost and _world is not None:
            _world.in_transaction("committed")

    return watched


class _Background:
    """In place of the look-ups' own loop in a thread: they run on the world's."""

    def __init__(self, make: Any, name: str) -> None:
        from .ether import Wire

        assert _world is not None
        self._wire = Wire(_world.ether, _world._point)

    def begin(self, work: Callable[[Any], Any]) -> Future[Any]:
        answer: Future[Any] = Future()

        async def ask() -> None:
            try:
                answer.set_result(await work(self._wire))
            except Exception as error:
                answer.set_exception(error)

        assert _world is not None
        self.task = _world.loop.create_task(ask())
        return answer

    def close(self) -> None: ...


def _whoever_is_done(futures: Any, *rest: Any, **options: Any) -> Any:
    """In place of waiting for threads."""
    return SimpleNamespace(done=[future for future in futures if future.done()])


def can_reconcile() -> bool:
    """True when the engine asks providers about what is uncertain."""
    from paceline.dispatcher import chores

    return hasattr(chores, "reconcile") or hasattr(chores, "Reconciler")
