"""Where does a case happen, and what came of it? A folder, a database, a carrier; and the verdict from their logs."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from paceline.project import supervisor
from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sms import pacing

from ..conftest import need
from ..installation import ACCOUNT
from . import cases
from .warm import Child, Warm

LEASE_SECONDS = 0.6
"""How long `submitting` is believed: long enough for the sandbox, short enough for a test to outlast."""

PATIENCE_SECONDS = 240.0
"""How long a test waits for what a quiet machine does in a few; nothing is judged by it."""

ANSWERED = ("accepted", "sent", "delivered")


class Databases:
    """A fresh, migrated database for each case: a copy of one that was migrated once."""

    def __init__(self, kind: str, warm: Warm, folder: Path) -> None:
        self._numbers = itertools.count()
        self._folder = folder
        self._server = ""
        self._lock = threading.Lock()
        self._name = f"paceline_rig_{os.getpid()}"
        if kind == "postgres":
            self._server = os.environ.get("PACELINE_TEST_POSTGRES_URL", "")
            need(self._server, "a PostgreSQL server (PACELINE_TEST_POSTGRES_URL)")
            self._execute(f"CREATE DATABASE {self._name}")
        template = self._url(self._name) if self._server else f"sqlite:///{folder / 'template.sqlite3'}"
        warm.call("migrate", {**PLACE, "folder": str(folder), "database": template})

    def fresh(self, folder: Path) -> str:
        """The URL of the next one."""
        if not self._server:
            shutil.copy(self._folder / "template.sqlite3", folder / "paceline.sqlite3")
            return f"sqlite:///{folder / 'paceline.sqlite3'}"
        name = f"{self._name}_{next(self._numbers)}"
        with self._lock:  # nobody may be connected to a template, a copier neither
            self._execute(f"CREATE DATABASE {name} TEMPLATE {self._name}")
        return self._url(name)

    def drop(self, url: str) -> None:
        if self._server:
            self._execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def close(self) -> None:
        if self._server:
            self.drop(self._url(self._name))

    def _execute(self, sql: str) -> None:
        import psycopg

        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql)

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{name}"))


PLACE: dict[str, Any] = {
    "carrier": "http://127.0.0.1:9",
    "account_mps": cases.ACCOUNT_MPS,
    "sender_mps": cases.SENDER_MPS,
    "lease": LEASE_SECONDS,
    "direct": True,
    "mutants": [],
}
"""What a child is told of its case."""


@dataclass
class Verdict:
    """From the carrier's log: who was reached how often. From the wire log: what was written when. And our tables."""

    wanted: list[str]
    accepts: Counter[str]
    status: dict[str, str]
    busiest: dict[str, int]
    late: int
    received: int = 0
    events: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def uncertain(self) -> list[str]:
        return sorted(number for number, status in self.status.items() if status == "uncertain")


class Scene:
    """One case. `start` and `call` as of `Warm`; `verdict` when everything has come to rest."""

    def __init__(self, warm: Warm, folder: Path, database: str, carrier: Running, web_port: int, **other: Any) -> None:
        self.folder, self.carrier, self._warm = folder, carrier, warm
        self.web: Child | None = None
        self._children: list[Child] = []
        self.wanted: list[str] = []
        self.place = {**PLACE, "folder": str(folder), "database": database, "carrier": carrier.url} | other
        self.place["web_port"] = web_port

    def start(self, what: str, **options: Any) -> Child:
        child = self._warm.start(what, self.place, **options)
        self._children.append(child)
        return child

    def call(self, what: str, **options: Any) -> Any:
        return self._warm.call(what, self.place, **options)

    def there(self, name: str) -> bool:
        return (self.folder / name).exists()

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def submitting(self) -> set[str]:
        """Whose messages are submitting, or were when their process ended."""
        found = self.call("tables")["messages"]
        return {message["to"] for message in found if message["status"] in ("submitting", "uncertain")}

    def finish(self, excused: set[str] | None = None, seconds: float = PATIENCE_SECONDS) -> Verdict:
        """A healthy dispatcher sends what is left, the reports come, and a last one sees that nothing is left.

        Of those `excused` nobody may know whether they got it.
        """
        self.sent_by_a_healthy_one(seconds)
        if self.web is None or self.web.poll() is not None:
            self.web = self.start("web")
        self.carrier.settle(seconds)
        self.web.end()
        self.call("apply_reports")
        if not self.call("is_over"):
            self.sent_by_a_healthy_one(seconds)
        return self.verdict(excused or set())

    def sent_by_a_healthy_one(self, seconds: float = PATIENCE_SECONDS) -> None:
        child = self.start("dispatch")
        assert child.wait(seconds) == 0, child.said()

    def verdict(self, excused: set[str]) -> Verdict:
        tables = self.call("tables")
        accepts = Counter(accept.number for accept in self.carrier.accepts())
        wire = self.wire()
        times: dict[str, list[float]] = {"account": [line["at"] for line in wire]}
        for line in wire:
            times.setdefault(line["from"], []).append(line["at"])
        status = {message["to"]: message["status"] for message in tables["messages"]}
        slots = {message["reference"]: message["submitted_at"] for message in tables["messages"]}
        last = {line["reference"]: line["at"] for line in wire}
        found = Verdict(
            wanted=self.wanted,
            accepts=accepts,
            status=status,
            busiest={who: ledger.busiest_window(moments, 1.0) for who, moments in times.items()},
            late=sum(
                1
                for reference, at in last.items()
                if slots[reference] is not None
                and at > slots[reference] + pacing.LATE_TOLERANCE_SECONDS + pacing.CLOCK_ERROR_SECONDS
            ),
            received=tables["received"],
            events=tables["events"],
        )
        found.problems = problems(found, self.place, excused)
        return found

    def wire(self) -> list[dict[str, Any]]:
        path = self.folder / "wire.jsonl"
        return list(ledger.records(path)) if path.exists() else []

    def close(self) -> None:
        for child in self._children:
            child.end()


