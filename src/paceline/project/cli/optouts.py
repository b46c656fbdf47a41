"""Commands about who may not be texted."""

from __future__ import annotations

import click

from .common import WRONG_USAGE, as_json, fail, installed, say
from .values import REGION, Text
from .values import number as as_number


@click.group()
def optout() -> None:
    """Forbid sending to a number, list who is forbidden, lift it."""


@optout.command()
@click.argument("number")
@click.option("--evidence", type=Text(), default="added by hand", show_default=True, help="How we know.")
@REGION
@as_json
@installed
def add(number: str, evidence: str, region: str | None, as_json: bool) -> None:
    """Forbids sending to NUMBER, in every campaign, from now on."""
    from paceline.messaging import suppressions

    to = as_number(number, region)
    added = suppressions.add(to, suppressions.Reason.MANUAL, evidence)
    say({"number": to, "added": added}, as_json, f"{to} {'is suppressed' if added else 'was suppressed already'}")


@optout.command("list")
@as_json
@installed
def list_(as_json: bool) -> None:
    """Shows every suppressed number with its reason and evidence."""
    from paceline.messaging.models import Suppression

    found = list(Suppression.objects.order_by("created_at").values("number", "reason", "evidence", "created_at"))
    lines = [f"{s['number']:<16} {s['created_at']:%Y-%m-%d %H:%M}  {s['reason']:<8}  {s['evidence']}" for s in found]
    say(found, as_json, lines or "Nobody is suppressed")


@optout.command()
@click.argument("number")
@REGION
@as_json
@installed
def remove(number: str, region: str | None, as_json: bool) -> None:
    """Allows texts to NUMBER again; only when the person has asked."""
    from paceline.messaging import suppressions

    to = as_number(number, region)
    if not suppressions.remove(to):
        fail(f"{to} is not suppressed; paceline optout list shows who is", WRONG_USAGE)
    say({"number": to, "removed": True}, as_json, f"{to} may be texted again")
