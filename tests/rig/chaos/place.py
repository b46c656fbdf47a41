"""What is there for one run? A folder, a database of its own, ports, and the simulated carrier as a process."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.wires.vonage import Vonage

ACCOUNT = Vonage(api_key="abcd1234", api_secret="not-a-secret-0", signature_secret="not-a-secret-1" * 3)
FAULTS = {
    "latency": 0.05,
    "latency_min": 0.01,
    "throttle": 0.03,
    "reset": 0.03,
    "hang": 0.015,
    "error": 0.03,
    "garbage": 0.01,
    "redirect": 0.005,
    "accept_reset": 0.03,
    "accept_hang": 0.015,
    "accept_error": 0.03,
    "accept_garbage": 0.01,
    "hang_seconds": 5.0,
    "refused": 0.01,
    "report_delay": 0.5,
    "undelivered": 0.05,
    "opted_out": 0.01,
    "early": 0.1,
    "late": 0.05,
    "late_seconds": 3.0,
    "duplicated": 0.2,
    "reordered": 0.2,
    "missing": 0.03,
    "forged": 0.03,
    "replies": 0.05,
    "stops": 0.02,
}
"""Everything the sandbox can do to us at once; hanging connections are broken off later than we wait."""

TMPFS_BYTES = 192 * 2**20
HELD_BACK = 64 * 1024
"""What a full disk still takes: less than one claim's page changes, more than nothing."""


@dataclass(slots=True)
class Place:
    """`database_url` and `provider` go into the environment before Django is set up."""

    db: str
    seed: int
    recipients: int
    look_up: bool
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="paceline-chaos-")))
    web_port: int = field(default_factory=lambda: supervisor.port(0))
    carrier_port: int = field(default_factory=lambda: supervisor.port(0))
    cluster: Cluster | None = None
    can_fill: bool = False
    carrier: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def wire(self) -> Path:
        return self.folder / "wire"

    @property
    def ledger(self) -> Path:
        return self.folder / "carrier.jsonl"

    @property
    def webhooks(self) -> str:
        return f"http://127.0.0.1:{self.web_port}/webhooks/default"

    @property
    def behaviour(self) -> Behaviour:
        trouble = {"unauthorized_after": self.recipients // 2, "trouble_requests": 3}
        return Behaviour(seed=self.seed, lookup=self.look_up, **FAULTS, **trouble)

    def open(self, account_mps: float) -> None:
        """Makes the folders and the database, and sets the environment that the product's settings read."""
        for each in (self.data, self.wire, self.folder / "log"):
            each.mkdir(mode=0o700)
        if self.db == "postgres":
            self.cluster = Cluster(self.folder / "postgres", supervisor.port(0))
            self.cluster.create()
            url = self.cluster.url
        else:
            self.can_fill = _mount(self.data)
            url = f"sqlite:///{self.data / 'paceline.sqlite3'}"
        provider = {
            "BACKEND": "paceline.sandbox.provider.VonageWithLookup" if self.look_up else "vonage",
            "OPTIONS": {
                "api_key": ACCOUNT.api_key,
                "api_secret": ACCOUNT.api_secret,
                "signature_secret": ACCOUNT.signature_secret,
                "base_url": f"http://127.0.0.1:{self.carrier_port}",
            },
            "MPS": account_mps,
        }
        ours = ("PACELINE_", "VONAGE_", "DATABASE_", "DJANGO_")
        for name in [name for name in os.environ if name.startswith(ours)]:
            del os.environ[name]
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "paceline.project.settings",
            "PACELINE_DATA_DIR": str(self.data),
            "PACELINE_SECRET_KEY": "only-for-the-rig",
            "PACELINE_PROVIDERS": json.dumps({"default": provider}),
            "DATABASE_URL": url,
        }

    def start_carrier(self) -> None:
        """The simulated carrier: never killed, for its log is the truth; but it may be stopped for a moment."""
        flags = {field.name: getattr(self.behaviour, field.name) for field in fields(Behaviour)}
        arguments = [
            *_flags(flags),
            *_flags({"api_key": ACCOUNT.api_key, "api_secret": ACCOUNT.api_secret}),
            *_flags({"signature_secret": ACCOUNT.signature_secret, "ledger": self.ledger, "port": self.carrier_port}),
            *_flags({"status_url": f"{self.webhooks}/status", "inbound_url": f"{self.webhooks}/inbound"}),
        ]
        log = (self.folder / "log" / "carrier.log").open("ab")
        self.carrier = subprocess.Popen([sys.executable, "-m", "paceline.sandbox", *arguments], stdout=log, stderr=log)
        while not self.ask("health"):
            time.sleep(0.02)

    def ask(self, what: str) -> Any:
        """What the carrier says of itself; None when it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.carrier_port}/sandbox/{what}", timeout=5) as answer:
                return answer.read() if what == "health" else json.load(answer)
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """No room for the database until the block ends."""
        filler = self.data / "filler"
        room = shutil.disk_usage(self.data).free - HELD_BACK
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, room))
        try:
            yield
        finally:
            filler.unlink()

    def close(self, keep: bool) -> None:
        if self.carrier is not None:
            self.carrier.kill()
            self.carrier.wait()
        if self.cluster is not None:
            self.cluster.stop()
        if self.can_fill:
            if keep:
                shutil.copytree(self.data, self.folder / "data of the run")
            subprocess.run(["umount", "-l", str(self.data)], check=False)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def _flags(values: dict[str, Any]) -> list[str]:
    found = []
    for name, value in values.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            found.append(option if value else option.replace("--", "--no-", 1))
        elif value not in ((), None):
            found.append(f"{option}={value}")
    return found


def _mount(folder: Path) -> bool:
    """A small disk that can be filled, where the system lets us have one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES},mode=700", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@dataclass(slots=True)
class Cluster:
    """A throw-away PostgreSQL, which may be restarted the hard way. Its commits are synchronous, as by default."""

    folder: Path
    port: int
    user: str | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Raises `FileNotFoundError` when PostgreSQL is not installed here."""
        self.folder.mkdir(mode=0o700)
        if os.geteuid() == 0:  # the server refuses to be root
            self.user = "postgres"
            self.folder.parent.chmod(0o711)
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()

    def start(self) -> None:
        """Answers when it does."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def restart(self) -> subprocess.Popen[bytes]:
        """As after a crash: no goodbye to anybody, and the log is replayed."""
        return subprocess.Popen(self._command("pg_ctl", "restart", "-w", "-m", "immediate"), **self._quietly())

    def stop(self) -> None:
        subprocess.run(self._command("pg_ctl", "stop", "-m", "immediate"), check=False, **self._quietly())

    def _run(self, *command: str) -> None:
        subprocess.run(self._command(*command), check=True, **self._quietly())

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(binaries() / program), "-D", str(self.folder / "data"), *arguments]

    def _quietly(self) -> dict[str, Any]:
        known = pwd.getpwnam(self.user) if self.user else None
        who = {"user": known.pw_uid, "group": known.pw_gid, "extra_groups": []} if known else {}
        return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **who}


def binaries() -> Path:
    """Where PostgreSQL's programs are. Raises `FileNotFoundError`."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    raise FileNotFoundError("PostgreSQL's server programs are not installed here")
