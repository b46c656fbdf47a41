"""Commands about copies of the database: make one, put one in place, say whether it may send."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .common import UNSAFE, as_json, data_dir, fail, installed, say

ELSEWHERE = {
    "postgresql": "pg_dump makes a copy of PostgreSQL, pg_restore puts it in place",
    "mysql": "mariadb-dump makes a copy of MariaDB, mariadb puts it in place",
}
NOTICED = (
    "Stop everything first: the next dispatcher on this data folder sees that the database is older, and sends nothing"
)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
@installed
def backup(file: Path, as_json: bool) -> None:
    """Copies the database into FILE.

    Also while texts are being sent. SQLite only.
    """
    from django.db import connection

    _must_be_sqlite(connection.vendor, "")
    if file.exists():
        fail(f"{file} is there already; give another name")
    with connection.cursor():
        _copy(connection.connection, file)
    value = {"file": str(file), "bytes": file.stat().st_size}
    say(value, as_json, f"{file}: {value['bytes']:,} bytes. To put it in place: paceline restore {file}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@installed
def restore(file: Path, as_json: bool) -> None:
    """Puts the copy in FILE in the database's place.

    Only while nothing runs. SQLite only. The database of now is kept beside it. Nothing is sent before
    `paceline confirm`: what waits in the copy may have been sent since it was made.
    """
    from django.db import connection, connections

    from paceline.dispatcher import embedded
    from paceline.messaging import installation

    from .common import migrate

    _must_be_sqlite(connection.vendor, f". {NOTICED} until: paceline confirm")
    place = Path(connection.settings_dict["NAME"])
    with embedded.only_one(data_dir()):
        connections.close_all()
        fresh = place.with_name(f"{place.name}.restoring")
        try:
            _read_whole(file, fresh)
            _must_be_alone(place)
            kept = place.with_name(f"{place.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
            os.link(place, kept)
            fresh.replace(place)
            installation.sync_folder(place.parent)
        finally:
            fresh.unlink(missing_ok=True)
        migrate(data_dir())  # the copy may be of an older version
        installation.stop(f"the copy {file.name} was restored")
    value = {"file": str(file), "kept": str(kept), **_stopped()}
    lines = [f"{file} is in place; the database of before is {kept}", "Nothing is sent until: paceline confirm"]
    say(value, as_json, lines)


@click.command()
@click.option("--hold", "choice", flag_value="hold", help="Send nothing that may have left since the copy (default).")
@click.option("--resume", "choice", flag_value="resume", help="This copy is the truth: send what is queued.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@installed
def confirm(choice: str | None, yes: bool, as_json: bool) -> None:
    """Opens a restored or copied database for sending.

    Shows what it would send, and asks.

    --hold makes everything uncertain that could have left since the copy was made, and pauses its campaigns: reports
    and look-ups settle it, and `paceline uncertain` resends what remains. --resume sends what is queued, for a database
    that was only moved: what was sent since the copy leaves a second time.
    """
    from paceline.messaging import installation, suppressions

    suppressions.require_key()  # no confirmation would open it
    found = installation.prospect()
    if not found.why and not choice:
        say(asdict(found), as_json, "Nothing stands in the way of sending; there is nothing to confirm")
        return
    choice = choice or "hold"
    if not yes:
        for line in _what_would_happen(found, choice):
            click.echo(line, err=True)
        if not sys.stdin.isatty():
            fail("Nothing was changed. To do this, say --yes too, with --hold or --resume", UNSAFE)
        if not click.confirm("Go on?", err=True):
            fail("Nothing was changed, and nothing is sent", UNSAFE)
    held = 0
    if choice == "hold":
        held = installation.hold(data_dir())
        words = f"Open again. {held} texts are uncertain and are not sent by themselves: paceline uncertain list"
    else:
        installation.resume(data_dir())
        words = "Open again. What is queued is sent"
    say({"choice": choice, "uncertain": held}, as_json, words)


def _what_would_happen(found: Any, choice: str) -> list[str]:
    lines = [f"Nothing is sent now: {found.why}" if found.why else "This database is sending at the moment."]
    if found.since:
        lines.append(f"The newest text that it knows was made at {found.since}.")
    could = f"{found.next_to_leave} texts next to leave, {found.not_released} held by {found.campaigns} campaigns"
    if choice == "hold":
        lines.append(f"Could have left since: {could}. They become uncertain, and the campaigns are paused.")
    else:
        lines.append(f"Goes on as if nothing had left since: {could}. Whoever was texted since is texted again.")
    lines.append(
        f"Stays as it is: {found.later} texts for a later moment, {found.drafts} drafts (look at those first)."
    )
    return lines


def _stopped() -> dict[str, str]:
    from paceline.messaging import installation

    return {"stopped": installation.guard()}


def _must_be_sqlite(vendor: str, also: str) -> None:
    if vendor != "sqlite":
        fail(f"This is for SQLite. {ELSEWHERE.get(vendor, 'Use the tools of this database')}{also}")


def _copy(source: sqlite3.Connection, file: Path) -> None:
    """Copies page by page what is committed at this moment; the file is whole or not there."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    from paceline.messaging import installation

    try:
        with contextlib.closing(sqlite3.connect(beside)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, complete in itself
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(file)
        installation.sync_folder(file.absolute().parent)
    finally:
        beside.unlink(missing_ok=True)


def _read_whole(file: Path, into: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True)) as source:
            words = source.execute("PRAGMA quick_check(1)").fetchone()[0]
            known = source.execute("SELECT count(*) FROM sqlite_master WHERE name = 'paceline_textmessage'").fetchone()[
                0
            ]
            if words != "ok" or not known:
                fail(f"{file} is no copy of a Paceline database" if words == "ok" else f"{file} is damaged: {words}")
            _copy(source, into)
    except sqlite3.DatabaseError as error:
        fail(f"{file} is no copy of a Paceline database ({error})")


def _must_be_alone(place: Path) -> None:
    """Writes back the log and leaves WAL, which SQLite only does for the last connection."""
    try:
        with contextlib.closing(sqlite3.connect(place, timeout=2)) as last:
            last.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        fail(
            f"Something still works with {place}; stop it (paceline up, web servers, shells) and restore again", UNSAFE
        )
