"""The command that finds out what is wrong."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from .common import FAILED, as_json, data_dir, installed, say


@click.command()
@click.option("--unblock", is_flag=True, help="Open blocked accounts and senders again, after mending the cause.")
@as_json
@installed
def doctor(unblock: bool, as_json: bool) -> None:
    """Says what keeps this installation from sending, and the fix.

    Exit code 1 when there is something to fix.
    """
    from paceline.project import health

    found = [*(health.unblock() if unblock else ()), *health.findings(data_dir())]
    lines = [
        f"{'ok  ' if each.well else 'FIX '} {each.about}: {each.words}" + (f"\n       → {each.fix}" if each.fix else "")
        for each in found
    ]
    say([asdict(each) for each in found], as_json, lines)
    sys.exit(0 if all(each.well for each in found) else FAILED)
