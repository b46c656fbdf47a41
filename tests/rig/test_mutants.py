"""Does the simulation bite? Every named bug is found, and the engine without it keeps the same promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutants import MUTANTS
from .test_faults import faults

pytestmark = pytest.mark.timeout(900)
QUICK = ("at-least-once", "checkpoint-at-fetch", "report-overwrites")


def test_three_bugs_are_found(root: Path) -> None:
    """The two shapes that others have, and a bug in the reports."""
    done = faults(root, "--mutant", *QUICK)

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("found after") == len(QUICK)


@pytest.mark.rig
def test_every_bug_is_found(root: Path) -> None:
    """Within 400 worlds, by a promise that the engine without the bug keeps there; after how many is printed."""
    done = faults(root, "--mutant", "all")

    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("found after") == len(MUTANTS) >= 14
