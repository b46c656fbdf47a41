"""Commands about texts of which nobody knows whether the provider took them."""

from __future__ import annotations

import sys
from typing import Any

import click

from .common import UNSAFE, WRONG_USAGE, as_json, fail, installed, say

LISTED = 200
OF_CAMPAIGN = click.option("--campaign", "campaign_id", metavar="ID", help="Only of this campaign, by number or name.")


@click.group(invoke_without_command=True)
@click.pass_context
def uncertain(ctx: click.Context) -> None:
    """List, look up or resend texts nobody is sure of."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@uncertain.command("list")
@OF_CAMPAIGN
@as_json
@installed
def list_(campaign_id: str | None = None, as_json: bool = False) -> None:
    """Shows them, the oldest first.

    With what is known, and when the provider is asked next.
    """
    found = _found(campaign_id)
    total = found.count()
    fields = ("reference", "to", "frm", "campaign", "submitted_at", "look_ups", "look_up_at", "code", "reason")
    rows = list(found.order_by("pk").values(*fields)[:LISTED])
    for row in rows:
        row["number"], row["sender"] = row.pop("to"), row.pop("frm")
    lines = [
        f"{row['reference']}  {row['number']:<16} "
        f"{'campaign ' + str(row['campaign']) if row['campaign'] else 'direct'}  {row['reason'] or 'no answer'}"
        for row in rows
    ]
    if total > LISTED:
        lines.append(f"… and {total - LISTED} more")
    say(rows, as_json, lines or "None")


@uncertain.command()
@click.argument("references", metavar="[REFERENCE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are uncertain, or all of --campaign.")
@OF_CAMPAIGN
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@installed
def resend(references: tuple[str, ...], everything: bool, campaign_id: str | None, yes: bool, as_json: bool) -> None:
    """Sends them again: some people may get it twice.

    Whatever became of the first submit. A report that comes later still counts for it.
    """
    from paceline.messaging import reconcile

    ids = _chosen(references, everything, campaign_id)
    if ids and not yes:
        click.echo(
            f"{len(ids)} texts are uncertain: the provider may have taken any of them. Who has got it already gets it "
            "twice. A report that comes later still counts for the first.",
            err=True,
        )
        if not sys.stdin.isatty():
            fail("Nothing was sent. To resend, say --yes too", UNSAFE)
        if not click.confirm(f"Send {len(ids)} again?", err=True):
            fail("Nothing was sent again")
    count = reconcile.resend(ids)
    left = len(ids) - count
    also = f"; {left} stay as they are: settled meanwhile, or of a cancelled campaign" if left else ""
    say({"resent": count, "left": left}, as_json, f"{count} are queued again{also}")


@uncertain.command("look-up")
@click.argument("references", metavar="[REFERENCE]...", nargs=-1)
@OF_CAMPAIGN
@as_json
@installed
def look_up(references: tuple[str, ...], campaign_id: str | None, as_json: bool) -> None:
    """Asks the providers about them now.

    Nothing is sent again that has not been uncertain for the settle time.
    """
    from paceline.messaging import reconcile
    from paceline.messaging.clock import Clock
    from paceline.messaging.models import TextMessage

    ids = _chosen(references, not references, campaign_id)
    clock = Clock()
    clock.sync()
    reconciler = reconcile.Reconciler(clock)
    try:
        for start in range(0, len(ids), LISTED):
            part = TextMessage.objects.filter(pk__in=ids[start : start + LISTED]).select_related("sender__account")
            reconciler.ask_now(part)
    finally:
        reconciler.close()
    counts = {word: reconciler.found[word] for word in ("found", "absent", "unknown", "unanswered")}
    words = (
        f"{counts['found']} the provider has, {counts['absent']} it has not (they are sent again), "
        f"{counts['unknown']} it cannot tell, {counts['unanswered']} without an answer"
    )
    say(counts, as_json, words)


def _found(campaign_id: str | None) -> Any:
    from paceline.messaging import reconcile

    from .campaigns import _get

    return reconcile.uncertain(_get(campaign_id) if campaign_id else None)


def _chosen(references: tuple[str, ...], everything: bool, campaign_id: str | None) -> list[int]:
    found = _found(campaign_id)
    if everything == bool(references):
        fail("Give references (paceline uncertain list shows them), or --all", WRONG_USAGE)
    if references:
        known = dict(found.filter(reference__in=references).values_list("reference", "pk"))
        if unknown := [each for each in references if each not in known]:
            fail(f"Not uncertain: {', '.join(unknown[:5])}; paceline uncertain list shows which are", WRONG_USAGE)
        return sorted(known.values())
    return list(found.order_by("pk").values_list("pk", flat=True))
