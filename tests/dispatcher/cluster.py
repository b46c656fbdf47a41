"""Several workers for a test: real Celery processes, a PostgreSQL database and queues of their own, and the carrier."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from paceline.sandbox import ledger
from paceline.sandbox.behaviour import Behaviour

from ..installation import ACCOUNT, Installation, environment

AREAS = (206, 415, 212, 312, 617, 303, 503, 702)

WAKE_UP = """
import sys, time
from paceline.project import celery
for _ in range(int(sys.argv[1])):
    for task in ("paceline.wake", "paceline.chores"):
        celery.app.send_task(task)
    celery.app.send_task("paceline.dispatch", (1,))
    time.sleep(0.2)
"""
EMPTY = """
from paceline.project import celery
with celery.app.connection() as connection:
    if hasattr(connection.default_channel, "client"):
        connection.default_channel.client.flushdb()
    else:
        for queue in (celery.DISPATCH, celery.CHORES):
            connection.channel().queue_purge(queue)
"""
ANSWERING = """
from paceline.project import celery
print(len(celery.app.control.inspect(timeout=1.0).ping() or ()))
"""
QUEUE_ON_THE_SECOND = """
import sys, django
django.setup()
from paceline.messaging import accounts, outbox, senders
sender, _ = senders.add(accounts.get("second"), "+13035550199", mps=5)
outbox.queue_text("Hi", sender, sys.argv[1])
"""
TIDY = """
from paceline.project import celery
with celery.app.connection() as connection:
    channel = connection.default_channel
    for queue in (celery.DISPATCH, celery.CHORES):
        channel.queue_delete(queue)
        if not hasattr(channel, "client"):
            channel.exchange_delete(queue)
