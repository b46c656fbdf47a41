"""Who is texted, and from which sender? The verbs for lists, senders and people that a script needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from secrets import token_hex
from typing import Any

from django.db.models import Q

from paceline.messaging import accounts, contacts, engine, senders, signals, suppressions
from paceline.messaging.models import Campaign, Contact, ContactList, Membership, Sender, Suppression, TextMessage
from paceline.messaging.sheets import field_key
from paceline.sms.errors import InvalidNumber
from paceline.sms.numbers import normalize
from paceline.sms.status import Status

from .values import Added, BatchError

CHUNK = 200
NAME_MOST = 120
UNION = "union of lists "  # the name of a list that was made for one send to several

Given = str | Mapping[str, Any]


# --- lists ----------------------------------------------------------------------------------------------------


def lists() -> dict[int, str]:
    """The names of the lists by id."""
    named = ContactList.objects.exclude(name__startswith=UNION).order_by("pk")
    return dict(named.values_list("pk", "name"))


def create_list(name: str) -> int:
    return contacts.get_list(_name(name)).pk


def rename_list(list_id: int, name: str) -> None:
    found, name = get_list(list_id), _name(name)
    if ContactList.objects.filter(name=name).exclude(pk=found.pk).exists():
        raise BatchError(f"There is another list called {name!r}; choose a name that is free")
    ContactList.objects.filter(pk=found.pk).update(name=name)


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_MOST or name.startswith(UNION):
        raise BatchError(f"A list's name has 1 to {NAME_MOST} characters, and does not begin with {UNION!r}")
    return name


def get_list(list_id: int) -> ContactList:
    found = ContactList.objects.filter(pk=list_id).first()
    if found is None:
        raise BatchError(f"There is no list {list_id}; client.subscription_lists has those there are")
    return found


def delete_list(found: ContactList) -> None:
    """Its campaigns keep their account; people stay known. Raises `BatchError` while one still needs the list."""
    needing = Campaign.objects.filter(list=found, fanned_out=False).exclude(state=Campaign.State.CANCELLED).first()
    if needing is not None:
        raise BatchError(f"Campaign {needing.pk} needs the list {found.name!r}: client.cancel({needing.pk}) ends it")
    if Suppression.objects.filter(list=found).exists():
        raise BatchError(f"People have opted out of the list {found.name!r}: it stays, so that nobody fills it anew")
    Campaign.objects.filter(list=found).update(list=None)
    members = Membership.objects.filter(list=found).order_by("pk")
    while ids := list(members.values_list("pk", flat=True)[: engine.CHUNK]):
        with engine.write():
            Membership.objects.filter(pk__in=ids).delete()
    found.delete()


def union_of(list_ids: Sequence[int]) -> ContactList:
    """The one list, or a new one that has everybody of several, once."""
    if len(list_ids) == 1:
        return get_list(list_ids[0])
    union = ContactList.objects.create(name=f"{union_prefix(list_ids)}{token_hex(4)}")
    people = Contact.objects.filter(memberships__list__in=list_ids).distinct().order_by("pk")
    after = 0
    while ids := list(people.filter(pk__gt=after).values_list("pk", flat=True)[: engine.CHUNK]):
        contacts.enrol(union, _staying(ids, list_ids))
        after = ids[-1]
    return union


def _staying(ids: Sequence[int], list_ids: Sequence[int]) -> list[int]:
    """Those of these people who are on one of the lists at least that they have not opted out of."""
    members = Membership.objects.filter(contact__in=ids, list__in=list_ids).order_by("contact")
    rows = list(members.values_list("contact", "contact__number", "list"))
    everywhere = suppressions.among([number for _, number, _ in rows])  # they are counted as suppressed, later
    ways = [(pk, suppressions.Way(number, "", list_id)) for pk, number, list_id in rows]
    left = suppressions.among([way for _, way in ways])
    return [*dict.fromkeys(pk for pk, way in ways if way not in left or way.number in everywhere)]


def union_prefix(list_ids: Sequence[int]) -> str:
    return f"{UNION}{','.join(map(str, list_ids))}: "


def drop_union(campaign: Campaign) -> None:
    """When everybody has their row, the list that was made for this campaign is needed no more."""
    campaign.refresh_from_db()
    if campaign.fanned_out and campaign.list is not None and campaign.list.name.startswith(UNION):
        delete_list(campaign.list)


# --- senders --------------------------------------------------------------------------------------------------


def add_sender(raw: str, region: str, mps: float | None, daily_cap: int | None) -> str:
    added, _ = senders.add(accounts.get(), senders.spelled(raw, region), mps=mps, daily_cap=daily_cap)
    return added.number


def remove_sender(raw: str, region: str) -> int:
    return senders.remove(senders.get(raw, region))


def active_senders() -> list[str]:
    return [sender.number for sender in senders.active()]


def associate(to: str, frm: str, region: str) -> None:
    number, sender = normalize(to, region), senders.get(frm, region)
    Contact.objects.update_or_create(number=number, defaults={"sender": sender})


def associations() -> dict[str, str]:
    """{person's number: their sender's}"""
    return dict(Contact.objects.exclude(sender=None).order_by("pk").values_list("number", "sender__number"))


# --- people ---------------------------------------------------------------------------------------------------


def add_people(given: Iterable[Given], list_ids: Sequence[int], region: str, assign: bool) -> Added:
    """Takes numbers, or mappings with a "number" whose other keys are fields for texts, onto these lists.

    A number known already keeps its sender, and its fields that are given are replaced. Nobody is dropped silently.
    """
    into = [get_list(list_id) for list_id in list_ids]
    new, seen, invalid = 0, 0, []
    for chunk in _chunks(iter(given)):
        people: dict[str, dict[str, str]] = {}
        for each in chunk:
            raw, fields = _read(each)
            try:
                number = normalize(raw, region)
            except InvalidNumber as error:
                invalid.append((raw, str(error)))
                continue
            seen += 1
            people[number] = people.get(number, {}) | fields
        new += _store(people, into, assign)
    return Added(new, seen - new, invalid)


def _chunks(given: Iterator[Given]) -> Iterator[list[Given]]:
    while chunk := list(islice(given, CHUNK)):
        yield chunk


def _read(each: Given) -> tuple[str, dict[str, str]]:
    """The number as it was given, and the fields by the names that texts know them by."""
    if isinstance(each, str):
        return each, {}
    fields = {field_key(str(key)): str(value) for key, value in each.items() if value is not None}
    return fields.pop("number", ""), fields


def _store(people: Mapping[str, dict[str, str]], into: Sequence[ContactList], assign: bool) -> int:
    """Answers how many of them are new."""
    with engine.write():
        known = list(Contact.objects.filter(number__in=people))
        unknown = people.keys() - {contact.number for contact in known}
        Contact.objects.bulk_create(
            [Contact(number=number, fields=fields) for number, fields in people.items() if number in unknown],
            ignore_conflicts=True,  # another script may add them at this moment
        )
        for contact in known:
            contact.fields |= people[contact.number]
        Contact.objects.bulk_update([contact for contact in known if people[contact.number]], ["fields"])
        ids = list(Contact.objects.filter(number__in=people).order_by("pk").values_list("pk", flat=True))
        for each in into:
            contacts.enrol(each, ids)
        if assign:
            senders.assign(ids)
    return len(unknown)


def remove_person(raw: str, region: str) -> bool:
    """Off every list; what still waits for them in a campaign is cancelled. False for somebody unknown."""
    number = normalize(raw, region)
    with engine.write():
        waiting = TextMessage.objects.filter(
            contact__number=number, campaign__isnull=False, status__in=[Status.HELD, Status.QUEUED]
        )
        ids = list(waiting.values_list("pk", flat=True))
        with signals.watched(ids):
            waiting.filter(pk__in=ids).update(status=Status.CANCELLED)
        return contacts.forget(number)


def remove_from_list(raw: str, list_id: int, region: str) -> bool:
    deleted, _ = Membership.objects.filter(list=get_list(list_id), contact__number=normalize(raw, region)).delete()
    return bool(deleted)


def people(list_id: int | None) -> list[str]:
    everybody = Contact.objects.order_by("pk")
    chosen = everybody if list_id is None else everybody.filter(memberships__list=get_list(list_id))
    return list(chosen.values_list("number", flat=True))


def without_sender(audience: ContactList) -> int:
    """How many people of the list nobody could text."""
    homeless = Q(contact__sender=None) | Q(contact__sender__in=Sender.objects.exclude(removed_at=None))
    return Membership.objects.filter(homeless, list=audience).count()


def forbid(raw: str, evidence: str, region: str) -> bool:
    return suppressions.add(normalize(raw, region), suppressions.Reason.MANUAL, evidence)
