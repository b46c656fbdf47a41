"""Commands about what people have answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from .common import FAILED, UNSAFE, WRONG_USAGE, as_json, fail, installed, say
from .values import REGION, Text, readable
from .values import number as as_number

LISTED = 50
SHOWN = 20  # entries of a thread
ID = click.argument("conversation_id", metavar="ID")
PERSON = Text(254)
BY = click.option("--by", default="", type=Text(), help="Who says so: the name they sign in with.")
UNITS = {"m": 60, "h": 3600, "d": 86400}


class Length(click.ParamType):
    """A length of time: 90m, 2h, 3d."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        amount, unit = value[:-1], UNITS.get(value[-1:])
        if (
            unit is None
            or not (amount.isascii() and amount.isdecimal())
            or not 0 < int(amount[:9]) * unit <= 366 * 86400
        ):
            self.fail(f"{value!r} is no length of time up to a year: write 90m, 2h or 3d", param, ctx)
        return timedelta(seconds=int(amount) * unit)


@click.group()
def inbox() -> None:
    """See what people have answered, and answer them.

    ID is a conversation's number, or the telephone number of the person.
    """


@inbox.command("list")
@click.option(
    "--show",
    type=click.Choice(["waiting", "unassigned", "snoozed", "closed"]),
    default="waiting",
    show_default=True,
    help="Which ones.",
)
@click.option("--of", "person", type=PERSON, help="Of those waiting, what this person has taken up.")
@as_json
@installed
def list_(show: str, person: str | None, as_json: bool) -> None:
    """Shows who waits, the longest first; or which are snoozed or closed, the latest first."""
    from paceline.messaging import conversations

    if show in ("snoozed", "closed"):
        found = conversations.recent(show)
    else:
        found = conversations.waiting(assignee="" if show == "unassigned" else None)
    if person is not None:
        found = found.filter(assignee=person)
    rows = list(found[:LISTED])
    lines = [_line(each) for each in rows]
    if (more := found.count() - LISTED) > 0:
        lines.append(f"… and {more} more")
    say([_value(each) for each in rows], as_json, lines or "None")


@inbox.command()
@ID
@REGION
@as_json
@installed
def show(conversation_id: str, region: str | None, as_json: bool) -> None:
    """Shows the last of what was said in a conversation, with its notes.

    It stays unread; the last line closes it as it was shown.
    """
    from paceline.messaging import conversations

    found = _get(conversation_id, region)
    entries = conversations.thread(found, most=SHOWN).entries
    seen = _seen(entries)
    obstacle = conversations.obstacle(found)
    value = _value(found) | {"thread": [_entry(each) for each in entries], "seen": seen, "obstacle": obstacle}
    lines = [_line(found), *(_said(each) for each in entries)]
    if obstacle:
        lines.append(f"No reply can be sent: {obstacle}")
    if found.state != conversations.State.CLOSED:
        lines.append(f"When it is done: paceline inbox close {found.pk} --seen {seen}")
    say(value, as_json, lines)


@inbox.command()
@ID
@click.argument("text", type=Text())
@BY
@REGION
@as_json
@installed
def reply(conversation_id: str, text: str, by: str, region: str | None, as_json: bool) -> None:
    """Answers with TEXT, ahead of every campaign, from the number they know.

    A quick reply's /shortcut at its beginning is spelled out.
    """
    from paceline.messaging import conversations
    from paceline.sms.errors import ProviderError, Refused

    found = _get(conversation_id, region)
    try:
        message = conversations.reply(found, text, by)
    except Refused as error:
        stopped = error.code == "suppressed"
        next_step = (
            f"paceline optout show {found.number} says why"
            if stopped
            else f"look at it: paceline inbox show {found.pk}"
        )
        fail(f"Not sent to {found.number}: {error}; {next_step}", UNSAFE if stopped else FAILED)
    except conversations.UnknownShortcut as error:
        fail(f"Not sent. {error}", WRONG_USAGE)
    except ProviderError as error:
        fail(f"Not sent to {found.number}: {error}; see: paceline sender list")
    value = {
        "reference": message.reference,
        "text": message.text,
        "status": message.status,
        "segments": message.segments,
    }
    say(_value(found) | value, as_json, f"To {found.number}, from {found.ours}, queued: {message.text}")


