"""Who may not be texted, by whom, and since when? The opt-out ledger, one across senders, providers and campaigns.

An entry forbids a number everywhere, from one sender, or for one list. It is found by the keyed hash of the number, so
it outlives contacts, lists, imports, and the number itself. The last word counts: STOP always takes effect; START
lifts what the person's own STOP has set, unless it is the older of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from paceline.sms.errors import PacelineError
from paceline.sms.keywords import Keyword

from . import engine, hashes
from .models import LedgerEntry, LedgerKey, Suppression, TextMessage

Reason = Suppression.Reason
What = LedgerEntry.What

TABLE = Suppression._meta.db_table
KEYS = LedgerKey._meta.db_table
STOP_SCOPES = ("all", "sender")
WORDS_MOST = 160  # characters of a text that are kept as evidence


MEND = (
    "Set PACELINE_OPTOUT_KEY (without it, PACELINE_SECRET_KEY) to what it was, or take the new one with: paceline "
    "optout rehash"
)


class WrongKey(PacelineError):
    """Entries were made with another key than ours: whom they forbid cannot be told, so nobody is texted."""

    def __init__(self) -> None:
        super().__init__(f"The opt-outs of this database were made with another key. {MEND}")


class Scope(NamedTuple):
    """Where an entry holds: for one of our senders (its number or name), for one list, or, with neither, everywhere."""

    sender: str = ""
    list_id: int | None = None

    @property
    def key(self) -> str:
        if self.list_id is not None:
            return f"list:{self.list_id}"
        return f"sender:{self.sender}" if self.sender else "all"


ALL = Scope()


class Way(NamedTuple):
    """A text that is to leave: to which number, from which sender, and for which list, if it is a campaign's."""

    number: str
    sender: str = ""
    list_id: int | None = None


class Reading(Protocol):
    """What a reply means, as far as a program can say; a `certainty` is one of exact, clear and doubtful."""

    @property
    def intent(self) -> Keyword | None: ...

    @property
    def certainty(self) -> Any: ...


# --- who is forbidden? ----------------------------------------------------------------------------------------

Sought = TypeVar("Sought", str, Way)


def among(sought: Iterable[Sought]) -> set[Sought]:
    """Those that are forbidden. A bare number is asked about for everywhere, a `Way` for its sender and list as well.

    One query. What is no E.164 number, such as what an erasure has left, is forbidden too. Raises `WrongKey`.
    """
    asked = list(sought)
    if not asked:
        return set()
    numbers = [one if isinstance(one, str) else one.number for one in asked]
    hashed = hashes.of_all(numbers)
    found = _scopes_of(hashed)
    return {
        one
        for one, number, hash_ in zip(asked, numbers, hashed, strict=True)
        if number[:1] != "+" or (hash_ in found and not found[hash_].isdisjoint(_keys(one)))
    }


def _scopes_of(hashed: Sequence[str]) -> dict[str, set[str]]:
    """{hash: its scopes}; and the look at the key, in the same query."""
    is_one, values = engine.one_of("number_hash", hashed)
    rows = engine.rows(
        f"SELECT number_hash, scope_key FROM {TABLE} WHERE {is_one} UNION ALL SELECT fingerprint, '' FROM {KEYS}",
        values,
    )
    ours = hashes.fingerprint()
    found: dict[str, set[str]] = {}
    for hash_, scope in rows:
        if scope:
            found.setdefault(hash_, set()).add(scope)
        elif hash_ != ours:
            raise WrongKey
    return found


def _keys(one: str | Way) -> tuple[str, ...]:
    if isinstance(one, str):
        return ("all",)
    return "all", f"sender:{one.sender}", f"list:{one.list_id}"


def is_number(number: str) -> bool:
    """False for a name, a short code, and what an erasure has left: nobody that a text could go to."""
    return number[:1] == "+" and number[1:].isascii() and number[1:].isdigit() and len(number) <= 16


def of(number: str) -> QuerySet[Suppression]:
    """What is in force for a number, in whatever scope, the oldest first. Raises `WrongKey`."""
    require_key()
    return Suppression.objects.filter(number_hash=hashes.of(number)).select_related("list").order_by("pk")


