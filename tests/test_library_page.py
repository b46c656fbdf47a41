"""Does docs/library.md work as it is written? Each of its programs, as a program of its own, against the sandbox."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import paceline
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Running

from .test_readme import blocks

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "library.md").read_text()
PROGRAMS = blocks(PAGE, "python")


def shown(program: str) -> list[str]:
    """The output that the page shows right below a program, if any."""
    after = PAGE.partition(program)[2].removeprefix("```\n").lstrip("\n")
    return [
        line.removeprefix("    ").rstrip() for line in after.partition("\n\n")[0].splitlines() if line[:4] == "    "
    ]


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs_and_prints_what_is_shown(number: int, tmp_path: Path) -> None:
    """With nothing but the two variables of the page's beginning."""
    program = PROGRAMS[number]
    with Running(Behaviour(), ledger=tmp_path / "ledger.jsonl") as carrier:
        environment = {
            **os.environ,
            "PACELINE_PROVIDER": f"vonage+http://sandbox:sandbox-secret@{carrier.url.removeprefix('http://')}",
            "PACELINE_FROM": "+12025550100",
            "PYTHONIOENCODING": "utf-8",
        }
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    assert (done.returncode, done.stderr) == (0, "")
    if shown(program):
        assert [line.rstrip() for line in done.stdout.splitlines()] == shown(program)
    sends = re.search(r"send(_many)?\(", program) is not None
    assert bool(carrier.accepts()) == sends
    assert carrier.judge().duplicates == 0


def test_defaults_are_those_of_the_code() -> None:
    """The two tables of options name every parameter, with its default."""
    for cls, heading in ((paceline.Client, "## A client"), (paceline.otp.Verifier, "## One-time codes")):
        section = PAGE.partition(heading)[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", section, re.MULTILINE)
        told = {}
        for names, values in rows:
            given = values.split(", ")
            for index, name in enumerate(re.findall(r"`(\w+)`", names)):
                told[name] = given[index] if index < len(given) else ""
        parameters = inspect.signature(cls).parameters
        assert set(told) == set(parameters)
        for name, parameter in parameters.items():
            if isinstance(parameter.default, (int, float)):
                assert float(told[name]) == parameter.default, name


def test_every_outcome_and_error_is_explained() -> None:
    """Each status of a result has its row, each error its line."""
    assert set(re.findall(r"^\| `([a-z ]+)` \|.*\| (?:yes|no) \|$", PAGE, re.MULTILINE)) == set(paceline.Outcome)
    for name in paceline.__all__:
        thing = getattr(paceline, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert re.search(rf"\b{name}\b", PAGE.partition("## Errors, all of them")[2]), name
