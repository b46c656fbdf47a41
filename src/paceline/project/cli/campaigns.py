"""Commands about campaigns."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from .common import UNSAFE, WRONG_USAGE, as_json, fail, installed, say
from .values import NAME, PER, Amount, Count, InFile, Money, Rate, Text, readable
from .values import sender as as_sender
from .watching import duration, in_words, progress_bar

YEAR = 366 * 86400
LISTED = 100
LOOKED_AT = 200  # contacts whose texts are counted before a person is asked
ID = click.argument("campaign_id", metavar="ID")
DELAY = Amount(0, YEAR)
PER_HOUR = Amount(0.1, 3600)
SHARE = Amount(0.0001, 1)


def listens(command: Any) -> Any:
    """The options that say what the team can answer."""
    for option in reversed(
        [
            click.option(
                "--line", type=Count(), help="At most so many conversations open; the pace follows the replies."
            ),
            click.option(
                "--replies-per-hour", type=PER_HOUR, help="Conversations that one of the team closes an hour."
            ),
            click.option("--team-size", type=Count(), help="How many of them answer at a time; default: 1."),
            click.option("--office-hours", type=Text(120), help="When they do: Mon-Fri 9-17 Europe/Madrid; or always."),
            click.option("--reply-guess", type=SHARE, help="Share of texts that may be answered, such as 0.12."),
        ]
    ):
        command = option(command)
    return command


def _listening(pace: Any, **asked: Any) -> Any:
    """The reply pace with what was asked for in place of what was there."""
    from dataclasses import replace

    if asked.get("hours") == "always":
        asked["hours"] = ""
    return replace(pace, **{name: value for name, value in asked.items() if value is not None})


class BatchSize(Count):
    """Recipients per tranche, or the word all."""

    name = "integer or all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return "all" if value == "all" else super().convert(value, param, ctx)


@click.group()
def campaign() -> None:
    """Create, launch, watch and steer campaigns.

    ID is a campaign's number or its name.
    """


@campaign.command()
@click.argument("name", type=NAME)
@click.option("--text", type=Text(), help='The text; fields as {{ full_name }} or {{ full_name|default("there") }}.')
@click.option("--text-file", type=InFile(), help="Read the text from a file.")
@click.option("--list", "list_name", required=True, help="The list of contacts it goes to.")
@click.option("--from", "frm", help="One sender for all; default: each contact's own.")
@click.option("--batch-size", type=Count(), help="Recipients per tranche; default: all at once.")
@click.option("--delay-period", default=0.0, type=DELAY, help="Seconds from a tranche's last submit to the next.")
@click.option("--mps", type=Rate(), help="At most so many a second, or as 20/min, over all senders; default: no limit.")
@PER
@click.option("--spend-cap", type=Money(), help="What all of it may cost; default: no cap.")
@listens
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
    mps: float | None,
    per: str | None,
    spend_cap: Any,
    line: int | None,
    replies_per_hour: float | None,
    team_size: int | None,
    office_hours: str | None,
    reply_guess: float | None,
    at: str | None,
    launch_now: bool,
    as_json: bool,
) -> None:
    """Drafts a campaign; nothing is sent before it is launched."""
    body = _text(text, text_file)
    from paceline.messaging import campaigns, replies
    from paceline.messaging.models import ContactList

    audience = ContactList.objects.filter(name=list_name.strip()).first()
    if audience is None:
        known = ", ".join(ContactList.objects.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
        fail(
            f"There is no list {list_name!r} (lists: {known}); make it: paceline contacts import FILE --list NAME",
            WRONG_USAGE,
        )
    made = campaigns.create(
        name,
        body,
        list=audience,
        sender=as_sender(frm) if frm else None,
        batch_size=batch_size,
        delay_period=delay_period,
        mps=mps,
        unit=per or "message",
        spend_cap=None if spend_cap == "none" else spend_cap,
        reply_pace=_listening(
            replies.NONE,
            line=line,
            per_hour=replies_per_hour,
            team_size=team_size,
            hours=office_hours,
            guess=reply_guess,
        ),
        scheduled_at=_moment(at),
    )
    problems = campaigns.check(made)
    if launch_now:
        if problems:
            fail(
                f"{' '.join(problems)} Nothing was sent; the draft is kept: paceline campaign launch {made.pk}", UNSAFE
            )
        campaigns.launch(made)
    value = {"id": made.pk, "name": made.name, "state": made.state, "problems": problems}
    lines = [f"Campaign {made.pk} ({made.name}) is {made.state}, for {audience.memberships.count()} contacts"]
    lines += [f"Before a launch: {problem}" for problem in problems]
    lines.append(
        f"Watch it with: paceline campaign watch {made.pk}"
        if launch_now
        else f"Launch it with: paceline campaign launch {made.pk}"
    )
    say(value, as_json, lines)


def _text(text: str | None, file: Path | None) -> str:
    """The text from one of the two places; ends the command when it is nowhere or cannot be read."""
    if (text is None) == (file is None):
        fail("Give the text with --text or with --text-file, one of them", WRONG_USAGE)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError:
            fail(f"{file} is not a text in UTF-8; save it as one", WRONG_USAGE)
    body = str(text)
    if not body.strip() or not readable(body):
        fail("The text is empty; write something to send", WRONG_USAGE)
    return body


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fail(f"{text!r} is no date with a zone; write it as 2026-12-01T09:00+00:00", WRONG_USAGE)
    if moment < datetime.now(UTC):
        fail(f"{text} is past; give a later moment, or leave --at out", WRONG_USAGE)
    return moment


@campaign.command()
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@installed
def launch(campaign_id: str, yes: bool, as_json: bool) -> None:
    """Starts a draft. Shows to how many it goes and asks, on a terminal."""
    from paceline.messaging import campaigns

    found = _get(campaign_id)
    if found.state == campaigns.State.DRAFT:
        if problems := campaigns.check(found):
            fail(f"{' '.join(problems)} Nothing was sent; it stays a draft", UNSAFE)
        if not yes and sys.stdin.isatty():
            click.echo(_prospect(found), err=True)
            if not click.confirm("Launch it?", err=True):
                fail(f"Campaign {found.pk} was not launched; it stays a draft")
    campaigns.launch(found)
    say(_value(found), as_json, f"Campaign {found.pk} is {found.state}; watch it: paceline campaign watch {found.pk}")


def _prospect(campaign: Any) -> str:
    """To how many, how long, how fast: what a person should know before it starts."""
    from paceline.messaging import engine, senders, suppressions
    from paceline.sms import pacing, templates
    from paceline.sms.segments import segments

    people = campaign.list.memberships if campaign.list else None
    frm = campaign.sender.number if campaign.sender else ""
    rows = list(people.values_list("contact__number", "contact__sender__number")) if people else []
    ways = [suppressions.Way(number, frm or own or "", campaign.list_id) for number, own in rows]
    total = (people.count() if people else 0) + sum(len(intake.numbers) for intake in campaign.intakes.all())
    suppressed = sum(len(suppressions.among(part)) for part in engine.chunks(ways))
    fields = people.values_list("contact__fields", flat=True)[:LOOKED_AT] if people else [{}]
    counts = sorted({segments(templates.render(campaign.text, each)).count for each in fields})
    lanes = [campaign.sender] if campaign.sender else senders.active()
    rate = sum(lane.mps for lane in lanes) if all(lane.mps for lane in lanes) else None
    size = f"{counts[0]} to {counts[-1]} segments" if counts[1:] else f"{counts[0]} segment{'s' * (counts[0] != 1)}"
    pace = f"at most {rate:g} a second, so {duration(total * pacing.interval(rate))} or longer" if rate else "no limit"
    return (
        f"{campaign.name!r} goes to {total - suppressed} contacts ({suppressed} more are suppressed), "
        f"{size} each, from {len(lanes)} sender{'s' * (len(lanes) != 1)}: {pace}"
    )


@campaign.command()
@ID
@as_json
@installed
def watch(campaign_id: str, as_json: bool) -> None:
    """Shows progress, rate against limit and ETA until it ends.

    Ctrl-C stops watching, not the campaign.
    """
    from paceline.messaging import campaigns, progress

    found = _get(campaign_id)
    if found.state == campaigns.State.DRAFT:
        fail(f"Campaign {found.pk} is a draft, nothing moves yet; launch it: paceline campaign launch {found.pk}")
    told = ""
    try:
        with progress_bar(found.name) as show:
            while found.state in ("scheduled", "running", "paused"):
                account = progress.of(found)
                show(account)
                why = " ".join(progress.brakes(found, account)[:1])
                if why != told and "at its limit" not in why:
                    told = why
                    click.echo(why, err=True)
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
    """Shows the account of one campaign, or a line for each."""
    from paceline.messaging import progress

    if campaign_id is None:
        from paceline.messaging.models import Campaign

        everything = progress.overview(list(Campaign.objects.all()[:LISTED]))
        lines = [f"{each.id:>5}  {in_words(each)}" for each in everything]
        if (older := Campaign.objects.count() - LISTED) > 0:
            lines.append(f"  … and {older} older ones; show one by its number")
        say([each.as_json() for each in everything], as_json, lines or "No campaigns yet")
        return
    account = progress.of(_get(campaign_id))
    lines = [in_words(account)]
    if account.blocked:
        lines.append(f"  paused by itself: {account.blocked}")
    if account.spend_cap:
        lines.append(f"  spent {account.spent} of {account.spend_cap}")
    lines += [f"  {status:<12} {count:>8}" for status, count in account.counts.items()]
    lines += [
        f"  {each.number:<16} {each.submitted:>7} submitted {each.waiting:>7} waiting  "
        + ("no limit" if each.limit is None else f"limit {each.limit:g}/s")
        + ("  (learned)" if each.learned < 1 else "")
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
    """Pauses it; no submit begins later than 250 ms after this.

    What is on the wire finishes.
    """
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
    """Ends it; who has not been submitted to is cancelled."""
    from paceline.messaging import campaigns, progress

    found = campaigns.cancel(_get(campaign_id))
    say(_value(found), as_json, in_words(progress.of(found)))


@campaign.command()
@ID
@click.option("--batch-size", type=BatchSize(), help="Recipients per tranche, or all; default: as it is.")
@click.option("--delay-period", type=DELAY, help="Seconds from a tranche's last submit to the next; default: as it is.")
@click.option("--mps", type=Rate(none=True), help="At most so many a second, or as 20/min, or none; default: as it is.")
@PER
@click.option("--spend-cap", type=Money(), help="What all of it may cost, or none; default: as it is.")
@listens
@click.option("--no-line", is_flag=True, help="Its pace follows the replies no more.")
@as_json
@installed
def pace(
    campaign_id: str,
    batch_size: int | str | None,
    delay_period: float | None,
    mps: float | str | None,
    per: str | None,
    spend_cap: Any,
    line: int | None,
    replies_per_hour: float | None,
    team_size: int | None,
    office_hours: str | None,
    reply_guess: float | None,
    no_line: bool,
    as_json: bool,
) -> None:
    """Changes its tranches and limits while it runs.

    Tranches from the next one on, limits at once.
    """
    from paceline.messaging import campaigns, lanes, replies

    tranches, limits = (batch_size, delay_period), (mps, per, spend_cap)
    team = {
        "line": line,
        "per_hour": replies_per_hour,
        "team_size": team_size,
        "hours": office_hours,
        "guess": reply_guess,
    }
    if not no_line and not any(value is not None for value in (*tranches, *limits, *team.values())):
        fail(
            "Say what to change: --batch-size, --delay-period, --mps, --per, --spend-cap, --line, --replies-per-hour",
            WRONG_USAGE,
        )
    found = _get(campaign_id)
    said = []
    if tranches != (None, None):
        if batch_size is None:
            batch_size = found.batch_size
        found = campaigns.set_pace(
            found,
            batch_size=None if batch_size == "all" else batch_size,
            delay_period=found.delay_period if delay_period is None else delay_period,
        )
        tranche = f"{found.batch_size} at a time, {found.delay_period:g} s apart" if found.batch_size else "all at once"
        said.append(f"Campaign {found.pk} releases {tranche}")
    if limits != (None, None, None):
        found = campaigns.set_limits(
            found,
            mps=_given(mps, found.mps),
            unit=per,
            spend_cap=_given(spend_cap, found.spend_cap),
        )
        cap = "" if found.spend_cap is None else f", and may cost {found.spend_cap:f}"
        said.append(f"Campaign {found.pk} has a limit of its own: {lanes.in_words(found)}{cap}")
    if no_line or any(value is not None for value in team.values()):
        found = campaigns.set_reply_pace(found, None if no_line else _listening(replies.pace(found), **team))
        said.append(
            f"Campaign {found.pk} keeps the team at {replies.line(found)} open conversations or fewer"
            if replies.is_aware(found)
            else f"Campaign {found.pk} does not wait for the team"
        )
    say(_value(found), as_json, said)


def _given(new: Any, before: Any) -> Any:
    return None if new == "none" else before if new is None else new


def _get(campaign_id: str) -> Any:
    """The campaign of that number, else of that name; ends the command when it is none, or more than one."""
    from paceline.messaging.models import Campaign

    if campaign_id.isdecimal() and len(campaign_id) < 19:
        by_number = Campaign.objects.filter(pk=int(campaign_id)).first()
        if by_number is not None:
            return by_number
    found = list(Campaign.objects.filter(name=campaign_id.strip())[:2]) if readable(campaign_id) else []
    if not found:
        fail(f"There is no campaign {campaign_id!r}; paceline campaign show lists them", WRONG_USAGE)
    if len(found) > 1:
        fail(
            f"More than one campaign is named {campaign_id!r}; give the number, paceline campaign show lists them",
            WRONG_USAGE,
        )
    return found[0]


def _value(campaign: Any) -> dict[str, Any]:
    from paceline.messaging import progress

    return progress.of(campaign).as_json()