def history(number: str) -> QuerySet[LedgerEntry]:
    """All that has happened to a number's entries, the oldest first. Raises `WrongKey`."""
    require_key()
    return LedgerEntry.objects.filter(number_hash=hashes.of(number)).order_by("pk")


def waiting_for_review() -> QuerySet[Suppression]:
    """Entries of doubtful wording, the oldest first: in force, until a person confirms or lifts them."""
    return Suppression.objects.filter(needs_review=True).select_related("list").order_by("pk")


# --- the key --------------------------------------------------------------------------------------------------


def is_key_wrong() -> bool:
    """True when entries were made with another key than ours."""
    ours = hashes.fingerprint()
    return any(fingerprint != ours for (fingerprint,) in engine.rows(f"SELECT fingerprint FROM {KEYS}"))


def require_key() -> None:
    """Raises `WrongKey`."""
    if is_key_wrong():
        raise WrongKey


def _note_key() -> str:
    """The fingerprint of our key, which the database knows from now on. With another one there, nothing is sent."""
    ours = hashes.fingerprint()
    engine.insert(KEYS, ("fingerprint", "created_at"), [(ours, engine.moment(timezone.now()))])
    return ours


# --- forbidding -----------------------------------------------------------------------------------------------


def add(
    number: str,
    reason: Suppression.Reason = Reason.MANUAL,
    evidence: str = "",
    scope: Scope = ALL,
    *,
    needs_review: bool = False,
    at: datetime | None = None,
) -> bool:
    """Forbids sending to an E.164 `number`. False when that was forbidden already, or when it is no number.

    The first evidence stays; but what an operator forbids on top of a person's own STOP, their START does not lift.
    `at` is when the person said so, by the provider's clock; else now.
    """
    with engine.write():
        return _add(number, reason, evidence, scope, needs_review=needs_review, at=at)


def _add(
    number: str,
    reason: Suppression.Reason,
    evidence: str,
    scope: Scope,
    *,
    needs_review: bool = False,
    at: datetime | None = None,
) -> bool:
    """`add` within the caller's transaction."""
    if not is_number(number):
        return False
    now = timezone.now()
    said_at = min(at or now, now)
    entry = Suppression(
        number=number,
        number_hash=hashes.of(number),
        scope_key=scope.key,
        list_id=scope.list_id,
        reason=reason,
        evidence=evidence,
        needs_review=needs_review,
        said_at=said_at,
        created_at=now,
    )
    entry.hashed_with = _note_key()
    while True:
        # locked: a START that is lifting it at this moment is waited for, and then it is added anew
        same = Suppression.objects.filter(number_hash=entry.number_hash, scope_key=entry.scope_key)
        if (known := engine.locked(same).first()) is not None:
            _say_again(known, entry)
            return False
        if engine.insert(TABLE, _COLUMNS, [_values(entry)]):
            _note([entry], What.ADDED, entry.reason, evidence)
            return True


def add_all(numbers: Sequence[str], reason: Suppression.Reason, evidence: str = "", scope: Scope = ALL) -> int:
    """Forbids sending to many E.164 numbers, in short transactions; answers how many were not forbidden before."""
    count = 0
    for part in engine.chunks(sorted({number for number in numbers if is_number(number)})):
        hashed = dict(zip(hashes.of_all(part), part, strict=True))
        now = timezone.now()
        with engine.write():
            key = _note_key()
            known = Suppression.objects.filter(
                engine.among(Suppression, "number_hash", list(hashed)), scope_key=scope.key
            )
            for hash_ in known.values_list("number_hash", flat=True):
                del hashed[hash_]
            entries = [
                Suppression(
                    number=number,
                    number_hash=hash_,
                    scope_key=scope.key,
                    list_id=scope.list_id,
                    reason=reason,
                    evidence=evidence,
                    said_at=now,
                    created_at=now,
                    hashed_with=key,
                )
                for hash_, number in hashed.items()
            ]
            count += engine.insert(TABLE, _COLUMNS, [_values(entry) for entry in entries])
            _note(entries, What.ADDED, reason, evidence)
    return count


