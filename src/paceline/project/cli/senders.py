"""Commands about the numbers we send from."""

from __future__ import annotations

from typing import Any

import click

from .common import as_json, installed, say


@click.group()
def sender() -> None:
    """Add, list, change or remove the numbers that texts come from."""


@sender.command()
@click.argument("number")
@click.option("--mps", default=1.0, show_default=True, type=click.FloatRange(0.001, 10000), help="Messages per second.")
@click.option("--daily-cap", type=click.IntRange(1), help="Submits per day (UTC); default none.")
@click.option("--account", default="default", show_default=True, help="The provider's alias in the settings.")
@as_json
@installed
def add(number: str, mps: float, daily_cap: int | None, account: str, as_json: bool) -> None:
    """Adds NUMBER (or opens it again when it was removed or blocked, with these limits)."""
    from django.conf import settings

    from paceline.messaging import accounts, senders

    number = senders.spelled(number, settings.PACELINE["REGION"])
    added, created = senders.add(accounts.get(account), number, mps=mps, daily_cap=daily_cap)
    say(_value(added), as_json, f"{added} {'added' if created else 'is open'} at {mps:g} a second on {account}")


@sender.command("list")
@as_json
@installed
def list_(as_json: bool) -> None:
    """The senders with their limits and how many contacts hear from each."""
    from django.db.models import Count

    from paceline.messaging import senders

    found = [_value(each) | {"contacts": each.loads} for each in senders.everyone().annotate(loads=Count("contacts"))]
    lines = [
        f"{each['number']:<16} {each['mps'] or '∞':>6}/s  {each['contacts']:>7} contacts  {each['account']}"
        + ("  removed" if each["removed"] else "")
        + (f"  blocked: {each['blocked']}" if each["blocked"] else "")
        for each in found
    ]
    say(found, as_json, lines or "No senders yet; add one with: paceline sender add NUMBER")


@sender.command()
@click.argument("number")
@click.argument("mps", type=click.FloatRange(0.001, 10000))
@as_json
@installed
def limit(number: str, mps: float, as_json: bool) -> None:
    """Changes the pace of NUMBER to MPS messages a second; takes effect within a second, campaigns go on."""
    from django.conf import settings

    from paceline.messaging import engine, lanes, senders

    found = senders.get(number, settings.PACELINE["REGION"])
    lanes.set_rate(found, mps, engine.now())
    found.refresh_from_db()
    say(_value(found), as_json, f"{found} goes at {mps:g} a second from its next slot on")


@sender.command()
@click.argument("number")
@as_json
@installed
def remove(number: str, as_json: bool) -> None:
    """Stops NUMBER; its contacts and waiting messages go to the other senders, evenly."""
    from django.conf import settings

    from paceline.messaging import senders

    found = senders.get(number, settings.PACELINE["REGION"])
    moved = senders.remove(found)
    say({"number": found.number, "contacts_moved": moved}, as_json, f"{found} removed; {moved} contacts moved")


def _value(sender: Any) -> dict[str, Any]:
    return {
        "number": sender.number,
        "account": sender.account.alias,
        "mps": sender.mps,
        "daily_cap": sender.daily_cap,
        "blocked": sender.blocked or sender.account.blocked,
        "removed": sender.removed_at is not None,
    }