@inbox.command()
@ID
@click.argument("person", type=PERSON)
@click.option("--from", "taking_from", type=Text(), default="", help="Take it over from this person.")
@REGION
@as_json
@installed
def assign(conversation_id: str, person: str, taking_from: str, region: str | None, as_json: bool) -> None:
    """Gives a conversation to PERSON, by the name they sign in with."""
    from paceline.messaging import conversations

    found = _get(conversation_id, region)
    if not conversations.assign(found, person, taking_from=taking_from):
        if found.state == conversations.State.CLOSED:
            fail(f"Conversation {found.pk} is closed; open it first: paceline inbox reopen {found.pk}")
        fail(
            f"Conversation {found.pk} is {found.assignee or 'nobody'}'s; take it over: "
            f"paceline inbox assign {found.pk} {person} --from {found.assignee or 'NAME'}"
        )
    say(_value(found), as_json, f"Conversation {found.pk} is {found.assignee}'s")


@inbox.command()
@ID
@REGION
@as_json
@installed
def release(conversation_id: str, region: str | None, as_json: bool) -> None:
    """Gives a conversation back to all: nobody has it any more."""
    from paceline.messaging import conversations

    found = _get(conversation_id, region)
    if not conversations.release(found):
        why = "is closed" if found.state == conversations.State.CLOSED else "is nobody's"
        fail(f"Conversation {found.pk} {why}, so there is nothing to release; see: paceline inbox show {found.pk}")
    say(_value(found), as_json, f"Conversation {found.pk} is open to all")


@inbox.command()
@click.argument("conversation_ids", metavar="ID...", nargs=-1, required=True)
@BY
@click.option("--seen", type=click.IntRange(min=0), help="The last text that you have seen, as show says it.")
@click.option("--anyway", is_flag=True, help="Also over texts that nobody has read.")
@REGION
@as_json
@installed
def close(
    conversation_ids: tuple[str, ...], by: str, seen: int | None, anyway: bool, region: str | None, as_json: bool
) -> None:
    """Closes conversations; a text of theirs opens them again.

    What has a text that nobody has read, or that came after --seen, stays open: exit code 1.
    """
    from paceline.messaging import conversations

    if seen is not None and (anyway or conversation_ids[1:]):
        fail("--seen is for one conversation, and without --anyway", WRONG_USAGE)
    found = {each.pk: each for each in (_get(one, region) for one in conversation_ids)}.values()
    if_read = seen is None and not anyway
    closed = [conversations.close(each, by, seen=seen, if_read=if_read) for each in found].count(True)
    unread = [each for each in found if each.state != conversations.State.CLOSED]
    left = len(found) - closed - len(unread)
    value = {"closed": closed, "left": left, "unread": [each.pk for each in unread]}
    say(value, as_json, f"{closed} closed" + (f"; {left} were closed already" if left else ""))
    if unread:
        fail(" ".join(_still_open(each, seen) for each in unread))


def _still_open(conversation: Any, seen: int | None) -> str:
    """Why it was not closed, and what next."""
    pk = conversation.pk
    what = "they have written since you looked" if seen is not None else f"{conversation.unread} unread"
    return (
        f"Conversation {pk} stays open: {what}. Look first: paceline inbox show {pk}; or close it all the same: "
        f"paceline inbox close {pk} --anyway."
    )


@inbox.command()
@ID
@BY
@REGION
@as_json
@installed
def reopen(conversation_id: str, by: str, region: str | None, as_json: bool) -> None:
    """Opens a closed conversation again, by hand."""
    from paceline.messaging import conversations

    found = _get(conversation_id, region)
    if not conversations.reopen(found, by):
        fail(f"Conversation {found.pk} is {found.state} already; see: paceline inbox show {found.pk}")
    say(_value(found), as_json, f"Conversation {found.pk} is open again")


@inbox.command()
@ID
@click.option("--for", "length", type=Length(), help="So long: 90m, 2h, 3d.")
@click.option("--until", help="Until then: an ISO date with its zone, 2026-12-01T09:00+00:00.")
@REGION
@as_json
@installed
def snooze(
    conversation_id: str, length: timedelta | None, until: str | None, region: str | None, as_json: bool
) -> None:
    """Puts a conversation off until a moment, or until they write."""
    from paceline.messaging import conversations

    if (length is None) == (until is None):
        fail("Say how long with --for 2h, or until when with --until, one of them", WRONG_USAGE)
    moment = datetime.now(UTC) + length if length is not None else _moment(str(until))
    found = _get(conversation_id, region)
    if not conversations.snooze(found, moment):
        fail(f"Conversation {found.pk} is closed, so nothing is to be put off; see: paceline inbox list")
    say(_value(found), as_json, f"Conversation {found.pk} is out of sight until {_at(found.snoozed_until)}")