_COLUMNS = (
    *("number", "number_hash", "scope_key", "list_id", "reason", "evidence", "needs_review", "said_at"),
    *("created_at", "hashed_with"),
)


def _values(entry: Suppression) -> tuple[Any, ...]:
    said_at, created_at = engine.moment(entry.said_at), engine.moment(entry.created_at)
    known = (entry.number, entry.number_hash, entry.scope_key, entry.list_id, str(entry.reason), entry.evidence)
    return *known, entry.needs_review, said_at, created_at, entry.hashed_with


def _say_again(known: Suppression, entry: Suppression) -> None:
    """An entry that is there is said once more: it may become firmer, and never looser."""
    changed = {}
    if entry.reason == Reason.OPT_OUT and entry.said_at > known.said_at:
        known.said_at = changed["said_at"] = entry.said_at
    if known.reason == Reason.OPT_OUT and entry.reason in (Reason.MANUAL, Reason.ERASED):
        known.reason = changed["reason"] = entry.reason
        known.evidence = changed["evidence"] = "; ".join(filter(None, [known.evidence, entry.evidence]))
        _note([known], What.ADDED, entry.reason, entry.evidence)
    if known.needs_review and not entry.needs_review:
        known.needs_review = changed["needs_review"] = False
        _note([known], What.CONFIRMED, entry.reason, entry.evidence)
    if changed:
        Suppression.objects.filter(pk=known.pk).update(**changed)


def _note(entries: Iterable[Suppression], what: LedgerEntry.What, reason: str, evidence: str) -> None:
    """Writes down what happens to these entries."""
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            number=entry.number,
            number_hash=entry.number_hash,
            scope_key=entry.scope_key,
            what=what,
            reason=reason,
            evidence=evidence,
            hashed_with=entry.hashed_with,
        )
        for entry in entries
    )


# --- what people say ------------------------------------------------------------------------------------------


def stop_scope(sender: str) -> Scope:
    """How far a STOP reaches that was said to `sender`: everywhere, unless PACELINE["STOP_SCOPE"] is "sender"."""
    wanted = getattr(settings, "PACELINE", {}).get("STOP_SCOPE", "all")
    return Scope(sender=sender[:21]) if wanted == "sender" and sender else ALL


def stop(number: str, sender: str, words: str, at: datetime | None = None) -> bool:
    """The person said STOP to `sender`. False when that was in force already. Within the webhook's transaction."""
    return _add(number, Reason.OPT_OUT, _replied(words, sender), stop_scope(sender), at=at)


def lift_opt_out(number: str, sender: str = "", words: str = "START", at: datetime | None = None) -> bool:
    """The person said START to `sender`: lifts what their own STOP has set there or everywhere.

    Nothing that others have set, nothing said to another sender, nothing that they have said later than `at`.
    """
    scopes = {ALL.key, Scope(sender=sender[:21]).key}
    theirs = Suppression.objects.filter(number_hash=hashes.of(number), scope_key__in=scopes, reason=Reason.OPT_OUT)
    older = theirs if at is None else theirs.filter(said_at__lte=at)
    with engine.write():
        return bool(_lift(engine.locked(older.order_by("pk")), _replied(words, sender)))


def refused(number: str, sender: str, evidence: str) -> bool:
    """A provider said that the person has opted out. As far as a STOP to that sender reaches."""
    said = f"{evidence}, from {sender}" if sender else evidence
    return add(number, Reason.PROVIDER, said, stop_scope(sender))


def heed(message: TextMessage, reading: Reading) -> bool:
    """Obeys free wording ("please stop texting me") in an inbound text. True when the number was not forbidden yet.

    What is doubtful is in force at once too, and waits for a person. Nothing but an exact START ever lifts anything.
    Within the transaction that stores the text.
    """
    if reading.intent is not Keyword.STOP or not is_number(message.frm):
        return False
    return _add(
        message.frm,
        Reason.OPT_OUT,
        _replied(message.text, message.to),
        stop_scope(message.to),
        needs_review=str(reading.certainty) == "doubtful",
        at=message.created_on,
    )


def _replied(words: str, sender: str) -> str:
    said = f"replied {words.strip()[:WORDS_MOST]!r}"
    return f"{said} to {sender}" if sender else said


