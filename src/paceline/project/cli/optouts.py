"""Commands about who may not be texted: by whom that was said, how we know, and how a person is forgotten."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from paceline.sms import numbers
from paceline.sms.errors import InvalidNumber

from .common import UNSAFE, WRONG_USAGE, as_json, fail, installed, say
from .values import REGION, InFile, Text
from .values import number as as_number

SHOWN = 20
COLUMN = "phone_number"

SCOPE = click.option(
    "--scope",
    "where",
    metavar="SCOPE",
    default="all",
    show_default=True,
    help="Where it holds: all, sender:NUMBER or list:NAME.",
)


def _evidence(words: str, default: str | None = None) -> Any:
    return click.option("--evidence", type=Text(), default=default, show_default=default is not None, help=words)


@click.group()
def optout() -> None:
    """Who may not be texted: add, list, show, lift, import."""


@optout.command()
@click.argument("number")
@SCOPE
@_evidence("How we know.", "added by hand")
@REGION
@as_json
@installed
def add(number: str, where: str, evidence: str, region: str | None, as_json: bool) -> None:
    """Forbids sending to NUMBER, in every campaign, from now on."""
    from paceline.messaging import suppressions

    to, scope = as_number(number, region), _scope(where, region)
    added = suppressions.add(to, suppressions.Reason.MANUAL, evidence, scope)
    value = {"number": to, "scope": scope.key, "added": added}
    say(value, as_json, f"{to} {'is suppressed' if added else 'was suppressed already'}{_in_words(where)}")


@optout.command("list")
@click.option("--scope", "where", metavar="SCOPE", help="Only of this one: all, sender:NUMBER or list:NAME.")
@REGION
@as_json
@installed
def list_(where: str | None, region: str | None, as_json: bool) -> None:
    """Shows every suppressed number with its reason and evidence."""
    from paceline.messaging.models import Suppression

    found = Suppression.objects.select_related("list").order_by("created_at", "pk")
    if where:
        found = found.filter(scope_key=_scope(where, region).key)
    values = [_value(entry) for entry in found]
    say(values, as_json, [_line(value) for value in values] or "Nobody is suppressed")


@optout.command()
@click.argument("number")
@REGION
@as_json
@installed
def show(number: str, region: str | None, as_json: bool) -> None:
    """What is in force for NUMBER, and its history.

    When and how they opted out, and who lifted it.
    """
    from paceline.messaging import suppressions
    from paceline.messaging.models import ContactList

    to = as_number(number, region)
    names = {f"list:{pk}": f"list:{name}" for pk, name in ContactList.objects.values_list("pk", "name")}
    in_force = [_value(entry) for entry in suppressions.of(to)]
    history = [
        {
            "at": line.at,
            "what": line.what,
            "scope": names.get(line.scope_key, line.scope_key),
            "reason": line.reason,
            "evidence": line.evidence,
        }
        for line in suppressions.history(to)
    ]
    lines = [_line(value) for value in in_force] or [f"{to} may be texted"]
    for line in history:
        how = f"{line['what']:<9}  {line['scope']:<8}  {line['reason']:<8}  {line['evidence']}"
        lines.append(f"  {line['at']:%Y-%m-%d %H:%M}  {how}".rstrip())
    say({"number": to, "suppressed": bool(in_force), "in_force": in_force, "history": history}, as_json, lines)


@optout.command()
@click.argument("number")
@SCOPE
@_evidence("Why it is lifted, and by whom.", "lifted by hand")
@REGION
@as_json
@installed
def remove(number: str, where: str, evidence: str, region: str | None, as_json: bool) -> None:
    """Allows texts to NUMBER again; only when the person has asked."""
    from paceline.messaging import suppressions

    to, scope = as_number(number, region), _scope(where, region)
    if not suppressions.remove(to, scope, evidence):
        fail(f"{to} is not suppressed{_in_words(where)}; paceline optout list shows who is", WRONG_USAGE)
    left = [entry.scope for entry in suppressions.of(to)]
    words = f"{to} may be texted again{_in_words(where)}"
    words += f"; still suppressed: {', '.join(left)}" if left else ""
    say({"number": to, "scope": scope.key, "removed": True, "left": left}, as_json, words)


# --- what waits for a person ----------------------------------------------------------------------------------


@optout.command()
@as_json
@installed
def review(as_json: bool) -> None:
    """Shows who is suppressed for doubtful words.

    The oldest first: confirm each, or remove it.
    """
    from paceline.messaging import suppressions

    values = [_value(entry) for entry in suppressions.waiting_for_review()]
    say(values, as_json, [_line(value) for value in values] or "Nobody waits for a review")


@optout.command()
@click.argument("number")
@_evidence("Who has looked at it.", "confirmed by hand")
@REGION
@as_json
@installed
def confirm(number: str, evidence: str, region: str | None, as_json: bool) -> None:
    """Keeps NUMBER suppressed after a review.

    A person has read the words, which were doubtful.
    """
    from paceline.messaging import suppressions

    to = as_number(number, region)
    confirmed = [suppressions.confirm(entry, evidence) for entry in suppressions.of(to)]
    if not any(confirmed):
        fail(f"{to} does not wait for a review; paceline optout review shows who does", WRONG_USAGE)
    say({"number": to, "confirmed": True}, as_json, f"{to} stays suppressed")


# --- a provider's list ----------------------------------------------------------------------------------------


@optout.command("import")
@click.argument("file", type=InFile())
@SCOPE
@_evidence("How we know; default: the file's name.")
@click.option("--column", help="The column of the numbers, by header or place; default: found by looking.")
@REGION
@as_json
@installed
def import_(
    file: Path, where: str, evidence: str | None, column: str | None, region: str | None, as_json: bool
) -> None:
    """Suppresses all numbers of a provider's list.

    FILE is text or CSV, with or without a plus. Nothing is lifted, and run again it doubles nobody. Exit code 1 when
    a row has no number.
    """
    from django.conf import settings

    from paceline.messaging import suppressions

    from .contacts import open_sheet

    scope = _scope(where, region)
    found: list[str] = []
    bad: list[tuple[int, str]] = []
    for row in open_sheet(file, region or settings.PACELINE["REGION"], column):
        number = row.number or _international(row.raw)
        if number:
            found.append(number)
        else:
            bad.append((row.line, row.raw))
    added = suppressions.add_all(found, suppressions.Reason.PROVIDER, evidence or f"imported from {file.name}", scope)
    unique = len(set(found))
    lines = [f"  line {line}: {raw!r} is no number" for line, raw in bad[:SHOWN]]
    lines += [f"  … and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
    value = {"numbers": unique, "added": added, "known": unique - added, "invalid": len(bad), "scope": scope.key}
    say(value, as_json, [*lines, f"{added} are suppressed now, {unique - added} were already"])
    if bad:
        fail(f"{len(bad)} rows of {file.name} have no number; the others are suppressed")


def _international(raw: str) -> str | None:
    """A number as providers list them: with the country's code and without a plus. Kept, though no plan knows it."""
    from paceline.messaging import suppressions

    digits = "".join(character for character in raw if character not in " +-().\t\xa0")
    try:
        return numbers.normalize(f"+{digits}", None)
    except InvalidNumber:
        number = f"+{digits}"
        return number if len(digits) >= 8 and suppressions.is_number(number) else None


