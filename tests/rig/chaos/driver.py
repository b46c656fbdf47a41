"""How is the plan made to happen? One process kills, stops, starts again, and does what operators and people do."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from django.db import DatabaseError, connection
from django.db.models import Count, Q

from paceline.messaging import campaigns, lanes, outbox
from paceline.messaging.models import Account, Campaign, Event, Limit, Sender, TextMessage
from paceline.sandbox.wires import Said
from paceline.sms.status import UNFINISHED, Status

from . import plan
from .nursery import Nursery, is_alive
from .place import ACCOUNT, Place
from .verdict import GRACE_SECONDS, Pause, Rate, of_campaign

FREEZE_SECONDS = 1.25
"""How much longer than a lease a worker stands still, as a factor; and shorter than lease and settle time together."""
STALL_SECONDS = 1.0
PAUSE_SECONDS = 1.0
FULL_SECONDS = 2.0
SENDER_RATES = (2.0, 3.0, 4.0, 5.0)
ACCOUNT_RATES = (30.0, 35.0, 40.0)
CAMPAIGN_RATES = (20.0, 25.0, 30.0)
LAUNCHERS = 4
QUIET_SECONDS = 90.0
"""When nothing changes for so long, nothing will."""

T = TypeVar("T")


class Driver:
    """`run` makes the plan happen, waits until everything has come to rest, and knows what it did."""

    def __init__(
        self, place: Place, nursery: Nursery, rng: random.Random, *, workers: int, mps: float, shape: str
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.idle_kills = 0  # when there was nothing left to send
        self.fell: Counter[str] = Counter()
        self.stops: dict[str, float] = {}
        self.pauses: list[Pause] = []
        self.rates: list[Rate] = []
        self.came_to_rest = False
        self.left: dict[str, int] = {}
        self._place = place
        self._nursery = nursery
        self._rng = rng
        self._shape = shape
        self._mps_of_one = mps / workers  # the shape's workers know no limit in common
        self._pids: dict[tuple[str, int], int] = {}
        self._frozen: set[int] = set()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._threads = ThreadPoolExecutor(8)
        self._asked_to_stop: set[str] = set()
        self._over = False
        self._slots = [("worker", n) for n in range(workers)] + [("web", 0), ("beat", 0)]
        self._said = place.folder / "launches.jsonl"
        self._restarting: subprocess.Popen[bytes] | None = None
        self._running: dict[int, Campaign] = {}

    # --- the run ----------------------------------------------------------------------------------------------

    def run(self, drafts: Sequence[Campaign], ticks: Sequence[Sequence[str]]) -> None:
        try:
            self._run(drafts, ticks)
        finally:
            self._over = True

    def _run(self, drafts: Sequence[Campaign], ticks: Sequence[Sequence[str]]) -> None:
        self._drafts = deque(drafts)
        now = time.time()
        self._senders = [(sender, SENDER_RATES) for sender in Sender.objects.order_by("pk")]
        self._account = (Account.objects.get(), ACCOUNT_RATES)
        self._limited = next((each, CAMPAIGN_RATES) for each in drafts if each.mps is not None)
        for limit, _ in (*self._senders, self._account, self._limited):
            self.rates.append(Rate(name_of(limit), limit.mps or 0.0))
        for slot in self._slots:
            self._start(slot)
        self._launch()
        began = time.monotonic()
        while not self._place.ask("state")["accepted"] and time.monotonic() < began + 60:
            time.sleep(0.05)
        for number, actions in enumerate(ticks):
            if not number % 20:
                self._say(f"{number} of {len(ticks)} kills, {time.time() - now:.0f} s")
            ends = time.monotonic() + self._rng.uniform(*plan.TICK_SECONDS)
            for action in actions:
                self._do(*action.split())
            self._watch()
            time.sleep(max(0.0, ends - time.monotonic()))
        self._settle()

    def _do(self, what: str, *whom: str) -> None:
        getattr(self, f"_{what}")(*whom)

    def _settle(self) -> None:
        """No more faults: waits until nothing is under way and nobody owes anything."""
        while self._drafts:
            self._launch()
        changed = time.monotonic()
        while time.monotonic() < changed + QUIET_SECONDS:
            self._watch()
            now = self._try(self._left)
            if now != self.left:
                self._say(f"coming to rest: {now}")
                self.left, changed = now, time.monotonic()
            busy = self._later or self._frozen or len(self.stops) < self.faults["STOP"]
            if not busy and not any(now.values()):
                self.came_to_rest = True
                break
            time.sleep(0.3)
        self._over = True
        self._threads.shutdown()
        for (role, _), pid in self._pids.items():
            if role == "worker":
                os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 60
        while any(is_alive(pid) for (role, _), pid in self._pids.items() if role == "worker"):
            if time.monotonic() > until:
                break
            time.sleep(0.05)

    def _left(self) -> dict[str, int]:
        """What still has to happen before a verdict is fair."""
        counts = TextMessage.objects.aggregate(
            unfinished=Count("pk", filter=Q(status__in=UNFINISHED)),
            uncertain=Count("pk", filter=Q(status=Status.UNCERTAIN)),
        )
        state = self._place.ask("state") or {"owed": 1}
        events = Event.objects.filter(next_try_at__isnull=False).count()
        running = Campaign.objects.filter(state__in=["running", "paused", "draft"]).count()
        left = {"running": running, "unfinished": counts["unfinished"], "owed": state["owed"], "events": events}
        return left | ({"uncertain": counts["uncertain"]} if self._place.look_up and not self._shape else {})

    def _watch(self) -> None:
        """What falls due, who has died unasked, and what the operator would see: a blocked account."""
        now = time.monotonic()
        due = [each for each in self._later if each[0] <= now]
        self._later = [each for each in self._later if each[0] > now]
        for _, act in due:
            act()
        for slot, pid in list(self._pids.items()):
            if not is_alive(pid):
                self.fell[slot[0]] += 1
                self._start(slot)
        with suppress(DatabaseError):
            blocked = Account.objects.exclude(blocked="").first()
            if blocked is not None or Sender.objects.exclude(blocked="").exists():
                self.faults["operator unblocks"] += 1
                lanes.unblock(blocked or Account.objects.get())
            return
        connection.close()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, act))

    def _try(self, work: Callable[[], T], patience_seconds: float = 60.0) -> T:
        """Until the database is there again."""
        until = time.monotonic() + patience_seconds
        while True:
            try:
                return work()
            except DatabaseError:
                if time.monotonic() > until:
                    raise
                connection.close()
                time.sleep(0.1)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    # --- processes --------------------------------------------------------------------------------------------

    def _start(self, slot: tuple[str, int]) -> None:
        role, number = slot
        options: dict[str, Any] = {"web": {"port": self._place.web_port}, "beat": {}}.get(role, {})
        if role == "worker":
            options = {"wire": str(self._place.wire), "number": number}
            if self._shape:
                role, options = self._shape, options | {"mps": self._mps_of_one}
        self._pids[slot] = self._nursery.spawn(role, **options)

    def _pick(self, role: str) -> tuple[str, int] | None:
        slots = [slot for slot in self._slots if slot[0] == role and self._pids[slot] not in self._frozen]
        return self._rng.choice(slots) if slots else None

    def _kill(self, role: str) -> None:
        slot = self._pick(role)
        if slot is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pids[slot], signal.SIGKILL)
        self.kills[role] += 1
        with suppress(DatabaseError):
            self.idle_kills += not TextMessage.objects.filter(status__in=UNFINISHED).exists()
        self._start(slot)

    def _freeze(self) -> None:
        """A zombie in the making: it wakes up when others have long been given what it held."""
        slot = self._pick("worker")
        if slot is None or len(self._frozen) > 1:
            return
        pid = self._pids[slot]
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)
        self.faults["worker frozen"] += 1

        def wake() -> None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self._frozen.discard(pid)

        _in(outbox.SUBMIT_LEASE_SECONDS * FREEZE_SECONDS, wake)

    def _stall(self) -> None:
        assert self._place.carrier is not None
        carrier = self._place.carrier
        carrier.send_signal(signal.SIGSTOP)
        self.faults["carrier stalled"] += 1
        _in(STALL_SECONDS, lambda: carrier.send_signal(signal.SIGCONT))

    # --- the database -----------------------------------------------------------------------------------------

    def _hog(self) -> None:
        self._nursery.spawn("hog")
        self.faults["lock held"] += 1

    def _full(self) -> None:
        if not self._place.can_fill:
            return

        def full() -> None:
            with self._place.full_disk():
                time.sleep(FULL_SECONDS)

        threading.Thread(target=full).start()
        self.faults["disk full"] += 1
        self._after(FULL_SECONDS + 0.5, lambda: None)

    def _cut(self) -> None:
        sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute(sql)
            pids = [pid for (pid,) in cursor.fetchall()]
            if pids:
                cursor.execute("SELECT pg_terminate_backend(%s)", [self._rng.choice(pids)])
                self.faults["connection cut"] += 1
            return
        connection.close()

    def _restart(self) -> None:
        """PostgreSQL crashes and comes back."""
        if self._restarting is not None and self._restarting.poll() is None:
            return
        assert self._place.cluster is not None
        self._restarting = self._place.cluster.restart()
        self.faults["database restarted"] += 1

    # --- operators and people ---------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Several doors launch the next campaign at the same moment."""
        if not self._drafts:
            return
        campaign = self._drafts.popleft()
        self._running[campaign.pk] = campaign
        at = time.time() + 0.05
        for _ in range(LAUNCHERS):
            self._nursery.spawn("launch", campaign=campaign.pk, at=at, said=str(self._said))
        self.faults["launched at once by several"] += 1

    def _relaunch(self) -> None:
        campaign = self._rng.choice(list(self._running))
        self._nursery.spawn("launch", campaign=campaign, at=0.0, said=str(self._said))
        self.faults["launched again"] += 1

    def launches(self) -> Counter[int]:
        """How many launches of each campaign were told that they had done it."""
        lines = map(json.loads, self._said.read_text().splitlines())
        return Counter(line["campaign"] for line in lines if line["answer"] == "launched")

    def _rate(self) -> None:
        """A sender's, the account's or a campaign's; the verdict needs to know from when to when which one held."""

        def change() -> None:
            limit, rates = self._rng.choice([*self._senders, *[self._account] * 3, *[self._limited] * 3])
            limit.refresh_from_db()
            mps = self._rng.choice([rate for rate in rates if rate != limit.mps])
            before = time.time()
            self._try(lambda: lanes.set_rate(limit, mps, time.time()))
            now, name = time.time(), name_of(limit)
            for number, rate in enumerate(self.rates):
                if rate.name == name and rate.ends > now:
                    self.rates[number] = Rate(name, rate.mps, rate.begins, now + GRACE_SECONDS)
            self.rates.append(Rate(name, mps, before))
            self.faults["rate changed"] += 1

        self._try(change)

    def _pause(self) -> None:
        paused = self._rng.choice(list(self._running))
        if not self._switch(paused, campaigns.pause, campaigns.State.PAUSED):
            self._after(0.3, self._pause)  # nobody has launched it yet, or it is over
            return
        begins = time.time()
        self.faults["paused"] += 1

        def resume() -> None:
            ends = time.time()
            self._switch(paused, campaigns.resume, campaigns.State.RUNNING)
            self.pauses.append(Pause(paused, begins, ends))

        self._after(PAUSE_SECONDS, resume)

    def _switch(self, pk: int, verb: Callable[[Campaign], Campaign], wanted: str) -> bool:
        """True when the campaign is in that state; a commit whose end nobody heard of is looked up."""

        def switch() -> bool:
            campaign = Campaign.objects.get(pk=pk)
            if campaign.state == wanted:
                return True
            with suppress(campaigns.CampaignError):
                verb(campaign)
            campaign.refresh_from_db()
            return campaign.state == wanted

        return self._try(switch)

    def _stop(self) -> None:
        """Somebody whose text has not left says STOP; the webhook is sent until it is taken."""
        with suppress(DatabaseError):
            nearest = self._rng.random() < 0.5  # those who are next, so that it is a matter of milliseconds
            states = [Status.QUEUED, Status.LEASED] if nearest else [Status.HELD, Status.QUEUED]
            waiting = TextMessage.objects.filter(status__in=states).order_by("status" if nearest else "-pk", "pk")
            rows = list(waiting.values_list("to", "frm")[: 40 if nearest else 400])
            rows = [row for row in rows if row[0] not in self._asked_to_stop]
            if rows:
                number, sender = self._rng.choice(rows)
                self._asked_to_stop.add(number)
                self._threads.submit(self._say_stop, number, sender)
                self.faults["STOP"] += 1
            return
        connection.close()

    def _say_stop(self, number: str, sender: str) -> None:
        said = Said(f"stop-{number}", number, sender or "+12025550100", "STOP", time.time())
        while not self._over:
            letter = ACCOUNT.inbound(said, f"{self._place.webhooks}/inbound", time.time())
            request = urllib.request.Request(letter.url, letter.body, dict(letter.headers), method="POST")
            with suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
                if answer.status == 200:
                    self.stops[number] = time.time()
                    return
            time.sleep(0.05)


def name_of(limit: Limit) -> str:
    """What the verdict calls a limit."""
    if isinstance(limit, Campaign):
        return of_campaign(limit.pk)
    return limit.number if isinstance(limit, Sender) else ""


def _in(seconds: float, act: Callable[[], None]) -> None:
    """Done by a thread: what stands still may hold the very lock that the driver waits for."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
