"""kill -9 of everything at random moments: nobody twice, nobody lost, no limit exceeded."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from paceline.sandbox import ledger

from .installation import environment, until
from .test_demo import busiest, demo

KILLS = int(os.environ.get("PACELINE_KILLS", "5"))
SEED = int(os.environ.get("PACELINE_SEED", "1"))
MPS = 8.0 if KILLS <= 8 else 2.0


def processes(folder: Path) -> list[int]:
    """Everything that the demo has started on this folder, the supervisor among it."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if (
                process.name.isdigit()
                and str(folder).encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            ):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_campaign_survives_kill_9_of_every_process_at_random_moments(tmp_path: Path) -> None:
    """Restarted each time without delay it finishes; by the carrier's log no number got it twice.

    What cannot be known stands as uncertain, and none of that was accepted: a report settles what was.
    """
    folder, rng = tmp_path / "d", random.Random(SEED)
    command = [sys.executable, "-m", "paceline", "demo", "--headless", "--json", "--port", "0", "--mps", str(MPS)]
    hit = 0
    for _ in range(KILLS):
        running = subprocess.Popen(
            [*command, "--data-dir", str(folder)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.5, 6.0))
        hit += running.poll() is None
        for pid in processes(folder):
            os.kill(pid, signal.SIGKILL)
        running.wait()
    report = demo(folder, "--mps", str(MPS))
    print(f"{hit} of {KILLS} kills hit a running campaign", json.dumps(report), sep="\n")

    accepts = list(ledger.accepts(folder / "carrier.jsonl"))
    with sqlite3.connect(folder / "paceline.sqlite3") as database:
        status = dict(
            database.execute("SELECT reference, status FROM paceline_textmessage WHERE direction = 'outgoing'")
        )
    uncertain = {reference for reference, word in status.items() if word == "uncertain"}
    assert hit > 0
    assert max(Counter(accept.number for accept in accepts).values()) == 1
    assert report["duplicates"] == 0
    assert len(status) == 724
    assert Counter(status.values()) == Counter({"delivered": len(accepts), "uncertain": len(uncertain)}) - Counter()
    assert not uncertain & {accept.reference for accept in accepts}
    assert busiest(folder) <= MPS


def test_the_children_die_with_their_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor alone: carrier, web server, its worker and dispatcher are gone within a second."""
    folder = tmp_path / "d"
    command = [sys.executable, "-m", "paceline", "demo", "--port", "0", "--data-dir", str(folder)]
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert running.stdout is not None
    next(line for line in running.stdout if "/login/" in line)
    family = processes(folder)
    running.kill()
    running.wait()

    assert len(family) >= 5
    until(lambda: not processes(folder), 1.0)
