"""The pace that listens, with real processes: people answer over HTTP, a team closes, and the line holds on record."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paceline.sandbox.behaviour import Behaviour

from .installation import Installation, until

LINE = 12

TEAM = """
import django, time
django.setup()
from paceline.messaging import conversations
while True:
    first = conversations.waiting().first()
    if first is not None and conversations.close(first, "team"):
        time.sleep(4.0)
    else:
        time.sleep(0.1)
"""
"""Fifteen a minute, one after another; who waits longest is next."""


@pytest.mark.rig
@pytest.mark.slow
def test_the_line_holds_by_the_databases_own_record(tmp_path: Path) -> None:
    """200 people of whom one in seven answers soon, a team of fifteen a minute: never more than 12 are open."""
    place = Installation(tmp_path, Behaviour(report_delay=0.1, replies=0.15, reply_delay=4.0, seed=3))
    sheet = tmp_path / "people.csv"
    areas = ("206", "415", "212", "312")
    sheet.write_text("phone\n" + "".join(f"+1{areas[n // 50]}55501{n % 50:02}\n" for n in range(200)))
    place.cli("sender", "add", "+12025550100", "--mps", "40")
    place.cli("contacts", "import", str(sheet), "--list", "people")
    flags = ("--line", str(LINE), "--replies-per-hour", "900", "--reply-guess", "0.15")
    campaign = place.cli("campaign", "create", "listens", "--text", "Hi", "--list", "people", *flags, "--launch")["id"]

    with place.carrier, place.up():
        environment = place.environment | {"DJANGO_SETTINGS_MODULE": "paceline.project.settings"}
        team = subprocess.Popen([sys.executable, "-c", TEAM], env=environment)
        try:
            began = time.monotonic()
            until(lambda: state(place) == "finished", 400)
            took = time.monotonic() - began
            account = place.cli("campaign", "show", str(campaign))
            place.carrier.settle(60)  # 4 s is the mean of a reply's delay: the last one may take its time
            time.sleep(2)
        finally:
            team.kill()
            team.wait()
    spells, samples = record(place)
    most = highest(spells)

    assert account["submitted"] == 200
    assert len(spells) > LINE, "more answered than the line would hold at once"
    assert most <= LINE
    assert samples > 2
    print(f"{len(spells)} answered, at most {most} of {LINE} open, sent in {took:.0f} s", file=sys.stderr)


def database(place: Installation) -> sqlite3.Connection:
    return sqlite3.connect(next(place.folder.glob("*.sqlite3")))


def state(place: Installation) -> str:
    time.sleep(0.5)
    with database(place) as tables:
        return str(tables.execute("SELECT state FROM paceline_campaign").fetchone()[0])


def record(place: Installation) -> tuple[list[tuple[str, str | None]], int]:
    with database(place) as tables:
        spells = tables.execute("SELECT opened_at, closed_at FROM paceline_spell").fetchall()
        return spells, tables.execute("SELECT count(*) FROM paceline_backlogsample").fetchone()[0]


def highest(spells: list[tuple[str, str | None]]) -> int:
    """The most that were open at one moment."""
    steps = [(opened, 1) for opened, _ in spells] + [(closed, -1) for _, closed in spells if closed]
    level = most = 0
    for _, step in sorted(steps):
        level += step
        most = max(most, level)
    return most