@optout.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@SCOPE
@click.option("--digits", is_flag=True, help="Without the plus.")
@REGION
@as_json
@installed
def export(file: Path, where: str, digits: bool, region: str | None, as_json: bool) -> None:
    """Writes the suppressed numbers to FILE, for a provider's own list.

    One number a line; a FILE that ends in .csv has a header, phone_number. Who was erased is not in it.
    """
    from paceline.messaging.models import Suppression

    entries = Suppression.objects.filter(scope_key=_scope(where, region).key).order_by("pk")
    count, erased = 0, entries.filter(number="").count()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        if file.suffix.lower() == ".csv":
            rows.writerow([COLUMN])
        for number in entries.exclude(number="").values_list("number", flat=True).iterator():
            rows.writerow([number[1:] if digits else number])
            count += 1
    more = f"; {erased} more were erased, and have no number" if erased else ""
    say({"numbers": count, "erased": erased, "file": str(file)}, as_json, f"{count} numbers in {file}{more}")


# --- forgetting -----------------------------------------------------------------------------------------------


@optout.command()
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask.")
@REGION
@as_json
@installed
def erase(number: str, yes: bool, region: str | None, as_json: bool) -> None:
    """Forgets the person of NUMBER, for good.

    Number and words go from everywhere. They stay suppressed, by a hash.
    """
    from paceline.messaging import erasure

    to = as_number(number, region)
    if not yes:
        if not sys.stdin.isatty():
            fail("Nothing was erased. To do this, say --yes too", UNSAFE)
        if not click.confirm(f"Erase {to} from contacts, messages, webhooks and evidence, for good?", err=True):
            fail("Nothing was erased", UNSAFE)
    with _looking_at_webhooks() as progress:
        done = erasure.erase(to, progress=progress)
    contact = "the contact, " if done.contact else ""
    words = f"Erased: {contact}{done.messages} messages, {done.webhooks} webhooks. They will not be texted"
    say(asdict(done), as_json, words)
    if done.pending:
        fail(
            f"{done.pending} webhooks that name {to} are still there: they hold what others said or were sent, and it "
            f"is not applied yet. It is within 72 hours; then once more: paceline optout erase {to} --yes"
        )