@inbox.command()
@ID
@click.argument("text", type=Text())
@BY
@REGION
@as_json
@installed
def note(conversation_id: str, text: str, by: str, region: str | None, as_json: bool) -> None:
    """Keeps TEXT for the team; it is never sent."""
    from paceline.messaging import conversations

    if not text.strip():
        fail("The note is empty; write something to keep", WRONG_USAGE)
    found = _get(conversation_id, region)
    kept = conversations.note(found, text, by)
    say({"id": found.pk, "note": kept.text, "author": kept.author, "at": kept.at}, as_json, f"Noted on {found.pk}")


def _get(given: str, region: str | None) -> Any:
    """The conversation of that number, else with that person; ends the command when it is none, or more than one."""
    from paceline.messaging.models import Conversation

    everything = Conversation.objects.select_related("contact", "sender", "campaign")
    if given.isascii() and given.isdecimal() and len(given) < 10:
        found = everything.filter(pk=int(given)).first()
        if found is None:
            fail(f"There is no conversation {given}; paceline inbox list shows who waits", WRONG_USAGE)
        return found
    if not readable(given):
        fail("ID is not UTF-8; paceline inbox list shows which there are", WRONG_USAGE)
    number = as_number(given, region)
    with_them = list(everything.filter(number=number).order_by("-last_at")[:5])
    if not with_them:
        fail(f"Nothing has come from {number}; paceline inbox list shows who waits", WRONG_USAGE)
    if with_them[1:]:
        each = ", ".join(f"{one.pk} ({one.ours})" for one in with_them)
        fail(f"{number} has written to more than one of our numbers; give the conversation: {each}", WRONG_USAGE)
    return with_them[0]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        fail(f"{text!r} is no date with a zone; write it as 2026-12-01T09:00+00:00", WRONG_USAGE)
    if moment <= datetime.now(UTC):
        fail(f"{text} is past; give a later moment", WRONG_USAGE)
    return moment


def _value(conversation: Any) -> dict[str, Any]:
    return {
        "id": conversation.pk,
        "number": conversation.number,
        "ours": conversation.ours,
        "state": conversation.state,
        "assignee": conversation.assignee,
        "unread": conversation.unread,
        "waiting_since": conversation.waiting_since,
        "snoozed_until": conversation.snoozed_until,
        "last_at": conversation.last_at,
        "campaign": conversation.campaign_id,
        "campaign_name": conversation.campaign.name if conversation.campaign else None,
    }


def _line(conversation: Any) -> str:
    waits = f"since {_at(conversation.waiting_since)}" if conversation.waiting_since else "answered"
    return (
        f"{conversation.pk:>5}  {conversation.number:<16} {conversation.state:<8} {waits:<22} "
        f"{conversation.unread:>3} unread"
        + (f"  {conversation.assignee}" if conversation.assignee else "")
        + (f"  answers {conversation.campaign}" if conversation.campaign else "")
    )


def _seen(entries: Any) -> int:
    """The id of the last text of theirs among these; 0 when there is none."""
    return max((e.message.pk for e in entries if e.message and e.message.direction == "incoming"), default=0)


def _entry(entry: Any) -> dict[str, Any]:
    if entry.note:
        return {"at": entry.at, "kind": "note", "text": entry.note.text, "author": entry.author}
    kind, status = entry.message.direction, entry.message.status
    value = {"at": entry.at, "kind": kind, "text": entry.message.text, "author": entry.author, "status": status}
    return value | {"automatic": entry.automatic}


def _said(entry: Any) -> str:
    value = _entry(entry)
    who = {"note": "note", "incoming": "they", "outgoing": "we"}[value["kind"]]
    said_by = "automatic" if value.get("automatic") else value["author"]
    how = f" ({said_by})" if said_by else ""
    status = f"  [{value['status']}]" if value["kind"] == "outgoing" else ""
    return f"  {_at(value['at'])}  {who}{how}: {_plain(value['text'])}{status}"


def _plain(text: str) -> str:
    """On one line, and without what steers a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
