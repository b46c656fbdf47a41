"""kill -9 of the dispatcher while texts are on the wire, and the proof that this rig finds a double."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from paceline.sandbox.behaviour import Behaviour

from ..installation import Installation, until

PEOPLE = 150
KILLS = 5


def campaign_under_kills(folder: Path, *shape: str) -> Counter[str]:
    """Sends to 150 people with a carrier that takes 0.2 s to answer, under five kills: accepts by number."""
    rng = random.Random(3)
    place = Installation(folder, Behaviour(latency_min=0.2))
    sheet = folder / "people.csv"
    sheet.write_text(
        "phone\n"
        + "".join(f"+1206555{n:04d}\n" for n in range(100, 200))
        + "".join(f"+1415555{n:04d}\n" for n in range(100, PEOPLE))
    )
    place.cli("sender", "add", "+12025550100", "--mps", "40")
    place.cli("contacts", "import", str(sheet), "--list", "people")
    campaign = place.cli("campaign", "create", "crash", "--text", "Hi", "--list", "people", "--launch")["id"]
    command = [sys.executable, str(Path(__file__).with_name("crasher.py")), *shape]
    with place.carrier:
        for kill in range(KILLS + 1):
            before = len(place.carrier.accepts())
            dispatcher = subprocess.Popen(command, env=place.environment)
            try:
                if kill < KILLS:
                    goal = before + rng.randrange(10)
                    until(lambda: len(place.carrier.accepts()) > goal or dispatcher.poll() is not None, 20)
                else:
                    place.wait_for(campaign, seconds=40)
            finally:
                dispatcher.send_signal(signal.SIGKILL)
                dispatcher.wait()
        return Counter(accept.number for accept in place.carrier.accepts())


@pytest.mark.slow
def test_a_dispatcher_killed_with_texts_on_the_wire_repeats_none(tmp_path: Path) -> None:
    """At most one submit each: what was on the wire becomes uncertain, never queued."""
    accepts = campaign_under_kills(tmp_path)

    assert max(accepts.values()) == 1


@pytest.mark.slow
def test_the_rig_bites(tmp_path: Path) -> None:
    """The same kills with a rescue that sends `submitting` again: the carrier's log shows doubles."""
    accepts = campaign_under_kills(tmp_path, "at-least-once")

    assert max(accepts.values()) > 1
