"""A whole installation for a test: a folder, the simulated carrier, and `paceline up` as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from paceline.messaging import secrets
from paceline.project import supervisor
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running
from paceline.sandbox.wires.vonage import Vonage

SECRETS = {"PACELINE_SECRET_KEY": 32}
ACCOUNT = Vonage(api_key="abcd1234", api_secret="not-a-secret-0", signature_secret="not-a-secret-1" * 3)


def environment() -> dict[str, str]:
    """This process's environment without anything that concerns Paceline: as a new user has it."""
    ours = ("PACELINE_", "VONAGE_", "DATABASE_", "DJANGO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class Installation:
    """`cli` runs a command, `up` the processes, `carrier` is the ground truth."""

    def __init__(self, folder: Path, behaviour: Behaviour | None = None) -> None:
        self.folder = folder
        self.port = supervisor.port(0)
        self.url = f"http://127.0.0.1:{self.port}"
        carrier_port = supervisor.port(0)
        self.carrier = Running(
            behaviour or Behaviour(report_delay=0.2),
            ledger=folder / "carrier.jsonl",
            wire=ACCOUNT,
            port=carrier_port,
            status_url=f"{self.url}/webhooks/default/status",
            inbound_url=f"{self.url}/webhooks/default/inbound",
        )
        self.environment = environment() | {
            "PACELINE_DATA_DIR": str(folder),
            "VONAGE_API_KEY": ACCOUNT.api_key,
            "VONAGE_API_SECRET": ACCOUNT.api_secret,
            "VONAGE_SIGNATURE_SECRET": ACCOUNT.signature_secret,
            "VONAGE_BASE_URL": f"http://127.0.0.1:{carrier_port}",
        }
        secrets.ensure(folder, SECRETS)

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`paceline ARGUMENTS`, to its end."""
        command = [sys.executable, "-m", "paceline", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120, **options)

    def cli(self, *arguments: str) -> Any:
        """`paceline ARGUMENTS --json`, which must succeed; its value."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def up(self) -> Iterator[subprocess.Popen[bytes]]:
        """Web server and dispatcher, until the block ends; they drain."""
        command = [sys.executable, "-m", "paceline", "up", "--port", str(self.port)]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)
        try:
            until(lambda: self.answers("/login/"), 30)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def post(self, path: str, body: Any, key: str) -> tuple[int, Any]:
        """POSTs JSON with an API key: (status, answer)."""
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def wire(self) -> list[dict[str, Any]]:
        """The wire log: when each request was written."""
        path = self.folder / "wire.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, campaign: int, state: str = "finished", seconds: float = 60) -> Any:
        """The campaign's account once it is in that state."""
        account: Any = None

        def there() -> bool:
            nonlocal account
            account = self.cli("campaign", "show", str(campaign))
            return bool(account["state"] == state)

        until(there, seconds)
        return account


def until(ready: Any, seconds: float) -> None:
    """Waits for a condition; fails when it does not come true in time."""
    give_up_at = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < give_up_at, f"not within {seconds} s"
        time.sleep(0.05)