def problems(found: Verdict, place: dict[str, Any], excused: set[str]) -> list[str]:
    """Every broken promise in a sentence; none is what we want."""
    said = [f"{number} got it {times} times" for number, times in found.accepts.items() if times > 1]
    said += [f"{number} was never a recipient" for number in found.accepts if number not in found.wanted]
    for number in found.wanted:
        status, has_it = found.status.get(number, "no row"), bool(found.accepts[number])
        shown = status == "uncertain" and not has_it and number in excused
        if has_it != (status in ANSWERED) or not (has_it or shown):
            said.append(f"{number} is {status} and the carrier has {'it' if has_it else 'nothing'}")
    limits = {"account": place["account_mps"]} | dict.fromkeys(cases.SENDERS, place["sender_mps"])
    for who, most in limits.items():
        if most and found.busiest.get(who, 0) > most:
            said.append(f"{who} wrote {found.busiest[who]} in a second, over {most:g}")
    if found.late:
        said.append(f"{found.late} written after their slots")
    return said


class Rig:
    """The warm process, and databases of the kinds that were asked for; made when first wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._databases: dict[str, Databases] = {}
        self.warm = Warm(folder / "warm")

    def databases(self, kind: str) -> Databases:
        if kind not in self._databases:
            folder = self.folder / kind
            folder.mkdir(exist_ok=True)
            self._databases[kind] = Databases(kind, self.warm, folder)
        return self._databases[kind]

    @contextlib.contextmanager
    def scene(
        self, kind: str, people: int = 6, *, behaviour: Behaviour | None = None, inbound: bool = False, **other: Any
    ) -> Iterator[Scene]:
        """A place of its own, with so many people in a running campaign."""
        folder = self.folder / f"scene-{next(self._numbers)}"
        folder.mkdir()
        database = other.pop("database", None)
        url = database or self.databases(kind).fresh(folder)
        web_port = supervisor.port(0)
        webhooks = f"http://127.0.0.1:{web_port}/webhooks/default"
        carrier = Running(
            behaviour or Behaviour(report_delay=0.05),
            ledger=folder / "carrier.jsonl",
            wire=ACCOUNT,
            status_url=f"{webhooks}/status",
            inbound_url=f"{webhooks}/inbound" if inbound else "",
        )
        with carrier:
            scene = Scene(self.warm, folder, url, carrier, web_port, **other)
            try:
                if people:
                    scene.wanted = scene.call("prepare", people=people)
                yield scene
            finally:
                scene.close()
                if database is None:
                    self.databases(kind).drop(url)

    def close(self) -> None:
        for databases in self._databases.values():
            databases.close()
        self.warm.close()


def in_parallel(how_many: int, work: Callable[[Any], Any], cases_: Sequence[Any]) -> list[Any]:
    """What `work` answers for each, so many at a time: they mostly wait."""
    with ThreadPoolExecutor(how_many) as pool:
        return list(pool.map(work, cases_))
