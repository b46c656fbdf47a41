"""How do people come into a list? From a sheet of numbers, in short transactions; nobody is dropped silently."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.utils import timezone

from paceline.sms.errors import PacelineError

from . import engine
from .models import Contact, ContactList, Membership
from .sheets import Row, Sheet

_CONTACTS = Contact._meta.db_table
_PLACES = Membership._meta.db_table
_quoted = json.encoder.encode_basestring_ascii

Told = dict[str, dict[str, str]]
"""Number → field → cell."""

TURN_SECONDS = 0.0002
"""How long one thread of a process that imports keeps another waiting."""


class ListGone(PacelineError):
    """Somebody has deleted the list that people were to come into."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one transaction, what they say about each number, and the numbers that no earlier row had."""

    rows: list[Row]
    told: Told
    first_seen: set[str]
    contacts: list[tuple[str, str, Any]]
    """(number, fields as JSON, when) of each, in the order in which `engine.insert_keyed` takes them."""


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
    for progress and for rejects. Raises `ListGone` when somebody deletes the list meanwhile.
    """
    done = Imported()
    chunks = _chunks(iter(rows), done)
    if isinstance(rows, Sheet) and engine.has_a_server():
        chunks = _ahead(chunks)
    with engine.bulk():
        for chunk in chunks:
            with engine.write():
                _stays(into)
                _add(chunk, into, done)
            on_rows(chunk.rows)
    return done


def _chunks(rows: Iterator[Row], done: Imported) -> Iterator[Chunk]:
    most = engine.load()
    while some := list(islice(rows, most)):
        yield _read(some, done)


def _ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same, each read while the one before is written: the server has a core of its own."""
    with short_turns(), ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = reader.submit(next, chunks, None)
            yield chunk


_turns = threading.Lock()
_importing = 0
_usual_seconds = 0.0


@contextmanager
def short_turns() -> Iterator[None]:
    """The thread that reads does not keep the one waiting that has the server's answer: Python's 5 ms are an eighth of
    an import. It is set for the whole process, so the first import sets it and the last one sets it back."""
    global _importing, _usual_seconds
    with _turns:
        if not _importing:
            _usual_seconds = sys.getswitchinterval()
            sys.setswitchinterval(TURN_SECONDS)
        _importing += 1
    try:
        yield
    finally:
        with _turns:
            _importing -= 1
            if not _importing:
                sys.setswitchinterval(_usual_seconds)


def _read(rows: list[Row], done: Imported) -> Chunk:
    """All that can be known without the database. Counts the rows."""
    told: Told = {}
    first_seen: set[str] = set()
    verdicts: Counter[str] = Counter()
    for row in rows:
        verdict, number = row.verdict, row.number
        verdicts[verdict] += 1
        if verdict == "invalid":
            done.reasons[row.reason] += 1
        elif number is not None:
            fields = {key: value for key, value in row.fields.items() if value}
            if verdict == "ready":
                first_seen.add(number)
            told[number] = _merged(told[number], fields, verdict == "ready") if number in told else fields
    done.rows += len(rows)
    done.ready += verdicts["ready"]
    done.duplicate += verdicts["duplicate"]
    done.invalid += verdicts["invalid"]
    now = str(engine.moment(timezone.now()))  # made a text once, not for every row
    return Chunk(rows, told, first_seen, [(number, _as_json(told[number]), now) for number in sorted(told)])


def _add(chunk: Chunk, into: ContactList, done: Imported) -> None:
    """One chunk in four steps, however many its rows: insert, look at those known before, fill these up, enrol all."""
    told, first_seen = chunk.told, chunk.first_seen
    if not told:
        return
    new = engine.insert_keyed(_CONTACTS, ("number", "fields", "created_at"), chunk.contacts, all_new=not done.known)
    known = _known([number for number in told if number not in new])
    done.new += len(new)
    done.known += len(first_seen & known.keys())
    _fill_up(known, told, first_seen)
    placed = _placed(into, [pk for pk, _ in known.values()])
    ids = new | {number: pk for number, (pk, _) in known.items() if pk not in placed}
    _place(into, [ids[number] for number in told if number in ids])


def _merged(before: dict[str, str], after: dict[str, str], replaces: bool) -> dict[str, str]:
    """Both rows' fields; the later one replaces, or fills only what is blank."""
    if replaces:
        return before | after
    return before | {key: value for key, value in after.items() if not before.get(key)}


def _as_json(fields: dict[str, str]) -> str:
    """As `json.dumps`, at a third of its cost: an import does this for every row."""
    return "{" + ", ".join([f"{_quoted(key)}: {_quoted(value)}" for key, value in fields.items()]) + "}"


def _known(numbers: Sequence[str]) -> dict[str, tuple[int, dict[str, Any]]]:
    """{number: (id, fields)} of those that are contacts already, and that nobody deletes or fills up before us."""
    known = {}
    for part in engine.chunks(numbers):
        found = engine.read_rows(Contact, ("id", "number", "fields"), *engine.one_of("number", part), lock=True)
        known.update({row.number: (row.id, row.fields) for row in found})
    return known


def _fill_up(known: dict[str, tuple[int, dict[str, Any]]], told: Told, first_seen: set[str]) -> None:
    changed = []
    for number, (pk, before) in known.items():
        after = before | told[number] if number in first_seen else told[number] | before
        if after != before:
            changed.append((json.dumps(after), pk))
    engine.many(f"UPDATE {_CONTACTS} SET fields = %s WHERE id = %s", changed)


def _placed(into: ContactList, contact_ids: Sequence[int]) -> set[int]:
    """Those of them who are on the list. We hold it, so nobody else comes onto it before our commit."""
    placed: set[int] = set()
    for part in engine.chunks(contact_ids):
        condition, params = engine.one_of("contact_id", part)
        found = engine.rows(f"SELECT contact_id FROM {_PLACES} WHERE list_id = %s AND {condition}", [into.pk, *params])
        placed.update(pk for (pk,) in found)
    return placed


def _place(into: ContactList, contact_ids: Sequence[int]) -> None:
    """Onto the list, in this order. List and people are held by us until the commit: no constraint looks at them."""
    engine.fill(_PLACES, ("list_id", "contact_id"), [(into.pk, each) for each in contact_ids])


# --- one by one -------------------------------------------------------------------------------------------------


def enrol(into: ContactList, contact_ids: Sequence[int]) -> None:
    """People whom we know come onto a list, once each, in this order. Raises `ListGone`."""
    with engine.write():
        _stays(into)
        for part in engine.chunks(contact_ids):
            found = engine.read_rows(Contact, ("id",), *engine.one_of("id", part), lock=True)
            new = {row.id for row in found} - _placed(into, part)
            _place(into, [each for each in dict.fromkeys(part) if each in new])


def forget(number: str) -> bool:
    """Deletes a contact, and takes them off every list. False for somebody unknown."""
    with engine.write():
        theirs = list(engine.locked(Contact.objects.filter(number=number)).values_list("pk", flat=True))
        Contact.objects.filter(pk__in=theirs).delete()
    return bool(theirs)


def _stays(this: ContactList) -> None:
    """Nobody deletes the list before our commit."""
    if not engine.read_rows(ContactList, ("id",), "id = %s", [this.pk], lock=True):
        raise ListGone(f"The list {this.name!r} was deleted meanwhile")


def get_list(name: str) -> ContactList:
    """The list of that name, made when it is new."""
    found, _ = ContactList.objects.get_or_create(name=name.strip())
    return found