# --- lifting, and what people decide --------------------------------------------------------------------------


def remove(number: str, scope: Scope = ALL, evidence: str = "") -> bool:
    """Lifts the entry of this scope, whoever has set it. False when there was none. Raises `WrongKey`."""
    require_key()
    with engine.write():
        found = Suppression.objects.filter(number_hash=hashes.of(number), scope_key=scope.key)
        return bool(_lift(engine.locked(found), evidence))


def lift(entry: Suppression, evidence: str = "") -> bool:
    """Lifts one entry, also of somebody who was erased. False when it was lifted already."""
    with engine.write():
        return bool(_lift(engine.locked(Suppression.objects.filter(pk=entry.pk)), evidence))


def confirm(entry: Suppression, evidence: str = "") -> bool:
    """A person has looked at a doubtful entry: it stays. False when nothing was waiting."""
    with engine.write():
        found = engine.locked(Suppression.objects.filter(pk=entry.pk, needs_review=True)).first()
        if found is None:
            return False
        Suppression.objects.filter(pk=found.pk).update(needs_review=False)
        _note([found], What.CONFIRMED, found.reason, evidence)
        return True


def _lift(found: QuerySet[Suppression], evidence: str) -> int:
    entries = list(found)
    for entry in entries:
        _note([entry], What.LIFTED, entry.reason, evidence)
    Suppression.objects.filter(pk__in=[entry.pk for entry in entries]).delete()
    return len(entries)


# --- the number goes, the entry stays -------------------------------------------------------------------------


def forget(number: str) -> None:
    """Takes the number, and the words that are evidence, out of its entries and their history.

    The hash goes on forbidding. `erasure.erase` does the same for everything else that is known of a person.
    """
    with engine.write():
        entries = list(engine.locked(Suppression.objects.filter(number_hash=hashes.of(number)).order_by("pk")))
        fresh = [entry for entry in entries if entry.number]
        theirs = Suppression.objects.filter(pk__in=[entry.pk for entry in entries])
        theirs.update(number="", evidence="", needs_review=False)
        LedgerEntry.objects.filter(number_hash=hashes.of(number)).update(number="", evidence="")
        for entry in fresh:
            entry.number = ""
        _note(fresh, What.ERASED, Reason.ERASED, "")


def rehash() -> tuple[int, int]:
    """Takes our key for entries that another one has made. Answers how many were moved, and how many cannot be.

    Who was erased cannot: their number is gone, so their key is needed for ever. Then nothing is moved at all. For when
    nothing runs any more that has the other key.
    """
    ours = hashes.fingerprint()
    if left := Suppression.objects.exclude(hashed_with=ours).filter(number="").count():
        return 0, left
    moved = 0
    entries = Suppression.objects.exclude(hashed_with=ours).exclude(number="").order_by("pk")
    while part := list(entries[: engine.CHUNK]):
        with engine.write():
            _note_key()
            for entry, hash_ in zip(part, hashes.of_all(entry.number for entry in part), strict=True):
                _move(entry, hash_, ours)
        moved += len(part)
    lines = LedgerEntry.objects.exclude(hashed_with=ours).exclude(number="").order_by("pk")
    while known := list(lines[: engine.CHUNK]):
        for line, line.number_hash in zip(known, hashes.of_all(line.number for line in known), strict=True):
            line.hashed_with = ours
        with engine.write():
            LedgerEntry.objects.bulk_update(known, ["number_hash", "hashed_with"])
    with engine.write():
        needed = set(Suppression.objects.exclude(hashed_with=ours).values_list("hashed_with", flat=True))
        LedgerKey.objects.exclude(fingerprint=ours).exclude(fingerprint__in=needed).delete()
    return moved, 0


def _move(entry: Suppression, hash_: str, key: str) -> None:
    """The entry under another hash; one that is there already takes it in."""
    there = engine.locked(Suppression.objects.filter(number_hash=hash_, scope_key=entry.scope_key)).first()
    this = Suppression.objects.filter(pk=entry.pk)
    if there is None:
        this.update(number_hash=hash_, hashed_with=key)
    else:
        _say_again(there, entry)
        this.delete()