"""


class Cluster(Installation):
    """An installation whose processes are started, and killed, one by one."""

    def __init__(self, folder: Path, database: str, broker: str, behaviour: Behaviour | None = None) -> None:
        super().__init__(folder, behaviour)
        self.carrier_url = self.environment["VONAGE_BASE_URL"]
        self.name = f"test-{os.getpid()}"
        self._server, self._database = database, f"paceline_cluster_{os.getpid()}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment |= {
            "DATABASE_URL": urlsplit(database)._replace(path=f"/{self._database}").geturl(),
            "PACELINE_BROKER_URL": broker,
            "PACELINE_INSTANCE": self.name,
            "PACELINE_WIRE_LOG": str(folder / "wire"),
            "DJANGO_SETTINGS_MODULE": "paceline.project.settings",
        }

    @contextlib.contextmanager
    def there(self) -> Iterator[Cluster]:
        """The database exists and the carrier listens; at the end nothing is left of either, nor of the queues."""
        with psycopg.connect(self._server, autocommit=True) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{self._database}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{self._database}"')
        try:
            with self.carrier:
                yield self
        finally:
            for name in list(self._running):
                self.kill(name)
            with contextlib.suppress(AssertionError):  # a broker of the test's own may be gone
                self.python(TIDY)
            with psycopg.connect(self._server, autocommit=True) as server:
                server.execute(f'DROP DATABASE IF EXISTS "{self._database}" WITH (FORCE)')

    # --- processes --------------------------------------------------------------------------------------------

    def start(self, *names: str, concurrency: int = 1) -> None:
        """`beat…`, `chores…` and `worker…`: as `paceline up --workers` does."""
        for name in names:
            arguments = ["beat"] if name.startswith("beat") else ["worker", "--concurrency", str(concurrency)]
            if name.startswith("chores"):
                arguments.append("--chores")
            with (self.folder / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", "paceline", *arguments],
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def as_compose_gives(self, listed: dict[str, Any]) -> dict[str, tuple[list[str], dict[str, str]]]:
        """Of each service of compose.yml its command and its environment; addresses, keys and folders are our own."""
        return {name: (self._command(service), self._given(name, service)) for name, service in listed.items()}

    def _command(self, service: Any) -> list[str]:
        program, *arguments = service["command"]
        if program == "paceline":
            arguments = ["-m", program, *(str(self.port) if each == "8000" else each for each in arguments)]
        return [sys.executable, *arguments]

    def _given(self, name: str, service: Any) -> dict[str, str]:
        folder = self.folder / f"data-{name}"
        folder.mkdir(mode=0o700)
        vonage = {"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret, "base_url": self.carrier_url}
        options = vonage | {"signature_secret": ACCOUNT.signature_secret}
        ours = {
            "DATABASE_URL": self.environment["DATABASE_URL"],
            "PACELINE_BROKER_URL": self.environment["PACELINE_BROKER_URL"],
            "PACELINE_SECRET_KEY": "of-all-of-them",
            "PACELINE_INSTANCE": self.name,
            "PACELINE_PUBLIC_URL": self.url,
            "PACELINE_PROVIDERS": json.dumps({"default": {"BACKEND": "vonage", "OPTIONS": options}}),
            "PACELINE_DATA_DIR": str(folder),
            "PACELINE_WIRE_LOG": str(self.folder / "wire"),
        }
        # a variable of the service that is none of ours has its default
        given = {key: ours.get(key, _default(str(value))) for key, value in service["environment"].items()}
        django = {"DJANGO_SETTINGS_MODULE": self.environment["DJANGO_SETTINGS_MODULE"]}  # the image sets it
        return {**environment(), **given, **django}

    def kill(self, name: str) -> None:
        """SIGKILL, for its pool too."""
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def busiest_worker(self) -> str:
        """Whose pool has written most."""
        written = self.written()
        leader = os.getpgid(max(written, key=lambda pid: len(written[pid])))
        return next(name for name, process in self._running.items() if process.pid == leader)

    def drain(self, name: str, seconds: float) -> int:
        """SIGTERM, and its exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def run_as(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Any other process, which ends with the rest."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def python(self, script: str, *arguments: str) -> str:
        """What a script says that runs as one of our processes would."""
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answering(self) -> int:
        """How many Celery workers are there, that of the chores included."""
        return int(self.python(ANSWERING))

    def wake_up(self, times: int) -> None:
        """More wake-ups, five times a second."""
        self.python(WAKE_UP, str(times))

    def empty_the_broker(self) -> None:
        """Every wake-up that waits is gone; on Redis whatever else lies in that database, too."""
        self.python(EMPTY)

    def said(self) -> str:
        """The last words of all processes, for a failure's message."""
        return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(self.folder.glob("*.log")))

    # --- what there is, and what became of it -----------------------------------------------------------------

    def second_account(self) -> None:
        """Another account at the same carrier."""
        options = {"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret, "base_url": self.carrier_url}
        entry = {"BACKEND": "paceline.sms.providers.vonage.Vonage", "OPTIONS": options}
        self.environment["PACELINE_PROVIDERS"] = json.dumps({"default": entry, "second": entry})

    def queue_on_the_second(self, number: str) -> None:
        """One text on the second account, for a dispatcher to send."""
        self.python(QUEUE_ON_THE_SECOND, number)

    def campaign(self, people: int, mps: list[float], **_: Any) -> int:
        """A launched campaign for so many over these senders: its id."""
        sheet = self.folder / "people.csv"
        numbers = [f"+1{area}55501{n:02d}" for area in AREAS for n in range(100)]
        sheet.write_text("\n".join(["phone", *numbers[:people]]) + "\n")
        for n, rate in enumerate(mps):
            self.cli("sender", "add", f"+1202555{100 + n:04d}", "--mps", str(rate))
        self.cli("contacts", "import", str(sheet), "--list", "people")
        return int(self.cli("campaign", "create", "c", "--text", "Hi", "--list", "people", "--launch")["id"])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["DATABASE_URL"], autocommit=True) as database:
            return database.execute(sql).fetchall()

    def statuses(self) -> Counter[str]:
        return Counter(dict(self.rows("SELECT status, count(*) FROM paceline_textmessage GROUP BY status")))

    def is_done(self) -> bool:
        """Every campaign is finished: everybody has a row, and nothing is held, queued, leased or submitting."""
        return self.rows("SELECT count(*) FROM paceline_campaign WHERE state <> 'finished'") == [(0,)]

    def accepts(self) -> Counter[str]:
        """What the carrier took, by number."""
        return Counter(accept.number for accept in self.carrier.accepts())

    def written(self) -> dict[int, list[dict[str, Any]]]:
        """The wire logs: what each process has written, by its id."""
        logs = sorted((self.folder / "wire").glob("*.jsonl"))
        return {
            int(path.stem.rpartition("-")[2]): [json.loads(line) for line in path.read_text().splitlines()]
            for path in logs
        }

    def silence(self, at: float) -> float:
        """Seconds from the last submit before a moment to the first after it, whoever wrote them."""
        moments = [line["at"] for lines in self.written().values() for line in lines]
        after = min((moment for moment in moments if moment > at), default=math.inf)
        return float(after - max(moment for moment in moments if moment <= at))

    def busiest(self) -> dict[str, int]:
        """The most submits in any sliding second over all processes, by sender and over all."""
        times: dict[str, list[float]] = defaultdict(list)
        for line in (line for lines in self.written().values() for line in lines):
            times[line["from"]].append(line["at"])
            times["all"].append(line["at"])
        return {sender: ledger.busiest_window(sorted(moments), 1.0) for sender, moments in times.items()}

    def lost(self) -> set[str]:
        """Numbers that the carrier has not got and that we do not show as uncertain."""
        rows = self.rows("SELECT \"to\" FROM paceline_textmessage WHERE status <> 'uncertain'")
        return {number for (number,) in rows} - set(self.accepts())


def _default(value: str) -> str:
    """What compose makes of a value with a default: of "${NAME:-this}", this."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
