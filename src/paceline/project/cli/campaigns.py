"""Commands about campaigns."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .common import as_json, fail, installed, say
from .watching import duration, in_words, progress_bar

ID = click.argument("campaign_id", metavar="ID")
BATCH_SIZE = click.option("--batch-size", type=click.IntRange(1), help="Recipients per tranche; default: all at once.")
DELAY = click.option(
    "--delay-period", default=0.0, type=click.FloatRange(0), help="Seconds from a tranche's last submit to the next."
)


@click.group()
def campaign() -> None:
    """Create, launch, watch and steer campaigns. ID is a campaign's number or its name."""


@campaign.command()
@click.argument("name")
@click.option("--text", help='The text; fields as {{ full_name }} or {{ full_name|default("there") }}.')
@click.option("--text-file", type=click.Path(dir_okay=False, path_type=Path), help="Read the text from a file.")
@click.option("--list", "list_name", required=True, help="The list of contacts it goes to.")
@click.option("--from", "frm", help="One sender for all; default: each contact's own.")
@BATCH_SIZE
@DELAY
@click.option("--at", "at", help="Start then: an ISO date with its zone, 2026-12-01T09:00+00:00.")
@click.option("--launch", "launch_now", is_flag=True, help="Launch it at once.")
@as_json
@installed
def create(
    name: str,
    text: str | None,
    text_file: Path | None,
    list_name: str,
    frm: str | None,
    batch_size: int | None,
    delay_period: float,
    at: str | None,
    launch_now: bool,
    as_json: bool,
) -> None:
    """Drafts a campaign; nothing is sent before `paceline campaign launch`."""
    if (text is None) == (text_file is None):
        fail("Give the text with --text or with --text-file", 2)
    body = text if text is not None else text_file.read_text(encoding="utf-8").strip()  # type: ignore[union-attr]
    from django.conf import settings

    from paceline.messaging import campaigns, senders
    from paceline.messaging.models import ContactList

    audience = ContactList.objects.filter(name=list_name).first()
    if audience is None:
        known = ", ".join(ContactList.objects.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
        fail(
            f"There is no list {list_name!r} (lists: {known}); make it: paceline contacts import FILE --list NAME",
            2,
        )
    made = campaigns.create(
        name,
        body,
        list=audience,
        sender=senders.get(frm, settings.PACELINE["REGION"]) if frm else None,
        batch_size=batch_size,
        delay_period=delay_period,
        scheduled_at=_moment(at),
    )
    problems = campaigns.check(made)
    if launch_now:
        if problems:
            fail(" ".join(problems) + f" The draft is kept as campaign {made.pk}.", 3)
        campaigns.launch(made)
    value = {"id": made.pk, "name": made.name, "state": made.state, "problems": problems}
    lines = [f"Campaign {made.pk} ({made.name}) is {made.state}, for {audience.memberships.count()} contacts"]
    lines += [f"Before a launch: {problem}" for problem in problems]
    if not launch_now:
        lines.append(f"Launch it with: paceline campaign launch {made.pk}")
    say(value, as_json, lines)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no date; write it as 2026-12-01T09:00+00:00", 2)


@campaign.command()
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@installed
def launch(campaign_id: str, yes: bool, as_json: bool) -> None:
    """Starts a draft, after showing to how many and asking."""
    from paceline.messaging import campaigns

    found = _get(campaign_id)
    people = found.list.memberships.count() if found.list else 0
    if not yes and sys.stdin.isatty():
        click.confirm(f"Send {found.name!r} to {people} contacts?", abort=True, err=True)
    campaigns.launch(found)
    say(_value(found), as_json, f"Campaign {found.pk} is {found.state}; watch it: paceline campaign watch {found.pk}")


@campaign.command()
@ID
@as_json
@installed
def watch(campaign_id: str, as_json: bool) -> None:
    """Shows progress, rate against limit and ETA until the campaign ends. Ctrl-C stops watching, not the campaign."""
    from paceline.messaging import progress

    found = _get(campaign_id)
    try:
        with progress_bar(found.name) as show:
            while found.state in ("scheduled", "running", "paused"):
                show(progress.of(found))
                time.sleep(0.5)
                found.refresh_from_db()
            show(progress.of(found))
    except KeyboardInterrupt:
        click.echo(
            f"\nNot watching any more; the campaign goes on. Pause it: paceline campaign pause {found.pk}", err=True
        )
    say(_value(found), as_json, in_words(progress.of(found)))


@campaign.command()
@click.argument("campaign_id", metavar="[ID]", required=False)
@as_json
@installed
def show(campaign_id: str | None, as_json: bool) -> None:
    """The account of one campaign, or a line for each."""
    from paceline.messaging import progress

    if campaign_id is None:
        from paceline.messaging.models import Campaign

        everything = [progress.of(each) for each in Campaign.objects.all()[:100]]
        lines = [f"{each.id:>5}  {in_words(each)}" for each in everything]
        say([each.as_json() for each in everything], as_json, lines or "No campaigns yet")
        return
    account = progress.of(_get(campaign_id))
    lines = [in_words(account)]
    lines += [f"  {status:<12} {count:>8}" for status, count in account.counts.items()]
    lines += [
        f"  {each.number:<16} {each.submitted:>7} submitted {each.waiting:>7} waiting  limit {each.limit or '∞'}/s"
        + (f"  blocked: {each.blocked}" if each.blocked else "")
        for each in account.senders
    ]
    if account.eta_seconds is not None:
        lines.append(f"  last submit in about {duration(account.eta_seconds)}")
    say(account.as_json(), as_json, lines)


@campaign.command()
@ID
@as_json
@installed
def pause(campaign_id: str, as_json: bool) -> None:
    """No submit begins later than 250 ms after this; what is on the wire finishes."""
    from paceline.messaging import campaigns

    found = campaigns.pause(_get(campaign_id))
    say(_value(found), as_json, f"Campaign {found.pk} is paused; go on with: paceline campaign resume {found.pk}")


@campaign.command()
@ID
@as_json
@installed
def resume(campaign_id: str, as_json: bool) -> None:
    """Goes on where it stood."""
    from paceline.messaging import campaigns

    found = campaigns.resume(_get(campaign_id))
    say(_value(found), as_json, f"Campaign {found.pk} is running")


@campaign.command()
@ID
@as_json
@installed
def cancel(campaign_id: str, as_json: bool) -> None:
    """Ends it; whoever has not been submitted to is cancelled."""
    from paceline.messaging import campaigns, progress

    found = campaigns.cancel(_get(campaign_id))
    say(_value(found), as_json, in_words(progress.of(found)))


@campaign.command()
@ID
@BATCH_SIZE
@DELAY
@as_json
@installed
def pace(campaign_id: str, batch_size: int | None, delay_period: float, as_json: bool) -> None:
    """Changes the valve of a campaign while it runs, from its next tranche on."""
    from paceline.messaging import campaigns

    found = campaigns.set_pace(_get(campaign_id), batch_size=batch_size, delay_period=delay_period)
    tranche = f"{batch_size} at a time, {delay_period:g} s apart" if batch_size else "all at once"
    say(_value(found), as_json, f"Campaign {found.pk} releases {tranche}")


def _get(campaign_id: str) -> Any:
    from paceline.messaging.models import Campaign

    found = Campaign.objects.filter(pk=int(campaign_id)).first() if campaign_id.isdecimal() else None
    found = found or Campaign.objects.filter(name=campaign_id).first()
    if found is None:
        fail(f"There is no campaign {campaign_id!r}; paceline campaign show lists them", 2)
    return found


def _value(campaign: Any) -> dict[str, Any]:
    from paceline.messaging import progress

    return progress.of(campaign).as_json()