@contextmanager
def _looking_at_webhooks() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal; None where there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label="Looking into webhooks", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield show


@optout.command()
@as_json
@installed
def rehash(as_json: bool) -> None:
    """Takes a new key for what the old one has made.

    For when PACELINE_OPTOUT_KEY has changed and nothing runs any more that has the old one. Exit code 1 when somebody
    was erased under it: that key is needed.
    """
    from paceline.messaging import suppressions

    moved, left = suppressions.rehash()
    if left:
        fail(f"Nothing was changed: {left} opt-outs of people who were erased need the other key; set it again")
    say({"moved": moved}, as_json, f"{moved} opt-outs are found with this key now")


# --- how it is written ----------------------------------------------------------------------------------------


def _scope(where: str, region: str | None) -> Any:
    """The scope that a person has typed; ends the command when it is none."""
    from django.conf import settings

    from paceline.messaging import senders, suppressions
    from paceline.messaging.models import ContactList

    kind, _, name = where.partition(":")
    if kind == "sender" and name:
        try:
            return suppressions.Scope(sender=senders.spelled(name, region or settings.PACELINE["REGION"]))
        except InvalidNumber as error:
            fail(f"{name!r} is no sender. {error}", WRONG_USAGE)
    if kind == "list" and name:
        found = ContactList.objects.filter(name=name).first()
        if found is None:
            fail(f"There is no list {name!r}; paceline contacts import FILE --list NAME makes one", WRONG_USAGE)
        return suppressions.Scope(list_id=found.pk)
    if where != "all":
        fail(f"{where!r} is no scope: write all, sender:NUMBER or list:NAME", WRONG_USAGE)
    return suppressions.ALL


def _in_words(where: str) -> str:
    return "" if where == "all" else f" for {where.replace(':', ' ', 1)}"


def _value(entry: Any) -> dict[str, Any]:
    return {
        "number": entry.number,
        "scope": entry.scope,
        "reason": entry.reason,
        "evidence": entry.evidence,
        "needs_review": entry.needs_review,
        "created_at": entry.created_at,
    }


def _line(value: dict[str, Any]) -> str:
    who = value["number"] or "(erased)"
    where = "" if value["scope"] == "all" else f"{value['scope']}  "
    doubt = "to be reviewed: " if value["needs_review"] else ""
    how = f"{value['reason']:<8}  {where}{doubt}{value['evidence']}"
    return f"{who:<16} {value['created_at']:%Y-%m-%d %H:%M}  {how}".rstrip()
