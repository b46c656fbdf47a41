"""Does the engine keep its promises in every world that the simulation can think of?

Each run is a process of its own: the simulation takes over the clocks of the one it is in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(900)


def faults(root: Path, *arguments: str, seconds: int = 880, **environment: str) -> subprocess.CompletedProcess[str]:
    """`./run faults ARGUMENTS`, to its end."""
    command = [sys.executable, "-m", "tests.rig.faults", *arguments]
    return subprocess.run(
        command, cwd=root, env=os.environ | environment, capture_output=True, text=True, timeout=seconds
    )


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    print(done.stdout)
    return json.loads(done.stdout.splitlines()[-1])


def test_forty_worlds_without_a_broken_promise(root: Path) -> None:
    """Crashes, stops, faults of the carrier, people: nothing twice, nothing lost, no limit exceeded, people obeyed."""
    done = faults(root, "--seeds", "40", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    assert report(done)["faults"] > 100


@pytest.mark.rig
def test_as_many_worlds_as_fit_a_minute(root: Path) -> None:
    """Five hundred, on a machine of any speed; none that the short test has seen."""
    done = faults(root, "--seeds", "500", "--first", "1001", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    told = report(done)
    assert told["seeds"] >= 500
    assert told["broken"] == 0
    assert told["faults"] > 1000


def test_the_same_seed_is_the_same_run(root: Path) -> None:
    """Whatever Python's own randomness is, so that a seed is all it takes to repeat a failure."""
    once = faults(root, "--seed", "3", "--trace", PYTHONHASHSEED="1")
    again = faults(root, "--seed", "3", "--trace", PYTHONHASHSEED="2")

    assert "fingerprint" in once.stdout, once.stderr
    assert once.stdout == again.stdout
