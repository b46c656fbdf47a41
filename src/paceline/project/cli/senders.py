"""Commands about the numbers we send from."""

from __future__ import annotations

from typing import Any

import click

from .common import WRONG_USAGE, as_json, fail, installed, say
from .values import PER, Count, Rate
from .values import sender as as_sender

MPS = Rate()


class DailyCap(Count):
    """Submits per day, or the word none."""

    name = "integer or none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return "none" if value == "none" else super().convert(value, param, ctx)


@click.group()
def sender() -> None:
    """Add, list, change or remove the numbers that texts come from."""


@sender.command()
@click.argument("number")
@click.option("--mps", type=MPS, help="Units per second, or as 20/min; default 1, or what it has.")
@PER
@click.option("--daily-cap", type=DailyCap(), help="Submits per day (UTC); default none, or what it has.")
@click.option("--account", default="default", show_default=True, help="The provider's alias in the settings.")
@as_json
@installed
def add(
    number: str, mps: float | None, per: str | None, daily_cap: int | str | None, account: str, as_json: bool
) -> None:
    """Adds NUMBER, or changes it. One that was removed or blocked is opened again."""
    from django.conf import settings

    from paceline.messaging import accounts, lanes, senders
    from paceline.sms.errors import InvalidNumber

    try:
        number = senders.spelled(number, settings.PACELINE["REGION"])
    except InvalidNumber as error:
        fail(f"{number!r} is no sender. {error}", WRONG_USAGE)
    if account not in accounts.configured():
        known = ", ".join(sorted(accounts.configured())) or "none"
        fail(f"No provider has the alias {account!r} (aliases: {known}); PACELINE_PROVIDERS has them", WRONG_USAGE)
    through = accounts.get(account)
    before = senders.everyone().filter(account=through, number=number).first()
    if mps is None:
        mps = before.mps if before else 1.0
    if daily_cap is None and before:
        daily_cap = before.daily_cap
    cap = None if daily_cap == "none" else daily_cap
    added, created = senders.add(through, number, mps=mps, unit=per, daily_cap=cap)
    said = f"{added} {'added' if created else 'is open'} at {lanes.in_words(added)} on {account}"
    say(_value(added), as_json, said)


@sender.command("list")
@as_json
@installed
def list_(as_json: bool) -> None:
    """Shows the senders with their limits and contacts."""
    from django.db.models import Count

    from paceline.messaging import engine, lanes, senders

    everyone = list(senders.everyone().annotate(loads=Count("contacts")))
    found = [_value(each) | {"contacts": each.loads} for each in everyone]
    now = engine.now()
    lines = [
        f"{each['number']:<16} {lanes.in_words(sender, now):<14} {each['contacts']:>7} contacts  {each['account']}"
        + (f"  at most {each['daily_cap']} a day" if each["daily_cap"] else "")
        + ("  removed" if each["removed"] else "")
        + (f"  blocked: {each['blocked']}" if each["blocked"] else "")
        for sender, each in zip(everyone, found, strict=True)
    ]
    say(found, as_json, lines or "No senders yet; add one with: paceline sender add NUMBER")


@sender.command()
@click.argument("number")
@click.argument("mps", type=MPS)
@PER
@as_json
@installed
def limit(number: str, mps: float, per: str | None, as_json: bool) -> None:
    """Changes the pace of NUMBER to MPS units a second (or as 20/min).

    It takes effect within a second, and campaigns go on.
    """
    from paceline.messaging import engine, lanes

    found = as_sender(number)
    lanes.set_rate(found, mps, engine.now(), unit=per)
    found.refresh_from_db()
    say(_value(found), as_json, f"{found} goes at {lanes.in_words(found)} from its next slot on")


@sender.command()
@click.argument("number")
@as_json
@installed
def remove(number: str, as_json: bool) -> None:
    """Stops NUMBER and gives what it had to the others, evenly.

    What it had: contacts and messages that wait. What is on the wire finishes.
    """
    from paceline.messaging import senders

    found = as_sender(number)
    moved = senders.remove(found)
    lines = [f"{found} removed; {moved} contacts moved"]
    if not senders.active():
        lines.append("No sender is left: what waits goes on when you add one with: paceline sender add NUMBER")
    say({"number": found.number, "contacts_moved": moved}, as_json, lines)


def _value(sender: Any) -> dict[str, Any]:
    from paceline.messaging import engine, lanes

    return {
        "number": sender.number,
        "account": sender.account.alias,
        "mps": sender.mps,
        "unit": sender.unit,
        "learned": round(lanes.learned(sender, engine.now()), 3),
        "daily_cap": sender.daily_cap,
        "blocked": sender.blocked or sender.account.blocked,
        "removed": sender.removed_at is not None,
    }
