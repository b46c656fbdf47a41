"""How do people come into a list? From a sheet of numbers, in short transactions; nobody is dropped silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from . import engine
from .models import Contact, ContactList, Membership
from .sheets import Row

CHUNK = 200


@dataclass(slots=True)
class Imported:
    """What an import did. `new` and `known` are contacts; the rest counts rows of the sheet."""

    rows: int = 0
    ready: int = 0
    duplicate: int = 0
    invalid: int = 0
    new: int = 0
    known: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def add(
    rows: Iterable[Row], into: ContactList, *, on_rows: Callable[[list[Row]], None] = lambda rows: None
) -> Imported:
    """Puts a sheet's rows into a list; a number known already keeps its sender and has its fields filled up.

    A duplicate row's fields fill what the earlier row left blank. `on_rows` sees every chunk that is committed,
    for progress and for rejects.
    """
    done = Imported()
    for chunk in _chunks(iter(rows)):
        with engine.write():
            _add(chunk, into, done)
        on_rows(chunk)
    return done


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _add(chunk: list[Row], into: ContactList, done: Imported) -> None:
    fields: dict[str, dict[str, str]] = {}
    for row in chunk:
        done.rows += 1
        setattr(done, row.verdict, getattr(done, row.verdict) + 1)
        if row.verdict == "invalid":
            done.reasons[row.reason] += 1
        if row.number is not None and row.verdict != "invalid":
            known = fields.setdefault(row.number, {})
            fields[row.number] = known | {
                k: v for k, v in row.fields.items() if v and (row.verdict == "ready" or not known.get(k))
            }
    known_contacts = {c.number: c for c in Contact.objects.filter(number__in=fields)}
    new = [Contact(number=number, fields=values) for number, values in fields.items() if number not in known_contacts]
    Contact.objects.bulk_create(new)
    first_seen = {row.number for row in chunk if row.verdict == "ready"}
    changed = []
    for number, contact in known_contacts.items():
        filled = contact.fields | fields[number] if number in first_seen else fields[number] | contact.fields
        if filled != contact.fields:
            contact.fields = filled
            changed.append(contact)
    Contact.objects.bulk_update(changed, ["fields"])
    ids = Contact.objects.filter(number__in=fields).order_by("pk").values_list("pk", flat=True)
    Membership.objects.bulk_create([Membership(list=into, contact_id=pk) for pk in ids], ignore_conflicts=True)
    done.new += len(new)
    done.known += len(first_seen & known_contacts.keys())


def get_list(name: str) -> ContactList:
    """The list of that name, made when it is new."""
    found, _ = ContactList.objects.get_or_create(name=name.strip())
    return found
